"""The metrics of this plugin by brute force (SciPy's ``cdist``), by MONAI and by surface-distance.

For ``segbench doctor metrics`` and for tests. Every function takes two boolean masks, neither of them empty, and the
spacing in mm, and imports its package inside.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench import Peer

Mask = NDArray[np.bool_]
Distances = NDArray[np.float64]
SINGLE = 1e-6
"""Tolerance for MONAI, which keeps distances in single precision."""
LARGEST = 1 << 26
"""Pairs of border voxels above which brute force is given up."""


def brute_force(formula: Callable[[Distances, Distances], float]) -> Peer:
    """Return a formula of the distances between all pairs of border voxels.

    Args:
        formula: of the distances from prediction to truth and from truth to prediction, mm.
    """

    def value(predicted: Mask, truth: Mask, spacing: Sequence[float]) -> float:
        from scipy.spatial.distance import cdist

        one, other = (border_points(mask, spacing) for mask in (predicted, truth))
        if len(one) * len(other) > LARGEST:
            raise ValueError("too many border voxels for brute force")
        between = cdist(one, other)
        return float(formula(between.min(axis=1), between.min(axis=0)))

    return Peer("SciPy cdist", "scipy", value)


def directed(q: float) -> Peer:
    """Return the larger of NumPy's q-th percentiles of the two lists of distances."""
    return brute_force(lambda one, other: max(np.percentile(one, q), np.percentile(other, q)))


def pooled(q: float) -> Peer:
    """Return NumPy's q-th percentile of both lists together."""
    return brute_force(lambda one, other: np.percentile(np.concatenate([one, other]), q))


def within(tolerance: float) -> Peer:
    """Return the share of all distances that are at most the tolerance in mm."""
    return brute_force(lambda one, other: (np.concatenate([one, other]) <= tolerance).mean())


def border_points(mask: Mask, spacing: Sequence[float]) -> Distances:
    """Return the places of the border voxels in mm ``(n, axes)``."""
    from scipy import ndimage

    inner = ndimage.binary_erosion(mask)  # over faces; beyond the image is outside
    places: Distances = np.argwhere(mask & ~inner).astype(np.float64)
    places *= np.array(spacing)
    return places


def monai(function: str, **options: Any) -> Peer:
    """Return one of MONAI's surface metrics.

    Args:
        function: its name in ``monai.metrics`` without ``compute_``.
        options: further arguments.
    """

    def value(predicted: Mask, truth: Mask, spacing: Sequence[float]) -> float:
        metrics = importlib.import_module("monai.metrics")
        masks = tensors(predicted, truth)
        sides = [float(side) for side in spacing]
        return float(getattr(metrics, f"compute_{function}")(*masks, include_background=True, spacing=sides, **options))

    words = ", ".join(f"{key}={value}" for key, value in options.items() if key != "class_thresholds")
    return Peer(f"MONAI {function}" + (f" {words}" if words else ""), "monai", value, tolerance=SINGLE)


def monai_percentile(q: float) -> list[Peer]:
    """Return the percentile Hausdorff distance of MONAI's distances, and MONAI's own.

    MONAI's own computes the rank q (n - 1) / 100 in single precision, so that between two distances that lie far apart
    it takes a slightly different weight: 5e-6 mm off on small masks.
    """

    def value(predicted: Mask, truth: Mask, spacing: Sequence[float]) -> float:
        edges = importlib.import_module("monai.metrics.utils").get_edge_surface_distance
        one, other = (mask[0, 0] for mask in tensors(predicted, truth))
        _, lists, _ = edges(one.float(), other.float(), spacing=[float(side) for side in spacing], symmetric=True)
        return max(float(np.percentile(some.numpy().astype(np.float64), q)) for some in lists)

    own = replace(monai("hausdorff_distance", percentile=q), differs="rank of the percentile in single precision")
    return [Peer(f"MONAI distances, percentile={q:g}", "monai", value, tolerance=SINGLE), own]


def tensors(predicted: Mask, truth: Mask) -> list[Any]:
    """Return boolean tensors ``(1, 1, *S)``."""
    torch: Any = importlib.import_module("torch")
    return [torch.from_numpy(np.ascontiguousarray(mask))[None, None] for mask in (predicted, truth)]


def surface_distance(function: str, *arguments: float, differs: str = "") -> Peer:
    """Return one of surface-distance's metrics (named without ``compute_``); of two directions, the mean."""

    def value(predicted: Mask, truth: Mask, spacing: Sequence[float]) -> float:
        peer = importlib.import_module("surface_distance")
        distances = peer.compute_surface_distances(truth, predicted, tuple(float(side) for side in spacing))
        return float(np.mean(getattr(peer, f"compute_{function}")(distances, *arguments)))

    return Peer(f"surface-distance {function}", "surface_distance", value, differs=differs)
