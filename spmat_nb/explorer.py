"""What the structure-map explorer knows, without a widget: points, colour, filter, a selected crystal and its card."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .crystals import CrystalSet
from .errors import InputError, SettingsError, unknown
from .explorer_colours import colours_of
from .explorer_points import check_runs, is_said, make_run, sample_rows, symbols_of, symmetry_row
from .labels import NOT_KNOWN

LIMIT = 5000  # points that a map shows fluidly
NEIGHBOURS = 6  # on a card
CHUNK = 256  # crystals whose neighbours are searched together
CARD_COLUMNS = {"mineral": "Mineral", "prototype": "Prototype"}


@dataclass(frozen=True)
class Filter:
    """Which crystals are shown; the others stay on the map in grey.

    Attributes:
        elements: symbols; none means any crystal.
        every: whether a crystal must have all of them, or one.
        classes: names of the classes of the present label; none means any.
        low: least value of the present number, if the map is coloured by one.
        high: the largest.
    """

    elements: frozenset[str] = frozenset()
    every: bool = True
    classes: frozenset[str] = frozenset()
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Card:
    """What is known of one crystal.

    Attributes:
        material_id: of the crystal.
        formula: reduced.
        rows: name and value, in words, with units.
        neighbours: nearest crystals in embedding space: formula, distance, colour (in words), on_map; by id.
    """

    material_id: str
    formula: str
    rows: tuple[tuple[str, str], ...]
    neighbours: pd.DataFrame


class ExplorerState:
    """Crystals on a map, coloured and filtered; one is selected and has a card; some may be kept.

    Args:
        crystals: what to look at.
        embeddings: of all of them, by name of the run; the first is shown first.
        coordinates: maps (columns x and y) by name of the run, where they were made before.
        method: key of `MAPS` for the runs without one. PCA takes no time; UMAP takes half a minute.
        labels: keys of labels to colour by; all that tell the crystals apart if None.
        predictions: true and predicted values (columns `true` and `predicted`, index of ids) by target, such as
            `{"density": tuned.of_target("density")}`.
        limit: of points; more crystals are sampled, in proportion to the classes of the first label.
        seed: of the sample, of UMAP and of shuffled labels.

    Attributes:
        points: ids of the crystals on the map; their order never changes.
        note: what was left out, in a sentence; empty if nothing was.
        run: name of the present run.
        colour: what the points are coloured by.
        filter: see `Filter`.
        selected: id of the crystal whose card is shown.
        kept: ids that were put aside, in that order.
        listeners: called with `map`, `card` or `selection` after a change of it.

    Raises:
        InputError: no crystals or embeddings, or a run that does not have all crystals.
    """

    def __init__(
        self,
        crystals: CrystalSet,
        embeddings: Mapping[str, pd.DataFrame],
        coordinates: Mapping[str, pd.DataFrame] | None = None,
        method: str = "pca",
        labels: Iterable[str] | None = None,
        predictions: Mapping[str, pd.DataFrame] | None = None,
        limit: int = LIMIT,
        seed: int = 0,
    ) -> None:
        self.everything = crystals
        check_runs(crystals, embeddings)
        colours = colours_of(crystals, labels, predictions or {}, seed)
        rows, self.note = sample_rows(crystals, next(iter(colours.values())), limit, seed)
        self.crystals = crystals.select(rows)
        self.points = list(self.crystals.table.index)
        self.colours = {key: colour.at(rows) for key, colour in colours.items()}
        self.runs = {
            name: make_run(table.loc[crystals.table.index], rows, (coordinates or {}).get(name), method, seed)
            for name, table in embeddings.items()
        }
        self._place = {material_id: row for row, material_id in enumerate(crystals.table.index)}
        self._on_map = {material_id: number for number, material_id in enumerate(self.points)}
        self._elements = [frozenset(symbols_of(cell)) for cell in self.crystals.cells]
        self.run, self.colour, self.filter = next(iter(self.runs)), next(iter(self.colours.values())), Filter()
        self.selected: str = self.points[0]
        self.kept: list[str] = []
        self.listeners: list[Callable[[str], None]] = []

    def __len__(self) -> int:
        return len(self.points)

    # What can be chosen -------------------------------------------------------------------------------------------

    @property
    def coordinates(self) -> np.ndarray:
        """Of the points on the present map, [n, 2]."""
        return self.runs[self.run].coordinates.to_numpy(np.float64)

    @property
    def elements(self) -> list[str]:
        """Symbols of all elements on the map, in alphabetical order."""
        return sorted(frozenset().union(*self._elements))

    def show_run(self, name: str) -> None:
        """Show the map of another run.

        Raises:
            SettingsError: no such run.
        """
        if name not in self.runs:
            raise unknown("run", name, self.runs)
        self.run = name
        self._tell("map", "card")

    def colour_by(self, key: str) -> None:
        """Colour by another key of `colours`; what was filtered by class or by value is shown again.

        Raises:
            SettingsError: no such colour.
        """
        if key not in self.colours:
            raise unknown("colour", key, self.colours)
        self.colour = self.colours[key]
        self.filter = Filter(self.filter.elements, self.filter.every)
        self._tell("map", "card", "selection")

    def show_only(
        self,
        elements: Iterable[str] = (),
        every: bool = True,
        classes: Iterable[str] = (),
        low: float | None = None,
        high: float | None = None,
    ) -> None:
        """Replace the filter; without arguments everything is shown.

        Raises:
            SettingsError: an element that no crystal has, a class that the label does not have, or a range of values
                while the map is coloured by classes.
        """
        elements, classes = list(elements), list(classes)
        for symbol in elements:
            if symbol not in self.elements:
                raise unknown("element", symbol, self.elements)
        for name in classes:
            if not self.colour.classes or name not in (*self.colour.classes, NOT_KNOWN):
                raise unknown("class", name, self.colour.classes)
        if self.colour.classes and (low is not None or high is not None):
            raise SettingsError("Colour the map by a number before you filter by a range of it.")
        self.filter = Filter(frozenset(elements), every, frozenset(classes), low, high)
        self._tell("map", "selection")

    @property
    def shown(self) -> np.ndarray:
        """Which points pass the filter, [n]."""
        wanted = self.filter
        passes = np.ones(len(self), dtype=bool)
        if wanted.elements:
            tests = (wanted.elements <= has if wanted.every else bool(wanted.elements & has) for has in self._elements)
            passes &= np.fromiter(tests, dtype=bool, count=len(self))
        if wanted.classes:
            passes &= np.isin(self.colour.names, sorted(wanted.classes))
        if wanted.low is not None:
            passes &= self.colour.numbers >= wanted.low
        if wanted.high is not None:
            passes &= self.colour.numbers <= wanted.high
        return passes

    def select(self, material_id: str) -> None:
        """Show the card of another crystal of the map.

        Raises:
            InputError: it is not on the map.
        """
        if material_id not in self._on_map:
            raise InputError(f"{material_id!r} is not on this map.")
        if material_id != self.selected:
            self.selected = material_id
            self._tell("card")

    def formula(self, material_id: str | None = None) -> str:
        """Of a crystal of the map, the selected one by default."""
        return str(self.crystals.table.loc[material_id or self.selected, "formula"])

    def number(self, material_id: str) -> int:
        """Position of a crystal among the points."""
        return self._on_map[material_id]

    def keep(self) -> None:
        """Put the selected crystal aside."""
        if self.selected not in self.kept:
            self.kept.append(self.selected)
            self._tell("selection")

    def clear(self) -> None:
        """Put nothing aside."""
        self.kept.clear()
        self._tell("selection")

    def _tell(self, *changes: str) -> None:
        for listener in list(self.listeners):
            for change in changes:
                listener(change)

    # What can be read ---------------------------------------------------------------------------------------------

    def selection(self) -> pd.DataFrame:
        """The kept crystals; if none was kept, all that pass the filter.

        Returns:
            The columns of the data, then `map_x`, `map_y` (of the present map), and `colour` (class or value).
        """
        numbers = [self.number(i) for i in self.kept] if self.kept else np.flatnonzero(self.shown)
        x, y = self.coordinates[numbers].T
        colour = self.colour.names if self.colour.classes else self.colour.numbers
        return self.crystals.table.iloc[numbers].assign(map_x=x, map_y=y, colour=np.asarray(colour)[numbers])

    def neighbours(self, material_id: str, count: int = NEIGHBOURS) -> pd.DataFrame:
        """The nearest crystals in the embedding space of the present run, all dimensions, not on the map.

        Columns are standardised first, as for k-NN purity; all crystals are searched, also those that a sample of the
        map leaves out.

        Returns:
            Columns formula, distance, colour (class or value in words) and on_map, by id, the nearest first.
        """
        rows, distances = self.nearest(np.array([self._place[material_id]]), count)
        ids = self.everything.table.index[rows[0]]
        on_map = [i in self._on_map for i in ids]
        words = [self.colour.words(self._on_map[i]) if there else "" for i, there in zip(ids, on_map, strict=True)]
        formulas = self.everything.table["formula"].iloc[rows[0]]
        return pd.DataFrame(
            {"formula": formulas, "distance": distances[0], "colour": words, "on_map": on_map}, index=ids
        )

    def nearest(self, rows: np.ndarray, count: int = NEIGHBOURS) -> tuple[np.ndarray, np.ndarray]:
        """Rows and distances of the nearest crystals of many, [n, count] each, without the crystal itself.

        Args:
            rows: [n] of `everything`.
            count: how many of each.
        """
        every = self.runs[self.run].standardised
        squares, count = np.square(every).sum(1), min(count, len(every) - 1)
        parts = []
        for chunk in np.array_split(rows, max(1, len(rows) // CHUNK)):
            apart = squares - 2 * every[chunk] @ every.T  # squared distances but for a constant of each row
            apart[np.arange(len(chunk)), chunk] = np.inf
            found = np.argpartition(apart, count - 1, axis=1)[:, :count]
            distance = np.linalg.norm(every[found] - every[chunk][:, None], axis=2)
            order = np.argsort(distance, axis=1, kind="stable")
            parts.append([np.take_along_axis(values, order, axis=1) for values in (found, distance)])
        near, distances = (np.concatenate(column) for column in zip(*parts, strict=True))
        return near, distances

    def card(self, material_id: str | None = None) -> Card:
        """What is known of a crystal of the map, the selected one by default."""
        material_id = material_id or self.selected
        return Card(material_id, self.formula(material_id), self.rows(material_id), self.neighbours(material_id))

    def rows(self, material_id: str, with_symmetry: bool = True) -> tuple[tuple[str, str], ...]:
        """The rows of a card: names and values in words.

        Args:
            material_id: of a crystal of the map.
            with_symmetry: determine the space group where the data does not tell it (5 to 50 ms).
        """
        number = self.number(material_id)
        row, cell = self.crystals.table.iloc[number], self.crystals.cells[number]
        return (
            ("Id", material_id),
            *symmetry_row(row, cell, with_symmetry),
            ("Atoms in the cell", str(len(cell.numbers))),
            *((title, str(row[key])) for key, title in CARD_COLUMNS.items() if key in row and is_said(row[key])),
            *((colour.title, colour.words(number)) for colour in self.colours.values()),
        )

    @property
    def message(self) -> str:
        """What is on the map, in a sentence or two."""
        shown, kept = int(self.shown.sum()), len(self.kept)
        text = f"{len(self):,} crystals of the {self.everything.name}"
        if shown < len(self):
            text = f"{shown:,} of {text} pass the filter (the others are grey)"
        return f"{text}{f', {kept} kept' if kept else ''}. {self.note}".strip()
