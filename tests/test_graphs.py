from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from pymatgen.core import Lattice, Structure
from torch_geometric.data import Data

from spmat_nb import packing
from spmat_nb.crystals import load
from spmat_nb.encoders import make_encoder
from spmat_nb.errors import InputError
from spmat_nb.graphs import TENSORS, build_graph, build_graphs
from spmat_nb.neighbours import find_neighbours, reverse_edges
from spmat_nb.packing import LAYOUT
from spmat_nb.settings import GraphSettings
from spmat_nb.store import INDEX
from spmat_nb.structure_files import from_object


def brute_force(cell, cutoff=8.0, count=12):
    """Distances of each atom's nearest neighbours, by a plain loop over images."""
    points = (cell.frac % 1.0) @ cell.lattice
    heights = 1 / np.linalg.norm(np.linalg.inv(cell.lattice), axis=0)
    reach = [range(-n, n + 1) for n in np.ceil(cutoff / heights).astype(int) + 1]
    found = [[] for _ in points]
    for image in product(*reach):
        distance = np.linalg.norm(points[None] + image @ cell.lattice - points[:, None], axis=2)
        for atom, row in enumerate(distance):
            found[atom].extend(row[(row > 1e-8) & (row <= cutoff)])
    return [np.sort(row)[:count] for row in found]


def assert_same_distances(cell, settings=None):
    edges = find_neighbours([cell], settings)
    wanted = brute_force(cell, **({} if settings is None else {"cutoff": settings.cutoff}))
    assert len(edges.centre) == sum(map(len, wanted))
    np.testing.assert_allclose(edges.distance, np.concatenate(wanted), atol=1e-3)


def environments(structure, settings=None):
    """How often each (atom, its neighbours by element and distance) occurs."""
    cell = from_object(structure)
    edges = find_neighbours([cell], settings)
    around = [[] for _ in cell.numbers]
    for centre, neighbour, distance in zip(edges.centre, edges.neighbour, edges.distance, strict=True):
        around[centre].append((round(distance, 2), cell.numbers[neighbour]))
    return Counter((z, tuple(sorted(pairs))) for z, pairs in zip(cell.numbers, around, strict=True))


def chosen_vectors(structure, settings):
    cell = from_object(structure)
    edges = find_neighbours([cell], settings)
    points = cell.frac @ cell.lattice
    vectors = points[edges.neighbour] + edges.image @ cell.lattice - points[edges.centre]
    rows = np.round(vectors, 2) + 0.0
    return {(cell.numbers[c], *row) for c, row in zip(edges.centre, rows, strict=True)}


def test_named_crystals_agree_with_brute_force(named_crystal):
    assert_same_distances(from_object(named_crystal))


def test_teaching_crystals_agree_with_brute_force(teaching):
    few = teaching.select((teaching.table["nsites"] <= 12).to_numpy()).sample(30, seed=1)
    for cell in few.cells:
        assert_same_distances(cell)


def test_a_short_cutoff_leaves_fewer_than_twelve(named):
    settings = GraphSettings(cutoff=3.0)
    assert_same_distances(from_object(named["NaCl"]), settings)
    assert len(find_neighbours([from_object(named["NaCl"])], settings).centre) == 6 * 8


@pytest.mark.parametrize(
    ("name", "shells"),
    [
        ("NaCl", [(6, 5.64 / 2), (12, 5.64 / 2**0.5), (8, 5.64 * 3**0.5 / 2)]),
        ("CsCl", [(8, 4.12 * 3**0.5 / 2), (6, 4.12)]),
        ("Si", [(4, 5.43 * 3**0.5 / 4), (12, 5.43 / 2**0.5)]),
        ("Cu", [(12, 3.61 / 2**0.5), (6, 3.61)]),
        ("Fe", [(8, 2.87 * 3**0.5 / 2), (6, 2.87)]),
    ],
)
def test_shells_have_the_textbook_counts(named, name, shells):
    counts, distances = zip(*shells, strict=True)
    edges = find_neighbours([from_object(named[name])], GraphSettings(max_neighbours=sum(counts)))
    wanted = np.tile(np.repeat(distances, counts), len(named[name]))
    np.testing.assert_allclose(edges.distance, wanted, atol=1e-6)


def test_twelve_neighbours_cut_the_second_shell_of_rock_salt(named):
    edges = build_graph(named["NaCl"])
    first = edges.distance[edges.edge_index[1] == 0]
    assert Counter(first.double().numpy().round(2).tolist()) == {2.82: 6, 3.99: 6}


@pytest.mark.parametrize("repeat", [(2, 1, 1), (1, 2, 1), (2, 2, 2)])
def test_a_supercell_has_the_same_environments(named_crystal, repeat):
    times = int(np.prod(repeat))
    wanted = {key: count * times for key, count in environments(named_crystal).items()}
    assert environments(named_crystal * repeat) == wanted


@pytest.mark.parametrize("repeat", [(2, 1, 1), (1, 1, 3)])
def test_a_cut_shell_keeps_the_same_directions_in_a_supercell(named, repeat):
    settings = GraphSettings(max_neighbours=9)
    assert chosen_vectors(named["NaCl"] * repeat, settings) == chosen_vectors(named["NaCl"], settings)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_and_place_of_the_atoms_do_not_matter(named_crystal, seed):
    random = np.random.default_rng(seed)
    order = random.permutation(len(named_crystal))
    moved = Structure(
        named_crystal.lattice,
        [named_crystal[i].specie for i in order],
        named_crystal.frac_coords[order] + random.random(3),
    )
    assert environments(moved) == environments(named_crystal)


def test_ties_prefer_the_lighter_neighbour():
    # Iron has four aluminium and four zinc neighbours at one distance: the cut falls between the elements.
    alloy = Structure(Lattice.cubic(4.0), ["Fe", "Zn", "Al"], [(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5)])
    graph = build_graph(alloy, GraphSettings(max_neighbours=4))
    assert graph.z[graph.edge_index[0][graph.edge_index[1] == 0]].tolist() == [13] * 4


def test_an_isolated_atom_has_no_edges_and_a_finite_embedding(named, small):
    box = Structure(Lattice.cubic(30), ["H"], [(0, 0, 0)])
    graphs = build_graphs(load([box, named["NaCl"]]), cache=False)
    assert graphs.isolated_atoms() == 1
    assert torch.diff(graphs.edge_start).tolist() == [0, 96]
    encoder = make_encoder(small).eval()
    assert encoder(graphs.batch(torch.tensor([0]))).isfinite().all()
    torch.testing.assert_close(
        encoder(graphs.batch(torch.tensor([0, 1])))[0], encoder(graphs.batch(torch.tensor([0])))[0]
    )


def test_a_batch_is_the_concatenation_of_its_graphs(tiny, tiny_graphs):
    index = torch.tensor([5, 0, 59, 5])
    batch = tiny_graphs.batch(index)
    singles = [build_graph(tiny.cell(int(i))) for i in index]
    first = np.cumsum([0, *(s.num_nodes for s in singles)])
    assert torch.equal(batch.z, torch.cat([s.z for s in singles]))
    assert torch.equal(batch.distance, torch.cat([s.distance for s in singles]))
    pairs = torch.cat([s.edge_index + n for s, n in zip(singles, first, strict=False)], dim=1)
    assert torch.equal(torch.stack([batch.neighbour, batch.centre]), pairs)
    assert torch.bincount(batch.crystal).tolist() == np.diff(first).tolist()
    assert batch.size == 4


def test_edges_follow_their_centre_then_the_distance(batch):
    assert (torch.diff(batch.centre) >= 0).all()
    same = torch.diff(batch.centre) == 0
    assert (torch.diff(batch.distance)[same] > -1e-3).all()


@pytest.mark.parametrize("sizes", [{"CHUNK": 7}, {"CHUNK_ATOMS": 9}, {"PART": 7}, {"PART_ATOMS": 9}])
def test_packing_in_pieces_changes_nothing(tiny, tiny_graphs, monkeypatch, sizes):
    for name, size in sizes.items():
        monkeypatch.setattr(packing, name, size)
    assert_equal_sets(build_graphs(tiny, cache=False), tiny_graphs)


def assert_equal_sets(one, other):
    for name in TENSORS:
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert (one.settings, one.fingerprint) == (other.settings, other.fingerprint)


@pytest.fixture
def counted(monkeypatch):
    """How often the neighbours are searched."""
    calls = []
    search = packing.find_neighbours
    monkeypatch.setattr(packing, "find_neighbours", lambda *a: calls.append(1) or search(*a))
    return calls


def test_the_second_build_reads_the_cache(tiny, tiny_graphs, tmp_path, counted):
    build_graphs(tiny, cache=tmp_path)
    searched = len(counted)
    assert_equal_sets(build_graphs(tiny, cache=tmp_path), tiny_graphs)
    assert len(counted) == searched > 0


@pytest.mark.parametrize("name", [INDEX, *LAYOUT])
@pytest.mark.parametrize("damage", ["a bit", "cut", "gone"])
def test_a_damaged_cache_is_rebuilt(tiny, tiny_graphs, tmp_path, counted, damage, name):
    build_graphs(tiny, cache=tmp_path)
    (folder,) = tmp_path.glob("graphs-*")
    bad = bytearray((folder / name).read_bytes())
    (folder / name).unlink()
    if damage == "a bit":
        bad[-4] ^= 1
    if damage != "gone":
        (folder / name).write_bytes(bad[:-1] if damage == "cut" else bad)
    assert_equal_sets(build_graphs(tiny, cache=tmp_path), tiny_graphs)
    searched = len(counted)
    build_graphs(tiny, cache=tmp_path)
    assert len(counted) == searched, "the cache was not repaired"


@pytest.mark.parametrize(
    ("rows", "settings"), [(60, GraphSettings(max_neighbours=8)), (60, GraphSettings(cutoff=6.0)), (59, None)]
)
def test_other_settings_or_crystals_have_their_own_cache_file(tiny, tmp_path, rows, settings):
    build_graphs(tiny, cache=tmp_path)
    built = build_graphs(tiny.select(np.arange(rows)), settings, cache=tmp_path)
    assert len(list(tmp_path.glob("graphs-*"))) == 2
    assert len(built) == rows and built.settings == (settings or GraphSettings())


def test_a_cache_that_cannot_be_written_is_an_input_error(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="SPMAT_CACHE_DIR"):
        build_graphs(tiny, cache=tmp_path / "file" / "cache")


def test_no_cache_leaves_no_file(tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("SPMAT_CACHE_DIR", str(tmp_path))
    build_graphs(tiny.select(np.arange(2)), cache=False)
    assert not list(tmp_path.iterdir())
    build_graphs(tiny.select(np.arange(2)))
    assert len(list(tmp_path.glob("graphs-*"))) == 1


def test_build_graph_returns_pyg_data_whose_images_give_the_distances(named):
    structure = named["TiO2"]
    graph = build_graph(structure)
    assert isinstance(graph, Data) and graph.num_nodes == 6 and graph.edge_index.shape == (2, 72)
    sender, receiver = graph.edge_index.numpy()
    points, lattice = structure.cart_coords, structure.lattice.matrix
    vectors = points[sender] + graph.image.numpy() @ lattice - points[receiver]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), graph.distance, atol=1e-5)


def test_build_graph_refuses_what_is_no_crystal():
    with pytest.raises(InputError, match="apart"):
        build_graph(Structure(Lattice.cubic(4), ["H", "H"], [(0, 0, 0), (0.05, 0, 0)]))


def test_moving_a_set_keeps_everything(tiny_graphs):
    assert_equal_sets(tiny_graphs.to("cpu"), tiny_graphs)
    assert replace(tiny_graphs, fingerprint="x").to("cpu").fingerprint == "x"


def test_the_reverse_of_an_edge_goes_back_the_same_way(named_crystal):
    edges = find_neighbours([from_object(named_crystal)])
    back = reverse_edges(edges)
    away = back != np.arange(len(back))
    assert away.any() and (back[back] == np.arange(len(back))).all()
    for one, other in ((edges.centre, edges.neighbour), (edges.neighbour, edges.centre)):
        assert (one[back][away] == other[away]).all()
    assert (edges.image[back][away] == -edges.image[away]).all()
    np.testing.assert_allclose(edges.distance[back], edges.distance, atol=1e-6)
    there = set(zip(edges.centre, edges.neighbour, *edges.image.T, strict=True))
    missing = zip(edges.neighbour[~away], edges.centre[~away], *-edges.image[~away].T, strict=True)
    assert not there & set(missing)


def test_packed_graphs_take_twelve_bytes_an_edge(tiny_graphs):
    edges = len(tiny_graphs.distance)
    sizes = [t.element_size() for name in TENSORS if len(t := getattr(tiny_graphs, name)) == edges]
    assert sum(sizes) == 12


def test_the_report_of_the_input_lies_beside_the_cache(named, tmp_path):
    crystals = load([named["NaCl"], "no structure", named["Si"]])
    build_graphs(crystals, cache=tmp_path)
    (path,) = tmp_path.glob("*/report.csv")
    report = pd.read_csv(path)
    assert report["verdict"].value_counts().to_dict() == {"accepted": 2, "refused": 1}
