"""Is the difference more than chance? Paired intervals over seeds and test crystals, corrections, ranks.

Errors of two arms come as [seeds, crystals]; both arms have the same seeds and the same test crystals.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

DRAWS = 4000  # of the bootstrap
LEVEL = 0.95  # of the intervals
BETTER, WORSE, OPEN = "better", "worse", "not told apart"  # what a corrected p says
POWER = 0.8  # with which the smallest detectable effect would be seen


@dataclass(frozen=True)
class Change:
    """A paired change of the mean absolute error against a reference, in per cent of the reference.

    Attributes:
        mean: of the change; negative is better.
        low: end of the interval.
        high: end of the interval.
        p: two-sided, of no change.
        detectable: the smallest true change that would be seen with a probability of 80 %.
        each: of every seed by itself.
        seeds: how many.
        crystals: how many.
    """

    mean: float
    low: float
    high: float
    p: float
    detectable: float
    each: tuple[float, ...]
    seeds: int
    crystals: int


def paired_change(
    errors: np.ndarray, reference: np.ndarray, groups: Sequence[object] | np.ndarray, seed: int = 0, draws: int = DRAWS
) -> Change:
    """Relative change of the MAE with an interval over seeds and test crystals.

    The logarithm of the ratio of two MAEs is resampled over seeds and over formulas at once (polymorphs stay together),
    with one seed and one formula fewer than there are, which makes the variance unbiased. Few seeds make a percentile
    interval too short, so the standard error is multiplied by Student's t; its degrees of freedom come from the parts
    that seeds and crystals have in the variance (Satterthwaite). Our choice; a simulation in the tests checks that the
    interval covers the truth.

    Args:
        errors: [seeds, crystals] absolute errors of the arm.
        reference: the same of what it is compared with.
        groups: [crystals] formula of each.
        seed: of the resampling.
        draws: how many.
    """
    from scipy.stats import t as student

    sums = np.stack([by_group(errors, groups), by_group(reference, groups)])  # [2, seeds, groups]
    each = _log_ratio(sums.sum(2))  # [seeds]
    value = float(_log_ratio(sums.sum((1, 2))))
    variance = {part: _resampled(sums, part, seed, draws).var() for part in ("both", "seeds", "groups")}
    error = float(np.sqrt(variance["both"]))
    freedom = _degrees_of_freedom(variance["seeds"], variance["groups"], sums.shape[1] - 1, sums.shape[2] - 1)
    width = student.ppf(0.5 + LEVEL / 2, freedom) * error
    p = float(2 * student.sf(abs(value) / error, freedom)) if error > 0 else float(value == 0)
    detectable = (student.ppf(0.5 + LEVEL / 2, freedom) + student.ppf(POWER, freedom)) * error
    mean, low, high = (percent(number) for number in (value, value - width, value + width))
    of_seeds = tuple(percent(number) for number in each)
    return Change(mean, low, high, p, percent(detectable), of_seeds, errors.shape[0], errors.shape[1])


def by_group(errors: np.ndarray, groups: Sequence[object] | np.ndarray) -> np.ndarray:
    """Sums of the errors of each group, [seeds, groups]."""
    _, place = np.unique(np.asarray(groups), return_inverse=True)
    return np.stack([np.bincount(place, weights=row) for row in errors])


def percent(log_ratio: float) -> float:
    """A change in per cent from the logarithm of a ratio."""
    return float(100 * np.expm1(log_ratio))


def _log_ratio(sums: np.ndarray) -> np.ndarray:
    """Logarithm of the first over the second of two sums of errors, [2, ...] to [...]."""
    return np.log(sums[0]) - np.log(sums[1])


def _resampled(sums: np.ndarray, part: str, seed: int, draws: int) -> np.ndarray:
    """Log ratios, [draws], with seeds or groups or both drawn with replacement."""
    _, seeds, groups = sums.shape
    weight_s = _weights(seed, seeds, draws) if part in ("both", "seeds") else np.full((draws, seeds), 1 / seeds)
    # [2, seeds, draws], or [2, seeds, 1] where groups are not drawn
    of_seed = sums.mean(2)[..., None] if part == "seeds" else sums @ _weights(seed + 1, groups, draws).T
    return _log_ratio((of_seed * weight_s.T).sum(1))


@lru_cache(maxsize=8)
def _weights(seed: int, count: int, draws: int) -> np.ndarray:
    """How often each of `count` is drawn, [draws, count], as shares; one fewer is drawn than there are.

    The same for all arms of a table, which is faster and makes their intervals comparable.
    """
    if count == 1:
        return np.ones((draws, 1))
    drawn = np.random.default_rng([seed, count]).integers(count, size=(draws, count - 1))
    places = drawn + count * np.arange(draws)[:, None]
    return np.bincount(places.ravel(), minlength=draws * count).reshape(draws, count) / (count - 1)


def _degrees_of_freedom(of_seeds: float, of_groups: float, seeds: int, groups: int) -> float:
    """Satterthwaite's number for the sum of two variances, each estimated with its own degrees of freedom."""
    parts = [(v, n) for v, n in ((of_seeds, seeds), (of_groups, groups)) if n > 0 and v > 0]
    if not parts:
        return float(max(seeds, groups, 1))
    return sum(v for v, _ in parts) ** 2 / sum(v**2 / n for v, n in parts)


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Values of p corrected for their number by Holm's method (1979): the least times n, the next times n - 1, ..."""
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    raised = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(raised, 1.0)
    return corrected


def ranks(mae: pd.DataFrame) -> pd.DataFrame:
    """Rank of each arm: mean over the rows, best and worst, and in how many rows it was first.

    Args:
        mae: a row a target and seed, a column an arm; rows with holes are left out. Equal errors share their rank.
    """
    placed = mae.dropna().rank(axis=1)
    table = placed.agg(["mean", "min", "max"]).T.rename(columns={"min": "best", "max": "worst"})
    return table.assign(first=(placed == 1).sum(), rows=len(placed)).sort_values("mean", kind="stable")
