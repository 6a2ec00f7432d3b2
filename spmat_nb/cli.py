"""The steps of the notebooks as commands, for machines without a screen: graphs, pretrain, embed, finetune, predict."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .errors import SpmatError
from .settings import PRESETS, AugmentSettings, FinetuneSettings, Preset, PretrainSettings, preset

Command = Callable[[argparse.Namespace], dict[str, Any]]


def pretraining_rows(args: argparse.Namespace) -> Any:
    """The crystals to pretrain on: split `pretrain`, or `train` in data without such rows."""
    crystals = read_data(args)
    rows = "pretrain" if (crystals.table["split"] == "pretrain").any() else "train"
    return crystals.of_split(rows).sample(chosen_preset(args).max_pretrain, args.seed)


def read_data(args: argparse.Namespace) -> Any:
    """Load `--data`, say what was refused, and leave the report beside the results."""
    from .crystals import load

    crystals = load(args.data, targets=args.targets, max_sites=args.max_sites, seed=args.seed)
    if len(crystals.report):
        for line in crystals.report.itertuples():
            print(f"refused {line.source} {line.row}: {line.reason}", file=sys.stderr)
        folder = args.out if not args.out.suffix else args.out.parent
        folder.mkdir(parents=True, exist_ok=True)
        crystals.report.to_csv(folder / "refused.csv", index=False)
    return crystals


def chosen_preset(args: argparse.Namespace) -> Preset:
    """The preset of `--preset`."""
    return preset(args.preset)


def given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The options that were given, by the names of the settings."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def run_graphs(args: argparse.Namespace) -> dict[str, Any]:
    """Build the graphs of a data set and fill the cache."""
    from .files import write_json
    from .graphs import build_graphs

    crystals = read_data(args)
    start = time.perf_counter()
    graphs = build_graphs(crystals)
    result = {
        "data": crystals.name,
        "crystals": len(crystals),
        "refused": len(crystals.report),
        "atoms": len(graphs.z),
        "edges": len(graphs.distance),
        "atoms_without_neighbours": graphs.isolated_atoms(),
        "seconds": round(time.perf_counter() - start, 2),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / "graphs.json", result)
    return result


def run_pretrain(args: argparse.Namespace) -> dict[str, Any]:
    """Pretrain an encoder and write it as a checkpoint folder."""
    from .labels import get_label
    from .pretrain import pretrain, with_used_label

    augment = replace(AugmentSettings(), **given(args, "mask_atoms", "mask_edges", "delta"))
    options = given(args, "loss", "label", "batch_size", "learning_rate", "temperature", "balance")
    epochs = chosen_preset(args).pretrain_epochs if args.epochs is None else args.epochs
    settings = PretrainSettings(**options, epochs=epochs, augment=augment, seed=args.seed)
    settings = with_used_label(settings)
    if settings.label is not None:
        get_label(settings.label)
    model = pretrain(pretraining_rows(args), settings, device=args.device, show=not args.quiet)
    model.save(args.out)
    last = model.history.iloc[-1].to_dict() if len(model.history) else {}
    return {"loss": settings.loss, "label": settings.label, **model.data, "last_epoch": last, "out": str(args.out)}


def run_embed(args: argparse.Namespace) -> dict[str, Any]:
    """Write the embeddings of a data set by material id as parquet."""
    from .embed import embed
    from .pretrain import load_pretrained, random_encoder

    model = random_encoder(seed=args.seed) if args.model == "random" else load_pretrained(args.model)
    crystals = read_data(args)
    path = args.out if args.out.suffix == ".parquet" else args.out / "embeddings.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = embed(crystals, model, device=args.device)
    table.to_parquet(path)
    return {"crystals": len(table), "dimensions": table.shape[1], "out": str(path)}


def run_finetune(args: argparse.Namespace) -> dict[str, Any]:
    """Fine-tune on one target and write metrics, predictions and the model."""
    from .finetune import PARTS, finetune
    from .vocabulary import get_target

    chosen = chosen_preset(args)
    options = given(args, "target", "batch_size", "head_rate", "encoder_rate")
    epochs = chosen.finetune_epochs if args.epochs is None else args.epochs
    settings = FinetuneSettings(**options, epochs=epochs, seed=args.seed)
    get_target(settings.target)
    crystals = read_data(args)
    rows = crystals.of_split(*PARTS).with_target(settings.target, drop_missing=args.drop_missing)
    # The limit draws rows with one fixed seed, so that runs with other seeds share their split.
    rows = rows.sample(chosen.max_finetune, seed=0)
    seen = crystals.table.loc[crystals.table["split"] == "pretrain", "formula"]
    tuned = finetune(rows, args.init, settings, device=args.device, show=not args.quiet, pretraining_formulas=seen)
    tuned.save(args.out)
    if tuned.metrics["label_is_function_of_target"]:
        print(f"note: the label {tuned.metrics['label']!r} is a function of {settings.target!r}", file=sys.stderr)
    return tuned.metrics


def run_predict(args: argparse.Namespace) -> dict[str, Any]:
    """Predict the property of structure files and write a CSV."""
    from .finetune import load_finetuned, predict
    from .vocabulary import get_target

    tuned = load_finetuned(args.model)
    args.data, args.targets, args.max_sites = args.structures, None, None
    values = predict(read_data(args), tuned, device=args.device)
    target = get_target(tuned.settings.target)
    path = args.out if args.out.suffix == ".csv" else args.out / "predictions.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    values.rename(f"{target.key} ({target.unit})").to_csv(path)
    return {"structures": len(values), "target": target.key, "unit": target.unit, "out": str(path)}


def build_parser() -> argparse.ArgumentParser:
    """All commands and options."""
    from .labels import LABELS
    from .losses import LOSSES
    from .vocabulary import TARGETS

    parser = argparse.ArgumentParser(prog="python -m spmat_nb", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Command, out: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        command.set_defaults(run=run)
        command.add_argument("--out", type=Path, default=Path(out), help=f"where results go (default {out})")
        command.add_argument("--seed", type=int, default=0, help="fixes everything that is drawn (default 0)")
        command.add_argument("--preset", help=f"lengths of the run: {', '.join(PRESETS)} (default class)")
        command.add_argument("--device", help="cpu, cuda or mps (default: the fastest there is)")
        command.add_argument("--quiet", action="store_true", help="no progress lines")
        return command

    def add_data(command: argparse.ArgumentParser) -> None:
        command.add_argument("--data", default="teaching", help="'teaching', a .parquet file or a folder of structures")
        command.add_argument("--targets", type=Path, help="CSV of targets and labels by id, for a folder")
        command.add_argument("--max-sites", type=int, help="leave out larger cells")

    add_data(add("graphs", run_graphs, "runs/graphs"))
    command = add("pretrain", run_pretrain, "runs/pretrain")
    add_data(command)
    command.add_argument("--loss", help=f"one of {', '.join(LOSSES)} (default sup_barlow)")
    command.add_argument("--label", help=f"one of {', '.join(LABELS)} (default gap_class)")
    command.add_argument("--epochs", type=int, help="instead of the preset's")
    for option in ("--learning-rate", "--temperature", "--balance", "--mask-atoms", "--mask-edges", "--delta"):
        command.add_argument(option, type=float)
    command.add_argument("--batch-size", type=int)
    command = add("embed", run_embed, "runs/embeddings.parquet")
    add_data(command)
    command.add_argument("--model", required=True, help="folder of a pretrained encoder, or 'random'")
    command = add("finetune", run_finetune, "runs/finetune")
    add_data(command)
    command.add_argument("--init", default="scratch", help="folder of a pretrained encoder, or 'scratch' (default)")
    command.add_argument("--target", help=f"one of {', '.join(TARGETS)} (default formation_energy_per_atom)")
    command.add_argument("--epochs", type=int, help="instead of the preset's")
    command.add_argument("--batch-size", type=int)
    command.add_argument("--head-rate", type=float)
    command.add_argument("--encoder-rate", type=float)
    command.add_argument("--drop-missing", action="store_true", help="leave out crystals without the target")
    command = add("predict", run_predict, "runs/predictions.csv")
    command.add_argument("--model", required=True, help="folder of a fine-tuned model")
    command.add_argument("structures", nargs="+", help="structure files or folders of them")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; an error of ours is one sentence on stderr and exit status 2."""
    args = build_parser().parse_args(argv)
    try:
        chosen_preset(args)
        print(json.dumps(args.run(args), indent=1))
    except (SpmatError, OSError) as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0
