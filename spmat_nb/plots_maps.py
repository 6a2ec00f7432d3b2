"""Figures about runs and maps: collapse over epochs, purity beside its controls, new crystals in an old map."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .judgements import COLLAPSED_RANK
from .plots import GREY, MARKERS, embedding_map
from .vocabulary import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def collapse_curves(histories: Mapping[str, pd.DataFrame], axes: "Sequence[Axes]") -> None:
    """Effective rank of the embeddings, and what the loss still tells apart, by epoch.

    Args:
        histories: of runs, by name; columns epoch, effective_rank, positive_similarity, negative_similarity.
        axes: two of them.
    """
    for number, (name, history) in enumerate(histories.items()):
        look: Any = {"color": COLOURS[number % 7], "marker": MARKERS[number % 7], "ms": 5, "label": name}
        axes[0].plot(history["epoch"], history["effective_rank"], **look)
        axes[1].plot(history["epoch"], history["positive_similarity"] - history["negative_similarity"], **look)
    axes[0].axhspan(0, COLLAPSED_RANK, color=GREY, alpha=0.4, lw=0)
    axes[0].text(0.98, 0.25, "collapsed", transform=axes[0].get_yaxis_transform(), ha="right", color="#444444")
    axes[0].set(xlabel="epoch", ylabel="effective rank (dimensions)", title="Embeddings", ylim=(0, None))
    axes[1].axhline(0, color="black", lw=0.8)
    axes[1].set(xlabel="epoch", ylabel="mean cosine, same class - others", title="Projections")
    axes[1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def purity_dots(table: pd.DataFrame, chance: pd.Series, ax: "Axes") -> None:
    """A number of each encoder for each label, on one line a label, with chance.

    Args:
        table: one row a label (its title as index), one column an encoder.
        chance: the number without any meaning, by the same index.
        ax: where to draw.
    """
    rows = np.arange(len(table))
    ax.hlines(rows, chance, table.max(axis=1), color=GREY, lw=1, zorder=1)
    for number, name in enumerate(table):
        look: Any = {"color": COLOURS[number % 7], "marker": MARKERS[number % 7], "s": 55}
        ax.scatter(table[name], rows, label=name, edgecolors="black", linewidths=0.5, zorder=3, **look)
    ax.scatter(chance, rows, marker="|", color="black", s=160, label="chance", zorder=2)
    ax.set_yticks(rows, [str(label) for label in table.index])
    ax.set(xlabel="k-NN purity (10 neighbours)", xlim=(0, 1), ylim=(len(table) - 0.5, -0.5))
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def placed_map(coordinates: pd.DataFrame, old: np.ndarray, classes: np.ndarray, label: str, ax: "Axes") -> None:
    """A map whose old points are grey, and new ones in the colours of a label.

    Args:
        coordinates: columns x and y.
        old: [B] true for the crystals that the map was made from.
        classes: [B] class indices of the label.
        label: key of `LABELS`.
        ax: where to draw.
    """
    name = f"in the map already ({int(old.sum())})"
    x, y = coordinates.to_numpy()[old].T
    ax.scatter(x, y, s=12, color=GREY, linewidths=0, label=name, zorder=0)
    embedding_map(coordinates[~old], classes[~old], label, ax)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=2, markerscale=1.5)


def name_points(coordinates: pd.DataFrame, names: Sequence[str], ax: "Axes") -> None:
    """Rings with names around some points of a map; from left to right the names go up and down, so that few overlap.

    Args:
        coordinates: columns x and y.
        names: one a point.
        ax: with the map.
    """
    ax.scatter(coordinates["x"], coordinates["y"], s=110, facecolors="none", edgecolors="black", linewidths=1.5)
    box: Any = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    line: Any = {"arrowstyle": "-", "lw": 0.8, "shrinkB": 5}
    place = coordinates["x"].rank(method="first").to_numpy() - 1  # the leftmost has its name on its left
    turns = np.pi * (1 - place / max(1, len(names) - 1)) * np.where(place % 2, -1, 1)
    for point, name, turn in zip(coordinates[["x", "y"]].to_numpy(), names, turns, strict=True):
        away = (float(44 * np.cos(turn)), float(34 * np.sin(turn)))
        where: Any = {"xytext": away, "textcoords": "offset points", "ha": "center", "va": "center"}
        ax.annotate(name, tuple(point), fontsize=9, bbox=box, arrowprops=line, **where)


def share_legend(axes: "Sequence[Axes]", columns: int = 4) -> None:
    """One legend above all maps of a figure, which have the same classes.

    Args:
        axes: of maps with a legend each, in a figure with constrained layout.
        columns: of the legend.
    """
    handles, labels = axes[0].get_legend_handles_labels()
    for ax in axes:
        legend = ax.get_legend()
        if legend is not None:
            legend.remove()
    figure: Any = axes[0].figure
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, markerscale=1.8)


def zoom(coordinates: pd.DataFrame, ax: "Axes", share: float = 0.99) -> None:
    """Show the middle of a map, where a few points lie far away, and say how many are not in the picture.

    Args:
        coordinates: columns x and y.
        ax: with the map.
        share: of the points that are surely shown along each axis.
    """
    values = coordinates[["x", "y"]].to_numpy()
    low, high = np.quantile(values, [(1 - share) / 2, (1 + share) / 2], axis=0)
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    outside = int(((values < low) | (values > high)).any(1).sum())
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    ax.text(0.99, 0.99, f"{outside} further out", transform=ax.transAxes, ha="right", va="top", fontsize=8)
