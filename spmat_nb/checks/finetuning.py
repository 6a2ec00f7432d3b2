"""Checks of notebook 07: units from training rows, a split by formula, the epoch to report, a paired comparison."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..feedback import Mistake, check
from .compare import compare

PARTS = ("train", "val", "test")
SHARES = (0.6, 0.2, 0.2)
TOLERANCE = 0.05  # of a share; whole formulas cannot reach it exactly


@check("normaliser", "Mean and standard deviation come from the training rows, so nothing of the test rows gets in.")
def check_normaliser(answer: Callable[[Tensor, Tensor], Any]) -> None:
    """`answer(values, train)` returns mean and standard deviation (n - 1) of the values [n] where train is true."""
    values = torch.tensor([-2.0, -1.5, -0.5, 0.5, 1.0, -3.0, 2.5, 4.0])
    train = torch.tensor([True, True, False, True, True, False, True, False])
    both = {name: torch.stack([v.mean(), v.std()]) for name, v in _parts_of(values, train).items()}
    wanted, known = both["train"], values[train]
    mistakes = {
        "These are of all rows. The test rows are in them: information leaks before training begins.": both["all"],
        "These are of the rows that are not for training. Is the mask inverted?": both["other"],
        "The mean is of all rows. Take both from the training rows.": torch.stack([both["all"][0], wanted[1]]),
        "The standard deviation is of all rows. Take both from the training rows.": torch.stack(
            [wanted[0], both["all"][1]]
        ),
        "You divided by n; the package divides by n - 1 (torch's `std` does, NumPy's does with ddof=1).": torch.stack(
            [wanted[0], known.std(correction=0)]
        ),
        "That is the variance: take its square root.": torch.stack([wanted[0], known.var()]),
        "That is the standard deviation first. Return the mean first.": wanted.flip(0),
        "That is the median; a normaliser takes the mean.": torch.stack([known.median(), wanted[1]]),
    }
    compare("8 values, 5 of them for training", _pair(answer(values, train)), wanted, mistakes, "Select, then reduce.")


def _parts_of(values: Tensor, train: Tensor) -> dict[str, Tensor]:
    return {"train": values[train], "all": values, "other": values[~train]}


def _pair(got: Any) -> Any:
    """Several numbers, also zero-dimensional tensors or arrays of one, as a flat list; anything else as it is."""
    return [float(x) for x in got] if isinstance(got, tuple | list) else got


@cache
def trial_formulas() -> pd.Series:
    """600 rows of 300 formulas with 1 to 4 polymorphs each, in no order."""
    rng = np.random.default_rng(7)
    names = [f"A{i}B" for i in range(300)]
    rows = names + list(rng.choice(names[:150], 300))
    return pd.Series(rng.permutation(rows), index=[f"id-{i}" for i in range(600)], name="formula")


@check("split by formula", "Polymorphs stay together, the shares are right, and a seed repeats it.")
def check_formula_split(answer: Callable[[pd.Series, int], Any]) -> None:
    """`answer(formulas, seed)` returns `train`, `val` or `test` for each row, 60 / 20 / 20 %, no formula in two."""
    formulas = trial_formulas()
    parts = _split(answer, formulas, 0)
    if not np.array_equal(parts, _split(answer, formulas, 0)):
        hint = "Make the generator inside, from the seed: np.random.default_rng(seed)."
        raise Mistake("the same seed twice", "two splits", "the same split", hint)
    _check_together(formulas, parts)
    if np.array_equal(parts, _split(answer, formulas, 1)):
        hint = "The seed does nothing. Cut a shuffled list of formulas: in order of the alphabet or of the file, the "
        raise Mistake("seeds 0 and 1", "the same split", "two splits", hint + "parts would differ in chemistry.")
    _check_shares(parts)


def _split(answer: Callable[[pd.Series, int], Any], formulas: pd.Series, seed: int) -> np.ndarray:
    """The learner's split as text, one entry a row."""
    got = answer(formulas.copy(), seed)
    if got is None:
        raise Mistake("600 rows", "nothing", "one part a row", "Does the function end with `return`?")
    parts = np.asarray(got.reindex(formulas.index) if _by_row(got, formulas) else got, dtype=object)
    if parts.shape != (len(formulas),):
        hint = "One entry a row, not one a formula: map the formulas to their parts (formulas.map(...))."
        raise Mistake("600 rows of 300 formulas", f"shape {parts.shape}", f"shape ({len(formulas)},)", hint)
    odd = set(parts) - set(PARTS)
    if odd or len(set(parts)) < len(PARTS):
        hint = "Three parts: `val` chooses the epoch, so that `test` is used only once."
        raise Mistake("600 rows", sorted(map(str, set(parts))), list(PARTS), hint)
    return parts


def _by_row(got: Any, formulas: pd.Series) -> bool:
    return isinstance(got, pd.Series) and set(got.index) == set(formulas.index)


def _check_together(formulas: pd.Series, parts: np.ndarray) -> None:
    kinds = pd.Series(parts, index=formulas.index).groupby(formulas).nunique()
    torn = int((kinds > 1).sum())
    if torn:
        hint = "Polymorphs are split apart: a model that saw one knows most of the other. Shuffle the different "
        hint += "formulas (formulas.unique()), not the rows, and cut that list."
        raise Mistake("300 formulas", f"{torn} of them in more than one part", "0", hint)


def _check_shares(parts: np.ndarray) -> None:
    counts = Counter(parts)
    shares = [counts[part] / len(parts) for part in PARTS]
    if np.abs(np.array(shares) - SHARES).max() > TOLERANCE:
        hint = "Cut the shuffled formulas at 60 % and at 80 %."
        raise Mistake("the shares", [round(share, 2) for share in shares], list(SHARES), hint)


@cache
def trial_histories() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two runs whose best epochs differ in training loss, validation and test error."""
    columns = ["epoch", "loss", "val_mae", "test_mae"]
    first = [[1, 0.9, 0.5, 0.3], [2, 0.7, 0.33, 0.41], [3, 0.5, 0.36, 0.52], [4, 0.2, 0.4, 0.44], [5, 0.25, 0.38, 0.46]]
    second = [[1, 0.8, 0.6, 0.62], [2, 0.6, 0.5, 0.21], [3, 0.4, 0.31, 0.35], [4, 0.1, 0.37, 0.39], [5, 0.2, 0.35, 0.4]]
    return pd.DataFrame(first, columns=columns), pd.DataFrame(second, columns=columns)


@check("the epoch to report", "Chosen on validation rows; the test rows are looked at once, after the choice.")
def check_honest_epoch(answer: Callable[[pd.DataFrame], Any]) -> None:
    """`answer(history)` returns the chosen epoch and the test error to report."""
    for history in trial_histories():
        got = _pair(answer(history.copy()))
        mistakes = {words: torch.tensor(value) for words, value in _wrong_epochs(history).items()}
        best = history.iloc[int(history["val_mae"].to_numpy().argmin())]
        wanted = torch.tensor([best["epoch"], best["test_mae"]])
        compare("a history of 5 epochs", got, wanted, mistakes, "Find the row of least val_mae, then read it.")


def _wrong_epochs(history: pd.DataFrame) -> dict[str, list[float]]:
    def of(column: str, error: str = "test_mae") -> list[float]:
        row = history.iloc[int(history[column].to_numpy().argmin())]
        return [row["epoch"], row[error]]

    last, best = history.iloc[-1], of("val_mae")
    later = float(history["test_mae"].iloc[int(best[0])])
    return {
        "That is the best test epoch. It was chosen by looking at the answers, so its error is too low.": of(
            "test_mae"
        ),
        "That is the epoch of least training loss, which rewards learning by heart. Choose by val_mae.": of("loss"),
        "That is the last epoch. The run keeps the epoch that is best on the validation rows.": [
            last["epoch"],
            last["test_mae"],
        ],
        "That is the validation error. It was used to choose, so it is too low: report test_mae.": of(
            "val_mae", "val_mae"
        ),
        "The epoch is right, but the error is the least test error of all epochs.": [best[0], of("test_mae")[1]],
        "That is the position of the row, from 0. Read the column `epoch`.": [best[0] - 1, best[1]],
        "The epoch is right, but the error is one row further down: positions begin at 0, epochs at 1.": [
            best[0],
            later,
        ],
    }


@cache
def trial_arms() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Absolute errors (eV/atom) of two arms: a row a seed, in different order, a column a test crystal."""
    rng = np.random.default_rng(3)
    level = pd.Series([0.10, 0.14, 0.20, 0.26], index=[0, 1, 2, 3])
    noise = rng.uniform(0.5, 1.5, (2, 4, 30))
    change = np.array([-0.09, -0.02, -0.06, 0.01])
    control = pd.DataFrame(noise[0] * level.to_numpy()[:, None], index=level.index)
    arm = pd.DataFrame(noise[1] * level.to_numpy()[:, None], index=level.index)
    arm = arm.mul(control.mean(axis=1) / arm.mean(axis=1) * (1 + change), axis=0)
    return control, arm.loc[[2, 0, 3, 1]]


@check("paired comparison", "Each seed is compared with itself, so what both arms share cancels.")
def check_paired_change(answer: Callable[[pd.DataFrame, pd.DataFrame], Any]) -> None:
    """`answer(control, arm)` returns mean, least and most of the paired change of the MAE in per cent of the control.

    Both are absolute errors with a row a seed and a column a test crystal.
    """
    control, arm = trial_arms()
    before, after = control.mean(axis=1), arm.mean(axis=1)
    wanted = _three(_percent(after / before))
    tried = "4 seeds of 30 test crystals, the arms' seeds in different order"
    mistakes = {
        words: torch.tensor(value, dtype=torch.float64) for words, value in _wrong_changes(before, after).items()
    } | {words: torch.tensor(value, dtype=torch.float64) for words, value in _over_rows(control, arm).items()}
    hint = "MAE of each seed first, then one change a seed, then mean, least and most of these."
    compare(tried, _pair(answer(control.copy(), arm.copy())), torch.tensor(wanted, dtype=torch.float64), mistakes, hint)


def _percent(ratio: Any) -> np.ndarray:
    return 100 * (np.asarray(ratio) - 1)


def _three(change: np.ndarray) -> list[float]:
    return [float(change.mean()), float(change.min()), float(change.max())]


def _wrong_changes(before: pd.Series, after: pd.Series) -> dict[str, Sequence[float]]:
    right = _percent(after / before)
    mean, least, most = _three(right)
    ratio = _percent(after.mean() / before.mean())
    unpaired = _percent([after.mean() / before.mean(), after.min() / before.max(), after.max() / before.min()])
    mixed = _percent(after.to_numpy()[:, None] / before.to_numpy()[None, :])  # [seeds, seeds]
    apart = "Unpaired: you compared the best seed of one arm with the worst of the other. Compare equal seeds."
    deviation = float(right.std(ddof=1))
    return {
        "You paired by position, but the rows are in different order. Pair by the seed, which is the index.": _three(
            _percent(after.to_numpy() / before.to_numpy())
        ),
        apart: unpaired.tolist(),
        "Unpaired: every seed was compared with every other. Compare equal seeds.": _three(mixed),
        "Unpaired: " + "least and most must come from the changes of the seeds.": [mean, *unpaired[1:]],
        "The sign: a change below zero means that the arm has the smaller error.": _three(-right),
        "The other way round: divide by the control.": _three(_percent(before / after)),
        "You divided by the arm; divide by the control.": _three(100 * np.asarray(1 - before / after)),
        "In per cent: times 100.": _three(right / 100),
        "These are differences in eV/atom; the change in per cent divides by the control.": _three(
            np.asarray(after - before)
        ),
        "These are mean and standard deviation over seeds; asked are the least and the most change.": [
            mean,
            mean - deviation,
            mean + deviation,
        ],
        "The mean is a ratio of means, which the seeds with large errors rule. Take the mean of the changes.": [
            float(ratio),
            least,
            most,
        ],
    }


def _over_rows(control: pd.DataFrame, arm: pd.DataFrame) -> dict[str, Sequence[float]]:
    """A spread over test crystals where one over seeds is asked."""
    mean = float(_percent(arm.mean(axis=1) / control.mean(axis=1)).mean())
    by_crystal = _percent(arm.mean() / control.mean())
    deviation = 100 * float((arm.mean() - control.mean()).std()) / float(control.to_numpy().mean())
    words = "spread over test rows says how crystals differ, not whether another run would agree. Take it over seeds."
    return {
        "A " + words: _three(by_crystal),
        "The " + words: [mean, float(by_crystal.min()), float(by_crystal.max())],
        "A standard deviation as " + words: [mean, mean - deviation, mean + deviation],
    }
