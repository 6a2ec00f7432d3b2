#!/usr/bin/env python3
"""Carry pretrained encoders over to monolayers, cubic perovskites and molecules, beside controls.

    SPMAT_DATA_DIR=... python tools/run_transfer.py [TASK ...] [--seeds 5] [--records data/results/transfer.jsonl]

One record a cell (task, arm, seed), a line of JSON each; cells that have one are skipped, so an ended run goes on where
it was. A seed draws the split by formula, the head and the order of the batches, the same in every arm; from scratch it
draws the encoder too. The settings are those of every lesson and the same in every arm: nothing was tuned on any of
these sets.
"""

import argparse
import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import spmat_nb
from spmat_nb.crystals import CrystalSet, load
from spmat_nb.files import write_text
from spmat_nb.finetune import finetune
from spmat_nb.graphs import GraphSet, build_graphs
from spmat_nb.models import Pretrained, load_pretrained, random_encoder
from spmat_nb.settings import PACKAGE_ROOT, FinetuneSettings, real_data
from spmat_nb.tables import split_by_formula

EPOCHS = 100
PRETRAINED = "mp33k-barlow"  # what it saw, all pretrained arms saw; the others are also judged without those formulas
RECORDS = PACKAGE_ROOT / "data" / "results" / "transfer.jsonl"
KEY = ("task", "seed", "arm")


@dataclass(frozen=True)
class Transfer:
    """A data set to carry encoders to.

    Attributes:
        data: name of the file.
        target: column of the target.
        title: of the target, for figures.
        unit: of the target.
        most: crystals with a target that are drawn (seed 0) at most, to keep the whole short.
    """

    data: str
    target: str
    title: str
    unit: str
    most: int | None = None


TASKS = {
    "exfoliation": Transfer("transfer_2d", "exfoliation_energy_per_atom", "Exfoliation energy, monolayers", "eV/atom"),
    "gap": Transfer("transfer_2d", "band_gap", "Band gap, monolayers", "eV"),
    "perovskites": Transfer(
        "transfer_perovskites", "heat_of_formation", "Heat of formation, cubic perovskites", "eV/cell", 1500
    ),
    "molecules": Transfer(
        "transfer_molecules", "atomization_energy_ev_per_atom", "Atomisation energy, molecules", "eV/atom", 1000
    ),
}


@dataclass(frozen=True)
class Arm:
    """Where an encoder starts and whether it is trained further."""

    start: Callable[[int], Pretrained | str]
    train: str


def shipped(name: str) -> Callable[[int], Pretrained | str]:
    """The same encoder for every seed."""
    return lambda seed: load_pretrained(name)


ARMS = {
    "from scratch": Arm(lambda seed: "scratch", "all"),
    "mp33k-barlow": Arm(shipped("mp33k-barlow"), "all"),
    "mp33k-sup_barlow-gap_class": Arm(shipped("mp33k-sup_barlow-gap_class"), "all"),
    "random, frozen": Arm(lambda seed: random_encoder(seed=seed), "head"),
    "mp33k-barlow, frozen": Arm(shipped("mp33k-barlow"), "head"),
    "mp33k-sup_barlow-gap_class, frozen": Arm(shipped("mp33k-sup_barlow-gap_class"), "head"),
}


def crystals_of(task: Transfer) -> CrystalSet:
    """The crystals with a target, at most so many, with formulas reduced as those that pretraining saw."""
    folder = real_data()
    if folder is None:
        raise SystemExit(f"{task.data} is real data: set SPMAT_DATA_DIR to the folder that holds {task.data}.parquet.")
    chosen = load(folder / f"{task.data}.parquet").with_target(task.target, "drop").sample(task.most, seed=0)
    return replace(chosen, table=chosen.table.assign(formula=[cell.formula() for cell in chosen.cells]))


def run_cell(name: str, arm: str, seed: int, crystals: CrystalSet, graphs: GraphSet) -> dict:
    """Fine-tune once and say everything about it."""
    task, how = TASKS[name], ARMS[arm]
    split = split_by_formula(crystals.table["formula"], seed=seed)
    parted = replace(crystals, table=crystals.table.assign(split=split))
    settings = FinetuneSettings(target=task.target, epochs=EPOCHS, seed=seed, train=how.train)
    seen = crystals.table["formula"][load_pretrained(PRETRAINED).has_seen(crystals.table["formula"])]
    options = {"graphs": graphs, "device": "cpu", "show": False, "pretraining_formulas": seen}
    metrics = finetune(parted, how.start(seed), settings, **options).metrics
    head = {"task": name, "arm": arm, "title": task.title, "split": "by formula, drawn with the seed"}
    tail = {"settings": asdict(settings), "date": date.today().isoformat(), "versions": versions()}
    return head | metrics | {"unit": task.unit} | tail


def versions() -> dict[str, str]:
    """Of what decides the numbers."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "spmat_nb": spmat_nb.__version__,
    }


def read_records(path: Path) -> list[dict]:
    """What was recorded so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def add_record(path: Path, record: dict) -> None:
    """Add a line; the file is replaced as a whole, so that a kill never leaves half a record."""
    records = [*read_records(path), record]
    write_text(path, "".join(json.dumps(one, allow_nan=False) + "\n" for one in records))


def run_task(name: str, seeds: int, path: Path) -> None:
    """All cells of a task that have no record yet, all arms of a seed before the next seed."""
    done = {tuple(record[key] for key in KEY) for record in read_records(path)}
    missing = [(arm, seed) for seed in range(seeds) for arm in ARMS if (name, seed, arm) not in done]
    if not missing:
        return
    crystals = crystals_of(TASKS[name])
    graphs = build_graphs(crystals)
    for arm, seed in missing:
        record = run_cell(name, arm, seed, crystals, graphs)
        add_record(path, record)
        print(f"{name} | {arm} | seed {seed}: {record['test_mae']:.4f} in {record['seconds']} s", flush=True)


def summary(path: Path) -> pd.DataFrame:
    """Test errors of each task and arm over the seeds, and their change against scratch at the same seed."""
    errors = pd.DataFrame(read_records(path)).set_index(["task", "arm", "seed"])["test_mae"].sort_index()
    scratch = errors.xs("from scratch", level="arm").reindex(errors.index.droplevel("arm"))
    change = pd.Series(errors.to_numpy() - scratch.to_numpy(), errors.index)
    by = ["task", "arm"]
    table = errors.groupby(level=by).agg(["mean", "std", "count"])
    return table.join(change.groupby(level=by).agg(["mean", "std", "min", "max"]).add_prefix("change "))


def main() -> None:
    """Run what has no record, then print the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", help=f"of {', '.join(TASKS)}; all if none is given")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--records", type=Path, default=RECORDS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.tasks or TASKS:
        if name not in TASKS:
            parser.error(f"unknown task {name!r}; known: {', '.join(TASKS)}")
        run_task(name, args.seeds, args.records)
    print(summary(args.records).round(4).to_string())


if __name__ == "__main__":
    main()
