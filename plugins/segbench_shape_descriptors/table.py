"""Bounds without masks: a table of a few numbers per case and class, to write, to read, and to lay over a batch.

CSV with the columns ``case,class,descriptor,axis,value,unit`` and, for tables of slices, ``slice`` (its index along the
first axis). ``axis`` counts the components of a descriptor; ``unit`` is ``voxel`` or ``mm``. A class that a case lacks
has the volume 0 and no other row; numbers that are not in the table are not constrained.

Such numbers describe a case as it lies in its file. They hold for a sample only if it is the whole case (or the whole
slice), neither turned nor scaled: where each voxel of a sample comes from travels with it as a derived map, so that
padding and whole shifts are accounted for, and everything else is refused.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from segbench import DataInvalid, DataMissing, Incompatible, did_you_mean
from segbench_shape_descriptors.bounds import summarise
from segbench_shape_descriptors.descriptors import Column, columns
from segbench_shape_descriptors.expressions import DESCRIPTORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segbench import Batch, LabelMap

Place = tuple[str, int | None]
_HEADER = ("case", "class", "descriptor", "axis", "value", "unit")
_REMEDY = (
    "Numbers of a table describe whole cases as they are: set recipe.augmentation.rotation=0, scale=0, shift=0, "
    "elastic=0 (or probability=0) and flip empty, and let the network see whole cases (its patch or size), or take "
    "bounds from truths (no method.table)."
)


class Row(NamedTuple):
    """One number of a table."""

    case: str
    slice: int | None
    label: str
    column: Column
    value: float


@dataclass(frozen=True)
class Table:
    """Numbers by case, slice, class and column.

    Attributes:
        values: (case, slice or None) -> (class, column) -> number.
        sliced: whether it speaks of slices.
        physical: whether it is in mm.
    """

    values: Mapping[Place, Mapping[tuple[int, Column], float]]
    sliced: bool
    physical: bool

    def cases(self) -> set[str]:
        """Return the cases it knows."""
        return {case for case, _ in self.values}

    def numbers(self, place: Place, labels: int, layout: Sequence[Column]) -> list[list[float]]:
        """Return ``(K, C)`` numbers of a case or slice, NaN where there is none."""
        found = self.values.get(place, {})
        return [[found.get((label, column), math.nan) for column in layout] for label in range(labels)]


def learn_table(
    truths: Iterable[tuple[str, LabelMap]],
    labels: Sequence[str],
    descriptors: Sequence[str] = DESCRIPTORS[:4],
    *,
    slices: bool = False,
    physical: bool = False,
) -> list[Row]:
    """Return the numbers of every case and class, the background excluded.

    Args:
        truths: case ids and label maps ``(D, H, W)``.
        labels: label names.
        descriptors: see ``describe``.
        slices: numbers of every slice along the first axis instead of the whole case.
        physical: mm instead of voxels.
    """
    names = ("volume", *(name for name in descriptors if name != "volume"))
    rows = []
    for case, truth in truths:
        target = torch.from_numpy(np.ascontiguousarray(truth.array, dtype=np.int64))
        target = target if slices else target[None]
        spacing = truth.spacing[1:] if slices else truth.spacing
        everywhere = torch.ones(len(target), dtype=torch.bool)
        numbers = summarise(target, everywhere, len(labels), names, spacing if physical else None).tolist()
        layout = columns(names, target.ndim - 1)
        rows += [
            Row(case, index if slices else None, labels[label], column, value)
            for index, sample in enumerate(numbers)
            for label in range(1, len(labels))
            for column, value in zip(layout, sample[label], strict=True)
            if not math.isnan(value)
        ]
    return rows


def write_table(path: Path, rows: Sequence[Row], *, physical: bool = False) -> None:
    """Write rows as CSV, see the module; a ``slice`` column only where there are slices."""
    sliced = any(row.slice is not None for row in rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("case", "slice", *_HEADER[1:]) if sliced else _HEADER)
        for row in rows:
            place = (row.case, row.slice) if sliced else (row.case,)
            unit = "mm" if physical else "voxel"
            writer.writerow((*place, row.label, row.column.descriptor, row.column.axis, repr(row.value), unit))


def read_table(path: Path, labels: Sequence[str]) -> Table:
    """Read a table written by ``write_table`` or by hand (``axis`` and ``unit`` may be left out: 0 and voxel).

    Raises:
        DataMissing: if there is no such file.
        DataInvalid: if it cannot be read, lacks a column, names unknown classes or descriptors, repeats itself, or has
            a value that is no number; says in which line.
    """
    if not path.is_file():
        raise DataMissing(f"table {path}: expected a CSV file of numbers, found none. Check the path.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        reader = csv.DictReader(lines, strict=True)
        missing = {"case", "class", "descriptor", "value"} - set(reader.fieldnames or ())
        if missing:
            raise DataInvalid(f"table {path}: expected the columns {', '.join(_HEADER)}, found no {min(missing)}.")
        sliced = "slice" in (reader.fieldnames or ())
        values: dict[Place, dict[tuple[int, Column], float]] = {}
        units = set()
        for record in reader:
            place, key, value = _entry(record, labels, sliced, f"table {path}, line {reader.line_num}")
            own = values.setdefault(place, {})
            if key in own:
                raise DataInvalid(f"table {path}, line {reader.line_num}: this number was already given.")
            own[key] = value
            units.add(record.get("unit") or "voxel")
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataInvalid(f"table {path}: expected UTF-8 CSV, found {error}.") from error
    if not values or not units <= {"voxel", "mm"} or len(units) > 1:
        raise DataInvalid(f"table {path}: expected numbers of one unit, voxel or mm; found {sorted(units) or 'none'}.")
    return Table(values, sliced, units == {"mm"})


def _entry(
    record: Mapping[str, Any], labels: Sequence[str], sliced: bool, where: str
) -> tuple[Place, tuple[int, Column], float]:
    """Return what one line says: its place, class and column, and value."""
    name, descriptor = record["class"], record["descriptor"]
    if name not in labels:
        raise DataInvalid(f"{where}: no class is called {name!r}. {did_you_mean(str(name), labels)}")
    if descriptor not in DESCRIPTORS and not str(descriptor).startswith("moment_"):
        raise DataInvalid(
            f"{where}: no descriptor is called {descriptor!r}. {did_you_mean(str(descriptor), DESCRIPTORS)}"
        )
    try:
        value = float(record["value"])
        axis = int(record.get("axis") or 0)
        place = int(record["slice"]) if sliced else None
    except (TypeError, ValueError) as error:
        raise DataInvalid(f"{where}: expected numbers as value, axis and slice, found {error}.") from error
    if not math.isfinite(value) or (descriptor == "volume" and value < 0):
        raise DataInvalid(f"{where}: expected a finite value (a volume from 0), found {record['value']}.")
    return (str(record["case"]), place), (list(labels).index(name), Column(str(descriptor), axis)), value


def origin_map(shape: Sequence[int]) -> NDArray[np.float32]:
    """Return for each voxel its index and the size of the volume along each axis, ``(6, D, H, W)``.

    Cut and padded (with 0) and warped like the image, it tells where the voxels of a sample come from.
    """
    indices = np.indices(shape, dtype=np.float32)
    sizes = np.broadcast_to(np.array(shape, dtype=np.float32).reshape(3, 1, 1, 1), (3, *shape))
    return np.concatenate([indices, sizes])


def place_of(origin: torch.Tensor, case: str) -> tuple[int, list[float]]:
    """Return the slice index along the first axis (0 for volumes) and where the case begins in the sample, voxels.

    Args:
        origin: of one sample, ``(6, *S)``, from ``origin_map``.
        case: its name, for messages.

    Raises:
        Incompatible: if the sample is not the whole case or slice, moved by whole voxels at most.
    """
    dims = origin.ndim - 1
    inside = origin[3] > 0
    if not inside.any():
        return 0, [0.0] * dims
    index, sizes = origin[:3, inside], origin[3:, inside][:, 0].tolist()
    starts = []
    for axis, places in enumerate(inside.nonzero().T):
        shift = places - index[3 - dims + axis]
        if float(shift.max() - shift.min()) > 1e-2:
            raise Incompatible(
                f"Case {case} was turned, scaled, flipped or cut along axis {3 - dims + axis}. {_REMEDY}"
            )
        starts.append(float(shift.mean()))
    if int(inside.sum()) != round(math.prod(sizes[3 - dims :])):
        raise Incompatible(f"Case {case} is not seen as a whole. {_REMEDY}")
    if dims == 3:
        return 0, starts
    if float(index[0].max() - index[0].min()) > 1e-2:
        raise Incompatible("Tables of slices speak of slices along the first axis; set network.axis=0.")
    return round(float(index[0, 0])), starts


def table_numbers(table: Table, batch: Batch, labels: int, layout: Sequence[Column]) -> torch.Tensor:
    """Return the numbers ``(B, K, C)`` of a batch, centroids moved to where each case lies in its sample.

    Args:
        table: numbers.
        batch: with ``derived["origin"]`` from ``origin_map``; its target is not looked at.
        labels: K.
        layout: columns of the result.
    """
    origins, spacings = batch.derived["origin"].cpu(), batch.spacing.tolist()
    numbers = []
    for case, origin, spacing, labelled in zip(batch.case_ids, origins, spacings, batch.labelled.tolist(), strict=True):
        index, starts = place_of(origin, case) if labelled else (0, [0.0] * len(spacing))
        known = table.numbers((case, index if table.sliced else None), labels, layout) if labelled else None
        sample = torch.tensor(known or [[math.nan] * len(layout)] * labels, dtype=torch.float64)
        for position, column in enumerate(layout):
            if column.descriptor == "centroid":
                step = spacing[column.axis] if table.physical else 1.0
                sample[:, position] += starts[column.axis] * step
        numbers.append(sample)
    return torch.stack(numbers).to(batch.image.device)
