"""Several fine-tunings together: an ensemble of seeds with error bars, and cross-validation by formula."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .crystals import CrystalSet
from .errors import CheckpointError, SettingsError
from .finetune import finetune
from .models import Pretrained, load_pretrained
from .property_models import PARTS, Finetuned, load_finetuned, predict
from .settings import FinetuneSettings
from .training import side_by_side

MEMBER = "member-"  # folders of a saved ensemble


@dataclass
class Ensemble:
    """Models of the same targets from several seeds; their mean predicts, their spread is the error bar.

    The spread says how much the answer depends on the seed. It is no interval of confidence: errors that all members
    share are not in it, so `coverage` says how often the truth was within it.
    """

    members: list[Finetuned]

    def predict(self, crystals: CrystalSet, device: str | None = None) -> pd.DataFrame:
        """Mean and standard deviation over the members by material id: for each target `y` the columns y and y.std.

        A single member has no spread: its y.std is NaN.
        """
        answers = [predict(crystals, member, device) for member in self.members]
        targets = list(answers[0])
        values = np.stack([answer.to_numpy() for answer in answers])  # [members, B, T]
        table = pd.DataFrame(values.mean(0), index=answers[0].index, columns=targets)
        spread = values.std(0, ddof=1) if len(values) > 1 else np.full_like(values[0], np.nan)  # [B, T]
        return table.assign(**{f"{target}.std": spread[:, i] for i, target in enumerate(targets)})

    def errors(self, part: str = "test") -> pd.DataFrame:
        """One row a target: MAE of the mean, mean MAE of the members, mean spread, coverage of one and two spreads.

        Args:
            part: `train`, `val` or `test`.
        """
        return pd.DataFrame([self._errors_of(t, part) for t in self.members[0].settings.targets]).set_index("target")

    def _errors_of(self, target: str, part: str) -> dict[str, Any]:
        tables = [member.of_target(target) for member in self.members]
        rows = tables[0]["split"] == part
        true = tables[0].loc[rows, "true"].to_numpy()
        predicted = np.stack([table.loc[rows, "predicted"].to_numpy() for table in tables])  # [members, rows]
        error, spread = np.abs(predicted.mean(0) - true), predicted.std(0, ddof=1)
        return {
            "target": target,
            "mae": float(error.mean()),
            "members_mae": float(np.abs(predicted - true).mean()),
            "spread": float(spread.mean()),
            "within_1_spread": float((error <= spread).mean()),
            "within_2_spreads": float((error <= 2 * spread).mean()),
        }

    def save_pretrained(self, folder: str | Path) -> None:
        """Write each member into a folder of its own."""
        for number, member in enumerate(self.members):
            member.save_pretrained(Path(folder) / f"{MEMBER}{number}")

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "Ensemble":
        """Read what `save_pretrained` wrote.

        Raises:
            CheckpointError: there is no member, or one is damaged.
        """
        paths = sorted(Path(folder).glob(f"{MEMBER}*"), key=lambda path: int(path.name.removeprefix(MEMBER)))
        if not paths:
            raise CheckpointError(f"No ensemble in {str(folder)!r}: it has no folder {MEMBER}0. Is the path right?")
        return cls([load_finetuned(path) for path in paths])


def finetune_ensemble(
    crystals: CrystalSet,
    init: Pretrained | str | Path = "scratch",
    settings: FinetuneSettings | None = None,
    members: int = 5,
    workers: int = 1,
    show: bool = True,
    **options: Any,
) -> Ensemble:
    """Fine-tune with as many seeds, from that of the settings on.

    Args:
        crystals: as for `finetune`.
        init: the start of all members; from scratch each has its own.
        settings: of the first member.
        members: how many, at least 2.
        workers: how many at a time.
        show: report progress.
        options: passed on to `finetune`.

    Raises:
        SettingsError: fewer than two members.
    """
    settings = settings or FinetuneSettings()
    if members < 2:
        raise SettingsError(f"An ensemble has at least 2 members, got {members}.")
    runs = [replace(settings, seed=settings.seed + number) for number in range(members)]
    calls = [partial(finetune, crystals, init, run, show=False, **options) for run in runs]
    return Ensemble(side_by_side(calls, f"ensemble for {', '.join(settings.targets)}", workers, show))


@dataclass
class CrossValidation:
    """One model a fold.

    Attributes:
        folds: the models, each tested on rows that the others trained on.
    """

    folds: list[Finetuned]

    @property
    def predictions(self) -> pd.DataFrame:
        """The prediction of every crystal by the model that did not see its formula, with the number of the fold."""
        parts = [fold.predictions[fold.predictions["split"] == "test"] for fold in self.folds]
        return pd.concat([part.assign(fold=number) for number, part in enumerate(parts)]).drop(columns="split")

    @property
    def errors(self) -> pd.DataFrame:
        """One row a fold and target: numbers of crystals, test_mae, median_test_mae."""
        rows = [
            {"fold": number, **errors}
            for number, fold in enumerate(self.folds)
            for errors in fold.metrics.get("targets", {"": fold.metrics}).values()
        ]
        return pd.DataFrame(rows)[
            ["fold", "target", "unit", "n_train", "n_val", "n_test", "test_mae", "median_test_mae"]
        ]


def cross_validate(
    crystals: CrystalSet,
    init: Pretrained | str | Path = "scratch",
    settings: FinetuneSettings | None = None,
    folds: int | Sequence[np.ndarray] = 5,
    val_share: float = 0.2,
    workers: int = 1,
    show: bool = True,
    **options: Any,
) -> CrossValidation:
    """Fine-tune once a fold and test each crystal once; polymorphs stay in one fold.

    Args:
        crystals: rows of the splits `train`, `val` and `test`, whose old parts play no role.
        init: the start of every fold. What it saw in pretraining is the same for all folds, so a gain is only as
            honest as that set is separate from this one.
        settings: of every fold, with the same seed.
        folds: how many, or the positions of the test rows of each (official folds, say).
        val_share: of the rows that are not tested, to choose an epoch by.
        workers: how many folds at a time.
        show: report progress.
        options: passed on to `finetune`.

    Raises:
        SettingsError: fewer than two folds, more than formulas, or a share outside (0, 1).
    """
    settings, rows = settings or FinetuneSettings(), crystals.of_split(*PARTS)
    formulas = rows.table["formula"].to_numpy()
    tests = by_formula(formulas, folds, settings.seed) if isinstance(folds, int) else list(folds)
    if not 0 < val_share < 1:
        raise SettingsError(f"val_share must be between 0 and 1, got {val_share}.")
    if isinstance(init, str | Path) and str(init) != "scratch":
        init = load_pretrained(init)
    sets = [
        replace(rows, table=rows.table.assign(split=fold_split(formulas, test, val_share, settings.seed)))
        for test in tests
    ]
    calls = [partial(finetune, one, init, settings, show=False, **options) for one in sets]
    return CrossValidation(side_by_side(calls, f"folds for {', '.join(settings.targets)}", workers, show))


def by_formula(formulas: np.ndarray, folds: int, seed: int) -> list[np.ndarray]:
    """Positions of the test rows of each fold: about equal parts, each formula in one.

    Raises:
        SettingsError: fewer than two folds, or more than formulas.
    """
    from sklearn.model_selection import GroupKFold

    known = len(np.unique(formulas))
    if not 2 <= folds <= known:
        raise SettingsError(f"{folds} folds of {known} formulas cannot be made; take 2 to {known}.")
    return [test for _, test in GroupKFold(folds, shuffle=True, random_state=seed).split(formulas, groups=formulas)]


def fold_split(formulas: np.ndarray, test: np.ndarray, val_share: float, seed: int) -> np.ndarray:
    """The split of every row: `test` at the given positions, the others `val` and `train` by formula."""
    split = np.full(len(formulas), "train", dtype=object)
    split[test] = "test"
    rest = np.flatnonzero(split == "train")
    names = np.random.default_rng(seed).permutation(np.unique(formulas[rest]))
    counts = pd.Series(formulas[rest]).value_counts()[names].cumsum().to_numpy()
    held_out = names[: 1 + int(np.searchsorted(counts, val_share * len(rest)))]
    split[rest[np.isin(formulas[rest], held_out)]] = "val"
    return split
