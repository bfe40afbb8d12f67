"""A grid ranked: every task by the scheme, the headline's tasks combined into mean ranks, and the places they give."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segbench.ranking.boards import Place, Request
from segbench.ranking.bootstrap import Stability, bootstrap_aggregates, bootstrap_scores, draw, stability
from segbench.ranking.grid import Floats, Grid, Measure
from segbench.ranking.headline import headline
from segbench.ranking.patients import cases_of, count, means_of
from segbench.ranking.schemes import Missing, case_ranks, rank_aggregates, rank_task, worst_for_tests


@dataclass
class Ranked:
    """One grid with its aggregates and ranks (T, K), mean ranks (K,), and resampled mean ranks (B, K).

    ``headline`` names the metrics the mean ranks rest on, ``weights`` ``(T,)`` is what each task counts in them.
    """

    grid: Grid
    headline: tuple[str, ...]
    weights: Floats
    aggregates: Floats
    ranks: Floats
    mean_rank: Floats
    resampled: Floats | None = None


@dataclass
class _Block:
    """Some measures ranked: aggregates (t, K) and their directions, weighted sums of resampled ranks."""

    aggregates: Floats
    ways: list[int]
    resampled: Floats | None


def _fill(grid: Grid, values: Floats, t: int, request: Request) -> Missing:
    """Return what replaces the missing values of a task under the scheme."""
    if request.missing == "drop":
        return "drop"
    if request.scheme.startswith("rank") or not np.isnan(values).any():
        return None
    if request.scheme.startswith("test") and not grid.zero_is_worst(t):
        return worst_for_tests(values, grid.measures[t].direction)
    return grid.penalty(t)


def rank_grid(grid: Grid, request: Request, values: Floats | None = None) -> Ranked:
    """Rank every task of a grid and combine the tasks of the headline.

    Args:
        grid: what ``counting.build`` made.
        request: see ``boards.Request``.
        values: ``(T, n, K)`` in place of the grid's, NaN = worst.
    """
    wanted = request.headline or (("all",) if request.metrics else None)
    chosen = headline(grid.measures, wanted)
    weights = _weights(grid.measures, chosen)
    drawn = draw(count(grid.patients), request.bootstrap, _generator(grid, request)) if request.bootstrap else None
    if drawn is not None and not request.scheme.startswith("test"):  # tests are of patients, all else is of cases
        drawn = cases_of(drawn, grid.patients)
    rank_block = _rank_then_mean if request.scheme == "rank-then-mean" else _rank_tasks
    ranked = []
    for block, part in grid.blocks():
        own = part.values("worst" if request.missing is None else request.missing) if values is None else values[block]
        ranked.append(rank_block(part, own, weights[block], drawn, request))
    aggregates = np.concatenate([one.aggregates for one in ranked])
    signed = aggregates * np.array([way for one in ranked for way in one.ways])[:, None]  # large is best in every task
    mean_rank = _over_labels(rank_aggregates(signed, 1, request.ties or "average"), weights)
    ranks = rank_aggregates(signed, 1, request.ties or "min")
    resampled = [one.resampled for one in ranked if one.resampled is not None]
    return Ranked(
        *(grid, chosen, weights, aggregates, ranks, mean_rank),
        resampled=sum(resampled[1:], resampled[0]) if resampled else None,
    )


def _generator(grid: Grid, request: Request) -> np.random.Generator:
    """Return the generator of a dataset's draws: independent of which other datasets there are."""
    return np.random.default_rng([request.seed, zlib.crc32(f"{grid.dataset}@{grid.revision}".encode())])


def _rank_then_mean(
    grid: Grid, values: Floats, weights: Floats, drawn: NDArray[np.intp] | None, request: Request
) -> _Block:
    """All tasks of a block at once."""
    T, n, K = values.shape
    direction = np.array([measure.direction for measure in grid.measures])[:, None, None]
    rule: Missing = "drop" if request.missing == "drop" else None
    ranks = case_ranks(values * direction, 1, rule, request.ties or "average")
    ranks[~grid.scored()] = np.nan
    gaps = np.isnan(ranks)
    with np.errstate(invalid="ignore"):
        aggregates = np.where(gaps, 0.0, ranks).sum(axis=1) / (~gaps).sum(axis=1)
    if drawn is None:
        return _Block(aggregates, [-1] * T, None)
    means = bootstrap_aggregates(np.moveaxis(ranks, 1, 0).reshape(n, T * K), drawn, "mean").reshape(-1, T, K)
    ties = request.ties or "average"
    return _Block(aggregates, [-1] * T, _over_labels(rank_aggregates(means, -1, ties), weights))


def _rank_tasks(
    grid: Grid, values: Floats, weights: Floats, drawn: NDArray[np.intp] | None, request: Request
) -> _Block:
    """Task by task; tests are of patients, each the mean of its scans."""
    ties, scored = request.ties or "average", grid.scored()
    aggregates = np.empty((len(grid.measures), len(grid.competitors)))
    ways, resampled = [], []
    for t, measure in enumerate(grid.measures):
        everything = values[t].copy()
        everything[~scored[t]] = np.nan
        fill = _fill(grid, everything[scored[t]], t, request)
        counts = scored[t]
        if isinstance(fill, float):
            everything[np.isnan(everything) & scored[t][:, None]] = fill
        if request.scheme.startswith("test"):
            everything = means_of(everything, grid.patients)
            counts = means_of(counts.astype(float), grid.patients) > 0
        task = everything[counts]
        ranking = rank_task(task, measure.direction, request.scheme, fill, ties, request.adjustment, request.decimals)
        aggregates[t] = ranking.aggregate
        ways.append({"r": -1, "t": 1}.get(request.scheme[0], measure.direction))
        if drawn is None:
            continue
        rule: Missing = None if fill is None and counts.all() else "drop"
        arguments = (request.scheme, drawn, rule, ties, request.adjustment)
        scores, way = bootstrap_scores(everything, measure.direction, *arguments, decimals=request.decimals)
        resampled.append(rank_aggregates(scores, way, ties))
    return _Block(aggregates, ways, _over_labels(np.stack(resampled, axis=1), weights) if resampled else None)


def _weights(measures: tuple[Measure, ...], chosen: tuple[str, ...]) -> Floats:
    """Return what each task counts ``(T,)``: metrics alike within a label, labels alike within the dataset."""
    count = Counter(measure.label for measure in measures if measure.metric in chosen)
    return np.array([1 / (count[m.label] * len(count)) if m.metric in chosen else 0.0 for m in measures])


def _over_labels(ranks: Floats, weights: Floats) -> Floats:
    """Average task ranks ``(..., T, K)`` -> ``(..., K)``."""
    return np.asarray(np.tensordot(ranks, weights, axes=([-2], [0])), dtype=float)


def places_of(competitors: Sequence[str], mean_rank: Floats) -> tuple[Place, ...]:
    """Return the places in order."""
    return firm_places(competitors, mean_rank, None)[0]


def firm_places(
    competitors: Sequence[str], mean_rank: Floats, resampled: Floats | None
) -> tuple[tuple[Place, ...], Stability | None]:
    """Return the places in order, and how firm they are, in the same order, given resampled mean ranks (B, K)."""
    ranks = rank_aggregates(mean_rank, -1, "min")
    order = sorted(range(len(competitors)), key=lambda k: (ranks[k], competitors[k]))
    places = [Place(competitors[k], float(mean_rank[k]), int(ranks[k])) for k in order]
    if resampled is None:
        return tuple(places), None
    firm = stability(rank_aggregates(resampled[:, order], -1, "min"), ranks[order])
    numbers = zip(firm.low.tolist(), firm.high.tolist(), firm.p_first.tolist(), strict=True)
    return tuple(
        replace(place, rank_low=low, rank_high=high, p_first=p_first)
        for place, (low, high, p_first) in zip(places, numbers, strict=True)
    ), firm
