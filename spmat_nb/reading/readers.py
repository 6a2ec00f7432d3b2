"""How each format gives up its structures, one at a time, by pymatgen or ASE."""

import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .cells import from_object, note_isotopes
from .cif_checks import after_reading, before_reading
from .cif_symmetry import Block, column
from .policy import Notes, refuse

OWN = ("formula", "nsites", "spacegroup", "unit_cell")  # columns that are worked out from the structure
SINGLE = frozenset(("lattice", "sites", "structure"))  # keys of a structure, a molecule or an entry in JSON
BLOCK = re.compile(r"^\s*data_", re.MULTILINE)
FRACTIONAL = re.compile(r"^\s*_atom_site_fract_x\b", re.MULTILINE)
XYZ_WIDTH = re.compile(r":[A-Za-z]:(\d+)")  # columns of a property in the second line of a frame
XYZ_ISOTOPE = re.compile(r"(?m)^[ \t]*([DT])(?=(?:[ \t]+[-+.\d]\S*){3})")  # ASE knows no D
ATOM_SITE = re.compile(r"^\s*_atom_site[_.](cartn_x|label)", re.MULTILINE | re.IGNORECASE)


@dataclass
class Found:
    """One structure of a file before any check.

    Attributes:
        build: gives the object of pymatgen or ASE, or refuses; a bad one among many is so refused alone.
        name: its id if the file gives one, else its number; nothing where a file has but one.
        is_id: whether the name is an id by itself.
        values: further columns of the table.
    """

    build: Callable[[], Any]
    name: str = ""
    is_id: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)


def read_cif(path: Path, text: str, notes: Notes) -> Iterator[Found]:
    """The structure of a CIF."""
    from pymatgen.io.cif import CifParser

    blocks = [block for block in BLOCK.split(f"\n{text}")[1:] if FRACTIONAL.search(block)]
    if len(blocks) > 1:
        raise refuse("several-blocks", f"{len(blocks)} structures in one file")
    if not blocks:
        if ATOM_SITE.search(text):
            raise refuse("no-coordinates", "cannot be read: no fractional coordinates (_atom_site_fract_x)")
        what = "no-structure" if BLOCK.search(text) else "unreadable"
        raise refuse(what, "cannot be read: no atoms with fractional coordinates (is the file complete?)")
    parser = parsed(lambda: CifParser.from_str(f"data_{blocks[0]}", occupancy_tolerance=1.01))
    block: Block = next(iter(parser.as_dict().values()), {})
    if "." in column(block, "_atom_site_occupancy"):
        parser = parsed(lambda: CifParser.from_str(with_full_sites(blocks[0]), occupancy_tolerance=1.01))
    before_reading(block, notes)
    (structure,) = parsed(lambda: parser.parse_structures(primitive=False))
    cell = from_object(structure, notes)  # a disordered site is named before its formula is missed
    if any("occupancies" in warning and "sum to > 1" in warning for warning in parser.warnings):
        notes.meet("occupancy-rounded", "some occupancies are slightly above 1")
    after_reading(block, structure, parser.symmetry_operations, notes)
    yield Found(lambda: cell)


def with_full_sites(block: str) -> str:
    """A CIF whose occupancies of '.' are 1, as the dictionary of CIF has it; pymatgen would leave those sites out."""
    from pymatgen.io.cif import CifFile

    file = CifFile.from_str(f"data_{block}")
    for data in file.data.values():
        occupancies = data.data["_atom_site_occupancy"]
        data.data["_atom_site_occupancy"] = ["1" if share == "." else share for share in occupancies]
    return str(file)


def parsed(parse: Callable[[], Any]) -> Any:
    """What a parser gives; pymatgen often keeps a cause in a warning and raises something vague.

    Raises:
        RefusedError: it raised; the text has its cause.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            return parse()
        except InputError:
            raise
        except Exception as error:  # parsers raise every kind; the cause is what matters
            texts = [str(error), *(str(w.message) for w in caught)]
            cause = "; ".join(dict.fromkeys(" ".join(text.split())[:200] for text in texts if text))
            key = "occupancy-over" if "exceeded tolerance" in cause else "unreadable"
            raise refuse(key, f"cannot be read (is the file complete?): {cause}") from error


def read_poscar(path: Path, text: str, notes: Notes) -> Iterator[Found]:
    """The structure of a POSCAR or CONTCAR."""
    from pymatgen.io.vasp import Poscar

    lines = [line.split() for line in text.split("\n")]
    _check_counts(lines, notes)
    # What follows a blank line are velocities, which may be cut or padded without harm.
    body = re.split(r"\n\s*\n", text.rstrip(), maxsplit=1)[0] if text.strip() and lines[0] else text
    poscar = parsed(lambda: Poscar.from_str(body, read_velocities=False))
    if not poscar.true_names:
        raise refuse("no-names", "it does not name its elements")
    yield Found(lambda: poscar.structure)


def _check_counts(lines: list[list[str]], notes: Notes) -> None:
    """Compare names and counts, which may fill several lines; pymatgen would make room for any count."""
    is_counts = [bool(line) and all(part.isdecimal() for part in line) for line in lines]
    start = next((i for i in range(5, len(lines)) if is_counts[i]), len(lines))
    end = next((i for i in range(start, len(lines)) if not is_counts[i]), len(lines))
    names = [name for line in lines[5:start] for name in line]
    counts = [count for line in lines[start:end] for count in line]
    if names and counts and len(names) != len(counts):
        raise refuse("counts-differ", f"{len(names)} names of elements, {len(counts)} counts")
    total = parsed(lambda: sum(map(int, counts)))
    if counts and total == 0:
        raise refuse("no-atoms", "all counts are 0")
    if total > len(lines):
        raise refuse("unreadable", f"cannot be read: {total} atoms in {len(lines)} lines (is the file complete?)")
    note_isotopes(names, notes)


def read_xyz(path: Path, text: str, notes: Notes) -> Iterator[Found]:
    """The frames of an extended XYZ."""
    io = ase_module("io.extxyz")
    from io import StringIO

    if any(len(width) > 3 for width in XYZ_WIDTH.findall(text)):  # ASE would make room for them
        raise refuse("unreadable", "cannot be read: a property of more than 999 columns")
    note_isotopes(XYZ_ISOTOPE.findall(text), notes)
    frames = parsed(lambda: list(io.read_extxyz(StringIO(XYZ_ISOTOPE.sub("H", text)), slice(None))))
    yield from frames_of(frames, notes)


def read_trajectory(path: Path, text: str, notes: Notes) -> Iterator[Found]:
    """The frames of an ASE trajectory."""
    trajectory = ase_module("io.trajectory")
    with path.open("rb") as file:  # ours to close: the reader leaves a damaged file open
        frames = parsed(lambda: list(trajectory.TrajectoryReader(file)))
    yield from frames_of(frames, notes)


def frames_of(frames: list[Any], notes: Notes) -> Iterator[Found]:
    """Frames by number; plain numbers and texts that were saved with them become columns."""
    if len(frames) > 1:
        notes.meet("several-frames", f"{len(frames)} frames in one file")
    for number, atoms in enumerate(frames):
        values = atoms.info | (atoms.calc.results if atoms.calc is not None else {})
        yield Found(atoms.copy, str(number) if len(frames) > 1 else "", values=simple_values(values))


def simple_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that fit into a table."""
    return {str(k): v for k, v in values.items() if isinstance(v, int | float | str | np.number) and k not in OWN}


def read_database(path: Path, text: str, notes: Notes) -> Iterator[Found]:
    """The rows of an ASE database, with their key-value pairs as columns; `material_id` among them is the id."""
    db = ase_module("db")
    rows = parsed(lambda: list(db.connect(str(path), type="json" if text else "db", use_lock_file=False).select()))
    for row in rows:
        values = dict(row.key_value_pairs)
        own = values.pop("material_id", None)
        yield Found(row.toatoms, str(row.id if own is None else own), own is not None, simple_values(values))


def read_json(path: Path, text: str, notes: Notes) -> Iterator[Found]:
    """Pymatgen structures as JSON: one, a list, or a dictionary by id; also entries that hold one."""
    data = parsed(lambda: json.loads(text))
    if isinstance(data, dict) and {"ids", "nextid"} <= set(data):
        yield from read_database(path, text, notes)
        return
    several = isinstance(data, list) or (isinstance(data, dict) and not SINGLE & set(data))
    if not several:
        yield Found(partial(_structure_of, data, notes), *_id_of(data, ""))
        return
    named = isinstance(data, dict)
    items = list(data.items() if named else enumerate(data))
    if not any(isinstance(item, dict) and SINGLE & set(item) for _, item in items):
        raise refuse("no-structure", "JSON without a pymatgen structure in it")
    for name, item in items:
        yield Found(partial(_structure_of, item, notes), *((str(name), True) if named else _id_of(item, str(name))))


def _id_of(data: Any, fallback: str) -> tuple[str, bool]:
    own = next((data[k] for k in ("material_id", "entry_id") if isinstance(data, dict) and data.get(k)), None)
    return (fallback, False) if own is None else (str(own), True)


def _structure_of(data: Any, notes: Notes) -> Any:
    """Built from its numbers alone: pymatgen's decoder would import whatever class the file names."""
    from pymatgen.core import Lattice, Structure

    data = data.get("structure", data) if isinstance(data, dict) else data
    if not isinstance(data, dict) or "sites" not in data:
        raise refuse("no-structure", "JSON without a pymatgen structure in it")
    if "lattice" not in data:
        raise refuse("no-cell", "a molecule, without a cell")

    def build() -> Any:
        lattice = Lattice(data["lattice"]["matrix"], pbc=data["lattice"].get("pbc", (True, True, True)))
        species = [{part["element"]: part.get("occu", 1) for part in site["species"]} for site in data["sites"]]
        note_isotopes([symbol for parts in species for symbol in parts], notes)
        return Structure(lattice, species, [site["abc"] for site in data["sites"]])

    return parsed(build)


def ase_module(name: str) -> Any:
    """A module of ASE.

    Raises:
        FileError: ASE is not installed.
    """
    import importlib

    try:
        return importlib.import_module(f"ase.{name}")
    except ImportError as error:
        raise refuse("no-reader", "this format is read by ASE, which is not installed here") from error
