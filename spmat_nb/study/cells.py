"""Running the cells of a study: pretrain an encoder once, fine-tune it on every target, write a record a cell."""

import datetime
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from ..crystals import CrystalSet
from ..errors import CheckpointError
from ..files import write_json
from ..finetune import finetune
from ..graphs import build_graphs
from ..models import Pretrained, load_pretrained, random_encoder
from ..pretrain import pretrain
from ..property_models import Finetuned
from ..training import in_one_thread, side_by_side
from .claims import Claim
from .data import graphs_of, parted, seen_formulas, to_pretrain_on
from .machine import machine
from .plan import Cell, Study, Unit, code

ROUNDED = 4  # significant digits of an error in a record
HISTORY = ("loss", "val_mae")
PRETRAIN_HISTORY = ("loss", "val_loss", "effective_rank", "mean_cosine", "knn_purity")


def record_path(folder: str | Path, cell: Cell) -> Path:
    """Where the record of a cell is."""
    return Path(folder) / "cells" / f"{cell.key}.json"


def pending(cells: Sequence[Cell], folder: str | Path) -> list[Cell]:
    """Those that have no record."""
    return [cell for cell in cells if not record_path(folder, cell).is_file()]


def run_study(study: Study, folder: str | Path, workers: int = 1, cells: Sequence[Cell] | None = None) -> int:
    """Run all cells that have no record; finished ones are skipped, and others may work in the same folder.

    Args:
        study: what to run.
        folder: for records, claims and encoders.
        workers: how many encoders at a time; joblib hands them out, so `joblib.parallel_config("dask")` around this
            call sends them to a cluster that shares the folder.
        cells: only these.

    Returns:
        How many of the cells still have no record, because others work on them.
    """
    wanted = study.cells() if cells is None else list(cells)
    units = study.units(pending(wanted, folder))
    calls = [partial(run_unit, unit, Path(folder)) for unit in units]
    side_by_side(calls, f"study {study.name}, encoders", workers)
    return len(pending(wanted, folder))


def run_unit(unit: Unit, folder: Path) -> int:
    """Run the cells of one encoder unless another process has claimed it; returns how many were run."""
    claim = Claim(folder / "claims" / unit.key)
    if not claim.take():
        return 0
    try:
        missing = pending(unit.cells, folder)  # another process may have run them meanwhile
        encoder = start_of(missing[0], folder, claim) if missing else None
        for cell in missing:
            write_record(folder, cell, run_cell(cell, encoder, claim))
        return len(missing)
    finally:
        claim.give_back()


def start_of(cell: Cell, folder: Path, claim: Claim | None = None) -> "Pretrained | None":
    """The encoder that a cell starts from, None for scratch; a pretrained one is kept beside the records."""
    arm = cell.arm
    if arm.start == "scratch":
        return None
    if arm.start == "random":
        return random_encoder(arm.encoder, cell.seed)
    if arm.loads:
        return load_pretrained(arm.start)
    own = folder / "encoders" / cell.encoder_key
    try:
        return load_pretrained(own)
    except CheckpointError:  # not there yet, or damaged: made (again)
        crystals = to_pretrain_on(cell)
        callbacks = [lambda row: claim.renew()] if claim else []
        graphs = build_graphs(crystals, arm.encoder.graph, cache=arm.pretrain_rows is None)
        kept: dict[str, Any] = {"callbacks": callbacks, "folder": own, "resume": True}
        model = pretrain(crystals, cell.pretrain_settings(), arm.encoder, graphs, show=False, **kept)
        model.save_pretrained(own)
        return model


def run_cell(cell: Cell, encoder: "Pretrained | None", claim: Claim | None = None) -> dict[str, Any]:
    """Fine-tune once and say everything about it, as plain values."""
    crystals, study, arm = parted(cell), cell.study, cell.arm
    sizes = arm.encoder if encoder is None else encoder.encoder_settings
    seen = seen_formulas(study)
    tuned = finetune(
        crystals,
        "scratch" if encoder is None else encoder,
        cell.finetune_settings(),
        arm.encoder,
        graphs=graphs_of(study, crystals, sizes.graph),
        show=False,
        pretraining_formulas=seen,
        callbacks=[lambda row: claim.renew()] if claim else [],
        parts=study.parts,
    )
    return record(cell, crystals, tuned, encoder, seen)


def rerun(cell: Cell) -> dict[str, Any]:
    """A new record of a cell, with a new encoder, in one thread; nothing is kept or looked up."""
    with TemporaryDirectory() as folder:
        return in_one_thread(lambda: run_cell(cell, start_of(cell, Path(folder))))


def record(
    cell: Cell, crystals: CrystalSet, tuned: Finetuned, encoder: "Pretrained | None", seen: pd.Series
) -> dict[str, Any]:
    """What a cell leaves behind."""
    arm, table = cell.arm, tuned.predictions
    judged = table[table["split"] == cell.study.judge]
    formulas = crystals.table["formula"][judged.index]
    history = encoder.history if arm.pretrains and encoder is not None else pd.DataFrame()
    return {
        "study": cell.study.name,
        "arm": arm.name,
        "target": cell.target,
        "seed": cell.seed,
        "fold": cell.fold,
        "key": cell.key,
        "encoder_key": cell.encoder_key,
        "settings": {
            "start": arm.start,
            "pretrain": asdict(cell.pretrain_settings()) if arm.pretrains else None,
            "finetune": asdict(cell.finetune_settings()),
            "encoder": asdict(arm.encoder),
            "pretrain_on": arm.pretrain_on,
            "labelled": arm.labelled,
            "max_sites": cell.study.max_sites,
            "judge": cell.study.judge,
        },
        "metrics": tuned.metrics,
        "pretrained_on": encoder.data if encoder is not None else {},
        "judged": {
            "ids": list(judged.index),
            "groups": [code(formula) for formula in formulas],  # equal for polymorphs; says nothing of private data
            "seen": formulas.isin(seen).astype(int).tolist(),
            "error": rounded(judged["predicted"] - judged["true"]),
        },
        "history": {name: rounded(tuned.history[name]) for name in HISTORY},
        "pretrain_history": {name: rounded(history[name]) for name in PRETRAIN_HISTORY if name in history},
        "pretrain_seconds": round(float(history["seconds"].iloc[-1]), 1) if len(history) else 0.0,
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
    }


def rounded(values: pd.Series) -> list[float | None]:
    """Numbers with a few significant digits; None where one is not finite."""
    return [float(f"{v:.{ROUNDED}g}") if pd.notna(v) else None for v in values.astype(float)]


def write_record(folder: str | Path, cell: Cell, values: dict[str, Any]) -> None:
    """Write the record of a cell, whole or not at all."""
    path = record_path(folder, cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, values)
