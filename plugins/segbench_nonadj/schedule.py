"""How strong the adjacency penalty is, epoch by epoch: an explicit state machine, free of torch.

::

    warm-up ──measured──▶ growing ◀──▶ holding (after a Dice drop)
                             │
                             └──last part of the run, Dice below its reference──▶ decaying

Source: the constants of the authors' published code (Ganaye et al. 2018), every one a parameter.

The penalty may be eased in: over the first ``ease`` epochs under it, lambda is multiplied by a share that rises
linearly, step by step, to 1. What the machine below moves is the level that this share is taken of.

Differences: the authors fine-tune a converged network for hundreds of epochs, whose validation Dice at the start is the
reference; here the penalty begins while the network still improves, so the reference is the best Dice so far (their
reading: ``reference="start"``), and the periods may shrink with the run (0).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from segbench import parameter

Mode = Literal["schedule", "fixed", "ramp", "off"]
PHASES = ("warm-up", "growing", "holding", "decaying")
"""In the order of the numbers in a run's history."""


@dataclass(frozen=True)
class Schedule:
    """The constants of the control of lambda."""

    warm_up: float = parameter(0.3, "part of the epochs trained without the penalty", low=0, high=1)
    ease: float = parameter(0.0, "epochs over which lambda rises to its first value; 0 = at once, the paper", low=0)
    ratio: float = parameter(0.3, "first weighted penalty as a part of the mean training Dice", low=0)
    growth: float = parameter(1.3, "factor by which lambda grows", low=1)
    growth_every: int = parameter(5, "epochs between growths; 0 = a twentieth of the run, 1 to 5", low=0)
    tolerance: float = parameter(0.01, "lambda grows while Dice is at most this below its reference", low=0)
    drop: float = parameter(0.02, "a Dice this far below its reference holds lambda", low=0)
    hold: int = parameter(5, "epochs of a hold; 0 = a twentieth of the run, 1 to 5", low=0)
    decay: float = parameter(0.9, "factor late in the run when Dice is below its reference", low=0, high=1)
    decay_after: float = parameter(0.7, "part of the epochs after which lambda may decay", low=0, high=1)
    reference: Literal["best", "start"] = parameter("best", "reference Dice: best so far, or where the penalty began")
    skip_decay: float = parameter(0.9, "factor of lambda after a non-finite step", low=0, high=1)
    skip_growth: float = parameter(0.98, "factor of the growth after a non-finite step", low=0, high=1)
    skip_limit: int = parameter(3, "non-finite steps under the penalty that end the training; 0 = never", low=0)


@dataclass
class LambdaControl:
    """Lambda over the epochs of one run.

    Attributes:
        total: epochs of the run.
        mode: "schedule", "fixed", "ramp" (linear from the end of the warm-up to ``decay_after``) or "off".
        strength: lambda of "fixed" and the top of "ramp"; 0 = as measured, like the schedule's first value.
        constants: see ``Schedule``.
        steps: optimiser steps per epoch, which ``ease`` is divided into.
        level: lambda once it is eased in.
        phase: one of ``PHASES``, what the last epoch led to; "growing" for "fixed" and "ramp".
        taken: optimiser steps under the penalty so far.
    """

    total: int
    mode: Mode = "schedule"
    strength: float = 0.0
    constants: Schedule = field(default_factory=Schedule)
    steps: int = 1
    level: float = 0.0
    phase: str = "warm-up"
    taken: int = 0
    top: float = 0.0
    growth: float = 0.0
    started: int = -1
    held_until: int = -1
    reference: float = -math.inf
    skips: int = 0

    def __post_init__(self) -> None:
        self.growth = self.growth or self.constants.growth
        if self.started < 0 and self.first_epoch == 0 and self.mode != "off":
            self._start(0, self.strength)

    @property
    def value(self) -> float:
        """Lambda of the next optimiser step."""
        whole = self.constants.ease * self.steps
        return self.level * min(1.0, (self.taken + 1) / whole) if whole > 0 else self.level

    @property
    def first_epoch(self) -> int:
        """First epoch with the penalty; at least 1 if its strength must be measured."""
        epochs = round(self.constants.warm_up * self.total)
        given = self.mode in ("fixed", "ramp") and self.strength > 0
        return epochs if given else max(1, epochs)

    def must_measure(self, index: int) -> bool:
        """Say whether ``start`` is due after epoch ``index``."""
        return self.mode != "off" and self.started < 0 and index + 1 >= self.first_epoch

    def start(self, index: int, dice: float, penalty: float, validation: float | None) -> None:
        """End the warm-up after epoch ``index``: lambda = ratio x dice / penalty, or the strength given.

        Nothing happens, and the warm-up goes on, if no finite positive lambda follows.

        Args:
            index: epoch just finished.
            dice: mean Dice on the training samples.
            penalty: mean unweighted penalty on the training samples.
            validation: validation Dice of this epoch, or None.
        """
        if validation is not None:
            self.reference = max(self.reference, validation)
        given = self.strength if self.mode in ("fixed", "ramp") else 0.0
        first = given or (self.constants.ratio * dice / penalty if penalty > 0 else 0.0)
        if math.isfinite(first) and first > 0:
            self._start(index + 1, first)

    def _start(self, epoch: int, top: float) -> None:
        self.started, self.top, self.level, self.phase = epoch, top, top, "growing"
        if self.mode == "ramp":
            self.level = self._ramp(epoch)

    def after_epoch(self, index: int, validation: float | None) -> None:
        """Move lambda after epoch ``index``, which had the penalty.

        Late in the run the decay goes before everything else; a hold goes before growth. Without a validation Dice
        lambda grows blindly.
        """
        if self.started < 0 or index < self.started:
            return
        if self.mode == "ramp":
            self.level = self._ramp(index + 1)
        elif self.mode == "schedule":
            self._move(index, validation)
        if self.constants.reference == "best" and validation is not None:
            self.reference = max(self.reference, validation)

    def _move(self, index: int, validation: float | None) -> None:
        constants, every = self.constants, self.constants.growth_every or self._twentieth()
        dice = self.reference if validation is None else validation
        if dice <= self.reference - constants.drop:
            self.held_until = index + (constants.hold or self._twentieth())
        late = index + 1 >= math.ceil(constants.decay_after * self.total)
        if late and dice < self.reference:
            self.level *= constants.decay
            self.phase = "decaying"
        elif index <= self.held_until:
            self.phase = "holding"
        else:
            self.phase = "growing"
            due = (index + 1 - self.started) % every == 0
            if due and dice >= self.reference - constants.tolerance:
                self.level *= self.growth

    def after_step(self, *, skipped: bool) -> None:
        """Ease lambda in by a step; lower it and its growth after a non-finite one. The warm-up's do not count."""
        if self.level <= 0:
            return
        self.taken += 1
        if skipped:
            self.level *= self.constants.skip_decay
            self.growth = max(1.0, self.growth * self.constants.skip_growth)
            self.skips += 1

    @property
    def exhausted(self) -> bool:
        """Whether training should end for too many non-finite steps."""
        return 0 < self.constants.skip_limit <= self.skips

    def _twentieth(self) -> int:
        return min(5, max(1, round(self.total / 20)))

    def _ramp(self, epoch: int) -> float:
        length = max(1, math.ceil(self.constants.decay_after * self.total) - self.started)
        lowered: float = self.constants.skip_decay**self.skips
        return self.top * lowered * min(1.0, (epoch - self.started + 1) / length)

    _STATE = ("level", "phase", "taken", "top", "growth", "started", "held_until", "reference", "skips")

    def state(self) -> dict[str, Any]:
        """Return what moves, as numbers and texts."""
        return {name: getattr(self, name) for name in self._STATE}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state`` returned."""
        for name in self._STATE:
            setattr(self, name, state[name])
