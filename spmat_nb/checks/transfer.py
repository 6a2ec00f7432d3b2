"""Checks of notebook 09: a label of your own, layers in a cell, and a box for a molecule."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..feedback import Mistake, check
from .compare import as_tensor, compare

REACH = 1.1
GAP = 2.9  # A; between the planes of rock salt and the layers of MoS2
# Distances from one atom to its 12 neighbours in A, not in order: rock salt, CsCl, a stretched octahedron.
SALT = np.array([3.99, 2.82, 2.82, 3.99, 3.99, 2.82, 3.99, 2.82, 3.99, 2.82, 3.99, 2.82])
CAESIUM = np.array([4.12, 4.12, 3.57, 3.57, 3.57, 3.57, 4.12, 3.57, 3.57, 3.57, 4.12, 3.57])
STRETCHED = np.array([2.10, 1.95, 1.95, 3.60, 1.95, 3.60, 1.95, 2.10, 3.60, 3.60, 3.60, 3.60])


@check("coordination number", praise="A ratio to the nearest works for short and for long bonds.")
def check_coordination(answer: Callable[[np.ndarray, float], Any]) -> None:
    """`answer(distances, reach)` counts the neighbours at most `reach` times as far as the nearest."""
    hint = "Count the distances that are at most reach * distances.min()."
    cases = {
        "sodium in NaCl": (SALT, REACH, 6),
        "caesium in CsCl": (CAESIUM, REACH, 8),
        "an octahedron with four bonds of 1.95 and two of 2.10 Å": (STRETCHED, REACH, 6),
        "caesium in CsCl again": (CAESIUM, 1.2, 12),
        "an atom without neighbours": (np.array([]), REACH, 0),
    }
    for name, (distances, reach, wanted) in cases.items():
        got = answer(distances.copy(), reach)
        compare(f"{name}, reach {reach}", got, torch.tensor(wanted), _wrong_counts(distances, reach), hint)


def _wrong_counts(distances: np.ndarray, reach: float) -> dict[str, torch.Tensor]:
    if len(distances) == 0:
        return {}
    nearest, far = distances.min(), distances > reach * distances.min()
    wrong = {} if reach == REACH else {"The reach that is passed in is not used.": distances <= REACH * distances.min()}
    wrong |= {
        "The reach is a ratio, not a length in Å: multiply the nearest distance by it.": distances <= reach,
        "The reach is a ratio: multiply the nearest distance by it, do not add it.": distances <= nearest + reach,
        "The distances are not in order: the nearest is distances.min(), not the first.": (
            distances <= reach * distances[0]
        ),
        "Equal distances only: real shells are a little uneven, so allow up to reach times the nearest.": (
            distances == nearest
        ),
        "These are the ones outside: count distances that are at most the limit.": far,
    }
    counts = {words: torch.tensor(int(mask.sum())) for words, mask in wrong.items()}
    mask = "This is one truth value a neighbour; their sum is the number."
    return counts | {mask: torch.from_numpy((~far).astype(np.int64))}


@check("layers in a cell", praise="As many layers as gaps, since the cell is a circle along the stacking.")
def check_layers(answer: Callable[[np.ndarray, float, float], Any]) -> None:
    """`answer(heights, period, gap)` counts the layers: heights [n] and period in A, parted by more than `gap`."""
    cells = {
        "MoS2, two layers of S-Mo-S": (np.array([3.08, 9.23, 10.81, 4.66, 1.49, 7.64]), 12.30),
        "graphite": (np.array([1.68, 5.03, 1.68, 5.03]), 6.71),
        "CdI2, one layer that lies across the border of the cell": (np.array([0.0, 1.72, 5.12]), 6.84),
        "CdI2 that begins at 0": (np.array([1.72, 0.0, 3.44]), 6.84),
        "graphite that begins at 2 Å": (np.array([2.0, 5.35]), 6.71),
        "rock salt along its cubic edge": (np.array([0.0, 2.82, 2.82, 0.0]), 5.64),
    }
    got = []
    for name, (heights, period) in cells.items():
        tried = f"{name}: heights {heights.tolist()} Å, period {period} Å, gap {GAP} Å"
        number = as_tensor(tried, answer(heights.copy(), period, GAP), torch.tensor(0))
        if number.ndim:
            raise Mistake(
                tried, f"shape {tuple(number.shape)}", "one number", "Count the gaps: .sum() of the steps > gap."
            )
        got.append(int(number))
    # All together, since one small number can come from many mistakes.
    every = [_wrong_layers(*cell) for cell in cells.values()]
    mistakes = {words: torch.tensor([wrong[words] for wrong in every]) for words in every[0]}
    hint = "Sort the heights, take the steps between them and the one across the border, count those above gap."
    compare(f"{', '.join(cells)}; gap {GAP} Å", got, torch.tensor([2, 2, 1, 1, 2, 0]), mistakes, hint)


def _wrong_layers(heights: np.ndarray, period: float) -> dict[str, int]:
    order = np.sort(heights)
    inner = (np.diff(order) > GAP).sum()
    steps, as_given = (np.diff(given, append=given[0] + period) for given in (order, heights))
    count = (steps > GAP).sum()
    wrong = {
        "The step across the border is missing: from the highest atom to the lowest of the next cell.": inner,
        "On a circle there are as many layers as gaps; do not add one.": count + 1,
        "n layers in a row have n - 1 gaps between them, but the cell is a circle: count the step across the border.": (
            inner + 1
        ),
        "Sort the heights first: atoms come in any order.": (as_given > GAP).sum(),
        "The step across the border ends at the lowest atom of the next cell, order[0] + period, not at period.": (
            (np.diff(order, append=period) > GAP).sum()
        ),
        "The gap is in Å: do not divide heights by the period.": (steps / period > GAP).sum(),
        "Without a gap there is no layer: the answer is 0.": max(1, count),
        "Count gaps wider than `gap`, not atoms.": len(heights),
    }
    return {words: int(number) for words, number in wrong.items()}


# Ammonia and benzene's ring of carbon, off the origin; A.
AMMONIA = np.array([[5, 5, 5.12], [5, 5.94, 4.73], [5.81, 4.53, 4.73], [4.19, 4.53, 4.73]])
RING = 1.39 * np.array([[np.cos(a), np.sin(a), 0.0] for a in np.arange(6) * np.pi / 3]) + [0.0, -4.0, 2.0]
CUTOFF = 8.0
SLACK = 0.5  # A


@check("box for a molecule", praise="No edge reaches an image, and no vacuum is wasted.")
def check_box(answer: Callable[[np.ndarray, float], Any]) -> None:
    """`answer(positions, cutoff)` is the edge of a cube (A) in which no atom has an image of another within cutoff."""
    for name, positions in (("ammonia", AMMONIA), ("the carbons of benzene", RING)):
        extents = np.ptp(positions, axis=0)  # [3]
        wanted = float(extents.max() + CUTOFF)
        tried = f"{name}, cutoff {CUTOFF} Å"
        got = as_tensor(tried, answer(positions.copy(), CUTOFF), torch.tensor(wanted))
        if got.ndim:
            raise Mistake(tried, f"shape {tuple(got.shape)}", "one number", "A cube has one edge: take the largest.")
        if not wanted - 1e-6 <= float(got) <= wanted + SLACK:
            raise Mistake(tried, f"{float(got):.2f} Å", f"{wanted:.2f} Å", _wrong_edge(float(got), positions))


def _wrong_edge(edge: float, positions: np.ndarray) -> str:
    """The mistake behind an edge, in words."""
    extents, far = np.ptp(positions, axis=0), positions.max(0)
    pairs = np.linalg.norm(positions[:, None] - positions[None, :], axis=2).max()
    wrong = {
        "The vacuum is shared: the images on both sides are one molecule and one vacuum away. Add the cutoff once.": (
            extents.max() + 2 * CUTOFF
        ),
        "That is the vacuum alone: the molecule itself has a length too.": CUTOFF,
        "That is the molecule alone: its image would touch it. Add the cutoff.": extents.max(),
        "A length is the largest minus the smallest coordinate; molecules need not begin at 0.": far.max() + CUTOFF,
        "The extent is taken over all numbers together: take it along each axis, then the largest.": (
            np.ptp(positions) + CUTOFF
        ),
        "The smallest extent does not fit the molecule: take the largest.": extents.min() + CUTOFF,
        "The mean extent does not fit the molecule: take the largest.": extents.mean() + CUTOFF,
        "The diagonal is safe but wasteful: images stand along the axes.": np.linalg.norm(extents) + CUTOFF,
        "The longest distance inside is safe but wasteful: images stand along the axes.": pairs + CUTOFF,
    }
    named = next((words for words, value in wrong.items() if abs(edge - value) < 1e-3), None)
    small = "An atom and an image of another one are within the cutoff: the graph would join them."
    return named or (small if edge < extents.max() + CUTOFF else "More vacuum than needed: largest extent plus cutoff.")
