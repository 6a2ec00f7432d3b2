"""Which sizes: settings as frozen dataclasses, presets, device. The only reader of environment variables."""

import math
import os
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import SettingsError, unknown

if TYPE_CHECKING:
    import torch

PACKAGE_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class GraphSettings:
    """How a crystal becomes a graph (CGCNN: nearest 12 within 8 A)."""

    cutoff: float = 8.0  # A
    max_neighbours: int = 12

    def __post_init__(self) -> None:
        """Refuse settings that make no graph."""
        if not (self.cutoff > 0 and self.max_neighbours >= 1):
            raise SettingsError(f"cutoff must be positive and max_neighbours at least 1, got {self}.")


@dataclass(frozen=True)
class EncoderSettings:
    """Sizes of an encoder and its projector (CGCNN's; projector as in Crystal Twins).

    `convolutions` is the number of blocks of any encoder and `node_features` its width within; `heads`, of attention,
    are the transformer's alone (our choice).
    """

    name: str = "cgcnn"
    node_features: int = 64
    convolutions: int = 3
    hidden: int = 128
    gaussian_step: float = 0.2  # A
    projection: int = 256
    heads: int = 4
    graph: GraphSettings = field(default_factory=GraphSettings)

    def __post_init__(self) -> None:
        """Refuse sizes that make no encoder."""
        sizes = ("node_features", "convolutions", "hidden", "projection", "heads")
        if any(getattr(self, name) < 1 for name in sizes) or not 0 < self.gaussian_step < math.inf:
            raise SettingsError(f"{', '.join(sizes)} must be at least 1 and gaussian_step positive, got {self}.")
        if self.name == "transformer" and self.node_features % self.heads:
            raise SettingsError(
                f"The heads of a transformer share its width equally: node_features ({self.node_features}) "
                f"must be a multiple of heads ({self.heads})."
            )


@dataclass(frozen=True)
class AugmentSettings:
    """The noise of one view (paper: 10 % of atoms and of edges masked, GNDN with a half-width of 0.5 A).

    `symmetric` gives i-j and j-i the same noise; `move_atoms` moves atoms by up to so many A before the graph is built.
    """

    mask_atoms: float = 0.10
    mask_edges: float = 0.10
    delta: float = 0.5  # A
    symmetric: bool = False
    move_atoms: float = 0.0  # A

    def __post_init__(self) -> None:
        """Refuse shares outside [0, 1) and negative noise."""
        if not (0 <= self.mask_atoms < 1 and 0 <= self.mask_edges < 1):
            raise SettingsError(f"mask_atoms and mask_edges must be in [0, 1), got {self}.")
        if not (0 <= self.delta < math.inf and 0 <= self.move_atoms < math.inf):
            raise SettingsError(f"delta and move_atoms are lengths in A, 0 or more, got {self}.")


CHOICES = {
    "schedule": ("cosine", "constant"),
    "sampler": ("shuffled", "paired"),
    "precision": ("auto", "float32", "bfloat16"),
    "train": ("all", "head", "linear"),
    "missing": ("refuse", "mask"),
}


@dataclass(frozen=True)
class PretrainSettings:
    """One pretraining run. The paper gives 15 epochs; batch, learning rate, lambda and tau are our choice."""

    loss: str = "sup_barlow"
    label: str | None = "gap_class"
    epochs: int = 15
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 1e-6
    temperature: float = 0.1
    balance: float = 1.0  # lambda of the Barlow Twins losses
    validation_share: float = 0.05
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    seed: int = 0
    schedule: str = "cosine"  # or "constant"
    warmup: float = 0.0  # epochs in which the rate rises from 0
    clip: float | None = None  # largest norm of the gradient
    sampler: str = "shuffled"  # or "paired": each class meets a partner in its batch
    precision: str = "auto"  # bfloat16 on CUDA, float32 elsewhere; or either by name
    compile: bool = False  # by torch.compile: pays on a GPU; on the CPU the compiled loops are faster

    def __post_init__(self) -> None:
        """Refuse lengths and rates that train nothing."""
        _check_loop(self)
        _check_run(self.epochs, self.batch_size, self.learning_rate)
        if not (self.temperature > 0 and self.balance >= 0 and 0 <= self.validation_share < 1):
            raise SettingsError(
                "temperature must be positive, balance at least 0 and validation_share in [0, 1), "
                f"got {self.temperature}, {self.balance} and {self.validation_share}."
            )


@dataclass(frozen=True)
class FinetuneSettings:
    """One fine-tuning run (rates from Crystal Twins: 1e-3 for the head, 2e-4 for a pretrained encoder).

    `keep` says how many of the encoder's blocks (convolutions) are taken from the pretrained one, with the embedding of
    atoms: 0 takes that alone. What is above them, the read-out layer too, is drawn by the seed. A start from scratch is
    drawn by the seed anyway, and is the same whatever `keep` says.

    With a `layer_decay` below 1 each layer learns more slowly than the one above it (discriminative fine-tuning, Howard
    and Ruder, ULMFiT, 2018): the read-out layer at `encoder_rate`, the last block at that times the decay, the one
    before at that times its square, and so on down to the embedding of atoms.
    """

    target: str | tuple[str, ...] = "formation_energy_per_atom"  # or several at once
    epochs: int = 200
    batch_size: int = 128
    head_rate: float = 1e-3
    encoder_rate: float = 1e-3
    weight_decay: float = 1e-6
    seed: int = 0
    train: str = "all"  # or "head": the encoder stays as it is; or "linear": and the head is one layer, a probe
    average: int = 1  # mean of the weights of so many of the best epochs
    missing: str = "refuse"  # or "mask": a crystal without a target teaches the others
    schedule: str = "cosine"
    warmup: float = 0.0  # epochs in which the rates rise from 0
    clip: float | None = None  # largest norm of the gradient
    precision: str = "auto"
    keep: int | None = None  # blocks of the pretrained encoder; None: everything, with the read-out layer
    layer_decay: float = 1.0  # rate of a layer over that of the one above; 1: one rate for the whole encoder

    def __post_init__(self) -> None:
        """Refuse lengths and rates that train nothing."""
        if not isinstance(self.target, str):
            object.__setattr__(self, "target", tuple(self.target))  # a list, as JSON has it
        if not self.targets or len(set(self.targets)) < len(self.targets):
            raise SettingsError(f"Name at least one target, and each once, got {self.targets}.")
        if self.average < 1:
            raise SettingsError(f"average counts epochs, at least 1, got {self.average}.")
        if (self.keep is not None and self.keep < 0) or not 0 < self.layer_decay <= 1:
            raise SettingsError(
                "keep counts blocks, at least 0, and layer_decay is above 0 and at most 1, "
                f"got {self.keep} and {self.layer_decay}."
            )
        _check_loop(self)
        _check_run(self.epochs, self.batch_size, min(self.head_rate, self.encoder_rate))

    @property
    def targets(self) -> tuple[str, ...]:
        """All targets, also when there is one."""
        return (self.target,) if isinstance(self.target, str) else self.target


def _check_loop(settings: PretrainSettings | FinetuneSettings) -> None:
    """Refuse unknown choices, and a warm-up or a clipping that cannot be."""
    for name, known in CHOICES.items():
        if hasattr(settings, name) and getattr(settings, name) not in known:
            raise unknown(name, getattr(settings, name), known)
    warmup, clip = settings.warmup, settings.clip
    if not 0 <= warmup < math.inf or (clip is not None and not clip > 0):
        raise SettingsError(f"warmup is 0 epochs or more and clip is positive, got {warmup} and {clip}.")


def _check_run(epochs: int, batch_size: int, rate: float) -> None:
    if epochs < 1 or batch_size < 2 or not rate > 0:
        raise SettingsError(
            "A run needs at least 1 epoch, batches of at least 2 crystals (batch normalisation) and a positive "
            f"learning rate, got {epochs}, {batch_size} and {rate}."
        )


# Fields that came after the first records and saved states, with the value that does what was done before. Where runs
# are told apart they are left out at that value, so that what is there stays what it was.
LATER: dict[type, dict[str, Any]] = {FinetuneSettings: {"keep": None, "layer_decay": 1.0}}


def identity_of(settings: Any) -> dict[str, Any]:
    """Settings as plain values by which runs are told apart, without those of `LATER` that change nothing."""
    later = LATER.get(type(settings), {})
    values = {f.name: getattr(settings, f.name) for f in fields(settings)}
    return {
        name: identity_of(value) if is_dataclass(value) else value
        for name, value in values.items()
        if name not in later or value != later[name]
    }


@dataclass(frozen=True)
class Preset:
    """Lengths of a run and, where a recipe has them, its rates: for a laptop minute, a lesson, or as in the paper.

    Attributes:
        pretrain_epochs: of pretraining.
        finetune_epochs: of fine-tuning.
        max_pretrain: crystals to pretrain on at most.
        max_finetune: crystals to fine-tune and test on at most.
        seeds: how many runs to compare.
        pretrain: fields of `PretrainSettings` that are not the defaults.
        finetune: fields of `FinetuneSettings` that are not.
    """

    pretrain_epochs: int
    finetune_epochs: int
    max_pretrain: int | None
    max_finetune: int | None
    seeds: int
    pretrain: dict[str, Any] = field(default_factory=dict, repr=False)
    finetune: dict[str, Any] = field(default_factory=dict, repr=False)

    def pretraining(self, **changes: Any) -> PretrainSettings:
        """Settings of a pretraining run; `changes` are fields that shall be otherwise."""
        return PretrainSettings(**{"epochs": self.pretrain_epochs, **self.pretrain, **changes})

    def finetuning(self, **changes: Any) -> FinetuneSettings:
        """Settings of a fine-tuning run; `changes` are fields that shall be otherwise."""
        return FinetuneSettings(**{"epochs": self.finetune_epochs, **self.finetune, **changes})


# `full` and `paper` have the lengths of the paper. It is silent about rates, schedules and batches; `paper` takes them
# from its ancestor, Crystal Twins, `full` has those of every other run here.
PRESETS: dict[str, Preset] = {
    "fast": Preset(pretrain_epochs=2, finetune_epochs=8, max_pretrain=800, max_finetune=400, seeds=2),
    "class": Preset(pretrain_epochs=6, finetune_epochs=30, max_pretrain=None, max_finetune=None, seeds=3),
    "full": Preset(pretrain_epochs=15, finetune_epochs=200, max_pretrain=None, max_finetune=None, seeds=5),
    "paper": Preset(
        pretrain_epochs=15,
        finetune_epochs=200,
        max_pretrain=None,
        max_finetune=None,
        seeds=5,
        pretrain={"learning_rate": 1e-5, "schedule": "constant", "batch_size": 64},
        finetune={"head_rate": 1e-3, "encoder_rate": 2e-4, "schedule": "constant", "batch_size": 128},
    ),
}


def preset(name: str | None = None) -> Preset:
    """The named preset; without a name the one of `SPMAT_PRESET`, else `class`.

    Raises:
        SettingsError: the name is not in `PRESETS`.
    """
    name = name or os.environ.get("SPMAT_PRESET", "class")
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]


def device(name: str | None = None) -> "torch.device":
    """The device to compute on: the one named, or of `SPMAT_DEVICE`, else CUDA, else MPS, else the CPU.

    Raises:
        SettingsError: the named device does not exist here.
    """
    import torch

    name = name or os.environ.get("SPMAT_DEVICE")
    if name is None:
        name = (
            f"cuda:{local_rank()}"
            if torch.cuda.is_available()
            else "mps"
            if torch.backends.mps.is_available()
            else "cpu"
        )
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"Device {name!r} cannot be used on this machine; try 'cpu'.") from error
    return torch.device(name)


def launched() -> bool:
    """Whether `torchrun` started this process as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def local_rank() -> int:
    """Number of this process on its machine, which is also that of its GPU; 0 without `torchrun`."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def workers() -> int:
    """How many runs to do side by side: two on a CPU with two cores or more, one on a GPU."""
    return 1 if device().type != "cpu" else min(2, os.cpu_count() or 1)


def fused() -> bool:
    """Whether the CPU may use compiled loops; `SPMAT_FUSED=0` forbids it."""
    return os.environ.get("SPMAT_FUSED", "1") != "0"


def teaching_set() -> Path:
    """The embedded teaching set; `SPMAT_TEACHING_SET` names another copy."""
    return Path(os.environ.get("SPMAT_TEACHING_SET", PACKAGE_ROOT / "data" / "teaching.parquet"))


def textbook_set() -> Path:
    """The crystals that every course names; `SPMAT_TEXTBOOK_SET` names another copy."""
    return Path(os.environ.get("SPMAT_TEXTBOOK_SET", PACKAGE_ROOT / "data" / "textbook.csv"))


def shipped_models() -> Path:
    """The pretrained encoders that come with the project; `SPMAT_MODELS_DIR` names another folder of them."""
    return Path(os.environ.get("SPMAT_MODELS_DIR", PACKAGE_ROOT / "data" / "pretrained"))


def studies() -> Path:
    """The studies that come with the project, a YAML file each; `SPMAT_STUDIES_DIR` names another folder of them."""
    return Path(os.environ.get("SPMAT_STUDIES_DIR", PACKAGE_ROOT / "studies"))


def study_records() -> Path:
    """Records of finished runs that come with the project; `SPMAT_RECORDS_DIR` names another folder of them."""
    return Path(os.environ.get("SPMAT_RECORDS_DIR", PACKAGE_ROOT / "data" / "results" / "study"))


def real_data() -> Path | None:
    """The folder of `SPMAT_DATA_DIR` with real data sets, or None."""
    folder = os.environ.get("SPMAT_DATA_DIR")
    return Path(folder) if folder else None


def materials_project_key() -> str | None:
    """The key of `MP_API_KEY` for the Materials Project, or None."""
    return os.environ.get("MP_API_KEY")


def cache_dir() -> Path:
    """Where packed graphs are kept: `SPMAT_CACHE_DIR`, else `spmat_nb` in the user's cache folder."""
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("SPMAT_CACHE_DIR", base / "spmat_nb"))


def runs_dir() -> Path:
    """Where notebooks and commands leave results: `SPMAT_RUNS_DIR`, else `runs` in the working folder."""
    return Path(os.environ.get("SPMAT_RUNS_DIR", "runs"))
