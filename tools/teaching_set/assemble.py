"""From settled crystals to the table: duplicates, convex hull, symmetry, labels, splits, parquet."""

import logging
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from spmat_nb.tables import pack_structure_columns, split_by_formula
from spmat_nb.vocabulary import STABLE, chemical_family, gap_class, magnetic_class

from .labels import electronic_labels, magnetic_labels

IMPLAUSIBLE = 1.0  # eV/atom above the hull
SMALLEST_VOLUME = 3.0  # A3 an atom
MOLECULAR = {"H", "N", "O", "F", "Cl", "Br", "I", "S", "Se"}
METAL_LATTICES = {"A_cF4_225_a", "A_cI2_229_a", "A_hP2_194_c", "A_cF8_227_a"}
SYMMETRY_TOLERANCE = 0.1  # A


def drop_duplicates(entries: list[dict], counts: dict[str, int]) -> list[dict]:
    """Keep one of each structure type within a formula: a prototype if there is one, else the lowest in energy."""
    matcher = StructureMatcher()
    by_formula = defaultdict(list)
    for entry in sorted(entries, key=lambda e: (e["origin"] != "prototype", e["energy"], e["id"])):
        by_formula[entry["structure"].composition.reduced_formula].append(entry)
    kept = []
    for group in by_formula.values():
        distinct: list[dict] = []
        for entry in group:
            if not any(matcher.fit(entry["structure"], other["structure"]) for other in distinct):
                distinct.append(entry)
        kept += distinct
    counts["duplicate"] = counts.get("duplicate", 0) + len(entries) - len(kept)
    return sorted(kept, key=lambda e: e["id"])


def hull_distances(entries: list[dict]) -> None:
    """Add `formation_energy` and `e_above_hull` (eV/atom), from one phase diagram per chemical system."""
    points = [PDEntry(e["structure"].composition, e["energy"] * len(e["structure"])) for e in entries]
    systems = [frozenset(e["structure"].symbol_set) for e in entries]
    members = defaultdict(list)
    for point, system in zip(points, systems, strict=True):
        members[system].append(point)
    diagrams = {}
    for system in members:
        inside = [p for other, group in members.items() if other <= system for p in group]
        diagrams[system] = PhaseDiagram(inside)
    for entry, point, system in zip(entries, points, systems, strict=True):
        entry["formation_energy"] = diagrams[system].get_form_energy_per_atom(point)
        entry["e_above_hull"] = diagrams[system].get_e_above_hull(point)


def drop_dense(entries: list[dict], counts: dict[str, int]) -> list[dict]:
    """Leave out what a volume scan can find but no laboratory: molecular elements on a metal's lattice, tiny cells."""
    kept = []
    for entry in entries:
        symbols, structure = entry["structure"].symbol_set, entry["structure"]
        if len(symbols) == 1 and symbols[0] in MOLECULAR and entry["prototype"] in METAL_LATTICES:
            reason = "molecular element on the lattice of a metal"
        elif structure.volume / len(structure) < SMALLEST_VOLUME:
            reason = f"less than {SMALLEST_VOLUME} A3 an atom"
        else:
            kept.append(entry)
            continue
        counts[reason] = counts.get(reason, 0) + 1
    return kept


def drop_implausible(entries: list[dict], counts: dict[str, int]) -> list[dict]:
    """Leave out what is so far above the hull that substitution or source must be wrong."""
    kept = [e for e in entries if e["e_above_hull"] <= IMPLAUSIBLE]
    for origin in ("prototype", "substitution"):
        lost = sum(e["origin"] == origin for e in entries) - sum(e["origin"] == origin for e in kept)
        counts[f"{origin} more than {IMPLAUSIBLE} eV/atom above the hull"] = lost
    return kept


def near_hull(entries: list[dict], count: int) -> list[dict]:
    """Substituted elements (the references), then the `count` substituted compounds nearest to the hull."""
    hull_distances(entries)
    movable = [e for e in entries if e["origin"] == "substitution"]
    elements = [e for e in movable if len(e["structure"].symbol_set) == 1 and e["e_above_hull"] < 0.2]
    compounds = [e for e in movable if len(e["structure"].symbol_set) > 1]
    nearest = sorted(compounds, key=lambda e: (e["e_above_hull"], e["id"]))[:count]
    return elements + nearest


def row(entry: dict) -> dict:
    """Everything about a crystal that needs no other crystal and no property model."""
    structure = entry["structure"]
    symmetry = SpacegroupAnalyzer(structure, symprec=SYMMETRY_TOLERANCE)
    volume_per_atom = structure.volume / len(structure)
    return {
        "material_id": entry["id"],
        "formula": structure.composition.reduced_formula,
        "chemsys": structure.chemical_system,
        "nsites": len(structure),
        "spacegroup_number": symmetry.get_space_group_number(),
        "crystal_system": symmetry.get_crystal_system(),
        "family": chemical_family(structure.atomic_numbers),
        "volume": structure.volume,
        "formation_energy_per_atom": entry["formation_energy"],
        "energy_per_atom": entry["energy"],
        "density": structure.density,
        "atomic_density": 1 / volume_per_atom,
        "volume_per_atom": volume_per_atom,
        "e_above_hull": max(entry["e_above_hull"], 0.0),
        "is_stable": int(entry["e_above_hull"] <= STABLE),
        "icsd": 1 if entry["origin"] == "prototype" else -1,
        "prototype": entry["prototype"],
        "mineral": entry["mineral"] if entry["origin"] == "prototype" else "",
        "strukturbericht": entry["strukturbericht"],
        "origin": entry["origin"],
        "relaxation": entry["relaxation"],
    }


def assign_splits(table: pd.DataFrame, seed: int) -> pd.Series:
    """Unstable crystals to `pretrain`; stable ones to `train`, `val`, `test` by formula."""
    split = pd.Series("pretrain", index=table.index, name="split")
    stable = table["is_stable"] == 1
    split[stable] = split_by_formula(table.loc[stable, "formula"], seed=seed)
    return split


def write_table(entries: list[dict], path: Path, seed: int) -> pd.DataFrame:
    """Label every crystal, split, and write the parquet file."""
    logging.info("symmetry and labels of %d crystals", len(entries))
    table = pd.DataFrame([row(e) for e in entries])
    structures = [e["structure"] for e in entries]
    table = table.join(pd.DataFrame(electronic_labels(structures)))
    table = table.join(pd.DataFrame(magnetic_labels([e["moments"] for e in entries])))
    table["gap_class"] = gap_class(table["band_gap"])
    table["magnetic_class"] = magnetic_class(table["magnetization_per_atom"], [s.atomic_numbers for s in structures])
    table["split"] = assign_splits(table, seed)
    table = table.astype({c: np.float32 for c in table.select_dtypes("float64")})
    table = table.astype({"nsites": np.int16, "spacegroup_number": np.int16, "is_stable": np.int8, "icsd": np.int8})
    table = table.join(pd.DataFrame(pack_structure_columns(structures)))
    table.to_parquet(path, compression="zstd", index=False)
    logging.info("%s: %d crystals, %.1f MB", path.name, len(table), path.stat().st_size / 1e6)
    return table


def split_counts(table: pd.DataFrame) -> dict[str, int]:
    """What the card reports about the finished table."""
    return {
        "crystals": len(table),
        "stable": int(table["is_stable"].sum()),
        "prototype_types": int(table["prototype"].nunique()),
        "elements": len({z for numbers in table["atomic_numbers"] for z in numbers}),
        "max_sites": int(table["nsites"].max()),
        **{f"split_{name}": int(n) for name, n in table["split"].value_counts().items()},
        **{f"relaxation_{name}": int(n) for name, n in table["relaxation"].value_counts().items()},
        **{f"origin_{name}": int(n) for name, n in table["origin"].value_counts().items()},
    }
