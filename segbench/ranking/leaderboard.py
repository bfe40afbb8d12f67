"""Rows -> ranked boards: one board per dataset revision, and the overall order over datasets.

Order of operations: a status gives a missing value its worth, repetitions are averaged within a case, each task
(label and metric) is ranked by the scheme, task ranks are averaged over metrics within a label, over labels within a
dataset, over datasets. Nothing here knows a plugin; any table of ``results.SCHEMA`` will do.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segbench.errors import UnknownName, did_you_mean
from segbench.ranking.boards import Agreement, Board, Entry, Leaderboard, Place, Request, Standing, Summary, TaskBoard
from segbench.ranking.bootstrap import bootstrap_aggregates, bootstrap_scores, draw, stability
from segbench.ranking.chunks import Scores, chunks_of_table
from segbench.ranking.comparability import comparable
from segbench.ranking.counting import build
from segbench.ranking.grid import COLUMNS, Floats, Grid, Measure, boards_of, common_variant, competitor_names, select
from segbench.ranking.schemes import SCHEMES, Missing, case_ranks, kendall, rank_aggregates, rank_task, worst_for_tests

if TYPE_CHECKING:
    import pyarrow as pa


_CHEAP = 1000
"""Tests of pairs that take no noticeable time."""


@dataclass
class _Ranked:
    """One grid with its aggregates and ranks (T, K), mean ranks (K,), and resampled mean ranks (B, K)."""

    grid: Grid
    aggregates: Floats
    ranks: Floats
    mean_rank: Floats
    resampled: Floats | None = None


def leaderboard(table: pa.Table, request: Request | None = None) -> Leaderboard:
    """Rank a table of ``results.SCHEMA``; see ``rank_scores``."""
    return rank_scores(chunks_of_table(table, COLUMNS), request or Request())


def rank_scores(scores: Scores, request: Request) -> Leaderboard:
    """Rank scores.

    Raises:
        UnknownName: a dataset, metric, label or run that does not occur.
        VerificationError: values that must not be compared; says which and what to do.
    """
    chosen = choose(scores, request)
    names = competitor_names(chosen)
    ranked = []
    for dataset, revision in boards_of(chosen):
        grid = build(select(chosen, dataset={dataset}, dataset_revision={revision}), names)
        ranked.append(_rank(comparable(grid, request), request))
    datasets = [item.grid.dataset for item in ranked]
    repeated = sorted({name for name in datasets if datasets.count(name) > 1})
    notes = tuple(
        f"{name} occurs in several revisions, which are never compared; choose one with --dataset {name}@REVISION."
        for name in repeated
    )
    shared = common_variant(chosen)
    notes += (f"All with {shared}.",) if shared else ()
    overall = () if repeated else _overall(ranked)
    return Leaderboard(request, tuple(_board(item, _agreement(item, request)) for item in ranked), overall, notes)


def choose(scores: Scores, request: Request) -> Scores:
    """Return the rows that were asked for.

    Raises:
        UnknownName: a dataset, metric, label or run that does not occur.
    """
    pairs = boards_of(scores)
    for column, wanted, what in (
        ("metric", request.metrics, "metric"),
        ("label_name", request.labels, "label"),
        ("run_id", request.without, "run"),
    ):
        _check_known(wanted, scores.vocabulary[column], what)
    known = [name for name, _ in pairs] + [f"{name}@{revision}" for name, revision in pairs]
    _check_known(request.datasets, known, "dataset")
    chosen = select(
        scores,
        metric=set(request.metrics) or None,
        label_name=set(request.labels) or None,
        not_run_id=set(request.without) or None,
    )
    if request.datasets:
        kept = [p for p in pairs if p[0] in request.datasets or f"{p[0]}@{p[1]}" in request.datasets]
        parts = [select(chosen, dataset={name}, dataset_revision={revision}) for name, revision in kept]
        chosen = Scores(scores.vocabulary, [chunk for part in parts for chunk in part.chunks])
    if not chosen.chunks or not sum(chunk.rows for chunk in chosen.chunks):
        raise UnknownName("The results hold no value of this combination of datasets, metrics, labels and runs.")
    return chosen


def _check_known(wanted: Sequence[str], known: Iterable[str], what: str) -> None:
    names = {str(name) for name in known}
    for name in wanted:
        if name not in names:
            raise UnknownName(f"The results have no {what} {name!r}. {did_you_mean(name, names)}")


def _fill(grid: Grid, values: Floats, t: int, request: Request) -> Missing:
    """Return what replaces the missing values of a task under the scheme."""
    if request.missing == "drop":
        return "drop"
    if request.scheme.startswith("rank") or not np.isnan(values).any():
        return None
    if request.scheme.startswith("test") and grid.measures[t].direction < 0:
        return worst_for_tests(values, -1)
    return grid.penalty(t)


def _rank(grid: Grid, request: Request) -> _Ranked:
    """Rank every task of a grid and combine the tasks."""
    values = grid.values("worst" if request.missing is None else request.missing)
    scored = grid.scored()
    schedule = _rank_then_mean if request.scheme == "rank-then-mean" else _rank_tasks
    aggregates, ways, resampled = schedule(grid, values, scored, request)
    signed = aggregates * np.array(ways)[:, None]  # large is best in every task
    mean_rank = _over_labels(rank_aggregates(signed, 1, "average"), grid.measures)
    return _Ranked(grid, aggregates, rank_aggregates(signed, 1, request.ties or "min"), mean_rank, resampled)


def _generator(grid: Grid, request: Request) -> np.random.Generator:
    """Return the generator of a dataset's draws: independent of which other datasets there are."""
    return np.random.default_rng([request.seed, zlib.crc32(f"{grid.dataset}@{grid.revision}".encode())])


def _rank_then_mean(
    grid: Grid, values: Floats, scored: NDArray[np.bool_], request: Request
) -> tuple[Floats, list[int], Floats | None]:
    """All tasks at once: aggregated ranks (T, K), their direction, and resampled mean ranks (B, K)."""
    T, n, K = values.shape
    direction = np.array([measure.direction for measure in grid.measures])[:, None, None]
    rule: Missing = "drop" if request.missing == "drop" else None
    ranks = case_ranks(values * direction, 1, rule, request.ties or "average")
    ranks[~scored] = np.nan
    gaps = np.isnan(ranks)
    with np.errstate(invalid="ignore"):
        aggregates = np.where(gaps, 0.0, ranks).sum(axis=1) / (~gaps).sum(axis=1)
    if not request.bootstrap:
        return aggregates, [-1] * T, None
    drawn = draw(n, request.bootstrap, _generator(grid, request))
    means = bootstrap_aggregates(np.moveaxis(ranks, 1, 0).reshape(n, T * K), drawn, "mean").reshape(-1, T, K)
    return aggregates, [-1] * T, _over_labels(rank_aggregates(means, -1, "average"), grid.measures)


def _rank_tasks(
    grid: Grid, values: Floats, scored: NDArray[np.bool_], request: Request
) -> tuple[Floats, list[int], Floats | None]:
    """Task by task: aggregates (T, K), their direction, and resampled mean ranks (B, K)."""
    ties = request.ties or "average"
    drawn = draw(len(grid.cases), request.bootstrap, _generator(grid, request)) if request.bootstrap else None
    aggregates = np.empty((len(grid.measures), len(grid.competitors)))
    ways, resampled = [], []
    for t, measure in enumerate(grid.measures):
        task = values[t][scored[t]]
        fill = _fill(grid, task, t, request)
        ranking = rank_task(task, measure.direction, request.scheme, fill, ties, request.adjustment, request.decimals)
        aggregates[t] = ranking.aggregate
        ways.append({"r": -1, "t": 1}.get(request.scheme[0], measure.direction))
        if drawn is None:
            continue
        everything = values[t].copy()
        if isinstance(fill, float):
            everything[np.isnan(everything) & scored[t][:, None]] = fill
        rule: Missing = None if fill is None and scored[t].all() else "drop"
        arguments = (request.scheme, drawn, rule, ties, request.adjustment)
        scores, way = bootstrap_scores(everything, measure.direction, *arguments, decimals=request.decimals)
        resampled.append(rank_aggregates(scores, way, "average"))
    return aggregates, ways, _over_labels(np.stack(resampled, axis=1), grid.measures) if resampled else None


def _over_labels(ranks: Floats, measures: tuple[Measure, ...]) -> Floats:
    """Average task ranks ``(..., T, K)`` over metrics within a label, then over labels -> ``(..., K)``."""
    count = Counter(measure.label for measure in measures)
    weights = np.array([1.0 / (count[measure.label] * len(count)) for measure in measures])
    return np.asarray(np.tensordot(ranks, weights, axes=([-2], [0])), dtype=float)


def _agreement(item: _Ranked, request: Request) -> tuple[Agreement, ...]:
    """Rank a grid by the other schemes."""
    grid = item.grid
    cheap = len(grid.measures) * len(grid.competitors) ** 2 <= _CHEAP
    if len(grid.competitors) < 2 or not (cheap if request.schemes is None else request.schemes):
        return ()
    order = rank_aggregates(item.mean_rank, -1, "min")
    result = []
    for scheme in SCHEMES:
        if scheme != request.scheme:
            other = _rank(grid, replace(request, scheme=scheme, bootstrap=0)).mean_rank
            tau = float(kendall(rank_aggregates(other, -1, "min"), order))
            result.append(Agreement(scheme, tau, _places(grid.competitors, other, None)))
    return tuple(result)


def _places(competitors: Sequence[str], mean_rank: Floats, resampled: Floats | None) -> tuple[Place, ...]:
    """Return the places in order; the intervals need resampled mean ranks (B, K)."""
    ranks = rank_aggregates(mean_rank, -1, "min")
    order = sorted(range(len(competitors)), key=lambda k: (ranks[k], competitors[k]))
    firm = None if resampled is None else stability(rank_aggregates(resampled, -1, "min"), ranks)
    return tuple(
        Place(competitors[k], float(mean_rank[k]), int(ranks[k]))
        if firm is None
        else Place(
            competitors[k],
            float(mean_rank[k]),
            int(ranks[k]),
            float(firm.low[k]),
            float(firm.high[k]),
            float(firm.p_first[k]),
        )
        for k in order
    )


def _overall(ranked: Sequence[_Ranked]) -> tuple[Place, ...]:
    """Average the datasets' mean ranks; who is absent from a dataset shares its last ranks."""
    everyone = sorted({name for item in ranked for name in item.grid.competitors})
    full: list[Floats] = []
    resampled: list[Floats] = []
    for item in ranked:
        present = [everyone.index(name) for name in item.grid.competitors]
        absent = len(everyone) - len(present)
        for source, target in ((item.mean_rank, full), (item.resampled, resampled)):
            if source is not None:
                extended = np.full((*source.shape[:-1], len(everyone)), len(present) + (absent + 1) / 2)
                extended[..., present] = source
                target.append(extended)
    return _places(everyone, np.mean(full, axis=0), np.mean(resampled, axis=0) if resampled else None)


def _board(item: _Ranked, agreement: tuple[Agreement, ...]) -> Board:
    grid = item.grid
    scored = grid.scored()
    shown = _shown(grid, scored)
    metrics = {measure.metric: measure for measure in grid.measures}
    labels = sorted({measure.label for measure in grid.measures})
    absent = (grid.rows == 0) & scored[:, :, None]
    undefined = grid.undefined + absent
    missing = np.maximum(grid.missed, undefined)
    missed = np.zeros(len(grid.competitors), dtype=int)
    for label in labels:  # a structure that is missed is missed once, however many metrics say so
        its = [t for t, measure in enumerate(grid.measures) if measure.label == label]
        missed += np.maximum(grid.missed[its], absent[its]).max(axis=0).sum(axis=0)
    summaries: dict[str, list[Summary]] = {}
    for metric in metrics:
        its = [t for t, measure in enumerate(grid.measures) if measure.metric == metric]
        averaged = _mean(shown[its], axis=0)[None]  # (1, n, K)
        summaries[metric] = _summaries(averaged, undefined[its].sum(axis=(0, 1))[None])[0]
    entries = []
    for place in _places(grid.competitors, item.mean_rank, item.resampled):
        k = grid.competitors.index(place.method)
        own = {metric: summary[k] for metric, summary in summaries.items()}
        entries.append(Entry(place, grid.seeds[k], int(missed[k]), own))
    return Board(
        dataset=grid.dataset,
        revision=grid.revision,
        synthetic=grid.synthetic,
        cases=len(grid.cases),
        labels=tuple(labels),
        metrics=metrics,
        entries=tuple(entries),
        tasks=_tasks(item, scored.sum(axis=1), missing.sum(axis=1), _summaries(shown, undefined.sum(axis=1))),
        notes=tuple(grid.notes),
        agreement=agreement,
    )


def _tasks(
    item: _Ranked, n: NDArray[np.int_], missing: NDArray[np.int_], summaries: list[list[Summary]]
) -> tuple[TaskBoard, ...]:
    """Return the standings of every task, given counts of cases (T,) and of missing values (T, K)."""
    names = item.grid.competitors
    boards = []
    for t, measure in enumerate(item.grid.measures):
        rank, total, gone = item.ranks[t].tolist(), item.aggregates[t].tolist(), missing[t].tolist()
        order = sorted(range(len(names)), key=lambda k: (rank[k], names[k]))
        rows = [Standing(names[k], total[k], rank[k], int(n[t]), gone[k], summaries[t][k]) for k in order]
        boards.append(TaskBoard(measure, tuple(rows)))
    return tuple(boards)


def _shown(grid: Grid, scored: NDArray[np.bool_]) -> Floats:
    """Return the values whose mean is shown: with 0 for what is missing where higher is better, else defined ones."""
    observed = grid.observed()
    if not (grid.undefined.any() or (grid.rows == 0).any()):
        return observed
    direction = np.array([measure.direction for measure in grid.measures])[:, None, None]
    values = grid.values()
    filled = np.where(np.isnan(values) & scored[:, :, None], 0.0, values)
    return np.where(direction > 0, filled, observed)


def _mean(values: Floats, axis: int) -> Floats:
    """Return the mean of what is not NaN along an axis, NaN where nothing is."""
    gaps = np.isnan(values)
    if not gaps.any():
        return np.asarray(values.mean(axis=axis), dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(gaps, 0.0, values).sum(axis=axis) / (~gaps).sum(axis=axis), dtype=float)


def _summaries(values: Floats, undefined: NDArray[np.int_]) -> list[list[Summary]]:
    """Summarise ``(T, n, K)`` values over cases, given counts of undefined ones ``(T, K)``."""
    mean = _mean(values, axis=1)
    count = (~np.isnan(values)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = np.nansum((values - mean[:, None]) ** 2, axis=1)
        sd = np.where(count > 1, np.sqrt(squares / (count - 1)), np.nan)
    return [
        [Summary(*numbers) for numbers in zip(*columns, strict=True)]
        for columns in zip(mean.tolist(), sd.tolist(), undefined.tolist(), strict=True)
    ]
