"""Fine-tuning: a regression head on an encoder, from a pretrained start or from scratch."""

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from . import checkpoints
from .crystals import CrystalSet
from .embed import BATCH
from .encoders import make_encoder
from .errors import InputError, TrainingError
from .files import write_json, write_text
from .graphs import Batch, GraphSet, build_graphs
from .labels import get_label
from .pretrain import (
    Pretrained,
    check_count,
    check_graphs,
    describe,
    load_pretrained,
    load_weights,
    random_encoder,
)
from .progress import Progress
from .sampling import shuffled_batches
from .settings import EncoderSettings, FinetuneSettings
from .settings import device as pick_device
from .tables import read_by_id
from .training import make_adam, rate_factor, set_rates
from .vocabulary import get_target

PARTS = ("train", "val", "test")
GROWTH = 1e4  # a training loss that many times its first value is divergence


class PropertyModel(nn.Module):
    """Encoder, head and the units of the target: a batch of B crystals to [B] values."""

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(nn.Linear(width, width // 2), nn.Softplus(), nn.Linear(width // 2, 1))
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))

    def normalised(self, batch: Batch) -> Tensor:
        """Values in units of the training rows' standard deviation, [B]."""
        return self.head(self.encoder(batch)).squeeze(1)

    def forward(self, batch: Batch) -> Tensor:
        """Values in the target's unit, [B]."""
        return self.normalised(batch) * self.std + self.mean


@dataclass
class Finetuned:
    """A property model and how well it did.

    Attributes:
        model: predicts the target.
        encoder_settings: sizes and graph settings.
        settings: of the run.
        history: one row an epoch: epoch, loss (normalised), val_mae, seconds.
        metrics: plain values, as in `metrics.json`.
        predictions: by material id: split, true, predicted.
    """

    model: PropertyModel
    encoder_settings: EncoderSettings
    settings: FinetuneSettings
    history: pd.DataFrame
    metrics: dict[str, Any]
    predictions: pd.DataFrame

    def save(self, folder: str | Path) -> None:
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


def load_finetuned(folder: str | Path) -> Finetuned:
    """Read what `Finetuned.save` wrote.

    Raises:
        CheckpointError: missing, damaged, or of another kind.
    """
    config, tensors, history = checkpoints.load(folder, "finetuned")
    sizes = checkpoints.from_dict(EncoderSettings, config["encoder"])
    model = PropertyModel(random_encoder(sizes).encoder, sizes.hidden)
    load_weights(model, tensors, "")
    settings = checkpoints.from_dict(FinetuneSettings, config["finetune"])
    path = Path(folder) / "predictions.csv"
    predictions = read_by_id(path) if path.is_file() else pd.DataFrame()
    return Finetuned(model.eval(), sizes, settings, history, config["metrics"], predictions)


def finetune(
    crystals: CrystalSet,
    init: "Pretrained | str | Path" = "scratch",
    settings: FinetuneSettings | None = None,
    sizes: EncoderSettings | None = None,
    graphs: GraphSet | None = None,
    device: str | None = None,
    show: bool = True,
    pretraining_formulas: pd.Series | None = None,
) -> Finetuned:
    """Train on the rows of split `train`, keep the epoch that is best on `val`, and test it once on `test`.

    Args:
        crystals: rows of the splits `train`, `val` and `test`; others are ignored.
        init: `"scratch"`, a `Pretrained`, or the folder of one.
        settings: target, epochs, rates, seed. The seed also draws the head and, from scratch, the encoder.
        sizes: of an encoder from scratch.
        graphs: of the same crystals, if built before.
        device: where to compute; chosen if None.
        show: report progress.
        pretraining_formulas: what pretraining saw; by default the formulas of the rows of split `pretrain`. Test
            crystals without a polymorph there get an error of their own.

    Raises:
        SettingsError: unknown target.
        InputError: the target is absent or has missing values, or a split is empty.
        CheckpointError: the folder of `init` holds no usable model.
        TrainingError: the loss became non-finite or grew without bound.
    """
    settings, place = settings or FinetuneSettings(), pick_device(device)
    start = time.perf_counter()
    model, sizes, origin = start_model(init, settings, sizes)
    usable = crystals.of_split(*PARTS).with_target(settings.target)
    rows, values = split_rows(usable), torch.tensor(usable.table[settings.target].to_numpy(np.float32))
    if graphs is None or graphs.fingerprint != usable.fingerprint():
        graphs = build_graphs(usable, sizes.graph)
    check_graphs(graphs, sizes, usable)
    check_count(len(rows["train"]))
    graphs, model, values = graphs.to(place), model.to(place), values.to(place)
    train = values[rows["train"]]
    model.mean.copy_(train.mean())
    model.std.copy_(train.std().clamp(min=1e-6))
    history, best = fit(model, graphs, values, rows, settings, origin["init"], show)
    predicted = predict_all(model, graphs)
    table = pd.DataFrame({"split": usable.table["split"], "true": values.cpu().numpy(), "predicted": predicted})
    if pretraining_formulas is None:
        pretraining_formulas = crystals.table.loc[crystals.table["split"] == "pretrain", "formula"]
    seen = usable.table["formula"].isin(pretraining_formulas)
    metrics = origin | measure(table, seen, settings) | best | {"data": describe(usable, graphs)}
    metrics |= {"seconds": round(time.perf_counter() - start, 1), "device": str(place)}
    return Finetuned(model.cpu().eval(), sizes, settings, history, metrics, table)


def start_model(
    init: "Pretrained | str | Path", settings: FinetuneSettings, sizes: EncoderSettings | None
) -> tuple[PropertyModel, EncoderSettings, dict[str, Any]]:
    """The model before the first step, its sizes, and where it comes from."""
    fresh = isinstance(init, str) and init == "scratch"
    if isinstance(init, Pretrained):
        source = init
    else:
        source = random_encoder(sizes, settings.seed) if fresh else load_pretrained(init)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = PropertyModel(make_encoder(source.encoder_settings), source.encoder_settings.hidden)
    model.encoder.load_state_dict(source.encoder.state_dict())
    run = source.settings
    origin: dict[str, Any] = {"init": "scratch" if fresh else "random" if run is None else run.loss}
    label = run.label if run is not None else None
    origin["label"] = label
    origin["label_is_function_of_target"] = label is not None and settings.target in get_label(label).function_of
    return model, source.encoder_settings, origin


def split_rows(crystals: CrystalSet) -> dict[str, Tensor]:
    """Positions of the rows of each split.

    Raises:
        InputError: one of them is empty.
    """
    rows = {p: torch.from_numpy(np.flatnonzero(crystals.table["split"] == p)) for p in PARTS}
    for part, index in rows.items():
        if len(index) == 0:
            raise InputError(f"{crystals.name} has no rows of split {part!r}; fine-tuning needs train, val and test.")
    return rows


def fit(
    model: PropertyModel,
    graphs: GraphSet,
    values: Tensor,
    rows: dict[str, Tensor],
    settings: FinetuneSettings,
    title: str,
    show: bool,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The training loop; the model ends with the weights of the epoch of least validation error."""
    optimiser = make_adam(
        [
            {"params": list(model.head.parameters()), "full_rate": settings.head_rate},
            {"params": list(model.encoder.parameters()), "full_rate": settings.encoder_rate},
        ],
        settings.weight_decay,
    )
    history: list[dict[str, float]] = []
    best, weights = math.inf, {}
    start = time.perf_counter()
    with Progress(f"{settings.target} from {title}", settings.epochs, show) as bar:
        for epoch in range(settings.epochs):
            model.train()
            set_rates(optimiser, rate_factor(epoch, settings.epochs))
            total = 0.0
            for order in shuffled_batches(len(rows["train"]), settings.batch_size, settings.seed, epoch):
                index = rows["train"][order]
                wanted = (values[index.to(values.device)] - model.mean) / model.std
                loss = nn.functional.mse_loss(model.normalised(graphs.batch(index)), wanted)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                total += loss.item() * len(index)
            row = {"epoch": epoch + 1, "loss": total / len(rows["train"])}
            check_growth(row["loss"], history, settings)
            row["val_mae"] = mean_error(predict_all(model, graphs, rows["val"]), values, rows["val"])
            row["seconds"] = time.perf_counter() - start
            history.append(row)
            bar.report({"loss": row["loss"], "val_mae": row["val_mae"]})
            if row["val_mae"] < best:
                best, best_epoch = row["val_mae"], epoch + 1
                weights = {k: v.clone() for k, v in model.state_dict().items()}
    if not weights:
        raise TrainingError("No epoch gave a finite validation error. Try a tenth of both rates.")
    model.load_state_dict(weights)
    return pd.DataFrame(history), {"epochs": settings.epochs, "best_epoch": best_epoch}


def check_growth(loss: float, history: list[dict[str, float]], settings: FinetuneSettings) -> None:
    """Stop a run that diverges, and say what to change."""
    if not math.isfinite(loss) or (history and loss > GROWTH * max(history[0]["loss"], 1.0)):
        raise TrainingError(
            f"Fine-tuning diverged in epoch {len(history) + 1}: loss {loss:.3g}, rates {settings.head_rate:g} (head) "
            f"and {settings.encoder_rate:g} (encoder). Try a tenth of both."
        )


def mean_error(predicted: np.ndarray, values: Tensor, rows: Tensor) -> float:
    """Mean absolute error on some rows, in the target's unit."""
    return float(np.abs(predicted - values[rows.to(values.device)].cpu().numpy()).mean())


@torch.no_grad()
def predict_all(model: PropertyModel, graphs: GraphSet, rows: Tensor | None = None) -> np.ndarray:
    """Predictions for all crystals or for some rows, in the target's unit, [B]."""
    model.eval()
    rows = torch.arange(len(graphs)) if rows is None else rows
    return torch.cat([model(graphs.batch(index)).cpu() for index in rows.split(BATCH)]).numpy()


def measure(table: pd.DataFrame, seen: pd.Series, settings: FinetuneSettings) -> dict[str, Any]:
    """Errors by split, the error of the training median, and that of test formulas pretraining did not see."""
    error = (table["predicted"] - table["true"]).abs()
    part = table["split"]
    median = table["true"][part == "train"].median()
    unseen = (part == "test") & ~seen
    return {
        "target": settings.target,
        "unit": get_target(settings.target).unit,
        "seed": settings.seed,
        **{f"n_{p}": int((part == p).sum()) for p in PARTS},
        "train_mae": float(error[part == "train"].mean()),
        "val_mae": float(error[part == "val"].mean()),
        "test_mae": float(error[part == "test"].mean()),
        "median_test_mae": float((table["true"] - median).abs()[part == "test"].mean()),
        "n_test_formula_not_in_pretrain": int(unseen.sum()),
        "test_mae_formula_not_in_pretrain": float(error[unseen].mean()) if unseen.any() else None,
    }


def predict(crystals: CrystalSet, tuned: Finetuned, device: str | None = None) -> pd.Series:
    """The target of new crystals by material id, in its unit."""
    place = pick_device(device)
    graphs = build_graphs(crystals, tuned.encoder_settings.graph, cache=len(crystals) > BATCH)
    values = predict_all(tuned.model.to(place), graphs.to(place))
    return pd.Series(values, index=crystals.table.index, name=tuned.settings.target)
