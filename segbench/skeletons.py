"""Skeletons that lose nothing: scikit-image's, and a thinning of our own for what scikit-image erases.

scikit-image's 3D thinning (Lee 1994) checks again whether a voxel may go, but not whether it has become the end of a
line: bars and cubes of even width vanish, and branches of even width are eaten up to where they meet a wider part
(scikit-image issue 3757). A component that it leaves without a skeleton, or of which it loses a branch, is thinned by
``thinned`` here instead.
"""

from __future__ import annotations

import importlib
import itertools
import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench import PluginError

_OFFSETS = tuple(offset for offset in itertools.product((-1, 0, 1), repeat=3) if any(offset))
"""The 26 neighbours of a voxel; bit i of a neighbourhood code says whether neighbour i belongs to the mask."""
_MARGIN = 1.0
"""Voxels that a branch may be longer than wide before it counts as lost."""


def skeleton(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the skeleton of a mask: at least one voxel of each component, and of every branch longer than wide.

    It is scikit-image's ``skeletonize`` (Zhang 1984 in 2D, Lee 1994 in 3D), except for components (26 or 8 neighbours)
    of which that has no voxel, and for components in 3D with a branch that it lost: their skeleton is that of
    ``thinned``. A branch is lost if a voxel of ``thinned`` is farther from scikit-image's skeleton than the radius of
    the mask there, the width of the mask here (by the distance transform) and one voxel.

    Args:
        mask: bool ``(D, H, W)`` or ``(H, W)``; beyond the array is outside.

    Raises:
        PluginError: if scikit-image is not installed.
    """
    try:
        morphology: Any = importlib.import_module("skimage.morphology")
    except ImportError as error:
        raise PluginError(
            f"skeletons need scikit-image, which could not be imported ({error}). Install it with: "
            "pip install scikit-image; or leave out what needs them."
        ) from error
    from scipy import ndimage

    lines = np.asarray(morphology.skeletonize(np.pad(mask, 1)), dtype=np.bool_)[(slice(1, -1),) * mask.ndim].copy()
    pieces, _ = ndimage.label(mask, np.ones((3,) * mask.ndim))
    boxes = ndimage.find_objects(pieces)
    lost = {}
    for number, box in enumerate(boxes, start=1):
        piece = pieces[box] == number
        if (gone := _lost(piece, lines[box] & piece)) is not None:
            lost[number] = gone
    if lost:
        others = thinned(np.isin(pieces, list(lost)))
        for number, gone in lost.items():
            box = boxes[number - 1]
            piece = pieces[box] == number
            if (others[box] & gone).any():
                lines[box] = np.where(piece, others[box], lines[box])
    return lines


def _lost(piece: NDArray[np.bool_], lines: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return the voxels of a component that belong to no part with a skeleton, None if there are none."""
    from scipy import ndimage

    if not lines.any():
        return piece
    if piece.ndim < 3 or math.hypot(*piece.shape) <= 3 + _MARGIN:  # thinning in 2D keeps the ends of lines
        return None
    voxels = np.argwhere(piece)
    away, nearest = _nearest(np.argwhere(lines), voxels)
    if away.max() <= 3 + _MARGIN:  # no radius is below 1
        return None
    padded = np.pad(piece, 1)
    shell = np.argwhere(ndimage.binary_dilation(padded) & ~padded) - 1  # holds what is nearest outside
    radius = np.zeros(piece.shape)
    radius[piece], _ = _nearest(shell, voxels)
    far = away > radius[lines][nearest] + 2 * radius[piece] + _MARGIN
    lost = np.zeros_like(piece)
    lost[piece] = far
    return lost if far.any() else None


def _nearest(targets: NDArray[np.int64], points: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the distance in voxels of each point to the nearest target, and which that is."""
    from scipy.spatial import cKDTree

    distance, index = cKDTree(targets).query(points)
    return np.asarray(distance, dtype=np.float64), np.asarray(index, dtype=np.int64)


def thinned(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Thin a mask to lines: layer by layer, voxels that are neither the end of a line nor needed for its topology.

    In each layer the voxels of one parity of all coordinates go at a time: no two of them are neighbours, so that each
    may be judged by what is left around it, and components, tunnels and cavities stay what they were.

    Args:
        mask: bool ``(D, H, W)`` or ``(H, W)``; beyond the array is outside.

    Source: Bertrand and Aktouf 1994, 10.1117/12.196091 (eight subfields); Malandain and Bertrand 1992,
    10.1109/ICPR.1992.201875 (voxels whose removal changes no topology).
    """
    padded = np.pad(mask.reshape((1,) * (3 - mask.ndim) + mask.shape), 1)
    left = padded.ravel()  # a view of it
    strides = (padded.shape[1] * padded.shape[2], padded.shape[2], 1)
    steps = [int(np.dot(offset, strides)) for offset in _OFFSETS]
    sides = [sign * strides[axis] for axis in range(3 - mask.ndim, 3) for sign in (-1, 1)]
    index = np.flatnonzero(left)
    places = np.unravel_index(index, padded.shape)
    parity = 4 * (places[0] & 1) + 2 * (places[1] & 1) + (places[2] & 1)
    while True:
        layer = ~np.logical_and.reduce([left[index + side] for side in sides])
        layer[layer] = _codes(left, index[layer], steps, count=True) > 1  # neither isolated nor the end of a line
        before = len(index)
        for field in range(8):
            some = index[layer & (parity == field)]
            left[some[_simple(_codes(left, some, steps))]] = False
        kept = left[index]
        index, parity = index[kept], parity[kept]
        if len(index) == before:
            return padded[1:-1, 1:-1, 1:-1].reshape(mask.shape)


def _codes(left: NDArray[np.bool_], some: NDArray[np.int64], steps: list[int], *, count: bool = False) -> Any:
    """Return the neighbourhood codes of some voxels, or the number of their neighbours."""
    codes = np.zeros(len(some), dtype=np.int32)
    for bit, step in enumerate(steps):
        codes += left[some + step].astype(np.int32) << (0 if count else bit)
    return codes


def _simple(codes: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return which neighbourhoods have one piece of mask (26) and one of background at the centre's faces (6 in 18)."""
    table = _verdicts()
    if len(unknown := np.unique(codes[table[codes] == 0])):
        touching, facing, near, faces = _adjacency()
        outside = ~unknown & near
        seed = outside & faces
        one = (unknown != 0) & (seed != 0)
        one &= seed & ~_grown(seed & -seed, outside, facing) == 0
        one &= unknown & ~_grown(unknown & -unknown, unknown, touching) == 0
        table[unknown] = 1 + one
    removable: NDArray[np.bool_] = table[codes] == 2
    return removable


@lru_cache(maxsize=1)
def _verdicts() -> NDArray[np.uint8]:
    """Return what is known of every code: 0 nothing yet, 1 it must stay, 2 it may go; memory is used where it is."""
    return np.zeros(1 << len(_OFFSETS), dtype=np.uint8)


def _grown(seed: NDArray[np.int32], within: NDArray[np.int32], adjacency: tuple[int, ...]) -> NDArray[np.int32]:
    """Return the bits of ``within`` that are connected to the seed."""
    grown = seed
    while True:
        more = grown.copy()
        for bit, neighbours in enumerate(adjacency):
            if neighbours:
                more |= -(more >> bit & 1) & neighbours
                more &= within
        if np.array_equal(more, grown):
            return grown
        grown = more


@lru_cache(maxsize=1)
def _adjacency() -> tuple[tuple[int, ...], tuple[int, ...], int, int]:
    """Return each neighbour's neighbours over corners and over faces, and the bits of the 18 and of the 6 nearest."""

    def bits(wanted: list[bool]) -> int:
        return sum(1 << bit for bit, yes in enumerate(wanted) if yes)

    def steps(one: tuple[int, ...], other: tuple[int, ...]) -> list[int]:
        return [abs(a - b) for a, b in zip(one, other, strict=True)]

    reach = [sum(map(abs, offset)) for offset in _OFFSETS]
    near = bits([length <= 2 for length in reach])
    touching = tuple(bits([max(steps(one, other)) == 1 for other in _OFFSETS]) for one in _OFFSETS)
    facing = tuple(bits([sum(steps(one, other)) == 1 for other in _OFFSETS]) for one in _OFFSETS)
    return touching, facing, near, bits([length == 1 for length in reach])
