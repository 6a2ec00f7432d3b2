"""Checks of notebook 10: dealing shared sites, test rows without a leak, and minutes to expect."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from ..feedback import Mistake, check
from ..models import Pretrained, formula_codes, random_encoder
from ..settings import EncoderSettings
from .compare import compare

if TYPE_CHECKING:
    from pymatgen.core import Structure

TRIES = 6


@check("dealing shared sites", praise="Ordered, of the same composition, and another arrangement for another draw.")
def check_deal(answer: Callable[["Structure", np.random.Generator], Any]) -> None:
    """`answer(structure, rng)` is ordered, with the elements of shared sites dealt over them in their exact numbers."""
    mixed = mixed_crystal()
    tried = "Na(K) Cl(Br): 4 places of Na3/4K1/4 and 4 of Cl1/2Br1/2"
    dealt = [_ordered(answer(mixed.copy(), np.random.default_rng(seed)), tried) for seed in range(TRIES)]
    for structure in dealt:
        _check_composition(structure, mixed, tried)
    _check_places(dealt[0], mixed, tried)
    if len({_symbols(structure) for structure in dealt}) == 1:
        hint = "Shuffle the elements over the places with rng.permutation: the first places are as good as the last."
        raise Mistake(f"{tried}, {TRIES} generators", "the same arrangement", "different ones", hint)
    again = [_ordered(answer(mixed.copy(), np.random.default_rng(seed)), tried) for seed in range(TRIES)]
    if [_symbols(structure) for structure in again] != [_symbols(structure) for structure in dealt]:
        hint = "Take the random numbers from the generator that is passed in, so that a rerun repeats."
        raise Mistake("the same generator twice", "two arrangements", "the same one", hint)


@cache
def mixed_crystal() -> "Structure":
    """Rock salt with both kinds of sites shared, 8 sites."""
    from pymatgen.core import Lattice, Structure

    species: Any = [{"Na": 0.75, "K": 0.25}, {"Cl": 0.5, "Br": 0.5}]
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.8), species, [[0, 0, 0], [0.5, 0.5, 0.5]])


def _symbols(structure: "Structure") -> tuple[str, ...]:
    return tuple(site.species_string for site in structure)


def _ordered(got: Any, tried: str) -> "Structure":
    """The answer, if it is an ordered structure."""
    from pymatgen.core import Structure

    if not isinstance(got, Structure):
        hint = "Return the new structure; `replace` changes it in place and returns nothing useful."
        raise Mistake(tried, type(got).__name__, "a Structure", hint)
    if not got.is_ordered:
        left = next(site.species_string for site in got if not site.is_ordered)
        hint = "Go through all places, and through each kind of mixture."
        raise Mistake(tried, f"a site that is still {left}", "one element on each site", hint)
    return got


def _check_composition(got: "Structure", mixed: "Structure", tried: str) -> None:
    """The same elements in the same numbers as the mixture says."""
    found, wanted = got.composition, mixed.composition
    if found.almost_equals(wanted):
        return
    hint = "The numbers must be exact: share times places, then shuffled. Dice for each site are right only on average."
    if len(found.elements) == 2:
        hint = "The element with the larger share took every place, which is another compound. Deal each its number."
    elif len(got) != len(mixed):
        hint = "No site is added or lost: each place gets exactly one element."
    raise Mistake(tried, found.formula, wanted.formula, hint)


def _check_places(got: "Structure", mixed: "Structure", tried: str) -> None:
    """Cell and sites stay, and each site holds an element that its mixture has."""
    if len(got) != len(mixed) or not np.allclose(got.frac_coords, mixed.frac_coords):
        hint = "Keep the cell and the places in their order; only the elements change."
        raise Mistake(tried, "other places", "the same places", hint)
    for site, shared in zip(got, mixed, strict=True):
        if site.specie not in shared.species:
            hint = "Deal each mixture over its own places: cations do not go onto the places of anions."
            raise Mistake(tried, f"{site.species_string} on a place of {shared.species_string}", "one of those", hint)


@check("test rows without a leak", praise="Neither training nor pretraining has met these formulas.")
def check_clean_rows(answer: Callable[[pd.DataFrame, Pretrained], Any]) -> None:
    """`answer(table, model)` is true for the test rows whose formula neither training, validation nor `model` saw."""
    table, model = trial_rows()
    got = np.asarray(answer(table.copy(), model))
    formula, split = table["formula"], table["split"]
    test, met = (split == "test").to_numpy(), model.has_seen(formula).to_numpy()
    learnt, watched = (formula.isin(formula[split == part]).to_numpy() for part in ("train", "val"))
    wrong = {
        "Rows of other splits are among them: keep those of split test only.": ~met & ~learnt & ~watched,
        "Formulas that pretraining saw are among them: ask model.has_seen.": test & ~learnt & ~watched,
        "Formulas of the training rows are among them: a polymorph was learnt from.": test & ~met & ~watched,
        "Formulas of the validation rows are among them: the best epoch was chosen by them.": test & ~met & ~learnt,
        "The test rows themselves count as seen here: compare with the training and validation rows only.": (
            np.zeros(len(table), dtype=bool)
        ),
        "It is the other way round: these are the test rows with a leak.": test & (met | learnt | watched),
        "All test rows are there: the formulas must not be known.": test,
        "The ids differ, but a polymorph has another id and the same formula: compare formulas.": test & ~met,
    }
    clean = test & ~met & ~learnt & ~watched
    if got.dtype != bool:
        hint = "Return one truth value a row, in the order of the table; combine with & and ~."
        raise Mistake(_told(table), f"an array of {got.dtype}", f"{len(table)} truth values", hint)
    mistakes = {words: torch.tensor(mask) for words, mask in wrong.items() if not np.array_equal(mask, clean)}
    compare(
        _told(table), got.tolist(), torch.tensor(clean), mistakes, "Clean is: test and not seen, not train, not val."
    )


@cache
def trial_rows() -> tuple[pd.DataFrame, Pretrained]:
    """Ten rows with every kind of leak, and an encoder that has seen MgO and ZnS."""
    rows = [("a", "NaCl", "train"), ("b", "MgO", "test"), ("c", "NaCl", "test"), ("d", "KCl", "test"),
            ("e", "CaF2", "val"), ("f", "CaF2", "test"), ("g", "SiC", "test"), ("h", "ZnS", "train"),
            ("i", "GaAs", "val"), ("j", "TiC", "pretrain")]  # fmt: skip
    table = pd.DataFrame(rows, columns=["material_id", "formula", "split"]).set_index("material_id")
    sizes = EncoderSettings(node_features=4, convolutions=1, hidden=4, projection=4)
    return table, replace(random_encoder(sizes), seen=formula_codes(pd.Series(["MgO", "ZnS"])))


def _told(table: pd.DataFrame) -> str:
    return ", ".join(f"{row.formula} ({row.split})" for row in table.itertuples()) + "; pretraining saw MgO, ZnS"


@check("minutes to expect", praise="Atoms times epochs: the number of crystals does not matter by itself.")
def check_minutes(answer: Callable[[dict[str, float], dict[str, float]], Any]) -> None:
    """`answer(trial, wanted)` are the minutes of a run from a trial: `seconds`, `crystals`, `atoms`, `epochs`."""
    trial = {"seconds": 12.0, "crystals": 500, "atoms": 4000, "epochs": 3}
    wanted = {"crystals": 20000, "atoms": 400000, "epochs": 15}
    right = trial["seconds"] * wanted["atoms"] * wanted["epochs"] / (trial["atoms"] * trial["epochs"]) / 60
    by_crystals = trial["seconds"] * wanted["crystals"] * wanted["epochs"] / (trial["crystals"] * trial["epochs"]) / 60
    mistakes = {
        "Those are seconds: divide by 60.": right * 60,
        "Those are hours: divide by 60 only once.": right / 60,
        "Cells differ in size: scale with the atoms, not with the crystals.": by_crystals,
        "Scale with the atoms, not with the crystals, and divide by 60.": by_crystals * 60,
        "The trial had 3 epochs and the run has 15: scale with wanted epochs over trial epochs.": (
            right * trial["epochs"] / wanted["epochs"]
        ),
        "The epochs of the trial are missing: 12 s were for 3 epochs.": right * trial["epochs"],
        "The ratio of atoms is upside down: more atoms take longer.": (right * (trial["atoms"] / wanted["atoms"]) ** 2),
    }
    tensors = {words: torch.tensor(value) for words, value in mistakes.items()}
    hint = "Seconds an atom and epoch of the trial, times atoms and epochs of the run, over 60."
    compare(f"trial {trial}, run {wanted}", answer(dict(trial), dict(wanted)), torch.tensor(right), tensors, hint)
