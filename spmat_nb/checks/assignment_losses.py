"""Checks of assignment a3: masks and losses on other batches, values in the limit, shares that stay finite."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..feedback import Mistake, check
from ..losses import class_mask, supervised_barlow, supervised_simclr
from . import wrong_losses
from .compare import compare
from .losses import _wrong_masks

Batch = tuple[Tensor, Tensor, Tensor, float]  # z1, z2, labels, temperature or lambda


@check("class mask of other labels", "Any labels, known or not, also when there are none.")
def check_mask_of(answer: Callable[[Tensor], Any], cases: Mapping[str, Sequence[int]]) -> None:
    """`answer(labels)` is the [B, B] mask of `losses.class_mask`.

    Args:
        answer: the learner's function.
        cases: labels by a name that the learner may read.
    """
    for name, entries in cases.items():
        labels = torch.tensor(entries)
        right = class_mask(labels, len(labels), torch.device("cpu"))
        got = answer(labels)
        if isinstance(got, Tensor) and got.dtype != torch.bool:
            hint = "As an index, a mask of numbers picks rows 0 and 1. Compare with == and combine with & and |."
            raise Mistake(name, f"a mask of type {got.dtype}", torch.bool, hint)
        wrong = {words: mask for words, mask in _wrong_masks(labels, right).items() if not torch.equal(mask, right)}
        hint = "labels[:, None] == labels[None, :], both known, and always the diagonal."
        compare(name, got, right, wrong, hint)


def _compare_on(
    answer: Callable[..., Any],
    right: Callable[..., Tensor],
    wrong: Mapping[str, wrong_losses.Loss],
    as_class: wrong_losses.Loss,
    cases: Mapping[str, Batch],
    hint: str,
) -> None:
    """Try a loss on several batches; where a label is missing, only that mistake is looked for by its name."""
    for name, batch in cases.items():
        wanted, missing = right(*batch), bool((batch[2] < 0).any())
        mistakes = {wrong_losses.MISSING_AS_CLASS: as_class} if missing else wrong
        values = {words: loss(*batch) for words, loss in mistakes.items()}
        differing = {words: value for words, value in values.items() if not torch.allclose(value, wanted, 1e-4, 1e-6)}
        compare(name, answer(*batch), wanted, differing, hint)


@check("supervised SimCLR on other batches", "The same loss for any classes, temperature and number of crystals.")
def check_simclr_on(answer: wrong_losses.Loss, cases: Mapping[str, Batch]) -> None:
    """`answer(z1, z2, labels, temperature)` is `losses.supervised_simclr` on some batches, by a name each."""
    hint = "Cosines of all 2B views over tau; log share against a != i; mean over P(i); mean over i; minus."
    as_class = wrong_losses.simclr_missing_as_class
    _compare_on(answer, supervised_simclr, wrong_losses.SIMCLR, as_class, cases, hint)


@check("supervised Barlow Twins on other batches", "Each mean over its own pairs, also where one kind has none.")
def check_barlow_on(answer: wrong_losses.Loss, cases: Mapping[str, Batch]) -> None:
    """`answer(z1, z2, labels, balance)` is `losses.supervised_barlow` on some batches, by a name each."""
    hint = "Mean of (1 - C)² over pairs of one class plus balance times mean of C² over the others; 0 for no others."
    as_class = wrong_losses.barlow_missing_as_class
    _compare_on(answer, supervised_barlow, wrong_losses.BARLOW, as_class, cases, hint)


def limits(crystals: int, balance: float) -> dict[str, float]:
    """The right values of the five limits that a3 asks for.

    Args:
        crystals: B.
        balance: lambda of supervised Barlow Twins.
    """
    floor = math.log(2 * crystals - 1)
    return {
        "simclr, one class, one point": floor,
        "simclr, all different, one point": floor,
        "barlow, one class, one point": 0.0,
        "barlow, two classes, one point": balance,
        "barlow, one class, right angles": 1 - 1 / crystals,
    }


def _wrong_limits(crystals: int, balance: float) -> dict[str, dict[str, float]]:
    """For each limit: what to say of a value, and that value."""
    one, own = "simclr, one class, one point", "A view does not stand in its own denominator: 2B - 1 others share."
    shares = {
        own: math.log(2 * crystals),
        "There are two views of each crystal: 2B - 1 others, not B - 1.": math.log(crystals - 1),
        "There are two views of each crystal, and a view does not compete with itself.": math.log(crystals),
        "The own other view shares too: 2B - 1, not 2B - 2.": math.log(2 * crystals - 2),
        "The loss is minus the logarithm of a share, so it is positive.": -math.log(2 * crystals - 1),
    }
    return {
        one: shares | {"Even then each positive gets 1 / (2B - 1) only: the loss does not reach 0.": 0.0},
        "simclr, all different, one point": shares,
        "barlow, one class, one point": {"All cosines are 1, as they should be: nothing is left to pay.": 1.0},
        "barlow, two classes, one point": {
            "The pairs of one class cost nothing, but strangers have a cosine of 1 and should have 0.": 0.0,
            "That is right for λ = 1: the second mean is multiplied by λ.": 1.0,
            "Each mean runs over its own pairs, so the number of pairs does not matter.": balance / 2,
            "Pairs of one class are where they should be and cost nothing.": 1 + balance,
        },
        "barlow, one class, right angles": {
            "The diagonal is right already: B of the B² pairs cost nothing.": 1.0,
            "That is the share of pairs that cost nothing.": 1 / crystals,
            "Nothing is 'different' here, so λ does not come in.": balance * (1 - 1 / crystals),
            "Crystals of one class at right angles have a cosine of 0 and should have 1.": 0.0,
        },
    }


@check("limits of the losses", "Values for different labels and batches do not compare: now you know why.")
def check_limits(
    answer: Callable[[int, float], Any], cases: Iterable[tuple[int, float]], asked: Sequence[str] = ()
) -> None:
    """`answer(crystals, balance)` is a dictionary like `limits`.

    Args:
        answer: the learner's function.
        cases: B and lambda.
        asked: names of the limits to look at, all if empty.
    """
    for crystals, balance in cases:
        right, got = limits(crystals, balance), answer(crystals, balance)
        if not isinstance(got, dict) or set(got) != set(right):
            hint = "Return a dictionary with the five names of the text, each with a number."
            raise Mistake("the names", sorted(map(str, got)) if isinstance(got, dict) else got, sorted(right), hint)
        for name in asked or right:
            wanted = torch.tensor(right[name], dtype=torch.float64)
            wrong = {w: torch.tensor(v, dtype=torch.float64) for w, v in _wrong_limits(crystals, balance)[name].items()}
            hint = "Draw the points, write down all cosines, and put them into the formula by hand."
            compare(f"{name}, B = {crystals}, λ = {balance}", got[name], wanted, _other(wrong, wanted), hint)


def _other(values: Mapping[str, Tensor], right: Tensor) -> dict[str, Tensor]:
    return {words: value for words, value in values.items() if not torch.allclose(value, right, 1e-3, 1e-6)}


def right_shares(scores: Tensor, mask: Tensor) -> Tensor:
    """Logarithm of each score's share among those of its row where the mask is true; 0 elsewhere. [n, n]."""
    among = scores.masked_fill(~mask, -torch.inf)
    return torch.where(mask, scores - torch.logsumexp(among, dim=1, keepdim=True), 0.0)


def _wrong_shares(scores: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """What usual ways to write it give; NaN never equals an answer and is told by its own words."""
    weights = torch.exp(scores) * mask
    right, lowest = right_shares(scores, mask), torch.finfo(scores.dtype).min
    shifted = torch.exp(scores - scores.max()) * mask
    return {
        "The mask is not used in the sum: entries outside of it have no share.": torch.where(
            mask, torch.log_softmax(scores, dim=1), 0.0
        ),
        "These are the shares; their logarithm was asked for.": torch.where(mask, right.exp(), 0.0),
        "The sum goes down the columns; each row shares by itself.": torch.where(
            mask, scores - torch.logsumexp(scores.masked_fill(~mask, -torch.inf), dim=0, keepdim=True), 0.0
        ),
        "The sign: the logarithm of a share is at most 0.": -right,
        "One maximum for all rows: the exponentials of a row far below it are 0. Take that of each row.": torch.where(
            mask, scores - scores.max() - torch.log(shifted.sum(1, keepdim=True)), 0.0
        ),
        "exp of a large score is infinite in float32: use torch.logsumexp, or take the largest of the row off.": (
            torch.where(mask, scores - torch.log(weights.sum(1, keepdim=True)), 0.0)
        ),
        "Entries outside of the mask should be 0.": torch.where(mask, right, lowest),
    }


SHARES_HINT = "masked_fill(~mask, -inf), torch.logsumexp over each row, subtract, torch.where(mask, ..., 0)."


@check("shares that stay finite", "No temperature is too low for it, and no gradient is lost.")
def check_shares(
    answer: Callable[[Tensor, Tensor], Any],
    cases: Mapping[str, tuple[Tensor, Tensor]],
    slope: Callable[[Tensor, Tensor], Any] | None = None,
) -> None:
    """`answer(scores, mask)` is `right_shares`, with a finite gradient.

    Args:
        answer: the learner's function.
        cases: scores and mask, [n, n], by a name that the learner may read.
        slope: gives the gradient of the sum of the answer with respect to the scores.
    """
    for name, (scores, mask) in cases.items():
        wanted = right_shares(scores, mask)
        wrong = {w: v for w, v in _wrong_shares(scores, mask).items() if not torch.allclose(v, wanted, 1e-4, 1e-5)}
        got = answer(scores, mask)
        if isinstance(got, Tensor) and got.shape == wanted.shape and not got.isfinite().all():
            raise Mistake(
                name, f"{int((~got.isfinite()).sum())} entries that are not finite", "finite ones", _why(got, mask)
            )
        compare(name, got, wanted, wrong, SHARES_HINT)
        if slope is not None:
            _check_slope(name, slope(scores, mask), scores, mask)


def _why(got: Tensor, mask: Tensor) -> str:
    """Where the entries that are not finite are tells how they came about."""
    if (~got.isfinite() & ~mask).any() and got[mask].isfinite().all():
        return "Outside of the mask the answer is 0: torch.where(mask, ..., 0), not a product (0 * -inf is NaN)."
    if (got[mask] == torch.inf).any() or (got[mask] == -torch.inf).any():
        return (
            "A share became 0 or a sum infinite: no exp and log one after the other; use torch.logsumexp for each row."
        )
    return "exp of a large score is infinite in float32: use torch.logsumexp, or take the largest of the row off first."


def _check_slope(name: str, got: Any, scores: Tensor, mask: Tensor) -> None:
    leaf = scores.clone().requires_grad_()
    right_shares(leaf, mask).sum().backward()
    assert leaf.grad is not None
    if isinstance(got, Tensor) and not got.isfinite().all():
        hint = "The value is right, its gradient is NaN: fill with -inf before logsumexp, and choose with torch.where."
        raise Mistake(f"{name}: the gradient", "NaN or infinite entries", "finite ones", hint)
    hint = "Is every step differentiable? No .item(), .detach() or NumPy on the way."
    compare(f"{name}: the gradient", got, leaf.grad, {"Nothing depends on the scores any more.": 0 * leaf.grad}, hint)
