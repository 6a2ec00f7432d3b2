"""Real runs of nbgrader: a made class of one assignment, and the solution and the untouched release of all four."""

import json
import os
import re
import subprocess
import sys
from html import unescape

import nbformat
import pandas as pd
import pytest
from assignment_class import CLASS, ROOT, answered, expected, hand_in, points, released, source_notebook
from build_assignments import names
from filelock import FileLock

from spmat_nb.grading import sandbox
from spmat_nb.grading.judge import parts

GRADE = [sys.executable, str(ROOT / "tools" / "grade.py")]
QUICK = ["--quick", "--call-seconds", "4", "--cell-seconds", "8", "--memory-mb", "3000"]


@pytest.fixture(scope="module")
def once(tmp_path_factory, worker_id):
    """Run something slow once, also when several processes test."""
    base = tmp_path_factory.getbasetemp()
    base = base if worker_id == "master" else base.parent

    def run(name, make):
        folder = base / f"graded-{name}"
        with FileLock(f"{folder}.lock"):
            if not (folder / "done").is_file():
                folder.mkdir(exist_ok=True)
                make(folder)
                (folder / "done").touch()
        return folder

    return run


def grade(assignment, submissions, out, *options):
    environment = os.environ | {"COURSE_SECRET": "not for students", "OMP_NUM_THREADS": "1"}
    command = [*GRADE, assignment, str(submissions), "--out", str(out), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def table(folder):
    return pd.read_csv(folder / "out" / "grades.csv", dtype={"student": str}, keep_default_na=False).set_index(
        "student"
    )


def page(folder, student):
    html = (folder / "out" / "feedback" / f"{student}.html").read_text()
    return unescape(re.sub(r"<[^>]+>", "", re.sub(r"<style.*?</style>|<img[^>]*>", "", html, flags=re.DOTALL)))


@pytest.fixture(scope="module")
def graded_class(once):
    def make(folder):
        hand_in(folder / "in", folder / "out" / "course")
        said = grade("a2_gndn", folder / "in", folder / "out", *QUICK)
        (folder / "said.txt").write_text(said)

    return once("class", make)


def test_every_student_of_the_class_has_a_row(graded_class):
    assert set(table(graded_class).index) == set(CLASS)


@pytest.mark.parametrize("student", CLASS)
def test_each_submission_has_exactly_its_points(graded_class, student):
    row = table(graded_class).loc[student]
    assert {check: row[check] for check in points("a2_gndn")} == expected(student), page(graded_class, student)
    assert row["score"] == sum(expected(student).values())
    assert (row["max_score"], row["by_hand"]) == (20, 0)


def hidden_lines(name):
    """Lines of the hidden checks that stand nowhere else in the assignment."""
    seen = "\n".join(cell.source for cell in released(name).cells)
    for cell in source_notebook(name).cells:
        for text, hidden in parts(cell.source) if cell.cell_type == "code" else []:
            lines = [line.strip() for line in text.splitlines() if hidden]
            yield from (line for line in lines if len(line) > 20 and line not in seen)


@pytest.mark.parametrize("student", CLASS)
def test_feedback_shows_no_hidden_check_and_no_traceback_of_it(graded_class, student):
    text = page(graded_class, student)
    assert [line for line in hidden_lines("a2_gndn") if line in text] == []
    for word in ("HIDDEN TESTS", "Traceback", "spmat_nb/checks", "site-packages", "assignment_views.py"):
        assert word not in text


def test_feedback_names_each_mistake(graded_class):
    first, second = page(graded_class, "wrong-1"), page(graded_class, "wrong-2")
    for words in (
        "as if it were Gaussian",
        "That is the variance",
        "becomes positive when it is squared",
        "smallest δ",
    ):
        assert words in first
    for words in ("A distance is positive: clamp it", "Do not compare distances", "not per cent", "Return None"):
        assert words in second
    assert "not the same ones: compare the ends" in first
    assert "closed in grading: the answer has to be your own" in page(graded_class, "uses-the-package")
    assert "There is no function `same_topology`" in page(graded_class, "syntax-error")


def test_a_stopped_process_costs_its_own_question_and_says_why(graded_class):
    text = page(graded_class, "stops-everything")
    assert text.count("ended by itself") == 2
    assert text.count("took longer than 4 s") + text.count("MemoryError") == 4
    assert "The process of this code took longer than 8 s" in page(graded_class, "endless-cell")


def test_a_thief_finds_nothing_and_leaves_nothing(graded_class):
    text = page(graded_class, "steals")
    if sandbox.level() == "namespaces":
        assert "FOUND: []" in text
    assert not (ROOT / "stolen").exists() and not (graded_class / "in" / "stolen").exists()


def test_hidden_cases_do_not_leave_through_an_error(graded_class):
    hidden = re.search(r"gndn on other crystals \(hidden check\)\..*", page(graded_class, "steals"))[0]
    assert "Your answer stopped with ValueError on a case that you have not seen." in hidden


def test_unreadable_files_are_noted(graded_class):
    notes = table(graded_class)["note"]
    assert "the file is empty" in notes["empty-file"] and "no plain file" in notes["link"]
    assert set(notes.drop(["empty-file", "link"])) == {""}


def test_pages_of_feedback_need_no_network_and_run_no_script(graded_class):
    for path in (graded_class / "out" / "feedback").iterdir():
        html = path.read_text()
        assert "<script" not in html
        assert re.findall(r'(?:src|href)="(?!#|data:image/)[^"]*"', html) == []


@pytest.fixture(scope="module", params=names())
def two_submissions(request, once):
    name = request.param

    def make(folder):
        (folder / "in").mkdir()
        nbformat.write(answered(name), folder / "in" / "solution.ipynb")
        nbformat.write(released(name), folder / "in" / "untouched.ipynb")
        grade(name, folder / "in", folder / "out", *(["--quick"] if name == "a2_gndn" else []))

    return name, once(name, make)


def test_the_solution_has_full_marks_and_the_untouched_release_none(two_submissions):
    name, folder = two_submissions
    rows, most = table(folder), points(name)
    by_hand = sum(number for check, number in most.items() if check == "report")
    assert rows.loc["solution", "score"] + rows.loc["solution", "by_hand"] == sum(most.values()) == 20
    assert rows.loc["solution", "by_hand"] == by_hand
    assert rows.loc["untouched", "score"] == rows.loc["untouched", "by_hand"] == 0
    assert set(rows["note"]) == {""}


def test_run_cells_of_the_solution_run_in_grading_too(two_submissions):
    name, folder = two_submissions
    path = folder / "out" / "course" / "autograded" / "solution" / name / f"{name}.ipynb"
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    errors = [o.evalue for cell in cells for o in cell.outputs if o.output_type == "error"]
    assert errors == []
    assert [line for line in hidden_lines(name) if line in json.dumps([c.source for c in cells])] == []


def test_points_by_hand_are_taken_over(once, two_submissions, tmp_path):
    name, folder = two_submissions
    if "report" not in points(name):
        pytest.skip("nothing is marked by hand here")
    marks = tmp_path / "marks.csv"
    marks.write_text('student,question,points,comment\nsolution,report,5.5,"Clear; the unit is missing once."\n')
    command = [*GRADE, name, "--marks", str(marks), "--out", str(folder / "out")]
    subprocess.run(command, check=True, capture_output=True)
    row = table(folder).loc["solution"]
    assert (row["score"], row["by_hand"]) == (19.5, 0)
    assert "the unit is missing once" in page(folder, "solution")
    marks.write_text("student,question,points\nsolution,report,7\n")
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 1 and "7 of 6 points" in refused.stderr
