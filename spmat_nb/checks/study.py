"""Checks of notebook 08: drawing formulas anew, Holm's correction, and the control that answers a question."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from ..feedback import Mistake, check
from ..study.statistics import holm
from .compare import compare

FORMULAS = np.array(["TiO2", "NaCl", "TiO2", "SiO2", "SiO2", "SiO2", "GaN", "ZnS", "ZnS", "MgO"])
DRAWS = 400
P = np.array([0.012, 0.20, 0.001, 0.04, 0.013, 0.90])
CONTROLS = {  # question about `SPMat-BT, gap_class, GNDN`: the arm that differs in this and in nothing else
    "Is pretraining worth it at all?": "from scratch",
    "Is it these classes, or would any classes do?": "SPMat-BT, shuffled gap_class, GNDN",
    "Do two views and this loss add anything to the labels?": "Classification, gap_class, GNDN",
    "Does the noise on the distances help?": "SPMat-BT, gap_class, masks only",
    "Do labels add anything to what needs none?": "Barlow Twins, GNDN",
}
ARM = "SPMat-BT, gap_class, GNDN"


@check("draw formulas anew", "Whole formulas, with replacement: two polymorphs are not two independent crystals.")
def check_redraw(answer: Callable[[np.ndarray, np.random.Generator], Any]) -> None:
    """`answer(formulas, rng)` returns the rows of as many formulas as there are, drawn with replacement."""
    drawn = [_rows(answer(FORMULAS.copy(), np.random.default_rng(seed))) for seed in range(DRAWS)]
    tried, kinds = "10 crystals of 6 formulas", np.unique(FORMULAS)
    counts = [_times_drawn(rows) for rows in drawn]
    if all(count == dict.fromkeys(kinds, 1) for count in counts):
        hint = "Each formula comes once: draw with replacement (rng.choice does so unless told otherwise)."
        raise Mistake(tried, "all rows once, every time", "some formulas twice or more, some not at all", hint)
    sums = {sum(count.values()) for count in counts}
    if sums != {len(kinds)}:
        hint = f"Draw as many formulas as there are, {len(kinds)}; one that is drawn twice gives its rows twice."
        raise Mistake(tried, f"{sorted(sums)} formulas", f"{len(kinds)} formulas", hint)
    if all(np.array_equal(rows, drawn[0]) for rows in drawn):
        hint = "Draw with the generator that is passed in, rng, so that every call differs."
        raise Mistake(f"{tried}, {DRAWS} generators", "the same rows each time", "other rows each time", hint)
    often = max(max(count.values()) for count in counts)
    share = np.mean([count["MgO"] > 0 for count in counts])
    if often < 3 or not 0.55 < share < 0.8:  # 1 - (5/6)^6 is 0.67, and 400 draws are within 0.1 of it
        hint = "Every formula is as likely as any other at each draw, however many rows it has."
        raise Mistake(tried, f"MgO in {100 * share:.0f} % of the draws", "MgO in about 67 %", hint)


def _rows(got: Any) -> np.ndarray:
    """The answer as row numbers."""
    wanted = "row numbers"
    if got is None:
        raise Mistake("10 crystals", "nothing", wanted, "Does the function end with `return`?")
    rows = np.asarray(got)
    if rows.dtype.kind in "USO":
        hint = "These are formulas: return the positions of their rows, np.flatnonzero(formulas == name)."
        raise Mistake("10 crystals", "text", wanted, hint)
    if rows.dtype == bool or rows.ndim != 1 or rows.dtype.kind not in "iu":
        hint = "A mask cannot take a row twice: return whole numbers, np.concatenate([np.flatnonzero(...), ...])."
        raise Mistake("10 crystals", f"{rows.dtype} of shape {rows.shape}", wanted, hint)
    if len(rows) == 0 or rows.min() < 0 or rows.max() >= len(FORMULAS):
        raise Mistake("10 crystals", "rows that are not there", "rows from 0 to 9", "Number the rows from 0.")
    return rows


def _times_drawn(rows: np.ndarray) -> dict[str, int]:
    """How often each formula was drawn; its rows must come equally often."""
    times = np.bincount(rows, minlength=len(FORMULAS))
    own = {str(name): times[name == FORMULAS] for name in np.unique(FORMULAS)}
    if any(number.min() < number.max() for number in own.values()):
        hint = "Polymorphs were torn apart: draw from np.unique(formulas), then take all rows of each."
        raise Mistake("10 crystals of 6 formulas", "a part of a formula's rows", "all of them, or none", hint)
    return {name: int(number[0]) for name, number in own.items()}


@check("Holm's correction", "The least p pays for all looks, the next for one fewer, and none overtakes another.")
def check_holm(answer: Callable[[np.ndarray], Any]) -> None:
    """`answer(p)` returns the corrected values of p [n], in the same order."""
    count, order = len(P), np.argsort(P)

    def back(values: np.ndarray) -> np.ndarray:
        placed = np.empty(count)
        placed[order] = values
        return placed

    factors = np.arange(count, 0, -1)
    single = P[order] * factors
    mistakes = {
        "That is Bonferroni: every p times n. Holm asks less of all but the least.": np.minimum(P * count, 1),
        "That is Bonferroni without a cap: a probability is at most 1.": P * count,
        "A larger p must not end below a smaller one: np.maximum.accumulate over the sorted values.": back(
            np.minimum(single, 1)
        ),
        "These are sorted: put them back in order (corrected[order] = ...).": np.sort(holm(P)),
        "The factors run the wrong way: the least p is multiplied by n, the largest by 1.": back(
            np.minimum(P[order] * factors[::-1], 1)
        ),
        "These are the values as they were.": P,
    }
    named = {words: torch.tensor(values) for words, values in mistakes.items()}
    hint = "Sort, multiply by n, n - 1, ..., 1, take the running maximum, cap at 1, put back into order."
    for values, wrong in (
        (P, named),
        (np.array([0.7, 0.6]), {"Not capped at 1.": torch.tensor([1.2, 1.2])}),
        (np.array([0.03]), {}),
    ):
        compare(f"p = {values.tolist()}", answer(values.copy()), torch.from_numpy(holm(values)), wrong, hint)


@check("the control for a question", "A control differs from the arm in what is asked about, and in nothing else.")
def check_controls(answer: Callable[[], Any]) -> None:
    """`answer()` returns the arm to compare `SPMat-BT, gap_class, GNDN` with, by question."""
    got = answer()
    if got is None:
        raise Mistake("the five questions", "nothing", "an arm for each", "Does the function end with `return`?")
    if not isinstance(got, Mapping):
        raise Mistake("the five questions", type(got).__name__, "a dictionary", "Return {question: arm, ...}.")
    for question, control in CONTROLS.items():
        if got.get(question) is None:
            raise Mistake(f"'{question}'", "no arm", "the name of an arm", "Answer all five questions.")
        if got[question] != control:
            raise Mistake(f"'{question}'", repr(got[question]), "another arm", _why_not(str(got[question])))


def _why_not(chosen: str) -> str:
    """What a comparison with the chosen arm would mix."""
    if chosen == ARM:
        return "An arm cannot be its own control."
    if chosen not in CONTROLS.values():
        return f"Choose from: {'; '.join(CONTROLS.values())}."
    parts = {
        "from scratch": "Against scratch everything differs at once: views, noise, loss and labels.",
        "Barlow Twins, GNDN": "That arm has no labels at all, and another form of the loss.",
        "Classification, gap_class, GNDN": "That arm has the same labels, but does not compare two views.",
        "SPMat-BT, shuffled gap_class, GNDN": "That arm differs in which crystals share a class, and in nothing else.",
        "SPMat-BT, gap_class, masks only": "That arm differs in the noise on the distances, and in nothing else.",
    }
    return f"{parts[chosen]} Which arm differs in what the question asks about, and in nothing else?"
