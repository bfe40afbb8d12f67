"""The distance from voxels to the nearest voxel of a set: a search in rings around each, a KD-tree for the far ones.

Surfaces of a prediction lie mostly within a few voxels of the truth's. Looking up the neighbours of a voxel in order of
their distance finds the nearest one in a handful of steps; what is not found soon is left to a KD-tree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from segbench_surface.packing import Words, indices, points, positions, size, unpack

_OFFSETS = 2048
"""Neighbours looked up at most; all within a radius of about 8 isotropic voxels."""
_LARGEST_GRID = 1 << 26
"""Bytes of the lookup grid; beyond, only the KD-tree is used."""
_LOOKUPS = 1 << 16
"""Lookups made together; their temporaries stay in the processor's cache."""


def nearest(sources: Words, targets: Words, spacing: Sequence[float]) -> NDArray[np.float64]:
    """Return the distance of each source voxel to its nearest target voxel.

    A distance is computed from the difference of the voxel indices, so that a distance of whole voxels can be compared
    with a tolerance of that length.

    Args:
        sources: packed mask ``(*S, W)``.
        targets: packed mask, same shape, with no voxel in common with ``sources``.
        spacing: mm per axis of the unpacked masks.

    Returns:
        float64 ``(n,)`` in mm in the order of ``points(sources)``; infinite if there is no target.
    """
    number = size(targets)
    if not number:
        return np.full(size(sources), np.inf)
    sides = tuple(float(side) for side in spacing)
    steps, lengths, reach = _rings(sides)
    sizes, before = _room(targets.shape, reach)
    here = positions(_moved(sources, sizes, before))
    result = np.full(len(here), np.inf)
    left = np.arange(len(here))
    if 64 * math.prod(sizes) <= _LARGEST_GRID:
        occupied = unpack(_moved(targets, sizes, before)).ravel()
        left = _search_rings(here, occupied, number, steps @ _strides(sizes), lengths, result)
    if len(left):
        offset = np.array([*before[:-1], 64 * before[-1]])
        result[left] = _search_tree(indices(here[left], sizes) - offset, points(targets), np.array(sides))
    return result


def _search_tree(
    sources: NDArray[np.int64], targets: NDArray[np.int64], sides: NDArray[np.float64]
) -> NDArray[np.float64]:
    from scipy.spatial import cKDTree

    tree = cKDTree(targets * sides, balanced_tree=False, compact_nodes=False)
    index = tree.query(sources * sides)[1]
    return _lengths(sources - targets[index], sides)


def _lengths(steps: NDArray[np.int64], sides: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the length in mm of index steps ``(n, dimensions)``."""
    scaled = steps * sides
    scaled *= scaled
    total = scaled[:, 0].copy()
    for axis in range(1, scaled.shape[1]):  # a fixed order of addition: equal steps have equal lengths to the last bit
        total += scaled[:, axis]
    return np.sqrt(total)


@lru_cache(maxsize=64)
def _rings(sides: tuple[float, ...]) -> tuple[NDArray[np.int64], NDArray[np.float64], tuple[int, ...]]:
    """Return the nearest neighbours of a voxel by distance: steps ``(n, dimensions)``, mm ``(n,)``, reach per axis."""
    dimensions = len(sides)
    ball = math.pi ** (dimensions / 2) / math.gamma(dimensions / 2 + 1)  # volume of the unit ball
    radius = (_OFFSETS * math.prod(sides) / ball) ** (1 / dimensions)
    reach = [min(63, math.floor(radius / side)) for side in sides]
    axes = [np.arange(-steps, steps + 1) for steps in reach]
    steps = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, dimensions)
    lengths = _lengths(steps, np.array(sides))
    # Complete up to the distance of the first voxel that lies out of reach.
    complete = min((steps + 1) * side for steps, side in zip(reach, sides, strict=True))
    order = np.argsort(lengths, kind="stable")[1:]
    order = order[lengths[order] < complete][:_OFFSETS]
    steps = steps[order]
    used = np.abs(steps).max(axis=0, initial=0)
    return steps, lengths[order], tuple(int(most) for most in used)


def _search_rings(
    here: NDArray[np.int64],
    occupied: NDArray[np.bool_],
    targets: int,
    jumps: NDArray[np.int64],
    lengths: NDArray[np.float64],
    result: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Look up the neighbours of each voxel by increasing distance until one is occupied.

    The search ends where looking up further neighbours would cost about as much as a KD-tree of the targets.

    Args:
        here: positions ``(n,)`` of the voxels.
        occupied: the flattened grid.
        targets: number of occupied voxels.
        jumps: change of position to each neighbour, by increasing distance.
        lengths: distance of each neighbour, mm.
        result: ``(n,)``, where the distances that are found are written.

    Returns:
        Which of the voxels are left without a neighbour.
    """
    left = np.arange(len(here))
    done = 0
    while len(left) and done < min(len(jumps), 300 + 50 * targets // len(left)):
        some = slice(done, done + max(4, min(_LOOKUPS // len(left), done + 8)))  # most are found among the first
        hit = occupied.take(here + jumps[some, None], mode="clip")  # (some, left); no position is outside
        neighbour, voxel = np.divmod(np.flatnonzero(hit), len(left))
        first = np.full(len(left), -1)
        first[voxel[::-1]] = neighbour[::-1]  # of several the nearest is written last
        missed = first < 0
        found = ~missed
        result[left[found]] = lengths[done + first[found]]
        left, here = left[missed], here[missed]
        done = some.stop
    return left


def _room(shape: tuple[int, ...], reach: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shape of a packed grid with room for every step, and where the mask begins in it.

    Rows are stored one after the other, so that room behind a row is also the room before the next one; only the first
    axis needs room on both sides.
    """
    behind = [*reach[:-1], 1]  # along the packed axis no step is longer than a word
    before = [0] * len(shape)
    before[0] = behind[0] + (len(shape) > 1)
    sizes = [start + length + more for start, length, more in zip(before, shape, behind, strict=True)]
    return tuple(sizes), tuple(before)


def _moved(words: Words, sizes: tuple[int, ...], before: tuple[int, ...]) -> Words:
    """Return a packed mask within a larger grid."""
    grid = np.zeros(sizes, dtype=np.uint64)
    grid[tuple(slice(start, start + length) for start, length in zip(before, words.shape, strict=True))] = words
    return grid


def _strides(sizes: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the change of position per step along each axis of an unpacked grid."""
    lengths = (*sizes[1:-1], 64 * sizes[-1]) if len(sizes) > 1 else ()
    return np.array([math.prod(lengths[axis:]) for axis in range(len(sizes))])
