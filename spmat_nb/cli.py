"""The steps of the notebooks as commands, for machines without a screen: graphs, pretrain, embed, finetune, predict."""

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from .errors import SpmatError
from .settings import (
    CHOICES,
    PRESETS,
    AugmentSettings,
    EncoderSettings,
    FinetuneSettings,
    Preset,
    PretrainSettings,
    local_rank,
    preset,
)

Command = Callable[[argparse.Namespace], dict[str, Any]]


class Interrupted(Exception):
    """A run was told to end before its time; the text says what is left of it and how to go on."""


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


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """An event that Ctrl-C or a scheduler's SIGTERM sets, so that a training ends at its next batch; once only."""
    event, before = threading.Event(), {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def reset() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def on_signal(number: int, frame: object) -> None:
        event.set()
        reset()  # a second one ends the process as usual

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield event
    finally:
        reset()


def pretrain_settings(args: argparse.Namespace) -> PretrainSettings:
    """The settings of a pretraining run from the options that were given."""
    noise = given(args, "mask_atoms", "mask_edges", "delta", "symmetric", "move_atoms")
    names = ("loss", "label", "batch_size", "learning_rate", "temperature", "balance", "schedule", "warmup", "clip")
    options = given(args, *names, "sampler", "precision", "compile")
    epochs = chosen_preset(args).pretrain_epochs if args.epochs is None else args.epochs
    return PretrainSettings(**options, epochs=epochs, augment=replace(AugmentSettings(), **noise), seed=args.seed)


def run_pretrain(args: argparse.Namespace) -> dict[str, Any]:
    """Pretrain an encoder and write it as a checkpoint folder; under `torchrun` in several processes."""
    from .distributed import joined
    from .labels import get_label
    from .pretrain import pretrain, with_used_label
    from .training import tensorboard

    settings = with_used_label(pretrain_settings(args))
    if settings.label is not None:
        get_label(settings.label)
    sizes = replace(EncoderSettings(), **({} if args.encoder is None else {"name": args.encoder}))
    with joined() as group, stopping() as stop:
        callbacks = [tensorboard(args.out / "tensorboard")] if args.tensorboard and group.leads else []
        kept = {"folder": args.out, "resume": args.resume, "callbacks": callbacks, "stop": stop}
        model = pretrain(pretraining_rows(args), settings, sizes, device=args.device, show=not args.quiet, **kept)
        if group.leads:
            model.save_pretrained(args.out)
    last = model.history.iloc[-1].to_dict() if len(model.history) else {}
    if len(model.history) < settings.epochs:
        words = f"{len(model.history)} of {settings.epochs} epochs are done and saved in {args.out}"
        raise Interrupted(f"{words}; the same command with --resume goes on from there")
    return {"loss": settings.loss, "label": settings.label, **model.data, "last_epoch": last, "out": str(args.out)}


def run_embed(args: argparse.Namespace) -> dict[str, Any]:
    """Write the embeddings of a data set by material id as parquet."""
    from .embed import embed
    from .models import load_pretrained, random_encoder

    model = random_encoder(seed=args.seed) if args.model == "random" else load_pretrained(args.model)
    crystals = read_data(args)
    path = args.out if args.out.suffix == ".parquet" else args.out / "embeddings.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = embed(crystals, model, device=args.device)
    table.to_parquet(path)
    return {"crystals": len(table), "dimensions": table.shape[1], "out": str(path)}


def finetune_settings(args: argparse.Namespace) -> FinetuneSettings:
    """The settings of a fine-tuning run from the options that were given."""
    names = ("batch_size", "head_rate", "encoder_rate", "train", "average", "schedule", "warmup", "clip", "precision")
    options = given(args, *names)
    if args.target:
        options["target"] = args.target[0] if len(args.target) == 1 else tuple(args.target)
    epochs = chosen_preset(args).finetune_epochs if args.epochs is None else args.epochs
    missing = "mask" if args.mask_missing else "refuse"
    return FinetuneSettings(**options, epochs=epochs, seed=args.seed, missing=missing)


def run_finetune(args: argparse.Namespace) -> dict[str, Any]:
    """Fine-tune on one target or several and write metrics, predictions and the model."""
    from .finetune import PARTS, finetune

    settings = finetune_settings(args)
    crystals = read_data(args)
    rows = crystals.of_split(*PARTS)
    for target in settings.targets if args.drop_missing else ():
        rows = rows.with_target(target, "drop")
    # The limit draws rows with one fixed seed, so that runs with other seeds share their split.
    rows = rows.sample(chosen_preset(args).max_finetune, seed=0)
    seen = None if args.init != "scratch" else crystals.of_split("pretrain").table["formula"]
    kept = {"folder": args.out, "resume": args.resume, "pretraining_formulas": seen}
    with stopping() as stop:
        tuned = finetune(rows, args.init, settings, device=args.device, show=not args.quiet, stop=stop, **kept)
    tuned.save_pretrained(args.out)
    if tuned.metrics["label_is_function_of_target"]:
        targets = " or ".join(map(repr, settings.targets))
        print(f"note: the label {tuned.metrics['label']!r} is a function of {targets}", file=sys.stderr)
    if len(tuned.history) < settings.epochs:
        raise Interrupted(
            f"{len(tuned.history)} of {settings.epochs} epochs are done, and the best so far is saved in {args.out}; "
            "the same command with --resume goes on from there"
        )
    return tuned.metrics


def run_predict(args: argparse.Namespace) -> dict[str, Any]:
    """Predict the properties of structure files and write a CSV."""
    from .property_models import load_finetuned, predict
    from .vocabulary import get_target

    tuned = load_finetuned(args.model)
    args.data, args.targets, args.max_sites = args.structures, None, None
    values = predict(read_data(args), tuned, device=args.device)
    targets = [get_target(key, values) for key in values.columns]
    path = args.out if args.out.suffix == ".csv" else args.out / "predictions.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    values.set_axis([f"{t.key} ({t.unit})" if t.unit else t.key for t in targets], axis=1).to_csv(path)
    return {
        "structures": len(values),
        "target": ", ".join(t.key for t in targets),
        "unit": ", ".join(t.unit for t in targets),
        "out": str(path),
    }


def build_parser() -> argparse.ArgumentParser:
    """All commands and options."""
    from .encoders import ENCODERS
    from .labels import LABEL_MAKERS, LABELS
    from .losses import LOSSES
    from .vocabulary import TARGETS

    made = ", ".join(maker.form for maker in LABEL_MAKERS.values())

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

    def add_loop(command: argparse.ArgumentParser, *choices: str) -> None:
        command.add_argument("--epochs", type=int, help="instead of the preset's")
        command.add_argument("--batch-size", type=int)
        for name in choices:
            command.add_argument(f"--{name}", help=f"one of {', '.join(CHOICES[name])}")
        command.add_argument("--warmup", type=float, help="epochs in which the rate rises")
        command.add_argument("--clip", type=float, help="largest norm of the gradient")
        command.add_argument("--resume", action="store_true", help="go on from what an ended run left in --out")

    add_data(add("graphs", run_graphs, "runs/graphs"))
    command = add("pretrain", run_pretrain, "runs/pretrain")
    add_data(command)
    command.add_argument("--loss", help=f"one of {', '.join(LOSSES)} (default sup_barlow)")
    command.add_argument(
        "--label", help=f"one of {', '.join(LABELS)}, or made from them, as {made} (default gap_class)"
    )
    command.add_argument("--encoder", help=f"one of {', '.join(ENCODERS)} (default cgcnn)")
    add_loop(command, "schedule", "precision", "sampler")
    for name in ("learning-rate", "temperature", "balance", "mask-atoms", "mask-edges", "delta", "move-atoms"):
        command.add_argument(f"--{name}", type=float)
    command.add_argument("--symmetric", action="store_true", default=None, help="the same noise for i-j and j-i")
    command.add_argument("--compile", action="store_true", default=None, help="through torch.compile")
    command.add_argument("--tensorboard", action="store_true", help="write the history for TensorBoard, too")
    command = add("embed", run_embed, "runs/embeddings.parquet")
    add_data(command)
    command.add_argument("--model", required=True, help="folder of a pretrained encoder, or 'random'")
    command = add("finetune", run_finetune, "runs/finetune")
    add_data(command)
    command.add_argument(
        "--init", default="scratch", help="folder or name of a pretrained encoder, or 'scratch' (default)"
    )
    names = ", ".join(TARGETS)
    command.add_argument(
        "--target", nargs="+", help=f"of {names}, or numeric columns (default formation_energy_per_atom)"
    )
    add_loop(command, "schedule", "precision", "train")
    command.add_argument("--head-rate", type=float)
    command.add_argument("--encoder-rate", type=float)
    command.add_argument("--average", type=int, help="use the mean weights of so many of the best epochs")
    command.add_argument("--drop-missing", action="store_true", help="leave out crystals without the target")
    command.add_argument("--mask-missing", action="store_true", help="of several targets, teach those that are known")
    command = add("predict", run_predict, "runs/predictions.csv")
    command.add_argument("--model", required=True, help="folder of a fine-tuned model")
    command.add_argument("structures", nargs="+", help="structure files or folders of them")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; an error of ours is one sentence on stderr and exit status 2, an interrupt has status 130."""
    args = build_parser().parse_args(argv)
    try:
        chosen_preset(args)
        result = args.run(args)
        if local_rank() == 0:
            print(json.dumps(result, indent=1))
    except (SpmatError, OSError) as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        return 2
    except (KeyboardInterrupt, Interrupted) as error:
        print(f"interrupted: {error}" if str(error) else "interrupted", file=sys.stderr)
        return 130
    return 0
