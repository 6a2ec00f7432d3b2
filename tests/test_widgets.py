import re
import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from pymatgen.core import Lattice, Structure

from spmat_nb import widgets_run
from spmat_nb.encoders import CGCNN, ENCODERS
from spmat_nb.errors import InputError, SettingsError
from spmat_nb.labels import LABELS, available_labels
from spmat_nb.losses import LOSSES
from spmat_nb.models import load_pretrained
from spmat_nb.plots_live import to_png
from spmat_nb.pretrain import pretrain
from spmat_nb.settings import PretrainSettings
from spmat_nb.vocabulary import Label
from spmat_nb.widgets import GndnSlider, LossLabelPicker
from spmat_nb.widgets_noise import NoiseOnEdges
from spmat_nb.widgets_run import FIELDS, STATES, PretrainRun

SETTINGS = PretrainSettings(epochs=1, batch_size=16, learning_rate=3e-3)
LIMIT = 60  # seconds for any run here


@pytest.fixture
def options(tmp_path, small, tiny_graphs):
    return {"folder": tmp_path, "settings": SETTINGS, "sizes": small, "graphs": tiny_graphs}


@pytest.fixture
def run(tiny, options):
    return PretrainRun(tiny, **options)


@pytest.fixture
def picker(tiny, options):
    return LossLabelPicker(tiny, **options)


def weights(model):
    return torch.cat([v.flatten().double() for v in model.encoder.state_dict().values()])


def stop_after(run, epochs):
    """Stop once so many epochs are in the history."""
    run.listeners.append(lambda: run.stop() if len(run.history) == epochs else None)


# The run behind the picker ------------------------------------------------------------------------------------------


def test_options_are_those_of_the_registries(run, tiny):
    assert run.options("loss") == {loss.title: key for key, loss in LOSSES.items()}
    assert list(run.options("label").values()) == available_labels(tiny.table)
    assert list(run.options("encoder")) == list(ENCODERS)
    with pytest.raises(SettingsError, match="Unknown field with options 'delta'"):
        run.options("delta")


def test_what_is_registered_later_appears_by_itself(run, picker, monkeypatch):
    monkeypatch.setitem(LOSSES, "mine", replace(LOSSES["barlow"], key="mine", title="My loss"))
    monkeypatch.setitem(ENCODERS, "my_encoder", CGCNN)
    own = Label("odd", "Odd or even", ("even", "odd"), "", make=lambda table, seed: np.arange(len(table)) % 2)
    monkeypatch.setitem(LABELS, "odd", own)
    new = {"loss": ("My loss", "mine"), "encoder": ("my_encoder", "my_encoder"), "label": ("Odd or even", "odd")}
    picker.refresh()
    for field, option in new.items():
        assert option in run.options(field).items()
        assert option in picker.controls[field].options
    run.choose(loss="mine", encoder="my_encoder", label="odd")
    run.start()
    assert run.wait(LIMIT) == "finished"


@pytest.mark.parametrize("field", ["loss", "label", "encoder"])
def test_every_option_trains_and_leaves_its_own_checkpoint(run, field):
    folders = set()
    for key in run.options(field).values():
        run.choose(**{field: key})
        run.start()
        assert run.wait(LIMIT) == "finished", run.error
        model = load_pretrained(run.checkpoint)
        assert (model.encoder_settings.name if field == "encoder" else getattr(model.settings, field)) == key
        assert torch.equal(weights(model), weights(run.model))
        folders.add(run.checkpoint)
    assert len(folders) == len(run.options(field))


def test_numbers_reach_the_settings_and_the_name_of_the_folder(run):
    wanted = {"delta": 0.25, "epochs": 7, "seed": 3, "batch_size": 8}
    before = run.folder
    run.choose(**wanted)
    assert {field: run.chosen(field) for field in wanted} == wanted
    assert (run.settings.augment.delta, run.settings.epochs) == (0.25, 7)
    assert run.folder != before and run.folder.name.endswith("d0.25-e7-b8-s3")
    assert set(FIELDS) == {"loss", "label", "encoder", *wanted}


def test_a_label_is_in_the_name_only_where_the_loss_looks_at_it(run):
    run.choose(loss="sup_simclr", label="crossed:gap_class,family")
    assert run.needs_label and run.folder.name.startswith("sup_simclr-crossed_gap_class_family-cgcnn")
    assert "crossed:gap_class,family" in run.options("label").values()
    run.choose(loss="barlow")
    assert not run.needs_label and run.folder.name.startswith("barlow-cgcnn")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"loss": "hinge"}, "Unknown loss 'hinge'"),
        ({"label": "colour"}, "Unknown label 'colour'"),
        ({"encoder": "gpt"}, "Unknown encoder 'gpt'"),
        ({"colour": 1}, "Unknown field 'colour'"),
        ({"delta": -1.0}, "0 or more"),
        ({"epochs": 0}, "at least 1 epoch"),
        ({"batch_size": 1}, "at least 2 crystals"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_is_refused_and_nothing_changes(run, values, words):
    with pytest.raises(SettingsError, match=words):
        run.choose(seed=5, **values)
    assert run.settings == SETTINGS


def test_states_come_in_order_and_each_says_where_it_is(run):
    seen = []
    run.listeners.append(lambda: seen.append((run.state, run.message)))
    assert (run.state, run.message) == ("idle", "Choose, then start.")
    run.choose(epochs=3)
    run.start()
    assert run.wait(LIMIT) == "finished"
    assert list(dict.fromkeys(state for state, _ in seen)) == ["idle", "running", "finished"]
    assert {state for state, _ in seen} <= set(STATES)
    messages = [message for state, message in seen if state == "running"]
    assert messages[0] == "Preparing, then the first epoch." and messages[1].startswith("1 of 3 epochs done")
    assert run.message == f"Finished: 3 of 3 epochs. Saved in {run.folder}."


def test_a_stopped_run_is_usable_and_goes_on_to_the_same_weights(run, tiny, tiny_graphs, small):
    run.choose(epochs=4)
    stop_after(run, 2)
    run.start()
    assert run.wait(LIMIT) == "stopped" and run.can_resume
    assert run.message.startswith("Stopped after 2 of 4 epochs. Saved in ")
    kept = load_pretrained(run.checkpoint)
    assert len(kept.history) == 2 and torch.equal(weights(kept), weights(run.model))
    run.listeners.clear()
    run.resume()
    assert run.history["epoch"].tolist()[:2] == [1, 2], "what was done before is shown at once"
    assert run.wait(LIMIT) == "finished" and run.history["epoch"].tolist() == [1, 2, 3, 4]
    whole = pretrain(tiny, replace(SETTINGS, epochs=4), small, tiny_graphs, show=False)
    assert torch.equal(weights(load_pretrained(run.checkpoint)), weights(whole))
    assert not run.can_resume


def test_a_run_stopped_before_its_first_epoch_leaves_what_it_began_with(run):
    run.choose(epochs=1000)
    run.start()
    run.stop()
    assert run.state in ("stopping", "stopped") and run.wait(LIMIT) == "stopped"
    assert len(load_pretrained(run.checkpoint).history) == len(run.history)


def test_a_new_kernel_finds_the_stopped_run(run, tiny, options):
    run.choose(epochs=3)
    stop_after(run, 1)
    run.start()
    run.wait(LIMIT)
    again = PretrainRun(tiny, **options | {"settings": replace(SETTINGS, epochs=3)})
    assert (again.state, len(again.history), again.checkpoint) == ("stopped", 1, run.checkpoint)
    again.resume()
    assert again.wait(LIMIT) == "finished"
    run.choose(seed=1)
    assert run.state == "idle" and not run.can_resume
    run.choose(seed=0)
    assert run.state == "finished" and len(run.history) == 3


def test_while_it_runs_nothing_else_can_be_chosen_or_started(run):
    gate = threading.Event()
    run.choose(epochs=2)
    run.listeners.append(lambda: gate.wait(LIMIT) if len(run.history) == 1 else None)
    run.start()
    try:
        for forbidden in (run.start, run.resume, lambda: run.choose(seed=1)):
            with pytest.raises(SettingsError, match="A run is going on"):
                forbidden()
        run.choose(seed=0)  # nothing new
    finally:
        gate.set()
    assert run.wait(LIMIT) == "finished"


def test_without_a_run_there_is_nothing_to_stop_or_resume(run):
    run.stop()
    assert run.state == run.wait() == "idle"
    with pytest.raises(SettingsError, match="no unfinished run"):
        run.resume()


def test_an_error_becomes_one_sentence(run):
    run.choose(label=None)
    run.start()
    assert run.wait(LIMIT) == "failed"
    assert run.message == run.error and "supervised: name a label" in run.message and "\n" not in run.message
    run.choose(label="gap_class")
    assert run.state == "idle" and run.error == ""


def test_any_other_error_is_said_too(run, monkeypatch):
    monkeypatch.setattr(widgets_run, "pretrain", lambda *a, **o: 1 / 0)
    run.start()
    assert run.wait(LIMIT) == "failed" and run.message == "ZeroDivisionError: division by zero"


def test_a_damaged_state_does_not_stop_the_widget(run, tiny, options):
    run.start()
    run.wait(LIMIT)
    (run.folder / "resume" / "config.json").write_text("{")
    assert PretrainRun(tiny, **options).state == "idle"


def test_verdicts_are_sentences_with_a_level(run, monkeypatch):
    monkeypatch.setattr(widgets_run, "FEWEST", 1)
    assert run.verdicts == []
    run.history = pd.DataFrame({"epoch": [1, 2], "loss": [1.0, 0.5], "effective_rank": [5.0, 6.2]})
    assert run.verdicts == [("good", "Nothing to warn of: loss 0.5, effective rank 6.2 of 16.")]
    run.history = pd.DataFrame({"epoch": [1, 2, 3, 4], "loss": [1.0, 0.2, 0.6, 0.9]})
    assert [level for level, _ in run.verdicts] == ["stop"] and run.verdicts[0][1].startswith("Diverged: ")


def test_too_few_held_out_crystals_are_said_beside_a_low_rank(run):
    run.history = pd.DataFrame({"epoch": [1, 2], "loss": [1.0, 0.5], "effective_rank": [1.5, 1.2]})
    assert [level for level, _ in run.verdicts] == ["good", "note"]
    assert run.verdicts[1][1] == "A collapse cannot be judged by 3 held-out crystals: 10 are needed."


def test_the_figure_shows_loss_and_rank(run):
    assert run.static_figure().axes[0].get_title(loc="left") == "Loss: no epoch is done yet"
    run.history = pd.DataFrame({"epoch": [1, 2], "loss": [1.0, 0.5], "val_loss": [2, 1], "effective_rank": [5.0, 6.0]})
    figure = run.static_figure()
    assert to_png(figure).startswith(b"\x89PNG")
    lines = [line.get_ydata().tolist() for ax in figure.axes for line in ax.lines]
    assert lines == [[1.0, 0.5], [2, 1], [5.0, 6.0]]
    assert "data: teaching set" in figure.get_suptitle()


# Its view -----------------------------------------------------------------------------------------------------------


def shown(view):
    return re.sub("<[^>]*>", "", view.status.value)


def test_the_picker_starts_and_ends_a_run(picker):
    first = picker.plot.value
    picker.buttons["start"].click()
    assert picker.state.wait(LIMIT) == "finished"
    assert shown(picker).startswith("finished Finished: 1 of 1 epochs. Saved in ")
    assert picker.plot.value != first and "loss" in picker.verdict.value
    assert not picker.buttons["start"].disabled and picker.buttons["stop"].disabled


def test_the_picker_stops_and_resumes(picker):
    picker.controls["epochs"].value = 3
    stop_after(picker.state, 1)
    picker.buttons["start"].click()
    assert picker.state.wait(LIMIT) == "stopped" and not picker.buttons["resume"].disabled
    assert picker.plot.value == to_png(picker.state.static_figure()), "the picture is that of the stopped run"
    picker.state.listeners.pop()
    picker.buttons["resume"].click()
    assert picker.state.wait(LIMIT) == "finished" and picker.buttons["resume"].disabled


def test_while_it_runs_only_stop_can_be_pressed(picker):
    seen = {}

    def look():
        if len(picker.state.history) == 1 and picker.state.state == "running":
            names = {**picker.controls, **picker.buttons}
            seen.update({name: widget.disabled for name, widget in names.items()})

    picker.controls["epochs"].value = 2
    picker.state.listeners.append(look)
    picker.state.start()
    picker.state.wait(LIMIT)
    assert {name for name, disabled in seen.items() if not disabled} == {"stop"}


@pytest.mark.parametrize("loss", LOSSES)
def test_the_label_is_off_for_losses_without_one(picker, loss):
    picker.controls["loss"].value = loss
    assert picker.state.settings.loss == loss
    assert picker.controls["label"].disabled is not LOSSES[loss].needs_label


def test_every_control_of_the_picker_reaches_its_state(picker):
    values = {"delta": 0.3, "epochs": 4, "seed": 2, "batch_size": 32}
    for field, value in values.items():
        picker.controls[field].value = value
    for field in ("loss", "label", "encoder"):
        for _, key in picker.controls[field].options:
            picker.controls[field].value = key
            assert picker.state.chosen(field) == key
    assert {field: picker.state.chosen(field) for field in values} == values


def test_the_picker_follows_its_state(picker):
    picker.state.choose(loss="simclr", label="crossed:gap_class,family", epochs=20_000, delta=1.5)
    found = {field: control.value for field, control in picker.controls.items()}
    assert found == {field: picker.state.chosen(field) for field in FIELDS}


def test_what_was_wrong_is_said_in_the_picker(picker):
    picker.attempt(lambda: picker.state.choose(batch_size=1))
    assert "at least 2 crystals" in shown(picker) and picker.controls["batch_size"].value == 16
    picker.controls["seed"].value = 1
    assert shown(picker) == "idle Choose, then start."


def test_readers_without_a_kernel_see_a_picture(picker):
    bundle = picker._repr_mimebundle_()
    assert set(bundle) == {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"}
    assert bundle["text/plain"] == "LossLabelPicker: run the cell to use it"


# GNDN on the edges of a crystal -------------------------------------------------------------------------------------


@pytest.fixture
def noise(named):
    return NoiseOnEdges(named)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("delta", [0.0, 0.25, 1.0])
def test_noise_changes_lengths_within_delta_and_no_edge(noise, named_crystal, named, delta, symmetric):
    name = next(key for key, structure in named.items() if structure is named_crystal)
    noise.choose(crystal=name, delta=delta, symmetric=symmetric)
    edges = noise.edges()
    assert noise.same_edges and "who is whose neighbour is unchanged" in noise.message
    assert len(edges) == 12 * len(named_crystal)
    assert edges["change"].abs().max() <= delta + 1e-5
    np.testing.assert_allclose(edges["after"], edges["before"] + edges["change"])
    spread = edges.groupby("pair")["change"].agg(np.ptp).max()
    assert spread == 0 if symmetric or not delta else spread > 0.01 * delta


def test_edges_are_named_as_in_a_formula(noise):
    noise.choose(crystal="NaCl")
    assert noise.edges()["kind"].value_counts().to_dict() == {"Na-Cl": 48, "Na-Na": 24, "Cl-Cl": 24}


def test_another_seed_is_other_noise(noise):
    first = noise.edges()["after"]
    noise.choose(seed=1)
    assert (noise.edges()["after"] != first).mean() > 0.9


def test_lengths_held_at_the_shortest_allowed_are_counted():
    close = Structure(Lattice.cubic(3), ["H", "H"], [[0, 0, 0], [0.2, 0, 0]])  # 0.6 A apart
    noise = NoiseOnEdges({"close": close}, delta=1.0)
    noise.choose(seed=next(seed for seed in range(20) if (_after(noise, seed) <= 0.1001).any()))
    held = int((noise.edges()["after"] <= 0.1001).sum())
    assert noise.message.endswith(f"Held at 0.1 Å, the shortest length allowed: {held}.")


def _after(noise, seed):
    noise.choose(seed=seed)
    return noise.edges()["after"]


def test_a_crystal_set_is_listed_with_ids(teaching):
    few = teaching.sample(3, seed=0)
    noise = NoiseOnEdges(few)
    assert list(noise.cells) == [f"{row.formula} ({row.Index})" for row in few.table.itertuples()]
    assert "of the teaching set" in noise.static_figure().get_suptitle()
    with pytest.raises(InputError, match="too many to pick from a list"):
        NoiseOnEdges(teaching)
    with pytest.raises(InputError, match="at least one"):
        NoiseOnEdges({})


@pytest.mark.parametrize("values", [{"delta": 1.2}, {"delta": -0.1}, {"crystal": "XX"}, {"size": 2}], ids=str)
def test_noise_that_cannot_be_is_refused(noise, values):
    with pytest.raises(SettingsError):
        noise.choose(**values)


def test_the_figure_counts_edges(noise):
    noise.choose(crystal="SrTiO3", delta=0.3)
    lengths, changes = noise.static_figure().axes
    assert [t.get_text() for t in lengths.get_legend().get_texts()] == ["before (60 edges)", "after (60 edges)"]
    assert sum(len(c.get_offsets()) for c in changes.collections if c.get_label().endswith(")")) == 60


def test_every_control_of_the_slider_changes_the_picture(named):
    slider = GndnSlider(named)
    for field, value in {"delta": 0.8, "symmetric": True, "crystal": "Fe2O3"}.items():
        before = slider.plot.value
        slider.controls[field].value = value
        assert slider.plot.value != before and getattr(slider.state, field) == value
    before = slider.plot.value
    slider.again.click()
    assert slider.plot.value != before and slider.state.seed == 1
    assert "360 edges, the same as before" in slider.message.value
    for name in named:
        slider.controls["crystal"].value = name
        assert slider.state.crystal == name


def test_the_slider_follows_its_state_and_says_what_is_wrong(named):
    slider = GndnSlider(named)
    slider.state.choose(delta=0.1, crystal="Si", symmetric=True)
    assert [c.value for c in slider.controls.values()] == ["Si", 0.1, True]
    slider.attempt(lambda: slider.state.choose(delta=7))
    assert "between 0 and 1 A" in slider.message.value
    assert slider._repr_mimebundle_()["image/png"]
