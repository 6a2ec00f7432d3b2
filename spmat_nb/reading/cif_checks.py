"""Is the structure the one its CIF describes? Symbols, occupancies, symmetry and formula; pymatgen seldom objects."""

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from .cells import ISOTOPES, note_isotopes
from .cif_symmetry import UNKNOWN, Block, check_metric, check_operations, check_symmetry, column, first
from .policy import Notes, refuse

if TYPE_CHECKING:
    from pymatgen.core import Structure

CELL = ("_cell_length_a", "_cell_length_b", "_cell_length_c", "_cell_angle_alpha", "_cell_angle_beta",
        "_cell_angle_gamma")  # fmt: skip
COORDINATES = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")
FORMULAS = ("_chemical_formula_sum", "_chemical_formula_structural")
WATER = ("wat", "o-h")  # labels that stand for an oxygen with hydrogens
STOICHIOMETRY = 0.01  # how far ratios of element counts may differ


def before_reading(block: Block, notes: Notes) -> None:
    """What pymatgen would read as something else, or would take too long for.

    Raises:
        StructureError: values are unknown, hydrogens are implied, the structure is modulated or occupancies are wrong.
        FileError: too many sites or operations.
    """
    missing = [name for name in CELL if str(block.get(name, "0")).strip() in UNKNOWN]
    if missing:
        raise refuse("no-cell", f"cannot be read: {missing[0]} is {block[missing[0]]!r}")
    labels = column(block, "_atom_site_label") or column(block, "_atom_site_type_symbol")
    for name in COORDINATES:
        if len(column(block, name)) != len(labels):
            raise refuse("no-coordinates", f"cannot be read: {len(labels)} sites, {len(column(block, name))} {name}")
        for label, value in zip(labels, column(block, name), strict=True):
            if value.strip() in UNKNOWN:
                raise refuse("no-coordinates", f"site {label} has {value!r} for {name}")
    if any("_cell_modulation_dimension" in name or "_cell_wave_vector" in name for name in block):
        raise refuse("modulated", "an incommensurate (modulated) structure")
    if any("magn" in name or "_atom_site_moment" in name for name in block):
        notes.meet("magnetic", "a magnetic CIF")
    check_operations(block, len(labels))
    _check_hydrogens(block, labels)
    _check_occupancies(labels, column(block, "_atom_site_occupancy"), notes)


def _check_hydrogens(block: Block, labels: list[str]) -> None:
    attached = [value for value in column(block, "_atom_site_attached_hydrogens") if number(value)]
    symbols = [*labels, *column(block, "_atom_site_type_symbol")]
    water = [symbol for symbol in symbols if symbol.lower().startswith(WATER)]
    if attached or water:
        what = f"label {water[0]!r}" if water else "_atom_site_attached_hydrogens"
        raise refuse("hydrogen-missing", f"hydrogens are implied by {what} and have no site")


def _check_occupancies(labels: list[str], values: list[str], notes: Notes) -> None:
    for label, text in zip(labels, values, strict=False):
        if text.strip() == "?":
            notes.meet("occupancy-unknown", f"site {label} has the occupancy '?'")
        share = 1.0 if text.strip() in UNKNOWN else number(text)
        if share < 0:
            raise refuse("occupancy-over", f"site {label} has the occupancy {text}")
        if share == 0:
            notes.meet("occupancy-zero", f"site {label} has the occupancy 0")


def number(text: str) -> float:
    """A CIF number without its uncertainty; '.' and '?' count as 0.

    Raises:
        FileError: text.
    """
    try:
        return 0.0 if text.strip() in UNKNOWN else float(re.sub(r"\(.*", "", text))
    except ValueError as error:
        raise refuse("unreadable", f"cannot be read: could not convert {text!r} to a number") from error


def after_reading(block: Block, structure: "Structure", operations: list[Any], notes: Notes) -> None:
    """Compare the structure with its file.

    Raises:
        StructureError: elements, formula or symmetry are not those of the file, or nothing confirms a guess.
    """
    atoms = structure.composition.remove_charges().get_el_amt_dict()
    stated = _stated(block)
    if stated:
        _check_formula(stated, atoms)
    _check_units(block, stated, atoms)
    _check_elements(block, confirmed=bool(stated), notes=notes)
    check_symmetry(block, operations, filled=_fills(block, stated, atoms), notes=notes)
    check_metric(structure.lattice.matrix, operations)


def _stated(block: Block) -> dict[str, float]:
    """The formula in the file, or nothing if it has none that can be read."""
    from pymatgen.core import Composition, Element

    text = first(block, FORMULAS)
    try:
        amounts = Composition(text).remove_charges().get_el_amt_dict() if text else {}
    except (ValueError, TypeError):
        return {}
    known = all(Element.is_valid_symbol(symbol) for symbol in amounts)
    return amounts if known else {}


def _check_formula(stated: dict[str, float], atoms: dict[str, float]) -> None:
    if set(stated) - set(atoms) == {"H"}:
        raise refuse("hydrogen-missing", "the formula has hydrogen, the sites have none")
    describe = "the structure is not the one its file describes (formula or symmetry)"
    if set(stated) != set(atoms):
        odd = ", ".join(sorted(set(stated) ^ set(atoms)))
        raise refuse("formula-differs", f"{describe}: {odd} only in the formula or only on the sites")
    ratios = {symbol: atoms[symbol] / stated[symbol] for symbol in stated}
    if max(ratios.values()) - min(ratios.values()) > STOICHIOMETRY:
        raise refuse("formula-differs", f"{describe}: Incorrect stoichiometry: CIF={stated} PMG={atoms} {ratios=}")


def _units(stated: dict[str, float], atoms: dict[str, float]) -> set[int]:
    """How many formula units the cell holds: of the stated formula, of the reduced one, or one of the whole cell."""
    from pymatgen.core import Composition

    whole = Composition(atoms)
    count = round(sum(atoms.values()))
    reduced = round(count / whole.reduced_composition.num_atoms)
    ways = {reduced, round(whole.get_reduced_formula_and_factor()[1])}
    return ways | ({round(count / sum(stated.values()))} if stated else set())


def _check_units(block: Block, stated: dict[str, float], atoms: dict[str, float]) -> None:
    z = first(block, ("_cell_formula_units_Z",))
    if z and number(z) and round(number(z)) not in _units(stated, atoms):
        found = " or ".join(map(str, sorted(_units(stated, atoms))))
        raise refuse("units-differ", f"the atoms make {found} formula units, the file says Z = {z}")


def _fills(block: Block, stated: dict[str, float], atoms: dict[str, float]) -> bool:
    """Whether the file says how many atoms the cell has, by Z (checked before) or by the formula of the whole cell."""
    return bool(stated) and (bool(first(block, ("_cell_formula_units_Z",))) or stated == atoms)


@cache
def _symbols() -> frozenset[str]:
    from pymatgen.core import Element

    return frozenset({element.symbol for element in Element} | set(ISOTOPES))


def _check_elements(block: Block, confirmed: bool, notes: Notes) -> None:
    """Symbols must be elements as written; a guess needs the formula, or two letters in the type column."""
    types = column(block, "_atom_site_type_symbol")
    for text in dict.fromkeys(types or column(block, "_atom_site_label")):
        letters = (re.match(r"[A-Za-z]*", text) or [""])[0]
        note_isotopes([letters], notes)
        guess = next((g for g in (letters[:2].title(), letters[:1].upper()) if g in _symbols()), "")
        if letters in _symbols():
            continue
        if not guess:
            raise refuse("unknown-element", f"{text!r} is no element")
        if not (confirmed or (types and letters.title() in _symbols())):
            raise refuse("element-ambiguous", f"{text!r} is no element as written; it could be {guess}")
        notes.meet("element-guessed", f"{text!r} is read as {guess}")
