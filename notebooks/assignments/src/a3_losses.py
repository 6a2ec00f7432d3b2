# %% [markdown]
# # Assignment 3 · Losses
#
# **You write the two supervised losses, work out what they can reach, and make them safe at low temperature.**
#
# By the end you can
#
# - *draw* the class mask for any labels, known or not,
# - *write* supervised SimCLR and sample-wise supervised Barlow Twins,
# - *calculate* their values in the limits where a class, or everything, falls onto one point,
# - *write* a logarithm of shares that neither overflows nor loses its gradient.
#
# **Needs:** notebook 04. No GPU, no network. **Minutes:** 90 to 120. **Points:** 20.
#
# | question | points: seen check + hidden check |
# |---|---|
# | 1 · class mask | 1 + 2 |
# | 2 · supervised SimCLR | 2 + 3 |
# | 3 · supervised Barlow Twins | 2 + 3 |
# | 4 · limits | 1 + 2 |
# | 5 · numerical traps | 1 + 3 |
#
# **How it works.** Replace `raise NotImplementedError` by your answer and run the cell. Each question has a *run cell*
# that shows what your answer does beside the figure it should look like, and a *seen check* that tells you what is
# wrong in words. A *hidden check* runs when your work is graded: the same question on other cases. You may add cells.
# Checks and other text are put back as they were, so changing them changes nothing. A function never changes what it is
# given (no `+=` on a tensor), and the answer must be your own code: the losses of the package are closed while your
# work is graded.

# %% tags=["setup"]
import math

import torch
from torch.nn import functional

from spmat_nb import plots, plots_graphs, plots_models
from spmat_nb.checks import assignment_losses as more
from spmat_nb.checks import losses as checks
from spmat_nb.checks.marking import mark


def two_views(count, size, seed, noise=0.5):
    """Two noisy views [count, size] of some points, the same again for the same seed; double precision."""
    draw = torch.Generator().manual_seed(seed)
    first = torch.randn(count, size, generator=draw, dtype=torch.float64)
    return first, first + noise * torch.randn(count, size, generator=draw, dtype=torch.float64)


# %% [markdown]
# ## 1 · Class mask
#
# Which crystals count as one class? `mask[i, j]` is true where labels i and j are equal **and known**. A label of −1
# means *not known*: such a crystal is a class of its own, so it still belongs to itself.
#
# By hand: draw the mask of the labels 0, −1, 0, −1 before you go on. How many of its 16 squares are true?


# %% answer="class_mask"
def class_mask(labels):
    """[B, B] booleans, true where two crystals count as one class; labels is [B], -1 is not known."""
    ### BEGIN SOLUTION
    known = labels >= 0
    same = (labels[:, None] == labels[None, :]) & known[:, None] & known[None, :]
    return same | torch.eye(len(labels), dtype=torch.bool)
    ### END SOLUTION


# %% run="mask"
import matplotlib.pyplot as plt

plots.use_style()
fig, axes = plt.subplots(1, 3, figsize=(9, 3.3), dpi=80, layout="constrained")
cases = {"two classes": [0, 0, 1, 1], "b, d not known": [0, -1, 0, -1], "none known": [-1] * 4}
for ax, (title, labels) in zip(axes, cases.items(), strict=True):
    plots_models.mask_map(class_mask(torch.tensor(labels)).numpy(), [*"abcd"], ax, title)
plt.show()

# %% [markdown] target="mask"
# **It should look like this.** Missing labels act like different ones.

# %% check="mask-seen" points=1
mark(checks.check_class_mask(class_mask))

# %% check="mask-hidden" points=2
# A hidden check: other labels.
### BEGIN HIDDEN TESTS
hidden_labels = {
    "seven labels": [3, 0, -1, 3, 0, 0, -1],
    "one class": [0, 0, 0],
    "no label known": [-1, -1, -1],
    "one crystal": [2],
    "large numbers": [100, -1, 100, 7],
}
mark(more.check_mask_of(class_mask, hidden_labels))
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · Supervised SimCLR
#
# All 2B views are compared with each other. With cosines over the temperature τ, and P(i) the other views of i's class:
#
# `loss = − mean over i of [ mean over p in P(i) of log( exp(z_i·z_p / τ) / Σ over a ≠ i of exp(z_i·z_a / τ) ) ]`
#
# `torch.cat`, `functional.normalize`, `mask.repeat(2, 2)`, `torch.logsumexp` and `torch.where` are your friends.


# %% answer="supervised_simclr"
def supervised_simclr(z1, z2, labels, temperature):
    """The loss of two views [B, D] with labels [B], a scalar; use your `class_mask`."""
    ### BEGIN SOLUTION
    z = functional.normalize(torch.cat([z1, z2]), dim=1)
    itself = torch.eye(len(z), dtype=torch.bool)
    scores = (z @ z.T / temperature).masked_fill(itself, -torch.inf)
    log_share = scores - torch.logsumexp(scores, dim=1, keepdim=True)
    positive = class_mask(labels).repeat(2, 2) & ~itself
    return -(torch.where(positive, log_share, 0.0).sum(1) / positive.sum(1)).mean()
    ### END SOLUTION


# %% run="simclr"
angles = torch.tensor([[15.0, 150.0, 55.0, 255.0], [-5.0, 130.0, 75.0, 275.0]]) * torch.pi / 180
toy, toy_labels = torch.stack([angles.cos(), angles.sin()], dim=2), torch.tensor([0, 0, 1, 1])
fig, axes = plt.subplots(1, 2, figsize=(7.5, 3.8), dpi=80, layout="constrained")
for ax, temperature in zip(axes, (0.5, 0.1), strict=True):
    points = toy.clone().requires_grad_()
    value = supervised_simclr(points[0], points[1], toy_labels, temperature)
    value.backward()
    title = f"your loss, τ = {temperature}: {value:.2f}"
    plots_models.points_on_circle(toy.numpy(), toy_labels.numpy(), ax, title, -points.grad.numpy())
axes[0].legend(loc="center")
plots.note_source(axes[0], "toy plane", "four crystals; arrows: where the loss pulls")
plt.show()

# %% [markdown] target="simclr"
# **It should look like this.** Each crystal is pulled across the circle to its fellow.

# %% check="simclr-seen" points=2
mark(checks.check_supervised_simclr(supervised_simclr))

# %% check="simclr-hidden" points=3
# A hidden check: other batches and temperatures.
### BEGIN HIDDEN TESTS
mark(
    more.check_simclr_on(
        supervised_simclr,
        {
            "nine crystals of three classes": (*two_views(9, 5, 11), torch.tensor([0, 1, 2, 0, 1, 0, 0, 2, 0]), 0.2),
            "all different": (*two_views(5, 3, 12), torch.arange(5), 0.7),
            "some not known": (*two_views(6, 4, 13), torch.tensor([1, -1, 1, -1, 0, 0]), 0.3),
            "one class": (*two_views(4, 4, 14), torch.zeros(4, dtype=torch.long), 0.1),
        },
    )
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · Supervised Barlow Twins, sample by sample
#
# `C_ij` is the cosine of the *first* view of i with the *second* view of j, B by B. Pairs of one class should have 1,
# all others 0:
#
# `loss = mean over pairs of one class of (1 − C_ij)² + λ · mean over the other pairs of C_ij²`
#
# Where there are no other pairs, the second part is 0.


# %% answer="supervised_barlow"
def supervised_barlow(z1, z2, labels, balance):
    """The loss of two views [B, D] with labels [B], a scalar; balance is λ; use your `class_mask`."""
    ### BEGIN SOLUTION
    cosine = functional.normalize(z1, dim=1) @ functional.normalize(z2, dim=1).T
    same = class_mask(labels)
    others = cosine[~same]
    return (1 - cosine[same]).square().mean() + balance * others.square().sum() / max(others.numel(), 1)
    ### END SOLUTION


# %% run="barlow"
fig, axes = plt.subplots(1, 2, figsize=(7.5, 3.8), dpi=80, layout="constrained")
for ax, balance in zip(axes, (0.1, 10.0), strict=True):
    points = toy.clone().requires_grad_()
    value = supervised_barlow(points[0], points[1], toy_labels, balance)
    value.backward()
    title = f"your loss, λ = {balance:g}: {value:.2f}"
    plots_models.points_on_circle(toy.numpy(), toy_labels.numpy(), ax, title, -points.grad.numpy())
axes[0].legend(loc="center")
plots.note_source(axes[0], "toy plane", "four crystals; arrows: where the loss pulls")
plt.show()

# %% [markdown] target="barlow"
# **It should look like this.** With a small λ fellows pull; with a large one strangers push towards right angles.

# %% check="barlow-seen" points=2
mark(checks.check_supervised_barlow(supervised_barlow))

# %% check="barlow-hidden" points=3
# A hidden check: other batches and λ.
### BEGIN HIDDEN TESTS
mark(
    more.check_barlow_on(
        supervised_barlow,
        {
            "nine crystals of three classes": (*two_views(9, 5, 21), torch.tensor([0, 1, 2, 0, 1, 0, 0, 2, 0]), 2.5),
            "all different": (*two_views(5, 3, 22), torch.arange(5), 0.2),
            "some not known": (*two_views(6, 4, 23), torch.tensor([1, -1, 1, -1, 0, 0]), 0.7),
            "one class": (*two_views(4, 4, 24), torch.zeros(4, dtype=torch.long), 1.0),
        },
    )
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · Limits
#
# No computer for this one: pencil and paper. B crystals, any B from 3; λ is `balance`. Both views of a crystal are
# equal. What is the loss, as a formula in B and λ?
#
# | name | the points |
# |---|---|
# | `simclr, one class, one point` | one class, all on one point |
# | `simclr, all different, one point` | B classes, all on one point |
# | `barlow, one class, one point` | one class, all on one point |
# | `barlow, two classes, one point` | two classes, all on one point |
# | `barlow, one class, right angles` | one class, different crystals at right angles |


# %% answer="limits"
def limits(crystals, balance):
    """The five values, by the names of the table, for B = crystals and λ = balance."""
    ### BEGIN SOLUTION
    floor = math.log(2 * crystals - 1)
    return {
        "simclr, one class, one point": floor,
        "simclr, all different, one point": floor,
        "barlow, one class, one point": 0.0,
        "barlow, two classes, one point": balance,
        "barlow, one class, right angles": 1 - 1 / crystals,
    }
    ### END SOLUTION


# %% run="limits"
one_point, right_angles = torch.ones(8, 8), torch.eye(8)
one, two, different = torch.zeros(8, dtype=torch.long), torch.arange(8) % 2, torch.arange(8)
by_code = {
    "simclr, one class, one point": supervised_simclr(one_point, one_point, one, 0.3),
    "simclr, all different, one point": supervised_simclr(one_point, one_point, different, 0.3),
    "barlow, one class, one point": supervised_barlow(one_point, one_point, one, 0.4),
    "barlow, two classes, one point": supervised_barlow(one_point, one_point, two, 0.4),
    "barlow, one class, right angles": supervised_barlow(right_angles, right_angles, one, 0.4),
}
for name, value in by_code.items():
    print(f"{name:34} your code {float(value):.4f}, your formula {limits(8, 0.4)[name]:.4f}")

# %% check="limits-seen" points=1
mark(more.check_limits(limits, [(8, 0.4)], ["simclr, one class, one point", "barlow, one class, one point"]))

# %% check="limits-hidden" points=2
# A hidden check: all five, for other B and λ.
### BEGIN HIDDEN TESTS
mark(more.check_limits(limits, [(5, 0.3), (32, 1.7)]))
### END HIDDEN TESTS

# %% [markdown]
# ## 5 · Numerical traps
#
# At τ = 0.01 a cosine of 1 becomes a score of 100, and `exp(100)` is too large for single precision. The heart of a
# safe loss is a **logarithm of shares**: for each row, the log of `exp(score)` over the sum of `exp(score)` where the
# mask is true. Three traps: `exp` overflows; `log` of an underflown sum is −∞; and 0 · (−∞) is NaN, in the value or,
# worse, in the gradient only.


# %% answer="log_shares"
def log_shares(scores, mask):
    """[n, n] logarithms of the shares in each row among the entries where mask is true; 0 where it is false."""
    ### BEGIN SOLUTION
    among = scores.masked_fill(~mask, -torch.inf)
    return torch.where(mask, scores - torch.logsumexp(among, dim=1, keepdim=True), 0.0)
    ### END SOLUTION


# %% tags=["helper"]
def slope(scores, mask):
    """The gradient of the sum of your log_shares with respect to the scores, [n, n]."""
    leaf = scores.clone().requires_grad_()
    log_shares(leaf, mask).sum().backward()
    return leaf.grad


# %% run="traps"
import pandas as pd

cosines = torch.tensor([[1.0, 0.2, 0.9], [0.2, 1.0, 0.1], [0.9, 0.1, 1.0]])  # the positive of row 0 is column 1
others, rows = ~torch.eye(3, dtype=torch.bool), {}
for tau in (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001):
    naive = torch.log(torch.exp(cosines[0, 1] / tau) / torch.exp(cosines[0, 1:] / tau).sum())
    rows[-math.log10(tau)] = {"yours": float(-log_shares(cosines / tau, others)[0, 1]), "exp, then log": float(-naive)}
table = pd.DataFrame(rows).T.rename_axis("lower temperature →  −log10 τ")
table.columns.name = "−log share"
fig, ax = plt.subplots(figsize=(7.5, 3.0), dpi=80, layout="constrained")
plots_graphs.lines(table, ax)
ax.set(yscale="log", ylim=(0.5, 2000), title="A weak positive: at low τ, exp overflows and one line ends")
plt.show()
print("every entry of the gradient finite at τ = 0.001:", bool(slope(cosines / 0.001, others).isfinite().all()))

# %% [markdown] target="traps"
# **It should look like this.** The naive line stops where `exp` becomes infinite; yours goes on as 0.7 / τ.

# %% check="shares-seen" points=1
scores = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, -1.0], [3.0, 1.0, 0.0]])
mark(more.check_shares(log_shares, {"small scores": (scores, ~torch.eye(3, dtype=torch.bool))}))

# %% check="shares-hidden" points=3
# A hidden check: large scores, rows far apart, other masks, and the gradient.
### BEGIN HIDDEN TESTS
large = torch.tensor([[0.0, 100.0, 200.0], [100.0, 0.0, -100.0], [300.0, 100.0, 0.0]])
spread = torch.tensor([[0.0, 900.0, 850.0], [-700.0, 0.0, -720.0], [5.0, 4.0, 0.0]])
lonely = torch.tensor([[True, True, False], [False, True, False], [True, True, True]])
mark(
    more.check_shares(
        log_shares,
        {
            "large scores": (large, ~torch.eye(3, dtype=torch.bool)),
            "rows far apart": (spread, ~torch.eye(3, dtype=torch.bool)),
            "another mask": (spread, lonely),
        },
        slope,
    )
)
### END HIDDEN TESTS

# %% [markdown]
# ## Before you hand in
#
# - Restart the kernel and run all cells. Does every seen check say `[right]`?
# - A colleague reports a supervised SimCLR loss of 5.5 with 128 crystals of one class and is disappointed. What do you
#   answer? (Not graded; question 4 knows.)
# - Hand in this one file. Its name does not matter.
