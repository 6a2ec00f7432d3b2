# %% [markdown]
# # 04 · The losses
#
# **Which pairs of crystals are pulled together, which are pushed apart, and what comes of it in the end.**
#
# By the end you can
#
# - *draw* the mask of pairs that count as one class, for any labels,
# - *write* both supervised losses, supervised SimCLR and supervised Barlow Twins,
# - *say* what happens with one class, one sample, unique or missing labels,
# - *predict* from a loss where the points will end, and when a class collapses.
#
# **Needs:** notebook 02 (two views); 03 helps. No GPU. **Minutes:** about 60 to read and do; the code runs in half of
# one.

# %% tags=["setup"]
import torch
from torch.nn import functional

import spmat_nb.checks.losses as checks
from spmat_nb import losses, plots, plots_models

plots.use_style()
torch.set_num_threads(1)  # small tensors: one thread is faster than several

# %% [markdown]
# ## 1 · A share, by hand
#
# A loss sees nothing of a crystal but its **projection** z: the encoder's embedding, sent through a small extra
# network. Each crystal has two, one from each noisy view. All that counts here is the *direction* of z, so every z is
# divided by its length, and two of them are compared by their cosine.
#
# Take two crystals in the plane. Crystal a has its views at 10° and 30°, crystal b at 70° and 100°. The first view of a
# looks at the three others. **Five numbers** decide: three cosines, their sum after `exp(cos / τ)`, and the share of
# the one *positive*, a's own other view.
#
# **Predict.** Is the share above one half, with a temperature τ of 0.5? And with 0.1?

# %%
angles = torch.tensor([10.0, 30.0, 70.0, 100.0]) * torch.pi / 180
z = torch.stack([angles.cos(), angles.sin()], dim=1)  # [4, 2], length one
cosines = z[1:] @ z[0]  # of the first view of a with a', b, b'
for temperature in (0.5, 0.1):
    weights = torch.exp(cosines / temperature)
    share = weights[0] / weights.sum()
    print(f"τ = {temperature}: cosines {cosines.numpy().round(2)}, sum of exp {weights.sum():.1f}, ", end="")
    print(f"share of a' {share:.3f}, loss -log(share) = {-share.log():.3f}")

# %% [markdown]
# **What we see.** The share is a softmax: the loss is the cross-entropy of a quiz "which of the others is my partner?".
# A low temperature makes the answer sharper. (This is SimCLR's loss, NT-Xent.)
#
# ## 2 · The class mask
#
# *Supervised* means: not only my own other view is my partner, but every view of every crystal with my label. So all we
# need to know is a **mask**: who belongs together?
#
# - A crystal always belongs to itself: its two views are partners.
# - Two crystals belong together if their labels are equal **and known**. A missing label, -1, is no class.
# - Supervised SimCLR compares all 2B views with each other; the view itself takes no part (struck out).
# - Supervised Barlow Twins compares first views with second views, B by B; nothing is struck out.
#
# **Predict before you run.** Four crystals a, b, c, d. How does each mask look for unique labels, two classes, one
# class, and for a, b of one class with c, d not known?

# %%
import matplotlib.pyplot as plt

CASES = {
    "all different": [0, 1, 2, 3],
    "two classes": [0, 0, 1, 1],
    "one class": [0, 0, 0, 0],
    "c, d missing": [0, 0, -1, -1],
}
fig, axes = plt.subplots(2, 4, figsize=(10.5, 5.6), layout="constrained", dpi=90)
for column, (name, labels) in zip(axes.T, CASES.items(), strict=True):
    mask = losses.class_mask(torch.tensor(labels), 4, torch.device("cpu"))
    plots_models.mask_map(mask.repeat(2, 2).numpy(), [*"abcd", "a'", "b'", "c'", "d'"], column[0], name, hide_self=True)
    plots_models.mask_map(mask.numpy(), [*"abcd"], column[1])
axes[0, 0].set_ylabel("supervised SimCLR\n(a': second view of a)")
axes[1, 0].set_ylabel("supervised Barlow Twins\n(rows: first views)")
plt.show()

# %% [markdown]
# **What we see.** With different labels only the own other view is left: the supervised losses become the unsupervised
# ones. With one class nothing is negative. Missing labels act like different ones. Real batches lie between: with three
# classes about a third of all pairs are positive, so nearly all of them are *other crystals*.
#
# ## 3 · Supervised SimCLR in full
#
# For each view i, with P(i) the other views of its class:
#
# `loss = - mean over i of [ mean over p in P(i) of log( exp(z_i·z_p / τ) / sum over a ≠ i of exp(z_i·z_a / τ) ) ]`
#
# The form is that of Khosla et al. (2020); that the paper we follow means this one is our reading of its words. Written
# with loops, to be read and not to be fast:


# %%
def simclr_by_loops(z1, z2, labels, temperature):
    """Supervised SimCLR of two views [B, D] and labels [B], a view at a time."""
    z = functional.normalize(torch.cat([z1, z2]), dim=1)  # [2B, D], rows of length one
    crystal, y = 2 * list(range(len(z1))), 2 * labels.tolist()
    total = 0.0
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        scores = torch.stack([z[i] @ z[a] / temperature for a in others])
        log_share = scores - torch.logsumexp(scores, dim=0)  # log of exp(score) / sum of exp(scores)
        positive = torch.tensor([crystal[a] == crystal[i] or y[a] == y[i] != -1 for a in others])
        total = total - log_share[positive].mean()
    return total / len(z)


# %% tags=["nbval-check-output"]
draw = torch.Generator().manual_seed(0)
z1 = torch.randn(4, 8, generator=draw)  # four crystals, D = 8
z2 = z1 + 0.5 * torch.randn(4, 8, generator=draw)
for name, labels in CASES.items():
    mine = simclr_by_loops(z1, z2, torch.tensor(labels), 0.1)
    package = losses.supervised_simclr(z1, z2, torch.tensor(labels), 0.1)
    print(f"{name:14}equal to the package: {torch.allclose(mine, package, rtol=1e-4)}")
print(
    "all different is SimCLR:",
    torch.equal(losses.supervised_simclr(z1, z2, torch.arange(4)), losses.supervised_simclr(z1, z2)),
)

# %% [markdown]
# ## 4 · Supervised Barlow Twins in full
#
# No quiz here: a *target* for every cosine. Pairs of one class should have 1, all others 0:
#
# `loss = mean over pairs of one class of (1 - C_ij)² + λ · mean over the other pairs of C_ij²`, with `C_ij = cos(z1_i,
# z2_j)`
#
# This sample-wise form, and the two separate means, are our choice; with means, a λ of order 1 gives both sides a say
# whatever the sizes of the classes. (The original Barlow Twins compares *features*, not samples; it is in the registry
# as `barlow`.)


# %%
def barlow_by_loops(z1, z2, labels, balance):
    """Supervised Barlow Twins of two views [B, D] and labels [B], a pair at a time; balance is λ."""
    u1, u2, y = functional.normalize(z1, dim=1), functional.normalize(z2, dim=1), labels.tolist()
    together, apart = [], []
    for i in range(len(u1)):
        for j in range(len(u2)):
            cosine = u1[i] @ u2[j]
            if i == j or y[i] == y[j] != -1:
                together.append((1 - cosine) ** 2)
            else:
                apart.append(cosine**2)
    push = torch.stack(apart).mean() if apart else 0.0  # one class: nobody to push
    return torch.stack(together).mean() + balance * push


# %% tags=["nbval-check-output"]
for name, labels in CASES.items():
    mine = barlow_by_loops(z1, z2, torch.tensor(labels), 1.0)
    package = losses.supervised_barlow(z1, z2, torch.tensor(labels), 1.0)
    print(f"{name:14}equal to the package: {torch.allclose(mine, package, rtol=1e-4)}")

# %% [markdown]
# ## 5 · Which way does a loss pull?
#
# Four crystals in the plane, two of class ● and two of class ▲, each with two views (filled and open). One crystal of
# each class is near a stranger and far from its fellow. An arrow is minus the gradient: where the point would go.
# *Classification* reads the two coordinates as scores of the two classes. (The registry has both at once,
# too: with `sup_barlow+classes` the projector gives scores beside its projection, and two losses are added. Not drawn.)
#
# **Predict before you run.** Which losses pull the two ● together? Which push apart two crystals of *one* class?

# %%
toy_labels = torch.tensor([0, 0, 1, 1])
toy_angles = (
    torch.tensor([[15.0, 150.0, 55.0, 255.0], [-5.0, 130.0, 75.0, 275.0]]) * torch.pi / 180
)  # two views of four
toy = torch.stack([toy_angles.cos(), toy_angles.sin()], dim=2)  # [2, 4, 2]
six = [loss for loss in losses.LOSSES.values() if not loss.adds_classes]
fig, axes = plt.subplots(2, 3, figsize=(9.5, 6.6), layout="constrained", dpi=90)
for ax, loss in zip(axes.flat, six, strict=True):
    points = toy.clone().requires_grad_()
    value = loss.compute(points[0], points[1], toy_labels, 0.5, 1.0)  # τ = 0.5, λ = 1
    value.backward()
    title = f"{loss.title}: {value:.3g}"
    plots_models.points_on_circle(toy.numpy(), toy_labels.numpy(), ax, title, -points.grad.numpy())
axes[0, 0].legend(loc="center")
plots.note_source(axes[0, 0], "toy plane", "longest arrow of each panel drawn with the same length")
plt.show()

# %% [markdown]
# **What we see.** The two supervised losses (top left) pull fellows together across the circle. The unsupervised ones
# see strangers there: SimCLR pushes *everyone* but the own view away, fellows too (*class collision*). Sample-wise
# losses pull along the circle only, since they do not look at lengths. Barlow Twins by features looks at columns of the
# whole batch, so its arrows have no meaning pair by pair. Classification moves ● along one diagonal (first score up,
# second down) and ▲ the other way, most where the answer is still wrong.
#
# ## 6 · Limits
#
# What does each loss give in strange batches? **Predict** the row *one class, one point*: nothing is left to learn.

# %%
import pandas as pd

from spmat_nb.errors import TrainingError


def value_of(loss, first, second, labels):
    """The loss as text: a number, and a word if its gradient is not finite; or that it is refused."""
    views = [z.clone().requires_grad_() for z in (first, second)]
    try:
        value = loss.compute(*views, torch.tensor(labels), 0.1, 1.0)
    except TrainingError:
        return "refused"
    value.backward()
    return f"{abs(value):.3f}" + ("" if all(v.grad.isfinite().all() for v in views) else " (gradient not finite)")


one = torch.ones(4, 8)
BATCHES = {name: (z1, z2, labels) for name, labels in CASES.items()} | {
    "one class, one point": (one, one, [0] * 4), "two classes, one point": (one, one, [0, 0, 1, 1]),
    "all labels missing": (z1, z2, [-1] * 4), "two crystals": (z1[:2], z2[:2], [0, 1]),
    "one crystal": (z1[:1], z2[:1], [0]),
}  # fmt: skip
pd.DataFrame({loss.key: {name: value_of(loss, *b) for name, b in BATCHES.items()} for loss in six})

# %% [markdown]
# **What we see.**
#
# - *All different* and *all missing* give the supervised losses the values of their unsupervised twins, `simclr` and
#   `barlow_samples`.
# - *One class, one point* is perfect for supervised Barlow Twins: 0. Supervised SimCLR gives 1.946 = log 7: each view
#   has 7 others, all are its partners, and each gets a share of 1/7. **It cannot go lower.** Loss values for different
#   labels, or batch sizes, cannot be compared.
# - *Two classes, one point*, the collapse of everything, costs supervised Barlow Twins λ = 1: a cosine of 1 where 0 is
#   wanted. Supervised SimCLR has the same value for it, log 7, but here it could go lower.
# - *All labels missing*: classification has nothing to learn from, and says 0.
# - *One crystal*: nobody to compare with. `barlow` needs the spread of a column and refuses; the others stay finite.
#
# ## 7 · Two dials: temperature and λ
#
# How hard is a negative pushed? In SimCLR with its *share* of the softmax: below, eight negatives of a view, from far
# (cosine -0.5) to hard (0.9), share the push among themselves. **Predict:** who gets it at τ = 0.05? At τ = 1?

# %%
hard = torch.linspace(-0.5, 0.9, 8)
shares = {tau: torch.softmax(hard / tau, dim=0).numpy() for tau in (0.05, 0.1, 0.5, 1.0)}
fig, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained", dpi=90)
plots_models.temperature_shares(hard.numpy(), shares, ax)
ax.set_title("A low temperature pushes only the hardest negative")
plt.show()

# %% [markdown]
# **What we see.** At 0.05 the hardest negative gets nearly all of the push; at 1 everybody gets about the same. Low
# temperatures look at the neighbourhood, high ones at the whole. With wrong labels the hardest "negatives" are often
# true fellows, so a low temperature also trusts labels more. In the supervised form every fellow
# should get the share 1/|P|, and those with less are pulled.
#
# For **λ** we need something that cannot do everything at once. A toy encoder: one matrix, 10 numbers to 4, trained on
# "crystals" that are class + individual + noise of the view, and one number that all have in common. After training we
# look at *new* crystals.

# %%
from spmat_nb.diagnostics import positive_negative_similarity


def toy_crystals(count, seed):
    """Two views [count, 10] of crystals that are class + individual + noise, and their labels, of three classes."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 3
    body = 1.5 * torch.eye(9)[y] + 0.7 * torch.randn(count, 9, generator=draw)
    views = (body + 0.5 * torch.randn(count, 9, generator=draw) for _ in range(2))
    return *(torch.cat([view, torch.ones(count, 1)], dim=1) for view in views), y  # the last number is the same for all


rows, (x1, x2, y), (new1, new2, new_y) = [], toy_crystals(90, seed=0), toy_crystals(300, seed=1)
for balance in 10.0 ** torch.arange(-3, 3.1, 0.5):
    matrix = (0.3 * torch.randn(10, 4, generator=torch.Generator().manual_seed(2))).requires_grad_()
    optimiser = torch.optim.Adam([matrix], lr=0.02)
    for _ in range(100):
        optimiser.zero_grad()
        losses.supervised_barlow(x1 @ matrix, x2 @ matrix, y, float(balance)).backward()
        optimiser.step()
    positive, negative = positive_negative_similarity(new1 @ matrix, new2 @ matrix, new_y)
    rows.append({"balance": float(balance), "positive": positive, "negative": negative})

# %%
fig, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained", dpi=90)
plots_models.balance_curves(pd.DataFrame(rows), ax)
ax.set_title("λ weighs pulling against pushing")
plots.note_source(ax, "toy encoder", "300 new toy crystals of 3 classes")
plt.show()

# %% [markdown]
# **What we see.** With a tiny λ all points may share one direction: fellows agree perfectly and so, alas, do strangers.
# A large λ drives strangers to right angles, and fellows loosen. Between, λ trades one for the other. The 0.0051 of the
# original Barlow Twins belongs to a *sum* over features; put here, it would nearly switch the push off.
#
# ## 8 · Where do the points end?
#
# Free points, no encoder: twelve crystals of two classes start anywhere on the circle and roll down each loss.
#
# **Predict before you run.** At which angle do two classes end under supervised SimCLR? Under supervised Barlow Twins?


# %%
def roll_down(loss, start, labels, temperature=0.5, rate=0.05, steps=300):
    """Both views of free points [2, B, D] after each step of Adam, as directions."""
    points = start.clone().requires_grad_()
    optimiser, road = torch.optim.Adam([points], lr=rate), []
    for _ in range(steps + 1):
        road.append(functional.normalize(points.detach(), dim=2))
        optimiser.zero_grad()
        loss.compute(points[0], points[1], labels, temperature, 1.0).backward()
        optimiser.step()
    return road


draw = torch.Generator().manual_seed(1)
two = torch.arange(12) % 2
start = functional.normalize(torch.randn(12, 2, generator=draw) + 0.1 * torch.randn(2, 12, 2, generator=draw), dim=2)
fig, axes = plt.subplots(2, 3, figsize=(9.5, 6.6), layout="constrained", dpi=90)
for ax, loss in zip(axes.flat, six, strict=True):
    end = roll_down(loss, start, two)[-1]
    plots_models.points_on_circle(end.numpy(), two.numpy(), ax, loss.title)
axes[0, 0].legend(loc="center")
plots.note_source(axes[0, 0], "toy plane", "12 free crystals, 300 steps, τ = 0.5, λ = 1; drawn as directions")
plt.show()

# %% [markdown]
# **What we see.** Under the supervised losses a class becomes *one point*. SimCLR, which only wants strangers far away,
# puts two classes opposite each other (180°); Barlow Twins, which wants a cosine of 0, at right angles (90°).
# Unsupervised losses ignore the classes. SimCLR spreads the crystals evenly. Barlow Twins by samples is frustrated:
# twelve crystals cannot all be at right angles in a plane, so they share directions and even tear views apart. A real
# projection has 256 dimensions, room for 256 strangers.
#
# With more room, D = 8 and three classes, we can put numbers on it: **class spread** (mean distance to the middle of
# the class over the same for all points: 0 is a collapsed class) and **effective rank** (how many directions are in
# use).

# %%
from spmat_nb.diagnostics import class_spread, effective_rank

draw = torch.Generator().manual_seed(0)
three = torch.arange(24) % 3
start = torch.randn(24, 8, generator=draw) + 0.3 * torch.randn(2, 24, 8, generator=draw)  # [2, 24, 8]
history = []
for loss in six:
    road = roll_down(loss, start, three, temperature=0.2, rate=0.02)
    for step in (0, 3, 10, 30, 100, 300):
        spread = sum(class_spread(road[step][0], three.numpy()).values()) / 3
        rank = effective_rank(road[step][0])
        history.append({"loss": loss.title, "step": step, "class_spread": spread, "effective_rank": rank})
history = pd.DataFrame(history)
history[history["step"] == 300].set_index("loss").round(2)

# %%
fig, axes = plt.subplots(1, 2, figsize=(11, 3.2), layout="constrained", dpi=90)
plots_models.descent_curves(history, axes)
plots.note_source(axes[0], "free points", "24 toy crystals, 3 classes, D = 8, τ = 0.2, λ = 1")
plt.show()

# %% [markdown]
# **What we see.** The losses that know the label (sup..., classification) drive the spread towards 0, and the rank
# towards 2: three points span a plane. All that told crystals of one class apart is gone, *by order of the loss*. With
# a binary label only a line would be left. Unsupervised losses keep everything apart.
#
# **Classification goes the same way, more slowly.** It needs no second view, no pairs, no temperature, no λ. It is the
# *cheapest rival*: a supervised contrastive loss has to beat it, or it is not worth its trouble.
#
# ## 9 · And in a real encoder?
#
# Points are not free there: similar crystals have similar embeddings, and the projector stands between the loss and
# what we keep. Some encoders come with the project: two pretrained on the unstable crystals of the teaching set,
# without a label and with the gap class, and one on 33 thousand crystals of the Materials Project with supervised
# SimCLR. We look at 800 *stable* crystals of the teaching set. **Predict:** where is the collapse stronger, in the
# embedding or in the projection? Which class collapses first?

# %%
from spmat_nb import crystals
from spmat_nb.embed import embed
from spmat_nb.labels import get_label, label_classes
from spmat_nb.models import load_pretrained, random_encoder

teaching = crystals.load("teaching")
stable = teaching.of_split("train", "val", "test").sample(800, seed=0)
classes = label_classes(stable.table, "gap_class")
names = ("teaching-barlow", "teaching-sup_barlow-gap_class", "mp33k-sup_simclr-gap_class")
models = {"random": random_encoder(seed=0)} | {name: load_pretrained(name) for name in names}
rows, kinds = [], get_label("gap_class").classes
for name, model in models.items():
    embedding = torch.tensor(embed(stable, model).to_numpy())
    with torch.no_grad():
        projection = functional.normalize(model.projector(embedding), dim=1)
    for what, values in (("embedding", embedding), ("projection", projection)):
        spread = class_spread(values, classes)
        row = {f"spread: {kind} ({(classes == i).sum()})": spread[i] for i, kind in enumerate(kinds)}
        rows.append({"encoder": name, "of the": what} | row | {"effective rank": effective_rank(values)})
pd.DataFrame(rows).set_index(["encoder", "of the"]).round(2)

# %% [markdown]
# **What we see.** (Teaching set, one run each.) Without a label all spreads are near 1 and many directions are in use.
# With one, few directions are left, down to the two that three points need. In the projection the largest class,
# *none*, shrinks to about a third; the small classes do not shrink at all: many crystals with a narrow gap look like
# metals and lie among them, so their class is torn. In the embedding, before the projector, the large class is much
# wider than behind it. That is one reason to drop the projector after pretraining.
#
# ## 10 · Traps of arithmetic
#
# The formulas are short; computers have their own opinion. **Predict** which lines below give `nan`.

# %%
cosine = torch.tensor([[1.0, 0.9, -0.2], [0.9, 1.0, 0.1], [-0.2, 0.1, 1.0]])
itself = torch.eye(3, dtype=torch.bool)
print("share by exp and sum at τ = 0.1: ", (torch.exp(cosine / 0.1) / torch.exp(cosine / 0.1).sum(1))[0])
print("the same at τ = 0.01:            ", (torch.exp(cosine / 0.01) / torch.exp(cosine / 0.01).sum(1))[0])
print("by softmax at τ = 0.01:          ", torch.softmax(cosine / 0.01, dim=1)[0])
log_share = torch.log_softmax((cosine / 0.1).masked_fill(itself, -torch.inf), dim=1)
print("positives by a product:          ", (log_share * ~itself).sum(1))
print("positives by torch.where:        ", torch.where(~itself, log_share, 0.0).sum(1))
print("mean of nothing:                 ", torch.tensor([]).mean())
for kind in (torch.float32, torch.float16, torch.bfloat16):
    close = torch.tensor(0.9995, dtype=kind)
    large = torch.exp(torch.tensor(1 / 0.07, dtype=kind))
    print(f"{kind}: 1 - 0.9995 = {float(1 - close):.5f}, exp(1 / 0.07) = {large:.3g}")

# %% [markdown]
# **What we see.**
#
# - `exp(100)` is larger than any float32, and inf / inf is nan. `logsumexp` and `softmax` subtract the largest value
#   first.
# - `0 * -inf` is nan: masking by a product brings back what was masked. Choose with `torch.where`.
# - The mean of an empty set is nan: a batch of one class has no negatives.
# - Half precision cannot see a cosine near 1 (bfloat16 has steps of 0.004 there), and float16 ends at 65,504. The
#   package computes its losses in float32, also when the network runs in half.
#
# ## 11 · Exercises
#
# **Exercise 1.** Write the class mask: `labels` [B] of whole numbers, -1 for not known, to a [B, B] tensor of True and
# False.


# %%
def class_mask(labels):
    """True where two crystals count as one class: [B] to [B, B]."""
    raise NotImplementedError


checks.check_class_mask(class_mask)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def class_mask(labels):
#     known = labels != -1
#     equal = (labels[:, None] == labels[None, :]) & known[:, None] & known[None, :]
#     return equal | torch.eye(len(labels), dtype=torch.bool)
# ```
#
# The diagonal comes last, so that a crystal without a label keeps its own other view.
# </details>
#
# **Exercise 2.** Write supervised SimCLR with matrices instead of loops. Start from the 2B normalised views, their
# cosines [2B, 2B] over τ, and the mask. It must also work at τ = 0.01. For the mask, use `losses.class_mask(labels,
# len(labels), labels.device)` or your own.


# %%
def supervised_simclr(z1, z2, labels, temperature):
    """Supervised SimCLR without loops: two views [B, D] and labels [B] to a number."""
    raise NotImplementedError


checks.check_supervised_simclr(supervised_simclr)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def supervised_simclr(z1, z2, labels, temperature):
#     z = functional.normalize(torch.cat([z1, z2]), dim=1)
#     itself = torch.eye(len(z), dtype=torch.bool)
#     positive = losses.class_mask(labels, len(labels), labels.device).repeat(2, 2) & ~itself
#     scores = (z @ z.T / temperature).masked_fill(itself, -torch.inf)
#     log_share = scores - torch.logsumexp(scores, dim=1, keepdim=True)
#     kept = torch.where(positive, log_share, 0.0)
#     return -(kept.sum(1) / positive.sum(1)).mean()
# ```
#
# The view itself leaves the denominator by a score of -inf. The mean over P(i) comes before the mean over i.
# </details>
#
# **Exercise 3.** Write supervised Barlow Twins with matrices. It must give a number for a batch of one class too.


# %%
def supervised_barlow(z1, z2, labels, balance):
    """Supervised Barlow Twins without loops: two views [B, D] and labels [B] to a number; balance is λ."""
    raise NotImplementedError


checks.check_supervised_barlow(supervised_barlow)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def supervised_barlow(z1, z2, labels, balance):
#     cosine = functional.normalize(z1, dim=1) @ functional.normalize(z2, dim=1).T
#     same = losses.class_mask(labels, len(labels), labels.device)
#     others = cosine[~same]
#     pull = (1 - cosine[same]).square().mean()
#     return pull + balance * others.square().sum() / max(len(others), 1)
# ```
#
# Each part is divided by its own number of pairs. There are always pairs of one class: the diagonal.
# </details>
#
# **Exercise 4.** B crystals of *one* class lie on *one* point. What is their supervised SimCLR loss? Give a formula in
# B.


# %%
def floor(crystals):
    """Supervised SimCLR of so many crystals of one class, all projections equal."""
    raise NotImplementedError


checks.check_floor(floor)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# import math
#
#
# def floor(crystals):
#     return math.log(2 * crystals - 1)
# ```
#
# All cosines are 1, so each of the 2B - 1 other views has the share 1 / (2B - 1). No arrangement of one class does
# better: the mean of logarithms is never above the logarithm of the mean share.
# </details>
#
# ## 12 · Discussion
#
# <details><summary><b>Question:</b> why does the mean over P(i) stand outside the logarithm?</summary>
# <p>Outside, every partner must have a fair share, and a far partner pulls hard. Inside, one near partner would be
# enough, and the own other view always is near. Khosla et al. compare both forms and keep the outer one.</p>
# </details>
#
# <details><summary><b>Question:</b> if classes collapse to points, how can pretraining help with a property?</summary>
# <p>A full collapse would not. We hope to stop on the way: the label has then bent the embedding towards chemistry, and
# the rest is still there. Few epochs, noisy views, several classes and the projector help; so watch the class
# spread.</p>
# </details>
#
# <details><summary><b>Question:</b> which control shows that the <i>labels</i> help, not the form of loss?</summary>
# <p>The same loss without labels: <code>simclr</code> beside <code>sup_simclr</code>, <code>barlow_samples</code>
# beside <code>sup_barlow</code>. And shuffled labels, and plain classification.</p>
# </details>
#
# ## 13 · Recap
#
# - The mask is true on the diagonal and where labels are equal and known; unique labels give the unsupervised losses.
# - Supervised SimCLR: a softmax over all other views, the mean log share of one's class. Its floor grows with the
#   class.
# - Supervised Barlow Twins: cosine 1 for fellows, 0 for strangers, two means, weighed by λ.
# - One class, one crystal, missing labels: finite values, or a refusal that says why; never nan.
# - Labels pull each class towards one point: 180° apart in one loss, 90° in the other. Classification does so too.
#
# **Try it:** three classes in section 8 (`torch.arange(12) % 3`): who is frustrated in the plane? Swap two labels
# there.
#
# **Next:** `05` trains with these losses, and watches for collapse.
#
# **References.** T. Chen et al., ICML 2020 (SimCLR, NT-Xent). P. Khosla et al., NeurIPS 2020 (supervised contrastive
# learning). J. Zbontar et al., ICML 2021 (Barlow Twins). F. Wang and H. Liu, CVPR 2021 (temperature and hard
# negatives). V. Papyan, X. Y. Han and D. L. Donoho, PNAS 117, 24652 (2020) (collapse of classes under classification).
# F. Graf et al., ICML 2021 (the same under supervised contrastive loss). R. Magar, Y. Wang and A. Barati Farimani, npj
# Comput. Mater. 8, 231 (2022) (Crystal Twins).
