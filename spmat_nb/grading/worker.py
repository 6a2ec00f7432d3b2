"""The student's process: runs the cells of a submission and calls its functions; knows no check and no right answer.

Started by `sandbox`, one for each submission. Requests come as JSON lines on standard input, answers leave as JSON
lines on what was standard output. Whatever the code of a student does to this process, the grader only reads values
from it.
"""

import ast
import contextlib
import importlib
import io
import json
import linecache
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any, TextIO

from . import wire

MOST_TEXT = 8000  # characters of output that are kept of a cell
MOST_FIGURES = 4
FIGURE_DPI = 72
Reply = dict[str, Any]


class Student:
    """The namespace of one submission."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}

    def cell(self, name: str, source: str) -> Reply:
        """Run a cell; returns its text, its figures, and its error if there was one."""
        said, failed = io.StringIO(), None
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                self._run(name, source)
            except BaseException as error:  # SystemExit too: a cell that wants to leave is a cell with an error
                failed = told(error, source)
        return {"text": said.getvalue()[:MOST_TEXT], "figures": figures(), "error": failed}

    def _run(self, name: str, source: str) -> None:
        """As a notebook does: the last line is shown if it is an expression."""
        file = f"<{name}>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        body = ast.parse(without_magics(source), file).body
        last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), file, "exec"), self.names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), file, "eval"), self.names)
            if value is not None:
                print(repr(value))

    def call(self, name: str, arguments: str) -> Reply:
        """Call one of the functions; returns its value, and whether it has changed what it was given."""
        positional, named = wire.loads(arguments)
        before = wire.mutable([positional, named])
        silent = io.StringIO()
        with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
            try:
                value = self.names[name](*positional, **named)
                return {"value": wire.dumps(value), "changed": wire.mutable([positional, named]) != before}
            except BaseException as error:
                return {"error": told(error, "")}

    def has(self, name: str) -> Reply:
        """Whether there is a function of that name."""
        return {"has": callable(self.names.get(name))}


def told(error: BaseException, source: str) -> dict[str, str]:
    """An error as text: its type, its words, and the lines of the student's own code that led there."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith("<")]
    where = "\n".join(f"{frame.filename[1:-1]}, line {frame.lineno}: {frame.line}" for frame in own[-3:] if frame.line)
    if isinstance(error, SyntaxError):
        where = f"line {error.lineno}: {(error.text or '').strip()}"
    return {"type": type(error).__name__, "words": str(error)[:500], "where": where[:1000]}


def without_magics(source: str) -> str:
    """Lines of Jupyter, such as %timeit or !ls, are left out: they are no Python."""
    lines = source.splitlines()
    return "\n".join("pass" if line.startswith(("%", "!")) else line for line in lines)


def figures() -> list[str]:
    """The open figures as PNG in base64, and closes them."""
    import base64

    plt = sys.modules.get("matplotlib.pyplot")
    if plt is None:
        return []
    pictures = []
    for number in plt.get_fignums()[:MOST_FIGURES]:
        buffer = io.BytesIO()
        plt.figure(number).savefig(buffer, format="png", dpi=FIGURE_DPI)
        pictures.append(base64.b64encode(buffer.getvalue()).decode())
    plt.close("all")
    return pictures


def close_answers(names: list[str]) -> None:
    """Replace functions of the package that an assignment asks to write by ones that refuse."""
    for name in names:
        module, _, function = name.rpartition(".")
        setattr(importlib.import_module(module), function, _refusing(name))


def _refusing(name: str) -> Callable[..., Any]:
    def refuse(*arguments: Any, **named: Any) -> Any:
        raise RuntimeError(f"{name} is closed in grading: the answer has to be your own.")

    return refuse


def serve(requests: TextIO, replies: TextIO) -> None:
    """Answer requests until there are no more."""
    student = Student()
    actions: dict[str, Callable[..., Reply]] = {"cell": student.cell, "call": student.call, "has": student.has}
    for line in requests:
        request = json.loads(line)
        try:
            reply = actions[request["do"]](*request["with"])
        except BaseException as error:  # figures that cannot be drawn, values that cannot be sent
            reply = {"error": told(error, ""), "text": "", "figures": []}
        replies.write(json.dumps({"number": request["number"], **reply}) + "\n")
        replies.flush()


def main() -> None:
    """Keep the way to the grader apart from what student code prints, then serve."""
    options = json.loads(sys.argv[1])
    requests, replies = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    warnings.filterwarnings("ignore")
    import matplotlib

    matplotlib.use("Agg")
    close_answers(options["closed"])
    if options["guarded"]:
        from .guard import close_the_doors

        close_the_doors()
    serve(requests, replies)


if __name__ == "__main__":
    main()
