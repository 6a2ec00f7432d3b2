"""What a learner is told about an answer: what was tried, what came out, what was wanted, and the usual mistake."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MARKS = {"right": "[right]", "wrong": "[not yet right]", "open": "[not done yet]"}


@dataclass(frozen=True)
class Outcome:
    """The verdict on one exercise; true when the answer is right.

    Attributes:
        exercise: its name.
        state: `right`, `wrong` or `open` (nothing was written yet).
        text: sentences for the learner.
    """

    exercise: str
    state: str
    text: str = ""

    def __bool__(self) -> bool:
        return self.state == "right"

    def __str__(self) -> str:
        return f"{MARKS[self.state]} {self.exercise}. {self.text}".rstrip()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What Jupyter shows when a check is the last line of a cell."""
        printer.text(str(self))


class Mistake(Exception):
    """An answer that is not right yet.

    Args:
        tried: what was called, in words.
        got: what came out.
        wanted: what should have come out.
        hint: the usual mistake that leads there, and where to look.
    """

    def __init__(self, tried: str, got: Any, wanted: Any, hint: str) -> None:
        super().__init__(f"Tried {tried}; got {got}, wanted {wanted}. {hint}")


def check(exercise: str, praise: str = "") -> Callable[[Callable[..., None]], Callable[..., Outcome]]:
    """Make a check of a function that raises `Mistake` where an answer is wrong; it never raises itself.

    An answer that raises `NotImplementedError` is not done yet. Any other error of the answer is reported with its
    type and words.

    Args:
        exercise: its name.
        praise: what a right answer shows.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., Outcome]:
        @functools.wraps(function)
        def checked(*answers: Any, **options: Any) -> Outcome:
            try:
                function(*answers, **options)
            except NotImplementedError:
                return Outcome(exercise, "open", "Replace `raise NotImplementedError` by your answer and run the cell.")
            except Mistake as mistake:
                return Outcome(exercise, "wrong", str(mistake))
            except (
                Exception
            ) as error:  # the learner's code may raise anything; a traceback through ours teaches nothing
                said = f"{type(error).__name__}: {error}".rstrip(": ")
                return Outcome(exercise, "wrong", f"Your answer stopped with {said}. Run it alone on a small case.")
            return Outcome(exercise, "right", praise)

        return checked

    return decorate


def not_done() -> Any:
    """Stands where a learner's answer will: raises `NotImplementedError`."""
    raise NotImplementedError
