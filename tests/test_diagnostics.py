import numpy as np
import pytest
import torch

from spmat_nb.diagnostics import effective_rank, knn_purity, standardise
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
