"""Label maps on the training grid: resampled by nearest neighbour or by area, and what either loses is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from segbench.training.cache import StoredCase

Resampling = Literal["nearest", "area"]
TIE = 1e-5
"""Shares of a voxel that differ by less are equal (they are computed in single precision)."""


def resample_by_area(target: NDArray[np.int16], shape: Sequence[int]) -> NDArray[np.int16]:
    """Resample labels ``(D, H, W)`` to ``shape``, outer voxel edges aligned, by the share of every label in each voxel.

    A voxel gets the label with the largest share of it, of equal ones that with fewer voxels in the whole map. A label
    that would vanish gets the voxels in which its share is at least half of its largest. Shares are exact overlaps
    along axes that become coarser and linear interpolations of one-hot labels along those that become finer.

    Args:
        target: int16, -1 unknown.
        shape: of the result.
    """
    weights = [_weights(old, new) for old, new in zip(target.shape, shape, strict=True)]
    values, counts = np.unique(target, return_counts=True)
    best = np.full(tuple(shape), -1.0, dtype=np.float32)
    result = np.zeros(tuple(shape), dtype=np.int16)
    for value in values[np.argsort(-counts, kind="stable")]:
        share = _shares(target == value, weights)
        wins = share >= best - TIE
        result[wins & (share > TIE)] = value
        np.maximum(best, share, out=best)
    for value in values[(values > 0) & ~np.isin(values, result)]:
        share = _shares(target == value, weights)
        result[share >= share.max() / 2] = value
    return result


def _shares(mask: NDArray[np.bool_], weights: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    share = mask.astype(np.float32)
    for axis, matrix in enumerate(weights):
        share = np.moveaxis(np.tensordot(matrix, share, axes=(1, axis)), 0, axis)
    return share


def _weights(old: int, new: int) -> NDArray[np.float32]:
    """Return ``(new, old)``: what each old voxel contributes to each new one; rows sum to one."""
    scale = old / new
    if new > old:
        place = np.clip((np.arange(new) + 0.5) * scale - 0.5, 0, old - 1)
        matrix = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(old)))
    else:
        low = np.maximum(np.arange(new)[:, None] * scale, np.arange(old))
        high = np.minimum((np.arange(new)[:, None] + 1) * scale, np.arange(old) + 1)
        matrix = np.maximum(0, high - low) / scale
    return np.asarray(matrix, dtype=np.float32)


def label_voxels(target: NDArray[np.integer[Any]], labels: int) -> list[int]:
    """Return the voxels of each label of a map, -1 not counted.

    Args:
        target: values -1 to ``labels - 1``.
        labels: number of labels, background included.
    """
    counts: list[int] = np.bincount(target[target >= 0].astype(np.int64).ravel(), minlength=labels).tolist()
    return counts


def kept_on_grid(cases: Sequence[StoredCase], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return per structure what the training grid leaves of it.

    Args:
        cases: labelled cases.
        names: of the labels, background first.

    Returns:
        Name -> ``cases`` that have it, ``lost_in`` (ids of those whose stored grid has no voxel of it), and ``volume``,
        the share of its volume that is left. Structures that no case has are not there.
    """
    kept: dict[str, dict[str, Any]] = {}
    for label, name in enumerate(names):
        shown = [case for case in cases if label and case.native_voxels[label]]
        if not shown:
            continue
        native = sum(case.native_voxels[label] * float(np.prod(case.native_spacing)) for case in shown)
        grid = sum(case.grid_voxels[label] * float(np.prod(case.spacing)) for case in shown)
        lost = [case.ref.id for case in shown if not case.grid_voxels[label]]
        kept[name] = {"cases": len(shown), "lost_in": lost, "volume": grid / native}
    return kept


def losses_in_words(kept: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each structure that cases lost altogether."""
    return [
        f"The training grid has no voxel of {name} in {len(one['lost_in'])} of the {one['cases']} cases that have it "
        f"({', '.join(one['lost_in'][:3])}{', ...' if len(one['lost_in']) > 3 else ''}); {one['volume']:.0%} of its "
        f"volume is left. A finer recipe.spacing, a larger recipe.crop or recipe.label_resampling=area keeps more."
        for name, one in kept.items()
        if one["lost_in"]
    ]
