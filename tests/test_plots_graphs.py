import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from drawn import draw, legend, texts

from spmat_nb import augment, plots_graphs
from spmat_nb.crystals import load
from spmat_nb.draws import Draws
from spmat_nb.graphs import build_graph, build_graphs

pytestmark = pytest.mark.usefixtures("fresh_figures")


@pytest.fixture(scope="module")
def graphs(named):
    return build_graphs(load([named["NaCl"], named["CsCl"]]), cache=False)


@pytest.fixture
def salt(graphs):
    return graphs.batch(torch.tensor([0]))


@pytest.mark.parametrize(
    ("name", "nodes", "arrows"),
    [("Cu", ["Cu"], ["12×"]), ("SrTiO3", ["Sr", "Ti", "O1", "O2", "O3"], None), ("CsCl", ["Cs", "Cl"], None)],
)
def test_a_network_has_a_node_a_site_and_counts_its_edges(named, ax, name, nodes, arrows):
    graph = build_graph(named[name].get_primitive_structure())
    draw(plots_graphs.network(graph, ax))
    counts = [text for text in texts(ax) if text.endswith("×")]
    assert [text for text in texts(ax) if text and text not in counts] == nodes
    assert sum(int(text[:-1]) for text in counts) == graph.num_edges and counts == (arrows or counts)
    assert f"{graph.num_edges} edges" in ax.get_title()


def test_the_expansion_is_shown_for_one_edge_and_for_all():
    axes, centres = plt.figure().subplots(1, 2), np.arange(5) * 0.2
    distances = np.array([0.4, 0.5, 0.8])
    plots_graphs.gaussian_rows(distances, np.exp(-(((distances[:, None] - centres) / 0.2) ** 2)), centres, axes)
    draw(axes[0])
    assert legend(axes[0]) == ["5 Gaussians", "distance 0.40 Å"]
    assert axes[1].images[0].get_array().shape == (3, 5) and axes[1].get_title(loc="left") == "All 3 edges of the site"


def test_a_batch_is_drawn_in_its_order(graphs, ax):
    draw(plots_graphs.packed(graphs, ["NaCl", "CsCl"], [1], ax))
    assert texts(ax) == ["NaCl\n8", "CsCl\n2", "NaCl\n96", "CsCl\n24", "CsCl\n2", "CsCl\n24"]
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "set.z",
        "set.distance",
        "batch.z",
        "batch.distance",
    ]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([0.8, 0.2, 0.8, 0.2, 0.2, 0.2])


def test_the_untouched_graph_is_drawn_in_space(named, ax_3d):
    draw(plots_graphs.view_3d(named["NaCl"], ax_3d))
    assert set(legend(ax_3d)) == {"edge (12)", "Cl (4)", "Na (4)"}
    assert len(ax_3d.lines) == 12 + 12, "the edges of the cell and of the graph"


def counted(ax):
    """What the legend counts, by name."""
    return {name.rsplit(" (", 1)[0]: int(name.rsplit(" (", 1)[1][:-1]) for name in legend(ax)}


def test_a_view_shows_what_became_of_each_edge_and_atom(named, salt, ax_3d):
    view = augment.mask_edges(augment.mask_atoms(augment.gndn(salt, 0.5, Draws(0)), 0.3, Draws(0)), 0.3, Draws(0))
    draw(plots_graphs.view_3d(named["NaCl"], ax_3d, view, centre=0))
    counts = counted(ax_3d)
    mine = view.centre == 0
    change = view.distance[mine] - salt.distance[torch.searchsorted(salt.edge_id, view.edge_id[mine])]
    assert counts["longer"] == int((change > 0).sum()) and counts["shorter"] == int((change < 0).sum())
    assert counts["longer"] + counts["shorter"] + counts["removed"] == 12 and counts["removed"] == 12 - int(mine.sum())
    hidden = sum(count for name, count in counts.items() if name.endswith(", hidden"))
    assert hidden == int((~view.visible).sum()) > 0 and counts["Na"] + counts["Cl"] == 8 - hidden


def test_a_view_of_no_noise_looks_like_the_graph(named, salt, ax_3d):
    draw(plots_graphs.view_3d(named["NaCl"], ax_3d, salt))
    assert set(legend(ax_3d)) == {"edge (12)", "Cl (4)", "Na (4)"}


def test_lengths_are_stacked_by_shell_and_count_to_a_hundred(salt):
    axes = plt.figure().subplots(1, 2)
    after = {d: torch.cat([augment.gndn(salt, d, Draws(i)).distance for i in range(5)]).numpy() for d in (0.1, 1.0)}
    plots_graphs.lengths_at(salt.distance.numpy(), after, axes)
    for ax, delta in zip(axes, ("0.1", "1.0"), strict=True):
        draw(ax)
        assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(100, abs=1e-3)
        assert [line.get_xdata()[0] for line in ax.lines if len(line.get_xdata())] == pytest.approx([2.82, 3.99])
        assert ax.get_title(loc="left") == f"δ = {delta} Å"
    assert {bar.get_hatch() for bar in axes[0].patches} == {"", "////"}


def test_a_crystal_with_one_shell_has_lengths_too(named, ax):
    distance = build_graph(named["Cu"]).distance.numpy()
    plots_graphs.lengths_at(distance, {0.3: distance + 0.1}, [ax])
    assert sum(bar.get_height() for bar in draw(ax).patches) == pytest.approx(100, abs=1e-3)


def test_both_directions_are_plotted_against_each_other():
    axes = plt.figure().subplots(1, 2)
    there = np.linspace(-0.5, 0.5, 7)
    plots_graphs.both_directions({"own": (there, there[::-1]), "same": (there, there)}, 0.5, axes)
    draw(axes[0])
    assert [ax.get_title(loc="left") for ax in axes] == ["own (7 pairs)", "same (7 pairs)"]
    np.testing.assert_allclose(axes[0].collections[0].get_offsets().T, [there, there[::-1]])


def test_angles_are_lines_before_and_bars_after(ax):
    draw(plots_graphs.angles(np.array([90.0, 90.01, 180.0]), np.array([85.0, 95.0]), ax))
    assert [line.get_xdata()[0] for line in ax.lines] == [90, 180]
    assert sum(bar.get_height() for bar in ax.patches) == 100
    assert sorted(ax.get_legend_handles_labels()[1]) == ["atoms moved (2 angles)", "before, and after GNDN (3 angles)"]


def test_lines_take_their_names_from_the_table(ax):
    table = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 0.0]}, index=pd.Index([0.1, 0.2], name="x (Å)"))
    table.columns.name = "y (%)"
    draw(plots_graphs.lines(table, ax))
    assert legend(ax) == ["a", "b"] and (ax.get_xlabel(), ax.get_ylabel()) == ("x (Å)", "y (%)")
    assert [line.get_ydata().tolist() for line in ax.lines] == [[1, 2], [3, 0]]
    assert len({line.get_marker() for line in ax.lines}) == 2 and ax.get_ylim()[0] == ax.get_xlim()[0] == 0
