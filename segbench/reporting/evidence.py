"""What one metric says of the methods of a board: values per case, ranks, tests, bootstrap; numbers only.

Everything is per metric: labels are averaged within a case first, so that a case is one observation. The board's own
order, over all metrics and labels, is that of ``ranking.leaderboard``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segbench.ranking.boards import Request
from segbench.ranking.bootstrap import Stability, bootstrap_scores, draw, stability
from segbench.ranking.friedman import Friedman, critical_difference, friedman, groups
from segbench.ranking.grid import Grid
from segbench.ranking.robustness import mean_over_cases, shown_values
from segbench.ranking.schemes import Missing, case_ranks, rank_aggregates, rank_task
from segbench.ranking.significance import pairwise_p, wins
from segbench.types import WHOLE

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Contest:
    """How methods compare in one metric; K methods in the order of the grid, n cases.

    Attributes:
        friedman: mean ranks over cases and the test that all rank alike.
        difference: Nemenyi's critical difference of mean ranks at 5 %.
        groups: methods (indices) that this difference does not tell apart, best first.
        better: ``(K, K)`` whether i is significantly better than j (signed rank test, Holm, 5 %).
        frequency: ``(K, K)`` share of cases in which method i has rank j + 1 (ties have the smallest rank).
        ranks: ``(K,)`` the metric's own ranking under the scheme.
        stability: of this ranking under resampling of cases; None without a bootstrap.
    """

    friedman: Friedman
    difference: float
    groups: list[tuple[int, ...]]
    better: NDArray[np.bool_]
    frequency: Floats
    ranks: Floats
    stability: Stability | None


@dataclass(frozen=True)
class MetricEvidence:
    """One metric of one board; L labels, n cases, K methods in the order of the grid.

    Attributes:
        metric, unit: its name; direction: +1 if higher is better, else -1.
        labels: the L labels it speaks of.
        values: ``(L, n, K)`` as boards show them: a missing overlap is 0, an undefined distance NaN.
        per_case: ``(n, K)`` their mean over labels.
        contest: None for a single method or a single case.
    """

    metric: str
    unit: str
    direction: int
    labels: tuple[str, ...]
    values: Floats
    per_case: Floats
    contest: Contest | None

    @property
    def whole_map(self) -> bool:
        """Whether the metric speaks of whole label maps only."""
        return self.labels == (WHOLE.name,)


def gather_evidence(grid: Grid, request: Request, first: Sequence[str] = ()) -> list[MetricEvidence]:
    """Return the evidence of every metric of a grid: those of ``first``, then the others by name.

    Args:
        grid: values of one board.
        request: says how missing values are dealt with, how a task is ranked and how often cases are drawn again.
        first: metrics to begin with; those that the grid lacks are passed over.
    """
    known = sorted({measure.metric for measure in grid.measures})
    ordered = dict.fromkeys([name for name in first if name in known] + known)
    drawn = draw(len(grid.cases), request.bootstrap, np.random.default_rng(request.seed)) if request.bootstrap else None
    shown, tested = shown_values(grid, request.missing), _tested(grid, request)
    return [_evidence(grid, name, shown, tested, request, drawn) for name in ordered]


def _tested(grid: Grid, request: Request) -> Floats:
    """Return the values ``(T, n, K)`` that are ranked and tested: what is missing counts as worst, or as asked for."""
    if request.missing == "drop":
        return grid.observed()
    values = grid.values("worst" if request.missing is None else request.missing)
    worth = np.array([grid.penalty(t) for t in range(len(grid.measures))])[:, None, None]
    return np.where(np.isnan(values) & grid.scored()[:, :, None], worth, values)


def _evidence(
    grid: Grid, metric: str, shown: Floats, tested: Floats, request: Request, drawn: NDArray[np.intp] | None
) -> MetricEvidence:
    its = [t for t, measure in enumerate(grid.measures) if measure.metric == metric]
    measure = grid.measures[its[0]]
    cases = mean_over_cases(tested[its], axis=0)
    kept = ~np.isnan(cases).all(axis=1)  # some cases may not have been scored for this metric
    contest = None
    if len(grid.competitors) > 1 and kept.sum() > 1:
        contest = _contest(cases[kept], measure.direction, request, drawn if kept.all() else None)
    labels = tuple(grid.measures[t].label for t in its)
    per_case = mean_over_cases(shown[its], axis=0)
    return MetricEvidence(metric, measure.unit, measure.direction, labels, shown[its], per_case, contest)


def _contest(tested: Floats, direction: int, request: Request, drawn: NDArray[np.intp] | None) -> Contest:
    n, K = tested.shape
    rule: Missing = "drop" if np.isnan(tested).any() else None
    ties = request.ties or "average"
    overall = friedman(tested, direction)
    difference = critical_difference(n, K)
    ranking = rank_task(tested, direction, request.scheme, rule, ties, request.adjustment, request.decimals)
    way = {"r": -1, "t": 1}.get(request.scheme[0], direction)
    full = rank_aggregates(ranking.aggregate, way, "min")
    firm = None
    if drawn is not None:
        arguments = (request.scheme, drawn, rule, ties, request.adjustment)
        scores, way = bootstrap_scores(tested, direction, *arguments, decimals=request.decimals)
        firm = stability(rank_aggregates(scores, way, "min"), full)
    places = case_ranks(tested, direction, None, "min")
    frequency = np.stack([(places == rank + 1).mean(axis=0) for rank in range(K)], axis=1)
    better = wins(pairwise_p(tested, direction, decimals=request.decimals), method="holm")[0]
    return Contest(overall, difference, groups(overall.mean_rank, difference), better, frequency, full, firm)


def accuracy(evidence: Sequence[MetricEvidence]) -> MetricEvidence:
    """Return the metric that stands for accuracy: the first of structures of which more is better, else the first."""
    return next((one for one in evidence if one.direction > 0 and not one.whole_map), evidence[0])
