"""What can be predicted and what can guide: the registries TARGETS and COLUMN_LABELS, and the rules behind them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

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
        return f"{self.title} ({self.unit})" if self.unit else self.title


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


NUMBERS = frozenset(("integer", "floating", "mixed-integer-float", "decimal"))  # in the words of `infer_dtype`


def numeric_columns(table: pd.DataFrame) -> list[str]:
    """Columns that hold numbers, also with holes; truth values are not numbers."""
    return [name for name in table.columns if pd.api.types.infer_dtype(table[name], skipna=True) in NUMBERS]


def get_target(key: str, table: pd.DataFrame | None = None) -> Target:
    """The target of that key.

    Args:
        key: a key of `TARGETS` or, with a table, one of its numeric columns.
        table: the data, if any of its columns may be the target.

    Raises:
        SettingsError: the key is neither.
    """
    if key in TARGETS:
        return TARGETS[key]
    columns = [] if table is None else numeric_columns(table)
    if key in columns:
        return recorded_target(key)
    raise unknown("target", key, dict.fromkeys([*TARGETS, *columns]))


def recorded_target(key: str) -> Target:
    """The target of a key that a run has used, of `TARGETS` or a column of data that need not be at hand."""
    return TARGETS.get(key) or Target(key, key, "", "a column of the data")


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


def gap_type(gaps: pd.Series, is_direct: pd.Series) -> pd.Series:
    """Classes none (no gap), direct and indirect, from band gaps in eV and 0/1 flags (-1 or empty: not known).

    Raises:
        InputError: a flag is another number.
    """
    odd = is_direct.notna() & ~is_direct.isin([0, 1, MISSING])
    if odd.any():
        first = int(odd.to_numpy().argmax())
        raise InputError(
            f"Column {is_direct.name!r}, row {is_direct.index[first]}: {is_direct.iloc[first]:g} does not say whether "
            "the gap is direct. Write 1 for direct and 0 for indirect; leave unknown ones empty."
        )
    named = np.select([gaps <= 0, is_direct == 1, is_direct == 0], ["none", "direct", "indirect"], default="")
    return pd.Series(named, index=gaps.index).where(gaps.notna() & (named != ""))


def magnetic_class(per_atom: pd.Series, numbers: Sequence[Sequence[int]]) -> pd.Series:
    """Net moment, or none with or without an element of an open shell (moments in Bohr magnetons an atom)."""
    is_open = [bool(OPEN_SHELL & set(map(int, z))) for z in numbers]
    shell = np.where(is_open, "no_net_moment_open_shell", "no_net_moment_closed_shell")
    named = np.where(per_atom >= MAGNETIC, "net_moment", shell)
    return pd.Series(named, index=per_atom.index).where(per_atom.notna())


def flag(condition: Callable[[pd.Series], pd.Series]) -> Callable[[pd.Series], pd.Series]:
    """A rule that gives 1 where the condition holds, 0 elsewhere and nothing where the value is missing."""
    return lambda values: condition(values).astype(float).where(values.notna())


Rule = Callable[..., pd.Series]
Maker = Callable[[pd.DataFrame, int], np.ndarray]


@dataclass(frozen=True)
class Label:
    """A surrogate label.

    Attributes:
        key: name in `LABELS` or in the grammar of `LABEL_MAKERS`, and of the column that holds it.
        title: for figures.
        classes: names in the order of their indices.
        about: what it means.
        sources: columns that the label can be made from when its own is absent.
        rule: from the values of the `sources`, one argument each, to those of the label.
        function_of: columns that decide the label, at least in part, so that pretraining on it leaks them.
        make: class indices from a table and a seed, for labels made from others.
    """

    key: str
    title: str
    classes: tuple[str, ...]
    about: str
    sources: tuple[str, ...] = ()
    rule: Rule | None = field(default=None, repr=False, compare=False)
    function_of: tuple[str, ...] = ()
    make: Maker | None = field(default=None, repr=False, compare=False)

    @property
    def colours(self) -> tuple[str, ...]:
        """One colour a class: `COLOURS`, and steps of the map cividis from the eighth class on."""
        more = len(self.classes) - len(COLOURS)
        return COLOURS[: len(self.classes)] if more <= 0 else COLOURS + _cividis(more)


def _cividis(count: int) -> tuple[str, ...]:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return tuple(to_hex(colour) for colour in colormaps["cividis"](np.linspace(0, 1, count)))


COLUMN_LABELS: dict[str, Label] = {
    label.key: label
    for label in (
        Label(
            "gap_class",
            "Gap class",
            ("none", "narrow", "wide"),
            "no gap, below 2 eV, 2 eV and above",
            sources=("band_gap",),
            rule=gap_class,
            function_of=("band_gap",),
        ),
        Label(
            "gap_type",
            "Gap type",
            ("none", "direct", "indirect"),
            "no gap, or whether an electron can cross it without a phonon",
            sources=("band_gap", "is_gap_direct"),
            rule=gap_type,
            function_of=("band_gap",),
        ),
        Label(
            "is_metal",
            "Metal or not",
            ("non-metal", "metal"),
            "metal: no band gap",
            sources=("band_gap",),
            rule=flag(lambda gap: gap <= 0),
            function_of=("band_gap",),
        ),
        Label(
            "is_magnetic",
            "Magnetic or not",
            ("non-magnetic", "magnetic"),
            "at least 0.02 Bohr magnetons an atom",
            sources=("magnetization_per_atom",),
            rule=flag(lambda moment: moment >= MAGNETIC),
            function_of=("magnetization_per_atom",),
        ),
        Label(
            "magnetic_class",
            "Magnetic class",
            ("no_net_moment_closed_shell", "no_net_moment_open_shell", "net_moment"),
            "partly a label of the composition: open shells are read off the elements",
            function_of=("magnetization_per_atom",),
        ),
        Label(
            "is_stable",
            "Stable or not",
            ("unstable", "stable"),
            "on the convex hull of its own data set",
            sources=("e_above_hull",),
            rule=flag(lambda energy: energy <= STABLE),
            function_of=("e_above_hull",),
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
