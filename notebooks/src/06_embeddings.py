# %% [markdown]
# # 06 · Looking at embeddings
#
# **An encoder turns a crystal into 128 numbers. How to look at them, how to measure them, and when not to believe the
# picture.**
#
# By the end you can
#
# - *map* embeddings with PCA and UMAP, coloured by a surrogate class,
# - *state* purity, silhouette and a linear probe as numbers, beside those of a random encoder,
# - *distrust* a pretty map, and say by which number,
# - *find* the neighbours of a crystal, and *place* new crystals in an old map,
# - *click* a point and see its crystal.
#
# **Needs:** notebook 05 (or 00). No GPU. **Minutes:** about 50 to read and do; the code runs in about half a minute.

# %% tags=["setup"]
import numpy as np
import pandas as pd

from spmat_nb import crystals, settings
from spmat_nb.checks import embeddings as checks

np.set_printoptions(suppress=True)

# %%
import matplotlib.pyplot as plt

from spmat_nb import plots, plots_maps

plots.use_style()
plt.rcParams["figure.dpi"] = 90
out = settings.runs_dir() / "06_embeddings"

# %% [markdown]
# ## 1 · Purity by hand
#
# *k-NN purity* asks: of the k nearest crystals, which share has my class? Six crystals with an embedding of one
# number:
#
# | crystal | Na | K | Cu | NaCl | KCl | MgO |
# |---|---|---|---|---|---|---|
# | embedding | 0 | 1 | 4 | 5 | 7 | 12 |
# | metal? | yes | yes | yes | no | no | no |
#
# **Predict:** what is the purity with one neighbour? A crystal is not its own neighbour. Take the mean of each class,
# then the mean of both, so that a large class has no larger say.

# %%
x, metal = np.array([0.0, 1, 4, 5, 7, 12]), np.array([1, 1, 1, 0, 0, 0])
apart = np.abs(x[:, None] - x[None, :])
np.fill_diagonal(apart, np.inf)  # not itself
nearest = apart.argmin(1)
same = metal[nearest] == metal
print("nearest   ", nearest)
print("same class", same)
by_hand = np.mean([same[metal == c].mean() for c in (0, 1)])

# %% tags=["nbval-check-output"]
from spmat_nb.diagnostics import knn_purity

print("by hand", round(float(by_hand), 4), "| package", round(knn_purity(x[:, None], metal, neighbours=1), 4))

# %% [markdown]
# **What we see.** Two of three in each class: copper's nearest is salt, and salt's is copper. For embeddings without
# any meaning the purity is 1 / C with C classes, whatever their sizes.
#
# ## 2 · Three encoders
#
# We look at *stable* crystals of the teaching set; pretraining had the unstable ones. Three encoders of the same
# shape:
#
# - **random**: the weights it was born with. It has seen nothing.
# - **unsupervised**: Barlow Twins on two views, no label (`teaching-barlow`).
# - **supervised**: supervised Barlow Twins, guided by the gap class (`teaching-sup_barlow-gap_class`).

# %%
from spmat_nb.embed import embed, map_2d
from spmat_nb.labels import get_label, label_classes
from spmat_nb.models import load_pretrained, random_encoder

stable = crystals.load("teaching").of_split("train", "val", "test")
models = {
    "random": random_encoder(seed=0),
    "unsupervised": load_pretrained("teaching-barlow"),
    "supervised": load_pretrained("teaching-sup_barlow-gap_class"),
}
tables = {name: embed(stable, model) for name, model in models.items()}
gap = label_classes(stable.table, "gap_class")

# %% tags=["nbval-check-output"]
for name, table in tables.items():
    print(f"{name:13} {table.shape}")
known = models["supervised"].has_seen(stable.table["formula"])
print(f"{known.sum()} of {len(stable)} have a polymorph (same formula) among the crystals of pretraining")

# %% [markdown]
# No crystal here was seen in pretraining. But a *formula* may have been, in another structure, and an encoder that
# knows the elements knows a part of the answer. Such a number belongs beside every claim about "unseen" crystals.
#
# ## 3 · PCA: a map that is the same every time
#
# PCA turns the cloud so that its two widest directions lie in the paper. It is a linear function: straight lines stay
# straight, and a new point can be put in without moving the old ones.


# %%
def my_pca(values):
    spread = values.std(0)
    scaled = (values - values.mean(0)) / np.where(spread > 1e-12, spread, 1)  # some dimensions say nothing
    _, widths, axes = np.linalg.svd(scaled, full_matrices=False)  # axes: [H, H], the widest first
    return scaled @ axes[:2].T, (widths**2 / (widths**2).sum())[:2].sum()


pca = {name: map_2d(table, "pca") for name, table in tables.items()}
for name, table in tables.items():
    mine, share = my_pca(table.to_numpy(np.float64))
    equal = np.allclose(np.abs(mine), np.abs(pca[name].to_numpy()), atol=1e-6)
    print(f"{name:13} equal to the package (but for signs): {equal}; {share:.0%} of the variance is on paper")

# %% [markdown]
# **Predict:** will you see a difference between the random and the trained encoders? In which of the three maps will
# the metals (gap class *none*) stand apart?

# %%
purity = {name: knn_purity(table, gap) for name, table in tables.items()}
fig, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
for ax, name in zip(axes, tables, strict=True):
    plots.embedding_map(pca[name], gap, "gap_class", ax, f"{name}, purity {purity[name]:.2f}")
    plots_maps.zoom(pca[name], ax)
plots_maps.share_legend(axes)
plots.note_source(axes[0], stable.name, f"{len(stable)} stable crystals, not seen in pretraining; PCA of 128 numbers")
plt.show()

# %% [markdown]
# **What we see.** The purities say that all three are ordered, also the random one: which elements there are, and how
# far apart, already says much about a gap. On paper the random and the unsupervised map hardly show it: two of 128
# directions, the widest, are not those of the gap. The supervised encoder stretches the cloud along the label. The
# purity in the titles is measured in 128 dimensions, not on the paper, and chance is 0.33. (A few crystals lie far
# outside the pictures: PCA looks for width, and an outlier is wide.)
#
# ## 4 · Numbers
#
# - **k-NN purity**: are the nearest crystals of my class? Sees any shape of cluster. Chance 1 / C.
# - **Silhouette** (from -1 to 1): is my class nearer than the next one? Wants round clusters far apart; about 0 if
#   they overlap.
# - **Linear probe**: balanced accuracy of a logistic regression on frozen embeddings, trained on the split `train`,
#   tested on the rest. Asks whether the class *can be read off*, even where no cluster is. Chance 1 / C.
#
# **Predict:** the supervised encoder was guided by the gap class. For which *other* labels will it be the best? Will
# it be worse than random for some?

# %%
from spmat_nb.diagnostics import linear_probe, silhouette

train = (stable.table["split"] == "train").to_numpy()
rows = []
for label in ("gap_class", "is_metal", "is_magnetic", "crystal_system", "family"):
    y = label_classes(stable.table, label)
    for name, table in tables.items():
        probe = linear_probe(table, y, np.flatnonzero(train), np.flatnonzero(~train))
        numbers = {"purity": knn_purity(table, y), "silhouette": silhouette(table, y), "probe": probe}
        about = {"label": get_label(label).title, "chance": 1 / len(np.unique(y[y >= 0])), "encoder": name}
        rows.append(about | numbers)
numbers = pd.DataFrame(rows)
numbers.pivot_table(["purity", "silhouette", "probe"], ["label", "chance"], "encoder", sort=False).round(2)

# %%
fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
wide = numbers.pivot_table("purity", "label", "encoder", sort=False)[list(tables)]
plots_maps.purity_dots(wide, numbers.groupby("label")["chance"].first()[wide.index], ax)
plots.note_source(ax, stable.name, f"{len(stable)} stable crystals, not seen in pretraining")
plt.show()

# %% [markdown]
# **What we see.** For its own label, and for *metal or not*, which is a function of the same gap, the supervised
# encoder leads in all three numbers. For the crystal system and the chemical family it does not: guided by three
# classes, it has no reason to keep what they do not need. And the random encoder is a strong rival: the family can be
# read off it by a linear probe almost perfectly. *A number without its random control is half a number.*
#
# How large is luck? Another random encoder tells:

# %%
again = embed(stable, random_encoder(seed=1))
for label in ("gap_class", "family"):
    y = label_classes(stable.table, label)
    print(f"{label:10} random, seed 0: {knn_purity(tables['random'], y):.3f}   seed 1: {knn_purity(again, y):.3f}")

# %% [markdown]
# ## 5 · The neighbours of one crystal
#
# A mean over 2000 crystals hides what happens to *one*. We ask for the nearest of rock salt, NaCl, and of the mineral
# perovskite, CaTiO₃. Columns are standardised first: else the widest of the 128 numbers decides alone.
#
# **Predict:** which crystals would *you* put next to rock salt? By structure, by elements, by bonding, by gap?

# %%
from spmat_nb.diagnostics import standardise


def neighbours_of(material_id, table, count=5):
    values = standardise(table.to_numpy(np.float64))
    distance = np.linalg.norm(values - values[table.index.get_loc(material_id)], axis=1)
    order = np.argsort(distance)[1 : count + 1]  # the first is the crystal itself
    return [f"{stable.table['formula'].iloc[i]}  {distance[i]:.1f}" for i in order]


facts = stable.table
salt = facts.index[(facts["formula"] == "NaCl") & (facts["spacegroup_number"] == 225)][0]
perovskite = facts.index[facts["formula"] == "CaTiO3"][0]
pd.DataFrame({
    (formula, name): neighbours_of(material_id, table)
    for formula, material_id in (("NaCl", salt), ("CaTiO3", perovskite)) for name, table in tables.items()
})  # fmt: skip

# %% [markdown]
# **What we see.** The unsupervised encoder puts other alkali salts next to salt, chlorides first, as a chemist would.
# The supervised one is content with chlorides of any formula: what they share is the gap class, and that is all it
# was asked. Around the perovskite all encoders find oxides. Distances of different encoders cannot be compared: each
# has its own unit.
#
# ## 6 · UMAP, and why a pretty map proves nothing
#
# UMAP keeps *neighbours* and gives up everything else: it draws a graph of each point's nearest points and lays that
# graph out on paper. One line makes such a map:
#
# ```python
# coordinates = map_2d(tables["supervised"], "umap", seed=0)
# ```
#
# The first call in a kernel compiles for half a minute, so the maps below were made beforehand, for 800 of the
# crystals (`tools/build_maps.py`), and lie in `data/results/maps.csv`. The same embeddings, four times:
#
# **Predict:** what will change with the seed? What with the number of neighbours?

# %%
stored = pd.read_csv(settings.PACKAGE_ROOT / "data" / "results" / "maps.csv", index_col=0)
sample = stable.select(stable.table.index.isin(stored.index))
sample_gap = label_classes(sample.table, "gap_class")


def stored_map(name):
    return stored.loc[sample.table.index, [f"{name}_x", f"{name}_y"]].set_axis(["x", "y"], axis=1)


titles = {"supervised": "15 neighbours, seed 0", "other_seed": "15 neighbours, seed 1",
          "few_neighbours": "4 neighbours, min_dist 0", "many_neighbours": "100 neighbours, min_dist 0.8"}  # fmt: skip
fig, axes = plt.subplots(1, 4, figsize=(13, 3.8), layout="constrained")
for ax, (name, title) in zip(axes, titles.items(), strict=True):
    plots.embedding_map(stored_map(name), sample_gap, "gap_class", ax, title)
plots_maps.share_legend(axes)
plots.note_source(axes[0], sample.name, f"{len(sample)} stable crystals; UMAP of one and the same embedding")
plt.show()

# %% [markdown]
# **What we see.** One cloud, four stories. With few neighbours the map falls into islands, which look like
# discoveries; with many it is one mass. With another seed a part of it moves elsewhere. So these mean *little or
# nothing* on a UMAP: the size of an island, its density, the gap between two islands, up and down, left and right.
#
# How many of a crystal's ten nearest in 128 dimensions are among its ten nearest on the paper?

# %%
from sklearn.neighbors import NearestNeighbors


def kept(values, coordinates, k=10):
    search = NearestNeighbors(n_neighbors=k + 1)
    near, near_map = (search.fit(v).kneighbors(v, return_distance=False)[:, 1:] for v in (values, coordinates))
    return np.mean([len(set(a) & set(b)) / k for a, b in zip(near, near_map, strict=True)])


ids = sample.table.index
values = {name: standardise(table.loc[ids].to_numpy(np.float64)) for name, table in tables.items()}
share = {f"UMAP: {title}": kept(values["supervised"], stored_map(name).to_numpy()) for name, title in titles.items()}
share["PCA"] = kept(values["supervised"], pca["supervised"].loc[ids].to_numpy())
share["by chance"] = 10 / (len(ids) - 1)
pd.Series(share, name="neighbours kept").round(2).to_frame()

# %% [markdown]
# **What we see.** Even a good map loses most of the neighbours; two dimensions are too few for the rest. UMAP keeps
# more of them than PCA, which was not made for that.
#
# Now the encoder with *random* weights, beside the trained one, coloured by the chemical family.
#
# **Predict:** could you tell which is which?

# %%
family = label_classes(sample.table, "family")
fig, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
for ax, name, letter in zip(axes, ("random", "supervised"), "AB", strict=True):
    plots.embedding_map(stored_map(name), family, "family", ax, f"encoder {letter}")
plots_maps.share_legend(axes)
plots.note_source(axes[0], sample.name, f"{len(sample)} stable crystals; UMAP, 15 neighbours, seed 0")
plt.show()
print({name: round(knn_purity(tables[name].loc[ids], family), 3) for name in ("random", "supervised")})

# %% [markdown]
# **What we see.** A is the random encoder. It never saw a crystal before, and its map is as pretty as the other; the
# purities say so too. A paper that shows only map B proves that *chemistry* is in the input, not that pretraining put
# it there.
#
# **Before you believe a map**, ask for: the same map of a random encoder; a number in the full space; a second seed
# and a second setting; and the crystals that were left out.
#
# ## 7 · New crystals in an old map
#
# PCA is a function: keep mean, spread and axes of the old crystals, and apply them to the new. UMAP has no such
# function; its `transform` finds the nearest *old* points of a new one, starts at their mean place, and moves only
# the new point. A new crystal therefore always lands near old ones, even if it resembles none: an outlier does not
# look like one.
#
# Test it: both maps are made from the crystals of the split `train` only, and the others are put in.

# %%
old = (sample.table["split"] == "train").to_numpy()
x = tables["supervised"].loc[ids].to_numpy(np.float64)
mean, spread = x[old].mean(0), x[old].std(0)
axes_of_old = np.linalg.svd((x[old] - mean) / spread, full_matrices=False)[2][:2]
in_pca = pd.DataFrame((x - mean) / spread @ axes_of_old.T, index=ids, columns=["x", "y"])

fig, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
for ax, (title, where) in zip(axes, {"PCA": in_pca, "UMAP": stored_map("placed")}.items(), strict=True):
    plots_maps.placed_map(where, old, sample_gap, "gap_class", ax)
    ax.set_title(f"new crystals in a {title} map of others")
plots_maps.share_legend(axes)
plots.note_source(axes[0], sample.name, f"{old.sum()} old and {(~old).sum()} new crystals, supervised encoder")
plt.show()

# %% [markdown]
# **What we see.** The new crystals land where the old ones of their class are: they come from the same distribution.
#
# An outside check: the textbook set, crystals that every course names, with **measured** gaps. The teaching set had its
# gaps from a machine-learned model. For each textbook crystal we look up the gap classes of its ten nearest stable
# crystals of the teaching set, in 128 dimensions. Crystals of the same formula do not count: that would be too easy.
#
# **Predict:** which of the ten below will land among crystals of another class than the measured one, and will it be
# a class with a larger gap or a smaller one?

# %%
book = crystals.load("textbook")
measured = label_classes(book.table, "gap_class")  # -1: no measured gap
names = {"Cu-fcc": "Cu", "Fe-bcc": "Fe", "Si-diamond": "Si", "GaAs-zincblende": "GaAs", "NaCl-rocksalt": "NaCl",
         "MgO-rocksalt": "MgO", "CaF2-fluorite": "CaF2", "SrTiO3-perovskite": "SrTiO3", "Fe2O3-corundum": "Fe2O3",
         "ZnO-wurtzite": "ZnO"}  # fmt: skip


def nearest_classes(name, count=10):
    """How many of the nearest stable crystals of each textbook crystal have each gap class, [140, 3]."""
    there, here = (t.to_numpy(np.float64) for t in (tables[name], embed(book, models[name])))
    mean, spread = there.mean(0), np.where(there.std(0) > 1e-12, there.std(0), 1)
    apart = np.linalg.norm((here - mean)[:, None] / spread - ((there - mean) / spread)[None], axis=2)
    apart[book.table["formula"].to_numpy()[:, None] == stable.table["formula"].to_numpy()[None]] = np.inf
    near = np.argsort(apart, axis=1)[:, :count]
    return np.stack([(gap[near] == c).sum(1) for c in range(3)], axis=1)


classes = list(get_label("gap_class").classes)
counts = {name: pd.DataFrame(nearest_classes(name), index=book.table.index, columns=classes) for name in tables}
its_class = [[*classes, "?"][c] for c in measured]
outside = pd.DataFrame({"measured gap (eV)": book.table["band_gap"], "its class": its_class})
counts["supervised"].join(outside).loc[list(names)].rename(names)

# %%
new = embed(book, models["supervised"]).loc[list(names)].to_numpy(np.float64)
new_xy = pd.DataFrame((new - mean) / spread @ axes_of_old.T, columns=["x", "y"])
fig, ax = plt.subplots(figsize=(7, 5), layout="constrained")
plots.embedding_map(in_pca, sample_gap, "gap_class", ax, "Textbook crystals in the map (PCA, supervised encoder)")
plots_maps.zoom(pd.concat([in_pca, new_xy]), ax)
plots_maps.name_points(new_xy, list(names.values()), ax)
plots.note_source(ax, sample.name, f"{len(sample)} stable crystals and {len(names)} placed by their structure alone")
plt.show()

# %% [markdown]
# On paper silicon lies among the wide gaps; in 128 dimensions nine of its ten nearest are narrow, as it is. Believe
# the table.
#
# And ten names are an impression; all textbook crystals with a measured gap are a number. By encoder: the share of the
# ten nearest that have the measured class, averaged over the crystals of each class. Then where most of the ten nearest
# lie, for the supervised encoder.

# %%
share = {name: {c: (table[c] / 10)[measured == k].mean() for k, c in enumerate(classes)}
         for name, table in counts.items()}  # fmt: skip
share = pd.DataFrame(share).T.assign(mean=lambda t: t.mean(axis=1))
print(f"{(measured >= 0).sum()} textbook crystals with a measured gap; chance {1 / 3:.2f}\n{share.round(2)}\n")
lands = pd.Series(counts["supervised"].to_numpy().argmax(1), name="lands among").map(dict(enumerate(classes)))
twice = book.table.merge(stable.table, on=["formula", "spacegroup_number"], suffixes=("", "_label"))
twice = twice[twice["band_gap"] > 0]  # the same crystal, measured and labelled; without those of no measured gap
ratio = (twice["band_gap_label"] / twice["band_gap"]).median()
print(f"gap of the teaching set over the measured one: {ratio:.2f} (median of {len(twice)} crystals in both sets)")
known = measured >= 0
pd.crosstab(outside["its class"].to_numpy()[known], lands[known], rownames=["measured"]).loc[classes, classes]

# %% [markdown]
# **What we see.** The order of the encoders is as before, also on crystals and gaps from outside. But look at *where*
# the supervised one is wrong: nearly always towards the smaller gap. More than half of the measured wide gaps land
# among narrow ones or metals, and no narrow one lands among wide ones. That is not a failure of the map. The gaps of
# the teaching set come from a model that learnt from density functional theory, which gives gaps that are too small
# (see the median), and an encoder is only as good as the labels that guided it. A purity on the teaching set would
# never have told.
#
# ## 8 · Click a point
#
# The explorer links map and crystal. Click a point: the crystal, its card and its nearest neighbours follow. Choose
# another encoder or colour, filter by element or class, keep what you want to look at again. (Reading without a
# kernel you see a picture of it.) At most 600 points here, so that it starts quickly.

# %%
from spmat_nb.widgets import EmbeddingExplorer

known_ones = stable.table.index.get_indexer([salt, perovskite])
chosen = stable.select(np.union1d(known_ones, np.arange(0, len(stable), 4)))
some = {name: tables[name].loc[chosen.table.index] for name in ("supervised", "unsupervised", "random")}
explorer = EmbeddingExplorer(chosen, some, method="pca", labels=["gap_class", "family"], folder=out)
explorer.state.select(salt)
explorer

# %% [markdown]
# The same without a mouse: `explorer.state` is a plain object. Which fluorides have a wide gap? (The explorer has only
# every fourth crystal, so the neighbours of salt are not those of section 5.)

# %%
explorer.state.show_run("unsupervised")
explorer.state.show_only(elements=["F"], classes=["wide"])
columns = ["formula", "crystal_system", "band_gap", "map_x", "map_y"]
print(explorer.state.message)
explorer.selection()[columns].head().round(2)

# %%
page = explorer.save_page()
print(f"{page.name}: {page.stat().st_size / 1e6:.0f} MB, one file, opens without network and without Python")
print(explorer.state.card(salt).neighbours[["formula", "distance"]].round(1).to_string())

# %% [markdown]
# ## Exercises
#
# **1.** Write k-NN purity: leave out crystals of class -1, standardise the columns, take the nearest *others*, and
# average over the crystals of each class, then over the classes.


# %%
def my_purity(embeddings, classes, neighbours):
    """Purity of [B, H] embeddings with [B] classes, -1 for not known."""
    raise NotImplementedError


checks.check_knn_purity(my_purity)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_purity(embeddings, classes, neighbours):
#     x, y = embeddings[classes != -1], classes[classes != -1]
#     x = (x - x.mean(0)) / x.std(0)
#     apart = np.linalg.norm(x[:, None] - x[None, :], axis=2)
#     np.fill_diagonal(apart, np.inf)
#     near = np.argsort(apart, axis=1)[:, :neighbours]
#     same = (y[near] == y[:, None]).mean(1)
#     return np.mean([same[y == c].mean() for c in np.unique(y)])
# ```
#
# With the crystal itself among its neighbours even noise would have a purity above chance.
# </details>
#
# **2.** Write the share of the nearest neighbours in the embedding that a map keeps (values as they are, not
# standardised).


# %%
def my_kept(embeddings, coordinates, neighbours):
    """Mean share of each crystal's nearest others in [B, H] that are among its nearest others in [B, 2]."""
    raise NotImplementedError


checks.check_neighbours_kept(my_kept)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_kept(embeddings, coordinates, neighbours):
#     sets = []
#     for x in (embeddings, coordinates):
#         apart = np.linalg.norm(x[:, None] - x[None, :], axis=2)
#         np.fill_diagonal(apart, np.inf)
#         sets.append([set(row) for row in np.argsort(apart, axis=1)[:, :neighbours]])
#     return np.mean([len(a & b) / neighbours for a, b in zip(*sets)])
# ```
# </details>
#
# **3.** Place new crystals in the PCA map of old ones: mean, spread and axes come from the old alone.


# %%
def my_place(old, new):
    """Coordinates [n, 2] of new embeddings [n, H] in the PCA map of the old [B, H], columns standardised."""
    raise NotImplementedError


checks.check_place(my_place)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_place(old, new):
#     mean, spread = old.mean(0), old.std(0)
#     axes = np.linalg.svd((old - mean) / spread, full_matrices=False)[2][:2]
#     return (new - mean) / spread @ axes.T
# ```
# </details>
#
# ## Recap
#
# - You *mapped* embeddings by PCA, written out, and by UMAP, and coloured them by surrogate class.
# - You *stated* purity, silhouette and probe for three encoders; guidance helped its own label and its relatives.
# - You *distrust* a pretty map: seeds and settings change it, and a random encoder has one too.
# - You *found* neighbours of rock salt and perovskite, and *placed* textbook crystals in an old map.
# - You *clicked* (or selected) a point and saw its crystal.
#
# <details><summary><b>Discussion:</b> purity 0.70 for the gap class: is that good?</summary>
# <p>Chance is 0.33, but the random encoder has about 0.60. Pretraining added a tenth, not the other six.</p>
# </details>
#
# <details><summary><b>Discussion:</b> two islands of oxides on a UMAP. What would you check first?</summary>
# <p>Whether they are still two with another seed and more neighbours; then whether crystals of the two islands are
# far apart in 128 dimensions; then what their crystals have in common.</p>
# </details>
#
# <details><summary><b>Discussion:</b> the supervised encoder is worse for the crystal system. Is it worse?</summary>
# <p>For that question yes. Which encoder is better depends on what you ask it: notebook 07 asks six properties.</p>
# </details>
#
# **Next:** notebook 07 fine-tunes these encoders, and compares fairly.
#
# **References.** L. McInnes, J. Healy and J. Melville, *UMAP*, arXiv 1802.03426. P. J. Rousseeuw, *Silhouettes*, J.
# Comput. Appl. Math. 20, 53 (1987). G. Alain and Y. Bengio, *Understanding intermediate layers using linear
# classifier probes*, arXiv 1610.01644. G. Fraux, R. Cersonsky and M. Ceriotti, *Chemiscope*, J. Open Source Softw. 5,
# 2117 (2020).
