"""Checks of the exercises about pretraining: effective rank, a verdict on a run, and how long a longer run takes."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..diagnostics import effective_rank
from ..feedback import Mistake, check
from .compare import compare

VERDICTS = ("healthy", "collapsed", "diverged")


@check("effective rank", praise="So 128 dimensions may hold the content of three: the number says it, the loss not.")
def check_effective_rank(answer: Callable[[np.ndarray], float]) -> None:
    """`answer(embeddings)` is `diagnostics.effective_rank` of a [B, H] array; 0 when all embeddings are equal."""
    cloud, line = _cloud(), np.outer(np.arange(6.0), [1.0, 2.0, 0.0])
    hint = "Centre; singular values; square; divide by their sum; entropy with the natural logarithm; exp."
    wanted = torch.tensor(effective_rank(cloud))
    compare("40 embeddings of 4 dimensions", answer(cloud), wanted, _wrong_ranks(cloud), hint)
    nothing = "A share of 0 gives 0 * log 0, which is NaN: leave such shares out of the sum, they add 0."
    compare("six embeddings on a line", answer(line), torch.tensor(1.0), {}, nothing)
    point = "All embeddings are equal, so all singular values are 0 and there is no share: return 0 there."
    compare("five equal embeddings", answer(np.full((5, 3), 2.0)), torch.tensor(0.0), {}, point)


def _cloud() -> np.ndarray:
    """[40, 4] embeddings of unequal spread, away from the origin, the same ones every time."""
    return np.random.default_rng(0).normal(size=(40, 4)) * [3.0, 1.5, 0.7, 0.2] + [2.0, -1.0, 0.5, 4.0]


def _shares(values: np.ndarray, power: int = 2) -> np.ndarray:
    singular = np.linalg.svd(values, compute_uv=False) ** power
    return singular / singular.sum()


def _wrong_ranks(x: np.ndarray) -> dict[str, Tensor]:
    """What usual mistakes give."""
    centred = x - x.mean(0)
    right, per_row = _shares(centred), x - x.mean(1, keepdims=True)
    entropy = -(right * np.log(right)).sum()
    wrong = {
        "The embeddings are not centred: the mean of all of them is no direction in which they differ.": _rank(
            _shares(x)
        ),
        "The mean was taken over the dimensions of each crystal: take it over the crystals (axis 0).": _rank(
            _shares(per_row)
        ),
        "The singular values are not squared: the variance along a direction is the square.": _rank(
            _shares(centred, 1)
        ),
        "The singular values are squared twice: those of the covariance are squares already.": _rank(
            _shares(centred, 4)
        ),
        "This is the entropy; its exponential is the number of dimensions.": entropy,
        "The exponential of minus the entropy is below 1: mind the sign.": math.exp(-entropy),
        "A logarithm to the base 2 asks for 2 ** entropy; with exp use the natural logarithm.": math.exp(
            entropy / math.log(2)
        ),
        "This is 1 over the sum of squared shares, the participation ratio: a relative, but not this one.": (
            1 / (right**2).sum()
        ),
        "This is the ordinary rank: it counts a direction of a thousandth of the spread like the widest one.": 4.0,
        "The columns were standardised: the widest and the narrowest dimension must not count the same.": _rank(
            _shares(centred / x.std(0))
        ),
    }
    return {words: torch.tensor(float(value)) for words, value in wrong.items()}


def _rank(shares: np.ndarray) -> float:
    return float(np.exp(-(shares * np.log(shares)).sum()))


@check("verdict on a run", praise="The loss alone told you neither: it fell in a collapsed run and rose in a good one.")
def check_verdict(answer: Callable[[pd.DataFrame], str]) -> None:
    """`answer(history)` is "healthy", "collapsed" or "diverged", by the last epoch.

    Collapsed is an effective rank below 2 in the last epoch. Diverged is a loss that is not finite, or a last loss
    above three times the least and above half the first; it goes before collapsed.
    """
    for tried, loss, rank, wanted, hint in RUNS:
        history = pd.DataFrame({"epoch": range(1, len(loss) + 1), "loss": loss, "effective_rank": rank})
        got = answer(history)
        if got not in VERDICTS:
            raise Mistake(tried, repr(got), f"one of {', '.join(VERDICTS)}", "Return one of the three words.")
        if got != wanted:
            raise Mistake(tried, repr(got), repr(wanted), hint)


Run = tuple[str, list[float], list[float], str, str]
RUNS: tuple[Run, ...] = (
    ("a loss from 0.9 to 0.36", [0.9, 0.5, 0.36], [6.3, 4.0, 3.5], "healthy", "It falls, and the rank stays above 2."),
    (
        "a falling loss with an effective rank of 1.6",
        [0.99, 0.6, 0.47],
        [2.0, 1.7, 1.6],
        "collapsed",
        "A falling loss says nothing about collapse: look at effective_rank.",
    ),
    (
        "a rank that begins at 1.5 and ends at 5",
        [0.9, 0.6, 0.4],
        [1.5, 3.0, 5.0],
        "healthy",
        "Only the last epoch counts: it has recovered.",
    ),
    (
        "a rank that begins at 5 and ends at 1.4",
        [0.9, 0.6, 0.4],
        [5.0, 3.0, 1.4],
        "collapsed",
        "Only the last epoch counts, not the first, the best or the mean.",
    ),
    (
        "a loss of 0.9, 0.3, 1.5",
        [0.9, 0.3, 1.5],
        [6.0, 5.0, 5.0],
        "diverged",
        "The last loss is five times the least.",
    ),
    (
        "a loss of 0.9, 0.2, 0.8, below its first value",
        [0.9, 0.2, 0.8],
        [6.0, 5.0, 5.0],
        "diverged",
        "Compare the last loss with the least, not only with the first.",
    ),
    (
        "a loss of 0.9, 3.0, 0.3",
        [0.9, 3.0, 0.3],
        [6.0, 4.0, 4.0],
        "healthy",
        "It grew and came back: compare the last loss with the least, not the largest with the least.",
    ),
    (
        "a supervised SimCLR loss from 5.5 to 5.2",
        [5.5, 5.3, 5.2],
        [6.0, 5.0, 5.0],
        "healthy",
        "A loss has no absolute scale: its floor depends on the loss and the batch. Compare it with itself.",
    ),
    (
        "a loss of 1.0, 0.0001, 0.0005",
        [1.0, 0.0001, 0.0005],
        [6.0, 5.0, 5.0],
        "healthy",
        "It trembles near zero: diverged asks for more than half of the first loss as well.",
    ),
    (
        "a loss that is NaN in the last epoch",
        [0.9, 0.5, math.nan],
        [6.0, 5.0, 5.0],
        "diverged",
        "NaN compares as false with everything: ask np.isfinite first.",
    ),
    (
        "a loss that grew, with a rank of 1.2",
        [0.9, 0.3, 2.0],
        [6.0, 2.0, 1.2],
        "diverged",
        "Both hold; diverged goes first.",
    ),
)


@check("time of a longer run", praise="A small run of seconds tells you whether to wait, or to go home.")
def check_predict_seconds(answer: Callable[[pd.DataFrame, int, int, int], float]) -> None:
    """`answer(history, crystals, more_crystals, epochs)` predicts the seconds of a longer run.

    The column `seconds` counts from the start of the run. The first epoch also compiles and is left out.
    """
    history = pd.DataFrame({"epoch": [1, 2, 3, 4], "seconds": [9.0, 11.0, 13.5, 15.0]})
    per_epoch = 2.0  # (15 - 9) / 3 epochs
    crystals, more, epochs = 500, 4000, 15
    right = per_epoch * more / crystals * epochs
    wrong: dict[str, float] = {
        "The first epoch is in it: it also compiles, which happens once. Start the clock after it.": (
            15.0 / 4 * 8 * epochs
        ),
        "From the end of epoch 1 to the end of epoch 4 there are three epochs, not four.": 6.0 / 4 * 8 * epochs,
        "seconds counts from the start of the run: take the difference of the last and the first.": (
            history["seconds"].mean() * 8 * epochs
        ),
        "seconds counts from the start of the run: the last value is the whole run, not an epoch.": 15.0 * 8 * epochs,
        "The number of crystals is not in it: eight times as many take eight times as long.": per_epoch * epochs,
        "The number of crystals is the wrong way round.": per_epoch * crystals / more * epochs,
        "This is one epoch; multiply by their number.": per_epoch * 8,
        "These are minutes; the exercise asks for seconds.": right / 60,
        "The epochs are counted as if the short run had given the time of all its epochs together.": (6.0 * 8 * epochs),
    }
    hint = "(last - first seconds) / (epochs between them), times more_crystals / crystals, times epochs."
    tensors = {words: torch.tensor(float(value)) for words, value in wrong.items()}
    tried = "four epochs of 500 crystals at 9, 11, 13.5 and 15 s, to predict 15 epochs of 4000"
    compare(tried, answer(history, crystals, more, epochs), torch.tensor(right), tensors, hint)
    _tried_again(answer, hint)


def _tried_again(answer: Callable[..., Any], hint: str) -> None:
    """Another case, so that numbers written into the answer are found."""
    history = pd.DataFrame({"epoch": [1, 2, 3], "seconds": [2.0, 5.0, 8.0]})
    compare("three epochs of 100 crystals", answer(history, 100, 50, 4), torch.tensor(6.0), {}, hint)
