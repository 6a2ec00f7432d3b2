"""Notebooks are those of their sources, small, clean and about named data."""

import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from build_notebooks import NOTEBOOKS, SOURCES, read_source  # noqa: E402

NAMES = sorted(path.stem for path in SOURCES.glob("*.py"))


def cells_of(notebook):
    return [(cell["id"], cell.cell_type, cell.source) for cell in notebook.cells]


@pytest.fixture(params=NAMES)
def notebook(request):
    return nbformat.read(NOTEBOOKS / f"{request.param}.ipynb", as_version=4), SOURCES / f"{request.param}.py"


def test_there_is_a_source_for_each_notebook():
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == NAMES


def test_cells_are_those_of_the_source(notebook):
    built, source = notebook
    assert cells_of(built) == cells_of(read_source(source))


def test_it_is_valid_small_and_executed(notebook):
    built, source = notebook
    nbformat.validate(built)
    assert (NOTEBOOKS / f"{source.stem}.ipynb").stat().st_size < 1e6
    code = [cell for cell in built.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


def test_outputs_have_no_errors_warnings_addresses_or_paths_of_a_machine(notebook):
    for cell in notebook[0].cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.get("text")
            text = str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", ""))
            assert " at 0x" not in text
            assert "/home/" not in text
            assert str(ROOT) not in text


def test_cells_are_short_and_half_of_them_prose(notebook):
    cells = notebook[0].cells
    assert 25 <= len(cells) <= 45
    prose = sum(cell.cell_type == "markdown" for cell in cells)
    assert prose >= 0.4 * len(cells)
    assert max(len(cell.source.splitlines()) for cell in cells if cell.cell_type == "code") <= 25
