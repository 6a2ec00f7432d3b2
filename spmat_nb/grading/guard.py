"""Doors closed from within Python, where the system cannot close them: network, other programs, files elsewhere.

An audit hook cannot be taken off again by Python code. It is no wall against code that is compiled for the purpose
(see the teaching guide); where the system offers namespaces, `sandbox` uses those instead.
"""

import importlib
import os
import sys
from pathlib import Path
from typing import Any

CLOSED = (
    "socket.",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.kill",
    "ctypes.",
    "shutil.",
)
CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.truncate")
LOADED = ("scipy.stats", "sklearn.neighbors", "matplotlib.pyplot", "torch.nn", "spmat_nb.finetune", "spmat_nb.pretrain")
LISTS = ("os.listdir", "os.scandir", "os.chdir", "glob.glob")


class ClosedDoor(PermissionError):
    """Student code asked for something that grading does not give."""


def close_the_doors() -> None:
    """From now on: no network, no other programs, files only of Python and of the working folder."""
    from .. import settings

    for name in LOADED:  # they open libraries in ways that are closed below
        importlib.import_module(name)
    prefixes = [sys.prefix, sys.base_prefix, "/usr", "/lib", "/etc", "/proc/self", "/dev"]
    readable = [
        *prefixes,
        str(settings.PACKAGE_ROOT / "spmat_nb"),
        str(settings.PACKAGE_ROOT / "data"),
        str(Path.cwd()),
    ]
    sys.addaudithook(_hook([os.path.realpath(path) for path in readable], os.path.realpath(Path.cwd())))


def _hook(readable: list[str], writable: str) -> Any:
    def inside(path: Any, folders: list[str]) -> bool:
        if not isinstance(path, str | bytes | Path):
            return True  # a file that is open already
        real = os.path.realpath(os.fsdecode(path))
        return any(real == folder or real.startswith(folder + os.sep) for folder in folders)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(CLOSED):
            raise ClosedDoor(f"Closed in grading ({event}).")
        if event == "open":
            path, mode, flags = arguments
            writes = bool(set(str(mode or "")) & set("wax+")) or bool((flags or 0) & (os.O_WRONLY | os.O_RDWR))
            if not inside(path, [writable, os.devnull] if writes else readable):
                raise ClosedDoor("Closed in grading: this file is outside of your folder.")
        elif event.startswith(CHANGES) and not all(inside(path, [writable]) for path in arguments[:1]):
            raise ClosedDoor("Closed in grading: this place is outside of your folder.")
        elif event.startswith(LISTS) and not inside(arguments[0] or ".", readable):
            raise ClosedDoor("Closed in grading: this folder is not yours.")

    return hook
