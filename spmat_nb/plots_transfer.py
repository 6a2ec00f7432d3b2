"""Figures about other crystals than those of the lessons: layers, other guides, your own. Data in, Axes out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .plots import GREY, MARKERS
from .vocabulary import COLOURS, Target

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HATCHES = ("", "//", "..", "xx")
INK = "#333333"


def edges_changed(shares: pd.DataFrame, ax: "Axes") -> "Axes":
    """Share of the edges of layers whose length changes when each layer is taken out of its crystal.

    Args:
        shares: a row a crystal, a column a number of neighbours, between 0 and 1.
        ax: where to draw.
    """
    width = 0.8 / shares.shape[1]
    for number, (neighbours, values) in enumerate(shares.items()):
        places = np.arange(len(shares)) + (number - (shares.shape[1] - 1) / 2) * width
        look: Any = {"color": COLOURS[number], "hatch": HATCHES[number % 4], "edgecolor": "white", "lw": 0.5}
        bars = ax.bar(places, values, width, label=f"{neighbours} nearest neighbours", **look)
        none = [f"{value:.0%}" if value == 0 else "" for value in values]
        ax.bar_label(bars, none, fontsize=9, padding=2)
    ax.set_xticks(range(len(shares)), list(shares.index))
    ax.set(ylabel="share of edges that change", ylim=(0, 1), title="What a graph notices when a layer is cut out")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def guide_matrix(gains: pd.DataFrame, spreads: pd.DataFrame, ax: "Axes") -> "Axes":
    """How much each guide (row) raised the purity of each class (column), with the spread over seeds.

    Args:
        gains: mean gain in k-NN purity over the control, rows guides, columns labels that are judged.
        spreads: standard deviation over seeds, of the same shape.
        ax: where to draw.
    """
    values, spread = gains.to_numpy(), spreads.to_numpy()
    ax.imshow(values, cmap="cividis", vmin=min(0.0, values.min()), vmax=values.max(), aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        dark = value < values.min() + 0.5 * (values.max() - values.min())
        own = str(gains.index[row]) == str(gains.columns[column])
        text = f"{value:+.3f}\n± {spread[row, column]:.3f}"
        weight = "bold" if own else "normal"
        ax.text(column, row, text, ha="center", va="center", fontsize=8, weight=weight, color="w" if dark else "k")
        if own:
            ax.add_patch(_frame(row, column))
    ax.set_xticks(range(gains.shape[1]), [_short(c, "\n") for c in gains.columns])
    ax.set_yticks(range(gains.shape[0]), [_short(i) for i in gains.index])
    ax.set(xlabel="judged by the k-NN purity of", ylabel="guided by", title="Gain over a random encoder")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return ax


def _frame(row: int, column: int) -> Any:
    """A frame around one cell of a matrix."""
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.48, row - 0.47), 0.96, 0.94, fill=False, edgecolor=COLOURS[5], lw=2)


def _short(key: Any, between: str = " ") -> str:
    """The key of a label in words; its parts stand `between` one another."""
    words = str(key).removeprefix("bins:").replace("shuffled:", "shuffled ").removeprefix("crossed:")
    return words.replace(",", f" ×{between}").replace("@", between).replace("_", " ")


def mapped_onto(reference: pd.DataFrame, own: pd.DataFrame, ax: "Axes", name: str) -> "Axes":
    """Named crystals on a map of others, with their names at the sides.

    Args:
        reference: columns x and y, drawn in grey.
        own: the same by the name of the crystal.
        ax: where to draw.
        name: of the reference set.
    """
    ax.scatter(reference["x"], reference["y"], s=8, color=GREY, linewidths=0, label=f"{name} ({len(reference)})")
    look: Any = {"s": 60, "color": COLOURS[5], "marker": "D", "edgecolor": "black", "lw": 0.7}
    ax.scatter(own["x"], own["y"], label=f"yours ({len(own)})", **look)
    left = own["x"].rank(method="first") <= len(own) / 2
    _names_at(-0.02, "right", own[left], ax)
    _names_at(1.02, "left", own[~left], ax)
    ax.set(xticks=[], yticks=[])
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=2)
    return ax


def _names_at(place: float, side: str, own: pd.DataFrame, ax: "Axes") -> None:
    """Names in a column beside the axes, in the order of their points and evenly spaced, so that none overlaps."""
    heights = np.linspace(0, 1, len(own) + 2)[1:-1]
    line = {"arrowstyle": "-", "color": INK, "lw": 0.6, "shrinkA": 0, "shrinkB": 4}
    for height, (name, point) in zip(heights, own.sort_values("y").iterrows(), strict=True):
        look: Any = {"ha": side, "va": "center", "fontsize": 9, "arrowprops": line}
        ax.annotate(str(name), tuple(point), (place, height), xycoords="data", textcoords="axes fraction", **look)


def against_truth(table: pd.DataFrame, target: Target, ax: "Axes", truth: str = "experiment") -> "Axes":
    """Predictions of named crystals with their error bars beside the true values, a row each.

    Args:
        table: columns true, predicted and std, by the name of the crystal.
        target: gives name and unit.
        ax: where to draw.
        truth: where the true values come from.
    """
    rows = np.arange(len(table))
    look: Any = {"color": COLOURS[0], "capsize": 3, "lw": 1.5, "ms": 6}
    bars = table["predicted"], rows, None, table["std"]
    ax.errorbar(*bars, fmt="o", label="prediction ± spread over the members", zorder=2, **look)
    ax.scatter(table["true"], rows, s=60, marker="D", facecolor="none", edgecolor=COLOURS[5], lw=1.8, label=truth)
    ax.set_yticks(rows, [str(name) for name in table.index])
    ax.set(xlabel=target.axis, ylim=(len(table) - 0.5, -0.5))
    ax.grid(axis="y", color="#DDDDDD", lw=0.5)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    return ax


def extrapolation(
    measured: pd.DataFrame, sizes: Sequence[float], ax: "Axes", unit: str = "s", title: str = ""
) -> "Axes":
    """Measured cost over the number of atoms with the line through the origin that fits it, drawn on to other sizes.

    Args:
        measured: columns atoms and cost.
        sizes: numbers of atoms to go on to.
        ax: where to draw, with logarithmic axes.
        unit: of the cost.
        title: above the axis.
    """
    slope = rate(measured)
    ends = np.array([measured["atoms"].min(), max(sizes)])
    ax.plot(ends, slope * ends, color=INK, ls="--", lw=1.2, label="in proportion to the atoms")
    ax.scatter(
        measured["atoms"], measured["cost"], s=50, color=COLOURS[0], label=f"measured ({len(measured)})", zorder=3
    )
    wanted = np.asarray(sizes, dtype=float)
    ax.scatter(
        wanted,
        slope * wanted,
        s=60,
        marker=MARKERS[2],
        facecolor="white",
        edgecolor=COLOURS[1],
        lw=1.8,
        label="extrapolated",
        zorder=3,
    )
    ax.set(xscale="log", yscale="log", xlabel="atoms", ylabel=unit, title=title)
    ax.legend(loc="upper left")
    return ax


def rate(measured: pd.DataFrame) -> float:
    """Cost an atom: least squares through the origin, from the columns atoms and cost."""
    atoms, cost = measured["atoms"].to_numpy(float), measured["cost"].to_numpy(float)
    return float(atoms @ cost / (atoms @ atoms))
