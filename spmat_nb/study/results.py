"""What a study that comes with the project has found: its plan with the records of its finished runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from ..errors import unknown
from ..settings import study_records
from .declared import read_study
from .plan import Cell, Study
from .records import Errors, errors_of, read_packed
from .tables import compare, compare_pairs, levels, rank_table


@dataclass(frozen=True)
class Results:
    """A study and its records.

    Attributes:
        study: the plan.
        records: of the cells that are done, under the names of the plan.
    """

    study: Study
    records: list[dict[str, Any]] = field(repr=False)
    _tables: dict[str | None, pd.DataFrame] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"{self.study.name}: {self.study.question} {self.finished}"

    @property
    def finished(self) -> str:
        """How much of the study has been run, in words."""
        seeds = {one["seed"] for one in self.records}
        return f"{len(self.records)} of {len(self.study.cells())} cells, {len(seeds)} of {self.study.seeds} seeds"

    @cached_property
    def targets(self) -> list[str]:
        """Targets that have records."""
        return list(dict.fromkeys(one["target"] for one in self.records))

    @cached_property
    def arms(self) -> list[str]:
        """Arms that have records, in the order of the plan."""
        done = {one["arm"] for one in self.records}
        return [arm.name for arm in self.study.arms if arm.name in done]

    def cell(self, title: str) -> tuple[Cell, dict[str, Any]]:
        """A cell of the study by its title, `"ARM | TARGET | seed N"`, and its record.

        Raises:
            SettingsError: no record of such a cell.
        """
        cells, records = {cell.title: cell for cell in self.study.cells()}, {one["key"]: one for one in self.records}
        done = {name: cell for name, cell in cells.items() if cell.key in records}
        if title not in done:
            raise unknown("cell with a record", title, done)
        return done[title], records[done[title].key]

    def against(self, reference: str) -> pd.DataFrame:
        """All arms against one, as `tables.compare`; worked out once.

        Raises:
            SettingsError: no record of an arm of that name.
        """
        if reference not in self.arms:
            raise unknown("arm", reference, self.arms)
        return self._once(reference, lambda: compare(self.records, reference))

    def contrasts(self) -> pd.DataFrame:
        """The pairs that the plan names, as `tables.compare_pairs`: a correction for these alone."""
        return self._once(None, lambda: compare_pairs(self.records, self.study.contrasts))

    def _once(self, key: str | None, work_out: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        if key not in self._tables:
            self._tables[key] = work_out()
        return self._tables[key].copy()

    def levels(self) -> pd.DataFrame:
        """MAE of every arm and target, as `tables.levels`."""
        return levels(self.records)

    def ranks(self) -> pd.DataFrame:
        """Mean rank of each arm, as `tables.rank_table`."""
        return rank_table(self.records)

    def errors(self, target: str) -> Errors:
        """Signed errors of all arms on a target, as `records.errors_of`."""
        return errors_of(self.records, target)

    def machines(self) -> pd.DataFrame:
        """On what, with which versions and on which days the cells were run; a row each, with their number."""
        rows = [one["machine"] | {"date": one["date"]} for one in self.records]
        names = [name for name in rows[0] if name != "date"]
        dates = pd.DataFrame(rows).groupby(names, sort=False)["date"]
        return dates.agg(cells="count", first="min", last="max").reset_index()


def result_names() -> list[str]:
    """Studies that come with records, in the order of their names."""
    return sorted(path.stem for path in study_records().glob("*.jsonl"))


def results(name: str) -> Results:
    """A study that comes with the project, with its records.

    Raises:
        SettingsError: no records of a study of that name.
    """
    if name not in result_names():
        raise unknown("study with records", name, result_names())
    study = read_study(name)
    titles = {cell.key: cell.arm.name for cell in study.cells()}
    records = read_packed(study_records() / f"{name}.jsonl")
    return Results(study, [one | {"arm": titles[one["key"]]} for one in records if one["key"] in titles])
