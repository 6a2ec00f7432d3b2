"""Structure to graph: the nearest 12 neighbours within 8 A, raw distances kept, packed and cached.

A graph keeps one float an edge, the distance; the Gaussian expansion is made on the batch. All graphs of a set
lie in flat tensors, and a batch is cut out of them by indexing.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .crystals import CrystalSet
from .draws import ids_within
from .errors import InputError
from .files import write_bytes
from .neighbours import find_neighbours, reverse_edges
from .progress import Progress
from .settings import GraphSettings, cache_dir
from .structure_files import Cell, check_cell, from_object

if TYPE_CHECKING:
    from torch_geometric.data import Data

FORMAT = 2  # raise when the packing or the neighbour rule changes: old caches are then rebuilt
CHUNK = 64  # crystals whose neighbours are sorted together
MANY = 4000  # crystals that take over two seconds, and a progress bar


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
        row: [B] row of each crystal in its set.
        atom_id: [N] the same for an atom in every batch; noise is drawn by it.
        edge_id: [E] the same for an edge in every batch.
        pair_id: [E] shared by the edges i-j and j-i.
        visible: [N] false where an atom's features are masked; None when none is.
    """

    z: Tensor
    centre: Tensor
    neighbour: Tensor
    distance: Tensor
    crystal: Tensor
    size: int
    row: Tensor
    atom_id: Tensor
    edge_id: Tensor
    pair_id: Tensor
    visible: Tensor | None = None

    def with_edges(self, kept: Tensor) -> "Batch":
        """The batch with only the edges at the positions `kept`."""
        names = ("centre", "neighbour", "distance", "edge_id", "pair_id")
        return replace(self, **{name: getattr(self, name).index_select(0, kept) for name in names})


@dataclass(frozen=True)
class GraphSet:
    """The graphs of a set in flat tensors (12 bytes an edge), with the offsets that cut them apart.

    Attributes:
        z: [N] atomic numbers of all crystals, one after the other.
        degree: [N] edges that end at each atom; edges lie in the order of these atoms.
        neighbour: [E] sending atom, counted within its crystal.
        distance: [E] in A.
        reverse: [E] the edge j-i of an edge i-j, counted within its crystal; itself where the cut removed j-i.
        atom_start: [B + 1] first atom of each crystal.
        edge_start: [B + 1] first edge of each crystal.
        settings: how the graphs were built.
        fingerprint: of the crystals they were built from.
    """

    z: Tensor
    degree: Tensor
    neighbour: Tensor
    distance: Tensor
    reverse: Tensor
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

    def batch(self, index: Tensor, rows: Tensor | None = None) -> Batch:
        """The crystals at `index` [B] as one graph, by indexing alone (index_select: the fastest way on a CPU).

        Args:
            index: positions in this set.
            rows: rows that the noise is drawn by, `index` by default.
        """
        index = index.to(self.atom_start.device)
        rows = index if rows is None else rows.to(index.device)
        atoms, crystal, atom = _ranges(self.atom_start, index)
        edges, of_edge, edge = _ranges(self.edge_start, index)
        sizes = self.atom_start[index + 1] - self.atom_start[index]
        # [E] first atom, in the batch, of each edge's crystal
        first = (torch.cumsum(sizes, 0) - sizes).index_select(0, of_edge)
        degree = self.degree.index_select(0, atoms).long()
        numbers = torch.arange(len(atoms), device=index.device)
        edge_row, reverse = rows.index_select(0, of_edge), self.reverse.index_select(0, edges).long()
        return Batch(
            z=self.z.index_select(0, atoms).long(),
            centre=torch.repeat_interleave(numbers, degree, output_size=len(edges)),
            neighbour=self.neighbour.index_select(0, edges).long() + first,
            distance=self.distance.index_select(0, edges),
            crystal=crystal,
            size=len(index),
            row=rows,
            atom_id=ids_within(rows.index_select(0, crystal), atom),
            edge_id=ids_within(edge_row, edge),
            pair_id=ids_within(edge_row, torch.minimum(edge, reverse)),
        )

    def isolated_atoms(self) -> int:
        """How many atoms have no neighbour within the cutoff; they hear nothing from the rest of the crystal."""
        return int((self.degree == 0).sum())


TENSORS = ("z", "degree", "neighbour", "distance", "reverse", "atom_start", "edge_start")


def _ranges(start: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For the members of each chosen group: their positions, the group's place in `index`, their number within it."""
    lengths = start[index + 1] - start[index]
    group = torch.repeat_interleave(torch.arange(len(index), device=index.device), lengths)
    before = (torch.cumsum(lengths, 0) - lengths).index_select(0, group)
    within = torch.arange(len(group), device=index.device) - before
    return start[index].index_select(0, group) + within, group, within


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
        return pack(crystals.cells, settings, fingerprint, show=len(crystals) >= MANY)
    folder = cache_dir() if cache in (None, True) else Path(cache)  # type: ignore[arg-type]
    key = hashlib.sha256(f"{FORMAT} {fingerprint} {sorted(asdict(settings).items())}".encode()).hexdigest()[:32]
    path = folder / f"graphs-{key}.safetensors"
    cached = _read_cache(path, settings, fingerprint)
    if cached is None:
        cached = pack(crystals.cells, settings, fingerprint, show=len(crystals) >= MANY)
        _write_cache(path, cached)
    return cached


def pack(cells: Sequence[Cell], settings: GraphSettings, fingerprint: str = "", show: bool = False) -> GraphSet:
    """Search neighbours, some crystals at a time, and concatenate.

    Args:
        cells: at least one crystal.
        settings: cutoff and number of neighbours.
        fingerprint: of the crystals.
        show: report progress.
    """
    starts, parts = range(0, len(cells), CHUNK), []
    with Progress("graphs", len(starts), show, unit="chunk", pause=5.0) as bar:
        for start in starts:
            parts.append(_pack_chunk(cells[start : start + CHUNK], settings))
            bar.report()
    degree, edges_of, neighbour, distance, reverse = (np.concatenate(column) for column in zip(*parts, strict=True))
    return GraphSet(
        z=torch.from_numpy(np.concatenate([cell.numbers for cell in cells]).astype(np.uint8)),
        degree=torch.from_numpy(degree),
        neighbour=torch.from_numpy(neighbour),
        distance=torch.from_numpy(distance),
        reverse=torch.from_numpy(reverse),
        atom_start=torch.from_numpy(np.cumsum([0, *(len(cell.numbers) for cell in cells)])),
        edge_start=torch.from_numpy(np.cumsum([0, *edges_of])),
        settings=settings,
        fingerprint=fingerprint,
    )


def _pack_chunk(cells: Sequence[Cell], settings: GraphSettings) -> tuple[np.ndarray, ...]:
    """Edges of each atom and of each crystal; neighbour, distance and reverse of each edge, counted in its crystal."""
    found = find_neighbours(cells, settings)
    sizes = np.array([len(cell.numbers) for cell in cells])
    edges_of = np.bincount(found.crystal, minlength=len(cells))
    first_atom, first_edge = (np.cumsum(counts) - counts for counts in (sizes, edges_of))
    return (
        np.bincount(found.centre, minlength=sizes.sum()).astype(np.int32),
        edges_of,
        (found.neighbour - first_atom[found.crystal]).astype(np.int32),
        found.distance.astype(np.float32),
        (reverse_edges(found) - first_edge[found.crystal]).astype(np.int32),
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
