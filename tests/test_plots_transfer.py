import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from drawn import draw, legend

from spmat_nb import plots_transfer
from spmat_nb.vocabulary import TARGETS

pytestmark = pytest.mark.usefixtures("fresh_figures")


@pytest.fixture
def ax():
    return plt.figure(layout="constrained").add_subplot()


def test_every_number_of_neighbours_has_a_bar_a_crystal_and_zeros_are_written(ax):
    shares = pd.DataFrame({12: [0.0, 0.11], 24: [0.5, 0.33]}, index=["graphite", "MoS₂"])
    draw(plots_transfer.edges_changed(shares, ax))
    assert [bar.get_height() for bar in ax.patches] == [0.0, 0.11, 0.5, 0.33]
    assert legend(ax) == ["12 nearest neighbours", "24 nearest neighbours"]
    assert [text.get_text() for text in ax.texts] == ["0%", "", "", ""]


def test_a_matrix_of_guides_has_its_numbers_and_frames_the_own_class(ax):
    keys = ["family", "bins:density@4/6"]
    gains = pd.DataFrame([[0.1, 0.02], [0.03, 0.2], [0.05, 0.01]], index=[*keys, "shuffled:family"], columns=keys)
    draw(plots_transfer.guide_matrix(gains, 0.1 * gains, ax))
    assert [text.get_text() for text in ax.texts][:2] == ["+0.100\n± 0.010", "+0.020\n± 0.002"]
    assert [text.get_weight() for text in ax.texts] == ["bold", "normal", "normal", "bold", "normal", "normal"]
    assert len(ax.patches) == 2, "no guide but the first two has a column of its own"
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["family", "density 4/6", "shuffled family"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["family", "density\n4/6"]


def test_names_stand_beside_the_map_in_the_order_of_their_points(ax):
    random = np.random.default_rng(0)
    reference = pd.DataFrame(random.random((50, 2)), columns=["x", "y"])
    own = pd.DataFrame({"x": [0.1, 0.2, 0.8, 0.9], "y": [0.9, 0.1, 0.2, 0.7]}, index=["A", "B", "C", "D"])
    draw(plots_transfer.mapped_onto(reference, own, ax, "others"))
    assert [text.get_text() for text in ax.texts] == ["B", "A", "C", "D"], "left from below, then right from below"
    assert [text.get_ha() for text in ax.texts] == ["right", "right", "left", "left"]
    assert legend(ax) == ["others (50)", "yours (4)"]


def test_error_bars_and_truth_have_a_row_a_crystal_also_without_truth(ax):
    table = pd.DataFrame({"true": [1.0, np.nan], "predicted": [1.5, 0.0], "std": [0.2, 0.3]}, index=["NaCl", "K-Cl-Br"])
    draw(plots_transfer.against_truth(table, TARGETS["formation_energy_per_atom"], ax, "measured"))
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["NaCl", "K-Cl-Br"] and ax.yaxis_inverted()
    assert ax.get_xlabel() == "Formation energy (eV/atom)"
    assert sorted(legend(ax)) == ["measured", "prediction ± spread over the members"]


def test_the_extrapolated_points_lie_on_the_line_through_the_origin(ax):
    measured = pd.DataFrame({"atoms": [100, 200], "cost": [1.0, 2.0]})
    assert plots_transfer.rate(measured) == pytest.approx(0.01)
    draw(plots_transfer.extrapolation(measured, [1000, 5000], ax, "seconds"))
    np.testing.assert_allclose(ax.collections[1].get_offsets(), [[1000, 10], [5000, 50]])
    assert ax.get_xscale() == ax.get_yscale() == "log" and ax.get_ylabel() == "seconds"
    assert legend(ax) == ["in proportion to the atoms", "measured (2)", "extrapolated"]
