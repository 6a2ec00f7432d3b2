import json
import re
import threading
import warnings
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from spmat_nb import crystals, materials_project
from spmat_nb.cli import main
from spmat_nb.errors import InputError, MachineError, SettingsError
from spmat_nb.labels import class_counts
from spmat_nb.materials_project import download, provenance_of
from spmat_nb.mp_documents import FIELDS, rows

KEY = "k" * 32
KNOWN = {
    "Si": {"band_gap": 0.61, "is_gap_direct": False, "is_metal": False, "ordering": "NM", "is_stable": True},
    "GaAs": {"band_gap": 0.19, "is_gap_direct": True, "is_metal": False, "ordering": "NM", "is_stable": True},
    "Fe": {"band_gap": 0.0, "is_gap_direct": False, "is_metal": True, "ordering": "FM", "is_stable": True},
    "CsCl": {"band_gap": 5.5, "is_gap_direct": None, "is_metal": False, "ordering": None, "is_stable": False},
    "NaCl": {"band_gap": 5.0, "is_gap_direct": True, "is_metal": False, "ordering": "NM", "is_stable": True},
}
MOMENTS = {"Fe": 4.4}  # of the cell of two atoms


@pytest.fixture(scope="module")
def models(named):
    """Summary documents as the client's own models have them."""
    summary = pytest.importorskip("emmet.core.summary", reason="the client's models (emmet-core) are not installed")
    symmetry = pytest.importorskip("emmet.core.symmetry")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of spglib
        groups = {formula: symmetry.SymmetryData.from_structure(named[formula]) for formula in KNOWN}
    return {
        f"mp-{number}": summary.SummaryDoc(
            **{name: value for name, value in values.items() if value is not None},
            material_id=f"mp-{number}",
            structure=named[formula],
            nsites=len(named[formula]),
            symmetry=groups[formula],
            density=named[formula].density,
            density_atomic=named[formula].volume / len(named[formula]),
            formation_energy_per_atom=-0.5 * number,
            energy_per_atom=-4.0,
            energy_above_hull=0.0 if values["is_stable"] else 0.03,
            efermi=None if formula == "CsCl" else 2.5,
            total_magnetization=MOMENTS.get(formula, 0.0),
            deprecated=False,
            last_updated=datetime(2026, 11, 1, tzinfo=UTC),
        )
        for number, (formula, values) in enumerate(KNOWN.items(), start=1)
    }


@pytest.fixture(scope="module")
def documents(models):
    """The same as the server sends them."""
    return {name: json.loads(model.model_dump_json()) for name, model in models.items()}


class MPRestError(Exception):
    """As the client's, where it is not installed."""


class FakeClient:
    """Answers like `MPRester`, and fails as it is told to: `faults` is one entry a request."""

    def __init__(self, documents, faults=(), version="2026.10.01"):
        self.documents, self.faults, self.asked = documents, list(faults), []
        self.db_version = version
        self.materials = SimpleNamespace(summary=SimpleNamespace(search=self.search))

    def search(self, fields, material_ids=None, **query):
        self.asked.append(material_ids or query)
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        wanted = material_ids or list(self.documents)
        return [{f: self.documents[i].get(f) for f in fields} for i in wanted if i in self.documents]


def get(path, client, **options):
    return download(path, client=client, chunk=2, show=False, **({"pauses": (0, 0)} | options))


def test_models_and_what_the_server_sends_give_the_same_rows(models, documents):
    one, other = rows(models.values()), rows(documents.values())
    pd.testing.assert_frame_equal(one, other)
    assert not set(FIELDS) - set(type(models["mp-1"]).model_fields)


def test_both_forms_of_an_id_are_one(documents):
    assert documents["mp-1"]["material_id"] == "mp-aaaaaaab"
    forms = [{"material_id": name, "structure": documents["mp-1"]["structure"]} for name in ("mp-149", "mp-aaaaaaft")]
    assert list(rows(forms).index) == ["mp-149", "mp-149"]


def test_a_row_has_what_the_document_says_in_our_units(documents, named):
    table = rows(documents.values())
    iron, salt = table.loc["mp-3"], table.loc["mp-4"]
    assert iron[["formula", "nsites", "crystal_system", "spacegroup_number"]].to_list() == ["Fe", 2, "cubic", 229]
    assert iron["magnetization_per_atom"] == 2.2 and iron["magnetic_class"] == "net_moment" and iron["ordering"] == "FM"
    assert iron["atomic_density"] == pytest.approx(2 / named["Fe"].volume)  # atoms/A3: theirs is the inverse
    assert (salt["e_above_hull"], salt["is_stable"], salt["family"]) == (0.03, 0, "halide")
    assert np.isnan(salt["efermi"]) and np.isnan(salt["is_gap_direct"]) and pd.isna(salt["ordering"])
    assert (table["formation_energy_per_atom"] == [-0.5, -1.0, -1.5, -2.0, -2.5]).all()


def test_a_download_is_read_like_any_file_and_says_where_it_came_from(documents, tmp_path):
    client = FakeClient(documents)
    path = tmp_path / "mp.parquet"
    found = crystals.from_materials_project(path, {"elements": ["Fe"]}, client=client, chunk=2, show=False)
    assert len(found) == 5 and len(found.report) == 0
    assert client.asked[0] == {"deprecated": False, "include_gnome": False, "elements": ["Fe"]}
    assert client.asked[1:] == [["mp-1", "mp-2"], ["mp-3", "mp-4"], ["mp-5"]]
    assert found.table.loc["mp-4", "split"] == "pretrain" and (found.table["split"] == "pretrain").sum() == 1
    assert class_counts(found.table, "gap_type").to_dict() == {"none": 1, "direct": 2, "indirect": 1, "not known": 1}
    assert class_counts(found.table, "is_magnetic").to_dict() == {"non-magnetic": 4, "magnetic": 1}
    record = json.loads(provenance_of(path).read_text())
    assert record["database"] == "2026.10.01" and record["query"]["elements"] == ["Fe"]
    assert (record["materials"], record["stable"], record["left_out"]) == (5, 4, {})
    assert "CC BY 4.0" in record["licence"] and record["finished"].endswith("+00:00")
    assert not (tmp_path / "mp.parts").exists()


def test_a_file_that_is_there_is_not_asked_for_again_unless_the_query_is_another(documents, tmp_path):
    get(tmp_path / "mp.parquet", FakeClient(documents))
    client = FakeClient(documents)
    get(tmp_path / "mp.parquet", client)
    assert client.asked == []
    with pytest.raises(InputError, match="another query"):
        get(tmp_path / "mp.parquet", client, query={"elements": ["O"]})


BUSY = MPRestError("REST query returned with error status code 429 on URL https://x/?a=mp-401 with message:\nslow down")
DROPPED = ConnectionResetError(104, "Connection reset by peer")
TIMED_OUT = MPRestError("HTTPSConnectionPool: Read timed out. (read timeout=20)")
BAD_GATEWAY = MPRestError("HTTPSConnectionPool: Max retries exceeded (too many 502 error responses)")


@pytest.mark.parametrize("fault", [BUSY, DROPPED, TIMED_OUT, BAD_GATEWAY], ids=["busy", "dropped", "slow", "gateway"])
def test_a_fault_that_passes_is_waited_for(documents, tmp_path, fault):
    client = FakeClient(documents, [fault, None, fault, fault])
    assert len(pd.read_parquet(get(tmp_path / "mp.parquet", client))) == 5
    assert len(client.asked) == 4 + 3


@pytest.mark.parametrize("fault", [BUSY, DROPPED], ids=["busy", "dropped"])
def test_a_fault_that_stays_keeps_what_came_and_the_same_call_goes_on(documents, tmp_path, fault):
    path = tmp_path / "mp.parquet"
    with pytest.raises(MachineError, match="goes on from there"):
        get(path, FakeClient(documents, [None, None, fault, fault, fault]))
    assert not path.exists() and len(list((tmp_path / "mp.parts").glob("*.parquet"))) == 1
    client = FakeClient(documents)
    get(path, client)
    assert client.asked == [["mp-3", "mp-4"], ["mp-5"]]
    whole = get(tmp_path / "whole.parquet", FakeClient(documents))
    pd.testing.assert_frame_equal(pd.read_parquet(path), pd.read_parquet(whole))


def test_a_damaged_chunk_is_asked_for_again(documents, tmp_path):
    with pytest.raises(MachineError):
        get(tmp_path / "mp.parquet", FakeClient(documents, [None, None, None, BUSY, BUSY, BUSY]))
    part = sorted((tmp_path / "mp.parts").glob("*.parquet"))[0]
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    client = FakeClient(documents)
    assert len(pd.read_parquet(get(tmp_path / "mp.parquet", client))) == 5
    assert len(client.asked) == 2


@pytest.mark.parametrize(
    ("change", "word"), [({"query": {"nelements": 2}}, "query"), ({"version": "2027"}, "database")]
)
def test_an_unfinished_download_is_not_mixed_with_another(documents, tmp_path, change, word):
    with pytest.raises(MachineError):
        get(tmp_path / "mp.parquet", FakeClient(documents, [None, None, BUSY, BUSY, BUSY]))
    client = FakeClient(documents, version=change.pop("version", "2026.10.01"))
    with pytest.raises(InputError, match=f"another {word}.*Remove that folder"):
        get(tmp_path / "mp.parquet", client, **change)


@pytest.mark.parametrize(
    "said",
    [
        "REST query returned with error status code 401 on URL https://x/ with message:\nUnauthorized",
        "REST query returned with error status code 403 on URL https://x/ with message:\nNo API key found in request",
        "Please obtain a valid API key from https://materialsproject.org/api",
    ],
)
def test_a_wrong_key_is_said_at_once(documents, tmp_path, said):
    client = FakeClient(documents, [MPRestError(said)])
    with pytest.raises(SettingsError, match=r"refuses the key.*MP_API_KEY"):
        get(tmp_path / "mp.parquet", client, pauses=(60, 60))
    assert len(client.asked) == 1


def test_a_query_that_the_server_does_not_know_is_an_input_error(documents, tmp_path):
    with pytest.raises(InputError, match=r"does not understand.*elemnts"):
        get(tmp_path / "mp.parquet", FakeClient(documents, [MPRestError("unknown field elemnts")]))


def test_no_key_is_said_before_anything_is_asked(tmp_path, monkeypatch):
    monkeypatch.delenv("MP_API_KEY", raising=False)
    with pytest.raises(SettingsError, match="MP_API_KEY"):
        download(tmp_path / "mp.parquet")
    assert not list(tmp_path.iterdir())


def test_a_query_that_nothing_fits_writes_nothing(tmp_path):
    with pytest.raises(InputError, match="No material fits"):
        get(tmp_path / "mp.parquet", FakeClient({}))
    assert not list(tmp_path.iterdir())


def test_a_material_without_a_structure_is_recorded_as_left_out(documents, tmp_path):
    holes = documents | {"mp-2": documents["mp-2"] | {"structure": None}}
    path = get(tmp_path / "mp.parquet", FakeClient(holes))
    assert len(pd.read_parquet(path)) == 4
    assert list(json.loads(provenance_of(path).read_text())["left_out"]) == ["mp-2"]


@pytest.fixture
def server(documents):
    """A small stand-in for the real server on this machine; `faults` is one entry a request for documents."""
    faults, seen = [], []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            """Say nothing."""

        def answer(self, status, body):
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            if "heartbeat" in self.path:
                return self.answer(200, {"db_version": "2026.10.01", "access_controlled_batch_ids": [], "version": "9"})
            seen.append(self.path)
            if self.headers["x-api-key"] != KEY:
                return self.answer(401, {"detail": "Invalid authentication credentials"})
            fault = faults.pop(0) if faults else None
            if fault == "drop":
                self.send_response(200)
                self.send_header("Content-Length", "100000")
                self.end_headers()
                self.wfile.write(b'{"data": [')
                return self.connection.close()
            if fault:
                return self.answer(fault, {"detail": "not now"})
            wanted = re.search(r"material_ids=([^&]+)", self.path)
            ids = wanted[1].replace("%2C", ",").split(",") if wanted else list(documents)
            data = [documents[name] for name in ids]
            return self.answer(200, {"data": data, "meta": {"total_doc": len(data)}})

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{httpd.server_port}/", faults=faults, seen=seen)
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture
def rester(server):
    """The real client, talking to the stand-in."""
    client = pytest.importorskip("mp_api.client", reason="mp-api is not installed: pip install 'spmat_nb[mp]'")

    def make(key=KEY):
        return client.MPRester(key, endpoint=server.url, use_document_model=False, mute_progress_bars=True)

    return make


@pytest.mark.filterwarnings("ignore")  # the client's own
def test_the_real_client_downloads(rester, server, tmp_path):
    path = get(tmp_path / "mp.parquet", rester())
    assert list(pd.read_parquet(path)["material_id"]) == [f"mp-{n}" for n in range(1, 6)]
    assert "batch_id_not_eq=gnome" in server.seen[0] and "deprecated=False" in server.seen[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("fault", [503, 429, "drop"])
def test_the_real_client_meets_faults_and_goes_on(rester, server, tmp_path, fault):
    server.faults[:] = [None, fault]
    assert len(pd.read_parquet(get(tmp_path / "mp.parquet", rester()))) == 5


@pytest.mark.filterwarnings("ignore")
def test_the_real_client_with_a_wrong_key(rester, tmp_path):
    with pytest.raises(SettingsError, match="refuses the key"):
        get(tmp_path / "mp.parquet", rester("w" * 32))


@pytest.mark.filterwarnings("ignore")
def test_the_real_client_with_a_key_of_the_wrong_length(rester):
    with pytest.raises(SettingsError, match="refuses the key"):
        materials_project.patiently(lambda: rester("short"), ())


def test_the_command_downloads_and_says_what_came(documents, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(materials_project, "_open_client", lambda *_: FakeClient(documents))
    out = tmp_path / "deep" / "mp.parquet"
    assert main(["download", "--query", '{"elements": ["Fe"]}', "--chunk", "3", "--out", str(out), "--quiet"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["materials"], result["query"]["elements"]) == (5, ["Fe"]) and len(crystals.load(out)) == 5


@pytest.mark.parametrize("query", ["elements=Fe", "[1]", "3"])
def test_the_command_refuses_a_query_that_is_no_json(tmp_path, capsys, query):
    assert main(["download", "--query", query, "--out", str(tmp_path / "x.parquet")]) == 2
    assert "no JSON" in capsys.readouterr().err
