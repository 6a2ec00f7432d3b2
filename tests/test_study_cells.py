import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import yaml
from on_dask import on_dask

from spmat_nb.cli import main
from spmat_nb.errors import InputError, SettingsError
from spmat_nb.study.cells import pending, record_path, rerun, run_study
from spmat_nb.study.claims import Claim
from spmat_nb.study.command import differences
from spmat_nb.study.data import crystals_of, fold_rows, join, parted, seen_formulas, source, to_pretrain_on
from spmat_nb.study.declared import make_study
from spmat_nb.study.plan import Folds, code
from spmat_nb.study.records import check_same_data, errors_of, frame, gather, pack, read_packed, restore
from spmat_nb.study.tables import compare, levels, rank_table

SIZES = {"encoder.node_features": 8, "encoder.convolutions": 1, "encoder.hidden": 8, "encoder.projection": 8}
ARMS = [
    {"name": "from scratch", "start": "scratch"},
    {"name": "SPMat-BT", "loss": "sup_barlow"},
    {"name": "random, frozen", "start": "random", "finetune.train": "head"},
]


@pytest.fixture(scope="module")
def values(tiny, write_parquet, tmp_path_factory):
    """A study of a few crystals, as YAML has it."""
    return {
        "name": "tiny",
        "question": "Does it run?",
        "data": str(write_parquet(tiny, tmp_path_factory.mktemp("data") / "tiny.parquet")),
        "targets": ["density", "band_gap"],
        "seeds": 2,
        "settings": {"epochs": 2, "batch_size": 16, "finetune.epochs": 2, "finetune.batch_size": 8, **SIZES},
        "arms": ARMS,
    }


@pytest.fixture(scope="module")
def done(values, tmp_path_factory):
    """The study after a run, and its folder."""
    study, folder = make_study({**values, "references": ["from scratch"]}), tmp_path_factory.mktemp("study")
    assert run_study(study, folder) == 0
    return study, folder


def test_a_record_says_everything(done, tiny):
    study, folder = done
    record = json.loads(record_path(folder, study.cells()[2]).read_text())
    assert (record["arm"], record["target"], record["seed"]) == ("SPMat-BT", "density", 0)
    assert record["settings"]["pretrain"]["label"] == "gap_class" and record["settings"]["finetune"]["epochs"] == 2
    assert len(record["judged"]["error"]) == len(record["judged"]["ids"]) == record["metrics"]["n_test"] == 6
    assert np.isclose(np.abs(record["judged"]["error"]).mean(), record["metrics"]["test_mae"], rtol=1e-3)
    assert len(record["history"]["loss"]) == len(record["pretrain_history"]["val_loss"]) == 2
    assert record["pretrained_on"]["crystals"] == len(tiny.of_split("pretrain"))
    assert {"processor", "threads", "torch", "device"} <= set(record["machine"]) and record["date"] > "2026"


DASK = """
import json
from spmat_nb.study.cells import run_study
from spmat_nb.study.declared import make_study
print(run_study(make_study(json.loads(sys.argv[1])), sys.argv[2]))
"""


def test_a_dask_cluster_runs_the_same_study(done, values, tmp_path):
    half, folder = {**values, "seeds": 1}, done[1]
    said = on_dask(DASK, "spmat_nb.finetune", tmp_path, json.dumps(half), tmp_path / "study")
    assert said == ["0", "[True, True]"]
    records = [gather(make_study(half), where) for where in (folder, tmp_path / "study")]
    assert len(records[0]) == 6
    for here, there in zip(*records, strict=True):
        assert here["judged"] == there["judged"] and here["history"] == there["history"]


def test_finished_cells_are_skipped_and_encoders_are_shared(done):
    study, folder = done
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    run_study(study, folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before
    assert len(list((folder / "encoders").iterdir())) == 2  # of two seeds, for two targets each


def test_a_lost_record_is_made_again_bit_for_bit(done, tmp_path):
    study, folder = done
    cell = study.cells()[3]
    before = json.loads(record_path(folder, cell).read_text())
    again = make_study_in(study, tmp_path, [cell])
    assert again["judged"] == before["judged"] and again["history"] == before["history"]


def make_study_in(study, folder, cells):
    run_study(study, folder, cells=cells)
    return json.loads(record_path(folder, cells[0]).read_text())


def test_seeds_and_arms_differ_but_rows_do_not(done):
    study, folder = done
    errors = errors_of(gather(study, folder), "density")
    assert {name: array.shape for name, array in errors.arms.items()} == {arm["name"]: (2, 6) for arm in ARMS}
    flat = [row.tobytes() for array in errors.arms.values() for row in array]
    assert len(set(flat)) == len(flat)


def test_tables(done):
    study, folder = done
    records = gather(study, folder)
    table = compare(records, "from scratch")
    assert list(table["arm"]) == ["SPMat-BT", "random, frozen"] * 2 and set(table["seeds"]) == {2}
    assert (table["low"] <= table["change"]).all() and (table["change"] <= table["high"]).all()
    assert (table["p_holm"] >= table["p"]).all() and set(table["verdict"]) <= {"better", "worse", "not told apart"}
    mae = levels(records).loc[("density", "SPMat-BT"), "mean"]
    assert np.isclose(mae, table.set_index(["target", "arm"]).loc[("density", "SPMat-BT"), "mae"])
    own = frame(records).query("arm == 'from scratch' and target == 'density'")["mae"]
    assert np.isclose(levels(records).loc[("density", "from scratch"), "std"], own.std())
    assert rank_table(records)["rows"].unique().tolist() == [4]


def test_packed_records_come_back(done, tmp_path):
    study, folder = done
    records = gather(study, folder)
    path = pack(records, tmp_path / "deep" / "tiny.jsonl")
    assert read_packed(path) == records
    pd.testing.assert_frame_equal(compare(read_packed(path), "from scratch"), compare(records, "from scratch"))
    assert restore(study, tmp_path / "new", path) == len(records)
    assert gather(study, tmp_path / "new") == records and pending(study.cells(), tmp_path / "new") == []
    with pytest.raises(InputError, match="none"):
        read_packed(tmp_path / "none.jsonl")


def test_no_records_and_records_of_other_crystals_are_refused(done):
    study, folder = done
    records = gather(study, folder)
    with pytest.raises(InputError, match="no record yet"):
        check_same_data([])
    with pytest.raises(InputError, match="no record of the target 'efermi'"):
        errors_of(records, "efermi")
    other = json.loads(json.dumps(records[4]))
    other["metrics"]["data"]["fingerprint"] = "other"
    with pytest.raises(InputError, match="other crystals"):
        check_same_data([*records, other])


def test_judged_by_validation_rows_no_test_row_is_touched(values, tmp_path):
    study = make_study({**values, "judge": "val", "targets": ["density"], "seeds": 1, "arms": ARMS[:1]})
    cell = study.cells()[0]
    assert set(parted(cell).table["split"]) == {"train", "val"}
    run_study(study, tmp_path)
    record = gather(study, tmp_path)[0]
    assert record["metrics"]["n_test"] == 0 and len(record["judged"]["error"]) == record["metrics"]["n_val"] == 6


def test_folds_test_every_crystal_once(values, tmp_path):
    change = {"folds": {"count": 3, "random_state": 5}, "targets": ["density"], "seeds": 1, "arms": ARMS[:1]}
    study = make_study({**values, **change})
    run_study(study, tmp_path)
    errors = errors_of(gather(study, tmp_path), "density")
    crystals = crystals_of(study.data, None).of_split("train", "val", "test")
    assert errors.arms["from scratch"].shape == (1, len(crystals))
    assert sorted(errors.groups) == sorted(map(code, crystals.table["formula"]))
    first, second, _ = gather(study, tmp_path)
    with pytest.raises(InputError, match="has all 2 folds"):
        errors_of([first, {**second, "seed": 1}], "density")
    with pytest.raises(InputError, match="all folds yet"):
        levels([first, {**second, "seed": 1}])
    records = [*gather(study, tmp_path), {**first, "seed": 1}]
    assert levels(records)["count"].tolist() == [1] and rank_table(records)["rows"].tolist() == [1]


def test_folds_by_formula_with_few_labelled_rows_and_missing_targets(values, tiny, write_parquet, tmp_path):
    known = tiny.table["density"].where(np.arange(len(tiny)) % 7 != 5)
    data = str(write_parquet(tiny, tmp_path / "gaps.parquet", density=known))
    arms = [ARMS[0], {**ARMS[0], "name": "frozen", "finetune.train": "head"}]
    change = {"data": data, "folds": {"count": 2}, "seeds": 2, "arms": arms}
    study = make_study({**values, **change, "settings": {**values["settings"], "labelled": 5}})
    run_study(study, tmp_path / "study")
    records = gather(study, tmp_path / "study")
    assert {one["metrics"]["n_train"] for one in records} == {5}
    tested = tiny.of_split("train", "val", "test").table
    for target, count in (("density", known[tested.index].notna().sum()), ("band_gap", len(tested))):
        assert errors_of(records, target).arms["frozen"].shape == (2, count)
    assert len(compare(records, "from scratch")) == 2


def test_official_folds_count_all_crystals(values, tiny, write_parquet, tmp_path):
    data = str(
        write_parquet(tiny, tmp_path / "gaps.parquet", density=tiny.table["density"].where(np.arange(len(tiny)) > 50))
    )
    study = make_study({**values, "data": data, "folds": {"count": 2, "random_state": 5}})
    with pytest.raises(InputError, match="have no number in 'density'"):
        parted(study.cells()[0])


def test_official_folds_are_scikit_learns():
    from sklearn.model_selection import KFold

    ours = fold_rows(np.array(list("abcdefghij")), Folds(5, 18012019))
    theirs = [test for _, test in KFold(5, shuffle=True, random_state=18012019).split(range(10))]
    assert [one.tolist() for one in ours] == [one.tolist() for one in theirs]
    grouped = fold_rows(np.array(list("aabbccdd")), Folds(2))
    assert all(len(set("aabbccdd"[i] for i in part)) == 2 for part in grouped)


def test_labelled_rows_are_nested_and_val_and_test_stay(values):
    arms = [{"name": "{labelled}", "start": "scratch", "labelled": [4, 8]}]
    few, more = (parted(cell) for cell in make_study({**values, "arms": arms, "targets": ["density"]}).cells()[:2])
    assert [(one.table["split"] == "train").sum() for one in (few, more)] == [4, 8]
    assert set(few.table.index) < set(more.table.index) and (few.table["split"] == "test").sum() == 6


def test_formulas_of_the_task_are_kept_out_of_pretraining(values, tiny):
    arm = {"name": "a", "pretrain_on": values["data"], "label": "gap_class"}
    cell = make_study({**values, "arms": [arm], "exclude_formulas": True}).cells()[0]
    kept = to_pretrain_on(cell)
    tested = crystals_of(values["data"], None).of_split("train", "val", "test").table["formula"]
    assert not kept.table["formula"].isin(tested).any() and len(seen_formulas(cell.study)) == 0
    everything = to_pretrain_on(make_study({**values, "arms": [arm]}).cells()[0])
    assert len(everything) == len(tiny.of_split("pretrain")) >= len(kept)


def test_an_encoder_that_is_there_already_says_which_formulas_it_has_seen(done, tmp_path):
    study, folder = done
    ready = next((folder / "encoders").iterdir())
    settings = {"finetune.epochs": 1, "finetune.batch_size": 8, **SIZES}
    arms = [ARMS[0], {"name": "ready", "start": str(ready)}]
    plain = {"name": "other", "question": "Seen?", "data": study.data, "targets": ["density"], "seeds": 1}
    blind = make_study({**plain, "settings": settings, "arms": ARMS[:1], "exclude_formulas": True})
    loads = make_study({**plain, "settings": settings, "arms": arms, "exclude_formulas": True})
    assert loads.loaded == [str(ready)] and blind.loaded == [] and len(seen_formulas(blind)) == 0
    assert set(seen_formulas(loads)) == set(seen_formulas(study)) and len(seen_formulas(loads)) > 0
    assert loads.cells()[0].key != blind.cells()[0].key, "the same run, but other crystals count as seen"
    assert run_study(loads, tmp_path) == 0
    assert {one["pretrained_on"].get("crystals", 0) > 0 for one in gather(loads, tmp_path)} == {True, False}


def test_fewer_rows_to_pretrain_on_are_part_of_more(values):
    arms = [{"name": "{pretrain_rows}", "pretrain_rows": [10, 20]}]
    few, more = (to_pretrain_on(cell) for cell in make_study({**values, "arms": arms}).cells()[:4:2])
    assert len(few) == 10 and set(few.table.index) < set(more.table.index)


def test_joined_sets_hold_each_id_once(tiny):
    first, second = tiny.of_split("pretrain"), tiny.of_split("pretrain", "train")
    both = join([first, second])
    assert sorted(both.table.index) == sorted(second.table.index) and len(both.cells) == len(second)
    assert join([first]) is first
    with pytest.raises(InputError):
        join([])


def test_real_data_without_a_folder_is_explained(monkeypatch, tmp_path):
    monkeypatch.delenv("SPMAT_DATA_DIR", raising=False)
    with pytest.raises(SettingsError, match="SPMAT_DATA_DIR"):
        source("mp33k")
    monkeypatch.setenv("SPMAT_DATA_DIR", str(tmp_path))
    with pytest.raises(SettingsError, match=r"no mp33k\.parquet"):
        source("mp33k")
    (tmp_path / "mp33k.parquet").touch()
    assert source("mp33k") == tmp_path / "mp33k.parquet" and source("teaching") == "teaching"


# Claims -------------------------------------------------------------------------------------------------------------


def test_only_one_gets_a_claim(tmp_path):
    first, second = Claim(tmp_path / "a"), Claim(tmp_path / "a")
    assert first.take() and not second.take()
    first.give_back()
    assert second.take()


@pytest.mark.parametrize(("host", "age", "free"), [("elsewhere", 10, False), ("elsewhere", 1000, True)])
def test_a_claim_of_another_machine_is_void_after_a_long_silence(tmp_path, host, age, free):
    path = tmp_path / "a"
    path.write_text(json.dumps({"host": host, "process": 1}))
    os.utime(path, (time.time() - age,) * 2)
    assert Claim(path).take() is free


def test_a_claim_of_an_ended_process_is_void(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    import socket

    (tmp_path / "a").write_text(json.dumps({"host": socket.gethostname(), "process": ended.pid}))
    claim = Claim(tmp_path / "a")
    assert claim.take() and [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_others_have_claimed_is_left_to_them(values, tmp_path):
    study = make_study({**values, "arms": ARMS[:1], "targets": ["density"], "seeds": 2})
    unit = study.units()[0]
    other = Claim(tmp_path / "claims" / unit.key)
    assert other.take()
    assert run_study(study, tmp_path) == 1 and len(gather(study, tmp_path)) == 1
    other.give_back()
    assert run_study(study, tmp_path) == 0 and list((tmp_path / "claims").iterdir()) == []


# Command line and faults --------------------------------------------------------------------------------------------


@pytest.fixture
def config(values, tmp_path):
    path = tmp_path / "tiny.yml"
    few = {"targets": ["density"], "arms": ARMS[:2], "references": ["from scratch"]}
    path.write_text(yaml.safe_dump({**values, **few}))
    return path


def test_commands(config, tmp_path, capsys):
    start = ["study", str(config), "--out", str(tmp_path / "out")]
    assert main([*start, "--plan"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["cells_left"], plan["encoders_left"]) == (4, 4) and plan["seconds_a_cell"] > 0
    assert main([*start, "--cell", "SPMat-BT | density | seed 1"]) == 0
    assert json.loads(capsys.readouterr().out.split("\n\n")[-1])["records"] == 1
    assert main(start) == 0
    said = capsys.readouterr().out
    page, _, result = said.rpartition("\n\n")
    assert "Change against *from scratch*" in page and "Ranks" in page
    assert (tmp_path / "out" / f"{json.loads(result)['study']}.md").read_text().strip() == page.strip()
    assert main([*start, "--check", "--cell", "SPMat-BT | density | seed 1"]) == 0
    assert json.loads(capsys.readouterr().out)["checked"][0]["equal"]
    assert main([*start, "--pack", str(tmp_path / "packed.jsonl")]) == 0
    other = ["study", str(config), "--out", str(tmp_path / "other"), "--records", str(tmp_path / "packed.jsonl")]
    capsys.readouterr()
    assert main([*other, "--check", "--cell", "from scratch | density | seed 0"]) == 0
    assert json.loads(capsys.readouterr().out)["checked"][0]["equal"]


def test_records_that_come_along_are_checked_without_a_folder(done, config, tmp_path, capsys, monkeypatch):
    study, folder = done
    pack(gather(study, folder), tmp_path / f"{study.name}.jsonl")
    monkeypatch.setenv("SPMAT_RECORDS_DIR", str(tmp_path))
    cell = study.cells()[0].title
    assert main(["study", str(config), "--out", str(tmp_path / "empty"), "--check", "--cell", cell]) == 0
    found = json.loads(capsys.readouterr().out)["checked"][0]
    assert found["equal"] and found["machine_differs"] == {}
    assert differences({"torch": "1.0", "device": "cpu"}, {"torch": "2.0", "device": "cpu"}) == {
        "torch": "1.0, here 2.0"
    }


def test_commands_explain_mistakes(config, tmp_path, capsys):
    assert main(["study", str(tmp_path / "none.yml")]) == 2 and "none.yml" in capsys.readouterr().err
    start = ["study", str(config), "--out", str(tmp_path / "out")]
    assert main([*start, "--cell", "nobody"]) == 2 and "The first one is" in capsys.readouterr().err
    assert main([*start, "--check"]) == 2 and "has no record" in capsys.readouterr().err
    assert main([*start, "--pack", str(tmp_path / "a")]) == 2 and "run the study first" in capsys.readouterr().err


def test_a_killed_study_goes_on_and_two_processes_share_it(values, tmp_path):
    slow = {**values, "seeds": 3, "settings": values["settings"] | {"epochs": 10, "finetune.epochs": 5}}
    path = tmp_path / "tiny.yml"
    path.write_text(yaml.safe_dump(slow))
    command = [sys.executable, "-m", "spmat_nb", "study", str(path), "--out", str(tmp_path / "out")]
    folder, study = tmp_path / "out", make_study(slow)
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while len(gather(study, folder)) < 3 and time.monotonic() < end:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = {path: path.stat().st_mtime_ns for path in (folder / "cells").glob("*.json")}
    assert 3 <= len(done) < len(study.cells())
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert pending(study.cells(), folder) == [] and not list((folder / "claims").iterdir())
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_a_cell_can_be_run_again(done):
    study, folder = done
    cell = study.cells()[2]
    again, before = rerun(cell), json.loads(record_path(folder, cell).read_text())
    assert again["judged"] == before["judged"] and again["history"] == before["history"]
