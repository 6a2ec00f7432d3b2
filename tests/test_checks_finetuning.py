"""Each check of fine-tuning calls the right answer right and names the mistake in answers that are nearly right."""

import numpy as np
import pandas as pd
import pytest
import torch
from answers import assert_names

from spmat_nb.checks.finetuning import (
    check_formula_split,
    check_honest_epoch,
    check_normaliser,
    check_paired_change,
    trial_arms,
    trial_formulas,
    trial_histories,
)
from spmat_nb.models import random_encoder
from spmat_nb.property_models import PropertyModel
from spmat_nb.tables import split_by_formula


def todo(*inputs):
    raise NotImplementedError


@pytest.mark.parametrize("check", [check_normaliser, check_formula_split, check_honest_epoch, check_paired_change])
def test_nothing_is_open_and_none_is_wrong(check):
    assert check(todo).state == "open"
    assert_names(check(lambda *inputs: None), "Does the function end with `return`?")


def units(values, train):
    return values[train].mean(), values[train].std()


def package_units(values, train):
    model = PropertyModel(random_encoder().encoder_settings)
    model.fit_units(values[train][:, None])
    return model.mean, model.std


def test_the_right_normaliser_is_that_of_the_package():
    assert check_normaliser(units)
    assert check_normaliser(package_units)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda v, t: (v.mean(), v.std()), "of all rows. The test rows are in them"),
        (lambda v, t: units(v, ~t), "mask inverted"),
        (lambda v, t: (v.mean(), v[t].std()), "The mean is of all rows"),
        (lambda v, t: (v[t].mean(), v.std()), "The standard deviation is of all rows"),
        (lambda v, t: (v[t].mean(), v[t].std(correction=0)), "n - 1"),
        (lambda v, t: (v[t].mean(), v[t].var()), "variance"),
        (lambda v, t: units(v, t)[::-1], "mean first"),
        (lambda v, t: (v[t].median(), v[t].std()), "median"),
        (lambda v, t: (v[t].min(), v[t].max()), "Select, then reduce"),
        (lambda v, t: (v[t] - v[t].mean()) / v[t].std(), "The shape is (5,)"),
    ],
)
def test_a_wrong_normaliser_is_explained(answer, words):
    assert_names(check_normaliser(answer), words)


def cut(names):
    """A part for each name of a list, by its place in it."""
    place = (np.arange(len(names)) + 0.5) / len(names)
    return np.select([place < 0.6, place < 0.8], ["train", "val"], "test")


def by_formula(formulas, seed):
    names = np.random.default_rng(seed).permutation(formulas.unique())
    return formulas.map(dict(zip(names, cut(names), strict=True)))


def by_row(formulas, seed):
    return np.random.default_rng(seed).permutation(cut(formulas))


def alphabetical(formulas, seed):
    names = sorted(formulas.unique())
    return formulas.map(dict(zip(names, cut(names), strict=True)))


def unseeded(formulas, seed):
    return by_formula(formulas, np.random.default_rng().integers(1 << 30))


def test_the_right_split_is_right_and_so_is_that_of_the_package():
    assert check_formula_split(by_formula)
    assert check_formula_split(split_by_formula)
    assert check_formula_split(lambda formulas, seed: list(by_formula(formulas, seed)))
    assert check_formula_split(lambda formulas, seed: by_formula(formulas, seed).sort_index())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (by_row, "Polymorphs are split apart"),
        (lambda f, seed: cut(f), "Polymorphs are split apart"),
        (alphabetical, "The seed does nothing"),
        (unseeded, "np.random.default_rng(seed)"),
        (lambda f, seed: by_formula(f.drop_duplicates(), seed), "One entry a row"),
        (lambda f, seed: by_formula(f, seed).replace("val", "train"), "Three parts"),
        (lambda f, seed: by_formula(f, seed).replace({"train": "test", "test": "train"}), "at 60 % and at 80 %"),
    ],
)
def test_a_wrong_split_is_explained(answer, words):
    assert_names(check_formula_split(answer), words)


def honest(history):
    row = history.loc[history["val_mae"].idxmin()]
    return row["epoch"], row["test_mae"]


def test_the_honest_epoch_is_right():
    assert check_honest_epoch(honest)
    assert check_honest_epoch(lambda h: honest(h.set_index("epoch", drop=False)))


def row_of(history, column):
    return history.loc[history[column].idxmin()]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda h: row_of(h, "test_mae")[["epoch", "test_mae"]].tolist(), "best test epoch"),
        (lambda h: row_of(h, "loss")[["epoch", "test_mae"]].tolist(), "least training loss"),
        (lambda h: h.iloc[-1][["epoch", "test_mae"]].tolist(), "last epoch"),
        (lambda h: row_of(h, "val_mae")[["epoch", "val_mae"]].tolist(), "That is the validation error"),
        (lambda h: (honest(h)[0], h["test_mae"].min()), "the least test error of all epochs"),
        (lambda h: (h["val_mae"].idxmin(), honest(h)[1]), "position of the row"),
        (lambda h: (honest(h)[0], h["test_mae"][int(honest(h)[0])]), "one row further down"),
        (lambda h: (2, 0.41), "least val_mae"),
        (lambda h: honest(h)[1], "The shape is ()"),
    ],
)
def test_a_dishonest_epoch_is_explained(answer, words):
    assert_names(check_honest_epoch(answer), words)


def changes(control, arm):
    return 100 * (arm.mean(axis=1) / control.mean(axis=1) - 1)


def three(values):
    return values.mean(), values.min(), values.max()


def unpaired(control, arm):
    before, after = control.mean(axis=1), arm.mean(axis=1)
    return 100 * (np.array([after.mean() / before.mean(), after.min() / before.max(), after.max() / before.min()]) - 1)


def over_rows(control, arm):
    return 100 * (arm.mean() / control.mean() - 1)


def deviation_over_rows(control, arm):
    mean = changes(control, arm).mean()
    spread = 100 * (arm.mean() - control.mean()).std() / control.to_numpy().mean()
    return mean, mean - spread, mean + spread


def of_means(control, arm):
    ratio = 100 * (arm.to_numpy().mean() / control.to_numpy().mean() - 1)
    return ratio, *three(changes(control, arm))[1:]


def every_pair(control, arm):
    return three(100 * (np.divide.outer(arm.mean(axis=1).to_numpy(), control.mean(axis=1).to_numpy()) - 1))


def test_the_right_comparison_is_right():
    assert check_paired_change(lambda c, a: three(changes(c, a)))
    assert check_paired_change(lambda c, a: np.array(three(changes(c.sort_index(), a.sort_index()))))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda c, a: three(changes(c, a.set_axis(c.index))), "Pair by the seed"),
        (unpaired, "best seed of one arm with the worst"),
        (every_pair, "every seed was compared with every other"),
        (lambda c, a: (changes(c, a).mean(), *unpaired(c, a)[1:]), "must come from the changes of the seeds"),
        (lambda c, a: three(-changes(c, a)), "The sign"),
        (lambda c, a: three(changes(a, c)), "The other way round"),
        (lambda c, a: three(-changes(a, c)), "You divided by the arm"),
        (lambda c, a: three(changes(c, a) / 100), "times 100"),
        (lambda c, a: three(a.mean(axis=1) - c.mean(axis=1)), "differences in eV/atom"),
        (of_means, "ratio of means"),
        (lambda c, a: changes(c, a).mean() + np.array([0, -1, 1]) * changes(c, a).std(), "mean and standard deviation"),
        (lambda c, a: three(over_rows(c, a)), "A spread over test rows"),
        (lambda c, a: (changes(c, a).mean(), *three(over_rows(c, a))[1:]), "The spread over test rows"),
        (deviation_over_rows, "standard deviation as spread over test rows"),
        (lambda c, a: three(changes(c, a))[0], "The shape is ()"),
        (lambda c, a: (1.0, 2.0, 3.0), "one change a seed"),
    ],
)
def test_a_wrong_comparison_is_explained(answer, words):
    assert_names(check_paired_change(answer), words)


def test_the_trials_can_tell_mistakes_apart():
    assert trial_formulas().value_counts().max() >= 3
    for history in trial_histories():
        assert len({row_of(history, c)["epoch"] for c in ("loss", "val_mae", "test_mae")} | {5}) == 4
    control, arm = trial_arms()
    assert list(control.index) != list(arm.index) and isinstance(arm, pd.DataFrame)
    assert torch.isfinite(torch.tensor(arm.to_numpy())).all()
