import json
import re
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from chemiscope import create_input
from lab import MAP_POINTS, saved_page
from sklearn.neighbors import NearestNeighbors

from spmat_nb import explorer_scope as scope
from spmat_nb.diagnostics import standardise
from spmat_nb.errors import InputError, SettingsError
from spmat_nb.explorer import ExplorerState
from spmat_nb.explorer_colours import colours_of
from spmat_nb.explorer_figure import draw
from spmat_nb.explorer_page import save_page
from spmat_nb.explorer_points import sample_rows, short_symbol
from spmat_nb.labels import label_classes
from spmat_nb.plots import GREY
from spmat_nb.plots_live import to_png
from spmat_nb.vocabulary import COLOURS, TARGETS
from spmat_nb.widgets import EmbeddingExplorer


def embeddings_of(crystals, seed):
    values = np.random.default_rng(seed).normal(size=(len(crystals), 8)) * np.arange(1, 9)
    return pd.DataFrame(values, index=crystals.table.index)


@pytest.fixture(scope="module")
def runs(tiny):
    return {name: embeddings_of(tiny, seed) for seed, name in enumerate(("supervised", "random"))}


@pytest.fixture(scope="module")
def predictions(tiny):
    known = tiny.table["band_gap"].iloc[:20]
    return {"band_gap": pd.DataFrame({"true": known, "predicted": known + 0.5})}


@pytest.fixture
def state(tiny, runs, predictions):
    return ExplorerState(tiny, runs, predictions=predictions)


@pytest.fixture
def explorer(tiny, runs, predictions, tmp_path):
    return EmbeddingExplorer(tiny, runs, folder=tmp_path / "saved", predictions=predictions)


def has(cell, *symbols):
    return set(symbols) <= {site.specie.symbol for site in cell.structure()}


# The state ----------------------------------------------------------------------------------------------------------


def test_all_crystals_are_on_the_map_and_the_first_is_selected(state, tiny):
    assert state.points == list(tiny.table.index) and len(state) == len(tiny)
    assert state.selected == state.points[0] and state.note == "" and state.shown.all()
    assert state.message == f"{len(tiny)} crystals of the teaching set."


def test_maps_are_made_or_taken_as_they_are(tiny, runs):
    own = pd.DataFrame({"x": np.arange(len(tiny)), "y": 1.0}, index=tiny.table.index[::-1])
    state = ExplorerState(tiny, runs, coordinates={"random": own})
    assert (state.runs["supervised"].axes, state.runs["random"].axes) == ("PCA", "map")
    state.show_run("random")
    assert state.coordinates[0].tolist() == [len(tiny) - 1, 1.0], "rows are found by id"
    with pytest.raises(InputError, match="coordinates lack 1 crystals"):
        ExplorerState(tiny, runs, coordinates={"random": own.iloc[1:]})


def test_a_run_must_have_every_crystal(tiny, runs):
    with pytest.raises(InputError, match=r"'few' has no embedding of 2 crystals, first"):
        ExplorerState(tiny, {"few": runs["random"].iloc[2:]})
    with pytest.raises(InputError, match="at least two crystals and one table"):
        ExplorerState(tiny, {})


@pytest.mark.parametrize("limit", [20, 45])
def test_a_sample_keeps_the_shares_of_the_classes_and_says_so(tiny, runs, limit):
    state = ExplorerState(tiny, runs, labels=["gap_class"], limit=limit, seed=3)
    assert len(state) == limit < len(tiny)
    assert state.note == f"{limit} of 60 crystals are on the map, drawn at random (seed 3), in proportion to gap class."
    classes = pd.Series(label_classes(tiny.table, "gap_class"))
    shares = classes.value_counts(normalize=True).sort_index()
    kept = pd.Series(label_classes(state.crystals.table, "gap_class")).value_counts().sort_index()
    assert (kept - limit * shares).abs().max() <= 1
    assert state.points == ExplorerState(tiny, runs, labels=["gap_class"], limit=limit, seed=3).points
    assert state.points != ExplorerState(tiny, runs, labels=["gap_class"], limit=limit, seed=4).points


def test_a_sample_has_every_class(tiny):
    colour = colours_of(tiny, ["gap_class"], {}, 0)["gap_class"]
    rare = colour.at(np.argsort(colour.numbers, kind="stable"))
    rare.numbers[:] = 0
    rare.numbers[7] = 1
    rows, _ = sample_rows(tiny, rare, 5, seed=0)
    assert 7 in rows and len(rows) == 5


@pytest.mark.parametrize("limit", [1000, 25])
def test_neighbours_are_the_nearest_of_all_crystals(tiny, runs, limit):
    state = ExplorerState(tiny, runs, limit=limit)
    search = NearestNeighbors(n_neighbors=7).fit(standardise(runs["random"].to_numpy()))
    state.show_run("random")
    for material_id in state.points[:10]:
        row = tiny.table.index.get_loc(material_id)
        distance, index = search.kneighbors(standardise(runs["random"].to_numpy())[[row]])
        found = state.neighbours(material_id)
        assert list(found.index) == list(tiny.table.index[index[0, 1:]])
        np.testing.assert_allclose(found["distance"], distance[0, 1:])
        assert found["formula"].tolist() == tiny.table["formula"].iloc[index[0, 1:]].tolist()
        assert found["on_map"].tolist() == [i in state.points for i in found.index]
        assert all((words == "") is not there for words, there in zip(found["colour"], found["on_map"], strict=True))


def test_neighbours_of_many_are_those_of_each(state):
    rows, distances = state.nearest(np.arange(len(state)), 4)
    for number, material_id in enumerate(state.points):
        one = state.neighbours(material_id, 4)
        assert [state.points[row] for row in rows[number]] == list(one.index)
        np.testing.assert_allclose(distances[number], one["distance"])


def test_everything_can_be_the_colour(state, tiny):
    labels = ["gap_class", "is_metal", "is_magnetic", "magnetic_class", "is_stable", "crystal_system", "family"]
    wanted = [*labels, "gap_x_magnetic", *TARGETS, "predicted band_gap", "error band_gap"]
    assert list(state.colours) == wanted
    for key in wanted:
        state.colour_by(key)
        assert state.colour.key == key and len(state.colour.numbers) == len(tiny)
    with pytest.raises(SettingsError, match="Unknown colour 'taste'"):
        state.colour_by("taste")


def test_predictions_and_errors_are_those_given(state, tiny):
    predicted, error = state.colours["predicted band_gap"], state.colours["error band_gap"]
    np.testing.assert_allclose(predicted.numbers[:20], tiny.table["band_gap"].iloc[:20] + 0.5, rtol=1e-6)
    np.testing.assert_allclose(error.numbers[:20], 0.5, rtol=1e-5)
    assert np.isnan(error.numbers[20:]).all() and error.words(30) == "not known"
    assert error.words(0) == "0.5 eV" and error.axis == "Band gap, error (eV)"
    assert replace(error, numbers=-error.numbers).words(0) == "−0.5 eV"


def test_bad_predictions_and_labels_are_refused(tiny, runs):
    with pytest.raises(InputError, match="lack the column 'true'"):
        ExplorerState(tiny, runs, predictions={"band_gap": pd.DataFrame({"predicted": [1.0]})})
    with pytest.raises(InputError, match="more than a map can tell apart"):
        ExplorerState(tiny, runs, labels=["crossed:crystal_system,family"])
    bare = tiny.select(np.arange(6))
    bare = type(bare)(bare.table[["formula", "nsites", "split"]], bare.cells, bare.report, bare.name)
    with pytest.raises(InputError, match="no label and no target"):
        ExplorerState(bare, {"a": embeddings_of(bare, 0)})


def test_a_legend_counts_each_class_in_its_colour(tiny):
    table = tiny.table.assign(gap_class=[None if i < 3 else c for i, c in enumerate(tiny.table["gap_class"])])
    colour = colours_of(type(tiny)(table, tiny.cells, tiny.report, "x"), ["gap_class"], {}, 0)["gap_class"]
    legend = colour.legend()
    assert sum(count for *_, count in legend) == len(tiny)
    assert legend[-1] == ("not known", GREY, 3)
    assert dict((name, hue) for name, hue, _ in legend)["wide"] == COLOURS[2]


@pytest.mark.parametrize("every", [True, False])
def test_the_filter_by_elements(state, tiny, every):
    pair = sorted({site.specie.symbol for site in tiny.structures[1]})[:2]
    state.show_only(elements=pair, every=every)
    wanted = [has(c, *pair) if every else any(has(c, symbol) for symbol in pair) for c in tiny.cells]
    assert state.shown.tolist() == wanted and any(wanted)
    assert state.message.startswith(f"{sum(wanted)} of 60 crystals of the teaching set pass the filter")


def test_the_filter_by_classes_and_values(state, tiny):
    state.show_only(classes=["narrow", "wide"])
    assert state.shown.tolist() == tiny.table["gap_class"].isin(["narrow", "wide"]).tolist()
    state.colour_by("density")
    assert state.shown.all(), "another colour shows every class again"
    state.show_only(low=3.0, high=6.0)
    assert state.shown.tolist() == tiny.table["density"].between(3, 6).tolist()
    state.show_only(["O"])
    state.colour_by("gap_class")
    assert state.filter.elements == {"O"}, "but elements stay"
    state.show_only()
    assert state.shown.all()


def test_crystals_of_no_known_class_can_be_asked_for(tiny, runs):
    table = tiny.table.assign(gap_class=[None if i < 3 else c for i, c in enumerate(tiny.table["gap_class"])])
    state = ExplorerState(type(tiny)(table, tiny.cells, tiny.report, tiny.name), runs, labels=["gap_class"])
    state.show_only(classes=["not known"])
    assert np.flatnonzero(state.shown).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"elements": ["Xx"]}, "Unknown element 'Xx'"),
        ({"classes": ["blue"]}, "Unknown class 'blue'"),
        ({"low": 1.0}, "Colour the map by a number"),
    ],
    ids=["element", "class", "range"],
)
def test_a_filter_that_cannot_be_is_refused(state, wanted, words):
    with pytest.raises(SettingsError, match=words):
        state.show_only(**wanted)
    assert state.shown.all()


def test_the_selection_is_what_was_kept_or_what_is_shown(state, tiny):
    state.show_only(elements=["O"])
    table = state.selection()
    assert list(table.index) == list(tiny.table.index[state.shown]) and len(table) > 1
    assert set(tiny.table.columns) | {"map_x", "map_y", "colour"} == set(table.columns)
    for material_id in (state.points[5], state.points[2], state.points[5]):
        state.select(material_id)
        state.keep()
    kept = state.selection()
    assert list(kept.index) == [state.points[5], state.points[2]] and "2 kept" in state.message
    np.testing.assert_allclose(kept[["map_x", "map_y"]], state.coordinates[[5, 2]])
    assert kept["colour"].tolist() == tiny.table["gap_class"].iloc[[5, 2]].tolist()
    state.clear()
    assert len(state.selection()) == len(table)
    with pytest.raises(InputError, match="not on this map"):
        state.select("nothing")


def test_listeners_hear_what_changed(state):
    heard = []
    state.listeners.append(heard.append)
    for act in (
        lambda: state.show_run("random"),
        lambda: state.colour_by("density"),
        lambda: state.show_only(["O"]),
        lambda: state.select(state.points[3]),
        lambda: state.select(state.points[3]),
        state.keep,
    ):
        act()
        heard.append("|")
    said = " ".join(heard)
    assert said == "map card | map card selection | map selection | card | | selection |"


def test_a_card_says_what_is_known(state, tiny):
    number = next(i for i, cell in enumerate(tiny.cells) if has(cell, "O"))
    card = state.card(state.points[number])
    rows, row = dict(card.rows), tiny.table.iloc[number]
    assert card.formula == row["formula"] and rows["Id"] == row.name
    assert rows["Space group"].endswith(f"({row['spacegroup_number']})")
    assert rows["Atoms in the cell"] == str(row["nsites"])
    assert rows["Gap class"] == row["gap_class"] and rows["Density"] == f"{row['density']:.3g} g/cm³"
    assert len(card.neighbours) == 6 and card.neighbours["distance"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("number", "symbol"), [(1, "P1"), (2, "P-1"), (4, "P2_1"), (5, "C2"), (14, "P2_1/c"), (15, "C2/c"), (225, "Fm-3m")]
)
def test_space_groups_have_the_short_symbols_of_tables(number, symbol):
    assert short_symbol(number) == symbol


def test_a_space_group_that_the_data_does_not_tell_is_determined(state, tiny, runs):
    bare = type(tiny)(tiny.table.drop(columns="spacegroup_number"), tiny.cells, tiny.report, tiny.name)
    other = ExplorerState(bare, runs)
    for material_id in state.points[:12]:
        assert dict(other.rows(material_id))["Space group"] == dict(state.rows(material_id))["Space group"]
    assert "Space group" not in dict(other.rows(state.points[0], with_symmetry=False))


@pytest.mark.parametrize("key", ["gap_class", "density", "error band_gap"])
def test_the_figure_shows_map_crystal_and_card(state, key):
    state.colour_by(key)
    state.show_only(elements=["O"])
    figure = draw(state)
    assert to_png(figure).startswith(b"\x89PNG")
    drawn = figure.axes[0].collections
    ring = drawn[-1].get_offsets()[0]
    np.testing.assert_allclose(ring, state.coordinates[state.number(state.selected)])
    assert len(drawn[0].get_offsets()) == (~state.shown).sum()
    assert sum(len(c.get_offsets()) for c in drawn[1:-1]) == state.shown.sum()
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert state.selected in texts and "teaching set" in figure.get_suptitle()


# For chemiscope -----------------------------------------------------------------------------------------------------


def test_a_cell_becomes_a_structure_of_chemiscope(tiny):
    for cell in tiny.cells[:10]:
        made, structure = scope.to_chemiscope(cell), cell.structure()
        assert made["names"] == [site.specie.symbol for site in structure] and made["size"] == len(structure)
        np.testing.assert_allclose(np.reshape(made["cell"], (3, 3)), structure.lattice.matrix, atol=1e-4)
        points = np.stack([made["x"], made["y"], made["z"]], axis=1)
        apart = structure.lattice.get_fractional_coords(points) - structure.frac_coords
        np.testing.assert_allclose(apart - apart.round(), 0, atol=1e-3)


def test_chemiscope_accepts_the_data_of_every_colour(state):
    for key in state.colours:
        state.colour_by(key)
        state.show_only(elements=["O"])
        order = scope.drawing_order(state)
        structures = [scope.to_chemiscope(state.crystals.cells[i]) for i in order]
        look = scope.settings(state, order)
        made = scope.dataset(state, structures, look, order)
        checked = create_input(structures, properties=made["properties"], settings=look, metadata=made["meta"])
        assert checked["properties"].keys() == made["properties"].keys()
        for name in ("x", "y", "color"):
            assert look["map"][name]["property"] in made["properties"]
        words = [p["values"] for p in made["properties"].values() if isinstance(p["values"][0], str)]
        assert all(len(set(values)) <= 20 for values in words), "chemiscope drops a property of more words"


def test_the_drawing_begins_with_one_of_each_class_in_order(state):
    order = scope.drawing_order(state)
    assert sorted(order) == list(range(len(state)))
    assert state.colour.names[order][:3].tolist() == ["none", "narrow", "wide"]
    made = scope.properties(state, order)
    markers = list(dict.fromkeys(made["Gap class, marker"]["values"]))
    assert [marker.split(" (")[0] for marker in markers] == ["none", "narrow", "wide"]
    assert scope.dressing(state, order)["legend"] == list(COLOURS[:3])
    assert made["Gap class"]["values"][:3] == [0.5, 1.5, 2.5], "the middles of the bins of the palette"


def test_what_the_filter_leaves_out_is_grey(state):
    order = scope.drawing_order(state)
    assert scope.settings(state, order)["map"]["color"]["select"] == {"mode": "all"}
    state.show_only(elements=["O"])
    chosen = scope.settings(state, order)["map"]["color"]["select"]
    assert chosen == {"mode": "category-gray", "category": "passes the filter/yes"}
    shown = scope.properties(state, order)["passes the filter"]["values"]
    assert [word == "yes" for word in shown] == state.shown[order].tolist()


def test_scales_fit_the_numbers(state):
    state.colour_by("density")
    numbers, look = state.colour.numbers, scope.settings(state, np.arange(len(state)))["map"]["color"]
    assert (look["min"], look["max"], look["palette"]) == (numbers.min(), numbers.max(), "cividis")
    state.colour_by("error band_gap")
    look = scope.settings(state, np.arange(len(state)))["map"]["color"]
    assert look["min"] == pytest.approx(-0.5) and look["max"] == pytest.approx(0.5) and look["palette"] == "bwr"


def test_scripts_are_quiet_and_have_our_palette():
    for script, palette in (scope.widget_script(), scope.page_script()):
        assert palette == "okabe-ito"
        assert script.count('"okabe-ito":[[0,') == 1
        assert scope.palette_colours().count("rgb(") == 2 * (len(COLOURS) + 1)
    widget = scope.widget_script()[0]
    assert widget.startswith('try { localStorage.setItem("plausible_ignore", "true")')
    assert len(re.findall("^export |;export ", widget, re.MULTILINE)) == 1
    assert widget.rstrip().endswith("export default { render: spmatRender };")
    assert "plausible" not in scope.page_script()[0]


def test_a_script_of_another_version_is_left_as_it_is():
    assert scope.with_palette("palettes={tab10:1}") == ("palettes={tab10:1}", "tab10")


# The view -----------------------------------------------------------------------------------------------------------


def on_map(explorer):
    return json.loads(explorer.map.scene["value"])


def test_every_option_of_the_lists_is_shown(explorer):
    for name in explorer.controls["run"].options:
        explorer.controls["run"].value = name
        assert explorer.state.run == name and name in on_map(explorer)["meta"]["name"]
    for _, key in explorer.controls["colour"].options:
        explorer.controls["colour"].value = key
        assert explorer.state.colour.key == key
        assert explorer.state.colour.title in on_map(explorer)["properties"]
        assert bool(explorer._slider) is not bool(explorer._class_buttons)


def test_structures_stay_in_python_until_they_are_asked_for(explorer, tiny):
    explorer.controls["colour"].value = "family"
    references = [s["data"] for s in on_map(explorer)["structures"]]
    assert len(set(references)) == len(tiny)
    for place in (0, 5, 30):
        structure = explorer.map._structures_cache[references[place]]
        assert structure == scope.to_chemiscope(tiny.cells[explorer.map._order[place]])
    assert "value" not in explorer.map.keys and "scene" in explorer.map.keys


def test_a_click_on_the_map_shows_the_card(explorer):
    for place in (7, 0, 59):
        explorer.map.selected_ids = {"structure": place, "atom": 0}
        number = int(explorer.map._order[place])
        assert explorer.state.selected == explorer.state.points[number]
        assert f">{explorer.state.selected}<" in explorer.card.value
    explorer.map.selected_ids = {}
    explorer.map.selected_ids = {"structure": 999}
    assert explorer.state.selected == explorer.state.points[number], "what is no point changes nothing"


def test_the_selected_crystal_stays_when_the_map_changes(explorer):
    explorer.map.selected_ids = {"structure": 11}
    chosen = explorer.state.selected
    for key in ("family", "density", "gap_class"):
        explorer.controls["colour"].value = key
        place = explorer.map.scene["selected"]
        assert explorer.state.points[explorer.map._order[place]] == chosen == explorer.state.selected
        assert explorer.map.selected_ids == {"structure": place}


def test_a_neighbour_can_be_gone_to(explorer):
    near = explorer.state.card().neighbours
    assert explorer.neighbours[2].description.startswith(f"{near['formula'].iloc[2]} · {near['distance'].iloc[2]:.2f}")
    explorer.neighbours[2].click()
    assert explorer.state.selected == near.index[2] and explorer.map.number == explorer.state.number(near.index[2])


def test_a_neighbour_that_is_not_on_the_map_cannot(tiny, runs):
    explorer = EmbeddingExplorer(tiny, runs, limit=20)
    expected = explorer.state.card().neighbours["on_map"]
    assert [not button.disabled for button in explorer.neighbours] == expected.tolist() and not expected.all()
    assert "20 of 60 crystals are on the map" in explorer.message.value


def test_controls_filter(explorer):
    explorer.controls["elements"].value = "Sr, O"
    assert explorer.state.filter.elements == {"Sr", "O"} and explorer.controls["elements"].value == "Sr, O"
    explorer.controls["elements"].value = "O"
    assert explorer.state.filter.elements == {"O"} and "pass the filter" in explorer.message.value
    explorer.controls["elements"].value = "Xx"
    assert "Unknown element" in explorer.message.value and explorer.state.filter.elements == {"O"}
    explorer.controls["elements"].value = "O"
    explorer.controls["every"].value = False
    assert explorer.state.filter.every is False
    explorer._class_buttons["wide"].value = True
    assert explorer.state.filter.classes == {"wide"}
    explorer._class_buttons["wide"].value = False
    explorer.controls["colour"].value = "density"
    slider = explorer._slider
    slider.value = (slider.min, 5.0)
    assert (explorer.state.filter.low, explorer.state.filter.high) == (None, 5.0)
    assert explorer.state.filter.elements == {"O"}


def test_controls_follow_the_state(explorer):
    state = explorer.state
    state.show_run("random")
    state.show_only(elements=["O", "Sr"], every=False, classes=["wide"])
    assert explorer.controls["run"].value == "random" and explorer.controls["every"].value is False
    assert explorer.controls["elements"].value == "O Sr"
    assert [name for name, button in explorer._class_buttons.items() if button.value] == ["wide"]
    state.colour_by("density")
    state.show_only(low=3.0)
    assert explorer.controls["colour"].value == "density"
    assert explorer._slider.value == pytest.approx((3.0, explorer._slider.max))
    assert state.filter.low == 3.0 and state.filter.high is None


@pytest.mark.parametrize("bonds", [True, False])
@pytest.mark.parametrize("supercell", [1, 4])
def test_supercell_and_bonds_reach_the_crystal(explorer, supercell, bonds):
    explorer.controls["supercell"].value, explorer.controls["bonds"].value = supercell, bonds
    explorer.controls["run"].value = "random"
    drawn = explorer.map.scene["settings"]["structure"][0]
    assert drawn["supercell"] == [supercell] * 3 and drawn["bonds"] is bonds


def test_the_selection_is_kept_cleared_and_saved(explorer):
    explorer.buttons["keep"].click()
    assert list(explorer.selection().index) == [explorer.state.points[0]]
    explorer.buttons["table"].click()
    path = explorer.folder / "selection.csv"
    assert f"Saved {path}." in explorer.message.value
    assert pd.read_csv(path)["material_id"].tolist() == [explorer.state.points[0]]
    explorer.buttons["clear"].click()
    assert len(explorer.selection()) == 60


def test_what_cannot_be_written_is_said(explorer):
    explorer.folder.parent.joinpath("saved").write_text("a file where the folder should be")
    explorer.buttons["page"].click()
    assert "could not be written" in explorer.message.value


def test_readers_without_a_kernel_see_a_picture(explorer):
    assert set(explorer._repr_mimebundle_()) == {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"}


# The page -----------------------------------------------------------------------------------------------------------


def test_a_page_is_complete_and_asks_for_nothing(explorer):
    explorer.buttons["page"].click()
    text = (explorer.folder / "explorer.html").read_text()
    assert len(text) < 4.5e6 and not re.search("__(TITLE|NOTE|LICENCES|CHEMISCOPE|OWN|SCENE)__", text)
    assert not re.search(r"<(script|img|link|iframe)[^>]+(src|href)=", text.split("<script>")[0] + text[-3000:])
    assert "Copyright (c) 2020-2026, chemiscope developers" in text
    scene = json.loads(re.search(r"const SCENE = (.*);", text).group(1))
    assert len(scene["cards"]) == len(scene["data"]["structures"]) == len(explorer.state)
    order = scope.drawing_order(explorer.state)
    for place in (0, 17):
        card = explorer.state.card(explorer.state.points[order[place]])
        assert scene["cards"][place]["formula"] == card.formula
        assert [tuple(row) for row in scene["cards"][place]["rows"]] == list(card.rows)
        near = [scene["cards"][n]["rows"][0][1] for n, *_ in scene["cards"][place]["near"]]
        assert near == list(card.neighbours.index)


@pytest.fixture
def opened(explorer):
    """The saved page in a browser without a server."""
    explorer.state.show_only(elements=["O"])
    with saved_page(save_page(explorer.state, explorer.folder / "page.html"), size=(1200, 1000)) as page:
        page.wait_for_function(f"() => ({MAP_POINTS})() && document.querySelector('#rows tr')")
        yield page


def shown_id(page):
    return page.inner_text("#rows tr:first-child td:last-child")


def test_the_page_works_without_network(opened, explorer):
    points = [explorer.state.points[number] for number in scope.drawing_order(explorer.state)]
    assert shown_id(opened) == explorer.state.selected
    x, y = opened.evaluate(MAP_POINTS)[2]
    opened.mouse.move(x, y)
    time.sleep(0.5)
    opened.mouse.click(x, y)
    opened.wait_for_function(f"() => document.querySelector('#rows td:last-child').textContent === '{points[2]}'")
    near = explorer.state.neighbours(points[2])
    button = opened.locator("#near button").first
    assert button.inner_text().split() == [near["formula"].iloc[0], f"{near['distance'].iloc[0]:.2f}"]
    button.click()
    assert shown_id(opened) == near.index[0]
    assert [url for url in opened.requested if not url.startswith(("file:", "data:", "blob:"))] == []
    assert opened.complaints == []
