"""Notebooks are those of their sources, small, clean and about named data."""

import base64
import sys
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from build_notebooks import NOTEBOOKS, SOURCES, read_source, with_a_palette  # noqa: E402

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


def png(draw, **options):
    """A figure in base64, as a notebook has it."""
    fig, ax = plt.subplots(figsize=(3, 2))
    draw(ax)
    buffer = BytesIO()
    fig.savefig(buffer, format="png", **options)
    plt.close(fig)
    return base64.b64encode(buffer.getvalue()).decode()


def pixels(picture):
    return np.asarray(Image.open(BytesIO(base64.b64decode(picture))).convert("RGB"), dtype=int)


def test_a_line_figure_is_packed_and_looks_the_same():
    before = png(lambda ax: ax.plot(np.arange(9) % 4, label="a line") and ax.legend())
    after = with_a_palette(before)
    assert len(after) < 0.6 * len(before) and np.abs(pixels(after) - pixels(before)).mean() < 0.1
    assert with_a_palette(after) == after, "the next build changes nothing"


def test_pictures_of_many_colours_and_transparent_ones_stay():
    noise = np.random.default_rng(0).random((90, 90, 3))
    for picture in (png(lambda ax: ax.imshow(noise)), png(lambda ax: ax.plot([1, 2]), transparent=True)):
        assert with_a_palette(picture) == picture
