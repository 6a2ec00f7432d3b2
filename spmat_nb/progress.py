"""One line of progress: a bar in a terminal, one updating line in a notebook, a plain line an epoch elsewhere."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self


def _in_notebook() -> bool:
    """True in a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


class Epochs:
    """Report the epochs of a loop: `with Epochs("pretrain", 10) as bar: bar.report({"loss": 0.1})`.

    Args:
        title: what is running.
        total: number of epochs.
        show: False for silence.
    """

    def __init__(self, title: str, total: int, show: bool = True) -> None:
        self.title, self.total, self.show = title, total, show
        self.done, self.start = 0, time.perf_counter()
        self._bar: Any = None
        self._line: Any = None

    def __enter__(self) -> Self:
        if self.show and not _in_notebook() and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=self.total, desc=self.title, unit="epoch")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def report(self, values: Mapping[str, float]) -> None:
        """One more epoch is done, with these numbers."""
        self.done += 1
        shown = {name: f"{value:.4g}" for name, value in values.items()}
        if not self.show:
            return
        if self._bar is not None:
            self._bar.set_postfix(shown, refresh=False)
            self._bar.update()
            return
        numbers = "  ".join(f"{name} {value}" for name, value in shown.items())
        left = (time.perf_counter() - self.start) / self.done * (self.total - self.done)
        text = f"{self.title}: epoch {self.done}/{self.total}  {numbers}  {left:.0f} s left"
        if _in_notebook():
            self._update_line(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def _update_line(self, text: str) -> None:
        """Replace the line shown in the notebook."""
        from IPython.display import display

        content = {"text/plain": text}
        if self._line is None:
            self._line = display(content, raw=True, display_id=True)
        else:
            self._line.update(content, raw=True)
