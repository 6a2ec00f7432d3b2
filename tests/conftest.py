"""Crystals, settings and a clean environment for all tests."""

import os
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from pymatgen.core import Lattice, Structure

from spmat_nb import fused, plots
from spmat_nb.crystals import load
from spmat_nb.graphs import build_graphs
from spmat_nb.settings import EncoderSettings
from spmat_nb.tables import pack_structure_columns

matplotlib.use("Agg")


def crystal(group, lattice, sites):
    return Structure.from_spacegroup(group, lattice, list(sites), list(sites.values()))


NAMED = {
    "NaCl": crystal("Fm-3m", Lattice.cubic(5.64), {"Na": (0, 0, 0), "Cl": (0.5, 0.5, 0.5)}),
    "CsCl": crystal("Pm-3m", Lattice.cubic(4.12), {"Cs": (0, 0, 0), "Cl": (0.5, 0.5, 0.5)}),
    "Si": crystal("Fd-3m", Lattice.cubic(5.43), {"Si": (0, 0, 0)}),
    "Cu": crystal("Fm-3m", Lattice.cubic(3.61), {"Cu": (0, 0, 0)}),
    "Fe": crystal("Im-3m", Lattice.cubic(2.87), {"Fe": (0, 0, 0)}),
    "GaAs": crystal("F-43m", Lattice.cubic(5.65), {"Ga": (0, 0, 0), "As": (0.25, 0.25, 0.25)}),
    "CaF2": crystal("Fm-3m", Lattice.cubic(5.46), {"Ca": (0, 0, 0), "F": (0.25, 0.25, 0.25)}),
    "SrTiO3": crystal("Pm-3m", Lattice.cubic(3.9), {"Sr": (0, 0, 0), "Ti": (0.5, 0.5, 0.5), "O": (0.5, 0.5, 0)}),
    "TiO2": crystal("P4_2/mnm", Lattice.tetragonal(4.59, 2.96), {"Ti": (0, 0, 0), "O": (0.305, 0.305, 0)}),
    "Fe2O3": crystal("R-3c", Lattice.hexagonal(5.04, 13.75), {"Fe": (0, 0, 0.355), "O": (0.306, 0, 0.25)}),
}
TINY = {"pretrain": 36, "train": 12, "val": 6, "test": 6}


@pytest.fixture(scope="session", autouse=True)
def clean_environment(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPMAT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("SPMAT_DEVICE", "cpu")
        for name in ("SPMAT_PRESET", "SPMAT_RUNS_DIR"):
            patch.delenv(name, raising=False)
        torch.set_num_threads(1)
        fused.compiled_loops()  # else the first test to train would see the line about compiling
        yield


@pytest.fixture
def fresh_figures():
    """The style of the lessons, and no figure left behind."""
    with plt.rc_context():
        plots.use_style()
        yield
    plt.close("all")


@pytest.fixture
def ax():
    return plt.figure().add_subplot()


@pytest.fixture
def ax_3d():
    return plt.figure().add_subplot(projection="3d")


@pytest.fixture(scope="session")
def named():
    return NAMED


@pytest.fixture(params=NAMED)
def named_crystal(request):
    return NAMED[request.param]


@pytest.fixture(scope="session")
def teaching():
    return load("teaching")


def draw(crystals, shares, max_sites):
    """So many small crystals of each split, in their old order."""
    small = crystals.select((crystals.table["nsites"] <= max_sites).to_numpy())
    parts = [small.of_split(split).sample(count, seed=0).table.index for split, count in shares.items()]
    return small.select(small.table.index.isin(np.concatenate(parts)))


@pytest.fixture(scope="session")
def tiny(teaching):
    return draw(teaching, TINY, max_sites=4)


@pytest.fixture(scope="session")
def tiny_graphs(tiny):
    return build_graphs(tiny, cache=False)


@pytest.fixture(scope="session")
def lesson(teaching):
    """Enough crystals to learn something from in seconds."""
    return draw(teaching, {"train": 100, "val": 25, "test": 25}, max_sites=6)


@pytest.fixture(scope="session")
def small():
    return EncoderSettings(node_features=16, convolutions=2, hidden=16, projection=16)


@pytest.fixture
def batch(tiny_graphs):
    return tiny_graphs.batch(torch.arange(len(tiny_graphs)))


@pytest.fixture(scope="session")
def write_parquet():
    """Write a `CrystalSet` in the schema of the teaching set; columns given by name replace its own."""

    def write(crystals, path, **columns):
        packed = {k: pd.Series(v, index=crystals.table.index) for k, v in structure_columns(crystals).items()}
        crystals.table.assign(**packed).assign(**columns).reset_index().to_parquet(path)
        return path

    return write


def structure_columns(crystals):
    return pack_structure_columns(crystals.structures)


@pytest.fixture(scope="session")
def real_data():
    folder = os.environ.get("SPMAT_DATA_DIR")
    if not folder:
        pytest.skip("SPMAT_DATA_DIR is not set: no real data here")
    return Path(folder)
