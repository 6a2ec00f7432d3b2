import gzip
import json
import subprocess
import sys
from pathlib import Path

import ase
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.db import connect
from odd_files import CORPUS, GOOD, PRIMITIVE, ROCK_SALT, p1
from pymatgen.core import Lattice, Molecule, Structure

from spmat_nb import structure_files
from spmat_nb.cli import main
from spmat_nb.crystals import by_position, load
from spmat_nb.errors import FileError, InputError, MachineError, RefusedError, StrictError, StructureError
from spmat_nb.graphs import build_graphs
from spmat_nb.reading import policy, texts
from spmat_nb.reading.policy import POLICY, Notes
from spmat_nb.reading.policy_cases import REFUSE, WARN
from spmat_nb.settings import EncoderSettings, GraphSettings
from spmat_nb.structure_files import read, read_file

DOC = Path(__file__).parent.parent / "docs" / "inputs.md"
ELSEWHERE = {"unknown-kind", "no-reader", "not-a-structure"}  # have tests of their own below


def taken(case, folder):
    """The folder of a case, loaded; the good file in it is always there."""
    folder.mkdir()
    (folder / "good.cif").write_text(GOOD)
    case.make(folder)
    crystals = load(folder)
    assert "good" in crystals.table.index
    return crystals, crystals.select(crystals.table.index != "good")


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CORPUS])
def test_the_policy_holds_for_every_odd_file(case, tmp_path):
    crystals, rest = taken(case, tmp_path / "in")
    assert (tuple(rest.table["nsites"]), set(crystals.warned["cause"]), tuple(crystals.report["cause"])) == (
        case.atoms,
        set(case.warned),
        case.refused,
    ), (crystals.report.to_dict("records"), crystals.warned.to_dict("records"))
    for line in [*crystals.report.itertuples(), *crystals.warned.itertuples()]:
        assert line.source and line.reason.endswith(POLICY[line.cause].remedy)
        assert len(line.reason) > len(POLICY[line.cause].remedy) + 3


def test_the_corpus_is_large_and_meets_every_line_about_files_and_structures():
    assert len(CORPUS) >= 80 and len({case.name for case in CORPUS}) == len(CORPUS)
    met = {key for case in CORPUS for key in (*case.warned, *case.refused)}
    wanted = {k for k, case in POLICY.items() if case.group != "table" and case.verdict in (WARN, REFUSE)}
    assert wanted - met == ELSEWHERE and met - wanted == {"id-repeated"}


def test_the_document_shows_the_policy():
    assert policy.markdown() in DOC.read_text(), "copy the text of policy.markdown() into docs/inputs.md"


def test_an_unknown_verdict_cannot_be_refused_by_mistake():
    with pytest.raises(ValueError, match="does not refuse 'deuterium'"):
        policy.refuse("deuterium", "D")
    with pytest.raises(StructureError, match="x; order it first"):
        Notes().meet("disorder", "x")


def test_all_odd_files_in_one_list_do_not_stop_the_batch(tmp_path):
    for number, case in enumerate(CORPUS):
        if case.name not in ("a huge CIF", "13,000 sites", "13,824 atoms"):
            (tmp_path / f"{number}").mkdir()
            case.make(tmp_path / f"{number}")
    paths = sorted(p for p in tmp_path.glob("*/*") if not p.is_dir())
    crystals = load(paths)
    assert len(paths) <= len(crystals) + len(crystals.report)
    assert set(crystals.report["cause"]) > {"unknown-kind", "not-a-file", "disorder", "id-repeated"}


def test_an_error_names_file_cause_and_remedy(tmp_path):
    (tmp_path / "mixed.cif").write_text(p1("Fe1 Fe 0 0 0 0.5\nNi1 Ni 0 0 0 0.5"))
    with pytest.raises(StructureError) as caught:
        read(tmp_path / "mixed.cif")
    error = caught.value
    assert (error.source, error.cause, error.remedy) == ("mixed.cif", "disorder", "order it first")
    assert str(error) == "mixed.cif: disordered: site Fe:0.5, Ni:0.5 is shared or partly occupied; order it first"
    with pytest.raises(FileError, match=r"gone\.cif: no file .*; check the path"):
        read(tmp_path / "gone.cif")


def test_one_structure_is_asked_of_a_file_of_two(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps([PRIMITIVE.as_dict(), ROCK_SALT.as_dict()]))
    with pytest.raises(InputError, match=r"x\.json: 2 structures"):
        read(tmp_path / "x.json")
    assert by_position([tmp_path / "x.json", PRIMITIVE]).report["cause"].to_list() == ["several-blocks"]


def spoilt(data, rng):
    """Bytes with one thing wrong: cut, a byte changed, a line lost or doubled, something put in between."""
    place, lines = rng.integers(len(data)), data.split(b"\n")
    line = rng.integers(len(lines))
    junk = [b"1e400", b"nan", b"-1", b"999999999", b"loop_\n", b"data_\n", b"''", b"null", b"{}"]
    ways = (
        lambda: data[:place],
        lambda: data[:place] + bytes([rng.integers(256)]) + data[place + 1 :],
        lambda: data[:place] + bytes(rng.choice(list(b"0123456789.-+ \n'_;#?E"), 1)) + data[place + 1 :],
        lambda: b"\n".join([*lines[:line], *lines[line + 1 :]]),
        lambda: b"\n".join([*lines[:line], *lines[line:], lines[line]]),
        lambda: data[:place] + junk[rng.integers(len(junk))] + data[place:],
    )
    return ways[rng.integers(len(ways))]()


INTACT = (
    "POSCAR",
    "CIF in P 1",
    "CIF with a group by name",
    "extended XYZ",
    "pymatgen JSON",
    "ASE JSON",
    "ASE trajectory",
)


@pytest.mark.parametrize("name", [*INTACT, "ASE database with a bad row", "a magnetic structure"])
def test_a_damaged_file_is_read_or_refused_and_nothing_else(name, tmp_path):
    (case,) = [case for case in CORPUS if case.name == name]
    case.make(tmp_path)
    (path,) = tmp_path.iterdir()
    data, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(40):
        path.write_bytes(spoilt(data, rng))
        readings = read_file(path)
        assert readings and all((reading.cell is None) != (reading.error is None) for reading in readings)
        refused += any(reading.error is not None for reading in readings)
    assert refused > 3


def test_a_refusal_keeps_its_parts_when_it_is_copied():
    import copy

    error = copy.copy(policy.refuse("empty", "nothing", "x.cif"))
    assert isinstance(error, FileError) and (error.cause, error.source) == ("empty", "x.cif")
    assert error.of("y.cif").source == "x.cif"


def test_strict_reading_lists_all_refusals(tmp_path):
    (tmp_path / "good.cif").write_text(GOOD)
    assert len(load(tmp_path, strict=True)) == 1
    for number in range(25):
        (tmp_path / f"bad{number:02}.cif").write_text("")
    with pytest.raises(StrictError, match=r"25 inputs .*bad00\.cif: .*empty.*bad19\.cif.*and 5 more") as caught:
        load(tmp_path, strict=True)
    assert len(caught.value.report) == 25 and len(load(tmp_path).report) == 25


def test_the_command_line_can_be_strict_and_says_what_is_odd(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.cif").write_text(p1("D1 D 0 0 0 1\nCl1 Cl 0.5 0.5 0.5 1"))
    words = ["graphs", "--data", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--cutoff", "6"]
    assert main([*words, "--strict"]) == 0
    assert capsys.readouterr().err == "note: a.cif: D is an isotope; read as hydrogen: the features know no isotopes\n"
    assert (tmp_path / "out" / "warned.csv").is_file()
    (tmp_path / "in" / "b.cif").write_text("")
    assert main(words) == 0 and "refused b.cif" in capsys.readouterr().err
    assert main([*words, "--strict"]) == 2
    assert capsys.readouterr().err.startswith("error: 1 inputs are refused, and strict reading allows none. b.cif: ")


@pytest.mark.parametrize("module", ["ase.io.extxyz", "ase.io.trajectory", "ase.db"])
def test_without_ase_a_sentence_says_so(tmp_path, monkeypatch, module):
    from ase.io import write

    name = {"ase.io.extxyz": "x.xyz", "ase.io.trajectory": "x.traj", "ase.db": "x.json"}[module]
    write(str(tmp_path / name), bulk("Cu"), **({"format": "extxyz"} if name == "x.xyz" else {}))
    monkeypatch.setitem(sys.modules, module, None)
    (reading,) = read_file(tmp_path / name)
    assert reading.error.cause == "no-reader" and "pip install ase" in str(reading.error)


def test_a_known_format_under_an_unknown_ending_is_read_when_named(tmp_path):
    (tmp_path / "x.txt").write_text(p1())
    crystals = load([tmp_path / "x.txt"])
    assert list(crystals.table.index) == ["x.txt"] and crystals.warned["cause"].to_list() == ["wrong-ending"]
    (tmp_path / "y.txt").write_text("hello")
    assert load([tmp_path / "x.txt", tmp_path / "y.txt"]).report["cause"].to_list() == ["unknown-kind"]


def test_folders_in_a_list_keep_their_place_and_an_empty_one_is_reported(tmp_path):
    for name in ("b", "empty", "z"):
        (tmp_path / name).mkdir()
    (tmp_path / "a.cif").write_text(p1())
    (tmp_path / "b" / "c.cif").write_text(p1())
    (tmp_path / "z" / "link.cif").symlink_to(tmp_path / "a.cif")
    crystals = load([tmp_path / "b", tmp_path / "empty", tmp_path / "a.cif", tmp_path / "z"])
    assert list(crystals.table.index) == ["c", "a"]
    assert crystals.report[["source", "cause"]].to_numpy().tolist() == [
        ["empty", "no-structure"],
        ["link.cif", "outside"],
    ]


def test_a_folder_of_folders_is_explained(tmp_path):
    (tmp_path / "run1").mkdir()
    (tmp_path / "run1" / "POSCAR").write_text("x")
    with pytest.raises(InputError, match="subfolders have some"):
        load(tmp_path)


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_a_fault_of_the_machine_stops_and_blames_no_file(tmp_path, monkeypatch, error):
    (tmp_path / "a.cif").write_text(p1())

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(MachineError, match=rf"a\.cif: {error.strerror}; a fault of the machine"):
        load(tmp_path)


def test_a_folder_without_permission_is_a_fault_too(tmp_path, monkeypatch):
    (tmp_path / "a.cif").write_text(p1())

    def fail(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(texts.os, "stat", fail)
    with pytest.raises(MachineError, match=r"a\.cif: Permission denied"):
        texts.check_regular(tmp_path / "a.cif")


def test_a_compressed_bomb_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "MAX_TEXT", 10**6)
    (tmp_path / "x.cif.gz").write_bytes(gzip.compress(bytes([32]) * 10**8))
    (reading,) = read_file(tmp_path / "x.cif.gz")
    assert reading.error.cause == "too-large"


THINGS = [
    (3, "not-a-structure"),
    (None, "not-a-structure"),
    (Molecule(["H"], [[0, 0, 0]]), "not-a-structure"),
    (molecule("H2O"), "no-cell"),
    (ase.Atoms("Cu", cell=[3, 3, 0], pbc=True), "no-cell"),
    (ase.Atoms("Cu", cell=[[3, 0, 0], [0, 3, 0], [3, 3, 0]], pbc=True), "no-cell"),
    (ase.Atoms("Cu", positions=[[np.nan, 0, 0]], cell=[3, 3, 3], pbc=True), "not-finite"),
    (ase.Atoms("CuX", positions=[[0, 0, 0], [2, 0, 0]], cell=[4, 4, 4], pbc=True), "unknown-element"),
    (ase.Atoms("Cu", cell=[3, 3, 9], pbc=(True, True, False)), None),
    (ase.Atoms("Cu", cell=[3, 3, 7], pbc=(True, True, False)), "thin-vacuum"),
    (Structure(Lattice([[3, 0, 0], [0, 3, 0], [0, 0, 9]], pbc=(True, True, False)), ["Cu"], [[0, 0, 0]]), None),
    (Structure(Lattice.cubic(4), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]]), "disorder"),
    (Structure(Lattice.cubic(4), ["X"], [[0, 0, 0]]), "unknown-element"),
    (Structure(Lattice.cubic(4), [], []), "no-atoms"),
]


@pytest.mark.parametrize(("thing", "cause"), THINGS, ids=range(len(THINGS)))
def test_objects_follow_the_same_policy(thing, cause):
    crystals = by_position([bulk("Cu"), thing])
    assert crystals.report["cause"].to_list() == ([cause] if cause else [])
    assert crystals.warned["cause"].to_list() == ([] if cause else ["not-periodic"])


def test_ase_atoms_of_a_disordered_cif_are_refused():
    atoms = bulk("Fe")
    atoms.info["occupancy"] = {"0": {"Fe": 0.5, "Ni": 0.5}}
    assert by_position([bulk("Cu"), atoms]).report["cause"].to_list() == ["disorder"]
    atoms.info["occupancy"] = {"0": {"Fe": 1.0}}
    assert len(by_position([atoms])) == 1


def test_rows_of_a_database_bring_ids_and_columns(tmp_path):
    with connect(str(tmp_path / "x.db")) as db:
        db.write(bulk("Cu"), band_gap=0.0, material_id="mp-30")
        db.write(bulk("Si"), band_gap=1.1)
    crystals = load(tmp_path)
    assert crystals.table["band_gap"].to_dict() == {"mp-30": 0.0, "x-2": 1.1}


def test_structures_of_one_file_have_ids_of_their_own(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([PRIMITIVE.as_dict(), ROCK_SALT.as_dict()]))
    (tmp_path / "b.json").write_text(json.dumps({"mp-1": PRIMITIVE.as_dict()}))
    assert list(load(tmp_path).table.index) == ["a-0", "a-1", "mp-1"]


def test_an_isolated_atom_is_named_and_a_wider_radius_reaches_it():
    crystals = by_position([ase.Atoms("Ar", cell=[15] * 3, pbc=True), bulk("Cu")])
    (line,) = crystals.warned.itertuples()
    assert line.row == 0 and "nearest at 15.0 A" in line.reason and "GraphSettings(cutoff=...)" in line.reason
    assert build_graphs(crystals, cache=False).isolated_atoms() == 1
    wide = build_graphs(crystals, GraphSettings(cutoff=16.0), cache=False)
    assert wide.isolated_atoms() == 0 and int(wide.degree[0]) == 6


def test_one_isolated_atom_among_many_is_counted():
    atoms = ase.Atoms("Cu2Ar", positions=[[0, 0, 0], [2.5, 0, 0], [20, 20, 20]], cell=[40] * 3, pbc=True)
    (line,) = by_position([atoms]).warned.itertuples()
    assert line.reason.startswith("an atom without a neighbour within 8 A (the nearest at 33.3 A)")


def test_odd_but_valid_crystals_get_finite_embeddings():
    from spmat_nb.embed import embed
    from spmat_nb.models import random_encoder

    box = molecule("CH4")
    box.center(vacuum=6)
    box.pbc = True
    things = [bulk("Po", "sc", a=3.35), ase.Atoms("Ar", cell=[20] * 3, pbc=True), box, bulk("Xe", "fcc", a=6.2)]
    things += [bulk("Pu", "fcc", a=4.6), bulk("Fm", "fcc", a=5.5), ase.Atoms("C", cell=[12, 12, 1.3], pbc=True)]
    crystals = by_position(things)
    assert len(crystals) == len(things)
    settings = EncoderSettings(graph=GraphSettings(cutoff=21.0))
    for sizes in (EncoderSettings(), settings):
        assert np.isfinite(embed(crystals, random_encoder(sizes)).to_numpy()).all()


LARGE = """
import resource, time
from pathlib import Path
from spmat_nb.crystals import load
from spmat_nb.graphs import build_graphs
start = time.perf_counter()
graphs = build_graphs(load({folder!r}), cache=False)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(len(graphs.z), len(graphs.distance), time.perf_counter() - start, peak)
"""


@pytest.mark.parametrize(("repeats", "seconds"), [(4, 20), (7, 30)])
def test_large_cells_stay_within_stated_time_and_memory(tmp_path, repeats, seconds):
    (ROCK_SALT * ((repeats,) * 3)).to(filename=str(tmp_path / "large.cif"))
    code = LARGE.format(folder=str(tmp_path))
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    atoms, edges, taken_s, gib = map(float, out)
    assert atoms == 8 * repeats**3 and edges == 12 * atoms
    assert taken_s < seconds and gib < 1.5


def test_several_processes_read_the_same_and_report_progress(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(structure_files, "MANY", 70)
    monkeypatch.setattr(structure_files, "CHUNK", 16)
    for number in range(70):
        (tmp_path / f"{number:02}.cif").write_text("" if number % 10 == 0 else p1())
    one = load(tmp_path, workers=1, show=False)
    assert capsys.readouterr().err == ""
    two = load(tmp_path, workers=2)
    assert "read: file 70/70" in capsys.readouterr().err
    assert one.fingerprint() == two.fingerprint() and one.report.equals(two.report)
    assert list(two.table.index) == sorted(two.table.index) and len(two) == 63


def test_the_report_holds_everything(tmp_path):
    (tmp_path / "a.cif").write_text(p1())
    (tmp_path / "b.cif").write_text("")
    (tmp_path / "notes.txt").write_text("")
    report = load(tmp_path).input_report()
    assert report[["verdict", "row", "cause"]].to_numpy().tolist() == [
        ["accepted", "a", ""],
        ["accepted with a warning", "", "other-files"],
        ["refused", "", "empty"],
    ]


def test_all_refusals_are_of_one_family():
    assert {type(policy.refuse(k, "x")).__mro__[1] for k, c in POLICY.items() if c.verdict == REFUSE} == {RefusedError}
