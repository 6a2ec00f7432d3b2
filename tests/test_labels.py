import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spmat_nb.errors import InputError, SettingsError
from spmat_nb.labels import (
    LABEL_MAKERS,
    LABELS,
    MOST_CLASSES,
    NOT_KNOWN,
    available_labels,
    class_counts,
    get_label,
    label_classes,
)
from spmat_nb.vocabulary import COLOURS, MISSING


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
        ("gap_type", ["indirect", "none", None, "direct"], [2, 0, MISSING, 1]),
        ("gap_x_magnetic", ["none & magnetic", None], [1, MISSING]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
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


GAPS = [0.0, 1.0, 2.0, 3.0, None, 4.0]


@pytest.mark.parametrize(
    "flags",
    [
        [False, True, False, None, True, True],
        [0, 1, 0, None, 1, 1],
        [0, 1, 0, MISSING, 1, 1],
        pd.array([False, True, False, None, True, True], dtype="boolean"),
        pd.array([0, 1, 0, None, 1, 1], dtype="Int64"),
    ],
    ids=["truth", "flags", "minus one", "nullable truth", "nullable flags"],
)
def test_the_gap_type_is_made_from_the_gap_and_the_flag_of_materials_project(flags):
    data = table("band_gap", GAPS).assign(is_gap_direct=flags)
    assert label_classes(data, "gap_type").tolist() == [0, 1, 2, MISSING, MISSING, 1]
    assert set(label_classes(data.assign(gap_type="direct"), "gap_type")) == {1}, "its own column comes first"


@pytest.mark.parametrize("column", ["band_gap", "is_gap_direct"])
def test_one_source_of_two_is_not_enough(column):
    with pytest.raises(InputError, match=r"no column 'gap_type' \(or 'band_gap' and 'is_gap_direct' to make it from\)"):
        label_classes(table(column, [0.0, 1.0]), "gap_type")


@pytest.mark.parametrize("key", ["nope", "", "foo:bar", "gap_class:2", "crossed:gap_class,nope", "shuffled:nope"])
def test_an_unknown_label_is_named_with_the_known_ones_and_the_ways_to_make_more(key):
    with pytest.raises(SettingsError, match=r"Unknown label .* Known: .*gap_class.*bins:COLUMN:COUNT.*shuffled:LABEL"):
        get_label(key)


@pytest.mark.parametrize("label", LABELS.values(), ids=LABELS)
def test_every_class_has_a_name_and_a_colour_of_its_own(label):
    assert len(set(label.classes)) == len(set(label.colours)) == len(label.classes) >= 2
    assert label.title and label.about


@pytest.mark.parametrize("count", [7, 8, 20, MOST_CLASSES])
def test_many_classes_have_colours_of_their_own_too(count):
    colours = get_label(f"bins:density:{count}").colours
    assert len(set(colours)) == count and colours[:7] == COLOURS
    assert all(len(colour) == 7 and int(colour[1:], 16) >= 0 for colour in colours)


def test_the_teaching_set_has_every_class_of_the_labels_it_has(teaching):
    assert available_labels(teaching.table) == [key for key in LABELS if key != "gap_type"]
    for key in available_labels(teaching.table):
        assert set(label_classes(teaching.table, key)) == set(range(len(LABELS[key].classes)))


# Bins


def bins(values, key):
    return label_classes(table("x", values), key).tolist()


def test_bins_of_equal_count_follow_the_order_of_the_values():
    assert bins([5.0, -1.0, 3.0, 80.0, 2.0, 0.0], "bins:x:3") == [2, 0, 1, 2, 1, 0]


distinct = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=60, unique=True)


@given(distinct, st.integers(2, 12))
@settings(deadline=None)
def test_bins_of_distinct_values_differ_in_size_by_at_most_one(values, count):
    classes = np.array(bins(values, f"bins:x:{count}"))
    sizes = np.bincount(classes)
    if len(values) >= count:
        assert len(sizes) == count and sizes.max() - sizes.min() <= 1
    else:
        assert sizes.tolist() == [1] * len(values)
    assert (np.diff(classes[np.argsort(values)]) >= 0).all(), "higher values have higher classes"


few = st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0, np.nan, np.inf, -np.inf]), min_size=1, max_size=30)


@given(few, st.integers(2, 5))
@settings(deadline=None)
def test_equal_values_stay_together_and_classes_leave_no_gap(values, count):
    try:
        classes = np.array(bins(values, f"bins:x:{count}"))
    except InputError:
        known = np.array(values)[np.isfinite(values)]
        assert len(known) == 0 or (known == known.max()).mean() >= 1 - (count - 1) / count
        return
    assert ((classes == MISSING) == ~np.isfinite(values)).all()
    known = classes[classes != MISSING]
    assert set(known) == set(range(known.max() + 1))
    assert len(set(zip(np.array(values)[classes != MISSING], known, strict=True))) == len(
        set(np.array(values)[classes != MISSING])
    )


def test_the_many_zeros_of_the_band_gap_are_one_class(teaching):
    counts = class_counts(teaching.table, "bins:band_gap:4")
    assert counts.iloc[0] == (teaching.table["band_gap"] == 0).sum()
    assert counts.iloc[-1] == 0 and (counts.iloc[:-1] > 0).all()


def test_a_value_on_an_edge_belongs_above_it():
    assert bins([1.9, 2.0, 5.4, 5.5, 9.0, None, np.inf], "bins:x@2/5.5") == [0, 1, 1, 2, 2, MISSING, MISSING]
    assert get_label("bins:x@2/5.5").classes == ("x below 2", "x 2 to 5.5", "x 5.5 and above")
    assert bins([-1, -0.001, 0], "bins:x@-1e-2") == [0, 1, 1]


def test_one_edge_may_leave_all_crystals_on_one_side():
    assert bins([1, 2], "bins:x@5") == [0, 0]


@pytest.mark.parametrize("values", [[3.0] * 5, [1.0, 2.0, 2.0, 2.0]], ids=["constant", "top"])
def test_bins_that_leave_one_class_say_so(values):
    with pytest.raises(InputError, match=r"'bins:x:2' has one class only: \d of \d known values are [23]\. Give edges"):
        bins(values, "bins:x:2")


def test_bins_of_nothing_say_so():
    with pytest.raises(InputError, match="No crystal has a value to put into the bins of 'bins:x:2'"):
        bins([np.nan, np.inf], "bins:x:2")


@pytest.mark.parametrize(
    "rest", ["x:1", "x:0", "x:-3", "x:y", "x:2.5", "x:", ":3", "x", "", f"x:{MOST_CLASSES + 1}", "x:4:"]
)
def test_a_senseless_number_of_bins_is_refused(rest):
    with pytest.raises(SettingsError, match=f"'bins:{rest}' .* a column and 2 to 150 bins. Write bins:COLUMN:COUNT"):
        get_label(f"bins:{rest}")


@pytest.mark.parametrize("rest", ["x@", "@2", "x@2/1", "x@2/2", "x@2/2.0", "x@a", "x@1/", "x@nan", "x@1/inf"])
def test_senseless_edges_are_refused(rest):
    with pytest.raises(SettingsError, match=f"'bins:{rest}' .* rising edges, finite numbers. Write bins:COLUMN:COUNT"):
        get_label(f"bins:{rest}")


def test_bins_of_an_absent_column_list_the_numeric_ones():
    data = pd.DataFrame({"name": ["a"], "density": [1.0], "volume": [2]})
    with pytest.raises(InputError, match=r"no column 'x', needed .*'bins:x:3'. Numeric columns: density, volume\."):
        label_classes(data, "bins:x:3")
    with pytest.raises(InputError, match=r"no numbers in its column 'name', needed .* density, volume\."):
        label_classes(data, "bins:name@3")


def test_bins_of_a_target_have_its_title_and_unit():
    label = get_label("bins:density:2")
    assert label.title == "Density in bins" and "g/cm³" in label.about
    assert label.classes == ("density 1 of 2", "density 2 of 2")


def test_bins_written_to_a_column_keep_their_edges_when_rows_are_selected():
    data = table("x", [1, 2, 3, 4])
    kept = data.assign(**{"bins:x:2": label_classes(data, "bins:x:2")})
    assert label_classes(kept.iloc[:2], "bins:x:2").tolist() == [0, 0]
    assert label_classes(data.iloc[:2], "bins:x:2").tolist() == [0, 1]


# Crosses

FLAGS = st.lists(st.tuples(st.sampled_from([0, 1, 2, MISSING]), st.sampled_from([0, 1, MISSING])), min_size=1)
CROSS = "crossed:gap_class,is_magnetic"


def both(pairs):
    return pd.DataFrame(pairs, columns=["gap_class", "is_magnetic"])


@given(FLAGS)
@settings(deadline=None)
def test_a_cross_is_named_by_its_parts_and_missing_where_one_is(pairs):
    label = get_label(CROSS)
    for (gap, magnetic), found in zip(pairs, label_classes(both(pairs), CROSS), strict=True):
        if MISSING in (gap, magnetic):
            assert found == MISSING
        else:
            parts = LABELS["gap_class"].classes[gap], LABELS["is_magnetic"].classes[magnetic]
            assert label.classes[found] == " & ".join(parts)


def test_the_cross_of_the_registry_is_the_made_one(teaching):
    named, made = LABELS["gap_x_magnetic"], get_label(CROSS)
    assert named.classes == made.classes and named.function_of == made.function_of
    np.testing.assert_array_equal(label_classes(teaching.table, "gap_x_magnetic"), label_classes(teaching.table, CROSS))


def test_three_labels_can_be_crossed(teaching):
    parts = ("is_metal", "is_magnetic", "is_stable")
    counts = class_counts(teaching.table, f"crossed:{','.join(parts)}")
    names = [" & ".join(n) for n in itertools.product(*(LABELS[p].classes for p in parts))]
    assert counts.index.to_list() == names
    slow = teaching.table.groupby(list(parts)).size()
    assert counts.to_list() == [slow[flags] for flags in itertools.product((0, 1), repeat=3)]


@pytest.mark.parametrize("rest", ["gap_class", "gap_class,gap_class", "is_metal, is_metal", "bins:x:3,bins:x:03"])
def test_a_cross_needs_two_different_labels(rest):
    with pytest.raises(SettingsError, match=r"two or more different labels. Write crossed:LABEL,LABEL"):
        get_label(f"crossed:{rest}")


@pytest.mark.parametrize(
    "rest", ["crossed:gap_class,is_metal,is_stable", "is_stable,shuffled:crossed:gap_class,is_metal"]
)
def test_a_cross_inside_a_cross_is_refused(rest):
    with pytest.raises(SettingsError, match="could be read in two ways; name all parts in one"):
        get_label(f"crossed:{rest}")


def test_a_cross_of_too_many_classes_is_refused():
    with pytest.raises(SettingsError, match="400 classes are more than 150"):
        get_label("crossed:bins:x:20,bins:y:20")


# Shuffled labels


@given(FLAGS, st.integers(-5, 2**63))
@settings(deadline=None)
def test_shuffling_keeps_counts_and_holes(pairs, seed):
    data = both(pairs)
    for key in ("gap_class", CROSS):
        plain, dealt = label_classes(data, key), label_classes(data, f"shuffled:{key}", seed)
        assert sorted(plain) == sorted(dealt)
        assert ((plain == MISSING) == (dealt == MISSING)).all()


def test_a_shuffle_depends_on_its_seed_alone(teaching):
    deal = [label_classes(teaching.table, "shuffled:gap_class", seed) for seed in (0, 0, 1)]
    assert (deal[0] == deal[1]).all() and (deal[0] != deal[2]).any()
    assert (deal[0] != label_classes(teaching.table, "gap_class")).any()


def test_other_labels_do_not_depend_on_the_seed(teaching):
    for key in ("gap_class", "bins:density:4", "gap_x_magnetic"):
        assert (label_classes(teaching.table, key) == label_classes(teaching.table, key, seed=9)).all()


def agreement(data, first, second):
    return (label_classes(data, first) == label_classes(data, second)).mean()


def test_shuffled_labels_carry_no_information(teaching):
    shares = class_counts(teaching.table, "is_metal") / len(teaching.table)
    chance = (shares**2).sum()
    assert agreement(teaching.table, "is_metal", "shuffled:is_metal") == pytest.approx(chance, abs=0.02)


def test_two_shuffled_labels_of_a_cross_are_dealt_apart(teaching):
    # is_metal decides whether gap_class is none; dealt in step, the crosses that cannot be would stay empty.
    assert (class_counts(teaching.table, "crossed:gap_class,is_metal") == 0).any()
    assert (class_counts(teaching.table, "crossed:shuffled:gap_class,shuffled:is_metal") > 0).all()


# What decides a label, nesting, counts


@pytest.mark.parametrize(
    ("key", "columns"),
    [
        ("gap_type", {"band_gap"}),
        ("gap_x_magnetic", {"band_gap", "magnetization_per_atom"}),
        ("bins:band_gap:3", {"band_gap"}),
        ("bins:volume@40", {"volume"}),
        ("bins:volume_per_atom:3", {"volume_per_atom", "atomic_density", "density_atomic"}),
        ("bins:is_metal@0.5", {"is_metal", "band_gap"}),
        ("crossed:bins:density:3,gap_class", {"density", "band_gap"}),
        ("crossed:family,crystal_system", set()),
        ("shuffled:gap_class", set()),
        ("crossed:shuffled:gap_class,bins:efermi:2", {"efermi"}),
    ],
)
def test_a_label_says_what_it_is_a_function_of(key, columns):
    found = get_label(key).function_of
    assert set(found) == columns and len(found) == len(columns)


NESTED = [
    "crossed:bins:density:3,is_magnetic",
    "crossed:bins:density@2/5.5,is_magnetic",
    "shuffled:crossed:gap_class,is_magnetic",
    "shuffled:bins:density:4",
    "crossed:shuffled:gap_class,is_magnetic",
    "crossed:gap_x_magnetic,is_stable",
    "shuffled:shuffled:gap_class",
]


@pytest.mark.parametrize("key", NESTED)
def test_labels_can_be_made_from_made_ones(teaching, key):
    label = get_label(key)
    assert label.key == key and label.title and label.about
    assert class_counts(teaching.table, key).index.to_list() == list(label.classes)
    assert class_counts(teaching.table, key).sum() == len(teaching.table)


def test_blanks_in_a_key_do_not_matter():
    assert get_label(" crossed: bins:density: 3 , is_magnetic ") == get_label("crossed:bins:density:3,is_magnetic")


@pytest.mark.parametrize("maker", LABEL_MAKERS.values(), ids=LABEL_MAKERS)
def test_every_maker_shows_how_it_is_written(maker):
    assert maker.form.startswith(f"{maker.key}:") and maker.about


def test_counts_name_the_missing_ones_only_if_there_are_any():
    assert class_counts(table("is_metal", [1, 0, 1]), "is_metal").to_dict() == {"non-metal": 1, "metal": 2}
    counts = class_counts(table("is_metal", [1, None]), "is_metal")
    assert counts.to_dict() == {"non-metal": 0, "metal": 1, NOT_KNOWN: 1} and counts.dtype == np.int64


def test_available_labels_have_two_classes_and_no_strange_values():
    data = pd.DataFrame({"is_metal": [1, 0], "is_stable": [1, 1], "family": ["oxide", "cheese"], "band_gap": [0, 9.0]})
    assert available_labels(data) == ["gap_class", "is_metal"]
    assert available_labels(pd.DataFrame({"density": [1.0]})) == []


# Wrong and missing classes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 1.0])
def test_a_share_of_the_classes_is_wrong(teaching, share):
    right = label_classes(teaching.table, "gap_class")
    flipped = label_classes(teaching.table, f"flipped:{share}:gap_class", seed=3)
    assert abs((flipped != right).mean() - share) < 0.02
    assert set(np.unique(flipped)) == set(np.unique(right))
    assert (flipped == label_classes(teaching.table, f"flipped:{share}:gap_class", seed=3)).all()
    wrong = right[flipped != right], flipped[flipped != right]
    if share:  # each other class alike
        counts = pd.crosstab(*wrong).to_numpy().astype(float)
        ratios = counts.max(1) / np.where(counts > 0, counts, np.inf).min(1)
        assert ratios.max() < 1.3


def test_more_noise_hits_the_same_crystals_and_others(teaching):
    table, right = teaching.table, label_classes(teaching.table, "gap_class")
    little, much = (label_classes(table, f"flipped:{share}:gap_class", seed=1) != right for share in (0.1, 0.4))
    assert (much | ~little).all() and much.sum() > little.sum()
    other = label_classes(teaching.table, "flipped:0.1:gap_class", seed=2) != right
    assert (other != little).any()


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_only_a_share_of_the_classes_is_known(teaching, share):
    right = label_classes(teaching.table, "gap_class")
    some = label_classes(teaching.table, f"known:{share}:gap_class", seed=3)
    assert abs((some != MISSING).mean() - share) < 0.02 and (some[some != MISSING] == right[some != MISSING]).all()


def test_missing_classes_stay_missing_under_noise():
    table = pd.DataFrame({"is_metal": [1, 0, None, 1]})
    assert label_classes(table, "flipped:1:is_metal").tolist() == [0, 1, MISSING, 0]


@pytest.mark.parametrize("key", ["flipped:2:gap_class", "known:-1:gap_class", "flipped:gap_class", "known:x:gap_class"])
def test_shares_that_are_none_are_refused(key):
    with pytest.raises(SettingsError, match="no share between 0 and 1"):
        get_label(key)


def test_noise_keeps_what_the_label_is_a_function_of():
    assert get_label("flipped:0.2:gap_class").function_of == get_label("gap_class").function_of
    assert get_label("known:0.2:gap_class").function_of == get_label("gap_class").function_of
    with pytest.raises(SettingsError, match="cross inside a cross"):
        get_label("crossed:flipped:0.2:crossed:gap_class,family")
