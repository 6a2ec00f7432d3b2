"""Checks of the exercises, one module a topic: each takes an answer and tells what is wrong with it, in words."""
