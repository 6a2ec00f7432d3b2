import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from spmat_nb.augment import gndn, make_view, mask_atoms, mask_edges, move_atoms, two_views
from spmat_nb.draws import Draws
from spmat_nb.errors import SettingsError
from spmat_nb.settings import AugmentSettings

ROWS = torch.arange(60)
NOISES = {"atoms": mask_atoms, "edges": mask_edges, "distances": gndn}


def copy(batch):
    values = {f.name: getattr(batch, f.name) for f in fields(batch)}
    return replace(batch, **{name: value.clone() for name, value in values.items() if torch.is_tensor(value)})


def equal(one, other):
    pairs = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(one)]
    return all(type(a) is type(b) and (torch.equal(a, b) if torch.is_tensor(a) else a == b) for a, b in pairs)


def by_crystal(batch, atoms):
    return torch.bincount(batch.crystal[atoms], minlength=batch.size)


def test_the_same_key_gives_the_same_views(tiny_graphs):
    views = [two_views(tiny_graphs, ROWS, AugmentSettings(), 0, 3) for _ in range(2)]
    assert equal(views[0][0], views[1][0]) and equal(views[0][1], views[1][1])


@pytest.mark.parametrize("key", [(1, 3), (0, 4)], ids=["seed", "epoch"])
@pytest.mark.parametrize("noise", NOISES)
def test_another_seed_or_epoch_gives_other_views(tiny_graphs, key, noise):
    off = {"mask_atoms": 0.0, "mask_edges": 0.0, "delta": 0.0}
    on = {"atoms": {"mask_atoms": 0.2}, "edges": {"mask_edges": 0.2}, "distances": {"delta": 0.5}}[noise]
    settings = AugmentSettings(**(off | on))
    one, other = (two_views(tiny_graphs, ROWS, settings, *k) for k in ((0, 3), key))
    assert not equal(one[0], other[0]) and not equal(one[1], other[1])


def test_the_two_views_differ(tiny_graphs):
    first, second = two_views(tiny_graphs, ROWS, AugmentSettings(), 0, 0)
    assert not torch.equal(first.visible, second.visible)
    assert first.distance.shape != second.distance.shape or not torch.equal(first.distance, second.distance)


def test_on_average_the_wanted_share_of_atoms_is_hidden(batch):
    large = torch.bincount(batch.crystal) > 1
    atoms = large[batch.crystal]
    hidden = [(~mask_atoms(batch, 0.10, Draws(i)).visible)[atoms].float().mean() for i in range(300)]
    assert torch.stack(hidden).mean() == pytest.approx(0.10, abs=0.005)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_no_cell_loses_all_its_atoms(batch, share):
    assert (torch.bincount(batch.crystal) == 1).any(), "the set must have a one-atom cell"
    visible = mask_atoms(batch, share, Draws(0)).visible
    assert (by_crystal(batch, visible) >= 1).all()


def test_hiding_twice_keeps_the_first_mask(batch):
    once = mask_atoms(batch, 0.4, Draws(0))
    twice = mask_atoms(once, 0.4, Draws(1))
    assert not (twice.visible & ~once.visible).any() and twice.visible.sum() < once.visible.sum()


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_about_the_wanted_share_of_edges_is_removed_from_each_crystal(batch, share):
    masked = mask_edges(batch, share, Draws(0))
    before = by_crystal(batch, batch.centre)
    removed = before - by_crystal(batch, masked.centre)
    assert ((removed - share * before).abs() < 1).all()
    assert removed.sum() / before.sum() == pytest.approx(share, abs=0.01)


def test_the_edges_that_stay_are_edges_of_the_graph(batch):
    masked = mask_edges(batch, 0.5, Draws(0))
    triples = [
        set(zip(*(t.tolist() for t in (b.centre, b.neighbour, b.distance)), strict=True)) for b in (batch, masked)
    ]
    assert triples[1] < triples[0]
    assert (torch.diff(masked.centre) >= 0).all()


@pytest.mark.parametrize("delta", [0.1, 0.5, 1.0])
def test_gndn_stays_within_delta_and_keeps_the_edges(batch, delta):
    noisy = gndn(batch, delta, Draws(0))
    assert (noisy.distance - batch.distance).abs().max() <= delta + 1e-6
    assert equal(replace(noisy, distance=batch.distance), batch)


def test_gndn_is_uniform(batch):
    change = gndn(batch, 0.5, Draws(0)).distance - batch.distance
    assert len(change) > 1000
    assert kstest(change.numpy(), "uniform", args=(-0.5, 1.0)).pvalue > 0.01


def test_gndn_draws_each_edge_for_itself(batch):
    change = gndn(batch, 0.5, Draws(0)).distance - batch.distance
    assert len(torch.unique(change.round(decimals=5))) > 0.9 * len(change)


def test_distances_stay_positive_for_a_delta_of_one(batch):
    close = replace(batch, distance=torch.full_like(batch.distance, 0.6))
    assert (close.distance - 1.0 < 0).all()
    assert (gndn(close, 1.0, Draws(0)).distance > 0).all()


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_the_input_batch_is_not_modified(batch, noise):
    before = copy(batch)
    assert not equal(noise(batch, 0.4, Draws(0)), before)
    assert equal(batch, before)


def test_settings_of_zero_return_the_batch_itself(batch):
    assert make_view(batch, AugmentSettings(0.0, 0.0, 0.0), Draws(0)) is batch


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_a_noise_of_zero_changes_nothing(batch, noise):
    noisy = noise(batch, 0.0, Draws(0))
    assert torch.equal(noisy.distance, batch.distance) and torch.equal(noisy.centre, batch.centre)
    assert noisy.visible is None or noisy.visible.all()


@pytest.mark.parametrize(
    "settings", [{"mask_atoms": 1.0}, {"mask_edges": -0.1}, {"delta": -1}, {"move_atoms": math.nan}]
)
def test_impossible_noise_is_refused(settings):
    with pytest.raises(SettingsError):
        AugmentSettings(**settings)


def part(view, crystal):
    """Visible atoms and edges of one crystal of a view."""
    atoms, edges = view.crystal == crystal, view.crystal[view.centre] == crystal
    first = int(atoms.nonzero()[0])
    return view.visible[atoms], view.centre[edges] - first, view.neighbour[edges] - first, view.distance[edges]


@pytest.mark.parametrize("settings", [AugmentSettings(), AugmentSettings(symmetric=True, move_atoms=0.2)])
def test_a_crystal_gets_the_same_noise_in_every_batch(tiny, tiny_graphs, settings):
    alone, among = torch.tensor([7]), torch.tensor([40, 3, 7, 12])
    views = [two_views(tiny_graphs, index, settings, 0, 5, cells=tiny.cells) for index in (alone, among)]
    for one, other in zip(*views, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(part(one, 0), part(other, 2), strict=True))


def by_bond(batch, change):
    """How many edges each bond has, and how far apart their changes are."""
    _, bond, count = torch.unique(batch.pair_id, return_inverse=True, return_counts=True)
    low, high = (
        torch.zeros(len(count)).scatter_reduce(0, bond, change, h, include_self=False) for h in ("amin", "amax")
    )
    return count, high - low


def test_symmetric_noise_gives_a_bond_one_length(batch):
    noisy = gndn(batch, 0.5, Draws(0), symmetric=True)
    change = noisy.distance - batch.distance
    _, bond, count = torch.unique(batch.pair_id, return_inverse=True, return_counts=True)
    assert set(count.tolist()) == {1, 2}
    low, high = (
        torch.zeros(len(count)).scatter_reduce(0, bond, change, how, include_self=False) for how in ("amin", "amax")
    )
    assert (high - low).max() < 1e-5
    assert kstest(change.numpy(), "uniform", args=(-0.5, 1.0)).pvalue > 0.01


def test_noise_is_drawn_for_each_direction_by_default(batch):
    change = gndn(batch, 0.5, Draws(0)).distance - batch.distance
    _, bond, count = torch.unique(batch.pair_id, return_inverse=True, return_counts=True)
    low, high = (
        torch.zeros(len(count)).scatter_reduce(0, bond, change, how, include_self=False) for how in ("amin", "amax")
    )
    assert (high - low)[count == 2].mean() > 0.2


def test_moved_atoms_move_at_most_so_far_and_in_all_directions(tiny):
    moved = move_atoms(tiny.cells, ROWS, 0.3, Draws(1))
    steps = np.concatenate([(b.frac - a.frac) @ a.lattice for a, b in zip(tiny.cells, moved, strict=True)])
    lengths = np.linalg.norm(steps, axis=1)
    assert lengths.max() <= 0.3 + 1e-9
    assert kstest(lengths / 0.3, "uniform").pvalue > 0.01
    assert np.abs((steps / lengths[:, None]).mean(0)).max() < 0.2


def test_moving_atoms_changes_the_edges_and_gndn_does_not(tiny, tiny_graphs):
    clean = tiny_graphs.batch(ROWS)
    off = {"mask_atoms": 0.0, "mask_edges": 0.0}
    moved = two_views(tiny_graphs, ROWS, AugmentSettings(**off, delta=0.0, move_atoms=0.4), 0, cells=tiny.cells)[0]
    shaken = two_views(tiny_graphs, ROWS, AugmentSettings(**off), 0)[0]
    assert torch.equal(shaken.neighbour, clean.neighbour)
    assert not torch.equal(moved.neighbour, clean.neighbour) and torch.equal(moved.z, clean.z)


def test_atoms_cannot_be_moved_without_structures(tiny_graphs):
    with pytest.raises(SettingsError, match="pass cells"):
        two_views(tiny_graphs, ROWS, AugmentSettings(move_atoms=0.1), 0)
