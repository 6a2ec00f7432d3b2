"""What a map of crystals can be coloured by: surrogate classes, targets, predictions and their errors."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from .crystals import CrystalSet
from .errors import InputError
from .labels import NOT_KNOWN, available_labels, get_label, label_classes
from .plots import GREY
from .vocabulary import COLOURS, MISSING, TARGETS, Target, get_target

MOST_CLASSES = len(COLOURS)  # more colours could not be told apart


@dataclass(frozen=True)
class Colour:
    """One thing to colour by.

    Attributes:
        key: `gap_class`, `band_gap`, `predicted band_gap` or `error band_gap`, say.
        title: for people.
        unit: of the numbers.
        numbers: [n] one of each crystal, NaN where not known; class indices for classes.
        classes: names of the classes; empty for numbers.
        around_zero: whether zero is the middle of the scale, as for errors.
    """

    key: str
    title: str
    unit: str
    numbers: np.ndarray
    classes: tuple[str, ...] = ()
    around_zero: bool = False

    @property
    def axis(self) -> str:
        """Title and unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @cached_property
    def names(self) -> np.ndarray:
        """[n] the class of each crystal in words; empty texts for numbers."""
        if not self.classes:
            return np.full(len(self.numbers), "")
        known = np.isfinite(self.numbers)
        return np.where(known, np.array(self.classes)[np.where(known, self.numbers, 0).astype(int)], NOT_KNOWN)

    def words(self, number: int) -> str:
        """Class or value of one crystal, for people."""
        if self.classes:
            return str(self.names[number]).replace("_", " ")
        value = self.numbers[number]
        return f"{value:.3g} {self.unit}".strip().replace("-", "−") if np.isfinite(value) else NOT_KNOWN

    def at(self, rows: np.ndarray) -> "Colour":
        """The same of some crystals."""
        return replace(self, numbers=self.numbers[rows])

    def legend(self) -> list[tuple[str, str, int]]:
        """Name, colour and number of crystals of each class that is there, those not known last; none for numbers."""
        if not self.classes:
            return []
        colours = dict(zip((*self.classes, NOT_KNOWN), (*COLOURS[: len(self.classes)], GREY), strict=True))
        counts = pd.Series(self.names).value_counts()
        return [(name, colour, int(counts[name])) for name, colour in colours.items() if counts.get(name, 0)]


def colours_of(
    crystals: CrystalSet, labels: Iterable[str] | None, predictions: Mapping[str, pd.DataFrame], seed: int
) -> dict[str, Colour]:
    """Everything that crystals can be coloured by, labels first, then targets, predictions and errors.

    Args:
        crystals: the data.
        labels: keys; all labels of at most seven classes that tell the crystals apart if None.
        predictions: columns `true` and `predicted` by target.
        seed: of shuffled labels.

    Raises:
        SettingsError: unknown label or target.
        InputError: a label of more than seven classes, or predictions without the columns.
    """
    found = [_of_label(crystals, key, seed) for key in _small_labels(crystals) if labels is None]
    found += [_of_label(crystals, key, seed) for key in labels or ()]
    found += [_of_target(crystals, key) for key in TARGETS if key in crystals.table]
    for key, table in predictions.items():
        found += _of_predictions(crystals, get_target(key, crystals.table), table)
    kept = {colour.key: colour for colour in found if np.isfinite(colour.numbers).any()}
    if not kept:
        raise InputError(f"{crystals.name} has no label and no target to colour a map by.")
    return kept


def _small_labels(crystals: CrystalSet) -> list[str]:
    return [key for key in available_labels(crystals.table) if len(get_label(key).classes) <= MOST_CLASSES]


def _of_label(crystals: CrystalSet, key: str, seed: int) -> Colour:
    label = get_label(key)
    if len(label.classes) > MOST_CLASSES:
        raise InputError(
            f"The label {key!r} has {len(label.classes)} classes, more than a map can tell apart ({MOST_CLASSES}). "
            "Take another one."
        )
    classes = label_classes(crystals.table, key, seed)
    return Colour(key, label.title, "", np.where(classes == MISSING, np.nan, classes), label.classes)


def _of_target(crystals: CrystalSet, key: str) -> Colour:
    target = TARGETS[key]
    values = pd.to_numeric(crystals.table[key], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return Colour(key, target.title, target.unit, values)


def _of_predictions(crystals: CrystalSet, target: Target, table: pd.DataFrame) -> list[Colour]:
    """Prediction, and prediction minus true value."""
    absent = {"true", "predicted"} - set(table.columns)
    if absent:
        raise InputError(f"The predictions of {target.key!r} lack the column {sorted(absent)[0]!r}.")
    known = table[["true", "predicted"]].reindex(crystals.table.index).astype(np.float64)
    predicted, error = known["predicted"].to_numpy(), (known["predicted"] - known["true"]).to_numpy()
    return [
        Colour(f"predicted {target.key}", f"{target.title}, predicted", target.unit, predicted),
        Colour(f"error {target.key}", f"{target.title}, error", target.unit, error, around_zero=True),
    ]
