"""Metrics of voxel counts: Dice, IoU, precision, recall, specificity and volumes.

With P the predicted and T the true voxels of a structure, Omega the image, and v the volume of a voxel in mL. All are
computed from one joint histogram per case. Empty masks: see each class; the status is ``both_empty``, ``pred_empty``
or ``truth_empty`` whenever P or T is empty, whatever the value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segbench import LabelMap, Metric, Peer, Score, Structure, Task
from segbench_overlap import citation

if TYPE_CHECKING:
    from segbench import Status
    from segbench_overlap.counts import Counts

_DICE = "https://doi.org/10.2307/1932409"
_RELOADED = "https://doi.org/10.1038/s41592-023-02151-z"
Examples = Sequence[tuple[LabelMap, LabelMap, Sequence[float | None]]]


def status_of(predicted: int, truth: int) -> Status:
    """Return the status for a prediction and a truth of so many voxels."""
    if predicted and truth:
        return "ok"
    if predicted:
        return "truth_empty"
    return "pred_empty" if truth else "both_empty"


def voxel_volume(spacing: Sequence[float]) -> float:
    """Return the volume of a voxel in mL; a 2D pixel counts as 1 mm thick.

    Args:
        spacing: voxel size in mm.
    """
    return math.prod(spacing) / 1000.0


def line(predicted: Sequence[int], truth: Sequence[int], spacing: float = 1.0) -> tuple[LabelMap, LabelMap]:
    """Return a pair of one-row label maps ``(1, W)`` for hand-computed examples.

    Args:
        predicted: label values along the row.
        truth: label values along the row.
        spacing: mm on both axes.
    """
    import numpy as np

    sides = (spacing, spacing)
    return LabelMap(np.array([predicted], dtype=np.uint8), sides), LabelMap(np.array([truth], dtype=np.uint8), sides)


class CountMetric(Metric):
    """A metric that is a function of the voxel counts of one structure."""

    source = _RELOADED
    bibtex = citation.RELOADED

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        """Score every structure of the task; see ``Metric.score``."""
        from segbench_overlap.counts import case_counts

        volume = voxel_volume(truth.spacing)
        structures = task.structures
        for structure, counts in zip(structures, case_counts(predicted, truth, structures), strict=True):
            yield self._scored(structure, counts, volume)

    def _scored(self, structure: Structure, counts: Counts, volume: float) -> Score:
        return Score(structure, self.value(counts, volume), status_of(counts.predicted, counts.truth))

    def value(self, counts: Counts, volume: float) -> float | None:
        """Return the value for these counts and the volume of a voxel in mL, or None where there is none."""
        raise NotImplementedError


def ratio(numerator: int, denominator: int, otherwise: float) -> float:
    """Return the quotient, or ``otherwise`` when the denominator is 0."""
    return numerator / denominator if denominator else otherwise


@dataclass
class Dice(CountMetric):
    """Dice similarity coefficient, 2 |P∩T| / (|P| + |T|).

    Empty masks: both empty 1, one empty 0. Differences: MedPy 0.5's ``dc``, nnU-Net's and
    MONAI's are NaN where both are empty, MONAI's also where only the truth is; all agree otherwise.
    """

    name = "dice"
    family = "overlap"
    preference = 10
    summary = "Dice similarity coefficient: twice common over sum"
    source = _DICE
    bibtex = citation.DICE
    default = True

    def value(self, counts: Counts, volume: float) -> float | None:
        """Return 2 |P∩T| / (|P| + |T|)."""
        return ratio(2 * counts.both, counts.predicted + counts.truth, 1.0)

    def examples(self) -> Examples:
        """Two voxels each, one in common: 2·1/4; then both empty; then a missed structure."""
        return [
            (*line([1, 1, 0, 0], [0, 1, 1, 0]), [0.5]),
            (*line([0, 0], [0, 0]), [1.0]),
            (*line([0, 0], [1, 0]), [0.0]),
        ]

    def peers(self) -> Sequence[Peer]:
        """NumPy, MONAI, surface-distance."""
        from segbench_overlap import peers

        return [
            *peers.of_counts("", lambda one, other: 2 * (one & other).sum() / (one.sum() + other.sum())),
            peers.of_monai("compute_dice"),
            peers.surface_distance_dice(),
        ]


@dataclass
class IoU(CountMetric):
    """Intersection over union (Jaccard index), |P∩T| / |P∪T|.

    Empty masks: both empty 1, one empty 0. Differences: MedPy 0.5's ``jc`` agrees; nnU-Net's and
    MONAI's are NaN where both are empty, MONAI's also where only the truth is.
    """

    name = "iou"
    family = "overlap"
    preference = 8
    summary = "Intersection over union (Jaccard index)"
    default = True

    def value(self, counts: Counts, volume: float) -> float | None:
        """Return |P∩T| / |P∪T|."""
        return ratio(counts.both, counts.predicted + counts.truth - counts.both, 1.0)

    def examples(self) -> Examples:
        """Two voxels each, one in common: 1/3."""
        return [(*line([1, 1, 0, 0], [0, 1, 1, 0]), [1 / 3]), (*line([0, 0], [0, 0]), [1.0])]

    def peers(self) -> Sequence[Peer]:
        """NumPy, MONAI."""
        from segbench_overlap import peers

        return [
            *peers.of_counts("", lambda one, other: (one & other).sum() / (one | other).sum()),
            peers.of_monai("compute_iou"),
        ]


@dataclass
class Precision(CountMetric):
    """Precision (positive predictive value), |P∩T| / |P|.

    Empty masks: both empty 1; P or T empty 0 (MedPy 0.5, MONAI and MetricsReloaded: NaN when P is empty).
    """

    name = "precision"
    family = "overlap"
    preference = 6
    summary = "Share of the predicted voxels that are right (PPV)"

    def value(self, counts: Counts, volume: float) -> float | None:
        """Return |P∩T| / |P|."""
        return ratio(counts.both, counts.predicted, 0.0 if counts.truth else 1.0)

    def examples(self) -> Examples:
        """One of two predicted voxels is right; nothing predicted where something is."""
        return [(*line([1, 1, 0, 0], [0, 1, 1, 1]), [0.5]), (*line([0, 0], [1, 0]), [0.0])]

    def peers(self) -> Sequence[Peer]:
        """NumPy, MONAI."""
        from segbench_overlap import peers

        return peers.of_counts("precision", lambda one, other: (one & other).sum() / one.sum())


@dataclass
class Recall(CountMetric):
    """Recall (sensitivity, true positive rate), |P∩T| / |T|.

    Empty masks: both empty 1; P or T empty 0 (MedPy 0.5, MONAI and MetricsReloaded: NaN when T is empty).
    """

    name = "recall"
    family = "overlap"
    preference = 5
    summary = "Share of the true voxels that were found (sensitivity)"

    def value(self, counts: Counts, volume: float) -> float | None:
        """Return |P∩T| / |T|."""
        return ratio(counts.both, counts.truth, 0.0 if counts.predicted else 1.0)

    def examples(self) -> Examples:
        """One of three true voxels is found; something predicted where nothing is."""
        return [(*line([1, 1, 0, 0], [0, 1, 1, 1]), [1 / 3]), (*line([1, 0], [0, 0]), [0.0])]

    def peers(self) -> Sequence[Peer]:
        """NumPy, MONAI."""
        from segbench_overlap import peers

        return peers.of_counts("sensitivity", lambda one, other: (one & other).sum() / other.sum())


@dataclass
class Specificity(CountMetric):
    """Specificity (true negative rate), |Omega \\ (P∪T)| / |Omega \\ T|.

    It depends on how much background the image has and is close to 1 for small structures; use with care. Empty
    masks: it needs none of them and has its value in every case; 1 if the truth fills the image.
    """

    name = "specificity"
    summary = "Share of the voxels outside a structure left out"

    def value(self, counts: Counts, volume: float) -> float | None:
        """Return |Omega \\ (P∪T)| / |Omega \\ T|."""
        return ratio(counts.neither, counts.total - counts.truth, 1.0)

    def examples(self) -> Examples:
        """One of two background voxels is left alone."""
        return [(*line([1, 1, 0, 0], [0, 1, 1, 0]), [0.5]), (*line([0, 0], [0, 0]), [1.0])]

    def peers(self) -> Sequence[Peer]:
        """NumPy, MONAI."""
        from segbench_overlap import peers

        return peers.of_counts("specificity", lambda one, other: (~one & ~other).sum() / (~other).sum())


@dataclass
class VolumeError(CountMetric):
    """Absolute volume difference in mL, v ``| |P| − |T| |``.

    Pixels of 2D label maps count as 1 mm thick. Empty masks: defined in every case (0 when both are empty).
    """

    name = "volume_error"
    summary = "Absolute difference of the volumes"
    unit = "mL"
    better = "lower"
    default = True

    def value(self, counts: Counts, volume: float) -> float | None:
        """Return the absolute volume difference in mL."""
        return abs(counts.predicted - counts.truth) * volume

    def examples(self) -> Examples:
        """Voxels of 10 × 10 (× 1) mm = 0.1 mL; one against three of them."""
        return [(*line([1, 0, 0, 0], [0, 1, 1, 1], spacing=10.0), [0.2])]

    def peers(self) -> Sequence[Peer]:
        """NumPy."""
        from segbench_overlap import peers

        return [peers.of_volumes(lambda one, other: abs(one - other) / 1000)]


@dataclass
class RelativeVolumeError(CountMetric):
    """Absolute relative volume difference, ``| |P| − |T| | / |T|``.

    The field's relative volume difference (RVD) is signed; ours is its absolute value, so that lower is better and
    opposite errors do not cancel in means. Empty masks: both empty 0, prediction empty 1, truth empty: no value.
    Differences: MedPy's ``ravd`` is signed and raises when the truth is empty.
    """

    name = "relative_volume_error"
    summary = "Absolute difference of the volumes over the true one"
    source = "https://doi.org/10.1109/TMI.2009.2013851"
    bibtex = citation.HEIMANN
    better = "lower"

    def value(self, counts: Counts, volume: float) -> float | None:
        """Return the absolute relative volume difference, None if only the truth is empty."""
        if not counts.truth:
            return None if counts.predicted else 0.0
        return abs(counts.predicted - counts.truth) / counts.truth

    def examples(self) -> Examples:
        """One voxel against three; nothing; something where nothing is."""
        return [
            (*line([1, 0, 0, 0], [0, 1, 1, 1]), [2 / 3]),
            (*line([0, 0], [0, 0]), [0.0]),
            (*line([1, 0], [0, 0]), [None]),
        ]

    def peers(self) -> Sequence[Peer]:
        """NumPy."""
        from segbench_overlap import peers

        return [peers.of_volumes(lambda one, other: abs(one - other) / other)]
