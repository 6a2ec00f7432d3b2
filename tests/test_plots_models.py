import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from drawn import draw, legend

from spmat_nb import plots_models
from spmat_nb.elements import FEATURES, element_table

pytestmark = pytest.mark.usefixtures("fresh_figures")


def filled(ax):
    return sum(len(collection.get_offsets()) for collection in ax.collections)


def test_the_groups_of_features_are_those_of_the_table():
    table, start = element_table()[1:95].numpy(), 0
    assert sum(plots_models.FEATURE_GROUPS.values()) == FEATURES
    for name, width in plots_models.FEATURE_GROUPS.items():
        part = table[:, start : start + width]
        assert part.sum(1).max() == 1 and part.any(0).mean() > 0.8, name
        start += width


def test_element_features_fill_a_square_for_each_one(ax):
    table = element_table()[[11, 17]].numpy()
    draw(plots_models.element_features(table, ["Na", "Cl"], ax))
    assert filled(ax) == table.sum() > 10
    assert [t.get_text() for t in ax.get_yticklabels()] == ["Na", "Cl"]
    assert "period (7)" in [text.get_text() for text in ax.texts]


def test_gates_have_an_axis_an_encoder_and_edges_are_counted():
    axes = plt.figure().subplots(1, 3)
    distances, gates = np.linspace(1, 8, 50), np.random.default_rng(0).random((50, 3))
    plots_models.gate_curves(distances, {"one": gates, "two": gates**2}, np.linspace(2, 4, 1234), axes)
    draw(axes[0])
    assert [ax.get_title(loc="left") for ax in axes] == ["one", "two", "Where the 1,234 edges of the data lie"]
    assert legend(axes[0]) == ["feature a", "feature b", "feature c"] and len(axes[1].lines) == 3 + 1
    assert sum(bar.get_height() for bar in axes[2].patches) == 1234
    assert {ax.get_xlabel() for ax in axes} == {"distance (Å)"} and axes[0].get_ylim() == (0, 1)


def test_the_receptive_field_counts_who_has_changed(ax):
    changes = [np.array([1.0, 0, 0, 0]), np.array([2.0, 0.1, 0.1, 0])]
    draw(plots_models.receptive_field(np.array([0.0, 2.5, 2.5, 5.0]), changes, ax))
    assert legend(ax) == ["after 0 convolutions (1 atom)", "after 1 convolution (3 atoms)"]
    assert filled(ax) == 1 + 3 and ax.get_yscale() == "log"


def test_attention_has_a_line_a_head_and_the_even_mean(ax):
    weights = np.array([[0.7, 0.25], [0.1, 0.25], [0.1, 0.25], [0.1, 0.25]])
    draw(plots_models.attention_weights(weights, ["O", "O", "Fe", "Fe"], ax, "iron"))
    assert legend(ax) == ["head 1", "head 2"]
    assert ax.lines[0].get_ydata().tolist() == [0.7, 0.1, 0.1, 0.1] and ax.lines[-1].get_ydata()[0] == 1 / 4
    assert [t.get_text() for t in ax.get_xticklabels()] == ["O", "O", "Fe", "Fe"]


def test_parts_of_the_parameters_stand_side_by_side(ax):
    draw(plots_models.parameter_parts({"a": {"first": 30, "last": 1000}, "b": {"first": 40, "middle": 5}}, ax))
    assert [(bar.get_x(), bar.get_width()) for bar in ax.patches] == [(0, 30), (30, 1000), (0, 40), (40, 5)]
    assert legend(ax) == ["first", "last", "middle"]
    assert [text.get_text().strip() for text in ax.texts] == ["1,030", "45"]
    assert ax.patches[0].get_facecolor() == ax.patches[2].get_facecolor() != ax.patches[1].get_facecolor()


@pytest.mark.parametrize(("hide", "words"), [(False, "5 positive, 4 negative"), (True, "2 positive, 4 negative")])
def test_a_mask_is_counted_with_and_without_its_diagonal(ax, hide, words):
    mask = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=bool)
    draw(plots_models.mask_map(mask, list("abc"), ax, "two classes", hide_self=hide))
    assert ax.get_xlabel() == words and len(ax.lines) == (3 if hide else 0)
    assert mask.all(1).tolist() == [False] * 3, "the mask itself is left alone"


@pytest.fixture
def views():
    turn = np.array([[0.1, 1.5, 3.0], [0.3, 1.7, 3.1]])
    return np.stack([np.cos(turn), np.sin(turn)], axis=2)


def test_points_have_two_views_each_and_classes_are_counted(ax, views):
    plots_models.points_on_circle(views, np.array([0, 0, 1]), ax, "toy")
    ax.legend()
    draw(ax)
    assert filled(ax) == 6 and legend(ax) == ["class 0 (2 crystals)", "class 1 (1 crystals)"]
    assert all((abs(np.array(ax.get_xlim())) > 1).tolist())


def test_the_longest_arrow_has_a_fixed_length(ax, views):
    arrows = np.zeros_like(views)
    arrows[0, 1] = (0, 50.0)
    arrows[1, 2] = (25.0, 0)
    draw(plots_models.points_on_circle(views, np.array([0, 0, 1]), ax, arrows=arrows))
    quiver = ax.collections[-1]
    lengths = np.hypot(quiver.U, quiver.V)
    assert lengths.max() == pytest.approx(0.6) and sorted(lengths)[-2] == pytest.approx(0.3)


def test_arrows_of_no_length_can_be_drawn(ax, views):
    draw(plots_models.points_on_circle(views, np.array([0, 0, 1]), ax, arrows=np.zeros_like(views)))


def test_shares_have_a_line_a_temperature(ax):
    draw(
        plots_models.temperature_shares(
            np.array([0.0, 0.5]), {0.1: np.array([0.1, 0.9]), 1.0: np.array([0.4, 0.6])}, ax
        )
    )
    assert legend(ax) == ["τ = 0.1", "τ = 1"] and ax.lines[1].get_ydata().tolist() == [0.4, 0.6]


def test_the_balance_is_on_a_logarithmic_axis(ax):
    table = pd.DataFrame({"balance": [0.1, 1.0, 10.0], "positive": [1.0, 0.8, 0.6], "negative": [0.9, 0.4, 0.1]})
    draw(plots_models.balance_curves(table, ax))
    assert ax.get_xscale() == "log" and legend(ax) == ["pairs of one class", "pairs of different classes"]
    assert ax.lines[0].get_ydata().tolist() == [1.0, 0.8, 0.6]


def test_a_descent_has_a_line_a_loss_on_both_axes():
    axes = plt.figure().subplots(1, 2)
    history = pd.DataFrame(
        {
            "loss": ["a", "a", "b", "b"],
            "step": [0, 10] * 2,
            "class_spread": [1, 0.1, 1, 0.9],
            "effective_rank": [7, 2, 7, 8],
        }
    )
    plots_models.descent_curves(history, axes)
    draw(axes[0])
    assert legend(axes[1]) == ["a", "b"]
    assert axes[0].lines[0].get_ydata().tolist() == [1, 0.1] and axes[1].lines[1].get_ydata().tolist() == [7, 8]
