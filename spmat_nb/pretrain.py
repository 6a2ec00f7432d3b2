"""Pretraining: two noisy views of each crystal, one loss, one visible loop."""

import math
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from . import checkpoints
from .augment import two_views, view_generator
from .crystals import CrystalSet
from .diagnostics import effective_rank
from .encoders import Projector, make_encoder
from .errors import CheckpointError, InputError, SettingsError, TrainingError
from .graphs import GraphSet, build_graphs
from .losses import Loss, get_loss
from .progress import Epochs
from .settings import EncoderSettings, PretrainSettings
from .settings import device as pick_device
from .vocabulary import MISSING, label_classes

VALIDATION_EPOCH = -1  # in the key of the views of the validation crystals: the same ones every epoch


@dataclass
class Pretrained:
    """An encoder with its projector and everything needed to use, repeat or judge it.

    Attributes:
        encoder: batch of B crystals to [B, hidden].
        projector: [B, hidden] to [B, D].
        encoder_settings: sizes and graph settings.
        settings: of the run; None for a random encoder.
        history: one row an epoch: epoch, loss, val_loss, effective_rank, seconds.
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


def epoch_batches(count: int, size: int, *key: int) -> list[Tensor]:
    """A shuffled epoch of nearly equal batches, none smaller than two, fixed by the key."""
    order = torch.randperm(count, generator=view_generator(*key))
    return split_evenly(order, size)


def split_evenly(order: Tensor, size: int) -> list[Tensor]:
    """Nearly equal parts of about `size`, none smaller than two if there are two."""
    return list(torch.tensor_split(order, max(1, min(round(len(order) / size), len(order) // 2))))


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
) -> Pretrained:
    """Train an encoder to tell crystals apart, with a surrogate label as its guide.

    Args:
        crystals: all of them are used; a share is held out to watch the loss.
        settings: loss, label, noise, epochs, seed.
        sizes: of encoder and projector.
        graphs: of the same crystals, if built before.
        device: where to compute; chosen if None.
        show: report progress.

    Returns:
        The encoder of the last epoch; of the last finished one after an interrupt.

    Raises:
        SettingsError: unknown loss, label or encoder, or a supervised loss without a label.
        InputError: a label that the data does not have, or too few crystals.
        TrainingError: the loss became non-finite.
    """
    settings, sizes = with_used_label(settings or PretrainSettings()), sizes or EncoderSettings()
    loss, classes = get_loss(settings.loss), surrogate_classes(crystals, settings)
    held_out, rows = validation_split(len(crystals), settings)
    check_count(len(rows))
    place = pick_device(device)
    graphs = (graphs or build_graphs(crystals, sizes.graph)).to(place)
    check_graphs(graphs, sizes, crystals)
    model = random_encoder(sizes, settings.seed)
    model.settings, model.data = settings, describe(crystals, graphs)
    encoder, projector = model.encoder.to(place), model.projector.to(place)
    labels = None if classes is None else torch.tensor(classes, device=place)
    optimiser = torch.optim.Adam(
        [*encoder.parameters(), *projector.parameters()], settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.epochs)
    history: list[dict[str, float]] = []
    start, finished = time.perf_counter(), snapshot(model)
    with Epochs(f"pretrain {settings.loss}", settings.epochs, show) as bar:
        for epoch in range(settings.epochs):
            try:
                mean = train_epoch(model, loss, graphs, labels, rows, optimiser, epoch)
            except KeyboardInterrupt:
                encoder.load_state_dict(finished[0])
                projector.load_state_dict(finished[1])
                break
            schedule.step()
            row = {"epoch": epoch + 1, "loss": mean} | validate(model, loss, graphs, labels, held_out)
            finished = snapshot(model)
            row["seconds"] = time.perf_counter() - start
            history.append(row)
            bar.report({k: v for k, v in row.items() if k not in ("epoch", "seconds")})
    model.history = pd.DataFrame(history)
    encoder.eval(), projector.eval()
    return model


def train_epoch(
    model: Pretrained,
    loss: Loss,
    graphs: GraphSet,
    labels: Tensor | None,
    rows: Tensor,
    optimiser: torch.optim.Optimizer,
    epoch: int,
) -> float:
    """One pass over the training rows; returns the mean loss.

    Raises:
        TrainingError: the loss became non-finite.
    """
    assert model.settings is not None
    total = 0.0
    for step, order in enumerate(epoch_batches(len(rows), model.settings.batch_size, model.settings.seed, epoch)):
        index = rows[order]
        value, _ = view_loss(model, loss, graphs, labels, index, epoch, step)
        if not torch.isfinite(value):
            raise TrainingError(
                f"The loss is {value.item()} in epoch {epoch + 1} at a learning rate of "
                f"{optimiser.param_groups[0]['lr']:.2g}. Try a tenth of it, or a higher temperature."
            )
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        total += value.item() * len(index)
    return total / len(rows)


def snapshot(model: Pretrained) -> list[dict[str, Tensor]]:
    """Copies of the weights of encoder and projector."""
    return [{k: v.clone() for k, v in part.state_dict().items()} for part in (model.encoder, model.projector)]


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
    classes = label_classes(crystals.table, settings.label)
    if (classes == MISSING).all():
        raise InputError(f"No crystal of {crystals.name} has a value of the label {settings.label!r}.")
    return classes


def describe(crystals: CrystalSet, graphs: GraphSet) -> dict[str, Any]:
    """What a model must say about the data that it saw."""
    return {"name": crystals.name, "crystals": len(crystals), "fingerprint": graphs.fingerprint}


def validation_split(count: int, settings: PretrainSettings) -> tuple[Tensor, Tensor]:
    """Rows held out to watch the loss (at least two, none for a share of 0), and the others."""
    wanted = max(2, round(count * settings.validation_share)) if settings.validation_share else 0
    order = torch.randperm(count, generator=view_generator(settings.seed, VALIDATION_EPOCH))
    return torch.sort(order[:wanted])[0], torch.sort(order[wanted:])[0]


def view_loss(
    model: Pretrained, loss: Loss, graphs: GraphSet, labels: Tensor | None, index: Tensor, epoch: int, step: int
) -> tuple[Tensor, Tensor]:
    """The loss of one batch, and the embeddings of its first view."""
    settings = model.settings
    assert settings is not None
    first, second = two_views(graphs.batch(index), settings.augment, settings.seed, epoch, step)
    h1, h2 = model.encoder(first), model.encoder(second)  # [B, hidden]
    classes = None if labels is None else labels[index.to(labels.device)]
    z1, z2 = model.projector(h1), model.projector(h2)  # [B, D]
    return loss.compute(z1, z2, classes, settings.temperature, settings.balance), h1


@torch.no_grad()
def validate(
    model: Pretrained, loss: Loss, graphs: GraphSet, labels: Tensor | None, held_out: Tensor
) -> dict[str, float]:
    """Loss and effective rank on the held-out crystals, with the same views every epoch.

    Raises:
        TrainingError: the loss became non-finite.
    """
    if len(held_out) == 0:
        return {}
    assert model.settings is not None
    model.encoder.eval(), model.projector.eval()
    total, embeddings = 0.0, []
    batches = split_evenly(held_out, model.settings.batch_size)
    for step, index in enumerate(batches):
        value, h = view_loss(model, loss, graphs, labels, index, VALIDATION_EPOCH, step)
        total += value.item() * len(index)
        embeddings.append(h)
    model.encoder.train(), model.projector.train()
    if not math.isfinite(total):
        raise TrainingError(
            "The loss of the held-out crystals is not finite any more: try a tenth of the learning rate."
        )
    return {"val_loss": total / len(held_out), "effective_rank": effective_rank(torch.cat(embeddings))}
