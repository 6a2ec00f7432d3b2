#!/usr/bin/env python3
"""Run notebook 00 on the teaching set and leave a page, its figures and `summary.json` under `runs/`.

python tools/run_main_job.py [--preset class] [--runs runs]
"""

import argparse
import json
import sys
import time
from pathlib import Path

from build_notebooks import SOURCES, execute, read_source
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter

from spmat_nb.settings import PRESETS, runs_dir

NAME = "00_start_here"


def to_page(notebook: object, path: Path) -> None:
    """One HTML file that needs nothing from the network."""
    exporter = HTMLExporter(template_name="lab", embed_images=True, mathjax_url="", require_js_url="")
    page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": "Start here: the whole road"}})
    path.write_text(page)


def print_table(summary: dict) -> None:
    """The comparison of the arms, as in the notebook."""
    print(f"\nTest error on the {summary['data']} ({summary['target']}, {summary['unit']}):\n")
    print(f"  {'arm':14} {'mean':>8} {'std':>8} {'seeds':>6}   change against scratch (range over seeds)")
    for row in summary["arms"]:
        change = f"{row['change vs scratch (%)']:+.1f} %  ({row['least']:+.1f} to {row['most']:+.1f})"
        shown = "" if row["arm"] == "from scratch" else change
        print(f"  {row['arm']:14} {row['mean']:8.4f} {row['std']:8.4f} {row['count']:6d}   {shown}")
    purity = ", ".join(f"{name} {value:.3f}" for name, value in summary["knn_purity"].items())
    print(f"\nk-NN purity of the gap class on stable crystals: {purity}")


def main() -> int:
    """Execute, write, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="class", choices=PRESETS)
    parser.add_argument("--runs", type=Path, default=runs_dir())
    args = parser.parse_args()
    runs, start = args.runs.resolve(), time.perf_counter()
    print(
        f"Running notebook {NAME} on the teaching set, preset {args.preset} (class: 8 minutes on two cores) ...",
        flush=True,
    )
    notebook = read_source(SOURCES / f"{NAME}.py")
    try:
        execute(notebook, args.preset, runs)
    except CellExecutionError as error:
        print(error, file=sys.stderr)
        return 1
    folder = runs / NAME
    to_page(notebook, folder / "index.html")
    print_table(json.loads((folder / "summary.json").read_text()))
    print(f"\nDone in {time.perf_counter() - start:.0f} s. Open next:")
    print(f"  {folder / 'index.html'}  the whole road as a page")
    print(f"  {folder / 'figures'}  its figures")
    print("  make lab  to change and rerun it in JupyterLab")
    return 0


if __name__ == "__main__":
    sys.exit(main())
