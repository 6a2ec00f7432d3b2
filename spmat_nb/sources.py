"""From files, tables and objects to a table and cells; what was odd and what was refused is kept in an `Intake`."""

import itertools
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .errors import InputError, MachineError, RefusedError
from .reading.cells import Cell, check_cell
from .reading.policy import Note, Notes, refuse
from .structure_files import Reading, checked, find, others, read_files
from .tables import STRUCTURE_COLUMNS, read_by_id, unpack_structure_columns

REPORT_COLUMNS = ("source", "row", "reason", "cause")
PATH_COLUMNS = ("path", "file", "filename", "cif")
Gathered = tuple[pd.DataFrame, list[Cell]]


class Intake:
    """What could not be used, and what was used with a warning; one entry a structure and cause.

    Args:
        workers: processes that read files; None for as many as pay.
        show: report progress.
    """

    def __init__(self, workers: int | None = 1, show: bool = False) -> None:
        self.refused: list[tuple[str, object, str, str]] = []
        self.warned: list[tuple[str, object, str, str]] = []
        self.workers, self.show = workers, show

    def refuse(self, source: str, row: object, error: RefusedError) -> None:
        """Note that `row` of `source` was skipped."""
        self.refused.append((source, row, error.reason, error.cause))

    def warn(self, source: str, row: object, notes: Iterable[Note]) -> None:
        """Note what was odd about `row` of `source`."""
        self.warned.extend((source, row, note.reason, note.cause) for note in notes)

    def take(self, readings: Iterable[Reading]) -> Gathered:
        """The good ones among the readings as a table by id and cells."""
        good = []
        for reading in readings:
            self.warn(reading.source, reading.row, reading.notes if reading.error is None else ())
            if reading.error is None:
                good.append(reading)
            else:
                self.refuse(reading.source, reading.row, reading.error)
        index = pd.Index([reading.material_id for reading in good], name="material_id", dtype=str)
        table = pd.DataFrame([dict(reading.values) for reading in good], index=index)
        return table, [reading.cell for reading in good if reading.cell is not None]


def frame(entries: Sequence[tuple[str, object, str, str]]) -> pd.DataFrame:
    """Entries of an intake as a table with the columns source, row, reason and cause."""
    return pd.DataFrame(entries, columns=list(REPORT_COLUMNS))


def from_parquet(path: Path, intake: Intake, max_sites: int | None) -> Gathered:
    """Read the parquet schema of the teaching set; a bad row is reported by its number.

    Raises:
        InputError: no such file, no parquet, or a column is absent.
    """
    if not path.is_file():
        raise InputError(f"No file {str(path)!r}; a clone of the project has the teaching set in its data folder.")
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name} cannot be read as parquet ({error}). Is the download complete?") from error
    absent = [c for c in ("material_id", *STRUCTURE_COLUMNS) if c not in table]
    if absent:
        raise InputError(f"{path.name} lacks the column(s) {', '.join(absent)} of the schema in data/README.md.")
    cells, keep = [], np.zeros(len(table), dtype=bool)
    columns = [table[c] for c in ("material_id", *STRUCTURE_COLUMNS)]
    for row, (own, parameters, numbers, frac) in enumerate(zip(*columns, strict=True)):
        if max_sites and np.size(numbers) > max_sites:
            continue
        notes = Notes()
        try:
            if pd.isna(own):
                raise refuse("row-empty", "the id is empty")
            cells.append(check_cell(unpack_structure_columns(parameters, numbers, frac), notes))
            keep[row] = True
            intake.warn(path.name, row, notes.items)
        except RefusedError as error:
            intake.refuse(path.name, row, error)
    table = table.loc[keep].drop(columns=list(STRUCTURE_COLUMNS))
    return table.assign(material_id=table["material_id"].astype(str)).set_index("material_id"), cells


def from_folder(path: Path, intake: Intake) -> Gathered:
    """Read the structure files of a folder, or the one file that `path` is; links must not lead out of the folder.

    Raises:
        InputError: there are none.
    """
    folder = path if path.is_dir() else None
    left = others(path) if folder else []
    if left:
        notes = Notes()
        notes.meet("other-files", f"{len(left)} files of other kinds: {', '.join(left[:5])}")
        intake.warn(path.resolve().name, "", notes.items)
    return intake.take(_flat(read_files(find(path), folder, intake.workers, intake.show)))


def from_paths(paths: Iterable[str | Path], intake: Intake) -> Gathered:
    """Read a list of files and folders; one that is not there, or has no structures, is reported."""
    groups = itertools.groupby(map(Path, paths), lambda path: path if path.is_dir() else None)
    return intake.take(_flat(group for folder, some in groups for group in _group(folder, list(some), intake)))


def _group(folder: Path | None, paths: list[Path], intake: Intake) -> Iterable[list[Reading]]:
    """The readings of files that stand next to each other in a list, or of a folder among them."""
    try:
        listed = paths if folder is None else find(folder)
    except InputError as error:
        if isinstance(error, MachineError):
            raise
        name = paths[0].name
        return [[Reading(name, "", error=refuse("no-structure", "the folder has no structure files", name))]]
    return read_files(listed, folder, intake.workers, intake.show)


def _flat(groups: Iterable[list[Reading]]) -> Iterable[Reading]:
    return (reading for group in groups for reading in group)


def from_objects(objects: Iterable[Any], intake: Intake) -> Gathered:
    """Take pymatgen structures, ASE atoms and paths of files; the id is the position in the list."""
    readings = []
    for row, thing in enumerate(objects):
        if isinstance(thing, str | Path):
            found = next(iter(read_files([Path(thing)])))
            error = refuse("several-blocks", f"{len(found)} structures in one file") if len(found) > 1 else None
            first = found[0]
            readings.append(Reading("list", row, str(row), first.cell, {}, first.notes, error or first.error))
        else:
            readings.append(checked(partial(_same, thing), "list", row, str(row)))
    return intake.take(readings)


def _same(thing: Any) -> Any:
    return thing


def from_csv(path: Path, intake: Intake) -> Gathered:
    """Read a CSV with a column of paths, relative to its own folder, which they must not leave; the rest are columns.

    Raises:
        InputError: it is no CSV, or has no column of paths.
    """
    table = csv_table(path, intake)
    key = table.index.name
    table = table.reset_index()
    column = next((name for name in PATH_COLUMNS if name in table), None)
    if column is None:
        raise InputError(
            f"{path.name} has no column of paths ({', '.join(PATH_COLUMNS)}). A table of targets goes with the folder "
            "of its structures: load(folder, targets=...)."
        )
    lines = pd.Series(range(2, len(table) + 2))  # as an editor counts them, with the header
    empty = table[column].isna() | (table[column].astype(str).str.strip() == "")
    for line in lines[empty.to_numpy()]:
        intake.refuse(path.name, line, refuse("row-empty", "no path"))
    table, lines = table[~empty], lines[~empty.to_numpy()]
    paths = [path.parent / str(text).strip() for text in table[column]]
    rest: list[dict[Any, Any]] = table.drop(columns=column).to_dict("records")
    readings = []
    for line, values, group in zip(
        lines, rest, read_files(paths, path.parent, intake.workers, intake.show), strict=True
    ):
        own = None if key == column else values.pop(key)
        readings += [_in_line(path, line, own, values, reading, len(group)) for reading in group]
    return intake.take(readings)


def _in_line(path: Path, line: int, own: object, values: dict[str, Any], reading: Reading, count: int) -> Reading:
    """A reading with the id and the values of its line."""
    name = reading.material_id if own is None else str(own) if count == 1 else f"{own}-{reading.row}"
    error = reading.error
    if error is not None:
        error = type(error)(error.cause, f"{reading.source}: {error.detail}", error.remedy)
    return Reading(path.name, line, name, reading.cell, dict(reading.values) | values, reading.notes, error)


def csv_table(path: Path, intake: Intake) -> pd.DataFrame:
    """A CSV by id; what is odd about it is noted.

    Raises:
        InputError: no such file, or no CSV.
    """
    if not path.is_file():
        raise InputError(f"No file {str(path)!r} with targets.")
    notes = Notes()
    try:
        table = read_by_id(path, notes)
    except (ValueError, OSError) as error:
        raise InputError(f"{path.name} cannot be read as CSV: {error}") from error
    intake.warn(path.name, "", notes.items)
    return table


def join_targets(table: pd.DataFrame, path: Path, intake: Intake) -> pd.DataFrame:
    """Add the columns of a CSV by id; ids without a structure are reported, missing values stay missing.

    Raises:
        InputError: as for `csv_table`, an id has two different lines, or none has a structure.
    """
    columns = csv_table(path, intake)
    key = columns.index.name
    lines = columns.reset_index()
    for material_id in columns.index[lines.duplicated().to_numpy()]:
        notes = Notes()
        notes.meet("row-repeated", "the same line again")
        intake.warn(path.name, material_id, notes.items)
    columns = columns[~lines.duplicated().to_numpy()]
    if columns.index.has_duplicates:
        twice = columns.index[columns.index.duplicated()][0]
        raise InputError(f"{path.name}: the id {twice!r} appears more than once; keep one line for each structure.")
    if not columns.index.isin(table.index).any():
        raise InputError(f"{path.name}: no id matches a structure. Ids are file names without ending, in {key!r}.")
    for lost in columns.index.difference(table.index):
        intake.refuse(path.name, lost, refuse("no-match", "no usable structure has this id"))
    return table.drop(columns=table.columns.intersection(columns.columns)).join(columns)
