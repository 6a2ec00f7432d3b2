"""Checks of notebook 02: masking atoms, GNDN, and a delta read off a figure."""

from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..draws import Draws
from ..feedback import Mistake, check
from ..graphs import Batch, pack
from ..settings import GraphSettings
from ..structure_files import Cell

DELTA = 0.4  # A; of the trials
FACES = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
EDGE = np.array([0.5, 0, 0])
NOT_DRAWS = "Take the random numbers from the generator that is passed in, so that a rerun repeats."


@check("atom masking", "Right on average even in small cells, and no cell loses all its atoms.")
def check_hidden_atoms(answer: Callable[[int, float, np.random.Generator], Any]) -> None:
    """`answer(n, share, rng)` returns [n] booleans, true for the hidden; floor(share * n + u) of them, never all."""

    def hide(n: int, share: float, seed: int) -> np.ndarray:
        got = np.asarray(answer(n, share, np.random.default_rng(seed)))
        if got.shape != (n,) or got.dtype != bool:
            hint = "Return n booleans, true where an atom is hidden, not the numbers of the hidden atoms."
            raise Mistake(f"{n} atoms", f"shape {got.shape} of {got.dtype}", f"shape ({n},) of bool", hint)
        return got

    if not np.array_equal(hide(50, 0.3, 0), hide(50, 0.3, 0)):
        raise Mistake("the same generator twice", "two masks", "the same mask", NOT_DRAWS)
    _check_count([int(hide(1000, 0.1, seed).sum()) for seed in range(20)])
    for n, share in ((1, 0.5), (2, 0.9)):
        if any(hide(n, share, seed).all() for seed in range(50)):
            hint = "Never hide more than n - 1 atoms: max(1, ...) empties a cell of one atom."
            raise Mistake(f"a cell of {n}", "all atoms hidden", "at least one visible", hint)
    _check_share(float(np.mean([hide(4, 0.1, seed).mean() for seed in range(2000)])))
    often = np.mean([hide(10, 0.3, seed) for seed in range(400)], axis=0)
    if np.abs(often - 0.3).max() > 0.12:
        hint = "Every atom must have the same chance; shuffle them (rng.permutation) before you take the first few."
        raise Mistake("which of 10 atoms is hidden, 400 times", often.round(2).tolist(), "about 0.3 for each", hint)


def _check_count(counts: list[int]) -> None:
    """Of 1,000 atoms at a share of 0.1."""
    if set(counts) == {100}:
        return
    hint = "floor(0.1 * 1000 + u) is 100 for every u in [0, 1)."
    if min(counts) < 100 < max(counts):
        hint = "A coin for each atom gives another number every time, and may hide a whole cell. Fix the number first."
    elif set(counts) == {900}:
        hint = "The mask is inverted: true means hidden."
    elif min(counts) > 80 and max(counts) < 100:
        hint = "Some atoms were drawn twice: choose without replacement (rng.permutation, or replace=False)."
    raise Mistake("1000 atoms, share 0.1, 20 times", f"{min(counts)} to {max(counts)} hidden", "100 each time", hint)


def _check_share(mean: float) -> None:
    """Of 4 atoms at a share of 0.1, on average; three standard errors are 0.008."""
    if abs(mean - 0.1) < 0.015:
        return
    hint = "Add one uniform number u before the floor: floor(0.1 * 4 + u) is 1 in 40 % of the cases, else 0."
    if mean == 0:
        hint = "floor (or round) without u never hides an atom in a cell of four. " + hint
    elif abs(mean - 0.25) < 0.01:
        hint = "At least one hidden atom in every cell (max(1, ...), or ceil) is 25 % here, not 10 %. " + hint
    raise Mistake("4 atoms, share 0.1, 2000 times", f"{mean:.3f} hidden on average", 0.1, hint)


@cache
def trial_batch() -> Batch:
    """NaCl and Cu in conventional cells: 12 atoms, 144 edges."""
    salt = Cell(5.64 * np.eye(3), np.repeat([11, 17], 4), np.concatenate([FACES, FACES + EDGE]) % 1)
    copper = Cell(3.61 * np.eye(3), np.full(4, 29), FACES)
    return pack([salt, copper], GraphSettings()).batch(torch.arange(2))


@check("gndn", "Own noise for each edge and view, uniform, no edge touched, no distance below zero.")
def check_gndn(answer: Callable[[Batch, float, Draws], Any]) -> None:
    """`answer(batch, delta, draws)` returns the batch with U(-delta, delta) added to each distance."""
    batch = trial_batch()
    first = _noisy(answer, batch, DELTA, Draws(0, 0, 0))
    if not torch.equal(first.distance, _noisy(answer, batch, DELTA, Draws(0, 0, 0)).distance):
        raise Mistake("the same draws twice", "two noises", "the same noise", NOT_DRAWS)
    if torch.equal(first.distance, _noisy(answer, batch, DELTA, Draws(0, 0, 1)).distance):
        hint = "Both views get the same noise: nothing to learn. Use the draws that are passed in, not a fixed seed."
        raise Mistake("the draws of view 0 and of view 1", "the same distances", "different noise", hint)
    trials = torch.stack([_noisy(answer, batch, DELTA, Draws(1, i, 0)).distance - batch.distance for i in range(20)])
    _check_noise(trials.numpy(), batch.distance.numpy())
    close = replace(batch, distance=torch.full_like(batch.distance, 0.6))
    least = min(float(_noisy(answer, close, 1.0, Draws(2, i)).distance.min()) for i in range(3))
    if least <= 0:
        hint = "A distance is positive: clamp it (.clamp(min=0.1))."
        raise Mistake("distances of 0.6 Å with delta 1 Å", f"a least distance of {least:.2f} Å", "more than 0", hint)


def _noisy(answer: Callable[[Batch, float, Draws], Any], batch: Batch, delta: float, draws: Draws) -> Batch:
    """The learner's view, after checking what must not change."""
    given = replace(batch, **{name: getattr(batch, name).clone() for name in ("distance", "neighbour", "centre")})
    got, edges = answer(given, delta, draws), len(batch.distance)
    tried = f"{batch.size} crystals with {edges} edges"
    distance = got.distance if isinstance(got, Batch) else got
    if isinstance(distance, Tensor) and distance.ndim == 2:
        hint = "Noise on the Gaussian expansion is another method: shake the distance itself, before it is expanded."
        raise Mistake(tried, f"shape {tuple(distance.shape)}", f"shape ({edges},)", hint)
    if not isinstance(got, Batch):
        raise Mistake(tried, type(got).__name__, "a Batch", "Return dataclasses.replace(batch, distance=...).")
    if not torch.equal(given.distance, batch.distance):
        hint = "Do not change the batch in place (no +=): the other view needs it as it was."
        raise Mistake(tried, "a changed input", "a new batch", hint)
    for field in fields(Batch):
        if field.name != "distance" and not _equal(getattr(got, field.name), getattr(batch, field.name)):
            hint = "GNDN leaves the topology alone: replace the distances and nothing else."
            raise Mistake(tried, f"another `{field.name}`", "the same edges and atoms", hint)
    if distance.shape != batch.distance.shape:
        raise Mistake(tried, f"shape {tuple(distance.shape)}", f"shape ({edges},)", "Each edge keeps one distance.")
    return got


def _equal(one: Any, other: Any) -> bool:
    both = isinstance(one, Tensor) and isinstance(other, Tensor)
    return torch.equal(one, other) if both else one is other or one == other


# What is wrong with changes in units of delta, [trials, E], of edges [E] of some length; the first that fits is told.
NOISE_MISTAKES: dict[str, Callable[[np.ndarray, np.ndarray], bool]] = {
    "Nothing was added to the distances.": lambda change, length: not change.any(),
    "Many edges share one number. Draw a number of its own for each edge.": (
        lambda change, length: len(np.unique(change[0].round(4))) < 0.3 * len(length)
    ),
    "The noise grows with the distance: add delta * (2u - 1), do not multiply by the distance.": (
        lambda change, length: np.abs(change).max() > 1.001 and np.abs(change / length).max() <= 1.001
    ),
    "The noise has no limit, as if it were Gaussian (randn). GNDN is uniform between -delta and delta.": (
        lambda change, length: np.abs(change).max() > 1.001
    ),
    "The noise has one sign only: u is in [0, 1), but 2u - 1 is in [-1, 1).": (
        lambda change, length: change.min() > -0.05 or change.max() < 0.05
    ),
    "delta is the half-width: 2u - 1, not u - 0.5.": lambda change, length: np.abs(change).max() < 0.6,
    "Not all changes are equally likely: GNDN is uniform, neither Gaussian nor rounded.": (
        lambda change, length: _far_from_uniform(change)
    ),
}


def _far_from_uniform(change: np.ndarray) -> bool:
    from scipy.stats import kstest

    return bool(kstest(change.ravel(), "uniform", args=(-1, 2)).pvalue < 1e-4)


def _check_noise(change: np.ndarray, length: np.ndarray) -> None:
    """The noise of several draws [trials, E] is U(-DELTA, DELTA), an own number for each edge."""
    for hint, fits in NOISE_MISTAKES.items():
        if fits(change / DELTA, length):
            got = f"changes from {change.min():.2f} to {change.max():.2f} Å"
            raise Mistake(f"delta {DELTA} Å, 20 times", got, f"anything from -{DELTA} to {DELTA} Å", hint)


NEAR, FAR = 5.64 / 2, 5.64 / 2**0.5  # A; the first two shells of NaCl
DELTA_MISTAKES: dict[str, Callable[[float], bool]] = {
    "delta is a half-width, a positive length.": lambda got: got <= 0,
    "The axis is in Å; 1 Å is 100 pm.": lambda got: got >= 10,
    "That is the whole gap. The near shell moves out by delta and the far one in by delta.": (
        lambda got: abs(got - (FAR - NEAR)) < 0.1
    ),
    "The longest of the first shell pass the shortest of the second.": lambda got: got > (FAR - NEAR) / 2,
    "The shells stay apart, but a larger delta does not mix them either.": lambda got: got < 0.5,
}


@check("a delta for NaCl", "Up to half the distance between the shells no noise can exchange them.")
def check_delta(answer: Callable[[], float]) -> None:
    """`answer()` is the largest delta (A, one decimal) that keeps the first two shells of NaCl apart."""
    got = answer()
    if isinstance(got, str):
        raise Mistake("your delta", repr(got), "a number in Å", "Return a number without its unit.")
    for hint, fits in DELTA_MISTAKES.items():
        if fits(float(got)):
            wanted = f"the largest delta, to 0.1 Å, that keeps {NEAR:.2f} and {FAR:.2f} Å apart"
            shells = f"{got} (shells up to {NEAR + got:.2f} and from {FAR - got:.2f} Å)"
            raise Mistake("your delta", shells, wanted, hint)
