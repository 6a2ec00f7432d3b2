"""The site to read without running: complete, linked, searchable, offline."""

import re
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from build_site import build  # noqa: E402

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]


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
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page, requested, complaints = browser.new_page(), [], []
        page.on("request", lambda request: requested.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto((site / "index.html").as_uri())
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
        browser.close()
    assert [url for url in requested if not url.startswith(("file:", "data:"))] == [] and complaints == []
