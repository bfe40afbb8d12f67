"""Where in a label map forbidden pairs touch; numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench_nonadj.contact import half_window, shifted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segbench import LabelMap


def forbidden_touches(
    labels: NDArray[np.integer[Any]], forbidden: NDArray[np.bool_], sizes: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Find every voxel pair of a forbidden label pair within a window.

    Args:
        labels: integer label map of any dimension; negative = unknown, in contact with nothing.
        forbidden: bool ``(K, K)``, symmetric.
        sizes: edges of the window, odd, one per axis.

    Returns:
        Label pairs ``(n, 2)``, the smaller label first, and the indices of the two voxels, ``(n, axes)`` each; every
        pair of neighbouring voxels once.
    """
    pairs, ones, twos = [], [], []
    for offset in half_window(sizes):
        here, there = shifted(labels, offset)
        where = np.nonzero((here != there) & (here >= 0) & (there >= 0))
        first, second = here[where].astype(np.int64), there[where].astype(np.int64)
        bad = forbidden[first, second]
        voxels = np.stack(where, axis=1)[bad] + np.maximum(0, np.negative(offset))
        pairs.append(np.sort(np.stack([first[bad], second[bad]], axis=1), axis=1))
        ones.append(voxels)
        twos.append(voxels + np.array(offset))
    return np.concatenate(pairs), np.concatenate(ones), np.concatenate(twos)


def central(ones: NDArray[np.int64], twos: NDArray[np.int64], spacing: Sequence[float]) -> NDArray[np.float64]:
    """Return the middle of the voxel pair nearest to the centre of all, in indices ``(axes,)``.

    The centre itself may lie where nothing touches, in a ring of contacts say.

    Args:
        ones, twos: indices of the voxels of each pair, ``(n, axes)``, n at least 1.
        spacing: mm per axis.
    """
    middles = (ones + twos) / 2
    distances = (((middles - middles.mean(axis=0)) * np.asarray(spacing)) ** 2).sum(axis=1)
    nearest: NDArray[np.float64] = middles[distances.argmin()]
    return nearest


def world(index: NDArray[np.float64], label_map: LabelMap) -> tuple[float, float, float]:
    """Return an index, array axis order, as world mm ``(x, y, z)``.

    Without an affine: index times spacing, axes reversed to x, y, z, so that the first voxel is the origin. A map of
    two axes lies at z = 0.
    """
    if label_map.affine is not None and len(index) == 3:
        place = label_map.affine[:3, :3] @ index + label_map.affine[:3, 3]
    else:
        place = np.zeros(3)
        place[: len(index)] = (index * np.asarray(label_map.spacing))[::-1]
    x, y, z = (round(float(value), 3) for value in place)
    return x, y, z
