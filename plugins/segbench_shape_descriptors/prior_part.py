"""Bounds on descriptors as a prior: ``segbench prior descriptors`` and ``segbench audit``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from segbench import Audit, DataInvalid, Prior, SegbenchError, UsageError, Violation, parameter
from segbench_shape_descriptors.expressions import looks_like_rules, read_rules, rule_labels
from segbench_shape_descriptors.layout import outlined
from segbench_shape_descriptors.method import BIBTEX, SOURCE
from segbench_shape_descriptors.terms import Rule

if TYPE_CHECKING:
    from segbench import Case, LabelMap, Task
    from segbench_shape_descriptors.checking import Bound
    from segbench_shape_descriptors.table import Table

BACKGROUND = "background"
"""First label where a file names the others only."""


@dataclass
class DescriptorPrior(Prior):
    """Numbers per case and class, or rules: a table for ``method.table``, bounds for an audit.

    Attributes:
        table_: the numbers, or None where rules were read.
        rules_: the rules.
        labels_: label names, background first.
    """

    name: ClassVar[str] = "descriptors"
    summary: ClassVar[str] = "volume, centroid, spread, length of cases; bounds around them"
    source: ClassVar[str] = SOURCE
    bibtex: ClassVar[str] = BIBTEX

    descriptors: tuple[str, ...] = parameter(
        ("volume", "centroid", "spread", "length"), "what is learnt; the volume is always there"
    )
    slices: bool = parameter(False, "numbers of every slice along the first axis, for 2D networks; for learning")
    physical: bool = parameter(False, "mm instead of voxels, for learning and for rules; a table says it itself")
    margin: float = parameter(0.1, "relative margin of the bounds; for audits", low=0)
    distance_margin: float = parameter(
        0.0, "absolute margin of centroid and spread, voxels or mm; 0 = the relative one; for audits", low=0
    )

    def learn(self, task: Task, cases: Iterable[Case]) -> None:
        """Measure the truths."""
        from segbench_shape_descriptors.table import learn_table, table_of

        truths = ((case.id, case.truth) for case in cases if case.truth is not None)
        rows = learn_table(truths, task.labels, self.descriptors, slices=self.slices, physical=self.physical)
        self.table_: Table | None = table_of(rows, task.labels, physical=self.physical)
        self.rules_: tuple[Rule, ...] = ()
        self.labels_: Sequence[str] = task.labels

    def write(self, path: Path) -> None:
        """Write the table as CSV; rules are written by hand."""
        from segbench_shape_descriptors.table import rows_of, write_table

        table = self._learnt()
        if table is None:
            raise UsageError("prior descriptors: expected a table to write, found rules, which are written by hand.")
        write_table(path, rows_of(table, self.labels_), physical=table.physical)

    def recognises(self, path: Path) -> bool:
        """Say whether a file is a table by its header, or a TOML file of rules; faulty or not."""
        from segbench_shape_descriptors.table import looks_like_table

        try:
            if _of_rules(path):
                return looks_like_rules(path)
            return path.suffix.lower() == ".csv" and looks_like_table(path)
        except (SegbenchError, OSError, ValueError):
            return False

    def labels(self, path: Path) -> Sequence[str]:
        """Return the background and the classes a file speaks of."""
        from segbench_shape_descriptors.table import table_labels

        names = rule_labels(path) if _of_rules(path) else table_labels(path)
        return (BACKGROUND, *(name for name in names if name != BACKGROUND))

    def read(self, path: Path, task: Task) -> None:
        """Read a table (``.csv``) or rules (``.toml``)."""
        from segbench_shape_descriptors.table import read_table

        self.table_, self.rules_, self.labels_ = None, (), task.labels
        if _of_rules(path):
            self.rules_ = read_rules(path, task.labels)
        else:
            self.table_ = read_table(path, task.labels)

    def named(self) -> set[int]:
        """Return the values of the labels that the table or a rule names."""
        table = self._learnt()
        if table is None:
            return {term.label for rule in self.rules_ for term in rule.terms}
        return {label for numbers in table.values.values() for label, _ in numbers}

    def check(self, case_id: str | None, labels: LabelMap) -> list[Bound]:
        """Return every bound, kept or not; see ``check_table`` and ``check_rules``."""
        from segbench_shape_descriptors.checking import Margins, check_rules, check_table

        table, margins = self._learnt(), Margins(self.margin, self.distance_margin)
        if table is None:
            return list(check_rules(self.rules_, labels, margins, self.physical))
        if table.sliced and labels.array.ndim != 3:
            raise DataInvalid(f"prior descriptors: a table of slices needs volumes, found {labels.array.ndim} axes.")
        return check_table(table, labels, margins, case_id)

    def audit(self, case_id: str, labels: LabelMap, task: Task) -> Audit:
        """Say which numbers are outside: of this case if the table knows it, else of the range over its cases.

        Returns:
            ``violated_bounds`` and ``violated_share`` (of all numbers and rules); a violation for each that is
            outside, with its excess in voxels or mm, the largest shares of their bounds first. Of a class that is
            missing only the volume is named, but all its numbers count.
        """
        bounds = self.check(case_id, labels)
        outside = [bound for bound in bounds if bound.violated]
        measures = {
            "violated_bounds": float(len(outside)),
            "violated_share": len(outside) / len(bounds) if bounds else 0.0,
        }
        known = [bound for bound in outside if bound.excess is not None]
        known.sort(key=lambda bound: -(bound.excess or 0.0) / bound.scale)
        return Audit(measures, tuple(self._violation(bound, task, labels.array.shape) for bound in known))

    def _violation(self, bound: Bound, task: Task, shape: tuple[int, ...]) -> Violation:
        names = tuple(task.labels[label] for label in bound.labels)
        amount = float(bound.excess or 0.0)
        if bound.column is None:
            return Violation(f"{bound.name} does not hold", amount, "", names)
        where = "" if bound.slice is None else f" in slice {bound.slice}"
        side = "above" if bound.above else "below"
        physical = self.table_ is not None and self.table_.physical
        unit = _unit(bound.column.descriptor, shape if bound.slice is None else shape[1:], physical)
        return Violation(f"{bound.name} of {names[0]}{where} {side} its bounds", amount, unit, names)

    def _learnt(self) -> Table | None:
        if not hasattr(self, "rules_"):
            raise UsageError("prior descriptors: expected learn() or read() before, found nothing learnt.")
        return self.table_


def _of_rules(path: Path) -> bool:
    return path.suffix.lower() == ".toml"


def _unit(descriptor: str, shape: tuple[int, ...], physical: bool) -> str:
    """Return the unit of a descriptor of a label map; a volume of one slice has a perimeter."""
    if descriptor in ("elongation", "orientation") or descriptor.startswith("moment_"):
        return ""
    powers = {"volume": len(shape), "length": len(outlined(shape)) - 1}
    if not physical:
        return "pairs" if descriptor == "length" else "voxels"
    power = powers.get(descriptor, 1)
    return "mm" if power == 1 else f"mm{power}"
