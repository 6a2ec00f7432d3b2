"""From an explorer's state to chemiscope: its data, its settings, and its script in the colours of this project.

chemiscope (BSD, its notice is kept in saved pages) draws the map and the crystal. It posts a page view to plausible.io
whenever a widget is drawn, unless the browser's storage has `plausible_ignore`; the script made here sets that first,
so nothing leaves the machine.
"""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .explorer import ExplorerState
from .plots import GREY
from .structure_files import Cell
from .vocabulary import COLOURS

if TYPE_CHECKING:
    from collections.abc import Sequence

PALETTE = "okabe-ito"
FALLBACK = "tab10"  # of chemiscope itself
BINS = (*COLOURS, GREY)  # of the palette; the last is for classes not known
NUMBERS, ERRORS = "cividis", "bwr"  # palettes of chemiscope
SHOWN = "passes the filter"
POINT_SIZE = 40  # of chemiscope's 1 to 100, for a few hundred points
SMALL_POINT = 22  # for thousands
MANY_POINTS = 1500
# From the side and a little above, with c upwards: along c, as chemiscope begins, atoms hide one another. The turn is
# applied to the crystal, so these are the columns of the transposed view (eye at 0.45, -0.84, 0.30).
CAMERA = {
    "center": {"x": 0.0, "y": 0.0, "z": 0.0},
    "eye": {"x": 0.0, "y": 0.9547, "z": 0.2978},
    "up": {"x": 0.4679, "y": 0.2632, "z": -0.8437},
    "zoom": -50.0,
}
QUIET = (
    'try { localStorage.setItem("plausible_ignore", "true"); } catch (refused) { /* a browser without storage */ }\n'
)
# Draws a scene, and draws anew when Python sends another: chemiscope itself reads its data once.
WRAPPER = """
const spmatInner = __EXPORT__;
const spmatRoom = ".spmat-scope .chemiscope-info, .spmat-scope .chemiscope-meta { display: none; } " +
  ".spmat-scope .chemiscope-viewer-two-col .chemiscope-structure { height: calc(100% - 12px); }";
const spmatRender = ({ model, el }) => {
  let dispose = () => {};
  const clear = () => {
    const canvases = spmatAll(el, "canvas");
    dispose();
    el.replaceChildren();
    spmatRelease(canvases);
  };
  const draw = () => {
    clear();
    const scene = model.get("scene");
    model.set({ settings: scene.settings, selected_ids: { structure: scene.selected } });
    let fitted = false;
    const own = {
      ...Object.fromEntries(["on", "off", "send", "save_changes"].map((f) => [f, (...a) => model[f](...a)])),
      get: (name) => (name === "value" ? scene.value : model.get(name)),
      set: (name, value, ...options) => {
        if (name === "settings") {
          if (!fitted) spmatFit(el); // the first news of a visualizer that has loaded its crystal
          fitted = true;
          for (const viewer of value.structure ?? []) delete viewer.camera; // else an echo would undo the fit
        }
        return model.set(name, value, ...options);
      },
    };
    dispose = spmatInner.render({ model: own, el });
    const style = document.createElement("style");
    style.textContent = spmatRoom;
    el.classList.add("spmat-scope");
    el.append(style);
    spmatDress(el, scene.dressing);
  };
  let waiting;
  const later = () => { clearTimeout(waiting); waiting = setTimeout(draw, 50); }; // of scenes in a row, only the last
  const fit = () => spmatFit(el);
  model.on("change:scene", later);
  model.on("change:fitted", fit);
  draw();
  return () => {
    clearTimeout(waiting);
    model.off("change:scene", later);
    model.off("change:fitted", fit);
    clear();
  };
};
export default { render: spmatRender };
"""


def to_chemiscope(cell: Cell) -> dict[str, Any]:
    """A crystal in the form of chemiscope: names and positions (A) of its atoms, lattice vectors in a row."""
    from pymatgen.core import Element

    points = (cell.frac % 1.0) @ cell.lattice
    return {
        "size": len(cell.numbers),
        "names": [Element.from_Z(int(number)).symbol for number in cell.numbers],
        **{axis: column.round(4).tolist() for axis, column in zip("xyz", points.T, strict=True)},
        "cell": cell.lattice.round(5).ravel().tolist(),
    }


def drawing_order(state: ExplorerState) -> np.ndarray:
    """The points with one of each class first, [n]: chemiscope gives markers to classes as it meets them."""
    if not state.colour.classes:
        return np.arange(len(state))
    numbers = _colour_numbers(state)
    _, first = np.unique(numbers, return_index=True)
    return np.concatenate([first, np.delete(np.arange(len(state)), first)])


def properties(state: ExplorerState, order: np.ndarray) -> dict[str, dict[str, Any]]:
    """What chemiscope needs to know of each crystal: place on the map, colour, class, and whether it is shown."""
    axes, colour = state.runs[state.run].axes, state.colour
    x, y = state.coordinates[order].T
    values = {f"{axes} 1": x, f"{axes} 2": y, colour.title: _colour_numbers(state)[order]}
    found = {name: {"target": "structure", "values": column.tolist()} for name, column in values.items()}
    if colour.unit:
        found[colour.title]["units"] = colour.unit
    if colour.classes:
        counts = {name: f"{name.replace('_', ' ')} ({count})" for name, _, count in colour.legend()}
        found[_class_name(state)] = {"target": "structure", "values": [counts[name] for name in colour.names[order]]}
    shown = ["yes" if passes else "no" for passes in state.shown[order]]
    return found | {SHOWN: {"target": "structure", "values": shown}}


def _colour_numbers(state: ExplorerState) -> np.ndarray:
    """Numbers as they are; for classes the middle of their bin of the palette."""
    if not state.colour.classes:
        return state.colour.numbers
    return np.where(np.isfinite(state.colour.numbers), state.colour.numbers, len(BINS) - 1) + 0.5


def _class_name(state: ExplorerState) -> str:
    """The property with the classes in words, which sets the marker."""
    return f"{state.colour.title}, marker"


def settings(
    state: ExplorerState, order: np.ndarray, supercell: int = 1, bonds: bool = True, palette: str = PALETTE
) -> dict[str, Any]:
    """How chemiscope shows it, with the selected crystal.

    Args:
        state: what to show.
        order: of the points, from `drawing_order`.
        supercell: repetitions of the cell along each axis.
        bonds: whether lines join neighbouring atoms.
        palette: of classes.
    """
    axes = state.runs[state.run].axes
    shown = state.shown
    chosen = {"mode": "all"} if shown.all() else {"mode": "category-gray", "category": f"{SHOWN}/yes"}
    classes = bool(state.colour.classes)
    low, high = _scale(state)
    name = palette if classes else ERRORS if state.colour.around_zero else NUMBERS
    return {
        "target": "structure",
        "map": {
            "x": {"property": f"{axes} 1"},
            "y": {"property": f"{axes} 2"},
            "symbol": _class_name(state) if classes else "",
            "color": {
                "property": state.colour.title,
                "palette": name,
                "min": low,
                "max": high,
                "select": chosen,
            },
            "size": {"factor": SMALL_POINT if len(state) > MANY_POINTS else POINT_SIZE},
        },
        "structure": [structure_settings(supercell, bonds) | {"camera": CAMERA}],
        "pinned": [int(np.flatnonzero(order == state.number(state.selected))[0])],
    }


def structure_settings(supercell: int, bonds: bool) -> dict[str, Any]:
    """How the crystal is drawn."""
    return {"unitCell": True, "bonds": bonds, "supercell": [supercell] * 3, "axes": "abc"}


def _scale(state: ExplorerState) -> tuple[float, float]:
    """Ends of the colour scale."""
    if state.colour.classes:
        return 0.0, float(len(BINS))
    values = state.colour.numbers[np.isfinite(state.colour.numbers)]
    if state.colour.around_zero:
        reach = float(np.abs(values).max()) or 1.0
        return -reach, reach
    return float(values.min()), float(values.max())


def dressing(state: ExplorerState, order: np.ndarray) -> dict[str, list[str]]:
    """Hint of each point in `order`, and the colours of the legend."""
    formulas = state.crystals.table["formula"].to_numpy()
    hints = [f"{formulas[number]}   {state.colour.words(number)}" for number in order]
    return {"hints": hints, "legend": [colour for _, colour, _ in state.colour.legend()]}


def dataset(
    state: ExplorerState, structures: "Sequence[dict[str, Any]]", look: dict[str, Any], order: np.ndarray
) -> dict[str, Any]:
    """Everything in chemiscope's format.

    Args:
        state: what to show.
        structures: of the points in `order`, from `to_chemiscope`, or references to them.
        look: from `settings`.
        order: from `drawing_order`.
    """
    about = f"{state.colour.axis}; {state.message}"
    meta = {"name": f"{state.everything.name}: {state.run}", "description": about}
    return {"meta": meta, "structures": list(structures), "properties": properties(state, order), "settings": look}


@cache
def palette_colours() -> str:
    """The palette in the form of plotly: bins of equal width."""
    rgb = [f"rgb({int(c[1:3], 16)}, {int(c[3:5], 16)}, {int(c[5:], 16)})" for c in BINS]
    ends = [f"[{place / len(rgb):.6g}, '{colour}']" for i, colour in enumerate(rgb) for place in (i, i + 1)]
    return f"[{', '.join(ends)}]"


def with_palette(script: str) -> tuple[str, str]:
    """The script of chemiscope with the palette of this project, and the name of the palette to use.

    A version whose script has no place for it is left as it is, with a palette of its own.
    """
    places = re.compile(r"(?<=[,{])tab10:(?=\w+\()")
    changed, count = places.subn(f'"{PALETTE}":{palette_colours()},tab10:', script, count=1)
    return changed, PALETTE if count else FALLBACK


@cache
def widget_script() -> tuple[str, str]:
    """The module for notebooks: quiet, with our palette, hints and redrawing; and the name of the palette."""
    script, palette = with_palette(_read("static/chemiscope-widget.mjs"))
    export = re.search(r"export\s*\{\s*(\w+) as default\s*\};?\s*$", script)
    if export is None:
        return QUIET + script, palette
    return QUIET + script[: export.start()] + own_script() + WRAPPER.replace("__EXPORT__", export.group(1)), palette


@cache
def page_script() -> tuple[str, str]:
    """The script for a page, with our palette, and the name of the palette."""
    return with_palette(_read("sphinx/static/chemiscope.min.js"))


def own_script() -> str:
    """`explorer.js`."""
    return Path(__file__).with_name("explorer.js").read_text()


def _read(name: str) -> str:
    """A file of the chemiscope package."""
    import chemiscope

    return (Path(chemiscope.__file__).parent / name).read_text()
