"""Does it help? Arms x targets x seeds as small records on disk, and what they say with intervals."""
