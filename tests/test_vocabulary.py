import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Composition

from spmat_nb.errors import InputError, SettingsError
from spmat_nb.vocabulary import (
    LABELS,
    MISSING,
    TARGETS,
    chemical_family,
    gap_class,
    get_label,
    get_target,
    label_classes,
    magnetic_class,
)


def numbers(formula):
    return [element.Z for element in Composition(formula)]


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("Cu", "intermetallic"),
        ("NiAl", "intermetallic"),
        ("Fe2O3", "oxide"),
        ("CaCO3", "oxide"),
        ("NaH2PO4", "oxide"),
        ("BiOCl", "oxyhalide"),
        ("NaClO4", "oxyhalide"),
        ("NaCl", "halide"),
        ("K2PtCl6", "halide"),
        ("HgSI", "halide"),
        ("ZnS", "chalcogenide"),
        ("Bi2Te3", "chalcogenide"),
        ("CuSbS2", "chalcogenide"),
        ("GaAs", "pnictide"),
        ("Si3N4", "pnictide"),
        ("MgB2", "hydride_boride_carbide_silicide"),
        ("TiC", "hydride_boride_carbide_silicide"),
        ("CaH2", "hydride_boride_carbide_silicide"),
        ("Mg2Si", "hydride_boride_carbide_silicide"),
    ],
)
def test_the_family_of_a_compound_is_that_of_its_strongest_anion(formula, family):
    assert chemical_family(numbers(formula)) == family
    assert family in LABELS["family"].classes


def test_gap_classes_change_at_zero_and_two_electronvolts():
    gaps = pd.Series([-0.1, 0.0, 0.01, 1.99, 2.0, 8.5, np.nan], index=list("abcdefg"))
    named = gap_class(gaps)
    assert named.iloc[:6].to_list() == ["none", "none", "narrow", "narrow", "wide", "wide"]
    assert named.isna().to_list() == [False] * 6 + [True] and list(named.index) == list("abcdefg")


@pytest.mark.parametrize(
    ("formula", "moment", "wanted"),
    [
        ("Fe", 2.2, "net_moment"),
        ("NaCl", 0.02, "net_moment"),
        ("Fe2O3", 0.019, "no_net_moment_open_shell"),
        ("Cu", 0.0, "no_net_moment_open_shell"),
        ("UO2", 0.0, "no_net_moment_open_shell"),
        ("TiO2", 0.0, "no_net_moment_closed_shell"),
        ("ZnO", 0.0, "no_net_moment_closed_shell"),
        ("LaB6", 0.0, "no_net_moment_closed_shell"),
    ],
)
def test_the_magnetic_class_needs_a_moment_or_an_open_shell(formula, moment, wanted):
    assert magnetic_class(pd.Series([moment]), [numbers(formula)]).to_list() == [wanted]


def test_without_a_moment_the_magnetic_class_is_not_known():
    assert magnetic_class(pd.Series([np.nan, 0.0]), [[26], [26]]).isna().to_list() == [True, False]


def table(column, values):
    return pd.DataFrame({column: values}, index=[f"id-{i}" for i in range(len(values))])


@pytest.mark.parametrize(
    ("label", "values", "classes"),
    [
        ("gap_class", ["none", "wide", None, "narrow"], [0, 2, MISSING, 1]),
        ("gap_class", [0, 2, -1, 1], [0, 2, MISSING, 1]),
        ("is_metal", [0, 1, -1], [0, 1, MISSING]),
        ("is_metal", [0.0, 1.0, np.nan], [0, 1, MISSING]),
        ("is_metal", ["metal", "non-metal", np.nan], [1, 0, MISSING]),
        ("crystal_system", ["cubic", "triclinic"], [6, 0]),
        ("is_metal", [True, False], [1, 0]),
        ("is_metal", [True, None, False], [1, MISSING, 0]),
    ],
    ids=["names", "indices", "flags", "floats", "flag names", "order", "truth", "truth with a hole"],
)
def test_classes_are_indices_and_missing_ones_minus_one(label, values, classes):
    found = label_classes(table(label, values), label)
    assert found.dtype == np.int64 and found.tolist() == classes


@pytest.mark.parametrize(
    ("label", "values", "shown"),
    [("gap_class", ["none", "huge"], "'huge'"), ("is_metal", [0, 7], "7"), ("is_metal", [0, 0.5], "0.5")],
)
def test_a_strange_value_is_named_with_its_row(label, values, shown):
    with pytest.raises(InputError, match=rf"row id-1: .*{shown}.*Known"):
        label_classes(table(label, values), label)


def test_an_absent_column_is_named():
    for key in ("gap_class", "family"):
        with pytest.raises(InputError, match=f"no column '{key}'"):
            label_classes(table("density", [1.0]), key)


@pytest.mark.parametrize(
    ("label", "source", "values", "classes"),
    [
        ("gap_class", "band_gap", [0.0, 1.9, 2.0, None], [0, 1, 2, MISSING]),
        ("is_metal", "band_gap", [0.0, 0.1, None], [1, 0, MISSING]),
        ("is_magnetic", "magnetization_per_atom", [0.02, 0.019, None], [1, 0, MISSING]),
        ("is_stable", "e_above_hull", [0.0, 0.001, 0.002, None], [1, 1, 0, MISSING]),
    ],
)
def test_a_label_is_made_from_its_source_when_its_own_column_is_absent(label, source, values, classes):
    sources = table(source, values)
    assert label_classes(sources, label).tolist() == classes
    assert set(label_classes(sources.assign(**{label: 0}), label)) == {0}, "its own column comes first"


@pytest.mark.parametrize(
    ("get", "kind", "known"), [(get_label, "label", "gap_class"), (get_target, "target", "band_gap")]
)
def test_an_unknown_name_is_named_with_the_known_ones(get, kind, known):
    with pytest.raises(SettingsError, match=rf"Unknown {kind} 'nope'. Known: .*{known}"):
        get("nope")


@pytest.mark.parametrize("label", LABELS.values(), ids=LABELS)
def test_every_class_has_a_name_and_a_colour_of_its_own(label):
    assert len(set(label.classes)) == len(set(label.colours)) == len(label.classes) >= 2
    assert label.title and label.about


@pytest.mark.parametrize("key", LABELS)
def test_the_teaching_set_has_every_class_of_every_label(teaching, key):
    assert set(label_classes(teaching.table, key)) == set(range(len(LABELS[key].classes)))


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_every_target_has_an_axis_with_its_unit(target):
    assert target.axis == f"{target.title} ({target.unit})" and target.unit and target.about


def test_families_and_magnetic_classes_of_the_teaching_set_follow_the_rules(teaching):
    table, numbers_of = teaching.table, [cell.numbers for cell in teaching.cells]
    assert [chemical_family(z) for z in numbers_of] == table["family"].to_list()
    found = magnetic_class(table["magnetization_per_atom"], numbers_of)
    assert (found == table["magnetic_class"]).mean() >= 0.99


@pytest.fixture(scope="module")
def mp33k(real_data):
    columns = ["atomic_numbers", "band_gap", "gap_class", "total_magnetization", "magnetic_class", "family"]
    return pd.read_parquet(real_data / "mp33k.parquet", columns=columns)


def test_families_agree_with_the_real_data(mp33k):
    assert (mp33k["atomic_numbers"].map(chemical_family) == mp33k["family"]).mean() >= 0.99


def test_gap_classes_agree_with_the_real_data(mp33k):
    assert (gap_class(mp33k["band_gap"]) == mp33k["gap_class"]).mean() >= 0.99


def test_magnetic_classes_agree_with_the_real_data(mp33k):
    per_atom = mp33k["total_magnetization"].abs() / mp33k["atomic_numbers"].map(len)
    assert (magnetic_class(per_atom, mp33k["atomic_numbers"]) == mp33k["magnetic_class"]).mean() >= 0.99
