"""What the `StudyExplorer` knows, without a widget: studies with records, and what is compared with what."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from .errors import InputError, unknown
from .plots_live import new_figure
from .plots_study import intervals
from .study.results import Results
from .study.words import sentences
from .vocabulary import recorded_target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIELDS = ("study", "target", "reference", "arms")


class StudyChoice:
    """Arms of a study against one of them, on one target.

    Args:
        studies: with their records.
        values: to begin with: study, target, reference, arms.

    Attributes:
        study: name of the study that is looked at.
        target: of its targets.
        reference: arm that the others are measured against.
        arms: which of the others are shown; all if empty.
        listeners: called without arguments after every change.

    Raises:
        InputError: no study.
        SettingsError: a value that is not allowed.
    """

    def __init__(self, studies: Iterable[Results], **values: Any) -> None:
        self.studies = {one.study.name: one for one in studies}
        if not self.studies:
            raise InputError("Give at least one study with records.")
        self.study, self.target, self.reference = next(iter(self.studies)), "", ""
        self.arms: tuple[str, ...] = ()
        self.listeners: list[Callable[[], None]] = []
        self._begin()
        self.choose(**values)

    @property
    def results(self) -> Results:
        """The study that is looked at."""
        return self.studies[self.study]

    def _begin(self) -> None:
        """Choices that every study has: its first target and its first reference, all arms."""
        own = self.results
        known = [name for name in own.study.references if name in own.arms]
        self.target, self.reference, self.arms = own.targets[0], (known or own.arms)[0], ()

    def options(self, field: str) -> dict[str, str]:
        """What a field may be, by the words that a list shows; `arms` are all but the reference."""
        own = self.results
        found = {
            "study": list(self.studies),
            "target": own.targets,
            "reference": own.arms,
            "arms": [arm for arm in own.arms if arm != self.reference],
        }
        if field == "target":
            return {recorded_target(key).title: key for key in found[field]}
        return {key: key for key in found[field]}

    def choose(self, **values: Any) -> None:
        """Set `study`, which begins anew with its first target and reference, `target`, `reference` or `arms`.

        Raises:
            SettingsError: an unknown field, or a value that is not allowed.
        """
        for field in sorted(values, key=_order):
            value = values[field]
            allowed = self.options(field).values()
            for one in value if field == "arms" else [value]:
                if one not in allowed:
                    raise unknown(field.removesuffix("s"), one, allowed)
            changed = value != getattr(self, field)
            setattr(self, field, tuple(value) if field == "arms" else value)
            if field == "study" and changed:
                self._begin()
            if field == "reference":
                self.arms = tuple(arm for arm in self.arms if arm != value)
        for listener in list(self.listeners):
            listener()

    def table(self) -> pd.DataFrame:
        """Rows of `Results.against` that are shown; p is corrected for all arms and targets, also those not shown."""
        table = self.results.against(self.reference)
        chosen = table["arm"].isin(self.arms or list(self.options("arms")))
        return table[chosen & (table["target"] == self.target)].reset_index(drop=True)

    @property
    def message(self) -> str:
        """What the figure shows, in sentences."""
        table = self.table()
        if not len(table):
            return "These arms have no seed in common yet."
        return f"{self.results.study.question} {' '.join(sentences(table))}"

    def static_figure(self) -> "Figure":
        """Changes of the arms with their intervals."""
        table = self.table()
        figure = new_figure(9.0, 1.6 + 0.3 * max(3, len(table)))
        if len(table):
            intervals(table, figure.subplots())
        figure.suptitle(f"study {self.study}, {self.results.finished}", fontsize=9, color="#555555")
        return figure


def _order(field: str) -> int:
    """The study first, since it decides what the others may be."""
    if field not in FIELDS:
        raise unknown("field", field, FIELDS)
    return FIELDS.index(field)
