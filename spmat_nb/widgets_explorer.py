"""The `EmbeddingExplorer`: controls, chemiscope's linked map and crystal, the card, and what to do with a selection."""

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import pandas as pd
from chemiscope.widget import ChemiscopeWidget
from traitlets import Dict, Int, Unicode

from .crystals import CrystalSet
from .errors import SpmatError
from .explorer import ExplorerState
from .explorer_colours import Colour
from .explorer_figure import draw
from .explorer_page import card_html, save_page
from .explorer_scope import dataset, drawing_order, dressing, settings, structure_settings, to_chemiscope, widget_script
from .files import write_text
from .settings import runs_dir
from .widgets_base import StateView, named, text, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST_SUPERCELL = 4
_WRAP = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "4px 12px"}


class LinkedMap(ChemiscopeWidget):
    """chemiscope's map and crystal, quiet and in the colours of this project; `show` replaces what is on it."""

    _esm = widget_script()[0]
    value = Unicode()  # goes with the scene, once
    selected_ids: Any = Dict().tag(sync=True)
    scene = Dict().tag(sync=True)
    fitted = Int(0).tag(sync=True)  # counts requests to show the whole crystal

    def __init__(self, state: ExplorerState, supercell: int, bonds: bool) -> None:
        structures = [to_chemiscope(cell) for cell in state.crystals.cells]
        self._order = np.arange(len(state))
        data = dataset(state, structures, settings(state, self._order), self._order)
        # chemiscope keeps the structures here and takes each when it is clicked, by the name in its reference.
        super().__init__(data, has_metadata=True, warning_timeout=-1, cache_structures=True)
        self._references = data["structures"]
        self.show(state, supercell, bonds)

    def show(self, state: ExplorerState, supercell: int, bonds: bool) -> None:
        """Draw the present map of a state, whose points are those of before."""
        self._order = drawing_order(state)
        look = settings(state, self._order, supercell, bonds, widget_script()[1])
        references = [self._references[number] for number in self._order]
        self.value = json.dumps(dataset(state, references, look, self._order))
        self.selected_ids = {"structure": look["pinned"][0]}
        self.scene = {
            "value": self.value,
            "settings": {k: v for k, v in look.items() if k != "pinned"},
            "selected": look["pinned"][0],
            "dressing": dressing(state, self._order),
        }

    def show_structure(self, supercell: int, bonds: bool) -> None:
        """Draw the crystal in another way."""
        self.settings = {"structure": [structure_settings(supercell, bonds)]}
        self.fitted += 1

    def select(self, number: int) -> None:
        """Select a point of the state."""
        if number != self.number():
            self.selected_ids = {"structure": int(np.flatnonzero(self._order == number)[0])}

    def number(self) -> int | None:
        """The selected point of the state."""
        place = self.selected_ids.get("structure")
        return int(self._order[place]) if isinstance(place, int) and 0 <= place < len(self._order) else None


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
        self.buttons = {
            "keep": ipywidgets.Button(description="Keep this crystal", icon="thumb-tack"),
            "clear": ipywidgets.Button(description="Clear kept", icon="eraser"),
            "table": ipywidgets.Button(description="Save selection (CSV)", icon="table"),
            "page": ipywidgets.Button(description="Save page (HTML)", icon="file-code-o"),
        }
        for button in self.buttons.values():
            button.layout.width = "190px"
        self.map = LinkedMap(state, *self._structure())
        self.card, self.message = text(), text()
        self.neighbours = ipywidgets.VBox(layout={"flex": "1 1 300px"})
        self.card.add_class("spmat-card")
        self.card.layout.flex = "1 1 320px"
        self._busy = threading.RLock()
        top = ipywidgets.HBox([self.controls[n] for n in ("run", "colour", "supercell", "bonds")], layout=_WRAP)
        self._fixed_filters = [text("Only crystals"), self.controls["elements"], self.controls["every"]]
        self.filters = ipywidgets.HBox(layout=_WRAP)
        below = ipywidgets.HBox([self.card, self.neighbours], layout=_WRAP | {"align_items": "flex-start"})
        actions = ipywidgets.HBox(list(self.buttons.values()), layout=_WRAP)
        rows = [top, self.filters, self.map, self.message, below, actions]
        super().__init__(state, "explorer", rows)
        self._offer_filter()
        self._connect()
        self._show_card()
        self._show_message()

    def selection(self) -> pd.DataFrame:
        """The kept crystals; if none was kept, all that pass the filter."""
        return self.state.selection()

    def static_figure(self) -> "Figure":
        """Map, selected crystal and card, for readers of a page and for print."""
        return draw(self.state)

    # From the controls to the state -------------------------------------------------------------------------------

    def _connect(self) -> None:
        on = {
            "run": lambda value: self.state.show_run(value),
            "colour": lambda value: self.state.colour_by(value),
            "elements": lambda value: self._filter(),
            "every": lambda value: self._filter(),
            "supercell": lambda value: self._show_structure(),
            "bonds": lambda value: self._show_structure(),
        }
        for name, action in on.items():
            self.controls[name].observe(self._guarded(action), "value")
        self.map.observe(self._guarded(self._clicked), "selected_ids")
        self.buttons["keep"].on_click(lambda button: self.state.keep())
        self.buttons["clear"].on_click(lambda button: self.state.clear())
        self.buttons["table"].on_click(lambda button: self._save(self.save_table))
        self.buttons["page"].on_click(lambda button: self._save(self.save_page))
        self.state.listeners.append(self._changed)

    def _guarded(self, action: Callable[[Any], None]) -> Callable[[Mapping[str, Any]], None]:
        """An observer; what was wrong is said in the widget."""

        def observer(change: Mapping[str, Any]) -> None:
            with self._busy:
                try:
                    action(change["new"])
                except SpmatError as error:
                    self.message.value = words(str(error))

        return observer

    def _clicked(self, selected: Mapping[str, Any]) -> None:
        number = self.map.number()
        if number is not None:
            self.state.select(self.state.points[number])

    def _filter(self) -> None:
        """The filter as the controls have it."""
        classes = [name for name, button in self._class_buttons.items() if button.value]
        low = high = None
        if self._slider is not None:  # at an end of the slider nothing is left out, not even what is not known
            low = self._slider.value[0] if self._slider.value[0] > self._slider.min else None
            high = self._slider.value[1] if self._slider.value[1] < self._slider.max else None
        self.state.show_only(self.controls["elements"].value, self.controls["every"].value, classes, low, high)

    # From the state to the widgets --------------------------------------------------------------------------------

    def _changed(self, what: str) -> None:
        """The state has another map, card or selection."""
        if what == "map":
            if self.state.colour.key != self._offered:
                self._offer_filter()
            self.map.show(self.state, *self._structure())
        if what == "card":
            self.map.select(self.state.number(self.state.selected))
            self._show_card()
        if what in ("map", "selection"):
            self._show_message()

    def _show_card(self) -> None:
        card = self.state.card()
        self.card.value = card_html(card)
        self.neighbours.children = [
            text("Nearest in embedding space, by distance in standardised units:"),
            *(self._go(neighbour) for neighbour in card.neighbours.itertuples()),
        ]

    def _go(self, neighbour: Any) -> ipywidgets.Button:
        """A button to a neighbour."""
        said = f"{neighbour.formula} · {neighbour.distance:.2f} · {neighbour.colour}".removesuffix(" · ")
        where = "" if neighbour.on_map else "not on this map"
        button = ipywidgets.Button(description=said, tooltip=where or "show it", disabled=not neighbour.on_map)
        button.layout.width = "300px"
        button.add_class("spmat-go")
        button.on_click(lambda pressed: self.state.select(neighbour.Index))
        return button

    def _show_message(self) -> None:
        self.message.value = words(self.state.message)

    def _show_structure(self) -> None:
        self.map.show_structure(*self._structure())

    def _structure(self) -> tuple[int, bool]:
        """Supercell and bonds as the controls have them."""
        return self.controls["supercell"].value, self.controls["bonds"].value

    def _offer_filter(self) -> None:
        """Buttons for the classes, or a slider for the values, of the present colour."""
        colour = self.state.colour
        self._offered = colour.key
        self._class_buttons = {} if not colour.classes else {n: _class_button(n, c) for n, _, c in colour.legend()}
        for button in self._class_buttons.values():
            button.observe(self._guarded(lambda value: self._filter()), "value")
        slider = None if colour.classes else _value_slider(colour)
        if slider is not None:
            slider.observe(self._guarded(lambda value: self._filter()), "value")
        self._slider = slider
        self.filters.children = [*self._fixed_filters, *self._class_buttons.values(), *([slider] if slider else [])]

    # Files --------------------------------------------------------------------------------------------------------

    def save_table(self) -> Path:
        """Write the selection as `selection.csv`; returns the path."""
        path = self.folder / "selection.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, self.selection().to_csv())
        return path

    def save_page(self) -> Path:
        """Write the explorer as `explorer.html`, one file that opens without network; returns the path."""
        return save_page(self.state, self.folder / "explorer.html", *self._structure())

    def _save(self, write: Callable[[], Path]) -> None:
        """Write a file and say where, or why not."""
        try:
            self.message.value = words(f"Saved {write()}.")
        except OSError as error:
            self.message.value = words(f"Nothing was saved: {error.strerror}.")


def _controls(state: ExplorerState) -> dict[str, ipywidgets.Widget]:
    """What is there whatever the colour is."""
    colours = [(colour.axis, key) for key, colour in state.colours.items()]
    return {
        "run": ipywidgets.Dropdown(options=list(state.runs), value=state.run, **named("Embedding")),
        "colour": ipywidgets.Dropdown(options=colours, value=state.colour.key, **named("Colour")),
        "supercell": ipywidgets.IntSlider(value=2, min=1, max=LARGEST_SUPERCELL, **named("Supercell", width="250px")),
        "bonds": ipywidgets.Checkbox(value=True, description="bonds", indent=False, layout={"width": "80px"}),
        "elements": ipywidgets.TagsInput(
            value=[], allowed_tags=state.elements, allow_duplicates=False, placeholder="with element ..."
        ),
        "every": ipywidgets.Dropdown(
            options=[("all of these", True), ("any of these", False)], value=True, layout={"width": "120px"}
        ),
    }


def _class_button(name: str, count: int) -> ipywidgets.ToggleButton:
    """Pressed, only its class (and those of other pressed ones) passes."""
    button = ipywidgets.ToggleButton(value=False, description=f"{name.replace('_', ' ')} ({count:,})")
    button.layout.width = "auto"
    return button


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
