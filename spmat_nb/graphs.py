"""Structure to graph: the nearest 12 neighbours within 8 A, raw distances kept, packed and cached.

A graph keeps one float an edge, the distance; the Gaussian expansion is made on the batch. All graphs of a set
lie in flat tensors, and a batch is cut out of them by indexing. In the cache they are a `store`, mapped into memory.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from .crystals import CrystalSet
from .draws import ids_within
from .errors import MachineError
from .neighbours import find_neighbours
from .packing import OversizeError, Part, joined, packed_parts
from .reading.policy import refuse
from .settings import GraphSettings, cache_dir
from .sources import frame
from .store import FORMAT, Store, alone, open_store, write_store
from .structure_files import Cell, check_cell, from_object

if TYPE_CHECKING:
    from torch_geometric.data import Data

SMALL = 2**28  # bytes of a store that is compared with its checksums when opened; larger ones part by part, in use


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
        store: what the tensors are mapped from, if its checksums are still to be compared; use `batch`, `to` or
            `select`, which do that, and not the tensors themselves.
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
    store: Store | None = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """What goes to another process: checked, and all in memory."""
        self._require(None)
        return self.__dict__ | {"store": None}

    def _require(self, rows: Tensor | None) -> None:
        """Compare what is about to be used with its checksum.

        Raises:
            InputError: the cache is damaged.
        """
        if self.store is not None:
            self.store.require(None if rows is None else rows.cpu().numpy())

    def __len__(self) -> int:
        return len(self.atom_start) - 1

    def to(self, device: "torch.device | str") -> "GraphSet":
        """The same set on a device.

        Raises:
            InputError: the cache that it comes from is damaged.
        """
        if torch.device(device).type == self.z.device.type == "cpu":
            return self
        self._require(None)
        moved = {name: getattr(self, name).to(device) for name in TENSORS}
        return GraphSet(**moved, settings=self.settings, fingerprint=self.fingerprint)

    def batch(self, index: Tensor, rows: Tensor | None = None) -> Batch:
        """The crystals at `index` [B] as one graph, by indexing alone (index_select: the fastest way on a CPU).

        Args:
            index: positions in this set.
            rows: rows that the noise is drawn by, `index` by default.

        Raises:
            InputError: the cache that they come from is damaged.
        """
        self._require(index)
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

    def select(self, rows: Tensor, fingerprint: str) -> "GraphSet":
        """The graphs at some positions as a set of their own.

        Args:
            rows: [b] positions.
            fingerprint: of the crystals there.

        Raises:
            InputError: the cache that they come from is damaged.
        """
        self._require(rows)
        atoms, edges = _ranges(self.atom_start, rows)[0], _ranges(self.edge_start, rows)[0]
        starts = {name: getattr(self, name) for name in ("atom_start", "edge_start")}
        counts = {name: (start[1:] - start[:-1]).index_select(0, rows) for name, start in starts.items()}
        chosen = {
            **{name: getattr(self, name).index_select(0, atoms) for name in ("z", "degree")},
            **{name: getattr(self, name).index_select(0, edges) for name in ("neighbour", "distance", "reverse")},
            **{name: functional.pad(count.cumsum(0), (1, 0)) for name, count in counts.items()},
        }
        return GraphSet(**chosen, settings=self.settings, fingerprint=fingerprint)

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
    crystals: CrystalSet,
    settings: GraphSettings | None = None,
    cache: Path | bool | None = None,
    workers: int | None = None,
    show: bool | None = None,
) -> GraphSet:
    """The graphs of all crystals, from the cache when it has them.

    Args:
        crystals: what to build.
        settings: cutoff and number of neighbours.
        cache: folder for packed graphs, each set with a CSV of what was accepted, doubted and refused; None for the
            user's cache folder, False to neither read nor write.
        workers: processes; None for one a core from 20,000 crystals on (see `packing.packed_parts`).
        show: report progress; None where there are many crystals.

    Raises:
        OversizeError: crystals whose graphs do not fit into memory; all others were tried, and nothing is cached.
        MachineError: a cache folder that cannot be written, or a process that was ended from outside.
    """
    settings = settings or GraphSettings()
    fingerprint = crystals.fingerprint()
    if cache is False:
        return _in_memory(joined(list(packed_parts(crystals.cells, settings, workers, show))), settings, fingerprint)
    folder = cache_dir() if cache in (None, True) else Path(cache)  # type: ignore[arg-type]
    about = {"fingerprint": fingerprint, "settings": asdict(settings)}
    key = hashlib.sha256(f"{FORMAT} {fingerprint} {sorted(asdict(settings).items())}".encode()).hexdigest()[:32]
    place = folder / f"graphs-{key}"
    store = _usable(place, about)
    if store is None:
        try:
            with alone(place):
                store = _usable(place, about)  # another process may have built it meanwhile
                if store is None:
                    report = crystals.input_report().to_csv(index=False)
                    write_store(place, packed_parts(crystals.cells, settings, workers, show), about, report)
                    store = _just_written(place, about)
        except OSError as error:
            raise MachineError(
                f"The graph cache {str(folder)!r} cannot be written ({error.strerror}). "
                "Free some space, set SPMAT_CACHE_DIR to another folder, or pass cache=False."
            ) from error
    return _mapped(store, settings, fingerprint)


def build_what_fits(
    crystals: CrystalSet, settings: GraphSettings | None = None, cache: Path | bool | None = None, **options: Any
) -> tuple[CrystalSet, GraphSet]:
    """As `build_graphs`, without the crystals whose graphs do not fit into memory; these are added to the report.

    Args:
        crystals: what to build.
        settings: cutoff and number of neighbours.
        cache: as for `build_graphs`.
        options: further ones of `build_graphs`.

    Raises:
        OversizeError: no crystal fits.
        MachineError: as for `build_graphs`.
    """
    try:
        return crystals, build_graphs(crystals, settings, cache, **options)
    except OversizeError as error:
        rows = np.array(error.rows)
        if len(rows) == len(crystals):
            raise
    reason = refuse("too-large", "not enough memory for its graph")
    lines = [(crystals.name, crystals.table.index[row], reason.reason, reason.cause) for row in rows]
    kept = crystals.select(np.setdiff1d(np.arange(len(crystals)), rows))
    kept = replace(kept, report=pd.concat([crystals.report, frame(lines)], ignore_index=True))
    return kept, build_graphs(kept, settings, cache, **options)


def pack(cells: Sequence[Cell], settings: GraphSettings, fingerprint: str = "") -> GraphSet:
    """The graphs of some crystals, in this process and without the cache.

    Args:
        cells: at least one crystal.
        settings: cutoff and number of neighbours.
        fingerprint: of the crystals.
    """
    return _in_memory(joined(list(packed_parts(cells, settings, workers=1, show=False))), settings, fingerprint)


def _in_memory(part: Part, settings: GraphSettings, fingerprint: str) -> GraphSet:
    starts = {of: np.concatenate([[0], np.cumsum(part[of], dtype=np.int64)]) for of in ("atoms", "edges")}
    return _graph_set(part, starts, settings, fingerprint)


def _mapped(store: Store, settings: GraphSettings, fingerprint: str) -> GraphSet:
    return _graph_set(store.arrays, store.starts, settings, fingerprint, None if store.checked.all() else store)


def _graph_set(
    arrays: Part, starts: Part, settings: GraphSettings, fingerprint: str, store: Store | None = None
) -> GraphSet:
    """Arrays as a set of graphs, without a copy."""
    tensors = {name: torch.from_numpy(arrays[name]) for name in ("z", "degree", "neighbour", "distance", "reverse")}
    begins = {"atom_start": torch.from_numpy(starts["atoms"]), "edge_start": torch.from_numpy(starts["edges"])}
    return GraphSet(**tensors, **begins, settings=settings, fingerprint=fingerprint, store=store)


def _usable(place: Path, about: dict[str, Any]) -> Store | None:
    """The store of these crystals and settings; None if there is none, or a small one is damaged."""
    store = open_store(place, about)
    return store if store is None or store.bytes > SMALL or store.is_sound() else None


def _just_written(place: Path, about: dict[str, Any]) -> Store:
    """The store that this process has written; its parts need no comparison."""
    store = open_store(place, about)
    if store is None:
        raise MachineError(f"The graph cache {str(place)!r} was written and cannot be read. Is the disk sound?")
    store.checked[:] = True
    return store
