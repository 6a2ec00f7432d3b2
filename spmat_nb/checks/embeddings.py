"""Checks of the exercises about embeddings: purity, what a map keeps of the neighbours, new crystals in an old map."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..diagnostics import knn_purity, standardise
from ..feedback import Mistake, check
from ..vocabulary import MISSING
from .compare import as_tensor, compare

Answer = Callable[..., Any]


def nearest(values: np.ndarray, count: int, itself: bool = False, far: bool = False) -> np.ndarray:
    """[B, count] rows of the nearest (or farthest) others by Euclidean distance, the nearest first."""
    apart = np.linalg.norm(values[:, None] - values[None, :], axis=2)
    np.fill_diagonal(apart, -1.0 if itself else np.inf)
    return np.argsort(np.where(np.isinf(apart), apart, -apart) if far else apart, axis=1, kind="stable")[:, :count]


def _crystals() -> tuple[np.ndarray, np.ndarray]:
    """[60, 5] embeddings whose columns differ in width, and classes of unequal size, some not known."""
    draw = np.random.default_rng(0)
    classes = np.repeat([0, 1, 2, MISSING], [30, 14, 10, 6])
    values = draw.normal(size=(60, 5)) + classes[:, None] * [1.2, 0.4, 0.0, 0.6, 0.0]
    return values * [1.0, 0.2, 8.0, 1.0, 0.5] + [3.0, 0.0, 1.0, 0.0, 0.0], classes


@check("k-NN purity", praise="Now quote it beside that of a random encoder: alone it says little.")
def check_knn_purity(answer: Callable[[np.ndarray, np.ndarray, int], float]) -> None:
    """`answer(embeddings, classes, neighbours)` is `diagnostics.knn_purity`."""
    values, classes = _crystals()
    hint = (
        "Leave out class -1; standardise; take the nearest others; share of the own class; mean of each class; "
        "mean of these."
    )
    for words, x, y in (
        ("54 crystals of three classes", values[classes != MISSING], classes[classes != MISSING]),
        ("60 crystals, 6 of them of class -1", values, classes),
    ):
        wanted = torch.tensor(knn_purity(x, y, 5))
        compare(f"{words}, 5 neighbours", answer(x, y, 5), wanted, _wrong_purities(x, y), hint)


def _purity(y: np.ndarray, near: np.ndarray, by_class: bool = True) -> float:
    same = (y[near] == y[:, None]).mean(1)
    return float(np.mean([same[y == c].mean() for c in np.unique(y)]) if by_class else same.mean())


def _wrong_purities(values: np.ndarray, classes: np.ndarray) -> dict[str, Tensor]:
    """What usual mistakes give; the unknown come first, where there are some."""
    known = classes != MISSING
    every, (x, y) = standardise(values), (standardise(values[known]), classes[known])
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    votes = np.array([np.bincount(row, minlength=3).argmax() for row in y[nearest(x, 5)]]) == y
    wrong = {
        "Class -1 means not known: leave such crystals out before you search.": _purity(classes, nearest(every, 5)),
        "The crystal itself is among its neighbours (at distance 0): ask for one more and drop the first.": _purity(
            y, nearest(x, 5, itself=True)
        ),
        "One neighbour too few is left after the crystal itself was dropped: ask for neighbours + 1.": _purity(
            y, nearest(x, 4)
        ),
        "One neighbour too many: the crystal itself was already left out.": _purity(y, nearest(x, 6)),
        "The mean runs over crystals, so the largest class decides: average each class first.": _purity(
            y, nearest(x, 5), by_class=False
        ),
        "The columns are not standardised: the widest one decides who is near.": _purity(y, nearest(values[known], 5)),
        "Those are the neighbours by cosine; take Euclidean distances.": _purity(y, nearest(unit, 5)),
        "Those are the farthest crystals: sort from small to large.": _purity(y, nearest(x, 5, far=True)),
        "That is the accuracy of a majority vote of the neighbours; purity is the share itself.": float(
            np.mean([votes[y == c].mean() for c in np.unique(y)])
        ),
    }
    return {words: torch.tensor(value) for words, value in wrong.items()}


@check("neighbours kept by a map", praise="A number for the question whether what is close on paper was close before.")
def check_neighbours_kept(answer: Callable[[np.ndarray, np.ndarray, int], float]) -> None:
    """`answer(embeddings, coordinates, neighbours)` is the mean share of nearest others that the map keeps."""
    values = standardise(_crystals()[0])
    coordinates = values[:, [0, 2]] * [5.0, 1.0]
    near, near_map = nearest(values, 6), nearest(coordinates, 6)
    kept = _overlap(near, near_map)
    with_itself = _overlap(nearest(values, 6, itself=True), nearest(coordinates, 6, itself=True))
    shared = np.array([len(set(a) & set(b)) for a, b in zip(near, near_map, strict=True)])
    wrong = {
        "The crystal itself is among its neighbours in both, which adds one for free: leave it out.": with_itself,
        "The crystal itself is counted besides its neighbours: leave it out.": _overlap(
            nearest(values, 7, itself=True), nearest(coordinates, 7, itself=True)
        ),
        "The share is of the union; divide by the number of neighbours.": float((shared / (12 - shared)).mean()),
        "The order of the neighbours does not matter: compare them as sets.": float((near == near_map).mean()),
        "This is the number of them; divide by neighbours.": 6 * kept,
        "This is the share that is lost; the share kept is asked for.": 1 - kept,
        "Those are the farthest crystals: sort from small to large.": _overlap(
            nearest(values, 6, far=True), nearest(coordinates, 6, far=True)
        ),
        "The neighbours on the map were compared with themselves.": 1.0,
    }
    hint = "Nearest others in the embedding and on the map, as sets; size of the intersection / neighbours; mean."
    tensors = {words: torch.tensor(float(value)) for words, value in wrong.items()}
    tried = "60 crystals, a map of two of their five columns, 6 neighbours"
    compare(tried, answer(values, coordinates, 6), torch.tensor(kept), tensors, hint)
    compare("a map that is the embedding", answer(values, values, 4), torch.tensor(1.0), {}, hint)


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Mean share of the entries of a row that are in the same row of the other."""
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(first, second, strict=True)]))


@check("new crystals in an old map", praise="The old points stay where they are, so two people can talk about one map.")
def check_place(answer: Callable[[np.ndarray, np.ndarray], Any]) -> None:
    """`answer(old, new)` are the coordinates of the new in the PCA map of the old, [n, 2]; signs do not matter.

    Columns are standardised with mean and standard deviation of the old.
    """
    values = _crystals()[0]
    old, new = values[:45], np.add(values[45:], [2.0, 0.1, 0.0, 1.0, 0.3])
    both, wanted = np.concatenate([old, new]), _placed(old, new, old)
    got = as_tensor("45 old and 15 new crystals", answer(old, new), torch.from_numpy(wanted))
    tried = "45 old and 15 new crystals (signs of the axes aside)"
    if got.shape == (len(old) + len(new), 2):
        raise Mistake(tried, f"{len(got)} points", f"{len(new)} points", "Return the new crystals only.")
    hint = "mean, std and axes from old; (new - mean) / std; project on the first two axes."
    wrong = {
        "The new crystals made a map of their own: fit on the old, transform the new.": _placed(new, new, new),
        "The map was fitted on old and new together, so the old points move: fit on the old only.": _placed(
            both, new, both
        ),
        "The new crystals were standardised by themselves: use mean and std of the old.": _placed(old, new, new),
        "Nothing was standardised: the widest column decides.": _raw(old, new),
    }
    signs = {words: torch.from_numpy(np.abs(value)) for words, value in wrong.items()}
    compare(tried, got.abs(), torch.from_numpy(np.abs(wanted)), signs, hint)


def _axes(values: np.ndarray) -> np.ndarray:
    """[H, 2] the first two principal axes of centred values."""
    return np.linalg.svd(values, full_matrices=False)[2][:2].T


def _placed(fitted: np.ndarray, new: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Some in the map of the fitted, in units of other ones."""
    return ((new - units.mean(0)) / units.std(0)) @ _axes((fitted - fitted.mean(0)) / fitted.std(0))


def _raw(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    return (new - old.mean(0)) @ _axes(old - old.mean(0))
