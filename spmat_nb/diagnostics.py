"""Numbers that say whether embeddings collapsed and whether classes separate, and sentences that judge them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from .errors import InputError
from .losses import LOSSES
from .settings import PretrainSettings
from .vocabulary import MISSING

Embeddings = Tensor | np.ndarray | pd.DataFrame  # [B, H]

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
GROWN_SHARE = 0.1  # of the first loss; a loss below it has not grown back, it trembles near zero
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


def _tensor(values: Embeddings) -> Tensor:
    """A tensor as it is, a copy of anything else: arrays of tables are read-only, which torch warns about."""
    return values if isinstance(values, Tensor) else torch.tensor(np.asarray(values))


def _double(embeddings: Embeddings) -> Tensor:
    """The embeddings in double precision, where they are if that place has it (Apple's GPUs do not)."""
    values = _tensor(embeddings)
    return (values.cpu() if values.device.type == "mps" else values).detach().double()


def _array(embeddings: Embeddings) -> np.ndarray:
    return _double(embeddings).cpu().numpy()


def _with_class(embeddings: Embeddings, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings and classes of the crystals that have one."""
    x, y = _array(embeddings), np.asarray(classes)
    _check_classes(x, y)
    return x[y != MISSING], y[y != MISSING]


def _check_classes(x: np.ndarray, classes: np.ndarray) -> None:
    if len(x) != len(classes):
        raise InputError(f"{len(classes)} classes for {len(x)} embeddings; give one class a crystal, -1 if not known.")


def _unit(embeddings: Embeddings) -> Tensor:
    """Rows of length one."""
    return functional.normalize(_double(embeddings), dim=1)


def effective_rank(embeddings: Embeddings) -> float:
    """Exp of the entropy of the eigenvalue shares of the covariance (Roy and Vetterli, 2007); 1 means a line.

    Args:
        embeddings: [B, H].

    Returns:
        Between 1 and H; 0 when all embeddings are equal.
    """
    x = _double(embeddings)
    if not x.isfinite().all():
        return math.nan
    squared = torch.linalg.svdvals(x - x.mean(0)) ** 2
    if squared.sum() <= 1e-20 * max(1.0, float(x.square().sum())):
        return 0.0
    share = squared / squared.sum()
    return float(torch.exp(-torch.special.xlogy(share, share).sum()))


def mean_cosine(embeddings: Embeddings) -> float:
    """Mean cosine of all pairs of different crystals, from the sum of the unit vectors in O(B H).

    The embeddings are not centred, and behind a softplus all of them are positive: untrained encoders have 0.99 and
    more, so only changes of it and values next to 1 mean anything.

    Returns:
        Between -1 / (B - 1) and 1, which means one direction; NaN for fewer than two embeddings.
    """
    unit = _unit(embeddings)
    pairs = len(unit) * (len(unit) - 1)
    return float((unit.sum(0).square().sum() - unit.square().sum()) / pairs) if pairs else math.nan


def dimension_std(embeddings: Embeddings) -> Tensor:
    """Standard deviation of each dimension, [H], 0 or more (watched by Chen and He, 2021, for collapse)."""
    return _double(embeddings).std(0, correction=0)


def relative_spread(embeddings: Embeddings) -> float:
    """Root mean square distance to the mean over the root mean square length of the embeddings.

    Returns:
        Between 0, all equal, and 1, centred on the origin; 0 too when all are zero.
    """
    x = _double(embeddings)
    length = float(x.square().sum())
    return math.sqrt(float((x - x.mean(0)).square().sum()) / length) if length else 0.0


def alignment(z1: Embeddings, z2: Embeddings) -> float:
    """Mean squared distance of the two views of a crystal on the unit sphere (Wang and Isola, 2020, alpha = 2).

    Returns:
        Between 0, views agree, and 4, they are opposite.
    """
    return float((_unit(z1) - _unit(z2)).square().sum(1).mean())


def uniformity(embeddings: Embeddings, chunk: int = 256) -> float:
    """Log of the mean of exp(-2 |x - y|^2) over pairs on the unit sphere (Wang and Isola, 2020, t = 2).

    Args:
        embeddings: [B, H].
        chunk: rows at a time, so that memory grows with chunk x B.

    Returns:
        Between -8 and 0, which means one point; about -4 for a sphere of many dimensions, the even spread. NaN for
        fewer than two embeddings.
    """
    unit, total = _unit(embeddings), 0.0
    for start in range(0, len(unit), chunk):
        cosine = unit[start : start + chunk] @ unit.T  # [chunk, B]
        cosine.diagonal(start).fill_(-torch.inf)
        total += float(torch.exp(4 * (cosine - 1)).sum())  # |x - y|^2 = 2 - 2 cos
    pairs = len(unit) * (len(unit) - 1)
    return math.log(total / pairs) if pairs else math.nan


def positive_negative_similarity(
    z1: Embeddings, z2: Embeddings, classes: Tensor | np.ndarray | None = None
) -> tuple[float, float]:
    """Mean cosine between the two views, of positive pairs and of negative ones, in O(B D).

    Positive are the views of one crystal and of two crystals of one class, as in the supervised losses.

    Args:
        z1: projections of the first view, [B, D].
        z2: projections of the second view, [B, D].
        classes: [B] class indices, -1 for not known (such a crystal is its own class), or None (all are).

    Returns:
        Two numbers between -1 and 1; the second is NaN if there are no negative pairs, both for no crystals.
    """
    u1, u2 = _unit(z1), _unit(z2)
    own = torch.arange(len(u1), device=u1.device)
    known = torch.full_like(own, MISSING) if classes is None else _tensor(classes).to(own)
    group = torch.where(known == MISSING, -1 - own, known)  # crystals without a class get a negative one each
    _, index, count = torch.unique(group, return_inverse=True, return_counts=True)
    first, second = (u.new_zeros(len(count), u.shape[1]).index_add_(0, index, u) for u in (u1, u2))
    same, every = (first * second).sum(), (first.sum(0) * second.sum(0)).sum()
    positives, pairs = int(count.square().sum()), len(u1) ** 2
    return (
        float(same) / positives if positives else math.nan,
        float(every - same) / (pairs - positives) if pairs > positives else math.nan,
    )


def class_spread(embeddings: Embeddings, classes: np.ndarray) -> dict[int, float]:
    """Mean distance to the mean of a class over the same of all crystals with a class.

    Args:
        embeddings: [B, H].
        classes: [B] class indices; crystals with -1 are left out.

    Returns:
        For each class 0 or more, near 0 for one that collapsed to a point and about 1 for one spread like all; NaN
        for one crystal, or when all embeddings are equal.
    """
    x, y = _with_class(embeddings, classes)
    present, sizes = np.unique(y, return_counts=True)
    whole = _mean_distance(x) if len(x) else 0.0
    return {
        int(c): _mean_distance(x[y == c]) / whole if whole and n > 1 else math.nan
        for c, n in zip(present, sizes, strict=True)
    }


def _mean_distance(x: np.ndarray) -> float:
    return float(np.linalg.norm(x - x.mean(0), axis=1).mean())


def knn_purity(embeddings: Embeddings, classes: np.ndarray, neighbours: int = 10) -> float:
    """Mean over classes of the share of a crystal's nearest neighbours that have its class.

    Averaging by class makes chance level 1 / C whatever the sizes of the classes... for random embeddings it is the
    mean of the class shares, so compare with a random encoder.

    Args:
        embeddings: [B, H]; columns are standardised first.
        classes: [B] class indices; crystals with -1 are left out.
        neighbours: how many neighbours to look at.

    Raises:
        InputError: fewer than `neighbours + 1` crystals with a class.
    """
    from sklearn.neighbors import NearestNeighbors

    x, y = _with_class(embeddings, classes)
    if len(y) <= neighbours:
        raise InputError(f"{len(y)} crystals with a class are too few to look at {neighbours} neighbours of each.")
    x = standardise(x)
    index = NearestNeighbors(n_neighbors=neighbours + 1).fit(x).kneighbors(x, return_distance=False)[:, 1:]
    same = (y[index] == y[:, None]).mean(1)
    return float(np.mean([same[y == c].mean() for c in np.unique(y)]))


def silhouette(embeddings: Embeddings, classes: np.ndarray, rows: int = 2000, seed: int = 0) -> float:
    """Mean over crystals of how much nearer their class is than the next one (Rousseeuw, 1987).

    Args:
        embeddings: [B, H]; columns are standardised first.
        classes: [B] class indices; crystals with -1 are left out.
        rows: of a sample drawn from larger sets, with a crystal of every class.
        seed: of the sample.

    Returns:
        Between -1 and 1; 0 for classes that lie on one another.

    Raises:
        InputError: fewer than two classes, or no class with two crystals.
    """
    from sklearn.metrics import silhouette_score

    x, y = _with_class(embeddings, classes)
    order = np.random.default_rng(seed).permutation(len(y))
    one_each = np.unique(y[order], return_index=True)[1]
    chosen = order[np.concatenate([one_each, np.delete(np.arange(len(y)), one_each)])][:rows]
    if not 2 <= len(one_each) < len(chosen):
        raise InputError(
            f"{len(one_each)} classes among {len(chosen)} crystals have no silhouette: at least two classes are "
            "needed, and more crystals than classes. Take another label or more crystals."
        )
    return float(silhouette_score(standardise(x)[chosen], y[chosen]))


def linear_probe(embeddings: Embeddings, classes: np.ndarray, train_rows: np.ndarray, test_rows: np.ndarray) -> float:
    """Balanced accuracy of a logistic regression on frozen embeddings (Alain and Bengio, 2016, "linear probe").

    Columns are standardised with the training rows only; classes weigh the same whatever their size.

    Args:
        embeddings: [B, H].
        classes: [B] class indices; crystals with -1 are left out.
        train_rows: positions, or [B] true where a crystal is for training.
        test_rows: the same for the crystals that are tested, none of them a training row.

    Returns:
        Between 0 and 1; chance is 1 / C. A class that training did not see counts as not recognised.

    Raises:
        InputError: rows in both parts, fewer than two classes to train on, or none to test.
    """
    from sklearn.linear_model import LogisticRegression

    x, places = _array(embeddings), np.flatnonzero(classes != MISSING)
    _check_classes(x, classes)
    train, test = (np.intersect1d(np.arange(len(x))[rows], places) for rows in (train_rows, test_rows))
    _check_probe(classes, train, test)
    mean, spread = x[train].mean(0), _safe_spread(x[train])
    model = LogisticRegression(class_weight="balanced", max_iter=2000)
    model.fit((x[train] - mean) / spread, classes[train])
    right = model.predict((x[test] - mean) / spread) == classes[test]
    return float(np.mean([right[classes[test] == c].mean() for c in np.unique(classes[test])]))


def _check_probe(classes: np.ndarray, train: np.ndarray, test: np.ndarray) -> None:
    both = np.intersect1d(train, test)
    if len(both):
        raise InputError(f"{len(both)} crystals are in the training and in the test rows of the probe; part them.")
    found = len(np.unique(classes[train]))
    if found < 2 or len(test) == 0:
        raise InputError(
            f"A probe needs two classes to train on and a crystal to test, got {found} and {len(test)}. "
            "Take another label or other rows."
        )


def _safe_spread(x: np.ndarray) -> np.ndarray:
    """Standard deviation of the columns, 1 for constant ones."""
    spread = x.std(0)
    return np.where(spread > 1e-12, spread, 1.0)


def standardise(embeddings: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and standard deviation 1; constant columns become 0."""
    return (embeddings - embeddings.mean(0)) / _safe_spread(embeddings)


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
    x, classes = _double(embeddings), None if classes is None else np.asarray(classes)
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
    if settings is None or settings.loss not in knobs:
        return first
    words, name = knobs[settings.loss]
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
