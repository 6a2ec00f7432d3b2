"""What both trainings share: rates, precision, stopping, watching, and the state that lets a killed run go on."""

import math
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar, cast

import pandas as pd
import torch
from torch import Tensor, nn

from . import checkpoints
from .errors import CheckpointError, SettingsError, TrainingError
from .progress import Progress

RESUME = "resume"  # folder, inside that of a run, with the state after its last finished epoch
Callback = Callable[[dict[str, float]], None]
T = TypeVar("T")


class Stopped(Exception):
    """The stop event of a run was set."""


def check_stop(stop: threading.Event | None) -> None:
    """Raise `Stopped` once the event is set."""
    if stop is not None and stop.is_set():
        raise Stopped


def make_adam(groups: list[dict[str, Any]], weight_decay: float) -> torch.optim.Adam:
    """Adam in one kernel (a quarter of the time of the plain one on the CPU); frozen weights are left out."""
    kept = [group | {"params": [p for p in group["params"] if p.requires_grad]} for group in groups]
    device = next((p.device.type for group in kept for p in group["params"]), "cpu")
    return torch.optim.Adam(kept, weight_decay=weight_decay, fused=device in ("cpu", "cuda"))


def rate_factor(step: int, steps: int, warmup: int = 0, schedule: str = "cosine") -> float:
    """Share of the learning rate in one step: a linear rise over `warmup` steps, then a cosine to 0, or constant."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def set_rates(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Give every group its share of its own full rate."""
    for group in optimiser.param_groups:
        group["lr"] = group["full_rate"] * factor


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """bfloat16 where it was asked for, or by itself on CUDA; the CPU is slower with it."""
    wanted = precision == "bfloat16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)


def compiled(module: nn.Module) -> nn.Module:
    """The module through `torch.compile`; sizes of batches differ, so it is compiled for any."""
    return cast(nn.Module, torch.compile(module, dynamic=True))


class RunState:
    """Weights, optimiser and history after the last finished epoch, on disk when there is a folder.

    Random numbers need no saving: each depends on seed, epoch and crystal alone.

    Args:
        modules: by name.
        optimiser: of their weights.
        identity: settings, sizes and data of the run, as plain values; a saved state of another run is refused.
        folder: where to keep the state; None keeps it in memory only.
        resume: go on from the state in the folder, if there is one.
        writes: False for all but the first of several processes.

    Attributes:
        history: a row for each finished epoch.
        extra: further tensors to keep, by name.

    Raises:
        CheckpointError: the saved state is damaged or of another run.
    """

    def __init__(
        self,
        modules: dict[str, nn.Module],
        optimiser: torch.optim.Optimizer,
        identity: dict[str, Any],
        folder: Path | None = None,
        resume: bool = False,
        writes: bool = True,
    ) -> None:
        self.modules, self.optimiser, self.identity, self.writes = modules, optimiser, identity, writes
        self.folder = None if folder is None else Path(folder) / RESUME
        self.history: list[dict[str, float]] = []
        self.extra: dict[str, Tensor] = {}
        self._weights = self._copy()
        if resume and self.folder is not None and (self.folder / checkpoints.CONFIG).is_file():
            self._load(self.folder)

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.history)

    def finish(self, row: dict[str, float]) -> None:
        """One more epoch is done: keep its weights and its row of the history."""
        self._weights, self.history = self._copy(), [*self.history, row]  # at once: an interrupt finds both or none
        if self.folder is not None and self.writes:
            config = {"identity": self.identity, "history": self.history}
            tensors = self._weights | self._moments() | {f"extra.{name}": value for name, value in self.extra.items()}
            checkpoints.save(self.folder, RESUME, tensors, config, pd.DataFrame(self.history))

    def restore(self) -> None:
        """Go back to the weights of the last finished epoch."""
        for name, module in self.modules.items():
            own = {k.removeprefix(f"{name}."): v for k, v in self._weights.items() if k.startswith(f"{name}.")}
            module.load_state_dict(own)

    def _copy(self) -> dict[str, Tensor]:
        return {f"{name}.{k}": v.clone() for name, m in self.modules.items() for k, v in m.state_dict().items()}

    def _moments(self) -> dict[str, Tensor]:
        """The optimiser's tensors by the number of the weight."""
        state = self.optimiser.state_dict()["state"]
        return {f"optimiser.{i}.{name}": value for i, values in state.items() for name, value in values.items()}

    def _load(self, folder: Path) -> None:
        config, tensors, _ = checkpoints.load(folder, RESUME)
        if config["identity"] != checkpoints.plain(self.identity):
            raise CheckpointError(
                f"The unfinished run in {str(folder.parent)!r} has other settings or data ("
                f"{_first_difference(config['identity'], checkpoints.plain(self.identity))}). "
                "Choose another folder, or start anew without resuming."
            )
        self.history = config["history"]
        self.extra = {k.removeprefix("extra."): v for k, v in tensors.items() if k.startswith("extra.")}
        self._weights = {k: v for k, v in tensors.items() if not k.startswith(("optimiser.", "extra."))}
        self.restore()
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimiser."):
                _, number, name = key.split(".")
                moments.setdefault(int(number), {})[name] = value
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": moments})


def _first_difference(old: dict[str, Any], new: dict[str, Any], name: str = "") -> str:
    """The first value that differs, as `name: old, now new`."""
    for key in new:
        if old.get(key) != new[key]:
            if isinstance(new[key], dict) and isinstance(old.get(key), dict):
                return _first_difference(old[key], new[key], f"{name}{key}.")
            return f"{name}{key}: {old.get(key)}, now {new[key]}"
    return "they name other things"


def keep_best(state: RunState, row: dict[str, float], model: nn.Module, count: int) -> None:
    """Keep the weights of the `count` epochs of least `val_mae` so far, in the run's state."""
    best = best_epochs([*state.history, row], count)
    if row["epoch"] in best:
        state.extra |= {f"{row['epoch']:g}.{name}": value.clone() for name, value in model.state_dict().items()}
    wanted = tuple(f"{epoch:g}." for epoch in best)
    state.extra = {name: value for name, value in state.extra.items() if name.startswith(wanted)}


def best_epochs(history: list[dict[str, float]], count: int) -> list[float]:
    """Numbers of the `count` epochs of least validation error, the best one first."""
    finite = [row for row in history if math.isfinite(row["val_mae"])]
    return [row["epoch"] for row in sorted(finite, key=lambda row: row["val_mae"])[:count]]


def use_best(state: RunState, model: nn.Module, count: int) -> dict[str, Any]:
    """Load the mean of the weights of the best epochs; says which they were.

    Raises:
        TrainingError: there is none.
    """
    if not state.history:
        raise TrainingError("No epoch was finished, so there is no model yet.")
    best = best_epochs(state.history, count)
    if not best:
        raise TrainingError("No epoch has a finite validation error. Try a tenth of both rates.")
    kept = [
        {name.partition(".")[2]: value for name, value in state.extra.items() if name.startswith(f"{epoch:g}.")}
        for epoch in best
    ]
    # Whole numbers (steps counted by batch normalisation) are those of the best epoch.
    mean = {
        name: torch.stack([weights[name] for weights in kept]).mean(0) if value.is_floating_point() else value
        for name, value in kept[0].items()
    }
    model.load_state_dict(mean)
    return {"best_epoch": int(best[0]), "averaged_epochs": [int(epoch) for epoch in best]}


def step_or_explain(value: Tensor, optimiser: torch.optim.Optimizer, clip: float | None, epoch: int, cure: str) -> None:
    """Backward pass and one step of the optimiser.

    Raises:
        TrainingError: the loss is not finite; the weights are left as they were.
    """
    rate = optimiser.param_groups[0]["lr"]
    if not torch.isfinite(value):
        raise TrainingError(f"The loss is {value.item()} in epoch {epoch + 1} at a learning rate of {rate:.2g}. {cure}")
    optimiser.zero_grad()
    if not value.requires_grad:
        return  # every weight is frozen
    value.backward()
    if clip is not None:
        weights = [p for group in optimiser.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(weights, clip)
    optimiser.step()


def tensorboard(folder: str | Path) -> Callback:
    """A callback that writes every number of the history for TensorBoard (extra `track`).

    Raises:
        SettingsError: tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SettingsError("TensorBoard is not installed: python -m pip install 'spmat_nb[track]'.") from error
    writer = SummaryWriter(str(folder))

    def write(row: dict[str, float]) -> None:
        for name, value in row.items():
            writer.add_scalar(name, value, int(row["epoch"]))
        writer.flush()

    return write


class Background:
    """Run a training in a thread, so that a notebook stays alive and can stop it within a batch.

    `run = Background(pretrain, crystals, settings)`, then `run.stop()`, `run.running`, `run.rows`, `run.result()`.

    Args:
        train: `pretrain` or `finetune`; it is given `stop`, `callbacks` and `show=False` beside the arguments.
        arguments: passed on.
        options: passed on.
    """

    def __init__(self, train: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        self.rows: list[dict[str, float]] = []
        self._event, self._outcome = threading.Event(), None
        self._error: BaseException | None = None
        callbacks: Iterable[Callback] = (*options.pop("callbacks", ()), self.rows.append)
        self._call = (train, arguments, {"show": False, **options, "stop": self._event, "callbacks": callbacks})
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        train, arguments, options = self._call
        try:
            self._outcome = train(*arguments, **options)
        except BaseException as error:
            self._error = error

    @property
    def running(self) -> bool:
        """True until it has ended."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ask it to end after the batch it is in."""
        self._event.set()

    def result(self, timeout: float | None = None) -> Any:
        """What the training returned; waits for it, and raises what it raised.

        Raises:
            TrainingError: it still runs after `timeout` seconds.
        """
        self._thread.join(timeout)
        if self.running:
            raise TrainingError(f"The training still runs after {timeout} s.")
        if self._error is not None:
            raise self._error
        return self._outcome


def side_by_side(calls: Sequence[Callable[[], T]], title: str, workers: int = 1, show: bool = True) -> list[T]:
    """Results of independent runs, in order; each in one thread, several in processes of their own.

    Args:
        calls: without arguments, such as `functools.partial(finetune, ...)`.
        title: for the progress.
        workers: how many at a time; two runs side by side are faster than one on two threads.
        show: report progress.
    """
    from joblib import Parallel, delayed

    with Progress(title, len(calls), show, unit="run") as bar:
        results = []
        for result in Parallel(workers, return_as="generator")(delayed(in_one_thread)(call) for call in calls):
            results.append(result)
            bar.report()
    return results


def in_one_thread(call: Callable[[], T]) -> T:
    """The result of a call during which torch has one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return call()
    finally:
        torch.set_num_threads(before)
