"""Structure to graph: the nearest 12 neighbours within 8 A, raw distances kept, packed and cached.

A graph keeps one float an edge, the distance; the Gaussian expansion is made on the batch. All graphs of a set
lie in flat tensors, and a batch is cut out of them by indexing.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .crystals import CrystalSet
from .errors import InputError
from .files import write_bytes
from .neighbours import find_neighbours
from .settings import GraphSettings, cache_dir
from .structure_files import Cell, check_cell, from_object

if TYPE_CHECKING:
    from torch_geometric.data import Data

FORMAT = 1  # raise when the packing or the neighbour rule changes: old caches are then rebuilt
CHUNK = 64  # crystals whose neighbours are sorted together


def build_graph(structure: Any, settings: GraphSettings | None = None) -> "Data":
    """The graph of one structure, to look at and to draw.

    Args:
        structure: pymatgen `Structure`, ASE `Atoms`, or `Cell`.
        settings: cutoff and number of neighbours.

    Returns:
        PyG `Data` with `z` [N], `edge_index` [2, E] (row 0 sends to row 1), `distance` [E] in A, `image` [E, 3].

    Raises:
        InputError: the structure cannot be used.
    """
    from torch_geometric.data import Data

    cell = structure if isinstance(structure, Cell) else check_cell(from_object(structure))
    edges = find_neighbours([cell], settings)
    return Data(
        z=torch.from_numpy(cell.numbers.astype(np.int64)),
        edge_index=torch.from_numpy(np.stack([edges.neighbour, edges.centre])),
        distance=torch.from_numpy(edges.distance.astype(np.float32)),
        image=torch.from_numpy(edges.image.astype(np.int64)),
        num_nodes=len(cell.numbers),
    )


@dataclass(frozen=True)
class Batch:
    """B crystals as one graph.

    Attributes:
        z: [N] atomic numbers.
        centre: [E] receiving atom of each edge, ascending.
        neighbour: [E] sending atom.
        distance: [E] in A.
        crystal: [N] crystal of each atom, ascending.
        size: B.
        visible: [N] false where an atom's features are masked; None when none is.
    """

    z: Tensor
    centre: Tensor
    neighbour: Tensor
    distance: Tensor
    crystal: Tensor
    size: int
    visible: Tensor | None = None


@dataclass(frozen=True)
class GraphSet:
    """The graphs of a set in flat tensors, with the offsets that cut them apart.

    Attributes:
        z: [N] atomic numbers of all crystals, one after the other.
        centre: [E] receiving atom, counted within its crystal.
        neighbour: [E] sending atom, counted within its crystal.
        distance: [E] in A.
        atom_start: [B + 1] first atom of each crystal.
        edge_start: [B + 1] first edge of each crystal.
        settings: how the graphs were built.
        fingerprint: of the crystals they were built from.
    """

    z: Tensor
    centre: Tensor
    neighbour: Tensor
    distance: Tensor
    atom_start: Tensor
    edge_start: Tensor
    settings: GraphSettings
    fingerprint: str

    def __len__(self) -> int:
        return len(self.atom_start) - 1

    def to(self, device: "torch.device | str") -> "GraphSet":
        """The same set on a device."""
        moved = {name: getattr(self, name).to(device) for name in TENSORS}
        return GraphSet(**moved, settings=self.settings, fingerprint=self.fingerprint)

    def batch(self, index: Tensor) -> Batch:
        """The crystals at `index` [B] as one graph, by indexing alone."""
        index = index.to(self.atom_start.device)
        atoms, crystal = _ranges(self.atom_start, index)
        edges, of_edge = _ranges(self.edge_start, index)
        sizes = self.atom_start[index + 1] - self.atom_start[index]
        first = (torch.cumsum(sizes, 0) - sizes)[of_edge]  # [E] first atom, in the batch, of each edge's crystal
        return Batch(
            z=self.z[atoms].long(),
            centre=self.centre[edges] + first,
            neighbour=self.neighbour[edges] + first,
            distance=self.distance[edges],
            crystal=crystal,
            size=len(index),
        )

    def isolated_atoms(self) -> int:
        """How many atoms have no neighbour within the cutoff; they hear nothing from the rest of the crystal."""
        atoms = self.centre + torch.repeat_interleave(self.atom_start[:-1], torch.diff(self.edge_start))
        return len(self.z) - len(torch.unique(atoms))


TENSORS = ("z", "centre", "neighbour", "distance", "atom_start", "edge_start")


def _ranges(start: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of the members of each chosen group, and for each member its group's place in `index`."""
    lengths = start[index + 1] - start[index]
    group = torch.repeat_interleave(torch.arange(len(index), device=index.device), lengths)
    within = torch.arange(len(group), device=index.device) - (torch.cumsum(lengths, 0) - lengths)[group]
    return start[index][group] + within, group


def build_graphs(
    crystals: CrystalSet, settings: GraphSettings | None = None, cache: Path | bool | None = None
) -> GraphSet:
    """The graphs of all crystals, from the cache when it has them.

    Args:
        crystals: what to build.
        settings: cutoff and number of neighbours.
        cache: folder for packed graphs; None for the user's cache folder, False to neither read nor write.

    Raises:
        InputError: a cache folder that cannot be written.
    """
    settings = settings or GraphSettings()
    fingerprint = crystals.fingerprint()
    if cache is False:
        return _pack(crystals, settings, fingerprint)
    folder = cache_dir() if cache in (None, True) else Path(cache)  # type: ignore[arg-type]
    key = hashlib.sha256(f"{FORMAT} {fingerprint} {sorted(asdict(settings).items())}".encode()).hexdigest()[:32]
    path = folder / f"graphs-{key}.safetensors"
    cached = _read_cache(path, settings, fingerprint)
    if cached is None:
        cached = _pack(crystals, settings, fingerprint)
        _write_cache(path, cached)
    return cached


def _pack(crystals: CrystalSet, settings: GraphSettings, fingerprint: str) -> GraphSet:
    """Search neighbours crystal by crystal and concatenate."""
    from tqdm import tqdm

    starts = tqdm(range(0, len(crystals), CHUNK), desc="graphs", disable=len(crystals) < 4000, mininterval=1.0)
    chunks = [find_neighbours(crystals.cells[start : start + CHUNK], settings) for start in starts]
    sizes = np.array([len(cell.numbers) for cell in crystals.cells])
    atom_start = np.cumsum([0, *sizes])
    crystal = np.concatenate([c.crystal + i * CHUNK for i, c in enumerate(chunks)])
    edge_start = np.cumsum([0, *np.bincount(crystal, minlength=len(sizes))])
    # Atoms are counted within their crystal: subtract the place of the crystal's first atom in its chunk.
    first = (atom_start[:-1] - atom_start[:-1][np.arange(len(sizes)) // CHUNK * CHUNK])[crystal]
    return GraphSet(
        z=torch.from_numpy(np.concatenate([c.numbers for c in crystals.cells]).astype(np.uint8)),
        centre=torch.from_numpy(np.concatenate([c.centre for c in chunks]) - first),
        neighbour=torch.from_numpy(np.concatenate([c.neighbour for c in chunks]) - first),
        distance=torch.from_numpy(np.concatenate([c.distance for c in chunks]).astype(np.float32)),
        atom_start=torch.from_numpy(atom_start),
        edge_start=torch.from_numpy(edge_start),
        settings=settings,
        fingerprint=fingerprint,
    )


def _read_cache(path: Path, settings: GraphSettings, fingerprint: str) -> GraphSet | None:
    """The cached set, or None when there is none or its bytes are not those that were written."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in TENSORS}
            expected = (file.metadata() or {}).get("sha256")
    except (SafetensorError, OSError):
        return None
    if expected != _digest(tensors):
        return None
    return GraphSet(**tensors, settings=settings, fingerprint=fingerprint)


def _write_cache(path: Path, graphs: GraphSet) -> None:
    """Write the whole file or none of it."""
    from safetensors.torch import save

    tensors = {name: getattr(graphs, name).contiguous() for name in TENSORS}
    meta = {"sha256": _digest(tensors), "settings": json.dumps(asdict(graphs.settings)), "format": str(FORMAT)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, save(tensors, metadata=meta))
    except OSError as error:
        raise InputError(
            f"The graph cache {str(path.parent)!r} cannot be written ({error.strerror}). "
            "Free some space, set SPMAT_CACHE_DIR to another folder, or pass cache=False."
        ) from error


def _digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over the bytes of the tensors, in the order of `TENSORS`."""
    digest = hashlib.sha256()
    for name in TENSORS:
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()
