"""Batch in, one embedding a crystal out: CGCNN and its rivals; the registry ENCODERS.

CGCNN is the function of Xie and Grossman (PRL 120, 145301, 2018) with the same parameters, computed on flat edge
lists: W [v_i, v_j, u_ij] is taken as W1 v_i + W2 v_j + W3 u_ij, so node products are made once a node. Where an
atom has fewer neighbours there are fewer edges; nothing is padded. On the CPU the sum over the edges runs in compiled
loops (`fused`); `GatedConvolution.plain_sum` says in few lines what they compute.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from . import fused
from .errors import unknown
from .graphs import Batch
from .layers import AtomEncoder
from .settings import EncoderSettings
from .transformer import CrystalTransformer


class GatedConvolution(nn.Module):
    """One CGCNN convolution: gated messages of the neighbours, summed, normalised, added to the atom."""

    def __init__(self, features: int, gaussians: int) -> None:
        super().__init__()
        self.features = features
        self.fc_full = nn.Linear(2 * features + gaussians, 2 * features)
        self.bn1 = nn.BatchNorm1d(2 * features)
        self.bn2 = nn.BatchNorm1d(features)

    def forward(self, atoms: Tensor, edges: Tensor | fused.Edges, batch: Batch) -> Tensor:
        """[N, F] atoms and [E, K] expanded distances, or the edges made for the compiled loops, to [N, F]."""
        if isinstance(edges, fused.Edges):
            summed = fused.gated_sum(atoms, self.fc_full, self.bn1, edges)
        else:
            summed = self.plain_sum(atoms, edges, batch)
        if self.bn1.training and self.bn1.num_batches_tracked is not None:
            self.bn1.num_batches_tracked.add_(1)
        return functional.softplus(atoms + self.bn2(summed))

    def plain_sum(self, atoms: Tensor, edges: Tensor, batch: Batch) -> Tensor:
        """Gated messages summed over the edges of each atom: [N, F] and [E, K] to [N, F]."""
        f = self.features
        w_centre, w_neighbour, w_edge = self.fc_full.weight.split([f, f, edges.shape[1]], dim=1)
        halves = []
        for part in (slice(0, f), slice(f, 2 * f)):  # filter, core: two contiguous halves run faster than one
            total = functional.linear(edges, w_edge[part], self.fc_full.bias[part])  # [E, F]
            total = total + functional.linear(atoms, w_centre[part])[batch.centre]
            total = total + functional.linear(atoms, w_neighbour[part])[batch.neighbour]
            halves.append(self._normalise(total, part))
        message = torch.sigmoid(halves[0]) * functional.softplus(halves[1])  # [E, F]
        # zeros of the message's type: autocast on a GPU makes messages of single precision from atoms of half
        return message.new_zeros(atoms.shape).index_add(0, batch.centre, message)  # [N, F]

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


class CGCNN(AtomEncoder):
    """Crystal graph convolutional network without its output layer: [B] crystals to [B, hidden]."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__(settings, GatedConvolution)

    def forward(self, batch: Batch) -> Tensor:
        """A batch of B crystals to embeddings [B, hidden]."""
        atoms = self.embed_atoms(batch)  # [N, F]
        edges = fused.edges_of(atoms, batch.centre, batch.neighbour, batch.distance, self.basis.centres)
        if edges is None:
            edges = self.basis(batch.distance)  # [E, K]
        for conv in self.convs:
            atoms = conv(atoms, edges, batch)
        return self.read_out(atoms, batch)


class RandomCGCNN(CGCNN):
    """A control that never learns (our choice): CGCNN with the weights it was born with, always in eval mode.

    Pretraining it trains the projector alone, fine-tuning it the head alone: what a pretrained encoder adds is what it
    gains over this one. With the same seed its weights are those that `cgcnn` starts from.
    """

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__(settings)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "RandomCGCNN":
        """Stay in eval mode whatever `mode` says: batch statistics would be learnt from the data."""
        return super().train(False)


ENCODERS: dict[str, Callable[[EncoderSettings], nn.Module]] = {
    "cgcnn": CGCNN,
    "transformer": CrystalTransformer,
    "random": RandomCGCNN,
}


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
