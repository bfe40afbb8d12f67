"""Which numbers of a label map leave their bounds, and by how much; no torch for volume, centroid, spread and length.

A case that a table knows is held to its own numbers, another one to the range over all the table's cases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench import DataInvalid, LabelMap
from segbench_shape_descriptors.layout import DESCRIPTORS, Column, columns, components
from segbench_shape_descriptors.measures import Measures, measure
from segbench_shape_descriptors.terms import LEAST_DIVISOR, Rule, Term, value_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segbench_shape_descriptors.table import Table

Interval = tuple[float, float]
Intervals = dict[tuple[int, Column], Interval]
_ROUNDING = 1e-6
"""Share of a bound by which a number may exceed it: tables are written by other sums than they are checked by."""


@dataclass(frozen=True)
class Margins:
    """How far a number may be from what a table says.

    Attributes:
        relative: share of the number; absolute for components of the orientation.
        distance: absolute, for centroid and spread; 0 = the relative one.
    """

    relative: float
    distance: float = 0.0

    def interval(self, column: Column, value: float) -> Interval:
        """Return the bounds of a number."""
        reach = self.relative * (1.0 if column.descriptor == "orientation" else abs(value))
        if self.distance > 0 and column.descriptor in ("centroid", "spread"):
            reach = self.distance
        reach += _ROUNDING * max(abs(value), 1.0)
        return value - reach, value + reach


@dataclass(frozen=True)
class Bound:
    """One number against its bounds.

    Attributes:
        labels: values of the labels it concerns.
        name: of the number, for the label names to be filled in, or a rule as it is written.
        excess: how far it is outside, 0 = inside; None where it has no value since the structure is absent.
        scale: size of the bound, to compare excesses of different units.
        above: whether it is too large.
        slice: index, for tables of slices.
        column: None for rules.
    """

    labels: tuple[int, ...]
    name: str
    excess: float | None
    scale: float
    above: bool = False
    slice: int | None = None
    column: Column | None = None

    @property
    def violated(self) -> bool:
        """Whether the number is outside, or has no value."""
        return self.excess is None or self.excess > 0


def intervals(table: Table, margins: Margins, case: str | None, index: int | None = None) -> Intervals:
    """Return the bounds of a case, or of one of its slices; the range over all cases for one that is not known."""
    if case is not None and case in table.cases():
        own = table.values.get((case, index), {})
        return {key: margins.interval(key[1], value) for key, value in own.items()}
    found: Intervals = {}
    for numbers in table.values.values():
        for key, value in numbers.items():
            low, high = margins.interval(key[1], value)
            before = found.get(key, (low, high))
            found[key] = (min(low, before[0]), max(high, before[1]))
    return found


def check_table(table: Table, label_map: LabelMap, margins: Margins, case: str | None) -> list[Bound]:
    """Compare a label map with a table.

    Args:
        table: of cases, or of slices along the first axis.
        label_map: values of the table's labels; ``(D, H, W)``, or ``(H, W)`` for a table of cases in a plane.
        margins: see ``Margins``.
        case: its name; None, or one the table does not know = the range over all its cases.

    Returns:
        A ``Bound`` per number of the table. Where the table says that a class is absent, only its volume is there.
    """
    if table.sliced:
        found = []
        for index, plane in enumerate(label_map.array):
            one = LabelMap(plane, label_map.spacing[1:])
            found += _check(intervals(table, margins, case, index), one, table.physical, index)
        return found
    return _check(intervals(table, margins, case), label_map, table.physical, None)


def _check(bounds: Intervals, label_map: LabelMap, physical: bool, index: int | None) -> list[Bound]:
    numbers = Numbers(label_map, physical)
    found = []
    for (label, column), (low, high) in bounds.items():
        value = numbers.value(label, column)
        if value is None and bounds.get((label, Column("volume")), (1.0, 1.0))[0] <= 0:
            continue  # the class may be absent, and then has a volume only
        above = value is not None and value > high
        excess = None if value is None else max(low - value, value - high, 0.0)
        scale = max(abs(high if above else low), _ROUNDING)
        found.append(Bound((label,), _name(column, label_map.array.ndim), excess, scale, above, index, column))
    return found


def _name(column: Column, dims: int) -> str:
    alone = column.descriptor not in ("centroid", "spread", "orientation")
    return column.descriptor if alone else f"{column.descriptor} along axis {column.axis + 3 - dims}"


def check_rules(rules: Sequence[Rule], label_map: LabelMap, margins: Margins, physical: bool) -> Iterator[Bound]:
    """Yield each rule against a label map.

    Rules that say something else than the volume of a class which is absent, or divide by it, do not count.
    """
    numbers = Numbers(label_map, physical)
    for rule in rules:
        labels = tuple(sorted({term.label for term in rule.terms}))
        if not all(numbers.present(label) for label in rule.needed):
            continue
        left, right = (np.atleast_1d(value_of(side, numbers.term, _ratio)) for side in (rule.left, rule.right))
        excess, scale = left - right, float(np.abs(right).max())
        if rule.equal:
            reach = [high - value for value in right for _, high in [margins.interval(Column(rule.function), value)]]
            excess = np.abs(excess) - reach
        yield Bound(labels, rule.text, max(float(excess.max()), 0.0), max(scale, _ROUNDING))


def _ratio(left: Any, right: Any) -> Any:
    right = np.asarray(right, dtype=np.float64)
    return left / np.where(right < 0, np.minimum(right, -LEAST_DIVISOR), np.maximum(right, LEAST_DIVISOR))


class Numbers:
    """The numbers of a label map, each measured when it is asked for."""

    def __init__(self, label_map: LabelMap, physical: bool) -> None:
        self.label_map, self.physical = label_map, physical
        self._measures: dict[int, Measures] = {}
        self._others: dict[str, NDArray[np.float64]] = {}

    def present(self, label: int) -> bool:
        """Say whether a label has a voxel."""
        return self._measured(label).volume > 0

    def term(self, term: Term) -> Any:
        """Return a descriptor of a class as a rule names it: a number, or one per axis."""
        dims = self.label_map.array.ndim
        if term.axis is not None and term.axis >= dims:
            raise DataInvalid(f"{term.function}: expected an axis below {dims}, found {term.axis}.")
        found = [self._known(term.label, column) for column in columns([term.function], dims)]
        return np.array(found if term.axis is None else found[term.axis : term.axis + 1])

    def value(self, label: int, column: Column) -> float | None:
        """Return a number; None where the label is absent and it is not the volume."""
        known = column.descriptor == "volume" or self.present(label)
        return self._known(label, column) if known else None

    def _known(self, label: int, column: Column) -> float:
        dims = self.label_map.array.ndim
        if column.axis not in range(components(column.descriptor, dims)):
            raise DataInvalid(
                f"bounds: expected numbers of label maps with {dims} axes, found {column.descriptor}, axis "
                f"{column.axis}. A table belongs to label maps of one kind."
            )
        if column.descriptor not in DESCRIPTORS[:4]:
            return self._other(label, column)
        return float(np.atleast_1d(getattr(self._measured(label), column.descriptor))[column.axis])

    def _measured(self, label: int) -> Measures:
        if label not in self._measures:
            spacing = self.label_map.spacing if self.physical else None
            self._measures[label] = measure(self.label_map.array == label, spacing)
        return self._measures[label]

    def _other(self, label: int, column: Column) -> float:
        """Return elongation, orientation or a central moment, for which torch is needed."""
        import torch

        from segbench_shape_descriptors.descriptors import describe

        key = f"{column.descriptor}/{label}"
        if key not in self._others:
            mask = torch.from_numpy(np.asarray(self.label_map.array == label, dtype=np.float32))[None, None]
            spacing = self.label_map.spacing if self.physical else None
            self._others[key] = describe(mask, [column.descriptor], spacing)[0, 0].numpy()
        return float(self._others[key][column.axis])
