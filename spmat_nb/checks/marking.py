"""How an assignment shows the outcome of a check: in a student's notebook, and when nbgrader runs it plainly."""

import sys

from ..feedback import Outcome


def mark(outcome: Outcome) -> None:
    """Print an outcome: a right one to standard output, any other to standard error.

    nbgrader gives no points to a cell that wrote to standard error, and a notebook goes on after it, as it does not
    after an error. (Our own grading replaces this function by one that keeps the outcome, see `grading.judge`.)
    """
    print(outcome, file=sys.stdout if outcome else sys.stderr)
