"""Structure files, one or thousands: found, read and checked; each with what was odd or why it was refused."""

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import InputError, RefusedError
from .progress import Progress
from .reading.cells import PERIODIC, Cell, check_cell, from_object
from .reading.formats import ENDINGS, POSCAR_NAMES, base_name, format_by_name, structures_in
from .reading.policy import Note, Notes, fault, refuse
from .reading.readers import parsed
from .reading.texts import COMPRESSED, inside

__all__ = ["PERIODIC", "Cell", "Reading", "check_cell", "find", "from_object", "read", "read_file", "read_files"]

CHUNK = 32  # files that a process reads between two reports
MANY = 500  # files that take some seconds: a bar is shown
PAY = 2000  # files from which on several processes gain more than their start costs
MOST_WORKERS = 8
KINDS = f"{', '.join(ENDINGS)}, all but .db and .traj also with {', '.join(COMPRESSED)}"


@dataclass(frozen=True)
class Reading:
    """What became of one structure.

    Attributes:
        source: file name, or `list`.
        row: which one of the source; nothing where it has but one.
        material_id: its id.
        cell: the crystal, or None if it was refused.
        values: further columns of the table.
        notes: what was odd.
        error: why it was refused, or None.
    """

    source: str
    row: object
    material_id: str = ""
    cell: Cell | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[Note] = ()
    error: RefusedError | None = None


def find(path: Path) -> list[Path]:
    """The structure files at `path`: itself if it is a file, else those directly in the folder, sorted.

    Raises:
        InputError: a file of an unknown kind, or a folder without structure files.
    """
    known = f"{KINDS}, or a name that begins with {' or '.join(POSCAR_NAMES)}"
    if not path.is_dir():
        if format_by_name(path) is None:
            raise InputError(f"{path.name} is not a structure file this loader knows ({known}) nor .parquet nor .csv.")
        return [path]
    found = [p for p in _files(path) if format_by_name(p) is not None]
    if not found:
        deeper = next((p for p in path.glob("*/*") if p.is_file() and format_by_name(p) is not None), None)
        hint = " Its subfolders have some: give their paths as a list." if deeper else ""
        raise InputError(f"The folder {str(path)!r} has no structure files ({known}).{hint}")
    return found


def others(folder: Path) -> list[str]:
    """Names of the files in a folder that `find` leaves out, without hidden ones and CSV tables."""
    names = [shown(p) for p in _files(folder) if format_by_name(p) is None and p.suffix != ".csv"]
    return [name for name in names if not name.startswith(".")]


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if not p.is_dir())
    except OSError as error:
        raise fault(folder.name, error) from error


def read(path: Path) -> Cell:
    """Read a file with one structure.

    Raises:
        InputError: it cannot be read, has no structure or several, or one that cannot be used.
    """
    readings = read_file(Path(path))
    if len(readings) > 1:
        raise InputError(f"{Path(path).name}: {len(readings)} structures in one file; load them with crystals.load")
    cell, error = readings[0].cell, readings[0].error
    if error is not None or cell is None:
        raise error or InputError(f"{Path(path).name}: no structure")
    return cell


def read_file(path: Path, folder: Path | None = None) -> list[Reading]:
    """All structures of one file, good or refused.

    Args:
        path: the file.
        folder: the folder that it must lie in, links followed.

    Raises:
        MachineError: it cannot be opened.
    """
    readings: list[Reading] = []
    notes = Notes()
    try:
        own = id_of(path)
        if folder is not None:
            inside(path, folder)
        for found in structures_in(path, notes):
            name = found.name if found.is_id or not found.name else f"{own}-{found.name}"
            readings.append(checked(found.build, path.name, found.name, name or own, notes.items, found.values))
    except RefusedError as error:
        readings.append(Reading(shown(path), "", error=error.of(shown(path))))
    if not readings:
        readings.append(Reading(path.name, "", error=refuse("no-structure", "no structure in it", path.name)))
    return readings


def checked(
    build: Callable[[], Any], source: str, row: object, own: str, before: Sequence[Note] = (), values: Any = None
) -> Reading:
    """Convert and check one structure.

    Args:
        build: gives the object of pymatgen or ASE, or refuses.
        source: file name, or `list`.
        row: which one of it.
        own: its id.
        before: what was odd about its file.
        values: further columns of the table.
    """
    notes = Notes()
    notes.items.extend(before)
    try:
        cell = check_cell(from_object(parsed(build), notes), notes)
    except RefusedError as error:
        place = f"{source} {row}".strip()
        return Reading(source, row, own, notes=notes.items, error=error.of(place))
    return Reading(source, row, own, cell, values or {}, notes.items)


def id_of(path: Path) -> str:
    """The id of a file: its name without its ending, in Unicode's form NFC, as tables have it.

    Raises:
        FileError: the name is no text that a table can hold.
    """
    name = base_name(path)
    name = Path(name).stem if Path(name).suffix.lower() in ENDINGS else name
    if not name.isprintable():  # surrogates, which stand for undecodable bytes, are not printable either
        raise refuse("bad-name", "the name has characters that no table can hold")
    return unicodedata.normalize("NFC", name)


def shown(path: Path) -> str:
    """The name of a file as it can be printed anywhere."""
    return path.name.encode("utf-8", "backslashreplace").decode()


def read_files(
    paths: Sequence[Path], folder: Path | None = None, workers: int | None = None, show: bool = True
) -> Iterator[list[Reading]]:
    """The structures of each of many files, in their order.

    Args:
        paths: the files.
        folder: the folder that they must lie in.
        workers: processes; None for one a core (at most 8) from 2,000 files on.
        show: report progress where there are many files.

    Raises:
        MachineError: a file cannot be opened.
    """
    if workers is None:
        workers = min(os.cpu_count() or 1, MOST_WORKERS) if len(paths) >= PAY else 1
    with Progress("read", len(paths), show and len(paths) >= MANY, unit="file", pause=5.0) as bar:
        for readings in _side_by_side(paths, folder, workers):
            yield readings
            bar.report()


def _side_by_side(paths: Sequence[Path], folder: Path | None, workers: int) -> Iterator[list[Reading]]:
    """The readings of each file, in order, from one process or several."""
    if workers == 1:
        yield from (read_file(path, folder) for path in paths)
        return
    from joblib import Parallel, delayed

    chunks = (paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK))
    jobs = (delayed(_read_chunk)(chunk, folder) for chunk in chunks)
    for chunk in Parallel(n_jobs=workers, return_as="generator")(jobs):
        yield from chunk


def _read_chunk(paths: Iterable[Path], folder: Path | None) -> list[list[Reading]]:
    return [read_file(path, folder) for path in paths]
