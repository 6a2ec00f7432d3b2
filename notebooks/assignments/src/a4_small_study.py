# %% [markdown]
# # Assignment 4 · A small study
#
# **You choose a label, predict what it will do, run it with controls, and report what you found with an interval.**
#
# By the end you can
#
# - *tell* a surrogate label from the answer in disguise,
# - *predict* before you run, and say afterwards how wrong you were,
# - *set up* arms that differ in one thing each,
# - *report* a paired change with an interval, corrected for the number of comparisons,
# - *write* half a page that a critical reader believes.
#
# **Needs:** notebooks 05, 06 and 07. No GPU, no network. **Minutes:** 90 to 120. **Points:** 20, 6 of them by hand.
#
# | question | points |
# |---|---|
# | 1 · labels that may guide, and your choice | 1 + 1 + 1 |
# | 2 · predict | 1 |
# | 3 · arms | 1 + 2 |
# | 4 · a paired interval | 1 + 3 |
# | 5 · many comparisons | 1 + 2 |
# | 6 · your report (marked by hand, rubric below) | 6 |
#
# **How it works.** Replace `raise NotImplementedError` by your answer and run the cell. Each question has a *seen
# check* that tells you what is wrong in words; a *hidden check* runs when your work is graded: the
# same question on other cases. You may add cells. Checks and other text are put back as they were, so changing them
# changes nothing. A function never changes what it is given. `holm` of the package is closed while your work is graded.
#
# Everything here is **toy**: the teaching set, a small encoder, a few epochs. What you learn is how to tell a
# difference from luck, not whether pretraining helps.

# %% tags=["setup"]
import numpy as np
import pandas as pd

from spmat_nb import crystals, plots, plots_errors
from spmat_nb.checks import assignment_study as checks
from spmat_nb.checks.marking import mark
from spmat_nb.labels import get_label, label_classes
from spmat_nb.vocabulary import TARGETS

teaching = crystals.load("teaching")
small = teaching.select((teaching.table["nsites"] <= 6).to_numpy())  # small cells: quick graphs
unstable = small.of_split("pretrain").sample(300, seed=0)
stable = small.of_split("train", "val", "test").sample(400, seed=0)

CANDIDATES = (
    "gap_class",
    "is_metal",
    "is_magnetic",
    "family",
    "crystal_system",
    "bins:density:3",
    "bins:volume_per_atom:3",
)
FUNCTION_OF = {key: get_label(key).function_of for key in CANDIDATES}  # columns that decide each label
SAME = [{"atomic_density", "volume_per_atom"}]  # columns that hold one quantity in different units
LARGEST_CLASS = {key: np.bincount(label_classes(unstable.table, key) + 1).max() / len(unstable) for key in CANDIDATES}

# %% [markdown]
# ## 1 · Labels that may guide
#
# A surrogate label guides pretraining; the target is what we want in the end. If the label is computed from the target,
# pretraining has already seen a part of the answer, and a gain shows nothing. `FUNCTION_OF` says which columns decide
# each label; `SAME` lists groups of columns that hold one quantity in different units.


# %% answer="usable_labels"
def usable_labels(function_of, target, same):
    """The labels, sorted, that depend neither on the target nor on a column of the same quantity.

    function_of is {label: columns that decide it}, same a list of groups of columns.
    """
    ### BEGIN SOLUTION
    leaking = {target}
    for group in same:
        if target in group:
            leaking |= set(group)
    return sorted(label for label, columns in function_of.items() if not leaking & set(columns))
    ### END SOLUTION


# %% run="labels"
table = pd.DataFrame(
    {key: [key in usable_labels(FUNCTION_OF, target, SAME) for target in TARGETS] for key in CANDIDATES}
)
print(table.set_axis(TARGETS.keys()).replace({True: "may guide", False: "LEAKS"}).T.to_string())
for key, share in LARGEST_CLASS.items():
    print(f"{key:23} largest class: {share:.0%} of {len(unstable)} unstable crystals")

# %% check="labels-seen" points=1
mark(checks.check_usable(usable_labels, {"the band gap": (FUNCTION_OF, "band_gap", SAME)}))

# %% check="labels-hidden" points=1
# A hidden check: other labels and targets.
### BEGIN HIDDEN TESTS
others = {"a": ("x",), "b": ("y", "z"), "c": (), "d": ("w",), "e": ("v", "x")}
mark(
    checks.check_usable(
        usable_labels,
        {
            "in another unit": (FUNCTION_OF, "atomic_density", SAME),
            "other labels": (others, "x", [{"x", "w"}, {"z", "q"}]),
            "no group": (others, "z", []),
        },
    )
)
### END HIDDEN TESTS

# %% [markdown]
# Now choose: one label, one target, before you have seen any result. In two sentences of your own (here or in your
# report): why should *this* label teach an encoder something about *this* target?


# %% answer="my_choice"
def my_choice():
    """(label, target): one of CANDIDATES that may guide it, and one of the six targets."""
    ### BEGIN SOLUTION
    return "is_metal", "density"
    ### END SOLUTION


# %% check="choice-hidden" points=1
# A hidden check: may the label guide, is the target one of the six?
### BEGIN HIDDEN TESTS
mark(checks.check_choice_of_label(my_choice, FUNCTION_OF, SAME, LARGEST_CLASS))
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · Predict
#
# Four arms will be compared: from scratch; unsupervised pretraining; supervised by your label; supervised by the same
# label *dealt out at random*. Predict the change of the test error against *from scratch*, in per cent (below zero is
# better). And: how far apart will the changes of two seeds of one arm be?


# %% answer="prediction"
def prediction():
    """{"unsupervised": %, "supervised": %, "shuffled labels": %, "two seeds apart": %}."""
    ### BEGIN SOLUTION
    return {"unsupervised": -2.0, "supervised": -3.0, "shuffled labels": -1.0, "two seeds apart": 5.0}
    ### END SOLUTION


# %% check="prediction-seen" points=1
ARMS = ["unsupervised", "supervised", "shuffled labels", "two seeds apart"]
mark(checks.check_prediction(prediction, ARMS))

# %% [markdown]
# ## 3 · Arms
#
# Each arm is `None` (no pretraining) or `{"loss": ..., "label": ...}`. Each should differ from the supervised one in
# *one* thing. The losses: `sup_barlow` and `sup_simclr`; their twins without labels, `barlow_samples` and `simclr`; and
# `barlow`, which compares features instead of samples. A label with `shuffled:` before it is dealt out at random.


# %% answer="arms"
def arms(label, loss):
    """{"from scratch": ..., "unsupervised": ..., "supervised": ..., "shuffled labels": ...} for a supervised loss."""
    ### BEGIN SOLUTION
    twin = {"sup_barlow": "barlow_samples", "sup_simclr": "simclr"}[loss]
    return {
        "from scratch": None,
        "unsupervised": {"loss": twin, "label": None},
        "supervised": {"loss": loss, "label": label},
        "shuffled labels": {"loss": loss, "label": f"shuffled:{label}"},
    }
    ### END SOLUTION


# %% check="arms-seen" points=1
mark(checks.check_arms(arms, [("is_metal", "sup_barlow")]))

# %% check="arms-hidden" points=2
# A hidden check: another label and another loss.
### BEGIN HIDDEN TESTS
mark(checks.check_arms(arms, [("family", "sup_simclr"), ("bins:density:3", "sup_barlow")]))
### END HIDDEN TESTS

# %% [markdown]
# Now run your study: four arms at four seeds. It takes about 20 seconds.

# %% run="study"
import torch

from spmat_nb.finetune import finetune
from spmat_nb.graphs import build_graphs
from spmat_nb.pretrain import pretrain
from spmat_nb.settings import EncoderSettings, FinetuneSettings, PretrainSettings

torch.set_num_threads(1)
label, target = my_choice()
sizes = EncoderSettings(node_features=32, convolutions=2, hidden=64, projection=64)
graphs = [build_graphs(part, cache=False) for part in (unstable, stable)]
errors = {}
for arm, how in arms(label, "sup_barlow").items():
    for seed in range(4):
        start = "scratch"
        if how:
            recipe = PretrainSettings(**how, epochs=2, batch_size=64, seed=seed)
            start = pretrain(unstable, recipe, sizes, graphs[0], show=False)
        recipe = FinetuneSettings(target, epochs=8, batch_size=32, seed=seed)
        rows = finetune(stable, start, recipe, sizes, graphs[1], show=False).predictions
        rows = rows[rows["split"] == "test"]
        errors.setdefault(arm, []).append((rows["predicted"] - rows["true"]).abs().to_numpy())
errors = {arm: np.array(runs) for arm, runs in errors.items()}  # [4 seeds, test crystals]
changes = pd.DataFrame({arm: 100 * (e.mean(1) / errors["from scratch"].mean(1) - 1) for arm, e in errors.items()})
print({arm: f"{e.mean():.3f} {TARGETS[target].unit}" for arm, e in errors.items()})

# %% run="changes"
import matplotlib.pyplot as plt

plots.use_style()
fig, ax = plt.subplots(figsize=(6.5, 2.6), dpi=80, layout="constrained")
plots_errors.paired_changes(changes.drop(columns="from scratch"), ax)
plots.note_source(ax, "teaching set", f"toy; {label} for {target}, {errors['supervised'].shape[1]} test crystals")
plt.show()

# %% [markdown] target="changes"
# **It should look like this** for one choice of label and target; yours may differ. Before you rejoice over an arm that
# is left of the line: how far left is the one with *random* labels?

# %% [markdown]
# ## 4 · A paired interval
#
# Runs with the same seed share much, so compare each seed with itself: the change of the MAE in per cent of the
# reference, one number a seed. Then the mean of these n changes, with Student's 95 % interval over the seeds:
# mean ± t · s / √n, with s their standard deviation (n − 1) and t from `scipy.stats.t.ppf(0.975, n - 1)`.


# %% answer="paired_interval"
def paired_interval(errors, reference):
    """(mean, low, high) of the change of the MAE in %; both arguments are absolute errors, [seeds, crystals]."""
    ### BEGIN SOLUTION
    from scipy.stats import t

    change = 100 * (errors.mean(axis=1) / reference.mean(axis=1) - 1)
    half = t.ppf(0.975, len(change) - 1) * change.std(ddof=1) / np.sqrt(len(change))
    return change.mean(), change.mean() - half, change.mean() + half
    ### END SOLUTION


# %% run="interval"
from spmat_nb.study.statistics import paired_change

formulas = stable.table.loc[rows.index, "formula"]
PAIRS = [(arm, "from scratch") for arm in list(errors)[1:]] + [("supervised", "shuffled labels")]
for arm, reference in PAIRS:
    mean, low, high = paired_interval(errors[arm], errors[reference])
    theirs = paired_change(errors[arm], errors[reference], formulas)
    print(f"{arm} against {reference}: {mean:+.1f} % ({low:+.1f} to {high:+.1f}); ", end="")
    print(f"with test crystals as a sample too: {theirs.mean:+.1f} % ({theirs.low:+.1f} to {theirs.high:+.1f})")

# %% [markdown]
# The second interval asks more: would other seeds *and other test crystals* agree? It comes from the package, which
# resamples both. The last line asks what the *labels* did: it compares with the same pretraining on random labels.

# %% check="interval-seen" points=1
draw = np.random.default_rng(0)
toy = draw.uniform(0.5, 1.5, (2, 4, 20))
mark(checks.check_interval(paired_interval, {"4 seeds, 20 crystals": (toy[0] * [[0.9], [1.0], [0.8], [0.95]], toy[1])}))

# %% check="interval-hidden" points=3
# A hidden check: other numbers of seeds and crystals.
### BEGIN HIDDEN TESTS
draw = np.random.default_rng(1)
levels = draw.uniform(0.5, 2.0, (5, 1))
noise = draw.uniform(0.6, 1.4, (2, 5, 30))
few = draw.uniform(0.5, 1.5, (2, 3, 12))
mark(
    checks.check_interval(
        paired_interval,
        {"5 seeds of uneven size": (0.93 * levels * noise[0], levels * noise[1]), "3 seeds": tuple(few)},
    )
)
### END HIDDEN TESTS

# %% [markdown]
# ## 5 · Many comparisons
#
# Four comparisons are four chances to be fooled. **Holm's method**: sort the p of n comparisons; multiply
# the smallest by n, the next by n − 1, ..., the last by 1; let none be below an earlier one; cap at 1; put them back in
# order. By hand: what becomes of 0.04, 0.01 and 0.03?


# %% answer="holm"
def holm(p):
    """Corrected values of the list p, in its order."""
    ### BEGIN SOLUTION
    order = np.argsort(p)
    raised = np.maximum.accumulate(np.array(p)[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(raised, 1.0)
    return corrected
    ### END SOLUTION


# %% run="holm"
raw = [paired_change(errors[arm], errors[reference], formulas).p for arm, reference in PAIRS]
for (arm, reference), before, after in zip(PAIRS, raw, holm(raw), strict=True):
    print(f"{arm} against {reference}: p = {before:.3f}, corrected for {len(PAIRS)} comparisons {after:.3f}")

# %% check="holm-seen" points=1
mark(checks.check_holm(holm, {"0.04, 0.01, 0.03": [0.04, 0.01, 0.03]}))

# %% check="holm-hidden" points=2
# A hidden check: other lists.
### BEGIN HIDDEN TESTS
mark(checks.check_holm(holm, {"four": [0.2, 0.01, 0.02, 0.6], "large ones": [0.9, 0.5, 0.7], "one": [0.03]}))
### END HIDDEN TESTS

# %% [markdown]
# ## 6 · Your report
#
# Half a page for a reader who doubts you. Marked by hand, one point for each:
#
# | | a point for |
# |---|---|
# | a | the question and the four arms in your own words, and what each control rules out |
# | b | a reason, given before the result, why this label could teach something about this target |
# | c | errors with unit, number of seeds and test crystals; the change with its interval and corrected p |
# | d | a conclusion that the interval supports, no more: "not shown" where it contains zero |
# | e | your prediction beside the outcome, and what you learned from the difference |
# | f | the limits: toy set, small encoder, few epochs; and the one next run that would tell most |

# %% [markdown] report="report" points=6
# We asked whether pretraining with the label *metal or not* lowers the error of the density. From scratch is the
# reference. The same views without labels rule out that views alone do it; the same labels dealt out at random rule out
# that any labels would do. Metals are denser on average than salts and oxides, so an encoder that tells them apart may
# have learned which elements are heavy and closely packed.
#
# Four seeds, the same test crystals in every arm; errors in g/cm³, changes with intervals and corrected p as printed
# above. Every pretrained arm has a smaller error than scratch, by about a tenth, and so has the one with random labels.
# The supervised arm against that one differs by little. So pretraining as such helped in these short runs; that the
# *labels* did is not shown where the interval of the last line contains zero.
#
# I had predicted −3 % for the supervised arm and −1 % for random labels. Both were much larger: with eight epochs of
# fine-tuning, any start beats a random one. I would now predict that the gap closes with longer fine-tuning.
#
# Limits: a toy set with small cells, a small encoder, two epochs of pretraining, eight of fine-tuning. The next run
# that would tell most: fine-tune until scratch has settled, with twenty seeds, and compare with random labels again.

# %% [markdown]
# ## Before you hand in
#
# - Restart the kernel and run all cells. Does every seen check say `[right]`?
# - Are all numbers of your report printed somewhere above it?
# - Hand in this one file. Its name does not matter.
