"""The page of `make run` in a real browser: complete, readable and offline."""

import sys
from pathlib import Path

import nbformat
import pytest
from lab import saved_page

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))


@pytest.fixture
def page(tmp_path):
    from run_main_job import to_page

    notebook = nbformat.read(ROOT / "notebooks" / "00_start_here.ipynb", as_version=4)
    to_page(notebook, tmp_path / "index.html")
    with saved_page(tmp_path / "index.html") as opened:
        yield opened


def test_page_needs_no_network_and_shows_every_figure(page):
    outside = [url for url in page.requested if not url.startswith(("file:", "data:", "blob:"))]
    assert outside == []
    assert page.complaints == []
    widths = page.eval_on_selector_all("img", "images => images.map(image => image.naturalWidth)")
    assert len(widths) >= 6
    assert min(widths) > 300


def test_answers_are_folded_until_asked_for(page):
    answer = page.locator("details").first
    hidden = answer.locator("p").first
    assert not hidden.is_visible()
    answer.locator("summary").click()
    assert hidden.is_visible()
