"""Progress of anything slow: a bar in a terminal, one updating line in a notebook, plain lines elsewhere."""

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


class Progress:
    """Report the rounds of a loop: `with Progress("pretrain", 10) as bar: bar.report({"loss": 0.1})`.

    Args:
        title: what is running.
        total: number of rounds.
        show: False for silence.
        done: rounds that an earlier run has done.
        unit: what a round is.
        pause: seconds between two lines at least, for rounds that are short; the last one always has a line.
    """

    def __init__(
        self, title: str, total: int, show: bool = True, done: int = 0, unit: str = "epoch", pause: float = 0.0
    ) -> None:
        self.title, self.total, self.show, self.unit, self.pause = title, total, show, unit, pause
        self.done, self.before, self.start = done, done, time.perf_counter()
        self._said = self.start - pause
        self._warned: set[str] = set()
        self._bar: Any = None
        self._line: Any = None

    def __enter__(self) -> Self:
        if self.show and not _in_notebook() and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=self.total, initial=self.before, desc=self.title, unit=self.unit)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def report(self, values: Mapping[str, float] | None = None) -> None:
        """One more round is done, with these numbers."""
        self.done += 1
        shown = {name: f"{value:.4g}" for name, value in (values or {}).items()}
        if not self.show:
            return
        if self._bar is not None:
            self._bar.set_postfix(shown, refresh=False)
            self._bar.update()
            return
        now = time.perf_counter()
        if now - self._said < self.pause and self.done < self.total:
            return
        self._said = now
        numbers = "".join(f"  {name} {value}" for name, value in shown.items())
        left = (now - self.start) / (self.done - self.before) * (self.total - self.done)
        text = f"{self.title}: {self.unit} {self.done}/{self.total}{numbers}  {left:.0f} s left"
        if _in_notebook():
            self._update_line(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def warn(self, texts: Mapping[str, str]) -> None:
        """Say each kind of warning once: the numbers in its text change from epoch to epoch."""
        for kind, text in texts.items():
            if self.show and kind not in self._warned:
                self._warned.add(kind)
                print(f"{self.title}: {self.unit} {self.done}: {text}", file=sys.stderr, flush=True)

    def _update_line(self, text: str) -> None:
        """Replace the line shown in the notebook."""
        from IPython.display import display

        content = {"text/plain": text}
        if self._line is None:
            self._line = display(content, raw=True, display_id=True)
        else:
            self._line.update(content, raw=True)
