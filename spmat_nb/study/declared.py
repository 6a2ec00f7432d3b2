"""A study read from a small YAML file: which names it may use, and how a list of values becomes an arm of each."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import SettingsError, unknown
from ..settings import AugmentSettings, EncoderSettings, FinetuneSettings, PretrainSettings, studies
from .plan import Arm, Folds, Study

MADE = ("settings", "arms", "contrasts", "published")  # keys of a file that are not attributes as they stand


def read_study(path: str | Path) -> Study:
    """A study from its file, or by the name of one that comes with the project.

    The keys are the attributes of `Study`; `settings` holds what all arms share and each of `arms` what is its own, by
    the names of `Arm`, `PretrainSettings`, `AugmentSettings`, and with `finetune.` or `encoder.` before them of
    `FinetuneSettings` and `EncoderSettings`. A list of values makes an arm of each; `{field}` in the name says which.

    Raises:
        SettingsError: no such file, no YAML, an unknown key, or a value that is not allowed; with the name of the file.
    """
    import yaml

    path = Path(path)
    if not path.exists() and (studies() / f"{path}.yml").is_file():
        path = studies() / f"{path}.yml"
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        known = ", ".join(study_names())
        raise SettingsError(f"{path}: {error.strerror}. Studies that come along: {known}.") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    try:
        return make_study(values)
    except (SettingsError, TypeError) as error:
        raise SettingsError(f"{path}: {error}") from None


def study_names() -> list[str]:
    """Names of the studies that come with the project."""
    return sorted(path.stem for path in studies().glob("*.yml"))


def make_study(values: Any) -> Study:
    """A study from plain values, as YAML has them.

    Raises:
        SettingsError: an unknown or missing key, or a value that is not allowed.
    """
    needed = ("name", "question", "data", "targets", "seeds", "arms")
    if not isinstance(values, Mapping) or not set(needed) <= set(values):
        raise SettingsError(f"A study needs the keys {', '.join(needed)}.")
    known = [*(f.name for f in fields(Study)), "settings"]
    for key in values:
        if key not in known:
            raise unknown("key", str(key), known)
    shared = values.get("settings") or {}
    arms = tuple(arm for one in values["arms"] for arm in expand({**shared, **one}))
    rest: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items() if key not in MADE}
    rest["published"] = tuple((values.get("published") or {}).items())
    rest["contrasts"] = tuple(pair for one in values.get("contrasts") or () for pair in expand_contrast(one))
    if rest.get("folds") is not None:
        rest["folds"] = Folds(**rest["folds"])
    return Study(**rest, arms=arms)


def expand(values: Mapping[str, Any]) -> Iterator[Arm]:
    """An arm for each combination of the values that are lists."""
    if "name" not in values:
        raise SettingsError(f"An arm has no name: {dict(values)}.")
    for one in combinations(values):
        yield make_arm(one | {"name": filled(one["name"], one)})


def expand_contrast(values: Any) -> Iterator[tuple[str, str]]:
    """A pair of names for each combination of the values that are lists: `arm`, `against`, and what fills them in."""
    if not isinstance(values, Mapping) or not {"arm", "against"} <= set(values):
        raise SettingsError(f"A contrast needs the keys arm and against, got {values}.")
    for one in combinations(values):
        yield filled(one["arm"], one), filled(one["against"], one)


def combinations(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The values with one of each list."""
    axes = {key: value for key, value in values.items() if isinstance(value, list)}
    for chosen in itertools.product(*axes.values()):
        yield dict(values) | dict(zip(axes, chosen, strict=True))


def filled(name: Any, values: Mapping[str, Any]) -> str:
    """A name with the values in the place of its fields."""
    try:
        return str(name).format(**{key.replace(".", "_"): value for key, value in values.items()})
    except (KeyError, IndexError, ValueError) as error:
        raise SettingsError(f"The name {name!r} of an arm cannot be filled in: no field {error}.") from None


def make_arm(values: Mapping[str, Any]) -> Arm:
    """An arm from values by their names.

    Raises:
        SettingsError: an unknown name, or a value that is not allowed.
    """
    parts: dict[str, dict[str, Any]] = {"": {}, "pretrain": {}, "augment": {}, "finetune": {}, "encoder": {}}
    for name, value in values.items():
        part, own = place(name)
        parts[part][own] = value
    try:
        pretrain = PretrainSettings(**parts["pretrain"], augment=AugmentSettings(**parts["augment"]))
        finetune, encoder = FinetuneSettings(**parts["finetune"]), EncoderSettings(**parts["encoder"])
    except TypeError as error:
        raise SettingsError(f"The arm {values['name']!r} has a value of a wrong kind: {error}.") from None
    return Arm(**parts[""], pretrain=pretrain, finetune=finetune, encoder=encoder)


def place(name: str) -> tuple[str, str]:
    """The part of the settings that a name of the file belongs to, and its name there."""
    for part, names in FIELDS.items():
        if name in names:
            return part, name.rpartition(".")[2]
    raise unknown("setting", name, [name for names in FIELDS.values() for name in names])


def _names(kind: type, *without: str, before: str = "") -> tuple[str, ...]:
    return tuple(before + f.name for f in fields(kind) if f.name not in without)


FIELDS: dict[str, tuple[str, ...]] = {
    "": _names(Arm, "pretrain", "finetune", "encoder"),
    "pretrain": _names(PretrainSettings, "augment", "seed"),
    "augment": _names(AugmentSettings),
    "finetune": _names(FinetuneSettings, "target", "seed", before="finetune."),
    "encoder": _names(EncoderSettings, "graph", before="encoder."),
}
