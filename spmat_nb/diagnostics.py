"""Numbers that say whether embeddings collapsed and whether classes separate."""

import math

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from .errors import InputError
from .vocabulary import MISSING

Embeddings = Tensor | np.ndarray | pd.DataFrame  # [B, H]
NEIGHBOURS = 10  # of the purity in a history


def _tensor(values: Embeddings) -> Tensor:
    """A tensor as it is, a copy of anything else: arrays of tables are read-only, which torch warns about."""
    return values if isinstance(values, Tensor) else torch.tensor(np.asarray(values))


def double(embeddings: Embeddings) -> Tensor:
    """The embeddings in double precision, where they are if that place has it (Apple's GPUs do not)."""
    values = _tensor(embeddings)
    return (values.cpu() if values.device.type == "mps" else values).detach().double()


def _array(embeddings: Embeddings) -> np.ndarray:
    return double(embeddings).cpu().numpy()


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
    return functional.normalize(double(embeddings), dim=1)


def effective_rank(embeddings: Embeddings) -> float:
    """Exp of the entropy of the eigenvalue shares of the covariance (Roy and Vetterli, 2007); 1 means a line.

    Args:
        embeddings: [B, H].

    Returns:
        Between 1 and H; 0 when all embeddings are equal.
    """
    x = double(embeddings)
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
    return double(embeddings).std(0, correction=0)


def relative_spread(embeddings: Embeddings) -> float:
    """Root mean square distance to the mean over the root mean square length of the embeddings.

    Returns:
        Between 0, all equal, and 1, centred on the origin; 0 too when all are zero.
    """
    x = double(embeddings)
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

    For embeddings without any meaning it is 1 / C, whatever the sizes of the C classes: each class has its own share as
    neighbours, and the shares add up to one. Elements and distances alone already say more, so compare with a random
    encoder.

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
    from threadpoolctl import threadpool_limits

    x, places = _array(embeddings), np.flatnonzero(classes != MISSING)
    _check_classes(x, classes)
    train, test = (np.intersect1d(np.arange(len(x))[rows], places) for rows in (train_rows, test_rows))
    _check_probe(classes, train, test)
    mean, spread = x[train].mean(0), _safe_spread(x[train])
    model = LogisticRegression(class_weight="balanced", max_iter=2000)
    with threadpool_limits(1, "blas"):  # on shared cores the threads of small products wait for one another
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


def health(
    embeddings: Embeddings, z1: Embeddings, z2: Embeddings, classes: np.ndarray | None = None, compare: bool = True
) -> dict[str, float]:
    """The numbers that a run is watched by; what is not defined (no negative pairs, say) is left out.

    Args:
        embeddings: of the encoder, [B, H].
        z1: projections of the first view, [B, D].
        z2: projections of the second view, [B, D].
        classes: [B] surrogate classes, -1 for not known, if the run is guided by some.
        compare: whether the projections are compared by their cosines; scores of classes are not.
    """
    row = {"effective_rank": effective_rank(embeddings), "mean_cosine": mean_cosine(embeddings)}
    if compare:
        row["positive_similarity"], row["negative_similarity"] = positive_negative_similarity(z1, z2, classes)
    if classes is not None and (classes != MISSING).sum() > NEIGHBOURS:
        row["knn_purity"] = knn_purity(embeddings, classes, NEIGHBOURS)
    return {name: value for name, value in row.items() if math.isfinite(value)}
