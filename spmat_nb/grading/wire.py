"""Values between the grader and a student's process, as JSON: numbers, text, arrays, tensors, graphs, crystals.

Only plain data crosses. What has another type arrives as `Foreign`, which no check takes for an answer: an object that
claims to equal everything cannot be sent. Whoever reads must be able to trust nothing, so `decode` builds known types
only and never calls what was sent.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
import torch
from pymatgen.core import Structure
from torch import Tensor

from ..draws import Draws
from ..graphs import Batch

MOST_BYTES = 64 << 20  # of a message; the largest honest one is far below
DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")


@dataclass(frozen=True)
class Foreign:
    """Stands for a value of a type that does not cross, known by its name only."""

    name: str

    def __repr__(self) -> str:
        return f"an object of type {self.name}"


class WireError(Exception):
    """A message is not one of ours."""


def dumps(value: Any) -> str:
    """A value as one line of text."""
    return json.dumps(encode(value), allow_nan=False)


def loads(text: str) -> Any:
    """The value of a line.

    Raises:
        WireError: the line was not written by `dumps`.
    """
    try:
        return decode(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise WireError(f"A message cannot be read ({type(error).__name__}).") from None


def encode(value: Any) -> Any:
    """A value as what JSON has."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int | float) and abs(value) < 2**63:  # NaN and infinities compare false
        return int(value) if isinstance(value, int) else float(value)
    kind = next((kind for kind, codec in CODECS.items() if isinstance(value, codec.types)), "foreign")
    return {"kind": kind, "value": CODECS[kind].write(value)}


def decode(data: Any) -> Any:
    """The value of what `encode` made."""
    if not isinstance(data, dict):
        if isinstance(data, list):
            raise TypeError("a bare list")
        return data
    return CODECS[data["kind"]].read(data["value"])


@dataclass(frozen=True)
class Codec:
    """How the values of some types are written and read."""

    types: tuple[type, ...]
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _write_array(value: np.ndarray) -> Any:
    if value.dtype.name not in DTYPES:
        if value.dtype.kind in "OUT":  # text and mixed columns
            return {"shape": list(value.shape), "entries": [encode(entry) for entry in value.ravel().tolist()]}
        value = value.astype(np.float64)
    data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
    return {"dtype": value.dtype.name, "shape": list(value.shape), "data": data}


def _read_array(data: Any) -> np.ndarray:
    shape = tuple(int(size) for size in data["shape"])
    if "entries" in data:
        array = np.empty(len(data["entries"]), dtype=object)
        array[:] = [decode(entry) for entry in data["entries"]]
        return array.reshape(shape)
    if data["dtype"] not in DTYPES:
        raise ValueError("an unknown type of numbers")
    return np.frombuffer(base64.b64decode(data["data"]), dtype=data["dtype"]).reshape(shape).copy()


def _write_tensor(value: Tensor) -> Any:
    plain = value.detach().cpu()
    return _write_array((plain.float() if plain.dtype == torch.bfloat16 else plain).numpy())


def _write_series(value: pd.Series) -> Any:
    return {"index": encode(value.index.to_numpy()), "name": encode(value.name), "data": encode(value.to_numpy())}


def _read_series(data: Any) -> pd.Series:
    return pd.Series(_simple(decode(data["data"])), index=_simple(decode(data["index"])), name=decode(data["name"]))


def _write_frame(value: pd.DataFrame) -> Any:
    columns = [encode(value.iloc[:, number].to_numpy()) for number in range(value.shape[1])]
    return {"index": encode(value.index.to_numpy()), "names": encode(list(value.columns)), "columns": columns}


def _read_frame(data: Any) -> pd.DataFrame:
    index, names = _simple(decode(data["index"])), decode(data["names"])
    columns = {n: _simple(decode(column)) for n, column in zip(names, data["columns"], strict=True)}
    return pd.DataFrame(columns, index=index)


def _simple(array: np.ndarray) -> Any:
    """Mixed entries as a list, so that pandas finds their type."""
    return array.tolist() if array.dtype == object else array


def _write_structure(value: Structure) -> Any:
    symbols = [site.specie.symbol for site in value]
    return encode((value.lattice.matrix, symbols, value.frac_coords))


def _read_structure(data: Any) -> Structure:
    """Built from three plain parts: pymatgen's own format can name any class to be loaded."""
    lattice, symbols, frac = decode(data)
    return Structure(lattice, [str(symbol) for symbol in symbols], frac)


def _read_generator(data: Any) -> np.random.Generator:
    generator = np.random.default_rng(0)
    generator.bit_generator.state = json.loads(data)
    return generator


def _write_batch(value: Batch) -> Any:
    return {field.name: encode(getattr(value, field.name)) for field in fields(Batch)}


CODECS: dict[str, Codec] = {
    "float": Codec((int, float), repr, lambda data: float(data)),  # what JSON has no number for
    "numpy": Codec((np.generic,), lambda value: encode(value.item()), decode),
    "list": Codec((list,), lambda value: [encode(v) for v in value], lambda data: [decode(v) for v in data]),
    "tuple": Codec((tuple,), lambda value: [encode(v) for v in value], lambda data: tuple(decode(v) for v in data)),
    "dict": Codec(
        (dict,),
        lambda value: [[encode(k), encode(v)] for k, v in value.items()],
        lambda data: {decode(k): decode(v) for k, v in data},
    ),
    "array": Codec((np.ndarray,), _write_array, _read_array),
    "tensor": Codec((Tensor,), _write_tensor, lambda data: torch.from_numpy(_read_array(data))),
    "series": Codec((pd.Series, pd.Index), lambda value: _write_series(pd.Series(value)), _read_series),
    "frame": Codec((pd.DataFrame,), _write_frame, _read_frame),
    "batch": Codec((Batch,), _write_batch, lambda data: Batch(**{f.name: decode(data[f.name]) for f in fields(Batch)})),
    "draws": Codec(
        (Draws,),
        lambda value: encode(tuple(int(k) for k in value.key)),
        lambda data: Draws(*(int(k) for k in decode(data))),
    ),
    "generator": Codec(
        (np.random.Generator,), lambda value: json.dumps(value.bit_generator.state, default=int), _read_generator
    ),
    "structure": Codec((Structure,), _write_structure, _read_structure),
    "foreign": Codec((), lambda value: type(value).__name__, lambda data: Foreign(str(data)[:80])),
}


def mutable(values: Any) -> Any:
    """The parts of some arguments that a function must not change, as `encode` writes them."""
    if isinstance(values, list | tuple):
        return [mutable(value) for value in values]
    if isinstance(values, dict):
        return [mutable(value) for value in values.values()]
    return encode(values) if isinstance(values, Tensor | np.ndarray | Batch) else None
