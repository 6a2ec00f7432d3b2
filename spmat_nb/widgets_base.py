"""What all widgets share: a box on a state object, with a picture for readers who have no kernel."""

import base64
import html
from typing import TYPE_CHECKING, Any

import ipywidgets

from .plots_live import to_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours of JupyterLab's theme, light or dark, and plain ones elsewhere.
STYLE = """<style>
.spmat { padding: 4px 0; }
.spmat-badge { display: inline-block; padding: 1px 9px; border-radius: 9px; color: #fff; font-weight: 600; }
.spmat-badge { margin-right: 4px; }
.spmat-text .widget-html-content { line-height: 1.45; color: var(--jp-ui-font-color1, #222); }
.spmat-card td { padding: 1px 14px 1px 0; line-height: 1.35; vertical-align: top; }
.spmat-card td:first-child { color: var(--jp-ui-font-color2, #666); white-space: nowrap; }
.spmat-card h3 { margin: 0 0 4px 0; color: var(--jp-ui-font-color1, #222); }
.spmat-card table { color: var(--jp-ui-font-color1, #222); border-collapse: collapse; }
.spmat-go.jupyter-button { text-align: left; }
</style>"""
NARROW = "310px"  # of a column of controls
NAME = "92px"  # of the name of a control


class StateView(ipywidgets.VBox):
    """A box of widgets on a state object, `state`.

    Where widgets cannot live, on a code host or in print, the notebook shows the picture of `static_figure` instead.

    Args:
        state: what is shown.
        name: of the widget, for the class of its element.
        children: the widgets.
    """

    def __init__(self, state: Any, name: str, children: list[ipywidgets.Widget]) -> None:
        super().__init__([ipywidgets.HTML(STYLE), *children])
        self.state: Any = state
        self.add_class("spmat")
        self.add_class(f"spmat-{name}")

    def static_figure(self) -> "Figure":
        """The same as a figure, for readers of a page and for print."""
        return self.state.static_figure()

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The widget for a notebook, and a picture for everything else."""
        bundle = super()._repr_mimebundle_(**options) or {}
        picture = base64.b64encode(to_png(self.static_figure())).decode()
        return {**bundle, "image/png": picture, "text/plain": f"{type(self).__name__}: run the cell to use it"}


def picture() -> ipywidgets.Image:
    """An empty picture as wide as there is room."""
    return ipywidgets.Image(format="png", layout={"max_width": "100%", "object_fit": "contain"})


def text(content: str = "") -> ipywidgets.HTML:
    """A line of words, which are taken as they are: pass text through `words` first."""
    box = ipywidgets.HTML(content)
    box.add_class("spmat-text")
    return box


def words(sentence: str) -> str:
    """Text as HTML."""
    return html.escape(sentence)


def named(description: str, **layout: str) -> dict[str, Any]:
    """Options of a control with its name on the left."""
    return {
        "description": description,
        "style": {"description_width": NAME},
        "layout": {"width": NARROW, **layout},
    }
