"""Where each value of a label map lies: one look at the voxels that serves whoever asks next.

Label maps are runs of equal values along their rows; only where a value changes is there something to note.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from segbench.types import LabelMap

Box = tuple[slice, ...]
MEMO = "segbench.boxes"
_CHUNK = 1 << 18
"""Voxels looked at together; small enough for the temporaries to stay in the processor's cache."""
_TINY, _FEW = 1 << 17, 4
"""Voxels and largest value up to which each value is looked for by itself: its mask costs less than noting its runs."""


def memory_order(array: NDArray[Any]) -> list[int]:
    """Return the axes in the order in which an array lies in memory, which is the fastest to go through.

    An axis of length one comes first, whatever its stride says: rows shall not be of one element.

    Args:
        array: of any number of axes.
    """
    return sorted(range(array.ndim), key=lambda axis: (array.shape[axis] > 1, -abs(array.strides[axis])))


def value_boxes(labels: LabelMap) -> Mapping[int, Box]:
    """Return the smallest box of every value but 0, looked for once per label map and kept in its memo.

    Args:
        labels: integer array of one to three axes.

    Returns:
        For each value that occurs the slices, in the axis order of the array.
    """
    return _looked_at(labels)[0]


def values_of(labels: LabelMap) -> frozenset[int]:
    """Return the values that occur in a label map; one look serves this and ``value_boxes``.

    Args:
        labels: integer array of one to three axes.
    """
    boxes, background = _looked_at(labels)
    return frozenset(boxes) | ({0} if background else set())


def foreground_box(first: LabelMap, *others: LabelMap) -> Box:
    """Return the smallest box outside which label maps of one shape are background; one of no voxel if they all are.

    Args:
        first, others: integer arrays of one to three axes.
    """
    box = enclosing(box for labels in (first, *others) for box in value_boxes(labels).values())
    return box or (slice(0, 0),) * first.array.ndim


def enclosing(boxes: Iterable[Box]) -> Box:
    """Return the smallest box that holds all of some boxes; () of none.

    >>> enclosing([(slice(0, 2), slice(5, 6)), (slice(1, 4), slice(3, 4))])
    (slice(0, 4, None), slice(3, 6, None))
    """
    sides = zip(*boxes, strict=True)
    return tuple(slice(min(one.start for one in side), max(one.stop for one in side)) for side in sides)


def mask_box(mask: NDArray[np.bool_]) -> Box | None:
    """Return the smallest box that holds every voxel of a mask ``(*S)``, None if it is empty."""
    import numpy as np

    used, rest = [], mask
    while rest.ndim > 1:
        used.append(np.flatnonzero(rest.reshape(len(rest), math.prod(rest.shape[1:])).any(axis=1)))
        rest = np.logical_or.reduce(rest, axis=0)
    used.append(np.flatnonzero(rest))
    return tuple(slice(int(side[0]), int(side[-1]) + 1) for side in used) if len(used[-1]) else None


def _looked_at(labels: LabelMap) -> tuple[dict[int, Box], bool]:
    known: tuple[dict[int, Box], bool] | None = labels.memo.get(MEMO)
    if known is None:
        known = labels.memo[MEMO] = _boxes(labels.array)
    return known


def _boxes(array: NDArray[np.integer[Any]]) -> tuple[dict[int, Box], bool]:
    """Return the box of every value but 0, and whether 0 occurs."""

    if not array.size:
        return {}, False
    order = memory_order(array)
    planes = array.transpose(order)
    planes = planes.reshape((1,) * (3 - planes.ndim) + planes.shape)
    if array.size <= _TINY and planes.min() >= 0 and (largest := int(planes.max())) <= _FEW:
        found = {value: box for value in range(1, largest + 1) if (box := mask_box(planes == value)) is not None}
        background = not planes.all()
    else:
        found, background = _boxes_by_runs(planes)
    places = [order.index(axis) + 3 - array.ndim for axis in range(array.ndim)]
    return {value: tuple(box[place] for place in places) for value, box in found.items()}, background


def _boxes_by_runs(planes: NDArray[np.integer[Any]]) -> tuple[dict[int, Box], bool]:
    """Return the box of every value but 0 of a label map of three axes, and whether 0 occurs; row by row."""
    import numpy as np

    rows = np.ascontiguousarray(planes).reshape(-1, planes.shape[-1])
    step = max(1, _CHUNK // rows.shape[1])
    seen = _Seen(planes.shape, rows.dtype, min(step, len(rows)) * rows.shape[1])
    used = np.arange(len(rows))
    if len(rows) > step:
        some = _with_foreground(rows)
        used = some if 2 * len(some) < len(rows) else used  # else leaving out the others would cost more than it saves
    for start in range(0, len(used), step):
        some = used[start : start + step]
        seen.add(rows[start : start + step] if len(used) == len(rows) else rows[some], some)
    return dict(seen.boxes()), seen.voxels < planes.size


class _Seen:
    """Which planes, rows and columns each value has been seen in.

    Args:
        shape: planes, rows, columns.
        dtype: of the values.
        most: voxels that are added together.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], most: int) -> None:
        import numpy as np

        self.shape, self.dtype = shape, dtype
        self.codes: dict[int, int] = {}
        self.voxels = 0  # that are not 0
        self.seen = [np.zeros((256, length), dtype=np.bool_) for length in shape]
        self._change = np.ones(most, dtype=np.bool_)

    def add(self, rows: NDArray[np.integer[Any]], numbers: NDArray[np.int64]) -> None:
        """Note the runs of rows with these numbers."""
        import numpy as np

        width, flat = rows.shape[1], rows.reshape(-1)
        change = self._change[: flat.size]
        np.not_equal(flat[1:], flat[:-1], out=change[1:])
        change[::width] = True
        starts, ends, values = _runs(flat, change)
        row = starts // width
        if not len(starts):
            return
        self.voxels += int((ends - starts).sum()) + len(starts)
        starts -= row * width
        ends -= row * width
        row = numbers.take(row)
        codes = self._codes(values)
        planes, lines, columns = (some.reshape(-1) for some in self.seen)
        plane = row // self.shape[1]
        row -= plane * self.shape[1]
        planes[codes * self.shape[0] + plane] = True
        lines[codes * self.shape[1] + row] = True
        codes *= self.shape[2]
        columns[codes + starts] = True
        columns[codes + ends] = True

    def _codes(self, values: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Return a small number for each value, the same for equal ones; new ones get the next."""
        import numpy as np

        if values.itemsize == 1:
            return values.view(np.uint8).astype(np.int64)
        unique, inverse = np.unique(values, return_inverse=True)
        for value in unique.tolist():
            self.codes.setdefault(value, len(self.codes))
        if len(self.codes) > len(self.seen[0]):
            more = 2 * len(self.codes)
            self.seen = [np.concatenate([some, np.zeros((more, some.shape[1]), np.bool_)]) for some in self.seen]
        codes: NDArray[np.int64] = np.array([self.codes[value] for value in unique.tolist()], dtype=np.int64)[inverse]
        return codes

    def boxes(self) -> list[tuple[int, Box]]:
        """Return every value that was seen with its box."""
        import numpy as np

        codes = np.flatnonzero(self.seen[0].any(axis=1))
        known = list(self.codes)
        single = self.dtype.itemsize == 1
        values = codes.astype(np.uint8).view(self.dtype).tolist() if single else [known[code] for code in codes]
        sides = []
        for some in self.seen:
            used = some[codes]
            first, behind = used.argmax(axis=1).tolist(), used[:, ::-1].argmax(axis=1).tolist()
            sides.append([slice(start, used.shape[1] - stop) for start, stop in zip(first, behind, strict=True)])
        return list(zip(values, zip(*sides, strict=True), strict=True))


def _with_foreground(rows: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Return which rows have an element other than 0; eight bytes at a time where they line up."""
    import numpy as np

    words = rows.view(np.uint64) if rows.shape[1] * rows.itemsize % 8 == 0 else rows
    found: NDArray[np.int64] = np.flatnonzero(np.bitwise_or.reduce(words, axis=1))
    return found


def _runs(
    flat: NDArray[np.integer[Any]], change: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.integer[Any]]]:
    """Return the first and the last position and the value of every run of one value other than 0.

    Args:
        flat: values.
        change: where a run begins; the first element of a row is one.
    """
    starts = change.nonzero()[0]
    values = flat.take(starts)
    used = values.nonzero()[0]
    ends = starts.take(used + 1, mode="clip") - 1  # where another run begins
    if len(used) and used[-1] == len(starts) - 1:
        ends[-1] = flat.size - 1
    return starts.take(used), ends, values.take(used)
