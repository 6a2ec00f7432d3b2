"""What can be predicted and what can guide: the registries TARGETS and LABELS, and the rules behind them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .errors import InputError, unknown

NARROW_GAP = 2.0  # eV
MAGNETIC = 0.02  # Bohr magnetons an atom
STABLE = 0.001  # eV/atom above the hull
MISSING = -1  # a class index that means "not known"

HALOGENS = frozenset((9, 17, 35, 53))
CHALCOGENS = frozenset((16, 34, 52))
PNICTOGENS = frozenset((7, 15, 33, 51))
SMALL_ANIONS = frozenset((1, 5, 6, 14))
OXYGEN = 8
# 3d metals from V to Cu, lanthanides with an open 4f shell, and U, Np, Pu.
OPEN_SHELL = frozenset((*range(23, 30), *range(58, 71), 92, 93, 94))

# Okabe-Ito, which stays apart for colour-blind readers; ordered so that neighbours also differ in grey.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#555555")


@dataclass(frozen=True)
class Target:
    """A property to fine-tune on."""

    key: str
    title: str
    unit: str
    about: str

    @property
    def axis(self) -> str:
        """Title and unit, for an axis."""
        return f"{self.title} ({self.unit})"


TARGETS: dict[str, Target] = {
    t.key: t
    for t in (
        Target("formation_energy_per_atom", "Formation energy", "eV/atom", "energy against the elements"),
        Target("band_gap", "Band gap", "eV", "zero for metals; metal and gap labels are functions of it"),
        Target("density", "Density", "g/cm³", "exact, from the structure"),
        Target("efermi", "Fermi energy", "eV", "depends on the zero of the potential"),
        Target("energy_per_atom", "Energy per atom", "eV/atom", "total energy; nearly linear in the composition"),
        Target("atomic_density", "Atomic density", "atoms/Å³", "exact; the inverse of the volume per atom"),
    )
}


def chemical_family(numbers: Sequence[int]) -> str:
    """Family of a compound from its atomic numbers (the first rule that holds; our choice)."""
    elements = set(map(int, numbers))
    if OXYGEN in elements:
        return "oxyhalide" if elements & HALOGENS else "oxide"
    rules = (
        (HALOGENS, "halide"),
        (CHALCOGENS, "chalcogenide"),
        (PNICTOGENS, "pnictide"),
        (SMALL_ANIONS, "hydride_boride_carbide_silicide"),
    )
    return next((name for group, name in rules if elements & group), "intermetallic")


def gap_class(gaps: pd.Series) -> pd.Series:
    """Classes none, narrow (below 2 eV; our choice) and wide from band gaps in eV."""
    named = np.select([gaps <= 0, gaps < NARROW_GAP, gaps >= NARROW_GAP], ["none", "narrow", "wide"], default="")
    return pd.Series(named, index=gaps.index).where(gaps.notna())


def magnetic_class(per_atom: pd.Series, numbers: Sequence[Sequence[int]]) -> pd.Series:
    """Net moment, or none with or without an element of an open shell (moments in Bohr magnetons an atom)."""
    is_open = [bool(OPEN_SHELL & set(map(int, z))) for z in numbers]
    shell = np.where(is_open, "no_net_moment_open_shell", "no_net_moment_closed_shell")
    named = np.where(per_atom >= MAGNETIC, "net_moment", shell)
    return pd.Series(named, index=per_atom.index).where(per_atom.notna())


def flag(condition: Callable[[pd.Series], pd.Series]) -> Callable[[pd.Series], pd.Series]:
    """A rule that gives 1 where the condition holds, 0 elsewhere and nothing where the value is missing."""
    return lambda values: condition(values).astype(float).where(values.notna())


@dataclass(frozen=True)
class Label:
    """A surrogate label.

    Attributes:
        key: name in `LABELS`, and of the column that holds it.
        title: for figures.
        classes: names in the order of their indices.
        about: what it means.
        source: column that the label can be made from when its own is absent.
        rule: from the values of `source` to those of the label.
        function_of: targets that decide the label, so that pretraining on it leaks them.
    """

    key: str
    title: str
    classes: tuple[str, ...]
    about: str
    source: str | None = None
    rule: Callable[[pd.Series], pd.Series] | None = None
    function_of: tuple[str, ...] = ()

    @property
    def colours(self) -> tuple[str, ...]:
        """One colour a class."""
        return COLOURS[: len(self.classes)]


LABELS: dict[str, Label] = {
    label.key: label
    for label in (
        Label(
            "gap_class",
            "Gap class",
            ("none", "narrow", "wide"),
            "no gap, below 2 eV, 2 eV and above",
            source="band_gap",
            rule=gap_class,
            function_of=("band_gap",),
        ),
        Label(
            "is_metal",
            "Metal or not",
            ("non-metal", "metal"),
            "metal: no band gap",
            source="band_gap",
            rule=flag(lambda gap: gap <= 0),
            function_of=("band_gap",),
        ),
        Label(
            "is_magnetic",
            "Magnetic or not",
            ("non-magnetic", "magnetic"),
            "at least 0.02 Bohr magnetons an atom",
            source="magnetization_per_atom",
            rule=flag(lambda moment: moment >= MAGNETIC),
        ),
        Label(
            "magnetic_class",
            "Magnetic class",
            ("no_net_moment_closed_shell", "no_net_moment_open_shell", "net_moment"),
            "partly a label of the composition: open shells are read off the elements",
        ),
        Label(
            "is_stable",
            "Stable or not",
            ("unstable", "stable"),
            "on the convex hull of its own data set",
            source="e_above_hull",
            rule=flag(lambda energy: energy <= STABLE),
        ),
        Label(
            "crystal_system",
            "Crystal system",
            ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic"),
            "from the space group",
        ),
        Label(
            "family",
            "Chemical family",
            (
                "intermetallic",
                "oxide",
                "halide",
                "chalcogenide",
                "pnictide",
                "oxyhalide",
                "hydride_boride_carbide_silicide",
            ),
            "by the most electronegative element",
        ),
    )
}


def get_target(key: str) -> Target:
    """The target of that key.

    Raises:
        SettingsError: the key is not in `TARGETS`.
    """
    if key not in TARGETS:
        raise unknown("target", key, TARGETS)
    return TARGETS[key]


def get_label(key: str) -> Label:
    """The label of that key.

    Raises:
        SettingsError: the key is not in `LABELS`.
    """
    if key not in LABELS:
        raise unknown("label", key, LABELS)
    return LABELS[key]


def _label_column(table: pd.DataFrame, label: Label) -> pd.Series:
    """The label's own column, or one made by its rule."""
    if label.key in table:
        return table[label.key]
    if label.source in table and label.rule is not None:
        return label.rule(pd.to_numeric(table[label.source], errors="coerce"))
    ways = repr(label.key) + (f" (or {label.source!r} to make it from)" if label.source else "")
    raise InputError(f"The data has no column {ways}, which the label {label.key!r} needs.")


def label_classes(table: pd.DataFrame, key: str) -> np.ndarray:
    """Class index of every row, shape [B], int64; `MISSING` where the value is absent.

    Args:
        table: rows with the label's column: 0/1 flags for two classes, else class names.
        key: a key of `LABELS`.

    Raises:
        SettingsError: unknown label.
        InputError: neither the column nor the one it can be made from is there, or a value is not a class.
    """
    label = get_label(key)
    column = _label_column(table, label)
    if column.notna().any() and column.dropna().isin([True, False]).all():
        column = column.astype(float)  # truth values, also with holes, are 1 and 0
    if pd.api.types.is_numeric_dtype(column):
        names = {index: index for index in range(len(label.classes))}
    else:
        names = {name: index for index, name in enumerate(label.classes)}  # type: ignore[misc]
    classes = column.map(names)
    odd = classes.isna() & column.notna() & (column != MISSING)
    if odd.any():
        first = int(odd.to_numpy().argmax())
        raise InputError(
            f"Column {key!r}, row {table.index[first]}: '{column.iloc[first]}' is no class of the label {key!r}. "
            f"Known: {', '.join(label.classes)}, or 0 to {len(label.classes) - 1}; leave unknown ones empty."
        )
    return classes.fillna(MISSING).to_numpy(np.int64)
