"""Models on disk: a folder with `config.json` (every setting needed to use them) and weights in safetensors.

The configuration names the weights file and the SHA-256 of it, of the history and of itself, and is replaced last, so a
folder is always either the old model or the new one. Nothing in it is executed on loading.
"""

import dataclasses
import hashlib
import json
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import pandas as pd
from torch import Tensor

from . import __version__
from .errors import CheckpointError, SettingsError
from .files import write_bytes, write_json, write_text

FORMAT = 1
CONFIG = "config.json"
HISTORY = "history.csv"
OWN_SUM = "config_sha256"  # of the other settings, in one fixed way of writing them
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
        CheckpointError: weights that are not finite, or a folder that cannot be written; an earlier model there stays.
    """
    broken = _not_finite(tensors)
    if broken:
        raise CheckpointError(f"The weights {broken!r} are not all finite; nothing was saved. Lower the rate?")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder, kind, tensors, config, history.to_csv(index=False))
    except OSError as error:
        raise CheckpointError(
            f"The model cannot be saved in {str(folder)!r} ({error.strerror or error}). An earlier one there is as it "
            "was. Free some space, or choose another folder."
        ) from error


def _write(folder: Path, kind: str, tensors: dict[str, Tensor], config: dict[str, Any], history: str) -> None:
    from safetensors.torch import save as to_bytes

    data = to_bytes({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    digest = hashlib.sha256(data).hexdigest()
    weights = f"weights-{digest[:12]}.safetensors"
    write_bytes(folder / weights, data)
    write_text(folder / HISTORY, history)
    head = {"format": FORMAT, "version": __version__, "kind": kind, "weights": weights, "sha256": digest}
    whole = plain(head | {"history_sha256": _digest(history)} | config)
    write_json(folder / CONFIG, whole | {OWN_SUM: _digest_of_settings(whole)})
    # An earlier model, and what a killed process left half written.
    for old in {*folder.glob("weights-*.safetensors"), *folder.glob(".*.part")} - {folder / weights}:
        old.unlink()


def load(folder: str | Path, kind: str | None = None) -> tuple[dict[str, Any], dict[str, Tensor], pd.DataFrame]:
    """Read configuration, weights and history of a model.

    Returns:
        The history is empty where it is not the one that was saved with the weights.

    Raises:
        NoModelError: no model there.
        CheckpointError: of another kind or format, or its bytes are not those that were saved.
    """
    folder = Path(folder)
    config = _read_config(folder)
    try:
        data = (folder / config["weights"]).read_bytes()
    except (ValueError, TypeError, OSError) as error:
        raise CheckpointError(f"The model in {str(folder)!r} is incomplete or damaged ({error}).") from error
    if hashlib.sha256(data).hexdigest() != config["sha256"]:
        raise CheckpointError(f"The weights in {str(folder)!r} are not those that were saved (checksum differs).")
    if kind is not None and config["kind"] != kind:
        raise CheckpointError(f"{str(folder)!r} holds a {config['kind']} model; a {kind} one is needed.")
    return config, _tensors(folder, data), _read_history(folder / HISTORY, config.get("history_sha256"))


def _read_config(folder: Path) -> dict[str, Any]:
    """The configuration, if it is one and as it was saved."""
    if folder.is_file():
        raise CheckpointError(
            f"{str(folder)!r} is a file; a model is a folder with {CONFIG} and weights in safetensors. Files such as "
            ".pt, .pth, .ckpt and .pkl can run code when they are opened, and are never opened here."
        )
    path = folder / CONFIG
    if not path.is_file():
        raise NoModelError(f"No saved model in {str(folder)!r}: there is no {CONFIG}. Is the path right?")
    try:
        config = json.loads(path.read_text())
        if not isinstance(config, dict) or not {"weights", "sha256", "kind"} <= config.keys():
            raise ValueError(f"{CONFIG} lacks what every model has")
    except (ValueError, OSError) as error:
        raise CheckpointError(f"The model in {str(folder)!r} is incomplete or damaged ({error}).") from error
    if config.get("format") != FORMAT:
        raise CheckpointError(f"{str(folder)!r} has format {config.get('format')}; this version reads {FORMAT}.")
    if config.pop(OWN_SUM, None) not in (None, _digest_of_settings(config)):  # models of earlier versions have none
        raise CheckpointError(
            f"{str(path)!r} is not what was saved (checksum differs). Get it again; if you have edited it and know "
            f"what you do, remove its line {OWN_SUM}."
        )
    return config


def _tensors(folder: Path, data: bytes) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    try:
        tensors = from_bytes(data)
    except SafetensorError as error:
        raise CheckpointError(f"The weights in {str(folder)!r} are no safetensors file ({error}).") from error
    broken = _not_finite(tensors)
    if broken:
        raise CheckpointError(f"The weights {broken!r} in {str(folder)!r} are not all finite.")
    return tensors


def _read_history(path: Path, digest: str | None) -> pd.DataFrame:
    """The history, if it is the one with that SHA-256; models of earlier versions do not say."""
    try:
        text = path.read_bytes().decode()
        return pd.read_csv(StringIO(text)) if digest in (None, _digest(text)) else pd.DataFrame()
    except (OSError, ValueError):  # an empty history, too
        return pd.DataFrame()


def _not_finite(tensors: dict[str, Tensor]) -> str:
    """The name of the first tensor with a value that is not finite, or nothing."""
    return next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), "")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _digest_of_settings(config: dict[str, Any]) -> str:
    return _digest(json.dumps(config, sort_keys=True))


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
