#!/usr/bin/env python3
"""The notebooks as a site to read without running anything: `runs/site/index.html`, in order, with search, offline.

python tools/build_site.py [--out runs/site]
"""

import argparse
import json
import re
import shutil
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path

import nbformat
from build_notebooks import NOTEBOOKS, ROOT
from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter

FILES = Path(__file__).parent / "site"
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · spmat_nb</title><link rel="stylesheet" href="site.css"><link rel="stylesheet" href="code.css"></head>
<body><a class="skip" href="#main">Skip to the text</a>
<header><a class="home" href="index.html">spmat_nb · pretraining for crystals</a>
<form role="search"><input id="search" type="search" placeholder="Search the notebooks" aria-label="Search">
<div id="found" aria-live="polite"></div></form></header>
<div class="page"><nav class="list" aria-label="Notebooks"><ol>{links}</ol></nav>
<main id="main">{body}{turn}</main></div>
<script src="index.js"></script><script src="search.js"></script></body></html>
"""


@dataclass(frozen=True)
class Lesson:
    """One notebook as a page.

    Attributes:
        page: name of its file.
        title: its first heading.
        about: its first sentence.
        body: HTML of all cells.
    """

    page: str
    title: str
    about: str
    body: str


def read(path: Path) -> Lesson:
    """Convert an executed notebook."""
    notebook = nbformat.read(path, as_version=4)
    title, about, *_ = notebook.cells[0].source.strip().split("\n\n")
    quiet = {"anchor_link_text": "", "exclude_input_prompt": True, "exclude_output_prompt": True}
    body, _ = HTMLExporter(template_name="basic", **quiet).from_notebook_node(notebook)
    body = re.sub(r'href="(\d\d_\w+)\.ipynb', r'href="\1.html', body)  # links between notebooks
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(about.split()))  # links keep their words
    return Lesson(f"{path.stem}.html", title.lstrip("# "), re.sub("[*`]", "", words), body)


def plain(html: str) -> str:
    """The words of a piece of HTML."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def sections(lesson: Lesson) -> list[dict[str, str]]:
    """What can be found: each heading with the text up to the next one; pictures are left out."""
    body = re.sub(r"<(style|script)\b.*?</\1>|<img[^>]*>", "", lesson.body, flags=re.DOTALL)
    parts = re.split(r'<h[1-4] id="([^"]+)">(.*?)</h[1-4]>', body, flags=re.DOTALL)
    found = zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    return [
        {"page": lesson.page, "anchor": anchor, "name": lesson.title, "title": plain(title), "text": plain(text)}
        for anchor, title, text in found
    ]


def page(lesson: Lesson, lessons: list[Lesson]) -> str:
    """The whole page with its list of notebooks and links to the one before and after."""
    place = next((i for i, other in enumerate(lessons) if other.page == lesson.page), None)
    here = {lesson.page: " aria-current=page"}
    links = "".join(
        f'<li><a href="{other.page}"{here.get(other.page, "")}>{escape(other.title)}</a></li>' for other in lessons
    )
    turn = ""
    if place is not None:
        before = lessons[place - 1] if place else None
        after = lessons[place + 1] if place + 1 < len(lessons) else None
        ends = [
            f'<a href="{other.page}">{arrow.format(escape(other.title))}</a>' if other else "<span></span>"
            for other, arrow in ((before, "← {}"), (after, "{} →"))
        ]
        turn = f'<nav class="turn" aria-label="Before and after">{"".join(ends)}</nav>'
    return PAGE.format(title=escape(lesson.title), links=links, body=lesson.body, turn=turn)


def front(lessons: list[Lesson]) -> Lesson:
    """The first page: a card for each notebook."""
    cards = "".join(
        f'<li><a href="{lesson.page}"><strong>{escape(lesson.title)}</strong></a><p>{escape(lesson.about)}</p></li>'
        for lesson in lessons
    )
    text = "How cheap class labels shape what a graph network knows about crystals, step by step, and whether it helps."
    body = f'<h1>Supervised pretraining for crystals</h1><p>{text}</p><ul class="cards">{cards}</ul>'
    return Lesson("index.html", "Notebooks", "", body)


def build(out: Path) -> None:
    """Write all pages."""
    lessons = [read(path) for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))]
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for lesson in [front(lessons), *lessons]:
        (out / lesson.page).write_text(page(lesson, lessons))
    for name in ("site.css", "search.js"):
        shutil.copy(FILES / name, out / name)
    (out / "code.css").write_text(HtmlFormatter(style="default").get_style_defs(".highlight"))
    index = json.dumps([section for lesson in lessons for section in sections(lesson)], ensure_ascii=False)
    (out / "index.js").write_text(f"const PAGES = {index};\n")
    print(f"wrote {out / 'index.html'}: {len(lessons)} notebooks")


def main() -> None:
    """Build the site."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "site")
    build(parser.parse_args().out.resolve())


if __name__ == "__main__":
    main()
