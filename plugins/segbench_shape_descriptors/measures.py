"""Shape descriptors of hard masks, numpy only: what the metrics compare and audits check.

Written apart from the differentiable ones in ``descriptors.py``, by which tests hold it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench_shape_descriptors.neighbours import offsets, regions, weights_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segbench import LabelMap, Structure


@dataclass(frozen=True)
class Measures:
    """The descriptors of one structure.

    Attributes:
        volume: mm3 (mm2 for planes) or voxels; 0 for an empty structure, whose other attributes mean nothing.
        centroid: mm or voxels from the centre of the first voxel, one value per axis.
        spread: standard deviation of the coordinates, mm or voxels, one value per axis.
        length: estimated surface in mm2, perimeter in mm for planes and volumes of one slice; or cut pairs of voxels.
    """

    volume: float
    centroid: NDArray[np.float64]
    spread: NDArray[np.float64]
    length: float

    def vector(self) -> NDArray[np.float64]:
        """Return all numbers in one row: volume, centroid, spread, length."""
        return np.concatenate([[self.volume], self.centroid, self.spread, [self.length]])


def case_measures(label_map: LabelMap, structure: Structure) -> Measures:
    """Return the measures of a structure of a label map, remembered in its memo."""
    key = ("segbench_shape_descriptors", structure.values)
    if key not in label_map.memo:
        label_map.memo[key] = measure(label_map.mask(structure), label_map.spacing)
    found: Measures = label_map.memo[key]
    return found


def measure(mask: NDArray[np.bool_], spacing: Sequence[float] | None) -> Measures:
    """Return the measures of a mask.

    Args:
        mask: bool ``(D, H, W)`` or ``(H, W)``.
        spacing: mm in the axis order of the mask; None = everything in voxels.
    """
    steps = np.ones(mask.ndim) if spacing is None else np.asarray(spacing, dtype=np.float64)
    box = _box(mask)
    count = int(np.count_nonzero(mask[box]))
    if not count:
        return Measures(0.0, np.zeros(mask.ndim), np.zeros(mask.ndim), 0.0)
    centroid, spread = np.zeros(mask.ndim), np.zeros(mask.ndim)
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        along = np.count_nonzero(mask[box], axis=others)
        positions = np.arange(box[axis].start, box[axis].stop, dtype=np.float64) * steps[axis]
        centroid[axis] = (positions * along).sum() / count
        spread[axis] = np.sqrt(((positions - centroid[axis]) ** 2 * along).sum() / count)
    part, pairs = mask[box], map(regions, offsets(mask.ndim))
    cuts = [int(np.count_nonzero(part[first] != part[second])) for first, second in pairs]
    length = float(sum(cuts) if spacing is None else np.dot(weights_of(tuple(steps.tolist()), mask.shape), cuts))
    return Measures(count * float(steps.prod()), centroid, spread, length)


def _box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the bounding box, one voxel wider where the image goes on."""
    box = []
    for axis in range(mask.ndim):
        other = tuple(each for each in range(mask.ndim) if each != axis)
        where = np.flatnonzero(mask.any(axis=other))
        box.append(slice(max(0, where[0] - 1), min(where[-1] + 2, mask.shape[axis])) if where.size else slice(0, 0))
    return tuple(box)


def relative(found: float, truth: float) -> float:
    """Return |found - truth| / truth."""
    return abs(found - truth) / truth


def violated(found: Measures, truth: Measures, margin: float) -> NDArray[Any]:
    """Return which numbers leave ``(1 - margin) tau .. (1 + margin) tau``, bool, in the order of ``vector``."""
    target = truth.vector()
    outside: NDArray[Any] = np.abs(found.vector() - target) > margin * np.abs(target) + 1e-9
    return outside
