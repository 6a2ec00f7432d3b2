"""Compare an answer with the right value and with what known mistakes give, so that a mistake can be named."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..feedback import Mistake

RELATIVE, ABSOLUTE = 1e-4, 1e-6
MOST_SHOWN = 6  # values of an answer that are written out
NOT_FINITE = "It is not finite: look for 0 * -inf, the logarithm of 0, or the mean of nothing."


def compare(tried: str, got: Any, wanted: Tensor, mistakes: Mapping[str, Tensor], hint: str) -> None:
    """Raise `Mistake` when an answer is not the wanted one.

    Args:
        tried: what was called, in words.
        got: the answer: a number, a list or a tensor.
        wanted: the right value.
        mistakes: what is wrong, in words, and the value that this mistake gives.
        hint: where to look when the answer is none of those.

    Raises:
        Mistake: the answer has another type, shape or value.
    """
    value = as_tensor(tried, got, wanted)
    if _same(value, wanted):
        return
    named = next((words for words, wrong in mistakes.items() if _same(value, wrong)), None)
    if named is None and value.shape != wanted.shape:
        named = f"The shape is {tuple(value.shape)} and should be {tuple(wanted.shape)}. {hint}"
    elif named is None and not value.isfinite().all():
        named = f"{NOT_FINITE} {hint}"
    raise Mistake(tried, shown(value), shown(wanted), named or hint)


def as_tensor(tried: str, got: Any, wanted: Tensor) -> Tensor:
    """The answer as a tensor of the wanted value's type.

    Raises:
        Mistake: nothing was returned, or no numbers.
    """
    if got is None:
        raise Mistake(tried, "nothing", shown(wanted), "Does the function end with `return`?")
    try:
        return torch.as_tensor(got).detach().to(wanted.dtype)
    except (TypeError, ValueError, RuntimeError):
        raise Mistake(tried, type(got).__name__, shown(wanted), "Return a number or a tensor.") from None


def shown(value: Tensor) -> str:
    """A few values in short, or the shape of many."""
    if value.numel() > MOST_SHOWN:
        return f"a tensor of shape {tuple(value.shape)}"
    rounded = [entry if isinstance(entry, bool) else float(f"{entry:.4g}") for entry in value.flatten().tolist()]
    return f"{rounded[0]:g}" if value.ndim == 0 else str(rounded)


def _same(value: Tensor, other: Tensor) -> bool:
    if value.shape != other.shape:
        return False
    if not value.is_floating_point():  # masks and counts are exact
        return torch.equal(value, other)
    return torch.allclose(value, other.to(value), RELATIVE, ABSOLUTE)
