"""Records of a study: gathered from its folder, packed into one file to keep, read back as errors to compare."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import InputError
from ..files import write_text
from .cells import pending, record_path, write_record
from .plan import JUDGES, Study, code

JUDGED = ("ids", "groups", "seen")  # the same in every arm, so a packed file holds them once


@dataclass(frozen=True)
class Errors:
    """Signed errors of the arms of a study on one target.

    Attributes:
        target: predicted.
        unit: of the errors.
        judged: name of the rows that they were made on, test or validation.
        arms: name -> [seeds, crystals] predicted minus true.
        seeds: name -> the seeds of its rows.
        groups: [crystals] equal for crystals of one formula.
        seen: [crystals] whether the formula is among the unstable crystals that arms may pretrain on.
    """

    target: str
    unit: str
    judged: str
    arms: dict[str, np.ndarray]
    seeds: dict[str, list[int]]
    groups: np.ndarray
    seen: np.ndarray

    def can_compare(self, arm: str, reference: str) -> bool:
        """Whether two arms have a seed in common."""
        return bool(set(self.seeds.get(arm, ())) & set(self.seeds.get(reference, ())))

    def pair(self, arm: str, reference: str) -> tuple[np.ndarray, np.ndarray]:
        """Absolute errors of two arms at the seeds that both have, [seeds, crystals] each."""
        shared = [seed for seed in self.seeds[arm] if seed in self.seeds[reference]]
        rows = [[self.seeds[name].index(seed) for seed in shared] for name in (arm, reference)]
        return np.abs(self.arms[arm][rows[0]]), np.abs(self.arms[reference][rows[1]])


def gather(study: Study, folder: str | Path) -> list[dict[str, Any]]:
    """The records of the cells of a study that are done, in the order of the cells, under the study's own names.

    Another study may have run a cell, under another name.
    """
    done = [(cell, path) for cell in study.cells() if (path := record_path(folder, cell)).is_file()]
    return [json.loads(path.read_text()) | {"study": study.name, "arm": cell.arm.name} for cell, path in done]


def pack(records: Iterable[dict[str, Any]], path: str | Path) -> Path:
    """Write records into one file of JSON lines: what all share in `splits`, then one record a line.

    Raises:
        InputError: no record, or records of different data.
    """
    records = list(records)
    check_same_data(records)
    splits: dict[str, dict[str, Any]] = {}
    lines = []
    for one in records:
        shared = {name: one["judged"][name] for name in JUDGED}
        key = code(shared)
        splits[key] = shared
        lines.append(one | {"judged": {"split": key, "error": one["judged"]["error"]}})
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = [json.dumps(line, separators=(",", ":"), allow_nan=False) for line in ({"splits": splits}, *lines)]
    write_text(path, "\n".join(text) + "\n")
    return path


def read_packed(path: str | Path) -> list[dict[str, Any]]:
    """Records as `pack` was given them.

    Raises:
        InputError: no such file.
    """
    if not Path(path).is_file():
        raise InputError(f"No records in {str(path)!r}. Run the study, then pack its records.")
    first, *lines = Path(path).read_text().splitlines()
    splits = json.loads(first)["splits"]
    records = [json.loads(line) for line in lines]
    for one in records:
        one["judged"] |= splits[one["judged"].pop("split")]
    return records


def restore(study: Study, folder: str | Path, path: str | Path) -> int:
    """Put packed records back into the folder of a study, where they are missing; returns how many are of its cells.

    Raises:
        InputError: no such file.
    """
    packed = {one["key"]: one for one in read_packed(path)}
    cells = [cell for cell in study.cells() if cell.key in packed]
    for cell in pending(cells, folder):
        write_record(folder, cell, packed[cell.key])
    return len(cells)


def check_same_data(records: Sequence[dict[str, Any]]) -> None:
    """Raise when there is no record, or when some are of other crystals than the first."""
    if not records:
        raise InputError("There is no record yet: run the study first.")
    prints: dict[tuple[Any, ...], str] = {}
    for one in records:
        data = one["metrics"]["data"]
        labelled = one["settings"]["labelled"]  # drawn with the seed, from the training rows of the fold
        own = (one["target"], labelled, *((one["seed"], one["fold"]) if labelled else ()))
        if prints.setdefault(own, data["fingerprint"]) != data["fingerprint"]:
            raise InputError(f"The record {one['key']!r} is of other crystals than those before: run the study anew.")


def frame(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """One row a record: arm, target, seed, fold, mae (of the judged rows), val_mae, seconds and more."""
    return pd.DataFrame([row_of(one) for one in records])


def row_of(record: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a record."""
    metrics, error = record["metrics"], np.array(record["judged"]["error"], dtype=float)
    names = ("study", "arm", "target", "seed", "fold")
    return {name: record[name] for name in names} | {
        "unit": metrics["unit"],
        "mae": float(np.abs(error).mean()),
        "val_mae": metrics["val_mae"],
        "median_mae": np.nan if metrics["median_test_mae"] is None else metrics["median_test_mae"],  # of test rows
        "train": metrics["n_train"],
        "judged": len(error),
        "best_epoch": metrics.get("best_epoch"),
        "finetune_seconds": metrics["seconds"],
        "pretrain_seconds": record["pretrain_seconds"],
        "encoder_key": record["encoder_key"],
    }


def whole_seeds(records: Iterable[dict[str, Any]]) -> dict[tuple[str, str, int], list[dict[str, Any]]]:
    """Records by target, arm and seed, in the order of the folds; without seeds that lack a fold which others have."""
    groups: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    folds: dict[str, set[int | None]] = {}
    for one in records:
        groups.setdefault((one["target"], one["arm"], one["seed"]), []).append(one)
        folds.setdefault(one["target"], set()).add(one["fold"])
    whole = {key: group for key, group in groups.items() if len(group) == len(folds[key[0]])}
    return {key: sorted(group, key=lambda one: one["fold"] or 0) for key, group in whole.items()}


def errors_of(records: Iterable[dict[str, Any]], target: str) -> Errors:
    """The errors of all arms on a target; the folds of a seed are put together, and a seed without all is left out.

    Raises:
        InputError: no record of the target.
    """
    own = [one for one in records if one["target"] == target]
    if not own:
        raise InputError(f"There is no record of the target {target!r}.")
    whole = {key[1:]: group for key, group in whole_seeds(own).items()}
    if not whole:
        raise InputError(f"No seed of any arm has all {len({one['fold'] for one in own})} folds of {target!r} yet.")
    arms: dict[str, list[list[float]]] = {}
    seeds: dict[str, list[int]] = {}
    for (arm, seed), group in whole.items():
        arms.setdefault(arm, []).append([value for one in group for value in one["judged"]["error"]])
        seeds.setdefault(arm, []).append(seed)
    first = next(iter(whole.values()))
    return Errors(
        target,
        first[0]["metrics"]["unit"],
        JUDGES[first[0]["settings"]["judge"]],
        {arm: np.array(rows, dtype=float) for arm, rows in arms.items()},
        seeds,
        np.array([name for one in first for name in one["judged"]["groups"]]),
        np.array([flag for one in first for flag in one["judged"]["seen"]], dtype=bool),
    )
