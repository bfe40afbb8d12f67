"""The checks of decisions: a proper one passes, and each broken promise is found by the check that names it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from segbench.conformance import check_part
from segbench.conformance.decisions import CHECKS
from segbench.contracts import Decision
from segbench.host import Catalogue, Entry, Origin
from segbench.types import Task

Labels = NDArray[np.integer[Any]]


def broken(cls: type[Decision]) -> set[str]:
    catalogue = Catalogue()
    catalogue.entries["decisions"][cls.name] = Entry(cls, Origin("test", "tests", "1"))
    return {result.name for result in check_part(catalogue, "decisions", cls.name) if not result.ok}


@dataclass
class Plain(Decision):
    """The likeliest label."""

    name = "plain"
    summary = "the likeliest label"


@dataclass
class Trimmed(Decision):
    """Refines: the first plane becomes background."""

    name = "trimmed"
    summary = "trims"

    def refine(self, labels: Labels, task: Task) -> Labels:
        trimmed = labels.copy()
        trimmed[:1] = 0
        return trimmed


@dataclass
class Undeclared(Plain):
    def decide(self, probabilities: NDArray[Any], task: Task) -> Labels:
        labels: Labels = np.where(probabilities.max(0) > 0.6, probabilities.argmax(0), 0)
        return labels


@dataclass
class Vague(Plain):
    needs_probabilities: ClassVar[Any] = "sometimes"


@dataclass
class Floating(Plain):
    def decide(self, probabilities: NDArray[Any], task: Task) -> Any:
        return probabilities.argmax(0).astype(float)


@dataclass
class VolumesOnly(Plain):
    def decide(self, probabilities: NDArray[Any], task: Task) -> Labels:
        _labels, _depth, _height, _width = probabilities.shape
        return super().decide(probabilities, task)


@dataclass
class Squeezed(Plain):
    def refine(self, labels: Labels, task: Task) -> Labels:
        return labels.squeeze()


@dataclass
class Shifted(Plain):
    """Forgets that background is label 0."""

    def refine(self, labels: Labels, task: Task) -> Labels:
        return labels + 1


@dataclass
class Meddling(Trimmed):
    def refine(self, labels: Labels, task: Task) -> Labels:
        labels[:1] = 0
        return labels


@dataclass
class MeddlesQuietly(Trimmed):
    """Makes its input writable, so that nothing fails."""

    def refine(self, labels: Labels, task: Task) -> Labels:
        labels.setflags(write=True)
        labels[:1] = 0
        return labels


@dataclass
class Random(Plain):
    def refine(self, labels: Labels, task: Task) -> Labels:
        return labels * (np.random.default_rng().random(labels.shape) < 0.9)  # type: ignore[no-any-return]


@dataclass
class Counting(Plain):
    """Refines every case but the first."""

    seen: ClassVar[list[int]] = []

    def refine(self, labels: Labels, task: Task) -> Labels:
        self.seen.append(1)
        return labels if len(self.seen) % 7 else np.zeros_like(labels)


@dataclass
class Precise(Plain):
    """A threshold that single precision misses."""

    needs_probabilities = True

    def decide(self, probabilities: NDArray[Any], task: Task) -> Labels:
        labels = probabilities.argmax(0)
        return labels if probabilities.dtype == np.float32 else labels * (labels > 1)


@dataclass
class Flattened(Plain):
    """Reads memory as it lies."""

    def refine(self, labels: Labels, task: Task) -> Labels:
        flat = labels.ravel("K").copy()
        flat[: len(flat) // 2] = 0
        return flat.reshape(labels.shape)


@dataclass
class Reluctant(Plain):
    """Never decides for the second label."""

    needs_probabilities = True

    def decide(self, probabilities: NDArray[Any], task: Task) -> Labels:
        labels = probabilities.argmax(0)
        return np.where(labels == 2, 0, labels)


@pytest.mark.parametrize("cls", [Plain, Trimmed])
def test_proper_decisions(cls: type[Decision]) -> None:
    assert broken(cls) == set()


@pytest.mark.parametrize(
    ("cls", "faults"),
    [
        (Undeclared, {"declares_what_it_needs"}),
        (Vague, {"declares_what_it_needs"}),
        (Floating, {"decides_two_and_three_dimensions"}),
        (
            VolumesOnly,
            {"decides_two_and_three_dimensions", "labels_are_of_the_task", "certain_probabilities_leave_no_choice"},
        ),
        (Squeezed, {"decides_two_and_three_dimensions", "refines_two_and_three_dimensions"}),
        (Shifted, {"labels_are_of_the_task"}),
        (Meddling, {"inputs_are_left_alone"}),
        (MeddlesQuietly, {"inputs_are_left_alone"}),
        (Precise, {"precision_and_memory_order_do_not_matter"}),
        (Flattened, {"precision_and_memory_order_do_not_matter"}),
        (Reluctant, {"certain_probabilities_leave_no_choice"}),
    ],
)
def test_broken_decisions(cls: type[Decision], faults: set[str]) -> None:
    assert broken(cls) == faults


@pytest.mark.parametrize("cls", [Random, Counting])
def test_decisions_that_remember_or_throw_dice(cls: type[Decision]) -> None:
    assert "decisions_do_not_depend_on_history" in broken(cls)


def test_every_check_is_put_to_the_test() -> None:
    seeded = {fault for mark in test_broken_decisions.pytestmark for _, faults in mark.args[1] for fault in faults}  # type: ignore[attr-defined]
    assert {check.__name__ for check in CHECKS} == seeded | {"decisions_do_not_depend_on_history"}
