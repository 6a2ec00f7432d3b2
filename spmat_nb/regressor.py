"""scikit-learn's habit at the surface: `PropertyRegressor().fit(structures, y).predict(structures)`."""

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from .crystals import CrystalSet, by_position
from .ensembles import Ensemble, finetune_ensemble, fold_split
from .errors import InputError, SettingsError
from .finetune import finetune
from .models import Pretrained
from .settings import EncoderSettings, FinetuneSettings

TARGET = "y"


class PropertyRegressor(RegressorMixin, BaseEstimator):
    """Predict numbers of crystals with an encoder and a head.

    Args:
        init: `"scratch"`, or the folder or name of a pretrained encoder, or a `Pretrained`.
        encoder: a key of `ENCODERS`, from scratch.
        train: `all`, `head` or `linear`, as in `FinetuneSettings`.
        epochs: passes over the training rows.
        batch_size: crystals a step.
        head_rate: learning rate of the head.
        encoder_rate: learning rate of the encoder.
        members: models with different seeds; two or more give error bars.
        average: mean of the weights of so many of the best epochs.
        validation_fraction: of the crystals, by formula, to choose the epoch by.
        seed: of everything drawn.
        workers: members at a time.
        device: where to compute; chosen if None.
        show: report progress.

    Attributes:
        ensemble_: the trained models (after `fit`).
        refused_: structures that could not be used in `fit`: source, row, reason.
    """

    def __init__(
        self,
        init: "str | Path | Pretrained" = "scratch",
        encoder: str = "cgcnn",
        train: str = "all",
        epochs: int = 200,
        batch_size: int = 128,
        head_rate: float = 1e-3,
        encoder_rate: float = 1e-3,
        members: int = 1,
        average: int = 1,
        validation_fraction: float = 0.1,
        seed: int = 0,
        workers: int = 1,
        device: str | None = None,
        show: bool = False,
    ) -> None:
        self.init = init
        self.encoder = encoder
        self.train = train
        self.epochs = epochs
        self.batch_size = batch_size
        self.head_rate = head_rate
        self.encoder_rate = encoder_rate
        self.members = members
        self.average = average
        self.validation_fraction = validation_fraction
        self.seed = seed
        self.workers = workers
        self.device = device
        self.show = show

    def fit(self, structures: Sequence[Any], y: Any) -> "PropertyRegressor":
        """Train on structures and their values.

        Args:
            structures: pymatgen `Structure`, ASE `Atoms` or paths of structure files. Those that cannot be used are
                left out with a warning and listed in `refused_`.
            y: one number each, [n], or T of them, [n, T].

        Raises:
            InputError: another number of values than structures, a value that is not finite, or nothing usable.
        """
        values = np.asarray(y, dtype=np.float64)
        table = values.reshape(len(values), -1)  # [n] to [n, 1]
        _check_values(table, len(structures))
        crystals, self.refused_ = _load(structures)
        names = [TARGET] if values.ndim == 1 else [f"{TARGET}{i}" for i in range(table.shape[1])]
        rows = crystals.table.index.astype(int)
        formulas = crystals.table["formula"].to_numpy()
        split = fold_split(formulas, np.empty(0, dtype=int), self._share(), self.seed)
        columns = {name: table[rows, i] for i, name in enumerate(names)}
        known = CrystalSet(
            crystals.table.assign(split=split, **columns), crystals.cells, crystals.report, crystals.name
        )
        self.ensemble_ = self._train(known, tuple(names))
        self.single_ = values.ndim == 1
        return self

    def _share(self) -> float:
        if not 0 < self.validation_fraction < 1:
            raise SettingsError(f"validation_fraction must be between 0 and 1, got {self.validation_fraction}.")
        return self.validation_fraction

    def _train(self, crystals: CrystalSet, names: tuple[str, ...]) -> Ensemble:
        shared = ("train", "epochs", "batch_size", "head_rate", "encoder_rate", "average", "seed")
        settings = FinetuneSettings(target=names, **{name: getattr(self, name) for name in shared})
        options: dict[str, Any] = {
            "sizes": EncoderSettings(name=self.encoder),
            "device": self.device,
            "parts": ("train", "val"),
        }
        if self.members == 1:
            return Ensemble([finetune(crystals, self.init, settings, show=self.show, **options)])
        return finetune_ensemble(crystals, self.init, settings, self.members, self.workers, self.show, **options)

    def predict(self, structures: Sequence[Any], return_std: bool = False) -> Any:
        """Values of structures, [n] or [n, T] as in `fit`; NaN, with a warning, where one cannot be used.

        Args:
            structures: as for `fit`.
            return_std: also return the standard deviation over the members, of the same shape.

        Raises:
            SettingsError: an error bar was asked of a single member.
        """
        check_is_fitted(self, "ensemble_")
        if return_std and len(self.ensemble_.members) < 2:
            raise SettingsError("Error bars need an ensemble: PropertyRegressor(members=5).")
        crystals, _ = _load(structures)
        names = list(self.ensemble_.members[0].settings.targets)
        table = (
            self.ensemble_.predict(crystals, self.device)
            .set_index(crystals.table.index.astype(int))
            .reindex(range(len(structures)))
        )
        answers = [table[names].to_numpy()]
        if return_std:
            answers.append(table[[f"{name}.std" for name in names]].to_numpy())
        shaped = [values[:, 0] if self.single_ else values for values in answers]
        return tuple(shaped) if return_std else shaped[0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.target_tags.multi_output = True
        return tags


def _check_values(table: np.ndarray, count: int) -> None:
    if len(table) != count:
        raise InputError(f"{len(table)} values for {count} structures; give one row of values for each.")
    odd = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if len(odd):
        raise InputError(f"{len(odd)} of {count} values are not finite, first at position {odd[0]}; leave those out.")


def _load(structures: Iterable[Any]) -> tuple[CrystalSet, pd.DataFrame]:
    """The structures that can be used, with their positions as ids, and a warning about the others."""
    things = list(structures)
    crystals = by_position(things)
    if len(crystals.report):
        first = crystals.report.iloc[0]
        warnings.warn(
            f"{len(crystals.report)} of {len(things)} structures cannot be used, first {first['row']}: "
            f"{first['reason']}",
            stacklevel=3,
        )
    return crystals, crystals.report
