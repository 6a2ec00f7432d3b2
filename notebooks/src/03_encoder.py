# %% [markdown]
# # 03 · The encoder
#
# **How a network turns a graph of atoms into one list of numbers, taken apart until nothing is hidden.**
#
# By the end you can
#
# - *trace* every shape through one convolution, and write that convolution yourself,
# - *show* that the order of the atoms, the choice of the cell and the rest of the batch do not matter,
# - *say* how far information travels, and name two crystals that the encoder cannot tell apart,
# - *compare* the convolution of CGCNN with a transformer: what each can do that the other cannot.
#
# **Needs:** notebook 01 (crystal to graph). No GPU. **Minutes:** about 50 to read and do; the code runs in less than
# one.

# %% tags=["setup"]
import torch
from pymatgen.core import Lattice, Structure

import spmat_nb.checks.encoders as checks
from spmat_nb import crystals, plots, plots_models, settings
from spmat_nb.graphs import build_graphs

plots.use_style()

# %% [markdown]
# ## 1 · An element is 92 zeros and ones
#
# What does the network know of an atom before it has asked any neighbour? Only its row in a table: for each property
# (group, electronegativity, radius, ...) one 1 in the bin where the element falls. The idea is CGCNN's, the table is
# rebuilt from pymatgen's data.
#
# **Predict before you run.** Which two rows below are most alike: K and Na, K and Ca, or Cl and Br?

# %%
import matplotlib.pyplot as plt
from pymatgen.core import Element

from spmat_nb.elements import element_table

symbols = ["Na", "K", "Ca", "Cl", "Br", "O", "Fe", "Co", "Nd"]
rows = element_table()[[Element(symbol).Z for symbol in symbols]]  # [9, 92]
fig, ax = plt.subplots(figsize=(10, 2.6), dpi=90)
plots_models.element_features(rows.numpy(), symbols, ax)
plt.show()
for pair in (("K", "Na"), ("K", "Ca"), ("Cl", "Br"), ("Fe", "Co")):
    first, second = (rows[symbols.index(symbol)] for symbol in pair)
    print(f"{pair[0]:2} and {pair[1]:2} share {int((first * second).sum())} of {int(first.sum())} ones")

# %% [markdown]
# **What we see.** Similar elements share bins, so what is learnt about potassium helps with sodium. Neighbours in the
# next bin share nothing: to a one-hot code, bin 3 is as far from bin 4 as from bin 10. A hidden (masked) atom has a row
# of zeros.
#
# A **distance** becomes numbers too: 41 Gaussians with centres at 0, 0.2, ..., 8 Å, each `exp(-((d - centre) / 0.2)²)`.
# Only the few centres near d are above zero.

# %% tags=["setup"]
from spmat_nb.models import load_pretrained, random_encoder

torch.set_num_threads(1)  # small tensors: one thread is faster than several
cscl = Structure.from_spacegroup("Pm-3m", Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
rutile = Structure.from_spacegroup(
    "P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
)
copper = Structure.from_spacegroup("Fm-3m", Lattice.cubic(3.615), ["Cu"], [[0, 0, 0]])


def batch_of(*structures):
    """Structures as one batch of graphs."""
    return build_graphs(crystals.load(list(structures)), cache=False).batch(torch.arange(len(structures)))


# %% [markdown]
# ## 2 · One message, five numbers
#
# Let atoms have one feature instead of 64, and let three Gaussians do. In caesium chloride a Cs has its nearest Cl at
# 4.12 Å · √3 / 2 = 3.568 Å. The edge from Cl (j) to Cs (i) then carries **five numbers**: `z = [v_i, v_j, u₁, u₂, u₃]`.
#
# Two weighted sums of z are made. One is the *filter*: through a sigmoid it becomes a **gate** between 0 (closed) and 1
# (open). The other is the *core*: through softplus, `log(1 + exp(x))`, it becomes what is said. The message is their
# product. The weights here are invented; a real network learns them.
#
# **Predict.** What happens to the message if the Cl moves away, to 4.3 Å?

# %%
from torch.nn import functional

v_cs, v_cl, centres = torch.tensor(0.5), torch.tensor(-1.0), torch.tensor([3.4, 3.6, 3.8])
to_filter, to_core = torch.tensor([0.2, -0.5, 1.0, 2.0, 1.0]), torch.tensor([1.0, 0.5, 0.3, 0.3, 0.3])
for distance in (3.568, 4.3):
    u = torch.exp(-(((distance - centres) / 0.2) ** 2))
    z = torch.cat([v_cs[None], v_cl[None], u])
    gate, said = torch.sigmoid(to_filter @ z - 2), functional.softplus(to_core @ z)
    print(f"d = {distance:.3f} Å   z = {[round(x, 3) for x in z.tolist()]}")
    print(f"   gate {gate:.3f} x core {said:.3f} = message {gate * said:.3f}")

# %% [markdown]
# **What we see.** At 3.568 Å the second Gaussian is nearly 1 and holds the gate open. At 4.3 Å all three are nearly 0,
# and the gate (with a bias of -2) is nearly shut. Nothing forces a gate to close with distance: it does what the
# weights say, for each feature by itself.
#
# ## 3 · One convolution in full
#
# Now the real sizes: F = 64 features, K = 41 Gaussians. N atoms, E edges, and for each edge the receiving atom `centre`
# and the sending atom `neighbour`. This is all of it (in eval mode, where batch norm uses the mean and variance kept
# from training). **Predict** the shapes for caesium chloride, two atoms in the cell with 12 neighbours each.


# %%
def normalise(x, norm):
    """Batch norm in eval mode: with the mean and variance that training has kept."""
    return (x - norm.running_mean) / torch.sqrt(norm.running_var + norm.eps) * norm.weight + norm.bias


def convolution(atoms, edges, centre, neighbour, conv):
    """One CGCNN convolution: atoms [N, F] and expanded distances [E, K] to atoms [N, F], with all steps between."""
    z = torch.cat([atoms[centre], atoms[neighbour], edges], dim=1)  # [E, 2F + K], what an edge knows
    both = z @ conv.fc_full.weight.T + conv.fc_full.bias  # [E, 2F]
    both = normalise(both, conv.bn1)
    gate, core = both.chunk(2, dim=1)  # [E, F] each
    message = torch.sigmoid(gate) * functional.softplus(core)  # [E, F]
    heard = torch.zeros_like(atoms).index_add(0, centre, message)  # [N, F], summed over the edges of each atom
    new = functional.softplus(atoms + normalise(heard, conv.bn2))  # [N, F], added to what the atom was
    return {
        "atoms": atoms,
        "edges": edges,
        "z": z,
        "filter and core": both,
        "message": message,
        "heard": heard,
        "new": new,
    }


# %% tags=["nbval-check-output"]
encoder = load_pretrained("teaching-sup_barlow-gap_class").encoder.eval()  # pretrained on the teaching set
batch, conv = batch_of(cscl), encoder.convs[0]
with torch.no_grad():
    atoms, edges = encoder.embed_atoms(batch), encoder.basis(batch.distance)
    steps = convolution(atoms, edges, batch.centre, batch.neighbour, conv)
    package = conv(atoms, edges, batch)
for name, values in steps.items():
    print(f"{name:16}{list(values.shape)}")
print("the same as GatedConvolution:", torch.allclose(steps["new"], package, atol=1e-5))

# %% [markdown]
# **What we see.** 2 atoms and 24 edges; z has 64 + 64 + 41 = 169 values. The number of atoms changes nothing in the
# weights: they are shared by all edges of all crystals.
#
# The package has the same function in two more forms. It takes `W [v_i, v_j, u]` apart into `W₁ v_i + W₂ v_j + W₃ u`,
# so that the products with atoms are made once an atom and not once an edge; and on a CPU it runs loops that numba has
# compiled (`fused`), which is several times as fast. A rule for every rewriting: *keep the plain form, and compare.*

# %%
from spmat_nb import fused

with torch.no_grad():
    compiled = fused.edges_of(atoms, batch.centre, batch.neighbour, batch.distance, encoder.basis.centres)
    fast = conv(atoms, edges if compiled is None else compiled, batch)
    with fused.disabled():
        plain = encoder(batch)
    print(f"largest difference, one convolution: {(fast - steps['new']).abs().max():.1e}")
    print(f"largest difference, whole encoder:   {(encoder(batch) - plain).abs().max():.1e}")

# %% [markdown]
# ## 4 · What does a gate do with distance?
#
# We keep the two elements fixed, sodium listening to chlorine, and move only the distance. Each curve is the gate of
# one of the 64 features in the first convolution; we show the four that change most between 2 and 5 Å.
#
# **Predict before you run.** Does a trained gate fall with distance, like a force would?


# %%
def gates(encoder, receiver, sender, distances):
    """Gates of the first convolution for one pair of elements: distances [d] in Å to [d, F]."""
    conv, table = encoder.convs[0], encoder.embedding(encoder.elements)  # [101, F]
    v_i, v_j = (table[Element(symbol).Z].expand(len(distances), -1) for symbol in (receiver, sender))
    z = torch.cat([v_i, v_j, encoder.basis(distances)], dim=1)
    return torch.sigmoid(normalise(conv.fc_full(z), conv.bn1)[:, : conv.features])


teaching = crystals.load("teaching")
distances, near = torch.linspace(1, 8, 351), slice(50, 201)  # `near` is 2 to 5 Å
curves = {}
for name, model in {"random weights": random_encoder(seed=0).encoder.eval(), "pretrained (gap class)": encoder}.items():
    with torch.no_grad():
        gate = gates(model, "Na", "Cl", distances)
    change = gate[near].amax(0) - gate[near].amin(0)
    curves[name] = gate[:, change.topk(4).indices].numpy()
    print(f"{name:24} gates change by {change.median():.2f} (median), {change.max():.2f} (most) between 2 and 5 Å")

# %%
lengths = build_graphs(teaching.of_split("pretrain").sample(600, seed=0)).distance.numpy()
fig, axes = plt.subplots(1, 3, figsize=(12, 3.3), layout="constrained", dpi=90)
plots_models.gate_curves(distances.numpy(), curves, lengths, axes)
plots.note_source(axes[0], teaching.name, "edges of 600 unstable crystals; gates for Na - Cl")
plt.show()

# %% [markdown]
# **What we see.** Random gates hover near one half: everything is let through. Training opens and shuts them, at
# different distances for different features. Together they can tell a bond of 2.4 Å from one of 2.8 Å. They do *not*
# fall smoothly like a force, and the ripples are a few tenths of an Å wide, as the Gaussians are. Where the data has
# few edges (right), nothing has taught the curve anything: do not read physics into it.
#
# ## 5 · From atoms to a crystal: three things that must not matter
#
# After three convolutions each atom has 64 features. The crystal gets their **mean**, then a last layer: [N, 64] to
# [B, 64] to [B, 128]. A good description must not depend on how we happened to write the crystal down.
#
# **The order of the atoms.** Rutile has six atoms. Renumber them. What happens to the features of the atoms, and what
# to the embedding of the crystal?


# %%
def by_layer(encoder, batch):
    """Features of all atoms before and after each convolution: a list of [N, F]."""
    layers, edges = [encoder.embed_atoms(batch)], encoder.basis(batch.distance)
    for conv in encoder.convs:
        layers.append(conv(layers[-1], edges, batch))
    return layers


order = [3, 5, 0, 4, 1, 2]
renumbered = Structure.from_sites([rutile[i] for i in order])
with torch.no_grad():
    one, other = (by_layer(encoder, batch_of(s))[-1] for s in (rutile, renumbered))
    crystal_one, crystal_other = encoder(batch_of(rutile, renumbered))
print("atoms:  same rows, same places?", torch.allclose(one, other, atol=1e-4))
print("atoms:  same rows, new places? ", torch.allclose(one[order], other, atol=1e-4))
print("crystal: same embedding?       ", torch.allclose(crystal_one, crystal_other, atol=1e-4))

# %% [markdown]
# **What we see.** The rows move with the atoms (*equivariance*), and a mean does not care about the order of what it
# averages (*invariance*). A sum over the neighbours is the same argument one level down.
#
# **The choice of the cell.** Two cells of rutile side by side, 12 atoms, are the same crystal. **Predict** which ways
# of pooling notice it: mean, sum, largest?

# %%
import pandas as pd

double = rutile * (2, 1, 1)
pools = {"mean": lambda v: v.mean(0), "sum": lambda v: v.sum(0), "largest": lambda v: v.amax(0)}
with torch.no_grad():
    features = {
        name: by_layer(encoder, batch_of(s))[-1]
        for name, s in (("cell", rutile), ("order", renumbered), ("double", double))
    }
rows = {}
for name, pool in pools.items():
    size = pool(features["cell"]).norm()
    rows[name] = {
        what: float((pool(features[what]) - pool(features["cell"])).norm() / size) for what in ("order", "double")
    }
pd.DataFrame(rows).T.rename(columns={"order": "change: atoms renumbered", "double": "change: 2 x 1 x 1 cell"}).round(4)

# %% [markdown]
# **What we see.** All three ignore the order. The sum doubles with the cell. That suits an *extensive* property such as
# the total energy; properties per atom want the mean (or the largest value, which drops how often something occurs).
#
# **The rest of the batch.** The embedding of rutile alone, and beside copper and CsCl:

# %%
from copy import deepcopy

from spmat_nb.settings import EncoderSettings

attending = random_encoder(EncoderSettings("transformer"), seed=0).encoder
rows = []
for name, model in (("CGCNN", encoder), ("transformer", attending)):
    for training in (False, True):
        with torch.no_grad():
            copy = deepcopy(model).train(training)  # a copy: in training mode batch norm changes what it keeps
            change = (copy(batch_of(rutile, copper, cscl))[0] - copy(batch_of(rutile))[0]).abs().max()
        rows.append({"encoder": name, "mode": "train" if training else "eval", "change by company": f"{change:.0e}"})
pd.DataFrame(rows)

# %% [markdown]
# **What we see.** In eval mode nobody matters but the crystal itself. In *training* mode batch norm takes the mean and
# variance of the batch at hand, so a crystal is seen through its company; the transformer here uses layer norm, which
# looks at one atom at a time. To forget `.eval()` before embedding is a classic mistake: results then change with the
# batch size.
#
# ## 6 · How far does information travel?
#
# In a block of 256 copper atoms we replace one by gold. After one convolution only atoms that have it among their 12
# neighbours can know. Copper is face-centred cubic, where the 12 nearest are exactly the first shell.
#
# **Predict.** How many atoms have changed after 0, 1, 2 and 3 convolutions?

# %%
block = copper * (4, 4, 4)
with_gold = block.copy()
with_gold[0] = "Au"
with torch.no_grad():
    pairs = list(zip(by_layer(encoder, batch_of(block)), by_layer(encoder, batch_of(with_gold)), strict=True))
    changes = [(after - before).norm(dim=1).numpy() for before, after in pairs]
    leak = [by_layer(deepcopy(encoder).train(), batch_of(s))[1] for s in (block, with_gold)]
print("changed:", [int((change > 0).sum()) for change in changes])
print("changed after one convolution in training mode:", int(((leak[1] - leak[0]).norm(dim=1) > 0).sum()))
fig, ax = plt.subplots(figsize=(7.5, 3.6), layout="constrained", dpi=90)
plots_models.receptive_field(block.distance_matrix[0], changes, ax)
ax.set_title("One of 256 copper atoms becomes gold: who notices?")
plt.show()

# %% [markdown]
# **What we see.** 1, 13, 55, 147: the magic numbers of cuboctahedral clusters. Each convolution reaches one shell of
# neighbours further, here 2.56 Å a step, so three of them see about 8 Å. The effect fades by a factor of ten or so a
# step. After two convolutions the new atoms at 3.6, 4.4 and 5.1 Å change in the ratio 4 : 2 : 1, which is the number of
# two-step paths that lead to them. In training mode batch norm tells everyone at once.
#
# ## 7 · What it cannot see
#
# Cobalt crystallises in two packings: face-centred cubic (layers ABC) and hexagonal (layers AB). With ideal proportions
# both have 12 nearest neighbours at the same distance. Zinc sulphide has two forms as well, zinc blende and wurtzite.
#
# **Predict.** Does the encoder know the difference?


# %%
def hexagonal(symbols, sites, a, c):
    """A crystal of wurtzite's or of magnesium's space group."""
    return Structure.from_spacegroup(
        "P6_3mc" if len(sites) > 1 else "P6_3/mmc", Lattice.hexagonal(a, c), symbols, sites
    )


a, ideal = 2.507, (8 / 3) ** 0.5
side = 5.41 / 2**0.5
cast = {
    "Co, fcc": Structure.from_spacegroup("Fm-3m", Lattice.cubic(a * 2**0.5), ["Co"], [[0, 0, 0]]),
    "Co, hcp, ideal c/a": hexagonal(["Co"], [[1 / 3, 2 / 3, 0.25]], a, a * ideal),
    "Co, hcp, measured c/a": hexagonal(["Co"], [[1 / 3, 2 / 3, 0.25]], a, 4.069),
    "ZnS, zinc blende": Structure.from_spacegroup("F-43m", Lattice.cubic(5.41), ["Zn", "S"], [[0, 0, 0], [0.25] * 3]),
    "ZnS, wurtzite, ideal": hexagonal(["Zn", "S"], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.375]], side, side * ideal),
}
with torch.no_grad():
    both = {"CGCNN": encoder(batch_of(*cast.values())), "transformer": attending.eval()(batch_of(*cast.values()))}
for i, j in ((0, 1), (0, 2), (3, 4), (0, 3)):
    change = ", ".join(f"{name} {(e[i] - e[j]).abs().max():.1e}" for name, e in both.items())
    print(f"{list(cast)[i]:17} against {list(cast)[j]:22} largest difference: {change}")

# %% [markdown]
# **What we see.** Not at all: with ideal proportions the embeddings are equal up to rounding, trained or not, CGCNN or
# transformer. Every atom has the same 12 distances to the same elements, and so have its neighbours, and theirs. Only
# angles would tell, or the shells from the 19th neighbour on. The measured c/a of cobalt (1.623 instead of 1.633) saves
# us by a hair.
#
# ## 8 · Attention instead of a gate
#
# The transformer starts and ends like CGCNN, but each atom *compares* its neighbours. It makes a query q, each
# neighbour a key k, and edge j gets the score `q · k_j / √16 + bias(d_j)`, where the bias is learnt from the distance.
# A **softmax over the neighbours** makes weights that sum to 1. Four heads do this side by side, each with 16 of the 64
# features. By hand, for the first titanium of rutile and the first head:

# %%
batch = batch_of(rutile)
attention, norm = attending.convs[0].attention, attending.convs[0].norm1
mine = batch.centre == 0  # edges that end at the first titanium
with torch.no_grad():
    atoms, edges = norm(attending.embed_atoms(batch)), attending.basis(batch.distance)
    query, key = attention.query(atoms)[0, :16], attention.key(atoms)[batch.neighbour[mine], :16]
    product, bias = key @ query / 16**0.5, attention.distance_bias(edges)[mine, 0]  # [12] each
    scores = product + bias
    weights = torch.exp(scores) / torch.exp(scores).sum()  # softmax
    package = attention.weights(atoms, edges, batch)[mine, 0]
print("neighbours    ", [rutile[int(j)].specie.symbol for j in batch.neighbour[mine]])
print("distance (Å)  ", batch.distance[mine].numpy().round(2))
print("q · k / √16   ", product.numpy().round(2))
print("distance bias ", bias.numpy().round(2))
print("weights       ", weights.numpy().round(3), "sum", round(float(weights.sum()), 3))
print("the same as the package:", torch.allclose(weights, package, atol=1e-6))

# %% [markdown]
# **What we see.** What a neighbour *is* and how *far* it is add up in the score; equal neighbours get equal weights.
#
# Fresh weights attend to nobody in particular. We train for a few epochs, on 800 unstable crystals of the teaching set,
# and ask again: whom does an iron atom of **hematite**, Fe₂O₃, listen to? It has three O at 1.95 Å and three at 2.11 Å,
# then other irons.

# %%
from spmat_nb.pretrain import pretrain
from spmat_nb.settings import PretrainSettings

short = PretrainSettings(epochs=settings.preset().pretrain_epochs)
trained = pretrain(teaching.of_split("pretrain").sample(800, seed=0), short, EncoderSettings("transformer"), show=False)
hematite = Structure.from_spacegroup(
    "R-3c", Lattice.hexagonal(5.04, 13.75), ["Fe", "O"], [[0, 0, 0.355], [0.306, 0, 0.25]]
)
batch = batch_of(hematite)
mine = batch.centre == 0
names = [
    f"{hematite[int(j)].specie} {d:.2f} Å" for j, d in zip(batch.neighbour[mine], batch.distance[mine], strict=True)
]
fig, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained", sharey=True, dpi=90)
for ax, (name, model) in zip(
    axes, {"fresh": attending, f"after {short.epochs} epochs": trained.encoder.eval()}.items(), strict=True
):
    block = model.convs[0]
    with torch.no_grad():
        weights = block.attention.weights(block.norm1(model.embed_atoms(batch)), model.basis(batch.distance), batch)[
            mine
        ]
    plots_models.attention_weights(weights.numpy(), names, ax, f"an iron of hematite, first block, {name}")
plots.note_source(axes[0], teaching.name, "800 unstable crystals; dashed: 1/12, an even mean")
plt.show()

# %% [markdown]
# **What we see.** A head can prefer oxygen or iron, near or far. But
# the weights stay within a small factor of 1/12: after so short a training this is close to a plain mean. A picture of
# attention shows what is *heard*, not why a prediction comes out as it does.
#
# A mean has a price. **Predict:** an atom with 12 equal neighbours loses six of them. What does each layer hear?

# %%
batch = batch_of(copper)
atoms, edges = encoder.embed_atoms(batch), encoder.basis(batch.distance)
half = batch.with_edges((torch.arange(len(batch.distance)) % 2 == 0).nonzero().squeeze(1))  # every other edge
with torch.no_grad():
    heard = {
        "CGCNN (sum)": [encoder.convs[0].plain_sum(atoms, encoder.basis(b.distance), b)[0] for b in (batch, half)],
        "transformer (mean)": [attention(atoms, attending.basis(b.distance), b)[0] for b in (batch, half)],
    }
for name, (twelve, six) in heard.items():
    print(f"{name:20} six neighbours against twelve: {six.norm() / twelve.norm():.3f} of what was heard")

# %% [markdown]
# **What we see.** The sum counts: six neighbours say half as much. The softmax cannot count equal neighbours at all, 4,
# 6 or 12 of them look alike. Coordination numbers matter in chemistry, and a transformer must find them by other ways,
# such as the distance.
#
# ## 9 · Where the parameters are

# %%
from spmat_nb.encoders import count_parameters

PARTS = {
    "element embedding": ["embedding"], "filter and core": ["fc_full"], "query, key, value": ["query", "key", "value"],
    "distance bias and filter": ["distance_bias", "filter"], "feed-forward": ["feed_forward"],
    "norms": ["bn1", "bn2", "norm", "norm1", "norm2"], "last layer": ["conv_to_fc"],
}  # fmt: skip
counts = {}
for name, model in {"CGCNN": encoder, "transformer": attending}.items():
    sizes = {key: p.numel() for key, p in model.named_parameters()}
    of_part = {
        part: sum(n for key, n in sizes.items() if set(key.split(".")) & set(words)) for part, words in PARTS.items()
    }
    counts[name] = {part: count for part, count in of_part.items() if count}
    print(name, counts[name], "all:", sum(of_part.values()) == count_parameters(model))
fig, ax = plt.subplots(figsize=(9, 2.2), dpi=90)
plots_models.parameter_parts(counts, ax)
plt.show()

# %% [markdown]
# **What we see.** The two are about equally large, by design: else a comparison would be one of sizes. Four fifths of
# CGCNN are the three matrices from z to filter and core.
#
# ## 10 · The control: an encoder that never learns
#
# Is a good map the merit of training, or just of elements and distances? The registry has an encoder `random`: CGCNN
# with the weights it was born with, frozen. Whatever a pretrained encoder adds is what it gains over this one. We embed
# 600 *stable* crystals, which pretraining has not seen, and ask how pure the gap classes are among ten neighbours.

# %%
from spmat_nb.diagnostics import effective_rank, knn_purity
from spmat_nb.embed import embed
from spmat_nb.labels import label_classes

stable = teaching.of_split("train", "val", "test").sample(600, seed=0)
classes = label_classes(stable.table, "gap_class")
models = {
    "random, frozen": random_encoder(EncoderSettings("random"), seed=0),
    "CGCNN, pretrained": load_pretrained("teaching-sup_barlow-gap_class"),
    f"transformer, {short.epochs} epochs on 800": trained,
}
rows = {}
for name, model in models.items():
    e = embed(stable, model).to_numpy()
    rows[name] = {
        "can learn": count_parameters(model.encoder),
        "k-NN purity": knn_purity(e, classes),
        "effective rank": effective_rank(e),
    }
pd.DataFrame(rows).T.round(2).astype({"can learn": int})

# %% [markdown]
# **What we see.** (Teaching set, one seed.) The random encoder is far above a third, the level of pure chance for three
# classes of equal size: composition alone says much about a gap. Quote the gain over it, not the purity itself.
#
# ## 11 · Exercises
#
# **Exercise 1.** How many trainable numbers has one convolution with F features and K Gaussians? Count `fc_full` (z to
# 2 F values, with a bias) and both batch norms (a weight and a bias for each of their features: 2 F and F of them).


# %%
def parameters(features, gaussians):
    """Trainable numbers of one convolution."""
    raise NotImplementedError


checks.check_parameters(parameters)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def parameters(features, gaussians):
#     linear = (2 * features + gaussians) * 2 * features + 2 * features
#     norms = 2 * (2 * features) + 2 * features
#     return linear + norms
# ```
#
# With F = 64 and K = 41 these are 22,144. Neither the number of atoms nor of neighbours occurs.
# </details>
#
# **Exercise 2.** Pool a batch: `atoms` [N, F], `crystal` [N] says to which of the `size` crystals each atom belongs.
# Return the mean of each crystal, [size, F]. Crystals have different numbers of atoms.


# %%
def mean_pool(atoms, crystal, size):
    """Mean over the atoms of each crystal: [N, F] to [size, F]."""
    raise NotImplementedError


checks.check_mean_pool(mean_pool)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def mean_pool(atoms, crystal, size):
#     total = torch.zeros(size, atoms.shape[1]).index_add(0, crystal, atoms)
#     return total / torch.bincount(crystal, minlength=size)[:, None]
# ```
#
# `index_add` adds row n of `atoms` to row `crystal[n]` of the result, all crystals at once.
# </details>
#
# **Exercise 3.** Write the message of a single edge, without batch norms: `v_i` and `v_j` are [F], `u` is [K], `weight`
# is [2F, 2F + K] and `bias` [2F]. The filter comes first, then the core. The result is [F].


# %%
def gated_message(v_i, v_j, u, weight, bias):
    """sigmoid(filter) * softplus(core) of one edge: [F]."""
    raise NotImplementedError


checks.check_gated_message(gated_message)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def gated_message(v_i, v_j, u, weight, bias):
#     total = weight @ torch.cat([v_i, v_j, u]) + bias
#     gate, core = total.chunk(2)
#     return torch.sigmoid(gate) * torch.nn.functional.softplus(core)
# ```
#
# The order `[v_i, v_j, u]` is a convention, but one that saved weights depend on.
# </details>
#
# **Exercise 4.** An experiment that could fail. Write a function that measures the largest change (in absolute value)
# of the embedding when the atoms of a crystal are renumbered by `order`. It is tried on CGCNN *and* on a bad encoder
# that looks at the order. An encoder takes a batch; `batch_of(structure)` makes one, and row 0 is the crystal.


# %%
def largest_change(encoder, structure, order):
    """Largest absolute difference between the embeddings of a structure and of the same with atoms renumbered."""
    raise NotImplementedError


model = random_encoder(seed=0).encoder.eval()
checks.check_permutation(largest_change, rutile, model)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def largest_change(encoder, structure, order):
#     renumbered = Structure.from_sites([structure[i] for i in order])
#     difference = encoder(batch_of(renumbered))[0] - encoder(batch_of(structure))[0]
#     return difference.abs().max()
# ```
#
# A test that passes on everything shows nothing; this one fails on the bad encoder.
# </details>
#
# ## 12 · Discussion
#
# <details><summary><b>Question:</b> why not stack ten convolutions and see further?</summary>
# <p>The effect of a far atom fades with every step, and after many rounds of averaging all atoms of a crystal look
# alike (over-smoothing). In small cells information has gone round the whole cell after two or three steps anyway.</p>
# </details>
#
# <details><summary><b>Question:</b> the encoder is blind to angles. Why does it work at all?</summary>
# <p>Ideal proportions are the exception: in most crystals the angles leave traces in the second and third distances.
# Models with angles or more neighbours do have smaller errors; they also cost more.</p>
# </details>
#
# <details><summary><b>Question:</b> is the frozen random encoder a useless model?</summary>
# <p>No. Its embedding is a fixed mixture of composition and distances, and a head trained on it can predict much.
# That is why a pretrained encoder must be compared with it, and not with chance.</p>
# </details>
#
# ## 13 · Recap
#
# - One convolution: z of each edge [E, 169], to filter and core [E, 128], gated message [E, 64], summed to [N, 64].
# - Renumbering the atoms moves rows and leaves the crystal alone; so does a larger cell with a mean, not with a sum.
# - In eval mode the batch does not matter; in training mode batch norm lets it leak.
# - Each convolution reaches one shell further; equal distances mean equal embeddings, so fcc and ideal hcp are one.
# - CGCNN gates and sums, and so can count; attention compares and averages, and so cannot. Their sizes are the same.
#
# **Try it:** replace `"Na", "Cl"` in section 4; use `teaching-barlow`, pretrained without labels; give hematite's third
# block in section 8.
#
# **Next:** `04` asks what the encoder is trained *for*: the losses.
#
# **References.** T. Xie and J. C. Grossman, PRL 120, 145301 (2018) (CGCNN). A. Vaswani et al., NeurIPS 2017
# (attention). C. Ying et al., NeurIPS 2021 (Graphormer: a learnt bias in the scores). K. T. Schütt et al., NeurIPS 2017
# (SchNet: filters of the distance).
