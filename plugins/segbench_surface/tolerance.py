"""Normalised surface distance (surface Dice): the share of the surfaces within a tolerance of each other.

Border voxels, distances and one-slice volumes are those of ``segbench_surface.metric``. Empty masks: both empty 1, one
empty 0; the status says which. Source: Nikolov et al., 2021.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from segbench import LabelMap, Metric, Peer, Score, Task, UsageError, parameter
from segbench_surface import citation
from segbench_surface.metric import Examples, by_hand

SLACK = 1e-6
"""Fraction by which a distance may exceed a tolerance: headers keep 0.8 mm in single precision as 0.800000012."""
_SURFACE_DICE = "https://doi.org/10.2196/26151"


class ToleranceMetric(Metric):
    """A share of the two surfaces that lies within a tolerance of the other."""

    source = _SURFACE_DICE
    bibtex = citation.SURFACE_DICE

    tolerance: float
    tolerances: tuple[float, ...]

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        """Score every structure of the task; see ``Metric.score``.

        Raises:
            UsageError: if ``tolerances`` are given but not one per structure.
        """
        structures = task.structures
        tolerances = self.tolerances or (self.tolerance,) * len(structures)
        if len(tolerances) != len(structures):
            names = ", ".join(structure.name for structure in structures)
            raise UsageError(
                f"metric {self.name}: expected {len(structures)} tolerances, one for each of {names}; found "
                f"{len(tolerances)}. Give one per structure in this order, or one tolerance for all."
            )
        yield from self.scores(predicted, truth, task, tolerances)

    def scores(self, predicted: LabelMap, truth: LabelMap, task: Task, tolerances: Sequence[float]) -> Iterable[Score]:
        """Yield the score of each structure at its tolerance in mm."""
        raise NotImplementedError


@dataclass
class NormalisedSurfaceDistance(ToleranceMetric):
    """Normalised surface distance (surface Dice) of border voxels at a tolerance τ.

    (|{d in D(P→T): d ≤ τ}| + |{d in D(T→P): d ≤ τ}|) / (|∂P| + |∂T|).

    A tolerance of whole voxels includes them whatever a voxel measures: distances may exceed τ by a millionth of it,
    because spacings are rounded. Differences: MONAI and
    MetricsReloaded agree; surface-distance weights border elements by their area (here ``nsd_surfel``).
    """

    name = "nsd"
    version = "2"
    family = "boundary"
    preference = 10
    summary = "Normalised surface distance (surface Dice) at a tolerance"
    default = True

    tolerance: float = parameter(1.0, "tolerance of all structures, mm", low=0.0)
    tolerances: tuple[float, ...] = parameter((), "tolerance of each structure in the task's order, mm", low=0.0)

    def scores(self, predicted: LabelMap, truth: LabelMap, task: Task, tolerances: Sequence[float]) -> Iterable[Score]:
        """Yield the share of border voxels within the tolerance."""
        import numpy as np

        from segbench_surface.surfaces import case_surfaces

        surfaces = case_surfaces(predicted, truth, task.structures)
        for structure, surface, tolerance in zip(task.structures, surfaces, tolerances, strict=True):
            value = 1.0 if surface.status == "both_empty" else 0.0
            if surface.status == "ok":
                within = sum(int(np.count_nonzero(some <= tolerance * (1 + SLACK))) for some in surface.distances)
                value = within / sum(len(some) for some in surface.distances)
            yield Score(structure, value, surface.status)

    def examples(self) -> Examples:
        """Three of four distances are at most 1 mm; four of four at most 4 mm."""
        within = sum(distance <= self.tolerance for distance in (1.0, 0.0, 0.0, 4.0))
        return by_hand(within / 4, both_empty=1.0, one_empty=0.0)

    def peers(self) -> Sequence[Peer]:
        """Brute force, MONAI; surface-distance weights by area (here ``nsd_surfel``)."""
        from segbench_surface import peers

        return [
            peers.within(self.tolerance),
            peers.monai("surface_dice", class_thresholds=[self.tolerance]),
            peers.surface_distance(
                "surface_dice_at_tolerance", self.tolerance, differs="surface elements weighted by area"
            ),
        ]


@dataclass
class NormalisedSurfaceDistanceSurfel(ToleranceMetric):
    """Surface Dice of surface elements weighted by their area at a tolerance τ (Nikolov et al. 2021, eq. 1).

    (area of {elements of P within τ of T} + area of {elements of T within τ of P}) / (area of both surfaces).

    Elements lie at the corners of the voxel grid (2 × 2 × 2 voxels, some inside and some outside the mask), their areas
    are those of marching cubes; in 2D lengths of marching squares. Distances may exceed τ by a millionth of it, because
    spacings are rounded. Differences: equals surface-distance otherwise, which leaves empty masks undefined; MONAI's
    surface Dice with ``use_subvoxels`` follows the same definition.
    """

    name = "nsd_surfel"
    version = "2"
    family = "boundary"
    preference = 9
    summary = "Normalised surface distance, weighted by surface area"

    tolerance: float = parameter(1.0, "tolerance of all structures, mm", low=0.0)
    tolerances: tuple[float, ...] = parameter((), "tolerance of each structure in the task's order, mm", low=0.0)

    def scores(self, predicted: LabelMap, truth: LabelMap, task: Task, tolerances: Sequence[float]) -> Iterable[Score]:
        """Yield the share of surface area within the tolerance."""
        from segbench_surface.surfaces import case_surfels

        found = case_surfels(predicted, truth, task.structures)
        for structure, (status, surfels), tolerance in zip(task.structures, found, tolerances, strict=True):
            value = 1.0 if status == "both_empty" else 0.0
            if surfels is not None:
                total = float(surfels.predicted_areas.sum()) + float(surfels.truth_areas.sum())
                far = tolerance * (1 + SLACK)
                within = float(surfels.predicted_areas[surfels.predicted <= far].sum())
                within += float(surfels.truth_areas[surfels.truth <= far].sum())
                value = within / total
            yield Score(structure, value, status)

    def examples(self) -> Examples:
        """Corners of pixels of 2 × 1 mm: each cut pixel corner has half its diagonal, each straight piece 1 mm."""
        cut = 5.0**0.5 / 2
        elements = [(1.0, 2 * cut), (0.0, 2.0 + 2 * cut), (0.0, 4 * cut), (3.0, 2 * cut), (4.0, 2 * cut)]
        within = sum(length for distance, length in elements if distance <= self.tolerance)
        return by_hand(within / (2.0 + 12 * cut), both_empty=1.0, one_empty=0.0)

    def peers(self) -> Sequence[Peer]:
        """surface-distance, MONAI."""
        from segbench_surface import peers

        return [
            peers.surface_distance("surface_dice_at_tolerance", self.tolerance),
            peers.monai("surface_dice", class_thresholds=[self.tolerance], use_subvoxels=True),
        ]
