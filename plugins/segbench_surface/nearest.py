"""The distance from voxels to the nearest voxel of a set: along rows around each, a KD-tree for the far ones.

Surfaces of a prediction lie mostly within a few voxels of the truth's. A grid holds how far the nearest target is along
each row of voxels; looking up the rows around a voxel in order of their distance finds the nearest target exactly, in
about π r² steps for a distance of r voxels. What is not found soon is left to a KD-tree.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segbench_surface.packing import Words, positions

_REACHES = (4, 16)
"""Voxels along a row within which targets are seen: first the near ones, then, for what is left, farther ones."""
_ROWS = 1024
"""Rows looked up at most; all within about 18 isotropic voxels."""
_FARTHEST = 63
"""Rows looked up lie at most so many voxels away along an axis; a grid has that much room around it."""
_LARGEST_GRID = 1 << 24
"""Bytes of the grid; a larger one is made slab by slab."""
_NOTHING = 255
"""In the grid: no target within reach."""
_CALL, _LOOKUP, _BRANCH, _QUERY = 1e-6, 2.5e-9, 1.5e-7, 1.5e-6
"""Seconds, roughly: of a call, of one lookup, of a target that enters a KD-tree, of a search in it."""


_PAIRS, _CHUNK = 40_000_000, 1 << 15
"""Pairs that are compared in the time of loading SciPy's trees; pairs looked at together."""
_FEW = 8
"""Targets per source from which on it pays to leave out targets that no source can see."""
_WORTHWHILE = 4096
"""Lookups from which on it pays to put those sources aside that have been found."""


class _Rows(NamedTuple):
    """The rows around a voxel by distance.

    Attributes:
        steps: planes and rows away ``(n, 2)``.
        squares: squared distance of each row, mm² ``(n,)``, ascending.
        groups: first row of each group of rows that are equally far, and the end.
        complete: mm² within which no target is overlooked.
        reach: voxels along a row within which targets are seen.
    """

    steps: NDArray[np.int64]
    squares: NDArray[np.float64]
    groups: tuple[int, ...]
    complete: float
    reach: int


def nearest(sources: Words, targets: Words, spacing: Sequence[float]) -> NDArray[np.float64]:
    """Return the distance of each source voxel to its nearest target voxel; see ``nearest_each``.

    Args:
        sources: packed mask ``(*S, W)``.
        targets: packed mask, same shape.
        spacing: mm per axis of the unpacked masks.
    """
    return nearest_each(sources[None], targets[None], spacing)


def nearest_each(sources: Words, targets: Words, spacing: Sequence[float]) -> NDArray[np.float64]:
    """Return the distance of each source voxel to the nearest target voxel of the same item.

    A distance is computed from the difference of the voxel indices, so that a distance of whole voxels can be compared
    with a tolerance of that length.

    Args:
        sources: packed masks ``(items, *S, W)`` of one to three axes.
        targets: packed masks, same shape.
        spacing: mm per axis of the unpacked masks.

    Returns:
        float64 ``(n,)`` in mm in the order of ``positions(sources)``; infinite where an item has no target.
    """
    items, *inner = sources.shape
    sizes = (items, *(1,) * (3 - len(inner)), *inner[:-1], 64 * inner[-1])
    sides = (*(1.0,) * (3 - len(inner)), *(float(side) for side in spacing))
    here, there = positions(sources), positions(targets)
    result = np.full(len(here), np.inf)
    left = np.arange(len(here) if len(there) else 0)
    for reach in _REACHES:
        rows = _rows(sides, min(sizes[1] - 1, _FARTHEST), min(sizes[2] - 1, _FARTHEST), reach)
        if _grid_cost(rows, len(left), len(there)) < _tree_cost(len(left), len(there)):
            left = _search_rows(here, there, sizes, sides[2], rows, result, left)
    if len(left):
        _search_trees(here, there, sizes, np.array(sides), result, left)
    return result


def _tree_cost(sources: int, targets: int) -> float:
    """Return the seconds, roughly, of searching for so many sources in a KD-tree of so many targets."""
    return 60 * _CALL + sources * _QUERY + targets * _BRANCH if sources else 0.0


def _grid_cost(rows: _Rows, sources: int, targets: int) -> float:
    """Return the seconds, roughly, of looking up rows; about a third of them, because most sources are done before."""
    marks, looks = 2 * rows.reach + 1, len(rows.squares) // 3
    return (marks + looks) * _CALL + (marks * targets + looks * sources) * _LOOKUP if sources else 0.0


def _search_trees(
    here: NDArray[np.int64],
    there: NDArray[np.int64],
    sizes: tuple[int, ...],
    sides: NDArray[np.float64],
    result: NDArray[np.float64],
    left: NDArray[np.int64],
) -> None:
    """Find the nearest target of the sources that are left with a KD-tree per item; see ``_search_rows``.

    Loading SciPy's trees takes as long as comparing many pairs: until so many have been compared, pairs are.
    """
    size = math.prod(sizes[1:])
    bounds = np.arange(sizes[0] + 1) * size
    first, targets = np.searchsorted(here[left], bounds), np.searchsorted(there, bounds)
    for item in range(sizes[0]):
        some, goals = left[first[item] : first[item + 1]], there[targets[item] : targets[item + 1]]
        if len(some) and len(goals):
            sources, points = (_indices(found - item * size, sizes[1:]) for found in (here[some], goals))
            _compared[0] += len(some) * len(goals)
            search = _compare if _compared[0] < _PAIRS and "scipy.spatial" not in sys.modules else _query
            result[some] = search(sources, points, sides)


_compared = [0]
"""Pairs compared in this process, or that would have been."""


def _query(sources: NDArray[np.int64], points: NDArray[np.int64], sides: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance in mm of each source ``(n, 3)`` to the nearest point ``(m, 3)``, by a KD-tree."""
    from scipy.spatial import cKDTree

    tree = cKDTree(points * sides, balanced_tree=False, compact_nodes=False)
    return _lengths(sources - points[tree.query(sources * sides)[1]], sides)


def _compare(sources: NDArray[np.int64], points: NDArray[np.int64], sides: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the same by looking at every pair, to the same bit."""
    found = np.empty(len(sources))
    some = max(1, _CHUNK // len(points))
    for start in range(0, len(sources), some):
        squares: Any = 0.0
        for axis, side in enumerate(sides.tolist()):
            away = (sources[start : start + some, axis, None] - points[None, :, axis]) * side
            away *= away
            squares = squares + away
        found[start : start + some] = np.sqrt(squares.min(axis=1))
    return found


def _indices(found: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    return np.stack(np.unravel_index(found, shape), axis=1)


def _lengths(steps: NDArray[np.int64], sides: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the length in mm of index steps ``(n, 3)``."""
    scaled = steps * sides
    scaled *= scaled
    # In the order of addition of the rows: equal steps have equal lengths to the last bit, however they are found.
    lengths: NDArray[np.float64] = np.sqrt(scaled[:, 0] + scaled[:, 1] + scaled[:, 2])
    return lengths


@lru_cache(maxsize=256)
def _rows(sides: tuple[float, ...], planes: int, rows: int, reach: int) -> _Rows:
    """Return the rows around a voxel that lie within the image.

    Args:
        sides: mm per axis.
        planes, rows: how far a row may be away along the first and the second axis, voxels.
        reach: how far along a row targets are seen, voxels.
    """
    radius = (reach + 1) * sides[2]
    if planes and rows:
        radius = min(radius, math.sqrt(_ROWS * sides[0] * sides[1] / math.pi))
    reach = min(reach, math.floor(radius / sides[2]))
    most, used = (planes, rows), [min(planes, math.floor(radius / sides[0])), min(rows, math.floor(radius / sides[1]))]
    axes = [np.arange(-steps, steps + 1) for steps in used]
    steps = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    scaled = steps * np.array(sides[:2])
    scaled *= scaled
    squares = scaled[:, 0] + scaled[:, 1]
    # Nothing is overlooked up to the first voxel out of reach, along a row or across.
    beyond = [(reach + 1) * sides[2]]
    beyond += [(used[axis] + 1) * sides[axis] for axis in (0, 1) if used[axis] < most[axis] or most[axis] == _FARTHEST]
    complete = min(beyond) ** 2 * (1 - 1e-9)
    order = np.argsort(squares, kind="stable")
    order = order[squares[order] < complete]
    steps, squares = steps[order], squares[order]
    starts = np.flatnonzero(np.diff(squares, prepend=-1.0)).tolist()
    return _Rows(steps, squares, (*starts, len(order)), complete, reach)


def _search_rows(
    here: NDArray[np.int64],
    there: NDArray[np.int64],
    sizes: tuple[int, ...],
    side: float,
    rows: _Rows,
    result: NDArray[np.float64],
    left: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Look up rows for the sources that are left, slab by slab where one grid would be too large.

    Args:
        here, there: positions of sources and targets in a grid of this size, ascending.
        sizes: items, planes, rows, voxels along a row.
        side: mm between voxels along a row.
        rows: what to look up.
        result: of all sources, mm; those found are written.
        left: which of the sources to look for, ascending.

    Returns:
        Which sources are left then.
    """
    room = [int(most) for most in np.abs(rows.steps).max(axis=0)]
    plane = (sizes[2] + room[1]) * (sizes[3] + rows.reach)
    if sizes[0] * (sizes[1] + room[0]) * plane <= _LARGEST_GRID:
        return _search_grid(here[left], there, sizes, room, side, rows, result, left)
    flat = sizes[2] * sizes[3]
    kept = []
    slab = max(1, _LARGEST_GRID // plane - 3 * room[0])
    for item in range(sizes[0]):
        for start in range(0, sizes[1], slab):
            low, stop = max(0, start - room[0]), min(start + slab, sizes[1])
            high = min(stop + room[0], sizes[1])
            base = item * sizes[1]
            first, last = np.searchsorted(here[left], [(base + start) * flat, (base + stop) * flat])
            begin, end = np.searchsorted(there, [(base + low) * flat, (base + high) * flat])
            some, offset, size = left[first:last], (base + low) * flat, (1, high - low, *sizes[2:])
            if len(some) and end > begin:
                goals = there[begin:end] - offset
                some = _search_grid(here[some] - offset, goals, size, room, side, rows, result, some)
            kept.append(some)
    return np.concatenate(kept)


def _search_grid(
    here: NDArray[np.int64],
    there: NDArray[np.int64],
    sizes: tuple[int, ...],
    room: Sequence[int],
    side: float,
    rows: _Rows,
    result: NDArray[np.float64],
    left: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Look up rows in one grid; see ``_search_rows``.

    Args:
        here: positions of the sources that are left.
        room: planes and rows that a step may go beyond the image.
    """
    larger = (sizes[1] + room[0], sizes[2] + room[1], sizes[3] + rows.reach)
    plane = larger[1] * larger[2]
    # Room behind a row, a plane or an item is also the room before the next one.
    before = room[0] * plane + room[1] * larger[2] + rows.reach
    grid = np.full(2 * before + sizes[0] * larger[0] * plane, _NOTHING, dtype=np.uint8)
    goals = _moved(_in_sight(here, there, sizes, room) if _FEW * len(here) < len(there) else there, sizes, larger)
    for step in range(rows.reach, 0, -1):
        grid[before - step :][goals] = step
        grid[before + step :][goals] = step
    grid[before:][goals] = 0
    jumps = (rows.steps @ np.array([plane, larger[2]]) + before).tolist()
    lengths = np.full(_NOTHING + 1, np.inf)
    lengths[: rows.reach + 1] = (np.arange(rows.reach + 1) * side) ** 2
    return _look_up(grid, _moved(here, sizes, larger), len(there), rows, jumps, lengths, result, left)


def _in_sight(
    here: NDArray[np.int64], there: NDArray[np.int64], sizes: tuple[int, ...], room: Sequence[int]
) -> NDArray[np.int64]:
    """Return the targets in rows that are looked up from any source; see ``_search_grid``."""
    near = np.zeros(sizes[:3], dtype=np.int64)
    near.reshape(-1)[here // sizes[3]] = 1
    for axis, reach in zip((1, 2), room, strict=True):
        places, most = np.arange(sizes[axis]), sizes[axis]
        sums = np.insert(np.cumsum(near, axis=axis), 0, 0, axis=axis)
        ends, starts = np.minimum(places + reach + 1, most), np.maximum(places - reach, 0)
        near = sums.take(ends, axis=axis) - sums.take(starts, axis=axis)
    seen: NDArray[np.int64] = there[(near > 0).reshape(-1).take(there // sizes[3])]
    return seen


def _look_up(
    grid: NDArray[np.uint8],
    here: NDArray[np.int64],
    targets: int,
    rows: _Rows,
    jumps: Sequence[int],
    lengths: NDArray[np.float64],
    result: NDArray[np.float64],
    left: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Look up the rows around each source until none that is left can hold a nearer target.

    The search ends where it has taken about as long as a KD-tree would take for what is left.

    Args:
        grid: voxels along the row to the nearest target.
        here: position of each source in the grid.
        targets: number of targets.
        rows: what to look up.
        jumps: change of position to each row.
        lengths: squared length, mm², of each value of the grid.
        result, left: see ``_search_rows``.
    """
    best = np.full(len(left), np.inf)
    done, spent = 0, 0.0
    for start, stop in itertools.pairwise(rows.groups):
        square = rows.squares[start]
        if start and best.max() <= square:
            break
        if start > done + done // 5 and (start - done) * len(left) > _WORTHWHILE:
            finished = best <= square
            result[left[finished]] = np.sqrt(best[finished])
            kept = (~finished).nonzero()[0]
            here, left, best = here[kept], left[kept], best[kept]
            if spent > _tree_cost(len(left), targets):
                return left
            done = start
        along = grid[jumps[start] :].take(here)
        for jump in jumps[start + 1 : stop]:
            np.minimum(along, grid[jump:].take(here), out=along)
        np.minimum(best, lengths.take(along) + square, out=best)
        spent += (stop - start + 2) * (_CALL + len(left) * _LOOKUP)
    found = best < rows.complete
    result[left[found]] = np.sqrt(best[found])
    return left[~found]


def _moved(found: NDArray[np.int64], sizes: tuple[int, ...], larger: tuple[int, int, int]) -> NDArray[np.int64]:
    """Return where positions are in a grid with more room behind every axis but the first."""
    rows = found // sizes[3]
    moved = found + rows * (larger[2] - sizes[3])
    if sizes[0] * sizes[1] > 1:
        planes = rows // sizes[2]
        moved += planes * ((larger[1] - sizes[2]) * larger[2])
        if sizes[0] > 1:
            moved += planes // sizes[1] * ((larger[0] - sizes[1]) * larger[1] * larger[2])
    return moved
