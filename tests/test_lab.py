"""Lessons and widgets in a real JupyterLab: run, chosen, pressed, dragged and clicked; nothing leaves the machine."""

import importlib.util
import re
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from lab import CHROMIUM, laboratory, without_outputs

from spmat_nb.explorer import LIMIT
from spmat_nb.models import load_pretrained

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "runs" / "lab"  # not in git
LESSONS = ("05_pretraining", "06_embeddings")
FLUID = 2.0  # seconds from a click to the new card, at most; 0.1 to 0.3 were measured on a busy machine
CELLS = (
    """
    import numpy as np, pandas as pd
    from spmat_nb import crystals, widgets
    everything = crystals.load("teaching")
    numbers = np.random.default_rng(0).normal(size=(len(everything), 16))
    """,
    "widgets.GndnSlider(everything.sample(4, seed=0))",
    """
    embeddings = {"random numbers": pd.DataFrame(numbers, index=everything.table.index)}
    widgets.EmbeddingExplorer(everything, embeddings, folder="saved")
    """,
    'widgets.StudyExplorer(study="teaching")',
)

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="Playwright is not installed"),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab on copies of two lessons and a small notebook with the widgets at their largest."""
    folder = tmp_path_factory.mktemp("lab")
    for name in LESSONS:
        without_outputs(ROOT / "notebooks" / f"{name}.ipynb", folder)
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    cells = [nbformat.v4.new_code_cell("\n".join(line.strip() for line in cell.strip().splitlines())) for cell in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "widgets.ipynb")
    PICTURES.mkdir(parents=True, exist_ok=True)
    environment = {"OMP_NUM_THREADS": "1", "SPMAT_PRESET": "fast", "SPMAT_RUNS_DIR": str(folder / "runs")}
    with laboratory(folder, PICTURES, environment=environment) as running:
        yield running


@contextmanager
def executed(lab, name):
    """A notebook after all its cells have run; at the end nothing has gone wrong and nothing left the machine."""
    with lab.browser() as browser:
        notebook = browser.open(f"{name}.ipynb")
        notebook.run_all()
        yield notebook
        assert notebook.errors() == []
        assert browser.outside() == [] and browser.complaints == []


def until_new_figure(notebook, widget, act):
    """Do something, and wait until the picture in a widget is another."""
    before = notebook.figure(widget)
    act()
    notebook.until(lambda: notebook.figure(widget) != before, f"new figure in {widget}")


def choose_loss_and_label(notebook):
    """The figure follows both; the label is off for a loss without one."""
    label = notebook.control("picker", "Label").locator("select")
    until_new_figure(notebook, "picker", lambda: notebook.choose("picker", "Loss", "SimCLR"))
    notebook.until(label.is_disabled, "label that is off for a loss without one")
    until_new_figure(notebook, "picker", lambda: notebook.choose("picker", "Loss", "Supervised SimCLR"))
    notebook.until(label.is_enabled, "label that is on for a supervised loss")
    until_new_figure(notebook, "picker", lambda: notebook.choose("picker", "Label", "Metal or not"))


def start_and_stop(notebook):
    """Start a run, see it drawn, stop it; returns the folder that it says it saved."""
    notebook.write("picker", "Epochs", 500)  # more than there is time for
    notebook.press("picker", "Start")
    notebook.until(lambda: " epochs done" in notebook.words("picker"), "finished epoch")
    until_new_figure(notebook, "picker", lambda: None)
    notebook.picture("picker_running", notebook.widget("picker"))
    notebook.press("picker", "Stop")
    notebook.until(lambda: "Stopped after" in notebook.words("picker"), "end of the run")
    notebook.until(notebook.control("picker", "Loss").locator("select").is_enabled, "list of losses that is on")
    notebook.picture("picker_stopped", notebook.widget("picker"))
    return notebook.words("picker").split("Saved in ")[1].splitlines()[0].rstrip(".")


def test_in_notebook_05_a_run_is_chosen_started_and_stopped(lab):
    with executed(lab, "05_pretraining") as notebook:
        choose_loss_and_label(notebook)
        saved = start_and_stop(notebook)
    model = load_pretrained(lab.root / saved)
    assert (model.settings.loss, model.settings.label) == ("sup_simclr", "is_metal")
    assert 1 <= len(model.history) < 500


def card_of(notebook):
    return notebook.widget("explorer").locator(".spmat-card")


def click_and_look(notebook, number):
    """Click a point: crystal and card change; returns the seconds until the card did."""
    card, crystal = card_of(notebook), notebook.widget("explorer").locator(".chemiscope-structure")
    before, picture = card.inner_text(), crystal.screenshot()
    begun = notebook.click_point(number)
    notebook.until(lambda: card.inner_text() != before, "new card after a click")
    seconds = time.monotonic() - begun
    notebook.until(lambda: crystal.screenshot() != picture, "new crystal after a click")
    return seconds


def until_moved(notebook, act):
    """Do something, and wait until the points of the map are elsewhere."""
    before = notebook.map_points()
    act()
    notebook.until(lambda: notebook.map_points() != before, "another map")


def passing(notebook):
    """How many crystals pass the filter, in the words of the explorer."""
    found = re.search("([0-9,]+) of [0-9,]+ crystals of .* pass the filter", notebook.words("explorer"))
    return found and found[1]


def filter_and_follow(notebook):
    """Crystals by element and class, then the card of a neighbour."""
    acts = {
        "elements": lambda: notebook.write_into("explorer", "elements", "O F"),
        "any": lambda: notebook.choose_one_of("explorer", "with any of"),
        "class": lambda: notebook.press("explorer", "narrow ("),
    }
    for name, act in acts.items():
        before = passing(notebook)
        act()
        notebook.until(lambda before=before: passing(notebook) not in (None, before), f"new count for {name}")
    button = notebook.widget("explorer").locator(".spmat-go").first
    formula = button.inner_text().split(" · ")[0]
    button.click()
    notebook.until(lambda: card_of(notebook).inner_text().splitlines()[0] == formula, "card of the neighbour")


def test_in_notebook_06_a_click_shows_crystal_and_card(lab):
    with executed(lab, "06_embeddings") as notebook:
        for number in (4, 9):
            click_and_look(notebook, number)
        notebook.picture("explorer_clicked", notebook.widget("explorer"))
        selected = card_of(notebook).inner_text().splitlines()[0]
        until_moved(notebook, lambda: notebook.choose("explorer", "Embedding", "random"))
        notebook.choose("explorer", "Colour", "Density (g/cm³)")
        notebook.until(lambda: notebook.widget("explorer").locator(".noUi-handle").count() > 1, "slider for densities")
        assert card_of(notebook).inner_text().splitlines()[0] == selected, "the selected crystal stays"
        notebook.choose("explorer", "Colour", "Gap class")
        notebook.until(lambda: notebook.widget("explorer").locator(".noUi-handle").count() < 2, "buttons for classes")
        filter_and_follow(notebook)
        notebook.picture("explorer_filtered", notebook.widget("explorer"))


def move_the_slider(notebook):
    """The figure changes, the edges stay."""
    until_new_figure(notebook, "gndn", lambda: notebook.slide("gndn", "δ (Å)", 3))
    notebook.until(lambda: "0.65" in notebook.words("gndn"), "delta of 0.65 A")
    until_new_figure(notebook, "gndn", lambda: notebook.press("gndn", "New noise"))
    assert "who is whose neighbour is unchanged" in notebook.words("gndn")
    notebook.picture("slider", notebook.widget("gndn"))


def read_a_study(notebook):
    """Another target, reference and study, and some arms of it."""
    for name, option in {"Target": "Density", "Reference": "Barlow Twins, GNDN", "Study": "mp33k"}.items():
        until_new_figure(notebook, "study", lambda name=name, option=option: notebook.choose("study", name, option))
    arms = ["SPMat-BT, gap_class", "Classification, gap_class"]
    until_new_figure(notebook, "study", lambda: notebook.choose("study", "Arms", arms))
    assert "Does it help on real crystals" in notebook.words("study")
    notebook.picture("study", notebook.widget("study"))


def test_the_slider_moves_and_thousands_of_points_stay_fluid(lab):
    with executed(lab, "widgets") as notebook:
        move_the_slider(notebook)
        read_a_study(notebook)
        assert len(notebook.map_points()) == LIMIT
        assert f"{LIMIT:,} of 8,960 crystals are on the map" in notebook.words("explorer")
        seconds = [click_and_look(notebook, number) for number in (10, 200, 3000)]
        notebook.picture("explorer_large", notebook.widget("explorer"))
        notebook.press("explorer", "Save page")
        notebook.until(lambda: "explorer.html" in notebook.words("explorer"), "saved page")
    print("seconds to a new card:", *(f"{s:.2f}" for s in seconds))
    assert max(seconds) < FLUID
    assert (lab.root / "saved" / "explorer.html").stat().st_size > 6e6
