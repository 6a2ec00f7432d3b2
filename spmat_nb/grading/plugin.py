"""The steps that nbgrader's autograding takes here instead of its own; named in `nbgrader_config.py` of a course."""

import base64
import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_output
from nbgrader import utils
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Bool, Dict, Float, Integer, Unicode

from .judge import Judge, Verdict, without_hidden
from .sandbox import Limits
from .session import Session, Stopped

SETUP = "setup"  # tag of locked cells that answers and checks both need
HELPER = "helper"  # tag of locked cells that work with answers; checks call what they define
PNG = b"\x89PNG\r\n\x1a\n"
MOST_EXTRAS = 100  # cells that a student added
MOST_CHARACTERS = 50_000  # of a cell
Node = Any


class RebuildNotebook(NbGraderPreprocessor):
    """The released notebook with a student's answers put in: nothing else of a submission is taken over as it came.

    Answers are found by their `grade_id`. Deleted, moved, doubled or relabelled cells, changed points, other metadata
    and edited checks make no difference. Cells that the student added stay where they were, as plain cells.
    """

    def preprocess(self, nb: Node, resources: Any) -> tuple[Node, Any]:
        """Rebuild one notebook."""
        about, course = resources["nbgrader"], self.parent.parent.coursedir
        folder = course.format_path(course.release_directory, ".", about["assignment"])
        release = nbformat.read(Path(folder) / f"{about['notebook']}.ipynb", as_version=4)
        return rebuilt(release, nb), resources


def rebuilt(release: Node, submitted: Node) -> Node:
    """The release with the answers and the added cells of a submission."""
    places = {grade_id(cell): number for number, cell in enumerate(release.cells)}
    answers, extras = sorted_cells(submitted.cells, places)
    whole = copy.deepcopy(release)
    whole.cells = []
    for number, cell in enumerate([None, *release.cells], start=-1):
        if cell is not None:
            kept = copy.deepcopy(cell)
            if utils.is_solution(cell):
                kept.source = answers.get(grade_id(cell), cell.source)
            whole.cells.append(kept)
        whole.cells += extras.get(number, [])
    for number, cell in enumerate(whole.cells):
        cell["id"] = f"cell-{number:03d}"
    return whole


def sorted_cells(cells: Iterable[Node], places: dict[str, int]) -> tuple[dict[str, str], dict[int, list[Node]]]:
    """The answers by `grade_id`, and the added cells by the released cell that they follow (-1: none)."""
    answers: dict[str, str] = {}
    extras: dict[int, list[Node]] = {}
    after, count = -1, 0
    for cell in cells:
        name, source = grade_id(cell), str(cell.get("source", ""))[:MOST_CHARACTERS]
        if name in places:
            after, answers[name] = places[name], source  # of doubled cells the last counts
        elif cell.get("cell_type") in ("code", "markdown") and count < MOST_EXTRAS:
            count += 1
            make = nbformat.v4.new_code_cell if cell["cell_type"] == "code" else nbformat.v4.new_markdown_cell
            extras.setdefault(after, []).append(make(source))
    return answers, extras


def grade_id(cell: Node) -> str:
    """The nbgrader name of a cell, or nothing; a submission may hold anything in its place."""
    about = cell.get("metadata", {})
    about = about.get("nbgrader", {}) if isinstance(about, dict) else {}
    return str(about.get("grade_id", "")) if isinstance(about, dict) else ""


class GradeInSandbox(NbGraderPreprocessor):
    """In place of nbgrader's `Execute`: student code in a closed process, checks in this one (see `judge`)."""

    closed = Dict({}, help="For each assignment the functions of the package that it asks to write.").tag(config=True)
    cell_seconds = Float(Limits.cell, help="Limit of one cell.").tag(config=True)
    call_seconds = Float(Limits.call, help="Limit of one call by a check.").tag(config=True)
    total_seconds = Float(Limits.total, help="Limit of one submission.").tag(config=True)
    memory_mb = Integer(Limits.memory, help="Limit of one submission.").tag(config=True)
    run_cells = Bool(True, help="Whether to run cells that only show something, too.").tag(config=True)
    level = Unicode("", help="`namespaces` or `python`; the best that works if empty.").tag(config=True)

    def preprocess(self, nb: Node, resources: Any) -> tuple[Node, Any]:
        """Run and check one notebook; every outcome becomes the output of its cell."""
        closed = self.closed.get(resources["nbgrader"]["assignment"], [])
        limits = Limits(self.cell_seconds, self.call_seconds, self.total_seconds, memory=self.memory_mb)
        code = [cell for cell in nb.cells if cell.cell_type == "code"]
        with Session(closed, limits, self.level) as session:
            for number, cell in enumerate(code):
                if not is_check(cell) and (self.run_cells or needed(cell)):
                    cell.outputs, cell.execution_count = run(session, cell), number + 1
            judge = Judge(session, [cell.source for cell in code if SETUP in tags(cell) and utils.is_locked(cell)])
            for number, cell in enumerate(code):
                if is_check(cell):
                    cell.outputs, cell.execution_count = [told(judge.verdict(cell.source))], number + 1
                    cell.source = without_hidden(cell.source)
        return nb, resources


def tags(cell: Node) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags", []))


def is_check(cell: Node) -> bool:
    """Whether points depend on what the cell says."""
    return bool(utils.is_grade(cell)) and not utils.is_solution(cell)


def needed(cell: Node) -> bool:
    """Whether checks may need what a cell of the student's side defines."""
    return bool(utils.is_solution(cell)) or bool({SETUP, HELPER} & set(tags(cell))) or not utils.is_locked(cell)


def run(session: Session, cell: Node) -> list[Node]:
    """Run a cell of the student's side; its outputs."""
    try:
        reply = session.run(grade_id(cell) or "cell", cell.source, kept=needed(cell))
    except Stopped as stopped:
        return [_error("Stopped", f"The process of this code {stopped}", "")]
    outputs = [new_output("stream", name="stdout", text=str(reply["text"]))] if reply.get("text") else []
    pictures = reply.get("figures", [])
    outputs += [new_output("display_data", data={"image/png": p}) for p in map(_picture, pictures) if p]
    if isinstance(reply.get("error"), dict):
        outputs.append(_error(*(str(reply["error"].get(key, "")) for key in ("type", "words", "where"))))
    return outputs


def _picture(data: Any) -> str:
    """A PNG in base64 as it came, or nothing if it is none: it will stand in a page of HTML."""
    try:
        raw = base64.b64decode(data, validate=True)
    except (ValueError, TypeError):
        return ""
    return base64.b64encode(raw).decode() if raw.startswith(PNG) else ""


def _error(name: str, words: str, where: str) -> Node:
    lines = [*([where] if where else []), f"{name}: {words}"]
    return new_output("error", ename=name, evalue=words, traceback=lines)


def told(verdict: Verdict) -> Node:
    """An outcome as the output that nbgrader counts: text on standard error means no points."""
    name = "stdout" if verdict.right else "stderr"
    return new_output("stream", name=name, text="\n".join(verdict.lines or ["[not done yet] Nothing to check."]) + "\n")
