#!/usr/bin/env python3
"""Write docs/results.md, the results of the README and the list of studies in docs/study.md.

All are made from the plans in `studies/` and the records in `data/results/study`, and from nothing else.
"""

from functools import cache
from pathlib import Path

import pandas as pd
from write_tables import between_marks

from spmat_nb.study.declared import read_study, study_names
from spmat_nb.study.pages import bullets, detectable, errors, report
from spmat_nb.study.results import Results, result_names, results
from spmat_nb.study.statistics import OPEN
from spmat_nb.study.words import markdown, markdown_pairs, sentences

ROOT = Path(__file__).resolve().parent.parent
MARKS = "<!-- study -->\n", "<!-- /study -->\n"
README, GUIDE = ROOT / "README.md", ROOT / "docs" / "study.md"
HEAD = """# Results of the studies

Made by `python tools/write_results.py` from the records in `data/results/study`, and from nothing else; what is
compared and how is in [study.md](study.md). A change is that of the mean absolute error in per cent of the reference,
seed by seed on the same crystals (test rows, or validation rows where a study says so), with its 95 % interval over
seeds and formulas. **Bold**: told apart from no change after Holm's correction for the whole table. †: the surrogate
label is a function of the target, so the guide knows about it. Everything on the teaching set is about toy labels.
"""
# In the README: studies, and what the arms have in their names that are left to the page.
SHOWN = {
    "mp33k": "",
    "mp33k_confirm": "",
    "mp33k_controls": "",
    "more_crystals": "",
    "teaching": "masks only",
    "phonons": "",
}


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
    """One study in the README: changes against its first reference, and those of the planned contrasts."""
    contrasts = own.contrasts()
    parts = [f"**{own.study.name}**: {own.study.question} {own.finished}."]
    for reference in own.study.references[:1]:
        table = own.against(reference)
        parts += [errors(own)] if own.study.published else [markdown(without(table, hidden))]
        parts += [*bullets(sentences(table))]
    if len(contrasts):
        told = (contrasts["verdict"] != OPEN).sum()
        parts += [f"Pair by pair, as planned before the runs ({len(contrasts)} looks, told apart: {told}):"]
        parts += [markdown_pairs(without(contrasts, hidden)), detectable(contrasts)]
    return "\n\n".join(parts)


def without(table: pd.DataFrame, word: str) -> pd.DataFrame:
    """The rows whose arms do not have the word in their names; all rows without a word."""
    if not word:
        return table
    named = table["arm"].str.contains(word, regex=False) | table["reference"].str.contains(word, regex=False)
    return table[~named]


def block() -> str:
    """The results of the README."""
    return "\n\n".join(section(loaded(name), hidden) for name, hidden in SHOWN.items()) + "\n"


def catalogue() -> str:
    """All studies that come along: what each asks, how large it is, and how much of it has been run."""
    lines = ["| study | question | data | arms | seeds | cells | run |", "|---|---|---|---|---|---|---|"]
    for plan in map(read_study, study_names()):
        done = len(loaded(plan.name).records) if plan.name in result_names() else 0
        name = f"[{plan.name}](results.md#{plan.name})" if done else plan.name
        sizes = f"{len(plan.arms)} | {plan.seeds} | {len(plan.cells())} | {done}"
        lines.append(f"| {name} | {plan.question} | {plan.data} | {sizes} |")
    return "\n".join(lines) + "\n"


def pages() -> dict[Path, str]:
    """The text of every page."""
    return {
        ROOT / "docs" / "results.md": page(),
        README: between_marks(README, MARKS, block()),
        GUIDE: between_marks(GUIDE, MARKS, catalogue()),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
