"""What an explorer is made of: the sample of points, the map and embeddings of each run, the words of a card."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from .crystals import CrystalSet
from .diagnostics import standardise
from .embed import map_2d
from .errors import InputError
from .explorer_colours import Colour
from .reading.cells import symmetry_of
from .structure_files import Cell


@dataclass
class Run:
    """One embedding to look at: its map, and all embeddings with standardised columns."""

    coordinates: pd.DataFrame
    axes: str
    standardised: np.ndarray = field(repr=False)


def sample_rows(crystals: CrystalSet, colour: Colour, limit: int, seed: int) -> tuple[np.ndarray, str]:
    """Rows of at most `limit` crystals, each class in proportion and with one at least; and a sentence about it."""
    count = len(crystals)
    if count <= limit:
        return np.arange(count), ""
    classes = np.asarray(colour.names) if colour.classes else np.zeros(count)
    shuffled = np.random.default_rng(seed).permutation(count)
    # Rank within its class over the size of the class: the least of these are an even share of each class.
    place = pd.Series(classes[shuffled]).groupby(classes[shuffled]).rank(method="first").to_numpy() - 1
    size = pd.Series(classes[shuffled]).map(pd.Series(classes).value_counts()).to_numpy()
    chosen = np.sort(shuffled[np.argsort(place / size, kind="stable")[:limit]])
    even = f", in proportion to {colour.title.lower()}" if colour.classes else ""
    return chosen, f"{limit:,} of {count:,} crystals are on the map, drawn at random (seed {seed}){even}."


def check_runs(crystals: CrystalSet, embeddings: Mapping[str, pd.DataFrame]) -> None:
    """Raise when there is nothing to explore, or a run lacks crystals."""
    if len(crystals) < 2 or not embeddings:
        raise InputError("An explorer needs at least two crystals and one table of embeddings.")
    for name, table in embeddings.items():
        lacking = crystals.table.index.difference(table.index)
        if len(lacking):
            raise InputError(
                f"The run {name!r} has no embedding of {len(lacking)} crystals, first {lacking[0]!r}: embed the same "
                "crystals with every model."
            )


def make_run(
    embeddings: pd.DataFrame, rows: np.ndarray, coordinates: pd.DataFrame | None, method: str, seed: int
) -> Run:
    """A run with the map of its points: the one given, or a new one."""
    values, axes = standardise(embeddings.to_numpy(np.float64)), "map"
    points = embeddings.iloc[rows]
    if coordinates is None:
        coordinates, axes = map_2d(points, method, seed), method.upper()
    lacking = points.index.difference(coordinates.index)
    if len(lacking):
        raise InputError(f"The coordinates lack {len(lacking)} crystals of the map, first {lacking[0]!r}.")
    return Run(coordinates.loc[points.index, ["x", "y"]], axes, values)


def symbols_of(cell: Cell) -> list[str]:
    """Elements of a crystal."""
    from pymatgen.core import Element

    return [Element.from_Z(int(number)).symbol for number in np.unique(cell.numbers)]


def symmetry_row(row: pd.Series, cell: Cell, determine: bool) -> list[tuple[str, str]]:
    """Space group, from the data or from the structure."""
    if "spacegroup_number" in row and is_said(row["spacegroup_number"]):
        number = int(row["spacegroup_number"])
        return [("Space group", f"{short_symbol(number)} ({number})")]
    if not determine:
        return []
    found = symmetry_of(cell.structure())
    return [("Space group", f"{found.get_space_group_symbol()} ({found.get_space_group_number()})")]


def short_symbol(number: int) -> str:
    """Of a space group, as tables have it: P2_1/c, where pymatgen says P12_1/c1."""
    from pymatgen.symmetry.groups import sg_symbol_from_int_number

    return re.sub("^([PC])1(.+)1$", r"\1\2", sg_symbol_from_int_number(number))


def is_said(value: Any) -> bool:
    """Whether a value of the table says something."""
    return not (pd.isna(value) or value == "")
