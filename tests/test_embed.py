import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA

from spmat_nb import embed as module
from spmat_nb.diagnostics import standardise
from spmat_nb.embed import MAPS, embed, map_2d
from spmat_nb.errors import CheckpointError, InputError, SettingsError
from spmat_nb.graphs import build_graphs
from spmat_nb.models import random_encoder
from spmat_nb.settings import GraphSettings

pytestmark = pytest.mark.filterwarnings("ignore:Tensorflow not installed:ImportWarning")


@pytest.fixture(scope="module")
def model(small):
    return random_encoder(small, seed=1)


@pytest.fixture(scope="module")
def embeddings(tiny, tiny_graphs, model):
    return embed(tiny, model, tiny_graphs)


def test_embeddings_have_an_id_and_named_columns(embeddings, tiny):
    pd.testing.assert_index_equal(embeddings.index, tiny.table.index)
    assert list(embeddings.columns) == [f"e{i}" for i in range(16)]
    assert np.isfinite(embeddings.to_numpy()).all() and (embeddings.std() > 0).all()


def test_embeddings_are_the_same_every_time(embeddings, tiny, model):
    pd.testing.assert_frame_equal(embed(tiny, model), embeddings, check_exact=True)


def test_embeddings_of_some_crystals_are_those_rows(embeddings, tiny, model):
    rows = np.array([40, 3, 17])
    pd.testing.assert_frame_equal(embed(tiny.select(rows), model), embeddings.iloc[rows], atol=1e-5)


def test_embeddings_do_not_depend_on_the_batch_size(embeddings, tiny, tiny_graphs, model, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 7)
    pd.testing.assert_frame_equal(embed(tiny, model, tiny_graphs), embeddings, atol=1e-5)


def test_another_encoder_gives_other_embeddings(embeddings, tiny, tiny_graphs, small):
    assert not np.allclose(embed(tiny, random_encoder(small, seed=2), tiny_graphs), embeddings)


def test_embedding_does_not_change_the_encoder(tiny, tiny_graphs, small):
    model = random_encoder(small)
    model.encoder.train()
    before = {k: v.clone() for k, v in model.encoder.state_dict().items()}
    embed(tiny, model, tiny_graphs)
    assert all(torch.equal(v, before[k]) for k, v in model.encoder.state_dict().items())


@pytest.mark.parametrize("settings", [GraphSettings(cutoff=7.0), GraphSettings(max_neighbours=6)])
def test_graphs_built_with_other_settings_are_refused(tiny, model, settings):
    with pytest.raises(CheckpointError, match=r"cutoff=8\.0, max_neighbours=12.*the graphs have"):
        embed(tiny, model, build_graphs(tiny, settings, cache=False))


def test_graphs_of_other_crystals_are_refused(tiny, model):
    with pytest.raises(CheckpointError):
        embed(tiny, model, build_graphs(tiny.select(np.arange(5)), cache=False))


def test_no_crystals_are_an_input_error(tiny, model):
    with pytest.raises(InputError):
        embed(tiny.select(np.arange(0)), model)


def test_pca_is_the_linear_map_of_standardised_columns(embeddings):
    found = map_2d(embeddings, "pca")
    wanted = PCA(2, svd_solver="full").fit_transform(standardise(embeddings.to_numpy(np.float64)))
    np.testing.assert_allclose(found, wanted)
    pd.testing.assert_index_equal(found.index, embeddings.index)
    assert list(found.columns) == ["x", "y"]


@pytest.fixture(scope="module")
def first_umap(embeddings):
    """The first UMAP map of this process, and the threads of torch after it."""
    before = torch.get_num_threads()
    coordinates, after = map_2d(embeddings, "umap", 0), torch.get_num_threads()
    torch.set_num_threads(before)
    return coordinates, before, after


def test_umap_leaves_the_threads_of_torch_alone(first_umap):
    _, before, after = first_umap
    assert after == before


def test_umap_is_fixed_by_its_seed(embeddings, first_umap):
    first, again, other = first_umap[0], map_2d(embeddings, "umap", 0), map_2d(embeddings, "umap", 1)
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    assert not np.allclose(first, other) and np.isfinite(first.to_numpy()).all()


def test_an_unknown_map_is_named_with_the_known_ones(embeddings):
    with pytest.raises(SettingsError, match=r"Unknown map 'tsne'\. Known: umap, pca"):
        map_2d(embeddings, "tsne")


@pytest.mark.parametrize("method", MAPS)
def test_a_map_of_three_crystals_is_refused(embeddings, method):
    with pytest.raises(InputError, match="map of 3 crystals"):
        map_2d(embeddings.iloc[:3], method)


@pytest.mark.parametrize("method", ["umap", "pca"])
def test_a_map_of_four_crystals_is_made(embeddings, method):
    assert map_2d(embeddings.iloc[:4], method).notna().all(axis=None)
