"""Odd structure files, made by code: what lies in the folder, and what the policy says of it.

Every case is written into a folder beside a good file. `atoms` are the sizes of the crystals that come out of it,
`warned` and `refused` the keys of the policy that the reports must have, no more and no fewer.
"""

import bz2
import gzip
import json
import lzma
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ase
import numpy as np
from ase.build import bulk, fcc111, molecule
from ase.db import connect
from ase.io import write
from pymatgen.core import Lattice, Molecule, Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry

NAMES = {"P1": "'P 1'", "Fm-3m": "'F m -3 m'", "Pm-3m": "'P m -3 m'", "P63/mmc": "'P 63/m m c'"}


@dataclass(frozen=True)
class Odd:
    name: str
    make: Callable[[Path], object]
    atoms: tuple[int, ...] = ()
    warned: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def cif(
    sites="Na1 Na 0 0 0 1\nCl1 Cl 0.5 0.5 0.5 1",
    cell=(5.64, 5.64, 5.64, 90, 90, 90),
    group="'F m -3 m'",
    operations=None,
    extra="",
    columns="label type_symbol fract_x fract_y fract_z occupancy",
    head="data_x",
):
    """A CIF: rock salt with its space group by name, unless told otherwise."""
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = [head, *(f"_cell_{name} {value}" for name, value in zip(names, cell, strict=True))]
    lines += [f"_symmetry_space_group_name_H-M {group}"] if group else []
    lines += ["loop_", "_symmetry_equiv_pos_as_xyz", *(f"'{o}'" for o in operations)] if operations else []
    lines += [extra] if extra else []
    return "\n".join([*lines, "loop_", *(f"_atom_site_{c}" for c in columns.split()), sites, ""])


CENTRED = ["x, y, z", "x, y+1/2, z+1/2", "x+1/2, y, z+1/2", "1/2+x, 1/2+y, z"]
P1 = {"group": "'P 1'", "operations": ["x, y, z"]}
CSCL = "Cs1 Cs 0 0 0 1\nCl1 Cl 0.5 0.5 0.5 1"
CUBE = (4.12, 4.12, 4.12, 90, 90, 90)
GOOD = cif("Cu1 Cu 0 0 0 1", (2.5, 2.5, 2.5, 60, 60, 60), **P1)
POSCAR = "rock salt\n1.0\n0 2.82 2.82\n2.82 0 2.82\n2.82 2.82 0\nNa Cl\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"
ROCK_SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
PRIMITIVE = ROCK_SALT.get_primitive_structure()


def p1(sites=CSCL, cell=CUBE, **changes):
    """A CIF of caesium chloride in P 1."""
    return cif(sites, cell, **(P1 | changes))


def file(name, content):
    """Writes a text, or bytes."""
    data = content.encode() if isinstance(content, str) else content

    def make(folder):
        (folder / name).write_bytes(data)

    return make


def text(name, content, **expected):
    return Odd(name, file(f"{name.replace(' ', '_')}.cif", content), **expected)


def poscar(name, content, **expected):
    return Odd(name, file("POSCAR_x", content), **expected)


def atoms_file(filename, images, **options):
    def make(folder):
        write(str(folder / filename), images, **options)

    return make


def boxed(name, vacuum=8.0, periodic=True):
    found = molecule(name)
    found.center(vacuum=vacuum / 2)
    found.pbc = periodic
    return found


def as_json(name, data):
    return file(name, json.dumps(data))


def database(filename, rows):
    def make(folder):
        with connect(str(folder / filename)) as db:
            for atoms, values in rows:
                db.write(atoms, **values)

    return make


def outside_link(folder):
    (folder.parent / "secret.cif").write_text(p1())
    (folder / "link.cif").symlink_to(folder.parent / "secret.cif")


def inside_link(folder):
    (folder / "deep").mkdir()
    (folder / "deep" / "real.cif").write_text(p1())
    (folder / "link.cif").symlink_to(folder / "deep" / "real.cif")


def two_of_one_name(folder):
    (folder / "same.cif").write_text(p1())
    (folder / "same.vasp").write_text(POSCAR)


def broken_trajectory(folder):
    atoms_file("x.traj", [bulk("Cu")])(folder)
    (folder / "x.traj").write_bytes((folder / "x.traj").read_bytes()[:40])


def both_spellings(folder):
    """A file whose accents are separate characters, as some systems store them, and its targets with whole ones."""
    (folder / "cafe\u0301 crystal.cif").write_text(p1())


def changed(lattice=None, species=("Na", "Cl"), frac=((0, 0, 0), (0.5, 0.5, 0.5))):
    """Caesium chloride's arrangement as pymatgen JSON with other numbers."""
    data = Structure(Lattice.cubic(4), list(species), [list(f) for f in frac], validate_proximity=False).as_dict()
    if lattice is not None:
        data["lattice"]["matrix"] = lattice
    return data


def one_nan():
    data = changed()
    data["sites"][1]["abc"] = [0.5, float("nan"), 0.5]
    return data


MIXED = Structure(Lattice.cubic(4), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]])
ALMOST = Structure(Lattice.cubic(4), [{"Fe": 0.998}], [[0, 0, 0]])
SLAB = fcc111("Cu", (1, 1, 3), vacuum=5.0)
THIN = fcc111("Cu", (1, 1, 3), vacuum=2.0)
SLAB.info, THIN.info = {}, {}
CHAIN = ase.Atoms("C2", [(6, 6, 0), (6, 6, 1.3)], cell=(12, 12, 2.6), pbc=(False, False, True))
HEXAGONAL = (3.21, 3.21, 5.21, 90, 90, 120)
FEW_DIGITS = [
    "x, y, z", "-y, x-y, z", "-x+y, -x, z", "-x, -y, z+1/2", "y, -x+y, z+1/2", "x-y, x, z+1/2",
]  # fmt: skip
LABELS_ONLY = {"columns": "label fract_x fract_y fract_z"}
FORMULA = "_chemical_formula_sum '{}'\n_cell_formula_units_Z {}"
BIG = bulk("NaCl", "rocksalt", a=5.64, cubic=True)

FILES = [
    text("CIF with a group by name", cif(), atoms=(8,), warned=("symmetry-from-name",)),
    text("CIF in P 1", p1(), atoms=(2,)),
    text("CIF with operations", cif(group="", operations=CENTRED), atoms=(8,)),
    Odd("gzip", file("x.cif.gz", gzip.compress(p1().encode())), atoms=(2,)),
    Odd("bzip2", file("x.cif.bz2", bz2.compress(p1().encode())), atoms=(2,)),
    Odd("xz", file("x.cif.xz", lzma.compress(p1().encode())), atoms=(2,)),
    Odd("gzip of a POSCAR", file("POSCAR.gz", gzip.compress(POSCAR.encode())), atoms=(2,)),
    Odd("gzip without its ending", file("x.cif", gzip.compress(p1().encode())), atoms=(2,)),
    Odd("ending of gzip on plain text", file("x.cif.gz", p1()), atoms=(2,)),
    Odd("cut gzip", file("x.cif.gz", gzip.compress(p1().encode())[:-20]), refused=("broken-archive",)),
    Odd("damaged xz", file("x.cif.xz", lzma.compress(p1().encode())[:60] + bytes(40)), refused=("broken-archive",)),
    Odd("zip", file("x.cif", b"PK\x03\x04" + bytes(60)), refused=("binary",)),
    Odd("UTF-8 with a mark", file("x.cif", p1().encode("utf-8-sig")), atoms=(2,)),
    Odd("UTF-16", file("x.cif", p1().encode("utf-16")), atoms=(2,)),
    Odd("UTF-32", file("x.cif", p1().encode("utf-32")), atoms=(2,)),
    Odd("Windows line ends", file("x.cif", p1().replace("\n", "\r\n")), atoms=(2,)),
    Odd("old Macintosh line ends", file("x.cif", p1().replace("\n", "\r")), atoms=(2,)),
    Odd("Windows line ends in a POSCAR", file("POSCAR", POSCAR.replace("\n", "\r\n")), atoms=(2,)),
    Odd("Latin-1", file("x.cif", ("# Å, é\n" + p1()).encode("latin-1")), atoms=(2,), warned=("encoding-guessed",)),
    Odd("a mark of UTF-16 on something else", file("x.cif", b"\xff\xfe\x00"), refused=("binary",)),
    text("minus signs from a word processor", p1(CSCL.replace("0.5 0.5 0.5", "\u22120.5 \u20130.5 0.5")), atoms=(2,),
         warned=("typography",)),
    text("fixed blanks", p1(CSCL.replace(" ", "\u00a0")), atoms=(2,), warned=("typography",)),
    text("empty", "", refused=("empty",)),
    text("blank", " \n\n", refused=("empty",)),
    text("a word", "hello", refused=("unreadable",)),
    text("binary", bytes(range(256)), refused=("binary",)),
    text("a picture", b"\x89PNG\r\n\x1a\n" + bytes(30), refused=("binary",)),
    text("a web page", "<!DOCTYPE html><html><body>Please log in</body></html>", refused=("web-page",)),
    text("cut in its sites", p1()[:-12], refused=("unreadable",)),
    text("cut in its header", p1()[:80], refused=("no-structure",)),
    text("a row of the sites is short", p1(CSCL[:-2]), refused=("unreadable",)),
    text("only a bibliography", "data_x\n_journal_year 1913\n", refused=("no-structure",)),
    text("two structures", p1() + p1(head="data_y"), refused=("several-blocks",)),
    text("two structures of one name", p1() + p1(), refused=("several-blocks",)),
    text("a structure and a bibliography", "data_global\n_journal_year 1913\n" + p1(), atoms=(2,)),
    Odd("POSCAR named CIF", file("x.cif", POSCAR), atoms=(2,), warned=("wrong-ending",)),
    Odd("CIF named POSCAR", file("POSCAR", p1()), atoms=(2,), warned=("wrong-ending",)),
    Odd("JSON named CIF", as_json("x.cif", PRIMITIVE.as_dict()), atoms=(2,), warned=("wrong-ending",)),
    Odd("text named database", file("x.db", "hello"), refused=("unreadable",)),
    Odd("text named trajectory", file("x.traj", "hello"), refused=("unreadable",)),
    Odd("cut trajectory", broken_trajectory, refused=("unreadable",)),
    Odd("a pipe", lambda folder: os.mkfifo(folder / "x.cif"), refused=("not-a-file",)),
    Odd("a link to nothing", lambda folder: (folder / "x.cif").symlink_to("gone.cif"), refused=("missing",)),
    Odd("a link to itself", lambda folder: (folder / "x.cif").symlink_to("x.cif"), refused=("not-a-file",)),
    Odd("a link out of the folder", outside_link, refused=("outside",)),
    Odd("a link within the folder", inside_link, atoms=(2,)),
    Odd("two files of one name", two_of_one_name, atoms=(2,), refused=("id-repeated",)),
    Odd("blanks in the name", file("my new crystal (2).cif", p1()), atoms=(2,)),
    Odd("accents in the name", both_spellings, atoms=(2,)),
    Odd("another script in the name", file("水晶.cif", p1()), atoms=(2,)),
    Odd("a line end in the name", file("a\nb.cif", p1()), refused=("bad-name",)),
    Odd("bytes in the name", lambda f: (f / os.fsdecode(b"a\xff.cif")).write_text(p1()), refused=("bad-name",)),
    Odd("files of other kinds", file("notes.txt", "hello"), warned=("other-files",)),
    Odd("a hidden file", file(".DS_Store", bytes(8)), warned=()),
    Odd("a huge CIF", file("x.cif", "#" * (33 * 2**20) + "\n" + p1()), refused=("too-large",)),
]  # fmt: skip

OTHER_FORMATS = [
    poscar("POSCAR", POSCAR, atoms=(2,)),
    poscar("POSCAR with velocities", POSCAR + "\n0 0 0\n0 0 0\n", atoms=(2,)),
    poscar("POSCAR with selective dynamics", POSCAR.replace("Direct", "Selective dynamics\nDirect").replace("0 0 0\n",
           "0 0 0 T T F\n").replace("0.5 0.5 0.5", "0.5 0.5 0.5 F F F"), atoms=(2,)),
    poscar("POSCAR in Cartesian coordinates", POSCAR.replace("Direct\n0 0 0\n0.5 0.5 0.5", "Cartesian\n0 0 0\n2.82 2.82"
           " 2.82"), atoms=(2,)),
    poscar("POSCAR with a volume as scale", POSCAR.replace("\n1.0\n", "\n-44.9\n"), atoms=(2,)),
    poscar("POSCAR with names behind the sites", POSCAR.replace("Na Cl\n", "").replace("0 0 0\n", "0 0 0 Na\n").replace(
           "0.5 0.5 0.5", "0.5 0.5 0.5 Cl"), atoms=(2,)),
    poscar("POSCAR with potentials", POSCAR.replace("Na Cl", "Na_pv/f474ac0d Cl/79d9987a"), atoms=(2,)),
    poscar("POSCAR without names", POSCAR.replace("Na Cl\n", ""), refused=("no-names",)),
    poscar("POSCAR with three names and two counts", POSCAR.replace("Na Cl", "Na Cl K"), refused=("counts-differ",)),
    poscar("POSCAR with one name and two counts", POSCAR.replace("Na Cl", "Na"), refused=("counts-differ",)),
    poscar("POSCAR of a billion atoms", POSCAR.replace("\n1 1\n", "\n1 999999999\n"), refused=("unreadable",)),
    poscar("POSCAR with names on two lines", POSCAR.replace("Na Cl\n1 1\n", "Na\nCl\n1\n1\n"), atoms=(2,)),
    poscar("POSCAR with scale 0", POSCAR.replace("\n1.0\n", "\n0.0\n"), refused=("volume",)),
    poscar("POSCAR of picometres", POSCAR.replace("\n1.0\n", "\n0.01\n"), refused=("volume",)),
    poscar("POSCAR with a site too few", POSCAR.rsplit("0.5", 3)[0], refused=("unreadable",)),
    poscar("POSCAR with a dummy", POSCAR.replace("Na Cl", "X Cl"), refused=("unknown-element",)),
    poscar("POSCAR with a number like 1.0.0", POSCAR.replace("0.5 0.5", "0.5.5 0.5"), refused=("unreadable",)),
    poscar("POSCAR with deuterium", POSCAR.replace("Na Cl", "D Cl"), atoms=(2,), warned=("deuterium",)),
    poscar("POSCAR with NaN", POSCAR.replace("0.5 0.5 0.5", "nan 0.5 0.5"), refused=("not-finite",)),
    poscar("POSCAR with an infinite cell", POSCAR.replace("0 2.82 2.82", "0 inf 2.82"), refused=("not-finite",)),
    poscar("POSCAR without atoms", POSCAR.replace("\n1 1\n", "\n0 0\n"), refused=("no-atoms",)),
    Odd("extended XYZ", atoms_file("x.extxyz", bulk("NaCl", "rocksalt", a=5.64), format="extxyz"), atoms=(2,)),
    Odd("XYZ with a cell", atoms_file("x.xyz", bulk("Cu"), format="extxyz"), atoms=(1,)),
    Odd("XYZ with deuterium", file("x.xyz", '3\nLattice="5 0 0 0 5 0 0 0 5" pbc="T T T"\nO 0 0 0\nD 1 0 0\n'
        "D -.24 .93 0\n"), atoms=(3,), warned=("deuterium",)),
    Odd("XYZ of two frames", atoms_file("x.xyz", [bulk("Cu"), bulk("Ag")], format="extxyz"), atoms=(1, 1),
        warned=("several-frames",)),
    Odd("XYZ of a property too wide", file("x.xyz", '1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:9999'
        "\nCu 0 0 0\n"), refused=("unreadable",)),
    Odd("XYZ without a cell", atoms_file("x.xyz", molecule("H2O"), format="xyz"), refused=("no-cell",)),
    Odd("XYZ with text for numbers", file("x.xyz", '1\nLattice="3 0 0 0 3 0 0 0 3"\nCu a b c\n'),
        refused=("unreadable",)),
    Odd("pymatgen JSON", as_json("x.json", PRIMITIVE.as_dict()), atoms=(2,)),
    Odd("JSON list with a bad one", as_json("x.json", [PRIMITIVE.as_dict(), one_nan(), ROCK_SALT.as_dict()]),
        atoms=(2, 8), refused=("not-finite",)),
    Odd("JSON by id", as_json("x.json", {"mp-1": PRIMITIVE.as_dict(), "mp-2": ROCK_SALT.as_dict()}), atoms=(2, 8)),
    Odd("JSON entry", as_json("x.json", ComputedStructureEntry(PRIMITIVE, -1.0, entry_id="mp-9").as_dict()),
        atoms=(2,)),
    Odd("JSON molecule", as_json("x.json", Molecule(["H", "H"], [[0, 0, 0], [0, 0, 0.74]]).as_dict()),
        refused=("no-cell",)),
    Odd("JSON of something else", as_json("x.json", {"epochs": 15}), refused=("no-structure",)),
    Odd("JSON cut short", file("x.json", json.dumps(PRIMITIVE.as_dict())[:-30]), refused=("unreadable",)),
    Odd("JSON that names a class to import", as_json("x.json", PRIMITIVE.as_dict() | {"properties": {
        "@module": "os", "@class": "system", "command": "true"}}), atoms=(2,)),
    Odd("JSON with a lattice of zeros", as_json("x.json", changed(np.zeros((3, 3)).tolist())), refused=("volume",)),
    Odd("JSON of a mixed site", as_json("x.json", MIXED.as_dict()), refused=("disorder",)),
    Odd("JSON of a site nearly full", as_json("x.json", ALMOST.as_dict()), atoms=(1,), warned=("occupancy-rounded",)),
    Odd("ASE JSON", atoms_file("x.json", bulk("Cu"), format="json"), atoms=(1,)),
    Odd("ASE database with a bad row", database("x.db", [(bulk("Cu"), {"band_gap": 0.0}), (molecule("H2O"), {})]),
        atoms=(1,), refused=("no-cell",)),
    Odd("ASE trajectory", atoms_file("x.traj", [bulk("Cu"), bulk("Cu")]), atoms=(1, 1), warned=("several-frames",)),
    Odd("ASE trajectory of one frame", atoms_file("x.traj", bulk("Cu")), atoms=(1,)),
    Odd("slab with vacuum", atoms_file("x.xyz", SLAB, format="extxyz"), atoms=(3,), warned=("not-periodic",)),
    Odd("slab with thin vacuum", atoms_file("x.xyz", THIN, format="extxyz"), refused=("thin-vacuum",)),
    Odd("chain with vacuum", atoms_file("x.xyz", CHAIN, format="extxyz"), atoms=(2,), warned=("not-periodic",)),
    Odd("molecule in a box", atoms_file("x.xyz", boxed("H2O"), format="extxyz"), atoms=(3,)),
    Odd("molecule in a box, not periodic", atoms_file("x.xyz", boxed("CH4", 9.0, False), format="extxyz"), atoms=(5,),
        warned=("not-periodic",)),
    Odd("dummy of ASE", atoms_file("x.xyz", ase.Atoms("X", cell=[3] * 3, pbc=True), format="extxyz"),
        refused=("unknown-element",)),
]  # fmt: skip

STRUCTURES = [
    text("deuterium", p1(CSCL.replace("Cs1 Cs", "D1 D")), atoms=(2,), warned=("deuterium",)),
    text("deuterium and its formula", p1(CSCL.replace("Cs1 Cs", "D1 D"), extra=FORMULA.format("Cl D", 1)), atoms=(2,),
         warned=("deuterium",)),
    text("a shared site", p1("Fe1 Fe 0 0 0 0.5\nNi1 Ni 0 0 0 0.5"), refused=("disorder",)),
    text("a vacancy", p1(CSCL.replace("0.5 1", "0.5 0.8")), refused=("disorder",)),
    text("a site 1.2 full", p1(CSCL.replace("0.5 1", "0.5 1.2")), refused=("occupancy-over",)),
    text("a site 1.002 full", p1(CSCL.replace("0.5 1", "0.5 1.002")), atoms=(2,), warned=("occupancy-rounded",)),
    text("a site 0.998 full", p1(CSCL.replace("0.5 1", "0.5 0.998")), atoms=(2,), warned=("occupancy-rounded",)),
    text("a negative occupancy", p1(CSCL.replace("0.5 1", "0.5 -1")), refused=("occupancy-over",)),
    text("an empty site", p1(CSCL + "\nO1 O 0.5 0.5 0 0"), atoms=(2,), warned=("occupancy-zero",)),
    text("an unknown occupancy", p1(CSCL.replace("0.5 1", "0.5 ?")), atoms=(2,), warned=("occupancy-unknown",)),
    text("a point for an occupancy", p1(CSCL.replace("0.5 1", "0.5 .")), atoms=(2,)),
    text("no occupancies", p1("Cs1 Cs 0 0 0\nCl1 Cl 0.5 0.5 0.5", columns="label type_symbol fract_x fract_y fract_z"),
         atoms=(2,)),
    text("the same site twice", p1(CSCL + "\nCl2 Cl 0.5 0.5 0.5 1"), refused=("occupancy-over",)),
    text("two atoms 0.2 A apart", p1(CSCL + "\nCl2 Cl 0.5 0.5 0.55 1"), refused=("overlap",)),
    text("uncertainties in brackets", p1(cell=("4.12(2)", "4.12(2)", "4.12(2)", "90.0(1)", 90, 90)), atoms=(2,)),
    text("a question mark in the cell", p1(cell=("?", 4.12, 4.12, 90, 90, 90)), refused=("no-cell",)),
    text("a cell of zero", p1(cell=(0, 4.12, 4.12, 90, 90, 90)), refused=("unreadable",)),
    text("a flat cell", p1(cell=(4.12, 4.12, 4.12, 90, 90, 0)), refused=("unreadable",)),
    text("an impossible angle", p1(cell=(4, 4, 4, 10, 10, 170)), refused=("unreadable",)),
    text("a cell in nanometres", p1(cell=(0.412, 0.412, 0.412, 90, 90, 90)), refused=("volume",)),
    text("a cell of a kilometre", p1(cell=(1e13, 4, 4, 90, 90, 90)), refused=("volume",)),
    text("an infinite cell", p1(cell=("1e400", 4.12, 4.12, 90, 90, 90)), refused=("not-finite",)),
    text("a cell beyond numbers", p1(cell=("1e200", "1e200", "1e200", 90, 90, 90)), refused=("volume",)),
    text("NaN in the cell", p1(cell=("nan", 4.12, 4.12, 90, 90, 90)), refused=("not-finite",)),
    text("a question mark for a coordinate", p1(CSCL.replace("0.5 0.5 0.5", "0.5 ? 0.5")), refused=("no-coordinates",)),
    text("a point for a coordinate", p1(CSCL.replace("0.5 0.5 0.5", "0.5 . 0.5")), refused=("no-coordinates",)),
    text("no z column", p1("Cs1 0 0\nCl1 0.5 0.5", columns="label fract_x fract_y"), refused=("no-coordinates",)),
    text("Cartesian coordinates only", p1(columns="label type_symbol Cartn_x Cartn_y Cartn_z occupancy"),
         refused=("no-coordinates",)),
    text("a dummy site", p1(CSCL + "\nX1 X 0.5 0 0 1"), refused=("unknown-element",)),
    text("a made-up element", p1(CSCL.replace("Cs1 Cs", "Zz1 Zz")), refused=("unknown-element",)),
    text("rutherfordium", p1(CSCL.replace("Cs1 Cs", "Rf1 Rf")), refused=("beyond-the-table",)),
    text("ammonia as a label", p1("NH3 0 0 0\nCl1 0.5 0.5 0.5", **LABELS_ONLY), refused=("element-ambiguous",)),
    text("carbon alpha as a label", p1("CA1 0 0 0\nCl1 0.5 0.5 0.5", **LABELS_ONLY), refused=("element-ambiguous",)),
    text("a vacancy as a label", p1("Vac1 0 0 0\nCl1 0.5 0.5 0.5", **LABELS_ONLY), refused=("element-ambiguous",)),
    text("hydroxide as a label", p1("OH1 0 0 0\nCl1 0.5 0.5 0.5", **LABELS_ONLY), refused=("element-ambiguous",)),
    text("calcium in capitals and a formula", p1("CA1 0 0 0\nO1 0.5 0.5 0.5", **LABELS_ONLY, extra=FORMULA.format(
         "Ca O", 1)), atoms=(2,), warned=("element-guessed",)),
    text("carbon alpha and a formula", p1("CA1 0 0 0\nO1 0.5 0.5 0.5", **LABELS_ONLY, extra=FORMULA.format("C O", 1)),
         refused=("formula-differs",)),
    text("types in capitals", p1(CSCL.replace("Cs1 Cs", "CS1 CS")), atoms=(2,), warned=("element-guessed",)),
    text("charges on the types", p1(CSCL.replace(" Cs ", " Cs1+ ").replace(" Cl ", " Cl1- ")), atoms=(2,)),
    text("labels without types", p1("Cs1 0 0 0\nCl1A 0.5 0.5 0.5", **LABELS_ONLY), atoms=(2,)),
    text("attached hydrogens", p1("O1 O 0 0 0 2\nCl1 Cl 0.5 0.5 0.5 0", columns="label type_symbol fract_x fract_y "
         "fract_z attached_hydrogens"), refused=("hydrogen-missing",)),
    text("water as a label", p1("Wat1 0 0 0\nCl1 0.5 0.5 0.5", **LABELS_ONLY), refused=("hydrogen-missing",)),
    text("hydrogens in the formula only", p1(extra=FORMULA.format("Cs Cl H4", 1)), refused=("hydrogen-missing",)),
    text("another formula", p1(extra=FORMULA.format("Cs2 Cl", 1)), refused=("formula-differs",)),
    text("a formula of other elements", p1(extra=FORMULA.format("Rb Cl", 1)), refused=("formula-differs",)),
    text("a formula that nobody knows", p1(extra="_chemical_formula_sum ?"), atoms=(2,)),
    text("Z too large", cif(extra=FORMULA.format("Na Cl", 8)), refused=("units-differ",)),
    text("Z of the cell", cif(extra=FORMULA.format("Na Cl", 4)), atoms=(8,), warned=("symmetry-from-name",)),
    text("a group that does not exist", cif(group="'Q m -3 m'"), refused=("symmetry-unknown",)),
    text("no symmetry, nothing to confirm it", p1(group="", operations=None), refused=("symmetry-unknown",)),
    text("no symmetry, all atoms there", p1(group="", operations=None, extra=FORMULA.format("Cs Cl", 1)), atoms=(2,),
         warned=("symmetry-absent",)),
    text("no symmetry, atoms lost", cif(group="", extra=FORMULA.format("Na Cl", 4)), refused=("units-differ",)),
    text("boron lost with its group", p1("La1 La 0 0 0 1\nB1 B 0.2 0.5 0.5 1", group="'Q m'", operations=None,
         extra=FORMULA.format("La B6", 1)), refused=("formula-differs",)),
    text("operations that cannot be read", cif(operations=["x, y, z", "what?"]), refused=("symmetry-unknown",)),
    text("operations that are singular", cif(operations=["x, y, z", "x, x, z"]), refused=("symmetry-misfit",)),
    text("only x, y, z for a cubic group", cif(operations=["x, y, z"]), refused=("symmetry-unknown",)),
    text("half of the operations", p1(group="'P m -3 m'", operations=["x, y, z", "-x, -y, -z"]), atoms=(2,),
         warned=("symmetry-differs",)),
    text("cubic group on unequal axes", cif(cell=(5.64, 5.64, 6.2, 90, 90, 90)), refused=("symmetry-misfit",)),
    text("hexagonal group on a right angle", cif("Mg1 Mg 0.3333 0.6667 0.25 1", (3.21, 3.21, 5.21, 90, 90, 90),
         "'P 63/m m c'"), refused=("symmetry-misfit",)),
    text("hexagonal metal", cif("Mg1 Mg 0.3333 0.6667 0.25 1", HEXAGONAL, "'P 63'", FEW_DIGITS), atoms=(2,)),
    text("too few digits of a third", cif("Mg1 Mg 0.333 0.667 0.25 1", HEXAGONAL, "'P 63'", FEW_DIGITS),
         refused=("overlap",)),
    text("a thousand operations", p1(operations=[f"x, y, z+{i}/1000" for i in range(1000)]), refused=("too-large",)),
    text("a magnetic structure", p1(operations=None, group="", extra="loop_\n_space_group_symop_magn_operation.id\n"
         "_space_group_symop_magn_operation.xyz\n1 x,y,z,+1\nloop_\n_atom_site_moment.label\n"
         "_atom_site_moment.crystalaxis_x\n_atom_site_moment.crystalaxis_y\n_atom_site_moment.crystalaxis_z\n"
         "Cs1 0 0 1.0"), atoms=(2,), warned=("magnetic",)),
    text("a modulated structure", p1(extra="_cell_modulation_dimension 1"), refused=("modulated",)),
    text("one atom", p1("Po1 Po 0 0 0 1", (3.35, 3.35, 3.35, 90, 90, 90)), atoms=(1,)),
    text("one atom in a large box", p1("Ar1 Ar 0 0 0 1", (20, 20, 20, 90, 90, 90)), atoms=(1,),
         warned=("isolated-atom",)),
    text("two atoms far apart", p1("Ar1 Ar 0 0 0 1\nXe1 Xe 0.5 0.5 0.5 1", (30, 30, 30, 90, 90, 90)), atoms=(2,),
         warned=("isolated-atom",)),
    text("a noble gas", p1("Xe1 Xe 0 0 0 1", (4.4, 4.4, 4.4, 60, 60, 60)), atoms=(1,)),
    text("actinides", p1("Pu1 Pu 0 0 0 1\nFm1 Fm 0.5 0.5 0.5 1"), atoms=(2,)),
    Odd("512 atoms", atoms_file("x.vasp", BIG * (4, 4, 4), format="vasp"), atoms=(512,)),
    Odd("2,744 atoms", atoms_file("x.vasp", BIG * (7, 7, 7), format="vasp"), atoms=(2744,)),
    text("13,000 sites", p1("\n".join(f"C{i} C 0 0 {i / 13000:.6f} 1" for i in range(13000))), refused=("too-large",)),
    Odd("13,824 atoms", atoms_file("x.vasp", BIG * (12, 12, 12), format="vasp"), refused=("too-large",)),
]  # fmt: skip

CORPUS = [*FILES, *OTHER_FORMATS, *STRUCTURES]
