"""Checks of notebook 01: shells, neighbours through periodic images, where nearest images are not enough."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from ..feedback import Mistake, check
from ..neighbours import SELF

FLUORITE = [("F", 8), ("Ca", 12), ("F", 24)]  # from a calcium of CaF2; at sqrt(3)/4, sqrt(1/2) and sqrt(11)/4 of a
FLUORITE_MISTAKES: dict[tuple[tuple[str, int], ...], str] = {
    (("Ca", 4), ("F", 6), ("F", 12)): "These are the shells of a fluorine. Put yourself on a calcium.",
    (("F", 8), ("F", 24), ("Ca", 6)): "You have left out the calciums at a/√2: a neighbour may be of the same element.",
    (("F", 8), ("Ca", 6), ("F", 24)): "6 calciums at a are the fourth shell; 12 at a/√2 are closer.",
    (("F", 8), ("Ca", 4), ("F", 24)): "4 is the number of calciums in the cell. Count the images outside of it too.",
    (("F", 4), ("Ca", 12), ("F", 12)): "4 at a/4·√3 is right for diamond. In fluorite all eight small cubes are full.",
}

Distances = Callable[[np.ndarray, np.ndarray, int, float], np.ndarray]


@check("shells of fluorite", "8 F, 12 Ca, 24 F: the calciums alone are face-centred cubic, as in copper.")
def check_fluorite_shells(answer: Callable[[], Any]) -> None:
    """`answer()` lists element and number of the first three shells around a calcium of CaF2."""
    got = [(str(element), int(count)) for element, count in answer()]
    if got == FLUORITE:
        return
    hint = "Measure from one calcium at the origin: x, y, z of each kind of site in units of a/4, then sort by length."
    if len(got) != len(FLUORITE):
        hint = "Three shells were asked for, the nearest first, as (element, number)."
    elif sorted(got) == sorted(FLUORITE):
        hint = "The numbers are right, the order is not: the nearest shell comes first."
    elif got[0] == ("F", 1):
        hint = "A corner calcium has one fluorine in its own cell, but eight cells meet at that corner."
    else:
        hint = FLUORITE_MISTAKES.get(tuple(got), hint)
    raise Mistake("the first three shells around Ca", got, "44 neighbours: F, then Ca, then F", hint)


def all_distances(lattice: np.ndarray, frac: np.ndarray, site: int, radius: float) -> np.ndarray:
    """Distances (A, sorted) from a site to all neighbours within a radius, by brute force over images.

    Args:
        lattice: [3, 3], a vector a row, A.
        frac: [N, 3] fractional coordinates.
        site: the centre.
        radius: in A.
    """
    return _within(
        _steps(frac, site, _images(_reach(lattice, radius) + np.ceil(np.ptp(frac, axis=0)))), lattice, radius
    )


def nearest_image_distances(lattice: np.ndarray, frac: np.ndarray, site: int, radius: float) -> np.ndarray:
    """The same, but with no more than the nearest image of each site: what many programs do in large boxes."""
    step = frac - frac[site]
    return _within(step - np.round(step), lattice, radius)


def _reach(lattice: np.ndarray, radius: float) -> np.ndarray:
    """How many cells a sphere reaches along each vector: its radius over the height of the cell."""
    return np.ceil(radius * np.linalg.norm(np.linalg.inv(lattice), axis=0))


def _images(reach: np.ndarray) -> np.ndarray:
    return np.array(list(product(*(range(-int(n), int(n) + 1) for n in reach))))


def _steps(frac: np.ndarray, site: int, images: np.ndarray) -> np.ndarray:
    """From a site to all images of all sites, in fractions: [N * images, 3]."""
    return (frac[:, None] + images[None] - frac[site]).reshape(-1, 3)


def _within(steps: np.ndarray, lattice: np.ndarray, radius: float, least: float = SELF) -> np.ndarray:
    distance = np.linalg.norm(steps @ lattice, axis=1)
    return np.sort(distance[(distance > least) & (distance <= radius)])


def _of_length(lattice: np.ndarray, frac: np.ndarray, site: int, radius: float) -> np.ndarray:
    return _within(_steps(frac, site, _images(radius // np.linalg.norm(lattice, axis=1) + 1)), lattice, radius)


def _with_itself(lattice: np.ndarray, frac: np.ndarray, site: int, radius: float) -> np.ndarray:
    return np.concatenate([[0.0], all_distances(lattice, frac, site, radius)])


def _without_own_images(lattice: np.ndarray, frac: np.ndarray, site: int, radius: float) -> np.ndarray:
    images = _images(_reach(lattice, radius) + 1)
    return _within((np.delete(frac, site, 0)[:, None] + images - frac[site]).reshape(-1, 3), lattice, radius)


# What a wrong answer may be instead, and what to tell then; the first that fits is told.
USUAL: dict[str, Distances] = {
    "No periodic images: you have looked at the sites of one cell only.": lambda lattice, frac, site, radius: _within(
        frac - frac[site], lattice, radius
    ),
    "Only the nearest image of each site: in a small cell several images of one site are neighbours.": (
        nearest_image_distances
    ),
    "The images of the site itself are missing: an atom is no neighbour of itself, but its images are.": (
        _without_own_images
    ),
    "The site itself is in your list, at a distance of 0. Leave out what is nearer than 1e-8 Å.": _with_itself,
    "Only the 27 cells around: a sphere may reach further. Count how many cells the radius spans.": (
        lambda lattice, frac, site, radius: _within(_steps(frac, site, _images(np.ones(3))), lattice, radius)
    ),
    "In an oblique cell the radius spans more cells than radius / (length of the vector): divide by the height of the "
    "cell, or take more images than you think you need.": _of_length,
    "The lattice has its vectors in rows: frac @ lattice, not lattice @ frac.": (
        lambda lattice, frac, site, radius: all_distances(lattice.T, frac, site, radius)
    ),
    "These are lengths in fractional coordinates. Multiply by the lattice before you take the length.": (
        lambda lattice, frac, site, radius: all_distances(np.eye(3), frac, site, radius)
    ),
}
ONE, BODY_CENTRED = np.zeros((1, 3)), np.array([[0, 0, 0], [0.5, 0.5, 0.5]])
OXYGENS = np.array([[0.305, 0.305, 0], [0.695, 0.695, 0], [0.195, 0.805, 0.5], [0.805, 0.195, 0.5]])
CASES: dict[str, tuple[np.ndarray, np.ndarray, int, float]] = {
    "a cube of 5 Å with two sites within 4.5 Å": (5.0 * np.eye(3), np.array([[0.1, 0, 0], [0.9, 0, 0]]), 0, 4.5),
    "CsCl from Cs within 4 Å": (4.12 * np.eye(3), BODY_CENTRED, 0, 4.0),
    "CsCl from Cs within 5 Å": (4.12 * np.eye(3), BODY_CENTRED, 0, 5.0),
    "a primitive cell of Cu within 5.2 Å": (1.805 * (1 - np.eye(3)), ONE, 0, 5.2),
    "rutile from Ti within 3.6 Å": (np.diag([4.59, 4.59, 2.96]), np.concatenate([BODY_CENTRED, OXYGENS]), 0, 3.6),
    "a hexagonal crystal within 4 Å": (np.array([[3.0, 0, 0], [-1.5, 2.6, 0], [0, 0, 5]]), ONE, 0, 4.0),
    "simple cubic in an oblique cell, 4.5 Å": (np.array([[3.0, 0, 0], [9, 3, 0], [0, 0, 3]]), ONE, 0, 4.5),
}


@check("neighbours within a radius", "It finds every image, in cells that are small, long or oblique.")
def check_neighbour_distances(answer: Distances) -> None:
    """`answer(lattice, frac, site, radius)` returns the sorted distances to all neighbours within the radius."""
    for name, (lattice, frac, site, radius) in CASES.items():
        wanted = all_distances(lattice, frac, site, radius)
        found = answer(lattice.copy(), frac.copy(), site, radius)
        if found is None:
            raise Mistake(name, "nothing", "an array of distances", "End with return.")
        got = np.atleast_1d(np.asarray(found, dtype=float))
        if _same(got, wanted):
            continue
        if got.ndim == 1 and _same(np.sort(got), wanted):
            raise Mistake(name, "the right distances", "them sorted, the nearest first", "End with np.sort.")
        told = (
            words for words, mistaken in USUAL.items() if _same(np.sort(got), mistaken(lattice, frac, site, radius))
        )
        hint = next(told, "Print the first few distances and compare with what you count in a drawing.")
        raise Mistake(name, f"{got.size} distances", f"{wanted.size}, from {wanted[0]:.3f} Å", hint)


def _same(got: np.ndarray, wanted: np.ndarray) -> bool:
    return got.shape == wanted.shape and np.allclose(got, wanted, atol=1e-6)


@check(
    "where nearest images miss neighbours", "A box must be more than twice as wide as the radius for nearest images."
)
def check_counterexample(answer: Callable[[], tuple[Any, float, int]]) -> None:
    """`answer()` returns a structure, a radius (A) and how many neighbours of site 0 the nearest images miss there."""
    from pymatgen.core import Structure

    found = answer()
    if not (isinstance(found, tuple) and len(found) == 3 and isinstance(found[0], Structure)):
        raise Mistake(
            "your answer", type(found).__name__, "structure, radius, number", "Return the three, in this order."
        )
    structure, radius, missing = found
    if not 0 < radius <= 12:
        raise Mistake("your radius", radius, "a length in Å, at most 12", "Neighbours in a graph lie within 8 Å.")
    place = structure.lattice.matrix, structure.frac_coords, 0, float(radius)
    there, seen = len(all_distances(*place)), len(nearest_image_distances(*place))
    tried = f"{structure.reduced_formula} with {len(structure)} sites, radius {radius} Å"
    if there == seen:
        half = 0.5 / np.linalg.norm(np.linalg.inv(structure.lattice.matrix), axis=0).max()
        hint = (
            f"Below {half:.2f} Å, half of this cell's height, nothing can be missed: a smaller cell or a larger radius."
        )
        raise Mistake(tried, f"all {there} neighbours", "some that are missed", hint)
    if missing != there - seen:
        words = {
            seen: "That is how many it finds.",
            there: "That is how many there are.",
            there - seen + 1: "The site itself does not count.",
        }
        raise Mistake(
            tried, missing, "the number missed", words.get(missing, "Count with both functions and subtract.")
        )
