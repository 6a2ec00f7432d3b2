"""Parts that all encoders share: Gaussian basis, mean pool, projector."""

import torch
from torch import Tensor, nn

from .graphs import Batch


class GaussianBasis(nn.Module):
    """exp(-(d - mu)^2 / step^2) at the centres 0, step, ..., cutoff (CGCNN: 41 Gaussians, no factor 2)."""

    centres: Tensor

    def __init__(self, cutoff: float, step: float) -> None:
        super().__init__()
        self.step = step
        self.register_buffer("centres", torch.arange(round(cutoff / step) + 1) * step, persistent=False)

    def forward(self, distance: Tensor) -> Tensor:
        """[E] distances in A to [E, K]."""
        return torch.exp(-(((distance[:, None] - self.centres) / self.step) ** 2))


def mean_pool(atoms: Tensor, batch: Batch) -> Tensor:
    """Mean over the atoms of each crystal: [N, F] to [B, F]."""
    total = atoms.new_zeros(batch.size, atoms.shape[1]).index_add(0, batch.crystal, atoms)
    return total / torch.bincount(batch.crystal, minlength=batch.size)[:, None]


class Projector(nn.Sequential):
    """The two-layer head of pretraining (widths and softplus of Crystal Twins): [B, hidden] to [B, D]."""

    def __init__(self, width: int, projection: int) -> None:
        super().__init__(nn.Linear(width, width), nn.Softplus(), nn.Linear(width, projection))
