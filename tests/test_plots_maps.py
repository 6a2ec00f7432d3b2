import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from spmat_nb import plots, plots_maps

XY = pd.DataFrame({"x": np.arange(12.0), "y": np.arange(12.0) % 5})
CLASSES = np.arange(12) % 3


@pytest.fixture
def axes():
    figure, axes = plt.subplots(1, 2, layout="constrained")
    yield axes
    plt.close(figure)


def test_collapse_curves_show_rank_and_gap_of_every_run(axes):
    columns = {"epoch": [1, 2], "effective_rank": [5.0, 1.5], "positive_similarity": [0.9, 0.8]}
    history = pd.DataFrame(columns | {"negative_similarity": [0.9, 0.2]})
    plots_maps.collapse_curves({"a": history, "b": history}, axes)
    assert [line.get_label() for line in axes[0].lines] == ["a", "b"]
    np.testing.assert_allclose(axes[1].lines[0].get_ydata(), [0.0, 0.6])


def test_purity_dots_show_every_encoder_and_chance(axes):
    table = pd.DataFrame({"random": [0.5, 0.6], "trained": [0.7, 0.5]}, index=["gap", "metal"])
    plots_maps.purity_dots(table, pd.Series([0.3, 0.5], index=table.index), axes[0])
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["random", "trained", "chance"]
    assert [tick.get_text() for tick in axes[0].get_yticklabels()] == ["gap", "metal"]


def test_a_placed_map_counts_old_and_new(axes):
    plots_maps.placed_map(XY, np.arange(12) < 9, CLASSES, "gap_class", axes[0])
    words = [text.get_text() for text in axes[0].get_legend().get_texts()]
    assert words[0] == "in the map already (9)" and set(words[1:]) == {"none (1)", "narrow (1)", "wide (1)"}


def test_names_legend_and_zoom(axes):
    for ax in axes:
        plots.embedding_map(XY, CLASSES, "gap_class", ax)
    plots_maps.name_points(XY.iloc[:3], ["Cu", "Si", "NaCl"], axes[0])
    assert [text.get_text() for text in axes[0].texts] == ["Cu", "Si", "NaCl"]
    plots_maps.share_legend(axes)
    assert axes[0].get_legend() is None and len(axes[0].figure.legends) == 1
    far = pd.concat([XY] * 100 + [pd.DataFrame({"x": [1e6], "y": [0.0]})])
    plots_maps.zoom(far, axes[1])
    assert axes[1].get_xlim()[1] < 20 and axes[1].texts[-1].get_text() == "1 further out"
