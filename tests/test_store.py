import json
import time

import numpy as np
import pytest

from spmat_nb.errors import InputError
from spmat_nb.packing import LAYOUT, joined, packed_parts
from spmat_nb.settings import GraphSettings
from spmat_nb.store import INDEX, alone, checksum, open_store, remove, write_store

ABOUT = {"fingerprint": "f", "settings": {"cutoff": 8.0}}


@pytest.fixture(scope="module")
def parts(tiny):
    return [part for start in (0, 20, 40) for part in packed_parts(tiny.cells[start : start + 20], GraphSettings(), 1)]


@pytest.fixture
def folder(parts, tmp_path):
    write_store(tmp_path / "store", parts, ABOUT)
    return tmp_path / "store"


def test_what_is_written_is_opened(folder, parts):
    store = open_store(folder, ABOUT)
    assert len(store) == 60 and store.is_sound()
    for name, array in joined(parts).items():
        np.testing.assert_array_equal(store.arrays[name], array)
    assert store.bytes == sum((folder / name).stat().st_size for name in LAYOUT)
    assert {path.name for path in folder.iterdir()} == {INDEX, *LAYOUT}


def test_the_starts_are_those_of_each_crystal(folder, tiny):
    starts = open_store(folder, ABOUT).starts["atoms"]
    assert np.diff(starts).tolist() == tiny.table["nsites"].to_list()


@pytest.mark.parametrize("about", [{}, ABOUT | {"fingerprint": "g"}, ABOUT | {"settings": {"cutoff": 6.0}}])
def test_a_store_of_other_data_or_settings_is_none(folder, about):
    assert open_store(folder, about) is None


def test_no_folder_is_no_store(tmp_path):
    assert open_store(tmp_path / "nowhere", ABOUT) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda index: "not json",
        lambda index: json.dumps([index]),
        lambda index: json.dumps({k: v for k, v in index.items() if k != "sha256"}),
        lambda index: json.dumps(index | {"atoms": index["atoms"][:-1]}),
        lambda index: json.dumps(index | {"atoms": index["atoms"][::-1]}),
        lambda index: json.dumps(index | {"edges": ["many", 1, 2]}),
        lambda index: json.dumps(index | {"crystals": [59, 0, 1]}),
        lambda index: json.dumps(index | {"sha256": index["sha256"][:2]}),
    ],
)
def test_a_damaged_index_is_no_store(folder, damage):
    path = folder / INDEX
    path.write_text(damage(json.loads(path.read_text())))
    assert open_store(folder, ABOUT) is None


def test_only_the_parts_in_use_are_compared(folder, parts):
    path = folder / "distance"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # of the last part
    path.write_bytes(data)
    store = open_store(folder, ABOUT)
    store.require(np.array([0, 39, 3]))
    assert store.checked.tolist() == [True, True, False]
    with pytest.raises(InputError, match="part 2 differs"):
        store.require(np.array([40]))
    assert not folder.exists()
    write_store(folder, parts, ABOUT)
    with pytest.raises(InputError, match="part 2 differs"):
        store.require()
    assert open_store(folder, ABOUT).is_sound(), "the new store was taken for the damaged one"


def test_what_is_written_to_the_arrays_stays_in_memory(folder):
    open_store(folder, ABOUT).arrays["distance"][:] = 0
    assert open_store(folder, ABOUT).is_sound()


def test_an_open_store_survives_its_removal_and_replacement(folder, parts):
    store = open_store(folder, ABOUT)
    write_store(folder, parts[:1], ABOUT)
    assert store.is_sound() and len(open_store(folder, ABOUT)) == 20
    remove(folder)
    remove(folder)
    assert store.is_sound() and not folder.exists()


def test_a_writer_that_fails_leaves_the_old_store_and_nothing_else(folder, parts):
    def failing():
        yield parts[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_store(folder, failing(), ABOUT)
    assert open_store(folder, ABOUT).is_sound()
    assert [path.name for path in folder.parent.iterdir()] == ["store"]


def test_the_next_builder_removes_what_dead_ones_left(folder):
    left = folder.with_name(".store.12345.part")
    left.mkdir()
    (left / "z").write_bytes(b"half")
    other = folder.with_name(".other.12345.part")
    other.mkdir()
    with alone(folder):
        assert not left.exists() and other.exists()


def test_a_checksum_is_of_all_arrays_in_one_order(parts):
    assert checksum(parts[0]) == checksum(dict(reversed(parts[0].items()))) != checksum(parts[1])
    for name in LAYOUT:
        changed = parts[0][name].copy()
        changed[0] += 1
        assert checksum(parts[0] | {name: changed}) != checksum(parts[0])


def test_a_large_store_opens_in_under_a_second(tmp_path):
    count = 200_000  # crystals of one atom with twelve edges: 31 MB
    part = {
        name: np.zeros({"crystals": count, "atoms": count, "edges": 12 * count}[of], kind)
        for name, (of, kind) in LAYOUT.items()
    }
    part |= {"atoms": np.ones(count, np.int32), "edges": np.full(count, 12, np.int32)}
    write_store(tmp_path / "large", [part], ABOUT)
    start = time.perf_counter()
    assert len(open_store(tmp_path / "large", ABOUT)) == count
    assert time.perf_counter() - start < 1
