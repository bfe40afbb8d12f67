"""Checks of decisions: label maps of the right shape, type and range, the same for the same input, and honest needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.conformance.common import Check, Skipped, Subject, expect
from segbench.types import Task

LABELS = 4
TASK = Task("check", "1", ("background", *(f"label {value}" for value in range(1, LABELS))))
_SHAPES = ((14, 12), (9, 14, 12), (1, 14, 12), (1, 1), (1, 1, 1))
"""A plane, a volume, a volume of one slice, and of one voxel."""

Labels = NDArray[np.integer[Any]]


def _labels(shape: tuple[int, ...], seed: int = 7) -> NDArray[np.int16]:
    """Return seeded boxes of the labels 1 and 2 with specks and holes; the last label is absent."""
    array = np.zeros(shape, np.int16)
    array[tuple(slice(size // 6, size // 2 + 1) for size in shape)] = 1
    array[tuple(slice(size // 2 + 1, size - 1) for size in shape)] = 2
    drawn = np.random.default_rng(seed).random(shape)
    array[drawn < 0.06] = 0
    array[drawn > 0.97] = 2
    return array


def _certain(labels: Labels) -> NDArray[np.float32]:
    return np.stack([labels == value for value in range(LABELS)]).astype(np.float32)


def _probabilities(shape: tuple[int, ...], seed: int = 7) -> NDArray[np.float32]:
    """Return seeded probabilities around ``_labels``, from sure to undecided, no two of a voxel alike."""
    generator = np.random.default_rng(seed)
    logits = 3 * generator.random(shape) * _certain(_labels(shape, seed)) + generator.normal(0, 1, (LABELS, *shape))
    powers = np.exp(logits)
    probabilities: NDArray[np.float32] = (powers / powers.sum(0)).astype(np.float32)
    return probabilities


def _expect_labels(found: Any, shape: tuple[int, ...], call: str) -> None:
    expect(isinstance(found, np.ndarray), f"{call} gave {type(found).__name__}; expected a NumPy array")
    expect(np.issubdtype(found.dtype, np.integer), f"{call} gave {found.dtype}; expected integers")
    expect(found.shape == shape, f"{call} gave shape {found.shape} for a case of {shape}")


def declares_what_it_needs(subject: Subject) -> None:
    """``needs_probabilities`` is True or False; a decision that says False looks at the likeliest labels only."""
    decision = subject.make()
    needs = decision.needs_probabilities
    expect(isinstance(needs, bool), f"needs_probabilities must be True or False; found {needs!r}")
    if needs:
        raise Skipped("it says that it needs probabilities")
    probabilities = _probabilities((9, 14, 12))
    refined = decision.refine(probabilities.argmax(0), TASK)
    same = np.array_equal(decision.decide(probabilities, TASK), refined)
    expect(same, "decide(p) is not refine(likeliest labels of p); set needs_probabilities = True")


def decides_two_and_three_dimensions(subject: Subject) -> None:
    """``decide`` gives integers ``(*S)`` for planes, volumes, one slice and one voxel, sure and unsure."""
    decision = subject.make()
    for shape in _SHAPES:
        for probabilities in (_probabilities(shape), _certain(np.zeros(shape, np.int16))):
            _expect_labels(decision.decide(probabilities, TASK), shape, "decide()")


def refines_two_and_three_dimensions(subject: Subject) -> None:
    """``refine`` gives integers ``(*S)`` for planes, volumes, one slice and one voxel, also where nothing is."""
    decision = subject.make()
    for shape in _SHAPES:
        for labels in (_labels(shape), np.zeros(shape, np.int16)):
            _expect_labels(decision.refine(labels, TASK), shape, "refine()")


def labels_are_of_the_task(subject: Subject) -> None:
    """Values are 0 to K - 1, with every number of labels."""
    decision = subject.make()
    for shape in ((14, 12), (9, 14, 12)):
        for count in range(2, LABELS + 1):
            task = Task("check", "1", TASK.labels[:count])
            probabilities = _probabilities(shape)[:count]
            probabilities /= probabilities.sum(0)
            for call, found in (
                ("decide()", decision.decide(probabilities, task)),
                ("refine()", decision.refine(probabilities.argmax(0), task)),
            ):
                low, high = int(found.min()), int(found.max())
                expect(low >= 0 and high < count, f"{call}: expected 0 to {count - 1}, found {low} to {high}")


def inputs_are_left_alone(subject: Subject) -> None:
    """Read-only probabilities and labels are enough, and are the same afterwards."""
    decision = subject.make()
    for call, given in ((decision.decide, _probabilities((9, 14, 12))), (decision.refine, _labels((9, 14, 12)))):
        kept = given.copy()
        given.setflags(write=False)
        call(given, TASK)
        expect(np.array_equal(given, kept), f"{call.__name__}() changed its input")


def decisions_do_not_depend_on_history(subject: Subject) -> None:
    """The same case is decided the same again, after another case, and by another instance."""
    decision = subject.make()
    for call, other, cases in (
        (decision.decide, subject.make().decide, [_probabilities((9, 14, 12), seed) for seed in (1, 2)]),
        (decision.refine, subject.make().refine, [_labels((9, 14, 12), seed) for seed in (1, 2)]),
    ):
        first, second = (call(case, TASK).copy() for case in cases)
        name = call.__name__
        expect(np.array_equal(call(cases[0], TASK), first), f"{name}() gave other labels for the same case later")
        expect(np.array_equal(other(cases[1], TASK), second), f"{name}() of a fresh part gave other labels")


def precision_and_memory_order_do_not_matter(subject: Subject) -> None:
    """The same numbers decide the same in float32 and float64, integers of any type, in C or Fortran order."""
    decision = subject.make()
    probabilities, labels = _probabilities((9, 14, 12)), _labels((9, 14, 12))
    decided, refined = decision.decide(probabilities, TASK), decision.refine(labels, TASK)
    for kind in (np.float32, np.float64):
        for order, given in (("C", probabilities.astype(kind)), ("Fortran", np.asfortranarray(probabilities, kind))):
            same = np.array_equal(decision.decide(given, TASK), decided)
            expect(same, f"decide(): {np.dtype(kind).name} in {order} order gave other labels")
    for integer in (np.uint8, np.int64):
        for order, some in (("C", labels.astype(integer)), ("Fortran", np.asfortranarray(labels, integer))):
            same = np.array_equal(decision.refine(some, TASK), refined)
            expect(same, f"refine(): {np.dtype(integer).name} in {order} order gave other labels")


def certain_probabilities_leave_no_choice(subject: Subject) -> None:
    """Where every voxel is certain, ``decide`` gives these labels, refined if the part refines."""
    decision = subject.make()
    for shape in _SHAPES:
        labels = _labels(shape)
        found, expected = decision.decide(_certain(labels), TASK), decision.refine(labels, TASK)
        differ = int(np.count_nonzero(found != expected))
        expect(not differ, f"{differ} of {labels.size} voxels of {shape} were decided against their certain label")


CHECKS: tuple[Check, ...] = (
    declares_what_it_needs,
    decides_two_and_three_dimensions,
    refines_two_and_three_dimensions,
    labels_are_of_the_task,
    inputs_are_left_alone,
    decisions_do_not_depend_on_history,
    precision_and_memory_order_do_not_matter,
    certain_probabilities_leave_no_choice,
)
