"""Sources and releases of the assignments: complete, without solutions, and the ones that the sources make."""

import re

import nbformat
import pytest
from assignment_class import ROOT, grade_id, points, released, solutions, source_notebook
from build_assignments import RELEASES, SOURCES, add_targets, names, release

from spmat_nb.grading.judge import parts, without_hidden


@pytest.mark.parametrize("name", names())
def test_it_has_four_to_six_questions_and_twenty_points(name):
    about = [cell.metadata.nbgrader for cell in source_notebook(name).cells]
    questions = re.findall(r"^# %% \[markdown\]\n# ## \d+ · ", (SOURCES / f"{name}.py").read_text(), re.MULTILINE)
    assert 4 <= len(questions) <= 6
    assert sum(points(name).values()) == 20
    assert sum(a.grade and not a.solution for a in about) >= 8
    assert len({a.grade_id for a in about}) == len(about)


@pytest.mark.parametrize("name", names())
def test_each_answer_has_a_stub_a_seen_and_a_hidden_check(name):
    cells = source_notebook(name).cells
    for cell in cells:
        if cell.metadata.nbgrader.solution and cell.cell_type == "code":
            assert "### BEGIN SOLUTION" in cell.source and '"""' in cell.source
        if cell.metadata.nbgrader.grade and cell.cell_type == "code":
            assert bool(re.search("hidden$", grade_id(cell))) == any(hidden for _, hidden in parts(cell.source))
    assert sum(grade_id(cell).endswith("hidden") for cell in cells) >= 4


@pytest.mark.parametrize("name", names())
def test_the_release_holds_no_solution_and_no_hidden_check(name):
    text = (RELEASES / f"{name}.ipynb").read_text()
    for word in ("SOLUTION", "HIDDEN TESTS", "BEGIN", str(ROOT)):
        assert word not in text
    notebook, secret = released(name), []
    for cell in source_notebook(name).cells:
        if cell.metadata.nbgrader.solution:
            body = re.search(r"### BEGIN SOLUTION\n(.*)### END SOLUTION", cell.source, re.DOTALL)
            secret += (body[1] if body else cell.source).splitlines()
        elif cell.cell_type == "code":
            secret += [line for source, hidden in parts(cell.source) if hidden for line in source.splitlines()]
    everything = "\n".join(cell.source for cell in notebook.cells)
    shown = {line.strip() for line in everything.splitlines()}
    leaked = {line.strip() for line in secret if len(line.strip()) > 12} & shown
    # Lines that stand in the open elsewhere, such as the opening of a call, tell nothing.
    public = {line.strip() for c in source_notebook(name).cells if not c.metadata.nbgrader.solution
              for line in without_hidden(c.source).splitlines()}  # fmt: skip
    assert leaked - public == set()
    assert all(cell.get("outputs", []) == [] for cell in notebook.cells)


@pytest.mark.parametrize("name", names())
def test_the_release_has_stubs_checks_and_target_figures(name):
    notebook = released(name)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        about = cell.metadata.nbgrader
        assert about.grade_id
        if about.solution and cell.cell_type == "code":
            assert cell.source.endswith("raise NotImplementedError")
        if about.solution and cell.cell_type == "markdown":
            assert cell.source == "*Your answer*"
    assert [grade_id(cell) for cell in notebook.cells] == [grade_id(cell) for cell in source_notebook(name).cells]
    targets = [cell for cell in notebook.cells if "attachment:" in cell.source]
    assert targets and all(cell.attachments for cell in targets)
    assert (RELEASES / f"{name}.ipynb").stat().st_size < 1e6


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    pytest.importorskip("nbgrader")
    from build_assignments import CONFIG

    from spmat_nb.grading.course import Course

    return Course(tmp_path_factory.mktemp("course") / "course", CONFIG)


@pytest.mark.filterwarnings("ignore")  # of nbgrader and what it brings
@pytest.mark.parametrize("name", names())
def test_the_release_is_what_its_source_makes(course, name):
    made, kept = nbformat.read(release(course, name, fresh=False), as_version=4), released(name)
    assert [cell.source for cell in made.cells] == [cell.source for cell in kept.cells]
    assert [cell.metadata for cell in made.cells] == [cell.metadata for cell in kept.cells]


def test_a_target_is_the_figure_of_its_run_cell():
    notebook = source_notebook("a2_gndn")
    wanted = [cell for cell in notebook.cells if "target" in cell.metadata]
    add_targets(notebook, "a2_gndn", fresh=False)
    runs = {grade_id(cell) for cell in notebook.cells}
    assert wanted and all(set(cell.attachments) <= {f"{run}.png" for run in runs} for cell in wanted)


def test_solutions_are_known_by_the_names_that_checks_use():
    for name in names():
        for answer, source in solutions(name).items():
            assert answer == "report" or f"def {answer}(" in source
