"""The items of a CIF, and whether its symmetry is one that its cell can have."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from .policy import Notes, refuse
from .policy_cases import MAX_ATOMS, MAX_OPERATIONS

Block = dict[str, Any]  # the items of a CIF block: a text, or a list of texts for the columns of a loop

OPERATIONS = ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz", "_space_group_symop_magn_operation.xyz")
OPERATION = re.compile(r"[-+*/.\dxyz]+,[-+*/.\dxyz]+,[-+*/.\dxyz]+(,[-+]?1)?", re.IGNORECASE)
NAMES = ("_symmetry_space_group_name_H-M", "_space_group_name_H-M_alt", "_symmetry_space_group_name_Hall",
         "_space_group_name_Hall")  # fmt: skip
GROUP_NUMBERS = ("_symmetry_Int_Tables_number", "_space_group_IT_number")
UNKNOWN = ("?", ".")
TRIVIAL = ("P1", "1")
METRIC = 0.02  # relative; how far a cell may be from the metric of its group


def column(block: Block, name: str) -> list[str]:
    """A column of a loop, also where it stands alone; empty if it is absent."""
    values = block.get(name, [])
    return values if isinstance(values, list) else [values]


def first(block: Block, names: Iterable[str]) -> str:
    """The first known value under one of the names, or nothing."""
    values = (str(block.get(name, "")).strip() for name in names if not isinstance(block.get(name), list))
    return next((value for value in values if value and value not in UNKNOWN), "")


def check_operations(block: Block, sites: int) -> None:
    """Pymatgen takes any text for an operation, and as long as it needs for them.

    Raises:
        FileError: too many sites or operations.
        StructureError: a text that is no operation.
    """
    texts = [text for name in OPERATIONS for text in column(block, name)]
    # Special positions have fewer images than there are operations, hence the factor.
    if len(texts) > MAX_OPERATIONS or sites > MAX_ATOMS or sites * len(texts) > 2 * MAX_ATOMS:
        raise refuse("too-large", f"{sites:,} sites and {len(texts)} operations; {MAX_ATOMS:,} atoms are allowed")
    odd = next((text for text in texts if not OPERATION.fullmatch(text.replace(" ", ""))), None)
    if odd is not None:
        raise refuse("symmetry-unknown", f"{odd!r} is no operation")


def check_symmetry(block: Block, operations: list[Any], filled: bool, notes: Notes) -> None:
    """A group that pymatgen does not know becomes P1 without a word from its result.

    Args:
        block: the file's items.
        operations: what was applied.
        filled: whether the file confirms the number of atoms.
        notes: takes what is odd but accepted.

    Raises:
        StructureError: no such group, or nothing that confirms P1.
    """
    name, integer = first(block, NAMES), first(block, GROUP_NUMBERS)
    group = "".join(name.split()) or integer
    if any(column(block, key) for key in OPERATIONS):
        _check_order(name, len(operations), filled, notes)
    elif len(operations) > 1:
        notes.meet("symmetry-from-name", f"no operations, only the group {group}")
    elif group not in TRIVIAL:
        if group:
            raise refuse("symmetry-unknown", f"the space group {group!r} does not exist, or not in this form")
        if not filled:
            raise refuse("symmetry-unknown", "no symmetry, and no formula with Z that would confirm P1")
        notes.meet("symmetry-absent", "no symmetry in the file")


def _check_order(name: str, count: int, filled: bool, notes: Notes) -> None:
    """The listed operations count; a list of x, y, z alone for a larger group must give all the atoms."""
    order = _orders().get(re.sub(r"[\s_]", "", name), 0)  # 0: unknown, such as a Hall symbol
    if count == 1 < order and not filled:
        raise refuse("symmetry-unknown", f"only x, y, z is listed for the group {name}, and no formula with Z")
    if order not in (0, count):
        notes.meet("symmetry-differs", f"{count} operations are listed, the group {name} has {order}")


@cache
def _orders() -> dict[str, int]:
    """Number of operations by the name of the group, without blanks and underscores."""
    from pymatgen.symmetry.groups import SYMM_DATA

    groups = {name: group["order"] for name, group in SYMM_DATA["space_group_encoding"].items()}
    short = {name: groups.get(full, 0) for name, full in SYMM_DATA["abbreviated_spacegroup_symbols"].items()}
    return {re.sub(r"[\s_]", "", name): order for name, order in (short | groups).items()}


def check_metric(lattice: np.ndarray, operations: list[Any]) -> None:
    """Every operation must leave lengths and angles as they are: W^T G W = G with the metric G of the cell.

    Raises:
        StructureError: one does not.
    """
    if not np.isfinite(lattice).all():
        return  # refused in `check_cell`
    rotations = np.array([operation.rotation_matrix for operation in operations])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # of absurd cells, refused there too
        metric = lattice @ lattice.T
        turned = np.einsum("oji,jk,okl->oil", rotations, metric, rotations)
        # In the scale of each pair of axes, so that one long axis does not hide the others.
        off = np.abs((turned - metric) / np.sqrt(np.outer(np.diag(metric), np.diag(metric)))).max()
    if off > METRIC:
        raise refuse(
            "symmetry-misfit", f"the symmetry asks for axes or angles that the cell has not (off by {off:.0%})"
        )
