from pathlib import Path

import nbgrader.server_extensions.formgrader

import spmat_nb.grading

# nbgrader reads this file from a course folder; `tools/build_assignments.py` and `tools/grade.py` copy it there.
c = get_config()  # noqa: F821

c.CourseDirectory.course_id = "spmat_nb"

# Releases
c.ClearSolutions.code_stub = {"python": "# Your answer\nraise NotImplementedError"}
c.ClearSolutions.text_stub = "*Your answer*"

# Grading: the released notebook with the student's answers in it; their code in a closed process, checks outside of it.
c.Autograde.sanitize_preprocessors = [
    "spmat_nb.grading.plugin.RebuildNotebook",
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.DeduplicateIds",
    "nbgrader.preprocessors.OverwriteKernelspec",
    "nbgrader.preprocessors.OverwriteCells",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.Autograde.autograde_preprocessors = [
    "spmat_nb.grading.plugin.GradeInSandbox",
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]
# What an assignment asks to write is closed while its submissions run.
_LOSSES = ["class_mask", "supervised_simclr", "supervised_barlow"]
c.GradeInSandbox.closed = {
    "a1_crystals_and_graphs": ["spmat_nb.neighbours.find_neighbours", "spmat_nb.checks.graphs.all_distances"],
    "a2_gndn": ["spmat_nb.augment.gndn"],
    "a3_losses": [f"spmat_nb.losses.{name}" for name in _LOSSES],
    "a4_small_study": ["spmat_nb.study.statistics.holm"],
}

# Feedback
_PACKAGES = (spmat_nb.grading, nbgrader.server_extensions.formgrader)  # our page, and nbgrader's form for marking
c.HTMLExporter.extra_template_basedirs = [str(Path(package.__file__).parent / "templates") for package in _PACKAGES]
c.HTMLExporter.sanitize_html = True
c.HTMLExporter.anchor_link_text = ""
