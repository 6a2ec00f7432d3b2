"""What a table of changes says, as sentences and as a table for a page; made from the numbers, so never out of step."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from ..vocabulary import get_target
from .statistics import BETTER, OPEN, WORSE


def sentences(table: pd.DataFrame) -> list[str]:
    """One sentence a target: which arms are better or worse than the reference, and what could not have been seen.

    Args:
        table: of `tables.compare`.
    """
    return [_sentence(target, rows) for target, rows in table.groupby("target", sort=False)]


def _sentence(target: object, rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    title = get_target(str(target), pd.DataFrame({str(target): [0.0]})).title
    parts = [_arms(rows, verdict) for verdict in (BETTER, WORSE)]
    open_ones = rows[rows["verdict"] == OPEN]
    if len(open_ones):
        count = f"{len(open_ones)} of {len(rows)} arms"
        parts.append(f"{OPEN}: {count} (a change of {open_ones['detectable'].median():.1f} % would have been)")
    said = "; ".join(part for part in parts if part)
    return f"{title}, against '{first['reference']}' ({first['seeds']} seeds, {first['crystals']} crystals): {said}."


def _arms(rows: pd.DataFrame, verdict: str) -> str:
    own = rows[rows["verdict"] == verdict].sort_values("change")
    named = [f"{row.arm} {interval(row.change, row.low, row.high)}" for row in own.itertuples()]  # type: ignore[arg-type]
    return f"{verdict}: {', '.join(named)}" if named else ""


def interval(change: float, low: float, high: float) -> str:
    """A change with its interval, in per cent."""
    return f"{change:+.1f} % ({low:+.1f}, {high:+.1f})"


def markdown(table: pd.DataFrame, arms: Iterable[str] | None = None) -> str:
    """A table for a page: a row an arm, a column a target; bold where it was told apart from the reference.

    Args:
        table: of `tables.compare`.
        arms: which, in order; all if None.
    """
    targets = list(dict.fromkeys(table["target"]))
    titles = [get_target(key, pd.DataFrame({key: [0.0]})).title.lower() for key in targets]
    lines = [f"| arm | {' | '.join(titles)} |", "|---" * (1 + len(targets)) + "|"]
    cells = {(row.arm, row.target): _cell(row) for row in table.itertuples()}
    for arm in arms or dict.fromkeys(table["arm"]):
        lines.append(f"| {arm} | {' | '.join(cells.get((arm, target), '') for target in targets)} |")
    return "\n".join(lines)


def _cell(row: Any) -> str:
    text = interval(row.change, row.low, row.high)
    return f"**{text}**" if row.verdict != OPEN else text
