"""The textbook set: crystals that every course names, built from published lattice parameters.

`data/textbook.csv` has one crystal a row: cell, sites and what was measured. `data/README.md` says what its columns
mean, `data/textbook_references.csv` where the values come from. `crystals.load("textbook")` gives the whole set.
"""

import difflib
from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .errors import InputError
from .settings import textbook_set
from .structure_files import Cell, check_cell, from_object
from .tables import read_by_id
from .vocabulary import chemical_family, magnetic_class

if TYPE_CHECKING:
    from pymatgen.core import Structure
    from pymatgen.symmetry.groups import SpaceGroup

LATTICE = ("a", "b", "c", "alpha", "beta", "gamma")  # A and degrees
RECIPE = ("setting", *LATTICE, "sites", "nsites")  # what only the building of a structure needs
MEASURED = ("density_measured", "band_gap", "is_gap_direct", "magnetic_order")
DESCRIPTION = ("formula", "name", "structure_type", "spacegroup_symbol", "spacegroup_number", "reference")
ORDERS = ("none", "ferro", "antiferro", "ferri")
NET_MOMENT = ("ferro", "ferri")
NEAR_MATCHES = 5


def rows() -> pd.DataFrame:
    """The table as it is written, by `material_id`.

    Raises:
        InputError: there is no such file, it is no CSV, or columns are absent.
    """
    path = textbook_set()
    if not path.is_file():
        raise InputError(f"No file {str(path)!r}; a clone of the project has the textbook set in its data folder.")
    try:
        table = read_by_id(path)
    except ValueError as error:
        raise InputError(f"{path.name} cannot be read as CSV: {error}") from error
    absent = [column for column in (*DESCRIPTION, *RECIPE, *MEASURED) if column not in table]
    if absent:
        raise InputError(f"{path.name} lacks the column(s) {', '.join(absent)} of the textbook set in data/README.md.")
    return table


def read() -> tuple[pd.DataFrame, list[Cell]]:
    """Table and cells of the whole set, as `crystals.load` wants them.

    Returns:
        The written columns without those that only build the structure, and computed: chemsys, crystal_system, family,
        volume (A^3), volume_per_atom (A^3), density (g/cm^3), atomic_density (atoms/A^3), is_magnetic (0/1: with a net
        moment), magnetic_class. And one cell a row, conventional, in the table's order.

    Raises:
        InputError: as for `rows`, or a row does not build.
    """
    table = rows()
    structures = [build(row) for _, row in table.iterrows()]
    cells = [from_object(structure) for structure in structures]
    table = table.assign(formula=[cell.formula() for cell in cells])  # as in every set: NiAl becomes AlNi
    return table.drop(columns=list(RECIPE)).join(_computed(table, structures)), cells


def build(row: pd.Series) -> "Structure":
    """The conventional cell of one row of `rows()`.

    Raises:
        InputError: the sites cannot be read, cell and space group do not fit, or atoms are on top of each other.
    """
    from pymatgen.core import Lattice, Structure

    try:
        lattice = Lattice.from_parameters(*(float(row[name]) for name in LATTICE))
        symbols, positions = _sites(str(row["sites"]))
        _group(row["spacegroup_symbol"])
        structure = Structure.from_spacegroup(row["spacegroup_symbol"], lattice, symbols, positions)
        check_cell(from_object(structure))
    except (ValueError, InputError) as error:
        raise InputError(f"The textbook crystal {row.name!r} cannot be built: {error}") from error
    return structure


def structure(name: str) -> "Structure":
    """One crystal by id (`NaCl-rocksalt`), common name (`halite`) or formula (`NaCl`), in capitals or not.

    Raises:
        InputError: no such crystal, or a formula of several.
    """
    table = rows()
    return build(table.loc[[find(name, table)]].iloc[0])


def find(name: str, table: pd.DataFrame | None = None) -> str:
    """The `material_id` of a crystal by id, common name or formula, in capitals or not.

    Args:
        name: what to look for.
        table: with the columns `name` and `formula`, by id; the whole set if not given.

    Raises:
        InputError: no such crystal (the text lists near matches), or several (it lists them).
    """
    table = rows() if table is None else table
    wanted = name.strip().lower()
    columns = (table.index.to_series(), table["name"], table["formula"])
    for column in columns:
        found = list(table.index[(column.str.lower() == wanted).to_numpy()])
        if len(found) > 1:
            raise InputError(f"{name!r} names {len(found)} crystals of the textbook set: {', '.join(found)}. Pick one.")
        if found:
            return found[0]
    known = {str(text).lower(): str(material_id) for column in columns for material_id, text in column.items()}
    raise InputError(f"No crystal {name!r} in the textbook set. {_near(wanted, known, table)}")


def _near(wanted: str, known: dict[str, str], table: pd.DataFrame) -> str:
    """A sentence with the ids and names that look like what was asked for."""
    alike = difflib.get_close_matches(wanted, known, n=NEAR_MATCHES)
    inside = [text for text in known if len(wanted) > 1 and wanted in text]
    ids = list(dict.fromkeys(known[text] for text in [*alike, *inside]))[:NEAR_MATCHES]
    if not ids:
        return "crystals.load('textbook').table lists all."
    names = table["name"].to_dict()
    return f"Near matches: {', '.join(f'{material_id} ({names[material_id]})' for material_id in ids)}."


def _sites(text: str) -> tuple[list[str], list[list[float]]]:
    """Symbols and fractional coordinates from `Na 0 0 0; Cl 1/2 1/2 1/2`; thirds stay exact as fractions."""
    from pymatgen.core import Element

    symbols, positions = [], []
    for site in text.split(";"):
        symbol, *coordinates = site.split() or [""]
        if len(coordinates) != 3:
            raise ValueError(f"site {site.strip()!r} needs an element and three coordinates")
        if not Element.is_valid_symbol(symbol):
            raise ValueError(f"there is no element {symbol!r}")
        symbols.append(symbol)
        positions.append([float(Fraction(value)) for value in coordinates])
    return symbols, positions


@cache
def _group(symbol: str) -> "SpaceGroup":
    """A space group, kept: pymatgen drops one that nobody holds and works out its operations anew each time."""
    from pymatgen.symmetry.groups import SpaceGroup

    return SpaceGroup(symbol)


def _computed(table: pd.DataFrame, structures: "Iterable[Structure]") -> pd.DataFrame:
    """What follows from structure and magnetic order, one row a crystal."""
    cells = list(structures)
    volume = np.array([s.volume for s in cells])
    per_atom = volume / [len(s) for s in cells]
    # The label asks only whether there is a net moment, so any value above its threshold will do.
    moment = table["magnetic_order"].isin(NET_MOMENT).astype(float)
    return pd.DataFrame(
        {
            "chemsys": [s.chemical_system for s in cells],
            "crystal_system": [_group(symbol).crystal_system for symbol in table["spacegroup_symbol"]],
            "family": [chemical_family(s.atomic_numbers) for s in cells],
            "volume": volume,
            "volume_per_atom": per_atom,
            "density": [float(s.density) for s in cells],
            "atomic_density": 1 / per_atom,
            "is_magnetic": moment.astype(int),
            "magnetic_class": magnetic_class(moment, [s.atomic_numbers for s in cells]),
        },
        index=table.index,
    )
