"""The tool that carries encoders to other data, and the records that it left."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import run_transfer as tool

from spmat_nb.graphs import build_graphs

SAME = ["n_train", "n_val", "n_test", "median_test_mae", "n_test_formula_not_in_pretrain"]


@pytest.fixture(scope="module")
def record():
    return pd.DataFrame(tool.read_records(tool.RECORDS))


def test_every_cell_has_one_record(record):
    cells = [(name, seed, arm) for name in tool.TASKS for seed in range(5) for arm in tool.ARMS]
    assert list(record[list(tool.KEY)].itertuples(index=False, name=None)) == cells


def test_all_arms_of_a_seed_share_rows_settings_and_data(record):
    for _, runs in record.groupby(["task", "seed"]):
        assert len(runs[SAME].drop_duplicates()) == 1
        assert len(set(runs["data"].map(json.dumps))) == 1
        settings = [{k: v for k, v in s.items() if k != "train"} for s in runs["settings"]]
        assert all(one == settings[0] for one in settings)


def test_records_say_when_with_what_and_how_well(record):
    assert record["date"].str.fullmatch(r"\d{4}-\d\d-\d\d").all() and (record["epochs"] == tool.EPOCHS).all()
    assert (record["device"] == "cpu").all() and record["settings"].str["epochs"].eq(tool.EPOCHS).all()
    assert record["versions"].map(lambda v: {"python", "torch", "numpy", "spmat_nb"} <= set(v)).all()
    assert record["test_mae"].between(0, 10).all() and record["seconds"].gt(0).all()
    assert not record["title"].isna().any() and not record["unit"].eq("").any()


def test_the_guide_that_is_a_function_of_the_target_is_marked(record):
    marked = record[record["label_is_function_of_target"]]
    assert set(marked["task"]) == {"gap"} and marked["arm"].str.contains("gap_class").all()


def test_a_cell_is_run_and_a_finished_one_is_skipped(lesson, tmp_path, monkeypatch, capsys):
    task = tool.Transfer("lesson", "formation_energy_per_atom", "Formation energy", "eV/atom")
    monkeypatch.setattr(tool, "TASKS", {"lesson": task})
    monkeypatch.setattr(tool, "EPOCHS", 1)
    monkeypatch.setattr(tool, "ARMS", {name: tool.ARMS[name] for name in ("from scratch", "random, frozen")})
    asked = []
    monkeypatch.setattr(tool, "crystals_of", lambda name: asked.append(name) or lesson)
    path = tmp_path / "records.jsonl"
    tool.run_task("lesson", 2, path)
    records = tool.read_records(path)
    assert len(records) == 4 and len(asked) == 1
    path.write_text("".join(json.dumps(one) + "\n" for one in records[1:]))
    tool.run_task("lesson", 2, path)
    again = tool.read_records(path)
    assert again[:3] == records[1:] and again[3]["test_mae"] == records[0]["test_mae"], "only what was missing is run"
    tool.run_task("lesson", 2, path)
    assert len(asked) == 2, "nothing is loaded when nothing is missing"
    table = tool.summary(path)
    assert table.loc[("lesson", "from scratch"), "change mean"] == 0 and (table["count"] == 2).all()


def test_a_seed_draws_a_split_by_formula_of_its_own(lesson, monkeypatch):
    graphs, seen = build_graphs(lesson, cache=False), []
    monkeypatch.setattr(tool, "EPOCHS", 1)
    task = replace(tool.TASKS["gap"], target="formation_energy_per_atom")
    monkeypatch.setattr(tool, "TASKS", {"lesson": task})
    monkeypatch.setattr(
        tool, "finetune", lambda crystals, *a, **k: seen.append(crystals) or SimpleNamespace(metrics={})
    )
    for arm, seed in (("from scratch", 0), ("random, frozen", 0), ("from scratch", 1)):
        tool.run_cell("lesson", arm, seed, lesson, graphs)
    splits = [crystals.table["split"] for crystals in seen]
    assert splits[0].equals(splits[1]) and not splits[0].equals(splits[2])
    for split in splits:
        assert lesson.table.assign(split=split)[["formula", "split"]].drop_duplicates()["formula"].is_unique


def test_without_the_data_it_says_what_to_set(monkeypatch):
    monkeypatch.delenv("SPMAT_DATA_DIR", raising=False)
    with pytest.raises(SystemExit, match="SPMAT_DATA_DIR"):
        tool.crystals_of(tool.TASKS["gap"])


def test_real_sets_are_drawn_with_a_target_and_reduced_formulas(real_data):
    crystals = tool.crystals_of(tool.TASKS["molecules"])
    assert len(crystals) == tool.TASKS["molecules"].most
    assert crystals.table["formula"].iloc[0] == crystals.structures[0].composition.reduced_formula
