"""Batch in, one embedding a crystal out: Gaussian basis, CGCNN, projector; the registry ENCODERS.

CGCNN is the function of Xie and Grossman (PRL 120, 145301, 2018) with the same parameters, computed on flat edge
lists: W [v_i, v_j, u_ij] is taken as W1 v_i + W2 v_j + W3 u_ij, so node products are made once a node. Where an
atom has fewer neighbours there are fewer edges; nothing is padded.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from .elements import FEATURES, element_table
from .errors import unknown
from .graphs import Batch
from .settings import EncoderSettings


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


class GatedConvolution(nn.Module):
    """One CGCNN convolution: gated messages of the neighbours, summed, normalised, added to the atom."""

    def __init__(self, features: int, gaussians: int) -> None:
        super().__init__()
        self.features = features
        self.fc_full = nn.Linear(2 * features + gaussians, 2 * features)
        self.bn1 = nn.BatchNorm1d(2 * features)
        self.bn2 = nn.BatchNorm1d(features)

    def forward(self, atoms: Tensor, edges: Tensor, batch: Batch) -> Tensor:
        """[N, F] atoms and [E, K] expanded distances to [N, F]."""
        f = self.features
        w_centre, w_neighbour, w_edge = self.fc_full.weight.split([f, f, edges.shape[1]], dim=1)
        halves = []
        for part in (slice(0, f), slice(f, 2 * f)):  # filter, core: two contiguous halves run faster than one
            total = functional.linear(edges, w_edge[part], self.fc_full.bias[part])  # [E, F]
            total = total + functional.linear(atoms, w_centre[part])[batch.centre]
            total = total + functional.linear(atoms, w_neighbour[part])[batch.neighbour]
            halves.append(self._normalise(total, part))
        message = torch.sigmoid(halves[0]) * functional.softplus(halves[1])  # [E, F]
        summed = torch.zeros_like(atoms).index_add(0, batch.centre, message)  # [N, F]
        return functional.softplus(atoms + self.bn2(summed))

    def _normalise(self, total: Tensor, part: slice) -> Tensor:
        """The batch norm of one half; statistics are by feature, so the halves are independent."""
        norm = self.bn1
        return functional.batch_norm(
            total,
            norm.running_mean[part],  # type: ignore[index]
            norm.running_var[part],  # type: ignore[index]
            norm.weight[part],
            norm.bias[part],
            norm.training,
            norm.momentum or 0.0,
            norm.eps,
        )


class CGCNN(nn.Module):
    """Crystal graph convolutional network without its output layer: [B] crystals to [B, hidden]."""

    elements: Tensor

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        self.settings = settings
        features = settings.node_features
        self.basis = GaussianBasis(settings.graph.cutoff, settings.gaussian_step)
        self.register_buffer("elements", element_table(), persistent=False)
        self.embedding = nn.Linear(FEATURES, features)
        gaussians = len(self.basis.centres)
        self.convs = nn.ModuleList(GatedConvolution(features, gaussians) for _ in range(settings.convolutions))
        self.conv_to_fc = nn.Linear(features, settings.hidden)

    @property
    def width(self) -> int:
        """Length of an embedding."""
        return self.settings.hidden

    def forward(self, batch: Batch) -> Tensor:
        """A batch of B crystals to embeddings [B, hidden]."""
        inputs = self.elements[batch.z]  # [N, 92]
        if batch.visible is not None:
            inputs = inputs * batch.visible[:, None]
        atoms = self.embedding(inputs)  # [N, F]
        edges = self.basis(batch.distance)  # [E, K]
        for conv in self.convs:
            atoms = conv(atoms, edges, batch)
        pooled = functional.softplus(mean_pool(atoms, batch))  # [B, F]
        return functional.softplus(self.conv_to_fc(pooled))


def mean_pool(atoms: Tensor, batch: Batch) -> Tensor:
    """Mean over the atoms of each crystal: [N, F] to [B, F]."""
    total = atoms.new_zeros(batch.size, atoms.shape[1]).index_add(0, batch.crystal, atoms)
    return total / torch.bincount(batch.crystal, minlength=batch.size)[:, None]


class Projector(nn.Sequential):
    """The two-layer head of pretraining (widths and softplus of Crystal Twins): [B, hidden] to [B, D]."""

    def __init__(self, width: int, projection: int) -> None:
        super().__init__(nn.Linear(width, width), nn.Softplus(), nn.Linear(width, projection))


ENCODERS: dict[str, Callable[[EncoderSettings], nn.Module]] = {"cgcnn": CGCNN}


def make_encoder(settings: EncoderSettings) -> nn.Module:
    """A new encoder with random weights.

    Raises:
        SettingsError: `settings.name` is not in `ENCODERS`.
    """
    if settings.name not in ENCODERS:
        raise unknown("encoder", settings.name, ENCODERS)
    return ENCODERS[settings.name](settings)


def count_parameters(module: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
