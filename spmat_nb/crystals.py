"""Where crystals come from: teaching set, textbook set, a parquet file, a folder of structure files, or Python objects.

`load` returns a `CrystalSet`: a table of targets and labels by material id, the structures in packed arrays,
and a report of everything that was refused and why.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from . import structure_files, textbook
from .errors import InputError
from .settings import teaching_set
from .structure_files import Cell, check_cell, from_object
from .tables import STRUCTURE_COLUMNS, read_by_id, split_by_formula, unpack_structure_columns
from .vocabulary import get_target

if TYPE_CHECKING:
    from pymatgen.core import Structure

SPLITS = ("pretrain", "train", "val", "test")
REPORT_COLUMNS = ("source", "row", "reason")


@dataclass
class Rejections:
    """What could not be used, one entry a structure."""

    entries: list[tuple[str, object, str]] = field(default_factory=list)

    def add(self, source: str, row: object, reason: str) -> None:
        """Note that `row` of `source` was skipped."""
        self.entries.append((source, row, reason))

    def frame(self) -> pd.DataFrame:
        """The report as a table with the columns source, row and reason."""
        return pd.DataFrame(self.entries, columns=list(REPORT_COLUMNS))


class StructureView(Sequence):
    """The structures of a `CrystalSet` as pymatgen objects, made when asked for."""

    def __init__(self, crystals: "CrystalSet") -> None:
        self._crystals = crystals

    def __len__(self) -> int:
        return len(self._crystals)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self._crystals.cell(range(len(self))[index]).structure()

    def __iter__(self) -> "Iterator[Structure]":
        return (self[i] for i in range(len(self)))


@dataclass(frozen=True)
class CrystalSet:
    """Crystals with everything known about them.

    Attributes:
        table: one row a crystal, indexed by `material_id` (text); targets, label columns, `formula`, `split`.
        cells: lattice (rows are vectors, A), atomic numbers and fractional coordinates, in the table's order.
        report: what was refused: source, row, reason.
        name: what figures call the set.
    """

    table: pd.DataFrame
    cells: tuple[Cell, ...]
    report: pd.DataFrame
    name: str

    def __len__(self) -> int:
        return len(self.cells)

    def __repr__(self) -> str:
        return f"CrystalSet({self.name!r}, {len(self)} crystals, {len(self.report)} refused)"

    def cell(self, index: int) -> Cell:
        """The raw arrays of one crystal."""
        return self.cells[index]

    @property
    def structures(self) -> StructureView:
        """All structures, as pymatgen objects made on demand."""
        return StructureView(self)

    def structure(self, material_id: str) -> "Structure":
        """The pymatgen structure of that id.

        Raises:
            InputError: no such id.
        """
        if material_id not in self.table.index:
            raise InputError(f"No crystal {material_id!r} in {self.name}.")
        return self.structures[list(self.table.index).index(material_id)]

    def frame(self) -> pd.DataFrame:
        """The table with one more column, `structure`, of pymatgen objects."""
        return self.table.assign(structure=list(self.structures))

    def select(self, rows: "np.ndarray | pd.Series") -> "CrystalSet":
        """The crystals where `rows` is true, or at those positions."""
        positions = np.arange(len(self))[np.asarray(rows)]
        return replace(self, table=self.table.iloc[positions], cells=tuple(self.cells[i] for i in positions))

    def of_split(self, *names: str) -> "CrystalSet":
        """The crystals of the named splits."""
        return self.select(self.table["split"].isin(names))

    def sample(self, count: int | None, seed: int) -> "CrystalSet":
        """At most `count` crystals drawn with `seed`, in their old order; all of them for None."""
        if count is None or count >= len(self):
            return self
        return self.select(np.sort(np.random.default_rng(seed).permutation(len(self))[:count]))

    def with_target(self, key: str, missing: str = "refuse") -> "CrystalSet":
        """The crystals with finite values of a target.

        Args:
            key: of `TARGETS`, or any numeric column.
            missing: what becomes of crystals without one: `refuse` raises, `drop` leaves them out, `keep` makes what is
                no finite number NaN.

        Raises:
            SettingsError: unknown target.
            InputError: the column is absent, or values are missing and `missing` is `refuse`.
        """
        get_target(key, self.table)
        if key not in self.table:
            raise InputError(f"{self.name} has no column {key!r}. Columns: {', '.join(self.table.columns)}.")
        values = pd.to_numeric(self.table[key], errors="coerce")
        finite = np.isfinite(values.to_numpy(np.float64, na_value=np.nan))
        if not finite.all() and missing == "refuse":
            first = self.table.index[~finite][0]
            raise InputError(
                f"{self.name}: {int((~finite).sum())} of {len(self)} crystals have no number in {key!r}, first "
                f"{first!r}. Correct the data, leave them out (with_target({key!r}, 'drop'), --drop-missing), or mask "
                "them in the loss (FinetuneSettings(missing='mask'), --mask-missing)."
            )
        if missing == "drop" and not finite.all():
            return self.select(finite).with_target(key)
        return replace(self, table=self.table.assign(**{key: values.where(finite)}))

    def fingerprint(self) -> str:
        """SHA-256 over the ids and structures: equal sets have equal fingerprints."""
        digest = hashlib.sha256()
        for material_id, cell in zip(self.table.index, self.cells, strict=True):
            digest.update(f"{material_id}\0{len(cell.numbers)}\0".encode())
            for array in (cell.lattice, cell.numbers, cell.frac):
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def load(
    source: "str | Path | Iterable[Any]",
    targets: str | Path | None = None,
    max_sites: int | None = None,
    seed: int = 0,
    name: str | None = None,
) -> CrystalSet:
    """Load crystals from wherever they are.

    Args:
        source: `"teaching"`, `"textbook"`, a parquet file in the schema of the teaching set, a folder of CIF and POSCAR
            files, one such file, or a list of pymatgen `Structure` or ASE `Atoms` objects, or of such paths.
        targets: CSV of targets and labels by id for a folder or a list; a `targets.csv` in the folder is found.
        max_sites: leave out larger cells (they are not reported as refused).
        seed: for the split by formula when the data has no `split` column.
        name: what to call the set in figures and messages.

    Raises:
        InputError: nothing there, nothing usable, or a table that cannot be read.
    """
    rejections = Rejections()
    if not isinstance(source, str | Path):
        things = list(source)
        if all(isinstance(thing, str | Path) for thing in things):
            paths = [path for thing in things for path in structure_files.find(_existing(thing))]
            table, cells = _from_files(paths, rejections)
        else:
            table, cells = _from_objects(things, rejections)
        default_name = "your crystals"
    elif source in SETS:
        table, cells = SETS[str(source)](rejections, max_sites)
        default_name = f"{source} set"
    else:
        path = _existing(source)
        if path.suffix == ".parquet":
            table, cells = _from_parquet(path, rejections, max_sites)
        else:
            table, cells = _from_files(structure_files.find(path), rejections)
            targets = targets or (path / "targets.csv" if (path / "targets.csv").is_file() else None)
        default_name = path.resolve().stem
    if targets is not None:
        table = _join_targets(table, Path(targets), rejections)
    return _finish(table, cells, rejections, max_sites, seed, name or default_name)


def by_position(things: Iterable[Any]) -> CrystalSet:
    """Crystals from a list of pymatgen `Structure`, ASE `Atoms` and paths, mixed as may be; ids are positions.

    Raises:
        InputError: none of them can be used.
    """
    rejections = Rejections()
    table, cells = _from_objects(things, rejections)
    return _finish(table, cells, rejections, None, 0, "your crystals")


def _existing(source: str | Path) -> Path:
    """The path, if there is something."""
    if not Path(source).exists():
        raise InputError(
            f"No file or folder {str(source)!r}. Give a path that exists, or one of {', '.join(map(repr, SETS))}."
        )
    return Path(source)


def _finish(
    table: pd.DataFrame, cells: list[Cell], rejections: Rejections, max_sites: int | None, seed: int, name: str
) -> CrystalSet:
    """Drop repeated ids and large cells, add formulas and a split where there are none."""
    repeated = table.index.duplicated()
    for material_id in table.index[repeated]:
        rejections.add(name, material_id, "an earlier entry has the same id")
    sizes = np.array([len(cell.numbers) for cell in cells], dtype=np.int64)
    keep = ~repeated & (sizes <= max_sites if max_sites else True)
    if not keep.any():
        raise InputError(_nothing_usable(name, rejections, max_sites if len(cells) else None))
    kept = [cell for cell, good in zip(cells, keep, strict=True) if good]
    table = table[keep].assign(nsites=sizes[keep])
    if "formula" not in table or table["formula"].isna().any():
        formulas = pd.Series([cell.formula() for cell in kept], index=table.index)
        table = table.assign(formula=table["formula"].fillna(formulas) if "formula" in table else formulas)
    if "split" not in table:
        table = table.assign(split=split_by_formula(table["formula"], seed=seed))
    elif not table["split"].isin(SPLITS).all():
        odd = table["split"][~table["split"].isin(SPLITS)]
        raise InputError(f"{name}: {odd.index[0]!r} has split {odd.iloc[0]!r}; known: {', '.join(SPLITS)}.")
    return CrystalSet(table, tuple(kept), rejections.frame(), name)


def _nothing_usable(name: str, rejections: Rejections, max_sites: int | None) -> str:
    reasons = "; ".join(f"{source} {row}: {reason}" for source, row, reason in rejections.entries[:3])
    limit = f" of at most {max_sites} sites" if max_sites else ""
    return f"No usable crystal{limit} in {name}. " + (f"Refused: {reasons}" if reasons else "")


def _from_parquet(path: Path, rejections: Rejections, max_sites: int | None) -> tuple[pd.DataFrame, list[Cell]]:
    """Read the parquet schema of the teaching set; a bad row is reported by its number."""
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
    columns = [table[c] for c in STRUCTURE_COLUMNS]
    for row, (parameters, numbers, frac) in enumerate(zip(*columns, strict=True)):
        if max_sites and numbers is not None and len(numbers) > max_sites:
            continue
        try:
            cells.append(check_cell(unpack_structure_columns(parameters, numbers, frac)))
            keep[row] = True
        except InputError as error:
            rejections.add(path.name, row, str(error))
    table = table.loc[keep].drop(columns=list(STRUCTURE_COLUMNS))
    return table.assign(material_id=table["material_id"].astype(str)).set_index("material_id"), cells


def _from_files(paths: list[Path], rejections: Rejections) -> tuple[pd.DataFrame, list[Cell]]:
    """Read structure files; the id is the file's name without its ending."""
    ids, cells = [], []
    for path in paths:
        try:
            cells.append(check_cell(structure_files.read(path)))
            ids.append(path.stem if path.suffix.lower() in structure_files.SUFFIXES else path.name)
        except InputError as error:
            rejections.add(path.name, "", str(error))
    return pd.DataFrame(index=pd.Index(ids, name="material_id", dtype=str)), cells


def _from_objects(objects: Iterable[Any], rejections: Rejections) -> tuple[pd.DataFrame, list[Cell]]:
    """Take pymatgen structures, ASE atoms and paths of files; the id is the position in the list."""
    ids, cells = [], []
    for row, thing in enumerate(objects):
        try:
            is_path = isinstance(thing, str | Path)
            cells.append(check_cell(structure_files.read(_existing(thing)) if is_path else from_object(thing)))
            ids.append(str(row))
        except InputError as error:
            rejections.add("list", row, str(error))
    return pd.DataFrame(index=pd.Index(ids, name="material_id", dtype=str)), cells


def _join_targets(table: pd.DataFrame, path: Path, rejections: Rejections) -> pd.DataFrame:
    """Add the columns of a CSV by id; ids without a structure are reported, missing values stay missing."""
    if not path.is_file():
        raise InputError(f"No file {str(path)!r} with targets.")
    try:
        columns = read_by_id(path)
    except (ValueError, OSError) as error:
        raise InputError(f"{path.name} cannot be read as CSV: {error}") from error
    key = columns.index.name
    if columns.index.has_duplicates:
        twice = columns.index[columns.index.duplicated()][0]
        raise InputError(f"{path.name}: the id {twice!r} appears more than once; keep one line for each structure.")
    if not columns.index.isin(table.index).any():
        raise InputError(f"{path.name}: no id matches a structure. Ids are file names without ending, in {key!r}.")
    for lost in columns.index.difference(table.index):
        rejections.add(path.name, lost, "no usable structure has this id")
    return table.join(columns)


def _from_teaching(rejections: Rejections, max_sites: int | None) -> tuple[pd.DataFrame, list[Cell]]:
    return _from_parquet(teaching_set(), rejections, max_sites)


def _from_textbook(rejections: Rejections, max_sites: int | None) -> tuple[pd.DataFrame, list[Cell]]:
    return textbook.read()


Reader = Callable[[Rejections, int | None], tuple[pd.DataFrame, list[Cell]]]
SETS: dict[str, Reader] = {"teaching": _from_teaching, "textbook": _from_textbook}
