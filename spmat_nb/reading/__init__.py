"""From the bytes of a structure file to one crystal, and the policy on everything odd that is met on the way."""
