"""Widgets for notebooks: choose and watch a pretraining, shake distances, explore embeddings.

Each is a thin view on a state object that works without a browser (`widget.state`), and has a picture of itself for
readers without a kernel (`widget.static_figure()`). Callbacks may run in a second thread, so nothing here uses pyplot.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets

from .crystals import CrystalSet
from .errors import SpmatError
from .plots_live import to_png
from .vocabulary import COLOURS
from .widgets_base import StateView, named, picture, text, words
from .widgets_explorer import EmbeddingExplorer
from .widgets_noise import LARGEST_DELTA, NoiseOnEdges
from .widgets_run import PretrainRun

__all__ = ["EmbeddingExplorer", "GndnSlider", "LossLabelPicker"]

BADGES = {
    "idle": "#555555",
    "running": COLOURS[0],
    "stopping": "#8A6100",
    "stopped": "#8A6100",
    "finished": "#00734F",
    "failed": "#A33F00",
}
MARKS = {"good": "✓", "note": "ℹ", "warning": "⚠", "stop": "✗"}
PAUSE = 0.4  # seconds between two drawings while a run goes on


class LossLabelPicker(StateView):
    """Choose a loss, a label and an encoder, and pretrain without blocking the notebook.

    Start, stop and resume; loss and effective rank are drawn after every epoch, with a verdict in words. A run that
    was stopped leaves a folder that `load_pretrained` reads; its path is shown.

    Args:
        crystals: to pretrain on.
        options: of `PretrainRun`: folder, settings, sizes, graphs, device.
    """

    state: PretrainRun

    def __init__(self, crystals: CrystalSet, **options: Any) -> None:
        state = PretrainRun(crystals, **options)
        self.controls = _run_controls(state)
        self.buttons = {
            "start": ipywidgets.Button(description="Start", icon="play", button_style="primary"),
            "stop": ipywidgets.Button(description="Stop", icon="stop"),
            "resume": ipywidgets.Button(description="Resume", icon="step-forward"),
        }
        for button in self.buttons.values():
            button.layout.width = "98px"
        self.status, self.verdict, self.plot = text(), text(), picture()
        self.complaint = ""
        self._refreshing = threading.RLock()
        self._drawn = 0.0
        left = ipywidgets.VBox([*self.controls.values(), ipywidgets.HBox(list(self.buttons.values()))])
        right = ipywidgets.VBox([self.plot, self.status, self.verdict], layout={"flex": "1 1 420px", "min_width": "0"})
        row = ipywidgets.HBox([left, right], layout={"flex_flow": "row wrap", "grid_gap": "16px"})
        super().__init__(state, "picker", [row])
        for field, control in self.controls.items():
            control.observe(self._chosen(field), "value")
        for name, button in self.buttons.items():
            button.on_click(self._does(name))
        state.listeners.append(self.refresh)
        self.refresh()

    def _chosen(self, field: str) -> Callable[[Mapping[str, Any]], None]:
        """What happens when a control has a new value."""
        return lambda change: self._try(lambda: self.state.choose(**{field: change["new"]}))

    def _does(self, name: str) -> Callable[[Any], None]:
        """What happens when a button is pressed."""
        return lambda button: self._try(getattr(self.state, name))

    def _try(self, action: Callable[[], None]) -> None:
        """Do it; what was wrong is said in the widget."""
        self.complaint = ""
        try:
            action()
        except SpmatError as error:
            self.complaint = str(error)
        self.refresh()

    def refresh(self) -> None:
        """Show the state as it is now."""
        with self._refreshing:
            state = self.state
            for field, control in self.controls.items():
                control.disabled = state.busy or (field == "label" and not state.needs_label)
            self.buttons["start"].disabled = state.busy
            self.buttons["stop"].disabled = state.state != "running"
            self.buttons["resume"].disabled = not state.can_resume
            badge = f'<span class="spmat-badge" style="background:{BADGES[state.state]}">{state.state}</span>'
            self.status.value = f"{badge} {words(self.complaint or state.message)}"
            said = [f"{MARKS[level]} {words(sentence)}" for level, sentence in state.verdicts]
            self.verdict.value = "<br>".join(said)
            self._draw()

    def _draw(self) -> None:
        """Draw anew, but not more often than a reader can follow while a run goes on."""
        now = time.monotonic()
        if self.state.state != "running" or now - self._drawn > PAUSE:
            self._drawn = now
            self.plot.value = to_png(self.state.static_figure())


def _run_controls(state: PretrainRun) -> dict[str, ipywidgets.Widget]:
    """One control for each field, with its present value."""
    lists = {field: list(state.options(field).items()) for field in ("loss", "label", "encoder")}
    whole = {"epochs": (1, 1000), "seed": (0, 9999), "batch_size": (2, 4096)}
    names = {"loss": "Loss", "label": "Label", "encoder": "Encoder", "epochs": "Epochs", "seed": "Seed"}
    controls: dict[str, ipywidgets.Widget] = {
        field: ipywidgets.Dropdown(options=options, value=state.chosen(field), **named(names[field]))
        for field, options in lists.items()
    }
    controls["delta"] = ipywidgets.FloatSlider(
        value=state.chosen("delta"),
        min=0,
        max=LARGEST_DELTA,
        step=0.05,
        readout_format=".2f",
        continuous_update=False,
        **named("GNDN δ (Å)"),
    )
    for field, (low, high) in whole.items():
        name = names.get(field, "Batch size")
        controls[field] = ipywidgets.BoundedIntText(value=state.chosen(field), min=low, max=high, **named(name))
    return controls


class GndnSlider(StateView):
    """What GNDN does to the edges of one crystal: lengths before and after, and the change of each edge.

    Args:
        crystals: structures by name, or a `CrystalSet` of at most 200 crystals.
        options: of `NoiseOnEdges`: crystal, delta, symmetric, seed.
    """

    state: NoiseOnEdges

    def __init__(self, crystals: "Mapping[str, Any] | CrystalSet", **options: Any) -> None:
        state = NoiseOnEdges(crystals, **options)
        self.controls = {
            "crystal": ipywidgets.Dropdown(
                options=list(state.cells), value=state.crystal, **named("Crystal", width="270px")
            ),
            "delta": ipywidgets.FloatSlider(
                value=state.delta,
                min=0,
                max=LARGEST_DELTA,
                step=0.05,
                readout_format=".2f",
                **named("δ (Å)", width="280px"),
            ),
            "symmetric": ipywidgets.Checkbox(
                value=state.symmetric, description="same noise for i-j and j-i", indent=False, layout={"width": "190px"}
            ),
        }
        self.again = ipywidgets.Button(description="New noise", icon="refresh", layout={"width": "110px"})
        self.plot, self.message = picture(), text()
        row = ipywidgets.HBox([*self.controls.values(), self.again], layout={"flex_flow": "row wrap"})
        super().__init__(state, "gndn", [row, self.plot, self.message])
        for field, control in self.controls.items():
            control.observe(self._chosen(field), "value")
        self.again.on_click(lambda button: self._choose(seed=self.state.seed + 1))
        self.refresh()

    def _chosen(self, field: str) -> Callable[[Mapping[str, Any]], None]:
        return lambda change: self._choose(**{field: change["new"]})

    def _choose(self, **values: Any) -> None:
        self.state.choose(**values)
        self.refresh()

    def refresh(self) -> None:
        """Show the state as it is now."""
        self.plot.value = to_png(self.state.static_figure())
        self.message.value = words(self.state.message)
