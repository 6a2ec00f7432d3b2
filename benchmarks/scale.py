#!/usr/bin/env python3
"""What building and pretraining cost at 1,000, 10,000 and 100,000 crystals, and what follows for larger sets.

    python benchmarks/scale.py [--sizes 1000 10000 100000] [--data teaching | FILE.parquet] [--max-sites 20]
                               [--workers 1] [--only build]

The crystals are those at hand again and again, each with its lattice strained by up to 2 % and its atoms moved by
0.02 A, so that no two are equal. Every size runs in a fresh process on one thread. Times are of the processor (`wall`:
of the clock; the time of further processes that build is not counted), memory is how far a phase raises the peak of
the process; to it come the crystals as arrays and, when it trains, the store, which have lines of their own. A power
of 1.0: the time is proportional to the number of crystals. The extrapolation goes by atoms, since each has 12 edges;
numbers for GPUs are assumptions and are called so.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from measure import describe, growth

from spmat_nb.crystals import CrystalSet, load
from spmat_nb.graphs import build_graphs
from spmat_nb.pretrain import pretrain
from spmat_nb.settings import GraphSettings, PretrainSettings
from spmat_nb.sources import frame
from spmat_nb.store import open_store
from spmat_nb.structure_files import Cell

STRAIN, MOVE = 0.02, 0.02  # largest strain; standard deviation of a displacement, A
ATOMS = 25  # of a crystal of the Materials Project, a guess for the extrapolation
EPOCHS = 15  # the paper's
LARGER = {"the paper's pretraining": 121_371, "the paper's crystals": 155_361, "five million": 5_000_000}
# Assumed, not measured: crystals of 25 atoms a second in pretraining, two views each, and what eight GPUs gain.
GPU_CRYSTALS, EIGHT_GPUS, TWO_CORES = 10_000, 6.4, 1.8
PHASES = ("build", "open", "pretrain")


def perturbed(cell: Cell, rng: np.random.Generator) -> Cell:
    """The crystal a little strained and shaken."""
    strain = rng.uniform(-STRAIN, STRAIN, (3, 3))
    lattice = cell.lattice @ (np.eye(3) + (strain + strain.T) / 2)
    moves = rng.normal(0, MOVE, cell.frac.shape) @ np.linalg.inv(lattice)
    return Cell(lattice, cell.numbers, cell.frac + moves)


def enlarge(base: CrystalSet, count: int) -> CrystalSet:
    """So many crystals, each a perturbed copy of one of the set."""
    rng = np.random.default_rng(0)
    order = np.concatenate([rng.permutation(len(base)) for _ in range(-(-count // len(base)))])[:count]
    cells = tuple(perturbed(base.cells[i], rng) for i in order)
    index = pd.Index([f"made-{i}" for i in range(count)], name="material_id")
    return CrystalSet(base.table.iloc[order].set_axis(index), cells, frame([]), f"{count} crystals")


def measured(call: Callable[[], object]) -> dict[str, float]:
    """Processor and clock seconds of a call, and by how much it raises the peak of memory (MB)."""
    spent, wall = time.process_time(), time.perf_counter()
    peak = growth(call)
    return {"seconds": time.process_time() - spent, "wall": time.perf_counter() - wall, "MB": peak}


def run(data: str, max_sites: int, count: int, workers: int, phases: list[str]) -> dict[str, Any]:
    """All phases for one size."""
    torch.set_num_threads(1)
    base = load(data, max_sites=max_sites, show=False)
    settings = PretrainSettings(epochs=1, label="gap_class")
    few = enlarge(base, 256)
    pretrain(few, settings, graphs=build_graphs(few, cache=False), device="cpu", show=False)  # compiles
    result: dict[str, Any] = {}
    box: list[CrystalSet] = []
    result["crystals"] = measured(lambda: box.append(enlarge(base, count)))
    crystals = box[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result["build"] = measured(lambda: build_graphs(crystals, cache=folder, workers=workers, show=False))
        (place,) = folder.glob("graphs-*")
        result["bytes"] = sum(path.stat().st_size for path in place.iterdir())
        about = json.loads((place / "index.json").read_text())["about"]
        result["open"] = measured(lambda: open_store(place, about))
        graphs = build_graphs(crystals, cache=folder)
        result["atoms"], result["edges"] = len(graphs.z), len(graphs.distance)
        if "pretrain" in phases:
            result["pretrain"] = measured(lambda: pretrain(crystals, settings, graphs=graphs, device="cpu", show=False))
    return result


def power(sizes: list[int], costs: list[float]) -> float:
    """The exponent of a power law through the last two sizes."""
    return math.log(max(costs[-1], 1e-9) / max(costs[-2], 1e-9)) / math.log(sizes[-1] / sizes[-2])


def marginal(sizes: list[int], costs: list[float]) -> float:
    """What one more crystal costs: the slope between the last two sizes, so that what is there anyway drops out."""
    return (costs[-1] - costs[-2]) / (sizes[-1] - sizes[-2])


def show_table(sizes: list[int], results: list[dict[str, Any]], phases: list[str]) -> None:
    """A line a size and phase, and below what one more crystal costs."""
    titles = ("seconds", "wall", "ms each", "us an atom", "MB", "kB each")
    print(f"{'phase':10}{'crystals':>10}{'atoms':>11}" + "".join(f"{title:>12}" for title in titles))
    for phase in (p for p in PHASES if p in phases):
        for size, result in zip(sizes, results, strict=True):
            cost = result[phase]
            values = (cost["seconds"], cost["wall"], 1e3 * cost["seconds"] / size)
            more = (1e6 * cost["seconds"] / result["atoms"], cost["MB"], 1e3 * cost["MB"] / size)
            print(f"{phase:10}{size:10,}{result['atoms']:11,}" + "".join(f"{v:12.3f}" for v in (*values, *more)))
        if len(sizes) > 1 and phase != "open":
            seconds, memory = ([result[phase][name] for result in results] for name in ("seconds", "MB"))
            each = f"{1e3 * marginal(sizes, seconds):.3f} ms, {1e3 * marginal(sizes, memory):.2f} kB"
            print(
                f"{'':10}one more crystal: {each}; time grows with the power {power(sizes, seconds):.2f} of the number"
            )
    print("crystals as arrays, MB:", ", ".join(f"{r['crystals']['MB']:.1f}" for r in results))
    print("store on disk, bytes an atom:", ", ".join(f"{r['bytes'] / r['atoms']:.0f}" for r in results))


def extrapolate(result: dict[str, Any]) -> None:
    """What the largest measured size says of larger sets, by atoms, and what is assumed of GPUs."""
    build, train = (result[phase]["seconds"] / result["atoms"] for phase in ("build", "pretrain"))
    disk = result["bytes"] / result["atoms"]
    print(f"extrapolated to crystals of {ATOMS} atoms, {EPOCHS} epochs of pretraining, batches of 128;")
    print(
        f"ASSUMED: one GPU {GPU_CRYSTALS:,} crystals a second, two cores {TWO_CORES} times one, eight GPUs {EIGHT_GPUS}"
    )
    titles = ("crystals", "store GB", "build 2 cores", "train 1 core", "2 cores", "1 GPU", "8 GPUs")
    print(f"{'set':26}" + "".join(f"{title:>14}" for title in titles))
    for name, count in LARGER.items():
        atoms = count * ATOMS
        core, gpu = EPOCHS * train * atoms, EPOCHS * count / GPU_CRYSTALS
        times = (build * atoms / TWO_CORES, core, core / TWO_CORES, gpu, gpu / EIGHT_GPUS)
        print(f"{name:26}{count:14,}{disk * atoms / 1e9:14.2f}" + "".join(f"{hours(t):>14}" for t in times))


def hours(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def main() -> None:
    """Run each size in its own process, then print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--data", default="teaching")
    parser.add_argument("--max-sites", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1, help="processes that build")
    parser.add_argument("--only", choices=["build"], help="leave the training out")
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    phases = ["build", "open"] if args.only else list(PHASES)
    if args.size:
        print(json.dumps(run(args.data, args.max_sites, args.size, args.workers, phases)))
        return
    print(describe("torch", "numpy", "numba"))
    print(
        f"copies of {args.data}, at most {args.max_sites} sites, {args.workers} process(es) to build, {GraphSettings()}"
    )
    options = ["--data", args.data, "--max-sites", str(args.max_sites), "--workers", str(args.workers)]
    options += ["--only", args.only] if args.only else []
    results = []
    for size in args.sizes:
        command = [sys.executable, __file__, *options, "--size", str(size)]
        results.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(f"# {size} {json.dumps(results[-1])}", file=sys.stderr, flush=True)
    show_table(args.sizes, results, phases)
    if "pretrain" in phases:
        extrapolate(results[-1])


if __name__ == "__main__":
    main()
