"""Checks of assignment a1: shells by hand, the nearest neighbours with a tie rule, a bug, a cut shell, an expansion."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..feedback import Mistake, check
from ..layers import GaussianBasis
from .compare import compare
from .graphs import USUAL, _images, _reach, _same, _steps, all_distances

SHELL_DECIMALS = 4  # of a distance in A, when shells are told apart
Crystal = tuple[np.ndarray, np.ndarray, Sequence[str]]  # lattice with a vector a row (A), fractions, elements
Shells = list[tuple[str, int]]


def around(
    lattice: np.ndarray, frac: np.ndarray, kinds: Sequence[Any] | np.ndarray, site: int, radius: float
) -> list[tuple[float, Any]]:
    """(distance in A, kind) of all neighbours of a site within a radius, near to far; of one shell by kind."""
    images = _images(_reach(lattice, radius) + np.ceil(np.ptp(frac, axis=0)))
    length = np.linalg.norm(_steps(frac, site, images) @ lattice, axis=1)
    everyone = zip(
        length.round(SHELL_DECIMALS).tolist(), np.repeat(np.asarray(kinds), len(images)).tolist(), strict=True
    )
    return sorted(pair for pair in everyone if 0 < pair[0] <= radius)


def shells_of(crystal: Crystal, site: int, count: int, radius: float = 6.0) -> Shells:
    """Element and number of the first shells around a site."""
    lattice, frac, kinds = crystal
    return [
        (kind, number) for (_, kind), number in sorted(Counter(around(lattice, frac, kinds, site, radius)).items())
    ][:count]


@check("shells by hand", "Counting images is the whole trick: every corner belongs to eight cells.")
def check_shells_by_hand(
    answer: Callable[[], Mapping[str, Any]], crystals: Mapping[str, tuple[Crystal, int]], asked: Sequence[str] = ()
) -> None:
    """`answer()` gives the first two shells, as [(element, number), ...], of some sites by their names.

    Args:
        answer: the learner's function.
        crystals: a crystal and its site, by the name of the entry.
        asked: names to look at, all if empty.
    """
    got = answer()
    if not isinstance(got, Mapping) or set(crystals) - set(got):
        lacking = sorted(set(crystals) - set(got)) if isinstance(got, Mapping) else sorted(crystals)
        hint = "Return a dictionary with an entry for each name of the table."
        raise Mistake("the names", f"no entry for {', '.join(lacking)}", f"{len(crystals)} entries", hint)
    for name in asked or crystals:
        crystal, site = crystals[name]
        right, own = shells_of(crystal, site, 2), [(str(kind), int(number)) for kind, number in got[name]]
        if own != right:
            # The numbers stay unsaid: the next try should count, not copy.
            raise Mistake(name, own, "the two nearest shells", _why_shells(own, right, crystal, site))


def _why_shells(own: Shells, right: Shells, crystal: Crystal, site: int) -> str:
    kinds = Counter(crystal[2])
    others = {kind: shells_of(crystal, list(crystal[2]).index(kind), 2) for kind in kinds}
    later = shells_of(crystal, site, 4)
    if len(own) != 2:
        return "Two shells were asked for, the nearest first."
    if own == right[::-1]:
        return "The numbers are right, the order is not: the nearest shell comes first."
    centre = next((kind for kind, shells in others.items() if own == shells), None)
    if centre:
        return f"These are the shells of {centre}. Stand on the atom that the name says."
    if any(number <= kinds[kind] < dict(right).get(kind, 0) for kind, number in own):
        return "That is how many are in the cell. Their images count too: draw the cells that meet at your atom."
    if own[0] == right[0] and own[1] in later[2:]:
        return "The first shell is right; there is a nearer second one. Compare all squared lengths before you choose."
    if [kind for kind, _ in own] == [kind for kind, _ in right]:
        return "The elements are right, a number is not. Count signs and permutations: (±1, ±1, ±1) are eight."
    return "Put your atom at the origin, write down x, y, z of each kind in units of a/4, and sort by length."


Nearest = Callable[[np.ndarray, np.ndarray, np.ndarray, int, int], Any]
NearestCase = tuple[np.ndarray, np.ndarray, np.ndarray, int, int]  # lattice, frac, atomic numbers, site, count


@check("the nearest neighbours", "All images, sorted, and a tie rule that does not depend on how the file was written.")
def check_nearest(answer: Nearest, cases: Mapping[str, NearestCase]) -> None:
    """`answer(lattice, frac, numbers, site, count)` gives distances (A) and atomic numbers of the nearest `count`.

    Of one shell the lower atomic numbers come first.

    Args:
        answer: the learner's function.
        cases: by a name that the learner may read.
    """
    for name, (lattice, frac, numbers, site, count) in cases.items():
        found = answer(lattice.copy(), frac.copy(), numbers.copy(), site, count)
        if not (isinstance(found, tuple | list) and len(found) == 2):
            raise Mistake(name, type(found).__name__, "two arrays", "Return distances, numbers: two arrays.")
        got, kinds = (np.atleast_1d(np.asarray(part, dtype=float)) for part in found)
        everyone = around(lattice, frac, numbers, site, _far_enough(lattice, frac, site, count))[:count]
        wanted, right = (np.array(column) for column in zip(*everyone, strict=True))
        if not (got.shape == wanted.shape and np.allclose(got, wanted, atol=2e-4)):
            raise Mistake(
                name, f"{_short(got)} Å", f"{_short(wanted)} Å", _why_distances(got, wanted, lattice, frac, site)
            )
        if not np.array_equal(kinds, right):
            hint = "The distances are right, the atoms are not: sort the numbers in the same order as the distances."
            if sorted(kinds) == sorted(right) or set(kinds) <= set(numbers.tolist()):
                hint = "Among equal distances the lower atomic number comes first, whatever the order of the sites: "
                hint += "sort by (rounded distance, atomic number)."
            raise Mistake(name, [int(kind) for kind in kinds], [int(kind) for kind in right], hint)


def _far_enough(lattice: np.ndarray, frac: np.ndarray, site: int, count: int) -> float:
    radius = 2.0
    while len(all_distances(lattice, frac, site, radius)) < count:
        radius *= 1.3
    return radius


def _short(values: np.ndarray) -> str:
    return ", ".join(f"{value:.2f}" for value in values[:3]) + (" ..." if len(values) > 3 else "")


def _why_distances(got: np.ndarray, wanted: np.ndarray, lattice: np.ndarray, frac: np.ndarray, site: int) -> str:
    if got.shape == wanted.shape and np.allclose(np.sort(got), wanted, atol=2e-4):
        return "The right distances, but not in order: the nearest comes first."
    for words, mistaken in USUAL.items():
        values = np.sort(mistaken(lattice, frac, site, 2.5 * wanted[-1]))[: len(wanted)]
        differs = len(values) != len(wanted) or not np.allclose(values, wanted, atol=2e-4)
        if differs and len(values) == len(got) and np.allclose(np.sort(got), values, atol=2e-4):
            return words
    if len(got) != len(wanted):
        return f"You return {len(got)} of them; {len(wanted)} were asked for. Sort, then cut."
    return "Print the first few and compare with what you count in a drawing. Are all images within reach looked at?"


Search = Callable[[np.ndarray, np.ndarray, int, float], Any]


@check(
    "a case that shows the bug",
    "Short vectors, but oblique: the cell is flat, and a sphere reaches further than it seems.",
)
def check_bug_shown(answer: Callable[[], Any], buggy: Search) -> None:
    """`answer()` is (lattice, frac, site, radius) for which `buggy` gives other distances than a full search."""
    found = answer()
    if not (isinstance(found, tuple | list) and len(found) == 4):
        hint = "Return the four, in this order."
        raise Mistake("your answer", type(found).__name__, "lattice, frac, site, radius", hint)
    lattice, frac = np.asarray(found[0], dtype=float), np.atleast_2d(np.asarray(found[1], dtype=float))
    site, radius = int(found[2]), float(found[3])
    tried = f"your crystal with {len(frac)} sites, radius {radius:g} Å"
    shaped = lattice.shape == (3, 3) and frac.shape[1] == 3 and 0 <= site < len(frac) <= 50
    if not (shaped and 0 < radius <= 10 and np.abs(frac).max() <= 2):
        hint = "lattice [3, 3] in Å, at most 50 sites with three fractions from -2 to 2, a radius up to 10 Å."
        raise Mistake(tried, f"shapes {lattice.shape} and {frac.shape}", "a small crystal", hint)
    heights = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    if not heights.min() > 0.5:
        raise Mistake(tried, f"a height of {heights.min():.2f} Å", "at least 0.5 Å", "No atoms are as close as that.")
    there, seen = len(all_distances(lattice, frac, site, radius)), len(np.asarray(buggy(lattice, frac, site, radius)))
    if there == seen:
        flat, long = heights.round(2).tolist(), np.linalg.norm(lattice, axis=1).round(2).tolist()
        hint = f"Your cell has heights of {flat} Å and vectors of {long} Å. Where both agree nothing can be missed: "
        hint += "which cells are flatter than their vectors are long?"
        raise Mistake(tried, f"all {there} neighbours", "some that are missed", hint)


@check("the bug repaired", "The height between opposite faces decides how many cells a sphere spans.")
def check_search(answer: Search, cases: Mapping[str, tuple[np.ndarray, np.ndarray, int, float]]) -> None:
    """`answer(lattice, frac, site, radius)` gives the sorted distances to all neighbours within the radius."""
    for name, (lattice, frac, site, radius) in cases.items():
        wanted = all_distances(lattice, frac, site, radius)
        got = np.atleast_1d(np.asarray(answer(lattice.copy(), frac.copy(), site, radius), dtype=float))
        if _same(got, wanted):
            continue
        told = (w for w, mistaken in USUAL.items() if _same(np.sort(got), mistaken(lattice, frac, site, radius)))
        hint = next(told, "How many cells does the radius span along each vector? Radius over the height of the cell.")
        if got.ndim == 1 and _same(np.sort(got), wanted):
            hint = "The right distances, but not in order: the nearest comes first."
        raise Mistake(name, f"{got.size} distances", f"{wanted.size}", hint)


@check("a shell cut in two", "This decides whether a tie rule is needed at all.")
def check_cut(answer: Callable[[np.ndarray, int], Any], cases: Mapping[str, tuple[Sequence[float], int]]) -> None:
    """`answer(distances, count)` says whether a cut after the nearest `count` falls inside a shell.

    Args:
        answer: the learner's function.
        cases: distances (A), near to far, and the count, by a name.
    """
    for name, (distances, count) in cases.items():
        values = np.array(distances)
        wanted = bool(len(values) > count and values[count] - values[count - 1] < 1e-3)
        got = answer(values.copy(), count)
        if isinstance(got, np.bool_):
            got = bool(got)
        if not isinstance(got, bool):
            raise Mistake(name, type(got).__name__, "True or False", "Return one True or False.")
        if got != wanted:
            hint = "Compare the last that is kept, distances[count - 1], with the first that is not, distances[count]."
            if len(values) <= count:
                hint = "There are no more than count neighbours: nothing is cut off."
            elif wanted and values[count] != values[count - 1]:
                hint = "Computed distances of one shell differ in the last digits: allow 0.001 Å, do not ask for ==."
            raise Mistake(name, got, wanted, hint)


@check("Gaussian expansion", "One number has become many, smooth in the distance: a network can read it.")
def check_expansion(answer: Callable[..., Any], cases: Mapping[str, tuple[Iterable[float], float, float]]) -> None:
    """`answer(distances, cutoff, step)` is [E, K], exp(-(d - mu)^2 / step^2) at mu = 0, step, ..., cutoff.

    Args:
        answer: the learner's function.
        cases: distances, cutoff and step in A, by a name.
    """
    for name, (distances, cutoff, step) in cases.items():
        d = torch.tensor(list(distances), dtype=torch.float64)
        mu = torch.arange(round(cutoff / step) + 1, dtype=torch.float64) * step
        apart = d[:, None] - mu
        right = GaussianBasis(cutoff, step)(d)
        unsquared = torch.exp(-apart.abs() / step)
        wrong = {
            "There is no factor 2 here (CGCNN): exp(-(d - mu)² / step²).": torch.exp(-((apart / step) ** 2) / 2),
            "The square is missing.": unsquared,
            "The width is the step: divide by step².": torch.exp(-(apart**2)),
            "Divide by step², not by step.": torch.exp(-(apart**2) / step),
            "The minus sign is missing.": torch.exp((apart / step) ** 2),
            "Both ends count: 0 and the cutoff are centres, one more than cutoff / step.": right[:, :-1],
            "Rows are distances and columns are centres: distances[:, None] - centres.": right.T.contiguous(),
            "The centres begin at 0, not at step.": right[:, 1:],
            "The step is fixed at 0.2 Å: use the one that is passed in.": torch.exp(-((apart / 0.2) ** 2)),
            "A row need not sum to 1: do not normalise.": right / right.sum(1, keepdim=True),
        }
        named = {w: v for w, v in wrong.items() if v.shape != right.shape or not torch.allclose(v, right, 1e-4, 1e-6)}
        hint = "centres = 0, step, ..., cutoff; distances[:, None] - centres; square; divide by step²; minus; exp."
        compare(name, answer(d.numpy(), cutoff, step), right, named, hint)
