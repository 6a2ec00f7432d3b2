"""The 92 binary features of an element, after CGCNN (Xie and Grossman, PRL 120, 145301, 2018), from pymatgen's data.

Group (18; in the f rows the column of the wide table), period (7) and an f-block flag (1), electronegativity, covalent
radius, valence electrons, first ionisation energy (log), electron affinity (10, 10, 12, 10, 10 bins), block (4), molar
volume (log, 10 bins).
The ranges of the bins are those of the elements themselves; a value that is not known leaves its bins empty.
"""

import math
import warnings
from functools import cache

import numpy as np
import torch
from pymatgen.core import Element

ELEMENTS = 100
FEATURES = 92
BLOCKS = ("s", "p", "d", "f")
F_BLOCK_ROWS = (range(57, 71), range(89, 103))


def _bins(values: list[float], count: int) -> np.ndarray:
    """One-hot rows over `count` equal bins between the least and the largest known value, shape [100, count]."""
    known = np.array(values, dtype=np.float64)
    low, high = np.nanmin(known), np.nanmax(known)
    rows = np.zeros((len(values), count))
    index = np.clip(((known - low) / (high - low) * count), 0, count - 1)
    good = ~np.isnan(known)
    rows[np.flatnonzero(good), index[good].astype(int)] = 1
    return rows


def _one_hot(values: list[int], count: int) -> np.ndarray:
    rows = np.zeros((len(values), count))
    rows[np.arange(len(values)), values] = 1
    return rows


def _place(z: int) -> tuple[int, str]:
    """Group and block; in the f rows the column of the wide table, so that no two elements share a place."""
    element = Element.from_Z(z)
    if z == 2:
        return 18, "s"  # pymatgen says p
    row = next((row for row in F_BLOCK_ROWS if z in row), None)
    return (3 + row.index(z), "f") if row else (element.group, element.block)


def _valence(group: int, block: str) -> int:
    """Valence electrons from the place in the table: the group, less the ten d electrons for the p block."""
    return {"p": group - 10, "f": 3}.get(block, 2 if group == 18 else group)


@cache
def element_table() -> torch.Tensor:
    """Features of the elements 1 to 100, shape [101, 92], float32; row 0 is empty."""
    from pymatgen.analysis.local_env import CovalentRadius

    elements = [Element.from_Z(z) for z in range(1, ELEMENTS + 1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # missing values are expected and become empty bins
        electronegativity = [e.X for e in elements]
        radius = [CovalentRadius.radius.get(e.symbol, math.nan) for e in elements]
        ionisation = [math.log(e.ionization_energy) if e.ionization_energy else math.nan for e in elements]
        affinity = [math.nan if e.electron_affinity is None else e.electron_affinity for e in elements]
        volume = [math.log(e.molar_volume) if e.molar_volume else math.nan for e in elements]
    numbers = range(1, ELEMENTS + 1)
    in_f_rows = [[any(z in row for row in F_BLOCK_ROWS)] for z in numbers]
    places = [_place(z) for z in numbers]
    columns = [
        _one_hot([group - 1 for group, _ in places], 18),
        _one_hot([e.row - 1 for e in elements], 7),
        np.array(in_f_rows, dtype=float),
        _bins(electronegativity, 10),
        _bins(radius, 10),
        _one_hot([_valence(*place) - 1 for place in places], 12),
        _bins(ionisation, 10),
        _bins(affinity, 10),
        _one_hot([BLOCKS.index(block) for _, block in places], 4),
        _bins(volume, 10),
    ]
    table = np.concatenate([np.zeros((1, FEATURES)), np.concatenate(columns, axis=1)])
    return torch.from_numpy(table.astype(np.float32))
