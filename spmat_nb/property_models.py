"""A model of one property or several: an encoder with a head and the units of the targets, in memory and on disk."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from . import checkpoints
from .crystals import CrystalSet
from .embed import BATCH, in_batches
from .encoders import make_encoder
from .files import write_json, write_text
from .graphs import Batch, GraphSet, build_graphs
from .models import load_weights
from .settings import EncoderSettings, FinetuneSettings
from .settings import device as pick_device
from .tables import read_by_id
from .vocabulary import get_target

PARTS = ("train", "val", "test")


class PropertyModel(nn.Module):
    """A batch of B crystals to the values of T targets, [B, T].

    Args:
        sizes: of the encoder.
        targets: T.
        linear: whether the head is a single linear layer (a probe) instead of two with a softplus between (Crystal
            Twins).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, sizes: EncoderSettings, targets: int = 1, linear: bool = False) -> None:
        super().__init__()
        width = sizes.hidden
        self.encoder = make_encoder(sizes)
        layers: list[nn.Module] = [nn.Linear(width, targets)]
        if not linear:
            layers = [nn.Linear(width, width // 2), nn.Softplus(), nn.Linear(width // 2, targets)]
        self.head = nn.Sequential(*layers)
        self.register_buffer("mean", torch.zeros(targets))
        self.register_buffer("std", torch.ones(targets))

    def normalised(self, batch: Batch) -> Tensor:
        """Values in units of the training rows' standard deviation, [B, T]."""
        return self.head(self.encoder(batch))

    def forward(self, batch: Batch) -> Tensor:
        """Values in the units of the targets, [B, T]."""
        return self.with_units(self.normalised(batch))

    def with_units(self, normalised: Tensor) -> Tensor:
        """From units of the standard deviation to those of the targets, [B, T]."""
        return normalised * self.std + self.mean

    @torch.no_grad()
    def fit_units(self, values: Tensor) -> None:
        """Take mean and standard deviation from training values [n, T]; NaN where one is not known."""
        known = values.isfinite()
        count = known.sum(0)
        self.mean.copy_(values.nan_to_num().sum(0) / count)
        squares = torch.where(known, values - self.mean, 0.0).square().sum(0)
        self.std.copy_((squares / (count - 1).clamp(min=1)).sqrt().clamp(min=1e-6))


@dataclass
class Finetuned:
    """A property model and how well it did.

    Attributes:
        model: predicts the targets.
        encoder_settings: sizes and graph settings.
        settings: of the run.
        history: one row an epoch: epoch, loss (normalised), val_mae, learning_rate, seconds. With several targets
            val_mae is their mean in units of the training rows' standard deviation.
        metrics: plain values, as in `metrics.json`.
        predictions: by material id: split, true, predicted; with several targets true and predicted are followed by
            the name of each, as in `true.density` (see `of_target`).
    """

    model: PropertyModel
    encoder_settings: EncoderSettings
    settings: FinetuneSettings
    history: pd.DataFrame
    metrics: dict[str, Any]
    predictions: pd.DataFrame

    def of_target(self, target: str) -> pd.DataFrame:
        """Predictions of one target: split, true, predicted; rows whose true value is not known are left out."""
        names = column_names(target, self.settings)
        table = self.predictions[["split", *names]].set_axis(["split", "true", "predicted"], axis=1)
        return table[table["true"].notna()]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write model, history, `metrics.json` and `predictions.csv` into a folder."""
        folder = Path(folder)
        config = {
            "encoder": asdict(self.encoder_settings),
            "finetune": asdict(self.settings),
            "metrics": self.metrics,
        }
        checkpoints.save(folder, "finetuned", self.model.state_dict(), config, self.history)
        write_json(folder / "metrics.json", self.metrics)
        write_text(folder / "predictions.csv", self.predictions.to_csv())

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "Finetuned":
        """The same as `load_finetuned`."""
        return load_finetuned(folder)


def column_names(target: str, settings: FinetuneSettings) -> tuple[str, str]:
    """Names of the columns of true and predicted values of a target."""
    return ("true", "predicted") if len(settings.targets) == 1 else (f"true.{target}", f"predicted.{target}")


def load_finetuned(folder: str | Path) -> Finetuned:
    """Read what `Finetuned.save_pretrained` wrote.

    Raises:
        CheckpointError: missing, damaged, or of another kind.
    """
    config, tensors, history = checkpoints.load(folder, "finetuned")
    sizes = checkpoints.from_dict(EncoderSettings, config["encoder"])
    settings = checkpoints.from_dict(FinetuneSettings, config["finetune"])
    model = PropertyModel(sizes, len(settings.targets), settings.train == "linear")
    load_weights(model, tensors, "")
    path = Path(folder) / "predictions.csv"
    predictions = read_by_id(path) if path.is_file() else pd.DataFrame()
    return Finetuned(model.eval(), sizes, settings, history, config["metrics"], predictions)


def predict_all(model: PropertyModel, graphs: GraphSet, rows: Tensor | None = None) -> np.ndarray:
    """Predictions for all crystals or for some rows, in the units of the targets, [B, T]."""
    return in_batches(model, graphs, rows).cpu().numpy()


def predict(crystals: CrystalSet, tuned: Finetuned, device: str | None = None) -> pd.DataFrame:
    """The targets of new crystals by material id, one column each, in their units."""
    place = pick_device(device)
    graphs = build_graphs(crystals, tuned.encoder_settings.graph, cache=len(crystals) > BATCH)
    values = predict_all(tuned.model.to(place), graphs.to(place))
    return pd.DataFrame(values, index=crystals.table.index, columns=list(tuned.settings.targets))


def measure(table: pd.DataFrame, seen: pd.Series, target: str) -> dict[str, Any]:
    """Errors by split, the error of the training median, and that of test formulas pretraining did not see.

    An error is None where there are no crystals to take it from.
    """
    error, part = (table["predicted"] - table["true"]).abs(), table["split"]
    median = table["true"][part == "train"].median()
    unseen = (part == "test") & ~seen[table.index]

    def mean(values: pd.Series) -> float | None:
        return float(values.mean()) if len(values) else None

    return {
        "target": target,
        "unit": get_target(target, table.assign(**{target: table["true"]})).unit,
        **{f"n_{p}": int((part == p).sum()) for p in PARTS},
        **{f"{p}_mae": mean(error[part == p]) for p in PARTS},
        "median_test_mae": mean((table["true"] - median).abs()[part == "test"]),
        "n_test_formula_not_in_pretrain": int(unseen.sum()),
        "test_mae_formula_not_in_pretrain": mean(error[unseen]),
    }
