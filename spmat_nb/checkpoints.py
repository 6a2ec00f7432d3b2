"""Models on disk: a folder with `config.json` (every setting needed to use them) and weights in safetensors.

The configuration names the weights file and its SHA-256 and is replaced last, so a folder is always either the old
model or the new one. Nothing in it is executed on loading.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import pandas as pd
from torch import Tensor

from . import __version__
from .errors import CheckpointError, SettingsError
from .files import write_bytes, write_json, write_text

FORMAT = 1
CONFIG = "config.json"
T = TypeVar("T")


class NoModelError(CheckpointError):
    """There is nothing where a model should be."""


def save(folder: Path, kind: str, tensors: dict[str, Tensor], config: dict[str, Any], history: pd.DataFrame) -> None:
    """Write a model into `folder`, replacing an earlier one of it.

    Args:
        folder: made if absent.
        kind: what can be done with it, `pretrained` or `finetuned`.
        tensors: weights by name.
        config: settings as plain values.
        history: one row an epoch, written as `history.csv`.

    Raises:
        CheckpointError: weights that are not finite.
    """
    from safetensors.torch import save as to_bytes

    broken = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if broken:
        raise CheckpointError(f"The weights {broken[0]!r} are not all finite; nothing was saved. Lower the rate?")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"The folder {str(folder)!r} cannot be made ({error.strerror}).") from error
    data = to_bytes({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    digest = hashlib.sha256(data).hexdigest()
    weights = f"weights-{digest[:12]}.safetensors"
    write_bytes(folder / weights, data)
    write_text(folder / "history.csv", history.to_csv(index=False))
    head = {"format": FORMAT, "version": __version__, "kind": kind, "weights": weights, "sha256": digest}
    write_json(folder / CONFIG, head | config)
    # An earlier model, and what a killed process left half written.
    for old in {*folder.glob("weights-*.safetensors"), *folder.glob(".*.part")} - {folder / weights}:
        old.unlink()


def load(folder: str | Path, kind: str | None = None) -> tuple[dict[str, Any], dict[str, Tensor], pd.DataFrame]:
    """Read configuration, weights and history of a model.

    Raises:
        NoModelError: no model there.
        CheckpointError: of another kind or format, or its bytes are not those that were saved.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    folder = Path(folder)
    path = folder / CONFIG
    if not path.is_file():
        raise NoModelError(f"No saved model in {str(folder)!r}: there is no {CONFIG}. Is the path right?")
    try:
        config = json.loads(path.read_text())
        if not isinstance(config, dict) or not {"weights", "sha256", "kind"} <= config.keys():
            raise ValueError(f"{CONFIG} lacks what every model has")
        data = (folder / config["weights"]).read_bytes()
    except (ValueError, TypeError, OSError) as error:
        raise CheckpointError(f"The model in {str(folder)!r} is incomplete or damaged ({error}).") from error
    if config.get("format") != FORMAT:
        raise CheckpointError(f"{str(folder)!r} has format {config.get('format')}; this version reads {FORMAT}.")
    if hashlib.sha256(data).hexdigest() != config["sha256"]:
        raise CheckpointError(f"The weights in {str(folder)!r} are not those that were saved (checksum differs).")
    if kind is not None and config["kind"] != kind:
        raise CheckpointError(f"{str(folder)!r} holds a {config['kind']} model; a {kind} one is needed.")
    try:
        tensors = from_bytes(data)
    except SafetensorError as error:
        raise CheckpointError(f"The weights in {str(folder)!r} are no safetensors file ({error}).") from error
    try:
        history = pd.read_csv(folder / "history.csv")
    except (OSError, pd.errors.EmptyDataError):
        history = pd.DataFrame()
    return config, tensors, history


def from_dict(cls: type[T], values: dict[str, Any]) -> T:
    """A settings dataclass from plain values, nested ones included.

    Raises:
        CheckpointError: a value that the class does not know.
    """
    hints = get_type_hints(cls)
    unknown = set(values) - set(hints)
    if unknown:
        raise CheckpointError(f"{cls.__name__} of this version has no {sorted(unknown)[0]!r}; use the newer version.")
    nested = {
        key: from_dict(hints[key], value) if dataclasses.is_dataclass(hints[key]) else value
        for key, value in values.items()
    }
    try:
        return cls(**nested)
    except (TypeError, SettingsError) as error:
        raise CheckpointError(f"The saved {cls.__name__} cannot be used ({error}).") from error


def plain(values: Any) -> Any:
    """The same values as JSON gives them back: tuples become lists."""
    return json.loads(json.dumps(values))
