"""What the command line does with a study."""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, SettingsError
from ..files import write_text
from ..settings import study_records
from .cells import pending, record_path, rerun, run_study
from .costs import Costs
from .data import seen_formulas
from .declared import read_study
from .pages import report
from .plan import Cell, Study
from .records import gather, pack, read_packed, restore
from .results import Results

__all__ = ["ACTIONS", "read_study", "restore", "run"]


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
    """Run what has no record, then print what all records say, and leave it as a page beside them."""
    left = run_study(study, folder, args.workers, chosen_cells(study, args.cell))
    records = gather(study, folder)
    if records:
        page = report(Results(study, records))
        write_text(folder / f"{study.name}.md", page)
        print(page)
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


def check(study: Study, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Run cells anew and compare their errors with those of their records.

    Records are those of the folder or, where it has none, those that come with the project.

    Raises:
        InputError: a cell has no record.
    """
    found, shipped = [], shipped_records(study)
    for cell in chosen_cells(study, args.cell):
        path = record_path(folder, cell)
        recorded = json.loads(path.read_text()) if path.is_file() else shipped.get(cell.key)
        if recorded is None:
            raise InputError(f"The cell {cell.title!r} has no record in {folder}, nor among those that come along.")
        start = time.perf_counter()
        again = rerun(cell)
        before, after = (np.array(one["judged"]["error"], dtype=float) for one in (recorded, again))
        found.append(
            {
                "cell": cell.title,
                "recorded_mae": float(np.abs(before).mean()),
                "mae": float(np.abs(after).mean()),
                "equal": bool(np.array_equal(before, after)),
                "machine_differs": differences(recorded["machine"], again["machine"]),
                "seconds": round(time.perf_counter() - start, 1),
            }
        )
    return {"study": study.name, "checked": found}


def shipped_records(study: Study) -> dict[str, dict[str, Any]]:
    """Records that come with the project for a study of this name, by key."""
    path = study_records() / f"{study.name}.jsonl"
    return {one["key"]: one for one in read_packed(path)} if path.is_file() else {}


def differences(recorded: dict[str, Any], here: dict[str, Any]) -> dict[str, str]:
    """What a record says of its machine and is not so here: why numbers may differ."""
    return {name: f"{value}, here {here.get(name)}" for name, value in recorded.items() if value != here.get(name)}


def pack_records(study: Study, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Write all records of the study into one file."""
    records = gather(study, folder)
    return {"study": study.name, "records": len(records), "out": str(pack(records, args.pack))}


ACTIONS: dict[str, Callable[[Study, Path, argparse.Namespace], dict[str, Any]]] = {
    "plan": plan,
    "check": check,
    "pack": pack_records,
}
