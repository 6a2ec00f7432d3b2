import numpy as np
import pandas as pd
import pytest

from spmat_nb.study.statistics import by_group, holm, paired_change, ranks


def made_errors(rng, seeds, crystals, change=0.0, of_seeds=0.05, of_crystals=0.3):
    """Absolute errors of an arm and its reference: crystals are hard for both, each seed and pair has its own part."""
    hard = rng.lognormal(0, 1, crystals)
    reference = hard * rng.lognormal(0, 0.3, (seeds, crystals)) * rng.lognormal(0, of_seeds, (seeds, 1))
    own = rng.lognormal(0, of_crystals, crystals) / np.exp(of_crystals**2 / 2)
    noise = rng.lognormal(0, 0.3, (seeds, crystals)) * rng.lognormal(0, of_seeds, (seeds, 1))
    return (1 + change) * hard * own * noise, reference


def test_equal_arms_do_not_differ():
    errors, _ = made_errors(np.random.default_rng(0), 5, 40)
    change = paired_change(errors, errors, range(40))
    assert (change.mean, change.low, change.high, set(change.each)) == (0, 0, 0, {0.0})
    assert change.p == 1 and (change.seeds, change.crystals) == (5, 40)


def test_a_known_ratio_comes_out_exactly():
    errors, _ = made_errors(np.random.default_rng(0), 4, 30)
    change = paired_change(0.9 * errors, errors, range(30))
    assert np.allclose([change.mean, change.low, change.high], -10) and change.p < 1e-6


@pytest.mark.parametrize(("seeds", "of_seeds", "of_crystals"), [(5, 0.05, 0.1), (5, 0.02, 0.5), (3, 0.1, 0.1)])
def test_the_interval_covers_the_truth(seeds, of_seeds, of_crystals):
    rng, hits, width = np.random.default_rng(1), 0, []
    for number in range(150):
        errors, reference = made_errors(rng, seeds, 120, -0.05, of_seeds, of_crystals)
        change = paired_change(errors, reference, range(120), seed=number, draws=200)
        hits += change.low <= -5 <= change.high
        width.append(change.high - change.low)
    assert 0.9 <= hits / 150 <= 0.995
    assert 0 < np.median(width) < 60


def test_no_effect_is_seldom_called_one():
    rng = np.random.default_rng(2)
    p = [paired_change(*made_errors(rng, 5, 80, 0.0), range(80), draws=200).p for _ in range(150)]
    assert np.mean(np.array(p) < 0.05) <= 0.1


def test_a_detectable_effect_is_detected_in_about_four_of_five():
    rng = np.random.default_rng(3)
    detectable = np.median(
        [paired_change(*made_errors(rng, 5, 80), range(80), draws=200).detectable for _ in range(60)]
    )
    found = [paired_change(*made_errors(rng, 5, 80, detectable / 100), range(80), draws=200) for _ in range(150)]
    assert 0.65 <= np.mean([one.p < 0.05 for one in found]) <= 0.95


def test_polymorphs_count_as_one():
    errors, reference = made_errors(np.random.default_rng(0), 5, 60)
    single = paired_change(errors, reference, range(60))
    double = paired_change(np.tile(errors, 4), np.tile(reference, 4), np.tile(range(60), 4))
    naive = paired_change(np.tile(errors, 4), np.tile(reference, 4), range(240))
    assert np.allclose([double.low, double.high], [single.low, single.high])
    assert naive.high - naive.low < 0.95 * (single.high - single.low)


def test_more_seeds_and_crystals_narrow_the_interval():
    few = paired_change(*made_errors(np.random.default_rng(0), 3, 50), range(50))
    many = paired_change(*made_errors(np.random.default_rng(0), 10, 500), range(500))
    assert many.high - many.low < few.high - few.low


def test_one_seed_has_an_interval_over_crystals_only():
    change = paired_change(*made_errors(np.random.default_rng(0), 1, 50), range(50))
    assert change.low < change.mean < change.high and len(change.each) == 1


def test_sums_of_groups():
    assert by_group(np.array([[1.0, 2, 3], [4, 5, 6]]), ["b", "a", "b"]).tolist() == [[2, 4], [5, 10]]


def test_holm_by_hand():
    assert np.allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0] and holm([0.02]).tolist() == [0.02]
    assert len(holm([])) == 0


def test_ranks():
    table = ranks(pd.DataFrame({"a": [1.0, 1, 3], "b": [2.0, 1, 2], "c": [3.0, 3, np.nan]}))
    assert table["mean"].to_dict() == {"a": 1.25, "b": 1.75, "c": 3.0}
    assert table["first"].to_dict() == {"a": 1, "b": 0, "c": 0} and set(table["rows"]) == {2}
