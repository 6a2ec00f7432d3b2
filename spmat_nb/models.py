"""An encoder with its projector and everything needed to use, repeat or judge it, in memory and on disk."""

import hashlib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from . import checkpoints
from .crystals import CrystalSet
from .encoders import make_encoder
from .errors import CheckpointError, InputError
from .graphs import GraphSet
from .layers import Projector
from .settings import EncoderSettings, PretrainSettings, shipped_models


@dataclass
class Pretrained:
    """An encoder with its projector and everything needed to use, repeat or judge it.

    Attributes:
        encoder: batch of B crystals to [B, hidden].
        projector: [B, hidden] to [B, D]; of a loss with `+classes` the last columns are scores of the classes.
        encoder_settings: sizes and graph settings.
        settings: of the run; None for a random encoder.
        history: one row an epoch: epoch, loss, learning_rate, graphs_per_second, seconds, and of the held-out crystals
            val_loss, effective_rank, mean_cosine, positive_similarity, negative_similarity, knn_purity (of the label).
        data: name, size and fingerprint of the crystals it saw.
        seen: codes of their formulas, to tell which later crystals it knows (`has_seen`).
    """

    encoder: nn.Module
    projector: nn.Module
    encoder_settings: EncoderSettings
    settings: PretrainSettings | None = None
    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    data: dict[str, Any] = field(default_factory=dict)
    seen: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))

    def has_seen(self, formulas: pd.Series) -> pd.Series:
        """Whether pretraining saw a crystal of the same formula, for each; False from a random encoder."""
        return pd.Series(np.isin(formula_codes(formulas).numpy(), self.seen.numpy()), index=formulas.index)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model and its history into a folder."""
        tensors = {f"encoder.{k}": v for k, v in self.encoder.state_dict().items()}
        tensors |= {f"projector.{k}": v for k, v in self.projector.state_dict().items()}
        tensors["seen"] = self.seen
        config = {
            "encoder": asdict(self.encoder_settings),
            "pretrain": asdict(self.settings) if self.settings else None,
            "data": self.data,
        }
        checkpoints.save(Path(folder), "pretrained", tensors, config, self.history)

    @classmethod
    def from_pretrained(cls, name: str | Path) -> "Pretrained":
        """The same as `load_pretrained`."""
        return load_pretrained(name)


def load_pretrained(name: str | Path) -> Pretrained:
    """Read what `Pretrained.save_pretrained` wrote.

    Args:
        name: a folder, or one of the encoders that come with the project (`shipped_names`).

    Raises:
        CheckpointError: missing, damaged, of another kind, or of other sizes than its settings say.
    """
    folder = Path(name)
    if not (folder / checkpoints.CONFIG).is_file() and str(name) in shipped_names():
        folder = shipped_models() / str(name)
    try:
        config, tensors, history = checkpoints.load(folder, "pretrained")
    except checkpoints.NoModelError as error:
        raise CheckpointError(f"{error} Encoders that come with the project: {', '.join(shipped_names())}.") from None
    sizes = checkpoints.from_dict(EncoderSettings, config["encoder"])
    settings = checkpoints.from_dict(PretrainSettings, config["pretrain"]) if config["pretrain"] else None
    model = random_encoder(sizes, seed=0)
    load_weights(model.encoder, tensors, "encoder.")
    load_weights(model.projector, tensors, "projector.")
    seen = tensors.get("seen", model.seen)
    return replace(model, settings=settings, history=history, data=config["data"], seen=seen)


def shipped_names() -> list[str]:
    """Names of the pretrained encoders in the project's data folder."""
    return sorted(path.parent.name for path in shipped_models().glob(f"*/{checkpoints.CONFIG}"))


def formula_codes(formulas: pd.Series) -> Tensor:
    """A number for each formula that only equal formulas share (but for chance, 1 in 10^19), int64."""
    digests = (hashlib.sha256(formula.encode()).digest() for formula in formulas)
    return torch.tensor([int.from_bytes(d[:8], "little", signed=True) for d in digests], dtype=torch.int64)


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


def describe(crystals: CrystalSet, graphs: GraphSet) -> dict[str, Any]:
    """What a model must say about the data that it saw."""
    return {"name": crystals.name, "crystals": len(crystals), "fingerprint": graphs.fingerprint}
