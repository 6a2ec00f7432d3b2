"""Each check of pretraining calls the right answer right and names the mistake in answers that are nearly right."""

import answers
import numpy as np
import pytest
from answers import assert_names

from spmat_nb.checks.pretraining import RUNS, check_effective_rank, check_predict_seconds, check_verdict
from spmat_nb.diagnostics import effective_rank

RANK = """
def answer(embeddings):
    centred = embeddings - embeddings.mean(0)
    squared = np.linalg.svd(centred, compute_uv=False) ** 2
    if squared.sum() < 1e-12:
        return 0.0
    share = squared / squared.sum()
    share = share[share > 0]
    return np.exp(-(share * np.log(share)).sum())
"""
VERDICT = """
def answer(history):
    loss, rank = history["loss"].to_numpy(), history["effective_rank"].to_numpy()
    grown = loss[-1] > 3 * loss.min() and loss[-1] > 0.5 * loss[0]
    if not np.isfinite(loss[-1]) or grown:
        return "diverged"
    return "collapsed" if rank[-1] < 2 else "healthy"
"""
SECONDS = """
def answer(history, crystals, more_crystals, epochs):
    seconds = history["seconds"].to_numpy()
    per_epoch = (seconds[-1] - seconds[0]) / (len(seconds) - 1)
    return per_epoch * more_crystals / crystals * epochs
"""


def function(source, *changes):
    return answers.function(source, *changes, np=np)


CHECKS = [(check_effective_rank, RANK), (check_verdict, VERDICT), (check_predict_seconds, SECONDS)]


@pytest.mark.parametrize(("check", "source"), CHECKS)
def test_a_right_answer_is_right_and_nothing_is_open(check, source):
    assert check(function(source)).state == "right"
    assert check(function(source, (source.splitlines()[2], "    raise NotImplementedError"))).state == "open"
    assert check(lambda *inputs: None).state == "wrong"


def test_the_rank_of_the_package_is_right():
    assert check_effective_rank(effective_rank)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([(" - embeddings.mean(0)", "")], "not centred"),
        ([("mean(0)", "mean(1, keepdims=True)")], "mean was taken over the dimensions"),
        ([("compute_uv=False) ** 2", "compute_uv=False)")], "not squared"),
        ([("** 2", "** 4")], "squared twice"),
        ([("np.exp(-(share * np.log(share)).sum())", "-(share * np.log(share)).sum()")], "This is the entropy"),
        ([("exp(-(share", "exp((share")], "mind the sign"),
        ([("np.log(share)", "np.log2(share)")], "base 2"),
        ([("np.exp(-(share * np.log(share)).sum())", "1 / (share**2).sum()")], "participation ratio"),
        (
            [("    squared =", "    centred /= np.maximum(centred.std(0), 1e-9)\n    squared =")],
            "standardised",
        ),
        ([("    squared =", "    return np.linalg.matrix_rank(centred)\n    squared =")], "ordinary rank"),
        ([("    share = share[share > 0]\n", "")], "0 * log 0"),
        ([("    if squared.sum() < 1e-12:\n        return 0.0\n", "")], "return 0 there"),
    ],
)
def test_a_mistake_in_the_rank_is_named(changes, words):
    with np.errstate(all="ignore"):
        assert_names(check_effective_rank(function(RANK, *changes)), words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([('"collapsed" if rank[-1] < 2 else "healthy"', '"healthy"')], "look at effective_rank"),
        ([("rank[-1] < 2", "rank.min() < 2")], "it has recovered"),
        ([("rank[-1] < 2", "rank[0] < 2.1")], "it has recovered"),
        ([("rank[-1] < 2", "rank.mean() < 2")], "not the first, the best or the mean"),
        ([("loss[-1] > 3 * loss.min()", "loss[-1] > 1.2 * loss[0]")], "Compare the last loss with the least"),
        ([("loss[-1] > 3", "loss.max() > 3"), (" and loss[-1] > 0.5 * loss[0]", "")], "It grew and came back"),
        ([("loss[-1] > 3 * loss.min() and", "loss[-1] > 1 or")], "no absolute scale"),
        ([(" and loss[-1] > 0.5 * loss[0]", "")], "trembles near zero"),
        ([("not np.isfinite(loss[-1]) or ", "")], "np.isfinite"),
        ([("or grown", "or (grown and rank[-1] >= 2)")], "diverged goes first"),
        ([('return "diverged"', 'return "healthy"')], "five times the least"),
        ([('else "healthy"', "else None")], "Return one of the three words"),
    ],
)
def test_a_mistake_in_the_verdict_is_named(changes, words):
    assert_names(check_verdict(function(VERDICT, *changes)), words)


def test_the_package_agrees_with_the_verdicts():
    """But for the rule which finding goes first, the words are those of `judge_history`."""
    import pandas as pd

    from spmat_nb.judgements import judge_history
    from spmat_nb.settings import PretrainSettings

    for _, loss, rank, wanted, _ in RUNS:
        history = pd.DataFrame({"epoch": range(1, len(loss) + 1), "loss": loss, "effective_rank": rank})
        keys = {finding.key for finding in judge_history(history, PretrainSettings())}
        grew = bool(keys & {"diverged", "non_finite"})
        assert wanted == ("diverged" if grew else "collapsed" if "collapsed" in keys else "healthy")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("(seconds[-1] - seconds[0]) / (len(seconds) - 1)", "seconds[-1] / len(seconds)")], "first epoch is in it"),
        ([("(len(seconds) - 1)", "len(seconds)")], "three epochs, not four"),
        ([("(seconds[-1] - seconds[0]) / (len(seconds) - 1)", "seconds.mean()")], "take the difference"),
        ([("(seconds[-1] - seconds[0]) / (len(seconds) - 1)", "seconds[-1]")], "last value is the whole run"),
        ([(" * more_crystals / crystals", "")], "number of crystals is not in it"),
        ([("more_crystals / crystals", "crystals / more_crystals")], "wrong way round"),
        ([("crystals * epochs", "crystals")], "This is one epoch"),
        ([("* epochs", "* epochs / 60")], "These are minutes"),
        ([(" / (len(seconds) - 1)", "")], "time of all its epochs"),
        ([("return per_epoch", "return 240 #")], "three epochs of 100 crystals"),
    ],
)
def test_a_mistake_in_the_time_is_named(changes, words):
    assert_names(check_predict_seconds(function(SECONDS, *changes)), words)
