"""An explorer as one HTML file that opens without network and without Python, to hand in or to send."""

import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .explorer import Card, ExplorerState
from .explorer_scope import dataset, drawing_order, dressing, own_script, page_script, settings, to_chemiscope
from .files import write_text

SYMMETRY_LIMIT = 500  # crystals; for more, space groups are shown only where the data has them


def card_html(card: Card) -> str:
    """A card as a heading and a table."""
    rows = (f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>" for name, value in card.rows)
    return f"<h3>{html.escape(card.formula)}</h3><table>{''.join(rows)}</table>"


def save_page(state: ExplorerState, path: str | Path, supercell: int = 2, bonds: bool = True) -> Path:
    """Write the present map, with all its crystals and cards, into one file.

    chemiscope's script, all structures and all cards are in the file (3 MB and about 1 kB a crystal). It loads nothing
    and reports to nobody.

    Args:
        state: what is shown.
        path: of the file; its folder is made if absent.
        supercell: repetitions of the cell along each axis.
        bonds: whether lines join neighbouring atoms.

    Returns:
        The path.
    """
    script, palette = page_script()
    order = drawing_order(state)
    structures = [to_chemiscope(state.crystals.cells[number]) for number in order]
    scene = {
        "data": dataset(state, structures, settings(state, order, supercell, bonds, palette), order),
        "cards": cards(state, order),
        "selected": int(np.flatnonzero(order == state.number(state.selected))[0]),
        "dressing": dressing(state, order),
    }
    parts = {
        "TITLE": html.escape(f"{state.everything.name}: {state.run}, by {state.colour.title.lower()}"),
        "NOTE": html.escape(state.message),
        "LICENCES": html.escape(licences()),
        "CHEMISCOPE": _inside_script(script),
        "OWN": _inside_script(own_script()),
        "SCENE": json.dumps(scene, separators=(",", ":")).replace("<", "\\u003c"),
    }
    template = Path(__file__).with_name("explorer_page.html").read_text()
    text = re.sub(f"__({'|'.join(parts)})__", lambda found: parts[found[1]], template)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    return path


def cards(state: ExplorerState, order: np.ndarray) -> list[dict[str, Any]]:
    """Formula, rows and neighbours of the points in `order`; of a neighbour its place there, formula and distance.

    A neighbour that is not on the map has the place -1.
    """
    index, points = state.everything.table.index, [state.points[number] for number in order]
    rows_on_map = index.get_indexer(pd.Index(points))
    near, distances = state.nearest(rows_on_map)
    formulas = state.everything.table["formula"].to_numpy()
    positions = np.full(len(index), -1)
    positions[rows_on_map] = np.arange(len(state))
    determine = len(state) <= SYMMETRY_LIMIT
    return [
        {
            "formula": state.formula(material_id),
            "rows": state.rows(material_id, determine),
            "near": [
                [int(positions[row]), str(formulas[row]), f"{distance:.2f}"]
                for row, distance in zip(rows, lengths, strict=True)
            ],
        }
        for material_id, rows, lengths in zip(points, near, distances, strict=True)
    ]


def _inside_script(code: str) -> str:
    """A script whose strings cannot end the element it stands in."""
    return re.sub("<(?=/script|!--)", r"<\\", code, flags=re.IGNORECASE)


def licences() -> str:
    """The notices of chemiscope and of what is bundled with it."""
    from importlib.metadata import files

    import chemiscope

    kept = [Path(str(file.locate())) for file in files("chemiscope") or () if file.name == "LICENSE"]
    kept += sorted((Path(chemiscope.__file__).parent / "static").glob("*.LICENSE.txt"))
    return "\n\n".join(path.read_text() for path in kept)
