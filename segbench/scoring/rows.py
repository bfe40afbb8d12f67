"""Outcomes -> rows of ``scores.parquet``: the one place where rows of label maps are made, whoever predicted them."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from segbench.score_table import scores_table
from segbench.scoring.metrics import version_of

if TYPE_CHECKING:
    import pyarrow as pa

    from segbench.contracts import Metric
    from segbench.scoring.cases import Outcome
    from segbench.scoring.pairs import Pair

ROWS_AT_ONCE = 50_000
LONGEST_REASON = 300
"""Characters of why a score failed that each of its rows keeps; the record has all of them."""


@dataclass(frozen=True)
class Design:
    """What all rows of one prediction have in common; the columns of ``score_table.Row`` of the same names."""

    run_id: str
    dataset: str
    dataset_revision: str
    method: str
    network: str = ""
    arm: str = "method"
    seed: int = 0
    fold: int = 0
    source: str = "trained"
    synthetic: bool = False
    supervision: str = ""
    variant: str = ""
    decision: str = ""
    build: str = ""
    fault: str = ""


_IN_PIXELS = {"mm": ("px", 1.0), "mm2": ("px2", 1.0), "mm3": ("px3", 1.0), "mL": ("px3", 1000.0)}
"""Unit of a metric on a grid of millimetres -> on a grid of pixels, and what values are multiplied by."""


def on_grid(unit: str, value: float | None, length: str, *, flat: bool) -> tuple[str, float | None]:
    """Return unit and value of a metric on a grid whose lengths are in ``length``.

    On pixels mm is px and mL is px3, or px2 for one slice, whose depth is one pixel.

    Args:
        unit: of the metric, on a grid of millimetres.
        value: as the metric computed it from sides of 1.
        length: "mm" or "px".
        flat: whether the grid is one slice.
    """
    if length != "px" or unit not in _IN_PIXELS:
        return unit, value
    there, factor = _IN_PIXELS[unit]
    return "px2" if flat and there == "px3" else there, None if value is None else value * factor


def _in_brief(reason: str) -> str:
    """Return a reason as one line that is not too long for every row of a case."""
    return textwrap.shorten(reason, LONGEST_REASON, placeholder=" ...")


def _most_common_grid(outcomes: Sequence[Outcome]) -> tuple[str, bool]:
    """Return unit and flatness for cases whose reference could not be read: those of the others."""
    counts = Counter((outcome.unit, outcome.flat) for outcome in outcomes if outcome.unit)
    return counts.most_common(1)[0][0] if counts else ("mm", False)


def rows_of(design: Design, pairs: Sequence[Pair], outcomes: Sequence[Outcome], metrics: Sequence[Metric]) -> pa.Table:
    """Return the rows of all cases, in the order of cases, metrics and structures.

    Args:
        design: what the rows have in common.
        pairs: the cases.
        outcomes: of each pair.
        metrics: those the outcomes speak of by position.
    """
    import pyarrow as pa

    fixed = asdict(design)
    kinds: list[dict[str, Any]] = [
        {
            **{"metric": one.name, "metric_version": version_of(one), "unit": one.unit, "better": one.better},
            **{"family": one.family, "preference": one.preference},
        }
        for one in metrics
    ]
    tables, rows = [], []
    usual = _most_common_grid(outcomes)
    for pair, outcome in zip(pairs, outcomes, strict=True):
        case = {**fixed, "case_id": pair.case, "group": pair.group, "rater": pair.rater, "truth": outcome.truth}
        length, flat = (outcome.unit, outcome.flat) if outcome.unit else usual
        case |= {} if pair.fold is None else {"fold": pair.fold}
        why = {one.metric: _in_brief(one.what) for one in outcome.problems if one.kind == "failed"}
        for metric, structure, label, value, status in outcome.scores:
            unit, value = on_grid(kinds[metric]["unit"], value, length, flat=flat)
            score = {"label": label, "label_name": structure, "value": value, "status": status}
            if status == "failed":
                score["reason"] = why.get(kinds[metric]["metric"]) or why.get("") or _in_brief(pair.fault)
            rows.append({**case, **kinds[metric], "unit": unit, **score})
        if len(rows) >= ROWS_AT_ONCE:
            tables.append(scores_table(rows))
            rows = []
    tables.append(scores_table(rows))
    return pa.concat_tables(tables).unify_dictionaries() if len(tables) > 1 else tables[0]
