import numpy as np
import pytest

from spmat_nb.checks import graphs as checks


def shells(*pairs):
    return lambda: list(pairs)


FLUORITE = {
    "from a fluorine": ([("Ca", 4), ("F", 6), ("F", 12)], "shells of a fluorine"),
    "unlike elements only": ([("F", 8), ("F", 24), ("Ca", 6)], "left out the calciums"),
    "one cell": ([("F", 1), ("Ca", 3), ("F", 3)], "eight cells meet"),
    "those of the cell": ([("F", 8), ("Ca", 4), ("F", 24)], "number of calciums in the cell"),
    "zinc blende": ([("F", 4), ("Ca", 12), ("F", 12)], "all eight small cubes"),
    "wrong order": ([("Ca", 12), ("F", 8), ("F", 24)], "the order is not"),
    "fourth for second": ([("F", 8), ("Ca", 6), ("F", 24)], "fourth shell"),
    "two shells": ([("F", 8), ("Ca", 12)], "Three shells"),
    "a guess": ([("F", 2), ("Ca", 2), ("F", 2)], "units of a/4"),
}


@pytest.mark.parametrize(("answer", "words"), FLUORITE.values(), ids=FLUORITE)
def test_wrong_shells_are_told_apart(answer, words):
    outcome = checks.check_fluorite_shells(shells(*answer))
    assert outcome.state == "wrong" and words in outcome.text


def test_the_shells_of_fluorite_are_those_of_the_crystal(named):
    around = named["CaF2"].get_neighbors(named["CaF2"][0], 4.6)
    found = sorted({round(n.nn_distance, 2) for n in around})
    counted = [[n.specie.symbol for n in around if round(n.nn_distance, 2) == shell] for shell in found]
    assert [(kinds[0], len(kinds)) for kinds in counted] == checks.FLUORITE
    assert checks.check_fluorite_shells(shells(*checks.FLUORITE))


def right(lattice, frac, site, radius):
    images = np.array(np.meshgrid(*[range(-7, 8)] * 3)).reshape(3, -1).T
    distance = np.linalg.norm((frac[:, None] + images - frac[site]) @ lattice, axis=2).ravel()
    return np.sort(distance[(distance > 1e-8) & (distance <= radius)])


def one_cell(lattice, frac, site, radius):
    distance = np.linalg.norm((frac - frac[site]) @ lattice, axis=1)
    return np.sort(distance[(distance > 1e-8) & (distance <= radius)])


def nearest_image(lattice, frac, site, radius):
    step = frac - frac[site]
    distance = np.linalg.norm((step - np.round(step)) @ lattice, axis=1)
    return np.sort(distance[(distance > 1e-8) & (distance <= radius)])


def others_only(lattice, frac, site, radius):
    images = np.array(np.meshgrid(*[range(-7, 8)] * 3)).reshape(3, -1).T
    distance = np.linalg.norm((np.delete(frac, site, 0)[:, None] + images - frac[site]) @ lattice, axis=2).ravel()
    return np.sort(distance[distance <= radius])


def around(reach):
    def found(lattice, frac, site, radius):
        images = np.array(np.meshgrid(*[range(-n, n + 1) for n in reach(lattice, radius)])).reshape(3, -1).T
        distance = np.linalg.norm((frac[:, None] + images - frac[site]) @ lattice, axis=2).ravel()
        return np.sort(distance[(distance > 1e-8) & (distance <= radius)])

    return found


def lengths(lattice, radius):
    return (radius / np.linalg.norm(lattice, axis=1)).astype(int) + 1


NEIGHBOURS = {
    "one cell": (one_cell, "No periodic images"),
    "nearest image": (nearest_image, "Only the nearest image"),
    "not its own images": (others_only, "images of the site itself are missing"),
    "itself": (lambda *place: np.append(0.0, right(*place)), "The site itself is in your list"),
    "27 cells": (around(lambda lattice, radius: [1, 1, 1]), "Only the 27 cells"),
    "by length": (around(lengths), "height of the cell"),
    "columns": (lambda lattice, *rest: right(lattice.T, *rest), "vectors in rows"),
    "fractions": (lambda lattice, *rest: right(np.eye(3), *rest), "fractional coordinates"),
    "backwards": (lambda *place: right(*place)[::-1], "np.sort"),
    "twice": (lambda *place: np.repeat(right(*place), 2), "Print the first few"),
    "nothing": (lambda *place: None, "End with return"),
}


@pytest.mark.parametrize(("answer", "words"), NEIGHBOURS.values(), ids=NEIGHBOURS)
def test_wrong_neighbour_searches_are_told_apart(answer, words):
    outcome = checks.check_neighbour_distances(answer)
    assert outcome.state == "wrong" and words in outcome.text


def test_a_search_over_many_images_is_right():
    assert checks.check_neighbour_distances(right)
    assert checks.check_neighbour_distances(lambda *place: right(*place).tolist())


def test_an_answer_cannot_change_the_trials():
    def vandal(lattice, frac, site, radius):
        found = right(lattice, frac, site, radius)
        lattice *= 0
        frac += 1
        return found

    assert checks.check_neighbour_distances(vandal) and checks.check_neighbour_distances(right)


@pytest.mark.parametrize("case", checks.CASES)
def test_the_reference_agrees_with_an_independent_search(case):
    np.testing.assert_allclose(checks.all_distances(*checks.CASES[case]), right(*checks.CASES[case]))


def test_the_reference_agrees_with_pymatgen_on_sites_outside_the_cell(named):
    rutile = named["TiO2"]
    frac = rutile.frac_coords + np.arange(6)[:, None] % 3 - 1
    found = checks.all_distances(rutile.lattice.matrix, frac, 0, 6.0)
    np.testing.assert_allclose(found, sorted(n.nn_distance for n in rutile.get_neighbors(rutile[0], 6.0)))


def test_counterexamples_are_counted(named):
    salt, copper = named["NaCl"], named["Cu"]
    assert checks.check_counterexample(lambda: (salt, 3.0, 3))  # 6 chlorines, of which the nearest images are 3
    assert checks.check_counterexample(lambda: (copper, 3.0, 9))
    assert checks.check_counterexample(lambda: (copper.get_primitive_structure(), 3.0, 12))


COUNTEREXAMPLES = {
    "a large box": (lambda named: (named["NaCl"] * (2, 2, 2), 3.0, 3), "Below 5.64 Å"),
    "found": (lambda named: (named["SrTiO3"], 3.0, 3), "how many it finds"),
    "there": (lambda named: (named["SrTiO3"], 3.0, 12), "how many there are"),
    "one more": (lambda named: (named["NaCl"], 3.0, 4), "The site itself does not count"),
    "a guess": (lambda named: (named["NaCl"], 3.0, 99), "subtract"),
    "no radius": (lambda named: (named["NaCl"], 0.0, 0), "within 8 Å"),
    "order": (lambda named: (3.0, named["NaCl"], 3), "in this order"),
    "a name": (lambda named: ("NaCl", 3.0, 3), "in this order"),
}


@pytest.mark.parametrize(("answer", "words"), COUNTEREXAMPLES.values(), ids=COUNTEREXAMPLES)
def test_wrong_counterexamples_are_told_apart(named, answer, words):
    outcome = checks.check_counterexample(lambda: answer(named))
    assert outcome.state == "wrong" and words in outcome.text


CHECKS = (checks.check_fluorite_shells, checks.check_neighbour_distances, checks.check_counterexample)


@pytest.mark.parametrize("check", CHECKS)
def test_stubs_are_open(check):
    def stub(*_):
        raise NotImplementedError

    assert check(stub).state == "open"
