"""Checks of assignment a4: labels that leak, arms that differ in one thing, an interval, a correction for many."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..feedback import Mistake, check
from ..study.statistics import holm
from ..vocabulary import TARGETS
from .compare import compare

LEVEL = 0.95
LARGEST_CLASS = 0.9  # a label whose largest class is larger teaches little
TWINS = {"sup_barlow": "barlow_samples", "sup_simclr": "simclr"}  # the same loss without labels
Relations = Mapping[str, Sequence[str]]


def usable(function_of: Relations, target: str, same: Sequence[set[str]]) -> list[str]:
    """Labels that do not give a target away, sorted: the right answer of the first question."""
    leaking = set().union({target}, *(group for group in same if target in group))
    return sorted(label for label, columns in function_of.items() if not leaking & set(columns))


@check("labels that may guide", "A label that is computed from the target is no surrogate but the answer in disguise.")
def check_usable(
    answer: Callable[[Relations, str, Any], Any],
    cases: Mapping[str, tuple[Relations, str, Sequence[set[str]]]],
) -> None:
    """`answer(function_of, target, same)` lists, sorted, the labels that are no function of the target.

    Args:
        answer: the learner's function.
        cases: columns that decide each label, the target, and groups of columns that hold one quantity.
    """
    for name, (function_of, target, same) in cases.items():
        got, right = (
            answer(dict(function_of), target, [sorted(group) for group in same]),
            usable(function_of, target, same),
        )
        if not isinstance(got, list | tuple):
            raise Mistake(name, type(got).__name__, "a list of labels", "End with return sorted(...).")
        own = [str(label) for label in got]
        if own == right:
            continue
        leaks, lost = sorted(set(own) - set(right)), sorted(set(right) - set(own))
        hint = "The labels are right; sort them."
        direct = [label for label in leaks if target in function_of.get(label, ())]
        if set(own) == set(function_of) - set(right):
            hint = "These are the labels that leak. The others were asked for."
        elif direct:
            hint = f"{direct[0]} is computed from the target: whoever knows it knows a part of the answer."
        elif leaks:
            hint = f"{leaks[0]} is computed from the target's quantity in another unit. Look into `same`."
        elif lost:
            hint = f"{lost[0]} says nothing of the target: only columns of the target's own quantity leak."
        raise Mistake(name, own, f"{len(right)} labels", hint)


@check("your label and target", "Stated before the run, so nobody can say that you chose the best of many.")
def check_choice_of_label(
    answer: Callable[[], Any], function_of: Relations, same: Sequence[set[str]], largest_class: Mapping[str, float]
) -> None:
    """`answer()` is (label, target): a usable label with at least two real classes, and one of the six targets."""
    got = answer()
    if not (isinstance(got, tuple | list) and len(got) == 2):
        raise Mistake("your choice", type(got).__name__, "(label, target)", "Return two names.")
    label, target = (str(name) for name in got)
    for what, name, known in (("label", label, function_of), ("target", target, TARGETS)):
        if name not in known:
            raise Mistake(f"your {what}", name, f"one of {', '.join(known)}", f"This is no {what} of the lists above.")
    if label not in usable(function_of, target, same):
        hint = "The label is computed from the target: a gain would show nothing."
        raise Mistake("your choice", f"{label} for {target}", "a label that is no function of the target", hint)
    if largest_class[label] > LARGEST_CLASS:
        hint = "Nearly all crystals have one class, so the label says next to nothing."
        raise Mistake("your choice", f"{largest_class[label]:.0%} in one class", f"at most {LARGEST_CLASS:.0%}", hint)


@check("a prediction", "Written down before the run. Being wrong costs nothing; having no prediction costs the lesson.")
def check_prediction(answer: Callable[[], Any], names: Sequence[str]) -> None:
    """`answer()` gives a number (per cent) between -50 and 50 for each of some names."""
    got = answer()
    if not isinstance(got, dict) or set(got) != set(names):
        hint = "Return a dictionary with exactly these names."
        raise Mistake("the names", sorted(map(str, got)) if isinstance(got, dict) else got, sorted(names), hint)
    for name, value in got.items():
        number = isinstance(value, int | float) and not isinstance(value, bool) and -50 <= value <= 50
        if not number:
            hint = "A change in per cent of the error from scratch; below zero is better. Gains of 50 % do not happen."
            raise Mistake(name, value, "a number from -50 to 50", hint)


@check("arms", "Each arm differs from the next in one thing, so a difference has one explanation.")
def check_arms(answer: Callable[[str, str], Any], cases: Sequence[tuple[str, str]]) -> None:
    """`answer(label, loss)` gives {arm: None or {"loss": ..., "label": ...}} with three controls.

    Args:
        answer: the learner's function.
        cases: a label and a supervised loss.
    """
    for label, loss in cases:
        right = {
            "from scratch": None,
            "unsupervised": {"loss": TWINS[loss], "label": None},
            "supervised": {"loss": loss, "label": label},
            "shuffled labels": {"loss": loss, "label": f"shuffled:{label}"},
        }
        got, tried = answer(label, loss), f"label {label}, loss {loss}"
        if not isinstance(got, dict) or set(got) != set(right):
            lack = sorted(set(right) - set(got)) if isinstance(got, dict) else sorted(right)
            hint = f"Lacking: {', '.join(lack)}." if lack else f"Only these: {', '.join(right)}."
            raise Mistake(tried, sorted(map(str, got)) if isinstance(got, dict) else got, f"{len(right)} arms", hint)
        for arm, how in right.items():
            if got[arm] != how:
                raise Mistake(f"{tried}: {arm}", got[arm], how, _why_arm(arm, got[arm], label, loss))


def _why_arm(arm: str, got: Any, label: str, loss: str) -> str:
    if arm == "from scratch":
        return "From scratch there is no pretraining: None."
    if not isinstance(got, dict) or set(got) != {"loss", "label"}:
        return "Give a dictionary with `loss` and `label`."
    if arm == "unsupervised" and got["label"] is not None:
        return "An unsupervised arm has no label: None."
    if arm == "unsupervised" and got["loss"] == "barlow":
        return "`barlow` compares features, not samples: two things would differ, the labels and the form of the loss."
    if arm == "unsupervised":
        return f"The twin of {loss} without labels is {TWINS[loss]}: then only the labels differ."
    if arm == "shuffled labels" and got["label"] == label:
        return "The labels are not shuffled: write 'shuffled:' before the label."
    if got["loss"] != loss:
        return f"All arms with labels use the loss that is asked for, {loss}: else two things differ."
    return "Use the label that is passed in, not a fixed one."


Interval = Callable[[np.ndarray, np.ndarray], Any]


def interval(errors: np.ndarray, reference: np.ndarray) -> list[float]:
    """Mean, low and high of the paired change (%) of the MAE, 95 % over seeds: the right answer."""
    from scipy.stats import t

    change = _changes(errors, reference)
    half = t.ppf(0.5 + LEVEL / 2, len(change) - 1) * change.std(ddof=1) / np.sqrt(len(change))
    return [float(change.mean()), float(change.mean() - half), float(change.mean() + half)]


def _changes(errors: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return 100 * (errors.mean(1) / reference.mean(1) - 1)


@check("a paired interval", "Seeds are the sample here: few of them make a wide interval, and that is the truth.")
def check_interval(answer: Interval, cases: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """`answer(errors, reference)` is (mean, low, high) of the change of the MAE in per cent, Student's 95 % over seeds.

    Args:
        answer: the learner's function.
        cases: absolute errors of two arms, [seeds, crystals].
    """
    for name, (errors, reference) in cases.items():
        wanted = torch.tensor(interval(errors, reference), dtype=torch.float64)
        found = answer(errors.copy(), reference.copy())
        got = [float(number) for number in found] if isinstance(found, tuple | list) else found
        wrong = {
            words: torch.tensor(v, dtype=torch.float64) for words, v in _wrong_intervals(errors, reference).items()
        }
        hint = "MAE of each seed, change of each seed in %, their mean; t(0.975, n - 1) * std(ddof=1) / sqrt(n)."
        compare(name, got, wanted, {w: v for w, v in wrong.items() if not torch.allclose(v, wanted, 1e-4)}, hint)


def _wrong_intervals(errors: np.ndarray, reference: np.ndarray) -> dict[str, list[float]]:
    from scipy.stats import t

    change, n = _changes(errors, reference), len(errors)
    mean, spread, student = change.mean(), change.std(ddof=1), t.ppf(0.975, n - 1)

    def around(half: float, middle: float = mean) -> list[float]:
        return [float(middle), float(middle - half), float(middle + half)]

    half = student * spread / np.sqrt(n)
    by_crystal = 100 * (errors.mean(0) / reference.mean(0) - 1)
    first, second = errors.mean(1), reference.mean(1)
    unpaired = 100 * np.sqrt(first.var(ddof=1) + second.var(ddof=1)) / second.mean()
    ratio = 100 * (first.mean() / second.mean() - 1)
    return {
        f"1.96 is for many seeds. With {n} take Student's t with {n - 1} degrees of freedom.": around(
            1.96 * spread / np.sqrt(n)
        ),
        "That is the spread of single seeds; the mean of n varies less: divide by sqrt(n).": around(student * spread),
        "That is one standard error; a 95 % interval is t times as wide.": around(spread / np.sqrt(n)),
        "That is one standard deviation, no 95 % interval.": around(spread),
        "The standard deviation of a sample divides by n - 1: std(ddof=1).": around(
            student * change.std() / np.sqrt(n)
        ),
        "t has n - 1 degrees of freedom.": around(t.ppf(0.975, n) * spread / np.sqrt(n)),
        "t(0.95) leaves 5 % on each side; a 95 % interval takes t(0.975).": around(
            t.ppf(0.95, n - 1) * spread / np.sqrt(n)
        ),
        "These are the least and the most seed, no interval.": [float(mean), float(change.min()), float(change.max())],
        "The sign: below zero means that the arm has the smaller error.": around(half, -mean),
        "The other way round: the reference is what you divide by.": interval(reference, errors),
        "In per cent: times 100.": [number / 100 for number in around(half)],
        "The mean is a ratio of means; take the mean of the changes of the seeds.": around(half, ratio),
        "Unpaired: the spreads of both arms were added. Compare equal seeds, and what they share cancels.": around(
            student * unpaired / np.sqrt(n)
        ),
        "That is the spread over crystals. Would another seed agree? The rows are seeds.": around(
            t.ppf(0.975, len(by_crystal) - 1) * by_crystal.std(ddof=1) / np.sqrt(len(by_crystal)), by_crystal.mean()
        ),
    }


@check("Holm's correction", "The more comparisons, the more luck: now each p is worth what it says.")
def check_holm(answer: Callable[[list[float]], Any], cases: Mapping[str, Sequence[float]]) -> None:
    """`answer(p)` are the values of p corrected by Holm's method, in their old order.

    Args:
        answer: the learner's function.
        cases: values of p by a name.
    """
    for name, values in cases.items():
        p = np.array(values)
        wrong = {words: torch.from_numpy(v) for words, v in _wrong_corrections(p).items()}
        wanted = torch.from_numpy(holm(p))
        hint = "Sort; times n, n - 1, ..., 1; never below an earlier one; at most 1; back into the old order."
        got = answer(list(map(float, values)))
        compare(name, got, wanted, {w: v for w, v in wrong.items() if not torch.allclose(v, wanted)}, hint)


def _wrong_corrections(p: np.ndarray) -> dict[str, np.ndarray]:
    n, order = len(p), np.argsort(p, kind="stable")
    raised = p[order] * np.arange(n, 0, -1)

    def back(values: np.ndarray) -> np.ndarray:
        placed = np.empty(n)
        placed[order] = values
        return placed

    falling = np.minimum.accumulate((p[order] * n / np.arange(1, n + 1))[::-1])[::-1]
    return {
        "That is Bonferroni's: every p times n. Holm's is less strict: n, then n - 1, ...": np.minimum(p * n, 1.0),
        "A p is at most 1.": back(np.maximum.accumulate(raised)),
        "A corrected p is never below that of a smaller one: np.maximum.accumulate.": back(np.minimum(raised, 1.0)),
        "They are sorted; put them back into the order in which they came.": np.minimum(
            np.maximum.accumulate(raised), 1.0
        ),
        "That is Benjamini and Hochberg's, which controls another rate.": back(np.minimum(falling, 1.0)),
        "The factors go the wrong way: the smallest p is multiplied by n, the largest by 1.": back(
            np.minimum(np.maximum.accumulate(p[order] * np.arange(1, n + 1)), 1.0)
        ),
        "Nothing was corrected.": p,
    }
