"""What two sets share: formulas, and structures that are the same crystal; a model that met them has an easy test.

A shared formula is a mild leak (another structure of the same compound was seen), a shared structure a plain one. Only
structures of one formula are compared, so that the cost grows with the repeats and not with the product of the sets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from .crystals import CrystalSet
from .progress import Progress
from .reading.cells import symmetry_of

if TYPE_CHECKING:
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core import Structure

MANY = 200  # formulas that take some seconds to compare: a bar is shown


@dataclass(frozen=True)
class LeakReport:
    """What a set to test on shares with one that was learnt from.

    Attributes:
        formulas: one row a shared formula: how many crystals of each set have it.
        prototypes: one row a shared prototype: how many crystals of each set have it.
        structures: one row a pair of equal structures: `formula`, ids `learnt` and `tested`, and `rms`, the distance
            between their atoms after the best fit as a share of the mean spacing (0 is exactly equal).
        learnt: crystals learnt from.
        tested: crystals tested on.
    """

    formulas: pd.DataFrame
    prototypes: pd.DataFrame
    structures: pd.DataFrame
    learnt: int
    tested: int

    @property
    def tested_ids(self) -> list[str]:
        """Ids of the tested crystals that have an equal structure among the others."""
        return list(dict.fromkeys(self.structures["tested"]))

    def __str__(self) -> str:
        with_formula = int(self.formulas["tested"].sum())
        return (
            f"{self.tested} crystals to test on, {self.learnt} learnt from: {with_formula} share a formula "
            f"({len(self.formulas)} formulas), {int(self.prototypes['tested'].sum())} a prototype, "
            f"{len(self.tested_ids)} a structure."
        )


def find_leaks(learnt: CrystalSet, tested: CrystalSet, show: bool = True) -> LeakReport:
    """Shared formulas, prototypes and structures.

    Args:
        learnt: what a model was pretrained, trained or chosen on.
        tested: what it is judged by.
        show: report progress where there are many formulas.
    """
    return LeakReport(
        shared_formulas(learnt, tested),
        shared_prototypes(learnt, tested),
        shared_structures(learnt, tested, show=show),
        len(learnt),
        len(tested),
    )


def shared_formulas(learnt: CrystalSet, tested: CrystalSet) -> pd.DataFrame:
    """One row for each reduced formula that both sets have, with how many crystals of each have it.

    Formulas are those of the structures, not of the column, so that sets from different sources can be compared.
    """
    return _shared({name: _formulas(crystals) for name, crystals in _both(learnt, tested)}, "formula")


def shared_prototypes(learnt: CrystalSet, tested: CrystalSet) -> pd.DataFrame:
    """One row for each prototype that both sets have, with how many crystals of each have it.

    The mildest leak: the same arrangement with other elements. A prototype is the anonymous formula with the number of
    the space group (from the column `spacegroup_number`, else by symmetry), such as `AB 225` of rock salt (our
    choice: coarser than an AFLOW label, which also tells the Wyckoff positions).
    """
    return _shared({name: _prototypes(crystals) for name, crystals in _both(learnt, tested)}, "prototype")


def _shared(values: "dict[str, pd.Series]", title: str) -> pd.DataFrame:
    """Counts in each set of the values that both have."""
    counts = pd.DataFrame({name: series.value_counts() for name, series in values.items()})
    return counts.dropna().astype(int).rename_axis(title).sort_index()


def shared_structures(
    learnt: CrystalSet, tested: CrystalSet, matcher: "StructureMatcher | None" = None, show: bool = True
) -> pd.DataFrame:
    """One row for each pair of crystals, one of each set, that are the same structure.

    Args:
        learnt: what a model was pretrained, trained or chosen on.
        tested: what it is judged by.
        matcher: pymatgen's, of primitive cells; by default with its usual tolerances (0.2 of the lattice lengths, 0.3
            of the spacing, 5 degrees), and volumes made equal first: a relaxed crystal is the same as before.
        show: report progress where there are many formulas.

    Returns:
        The columns `formula`, `learnt`, `tested` (ids) and `rms`.
    """
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher = matcher or StructureMatcher(primitive_cell=False)  # cells are reduced once, here
    formulas = {name: _formulas(crystals) for name, crystals in _both(learnt, tested)}
    wanted = sorted(set(formulas["learnt"]) & set(formulas["tested"]))
    places = {name: _places(values, wanted) for name, values in formulas.items()}
    found: list[tuple[str, str, str, float]] = []
    with Progress("compare", len(wanted), show and len(wanted) >= MANY, unit="formula", pause=5.0) as bar:
        for formula in wanted:
            first = _primitive(learnt, places["learnt"][formula])
            second = _primitive(tested, places["tested"][formula])
            found += [(formula, *pair) for pair in _equal(first, second, matcher)]
            bar.report()
    return pd.DataFrame(found, columns=["formula", "learnt", "tested", "rms"])


def _both(learnt: CrystalSet, tested: CrystalSet) -> tuple[tuple[str, CrystalSet], ...]:
    return ("learnt", learnt), ("tested", tested)


def _formulas(crystals: CrystalSet) -> pd.Series:
    return pd.Series([cell.formula() for cell in crystals.cells], dtype=object)


def _prototypes(crystals: CrystalSet) -> pd.Series:
    """Anonymous formula and number of the space group of each crystal."""
    from pymatgen.core import Composition

    named = crystals.table.get("spacegroup_number", pd.Series(index=crystals.table.index, dtype=float))
    groups = [
        int(number) if pd.notna(number) else _space_group(crystals, row)
        for row, number in enumerate(pd.to_numeric(named, errors="coerce"))
    ]
    formulas = [Composition(formula).anonymized_formula for formula in _formulas(crystals)]
    return pd.Series([f"{formula} {group}" for formula, group in zip(formulas, groups, strict=True)], dtype=object)


def _space_group(crystals: CrystalSet, row: int) -> int:
    return int(symmetry_of(crystals.structures[row]).get_space_group_number())


def _places(formulas: pd.Series, wanted: Sequence[str]) -> dict[str, list[int]]:
    """Positions of the crystals of each wanted formula."""
    groups = formulas[formulas.isin(wanted)].groupby(formulas).groups
    return {str(formula): list(rows) for formula, rows in groups.items()}


def _primitive(crystals: CrystalSet, rows: Sequence[int]) -> "list[tuple[str, Structure]]":
    """Ids and primitive cells."""
    return [(str(crystals.table.index[row]), crystals.structures[row].get_primitive_structure()) for row in rows]


def _equal(
    first: "Sequence[tuple[str, Structure]]", second: "Sequence[tuple[str, Structure]]", matcher: "StructureMatcher"
) -> list[tuple[str, str, float]]:
    """Ids and distance of the equal pairs of primitive cells."""
    pairs = []
    for one, structure in first:
        for other, candidate in second:
            fit = matcher.get_rms_dist(structure, candidate) if len(structure) == len(candidate) else None
            if fit is not None:
                pairs.append((one, other, float(fit[0])))
    return pairs
