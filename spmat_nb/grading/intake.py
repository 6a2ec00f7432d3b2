"""Submissions as they come: files that may be anything. What cannot be read becomes an empty one, with the reason."""

import re
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

MOST_BYTES = 20 << 20
STUDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")  # also safe as a folder, and as a cell of a spreadsheet
MOST_CELLS = 400


@dataclass(frozen=True)
class Submission:
    """One submission, ready to be graded.

    Attributes:
        student: an id.
        notebook: its cells, nothing else; empty where the file could not be read.
        note: why it could not, or nothing.
    """

    student: str
    notebook: Any
    note: str = ""


def collect(folder: Path, assignment: str) -> list[Submission]:
    """All submissions in a folder: `STUDENT.ipynb`, or `STUDENT/` with a notebook in it.

    Args:
        folder: as a learning-management system gives it, unpacked.
        assignment: its name; of several notebooks of a student the one of that name counts.
    """
    return [read(student, path, note) for student, path, note in sorted(_found(folder, assignment))]


def _found(folder: Path, assignment: str) -> Iterator[tuple[str, Path, str]]:
    for entry in folder.iterdir():
        student = entry.stem if entry.suffix == ".ipynb" else entry.name
        if entry.name.startswith(".") or (entry.suffix != ".ipynb" and not entry.is_dir()):
            continue
        student, note = (student, "") if STUDENT.fullmatch(student) else _renamed(student)
        yield student, _notebook_of(entry, assignment) if entry.is_dir() else entry, note


def _renamed(student: str) -> tuple[str, str]:
    plain = "id-" + re.sub(r"[^A-Za-z0-9_.@-]", "_", student)[:60]
    return plain, f"the id {student!r} has characters that an id cannot have; it was graded as {plain}"


def _notebook_of(folder: Path, assignment: str) -> Path:
    notebooks = sorted(folder.glob("*.ipynb"))
    named = [path for path in notebooks if path.stem == assignment]
    return (named or notebooks or [folder / f"{assignment}.ipynb"])[0]


def read(student: str, path: Path, note: str = "") -> Submission:
    """One file as a submission; never raises for what a file holds."""
    try:
        cells = _cells(path)
    except _Unreadable as reason:
        return Submission(student, nbformat.v4.new_notebook(), f"{note}; {reason}".lstrip("; "))
    return Submission(student, nbformat.v4.new_notebook(cells=cells), note)


class _Unreadable(Exception):
    """Why a file is no notebook."""


def _cells(path: Path) -> list[Any]:
    """The cells of a notebook file of any version, each checked."""
    try:
        about = path.lstat()
    except OSError:
        raise _Unreadable("there is no notebook in it") from None
    if not stat.S_ISREG(about.st_mode):
        raise _Unreadable("it is no plain file (a link, perhaps)")
    if about.st_size > MOST_BYTES:
        raise _Unreadable(f"it has {about.st_size >> 20} MB; a notebook may have {MOST_BYTES >> 20}")
    if about.st_size == 0:
        raise _Unreadable("the file is empty")
    try:
        with warnings.catch_warnings(action="ignore"):  # about cell ids, which are made anew
            notebook = nbformat.reads(path.read_text(encoding="utf-8-sig"), as_version=4)
        cells = [_plain(cell) for cell in notebook.cells if cell.get("cell_type") in ("code", "markdown")]
    except Exception as error:  # nbformat raises whatever a broken file leads it to
        raise _Unreadable(f"it is no notebook ({type(error).__name__}); save it again in JupyterLab") from None
    if len(cells) > MOST_CELLS:
        raise _Unreadable(f"it has {len(cells)} cells; {MOST_CELLS} are allowed")
    return cells


def _plain(cell: Any) -> Any:
    """A cell with its source and its nbgrader name, and nothing else."""
    make = nbformat.v4.new_code_cell if cell["cell_type"] == "code" else nbformat.v4.new_markdown_cell
    source = cell["source"]
    about = cell.get("metadata", {}).get("nbgrader", {})
    name = about.get("grade_id") if isinstance(about, dict) else None
    new = make(source if isinstance(source, str) else "".join(map(str, source)))
    if isinstance(name, str):
        new["metadata"] = nbformat.from_dict({"nbgrader": {"grade_id": name}})
    return new
