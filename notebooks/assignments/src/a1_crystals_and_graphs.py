# %% [markdown]
# # Assignment 1 · Crystals and graphs
#
# **You count neighbours by hand, build a list of them by code, find the bug in another one, and expand distances.**
#
# By the end you can
#
# - *count* the shells of a crystal with pencil and paper,
# - *build* the list of nearest neighbours that a graph needs, with a rule for ties,
# - *find* and *repair* the bug in a neighbour search,
# - *say* when a cut at twelve needs a tie rule,
# - *turn* distances into numbers for a network.
#
# **Needs:** notebook 01. No GPU, no network. **Minutes:** 60 to 90. **Points:** 20.
#
# | question | points: seen check + hidden check |
# |---|---|
# | 1 · shells by hand | 1 + 3 |
# | 2 · the nearest neighbours | 2 + 3 |
# | 3 · find the bug, and repair it | 2 + 3 |
# | 4 · is a shell cut in two? | 1 + 1 |
# | 5 · expand distances | 1 + 3 |
#
# **How it works.** Replace `raise NotImplementedError` by your answer and run the cell. Each question has a *run cell*
# that shows what your answer does, most of them beside the figure it should look like, and a *seen check* that tells
# you what is wrong in words. A *hidden check* runs when your work is graded: the same question on other cases. You may
# add cells. Checks and other text are put back as they were, so changing them changes nothing. A function never changes
# what it is given, and the answer must be your own code: the search of the package is closed while your work is graded.

# %% tags=["setup"]
from itertools import product

import numpy as np

from spmat_nb import plots, plots_graphs
from spmat_nb.checks import assignment_graphs as checks
from spmat_nb.checks.marking import mark

ORIGIN, MIDDLE, QUARTER = (0, 0, 0), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
PRIMITIVE, BODY = (ORIGIN,), (ORIGIN, MIDDLE)
FACES = (ORIGIN, (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))


def cubic(edge, centring, **sites):
    """(lattice, fractions, elements) of a cubic crystal: edge in Å, translations, one site of each kind."""
    frac = np.array([np.add(site, step) % 1 for site in sites.values() for step in centring])
    return edge * np.eye(3), frac, [kind for kind in sites for _ in centring]


salt = cubic(5.640, FACES, Na=ORIGIN, Cl=MIDDLE)
cast = {
    "CsCl, from Cs": (cubic(4.123, PRIMITIVE, Cs=ORIGIN, Cl=MIDDLE), 0),
    "GaAs, from Ga": (cubic(5.653, FACES, Ga=ORIGIN, As=QUARTER), 0),
    "Fe, from Fe": (cubic(2.866, BODY, Fe=ORIGIN), 0),
    "MgO, from Mg": (cubic(4.212, FACES, Mg=ORIGIN, O=MIDDLE), 0),
}


def search(lattice, frac, site, radius):
    """Distances (Å, sorted) from a site to its neighbours within a radius: brute force over images, with a bug."""
    reach = radius // np.linalg.norm(lattice, axis=1) + 1  # cells to look at along each vector
    images = np.array(list(product(*(range(-int(n), int(n) + 1) for n in reach))))
    steps = (frac[:, None] + images - frac[site]).reshape(-1, 3) @ lattice
    distances = np.linalg.norm(steps, axis=1)
    return np.sort(distances[(distances > 1e-8) & (distances <= radius)])


# %% [markdown]
# ## 1 · Shells by hand
#
# A *shell* is all neighbours at one distance. In units of a/4 (a: the edge of the cube):
#
# | name | the crystal |
# |---|---|
# | `CsCl, from Cs` | Cs at the corners of a cube, Cl in its middle |
# | `GaAs, from Ga` | Ga at corners and middles of faces; As a quarter along the diagonal, (1, 1, 1), from each Ga |
# | `Fe, from Fe` | corners and middle of a cube, all iron |
# | `MgO, from Mg` | a chessboard in space, as rock salt: Mg and O in turn along x, y and z |
#
# What are the *first two* shells around the named atom? Pencil and paper. (You will be able to count by code after
# question 2; by then you should know the result.)


# %% answer="shells"
def shells():
    """The first two shells by the names of the table, as in {"CsCl, from Cs": [("Cs", 1), ("Cl", 2)], ...}."""
    ### BEGIN SOLUTION
    return {
        "CsCl, from Cs": [("Cl", 8), ("Cs", 6)],
        "GaAs, from Ga": [("As", 4), ("Ga", 12)],
        "Fe, from Fe": [("Fe", 8), ("Fe", 6)],
        "MgO, from Mg": [("O", 6), ("Mg", 12)],
    }
    ### END SOLUTION


# %% run="shells"
for name, (first, second) in shells().items():
    print(f"{name:15} first {first[1]:2d} {first[0]}, then {second[1]:2d} {second[0]}")

# %% check="shells-seen" points=1
mark(checks.check_shells_by_hand(shells, cast, ["CsCl, from Cs"]))

# %% check="shells-hidden" points=3
# A hidden check: the other three.
### BEGIN HIDDEN TESTS
mark(checks.check_shells_by_hand(shells, cast, ["GaAs, from Ga", "Fe, from Fe", "MgO, from Mg"]))
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · The nearest neighbours
#
# A graph keeps the nearest neighbours of each site: all images of all sites, the site's own images too (but not the
# site itself), near to far. Where distances are equal, the **lower atomic number comes first**; distances that differ
# by less than 0.0001 Å are equal, so round them to four decimals before you sort.
#
# You may look at a generous range of images. The cells here are small but not all of them are cubes.


# %% answer="nearest"
def nearest(lattice, frac, numbers, site, count):
    """Distances (Å) and atomic numbers of the nearest `count` neighbours of a site: two arrays, near to far.

    lattice [3, 3] has a vector a row (Å), frac [N, 3] are fractions, numbers [N] are atomic numbers.
    """
    ### BEGIN SOLUTION
    images = np.array(list(product(range(-5, 6), repeat=3)))
    steps = (frac[:, None] + images - frac[site]) @ lattice  # [N, images, 3]
    distances = np.linalg.norm(steps, axis=2).round(4)
    pairs = [(d, z) for row, z in zip(distances, numbers, strict=True) for d in row if d > 0]
    first = sorted(pairs)[:count]
    return np.array([d for d, _ in first]), np.array([z for _, z in first])
    ### END SOLUTION


# %% run="nearest"
import matplotlib.pyplot as plt
import pandas as pd

plots.use_style()
table = pd.DataFrame(index=pd.Index(range(1, 21), name="neighbour, from the nearest"))
table.columns = pd.Index([], name="distance (Å)")
others = {
    "Cu": cubic(3.615, FACES, Cu=ORIGIN),
    "CaF₂, from Ca": cubic(5.463, FACES, Ca=ORIGIN, F=QUARTER, F_=(0.75, 0.75, 0.75)),
    "Po, simple cubic": cubic(3.359, PRIMITIVE, Po=ORIGIN),
}
for name, (lattice, frac, kinds) in others.items():
    table[name] = nearest(lattice, frac, np.ones(len(kinds)), 0, 20)[0]
fig, ax = plt.subplots(figsize=(8, 3.2), dpi=80, layout="constrained")
plots_graphs.lines(table, ax)
ax.axvline(12.5, color="black", ls="--", lw=1)
ax.set(ylim=(2, 6), title="Steps are shells; dashed: a cut at twelve")
plt.show()

# %% [markdown] target="nearest"
# **It should look like this**: steps, each as long as its shell has members.

# %% check="nearest-seen" points=2
lattice, frac, kinds = salt
seen_crystal = (lattice, frac, np.array([11] * 4 + [17] * 4), 0, 18)
mark(checks.check_nearest(nearest, {"NaCl, 18 neighbours of a sodium": seen_crystal}))

# %% check="nearest-hidden" points=3
# A hidden check: other cells, oblique and small ones, and shells that hold two elements.
### BEGIN HIDDEN TESTS
titanate = (3.905 * np.eye(3), np.array([[0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5], [0, 0, 0], [0.5, 0.5, 0.5]]))
copper = (1.8075 * (1 - np.eye(3)), np.zeros((1, 3)), np.array([29]), 0, 18)
hexagonal = (
    np.array([[2.5, 0, 0], [-1.25, 2.165, 0], [0, 0, 4.1]]),
    np.array([[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]]),
)
mark(
    checks.check_nearest(
        nearest,
        {
            "a shell of two elements": (*titanate, np.array([8, 8, 8, 38, 22]), 0, 12),
            "sites in another order": (titanate[0], titanate[1][::-1], np.array([22, 38, 8, 8, 8]), 2, 12),
            "a cell of one atom": copper,
            "a sheared cell": (
                np.array([[3.0, 0, 0], [9.0, 3.0, 0], [0, 0, 3.0]]),
                np.zeros((1, 3)),
                np.array([84]),
                0,
                18,
            ),
            "a hexagonal cell": (*hexagonal, np.array([27, 27]), 1, 14),
        },
    )
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · Find the bug, and repair it
#
# The function `search` above misses neighbours, but not in the crystals that it was tried on:


# %% run="search"
for name, ((lattice, frac, _), site) in cast.items():
    print(f"{name:15} search finds {len(search(lattice, frac, site, 6.0))} neighbours within 6 Å")

# %% [markdown]
# All four numbers are right. Read its lines, form a guess, and prove it: a crystal and a radius (at most 10 Å) for
# which `search` misses something.


# %% answer="counterexample"
def counterexample():
    """(lattice [3, 3] in Å, fractions [N, 3], site, radius in Å) for which `search` misses neighbours."""
    ### BEGIN SOLUTION
    return np.array([[3.0, 0, 0], [6.0, 3.0, 0], [0, 0, 3.0]]), np.zeros((1, 3)), 0, 4.5
    ### END SOLUTION


# %% check="bug-seen" points=2
mark(checks.check_bug_shown(counterexample, search))

# %% [markdown]
# Now the repair. A sphere of radius r spans r / h cells along a vector, with h the *height* of the cell: the distance
# between its opposite faces. (`np.linalg.inv` knows the heights; notebook 01 says how.)


# %% answer="repaired"
def repaired(lattice, frac, site, radius):
    """Distances (Å, sorted) from a site to all its neighbours within a radius, in any cell."""
    ### BEGIN SOLUTION
    heights = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    reach = np.ceil(radius / heights + np.ptp(frac, axis=0))
    images = np.array(list(product(*(range(-int(n), int(n) + 1) for n in reach))))
    distances = np.linalg.norm((frac[:, None] + images - frac[site]).reshape(-1, 3) @ lattice, axis=1)
    return np.sort(distances[(distances > 1e-8) & (distances <= radius)])
    ### END SOLUTION


# %% run="repaired"
sheared = {k: np.array([[3.0, 0, 0], [3.0 * k, 3.0, 0], [0, 0, 3.0]]) for k in range(5)}  # one lattice, five cells
table = pd.DataFrame(index=pd.Index(sheared, name="the same simple cubic lattice; second vector = b + k·a, k ="))
table.columns = pd.Index([], name="neighbours within 4.5 Å")
for name, method in {"repaired": repaired, "with the bug": search}.items():
    table[name] = [len(method(lattice, np.zeros((1, 3)), 0, 4.5)) for lattice in sheared.values()]
fig, ax = plt.subplots(figsize=(8, 3.0), dpi=80, layout="constrained")
plots_graphs.lines(table, ax)
ax.set(xticks=range(5), ylim=(0, 20))
plt.show()

# %% [markdown] target="repaired"
# **It should look like this.** The crystal is the same, whatever cell describes it; so is the number of neighbours.

# %% check="repaired-hidden" points=3
# A hidden check: cells of other shapes.
### BEGIN HIDDEN TESTS
flat = np.array([[4.0, 0, 0], [0, 4.0, 0], [7.0, 6.0, 2.2]])
mark(
    checks.check_search(
        repaired,
        {
            "CsCl": (4.123 * np.eye(3), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), 0, 6.0),
            "a sheared cell": (np.array([[3.0, 0, 0], [9.0, 3.0, 0], [0, 0, 3.0]]), np.zeros((1, 3)), 0, 4.5),
            "a flat cell with two sites": (flat, np.array([[0.1, 0.1, 0.1], [0.9, 0.8, 0.9]]), 1, 5.0),
            "two sites across a border": (5.0 * np.eye(3), np.array([[0.1, 0, 0], [0.9, 0, 0]]), 0, 4.5),
        },
    )
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · Is a shell cut in two?
#
# A graph keeps twelve neighbours. If the twelfth and the thirteenth are equally far (within 0.001 Å), the cut falls
# inside a shell, and only a tie rule decides who stays. An atom with no more than `count` neighbours loses none.


# %% answer="cut_in_two"
def cut_in_two(distances, count):
    """True if a cut after the nearest `count` falls inside a shell; distances [n] in Å, near to far."""
    ### BEGIN SOLUTION
    return bool(len(distances) > count and distances[count] - distances[count - 1] < 1e-3)
    ### END SOLUTION


# %% run="cut"
import torch

from spmat_nb.crystals import load
from spmat_nb.graphs import build_graphs
from spmat_nb.settings import GraphSettings

many = build_graphs(load("teaching").sample(150, seed=0), GraphSettings(max_neighbours=21), cache=False)
batch = many.batch(torch.arange(len(many)))
rows = [np.sort(batch.distance[batch.centre == i].numpy()) for i in range(len(batch.z))]
table = pd.DataFrame(index=pd.Index(range(1, 21), name="neighbours kept"))
table.columns = pd.Index([], name="atoms with a shell cut in two (%)")
table["teaching set"] = [100 * np.mean([cut_in_two(distances, n) for distances in rows]) for n in table.index]
fig, ax = plt.subplots(figsize=(8, 3.0), dpi=80, layout="constrained")
plots_graphs.lines(table, ax)
ax.axvline(12, color="black", ls="--", lw=1)
plots.note_source(ax, "teaching set", f"150 crystals, {len(rows)} atoms; dashed: 12")
plt.show()

# %% [markdown] target="cut"
# **It should look like this.** No number is safe for all crystals; the even ones cut less often than the odd ones.

# %% check="cut-seen" points=1
mark(checks.check_cut(cut_in_two, {"2.5 2.5 2.5 2.9, count 2": ([2.5, 2.5, 2.5, 2.9], 2)}))

# %% check="cut-hidden" points=1
# A hidden check: cuts between shells, too few neighbours, distances that differ in the last digit.
### BEGIN HIDDEN TESTS
mark(
    checks.check_cut(
        cut_in_two,
        {
            "between two shells": ([2.5, 2.5, 2.5, 2.9], 3),
            "as many as are kept": ([2.5, 2.5, 2.5], 3),
            "the last digit": ([2.5, 2.81, 2.81000001, 3.2], 2),
            "the first shell": ([2.4, 2.5, 2.5], 1),
        },
    )
)
### END HIDDEN TESTS

# %% [markdown]
# ## 5 · Expand distances
#
# A network reads a distance better as many numbers. CGCNN takes Gaussians centred at μ = 0, step, ..., cutoff:
#
# `exp(−(d − μ)² / step²)`, without a factor 2
#
# By hand: with step 0.2 Å, what does d = 2.0 Å give at the centres 1.8, 2.0 and 2.2 Å?


# %% answer="expand"
def expand(distances, cutoff, step):
    """[E, K] for distances [E] (Å): K Gaussians centred at 0, step, ..., cutoff, both ends included."""
    ### BEGIN SOLUTION
    centres = step * np.arange(round(cutoff / step) + 1)
    return np.exp(-(((distances[:, None] - centres) / step) ** 2))
    ### END SOLUTION


# %% run="expand"
distances = np.array([2.0, 2.82, 3.99, 5.1])
fig, axes = plt.subplots(1, 2, figsize=(9, 3.0), dpi=80, layout="constrained")
plots_graphs.gaussian_rows(distances, expand(distances, 8.0, 0.2), np.arange(41) * 0.2, axes)
plt.show()

# %% [markdown] target="expand"
# **It should look like this.** Only a few of the 41 numbers differ from 0, and which ones says how far it is.

# %% check="expand-seen" points=1
mark(checks.check_expansion(expand, {"41 Gaussians": ([2.0, 2.82, 3.99], 8.0, 0.2)}))

# %% check="expand-hidden" points=3
# A hidden check: other distances, cutoffs and steps.
### BEGIN HIDDEN TESTS
mark(checks.check_expansion(expand, {"other steps": ([0.0, 1.37, 5.99], 6.0, 0.5), "one distance": ([3.3], 4.0, 0.1)}))
### END HIDDEN TESTS

# %% [markdown]
# ## Before you hand in
#
# - Restart the kernel and run all cells. Does every seen check say `[right]`?
# - Which of your functions would give another answer if the file listed its sites in another order?
# - Hand in this one file. Its name does not matter.
