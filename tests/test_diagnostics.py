import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import settings as speed
from hypothesis import strategies as st

from spmat_nb import diagnostics
from spmat_nb.diagnostics import (
    alignment,
    class_spread,
    dimension_std,
    effective_rank,
    judge_embeddings,
    judge_history,
    knn_purity,
    linear_probe,
    mean_cosine,
    positive_negative_similarity,
    relative_spread,
    silhouette,
    standardise,
    uniformity,
)
from spmat_nb.embed import embed
from spmat_nb.errors import InputError
from spmat_nb.losses import LOSSES
from spmat_nb.pretrain import random_encoder
from spmat_nb.settings import PretrainSettings


@pytest.fixture
def cloud():
    return np.random.default_rng(0).standard_normal((400, 6))


def test_equal_embeddings_have_rank_zero():
    assert effective_rank(torch.full((10, 4), 3.7)) == 0.0


def test_a_line_has_rank_one(cloud):
    assert effective_rank(np.outer(cloud[:, 0], [1.0, -2.0, 0.5]) + 9) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("dimensions", [2, 6])
def test_an_even_cloud_fills_its_dimensions(cloud, dimensions):
    padded = np.pad(cloud[:, :dimensions], ((0, 0), (0, 3)))
    assert effective_rank(padded) == pytest.approx(dimensions, rel=0.03)


def test_two_axes_of_known_variance_have_the_closed_form():
    x = np.array([[3.0, 0], [-3, 0], [0, 1], [0, -1]])
    share = np.array([0.9, 0.1])
    assert effective_rank(x) == pytest.approx(np.exp(-(share * np.log(share)).sum()))


def test_rank_does_not_depend_on_scale_or_place(cloud):
    assert effective_rank(1e-3 * cloud + 5) == pytest.approx(effective_rank(cloud), rel=1e-6)


def test_separate_classes_are_pure(cloud):
    classes = np.arange(400) % 4
    assert knn_purity(cloud + 100 * classes[:, None], classes) == 1.0


def test_random_classes_have_the_purity_of_chance(cloud):
    classes = np.random.default_rng(1).integers(0, 4, 400)
    assert knn_purity(cloud, classes) == pytest.approx(0.25, abs=0.04)


def test_purity_is_averaged_by_class(cloud):
    # 380 of one class on a heap, 20 of another spread over it: by crystal the mean would be near 0.9.
    classes = (np.arange(400) < 20).astype(int)
    assert knn_purity(cloud, classes) == pytest.approx(0.5, abs=0.06)


def test_purity_does_not_depend_on_the_scale_of_a_column(cloud):
    classes = (cloud[:, 0] > 0).astype(int)
    assert knn_purity(cloud * [1, 1, 1, 1e4, 1, 1], classes) == pytest.approx(knn_purity(cloud, classes))


def test_crystals_without_a_class_are_left_out(cloud):
    classes = np.arange(400) % 4
    apart = cloud + 100 * classes[:, None]
    with_holes = np.where(classes == 3, -1, classes)
    assert knn_purity(apart, with_holes) == knn_purity(apart[classes < 3], classes[classes < 3]) == 1.0


@pytest.mark.parametrize("count", [0, 1, 10])
def test_too_few_crystals_with_a_class_are_an_error(cloud, count):
    classes = np.where(np.arange(400) < count, 0, -1)
    with pytest.raises(InputError, match=f"{count} crystals with a class are too few"):
        knn_purity(cloud, classes)


def test_eleven_crystals_are_enough_for_ten_neighbours(cloud):
    assert knn_purity(cloud[:11], np.zeros(11, dtype=int)) == 1.0


def test_standardised_columns_have_mean_zero_and_spread_one(cloud):
    x = standardise(np.hstack([cloud * 7 + 3, np.full((400, 1), 2.5)]))
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(x.std(0), [1] * 6 + [0], atol=1e-12)


def cosine(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


SQUARE = np.array([[1.0, 0], [0, 2.0], [-3.0, 0], [0, -0.5]])


@pytest.mark.parametrize(
    ("x", "value"),
    [(np.eye(5), 0), (np.full((7, 3), 2.5), 1), ([[1.0, 1], [-2, -2]], -1), (SQUARE, -1 / 3)],
    ids=["orthogonal", "identical", "antipodal", "square"],
)
def test_the_mean_cosine_of_simple_sets_has_its_closed_form(x, value):
    assert mean_cosine(np.array(x)) == pytest.approx(value, abs=1e-12)


def test_the_mean_cosine_is_that_of_a_double_loop(cloud):
    x = cloud[:20] + 0.5
    slow = np.mean([cosine(x[i], x[j]) for i in range(20) for j in range(20) if i != j])
    assert mean_cosine(x) == pytest.approx(slow)
    assert mean_cosine(x * np.linspace(1, 9, 20)[:, None]) == pytest.approx(slow), "lengths do not matter"


@pytest.mark.parametrize("measure", [mean_cosine, uniformity])
@pytest.mark.parametrize("count", [0, 1])
def test_pairs_need_two_embeddings(measure, count):
    assert math.isnan(measure(np.ones((count, 3))))


def test_the_spread_of_each_dimension():
    x = np.array([[1.0, 5, -2], [3.0, 5, 2]])
    assert dimension_std(x).tolist() == [1, 0, 2]
    assert dimension_std(torch.tensor(x).requires_grad_()).tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("x", "value"),
    [(np.ones((4, 2)), 0), (np.zeros((4, 2)), 0), (SQUARE - SQUARE.mean(0), 1), ([[0.0], [2]], 0.5**0.5)],
)
def test_the_relative_spread_is_zero_for_a_point_and_one_around_the_origin(x, value):
    assert relative_spread(np.array(x)) == pytest.approx(value)


def test_alignment_of_simple_views(cloud):
    assert alignment(cloud, 3 * cloud) == pytest.approx(0, abs=1e-12)
    assert alignment(cloud, -cloud) == pytest.approx(4)
    assert alignment(np.eye(4), np.roll(np.eye(4), 1, 0)) == pytest.approx(2)


def test_alignment_is_that_of_a_loop(cloud):
    first, second = cloud[:50], cloud[50:100]
    slow = np.mean([2 - 2 * cosine(a, b) for a, b in zip(first, second, strict=True)])
    assert alignment(first, second) == pytest.approx(slow)


@pytest.mark.parametrize(
    ("x", "value"), [(np.full((6, 3), 4.0), 0), (np.eye(5), -4), ([[1.0, 0], [-1, 0]], -8)], ids=str
)
def test_uniformity_of_simple_sets_has_its_closed_form(x, value):
    assert uniformity(np.array(x)) == pytest.approx(value, abs=1e-9)


def test_uniformity_is_that_of_a_double_loop_whatever_the_chunk(cloud):
    x = cloud[:30]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    pairs = [(unit[i], unit[j]) for i in range(30) for j in range(30) if i != j]
    slow = np.log(np.mean([np.exp(-2 * ((a - b) ** 2).sum()) for a, b in pairs]))
    for chunk in (1, 7, 30, 256):
        assert uniformity(x, chunk) == pytest.approx(slow)


def slow_similarity(z1, z2, classes):
    positive, negative = [], []
    for i in range(len(z1)):
        for j in range(len(z2)):
            same = i == j or (classes is not None and classes[i] == classes[j] != -1)
            (positive if same else negative).append(cosine(z1[i], z2[j]))
    return np.mean(positive), np.mean(negative) if negative else math.nan


CLASSES = st.lists(st.integers(-1, 3), min_size=1, max_size=12)


@given(st.none() | CLASSES)
@speed(deadline=None)
def test_similarities_are_those_of_a_double_loop(classes):
    count = 6 if classes is None else len(classes)
    z1, z2 = np.random.default_rng(count).standard_normal((2, count, 5))
    given_classes = None if classes is None else np.array(classes)
    found = positive_negative_similarity(z1, torch.tensor(z2), given_classes)
    assert found == pytest.approx(slow_similarity(z1, z2, classes), nan_ok=True)


@pytest.mark.parametrize(
    ("z1", "z2", "classes", "wanted"),
    [
        (np.eye(3), np.eye(3), None, (1, 0)),
        (np.eye(2), -np.eye(2), None, (-1, 0)),
        (np.ones((4, 2)), np.ones((4, 2)), [0, 0, 1, 1], (1, 1)),
        (np.eye(2), np.eye(2), [1, 1], (0.5, math.nan)),
        (np.eye(2), np.eye(2), [-1, -1], (1, 0)),
        (np.zeros((0, 2)), np.zeros((0, 2)), None, (math.nan, math.nan)),
    ],
    ids=["orthogonal", "antipodal", "identical", "one class", "no class", "nothing"],
)
def test_similarities_of_simple_sets(z1, z2, classes, wanted):
    found = positive_negative_similarity(z1, z2, None if classes is None else np.array(classes))
    assert found == pytest.approx(wanted, nan_ok=True)


def test_the_spread_of_a_class_is_relative_to_the_whole():
    x = np.array([[0.0], [0], [4], [6], [9], [100]])
    found = class_spread(x, np.array([0, 0, 1, 1, 2, -1]))
    whole = np.abs(x[:5] - x[:5].mean()).mean()
    assert found == pytest.approx({0: 0, 1: 1 / whole, 2: math.nan}, nan_ok=True)


def test_classes_by_chance_spread_like_all(cloud):
    assert class_spread(cloud, np.arange(400) % 3) == pytest.approx(dict.fromkeys(range(3), 1), abs=0.1)


def test_equal_embeddings_and_no_classes_have_no_spread_to_compare():
    assert math.isnan(class_spread(np.ones((4, 2)), np.zeros(4, dtype=int))[0])
    assert class_spread(np.ones((4, 2)), np.full(4, -1)) == {}


def test_the_silhouette_separates_heaps_from_chance(cloud):
    classes = np.arange(400) % 4
    heaps = cloud + 30 * np.eye(6)[classes]
    assert silhouette(heaps, classes) > 0.5
    assert silhouette(cloud, classes) == pytest.approx(0, abs=0.05)
    with_holes = np.where(np.arange(400) < 100, -1, classes)
    assert silhouette(heaps, with_holes) == pytest.approx(silhouette(heaps[100:], classes[100:]))


def test_the_silhouette_of_a_sample_is_repeatable_and_keeps_rare_classes(cloud):
    classes = np.where(np.arange(400) == 399, 1, 0)
    some = [silhouette(cloud, classes, rows=50, seed=seed) for seed in (0, 0, 1)]
    assert some[0] == some[1] != some[2]
    assert silhouette(cloud, np.arange(400) % 2, rows=200) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("classes", [np.zeros(12), np.full(12, -1), np.arange(12)], ids=["one", "none", "all"])
def test_a_silhouette_needs_two_classes_of_more_than_one_crystal(cloud, classes):
    with pytest.raises(InputError, match="have no silhouette: at least two classes"):
        silhouette(cloud[:12], classes.astype(int))


TRAIN, TEST = np.arange(300), np.arange(300, 400)


def test_a_probe_reads_what_is_linear_and_nothing_else(cloud):
    linear = (cloud[:, 0] > 1).astype(int)
    assert linear_probe(cloud, linear, TRAIN, TEST) > 0.9
    chance = np.random.default_rng(2).integers(0, 2, 400)
    assert linear_probe(cloud, chance, TRAIN, TEST) == pytest.approx(0.5, abs=0.12)


def test_a_probe_weighs_classes_the_same(cloud):
    rare = np.arange(400) % 10 == 0
    assert linear_probe(cloud, rare.astype(int), TRAIN, TEST) == pytest.approx(0.5, abs=0.15)
    assert linear_probe(cloud + 2 * rare[:, None], rare.astype(int), TRAIN, TEST) > 0.95


def test_a_probe_takes_masks_and_positions_and_ignores_scale_and_holes(cloud):
    classes = (cloud[:, 0] > 0).astype(int)
    value = linear_probe(cloud, classes, TRAIN, TEST)
    assert linear_probe(cloud, classes, np.arange(400) < 300, np.arange(400) >= 300) == value
    assert linear_probe(cloud * [1e3, 1, 1, 1, 1, 1e-3] + 7, classes, TRAIN, TEST) == pytest.approx(value)
    holes = np.where(np.arange(400) % 7 == 0, -1, classes)
    kept = holes != -1
    assert linear_probe(cloud, holes, TRAIN, TEST) == linear_probe(cloud, classes, TRAIN[kept[:300]], TEST[kept[300:]])


def test_test_rows_do_not_touch_the_fit_of_a_probe(cloud):
    # If the columns were standardised with the test rows too, the outlier would squeeze the others together.
    classes = (cloud[:, 0] > 0).astype(int)
    spoilt = np.vstack([cloud, np.full((1, 6), 1e9)])
    more = np.append(classes, 1)
    assert linear_probe(spoilt, more, TRAIN, np.append(TEST, 400)) >= linear_probe(cloud, classes, TRAIN, TEST)


def test_a_class_that_training_did_not_see_is_not_recognised(cloud):
    classes = np.where(np.arange(400) >= 350, 2, cloud[:, 0] > 0).astype(int)
    seen = linear_probe(cloud, classes, TRAIN, np.arange(300, 350))
    assert linear_probe(cloud, classes, TRAIN, TEST) == pytest.approx(seen * 2 / 3)


@pytest.mark.parametrize(
    ("classes", "train", "test", "words"),
    [
        (np.arange(400) % 2, np.arange(10), np.arange(9, 20), "1 crystals are in the training and in the test rows"),
        (np.zeros(400, dtype=int), TRAIN, TEST, "two classes to train on and a crystal to test, got 1 and 100"),
        (np.arange(400) % 2, TRAIN, [], "got 2 and 0"),
        (np.arange(399) % 2, TRAIN, TEST, "399 classes for 400 embeddings"),
    ],
)
def test_a_probe_refuses_rows_that_prove_nothing(cloud, classes, train, test, words):
    with pytest.raises(InputError, match=words):
        linear_probe(cloud, classes, train, np.array(test, dtype=int))


@pytest.mark.parametrize("measure", [class_spread, silhouette, knn_purity, judge_embeddings])
def test_every_embedding_needs_a_class(cloud, measure):
    with pytest.raises(InputError, match="3 classes for 400 embeddings; give one class a crystal"):
        measure(cloud, np.zeros(3, dtype=int))


# Judgements of embeddings


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
    for knobs in (diagnostics.PUSH, diagnostics.CALM):
        assert set(knobs) <= set(LOSSES)
        assert all(hasattr(RUN, name) for _, name in knobs.values())
