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


if __name__ == "__main__":
    main()
