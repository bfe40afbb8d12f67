"""A ranked grid -> its board: places, tasks, summaries, groups, and how firm the order is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from segbench.ranking.boards import Board, Entry, Place, Request, SeedStanding, Standing, TaskBoard
from segbench.ranking.chunks import Scores
from segbench.ranking.effects import effects_of
from segbench.ranking.entrants import ENTRANT, Names
from segbench.ranking.facts import Facts, facts_of, tasks_by
from segbench.ranking.grid import Grid, combinations
from segbench.ranking.grouping import attainable_notes, can_tell, groups_of, smallest_adjusted_p
from segbench.ranking.identical import identical_groups
from segbench.ranking.pairwise import ALPHA, STRICTER, Family, Pairwise
from segbench.ranking.patients import count
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
from segbench.ranking.significance import smallest_p


def board_of(item: Ranked, scores: Scores, names: Names, request: Request, family: Family | None = None) -> Board:
    """Return the board of a ranked grid.

    Args:
        item: the grid, ranked.
        scores: what it was counted from, to count again by seed and by policy.
        names: of the competitors.
        request: see ``boards.Request``.
        family: whose methods are judged together; by default those of the grid.
    """
    grid = item.grid
    family = family or Family(grid, len(grid.competitors))
    facts = facts_of(grid, request.missing)
    views = seed_views(scores, names, item, request)
    pairs = family.by_metric(item.headline, request)
    others, taus = agreement(item, request)
    alike = identical_groups(scores, names, grid)
    places, firm = firm_places(grid.competitors, item.mean_rank, item.resampled)
    order = [place.method for place in places]
    groups = groups_of(pairs.values(), order)
    units = {measure.metric: measure.unit for measure in grid.measures}
    return Board(
        dataset=grid.dataset,
        revision=grid.revision,
        synthetic=grid.synthetic,
        cases=len(grid.cases),
        patients=count(grid.patients),
        labels=tuple(sorted({measure.label for measure in grid.measures})),
        metrics={m.metric: m for m in sorted(grid.measures, key=lambda m: m.metric not in item.headline)},
        entries=_entries(item, places, facts, views, groups, _runs_of(scores, names)),
        tasks=_tasks(item, facts, views, request, family),
        notes=(
            *(one.sentence for one in alike),
            *grid.notes,
            *_changed_metrics(grid),
            *_attainable(grid, request, family),
            *([family.note] if family.note else []),
            *_unlettered(pairs.values(), groups),
        ),
        agreement=others,
        headline=item.headline,
        taus=taus,
        policies=policies(scores, names, item, request),
        seeds=len(views),
        stability=firm,
        identical=alike,
        effects=effects_of(pairs, units, names, order, alike),
        pairs=pairs,
    )


def _unlettered(pairs: Iterable[Pairwise], groups: Mapping[str, str]) -> list[str]:
    """Say why there are no letters though differences can be significant."""
    if any(groups.values()) or not any(can_tell(one) for one in pairs):
        return []
    return ["Too many methods, cases or groups for letters: segbench compare says who can be told apart."]


def _changed_metrics(grid: Grid) -> list[str]:
    """Say which metrics have other parameters than their defaults; their versions name them."""
    changed = sorted({f"{one.metric} ({one.version})" for one in grid.measures if "=" in one.version})
    return [f"Metrics with other parameters than their defaults: {', '.join(changed)}."] if changed else []


def _attainable(grid: Grid, request: Request, family: Family) -> list[str]:
    """Return the notices about tests that cannot be significant, by number of patients."""
    sizes: dict[int, list[str]] = {}
    for measure, n in zip(grid.measures, _patients(grid), strict=True):
        sizes.setdefault(n, []).append(f"{measure.metric} of {measure.label}")
    noun = "case" if count(grid.patients) == len(grid.cases) else "patient"
    single = request.scheme == "test-then-rank" and request.adjustment == "none"
    level = ALPHA if single or max(family.grid.seeds, default=1) > 1 else ALPHA / STRICTER
    return attainable_notes(sizes, family.methods, noun, level, adjusted=not single)


def _patients(grid: Grid) -> list[int]:
    """Return how many patients each measure was scored on ``(T,)``."""
    scored = grid.scored()
    whole, everyone = np.asarray(scored.all(axis=1)), count(grid.patients)
    return [everyone if full else count(grid.patients[row]) for full, row in zip(whole, scored, strict=True)]


def _entries(
    item: Ranked,
    places: Sequence[Place],
    facts: Facts,
    views: list[SeedView],
    groups: dict[str, str],
    runs: dict[str, tuple[str, ...]],
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
        counts = (grid.seeds[k], int(facts.missed[k]))
        entries.append(Entry(place, *counts, summaries, groups[place.method], seeds, own, runs[place.method]))
    return tuple(entries)


def _runs_of(scores: Scores, names: Names) -> dict[str, tuple[str, ...]]:
    """Return competitor -> its runs."""
    found: dict[str, set[str]] = {}
    for run, *key in combinations(scores, ("run_id", *ENTRANT)):
        found.setdefault(names[tuple(key)], set()).add(str(run))
    return {name: tuple(sorted(runs)) for name, runs in found.items()}


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


def _tasks(
    item: Ranked, facts: Facts, views: list[SeedView], request: Request, family: Family
) -> tuple[TaskBoard, ...]:
    """Return the standings of every task."""
    grid, names, cases = item.grid, item.grid.competitors, facts.cases
    missing, summaries = facts.missing, facts.summaries
    lettered = tests_are_cheap(family.grid, request)
    by_seed = _standings_by_seed(views)
    patients = _patients(grid)
    smallest = {
        n: (smallest_p(n), smallest_adjusted_p(n, family.methods) if family.methods > 1 else None)
        for n in set(patients)
    }
    boards = []
    for t, measure in enumerate(grid.measures):
        rank, total, gone, n = item.ranks[t].tolist(), item.aggregates[t].tolist(), missing[t].tolist(), int(cases[t])
        order = sorted(range(len(names)), key=lambda k: (rank[k], names[k]))
        pairs = family.by_task(measure.label, measure.metric, request) if lettered else None
        groups = groups_of([pairs] if pairs else [], [names[k] for k in order])
        rows = [
            Standing(
                *(names[k], total[k], rank[k], n, gone[k], summaries[t][k], groups[names[k]]),
                by_seed=tuple(by_seed.get((measure.label, measure.metric, names[k]), ())),
            )
            for k in order
        ]
        boards.append(TaskBoard(measure, tuple(rows), *smallest[patients[t]], headline=measure.metric in item.headline))
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
