"""The embedded data keeps what its card and the README promise."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spmat_nb.crystals import load
from spmat_nb.graphs import build_graphs
from spmat_nb.labels import available_labels, label_classes
from spmat_nb.vocabulary import TARGETS, gap_class

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "data" / "teaching.parquet"
sys.path.insert(0, str(ROOT / "tools"))


@pytest.fixture(scope="module")
def teaching():
    return load("teaching")


def test_it_is_as_large_and_as_varied_as_promised(teaching):
    table = teaching.table
    assert len(table) >= 6000
    assert table["nsites"].max() <= 20
    assert table["prototype"].nunique() >= 150
    assert len({int(z) for cell in teaching.cells for z in cell.numbers}) >= 60
    assert table["is_stable"].sum() >= 1500
    assert FILE.stat().st_size <= 8e6


def test_every_row_is_usable(teaching):
    assert len(teaching.report) == 0
    assert teaching.table.index.is_unique
    assert build_graphs(teaching).isolated_atoms() == 0


@pytest.mark.parametrize("key", TARGETS)
def test_every_target_is_finite(teaching, key):
    assert np.isfinite(teaching.table[key]).all()


@pytest.mark.parametrize("key", available_labels(load("teaching").table))
def test_every_label_has_every_row_and_more_than_one_class(teaching, key):
    classes = label_classes(teaching.table, key)
    assert classes.min() == 0
    assert len(np.unique(classes)) > 1


def test_labels_agree_with_the_properties_they_are_made_from(teaching):
    table = teaching.table
    assert (gap_class(table["band_gap"]) == table["gap_class"]).all()
    assert ((table["band_gap"] == 0) == (table["is_metal"] == 1)).all()
    assert ((table["e_above_hull"] <= 0.001) == (table["is_stable"] == 1)).all()


def test_density_is_that_of_the_structure(teaching):
    some = teaching.sample(200, seed=0)
    exact = np.array([s.density for s in some.structures])
    np.testing.assert_allclose(some.table["density"], exact, rtol=1e-3)


def test_splits_follow_stability_and_no_formula_is_in_two(teaching):
    table = teaching.table
    assert ((table["split"] == "pretrain") == (table["is_stable"] == 0)).all()
    stable = table[table["split"] != "pretrain"]
    assert not stable[["formula", "split"]].drop_duplicates()["formula"].duplicated().any()


def test_famous_crystals_are_there_and_have_their_density(teaching):
    table = teaching.table
    known = {"NaCl": 2.16, "Si": 2.33, "CaF2": 3.18, "Cu": 8.96, "W": 19.3}
    for formula, density in known.items():
        nearest = (table.loc[table["formula"] == formula, "density"] - density).abs().min()
        assert nearest < 0.06 * density, formula


def test_card_and_readme_are_those_of_the_recorded_numbers():
    import write_tables

    assert (ROOT / "data" / "README.md").read_text() == write_tables.card()
    assert (ROOT / "README.md").read_text() == write_tables.readme()


def test_recorded_counts_are_those_of_the_file():
    from json import loads

    kept = loads((ROOT / "data" / "teaching_counts.json").read_text())["kept"]
    table = pd.read_parquet(FILE)
    assert kept["crystals"] == len(table)
    assert kept["stable"] == table["is_stable"].sum()
    for name, count in table["split"].value_counts().items():
        assert kept[f"split_{name}"] == count


def test_label_makers_were_measured_on_enough_real_crystals():
    from json import loads

    measured = loads((ROOT / "data" / "label_errors.json").read_text())
    assert measured["crystals"] >= 1000
    assert set(measured["confusion"]) == {"is_metal", "gap_class", "is_magnetic", "magnetic_class"}
