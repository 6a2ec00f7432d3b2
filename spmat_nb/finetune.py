"""Fine-tuning: a regression head on an encoder, from a pretrained start or from scratch; one visible loop."""

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .crystals import CrystalSet
from .depth import encoder_groups, kept_weights
from .embed import in_batches
from .errors import InputError, TrainingError
from .graphs import GraphSet, build_graphs
from .labels import get_label
from .models import Pretrained, check_count, check_graphs, describe, load_pretrained, random_encoder
from .progress import Progress
from .property_models import PARTS, Finetuned, PropertyModel, column_names, measure, predict_all
from .sampling import shuffled_batches
from .settings import EncoderSettings, FinetuneSettings, identity_of
from .settings import device as pick_device
from .training import (
    Callback,
    RunState,
    Stopped,
    autocast,
    check_stop,
    keep_best,
    make_adam,
    rate_factor,
    set_rates,
    step_or_explain,
    use_best,
)

GROWTH = 1e4  # a training loss that many times its first value is divergence


def finetune(
    crystals: CrystalSet,
    init: "Pretrained | str | Path" = "scratch",
    settings: FinetuneSettings | None = None,
    sizes: EncoderSettings | None = None,
    graphs: GraphSet | None = None,
    device: str | None = None,
    show: bool = True,
    pretraining_formulas: pd.Series | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    stop: Event | None = None,
    callbacks: Iterable[Callback] = (),
    parts: tuple[str, ...] = PARTS,
) -> Finetuned:
    """Train on the rows of split `train`, keep the epoch that is best on `val`, and test it once on `test`.

    Args:
        crystals: rows of the splits `train`, `val` and `test`; others are ignored.
        init: `"scratch"`, a `Pretrained`, or the folder or name of one.
        settings: targets, what is kept and trained, epochs, rates, seed. The seed also draws the head and what is not
            taken from a pretrained encoder.
        sizes: of an encoder from scratch.
        graphs: of the same crystals, if built before.
        device: where to compute; chosen if None.
        show: report progress.
        pretraining_formulas: what pretraining saw; by default what the model of `init` says or, from scratch, the
            formulas of the rows of split `pretrain`. Test crystals without a polymorph there get an error of their own.
        folder: where to keep the state after every epoch, so that a killed run can go on.
        resume: go on from the state in `folder` if there is one.
        stop: ends the run after the present batch once it is set.
        callbacks: called with the row of the history after every epoch.
        parts: splits that must have rows; without `test` there is no test error.

    Returns:
        The model of the best finished epochs, also after an interrupt or a stop.

    Raises:
        SettingsError: unknown target, or an encoder of fewer blocks than shall be kept.
        InputError: a target is absent or has missing values, or a split is empty.
        CheckpointError: `init` holds no usable model, or the state in `folder` is of another run.
        TrainingError: the loss became non-finite or grew without bound, or no epoch was finished.
    """
    begin = time.perf_counter()
    task = prepare(crystals, init, settings or FinetuneSettings(), sizes, graphs, pick_device(device), parts)
    settings = task.settings
    optimiser = make_adam(task.groups(), settings.weight_decay)
    state = RunState(
        {"model": task.model}, optimiser, task.identity(), None if folder is None else Path(folder), resume
    )
    start = time.perf_counter() - (state.history[-1]["seconds"] if state.history else 0.0)
    title = f"{', '.join(settings.targets)} from {task.origin['init']}"
    with Progress(title, settings.epochs, show, done=state.epoch) as bar:
        for epoch in range(state.epoch, settings.epochs):
            try:
                row = train_epoch(task, optimiser, epoch, stop)
                check_growth(row["loss"], state.history, settings)
                row |= validate(task) | {"seconds": time.perf_counter() - start}
                keep_best(state, row, task.model, settings.average)
                state.finish(row)
                bar.report({"loss": row["loss"], "val_mae": row["val_mae"]})
                for callback in callbacks:
                    callback(row)
            except (KeyboardInterrupt, Stopped):
                break
    best = use_best(state, task.model, settings.average)
    table, metrics = evaluate(task, crystals, pretraining_formulas)
    metrics |= {"epochs": len(state.history), **best, "data": describe(task.crystals, task.graphs)}
    metrics |= {"seconds": round(time.perf_counter() - begin, 1), "device": str(task.graphs.distance.device)}
    return Finetuned(task.model.cpu().eval(), task.sizes, settings, pd.DataFrame(state.history), metrics, table)


@dataclass
class Task:
    """What one fine-tuning run works on.

    Attributes:
        model: on the device.
        sizes: of its encoder.
        origin: where it comes from, for the metrics.
        source: the model it starts from.
        settings: of the run.
        crystals: rows of the splits, with their targets.
        graphs: of these crystals, on the device.
        true: [crystals, T] targets on the device, NaN where not known.
        rows: positions of each split.
        embeddings: [crystals, hidden] of an encoder that is not trained, else None.
    """

    model: PropertyModel
    sizes: EncoderSettings
    origin: dict[str, Any]
    source: Pretrained
    settings: FinetuneSettings
    crystals: CrystalSet
    graphs: GraphSet
    true: Tensor
    rows: dict[str, Tensor]
    embeddings: Tensor | None

    def groups(self) -> list[dict[str, Any]]:
        """Weights and full rates of head and encoder."""
        model, settings = self.model, self.settings
        head = {"params": list(model.head.parameters()), "full_rate": settings.head_rate}
        return [head, *encoder_groups(model.encoder, settings.encoder_rate, settings.layer_decay)]

    def normalised(self, index: Tensor) -> Tensor:
        """What the model says of the crystals at `index`, in units of the standard deviation, [b, T]."""
        if self.embeddings is None:
            return self.model.normalised(self.graphs.batch(index))
        return self.model.head(self.embeddings[index.to(self.embeddings.device)])

    def identity(self) -> dict[str, Any]:
        """What a run that goes on must have in common with the one that was ended, as plain values."""
        digest = hashlib.sha256(self.true.cpu().numpy().tobytes())
        for tensor in self.model.state_dict().values():
            digest.update(tensor.cpu().numpy().tobytes())
        splits = {part: len(rows) for part, rows in self.rows.items()}
        return {
            "encoder": identity_of(self.sizes),
            "finetune": identity_of(self.settings),
            "data": describe(self.crystals, self.graphs),
            "splits": splits,
            "start": digest.hexdigest(),
        }


def prepare(
    crystals: CrystalSet,
    init: "Pretrained | str | Path",
    settings: FinetuneSettings,
    sizes: EncoderSettings | None,
    graphs: GraphSet | None,
    place: torch.device,
    parts: tuple[str, ...],
) -> Task:
    """Check everything, then put model and data on the device."""
    model, source, origin = start_model(init, settings, sizes)
    usable = crystals.of_split(*PARTS)
    for target in settings.targets:
        usable = usable.with_target(target, "keep" if settings.missing == "mask" else "refuse")
    columns = usable.table[list(settings.targets)].to_numpy(np.float32)
    rows, values = split_rows(usable, parts), torch.tensor(columns)
    check_count(len(rows["train"]))
    check_known(values, rows, settings)
    if graphs is None or graphs.fingerprint != usable.fingerprint():
        graphs = build_graphs(usable, source.encoder_settings.graph)
    check_graphs(graphs, source.encoder_settings, usable)
    graphs, model, values = graphs.to(place), model.to(place), values.to(place)
    model.fit_units(values[rows["train"]])
    embeddings = None
    if settings.train != "all":
        model.encoder.requires_grad_(False)
        embeddings = in_batches(model.encoder, graphs)
    return Task(model, source.encoder_settings, origin, source, settings, usable, graphs, values, rows, embeddings)


def start_model(
    init: "Pretrained | str | Path", settings: FinetuneSettings, sizes: EncoderSettings | None
) -> tuple[PropertyModel, Pretrained, dict[str, Any]]:
    """The model before the first step, the one its encoder is from, and words about that for the metrics."""
    fresh = isinstance(init, str) and init == "scratch"
    if isinstance(init, Pretrained):
        source = init
    else:
        source = random_encoder(sizes, settings.seed) if fresh else load_pretrained(init)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = PropertyModel(source.encoder_settings, len(settings.targets), settings.train == "linear")
    model.encoder.load_state_dict(model.encoder.state_dict() | kept_weights(source.encoder, settings.keep))
    run = source.settings
    label = run.label if run is not None else None
    leaks = [target for target in settings.targets if label is not None and target in get_label(label).function_of]
    origin = {
        "init": "scratch" if fresh else "random" if run is None else run.loss,
        "label": label,
        "label_is_function_of_target": bool(leaks),
    }
    return model, source, origin


def split_rows(crystals: CrystalSet, parts: tuple[str, ...]) -> dict[str, Tensor]:
    """Positions of the rows of each split.

    Raises:
        InputError: one of `parts` is empty.
    """
    rows = {p: torch.from_numpy(np.flatnonzero(crystals.table["split"] == p)) for p in PARTS}
    for part in parts:
        if len(rows[part]) == 0:
            raise InputError(f"{crystals.name} has no rows of split {part!r}; fine-tuning needs {', '.join(parts)}.")
    return rows


def check_known(values: Tensor, rows: dict[str, Tensor], settings: FinetuneSettings) -> None:
    """Raise when masking leaves too little to train or to choose an epoch by."""
    for number, target in enumerate(settings.targets):
        train, val = (int(values[rows[part], number].isfinite().sum()) for part in ("train", "val"))
        if train < 2 or val < 1:
            raise InputError(
                f"The target {target!r} is known for {train} training and {val} validation crystals; "
                "at least 2 and 1 are needed."
            )


def train_epoch(task: Task, optimiser: torch.optim.Optimizer, epoch: int, stop: Event | None) -> dict[str, float]:
    """One pass over the training rows; the loss is the mean squared error of the targets that are known.

    Raises:
        TrainingError: the loss became non-finite.
        Stopped: the stop event was set.
    """
    settings, train = task.settings, task.rows["train"]
    task.model.head.train(), task.model.encoder.train(task.embeddings is None)
    warmup = round(settings.warmup)
    set_rates(optimiser, rate_factor(epoch, settings.epochs, warmup, settings.schedule))
    total = 0.0
    for order in shuffled_batches(len(train), settings.batch_size, settings.seed, epoch):
        check_stop(stop)
        index = train[order]
        wanted = (task.true[index] - task.model.mean) / task.model.std  # [b, T]
        with autocast(task.true.device, settings.precision):
            found = task.normalised(index)
        known = wanted.isfinite()
        squares = torch.where(known, found.float() - wanted.nan_to_num(), 0.0).square()
        loss = squares.sum() / known.sum().clamp(min=1)
        step_or_explain(loss, optimiser, settings.clip, epoch, "Fine-tuning diverged. Try a tenth of both rates.")
        total += loss.item() * len(index)
    return {"epoch": epoch + 1, "loss": total / len(train), "learning_rate": optimiser.param_groups[0]["lr"]}


def check_growth(loss: float, history: list[dict[str, float]], settings: FinetuneSettings) -> None:
    """Stop a run that diverges, and say what to change."""
    if history and loss > GROWTH * max(history[0]["loss"], 1.0):
        raise TrainingError(
            f"Fine-tuning diverged in epoch {len(history) + 1}: loss {loss:.3g}, rates {settings.head_rate:g} (head) "
            f"and {settings.encoder_rate:g} (encoder). Try a tenth of both."
        )


def validate(task: Task) -> dict[str, float]:
    """Mean absolute errors on the validation rows: of one target in its unit; of several also each by name."""
    true = task.true[task.rows["val"]].cpu().numpy()  # [val, T]
    known = np.isfinite(true)
    error = np.where(known, np.abs(predicted_values(task, task.rows["val"]) - true), 0.0)
    by_target = error.sum(0) / known.sum(0)
    if len(by_target) == 1:
        return {"val_mae": float(by_target[0])}
    named = {f"val_mae.{target}": float(value) for target, value in zip(task.settings.targets, by_target, strict=True)}
    return {"val_mae": float((by_target / task.model.std.cpu().numpy()).mean()), **named}


@torch.no_grad()
def predicted_values(task: Task, rows: Tensor) -> np.ndarray:
    """Predictions of the crystals at `rows`, in the units of the targets, [rows, T]."""
    if task.embeddings is None:
        return predict_all(task.model, task.graphs, rows)
    return task.model.with_units(task.normalised(rows)).cpu().numpy()


def evaluate(
    task: Task, crystals: CrystalSet, pretraining_formulas: pd.Series | None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Predictions of all rows and the errors by split, of each target."""
    settings, index = task.settings, task.crystals.table.index
    predicted, true = predicted_values(task, torch.arange(len(index))), task.true.cpu().numpy()
    table = pd.DataFrame({"split": task.crystals.table["split"]})
    seen = seen_before(task, crystals, pretraining_formulas)
    errors = {}
    for number, target in enumerate(settings.targets):
        own = pd.DataFrame({"split": table["split"], "true": true[:, number], "predicted": predicted[:, number]})
        table[list(column_names(target, settings))] = own[["true", "predicted"]]
        errors[target] = measure(own[own["true"].notna()], seen, target)
    metrics = task.origin | {"train": settings.train, "seed": settings.seed}
    return table, metrics | (errors[settings.targets[0]] if len(errors) == 1 else {"targets": errors})


def seen_before(task: Task, crystals: CrystalSet, formulas: pd.Series | None) -> pd.Series:
    """Whether pretraining saw the formula of each crystal."""
    own = task.crystals.table["formula"]
    if formulas is None and len(task.source.seen):
        return task.source.has_seen(own)
    if formulas is None:
        formulas = crystals.table.loc[crystals.table["split"] == "pretrain", "formula"]
    return own.isin(formulas)
