"""What the `GndnSlider` knows, without a widget: crystals by name, and what GNDN does to the edges of one."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from .augment import MIN_DISTANCE, gndn
from .crystals import CrystalSet
from .draws import Draws
from .errors import InputError, SettingsError, unknown
from .graphs import Batch, pack
from .plots_live import edges_before_after, new_figure
from .settings import GraphSettings
from .structure_files import Cell, check_cell, from_object

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pymatgen.core import Element

MOST_CRYSTALS = 200  # in a list that a person picks from
LARGEST_DELTA = 1.0  # A; the paper's question, "delta from 0.1 to 1.0 A", ends there
FIELDS = ("crystal", "delta", "symmetric", "seed")


class NoiseOnEdges:
    """The edges of one crystal before and after GNDN.

    Args:
        crystals: pymatgen structures, ASE atoms or `Cell`s by name, or a `CrystalSet`.
        crystal: name to begin with; the first if None.
        delta: half-width of the noise, 0 to 1 A.
        symmetric: whether i-j and j-i get the same noise.
        seed: of the noise.

    Attributes:
        listeners: called without arguments after every change.

    Raises:
        InputError: no crystal, more than a list can show, or one that cannot be used.
        SettingsError: a value that is not allowed.
    """

    def __init__(
        self,
        crystals: "Mapping[str, Any] | CrystalSet",
        crystal: str | None = None,
        delta: float = 0.5,
        symmetric: bool = False,
        seed: int = 0,
    ) -> None:
        self.cells = _by_name(crystals)
        self.source = crystals.name if isinstance(crystals, CrystalSet) else ""
        self.crystal, self.delta, self.symmetric, self.seed = next(iter(self.cells)), 0.5, False, 0
        self.listeners: list[Callable[[], None]] = []
        self.choose(crystal=crystal or self.crystal, delta=delta, symmetric=symmetric, seed=seed)

    def choose(self, **values: Any) -> None:
        """Set `crystal`, `delta`, `symmetric` or `seed`.

        Raises:
            SettingsError: an unknown field, or a value that is not allowed.
        """
        for field, value in values.items():
            if field not in FIELDS:
                raise unknown("field", field, FIELDS)
            if field == "crystal" and value not in self.cells:
                raise unknown("crystal", value, self.cells)
            if field == "delta" and not 0 <= value <= LARGEST_DELTA:
                raise SettingsError(f"delta is a length between 0 and {LARGEST_DELTA:g} A here, got {value}.")
            setattr(self, field, value)
        for listener in list(self.listeners):
            listener()

    def batches(self) -> tuple[Batch, Batch]:
        """The graph of the crystal, without and with the noise."""
        graphs = pack([self.cells[self.crystal]], GraphSettings())
        clean = graphs.batch(torch.arange(1))
        return clean, gndn(clean, self.delta, Draws(self.seed), self.symmetric)

    def edges(self) -> pd.DataFrame:
        """One row an edge, from short to long: centre, neighbour, kind, pair, before, after and change in A.

        `kind` names the two elements as a formula would, Na-Cl; edges i-j and j-i have the same number in `pair`.
        """
        clean, noisy = self.batches()
        elements = self._elements()
        ends = [
            (elements[i], elements[j]) for i, j in zip(clean.centre.tolist(), clean.neighbour.tolist(), strict=True)
        ]
        table = pd.DataFrame(
            {
                "centre": [centre.symbol for centre, _ in ends],
                "neighbour": [neighbour.symbol for _, neighbour in ends],
                "kind": [_kind(*pair) for pair in ends],
                "pair": pd.factorize(clean.pair_id.numpy())[0],
                "before": clean.distance.double().numpy(),
                "after": noisy.distance.double().numpy(),
            }
        )
        table = table.assign(change=table["after"] - table["before"])
        return table.sort_values(["before", "kind", "pair"], kind="stable", ignore_index=True)

    def _elements(self) -> "list[Element]":
        """Of each atom."""
        from pymatgen.core import Element

        return [Element.from_Z(int(number)) for number in self.cells[self.crystal].numbers]

    @property
    def same_edges(self) -> bool:
        """Whether noise left every edge between the atoms that it joined: so it must be."""
        clean, noisy = self.batches()
        return torch.equal(clean.centre, noisy.centre) and torch.equal(clean.neighbour, noisy.neighbour)

    @property
    def message(self) -> str:
        """What the figure shows, in sentences."""
        edges = self.edges()
        kept = "the same as before: who is whose neighbour is unchanged" if self.same_edges else "NOT those of before"
        draws = f"{len(edges)} random numbers, one for each edge"
        if self.symmetric:
            draws = f"{edges['pair'].nunique()} random numbers: i-j and j-i share one where both are edges"
        text = f"{len(edges)} edges, {kept}. {draws}; lengths change by up to {edges['change'].abs().max():.2f} Å."
        short = int((edges["after"] <= MIN_DISTANCE + 1e-6).sum())
        return text + (f" Held at {MIN_DISTANCE} Å, the shortest length allowed: {short}." if short else "")

    def static_figure(self) -> "Figure":
        """Lengths before and after, and the change of each edge."""
        figure = new_figure(8.6, 3.3)
        edges_before_after(self.edges(), self.delta, figure.subplots(1, 2, width_ratios=(1, 1.35)))
        kind = "symmetric GNDN" if self.symmetric else "GNDN"
        source = f" of the {self.source}" if self.source else ""
        figure.suptitle(f"{self.crystal}{source}: {kind}, seed {self.seed}", fontsize=9, color="#555555")
        return figure


def _by_name(crystals: "Mapping[str, Any] | CrystalSet") -> dict[str, Cell]:
    """Cells by the name that a list shows."""
    if isinstance(crystals, CrystalSet):
        if len(crystals) > MOST_CRYSTALS:
            raise InputError(
                f"{len(crystals)} crystals are too many to pick from a list: select at most {MOST_CRYSTALS}, as in "
                "crystals.sample(20, seed=0)."
            )
        names = (f"{formula} ({key})" for key, formula in crystals.table["formula"].items())
        return dict(zip(names, crystals.cells, strict=True))
    if not crystals:
        raise InputError("Give at least one crystal.")
    return {
        name: thing if isinstance(thing, Cell) else check_cell(from_object(thing)) for name, thing in crystals.items()
    }


def _kind(first: "Element", second: "Element") -> str:
    """The two elements in the order of a formula."""
    return "-".join(element.symbol for element in sorted((first, second), key=lambda e: e.iupac_ordering))
