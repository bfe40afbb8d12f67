"""Confusion counts of all structures of a case in one pass over both label maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench import LabelMap, Structure

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
        known = (predicted, wanted, count(predicted.array, truth.array, wanted))
        truth.memo[MEMO] = known
    counts: tuple[Counts, ...] = known[2]
    return counts


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
    seen = 0
    for some_predicted, some_truth in _foreground_rows(predicted, truth):
        seen += some_predicted.size
        if direct:
            pairs: NDArray[np.integer[Any]] = _clipped(some_truth, size).astype(pair_type)
            np.multiply(pairs, size, out=pairs)
            np.add(pairs, _clipped(some_predicted, size), out=pairs)
        else:
            pairs = _renumbered(some_truth, values) * size + _renumbered(some_predicted, values)
        histogram += np.bincount(pairs, minlength=size * size)
    square = histogram.reshape(size, size)
    square[position[0], position[0]] += predicted.size - seen
    return square, position


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


def _foreground_rows(
    predicted: NDArray[np.integer[Any]], truth: NDArray[np.integer[Any]]
) -> Iterator[tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]]]:
    """Yield flat pieces of both arrays that leave out only rows where both are background everywhere."""
    order = sorted(range(truth.ndim), key=lambda axis: -abs(truth.strides[axis]))  # memory order is fastest
    predicted, truth = predicted.transpose(order), truth.transpose(order)
    if truth.ndim < 2:
        predicted, truth = np.atleast_2d(predicted), np.atleast_2d(truth)
    width = truth.shape[-1]
    slices = max(1, _CHUNK // max(1, truth[0].size))
    for start in range(0, truth.shape[0], slices):
        some_predicted = predicted[start : start + slices].reshape(-1, width)
        some_truth = truth[start : start + slices].reshape(-1, width)
        rows = _rows_with_foreground(some_predicted | some_truth)
        if rows.any():
            yield some_predicted[rows].ravel(), some_truth[rows].ravel()


def _rows_with_foreground(rows: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Return which rows of ``(n, width)`` have a non-zero element; eight bytes at a time where they line up."""
    if rows.flags.c_contiguous and (rows.shape[1] * rows.itemsize) % 8 == 0:
        rows = rows.view(np.uint64)
    found: NDArray[np.bool_] = np.bitwise_or.reduce(rows, axis=1) != 0
    return found
