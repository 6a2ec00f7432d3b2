#!/usr/bin/env python3
"""What does a model say of the textbook set? Predicted against measured values, crystal by crystal.

    python tools/check_textbook.py [MODEL] [--target band_gap] [--out FILE.csv]

MODEL is the folder of a fine-tuned model, or the name of an encoder that comes with the project (the first of them if
none is given), which then gets a head: trained on the stable crystals of the teaching set, or of mp33k if
SPMAT_DATA_DIR names real data, but for the formulas of the textbook set. The gaps of neither were measured, so expect
systematic errors: PBE gaps, and those of models trained on them, are too small.
"""

import argparse
from pathlib import Path

import pandas as pd
import torch

from spmat_nb.crystals import load
from spmat_nb.errors import SpmatError
from spmat_nb.finetune import finetune
from spmat_nb.models import shipped_names
from spmat_nb.property_models import Finetuned, load_finetuned, predict
from spmat_nb.settings import FinetuneSettings, real_data
from spmat_nb.vocabulary import get_target

MEASURED = {"band_gap": "band_gap", "density": "density_measured"}
MAX_SITES = 20
MAX_CRYSTALS = 4000
EPOCHS = 60


def with_head(encoder: str, target: str) -> Finetuned:
    """A head on a frozen encoder, from crystals of other formulas than the textbook's."""
    folder = real_data()
    rows = load("teaching" if folder is None else folder / "mp33k.parquet", max_sites=MAX_SITES)
    rows = rows.of_split("train", "val", "test")
    rows = rows.select(~rows.table["formula"].isin(load("textbook").table["formula"])).sample(MAX_CRYSTALS, seed=0)
    print(f"{encoder}: a head for {target} on {len(rows)} stable crystals of {rows.name}")
    return finetune(rows, encoder, FinetuneSettings(target=target, train="head", epochs=EPOCHS), show=False)


def compare(tuned: Finetuned, target: str) -> pd.DataFrame:
    """One row a crystal with a measured value: name, measured, predicted, error."""
    crystals = load("textbook").with_target(MEASURED[target], "drop")
    measured = crystals.table[MEASURED[target]]
    predicted = predict(crystals, tuned)[target]
    columns = {"name": crystals.table["name"], "measured": measured, "predicted": predicted}
    return pd.DataFrame({**columns, "error": predicted - measured}).sort_values("measured", kind="stable")


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=next(iter(shipped_names()), None))
    parser.add_argument("--target", default="band_gap", choices=list(MEASURED))
    parser.add_argument("--out", type=Path, help="write the table as CSV, too")
    args = parser.parse_args()
    if args.model is None:
        parser.error("no encoder comes with this copy; give the folder of a fine-tuned model")
    torch.set_num_threads(1)
    try:
        tuned = with_head(args.model, args.target) if args.model in shipped_names() else load_finetuned(args.model)
    except SpmatError as error:
        parser.error(str(error))
    if args.target not in tuned.settings.targets:
        parser.error(f"{args.model} predicts {', '.join(tuned.settings.targets)}, not {args.target}")
    table = compare(tuned, args.target)
    print(table.to_string(float_format="{:.2f}".format))
    unit, error = get_target(args.target).unit, table["error"]
    guess = (table["measured"] - table["measured"].median()).abs().mean()
    print(f"{len(table)} crystals: mean absolute error {error.abs().mean():.2f} {unit}, mean error {error.mean():+.2f}")
    order = table["measured"].corr(table["predicted"], method="spearman")
    print(f"guessing their median for all: {guess:.2f} {unit}; rank correlation {order:.2f}")
    if args.out:
        table.to_csv(args.out)


if __name__ == "__main__":
    main()
