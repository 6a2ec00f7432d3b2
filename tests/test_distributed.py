"""Two processes do what one does."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from two_processes import measure

from spmat_nb.distributed import Group, current
from spmat_nb.errors import SettingsError
from spmat_nb.losses import LOSSES
from spmat_nb.models import load_pretrained
from spmat_nb.pretrain import check_parts

HERE = Path(__file__).parent
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def torchrun(*words):
    run = subprocess.run([*TORCHRUN, *map(str, words)], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return run


@pytest.fixture(scope="module")
def data(tiny, write_parquet, tmp_path_factory):
    return write_parquet(tiny, tmp_path_factory.mktemp("data") / "tiny.parquet")


@pytest.fixture(scope="module")
def measured(data, tmp_path_factory):
    """By one process, and by each of two."""
    out = tmp_path_factory.mktemp("out") / "found"
    torchrun(HERE / "two_processes.py", data, out)
    return measure(data), *(torch.load(f"{out}.{rank}", weights_only=True) for rank in (0, 1))


@pytest.mark.parametrize("encoder", ["transformer", "cgcnn"])
@pytest.mark.parametrize("loss", LOSSES)
def test_loss_and_gradients_of_two_processes_are_those_of_one_on_the_whole_batch(measured, encoder, loss):
    alone, first, second = (found[f"{encoder} {loss}"] for found in measured)
    assert torch.equal(first[1:], second[1:])
    torch.testing.assert_close(first, alone, rtol=1e-8, atol=1e-10 * float(alone.abs().max()))
    assert alone[1:].abs().max() > 0


def test_a_run_of_two_processes_ends_with_the_weights_of_one(data, tmp_path):
    words = ["-m", "spmat_nb", "pretrain", "--data", data, "--encoder", "transformer", "--epochs", "2"]
    words += ["--batch-size", "16", "--device", "cpu"]
    told = torchrun(*words, "--out", tmp_path / "two")
    subprocess.run([sys.executable, *map(str, words), "--out", tmp_path / "one"], check=True, capture_output=True)
    one, two = (load_pretrained(tmp_path / name) for name in ("one", "two"))
    for ours, theirs in zip(one.encoder.state_dict().values(), two.encoder.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-4)
    columns = ["loss", "val_loss", "effective_rank"]
    pd.testing.assert_frame_equal(one.history[columns], two.history[columns], rtol=1e-3)
    assert json.loads(told.stdout)["crystals"] == 36  # one of them speaks
    assert [line.split("  ")[0] for line in told.stderr.splitlines() if "epoch" in line] == [
        f"pretrain sup_barlow: epoch {n}/2" for n in (1, 2)
    ]


def test_alone_a_process_is_its_own_group():
    group, rows = current(), torch.arange(5)
    assert group == Group() and group.leads and group.agree("x") == "x"
    assert torch.equal(group.part(rows), rows) and group.gather(rows, 5) is rows


def test_the_parts_of_all_are_the_batch():
    parts = [Group(rank, 3).part(torch.arange(10)) for rank in range(3)]
    assert torch.equal(torch.cat(parts), torch.arange(10)) and [len(part) for part in parts] == [4, 3, 3]


def test_batches_too_small_for_the_processes_are_refused():
    check_parts(4, 2)
    with pytest.raises(SettingsError, match="too small for 3 processes"):
        check_parts(5, 3)
