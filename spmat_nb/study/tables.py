"""What the records of a study say: every arm against each reference, with intervals, and ranks."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from ..errors import InputError
from .records import Errors, errors_of, frame, whole_seeds
from .statistics import BETTER, OPEN, WORSE, holm, paired_change, ranks

Records = Sequence[dict[str, Any]]


def compare(records: Records, reference: str, seed: int = 0) -> pd.DataFrame:
    """All arms against one, on every target that both have; see `compare_pairs`."""
    arms = dict.fromkeys(one["arm"] for one in records)
    return compare_pairs(records, [(arm, reference) for arm in arms if arm != reference], seed)


def compare_pairs(records: Records, pairs: Iterable[tuple[str, str]], seed: int = 0) -> pd.DataFrame:
    """Arms against references, pair by pair, on every target that both have.

    Args:
        records: of one study.
        pairs: names of an arm and of the arm that it is measured against.
        seed: of the resampling.

    Returns:
        One row a target and pair: mae and std over seeds, change (in %) with low, high, p, p_holm (corrected for all
        pairs and targets of the table), detectable, each (seed by itself), seeds, crystals, judged (test or validation,
        as the crystals are), verdict, related (whether the label of the arm is a function of the target), and
        change_unseen with its interval: on the crystals, `unseen` many, whose formula no unstable crystal has. Empty
        where no pair has a seed with all folds.
    """
    pairs, rows = list(pairs), []
    for target in dict.fromkeys(target for target, _, _ in whole_seeds(records)):
        errors = errors_of(records, target)
        rows += [compare_one(errors, *pair, seed) for pair in pairs if errors.can_compare(*pair)]
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows)
    table.insert(list(table).index("p") + 1, "p_holm", holm(table["p"].to_numpy()))
    related = {
        (one["arm"], one["target"]) for one in records if one["metrics"].get("label_is_function_of_target", False)
    }
    flags = [(row.arm, row.target) in related for row in table.itertuples()]
    return table.assign(verdict=table.apply(verdict, axis=1), related=flags)


def compare_one(errors: Errors, arm: str, reference: str, seed: int = 0) -> dict[str, Any]:
    """One arm against the reference on one target."""
    ours, theirs = errors.pair(arm, reference)
    mae = ours.mean(1)  # [seeds]
    row = {
        "target": errors.target,
        "arm": arm,
        "reference": reference,
        "mae": float(mae.mean()),
        "std": float(mae.std(ddof=1)) if len(mae) > 1 else np.nan,
        "unit": errors.unit,
        "judged": errors.judged,
    }
    change = asdict(paired_change(ours, theirs, errors.groups, seed))
    row |= {"change" if name == "mean" else name: value for name, value in change.items()}
    unseen = ~errors.seen
    if unseen.all() or unseen.sum() < 2:
        return row
    part = paired_change(ours[:, unseen], theirs[:, unseen], errors.groups[unseen], seed)
    row |= {"change_unseen": part.mean, "low_unseen": part.low, "high_unseen": part.high}
    return row | {"unseen": int(unseen.sum())}


def levels(records: Records) -> pd.DataFrame:
    """MAE of every arm and target: mean, std and number of seeds, and of the median predictor.

    Folds are averaged; a seed that lacks one is left out.
    """
    table = _whole_frame(records).groupby(["target", "arm", "seed"], sort=False)[["mae", "median_mae"]].mean()
    grouped = table.groupby(level=["target", "arm"], sort=False)
    return grouped["mae"].agg(["mean", "std", "count"]).join(grouped["median_mae"].mean())


def _whole_frame(records: Records) -> pd.DataFrame:
    """`frame` of the seeds that have all folds."""
    whole = [one for group in whole_seeds(records).values() for one in group]
    if not whole:
        raise InputError("No seed of any arm has all folds yet.")
    return frame(whole)


def rank_table(records: Records) -> pd.DataFrame:
    """Mean rank of each arm over targets and seeds."""
    return ranks(_whole_frame(records).pivot_table("mae", ["target", "seed"], "arm", sort=False))


def verdict(row: "pd.Series") -> str:
    """In words what an interval says; with a single seed it covers the crystals alone and says nothing."""
    if row["p_holm"] < 0.05 and row["seeds"] > 1:
        return BETTER if row["change"] < 0 else WORSE
    return OPEN
