# %% [markdown]
# # 00 · Start here: the whole road
#
# **Real crystals in; a pretrained, mapped and fine-tuned model out: once, from end to end, before you study any part.**
#
# By the end you can
#
# - *draw* a crystal with the graph that a network sees,
# - *make* two noisy views of it and say what stays and what changes,
# - *run* a pretraining that is guided by a surrogate label, and read its loss,
# - *look* at a map of embeddings without being fooled by it,
# - *compare* fine-tuning with and without pretraining, honestly.
#
# **Needs:** Python; no crystallography (notebook 01 begins with what a cell is). No GPU. **Minutes:** about 20 to read;
# the code runs in about 8 on two cores (set `SPMAT_PRESET=fast` for one minute and rough numbers).

# %%
from spmat_nb import crystals, plots, settings

plots.use_style()
preset = settings.preset()
out = settings.runs_dir() / "00_start_here"
(out / "figures").mkdir(parents=True, exist_ok=True)
print(preset)

# %% [markdown]
# ## 1 · Crystals
#
# The teaching set is a few thousand crystals that we made for courses: experimental prototypes (rock salt, perovskite,
# wurtzite, ...) and plausible substitutions of them. Their energies, gaps and moments come from **machine-learned
# models, not from experiment or quantum mechanics**; `data/README.md` says how far off each is. So every number below
# is about the *teaching set*, and says so.
#
# | word | means |
# |---|---|
# | **crystal structure** | a box of atoms that repeats for ever in all directions, and where the atoms sit in it |
# | **prototype** | a pattern of places that many crystals share; rock salt is that of NaCl, MgO and hundreds more |
# | **formation energy** | energy of the crystal less that of its pure elements, eV an atom; negative: reacting pays |
# | **band gap** | what an electron needs to move about: 0 in a metal, 1.1 eV in silicon, 8.5 eV in salt |
# | **gap class** | none, narrow (below 2 eV) or wide |
# | **encoder, embedding** | a network that turns a graph into a list of numbers, and that list |
# | **MAE** | mean absolute error |

# %%
everything = crystals.load("teaching")
columns = ["formula", "prototype", "mineral", "gap_class", "formation_energy_per_atom", "e_above_hull", "split"]
everything.table[columns].iloc[[0, 18, 100, 3000, 5000, 7000]]

# %% [markdown]
# The method we follow, SPMat, pretrains on **unstable** crystals and fine-tunes on **stable** ones. *Stable* means on
# the convex hull: no mixture of other crystals of the set has a lower energy. The column `split` keeps them apart, and
# divides the stable ones by formula, so that no formula is in two parts.

# %%
unstable, stable = everything.of_split("pretrain"), everything.of_split("train", "val", "test")
print(f"to pretrain on: {len(unstable)} unstable crystals, labels only")
print(f"to fine-tune on: {len(stable)} stable crystals, with their properties")
everything.table["split"].value_counts()

# %% [markdown]
# ## 2 · A crystal becomes a graph
#
# A graph network does not see coordinates. It sees **atoms** (which element?) and **edges** (how far to this
# neighbour?). Each atom keeps its 12 nearest neighbours within 8 Å, across the borders of the cell.
#
# **Predict first.** In rock salt, how many of the 12 neighbours of a sodium are chlorine, and how much further away are
# the others? (The nearest distance is half the edge of the cubic cell.)

# %%
from spmat_nb.graphs import build_graph

rows = everything.table
salt = everything.structure(rows.index[(rows["formula"] == "NaCl") & (rows["prototype"] == "AB_cF8_225_a_b")][0])
graph = build_graph(salt)
print(graph)
sodium = salt.indices_from_symbol("Na")[0]
mine = graph.edge_index[1] == sodium  # the edges that end at the sodium
for neighbour, distance in zip(graph.edge_index[0][mine], graph.distance[mine], strict=True):
    print(f"Na - {salt[int(neighbour)].specie}  {float(distance):.3f} Å")

# %%
import matplotlib.pyplot as plt

cell = salt.to_conventional()
fig = plt.figure(figsize=(9, 4))
plots.crystal_graph_3d(cell, fig.add_subplot(1, 2, 1, projection="3d"))
ax = fig.add_subplot(1, 2, 2)
plots.neighbour_shells(salt, ax, sodium)
plots.note_source(ax, everything.name, "NaCl, rock salt")
fig.savefig(out / "figures" / "crystal_and_graph.png", dpi=150)

# %% [markdown]
# **What we see.** Six chlorines at half the cell edge, then six of the *twelve* sodiums at √2 times that distance: the
# cut at 12 falls inside a shell of equal distances. That happens for a large share of atoms in real data, so the choice
# among equals must follow a fixed rule, or the same crystal would give different graphs. Atoms drawn pale are periodic
# images: the primitive cell has only two atoms, yet each of them has 12 neighbours.
#
# ## 3 · Two noisy views
#
# Pretraining shows the network two damaged copies of each crystal and asks it to recognise them. The damage: 10 % of
# the atoms hidden, 10 % of the edges removed, and **GNDN**, graph-level neighbour distance noise: to every distance,
# *after* the graph is built, one uniform random number between -δ and δ is added.
#
# By hand, on the first five edges of salt:

# %%
import torch

delta = 0.5  # Å
distance = graph.distance[mine][:5]
noise = delta * (2 * torch.rand(5, generator=torch.Generator().manual_seed(0)) - 1)
print("before", distance.numpy().round(3))
print("noise ", noise.numpy().round(3))
print("after ", (distance + noise).numpy().round(3))

# %% [markdown]
# And the real module, on a batch of a hundred crystals at once. A batch is one big graph, cut out of flat tensors by
# indexing.

# %%
from spmat_nb.augment import gndn, two_views
from spmat_nb.draws import Draws
from spmat_nb.graphs import build_graphs
from spmat_nb.settings import AugmentSettings

graphs, chosen = build_graphs(unstable.sample(100, seed=0)), torch.arange(100)
hundred = graphs.batch(chosen)
shaken = gndn(hundred, delta, Draws(0))
print("same edges:", torch.equal(hundred.neighbour, shaken.neighbour), "| same lengths:",
      torch.equal(hundred.distance, shaken.distance))  # fmt: skip
first, second = two_views(graphs, chosen, AugmentSettings(), 0)
for name, view in (("no noise", hundred), ("view 1", first), ("view 2", second)):
    hidden = 0 if view.visible is None else int((~view.visible).sum())
    print(f"{name:9} {len(view.z)} atoms, {hidden:3d} hidden, {len(view.distance)} edges")

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
plots.distances_before_after(hundred.distance.numpy(), shaken.distance.numpy(), delta, axes)
plots.note_source(axes[0], everything.name, "100 unstable crystals")
fig.savefig(out / "figures" / "gndn.png", dpi=150)

# %% [markdown]
# **What we see.** The sharp shells are blurred, but who is connected to whom is exactly as before. Moving the *atoms*
# instead would change several distances together, and the list of nearest neighbours with them. Notebook 02 compares
# the two.
#
# <details><summary><b>Question:</b> why do both views of a crystal need <i>different</i> noise?</summary>
# <p>With the same noise the two views are the same graph, and the network gets full marks for learning nothing.</p>
# </details>
#
# ## 4 · Pretraining, and what comes after it, in three arms
#
# An experiment needs controls. Ours has three arms that differ in one thing, where the encoder starts:
#
# | arm | the encoder starts from | sees labels while pretraining? |
# |---|---|---|
# | from scratch | random weights | - |
# | unsupervised | Barlow Twins on the two views (as in Crystal Twins) | no |
# | supervised | the same views, guided by the **gap class** (SPMat with a Barlow Twins loss) | none / narrow / wide |
#
# The *surrogate label* has nothing to do with the property we want in the end, the formation energy. It is cheap, and
# the hope is that sorting crystals by it teaches the encoder something about chemistry.
#
# One run is: pretrain on unstable crystals, fine-tune on the stable training rows, test once.

# %%
from dataclasses import replace

from spmat_nb.finetune import finetune
from spmat_nb.pretrain import pretrain
from spmat_nb.settings import FinetuneSettings, PretrainSettings
from spmat_nb.vocabulary import get_target

target = get_target("formation_energy_per_atom")
ARMS = {
    "from scratch": None,
    "unsupervised": PretrainSettings(loss="barlow", label=None, epochs=preset.pretrain_epochs),
    "supervised": PretrainSettings(loss="sup_barlow", label="gap_class", epochs=preset.pretrain_epochs),
}
to_pretrain = unstable.sample(preset.max_pretrain, seed=0)
to_finetune = stable.sample(preset.max_finetune, seed=0)


def one_run(arm, seed):
    torch.set_num_threads(1)  # two runs side by side are faster than one run on two threads
    start = "scratch"
    if ARMS[arm]:
        start = pretrain(to_pretrain, replace(ARMS[arm], seed=seed), show=False)
    how = FinetuneSettings(target=target.key, epochs=preset.finetune_epochs, seed=seed)
    return arm, start, finetune(to_finetune, start, how, show=False, pretraining_formulas=to_pretrain.table["formula"])


# %% [markdown]
# **Predict before you run:** which arm has the lowest test error, and by how many per cent? Would you notice the
# difference with a single seed?

# %%
import pandas as pd
from joblib import Parallel, delayed

from spmat_nb.progress import Progress

jobs = [(arm, seed) for seed in range(preset.seeds) for arm in ARMS]
runs = []
with Progress("runs", len(jobs)) as bar:
    for run in Parallel(settings.workers(), return_as="generator")(delayed(one_run)(*job) for job in jobs):
        runs.append(run)
        bar.report({"test_mae": run[2].metrics["test_mae"]})

# %%
first_seed = {arm: (start, tune) for arm, start, tune in reversed(runs)}
pretrained = {arm: first_seed[arm][0] for arm in ARMS if ARMS[arm]}
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
plots.loss_curves({f"{arm}: {run.settings.loss}": run.history for arm, run in pretrained.items()}, axes)
plots.note_source(axes[0], everything.name, f"{len(to_pretrain)} unstable crystals")
fig.savefig(out / "figures" / "loss.png", dpi=150)

# %% [markdown]
# **What we see.** Both losses fall. Their numbers cannot be compared with each other: they are different quantities.
# A falling loss does not yet say that the embeddings are good for anything. A network can even lower some losses by
# giving every crystal the same embedding (*collapse*); the column `effective_rank` would then drop towards 1.

# %%
pretrained["supervised"].history.round(3)

# %% [markdown]
# ## 5 · A map of embeddings
#
# An embedding is 128 numbers. UMAP squeezes them into two so that neighbours stay neighbours. (The first map takes up
# to half a minute, since UMAP compiles itself; later notebooks load maps that were made before.) We map **stable**
# crystals, which pretraining has not seen, and colour them by the surrogate class. Beside it: the same for an encoder
# with **random** weights. That control is essential, since even a random network sees elements and distances.

# %%
from spmat_nb.diagnostics import knn_purity
from spmat_nb.embed import embed, map_2d
from spmat_nb.labels import label_classes
from spmat_nb.models import random_encoder

classes = label_classes(to_finetune.table, "gap_class")
models = {"random": random_encoder(seed=0), **pretrained}
embeddings = {name: embed(to_finetune, model) for name, model in models.items()}
purity = pd.Series({name: knn_purity(e.to_numpy(), classes) for name, e in embeddings.items()}, name="k-NN purity")
purity.round(3).to_frame()

# %%
fig, axes = plt.subplots(1, 2, figsize=(9.5, 4.8), layout="constrained")
for ax, name in zip(axes, ("random", "supervised"), strict=True):
    title = f"{name} encoder, k-NN purity {purity[name]:.2f}"
    plots.embedding_map(map_2d(embeddings[name], seed=0), classes, "gap_class", ax, title)
plots.note_source(axes[0], everything.name, f"{len(to_finetune)} stable crystals, not seen in pretraining; UMAP")
fig.savefig(out / "figures" / "map.png", dpi=150)

# %% [markdown]
# **What we see.** The random encoder already groups crystals, because chemistry alone decides much about a gap. The
# trained one separates the classes more clearly. The *number* to quote is the purity: the mean over classes of the
# share of a crystal's ten nearest neighbours (in 128 dimensions, not on the map) that share its class. Distances and
# sizes of islands on a UMAP mean little.
#
# ## 6 · Fine-tuning: does it help?

# %%
fig, axes = plt.subplots(1, 2, figsize=(9.5, 4.4), layout="constrained")
tuned = {arm: first_seed[arm][1] for arm in ARMS}
for ax, arm in zip(axes, ("from scratch", "supervised"), strict=True):
    plots.parity(tuned[arm].predictions, target, ax, title=arm)
plots.note_source(axes[0], everything.name)
fig.savefig(out / "figures" / "parity.png", dpi=150)

# %%
results = pd.DataFrame([{"arm": arm, **tune.metrics} for arm, _, tune in runs])
table = results.groupby("arm", sort=False)["test_mae"].agg(["mean", "std", "min", "max", "count"])
scratch = results[results["arm"] == "from scratch"].set_index("seed")["test_mae"]
change = {arm: 100 * (part.set_index("seed")["test_mae"] / scratch - 1) for arm, part in results.groupby("arm")}
table["change vs scratch (%)"] = pd.Series({arm: part.mean() for arm, part in change.items()})
table["least"] = pd.Series({arm: part.min() for arm, part in change.items()})
table["most"] = pd.Series({arm: part.max() for arm, part in change.items()})
print(
    f"test MAE in {target.unit}; predicting the median of the training rows gives {results['median_test_mae'][0]:.3f}"
)
table.round(4)

# %%
fig, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
plots.arm_errors(results, target, ax)
plots.note_source(ax, everything.name)
fig.savefig(out / "figures" / "arms.png", dpi=150)

# %% [markdown]
# **How to read this.** Each point is a whole experiment with its own seed. `change` compares an arm with *from scratch*
# at the same seed; `least` and `most` are its range over the seeds. If the range includes zero, this experiment does
# not show that pretraining helps; if it does not, it shows it for this data set, this size, these epochs, and nothing
# more. A published gain of a few per cent is smaller than the spread between seeds of many such experiments, so one run
# proves nothing. Notebook 08 asks the question properly.

# %%
from spmat_nb.files import write_json

write_json(out / "summary.json", {
    "data": everything.name, "crystals": len(everything), "preset": vars(preset), "target": target.key,
    "unit": target.unit, "runs": [{"arm": arm, **tune.metrics} for arm, _, tune in runs],
    "arms": table.reset_index().to_dict("records"), "knn_purity": purity.to_dict(),
})  # fmt: skip
pretrained["supervised"].save_pretrained(out / "pretrained")
tuned["supervised"].save_pretrained(out / "finetuned")

# %% [markdown]
# ## 7 · Recap
#
# - A crystal is drawn as a graph: 12 nearest neighbours within 8 Å, one distance an edge, periodic images included.
# - Two views differ by hidden atoms, removed edges and shaken distances; GNDN leaves the edges themselves alone.
# - A surrogate label guides pretraining: crystals of one class are pulled together.
# - A map is a picture; a purity beside that of a random encoder is a number.
# - Pretraining is judged by the test error over several seeds against *from scratch*, and against *unsupervised*.
#
# <details><summary><b>Discussion:</b> the supervised arm saw labels, the scratch arm did not. Is that fair?</summary>
# <p>It is the point: labels such as metal or not are cheaper than the target. But then the fair rival is also a plain
# classifier trained on the same labels, and a run with shuffled labels shows whether the labels matter at all.</p>
# </details>
#
# <details><summary><b>Discussion:</b> would the gap class be a fair label if the target were the band gap?</summary>
# <p>No. The gap class is computed from the gap, so pretraining would leak part of the answer.</p>
# </details>
#
# **Try it:** change `label="gap_class"` to `"is_magnetic"` or `"crystal_system"`; set `delta` to 0; use another target.
#
# **Next:** `01` builds the graph by hand. The same steps as commands: `python -m spmat_nb --help`.
#
# **References.** C. M. A. Rahman, Romero, Gyawali, *Supervised pretraining for material property prediction*,
# arXiv 2504.20112. T. Xie and J. C. Grossman, PRL 120, 145301 (2018) (CGCNN). R. Magar, Y. Wang, A. Barati Farimani,
# npj Comput. Mater. 8, 231 (2022) (Crystal Twins). J. Zbontar et al., ICML 2021 (Barlow Twins). P. Khosla et al.,
# NeurIPS 2020 (supervised contrastive learning). B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023) (CHGNet).
