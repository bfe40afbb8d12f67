"""Metrics computed by MedPy (Oskar Maier, GPL-3), for values that equal those of papers that used it.

MedPy is called, not copied, and imported only when a metric is computed. It raises or returns NaN when a mask is empty;
here the status decides as for every other metric: both empty is 1 for overlaps and 0 mm for distances, one empty is 0
for overlaps and no value for distances. Distances are computed on the joint bounding box of the two masks, which
changes no value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from segbench import LabelMap, Metric, Peer, PluginError, Score, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from segbench import Status

Examples = Sequence[tuple[LabelMap, LabelMap, Sequence[float | None]]]


def medpy_binary() -> Any:
    """Return MedPy's module of binary metrics.

    Raises:
        PluginError: if MedPy is not installed.
    """
    try:
        from medpy.metric import binary
    except ImportError as error:
        raise PluginError(
            f"the medpy_ metrics need MedPy, which could not be imported ({error}). Install it with: "
            'pip install "segbench[medpy]"; or use the metrics of the same names without the prefix.'
        ) from error
    return binary


def example_pair(predicted: Sequence[int], truth: Sequence[int]) -> tuple[LabelMap, LabelMap]:
    """Return one-row label maps, rows 2 mm and columns 1 mm apart, for hand-computed examples."""
    import numpy as np

    sides = (2.0, 1.0)
    return LabelMap(np.array([predicted], dtype=np.uint8), sides), LabelMap(np.array([truth], dtype=np.uint8), sides)


class MedPyMetric(Metric):
    """A function of MedPy, applied to each structure."""

    source = "https://github.com/loli/medpy"
    bibtex = """@software{maier_medpy,
  author = {Maier, Oskar},
  title = {{MedPy}: medical image processing in {Python}},
  url = {https://github.com/loli/medpy}
}"""
    function = ""
    """Its name in ``medpy.metric.binary``."""
    empty: tuple[float | None, float | None] = (1.0, 0.0)
    """Values when both masks are empty and when one is."""
    asks_always = False
    """Whether MedPy's function is called for empty masks, too."""
    equals = ""
    """The metric whose values it must reproduce where neither mask is empty."""

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        """Score every structure of the task; see ``Metric.score``.

        Raises:
            PluginError: if MedPy is not installed.
        """
        function = getattr(medpy_binary(), self.function)
        for structure in task.structures:
            masks = predicted.mask(structure), truth.mask(structure)
            status = status_of(*masks)
            if status == "ok" or self.asks_always:
                yield Score(structure, self.call(function, *masks, truth.spacing), status)
            else:
                yield Score(structure, self.empty[0] if status == "both_empty" else self.empty[1], status)

    def call(
        self, function: Any, predicted: NDArray[np.bool_], truth: NDArray[np.bool_], spacing: tuple[float, ...]
    ) -> float:
        """Call MedPy's function on two masks, neither of them empty."""
        return float(function(predicted, truth))

    def examples(self) -> Examples:
        """One of two predicted voxels is right, two of three true voxels are missed; the empty cases."""
        nothing = [0, 0, 0, 0, 0, 0]
        return [
            (*example_pair([1, 1, 0, 0, 0, 0], [0, 1, 0, 0, 1, 1]), [self.expected()]),
            (*example_pair(nothing, nothing), [self.empty[0]]),
            (*example_pair(nothing, [0, 1, 0, 0, 0, 0]), [self.empty[1]]),
        ]

    def expected(self) -> float:
        """Return the value of the first example."""
        raise NotImplementedError

    def peers(self) -> Sequence[Peer]:
        """MedPy, for the metric that it must agree with."""

        def value(predicted: NDArray[np.bool_], truth: NDArray[np.bool_], spacing: Sequence[float]) -> float:
            return self.call(getattr(medpy_binary(), self.function), predicted, truth, tuple(spacing))

        return [Peer(f"MedPy {self.function}", "medpy", value, metric=self.equals)]


class MedPyDistance(MedPyMetric):
    """A distance of MedPy: border voxels by face neighbours, mm."""

    unit = "mm"
    better = "lower"
    empty = (0.0, None)

    def call(
        self, function: Any, predicted: NDArray[np.bool_], truth: NDArray[np.bool_], spacing: tuple[float, ...]
    ) -> float:
        """Call MedPy's function on the joint box, with the spacing in mm."""
        box = joint_box(predicted | truth)
        return float(function(predicted[box], truth[box], voxelspacing=spacing, connectivity=1))


def status_of(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Status:
    """Return whether the masks are empty."""
    if predicted.any():
        return "ok" if truth.any() else "truth_empty"
    return "pred_empty" if truth.any() else "both_empty"


def joint_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the smallest box that holds a mask that is not empty."""
    import numpy as np

    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        used = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(used[0]), int(used[-1]) + 1))
    return tuple(box)


@dataclass
class MedPyDice(MedPyMetric):
    """MedPy's ``dc``; equals ``dice`` unless both masks are empty, where MedPy 0.5 returns NaN."""

    name = "medpy_dice"
    family = "overlap"
    preference = 9
    summary = "Dice coefficient by MedPy (dc)"
    function = "dc"
    equals = "dice"

    def expected(self) -> float:
        """2 · 1 / (2 + 3)."""
        return 0.4


@dataclass
class MedPyIoU(MedPyMetric):
    """MedPy's ``jc``; equals ``iou``."""

    name = "medpy_iou"
    family = "overlap"
    preference = 7
    summary = "Jaccard coefficient by MedPy (jc)"
    function = "jc"
    equals = "iou"

    def expected(self) -> float:
        """1 / 4."""
        return 0.25


@dataclass
class MedPyPrecision(MedPyMetric):
    """MedPy's ``precision``; equals ``precision``."""

    name = "medpy_precision"
    summary = "Precision by MedPy"
    function = "precision"
    equals = "precision"

    def expected(self) -> float:
        """1 / 2."""
        return 0.5


@dataclass
class MedPyRecall(MedPyMetric):
    """MedPy's ``recall``; equals ``recall``."""

    name = "medpy_recall"
    summary = "Recall by MedPy"
    function = "recall"
    equals = "recall"

    def expected(self) -> float:
        """1 / 3."""
        return 1 / 3


@dataclass
class MedPySpecificity(MedPyMetric):
    """MedPy's ``specificity``; equals ``specificity`` unless the truth fills the image."""

    name = "medpy_specificity"
    summary = "Specificity by MedPy"
    function = "specificity"
    equals = "specificity"
    empty = (1.0, 1.0)
    asks_always = True

    def expected(self) -> float:
        """2 of 3 voxels outside the truth."""
        return 2 / 3


@dataclass
class MedPyHD(MedPyDistance):
    """MedPy's ``hd``; equals ``hd``, except that a one-slice volume keeps its axis of length one."""

    name = "medpy_hd"
    family = "boundary"
    preference = 1
    summary = "Hausdorff distance by MedPy"
    function = "hd"
    equals = "hd"

    def expected(self) -> float:
        """The last true voxel is 4 mm from the nearest predicted one."""
        return 4.0


@dataclass
class MedPyHD95(MedPyDistance):
    """MedPy's ``hd95``: the 95th percentile of both directions together, here ``hd95_pooled``, not ``hd95``."""

    name = "medpy_hd95"
    family = "boundary"
    preference = 7
    summary = "95th percentile, both directions pooled, by MedPy"
    function = "hd95"
    equals = "hd95_pooled"

    def expected(self) -> float:
        """Of {0, 0, 1, 3, 4} at position 0.95 · 4 = 3.8: 3 + 0.8."""
        return 3.8

    def peers(self) -> Sequence[Peer]:
        """MedPy, for ``hd95_pooled`` and, with another definition, for ``hd95``."""
        (pooled,) = super().peers()
        return [pooled, replace(pooled, metric="hd95", differs="both directions pooled, here hd95_pooled")]


@dataclass
class MedPyASSD(MedPyDistance):
    """MedPy's ``assd`` (0.5: pooled over both directions); equals ``assd``."""

    name = "medpy_assd"
    family = "boundary"
    preference = 4
    summary = "Average symmetric surface distance by MedPy"
    function = "assd"
    equals = "assd"

    def expected(self) -> float:
        """(1 + 0 + 0 + 3 + 4) / 5."""
        return 1.6


@dataclass
class MedPyASD(MedPyDistance):
    """MedPy's ``asd`` from the prediction to the truth; equals ``msd``."""

    name = "medpy_asd"
    family = "boundary"
    preference = 3
    summary = "Average distance from prediction to truth by MedPy"
    function = "asd"
    equals = "msd"

    def expected(self) -> float:
        """(1 + 0) / 2."""
        return 0.5
