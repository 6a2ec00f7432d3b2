#!/usr/bin/env python3
"""What our checks add to pymatgen's reading of CIF files, what several processes gain, and what large cells cost.

    python benchmarks/reading.py [--count 300] [--workers 2] [--large 4 7 11]

The files are crystals of the teaching set, written with their symmetry. Both sides read the same files in this process,
in turns; the ratio of the best processor times is printed. The gain of several processes is one of the clock, start of
the processes included. Large cells are rock salt in P 1, each in a fresh process, from file to graph.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from measure import describe, in_turns
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifParser

from spmat_nb.crystals import load
from spmat_nb.graphs import build_graphs


def peer(paths: list[Path]) -> None:
    """Pymatgen alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in paths:
            CifParser(str(path)).parse_structures(primitive=False)


def write_small(folder: Path, count: int) -> list[Path]:
    """Crystals of the teaching set as CIF files."""
    crystals = load("teaching").sample(count, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for material_id, structure in zip(crystals.table.index, crystals.structures, strict=True):
            structure.to(filename=str(folder / f"{material_id}.cif"), symprec=0.01)
    return sorted(folder.glob("*.cif"))


def wall(folder: Path, workers: int) -> float:
    """Seconds of the clock for a folder."""
    start = time.perf_counter()
    load(folder, workers=workers, show=False)
    return time.perf_counter() - start


def small(folder: Path, count: int, workers: int) -> None:
    """A folder of small cells."""
    paths = write_small(folder, count)
    ours, theirs = in_turns(3, lambda: load(folder, workers=1, show=False), lambda: peer(paths))
    print(f"{count} CIF files with symmetry, of processor time for each:")
    print(f"spmat_nb {1e3 * ours / count:.1f} ms, pymatgen {1e3 * theirs / count:.1f} ms, ratio {ours / theirs:.2f}")
    one, several = wall(folder, 1), wall(folder, workers)
    print(f"{one:.1f} s of the clock in one process, {several:.1f} s in {workers}, ratio {one / several:.2f}")


def large(path: Path) -> None:
    """Read and build one file; in a process of its own."""
    start = time.process_time()
    graphs = build_graphs(load(path), cache=False)
    spent, peak = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{path.suffix:6} {len(graphs.z):6,} atoms {len(graphs.distance):8,} edges {spent:6.1f} s {peak:5.2f} GiB")


def main() -> None:
    """Print all three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--large", type=int, nargs="*", default=[4, 7, 11], help="cells of rock salt along each axis")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.file:
        large(args.file)
        return
    print(describe("pymatgen"))
    with tempfile.TemporaryDirectory() as name:
        small(Path(name), args.count, args.workers)
    salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    for repeats in args.large:
        with tempfile.TemporaryDirectory() as name:
            for ending, kind in (("cif", "cif"), ("vasp", "poscar")):
                path = Path(name) / f"salt.{ending}"
                (salt * ((repeats,) * 3)).to(filename=str(path), fmt=kind)
                subprocess.run([sys.executable, __file__, "--file", str(path)], check=True)


if __name__ == "__main__":
    main()
