import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from drawn import draw, legend

from spmat_nb import plots_errors
from spmat_nb.vocabulary import TARGETS

TARGET = TARGETS["formation_energy_per_atom"]


pytestmark = pytest.mark.usefixtures("fresh_figures")


@pytest.fixture
def ax():
    return plt.figure(layout="constrained").add_subplot()


def test_paired_changes_say_mean_and_range(ax):
    changes = pd.DataFrame({"random, frozen": [30.0, 20.0, 40.0], "supervised": [-4.0, -2.0, 0.0]})
    draw(plots_errors.paired_changes(changes, ax, "from scratch"))
    assert [text.get_text() for text in ax.texts] == ["+30.0 %  (+20.0 to +40.0)", "-2.0 %  (-4.0 to +0.0)"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(changes)
    assert "from scratch" in ax.get_xlabel() and "3 seeds" in ax.get_title(loc="left")
    assert ax.yaxis_inverted(), "the first arm on top"


def test_a_learning_curve_is_logarithmic_and_has_all_sizes(ax):
    runs = [
        (a, n, s, 0.5 / np.sqrt(n) + 0.001 * s) for a in ("scratch", "x, frozen") for n in (50, 150) for s in (0, 1)
    ]
    results = pd.DataFrame(runs, columns=["arm", "labelled", "seed", "test_mae"])
    draw(plots_errors.learning_curve(results, TARGET, ax, median=0.6))
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["50", "150"]
    assert legend(ax) == ["scratch (2 seeds)", "x, frozen (2 seeds)", "median of the training rows (0.6)"]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 0.5 / np.sqrt([50, 150]) + 0.0005)
    assert [line.get_linestyle() for line in ax.lines[:2]] == ["-", "--"], "frozen arms are dashed"


def test_coverage_counts_crystals_within_their_error_bars(ax):
    draw(plots_errors.coverage_curves({"spread": np.array([0.5, 1.0, 3.0, 9.0])}, ax))
    assert legend(ax) == ["normal distribution: 68 % within 1", "spread: 50% within 1 (4 crystals)"]
    share = ax.lines[1].get_ydata()
    assert share[0] == 0 and share[-1] == 0.75
