import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from spmat_nb.errors import CheckpointError, SettingsError, TrainingError
from spmat_nb.models import load_pretrained
from spmat_nb.pretrain import pretrain
from spmat_nb.settings import PretrainSettings
from spmat_nb.training import RESUME, Background, rate_factor, tensorboard

SETTINGS = PretrainSettings(epochs=4, batch_size=16, learning_rate=3e-3)


@pytest.fixture
def train(tiny, tiny_graphs, small):
    def go(settings=SETTINGS, **options):
        return pretrain(tiny, settings, small, tiny_graphs, **{"show": False, **options})

    return go


def weights(model):
    return torch.cat([v.flatten().double() for m in (model.encoder, model.projector) for v in m.state_dict().values()])


class StopAfter:
    """A stop event that is set once so many epochs are done."""

    def __init__(self, epochs):
        self.event, self.left = threading.Event(), epochs

    def __call__(self, row):
        self.left -= 1
        if self.left == 0:
            self.event.set()


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("loss", ["sup_barlow", "simclr", "sup_simclr+classes"])
def test_a_stopped_and_resumed_run_has_the_same_bits(train, tmp_path, epochs, loss):
    settings = replace(SETTINGS, loss=loss)
    whole, halt = train(settings), StopAfter(epochs)
    part = train(settings, folder=tmp_path, stop=halt.event, callbacks=[halt])
    assert len(part.history) == epochs
    again = train(settings, folder=tmp_path, resume=True)
    assert torch.equal(weights(again), weights(whole))
    timings = ["seconds", "graphs_per_second"]
    assert again.history.drop(columns=timings).equals(whole.history.drop(columns=timings))
    assert again.history["seconds"].is_monotonic_increasing


RUN = """
import os, signal, sys, torch
from spmat_nb.crystals import load
from spmat_nb.pretrain import pretrain
from spmat_nb.settings import PretrainSettings

data, folder, model, left = *sys.argv[1:4], int(sys.argv[4])
to_disk = os.fsync

def fsync(number):  # every write of a file ends with one: weights, history, configuration
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    to_disk(number)

os.fsync = fsync
torch.set_num_threads(1)
settings = PretrainSettings(epochs=6, batch_size=16, learning_rate=3e-3)
options = dict(device="cpu", folder=folder, resume=True, show=False)
options["callbacks"] = [lambda row: print(row["epoch"], flush=True)]
pretrain(load(data), settings, **options).save_pretrained(model)
"""


@pytest.fixture
def start(tiny, write_parquet, tmp_path):
    data = write_parquet(tiny, tmp_path / "tiny.parquet")

    def go(name, die_at_write=0):
        words = [data, tmp_path / name, tmp_path / f"{name}-model", die_at_write]
        return subprocess.Popen([sys.executable, "-c", RUN, *map(str, words)], stdout=subprocess.PIPE, text=True)

    return go


def test_a_run_killed_at_any_moment_goes_on_to_the_same_bits(start, tmp_path):
    with start("whole") as run:
        assert run.communicate()[0].split() == list("123456")
    for write in (5, 4, 6):  # while the history, the weights and the configuration of an epoch are written
        with start("killed", write) as run:
            assert run.communicate()[0].split()
        assert run.returncode == -signal.SIGKILL
    with start("killed") as run:
        run.stdout.readline()
        os.kill(run.pid, signal.SIGKILL)  # while it trains
    with start("killed") as run:
        assert run.communicate()[0].split()[-1] == "6"
    first, second = (load_pretrained(tmp_path / f"{name}-model") for name in ("whole", "killed"))
    assert torch.equal(weights(first), weights(second)) and len(second.history) == 6
    assert not list((tmp_path / "killed").rglob("*.part"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 1}, "pretrain.seed: 0, now 1"),
        ({"learning_rate": 1e-3}, "pretrain.learning_rate: 0.003, now 0.001"),
        ({"augment": replace(SETTINGS.augment, delta=0.1)}, "pretrain.augment.delta: 0.5, now 0.1"),
    ],
    ids=["seed", "rate", "noise"],
)
def test_a_run_with_other_settings_does_not_go_on(train, tmp_path, changes, words):
    train(replace(SETTINGS, epochs=1), folder=tmp_path)
    with pytest.raises(CheckpointError, match=words):
        train(replace(SETTINGS, epochs=1, **changes), folder=tmp_path, resume=True)


def test_other_labels_do_not_go_on(train, tiny, tiny_graphs, small, tmp_path):
    train(folder=tmp_path)
    flipped = replace(tiny, table=tiny.table.assign(gap_class=tiny.table["gap_class"].to_numpy()[::-1]))
    with pytest.raises(CheckpointError, match="classes: "):
        pretrain(flipped, SETTINGS, small, tiny_graphs, show=False, folder=tmp_path, resume=True)


def test_without_resuming_a_run_starts_anew(train, tmp_path):
    train(replace(SETTINGS, epochs=2), folder=tmp_path)
    assert len(train(replace(SETTINGS, epochs=1, seed=3), folder=tmp_path).history) == 1


def test_a_flipped_byte_in_the_state_is_noticed(train, tmp_path):
    train(folder=tmp_path)
    path = next((tmp_path / RESUME).glob("weights-*"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="checksum differs"):
        train(folder=tmp_path, resume=True)


def test_a_run_in_the_background_reports_and_returns_what_it_would_in_front(train):
    run = Background(train)
    model = run.result(timeout=60)
    assert not run.running and [row["epoch"] for row in run.rows] == [1, 2, 3, 4]
    assert torch.equal(weights(model), weights(train()))


def test_a_run_in_the_background_stops_at_once_and_keeps_its_finished_epochs(train):
    run = Background(train, replace(SETTINGS, epochs=10_000))
    while not run.rows:
        time.sleep(0.01)
    run.stop()
    start = time.perf_counter()
    model = run.result(timeout=60)
    assert time.perf_counter() - start < 5 and len(model.history) == len(run.rows) < 10_000
    assert not model.encoder.training


def test_an_error_in_the_background_is_raised_in_front(train):
    with pytest.raises(SettingsError, match="Unknown label"):
        Background(train, replace(SETTINGS, label="colour")).result(timeout=60)


def test_waiting_for_a_run_ends_in_time(train):
    run = Background(train, replace(SETTINGS, epochs=10_000))
    with pytest.raises(TrainingError, match="still runs"):
        run.result(timeout=0.05)
    run.stop()
    run.result(timeout=60)


def test_every_number_of_the_history_can_be_written_for_tensorboard(train, tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    history = train(callbacks=[tensorboard(tmp_path)]).history
    events = event_accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert set(events.Tags()["scalars"]) == set(history.columns)
    losses = [event.value for event in events.Scalars("loss")]
    np.testing.assert_allclose(losses, history["loss"], rtol=1e-6)


def test_without_tensorboard_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SettingsError, match=r"spmat_nb\[track\]"):
        tensorboard(tmp_path)


def test_the_rate_is_a_cosine_after_a_linear_rise():
    factors = [rate_factor(step, 100, 10) for step in range(101)]
    np.testing.assert_allclose(np.diff(factors[:10]), 1 / 11)
    assert max(factors) == factors[10] == 1.0 and factors[55] == pytest.approx(0.5) and factors[100] == pytest.approx(0)
    assert {rate_factor(step, 10, 0, "constant") for step in range(10)} == {1.0}
