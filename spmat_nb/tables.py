"""Structures and ids in tables: the columns of the parquet schema, CSV files by id, splits by formula."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .errors import InputError
from .structure_files import Cell

if TYPE_CHECKING:
    from pymatgen.core import Structure

STRUCTURE_COLUMNS = ("lattice_abc_angles", "atomic_numbers", "frac_coords_e5")
FRACTION = 1e5  # fractional coordinates are stored as integers in units of 1e-5


def unpack_structure_columns(parameters: Any, numbers: Any, frac: Any) -> Cell:
    """One row of the structure columns as arrays."""
    from pymatgen.core import Lattice

    if parameters is None or numbers is None or frac is None:
        raise InputError("a structure column is empty")
    if len(parameters) != 6 or len(frac) != 3 * len(numbers):
        raise InputError(f"{len(parameters)} cell parameters and {len(frac)} coordinates for {len(numbers)} atoms")
    if not np.isfinite(np.asarray(parameters, dtype=np.float64)).all():
        raise InputError("the cell parameters are not all finite")
    with np.errstate(invalid="ignore", divide="ignore"):  # an impossible angle becomes NaN, which is refused
        lattice = Lattice.from_parameters(*map(float, parameters)).matrix
    return Cell(lattice, np.asarray(numbers, dtype=np.int64), np.asarray(frac, np.float64).reshape(-1, 3) / FRACTION)


def pack_structure_columns(structures: "Iterable[Structure]") -> dict[str, list]:
    """The three structure columns of the parquet schema for pymatgen structures."""
    columns: dict[str, list] = {name: [] for name in STRUCTURE_COLUMNS}
    for structure in structures:
        fractions = np.rint((structure.frac_coords % 1.0) * FRACTION).astype(np.int32)
        columns["lattice_abc_angles"].append(np.array(structure.lattice.parameters, dtype=np.float32))
        columns["atomic_numbers"].append(np.array(structure.atomic_numbers, dtype=np.uint8))
        columns["frac_coords_e5"].append(fractions.ravel())
    return columns


def read_by_id(path: Path) -> pd.DataFrame:
    """A CSV by `material_id`, or by its first column; ids stay as they are written: 0012, NA and 1e5 are text."""
    table = pd.read_csv(path)
    key = "material_id" if "material_id" in table else table.columns[0]
    ids = pd.read_csv(path, usecols=[key], dtype=str, keep_default_na=False)[key]
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
