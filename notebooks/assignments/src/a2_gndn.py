# %% [markdown]
# # Assignment 2 · GNDN
#
# **You write the noise of SPMat, show that it leaves a crystal's topology alone, and choose δ from evidence.**
#
# By the end you can
#
# - *write* graph-level neighbour distance noise (GNDN) that repeats,
# - *show* with a test of your own that the topology stays,
# - *calculate* how wide the noise is and how often it exchanges two shells,
# - *choose* δ by a rule that you state before you look.
#
# **Needs:** notebooks 01 and 02. No GPU, no network. **Minutes:** 60 to 90. **Points:** 20.
#
# | question | points: seen check + hidden check |
# |---|---|
# | 1 · write `gndn` | 3 + 3 |
# | 2 · does the topology stay? | 1 + 2 |
# | 3 · how wide is the noise? | 1 + 2 |
# | 4 · how often are shells exchanged? | 1 + 3 |
# | 5 · choose δ | 1 + 3 |
#
# **How it works.** Replace `raise NotImplementedError` by your answer and run the cell. Each question has a *run cell*
# that shows what your answer does beside the figure it should look like, and a *seen check* that tells you what is
# wrong in words. A *hidden check* runs when your work is graded: the same question on other cases. You may add cells.
# Checks and other text are put back as they were, so changing them changes nothing. A function never changes what it is
# given (no `+=` on a tensor), and the answer must be your own code: `augment.gndn` of the package is closed while your
# work is graded.

# %% tags=["setup"]
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from pymatgen.core import Lattice, Structure

from spmat_nb import augment, crystals, plots, plots_graphs
from spmat_nb.checks import assignment_views as more
from spmat_nb.checks import views as checks
from spmat_nb.checks.marking import mark
from spmat_nb.draws import Draws
from spmat_nb.graphs import build_graphs


def cubic(edge, centring, **sites):
    """A cubic crystal: the edge of its cell (Å), the translations of its centring, one site of each kind."""
    where = [np.add(site, step) % 1 for site in sites.values() for step in centring]
    return Structure(Lattice.cubic(edge), [kind for kind in sites for _ in centring], where)


def batch_of(*structures):
    """Crystals as one graph, 12 neighbours an atom."""
    return build_graphs(crystals.load(list(structures)), cache=False).batch(torch.arange(len(structures)))


ORIGIN, MIDDLE = (0, 0, 0), (0.5, 0.5, 0.5)
PRIMITIVE, BODY = (ORIGIN,), (ORIGIN, MIDDLE)
FACES = (ORIGIN, (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))
salt = batch_of(cubic(5.640, FACES, Na=ORIGIN, Cl=MIDDLE))  # rock salt: 8 atoms, 96 edges
iron = batch_of(cubic(2.866, BODY, Fe=ORIGIN))  # body-centred cubic

# %% [markdown]
# ## 1 · Write `gndn`
#
# A graph keeps one distance for each edge. GNDN adds to every distance its own draw of the uniform distribution between
# −δ and δ, *after* the graph is built and *before* the Gaussian expansion.
#
# Five numbers by hand: with δ = 0.5 Å, what do u = 0, ¼, ½, ¾ and 1 add to a distance of 2.82 Å? Write them down before
# you go on.
#
# `draws.uniform(batch.edge_id, "distances")` gives the u, one number in [0, 1) for each edge: the same again for the
# same draws. `dataclasses.replace(batch, distance=...)` makes a new batch. No distance may come out below 0.1 Å.


# %% answer="gndn"
def gndn(batch, delta, draws):
    """The batch with its own draw of U(-delta, delta) added to each distance (Å); no distance below 0.1 Å."""
    ### BEGIN SOLUTION
    noise = delta * (2 * draws.uniform(batch.edge_id, "distances") - 1)
    return replace(batch, distance=(batch.distance + noise).clamp(min=0.1))
    ### END SOLUTION


# %% run="gndn"
import matplotlib.pyplot as plt

plots.use_style()
many = torch.cat([gndn(salt, 0.5, Draws(i)).distance for i in range(50)]).numpy()
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), dpi=80, layout="constrained")
plots.distances_before_after(salt.distance.repeat(50).numpy(), many, 0.5, axes)
plots.note_source(axes[0], "NaCl", "50 draws of 96 edges")
plt.show()

# %% [markdown] target="gndn"
# **It should look like this.** Two sharp shells become two boxes of width 2δ, and every amount between −δ and δ is
# equally likely. A bell, or a box that begins at 0, is another noise.

# %% check="gndn-seen" points=3
mark(checks.check_gndn(gndn))

# %% check="gndn-hidden" points=3
# A hidden check: other crystals, other δ, edge by edge.
### BEGIN HIDDEN TESTS
oxygens = [(0.305, 0.305, 0), (0.695, 0.695, 0), (0.195, 0.805, 0.5), (0.805, 0.195, 0.5)]
rutile = Structure(Lattice.tetragonal(4.594, 2.959), ["Ti"] * 2 + ["O"] * 4, [ORIGIN, MIDDLE, *oxygens])
several = batch_of(cubic(4.123, PRIMITIVE, Cs=ORIGIN, Cl=MIDDLE), rutile, cubic(3.567, FACES, C=ORIGIN))
squeezed = replace(salt, distance=0.2 * salt.distance)
mark(more.check_gndn_exactly(gndn, {"three crystals": several, "short distances": squeezed}, (0.05, 0.31, 0.97)))
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · Does the topology stay?
#
# "Bonds stay" is a claim, and a claim needs a test that *could* fail. Write it: do two graphs have the same atoms
# (`z`) and the same edges (`centre` and `neighbour`), in the same order, whatever their distances?
#
# Predict before you run: which of the three views below pass?


# %% answer="same_topology"
def same_topology(before, after):
    """True if both batches have the same atoms and edges in the same order; distances do not matter."""
    ### BEGIN SOLUTION
    return all(torch.equal(getattr(before, name), getattr(after, name)) for name in ("z", "centre", "neighbour"))
    ### END SOLUTION


# %% run="topology"
for name, view in {
    "after your gndn": gndn(salt, 0.5, Draws(0)),
    "a tenth of the edges masked": augment.mask_edges(salt, 0.1, Draws(0)),
    "rock salt a little larger": batch_of(cubic(5.7, FACES, Na=ORIGIN, Cl=MIDDLE)),
}.items():
    print(f"{name:28} {len(view.distance)} edges, same topology: {same_topology(salt, view)}")

# %% check="topology-seen" points=1
mark(
    more.check_same_topology(
        same_topology,
        {
            "other distances": (salt, replace(salt, distance=salt.distance + 0.3), True),
            "a tenth of the edges masked": (salt, augment.mask_edges(salt, 0.1, Draws(1)), False),
        },
    )
)

# %% check="topology-hidden" points=2
# A hidden check: graphs with as many edges, but not the same ones.
### BEGIN HIDDEN TESTS
shuffled = replace(salt, neighbour=salt.neighbour.roll(7))
turned = replace(salt, neighbour=salt.centre, centre=salt.neighbour)
replaced = replace(salt, z=salt.z.clone().index_fill(0, torch.tensor([0]), 19))
mark(
    more.check_same_topology(
        same_topology,
        {
            "other neighbours": (salt, shuffled, False),
            "turned edges": (salt, turned, False),
            "other centres": (salt, replace(salt, centre=salt.centre.roll(5)), False),
            "another element": (salt, replaced, False),
            "only the distances": (iron, replace(iron, distance=iron.distance * 1.1), True),
        },
    )
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · How wide is the noise?
#
# To compare GNDN with another noise, both must be equally large. A common measure is the standard deviation. What is it
# for a uniform draw between −δ and δ? By hand: the mean of x² over that interval, and its root.


# %% answer="noise_std"
def noise_std(delta):
    """Standard deviation (Å) of one draw of U(-delta, delta)."""
    ### BEGIN SOLUTION
    return delta / np.sqrt(3)
    ### END SOLUTION


# %% run="width"
draws = np.random.default_rng(0).uniform(-1, 1, 100_000)
for delta in (0.1, 0.5, 1.0):
    print(f"δ = {delta} Å: 100 000 draws give {delta * draws.std():.3f} Å, your formula {noise_std(delta):.3f} Å")

# %% check="width-seen" points=1
mark(more.check_noise_std(noise_std, [0.5]))

# %% check="width-hidden" points=2
# A hidden check: other δ.
### BEGIN HIDDEN TESTS
mark(more.check_noise_std(noise_std, [0.12, 0.77]))
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · How often are shells exchanged?
#
# An atom has a near neighbour at distance d and a far one at d + g. Both are shaken, each by its own draw between −δ
# and δ. How often does the near one come out *farther* than the far one?
#
# Draw a square: the near draw along one side, the far draw along the other, both from −δ to δ. All points of the square
# are equally likely. The exchanged ones fill a corner. Its area over that of the square is the answer. For which δ is
# there no corner at all?


# %% answer="exchanged"
def exchanged(gap, delta):
    """Share (0 to 1) of draws that exchange two edges whose distances differ by `gap` (Å)."""
    ### BEGIN SOLUTION
    return max(2 * delta - gap, 0.0) ** 2 / (8 * delta**2)
    ### END SOLUTION


# %% run="exchanged"
rng, deltas = np.random.default_rng(0), pd.Index(np.arange(1, 21) / 20, name="δ (Å)")
table = pd.DataFrame(index=deltas, columns=pd.Index([], name="share exchanged (%)"))
for name, gap in {"NaCl, gap 1.17 Å": 1.17, "Fe, gap 0.38 Å": 0.38}.items():
    pairs = rng.uniform(-1, 1, (2, 20_000))
    table[f"{name}: your formula"] = [100 * exchanged(gap, d) for d in deltas]
    table[f"{name}: 20 000 draws"] = [100 * float((d * pairs[0] > gap + d * pairs[1]).mean()) for d in deltas]
fig, ax = plt.subplots(figsize=(8, 3.2), dpi=80, layout="constrained")
plots_graphs.lines(table, ax)
plt.show()

# %% [markdown] target="exchanged"
# **It should look like this**: the formula and the draws on top of each other, and nothing exchanged below half the
# gap.

# %% check="exchanged-seen" points=1
mark(more.check_exchanged(exchanged, [(1.17, 0.8)]))

# %% check="exchanged-hidden" points=3
# A hidden check: other gaps and δ, with and without exchange.
### BEGIN HIDDEN TESTS
mark(more.check_exchanged(exchanged, [(0.38, 0.5), (1.17, 0.3), (0.0, 0.4), (0.9, 0.45)]))
### END HIDDEN TESTS

# %% [markdown]
# ## 5 · Choose δ
#
# Too small, and the network cannot see the noise; too large, and it exchanges near and far. Evidence for each δ:
#
# - `alike`: mean cosine of the Gaussian expansion of a distance before and after (1: the noise cannot be seen),
# - `exchanged`: mean share of exchanged shells, by your formula.
#
# A rule, stated before the table is seen: **the largest δ with `alike` at most A and `exchanged` at most B**. Write the
# rule as a function. Where no δ meets it, say so: return `None`.


# %% answer="choose_delta"
def choose_delta(evidence, alike, exchanged):
    """The largest delta with both columns of the table at most at these limits, or None.

    evidence is a DataFrame: its index are the deltas (Å), in any order, its columns `alike` and `exchanged`.
    """
    ### BEGIN SOLUTION
    fits = evidence[(evidence["alike"] <= alike) & (evidence["exchanged"] <= exchanged)]
    return None if fits.empty else float(fits.index.max())
    ### END SOLUTION


# %% run="evidence"
from spmat_nb.layers import GaussianBasis

hundred = build_graphs(crystals.load("teaching").sample(100, seed=0), cache=False).batch(torch.arange(100))
basis, deltas = GaussianBasis(cutoff=8.0, step=0.2), pd.Index(np.arange(1, 11) / 10, name="δ (Å)")
around = [np.sort(hundred.distance[hundred.centre == i].numpy()) for i in range(len(hundred.z))]
gaps = [gap for gap in (np.diff(distances).max() for distances in around if len(distances) > 1) if gap > 0.2]
evidence = pd.DataFrame(index=deltas, columns=pd.Index([], name="cosine, or share"))
evidence["alike"] = [
    float(torch.cosine_similarity(basis(hundred.distance), basis(gndn(hundred, d, Draws(0)).distance)).mean())
    for d in deltas
]
evidence["exchanged"] = [float(np.mean([exchanged(gap, d) for gap in gaps])) for d in deltas]
chosen = choose_delta(evidence, 0.75, 0.05)
fig, ax = plt.subplots(figsize=(8, 3.2), dpi=80, layout="constrained")
plots_graphs.lines(evidence, ax)
ax.axvline(chosen or 0.0, color="black", ls="--", lw=1)
ax.set_title(f"At most 0.75 alike and 0.05 exchanged: δ = {chosen} Å")
plots.note_source(ax, "teaching set", f"100 crystals, {len(gaps)} atoms with a gap above 0.2 Å")
plt.show()

# %% [markdown] target="evidence"
# **It should look like this.** With these limits the rule gives 0.4 Å, a step below the paper's 0.5 Å. With others it
# would give something else: the limits are a choice, and stating them first is what keeps it honest.

# %% check="choice-seen" points=1
seen = {0.1: (0.9, 0.0), 0.2: (0.7, 0.01), 0.3: (0.5, 0.04), 0.4: (0.4, 0.2)}
mark(more.check_choice(choose_delta, {"a table of four δ": (seen, 0.75, 0.05)}))

# %% check="choice-hidden" points=3
# A hidden check: other tables, also one in another order, and one in which no δ will do.
### BEGIN HIDDEN TESTS
mixed = {0.7: (0.3, 0.11), 0.2: (0.8, 0.0), 0.6: (0.35, 0.06), 0.5: (0.4, 0.06), 0.3: (0.6, 0.02), 0.4: (0.55, 0.06)}
mark(
    more.check_choice(
        choose_delta,
        {
            "another table": (mixed, 0.6, 0.06),
            "a strict rule": (mixed, 0.75, 0.03),
            "likeness decides": ({0.1: (0.9, 0.0), 0.2: (0.5, 0.01), 0.3: (0.8, 0.02)}, 0.6, 0.05),
            "a rule that nothing meets": (mixed, 0.2, 0.0),
        },
    )
)
### END HIDDEN TESTS

# %% [markdown]
# ## Before you hand in
#
# - Restart the kernel and run all cells. Does every seen check say `[right]`?
# - Could another person repeat your choice of δ from what you wrote?
# - Hand in this one file. Its name does not matter.
