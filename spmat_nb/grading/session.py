"""A submission at work: its process is asked to run cells and to call functions, within time, and started again."""

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import MachineError
from . import sandbox, wire
from .sandbox import Limits

CHUNK = 1 << 20
STARTING = 60.0  # seconds that Python may take to start, on top of the limit of the first request
SHARED_ERRORS = {e.__name__: e for e in (NotImplementedError, ValueError, TypeError, IndexError, KeyError, NameError)}


class Stopped(Exception):
    """The process was stopped, or has ended; the text says why, for the student."""


class ChangedInput(Exception):
    """A function changed what it was given."""


class StudentError(Exception):
    """An error in student code; the grader makes a type of its name and never builds the student's own."""


class Session:
    """The process of one submission.

    Args:
        closed: functions of the package that an assignment asks to write.
        limits: on time, memory and restarts.
        level: of `sandbox.LEVELS`; the best if empty.
    """

    def __init__(self, closed: Sequence[str] = (), limits: Limits | None = None, level: str = "") -> None:
        self.closed, self.limits, self.level = closed, limits or Limits(), level
        self.folder = Path(tempfile.mkdtemp(prefix="grading-"))
        self.process: subprocess.Popen[bytes] | None = None
        self.cells: list[tuple[str, str]] = []  # those that ran: a new process runs them again
        self.begin, self.starts, self.number = time.monotonic(), 0, 0

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *error: object) -> None:
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, name: str, source: str, kept: bool = True) -> dict[str, Any]:
        """Run a cell.

        Args:
            name: of the cell.
            source: its code.
            kept: whether it is run again in a new process, should this one have to be stopped.

        Returns:
            `text`, `figures` and `error`.

        Raises:
            Stopped: it took too long, or the process ended.
        """
        reply = self._ask("cell", [name, source], self.limits.cell)
        if kept:
            self.cells.append((name, source))
        return reply

    def has(self, name: str) -> bool:
        """Whether the submission defines a function of that name."""
        return bool(self._ask("has", [name], self.limits.call).get("has"))

    def call(self, name: str, *arguments: Any, **named: Any) -> Any:
        """The value of one of its functions, as plain data.

        Raises:
            Stopped: it took too long, or the process ended.
            ChangedInput: it changed its arguments.
            Exception: what it raised, where that is a common type; else `StudentError`.
        """
        reply = self._ask("call", [name, wire.dumps((arguments, named))], self.limits.call)
        if reply.get("error"):
            raise _as_error(reply["error"])
        if reply.get("changed"):
            raise ChangedInput("your function changes what it is given; make a new tensor or array instead (no +=)")
        try:
            return wire.loads(reply["value"])
        except (wire.WireError, KeyError, TypeError):
            raise self._stop("sent something that is no answer.") from None

    def _ask(self, action: str, arguments: list[str], seconds: float) -> dict[str, Any]:
        """One request and its reply."""
        if self.process is None:
            self._start()
        assert self.process is not None and self.process.stdin is not None
        self.number += 1
        line = json.dumps({"number": self.number, "do": action, "with": arguments}) + "\n"
        try:
            self.process.stdin.write(line.encode())
            self.process.stdin.flush()
        except OSError:
            raise self._stop("ended by itself (os._exit, a crash, or too much memory).") from None
        try:
            reply = json.loads(self._read_line(seconds))
            if reply["number"] != self.number:
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError):
            raise self._stop("sent something that is no answer.") from None
        return dict(reply)

    def _read_line(self, seconds: float) -> bytes:
        """A line from the process, within the time of this request and of the submission."""
        assert self.process is not None and self.process.stdout is not None
        left = self.begin + self.limits.total - time.monotonic()
        until, pipe, data = time.monotonic() + min(seconds, left), self.process.stdout.fileno(), b""
        while not data.endswith(b"\n"):
            if not select.select([pipe], [], [], max(0.0, until - time.monotonic()))[0]:
                words = f"took longer than {seconds:g} s" if left > seconds else "used up the time of a submission"
                raise self._stop(f"{words}: is there a loop that does not end?")
            chunk = os.read(pipe, CHUNK)
            data += chunk
            if not chunk:
                raise self._stop("ended by itself (os._exit, a crash, or too much memory).")
            if len(data) > wire.MOST_BYTES:
                raise self._stop("sent more than an answer can hold.")
        return data

    def _start(self) -> None:
        """A new process that runs the cells again; `Stopped` if there were too many already."""
        if self.starts > self.limits.restarts:
            raise Stopped(f"was stopped {self.starts} times before, so this was not run.")
        if time.monotonic() > self.begin + self.limits.total:
            raise Stopped("used up the time of a submission before.")
        self.starts += 1
        self.process = sandbox.start(self.folder, self.closed, self.limits, self.level)
        self._wait_for_python()
        for name, source in list(self.cells):
            try:
                self._ask("cell", [name, source], self.limits.cell)
            except Stopped:
                self.cells.remove((name, source))  # it ran before and does not now
                raise

    def _wait_for_python(self) -> None:
        """Until the process answers; no code of the student has run yet, so a failure is the machine's."""
        assert self.process is not None and self.process.stderr is not None
        said = self.process.stderr
        try:
            self._ask("has", ["print"], STARTING)
        except Stopped as stopped:
            words = said.read().decode(errors="replace")[-300:] if not said.closed else ""
            raise MachineError(f"The closed process for a submission does not start here: {words or stopped}") from None

    def _stop(self, why: str) -> Stopped:
        self._end()
        return Stopped(why)

    def _end(self) -> None:
        if self.process is not None:
            sandbox.end(self.process)
            self.process = None


def _as_error(told: Any) -> Exception:
    """What the student's code raised, rebuilt from its name and words alone."""
    name, words = (str(told.get(key, ""))[:300] for key in ("type", "words")) if isinstance(told, dict) else ("", "")
    if name in SHARED_ERRORS:
        return SHARED_ERRORS[name](words)
    kind: type[Exception] = type(name if name.isidentifier() else "Error", (StudentError,), {})
    return kind(words)
