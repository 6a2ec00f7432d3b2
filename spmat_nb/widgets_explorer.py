"""The `EmbeddingExplorer`: controls, the linked map and crystal, the card, and what to do with a selection."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import pandas as pd

from .crystals import CrystalSet
from .explorer import NEIGHBOURS, ExplorerState
from .explorer_colours import Colour
from .explorer_figure import draw
from .explorer_page import card_html, save_page
from .files import write_text
from .settings import runs_dir
from .widgets_base import StateView, follow, named, text, words
from .widgets_map import LinkedMap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUPERCELL, LARGEST_SUPERCELL = 2, 4
ROW = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "4px 12px"}
TOP = ROW | {"align_items": "flex-start"}
ACTIONS = {  # what a button says, and its icon
    "keep": ("Keep this crystal", "thumb-tack"),
    "clear": ("Clear kept", "eraser"),
    "table": ("Save selection (CSV)", "table"),
    "page": ("Save page (HTML)", "file-code-o"),
}


class EmbeddingExplorer(StateView):
    """A map of embeddings with the crystal behind each point.

    Click a point: crystal and card follow. Choose the run, the colour, and which crystals pass a filter (the others
    turn grey); keep some, and save the page for a reader without Python. `selection()` gives a DataFrame.

    Args:
        crystals: what to look at.
        embeddings: of all of them, by name of the run.
        folder: where files are saved; the folder of runs if None.
        options: of `ExplorerState`: coordinates, method, labels, predictions, limit, seed.
    """

    state: ExplorerState

    def __init__(
        self,
        crystals: CrystalSet,
        embeddings: Mapping[str, pd.DataFrame],
        folder: str | Path | None = None,
        **options: Any,
    ) -> None:
        state = ExplorerState(crystals, embeddings, **options)
        self.folder = Path(folder) if folder is not None else runs_dir()
        self.controls = _controls(state)
        self.buttons = {name: _button(said, icon=icon, width="190px") for name, (said, icon) in ACTIONS.items()}
        self.map = LinkedMap(state, *self.structure)
        self.card, self.message = text(), text()
        self.neighbours = [_button("", width="300px") for _ in range(NEIGHBOURS)]
        self._class_buttons: dict[str, ipywidgets.ToggleButton] = {}
        self._slider: ipywidgets.FloatRangeSlider | None = None
        self._near: list[str] = []
        self._offered = ""  # colour whose classes or values can be filtered by now
        self._filter_row = ipywidgets.HBox(layout=ROW)
        self._only = text("Only crystals")
        super().__init__(state, "explorer", self._rows())
        self._offer_filter()
        self._show_card()
        self._show_message()
        self._connect()

    def _rows(self) -> list[ipywidgets.Widget]:
        """The layout."""
        self.card.add_class("spmat-card")
        self.card.layout.flex = "1 1 320px"
        for button in self.neighbours:
            button.add_class("spmat-go")
        near = [text("Nearest in embedding space, by distance in standardised units:"), *self.neighbours]
        return [
            ipywidgets.HBox([self.controls[name] for name in ("run", "colour", "supercell", "bonds")], layout=ROW),
            self._filter_row,
            self.map,
            self.message,
            ipywidgets.HBox([self.card, ipywidgets.VBox(near, layout={"flex": "1 1 300px"})], layout=TOP),
            ipywidgets.HBox(list(self.buttons.values()), layout=ROW),
        ]

    @property
    def structure(self) -> tuple[int, bool]:
        """Supercell and bonds as the controls have them."""
        return self.controls["supercell"].value, self.controls["bonds"].value

    def selection(self) -> pd.DataFrame:
        """The kept crystals; if none was kept, all that pass the filter."""
        return self.state.selection()

    def static_figure(self) -> "Figure":
        """Map, selected crystal and card, for readers of a page and for print."""
        return draw(self.state)

    def complain(self, sentence: str) -> None:
        """Say in the widget what was wrong."""
        self.message.value = words(sentence)

    # From the controls to the state -------------------------------------------------------------------------------

    def _connect(self) -> None:
        self.on_change(self.controls["run"], self.state.show_run)
        self.on_change(self.controls["colour"], self.state.colour_by)
        for name in ("elements", "every"):
            self.on_change(self.controls[name], self._filter)
        for name in ("supercell", "bonds"):
            self.on_change(self.controls[name], lambda value: self.map.show_structure(*self.structure))
        self.on_change(self.map, self._clicked, "selected_ids")
        for place, button in enumerate(self.neighbours):
            button.on_click(lambda pressed, place=place: self.state.select(self._near[place]))
        self.buttons["keep"].on_click(lambda pressed: self.state.keep())
        self.buttons["clear"].on_click(lambda pressed: self.state.clear())
        self.buttons["table"].on_click(lambda pressed: self.attempt(self.save_table))
        self.buttons["page"].on_click(lambda pressed: self.attempt(self.save_page))
        self.state.listeners.append(self._changed)

    def _clicked(self, selected: Any) -> None:
        if self.map.number is not None:
            self.state.select(self.state.points[self.map.number])

    def _filter(self, value: Any) -> None:
        """Filter as the controls say."""
        classes = [name for name, button in self._class_buttons.items() if button.value]
        low = high = None
        if self._slider is not None:  # at an end of the slider nothing is left out, not even what is not known
            low = self._slider.value[0] if self._slider.value[0] > self._slider.min else None
            high = self._slider.value[1] if self._slider.value[1] < self._slider.max else None
        self.state.show_only(self._symbols(), self.controls["every"].value, classes, low, high)

    def _symbols(self) -> list[str]:
        """The elements that are written in their field."""
        return self.controls["elements"].value.replace(",", " ").split()

    # From the state to the widgets --------------------------------------------------------------------------------

    def _changed(self, what: str) -> None:
        """The state has another map, card or selection."""
        if what == "map":
            with self.following():
                self._follow()
                self.map.show(self.state, *self.structure)
        if what == "card":
            with self.following():
                self.map.select(self.state.number(self.state.selected))
            self._show_card()
        if what in ("map", "selection"):
            self._show_message()

    def _follow(self) -> None:
        """Set the controls as the state is."""
        state, wanted = self.state, self.state.filter
        follow(self.controls["run"], state.run)
        follow(self.controls["colour"], state.colour.key)
        self._offer_filter()
        if set(self._symbols()) != wanted.elements:  # else they stay in the order in which they were written
            self.controls["elements"].value = " ".join(sorted(wanted.elements))
        follow(self.controls["every"], wanted.every)
        for name, button in self._class_buttons.items():
            follow(button, name in wanted.classes)
        if self._slider is not None:
            low = self._slider.min if wanted.low is None else wanted.low
            high = self._slider.max if wanted.high is None else wanted.high
            follow(self._slider, (low, high))

    def _offer_filter(self) -> None:
        """Buttons for the classes, or a slider for the values, of the present colour."""
        colour = self.state.colour
        if colour.key == self._offered:
            return
        self._offered = colour.key
        for old in [*self._class_buttons.values(), *([self._slider] if self._slider else [])]:
            old.close()
        self._class_buttons = {name: _class_button(name, count) for name, _, count in colour.legend()}
        self._slider = None if colour.classes else _value_slider(colour)
        own = [*self._class_buttons.values(), *([self._slider] if self._slider else [])]
        for control in own:
            self.on_change(control, self._filter)
        self._filter_row.children = [self._only, *own, self.controls["every"], self.controls["elements"]]

    def _show_card(self) -> None:
        card = self.state.card()
        self.card.value = card_html(card)
        self._near = list(card.neighbours.index)
        for button in self.neighbours[len(self._near) :]:
            button.layout.display = "none"
        for button, neighbour in zip(self.neighbours, card.neighbours.itertuples(), strict=False):
            said = (neighbour.formula, f"{neighbour.distance:.2f}", neighbour.colour)
            button.description = " · ".join(str(part) for part in said if part)
            button.disabled = not neighbour.on_map
            button.tooltip = "show it" if neighbour.on_map else "not on this map"

    def _show_message(self) -> None:
        self.message.value = words(self.state.message)

    # Files --------------------------------------------------------------------------------------------------------

    def save_table(self) -> Path:
        """Write the selection as `selection.csv`; returns the path."""
        path = self.folder / "selection.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, self.selection().to_csv())
        self.message.value = words(f"Saved {path}.")
        return path

    def save_page(self) -> Path:
        """Write the explorer as `explorer.html`, one file that opens without network; returns the path."""
        path = save_page(self.state, self.folder / "explorer.html", *self.structure)
        self.message.value = words(f"Saved {path}.")
        return path


def _controls(state: ExplorerState) -> dict[str, ipywidgets.Widget]:
    """What is there whatever the colour is."""
    colours = [(colour.axis, key) for key, colour in state.colours.items()]
    return {
        "run": ipywidgets.Dropdown(options=list(state.runs), value=state.run, **named("Embedding")),
        "colour": ipywidgets.Dropdown(options=colours, value=state.colour.key, **named("Colour")),
        "supercell": ipywidgets.IntSlider(
            value=SUPERCELL, min=1, max=LARGEST_SUPERCELL, **named("Supercell", width="250px")
        ),
        "bonds": ipywidgets.Checkbox(value=True, description="bonds", indent=False, layout={"width": "80px"}),
        "elements": ipywidgets.Text(
            placeholder="elements, as in Na Cl", continuous_update=False, layout={"width": "190px"}
        ),
        "every": ipywidgets.Dropdown(
            options=[("with all of", True), ("with any of", False)], value=True, layout={"width": "110px"}
        ),
    }


def _button(description: str, icon: str = "", width: str = "auto") -> ipywidgets.Button:
    return ipywidgets.Button(description=description, icon=icon, layout={"width": width})


def _class_button(name: str, count: int) -> ipywidgets.ToggleButton:
    """Pressed, only its class (and those of other pressed ones) passes."""
    description = f"{name.replace('_', ' ')} ({count:,})"
    return ipywidgets.ToggleButton(value=False, description=description, layout={"width": "auto"})


def _value_slider(colour: Colour) -> ipywidgets.FloatRangeSlider:
    """From the least to the largest value."""
    known = colour.numbers[np.isfinite(colour.numbers)]
    low, high = float(known.min()), float(known.max())
    high = high if high > low else low + 1.0
    return ipywidgets.FloatRangeSlider(
        value=(low, high),
        min=low,
        max=high,
        step=(high - low) / 100,
        readout_format=".3g",
        continuous_update=False,
        **named(colour.unit or "value", width="400px"),
    )
