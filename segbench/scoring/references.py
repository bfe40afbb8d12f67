"""References and predictions of a case read from their files: what of a reference counts, and which values it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segbench.boxes import Box, foreground_box, memory_order, values_of
from segbench.errors import DataInvalid, SegbenchError
from segbench.files.colours import Colour
from segbench.files.images import read_label_map
from segbench.names import first_few
from segbench.scoring.layers import Overlaps, read_layers
from segbench.scoring.pairs import Pair
from segbench.scoring.probabilities import decided
from segbench.scoring.setting import Setting
from segbench.types import UNKNOWN, LabelMap

KEPT = 1 << 28
"""Bytes of references that are kept between looking for labels and scoring; others are read twice."""


@dataclass(frozen=True)
class Reference:
    """A reference as it counts: ``UNKNOWN`` where its ignore label is, no other negative value.

    Attributes:
        labels: what is scored against.
        read: as it was read.
        ignore: label of voxels that do not count, or None.
        counted: values that occur, negative ones included.
        left_out: voxels with the ignore label.
        negative: negative values that became background.
        strays: number of their voxels.
    """

    labels: LabelMap
    read: LabelMap
    ignore: int | None
    counted: frozenset[int]
    left_out: int = 0
    negative: tuple[int, ...] = ()
    strays: int = 0

    @property
    def said(self) -> str:
        """Return in words what became background, "" if nothing did."""
        if not self.negative:
            return ""
        advice = f" If they must not count, say --ignore-label {self.negative[0]}." if self.ignore is None else ""
        return (
            f"{self.strays} voxels of the reference have negative values ({first_few(list(self.negative), 8)}), which "
            f"are no labels; they count as background.{advice}"
        )


def counted(read: LabelMap, ignore: int | None) -> Reference:
    """Return a reference as it counts: only the ignore label is left out, other negative values are background.

    Args:
        read: as it was read.
        ignore: label of voxels that do not count; ``UNKNOWN`` of a dataset's truths, whose -1 is no file's.
    """
    array, values = read.array, values_in(read)
    left_out = int(np.count_nonzero(array == ignore)) if ignore in values else 0
    negative = tuple(sorted(value for value in values if value < 0 and value != ignore))
    strays = int(np.count_nonzero((array < 0) & (array != ignore))) if negative else 0
    labels = read
    if negative or (left_out and ignore != UNKNOWN):
        wide = array.astype(np.promote_types(array.dtype, np.int8))
        wide[(array < 0) & (array != ignore)] = 0
        if ignore is not None:
            wide[array == ignore] = UNKNOWN
        labels = replace(read.with_array(wide), names=read.names, cropped=read.cropped)
    return Reference(labels, read, ignore, frozenset(values), left_out, negative, strays)


def read_reference(pair: Pair, setting: Setting, overlaps: Overlaps) -> Reference:
    """Read the reference of a case from its file, its layers or its dataset."""
    if pair.truth_layers:
        return counted(read_layers(pair.truth_layers, setting.layers, overlaps, "reference"), setting.ignore)
    if pair.ref is None:
        kept = _kept.pop(pair.truth, None)
        return counted(_read(pair.truth, "reference", setting) if kept is None else kept.whole(), setting.ignore)
    truth = setting.dataset.load_truth(pair.ref) if setting.dataset is not None else None
    if truth is None:
        raise DataInvalid(f"test case {pair.case} has no truth to score against.")
    return counted(truth, UNKNOWN)


def read_prediction(pair: Pair, setting: Setting, truth: LabelMap, overlaps: Overlaps) -> LabelMap:
    """Read the prediction of a case, or decide it from its probabilities."""
    assert pair.predicted is not None
    if pair.predicted_layers:
        return read_layers(pair.predicted_layers, setting.layers, overlaps, "prediction")
    if pair.probabilities is None or setting.deciding is None:
        return _read(pair.predicted, "prediction", setting, truth)
    beside = None if pair.probabilities == pair.predicted else _read(pair.predicted, "prediction", setting, truth)
    return decided(pair.probabilities, beside or truth, setting.deciding, beside)


def _read(path: Path, role: str, setting: Setting, like: LabelMap | None = None) -> LabelMap:
    try:
        return read_label_map(path, like, setting.colours, one_hot=setting.one_hot)
    except SegbenchError as error:
        raise type(error)(f"{role} {error}") from error
    except OSError as error:
        raise SegbenchError(f"{role} {path}: cannot be read ({error.strerror or error}).") from error


def values_in(labels: LabelMap | NDArray[np.integer[Any]]) -> set[int]:
    """Return the values that occur in a label map or in an integer array of up to three axes.

    Args:
        labels: of a label map it is looked up once, and what was found serves its metrics too.
    """
    return set(values_of(labels if isinstance(labels, LabelMap) else LabelMap(labels, ())))


def values_in_file(
    path: Path, colours: Mapping[Colour, int] | None = None, *, one_hot: bool = False, keep: bool = False
) -> set[int]:
    """Return the values of a label map file, or nothing if it cannot be read (scoring will say why).

    Args:
        path, colours, one_hot: see ``read_label_map``; as in the setting of the scoring.
        keep: whether the map is kept for ``read_reference`` in this process, until ``forget``.
    """
    try:
        labels = read_label_map(path, None, colours, one_hot=one_hot)
    except (SegbenchError, OSError, MemoryError):
        return set()
    if keep:
        kept = _Kept.of(labels)
        if kept.inside.array.nbytes <= KEPT - _kept_bytes[0]:
            _kept[path] = kept
            _kept_bytes[0] += kept.inside.array.nbytes
    return values_in(labels)


def forget() -> None:
    """Keep no references any longer."""
    _kept.clear()
    _kept_bytes[0] = 0


class _Kept(NamedTuple):
    """A reference that waits to be scored against, as small as it can be.

    Attributes:
        inside: what lies in the box.
        box: around every value but 0.
        shape: of the whole.
        order: its axes as they lie in memory.
    """

    inside: LabelMap
    box: Box
    shape: tuple[int, ...]
    order: list[int]

    @classmethod
    def of(cls, labels: LabelMap) -> _Kept:
        """Return what has to be kept of a label map."""
        box = foreground_box(labels)
        inside = replace(labels, array=labels.array[box].copy(order="K"))
        return cls(inside, box, labels.array.shape, memory_order(labels.array))

    def whole(self) -> LabelMap:
        """Return the label map as it was read; memory outside the box is not touched."""
        array = np.zeros([self.shape[axis] for axis in self.order], dtype=self.inside.array.dtype)
        array = array.transpose(np.argsort(self.order))
        array[self.box] = self.inside.array
        return replace(self.inside, array=array)


_kept: dict[Path, _Kept] = {}
"""References that were read to see which labels they have and wait to be scored against."""
_kept_bytes = [0]
