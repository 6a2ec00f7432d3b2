"""Clocks and other instruments that the benchmarks share.

Times are those of the processor, which on one thread are the clock's on a machine with nothing else to do: other work
on the machine does not count, and disturbs only by the memory and caches that it uses.
"""

import ctypes
import platform
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from unittest import mock

from spmat_nb.study.machine import processor

Call = Callable[[], object]


def seconds(call: Call) -> float:
    """Of the processor, for one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def in_turns(repeats: int, *calls: Call) -> list[float]:
    """The best time of each call, after one call that does not count."""
    times = [[seconds(call) for call in calls] for _ in range(repeats + 1)][1:]
    return [min(column) for column in zip(*times, strict=True)]


class Clock:
    """Adds up the seconds that functions take while the code that calls them runs as it is.

    Args:
        watched: owner of a function, its name there, and what its time counts as.
    """

    def __init__(self, *watched: tuple[Any, str, str]) -> None:
        self._watched = watched
        self._spent: dict[str, float] = defaultdict(float)
        self.laps: list[dict[str, float]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within it the functions are watched."""
        with ExitStack() as stack:
            for owner, name, part in self._watched:
                stack.enter_context(mock.patch.object(owner, name, self._timed(getattr(owner, name), part)))
            yield

    def lap(self, *_: object) -> None:
        """Keep what was spent since the last call; can be a callback of a training."""
        self.laps.append(self._spent)
        self._spent = defaultdict(float)

    def _timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            start = time.process_time()
            result = function(*arguments, **options)
            self._spent[part] += time.process_time() - start
            return result

        return timed


def growth(call: Call) -> float:
    """How far a call raises the peak of this process's resident memory above the level before it, in MB (Linux)."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = _resident("VmRSS")
    call()
    return _resident("VmHWM") - before


def _resident(field: str) -> float:
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def describe(*packages: str) -> str:
    """What this runs on: processor, Python and the versions of some packages."""
    return f"{processor()}, Python {platform.python_version()}, " + ", ".join(map(_with_version, packages))


def _with_version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"
