"""Which crystals to try: experimental prototypes, and plausible substitutions of them.

The prototypes are those of the AFLOW library (Mehl et al., Comput. Mater. Sci. 136, S1, 2017) that pymatgen
ships. Where oxidation states can be assigned, substitutes are drawn from the ICSD-derived probabilities of
Hautier et al. (Inorg. Chem. 50, 656, 2011); elsewhere elements are swapped within a chemical group.
"""

import warnings
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from monty.serialization import loadfn
from pymatgen.analysis.structure_prediction.substitution_probability import SubstitutionProbability
from pymatgen.analysis.structure_prediction.volume_predictor import DLSVolumePredictor
from pymatgen.core import Element, Species, Structure

Symbols = tuple[str, ...]  # one element a role
Choices = list[tuple[list[Species], np.ndarray]]  # for each role its species and their probabilities

MAX_SITES = 20
CHEMICAL_GROUPS = [
    group.split()
    for group in (
        "Li Na K Rb Cs",
        "Mg Ca Sr Ba Be",
        "Sc Y La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Th U",
        "Ti Zr Hf V Nb Ta Cr Mo W Mn Re",
        "Fe Ru Os Co Rh Ir Ni Pd Pt",
        "Cu Ag Au Zn Cd Hg",
        "Al Ga In Tl",
        "Si Ge Sn Pb",
        "N P As Sb Bi",
        "O S Se Te",
        "F Cl Br I",
        "B C N",
        "H",
    )
]
ALLOWED = {symbol for group in CHEMICAL_GROUPS for symbol in group}
MAX_KNOWN_Z = 94  # CHGNet's last element
# Every element is tried on these; the others only within the group of the prototype's own element.
COMMON_UNARY = {"A_cF4_225_a", "A_cI2_229_a", "A_hP2_194_c", "A_cF8_227_a", "A_hR2_166_c"}
# Prototypes of two-atom molecules, and the elements put on them with the cell as it is: scaling it would pull the
# molecules apart. They are relaxed instead of scanned and become the references of the gases.
MOLECULAR_TYPES = {"A_hR2_166_c": "O", "A_mC4_12_i": "O", "A_cP8_205_c": "N", "A_tP4_136_f": "N", "A_tP16_138_j": "Cl"}
DIATOMIC = ("H", "N", "O", "F", "Cl")
FIRST_VOLUME = DLSVolumePredictor(min_scaling=0.1, max_scaling=10.0)


@dataclass(frozen=True)
class Prototype:
    """A shipped crystal with its names; `roles` are its elements by (amount, electronegativity)."""

    structure: Structure
    aflow: str
    mineral: str
    strukturbericht: str

    @property
    def roles(self) -> list[Element]:
        """Elements sorted by amount, then by electronegativity."""
        amounts = self.structure.composition
        return sorted(amounts.elements, key=lambda e: (amounts[e], e.X))

    @property
    def amounts(self) -> np.ndarray:
        """Atoms of each role in the reduced formula, in the order of `roles`."""
        reduced = self.structure.composition.reduced_composition
        return np.array([round(reduced[e]) for e in self.roles])


def load_prototypes(max_sites: int = MAX_SITES) -> tuple[list[Prototype], dict[str, int]]:
    """The shipped prototypes the label makers can handle, and how many were left out for which reason."""
    shipped = loadfn(str(files("pymatgen.analysis.prototypes") / "aflow_prototypes.json.gz"))
    kept, left_out = [], defaultdict(int)
    for entry in shipped:
        structure, tags = entry["snl"].structure, entry["tags"]
        if len(structure) > max_sites:
            left_out[f"prototype of more than {max_sites} sites"] += 1
        elif max(structure.atomic_numbers) > MAX_KNOWN_Z or "Po" in structure.symbol_set:
            left_out["prototype with an element the label makers do not know"] += 1
        else:
            names = {key: "" if tags[key] == "None" else tags[key] for key in ("mineral", "strukturbericht")}
            kept.append(Prototype(structure, tags["aflow"], **names))
    return kept, dict(left_out)


def ionic_choices(prototype: Prototype, model: SubstitutionProbability) -> Choices | None:
    """For each role its possible species and their tempered probabilities; None without oxidation states.

    The square root of the probability is used (our choice): it keeps the order of likelihood but lets
    rarer ions appear, which a set of thousands of crystals needs.
    """
    guesses = prototype.structure.composition.oxi_state_guesses()
    if not guesses:
        return None
    choices = []
    for element in prototype.roles:
        state = guesses[0].get(element.symbol, 0)
        species = Species(element.symbol, state)
        if species not in model.species:
            return None
        same_sign = sorted(s for s in model.species if s.oxi_state * state > 0 and s.symbol in ALLOWED)
        weights = np.sqrt([model.cond_prob(s, species) for s in same_sign])
        choices.append((same_sign, weights / weights.sum()))
    return choices


def draw_ionic(choices: Choices, amounts: np.ndarray, rng: np.random.Generator, draws: int = 4000) -> list[Symbols]:
    """Charge-balanced element tuples in order of first appearance among `draws` samples."""
    picks = np.stack([rng.choice(len(species), size=draws, p=weights) for species, weights in choices], axis=1)
    charges = [np.array([s.oxi_state for s in species]) for species, _ in choices]
    balance = sum(a * c[picks[:, i]] for i, (a, c) in enumerate(zip(amounts, charges, strict=True)))
    rows = picks[np.abs(balance) < 1e-8]
    return distinct(tuple(choices[i][0][j].symbol for i, j in enumerate(row)) for row in rows)


def draw_within_groups(roles: list[Element], rng: np.random.Generator, draws: int = 400) -> list[Symbols]:
    """Element tuples in which each role is replaced by a member of its own chemical group."""
    pools = [sorted({s for g in CHEMICAL_GROUPS if e.symbol in g for s in g} or {e.symbol}) for e in roles]
    return distinct(tuple(str(rng.choice(pool)) for pool in pools) for _ in range(draws))


def distinct(tuples: Iterable[Symbols]) -> list[Symbols]:
    """The tuples without repeated elements, each once, first come first."""
    return list(dict.fromkeys(t for t in tuples if len(set(t)) == len(t)))


def substitute(prototype: Prototype, symbols: Symbols) -> Structure:
    """The prototype with `symbols` in the places of its roles, scaled to the predicted volume."""
    structure = prototype.structure.copy()
    structure.replace_species(dict(zip(prototype.roles, map(Element, symbols), strict=True)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the predictor falls back to atomic radii and says so each time
        return FIRST_VOLUME.get_predicted_structure(structure)


def elemental_candidates(prototypes: list[Prototype]) -> list[tuple[Prototype, Symbols]]:
    """Every element on the common structures and on those of its own group."""
    pairs = []
    for prototype in prototypes:
        if len(prototype.roles) == 1:
            own = prototype.roles[0].symbol
            group = {s for g in CHEMICAL_GROUPS if own in g for s in g}
            pairs += [(prototype, (s,)) for s in sorted(ALLOWED if prototype.aflow in COMMON_UNARY else group)]
    return pairs


def compound_candidates(prototypes: list[Prototype], per_prototype: int, seed: int) -> list[tuple[Prototype, Symbols]]:
    """Substitutions of the prototypes with two or more elements.

    Up to 40 % of a prototype's share are compositions already drawn for another prototype of the same
    stoichiometry, so that formulas have competing polymorphs and the hull means something.
    """
    model = SubstitutionProbability()
    pool: dict[tuple, list[Symbols]] = defaultdict(list)
    pairs = []
    for number, prototype in enumerate(prototypes):
        if len(prototype.roles) == 1:
            continue
        rng = np.random.default_rng([seed, number])
        choices = ionic_choices(prototype, model)
        fresh = draw_ionic(choices, prototype.amounts, rng) if choices else draw_within_groups(prototype.roles, rng)
        known = pool[choices is None, tuple(prototype.amounts)]
        shared = [known[i] for i in rng.permutation(len(known))[: int(0.4 * per_prototype)]]
        fresh = [t for t in fresh if t not in set(shared)][: per_prototype - len(shared)]
        known.extend(t for t in fresh if t not in set(known))
        pairs += [(prototype, symbols) for symbols in shared + fresh]
    return pairs


def molecular_candidates(prototypes: list[Prototype]) -> list[dict]:
    """Two-atom molecules on the molecular prototypes, unscaled."""
    records = []
    for prototype in prototypes:
        own = prototype.roles[0].symbol
        if MOLECULAR_TYPES.get(prototype.aflow) == own:
            for symbol in DIATOMIC:
                if symbol != own:
                    structure = prototype.structure.copy()
                    structure.replace_species({prototype.roles[0]: Element(symbol)})
                    records.append(record(prototype, structure, "substitution") | {"molecular": True})
    return records


def all_candidates(per_prototype: int, seed: int) -> tuple[list[dict], dict[str, int]]:
    """Every crystal to try, as records with `id`, names, `origin` and `structure`; and the counts left out."""
    prototypes, left_out = load_prototypes()
    records = [record(p, p.structure, "prototype") for p in prototypes]
    for prototype, symbols in elemental_candidates(prototypes) + compound_candidates(prototypes, per_prototype, seed):
        if symbols != tuple(e.symbol for e in prototype.roles):
            try:
                records.append(record(prototype, substitute(prototype, symbols), "substitution"))
            except (ValueError, TypeError):
                left_out["no first volume"] = left_out.get("no first volume", 0) + 1
    records += molecular_candidates(prototypes)
    for number, entry in enumerate(records):
        entry["id"] = f"tch-{number:05d}"
    return records, left_out


def record(prototype: Prototype, structure: Structure, origin: str) -> dict:
    """One candidate: the structure and the names of the type it belongs to."""
    return {
        "prototype": prototype.aflow,
        "mineral": prototype.mineral,
        "strukturbericht": prototype.strukturbericht,
        "origin": origin,
        "structure": structure,
    }
