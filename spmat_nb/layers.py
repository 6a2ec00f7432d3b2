"""Parts that all encoders share: Gaussian basis, mean pool, first and last layer, projector, both views."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from .elements import FEATURES, element_table
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


def mean_pool(atoms: Tensor, batch: Batch) -> Tensor:
    """Mean over the atoms of each crystal: [N, F] to [B, F]."""
    total = atoms.new_zeros(batch.size, atoms.shape[1]).index_add(0, batch.crystal, atoms)
    ones = torch.ones(len(atoms), device=atoms.device)
    sizes = ones.new_zeros(batch.size).index_add(0, batch.crystal, ones)  # bincount would stop torch.compile
    return total / sizes[:, None]


class AtomEncoder(nn.Module):
    """First and last layer of every encoder (CGCNN's); what happens between them is up to the encoder.

    Args:
        settings: sizes; `convolutions` is the number of blocks.
        block: makes one, given F and K.
    """

    elements: Tensor

    def __init__(self, settings: EncoderSettings, block: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        self.settings = settings
        features = settings.node_features
        self.basis = GaussianBasis(settings.graph.cutoff, settings.gaussian_step)
        self.register_buffer("elements", element_table(), persistent=False)
        self.embedding = nn.Linear(FEATURES, features)
        gaussians = len(self.basis.centres)
        self.convs = nn.ModuleList(block(features, gaussians) for _ in range(settings.convolutions))
        self.conv_to_fc = nn.Linear(features, settings.hidden)

    @property
    def width(self) -> int:
        """Length of an embedding."""
        return self.settings.hidden

    def depth(self, name: str) -> int:
        """Layers below a weight, by its name: 0 for the embedding of atoms, i for the i-th block, then the read-out."""
        part, _, rest = name.partition(".")
        if part == "embedding":
            return 0
        return 1 + (int(rest.partition(".")[0]) if part == "convs" else len(self.convs))

    def embed_atoms(self, batch: Batch) -> Tensor:
        """What is known of the atoms before any neighbour is asked: [N, F]; a hidden atom says nothing of itself."""
        z = batch.z if batch.visible is None else batch.z * batch.visible  # row 0 of the elements is empty
        return functional.embedding(z, self.embedding(self.elements))

    def read_out(self, atoms: Tensor, batch: Batch) -> Tensor:
        """One embedding a crystal, all values positive: [N, F] to [B, hidden]."""
        pooled = functional.softplus(mean_pool(atoms, batch))  # [B, F]
        return functional.softplus(self.conv_to_fc(pooled))


class Projector(nn.Sequential):
    """The two-layer head of pretraining (widths and softplus of Crystal Twins): [B, hidden] to [B, D]."""

    def __init__(self, width: int, projection: int) -> None:
        super().__init__(nn.Linear(width, width), nn.Softplus(), nn.Linear(width, projection))


class TwoViews(nn.Module):
    """Encoder and projector applied to both views: two batches of b crystals to [b, hidden] and twice [b, D]."""

    def __init__(self, encoder: nn.Module, projector: nn.Module) -> None:
        super().__init__()
        self.encoder, self.projector = encoder, projector

    def forward(self, first: Batch, second: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings of the first view, projections of both."""
        h1, h2 = self.encoder(first), self.encoder(second)
        return h1, self.projector(h1), self.projector(h2)
