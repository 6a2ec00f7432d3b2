"""Noise that makes two views of a crystal: masked atoms, masked edges, GNDN. Pure functions on a batch.

All randomness comes from a generator that the caller passes in; `view_generator` derives one from seed, epoch,
batch and view, so every epoch and view differs and a rerun is the same.
"""

import hashlib
from dataclasses import replace

import torch
from torch import Tensor

from .graphs import Batch
from .settings import AugmentSettings

MIN_DISTANCE = 0.1  # A; GNDN never makes a distance smaller (our choice; matters only for delta near 1 A)


def view_generator(*key: int, device: "torch.device | str" = "cpu") -> torch.Generator:
    """A generator that depends on every number of the key, such as (seed, epoch, batch, view)."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def random_share(group: Tensor, groups: int, share: float, generator: torch.Generator, spare: int) -> Tensor:
    """Choose a share of the members of each group at random.

    A group of n gets `floor(share * n + u)` members with one uniform u a group, so the share is right on average
    even for small groups; at least `spare` members are never chosen (our choice).

    Args:
        group: [n] group of each member, ascending.
        groups: number of groups.
        share: between 0 and 1.
        generator: source of randomness, on the device of `group`.
        spare: members that must stay.

    Returns:
        [n] true for the chosen.
    """
    device = group.device
    sizes = torch.bincount(group, minlength=groups)
    rounding = torch.rand(groups, generator=generator, device=device)
    chosen = torch.floor(share * sizes + rounding).long().clamp(max=(sizes - spare).clamp(min=0))
    # Shuffle inside each group: sort by (group, random); the rank within the group decides.
    shuffled = torch.argsort(group + torch.rand(len(group), generator=generator, device=device, dtype=torch.float64))
    first = torch.cumsum(sizes, 0) - sizes
    rank = torch.empty_like(group)
    rank[shuffled] = torch.arange(len(group), device=device) - first[group]  # sorting keeps groups in place
    return rank < chosen[group]


def mask_atoms(batch: Batch, share: float, generator: torch.Generator) -> Batch:
    """Hide the features of a share of the atoms of each crystal; one atom at least stays visible."""
    hidden = random_share(batch.crystal, batch.size, share, generator, spare=1)
    return replace(batch, visible=~hidden if batch.visible is None else batch.visible & ~hidden)


def mask_edges(batch: Batch, share: float, generator: torch.Generator) -> Batch:
    """Remove a share of the directed edges of each crystal."""
    removed = random_share(batch.crystal[batch.centre], batch.size, share, generator, spare=1)
    kept = (~removed).nonzero().squeeze(1)
    return replace(batch, centre=batch.centre[kept], neighbour=batch.neighbour[kept], distance=batch.distance[kept])


def gndn(batch: Batch, delta: float, generator: torch.Generator) -> Batch:
    """Graph-level neighbour distance noise (paper): each distance gets its own draw of U(-delta, delta).

    Edges stay what they are; i-j and j-i are drawn separately (our choice).

    Args:
        batch: graphs with raw distances.
        delta: half-width in A.
        generator: source of randomness.
    """
    unit = torch.rand(batch.distance.shape, generator=generator, device=batch.distance.device)
    return replace(batch, distance=(batch.distance + delta * (2 * unit - 1)).clamp(min=MIN_DISTANCE))


def make_view(batch: Batch, settings: AugmentSettings, generator: torch.Generator) -> Batch:
    """One noisy view: atoms masked, edges masked, distances shaken; what is set to 0 is skipped."""
    if settings.mask_atoms:
        batch = mask_atoms(batch, settings.mask_atoms, generator)
    if settings.mask_edges:
        batch = mask_edges(batch, settings.mask_edges, generator)
    if settings.delta:
        batch = gndn(batch, settings.delta, generator)
    return batch


def two_views(batch: Batch, settings: AugmentSettings, *key: int) -> tuple[Batch, Batch]:
    """Two independent views of the same crystals, fixed by the key (seed, epoch, batch number)."""
    device = batch.distance.device
    first, second = (make_view(batch, settings, view_generator(*key, view, device=device)) for view in (0, 1))
    return first, second
