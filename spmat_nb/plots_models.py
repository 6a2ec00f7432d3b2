"""Figures of encoders and losses: features, gates, reach, attention, masks, arrows, dials. Data in, Axes out."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .plots import GREY, MARKERS
from .vocabulary import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Columns of `elements.element_table`, in its order.
FEATURE_GROUPS = {
    "group": 18,
    "period": 7,
    "f row": 1,
    "electronegativity": 10,
    "covalent radius": 10,
    "valence electrons": 12,
    "ionisation": 10,
    "electron affinity": 10,
    "block": 4,
    "molar volume": 10,
}
INK = "#333333"
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2)), (0, (7, 2)))
POINT = 75  # area of a marker on the circle, points squared


def element_features(table: np.ndarray, symbols: Sequence[str], ax: "Axes") -> "Axes":
    """The binary features of some elements, a row each; a filled square is a 1.

    Args:
        table: rows of `elements.element_table`, [n, 92].
        symbols: of the rows.
        ax: where to draw.
    """
    ends = np.cumsum(list(FEATURE_GROUPS.values()))
    for number, (name, end) in enumerate(zip(FEATURE_GROUPS, ends, strict=True)):
        start = end - FEATURE_GROUPS[name]
        ax.axvspan(start - 0.5, end - 0.5, color="#EDEDED" if number % 2 else "white", zorder=0)
        text = f"{name} ({end - start})"
        ax.text((start + end - 1) / 2, -0.8, text, rotation=35, ha="left", va="bottom", fontsize=9)
    rows, columns = np.nonzero(table)
    ax.scatter(columns, rows, marker="s", s=30, color=COLOURS[0], zorder=2)
    ax.set_yticks(range(len(symbols)), symbols)
    ax.set(xlabel="column", xlim=(-0.5, ends[-1] - 0.5), ylim=(len(symbols) - 0.5, -0.5))
    ax.grid(axis="y", color="#DDDDDD", lw=0.5)
    return ax


def gate_curves(
    distances: np.ndarray, gates: Mapping[str, np.ndarray], lengths: np.ndarray, axes: "Sequence[Axes]"
) -> None:
    """How far some gates are open as the distance grows, for each encoder, above where the edges of the data lie.

    Args:
        distances: [d] in A.
        gates: the sigmoid of the filter of some features, [d, n], by the name of the encoder.
        lengths: of the edges of a data set, A.
        axes: one for each encoder, and one for the lengths.
    """
    for (name, values), ax in zip(gates.items(), axes, strict=False):
        for number, gate in enumerate(values.T):
            look: Any = {"color": COLOURS[number % 7], "ls": DASHES[number % 7]}
            ax.plot(distances, gate, lw=1.8, label=f"feature {chr(97 + number)}", **look)
        ax.set(ylim=(0, 1), title=name, ylabel="gate: sigmoid(filter)")
        ax.axhline(0.5, color=GREY, lw=0.8, zorder=0)
    axes[0].legend(loc="lower left", ncols=2)
    last = axes[len(gates)]
    last.hist(lengths, list(np.linspace(distances[0], distances[-1], 71)), color=GREY)
    last.set(ylabel="edges", title=f"Where the {len(lengths):,} edges of the data lie")
    for ax in axes:
        ax.set(xlim=(distances[0], distances[-1]), xlabel="distance (Å)")


def receptive_field(distance: np.ndarray, changes: Sequence[np.ndarray], ax: "Axes") -> "Axes":
    """How much each atom's features change when one atom is replaced, after 0, 1, 2, ... convolutions.

    Args:
        distance: of every atom to the replaced one, [N] in A.
        changes: length of the difference of its features, [N] for each number of convolutions.
        ax: where to draw.
    """
    shift = np.linspace(-0.09, 0.09, len(changes))  # side by side, as many atoms share a distance
    for number, change in enumerate(changes):
        reached = change > 0
        steps, atoms = (
            f"{n} {word}{'s' * (n != 1)}" for n, word in ((number, "convolution"), (int(reached.sum()), "atom"))
        )
        look: Any = {"color": COLOURS[number % 7], "marker": MARKERS[number % 7], "edgecolor": "black", "lw": 0.5}
        ax.scatter(distance[reached] + shift[number], change[reached], s=46, label=f"after {steps} ({atoms})", **look)
    ax.set(yscale="log", xlabel="distance to the replaced atom (Å)", ylabel="change of the features, |Δv|")
    ax.set_xlim(-0.4, distance.max() + 0.4)
    ax.legend(loc="upper right")
    return ax


def attention_weights(weights: np.ndarray, names: Sequence[str], ax: "Axes", title: str = "") -> "Axes":
    """The weights of one atom over its neighbours, a line for each head; dashed, what an even mean would give.

    Args:
        weights: [n, A], each column summing to 1.
        names: of the neighbours.
        ax: where to draw.
        title: above.
    """
    for head, column in enumerate(weights.T):
        look: Any = {"color": COLOURS[head % 7], "marker": MARKERS[head % 7], "ms": 6}
        ax.plot(range(len(column)), column, lw=1, label=f"head {head + 1}", **look)
    ax.axhline(1 / len(weights), color="black", ls="--", lw=1)
    ax.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
    ax.set(ylim=(0, 1.25 * weights.max()), ylabel="weight", title=title)
    ax.legend(loc="upper center", ncols=weights.shape[1], columnspacing=1.0, handletextpad=0.4)
    ax.label_outer()
    return ax


def parameter_parts(counts: Mapping[str, Mapping[str, int]], ax: "Axes") -> "Axes":
    """Trainable numbers of each encoder by part, as bars side by side in one line.

    Args:
        counts: number by part, by encoder.
        ax: where to draw.
    """
    parts = list(dict.fromkeys(part for of_one in counts.values() for part in of_one))
    for row, of_one in enumerate(counts.values()):
        left = 0
        for part, count in of_one.items():
            number = parts.index(part)
            look: Any = {
                "color": COLOURS[number % 7],
                "edgecolor": "black",
                "hatch": ("", "//", "..", "xx")[number % 4],
            }
            ax.barh(row, count, left=left, label=part, height=0.6, **look)
            left += count
        ax.text(left, row, f"  {left:,}", va="center")
    ax.set_yticks(range(len(counts)), list(counts))
    ax.set(xlabel="trainable numbers", ylim=(len(counts) - 0.5, -0.5), xlim=(0, 1.12 * ax.get_xlim()[1]))
    handles, labels = ax.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    ax.legend(once.values(), once, loc="upper center", bbox_to_anchor=(0.45, -0.3), ncols=min(5, len(once)))
    return ax


def mask_map(mask: np.ndarray, names: Sequence[str], ax: "Axes", title: str = "", hide_self: bool = False) -> "Axes":
    """Who is a positive of whom: a mask of pairs as squares, with counts below.

    Args:
        mask: [n, n], true for a pair of one class.
        names: of rows and columns.
        ax: where to draw.
        title: above.
        hide_self: the diagonal takes no part (supervised SimCLR).
    """
    state = mask.astype(float)
    if hide_self:
        np.fill_diagonal(state, np.nan)
    grid = np.arange(len(mask) + 1) - 0.5
    for row, column in np.argwhere(state == 1):
        ax.fill_between([column - 0.5, column + 0.5], row - 0.5, row + 0.5, color=COLOURS[0], lw=0)
    for row, column in np.argwhere(np.isnan(state)):
        ax.plot([column - 0.3, column + 0.3], [row - 0.3, row + 0.3], color="black", lw=1.2)
    ax.hlines(grid, grid[0], grid[-1], color=GREY, lw=0.6)
    ax.vlines(grid, grid[0], grid[-1], color=GREY, lw=0.6)
    ax.set_xticks(range(len(names)), names, fontsize=8)
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.tick_params(length=0)
    ax.set(aspect="equal", xlim=(grid[0], grid[-1]), ylim=(grid[-1], grid[0]), title=title)
    ax.set_xlabel(f"{int(np.nansum(state))} positive, {int((state == 0).sum())} negative", fontsize=9)
    ax.spines[:].set_visible(False)
    return ax


def points_on_circle(
    views: np.ndarray, labels: np.ndarray, ax: "Axes", title: str = "", arrows: np.ndarray | None = None
) -> "Axes":
    """Two views of some crystals in the plane, with the unit circle and, if given, where a loss pulls each.

    Args:
        views: [2, B, 2]; the first view filled, the second open, joined by a dotted line.
        labels: [B] classes, each with a colour and a marker.
        ax: where to draw.
        title: above.
        arrows: [2, B, 2], drawn so that the longest has the length 0.6.
    """
    turn = np.linspace(0, 2 * np.pi, 200)
    ax.plot(np.cos(turn), np.sin(turn), color=GREY, lw=0.8, zorder=0)
    for crystal, label in enumerate(labels):
        colour, marker = COLOURS[label % 7], MARKERS[label % 7]
        ax.plot(*views[:, crystal].T, color=colour, lw=1, ls=":", zorder=1)
        is_first = list(labels).index(label) == crystal
        name = f"class {label} ({(labels == label).sum()} crystals)" if is_first else None
        for view, face, text in zip(views, (colour, "white"), (name, None), strict=True):
            look: Any = {"facecolor": face, "edgecolor": colour, "marker": marker, "lw": 1.6, "label": text}
            ax.scatter(view[crystal, 0], view[crystal, 1], s=POINT, zorder=3, **look)
    if arrows is not None:
        length = np.linalg.norm(arrows, axis=2).max()
        scaled = 0.6 * arrows / length if length else arrows
        look = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.009, "color": INK, "zorder": 4}
        ax.quiver(*views.reshape(-1, 2).T, *scaled.reshape(-1, 2).T, **look)
    limit = max(1.2 if arrows is None else 1.5, 1.1 * float(np.abs(views).max()))
    ax.set(aspect="equal", xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[], title=title)
    ax.spines[:].set_visible(False)
    return ax


def temperature_shares(cosines: np.ndarray, shares: Mapping[float, np.ndarray], ax: "Axes") -> "Axes":
    """How the push is shared among negatives of different cosine, at several temperatures.

    Args:
        cosines: of the negatives, [n].
        shares: [n] by temperature.
        ax: where to draw.
    """
    for number, (temperature, share) in enumerate(shares.items()):
        look: Any = {"color": COLOURS[number % 7], "marker": MARKERS[number % 7], "ls": DASHES[number % 7]}
        ax.plot(cosines, share, label=f"τ = {temperature:g}", ms=5, **look)
    ax.set(xlabel="cosine to the negative", ylabel="share of the push", ylim=(0, 1.05))
    ax.legend(loc="upper left")
    return ax


def balance_curves(table: pd.DataFrame, ax: "Axes") -> "Axes":
    """Mean cosine of positive and of negative pairs after training with different lambda.

    Args:
        table: columns balance, positive, negative.
        ax: where to draw.
    """
    for number, (column, name) in enumerate({"positive": "one class", "negative": "different classes"}.items()):
        look: Any = {"color": COLOURS[number], "marker": MARKERS[number], "ls": DASHES[number]}
        ax.plot(table["balance"], table[column], label=f"pairs of {name}", **look)
    ax.axhline(0, color=GREY, lw=0.8, zorder=0)
    ax.set(xscale="log", xlabel="λ", ylabel="mean cosine of new views", ylim=(-0.15, 1.05))
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 0.08))
    return ax


def descent_curves(history: pd.DataFrame, axes: "Sequence[Axes]") -> None:
    """Class spread and effective rank of free points while each loss is made smaller.

    Args:
        history: columns loss, step, class_spread and effective_rank.
        axes: two of them.
    """
    titles = {"class_spread": "class spread (1: as wide as all points)", "effective_rank": "effective rank"}
    for ax, (column, title) in zip(axes, titles.items(), strict=True):
        for number, (name, rows) in enumerate(history.groupby("loss", sort=False)):
            look: Any = {"color": COLOURS[number % 7], "marker": MARKERS[number % 7], "ls": DASHES[number % 7]}
            ax.plot(rows["step"], rows[column], label=name, ms=5, **look)
        ax.set(xscale="symlog", xlabel="steps of gradient descent", ylabel=title, ylim=(0, None))
        ax.set_xlim(0, history["step"].max() * 1.15)
    axes[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
