"""A make-believe run for the checks of methods: a few small cases, batches, and what a method may see of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segbench.conformance.cases import LABELS, SHAPE, SPACING, TASK, case_of, truth_of
from segbench.contracts import FIXED_SAMPLES, UNLABELLED, Method
from segbench.types import UNKNOWN, Batch, Case, LabelMap, Task

SAMPLES = 4
FIT_STEPS = 3
"""Steps that a helper network is really trained here, however many it asks for."""


def batch_of(method: Method, dims: int, cases: Sequence[int] = (0, 1)) -> Batch:
    """Return a batch as the engine would make it, with unlabelled samples for methods that need them."""
    truths = [truth_of(index) for index in cases]
    images = [case_of(index).image for index in cases]
    targets = [truth.array.astype(np.int64) for truth in truths]
    maps = [{name: _channelled(value) for name, value in method.derive(truth).items()} for truth in truths]
    labelled = [True] * len(cases)
    if UNLABELLED in method.needs:
        images, labelled = images * 2, labelled + [False] * len(cases)
        targets += [np.full(SHAPE, UNKNOWN, dtype=np.int64)] * len(cases)
        maps += [{name: np.zeros_like(value) for name, value in one.items()} for one in maps]
    middle = (Ellipsis, SHAPE[0] // 2, slice(None), slice(None)) if dims == 2 else (Ellipsis,)
    copies = len(images) // len(cases)
    numbers = list(cases) if FIXED_SAMPLES in method.needs else [-1] * len(cases)
    return Batch(
        image=torch.from_numpy(np.stack([image[middle] for image in images])),
        target=torch.from_numpy(np.stack([target[middle] for target in targets])),
        derived={name: torch.from_numpy(np.stack([one[name][middle] for one in maps])) for name in maps[0]},
        labelled=torch.tensor(labelled),
        spacing=torch.tensor([SPACING[-dims:]] * len(images), dtype=torch.float32),
        case_ids=[f"case{index}" for index in cases] * copies,
        sample_ids=torch.tensor(numbers + [-1] * len(cases) * (copies - 1), dtype=torch.int64),
    )


def _channelled(value: Any) -> Any:
    """Return a derived map as float32 ``(c, D, H, W)``."""
    array = np.asarray(value, dtype=np.float32)
    return array[None] if array.ndim == 3 else array


def logits_of(batch: Batch, *, scale: float = 1.0, seed: int = 0) -> torch.Tensor:
    """Return random logits ``(B, K, *S)`` that take a gradient."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch.target.shape[0], LABELS, *batch.target.shape[1:])
    return (torch.randn(shape, generator=generator) * scale).requires_grad_()


@dataclass
class FakeStage:
    """A ``segbench.Stage`` over ``SAMPLES`` made-up cases."""

    method: Method
    dims: int
    folder: Path
    task: Task = TASK
    epochs: int = 2
    steps_per_epoch: int = SAMPLES // 2
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    native: bool = True

    def __post_init__(self) -> None:
        self.shared = self.folder / "shared"
        self.samples = SAMPLES if FIXED_SAMPLES in self.method.needs else 0

    def truths(self) -> Iterator[LabelMap]:
        """Yield the training truths."""
        yield from map(truth_of, range(SAMPLES))

    def cases(self) -> Iterator[Case]:
        """Yield the training cases."""
        yield from map(case_of, range(SAMPLES))

    def batches(self) -> Iterator[Batch]:
        """Yield one pass over the training samples."""
        for first in range(0, SAMPLES, 2):
            yield batch_of(self.method, self.dims, (first, first + 1))

    def generator(self, purpose: str) -> torch.Generator:
        """Return a seeded generator."""
        return torch.Generator().manual_seed(sum(purpose.encode()))

    def fit(
        self,
        module: torch.nn.Module,
        objective: Callable[[int, torch.Generator], torch.Tensor],
        *,
        steps: int,
        learning_rate: float = 1e-4,
        purpose: str = "helper",
    ) -> list[float]:
        """Train for ``FIT_STEPS`` at most."""
        optimizer = torch.optim.Adam(module.parameters(), lr=learning_rate)
        generator, losses = self.generator(purpose), []
        for step in range(min(steps, FIT_STEPS)):
            optimizer.zero_grad()
            loss = objective(step, generator)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(float(loss.detach()))
        return losses


@dataclass
class FakeStep:
    """A ``segbench.Step``."""

    index: int
    epoch: int
    batch: Batch
    logits: torch.Tensor
    skipped: bool = False

    def forward(self) -> torch.Tensor:
        """Return other logits for the same batch."""
        return logits_of(self.batch, seed=self.index + 1).detach()


@dataclass
class FakeEpoch:
    """A ``segbench.Epoch``."""

    index: int
    total: int
    stage: FakeStage
    train: Mapping[str, float]
    val: Mapping[str, float] = field(default_factory=lambda: {"dice": 0.5})
    skipped: int = 0
    logged: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.last = self.index == self.total - 1

    def outputs(self) -> Iterator[tuple[Batch, torch.Tensor]]:
        """Yield one pass over the training samples with logits."""
        for batch in self.stage.batches():
            yield batch, logits_of(batch).detach()

    def log(self, name: str, value: float) -> None:
        """Keep a number."""
        self.logged[name] = value

    def stop(self, reason: str) -> None:
        """Ignore the wish."""
