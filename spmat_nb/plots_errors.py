"""Figures about errors: arms compared seed by seed, learning curves, and error bars that are too short or right."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .plots import MARKERS
from .vocabulary import COLOURS, Target

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def paired_changes(changes: pd.DataFrame, ax: "Axes", control: str = "from scratch") -> "Axes":
    """Change of the test error of each arm against a control at the same seed, with mean and range.

    Args:
        changes: a column an arm, a row a seed, in per cent of the control.
        ax: where to draw.
        control: its name, for the axis.
    """
    for number, arm in enumerate(changes):
        values = changes[arm].dropna()
        look: Any = {"color": COLOURS[number % 7], "marker": MARKERS[number % 7], "zorder": 3}
        ax.plot([values.min(), values.max()], [number] * 2, color=look["color"], lw=1.5)
        ax.scatter(values, np.full(len(values), number), s=45, **look)
        ax.plot([values.mean()] * 2, [number - 0.3, number + 0.3], color="black", lw=2, zorder=4)
        mean = f"{values.mean():+.1f} %  ({values.min():+.1f} to {values.max():+.1f})"
        ax.annotate(mean, (1.02, number), xycoords=("axes fraction", "data"), va="center", fontsize=9)
    ax.axvline(0, color="black", lw=1, ls="--")
    ax.set_yticks(range(changes.shape[1]), [str(arm) for arm in changes])
    ax.set(ylim=(changes.shape[1] - 0.5, -0.5), xlabel=f"change of test MAE against {control}, same seed (%)")
    ax.set_title(f"Left of the line is better; each point one of {len(changes)} seeds")
    return ax


def learning_curve(results: pd.DataFrame, target: Target, ax: "Axes", median: float | None = None) -> "Axes":
    """Test error over the number of labelled training crystals, both axes logarithmic.

    Args:
        results: columns arm, labelled, seed, test_mae; one row a run.
        target: gives name and unit.
        ax: where to draw.
        median: error of the median predictor, as a line.
    """
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    counts = sorted(results["labelled"].unique())
    seeds = results["seed"].nunique()
    for number, (arm, runs) in enumerate(results.groupby("arm", sort=False)):
        look: Any = {"color": COLOURS[number % 7], "marker": MARKERS[number % 7]}
        spread = runs.groupby("labelled")["test_mae"].agg(["mean", "min", "max"])
        style = "--" if "frozen" in str(arm) else "-"
        ax.plot(spread.index, spread["mean"], ls=style, lw=1.6, ms=6, label=f"{arm} ({seeds} seeds)", **look)
        ax.fill_between(spread.index, spread["min"], spread["max"], color=look["color"], alpha=0.15, lw=0)
    if median is not None:
        ax.axhline(median, color="black", ls=":", lw=1.2, label=f"median of the training rows ({median:.3g})")
    ax.set(xscale="log", yscale="log", xlabel="labelled training crystals", ylabel=f"test MAE ({target.unit})")
    ax.set_xticks(counts, [f"{count:g}" for count in counts])
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.yaxis.set_minor_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_title(f"{target.title}: mean and range over seeds")
    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0))
    return ax


def coverage_curves(ratios: Mapping[str, np.ndarray], ax: "Axes") -> "Axes":
    """Share of crystals whose error is at most k error bars, over k, beside that of a normal distribution.

    Args:
        ratios: name -> [rows] absolute error divided by the error bar of the crystal.
        ax: where to draw.
    """
    from scipy.stats import norm

    k = np.linspace(0, 4, 81)
    ax.plot(k, 2 * norm.cdf(k) - 1, color="black", ls="--", lw=1.2, label="normal distribution: 68 % within 1")
    for number, (name, ratio) in enumerate(ratios.items()):
        share = (ratio[:, None] <= k).mean(0)  # [81]
        look: Any = {"color": COLOURS[number % 7], "marker": MARKERS[number % 7], "markevery": 20}
        ax.plot(k, share, lw=1.6, label=f"{name}: {share[20]:.0%} within 1 ({len(ratio)} crystals)", **look)
    ax.set(xlabel="error bars (k)", ylabel="share with |error| ≤ k error bars", xlim=(0, 4), ylim=(0, 1.02))
    ax.set_title("Do error bars cover the errors?")
    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0))
    return ax
