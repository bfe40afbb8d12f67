"""Bounds without masks: a table of a few numbers per case and class, to learn, to write and to read.

CSV with the columns ``case,class,descriptor,axis,value,unit`` and, for tables of slices, ``slice`` (its index along the
first axis). ``axis`` counts the components of a descriptor; ``unit`` is ``voxel`` or ``mm``. A class that a case lacks
has the volume 0 and no other row; numbers that are not in the table are not constrained.

Reading and writing need no torch, so that predictions can be audited without it.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench import DataInvalid, DataMissing, did_you_mean
from segbench_shape_descriptors.layout import DESCRIPTORS, LARGEST, Column, columns, components, is_descriptor

if TYPE_CHECKING:
    from segbench import LabelMap

Place = tuple[str, int | None]
_HEADER = ("case", "class", "descriptor", "axis", "value", "unit")
_LONGEST_HEADER = 4096
_NEEDED = {"case", "class", "descriptor", "value"}
_NEVER_NEGATIVE = ("volume", "spread", "length", "elongation")


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
    import numpy as np
    import torch

    from segbench_shape_descriptors.bounds import summarise

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


def table_of(rows: Iterable[Row], labels: Sequence[str], *, physical: bool) -> Table:
    """Return what ``read_table`` would find in these rows, once they are written."""
    values: dict[Place, dict[tuple[int, Column], float]] = {}
    for row in rows:
        values.setdefault((row.case, row.slice), {})[list(labels).index(row.label), row.column] = row.value
    return Table(values, any(place is not None for _, place in values), physical)


def rows_of(table: Table, labels: Sequence[str]) -> list[Row]:
    """Return the rows of a table, its cases and slices in their order."""
    return [
        Row(case, index, labels[label], column, value)
        for (case, index), numbers in table.values.items()
        for (label, column), value in numbers.items()
    ]


def looks_like_table(path: Path) -> bool:
    """Say whether a CSV file has the columns of a table, whatever stands in them.

    Raises:
        OSError, UnicodeDecodeError: if its first line cannot be read.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline(_LONGEST_HEADER)
    return {name.strip().strip('"') for name in first.split(",")} >= _NEEDED


def table_labels(path: Path) -> tuple[str, ...]:
    """Return the classes a table speaks of, in their order.

    Raises:
        DataMissing, DataInvalid: as ``read_table``.
    """
    if not path.is_file():
        raise DataMissing(f"table {path}: expected a CSV file of numbers, found none. Check the path.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = tuple(dict.fromkeys(str(record.get("class") or "") for record in csv.DictReader(file)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataInvalid(f"table {path}: expected UTF-8 CSV, found {error}.") from error
    read_table(path, names)
    return names


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
        DataInvalid: if it cannot be read, lacks a column, names unknown classes, descriptors or axes, repeats itself,
            has a value that is no number or cannot be, or describes the shape of a class that is absent; says in
            which line.
    """
    if not path.is_file():
        raise DataMissing(f"table {path}: expected a CSV file of numbers, found none. Check the path.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        reader = csv.DictReader(lines, strict=True)
        sliced = _sliced(list(reader.fieldnames or ()), path)
        values: dict[Place, dict[tuple[int, Column], float]] = {}
        units = set()
        for record in reader:
            place, key, value = _entry(record, labels, sliced, f"table {path}, line {reader.line_num}")
            own = values.setdefault(place, {})
            if key in own:
                raise DataInvalid(f"table {path}, line {reader.line_num}: this number was already given.")
            own[key] = value
            units.add(record.get("unit") or "voxel")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataInvalid(f"table {path}: expected UTF-8 CSV, found {error}.") from error
    _check_absent(values, labels, path)
    if not values or not units <= {"voxel", "mm"} or len(units) > 1:
        raise DataInvalid(f"table {path}: expected numbers of one unit, voxel or mm; found {sorted(units) or 'none'}.")
    return Table(values, sliced, units == {"mm"})


def _sliced(header: Sequence[str], path: Path) -> bool:
    """Check the columns of a table and say whether it speaks of slices."""
    if missing := _NEEDED - set(header):
        raise DataInvalid(f"table {path}: expected the columns {', '.join(_HEADER)}, found no {min(missing)}.")
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise DataInvalid(f"table {path}: expected every column once, found {twice[0]!r} twice.")
    return "slice" in header


def _check_absent(
    values: Mapping[Place, Mapping[tuple[int, Column], float]], labels: Sequence[str], path: Path
) -> None:
    """Refuse numbers of the shape of a class that is absent."""
    for (case, index), numbers in values.items():
        for label, column in numbers:
            if column.descriptor != "volume" and numbers.get((label, Column("volume"))) == 0:
                where = case if index is None else f"{case}, slice {index}"
                raise DataInvalid(
                    f"table {path}: {labels[label]} of {where} has volume 0 and yet a {column.descriptor}. Of a class "
                    f"that is absent only the volume can be given."
                )


def _entry(
    record: Mapping[Any, Any], labels: Sequence[str], sliced: bool, where: str
) -> tuple[Place, tuple[int, Column], float]:
    """Return what one line says: its place, class and column, and value."""
    if None in record:
        raise DataInvalid(f"{where}: expected as many cells as there are columns, found more.")
    name, descriptor = record["class"], record["descriptor"]
    if name not in labels:
        raise DataInvalid(f"{where}: no class is called {name!r}. {did_you_mean(str(name), labels)}")
    if not is_descriptor(str(descriptor)):
        raise DataInvalid(
            f"{where}: no descriptor is called {descriptor!r}. {did_you_mean(str(descriptor), DESCRIPTORS)}"
        )
    try:
        value = float(record["value"])
        axis = int(record.get("axis") or 0)
        place = int(record["slice"]) if sliced else None
    except (TypeError, ValueError) as error:
        raise DataInvalid(f"{where}: expected numbers as value, axis and slice, found {error}.") from error
    if not abs(value) <= LARGEST or (descriptor in _NEVER_NEGATIVE and value < 0):
        least = " from 0" if descriptor in _NEVER_NEGATIVE else ""
        raise DataInvalid(f"{where}: expected a finite {descriptor}{least}, found {record['value']}.")
    known = max(components(str(descriptor), dims) for dims in ((2,) if sliced else (2, 3)))
    if axis not in range(known):
        raise DataInvalid(f"{where}: {descriptor} has {known} axes here, counted from 0; found axis {axis}.")
    if not str(record["case"] or "").strip() or (place is not None and place < 0):
        raise DataInvalid(
            f"{where}: expected the name of a case and a slice from 0, found {record['case']!r}, {place}."
        )
    return (str(record["case"]), place), (list(labels).index(name), Column(str(descriptor), axis)), value
