"""What comes with the project: records and what is said of them, on pages that are made from nothing else."""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from made_study import PLAN, made_record, made_results

from spmat_nb import plots_study
from spmat_nb.errors import SettingsError
from spmat_nb.study.declared import read_study, study_names
from spmat_nb.study.pages import report
from spmat_nb.study.records import pack
from spmat_nb.study.results import result_names, results

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))


@pytest.fixture(scope="module")
def made():
    return made_results()


def test_what_was_made_is_found(made):
    table = made.against("from scratch").set_index(["target", "arm"])
    assert (table.loc[("density", "good"), "verdict"], table.loc[("density", "same"), "verdict"]) == (
        "better",
        "not told apart",
    )
    assert table.loc[("density", "good"), "change"] == pytest.approx(-20, abs=1.5)
    assert len(table.loc[("density", "good"), "each"]) == 4
    assert table["related"].to_dict() == {
        ("density", "good"): False,
        ("density", "same"): False,
        ("band_gap", "good"): True,
        ("band_gap", "same"): False,
    }
    with pytest.raises(SettingsError, match="Unknown arm 'nobody'"):
        made.against("nobody")


def test_contrasts_have_a_correction_of_their_own(made):
    table = made.contrasts()
    assert list(zip(table["arm"], table["reference"], strict=True))[:2] == [("good", "same"), ("from scratch", "same")]
    assert (table["p_holm"] <= table["p"] * len(table) + 1e-12).all() and (table["verdict"] == "better").sum() == 2


def test_a_table_that_is_changed_does_not_change_the_next(made):
    del made.against("same")["arm"]
    assert "arm" in made.against("same")


def test_cells_are_found_by_title(made):
    cell, record = made.cell("good | density | seed 2")
    assert (cell.seed, record["seed"], record["arm"]) == (2, 2, "good")
    with pytest.raises(SettingsError, match="Unknown cell with a record 'good'"):
        made.cell("good")


def test_a_report_has_every_table(made):
    text = report(made)
    assert text.count("| arm |") == 5, "errors, change, change on unseen formulas, contrasts, ranks"
    assert "24 of 24 cells, 4 of 4 seeds; 24 cells on a processor (cpu, 1 thread, torch 2.0, 2026-11-01 to" in text
    assert "| good *against* same | **-" in text and "% (-" in text and "** † |" in text
    assert "| the median of the training rows | 3 | 3 |" in text
    assert "better: good -" in text


def test_a_study_judged_by_validation_rows_says_so_everywhere():
    tuned = made_results(judge="val")
    text = report(tuned)
    assert "judged by validation rows" in text and "200 validation crystals): better" in text
    assert " test crystals" not in text and "nan" not in text and "median of the training rows" not in text
    ax = plots_study.intervals(tuned.against("from scratch")[:2], plt.figure().gca())
    assert ax.get_xlabel().startswith("change of validation MAE")
    plt.close("all")


def test_one_seed_tells_nothing_apart(made):
    one = type(made)(made.study, [record for record in made.records if record["seed"] == 0])
    table = one.against("from scratch")
    assert (table["p_holm"] < 0.05).any() and (table["verdict"] == "not told apart").all()


def test_published_errors_stand_below_ours():
    text = report(made_results(targets=["density"], published={"AB-Net": 28.8}))
    assert "| AB-Net (published) | 28.8 |" in text


def test_a_study_that_is_not_finished_says_so(made):
    some = type(made)(made.study, made.records[:6])
    assert some.finished == "6 of 24 cells, 1 of 4 seeds"
    assert "± " not in report(some).split("Change against")[0], "no spread over one seed"


def test_a_page_of_scattered_cells_says_what_is_missing(made):
    first, other = made.records[0], next(one for one in made.records if one["arm"] != made.records[0]["arm"])
    folds = [first | {"fold": 0}, other | {"fold": 1}]
    assert report(type(made)(made.study, folds)).endswith("No seed of any arm has all folds yet.\n")
    half = [*made.records, first | {"target": "efermi", "fold": 0}, other | {"target": "efermi", "fold": 1}]
    table = type(made)(made.study, half).against("from scratch")
    assert table.equals(made.against("from scratch")), "a target without a whole seed is left out"
    no_reference = [one for one in made.records if one["arm"] not in made.study.references]
    assert "Change against" not in report(type(made)(made.study, no_reference))


def test_records_without_a_place_in_the_plan_are_left_out(made, monkeypatch, tmp_path):
    other = {**made.records[0], "key": "of-another-plan"}
    pack([*made.records, other], tmp_path / "made.jsonl")
    (tmp_path / "made.yml").write_text(json.dumps(PLAN))
    for name in ("SPMAT_RECORDS_DIR", "SPMAT_STUDIES_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    assert result_names() == study_names() == ["made"]
    again = results("made")
    assert [one["key"] for one in again.records] == [one["key"] for one in made.records]
    assert again.against("from scratch").equals(made.against("from scratch"))
    assert "made: Is it found? 24 of 24" in repr(again)
    with pytest.raises(SettingsError, match="Known: made"):
        results("other")


@pytest.mark.parametrize("name", result_names())
def test_shipped_records_are_cells_of_their_study(name):
    found, lines = results(name), (ROOT / "data" / "results" / "study" / f"{name}.jsonl").read_text().splitlines()
    assert len(found.records) == len(lines) - 1 == len({one["key"] for one in found.records})
    assert all(one["date"] and one["machine"]["torch"] for one in found.records)


def test_pages_are_those_of_the_records():
    import write_results

    pages = write_results.pages()
    assert {path.name for path in pages} == {"results.md", "README.md", "study.md"}
    assert {path: path.read_text() for path in pages} == pages, "run python tools/write_results.py"


def test_a_study_is_read_by_name_from_anywhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert read_study("teaching").name == "teaching"
    with pytest.raises(SettingsError, match=r"Studies that come along: .*teaching"):
        read_study("teeching")


def test_made_records_have_what_real_ones_have(made):
    real = results("teaching").records[0]
    assert set(made_record(made.study.cells()[0], np.random.default_rng(0))) <= set(real)
