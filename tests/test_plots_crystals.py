import numpy as np
import pytest
from drawn import draw, legend, texts

from spmat_nb import plots_crystals

pytestmark = pytest.mark.usefixtures("fresh_figures")


def test_elements_differ_in_colour_and_marker():
    looks = plots_crystals.element_looks(["O", "Sr", "Ti", "O"])
    assert list(looks) == ["O", "Sr", "Ti"]
    assert all(len({look[part] for look in looks.values()}) == 3 for part in ("color", "marker"))


def test_the_flat_crystal_joins_the_images_within_the_radius(ax):
    draw(plots_crystals.periodic_images_2d(4 * np.eye(2), {"A": (0.25, 0.25), "B": (0.75, 0.75)}, 3.0, ax))
    assert sorted(texts(ax)) == sorted(["(0, 0)", "(−1, 0)", "(0, −1)", "(−1, −1)"])
    assert len(ax.lines) == 4 and len(ax.collections) == 18 and len(ax.patches) == 9
    assert legend(ax) == ["A (1 in the cell)", "B (1 in the cell)"]


def test_images_in_space_are_named_and_pale_outside_the_cell(named, ax_3d):
    draw(plots_crystals.periodic_images_3d(named["CsCl"], 3.6, 1, ax_3d))
    assert len(texts(ax_3d)) == len(set(texts(ax_3d))) == 8 and "(0, 0, 0)" in texts(ax_3d)
    pale = [c.get_alpha() for c in ax_3d.collections]
    assert pale.count(0.45) == 7 and pale.count(1.0) == 1
    assert "one Cl and its 8 neighbours" in ax_3d.get_title()


@pytest.mark.parametrize(
    ("name", "shells", "kept"),
    [("NaCl", ["6 Cl", "12 Na", "8 Cl"], [6, 6, 0]), ("Cu", ["12 Cu", "6 Cu", "24 Cu"], [12, 0, 0])],
)
def test_shells_are_counted_and_hatched_beyond_the_nearest(named, ax, name, shells, kept):
    draw(plots_crystals.shell_counts(named[name], 5.0, 12, ax))
    assert texts(ax) == shells
    bars = [bar for bar in ax.patches if bar.get_x() > 0.5]
    assert [bar.get_height() for bar in bars[::2]] == kept
    assert all(bar.get_hatch() for bar in bars[1::2]) and not any(bar.get_hatch() for bar in bars[::2])
    assert legend(ax) == ["beyond the nearest 12"]
