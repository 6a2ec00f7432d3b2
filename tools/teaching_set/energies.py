"""Energies from CHGNet (Deng et al., Nat. Mach. Intell. 5, 1031, 2023): volume scans, relaxations, moments."""

import math
import warnings
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from pymatgen.analysis.local_env import CovalentRadius
from pymatgen.core import Structure

if TYPE_CHECKING:
    from chgnet.model.dynamics import StructOptimizer
    from chgnet.model.model import CHGNet

SCAN_STEP = 0.10  # in ln V
SCAN_LIMIT = math.log(2.5)
VOLUME_LIMIT = math.log(2.0)
CONTACT = 0.6  # shortest distance allowed, as a fraction of the sum of covalent radii


class Unphysical(Exception):
    """A candidate that must be dropped; the text is the reason under which it is counted."""


@cache
def model() -> "CHGNet":
    """CHGNet 0.3.0 on one thread, loaded once a process."""
    from chgnet.model.model import CHGNet

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="chgnet")
    return CHGNet.load(use_device="cpu", verbose=False)


def predict(structure: Structure, task: str = "e") -> dict:
    """CHGNet's answer for one structure; `e` is in eV/atom, `m` in Bohr magnetons a site."""
    try:
        graph = model().graph_converter(structure)
    except ValueError as error:
        raise Unphysical("an atom without neighbours within 6 A") from error
    with torch.no_grad():
        return model().predict_graph(graph, task=task)


def check_contacts(structure: Structure) -> None:
    """Raise `Unphysical` when two atoms are closer than `CONTACT` times the sum of their covalent radii."""
    centre, neighbour, _, distance = structure.get_neighbor_list(r=3.5)
    radius = np.array([CovalentRadius.radius[site.specie.symbol] for site in structure])
    if (distance < CONTACT * (radius[centre] + radius[neighbour])).any():
        raise Unphysical(f"atoms closer than {CONTACT} of the sum of covalent radii")


def at_volume(structure: Structure, log_ratio: float) -> Structure:
    """The structure scaled to `exp(log_ratio)` times its volume, fractional coordinates kept."""
    scaled = structure.copy()
    scaled.scale_lattice(structure.volume * math.exp(log_ratio))
    return scaled


def scan_volume(structure: Structure) -> tuple[Structure, float]:
    """Walk downhill in ln V until a minimum is bracketed, then fit a parabola twice.

    Returns:
        The structure at the volume of least energy, and ln of that volume over the predicted one.

    Raises:
        Unphysical: no minimum between 1/2.5 and 2.5 times, or one beyond a factor of two.
    """
    energy: dict[int, float] = {}

    def at(step: int) -> float:
        if step not in energy:
            energy[step] = float(predict(at_volume(structure, step * SCAN_STEP))["e"])
        return energy[step]

    step = 0
    while not (at(step) <= at(step - 1) and at(step) <= at(step + 1)):
        step += 1 if at(step + 1) < at(step - 1) else -1
        if abs(step * SCAN_STEP) > SCAN_LIMIT:
            raise Unphysical("volume scan with no inner minimum")
    centre = vertex(step * SCAN_STEP, SCAN_STEP, at(step - 1), at(step), at(step + 1))
    fine = SCAN_STEP / 3
    around = [float(predict(at_volume(structure, centre + k * fine))["e"]) for k in (-1, 0, 1)]
    best = vertex(centre, fine, *around)
    if abs(best) > VOLUME_LIMIT:
        raise Unphysical("volume beyond a factor of two of the prediction")
    return at_volume(structure, best), best


def vertex(centre: float, step: float, left: float, middle: float, right: float) -> float:
    """Abscissa of the parabola through three equidistant points, never more than one step away."""
    curvature = left - 2 * middle + right
    if curvature <= 0:
        return centre
    return centre + step * float(np.clip(0.5 * (left - right) / curvature, -1, 1))


@cache
def optimiser() -> "StructOptimizer":
    """CHGNet's structure optimiser, made once a process because it announces itself each time."""
    from chgnet.model.dynamics import StructOptimizer

    return StructOptimizer(model=model(), use_device="cpu")


def relax(structure: Structure, fmax: float, steps: int) -> tuple[Structure, int]:
    """Cell and positions relaxed with FIRE; returns the result and the number of steps taken."""
    result = optimiser().relax(structure, fmax=fmax, steps=steps, verbose=False)
    return result["final_structure"], len(result["trajectory"].energies) - 1


def with_energy(entry: dict) -> dict:
    """Add energy (eV/atom) and site moments to a record whose structure is settled."""
    check_contacts(entry["structure"])
    answer = predict(entry["structure"], task="em")
    return entry | {"energy": float(answer["e"]), "moments": np.abs(answer["m"]).round(4).tolist()}


def settle(entry: dict) -> dict:
    """A prototype is kept as it is, molecules are relaxed, any other substitution gets the volume of least energy."""
    if entry["origin"] == "prototype":
        return with_energy(entry | {"relaxation": "none", "log_volume_ratio": 0.0})
    if entry.get("molecular"):
        structure, steps = relax(entry["structure"], fmax=0.05, steps=300)
        ratio = float(np.log(structure.volume / entry["structure"].volume))
        how = {"relaxation": "cell and positions", "relaxation_steps": steps}
        return with_energy(entry | how | {"structure": structure, "log_volume_ratio": ratio})
    structure, ratio = scan_volume(entry["structure"])
    return with_energy(entry | {"structure": structure, "relaxation": "volume", "log_volume_ratio": ratio})


def relax_entry(entry: dict) -> dict:
    """Relax a record; keep the first structure when the relaxed one is unphysical or not lower in energy."""
    steps = 300 if len(entry["structure"].composition) == 1 else 40
    try:
        structure, taken = relax(entry["structure"], fmax=0.05, steps=steps)
        relaxed = with_energy(entry | {"structure": structure, "relaxation": "cell and positions"})
    except Unphysical:
        return entry
    return relaxed | {"relaxation_steps": taken} if relaxed["energy"] < entry["energy"] - 1e-4 else entry
