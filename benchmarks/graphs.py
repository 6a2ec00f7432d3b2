#!/usr/bin/env python3
"""How many times faster our neighbour search is than pymatgen's `get_all_neighbors` plus a sort.

    python benchmarks/graphs.py [--data teaching | FILE.parquet] [--count 200]

Both find the nearest 12 within 8 A of the same structures in this process on one thread, in turns; the ratio of the
best times is printed, and the largest difference between their distances.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from pymatgen.core import Structure

from spmat_nb.crystals import load
from spmat_nb.neighbours import find_neighbours
from spmat_nb.packing import CHUNK
from spmat_nb.settings import GraphSettings, real_data
from spmat_nb.structure_files import Cell

SETTINGS = GraphSettings()


def ours(cells: list[Cell]) -> np.ndarray:
    """Distances of all edges, crystal by crystal, atom by atom."""
    chunks = [cells[start : start + CHUNK] for start in range(0, len(cells), CHUNK)]
    return np.concatenate([find_neighbours(chunk, SETTINGS).distance for chunk in chunks])


def peer(structures: list[Structure]) -> np.ndarray:
    """The same with pymatgen's method, as CGCNN has it."""
    out = []
    for structure in structures:
        for neighbours in structure.get_all_neighbors(SETTINGS.cutoff):
            nearest = sorted(neighbours, key=lambda n: n.nn_distance)[: SETTINGS.max_neighbours]
            out.extend(n.nn_distance for n in nearest)
    return np.array(out)


def timed(function: Callable[[list], np.ndarray], argument: list) -> tuple[float, np.ndarray]:
    """Seconds and result of one call."""
    start = time.perf_counter()
    result = function(argument)
    return time.perf_counter() - start, result


def main() -> None:
    """Time both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = real_data() / "mp33k.parquet" if real_data() else "teaching"
    parser.add_argument("--data", default=str(default))
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    crystals = load(args.data).sample(args.count, seed=0)
    cells, structures = list(crystals.cells), list(crystals.structures)
    ours(cells[:5])
    mine, theirs = np.inf, np.inf
    for _ in range(args.repeats):
        seconds, found = timed(ours, cells)
        mine = min(mine, seconds)
        seconds, expected = timed(peer, structures)
        theirs = min(theirs, seconds)
    sites = sum(len(s) for s in structures) / len(structures)
    print(f"{len(cells)} crystals of {crystals.name}, {sites:.1f} sites on average, one process")
    print(f"spmat_nb {1e3 * mine / len(cells):.3f} ms a crystal, pymatgen {1e3 * theirs / len(cells):.3f} ms a crystal")
    print(f"largest difference between distances {np.abs(found - expected).max():.1e} A")
    print(f"ratio {theirs / mine:.0f}")


if __name__ == "__main__":
    main()
