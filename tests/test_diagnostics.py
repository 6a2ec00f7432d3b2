import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as speed
from hypothesis import strategies as st

from spmat_nb.diagnostics import (
    alignment,
    class_spread,
    dimension_std,
    effective_rank,
    knn_purity,
    linear_probe,
    mean_cosine,
    positive_negative_similarity,
    relative_spread,
    silhouette,
    standardise,
    uniformity,
)
from spmat_nb.errors import InputError


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


@pytest.mark.parametrize("measure", [class_spread, silhouette, knn_purity])
def test_every_embedding_needs_a_class(cloud, measure):
    with pytest.raises(InputError, match="3 classes for 400 embeddings; give one class a crystal"):
        measure(cloud, np.zeros(3, dtype=int))


# Judgements of embeddings
