"""The only epoch loop. Fairness lives here: every method gets the same weights, batches, budget and checkpoint rule.

Everything random in epoch e is reseeded from (seed, fold, e), and a checkpoint is written after every epoch, so a run
that was killed ends with the same values as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segbench.config import Recipe, RunConfig
from segbench.contracts import Method, Network
from segbench.errors import DataInvalid, PluginError
from segbench.host import Origin, blame
from segbench.training.batches import Samples
from segbench.training.cache import StoredCase
from segbench.training.checkpoints import check_plain, load_checkpoint, save_checkpoint
from segbench.training.energy import Energy
from segbench.training.inference import predict_labels
from segbench.training.learnt import weights_digest, why_nothing
from segbench.training.live import Live
from segbench.training.sampling import seed_of
from segbench.training.stage import TrainingEpoch, TrainingStage, TrainingStep
from segbench.types import Batch, Task

VALIDATION = 0.02
"""Share of the time of training that validation may take where nobody reads it."""
History = list[dict[str, Any]]


class Reporter:
    """Where training tells how it goes; this one is silent, the command line has one with a progress bar."""

    def note(self, text: str) -> None:
        """Say a sentence that a reader of a log must know."""

    def passing(self, text: str) -> None:
        """Say how far something is; of no interest later."""

    def start(self, epochs: int, steps: int, first: int) -> None:
        """Training begins at epoch ``first``."""

    def progress(self, what: str, done: int, total: int) -> None:
        """A stage other than training has come so far."""

    def step(self, epoch: int, step: int, losses: Mapping[str, float]) -> None:
        """A step is done."""

    def epoch(self, index: int, train: Mapping[str, float], val: Mapping[str, float], seconds: float) -> None:
        """An epoch is done."""

    def finish(self) -> None:
        """Training is over."""


@dataclass(frozen=True)
class Plan:
    """Everything training needs, settled.

    Attributes:
        config: the run.
        task: what is segmented.
        network: adapted to the geometry.
        method: constructed, not prepared.
        origin, network_origin: the plugins that method and network come from; named when they fail.
        train, val: stored cases.
        folder: of the run; checkpoints go to ``folder/checkpoint``.
        shared: folder of the method that all runs share.
        fabric: a launched ``lightning_fabric.Fabric``.
        check: called before anything is written; raises if the folder belongs to another process now.
        live: who follows the training; of no influence on it.
    """

    config: RunConfig
    task: Task
    network: Network
    method: Method
    origin: Origin
    network_origin: Origin
    train: Sequence[StoredCase]
    val: Sequence[StoredCase]
    folder: Path
    shared: Path
    fabric: Any
    check: Callable[[], None] = lambda: None
    live: Live = field(default_factory=Live)


@dataclass
class Progress:
    """What changes during training and is saved after every epoch.

    ``still`` counts steps whose gradient was zero; ``joules`` is what each counter of energy counted over all epochs,
    without those that were not there, or could not be read, in some of them.
    """

    epoch: int = 0
    step: int = 0
    history: History = field(default_factory=list)
    seconds: float = 0.0
    prepare_seconds: float = 0.0
    best: float = -1.0
    best_epoch: int = -1
    stopped: str = ""
    still: int = 0
    joules: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """What was seen on the way; the network lies in the run's checkpoints.

    ``fault`` says why nothing was learnt, "" if something was.
    """

    progress: Progress
    parameters: int
    fault: str = ""


def train(plan: Plan, samples: Samples, reporter: Reporter) -> Trained:
    """Train, or resume from the last checkpoint.

    Args:
        plan: what to train.
        samples: where batches come from.
        reporter: told about every step and epoch.

    Raises:
        PluginError: if the method breaks its contract (a loss that is not a scalar, say).
    """
    config, recipe = plan.config, plan.config.recipe
    torch.manual_seed(seed_of("weights", config.seed, config.fold))
    module = _module(plan)
    parameters, before = sum(value.numel() for value in module.parameters()), weights_digest(module)
    model, optimizer = plan.fabric.setup(module, _optimizer(module, recipe))
    engine = Engine(plan, samples, module, model, optimizer, reporter)
    engine.prepare()
    engine.resume()
    engine.run()
    return Trained(engine.progress, parameters, why_nothing(engine.progress, engine.module, before))


def restored(plan: Plan) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the trained network of a run, kept as ``checkpoint/network.pt``: image -> logits float32 ``(B, K, *S)``.

    Raises:
        DataInvalid: it is damaged, or is not that of this network.
    """
    module, path = _module(plan), plan.folder / "checkpoint" / "network.pt"
    saved = load_checkpoint(path)
    try:
        module.load_state_dict(saved["network"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataInvalid(
            f"{path} does not fit network {plan.network.name}: {str(error).splitlines()[0]}. "
            f"Delete the run's folder to train it anew."
        ) from error
    model = plan.fabric.setup(module)
    model.eval()

    def forward(image: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return _logits(plan, model, image)

    return forward


def _module(plan: Plan) -> torch.nn.Module:
    """Return the network of a plan, fresh, in the memory format in which it is fast."""
    view = plan.network.view
    with blame(plan.network_origin, "building its network"):
        module = plan.network.build(view.channels(len(plan.task.channels)), len(plan.task.labels))
    return module.to(memory_format=_layout(view.dims))  # type: ignore[call-overload,no-any-return]


def _logits(plan: Plan, model: Any, image: torch.Tensor) -> torch.Tensor:
    with blame(plan.network_origin, f"running network {plan.network.name}"):
        logits: torch.Tensor = model(image.contiguous(memory_format=_layout(image.dim() - 2)))
    expected = (len(image), len(plan.task.labels), *image.shape[2:])
    if tuple(logits.shape) != expected:
        raise PluginError(
            f"Network {plan.network.name}: expected logits {expected} for an image {tuple(image.shape)}, "
            f"found {tuple(logits.shape)}."
        )
    return logits


class Engine:
    """State of one training run; its methods are the steps of the loop, in the order they are called."""

    def __init__(
        self, plan: Plan, samples: Samples, module: torch.nn.Module, model: Any, optimizer: Any, reporter: Reporter
    ) -> None:
        self.plan, self.samples, self.reporter = plan, samples, reporter
        self.module, self.model, self.optimizer = module, model, optimizer
        self.recipe, self.method = plan.config.recipe, plan.method
        self.total_steps = self.recipe.epochs * samples.steps
        self.progress = Progress()
        self.checkpoints = plan.folder / "checkpoint"
        self.scaled = getattr(plan.fabric.strategy.precision, "scaler", None) is not None

    def prepare(self) -> None:
        """Let the method read its priors from the training split."""
        plan, begin = self.plan, time.perf_counter()
        folder = plan.folder / "method"
        folder.mkdir(parents=True, exist_ok=True)
        stage = TrainingStage(
            plan.task,
            plan.network.dims,
            self.recipe.epochs,
            self.samples.device,
            folder,
            plan.shared,
            plan.train,
            self.samples,
            plan.config.seed,
            plan.config.fold,
            self.reporter.passing,
        )
        torch.manual_seed(seed_of("prepare", plan.config.seed, plan.config.fold))
        with blame(plan.origin, "preparing"):
            self.method.prepare(stage)
        self.progress.prepare_seconds = time.perf_counter() - begin

    def resume(self) -> None:
        """Take up the last checkpoint, if there is one."""
        path = self.checkpoints / "last.pt"
        if not path.is_file():
            return
        saved = load_checkpoint(path)
        try:
            self.module.load_state_dict(saved["network"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.plan.fabric.strategy.precision.load_state_dict(saved["precision"])
            self.progress = Progress(**saved["progress"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise DataInvalid(
                f"Checkpoint {path} does not fit this run: {str(error).splitlines()[0]}. "
                f"Delete the run's folder to start it anew."
            ) from error
        with blame(self.plan.origin, "resuming"):
            self.method.restore(saved["method"])
        self.reporter.note(f"Resuming after epoch {self.progress.epoch} of {self.recipe.epochs}.")

    def run(self) -> None:
        """Train the remaining epochs."""
        progress = self.progress
        self.reporter.start(self.recipe.epochs, self.samples.steps, progress.epoch)
        live, energy = self.plan.live, Energy(self.samples.device)
        live.begin(self.samples.steps, progress.epoch, progress.history)
        try:
            while progress.epoch < self.recipe.epochs and not progress.stopped:
                begin = time.perf_counter()
                epoch = self._epoch(progress.epoch, energy)
                self._count(energy.spent())
                progress.epoch += 1
                progress.stopped = epoch.stopped
                progress.seconds += time.perf_counter() - begin
                values = self._record(epoch)
                self.plan.check()
                self._keep_best(epoch)
                save_checkpoint(self.checkpoints / "last.pt", self._state())
                self.reporter.epoch(epoch.index, epoch.train, epoch.seen, progress.seconds)
                live.epoch(epoch.index, progress.step, values)
        finally:
            self.reporter.finish()
            live.finish()
        if self.recipe.choose == "best" and (self.checkpoints / "best.pt").is_file():
            self.module.load_state_dict(load_checkpoint(self.checkpoints / "best.pt")["network"])
        self.module.eval()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Run the network in evaluation mode without gradient; logits float32 ``(B, K, *S)``."""
        training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                return self._call(image)
        finally:
            self.model.train(training)

    def _call(self, image: torch.Tensor) -> torch.Tensor:
        return _logits(self.plan, self.model, image)

    def _count(self, joules: Mapping[str, float]) -> None:
        """Add what an epoch took; of a counter that does not tell of every epoch nothing is known."""
        known = self.progress.joules if self.progress.epoch else dict.fromkeys(joules, 0.0)
        self.progress.joules = {name: known[name] + joules[name] for name in known if name in joules}

    def _epoch(self, index: int, energy: Energy) -> TrainingEpoch:
        torch.manual_seed(seed_of("epoch", self.plan.config.seed, self.plan.config.fold, index))
        self.model.train()
        sums: dict[str, float] = {}
        skipped = 0
        for number, batch in enumerate(self.samples.epoch(index)):
            terms, finite = self._step(index, batch)
            skipped += not finite
            if finite:
                for name, value in terms.items():
                    sums[name] = sums.get(name, 0.0) + value
            self.reporter.step(index, number, terms)
            self.progress.step += 1
            energy.look()
        if skipped:
            self.reporter.note(f"Epoch {index}: {skipped} of {self.samples.steps} steps skipped, loss not finite.")
        done = max(1, self.samples.steps - skipped)
        train = {name: value / done for name, value in sums.items()}
        epoch = TrainingEpoch(
            index, self.recipe.epochs, train, self._measures(index), skipped, self.samples, self.forward
        )
        with blame(self.plan.origin, f"closing epoch {index}"):
            self.method.after_epoch(epoch)
        if self._due(index) or epoch.stopped:
            _ = epoch.val
        return epoch

    def _due(self, index: int) -> bool:
        """Say whether an epoch is validated though its method does not ask."""
        if self.recipe.validate_every is None:
            every = 1 if self.recipe.choose == "best" else self._seldom
        else:
            every = self.recipe.validate_every
        return bool(every and (index + 1) % every == 0) or index == self.recipe.epochs - 1

    @cached_property
    def _seldom(self) -> int:
        """Epochs between validations that take at most ``VALIDATION`` of the time of training.

        A step costs three times as much as the network alone. Counted, not timed: the curve is the same on any machine.
        """
        windows = sum(len(self.plan.network.view.windows(case.shape)) for case in self.plan.val)
        trained = 3 * self.samples.steps * (self.samples.batch + self.samples.unlabelled_batch)
        return max(1, math.ceil(windows / (VALIDATION * trained)))

    def _measures(self, index: int) -> Callable[[], dict[str, float]]:
        """Return what measures an epoch; one that is not due by the recipe's number has no measures."""
        wanted = bool(self.plan.val) and (self.recipe.validate_every is None or self._due(index))
        return lambda: {"dice": self.validate()} if wanted else {}

    def _step(self, epoch: int, batch: Batch) -> tuple[dict[str, float], bool]:
        """One optimiser step; returns the loss terms and whether they and the gradient were finite."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.progress.step, self.total_steps)
        self.optimizer.zero_grad(set_to_none=True)
        logits = self._call(batch.image)
        with blame(self.plan.origin, "computing its loss"):
            terms = self.method.loss(batch, logits)
            total = _total(self.method, terms)
        values = {name: float(value.detach()) for name, value in terms.items()}
        finite = all(math.isfinite(value) for value in values.values())
        if finite:
            fabric = self.plan.fabric
            with blame(self.plan.origin, "computing the gradient of its loss"):
                fabric.backward(total)
            norm = fabric.clip_gradients(
                self.model, self.optimizer, max_norm=self.recipe.clip or math.inf, error_if_nonfinite=False
            )
            size = float(norm)
            finite = math.isfinite(size)
            self.progress.still += size == 0
            if finite or self.scaled:  # a gradient scaler skips the step itself and lowers its scale
                self.optimizer.step()
        step = TrainingStep(self.progress.step, epoch, batch, logits.detach(), not finite, self.forward)
        with blame(self.plan.origin, "updating after a step"):
            self.method.after_step(step)
        return values, finite

    def validate(self) -> float:
        """Return the mean Dice over the foreground labels present and the validation cases, training grid."""
        labels = len(self.plan.task.labels)
        scores = []
        for case in self.plan.val:
            predicted = predict_labels(self.forward, case, self.plan.network.view, labels, self.samples.device)
            truth = np.asarray(case.target[0])
            known = truth >= 0
            scores.append(_mean_dice(predicted[known], truth[known], labels))
        return float(np.mean(scores))

    def _record(self, epoch: TrainingEpoch) -> dict[str, float]:
        """Write an epoch down in the history, and return what was written."""
        rows = {f"train/{name}": value for name, value in epoch.train.items()}
        rows |= {f"val/{name}": value for name, value in epoch.seen.items()}
        rows |= {f"method/{name}": value for name, value in epoch.logged.items()}
        rows |= {"skipped": float(epoch.skipped), "seconds": self.progress.seconds}
        rows["learning_rate"] = learning_rate(self.recipe, self.progress.step - 1, self.total_steps)
        self.progress.history += [
            {"epoch": epoch.index, "step": self.progress.step, "name": name, "value": value}
            for name, value in rows.items()
        ]
        return rows

    def _keep_best(self, epoch: TrainingEpoch) -> None:
        dice = epoch.seen.get("dice", -1.0)
        if dice > self.progress.best:
            self.progress.best, self.progress.best_epoch = dice, epoch.index
            if self.recipe.choose == "best":
                save_checkpoint(self.checkpoints / "best.pt", {"network": self.module.state_dict()})

    def _state(self) -> dict[str, Any]:
        with blame(self.plan.origin, "giving its state"):
            state = dict(self.method.state())
        check_plain(state, f"Method {self.method.name}: state()")
        return {
            "network": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "precision": self.plan.fabric.strategy.precision.state_dict(),
            "method": state,
            "progress": vars(self.progress),
        }


def learning_rate(recipe: Recipe, step: int, total: int) -> float:
    """Return the learning rate of a step: linear warm-up, then poly (power 0.9), cosine or constant."""
    base = recipe.learning_rate
    warm = min(1.0, (step + 1) / recipe.warmup) if recipe.warmup else 1.0
    done = min(1.0, step / max(1, total))
    shape = {"poly": (1 - done) ** 0.9, "cosine": (1 + math.cos(math.pi * done)) / 2, "constant": 1.0}
    return float(base * warm * shape[recipe.schedule])


def _layout(dims: int) -> torch.memory_format:
    """Return the memory format in which convolutions of this dimension are fast."""
    return torch.channels_last if dims == 2 else torch.channels_last_3d


def _optimizer(module: torch.nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            module.parameters(), rate, momentum=recipe.momentum, weight_decay=decay, nesterov=recipe.momentum > 0
        )
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(module.parameters(), rate, betas=recipe.betas, weight_decay=decay)


def _total(method: Method, terms: Mapping[str, torch.Tensor]) -> torch.Tensor:
    if not terms:
        raise PluginError(f"Method {method.name}: loss returned no term; expected a mapping of name to scalar tensor.")
    for name, value in terms.items():
        if not isinstance(value, torch.Tensor) or value.dim() != 0:
            found = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise PluginError(f"Method {method.name}: loss term {name!r} must be a scalar tensor, found {found}.")
    total = torch.stack([value.float() for value in terms.values()]).sum()
    if not total.requires_grad:
        raise PluginError(
            f"Method {method.name}: its loss ({', '.join(terms)}) has no gradient, so that nothing could be learnt; "
            f"expected at least one term computed from the logits by torch alone. Look for .detach(), .item(), "
            f".argmax(), no_grad() or numpy on the way."
        )
    return total


def _mean_dice(predicted: NDArray[Any], truth: NDArray[Any], labels: int) -> float:
    """Return the mean Dice over foreground labels that occur in the truth; 1 if none occurs and none is predicted."""
    table = np.bincount(truth.astype(np.int64) * labels + predicted, minlength=labels * labels).reshape(labels, labels)
    overlap, sizes = np.diag(table)[1:], table.sum(0)[1:] + table.sum(1)[1:]
    present = table.sum(1)[1:] > 0
    if not present.any():
        return float(sizes.sum() == 0)
    return float((2 * overlap[present] / sizes[present]).mean())
