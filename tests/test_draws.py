import numpy as np
import pytest
import torch
from scipy.stats import kstest

from spmat_nb.draws import Draws, generator, ids_within, key_number

IDS = torch.arange(20_000)


def split_mix(ids, start):
    """The finaliser on unsigned 64-bit integers, as published."""
    with np.errstate(over="ignore"):
        x = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(start)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (x ^ (x >> np.uint64(31))) >> np.uint64(40)


def test_the_numbers_are_those_of_the_published_finaliser():
    wanted = split_mix(IDS.numpy(), key_number(3, 1, "edges"))
    np.testing.assert_array_equal(Draws(3, 1).bits(IDS, "edges").numpy().astype(np.uint64), wanted)


def test_they_are_uniform():
    draws = Draws(0).uniform(IDS, "atoms")
    assert draws.dtype == torch.float32 and draws.min() >= 0 and draws.max() < 1
    assert kstest(draws.numpy(), "uniform").pvalue > 0.01


def test_neighbouring_ids_and_other_keys_are_not_correlated():
    one = Draws(0).uniform(IDS, "atoms").numpy()
    others = [Draws(1).uniform(IDS, "atoms"), Draws(0).uniform(IDS, "edges"), Draws(0).uniform(IDS + 1, "atoms")]
    assert all(abs(np.corrcoef(one, other.numpy())[0, 1]) < 0.03 for other in others)


def test_a_number_depends_on_its_id_alone():
    chosen = torch.tensor([5, 77, 5])
    assert torch.equal(Draws(2).bits(chosen, "x"), Draws(2).bits(IDS, "x")[chosen])


def test_ids_of_different_crystals_differ():
    row, within = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    assert len(torch.unique(ids_within(row, within))) == 4


@pytest.mark.parametrize("key", [(0,), (0, 1), (0, "groups")])
def test_a_generator_is_fixed_by_its_key(key):
    first, again, other = (torch.randperm(50, generator=generator(*k)) for k in (key, key, (9, *key)))
    assert torch.equal(first, again) and not torch.equal(first, other)
