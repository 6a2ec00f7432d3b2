import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from spmat_nb.errors import InputError, SettingsError
from spmat_nb.table_checks import PLAUSIBLE, about_label, about_split, about_values
from spmat_nb.vocabulary import TARGETS


def table(**columns):
    count = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=[f"id-{i}" for i in range(count)])


def causes(notes):
    return [note.cause for note in notes]


@pytest.mark.parametrize(
    ("key", "values", "cause", "words"),
    [
        (
            "band_gap",
            [1.0, 1500.0, 0.0],
            "value-unlikely",
            r"'band_gap': 1 of 3 .* 0 to 20 eV .*meV.* 1500\.0 of 'id-1'",
        ),
        ("band_gap", [1.0, -999.0, -1.0], "value-unlikely", "2 of 3 .* code for a missing value"),
        ("formation_energy_per_atom", [-411.2, -1.0, 0.0], "value-unlikely", "-10 to 10 eV/atom .*kJ/mol"),
        ("density", [2165.0, 8960.0], "value-unlikely", "2 of 2 .*kg/m3"),
        ("atomic_density", [11.8, 0.08], "value-unlikely", "volume an atom"),
        ("efermi", [4000.0, 1.0], "value-unlikely", "meV"),
        ("energy_per_atom", [-30000.0, -5.0], "value-unlikely", "counts all electrons"),
        ("band_gap", ["n/a", "1.5", "2"], "value-text", "1 of 3 values are no number, first n/a of 'id-0'"),
        ("band_gap", [1.0, np.inf, -np.inf], "value-infinite", "2 of 3 values are infinite, first inf of 'id-1'"),
    ],
)
def test_odd_values_are_named_with_their_column_count_and_row(key, values, cause, words):
    (note,) = about_values(table(**{key: values}))
    assert note.cause == cause
    assert re.search(words, note.reason), note.reason


def test_sound_values_and_missing_ones_are_not_odd():
    low, high, _ = PLAUSIBLE["band_gap"]
    assert about_values(table(band_gap=[low, high, np.nan], other=["a", "b", "c"])) == []
    assert about_values(table(band_gap=[None, None, None])) == []
    assert set(PLAUSIBLE) == set(TARGETS)


def test_the_teaching_set_is_not_odd(teaching):
    assert teaching.warned.empty and teaching.check(label="gap_class").empty


def test_odd_values_are_noted_when_a_table_is_loaded(tiny, write_parquet, tmp_path):
    from spmat_nb.crystals import load

    values = tiny.table["band_gap"].astype(float).copy()
    values.iloc[:2] = 1500.0, np.inf
    crystals = load(write_parquet(tiny, tmp_path / "x.parquet", band_gap=values))
    assert crystals.warned["cause"].to_list() == ["value-infinite", "value-unlikely"]
    assert len(crystals) == 60 and crystals.table["band_gap"].iloc[0] == 1500.0


LABELS = {
    "one class": ([1.0, 2.0, 3.0], ["one-class"], "all 3 crystals .* 'non-metal'"),
    "nobody": ([np.nan, np.nan, np.nan], ["no-labels"], "no crystal has a class"),
    "a lonely one": ([0.0, 2.0, 3.0], ["single-member"], "class 'metal' .* one crystal"),
    "two lonely ones": ([0.0, 2.0, np.nan], ["single-member", "single-member"], "one crystal"),
    "fine": ([0.0, 0.0, 1.0, 2.0], [], ""),
}


@pytest.mark.parametrize(("gaps", "found", "words"), LABELS.values(), ids=LABELS)
def test_labels_that_teach_little_are_named(gaps, found, words):
    notes = about_label(table(band_gap=gaps), "is_metal")
    assert causes(notes) == found
    assert all(re.search(words, note.reason) for note in notes)


def test_splits_without_crystals_and_with_shared_formulas_are_named():
    fine = table(split=["train", "val", "test", "pretrain"], formula=["A", "B", "C", "A"])
    assert about_split(fine) == []
    assert causes(about_split(fine.iloc[:2])) == ["empty-split"]
    (note,) = about_split(fine.assign(formula=["A", "B", "A", "D"]))
    assert note.cause == "shared-formula" and "first A" in note.reason


def test_check_takes_targets_a_label_and_the_split(tiny):
    odd = tiny.table.assign(band_gap=1500.0, is_metal=0)
    report = replace(tiny, table=odd[odd["split"] != "val"]).check("band_gap", label="is_metal")
    assert report["cause"].to_list() == ["value-unlikely", "empty-split", "one-class"]
    with pytest.raises(SettingsError, match="'hardness'"):
        tiny.check("hardness")
    with pytest.raises(InputError, match="no column 'density'"):
        replace(tiny, table=tiny.table.drop(columns="density")).check("density")


@pytest.mark.parametrize(
    ("missing", "cause", "left"), [("drop", "missing-left-out", 58), ("keep", "missing-masked", 60)]
)
def test_missing_targets_are_counted_when_left_out_or_masked(tiny, missing, cause, left):
    gaps = tiny.table["band_gap"].astype(float).copy()
    gaps.iloc[[3, 7]] = np.nan, np.inf
    kept = replace(tiny, table=tiny.table.assign(band_gap=gaps)).with_target("band_gap", missing)
    (line,) = kept.warned.itertuples()
    assert (len(kept), line.cause, line.row) == (left, cause, "band_gap") and "2 of 60 crystals" in line.reason
    assert tiny.with_target("band_gap", missing).warned.empty


def test_drawing_rows_keeps_what_was_noted(tiny):
    noted = tiny.noted("one-class", "x")
    assert noted.select(np.arange(3)).warned["cause"].to_list() == ["one-class"] and tiny.warned.empty
