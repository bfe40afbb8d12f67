"""What one metric says of the methods of a board: values per case, ranks, tests, bootstrap; numbers only.

Everything is per metric: labels are averaged within a case first, and tests are over patients, each the mean of its
scans. Who is better than whom is what the board's letters and ``compare`` say (see ``ranking.pairwise``). The board's
own order, over all metrics and labels, is that of ``ranking.leaderboard``.
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
from segbench.ranking.grouping import cases_needed, smallest_adjusted_p
from segbench.ranking.pairwise import FEWEST, Family, Pairwise
from segbench.ranking.patients import cases_of, count, means_of
from segbench.ranking.robustness import mean_over_cases, shown_values
from segbench.ranking.schemes import Missing, case_ranks, rank_aggregates, rank_task
from segbench.types import WHOLE

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Contest:
    """How methods compare in one metric; K methods in the order of the grid, n cases.

    Attributes:
        friedman: mean ranks over patients and the test that all rank alike.
        difference: Nemenyi's critical difference of mean ranks at 5 %.
        groups: methods (indices) that this difference does not tell apart, best first.
        pairs: who can be told apart.
        frequency: ``(K, K)`` share of cases in which method i has rank j + 1 (ties have the smallest rank).
        ranks: ``(K,)`` the metric's own ranking under the scheme.
        stability: of this ranking under resampling of patients; None without a bootstrap.
    """

    friedman: Friedman
    difference: float
    groups: list[tuple[int, ...]]
    pairs: Pairwise
    frequency: Floats
    ranks: Floats
    stability: Stability | None

    @property
    def better(self) -> NDArray[np.bool_]:
        """Whether i can be claimed to be better than j ``(K, K)``."""
        return self.pairs.better()

    @property
    def unit(self) -> str:
        """What is drawn and tested: "case" where every patient has one, else "patient"."""
        return "case" if self.pairs.size == len(self.pairs.patients) else "patient"

    @property
    def decides(self) -> bool:
        """Whether patients are enough for any difference to be significant; if not no test is shown, of any kind."""
        pairs = self.pairs
        return pairs.tested and smallest_adjusted_p(pairs.size, pairs.methods) <= pairs.level()

    @property
    def why_nobody_is_better(self) -> str:
        """Why no method can be called better than another; "" if one can."""
        pairs, unit, level = self.pairs, self.unit, self.pairs.level()
        if not pairs.tested:
            return f"Fewer than {FEWEST} {unit}s: nothing is tested."
        if self.better.any():
            return ""
        if not self.decides:
            least = smallest_adjusted_p(pairs.size, pairs.methods)
            return (
                f"No difference can be significant, so no test is shown: the smallest p that {pairs.size} {unit}s can "
                f"give for {pairs.methods} methods is {least:.2g}, and {level:g} must be reached; "
                f"{cases_needed(pairs.methods, level)} {unit}s are needed."
            )
        return (
            f"No method is significantly better than another, so there is no map: the smallest p after Holm is "
            f"{pairs.adjusted.min():.2g}, and {level:g} must be reached."
        )


@dataclass(frozen=True)
class MetricEvidence:
    """One metric of one board; L labels, n cases, K methods in the order of the grid.

    Attributes:
        metric, unit: its name; direction: +1 if higher is better, else -1.
        labels: the L labels it speaks of.
        values: ``(L, n, K)`` as boards show them: a missing overlap is 0, an undefined distance NaN.
        per_case: ``(n, K)`` their mean over labels.
        contest: None for a single method or a single patient.
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
    drawn = None
    if request.bootstrap:
        drawn = draw(count(grid.patients), request.bootstrap, np.random.default_rng(request.seed))
    shown, tested = shown_values(grid, request.missing), _tested(grid, request)
    found = Family(grid, len(grid.competitors)).by_metric(list(ordered), request)
    return [_evidence(grid, name, shown, tested, found[name], request, drawn) for name in ordered]


def _tested(grid: Grid, request: Request) -> Floats:
    """Return the values ``(T, n, K)`` that are ranked: what is missing counts as worst, or as asked for."""
    if request.missing == "drop":
        return grid.observed()
    values = grid.values("worst" if request.missing is None else request.missing)
    return np.where(np.isnan(values) & grid.scored()[:, :, None], grid.penalties, values)


def _evidence(
    grid: Grid,
    metric: str,
    shown: Floats,
    tested: Floats,
    pairs: Pairwise,
    request: Request,
    drawn: NDArray[np.intp] | None,
) -> MetricEvidence:
    its = [t for t, measure in enumerate(grid.measures) if measure.metric == metric]
    measure = grid.measures[its[0]]
    cases = mean_over_cases(tested[its], axis=0)
    kept = ~np.isnan(cases).all(axis=1)  # some cases may not have been scored for this metric
    contest = None
    if pairs.methods > 1 and pairs.size > 1:
        patients = grid.patients[kept]
        contest = _contest(cases[kept], patients, pairs, request, drawn if kept.all() else None)
    labels = tuple(grid.measures[t].label for t in its)
    per_case = mean_over_cases(shown[its], axis=0)
    return MetricEvidence(metric, measure.unit, measure.direction, labels, shown[its], per_case, contest)


def _contest(
    tested: Floats, patients: NDArray[np.intp], pairs: Pairwise, request: Request, drawn: NDArray[np.intp] | None
) -> Contest:
    K, direction = pairs.methods, pairs.direction
    of_patients = means_of(tested, patients)
    rule: Missing = "drop" if np.isnan(tested).any() else None
    ties = request.ties or "average"
    overall = friedman(of_patients, direction)
    difference = critical_difference(overall.n, K)
    if request.scheme.startswith("test"):
        tested = of_patients
    elif drawn is not None:
        drawn = cases_of(drawn, patients)
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
    return Contest(
        overall,
        difference,
        groups(overall.mean_rank, difference),
        pairs,
        frequency,
        full,
        firm,
    )


def accuracy(evidence: Sequence[MetricEvidence]) -> MetricEvidence:
    """Return the metric that stands for accuracy: the first of structures of which more is better, else the first."""
    return next((one for one in evidence if one.direction > 0 and not one.whole_map), evidence[0])
