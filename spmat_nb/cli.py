"""The steps of the notebooks as commands, for machines without a screen: graphs, pretrain, embed, finetune, predict."""

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from .arguments import Command, build_parser
from .errors import SettingsError, SpmatError
from .settings import (
    AugmentSettings,
    EncoderSettings,
    FinetuneSettings,
    GraphSettings,
    Preset,
    PretrainSettings,
    local_rank,
    preset,
)

Options = dict[str, Any]


class Interrupted(Exception):
    """A run was told to end before its time; the text says what is left of it and how to go on."""


def pretraining_rows(args: argparse.Namespace) -> Any:
    """The crystals to pretrain on: split `pretrain`, or `train` in data without such rows."""
    crystals = read_data(args)
    rows = "pretrain" if (crystals.table["split"] == "pretrain").any() else "train"
    return crystals.of_split(rows).sample(chosen_preset(args).max_pretrain, args.seed)


def read_data(args: argparse.Namespace) -> Any:
    """Load `--data`, say what was refused or odd, and leave the reports beside the results."""
    from .crystals import load

    rest = {"strict": args.strict, "show": not args.quiet}
    crystals = load(args.data, targets=args.targets, max_sites=args.max_sites, seed=args.seed, **rest)
    for line in crystals.report.itertuples():
        print(f"refused {line.source} {line.row}: {line.reason}", file=sys.stderr)
    say_warned(crystals.warned)
    folder = args.out if not args.out.suffix else args.out.parent
    for name, report in (("refused", crystals.report), ("warned", crystals.warned)):
        if len(report):
            folder.mkdir(parents=True, exist_ok=True)
            report.to_csv(folder / f"{name}.csv", index=False)
    return crystals


def say_warned(warned: Any) -> None:
    """Say the first warning of each cause, and how many more there are."""
    for _, lines in warned.groupby("cause", sort=False):
        first, more = lines.iloc[0], f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        print(f"note: {first['source']} {first['row']}".strip() + f": {first['reason']}{more}", file=sys.stderr)


def graph_settings(args: argparse.Namespace) -> GraphSettings:
    """The radius of `--cutoff`, or the usual one."""
    return replace(GraphSettings(), **given(args, "cutoff"))


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
    graphs = build_graphs(crystals, graph_settings(args))
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
    options = given(args, "epochs", *names, "sampler", "precision", "compile")
    return chosen_preset(args).pretraining(**options, augment=replace(AugmentSettings(), **noise), seed=args.seed)


def run_pretrain(args: argparse.Namespace) -> dict[str, Any]:
    """Pretrain an encoder and write it as a checkpoint folder; under `torchrun` in several processes."""
    from .distributed import joined
    from .labels import get_label
    from .pretrain import pretrain, with_used_label
    from .training import tensorboard

    settings = with_used_label(pretrain_settings(args))
    if settings.label is not None:
        get_label(settings.label)
    name = {} if args.encoder is None else {"name": args.encoder}
    sizes = replace(EncoderSettings(), graph=graph_settings(args), **name)
    with joined() as group, stopping() as stop:
        callbacks = [tensorboard(args.out / "tensorboard")] if args.tensorboard and group.leads else []
        kept = {"folder": args.out, "resume": args.resume, "callbacks": callbacks, "stop": stop}
        model = pretrain(pretraining_rows(args), settings, sizes, device=args.device, show=not args.quiet, **kept)
        if len(model.history) == 0:
            raise Interrupted("no epoch was finished, and nothing is saved")
        if group.leads:
            model.save_pretrained(args.out)
    last = model.history.iloc[-1].to_dict()
    say_if_unfinished(len(model.history), settings.epochs, args.out)
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
    options = given(args, "epochs", *names, "keep", "layer_decay")
    if args.target:
        options["target"] = args.target[0] if len(args.target) == 1 else tuple(args.target)
    missing = "mask" if args.mask_missing else "refuse"
    return chosen_preset(args).finetuning(**options, seed=args.seed, missing=missing)


def run_finetune(args: argparse.Namespace) -> dict[str, Any]:
    """Fine-tune on one target or several and write metrics, predictions and the model, or several of them."""
    from .finetune import PARTS

    settings = finetune_settings(args)
    crystals = read_data(args)
    rows = crystals.of_split(*PARTS)
    for target in settings.targets if args.drop_missing or args.mask_missing else ():
        rows = rows.with_target(target, "drop" if args.drop_missing else "keep")
    say_warned(rows.warned.iloc[len(crystals.warned) :])
    # The limit draws rows with one fixed seed, so that runs with other seeds share their split.
    rows = rows.sample(chosen_preset(args).max_finetune, seed=0)
    seen = None if args.init != "scratch" else crystals.of_split("pretrain").table["formula"]
    shared = {"device": args.device, "show": not args.quiet, "pretraining_formulas": seen}
    if args.members is None and args.folds is None:
        return tune_once(args, rows, settings, shared)
    if args.resume or (args.members and args.folds):
        raise SettingsError("--members and --folds are many runs: give one of them, and no --resume.")
    return tune_members(args, rows, settings, shared) if args.members else tune_folds(args, rows, settings, shared)


def tune_once(args: argparse.Namespace, rows: Any, settings: FinetuneSettings, shared: Options) -> dict[str, Any]:
    """One model."""
    from .finetune import finetune

    with stopping() as stop:
        tuned = finetune(rows, args.init, settings, folder=args.out, resume=args.resume, stop=stop, **shared)
    tuned.save_pretrained(args.out)
    if tuned.metrics["label_is_function_of_target"]:
        targets = " or ".join(map(repr, settings.targets))
        print(f"note: the label {tuned.metrics['label']!r} is a function of {targets}", file=sys.stderr)
    say_if_unfinished(len(tuned.history), settings.epochs, args.out)
    return tuned.metrics


def tune_members(args: argparse.Namespace, rows: Any, settings: FinetuneSettings, shared: Options) -> dict[str, Any]:
    """Models of several seeds, whose spread gives error bars."""
    from .ensembles import finetune_ensemble
    from .files import write_json

    ensemble = finetune_ensemble(rows, args.init, settings, args.members, **shared)
    ensemble.save_pretrained(args.out)
    result = {"members": args.members, "test": ensemble.errors("test").reset_index().to_dict("records")}
    write_json(args.out / "metrics.json", result)
    return result


def tune_folds(args: argparse.Namespace, rows: Any, settings: FinetuneSettings, shared: Options) -> dict[str, Any]:
    """A model a fold; each crystal is predicted by the one that did not see its formula."""
    from .ensembles import cross_validate
    from .files import write_json, write_text

    result = cross_validate(rows, args.init, settings, args.folds, **shared)
    args.out.mkdir(parents=True, exist_ok=True)
    write_text(args.out / "predictions.csv", result.predictions.to_csv())
    errors = {"folds": result.errors.to_dict("records")}
    write_json(args.out / "metrics.json", errors)
    return errors


def say_if_unfinished(done: int, epochs: int, out: Path) -> None:
    """Raise when a run was told to end before its time."""
    if done < epochs:
        raise Interrupted(
            f"{done} of {epochs} epochs are done and saved in {out}; the same command with --resume goes on from there"
        )


def run_predict(args: argparse.Namespace) -> dict[str, Any]:
    """Predict the properties of structure files and write a CSV; with error bars from an ensemble."""
    from .ensembles import MEMBER, Ensemble
    from .property_models import load_finetuned, predict
    from .vocabulary import get_target

    several = (Path(args.model) / f"{MEMBER}0").is_dir()
    model = Ensemble.from_pretrained(args.model) if several else load_finetuned(args.model)
    args.data, args.targets, args.max_sites = args.structures, None, None
    crystals = read_data(args)
    table = (
        model.predict(crystals, args.device) if isinstance(model, Ensemble) else predict(crystals, model, args.device)
    )
    targets = [get_target(key.removesuffix(".std"), table) for key in table.columns]
    path = args.out if args.out.suffix == ".csv" else args.out / "predictions.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [f"{key} ({t.unit})" if t.unit else key for key, t in zip(table.columns, targets, strict=True)]
    table.set_axis(names, axis=1).to_csv(path)
    kinds = dict.fromkeys(targets)
    return {
        "structures": len(table),
        "target": ", ".join(t.key for t in kinds),
        "unit": ", ".join(t.unit for t in kinds),
        "out": str(path),
    }


def run_study(args: argparse.Namespace) -> dict[str, Any]:
    """Run, plan, check or pack a study, and say what its records say so far."""
    from .study import command

    study = command.read_study(args.config)
    if args.records is not None:
        command.restore(study, args.out, args.records)
    for name, action in command.ACTIONS.items():
        if getattr(args, name):
            return action(study, args.out, args)
    return command.run(study, args.out, args)


def run_download(args: argparse.Namespace) -> dict[str, Any]:
    """Download crystals of the Materials Project (key in MP_API_KEY); started again it goes on where it ended."""
    from .materials_project import download, provenance_of

    try:
        query = dict(json.loads(args.query))
    except (ValueError, TypeError) as error:
        text = 'write it like {"elements": ["Ti", "O"]}, in single quotes'
        raise SettingsError(f"--query is no JSON object ({error}); {text}.") from error
    args.out.parent.mkdir(parents=True, exist_ok=True)
    path = download(args.out, query, chunk=args.chunk, show=not args.quiet)
    return {"out": str(path), **json.loads(provenance_of(path).read_text())}


def run_leaks(args: argparse.Namespace) -> dict[str, Any]:
    """List the formulas, prototypes and structures that a set to test on shares with one that was learnt from."""
    from .files import write_text
    from .leaks import find_leaks

    sets = {}
    for name in ("learnt", "tested"):
        args.data, args.targets, splits = getattr(args, name), None, getattr(args, f"{name}_split")
        crystals = read_data(args)
        sets[name] = crystals.of_split(*splits) if splits else crystals
    found = find_leaks(**sets, show=not args.quiet)
    args.out.mkdir(parents=True, exist_ok=True)
    write_text(args.out / "shared_formulas.csv", found.formulas.to_csv())
    write_text(args.out / "shared_prototypes.csv", found.prototypes.to_csv())
    write_text(args.out / "shared_structures.csv", found.structures.to_csv(index=False))
    sizes = {"learnt": found.learnt, "tested": found.tested, "shared_formulas": len(found.formulas)}
    sizes["shared_prototypes"] = len(found.prototypes)
    return {**sizes, "tested_with_a_shared_structure": len(found.tested_ids), "out": str(args.out)}


COMMANDS: dict[str, tuple[Command, str]] = {
    "graphs": (run_graphs, "runs/graphs"),
    "pretrain": (run_pretrain, "runs/pretrain"),
    "embed": (run_embed, "runs/embeddings.parquet"),
    "finetune": (run_finetune, "runs/finetune"),
    "predict": (run_predict, "runs/predictions.csv"),
    "study": (run_study, "runs/study"),
    "download": (run_download, "runs/materials_project.parquet"),
    "leaks": (run_leaks, "runs/leaks"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; an error of ours is one sentence on stderr and exit status 2, an interrupt has status 130."""
    args = build_parser(COMMANDS, __doc__).parse_args(argv)
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
