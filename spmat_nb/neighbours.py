"""The neighbours of every atom: the nearest 12 within 8 A, exact, with a fixed rule for ties.

The search is pymatgen's compiled one on arrays, with a radius that starts from the density; sorting and cutting are
done for many crystals at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from .settings import GraphSettings
from .structure_files import PERIODIC, Cell

SAME_SHELL = 1e-4  # A; neighbours whose distances differ less belong to one shell
SHELL_MARGIN = 1e-2  # A; wider than any shell, for leaving out far pairs early
SELF = 1e-8  # A; an atom's distance to itself
DIRECTION_DECIMALS = 3  # of the displacement in the tie rule, A
FIRST_GUESS = 1.4  # the first search sphere holds that many times the neighbours wanted


@dataclass(frozen=True)
class Neighbours:
    """Directed edges of one or more crystals, sorted by centre, then from near to far.

    Attributes:
        centre: [E] the atom that receives the message, counted over all the crystals.
        neighbour: [E] the atom that sends it.
        image: [E, 3] lattice translation of the neighbour.
        distance: [E] in A.
        crystal: [E] the crystal each edge belongs to.
    """

    centre: np.ndarray
    neighbour: np.ndarray
    image: np.ndarray
    distance: np.ndarray
    crystal: np.ndarray


def find_neighbours(cells: Sequence[Cell], settings: GraphSettings | None = None) -> Neighbours:
    """The nearest `max_neighbours` of every atom within `cutoff`, for many crystals at a time.

    The search radius starts from the density and grows until every atom has enough or the cutoff is reached.
    Ties at the cut are broken by the neighbour's atomic number, then by the direction towards it (x, y, z of the
    displacement), never by an index: any supercell or order of atoms gives the same environments (our choice).
    An atom with fewer neighbours keeps those it has.
    """
    settings = settings or GraphSettings()
    lattices = np.stack([np.ascontiguousarray(cell.lattice, dtype=np.float64) for cell in cells])
    points = [np.ascontiguousarray(c.frac @ lattice) for c, lattice in zip(cells, lattices, strict=True)]
    sizes = np.array([len(p) for p in points])
    spheres = FIRST_GUESS * (settings.max_neighbours + 1) * np.abs(np.linalg.det(lattices)) / sizes
    radii = np.minimum(settings.cutoff, (3 * spheres / (4 * np.pi)) ** (1 / 3))
    found = [_pairs(*crystal, settings) for crystal in zip(points, lattices, radii, strict=True)]
    crystal = np.repeat(np.arange(len(cells)), [len(pairs[0]) for pairs in found])
    first = (np.cumsum(sizes) - sizes)[crystal]
    centre, neighbour, image, distance = (np.concatenate(column) for column in zip(*found, strict=True))
    pairs = Neighbours(centre + first, neighbour + first, image, distance, crystal)
    numbers = np.concatenate([cell.numbers for cell in cells])
    return _nearest(pairs, np.concatenate(points), lattices, numbers, settings.max_neighbours)


def _pairs(points: np.ndarray, lattice: np.ndarray, radius: float, settings: GraphSettings) -> tuple[np.ndarray, ...]:
    """All pairs within a radius large enough for `max_neighbours`, or within the cutoff; self pairs included."""
    from pymatgen.optimization.neighbors import find_points_in_spheres

    while True:
        # One shell's width more, so that rounding never cuts a shell.
        found = find_points_in_spheres(points, points, radius + SAME_SHELL, PERIODIC, lattice)
        if radius >= settings.cutoff or np.bincount(found[0]).min() > settings.max_neighbours:
            return found
        radius = min(settings.cutoff, 1.25 * radius)


def _nearest(
    pairs: Neighbours, points: np.ndarray, lattices: np.ndarray, numbers: np.ndarray, count: int
) -> Neighbours:
    """The first `count` pairs of each centre by (shell, atomic number of the neighbour, direction)."""
    order = np.lexsort((pairs.distance, pairs.centre))
    order = order[pairs.distance[order] > SELF]  # an atom is no neighbour of itself, its images are
    pairs = _take(pairs, order)
    # Nothing beyond the shell of the last neighbour wanted can be chosen: rank only what is left.
    last = np.minimum(_first_of_centre(pairs.centre) + count - 1, len(order) - 1)
    beyond = pairs.distance > pairs.distance[last] + SHELL_MARGIN
    pairs = _take(pairs, np.flatnonzero(~(beyond & (pairs.centre[last] == pairs.centre))))
    new_shell = np.ones(len(pairs.centre), dtype=np.int64)
    new_shell[1:] = (np.diff(pairs.distance) > SAME_SHELL) | (np.diff(pairs.centre) > 0)
    translation = np.einsum("ei,eij->ej", pairs.image, lattices[pairs.crystal])
    vector = points[pairs.neighbour] + translation - points[pairs.centre]
    x, y, z = np.round(vector, DIRECTION_DECIMALS).T + 0.0  # + 0.0 turns -0.0 into 0.0
    ranked = np.lexsort((z, y, x, numbers[pairs.neighbour], np.cumsum(new_shell)))  # shells already follow centres
    rank = np.arange(len(ranked)) - _first_of_centre(pairs.centre)
    return _take(pairs, ranked[rank < count])


def reverse_edges(edges: Neighbours) -> np.ndarray:
    """For each edge i-j the position of j-i with the opposite image; its own where the cut has removed that one."""
    base = 2 * int(np.abs(edges.image).max(initial=0)) + 1
    there, back = (
        _edge_codes(*ends, sign * edges.image, base)
        for ends, sign in (((edges.centre, edges.neighbour), 1), ((edges.neighbour, edges.centre), -1))
    )
    order = np.argsort(there)
    place = np.minimum(np.searchsorted(there, back, sorter=order), len(there) - 1)
    found = order[place]
    return np.where(there[found] == back, found, np.arange(len(there)))


def _edge_codes(centre: np.ndarray, neighbour: np.ndarray, image: np.ndarray, base: int) -> np.ndarray:
    """One number for each (centre, neighbour, image)."""
    atoms = int(max(centre.max(initial=0), neighbour.max(initial=0))) + 1
    codes = centre.astype(np.int64) * atoms + neighbour
    for axis in range(3):
        codes = codes * base + (image[:, axis].astype(np.int64) + base // 2)
    return codes


def _first_of_centre(centre: np.ndarray) -> np.ndarray:
    """For each entry of an ascending array the position where its value begins."""
    return np.searchsorted(centre, centre)


def _take(pairs: Neighbours, kept: np.ndarray) -> Neighbours:
    return Neighbours(*(getattr(pairs, name.name)[kept] for name in fields(pairs)))
