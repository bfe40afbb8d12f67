"""Maps that priors derive from a truth, whole volumes in mm: signed distances, skeletons, components, their cells.

A method's ``derive`` returns such maps; they are cropped, flipped and warped with image and target before a loss sees
them. Derive distances and threshold them in the loss: a binary skeleton falls to pieces under a warp, the distance to
it does not. Numbers of components must not be averaged; their maps need nearest-neighbour interpolation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from segbench.boxes import mask_box, value_boxes
from segbench.skeletons import skeleton

if TYPE_CHECKING:
    from segbench.types import LabelMap

Floats = NDArray[np.float32]
Edge = Literal["midpoint", "paper"]
_CHUNK = 1 << 16
"""Voxels looked at together; small enough for the temporaries to stay in the processor's cache."""


def signed_distance(
    mask: NDArray[np.bool_], spacing: Sequence[float], edge: Edge = "midpoint", absent: float = 0.0
) -> Floats:
    """Return the signed distance of every voxel to the boundary of a mask, negative inside.

    With d_out the distance of a voxel centre to the nearest centre inside, d_in to the nearest outside, and h half the
    smallest side of a voxel: d_out - h outside and h - d_in inside (``midpoint``), so that neighbours on both sides are
    equally far from the boundary; or d_out outside and 1 - d_in inside (``paper``), as the boundary loss was published,
    whose first layer inside is 0 only where voxels measure 1 mm.

    Args:
        mask: bool ``(D, H, W)`` or ``(H, W)``; what lies beyond the array counts for neither side.
        spacing: mm per axis, positive.
        edge: where the boundary lies.
        absent: value everywhere if the mask or its outside is empty, so that there is no boundary.

    Returns:
        float32, shape of the mask, mm.

    Source: Kervadec et al. 2019, 10.1016/j.media.2020.101851, for ``paper``.

    Raises:
        ValueError: if the spacing does not fit the mask, or the edge is none of the two.

    >>> signed_distance(np.array([[False, False, True, True, False]]), (1.0, 2.0)).tolist()
    [[3.5, 1.5, -1.5, -1.5, 1.5]]
    """
    return _signed(mask, np.True_, mask_box(mask), _sides(mask.shape, spacing), edge, absent)


def signed_distances(
    truth: LabelMap, values: Sequence[int], edge: Edge = "midpoint", absent: float = 0.0
) -> dict[int, Floats]:
    """Return the signed distance map of several labels of a truth, in mm; see ``signed_distance``.

    Args:
        truth: label map on its grid.
        values: labels other than 0; those that the truth lacks have a map, too.
        edge, absent: see ``signed_distance``.
    """
    boxes, sides = value_boxes(truth), _sides(truth.array.shape, truth.spacing)
    return {value: _signed(truth.array, value, boxes.get(value), sides, edge, absent) for value in values}


def distance_to_skeleton(mask: NDArray[np.bool_], spacing: Sequence[float]) -> Floats:
    """Return the distance of every voxel to the skeleton of a mask, 0 on it, in mm; infinite if the mask is empty.

    Args:
        mask: bool ``(D, H, W)`` or ``(H, W)``.
        spacing: mm per axis, positive. Thinning itself goes by voxels.

    Returns:
        float32, shape of the mask.

    Raises:
        PluginError: if scikit-image is not installed.
    """
    sides, lines = _sides(mask.shape, spacing), skeleton(mask)
    box = mask_box(lines)
    if box is None:
        return np.full(mask.shape, np.inf, dtype=np.float32)
    return np.sqrt(_squares(lines[box], box, mask.shape, sides))


def components(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the connected components of a mask (26 neighbours, 8 in 2D), numbered from 1; 0 outside.

    Args:
        mask: bool ``(D, H, W)`` or ``(H, W)``.

    >>> components(np.array([[True, False, True], [False, True, False]])).tolist()
    [[1, 0, 1], [0, 1, 0]]
    """
    from scipy import ndimage

    found, _ = ndimage.label(mask, np.ones((3,) * mask.ndim))
    return np.asarray(found, dtype=np.int32)


def voronoi(ids: NDArray[np.integer[Any]], spacing: Sequence[float]) -> NDArray[np.int32]:
    """Return for every voxel the number of the component nearest to it, in mm; 0 everywhere if there is none.

    Args:
        ids: ``(D, H, W)`` or ``(H, W)``, 0 outside all components.
        spacing: mm per axis, positive.

    >>> voronoi(np.array([[1, 0, 0, 0, 2]]), (1.0, 1.0)).tolist()
    [[1, 1, 1, 2, 2]]
    """
    from scipy import ndimage

    sides = _sides(ids.shape, spacing)
    if not ids.any():
        return np.zeros(ids.shape, dtype=np.int32)
    places = ndimage.distance_transform_edt(ids == 0, sampling=sides, return_distances=False, return_indices=True)
    return np.asarray(ids[tuple(places)], dtype=np.int32)


def centre_offsets(mask: NDArray[np.bool_], spacing: Sequence[float]) -> Floats:
    """Return the way in mm from every voxel to the centre of mass of a mask; zeros if it is empty.

    Args:
        mask: bool ``(*S)``.
        spacing: mm per axis, positive.

    Returns:
        float32 ``(len(S), *S)``.

    >>> centre_offsets(np.array([True, True, True]), (2.0,)).tolist()
    [[2.0, 0.0, -2.0]]
    """
    sides = _sides(mask.shape, spacing)
    offsets = np.zeros((mask.ndim, *mask.shape), dtype=np.float32)
    if mask.any():
        for axis, (side, places) in enumerate(zip(sides, mask.nonzero(), strict=True)):
            along = (places.mean() - np.arange(mask.shape[axis])) * side
            offsets[axis] = along.reshape([-1 if other == axis else 1 for other in range(mask.ndim)])
    return offsets


def _signed(
    array: NDArray[Any], value: Any, box: tuple[slice, ...] | None, sides: Sequence[float], edge: Edge, absent: float
) -> Floats:
    """Return the signed distance map of the voxels that have a value, all of which lie in the box."""
    if edge not in ("midpoint", "paper"):
        raise ValueError(f"expected the edge 'midpoint' or 'paper', found {edge!r}.")
    if box is None:
        return np.full(array.shape, absent, dtype=np.float32)
    ends = zip(box, array.shape, strict=True)
    around = tuple(slice(max(0, side.start - 1), min(side.stop + 1, length)) for side, length in ends)
    inside = array[around] == value
    if inside.all():  # the box is everything
        return np.full(array.shape, absent, dtype=np.float32)
    distances = np.sqrt(_squares(array[box] == value, box, array.shape, sides))
    half = min(sides) / 2 if edge == "midpoint" else 0.0
    distances -= np.float32(half)
    distances[around][inside] = (half or 1.0) - _depths(inside, sides)[inside]
    return distances


def _depths(inside: NDArray[np.bool_], sides: Sequence[float]) -> NDArray[np.float64]:
    """Return the distance in mm of the voxels of a mask to the nearest one outside it."""
    from scipy import ndimage

    return np.asarray(ndimage.distance_transform_edt(inside, sampling=sides))


def _squares(mask: NDArray[np.bool_], box: tuple[slice, ...], shape: tuple[int, ...], sides: Sequence[float]) -> Floats:
    """Return the squared distance in mm of every voxel to a mask, 0 inside; axis by axis from its box outwards.

    The squared distance is the smallest of f(k) + (side (i - k))² over the positions k of the box along an axis, f the
    squared distance within the lines across that are done; only what lies in the box can be nearest.

    Args:
        mask: what the box holds.
        box: around every voxel of the mask.
        shape: of the whole.
        sides: mm per axis.
    """
    squares: Floats = np.where(mask, np.float32(0), np.float32(np.inf))
    for axis in range(mask.ndim):
        squares = _spread(squares, axis, box[axis], shape[axis], sides[axis])
    return np.ascontiguousarray(squares)


def _spread(squares: Floats, axis: int, box: slice, length: int, side: float) -> Floats:
    """Return squared distances along one more axis of the whole length; see ``_squares``."""
    lines = np.ascontiguousarray(np.moveaxis(squares, axis, 0)).reshape(squares.shape[axis], -1)
    steps = np.arange(length)[:, None] - np.arange(box.start, box.stop)
    away = ((steps * side) ** 2).astype(np.float32)
    result = np.empty((length, lines.shape[1]), dtype=np.float32)
    width = max(1, _CHUNK // length)
    for start in range(0, lines.shape[1], width):
        part = lines[:, start : start + width]
        used = np.flatnonzero(np.isfinite(part).any(axis=1))
        best = np.full((length, part.shape[1]), np.inf, dtype=np.float32)
        other = np.empty_like(best)
        for position in used.tolist():
            np.add(part[position], away[:, position, None], out=other)
            np.minimum(best, other, out=best)
        result[:, start : start + width] = best
    shape = [length, *(n for index, n in enumerate(squares.shape) if index != axis)]
    return np.moveaxis(result.reshape(shape), 0, axis)


def _sides(shape: tuple[int, ...], spacing: Sequence[float]) -> tuple[float, ...]:
    sides = tuple(float(side) for side in spacing)
    if len(sides) != len(shape) or not all(math.isfinite(side) and side > 0 for side in sides):
        raise ValueError(f"expected one positive side in mm for each of {len(shape)} axes, found {tuple(spacing)}.")
    return sides
