"""Each check of notebook 09 calls the right answer right and names the mistake in answers that are nearly right."""

import answers
import numpy as np
import pytest
from answers import assert_names

from spmat_nb.checks.transfer import check_box, check_coordination, check_layers

COORDINATION = """
def answer(distances, reach):
    if len(distances) == 0:
        return 0
    nearest = distances.min()
    return int((distances <= reach * nearest).sum())
"""
LAYERS = """
def answer(heights, period, gap):
    ordered = np.sort(heights)
    steps = np.diff(ordered, append=ordered[0] + period)
    return int((steps > gap).sum())
"""
BOX = """
def answer(positions, cutoff):
    lengths = positions.max(0) - positions.min(0)
    return float(lengths.max() + cutoff)
"""


def function(source, *changes):
    return answers.function(source, *changes, np=np)


@pytest.mark.parametrize(
    ("check", "source"), [(check_coordination, COORDINATION), (check_layers, LAYERS), (check_box, BOX)]
)
def test_a_right_answer_is_right_and_nothing_is_open(check, source):
    assert check(function(source)).state == "right"
    first = source.splitlines()[2]
    assert check(function(source, (first, "    raise NotImplementedError\n" + first))).state == "open"
    assert_names(check(lambda *inputs: None), "Does the function end with `return`?")
    assert_names(check(lambda *inputs: "a"), "Return a number or a tensor")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("reach * nearest", "reach")], "ratio, not a length"),
        ([("reach * nearest", "reach + nearest")], "do not add it"),
        ([("distances.min()", "distances[0]")], "not the first"),
        ([("distances <= reach * nearest", "distances == nearest")], "Equal distances only"),
        ([("distances <= reach", "distances > reach")], "These are the ones outside"),
        ([("int((distances <= reach * nearest).sum())", "distances <= reach * nearest")], "their sum is the number"),
        ([("    if len(distances) == 0:\n        return 0\n", "")], "stopped with ValueError"),
        ([("reach * nearest", "1.1 * nearest")], "passed in is not used"),
    ],
)
def test_a_mistake_in_the_coordination_is_named(changes, words):
    assert_names(check_coordination(function(COORDINATION, *changes)), words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([(", append=ordered[0] + period", "")], "step across the border is missing"),
        ([(", append=ordered[0] + period", ""), ("int((steps > gap).sum())", "int((steps > gap).sum()) + 1")],
         "n layers in a row"),
        ([("int((steps > gap).sum())", "int((steps > gap).sum()) + 1")], "as many layers as gaps"),
        ([("np.sort(heights)", "heights")], "Sort the heights first"),
        ([("append=ordered[0] + period", "append=period")], "ends at the lowest atom"),
        ([("steps > gap", "steps / period > gap")], "The gap is in Å"),
        ([("int((steps > gap).sum())", "len(heights)")], "not atoms"),
        ([("int((steps > gap).sum())", "max(1, (steps > gap).sum())")], "the answer is 0"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_layers_is_named(changes, words):
    assert_names(check_layers(function(LAYERS, *changes)), words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("+ cutoff", "+ 2 * cutoff")], "The vacuum is shared"),
        ([("lengths.max() + cutoff", "cutoff")], "the vacuum alone"),
        ([(" + cutoff", "")], "the molecule alone"),
        ([(" - positions.min(0)", "")], "need not begin at 0"),
        ([("positions.max(0) - positions.min(0)", "positions.max() - positions.min()")], "along each axis"),
        ([("lengths.max()", "lengths.min()")], "smallest extent"),
        ([("lengths.max()", "lengths.mean()")], "mean extent"),
        ([("lengths.max()", "np.linalg.norm(lengths)")], "safe but wasteful"),
        ([("float(lengths.max() + cutoff)", "lengths + cutoff")], "A cube has one edge"),
        ([("lengths.max() + cutoff", "lengths.max() + 0.5 * cutoff")], "the graph would join them"),
        ([("lengths.max() + cutoff", "lengths.max() + 3 * cutoff")], "More vacuum than needed"),
    ],
)
def test_a_mistake_in_the_box_is_named(changes, words):
    assert_names(check_box(function(BOX, *changes)), words)


def test_a_little_more_vacuum_is_right_too():
    assert check_box(function(BOX, ("+ cutoff", "+ cutoff + 0.1"))).state == "right"
