"""Each check of notebook 08 calls the right answer right and names the mistake in answers that are nearly right."""

import numpy as np
import pytest
from answers import assert_names, function

from spmat_nb.checks.study import ARM, CONTROLS, P, check_controls, check_holm, check_redraw
from spmat_nb.study.declared import read_study
from spmat_nb.study.statistics import holm


def todo(*inputs):
    raise NotImplementedError


@pytest.mark.parametrize("check", [check_redraw, check_holm, check_controls])
def test_nothing_is_open_and_none_is_wrong(check):
    assert check(todo).state == "open"
    assert_names(check(lambda *inputs: None), "Does the function end with `return`?")


REDRAW = """
def answer(formulas, rng):
    names = np.unique(formulas)
    drawn = rng.choice(names, len(names))
    return np.concatenate([np.flatnonzero(formulas == name) for name in drawn])
"""


def test_whole_formulas_with_replacement_are_right():
    assert check_redraw(function(REDRAW, np=np))


CHOICE = "rng.choice(names, len(names))"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (CHOICE, "rng.permutation(names)", "with replacement"),
        (CHOICE, "rng.choice(names, 3)", "as many formulas as there are, 6"),
        (CHOICE, "np.random.default_rng(0).choice(names, len(names))", "passed in, rng"),
        (CHOICE, "rng.choice(formulas, len(names))", "as likely as any other"),
        ("np.unique(formulas)", "formulas", "as many formulas as there are, 6"),
        ("return np.concatenate", "return drawn; np.concatenate", "These are formulas"),
        ("return np.concatenate", "return np.isin(formulas, drawn); np.concatenate", "cannot take a row twice"),
    ],
)
def test_wrong_draws_are_named(old, new, words):
    assert_names(check_redraw(function(REDRAW, (old, new), np=np)), words)


def test_rows_drawn_one_by_one_are_torn_polymorphs():
    assert_names(check_redraw(lambda f, rng: rng.integers(len(f), size=len(f))), "torn apart")
    assert_names(check_redraw(lambda f, rng: np.arange(1, 11)), "rows that are not there")


HOLM = """
def answer(p):
    order = np.argsort(p)
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(raised, 1)
    return corrected
"""


def test_holm_of_the_package_and_by_hand_are_right():
    assert check_holm(holm) and check_holm(function(HOLM, np=np))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda p: np.minimum(p * len(p), 1), "Bonferroni"),
        (lambda p: p * len(p), "at most 1"),
        (lambda p: np.sort(holm(p)), "sorted"),
        (lambda p: p, "as they were"),
        (lambda p: holm(p) ** 2, "running maximum"),
        (function(HOLM, ("np.maximum.accumulate", ""), np=np), "must not end below"),
        (function(HOLM, ("np.maximum.accumulate", ""), ("len(p), 0, -1", "1, len(p) + 1"), np=np), "wrong way"),
        (function(HOLM, ("np.minimum(raised, 1)", "raised"), np=np), "Not capped"),
    ],
)
def test_wrong_corrections_are_named(answer, words):
    assert_names(check_holm(answer), words)


def test_a_running_maximum_matters_in_the_trial():
    order = np.argsort(P)
    raised = P[order] * np.arange(len(P), 0, -1)
    assert (np.diff(raised) < 0).any() and raised.max() > 0.5


def test_the_controls_are_arms_of_the_study_and_right():
    arms = [arm.name for arm in read_study("teaching").arms]
    assert set(CONTROLS.values()) | {ARM} <= set(arms)
    assert check_controls(lambda: dict(CONTROLS))


@pytest.mark.parametrize(
    ("question", "arm", "words"),
    [
        ("Is pretraining worth it at all?", ARM, "own control"),
        ("Is pretraining worth it at all?", "Barlow Twins, GNDN", "no labels at all"),
        ("Does the noise on the distances help?", "from scratch", "everything differs at once"),
        ("Does the noise on the distances help?", "SimCLR, GNDN", "Choose from"),
        ("Does the noise on the distances help?", None, "all five"),
        ("Is it these classes, or would any classes do?", "SPMat-BT, gap_class, masks only", "in the noise"),
    ],
)
def test_wrong_controls_are_named(question, arm, words):
    assert_names(check_controls(lambda: {**CONTROLS, question: arm}), words)
    assert_names(check_controls(lambda: list(CONTROLS)), "a dictionary")
