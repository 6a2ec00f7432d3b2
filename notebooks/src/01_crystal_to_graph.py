# %% [markdown]
# # 01 · From crystal to graph
#
# **A crystal is a box that repeats for ever; a graph keeps each site of the box and how far it is to its neighbours.**
#
# By the end you can
#
# - *say* what a periodic image is and why a cell of two atoms has dozens of neighbours,
# - *count* neighbours by hand in NaCl, CsCl, Si and Cu,
# - *write* a neighbour search, and break ties so that the same crystal always gives the same graph,
# - *build* and *draw* a graph, and check that it does not depend on the cell you chose,
# - *turn* its distances into numbers for a network, and crystals into a batch.
#
# **Needs:** Python and NumPy; no crystallography. **Minutes:** about 20, and 15 more for the three exercises. The code
# runs in under half a minute.

# %% tags=["setup"]
from itertools import product

import matplotlib.pyplot as plt
import numpy as np

from spmat_nb import plots, plots_crystals, plots_graphs
from spmat_nb.checks import graphs as checks

plots.use_style()

# %% [markdown]
# ## 1 · A box that repeats
#
# | word | means |
# |---|---|
# | **lattice** | three vectors: the edges of the box, in Å (1 Å = 10⁻¹⁰ m, about the size of an atom) |
# | **cell** | the box; copies of it fill space without gaps |
# | **site** | an atom of the cell, at a **fractional coordinate**: 0.5 is half the way along an edge of the box |
# | **image** | a copy of a site in another cell, named by how many cells away it is: (1, 0, −2) |
#
# Symmetry saves typing: a *space group* makes all the sites of a kind from one of them. Here is our cast, with lattice
# parameters as measured at room temperature.

# %% tags=["setup", "nbval-check-output"]
from pymatgen.core import Lattice, Structure


def crystal(group, edge, **sites):
    """A cubic crystal from its space group, the edge of its cell (Å) and one site of each kind."""
    return Structure.from_spacegroup(group, Lattice.cubic(edge), list(sites), list(sites.values()))


ORIGIN, MIDDLE = (0, 0, 0), (0.5, 0.5, 0.5)
cast = {
    "NaCl": crystal("Fm-3m", 5.640, Na=ORIGIN, Cl=MIDDLE),  # rock salt
    "CsCl": crystal("Pm-3m", 4.123, Cs=ORIGIN, Cl=MIDDLE),
    "Si": crystal("Fd-3m", 5.431, Si=ORIGIN),  # diamond structure
    "Cu": crystal("Fm-3m", 3.615, Cu=ORIGIN),  # face-centred cubic
    "CaF2": crystal("Fm-3m", 5.463, Ca=ORIGIN, F=(0.25, 0.25, 0.25)),  # fluorite
    "SrTiO3": crystal("Pm-3m", 3.905, Sr=ORIGIN, Ti=MIDDLE, O=(0.5, 0.5, 0)),  # perovskite
}
for name, structure in cast.items():
    print(f"{name:6}  edge {structure.lattice.a:.3f} Å  {len(structure):2d} sites: {structure.formula}")

# %% [markdown]
# **Five numbers first.** Take a flat crystal: a square cell of 4 Å with one atom A at (¼, ¼) and one atom B at
# (¾, ¾). *Predict: how many neighbours of kind B does A have?* There is only one B in the cell, so perhaps one?

# %% tags=["nbval-check-output"]
square = 4.0 * np.eye(2)  # Å, a vector a row
a, b = np.array([0.25, 0.25]), np.array([0.75, 0.75])
for image in [(0, 0), (-1, 0), (0, -1), (-1, -1), (1, 0)]:
    step = (b + image - a) @ square  # from fractions to Å
    print(f"A to image {image!s:8} of B: step {step} Å, distance {np.linalg.norm(step):.2f} Å")

# %%
fig = plt.figure(figsize=(9, 4.4), dpi=90)
plots_crystals.periodic_images_2d(square, {"A": a, "B": b}, 3.0, fig.add_subplot(1, 2, 1))
plots_crystals.periodic_images_3d(cast["CsCl"], 3.6, 1, fig.add_subplot(1, 2, 2, projection="3d"))
plt.show()

# %% [markdown]
# **What we see.** Four. A stands in the middle of four copies of one and the same B. In three dimensions that crystal
# is CsCl: one chlorine in the middle of eight caesiums, all of them images of the *one* caesium of the cell. Our
# crystal goes on for ever and has no surface, so every site has neighbours all around, whatever the size of the box.
#
# ## 2 · Counting by hand
#
# **NaCl** is a 3D chessboard. In units of half the cell's edge, every point (h, k, m) of whole numbers is an atom:
# sodium where h + k + m is even, chlorine where it is odd. Stand on a sodium, (0, 0, 0). The squared distance is
# h² + k² + m², so to count a **shell** (neighbours at one distance) is to count triples.
#
# **Predict first:** how many triples have h² + k² + m² = 1? How many 2? (Signs and order count.)

# %% tags=["nbval-check-output"]
from collections import Counter

triples = Counter(h**2 + k**2 + m**2 for h, k, m in product(range(-2, 3), repeat=3))
for square_of_distance in (1, 2, 3, 4):
    kind = "Cl" if square_of_distance % 2 else "Na"
    length = 2.82 * np.sqrt(square_of_distance)
    print(f"{triples[square_of_distance]:3d} {kind} at √{square_of_distance} · 2.82 Å = {length:.2f} Å")

# %% [markdown]
# The same game elsewhere, with *a* the edge of the cell. Check one row with a sketch.
#
# | crystal | stand on | first shell | second shell |
# |---|---|---|---|
# | NaCl | Na | 6 Cl: ±x, ±y, ±z, at a/2 | 12 Na: half-way along face diagonals, at a/√2 |
# | CsCl | Cs | 8 Cl: the middles of the 8 cells that meet there, at a√3/2 | 6 Cs: the next corners, at a |
# | Si | Si | 4 Si: a tetrahedron, at a√3/4 | 12 Si: at a/√2, as in copper |
# | Cu | Cu | 12 Cu: middles of the faces that meet there, at a/√2 | 6 Cu: the next corners, at a |
#
# And by code, which knows nothing of geometry: pymatgen lists everything within a radius, and we count.


# %% tags=["nbval-check-output"]
def count_shells(structure, site, radius):
    """[((distance in Å, element), number), ...], near to far."""
    around = structure.get_neighbors(structure[site], radius)
    return sorted(Counter((round(n.nn_distance, 2), n.specie.symbol) for n in around).items())


by_hand = {  # number and distance / a
    "NaCl": [(6, 1 / 2), (12, 1 / np.sqrt(2))],
    "CsCl": [(8, np.sqrt(3) / 2), (6, 1)],
    "Si": [(4, np.sqrt(3) / 4), (12, 1 / np.sqrt(2))],
    "Cu": [(12, 1 / np.sqrt(2)), (6, 1)],
}
for name, shells in by_hand.items():
    counted = count_shells(cast[name], 0, 4.2)
    for (number, factor), ((distance, element), found) in zip(shells, counted, strict=False):
        expected = factor * cast[name].lattice.a
        print(f"{name:5} by hand {number:2d} at {expected:.2f} Å | by code {found:2d} {element:2} at {distance:.2f} Å")

# %%
fig, axes = plt.subplots(2, 2, figsize=(9, 5), dpi=85, layout="constrained")
for ax, name in zip(axes.flat, by_hand, strict=True):
    plots_crystals.shell_counts(cast[name], 6.0, 12, ax)
plt.show()

# %% [markdown]
# **What we see.** Distances in a crystal come in sharp shells. Our graphs keep the **12 nearest** neighbours (within
# 8 Å), as does CGCNN, the crystal graph network that most of this series uses. Only in copper does that cut fall
# between two shells; in the others it cuts a shell in two. Section 4 deals with that.
#
# **Exercise 1.** Fluorite, CaF₂: calciums at the corners and in the middles of the faces of a cube, fluorines in the
# middles of its eight small cubes. What are the first three shells around a *calcium*? Count by hand, then check.


# %% tags=["nbval-check-output"]
def fluorite_shells():
    """The first three shells around a calcium, as in [("Ca", 1), ("F", 2), ("Ca", 3)]."""
    raise NotImplementedError


checks.check_fluorite_shells(fluorite_shells)

# %% [markdown]
# <details><summary><b>Solution</b></summary>
#
# ```python
# def fluorite_shells():
#     return [("F", 8), ("Ca", 12), ("F", 24)]
# ```
#
# In units of a/4: fluorines at (±1, ±1, ±1), 8 of them; calciums at (±2, ±2, 0) and permutations, 12; fluorines at
# (±3, ±1, ±1) and permutations, 24.
# </details>
#
# ## 3 · The search, in full
#
# Brute force needs no geometry: try *all* images of *all* sites, keep what is near. One question is left: how many
# cells away must we look? A sphere of radius r spans r / (height of the cell) cells along each vector. The *height* is
# the distance between opposite faces; in an oblique cell it is less than the length of the vector.


# %% tags=["nbval-check-output"]
def all_images(lattice, radius):
    """Every lattice translation that could matter, [n, 3]."""
    heights = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)  # Å, between opposite faces
    reach = np.ceil(radius / heights).astype(int) + 1  # one more: sites are not at the corners
    return np.array(list(product(*(range(-n, n + 1) for n in reach))))


for name in ("NaCl", "Cu"):
    lattice = cast[name].lattice
    print(f"{name:4} edge {lattice.a:.2f} Å: {len(all_images(lattice.matrix, 8.0))} cells for a radius of 8 Å")

# %% [markdown]
# **Exercise 2.** Write the heart of it yourself: the distances from one site to all its neighbours within a radius.
# You may use `product` and a generous range of images instead of `all_images`.


# %% tags=["nbval-check-output"]
def neighbour_distances(lattice, frac, site, radius):
    """Distances (Å, sorted) from `site` to all neighbours up to `radius`.

    lattice [3, 3] has a vector a row, frac [N, 3] are fractional coordinates. An atom is not its own neighbour,
    but its images are.
    """
    raise NotImplementedError


checks.check_neighbour_distances(neighbour_distances)

# %% [markdown]
# <details><summary><b>Solution</b></summary>
#
# ```python
# def neighbour_distances(lattice, frac, site, radius):
#     images = np.array(list(product(range(-6, 7), repeat=3)))  # generous; `all_images` knows the least number
#     steps = (frac[:, None] + images - frac[site]) @ lattice  # [N, images, 3]
#     distances = np.linalg.norm(steps, axis=2).ravel()
#     return np.sort(distances[(distances > 1e-8) & (distances <= radius)])
# ```
# </details>
#
# Now the whole search, for all sites, with the cut at twelve. Its last lines hold the **tie rule**: among neighbours
# of one shell take the lower atomic number first, then the smaller x, y, z of the step towards it. No index of a site
# occurs in the rule; section 4 shows why that matters.


# %%
def brute_force(structure, cutoff=8.0, count=12):
    """The nearest `count` neighbours within `cutoff` (Å) of each site: (centre, neighbour, image, distance)."""
    lattice, frac, numbers = structure.lattice.matrix, structure.frac_coords, structure.atomic_numbers
    images = all_images(lattice, cutoff)
    edges = []
    for centre in range(len(frac)):
        found = []
        for neighbour in range(len(frac)):
            steps = (frac[neighbour] + images - frac[centre]) @ lattice
            distances = np.linalg.norm(steps, axis=1)
            for k in np.flatnonzero((distances > 1e-8) & (distances <= cutoff)):
                shell, direction = round(distances[k], 4), tuple(steps[k].round(3) + 0.0)
                found.append((shell, numbers[neighbour], direction, neighbour, tuple(images[k].tolist()), distances[k]))
        found.sort()  # by shell, then atomic number, then direction
        edges += [(centre, neighbour, image, distance) for *_, neighbour, image, distance in found[:count]]
    return edges


# %% [markdown]
# The package does the same with a compiled search that looks no further than it must. Is it the same, edge for edge?

# %% tags=["nbval-check-output"]
from spmat_nb.neighbours import find_neighbours
from spmat_nb.structure_files import from_object

for name, structure in cast.items():
    mine, theirs = brute_force(structure), find_neighbours([from_object(structure)])
    ends = list(zip(theirs.centre.tolist(), theirs.neighbour.tolist(), map(tuple, theirs.image.tolist()), strict=True))
    same = [edge[:3] for edge in mine] == ends
    close = np.allclose([edge[3] for edge in mine], theirs.distance)
    print(f"{name:6} {len(mine):3d} edges | same ends and images: {same} | same distances: {close}")

# %% [markdown]
# **Exercise 3: find the bug.** The function below is found in many programs. It takes each site at its *nearest* image,
# which is right in boxes much larger than the radius. Find a crystal (from `cast`, say) and a radius for which it
# **misses neighbours of site 0**, and say how many.


# %% tags=["setup"]
def nearest_images(structure, site, radius):
    """Distances to neighbours within a radius, with a bug."""
    step = structure.frac_coords - structure.frac_coords[site]
    step -= np.round(step)  # no further than half a cell in any direction
    distance = np.linalg.norm(step @ structure.lattice.matrix, axis=1)
    return np.sort(distance[(distance > 1e-8) & (distance <= radius)])


# %% tags=["nbval-check-output"]
def counterexample():
    """Returns (structure, radius in Å, number of neighbours of site 0 that are missed)."""
    raise NotImplementedError


checks.check_counterexample(counterexample)

# %% [markdown]
# <details><summary><b>Solution</b></summary>
#
# ```python
# def counterexample():
#     salt, radius = cast["NaCl"], 3.0
#     there = len(salt.get_neighbors(salt[0], radius))  # 6
#     return salt, radius, there - len(nearest_images(salt, 0, radius))  # it finds 3 of them
# ```
#
# Each of the three chlorines along x, y and z is a neighbour on *both* sides, half a cell away, and only one side is
# counted. The function is safe when the radius is below half the height of the box. Simulations use such boxes; cells
# from a database are smaller.
# </details>
#
# ## 4 · Ties at the twelfth neighbour
#
# An oxygen in SrTiO₃ has 2 titaniums at a/2 and then, all at a/√2, 4 strontiums *and* 8 oxygens. Ten of those twelve
# get a place among the nearest twelve. Which ten?
#
# **Predict:** if we sort by distance alone, and equals stay in the order in which they were found, does a larger cell
# of the *same* crystal (2 × 2 × 2 copies) give its oxygens the same neighbours?


# %%
from spmat_nb.graphs import build_graph


def by_distance_alone(structure, site):
    """Elements of the twelve nearest; equals stay in the order of the search."""
    found = sorted(structure.get_neighbors(structure[site], 4.0), key=lambda n: round(n.nn_distance, 3))
    return Counter(n.specie.symbol for n in found[:12])


def by_our_rule(structure, site):
    graph = build_graph(structure)
    return Counter(structure[int(i)].specie.symbol for i in graph.edge_index[0][graph.edge_index[1] == site])


for title, structure in (("cell", cast["SrTiO3"]), ("2 × 2 × 2", cast["SrTiO3"] * (2, 2, 2))):
    oxygens = structure.indices_from_symbol("O")
    for rule in (by_distance_alone, by_our_rule):
        kinds = Counter(str(dict(sorted(rule(structure, i).items()))) for i in oxygens)
        print(f"{title:9} {rule.__name__:17} " + ", ".join(f"{n} oxygens {kind}" for kind, n in sorted(kinds.items())))

# %% [markdown]
# **What we see.** By distance alone, copies of one oxygen get different neighbours: the graph depends on how the file
# was written. With our rule all oxygens are alike, in any cell. How often does it matter? We count atoms whose twelfth
# and thirteenth neighbour are equally far.

# %%
from spmat_nb import crystals
from spmat_nb.settings import GraphSettings

some = crystals.load("teaching").sample(1000, seed=0)
edges = find_neighbours(some.cells, GraphSettings(max_neighbours=13))
full = np.flatnonzero(np.bincount(edges.centre) == 13)
last = np.sort(edges.distance[np.isin(edges.centre, full)].reshape(-1, 13), axis=1)[:, 11:]
tied = np.mean(np.diff(last) < 1e-4)
print(f"teaching set, {len(some)} crystals: a tie at the cut for {tied:.0%} of {len(full)} atoms")

# %% [markdown]
# ## 5 · The graph, drawn
#
# `build_graph` returns what a network needs: element numbers `z` [N], edges `edge_index` [2, E] (row 0 sends a message
# to row 1), `distance` [E] and, for drawings, `image` [E, 3]. **Predict:** copper's smallest cell has *one* atom. Whom
# does it hear?

# %%
copper, salt = (cast[name].get_primitive_structure() for name in ("Cu", "NaCl"))
print(build_graph(cast["SrTiO3"]))
fig = plt.figure(figsize=(11, 4), dpi=90)
grid = fig.add_gridspec(1, 4, width_ratios=(3, 1.3, 1.3, 3))
plots_graphs.view_3d(cast["SrTiO3"], fig.add_subplot(grid[0], projection="3d"))
for place, structure in enumerate((copper, salt, cast["SrTiO3"]), start=1):
    plots_graphs.network(build_graph(structure), fig.add_subplot(grid[place]))
plt.show()

# %% [markdown]
# **What we see.** Left: SrTiO₃ with the twelve edges that end at titanium; pale atoms are images. Right: the same
# crystals as networks, with the number of edges behind each arrow. The copper atom hears *itself* twelve times: its
# neighbours are its own images. And arrows need not come in pairs: titanium hears strontium six times, but strontium
# has twelve nearer oxygens and never hears titanium.
#
# ## 6 · What must not matter
#
# The same crystal can be written with a larger cell, another origin, another order of sites. Nothing a network sees may
# change. What it sees of a site is its element with the elements and distances of its neighbours: its *environment*.


# %% tags=["nbval-check-output"]
def environments(structure):
    """How many sites have each environment."""
    graph = build_graph(structure)
    heard = [[] for _ in range(graph.num_nodes)]
    for (sender, receiver), distance in zip(graph.edge_index.T.tolist(), graph.distance.tolist(), strict=True):
        heard[receiver].append((int(graph.z[sender]), round(distance, 3)))
    return Counter((int(z), tuple(sorted(around))) for z, around in zip(graph.z, heard, strict=True))


for name, structure in cast.items():
    moved = Structure(structure.lattice, structure.species[::-1], structure.frac_coords[::-1] + 0.123)
    larger = environments(structure * (2, 2, 2))
    eight_times = {around: 8 * count for around, count in environments(structure).items()}
    print(f"{name:6} {len(larger)} kinds of site | 2 × 2 × 2: 8 times each: {larger == eight_times} | "
          f"reversed and shifted: {environments(moved) == environments(structure)}")  # fmt: skip

# %% [markdown]
# An encoder takes the *mean* over atoms at its end, so eight times the same is the same (notebook 03).
#
# ## 7 · Atoms that hear nothing
#
# Put one argon atom into a box, and make the box larger. **Predict:** what becomes of its edges when the box outgrows
# the cutoff of 8 Å?

# %% tags=["nbval-check-output"]
from spmat_nb.graphs import build_graphs

for edge in (5.0, 7.0, 9.0, 20.0):
    box = crystals.load([crystal("Pm-3m", edge, Ar=ORIGIN)])
    graphs = build_graphs(box, cache=False)
    wider = build_graphs(box, GraphSettings(cutoff=25.0), cache=False)
    print(f"box {edge:4.1f} Å: {int(graphs.degree[0]):2d} edges, {graphs.isolated_atoms()} isolated | "
          f"cutoff 25 Å: {int(wider.degree[0])} edges, nearest {float(wider.distance.min()):.1f} Å")  # fmt: skip

# %% [markdown]
# **What we see.** Six edges, then none. The graph keeps those there are and pads nothing: an isolated atom gets no
# message, and the network knows its element only. A larger cutoff does not cure that. It makes neighbours of images
# that exist only because the *box* repeats. So: look at `isolated_atoms()` when you load data, ask whether the
# cell is a crystal or a molecule in a box, and leave out what is not a crystal.
#
# ## 8 · Numbers for a network
#
# A network reads smooth features better than one bare number. So a distance d becomes 41 numbers, one for each centre
# μ = 0, 0.2, ..., 8 Å: exp(−(d − μ)² / 0.2²). By hand for the nearest chlorine of NaCl, at five of the centres:

# %% tags=["nbval-check-output"]
import torch

from spmat_nb.layers import GaussianBasis

graph = build_graph(cast["NaCl"])
distance = graph.distance[graph.edge_index[1] == 0]  # the 12 edges that end at site 0
centres = np.arange(41) * 0.2
by_hand = np.exp(-(((distance.numpy()[:, None] - centres) / 0.2) ** 2))  # [12, 41]
print("centres", centres[12:17].round(1), "\nvalues ", by_hand[0, 12:17].round(3))
basis = GaussianBasis(cutoff=8.0, step=0.2)
print("equal to the package:", np.allclose(by_hand, basis(distance), atol=1e-6))

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 3), dpi=90, layout="constrained")
plots_graphs.gaussian_rows(distance.numpy(), by_hand, centres, axes)
plt.show()

# %% [markdown]
# **What we see.** A few neighbouring Gaussians light up; the two shells of NaCl are two bright columns. The graph keeps
# the bare distance and expands it when needed: one number an edge to store, and one number for noise to touch
# (notebook 02).
#
# Last, a **batch**. All crystals of a set lie one after the other in flat tensors. A batch is an index: pieces are cut
# out, and neighbours renumbered, since every crystal counts its atoms from 0. **Predict:** by how much must the
# neighbours of NaCl be raised in a batch of copper and NaCl?

# %% tags=["nbval-check-output"]
names = ["NaCl", "CsCl", "Si", "Cu"]
graphs = build_graphs(crystals.load([cast[name] for name in names]), cache=False)
print("atoms begin at", graphs.atom_start.tolist(), "| edges begin at", graphs.edge_start.tolist())
chosen = [3, 0]  # Cu, then NaCl
batch = graphs.batch(torch.tensor(chosen))

pieces, atoms = [], 0
for i in chosen:
    pieces.append(graphs.neighbour[graphs.edge_start[i] : graphs.edge_start[i + 1]] + atoms)
    atoms += int(graphs.atom_start[i + 1] - graphs.atom_start[i])
print("equal to the package:", torch.equal(torch.cat(pieces).long(), batch.neighbour))
print("neighbours of NaCl are raised by", int(batch.neighbour[48:].min()))
print("crystal of each atom:", batch.crystal.tolist())

# %%
fig, ax = plt.subplots(figsize=(9, 2.6), dpi=90, layout="constrained")
plots_graphs.packed(graphs, names, chosen, ax)
plt.show()

# %% [markdown]
# ## 9 · Recap
#
# - A periodic image is a copy of a site in another cell. A cell of two atoms has dozens of neighbours because their
#   images are neighbours too.
# - Counted by hand: NaCl 6 + 12, CsCl 8 + 6, Si 4 + 12, Cu 12 + 6.
# - A neighbour search tries images as far as the radius reaches, and breaks ties by something physical, never by an
#   index.
# - A graph is sites, directed edges and distances. It is the same for every cell, origin and order of the same crystal.
# - Distances become Gaussians; crystals become a batch by indexing.
#
# <details><summary><b>Discussion:</b> turn a crystal of NaCl by 90 degrees. Is the graph the same?</summary>
# <p>Distances and elements are. But the last part of the tie rule looks at x, y and z, so a rotation may choose
# <i>another</i> six of the twelve sodiums. In NaCl all sodiums are alike, and a network cannot tell. A rule without any
# direction would have to keep the whole shell.</p>
# </details>
#
# <details><summary><b>Discussion:</b> why not keep whole shells instead of twelve neighbours?</summary>
# <p>It would be cleaner physics. But a distortion of 0.01 Å splits a shell in two, so "whole" needs a tolerance, and
# atoms would have six edges here and twenty there. Twelve is CGCNN's choice; every atom costs the same.</p>
# </details>
#
# <details><summary><b>Discussion:</b> what has the graph forgotten?</summary>
# <p>Angles and handedness. Two different crystals with the same distances are the same to it.</p>
# </details>
#
# **Try it:** build the graph of your own crystal, `build_graph(Structure.from_file("my.cif"))`; draw it with
# `plots_graphs.view_3d`.
#
# **Next:** `02` makes two noisy views of a graph.
#
# **References.** T. Xie and J. C. Grossman, PRL 120, 145301 (2018) (CGCNN: twelve neighbours, Gaussians). S. P. Ong et
# al., Comput. Mater. Sci. 68, 314 (2013) (pymatgen). C. Kittel, *Introduction to Solid State Physics*, chapter 1.
