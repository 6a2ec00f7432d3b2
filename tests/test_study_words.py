import pandas as pd
import pytest

from spmat_nb.study.words import markdown, markdown_pairs, sentences


@pytest.fixture
def table():
    rows = [
        ("density", "a", -5.0, "better"),
        ("density", "b", 4.0, "worse"),
        ("density", "c", 0.4, "not told apart"),
        ("last_phdos_peak", "a", -1.0, "not told apart"),
    ]
    frame = pd.DataFrame(rows, columns=["target", "arm", "change", "verdict"])
    return frame.assign(
        low=frame["change"] - 1,
        high=frame["change"] + 1,
        detectable=2.5,
        reference="scratch",
        seeds=5,
        crystals=433,
        judged="test",
        related=(frame["arm"] == "b"),
    )


def test_a_sentence_a_target(table):
    assert sentences(table) == [
        "Density, against 'scratch' (5 seeds, 433 test crystals): better: a -5.0 % (-6.0, -4.0); "
        "worse: b +4.0 % (+3.0, +5.0); not told apart: 1 of 3 arms (a change of 2.5 % would have been).",
        "last_phdos_peak, against 'scratch' (5 seeds, 433 test crystals): not told apart: 1 of 1 arms "
        "(a change of 2.5 % would have been).",
    ]


def test_a_table_for_a_page(table):
    assert markdown(table).splitlines()[:4] == [
        "| arm | density | last_phdos_peak |",
        "|---|---|---|",
        "| a | **-5.0 % (-6.0, -4.0)** | -1.0 % (-2.0, +0.0) |",
        "| b | **+4.0 % (+3.0, +5.0)** † |  |",
    ]
    assert [line.split("|")[1].strip() for line in markdown(table).splitlines()[2:]] == ["a", "b", "c"]


def test_pairs_are_said_pair_by_pair(table):
    pairs = table.assign(reference=["x", "y", "y", "y"])
    said = sentences(pairs)[0]
    first = "better: a against x -5.0 % (-6.0, -4.0)"
    assert said.startswith(f"Density, pair by pair (5 seeds, 433 test crystals): {first}")
    assert "1 of 3 pairs" in said
    assert markdown_pairs(pairs).splitlines()[2].startswith("| a *against* x | **-5.0 %")
