"""What the `LossLabelPicker` knows and does, without a widget: choices, a run in a thread, its history and verdict."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from . import checkpoints
from .crystals import CrystalSet
from .encoders import ENCODERS
from .errors import SettingsError, SpmatError, unknown
from .judgements import FEWEST, judge_history
from .labels import available_labels, get_label
from .losses import LOSSES, get_loss
from .plots_live import new_figure, run_progress
from .pretrain import pretrain, validation_split, with_used_label
from .settings import EncoderSettings, PretrainSettings, runs_dir
from .training import RESUME, Background

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .graphs import GraphSet
    from .models import Pretrained

STATES = ("idle", "running", "stopping", "stopped", "finished", "failed")
BUSY = ("running", "stopping")
FIELDS = ("loss", "label", "encoder", "delta", "epochs", "seed", "batch_size")


class PretrainRun:
    """Choose a pretraining run, start it in a thread, watch it, stop it, and go on with it.

    Every choice has a folder of its own below `folder`: a stopped run can be resumed as long as it is there, also
    after the kernel was restarted. However a run ends, but for an error, its encoder lies in that folder and can be
    read with `load_pretrained`.

    Args:
        crystals: to pretrain on.
        folder: where runs are kept; `picker` in the folder of runs if None.
        settings: to begin with; what the widget does not show stays as it is here.
        sizes: of the encoder.
        graphs: of the same crystals, if built before.
        device: where to compute; chosen if None.

    Attributes:
        settings: of the next run, or of the one that is shown.
        sizes: the same for the encoder.
        state: one of `STATES`.
        history: one row a finished epoch.
        model: what the last run returned.
        checkpoint: the folder with its weights.
        error: why it failed, in a sentence.
        listeners: called without arguments after every change, also from the thread of the run.
    """

    def __init__(
        self,
        crystals: CrystalSet,
        folder: str | Path | None = None,
        settings: PretrainSettings | None = None,
        sizes: EncoderSettings | None = None,
        graphs: "GraphSet | None" = None,
        device: str | None = None,
    ) -> None:
        self.crystals, self.graphs, self.device = crystals, graphs, device
        self.root = Path(folder) if folder is not None else runs_dir() / "picker"
        self.settings = settings or PretrainSettings(label=next(iter(available_labels(crystals.table)), None))
        self.sizes = sizes or EncoderSettings()
        self.state = "idle"
        self.history = pd.DataFrame()
        self.model: Pretrained | None = None
        self.checkpoint: Path | None = None
        self.error = ""
        self.listeners: list[Callable[[], None]] = []
        self._background: Background | None = None
        self._rows: list[dict[str, float]] = []
        self._lock = threading.Lock()  # between "stop" and an end that comes at the same moment
        self._show_saved()

    # What can be chosen -------------------------------------------------------------------------------------------

    def options(self, field: str) -> dict[str, str]:
        """Title to key of what the registries offer for a field: `loss`, `label` or `encoder`.

        Raises:
            SettingsError: another field.
        """
        offers: Mapping[str, Callable[[], dict[str, str]]] = {
            "loss": lambda: {loss.title: key for key, loss in LOSSES.items()},
            "label": self._label_options,
            "encoder": lambda: {key: key for key in ENCODERS},
        }
        if field not in offers:
            raise unknown("field with options", field, offers)
        return offers[field]()

    def _label_options(self) -> dict[str, str]:
        """The labels that the data has, and the present one if it is made from others."""
        present = [self.settings.label] if self.settings.label else []
        keys = dict.fromkeys([*available_labels(self.crystals.table), *present])
        return {get_label(key).title: key for key in keys}

    def chosen(self, field: str) -> Any:
        """The present value of a field of `FIELDS`."""
        if field == "encoder":
            return self.sizes.name
        return self.settings.augment.delta if field == "delta" else getattr(self.settings, field)

    def choose(self, **values: Any) -> None:
        """Set fields of `FIELDS`; the run that was shown before stays in its folder.

        Raises:
            SettingsError: a run is going on, an unknown field, or a value that is not allowed.
        """
        settings, sizes = self.settings, self.sizes
        for field, value in values.items():
            if field not in FIELDS:
                raise unknown("field", field, FIELDS)
            if field == "encoder":
                sizes = replace(sizes, name=_known("encoder", value, ENCODERS))
            elif field == "delta":
                settings = replace(settings, augment=replace(settings.augment, delta=value))
            else:
                settings = replace(settings, **{field: _check(field, value)})
        if (settings, sizes) == (self.settings, self.sizes):
            return
        if self.busy:
            raise SettingsError("A run is going on: stop it before you choose another.")
        self.settings, self.sizes = settings, sizes
        self._show_saved()

    @property
    def needs_label(self) -> bool:
        """Whether the chosen loss looks at a label."""
        return get_loss(self.settings.loss).needs_label

    @property
    def folder(self) -> Path:
        """Where the chosen run is kept."""
        used = with_used_label(self.settings)
        label = "" if used.label is None else "-" + "".join(c if c.isalnum() or c in "_." else "_" for c in used.label)
        size = f"d{used.augment.delta:g}-e{used.epochs}-b{used.batch_size}-s{used.seed}"
        return self.root / f"{used.loss}{label}-{self.sizes.name}-{size}"

    # What can be done ---------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a run is going on."""
        return self.state in BUSY

    @property
    def can_resume(self) -> bool:
        """Whether the chosen run was begun and not finished."""
        return not self.busy and 0 < len(self.history) < self.settings.epochs and self._saved_epochs() > 0

    def start(self) -> None:
        """Begin the chosen run from its first epoch, and return at once.

        Raises:
            SettingsError: a run is going on.
        """
        self._begin(resume=False)

    def resume(self) -> None:
        """Go on after the last finished epoch, and return at once.

        Raises:
            SettingsError: a run is going on, or there is nothing to go on with.
        """
        if not self.busy and not self.can_resume:
            raise SettingsError("There is no unfinished run of these settings: start one.")
        self._begin(resume=True)

    def stop(self) -> None:
        """Ask the run to end after the batch it is in; without one nothing happens."""
        with self._lock:
            if self.state != "running" or self._background is None:
                return
            self._background.stop()
            self.state = "stopping"
        self._tell()

    def wait(self, timeout: float | None = None) -> str:
        """Wait for the end of the run; returns the state.

        Raises:
            TrainingError: it still runs after `timeout` seconds.
        """
        if self._background is not None:
            self._background.result(timeout)
        return self.state

    def _begin(self, resume: bool) -> None:
        if self.busy:
            raise SettingsError("A run is going on already.")
        if not resume:
            self.history = pd.DataFrame()
        self._rows = self.history.to_dict("records")  # type: ignore[assignment]
        self.model, self.checkpoint, self.error, self.state = None, None, "", "running"
        self._background = Background(self._train, resume, self.folder, callbacks=[self._add])
        self._tell()

    def _train(self, resume: bool, folder: Path, **options: Any) -> None:
        """The whole run, in its thread; an error becomes a sentence."""
        try:
            model = pretrain(
                self.crystals,
                self.settings,
                self.sizes,
                self.graphs,
                device=self.device,
                folder=folder,
                resume=resume,
                **options,
            )
            model.save_pretrained(folder)
        except SpmatError as error:
            self._fail(str(error))
        except Exception as error:  # whatever it was, a thread has nobody else to tell it to
            self._fail(f"{type(error).__name__}: {error}")
        else:
            self.model, self.checkpoint, self.history = model, folder, model.history
            self._change("finished" if len(model.history) >= self.settings.epochs else "stopped")

    def _add(self, row: dict[str, float]) -> None:
        """One more epoch is done."""
        self._rows = [*self._rows, row]
        self.history = pd.DataFrame(self._rows)
        self._tell()

    def _fail(self, sentence: str) -> None:
        self.error = " ".join(sentence.split())
        self._change("failed")

    def _change(self, state: str) -> None:
        with self._lock:
            self.state = state
        self._tell()

    def _tell(self) -> None:
        for listener in list(self.listeners):
            listener()

    def _saved_epochs(self) -> int:
        """Finished epochs in the folder of the chosen run."""
        return len(_read_history(self.folder / RESUME))

    def _show_saved(self) -> None:
        """Show what is on disk of the chosen run."""
        self.history, self.model, self.error = _read_history(self.folder / RESUME), None, ""
        saved = len(self.history) > 0 and (self.folder / checkpoints.CONFIG).is_file()
        self.checkpoint = self.folder if saved else None
        ended = "finished" if len(self.history) >= self.settings.epochs else "stopped"
        self._change(ended if len(self.history) else "idle")

    # What can be seen ---------------------------------------------------------------------------------------------

    @property
    def message(self) -> str:
        """Where the run is, in a sentence or two."""
        done, epochs = len(self.history), self.settings.epochs
        said = f"{done} of {epochs} epochs"
        texts = {
            "idle": "Choose, then start.",
            "running": f"{said} done{self._time_left()}." if done else "Preparing, then the first epoch.",
            "stopping": "Stopping after the present batch.",
            "stopped": f"Stopped after {said}.",
            "finished": f"Finished: {said}.",
            "failed": self.error,
        }
        kept = f" Saved in {self.checkpoint}." if self.checkpoint and self.state in ("stopped", "finished") else ""
        return texts[self.state] + kept

    def _time_left(self) -> str:
        left = self.history["seconds"].iloc[-1] / len(self.history) * (self.settings.epochs - len(self.history))
        return f", about {left:.0f} s left" if left >= 1 else ""

    @property
    def verdicts(self) -> list[tuple[str, str]]:
        """What is to be said of the run so far: pairs of a level (`good`, `note`, `warning`, `stop`) and a sentence."""
        if self.history.empty:
            return []
        held_out = len(validation_split(len(self.crystals), self.settings)[0])
        found = judge_history(self.history, self.settings, held_out)
        said = [(finding.level, _sentence(finding.text)) for finding in found] or [("good", self._all_well())]
        if held_out < FEWEST:
            said.append(("note", f"A collapse cannot be judged by {held_out} held-out crystals: {FEWEST} are needed."))
        return said

    def _all_well(self) -> str:
        last, rank = self.history.iloc[-1], ""
        if "effective_rank" in last:
            rank = f", effective rank {last['effective_rank']:.1f} of {self.sizes.hidden}"
        return f"Nothing to warn of: loss {last['loss']:.3g}{rank}."

    def static_figure(self) -> "Figure":
        """The plot of the widget, for readers of a page and for print."""
        figure = new_figure(8.6, 3.1)
        run_progress(self.history, self.settings.epochs, self.sizes.hidden, figure.subplots(1, 2))
        loss = get_loss(self.settings.loss).title
        label = f", {get_label(self.settings.label).title}" if self.needs_label and self.settings.label else ""
        data = f"data: {self.crystals.name}, {len(self.crystals)} crystals"
        figure.suptitle(f"{loss}{label}, {self.sizes.name}: {self.state}   ({data})", fontsize=9, color="#555555")
        return figure


def _known(kind: str, key: str, registry: Mapping[str, Any]) -> str:
    if key not in registry:
        raise unknown(kind, key, registry)
    return key


def _check(field: str, value: Any) -> Any:
    """The value, if its registry knows it."""
    if field == "loss":
        get_loss(value)
    elif field == "label" and value is not None:
        get_label(value)
    return value


def _read_history(folder: Path) -> pd.DataFrame:
    """The finished epochs of a saved state; none if there is no state, or if it cannot be read."""
    try:
        return pd.DataFrame() if not folder.is_dir() else checkpoints.load(folder, RESUME)[2]
    except SpmatError:
        return pd.DataFrame()


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
