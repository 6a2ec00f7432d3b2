from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from spmat_nb.ensembles import Ensemble, by_formula, cross_validate, finetune_ensemble, fold_split
from spmat_nb.errors import CheckpointError, SettingsError
from spmat_nb.finetune import PARTS, finetune
from spmat_nb.graphs import build_graphs
from spmat_nb.property_models import predict
from spmat_nb.settings import FinetuneSettings
from spmat_nb.training import side_by_side

SHORT = FinetuneSettings(epochs=2, batch_size=8, seed=4)
TARGET = SHORT.target


@pytest.fixture(scope="module")
def graphs(tiny):
    return build_graphs(tiny.of_split(*PARTS), cache=False)


@pytest.fixture(scope="module")
def ensemble(tiny, graphs, small):
    return finetune_ensemble(tiny, settings=SHORT, members=3, show=False, sizes=small, graphs=graphs)


def test_the_members_are_runs_of_their_own_seeds(ensemble, tiny, graphs, small):
    assert [member.metrics["seed"] for member in ensemble.members] == [4, 5, 6]
    second = finetune(tiny, "scratch", replace(SHORT, seed=5), small, graphs, show=False)
    for ours, theirs in zip(
        ensemble.members[1].model.state_dict().values(), second.model.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_an_ensemble_predicts_mean_and_spread_of_its_members(ensemble, tiny):
    values = np.stack([predict(tiny, member)[TARGET] for member in ensemble.members])
    table = ensemble.predict(tiny)
    assert list(table) == [TARGET, f"{TARGET}.std"] and list(table.index) == list(tiny.table.index)
    np.testing.assert_allclose(table[TARGET], values.mean(0), rtol=1e-6)
    np.testing.assert_allclose(table[f"{TARGET}.std"], values.std(0, ddof=1), rtol=1e-4)
    assert Ensemble(ensemble.members[:1]).predict(tiny)[f"{TARGET}.std"].isna().all()


def test_the_errors_of_an_ensemble_are_those_of_its_mean(ensemble, tiny):
    test = tiny.of_split("test")
    table, true = ensemble.predict(test), test.table[TARGET]
    error, row = (table[TARGET] - true).abs(), ensemble.errors("test").loc[TARGET]
    assert row["mae"] == pytest.approx(error.mean(), rel=1e-4)
    assert row["within_1_spread"] == pytest.approx((error <= table[f"{TARGET}.std"]).mean())
    assert row["members_mae"] == pytest.approx(np.mean([m.metrics["test_mae"] for m in ensemble.members]), rel=1e-5)
    assert row["mae"] <= row["members_mae"] * (1 + 1e-6)  # errors are of single precision


def test_a_saved_ensemble_predicts_the_same(ensemble, tiny, tmp_path):
    ensemble.save_pretrained(tmp_path)
    pd.testing.assert_frame_equal(Ensemble.from_pretrained(tmp_path).predict(tiny), ensemble.predict(tiny))
    with pytest.raises(CheckpointError, match="No ensemble in"):
        Ensemble.from_pretrained(tmp_path / "nowhere")


def test_one_model_is_no_ensemble(tiny):
    with pytest.raises(SettingsError, match="at least 2 members"):
        finetune_ensemble(tiny, members=1)


def test_folds_test_every_crystal_once_and_part_no_formula():
    formulas = np.array([f"X{i % 23}" for i in range(100)])
    folds = by_formula(formulas, 5, seed=0)
    assert sorted(np.concatenate(folds)) == list(range(100))
    for test in folds:
        split = fold_split(formulas, test, 0.2, seed=0)
        assert (split[test] == "test").all() and (split == "test").sum() == len(test)
        parts = [set(formulas[split == part]) for part in PARTS]
        assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
        assert 0.15 < (split == "val").sum() / (100 - len(test)) < 0.3
    assert [list(t) for t in by_formula(formulas, 5, seed=1)] != [list(t) for t in folds]


@pytest.mark.parametrize("workers", [1, 2])
def test_cross_validation_has_a_model_a_fold(tiny, small, workers):
    result = cross_validate(tiny, settings=SHORT, folds=3, workers=workers, show=False, sizes=small)
    rows = tiny.of_split(*PARTS).table
    predictions, errors = result.predictions, result.errors
    assert sorted(predictions.index) == sorted(rows.index) and predictions["fold"].nunique() == len(errors) == 3
    np.testing.assert_allclose(predictions["true"], rows[TARGET][predictions.index], rtol=1e-6)
    error = (predictions["predicted"] - predictions["true"]).abs().groupby(predictions["fold"]).mean()
    np.testing.assert_allclose(errors["test_mae"], error, rtol=1e-5)
    assert (errors[["n_train", "n_val", "n_test"]].sum(axis=1) == len(rows)).all()


def test_given_folds_are_used(tiny, small):
    tests = [np.arange(5), np.arange(5, 12)]
    result = cross_validate(tiny, settings=SHORT, folds=tests, show=False, sizes=small)
    rows = tiny.of_split(*PARTS).table.index
    for fold, test in zip(result.folds, tests, strict=True):
        assert list(fold.predictions.index[fold.predictions["split"] == "test"]) == list(rows[test])


@pytest.mark.parametrize(
    ("folds", "share", "words"), [(1, 0.2, "1 folds"), (99, 0.2, "99 folds"), (3, 1.0, "val_share")]
)
def test_folds_that_cannot_be_made_are_refused(tiny, folds, share, words):
    with pytest.raises(SettingsError, match=words):
        cross_validate(tiny, settings=SHORT, folds=folds, val_share=share, show=False)


def test_runs_side_by_side_come_back_in_order_and_in_one_thread(capsys):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    assert side_by_side([torch.get_num_threads, partial(pow, 2, 5)], "runs") == [1, 32]
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
    assert [line.split("  ")[0] for line in capsys.readouterr().err.splitlines()] == ["runs: run 1/2", "runs: run 2/2"]
