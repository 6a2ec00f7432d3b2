"""The linked map and crystal of the explorer: chemiscope's widget, quiet, in our colours, with data that can change."""

import json
from typing import Any

import numpy as np
from chemiscope.widget import ChemiscopeWidget
from traitlets import Dict, Int, Unicode

from .explorer import ExplorerState
from .explorer_scope import (
    dataset,
    drawing_order,
    dressing,
    settings,
    structure_settings,
    to_chemiscope,
    widget_script,
)


class LinkedMap(ChemiscopeWidget):
    """A map and the crystal behind its selected point; `show` replaces what is on it.

    Structures stay in Python: chemiscope asks for the one that is clicked. Nothing is reported to anybody (see
    `explorer_scope`).

    Args:
        state: what to show.
        supercell: repetitions of the cell along each axis.
        bonds: whether lines join neighbouring atoms.
    """

    _esm = widget_script()[0]
    value = Unicode()  # not synchronised: it goes with the scene
    selected_ids: Any = Dict().tag(sync=True)
    scene = Dict().tag(sync=True)
    fitted = Int(0).tag(sync=True)  # counts requests to show the whole crystal

    def __init__(self, state: ExplorerState, supercell: int, bonds: bool) -> None:
        structures = [to_chemiscope(cell) for cell in state.crystals.cells]
        self._order = np.arange(len(state))
        data = dataset(state, structures, settings(state, self._order), self._order)
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
            "settings": {name: part for name, part in look.items() if name != "pinned"},
            "selected": look["pinned"][0],
            "dressing": dressing(state, self._order),
        }

    def show_structure(self, supercell: int, bonds: bool) -> None:
        """Draw the crystal in another way."""
        self.settings = {"structure": [structure_settings(supercell, bonds)]}
        self.fitted += 1

    def select(self, number: int) -> None:
        """Select a point of the state."""
        if number != self.number:
            self.selected_ids = {"structure": int(np.flatnonzero(self._order == number)[0])}

    @property
    def number(self) -> int | None:
        """The selected point of the state; None while nothing is."""
        place = self.selected_ids.get("structure")
        return int(self._order[place]) if isinstance(place, int) and 0 <= place < len(self._order) else None
