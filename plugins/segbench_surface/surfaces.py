"""Surface distances of all structures of a case, computed once and shared by all metrics through the truth's memo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segbench import LabelMap, Structure
from segbench_surface.distances import SurfaceDistances, check, packed_distances
from segbench_surface.packing import Words, pack_aligned
from segbench_surface.surfels import SurfelDistances, surfel_distances

if TYPE_CHECKING:
    from segbench import Status

MEMO = "segbench_surface.surfaces"
_CHUNK = 1 << 19
"""Voxels looked at together; small enough for the temporaries to stay in the processor's cache."""


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
    some, spacing, axes = _foreground(predicted, truth, structures)
    return tuple(_surface(pack_values(some, structure.values), spacing, axes) for structure in structures)


def _foreground(
    predicted: LabelMap, truth: LabelMap, structures: Sequence[Structure]
) -> tuple[tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]], list[float], list[int]]:
    """Return both arrays in memory order cropped to the joint foreground, their spacing, and the axes that count."""
    check(predicted.array.shape, truth.array.shape, truth.spacing)
    strides = truth.array.strides
    order = sorted(range(len(strides)), key=lambda axis: -abs(strides[axis]))  # memory order is fastest
    arrays = predicted.array.transpose(order), truth.array.transpose(order)
    axes = list(range(truth.array.ndim))
    if len(axes) == 3 and 1 in arrays[1].shape:
        axes.remove(arrays[1].shape.index(1))
    spacing = [truth.spacing[axis] for axis in order]
    if any(0 in structure.values for structure in structures):
        return arrays, spacing, axes  # a region with background in it fills more than the foreground
    box = joint_box(*arrays)
    return (arrays[0][box], arrays[1][box]), spacing, axes


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
    some, spacing, axes = _foreground(predicted, truth, structures)
    flat = tuple(set(range(len(spacing))) - set(axes))
    for structure in structures:
        masks = [np.isin(array, structure.values) for array in some]
        status = _status(bool(masks[0].any()), bool(masks[1].any()))
        if status != "ok":
            yield status, None
            continue
        box = joint_box(masks[0].view(np.uint8), masks[1].view(np.uint8))
        squeezed = [mask[box].squeeze(flat) for mask in masks]
        yield status, surfel_distances(squeezed[0], squeezed[1], [spacing[axis] for axis in axes])


def _status(has_predicted: bool, has_truth: bool) -> Status:
    if has_predicted and has_truth:
        return "ok"
    return "truth_empty" if has_predicted else "pred_empty" if has_truth else "both_empty"


def _surface(masks: Words, spacing: Sequence[float], axes: Sequence[int]) -> Surface:
    status = _status(bool(masks[0].any()), bool(masks[1].any()))
    if status == "ok":
        return Surface(status, packed_distances(masks, spacing, axes))
    return Surface(status, SurfaceDistances(np.empty(0), np.empty(0)))


def joint_box(predicted: NDArray[np.integer[Any]], truth: NDArray[np.integer[Any]]) -> tuple[slice, ...]:
    """Return the smallest box outside which both label maps are background; read once, slab by slab."""
    width = truth.shape[-1]
    wide = (width * np.result_type(predicted, truth).itemsize) % 8 == 0
    slices = max(1, _CHUNK // max(1, truth[0].size))
    rows = np.zeros(truth.shape[:-1], dtype=np.bool_)
    columns: NDArray[Any] | None = None
    for start in range(0, truth.shape[0], slices):
        part = np.ascontiguousarray(predicted[start : start + slices] | truth[start : start + slices])
        flat = part.reshape(-1, width)
        flat = flat.view(np.uint64) if wide else flat
        rows[start : start + slices] = (np.bitwise_or.reduce(flat, axis=1) != 0).reshape(part.shape[:-1])
        found = np.bitwise_or.reduce(flat, axis=0)
        columns = found if columns is None else columns | found
    assert columns is not None  # no axis has length 0
    used = np.flatnonzero(columns.view(np.result_type(predicted, truth)))
    if not len(used):
        return tuple(slice(0, 0) for _ in truth.shape)
    box = [slice(int(used[0]), int(used[-1]) + 1)]
    for axis in reversed(range(rows.ndim)):
        others = tuple(other for other in range(rows.ndim) if other != axis)
        used = np.flatnonzero(rows.any(axis=others))
        box.insert(0, slice(int(used[0]), int(used[-1]) + 1))
    return tuple(box)


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
            np.equal(part, values[0], out=mask[..., : shape[-1]])
            for value in values[1:]:
                mask[..., : shape[-1]] |= part == value
            words[number, start : start + slices] = pack_aligned(mask)
    return words
