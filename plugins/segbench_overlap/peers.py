"""The metrics of this plugin as MONAI, surface-distance, scikit-image, SciPy and plain NumPy compute them.

For ``segbench doctor metrics`` and for tests. Every function takes two boolean masks, neither of them empty, and the
spacing in mm, and imports its package inside.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench import Peer

Mask = NDArray[np.bool_]
SINGLE = 1e-6
"""Tolerance for packages that compute in single precision."""


def of_counts(monai: str, formula: Callable[[Mask, Mask], float]) -> list[Peer]:
    """Return MONAI's and NumPy's way to compute a ratio of voxel counts.

    Args:
        monai: name of the ratio in ``compute_confusion_matrix_metric``; "" if there is none.
        formula: of masks.
    """
    plain = Peer("NumPy masks", "numpy", lambda predicted, truth, spacing: float(formula(predicted, truth)))

    def confusion(predicted: Mask, truth: Mask, spacing: Sequence[float]) -> float:
        metrics = importlib.import_module("monai.metrics")
        counted = metrics.get_confusion_matrix(tensor(predicted), tensor(truth))
        return float(metrics.compute_confusion_matrix_metric(monai, counted).squeeze())

    return [plain, Peer(f"MONAI {monai}", "monai", confusion, tolerance=SINGLE)] if monai else [plain]


def of_volumes(formula: Callable[[float, float], float]) -> Peer:
    """Return a formula of the two volumes in mm³."""

    def value(predicted: Mask, truth: Mask, spacing: Sequence[float]) -> float:
        voxel = float(np.prod(spacing))
        return float(formula(float(predicted.sum()) * voxel, float(truth.sum()) * voxel))

    return Peer("NumPy masks", "numpy", value)


def tensor(mask: Mask) -> Any:
    """Return a float tensor ``(1, 1, *S)``."""
    torch: Any = importlib.import_module("torch")
    return torch.from_numpy(np.ascontiguousarray(mask, dtype=np.float32))[None, None]


def of_monai(function: str) -> Peer:
    """Return one of MONAI's functions that take prediction and truth."""

    def value(predicted: Mask, truth: Mask, spacing: Sequence[float]) -> float:
        return float(getattr(importlib.import_module("monai.metrics"), function)(tensor(predicted), tensor(truth)))

    return Peer(f"MONAI {function.removeprefix('compute_')}", "monai", value, tolerance=SINGLE)


def surface_distance_dice() -> Peer:
    """Return surface-distance's ``compute_dice_coefficient``."""

    def value(predicted: Mask, truth: Mask, spacing: Sequence[float]) -> float:
        return float(importlib.import_module("surface_distance").compute_dice_coefficient(truth, predicted))

    return Peer("surface-distance dice_coefficient", "surface_distance", value)


def centre_of_mass() -> Peer:
    """Return SciPy's centres of mass."""

    def value(predicted: Mask, truth: Mask, spacing: Sequence[float]) -> float:
        from scipy import ndimage

        one, other = (np.array(ndimage.center_of_mass(mask)) * spacing for mask in (predicted, truth))
        return float(np.linalg.norm(one - other))

    return Peer("SciPy center_of_mass", "scipy", value)


def bands_by_brute_force(width: float) -> Peer:
    """Return the IoU of bands found by the distances between all pairs of voxels, of masks that are not large."""

    def band(mask: Mask, spacing: Sequence[float]) -> Mask:
        from scipy import ndimage
        from scipy.spatial.distance import cdist

        padded = np.pad(mask, 1)
        inside, outside = np.argwhere(padded) * np.array(spacing), np.argwhere(~padded) * np.array(spacing)
        if len(inside) * len(outside) > 1 << 26:
            raise ValueError("too many voxels for brute force")
        near = cdist(inside, outside).min(axis=1) <= width
        found = padded & ~ndimage.binary_erosion(padded)
        found[padded] |= near
        return found

    def value(predicted: Mask, truth: Mask, spacing: Sequence[float]) -> float:
        one, other = band(predicted, spacing), band(truth, spacing)
        return float((one & other).sum() / (one | other).sum())

    return Peer("SciPy cdist", "scipy", value)


def betti(order: int) -> Peer:
    """Return the difference of a Betti number by scikit-image's labels and Euler number."""

    def number(mask: Mask) -> int:
        measure: Any = importlib.import_module("skimage.measure")
        padded = np.pad(mask, 1)
        pieces = int(measure.label(padded, connectivity=mask.ndim).max())
        cavities = int(measure.label(~padded, connectivity=1).max()) - 1
        if mask.ndim == 2:
            return (pieces, cavities, 0)[order]
        euler = int(measure.euler_number(padded, connectivity=3))
        return (pieces, pieces + cavities - euler, cavities)[order]

    return Peer(
        "scikit-image euler_number",
        "skimage",
        lambda predicted, truth, spacing: float(abs(number(predicted) - number(truth))),
    )


def labelled(full: bool) -> Peer:
    """Return the difference of the numbers of scikit-image's connected components."""

    def number(mask: Mask) -> int:
        measure: Any = importlib.import_module("skimage.measure")
        return int(measure.label(mask, connectivity=mask.ndim if full else 1).max())

    return Peer(
        "scikit-image label", "skimage", lambda predicted, truth, spacing: float(abs(number(predicted) - number(truth)))
    )


def authors_centre_line_dice() -> Peer:
    """Return the formula of clDice's authors on skeletons of the whole image, where scikit-image erases nothing.

    A pair is passed over if a component has no skeleton, or in 3D a voxel so far from it that it may be of a branch
    that was eaten: farther than the radius there and the width here.
    """

    def skeleton(mask: Mask) -> Mask:
        from scipy import ndimage

        morphology: Any = importlib.import_module("skimage.morphology")
        padded = np.pad(mask, 2)
        lines = np.asarray(morphology.skeletonize(padded), dtype=np.bool_)
        pieces, number = ndimage.label(padded, np.ones((3,) * mask.ndim))
        radius = ndimage.distance_transform_edt(padded)
        for index in range(1, number + 1):
            piece = pieces == index
            away, nearest = ndimage.distance_transform_edt(~(lines & piece), return_indices=True)
            far = away > radius[tuple(nearest)] + 2 * radius
            if not (lines & piece).any() or (mask.ndim == 3 and (far & piece).any()):
                raise ValueError("scikit-image may have erased a part of this structure")
        return lines

    def value(predicted: Mask, truth: Mask, spacing: Sequence[float]) -> float:
        lines = skeleton(predicted), skeleton(truth)
        shares = [np.pad(other, 2)[line].mean() for line, other in zip(lines, (truth, predicted), strict=True)]
        return harmonic(float(shares[0]), float(shares[1]))

    return Peer("scikit-image skeletonize", "skimage", value)


def harmonic(one: float, other: float) -> float:
    """Return the harmonic mean of two shares; 0 if both are."""
    return float(2 * one * other / (one + other)) if one + other else 0.0


def centre_lines_of_bars() -> Peer:
    """Return clDice from the middle lines of structures that consist of bars, and 1 for equal masks.

    A bar's line is as long as the bar without its width. Thinning may end a line a little sooner or later, hence the
    tolerance.
    """

    def lines(mask: Mask, other: Mask) -> float:
        from scipy import ndimage

        pieces, _ = ndimage.label(mask, np.ones((3,) * mask.ndim))
        inside = total = 0.0
        for number, box in enumerate(ndimage.find_objects(pieces), start=1):
            sides = [some.stop - some.start for some in box]
            along = int(np.argmax(sides))
            across = max([side for axis, side in enumerate(sides) if axis != along])
            if not (pieces[box] == number).all() or sides[along] < 3 * across:
                raise ValueError("not a structure of bars")
            middle = tuple(
                slice(some.start + across // 2, some.stop - (across - 1) // 2)
                if axis == along
                else (some.start + some.stop - 1) // 2
                for axis, some in enumerate(box)
            )
            inside, total = inside + float(other[middle].sum()), total + float(other[middle].size)
        return inside / total

    def value(predicted: Mask, truth: Mask, spacing: Sequence[float]) -> float:
        return 1.0 if np.array_equal(predicted, truth) else harmonic(lines(predicted, truth), lines(truth, predicted))

    return Peer("SciPy middle lines of bars", "scipy", value, tolerance=0.1)
