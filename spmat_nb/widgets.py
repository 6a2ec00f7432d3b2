"""Widgets for notebooks: choose and watch a pretraining, shake distances, explore embeddings, read a study.

Each is a thin view on a state object that works without a browser (`widget.state`), and has a picture of itself for
readers without a kernel (`widget.static_figure()`). Callbacks may run in a second thread, so nothing here uses pyplot.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ipywidgets

from .crystals import CrystalSet
from .plots_live import to_png
from .study.results import Results, result_names, results
from .vocabulary import COLOURS
from .widgets_base import StateView, follow, named, picture, text, words
from .widgets_explorer import EmbeddingExplorer
from .widgets_noise import LARGEST_DELTA, NoiseOnEdges
from .widgets_run import PretrainRun
from .widgets_study import StudyChoice

__all__ = ["EmbeddingExplorer", "GndnSlider", "LossLabelPicker", "StudyExplorer"]

BADGES = {  # dark enough for white letters
    "idle": "#555555",
    "running": COLOURS[0],
    "stopping": "#8A6100",
    "stopped": "#8A6100",
    "finished": "#00734F",
    "failed": "#A33F00",
}
MARKS = {"good": "✓", "note": "ℹ", "warning": "⚠", "stop": "✗"}
LISTS = ("loss", "label", "encoder")
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
        self.controls = _run_controls()
        self.buttons = {
            "start": ipywidgets.Button(description="Start", icon="play", button_style="primary"),
            "stop": ipywidgets.Button(description="Stop", icon="stop"),
            "resume": ipywidgets.Button(description="Resume", icon="step-forward"),
        }
        for button in self.buttons.values():
            button.layout.width = "98px"
        self.status, self.verdict, self.plot = text(), text(), picture()
        self._complaint, self._drawn = "", 0.0
        left = ipywidgets.VBox([*self.controls.values(), ipywidgets.HBox(list(self.buttons.values()))])
        right = ipywidgets.VBox([self.plot, self.status, self.verdict], layout={"flex": "1 1 420px", "min_width": "0"})
        row = ipywidgets.HBox([left, right], layout={"flex_flow": "row wrap", "grid_gap": "16px"})
        super().__init__(PretrainRun(crystals, **options), "picker", [row])
        self.refresh()
        self.connect(self.controls)
        for name, button in self.buttons.items():
            button.on_click(self._does(name))
        self.state.listeners.append(self._changed)

    def _does(self, name: str) -> Callable[[Any], None]:
        """What happens when a button is pressed."""
        return lambda button: self.attempt(getattr(self.state, name))

    def complain(self, sentence: str) -> None:
        """Say in the widget what was wrong."""
        self._complaint = sentence
        self.refresh()

    def _changed(self) -> None:
        self._complaint = ""
        self.refresh()

    def refresh(self) -> None:
        """Show the state as it is now, with what the registries offer now."""
        state = self.state
        with self.following():
            self._draw()  # first, so that the words never speak of a picture that is not there yet
            for field, control in self.controls.items():
                if field in LISTS:
                    control.options = list(state.options(field).items())
                follow(control, state.chosen(field))
                control.disabled = state.busy or (field == "label" and not state.needs_label)
            self.buttons["start"].disabled = state.busy
            self.buttons["stop"].disabled = state.state != "running"
            self.buttons["resume"].disabled = not state.can_resume
            badge = f'<span class="spmat-badge" style="background:{BADGES[state.state]}">{state.state}</span>'
            self.status.value = f"{badge} {words(self._complaint or state.message)}"
            said = [f"{MARKS[level]} {words(sentence)}" for level, sentence in state.verdicts]
            self.verdict.value = "<br>".join(said)

    def _draw(self) -> None:
        """Draw anew, but not more often than a reader can follow while a run goes on."""
        now = time.monotonic()
        if self.state.state != "running" or now - self._drawn > PAUSE:
            self._drawn = now
            self.plot.value = to_png(self.state.static_figure())


def _run_controls() -> dict[str, ipywidgets.Widget]:
    """One control for each field."""
    names = {"loss": "Loss", "label": "Label", "encoder": "Encoder"}
    numbers = {"epochs": ("Epochs", 1), "seed": ("Seed", 0), "batch_size": ("Batch size", 2)}
    delta = {"min": 0, "max": LARGEST_DELTA, "step": 0.05, "readout_format": ".2f", "continuous_update": False}
    return {
        **{field: ipywidgets.Dropdown(**named(name)) for field, name in names.items()},
        "delta": ipywidgets.FloatSlider(**delta, **named("GNDN δ (Å)")),
        **{
            field: ipywidgets.BoundedIntText(min=least, max=10_000, **named(name))
            for field, (name, least) in numbers.items()
        },
    }


class PictureView(StateView):
    """Controls of the fields of a state, a picture of it and what it says in words.

    Attributes:
        controls: by field.
        plot: the picture.
        message: the words, or what was wrong.
    """

    controls: dict[str, ipywidgets.Widget]
    plot: ipywidgets.Image
    message: ipywidgets.HTML

    def begin(self) -> None:
        """Show the state, and follow it from now on."""
        self.refresh()
        self.connect(self.controls)
        self.state.listeners.append(self.refresh)

    def complain(self, sentence: str) -> None:
        """Say in the widget what was wrong."""
        self.message.value = words(sentence)

    def offer(self) -> None:
        """Renew what lists hold, where that depends on the state."""

    def refresh(self) -> None:
        """Show the state as it is now."""
        with self.following():
            self.offer()
            for field, control in self.controls.items():
                follow(control, getattr(self.state, field))
            self.plot.value = to_png(self.state.static_figure())
            self.message.value = words(self.state.message)


class GndnSlider(PictureView):
    """What GNDN does to the edges of one crystal: lengths before and after, and the change of each edge.

    Args:
        crystals: structures by name, or a `CrystalSet` of at most 200 crystals.
        options: of `NoiseOnEdges`: crystal, delta, symmetric, seed.
    """

    state: NoiseOnEdges

    def __init__(self, crystals: "Mapping[str, Any] | CrystalSet", **options: Any) -> None:
        state = NoiseOnEdges(crystals, **options)
        self.controls = {
            "crystal": ipywidgets.Dropdown(options=list(state.cells), **named("Crystal", width="270px")),
            "delta": ipywidgets.FloatSlider(
                min=0, max=LARGEST_DELTA, step=0.05, readout_format=".2f", **named("δ (Å)", width="280px")
            ),
            "symmetric": ipywidgets.Checkbox(
                description="same noise for i-j and j-i", indent=False, layout={"width": "190px"}
            ),
        }
        self.again = ipywidgets.Button(description="New noise", icon="refresh", layout={"width": "110px"})
        self.plot, self.message = picture(), text()
        row = ipywidgets.HBox([*self.controls.values(), self.again], layout={"flex_flow": "row wrap"})
        super().__init__(state, "gndn", [row, self.plot, self.message])
        self.begin()
        self.again.on_click(lambda button: self.state.choose(seed=self.state.seed + 1))


class StudyExplorer(PictureView):
    """Pick a study, a target, a reference and arms; see their changes with intervals, and what they say in words.

    Args:
        studies: with their records; all that come with the project if None.
        values: to begin with: study, target, reference, arms.
    """

    state: StudyChoice

    def __init__(self, studies: Iterable[Results] | None = None, **values: Any) -> None:
        state = StudyChoice([results(name) for name in result_names()] if studies is None else studies, **values)
        self.controls = {
            field: ipywidgets.Dropdown(**named(field.capitalize(), width="420px"))
            for field in ("study", "target", "reference")
        } | {"arms": ipywidgets.SelectMultiple(rows=9, **named("Arms", width="420px"))}
        self.plot, self.message = picture(), text()
        hint = text(words("No arm chosen: all are shown. Ctrl or Shift and click choose several."))
        left = ipywidgets.VBox([*self.controls.values(), hint])
        right = ipywidgets.VBox([self.plot, self.message], layout={"flex": "1 1 520px", "min_width": "0"})
        row = ipywidgets.HBox([left, right], layout={"flex_flow": "row wrap", "grid_gap": "16px"})
        super().__init__(state, "study", [row])
        self.begin()

    def offer(self) -> None:
        """Show what each field may be now."""
        for field, control in self.controls.items():
            options = list(self.state.options(field).items())
            if list(control.options) != options:
                control.options = options
