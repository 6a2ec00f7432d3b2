"""The rules by which the teaching set is built, without the models that label it."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from pymatgen.analysis.structure_prediction.substitution_probability import SubstitutionProbability

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from teaching_set import assemble, candidates, energies, shards


@pytest.fixture(scope="module")
def prototypes():
    return {p.aflow: p for p in candidates.load_prototypes()[0]}


@pytest.fixture
def parabola(monkeypatch):
    """An energy with its minimum at a chosen ln of the volume ratio."""

    def install(volume, minimum):
        energy = lambda s, task="e": {"e": (math.log(s.volume / volume) - minimum) ** 2}  # noqa: E731
        monkeypatch.setattr(energies, "predict", energy)

    return install


def test_prototypes_are_small_and_known_and_the_rest_is_counted():
    kept, left_out = candidates.load_prototypes()
    assert len(kept) + sum(left_out.values()) == 288
    assert max(len(p.structure) for p in kept) <= 20


def test_ionic_substitutions_are_balanced_and_repeat_no_element(prototypes):
    salt = prototypes["AB_cF8_225_a_b"]
    choices = candidates.ionic_choices(salt, SubstitutionProbability())
    found = candidates.draw_ionic(choices, salt.amounts, np.random.default_rng(0))
    assert len(found) > 50
    assert len(set(found)) == len(found)
    charges = [{s.symbol: set() for s in species} for species, _ in choices]
    for role, (species, _) in zip(charges, choices, strict=True):
        for s in species:
            role[s.symbol].add(s.oxi_state)
    for cation, anion in found:
        assert any(-c in charges[1][anion] for c in charges[0][cation]), (cation, anion)


def test_swaps_stay_in_their_chemical_group(prototypes):
    laves = prototypes["A2B_cF24_227_d_a"]
    found = candidates.draw_within_groups(laves.roles, np.random.default_rng(0))
    groups = [{s for g in candidates.CHEMICAL_GROUPS if role.symbol in g for s in g} for role in laves.roles]
    assert len(found) > 10
    assert all(symbol in group for symbols in found for symbol, group in zip(symbols, groups, strict=True))


@pytest.mark.parametrize("minimum", [-0.5, 0.0, 0.23, 0.6])
def test_a_volume_scan_finds_the_inner_minimum(named, parabola, minimum):
    parabola(named["NaCl"].volume, minimum)
    structure, found = energies.scan_volume(named["NaCl"])
    assert found == pytest.approx(minimum, abs=1e-6)
    assert structure.volume == pytest.approx(named["NaCl"].volume * math.exp(minimum))


@pytest.mark.parametrize(("minimum", "reason"), [(0.8, "factor of two"), (-0.8, "factor of two"), (3.0, "no inner")])
def test_a_volume_far_from_the_prediction_is_dropped(named, parabola, minimum, reason):
    parabola(named["NaCl"].volume, minimum)
    with pytest.raises(energies.Unphysical, match=reason):
        energies.scan_volume(named["NaCl"])


def test_atoms_in_contact_are_dropped(named):
    energies.check_contacts(named["SrTiO3"])
    squeezed = named["SrTiO3"].copy()
    squeezed.scale_lattice(0.15 * squeezed.volume)
    with pytest.raises(energies.Unphysical, match="covalent"):
        energies.check_contacts(squeezed)


def test_duplicates_keep_the_prototype_then_the_lowest(named):
    entry = lambda i, origin, energy: {"id": i, "origin": origin, "energy": energy, "structure": named["NaCl"]}  # noqa: E731
    entries = [entry("a", "substitution", -3.0), entry("b", "prototype", -2.0), entry("c", "substitution", -4.0)]
    counts = {}
    assert [e["id"] for e in assemble.drop_duplicates(entries, counts)] == ["b"]
    assert [e["id"] for e in assemble.drop_duplicates([entries[0], entries[2]], counts)] == ["c"]
    assert counts == {"duplicate": 3}


def test_hull_distances_are_those_of_a_hand_calculation(named):
    made = {"Na": -1.0, "Cl": -2.0, "NaCl": -3.5, "other": -3.4}
    structures = {"NaCl": named["NaCl"], "other": named["CsCl"].copy()}
    structures["other"].replace_species({"Cs": "Na"})
    for symbol in ("Na", "Cl"):
        structures[symbol] = named["Cu"].copy()
        structures[symbol].replace_species({"Cu": symbol})
    entries = [{"energy": made[name], "structure": structure} for name, structure in structures.items()]
    assemble.hull_distances(entries)
    assert [round(e["formation_energy"], 6) for e in entries] == [-2.0, -1.9, 0.0, 0.0]
    assert [round(e["e_above_hull"], 6) for e in entries] == [0.0, 0.1, 0.0, 0.0]


def test_a_killed_stage_goes_on_where_it_stopped(named, tmp_path):
    records = [{"id": f"r{i}", "structure": named["Si"]} for i in range(60)]
    first = shards.run_stage("stage", lambda e: e | {"run": 1}, records[:40], tmp_path, workers=1)
    (next((tmp_path / "stage").glob("*.json"))).unlink()
    again = shards.run_stage("stage", lambda e: e | {"run": 2}, records, tmp_path, workers=1)
    assert len(first) == 40
    assert [e["id"] for e in again] == [r["id"] for r in records]
    assert {e["run"] for e in again} == {1, 2}


def test_an_unphysical_record_is_kept_with_its_reason(named, tmp_path):
    def refuse(entry):
        raise energies.Unphysical("too odd")

    out = shards.run_stage("stage", refuse, [{"id": "r", "structure": named["Si"]}], tmp_path, workers=1)
    assert out == [{"id": "r", "dropped": "too odd"}]
    assert json.loads(next((tmp_path / "stage").glob("*.json")).read_text()) == out
