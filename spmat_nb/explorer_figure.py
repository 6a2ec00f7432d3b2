"""The explorer on paper: map, selected crystal and its card in one figure."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .explorer import Card, ExplorerState
from .plots import GREY, crystal_graph_3d, embedding_map
from .plots_live import map_of_values, new_figure
from .vocabulary import MISSING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CARD_ROWS = 18  # that fit


def draw(state: ExplorerState) -> "Figure":
    """The figure of a state.

    Args:
        state: what is shown in the explorer.
    """
    figure = new_figure(10.5, 6.4)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.5, 1), height_ratios=(1, 1.6))
    _map(state, figure.add_subplot(grid[:, 0]))
    structure = state.crystals.structures[state.number(state.selected)]
    crystal_graph_3d(structure, figure.add_subplot(grid[0, 1], projection="3d"))
    _card(state.card(), figure.add_subplot(grid[1, 1]))
    figure.suptitle(f"{state.run}: {state.message}", fontsize=9, color="#555555")
    return figure


def _map(state: ExplorerState, ax: "Axes") -> None:
    """The map, with what the filter leaves out in pale grey and a ring around the selected crystal."""
    points, shown, colour = state.coordinates, state.shown, state.colour
    ax.scatter(points[~shown, 0], points[~shown, 1], s=4, color=GREY, alpha=0.5, linewidths=0)
    if colour.classes:
        classes = np.where(np.isfinite(colour.numbers), colour.numbers, MISSING).astype(int)
        embedding_map(pd.DataFrame(points[shown], columns=["x", "y"]), classes[shown], colour.key, ax)
    else:
        map_of_values(points[shown], colour.numbers[shown], colour.axis, ax, colour.around_zero)
    ring = points[state.number(state.selected)]
    ax.scatter(ring[:1], ring[1:], s=180, facecolors="none", edgecolors="black", linewidths=2, zorder=5)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_color(GREY)
    kind = f"{state.runs[state.run].axes} of {int(shown.sum())} crystals"
    ax.set_title(f"{kind} by {colour.title.lower()}; ring: {state.formula()}", loc="left", fontsize=11)


def _card(card: Card, ax: "Axes") -> None:
    """The card as a table of two columns, then the neighbours."""
    ax.set_axis_off()
    rows = [*card.rows[:CARD_ROWS], ("Nearest", "")]
    rows += [(f"  {n.formula}", f"{n.distance:.2f}   {n.colour}") for n in card.neighbours.itertuples()]
    step = 1 / (len(rows) + 2)
    ax.text(0, 1, card.formula, fontsize=11, fontweight="bold", va="center", transform=ax.transAxes)
    for number, (name, value) in enumerate(rows, start=2):
        ax.text(0, 1 - number * step, name, fontsize=8, color="#555555", va="center", transform=ax.transAxes)
        ax.text(0.47, 1 - number * step, value, fontsize=8, va="center", transform=ax.transAxes)
