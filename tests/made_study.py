"""A study with made errors, so that what the tables must say is known: `good` is 20 % better, `same` is not."""

import numpy as np

from spmat_nb.study.declared import make_study
from spmat_nb.study.results import Results

CRYSTALS = 200
PLAN = {
    "name": "made",
    "question": "Is it found?",
    "data": "teaching",
    "targets": ["density", "band_gap"],
    "seeds": 4,
    "references": ["from scratch"],
    "contrasts": [{"arm": "{kind}", "against": "same", "kind": ["good", "from scratch"]}],
    "arms": [
        {"name": "from scratch", "start": "scratch"},
        {"name": "good", "label": "gap_class"},
        {"name": "same", "loss": "barlow"},
    ],
}
FACTORS = {"from scratch": 1.0, "good": 0.8, "same": 1.0}
MACHINE = {"processor": "a processor", "device": "cpu", "threads": 1, "torch": "2.0"}


def made_record(cell, rng):
    """As `cells.record` writes it, with errors of the arm's size and those shared by all arms of a seed."""
    hard = np.random.default_rng([cell.seed, len(cell.target)]).exponential(size=CRYSTALS)
    error = FACTORS[cell.arm.name] * hard * (1 + 0.02 * rng.normal(size=CRYSTALS)) * rng.choice([-1, 1], CRYSTALS)
    numbers = [f"id-{i}" for i in range(CRYSTALS)]
    related = cell.arm.name == "good" and cell.target == "band_gap"
    return {
        "study": "made",
        "arm": cell.arm.name,
        "target": cell.target,
        "seed": cell.seed,
        "fold": cell.fold,
        "key": cell.key,
        "encoder_key": cell.encoder_key,
        "settings": {
            "pretrain": {"epochs": 15} if cell.arm.pretrains else None,
            "finetune": {"epochs": 40, "batch_size": 32},
            "labelled": None,
            "judge": cell.study.judge,
        },
        "metrics": {
            "unit": "eV" if cell.target == "band_gap" else "g/cm³",
            "data": {"fingerprint": "one"},
            "n_train": 500,
            "val_mae": 1.0,
            "median_test_mae": 3.0 if cell.study.judge == "test" else None,
            "seconds": 10.0,
            "label_is_function_of_target": related,
        },
        "judged": {
            "ids": numbers,
            "groups": [f"g{i // 2}" for i in range(CRYSTALS)],
            "seen": [int(i < 60) for i in range(CRYSTALS)],
            "error": [float(f"{value:.4g}") for value in error],
        },
        "pretrain_seconds": 5.0,
        "machine": MACHINE,
        "date": f"2026-11-0{1 + cell.seed}",
    }


def made_results(**changes):
    """The study and its records."""
    study, rng = make_study({**PLAN, **changes}), np.random.default_rng(0)
    return Results(study, [made_record(cell, rng) for cell in study.cells()])
