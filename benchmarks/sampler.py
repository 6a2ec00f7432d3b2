#!/usr/bin/env python3
"""What the class-aware sampler (`sampler="paired"`) brings against plain shuffling, and what it costs.

    python benchmarks/sampler.py [--data teaching | FILE.parquet] [--seeds 5] [--epochs 6] [--crystals 1000]

First, over all crystals to pretrain on: the share of those with a class that meet another of it in their batch, for
every label that tells them apart and several batch sizes, and the time that it takes to make up an epoch of batches.

Second, whether it helps: pretraining with both samplers from the same seeds, so with the same weights and noise at the
start. Told is the k-NN purity of the label on stable crystals that pretraining did not see, those of the splits val and
test (the mean over classes of the share of the ten nearest that have a crystal's class), the paired difference with its
standard deviation over the seeds, and the time of an epoch, on one thread, the two samplers in turns. Beside a label
stands what an untrained encoder has. Small batches are taken: there the samplers differ most.
"""

import argparse
import time
from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import pandas as pd
import torch
from measure import describe, in_turns

from spmat_nb.crystals import CrystalSet, load
from spmat_nb.diagnostics import knn_purity
from spmat_nb.embed import embed
from spmat_nb.graphs import build_graphs
from spmat_nb.labels import available_labels, label_classes
from spmat_nb.models import Pretrained, random_encoder
from spmat_nb.pretrain import pretrain
from spmat_nb.sampling import paired_batches, partner_share, shuffled_batches
from spmat_nb.settings import PretrainSettings
from spmat_nb.vocabulary import MISSING

SAMPLERS = ("shuffled", "paired")
SIZES = (32, 64, 128, 256)
LOSSES = ("sup_simclr", "sup_barlow")
COMPARED = ("gap_class", "crossed:gap_class,family", "crossed:gap_class,crystal_system")  # few classes, many, many
MOST_SITES = 20
HELD_OUT = 1000  # crystals, at most, that purity is measured on


def batches(sampler: str, classes: np.ndarray, size: int, epoch: int) -> list[torch.Tensor]:
    """An epoch as pretraining would make it up."""
    if sampler == "paired":
        return paired_batches(classes, size, 0, epoch)
    return shuffled_batches(len(classes), size, 0, epoch)


def met(sampler: str, classes: np.ndarray, size: int, epochs: int = 3) -> float:
    """Share of labelled crystals with a partner in their batch, mean of some epochs."""
    return float(np.mean([partner_share(batches(sampler, classes, size, epoch), classes) for epoch in range(epochs)]))


def partner_lines(crystals: CrystalSet, labels: Iterable[str]) -> Iterator[str]:
    """Per cent that meet a partner, a line for each label."""
    yield f"{'share that meets a partner, shuffled / paired':<46}" + "".join(f"{f'batch {n}':>16}" for n in SIZES)
    for label in labels:
        classes = label_classes(crystals.table, label)
        shares = [[100 * met(sampler, classes, size) for sampler in SAMPLERS] for size in SIZES]
        name = f"  {label} ({len(np.unique(classes[classes != MISSING]))} classes)"
        yield f"{name:<46}" + "".join(f"{f'{one:.1f} / {two:.1f}':>16}" for one, two in shares)


def cost_line(crystals: CrystalSet, label: str, size: int) -> str:
    """Time to make up an epoch of batches."""
    classes = label_classes(crystals.table, label)
    times = in_turns(3, *(partial(batches, sampler, classes, size, 0) for sampler in SAMPLERS))
    shuffled, paired = (1e3 * seconds for seconds in times)
    return f"an epoch of batches for {label}: {shuffled:.1f} ms shuffled, {paired:.1f} ms paired"


class Trial:
    """Pretraining on some crystals and purity on others."""

    def __init__(self, crystals: CrystalSet, held_out: CrystalSet, epochs: int, batch: int) -> None:
        self.crystals, self.held_out, self.epochs, self.batch = crystals, held_out, epochs, batch
        self.graphs, self.held_out_graphs = (build_graphs(part, cache=False) for part in (crystals, held_out))

    def purity(self, model: Pretrained, label: str) -> float:
        """Of the label, among the crystals that were held out."""
        embeddings = embed(self.held_out, model, self.held_out_graphs, device="cpu")
        return knn_purity(embeddings, label_classes(self.held_out.table, label))

    def run(self, loss: str, label: str, sampler: str, seed: int) -> dict[str, object]:
        """One pretraining: purity and the median time of an epoch."""
        settings = PretrainSettings(
            loss=loss,
            label=label,
            sampler=sampler,
            seed=seed,
            epochs=self.epochs,
            batch_size=self.batch,
            validation_share=0.0,
        )
        model = pretrain(self.crystals, settings, graphs=self.graphs, device="cpu", show=False)
        spent = model.history["seconds"].diff().fillna(model.history["seconds"])
        found = {"purity": self.purity(model, label), "seconds": spent.median()}
        return {"loss": loss, "label": label, "sampler": sampler, "seed": seed, **found}


def compare(trial: Trial, labels: Iterable[str], seeds: range) -> pd.DataFrame:
    """All runs, the samplers in turns."""
    rows, start = [], time.perf_counter()
    plan = [(loss, label, seed) for label in labels for loss in LOSSES for seed in seeds]
    for number, (loss, label, seed) in enumerate(plan, start=1):
        rows += [trial.run(loss, label, sampler, seed) for sampler in SAMPLERS]
        one, two = (row["purity"] for row in rows[-2:])
        took = f"{time.perf_counter() - start:.0f} s"
        print(f"  {number}/{len(plan)} {loss} {label} seed {seed}: {one:.3f} / {two:.3f} ({took})", flush=True)
    return pd.DataFrame(rows)


def result_lines(runs: pd.DataFrame, trial: Trial, seeds: range) -> Iterator[str]:
    """Mean, paired difference with its spread, and time of an epoch."""
    columns = ("", "shuffled", "paired", "paired - shuffled", "s an epoch")
    line = "{:<46}{:>16}{:>16}{:>20}{:>16}"
    yield line.format(*columns)
    for label, of_label in runs.groupby("label", sort=False):
        start = [trial.purity(random_encoder(seed=seed), label) for seed in seeds]
        yield f"{label}, untrained {np.mean(start):.3f}"
        for loss, of_loss in of_label.groupby("loss", sort=False):
            purity = of_loss.pivot_table(index="seed", columns="sampler", values="purity")[list(SAMPLERS)]
            change = purity["paired"] - purity["shuffled"]
            times = of_loss.groupby("sampler")["seconds"].min()[list(SAMPLERS)]
            yield line.format(
                f"  {loss}",
                *(f"{mean:.3f} ± {spread:.3f}" for mean, spread in zip(purity.mean(), purity.std(), strict=True)),
                f"{change.mean():+.3f} ± {change.std():.3f}",
                " / ".join(f"{value:.2f}" for value in times),
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="teaching")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--crystals", type=int, default=1000, help="to pretrain on in the second part (default 1000)")
    parser.add_argument("--batch", type=int, default=32, help="of the second part (default 32)")
    parser.add_argument("--labels", nargs="+", default=COMPARED, help="of the second part")
    args = parser.parse_args()
    torch.set_num_threads(1)
    everything = load(args.data, max_sites=MOST_SITES)
    unstable = everything.of_split("pretrain")
    to_pretrain = unstable if len(unstable) else everything.of_split("train")
    print(describe("torch", "numba"))
    print(f"{len(to_pretrain)} crystals of {everything.name} to pretrain on, one thread")
    labels = dict.fromkeys([*available_labels(to_pretrain.table), *args.labels])
    for text in partner_lines(to_pretrain, labels):
        print(text, flush=True)
    print(cost_line(to_pretrain, args.labels[-1], args.batch))
    stable = everything.of_split("val", "test").sample(HELD_OUT, seed=0)
    trial = Trial(to_pretrain.sample(args.crystals, seed=0), stable, args.epochs, args.batch)
    what = f"{len(trial.crystals)} crystals, {args.epochs} epochs, batches of {args.batch}, {args.seeds} seeds"
    print(f"k-NN purity on {len(stable)} held-out crystals after {what}; runs as shuffled / paired:", flush=True)
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    for text in result_lines(compare(trial, args.labels, seeds), trial, seeds):
        print(text)


if __name__ == "__main__":
    main()
