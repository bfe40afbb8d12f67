"""Contacts between the labels of hard label maps, counted in voxel pairs; numpy only."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segbench import LabelMap

_REACH = {2: {4: 1, 8: 2}, 3: {6: 1, 18: 2, 26: 3}}
"""Connectivity -> number of axes along which two neighbours may differ, by dimension."""


def contacts(labels: NDArray[np.integer[Any]], num_labels: int, connectivity: int | None = None) -> NDArray[np.int64]:
    """Count the contacts between every two labels.

    Args:
        labels: integer ``(D, H, W)`` or ``(H, W)``; negative = unknown, in contact with nothing.
        num_labels: K; every label is below it.
        connectivity: 6, 18 or 26 in 3D, 4 or 8 in 2D; None for the full 26 or 8.

    Returns:
        int64 ``(K, K)``, symmetric with a zero diagonal: element [i, j] is the number of unordered pairs of
        neighbouring voxels of which one has label i and the other label j, each pair counted once.

    Raises:
        ValueError: for another dimension or connectivity, or a label out of range.
    """
    array = np.asarray(labels)
    known = _REACH.get(array.ndim, {})
    reach = array.ndim if connectivity is None and known else known.get(connectivity or 0)
    if reach is None:
        raise ValueError(
            f"connectivity: expected 6, 18 or 26 for three axes, 4 or 8 for two; found {connectivity} "
            f"for an array of {array.ndim} axes."
        )
    offsets = [offset for offset in half_window((3,) * array.ndim) if sum(map(abs, offset)) <= reach]
    return count_pairs(array, num_labels, offsets)


def window_contacts(labels: NDArray[np.integer[Any]], num_labels: int, sizes: Sequence[int]) -> NDArray[np.int64]:
    """Count like ``contacts`` the voxel pairs within a window ``sizes`` (odd, one per axis) of each other."""
    return count_pairs(np.asarray(labels), num_labels, half_window(sizes))


def count_pairs(
    array: NDArray[np.integer[Any]], num_labels: int, offsets: Sequence[tuple[int, ...]]
) -> NDArray[np.int64]:
    """Count the unordered pairs of different labels at the given offsets, ``(K, K)`` int64, symmetric."""
    reach = max((abs(step) for offset in offsets for step in offset), default=0)
    compact = _compact(array, num_labels, reach)
    if compact.flags.f_contiguous:
        compact, offsets = compact.T, [offset[::-1] for offset in offsets]
    counts = np.zeros(num_labels * num_labels, dtype=np.int64)
    for offset in offsets:
        one, two = shifted(compact, offset)
        differ = one != two
        first, second = one[differ], two[differ]
        both = (first >= 0) & (second >= 0)
        index = first[both].astype(np.int64) * num_labels + second[both]
        counts += np.bincount(index, minlength=counts.size)
    table = counts.reshape(num_labels, num_labels)
    return table + table.T


def case_contacts(label_map: LabelMap, num_labels: int) -> NDArray[np.int64]:
    """Return ``contacts`` of a label map over its full neighbourhood (26 or 8), remembered in its memo."""
    key = ("segbench_nonadj", "contacts", num_labels)
    if key not in label_map.memo:
        label_map.memo[key] = contacts(label_map.array, num_labels)
    found: NDArray[np.int64] = label_map.memo[key]
    return found


def shifted(array: NDArray[Any], offset: Sequence[int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return two views of equal shape: the voxels that have a neighbour at an offset, and these neighbours."""
    one = array[tuple(slice(max(0, -step), min(0, -step) or None) for step in offset)]
    two = array[tuple(slice(max(0, step), min(0, step) or None) for step in offset)]
    return one, two


def half_window(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Return one of each two opposite offsets of a window (odd edges, one per axis), without the centre."""
    ranges = [range(-(size // 2), size // 2 + 1) for size in sizes]
    return [offset for offset in itertools.product(*ranges) if offset > (0,) * len(sizes)]


def _compact(array: NDArray[np.integer[Any]], num_labels: int, reach: int) -> NDArray[np.integer[Any]]:
    """Check the labels, crop what is background only, and return int16 or int32, whose comparison is quick."""
    if array.size and int(array.max()) >= num_labels:
        raise ValueError(f"labels: expected values below {num_labels}, found {int(array.max())}.")
    other = array != 0
    box = []
    for axis in range(array.ndim):
        where = np.flatnonzero(other.any(axis=tuple(each for each in range(array.ndim) if each != axis)))
        box.append(slice(max(0, where[0] - reach), where[-1] + 1 + reach) if where.size else slice(0, 0))
    cropped = array[tuple(box)]
    safe = cropped if np.iinfo(array.dtype).min == 0 else np.maximum(cropped, -1)
    return safe.astype(np.int16 if num_labels < 2**15 else np.int32)
