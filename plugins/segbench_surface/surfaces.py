"""Surface distances of all structures of a case, computed once and shared by all metrics through the truth's memo."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segbench import LabelMap, Structure, enclosing, memory_order, value_boxes
from segbench_surface.distances import SurfaceDistances, check, distances_each
from segbench_surface.packing import Words, pack_aligned
from segbench_surface.surfels import SurfelDistances, surfel_distances

if TYPE_CHECKING:
    from segbench import Status

MEMO = "segbench_surface.surfaces"
_CHUNK = 1 << 19
"""Voxels looked at together; small enough for the temporaries to stay in the processor's cache."""
_SMALL = 1 << 16
"""Voxels of a box up to which structures are measured together, because calls cost more than voxels."""
_BATCH = 1 << 19
"""Voxels of the boxes that are measured together, at most."""
Box = tuple[slice, ...]


@dataclass(frozen=True, eq=False)
class Surface:
    """What the metrics know of one structure of one case.

    Attributes:
        status: ok, or which of the masks is empty.
        distances: directed distances in mm; empty arrays unless the status is ok.
    """

    status: Status
    distances: SurfaceDistances


def case_surfaces(predicted: LabelMap, truth: LabelMap, structures: Sequence[Structure]) -> tuple[Surface, ...]:
    """Return the surfaces of every structure of a case.

    They are kept in ``truth.memo`` for the last prediction that was asked for. A volume of one slice (three axes, one
    of length one) is scored as the 2D image it is: no voxel has neighbours along that axis.

    Args:
        predicted: integer ``(D, H, W)`` or ``(H, W)``.
        truth: same shape; its spacing counts.
        structures: what to measure; they may overlap.

    Raises:
        ValueError: if shapes or spacing do not fit.
    """
    known = truth.memo.get(MEMO)
    wanted = tuple(structures)
    if known is None or known[0] is not predicted or known[1] != wanted:
        known = (predicted, wanted, _case_surfaces(predicted, truth, wanted))
        truth.memo[MEMO] = known
    surfaces: tuple[Surface, ...] = known[2]
    return surfaces


def _case_surfaces(predicted: LabelMap, truth: LabelMap, structures: Sequence[Structure]) -> tuple[Surface, ...]:
    places = _Places(predicted, truth)
    result: list[Surface | None] = [None] * len(structures)
    small: list[int] = []
    boxes = []
    for index, structure in enumerate(structures):
        status, box = places.of(structure)
        boxes.append(box)
        if status != "ok":
            result[index] = Surface(status, SurfaceDistances(np.empty(0), np.empty(0)))
        elif math.prod(side.stop - side.start for side in box) <= _SMALL:
            small.append(index)
        else:
            masks = pack_values([array[box] for array in places.arrays], structure.values)
            result[index] = Surface(status, distances_each(masks[None], places.spacing, places.axes)[0])
    for some in _batches(small, boxes):
        masks = pack_each(places.arrays, [boxes[index] for index in some], [structures[index].values for index in some])
        for index, distances in zip(some, distances_each(masks, places.spacing, places.axes), strict=True):
            result[index] = Surface("ok", distances)
    return tuple(surface for surface in result if surface is not None)


def _batches(indices: Sequence[int], boxes: Sequence[Box]) -> Iterator[list[int]]:
    """Yield groups of structures whose boxes, all made as large as the largest, are small together."""
    some: list[int] = []
    largest = [0, 0, 0]
    for index in indices:
        sides = [side.stop - side.start for side in boxes[index]]
        larger = [max(pair) for pair in zip(largest, sides, strict=False)]
        if some and (len(some) + 1) * math.prod(larger) > _BATCH:
            yield some
            some, larger = [], sides
        some.append(index)
        largest = larger
    if some:
        yield some


class _Places:
    """Where the structures of two label maps are: both arrays in memory order, their spacing, the axes that count."""

    def __init__(self, predicted: LabelMap, truth: LabelMap) -> None:
        check(predicted.array.shape, truth.array.shape, truth.spacing)
        self._order = memory_order(truth.array)
        self.arrays = predicted.array.transpose(self._order), truth.array.transpose(self._order)
        self.spacing = [truth.spacing[axis] for axis in self._order]
        self.axes = list(range(truth.array.ndim))
        if len(self.axes) == 3 and 1 in self.arrays[1].shape:
            self.axes.remove(self.arrays[1].shape.index(1))
        self._boxes = value_boxes(predicted), value_boxes(truth)

    def of(self, structure: Structure) -> tuple[Status, Box]:
        """Return which masks are empty, and the smallest box that holds both, in memory order."""
        if 0 in structure.values:  # the background has no box
            masks = [np.isin(array, structure.values).any() for array in self.arrays]
            return _status(bool(masks[0]), bool(masks[1])), tuple(slice(0, length) for length in self.arrays[1].shape)
        found = [[boxes[value] for value in structure.values if value in boxes] for boxes in self._boxes]
        status = _status(bool(found[0]), bool(found[1]))
        if status == "both_empty":
            return status, ()
        joint = enclosing(found[0] + found[1])
        return status, tuple(joint[axis] for axis in self._order)


def case_surfels(
    predicted: LabelMap, truth: LabelMap, structures: Sequence[Structure]
) -> Iterator[tuple[Status, SurfelDistances | None]]:
    """Yield status and surface elements of every structure; no elements unless the status is ok.

    Args:
        predicted: integer ``(D, H, W)`` or ``(H, W)``; a one-slice volume is a 2D image.
        truth: same shape; its spacing counts.
        structures: what to measure.

    Raises:
        ValueError: if shapes or spacing do not fit.
    """
    places = _Places(predicted, truth)
    flat = tuple(set(range(len(places.spacing))) - set(places.axes))
    spacing = [places.spacing[axis] for axis in places.axes]
    for structure in structures:
        status, box = places.of(structure)
        if status != "ok":
            yield status, None
            continue
        masks = [mask_of(array[box], structure.values).squeeze(flat) for array in places.arrays]
        yield status, surfel_distances(masks[0], masks[1], spacing)


def _status(has_predicted: bool, has_truth: bool) -> Status:
    if has_predicted and has_truth:
        return "ok"
    return "truth_empty" if has_predicted else "pred_empty" if has_truth else "both_empty"


def pack_values(arrays: Sequence[NDArray[np.integer[Any]]], values: Sequence[int]) -> Words:
    """Return the packed masks ``(arrays, *S, W)`` of the voxels that have one of the values, made slab by slab."""
    shape = arrays[0].shape
    padded = shape[-1] + -shape[-1] % 64
    words = np.empty((len(arrays), *shape[:-1], padded // 64), dtype=np.uint64)
    if not words.size:
        return words
    slices = max(1, min(shape[0], _CHUNK // max(1, arrays[0][0].size))) if len(shape) > 1 else shape[0]
    buffer = np.zeros((slices, *shape[1:-1], padded) if len(shape) > 1 else (padded,), dtype=np.bool_)
    for number, array in enumerate(arrays):
        for start in range(0, shape[0], slices):
            part = array[start : start + slices]
            mask = buffer[: len(part)] if len(shape) > 1 else buffer
            mask_of(part, values, mask[..., : shape[-1]])
            words[number, start : start + slices] = pack_aligned(mask)
    return words


def pack_each(
    arrays: Sequence[NDArray[np.integer[Any]]], boxes: Sequence[Box], values: Sequence[Sequence[int]]
) -> Words:
    """Return packed masks ``(boxes, arrays, *S, W)`` of small boxes, each at the beginning of what the largest needs.

    Args:
        arrays: label maps of one shape.
        boxes: where to look.
        values: whose voxels make up each mask.
    """
    shape = [max(side.stop - side.start for side in sides) for sides in zip(*boxes, strict=True)]
    shape[-1] += -shape[-1] % 64
    masks = np.zeros([len(boxes), len(arrays), *shape], dtype=np.bool_)
    for item, (box, some) in enumerate(zip(boxes, values, strict=True)):
        inside = tuple(slice(0, side.stop - side.start) for side in box)
        for number, array in enumerate(arrays):
            mask_of(array[box], some, masks[item, number][inside])
    return pack_aligned(masks)


def mask_of(
    array: NDArray[np.integer[Any]], values: Sequence[int], out: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Return the mask of the voxels that have one of the values.

    Args:
        array: label map.
        values: at least one.
        out: where to write it.
    """
    mask: NDArray[np.bool_] = np.equal(array, values[0], out=out)
    for value in values[1:]:
        mask |= array == value
    return mask
