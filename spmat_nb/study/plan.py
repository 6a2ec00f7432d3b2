"""What a study is: arms, targets, seeds and folds, read from a small YAML file, and the cells that they make."""

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import SettingsError, unknown
from ..settings import (
    AugmentSettings,
    EncoderSettings,
    FinetuneSettings,
    PretrainSettings,
    identity_of,
    studies,
)

MADE = ("settings", "arms", "contrasts", "published")  # keys of a file that are not attributes as they stand
JUDGES = ("test", "val")


@dataclass(frozen=True)
class Arm:
    """One way to a fine-tuned model.

    Attributes:
        name: in tables and figures.
        start: of the encoder: `pretrain`ed here, from `scratch`, `random` (for a frozen control), or the name or folder
            of one that is there already.
        pretrain: settings of its pretraining; the seed is that of the cell.
        finetune: settings of its fine-tuning; target and seed are those of the cell.
        encoder: sizes.
        pretrain_on: data sets to pretrain on, with a + between, instead of the rows of split `pretrain`.
        pretrain_rows: so many of them at most; those of a smaller number are among those of a larger one.
        labelled: so many training rows at most, drawn in the same way.
    """

    name: str
    start: str = "pretrain"
    pretrain: PretrainSettings = field(default_factory=PretrainSettings)
    finetune: FinetuneSettings = field(default_factory=FinetuneSettings)
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    pretrain_on: str = ""
    pretrain_rows: int | None = None
    labelled: int | None = None

    @property
    def pretrains(self) -> bool:
        """Whether its encoder is trained here before it is fine-tuned."""
        return self.start == "pretrain"

    @property
    def sets(self) -> list[str]:
        """Names of the data sets in `pretrain_on`."""
        return [name.strip() for name in self.pretrain_on.split("+") if name.strip()]


@dataclass(frozen=True)
class Folds:
    """Cross-validation instead of the split of the data.

    Attributes:
        count: how many.
        random_state: of scikit-learn's `KFold` with shuffling, in the order of the file, as benchmarks define it; None
            makes folds by formula.
        val_share: of what is not tested, to choose an epoch by.
    """

    count: int
    random_state: int | None = None
    val_share: float = 0.1


@dataclass(frozen=True)
class Study:
    """A grid of runs.

    Attributes:
        name: of the study.
        question: that it is to answer, a sentence.
        data: what is fine-tuned and tested on: `teaching`, a file, or a name in the folder of real data.
        targets: one cell each.
        seeds: how many; a seed draws the noise, the order and the weights, the same in every arm.
        published: errors of other people's models on the same folds, by name, for comparison.
        first_seed: the first of them; a study that confirms another takes seeds that the other has not seen.
        arms: what is compared.
        references: names of the arms that the others are measured against.
        contrasts: pairs of an arm and what it is measured against, planned before the runs.
        max_sites: leave out larger cells.
        folds: instead of the split of the data.
        judge: rows that errors are taken from; `val` leaves the test rows alone, for tuning.
        exclude_formulas: drop crystals from pretraining whose formula is fine-tuned or tested on.
    """

    name: str
    question: str
    data: str
    targets: tuple[str, ...]
    seeds: int
    arms: tuple[Arm, ...]
    references: tuple[str, ...] = ()
    contrasts: tuple[tuple[str, str], ...] = ()
    published: tuple[tuple[str, float], ...] = ()
    first_seed: int = 0
    max_sites: int | None = None
    folds: Folds | None = None
    judge: str = "test"
    exclude_formulas: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be run or compared."""
        names = [arm.name for arm in self.arms]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SettingsError(
                f"Study {self.name!r} has two arms called {twice[0]!r}; put what differs into the name."
            )
        if (
            not re.fullmatch(r"[\w.-]+", self.name)
            or self.seeds < 1
            or self.first_seed < 0
            or not self.targets
            or not self.arms
        ):
            raise SettingsError(
                f"A study needs a name of letters, digits, '.', '_' and '-', a target, an arm and a seed at least, got "
                f"name {self.name!r}, {len(self.targets)} targets, {len(self.arms)} arms and {self.seeds} seeds."
            )
        for name in [*self.references, *itertools.chain(*self.contrasts)]:
            if name not in names:
                raise unknown("arm", name, names)
        if self.judge not in JUDGES:
            raise unknown("judge", self.judge, JUDGES)

    def arm(self, name: str) -> Arm:
        """The arm of that name.

        Raises:
            SettingsError: there is none.
        """
        found = {arm.name: arm for arm in self.arms}
        if name not in found:
            raise unknown("arm", name, found)
        return found[name]

    @property
    def parts(self) -> tuple[str, ...]:
        """Splits that are looked at: without the test rows where others judge."""
        return ("train", "val", "test") if self.judge == "test" else ("train", "val")

    @property
    def seen_sets(self) -> list[str]:
        """Data sets whose formulas pretraining may have seen; none where the formulas of the task are left out."""
        named = {name for arm in self.arms for name in arm.sets}
        return [] if self.exclude_formulas else sorted({self.data, *named})

    def cells(self) -> list["Cell"]:
        """All cells: every arm of a seed before the next seed, so that an unfinished study can be compared."""
        folds = [None] if self.folds is None else list(range(self.folds.count))
        seeds = range(self.first_seed, self.first_seed + self.seeds)
        grid = itertools.product(seeds, self.arms, self.targets, folds)
        return [Cell(self, arm, target, seed, fold) for seed, arm, target, fold in grid]

    def units(self, cells: Iterable["Cell"] | None = None) -> list["Unit"]:
        """Cells that share an encoder, together."""
        groups: dict[str, list[Cell]] = {}
        for cell in self.cells() if cells is None else cells:
            groups.setdefault(cell.encoder_key, []).append(cell)
        return [Unit(key, tuple(group)) for key, group in groups.items()]


@dataclass(frozen=True)
class Cell:
    """One fine-tuning run of a study, with its own record."""

    study: Study = field(repr=False)
    arm: Arm
    target: str
    seed: int
    fold: int | None = None

    @property
    def title(self) -> str:
        """As it is asked for on the command line and shown in progress lines."""
        fold = "" if self.fold is None else f" | fold {self.fold}"
        return f"{self.arm.name} | {self.target} | seed {self.seed}{fold}"

    def finetune_settings(self) -> FinetuneSettings:
        """Settings of the arm with target and seed of the cell."""
        return replace(self.arm.finetune, target=self.target, seed=self.seed)

    def pretrain_settings(self) -> PretrainSettings:
        """Settings of the arm with the seed of the cell, without a label that its loss does not look at."""
        from ..pretrain import with_used_label

        return with_used_label(replace(self.arm.pretrain, seed=self.seed))

    @cached_property
    def encoder_key(self) -> str:
        """A code of everything that decides the encoder before fine-tuning."""
        arm, study = self.arm, self.study
        own = [arm.start, identity_of(arm.encoder), self.seed]
        if arm.pretrains:
            own += [identity_of(self.pretrain_settings()), arm.pretrain_on or study.data, arm.pretrain_rows]
            own += [study.max_sites, study.data if study.exclude_formulas else ""]
        return code(own)

    @cached_property
    def key(self) -> str:
        """Name of the record: with a code of all that decides it, so that studies share cells and never mix them up."""
        study = self.study
        folds = None if study.folds is None else asdict(study.folds)
        own: list[Any] = [self.encoder_key, identity_of(self.finetune_settings()), self.arm.labelled]
        own += [self.fold, folds, study.judge, study.data, study.max_sites, study.seen_sets]
        number = f"{self.seed}" if self.fold is None else f"{self.seed}-{self.fold}"
        return f"{self.target}-{number}-{code(own)}"


@dataclass(frozen=True)
class Unit:
    """Cells that start from one encoder: what a worker takes at a time."""

    key: str
    cells: tuple[Cell, ...]


def code(values: Any) -> str:
    """Ten hexadecimal digits that only equal plain values share."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]


# From YAML ----------------------------------------------------------------------------------------------------------


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
