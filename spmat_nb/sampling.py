"""Which crystals are in which batch: shuffled epochs, batches in which classes meet, rows held out."""

import numpy as np
import torch
from torch import Tensor

from .draws import generator
from .vocabulary import MISSING


def split_evenly(order: Tensor, size: int) -> list[Tensor]:
    """Nearly equal parts of about `size`, none smaller than two if there are two."""
    return list(torch.tensor_split(order, max(1, min(round(len(order) / size), len(order) // 2))))


def shuffled_batches(count: int, size: int, *key: int) -> list[Tensor]:
    """A shuffled epoch of nearly equal batches, none smaller than two, fixed by the key."""
    return split_evenly(torch.randperm(count, generator=generator(*key)), size)


def paired_batches(classes: np.ndarray, size: int, *key: int) -> list[Tensor]:
    """A shuffled epoch in which every crystal of a class with two members meets another of it in its batch.

    The members of a class are dealt in pairs (one group of three where the count is odd), and batches are filled with
    whole groups in random order (our choice). A crystal without a class is a group of its own.

    Args:
        classes: [n] class indices, -1 for not known.
        size: wanted number of crystals a batch, at least four; batches differ from it by a few.
        key: what the shuffle depends on.
    """
    order = torch.randperm(len(classes), generator=generator(*key)).numpy()
    shuffled = classes[order]
    groups = [order[[place]] for place in np.flatnonzero(shuffled == MISSING)]
    for one in np.unique(classes[classes != MISSING]):
        members = order[shuffled == one]
        groups += np.array_split(members, max(1, len(members) // 2))
    mixed = [groups[i] for i in torch.randperm(len(groups), generator=generator(*key, "groups")).tolist()]
    starts = np.cumsum([0, *(len(group) for group in mixed)])[:-1]
    batches = max(1, min(round(len(classes) / size), len(classes) // 4))  # of at least two, whatever the groups
    place = starts * batches // len(classes)
    chosen = [np.flatnonzero(place == batch) for batch in range(batches)]
    return [torch.from_numpy(np.concatenate([mixed[i] for i in part])) for part in chosen if len(part)]


def partner_share(batches: list[Tensor], classes: np.ndarray) -> float:
    """Share of the labelled crystals that have another of their class in their batch."""
    met = []
    for batch in batches:
        known = classes[batch.numpy()]
        known = known[known != MISSING]
        _, place, counts = np.unique(known, return_inverse=True, return_counts=True)
        met.append(counts[place] > 1)
    joined = np.concatenate(met)
    return float(joined.mean()) if len(joined) else 0.0
