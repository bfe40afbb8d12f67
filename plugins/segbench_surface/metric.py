"""Surface distance metrics in mm.

With ∂P and ∂T the border voxels of prediction and truth (voxels of the mask with at least one face neighbour outside
it; beyond the image is outside), and d(a, B) the Euclidean distance in mm between voxel centres from a to the nearest
voxel of B:

    D(P→T) = { d(p, ∂T) : p in ∂P },   D(T→P) = { d(t, ∂P) : t in ∂T }.

Every metric below is a function of these two lists, which are computed once per structure and shared. A volume of one
slice is a 2D image (no neighbours along the axis of length one). Empty masks: both empty 0 mm; one empty no value;
the status says which. Source: Maier-Hein, Reinke et al., Metrics Reloaded, 2024.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segbench import LabelMap, Metric, Peer, Score, Task, parameter
from segbench_surface import citation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from segbench_surface.distances import SurfaceDistances

_RELOADED = "https://doi.org/10.1038/s41592-023-02151-z"
_HAUSDORFF = "https://doi.org/10.1109/34.232073"
Examples = Sequence[tuple[LabelMap, LabelMap, Sequence[float | None]]]


def rows(predicted: Sequence[Sequence[int]], truth: Sequence[Sequence[int]]) -> tuple[LabelMap, LabelMap]:
    """Return a pair of 2D label maps with rows 2 mm and columns 1 mm apart, for hand-computed examples."""
    import numpy as np

    sides = (2.0, 1.0)
    return LabelMap(np.array(predicted, dtype=np.uint8), sides), LabelMap(np.array(truth, dtype=np.uint8), sides)


def by_hand(value: float, both_empty: float = 0.0, one_empty: float | None = None) -> Examples:
    """Return hand-computed examples: a pair with D(P→T) = {1, 0} and D(T→P) = {0, 4}, and the three empty cases.

    Args:
        value: expected for that pair.
        both_empty: expected when both masks are empty.
        one_empty: expected when one mask is empty.
    """
    nothing, predicted, truth = [[0, 0, 0, 0, 0, 0]], [[1, 1, 0, 0, 0, 0]], [[0, 1, 0, 0, 0, 1]]
    return [
        (*rows(predicted, truth), [value]),
        (*rows(nothing, nothing), [both_empty]),
        (*rows(nothing, truth), [one_empty]),
        (*rows(predicted, nothing), [one_empty]),
    ]


class DistanceMetric(Metric):
    """A distance in mm that is a function of the two lists of directed distances."""

    source = _RELOADED
    bibtex = citation.RELOADED
    unit = "mm"
    better = "lower"

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        """Score every structure of the task; see ``Metric.score``."""
        from segbench_surface.surfaces import case_surfaces

        structures = task.structures
        for structure, surface in zip(structures, case_surfaces(predicted, truth, structures), strict=True):
            if surface.status == "ok":
                yield Score(structure, float(self.distance(surface.distances)))
            else:
                yield Score(structure, 0.0 if surface.status == "both_empty" else None, surface.status)

    def distance(self, distances: SurfaceDistances) -> float:
        """Return the distance in mm; neither list is empty."""
        raise NotImplementedError


def directed_percentile(distances: SurfaceDistances, q: float) -> float:
    """Return the larger of the q-th percentiles of the two lists, with linear interpolation.

    Args:
        distances: two lists in mm, neither empty.
        q: percentile between 0 and 100.
    """
    return max(percentile(some, q) for some in distances)


def percentile(values: NDArray[np.float64], q: float) -> float:
    """Return the q-th percentile with linear interpolation, as ``numpy.percentile`` but with less ado.

    Args:
        values: ``(n,)``, not empty.
        q: percentile between 0 and 100.
    """
    import numpy as np

    position = q / 100.0 * (len(values) - 1)
    below = int(position)
    above = min(below + 1, len(values) - 1)
    parts = np.partition(values, (below, above))
    low, high, weight = float(parts[below]), float(parts[above]), position - below
    return high - (high - low) * (1.0 - weight) if weight >= 0.5 else low + (high - low) * weight


@dataclass
class HausdorffDistance(DistanceMetric):
    """Hausdorff distance, max(max D(P→T), max D(T→P)).

    Differences: MedPy, MONAI and MetricsReloaded agree; surface-distance measures between corners of the voxel grid
    instead of voxel centres.
    """

    name = "hd"
    family = "boundary"
    preference = 2
    summary = "Hausdorff distance of the border voxels"
    source = _HAUSDORFF
    bibtex = citation.HAUSDORFF
    default = True

    def distance(self, distances: SurfaceDistances) -> float:
        """Return the largest distance."""
        return max(float(some.max()) for some in distances)

    def examples(self) -> Examples:
        """The farthest voxel is 4 mm away."""
        return by_hand(4.0)

    def peers(self) -> Sequence[Peer]:
        """Brute force, MONAI; surface-distance measures between corners."""
        from segbench_surface import peers

        return [
            peers.brute_force(lambda one, other: max(one.max(), other.max())),
            peers.monai("hausdorff_distance"),
            peers.surface_distance("robust_hausdorff", 100, differs="between corners of the voxel grid"),
        ]


@dataclass
class HausdorffDistance95(DistanceMetric):
    """95th percentile Hausdorff distance, max(P95 D(P→T), P95 D(T→P)), linear interpolation.

    Differences: MedPy's ``hd95`` is the percentile of the two lists together (here ``hd95_pooled``); MONAI and
    MetricsReloaded as here; surface-distance weights by surface elements and does not interpolate.
    """

    name = "hd95"
    family = "boundary"
    preference = 8
    summary = "95th percentile Hausdorff distance, larger direction"
    default = True

    def distance(self, distances: SurfaceDistances) -> float:
        """Return the larger directed 95th percentile."""
        return directed_percentile(distances, 95.0)

    def examples(self) -> Examples:
        """The larger of 0.95 · 1 and 0.95 · 4."""
        return by_hand(3.8)

    def peers(self) -> Sequence[Peer]:
        """Brute force, MONAI; surface-distance weights by area."""
        from segbench_surface import peers

        return [
            peers.directed(95.0),
            *peers.monai_percentile(95.0),
            peers.surface_distance("robust_hausdorff", 95, differs="weighted by area, not interpolated"),
        ]


@dataclass
class HausdorffPercentile(DistanceMetric):
    """Percentile Hausdorff distance, max(Pq D(P→T), Pq D(T→P)), linear interpolation; q = 100 is ``hd``."""

    name = "hd_percentile"
    family = "boundary"
    preference = 6
    summary = "Percentile Hausdorff distance, larger direction"
    source = _HAUSDORFF
    bibtex = citation.HAUSDORFF

    q: float = parameter(95.0, "the percentile, 0 to 100", low=0.0, high=100.0)

    def distance(self, distances: SurfaceDistances) -> float:
        """Return the larger directed percentile."""
        return directed_percentile(distances, self.q)

    def examples(self) -> Examples:
        """The larger of q/100 · 1 and q/100 · 4."""
        return by_hand(4.0 * self.q / 100.0)

    def peers(self) -> Sequence[Peer]:
        """Brute force, MONAI."""
        from segbench_surface import peers

        return [
            peers.directed(self.q),
            *peers.monai_percentile(self.q),
        ]


@dataclass
class HausdorffDistance95Pooled(DistanceMetric):
    """95th percentile of both lists together, P95(D(P→T) ∪ D(T→P)), linear interpolation.

    This is MedPy's ``hd95`` (0.5). It is never larger than ``hd95``, and much smaller where one surface is larger
    than the other or only one of them has an outlier.
    """

    name = "hd95_pooled"
    family = "boundary"
    preference = 7
    summary = "95th percentile of both directions together (MedPy's hd95)"

    def distance(self, distances: SurfaceDistances) -> float:
        """Return the 95th percentile of the pooled distances."""
        import numpy as np

        return percentile(np.concatenate(distances), 95.0)

    def examples(self) -> Examples:
        """Of {0, 0, 1, 4} at position 0.95 · 3 = 2.85: 1 + 0.85 · 3."""
        return by_hand(3.55)

    def peers(self) -> Sequence[Peer]:
        """Brute force."""
        from segbench_surface import peers

        return [peers.pooled(95.0)]


@dataclass
class AverageSymmetricSurfaceDistance(DistanceMetric):
    """Average symmetric surface distance, (Σ D(P→T) + Σ D(T→P)) / (|∂P| + |∂T|).

    Differences: MedPy 0.5's ``assd``, MONAI's symmetric average and MetricsReloaded's ASSD agree; MedPy before 0.5 and
    panoptica take the mean of the two means (here ``masd``).
    """

    name = "assd"
    family = "boundary"
    preference = 5
    summary = "Average symmetric surface distance, of all border voxels"
    source = "https://doi.org/10.1109/TMI.2009.2013851"
    bibtex = citation.HEIMANN
    default = True

    def distance(self, distances: SurfaceDistances) -> float:
        """Return the mean over all border voxels of both masks."""
        total = sum(float(some.sum()) for some in distances)
        return total / sum(len(some) for some in distances)

    def examples(self) -> Examples:
        """(1 + 0 + 0 + 4) / 4."""
        return by_hand(1.25)

    def peers(self) -> Sequence[Peer]:
        """Brute force, MONAI; surface-distance weights by area."""
        from segbench_surface import peers

        return [
            peers.brute_force(lambda one, other: (one.sum() + other.sum()) / (len(one) + len(other))),
            peers.monai("average_surface_distance", symmetric=True),
            peers.surface_distance("average_surface_distance", differs="mean of two means weighted by area"),
        ]


@dataclass
class MeanAverageSurfaceDistance(DistanceMetric):
    """Mean of the two directed averages, (mean D(P→T) + mean D(T→P)) / 2.

    Differences: MetricsReloaded's MASD and panoptica's ASSD agree; differs from ``assd`` where the surfaces have
    different sizes.
    """

    name = "masd"
    family = "boundary"
    preference = 4
    summary = "Mean of the two directed mean surface distances"

    def distance(self, distances: SurfaceDistances) -> float:
        """Return the mean of the two means."""
        return sum(float(some.mean()) for some in distances) / 2.0

    def examples(self) -> Examples:
        """(1/2 + 4/2) / 2."""
        return by_hand(1.25)

    def peers(self) -> Sequence[Peer]:
        """Brute force; surface-distance weights by area."""
        from segbench_surface import peers

        return [
            peers.brute_force(lambda one, other: (one.mean() + other.mean()) / 2),
            peers.surface_distance("average_surface_distance", differs="weighted by area"),
        ]


@dataclass
class MeanSurfaceDistance(DistanceMetric):
    """Mean surface distance from the prediction to the truth, mean D(P→T).

    It does not see what the prediction misses; read it beside ``assd``. Differences: MedPy's ``asd(result,
    reference)`` and MONAI's default (not symmetric) average surface distance agree.
    """

    name = "msd"
    family = "boundary"
    preference = 3
    summary = "Mean distance from predicted to true surface, one way"
    default = True

    def distance(self, distances: SurfaceDistances) -> float:
        """Return the mean over the prediction's border voxels."""
        return float(distances.predicted.mean())

    def examples(self) -> Examples:
        """(1 + 0) / 2."""
        return by_hand(0.5)

    def peers(self) -> Sequence[Peer]:
        """Brute force, MONAI."""
        from segbench_surface import peers

        return [
            peers.brute_force(lambda one, other: one.mean()),
            peers.monai("average_surface_distance"),
        ]
