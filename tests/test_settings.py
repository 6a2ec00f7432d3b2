from dataclasses import asdict
from pathlib import Path

import pytest

from spmat_nb import settings
from spmat_nb.errors import SettingsError
from spmat_nb.settings import (
    LATER,
    PRESETS,
    FinetuneSettings,
    GraphSettings,
    PretrainSettings,
    device,
    identity_of,
    preset,
)


def test_without_a_name_the_preset_is_class():
    assert preset() is PRESETS["class"]


def test_a_name_comes_before_the_environment(monkeypatch):
    monkeypatch.setenv("SPMAT_PRESET", "paper")
    assert preset() is PRESETS["paper"] and preset("fast") is PRESETS["fast"]


@pytest.mark.parametrize("through", ["argument", "environment"])
def test_an_unknown_preset_is_named_with_the_known_ones(monkeypatch, through):
    monkeypatch.setenv("SPMAT_PRESET", "quick")
    with pytest.raises(SettingsError, match=r"Unknown preset 'quick'\. Known: fast, class, full, paper"):
        preset("quick" if through == "argument" else None)


def test_the_paper_preset_has_the_lengths_of_the_paper():
    paper = PRESETS["paper"]
    assert (paper.pretrain_epochs, paper.finetune_epochs) == (15, 200)
    assert paper.max_pretrain is paper.max_finetune is None


def test_the_paper_preset_has_the_rates_of_its_ancestor_and_the_others_the_defaults():
    paper = PRESETS["paper"]
    ours, theirs = PRESETS["full"].pretraining(), paper.pretraining()
    assert ours == PretrainSettings(epochs=15) and PRESETS["full"].finetuning() == FinetuneSettings(epochs=200)
    assert (theirs.learning_rate, theirs.schedule, theirs.batch_size) == (1e-5, "constant", 64)
    assert (paper.finetuning().head_rate, paper.finetuning().encoder_rate) == (1e-3, 2e-4)


def test_changes_come_before_what_a_preset_says():
    changed = PRESETS["paper"].pretraining(learning_rate=1e-3, epochs=3, label="is_metal")
    assert (changed.learning_rate, changed.epochs, changed.batch_size, changed.label) == (1e-3, 3, 64, "is_metal")
    assert PRESETS["fast"].finetuning(target="density") == FinetuneSettings(target="density", epochs=8)


def test_presets_grow():
    epochs = [(p.pretrain_epochs, p.finetune_epochs) for p in PRESETS.values()]
    assert epochs == sorted(epochs)


def test_the_device_is_taken_from_the_environment_or_the_argument(monkeypatch):
    monkeypatch.setenv("SPMAT_DEVICE", "cpu")
    assert device().type == "cpu"
    monkeypatch.setenv("SPMAT_DEVICE", "no such thing")
    assert device("cpu").type == "cpu"
    with pytest.raises(SettingsError, match="'no such thing' cannot be used"):
        device()


@pytest.mark.parametrize("values", [{"cutoff": 0.0}, {"cutoff": -1.0}, {"cutoff": float("nan")}, {"max_neighbours": 0}])
def test_graph_settings_that_make_no_graph_are_refused(values):
    with pytest.raises(SettingsError):
        GraphSettings(**values)


@pytest.mark.parametrize(
    ("function", "variable"),
    [
        (settings.teaching_set, "SPMAT_TEACHING_SET"),
        (settings.cache_dir, "SPMAT_CACHE_DIR"),
        (settings.runs_dir, "SPMAT_RUNS_DIR"),
        (settings.real_data, "SPMAT_DATA_DIR"),
    ],
)
def test_places_are_named_by_the_environment(monkeypatch, function, variable):
    monkeypatch.setenv(variable, "/some/where")
    assert function() == Path("/some/where")


def test_places_have_defaults(monkeypatch):
    for name in ("TEACHING_SET", "CACHE_DIR", "RUNS_DIR", "DATA_DIR"):
        monkeypatch.delenv(f"SPMAT_{name}", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/home/me/cache")
    assert settings.cache_dir() == Path("/home/me/cache/spmat_nb")
    assert settings.teaching_set().parts[-2:] == ("data", "teaching.parquet")
    assert settings.runs_dir() == Path("runs") and settings.real_data() is None


def test_later_settings_tell_runs_apart_only_where_they_change_something():
    later = LATER[FinetuneSettings]
    plain, changed = FinetuneSettings(), FinetuneSettings(keep=0, layer_decay=0.5)
    assert identity_of(plain) == {name: value for name, value in asdict(plain).items() if name not in later}
    assert identity_of(changed) == asdict(changed)


def test_later_settings_begin_with_the_value_that_changes_nothing():
    for kind, later in LATER.items():
        assert {name: getattr(kind(), name) for name in later} == later


def test_settings_within_settings_are_told_apart_too():
    assert identity_of(PretrainSettings()) == asdict(PretrainSettings())
