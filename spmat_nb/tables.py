"""Structures and ids in tables: the columns of the parquet schema, CSV files by id, splits by formula."""

import unicodedata
from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .errors import RefusedError
from .reading.cells import Cell
from .reading.policy import Notes, refuse
from .reading.texts import read_text

if TYPE_CHECKING:
    from pymatgen.core import Structure

STRUCTURE_COLUMNS = ("lattice_abc_angles", "atomic_numbers", "frac_coords_e5")
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}  # the first of them in a header is meant
FRACTION = 1e5  # fractional coordinates are stored as integers in units of 1e-5


def unpack_structure_columns(parameters: Any, numbers: Any, frac: Any) -> Cell:
    """One row of the structure columns as arrays.

    Raises:
        RefusedError: a column is empty, of the wrong length or not finite.
    """
    if any(value is None for value in (parameters, numbers, frac)):
        raise refuse("row-empty", "a structure column is empty")
    if np.size(parameters) != 6 or np.size(frac) != 3 * np.size(numbers):
        text = f"{np.size(parameters)} cell parameters and {np.size(frac)} coordinates for {np.size(numbers)} atoms"
        raise refuse("row-empty", text)
    try:
        lengths, wholes, fractions = _as_arrays(parameters, numbers, frac)
    except (ValueError, TypeError) as error:
        raise refuse("not-finite", f"a structure column does not hold numbers ({error})") from error
    return Cell(lengths, wholes, fractions.reshape(-1, 3) / FRACTION)


def _as_arrays(parameters: Any, numbers: Any, frac: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lattice vectors in rows (A), atomic numbers and packed coordinates."""
    from pymatgen.core import Lattice

    values = np.asarray(parameters, dtype=np.float64)
    if not np.isfinite(values).all():
        raise refuse("not-finite", "the cell parameters are not all finite")
    with np.errstate(invalid="ignore", divide="ignore"):  # an impossible angle becomes NaN, which is refused
        lattice = Lattice.from_parameters(*map(float, values)).matrix
    return lattice, np.asarray(numbers, dtype=np.int64), np.asarray(frac, np.float64)


def pack_structure_columns(structures: "Iterable[Structure]") -> dict[str, list]:
    """The three structure columns of the parquet schema for pymatgen structures."""
    columns: dict[str, list] = {name: [] for name in STRUCTURE_COLUMNS}
    for structure in structures:
        fractions = np.rint((structure.frac_coords % 1.0) * FRACTION).astype(np.int32)
        columns["lattice_abc_angles"].append(np.array(structure.lattice.parameters, dtype=np.float32))
        columns["atomic_numbers"].append(np.array(structure.atomic_numbers, dtype=np.uint8))
        columns["frac_coords_e5"].append(fractions.ravel())
    return columns


def read_by_id(path: Path, notes: Notes | None = None) -> pd.DataFrame:
    """A CSV by `material_id`, or by its first column; ids stay as they are written: 0012, NA and 1e5 are text.

    Args:
        path: the file, in any encoding; with commas, semicolons (then 1,5 is one and a half) or tabs.
        notes: takes what is odd but accepted.

    Raises:
        FileError: it is no text.
        ValueError: it is no table.
    """
    notes = Notes() if notes is None else notes
    try:
        text = read_text(path, notes)
    except RefusedError as error:
        raise ValueError(error.reason) from error
    header = text.partition("\n")[0]
    separator = next((mark for mark in SEPARATORS if mark in header), ",")
    if separator != ",":
        notes.meet("separator", f"columns are separated by {SEPARATORS[separator]}")
    options: dict[str, Any] = {"sep": separator, "decimal": "," if separator == ";" else "."}
    table = pd.read_csv(StringIO(text), **options).rename(columns=str.strip)
    key = "material_id" if "material_id" in table else table.columns[0]
    ids = pd.read_csv(StringIO(text), **options, dtype=str, keep_default_na=False).rename(columns=str.strip)[key]
    ids = ids.map(lambda own: unicodedata.normalize("NFC", own))
    return table.drop(columns=key).set_index(pd.Index(ids, name=key, dtype=str))


def split_by_formula(formulas: pd.Series, seed: int, shares: tuple[float, float, float] = (0.6, 0.2, 0.2)) -> pd.Series:
    """Train / val / test such that no formula is in two of them.

    Args:
        formulas: one reduced formula a crystal.
        seed: of the shuffle of the formulas.
        shares: of the crystals, reached as nearly as whole formulas allow.
    """
    counts = formulas.value_counts().sort_index()
    counts = counts.iloc[np.random.default_rng(seed).permutation(len(counts))]
    middle = (counts.cumsum() - counts / 2) / counts.sum()
    part = np.select([middle < shares[0], middle < shares[0] + shares[1]], ["train", "val"], default="test")
    return formulas.map(pd.Series(part, index=counts.index)).rename("split")
