# %% [markdown]
# # 10 · Your own crystals
#
# **From a folder of files, some of them broken, to predictions with error bars, a model that others can load, and a run
# on a cluster.**
#
# By the end you can
#
# - *load* a folder of structure files, *read* its report, and *mend* what was refused,
# - *check* whether a model has met your crystals before you believe it,
# - *map* your crystals onto others, and *predict* a property with error bars,
# - *save* a model so that a stranger can load it, and *read* what it says about itself,
# - *fetch* crystals from the Materials Project with a key,
# - *run* on a cluster, *stop* and *resume*, and *estimate* minutes and memory beforehand.
#
# **Needs:** notebooks 00 and 07. No GPU, no network, no key. **Minutes:** about 50 to read and do; the code runs in
# about 1 on two cores (`SPMAT_PRESET=fast` saves half of it, for rough numbers).

# %% tags=["setup"]
import numpy as np

import spmat_nb.checks.own as checks
from spmat_nb import crystals, plots, plots_transfer, settings

plots.use_style()
preset = settings.preset()
out = settings.runs_dir() / "10_your_own_crystals"

# %% [markdown]
# ## 1 · A folder of files
#
# We need a folder such as yours. This one holds twelve crystals of the textbook set, written as CIF files with the
# measured enthalpy of formation of each in `targets.csv`. Then we damage it, as real folders are damaged: one file has
# lost its last line on the way, and one is a **solid solution**, potassium chloride with a quarter of its chlorine
# replaced by bromine, where a site is 75 % Cl and 25 % Br.

# %%
import shutil

import pandas as pd
from pymatgen.core import Lattice, Structure

textbook = crystals.load("textbook")
# kJ for one mole of formula units, at 298 K (CRC Handbook of Chemistry and Physics)
ENTHALPY = {"NaCl-rocksalt": -411.2, "LiF-rocksalt": -616.0, "AgCl-rocksalt": -127.0, "CsCl-CsCl": -443.0,
            "MgO-rocksalt": -601.6, "CaO-rocksalt": -634.9, "Cu2O-cuprite": -168.6, "TiO2-rutile": -944.0,
            "Al2O3-corundum": -1675.7, "CaF2-fluorite": -1228.0, "ZnS-zincblende": -206.0,
            "PbTe-rocksalt": -70.7}  # fmt: skip
KJ = 1 / 96.485  # eV for one kJ/mol
folder = out / "my_crystals"
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(parents=True)
lines = []
for name, enthalpy in ENTHALPY.items():
    crystal = textbook.structure(name)
    crystal.to(filename=str(folder / f"{name}.cif"))
    atoms = crystal.composition.reduced_composition.num_atoms  # of a formula unit
    lines.append({"material_id": name, "formation_energy_per_atom": enthalpy * KJ / atoms})
pd.DataFrame(lines).to_csv(folder / "targets.csv", index=False)
print(len(list(folder.glob("*.cif"))), "files and targets.csv")

# %%
whole = (folder / "Cu2O-cuprite.cif").read_text()
(folder / "Cu2O-cuprite.cif").write_text("\n".join(whole.splitlines()[:-1]))
mixture = Structure.from_spacegroup("Fm-3m", Lattice.cubic(6.37), ["K", {"Cl": 0.75, "Br": 0.25}], [[0] * 3, [0.5] * 3])
mixture.to(filename=str(folder / "K-Cl-Br.cif"))
print(mixture.composition.reduced_formula, "in", len(mixture), "sites, the fifth of them", mixture[4].species_string)

# %% [markdown]
# **Predict before you run.** 13 files. How many crystals will load? Does a bad file stop the others? And would you have
# noticed that a line is missing, if nobody had told you?

# %%
own = crystals.load(folder)
print(own)
for line in own.report.itertuples():
    print(f"- {line.source} {line.row}".strip() + ":", line.reason.split(" ratios")[0])

# %% [markdown]
# **What we see.** Nothing stops, nothing is guessed: each refused file is named with its reason, and the rest is there.
# The file without its last line still *parses*: it gives a crystal of three coppers and two oxygens. It was caught
# because a CIF also states its formula, and the atoms do not add up to it.
#
# | the report says | usual cause | what to do |
# |---|---|---|
# | cannot be read | a cut download, a page saved instead of a file | get the file again |
# | not the one its file describes | lost lines, a symmetry not understood | get it again, or check the setting |
# | disordered | shared or partly occupied sites | order it: below |
# | two atoms are 0.3 Å apart | split sites, a typo | keep one of the sites |
# | no usable structure has this id | a line of `targets.csv` without a file | check the names |
#
# The first fix is the file again. For the second a decision is needed: a graph has one element on each site, so the
# mixture must be **dealt**, three chlorines and one bromine onto the four sites of this cell.

# %%
(folder / "Cu2O-cuprite.cif").write_text(whole)
dealt = mixture.copy()
for place, symbol in zip((4, 5, 6, 7), ("Br", "Cl", "Cl", "Cl"), strict=True):
    dealt.replace(place, symbol)
dealt.to(filename=str(folder / "K-Cl-Br.cif"))
own = crystals.load(folder, name="my crystals")
print(own)
own.table[["formula", "nsites", "formation_energy_per_atom"]].round(3)

# %% [markdown]
# `K-Cl-Br` has no measured value, so its cell stays empty: NaN, not 0.
#
# ### Exercise 1 · Deal the sites
#
# Write it for any mixture: every set of sites that share the same species is dealt its elements in their exact numbers
# and in random order. (Hint: `site.species` is the mixture of a site and can be compared with `==`;
# `structure.replace(i, element)` changes one site.)


# %%
def deal(structure, rng):
    """An ordered copy of a structure; `rng` is a numpy generator, and all numbers come out whole."""
    raise NotImplementedError


checks.check_deal(deal)

# %% [markdown]
# <details><summary><b>Solution</b></summary>
#
# ```python
# def deal(structure, rng):
#     ordered = structure.copy()
#     for mixture in {site.species for site in structure if not site.is_ordered}:
#         places = [i for i, site in enumerate(structure) if site.species == mixture]
#         names = [str(e) for e, share in mixture.items() for _ in range(round(share * len(places)))]
#         for place, name in zip(places, rng.permutation(names), strict=True):
#             ordered.replace(place, str(name))
#     return ordered
# ```
#
# One arrangement is one guess. In a small cell try them all, or several draws, and look how much the prediction depends
# on it. Where the numbers do not come out whole, take a supercell first.
# </details>
#
# ## 2 · Has the model met them before?
#
# A model that has seen NaCl predicts NaCl well, which says nothing. Pretrained encoders keep codes of the formulas
# that they saw. **Predict:** which of our crystals are in 16,437 *unstable* crystals of the Materials Project? After
# all, ours are stable.

# %%
from spmat_nb.models import load_pretrained, shipped_names

teaching = crystals.load("teaching")
learnt = teaching.of_split("train", "val", "test").table["formula"]
met = pd.DataFrame({name: load_pretrained(name).has_seen(own.table["formula"]) for name in shipped_names()})
met["stable rows of the teaching set"] = own.table["formula"].isin(learnt)
met.replace({True: "seen", False: "-"})

# %% [markdown]
# A formula is quickly compared. Whether it is the *same crystal* takes more: `find_leaks` fits the structures of each
# shared formula onto each other, whatever their cell, origin or volume. It also counts *prototypes*: the same kind of
# formula and space group with any elements, as MgO and NaCl have.

# %%
from spmat_nb.leaks import find_leaks

parts = {"pretrained on": ("pretrain",), "learnt from": ("train", "val", "test")}
for name, splits in parts.items():
    leaks = find_leaks(teaching.of_split(*splits), own)
    print(f"{name}: {leaks} First: {', '.join(leaks.tested_ids[:3])}")

# %% [markdown]
# **What we see.** A formula has many structures, and the unstable ones of MgO or TiO₂ carry its name into pretraining.
# Pretraining saw labels of *other* structures there, not our property, so this is a mild leak. A crystal among the
# rows that a model was *fine-tuned* on is a fatal one, and most of ours are there: rock salt is rock salt in every
# collection. The cure is cheap: leave those formulas out.

# %%
EPOCHS, START = preset.finetune_epochs, "mp33k-sup_barlow-gap_class"
stable = teaching.of_split("train", "val", "test")
apart = stable.select(~stable.table["formula"].isin(own.table["formula"]))
lessons = apart.sample(min(preset.max_finetune or 1200, 1200), seed=0)
print(f"{len(stable)} stable crystals, {len(apart)} without our formulas, {len(lessons)} to learn from")

# %% [markdown]
# ### Exercise 2 · Clean test rows
#
# In a table with the columns `formula` and `split`: which *test* rows have a formula that neither the rows of `train`
# and `val` nor the pretraining of `model` have met?


# %%
def clean_rows(table, model):
    """Truth values, one a row: the test rows without a leak. `model.has_seen(formulas)` says what pretraining saw."""
    raise NotImplementedError


checks.check_clean_rows(clean_rows)

# %% [markdown]
# <details><summary><b>Solution</b></summary>
#
# ```python
# def clean_rows(table, model):
#     learnt = table["formula"][table["split"].isin(["train", "val"])]
#     return (table["split"] == "test") & ~table["formula"].isin(learnt) & ~model.has_seen(table["formula"])
# ```
#
# Validation rows count: the best epoch was chosen by them.
# </details>
#
# ## 3 · Where do they lie?
#
# A map of *your* crystals alone is a map of a dozen points. Put them onto one of many: the axes are those of the
# reference (PCA, fitted on it alone), and your crystals are only placed.

# %%
import matplotlib.pyplot as plt
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from spmat_nb.embed import embed

encoder = load_pretrained(START)
reference = embed(stable, encoder)
axes_of_reference = make_pipeline(StandardScaler(), PCA(2)).fit(reference)


def placed(embeddings):
    return pd.DataFrame(axes_of_reference.transform(embeddings), index=embeddings.index, columns=["x", "y"])


fig, ax = plt.subplots(figsize=(7.5, 4.6), dpi=90, layout="constrained")
mine = embed(own, encoder).set_axis([name.split("-")[0] if name != "K-Cl-Br" else name for name in own.table.index])
plots_transfer.mapped_onto(placed(reference), placed(mine), ax, "stable crystals of the teaching set")
plots.note_source(ax, f"{teaching.name} and {own.name}", f"PCA of embeddings by {START}")
plt.show()

# %% [markdown]
# **What we see.** A crystal far from all grey points is unlike everything the model will learn from; do not expect much
# there. Names close together are crystals that the encoder finds alike. Two axes of 128 show only part of it: for
# neighbours ask the embeddings themselves.

# %%
spread = reference.std() + 1e-6
apart_from = np.linalg.norm((mine.to_numpy()[:, None] - reference.to_numpy()[None]) / spread.to_numpy(), axis=2)
nearest = apart_from.argmin(1)
label = stable.table["formula"] + " (" + stable.table["prototype"] + ")"
pd.DataFrame({"nearest stable crystal": label.to_numpy()[nearest], "distance": apart_from.min(1)}, mine.index).round(1)

# %% [markdown]
# ## 4 · A prediction with an error bar
#
# `PropertyRegressor` has scikit-learn's manners: structures in, `fit`, `predict`. With several `members` it trains as
# many models with different seeds; their spread is the error bar.
#
# **Predict before you run.** The labels of the teaching set come from a machine-learned model, ours from a
# calorimeter. Will the error bars cover the difference?

# %%
from spmat_nb.regressor import PropertyRegressor

regressor = PropertyRegressor(init=START, members=3, epochs=EPOCHS, workers=settings.workers())
regressor.fit(list(lessons.structures), lessons.table["formation_energy_per_atom"])
values, bars = regressor.predict(list(own.structures), return_std=True)
measured = own.table["formation_energy_per_atom"].to_numpy()
answers = pd.DataFrame({"true": measured, "predicted": values, "std": bars}, mine.index)
answers.assign(spreads=(answers["predicted"] - answers["true"]).abs() / answers["std"]).round(2)

# %%
from spmat_nb.vocabulary import get_target

fig, ax = plt.subplots(figsize=(8, 4.4), dpi=90, layout="constrained")
plots_transfer.against_truth(answers, get_target("formation_energy_per_atom"), ax, "measured, 298 K")
plots.note_source(ax, own.name, f"learnt from {len(lessons)} crystals of the teaching set, {EPOCHS} epochs; toy")
plt.show()
known = answers.dropna()
error = (known["predicted"] - known["true"]).abs()
guess = (known["true"] - lessons.table["formation_energy_per_atom"].median()).abs()
print(f"MAE {error.mean():.2f} eV/atom on {len(known)} crystals; the median of the lessons gives {guess.mean():.2f}")
print(f"within one spread {np.mean(error <= known['std']):.0%}, within two {np.mean(error <= 2 * known['std']):.0%}")

# %% [markdown]
# **What we see.** The order is mostly right, the bars are too short. The spread over members says how much the answer
# depends on the *seed*. What all members share is not in it: the toy labels they learnt from, the few crystals, and a
# calorimeter at 298 K that measures another quantity than an energy at 0 K. So quote the *coverage* on crystals with
# known values (above), not the bar alone.
#
# <details><summary><b>Question:</b> the solid solution has a prediction. What is it a prediction of?</summary>
# <p>Of one ordered arrangement, K₄BrCl₃ in a cell of eight atoms, not of the mixture: entropy and all other
# arrangements are missing.</p>
# </details>
#
# ## 5 · Save it, share it

# %%
import json

from spmat_nb.ensembles import Ensemble

regressor.ensemble_.save_pretrained(out / "model")
for path in sorted((out / "model" / "member-0").iterdir()):
    print(f"{path.name.split('-')[0]:28} {path.stat().st_size / 1000:7.1f} kB")
again = Ensemble.from_pretrained(out / "model").predict(own)
print("the same predictions:", bool(np.allclose(again["y"], values)))
said = json.loads((out / "model" / "member-0" / "config.json").read_text())
print({key: said[key] for key in ("kind", "version", "format")}, said["metrics"]["data"]["crystals"], "crystals")
print("encoder:", said["encoder"]["name"], said["encoder"]["graph"], "| started from", said["metrics"]["init"])

# %% [markdown]
# **What we see.** A folder is all there is: settings and metrics as JSON, weights as `safetensors`. Nothing in it is
# executed on loading, so you may open a stranger's model; and the checksum in `config.json` tells when a download is
# incomplete. Zip it, put it beside your paper. `Pretrained.save_pretrained` and `from_pretrained` do the same for an
# encoder, together with the codes of what it saw.
#
# ## 6 · The Materials Project, with a key
#
# Real crystals in large numbers come from [materialsproject.org](https://materialsproject.org): an account gives you a
# key, `python -m pip install 'spmat_nb[mp]'` the client, and `crystals.from_materials_project` the file: it asks for
# the ids that fit, then for some hundreds of documents at a time, and goes on where it ended if the line drops. Without
# a query it asks for everything, as the paper does. Here is a smaller question.

# %%
from spmat_nb.materials_project import FIELDS, QUERY, provenance_of

OURS = {"elements": ["Ti", "O"], "num_elements": (2, 3), "energy_above_hull": (0, 0.1), "num_sites": (1, 20)}
key = settings.materials_project_key()
print("MP_API_KEY is set." if key else "No MP_API_KEY is set: nothing leaves this machine.")
print("materials.summary.search is asked for")
print("\n".join(f"  {name} = {value}" for name, value in {**QUERY, **OURS}.items()))
print("and for the fields", ", ".join(FIELDS))

# %% [markdown]
# Everything after the question needs no key. Without one, a stand-in for the client answers with three crystals of the
# textbook set and their measured gaps; a field that a document does not have stays empty.

# %%
from types import SimpleNamespace

from spmat_nb.labels import class_counts

gaps = textbook.table.loc[["TiO2-rutile", "GaAs-zincblende", "Si-diamond"], ["band_gap", "is_gap_direct"]]
made = {f"made-{i}": {"material_id": f"made-{i}", "structure": textbook.structure(name), "is_stable": True,
                      **{k: None if pd.isna(v) else v for k, v in gaps.loc[name].items()}}
        for i, name in enumerate(gaps.index)}  # fmt: skip


def search(fields, material_ids=None, **query):
    """Like `materials.summary.search` of the client, but of three documents."""
    return [made[name] for name in material_ids or made]


summary = SimpleNamespace(summary=SimpleNamespace(search=search))
stand_in = SimpleNamespace(db_version="three made documents", materials=summary)
file = out / ("materials_project.parquet" if key else "stand_in.parquet")
project = crystals.from_materials_project(file, OURS, client=None if key else stand_in, show=False)
print(project)
record = json.loads(provenance_of(file).read_text())
print({name: record[name] for name in ("database", "materials", "stable", "left_out")})
print("A record of theirs also says:", record["licence"])
class_counts(project.table, "gap_type").to_frame()

# %% [markdown]
# With `is_gap_direct` the label `gap_type`, one of the paper's, is available by itself: the teaching set cannot make
# it. (Where nobody says whether a gap is direct, as here for rutile, the class is *not known*, and the losses take such
# a crystal as a class of its own.) The record beside the file keeps the version of the database, the query, the date
# and the licence: the database grows, and its values are revised. `python -m spmat_nb download` does the same from a
# terminal.
#
# ## 7 · On a cluster
#
# Every step is also a command, and several GPUs share one run:
#
# ```
# python -m spmat_nb pretrain --data my_folder --loss sup_simclr --label gap_type --preset full --out runs/mine
# torchrun --nproc-per-node 8 -m spmat_nb pretrain --data my.parquet --loss sup_simclr --label gap_type \
#      --preset full --out runs/mine
# ```
#
# Jobs there end when their time is up. The scheduler sends a SIGTERM first: the run then ends after its present batch
# (at worst the unfinished epoch is lost), and `--resume` goes on from the last finished one. For SLURM, a script like
# this; adapt the names:
#
# ```
# #!/bin/bash
# #SBATCH --job-name=spmat
# #SBATCH --nodes=1 --ntasks=1 --cpus-per-task=16 --gpus-per-node=8
# #SBATCH --time=04:00:00
# #SBATCH --signal=TERM@120
# source .venv/bin/activate
# srun torchrun --nproc-per-node 8 -m spmat_nb pretrain --data my.parquet --loss sup_simclr --label gap_type \
#      --preset full --out runs/mine --resume
# ```
#
# `--signal=TERM@120` asks for the signal two minutes before the end. Sent three times with `sbatch
# --dependency=singleton`, the second job waits for the first and goes on where it ended; one that finds a finished run
# has nothing left to do. The eight processes need the same graphs: one of them builds, on several cores, the others
# wait, and all map the same file into memory. Here is stopping and resuming on this machine: start, SIGTERM after two
# epochs, resume.

# %%
import subprocess
import sys
import time

import psutil

COMMAND = [sys.executable, "-m", "spmat_nb", "pretrain", "--preset", "fast", "--epochs", "6", "--device", "cpu",
           "--out", str(out / "killed")]  # fmt: skip


def run(command, stop_after=None):
    """Run a command; send SIGTERM once so many epochs are done. Returns status, last line of stderr, peak memory."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    watched, state, peak, asked = psutil.Process(child.pid), out / "killed" / "resume" / "history.csv", 0, False
    while child.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.Error:
            break
        if stop_after and not asked and state.is_file() and len(state.read_text().splitlines()) > stop_after:
            child.terminate()
            asked = True
        time.sleep(0.05)
    said = child.communicate()[1].strip().splitlines()
    return child.returncode, said[-1].replace(str(out), "OUT") if said else "", peak


# %%
shutil.rmtree(out / "killed", ignore_errors=True)
status, said, peak = run(COMMAND, stop_after=2)
print(f"status {status}: {said}")
status, said, _ = run([*COMMAND, "--resume"])
history = pd.read_csv(out / "killed" / "history.csv")
print(f"status {status}: {len(history)} epochs in the history, of which the second run did only the missing ones")
print(f"peak memory of the first run: {peak / 1e9:.1f} GB, most of it libraries")

# %% [markdown]
# **What we see.** Nothing is lost but the unfinished epoch, and the resumed run gives the same weights as one that was
# never stopped. (A kill without warning loses no more: the state is written after every epoch.)
#
# ### How long, how much memory?
#
# Both grow with the number of **atoms**, since each has 12 edges. Measure a small trial, then multiply. We take the
# faster of the second and third epoch, for three sizes, and go on to larger sets with the line through the origin. (As
# many crystals as the paper pretrains on, with 25 atoms each: that number is a guess.)

# %%
import torch

from spmat_nb.graphs import build_graphs
from spmat_nb.pretrain import pretrain
from spmat_nb.settings import PretrainSettings

torch.set_num_threads(1)
unstable, trials = teaching.of_split("pretrain"), []
for count in (200, 400, 800):
    some = unstable.sample(count, seed=0)
    graphs = build_graphs(some)
    seconds = pretrain(some, PretrainSettings(epochs=3), graphs=graphs, device="cpu", show=False).history["seconds"]
    size = sum(getattr(graphs, name).nbytes for name in ("z", "degree", "neighbour", "distance", "reverse"))
    trials.append({"crystals": count, "atoms": len(graphs.z), "cost": seconds.diff().min(), "bytes": size})
trials = pd.DataFrame(trials)
each, size = plots_transfer.rate(trials), (trials["bytes"] / trials["atoms"]).mean()  # s an epoch, bytes: of one atom
SETS = {"unstable, teaching set": int(unstable.table["nsites"].sum()), "121,371 crystals of 25 atoms": 121371 * 25}
expected = pd.DataFrame({"atoms": SETS})
expected["hours for 15 epochs"] = 15 * each * expected["atoms"] / 3600
expected["GB of graphs"] = size * expected["atoms"] / 1e9
expected.round(3)

# %%
fig, ax = plt.subplots(figsize=(7, 3.6), dpi=90, layout="constrained")
plots_transfer.extrapolation(trials, list(SETS.values()), ax, "seconds an epoch")
plots.note_source(ax, teaching.name, "pretraining, CGCNN, one thread of this machine")
plt.show()

# %% [markdown]
# **What we see.** The measured points lie near the line; the squares are **extrapolated**, and a factor of 1.5 off
# would be no surprise: small sets fit into caches, other machines have other cores, and a GPU has another slope
# altogether. Measure the trial on the machine that will run.
#
# ### Exercise 3 · Minutes to expect


# %%
def minutes(trial, wanted):
    """Minutes of a run, from a trial {seconds, crystals, atoms, epochs} to {crystals, atoms, epochs}."""
    raise NotImplementedError


checks.check_minutes(minutes)

# %% [markdown]
# <details><summary><b>Solution</b></summary>
#
# ```python
# def minutes(trial, wanted):
#     each = trial["seconds"] / (trial["atoms"] * trial["epochs"])
#     return each * wanted["atoms"] * wanted["epochs"] / 60
# ```
#
# Leave the first epoch out of a trial: it compiles.
# </details>
#
# ## Recap
#
# - A folder **loads** in one line; its report names each refused file with a reason, and most are **mended** by
#   fetching the file again. A disordered crystal needs your decision.
# - **Check** by formula what pretraining, training and validation have met; keep such crystals out of the rows you
#   judge by.
# - **Map** your crystals onto axes that were fitted without them. **Predict** with several members, and quote how often
#   the truth lies within the bar.
# - A **saved** model is JSON and safetensors: safe to open, and it says what it is and what it saw.
# - The **Materials Project** needs a key and one line; what comes back is a file like any other, with a record.
# - On a **cluster** the same commands run under `torchrun`; a stopped run **resumes**; minutes and memory grow with
#   the atoms.
#
# <details><summary><b>Discussion:</b> your set has 40 crystals with a measured property. What would you do?</summary>
# <p>Keep it simple: a pretrained encoder, frozen, with a head or a ridge; cross-validation by formula; the median and
# a composition-only model beside it. With 40 crystals, differences of ten per cent are noise.</p>
# </details>
#
# <details><summary><b>Discussion:</b> a colleague sends a model with a test error half of yours. Which three questions
# do you ask?</summary>
# <p>How was the split made (by formula, or were polymorphs in both parts)? What did pretraining see? How many seeds,
# and what does the median give on the same rows?</p>
# </details>
#
# ## References
#
# - SPMat, the method: arXiv 2504.20112. CGCNN: T. Xie and J. C. Grossman, Phys. Rev. Lett. 120, 145301 (2018).
# - Materials Project: A. Jain et al., APL Materials 1, 011002 (2013). pymatgen: S. P. Ong et al., Comput. Mater. Sci.
#   68, 314 (2013).
# - CIF: S. R. Hall, F. H. Allen and I. D. Brown, Acta Cryst. A47, 655 (1991).
# - Enthalpies of formation: W. M. Haynes (ed.), CRC Handbook of Chemistry and Physics, 97th ed. (2016).
