import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from drawn import draw, legend

from spmat_nb import plots
from spmat_nb.labels import LABELS
from spmat_nb.vocabulary import MISSING, TARGETS

pytestmark = pytest.mark.usefixtures("fresh_figures")


@pytest.fixture
def coordinates():
    return pd.DataFrame(np.random.default_rng(0).random((40, 2)), columns=["x", "y"])


def test_the_style_makes_opaque_figures():
    assert plt.rcParams["figure.facecolor"] == plt.rcParams["axes.facecolor"] == "white"


def test_the_source_of_the_data_is_written_into_the_figure(ax):
    plots.note_source(ax, "teaching set", "60 crystals")
    assert [text.get_text() for text in draw(ax).figure.texts] == ["data: teaching set, 60 crystals"]


@pytest.mark.parametrize(("name", "counts"), [("NaCl", {"Na": 4, "Cl": 4}), ("SrTiO3", {"O": 3, "Sr": 1, "Ti": 1})])
def test_a_crystal_graph_is_drawn_with_its_atoms_counted(named, name, counts):
    ax = plots.crystal_graph_3d(named[name], plt.figure().add_subplot(projection="3d"))
    assert set(legend(draw(ax))) == {f"{symbol} ({count} in the cell)" for symbol, count in counts.items()}
    assert len(ax.lines) == 12 + 12, "the edges of the cell and of the graph"


def test_neighbour_shells_count_to_twelve(named, ax):
    draw(plots.neighbour_shells(named["NaCl"], ax))
    assert sum(bar.get_height() for bar in ax.patches) == 12
    assert {text.get_text() for text in ax.texts} == {"6 at 2.82 Å", "6 at 3.99 Å"}
    assert set(legend(ax)) == {"to Na", "to Cl"}


def test_distances_before_and_after_are_counted():
    axes = plt.figure().subplots(1, 2)
    before = np.linspace(2, 4, 30)
    plots.distances_before_after(before, before + np.linspace(-0.5, 0.5, 30), 0.5, axes)
    draw(axes[0])
    assert legend(axes[0]) == ["graph (30 edges)", "after GNDN, delta = 0.5 Å"]
    assert sum(bar.get_height() for bar in axes[1].patches) == 30


def test_loss_curves_have_an_axis_a_run():
    axes = plt.figure().subplots(1, 2)
    history = pd.DataFrame({"epoch": [1, 2, 3], "loss": [3.0, 2.0, 1.0], "val_loss": [3.5, 2.5, 2.0]})
    plots.loss_curves({"one": history, "two": history * 2}, axes)
    draw(axes[0])
    assert [ax.get_title(loc="left") for ax in axes] == ["one", "two"]
    assert [line.get_ydata().tolist() for line in axes[0].lines] == [[3, 2, 1], [3.5, 2.5, 2]]


def test_a_run_without_held_out_crystals_has_a_curve_too(ax):
    plots.loss_curves({"one": pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 1.0]})}, [ax])


@pytest.mark.parametrize("label", LABELS)
def test_a_map_counts_its_classes_and_marks_them_apart(coordinates, ax, label):
    classes = np.arange(40) % len(LABELS[label].classes)
    draw(plots.embedding_map(coordinates, classes, label, ax, "a map"))
    names = LABELS[label].classes
    assert set(legend(ax)) == {f"{n.replace('_', ' ')} ({(classes == i).sum()})" for i, n in enumerate(names)}
    looks = [(tuple(c.get_facecolor()[0]), c.get_paths()[0].vertices.tobytes()) for c in ax.collections]
    assert all(len(set(column)) == len(names) for column in zip(*looks, strict=True)), "a colour or marker twice"


def test_crystals_without_a_class_are_counted_as_not_known(coordinates, ax):
    classes = np.where(np.arange(40) < 5, MISSING, 1)
    draw(plots.embedding_map(coordinates, classes, "gap_class", ax))
    assert set(legend(ax)) == {"not known (5)", "narrow (35)"}
    assert sum(len(c.get_offsets()) for c in ax.collections) == 40


def test_parity_shows_the_test_crystals_and_their_error(ax):
    predictions = pd.DataFrame(
        {"split": ["train", "test", "test"], "true": [0.0, 1.0, 2.0], "predicted": [9.0, 1.5, 1.5]}
    )
    draw(plots.parity(predictions, TARGETS["band_gap"], ax, "from scratch"))
    assert "from scratch\nMAE 0.500 eV on 2 test crystals" in (ax.get_title(), ax.get_title(loc="left"))
    assert ax.get_xlabel().startswith("Band gap (eV)")
    assert len(ax.collections[0].get_offsets()) == 2


def test_arm_errors_show_every_seed_with_counts_and_mean(ax):
    results = pd.DataFrame({"arm": ["scratch"] * 3 + ["sup_barlow"] * 2, "test_mae": [0.3, 0.4, 0.5, 0.2, 0.3]})
    draw(plots.arm_errors(results, TARGETS["density"], ax))
    assert [c.get_label() for c in ax.collections] == ["scratch (3 seeds)", "sup_barlow (2 seeds)"]
    assert [line.get_xdata()[0] for line in ax.lines] == pytest.approx([0.4, 0.25])
    assert ax.get_xlim()[0] == 0 and ax.get_xlim()[1] > 0.5
    assert [t.get_text() for t in ax.get_yticklabels()] == ["scratch", "sup_barlow"]
