import json

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from spmat_nb.cli import main
from spmat_nb.crystals import by_position, load
from spmat_nb.leaks import find_leaks, shared_formulas, shared_prototypes, shared_structures


@pytest.fixture(scope="module")
def rutile(named):
    return named["TiO2"]


@pytest.fixture(scope="module")
def anatase():
    return Structure.from_spacegroup(
        "I4_1/amd", Lattice.tetragonal(3.785, 9.514), ["Ti", "O"], [[0, 0, 0], [0, 0, 0.2081]]
    )


def pairs(learnt, tested):
    table = shared_structures(by_position(learnt), by_position(tested), show=False)
    return list(zip(table["learnt"], table["tested"], strict=True))


def test_polymorphs_share_a_formula_and_not_a_structure(rutile, anatase, named):
    found = find_leaks(by_position([rutile, named["Si"]]), by_position([anatase, named["NaCl"]]))
    assert found.formulas.to_dict("index") == {"TiO2": {"learnt": 1, "tested": 1}}
    assert found.structures.empty and found.tested_ids == []
    said = "2 crystals to test on, 2 learnt from: 1 share a formula (1 formulas), 0 a prototype, 0 a structure."
    assert str(found) == said


def test_prototypes_are_shared_by_other_elements(named, teaching):
    oxide = Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.21), ["Mg", "O"], [[0] * 3, [0.5] * 3])
    found = find_leaks(by_position([named["NaCl"], named["CsCl"]]), by_position([oxide, named["Si"]]))
    assert found.prototypes.to_dict("index") == {"AB 225": {"learnt": 1, "tested": 1}}
    assert found.formulas.empty and "1 a prototype" in str(found)
    column = shared_prototypes(by_position([oxide]), teaching.of_split("train"))
    known = teaching.of_split("train").table
    assert column.loc["AB 225", "tested"] <= (known["spacegroup_number"] == 225).sum()


def moved(structure):
    other = structure.copy()
    other.translate_sites(range(len(other)), [0.3, 0.1, 0.2])
    return other


def shuffled(structure):
    order = np.random.default_rng(0).permutation(len(structure))
    return Structure(structure.lattice, [structure[i].specie for i in order], structure.frac_coords[order])


DISGUISES = {
    "itself": lambda s: s,
    "shifted": moved,
    "in another order": shuffled,
    "a supercell": lambda s: s * (1, 2, 1),
    "its primitive cell": lambda s: s.get_primitive_structure(),
    "larger by a tenth in volume": lambda s: Structure(s.lattice.scale(1.1 * s.volume), s.species, s.frac_coords),
    "shaken": lambda s: s.copy().perturb(0.03),
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("name", ["NaCl", "Si", "TiO2", "Fe2O3"])
def test_a_crystal_is_found_in_every_disguise(named, name, disguise):
    other = DISGUISES[disguise](named[name])
    table = shared_structures(by_position([named["Cu"], named[name]]), by_position([other]), show=False)
    assert table[["learnt", "tested"]].to_numpy().tolist() == [["1", "0"]]
    assert table["rms"].iloc[0] < (0.05 if disguise == "shaken" else 1e-3)


def test_elements_on_other_sites_are_another_structure():
    blende, halite = (
        Structure.from_spacegroup(group, Lattice.cubic(5.5), ["Zn", "S"], [[0] * 3, [place] * 3])
        for group, place in (("F-43m", 0.25), ("Fm-3m", 0.5))
    )
    assert pairs([blende, halite], [halite, blende]) == [("0", "1"), ("1", "0")]


def test_formulas_are_those_of_the_structures_however_they_are_written(named):
    one, other = by_position([named["NaCl"]]), by_position([named["NaCl"]])
    other.table["formula"] = "ClNa"
    assert list(shared_formulas(one, other).index) == ["NaCl"]


def test_sets_without_anything_in_common_give_empty_tables(named):
    found = find_leaks(by_position([named["Si"]]), by_position([named["Cu"]]))
    assert found.formulas.empty and found.structures.empty
    assert list(found.structures) == ["formula", "learnt", "tested", "rms"]


def test_the_parts_of_the_teaching_set_share_no_formula_but_unstable_ones_do(teaching):
    train, test, unstable = (teaching.of_split(name) for name in ("train", "test", "pretrain"))
    assert shared_formulas(train, test).empty
    shared = shared_formulas(unstable, test)
    assert len(shared) > 10
    few = test.select(test.table["formula"].isin(shared.index[:8]).to_numpy())
    found = shared_structures(unstable, few, show=False)
    assert set(found["tested"]) <= set(few.table.index)  # whatever is found: the set has no exact duplicates
    assert set(found["formula"]) <= set(shared.index[:8])


def test_the_textbook_set_shares_structures_with_itself():
    textbook = load("textbook").sample(12, seed=0)
    found = shared_structures(textbook, textbook, show=False)
    assert set(zip(textbook.table.index, textbook.table.index, strict=True)) <= set(
        zip(found["learnt"], found["tested"], strict=True)
    )


def test_the_command_writes_all_lists(tmp_path, capsys, write_parquet, tiny):
    data = write_parquet(tiny, tmp_path / "tiny.parquet")
    words = ["leaks", "--learnt", data, "--tested", data, "--tested-split", "test", "--out", tmp_path / "out"]
    assert main([*map(str, words), "--quiet"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["learnt"], result["tested"], result["tested_with_a_shared_structure"]) == (60, 6, 6)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"shared_{what}.csv" for what in ("formulas", "prototypes", "structures")
    }
