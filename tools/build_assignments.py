#!/usr/bin/env python3
"""Make the student releases of the assignments from their sources with solutions, through nbgrader.

    python tools/build_assignments.py [NAME ...] [--out notebooks/assignments/release]

A source is `notebooks/assignments/src/aN_name.py` (jupytext py:percent). Its cells say what they are:

    # %% tags=["setup"]                       code that answers and checks both need; locked
    # %% tags=["helper"]                      code that calls answers and is called by checks; locked
    # %% answer="gndn"                        a student's answer; the solution stands between nbgrader's markers
    # %% run="gndn"                           a run cell; locked; its figure can be shown as a target
    # %% check="gndn-seen" points=3           a check and its points; hidden parts stand between nbgrader's markers
    # %% [markdown] report="limits" points=6  text that is marked by hand
    # %% [markdown] target="gndn"             text that ends with the figure of that run cell, made by the solution
"""

import argparse
import base64
import tempfile
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from build_notebooks import KERNEL, ROOT, execute

from spmat_nb.grading.course import Course

ASSIGNMENTS = ROOT / "notebooks" / "assignments"
SOURCES, RELEASES, CONFIG = ASSIGNMENTS / "src", ASSIGNMENTS / "release", ASSIGNMENTS / "nbgrader_config.py"
KINDS = {  # of a cell by its own word: whether it earns points, is an answer, is locked
    "answer": (False, True, False),
    "check": (True, False, True),
    "report": (True, True, False),
}


def names() -> list[str]:
    """All assignments."""
    return sorted(path.stem for path in SOURCES.glob("a[0-9]*.py"))


def source_notebook(name: str) -> Any:
    """The notebook of a source, with solutions, hidden checks and nbgrader's metadata."""
    notebook = jupytext.read(SOURCES / f"{name}.py", fmt="py:percent")
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{name[:40]}-{number:02d}"
        cell["metadata"] = nbformat.from_dict(metadata(cell, number))
    return notebook


def metadata(cell: Any, number: int) -> dict[str, Any]:
    """What nbgrader has to know of a cell; every cell has a name, so that a submission can be put in order."""
    said = cell["metadata"]
    kind = next((word for word in KINDS if word in said), None)
    grade, solution, locked = KINDS.get(str(kind), (False, False, True))
    place = f"{number:02d}-{'run' if cell.cell_type == 'code' else 'text'}"
    about = {"grade": grade, "solution": solution, "locked": locked, "task": False, "schema_version": 3}
    about["grade_id"] = said.get(str(kind), said.get("run", place)) + ("-run" if "run" in said else "")
    if grade:
        about["points"] = said["points"]
    return {"nbgrader": about} | {key: said[key] for key in ("tags", "target") if key in said}


def add_targets(notebook: Any, name: str, fresh: bool) -> None:
    """Attach the figures of the solution: drawn now, or taken from the release that is there."""
    wanted = [cell for cell in notebook.cells if "target" in cell.metadata]
    figures = _drawn(notebook) if fresh else _released(RELEASES / f"{name}.ipynb")
    for cell in wanted:
        run = f"{cell.metadata.pop('target')}-run"
        if run in figures:
            cell["attachments"] = {f"{run}.png": {"image/png": figures[run]}}
            cell.source += f"\n\n![What the figure should look like](attachment:{run}.png)"


def _drawn(notebook: Any) -> dict[str, str]:
    """The last figure of each run cell of the source, as base64."""
    with tempfile.TemporaryDirectory() as runs:
        done = execute(nbformat.from_dict(notebook), "fast", Path(runs))
    pictures = {
        cell.metadata.nbgrader.grade_id: output.data["image/png"]
        for cell in done.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    }
    return {run: base64.b64encode(base64.b64decode(data)).decode() for run, data in pictures.items()}


def _released(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    cells = nbformat.read(path, as_version=4).cells
    pairs = (pair for cell in cells for pair in cell.get("attachments", {}).items())
    return {name.removesuffix(".png"): data["image/png"] for name, data in pairs}


def release(course: Course, name: str, fresh: bool) -> Path:
    """Generate a release in a course folder; `fresh` draws its target figures anew."""
    notebook = source_notebook(name)
    add_targets(notebook, name, fresh)
    return course.release(name, notebook)


def main() -> None:
    """Build the named releases, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="such as a2_gndn; all if none is given")
    parser.add_argument("--out", type=Path, default=RELEASES)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        course = Course(Path(folder) / "course", CONFIG)
        for name in args.names or names():
            path = release(course, name, fresh=True)
            (args.out / path.name).write_bytes(path.read_bytes())
            print(f"wrote {args.out.name}/{path.name}")


if __name__ == "__main__":
    main()
