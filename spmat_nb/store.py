"""Packed graphs on disk: one flat file an array, mapped into memory, with a checksum for each part.

A store is a folder. It is written beside its place and moved there when it is complete, so that a reader sees a whole
store or none, whatever happens to the writer. Opening maps the files and reads the small index alone; a part is
compared with its checksum before it is first used.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .errors import InputError, MachineError
from .files import flush, write_json, write_text
from .packing import LAYOUT, Part

FORMAT = 3  # raise when the packing or the neighbour rule changes: older stores are then built anew
REPORT = "report.csv"
INDEX = "index.json"
COUNTS = ("crystals", "atoms", "edges")


@dataclass
class Store:
    """An open store.

    Attributes:
        folder: where it is.
        about: what was said of it when it was written.
        counts: [parts + 1] for `crystals`, `atoms` and `edges`: where each part begins.
        starts: [crystals + 1] for `atoms` and `edges`: where each crystal begins.
        sums: SHA-256 of each part.
        checked: [parts] which parts were found to be what was written.
    """

    folder: Path
    about: dict[str, Any]
    counts: dict[str, np.ndarray]
    sums: list[str]
    arrays: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    starts: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    damaged: bool = False
    checked: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.checked = np.zeros(len(self.sums), dtype=bool)

    def __len__(self) -> int:
        return int(self.counts["crystals"][-1])

    @property
    def bytes(self) -> int:
        """Size of all arrays."""
        return sum(int(self.counts[of][-1]) * np.dtype(kind).itemsize for of, kind in LAYOUT.values())

    def is_sound(self) -> bool:
        """Compare every part with its checksum."""
        return all(map(self._is_sound, range(len(self.sums))))

    def require(self, crystals: np.ndarray | None = None) -> None:
        """Compare the parts that hold some crystals with their checksums, each once.

        Args:
            crystals: [B] positions; None for all.

        Raises:
            InputError: a part is not what was written. The store is moved aside, so that it is built anew next time.
        """
        if self.checked.all():
            return
        numbers = np.arange(len(self.sums))
        if crystals is not None:
            numbers = np.unique(np.searchsorted(self.counts["crystals"], crystals, side="right") - 1)
        for part in numbers[~self.checked[numbers]]:
            if not self._is_sound(int(part)):
                if not self.damaged:  # the first time; later another store may be there
                    remove(self.folder)
                self.damaged = True
                raise InputError(
                    f"The graph cache {str(self.folder)!r} is damaged (the checksum of part {part} differs), and was "
                    "removed. Start again: the graphs are then built anew. If it happens again, check the disk."
                )

    def _is_sound(self, part: int) -> bool:
        if not self.checked[part]:
            slices = {of: slice(*self.counts[of][part : part + 2]) for of in COUNTS}
            found = checksum({name: self.arrays[name][slices[of]] for name, (of, _) in LAYOUT.items()})
            self.checked[part] = found == self.sums[part]
        return bool(self.checked[part])


def checksum(part: Part) -> str:
    """SHA-256 over the bytes of the arrays, in the order of `LAYOUT`."""
    digest = hashlib.sha256()
    for name in LAYOUT:
        digest.update(np.ascontiguousarray(part[name]).data)
    return digest.hexdigest()


def open_store(folder: Path, about: dict[str, Any]) -> Store | None:
    """The store in a folder; None if there is none, or it is of another version, of other data, or cut short.

    Args:
        folder: where it is.
        about: what must have been said of it when it was written.
    """
    try:
        index = json.loads((folder / INDEX).read_text())
        if index["format"] != FORMAT or index["about"] != about:
            return None
        counts = {of: np.cumsum([0, *index[of]], dtype=np.int64) for of in COUNTS}
        store = Store(folder, about, counts, [str(text) for text in index["sha256"]])
        return store if _fits(store) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _fits(store: Store) -> bool:
    """Map the files; false unless they have the sizes that the index says, and the crystals of each part its atoms."""
    for name, (of, kind) in LAYOUT.items():
        path, count = store.folder / name, int(store.counts[of][-1])
        if path.stat().st_size != count * np.dtype(kind).itemsize:
            return False
        # An empty file cannot be mapped.
        store.arrays[name] = np.asarray(np.memmap(path, kind, mode="c")) if count else np.empty(0, kind)
    if any(len(bounds) != len(store.sums) + 1 for bounds in store.counts.values()):
        return False
    # A crystal's place follows from the sizes of those before it, also of those in parts that are not looked at yet.
    for of in ("atoms", "edges"):
        store.starts[of] = np.concatenate([[0], np.cumsum(store.arrays[of], dtype=np.int64)])
        if (store.starts[of][store.counts["crystals"]] != store.counts[of]).any():
            return False
    return True


def write_store(folder: Path, parts: Iterable[Part], about: dict[str, Any], report: str = "") -> None:
    """Write a store part by part, and move it to its place when it is complete.

    Args:
        folder: its place; an older store there is replaced.
        parts: in order; each is written before the next one is asked for.
        about: plain values that `open_store` compares.
        report: a text to lie beside the data, for people.

    Raises:
        OSError: as the machine says; nothing is left behind.
    """
    building = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(building, ignore_errors=True)
    try:
        building.mkdir(parents=True)
        if report:
            write_text(building / REPORT, report)
        write_json(building / INDEX, {"format": FORMAT, "about": about, **_write_parts(building, parts)})
        remove(folder)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _write_parts(folder: Path, parts: Iterable[Part]) -> dict[str, list[Any]]:
    """Append each part to the files of its arrays; returns its counts and checksums."""
    files: dict[str, BinaryIO] = {}
    index: dict[str, list[Any]] = {key: [] for key in (*COUNTS, "sha256")}
    try:
        files = {name: (folder / name).open("wb") for name in LAYOUT}
        for part in parts:
            for name, file in files.items():
                file.write(np.ascontiguousarray(part[name]).data)
            for of, name in zip(COUNTS, ("atoms", "z", "neighbour"), strict=True):
                index[of].append(len(part[name]))
            index["sha256"].append(checksum(part))
        for file in files.values():
            flush(file)
    finally:
        for file in files.values():
            _close(file)
    return index


def _close(file: BinaryIO) -> None:
    """Close a file; on a full disk what its buffer still holds is lost, as the first error has already said."""
    try:
        file.close()
    except OSError:
        file.close()


def remove(folder: Path) -> None:
    """Take a store away at once for readers, then delete it; one that is mapped by others stays whole for them."""
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.old.part")
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return
    except OSError as error:
        raise MachineError(f"The graph cache {str(folder)!r} cannot be replaced ({error.strerror}).") from error
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only process that builds the store of that name; the others wait. The lock ends with its process.

    What dead processes left half written is removed. Where the system has no such locks several may build at the same
    time; the last one's store then stays, and all are right.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("ab") as file:
        if _locked(file):
            for left in folder.parent.glob(f".{folder.name}.*.part"):
                shutil.rmtree(left, ignore_errors=True)
        yield


def _locked(file: BinaryIO) -> bool:
    """Wait for the lock; False where there are no locks."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
    except (ImportError, OSError):
        return False
    return True
