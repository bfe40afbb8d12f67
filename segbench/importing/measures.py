"""What is known of metrics by their names, and whether the values of a table can be theirs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segbench.score_table import Row

PERCENT = 100.0
_ROUNDING = 1e-6
"""By which a share may exceed 1."""


@dataclass(frozen=True)
class Measure:
    """What is known of a metric.

    Attributes:
        name: as it is spelt.
        better: "higher" or "lower".
        unit: "" for ratios.
        family, preference: see ``Metric``.
    """

    name: str
    better: str
    unit: str = ""
    family: str = ""
    preference: int = 0

    @property
    def is_share(self) -> bool:
        """Whether values lie between 0 and 1."""
        return bool(self.family) and not self.unit and self.better == "higher"

    @property
    def is_distance(self) -> bool:
        """Whether values are at least 0, without an upper bound."""
        return self.family == "boundary" and self.better == "lower"


def measures_of(kinds: Iterable[Any]) -> dict[str, Measure]:
    """Return what classes of metrics say of themselves, by name in lower case."""
    found = (Measure(one.name, one.better, one.unit, one.family, one.preference) for one in kinds)
    return {one.name.lower(): one for one in found}


Placed = tuple[str, Row]
"""Where a row stands, and the row."""


def plausible(rows: Sequence[Placed], measures: Mapping[str, Measure]) -> tuple[list[Placed], list[str], list[str]]:
    """Return the rows with percentages as shares, faults of values that cannot be their metric's, and notes."""
    faults = [f"{where}: {fault}" for where, row in rows if (fault := _fault(row, measures.get(row.metric.lower())))]
    kept, notes = list(rows), []
    for metric in sorted({row.metric for _, row in rows if (one := measures.get(row.metric.lower())) and one.is_share}):
        mine = [(where, row) for where, row in rows if row.metric == metric and row.value is not None]
        above = [(where, row.value) for where, row in mine if row.value is not None and row.value > 1 + _ROUNDING]
        shares = [(where, row.value) for where, row in mine if row.value is not None and 0 < row.value <= 1 + _ROUNDING]
        if not above:
            continue
        most = max(value for _, value in above)
        if shares:
            (where, value), (other, share) = above[0], shares[0]
            faults.append(
                f"{where}: {metric} {value:g} beside {share:g} ({other}): expected shares from 0 to 1, or percentages "
                f"throughout. Divide percentages by 100"
            )
        elif most > PERCENT:
            where, value = next(one for one in above if one[1] > PERCENT)
            faults.append(f"{where}: {metric} {value:g}: expected a share from 0 to 1, or a percentage")
        else:
            notes.append(f"{metric}: values up to {most:g} are percentages: divided by 100.")
            kept = [(where, _hundredth(row) if row.metric == metric else row) for where, row in kept]
    return kept, faults, notes


def _hundredth(row: Row) -> Row:
    return row if row.value is None else dataclasses.replace(row, value=row.value / PERCENT)


def _fault(row: Row, known: Measure | None) -> str:
    """Return why a value cannot be one of its metric; "" if it can."""
    if known is not None and row.better != known.better:
        return (
            f"{row.metric} is better {row.better} here; the metric known by this name is better {known.better}. "
            f"Rename it, or correct the direction"
        )
    if row.value is None:
        return ""
    share, distance = (known.is_share, known.is_distance) if known else (False, False)
    if math.isinf(row.value) and (share or (row.value > 0) != (row.better == "lower")):
        worst = "inf" if row.better == "lower" else "a finite number"
        return f"{row.metric} {row.value:g}: expected a number, empty, or {worst} where it is better {row.better}"
    if (share or distance) and row.value < 0:
        return f"{row.metric} {row.value:g}: expected no value below 0"
    return ""
