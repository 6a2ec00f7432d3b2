"""Random numbers that depend only on what they are for: (seed, epoch, view), a purpose, and the atom or edge.

Each number is a hash of its key and of the id of the thing it is drawn for (the SplitMix64 finaliser of Steele et al.,
OOPSLA 2014, on a counter). So a crystal gets the same noise whatever batch, process or device it is in and wherever
a run was stopped and resumed.
"""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

WITHIN_BITS = 24  # of an id: number within the crystal; the bits above are the crystal's row in its set
RANDOM_BITS = 24  # all that a float32 in [0, 1) can hold


def key_number(*key: object) -> int:
    """A number between 0 and 2^63 that depends on every part of the key."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(*key: object) -> torch.Generator:
    """A torch generator (on the CPU) fixed by the key, for shuffles."""
    return torch.Generator().manual_seed(key_number(*key))


def ids_within(row: Tensor, within: Tensor) -> Tensor:
    """Ids of atoms or edges from the crystal's row in its set and their number within it."""
    return (row << WITHIN_BITS) | within


@dataclass(frozen=True)
class Draws:
    """The source of the noise of one view: `Draws(seed, epoch, view)`, or any other numbers.

    Attributes:
        key: what all its numbers depend on.
    """

    key: tuple[int, ...]

    def __init__(self, *key: int) -> None:
        object.__setattr__(self, "key", key)

    def bits(self, ids: Tensor, purpose: str) -> Tensor:
        """One whole number in [0, 2^24) for each id, the same again for the same id and purpose; int64."""
        x = ids * _signed(0x9E3779B97F4A7C15) + key_number(*self.key, purpose)  # int64 products wrap around
        x = (x ^ _shift(x, 30)) * _signed(0xBF58476D1CE4E5B9)
        x = (x ^ _shift(x, 27)) * _signed(0x94D049BB133111EB)
        return _shift(x ^ _shift(x, 31), 64 - RANDOM_BITS)

    def uniform(self, ids: Tensor, purpose: str) -> Tensor:
        """One number of U[0, 1) for each id, float32."""
        return self.bits(ids, purpose).float() * 2.0**-RANDOM_BITS


def _shift(x: Tensor, count: int) -> Tensor:
    """Shift to the right without copies of the sign bit."""
    return (x >> count) & ((1 << (64 - count)) - 1)


def _signed(constant: int) -> int:
    """The same 64 bits as a signed number."""
    return constant - (1 << 64) if constant >> 63 else constant
