"""One structure in, checked arrays out: CIF and POSCAR files, pymatgen structures, ASE atoms."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError

if TYPE_CHECKING:
    from pymatgen.core import Structure

SUFFIXES = (".cif", ".vasp", ".poscar")
PREFIXES = ("POSCAR", "CONTCAR")
MAX_ELEMENT = 100
SHORTEST = 0.5  # A; no two nuclei of a crystal come closer
SMALLEST_VOLUME = 1.0  # A3 an atom
LARGEST_VOLUME = 1e6  # A3 an atom; the search for neighbours needs memory in proportion
PERIODIC = np.ones(3, dtype=np.int64)


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


def check_cell(cell: Cell) -> Cell:
    """Return the cell if it can be a crystal.

    Raises:
        InputError: no atoms, unknown elements, values that are not finite, no volume, or atoms on top of each other.
    """
    from pymatgen.optimization.neighbors import find_points_in_spheres

    if len(cell.numbers) == 0:
        raise InputError("the cell has no atoms")
    if cell.numbers.min() < 1 or cell.numbers.max() > MAX_ELEMENT:
        raise InputError(f"atomic numbers must be 1 to {MAX_ELEMENT}")
    if not (np.isfinite(cell.lattice).all() and np.isfinite(cell.frac).all()):
        raise InputError("the cell or the coordinates are not all finite numbers")
    volume = abs(float(np.linalg.det(cell.lattice))) / len(cell.numbers)
    if not SMALLEST_VOLUME <= volume <= LARGEST_VOLUME:
        raise InputError(f"{volume:.3g} A3 an atom is no crystal; check the cell and its scale factor")
    points = np.ascontiguousarray((cell.frac % 1.0) @ cell.lattice)
    lattice = np.ascontiguousarray(cell.lattice, dtype=np.float64)
    # min_r sets the size of the search bins; small bins make large cells slow.
    *_, distances = find_points_in_spheres(points, points, SHORTEST, PERIODIC, lattice, 1e-8, min_r=3.0)
    if len(distances) > len(points):  # every atom finds itself
        shortest = np.sort(distances)[len(points)]
        raise InputError(f"two atoms are {shortest:.2f} A apart (at least {SHORTEST} A); partial occupancy or a typo?")
    return cell


def find(path: Path) -> list[Path]:
    """The structure files at `path`: itself if it is a file, else those directly in the folder, sorted.

    Raises:
        InputError: a file of an unknown kind, or a folder without structure files.
    """
    kinds = f"{', '.join(SUFFIXES)} or a name that begins with {' or '.join(PREFIXES)}"
    if path.is_file():
        if not _is_structure_file(path):
            raise InputError(f"{path.name} is not a structure file this loader knows ({kinds}) nor .parquet.")
        return [path]
    found = sorted(p for p in path.iterdir() if p.is_file() and _is_structure_file(p))
    if not found:
        raise InputError(f"The folder {str(path)!r} has no structure files ({kinds}).")
    return found


def _is_structure_file(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES or path.name.upper().startswith(PREFIXES)


def read(path: Path) -> Cell:
    """Read one CIF or POSCAR file.

    Raises:
        InputError: it cannot be parsed, has no structure or several, or is disordered.
    """
    from pymatgen.io.cif import CifParser
    from pymatgen.io.vasp import Poscar

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if path.suffix.lower() == ".cif":
                structures = CifParser(str(path)).parse_structures(primitive=False)
            else:
                poscar = Poscar.from_str(path.read_text())
                if not poscar.true_names:
                    raise InputError("it does not name its elements; write them in the line above the counts")
                structures = [poscar.structure]
        except Exception as error:  # parsers raise every kind; the file's name and cause are what matters
            raise InputError(_cause(error, caught)) from error
    if len(structures) != 1:
        raise InputError(f"{len(structures)} structures in one file; save each in its own")
    cell = from_object(structures[0])
    for warning in caught:
        text = " ".join(str(warning.message).split())
        if "Defaulting to P1" in text or "Incorrect stoichiometry" in text:
            raise InputError(f"the structure is not the one its file describes (formula or symmetry): {text[:200]}")
    return cell


def _cause(error: Exception, caught: list[warnings.WarningMessage]) -> str:
    """Pymatgen often keeps the cause in a warning and raises something vague."""
    texts = [str(error), *(str(w.message) for w in caught)]
    return "cannot be read (is the file complete?): " + "; ".join(
        dict.fromkeys(" ".join(t.split())[:200] for t in texts if t)
    )


def from_object(thing: Any) -> Cell:
    """A pymatgen `Structure` or ASE `Atoms` as arrays.

    Raises:
        InputError: another type, a molecule, or a disordered structure.
    """
    from pymatgen.core import Structure

    if hasattr(thing, "get_scaled_positions"):
        if not all(thing.pbc):
            raise InputError("the atoms are not periodic in all three directions; set pbc=True if they are a crystal")
        return Cell(np.array(thing.cell), np.asarray(thing.numbers, np.int64), thing.get_scaled_positions(wrap=True))
    if not isinstance(thing, Structure):
        raise InputError(f"a {type(thing).__name__} is neither a pymatgen Structure nor ASE Atoms")
    if not thing.is_ordered:
        site = next(s for s in thing if not s.is_ordered)
        raise InputError(f"disordered: site {site.species_string} is shared or partly occupied; order it first")
    return Cell(np.array(thing.lattice.matrix), np.array(thing.atomic_numbers, np.int64), np.array(thing.frac_coords))
