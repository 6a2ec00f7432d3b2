"""Summary documents of the Materials Project as rows of our schema."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .tables import pack_structure_columns
from .vocabulary import chemical_family, magnetic_class

RENAMED = {"e_above_hull": "energy_above_hull"}  # our column: their field
NUMBERS = (
    "formation_energy_per_atom",
    "energy_per_atom",
    "band_gap",
    "efermi",
    "density",
    "e_above_hull",
    "total_magnetization",
)
FLAGS = ("is_stable", "is_metal", "is_gap_direct", "theoretical")
FIELDS = ("material_id", "structure", "symmetry", "ordering", *(RENAMED.get(name, name) for name in NUMBERS), *FLAGS)


def rows(documents: Iterable[Any]) -> pd.DataFrame:
    """Documents as rows of our schema by `material_id`; those without a structure are left out.

    Args:
        documents: summary documents of the client, as its models or as dictionaries.

    Returns:
        Structure columns, the six targets (`atomic_density` in atoms/A3: theirs is a volume an atom), flags as 1 and 0,
        and what follows from the structure. Values that a document does not have are missing.
    """
    good = [(d, _structure(d)) for d in documents]
    good = [(document, structure) for document, structure in good if structure is not None]
    found, structures = [document for document, _ in good], [structure for _, structure in good]
    table = pd.DataFrame(
        {name: _numbers(_value(d, RENAMED.get(name, name)) for d in found) for name in (*NUMBERS, *FLAGS)},
        index=pd.Index([id_of(d) for d in found], name="material_id", dtype=str),
    )
    table["ordering"] = [_text(_value(d, "ordering")) for d in found]
    table["spacegroup_number"] = _numbers(_value(_value(d, "symmetry"), "number") for d in found)
    table["crystal_system"] = [_text(_value(_value(d, "symmetry"), "crystal_system"), str.lower) for d in found]
    return table.assign(**_from_structures(structures, table["total_magnetization"]))


def _from_structures(structures: Sequence[Any], moments: pd.Series) -> dict[str, Any]:
    """Columns that follow from the structures, and moments an atom."""
    sizes = [len(structure) for structure in structures]
    volumes = [float(structure.volume) for structure in structures]
    per_atom = moments.abs() / sizes
    numbers = [structure.atomic_numbers for structure in structures]
    return {
        "formula": [structure.composition.reduced_formula for structure in structures],
        "chemsys": [structure.chemical_system for structure in structures],
        "nsites": sizes,
        "volume": volumes,
        "volume_per_atom": [volume / size for volume, size in zip(volumes, sizes, strict=True)],
        "atomic_density": [size / volume for volume, size in zip(volumes, sizes, strict=True)],
        "family": [chemical_family(z) for z in numbers],
        "magnetization_per_atom": per_atom,
        "magnetic_class": magnetic_class(per_atom, numbers),
        **pack_structure_columns(structures),
    }


def id_of(document: Any) -> str:
    """The id of a document in its usual form: `mp-149`, also where the client writes `mp-aaaaaaft` for it."""
    text = str(_value(document, "material_id"))
    try:
        from emmet.core.mpid import AlphaID

        return str(AlphaID(text).formatted)
    except (ImportError, AttributeError, ValueError):  # an older client, which has one form alone
        return text


def _structure(document: Any) -> Any:
    """The structure of a document as pymatgen has it; None if it has none."""
    from pymatgen.core import Structure

    found = _value(document, "structure")
    return Structure.from_dict(dict(found)) if isinstance(found, Mapping) else found


def _value(document: Any, name: str) -> Any:
    """A field of a document, or None."""
    return document.get(name) if isinstance(document, Mapping) else getattr(document, name, None)


def _numbers(values: Iterable[Any]) -> np.ndarray:
    return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)


def _text(value: Any, change: Callable[[str], str] = str) -> str | None:
    """A text, also of an enumeration's member."""
    return None if value is None else change(str(getattr(value, "value", value)))
