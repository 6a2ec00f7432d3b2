"""Figures of the study: changes with their intervals, a setting turned up step by step, ranks, a leaderboard."""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .plots import GREY, MARKERS
from .study.statistics import BETTER, OPEN, WORSE
from .study.words import pair_name, several_references
from .vocabulary import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")
LOOKS = {  # of a verdict: colour, marker, and whether the marker is filled
    BETTER: (COLOURS[0], "o", True),
    WORSE: (COLOURS[5], "s", True),
    OPEN: ("#777777", "D", False),
}


def intervals(table: pd.DataFrame, ax: "Axes", title: str = "", legend: bool = True) -> "Axes":
    """Change of the error of each arm against a reference, with its interval; small ticks are single seeds.

    Args:
        table: rows of `study.tables.compare` or `compare_pairs` of one target.
        ax: where to draw.
        title: above the axis.
        legend: below it.
    """
    rows = np.arange(len(table))
    for verdict, (colour, marker, filled) in LOOKS.items():
        chosen = (table["verdict"] == verdict).to_numpy()
        if not chosen.any():
            continue
        own = table[chosen]
        ends = [own["change"] - own["low"], own["high"] - own["change"]]
        face = colour if filled else "white"
        look: Any = {"fmt": marker, "color": colour, "mfc": face, "capsize": 3, "lw": 1.5, "ms": 6}
        ax.errorbar(own["change"], rows[chosen], xerr=ends, label=f"{verdict} ({chosen.sum()})", **look)
    single = [(value, row) for row, each in zip(rows, table["each"], strict=True) for value in each]
    ax.plot(*zip(*single, strict=True), "|", color="#999999", ms=9, zorder=1, label=f"one seed ({len(single)})")
    name_rows(table, ax)
    ax.set_xlabel(axis_name(table))
    ax.set_title(title or heading(table))
    ax.grid(axis="y", color="#EEEEEE", lw=0.8)
    ax.set_axisbelow(True)
    if legend:
        # below the axis by a length of text, not by a share of a height that depends on the number of rows
        ax.legend(loc="upper left", bbox_to_anchor=(0.0, 0.0), borderaxespad=4.0, ncols=4, frameon=False)
    return ax


def name_rows(table: pd.DataFrame, ax: "Axes") -> None:
    """Name the rows, the first at the top, and draw the line of no change."""
    ax.axvline(0, color="black", lw=1, ls="--")
    ax.set_yticks(np.arange(len(table)), row_names(table))
    ax.set_ylim(len(table) - 0.5, -0.5)


def row_names(table: pd.DataFrame) -> list[str]:
    """The arm of each row, and what it is compared with where that differs."""
    if several_references(table):
        return [pair_name(row, "\nagainst ") for row in table.to_dict("records")]
    return [str(arm) for arm in table["arm"]]


def reference_name(table: pd.DataFrame) -> str:
    """What the rows are measured against, as the name of an axis has it."""
    return "its reference" if several_references(table) else f"'{table['reference'].iloc[0]}'"


def axis_name(table: pd.DataFrame) -> str:
    """What is compared with what, in per cent."""
    return f"{changed(table)} against {reference_name(table)} (%)"


def changed(table: pd.DataFrame) -> str:
    """What is compared, as the name of an axis has it."""
    return f"change of {table['judged'].iloc[0]} MAE"


def heading(table: pd.DataFrame, between: str = ": ") -> str:
    """Target, seeds and crystals of the rows of one target; some arms may have fewer seeds."""
    target = table["target"].iloc[0].replace("_", " ")
    return f"{target}{between}{table['seeds'].max()} seeds, {table['crystals'].max()} crystals"


def target_panels(table: pd.DataFrame, figure: "Figure") -> list[tuple["Axes", pd.DataFrame]]:
    """A panel for the rows of each target, side by side; names of rows once where all targets have the same."""
    parts = [own.reset_index(drop=True) for _, own in table.groupby("target", sort=False)]
    same = all(row_names(own) == row_names(parts[0]) for own in parts)  # not so where some runs are still to come
    panels = np.atleast_1d(figure.subplots(1, len(parts), sharey=same))
    return list(zip(panels, parts, strict=True))


def name_middle(table: pd.DataFrame, figure: "Figure") -> "Axes":
    """Say below the panel in the middle what all of them show."""
    middle = figure.axes[len(figure.axes) // 2]
    middle.set_xlabel(axis_name(table))
    return middle


def intervals_by_target(table: pd.DataFrame, figure: "Figure") -> "Figure":
    """`intervals` of every target side by side with one legend; names of rows once where all targets have the same.

    Args:
        table: of `study.tables.compare` or `compare_pairs`.
        figure: empty.
    """
    kinds: dict[str, Any] = {}
    for ax, own in target_panels(table, figure):
        intervals(own, ax, heading(own, "\n"), legend=False)
        ax.set_xlabel("")
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            kinds.setdefault(label.rpartition(" (")[0], handle)
    name_middle(table, figure)
    counts = table["verdict"].value_counts().to_dict() | {"one seed": sum(map(len, table["each"]))}
    named = {kind: f"{kind} ({counts[kind]})" for kind in (*LOOKS, "one seed") if kind in kinds}
    figure.legend([kinds[kind] for kind in named], list(named.values()), loc="outside lower left", ncols=4)
    return figure


def known_formulas(table: pd.DataFrame, figure: "Figure") -> "Figure":
    """Changes on all judged crystals, and on those whose formula no unstable crystal has, side by side by target.

    Args:
        table: of `study.tables.compare` or `compare_pairs`; targets that lack one of the two groups are left out.
        figure: empty.
    """
    kinds = f"all crystals ({table['crystals'].max()})", f"formula not seen ({table['unseen'].max():.0f})"
    groups = ("", kinds[0], COLOURS[0], "o", -0.15), ("_unseen", kinds[1], COLOURS[5], "^", 0.15)
    for ax, own in target_panels(table.dropna(subset="change_unseen"), figure):
        rows = np.arange(len(own))
        for end, name, colour, marker, shift in groups:
            change, low, high = (own[kind + end] for kind in ("change", "low", "high"))
            look: Any = {"fmt": marker, "color": colour, "mfc": "white" if end else colour, "capsize": 3, "label": name}
            ax.errorbar(change, rows + shift, xerr=[change - low, high - change], **look)
        name_rows(own, ax)
        ax.set_title(heading(own, "\n"))
    middle = name_middle(table, figure)
    figure.legend(*middle.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


def dose(table: pd.DataFrame, ax: "Axes", axis: str, log: bool = False) -> "Axes":
    """Change of the error over a setting that is turned up, with intervals; a line for each kind of arm.

    Args:
        table: rows of `study.tables.compare` or `compare_pairs` of one target. The first number in the name of an arm
            is its value of the setting; names that differ in nothing else make a line.
        ax: where to draw.
        axis: name and unit of the setting.
        log: logarithmic axis.
    """
    for number, (kind, values) in enumerate(dose_series(table["arm"]).items()):
        own = table[table["arm"].isin(list(values))]
        own = own.assign(value=own["arm"].map(pd.Series(values))).sort_values("value")
        ends = [own["change"] - own["low"], own["high"] - own["change"]]
        look: Any = {"marker": MARKERS[number], "color": COLOURS[number], "capsize": 3, "lw": 1.5, "ms": 6}
        ax.errorbar(own["value"], own["change"], yerr=ends, label=kind, **look)
    ax.axhline(0, color="black", lw=1, ls="--")
    ax.set(xlabel=axis, ylabel=f"{changed(table)}\nagainst {reference_name(table)} (%)")
    if log:
        ax.set_xscale("log")
    ax.set_title(heading(table))
    ax.legend(frameon=False)
    return ax


def dose_series(arms: Iterable[str]) -> dict[str, dict[str, float]]:
    """Arms whose names differ in their first number alone, with that number, by what they have in common."""
    series: dict[str, dict[str, float]] = {}
    for arm in dict.fromkeys(arms):
        found = NUMBER.search(arm)
        if found:
            series.setdefault(f"{arm[: found.start()]}…{arm[found.end() :]}", {})[arm] = float(found[0])
    return {kind: values for kind, values in series.items() if len(values) > 1}


def rank_chart(ranks: pd.DataFrame, ax: "Axes") -> "Axes":
    """Mean rank of each arm with best and worst.

    Args:
        ranks: of `study.tables.rank_table`.
        ax: where to draw.
    """
    rows = np.arange(len(ranks))
    ax.hlines(rows, ranks["best"], ranks["worst"], color=GREY, lw=3, label="best to worst")
    ax.plot(ranks["mean"], rows, "o", color=COLOURS[0], ms=7, label="mean")
    ax.set_yticks(rows, [str(arm) for arm in ranks.index])
    ax.set(
        ylim=(len(ranks) - 0.5, -0.5), xlabel=f"rank over {ranks['rows'].iloc[0]} pairs of target and seed (1 is best)"
    )
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, 0.0), borderaxespad=4.0, ncols=2, frameon=False)
    return ax


def leaderboard(ours: pd.DataFrame, published: Mapping[str, float], ax: "Axes", unit: str) -> "Axes":
    """Our errors between published ones, the least at the top.

    Args:
        ours: columns mean and std, by the name of the arm.
        published: model -> error.
        ax: where to draw.
        unit: of the errors.
    """
    theirs = pd.DataFrame({"mean": published, "std": 0.0, "own": False})
    table = pd.concat([ours[["mean", "std"]].assign(own=True), theirs]).sort_values("mean")
    rows = np.arange(len(table))
    for own, colour, hatch, label in ((True, COLOURS[0], "", "ours, std over seeds"), (False, GREY, "//", "published")):
        part = (table["own"] == own).to_numpy()
        look: Any = {"color": colour, "hatch": hatch, "edgecolor": "white", "label": f"{label} ({part.sum()})"}
        ax.barh(rows[part], table["mean"][part], xerr=table["std"][part] if own else None, **look)
    ends = table["mean"] + table["std"].fillna(0.0)
    for row, (value, end) in enumerate(zip(table["mean"], ends, strict=True)):
        ax.text(end, row, f"  {value:.1f}", va="center", fontsize=9)
    ax.set_xlim(right=1.12 * ends.max())  # room for the last number
    ax.set_yticks(rows, [str(name) for name in table.index])
    ax.set(ylim=(len(table) - 0.5, -0.5), xlabel=f"MAE over the five official folds ({unit})")
    ax.legend(loc="upper right")  # the short bars are there
    return ax


def spread_of_arms(errors: Mapping[str, np.ndarray], ax: "Axes", unit: str) -> "Axes":
    """MAE of each seed of some arms, and their means: how much a run differs from itself.

    Args:
        errors: arm -> [seeds, crystals] absolute errors.
        ax: where to draw.
        unit: of the errors.
    """
    for number, (arm, values) in enumerate(errors.items()):
        mae = values.mean(1)
        look: Any = {"color": COLOURS[number % 7], "marker": MARKERS[number % 7], "s": 45, "zorder": 3}
        ax.scatter(mae, np.full(len(mae), number), label=f"{arm} ({len(mae)} seeds)", **look)
        ax.plot([mae.mean()] * 2, [number - 0.3, number + 0.3], color="black", lw=2)
    ax.set_yticks(range(len(errors)), list(errors))
    ax.set(ylim=(len(errors) - 0.5, -0.5), xlabel=f"test MAE of one run ({unit})")
    return ax
