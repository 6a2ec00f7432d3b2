"""Crystals with everything known about them, wherever they come from.

`load` returns a `CrystalSet`: a table of targets and labels by material id, the structures in packed arrays,
and reports of what was refused and of what was odd. `docs/inputs.md` says what is taken and what is not.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from . import materials_project, textbook
from .errors import InputError, StrictError
from .reading.cells import Cell
from .reading.policy import Note, refuse
from .settings import teaching_set
from .sources import (
    Gathered,
    Intake,
    frame,
    from_csv,
    from_folder,
    from_objects,
    from_parquet,
    from_paths,
    join_targets,
)
from .table_checks import about_label, about_split, about_target, about_values
from .tables import split_by_formula
from .vocabulary import get_target

if TYPE_CHECKING:
    from pymatgen.core import Structure

SPLITS = ("pretrain", "train", "val", "test")
SHOWN = 20  # refusals that the text of an error lists
STEP, STEP_BEGINS = 1e-6, 0.3728194  # of numbers in a fingerprint


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
        report: what was refused: source, row, reason, and cause (a key of `policy.POLICY`).
        name: what figures call the set.
        warned: what was odd but accepted, in the same columns.
    """

    table: pd.DataFrame
    cells: tuple[Cell, ...]
    report: pd.DataFrame
    name: str
    warned: pd.DataFrame = field(default_factory=lambda: frame([]))

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
            kept = self.select(finite).with_target(key)
            return kept.noted("missing-left-out", f"{(~finite).sum()} of {len(self)} crystals have no {key!r}", key)
        known = replace(self, table=self.table.assign(**{key: values.where(finite)}))
        if finite.all():
            return known
        return known.noted("missing-masked", f"{(~finite).sum()} of {len(self)} crystals have no {key!r}", key)

    def check(self, *targets: str, label: str | None = None) -> pd.DataFrame:
        """What is odd about targets, a label and the split, before a training: source, row, reason, cause.

        Args:
            targets: columns; none for all known targets that the table has.
            label: key of a label, as in `labels.get_label`.

        Raises:
            InputError: the data lack one of them.
            SettingsError: unknown label.
        """
        found = about_target(self.table, self.name, targets) + about_split(self.table)
        return frame([*self._rows(found), *self._rows(about_label(self.table, label) if label else [])])

    def _rows(self, notes: Iterable[Note], row: object = "") -> list[tuple[str, object, str, str]]:
        return [(self.name, row, note.reason, note.cause) for note in notes]

    def noted(self, key: str, detail: str, row: object = "") -> "CrystalSet":
        """The same crystals with one more line in `warned`, under a key of the policy."""
        more = frame(self._rows([Note(key, detail)], row))
        return replace(self, warned=pd.concat([self.warned, more], ignore_index=True))

    def input_report(self) -> pd.DataFrame:
        """Every crystal, warning and refusal in one table: verdict, source, row, reason, cause."""
        accepted = pd.DataFrame({"source": self.name, "row": self.table.index})
        parts = {"accepted": accepted, "accepted with a warning": self.warned, "refused": self.report}
        return pd.concat([part.assign(verdict=verdict) for verdict, part in parts.items()], ignore_index=True)[
            ["verdict", "source", "row", "reason", "cause"]
        ].fillna("")

    def fingerprint(self) -> str:
        """SHA-256 over the ids and structures: equal sets have equal fingerprints, on any machine.

        Processors differ in the last bit of a cosine, hence of a lattice, so numbers are counted in steps.
        """
        digest = hashlib.sha256()
        for material_id, cell in zip(self.table.index, self.cells, strict=True):
            digest.update(f"{material_id}\0{len(cell.numbers)}\0".encode())
            for array in (_steps(cell.lattice), cell.numbers, _steps(cell.frac)):
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def _steps(values: np.ndarray) -> np.ndarray:
    """Whole steps of a millionth; a step ends where no decimal of a file does, so no last bit moves a value across."""
    return np.floor(values / STEP + STEP_BEGINS).astype(np.int64)


def load(
    source: "str | Path | Iterable[Any]",
    targets: str | Path | None = None,
    max_sites: int | None = None,
    seed: int = 0,
    name: str | None = None,
    strict: bool = False,
    workers: int | None = None,
    show: bool = True,
) -> CrystalSet:
    """Load crystals from wherever they are.

    Args:
        source: `"teaching"`, `"textbook"`, a parquet file in the schema of the teaching set, a CSV of paths and
            targets, a folder of structure files, one such file, or a list of pymatgen `Structure` or ASE `Atoms`
            objects, or of paths. Structure files are CIF, POSCAR, extended XYZ, pymatgen JSON, ASE databases and
            trajectories; several structures of one file have the ids `file-0`, `file-1`, ...
        targets: CSV of targets and labels by id for a folder or a list; a `targets.csv` in the folder is found.
        max_sites: leave out larger cells (they are not reported as refused).
        seed: for the split by formula when the data has no `split` column.
        name: what to call the set in figures and messages.
        strict: raise when anything is refused, after all has been read.
        workers: processes that read files; None for one a core from 2,000 files on.
        show: report progress where there are many files.

    Raises:
        InputError: nothing there, nothing usable, or a table that cannot be read.
        StrictError: something was refused, and `strict` is set.
    """
    intake = Intake(workers, show)
    (table, cells), default_name, found = _gather(source, intake, max_sites)
    targets = targets or found
    if targets is not None:
        table = join_targets(table, Path(targets), intake)
    crystals = _finish(table, cells, intake, max_sites, seed, name or default_name)
    if strict and len(crystals.report):
        raise StrictError(_all_refusals(crystals.report), crystals.report)
    return crystals


def by_position(things: Iterable[Any]) -> CrystalSet:
    """Crystals from a list of pymatgen `Structure`, ASE `Atoms` and paths, mixed as may be; ids are positions.

    Raises:
        InputError: none of them can be used.
    """
    intake = Intake()
    table, cells = from_objects(things, intake)
    return _finish(table, cells, intake, None, 0, "your crystals")


def from_materials_project(
    path: str | Path = "materials_project.parquet",
    query: Mapping[str, Any] | None = None,
    key: str | None = None,
    **options: Any,
) -> CrystalSet:
    """Crystals of the Materials Project, downloaded once with a key of your own and then read from the file.

    Args:
        path: parquet file in our schema; `materials_project.provenance_of` is its record.
        query: arguments of the client's `materials.summary.search`; by default all materials (the paper's query).
        key: by default that of `MP_API_KEY`.
        options: further ones of `materials_project.download`.

    Raises:
        SpmatError: as for `materials_project.download` and `load`.
    """
    return load(materials_project.download(path, query, key, **options))


def _gather(
    source: "str | Path | Iterable[Any]", intake: Intake, max_sites: int | None
) -> tuple[Gathered, str, Path | None]:
    """Table and cells, a name for the set, and a file of targets that was found beside it."""
    if not isinstance(source, str | Path):
        things = list(source)
        paths = all(isinstance(thing, str | Path) for thing in things)
        return (from_paths if paths else from_objects)(things, intake), "your crystals", None
    if source in SETS:
        return SETS[str(source)](intake, max_sites), f"{source} set", None
    path = _existing(source)
    if path.suffix == ".parquet":
        gathered = from_parquet(path, intake, max_sites)
    else:
        gathered = (from_csv if path.suffix == ".csv" else from_folder)(path, intake)
    beside = path / "targets.csv"
    return gathered, path.resolve().stem, beside if beside.is_file() else None


def _existing(source: str | Path) -> Path:
    """The path, if there is something."""
    if not Path(source).exists():
        raise InputError(
            f"No file or folder {str(source)!r}. Give a path that exists, or one of {', '.join(map(repr, SETS))}."
        )
    return Path(source)


def _finish(
    table: pd.DataFrame, cells: list[Cell], intake: Intake, max_sites: int | None, seed: int, name: str
) -> CrystalSet:
    """Drop repeated ids and large cells, add formulas and a split where there are none."""
    repeated = table.index.duplicated()
    for material_id in table.index[repeated]:
        intake.refuse(name, material_id, refuse("id-repeated", "an earlier entry has the same id"))
    sizes = np.array([len(cell.numbers) for cell in cells], dtype=np.int64)
    keep = ~repeated & (sizes <= max_sites if max_sites else True)
    if not keep.any():
        raise InputError(_nothing_usable(name, intake, max_sites if len(cells) else None))
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
    intake.warn(name, "", about_values(table))
    return CrystalSet(table, tuple(kept), frame(intake.refused), name, frame(intake.warned))


def _nothing_usable(name: str, intake: Intake, max_sites: int | None) -> str:
    reasons = "; ".join(f"{source} {row}: {reason}" for source, row, reason, _ in intake.refused[:3])
    limit = f" of at most {max_sites} sites" if max_sites else ""
    return f"No usable crystal{limit} in {name}. " + (f"Refused: {reasons}" if reasons else "")


def _all_refusals(report: pd.DataFrame) -> str:
    """The sentence of a strict refusal."""
    listed = [f"{line.source} {line.row}".strip() + f": {line.reason}" for line in report.head(SHOWN).itertuples()]
    more = [f"and {len(report) - SHOWN} more"] if len(report) > SHOWN else []
    return f"{len(report)} inputs are refused, and strict reading allows none. " + "; ".join([*listed, *more])


def _from_teaching(intake: Intake, max_sites: int | None) -> Gathered:
    return from_parquet(teaching_set(), intake, max_sites)


def _from_textbook(intake: Intake, max_sites: int | None) -> Gathered:
    return textbook.read()


Reader = Callable[[Intake, int | None], Gathered]
SETS: dict[str, Reader] = {"teaching": _from_teaching, "textbook": _from_textbook}
