# %% [markdown]
# # 05 · Pretraining (GPU if there is one)
#
# **One loop, written out; a run that you can start, stop and resume; and the signs that tell a good run from a bad
# one.**
#
# By the end you can
#
# - *write* the pretraining loop, and show that it is the package's, bit for bit,
# - *start*, *stop* and *resume* a run, and say what is kept on disk,
# - *judge* a run by its history, in numbers and in words,
# - *spot* a collapse, name its cause and cure it,
# - *pick* a loss and a label with a widget, and predict how long a run takes.
#
# **Needs:** notebooks 02 (views) and 04 (losses). No GPU; if there is one, the same code uses it. **Minutes:** about
# 50 to read and do; the code runs in about one.

# %% tags=["setup"]
import numpy as np
import pandas as pd
import torch

from spmat_nb import crystals, settings
from spmat_nb.checks import pretraining as checks

np.set_printoptions(suppress=True)

# %%
import matplotlib.pyplot as plt

from spmat_nb import plots, plots_live, plots_maps

plots.use_style()
out = settings.runs_dir() / "05_pretraining"
print("this notebook computes on:", settings.device().type)

# %% [markdown]
# ## 1 · Two things by hand: batches and the learning rate
#
# An *epoch* shows every crystal once, in *batches*. The losses compare the crystals of a batch with one another, so a
# batch is not only a matter of speed: it is what a crystal is told apart from. A batch of one would have nothing to
# be compared with, so the package cuts an epoch into nearly equal parts instead of leaving a small rest.
#
# The learning rate falls from its full value to zero along half a cosine: η(k) = η · ½ (1 + cos(π k / K)) in step k
# of K.
#
# **Predict:** ten crystals, batches of about four. How many batches, and how large? And what is the share of the full
# rate at the start, in the middle, and in the last of four steps?

# %% tags=["nbval-check-output"]
from math import cos, pi

from spmat_nb.sampling import shuffled_batches
from spmat_nb.training import make_adam, rate_factor, set_rates

for epoch in (0, 1):
    print("epoch", epoch, [batch.tolist() for batch in shuffled_batches(10, 4, 0, epoch)])  # key: seed, epoch
print("by hand   ", [round(0.5 * (1 + cos(pi * k / 4)), 3) for k in range(4)])
print("in package", [round(rate_factor(k, 4), 3) for k in range(4)])

# %% [markdown]
# **What we see.** Two batches of five. The order depends on the *key* (seed, epoch) and on nothing else: run the cell
# twice and it is the same, and the second epoch differs from the first. The noise of the views has such a key as
# well, (seed, epoch, view, crystal). That is why a run can be repeated, and stopped and resumed, to the same bits.
#
# ## 2 · The whole loop
#
# Here is pretraining in full. Read it from the inside out: two views, encoder, projector, loss, step.
#
# **Predict:** which line would you change to make it *unsupervised*? Which two names know about crystals, and which
# lines would be the same for pictures of cats?

# %%
from spmat_nb.augment import two_views
from spmat_nb.losses import supervised_barlow
from spmat_nb.models import random_encoder


def my_pretrain(graphs, classes, rows, how):
    model = random_encoder(seed=how.seed)  # where every run starts
    encoder, projector = model.encoder.train(), model.projector.train()
    weights = [*encoder.parameters(), *projector.parameters()]
    adam = make_adam([{"params": weights, "full_rate": how.learning_rate}], how.weight_decay)
    losses, step = [], 0
    for epoch in range(how.epochs):
        batches, total = shuffled_batches(len(rows), how.batch_size, how.seed, epoch), 0.0
        for part in batches:
            index = rows[part]
            first, second = two_views(graphs, index, how.augment, how.seed, epoch)
            z1, z2 = projector(encoder(first)), projector(encoder(second))  # [B, 256] each
            loss = supervised_barlow(z1, z2, classes[index], how.balance)
            set_rates(adam, rate_factor(step, how.epochs * len(batches)))
            adam.zero_grad()
            loss.backward()
            adam.step()
            total, step = total + loss.item() * len(index), step + 1
        losses.append(total / len(rows))
    return model, losses


# %% [markdown]
# For data we take 512 unstable crystals of the teaching set, so that every run of this notebook takes seconds. One in
# twenty is *held out*: the run never trains on it, and watches it after every epoch. The label is the gap class:
# none, narrow (below 2 eV) or wide.

# %%
from spmat_nb.graphs import build_graphs
from spmat_nb.labels import label_classes
from spmat_nb.pretrain import pretrain, validation_split
from spmat_nb.settings import PretrainSettings

unstable = crystals.load("teaching").of_split("pretrain")
small = unstable.sample(512, seed=0)
graphs = build_graphs(small)
classes = torch.tensor(label_classes(small.table, "gap_class"))
one_epoch = PretrainSettings(loss="sup_barlow", label="gap_class", epochs=1)
held_out, rows = validation_split(len(small), one_epoch)

mine, my_losses = my_pretrain(graphs, classes, rows, one_epoch)
theirs = pretrain(small, one_epoch, graphs=graphs, device="cpu", show=False)


# %% tags=["nbval-check-output"]
def same_weights(first, second):
    pairs = zip(first.encoder.state_dict().values(), second.encoder.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


print(len(rows), "crystals to train on,", len(held_out), "held out")
print("same loss:", my_losses == theirs.history["loss"].tolist())
print("same weights, bit for bit:", same_weights(mine, theirs))

# %% [markdown]
# **What we see.** Not nearly equal, equal. The package's `pretrain` is this loop, plus what a long run needs: checks
# of the input, a held-out part, a stop button, a state on disk, several processes. For an unsupervised run replace
# `classes[index]` by `None`: each crystal is then a class of its own.
#
# ## 3 · Reading a history
#
# **Predict:** the run below has six epochs. Will the loss of the held-out crystals be above or below that of the
# training crystals? Will the effective rank (how many of the 128 dimensions are really used) rise or fall?

# %%
six = PretrainSettings(loss="sup_barlow", label="gap_class", epochs=6)
good = pretrain(small, six, graphs=graphs, show=False)  # leave out show=False to watch it
good.history.set_index("epoch").T.round(4)

# %% [markdown]
# | row | what it says | look for |
# |---|---|---|
# | `loss` | mean over the training batches, while the weights change | falls; its scale depends on the loss |
# | `val_loss` | the same on held-out crystals, with the same noise every epoch | falls; a long rise is overfitting |
# | `learning_rate` | of the last step of the epoch | falls to 0 |
# | `effective_rank` | how many dimensions the held-out embeddings use | above 2; towards 1 is a collapse |
# | `mean_cosine` | between held-out embeddings | only values next to 1 mean anything |
# | `positive_similarity` | mean cosine of projections of one class | rises above the next row |
# | `negative_similarity` | mean cosine of projections of different classes | stays apart from the row above |
# | `knn_purity` | share of ten neighbours with the same class; chance is 1 / classes | rises; jumps if few crystals |
# | `graphs_per_second`, `seconds` | speed, and time since the start | the first epoch compiles and is slow |

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
plots_live.run_progress(good.history, six.epochs, 128, axes)
plots.note_source(axes[0], small.name, f"{len(small)} unstable crystals; a toy run")
plt.show()

# %% [markdown]
# **What we see.** Both losses fall together, and the rank *falls* as well. That is no accident: the label has three
# classes, and a loss that knows three classes needs only a few directions. Guided by a coarse label, an encoder
# forgets. The question is how far: above two it is still more than a line.
#
# Do not compare the two curves with each other to the last digit: the training loss is a mean over an epoch in which
# the weights improve and masks and batch statistics differ; the held-out loss is taken at its end.
#
# ## 4 · The same in words
#
# `judge_history` looks at the history, `judge_embeddings` at the embeddings themselves. Each finding has a level
# (`note`, `warning`, `stop`) and a sentence with the number, what it means and the cure. No finding means nothing to
# warn of.

# %%
from spmat_nb.embed import embed
from spmat_nb.judgements import judge_embeddings, judge_history


def say(model):
    found = judge_history(model.history, model.settings, len(held_out))
    found += judge_embeddings(embed(small, model, graphs), classes.numpy(), model.settings)
    for finding in found:
        print(f"  {finding.level}: {finding.text}")
    if not found:
        print("  nothing to warn of")


print("the run above:")
say(good)

# %% [markdown]
# ## 5 · What collapse looks like
#
# *Collapse*: the network gives all crystals (nearly) the same answer. We make it happen, in two ways.
#
# - **Rate too high**: 0.2 instead of 0.001. Adam moves every weight by about the rate in each step, and at the
#   start most weights are smaller than that.
# - **No push**: λ = 0 (the setting `balance`). The loss asks that crystals of one class agree, and nothing asks that
#   different classes differ.
#
# **Predict before you run:** which of the three runs has the *lowest* loss?

# %%
from dataclasses import replace

runs = {"good": good}
for name, change in {"rate 0.2": {"learning_rate": 0.2}, "λ = 0": {"balance": 0.0}}.items():
    runs[name] = pretrain(small, replace(six, **change), graphs=graphs, show=False)
columns = ["loss", "val_loss", "effective_rank", "positive_similarity", "negative_similarity", "knn_purity"]
pd.DataFrame({name: run.history[columns].iloc[-1] for name, run in runs.items()}).T.round(4)

# %%
fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.2), layout="constrained")
plots_maps.collapse_curves({name: run.history for name, run in runs.items()}, axes)
plots.note_source(axes[0], small.name, f"{len(held_out)} held-out crystals; toy runs")
plt.show()

# %%
for name, run in runs.items():
    print(name)
    say(run)

# %% [markdown]
# **What we see.** The *lowest* loss belongs to a useless run: with λ = 0 the loss is zero up to rounding, because all
# projections point the same way, whatever the class. The effective rank of the *embeddings* does not show it: the
# collapse sits in the projector, and the encoder behind it is hardly trained at all. The gap between the two
# similarities shows it at once. (The judge may also call a rise of a loss of a millionth overfitting. A number has to
# be looked at, even by a judge.)
#
# At the high rate the loss falls, half-way like the good one, and yet the embeddings lie on little more than a line.
# So: **never judge by the loss alone.** One number for the embeddings, one for the projections, and the sentence.
#
# Does the cure work? We change one thing at a time.

# %%
tries = {"rate 0.2": {}, "with clipping": {"clip": 1.0}, "with a warm-up": {"warmup": 2.0}}
tries |= {"rate 0.02": {"learning_rate": 0.02}, "rate 0.001": {"learning_rate": 0.001}}
cured = {"rate 0.2": runs["rate 0.2"], "rate 0.001": good}
for name, change in tries.items():
    if name not in cured:
        how = replace(six, **({"learning_rate": 0.2} | change))
        cured[name] = pretrain(small, how, graphs=graphs, show=False)
pd.DataFrame({name: cured[name].history[["loss", "effective_rank"]].iloc[-1] for name in tries}).T.round(3)

# %% [markdown]
# **What we see.** Clipping the gradient does next to nothing, since Adam divides by the size of the gradient anyway,
# and a warm-up only delays the trouble. The cure is the rate itself, and a tenth is not always enough: look at the
# row of 0.02. Which sign asks for which cure:
#
# | sign | likely cause | cure |
# |---|---|---|
# | effective rank below 2 | rate too high | a tenth of the rate, and again if need be; then more push |
# | both similarities next to 1 | nothing sets crystals apart | raise λ; lower the temperature; larger batches |
# | few dimensions, classes at points | a coarse label, trained for long | a label of more classes, fewer epochs |
# | loss not finite, or growing | rate too high, temperature too low | a tenth of the rate; `clip`; a warm-up |
# | held-out loss rises, training loss falls | too few crystals | fewer epochs, more noise, more crystals |
#
# ## 6 · Stop and resume
#
# A run ends when its *stop event* is set: after the batch it is in. What it returns is the encoder of the last
# *finished* epoch. With `folder=` the state (weights, Adam's moments, history) is on disk after every epoch, so
# `resume=True` can go on, even after the power went off.
#
# **Predict:** a run of four epochs is stopped after two and resumed. Are its weights the same as those of a run
# without a break, nearly the same, or different?

# %%
import shutil
from threading import Event

four, stop, folder = replace(six, epochs=4), Event(), out / "stopped"
shutil.rmtree(folder, ignore_errors=True)  # of an earlier run of this cell


def after_two(row):
    if row["epoch"] == 2:
        stop.set()


common = {"graphs": graphs, "device": "cpu", "show": False}
whole = pretrain(small, four, **common)
half = pretrain(small, four, **common, folder=folder, stop=stop, callbacks=[after_two])
resumed = pretrain(small, four, **common, folder=folder, resume=True)

# %% tags=["nbval-check-output"]
print("epochs before the stop:", len(half.history), "| after resuming:", len(resumed.history))
print("same weights as without a break:", same_weights(whole, resumed))

# %% [markdown]
# **What we see.** The same bits. No state of a random generator was saved: each random number is a function of its
# key. Only the column `seconds` knows that there was a break.
#
# A resumed run must be *the same* run. With other settings, data or labels it is refused, and the message says what
# differs:

# %%
from spmat_nb.errors import CheckpointError

try:
    pretrain(small, replace(four, learning_rate=0.01), **common, folder=folder, resume=True)
except CheckpointError as error:
    print(str(error).replace(repr(str(folder)), "the folder"))

# %% [markdown]
# ## 7 · Without blocking the notebook, and with a widget
#
# A cell that trains keeps the notebook busy: a stop button would only be heard when the cell has ended. `Background`
# runs the training in a thread. You get the notebook back at once, can look at `rows`, and stop.

# %%
import time

from spmat_nb.training import Background

run = Background(pretrain, small, replace(six, epochs=500), graphs=graphs)
while run.running and not run.rows:  # another cell could do this, or a person
    time.sleep(0.1)
run.stop()
stopped = run.result()
print("stopped before the end:", 1 <= len(stopped.history) < 500, "| usable:", stopped.encoder.training is False)

# %% [markdown]
# `LossLabelPicker` is a view on such a run. Choose a loss, a label and an encoder; *Start*; watch the loss and the
# effective rank; *Stop* and *Resume*. All options come from the registries, so a loss that you add to `LOSSES`
# appears here by itself. Each choice has a folder of its own. (Reading without a kernel you see a picture of it.)
#
# **Try:** Supervised SimCLR with the crystal system; then the same label with Classification. Which one keeps more
# dimensions?

# %%
from spmat_nb.widgets import LossLabelPicker

shutil.rmtree(out / "picker", ignore_errors=True)
picker = LossLabelPicker(small, graphs=graphs, folder=out / "picker", settings=six)
picker

# %% [markdown]
# The buttons call methods of `picker.state`, a plain object, so the same can be written down. The widget above
# follows.

# %%
picker.state.choose(loss="sup_simclr", label="crystal_system", epochs=4)
picker.state.start()  # returns at once
print(picker.state.wait(timeout=300))
for level, sentence in picker.state.verdicts:
    print(f"{level}: {sentence}")
picker.static_figure()

# %% [markdown]
# **What we see.** The run ended by itself, and the verdict says that it was too short: four epochs of 512 crystals
# are only 16 steps, and two crystals of one of seven classes still look like any others. Choose more epochs above and
# start again.
#
# ## 8 · How long does it take?
#
# A preset says how many epochs and crystals the lessons use: `fast` for a minute, `class` for a lesson, `full` for the
# lengths of the paper (15 epochs), `paper` for its lengths with the rates of its ancestor. We *measure* a few epochs
# here and *predict* each preset: the time grows with epochs times crystals. The first epoch is left out, since it may
# contain the compiling.
#
# **Predict:** will the paper's 121,371 crystals and 15 epochs take minutes, hours or days on this machine?

# %%
seconds = good.history["seconds"]
per_crystal = (seconds.iloc[-1] - seconds.iloc[0]) / (len(seconds) - 1) / len(small)
lengths = {name: (p.pretrain_epochs, p.max_pretrain or len(unstable)) for name, p in settings.PRESETS.items()}
lengths["the paper's data"] = (15, 121_371)
plan = pd.DataFrame(lengths, index=["epochs", "crystals"]).T
plan["minutes, predicted"] = (plan["epochs"] * plan["crystals"] * per_crystal / 60).round(2)
print(f"measured here on {settings.device().type}: {1e3 * per_crystal:.1f} ms a crystal and epoch")
plan

# %% [markdown]
# **How far to trust this.** Work grows with *atoms*, not with crystals: the teaching set has small cells, the
# Materials Project larger ones, so its line is a lower bound. Other programs on the machine count as well. On a
# machine with a GPU (or an Apple chip) the same call uses it by itself, and the measured line above is then that of
# the GPU. No GPU was at hand when this page was made, so no time of one is given.
#
# ## 9 · Encoders that are ready
#
# Nobody has to wait for long runs: some encoders come with the project, each with its settings and its whole history.

# %%
from spmat_nb.models import load_pretrained, shipped_names

shipped = {name: load_pretrained(name) for name in shipped_names()}
pd.DataFrame({
    name: {"crystals": m.data["crystals"], "loss": m.settings.loss, "label": m.settings.label or "none",
           "epochs": len(m.history), "rank": round(m.history["effective_rank"].iloc[-1], 1),
           "minutes": round(m.history["seconds"].iloc[-1] / 60, 1),
           "findings": ", ".join(f.key for f in judge_history(m.history, m.settings)) or "none"}
    for name, m in shipped.items()
}).T  # fmt: skip

# %% [markdown]
# **What we see.** Look at the column `rank`: the unsupervised runs keep three to five times as many dimensions as
# supervised Barlow Twins, and supervised SimCLR with three classes ends next to the line where we speak of a
# collapse. What such encoders are worth is another question: notebooks 06 (looking) and 07 (fine-tuning).
#
# ## Exercises
#
# **1.** Write the effective rank: centre the embeddings, take the singular values, square them, divide by their sum,
# and return exp of the entropy of these shares. When all embeddings are equal, return 0.


# %%
def my_effective_rank(embeddings):
    """Effective rank of a [B, H] array."""
    raise NotImplementedError


checks.check_effective_rank(my_effective_rank)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_effective_rank(embeddings):
#     squared = np.linalg.svd(embeddings - embeddings.mean(0), compute_uv=False) ** 2
#     if squared.sum() < 1e-12:
#         return 0.0
#     share = squared / squared.sum()
#     share = share[share > 0]
#     return float(np.exp(-(share * np.log(share)).sum()))
# ```
#
# Two directions of equal spread have the shares ½ and ½, the entropy log 2 and so the rank 2.
# </details>
#
# **2.** Judge a run by its last epoch. Return `"diverged"` if the last loss is not finite, or if it is above three
# times the least *and* above half of the first; else `"collapsed"` if the last effective rank is below 2; else
# `"healthy"`.


# %%
def my_verdict(history):
    """One word for a DataFrame with the columns epoch, loss and effective_rank."""
    raise NotImplementedError


checks.check_verdict(my_verdict)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_verdict(history):
#     loss, rank = history["loss"].to_numpy(), history["effective_rank"].iloc[-1]
#     grown = loss[-1] > 3 * loss.min() and loss[-1] > 0.5 * loss[0]
#     if not np.isfinite(loss[-1]) or grown:
#         return "diverged"
#     return "collapsed" if rank < 2 else "healthy"
# ```
# </details>
#
# **3.** Predict the seconds of a longer run from the history of a short one. Leave out the first epoch.


# %%
def predict_seconds(history, crystals, more_crystals, epochs):
    """Seconds of `epochs` epochs with `more_crystals`, from a run with `crystals`; `seconds` counts from its start."""
    raise NotImplementedError


checks.check_predict_seconds(predict_seconds)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def predict_seconds(history, crystals, more_crystals, epochs):
#     seconds = history["seconds"].to_numpy()
#     per_epoch = (seconds[-1] - seconds[0]) / (len(seconds) - 1)
#     return per_epoch * more_crystals / crystals * epochs
# ```
# </details>
#
# ## Recap
#
# - You *wrote* the loop in 24 lines, and it is the package's to the last bit.
# - You *started*, *stopped* and *resumed* a run; after every epoch weights, moments and history are on disk.
# - You *judged* runs by loss, rank and similarities, and by sentences.
# - You *spotted* two collapses, one in the embeddings and one in the projections; the lowest loss was one of them.
# - You *picked* loss and label in a widget, and predicted the minutes of a preset.
#
# <details><summary><b>Discussion:</b> run A has a loss of 0.2 and run B one of 5.2. Which is better?</summary>
# <p>Nobody can say. Different losses have different floors (supervised SimCLR with one class of B crystals cannot go
# below log(2B - 1)), and the lowest loss on this page belongs to a run that learnt nothing.</p>
# </details>
#
# <details><summary><b>Discussion:</b> is a low effective rank always bad?</summary>
# <p>No. A label of three classes needs two directions, and a task that needs only those is served well. It is bad for
# what the label does not know: whatever was thrown away cannot be fine-tuned back without more labels.</p>
# </details>
#
# <details><summary><b>Discussion:</b> why does the package not save the state of a random generator?</summary>
# <p>There is none. A random number is computed from seed, epoch, view and crystal. The same crystal gets the same
# noise in any batch, on any device, before or after a break.</p>
# </details>
#
# **Next:** notebook 06 looks at what these encoders have learnt.
#
# **References.** J. Zbontar et al., *Barlow Twins*, ICML 2021. P. Khosla et al., *Supervised contrastive learning*,
# NeurIPS 2020. O. Roy and M. Vetterli, *The effective rank*, EUSIPCO 2007. T. Wang and P. Isola, *Understanding
# contrastive representation learning through alignment and uniformity on the hypersphere*, ICML 2020. X. Chen and K.
# He, *Exploring simple Siamese representation learning*, CVPR 2021.
