"""Outcomes -> rows of ``scores.parquet``: the one place where rows of label maps are made, whoever predicted them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from segbench.results import scores_table
from segbench.scoring.metrics import version_of

if TYPE_CHECKING:
    import pyarrow as pa

    from segbench.contracts import Metric
    from segbench.scoring.cases import Outcome
    from segbench.scoring.pairs import Pair

ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Design:
    """What all rows of one prediction have in common; the columns of ``results.Row`` of the same names."""

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
    kinds = [
        {
            **{"metric": one.name, "metric_version": version_of(one), "unit": one.unit, "better": one.better},
            **{"family": one.family, "preference": one.preference},
        }
        for one in metrics
    ]
    tables, rows = [], []
    for pair, outcome in zip(pairs, outcomes, strict=True):
        case = {**fixed, "case_id": pair.case, "group": pair.group, "rater": pair.rater, "truth": outcome.truth}
        case |= {} if pair.fold is None else {"fold": pair.fold}
        for metric, structure, label, value, status in outcome.scores:
            score = {"label": label, "label_name": structure, "value": value, "status": status}
            rows.append({**case, **kinds[metric], **score})
        if len(rows) >= ROWS_AT_ONCE:
            tables.append(scores_table(rows))
            rows = []
    tables.append(scores_table(rows))
    return pa.concat_tables(tables).unify_dictionaries() if len(tables) > 1 else tables[0]
