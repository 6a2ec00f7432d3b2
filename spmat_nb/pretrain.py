"""Pretraining: two noisy views of each crystal, one loss, one visible loop."""

import hashlib
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from . import checkpoints
from .augment import two_views
from .crystals import CrystalSet
from .diagnostics import effective_rank, judge_history, knn_purity, mean_cosine, positive_negative_similarity
from .draws import generator
from .encoders import make_encoder
from .errors import CheckpointError, InputError, SettingsError, TrainingError
from .graphs import GraphSet, build_graphs
from .labels import label_classes
from .layers import Projector
from .losses import Loss, get_loss
from .progress import Progress
from .sampling import paired_batches, shuffled_batches, split_evenly
from .settings import EncoderSettings, PretrainSettings
from .settings import device as pick_device
from .structure_files import Cell
from .training import (
    Callback,
    RunState,
    Stopped,
    autocast,
    check_stop,
    make_adam,
    rate_factor,
    set_rates,
    step_or_explain,
)
from .vocabulary import MISSING

VALIDATION_EPOCH = -1  # in the key of the views of the validation crystals: the same ones every epoch
NEIGHBOURS = 10  # of the purity in the history
SHOWN = ("loss", "val_loss", "effective_rank", "knn_purity")
ADVICE = {key: ", or a higher temperature." for key in ("simclr", "sup_simclr")}


@dataclass
class Pretrained:
    """An encoder with its projector and everything needed to use, repeat or judge it.

    Attributes:
        encoder: batch of B crystals to [B, hidden].
        projector: [B, hidden] to [B, D].
        encoder_settings: sizes and graph settings.
        settings: of the run; None for a random encoder.
        history: one row an epoch: epoch, loss, learning_rate, graphs_per_second, seconds, and of the held-out crystals
            val_loss, effective_rank, mean_cosine, positive_similarity, negative_similarity, knn_purity (of the label).
        data: name, size and fingerprint of the crystals it saw.
    """

    encoder: nn.Module
    projector: nn.Module
    encoder_settings: EncoderSettings
    settings: PretrainSettings | None = None
    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    data: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: str | Path) -> None:
        """Write the model and its history into a folder."""
        tensors = {f"encoder.{k}": v for k, v in self.encoder.state_dict().items()}
        tensors |= {f"projector.{k}": v for k, v in self.projector.state_dict().items()}
        config = {
            "encoder": asdict(self.encoder_settings),
            "pretrain": asdict(self.settings) if self.settings else None,
            "data": self.data,
        }
        checkpoints.save(Path(folder), "pretrained", tensors, config, self.history)


def load_pretrained(folder: str | Path) -> Pretrained:
    """Read what `Pretrained.save` wrote.

    Raises:
        CheckpointError: missing, damaged, or of another kind.
    """
    config, tensors, history = checkpoints.load(folder, "pretrained")
    sizes = checkpoints.from_dict(EncoderSettings, config["encoder"])
    settings = checkpoints.from_dict(PretrainSettings, config["pretrain"]) if config["pretrain"] else None
    model = random_encoder(sizes, seed=0)
    load_weights(model.encoder, tensors, "encoder.")
    load_weights(model.projector, tensors, "projector.")
    return replace(model, settings=settings, history=history, data=config["data"])


def load_weights(module: nn.Module, tensors: dict[str, Tensor], prefix: str) -> None:
    """Copy the tensors whose names begin with `prefix` into a module.

    Raises:
        CheckpointError: names or shapes differ from the module's.
    """
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    try:
        module.load_state_dict(own)
    except RuntimeError as error:
        raise CheckpointError(f"The saved weights do not fit the {type(module).__name__}: {error}") from error


def random_encoder(sizes: EncoderSettings | None = None, seed: int = 0) -> Pretrained:
    """A new encoder and projector: the start of every run and the honest control of every map."""
    sizes = sizes or EncoderSettings()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = make_encoder(sizes)
        projector = Projector(sizes.hidden, sizes.projection)
    return Pretrained(encoder, projector, sizes)


def check_graphs(graphs: GraphSet, sizes: EncoderSettings, crystals: CrystalSet) -> None:
    """Raise when graphs are of other crystals, or disagree with the encoder about cutoff or neighbours."""
    if graphs.fingerprint != crystals.fingerprint():
        raise CheckpointError(f"The graphs were built from other crystals than {crystals.name}.")
    if graphs.settings != sizes.graph:
        raise CheckpointError(
            f"The encoder was made for {sizes.graph}, the graphs have {graphs.settings}; "
            "build the graphs with the encoder's settings."
        )


def check_count(count: int) -> None:
    """Raise when batch normalisation would meet a batch of one crystal."""
    if count < 2:
        raise InputError(f"{count} crystals to train on; at least 2 are needed.")


def pretrain(
    crystals: CrystalSet,
    settings: PretrainSettings | None = None,
    sizes: EncoderSettings | None = None,
    graphs: GraphSet | None = None,
    device: str | None = None,
    show: bool = True,
    folder: str | Path | None = None,
    resume: bool = False,
    stop: Event | None = None,
    callbacks: Iterable[Callback] = (),
) -> Pretrained:
    """Train an encoder to tell crystals apart, with a surrogate label as its guide.

    Args:
        crystals: all of them are used; a share is held out to watch the loss.
        settings: loss, label, noise, epochs, seed.
        sizes: of encoder and projector.
        graphs: of the same crystals, if built before.
        device: where to compute; chosen if None.
        show: report progress.
        folder: where to keep the state after every epoch, so that a killed run can go on.
        resume: go on from the state in `folder` if there is one; on the CPU, with the same number of threads, to the
            same weights bit for bit.
        stop: ends the run after the present batch once it is set.
        callbacks: called with the row of the history after every epoch.

    Returns:
        The encoder of the last epoch; of the last finished one after an interrupt or a stop.

    Raises:
        SettingsError: unknown loss, label or encoder, or a supervised loss without a label.
        InputError: a label that the data does not have, or too few crystals.
        CheckpointError: the state in `folder` is of another run, or damaged.
        TrainingError: the loss became non-finite.
    """
    job = prepare(crystals, settings or PretrainSettings(), sizes or EncoderSettings(), graphs, pick_device(device))
    settings = job.settings
    groups = [{"params": job.parameters(), "full_rate": settings.learning_rate}]
    optimiser = make_adam(groups, settings.weight_decay)
    state = RunState(job.modules(), optimiser, job.identity(), None if folder is None else Path(folder), resume)
    start = time.perf_counter() - (state.history[-1]["seconds"] if state.history else 0.0)
    with Progress(f"pretrain {settings.loss}", settings.epochs, show, done=state.epoch) as bar:
        for epoch in range(state.epoch, settings.epochs):
            try:
                row = train_epoch(job, optimiser, epoch, stop) | validate(job)
            except (KeyboardInterrupt, Stopped):
                state.restore()
                break
            row["seconds"] = time.perf_counter() - start
            state.finish(row)
            bar.report({k: v for k, v in row.items() if k in SHOWN})
            findings = judge_history(pd.DataFrame(state.history), settings, len(job.held_out))
            bar.warn({finding.key: finding.text for finding in findings})
            for callback in callbacks:
                callback(row)
    job.model.history = pd.DataFrame(state.history)
    job.model.encoder.eval(), job.model.projector.eval()
    return job.model


@dataclass
class Job:
    """What one pretraining run works on.

    Attributes:
        model: encoder and projector, on the device.
        settings: of the run.
        loss: from `LOSSES`.
        graphs: on the device.
        cells: structures in the order of the graphs.
        classes: [crystals] surrogate class of each, None for losses without labels.
        labels: the same on the device.
        rows: to train on.
        held_out: to watch the loss on.
    """

    model: Pretrained
    settings: PretrainSettings
    loss: Loss
    graphs: GraphSet
    cells: Sequence[Cell]
    classes: np.ndarray | None
    labels: Tensor | None
    rows: Tensor
    held_out: Tensor

    def modules(self) -> dict[str, nn.Module]:
        """The parts that are trained, by name."""
        return {"encoder": self.model.encoder, "projector": self.model.projector}

    def parameters(self) -> list[nn.Parameter]:
        """All their weights."""
        return [p for module in self.modules().values() for p in module.parameters()]

    def identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on: settings, sizes, crystals and their classes."""
        classes = None if self.classes is None else hashlib.sha256(self.classes.tobytes()).hexdigest()
        return {
            "encoder": asdict(self.model.encoder_settings),
            "pretrain": asdict(self.settings),
            "data": self.model.data,
            "classes": classes,
        }


def prepare(
    crystals: CrystalSet,
    settings: PretrainSettings,
    sizes: EncoderSettings,
    graphs: GraphSet | None,
    place: torch.device,
) -> Job:
    """Check everything, then put model and data on the device."""
    settings = with_used_label(settings)
    loss, classes = get_loss(settings.loss), surrogate_classes(crystals, settings)
    if loss.classifies and classes is not None:
        sizes = replace(sizes, projection=1 + int(classes.max()))  # one score a class
    held_out, rows = validation_split(len(crystals), settings)
    check_count(len(rows))
    graphs = (graphs or build_graphs(crystals, sizes.graph)).to(place)
    check_graphs(graphs, sizes, crystals)
    model = random_encoder(sizes, settings.seed)
    model.settings, model.data = settings, describe(crystals, graphs)
    model.encoder.to(place), model.projector.to(place)
    labels = None if classes is None else torch.tensor(classes, device=place)
    return Job(model, settings, loss, graphs, crystals.cells, classes, labels, rows, held_out)


def train_epoch(job: Job, optimiser: torch.optim.Optimizer, epoch: int, stop: Event | None = None) -> dict[str, float]:
    """One pass over the training rows.

    Returns:
        A row of the history: epoch, mean loss, last learning rate, graphs a second.

    Raises:
        TrainingError: the loss became non-finite.
        Stopped: the stop event was set.
    """
    settings = job.settings
    batches = epoch_batches(job, epoch)
    total, start = 0.0, time.perf_counter()
    for step, index in enumerate(batches, start=epoch * len(batches)):
        check_stop(stop)
        warmup = round(settings.warmup * len(batches))
        set_rates(optimiser, rate_factor(step, settings.epochs * len(batches), warmup, settings.schedule))
        value = view_loss(job, index, epoch)[0]
        step_or_explain(value, optimiser, settings.clip, epoch, "Try a tenth of it" + ADVICE.get(job.loss.key, "."))
        total += value.item() * len(index)
    return {
        "epoch": epoch + 1,
        "loss": total / len(job.rows),
        "learning_rate": optimiser.param_groups[0]["lr"],
        "graphs_per_second": len(job.rows) / (time.perf_counter() - start),
    }


def epoch_batches(job: Job, epoch: int) -> list[Tensor]:
    """The rows of each batch of an epoch."""
    key = (job.settings.seed, epoch)
    if job.settings.sampler == "paired" and job.classes is not None:
        order = paired_batches(job.classes[job.rows.numpy()], job.settings.batch_size, *key)
    else:
        order = shuffled_batches(len(job.rows), job.settings.batch_size, *key)
    return [job.rows[part] for part in order]


def with_used_label(settings: PretrainSettings) -> PretrainSettings:
    """The settings without a label when the loss does not look at it, so that no record claims that it did."""
    return settings if get_loss(settings.loss).needs_label else replace(settings, label=None)


def surrogate_classes(crystals: CrystalSet, settings: PretrainSettings) -> np.ndarray | None:
    """Class of every crystal for a supervised loss, None for the others.

    Raises:
        SettingsError: a supervised loss without a label.
        InputError: no crystal has a class.
    """
    if not get_loss(settings.loss).needs_label:
        return None
    if settings.label is None:
        raise SettingsError(f"The loss {settings.loss!r} is supervised: name a label (--label), such as 'gap_class'.")
    classes = label_classes(crystals.table, settings.label, settings.seed)
    if (classes == MISSING).all():
        raise InputError(f"No crystal of {crystals.name} has a value of the label {settings.label!r}.")
    return classes


def describe(crystals: CrystalSet, graphs: GraphSet) -> dict[str, Any]:
    """What a model must say about the data that it saw."""
    return {"name": crystals.name, "crystals": len(crystals), "fingerprint": graphs.fingerprint}


def validation_split(count: int, settings: PretrainSettings) -> tuple[Tensor, Tensor]:
    """Rows held out to watch the loss (at least two, none for a share of 0), and the others."""
    wanted = max(2, round(count * settings.validation_share)) if settings.validation_share else 0
    order = torch.randperm(count, generator=generator(settings.seed, VALIDATION_EPOCH))
    return torch.sort(order[:wanted])[0], torch.sort(order[wanted:])[0]


def view_loss(job: Job, index: Tensor, epoch: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The loss of one batch, the projections of both views and the embeddings of the first."""
    settings, graphs = job.settings, job.graphs
    first, second = two_views(graphs, index, settings.augment, settings.seed, epoch, cells=job.cells)
    with autocast(graphs.distance.device, settings.precision):
        h1, h2 = job.model.encoder(first), job.model.encoder(second)  # [B, hidden]
        z1, z2 = job.model.projector(h1).float(), job.model.projector(h2).float()  # [B, D]
    classes = None if job.labels is None else job.labels[index.to(job.labels.device)]
    return job.loss.compute(z1, z2, classes, settings.temperature, settings.balance), z1, z2, h1.float()


@torch.no_grad()
def validate(job: Job) -> dict[str, float]:
    """Loss, similarities and health of the embeddings on the held-out crystals, with the same views every epoch.

    Raises:
        TrainingError: the loss became non-finite.
    """
    if len(job.held_out) == 0:
        return {}
    job.model.encoder.eval(), job.model.projector.eval()
    batches = split_evenly(job.held_out, job.settings.batch_size)
    losses, *parts = zip(*(view_loss(job, index, VALIDATION_EPOCH) for index in batches), strict=True)
    job.model.encoder.train(), job.model.projector.train()
    mean = sum(value.item() * len(index) for value, index in zip(losses, batches, strict=True)) / len(job.held_out)
    if not math.isfinite(mean):
        raise TrainingError(
            "The loss of the held-out crystals is not finite any more: try a tenth of the learning rate."
        )
    z1, z2, h = (torch.cat(part).cpu() for part in parts)
    return {"val_loss": mean} | health(job, z1, z2, h)


def health(job: Job, z1: Tensor, z2: Tensor, h: Tensor) -> dict[str, float]:
    """Similarities of the projections, collapse and separability of the embeddings of the held-out crystals."""
    classes = None if job.classes is None else job.classes[job.held_out.numpy()]
    row = {"effective_rank": effective_rank(h), "mean_cosine": mean_cosine(h)}
    if not job.loss.classifies:
        positive, negative = positive_negative_similarity(z1, z2, classes)
        row |= {"positive_similarity": positive, "negative_similarity": negative}
    if classes is not None and (classes != MISSING).sum() > NEIGHBOURS:
        row["knn_purity"] = knn_purity(h.numpy(), classes, NEIGHBOURS)
    return {name: value for name, value in row.items() if math.isfinite(value)}  # no negatives, no similarity
