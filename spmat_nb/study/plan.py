"""What a study is: arms, targets, seeds and folds, and the cells that they make."""

import hashlib
import itertools
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from ..errors import SettingsError, unknown
from ..settings import EncoderSettings, FinetuneSettings, PretrainSettings, identity_of

JUDGES = {"test": "test", "val": "validation"}  # rows that errors are taken from, and their name in words


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
    def loads(self) -> bool:
        """Whether its encoder is there already."""
        return self.start not in ("pretrain", "scratch", "random")

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

    @property
    def by_formula(self) -> bool:
        """Whether polymorphs stay together; otherwise folds count all crystals in the order of the file."""
        return self.random_state is None


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

    @property
    def loaded(self) -> list[str]:
        """Encoders that arms start from and that are there already; each knows which formulas it has seen."""
        return sorted({arm.start for arm in self.arms if arm.loads})

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
        own += [self.fold, folds, study.judge, study.data, study.max_sites, study.seen_sets + study.loaded]
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
