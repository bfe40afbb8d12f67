"""Directed distances between the borders of two masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segbench_surface.nearest import nearest_each
from segbench_surface.packing import Words, border, pack, size_each, tight


class SurfaceDistances(NamedTuple):
    """Directed distances in mm, one per border voxel, in no particular order.

    Attributes:
        predicted: float64 ``(n,)``, from each border voxel of the prediction to the nearest one of the truth.
        truth: float64 ``(m,)``, from each border voxel of the truth to the nearest one of the prediction.
    """

    predicted: NDArray[np.float64]
    truth: NDArray[np.float64]


def surface_distances(
    predicted: NDArray[np.bool_], truth: NDArray[np.bool_], spacing: Sequence[float]
) -> SurfaceDistances:
    """Return the distances between the borders of two masks, both ways.

    A border voxel is a voxel of the mask with at least one face neighbour (6 in 3D, 4 in 2D) outside the mask;
    beyond the edge of the image is outside. Distances are Euclidean between voxel centres.

    Args:
        predicted: bool ``(D, H, W)``, ``(H, W)`` or ``(W,)``.
        truth: bool, same shape.
        spacing: voxel size in mm in the axis order of the masks.

    Returns:
        The distances from the prediction's border voxels and from the truth's. An empty mask has no border
        voxels, and everything is infinitely far from it.

    Raises:
        ValueError: if the shapes differ, there are no or more than three axes, or the spacing does not fit.
    """
    predicted, truth = np.asarray(predicted, dtype=np.bool_), np.asarray(truth, dtype=np.bool_)
    check(predicted.shape, truth.shape, spacing)
    return packed_distances(np.stack([pack(predicted), pack(truth)]), spacing, range(truth.ndim))


def check(predicted: tuple[int, ...], truth: tuple[int, ...], spacing: Sequence[float]) -> None:
    """Refuse shapes and spacings that do not fit each other.

    Raises:
        ValueError: as in ``surface_distances``.
    """
    if predicted != truth:
        raise ValueError(f"prediction has shape {predicted}, truth {truth}; they must be equal.")
    if not 1 <= len(truth) <= 3:
        raise ValueError(f"expected one to three axes, found {len(truth)}.")
    if len(spacing) != len(truth):
        raise ValueError(f"expected one spacing per axis of {truth}, found {tuple(spacing)}.")
    if not all(math.isfinite(side) and side > 0 for side in spacing):
        raise ValueError(f"expected positive spacings in mm, found {tuple(spacing)}.")


def packed_distances(masks: Words, spacing: Sequence[float], axes: Sequence[int]) -> SurfaceDistances:
    """Return the surface distances of two packed masks.

    Args:
        masks: prediction and truth, packed ``(2, *S, W)``.
        spacing: mm per axis of the unpacked masks.
        axes: axes of S and W along which neighbours count for the border.
    """
    box = tight(masks[0] | masks[1])
    if box is None:
        return SurfaceDistances(np.empty(0), np.empty(0))
    return distances_each(masks[(None, slice(None), *box)], spacing, axes)[0]


def distances_each(masks: Words, spacing: Sequence[float], axes: Sequence[int]) -> list[SurfaceDistances]:
    """Return the surface distances of several pairs of packed masks.

    Voxels on both borders are 0 apart and are not searched for.

    Args:
        masks: prediction and truth of each pair, packed ``(pairs, 2, *S, W)``.
        spacing: mm per axis of the unpacked masks.
        axes: axes of S and W along which neighbours count for the border.
    """
    borders = border(masks, [axis + 2 for axis in axes])
    alone = borders & ~borders[:, ::-1]
    items = (-1, *borders.shape[2:])
    found = nearest_each(alone.reshape(items), borders[:, ::-1].reshape(items), spacing)
    searched, every = (size_each(some.reshape(items)) for some in (alone, borders))
    lists, start = [], 0
    for count, whole in zip(searched, every, strict=True):
        distances = np.zeros(whole)
        distances[:count] = found[start : start + count]
        start += count
        lists.append(distances)
    return [SurfaceDistances(*pair) for pair in zip(lists[::2], lists[1::2], strict=True)]
