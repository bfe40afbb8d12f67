"""What the metrics of shape compute on the boolean masks of one structure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench import LabelMap, Structure, foreground_box, mask_box

SLACK = 1e-6
"""Fraction by which a distance may exceed a width: headers keep 0.8 mm in single precision as 0.800000012."""


def joint_masks(
    predicted: LabelMap, truth: LabelMap, structure: Structure
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], tuple[float, ...]]:
    """Return both masks of a structure cropped to their joint box, and the spacing along their axes.

    Of a volume of one slice the axis of length one is dropped. The masks have no voxel if both are empty.

    Args:
        predicted: integer ``(D, H, W)`` or ``(H, W)``.
        truth: same shape; its spacing counts.
        structure: what to cut out.

    Raises:
        ValueError: if the shapes differ.
    """
    arrays, spacing = (predicted.array, truth.array), tuple(truth.spacing)
    if arrays[0].shape != arrays[1].shape:
        raise ValueError(f"prediction has shape {arrays[0].shape}, truth {arrays[1].shape}; they must be equal.")
    whole = (slice(None),) * truth.array.ndim
    outer = whole if 0 in structure.values else foreground_box(predicted, truth)
    some_predicted, some_truth = (_mask(array[outer], structure) for array in arrays)
    box = mask_box(some_predicted | some_truth) or (slice(0, 0),) * truth.array.ndim
    some_predicted, some_truth = some_predicted[box], some_truth[box]
    if truth.array.ndim == 3 and 1 in truth.array.shape:
        flat = truth.array.shape.index(1)
        spacing = (*spacing[:flat], *spacing[flat + 1 :])
        # Reshaped, because the axis has length 0 if the masks are empty.
        shape = some_truth.shape[:flat] + some_truth.shape[flat + 1 :]
        some_predicted, some_truth = some_predicted.reshape(shape), some_truth.reshape(shape)
    return some_predicted, some_truth, spacing


def _mask(array: NDArray[np.integer[Any]], structure: Structure) -> NDArray[np.bool_]:
    if len(structure.values) == 1:
        mask: NDArray[np.bool_] = array == structure.values[0]
        return mask
    return np.isin(array, structure.values)


def centroid(mask: NDArray[np.bool_]) -> tuple[float, ...]:
    """Return the centre of mass of a mask that is not empty, in voxels."""
    total = int(np.count_nonzero(mask))
    result = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        weights = mask.sum(axis=others, dtype=np.int64)
        result.append(int(weights @ np.arange(len(weights))) / total)
    return tuple(result)


def inner_band(mask: NDArray[np.bool_], spacing: Sequence[float], width: float) -> NDArray[np.bool_]:
    """Return the border voxels of a mask and its voxels at most ``width`` mm from the nearest voxel outside.

    Args:
        mask: bool ``(D, H, W)`` or ``(H, W)``; beyond the array is outside.
        spacing: mm per axis.
        width: mm; a width of whole voxels includes them, however their size is rounded.
    """
    from scipy import ndimage

    padded = np.pad(mask, 1)
    inside = (slice(1, -1),) * mask.ndim
    border = mask & ~ndimage.binary_erosion(padded)[inside]
    distance = ndimage.distance_transform_edt(padded, sampling=tuple(spacing))[inside]
    band: NDArray[np.bool_] = border | (mask & (distance <= width * (1 + SLACK)))
    return band


def count_components(mask: NDArray[np.bool_], full: bool) -> int:
    """Return the number of connected components.

    Args:
        mask: bool, any shape.
        full: neighbours over faces, edges and corners, else over faces only.
    """
    from scipy import ndimage

    structure = ndimage.generate_binary_structure(mask.ndim, mask.ndim if full else 1)
    return int(ndimage.label(mask, structure)[1]) if mask.size else 0


def euler_characteristic(mask: NDArray[np.bool_]) -> int:
    """Return χ of the union of the closed voxels of a mask: the alternating sum of its cells by dimension.

    Args:
        mask: bool ``(D, H, W)`` or ``(H, W)``.
    """
    padded = np.pad(mask, 1)
    result = 0
    for thin in itertools.product((False, True), repeat=mask.ndim):  # along which axes the cells have no extent
        cells = padded
        for axis, is_thin in enumerate(thin):
            if is_thin:  # such a cell belongs to the union if a voxel on either side does
                ahead = (slice(None),) * axis
                cells = cells[(*ahead, slice(1, None))] | cells[(*ahead, slice(None, -1))]
        result += (-1) ** (mask.ndim - sum(thin)) * int(np.count_nonzero(cells))
    return result


def betti_numbers(mask: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Return (b0, b1, b2) of the union of the closed voxels of a mask.

    b0 is counted over 26 (8) neighbours, b2 as the background components over faces that do not reach the edge, and b1
    follows from the Euler characteristic, b1 = b0 + b2 − χ. In 2D b2 is 0.

    Args:
        mask: bool ``(D, H, W)`` or ``(H, W)``; beyond the array is background.
    """
    if not mask.any():
        return 0, 0, 0
    pieces = count_components(mask, full=True)
    cavities = count_components(np.pad(~mask, 1, constant_values=True), full=False) - 1 if mask.ndim == 3 else 0
    return pieces, pieces + cavities - euler_characteristic(mask), cavities
