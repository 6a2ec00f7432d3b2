"""Which file is of which format: by its content first, by its name else."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .policy import Notes, refuse
from .policy_cases import MAX_BYTES
from .readers import BLOCK, Found, read_cif, read_database, read_json, read_poscar, read_trajectory, read_xyz
from .texts import COMPRESSED, first_bytes, read_text

POSCAR_NAMES = ("POSCAR", "CONTCAR")


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        key: name in `FORMATS`.
        endings: of its files.
        read: from path and text (None for binary formats) to structures.
        looks: whether a text is of this format; None for binary formats.
        magic: first bytes, for binary formats.
        single: one structure a file, so that a large one is no structure.
    """

    key: str
    endings: tuple[str, ...]
    read: Callable[[Path, str, Notes], Iterator[Found]]
    looks: Callable[[str], bool] | None = None
    magic: bytes = b""
    single: bool = False


def _number_line(line: str, count: int) -> bool:
    try:
        return len([float(part) for part in line.split()[:count]]) == count
    except ValueError:
        return False


def looks_like_cif(text: str) -> bool:
    """A block and a cell."""
    return bool(BLOCK.search(text)) and "_cell_" in text


def looks_like_poscar(text: str) -> bool:
    """A comment, a scale, and three lines of three numbers."""
    lines = text.split("\n", 6)
    return len(lines) > 6 and _number_line(lines[1], 1) and all(_number_line(line, 3) for line in lines[2:5])


def looks_like_xyz(text: str) -> bool:
    """A count, a comment, and a symbol with three numbers."""
    lines = text.split("\n", 3)
    atom = lines[2].split(maxsplit=1) if len(lines) > 2 else []
    return lines[0].strip().isdecimal() and len(atom) == 2 and atom[0].isalpha() and _number_line(atom[1], 3)


FORMATS: dict[str, Format] = {
    f.key: f
    for f in (
        Format("CIF", (".cif", ".mcif"), read_cif, looks_like_cif, single=True),
        Format("POSCAR", (".vasp", ".poscar", ".contcar"), read_poscar, looks_like_poscar, single=True),
        Format("XYZ", (".xyz", ".extxyz"), read_xyz, looks_like_xyz),
        Format("JSON", (".json",), read_json, lambda text: text.lstrip()[:1] in ("{", "[")),
        Format("ASE database", (".db",), read_database, magic=b"SQLite format 3\x00"),
        Format("ASE trajectory", (".traj",), read_trajectory, magic=b"- of Ulm"),
    )
}
ENDINGS = {ending: f for f in FORMATS.values() for ending in f.endings}


def base_name(path: Path) -> str:
    """The name of a file without the ending of its compression."""
    return path.name[: -len(path.suffix)] if path.suffix.lower() in COMPRESSED else path.name


def format_by_name(path: Path) -> Format | None:
    """The format that a file's name promises."""
    name = Path(base_name(path))
    by_ending = ENDINGS.get(name.suffix.lower())
    return by_ending or (FORMATS["POSCAR"] if name.name.upper().startswith(POSCAR_NAMES) else None)


def structures_in(path: Path, notes: Notes) -> Iterator[Found]:
    """The structures of a file, read by what it contains.

    Raises:
        RefusedError: it cannot be read, or nothing in it can be used.
        MachineError: it cannot be opened.
    """
    named = format_by_name(path)
    head = first_bytes(path)
    binary = next((f for f in FORMATS.values() if f.magic and head.startswith(f.magic)), None)
    text = "" if binary else read_text(path, notes)
    found = binary or next((f for f in FORMATS.values() if f.looks and f.looks(text)), None)
    if found is None and (named is None or named.looks is None):
        raise refuse("unreadable" if named else "unknown-kind", "cannot be read: no structure file")
    if found is not None and found is not named:
        notes.meet("wrong-ending", f"the content is {found.key}, the name says {named.key if named else 'nothing'}")
    chosen = found or named
    assert chosen is not None  # the case of neither was refused above
    if chosen.single and len(text) > MAX_BYTES:
        raise refuse("too-large", f"the file is larger than {MAX_BYTES // 2**20} MiB")
    yield from chosen.read(path, text, notes)
