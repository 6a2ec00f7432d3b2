"""What is odd about the columns of a table: values, units, labels and splits; each as a sentence under the policy."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .errors import InputError
from .labels import class_counts
from .reading.policy import Note, Notes
from .vocabulary import TARGETS, get_target

# What crystals have, generously, in the units of `TARGETS`, and what another unit would be (our choice).
PLAUSIBLE: dict[str, tuple[float, float, str]] = {
    "formation_energy_per_atom": (-10.0, 10.0, "is it in kJ/mol or meV?"),
    "band_gap": (0.0, 20.0, "is it in meV, or a code for a missing value?"),
    "density": (0.005, 30.0, "is it in kg/m3?"),
    "efermi": (-50.0, 50.0, "is it in meV?"),
    "energy_per_atom": (-100.0, 50.0, "is it of the whole cell, or of a code that counts all electrons?"),
    "atomic_density": (0.0005, 0.5, "is it a volume an atom (A3), as in the Materials Project?"),
}
EVALUATED = ("train", "val", "test")


def about_values(table: pd.DataFrame, targets: Sequence[str] = ()) -> list[Note]:
    """Text, infinities and unlikely values in the known targets, or in the columns named."""
    notes = Notes()
    for key in targets or [key for key in TARGETS if key in table]:
        values = pd.to_numeric(table[key], errors="coerce").to_numpy(np.float64, na_value=np.nan)
        text = table[key].notna().to_numpy() & np.isnan(values)
        _note(notes, "value-text", table[key], text, "no number")
        _note(notes, "value-infinite", table[key], np.isinf(values), "infinite")
        if key in PLAUSIBLE:
            low, high, hint = PLAUSIBLE[key]
            unit, finite = TARGETS[key].unit, np.isfinite(values)
            outside = finite & ((np.where(finite, values, low) < low) | (np.where(finite, values, low) > high))
            _note(notes, "value-unlikely", table[key], outside, f"outside {low:g} to {high:g} {unit} ({hint})")
    return notes.items


def _note(notes: Notes, key: str, column: pd.Series, odd: np.ndarray, what: str) -> None:
    if odd.any():
        first = int(odd.argmax())
        text = f"{column.name!r}: {odd.sum()} of {len(column)} values are {what}, first {column.iloc[first]!s:.40}"
        notes.meet(key, f"{text} of {column.index[first]!r}")


def about_target(table: pd.DataFrame, name: str, targets: Sequence[str]) -> list[Note]:
    """As `about_values`, of columns that must be there.

    Raises:
        SettingsError: the name of a target is unknown.
        InputError: the table does not have it.
    """
    for key in targets:
        get_target(key, table)
        if key not in table:
            raise InputError(f"{name} has no column {key!r}. Columns: {', '.join(table.columns)}.")
    return about_values(table, targets)


def about_label(table: pd.DataFrame, key: str) -> list[Note]:
    """Labels of one class, classes of one crystal, and labels that nobody has.

    Raises:
        SettingsError: unknown label.
        InputError: the data cannot give it.
    """
    notes = Notes()
    counts = class_counts(table, key)
    counts = counts[(counts > 0) & (counts.index != "not known")]
    if len(counts) == 0:
        notes.meet("no-labels", f"no crystal has a class of the label {key!r}")
    if len(counts) == 1:
        notes.meet("one-class", f"all {counts.iloc[0]} crystals with the label {key!r} are {counts.index[0]!r}")
    for name in counts.index[(counts == 1).to_numpy()] if len(counts) > 1 else ():
        notes.meet("single-member", f"the class {name!r} of the label {key!r} has one crystal")
    return notes.items


def about_split(table: pd.DataFrame) -> list[Note]:
    """Splits without crystals, and formulas in more than one of them."""
    notes = Notes()
    counts = table["split"].value_counts()
    for split in EVALUATED:
        if split not in counts:
            notes.meet("empty-split", f"no crystal is in the split {split!r}")
    evaluated = table[table["split"].isin(EVALUATED)]
    spread = evaluated.groupby("formula")["split"].nunique()
    shared = list(spread.index[spread > 1])
    if shared:
        notes.meet("shared-formula", f"{len(shared)} formulas are in several splits, first {shared[0]}")
    return notes.items
