"""Cells to packed edges, part by part, in one process or several; numpy alone, so that a process starts quickly.

A part holds some crystals, one after the other, and everything in it is counted within its crystal: parts of a set
can be made anywhere, in any order, and need only be put in a row.
"""

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from .errors import InputError, MachineError
from .neighbours import find_neighbours, reverse_edges
from .progress import Progress
from .settings import GraphSettings
from .structure_files import Cell

CHUNK = 64  # crystals whose neighbours are sorted together, at most
CHUNK_ATOMS = 4096  # and their atoms, so that a chunk of large cells needs no more memory
PART = 1024  # crystals of a part, at most
PART_ATOMS = 32768
MANY = 4000  # crystals that take over two seconds, and a progress bar
PAY = 20_000  # crystals from which on several processes gain more than their start costs
MOST_WORKERS = 8
# Arrays of a part: of its crystals (their atoms and edges), of its atoms, of its edges.
LAYOUT: dict[str, tuple[str, str]] = {
    "atoms": ("crystals", "int32"),
    "edges": ("crystals", "int32"),
    "z": ("atoms", "uint8"),
    "degree": ("atoms", "int32"),
    "neighbour": ("edges", "int32"),
    "distance": ("edges", "float32"),
    "reverse": ("edges", "int32"),
}
Part = dict[str, np.ndarray]


class OversizeError(InputError):
    """Crystals whose neighbours do not fit into memory; `rows` are their positions."""

    def __init__(self, rows: Sequence[int], text: str) -> None:
        super().__init__(rows, text)
        self.rows = list(rows)

    def __str__(self) -> str:
        return str(self.args[1])


def packed_parts(
    cells: Sequence[Cell], settings: GraphSettings, workers: int | None = None, show: bool | None = None
) -> Iterator[Part]:
    """The parts of a set in order; only a few are in memory at a time.

    Args:
        cells: at least one crystal.
        settings: cutoff and number of neighbours.
        workers: processes; None for one a core (at most 8) from 20,000 crystals on. Any backend of joblib that is
            chosen with `joblib.parallel_config` does the work, such as one of Dask.
        show: report progress; None where there are many crystals.

    Raises:
        OversizeError: some crystals need more memory than there is; all others were built.
        MachineError: a process was ended from outside.
    """
    bounds = cuts([len(cell.numbers) for cell in cells], PART, PART_ATOMS)
    show = len(cells) >= MANY if show is None else show
    if workers is None:
        workers = min(os.cpu_count() or 1, MOST_WORKERS) if len(cells) >= PAY else 1
    failed: list[int] = []
    with Progress("graphs", len(bounds) - 1, show, unit="part", pause=5.0) as bar:
        for start, (part, bad) in zip(bounds, _made(cells, bounds, settings, workers), strict=False):
            failed += [start + row for row in bad]
            yield part
            bar.report()
    if failed:
        raise OversizeError(failed, _too_large(cells, failed))


def cuts(sizes: Sequence[int], most: int, most_atoms: int) -> list[int]:
    """Where to cut a row of crystals, so that no piece of several has more crystals or atoms than allowed."""
    bounds, atoms = [0], 0
    for place, size in enumerate(sizes):
        if place > bounds[-1] and (place - bounds[-1] == most or atoms + size > most_atoms):
            bounds.append(place)
            atoms = 0
        atoms += size
    return [*bounds, len(sizes)]


def _made(
    cells: Sequence[Cell], bounds: Sequence[int], settings: GraphSettings, workers: int
) -> Iterator[tuple[Part, list[int]]]:
    """Each part with the positions in it that failed, from this process or from several."""
    pieces = (cells[start:end] for start, end in pairwise(bounds))
    if workers == 1:
        yield from (pack_part(piece, settings) for piece in pieces)
        return
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import BrokenProcessPool

    try:
        yield from Parallel(workers, return_as="generator")(delayed(pack_part)(piece, settings) for piece in pieces)
    except BrokenProcessPool as error:
        raise MachineError(
            "A process that built graphs was ended from outside, most likely for want of memory. Nothing was written. "
            "Use fewer workers, or leave out large cells (max_sites, --max-sites)."
        ) from error


def pack_part(cells: Sequence[Cell], settings: GraphSettings) -> tuple[Part, list[int]]:
    """One part, and the positions of the crystals in it that do not fit into memory: they have atoms but no edges."""
    bounds = cuts([len(cell.numbers) for cell in cells], CHUNK, CHUNK_ATOMS)
    chunks, failed = [], []
    for start, end in pairwise(bounds):
        try:
            chunks.append(_pack(cells[start:end], settings))
        except MemoryError:
            singles = [_pack_one(cell, settings) for cell in cells[start:end]]
            chunks += [single or _without_edges(cell) for single, cell in zip(singles, cells[start:end], strict=True)]
            failed += [start + row for row, single in enumerate(singles) if single is None]
    return joined(chunks), failed


def joined(parts: Sequence[Part]) -> Part:
    """Several parts as one."""
    return {name: np.concatenate([part[name] for part in parts]) for name in LAYOUT}


def _pack(cells: Sequence[Cell], settings: GraphSettings) -> Part:
    found = find_neighbours(cells, settings)
    sizes = np.array([len(cell.numbers) for cell in cells])
    edges_of = np.bincount(found.crystal, minlength=len(cells))
    first_atom, first_edge = (np.cumsum(counts) - counts for counts in (sizes, edges_of))
    return _typed(
        atoms=sizes,
        edges=edges_of,
        z=np.concatenate([cell.numbers for cell in cells]),
        degree=np.bincount(found.centre, minlength=sizes.sum()),
        neighbour=found.neighbour - first_atom[found.crystal],
        distance=found.distance,
        reverse=reverse_edges(found) - first_edge[found.crystal],
    )


def _pack_one(cell: Cell, settings: GraphSettings) -> Part | None:
    try:
        return _pack([cell], settings)
    except MemoryError:
        return None


def _without_edges(cell: Cell) -> Part:
    """The place of a crystal whose edges could not be found."""
    count, none = len(cell.numbers), np.empty(0)
    return _typed(
        atoms=[count], edges=[0], z=cell.numbers, degree=np.zeros(count), neighbour=none, distance=none, reverse=none
    )


def _typed(**arrays: object) -> Part:
    return {name: np.asarray(arrays[name]).astype(kind) for name, (_, kind) in LAYOUT.items()}


def _too_large(cells: Sequence[Cell], rows: Sequence[int]) -> str:
    sizes = ", ".join(f"number {row + 1} with {len(cells[row].numbers):,} atoms" for row in rows[:5])
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    return (
        f"There is not enough memory for the graph of {len(rows)} of {len(cells)} crystals ({sizes}{more}). "
        "Leave large cells out (max_sites, --max-sites), or let graphs.build_what_fits do it and report them."
    )
