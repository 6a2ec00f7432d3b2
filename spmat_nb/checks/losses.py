"""Checks of the exercises about losses: the class mask, both supervised losses, and the floor of one of them."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..feedback import Mistake, check
from ..losses import class_mask, supervised_barlow, supervised_simclr
from ..vocabulary import MISSING
from . import wrong_losses
from .compare import as_tensor, compare

NO_HOLES, HOLES, ONE_CLASS = [0, 1, 0, 0, 1, 0], [0, -1, 0, -1, 1, 1], [2, 2, 2, 2, 2, 2]
TEMPERATURE, BALANCE = 0.5, 0.3
LOW_TEMPERATURE = 0.01
Mistakes = Mapping[str, wrong_losses.Loss]


@check("class mask", praise="A crystal without a label is a class of its own, so each has a positive.")
def check_class_mask(answer: Callable[[Tensor], Any]) -> None:
    """`answer(labels)` is the [B, B] mask, true where two crystals count as one class; -1 is not known."""
    labels = torch.tensor(HOLES)
    got, wanted = answer(labels), class_mask(labels, len(labels), torch.device("cpu"))
    tried = f"labels = {HOLES}"
    if isinstance(got, Tensor) and got.shape == wanted.shape and got.dtype != torch.bool:
        hint = "As an index, a mask of numbers picks rows 0 and 1. Compare with == and combine with & and |."
        raise Mistake(tried, f"a mask of type {got.dtype}", torch.bool, hint)
    compare(tried, got, wanted, _wrong_masks(labels, wanted), "Compare labels[:, None] with labels[None, :].")


def _wrong_masks(labels: Tensor, right: Tensor) -> dict[str, Tensor]:
    eye, known = torch.eye(len(labels), dtype=torch.bool), labels != MISSING
    equal, both = labels[:, None] == labels[None, :], known[:, None] & known[None, :]
    return {
        wrong_losses.MISSING_AS_CLASS: equal,
        "A crystal without a label has lost its own other view: the diagonal is true for all.": equal & both,
        "The diagonal is false: the two views of one crystal always belong together.": right & ~eye,
        "It is the other way round: true where two crystals belong together.": ~right,
        "Only the diagonal is true: crystals of one class belong together as well.": eye,
        "A crystal without a label is taken to belong to every class.": equal | ~both,
        "Class 0 is a class too: ask labels != -1, not whether a label is positive.": (
            eye | (equal & (labels > 0)[:, None])
        ),
        "Each label is compared with itself only: make a column of one copy, labels[:, None].": labels == labels,
    }


@check("supervised SimCLR", praise="The mean over P(i) first, then over all 2B views: every crystal has the same say.")
def check_supervised_simclr(answer: wrong_losses.Loss) -> None:
    """`answer(z1, z2, labels, temperature)` is the loss of `losses.supervised_simclr`."""
    hint = "Cosines of all 2B views over tau; log share against a != i; mean over P(i); mean over i; minus."
    # Missing labels come last: a wrong P(i) is NaN there, and one NaN looks like another.
    cases: dict[str, tuple[list[int], Mistakes]] = {
        "two classes of 4 and 2 crystals": (NO_HOLES, wrong_losses.SIMCLR),
        "two labels missing": (HOLES, {wrong_losses.MISSING_AS_CLASS: wrong_losses.simclr_missing_as_class}),
        "one class only": (ONE_CLASS, {}),
    }
    for words, (labels, mistakes) in cases.items():
        tried = f"{words}, temperature {TEMPERATURE}"
        _compare_loss(tried, answer, supervised_simclr, labels, TEMPERATURE, mistakes, hint)
    alone = "Two views of one crystal have only each other: the share is 1 and the loss 0."
    _compare_loss("a batch of one crystal", answer, supervised_simclr, [0], TEMPERATURE, {}, alone)
    _check_low_temperature(answer)


@check("supervised Barlow Twins", praise="Two means, each over its own pairs: lambda weighs them, not the class sizes.")
def check_supervised_barlow(answer: wrong_losses.Loss) -> None:
    """`answer(z1, z2, labels, balance)` is the loss of `losses.supervised_barlow`."""
    hint = (
        "C = cosines of z1 with z2; mean of (1 - C)² where the mask is true, plus balance times mean of C² elsewhere."
    )
    empty = "No pair of different classes is left, and the mean of nothing is NaN: divide by at least 1."
    missing = {wrong_losses.MISSING_AS_CLASS: wrong_losses.barlow_missing_as_class}
    cases: dict[str, tuple[list[int], Mistakes, str]] = {
        "two classes of 4 and 2 crystals": (NO_HOLES, wrong_losses.BARLOW, hint),
        "two labels missing": (HOLES, missing, hint),
        "one class only": (ONE_CLASS, {}, empty),
        "a batch of one crystal": ([0], {}, empty),
    }
    for words, (labels, mistakes, where) in cases.items():
        _compare_loss(f"{words}, balance {BALANCE}", answer, supervised_barlow, labels, BALANCE, mistakes, where)


def _compare_loss(
    tried: str,
    answer: wrong_losses.Loss,
    right: Callable[..., Tensor],
    labels: list[int],
    dial: float,
    mistakes: Mistakes,
    hint: str,
) -> None:
    """Try an answer on one batch beside the right loss and the wrong ones."""
    inputs = (*_views(len(labels)), torch.tensor(labels), dial)
    wrong = {words: loss(*inputs) for words, loss in mistakes.items()}
    compare(tried, answer(*inputs), right(*inputs), wrong, hint)


def _views(count: int) -> tuple[Tensor, Tensor]:
    """Two views of so many crystals, [count, 4], the same ones every time, in double precision."""
    draw = torch.Generator().manual_seed(0)
    first = torch.randn(count, 4, generator=draw, dtype=torch.float64)
    return first, first + 0.6 * torch.randn(count, 4, generator=draw, dtype=torch.float64)


def _check_low_temperature(answer: wrong_losses.Loss) -> None:
    """Value and gradient must stay finite in single precision."""
    z1, z2 = (z.float().requires_grad_() for z in _views(len(HOLES)))
    value = answer(z1, z2, torch.tensor(HOLES), LOW_TEMPERATURE)
    tried, wanted = f"temperature {LOW_TEMPERATURE} in float32", "a finite number"
    number = as_tensor(tried, value, torch.tensor(0.0))
    if not number.isfinite():
        hint = "exp(1 / 0.01) is larger than any float32: use torch.logsumexp or log_softmax instead of exp and log."
        raise Mistake(tried, number.item(), wanted, hint)
    if isinstance(value, Tensor) and value.requires_grad:
        value.backward()
        if not all(z.grad is not None and z.grad.isfinite().all() for z in (z1, z2)):
            hint = "0 * -inf is NaN: choose the positives with torch.where instead of multiplying by a mask."
            raise Mistake(tried, "a gradient with NaN", wanted, hint)


@check(
    "floor of supervised SimCLR", praise="So a loss of 5 may be perfect: values for different labels do not compare."
)
def check_floor(answer: Callable[[int], float]) -> None:
    """`answer(crystals)` is the supervised SimCLR loss of so many crystals of one class that lie on one point."""
    hint = "All cosines are 1, so all shares are equal. How many other views are there to share with?"
    for count in (8, 3):
        others = 2 * count - 1
        mistakes = {
            "A view does not stand in its own denominator: 2B - 1 others share, not 2B.": math.log(2 * count),
            "The own other view shares too: 2B - 1 are left, not 2B - 2.": math.log(2 * count - 2),
            "There are two views of each crystal.": math.log(count - 1),
            "There are two views of each crystal, and a view does not compete with itself.": math.log(count),
            "The loss is minus the logarithm of the share, so it is positive.": -math.log(others),
            "The positives share among themselves: with 2B - 1 of them, none gets more than 1 / (2B - 1).": 0.0,
            "Use the natural logarithm.": math.log2(others),
            "This is the share itself; the loss is minus its logarithm.": 1 / others,
        }
        tensors = {words: torch.tensor(value) for words, value in mistakes.items()}
        compare(f"{count} crystals of one class", answer(count), torch.tensor(math.log(others)), tensors, hint)
