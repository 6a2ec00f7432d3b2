"""The parts of `tools/build_teaching_set.py`, in the order in which they run."""
