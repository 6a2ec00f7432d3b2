"""The encoders that come with the project are what their card says."""

import numpy as np
import pytest

from spmat_nb.diagnostics import knn_purity
from spmat_nb.embed import embed
from spmat_nb.graphs import build_graphs
from spmat_nb.judgements import judge_embeddings
from spmat_nb.labels import label_classes
from spmat_nb.models import load_pretrained, random_encoder, shipped_names
from spmat_nb.settings import PACKAGE_ROOT

NAMES = shipped_names()


@pytest.fixture(scope="module")
def stable(teaching):
    crystals = teaching.of_split("test")
    return crystals, build_graphs(crystals, cache=False), label_classes(crystals.table, "gap_class")


def test_there_are_supervised_and_unsupervised_ones_on_both_sets():
    kinds = {(load_pretrained(n).data["name"], load_pretrained(n).settings.label is None) for n in NAMES}
    assert kinds == {(data, free) for data in ("teaching set", "mp33k") for free in (True, False)}


@pytest.mark.parametrize("name", NAMES)
def test_each_is_healthy_on_crystals_it_has_not_seen(name, stable):
    crystals, graphs, classes = stable
    model = load_pretrained(name)
    table = embed(crystals, model, graphs)
    assert len(model.history) == model.settings.epochs == 15
    assert not [finding for finding in judge_embeddings(table, classes, model.settings) if finding.level == "stop"]
    assert f"| `{name}` |" in (PACKAGE_ROOT / "data" / "pretrained" / "README.md").read_text()


@pytest.mark.parametrize("name", [name for name in NAMES if "gap_class" in name])
def test_a_guided_one_parts_the_classes_better_than_chance_weights(name, stable):
    crystals, graphs, classes = stable
    guided, random = (
        knn_purity(embed(crystals, model, graphs), classes) for model in (load_pretrained(name), random_encoder())
    )
    assert guided > random + 0.02


def test_the_teaching_ones_saw_the_unstable_crystals_of_this_teaching_set(teaching):
    unstable = teaching.of_split("pretrain")
    for name in NAMES:
        model = load_pretrained(name)
        if model.data["name"] == "teaching set":
            assert model.data["fingerprint"] == unstable.fingerprint()
            assert model.has_seen(unstable.table["formula"]).all()
            stable = teaching.of_split("test").table["formula"]
            expected = stable.isin(unstable.table["formula"])
            np.testing.assert_array_equal(model.has_seen(stable), expected)
