#!/usr/bin/env python3
"""Measure the label makers of the teaching set on real Materials Project crystals.

    SPMAT_DATA_DIR=... python tools/measure_label_makers.py --count 2000

Writes `data/label_errors.json`: mean absolute errors and the confusion of every class label, on crystals of
mp33k of at most 20 sites drawn with a seed, labelled by the code that labels the teaching set. Formation energies
use the elemental references of the teaching set itself. Needs the `build` extra.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from teaching_set.candidates import MAX_KNOWN_Z
from teaching_set.energies import predict
from teaching_set.labels import electronic_labels, magnetic_labels

from spmat_nb.crystals import CrystalSet, load
from spmat_nb.files import write_json
from spmat_nb.settings import real_data
from spmat_nb.vocabulary import gap_class, magnetic_class

ROOT = Path(__file__).resolve().parent.parent


def elemental_references(table: pd.DataFrame) -> dict[str, float]:
    """Lowest energy per atom of each element in the teaching set (eV/atom)."""
    elements = table[~table["chemsys"].str.contains("-")]
    return elements.groupby("chemsys")["energy_per_atom"].min().to_dict()


def label(crystals: CrystalSet, references: dict[str, float], workers: int) -> pd.DataFrame:
    """The same columns as the teaching set, for real crystals."""
    structures = list(crystals.structures)
    answers = Parallel(n_jobs=workers)(delayed(predict)(s, "em") for s in structures)
    energy = np.array([float(a["e"]) for a in answers])
    atomic = [
        sum(s.composition.get_atomic_fraction(e) * references[e.symbol] for e in s.composition) for s in structures
    ]
    made = pd.DataFrame({"energy_per_atom": energy, "formation_energy_per_atom": energy - atomic}, crystals.table.index)
    made = made.assign(**electronic_labels(structures), **magnetic_labels([np.abs(a["m"]) for a in answers]))
    made["gap_class"] = gap_class(made["band_gap"])
    made["magnetic_class"] = magnetic_class(made["magnetization_per_atom"], [s.atomic_numbers for s in structures])
    return made


def compare(real: pd.DataFrame, made: pd.DataFrame) -> dict:
    """Mean absolute errors and confusions (rows: real, columns: made)."""
    errors = {}
    for key in ("formation_energy_per_atom", "energy_per_atom", "efermi", "band_gap"):
        errors[key] = round(float((real[key] - made[key]).abs().mean()), 4)
    open_gap = (real["is_metal"] == 0) & (made["is_metal"] == 0)
    errors["band_gap_where_both_say_non_metal"] = round(
        float((real["band_gap"] - made["band_gap"])[open_gap].abs().mean()), 4
    )
    confusion = {}
    for key in ("is_metal", "gap_class", "is_magnetic", "magnetic_class"):
        table = pd.crosstab(real[key], made[key])
        right = round(float((real[key] == made[key]).mean()), 4)
        counts = {str(r): {str(c): int(n) for c, n in row.items()} for r, row in table.iterrows()}
        confusion[key] = {"right": right, "counts": counts}
    return {"mean_absolute_error": errors, "confusion": confusion}


def main() -> None:
    """Draw crystals, label them, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    if real_data() is None:
        parser.error("set SPMAT_DATA_DIR to the folder with mp33k.parquet")
    warnings.filterwarnings("ignore", category=UserWarning)
    references = elemental_references(pd.read_parquet(ROOT / "data" / "teaching.parquet"))
    crystals = load(real_data() / "mp33k.parquet", max_sites=20)
    known = [set(c.numbers) for c in crystals.cells]
    symbols = [set(s.split("-")) for s in crystals.table["chemsys"]]
    usable = [max(z) <= MAX_KNOWN_Z and s <= set(references) for z, s in zip(known, symbols, strict=True)]
    crystals = crystals.select(np.array(usable)).sample(args.count, args.seed)
    result = {"data": "mp33k, at most 20 sites", "crystals": len(crystals), "seed": args.seed}
    result |= compare(crystals.table, label(crystals, references, args.workers))
    write_json(ROOT / "data" / "label_errors.json", result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
