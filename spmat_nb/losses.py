"""The losses of pretraining on the projections of two views, z1 and z2 [B, D]; the registry LOSSES.

The paper describes its losses in words; the formulas of the supervised ones are our choice, stated at each.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .errors import TrainingError, unknown
from .vocabulary import MISSING

WITH_CLASSES = "+classes"  # after the key of a loss: plain classification of the same label is added
FEATURE_BALANCE = 0.0051  # of the feature-wise Barlow Twins loss (Crystal Twins)
LEAST_TEMPERATURE = 1e-6  # below it the cosines over tau leave what single precision can tell apart


def class_mask(labels: Tensor | None, size: int, device: torch.device) -> Tensor:
    """[B, B] true where two crystals count as one class.

    A missing label (-1) makes a crystal its own class, and so do `labels=None` for all of them.
    """
    own = torch.eye(size, dtype=torch.bool, device=device)
    if labels is None:
        return own
    known = labels != MISSING
    return own | ((labels[:, None] == labels[None, :]) & known[:, None] & known[None, :])


def in_full_precision(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same loss with autocast switched off inside: half precision rounds away what a loss compares."""

    @functools.wraps(loss)
    def wrapped(z1: Tensor, *rest: Any, **options: Any) -> Tensor:
        with torch.autocast(z1.device.type, enabled=False):
            return loss(z1, *rest, **options)

    return wrapped


def accurate(z: Tensor) -> Tensor:
    """At least single precision; double stays double."""
    return z if z.dtype == torch.float64 else z.float()


def _check(z1: Tensor, z2: Tensor, labels: Tensor | None, least: int) -> None:
    if z1.shape != z2.shape or z1.ndim != 2:
        raise TrainingError(f"The two views must be [B, D] of one shape, got {tuple(z1.shape)} and {tuple(z2.shape)}.")
    if labels is not None and labels.shape != z1.shape[:1]:
        raise TrainingError(f"{tuple(labels.shape)} labels for {len(z1)} crystals; one label a crystal is needed.")
    if len(z1) < least:
        raise TrainingError(f"This loss compares crystals and needs a batch of at least {least}, got {len(z1)}.")


@in_full_precision
def supervised_simclr(z1: Tensor, z2: Tensor, labels: Tensor | None = None, temperature: float = 0.1) -> Tensor:
    """Supervised SimCLR: every view is pulled to all views of its class, against all other views.

    The SupCon form of Khosla et al. (2020, eq. 2), our reading of the paper's words. With `labels=None` or a label
    for each crystal it is NT-Xent (Chen et al., 2020).

    Args:
        z1: projections of the first view, [B, D].
        z2: projections of the second view, [B, D].
        labels: class indices [B], -1 for not known, or None.
        temperature: tau.

    Returns:
        The mean over the 2 B views, a scalar.

    Raises:
        TrainingError: shapes that do not fit, an empty batch, or a temperature below 1e-6.
    """
    _check(z1, z2, labels, least=1)
    if not temperature >= LEAST_TEMPERATURE:
        raise TrainingError(f"A temperature of {temperature:g} is too low: use {LEAST_TEMPERATURE:g} or more.")
    z = functional.normalize(accurate(torch.cat([z1, z2])), dim=1)  # [2B, D]
    same = class_mask(labels, len(z1), z.device).repeat(2, 2)  # [2B, 2B]
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    logits = (z @ z.T / temperature).masked_fill(itself, -torch.inf)
    log_share = logits - torch.logsumexp(logits, dim=1, keepdim=True)
    positive = same & ~itself
    # where, not a product: 0 * -inf on the diagonal would be NaN
    return -(torch.where(positive, log_share, 0.0).sum(1) / positive.sum(1)).mean()


@in_full_precision
def supervised_barlow(z1: Tensor, z2: Tensor, labels: Tensor | None = None, balance: float = 1.0) -> Tensor:
    """Supervised Barlow Twins, sample by sample: cosines of one class to 1, all others to 0.

    C_ij = cos(z1_i, z2_j); the mean of (1 - C_ij)^2 over pairs of one class plus `balance` times the mean of C_ij^2
    over the others (our form; two means, so a balance of order 1 is meaningful). With `labels=None` each crystal is
    its own class.

    Args:
        z1: projections of the first view, [B, D].
        z2: projections of the second view, [B, D].
        labels: class indices [B], -1 for not known, or None.
        balance: lambda, the weight of the pairs of different classes.

    Raises:
        TrainingError: shapes that do not fit or an empty batch.
    """
    _check(z1, z2, labels, least=1)
    cosine = functional.normalize(accurate(z1), dim=1) @ functional.normalize(accurate(z2), dim=1).T  # [B, B]
    same = class_mask(labels, len(z1), z1.device)
    pull = (1 - cosine[same]).square().mean()
    others = cosine[~same]
    return pull + balance * others.square().sum() / max(others.numel(), 1)


@in_full_precision
def barlow_features(z1: Tensor, z2: Tensor) -> Tensor:
    """Barlow Twins feature by feature (Zbontar et al., 2021), as in Crystal Twins.

    C = BN(z1)^T BN(z2) / B with batch norm without affine part; sum of (C_ii - 1)^2 plus 0.0051 times the sum of
    C_ij^2 off the diagonal.

    Raises:
        TrainingError: shapes that do not fit or a batch of fewer than two.
    """
    _check(z1, z2, None, least=2)
    normal = [functional.batch_norm(accurate(z), None, None, training=True) for z in (z1, z2)]
    cross = normal[0].T @ normal[1] / len(z1)  # [D, D]
    diagonal = cross.diagonal()
    off_diagonal = cross.square().sum() - diagonal.square().sum()
    return (diagonal - 1).square().sum() + FEATURE_BALANCE * off_diagonal


@in_full_precision
def classification(z1: Tensor, z2: Tensor, labels: Tensor | None = None) -> Tensor:
    """Cross-entropy of the label in both views: plain classification, the cheapest rival of the supervised losses.

    Args:
        z1: one score a class from the first view, [B, C].
        z2: the same from the second view.
        labels: class indices [B]; a crystal with -1 teaches nothing here.

    Returns:
        The mean over the views of labelled crystals; 0 when there is none.

    Raises:
        TrainingError: shapes that do not fit, no labels, or a class beyond C.
    """
    _check(z1, z2, labels, least=1)
    if labels is None or int(labels.max()) >= z1.shape[1]:
        raise TrainingError(f"Classification needs labels below the number of scores, {z1.shape[1]}.")
    both, scores = labels.repeat(2), accurate(torch.cat([z1, z2]))  # [2B], [2B, C]
    total = functional.cross_entropy(scores, both, ignore_index=MISSING, reduction="sum")
    return total / (both != MISSING).sum().clamp(min=1)


@dataclass(frozen=True)
class Loss:
    """A way to pretrain.

    Attributes:
        key: as it is asked for.
        title: in menus and figures.
        needs_label: whether it looks at a label.
        compute: `compute(z1, z2, labels, temperature, balance)`.
        classifies: whether z are scores of the classes and no projections.
        adds_classes: whether such scores stand beside the projections, and their classification is added.
    """

    key: str
    title: str
    needs_label: bool
    compute: Callable[[Tensor, Tensor, Tensor | None, float, float], Tensor]
    classifies: bool = False
    adds_classes: bool = False

    def width(self, projection: int, classes: int) -> int:
        """How many columns the projector has: D of a projection, C with a score for each class, or D + C."""
        return classes if self.classifies else projection + self.adds_classes * classes

    def projection(self, z: Tensor, classes: int) -> Tensor:
        """What `compute` looks at: [B, D + C] to [B, D] where the last C columns are scores of classes."""
        return z[:, :-classes] if self.adds_classes else z

    def total(
        self, z1: Tensor, z2: Tensor, labels: Tensor | None, temperature: float, balance: float, classes: int
    ) -> Tensor:
        """The loss of all columns of the projector; where there are two parts both weigh the same (our choice)."""
        p1, p2 = (self.projection(z, classes) for z in (z1, z2))  # [B, D] each
        value = self.compute(p1, p2, labels, temperature, balance)
        if not self.adds_classes:
            return value
        return value + classification(z1[:, -classes:], z2[:, -classes:], labels)


def base_loss(key: str) -> str:
    """Key of the loss that compares the projections: what holds for it holds with classes beside it."""
    return key.removesuffix(WITH_CLASSES)


def with_classes(loss: Loss) -> Loss:
    """The loss and plain classification of the same label together."""
    return replace(loss, key=f"{loss.key}{WITH_CLASSES}", title=f"{loss.title} and classes", adds_classes=True)


SUPERVISED = (
    Loss(
        "sup_barlow",
        "Supervised Barlow Twins",
        True,
        lambda z1, z2, labels, tau, balance: supervised_barlow(z1, z2, labels, balance),
    ),
    Loss(
        "sup_simclr",
        "Supervised SimCLR",
        True,
        lambda z1, z2, labels, tau, balance: supervised_simclr(z1, z2, labels, tau),
    ),
)
LOSSES: dict[str, Loss] = {
    loss.key: loss
    for loss in (
        *SUPERVISED,
        Loss("barlow", "Barlow Twins", False, lambda z1, z2, labels, tau, balance: barlow_features(z1, z2)),
        Loss(
            "barlow_samples",
            "Barlow Twins, sample by sample",
            False,
            lambda z1, z2, labels, tau, balance: supervised_barlow(z1, z2, None, balance),
        ),
        Loss("simclr", "SimCLR", False, lambda z1, z2, labels, tau, balance: supervised_simclr(z1, z2, None, tau)),
        Loss(
            "classification",
            "Classification",
            True,
            lambda z1, z2, labels, tau, balance: classification(z1, z2, labels),
            classifies=True,
        ),
        *map(with_classes, SUPERVISED),
    )
}


def get_loss(key: str) -> Loss:
    """The loss of that key.

    Raises:
        SettingsError: the key is not in `LOSSES`.
    """
    if key not in LOSSES:
        raise unknown("loss", key, LOSSES)
    return LOSSES[key]
