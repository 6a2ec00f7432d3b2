"""Figures of crystals before they are graphs: periodic images and neighbour shells. Data in, Axes out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .plots import GREY, MARKERS, _cell_edges
from .vocabulary import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pymatgen.core import Structure

INK = "#333333"
ON_WHITE: dict[str, Any] = {
    "fontsize": 9,
    "ha": "center",
    "va": "center",
    "bbox": {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none"},
}


def element_looks(symbols: Iterable[str]) -> dict[str, dict[str, Any]]:
    """A colour and a marker for each element, in alphabetical order."""
    return {
        symbol: {"color": COLOURS[number % 7], "marker": MARKERS[number % 7], "edgecolor": "black"}
        for number, symbol in enumerate(sorted(set(symbols)))
    }


def periodic_images_2d(lattice: np.ndarray, sites: Mapping[str, Sequence[float]], radius: float, ax: "Axes") -> "Axes":
    """A flat crystal: its cell, the eight cells around it, and the edges of the first site.

    Args:
        lattice: [2, 2], a vector a row, A.
        sites: fractional coordinates by element; the first is the centre.
        radius: images within it are joined to the centre, A.
        ax: where to draw.
    """
    looks, centre = element_looks(sites), np.array(next(iter(sites.values()))) @ lattice
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) @ lattice
    for image in np.ndindex(3, 3):
        shift = (np.array(image) - 1) @ lattice
        home = not shift.any()
        ax.fill(
            *(corners + shift).T, facecolor="#EFEFEF" if home else "none", edgecolor=INK if home else GREY, zorder=0
        )
        for symbol, frac in sites.items():
            point = np.array(frac) @ lattice + shift
            look = looks[symbol] | {
                "alpha": 1.0 if home else 0.4,
                "label": f"{symbol} (1 in the cell)" if home else None,
            }
            ax.scatter(point[0], point[1], s=220, zorder=3, **look)
            if 0 < np.linalg.norm(point - centre) <= radius:
                ax.plot(*np.stack([centre, point]).T, color=INK, lw=1.5, zorder=1)
                name = _image(i - 1 for i in image)
                ax.annotate(name, point, (0, -20), textcoords="offset points", ha="center", fontsize=9)
    ax.set(aspect="equal", xlabel="x (Å)", ylabel="y (Å)", title="A flat crystal: home cell grey, images pale")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    return ax


def periodic_images_3d(structure: "Structure", radius: float, centre: int, ax: Any) -> "Axes":
    """The cell of a crystal and the neighbours of one site, each with its image.

    Args:
        structure: a crystal with a small cell.
        radius: neighbours within it are drawn, A.
        centre: the site.
        ax: with projection 3d.
    """
    looks, here = element_looks(structure.symbol_set), structure[centre]
    around = structure.get_neighbors(here, radius)
    for line in _cell_edges(structure.lattice.matrix):
        ax.plot(*line.T, color=GREY, lw=1.0)
    for n in around:
        ax.plot(*np.stack([here.coords, n.coords]).T, color=INK, lw=1.2)
        look = looks[n.specie.symbol] | {"alpha": 0.45 if any(n.image) else 1.0}
        ax.scatter(*n.coords, s=170, depthshade=False, **look)
        side = 0.14 * structure.lattice.c * np.sign(n.coords[2] - here.coords[2])
        ax.text(*(n.coords + np.array([0.0, 0.0, side])), _image(n.image), **ON_WHITE)
    ax.scatter(*here.coords, s=200, depthshade=False, **looks[here.specie.symbol])
    ax.view_init(elev=16, azim=-67)
    frame_3d(ax, structure.lattice.matrix, 0.92)
    ax.set_title(f"{structure.reduced_formula}: one {here.specie} and its {len(around)} neighbours")
    return ax


def _image(image: Iterable[int]) -> str:
    """A lattice translation in words."""
    return f"({', '.join(str(int(i)) for i in image)})".replace("-", "−")


def shell_counts(structure: "Structure", radius: float, kept: int, ax: "Axes", centre: int = 0) -> "Axes":
    """How many neighbours a site has at each distance; those beyond the nearest `kept` are hatched.

    Args:
        structure: a crystal.
        radius: as far as this, A.
        kept: neighbours in a graph.
        ax: where to draw.
        centre: the site.
    """
    looks, below = element_looks(structure.symbol_set), 0
    around = [(round(n.nn_distance, 2), n.specie.symbol) for n in structure.get_neighbors(structure[centre], radius)]
    for (distance, symbol), count in sorted(Counter(around).items()):
        inside = max(0, min(count, kept - below))
        below += count
        bar: dict[str, Any] = {"width": 0.22, "edgecolor": "black"}
        ax.bar(distance, inside, color=looks[symbol]["color"], **bar)
        ax.bar(distance, count - inside, bottom=inside, color="white", hatch="////", **bar)
        ax.annotate(f"{count} {symbol}", (distance, count), (0, 3), textcoords="offset points", ha="center", fontsize=9)
    ax.set(xlabel="distance (Å)", ylabel="neighbours", ylim=(0, 29), xlim=(1.8, radius + 0.2))
    ax.set_title(f"{structure.reduced_formula}, from {structure[centre].specie}")
    ax.bar(0, 0, color="white", hatch="////", edgecolor="black", label=f"beyond the nearest {kept}")
    ax.legend(loc="upper left")
    return ax


def frame_3d(ax: Any, lattice: np.ndarray, zoom: float) -> None:
    """A cube around the cell, without axes.

    Args:
        ax: with projection 3d.
        lattice: [3, 3], a vector a row, A.
        zoom: how much of the room the cube takes.
    """
    corners = np.concatenate(_cell_edges(lattice))
    middle, half = lattice.sum(0) / 2, np.ptp(corners, axis=0).max() / 2
    for name, place in zip("xyz", middle, strict=True):
        getattr(ax, f"set_{name}lim")(place - half, place + half)
    ax.set_box_aspect((1, 1, 1), zoom=zoom)
    ax.set_axis_off()
