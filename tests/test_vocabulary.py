import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Composition

from spmat_nb.errors import InputError, SettingsError
from spmat_nb.vocabulary import (
    COLUMN_LABELS,
    MISSING,
    TARGETS,
    chemical_family,
    gap_class,
    gap_type,
    get_target,
    magnetic_class,
    numeric_columns,
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
    assert family in COLUMN_LABELS["family"].classes


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


@pytest.mark.parametrize(
    ("gap", "is_direct", "wanted"),
    [
        (0.0, 1, "none"),
        (-0.1, np.nan, "none"),
        (1.1, 0, "indirect"),
        (1.4, 1, "direct"),
        (1.4, np.nan, None),
        (1.4, MISSING, None),
        (np.nan, 1, None),
    ],
)
def test_the_gap_type_needs_a_gap_and_a_flag(gap, is_direct, wanted):
    found = gap_type(pd.Series([gap]), pd.Series([float(is_direct)])).to_list()
    assert found == [wanted] if wanted else pd.isna(found).all()


def test_a_flag_of_the_gap_that_is_neither_is_named_with_its_row():
    flags = pd.Series([1, 0.5], index=["a", "b"], name="is_gap_direct")
    with pytest.raises(InputError, match=r"'is_gap_direct', row b: 0.5 .* leave unknown ones empty"):
        gap_type(pd.Series([1.0, 2.0], index=["a", "b"]), flags)


COLUMNS = {
    "whole": [1, 2, 3],
    "with holes": [1.5, None, 2],
    "objects": pd.Series([1, 2.5, None], dtype=object),
    "nullable": pd.Series([1, None, 3], dtype="Int64"),
    "empty": [np.nan] * 3,
    "text": ["1", "2", "x"],
    "truth": [True, False, True],
    "lists": [[1], [2, 3], []],
    "nothing": [None] * 3,
}
NUMERIC = ["whole", "with holes", "objects", "nullable", "empty"]


def test_numeric_columns_hold_numbers_and_holes_only():
    assert numeric_columns(pd.DataFrame(COLUMNS)) == NUMERIC


@pytest.mark.parametrize("column", NUMERIC)
def test_a_numeric_column_can_be_a_target(column):
    target = get_target(column, pd.DataFrame(COLUMNS))
    assert (target.key, target.axis, target.about) == (column, column, "a column of the data")


def test_a_target_of_the_registry_comes_before_a_column():
    assert get_target("density", pd.DataFrame({"density": ["heavy"]})) is TARGETS["density"]


def test_an_unknown_target_is_named_with_the_known_ones():
    with pytest.raises(SettingsError, match=r"Unknown target 'nope'. Known: .*band_gap"):
        get_target("nope")


@pytest.mark.parametrize("key", ["nope", "text", "truth"])
def test_an_unknown_target_is_named_with_the_numeric_columns_too(key):
    with pytest.raises(SettingsError, match=f"Unknown target '{key}'. Known: .*band_gap.*, whole, .*empty\\.$"):
        get_target(key, pd.DataFrame(COLUMNS))


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
