"""What the constraints promise, measured on label maps: area per slice, weighted length of edges, components.

Slices are those across the coarsest axis of a volume (the first of equals), as 2D networks cut it. Empty masks: no
value, with the status that says which side is empty, but 0 where both are.

Source: the quantities constrained by Lambert et al., ISBI 2021, 10.1109/ISBI48211.2021.9434088.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from segbench import LabelMap, Metric, Score, Task, parameter
from segbench_geometric.method import BIBTEX, SOURCE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Examples = Sequence[tuple[LabelMap, LabelMap, Sequence[float | None]]]


class _PerStructure(Metric):
    """What the metrics share: structures one by one, as stacks of slices, and the statuses of empty masks."""

    source: ClassVar[str] = SOURCE
    bibtex: ClassVar[str] = BIBTEX
    better: ClassVar[Literal["higher", "lower"]] = "lower"

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        """Score every structure."""
        for structure in task.structures:
            ours, true = (_sliced(labels.mask(structure), labels.spacing) for labels in (predicted, truth))
            if ours.any() and true.any():
                yield Score(structure, self.value(ours, true))
            elif ours.any():
                yield Score(structure, None, "truth_empty")
            elif true.any():
                yield Score(structure, None, "pred_empty")
            else:
                yield Score(structure, 0.0, "both_empty")

    def value(self, predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
        """Return the value of two masks ``(slices, h, w)``, neither of them empty."""
        raise NotImplementedError


@dataclass
class SliceAreaError(_PerStructure):
    """Absolute errors of the area summed over the slices, as a part of the true volume; 0 = every slice right."""

    name: ClassVar[str] = "slice_area_error"
    summary: ClassVar[str] = "sum over slices of |predicted - true area| / true volume"

    def value(self, predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
        """Return ``sum_s |A_s - A*_s| / sum_s A*_s``."""
        areas, goals = (mask.sum((1, 2)).astype(int) for mask in (predicted, truth))
        return float(abs(areas - goals).sum() / goals.sum())

    def examples(self) -> Examples:
        """Two slices: 3 voxels for 1 and 1 for 2; a volume error would call it 1 in 3 too many."""
        return [(*_pair([[1, 1, 1, 0], [1, 0, 0, 0]], [[1, 0, 0, 0], [1, 1, 0, 0]]), [1.0])]


@dataclass
class WeightedTVExcess(_PerStructure):
    """Weighted total variation of a prediction beyond the truth's own, with the edge weight of the truth.

    ``TV_g(P) / TV_g(T) - 1`` in voxels, summed over the slices: 0 for the truth, large for edges away from the true
    ones, which cost 1 + beta times as much; negative where edges are missing.
    """

    name: ClassVar[str] = "weighted_tv_excess"
    summary: ClassVar[str] = "weighted total variation over the truth's, minus 1"

    beta: float = parameter(10.0, "edge weight g = 1 / (1 + beta |grad y|^2)", low=0)

    def value(self, predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
        """Return the excess; forward differences within the slices, zero at the last row and column."""
        import numpy as np

        edges = _squared_gradient(truth)
        weight = 1 / (1 + self.beta * edges)
        own = float((weight * np.sqrt(edges)).sum())
        found = float((weight * np.sqrt(_squared_gradient(predicted))).sum())
        return found / own - 1 if own > 0 else found  # a truth that fills its slices has no edge

    def examples(self) -> Examples:
        """The truth itself; one more voxel of an edge where g = 1 beside two of g = 1/11: 1 / (2/11)."""
        truth = [[0, 1, 1, 0, 0, 0]]
        one, same = _pair(truth, truth)
        return [(one, same, [0.0]), (*_pair([[0, 1, 1, 0, 0, 1]], truth), [5.5])]


@dataclass
class ExtraComponents(_PerStructure):
    """Connected components of the prediction beyond the number of the truth's, 26-connectivity (8 in a plane)."""

    name: ClassVar[str] = "extra_components"
    summary: ClassVar[str] = "connected components beyond the number the truth has"
    unit: ClassVar[str] = "1"

    def value(self, predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
        """Return the number; 0 where there are fewer than in the truth."""
        import numpy as np
        from scipy import ndimage

        ours, true = (ndimage.label(mask, structure=np.ones((3, 3, 3)))[1] for mask in (predicted, truth))
        return float(max(0, ours - true))

    def examples(self) -> Examples:
        """Three for one; diagonal neighbours are one."""
        three = _pair([[1, 0, 1, 0, 1]], [[1, 1, 1, 0, 0]])
        diagonal = _pair([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0]], [[1, 1, 0, 0, 0], [0, 0, 0, 0, 0]])
        return [(*three, [2.0]), (*diagonal, [0.0])]


def _sliced(mask: NDArray[np.bool_], spacing: Sequence[float]) -> NDArray[np.bool_]:
    """Return a mask as ``(slices, h, w)``: a plane as one slice, a volume across its coarsest axis."""
    import numpy as np

    if mask.ndim == 2:
        return mask[None]
    axis = max(range(3), key=lambda index: (spacing[index], -index))
    return np.moveaxis(mask, axis, 0)


def _squared_gradient(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the squared length of the forward differences within each slice."""
    import numpy as np

    total = np.zeros(mask.shape)
    for axis in (1, 2):
        low, high = ([slice(None)] * 3 for _ in range(2))
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        total[tuple(low)] += mask[tuple(high)] != mask[tuple(low)]
    return total


def _pair(predicted: list[list[int]], truth: list[list[int]]) -> tuple[LabelMap, LabelMap]:
    """Return label maps whose slices are single rows."""
    import numpy as np

    arrays: list[NDArray[np.integer[Any]]] = [np.array(rows, dtype=np.int16)[:, None] for rows in (predicted, truth)]
    one, other = (LabelMap(array, (3.0, 1.0, 1.0)) for array in arrays)
    return one, other
