"""The crystals of a study: what is fine-tuned and judged, what is pretrained on, and what the two share."""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..crystals import SETS, CrystalSet, load
from ..ensembles import by_formula, fold_split
from ..errors import InputError, SettingsError
from ..graphs import GraphSet, build_graphs
from ..leaks import shared_formulas
from ..models import load_pretrained
from ..property_models import PARTS
from ..settings import GraphSettings, real_data
from .plan import Cell, Folds, Study

PRETRAIN = "pretrain"


def source(name: str) -> str | Path:
    """What `load` takes for a data set of a study: a set that comes along, a file, or a file of the real data.

    Raises:
        SettingsError: there is none.
    """
    if name in SETS or Path(name).exists():
        return name
    folder = real_data()
    if folder is None:
        raise SettingsError(f"{name!r} is real data: set SPMAT_DATA_DIR to the folder that holds {name}.parquet.")
    if not (folder / f"{name}.parquet").is_file():
        raise SettingsError(f"No data set {name!r}: the folder of SPMAT_DATA_DIR has no {name}.parquet.")
    return folder / f"{name}.parquet"


@lru_cache(maxsize=4)
def crystals_of(name: str, max_sites: int | None) -> CrystalSet:
    """A data set; formulas are written in one way, so that sets can be compared."""
    crystals = load(source(name), max_sites=max_sites)
    return replace(crystals, table=crystals.table.assign(formula=[cell.formula() for cell in crystals.cells]))


@lru_cache(maxsize=4)
def evaluated(study: Study) -> CrystalSet:
    """Everything that is fine-tuned, chosen by or tested on; with folds all crystals but those of split `pretrain`."""
    return crystals_of(study.data, study.max_sites).of_split(*PARTS)


@lru_cache(maxsize=2)
def graphs_of_evaluated(study: Study, settings: GraphSettings) -> GraphSet:
    """Graphs of all evaluated crystals."""
    return build_graphs(evaluated(study), settings)


def graphs_of(study: Study, crystals: CrystalSet, settings: GraphSettings) -> GraphSet:
    """Graphs of some of the evaluated crystals."""
    rows = evaluated(study).table.index.get_indexer(crystals.table.index)
    return graphs_of_evaluated(study, settings).select(torch.from_numpy(rows), crystals.fingerprint())


def parted(cell: Cell) -> CrystalSet:
    """The evaluated crystals with the split of a cell: its fold, and the labelled rows of its arm.

    Where the study is not judged by its test rows they are left out, so that nobody can look at them.
    """
    study, crystals = cell.study, evaluated(cell.study)
    official = study.folds is not None and not study.folds.by_formula
    crystals = crystals.with_target(cell.target, "refuse" if official else "drop")
    split = crystals.table["split"].to_numpy(dtype=object)
    if study.folds is not None and cell.fold is not None:
        formulas = crystals.table["formula"].to_numpy()
        test = fold_rows(formulas, study.folds)[cell.fold]
        split = fold_split(formulas, test, study.folds.val_share, cell.seed)
    split = with_labelled(split, cell.arm.labelled, cell.seed)
    return replace(crystals, table=crystals.table.assign(split=split)).of_split(*study.parts)


def with_labelled(split: np.ndarray, count: int | None, seed: int) -> np.ndarray:
    """The split with at most `count` training rows; the others have none. Smaller draws are parts of larger ones."""
    rows = np.flatnonzero(split == "train")
    if count is None or count >= len(rows):
        return split
    if count < 2:
        raise SettingsError(f"labelled must be at least 2, got {count}.")
    left_out = np.random.default_rng(seed).permutation(rows)[count:]
    split = split.copy()
    split[left_out] = ""
    return split


def fold_rows(formulas: np.ndarray, folds: Folds) -> list[np.ndarray]:
    """Positions of the test rows of each fold."""
    from sklearn.model_selection import KFold

    if folds.by_formula:
        return by_formula(formulas, folds.count, seed=0)
    parts = KFold(folds.count, shuffle=True, random_state=folds.random_state).split(formulas)
    return [test for _, test in parts]


def to_pretrain_on(cell: Cell) -> CrystalSet:
    """The crystals that the encoder of a cell is pretrained on.

    Raises:
        InputError: none is left.
    """
    study, names = cell.study, cell.arm.sets
    if names:
        crystals = join([rows_to_pretrain(crystals_of(name, study.max_sites)) for name in names])
    else:
        crystals = crystals_of(study.data, study.max_sites).of_split(PRETRAIN)
    if study.exclude_formulas:
        crystals = crystals.select(~crystals.table["formula"].isin(evaluated(study).table["formula"]).to_numpy())
    crystals = crystals.sample(cell.arm.pretrain_rows, cell.seed)
    if len(crystals) == 0:
        raise InputError(f"{study.data} has no crystal to pretrain {cell.arm.name!r} on; name data in pretrain_on.")
    return crystals


def rows_to_pretrain(crystals: CrystalSet) -> CrystalSet:
    """Split `pretrain` of data that has one, else everything."""
    has_part = (crystals.table["split"] == PRETRAIN).any()
    return crystals.of_split(PRETRAIN) if has_part else crystals


def join(sets: Iterable[CrystalSet]) -> CrystalSet:
    """Several sets as one, of the columns that all have; an id that comes again is left out.

    Raises:
        InputError: no set.
    """
    parts = list(sets)
    if not parts:
        raise InputError("No set to join.")
    if len(parts) == 1:
        return parts[0]
    table = pd.concat([part.table for part in parts], join="inner")
    whole = CrystalSet(
        table,
        tuple(cell for part in parts for cell in part.cells),
        pd.concat([part.report for part in parts], ignore_index=True),
        " + ".join(part.name for part in parts),
        pd.concat([part.warned for part in parts], ignore_index=True),
    )
    return whole.select(~table.index.duplicated())


@lru_cache(maxsize=4)
def seen_formulas(study: Study) -> pd.Series:
    """Formulas that arms may pretrain on and are judged by: test crystals with one of them are told apart."""
    own = crystals_of(study.data, study.max_sites).of_split(PRETRAIN)
    others = [crystals_of(name, study.max_sites) for name in study.seen_sets if name != study.data]
    sets = [part for part in (own, *map(rows_to_pretrain, others)) if len(part)] if study.seen_sets else []
    shared = list(shared_formulas(join(sets), evaluated(study)).index) if sets else []
    formulas = evaluated(study).table["formula"].drop_duplicates()
    for name in study.loaded:
        shared += list(formulas[load_pretrained(name).has_seen(formulas)])
    return pd.Series(shared, dtype=object).drop_duplicates()
