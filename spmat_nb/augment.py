"""Noise that makes two views of a crystal: masked atoms, masked edges, GNDN. Pure functions on a batch.

All randomness comes from the `Draws` that the caller passes in, made from seed, epoch and view: every epoch and view
differs, and a rerun is the same.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from .draws import RANDOM_BITS, Draws, ids_within
from .errors import SettingsError
from .graphs import Batch, GraphSet, pack
from .settings import AugmentSettings
from .structure_files import Cell

MIN_DISTANCE = 0.1  # A; GNDN never makes a distance smaller (our choice; matters only for delta near 1 A)


def random_share(group: Tensor, sizes: Tensor, share: float, priority: Tensor, rounding: Tensor, spare: int) -> Tensor:
    """Choose a share of the members of each group.

    A group of n gets `floor(share * n + u)` members with its own uniform u, so the share is right on average even for
    small groups; at least `spare` members are never chosen (our choice).

    Args:
        group: [n] group of each member, ascending.
        sizes: [groups] members of each group.
        share: between 0 and 1.
        priority: [n] random whole numbers below 2^24; the least of a group are chosen.
        rounding: [groups] the uniform u.
        spare: members that must stay.

    Returns:
        [n] true for the chosen.
    """
    chosen = torch.floor(share * sizes + rounding).long().clamp(max=(sizes - spare).clamp(min=0))
    shuffled = torch.argsort((group << RANDOM_BITS) | priority)  # groups stay in place, members are shuffled in them
    limit = torch.cumsum(sizes, 0) - sizes + chosen  # the first place of each group that is not chosen
    taken = torch.arange(len(group), device=group.device) < limit.index_select(0, group)
    return torch.empty_like(taken).scatter_(0, shuffled, taken)


def mask_atoms(batch: Batch, share: float, draws: Draws) -> Batch:
    """Hide the features of a share of the atoms of each crystal; one atom at least stays visible."""
    sizes = torch.bincount(batch.crystal, minlength=batch.size)
    rounding = draws.uniform(batch.row, "how many atoms")
    hidden = random_share(batch.crystal, sizes, share, draws.bits(batch.atom_id, "atoms"), rounding, spare=1)
    return replace(batch, visible=~hidden if batch.visible is None else batch.visible & ~hidden)


def mask_edges(batch: Batch, share: float, draws: Draws) -> Batch:
    """Remove a share of the directed edges of each crystal."""
    crystal = batch.crystal.index_select(0, batch.centre)
    sizes = torch.bincount(crystal, minlength=batch.size)
    rounding = draws.uniform(batch.row, "how many edges")
    removed = random_share(crystal, sizes, share, draws.bits(batch.edge_id, "edges"), rounding, spare=1)
    return batch.with_edges((~removed).nonzero().squeeze(1))


def gndn(batch: Batch, delta: float, draws: Draws, symmetric: bool = False) -> Batch:
    """Graph-level neighbour distance noise (paper): each distance gets its own draw of U(-delta, delta).

    Edges stay what they are; distances stay above 0.1 A.

    Args:
        batch: graphs with raw distances.
        delta: half-width in A.
        draws: source of randomness.
        symmetric: one draw for i-j and j-i, as for a real bond; by default each has its own (the paper does not say).
    """
    unit = draws.uniform(batch.pair_id if symmetric else batch.edge_id, "distances")
    return replace(batch, distance=(batch.distance + delta * (2 * unit - 1)).clamp(min=MIN_DISTANCE))


def move_atoms(cells: Sequence[Cell], rows: Tensor, distance: float, draws: Draws) -> list[Cell]:
    """Move every atom, in a random direction, by a length of U(0, distance): the noise that GNDN argues against.

    Neighbours have to be searched anew afterwards: bonds, angles and the edges themselves change.

    Args:
        cells: the crystals.
        rows: [B] their rows in the set.
        distance: largest displacement in A.
        draws: source of randomness.
    """
    sizes = torch.tensor([len(cell.numbers) for cell in cells])
    within = torch.cat([torch.arange(size) for size in sizes.tolist()])
    ids = ids_within(rows.cpu().repeat_interleave(sizes), within)
    height, turn, length = (draws.uniform(ids, purpose).double().numpy() for purpose in ("height", "turn", "length"))
    z, angle = 2 * height - 1, 2 * np.pi * turn  # uniform on the sphere (Archimedes)
    flat = np.sqrt(1 - z**2)
    steps = distance * length[:, None] * np.stack([flat * np.cos(angle), flat * np.sin(angle), z], axis=1)  # [N, 3]
    parts = np.split(steps, np.cumsum(sizes.numpy())[:-1])
    return [
        Cell(cell.lattice, cell.numbers, cell.frac + np.linalg.solve(cell.lattice.T, step.T).T)
        for cell, step in zip(cells, parts, strict=True)
    ]


def make_view(batch: Batch, settings: AugmentSettings, draws: Draws) -> Batch:
    """One noisy view: atoms masked, edges masked, distances shaken; what is set to 0 is skipped."""
    if settings.mask_atoms:
        batch = mask_atoms(batch, settings.mask_atoms, draws)
    if settings.mask_edges:
        batch = mask_edges(batch, settings.mask_edges, draws)
    if settings.delta:
        batch = gndn(batch, settings.delta, draws, settings.symmetric)
    return batch


def two_views(
    graphs: GraphSet, index: Tensor, settings: AugmentSettings, *key: int, cells: Sequence[Cell] | None = None
) -> tuple[Batch, Batch]:
    """Two independent views of the crystals at `index`, fixed by the key (seed, epoch).

    Args:
        graphs: without noise.
        index: [B] positions in the set.
        settings: the noise.
        key: what the noise depends on, beside the crystal and the view.
        cells: structures of the set, in its order; needed to move atoms.

    Raises:
        SettingsError: atoms are to be moved and there are no structures.
    """
    draws = [Draws(*key, view) for view in (0, 1)]
    if settings.move_atoms:
        if cells is None:
            raise SettingsError("To move atoms the views need the structures, not only their graphs: pass cells.")
        clean = [_moved(graphs, index, settings.move_atoms, draw, cells) for draw in draws]
    else:
        clean = [graphs.batch(index)] * 2
    first, second = (make_view(batch, settings, draw) for batch, draw in zip(clean, draws, strict=True))
    return first, second


def _moved(graphs: GraphSet, index: Tensor, distance: float, draws: Draws, cells: Sequence[Cell]) -> Batch:
    """The batch of the same crystals with their atoms moved and their graphs built anew."""
    moved = move_atoms([cells[i] for i in index.tolist()], index, distance, draws)
    fresh = pack(moved, graphs.settings).to(graphs.z.device)
    return fresh.batch(torch.arange(len(index)), rows=index)
