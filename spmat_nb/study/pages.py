"""What a study has found, as text for a page: made from its records alone."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from ..vocabulary import recorded_target
from .plan import JUDGES
from .records import whole_seeds
from .results import Results
from .words import markdown, markdown_pairs, sentences, table_of

MEDIAN = "the median of the training rows"  # a predictor; judged where there are test rows


def report(results: Results) -> str:
    """Everything that the records of a study say, as Markdown."""
    head = [f"## {results.study.name}", results.study.question, basis(results)]
    if not whole_seeds(results.records):
        return "\n\n".join([*head, "No seed of any arm has all folds yet."]) + "\n"
    parts = [*head, "Mean absolute error:", errors(results)]
    for name in (name for name in results.study.references if name in results.arms):
        table = results.against(name)
        if len(table):
            parts += [f"Change against *{name}*:", markdown(table), *bullets(sentences(table)), *unseen(table)]
    contrasts = results.contrasts()
    if len(contrasts):
        parts += ["Planned contrasts:", markdown_pairs(contrasts), detectable(contrasts)]
    return "\n\n".join([*parts, "Ranks over targets and seeds:", ranks(results)]) + "\n"


def bullets(lines: Iterable[str]) -> list[str]:
    """A list, as one part of a page."""
    return ["\n".join(f"- {line}" for line in lines)]


def basis(results: Results) -> str:
    """On what the numbers stand: data, rows, settings, machine, dates."""
    study, first = results.study, results.records[0]
    metrics, tuned = first["metrics"], first["settings"]["finetune"]
    sites = f" of at most {study.max_sites} sites" if study.max_sites else ""
    judged = f"the {study.folds.count} test folds" if study.folds else f"{JUDGES[study.judge]} rows"
    epochs = {one["settings"]["pretrain"]["epochs"] for one in results.records if one["settings"]["pretrain"]}
    length = f"{', '.join(map(str, sorted(epochs)))} epochs of pretraining, " if epochs else ""
    made = "; ".join(
        f"{row['cells']} cells on {row['processor']} ({row['device']}, {threads_of(row['threads'])}, torch "
        f"{row['torch']}, {row['first']} to {row['last']})"
        for row in results.machines().to_dict("records")
    )
    return (
        f"Data: {study.data}{sites}; {metrics['n_train']} crystals to train on in the first cell, judged by {judged}. "
        f"{length}{tuned['epochs']} of fine-tuning in batches of {tuned['batch_size']}. Done: {results.finished}; "
        f"{made}."
    )


def threads_of(count: int) -> str:
    """So many threads, in words."""
    return "1 thread" if count == 1 else f"{count} threads"


def title_of(target: str) -> str:
    """The name of a target with its unit, as heads of tables have it."""
    kind = recorded_target(target)
    return f"{kind.title.lower()} ({kind.unit})" if kind.unit else kind.title.lower()


def errors(results: Results) -> str:
    """MAE of every arm and target, mean and standard deviation over the seeds."""
    table = results.levels().reset_index()
    cells = {(row["arm"], row["target"]): level(row) for row in table.to_dict("records")}
    medians = table.groupby("target", sort=False)["median_mae"].mean().to_dict()
    known = {str(target): f"{value:.4g}" for target, value in medians.items() if pd.notna(value)}
    cells |= {(MEDIAN, target): value for target, value in known.items()}
    rows = [*results.arms, *([MEDIAN] if known else [])]
    for name, value in results.study.published:
        rows.append(f"{name} (published)")
        cells[rows[-1], results.targets[0]] = f"{value:g}"
    return table_of("arm", rows, results.targets, cells, title_of)


def level(row: Mapping[Any, Any]) -> str:
    """An error with its standard deviation over the seeds, if there are several."""
    return f"{row['mean']:.4g} ± {row['std']:.2g}" if row["count"] > 1 else f"{row['mean']:.4g}"


def unseen(table: pd.DataFrame) -> list[str]:
    """The same on crystals whose formula pretraining did not see; nothing where it saw none."""
    if "change_unseen" not in table or table["change_unseen"].isna().all():
        return []
    own = table.assign(change=table["change_unseen"], low=table["low_unseen"], high=table["high_unseen"])
    rows = f"{table['judged'].iloc[0]} crystals"
    return [f"The same on {rows} whose formula no unstable crystal has:", markdown(own, bold=False)]


def detectable(table: pd.DataFrame) -> str:
    """The smallest effects that a table would have seen, by target."""
    least = table.groupby("target", sort=False)["detectable"].median()
    said = ", ".join(f"{title_of(str(target))} {value:.1f} %" for target, value in least.items())
    return f"A true change of this size would have been seen in four of five such studies (median of the rows): {said}."


def ranks(results: Results) -> str:
    """Mean rank of each arm."""
    table = results.ranks()
    head = "| arm | mean rank | best | worst | first |\n|---|---|---|---|---|"
    lines = [
        f"| {arm} | {row['mean']:.2f} | {row['best']:g} | {row['worst']:g} | {row['first']} of {row['rows']} |"
        for arm, row in table.to_dict("index").items()
    ]
    return "\n".join([head, *lines])
