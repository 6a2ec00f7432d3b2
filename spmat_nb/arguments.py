"""The options of the command line; what they may be set to comes from the registries."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .settings import CHOICES, PRESETS

Command = Callable[[argparse.Namespace], dict[str, Any]]


def build_parser(commands: Mapping[str, tuple[Command, str]], about: str | None) -> argparse.ArgumentParser:
    """All commands and options.

    Args:
        commands: by name, what runs and where its results go by default.
        about: what the program does.
    """
    parser = argparse.ArgumentParser(prog="python -m spmat_nb", description=about)
    added = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (run, out) in commands.items():
        command = added.add_parser(name, help=run.__doc__, description=run.__doc__)
        command.set_defaults(run=run)
        command.add_argument("--out", type=Path, default=Path(out), help=f"where results go (default {out})")
        command.add_argument("--seed", type=int, default=0, help="fixes everything that is drawn (default 0)")
        known = f"{', '.join(PRESETS)} (default class; paper sets rates, too)"
        command.add_argument("--preset", help=f"lengths of the run: {known}")
        command.add_argument("--device", help="cpu, cuda or mps (default: the fastest there is)")
        command.add_argument("--quiet", action="store_true", help="no progress lines")
        OPTIONS[name](command)
    return parser


def add_data(command: argparse.ArgumentParser) -> None:
    """Where crystals come from."""
    command.add_argument(
        "--data",
        default="teaching",
        help="'teaching', 'textbook', a .parquet file, a .csv of paths and targets, or a folder of structures",
    )
    command.add_argument("--targets", type=Path, help="CSV of targets and labels by id, for a folder")
    command.add_argument("--max-sites", type=int, help="leave out larger cells")
    add_strict(command)


def add_strict(command: argparse.ArgumentParser) -> None:
    """All or nothing."""
    command.add_argument("--strict", action="store_true", help="stop when a structure or a line of a table is refused")


def add_graphs(command: argparse.ArgumentParser) -> None:
    """Data, and the radius of the graphs."""
    add_data(command)
    add_cutoff(command)


def add_cutoff(command: argparse.ArgumentParser) -> None:
    """The radius of the graphs."""
    command.add_argument("--cutoff", type=float, help="radius in A within which neighbours are looked for (default 8)")


def add_loop(command: argparse.ArgumentParser, *choices: str) -> None:
    """What both trainings have, and those of `CHOICES` that are named."""
    command.add_argument("--epochs", type=int, help="instead of the preset's")
    command.add_argument("--batch-size", type=int)
    for name in choices:
        command.add_argument(f"--{name}", help=f"one of {', '.join(CHOICES[name])}")
    command.add_argument("--warmup", type=float, help="epochs in which the rate rises")
    command.add_argument("--clip", type=float, help="largest norm of the gradient")
    command.add_argument("--resume", action="store_true", help="go on from what an ended run left in --out")


def add_pretrain(command: argparse.ArgumentParser) -> None:
    """Loss, label, encoder and noise."""
    from .encoders import ENCODERS
    from .labels import LABEL_MAKERS, LABELS
    from .losses import LOSSES

    made = ", ".join(maker.form for maker in LABEL_MAKERS.values())
    add_data(command)
    add_cutoff(command)
    command.add_argument("--loss", help=f"one of {', '.join(LOSSES)} (default sup_barlow)")
    command.add_argument("--label", help=f"one of {', '.join(LABELS)}, or made by {made} (default gap_class)")
    command.add_argument("--encoder", help=f"one of {', '.join(ENCODERS)} (default cgcnn)")
    add_loop(command, "schedule", "precision", "sampler")
    for name in ("learning-rate", "temperature", "balance", "mask-atoms", "mask-edges", "delta", "move-atoms"):
        command.add_argument(f"--{name}", type=float)
    command.add_argument("--symmetric", action="store_true", default=None, help="the same noise for i-j and j-i")
    command.add_argument("--compile", action="store_true", default=None, help="through torch.compile")
    command.add_argument("--tensorboard", action="store_true", help="write the history for TensorBoard, too")


def add_embed(command: argparse.ArgumentParser) -> None:
    """Which encoder."""
    add_data(command)
    command.add_argument("--model", required=True, help="folder or name of a pretrained encoder, or 'random'")


def add_finetune(command: argparse.ArgumentParser) -> None:
    """Start, targets, what is trained, and how many times."""
    from .vocabulary import TARGETS

    add_data(command)
    known = f"of {', '.join(TARGETS)}, or numeric columns (default formation_energy_per_atom)"
    command.add_argument("--init", default="scratch", help="folder or name of an encoder, or 'scratch' (default)")
    command.add_argument("--target", nargs="+", help=known)
    add_loop(command, "schedule", "precision", "train")
    command.add_argument("--head-rate", type=float)
    command.add_argument("--encoder-rate", type=float)
    command.add_argument("--keep", type=int, help="take only so many of the encoder's blocks from a pretrained one")
    command.add_argument("--layer-decay", type=float, help="rate of each of its layers over that of the one above")
    command.add_argument("--average", type=int, help="use the mean weights of so many of the best epochs")
    command.add_argument("--members", type=int, help="train so many seeds; their spread gives error bars")
    command.add_argument("--folds", type=int, help="cross-validate by formula instead of the split of the data")
    command.add_argument("--drop-missing", action="store_true", help="leave out crystals without the target")
    command.add_argument("--mask-missing", action="store_true", help="of several targets, teach those that are known")


def add_predict(command: argparse.ArgumentParser) -> None:
    """Which model, and which structures."""
    command.add_argument("--model", required=True, help="folder of a fine-tuned model or ensemble")
    command.add_argument("structures", nargs="+", help="structure files or folders of them")
    add_strict(command)


def add_study(command: argparse.ArgumentParser) -> None:
    """Which study, and what to do with it."""
    command.add_argument("config", type=Path, help="YAML file of the study, or a name in studies/, such as teaching")
    command.add_argument("--workers", type=int, default=1, help="encoders at a time, one core each (default 1)")
    command.add_argument("--cell", action="append", help="only this one: 'ARM | TARGET | seed N'; may be repeated")
    command.add_argument("--plan", action="store_true", help="say what is done and how long the rest would take")
    command.add_argument("--check", action="store_true", help="run cells anew and compare with their records")
    command.add_argument("--pack", type=Path, help="write all records into one file")
    command.add_argument(
        "--records", type=Path, help="packed records to begin with, such as data/results/study/teaching.jsonl"
    )


def add_download(command: argparse.ArgumentParser) -> None:
    """What to ask the Materials Project for; the key comes from the environment, not from here."""
    command.add_argument(
        "--query",
        default="{}",
        help='arguments of materials.summary.search as JSON, such as {"elements": ["Ti", "O"]} (default: everything)',
    )
    command.add_argument("--chunk", type=int, default=500, help="materials asked for at a time (default 500)")


def add_leaks(command: argparse.ArgumentParser) -> None:
    """Two sets, or two parts of one."""
    for name, about in (("learnt", "what a model was pretrained or trained on"), ("tested", "what it is judged by")):
        command.add_argument(f"--{name}", default="teaching", help=f"{about}: as for --data of other commands")
        command.add_argument(f"--{name}-split", nargs="+", help=f"only these splits of --{name}")
    command.add_argument("--max-sites", type=int, help="leave out larger cells")
    add_strict(command)


OPTIONS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "graphs": add_graphs,
    "pretrain": add_pretrain,
    "embed": add_embed,
    "finetune": add_finetune,
    "predict": add_predict,
    "study": add_study,
    "download": add_download,
    "leaks": add_leaks,
}
