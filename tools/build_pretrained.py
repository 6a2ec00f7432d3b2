#!/usr/bin/env python3
"""Train the encoders that come with the project, `data/pretrained/NAME`.

    python tools/build_pretrained.py [NAME ...] [--folder data/pretrained]

A name is data, loss and label; `mp33k` needs SPMAT_DATA_DIR. All follow the paper's 15 epochs over unstable crystals,
with our batch and rate, in one thread. An ended run goes on where it was; run two names side by side for two cores.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import torch

from spmat_nb.crystals import load
from spmat_nb.files import write_text
from spmat_nb.models import load_pretrained
from spmat_nb.pretrain import pretrain
from spmat_nb.settings import PretrainSettings, real_data, shipped_models

EPOCHS = 15  # paper
NAMES = (
    "teaching-sup_barlow-gap_class",
    "teaching-barlow",
    "mp33k-sup_barlow-gap_class",
    "mp33k-sup_simclr-gap_class",
    "mp33k-barlow",
)


CARD = """# Pretrained encoders

Written by `python tools/build_pretrained.py`; load one with `spmat_nb.models.load_pretrained(NAME)`, or give its name
to `--init` or `--model`. All are CGCNN with 3 convolutions of width 64, pretrained with seed 0 on unstable crystals
only: no crystal of the splits `train`, `val` and `test` was seen. The last columns are measured in the last epoch on
the 5 % of crystals that were held out: a loss that compares only with itself, the effective rank of 128, and the k-NN
purity of the label (see `spmat_nb.diagnostics`).

| name | unstable crystals | loss | label | epochs | held-out loss | rank | purity |
|---|---|---|---|---|---|---|---|
{rows}

`teaching` is the teaching set of this project, with machine-learned labels. `mp33k` are 16,437 unstable crystals of the
Materials Project (CC BY 4.0; A. Jain et al., APL Materials 1, 011002, 2013); only weights trained on them are here,
and one-way codes of their formulas, so that a fine-tuning can say which test crystals have a polymorph among them.
"""


def source(data: str) -> str:
    """Where the crystals are."""
    if data == "teaching":
        return data
    folder = real_data()
    if folder is None:
        raise SystemExit(f"{data} is real data: set SPMAT_DATA_DIR to the folder that holds {data}.parquet.")
    return str(folder / f"{data}.parquet")


def train(name: str, folder: Path) -> None:
    """Train one encoder on the unstable crystals of its data and save it."""
    data, loss, *label = name.split("-")
    settings = PretrainSettings(loss=loss, label=label[0] if label else None, epochs=EPOCHS)
    unstable = load(source(data)).of_split("pretrain")
    state = Path(tempfile.gettempdir()) / "spmat_nb_pretrained" / name
    model = pretrain(unstable, settings, device="cpu", folder=state, resume=True)
    if len(model.history) < EPOCHS:
        raise SystemExit(f"{name}: ended after epoch {len(model.history)}; the same command goes on.")
    model.save_pretrained(folder / name)
    shutil.rmtree(state)
    print(f"wrote {folder / name}", flush=True)


def write_card(folder: Path) -> None:
    """The table of what is there, from the models themselves."""
    lines = []
    for path in sorted(p.parent for p in folder.glob("*/config.json")):
        model = load_pretrained(path)
        last, settings = model.history.iloc[-1], model.settings
        label = f"`{settings.label}`" if settings.label else "none"
        lines.append(
            f"| `{path.name}` | {model.data['name']}, {model.data['crystals']} | `{settings.loss}` | {label} | "
            f"{settings.epochs} | {last['val_loss']:.3g} | {last['effective_rank']:.1f} | "
            + (f"{last['knn_purity']:.3f} |" if "knn_purity" in last else "- |")
        )
    write_text(folder / "README.md", CARD.format(rows="\n".join(lines)))


def main() -> None:
    """Train the named encoders, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(NAMES)}; all if none is given")
    parser.add_argument("--folder", type=Path, default=shipped_models())
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.names or NAMES:
        if name not in NAMES:
            parser.error(f"unknown name {name!r}; known: {', '.join(NAMES)}")
        train(name, args.folder)
    write_card(args.folder)


if __name__ == "__main__":
    main()
