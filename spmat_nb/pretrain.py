"""Pretraining: two noisy views of each crystal, one loss, one visible loop."""

import hashlib
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from . import distributed
from .augment import two_views
from .crystals import CrystalSet
from .diagnostics import health
from .draws import generator
from .errors import InputError, SettingsError, TrainingError
from .graphs import GraphSet, build_graphs
from .judgements import Finding, judge_history
from .labels import label_classes
from .layers import TwoViews
from .losses import Loss, accurate, base_loss, get_loss
from .models import Pretrained, check_count, check_graphs, describe, formula_codes, random_encoder
from .progress import Progress
from .sampling import paired_batches, shuffled_batches, split_evenly
from .settings import EncoderSettings, PretrainSettings, identity_of
from .settings import device as pick_device
from .structure_files import Cell
from .training import (
    Callback,
    RunState,
    Stopped,
    autocast,
    check_stop,
    compiled,
    make_adam,
    rate_factor,
    set_rates,
    step_or_explain,
)
from .vocabulary import MISSING

VALIDATION_EPOCH = -1  # in the key of the views of the validation crystals: the same ones every epoch
SHOWN = ("loss", "val_loss", "effective_rank", "knn_purity")
ADVICE = {key: ", or a higher temperature." for key in ("simclr", "sup_simclr")}


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

    In processes that `torchrun` started (see `distributed`) all of them call this with the same arguments and take a
    part of each batch; the first one writes and reports.

    Returns:
        The encoder of the last epoch; of the last finished one after an interrupt or a stop.

    Raises:
        SettingsError: unknown loss, label or encoder, or a supervised loss without a label.
        InputError: a label that the data does not have, or too few crystals.
        CheckpointError: the state in `folder` is of another run, or damaged.
        TrainingError: the loss became non-finite, or grew so far that the run is of no use.
    """
    job = prepare(crystals, settings or PretrainSettings(), sizes or EncoderSettings(), graphs, pick_device(device))
    settings, leads = job.settings, job.group.leads
    groups = [{"params": job.parameters(), "full_rate": settings.learning_rate}]
    optimiser = make_adam(groups, settings.weight_decay)
    state = RunState(
        job.modules(), optimiser, job.identity(), None if folder is None else Path(folder), resume, writes=leads
    )
    start = time.perf_counter() - (state.history[-1]["seconds"] if state.history else 0.0)
    with Progress(f"pretrain {settings.loss}", settings.epochs, show and leads, done=state.epoch) as bar:
        for epoch in range(state.epoch, settings.epochs):
            try:
                row = job.group.agree(train_epoch(job, optimiser, epoch, stop) | validate(job))
                row["seconds"] = time.perf_counter() - start
                findings = judge_history(pd.DataFrame([*state.history, row]), settings, len(job.held_out))
                refuse_divergence(findings, row)
                state.finish(row)
                bar.report({k: v for k, v in row.items() if k in SHOWN})
                bar.warn({finding.key: finding.text for finding in findings})
                for callback in callbacks if leads else ():
                    callback(row)
            except (KeyboardInterrupt, Stopped):
                break
    state.restore()
    job.model.history = pd.DataFrame(state.history)
    job.model.encoder.eval(), job.model.projector.eval()
    return job.model


def refuse_divergence(findings: Iterable[Finding], row: dict[str, float]) -> None:
    """Stop a run that grew away from what it had learnt.

    Raises:
        TrainingError: with the epoch, the learning rate and what to change.
    """
    for finding in findings:
        if finding.key == "diverged":
            where = f"Stopped after epoch {row['epoch']} at a learning rate of {row['learning_rate']:.2g}"
            raise TrainingError(f"{where}: {finding.text}")


@dataclass
class Job:
    """What one pretraining run works on.

    Attributes:
        model: encoder and projector, on the device.
        network: both, as the training steps call them: compiled, or shared by processes, if so wished.
        group: the processes that share the run.
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
    network: nn.Module
    group: distributed.Group
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
            "encoder": identity_of(self.model.encoder_settings),
            "pretrain": identity_of(self.settings),
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
    sizes = replace(sizes, projection=loss.width(sizes.projection, count_classes(classes)))
    held_out, rows = validation_split(len(crystals), settings)
    check_count(len(rows))
    group = distributed.current()
    check_parts(min(settings.batch_size, len(rows)), group.size)
    graphs = (graphs or build_graphs(crystals, sizes.graph)).to(place)
    check_graphs(graphs, sizes, crystals)
    model = random_encoder(sizes, settings.seed)
    model.settings, model.data = settings, describe(crystals, graphs)
    model.seen = formula_codes(pd.Series(crystals.table["formula"].unique()))
    labels = None if classes is None else torch.tensor(classes, device=place)
    network: nn.Module = TwoViews(model.encoder.to(place), model.projector.to(place))
    network = group.wrap(compiled(network) if settings.compile else network)
    return Job(model, network, group, settings, loss, graphs, crystals.cells, classes, labels, rows, held_out)


def check_parts(batch: int, processes: int) -> None:
    """Raise when some process would meet fewer than two crystals of a batch."""
    if batch // 2 < processes:
        raise SettingsError(
            f"Batches of {batch} crystals are too small for {processes} processes: each needs at least two of them. "
            "Start fewer processes or raise the batch size."
        )


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
    advice = "Try a tenth of it" + ADVICE.get(base_loss(job.loss.key), ".")
    total, start = 0.0, time.perf_counter()
    for step, index in enumerate(batches, start=epoch * len(batches)):
        check_stop(stop)
        warmup = round(settings.warmup * len(batches))
        set_rates(optimiser, rate_factor(step, settings.epochs * len(batches), warmup, settings.schedule))
        value = view_loss(job, index, epoch)
        step_or_explain(value, optimiser, settings.clip, epoch, advice)
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
    """The settings without what a loss that needs no label does not look at, so that no record claims that it did."""
    return settings if get_loss(settings.loss).needs_label else replace(settings, label=None, sampler="shuffled")


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


def count_classes(classes: np.ndarray | None) -> int:
    """C: one more than the largest class that a crystal has; 0 without labels."""
    return 0 if classes is None else 1 + int(classes.max())


def validation_split(count: int, settings: PretrainSettings) -> tuple[Tensor, Tensor]:
    """Rows held out to watch the loss (at least two, none for a share of 0), and the others."""
    wanted = max(2, round(count * settings.validation_share)) if settings.validation_share else 0
    order = torch.randperm(count, generator=generator(settings.seed, VALIDATION_EPOCH))
    return torch.sort(order[:wanted])[0], torch.sort(order[wanted:])[0]


def project(job: Job, network: nn.Module, index: Tensor, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings of the first view and what the projector says of both, at least in single precision."""
    settings, graphs = job.settings, job.graphs
    views = two_views(graphs, index, settings.augment, settings.seed, epoch, cells=job.cells)
    with autocast(graphs.distance.device, settings.precision):
        h1, z1, z2 = network(*views)  # [B, hidden], [B, D], [B, D]; with scores of classes D + C
    return accurate(h1), accurate(z1), accurate(z2)


def compare(job: Job, z1: Tensor, z2: Tensor, index: Tensor) -> Tensor:
    """The loss of the projections of the crystals at `index`."""
    labels = None if job.labels is None else job.labels[index.to(job.labels.device)]
    return job.loss.total(z1, z2, labels, job.settings.temperature, job.settings.balance, count_classes(job.classes))


def view_loss(job: Job, index: Tensor, epoch: int) -> Tensor:
    """The loss of one batch; of several processes each makes the views of its part and compares those of all."""
    _, *own = project(job, job.network, job.group.part(index), epoch)
    z1, z2 = (job.group.gather(z, len(index)) for z in own)
    return compare(job, z1, z2, index)


@torch.no_grad()
def validate(job: Job) -> dict[str, float]:
    """Loss, similarities and health of the embeddings on the held-out crystals, with the same views every epoch.

    Raises:
        TrainingError: the loss became non-finite.
    """
    if len(job.held_out) == 0 or not job.group.leads:
        return {}
    network = TwoViews(job.model.encoder, job.model.projector).eval()
    batches = split_evenly(job.held_out, job.settings.batch_size)
    parts = [project(job, network, index, VALIDATION_EPOCH) for index in batches]
    losses = [compare(job, z1, z2, index).item() for (_, z1, z2), index in zip(parts, batches, strict=True)]
    network.train()
    mean = sum(value * len(index) for value, index in zip(losses, batches, strict=True)) / len(job.held_out)
    if not math.isfinite(mean):
        raise TrainingError("The loss of the held-out crystals is not finite: try a tenth of the learning rate.")
    h, z1, z2 = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
    z1, z2 = (job.loss.projection(z, count_classes(job.classes)) for z in (z1, z2))
    classes = None if job.classes is None else job.classes[job.held_out.numpy()]
    return {"val_loss": mean} | health(h, z1, z2, classes, compare=not job.loss.classifies)
