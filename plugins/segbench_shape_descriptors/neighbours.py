"""Which voxels are neighbours, and how much a cut between two of them weighs; shared by torch and numpy code.

Counting cut neighbour pairs gives the length of the paper. With a spacing each pair is weighted so that the sum
estimates the perimeter in mm (2D) or the surface in mm2 (3D), by the Cauchy-Crofton formula: a direction stands for all
directions to which it is the nearest.

Source: Boykov and Kolmogorov 2003, Computing geodesics and minimal surfaces via graph cuts, 10.1109/ICCV.2003.1238310.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench_shape_descriptors.layout import outlined

if TYPE_CHECKING:
    from numpy.typing import NDArray

Offset = tuple[int, ...]
Region = tuple[Any, ...]
_DIRECTIONS = 20_000
"""Directions among which each offset's share is counted."""


@lru_cache(maxsize=8)
def offsets(dims: int) -> tuple[Offset, ...]:
    """Return one of each two opposite offsets of the 3^dims neighbourhood: 4 in 2D, 13 in 3D."""
    zero = (0,) * dims
    return tuple(offset for offset in itertools.product((-1, 0, 1), repeat=dims) if offset > zero)


def regions(offset: Offset) -> tuple[Region, Region]:
    """Return where a pair's first and second voxels lie, as slices of the spatial axes; nothing wraps around."""
    first = tuple(slice(max(0, -step), min(0, -step) or None) for step in offset)
    second = tuple(slice(max(0, step), min(0, step) or None) for step in offset)
    return first, second


@lru_cache(maxsize=256)
def weights(spacing: tuple[float, ...]) -> tuple[float, ...]:
    """Return the weight of a cut at each of ``offsets``, mm in 2D and mm2 in 3D.

    Equation: ``w_e = c v s_e / |e|``, v the voxel's area or volume, s_e the share of directions nearest to e, and
    c = pi/2 (2D) or 2 (3D), which makes the mean over all orientations exact.

    Args:
        spacing: voxel size in mm, two or three axes.
    """
    dims = len(spacing)
    steps = np.array(offsets(dims)) * np.array(spacing)  # (M, d) mm
    lengths = np.linalg.norm(steps, axis=1)
    alike = np.abs(_sphere(dims) @ (steps / lengths[:, None]).T)  # (directions, M)
    shares = np.bincount(alike.argmax(1), minlength=len(steps)) / len(alike)
    constant = math.pi / 2 if dims == 2 else 2.0
    return tuple((constant * math.prod(spacing) * shares / lengths).tolist())


def weights_of(spacing: tuple[float, ...], shape: Sequence[int]) -> tuple[float, ...]:
    """Return ``weights`` for images of a shape: those of a plane, mm, for volumes of one slice."""
    kept = outlined(shape)
    if len(kept) == len(spacing):
        return weights(spacing)
    plane = dict(zip(offsets(2), weights(tuple(spacing[axis] for axis in kept)), strict=True))
    flat = (tuple(offset[axis] for axis in kept) for offset in offsets(3))
    return tuple(plane.get(offset, 0.0) for offset in flat)  # pairs across the slice do not exist anyway


def weight_table(spacings: Sequence[Sequence[float]], shape: Sequence[int]) -> list[tuple[float, ...]]:
    """Return ``weights_of`` for each sample's spacing."""
    return [weights_of(tuple(float(value) for value in spacing), shape) for spacing in spacings]


@lru_cache(maxsize=4)
def _sphere(dims: int) -> NDArray[np.float64]:
    """Return evenly spread unit vectors ``(n, dims)``: of a circle, or of a sphere by the golden angle."""
    index = np.arange(_DIRECTIONS) + 0.5
    if dims == 2:
        angle = math.pi * index / _DIRECTIONS
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    height = 1 - 2 * index / _DIRECTIONS
    turn = math.pi * (1 + math.sqrt(5)) * index
    radius = np.sqrt(1 - height**2)
    return np.stack([height, radius * np.cos(turn), radius * np.sin(turn)], axis=1)
