"""The site to read without running: complete, linked, searchable, offline."""

import re
import sys
from pathlib import Path

import pytest
from lab import saved_page

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from build_site import build  # noqa: E402

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "site"
    build(folder)
    return folder


def test_there_is_a_page_a_notebook_and_every_link_leads_somewhere(site):
    assert {path.stem for path in site.glob("[0-9]*.html")} == {path.stem for path in NOTEBOOKS}
    for page in site.glob("*.html"):
        links = re.findall(r'(?:href|src)="([^"#:]+?\.(?:html|css|js))(?:#[^"]*)?"', page.read_text())
        assert links and [link for link in links if not (site / link).is_file()] == []


def test_pages_name_no_path_of_the_machine(site):
    assert [page.name for page in site.iterdir() if str(ROOT) in page.read_text()] == []


def test_a_reader_searches_and_turns_pages_without_a_network(site):
    with saved_page(site / "index.html") as page:
        page.fill("#search", "effective_rank")
        first = page.locator("#found a").first
        place = first.get_attribute("href")
        first.click()
        page.wait_for_url(f"**/{place}")
        assert min(page.eval_on_selector_all("main img", "images => images.map(i => i.naturalWidth)")) > 300
        page.fill("#search", "zzzz")
        assert page.locator("#found").inner_text() == "Nothing found."
        page.keyboard.press("Escape")
        assert not page.locator("#found").is_visible()
    assert [url for url in page.requested if not url.startswith(("file:", "data:"))] == [] and page.complaints == []
