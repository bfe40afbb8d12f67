"""A ranked grid -> its board: places, tasks, summaries, groups, and how firm the order is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from segbench.ranking.boards import Board, Entry, Place, Request, SeedStanding, Standing, TaskBoard
from segbench.ranking.chunks import Scores
from segbench.ranking.entrants import Names
from segbench.ranking.facts import Facts, facts_of, tasks_by
from segbench.ranking.grid import Floats, Grid
from segbench.ranking.grouping import MeanRanks, attainable_notes, groups_of, mean_case_ranks, smallest_adjusted_p
from segbench.ranking.identical import identical_groups
from segbench.ranking.ranked import Ranked, firm_places, places_of
from segbench.ranking.robustness import (
    SeedView,
    agreement,
    mean_over_cases,
    policies,
    seed_views,
    spread,
    tests_are_cheap,
)
from segbench.ranking.schemes import case_ranks, rank_aggregates, worst_for_tests
from segbench.ranking.significance import smallest_p
from segbench.ranking.trainings import pairwise_doubt


def board_of(item: Ranked, scores: Scores, names: Names, request: Request) -> Board:
    """Return the board of a ranked grid.

    Args:
        item: the grid, ranked.
        scores: what it was counted from, to count again by seed and by policy.
        names: of the competitors.
        request: see ``boards.Request``.
    """
    grid = item.grid
    facts = facts_of(grid, request.missing)
    views = seed_views(scores, names, item, request)
    letters = _Letters(item, views, request)
    others, taus = agreement(item, request)
    alike = identical_groups(scores, names, grid)
    places, firm = firm_places(grid.competitors, item.mean_rank, item.resampled)
    return Board(
        dataset=grid.dataset,
        revision=grid.revision,
        synthetic=grid.synthetic,
        cases=len(grid.cases),
        labels=tuple(sorted({measure.label for measure in grid.measures})),
        metrics={m.metric: m for m in sorted(grid.measures, key=lambda m: m.metric not in item.headline)},
        entries=_entries(item, places, facts, views, letters.of_board()),
        tasks=_tasks(item, facts, views, letters, request),
        notes=(
            *(one.sentence for one in alike),
            *grid.notes,
            *_changed_metrics(grid),
            *_attainable(grid, facts.cases, request),
        ),
        agreement=others,
        headline=item.headline,
        taus=taus,
        policies=policies(scores, names, item, request),
        seeds=len(views),
        stability=firm,
        identical=alike,
    )


def _changed_metrics(grid: Grid) -> list[str]:
    """Say which metrics have other parameters than their defaults; their versions name them."""
    changed = sorted({f"{one.metric} ({one.version})" for one in grid.measures if "=" in one.version})
    return [f"Metrics with other parameters than their defaults: {', '.join(changed)}."] if changed else []


def _attainable(grid: Grid, cases: NDArray[np.int_], request: Request) -> list[str]:
    """Return the notices about tests that cannot be significant, by number of cases."""
    sizes: dict[int, list[str]] = {}
    for measure, n in zip(grid.measures, cases.tolist(), strict=True):
        sizes.setdefault(n, []).append(f"{measure.metric} of {measure.label}")
    single = request.scheme == "test-then-rank" and request.adjustment == "none"
    return attainable_notes(sizes, len(grid.competitors), adjusted=not single)


def _entries(
    item: Ranked, places: Sequence[Place], facts: Facts, views: list[SeedView], groups: list[str]
) -> tuple[Entry, ...]:
    grid = item.grid
    by_seed = _places_by_seed(views)
    spreads = _seed_spreads(grid, views)
    entries = []
    for place in places:
        k = grid.competitors.index(place.method)
        summaries = {metric: column[k] for metric, column in facts.columns.items()}
        seeds = tuple(by_seed.get(place.method, ()))
        own = spreads.get(place.method, {})
        entries.append(Entry(place, grid.seeds[k], int(facts.missed[k]), summaries, groups[k], seeds, own))
    return tuple(entries)


def _places_by_seed(views: list[SeedView]) -> dict[str, list[tuple[int, Place]]]:
    found: dict[str, list[tuple[int, Place]]] = {}
    for view in views:
        for place in places_of(view.ranked.grid.competitors, view.ranked.mean_rank):
            found.setdefault(place.method, []).append((view.seed, place))
    return found


def _seed_spreads(grid: Grid, views: list[SeedView]) -> dict[str, dict[str, float]]:
    """Return method -> metric -> sd over seeds of the mean over cases and labels."""
    means: dict[str, dict[str, list[float]]] = {}
    for view in views:
        for metric, its in tasks_by(view.ranked.grid, lambda measure: measure.metric).items():
            over_labels = mean_over_cases(view.means[its], axis=0)
            for method, mean in zip(view.ranked.grid.competitors, over_labels.tolist(), strict=True):
                means.setdefault(method, {}).setdefault(metric, []).append(mean)
    return {
        method: {metric: spread(numbers) for metric, numbers in of.items() if len(numbers) > 1}
        for method, of in means.items()
    }


class _Letters:
    """Letters of methods that cannot be told apart: by cases, and by the seeds where each method has several."""

    def __init__(self, item: Ranked, views: list[SeedView], request: Request) -> None:
        self.item, self.request = item, request
        self.names = item.grid.competitors
        self.means: dict[tuple[str, str] | None, dict[str, list[float]]] = {}
        for view in views:
            ranks, measures = _case_ranks(view.ranked, request), view.ranked.grid.measures
            self._count(None, mean_case_ranks(ranks, view.ranked.weights), view)
            for t, measure in enumerate(measures):
                self._count((measure.label, measure.metric), ranks[t], view)

    @cached_property
    def ranks(self) -> Floats:
        """Ranks within cases ``(T, n, K)``."""
        return _case_ranks(self.item, self.request)

    def _count(self, task: tuple[str, str] | None, ranks: Floats, view: SeedView) -> None:
        """Keep every method's mean rank by one seed."""
        found = self.means.setdefault(task, {})
        for method, mean in zip(view.ranked.grid.competitors, mean_over_cases(ranks, axis=0).tolist(), strict=True):
            found.setdefault(method, []).append(mean)

    def _doubt(self, task: tuple[str, str] | None, ranks: Floats) -> Floats:
        means = self.means.get(task, {})
        return pairwise_doubt(ranks, [means.get(name, []) for name in self.names])

    def of_board(self) -> list[str]:
        """Return the letters of the board: of the values if it is one task, else of the cases' mean ranks."""
        item = self.item
        order = np.argsort(rank_aggregates(item.mean_rank, -1, "min"), kind="stable")
        used = np.flatnonzero(item.weights)
        if used.size == 1:
            return self.of_task(int(used[0]), order)
        ranks = self._board_ranks()
        return groups_of(ranks, -1, order, self.request.decimals, self._doubt(None, ranks) if self.means else None)

    def _board_ranks(self) -> Floats:
        """Return every case's mean rank over the headline ``(n, K)``."""
        item = self.item
        if item.case_means is not None:
            return item.case_means
        if item.case_ranks is not None:
            return mean_case_ranks(item.case_ranks, item.weights)
        means = MeanRanks()
        for block, part in item.grid.blocks():
            means.add(_ranks_of(part, self.request), item.weights[block])
        result = means.result()
        return np.full((len(item.grid.cases), len(self.names)), np.nan) if result is None else result

    def of_task(self, t: int, order: NDArray[np.intp]) -> list[str]:
        """Return the letters of one task; what is missing is worse than every value, unless it is dropped."""
        grid, missing = self.item.grid, self.request.missing
        alone = grid.part(slice(t, t + 1))
        measure, scored = grid.measures[t], alone.scored()[0]
        values = alone.values("worst" if missing is None else missing)[0][scored]
        if missing != "drop":
            values = np.where(np.isnan(values), worst_for_tests(values, measure.direction), values)
        doubt = self._doubt((measure.label, measure.metric), self.ranks[t][scored]) if self.means else None
        return groups_of(values, measure.direction, order, self.request.decimals, doubt)


def _case_ranks(item: Ranked, request: Request) -> Floats:
    """Return ranks within cases ``(T, n, K)``, NaN where a case does not count; the scheme's own if it made them."""
    return _ranks_of(item.grid, request) if item.case_ranks is None else item.case_ranks


def _ranks_of(grid: Grid, request: Request) -> Floats:
    """Return ranks within cases ``(T, n, K)``, NaN where a case does not count."""
    direction = np.array([measure.direction for measure in grid.measures])[:, None, None]
    values = grid.values("worst" if request.missing is None else request.missing) * direction
    ranks = case_ranks(values, 1, "drop" if request.missing == "drop" else None, "average")
    ranks[~grid.scored()] = np.nan
    return ranks


def _tasks(
    item: Ranked, facts: Facts, views: list[SeedView], letters: _Letters, request: Request
) -> tuple[TaskBoard, ...]:
    """Return the standings of every task."""
    grid, names, cases = item.grid, item.grid.competitors, facts.cases
    missing, summaries = facts.missing, facts.summaries
    lettered = tests_are_cheap(grid, request)
    by_seed = _standings_by_seed(views)
    smallest = {
        n: (smallest_p(n), smallest_adjusted_p(n, len(names)) if len(names) > 1 else None) for n in set(cases.tolist())
    }
    boards = []
    for t, measure in enumerate(grid.measures):
        rank, total, gone, n = item.ranks[t].tolist(), item.aggregates[t].tolist(), missing[t].tolist(), int(cases[t])
        order = sorted(range(len(names)), key=lambda k: (rank[k], names[k]))
        groups = letters.of_task(t, np.array(order, dtype=np.intp)) if lettered else [""] * len(names)
        rows = [
            Standing(
                *(names[k], total[k], rank[k], n, gone[k], summaries[t][k], groups[k]),
                by_seed=tuple(by_seed.get((measure.label, measure.metric, names[k]), ())),
            )
            for k in order
        ]
        boards.append(TaskBoard(measure, tuple(rows), *smallest[n], headline=measure.metric in item.headline))
    return tuple(boards)


def _standings_by_seed(views: list[SeedView]) -> dict[tuple[str, str, str], list[SeedStanding]]:
    """Return (label, metric, method) -> its standing by each seed."""
    found: dict[tuple[str, str, str], list[SeedStanding]] = {}
    for view in views:
        for t, measure in enumerate(view.ranked.grid.measures):
            for k, method in enumerate(view.ranked.grid.competitors):
                numbers = (float(table[t, k]) for table in (view.means, view.ranked.aggregates, view.ranked.ranks))
                standing = SeedStanding(view.seed, *numbers)
                found.setdefault((measure.label, measure.metric, method), []).append(standing)
    return found
