"""Run a function over records in parallel, keeping each finished shard on disk so that a killed build goes on."""

import json
from collections.abc import Callable
from pathlib import Path

from joblib import Parallel, delayed
from pymatgen.core import Structure
from tqdm import tqdm

from spmat_nb.files import write_text

from .energies import Unphysical

SHARD = 25


def pack(entry: dict) -> dict:
    """A record as plain JSON values."""
    s = entry["structure"]
    flat = {"lattice": s.lattice.matrix.tolist(), "numbers": list(s.atomic_numbers), "frac": s.frac_coords.tolist()}
    return entry | {"structure": flat}


def unpack(entry: dict) -> dict:
    """The inverse of `pack`."""
    s = entry["structure"]
    return entry | {"structure": Structure(s["lattice"], s["numbers"], s["frac"])}


def run_shard(function: Callable[[dict], dict], records: list[dict], path: Path) -> None:
    """Apply `function` to each packed record; an `Unphysical` one is written with its reason instead."""
    out = []
    for entry in map(unpack, records):
        try:
            out.append(pack(function(entry)))
        except Unphysical as reason:
            out.append({"id": entry["id"], "dropped": str(reason)})
    write_text(path, json.dumps(out))


def finished(folder: Path) -> dict[str, dict]:
    """Every record that a shard in the folder holds, by id."""
    return {entry["id"]: entry for path in folder.glob("*.json") for entry in json.loads(path.read_text())}


def run_stage(
    name: str, function: Callable[[dict], dict], records: list[dict], folder: Path, workers: int
) -> list[dict]:
    """All records through `function`; those that are finished already are not done again.

    Returns:
        Kept and dropped records in the order of `records`.
    """
    folder = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    done = finished(folder)
    todo = [entry for entry in records if entry["id"] not in done]
    chunks = [todo[i : i + SHARD] for i in range(0, len(todo), SHARD)]
    paths = [folder / f"{chunk[0]['id']}-{len(chunk)}.json" for chunk in chunks]
    jobs = (delayed(run_shard)(function, [pack(e) for e in c], p) for c, p in zip(chunks, paths, strict=True))
    for _ in tqdm(Parallel(n_jobs=workers, return_as="generator")(jobs), total=len(chunks), desc=name, mininterval=20):
        pass
    done = finished(folder)
    return [entry if "dropped" in entry else unpack(entry) for entry in (done[e["id"]] for e in records)]
