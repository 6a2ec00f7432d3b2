"""Labels by name: the registry LABELS, labels made from others such as `bins:density:4`, and classes from a table."""

import itertools
import math
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from .errors import InputError, SettingsError, unknown
from .vocabulary import COLUMN_LABELS, MISSING, TARGETS, Label, numeric_columns

MOST_CLASSES = 150  # of a label made from others: as many colours are distinct, and more ask for a regression
NOT_KNOWN = "not known"
INNER_CROSS = re.compile(r"\s*((shuffled|(flipped|known):[^:]*):\s*)*crossed:")
# Columns that hold one quantity in different units, so that bins of one leak the other.
SAME_QUANTITY = frozenset(("atomic_density", "volume_per_atom", "density_atomic"))

LABELS: dict[str, Label] = dict(COLUMN_LABELS)  # and a cross, below


@dataclass(frozen=True)
class LabelMaker:
    """A way to make a label from others: `key:rest`, as it can be written on a command line."""

    key: str
    form: str
    about: str
    make: Callable[[str], Label]


def bins(rest: str) -> Label:
    """A numeric column in bins: `COLUMN:COUNT` of equal count, or `COLUMN@EDGE/EDGE` with edges given."""
    return _bins_between(rest) if "@" in rest else _bins_of_equal_count(rest)


def _bins_of_equal_count(rest: str) -> Label:
    """The edges are quantiles of the known values of the table that is asked; equal values stay together."""
    column, _, count = (text.strip() for text in rest.rpartition(":"))
    if not column or not count.isdecimal() or not 2 <= int(count) <= MOST_CLASSES:
        raise _malformed("bins", rest, f"it takes a column and 2 to {MOST_CLASSES} bins")
    number, key = int(count), f"bins:{column}:{int(count)}"
    return _bins(
        key,
        column,
        tuple(f"{column} {i + 1} of {number}" for i in range(number)),
        f"{number} classes of equal count, from low to high; fewer where many values are equal",
        lambda values: _quantiles(values, number, key),
    )


def _bins_between(rest: str) -> Label:
    """A value on an edge belongs above it."""
    column, _, edges = (text.strip() for text in rest.rpartition("@"))
    texts = [edge.strip() for edge in edges.split("/")]
    numbers = np.array([_number(text) for text in texts])
    if not column or len(numbers) >= MOST_CLASSES or not np.isfinite(numbers).all() or (np.diff(numbers) <= 0).any():
        raise _malformed("bins", rest, "it takes a column and rising edges, finite numbers")
    between = (f"{column} {low} to {high}" for low, high in itertools.pairwise(texts))
    names = (f"{column} below {texts[0]}", *between, f"{column} {texts[-1]} and above")
    key = f"bins:{column}@{'/'.join(texts)}"
    return _bins(key, column, names, "bins between given edges", lambda values: numbers)


def _bins(
    key: str, column: str, names: tuple[str, ...], about: str, edges: Callable[[np.ndarray], np.ndarray]
) -> Label:
    """The label of the bins of a column, whose edges may depend on its known values."""
    target, title = TARGETS.get(column), column
    if target is not None:
        title, about = target.title, f"{about} ({target.unit})"
    same = sorted(SAME_QUANTITY - {column}) if column in SAME_QUANTITY else []
    decided_by = COLUMN_LABELS[column].function_of if column in COLUMN_LABELS else ()

    def make(table: pd.DataFrame, seed: int) -> np.ndarray:
        values = _known_numbers(table, column, key)
        known = np.isfinite(values)
        found = np.searchsorted(edges(values[known]), values, side="right")
        return np.where(known, found, MISSING).astype(np.int64)

    return Label(key, f"{title} in bins", names, about, function_of=(column, *same, *decided_by), make=make)


def _known_numbers(table: pd.DataFrame, column: str, key: str) -> np.ndarray:
    columns = numeric_columns(table)
    if column not in columns:
        lack = f"numbers in its column {column!r}" if column in table else f"column {column!r}"
        raise InputError(
            f"The data has no {lack}, needed for the label {key!r}. Numeric columns: {', '.join(columns)}."
        )
    return _floats(table[column]).to_numpy()


def _quantiles(known: np.ndarray, count: int, key: str) -> np.ndarray:
    """Values at which the next bin begins; equal ones are merged."""
    if len(known) == 0:
        raise InputError(f"No crystal has a value to put into the bins of {key!r}.")
    last = np.sort(known)[[math.ceil(len(known) * k / count) - 1 for k in range(1, count)]]  # of each bin but the top
    values = np.unique(known)
    first = np.unique(np.searchsorted(values, last, side="right"))
    edges = values[first[first < len(values)]]
    if len(edges) == 0:
        raise InputError(
            f"The label {key!r} has one class only: {(known == values[-1]).sum()} of {len(known)} known values are "
            f"{values[-1]:g}. Give edges instead, as in 'bins:COLUMN@0.5/2', or take another column."
        )
    return edges


def crossed(rest: str) -> Label:
    """The product of two or more labels; missing where one of them is."""
    if any(INNER_CROSS.match(part) for part in rest.split(",")):
        raise _malformed("crossed", rest, "a cross inside a cross could be read in two ways; name all parts in one")
    parts = [get_label(part) for part in rest.split(",")]
    key = f"crossed:{','.join(part.key for part in parts)}"
    if not 2 <= len(parts) == len({part.key for part in parts}):
        raise _malformed("crossed", rest, "it takes two or more different labels")
    shape = tuple(len(part.classes) for part in parts)
    if math.prod(shape) > MOST_CLASSES:
        raise _malformed("crossed", rest, f"{math.prod(shape)} classes are more than {MOST_CLASSES}")

    def make(table: pd.DataFrame, seed: int) -> np.ndarray:
        classes = np.stack([label_classes(table, part.key, seed) for part in parts])
        known = (classes != MISSING).all(0)
        return np.where(known, np.ravel_multi_index(tuple(np.where(known, classes, 0)), shape), MISSING)

    return Label(
        key,
        " × ".join(part.title for part in parts),
        tuple(" & ".join(names) for names in itertools.product(*(part.classes for part in parts))),
        "; ".join(part.about for part in parts),
        function_of=tuple(dict.fromkeys(column for part in parts for column in part.function_of)),
        make=make,
    )


def shuffled(rest: str) -> Label:
    """A control without information: the known classes of a label, dealt anew to the crystals that have one."""
    part = get_label(rest)
    key = f"shuffled:{part.key}"

    def make(table: pd.DataFrame, seed: int) -> np.ndarray:
        classes = label_classes(table, part.key, seed)
        known = np.flatnonzero(classes != MISSING)
        # The key takes part, else two shuffled labels of one cross would be dealt in step and keep what joins them.
        order = np.random.default_rng([seed % 2**64, zlib.crc32(key.encode())]).permutation(known)
        dealt = classes.copy()
        dealt[known] = classes[order]
        return dealt

    return Label(key, f"{part.title}, shuffled", part.classes, f"control: {part.about}", make=make)


def flipped(rest: str) -> Label:
    """Noise: each known class is another one with the given probability, all others alike."""
    share, part, key = _share_and_label("flipped", rest)

    def make(table: pd.DataFrame, seed: int) -> np.ndarray:
        classes = label_classes(table, part.key, seed)
        rng = np.random.default_rng([seed % 2**64, zlib.crc32(b"flipped")])
        hit = rng.random(len(classes)) < share  # the same crystals for a larger share, and more
        away = rng.integers(1, len(part.classes), len(classes))
        return np.where(hit & (classes != MISSING), (classes + away) % len(part.classes), classes)

    about = f"{part.about}; {share:.0%} of them wrong"
    return Label(key, f"{part.title}, {share:.0%} wrong", part.classes, about, function_of=part.function_of, make=make)


def known(rest: str) -> Label:
    """Scarcity: each class is known with the given probability, and else missing."""
    share, part, key = _share_and_label("known", rest)

    def make(table: pd.DataFrame, seed: int) -> np.ndarray:
        kept = np.random.default_rng([seed % 2**64, zlib.crc32(b"known")]).random(len(table)) < share
        return np.where(kept, label_classes(table, part.key, seed), MISSING)

    about = f"{part.about}; known for {share:.0%}"
    return Label(key, f"{part.title}, {share:.0%} known", part.classes, about, function_of=part.function_of, make=make)


def _share_and_label(maker: str, rest: str) -> tuple[float, Label, str]:
    """The parts of `SHARE:LABEL`, and the whole key."""
    text, _, name = rest.partition(":")
    share = _number(text.strip())
    if not 0 <= share <= 1:
        raise _malformed(maker, rest, f"{text.strip()!r} is no share between 0 and 1")
    part = get_label(name)
    return share, part, f"{maker}:{share:g}:{part.key}"


LABEL_MAKERS: dict[str, LabelMaker] = {
    maker.key: maker
    for maker in (
        LabelMaker("bins", "bins:COLUMN:COUNT or bins:COLUMN@EDGE/EDGE", "a numeric column in bins", bins),
        LabelMaker("crossed", "crossed:LABEL,LABEL", "every combination of the classes", crossed),
        LabelMaker("shuffled", "shuffled:LABEL", "the same classes on other crystals, as a control", shuffled),
        LabelMaker("flipped", "flipped:SHARE:LABEL", "a share of the classes is wrong", flipped),
        LabelMaker("known", "known:SHARE:LABEL", "only a share of the classes is known", known),
    )
}


def _number(text: str) -> float:
    """A number, or NaN for a text that is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _malformed(maker: str, rest: str, problem: str) -> SettingsError:
    return SettingsError(f"The label '{maker}:{rest}' cannot be made: {problem}. Write {LABEL_MAKERS[maker].form}.")


def get_label(key: str) -> Label:
    """The label of that key.

    Args:
        key: a key of `LABELS`, or one in the grammar of `LABEL_MAKERS`: `bins:density:4`, `bins:density@2/5.5`,
            `crossed:gap_class,is_magnetic`, `shuffled:gap_class`, also one inside another.

    Raises:
        SettingsError: no such label, or a malformed key.
    """
    name, colon, rest = key.strip().partition(":")
    if not colon and name in LABELS:
        return LABELS[name]
    if not colon or name not in LABEL_MAKERS:
        raise unknown("label", key, [*LABELS, *(maker.form for maker in LABEL_MAKERS.values())])
    return LABEL_MAKERS[name].make(rest.strip())


# Two of the paper's surrogate labels at once.
LABELS["gap_x_magnetic"] = replace(
    get_label("crossed:gap_class,is_magnetic"), key="gap_x_magnetic", title="Gap class and magnetism"
)


def _floats(column: pd.Series) -> pd.Series:
    """The column as float64; what is no number is NaN."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return pd.Series(values, index=column.index, name=column.name)


def _label_column(table: pd.DataFrame, label: Label) -> pd.Series:
    """The label's own column, or one made by its rule."""
    if label.key in table:
        return table[label.key]
    if label.rule is not None and set(label.sources) <= set(table.columns):
        return label.rule(*(_floats(table[source]) for source in label.sources))
    sources = " and ".join(map(repr, label.sources))
    ways = repr(label.key) + (f" (or {sources} to make it from)" if sources else "")
    raise InputError(f"The data has no column {ways}, which the label {label.key!r} needs.")


def label_classes(table: pd.DataFrame, key: str, seed: int = 0) -> np.ndarray:
    """Class index of every row, shape [B], int64; `MISSING` where the value is absent.

    A column named like the label comes first, also for labels made from others. Write one there to keep the bins of
    equal count, which are those of the table asked, when rows are selected later.

    Args:
        table: rows with the label's column (0/1 flags for two classes, else class names), or what it is made from.
        key: as for `get_label`.
        seed: of shuffled labels, which depend on it and on the order of the rows; others do not.

    Raises:
        SettingsError: unknown label.
        InputError: neither the column nor what it can be made from is there, or a value is not a class.
    """
    label = get_label(key)
    if label.make is not None and label.key not in table:
        return label.make(table, seed)
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


def class_counts(table: pd.DataFrame, key: str, seed: int = 0) -> pd.Series:
    """Number of crystals of each class by its name, in order; a last row `not known` only if there are such.

    Raises:
        SettingsError: unknown label.
        InputError: as for `label_classes`.
    """
    classes = label_classes(table, key, seed)
    names = get_label(key).classes
    counts = np.bincount(np.where(classes == MISSING, len(names), classes), minlength=len(names) + 1)
    found = pd.Series(counts, index=[*names, NOT_KNOWN], name="crystals")
    return found if counts[-1] else found.iloc[:-1]


def available_labels(table: pd.DataFrame) -> list[str]:
    """Keys of `LABELS` that tell crystals of the data apart: usable, and with at least two classes present."""
    return [key for key in LABELS if _has_two_classes(table, key)]


def _has_two_classes(table: pd.DataFrame, key: str) -> bool:
    try:
        classes = label_classes(table, key)
    except InputError:
        return False
    return len(np.unique(classes[classes != MISSING])) >= 2
