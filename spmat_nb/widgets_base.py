"""What all widgets share: a box on a state object, with a picture for readers who have no kernel."""

import base64
import html
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import ipywidgets

from .errors import SpmatError
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
WIDE = "310px"  # of a control with its name
NAME = "92px"  # of the name alone


class StateView(ipywidgets.VBox):
    """A box of widgets on a state object, `state`: controls change the state, and follow it when code changes it.

    Where widgets cannot live, on a code host or in print, the notebook shows the picture of `static_figure` instead.

    Args:
        state: what is shown.
        name: of the widget, for the class of its element.
        children: the widgets.
    """

    def __init__(self, state: Any, name: str, children: list[ipywidgets.Widget]) -> None:
        super().__init__([ipywidgets.HTML(STYLE), *children])
        self.state = state
        self._lock = threading.RLock()  # callbacks and runs have threads of their own
        self._following = False
        self.add_class("spmat")
        self.add_class(f"spmat-{name}")

    def static_figure(self) -> "Figure":
        """The same as a figure, for readers of a page and for print."""
        return self.state.static_figure()

    def complain(self, sentence: str) -> None:
        """Say in the widget what was wrong."""
        raise NotImplementedError

    def on_change(self, control: ipywidgets.Widget, action: Callable[[Any], None], name: str = "value") -> None:
        """Call `action` with the new value when somebody changes a control, but not when it follows the state."""

        def observer(change: Any) -> None:
            with self._lock:
                if not self._following:
                    self.attempt(lambda: action(change["new"]))

        control.observe(observer, name)

    def connect(self, controls: Mapping[str, ipywidgets.Widget]) -> None:
        """Let each control set its field of the state."""
        for field, control in controls.items():
            self.on_change(control, self._setter(field))

    def _setter(self, field: str) -> Callable[[Any], None]:
        return lambda value: self.state.choose(**{field: value})

    def attempt(self, action: Callable[[], object]) -> None:
        """Do it, or say in the widget what was wrong."""
        try:
            action()
        except SpmatError as error:
            self.complain(str(error))
        except OSError as error:
            self.complain(f"This could not be written: {error.strerror}.")

    @contextmanager
    def following(self) -> Iterator[None]:
        """While controls are set from the state."""
        with self._lock:
            before, self._following = self._following, True
            try:
                yield
            finally:
                self._following = before

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The widget for a notebook, and a picture for everything else."""
        bundle = super()._repr_mimebundle_(**options) or {}
        picture = base64.b64encode(to_png(self.static_figure())).decode()
        return {**bundle, "image/png": picture, "text/plain": f"{type(self).__name__}: run the cell to use it"}


def follow(control: ipywidgets.Widget, value: Any) -> None:
    """Show a value in a control, which makes room for it."""
    if getattr(control, "max", None) is not None and not isinstance(value, tuple):
        control.max = max(control.max, value)
    if control.value != value:
        control.value = value


def picture() -> ipywidgets.Image:
    """An empty picture, as wide as there is room."""
    return ipywidgets.Image(format="png", layout={"max_width": "100%", "object_fit": "contain"})


def text(content: str = "") -> ipywidgets.HTML:
    """A line of HTML; see `words`."""
    box = ipywidgets.HTML(content)
    box.add_class("spmat-text")
    return box


def words(sentence: str) -> str:
    """Plain text as HTML."""
    return html.escape(sentence)


def named(description: str, width: str = WIDE) -> dict[str, Any]:
    """Options of a control with its name on the left."""
    return {"description": description, "style": {"description_width": NAME}, "layout": {"width": width}}
