"""The checks of a submission, run in the grader's process; only calls of the student's functions leave it."""

import ast
import builtins
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..feedback import Outcome
from .session import Session, Stopped

MOST_CHARACTERS = 1500  # of what a check says
HIDDEN_BEGIN, HIDDEN_END = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
TRIED = re.compile(r"^Tried .*?; got .*?, wanted .*?\. (?=\S)", re.DOTALL)  # what a hidden check must not tell
RAISED = re.compile(r"^(Your answer stopped with \w+).*$", re.DOTALL)


@dataclass
class Verdict:
    """What one check cell came to.

    Attributes:
        right: whether all its checks were.
        lines: what to tell the student, a line a check.
    """

    right: bool = False
    lines: list[str] = field(default_factory=list)


class Judge:
    """Runs check cells.

    Args:
        session: the submission at work.
        setup: code of the cells that belong to the assignment itself, run here once: they are of the source.
    """

    def __init__(self, session: Session, setup: list[str]) -> None:
        self.session = session
        self.names: dict[str, Any] = {"__name__": "checks"}
        self.outcomes: list[tuple[Outcome, bool]] = []
        self.hidden = False
        self.stopped = ""
        for source in setup:
            exec(compile(source, "<setup>", "exec"), self.names)

    def verdict(self, source: str) -> Verdict:
        """Run one check cell and say what it came to; never raises for a fault of the submission."""
        self.outcomes, self.stopped = [], ""
        try:
            for text, self.hidden in parts(source):
                exec(compile(text, "<check>", "exec"), self._names_for(text))
        except NotDefined as missing:
            return Verdict(False, [f"[not done yet] {missing}"])
        except Stopped as stopped:
            self.stopped = self.stopped or str(stopped)
        except Exception as error:  # a check that an odd answer breaks must not end the batch
            return Verdict(
                False,
                [f"[not yet right] Your answer is of a kind that the check cannot read ({type(error).__name__})."],
            )
        if self.stopped:
            return Verdict(False, [_told_stop(self.stopped)])
        right = bool(self.outcomes) and all(bool(outcome) for outcome, _ in self.outcomes)
        lines = [str(_discreet(outcome) if hidden else outcome) for outcome, hidden in self.outcomes]
        return Verdict(right, [line[:MOST_CHARACTERS] for line in lines])

    def _names_for(self, source: str) -> dict[str, Any]:
        """The setup's names, with a way to the student's function for each name that it lacks."""
        names = {**self.names, "mark": self._keep}
        for name in sorted(used(source) - set(names) - set(dir(builtins))):
            if not self.session.has(name):
                raise NotDefined(
                    f"There is no function `{name}` in your notebook when the checks run: was its cell deleted or "
                    "renamed, or did it stop with an error above?"
                )
            names[name] = self._way_to(name)
        return names

    def _way_to(self, name: str) -> Callable[..., Any]:
        def answer(*arguments: Any, **named: Any) -> Any:
            if self.stopped:  # the check goes on to its next case; the answer is known to be wrong
                raise Stopped(self.stopped)
            try:
                return self.session.call(name, *arguments, **named)
            except Stopped as stopped:
                self.stopped = str(stopped)
                raise

        answer.__name__ = name
        return answer

    def _keep(self, outcome: Outcome) -> None:
        self.outcomes.append((outcome, self.hidden))


class NotDefined(Exception):
    """A check asks for a function that the submission does not have."""


def parts(source: str) -> list[tuple[str, bool]]:
    """The code of a check cell in pieces, each with whether it is hidden."""
    pieces, lines, hidden = [], list[str](), False
    for line in [*source.splitlines(), HIDDEN_END]:
        if line.strip() in (HIDDEN_BEGIN, HIDDEN_END):
            pieces.append(("\n".join(lines), hidden))
            lines, hidden = [], line.strip() == HIDDEN_BEGIN
        else:
            lines.append(line)
    return [piece for piece in pieces if piece[0].strip()]


def without_hidden(source: str) -> str:
    """A check cell as students see it."""
    return "\n".join(text for text, hidden in parts(source) if not hidden)


def used(source: str) -> set[str]:
    """Names that a piece of code reads without having set them."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)]
    stored = {node.id for node in nodes if isinstance(node.ctx, ast.Store)}
    bound = {arg.arg for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Lambda) for arg in node.args.args}
    return {node.id for node in nodes} - stored - bound - {"mark"}


def _discreet(outcome: Outcome) -> Outcome:
    """The outcome of a hidden check without the case it tried, and without words that came from the student's code."""
    text = RAISED.sub(r"\1 on a case that you have not seen.", TRIED.sub("", outcome.text, count=1))
    if text.startswith("Tried "):
        text = "The answer is another one on a case that you have not seen."
    return Outcome(f"{outcome.exercise} (hidden check)", outcome.state, text)


def _told_stop(why: str) -> str:
    return f"[not yet right] The process of your code {why} The other questions were graded in a new process."
