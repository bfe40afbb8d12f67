"""How far a prediction's shape is from the truth's, for any method: centroid, spread, length, and bounds violated.

Whole cases in mm. Empty masks: both empty 0; for ``centroid_error`` and ``spread_error`` no value if one is empty; for
the others see there. Volumes are compared by ``volume_error``.

Source: the descriptors of Kervadec et al., MIDL 2021, section 2.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from segbench import LabelMap, Metric, Score, Structure, Task, parameter
from segbench_shape_descriptors.method import BIBTEX

if TYPE_CHECKING:
    from segbench import Status
    from segbench_shape_descriptors.measures import Measures
    from segbench_shape_descriptors.prior_part import DescriptorPrior

Examples = Sequence[tuple[LabelMap, LabelMap, Sequence[float | None]]]


class _OfShapes(Metric):
    """A metric that compares the measures of two masks."""

    source = "https://proceedings.mlr.press/v143/kervadec21a.html"
    bibtex = BIBTEX
    better: ClassVar[Literal["higher", "lower"]] = "lower"
    when_missed: ClassVar[float | None] = None
    when_invented: ClassVar[float | None] = None

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        """Score every structure of the task; see ``Metric.score``."""
        from segbench_shape_descriptors.measures import case_measures

        for structure in task.structures:
            one, other = case_measures(predicted, structure), case_measures(truth, structure)
            value, status = self._scored(one, other)
            yield Score(structure, value, status)

    def _scored(self, one: Measures, other: Measures) -> tuple[float | None, Status]:
        if one.volume and other.volume:
            return self.value(one, other), "ok"
        if one.volume:
            return self.when_invented, "truth_empty"
        return (self.when_missed, "pred_empty") if other.volume else (0.0, "both_empty")

    def value(self, predicted: Measures, truth: Measures) -> float:
        """Return the value for two structures that are both there."""
        raise NotImplementedError


@dataclass
class CentroidError(_OfShapes):
    """Euclidean distance between the centroids of prediction and truth."""

    name: ClassVar[str] = "centroid_error"
    summary: ClassVar[str] = "Distance between the centroids of prediction and truth"
    unit: ClassVar[str] = "mm"

    def value(self, predicted: Measures, truth: Measures) -> float:
        """Return |C_p - C_t| in mm."""
        import numpy as np

        return float(np.linalg.norm(predicted.centroid - truth.centroid))

    def examples(self) -> Examples:
        """Two pixels of 2 mm, moved by one pixel; a missed structure; nothing anywhere."""
        return [
            (*_row([1, 1, 0, 0], [0, 1, 1, 0]), [2.0]),
            (*_row([0, 0], [1, 0]), [None]),
            (*_row([0, 0], [0, 0]), [0.0]),
        ]


@dataclass
class SpreadError(_OfShapes):
    """Norm of the difference of the spreads (standard deviations of the coordinates along each axis)."""

    name: ClassVar[str] = "spread_error"
    summary: ClassVar[str] = "Difference of the average distances to the centroid"
    unit: ClassVar[str] = "mm"

    def value(self, predicted: Measures, truth: Measures) -> float:
        """Return |D_p - D_t| in mm."""
        import numpy as np

        return float(np.linalg.norm(predicted.spread - truth.spread))

    def examples(self) -> Examples:
        """One pixel (spread 0) against two pixels of 2 mm (spread 1 mm)."""
        return [(*_row([1, 0, 0, 0], [0, 1, 1, 0]), [1.0]), (*_row([1, 0], [0, 0]), [None])]


@dataclass
class LengthError(_OfShapes):
    """Relative difference of the boundary's length (planes) or surface (volumes), |L_p - L_t| / L_t.

    Empty masks: prediction empty 1, truth empty: no value.
    """

    name: ClassVar[str] = "length_error"
    summary: ClassVar[str] = "Relative difference of boundary length (2D), surface (3D)"
    unit: ClassVar[str] = ""
    when_missed: ClassVar[float | None] = 1.0

    def value(self, predicted: Measures, truth: Measures) -> float:
        """Return |L_p - L_t| / L_t, infinite where the truth fills the image and has no boundary."""
        from segbench_shape_descriptors.measures import relative

        if truth.length == 0:
            return 0.0 if predicted.length == 0 else float("inf")
        return relative(predicted.length, truth.length)

    def examples(self) -> Examples:
        """The same shape elsewhere; a missed structure; nothing anywhere."""
        grids = [[[0] * 5 for _ in range(4)] for _ in range(2)]
        grids[0][1][1] = grids[1][2][3] = 1
        return [
            (*_plane(*grids), [0.0]),
            (*_row([0, 0], [1, 0]), [1.0]),
            (*_row([1, 0], [0, 0]), [None]),
            (*_row([0, 0], [0, 0]), [0.0]),
        ]


@dataclass
class BoundViolation(_OfShapes):
    """Share of volume, centroid, spread and length outside the truth's values +- a margin, component by component.

    With a prior file, the bounds are the file's and the truth is not looked at, see ``score``.
    Empty masks: a structure that only one side has violates all (1).
    """

    name: ClassVar[str] = "bound_violation"
    summary: ClassVar[str] = "Share of volume, centroid, spread, length outside bounds"
    unit: ClassVar[str] = ""
    when_missed: ClassVar[float | None] = 1.0
    when_invented: ClassVar[float | None] = 1.0

    prior_kind: ClassVar[str] = "descriptors"

    margin: float = parameter(0.1, "relative margin of the bounds", low=0)
    prior: Path | None = parameter(None, "CSV of numbers or TOML of rules; none = the truth's numbers")
    read_: Any = field(init=False, repr=False, compare=False, default=None)

    def prepare(self, task: Task, truths: Iterable[LabelMap]) -> None:
        """Read the prior file, if there is one."""
        if self.prior is not None:
            self._read(self.prior, task)

    def structures(self, task: Task) -> Sequence[Structure]:
        """Return all structures; with a prior, those of which a label is named there."""
        if self.prior is None:
            return task.structures
        named = self._read(self.prior, task).named()
        return [structure for structure in task.structures if named & set(structure.values)]

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        """Score every structure; with a prior, by its bounds instead of the truth's.

        A metric does not know the case's name: a prediction is held to the range over the table's cases. A structure
        counts the bounds of its labels and the rules that name one of them. It has no value where none of them applies,
        since each is about something that is missing.
        """
        if self.prior is None:
            yield from super().score(predicted, truth, task)
            return
        bounds = self._read(self.prior, task).check(None, predicted)
        for structure in self.structures(task):
            own = [bound.violated for bound in bounds if set(bound.labels) & set(structure.values)]
            if own:
                yield Score(structure, sum(own) / len(own))
            else:
                yield Score(structure, None, "pred_empty" if truth.mask(structure).any() else "both_empty")

    def _read(self, path: Path, task: Task) -> DescriptorPrior:
        from segbench_shape_descriptors.prior_part import DescriptorPrior

        known: DescriptorPrior | None = self.read_
        if known is None or known.labels_ != task.labels:
            known = self.read_ = DescriptorPrior(margin=self.margin)
            known.read(path, task)
        return known

    def value(self, predicted: Measures, truth: Measures) -> float:
        """Return the number of violated bounds over the number of bounds."""
        from segbench_shape_descriptors.measures import violated

        return float(violated(predicted, truth, self.margin).mean())

    def examples(self) -> Examples:
        """Moved by a row: of V, two of C, two of D and L, one of C is wrong; a missed structure."""
        grids = [[[0] * 5 for _ in range(4)] for _ in range(2)]
        grids[0][1][1] = grids[1][2][1] = 1
        return [(*_plane(*grids), [1 / 6]), (*_row([0, 0], [1, 0]), [1.0]), (*_row([0, 0], [0, 0]), [0.0])]


def _row(predicted: Sequence[int], truth: Sequence[int]) -> tuple[LabelMap, LabelMap]:
    """Return label maps of one row of pixels of 2 mm."""
    return _plane([list(predicted)], [list(truth)])


def _plane(predicted: Sequence[Sequence[int]], truth: Sequence[Sequence[int]]) -> tuple[LabelMap, LabelMap]:
    """Return label maps of pixels of 2 mm."""
    import numpy as np

    one, other = (np.array(values, dtype=np.uint8) for values in (predicted, truth))
    return LabelMap(one, (2.0, 2.0)), LabelMap(other, (2.0, 2.0))
