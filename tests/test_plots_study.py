import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from spmat_nb import plots_study

pytestmark = pytest.mark.usefixtures("fresh_figures")


@pytest.fixture
def table():
    verdicts = ["better", "worse", "not told apart", "better"]
    frame = pd.DataFrame({"arm": list("abcd"), "change": [-5.0, 4, 1, -9], "verdict": verdicts})
    frame = frame.assign(low=frame["change"] - 2, high=frame["change"] + 3)
    frame = frame.assign(each=[(change - 1, change + 1) for change in frame["change"]])
    return frame.assign(reference="from scratch", target="band_gap", seeds=2, crystals=433, judged="test")


def test_intervals_say_what_was_told_apart(table):
    ax = plots_study.intervals(table, plt.figure().gca())
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sorted(legend) == ["better (2)", "not told apart (1)", "one seed (8)", "worse (1)"]
    assert [label.get_text() for label in ax.get_yticklabels()] == list("abcd")
    assert ax.get_xlabel() == "change of test MAE against 'from scratch' (%)"
    assert ax.get_title("left") == "band gap: 2 seeds, 433 crystals"
    ends = sorted(x for path in ax.collections for segment in path.get_segments() for x in segment[:, 0])
    assert (ends[0], ends[-1]) == (-11, 7)


def test_a_dose_is_in_order(table):
    names = ["BT, 0.1 Å", "BT, 1.0 Å", "SC, 5 Å", "BT, 0.5 Å"]
    ax = plots_study.dose(table.assign(arm=names), plt.figure().gca(), "δ (Å)", log=True)
    (line,) = (bars.lines[0] for bars in ax.containers)
    assert line.get_xdata().tolist() == [0.1, 0.5, 1.0] and line.get_ydata().tolist() == [-5, -9, 4]
    assert ax.get_xscale() == "log" and ax.get_xlabel() == "δ (Å)"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["BT, … Å"]


def test_arms_that_differ_in_a_number_are_a_series():
    arms = ["from scratch", "A, 10 % wrong", "A, 0 % wrong", "B, 1e-05", "B, 0.0001", "C, 5"]
    assert plots_study.dose_series(arms) == {
        "A, … % wrong": {"A, 10 % wrong": 10, "A, 0 % wrong": 0},
        "B, …": {"B, 1e-05": 1e-5, "B, 0.0001": 1e-4},
    }


def test_ranks():
    ranks = pd.DataFrame({"mean": [1.5, 2.0], "best": [1, 1], "worst": [2, 3], "rows": 10}, index=["a", "b"])
    ax = plots_study.rank_chart(ranks, plt.figure().gca())
    assert "10 pairs" in ax.get_xlabel() and [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]


def test_a_leaderboard_is_sorted():
    ours = pd.DataFrame({"mean": [50.0], "std": [2.0]}, index=["ours"])
    ax = plots_study.leaderboard(ours, {"best": 20.0, "last": 80.0}, plt.figure().gca(), "1/cm")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["best", "ours", "last"]
    assert [text.get_position()[0] for text in ax.texts] == [20.0, 52.0, 80.0], "beside the bar of the error"


def test_every_seed_is_a_point():
    errors = {"a": np.ones((3, 4)), "b": np.full((2, 4), 2.0)}
    ax = plots_study.spread_of_arms(errors, plt.figure().gca(), "eV")
    assert [len(points.get_offsets()) for points in ax.collections] == [3, 2]


def test_targets_stand_side_by_side_with_one_legend(table):
    both = pd.concat([table, table.assign(target="density", verdict="not told apart", reference="b")])
    figure = plots_study.intervals_by_target(both, plt.figure())
    assert [ax.get_title("left") for ax in figure.axes] == [
        "band gap\n2 seeds, 433 crystals",
        "density\n2 seeds, 433 crystals",
    ]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["better (2)", "worse (1)", "not told apart (5)", "one seed (16)"]


def test_targets_with_other_rows_have_names_of_their_own(table):
    both = pd.concat([table, table.assign(target="density")[1:]])
    first, second = plots_study.intervals_by_target(both, plt.figure()).axes
    names = [[label.get_text() for label in ax.get_yticklabels()] for ax in (first, second)]
    assert names == [["a", "b", "c", "d"], ["b", "c", "d"]]


def test_known_formulas_stand_beside_all(table):
    table = table.assign(change_unseen=[-1.0, 2, 3, 4], low_unseen=-6.0, high_unseen=6.0, unseen=300)
    more = pd.concat([table, table.assign(target="density"), table.assign(target="efermi", change_unseen=np.nan)])
    figure = plots_study.known_formulas(more, plt.figure())
    assert len(figure.axes) == 2, "no panel without both groups"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["all crystals (433)", "formula not seen (300)"]
    every, unseen = (bars.lines[0].get_xdata().tolist() for bars in figure.axes[0].containers)
    assert (every, unseen) == ([-5, 4, 1, -9], [-1, 2, 3, 4])


def test_pairs_name_both_arms(table):
    pairs = table.assign(reference=["x", "x", "y", "y"])
    ax = plots_study.intervals(pairs, plt.figure().gca())
    assert [label.get_text() for label in ax.get_yticklabels()][::3] == ["a\nagainst x", "d\nagainst y"]
    assert "its reference" in ax.get_xlabel()
