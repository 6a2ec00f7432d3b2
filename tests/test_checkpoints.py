import hashlib
import json
import os
import pickle

import pandas as pd
import pytest
import torch
from safetensors.torch import save as to_bytes

from spmat_nb import checkpoints
from spmat_nb import files as written
from spmat_nb.checkpoints import CONFIG, OWN_SUM, from_dict, load, save, write_json
from spmat_nb.errors import CheckpointError
from spmat_nb.settings import AugmentSettings, EncoderSettings, GraphSettings, PretrainSettings

HISTORY = pd.DataFrame({"epoch": [1, 2], "loss": [0.5, 0.25]})
OLD, NEW = ({"a": torch.full((2, 3), v), "b.c": torch.arange(4)} for v in (1.0, 2.0))


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "model", "pretrained", OLD, {"data": {"name": "x"}}, HISTORY)
    return tmp_path / "model"


def weights_of(folder):
    return next(folder.glob("weights-*"))


def edit_config(folder, change):
    config = json.loads((folder / CONFIG).read_text())
    del config[OWN_SUM]
    (folder / CONFIG).write_text(json.dumps(change(config)))


def assert_holds(folder, tensors):
    found = load(folder, "pretrained")[1]
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_what_is_saved_is_loaded(folder):
    config, tensors, history = load(folder, "pretrained")
    assert (config["kind"], config["data"]) == ("pretrained", {"name": "x"})
    assert_holds(folder, OLD)
    pd.testing.assert_frame_equal(history, HISTORY)
    assert tensors["b.c"].dtype == torch.int64


def test_saving_again_replaces_the_model_and_leaves_no_other_file(folder):
    before = len(list(folder.iterdir()))
    save(folder, "pretrained", NEW, {}, HISTORY)
    assert_holds(folder, NEW)
    assert len(list(folder.iterdir())) == before


@pytest.mark.parametrize("place", [0, 30, -1])
def test_a_flipped_byte_is_refused(folder, place):
    data = bytearray(weights_of(folder).read_bytes())
    data[place] ^= 1
    weights_of(folder).write_bytes(data)
    with pytest.raises(CheckpointError, match="checksum"):
        load(folder)


def test_any_flipped_bit_of_the_settings_is_refused_or_changes_nothing(folder):
    good, (config, *_) = (folder / CONFIG).read_bytes(), load(folder)
    for place in range(len(good)):
        (folder / CONFIG).write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        try:
            found = load(folder)[0]
        except CheckpointError:
            continue
        assert {key: found.get(key) for key in config} == config, good[place - 20 : place + 20]


def test_a_history_that_was_changed_is_not_shown(folder):
    path = folder / checkpoints.HISTORY
    path.write_text(path.read_text().replace("0.25", "0.05"))
    assert load(folder)[2].empty


def test_weights_on_disk_that_are_not_finite_are_refused(folder):
    data = to_bytes({"a": torch.tensor([1.0, torch.nan])})
    weights_of(folder).write_bytes(data)
    edit_config(folder, lambda c: c | {"sha256": hashlib.sha256(data).hexdigest()})
    with pytest.raises(CheckpointError, match=r"'a' in .* not all finite"):
        load(folder)


def remove_config(folder):
    (folder / CONFIG).unlink()


def remove_weights(folder):
    weights_of(folder).unlink()


def cut_config(folder):
    (folder / CONFIG).write_text((folder / CONFIG).read_text()[:40])


def other_format(folder):
    edit_config(folder, lambda c: c | {"format": 99})


def without(key):
    return lambda folder: edit_config(folder, lambda c: {k: v for k, v in c.items() if k != key})


def list_config(folder):
    edit_config(folder, lambda c: [c])


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (remove_config, "no config.json"),
        (remove_weights, "damaged"),
        (cut_config, "damaged"),
        (other_format, "format 99"),
        (without("weights"), "damaged"),
        (without("format"), "format None"),
        (without("sha256"), "damaged"),
        (without("kind"), "damaged"),
        (list_config, "damaged"),
    ],
    ids=["no config", "no weights", "cut config", "format", "no name", "no format", "no sum", "no kind", "a list"],
)
def test_a_damaged_folder_is_refused_with_its_cause(folder, damage, cause):
    damage(folder)
    with pytest.raises(CheckpointError, match=cause):
        load(folder, "pretrained")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="No saved model"):
        load(tmp_path / "nowhere")


def test_a_model_of_another_kind_is_refused(folder):
    with pytest.raises(CheckpointError, match="holds a pretrained model; a finetuned one"):
        load(folder, "finetuned")


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_refused_and_the_old_model_stays(folder, value):
    with pytest.raises(CheckpointError, match="'a' are not all finite"):
        save(folder, "pretrained", NEW | {"a": torch.tensor([1.0, value])}, {}, HISTORY)
    assert_holds(folder, OLD)


@pytest.mark.parametrize("files", [0, 1, 2])
def test_a_crash_after_some_of_the_files_leaves_the_old_model_usable(folder, monkeypatch, files):
    write, left = written.write_bytes, iter([True] * files)

    def crash(path, data):
        if not next(left, False):
            raise OSError("the machine went down")
        write(path, data)

    for module in (checkpoints, written):
        monkeypatch.setattr(module, "write_bytes", crash)
    with pytest.raises(CheckpointError, match="went down"):
        save(folder, "pretrained", NEW, {}, HISTORY)
    assert_holds(folder, OLD)


def test_the_model_after_a_crash_can_be_replaced(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_json", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            save(folder, "pretrained", NEW, {}, HISTORY)
    save(folder, "pretrained", NEW, {}, HISTORY)
    assert_holds(folder, NEW)
    assert len(list(folder.glob("weights-*"))) == 1


class Bomb:
    """Creates a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def plant(folder, bomb):
    data = pickle.dumps(Bomb(bomb))
    weights_of(folder).write_bytes(data)
    edit_config(folder, lambda c: c | {"sha256": hashlib.sha256(data).hexdigest()})


def test_a_pickle_named_like_weights_is_never_executed(folder, tmp_path):
    plant(folder, tmp_path / "executed")
    with pytest.raises(Exception, match="header"):
        load(folder)
    assert not (tmp_path / "executed").exists()
    pickle.loads(weights_of(folder).read_bytes())
    assert (tmp_path / "executed").exists(), "the bomb is a real one"


def test_weights_that_are_no_safetensors_are_refused_by_our_error(folder, tmp_path):
    plant(folder, tmp_path / "executed")
    with pytest.raises(CheckpointError):
        load(folder)


def test_a_model_without_a_history_is_loaded(tmp_path):
    save(tmp_path, "pretrained", OLD, {}, pd.DataFrame())
    assert load(tmp_path)[2].empty


def test_a_folder_that_is_a_file_is_our_error(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CheckpointError):
        save(tmp_path / "file", "pretrained", OLD, {}, HISTORY)


def test_numbers_that_are_not_finite_are_not_written_as_json(tmp_path):
    write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 1}


@pytest.mark.parametrize(
    "settings",
    [
        EncoderSettings(hidden=7, graph=GraphSettings(cutoff=5.0, max_neighbours=4)),
        PretrainSettings(loss="simclr", label=None, augment=AugmentSettings(delta=0.1)),
    ],
    ids=lambda s: type(s).__name__,
)
def test_settings_survive_json(settings):
    values = json.loads(json.dumps(checkpoints.dataclasses.asdict(settings)))
    assert from_dict(type(settings), values) == settings


@pytest.mark.parametrize("values", [{"attention": 4}, {"graph": {"periodic": True}}])
def test_a_setting_this_version_does_not_know_is_refused(values):
    with pytest.raises(CheckpointError, match=r"has no '(attention|periodic)'"):
        from_dict(EncoderSettings, values)
