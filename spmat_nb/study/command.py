"""What the command line does with a study."""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from ..crystals import CrystalSet
from ..errors import InputError, SettingsError
from ..finetune import finetune
from ..pretrain import pretrain
from ..training import in_one_thread
from .cells import pending, record_path, run_cell, run_study, start_of
from .data import graphs_of, parted, seen_formulas, to_pretrain_on
from .plan import Cell, Study, read_study
from .records import gather, pack, restore
from .tables import families, levels, rank_table

__all__ = ["ACTIONS", "read_study", "restore", "run"]

SAMPLE = 256  # crystals on which the cost of an epoch is measured
SHOWN = ["target", "arm", "mae", "std", "change", "low", "high", "p_holm", "detectable", "verdict"]


def chosen_cells(study: Study, titles: Sequence[str] | None) -> list[Cell]:
    """The cells of these titles, or all.

    Raises:
        SettingsError: no such cell.
    """
    cells = {cell.title: cell for cell in study.cells()}
    if titles is None:
        return list(cells.values())
    for title in titles:
        if title not in cells:
            raise SettingsError(f"Study {study.name!r} has no cell {title!r}. The first one is {next(iter(cells))!r}.")
    return [cells[title] for title in titles]


def run(study: Study, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Run what has no record, then print the tables."""
    left = run_study(study, folder, args.workers, chosen_cells(study, args.cell))
    records = gather(study, folder)
    if records:
        print(levels(records).round(4).to_string(), "\n")
    for name, table in families(records, study.references).items() if records else ():
        print(f"Change against {name!r} in per cent:\n{table[SHOWN].round(3).to_string(index=False)}\n")
    if len(records) > 1:
        print(f"Ranks over targets and seeds:\n{rank_table(records).round(2).to_string()}\n")
    return {"study": study.name, "records": len(records), "not_done": left, "out": str(folder)}


def plan(study: Study, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """What is left and how long it would take, from the cost of one epoch measured here; and what pretraining leaks."""
    cells = pending(chosen_cells(study, args.cell), folder)
    units = study.units(cells)
    costs = Costs()
    pretraining = sum(costs.of_pretraining(unit.cells[0]) for unit in units)
    tuning = sum(costs.of_finetuning(cell) for cell in cells)
    return {
        "study": study.name,
        "cells": len(study.cells()),
        "cells_left": len(cells),
        "encoders_left": len(units),
        "hours_of_one_core_for_pretraining": round(pretraining / 3600, 2),
        "hours_of_one_core_for_finetuning": round(tuning / 3600, 2),
        "shared_formulas": len(seen_formulas(study)),
        "seconds_a_cell": round((pretraining + tuning) / max(1, len(cells)), 3),
    }


class Costs:
    """Seconds that runs would take here: of an epoch of a few crystals, measured once for each kind of run."""

    def __init__(self) -> None:
        self._measured: dict[tuple[Any, ...], float] = {}

    def of_pretraining(self, cell: Cell) -> float:
        """Seconds to pretrain the encoder of a cell."""
        arm = cell.arm
        if not arm.pretrains:
            return 0.0
        crystals = to_pretrain_on(cell)
        kind = ("pretrain", arm.encoder, arm.pretrain.loss, arm.pretrain_on)
        rate = self._once(kind, lambda: self._pretraining_rate(cell, crystals))
        return rate * len(crystals) * arm.pretrain.epochs

    def of_finetuning(self, cell: Cell) -> float:
        """Seconds to fine-tune and test."""
        crystals, settings = parted(cell), cell.arm.finetune
        rate = self._once(("finetune", cell.arm.encoder, settings.train), lambda: self._finetuning_rate(cell, crystals))
        return rate * len(crystals) * settings.epochs

    def _once(self, kind: tuple[Any, ...], measure: Callable[[], float]) -> float:
        if kind not in self._measured:
            self._measured[kind] = in_one_thread(measure)
        return self._measured[kind]

    def _pretraining_rate(self, cell: Cell, crystals: CrystalSet) -> float:
        few, settings = crystals.sample(SAMPLE, 0), replace(cell.pretrain_settings(), epochs=2)
        return _second_epoch(pretrain(few, settings, cell.arm.encoder, show=False).history, few)

    def _finetuning_rate(self, cell: Cell, crystals: CrystalSet) -> float:
        few, settings = crystals.sample(SAMPLE, 0), replace(cell.finetune_settings(), epochs=2)
        graphs = graphs_of(cell.study, few, cell.arm.encoder.graph)
        tuned = finetune(few, "scratch", settings, cell.arm.encoder, graphs, show=False, parts=("train",))
        return _second_epoch(tuned.history, few)


def _second_epoch(history: pd.DataFrame, crystals: CrystalSet) -> float:
    """Seconds of the second epoch for one crystal; the first one compiles."""
    return float(np.diff(history["seconds"])[0]) / len(crystals)


def check(study: Study, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Run cells anew and compare their errors with those of their records.

    Raises:
        InputError: a cell has no record.
    """
    found = []
    for cell in chosen_cells(study, args.cell):
        path = record_path(folder, cell)
        if not path.is_file():
            raise InputError(f"The cell {cell.title!r} has no record in {folder}.")
        before = np.array(json.loads(path.read_text())["judged"]["error"], dtype=float)
        start = time.perf_counter()
        again = in_one_thread(partial(repeat, cell, folder))
        after = np.array(again["judged"]["error"], dtype=float)
        found.append(
            {
                "cell": cell.title,
                "recorded_mae": float(np.abs(before).mean()),
                "mae": float(np.abs(after).mean()),
                "equal": bool(np.array_equal(before, after)),
                "seconds": round(time.perf_counter() - start, 1),
            }
        )
    return {"study": study.name, "checked": found}


def repeat(cell: Cell, folder: Path) -> dict[str, Any]:
    """A new record of a cell, with a new encoder."""
    with TemporaryDirectory(dir=folder) as own:
        return run_cell(cell, start_of(cell, Path(own)))


def pack_records(study: Study, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Write all records of the study into one file."""
    records = gather(study, folder)
    return {"study": study.name, "records": len(records), "out": str(pack(records, args.pack))}


ACTIONS: dict[str, Callable[[Study, Path, argparse.Namespace], dict[str, Any]]] = {
    "plan": plan,
    "check": check,
    "pack": pack_records,
}
