"""Checks of metrics: the promised values, the statuses of empty masks, units, and inputs left as they were."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench.conformance.common import Check, Skipped, Subject, expect
from segbench.types import STATUSES, LabelMap, Score, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GROWTH = {"mm": 2.0, "mL": 8.0}
"""Unit -> what happens to a value when a 3D voxel becomes twice as large along each axis."""


def _task(labels: int = 2) -> Task:
    return Task("check", "1", ("background", *(f"label {value}" for value in range(1, labels + 1))))


def _maps(shape: tuple[int, ...], spacing: tuple[float, ...], kind: Any = np.uint8) -> tuple[LabelMap, LabelMap]:
    """Return two label maps with the labels 1 and 2 as overlapping boxes, seeded and different from each other."""
    drawn = np.random.default_rng(7)
    arrays = []
    for shift in (0, 1):
        array = np.zeros(shape, dtype=kind)
        array[tuple(slice(1 + shift, size // 2 + 1 + shift) for size in shape)] = 1
        array[tuple(slice(size // 2 + 1, size - 1 - shift) for size in shape)] = 2
        array[(drawn.random(shape) < 0.02) & (array > 0)] = 2
        arrays.append(array)
    return LabelMap(arrays[0], spacing), LabelMap(arrays[1], spacing)


def _scores(subject: Subject, predicted: LabelMap, truth: LabelMap, labels: int = 2) -> list[Score]:
    task = _task(labels)
    metric = subject.make()
    metric.prepare(task, iter([truth]) if metric.needs_training else iter(()))
    return list(metric.score(predicted, truth, task))


def _values(scores: Sequence[Score]) -> list[float | None]:
    return [score.value for score in scores]


def _same(first: Sequence[float | None], second: Sequence[float | None], tolerance: float = 1e-9) -> bool:
    return len(first) == len(second) and all(
        one is other if one is None or other is None else math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
        for one, other in zip(first, second, strict=True)
    )


def declares_its_direction(subject: Subject) -> None:
    """``better`` is higher or lower, ``unit`` is text."""
    cls: Any = subject.cls
    expect(cls.better in ("higher", "lower"), f'better must be "higher" or "lower"; found {cls.better!r}')
    expect(isinstance(cls.unit, str), f"unit must be text; found {cls.unit!r}")


def examples_have_the_promised_values(subject: Subject) -> None:
    """The hand-computed examples come out as promised, to 1e-9."""
    examples = subject.make().examples()
    if not examples:
        raise Skipped("it has no examples(); give some, computed by hand")
    for number, (predicted, truth, promised) in enumerate(examples):
        largest = max(int(predicted.array.max()), int(truth.array.max()), len(promised))
        found = _values(_scores(subject, predicted, truth, largest))
        expect(_same(found, promised), f"example {number}: expected {list(promised)}, found {found}")


def scores_two_and_three_dimensions(subject: Subject) -> None:
    """Planes and volumes with different spacing per axis are scored, one well-formed score per structure."""
    for shape, spacing in (((14, 12), (0.5, 2.0)), ((10, 14, 12), (3.0, 0.5, 1.25)), ((1, 14, 12), (5.0, 1.0, 1.0))):
        scores = _scores(subject, *_maps(shape, spacing))
        expect(bool(scores), f"no score for a {len(shape)}D case")
        for score in scores:
            expect(isinstance(score, Score), f"expected segbench.Score, found {score!r}")
            expect(score.status in STATUSES, f"status {score.status!r} is none of {', '.join(STATUSES)}")
            number = score.value is not None and not math.isnan(score.value)
            expect(number or score.status != "ok", f"{score.structure.name}: status ok without a number")
        names = [score.structure.name for score in scores]
        expect(len(set(names)) == len(names), f"a structure is scored twice: {', '.join(names)}")


def empty_masks_have_their_status(subject: Subject) -> None:
    """A structure absent from either side is scored with the status that says so, and never as NaN."""
    predicted, truth = _maps((10, 14, 12), (1.0, 1.0, 2.0))
    nothing = LabelMap(np.zeros_like(truth.array), truth.spacing)
    expected = ((nothing, nothing, "both_empty"), (nothing, truth, "pred_empty"), (predicted, nothing, "truth_empty"))
    per_label = {structure.name for structure in _task().structures}
    full = [score.structure.name for score in _scores(subject, predicted, truth)]
    for first, second, status in expected:
        scores = _scores(subject, LabelMap(first.array, first.spacing), LabelMap(second.array, second.spacing))
        names = [score.structure.name for score in scores]
        expect(names == full, f"{status}: scores {names}, but {full} where nothing is empty")
        for score in scores:
            if score.structure.name in per_label:
                expect(score.status == status, f"{score.structure.name}: expected {status}, found {score.status}")
            expect(score.value is None or not math.isnan(score.value), f"{status}: NaN; say None and a status")


def speaks_of_what_it_declares(subject: Subject) -> None:
    """``score`` gives one score for each of ``structures(task)``, in this order (missing cases get rows of these)."""
    metric = subject.make()
    declared = [structure.name for structure in metric.structures(_task())]
    found = [score.structure.name for score in _scores(subject, *_maps((10, 14, 12), (1.0, 1.0, 2.0)))]
    expect(found == declared, f"structures(task) are {declared}, score() gave {found}; override structures(task)")


def inputs_are_left_alone(subject: Subject) -> None:
    """Read-only label maps can be scored, and are the same afterwards."""
    maps = _maps((10, 14, 12), (1.0, 1.0, 2.0))
    before: list[NDArray[Any]] = [labels.array.copy() for labels in maps]
    for labels in maps:
        labels.array.setflags(write=False)
    _scores(subject, *maps)
    same = all(np.array_equal(labels.array, kept) for labels, kept in zip(maps, before, strict=True))
    expect(same, "score() changed its inputs")


def scores_do_not_depend_on_history(subject: Subject) -> None:
    """The same pair scores the same again, after another prediction was scored against the same truth."""
    predicted, truth = _maps((10, 14, 12), (1.0, 1.0, 2.0))
    less = predicted.array.copy()
    less[:, :4] = 0
    other = LabelMap(less, predicted.spacing)
    first = _values(_scores(subject, predicted, truth))
    second = _values(_scores(subject, other, truth))
    again = _values(_scores(subject, predicted, truth))
    alone = _values(_scores(subject, other, _maps((10, 14, 12), (1.0, 1.0, 2.0))[1]))
    expect(_same(first, again, 0), f"scored again: expected {first}, found {again}")
    expect(_same(second, alone, 0), f"after another prediction: expected {alone}, found {second}")


def integer_type_and_memory_order_do_not_matter(subject: Subject) -> None:
    """Label maps of any integer type and memory order score the same."""
    shape, spacing = (10, 14, 12), (1.0, 0.5, 2.0)
    expected = _values(_scores(subject, *_maps(shape, spacing)))
    for kind in (np.int16, np.int64):
        found = _values(_scores(subject, *_maps(shape, spacing, kind)))
        expect(_same(expected, found), f"{np.dtype(kind).name}: expected {expected}, found {found}")
    predicted, truth = (LabelMap(np.asfortranarray(labels.array), spacing) for labels in _maps(shape, spacing))
    found = _values(_scores(subject, predicted, truth))
    expect(_same(expected, found), f"Fortran order: expected {expected}, found {found}")


def unit_agrees_with_the_values(subject: Subject) -> None:
    """Values in mm double with the voxel size, values in mL grow eightfold."""
    unit = subject.cls.unit  # type: ignore[attr-defined]
    if unit not in _GROWTH:
        return
    small = _values(_scores(subject, *_maps((10, 14, 12), (1.0, 0.5, 2.0))))
    large = _values(_scores(subject, *_maps((10, 14, 12), (2.0, 1.0, 4.0))))
    grown = [None if value is None else value * _GROWTH[unit] for value in small]
    expect(_same(grown, large), f"voxels twice as large: expected {grown}, found {large}")


CHECKS: tuple[Check, ...] = (
    declares_its_direction,
    examples_have_the_promised_values,
    scores_two_and_three_dimensions,
    empty_masks_have_their_status,
    speaks_of_what_it_declares,
    inputs_are_left_alone,
    scores_do_not_depend_on_history,
    integer_type_and_memory_order_do_not_matter,
    unit_agrees_with_the_values,
)
