#!/usr/bin/env python3
"""Grade a folder of submissions of one assignment: points, feedback pages and a CSV, through nbgrader.

    python tools/grade.py a2_gndn SUBMISSIONS [--out runs/grading/a2_gndn] [--quick]

SUBMISSIONS holds `STUDENT.ipynb` files, or folders named by the student with a notebook in each. Written to --out:
`grades.csv` (a row a student), `feedback/STUDENT.html`, and `course/`, nbgrader's own folder. Reports are marked by
hand in nbgrader's formgrader, opened in `course/`, or in a CSV with the columns student, question, points, comment:

    python tools/grade.py a4_small_study --marks marks.csv
    python tools/grade.py a4_small_study --export

Both write points and pages anew and grade nothing.
"""

import argparse
import shutil
import time
from pathlib import Path

import pandas as pd
from build_assignments import CONFIG, ROOT, names, release

from spmat_nb.errors import InputError, SpmatError
from spmat_nb.grading import sandbox
from spmat_nb.grading.course import Course
from spmat_nb.grading.intake import collect

WORDS = {
    "namespaces": "in closed namespaces: no network, no files but Python, the package and an empty folder",
    "python": "behind an audit hook of Python only; a container closes more (see the teaching guide)",
}


def grade(name: str, folder: Path, out: Path, options: dict[str, object]) -> pd.DataFrame:
    """Release the assignment into the course folder, grade all submissions, write tables and pages."""
    submissions = collect(folder, name)
    if not submissions:
        raise InputError(f"No submission in {folder}: neither a notebook nor a folder with one.")
    course = Course(out / "course", CONFIG, {"GradeInSandbox": options})
    release(course, name, fresh=False)
    write(course, name, course.grade(name, submissions), out)
    return course.table(name)


def write(course: Course, name: str, table: pd.DataFrame, out: Path) -> None:
    """The CSV for a learning-management system and a page for each student."""
    table.to_csv(out / "grades.csv", index=False)
    (out / "feedback").mkdir(exist_ok=True)
    for student in table["student"]:
        page = course.feedback(name, student)
        if page.is_file():
            shutil.copyfile(page, out / "feedback" / f"{student}.html")


def export(name: str, out: Path, marks: Path | None) -> pd.DataFrame:
    """Tables and pages anew from the gradebook, after reports were marked by hand."""
    course = Course(out / "course", CONFIG)
    if marks is not None:
        course.mark(name, pd.read_csv(marks, dtype={"student": str, "question": str}, keep_default_na=False))
    table = course.table(name)
    for student in table["student"]:
        course.api.generate_feedback(name, student)
    write(course, name, table, out)
    return table


def main() -> None:
    """Grade, or export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assignment", choices=names())
    parser.add_argument("submissions", type=Path, nargs="?", help="a folder")
    parser.add_argument("--out", type=Path, help="default: runs/grading/ASSIGNMENT")
    parser.add_argument("--export", action="store_true", help="write tables and pages anew; nothing is graded")
    parser.add_argument("--marks", type=Path, help="take over points given by hand, then as --export")
    parser.add_argument("--quick", action="store_true", help="leave out run cells: no figures in the feedback")
    parser.add_argument("--cell-seconds", type=float, default=sandbox.Limits.cell)
    parser.add_argument("--call-seconds", type=float, default=sandbox.Limits.call)
    parser.add_argument("--total-seconds", type=float, default=sandbox.Limits.total)
    parser.add_argument("--memory-mb", type=int, default=sandbox.Limits.memory)
    parser.add_argument("--level", choices=sandbox.LEVELS, help="how closed; the best that works here by default")
    args = parser.parse_args()
    out = (args.out or ROOT / "runs" / "grading" / args.assignment).resolve()
    again = args.export or args.marks is not None
    if not again and args.submissions is None:
        parser.error("name the folder of the submissions")
    limits = {name: getattr(args, name) for name in ("cell_seconds", "call_seconds", "total_seconds", "memory_mb")}
    begin, how = time.perf_counter(), args.level or sandbox.level()
    options = {**limits, "run_cells": not args.quick, "level": how}
    try:
        if again:
            table = export(args.assignment, out, args.marks)
        else:
            print(f"Student code runs {WORDS[how]}.")
            table = grade(args.assignment, args.submissions, out, options)
    except SpmatError as error:
        raise SystemExit(str(error)) from None
    print(table[["student", "score", "max_score", "by_hand", "note"]].to_string(index=False))
    print(f"{len(table)} submissions in {time.perf_counter() - begin:.0f} s: {out / 'grades.csv'}, {out / 'feedback'}")


if __name__ == "__main__":
    main()
