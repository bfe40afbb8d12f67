"""Metrics of position, boundary band, topology and centre line of one structure.

Each looks at the two masks of a structure, cropped to their joint box. Beyond the image is outside the mask. A volume
of one slice is a 2D image.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from segbench import LabelMap, Metric, Peer, Score, Task, UsageError, parameter
from segbench_overlap import citation
from segbench_overlap.metric import Examples, line, ratio, status_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_RELOADED = "https://doi.org/10.1038/s41592-023-02151-z"


class MaskMetric(Metric):
    """A metric that is a function of the two masks of one structure.

    Attributes:
        both_empty: value when both masks are empty.
        one_empty: value when one is; None if there is none.
        asks_always: whether ``value`` is asked for empty masks, too.
    """

    source = _RELOADED
    bibtex = citation.RELOADED
    both_empty: float | None = 1.0
    one_empty: float | None = 0.0
    asks_always = False

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        """Score every structure of the task; see ``Metric.score``."""
        from segbench_overlap.masks import joint_masks

        for structure in task.structures:
            some_predicted, some_truth, spacing = joint_masks(predicted, truth, structure)
            status = status_of(int(some_predicted.any()), int(some_truth.any()))
            if status == "ok" or self.asks_always:
                yield Score(structure, self.value(some_predicted, some_truth, spacing), status)
            else:
                yield Score(structure, self.both_empty if status == "both_empty" else self.one_empty, status)

    def value(self, predicted: NDArray[np.bool_], truth: NDArray[np.bool_], spacing: Sequence[float]) -> float:
        """Return the value of two masks.

        Args:
            predicted: bool ``(D, H, W)`` or ``(H, W)``, cropped to the joint box.
            truth: same shape.
            spacing: mm per axis.
        """
        raise NotImplementedError


@dataclass
class CentroidDistance(MaskMetric):
    """Euclidean distance in mm between the centres of mass of the two masks.

    Empty masks: both empty 0, one empty no value.
    """

    name = "centroid_distance"
    summary = "Distance between the centres of mass"
    unit = "mm"
    better = "lower"
    both_empty = 0.0
    one_empty = None

    def value(self, predicted: NDArray[np.bool_], truth: NDArray[np.bool_], spacing: Sequence[float]) -> float:
        """Return the distance of the centroids."""
        from segbench_overlap.masks import centroid

        pairs = zip(centroid(predicted), centroid(truth), spacing, strict=True)
        return math.sqrt(sum(((one - other) * side) ** 2 for one, other, side in pairs))

    def examples(self) -> Examples:
        """Centres at 0.5 and 3 voxels of 2 mm."""
        return [(*line([1, 1, 0, 0], [0, 0, 0, 1], spacing=2.0), [5.0]), (*line([0, 0], [1, 0]), [None])]

    def peers(self) -> Sequence[Peer]:
        """SciPy."""
        from segbench_overlap import peers

        return [peers.centre_of_mass()]


@dataclass
class BoundaryIoU(MaskMetric):
    """Intersection over union of the inner boundary bands of the two masks (Cheng et al. 2021, eq. 2).

    The band of a mask: its border voxels, and its voxels at most ``width`` mm from the nearest voxel centre outside.
    Beyond the image is outside. Empty masks: both empty 1, one empty 0. Differences: the paper erodes with a 3 × 3
    square d = 2 % of the image diagonal times, in pixels; ours is Euclidean and in mm.
    """

    name = "boundary_iou"
    version = "2"
    family = "boundary"
    preference = 1
    summary = "IoU of the bands along the inner boundaries"
    source = "https://doi.org/10.1109/CVPR46437.2021.01508"
    bibtex = citation.BOUNDARY_IOU

    width: float = parameter(2.0, "width of the band, mm", low=0.0)

    def value(self, predicted: NDArray[np.bool_], truth: NDArray[np.bool_], spacing: Sequence[float]) -> float:
        """Return the IoU of the bands."""
        from segbench_overlap.masks import inner_band

        bands = inner_band(predicted, spacing, self.width), inner_band(truth, spacing, self.width)
        return ratio(int((bands[0] & bands[1]).sum()), int((bands[0] | bands[1]).sum()), 1.0)

    def examples(self) -> Examples:
        """One-row masks are all border: 2 of 4 voxels in common; both empty; one empty."""
        return [
            (*line([1, 1, 1, 0], [0, 1, 1, 1]), [0.5]),
            (*line([0, 0], [0, 0]), [1.0]),
            (*line([1, 0], [0, 0]), [0.0]),
        ]

    def peers(self) -> Sequence[Peer]:
        """Brute force."""
        from segbench_overlap import peers

        return [peers.bands_by_brute_force(self.width)]


@dataclass
class Components(MaskMetric):
    """Absolute difference of the numbers of connected components of prediction and truth.

    Voxels are connected over faces (6 neighbours in 3D, 4 in 2D) or, with ``connectivity=full``, over faces, edges and
    corners (26 and 8; then it equals ``betti_0``). Empty masks have no components; the value is always defined.
    """

    name = "components"
    summary = "Error of the number of connected components"
    better = "lower"
    unit = "1"
    asks_always = True

    connectivity: Literal["faces", "full"] = parameter("faces", "which neighbours are connected: faces or full")

    def value(self, predicted: NDArray[np.bool_], truth: NDArray[np.bool_], spacing: Sequence[float]) -> float:
        """Return the absolute difference of the counts.

        Raises:
            UsageError: if the connectivity is neither ``faces`` nor ``full``.
        """
        from segbench_overlap.masks import count_components

        if self.connectivity not in ("faces", "full"):
            raise UsageError(f"metric components: expected connectivity faces or full, found {self.connectivity!r}.")
        full = self.connectivity == "full"
        return float(abs(count_components(predicted, full) - count_components(truth, full)))

    def examples(self) -> Examples:
        """Three pieces against one; none against one."""
        return [(*line([1, 0, 1, 0, 1], [1, 1, 1, 0, 0]), [2.0]), (*line([0, 0], [1, 0]), [1.0])]

    def peers(self) -> Sequence[Peer]:
        """scikit-image."""
        from segbench_overlap import peers

        return [peers.labelled(self.connectivity == "full")]


class BettiDifference(MaskMetric):
    """Absolute difference of a Betti number of prediction and truth.

    The mask is the union of its closed voxels: foreground connected over faces, edges and corners (26 neighbours in 3D,
    8 in 2D), background over faces. b0 counts components, b1 tunnels (holes in 2D), b2 cavities (0 in 2D); they obey
    b0 − b1 + b2 = χ with the Euler characteristic χ = vertices − edges + faces − cubes of that union. Empty masks have
    Betti numbers 0: the error of b0 is always defined; those of b1 and b2 have no value where one mask is empty,
    because a missed structure without tunnels or cavities would be perfect.
    """

    source = "https://doi.org/10.1109/TPAMI.2020.3013679"
    bibtex = citation.BETTI
    better = "lower"
    unit = "1"
    asks_always = True
    order = 0

    def value(self, predicted: NDArray[np.bool_], truth: NDArray[np.bool_], spacing: Sequence[float]) -> float:
        """Return the absolute difference of the Betti numbers of this order."""
        from segbench_overlap.masks import betti_numbers

        return float(abs(betti_numbers(predicted)[self.order] - betti_numbers(truth)[self.order]))

    def ring(self) -> tuple[LabelMap, LabelMap]:
        """Return a ring and a separate voxel against a full square: b = (2, 1, 0) against (1, 0, 0)."""
        import numpy as np

        truth = np.zeros((5, 6), dtype=np.uint8)
        truth[1:4, 1:4] = 1
        predicted = truth.copy()
        predicted[2, 2], predicted[0, 5] = 0, 1
        return LabelMap(predicted, (1.0, 1.0)), LabelMap(truth, (1.0, 1.0))

    def peers(self) -> Sequence[Peer]:
        """scikit-image."""
        from segbench_overlap import peers

        return [peers.betti(self.order)]


@dataclass
class BettiZero(BettiDifference):
    """Error of b0, the number of components (26/8 neighbours); see ``BettiDifference``."""

    name = "betti_0"
    summary = "Error of Betti number 0: connected components"
    order = 0

    def examples(self) -> Examples:
        """Two components against one."""
        return [(*self.ring(), [1.0])]


@dataclass
class BettiOne(BettiDifference):
    """Error of b1, the number of tunnels through the structure (of holes in 2D); see ``BettiDifference``."""

    name = "betti_1"
    version = "2"
    asks_always = False
    both_empty = 0.0
    one_empty = None
    summary = "Error of Betti number 1: tunnels (holes in 2D)"
    order = 1

    def examples(self) -> Examples:
        """One hole against none."""
        return [(*self.ring(), [1.0])]


@dataclass
class BettiTwo(BettiDifference):
    """Error of b2, the number of closed cavities (0 in 2D); see ``BettiDifference``."""

    name = "betti_2"
    version = "2"
    asks_always = False
    both_empty = 0.0
    one_empty = None
    summary = "Error of Betti number 2: cavities"
    order = 2

    def examples(self) -> Examples:
        """No cavity in 2D."""
        return [(*self.ring(), [0.0])]


@dataclass
class CentrelineDice(MaskMetric):
    """Centre-line Dice (Shit et al. 2021, eq. 1–3): harmonic mean of precision and sensitivity of the skeletons.

    2 · a · b / (a + b) with a = |S(P)∩T| / |S(P)| and b = |S(T)∩P| / |S(T)|, S the skeleton by scikit-image's
    ``skeletonize`` (Zhang 1984 in 2D, Lee 1994 in 3D), as in the authors' evaluation. Skeletons ignore the spacing.
    Empty masks: both empty 1, one empty 0. Needs scikit-image. Differences: scikit-image erases 3D components and
    branches of even width; those are thinned anew (see ``segbench.skeleton``), so that every component has a
    skeleton. The paper's training loss and MONAI's ``SoftclDiceLoss`` use soft skeletons by pooling, which differ.
    """

    name = "cldice"
    version = "2"
    summary = "Centre-line Dice of skeletons, for tubes"
    source = "https://doi.org/10.1109/CVPR46437.2021.01629"
    bibtex = citation.CENTRELINE_DICE

    def value(self, predicted: NDArray[np.bool_], truth: NDArray[np.bool_], spacing: Sequence[float]) -> float:
        """Return the centre-line Dice.

        Raises:
            PluginError: if scikit-image is not installed.
        """
        from segbench import skeleton

        skeletons = skeleton(predicted), skeleton(truth)
        precision = ratio(int((skeletons[0] & truth).sum()), int(skeletons[0].sum()), 0.0)
        sensitivity = ratio(int((skeletons[1] & predicted).sum()), int(skeletons[1].sum()), 0.0)
        return 2.0 * precision * sensitivity / (precision + sensitivity) if precision + sensitivity else 0.0

    def examples(self) -> Examples:
        """A line is its own skeleton: 3 of 4 and 3 of 3."""
        return [(*line([1, 1, 1, 1, 0], [0, 1, 1, 1, 0]), [6 / 7]), (*line([0, 0], [1, 0]), [0.0])]

    def peers(self) -> Sequence[Peer]:
        """The authors' formula with scikit-image; bars, whose centre lines are known."""
        from segbench_overlap import peers

        return [peers.authors_centre_line_dice(), peers.centre_lines_of_bars()]
