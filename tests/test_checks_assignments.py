"""Every question of the assignments: its checks take the solution and name the mistake in answers nearly right.

Each wrong answer is the solution with some of its text replaced, put before the real check cells, hidden ones included.
"""

from functools import cache

import pytest
from assignment_class import solutions, source_notebook
from build_assignments import names

from spmat_nb.grading.judge import used

SETUP = ("setup", "helper")
ASSIGNMENTS = {name.partition("_")[0]: name for name in names()}


@cache
def setup(name):
    known = {}
    exec("\n".join(cells(name, lambda cell: "setup" in cell.metadata.get("tags", []))), known)
    return known


def cells(name, wanted):
    return [cell.source for cell in source_notebook(name).cells if cell.cell_type == "code" and wanted(cell)]


def outcomes(name, *sources):
    """What the check cells say that use the functions of these answers."""
    known, said = {**setup(name), "mark": None}, []
    known["mark"] = said.append
    for source in sources:
        exec(source, known)
    mine = {word for source in sources for word in defined(source)}
    exec("\n".join(cells(name, lambda cell: "helper" in cell.metadata.get("tags", []))), known)
    for check in cells(name, lambda cell: cell.metadata.nbgrader.grade):
        if used(check) & mine:
            exec(check, known)
    return said


def defined(source):
    return {line[4:].partition("(")[0] for line in source.splitlines() if line.startswith("def ")}


def changed(source, *changes):
    for old, new in changes:
        assert old in source, old
        source = source.replace(old, new)
    return source


@pytest.mark.parametrize("name", names())
def test_the_solutions_are_right(name):
    said = outcomes(name, *(s for s in solutions(name).values() if "def " in s))
    assert said and [str(outcome) for outcome in said if not outcome] == []


SIGNATURE = {"shells": "()", "my_choice": "()"}
MASK = "(labels[:, None] == labels[None, :]) & known[:, None] & known[None, :]"
MEANS = "-(torch.where(positive, log_share, 0.0).sum(1) / positive.sum(1)).mean()"
CHANGE = "100 * (errors.mean(axis=1) / reference.mean(axis=1) - 1)"
HALF = "t.ppf(0.975, len(change) - 1) * change.std(ddof=1) / np.sqrt(len(change))"
NEAREST = "first = sorted(pairs)[:count]"
NOISE = '2 * draws.uniform(batch.edge_id, "distances") - 1'
FITS = '(evidence["alike"] <= alike) & (evidence["exchanged"] <= exchanged)'
# question: wrong versions of its solution, as text to replace, and words that name the mistake
MISTAKES = {
    "a1 shells": [
        ([('("Cl", 8)', '("Cl", 1)')], "That is how many are in the cell"),
        ([('[("As", 4), ("Ga", 12)]', '[("Ga", 12), ("As", 4)]')], "the order is not"),
        ([('[("Fe", 8), ("Fe", 6)]', '[("Fe", 8)]')], "Two shells were asked for"),
        ([('[("O", 6), ("Mg", 12)]', '[("Mg", 6), ("O", 12)]')], "These are the shells of O"),
        ([('[("O", 6), ("Mg", 12)]', '[("O", 6), ("O", 8)]')], "there is a nearer second one"),
        ([('[("As", 4), ("Ga", 12)]', '[("As", 4), ("Ga", 8)]')], "Count signs and permutations"),
        ([('        "MgO, from Mg": [("O", 6), ("Mg", 12)],\n', "")], "an entry for each name"),
    ],
    "a1 nearest": [
        ([("range(-5, 6)", "range(0, 1)")], "No periodic images"),
        ([("range(-5, 6)", "range(-1, 2)")], "Only the 27 cells around"),
        ([(" if d > 0", "")], "at a distance of 0"),
        ([(NEAREST, "first = sorted(pairs, key=lambda pair: pair[0])[:count]")], "the lower atomic number comes first"),
        ([(NEAREST, "first = pairs[:count]")], "Are all images within reach looked at"),
        ([(NEAREST, "first = sorted(pairs)[: count - 1]")], "Sort, then cut"),
        ([(NEAREST, "first = sorted(pairs)[:count][::-1]")], "not in order"),
        ([("@ lattice  #", "@ lattice.T  #")], "rows: frac @ lattice"),
        ([("return np.array([d for d, _ in first]), ", "return ")], "two arrays"),
    ],
    "a1 counterexample": [
        ([("[6.0, 3.0, 0]", "[0, 3.0, 0]")], "which cells are flatter"),
        ([(", 0, 4.5", ", 0, 1.0")], "which cells are flatter"),
        ([(", 0, 4.5", ", 0, 40.0")], "a radius up to 10"),
        ([(", 0, 4.5", "")], "Return the four"),
        ([("np.zeros((1, 3))", "np.zeros((1, 2))")], "three fractions"),
        ([("[0, 0, 3.0]", "[0, 0, 0.1]")], "No atoms are as close"),
        ([("np.zeros((1, 3))", "1e9 + np.zeros((1, 3))")], "fractions from -2 to 2"),
    ],
    "a1 repaired": [
        (
            [
                ("1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)", "np.linalg.norm(lattice, axis=1)"),
                (" + np.ptp(frac, axis=0)", ""),
            ],
            "divide by the height",
        ),
        ([("distances > 1e-8", "distances >= 0")], "The site itself is in your list"),
        (
            [
                (
                    "np.sort(distances[(distances > 1e-8) & (distances <= radius)])",
                    "distances[(distances > 1e-8) & (distances <= radius)]",
                )
            ],
            "not in order",
        ),
        ([("np.ceil(radius / heights + np.ptp(frac, axis=0))", "np.ones(3)")], "Only the 27 cells"),
        ([("np.ceil(radius / heights + np.ptp(frac, axis=0))", "np.zeros(3)")], "No periodic images"),
    ],
    "a1 cut_in_two": [
        (
            [("distances[count] - distances[count - 1] < 1e-3", "distances[count] == distances[count - 1]")],
            "do not ask for ==",
        ),
        (
            [("distances[count] - distances[count - 1]", "distances[count - 1] - distances[count - 2]")],
            "the last that is kept",
        ),
        ([("bool(len(distances) > count and ", "bool(len(distances) <= count or ")], "nothing is cut off"),
        ([("distances[count] - distances[count - 1] < 1e-3", "True")], "the last that is kept"),
        (
            [("bool(len(distances) > count and distances[count] - distances[count - 1] < 1e-3)", '"yes"')],
            "True or False",
        ),
    ],
    "a1 expand": [
        ([("** 2)", "** 2) / 2")], "no factor 2"),
        ([("round(cutoff / step) + 1", "round(cutoff / step)")], "Both ends count"),
        ([(" / step) ** 2)", ") ** 2)")], "The width is the step"),
        ([("np.exp(-(", "np.exp((")], "minus sign"),
        ([("step * np.arange(round(cutoff / step) + 1)", "0.2 * np.arange(41)")], "The shape is"),
        ([("distances[:, None] - centres", "distances - centres[:, None]")], "Rows are distances"),
        (
            [
                (
                    "np.exp(-(((distances[:, None] - centres) / step) ** 2))",
                    "np.exp(-np.abs(distances[:, None] - centres) / step)",
                )
            ],
            "The square is missing",
        ),
    ],
    "a2 gndn": [
        (
            [(NOISE, "torch.randn(len(batch.distance), generator=torch.Generator().manual_seed(sum(draws.key)))")],
            "Gaussian",
        ),
        ([(NOISE, 'draws.uniform(batch.edge_id, "distances")')], "one sign only"),
        ([(NOISE, 'draws.uniform(batch.edge_id, "distances") - 0.5')], "half-width"),
        ([(NOISE, f"({NOISE}) * batch.distance")], "grows with the distance"),
        ([(NOISE, '2 * Draws(0).uniform(batch.edge_id, "distances") - 1')], "Both views get the same noise"),
        ([(".clamp(min=0.1)", "")], "clamp it"),
        ([(".clamp(min=0.1)", ".clamp(min=1e-3)")], "draws.uniform(batch.edge_id"),
        ([("batch.edge_id", "batch.pair_id")], "draw by batch.edge_id"),
        ([("noise = delta", "noise = 0.4")], "draws.uniform(batch.edge_id"),
        (
            [("return replace(batch, ", "return replace(batch, neighbour=batch.neighbour.roll(1), ")],
            "leaves the topology alone",
        ),
        (
            [
                (
                    "return replace(batch, distance=(batch.distance + noise).clamp(min=0.1))",
                    "return replace(batch, distance=batch.distance[:, None] + noise[:, None] * torch.ones(41))",
                )
            ],
            "Noise on the Gaussian expansion",
        ),
    ],
    "a2 same_topology": [
        ([('"z", "centre", "neighbour"', '"centre",')], "compare the ends"),
        ([('"z", "centre", "neighbour"', '"z", "neighbour"')], "compare the ends"),
        ([('"z", "centre", "neighbour"', '"centre", "neighbour"')], "The same atoms"),
        ([('"z", "centre", "neighbour"', '"z", "centre", "neighbour", "distance"')], "Do not compare distances"),
        (
            [
                ("all(torch.equal(getattr(before, name), getattr(after, name)) for name in (", "("),
                ('"z", "centre", "neighbour"))', "len(before.centre) == len(after.centre))"),
            ],
            "compare the ends",
        ),
    ],
    "a2 noise_std": [
        ([("delta / np.sqrt(3)", "delta")], "half-width itself"),
        ([("delta / np.sqrt(3)", "delta / 2")], "mean size"),
        ([("delta / np.sqrt(3)", "delta / np.sqrt(12)")], "full width of delta"),
        ([("delta / np.sqrt(3)", "delta**2 / 3")], "variance"),
        ([("delta / np.sqrt(3)", "0.5 / np.sqrt(3)")], "The mean of x²"),
    ],
    "a2 exchanged": [
        ([("max(2 * delta - gap, 0.0)", "(2 * delta - gap)")], "becomes positive"),
        ([("8 * delta", "4 * delta")], "Half of that"),
        ([("8 * delta", "16 * delta")], "Twice that"),
        ([("return max", "return 100 * max")], "not per cent"),
        (
            [("max(2 * delta - gap, 0.0) ** 2 / (8 * delta**2)", "max(2 * delta - gap, 0.0) / (4 * delta)")],
            "square is missing",
        ),
        (
            [("max(2 * delta - gap, 0.0) ** 2 / (8 * delta**2)", "max(delta - gap, 0.0) / (2 * delta)")],
            "shaken as well",
        ),
    ],
    "a2 choose_delta": [
        ([("fits.index.max()", "fits.index.min()")], "smallest"),
        ([(FITS, 'evidence["alike"] <= alike')], "exchanged shells are not looked at"),
        ([(FITS, 'evidence["exchanged"] <= exchanged')], "likeness is not looked at"),
        ([(FITS, FITS.replace("<=", "<"))], "a value on the limit counts"),
        ([("fits.index.max()", "fits.index[-1]")], "not sorted"),
        (
            [("None if fits.empty else float(fits.index.max())", "float(evidence.index.max())")],
            "exchanged shells are not looked at",
        ),
        ([("None if fits.empty else ", "evidence.index.min() if fits.empty else ")], "Return None"),
    ],
    "a3 class_mask": [
        ([(MASK, "labels[:, None] == labels[None, :]")], "count as one class here"),
        ([(" | torch.eye(len(labels), dtype=torch.bool)", "")], "lost its own other view"),
        ([("labels >= 0", "labels > 0")], "Class 0 is a class too"),
        ([("return same", "return ~same")], None),
        ([(MASK, "torch.zeros(len(labels), len(labels), dtype=torch.bool)")], "Only the diagonal"),
        (
            [
                (
                    "return same | torch.eye(len(labels), dtype=torch.bool)",
                    "return (same | torch.eye(len(labels), dtype=torch.bool)).long()",
                )
            ],
            "a mask of numbers",
        ),
    ],
    "a3 supervised_simclr": [
        ([(".masked_fill(itself, -torch.inf)", "")], "still in the denominator"),
        ([("functional.normalize(torch.cat([z1, z2]), dim=1)", "torch.cat([z1, z2])")], "not normalised"),
        ([(" / temperature", " * temperature")], "multiplied by the temperature"),
        ([(MEANS, MEANS[1:])], "minus sign"),
        (
            [("class_mask(labels).repeat(2, 2)", "class_mask(torch.arange(len(labels))).repeat(2, 2)")],
            "unsupervised loss",
        ),
        ([(MEANS, "-log_share[positive].mean()")], "large classes count for more"),
        ([("class_mask(labels)", "(labels[:, None] == labels[None, :])")], "count as one class here"),
    ],
    "a3 supervised_barlow": [
        ([("functional.normalize(z1, dim=1)", "z1"), ("functional.normalize(z2, dim=1)", "z2")], "not normalised"),
        ([("same = class_mask(labels)", "same = class_mask(torch.arange(len(labels)))")], "Labels are not used"),
        (
            [("(1 - cosine[same]).square().mean() + balance *", "balance * (1 - cosine[same]).square().mean() +")],
            "wrong term",
        ),
        ([("max(others.numel(), 1)", "1")], "others"),
        ([("others.square().sum() / max(others.numel(), 1)", "others.square().mean()")], "not finite"),
        ([("others.square()", "(1 + others).square()")], "pushed to -1"),
        ([("functional.normalize(z2, dim=1).T", "functional.normalize(z1, dim=1).T")], "compared with itself"),
    ],
    "a3 limits": [
        ([("2 * crystals - 1", "2 * crystals")], "does not stand in its own denominator"),
        ([("2 * crystals - 1", "crystals - 1")], "two views of each crystal"),
        ([('"simclr, one class, one point": floor', '"simclr, one class, one point": 0.0')], "does not reach 0"),
        (
            [('"barlow, two classes, one point": balance', '"barlow, two classes, one point": 0.0')],
            "strangers have a cosine of 1",
        ),
        ([('"barlow, two classes, one point": balance', '"barlow, two classes, one point": 1.0')], "right for λ = 1"),
        ([("1 - 1 / crystals", "1.0")], "The diagonal is right already"),
        ([("1 - 1 / crystals", "0.0")], "should have 1"),
        ([('        "barlow, one class, one point": 0.0,\n', "")], "five names"),
    ],
    "a3 log_shares": [
        (
            [("torch.logsumexp(among, dim=1, keepdim=True)", "torch.log(torch.exp(among).sum(1, keepdim=True))")],
            "no exp and log one after the other",
        ),
        (
            [
                (
                    "torch.logsumexp(among, dim=1, keepdim=True)",
                    "(scores.max() + torch.log(torch.exp(among - scores.max()).sum(1, keepdim=True)))",
                )
            ],
            "A share became 0",
        ),
        (
            [
                (
                    "torch.where(mask, scores - torch.logsumexp(among, dim=1, keepdim=True), 0.0)",
                    "(among - torch.logsumexp(among, dim=1, keepdim=True)) * mask",
                )
            ],
            "0 * -inf",
        ),
        (
            [
                (
                    "torch.where(mask, scores - torch.logsumexp(among, dim=1, keepdim=True), 0.0)",
                    "among - torch.logsumexp(among, dim=1, keepdim=True)",
                )
            ],
            "Outside of the mask",
        ),
        ([("scores.masked_fill(~mask, -torch.inf)", "scores")], "The mask is not used in the sum"),
        ([("dim=1, keepdim=True", "dim=0, keepdim=True")], "each row shares by itself"),
        ([("torch.where(mask, scores -", "-torch.where(mask, scores -")], "at most 0"),
        ([("among = scores.", "scores = scores.detach().requires_grad_()\n    among = scores.")], "gradient"),
        (
            [
                (
                    "torch.where(mask, scores - torch.logsumexp(among, dim=1, keepdim=True), 0.0)",
                    "torch.where(mask, torch.log(torch.softmax(among, dim=1)), 0.0)",
                )
            ],
            "A share became 0",
        ),
    ],
    "a4 usable_labels": [
        ([("if not leaking", "if leaking")], "These are the labels that leak"),
        (
            [("    for group in same:\n        if target in group:\n            leaking |= set(group)\n", "")],
            "in another unit",
        ),
        (
            [
                (
                    "sorted(label for label, columns in function_of.items() if not leaking & set(columns))",
                    "sorted(function_of)",
                )
            ],
            "is computed from the target",
        ),
        (
            [("        if target in group:\n            leaking |= set(group)\n", "        leaking |= set(group)\n")],
            "says nothing of the target",
        ),
        ([("return sorted(", "return set(")], "a list of labels"),
        (
            [("return sorted(label", "return sorted((label"), ("set(columns))", "set(columns)), reverse=True)")],
            "sort them",
        ),
    ],
    "a4 my_choice": [
        ([('"is_metal", "density"', '"is_metal", "band_gap"')], "computed from the target"),
        ([('"is_metal", "density"', '"colour", "density"')], "no label of the lists"),
        ([('"is_metal", "density"', '"is_metal", "hardness"')], "no target of the lists"),
        ([('"is_metal", "density"', '"bins:density:3", "density"')], "computed from the target"),
        ([('"is_metal", "density"', '"is_metal"')], "Return two names"),
    ],
    "a4 prediction": [
        ([(', "two seeds apart": 5.0', "")], "exactly these names"),
        ([('"supervised": -3.0', '"supervised": "better"')], "in per cent"),
        ([('"supervised": -3.0', '"supervised": -90.0')], "do not happen"),
        ([('"supervised": -3.0', '"supervised": True')], "in per cent"),
        ([('"supervised": -3.0', '"supervised": float("nan")')], "in per cent"),
    ],
    "a4 arms": [
        ([('"simclr"}[loss]', '"simclr"}["sup_barlow"]')], "The twin of sup_simclr"),
        ([('"sup_barlow": "barlow_samples"', '"sup_barlow": "barlow"')], "compares features"),
        ([('{"loss": twin, "label": None}', '{"loss": twin, "label": label}')], "has no label"),
        ([('f"shuffled:{label}"', "label")], "not shuffled"),
        ([('"from scratch": None', '"from scratch": {"loss": loss, "label": None}')], "no pretraining"),
        (
            [('        "shuffled labels": {"loss": loss, "label": f"shuffled:{label}"},\n', "")],
            "Lacking: shuffled labels",
        ),
        (
            [('"supervised": {"loss": loss, "label": label}', '"supervised": {"loss": "sup_barlow", "label": label}')],
            "two things differ",
        ),
        (
            [('"supervised": {"loss": loss, "label": label}', '"supervised": {"loss": loss, "label": "is_metal"}')],
            "not a fixed one",
        ),
    ],
    "a4 paired_interval": [
        ([("t.ppf(0.975, len(change) - 1)", "1.96")], "Student's t"),
        ([(" / np.sqrt(len(change))", "")], "divide by sqrt(n)"),
        ([("t.ppf(0.975, len(change) - 1) * ", "")], "one standard error"),
        ([("std(ddof=1)", "std()")], "divides by n - 1"),
        ([("t.ppf(0.975", "t.ppf(0.95")], "t(0.975)"),
        ([(CHANGE, "(errors.mean(axis=1) / reference.mean(axis=1) - 1)")], "times 100"),
        ([(CHANGE, "100 * (reference.mean(axis=1) / errors.mean(axis=1) - 1)")], "The other way round"),
        ([("axis=1", "axis=0")], "spread over crystals"),
        ([("change.mean() - half, change.mean() + half", "change.min(), change.max()")], "no interval"),
    ],
    "a4 holm": [
        ([("np.arange(len(p), 0, -1)", "len(p)")], "Bonferroni"),
        ([("np.minimum(raised, 1.0)", "raised")], "at most 1"),
        (
            [
                (
                    "np.maximum.accumulate(np.array(p)[order] * np.arange(len(p), 0, -1))",
                    "np.array(p)[order] * np.arange(len(p), 0, -1)",
                )
            ],
            "never below that of a smaller one",
        ),
        ([("corrected[order] = ", "corrected[:] = ")], "put them back"),
        ([("np.arange(len(p), 0, -1)", "np.arange(1, len(p) + 1)")], "the wrong way"),
        ([("return corrected", "return p")], "Nothing was corrected"),
    ],
}
CASES = [(question, changes, words) for question, wrong in MISTAKES.items() for changes, words in wrong]
IDS = [f"{question}-{number}" for question, wrong in MISTAKES.items() for number in range(len(wrong))]


@pytest.mark.parametrize(("question", "changes", "words"), CASES, ids=IDS)
def test_wrong_answers_are_told_apart(question, changes, words):
    assignment, answer = question.split()
    name = ASSIGNMENTS[assignment]
    right = solutions(name)
    others = [right["class_mask"]] if answer.startswith("supervised") else []
    said = outcomes(name, *others, changed(right[answer], *changes))
    wrong = [str(outcome) for outcome in said if outcome.state == "wrong"]
    assert wrong, "no check noticed"
    assert words is None or any(words in text for text in wrong), wrong


def test_each_question_has_four_wrong_answers_at_least():
    asked = {
        f"{short} {answer}" for short, name in ASSIGNMENTS.items() for answer in solutions(name) if answer != "report"
    }
    assert asked == set(MISTAKES)
    assert min(len(wrong) for wrong in MISTAKES.values()) >= 4


@pytest.mark.parametrize("name", names())
def test_an_answer_that_is_not_written_is_open(name):
    for answer, source in solutions(name).items():
        if "### BEGIN SOLUTION" in source:
            stub = source.partition("    ### BEGIN SOLUTION")[0] + "    raise NotImplementedError"
            said = outcomes(name, stub)
            assert said and {outcome.state for outcome in said} == {"open"}, (answer, list(map(str, said)))
