"""Sentences that judge embeddings and runs: what is wrong, by which number, and the cure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor

from .diagnostics import Embeddings, class_spread, dimension_std, double, effective_rank, relative_spread
from .losses import LOSSES, base_loss
from .settings import PretrainSettings
from .vocabulary import MISSING

# The thresholds of the judgements, all our choice.
FEWEST = 10  # embeddings; fewer fill too few dimensions to say anything
COLLAPSED_RANK = 2.0  # effective rank; a point and a line are below it, runs of a few epochs stayed above 4
COLLAPSED_SPREAD = 1e-3  # of the length of the embeddings; encoders without training have 0.07
COLLAPSED_COSINE = 1 - COLLAPSED_SPREAD**2  # the mean cosine of embeddings with that spread
NARROW_SHARE = 0.05  # of the dimensions; effective rank
NARROW_RANK = 4.0  # dimensions; less than the classes of most labels need
DEAD_SPREAD = 1e-6  # of the widest dimension: what single precision can tell from none
DEAD_SHARE = 0.5  # of the dimensions; softplus underflows in a quarter of those of an encoder without training
POINT_SPREAD = 0.01  # of the whole; a class that narrow has lost its crystals' differences
ONE_SIDED = 0.95  # share of the largest class; a guide that says the same of nearly all crystals
STILL = 0.99  # last loss over first: less than 1 % in three epochs is noise
STILL_EPOCHS = 3
SAME_GAP = 0.02  # between mean cosines; less than their spread from batch to batch
SAME_EPOCHS = 2
GROWTH = 3.0  # last loss over the least; noise of batches stays far below
GROWN_SHARE = 0.5  # of the first loss; a loss below it has not grown back, it trembles
OVERFIT = 1.1  # last validation loss over the least
OVERFIT_EPOCHS = 3  # since the least: shorter rises are noise

# What sets crystals apart in a loss, and what calms it: words and the setting they change.
PUSH = {
    "sup_barlow": ("raise lambda", "balance"),
    "barlow_samples": ("raise lambda", "balance"),
    "sup_simclr": ("lower the temperature", "temperature"),
    "simclr": ("lower the temperature", "temperature"),
    "barlow": ("use larger batches", "batch_size"),
}
CALM = {
    "sup_barlow": ("lower lambda", "balance"),
    "barlow_samples": ("lower lambda", "balance"),
    "sup_simclr": ("raise the temperature", "temperature"),
    "simclr": ("raise the temperature", "temperature"),
}

MORE_NOISE = "more noise (mask_atoms, mask_edges, delta)"


@dataclass(frozen=True)
class Finding:
    """Something that a user should know about embeddings or a run.

    Attributes:
        key: what it is, in a word.
        level: `note` (know it), `warning` (look at it) or `stop` (the run is of no use).
        text: a sentence with the number, what it means, and the cure.
    """

    key: str
    level: str
    text: str


def judge_embeddings(
    embeddings: Embeddings, classes: np.ndarray | None = None, settings: PretrainSettings | None = None
) -> list[Finding]:
    """What is wrong with embeddings; an empty list if nothing is.

    Collapse to a point is judged by the spread relative to the length, not by the mean cosine: behind a softplus all
    embeddings are positive, and the cosine of untrained encoders is above 0.99. Centred first it would tell nothing,
    since it is near 0 for any cloud.

    Args:
        embeddings: [B, H] of the encoder.
        classes: [B] class indices, -1 for not known, if classes shall be judged too.
        settings: of the run, for advice that fits its loss.
    """
    x, classes = double(embeddings), None if classes is None else np.asarray(classes)
    if len(x) < FEWEST:
        return [Finding("too_few", "note", f"{len(x)} embeddings are too few to judge; embed at least {FEWEST}.")]
    broken = int((~x.isfinite().all(1)).sum())
    if broken:
        text = f"not finite: {broken} of {len(x)} embeddings; {_cure(_slower(settings), CALM, settings)}."
        return [Finding("non_finite", "stop", text)]
    found = list(_judge_collapse(x, settings)) or list(_judge_dimensions(x, settings))
    if classes is not None:
        found += [*_judge_points(x, classes, settings), *_judge_labels(classes)]
    return found


def _cure(first: str, knobs: dict[str, tuple[str, str]], settings: PretrainSettings | None) -> str:
    """The first advice, and the one for the run's loss with the present value, if it has such a knob."""
    loss = base_loss(settings.loss) if settings else None
    if settings is None or loss not in knobs:
        return first
    words, name = knobs[loss]
    return f"{first} or {words} (now {getattr(settings, name):g})"


def _slower(settings: PretrainSettings | None) -> str:
    return "lower the learning rate" + (f" (now {settings.learning_rate:g})" if settings else "")


def _is_guided(settings: PretrainSettings | None) -> bool:
    """Whether the loss looks at a label, as far as is known."""
    return settings is None or settings.loss not in LOSSES or LOSSES[settings.loss].needs_label


def _judge_collapse(x: Tensor, settings: PretrainSettings | None) -> Iterator[Finding]:
    """All embeddings at a point or on a line."""
    spread, rank, width = relative_spread(x), effective_rank(x), min(x.shape[1], len(x) - 1)
    cure = _cure(_slower(settings), PUSH, settings)
    if spread < COLLAPSED_SPREAD:
        yield Finding("collapsed", "stop", f"collapsed to a point: spread {spread:.2%} of the length; {cure}.")
    elif rank < min(COLLAPSED_RANK, width / 2):
        text = f"collapsed: effective rank {rank:.1f} of {x.shape[1]}, hardly more than a line; {cure}."
        yield Finding("collapsed", "stop", text)


def _judge_dimensions(x: Tensor, settings: PretrainSettings | None) -> Iterator[Finding]:
    """Few dimensions used, or many that say nothing."""
    rank, width = effective_rank(x), min(x.shape[1], len(x) - 1)
    if rank < max(NARROW_SHARE * width, min(NARROW_RANK, width / 2)):
        label = ", guide with a label of more classes" if _is_guided(settings) else ""
        cure = _cure(f"train longer{label}", PUSH, settings)
        text = f"few dimensions: effective rank {rank:.1f} of {x.shape[1]}, so most of the width says nothing; {cure}."
        yield Finding("dimensional_collapse", "note", text)
    std = dimension_std(x)
    dead = float((std <= DEAD_SPREAD * std.max()).double().mean())
    if dead > DEAD_SHARE:
        text = f"dead dimensions: {dead:.0%} of {x.shape[1]} are the same for all crystals; {_slower(settings)}."
        yield Finding("dead_dimensions", "warning", text)


def _judge_points(x: Tensor, classes: np.ndarray, settings: PretrainSettings | None) -> Iterator[Finding]:
    """Classes that became a point."""
    other = "guide with a label of more classes" if _is_guided(settings) else f"use {MORE_NOISE}"
    for index, spread in class_spread(x, classes).items():
        if spread < POINT_SPREAD:
            text = f"class {index} collapsed to a point: its crystals spread {spread:.2%} as wide as all, so what"
            text += f" tells them apart is lost; train fewer epochs or {other}."
            yield Finding("class_collapse", "warning", text)


def _judge_labels(classes: np.ndarray) -> Iterator[Finding]:
    """Labels that say the same of all crystals or nearly all."""
    counts = np.bincount(classes[classes != MISSING])
    if np.count_nonzero(counts) < 2:
        text = f"{np.count_nonzero(counts)} classes among {len(classes)} crystals: nothing to tell apart"
        yield Finding("one_class", "note", f"{text}; take another label or more crystals.")
    elif counts.max() > ONE_SIDED * counts.sum():
        share = counts.max() / counts.sum()
        text = f"one-sided label: {share:.1%} of the crystals with a class are of class {counts.argmax()}"
        yield Finding("one_sided", "note", f"{text}, so it guides little; take a label with more even classes.")


def judge_history(history: pd.DataFrame, settings: PretrainSettings, held_out: int | None = None) -> list[Finding]:
    """What is wrong with a pretraining run; an empty list if nothing is.

    Columns that are absent are not judged, nor is a last value that is NaN, but for the loss. The mean cosine is that
    of embeddings as they are, so only values next to 1 count (see `judge_embeddings`).

    Args:
        history: one row an epoch; of epoch, loss, val_loss, positive_similarity, negative_similarity, effective_rank
            and mean_cosine what there is.
        settings: of the run, for advice that fits its loss.
        held_out: number of crystals behind `effective_rank` and `mean_cosine`, if known: fewer than `FEWEST` cannot
            show a collapse.
    """
    if len(history) == 0:
        return []
    judges = [_judge_loss, _judge_similarity, _judge_overfitting]
    if held_out is None or held_out >= FEWEST:
        judges.append(_judge_held_out)
    return [finding for judge in judges for finding in judge(history, settings)]


def _column(history: pd.DataFrame, name: str) -> np.ndarray:
    """The numbers of a column, NaN where there is none."""
    empty = np.full(len(history), math.nan)
    return pd.to_numeric(history[name], errors="coerce").to_numpy(np.float64) if name in history else empty


def _judge_loss(history: pd.DataFrame, settings: PretrainSettings) -> Iterator[Finding]:
    """A training loss that left the finite numbers, grew, or stood still."""
    if "loss" not in history:
        return
    loss = _column(history, "loss")
    calm = _cure(_slower(settings), CALM, settings)
    if not np.isfinite(loss).all():
        text = f"the loss is not finite in epoch {_epochs(history)[~np.isfinite(loss)][0]:g}; {calm}."
        yield Finding("non_finite", "stop", text)
    elif loss[-1] > GROWTH * loss.min() and loss[-1] > GROWN_SHARE * loss[0]:
        text = f"diverged: the loss grew to {loss[-1]:.3g} from {loss.min():.3g}, its least; {calm}."
        yield Finding("diverged", "stop", text)
    elif len(loss) >= STILL_EPOCHS and loss[-1] >= STILL * loss[0]:
        cure = _cure(f"raise the learning rate (now {settings.learning_rate:g})", PUSH, settings)
        text = f"no learning: the loss went from {loss[0]:.4g} to {loss[-1]:.4g} in {len(loss)} epochs; {cure}."
        yield Finding("no_learning", "warning", text)


def _judge_similarity(history: pd.DataFrame, settings: PretrainSettings) -> Iterator[Finding]:
    """Projections of one class that are no nearer to one another than to the others."""
    if len(history) < SAME_EPOCHS:
        return
    positive, negative = (_column(history, f"{kind}_similarity")[-1] for kind in ("positive", "negative"))
    if positive < negative + SAME_GAP:  # never so for NaN
        cure = _cure("train longer", PUSH, settings)
        text = f"positive and negative pairs look the same: mean cosines {positive:.3f} and {negative:.3f}; {cure}."
        yield Finding("same_similarity", "warning", text)


def _judge_held_out(history: pd.DataFrame, settings: PretrainSettings) -> Iterator[Finding]:
    """Embeddings at a point or on a line in the last epoch."""
    rank, cosine = (_column(history, name)[-1:] for name in ("effective_rank", "mean_cosine"))
    said = [f"effective rank {value:.1f}" for value in rank if value < COLLAPSED_RANK]
    said += [f"mean cosine {value:.7f}" for value in cosine if value > COLLAPSED_COSINE]
    if said:
        cure = _cure(_slower(settings), PUSH, settings)
        yield Finding("collapsed", "stop", f"collapsed: {' and '.join(said)} of the held-out crystals; {cure}.")


def _judge_overfitting(history: pd.DataFrame, settings: PretrainSettings) -> Iterator[Finding]:
    """A validation loss that has risen for some epochs while the training loss fell."""
    loss, held_out = _column(history, "loss"), _column(history, "val_loss")
    if not np.isfinite(held_out).any():
        return
    least = int(np.nanargmin(held_out))
    rising = held_out[-1] > OVERFIT * held_out[least] and loss[-1] < loss[least]
    if rising and len(loss) - 1 - least >= OVERFIT_EPOCHS:
        epoch = _epochs(history)[least]
        text = f"overfitting: val_loss rose to {held_out[-1]:.3g} from {held_out[least]:.3g}, its least in epoch"
        text += f" {epoch:g}, while the loss fell; train {epoch:g} epochs only, or use more crystals or {MORE_NOISE}."
        yield Finding("overfitting", "warning", text)


def _epochs(history: pd.DataFrame) -> np.ndarray:
    """The numbers of the epochs, counted from 1 if they are not given."""
    return _column(history, "epoch") if "epoch" in history else np.arange(1.0, len(history) + 1)
