"""Drive JupyterLab as a reader would: a server of its own on a free loopback port, headless Chromium, pictures kept.

with laboratory(folder) as lab, lab.browser() as browser:
    notebook = browser.open("lesson.ipynb")
    notebook.run_all()
    notebook.picture("done")
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--enable-unsafe-swiftshader",
    "--use-angle=swiftshader",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
TOKEN = "reader"
PATIENCE = 60  # seconds for anything to appear
RUN_LIMIT = 300  # seconds for all cells of a notebook
PAUSE = 5  # seconds in which a cell has begun, or Run is pressed again
SETTINGS = {  # no pop-up about news, no check for updates
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "docmanager-extension/plugin": {"autosave": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight stay on the page
}
# A code cell is done when it has a number, or nothing to run.
ALL_DONE = """() => {
  const cells = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')];
  const number = cell => /\\[\\d+\\]/.test(cell.querySelector('.jp-InputPrompt')?.textContent || '');
  return cells.length > 0 && cells.every(number);
}"""
# A run has begun when its first cell has; pressed too early, Run has been seen to run the last cell alone.
BEGUN = """() => /\\[(\\d+|\\*)\\]/.test(
  document.querySelector('.jp-Notebook .jp-CodeCell .jp-InputPrompt')?.textContent || '')"""
IDLE = """() => [...document.querySelectorAll('.jp-Notebook-ExecutionIndicator')]
  .some(mark => mark.dataset.status === 'idle')"""
# Pixels of the points of the first map (chemiscope draws with plotly inside shadow roots).
MAP_POINTS = """() => {
  const plots = [];
  const walk = node => {
    if (node.classList?.contains('js-plotly-plot') && node._fullLayout?.xaxis) plots.push(node);
    if (node.shadowRoot) [...node.shadowRoot.children].forEach(walk);
    [...(node.children || [])].forEach(walk);
  };
  walk(document.body);
  if (!plots.length || !plots[0].data[0].x) return null;
  const {xaxis, yaxis} = plots[0]._fullLayout, box = plots[0].getBoundingClientRect(), trace = plots[0].data[0];
  return Array.from(trace.x).map((x, i) =>
    [box.x + xaxis._offset + xaxis.l2p(x), box.y + yaxis._offset + yaxis.l2p(trace.y[i])]);
}"""


@contextmanager
def saved_page(path, size=(1200, 900)):
    """A file in a browser without a server; `requested` and `complaints` of the page say what it did."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.requested, page.complaints = [], []
        page.on("request", lambda request: page.requested.append(request.url))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(Path(path).as_uri())
        yield page
        browser.close()


@dataclass
class Lab:
    """A running JupyterLab.

    Attributes:
        address: of the server.
        root: folder of the notebooks.
        pictures: folder for screenshots.
    """

    address: str
    root: Path
    pictures: Path

    @contextmanager
    def browser(self, size=(1300, 1200)):
        """A window in a new browser; everything that it asks for is noted."""
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            context = chromium.new_context(viewport={"width": size[0], "height": size[1]})
            window = Browser(self, context.new_page())
            context.on("request", lambda request: window.requested.append(request.url))
            window.page.on("pageerror", lambda error: window.complaints.append(str(error)))
            try:
                yield window
            finally:
                chromium.close()


@dataclass
class Browser:
    """One window.

    Attributes:
        lab: that it looks at.
        page: of Playwright.
        requested: every address that was asked for.
        complaints: errors of scripts that nothing caught.
    """

    lab: Lab
    page: object
    requested: list = field(default_factory=list)
    complaints: list = field(default_factory=list)

    def outside(self):
        """Requests that left the machine."""
        own = (self.lab.address, self.lab.address.replace("http", "ws"), "data:", "blob:", "file:")
        return sorted({url for url in self.requested if not url.startswith(own)})

    def open(self, name):
        """A notebook of the server's folder, when its kernel is ready."""
        self.page.goto(f"{self.lab.address}/lab/tree/{name}?token={TOKEN}&reset")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=1000 * PATIENCE)
        self.page.wait_for_function(IDLE, timeout=1000 * PATIENCE)
        return Notebook(self)


@dataclass
class Notebook:
    """An open notebook."""

    browser: Browser

    @property
    def page(self):
        """The page of Playwright."""
        return self.browser.page

    def run_all(self, limit=RUN_LIMIT):
        """Run all cells and wait until each has a number; the notebook must have none from before."""
        end, pressed = time.monotonic() + limit, 0.0
        while not self.page.evaluate(ALL_DONE):
            dialog = self.page.locator(".jp-Dialog button.jp-mod-accept")
            if dialog.count():
                dialog.first.click()  # asks for a kernel if Run came before the session was ready, and forgets to run
            elif time.monotonic() - pressed > PAUSE and not self.page.evaluate(BEGUN):
                self._choose_from_menu("Run", "Run All Cells")
                pressed = time.monotonic()
            elif time.monotonic() > end:
                self.picture("not_done")
                raise TimeoutError(f"Not all cells ran within {limit} s.")
            time.sleep(0.2)

    def _choose_from_menu(self, *names):
        for name in names:
            self.page.get_by_role("menuitem", name=name, exact=True).click()

    def errors(self):
        """What cells wrote on stderr or raised."""
        kinds = ("vnd.jupyter.stderr", "vnd.jupyter.error")
        found = self.page.locator(",".join(f'[data-mime-type="application/{kind}"]' for kind in kinds))
        return found.all_inner_texts()

    def widget(self, name):
        """The widget whose box has the class `spmat-NAME`, in view."""
        box = self.page.locator(f".spmat-{name}").first
        box.scroll_into_view_if_needed(timeout=1000 * PATIENCE)
        return box

    def control(self, widget, name):
        """The row of a control of a widget by the name on its left."""
        own = self.page.locator("label", has_text=re.compile(f"^{re.escape(name)}$"))
        return self.widget(widget).locator(".jupyter-widgets.widget-inline-hbox", has=own).first

    def choose(self, widget, name, option):
        """Choose an option of a list by its words, or several."""
        self.control(widget, name).locator("select").select_option(label=option)

    def choose_one_of(self, widget, option):
        """Choose an option by its words in a list without a name."""
        own = self.page.locator("option", has_text=option)
        self.widget(widget).locator("select", has=own).first.select_option(label=option)

    def write(self, widget, name, value):
        """Write a number into a field."""
        field = self.control(widget, name).locator("input")
        field.fill(str(value))
        field.press("Tab")

    def slide(self, widget, name, steps):
        """Move a slider by so many steps, with the keyboard."""
        handle = self.control(widget, name).locator(".noUi-handle").first
        handle.focus()
        for _ in range(abs(steps)):
            handle.press("ArrowRight" if steps > 0 else "ArrowLeft")

    def write_into(self, widget, hint, words):
        """Write into the field with a hint, and press Enter."""
        field = self.widget(widget).get_by_placeholder(hint)
        field.fill("")
        field.press_sequentially(words)
        field.press("Enter")

    def press(self, widget, words):
        """Press a button by the words on it."""
        self.widget(widget).get_by_role("button", name=words).first.click()

    def figure(self, widget):
        """The address of the picture in a widget; another one whenever it was drawn anew."""
        return self.widget(widget).locator("img").first.get_attribute("src")

    def words(self, widget):
        """All text of a widget."""
        return self.widget(widget).inner_text()

    def picture(self, name, of=None):
        """Keep a picture of the window, or of one element scrolled into view."""
        path = self.browser.lab.pictures / f"{name}.png"
        (of or self.page).screenshot(path=str(path))
        return path

    def map_points(self):
        """Where on the page the points of the explorer's map are, once it is drawn."""
        return self.until(lambda: self.page.evaluate(MAP_POINTS), "a map with points")

    def click_point(self, number):
        """Click a point of the explorer's map; returns when the button went down."""
        x, y = self.map_points()[number]
        self.page.mouse.move(x, y)
        time.sleep(0.5)  # the map looks for the nearest point when the mouse rests
        begun = time.monotonic()
        self.page.mouse.click(x, y)
        return begun

    def until(self, condition, what, limit=PATIENCE):
        """The first true value of a condition."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.1)
        raise TimeoutError(f"There was no {what} within {limit} s.")


def without_outputs(source, folder):
    """Copy a notebook as it was before anybody ran it; a number in front of a cell then says that it has run."""
    notebook = nbformat.read(source, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.update(outputs=[], execution_count=None)
    nbformat.write(notebook, folder / source.name)


def write_settings(folder, dark):
    """Settings of JupyterLab as a person would have made them."""
    theme = {"apputils-extension/themes": {"theme": f"JupyterLab {'Dark' if dark else 'Light'}"}}
    for name, values in (SETTINGS | theme).items():
        path = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))


def start_server(root, own, environment):
    """JupyterLab with its own settings, data and workspace folders."""
    places = {
        "JUPYTERLAB_SETTINGS_DIR": own / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": own / "workspaces",
        "JUPYTER_CONFIG_DIR": own / "config",
        "JUPYTER_DATA_DIR": own / "data",
        "JUPYTER_RUNTIME_DIR": own / "runtime",
        "IPYTHONDIR": own / "ipython",
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    options = [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={root}", "--ServerApp.port_retries=50"]
    with (own / "server.log").open("w") as log:
        return subprocess.Popen(
            [*command, *options],
            env=os.environ | {name: str(path) for name, path in places.items()} | environment,
            stdout=log,
            stderr=log,
        )


def address_of(server, own):
    """Where a server listens, once it answers; it takes the next port if others have the first."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if server.poll() is not None:
            raise RuntimeError(f"JupyterLab ended with status {server.returncode}:\n{(own / 'server.log').read_text()}")
        try:
            port = json.loads(next((own / "runtime").glob("jpserver-*.json")).read_text())["port"]
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token={TOKEN}", timeout=1).close()
            return f"http://127.0.0.1:{port}"
        except (StopIteration, ValueError, OSError):  # not yet written, half written, not yet listening
            time.sleep(0.2)
    raise TimeoutError("JupyterLab did not start.")


@contextmanager
def laboratory(root, pictures, dark=False, environment=None):
    """JupyterLab on the notebooks of a folder.

    Args:
        root: the folder.
        pictures: folder for screenshots.
        dark: the dark theme.
        environment: variables that the server and its kernels get.
    """
    own = Path(tempfile.mkdtemp(prefix="lab-"))
    write_settings(own / "settings", dark)
    server = start_server(root, own, environment or {})
    try:
        yield Lab(address_of(server, own), Path(root), Path(pictures))
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(own, ignore_errors=True)
