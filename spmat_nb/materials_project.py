"""Crystals of the Materials Project, with the client `mp-api` and a key of your own, as a parquet file of our schema.

The ids that fit a query are asked for first, then their documents some hundreds at a time. Each such chunk is kept on
disk, so that a download that ends early goes on from there. A record beside the file says where it came from.
"""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from .errors import InputError, MachineError, SettingsError, SpmatError
from .files import write_bytes, write_json
from .mp_documents import FIELDS, id_of, rows
from .progress import Progress
from .settings import materials_project_key
from .tables import split_by_formula

T = TypeVar("T")
# The paper's: all materials. Those of GNoME have other terms and came later than the paper.
QUERY: dict[str, Any] = {"deprecated": False, "include_gnome": False}
CHUNK = 500  # materials asked for at a time
PAUSES = (5.0, 15.0, 60.0, 180.0)  # s, before each new try when the server is busy or the line drops
SERVER_BUSY = re.compile(r"(status code|too many) (429|5\d\d)|timed? ?out|connection|max retries", re.IGNORECASE)
NO_KEY = re.compile(r"status code (401|403)|api[ -]?key|no api key", re.IGNORECASE)
LICENCE = (
    "Data of the Materials Project, licensed under Creative Commons Attribution 4.0 (CC BY 4.0); materials of GNoME, "
    "which are left out unless include_gnome is true, under CC BY-NC 4.0. The terms in force are those at "
    "https://materialsproject.org/about/terms. Cite A. Jain et al., APL Materials 1, 011002 (2013)."
)


def provenance_of(path: str | Path) -> Path:
    """Where the record of a downloaded file is: `mp.parquet` has `mp.provenance.json`."""
    return Path(path).with_suffix(".provenance.json")


def download(
    path: str | Path,
    query: Mapping[str, Any] | None = None,
    key: str | None = None,
    chunk: int = CHUNK,
    show: bool = True,
    client: Any = None,
    pauses: Sequence[float] = PAUSES,
) -> Path:
    """Download what fits a query into a parquet file with a record of its provenance; does nothing if it is there.

    Args:
        path: the file. What has come so far is kept in a folder beside it until all is there.
        query: arguments of `materials.summary.search` of the client, such as `{"elements": ["Ti", "O"]}`; by default
            all materials that are not deprecated, without GNoME's (the paper's query).
        key: of your account at materialsproject.org; by default that of `MP_API_KEY`.
        chunk: materials asked for at a time.
        show: report progress.
        client: an open `MPRester` or what behaves like it, instead of one of our own.
        pauses: seconds before each new try when the server is busy or the line drops.

    Returns:
        The path of the parquet file.

    Raises:
        SettingsError: no key, a wrong one, or no client installed.
        InputError: nothing fits, a query that the server does not understand, or a file or an unfinished download of
            another query or database version.
        MachineError: the server is busy, the line is down, or the disk is full; the same call goes on from there.
    """
    path, asked = Path(path), json.loads(json.dumps(QUERY | dict(query or {})))
    if path.exists():
        _check_same(path, asked)
        return path
    server = Server(client or _open_client(key, pauses), pauses)
    parts = path.with_suffix(".parts")
    try:
        plan = _plan(parts, asked, server)
        frames, left_out = _chunks(parts, plan["ids"], chunk, server, show)
        frames = [frame for frame in frames if len(frame)]
        if not frames:
            raise InputError(f"None of the {len(plan['ids'])} materials that fit the query came with a structure.")
        return _finish(path, pd.concat(frames), plan, left_out, parts)
    except OSError as error:
        raise MachineError(f"{str(path.parent)!r} cannot be written ({error.strerror or error}).") from error


class Server:
    """The client, asked again when the server is busy.

    Args:
        client: an `MPRester`.
        pauses: seconds before each new try.
    """

    def __init__(self, client: Any, pauses: Sequence[float]) -> None:
        self.client, self.pauses = client, pauses

    def version(self) -> str:
        """Version of the database, a date."""
        found = getattr(self.client, "db_version", None)  # older clients have a method
        return str(found or patiently(self.client.get_database_version, self.pauses))

    def search(self, **query: Any) -> list[Any]:
        """Documents that fit a query."""
        return list(patiently(lambda: self.client.materials.summary.search(**query), self.pauses))


def patiently(call: Callable[[], T], pauses: Sequence[float]) -> T:
    """The result of a call to the server; tried again where that can help, and its errors in our words.

    Args:
        call: what to ask.
        pauses: seconds before each new try.

    Raises:
        SettingsError: the key is wrong.
        MachineError: the server is busy or cannot be reached, after the last try.
        InputError: whatever else the client says.
    """
    for pause in (*pauses, None):
        try:
            return call()
        except SpmatError:
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {error}".strip()[:300]
            if NO_KEY.search(said):
                raise SettingsError(
                    "The Materials Project refuses the key. Get one at https://materialsproject.org/api and set "
                    f"MP_API_KEY to its 32 characters. It said: {said}"
                ) from error
            if not (isinstance(error, OSError) or SERVER_BUSY.search(said)):
                raise InputError(f"The Materials Project does not understand this. It said: {said}") from error
            if pause is None:
                raise MachineError(
                    f"The Materials Project is busy or cannot be reached ({said}). What has come so far is kept: the "
                    "same call goes on from there."
                ) from error
        time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def _open_client(key: str | None, pauses: Sequence[float]) -> Any:
    key = key or materials_project_key()
    if not key:
        raise SettingsError(
            "No key of the Materials Project: get one at https://materialsproject.org/api and set MP_API_KEY."
        )
    try:
        from mp_api.client import MPRester
    except ImportError as error:
        raise SettingsError("The client is not installed: python -m pip install 'spmat_nb[mp]'.") from error
    return patiently(lambda: MPRester(key, mute_progress_bars=True, use_document_model=False), pauses)


def _check_same(path: Path, asked: dict[str, Any]) -> None:
    """Raise unless a file that is there came from the same query."""
    record = provenance_of(path)
    known = json.loads(record.read_text())["query"] if record.is_file() else None
    if known != asked:
        raise InputError(f"{str(path)!r} is there already, from another query ({known}). Choose another path.")


def _plan(parts: Path, asked: dict[str, Any], server: Server) -> dict[str, Any]:
    """What to fetch: that of an unfinished download if there is one, else the ids that fit, which are kept."""
    path, version = parts / "plan.json", server.version()
    if path.is_file():
        plan = json.loads(path.read_text())
        for what, now in (("query", asked), ("database", version)):
            if plan[what] != now:
                raise InputError(
                    f"{str(parts)!r} holds an unfinished download with another {what} ({plan[what]}, now {now}). "
                    "Remove that folder to begin anew, or choose another path."
                )
        return plan
    found = server.search(**asked, fields=["material_id"])
    ids = sorted({id_of(document) for document in found})
    if not ids:
        raise InputError(f"No material fits the query {asked}.")
    parts.mkdir(parents=True, exist_ok=True)
    plan = {"query": asked, "database": version, "begun": _now(), "ids": ids}
    write_json(path, plan)
    return plan


def _chunks(
    parts: Path, ids: Sequence[str], size: int, server: Server, show: bool
) -> tuple[list[pd.DataFrame], dict[str, str]]:
    """The rows of each chunk, from disk or from the server, and the materials that gave none."""
    groups = [ids[start : start + size] for start in range(0, len(ids), size)]
    frames: list[pd.DataFrame] = []
    left_out: dict[str, str] = {}
    known = [_read_part(parts, group) for group in groups]
    done = sum(frame is not None for frame in known)
    with Progress("download", len(groups), show, done=done, unit="chunk") as bar:
        for group, frame in zip(groups, known, strict=True):
            if frame is None:
                documents = server.search(material_ids=list(group), fields=list(FIELDS))
                frame = rows(documents)
                _write_part(parts, group, frame)
                bar.report()
            left_out |= {name: "no document, or one without a structure" for name in group if name not in frame.index}
            frames.append(frame)
    return frames, left_out


def _part_name(group: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(group).encode()).hexdigest()[:16]


def _write_part(parts: Path, group: Sequence[str], frame: pd.DataFrame) -> None:
    """Keep the rows of a chunk under a name that says of which ids, and with which bytes."""
    data = _parquet(frame)
    write_bytes(parts / f"{_part_name(group)}-{hashlib.sha256(data).hexdigest()}.parquet", data)


def _read_part(parts: Path, group: Sequence[str]) -> pd.DataFrame | None:
    """The rows of a chunk, if they are there and as they were written."""
    for path in parts.glob(f"{_part_name(group)}-*.parquet"):
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() == path.stem.partition("-")[2]:
            return pd.read_parquet(BytesIO(data))
        path.unlink()
    return None


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def _finish(path: Path, table: pd.DataFrame, plan: dict[str, Any], left_out: dict[str, str], parts: Path) -> Path:
    """Write the record, then the table; the chunks go when both are there."""
    stable = table["is_stable"] == 1
    split = split_by_formula(table.loc[stable, "formula"], seed=0)
    table = table.assign(split=split.reindex(table.index).astype(object).where(stable, "pretrain"))
    data = _parquet(table.reset_index())
    record = {
        "source": "Materials Project, materials.summary.search",
        "database": plan["database"],
        "query": plan["query"],
        "fields": list(FIELDS),
        "begun": plan["begun"],
        "finished": _now(),
        "materials": len(table),
        "stable": int(stable.sum()),
        "left_out": left_out,
        "sha256": hashlib.sha256(data).hexdigest(),
        "licence": LICENCE,
    }
    write_json(provenance_of(path), record)
    write_bytes(path, data)
    shutil.rmtree(parts, ignore_errors=True)
    return path


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
