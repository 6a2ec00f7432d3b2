#!/usr/bin/env python3
"""Make `data/results/maps.csv`: UMAP coordinates for the notebook on embeddings, so that no reader waits for them.

    python tools/build_maps.py

The crystals are a sample of the stable ones of the teaching set, which pretraining has not seen. Each map is UMAP of
the embeddings of one encoder, columns standardised; `placed` is fitted on the training crystals only, and the others
are put into it by UMAP's `transform`. Two runs on one machine give the same file; another version of UMAP may not.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spmat_nb import crystals
from spmat_nb.diagnostics import standardise
from spmat_nb.embed import embed
from spmat_nb.models import load_pretrained, random_encoder

TABLE = Path(__file__).resolve().parent.parent / "data" / "results" / "maps.csv"
COUNT, SEED = 800, 0  # of the sample
ENCODER = "teaching-sup_barlow-gap_class"
# Name of the map: encoder, seed, neighbours, least distance of two points.
MAPS: dict[str, tuple[str, int, int, float]] = {
    "supervised": ("supervised", 0, 15, 0.1),
    "other_seed": ("supervised", 1, 15, 0.1),
    "few_neighbours": ("supervised", 0, 4, 0.0),
    "many_neighbours": ("supervised", 0, 100, 0.8),
    "random": ("random", 0, 15, 0.1),
}


def new_umap(seed: int, neighbours: int, least: float) -> Any:
    """A UMAP that gives the same map every time."""
    from umap import UMAP

    return UMAP(n_neighbors=neighbours, min_dist=least, random_state=seed, n_jobs=1)


def placed(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """A map of the rows that are known, [B] true, with the others put into it, [B, 2]."""
    mapper = new_umap(0, 15, 0.1).fit(values[known])
    coordinates = np.empty((len(values), 2))
    coordinates[known], coordinates[~known] = mapper.embedding_, mapper.transform(values[~known])
    return coordinates


def make_maps(stable: crystals.CrystalSet) -> pd.DataFrame:
    """All maps of some crystals: columns NAME_x and NAME_y, by material id."""
    models = {"supervised": load_pretrained(ENCODER), "random": random_encoder(seed=0)}
    values = {name: standardise(embed(stable, model).to_numpy(np.float64)) for name, model in models.items()}
    maps = {name: new_umap(*how[1:]).fit_transform(values[how[0]]) for name, how in MAPS.items()}
    maps["placed"] = placed(values["supervised"], (stable.table["split"] == "train").to_numpy())
    columns = {f"{name}_{axis}": part for name, xy in maps.items() for axis, part in zip("xy", xy.T, strict=True)}
    return pd.DataFrame(columns, index=stable.table.index)


def main() -> None:
    """Write the table."""
    stable = crystals.load("teaching").of_split("train", "val", "test").sample(COUNT, SEED)
    make_maps(stable).to_csv(TABLE, float_format="%.2f")
    print(f"wrote {TABLE.relative_to(TABLE.parents[2])}: {len(stable)} crystals, {TABLE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
