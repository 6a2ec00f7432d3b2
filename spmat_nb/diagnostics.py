"""Numbers that say whether embeddings collapsed and whether classes separate in them."""

import math

import numpy as np
import torch
from torch import Tensor

from .errors import InputError
from .vocabulary import MISSING


def effective_rank(embeddings: Tensor | np.ndarray) -> float:
    """Exp of the entropy of the eigenvalue shares of the covariance (Roy and Vetterli, 2007); 1 means a line.

    Args:
        embeddings: [B, H].

    Returns:
        Between 1 and H; 0 when all embeddings are equal.
    """
    x = torch.as_tensor(embeddings).detach().double()
    if not x.isfinite().all():
        return math.nan
    squared = torch.linalg.svdvals(x - x.mean(0)) ** 2
    if squared.sum() <= 1e-20 * max(1.0, float(x.square().sum())):
        return 0.0
    share = squared / squared.sum()
    return float(torch.exp(-torch.special.xlogy(share, share).sum()))


def knn_purity(embeddings: np.ndarray, classes: np.ndarray, neighbours: int = 10) -> float:
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

    known = classes != MISSING
    if known.sum() <= neighbours:
        raise InputError(f"{known.sum()} crystals with a class are too few to look at {neighbours} neighbours of each.")
    x, y = standardise(embeddings[known]), classes[known]
    index = NearestNeighbors(n_neighbors=neighbours + 1).fit(x).kneighbors(x, return_distance=False)[:, 1:]
    same = (y[index] == y[:, None]).mean(1)
    return float(np.mean([same[y == c].mean() for c in np.unique(y)]))


def standardise(embeddings: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and standard deviation 1; constant columns become 0."""
    spread = embeddings.std(0)
    return (embeddings - embeddings.mean(0)) / np.where(spread > 1e-12, spread, 1.0)
