"""Processes that are killed at every moment of a job, and many that do one job: run by `test_faults.py`.

Each dies by SIGKILL just before a line of the package's own writing code; what it left is then used. All are forked
from this small process, which has no threads. Prints one JSON line: how many died, and what was wrong afterwards.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import torch

from spmat_nb import checkpoints, files, packing, store
from spmat_nb.crystals import load
from spmat_nb.graphs import TENSORS, build_graphs

WATCHED = {Path(module.__file__).name for module in (checkpoints, files, packing, store)}
DELAYS = (0.001, 0.003, 0.01, 0.02, 0.04)  # s, for kills from outside
BUILDERS = 4
OLD, NEW = ({"a": torch.full((2, 3), v), "b.c": torch.arange(4)} for v in (1.0, 2.0))


def traced(on_line):
    """Call `on_line` before each line of the watched modules."""

    def trace(frame, event, _):
        if Path(frame.f_code.co_filename).name not in WATCHED:
            return None
        if event == "line":
            on_line()
        return trace

    sys.settrace(trace)


def forked(work):
    """Process id of a child that does some work and nothing else."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def lines_of(job):
    """How many lines of the watched modules a job runs."""
    count = 0

    def tick():
        nonlocal count
        count += 1

    traced(tick)
    job()
    sys.settrace(None)
    return count


def killed_at(job, line):
    """Do a job in a child that dies before that line; true if it did."""
    left = line

    def tick():
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def work():
        traced(tick)
        job()

    return os.WIFSIGNALED(os.waitpid(forked(work), 0)[1])


def killed_after(job, seconds):
    """Do a job in a child that is killed from outside; true if it was in time."""
    child = forked(job)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def kill_everywhere(prepare, job, wrong, most=60):
    """Kill a job at evenly spaced lines and at some times; returns how many died and what was wrong."""
    prepare()
    lines = lines_of(job)
    step = max(1, lines // most)
    deaths, faults = 0, []
    kills = [lambda line=line: killed_at(job, line) for line in range(1, lines, step)]
    for kill in [*kills, *(lambda delay=delay: killed_after(job, delay) for delay in DELAYS)]:
        prepare()
        deaths += kill()
        faults += wrong()
    return {"lines": lines, "deaths": deaths, "faults": faults}


class Cache:
    """A build of the graphs of some crystals, over nothing or over a damaged cache."""

    def __init__(self, data, folder, damaged=False):
        self.crystals, self.folder, self.damaged = load(data), Path(folder), damaged
        self.right = build_graphs(self.crystals, cache=False)

    def build(self):
        return build_graphs(self.crystals, cache=self.folder)

    def prepare(self):
        for left in self.folder.glob("graphs-*"):
            store.remove(left)
        if self.damaged:
            self.build()
            (place,) = self.folder.glob("graphs-*")
            data = bytearray((place / "distance").read_bytes())
            data[100] ^= 1
            (place / "distance").write_bytes(data)

    def wrong(self):
        built = self.build()
        faults = [name for name in TENSORS if not torch.equal(getattr(built, name), getattr(self.right, name))]
        return faults + [str(left) for left in self.folder.rglob("*.part")]


def cache(data, folder):
    own = Cache(data, folder)
    return kill_everywhere(own.prepare, own.build, own.wrong)


def damaged_cache(data, folder):
    own = Cache(data, folder, damaged=True)
    return kill_everywhere(own.prepare, own.build, own.wrong, most=30)


def checkpoint(_, folder):
    folder, history = Path(folder), pd.DataFrame({"epoch": [1]})

    def save(tensors):
        checkpoints.save(folder, "pretrained", tensors, {}, history)

    def wrong():
        found = checkpoints.load(folder, "pretrained")[1]
        whole = [all(torch.equal(found[name], tensors[name]) for name in tensors) for tensors in (OLD, NEW)]
        return [] if sum(whole) == 1 else ["neither the old model nor the new one"]

    return kill_everywhere(lambda: save(OLD), lambda: save(NEW), wrong, most=80)


def builders(data, folder):
    """Several processes that build one cache at the same time: how often neighbours were searched, what was wrong."""
    own, begin = Cache(data, folder), time.monotonic() + 0.5
    searched, packed = Path(folder).with_suffix(".searched"), packing.pack_part

    def pack_part(*arguments):
        with searched.open("a") as file:
            file.write("x")
        time.sleep(0.05)  # long enough for the others to arrive
        return packed(*arguments)

    packing.pack_part = pack_part

    def work():
        time.sleep(begin - time.monotonic())
        for fault in own.wrong():
            with searched.open("a") as file:
                file.write(fault)

    for child in [forked(work) for _ in range(BUILDERS)]:
        os.waitpid(child, 0)
    return {
        "searched": searched.read_text(),
        "parts": len(packing.cuts([1] * len(own.crystals), packing.PART, 10**6)) - 1,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    assert threading.active_count() == 1
    packing.PART = 20  # several parts
    name, *words = sys.argv[1:]
    print(json.dumps(globals()[name](*words)))
