"""Checks of assignment a2: GNDN on other crystals, topology, the width of the noise, exchanged shells, a choice."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ..augment import MIN_DISTANCE, gndn
from ..draws import Draws
from ..feedback import Mistake, check
from ..graphs import Batch
from .compare import compare

NOISE_HINT = 'Add delta * (2u - 1) with u = draws.uniform(batch.edge_id, "distances"), then .clamp(min=0.1).'


@check("gndn on other crystals", "The same noise for the same draws, in any cell and at any delta.")
def check_gndn_exactly(
    answer: Callable[[Batch, float, Draws], Any], batches: Mapping[str, Batch], deltas: Iterable[float]
) -> None:
    """`answer(batch, delta, draws)` gives the very distances of `augment.gndn`, and leaves all else alone.

    Args:
        answer: the learner's function.
        batches: crystals by a name that the learner may read.
        deltas: half-widths in A.
    """
    for number, (name, batch) in enumerate(batches.items()):
        for delta in deltas:
            draws, tried = Draws(5, number), f"{name}, delta {delta} Å"
            got = answer(batch, delta, draws)
            if not isinstance(got, Batch):
                hint = "Return dataclasses.replace(batch, distance=...): a batch with other distances."
                raise Mistake(tried, type(got).__name__, "a Batch", hint)
            if not _same_edges(got, batch):
                hint = "GNDN leaves the topology alone: replace the distances and nothing else."
                raise Mistake(
                    tried, f"{len(got.centre)} other edges", f"the {len(batch.centre)} edges there were", hint
                )
            wanted = gndn(batch, delta, draws).distance
            compare(tried, got.distance, wanted, _wrong_noise(batch, delta, draws, wanted), NOISE_HINT)


def _same_edges(one: Batch, other: Batch) -> bool:
    pairs = ((one.centre, other.centre), (one.neighbour, other.neighbour), (one.z, other.z))
    return all(torch.equal(first, second) for first, second in pairs)


def _wrong_noise(batch: Batch, delta: float, draws: Draws, right: Tensor) -> dict[str, Tensor]:
    """What usual mistakes give; those that give the right value here are left out."""
    d, u = batch.distance, draws.uniform(batch.edge_id, "distances")
    wrong = {
        "Nothing was added to the distances.": d,
        "A distance is at least 0.1 Å: clamp it.": d + delta * (2 * u - 1),
        "Clamp at 0.1 Å, not at 0: a distance of 0 is two atoms in one place.": (d + delta * (2 * u - 1)).clamp(min=0),
        "The noise has one sign only: u is in [0, 1), but 2u - 1 is in [-1, 1).": (d + delta * u).clamp(
            min=MIN_DISTANCE
        ),
        "delta is the half-width: 2u - 1, not u - 0.5.": (d + delta * (u - 0.5)).clamp(min=MIN_DISTANCE),
        "The noise grows with the distance: add delta * (2u - 1), do not multiply by the distance.": (
            d * (1 + delta * (2 * u - 1))
        ).clamp(min=MIN_DISTANCE),
        "i-j and j-i share one number: draw by batch.edge_id, not by batch.pair_id.": (
            gndn(batch, delta, draws, symmetric=True).distance
        ),
        "delta is fixed at 0.5 Å: use the one that is passed in.": gndn(batch, 0.5, draws).distance,
    }
    return {words: value for words, value in wrong.items() if not torch.allclose(value, right, 1e-4, 1e-6)}


TOPOLOGY_HINT = "The same atoms, the same `centre` and the same `neighbour`, in their order; distances may differ."


@check("the same topology", "It looks at who is connected to whom, and at nothing else.")
def check_same_topology(answer: Callable[[Batch, Batch], Any], cases: Mapping[str, tuple[Batch, Batch, bool]]) -> None:
    """`answer(before, after)` says whether two graphs have the same atoms and edges, whatever the distances.

    Args:
        answer: the learner's function.
        cases: two batches by what was done to the second, with the right answer.
    """
    for name, (before, after, wanted) in cases.items():
        got = answer(before, after)
        if isinstance(got, Tensor) and got.numel() == 1:
            got = got.item()
        if not isinstance(got, bool):
            hint = "Return one True or False: torch.equal(a, b), or bool((a == b).all())."
            raise Mistake(name, type(got).__name__, "True or False", hint)
        if got != wanted:
            hint = TOPOLOGY_HINT
            if wanted:
                hint = "Only numbers on the edges have changed. Do not compare distances. " + TOPOLOGY_HINT
            elif len(before.centre) == len(after.centre):
                hint = "There are as many edges, but not the same ones: compare the ends. " + TOPOLOGY_HINT
            raise Mistake(name, got, wanted, hint)


@check("width of the noise", "So two kinds of noise can be compared fairly: at equal standard deviation.")
def check_noise_std(answer: Callable[[float], float], deltas: Iterable[float]) -> None:
    """`answer(delta)` is the standard deviation (A) of U(-delta, delta)."""
    for delta in deltas:
        wrong = {
            "That is the half-width itself; most draws are nearer to 0.": delta,
            "That is the mean size of a draw; square first, then the mean, then the root.": delta / 2,
            "That is the variance: take its square root.": delta**2 / 3,
            "That is for a full width of delta; here the full width is 2 delta.": delta / math.sqrt(12),
            "That is for a full width of 4 delta; -delta to delta is 2 delta wide.": 2 * delta / math.sqrt(3),
            "That is for the sum of two draws.": delta * math.sqrt(2 / 3),
            "That is for a triangular density; all draws are equally likely.": delta / math.sqrt(6),
            "A number in Å, not in per cent.": 100 * delta / math.sqrt(3),
        }
        hint = "The mean of x² over -delta to delta is delta² / 3."
        _compare_number(f"delta {delta} Å", answer(delta), delta / math.sqrt(3), wrong, hint)


@check("exchanged shells", "Below half the gap nothing can be exchanged; far above it, every second pair is.")
def check_exchanged(answer: Callable[[float, float], float], cases: Sequence[tuple[float, float]]) -> None:
    """`answer(gap, delta)` is the share of draws that put a near edge beyond a far one: two uniform draws."""
    hint = "The difference of two draws is triangular: (2δ - g)² / (8δ²) if 2δ > g, else 0."
    for gap, delta in cases:
        beyond = max(2 * delta - gap, 0.0)
        right = beyond**2 / (8 * delta**2)
        wrong = {
            "A negative 2δ - g becomes positive when it is squared: below half the gap the share is 0.": (
                (2 * delta - gap) ** 2 / (8 * delta**2)
            ),
            "Half of that: the whole square of draws has an area of 4δ², and the corner is a triangle.": 2 * right,
            "Twice that: the triangle was halved twice.": right / 2,
            "A share between 0 and 1, not per cent.": 100 * right,
            "The square is missing: it is the area of a triangle, not its edge.": beyond / (4 * delta),
            "Only the near edge moves in this answer. The far one is shaken as well.": (
                max(delta - gap, 0.0) / (2 * delta)
            ),
            "That is the share that is not exchanged.": 1 - right,
        }
        _compare_number(f"a gap of {gap} Å, delta {delta} Å", answer(gap, delta), right, wrong, hint)


def _compare_number(tried: str, got: Any, right: float, wrong: Mapping[str, float], hint: str) -> None:
    """Compare one number; mistakes that give the right value here are left out."""
    named = {
        w: torch.tensor(v, dtype=torch.float64) for w, v in wrong.items() if not math.isclose(v, right, rel_tol=1e-3)
    }
    compare(tried, got, torch.tensor(right, dtype=torch.float64), named, hint)


CHOICE_HINT = "Keep the rows that meet both conditions (<=), then take the largest δ of them; None if there is none."


@check("a delta from evidence", "A rule that was written down before the table was seen.")
def check_choice(
    answer: Callable[[pd.DataFrame, float, float], Any], tables: Mapping[str, tuple[Any, float, float]]
) -> None:
    """`answer(evidence, alike, exchanged)` is the largest delta (the index) with both columns at most at the limits.

    Args:
        answer: the learner's function.
        tables: by a name: {delta: (alike, exchanged)}, and both limits.
    """
    for name, (rows, most_alike, most_exchanged) in tables.items():
        evidence = pd.DataFrame.from_dict(rows, orient="index", columns=["alike", "exchanged"])
        fits = (evidence["alike"] <= most_alike) & (evidence["exchanged"] <= most_exchanged)
        wanted = float(evidence.index[fits].max()) if fits.any() else None
        got = answer(evidence.copy(), most_alike, most_exchanged)
        _judge_choice(name, got, wanted, evidence, (most_alike, most_exchanged))


def _judge_choice(
    name: str, got: Any, wanted: float | None, evidence: pd.DataFrame, limits: tuple[float, float]
) -> None:
    if wanted is None or got is None:
        if wanted is None and got is not None:
            hint = "No δ meets both conditions here. Return None, so that nobody takes a bad one for a choice."
            raise Mistake(name, got, None, hint)
        if got is None and wanted is not None:
            inside = (evidence["alike"] < limits[0]) & (evidence["exchanged"] < limits[1])
            hint = (
                "Does the function end with `return`? "
                if inside.any()
                else "At most means <=: a value on the limit counts. "
            )
            raise Mistake(name, "nothing", wanted, hint + CHOICE_HINT)
        return
    wrong = {words: value for words, value in _wrong_choices(evidence, *limits).items() if value != wanted}
    _compare_number(name, got, wanted, wrong, CHOICE_HINT)


def _wrong_choices(evidence: pd.DataFrame, most_alike: float, most_exchanged: float) -> dict[str, float]:
    """What mistaken rules choose from a table; rules that choose nothing are left out."""
    seen, kept = evidence["alike"] <= most_alike, evidence["exchanged"] <= most_exchanged
    strict = (evidence["alike"] < most_alike) & (evidence["exchanged"] < most_exchanged)
    both = evidence[seen & kept]
    rules = {
        "That is the smallest δ that meets both; the largest was asked for.": both.index.min(),
        "The likeness is not looked at: at this δ the network can hardly see the noise.": evidence.index[kept].max(),
        "The exchanged shells are not looked at: too many are lost at this δ.": evidence.index[seen].max(),
        "At most means <=: a value on the limit counts.": evidence.index[strict].max(),
        "That is the last row that meets both; the table is not sorted by δ.": both.index[-1],
        "That is the number of a row; δ is the index.": float(len(evidence) - 1),
        "Both conditions have to hold, not one of them.": evidence.index[seen | kept].max(),
        "That is the largest δ of the table, whatever the evidence.": evidence.index.max(),
    }
    return {words: float(value) for words, value in rules.items() if pd.notna(value)}
