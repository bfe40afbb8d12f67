"""Confusion counts of all structures of a case in one pass over both label maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench import LabelMap, Structure, foreground_box, memory_order

MEMO = "segbench_overlap.counts"
_CHUNK = 1 << 18
"""Voxels looked at together; small enough for the temporaries to stay in the processor's cache."""
_DIRECT = 255
"""Label values below this index the joint histogram themselves; if one is larger, all are renumbered first."""
_TABLE = 1 << 20
"""Largest label value that is renumbered through a lookup table."""


@dataclass(frozen=True)
class Counts:
    """Voxel counts of one structure.

    Attributes:
        both: voxels in prediction and truth (true positives).
        predicted: voxels of the prediction.
        truth: voxels of the truth.
        total: voxels of the image.
    """

    both: int
    predicted: int
    truth: int
    total: int

    @property
    def neither(self) -> int:
        """Voxels in neither mask (true negatives)."""
        return self.total - self.predicted - self.truth + self.both


def case_counts(predicted: LabelMap, truth: LabelMap, structures: Sequence[Structure]) -> tuple[Counts, ...]:
    """Return the counts of every structure, computed once per (prediction, truth) and kept in ``truth.memo``.

    The memo holds the prediction of the last call only, so that a truth scored against many predictions does not
    keep them all in memory.

    Args:
        predicted: integer ``(D, H, W)`` or ``(H, W)``.
        truth: same shape.
        structures: what to count; they may overlap.

    Raises:
        ValueError: if the shapes differ.
    """
    known = truth.memo.get(MEMO)
    wanted = tuple(structures)
    if known is None or known[0] is not predicted or known[1] != wanted:
        known = (predicted, wanted, _case_counts(predicted, truth, wanted))
        truth.memo[MEMO] = known
    counts: tuple[Counts, ...] = known[2]
    return counts


def _case_counts(predicted: LabelMap, truth: LabelMap, structures: Sequence[Structure]) -> tuple[Counts, ...]:
    """Count within the joint foreground; everything outside is background on both sides."""
    if predicted.array.shape != truth.array.shape:
        return count(predicted.array, truth.array, structures)  # says so
    box = foreground_box(predicted, truth)
    inside = truth.array[box]
    counted, outside = count(predicted.array[box], inside, structures), truth.array.size - inside.size
    return tuple(
        Counts(counts.both + more, counts.predicted + more, counts.truth + more, counts.total + outside)
        for counts, more in zip(counted, (outside * (0 in one.values) for one in structures), strict=True)
    )


def count(
    predicted: NDArray[np.integer[Any]], truth: NDArray[np.integer[Any]], structures: Sequence[Structure]
) -> tuple[Counts, ...]:
    """Count all structures of two label maps in one pass.

    Args:
        predicted: integer array of any shape.
        truth: integer array of the same shape.
        structures: the label values of each structure; the background value 0 may be among them.

    Raises:
        ValueError: if the shapes differ.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"prediction has shape {predicted.shape}, truth {truth.shape}; they must be equal.")
    values = sorted({0, *(value for structure in structures for value in structure.values)})
    histogram, position = _joint_histogram(predicted, truth, values)
    of_truth, of_predicted = histogram.sum(axis=1), histogram.sum(axis=0)
    result = []
    for structure in structures:
        codes = [position[value] for value in set(structure.values)]
        both = histogram[codes[0], codes[0]] if len(codes) == 1 else histogram[np.ix_(codes, codes)].sum()
        totals = int(of_predicted[codes].sum()), int(of_truth[codes].sum())
        result.append(Counts(int(both), *totals, predicted.size))
    return tuple(result)


def _joint_histogram(
    predicted: NDArray[np.integer[Any]], truth: NDArray[np.integer[Any]], values: Sequence[int]
) -> tuple[NDArray[np.int64], dict[int, int]]:
    """Return how often each pair of codes (truth, predicted) occurs, and the code of each value."""
    direct = values[0] == 0 and values[-1] < _DIRECT
    size = values[-1] + 2 if direct else len(values) + 1  # the last code is every value not asked for
    position = {value: value if direct else code for code, value in enumerate(values)}
    pair_type = np.uint16 if size * size <= 1 << 16 else np.int64
    histogram = np.zeros(size * size, dtype=np.int64)
    for some_predicted, some_truth, lengths in _runs(predicted, truth):
        if direct:
            pairs: NDArray[np.integer[Any]] = _clipped(some_truth, size).astype(pair_type)
            np.multiply(pairs, size, out=pairs)
            np.add(pairs, _clipped(some_predicted, size), out=pairs)
        else:
            pairs = _renumbered(some_truth, values) * size + _renumbered(some_predicted, values)
        # Sums of whole numbers are exact in float64.
        counts = np.bincount(pairs, lengths, minlength=size * size)
        histogram += counts if lengths is None else counts.astype(np.int64)
    return histogram.reshape(size, size), position


def _clipped(array: NDArray[np.integer[Any]], size: int) -> NDArray[np.unsignedinteger[Any]]:
    """Return the values below ``size - 1`` as they are and ``size - 1`` for all others."""
    unsigned = array.view(np.dtype(f"u{array.itemsize}"))  # negative values become large ones
    clipped: NDArray[np.unsignedinteger[Any]] = np.minimum(unsigned, unsigned.dtype.type(size - 1))
    return clipped


def _renumbered(array: NDArray[np.integer[Any]], values: Sequence[int]) -> NDArray[np.int64]:
    """Return the position of each element in the sorted ``values``, or ``len(values)`` if it is not there."""
    known = np.array(values)
    smallest, largest = int(array.min()), int(array.max())
    if smallest >= 0 and largest < _TABLE:
        table = np.full(largest + 1, len(known), dtype=np.int64)
        inside = (known >= 0) & (known <= largest)
        table[known[inside]] = np.flatnonzero(inside)
        found: NDArray[np.int64] = table[array]
        return found
    position = np.minimum(np.searchsorted(known, array), len(known) - 1)
    return np.where(known[position] == array, position, len(known))


def _runs(
    predicted: NDArray[np.integer[Any]], truth: NDArray[np.integer[Any]]
) -> Iterator[tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]], NDArray[np.int64] | None]]:
    """Yield the values of both arrays where one of them changes and how many voxels they stay so; None = one each."""
    if not truth.size:
        return
    order = memory_order(truth)
    predicted, truth = predicted.transpose(order), truth.transpose(order)
    slices = max(1, _CHUNK // max(1, truth[0].size))
    change = np.ones(min(slices, len(truth)) * truth[0].size, dtype=np.bool_)
    other = np.empty_like(change)
    for start in range(0, truth.shape[0], slices):
        some_predicted = predicted[start : start + slices].reshape(-1)
        some_truth = truth[start : start + slices].reshape(-1)
        most = some_truth.size
        np.not_equal(some_truth[1:], some_truth[:-1], out=change[1:most])
        np.not_equal(some_predicted[1:], some_predicted[:-1], out=other[1:most])
        np.logical_or(change[1:most], other[1:most], out=change[1:most])
        starts = np.flatnonzero(change[:most])
        if 4 * len(starts) > most:
            yield some_predicted, some_truth, None
        else:
            yield some_predicted.take(starts), some_truth.take(starts), np.diff(starts, append=most)
