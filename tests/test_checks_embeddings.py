"""Each check of embeddings calls the right answer right and names the mistake; the stored maps fit the crystals."""

import answers
import numpy as np
import pandas as pd
import pytest
from answers import assert_names

from spmat_nb import settings
from spmat_nb.checks.embeddings import check_knn_purity, check_neighbours_kept, check_place
from spmat_nb.diagnostics import knn_purity

PURITY = """
def answer(embeddings, classes, neighbours):
    x, y = embeddings[classes != -1], classes[classes != -1]
    x = (x - x.mean(0)) / x.std(0)
    apart = np.linalg.norm(x[:, None] - x[None, :], axis=2)
    np.fill_diagonal(apart, np.inf)
    near = np.argsort(apart, axis=1)[:, :neighbours]
    same = (y[near] == y[:, None]).mean(1)
    return np.mean([same[y == c].mean() for c in np.unique(y)])
"""
KEPT = """
def answer(embeddings, coordinates, neighbours):
    order = []
    for x in (embeddings, coordinates):
        apart = np.linalg.norm(x[:, None] - x[None, :], axis=2)
        np.fill_diagonal(apart, np.inf)
        order.append(np.argsort(apart, axis=1, kind="stable")[:, :neighbours])
    return np.mean([len(set(a) & set(b)) / neighbours for a, b in zip(*order)])
"""
PLACE = """
def answer(old, new):
    units, fitted = old, old
    mean, spread = units.mean(0), units.std(0)
    axes = np.linalg.svd((fitted - fitted.mean(0)) / fitted.std(0), full_matrices=False)[2][:2]
    return (new - mean) / spread @ axes.T
"""


def function(source, *changes):
    return answers.function(source, *changes, np=np)


@pytest.mark.parametrize(
    ("check", "source"), [(check_knn_purity, PURITY), (check_neighbours_kept, KEPT), (check_place, PLACE)]
)
def test_a_right_answer_is_right_and_nothing_is_open(check, source):
    assert check(function(source)).state == "right"
    assert check(function(source, (source.splitlines()[2], "    raise NotImplementedError"))).state == "open"
    assert_names(check(lambda *inputs: None), "Does the function end with `return`?")


def test_the_purity_of_the_package_is_right():
    assert check_knn_purity(knn_purity)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("    np.fill_diagonal(apart, np.inf)\n", "")], "ask for one more and drop the first"),
        ([("[:, :neighbours]", "[:, : neighbours - 1]")], "One neighbour too few"),
        ([("[:, :neighbours]", "[:, : neighbours + 1]")], "One neighbour too many"),
        ([("np.mean([same[y == c].mean() for c in np.unique(y)])", "same.mean()")], "the largest class decides"),
        ([("    x = (x - x.mean(0)) / x.std(0)\n", "")], "not standardised"),
        ([("embeddings[classes != -1], classes[classes != -1]", "embeddings, classes")], "Class -1 means not known"),
        ([("x.std(0)\n", "x.std(0)\n    x = x / np.linalg.norm(x, axis=1, keepdims=True)\n")], "by cosine"),
        ([("np.inf", "-np.inf"), ("argsort(apart", "argsort(-apart")], "farthest"),
        (
            [("(y[near] == y[:, None]).mean(1)", "np.array([np.bincount(r).argmax() for r in y[near]]) == y")],
            "majority vote",
        ),
    ],
)
def test_a_mistake_in_the_purity_is_named(changes, words):
    assert_names(check_knn_purity(function(PURITY, *changes)), words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("        np.fill_diagonal(apart, np.inf)\n", "")], "adds one for free"),
        (
            [("        np.fill_diagonal(apart, np.inf)\n", ""), ("return", "neighbours += 1; return"),
             ("[:, :neighbours]", "[:, : neighbours + 1]")],
            "counted besides its neighbours",
        ),
        ([("/ neighbours", "/ len(set(a) | set(b))")], "share is of the union"),
        ([("len(set(a) & set(b)) / neighbours", "(a == b).mean()")], "compare them as sets"),
        ([(" / neighbours", "")], "divide by neighbours"),
        ([("return np.mean", "return 1 - np.mean")], "share that is lost"),
        ([("np.inf", "-np.inf"), ("argsort(apart", "argsort(-apart")], "farthest"),
        ([("(embeddings, coordinates):", "(coordinates, coordinates):")], "compared with themselves"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_neighbours_kept_is_named(changes, words):
    assert_names(check_neighbours_kept(function(KEPT, *changes)), words)


BOTH = "np.concatenate([old, new])"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("= old, old", "= new, new")], "a map of their own"),
        ([("= old, old", f"= {BOTH}, {BOTH}")], "old points move"),
        ([("= old, old", "= new, old")], "standardised by themselves"),
        ([("units.std(0)", "1"), (" / fitted.std(0)", "")], "Nothing was standardised"),
        ([("(new - mean)", f"({BOTH} - mean)")], "Return the new crystals only"),
        ([("[:2]", "[:3]")], "The shape is (15, 3) and should be (15, 2)"),
    ],
)
def test_a_mistake_in_placing_is_named(changes, words):
    assert_names(check_place(function(PLACE, *changes)), words)


def test_the_stored_maps_are_of_stable_crystals_of_the_teaching_set(teaching):
    path = settings.PACKAGE_ROOT / "data" / "results" / "maps.csv"
    maps = pd.read_csv(path, index_col=0)
    assert path.stat().st_size < 1e5 and np.isfinite(maps.to_numpy()).all()
    assert set(maps.index) <= set(teaching.of_split("train", "val", "test").table.index)
    names = {name.rpartition("_")[0] for name in maps}
    assert names == {"supervised", "other_seed", "few_neighbours", "many_neighbours", "random", "placed"}
