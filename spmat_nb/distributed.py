"""One training in several processes, started by `torchrun`: each takes a part of every batch.

Noise depends on the crystal and not on the process, and the losses compare the crystals of the whole batch, so that
the run is the one that a single process would do; only the statistics of batch normalisation are of the own part.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from . import settings


@dataclass(frozen=True)
class Group:
    """The processes of a run; by default a single one.

    Attributes:
        rank: number of this process, from 0.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def part(self, index: Tensor) -> Tensor:
        """The part of a batch that is this process's own: [B] to about [B / size]."""
        return index.tensor_split(self.size)[self.rank]

    def gather(self, own: Tensor, count: int) -> Tensor:
        """Rows of all processes in the order of the batch, with gradients back to each: about [B / size, D] to [B, D].

        Args:
            own: the rows of `part`.
            count: B.
        """
        if self.size == 1:
            return own
        from torch.distributed.nn.functional import all_gather

        counts = [len(part) for part in torch.arange(count).tensor_split(self.size)]
        padded = functional.pad(
            own, (0, 0, 0, counts[0] - len(own))
        )  # collectives want equal shapes; the first is longest
        return torch.cat([rows[:n] for rows, n in zip(all_gather(padded), counts, strict=True)])

    def agree(self, value: Any) -> Any:
        """The first process's value, in all of them."""
        if self.size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with gradients averaged over the processes.

        Every process computes the loss of the whole batch; `gather` adds up what each sends back, the average divides
        by their number, and the gradient of the one loss is left.
        """
        trained = any(p.requires_grad for p in module.parameters())
        return nn.parallel.DistributedDataParallel(module) if self.size > 1 and trained else module


def current() -> Group:
    """The group that this process has joined."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return Group()
    return Group(distributed.get_rank(), distributed.get_world_size())


@contextmanager
def joined() -> Iterator[Group]:
    """Join the other processes if `torchrun` started this one, and leave them at the end."""
    if not settings.launched():
        yield current()
        return
    place = settings.device()
    if place.type == "cuda":
        torch.cuda.set_device(place)
    distributed.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield current()
    finally:
        distributed.destroy_process_group()
