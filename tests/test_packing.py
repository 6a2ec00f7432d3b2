import os
import signal
from itertools import pairwise

import numpy as np
import pytest
import torch
from on_dask import on_dask
from pymatgen.core import Lattice, Structure

from spmat_nb import packing
from spmat_nb.crystals import by_position
from spmat_nb.errors import MachineError
from spmat_nb.graphs import TENSORS, build_graphs, build_what_fits
from spmat_nb.packing import LAYOUT, OversizeError, cuts, joined, pack_part, packed_parts
from spmat_nb.settings import GraphSettings

SETTINGS = GraphSettings()


@pytest.mark.parametrize(
    ("sizes", "bounds"),
    [
        ([1] * 7, [0, 3, 6, 7]),
        ([4, 4, 4], [0, 2, 3]),
        ([9, 1, 99, 1, 1], [0, 1, 2, 3, 5]),  # one that is too large is alone
        ([5], [0, 1]),
        ([3, 5, 8, 1], [0, 2, 3, 4]),
    ],
)
def test_pieces_are_no_larger_than_allowed(sizes, bounds):
    assert cuts(sizes, most=3, most_atoms=8) == bounds


def test_pieces_cover_everything_once():
    sizes = np.random.default_rng(0).integers(1, 60, 500)
    bounds = cuts(sizes, 16, 200)
    pieces = [sizes[a:b] for a, b in pairwise(bounds)]
    assert np.concatenate(pieces).tolist() == sizes.tolist()
    assert all(len(p) <= 16 and (p.sum() <= 200 or len(p) == 1) for p in pieces)


def assert_equal_parts(one, other):
    for name, (_, kind) in LAYOUT.items():
        assert one[name].dtype == other[name].dtype == kind
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_processes_give_the_parts_of_one_process(tiny, monkeypatch):
    monkeypatch.setattr(packing, "PART", 17)
    one, two = (list(packed_parts(tiny.cells, SETTINGS, workers)) for workers in (1, 2))
    assert len(one) == len(two) == 4
    for first, second in zip(one, two, strict=True):
        assert_equal_parts(first, second)
    assert_equal_parts(joined(one), pack_part(tiny.cells, SETTINGS)[0])


def test_a_part_is_made_when_it_is_asked_for(tiny, monkeypatch):
    monkeypatch.setattr(packing, "PART", 10)
    made, pack = [], packing.pack_part
    monkeypatch.setattr(packing, "pack_part", lambda *a: made.append(1) or pack(*a))
    parts = packed_parts(tiny.cells, SETTINGS, 1)
    next(parts), next(parts)
    assert len(made) == 2


def test_progress_is_shown_when_asked_for(tiny, monkeypatch, capsys):
    monkeypatch.setattr(packing, "PART", 20)
    list(packed_parts(tiny.cells, SETTINGS, 1, show=True))
    list(packed_parts(tiny.cells, SETTINGS, 1))
    assert capsys.readouterr().err.count("graphs: part 3/3") == 1


def kill_own_process(cells, settings):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed_is_a_fault_of_the_machine(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "pack_part", kill_own_process)
    with pytest.raises(MachineError, match=r"ended from outside.*max_sites"):
        build_graphs(tiny, cache=tmp_path, workers=2)
    assert not list(tmp_path.glob("graphs-*"))


def memory_for(most, monkeypatch):
    """As if crystals of more atoms than that did not fit into memory."""
    search = packing.find_neighbours

    def find(cells, settings):
        if sum(len(cell.numbers) for cell in cells) > most:
            raise MemoryError
        return search(cells, settings)

    monkeypatch.setattr(packing, "find_neighbours", find)


def test_a_chunk_that_does_not_fit_is_packed_crystal_by_crystal(tiny, tiny_graphs, monkeypatch):
    memory_for(4, monkeypatch)
    built = build_graphs(tiny, cache=False)
    assert all(torch.equal(getattr(built, name), getattr(tiny_graphs, name)) for name in TENSORS)


def test_crystals_that_do_not_fit_are_named_and_can_be_left_out(tiny, monkeypatch):
    memory_for(3, monkeypatch)
    large = np.flatnonzero(tiny.table["nsites"] == 4)
    with pytest.raises(
        OversizeError, match=rf"{len(large)} of 60 crystals \(number {large[0] + 1} with 4 atoms"
    ) as caught:
        build_graphs(tiny, cache=False)
    assert caught.value.rows == large.tolist()
    kept, built = build_what_fits(tiny, cache=False)
    assert len(kept) == len(built) == 60 - len(large) and built.fingerprint == kept.fingerprint()
    assert list(kept.report["row"]) == list(tiny.table.index[large]) and set(kept.report["cause"]) == {"too-large"}


def test_where_nothing_fits_the_error_stays(tiny, monkeypatch):
    memory_for(0, monkeypatch)
    with pytest.raises(OversizeError, match="60 of 60"):
        build_what_fits(tiny, cache=False)


def test_crystals_without_any_edge_can_be_packed():
    box = Structure(Lattice.cubic(30), ["Xe"], [[0, 0, 0]])
    built = build_graphs(by_position([box, box]), cache=False)
    assert built.isolated_atoms() == 2 and len(built.distance) == 0


DASK = """
import torch
from spmat_nb import packing
from spmat_nb.crystals import load
from spmat_nb.graphs import TENSORS, build_graphs
packing.PART = 20
crystals = load(sys.argv[1])
built, right = build_graphs(crystals, cache=False, workers=2), build_graphs(crystals, cache=False)
print(all(torch.equal(getattr(built, name), getattr(right, name)) for name in TENSORS))
"""


def test_a_dask_cluster_builds_the_same_graphs(tiny, write_parquet, tmp_path):
    data = write_parquet(tiny, tmp_path / "tiny.parquet")
    assert on_dask(DASK, "spmat_nb.packing", tmp_path, data) == ["True", "[True, True]"]
