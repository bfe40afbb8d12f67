"""One file per structure, read as one label map; where structures overlap, each combination has a value of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench.errors import DataInvalid
from segbench.files.images import read_label_map
from segbench.names import first_few
from segbench.scoring.geometry import align
from segbench.types import LabelMap, Structure, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

Layer = tuple[str, Path]
"""A structure and the file that holds it alone."""


@dataclass
class Overlaps:
    """Values that stand for several structures at once, made as they are met.

    Attributes:
        first: the first such value; above every structure's.
        sets: the structures' values -> the value that stands for them.
    """

    first: int
    sets: dict[frozenset[int], int] = field(default_factory=dict)

    def value(self, members: frozenset[int]) -> int:
        """Return the value that stands for several."""
        return self.sets.setdefault(members, self.first + len(self.sets))

    def members(self, value: int) -> frozenset[int]:
        """Return the structures' values that a value stands for."""
        return next((members for members, own in self.sets.items() if own == value), frozenset((value,)))

    def task(self, task: Task) -> Task:
        """Return the task of one case: its structures reach into the combinations."""
        if not self.sets:
            return task
        regions = {one.name: self._reaching(one) for one in task.structures}
        names = (*task.labels, *(str(value) for value in range(len(task.labels), self.first + len(self.sets))))
        return replace(task, labels=names, regions=regions)

    def _reaching(self, structure: Structure) -> tuple[int, ...]:
        wanted = set(structure.values)
        return (*structure.values, *(value for members, value in self.sets.items() if members & wanted))


def read_layers(layers: Iterable[Layer], values: Mapping[str, int], overlaps: Overlaps, role: str) -> LabelMap:
    """Return one label map of files that hold one structure each.

    Args:
        layers: structures without a value are passed over.
        values: structure -> value.
        overlaps: receives combinations that are met.
        role: "reference" or "prediction", for messages.

    Raises:
        DataInvalid: a file that holds several values, or files that do not lie on one grid.
    """
    grid: LabelMap | None = None
    array: NDArray[np.integer[Any]] | None = None
    notes: list[str] = []
    for name, path in sorted(layers):
        if name not in values:
            continue
        found = read_label_map(path)
        notes += [f"{name}: {note}" for note in found.notes]
        if grid is None or array is None:
            grid, array = found, np.zeros(found.array.shape, dtype=np.int32)
        elif found.array.shape != array.shape or found.affine is not None:
            found = align(found, grid).predicted
        held = [value for value in np.unique(found.array).tolist() if value > 0]
        if len(held) > 1:
            raise DataInvalid(
                f"{role} {path}: expected one structure ({name}), found the values {first_few(held)}. Is it an image, "
                f"or a label map of several? Say --layout plain if each file is a case."
            )
        _add(array, found.array > 0, values[name], overlaps)
    if grid is None or array is None:
        raise DataInvalid(f"{role}: expected files of {first_few(sorted(values))}, found none of these.")
    kind = np.uint8 if int(array.max()) < 256 else np.int32
    return replace(grid.with_array(array.astype(kind)), notes=tuple(notes))


def _add(array: NDArray[np.integer[Any]], mask: NDArray[np.bool_], value: int, overlaps: Overlaps) -> None:
    taken = mask & (array > 0)
    array[mask & ~taken] = value
    if taken.any():
        there = array[taken]
        for old in np.unique(there).tolist():
            array[taken & (array == old)] = overlaps.value(overlaps.members(old) | {value})
