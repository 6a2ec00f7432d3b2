"""How long the cells of a study would take here, from an epoch of a few crystals."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ..crystals import CrystalSet
from ..finetune import finetune
from ..pretrain import pretrain
from ..training import in_one_thread
from .data import graphs_of, parted, to_pretrain_on
from .plan import Cell

SAMPLE = 256  # crystals on which the cost of an epoch is measured


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
