#!/usr/bin/env python3
"""Time and memory of training against cgcnn2 (PyPI), which trains the same network.

    python benchmarks/training.py [--data teaching | FILE.parquet] [--batch 128] [--repeats 7] [--only ROW]

Both sides run on one thread of one process, in turns on the same graphs; what counts is the best time of each, of the
processor, after one call that does not count. Memory and imports are measured in fresh processes. The rows:

step    Both views forward and backward and the update of the weights. The views are ready on both sides, and the loss,
        the projector and its size are the same. Below it the harder comparisons: ours with batch and views made in the
        step while the peer's stay ready, and the plain code instead of the compiled loops (`fused.disabled()`).
share   What the training loop of `spmat_nb.pretrain` spends outside the network, the loss and the optimiser: batches by
        indexing, both views, the Gaussian expansion. The loop itself runs, with a clock at the functions that do
        these, and the fastest epoch counts. Checks and conversions before the compiled loops are in the expansion.
epoch   Fine-tuning from graphs in memory: shuffling, batches, forward, backward, update. The peer has its own data set
        (which keeps its graphs), collate function and loader.
memory  How far one step at batch 256 raises the resident memory above the level before it, which has the views ready.
bytes   Memory of the edges of a set at rest.
import  An import in a fresh interpreter. Importing the package alone loads nothing, so the cost of what a training
        needs is printed too.

Each side has the optimiser that it trains with: ours `spmat_nb.training.make_adam` (Adam in one kernel), the peer's the
default `torch.optim.Adam` of its trainer. The peer pads: an edge that is masked or missing costs it as much as any
other, ours nothing; both is as each side trains.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import peer
import torch
from measure import Clock, describe, growth, in_turns
from torch import Tensor, nn

from spmat_nb import augment, fused, pretrain
from spmat_nb.augment import two_views
from spmat_nb.crystals import CrystalSet, load
from spmat_nb.encoders import CGCNN
from spmat_nb.graphs import Batch, GraphSet, build_graphs
from spmat_nb.layers import GaussianBasis, Projector
from spmat_nb.losses import supervised_barlow
from spmat_nb.property_models import PropertyModel
from spmat_nb.sampling import shuffled_batches
from spmat_nb.settings import AugmentSettings, PretrainSettings, real_data
from spmat_nb.training import make_adam

CRYSTALS = 512
MEMORY_BATCH = 256
TUNED = 256  # crystals that are written as CIF files
RATE = 1e-3
DECAY = PretrainSettings().weight_decay
SIDES = ("ours", "plain", "peer")
OUTSIDE = (  # what an epoch has beside the network, the loss and the optimiser
    (pretrain, "epoch_batches", "batches"),
    (GraphSet, "batch", "batches"),
    (augment, "make_view", "views"),
    (fused, "edges_of", "Gaussians"),
    (GaussianBasis, "forward", "Gaussians"),  # where the compiled loops do not run
)


class Row(NamedTuple):
    """A line of the table; `ratio` is theirs over ours for times of training, ours over theirs for the others."""

    what: str
    ours: str
    peer: str = ""
    ratio: str = ""
    least: str = ""
    aim: str = ""


class Task(NamedTuple):
    """What the rows are measured on."""

    crystals: CrystalSet
    graphs: GraphSet
    data: str
    max_sites: int
    batch: int
    repeats: int

    def views(self, size: int, epoch: int = 0) -> tuple[Batch, Batch]:
        """Two noisy views of the first crystals, as pretraining makes them."""
        return two_views(self.graphs, torch.arange(min(size, len(self.graphs))), AugmentSettings(), 0, epoch)


class Pretraining:
    """Encoder, projector and optimiser of either side."""

    def __init__(self, encoder: nn.Module, adam: Callable[[list[nn.Parameter]], torch.optim.Adam]) -> None:
        self.encoder, self.projector = encoder, Projector(peer.SIZES.hidden, peer.SIZES.projection)
        self.optimiser = adam([*encoder.parameters(), *self.projector.parameters()])

    def step(self, views: tuple) -> None:
        """Both views forward and backward, and the update of the weights."""
        first, second = (self.projector(self.encoder(view)) for view in views)
        loss = supervised_barlow(first, second)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        loss.item()


def our_adam(parameters: list[nn.Parameter]) -> torch.optim.Adam:
    """As both trainings of spmat_nb have it."""
    return make_adam([{"params": parameters, "full_rate": RATE}], DECAY)


def our_pretraining() -> Pretraining:
    """With our encoder."""
    return Pretraining(CGCNN(peer.SIZES), our_adam)


def peer_pretraining() -> Pretraining:
    """With the encoder of cgcnn2."""
    return Pretraining(peer.Embedding(), peer.make_adam)


def for_peer(views: tuple) -> tuple[peer.Inputs, ...]:
    """The same views as the peer wants them."""
    return tuple(peer.inputs(view) for view in views)


class Tuning:
    """Fine-tuning from packed graphs, as `spmat_nb.finetune` does it."""

    def __init__(self, graphs: GraphSet, values: Tensor, size: int) -> None:
        self.graphs, self.values, self.size, self.epochs = graphs, values[:, None], size, 0
        self.model = PropertyModel(peer.SIZES)
        self.optimiser = our_adam(list(self.model.parameters()))

    def epoch(self) -> None:
        """One pass over the crystals."""
        self.epochs += 1
        for index in shuffled_batches(len(self.values), self.size, 0, self.epochs):
            loss = nn.functional.mse_loss(self.model.normalised(self.graphs.batch(index)), self.values[index])
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            loss.item()


def peer_tuning(crystals: CrystalSet, values: Tensor, size: int) -> peer.Tuning:
    """Fine-tuning of cgcnn2 on the same crystals, by way of the files that it reads."""
    with tempfile.TemporaryDirectory() as folder:
        peer.write_folder(crystals, values, Path(folder))
        return peer.Tuning(Path(folder), size)


def compared(what: str, ours: float, theirs: float, least: str = "", aim: str = "") -> Row:
    """A row about seconds, in which a larger ratio is better."""
    return Row(what, f"{1e3 * ours:.1f} ms", f"{1e3 * theirs:.1f} ms", f"{theirs / ours:.2f}x", least, aim)


def step_rows(task: Task) -> Iterator[Row]:
    """One step of pretraining: ours as it is, with everything before it, and by the plain code."""
    views = task.views(task.batch)
    prepared = for_peer(views)
    ours, plain, theirs = our_pretraining(), our_pretraining(), peer_pretraining()

    def without_loops() -> None:
        with fused.disabled():
            plain.step(views)

    fast, whole, slow, other = in_turns(
        task.repeats,
        partial(ours.step, views),
        lambda: ours.step(task.views(task.batch, epoch=1)),
        without_loops,
        partial(theirs.step, prepared),
    )
    yield compared(f"pretraining step, batch {len(views[0].row)}, views ready", fast, other, ">= 1.9x", "4x")
    yield compared("  ours with batch and views made in it", whole, other)
    yield compared("  ours by the plain code", slow, other)


def share_rows(task: Task) -> Iterator[Row]:
    """How much of an epoch of pretraining goes to batches, views and Gaussians."""
    clock = Clock(*OUTSIDE, (pretrain, "train_epoch", "epoch"))
    settings = PretrainSettings(
        loss="barlow_samples", label=None, epochs=task.repeats + 1, batch_size=task.batch, validation_share=0.0
    )
    given: dict[str, Any] = {"graphs": task.graphs, "device": "cpu", "show": False, "callbacks": [clock.lap]}
    with clock.running():
        pretrain.pretrain(task.crystals, settings, **given)
    fastest = min(clock.laps[1:], key=lambda lap: lap["epoch"])
    shares = {part: 100 * fastest[part] / fastest["epoch"] for part in ("batches", "views", "Gaussians")}
    yield Row("epoch of pretraining spent outside the step", f"{sum(shares.values()):.1f} %", "", "", "< 15 %", "5 %")
    yield Row("  " + ", ".join(f"{part} {share:.1f} %" for part, share in shares.items()), "")


def epoch_rows(task: Task) -> Iterator[Row]:
    """One epoch of fine-tuning with graphs in memory."""
    part = task.crystals.select(np.arange(min(TUNED, len(task.crystals))))
    values = torch.tensor(part.table["formation_energy_per_atom"].to_numpy("float32"))
    ours, theirs = Tuning(build_graphs(part, cache=False), values, task.batch), peer_tuning(part, values, task.batch)
    if theirs.atoms != len(ours.graphs.z):
        raise SystemExit(f"cgcnn2 read {theirs.atoms} atoms where {len(ours.graphs.z)} were written.")
    fast, other = in_turns(task.repeats, ours.epoch, theirs.epoch)
    yield compared(f"fine-tuning epoch, {len(part)} crystals", fast, other, ">= 1.9x", "4x")


def memory_rows(task: Task) -> Iterator[Row]:
    """Growth of the memory by one step, each in a process of its own."""
    command = [sys.executable, __file__, "--data", task.data, "--max-sites", str(task.max_sites), "--grow"]
    runs = [subprocess.run([*command, side], capture_output=True, text=True, check=True) for side in SIDES]
    grown = {side: float(run.stdout) for side, run in zip(SIDES, runs, strict=True)}

    def row(what: str, side: str, *limits: str) -> Row:
        ratio = f"{grown[side] / grown['peer']:.2f}x"
        return Row(what, f"{grown[side]:.0f} MB", f"{grown['peer']:.0f} MB", ratio, *limits)

    yield row(f"memory of a pretraining step, batch {MEMORY_BATCH}", "ours", "<= 1.0x", "0.5x")
    yield row("  ours by the plain code", "plain")


def step_growth(task: Task, side: str) -> float:
    """How much memory one step takes on top of what is there before it, in MB."""
    given: list[tuple] = [task.views(size) for size in (MEMORY_BATCH, 4)]
    if side == "peer":
        given = [for_peer(views) for views in given]
    run, (large, small) = peer_pretraining() if side == "peer" else our_pretraining(), given
    with fused.disabled() if side == "plain" else nullcontext():
        run.step(small)
        return growth(partial(run.step, large))


def bytes_rows(task: Task) -> Iterator[Row]:
    """Memory of packed graphs, and of what the peer's data set keeps of a few of the same crystals."""
    tensors = [value for value in vars(task.graphs).values() if isinstance(value, Tensor)]
    count = len(task.graphs.distance)
    of_edges = sum(t.element_size() for t in tensors if len(t) == count)
    total = sum(t.nbytes for t in tensors) / count
    few = task.crystals.select(np.arange(min(8, len(task.crystals))))
    kept = peer_tuning(few, torch.zeros(len(few)), len(few)).bytes_an_edge
    ratio = f"{of_edges / kept:.2f}x"
    yield Row(f"bytes an edge (with atoms: {total:.1f})", f"{of_edges}", f"{kept:.0f}", ratio, "<= 12", "")


def import_rows(task: Task) -> Iterator[Row]:
    """The package alone, and torch with the package or one of its trainings, against torch alone."""
    alone = min(import_seconds("spmat_nb")[0] for _ in range(task.repeats))
    bare, with_package = torch_and("spmat_nb", task.repeats)
    yield import_row("import spmat_nb; peer: import torch", alone, bare, "<= 1.3x", "1.05x")
    yield import_row("  import torch, spmat_nb", with_package, bare)
    bare, with_training = torch_and("spmat_nb.pretrain", task.repeats)
    yield import_row("  import torch, spmat_nb.pretrain", with_training, bare)


def import_row(what: str, ours: float, theirs: float, *limits: str) -> Row:
    """A row about imports, in which a smaller ratio is better."""
    return Row(what, f"{1e3 * ours:.1f} ms", f"{1e3 * theirs:.0f} ms", f"{ours / theirs:.3f}x", *limits)


def torch_and(name: str, repeats: int) -> tuple[float, float]:
    """Importing torch, and torch and then `name`, both in the interpreter whose ratio of the two is the median."""
    runs = [import_seconds("torch", name) for _ in range(repeats)]
    bare, more = sorted(runs, key=lambda run: run[1] / run[0])[repeats // 2]
    return bare, bare + more


def import_seconds(*names: str) -> list[float]:
    """Of the processor, for each import, one after the other in a fresh interpreter."""
    code = ["import time", "clock = [time.process_time()]"]
    for name in names:
        code += [f"import {name}", "clock.append(time.process_time())"]
    command = [sys.executable, "-c", "\n".join([*code, "print(*clock)"])]
    times = [float(text) for text in subprocess.run(command, capture_output=True, check=True).stdout.split()]
    return [after - before for before, after in pairwise(times)]


ROWS = {
    "step": step_rows,
    "share": share_rows,
    "epoch": epoch_rows,
    "memory": memory_rows,
    "bytes": bytes_rows,
    "import": import_rows,
}


def main() -> None:
    """Measure and print, each line as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    folder = real_data()
    parser.add_argument("--data", default=str(folder / "mp33k.parquet") if folder else "teaching")
    parser.add_argument("--max-sites", type=int, default=20, help="leave out larger cells (default 20; 0 for none)")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", choices=ROWS)
    parser.add_argument("--grow", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    crystals = load(args.data, max_sites=args.max_sites).sample(CRYSTALS, seed=0)
    task = Task(crystals, build_graphs(crystals, cache=False), args.data, args.max_sites, args.batch, args.repeats)
    if args.grow:
        print(step_growth(task, args.grow))
        return
    atoms = len(task.graphs.z) / len(crystals)
    print(describe("torch", "numba", "numpy", "cgcnn2"))
    print(f"{len(crystals)} crystals of {crystals.name}, {atoms:.1f} atoms on average, one thread")
    line = "{:<58}{:>11}{:>11}{:>9}{:>10}{:>7}"
    print(line.format("what", "ours", "peer", "ratio", "at least", "aim"))
    for rows in [ROWS[args.only]] if args.only else ROWS.values():
        for row in rows(task):
            print(line.format(*row).rstrip(), flush=True)


if __name__ == "__main__":
    main()
