"""A crystal as checked arrays: from pymatgen structures and ASE atoms, under the policy for odd ones."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .policy import Notes, refuse
from .policy_cases import (
    LARGEST_CELL,
    LARGEST_VOLUME,
    MAX_ATOMS,
    MAX_ELEMENT,
    OCCUPANCY_ROUNDING,
    REACH,
    SHORTEST,
    SMALLEST_VOLUME,
)

if TYPE_CHECKING:
    from pymatgen.core import Structure
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

PERIODIC = np.ones(3, dtype=np.int64)
SYMMETRY_PRECISION = 0.1  # A
ISOTOPES = ("D", "T")  # pymatgen reads them as hydrogen without a word
NEAR = 4.0  # A; where nearly every atom has a neighbour, looked at before the whole of `REACH`


@dataclass(frozen=True)
class Cell:
    """A crystal as arrays: lattice vectors in rows [3, 3] (A), numbers [N], fractional coordinates [N, 3]."""

    lattice: np.ndarray
    numbers: np.ndarray
    frac: np.ndarray

    def structure(self) -> "Structure":
        """As a pymatgen structure."""
        from pymatgen.core import Structure

        return Structure(self.lattice, self.numbers.tolist(), self.frac)

    def formula(self) -> str:
        """Reduced formula."""
        from pymatgen.core import Composition, Element

        numbers, counts = np.unique(self.numbers, return_counts=True)
        amounts = {Element.from_Z(int(z)): int(n) for z, n in zip(numbers, counts, strict=True)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # noble gases have no electronegativity to sort by
            return Composition(amounts).reduced_formula


def check_cell(cell: Cell, notes: Notes | None = None) -> Cell:
    """Return the cell if it can be a crystal.

    Args:
        cell: what to check.
        notes: takes what is odd but accepted; without it atoms on their own are not looked for.

    Raises:
        StructureError: no or too many atoms, unknown elements, values that are not finite, no volume, or atoms on top
            of each other.
    """
    count = len(cell.numbers)
    if count == 0:
        raise refuse("no-atoms", "the cell has no atoms")
    if count > MAX_ATOMS:
        raise refuse("too-large", f"the cell has {count:,} atoms; the limit is {MAX_ATOMS:,}")
    if cell.numbers.min() < 1:
        raise refuse("unknown-element", f"atomic numbers must be 1 to {MAX_ELEMENT}")
    if cell.numbers.max() > MAX_ELEMENT:
        raise refuse("beyond-the-table", f"atomic numbers must be 1 to {MAX_ELEMENT}, not {cell.numbers.max()}")
    if not (np.isfinite(cell.lattice).all() and np.isfinite(cell.frac).all()):
        raise refuse("not-finite", "the cell or the coordinates are not all finite numbers")
    with np.errstate(over="ignore", invalid="ignore"):
        volume = abs(float(np.linalg.det(cell.lattice)))
    if not (SMALLEST_VOLUME <= volume / count <= LARGEST_VOLUME and volume <= LARGEST_CELL):
        raise refuse("volume", f"{volume / count:.3g} A3 an atom, {volume:.3g} A3 in all, is no crystal")
    shortest = _shortest_within(cell, SHORTEST)
    if shortest is not None:
        raise refuse("overlap", f"two atoms are {shortest:.2f} A apart (at least {SHORTEST} A)")
    if notes is not None and volume > REACH**3 / 2**0.5:  # the densest packing of spheres of that diameter
        _note_isolated(cell, notes)
    return cell


def _distances(cell: Cell, centres: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """The atom at `centres` and the distance (A) of each pair within the radius; each atom finds itself."""
    from pymatgen.optimization.neighbors import find_points_in_spheres

    points = np.ascontiguousarray((cell.frac % 1.0) @ cell.lattice)
    lattice = np.ascontiguousarray(cell.lattice, dtype=np.float64)
    # min_r sets the size of the search bins; small bins make large cells slow.
    found = find_points_in_spheres(points, points[centres], radius, PERIODIC, lattice, 1e-8, min_r=3.0)
    return found[0], found[3]


def _shortest_within(cell: Cell, radius: float) -> float | None:
    """The shortest distance between two atoms or an atom and its image (A), if it is within the radius."""
    count = len(cell.numbers)
    _, distances = _distances(cell, np.arange(count), radius)
    return float(np.sort(distances)[count]) if len(distances) > count else None


def _alone(cell: Cell, atoms: np.ndarray, radius: float) -> np.ndarray:
    """Those of the atoms that have no neighbour within the radius."""
    centre, _ = _distances(cell, atoms, radius)
    return atoms[np.bincount(centre, minlength=len(atoms)) < 2]


def _note_isolated(cell: Cell, notes: Notes) -> None:
    """Note the atoms without a neighbour within reach, and how far the nearest one is."""
    alone = _alone(cell, np.arange(len(cell.numbers)), NEAR)
    alone = _alone(cell, alone, REACH) if len(alone) else alone
    if len(alone):
        image = float(np.linalg.norm(cell.lattice, axis=1).min()) + 1e-3  # an atom's own image is no farther
        _, distances = _distances(cell, alone[:1], image)
        nearest = np.sort(distances)[1]
        texts = f"{len(alone)} of {len(cell.numbers)} atoms" if len(alone) > 1 else "an atom"
        notes.meet("isolated-atom", f"{texts} without a neighbour within {REACH:g} A (the nearest at {nearest:.1f} A)")


def from_object(thing: Any, notes: Notes | None = None) -> Cell:
    """A pymatgen `Structure` or ASE `Atoms` as arrays; a `Cell` stays as it is.

    Args:
        thing: what to convert.
        notes: takes what is odd but accepted.

    Raises:
        StructureError: another type, a molecule, a dummy, or a disordered structure.
    """
    from pymatgen.core import IStructure

    notes = Notes() if notes is None else notes
    if isinstance(thing, Cell):
        return thing
    if hasattr(thing, "get_scaled_positions"):
        return _from_atoms(thing, notes)
    if not isinstance(thing, IStructure):
        raise refuse("not-a-structure", f"a {type(thing).__name__} is neither a pymatgen Structure nor ASE Atoms")
    cell = Cell(
        np.array(thing.lattice.matrix), np.array([_number(site, notes) for site in thing]), np.array(thing.frac_coords)
    )
    _check_periodicity(cell, thing.lattice.pbc, notes)
    return Cell(cell.lattice, cell.numbers.astype(np.int64), cell.frac)


def _number(site: Any, notes: Notes) -> int:
    """The atomic number of a pymatgen site that holds one atom."""
    parts = list(site.species.items())
    species: Any
    species, occupancy = parts[0] if len(parts) == 1 else (None, 0.0)
    if abs(occupancy - 1) > OCCUPANCY_ROUNDING:
        raise refuse("disorder", f"disordered: site {site.species_string} is shared or partly occupied")
    if occupancy != 1:
        notes.meet("occupancy-rounded", f"site {site.species_string} is not quite full")
    symbol = getattr(species, "symbol", str(species))
    if not hasattr(species, "atomic_mass"):  # a DummySpecies has none
        raise refuse("unknown-element", f"{symbol!r} is no element")
    return int(species.Z)


def note_isotopes(symbols: Iterable[str], notes: Notes) -> None:
    """Note isotopes among the symbols of a file."""
    for symbol in sorted({symbol for symbol in symbols if symbol in ISOTOPES}):
        notes.meet("deuterium", f"{symbol} is an isotope")


def _from_atoms(atoms: Any, notes: Notes) -> Cell:
    """ASE atoms; those of a CIF carry its occupancies along."""
    for site in (atoms.info.get("occupancy") or {}).values():
        if isinstance(site, dict) and (len(site) > 1 or abs(sum(site.values()) - 1) > OCCUPANCY_ROUNDING):
            names = ", ".join(f"{name}:{share:g}" for name, share in site.items())
            raise refuse("disorder", f"disordered: site {names} is shared or partly occupied")
    lattice = np.array(atoms.cell)
    if np.linalg.matrix_rank(np.nan_to_num(lattice)) < 3:
        raise refuse("no-cell", "not periodic: the atoms have no cell in three directions")
    with np.errstate(invalid="ignore"):  # what is not finite is refused in `check_cell`
        cell = Cell(lattice, np.asarray(atoms.numbers, np.int64), atoms.get_scaled_positions(wrap=True))
    _check_periodicity(cell, atoms.pbc, notes)
    return cell


def _check_periodicity(cell: Cell, periodic: Any, notes: Notes) -> None:
    """Look for enough vacuum along the directions that are not periodic."""
    if all(periodic) or not (len(cell.frac) and np.isfinite(cell.lattice).all() and np.isfinite(cell.frac).all()):
        return
    heights = 1 / np.linalg.norm(np.linalg.inv(cell.lattice), axis=0)  # A between opposite faces
    spread = cell.frac.max(axis=0) - cell.frac.min(axis=0)
    vacuum = ((1 - spread) * heights)[~np.asarray(periodic, dtype=bool)].min()
    axes = ", ".join("abc"[i] for i in range(3) if not periodic[i])
    text = f"not periodic along {axes}, with {vacuum:.1f} A of vacuum"
    notes.meet("not-periodic" if vacuum >= REACH else "thin-vacuum", text)


def symmetry_of(structure: "Structure") -> "SpacegroupAnalyzer":
    """The symmetry of a structure within 0.1 A, as in the teaching set."""
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Set OLD_ERROR_HANDLING", DeprecationWarning)  # of spglib, meant for pymatgen
        return SpacegroupAnalyzer(structure, symprec=SYMMETRY_PRECISION)
