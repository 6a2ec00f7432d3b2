"""Every figure of the lessons: data in, Axes out, one style. Figures are opaque and readable in grey."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .labels import get_label
from .vocabulary import COLOURS, MISSING, Target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pymatgen.core import Structure

MARKERS = ("o", "^", "s", "D", "v", "P", "X")
GREY = "#BBBBBB"
STYLE: dict[Any, Any] = {
    "figure.dpi": 110,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "font.size": 10,
    "savefig.bbox": "tight",
    "savefig.facecolor": "white",
}


def use_style() -> None:
    """Set the style of all figures that follow."""
    import matplotlib.pyplot as plt

    plt.rcParams.update(STYLE)


def note_source(ax: "Axes", name: str, extra: str = "") -> None:
    """Say in the figure which data it shows."""
    text = f"data: {name}{', ' + extra if extra else ''}"
    # Below the figure: the tight bounding box of notebooks and of `savefig` makes room for it.
    ax.figure.text(0.995, -0.01, text, ha="right", va="top", fontsize=8, color="#555555")


def crystal_graph_3d(structure: "Structure", ax: "Axes", centre: int | None = None, max_neighbours: int = 12) -> "Axes":
    """The unit cell in space, with the edges that end at one atom; images of atoms are drawn lighter.

    Args:
        structure: a crystal.
        ax: with projection 3d.
        centre: the atom whose neighbours are drawn; the one nearest to the middle of the cell if None.
        max_neighbours: as in the graph.
    """
    from .graphs import build_graph
    from .settings import GraphSettings

    graph = build_graph(structure, GraphSettings(max_neighbours=max_neighbours))
    points, lattice = structure.cart_coords, structure.lattice.matrix
    if centre is None:
        centre = int(np.linalg.norm(points - lattice.sum(0) / 2, axis=1).argmin())
    ends = graph.edge_index.numpy()
    mine = ends[1] == centre
    partners = points[ends[0][mine]] + graph.image.numpy()[mine] @ lattice  # [12, 3]
    for corner in _cell_edges(lattice):
        ax.plot(*corner.T, color=GREY, lw=0.8)
    for point in partners:
        ax.plot(*np.stack([points[centre], point]).T, color="#333333", lw=1.2, alpha=0.7)
    outside = (graph.image.numpy()[mine] != 0).any(1)
    for number, symbol in enumerate(sorted({s.specie.symbol for s in structure})):
        look: Any = {
            "color": COLOURS[number % 7],
            "marker": MARKERS[number % 7],
            "edgecolor": "black",
            "depthshade": False,
        }
        own = np.array([s.specie.symbol == symbol for s in structure])
        images = partners[outside & own[ends[0][mine]]]
        _scatter_3d(ax, points[own], s=160, label=f"{symbol} ({own.sum()} in the cell)", **look)
        if len(images):
            _scatter_3d(ax, images, s=90, alpha=0.45, **look)
    _scatter_3d(ax, points[[centre]], s=330, facecolor="none", edgecolor="black", lw=1.6)
    ax.set_axis_off()
    ax.set_aspect("equal")
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, 1.02))
    return ax


def _scatter_3d(ax: Any, points: np.ndarray, **look: Any) -> None:
    """Points [n, 3] on an axis that may be three-dimensional, which its type does not say."""
    ax.scatter(*points.T, **look)


def neighbour_shells(structure: "Structure", ax: "Axes", centre: int = 0) -> "Axes":
    """The distances from one atom to its neighbours in the graph, as counted shells by element.

    Args:
        structure: a crystal.
        ax: where to draw.
        centre: whose neighbours.
    """
    from .graphs import build_graph

    graph = build_graph(structure)
    mine = graph.edge_index[1] == centre
    symbols = np.array([structure[int(i)].specie.symbol for i in graph.edge_index[0][mine]])
    distances = graph.distance[mine].numpy().round(2)
    for number, symbol in enumerate(sorted(structure.symbol_set)):
        shell, count = np.unique(distances[symbols == symbol], return_counts=True)
        bars = ax.bar(shell, count, width=0.08, color=COLOURS[number % 7], edgecolor="black", label=f"to {symbol}")
        ax.bar_label(bars, [f"{n} at {d:.2f} Å" for n, d in zip(count, shell, strict=True)], padding=3, fontsize=9)
    ax.set(
        xlabel="distance (Å)", ylabel="neighbours in the graph", title=f"The 12 nearest of {structure[centre].specie}"
    )
    ax.set(xlim=(distances.min() - 0.6, distances.max() + 0.6), ylim=(0, ax.get_ylim()[1] * 1.15))
    ax.legend(loc="center")
    return ax


def _cell_edges(lattice: np.ndarray) -> list[np.ndarray]:
    """The twelve edges of the unit cell as pairs of points."""
    corners = [np.array([i, j, k]) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    return [np.stack([a, b]) @ lattice for a in corners for b in corners if (b - a).sum() == 1 and (b >= a).all()]


def distances_before_after(before: np.ndarray, after: np.ndarray, delta: float, axes: "Sequence[Axes]") -> None:
    """Edge lengths before and after GNDN, and the change of each edge.

    Args:
        before: [E] in A.
        after: [E] in A, the same edges.
        delta: the half-width of the noise, A.
        axes: two of them.
    """
    bins = list(np.linspace(0.8 * after.min(), max(before.max(), after.max()) * 1.02, 60))
    axes[0].hist(before, bins, color=COLOURS[0], label=f"graph ({len(before)} edges)")
    axes[0].hist(after, bins, histtype="step", lw=1.6, color="black", label=f"after GNDN, delta = {delta} Å")
    axes[0].set(xlabel="edge length (Å)", ylabel="number of edges", title="Distances are shaken ...")
    axes[0].set(xlim=(bins[0], bins[-1]), ylim=(0, 1.3 * axes[0].get_ylim()[1]))
    axes[0].legend(loc="upper right")
    change = after - before
    axes[1].hist(change, list(np.linspace(-delta, delta, 21)), color=COLOURS[1], edgecolor="white", lw=0.5)
    for side in (-delta, delta):
        axes[1].axvline(side, color="black", ls="--", lw=1)
    axes[1].set(xlabel="change of an edge (Å)", ylabel="number of edges", title="... each edge by its own amount")


def loss_curves(histories: Mapping[str, pd.DataFrame], axes: "Sequence[Axes]") -> None:
    """Training and validation loss of each run on an axis of its own, since losses have different units."""
    for number, ((name, history), ax) in enumerate(zip(histories.items(), axes, strict=True)):
        colour = COLOURS[number % 7]
        ax.plot(history["epoch"], history["loss"], color=colour, marker="o", ms=4, label="training crystals")
        if "val_loss" in history:
            ax.plot(history["epoch"], history["val_loss"], color="black", ls="--", label="held-out crystals")
        ax.set(xlabel="epoch", ylabel="loss", title=name)
        ax.legend()


def embedding_map(coordinates: pd.DataFrame, classes: np.ndarray, label: str, ax: "Axes", title: str = "") -> "Axes":
    """A map of crystals coloured by surrogate class, with another marker for each class and counts in the legend.

    Args:
        coordinates: columns x and y.
        classes: [B] class indices of the label, -1 for not known (grey).
        label: key of `LABELS`.
        ax: where to draw.
        title: above the map.
    """
    kind = get_label(label)
    values = coordinates.to_numpy()
    drawn = [
        (MISSING, "not known", GREY, "."),
        *zip(itertools.count(), kind.classes, kind.colours, itertools.cycle(MARKERS), strict=False),
    ]
    size = float(np.clip(20000 / max(len(values), 1), 4, 30))
    order = sorted(drawn, key=lambda entry: -(classes == entry[0]).sum())  # small classes on top
    for index, name, colour, marker in order:
        mine = classes == index
        if mine.any():
            look: Any = {"s": size, "color": colour, "marker": marker, "alpha": 0.65, "linewidths": 0}
            ax.scatter(*values[mine].T, label=f"{name.replace('_', ' ')} ({mine.sum()})", **look)
    ax.set(xticks=[], yticks=[], title=title)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=min(3, len(kind.classes)), markerscale=2)
    return ax


def parity(predictions: pd.DataFrame, target: Target, ax: "Axes", title: str = "") -> "Axes":
    """Predicted against true values of the test crystals, with the error in the title.

    Args:
        predictions: columns split, true, predicted.
        target: gives name and unit.
        ax: where to draw.
        title: first line above the plot.
    """
    test = predictions[predictions["split"] == "test"]
    error = float((test["predicted"] - test["true"]).abs().mean())
    low, high = test[["true", "predicted"]].to_numpy().min(), test[["true", "predicted"]].to_numpy().max()
    ax.plot([low, high], [low, high], color="black", lw=0.8)
    ax.scatter(test["true"], test["predicted"], s=9, color=COLOURS[0], alpha=0.5, linewidths=0)
    ax.set(xlabel=f"{target.axis}: label", ylabel="predicted")
    ax.set_title(f"{title}\nMAE {error:.3f} {target.unit} on {len(test)} test crystals".strip())
    ax.set_aspect("equal")
    return ax


def arm_errors(results: pd.DataFrame, target: Target, ax: "Axes") -> "Axes":
    """Test error of every seed of each arm, with the mean, from an axis that begins at zero.

    Args:
        results: columns arm and test_mae, one row a run.
        target: gives the unit.
        ax: where to draw.
    """
    for number, (arm, runs) in enumerate(results.groupby("arm", sort=False)):
        errors: Any = runs["test_mae"]
        look: Any = {"color": COLOURS[number % 7], "marker": MARKERS[number % 7]}
        ax.scatter(errors, np.full(len(errors), number), s=45, label=f"{arm} ({len(errors)} seeds)", **look)
        ax.plot([errors.mean()] * 2, [number - 0.3, number + 0.3], color="black", lw=2)
    names = list(dict.fromkeys(results["arm"]))
    ax.set_yticks(range(len(names)), names)
    ax.set(
        xlabel=f"test MAE ({target.unit})", ylim=(len(names) - 0.5, -0.5), title=f"{target.title}: each point a seed"
    )
    ax.set_xlim(0, results["test_mae"].max() * 1.1)
    return ax
