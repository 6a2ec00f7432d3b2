"""The losses as they are usually written wrongly, with what to say of each mistake."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from ..losses import class_mask, supervised_simclr

Loss = Callable[[Tensor, Tensor, Tensor, float], Tensor]  # z1, z2, labels, temperature or balance
NOT_NORMALISED = "The projections are not normalised: the loss compares cosines, so divide each by its length."


def unit(z: Tensor) -> Tensor:
    """Rows of length one."""
    return functional.normalize(z, dim=1)


def log_shares(z: Tensor, temperature: float, pool: Tensor) -> Tensor:
    """Logarithm of the share of each view among those where `pool` is true: [2B, D] to [2B, 2B]."""
    logits = z @ z.T / temperature
    return logits - torch.logsumexp(logits.masked_fill(~pool, -torch.inf), dim=1, keepdim=True)


def _simclr(
    share: Callable[[Tensor, Tensor, float, Tensor, Tensor], Tensor] | None = None,
    chosen: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda same, itself, own: same & ~itself,
    mean: Callable[[Tensor, Tensor], Tensor] = lambda log_share, chosen: -_each(log_share, chosen).mean(),
) -> Loss:
    """Supervised SimCLR with one of its three steps replaced.

    Args:
        share: from both views, tau, `same` and `itself` to the logarithms of the shares.
        chosen: from `same`, `itself` and `own` (one crystal) to P(i).
        mean: from the logarithms and P(i) to the loss.
    """

    def loss(z1: Tensor, z2: Tensor, labels: Tensor, temperature: float) -> Tensor:
        z = torch.cat([z1, z2])
        itself = torch.eye(len(z), dtype=torch.bool)
        own = torch.eye(len(z1), dtype=torch.bool).repeat(2, 2)
        same = class_mask(labels, len(z1), z.device).repeat(2, 2)
        right = log_shares(unit(z), temperature, ~itself)
        return mean(share(z, right, temperature, same, itself) if share else right, chosen(same, itself, own))

    return loss


def _each(log_share: Tensor, chosen: Tensor) -> Tensor:
    """The mean over P(i) for each view, [2B]."""
    return torch.where(chosen, log_share, 0.0).sum(1) / chosen.sum(1)


def _log_of_sum(log_share: Tensor, chosen: Tensor) -> Tensor:
    return torch.logsumexp(log_share.masked_fill(~chosen, -torch.inf), dim=1)


def _all(z: Tensor, right: Tensor, tau: float, same: Tensor, itself: Tensor) -> Tensor:
    """Shares with the view itself in the denominator."""
    return torch.log_softmax(unit(z) @ unit(z).T / tau, dim=1)


def _across_views(z1: Tensor, z2: Tensor, labels: Tensor, temperature: float) -> Tensor:
    log_share = torch.log_softmax(unit(z1) @ unit(z2).T / temperature, dim=1)
    return -_each(log_share, class_mask(labels, len(z1), z1.device)).mean()


SIMCLR: Mapping[str, Loss] = {
    "The view itself is still in the denominator, where its cosine of 1 outweighs the others: sum over a != i.": (
        _simclr(_all)
    ),
    "A view counts as its own positive: take the diagonal out of P(i).": _simclr(chosen=lambda same, itself, own: same),
    "A view counts as its own positive and stands in its own denominator: take the diagonal out of both.": (
        _simclr(_all, chosen=lambda same, itself, own: same)
    ),
    "P(i) has lost i's own other view: exclude the view itself, not its crystal.": (
        _simclr(chosen=lambda same, itself, own: same & ~own)
    ),
    "Only the own other view is a positive: this is the unsupervised loss. Use the labels.": (
        _simclr(chosen=lambda same, itself, own: own & ~itself)
    ),
    NOT_NORMALISED: _simclr(lambda z, right, tau, same, itself: log_shares(z, tau, ~itself)),
    "The cosines are multiplied by the temperature: divide by it.": (
        _simclr(lambda z, right, tau, same, itself: log_shares(unit(z), 1 / tau, ~itself))
    ),
    "The temperature is missing: divide the cosines by it.": (
        _simclr(lambda z, right, tau, same, itself: log_shares(unit(z), 1.0, ~itself))
    ),
    "The denominator has only negatives: it goes over all other views, positives too.": (
        _simclr(lambda z, right, tau, same, itself: log_shares(unit(z), tau, ~same))
    ),
    "The mean over P(i) is inside the logarithm: take the logarithm of each share, then the mean.": (
        _simclr(mean=lambda log_share, chosen: -(_log_of_sum(log_share, chosen) - chosen.sum(1).log()).mean())
    ),
    "The sum over P(i) is inside the logarithm: take the logarithm of each share, then the mean over P(i).": (
        _simclr(mean=lambda log_share, chosen: -_log_of_sum(log_share, chosen).mean())
    ),
    "All positive pairs weigh the same, so large classes count for more: first the mean over P(i), then over i.": (
        _simclr(mean=lambda log_share, chosen: -log_share[chosen].mean())
    ),
    "The sum over P(i) is not divided by |P(i)|.": (
        _simclr(mean=lambda log_share, chosen: -log_share[chosen].sum() / len(chosen))
    ),
    "The sum over the 2B views is not divided by 2B.": (
        _simclr(mean=lambda log_share, chosen: -_each(log_share, chosen).sum())
    ),
    "The sum over the 2B views is divided by B: there are two views of each crystal.": (
        _simclr(mean=lambda log_share, chosen: -2 * _each(log_share, chosen).mean())
    ),
    "Only the first view asks: the mean is over all 2B views.": (
        _simclr(mean=lambda log_share, chosen: -_each(log_share, chosen)[: len(chosen) // 2].mean())
    ),
    "The minus sign is missing: a loss goes down when the share goes up.": (
        _simclr(mean=lambda log_share, chosen: _each(log_share, chosen).mean())
    ),
    "The first view is compared with the second only; put both into one list of 2B views.": _across_views,
}


def _barlow(
    pull: Callable[[Tensor], Tensor] = lambda c: (1 - c).square(),
    push: Callable[[Tensor], Tensor] = torch.square,
    weights: Callable[[float], tuple[float, float]] = lambda balance: (1.0, balance),
    cosines: Callable[[Tensor, Tensor], Tensor] = lambda z1, z2: unit(z1) @ unit(z2).T,
    mask: Callable[[Tensor, Tensor], Tensor] = lambda same, eye: same,
    count: Callable[[Tensor, int], int] = lambda mask, crystals: int(mask.sum()),
) -> Loss:
    """Supervised Barlow Twins with one of its parts replaced.

    Args:
        pull: of the cosines of one class.
        push: of the cosines of different classes.
        weights: of the two terms, from lambda.
        cosines: C.
        mask: where `pull` holds, from the right mask and the diagonal.
        count: what each sum is divided by, from its mask and B.
    """

    def loss(z1: Tensor, z2: Tensor, labels: Tensor, balance: float) -> Tensor:
        c, same = cosines(z1, z2), class_mask(labels, len(z1), z1.device)
        parts = ((pull(c), mask(same, torch.eye(len(z1), dtype=torch.bool))), (push(c), ~same))
        sums = [values[where].sum() / count(where, len(z1)) for values, where in parts]
        first, second = weights(balance)
        return first * sums[0] + second * sums[1]

    return loss


BARLOW: Mapping[str, Loss] = {
    NOT_NORMALISED: _barlow(cosines=lambda z1, z2: z1 @ z2.T),
    "The mask has lost the own other view: the diagonal of C should be pulled to 1 too.": (
        _barlow(mask=lambda same, eye: same & ~eye)
    ),
    "Labels are not used: with M = identity this is the unsupervised form.": (
        lambda z1, z2, labels, balance: _barlow()(z1, z2, torch.arange(len(labels)), balance)
    ),
    "The first view is compared with itself: C_ij is the cosine of z1_i and z2_j.": (
        _barlow(cosines=lambda z1, z2: unit(z1) @ unit(z1).T)
    ),
    "Both sums are divided by the number of all pairs: take the mean over each part by itself.": (
        _barlow(count=lambda mask, crystals: crystals**2)
    ),
    "Both sums are divided by the number of crystals: take the mean over each part by itself.": (
        _barlow(count=lambda mask, crystals: crystals)
    ),
    "These are sums: take the mean over each part, or lambda would depend on the sizes of the classes.": (
        _barlow(count=lambda mask, crystals: 1)
    ),
    "Lambda stands at the wrong term: it weighs the pairs of different classes.": (
        _barlow(weights=lambda balance: (balance, 1.0))
    ),
    "Lambda is missing.": _barlow(weights=lambda balance: (1.0, 1.0)),
    "Lambda divides the second mean: multiply by it.": _barlow(weights=lambda balance: (1.0, 1 / balance)),
    "The means are subtracted: both of them should become small.": _barlow(weights=lambda balance: (1.0, -balance)),
    "Pairs of different classes are pushed to -1; this loss wants a cosine of 0.": (
        _barlow(push=lambda c: (1 + c).square())
    ),
    "The cosines of different classes are not squared: negative ones would be rewarded.": _barlow(push=torch.clone),
    "The distance to 1 is not squared.": _barlow(pull=lambda c: 1 - c),
    "1 - C² has a minimum at C = -1 as well: square 1 - C instead.": _barlow(pull=lambda c: 1 - c.square()),
}
MISSING_AS_CLASS = "Crystals with a missing label count as one class here; nothing says that they are alike."


def simclr_missing_as_class(z1: Tensor, z2: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Supervised SimCLR that takes -1 as a class."""
    return supervised_simclr(z1, z2, labels + 1, temperature)


def barlow_missing_as_class(z1: Tensor, z2: Tensor, labels: Tensor, balance: float) -> Tensor:
    """Supervised Barlow Twins that takes -1 as a class."""
    return _barlow()(z1, z2, labels + 1, balance)
