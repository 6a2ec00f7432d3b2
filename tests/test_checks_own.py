"""Each check of notebook 10 calls the right answer right and names the mistake in answers that are nearly right."""

import answers
import numpy as np
import pytest
from answers import assert_names

from spmat_nb.checks.own import check_clean_rows, check_deal, check_minutes, mixed_crystal, trial_rows

DEAL = """
def answer(structure, rng):
    ordered = structure.copy()
    for mixture in {site.species for site in structure if not site.is_ordered}:
        places = [i for i, site in enumerate(structure) if site.species == mixture]
        names = [str(e) for e, share in mixture.items() for _ in range(round(share * len(places)))]
        for place, name in zip(places, rng.permutation(names)):
            ordered.replace(place, str(name))
    return ordered
"""
CLEAN = """
def answer(table, model):
    learnt = table["formula"][table["split"].isin(["train", "val"])]
    test = table["split"] == "test"
    return test & ~table["formula"].isin(learnt) & ~model.has_seen(table["formula"])
"""
MINUTES = """
def answer(trial, wanted):
    each = trial["seconds"] / (trial["atoms"] * trial["epochs"])
    return each * wanted["atoms"] * wanted["epochs"] / 60
"""


def function(source, *changes):
    return answers.function(source, *changes, np=np)


@pytest.mark.parametrize(("check", "source"), [(check_deal, DEAL), (check_clean_rows, CLEAN), (check_minutes, MINUTES)])
def test_a_right_answer_is_right_and_nothing_is_open(check, source):
    assert check(function(source)).state == "right", str(check(function(source)))
    first = source.splitlines()[2]
    assert check(function(source, (first, "    raise NotImplementedError"))).state == "open"
    assert check(lambda *inputs: None).state == "wrong"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("return ordered", "return structure")], "a site that is still"),
        ([("    return ordered", "    return None")], "Return the new structure"),
        ([("for mixture in {site.species for site in structure if not site.is_ordered}:",
           "for mixture in [next(s.species for s in structure if not s.is_ordered)]:")], "each kind of mixture"),
        ([("rng.permutation(names)", "[max(mixture, key=mixture.get)] * len(places)")], "larger share took every"),
        ([("rng.permutation(names)",
           "rng.choice([str(e) for e in mixture], len(places), p=list(mixture.values()))")], "right only on average"),
        ([("rng.permutation(names)", "names")], "Shuffle the elements"),
        ([("rng.permutation(names)", "np.random.default_rng().permutation(names)")], "generator that is passed in"),
        ([("    return ordered", "    ordered.remove_sites([0])\n    return ordered")], "No site is added or lost"),
        ([("    return ordered", "    return ordered.get_sorted_structure()")], "Keep the cell and the places"),
        ([("    return ordered", "    swapped = ordered[4].specie, ordered[0].specie\n    return ordered"),
          ("return ordered", "ordered[0], ordered[4] = swapped\n    return ordered")],
         "cations do not go onto the places of anions"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_dealing_is_named(changes, words):
    assert_names(check_deal(function(DEAL, *changes)), words)


def test_the_mixture_of_the_trial_is_as_told():
    assert mixed_crystal().composition.as_dict() == {"Na": 3, "K": 1, "Cl": 2, "Br": 2}
    assert sum(not site.is_ordered for site in mixed_crystal()) == 8


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("test & ~table", "~table")], "Rows of other splits"),
        ([(" & ~model.has_seen(table[\"formula\"])", "")], "ask model.has_seen"),
        ([("[\"train\", \"val\"]", "[\"val\"]")], "a polymorph was learnt from"),
        ([("[\"train\", \"val\"]", "[\"train\"]")], "the best epoch was chosen by them"),
        ([("[\"train\", \"val\"]", "[\"train\", \"val\", \"test\"]")], "The test rows themselves count"),
        ([("return test & ~table[\"formula\"].isin(learnt) & ~model.has_seen(table[\"formula\"])",
           "return test & (table[\"formula\"].isin(learnt) | model.has_seen(table[\"formula\"]))")], "other way round"),
        ([(" & ~table[\"formula\"].isin(learnt) & ~model.has_seen(table[\"formula\"])", "")], "All test rows"),
        ([("table[\"formula\"].isin(learnt)", "table.index.isin(learnt.index)")], "compare formulas"),
        ([("return test & ~table", "return table[\"formula\"][test] #")], "one truth value a row"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_clean_rows_is_named(changes, words):
    assert_names(check_clean_rows(function(CLEAN, *changes)), words)


def test_the_trial_rows_have_each_kind_of_leak_and_a_clean_row():
    table, model = trial_rows()
    test = table[table["split"] == "test"]["formula"]
    assert model.has_seen(test).any() and not model.has_seen(test).all()
    for part in ("train", "val"):
        assert test.isin(table["formula"][table["split"] == part]).any()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([(" / 60", "")], "Those are seconds"),
        ([(" / 60", " / 3600")], "Those are hours"),
        ([("trial[\"atoms\"]", "trial[\"crystals\"]"), ("wanted[\"atoms\"]", "wanted[\"crystals\"]")],
         "scale with the atoms"),
        ([(" * wanted[\"epochs\"]", " * trial[\"epochs\"]")],
         "The trial had 3 epochs"),
        ([(" * trial[\"epochs\"]", "")], "The epochs of the trial are missing"),
        ([("trial[\"atoms\"] *", "wanted[\"atoms\"] *"), ("each * wanted[\"atoms\"]", "each * trial[\"atoms\"]")],
         "upside down"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_minutes_is_named(changes, words):
    assert_names(check_minutes(function(MINUTES, *changes)), words)
