"""A course folder of nbgrader: releases from sources, grades and feedback from submissions."""

import contextlib
import json
import shutil
import time
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import nbformat
import pandas as pd

from ..errors import InputError, MachineError
from ..files import write_json
from .intake import Submission

if TYPE_CHECKING:
    from nbgrader.apps import NbGraderAPI

NOT_GRADED = "it could not be graded; see {log}"
CONFIG = "nbgrader_config.py"


class Course:
    """Assignments, submissions, grades and feedback in one folder, as nbgrader lays it out.

    The same folder can be opened with nbgrader's own commands and its form for marking by hand.

    Args:
        root: the folder; made if it is not there.
        config: the `nbgrader_config.py` to copy into it.
        options: set on top of it, as `{"GradeInSandbox": {"cell_seconds": 30}}`.
    """

    def __init__(self, root: Path, config: Path, options: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.root = root.resolve()
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)  # holds solutions and grades
        shutil.copy(config, self.root / CONFIG)
        self.api = _api(self.root, options or {})

    def release(self, name: str, source: Any) -> Path:
        """Generate the student release of an assignment from its source with solutions; returns its path.

        Raises:
            InputError: nbgrader refuses the source, with its words.
        """
        path = self.root / "source" / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(source, path)
        result = self.api.generate_assignment(name)
        if not result["success"]:
            raise InputError(f"nbgrader cannot release {name}: {result.get('log', '')[-800:]}")
        return self.root / "release" / name / f"{name}.ipynb"

    def grade(self, name: str, submissions: Iterable[Submission]) -> pd.DataFrame:
        """Autograde submissions of a released assignment and write the feedback of each.

        Whatever one of them does, the others are graded. A student's earlier submission is graded anew.

        Returns:
            The table of all submissions of the assignment.
        """
        for submission in submissions:
            begin = time.perf_counter()
            note = self._grade_one(name, submission)
            self._note(name, submission.student, note, round(time.perf_counter() - begin, 1))
        return self.table(name)

    def _grade_one(self, name: str, submission: Submission) -> str:
        """Grade one submission; returns what there is to note about it."""
        path = self.root / "submitted" / submission.student / name / f"{name}.ipynb"
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir(parents=True)
        note, cells = submission.note, submission.notebook.cells
        if note:
            cells = [nbformat.v4.new_markdown_cell(f"**About your file:** {note}."), *cells]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
        for step in (self.api.autograde, self.api.generate_feedback):
            result = step(name, submission.student)
            if not result["success"]:
                log = self.root / "logs" / f"{name}-{submission.student}.log"
                log.parent.mkdir(exist_ok=True)
                log.write_text(f"{result.get('log', '')}{result.get('error', '')}")
                if step == self.api.autograde:  # points of an earlier submission must not stand for this one
                    self._forget(name, submission.student)
                return f"{note}; {NOT_GRADED.format(log=log.relative_to(self.root))}".lstrip("; ")
        return note

    def _forget(self, name: str, student: str) -> None:
        from nbgrader.api import MissingEntry

        with self.api.gradebook as gradebook, contextlib.suppress(MissingEntry):
            gradebook.remove_submission(name, student)

    def mark(self, name: str, marks: pd.DataFrame) -> None:
        """Take over points that were given by hand.

        Args:
            name: of the assignment.
            marks: columns student, question, points and, if wanted, comment.

        Raises:
            InputError: a column is absent, or a row names nobody, no question, or too many points.
        """
        from nbgrader.api import MissingEntry

        if lacking := {"student", "question", "points"} - set(marks):
            raise InputError(f"The table of marks has no column {', '.join(sorted(lacking))}.")
        with self.api.gradebook as gradebook:
            for row in marks.to_dict("records"):
                where = (str(row["question"]), name, name, str(row["student"]))
                try:
                    grade, comment = gradebook.find_grade(*where), gradebook.find_comment(*where)
                except MissingEntry:
                    raise InputError(f"There is no answer to mark for {where[3]}, {where[0]}.") from None
                if not 0 <= float(row["points"]) <= grade.max_score:
                    raise InputError(f"{where[3]}, {where[0]}: {row['points']} of {grade.max_score:g} points.")
                grade.manual_score, grade.needs_manual_grade = float(row["points"]), False
                comment.manual_comment = str(row.get("comment", ""))
            gradebook.db.commit()

    def _notes(self, name: str) -> Path:
        return self.root / "notes" / f"{name}.json"

    def _note(self, name: str, student: str, note: str, seconds: float) -> None:
        """Keep what the gradebook has no place for."""
        path = self._notes(name)
        path.parent.mkdir(exist_ok=True)
        notes = json.loads(path.read_text()) if path.is_file() else {}
        write_json(path, notes | {student: {"note": note, "seconds": seconds}})

    def table(self, name: str) -> pd.DataFrame:
        """A row a student: points, points still to be given by hand, one column a question, a note, seconds."""
        path = self._notes(name)
        notes = json.loads(path.read_text()) if path.is_file() else {}
        rows = [{**self._points(name, student), **about} for student, about in sorted(notes.items())]
        return pd.DataFrame(rows)

    def _points(self, name: str, student: str) -> dict[str, Any]:
        """What the gradebook says."""
        from nbgrader.api import MissingEntry

        with self.api.gradebook as gradebook:
            assignment = gradebook.find_assignment(name)
            row: dict[str, Any] = {"student": student, "assignment": name, "score": 0.0}
            row |= {"max_score": float(assignment.max_score), "by_hand": 0.0}
            row |= {cell.name: 0.0 for notebook in assignment.notebooks for cell in notebook.grade_cells}
            with contextlib.suppress(MissingEntry):
                found = gradebook.find_submission(name, student)
                row["score"] = float(found.score)
                for grade in (grade for notebook in found.notebooks for grade in notebook.grades):
                    row[grade.name] = float(grade.score)
                    row["by_hand"] += float(grade.max_score) * bool(grade.needs_manual_grade)
        return row

    def feedback(self, name: str, student: str) -> Path:
        """The page of feedback of one student."""
        return self.root / "feedback" / student / name / f"{name}.html"


def _api(root: Path, options: Mapping[str, Mapping[str, Any]]) -> "NbGraderAPI":
    """An nbgrader with the configuration of the course folder.

    Raises:
        MachineError: nbgrader is not installed.
    """
    try:
        from alembic.script import ScriptDirectory
        from nbgrader import dbutil
        from nbgrader.apps import NbGraderAPI
    except ImportError:
        raise MachineError('Grading needs nbgrader: python -m pip install -e ".[assignments]"') from None
    from sqlalchemy.exc import SAWarning
    from traitlets.config import PyFileConfigLoader

    warnings.filterwarnings("ignore", category=SAWarning, module=r"nbgrader\.api")
    config = PyFileConfigLoader(CONFIG, path=str(root)).load_config()
    config.CourseDirectory.root = str(root)
    for section, values in options.items():
        config[section].update(values)
    api = NbGraderAPI(config=config)
    # A new gradebook asks the program `alembic` for its version, which need not be on the PATH; its library knows too.
    head = ScriptDirectory(dbutil.ALEMBIC_DIR).get_current_head
    with patch("nbgrader.api.get_alembic_version", head):
        api.gradebook.close()
    return api
