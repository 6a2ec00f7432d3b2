"""Each check of the encoders calls the right answer right and names the mistake in answers that are nearly right."""

import pytest
import torch
from answers import assert_names
from pymatgen.core import Structure
from torch.nn import functional

from spmat_nb.checks.encoders import check_gated_message, check_mean_pool, check_parameters, check_permutation
from spmat_nb.crystals import load
from spmat_nb.encoders import GatedConvolution, count_parameters
from spmat_nb.graphs import build_graphs
from spmat_nb.models import random_encoder


def todo(*inputs):
    raise NotImplementedError


@pytest.mark.parametrize("check", [check_parameters, check_mean_pool, check_gated_message])
def test_nothing_is_open_and_none_is_wrong(check):
    assert check(todo).state == "open"
    assert_names(check(lambda *inputs: None), "Does the function end with `return`?")


def test_the_right_count_is_that_of_the_package():
    assert check_parameters(lambda f, k: count_parameters(GatedConvolution(f, k)))
    assert check_parameters(lambda f, k: (2 * f + k) * 2 * f + 2 * f + 2 * (2 * f) + 2 * f)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda f, k: (2 * f + k) * 2 * f + 2 * f, "batch norm"),
        (lambda f, k: (2 * f + k) * 2 * f + 6 * f, "has a bias"),
        (lambda f, k: (2 * f + k) * 2 * f, "add its bias"),
        (lambda f, k: (2 * f + k) * f + f + 4 * f, "F for the filter and F for the core"),
        (lambda f, k: (f + k) * 2 * f + 8 * f, "not F + K"),
        (lambda f, k: sum(t.numel() for t in GatedConvolution(f, k).state_dict().values()) - 2, "kept, not trained"),
        (lambda f, k: 12 * (2 * f + k) * 2 * f + 8 * f, "All 12 neighbours"),
        (lambda f, k: 3 * ((2 * f + k) * 2 * f + 8 * f), "not three"),
        (lambda f, k: 22144, "Write down the shape"),
        (lambda f, k: (2 * f + k) * 2 * f + 8 * f + 1, "Write down the shape"),
    ],
)
def test_a_wrong_count_is_explained(answer, words):
    assert_names(check_parameters(answer), words)


def pool(atoms, crystal, size):
    total = torch.zeros(size, atoms.shape[1]).index_add(0, crystal, atoms)
    return total / torch.bincount(crystal, minlength=size)[:, None]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda a, c, n: torch.zeros(n, a.shape[1]).index_add(0, c, a), "This is the sum"),
        (lambda a, c, n: a.mean(0), "mean of the whole batch"),
        (lambda a, c, n: torch.zeros(n, a.shape[1]).index_add(0, c, a) / (len(a) / n), "its own number of atoms"),
        (lambda a, c, n: torch.zeros(n, a.shape[1]).index_add(0, c, a) / n, "number of crystals"),
        (lambda a, c, n: torch.zeros(n, a.shape[1]).index_add(0, c, a) / len(a), "number of all atoms"),
        (lambda a, c, n: torch.stack([a[c == i].amax(0) for i in range(n)]), "largest value"),
        (lambda a, c, n: torch.stack([a[c == i].mean() for i in range(n)]), "not over their features"),
        (lambda a, c, n: pool(a, c, n).T, "transpose"),
        (lambda a, c, n: pool(a, c, n)[c], "one row a crystal"),
        (lambda a, c, n: a[:2], "The shape is (2, 2) and should be (3, 2)"),
        (lambda a, c, n: a.view(n, 2, 2).mean(1), "index_add"),
    ],
)
def test_a_wrong_pool_is_explained(answer, words):
    assert_names(check_mean_pool(answer), words)


def test_the_right_pool_is_right():
    assert check_mean_pool(pool)
    assert check_mean_pool(lambda a, c, n: torch.stack([a[c == i].mean(0) for i in range(n)]))


def message(v_i, v_j, u, weight, bias, order=(0, 1, 2), join=torch.mul, gate=torch.sigmoid, core=functional.softplus):
    parts = (v_i, v_j, u)
    total = weight @ torch.cat([parts[i] for i in order]) + bias
    return join(gate(total[: len(v_i)]), core(total[len(v_i) :]))


def exchanged(v_i, v_j, u, weight, bias):
    total = weight @ torch.cat([v_i, v_j, u]) + bias
    return functional.softplus(total[: len(v_i)]) * torch.sigmoid(total[len(v_i) :])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (exchanged, "Filter and core are exchanged"),
        (lambda *x: message(*x, order=(1, 0, 2)), "The two atoms are exchanged"),
        (lambda *x: message(*x, order=(2, 0, 1)), "you put the distance first"),
        (lambda v_i, v_j, u, w, b: message(v_i, v_j, u, w, 0 * b), "The bias is missing"),
        (lambda *x: message(*x, core=torch.relu), "relu cuts at zero"),
        (lambda *x: message(*x, core=torch.tanh), "with tanh"),
        (lambda *x: message(*x, core=lambda t: t), "you took it as it is"),
        (lambda *x: message(*x, gate=functional.softplus), "softplus for both"),
        (lambda *x: message(*x, gate=lambda t: torch.softmax(t, 0)), "softmax"),
        (lambda *x: message(*x, join=torch.add), "multiplied, not added"),
        (lambda v_i, v_j, u, w, b: w @ torch.cat([v_i, v_j, u]) + b, "before the gate"),
        (lambda v_i, v_j, u, w, b: v_i, "sigmoid of the first half"),
    ],
)
def test_a_wrong_message_is_explained(answer, words):
    assert_names(check_gated_message(answer), words)


def test_the_right_message_is_right():
    assert check_gated_message(message)


@pytest.fixture(scope="module")
def encoder():
    return random_encoder(seed=0).encoder.eval()


def embed(encoder, structure):
    with torch.no_grad():
        return encoder(build_graphs(load([structure]), cache=False).batch(torch.tensor([0])))[0]


def experiment(encoder, structure, order):
    other = Structure.from_sites([structure[i] for i in order])
    return (embed(encoder, other) - embed(encoder, structure)).abs().max()


def elements_only(encoder, structure, order):
    species = [structure[i].specie for i in order]
    other = Structure(structure.lattice, species, structure.frac_coords)
    return (embed(encoder, other) - embed(encoder, structure)).abs().max()


def with_itself(encoder, structure, order):
    return (embed(encoder, structure) - embed(encoder, structure)).abs().max()


def signed(encoder, structure, order):
    other = Structure.from_sites([structure[i] for i in order])
    return (embed(encoder, other) - embed(encoder, structure)).max()


def mean_difference(encoder, structure, order):
    other = Structure.from_sites([structure[i] for i in order])
    return embed(encoder, other) - embed(encoder, structure).mean()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (with_itself, "you compared a crystal with itself"),
        (signed, "absolute value"),
        (elements_only, "You made another crystal"),
        (mean_difference, "The shape is (1,) and should be ()"),
        (lambda encoder, structure, order: 5.0, "take the largest |difference|"),
    ],
)
def test_a_wrong_experiment_is_explained(named, encoder, answer, words):
    assert_names(check_permutation(answer, named["TiO2"], encoder), words)


def test_the_right_experiment_is_right(named, encoder):
    assert check_permutation(experiment, named["TiO2"], encoder)
    assert check_permutation(todo, named["TiO2"], encoder).state == "open"
