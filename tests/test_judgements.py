import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import settings as speed
from hypothesis import strategies as st

from spmat_nb import judgements
from spmat_nb.diagnostics import mean_cosine
from spmat_nb.embed import embed
from spmat_nb.errors import InputError
from spmat_nb.judgements import judge_embeddings, judge_history
from spmat_nb.losses import LOSSES
from spmat_nb.models import random_encoder
from spmat_nb.settings import PretrainSettings


@pytest.fixture
def cloud():
    return np.random.default_rng(0).standard_normal((400, 6))


def test_every_judged_embedding_needs_a_class(cloud):
    with pytest.raises(InputError, match="399 classes for 400 embeddings"):
        judge_embeddings(cloud, np.zeros(399, dtype=int))


def keys(findings):
    assert all(f.level in ("note", "warning", "stop") and f.text.endswith(".") for f in findings)
    return [finding.key for finding in findings]


@pytest.fixture(scope="module")
def untrained(teaching):
    return embed(teaching.sample(200, seed=0), random_encoder())


def test_an_untrained_encoder_is_healthy_although_all_its_cosines_are_near_one(untrained):
    assert mean_cosine(untrained) > 0.99
    assert judge_embeddings(untrained) == []
    assert judge_embeddings(untrained, np.arange(200) % 3) == []


def test_an_even_cloud_is_healthy(cloud):
    assert judge_embeddings(cloud, np.arange(400) % 3) == judge_embeddings(torch.tensor(cloud)) == []


MADE = {
    "equal": (
        lambda x: np.full_like(x, 0.7),
        ["collapsed"],
        "stop",
        "collapsed to a point: spread 0.00% of the length",
    ),
    "point": (lambda x: 5 + 1e-4 * x, ["collapsed"], "stop", "collapsed to a point: spread"),
    "line": (lambda x: x[:, :1] * np.arange(1, 129), ["collapsed"], "stop", "effective rank 1.0 of 128, hardly more"),
    "plane": (
        lambda x: x * (np.arange(128) < 3) + 1e-3 * x,
        ["dimensional_collapse"],
        "note",
        "effective rank 3.0 of 128, so most of the width says nothing; train longer",
    ),
    "dead": (lambda x: x * (np.arange(128) < 40), ["dead_dimensions"], "warning", "69% of 128 are the same for all"),
    "hole": (lambda x: np.where(np.arange(400)[:, None] < 3, np.nan, x), ["non_finite"], "stop", "3 of 400 embeddings"),
    "infinite": (lambda x: np.where(x > 4.2, np.inf, x), ["non_finite"], "stop", "not finite"),
    "few": (lambda x: x[:9], ["too_few"], "note", "9 embeddings are too few to judge; embed at least 10"),
}


@pytest.mark.parametrize("name", MADE)
def test_each_failure_of_embeddings_is_named(name):
    spoil, wanted, level, words = MADE[name]
    wide = np.random.default_rng(0).standard_normal((400, 128))
    assert judge_embeddings(wide) == []
    found = judge_embeddings(spoil(wide))
    assert keys(found) == wanted and found[0].level == level and words in found[0].text


def test_a_class_that_became_a_point_is_named():
    wide, classes = np.random.default_rng(0).standard_normal((400, 128)), np.arange(400) % 4
    (found,) = judge_embeddings(np.where(classes[:, None] == 2, wide[:1] + 1e-3 * wide, wide), classes)
    assert (found.key, found.level) == ("class_collapse", "warning") and "class 2 collapsed to a point" in found.text


def test_two_classes_that_became_points_are_a_collapse_and_named_each(cloud):
    classes = np.arange(400) % 2
    assert keys(judge_embeddings(1e-3 * cloud + 5 * classes[:, None], classes)) == [
        "collapsed",
        "class_collapse",
        "class_collapse",
    ]


@pytest.mark.parametrize(
    ("classes", "key", "words"),
    [
        (np.zeros(400), "one_class", "1 classes among 400"),
        (np.full(400, -1), "one_class", "0 classes among 400"),
        (np.where(np.arange(400) < 8, 1, 0), "one_sided", "98.0% of the crystals with a class are of class 0"),
    ],
)
def test_labels_that_guide_little_are_noted(cloud, classes, key, words):
    (found,) = judge_embeddings(cloud, classes.astype(int))
    assert (found.key, found.level) == (key, "note") and words in found.text


@given(st.integers(0, 20), st.integers(1, 6), st.sampled_from([0.0, 1.0, 1e30, 1e-30, math.nan, math.inf]))
@speed(deadline=None)
def test_no_embeddings_make_the_judge_stumble(count, width, scale):
    x = scale * np.random.default_rng(count).standard_normal((count, width))
    keys(judge_embeddings(x, np.arange(count) % 3 - 1))


# Judgements of runs

RUN = PretrainSettings()
HEALTHY = pd.DataFrame(
    {
        "epoch": range(1, 7),
        "loss": [0.78, 0.44, 0.38, 0.34, 0.32, 0.29],
        "val_loss": [0.97, 0.87, 0.53, 0.49, 0.49, 0.49],
        "positive_similarity": [0.3, 0.4, 0.5, 0.55, 0.6, 0.6],
        "negative_similarity": [0.2, 0.2, 0.1, 0.1, 0.1, 0.1],
        "effective_rank": [6.3, 5.1, 5.6, 6.5, 6.9, 7.0],
        "mean_cosine": [0.99, 0.97, 0.95, 0.9, 0.9, 0.9],
        "learning_rate": 1e-3,
        "graphs_per_second": 900.0,
        "seconds": 1.0,
    }
)


def test_a_healthy_run_has_no_findings():
    assert judge_history(HEALTHY, RUN) == []
    assert judge_history(HEALTHY.iloc[:1], RUN) == []


FAILURES = {
    "not a number": ({"loss": [0.8, 0.4, math.nan, 0.3, 0.3, 0.3]}, "non_finite", "stop", "not finite in epoch 3"),
    "infinite": ({"loss": [0.8, 0.4, 0.4, 0.3, 0.3, math.inf]}, "non_finite", "stop", "not finite in epoch 6"),
    "growing": ({"loss": [0.8, 0.4, 0.2, 0.3, 0.5, 0.7]}, "diverged", "stop", "grew to 0.7 from 0.2, its least"),
    "still": ({"loss": [0.8, 0.801, 0.8, 0.799, 0.8, 0.795]}, "no_learning", "warning", "from 0.8 to 0.795 in 6"),
    "same": ({"negative_similarity": 0.59}, "same_similarity", "warning", "mean cosines 0.600 and 0.590"),
    "line": ({"effective_rank": [6, 5, 4, 3, 2.5, 1.4]}, "collapsed", "stop", "effective rank 1.4 of the held-out"),
    "point": ({"mean_cosine": 1.0}, "collapsed", "stop", "mean cosine 1.0000000 of the held-out"),
    "overfit": (
        {"val_loss": [0.9, 0.6, 0.5, 0.52, 0.55, 0.6]},
        "overfitting",
        "warning",
        "rose to 0.6 from 0.5, its least in epoch 3",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_each_failure_of_a_run_is_named(name):
    columns, key, level, words = FAILURES[name]
    (found,) = judge_history(HEALTHY.assign(**columns), RUN)
    assert (found.key, found.level) == (key, level) and words in found.text and keys([found])


@pytest.mark.parametrize(
    "columns",
    [
        {"loss": [1.0, 0.1, 1e-5, 1e-5, 2e-5, 9e-5]},
        {"val_loss": [0.9, 0.6, 0.5, 0.48, 0.55, 0.6]},
        {"loss": [0.4, 0.35, 0.3, 0.31, 0.32, 0.33], "val_loss": [0.9, 0.6, 0.5, 0.52, 0.55, 0.6]},
        {"val_loss": [0.9, 0.6, 0.5, 0.52, 0.53, 0.54]},
        {"negative_similarity": math.nan},
        {"effective_rank": math.nan, "mean_cosine": None, "val_loss": math.nan},
    ],
    ids=[
        "trembling near zero",
        "rising for two epochs",
        "loss rises too",
        "rising a little",
        "no negatives",
        "nothing",
    ],
)
def test_what_is_no_failure_is_not_named(columns):
    assert judge_history(HEALTHY.assign(**columns), RUN) == []


def test_two_epochs_are_too_few_to_say_that_nothing_is_learnt():
    still = HEALTHY.assign(loss=0.8)
    assert judge_history(still.iloc[:2], RUN) == [] and keys(judge_history(still.iloc[:3], RUN)) == ["no_learning"]


def test_one_epoch_is_too_few_to_say_that_pairs_look_the_same():
    assert judge_history(HEALTHY.assign(negative_similarity=0.9).iloc[:1], RUN) == []


def test_the_rank_of_a_few_held_out_crystals_is_not_judged():
    two = HEALTHY.assign(effective_rank=1.0)
    assert judge_history(two, RUN, held_out=2) == []
    assert keys(judge_history(two, RUN, held_out=10)) == ["collapsed"]


@pytest.mark.parametrize("column", HEALTHY.columns)
@pytest.mark.parametrize("name", [None, *FAILURES])
def test_absent_columns_are_not_judged(name, column):
    history = HEALTHY if name is None else HEALTHY.assign(**FAILURES[name][0])
    found = keys(judge_history(history.drop(columns=column), RUN))
    assert set(found) <= ({FAILURES[name][1]} if name else set())


def test_an_empty_history_has_no_findings():
    assert judge_history(pd.DataFrame(), RUN) == judge_history(HEALTHY.iloc[:0], RUN) == []


NUMBERS = st.floats(-1e3, 1e3) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0])


@given(st.lists(st.tuples(*[NUMBERS] * 6), max_size=8))
@speed(deadline=None)
def test_no_history_makes_the_judge_stumble(rows):
    names = ["loss", "val_loss", "positive_similarity", "negative_similarity", "effective_rank", "mean_cosine"]
    keys(judge_history(pd.DataFrame(rows, columns=names), RUN))


# The cure fits the loss

KNOBS = {
    "sup_barlow": "lambda (now 1)",
    "barlow_samples": "lambda (now 1)",
    "sup_simclr": "temperature (now 0.1)",
    "simclr": "temperature (now 0.1)",
    "barlow": "larger batches (now 128)",
    "classification": None,
    "sup_barlow+classes": "lambda (now 1)",
    "sup_simclr+classes": "temperature (now 0.1)",
}


def advice(loss):
    """All sentences of all failures for a run with that loss."""
    settings = replace(RUN, loss=loss)
    wide = np.random.default_rng(0).standard_normal((400, 128))
    runs = [judge_history(HEALTHY.assign(**columns), settings) for columns, *_ in FAILURES.values()]
    clouds = [judge_embeddings(spoil(wide), None, settings) for spoil, *_ in MADE.values()]
    points = judge_embeddings(np.where(np.arange(400)[:, None] < 200, wide, 1.0), np.arange(400) // 200, settings)
    return " ".join(finding.text for found in [*runs, *clouds, points] for finding in found)


@pytest.mark.parametrize("loss", KNOBS)
def test_the_cure_names_only_the_knobs_of_the_loss(loss):
    text = advice(loss)
    for words in {"lambda", "temperature", "larger batches"}:
        assert (words in text) == (KNOBS[loss] is not None and words in KNOBS[loss])
    assert KNOBS[loss] is None or KNOBS[loss] in text
    assert "lower the learning rate (now 0.001)" in text and "raise the learning rate (now 0.001)" in text


@pytest.mark.parametrize("loss", LOSSES)
def test_a_label_is_a_cure_only_where_the_loss_looks_at_one(loss):
    assert ("guide with a label of more classes" in advice(loss)) == LOSSES[loss].needs_label


def test_collapse_wants_a_stronger_push_and_divergence_a_weaker_one():
    def cure(key, columns):
        return judge_history(HEALTHY.assign(**columns), replace(RUN, loss=key))[0].text

    growing, line = {"loss": [0.8, 0.4, 0.2, 0.3, 0.5, 0.7]}, {"effective_rank": 1.1}
    assert "raise lambda" in cure("sup_barlow", line) and "lower lambda" in cure("sup_barlow", growing)
    assert "lower the temperature" in cure("simclr", line) and "raise the temperature" in cure("simclr", growing)


def test_without_settings_the_advice_names_no_knob(cloud):
    (found,) = judge_embeddings(np.ones((20, 4)))
    assert found.text == "collapsed to a point: spread 0.00% of the length; lower the learning rate."


def test_the_knobs_are_settings_of_known_losses():
    for knobs in (judgements.PUSH, judgements.CALM):
        assert set(knobs) <= set(LOSSES)
        assert all(hasattr(RUN, name) for _, name in knobs.values())
