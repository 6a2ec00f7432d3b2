#!/usr/bin/env python3
"""Make `notebooks/NN_name.ipynb` from `notebooks/src/NN_name.py`, executed, with fixed cell ids.

    python tools/build_notebooks.py [NAME ...] [--prose] [--preset class]

People edit only the sources. A notebook that fails is not written. Figures that a notebook saves are copied to
`docs/figures/NAME`, its `summary.json` to `data/results/NAME.json`; `tools/write_tables.py` then renews the README.
"""

import argparse
import base64
import os
import re
import shutil
import tempfile
from io import BytesIO
from pathlib import Path

import jupytext
import nbformat
import numpy as np
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS, SOURCES = ROOT / "notebooks", ROOT / "notebooks" / "src"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
TIMEOUT = 1800  # seconds a cell
UNSEEN = 0.1  # of 255: a mean change of a picture that nobody sees


def read_source(source: Path) -> nbformat.NotebookNode:
    """The notebook of a source, without outputs; ids are its name and the number of the cell."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{source.stem[:40]}-{number:02d}"
        cell["metadata"] = nbformat.from_dict({k: v for k, v in cell["metadata"].items() if k == "tags"})
    return notebook


def execute(notebook: nbformat.NotebookNode, preset: str, runs: Path) -> nbformat.NotebookNode:
    """Run all cells from the notebooks folder; results go to `runs`."""
    environment = os.environ | {
        "SPMAT_PRESET": preset,
        "SPMAT_RUNS_DIR": str(runs),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    where = {"metadata": {"path": NOTEBOOKS}}
    # The kernel warns that its loopback connection is not encrypted, which is nothing a reader can act on.
    quiet = ["--IPKernelApp.log_level=ERROR"]
    client = NotebookClient(notebook, timeout=TIMEOUT, kernel_name="python3", resources=where, extra_arguments=quiet)
    client.execute(env=environment)
    for cell in notebook.cells:
        cell["metadata"].pop("execution", None)  # times of day, different at every build
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def tidy(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what differs from build to build: addresses in memory and the state of widgets, which show their picture.

    Pictures are packed more closely.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            data.pop("application/vnd.jupyter.widget-view+json", None)
            if "image/png" in data:
                data["image/png"] = with_a_palette(data["image/png"])
            if "text/plain" in data:
                data["text/plain"] = re.sub(r" at 0x[0-9a-f]+", "", data["text/plain"])
    return notebook


def with_a_palette(picture: str) -> str:
    """A PNG in base64 with 256 colours, a third of its size.

    As it was where one would see the difference, where it is transparent, or has a palette from before.
    """
    with Image.open(BytesIO(base64.b64decode(picture))) as found:
        if found.mode == "P" or found.convert("RGBA").getextrema()[3][0] < 255:
            return picture
        image = found.convert("RGB")
    packed = image.quantize(256, dither=Image.Dither.NONE)
    change = np.abs(np.asarray(packed.convert("RGB"), dtype=float) - np.asarray(image, dtype=float)).mean()
    if change > UNSEEN:
        return picture
    written = BytesIO()
    packed.save(written, "PNG", optimize=True)
    return base64.b64encode(written.getvalue()).decode()


def keep_outputs(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Take over the outputs of the notebook at `path`, whose code must be the same."""
    old = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    new = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if [cell.source for cell in old] != [cell.source for cell in new]:
        raise SystemExit(f"The code of {path.name} has changed; run it.")
    for cell, before in zip(new, old, strict=True):
        cell.outputs, cell.execution_count = before.outputs, before.execution_count


def build(source: Path, run: bool, preset: str) -> None:
    """Write one notebook."""
    notebook = read_source(source)
    if not run:
        keep_outputs(notebook, NOTEBOOKS / f"{source.stem}.ipynb")
    else:
        with tempfile.TemporaryDirectory() as runs:
            execute(notebook, preset, Path(runs))
            for figures in Path(runs).glob("*/figures"):
                shutil.copytree(figures, ROOT / "docs" / "figures" / figures.parent.name, dirs_exist_ok=True)
            for summary in Path(runs).glob("*/summary.json"):
                shutil.copy(summary, ROOT / "data" / "results" / f"{summary.parent.name}.json")
    nbformat.write(tidy(notebook), NOTEBOOKS / f"{source.stem}.ipynb")
    print(f"wrote notebooks/{source.stem}.ipynb")


def main() -> None:
    """Build the named notebooks, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="such as 00_start_here; all if none is given")
    parser.add_argument("--prose", action="store_true", help="renew the text only; outputs stay, code must be the same")
    parser.add_argument("--preset", default="class")
    args = parser.parse_args()
    for source in sorted(SOURCES.glob("*.py")):
        if not args.names or source.stem in args.names:
            build(source, not args.prose, args.preset)


if __name__ == "__main__":
    main()
