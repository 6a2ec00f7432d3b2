#!/usr/bin/env python3
"""Write docs/results.md and the results of the README from the records of the studies, and from nothing else."""

from functools import cache
from pathlib import Path

import pandas as pd

from spmat_nb.study.pages import bullets, errors, report
from spmat_nb.study.results import Results, result_names, results
from spmat_nb.study.statistics import OPEN
from spmat_nb.study.words import markdown, markdown_pairs, sentences

ROOT = Path(__file__).resolve().parent.parent
MARKS = "<!-- study -->\n", "<!-- /study -->\n"
HEAD = """# Results of the studies

Made by `python tools/write_results.py` from the records in `data/results/study`, and from nothing else; what is
compared and how is in [study.md](study.md). A change is that of the mean absolute error in per cent of the reference,
seed by seed on the same test crystals, with its 95 % interval over seeds and formulas. **Bold**: told apart from no
change after Holm's correction for the whole table. †: the surrogate label is a function of the target, so the guide
knows about it. Everything on the teaching set is about toy labels.
"""
SHOWN = {"mp33k": "", "teaching": "masks only", "phonons": ""}  # in the README: a study, and arms left to the page


@cache
def loaded(name: str) -> Results:
    """The results of a study, read and worked out once for both pages."""
    return results(name)


def page() -> str:
    """The text of docs/results.md."""
    names = result_names()
    links = "\n".join(f"- [{name}](#{name}): {loaded(name).study.question}" for name in names)
    return "\n".join([HEAD, links, "", *(report(loaded(name)) for name in names)])


def section(own: Results, hidden: str) -> str:
    """One study in the README: changes against scratch, and those of the planned contrasts."""
    table, contrasts = own.against(own.study.references[0]), own.contrasts()
    parts = [f"**{own.study.name}**: {own.study.question} {own.finished}."]
    parts += [errors(own)] if own.study.published else [markdown(without(table, hidden))]
    parts += [*bullets(sentences(table))]
    if len(contrasts):
        told = (contrasts["verdict"] != OPEN).sum()
        parts += [f"Pair by pair, as planned before the runs ({len(contrasts)} looks, told apart: {told}):"]
        parts += [markdown_pairs(without(contrasts, hidden))]
    return "\n\n".join(parts)


def without(table: pd.DataFrame, word: str) -> pd.DataFrame:
    """The rows whose arms do not have the word in their names."""
    named = table["arm"].str.contains(word, regex=False) | table["reference"].str.contains(word, regex=False)
    return table[~named] if word else table


def block() -> str:
    """The results of the README."""
    return "\n\n".join(section(loaded(name), hidden) for name, hidden in SHOWN.items()) + "\n"


def readme() -> str:
    """The README with its results made anew."""
    text = (ROOT / "README.md").read_text()
    start, end = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
    return text[:start] + block() + text[end:]


if __name__ == "__main__":
    (ROOT / "docs" / "results.md").write_text(page())
    (ROOT / "README.md").write_text(readme())
