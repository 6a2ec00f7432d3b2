"""From a trained encoder to embeddings by material id, and from embeddings to a map."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from .crystals import CrystalSet
from .diagnostics import standardise
from .errors import InputError, unknown
from .graphs import GraphSet, build_graphs
from .models import Pretrained, check_graphs
from .settings import device as pick_device

BATCH = 512


@torch.no_grad()
def in_batches(module: nn.Module, graphs: GraphSet, rows: Tensor | None = None) -> Tensor:
    """What a module says of all crystals or of some rows, in eval mode and without gradients, [rows, ...].

    Args:
        module: takes a batch; on the device of the graphs, where the answer stays.
        graphs: of the crystals.
        rows: positions of those wanted; all of them if None.
    """
    module.eval()
    rows = torch.arange(len(graphs)) if rows is None else rows
    return torch.cat([module(graphs.batch(index)) for index in rows.split(BATCH)])


def embed(
    crystals: CrystalSet, model: Pretrained, graphs: GraphSet | None = None, device: str | None = None
) -> pd.DataFrame:
    """The embedding of every crystal, without noise.

    Args:
        crystals: what to embed.
        model: a pretrained or random encoder.
        graphs: of the same crystals, if built before.
        device: where to compute; chosen if None.

    Returns:
        One row a crystal, indexed by material id, columns e0, e1, ...

    Raises:
        CheckpointError: the graphs were built with other settings than the encoder's.
    """
    place = pick_device(device)
    if len(crystals) == 0:
        raise InputError(f"{crystals.name} has no crystals to embed.")
    graphs = graphs or build_graphs(crystals, model.encoder_settings.graph)
    check_graphs(graphs, model.encoder_settings, crystals)
    values = in_batches(model.encoder.to(place), graphs.to(place)).cpu().numpy()
    names = [f"e{i}" for i in range(values.shape[1])]
    return pd.DataFrame(values, index=crystals.table.index, columns=names)


def _pca(values: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.decomposition import PCA

    return PCA(2, svd_solver="full").fit_transform(values)


def _umap(values: np.ndarray, seed: int) -> np.ndarray:
    from umap import UMAP

    neighbours = min(15, len(values) - 1)
    threads = torch.get_num_threads()
    try:
        return UMAP(n_neighbors=neighbours, min_dist=0.1, random_state=seed, n_jobs=1).fit_transform(values)
    finally:
        torch.set_num_threads(threads)  # numba starts OpenMP with all cores, and torch would follow


MAPS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {"umap": _umap, "pca": _pca}


def map_2d(embeddings: pd.DataFrame, method: str = "umap", seed: int = 0) -> pd.DataFrame:
    """Two coordinates for every embedding; columns are standardised first.

    Args:
        embeddings: one row a crystal.
        method: a key of `MAPS`: `umap`, or `pca`, which is linear and the same every time.
        seed: of UMAP.

    Returns:
        Columns x and y, index of the embeddings.

    Raises:
        SettingsError: unknown method.
        InputError: fewer than four crystals.
    """
    if method not in MAPS:
        raise unknown("map", method, MAPS)
    if len(embeddings) < 4:
        raise InputError(f"A map of {len(embeddings)} crystals means nothing; embed at least 4.")
    values = MAPS[method](standardise(embeddings.to_numpy(np.float64)), seed)
    return pd.DataFrame(values, index=embeddings.index, columns=["x", "y"])
