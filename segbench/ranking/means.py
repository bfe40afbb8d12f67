"""The one definition of a mean: of a board's competitors, and of a single run, whoever prints it.

A case's value is the mean over its labels, of values as boards show them (see ``robustness.shown_values``): a missed
overlap counts 0, a distance that is not defined is left out and counted. The mean is that of the cases.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segbench.errors import DataInvalid
from segbench.ranking.boards import Summary
from segbench.ranking.chunks import chunks_of_table
from segbench.ranking.entrants import competitor_names
from segbench.ranking.facts import facts_of, tasks_by
from segbench.ranking.grid import COLUMNS, Floats, Grid
from segbench.ranking.holdings import board_parts, grid_of
from segbench.ranking.robustness import mean_over_cases, shown_values
from segbench.results import read_scores

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Mean:
    """What one run reached in a metric, of one structure or of all.

    Attributes:
        structure: its name, or "" for the mean over the labels of a case.
        metric, unit, better: the metric.
        mean, sd: over cases, NaN if there is none.
        median: over cases, what the mean leaves out counting as infinitely bad; NaN if there is none.
        cases: how many were scored.
        counted: how many of them have a value that the mean rests on.
        undefined: values without a number; left_out: how many of these the mean leaves out.
        statuses: how many rows have which.
    """

    structure: str
    metric: str
    unit: str
    better: str
    mean: float
    sd: float
    median: float
    cases: int
    counted: int
    undefined: int
    left_out: int
    statuses: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RunMeans:
    """The means of a run.

    Attributes:
        dataset, revision, synthetic: what was segmented.
        cases: how many.
        metrics: over the labels of a case, by name.
        structures: of each structure, by name and metric.
    """

    dataset: str
    revision: str
    synthetic: bool
    cases: int
    metrics: tuple[Mean, ...]
    structures: tuple[Mean, ...]


def means_of_run(scores: pa.Table | Path) -> RunMeans:
    """Return the means of one run: what a board shows of it that it has for itself.

    Args:
        scores: rows of ``score_table.SCHEMA``, or the folder of a run.

    Raises:
        DataInvalid: there are no rows, or rows of several methods or datasets.
        VerificationError: values that contradict each other, as on a board.
    """
    table = read_scores(scores) if isinstance(scores, Path) else scores
    rows = chunks_of_table(table, COLUMNS)
    parts, names = board_parts(rows), competitor_names(rows)
    if len(parts) != 1 or len(set(names.values())) != 1:
        where = f"{scores}: e" if isinstance(scores, Path) else "E"
        raise DataInvalid(
            f"{where}xpected the scores of one run, found {len(parts)} boards and {len(set(names.values()))} methods. "
            f"If there are none, delete the run's folder and run it again."
        )
    (division, part), *_ = parts
    grid = grid_of(part, division, names)
    facts = facts_of(grid)
    counts = _statuses(table)
    shown, counted = shown_values(grid), grid.scored()
    metrics = []
    for metric, its in tasks_by(grid, lambda measure: measure.metric).items():
        values = mean_over_cases(shown[its], axis=0)[:, 0]
        statuses: dict[str, int] = {}
        for t in its:
            for status, count in counts[grid.measures[t].label, metric].items():
                statuses[status] = statuses.get(status, 0) + count
        scored = counted[its].any(axis=0)
        metrics.append(_mean(grid, its[0], "", facts.columns[metric][0], values[scored], statuses))
    structures = [
        _mean(grid, t, one.label, summary[0], shown[t, :, 0][counted[t]], counts[one.label, one.metric])
        for t, (one, summary) in enumerate(zip(grid.measures, facts.summaries, strict=True))
    ]
    return RunMeans(grid.dataset, grid.revision, grid.synthetic, len(grid.cases), tuple(metrics), tuple(structures))


def _mean(grid: Grid, t: int, structure: str, summary: Summary, values: Floats, statuses: dict[str, int]) -> Mean:
    measure = grid.measures[t]
    ranked = np.where(np.isnan(values), -measure.direction * np.inf, values)
    return Mean(
        structure,
        measure.metric,
        measure.unit,
        "higher" if measure.direction > 0 else "lower",
        summary.mean,
        summary.sd,
        float(np.median(ranked)) if ranked.size else np.nan,
        len(values),
        int((~np.isnan(values)).sum()),
        summary.undefined,
        summary.left_out,
        statuses,
    )


def _statuses(table: pa.Table) -> dict[tuple[str, str], dict[str, int]]:
    """Return (structure, metric) -> status -> number of rows."""
    counted = table.select(["label_name", "metric", "status"]).group_by(["label_name", "metric", "status"])
    found: dict[tuple[str, str], dict[str, int]] = {}
    for row in counted.aggregate([([], "count_all")]).to_pylist():
        found.setdefault((row["label_name"], row["metric"]), {})[row["status"]] = row["count_all"]
    return found
