"""Figures of graphs and views: networks, expansions, packed sets, masks and noise. Data in, Axes out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .plots import GREY, MARKERS, _cell_edges
from .plots_crystals import INK, ON_WHITE, element_looks, frame_3d
from .vocabulary import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pymatgen.core import Structure
    from torch_geometric.data import Data

    from .graphs import Batch, GraphSet


def network(graph: "Data", ax: "Axes") -> "Axes":
    """A graph as a network: a node for each site, an arrow from site to site with the number of edges it stands for.

    Args:
        graph: as `build_graph` returns it.
        ax: where to draw.
    """
    from matplotlib.colors import to_rgb

    symbols = [_symbol(int(z)) for z in graph.z]
    names = [f"{s}{symbols[: i + 1].count(s) if symbols.count(s) > 1 else ''}" for i, s in enumerate(symbols)]
    looks, counts = element_looks(symbols), Counter((int(a), int(b)) for a, b in graph.edge_index.T)
    angle = np.pi / 2 - 2 * np.pi * np.arange(len(names)) / len(names)
    places = np.stack([np.cos(angle), np.sin(angle)], axis=1) if len(names) > 1 else np.array([[0.0, 0.1]])  # [N, 2]
    for (sender, receiver), count in counts.items():
        _arrow(places[sender], places[receiver], f"{count}×", ax)
    for place, name, symbol in zip(places, names, symbols, strict=True):
        pale = 1 - 0.5 * (1 - np.array(to_rgb(looks[symbol]["color"])))
        ax.scatter(place[0], place[1], s=560, zorder=3, color=pale, edgecolor="black")
        ax.text(place[0], place[1], name, ha="center", va="center", fontsize=10, zorder=4)
    side = 0.6 if len(names) < 3 else 1.3
    ax.set(xlim=(-side, side), ylim=(-1.6, 1.6), aspect="equal")
    ax.set_axis_off()
    ax.set_title(f"{len(names)} {'site' if len(names) == 1 else 'sites'}, {graph.num_edges} edges", loc="center")
    return ax


def _symbol(z: int) -> str:
    from pymatgen.core import Element

    return Element.from_Z(z).symbol


def _arrow(start: np.ndarray, end: np.ndarray, text: str, ax: "Axes") -> None:
    """A bent arrow with a text near its start; a circle where it ends at its start."""
    from matplotlib.patches import Circle

    if np.array_equal(start, end):
        out = np.sign(start[1]) * np.array([0, 1])
        ax.add_patch(Circle(tuple(start + 0.27 * out), 0.2, fill=False, edgecolor=INK, zorder=1))
        middle = start + 0.47 * out
    else:
        bend: Any = {
            "arrowstyle": "-|>",
            "connectionstyle": "arc3,rad=0.16",
            "color": INK,
            "shrinkA": 13,
            "shrinkB": 13,
        }
        ax.annotate("", (end[0], end[1]), (start[0], start[1]), arrowprops=bend, zorder=1)
        way = end - start
        control = start + way / 2 + 0.16 * np.array([way[1], -way[0]])  # of the Bezier curve of `arc3`
        middle = 0.49 * start + 0.42 * control + 0.09 * end  # three tenths of the way
    ax.text(middle[0], middle[1], text, zorder=2, **ON_WHITE)


def gaussian_rows(distances: np.ndarray, expanded: np.ndarray, centres: np.ndarray, axes: "Sequence[Axes]") -> None:
    """The expansion of the first distance as dots on its bell, and of all distances as a picture.

    Args:
        distances: [E] in A.
        expanded: [E, K] values of the Gaussians.
        centres: [K] in A.
        axes: two of them.
    """
    axes[0].vlines(centres, 0, expanded[0], color=COLOURS[0], lw=1.5)
    axes[0].scatter(centres, expanded[0], s=28, color=COLOURS[0], zorder=3, label=f"{len(centres)} Gaussians")
    axes[0].axvline(distances[0], color="black", ls="--", lw=1, label=f"distance {distances[0]:.2f} Å")
    axes[0].set(xlabel="centre of the Gaussian (Å)", ylabel="value", title="One distance", ylim=(0, 1.05))
    axes[0].legend(loc="upper right")
    extent = (centres[0], centres[-1], len(distances) + 0.5, 0.5)
    picture = axes[1].imshow(expanded, aspect="auto", cmap="cividis", extent=extent, vmin=0, vmax=1)
    axes[1].set(xlabel="centre of the Gaussian (Å)", ylabel="edge of the site")
    axes[1].set_title(f"All {len(distances)} edges of the site")
    axes[1].figure.colorbar(picture, ax=axes[1], label="value")


def packed(graphs: "GraphSet", names: Sequence[str], chosen: Sequence[int], ax: "Axes") -> "Axes":
    """The flat tensors of a set, cut into crystals, and a batch that is cut out of them.

    Args:
        graphs: a few crystals.
        names: of the crystals.
        chosen: positions of the crystals of the batch.
        ax: where to draw.
    """
    sizes = {"z": np.diff(graphs.atom_start.numpy()), "distance": np.diff(graphs.edge_start.numpy())}
    rows = [(f"{what}.{name}", sizes[name][list(which)], which)
            for what, which in (("set", range(len(names))), ("batch", chosen)) for name in sizes]  # fmt: skip
    for height, (_, counts, which) in enumerate(rows):
        ends = np.cumsum(counts) / sum(sizes[rows[height][0].split(".")[1]])
        for number, count, end in zip(which, counts, ends, strict=True):
            width = count / sizes[rows[height][0].split(".")[1]].sum()
            ax.barh(height, width, left=end - width, color=COLOURS[number % 7], edgecolor="black", alpha=0.8)
            ax.text(end - width / 2, height, f"{names[number]}\n{count}", ha="center", va="center", fontsize=9)
    ax.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    ax.set(
        xlim=(0, 1.001),
        ylim=(len(rows) - 0.4, -0.6),
        xticks=[],
        xlabel="position in the tensor, as a share of the whole set",
    )
    ax.set_title("One tensor for all crystals; a batch is pieces of it")
    return ax


def view_3d(structure: "Structure", ax: Any, view: "Batch | None" = None, centre: int | None = None) -> "Axes":
    """A crystal with the edges that end at one site, or what a view has made of them; hidden atoms are hollow.

    Args:
        structure: the crystal.
        ax: with projection 3d.
        view: a batch of that crystal alone; None for the graph itself.
        centre: the site whose edges are drawn; the one nearest to the middle of the cell if None.
    """
    from .graphs import build_graph

    graph, lattice, points = build_graph(structure), structure.lattice.matrix, structure.cart_coords
    if centre is None:
        centre = int(np.linalg.norm(points - lattice.sum(0) / 2, axis=1).argmin())
    sender, receiver = graph.edge_index.numpy()
    ends, mine = points[sender] + graph.image.numpy() @ lattice, receiver == centre
    for line in _cell_edges(lattice):
        ax.plot(*line.T, color=GREY, lw=0.8)
    for name, (chosen, look) in _fates(_changes(graph, view)).items():
        for number, end in enumerate(ends[mine & chosen]):
            label = None if number else f"{name} ({(mine & chosen).sum()})"
            ax.plot(*np.stack([points[centre], end]).T, label=label, **look)
    symbols = np.array([site.specie.symbol for site in structure])
    visible = np.ones(len(points), bool) if view is None or view.visible is None else view.visible.numpy()
    images = mine & (graph.image.numpy() != 0).any(1)
    for symbol, look in element_looks(symbols).items():
        for shown, style in ((True, look), (False, look | {"color": "white", "linestyle": "--"})):
            own = (symbols == symbol) & (visible == shown)
            label = f"{symbol}{'' if shown else ', hidden'} ({own.sum()})"
            _points_3d(ax, points[own], s=150, label=label, **style)
            _points_3d(ax, ends[images & own[sender]], s=80, alpha=0.55, **style)
    _points_3d(ax, points[[centre]], s=330, **{"facecolor": "none", "edgecolor": "black", "lw": 1.4})
    frame_3d(ax, lattice, 0.95)
    ax.set_title(f"{structure.reduced_formula}: the edges that end at one {symbols[centre]}", loc="center")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0.04), ncols=2)
    return ax


def _points_3d(ax: Any, points: np.ndarray, **look: Any) -> None:
    """Points [n, 3]; none is no entry in the legend."""
    if len(points):
        ax.scatter(*points.T, depthshade=False, **look)


def _changes(graph: "Data", view: "Batch | None") -> np.ndarray:
    """How much longer each edge [E] of the graph is in a view, A; not a number where it was removed."""
    from .draws import WITHIN_BITS

    if view is None:
        return np.zeros(graph.num_edges)
    change, kept = np.full(graph.num_edges, np.nan), (view.edge_id & ((1 << WITHIN_BITS) - 1)).numpy()
    change[kept] = view.distance.numpy() - graph.distance.numpy()[kept]
    return change


def _fates(change: np.ndarray) -> dict[str, tuple[np.ndarray, dict[str, Any]]]:
    """What can become of an edge [E], and how it looks."""
    return {
        "edge": (change == 0, {"color": INK, "lw": 1.4}),
        "longer": (change > 0, {"color": COLOURS[5], "lw": 2.4}),
        "shorter": (change < 0, {"color": COLOURS[0], "lw": 2.4, "ls": (0, (3, 1.2))}),
        "removed": (np.isnan(change), {"color": "#777777", "lw": 1.6, "ls": ":"}),
    }


def lengths_at(before: np.ndarray, after: Mapping[float, np.ndarray], axes: "Iterable[Axes]") -> None:
    """Edge lengths at several deltas, each on an axis of its own, coloured by the shell they come from.

    Args:
        before: [E] in A, in a few shells.
        after: by delta (A), the same edges after one or more draws, [draws * E].
        axes: one for each delta.
    """
    everything = np.concatenate([before, *after.values()])
    bins = np.arange(np.floor(10 * everything.min()) / 10, everything.max() + 0.05, 0.05)
    shells = np.unique(before.round(2))
    for ax, (delta, lengths) in zip(axes, after.items(), strict=True):
        shell = np.tile(before.round(2), len(lengths) // len(before))
        parts = [lengths[shell == s] for s in shells]
        shares: Any = [np.full(len(part), 100 / len(lengths)) for part in parts]
        looks: Any = {"stacked": True, "color": COLOURS[: len(shells)], "edgecolor": "white", "linewidth": 0}
        ax.hist(parts, list(bins), weights=shares, **looks)
        for number, (s, bars) in enumerate(zip(shells, ax.containers, strict=True)):
            for bar in bars:
                bar.set_hatch(("", "////", "....")[number % 3])
            ax.axvline(s, color="black", ls="--", lw=1)
            ax.plot([], [], color=COLOURS[number % 7], lw=6, label=f"edges of the shell at {s:.2f} Å")
        ax.set(xlabel="edge length (Å)", ylabel="edges (%)", title=f"δ = {delta:.1f} Å", xlim=(bins[0], bins[-1]))


def both_directions(changes: Mapping[str, tuple[np.ndarray, np.ndarray]], delta: float, axes: "Sequence[Axes]") -> None:
    """What the noise does to i-j against what it does to j-i.

    Args:
        changes: by name, changes [pairs] of i-j and of j-i, A.
        delta: half-width of the noise, A.
        axes: one for each name.
    """
    for number, (ax, (name, (there, back))) in enumerate(zip(axes, changes.items(), strict=True)):
        look: Any = {"color": COLOURS[number], "marker": MARKERS[number], "alpha": 0.6}
        ax.scatter(there, back, s=7, linewidths=0, **look)
        ax.set(xlabel="change of i to j (Å)", ylabel="change of j to i (Å)", aspect="equal")
        ax.set(xlim=(-1.1 * delta, 1.1 * delta), ylim=(-1.1 * delta, 1.1 * delta))
        ax.set_title(f"{name} ({len(there)} pairs)")


def angles(before: np.ndarray, after: np.ndarray, ax: "Axes") -> "Axes":
    """Angles between two edges of an atom: lines where they are in the perfect crystal, and how they have spread.

    Args:
        before: degrees.
        after: degrees.
        ax: where to draw.
    """
    share = np.full(len(after), 100 / len(after))
    ax.hist(after, list(np.arange(0.0, 181.0, 3.0)), weights=share, color=COLOURS[1], edgecolor="white", lw=0.4,
            label=f"atoms moved ({len(after)} angles)")  # fmt: skip
    for number, angle in enumerate(np.unique(before.round(1))):
        label = None if number else f"before, and after GNDN ({len(before)} angles)"
        ax.axvline(float(angle), color=COLOURS[0], lw=2.5, label=label)
    ax.set(xlabel="angle between two nearest edges (°)", ylabel="angles (%)")
    ax.set(xlim=(0, 180), xticks=range(0, 181, 45))
    return ax


def lines(table: pd.DataFrame, ax: "Axes") -> "Axes":
    """The columns of a table against its index, with a colour and a marker each.

    Args:
        table: its index and columns have the names of the axes.
        ax: where to draw.
    """
    for number, name in enumerate(table):
        look: Any = {"color": COLOURS[number % 7], "marker": MARKERS[number % 7]}
        ax.plot(table.index, table[name], ms=6, mec="black", mew=0.5, label=str(name), clip_on=False, **look)
    ax.set(xlabel=table.index.name, ylabel=table.columns.name, ylim=(0, None), xlim=(0, None))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax
