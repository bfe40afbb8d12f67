"""What a method sees of a run: the concrete Stage, Step and Epoch. Only the training split is reachable from here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from segbench.training.batches import Samples
from segbench.training.cache import StoredCase
from segbench.training.sampling import seed_of
from segbench.types import Batch, Case, LabelMap, Task

Forward = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class TrainingStage:
    """See ``segbench.Stage``."""

    task: Task
    dims: int
    epochs: int
    device: torch.device
    folder: Path
    shared: Path
    training: Sequence[StoredCase]
    source: Samples
    seed: int
    fold: int
    report: Callable[[str], None] = lambda text: None

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps per epoch."""
        return self.source.steps

    @property
    def samples(self) -> int:
        """Number of fixed samples, 0 if samples are drawn."""
        return len(self.source.labelled) if self.source.fixed else 0

    @property
    def native(self) -> bool:
        """Whether the labelled training cases are seen as they lie in their files, neither resampled nor cropped."""
        return all((one.shape, one.spacing) == (one.native_shape, one.native_spacing) for one in self.training)

    def truths(self) -> Iterator[LabelMap]:
        """Yield the labelled training truths, whole volumes on the training grid."""
        for case in self.training:
            yield case.truth()

    def cases(self) -> Iterator[Case]:
        """Yield the labelled training cases, preprocessed."""
        for case in self.training:
            yield case.case()

    def batches(self) -> Iterator[Batch]:
        """Yield one pass over the training samples, not augmented."""
        return self.source.plain()

    def generator(self, purpose: str) -> torch.Generator:
        """Return a CPU generator seeded by purpose, seed and fold."""
        return torch.Generator().manual_seed(seed_of(f"method/{purpose}", self.seed, self.fold))

    def fit(
        self,
        module: torch.nn.Module,
        objective: Callable[[int, torch.Generator], torch.Tensor],
        *,
        steps: int,
        learning_rate: float = 1e-4,
        purpose: str = "helper",
    ) -> list[float]:
        """Train a helper network with Adam; returns the loss of every step."""
        module.to(self.device).train()
        optimizer = torch.optim.Adam(module.parameters(), lr=learning_rate)
        generator = self.generator(purpose)
        losses = []
        for step in range(steps):
            optimizer.zero_grad(set_to_none=True)
            loss = objective(step, generator)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(float(loss.detach()))
            if step % 20 == 0:
                self.report(f"{purpose}: step {step + 1} of {steps}, loss {losses[-1]:.4f}")
        module.eval()
        return losses


@dataclass(frozen=True)
class TrainingStep:
    """See ``segbench.Step``."""

    index: int
    epoch: int
    batch: Batch
    logits: torch.Tensor
    skipped: bool
    network: Forward

    def forward(self) -> torch.Tensor:
        """Run the updated network on the same batch, without gradient."""
        with torch.no_grad():
            return self.network(self.batch.image)


@dataclass
class TrainingEpoch:
    """See ``segbench.Epoch``."""

    index: int
    total: int
    train: Mapping[str, float]
    validate: Callable[[], Mapping[str, float]]
    skipped: int
    source: Samples
    network: Forward
    logged: dict[str, float] = field(default_factory=dict)
    stopped: str = ""

    @property
    def last(self) -> bool:
        """Whether this is the last epoch."""
        return self.index == self.total - 1

    @cached_property
    def val(self) -> Mapping[str, float]:
        """Validation measures, made when they are first read."""
        return self.validate()

    @property
    def seen(self) -> Mapping[str, float]:
        """Validation measures if anybody has read them, else none."""
        return self.val if "val" in vars(self) else {}

    def outputs(self) -> Iterator[tuple[Batch, torch.Tensor]]:
        """Yield one pass over the training samples, not augmented, with logits, without gradient."""
        with torch.no_grad():
            for batch in self.source.plain():
                yield batch, self.network(batch.image)

    def log(self, name: str, value: float) -> None:
        """Write a number into the run's history."""
        self.logged[name] = float(value)

    def stop(self, reason: str) -> None:
        """Ask the engine to end training after this epoch."""
        self.stopped = reason or "the method asked for it"
