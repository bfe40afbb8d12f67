"""What a method may see of its run: before training, after a step, after an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from segbench.types import Batch, Case, LabelMap, Task

if TYPE_CHECKING:
    import torch


class Stage(Protocol):
    """What a method may see before training: the training split and nothing else.

    Attributes:
        task: what is segmented.
        dims: 2 or 3.
        epochs, steps_per_epoch: the budget.
        device: where training happens.
        folder: a folder of this run for files of the method's own; survives a resume and is kept with the results,
            all but what lies in its sub-folder ``scratch`` (memory maps, say), which goes when the run is complete.
        shared: a folder of this method in the cache of the results, for what several runs would make alike; it may not
            be there yet, anybody may delete it, and runs write there at the same time: name files by their content, and
            write them with ``segbench.atomically``.
        samples: number of fixed samples (FIXED_SAMPLES methods), else 0.
        native: whether the labelled training cases are seen as they lie in their files, neither resampled nor cropped.
    """

    @property
    def task(self) -> Task: ...
    @property
    def dims(self) -> int: ...
    @property
    def epochs(self) -> int: ...
    @property
    def steps_per_epoch(self) -> int: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def folder(self) -> Path: ...
    @property
    def shared(self) -> Path: ...
    @property
    def samples(self) -> int: ...
    @property
    def native(self) -> bool: ...

    def truths(self) -> Iterator[LabelMap]:
        """Yield the labelled training truths, whole volumes on the training grid."""
        ...

    def cases(self) -> Iterator[Case]:
        """Yield the labelled training cases, preprocessed, whole volumes on the training grid."""
        ...

    def batches(self) -> Iterator[Batch]:
        """Yield one pass over the training samples without augmentation, on the device."""
        ...

    def generator(self, purpose: str) -> torch.Generator:
        """Return a CPU generator seeded by purpose, seed and fold."""
        ...

    def fit(
        self,
        module: torch.nn.Module,
        objective: Callable[[int, torch.Generator], torch.Tensor],
        *,
        steps: int,
        learning_rate: float = 1e-4,
        purpose: str = "helper",
    ) -> list[float]:
        """Train a helper network with Adam: ``objective(step, generator)`` returns the loss; returns all losses."""
        ...


class Step(Protocol):
    """One optimiser step, seen afterwards.

    Attributes:
        index: steps so far in the run, from 0.
        epoch: current epoch, from 0.
        batch: what was seen.
        logits: detached logits before the update ``(B, K, *S)``.
        skipped: True if the loss or its gradient was not finite and no update was made.
    """

    @property
    def index(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def batch(self) -> Batch: ...
    @property
    def logits(self) -> torch.Tensor: ...
    @property
    def skipped(self) -> bool: ...

    def forward(self) -> torch.Tensor:
        """Run the updated network on the same batch, without gradient: logits ``(B, K, *S)``."""
        ...


class Epoch(Protocol):
    """One epoch, seen after its validation.

    Attributes:
        index: from 0.
        total: number of epochs of the run.
        last: whether this is the last one.
        train: mean of each loss term over the epoch's finite steps.
        val: validation measures, ``{"dice": mean foreground Dice}``, made when they are first read; empty where there
            are no validation cases, or none is due by ``recipe.validate_every``.
        skipped: non-finite steps in this epoch.
    """

    @property
    def index(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def last(self) -> bool: ...
    @property
    def train(self) -> Mapping[str, float]: ...
    @property
    def val(self) -> Mapping[str, float]: ...
    @property
    def skipped(self) -> int: ...

    def outputs(self) -> Iterator[tuple[Batch, torch.Tensor]]:
        """Yield one pass over the training samples without augmentation, with their logits, without gradient."""
        ...

    def log(self, name: str, value: float) -> None:
        """Write a number of the method's own into the run's history."""
        ...

    def stop(self, reason: str) -> None:
        """Ask the engine to end training after this epoch; the reason is recorded."""
        ...
