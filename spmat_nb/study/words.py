"""What a table of changes says, as sentences and as a table for a page; made from the numbers, so never out of step."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from ..vocabulary import recorded_target
from .statistics import BETTER, OPEN, WORSE


def sentences(table: pd.DataFrame) -> list[str]:
    """One sentence a target: which arms are better or worse than the reference, and what could not have been seen.

    Args:
        table: of `tables.compare`.
    """
    return [_sentence(target, rows) for target, rows in table.groupby("target", sort=False)]


def _sentence(target: object, rows: pd.DataFrame) -> str:
    first, pairs = rows.iloc[0], several_references(rows)
    title = recorded_target(str(target)).title
    parts = [_arms(rows, verdict, pairs) for verdict in (BETTER, WORSE)]
    open_ones = rows[rows["verdict"] == OPEN]
    if len(open_ones):
        count = f"{len(open_ones)} of {len(rows)} {'pairs' if pairs else 'arms'}"
        parts.append(f"{OPEN}: {count} (a change of {open_ones['detectable'].median():.1f} % would have been)")
    said = "; ".join(part for part in parts if part) if first["seeds"] > 1 else "one seed tells nothing apart"
    against = "pair by pair" if pairs else f"against '{first['reference']}'"
    seeds = f"{first['seeds']} seed{'s' if first['seeds'] > 1 else ''}"
    return f"{title}, {against} ({seeds}, {first['crystals']} {first['judged']} crystals): {said}."


def _arms(rows: pd.DataFrame, verdict: str, pairs: bool) -> str:
    own = rows[rows["verdict"] == verdict].sort_values("change")
    named = [
        f"{pair_name(row) if pairs else row['arm']} {interval(row['change'], row['low'], row['high'])}"
        for row in own.to_dict("records")
    ]
    return f"{verdict}: {', '.join(named)}" if named else ""


def several_references(table: pd.DataFrame) -> bool:
    """Whether the rows are measured against different arms."""
    return len(set(table["reference"])) > 1


def pair_name(row: Mapping[Any, Any], between: str = " against ") -> str:
    """An arm and what it is compared with."""
    return f"{row['arm']}{between}{row['reference']}"


def interval(change: float, low: float, high: float) -> str:
    """A change with its interval, in per cent."""
    return f"{change:+.1f} % ({low:+.1f}, {high:+.1f})"


def markdown(table: pd.DataFrame, bold: bool = True) -> str:
    """A table for a page: a row an arm, a column a target; † where the label is a function of the target.

    Args:
        table: of `tables.compare`.
        bold: what was told apart from the reference.
    """
    cells = {(row["arm"], row["target"]): _cell(row, bold) for row in table.to_dict("records")}
    return table_of("arm", dict.fromkeys(table["arm"]), dict.fromkeys(table["target"]), cells, short_title)


def markdown_pairs(table: pd.DataFrame) -> str:
    """The same for pairs, of `tables.compare_pairs`: a row a pair."""
    return markdown(table.assign(arm=[pair_name(row, " *against* ") for row in table.to_dict("records")]))


def table_of(
    corner: str,
    rows: Iterable[str],
    columns: Iterable[str],
    cells: Mapping[tuple[str, str], str],
    head: Callable[[str], str],
) -> str:
    """A Markdown table; a cell that is not there is empty."""
    columns = list(columns)
    lines = [f"| {corner} | {' | '.join(map(head, columns))} |", "|---" * (1 + len(columns)) + "|"]
    lines += [f"| {row} | {' | '.join(cells.get((row, column), '') for column in columns)} |" for row in rows]
    return "\n".join(lines)


def short_title(target: str) -> str:
    """The name of a target within a sentence or a table."""
    return recorded_target(target).title.lower()


def _cell(row: Mapping[Any, Any], bold: bool) -> str:
    text = interval(row["change"], row["low"], row["high"])
    text = f"**{text}**" if bold and row["verdict"] != OPEN else text
    return f"{text} †" if row["related"] else text
