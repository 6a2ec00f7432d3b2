"""Figures that widgets redraw: made without pyplot, since a kernel may run callbacks in a second thread.

Each function draws on axes or a figure it is given; `to_png` turns a figure into bytes under a lock.
"""

import io
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .judgements import COLLAPSED_RANK
from .plots import GREY, MARKERS
from .vocabulary import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
SHORTEST_AXIS = 10  # epochs
MANY_EDGES = 120  # more are drawn without a line of their own
_lock = threading.Lock()  # fonts and caches of matplotlib are shared by all figures


def new_figure(width: float, height: float) -> "Figure":
    """An opaque figure that pyplot knows nothing of.

    Args:
        width: inches.
        height: inches.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained")


def to_png(figure: "Figure") -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    with _lock:
        figure.savefig(buffer, format="png", dpi=DPI, facecolor="white", bbox_inches=None)
    return buffer.getvalue()


def tidy(ax: "Axes", title: str, x: str, y: str) -> None:
    """Title on the left, units on the axes, no frame on top and right; the style of `plots` without its globals."""
    ax.set_title(title, loc="left", fontsize=11)
    ax.set_xlabel(x, fontsize=10)
    ax.set_ylabel(y, fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=9)


def run_progress(history: pd.DataFrame, epochs: int, width: int, axes: "Sequence[Axes]") -> None:
    """The loss of a pretraining run, and whether its embeddings collapse.

    Args:
        history: one row a finished epoch, as `pretrain` reports it; may be empty.
        epochs: that the run will have; the axes show all of them once half are done.
        width: dimensions of the embeddings.
        axes: two of them.
    """
    from matplotlib.ticker import MaxNLocator

    _losses(history, axes[0])
    _rank(history, width, axes[1])
    for ax in axes:
        ax.set_xlim(0.5, min(max(epochs, 2), max(2 * len(history), SHORTEST_AXIS)) + 0.5)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if ax.get_legend_handles_labels()[0]:
            ax.legend(frameon=False, fontsize=9)


def _losses(history: pd.DataFrame, ax: "Axes") -> None:
    tidy(ax, "Loss" if len(history) else "Loss: no epoch is done yet", "epoch", "loss")
    if len(history):
        ax.plot(history["epoch"], history["loss"], color=COLOURS[0], marker="o", ms=5, label="training crystals")
    if "val_loss" in history:
        look: Any = {"color": "black", "ls": "--", "marker": "s", "ms": 4, "mfc": "white"}
        ax.plot(history["epoch"], history["val_loss"], label="held-out crystals", **look)


def _rank(history: pd.DataFrame, width: int, ax: "Axes") -> None:
    """Effective rank of the held-out embeddings over the region where they have collapsed."""
    tidy(ax, "Collapse?", "epoch", f"effective rank (of {width})")
    ax.axhspan(0, COLLAPSED_RANK, color=COLOURS[1], alpha=0.35, lw=0, label=f"collapsed: below {COLLAPSED_RANK:g}")
    top = 4 * COLLAPSED_RANK
    if "effective_rank" in history:
        ranks = history["effective_rank"]
        ax.plot(history["epoch"], ranks, color=COLOURS[2], marker="D", ms=5, label="held-out crystals")
        top = max(top, float(ranks.max()))
    ax.set_ylim(0, 1.35 * top)  # room for the legend


def edges_before_after(edges: pd.DataFrame, delta: float, axes: "Sequence[Axes]") -> None:
    """Lengths of the edges of one crystal before and after GNDN, and the change of each.

    Args:
        edges: columns before, after, change (A) and kind (such as "Na-Cl"), one row an edge.
        delta: the half-width of the noise, A.
        axes: two of them.
    """
    _lengths(edges, axes[0])
    _changes(edges, delta, axes[1])


def _lengths(edges: pd.DataFrame, ax: "Axes") -> None:
    low, high = edges[["before", "after"]].to_numpy().min(), edges[["before", "after"]].to_numpy().max()
    bins = np.linspace(low - 0.1, high + 0.1, 41).tolist()
    ax.hist(edges["before"], bins, color=COLOURS[0], label=f"before ({len(edges)} edges)")
    ax.hist(edges["after"], bins, histtype="step", lw=1.6, color="black", label=f"after ({len(edges)} edges)")
    tidy(ax, "Lengths", "edge length (Å)", "number of edges")
    ax.set_ylim(0, 1.3 * ax.get_ylim()[1])
    ax.legend(frameon=False, fontsize=9, loc="upper right")


def _changes(edges: pd.DataFrame, delta: float, ax: "Axes") -> None:
    """One mark an edge, from short to long, each kind of pair with its own colour and marker."""
    number = pd.Series(np.arange(1, len(edges) + 1), index=edges.index)
    if len(edges) <= MANY_EDGES:
        ax.vlines(number, 0, edges["change"], color=GREY, lw=1, zorder=1)
    for index, (kind, mine) in enumerate(edges.groupby("kind", sort=True)):
        look: Any = {"color": COLOURS[index % 7], "marker": MARKERS[index % 7], "s": 26, "zorder": 2}
        ax.scatter(number[mine.index], mine["change"], label=f"{kind} ({len(mine)})", **look)
    for side in (-delta, delta):
        ax.axhline(side, color="black", ls="--", lw=1)
    ax.axhline(0, color="black", lw=0.8)
    tidy(ax, f"Change of each edge, δ = {delta:g} Å", "edge, from short to long", "change (Å)")
    reach = 1.15 * max(delta, 0.05)
    ax.set_ylim(-reach, 1.5 * reach)
    ax.legend(frameon=False, fontsize=9, loc="upper center", ncols=3)


def map_of_values(
    coordinates: np.ndarray, values: np.ndarray, title: str, ax: "Axes", around_zero: bool = False
) -> None:
    """A map of crystals coloured by a number, with its scale beside it; not known is grey.

    Args:
        coordinates: [B, 2].
        values: [B], NaN where not known.
        title: of the scale, with unit.
        ax: where to draw.
        around_zero: whether the scale is the same on both sides of zero, as for errors.
    """
    known = np.isfinite(values)
    size = float(np.clip(20000 / max(len(values), 1), 4, 30))
    x, y = coordinates.T
    ax.scatter(x[~known], y[~known], s=size, color=GREY, linewidths=0)
    reach = float(np.nanmax(np.abs(values))) if known.any() else 1.0
    look: Any = {"cmap": "bwr", "vmin": -reach, "vmax": reach} if around_zero else {"cmap": "cividis"}
    marks = ax.scatter(x[known], y[known], s=size, c=values[known], edgecolors="#444444", linewidths=0.3, **look)
    ax.figure.colorbar(marks, ax=ax, label=title, shrink=0.85)
