"""Releases have answers to be written: they are tested by grading them, not by running them."""

collect_ignore_glob = ["*.ipynb"]
