import ase
import numpy as np
import pytest
from ase.build import bulk
from pymatgen.core import Element, Lattice, Molecule, Structure

from spmat_nb.errors import InputError
from spmat_nb.structure_files import Cell, check_cell, find, from_object, read


@pytest.fixture(scope="module")
def cif(named, tmp_path_factory):
    path = tmp_path_factory.mktemp("cif") / "x.cif"
    named["NaCl"].to(filename=str(path))
    return path.read_text()


def cell(**changes):
    values = {"lattice": np.eye(3) * 5.64, "numbers": np.array([11, 17]), "frac": np.array([[0, 0, 0], [0.5] * 3])}
    return Cell(**(values | changes))


def same_crystal(found, structure):
    return found.formula() == structure.composition.reduced_formula and len(found.numbers) == len(structure)


@pytest.mark.parametrize(
    ("name", "kind"), [("x.cif", "cif"), ("x.vasp", "poscar"), ("POSCAR_x", "poscar"), ("CONTCAR", "poscar")]
)
def test_cif_and_poscar_files_give_the_structure_back(named_crystal, tmp_path, name, kind):
    named_crystal.to(filename=str(tmp_path / name), fmt=kind)
    found = read(tmp_path / name)
    assert same_crystal(found, named_crystal)
    np.testing.assert_allclose(found.structure().distance_matrix.sum(), named_crystal.distance_matrix.sum(), rtol=1e-5)


FLUORITE = """data_CaF2
_symmetry_space_group_name_H-M 'F m -3 m'
_cell_length_a 5.46
_cell_length_b 5.46
_cell_length_c 5.46
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Ca1 Ca 0 0 0
F1 F 0.25 0.25 0.25
"""


def test_a_cif_with_symmetry_gives_the_whole_cell(tmp_path, named):
    (tmp_path / "x.cif").write_text(FLUORITE)
    assert same_crystal(read(tmp_path / "x.cif"), named["CaF2"])


def test_a_cif_with_a_space_group_that_does_not_exist_is_refused(tmp_path):
    (tmp_path / "x.cif").write_text(FLUORITE.replace("F m -3 m", "Q m -3 m"))
    with pytest.raises(InputError):
        read(tmp_path / "x.cif")


FIRST_SITE = "Na  Na0  1  0.00000000  0.00000000  0.00000000  1\n"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: "hello", "cannot be read"),
        (lambda t: "", "cannot be read"),
        (lambda t: t.replace("a   5.64000000", "a   ?"), r"cannot be read.*'\?'"),
        (lambda t: t.replace(FIRST_SITE, FIRST_SITE[:-2] + "1.2\n"), "occupanc"),
        (lambda t: t.replace(FIRST_SITE, FIRST_SITE[:-2] + "0.5\n"), "disordered: site Na:0.5"),
        (lambda t: t + t.replace("data_NaCl", "data_more"), "2 structures in one file"),
        (lambda t: t.replace("'Na4 Cl4'", "'Na4 Cl5'"), "formula"),
    ],
    ids=["garbage", "empty", "no number", "occupancy above one", "disordered", "two structures", "formula differs"],
)
def test_a_bad_cif_is_refused_with_its_cause(cif, tmp_path, change, reason):
    assert change(cif) != cif
    (tmp_path / "bad.cif").write_text(change(cif))
    with pytest.raises(InputError, match=reason):
        read(tmp_path / "bad.cif")


@pytest.mark.parametrize("name", ["x.cif", "POSCAR"])
def test_bytes_that_are_no_text_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / name)


def test_a_poscar_without_element_names_is_refused(tmp_path):
    (tmp_path / "POSCAR").write_text("c\n1.0\n5 0 0\n0 5 0\n0 0 5\n1 1\ndirect\n0 0 0\n.5 .5 .5\n")
    with pytest.raises(InputError):
        read(tmp_path / "POSCAR")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"numbers": np.array([], dtype=int), "frac": np.zeros((0, 3))}, "no atoms"),
        ({"numbers": np.array([0, 17])}, "1 to 100"),
        ({"numbers": np.array([11, 101])}, "1 to 100"),
        ({"lattice": np.diag([5.64, np.nan, 5.64])}, "finite"),
        ({"frac": np.array([[0, 0, 0], [0.5, np.inf, 0.5]])}, "finite"),
        ({"lattice": np.zeros((3, 3))}, "A3 an atom"),
        ({"lattice": np.eye(3) * 0.05}, "A3 an atom"),
        ({"frac": np.array([[0, 0, 0], [0.2 / 5.64, 0, 0]])}, r"0\.20 A apart"),
        ({"frac": np.array([[0, 0, 0.01], [0, 0, 0.99]])}, r"0\.11 A apart"),
        ({"frac": np.array([[0, 0, 0], [1.0, 0, 0]])}, r"0\.00 A apart"),
    ],
    ids=["empty", "Z = 0", "Z = 101", "NaN", "inf", "no volume", "tiny", "0.2 A", "across the boundary", "same place"],
)
def test_a_cell_that_is_no_crystal_is_refused(changes, reason):
    with pytest.raises(InputError, match=reason):
        check_cell(cell(**changes))


@pytest.mark.parametrize("shift", [0, 3.5, -2])
def test_a_good_cell_is_returned_as_it_is(shift):
    good = cell(frac=np.array([[0, 0, 0], [0.5] * 3]) + shift)
    assert check_cell(good) is good


def test_a_distance_of_half_an_angstrom_is_the_limit():
    with pytest.raises(InputError):
        check_cell(cell(frac=np.array([[0, 0, 0], [0.49 / 5.64, 0, 0]])))
    check_cell(cell(frac=np.array([[0, 0, 0], [0.51 / 5.64, 0, 0]])))


def test_a_vacuum_of_a_hundred_angstroms_is_no_problem():
    check_cell(cell(lattice=np.diag([5.64, 5.64, 100])))


def test_a_cell_of_a_million_angstroms_is_refused():
    with pytest.raises(InputError):
        check_cell(cell(lattice=np.eye(3) * 1e6))


def test_ase_atoms_and_structures_give_the_same_cell(named):
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    one, other = from_object(atoms), from_object(named["NaCl"])
    assert one.formula() == other.formula()
    np.testing.assert_allclose(one.lattice, other.lattice)
    assert sorted(one.numbers) == sorted(other.numbers)


@pytest.mark.parametrize(
    ("thing", "reason"),
    [
        (3, "int is neither"),
        (None, "NoneType is neither"),
        (Molecule(["H", "H"], [(0, 0, 0), (0, 0, 0.74)]), "Molecule is neither"),
        (ase.Atoms("H"), "not periodic"),
        (bulk("Cu") * (1, 1, 1), None),
        (Structure(Lattice.cubic(3), [{"Fe": 0.5, "Ni": 0.5}], [(0, 0, 0)]), r"disordered: site Fe:0\.5\d*, Ni:0\.5"),
        (Structure(Lattice.cubic(3), [{"Fe": 0.9}], [(0, 0, 0)]), "partly occupied"),
    ],
    ids=["int", "None", "molecule", "not periodic", "a crystal", "shared site", "vacancies"],
)
def test_only_ordered_periodic_structures_are_taken(thing, reason):
    if reason is None:
        assert from_object(thing).numbers.tolist() == [29]
        return
    with pytest.raises(InputError, match=reason):
        from_object(thing)


def test_charges_of_the_species_do_not_matter(named):
    charged = named["NaCl"].copy()
    charged.add_oxidation_state_by_element({"Na": 1, "Cl": -1})
    assert from_object(charged).numbers.tolist() == from_object(named["NaCl"]).numbers.tolist()


def test_find_lists_the_structure_files_of_a_folder_in_order(tmp_path):
    names = ["b.cif", "a.vasp", "POSCAR_1", "CONTCAR", "c.CIF", "d.poscar"]
    for name in [*names, "notes.txt", "targets.csv"]:
        (tmp_path / name).write_text("")
    (tmp_path / "folder.cif").mkdir()
    assert [p.name for p in find(tmp_path)] == sorted(names)
    assert find(tmp_path / "b.cif") == [tmp_path / "b.cif"]


def test_find_refuses_an_empty_folder_and_an_unknown_kind(tmp_path):
    with pytest.raises(InputError, match="no structure files"):
        find(tmp_path)
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(InputError, match=r"x\.txt is not a structure file"):
        find(tmp_path / "x.txt")


def test_the_formula_of_a_noble_gas_is_given_without_a_warning(monkeypatch):
    monkeypatch.delitem(vars(Element.He), "X", raising=False)  # pymatgen warns once and remembers
    assert Cell(np.eye(3) * 4, np.array([2]), np.zeros((1, 3))).formula() == "He"
