"""Faults of the machine, each for real: the right result or a clear refusal, and no input is lost."""

import hashlib
import json
import os
import pickle
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from spmat_nb import checkpoints, graphs
from spmat_nb.checkpoints import CONFIG
from spmat_nb.cli import main
from spmat_nb.crystals import load
from spmat_nb.errors import CheckpointError, InputError, MachineError, SpmatError
from spmat_nb.finetune import finetune
from spmat_nb.graphs import TENSORS, build_graphs
from spmat_nb.models import load_pretrained
from spmat_nb.pretrain import pretrain
from spmat_nb.property_models import load_finetuned
from spmat_nb.settings import FinetuneSettings, GraphSettings, PretrainSettings
from spmat_nb.store import open_store, remove
from spmat_nb.training import RESUME

DYING = Path(__file__).parent / "dying.py"
OLD, NEW = ({"a": torch.full((100, 100), v)} for v in (1.0, 2.0))
HISTORY = pd.DataFrame({"epoch": [1]})


def assert_same(built, right):
    assert [name for name in TENSORS if not torch.equal(getattr(built, name), getattr(right, name))] == []


def holds(folder, tensors):
    return torch.equal(checkpoints.load(folder, "pretrained")[1]["a"], tensors["a"])


def digests(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def data(tiny, write_parquet, tmp_path):
    return write_parquet(tiny, tmp_path / "tiny.parquet")


def in_small_process(name, data, folder):
    run = subprocess.run([sys.executable, str(DYING), name, str(data), str(folder)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("job", ["cache", "damaged_cache", "checkpoint"])
def test_a_kill_at_any_moment_leaves_what_can_be_used(data, tmp_path, job):
    found = in_small_process(job, data, tmp_path / "place")
    assert found["faults"] == []
    assert found["deaths"] > 25 and found["lines"] > 60


def test_processes_that_build_one_cache_build_it_once(data, tmp_path):
    found = in_small_process("builders", data, tmp_path / "place")
    assert found["searched"] == "x" * found["parts"] and found["parts"] == 3


@contextmanager
def mounted(folder, size):
    """A file system in memory of that many kB, or a skip where this user may not make one."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", folder], capture_output=True)
    if done.returncode:
        pytest.skip("only the superuser can mount a small disk here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


@contextmanager
def file_limit(size):
    """No file may grow beyond so many bytes: the fault that needs no rights."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [8, 16, 28])
def test_a_full_disk_stops_a_build_and_space_lets_it_go_on(tiny, tiny_graphs, data, tmp_path, size):
    before = digests(tmp_path)
    with mounted(tmp_path / "disk", size) as disk:
        with pytest.raises(MachineError, match=r"cannot be written \(No space left.*SPMAT_CACHE_DIR"):
            build_graphs(tiny, cache=disk)
        assert not list(disk.glob("graphs-*")) and not list(disk.rglob("*.part"))
        remount(disk, "size=1m")
        assert_same(build_graphs(tiny, cache=disk), tiny_graphs)
    assert digests(tmp_path) == before


def test_a_file_that_cannot_grow_stops_a_build(tiny, tiny_graphs, tmp_path):
    with file_limit(4096), pytest.raises(MachineError, match="cannot be written"):
        build_graphs(tiny, cache=tmp_path)
    assert not list(tmp_path.glob("graphs-*"))
    assert_same(build_graphs(tiny, cache=tmp_path), tiny_graphs)


def test_a_full_disk_keeps_the_earlier_model(tmp_path):
    with mounted(tmp_path / "disk", 64) as disk:
        checkpoints.save(disk / "m", "pretrained", OLD, {}, HISTORY)
        with pytest.raises(CheckpointError, match=r"No space left.*earlier one there is as it was"):
            checkpoints.save(disk / "m", "pretrained", NEW, {}, HISTORY)
        assert holds(disk / "m", OLD) and not list(disk.rglob("*.part"))
        remount(disk, "size=1m")
        checkpoints.save(disk / "m", "pretrained", NEW, {}, HISTORY)
        assert holds(disk / "m", NEW)


def test_a_full_disk_during_a_run_keeps_the_last_state_and_the_run_goes_on(tiny, tiny_graphs, small, tmp_path):
    settings = PretrainSettings(epochs=4, batch_size=16)
    whole = pretrain(tiny, settings, small, tiny_graphs, show=False)
    with mounted(tmp_path / "disk", 1024) as disk:
        options = {"graphs": tiny_graphs, "show": False, "folder": disk, "resume": True}

        def fill(row):
            if row["epoch"] == 2:
                (disk / "films").write_bytes(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize))

        with pytest.raises(CheckpointError, match="No space left"):
            pretrain(tiny, settings, small, callbacks=[fill], **options)
        assert len(checkpoints.load(disk / RESUME)[0]["history"]) == 2
        (disk / "films").unlink()
        resumed = pretrain(tiny, settings, small, **options)
    states = (model.encoder.state_dict() for model in (resumed, whole))
    assert all(torch.equal(one, other) for one, other in zip(*(s.values() for s in states), strict=True))


@contextmanager
def read_only(folder):
    """A folder that nobody, not even the superuser, can write to."""
    if os.geteuid() == 0:
        with mounted(folder, 1024):
            yield folder, lambda: remount(folder, "ro")
        return
    folder.mkdir()
    try:
        yield folder, lambda: folder.chmod(0o555)
    finally:
        folder.chmod(0o755)


def test_a_cache_in_a_read_only_folder_is_read_and_not_written(tiny, tiny_graphs, tmp_path):
    with read_only(tmp_path / "shared") as (folder, seal):
        build_graphs(tiny, cache=folder)
        seal()
        assert_same(build_graphs(tiny, cache=folder), tiny_graphs)
        with pytest.raises(MachineError, match=r"cannot be written \((Read-only|Permission)"):
            build_graphs(tiny.select(np.arange(5)), cache=folder)


def test_a_model_in_a_read_only_folder_is_read_and_not_replaced(tmp_path):
    with read_only(tmp_path / "shared") as (folder, seal):
        checkpoints.save(folder / "m", "pretrained", OLD, {}, HISTORY)
        seal()
        with pytest.raises(CheckpointError, match=r"cannot be saved in .*(Read-only|Permission)"):
            checkpoints.save(folder / "m", "pretrained", NEW, {}, HISTORY)
        assert holds(folder / "m", OLD)


def the_cache(folder):
    (found,) = folder.glob("graphs-*")
    return found


@pytest.mark.parametrize("place", [0, 1000, -1])
def test_a_flipped_byte_in_a_large_cache_is_refused_in_use_and_built_anew(
    tiny, tiny_graphs, tmp_path, monkeypatch, place
):
    monkeypatch.setattr(graphs, "SMALL", 0)  # so that parts are compared when they are used
    build_graphs(tiny, cache=tmp_path)
    path = the_cache(tmp_path) / "distance"
    data = bytearray(path.read_bytes())
    data[place] ^= 64
    path.write_bytes(data)
    opened = build_graphs(tiny, cache=tmp_path)
    for use in (lambda: opened.batch(torch.arange(3)), lambda: opened.to("meta"), lambda: pickle.dumps(opened)):
        with pytest.raises(InputError, match=r"damaged .*removed.* again"):
            use()
    assert_same(build_graphs(tiny, cache=tmp_path), tiny_graphs)


def test_a_flipped_count_never_shifts_the_crystals_after_it(tiny, tiny_graphs, tmp_path, monkeypatch):
    monkeypatch.setattr(graphs, "SMALL", 0)
    build_graphs(tiny, cache=tmp_path)
    for name in ("atoms", "edges"):
        path = the_cache(tmp_path) / name
        data = bytearray(path.read_bytes())
        data[0] ^= 1
        path.write_bytes(data)
        assert_same(build_graphs(tiny, cache=tmp_path), tiny_graphs)


def test_a_sound_large_cache_is_compared_once_and_survives_its_removal(tiny, tiny_graphs, tmp_path, monkeypatch):
    monkeypatch.setattr(graphs, "SMALL", 0)
    build_graphs(tiny, cache=tmp_path)
    opened = build_graphs(tiny, cache=tmp_path)
    assert not opened.store.checked.any()
    opened.batch(torch.arange(60))
    assert opened.store.checked.all()
    remove(the_cache(tmp_path))
    assert_same(pickle.loads(pickle.dumps(opened)), tiny_graphs)


def test_a_cache_of_other_settings_under_this_name_is_built_anew(tiny, tiny_graphs, tmp_path):
    build_graphs(tiny, cache=tmp_path)
    name = the_cache(tmp_path).name
    the_cache(tmp_path).rename(tmp_path / "mine")
    build_graphs(tiny, GraphSettings(max_neighbours=4), cache=tmp_path)
    the_cache(tmp_path).rename(tmp_path / name)
    assert_same(build_graphs(tiny, cache=tmp_path), tiny_graphs)


def test_a_cache_of_another_version_is_built_anew(tiny, tiny_graphs, tmp_path, monkeypatch):
    build_graphs(tiny, cache=tmp_path)
    index = the_cache(tmp_path) / "index.json"
    index.write_text(index.read_text().replace('"format": 3', '"format": 2'))
    about = json.loads(index.read_text())["about"]
    assert open_store(the_cache(tmp_path), about) is None
    assert_same(build_graphs(tiny, cache=tmp_path), tiny_graphs)


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture(params=["model.pt", "model.pth", "model.ckpt", "model.pkl", "model.safetensors"])
def bomb(request, tmp_path):
    """A hostile file, and whether it went off."""
    path = tmp_path / request.param
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "executed")))
    yield path
    assert not (tmp_path / "executed").exists()
    pickle.loads(path.read_bytes())
    assert (tmp_path / "executed").exists(), "the bomb is a real one"


def test_a_hostile_pickle_is_refused_wherever_it_is_given_and_never_executed(bomb, tiny, data, capsys):
    uses = {
        "a model": lambda: load_pretrained(bomb),
        "a predictor": lambda: load_finetuned(bomb),
        "a start": lambda: finetune(tiny.of_split("train", "val", "test"), str(bomb), FinetuneSettings(), show=False),
        "data": lambda: load(bomb),
        "a list": lambda: load([bomb]),
    }
    for name, use in uses.items():
        with pytest.raises(SpmatError) as caught:
            use()
        assert "weights_only" not in str(caught.value), name
    assert main(["embed", "--data", str(data), "--model", str(bomb), "--out", str(bomb.parent / "out")]) == 2
    assert "can run code" in capsys.readouterr().err


def test_a_hostile_pickle_inside_a_model_folder_is_never_executed(bomb, tmp_path):
    folder = tmp_path / "m"
    checkpoints.save(folder, "pretrained", OLD, {}, HISTORY)
    config = json.loads((folder / CONFIG).read_text())
    del config[checkpoints.OWN_SUM]
    data = bomb.read_bytes()
    (folder / bomb.name).write_bytes(data)
    changed = config | {"weights": bomb.name, "sha256": hashlib.sha256(data).hexdigest()}
    (folder / CONFIG).write_text(json.dumps(changed))
    with pytest.raises(CheckpointError, match="no safetensors"):
        load_pretrained(folder)


GIANT = """
import json, re, resource, sys
from pathlib import Path
import numpy as np
import torch
from spmat_nb.reading.cells import Cell
from spmat_nb.crystals import by_position, load
from spmat_nb.graphs import TENSORS, build_graphs, build_what_fits
from spmat_nb.packing import OversizeError

few = load(sys.argv[1]).select(np.arange(20))
right = build_graphs(few, cache=False)
# A dense slab, and one atom so far away that neighbours are looked for within the whole cutoff.
points = np.stack(np.meshgrid(*(np.arange(20),) * 3, indexing="ij"), -1).reshape(-1, 3) * 2.0
points = np.concatenate([points, [[20.0, 20.0, 60.0]]])
giant = Cell(np.diag([40.0, 40.0, 80.0]), np.full(len(points), 29), points / [40.0, 40.0, 80.0])
crystals = by_position([*few.structures[:10], giant.structure(), *few.structures[10:]])
used = int(re.search(r"VmSize:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + 60 * 2**20,) * 2)
try:
    build_graphs(crystals, cache=Path(sys.argv[2]))
except OversizeError as error:
    said = str(error)
left = [path.name for path in Path(sys.argv[2]).glob("graphs-*")]
kept, built = build_what_fits(crystals, cache=Path(sys.argv[2]))
same = [torch.allclose(getattr(built, name).double(), getattr(right, name).double(), atol=1e-3) for name in TENSORS]
report = kept.report[["row", "cause"]].values.tolist()
print(json.dumps({"said": said, "left": left, "kept": len(kept), "same": all(same), "report": report}))
"""


def test_a_giant_that_does_not_fit_into_memory_is_reported_and_the_others_are_built(data, tmp_path):
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", GIANT, str(data), str(tmp_path / "cache")],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert "not enough memory" in found["said"] and "number 11 with 8,001 atoms" in found["said"]
    assert found["left"] == [] and found["kept"] == 20 and found["same"]
    assert found["report"] == [["10", "too-large"]]
