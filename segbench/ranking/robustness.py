"""Would the order be another one? By other schemes, by single seeds, by other policies for empty masks.

Policies: "worst" (the default: what is missing ranks last), "drop" (values whose status is not "ok" are left out of
their method's average, as tools that skip NaN do), "exclude" (a case of a task that is not "ok" for one method is left
out for all), "number" (what is missing counts ``Grid.penalty``: 0 for overlaps, a large number for distances).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segbench.ranking.boards import Agreement, Place, Policy, Request
from segbench.ranking.chunks import Chunk, Scores
from segbench.ranking.counting import build
from segbench.ranking.entrants import Names
from segbench.ranking.grid import Floats, Grid, Measure, mixed, select
from segbench.ranking.ranked import Ranked, places_of, rank_grid
from segbench.ranking.schemes import SCHEMES, Scheme, kendall, rank_aggregates

_CHEAP = 1000
"""Tests of pairs that take no noticeable time."""
_FEW_ROWS = 300_000
"""Rows that take no noticeable time to count again."""
_THING = ("label_name", "metric", "case_id")


@dataclass(frozen=True)
class SeedView:
    """What the trainings of one seed alone would say: a ranked grid, and the means of its values ``(T, K)``."""

    seed: int
    ranked: Ranked
    means: Floats


def tests_are_cheap(grid: Grid, request: Request) -> bool:
    """Return whether the tests of all tasks are wanted, or take no noticeable time."""
    cheap = len(grid.measures) * len(grid.competitors) ** 2 <= _CHEAP
    return cheap if request.schemes is None else request.schemes


def counting_is_cheap(scores: Scores, request: Request) -> bool:
    """Return whether counting again is wanted, or takes no noticeable time."""
    few = sum(chunk.rows for chunk in scores.chunks) <= _FEW_ROWS
    return few if request.schemes is None else request.schemes


def agreement(item: Ranked, request: Request) -> tuple[tuple[Agreement, ...], dict[tuple[Scheme, Scheme], float]]:
    """Rank a grid by the other schemes; also return Kendall's tau between every two schemes."""
    grid = item.grid
    if len(grid.competitors) < 2 or not tests_are_cheap(grid, request):
        return (), {}
    means = {request.scheme: item.mean_rank}
    for scheme in SCHEMES:
        if scheme != request.scheme:
            means[scheme] = rank_grid(grid, replace(request, scheme=scheme, bootstrap=0)).mean_rank
    orders = {scheme: rank_aggregates(mean, -1, "min") for scheme, mean in means.items()}
    taus = {(a, b): float(kendall(orders[a], orders[b])) for a in SCHEMES for b in SCHEMES if a < b}
    others = tuple(
        Agreement(scheme, float(kendall(orders[scheme], orders[request.scheme])), places_of(grid.competitors, mean))
        for scheme, mean in means.items()
        if scheme != request.scheme
    )
    return others, taus


def seed_views(scores: Scores, names: Names, item: Ranked, request: Request) -> list[SeedView]:
    """Rank each seed alone; nothing if there is one seed only, or if it would take long.

    Args:
        scores: of the board.
        names: of the competitors.
        item: the board, all seeds together.
        request: of the board.
    """
    if max(item.grid.seeds, default=0) < 2 or not counting_is_cheap(scores, request):
        return []
    views = []
    for seed in sorted(scores.vocabulary["seed"]):
        part = select(scores, seed={seed})
        if part.chunks:
            grid = _like(build(part, names, item.grid), item.grid)
            if grid.measures and grid.cases:
                ranked = rank_grid(grid, replace(_for_part(grid, item, request), bootstrap=0))
                views.append(SeedView(int(seed), ranked, mean_over_cases(shown_values(grid, request.missing))))
    return views


def _like(grid: Grid, board: Grid) -> Grid:
    """Return the measures and cases of a grid that the board has too."""
    known = {_key(measure) for measure in board.measures}
    measures = np.array([t for t, measure in enumerate(grid.measures) if _key(measure) in known], dtype=np.intp)
    return grid.restrict(measures, np.isin(grid.cases, board.cases))


def _key(measure: Measure) -> tuple[str, str]:
    return measure.label, measure.metric


def _for_part(grid: Grid, item: Ranked, request: Request) -> Request:
    """Return the request for a part of the board: the same headline, as far as it is there."""
    there = {measure.metric for measure in grid.measures}
    return replace(request, headline=tuple(name for name in item.headline if name in there) or ("all",))


def shown_values(grid: Grid, missing: float | Literal["drop", "worst"] | None = None) -> Floats:
    """Return ``(T, n, K)`` whose mean is shown; see ``leaves_out`` for those it knows nothing of.

    Args:
        grid: what ``counting.build`` made.
        missing: as in ``boards.Request``: a number stands for what is missing, "drop" shows what is defined; otherwise
            0 stands for what is missing where ``Grid.zero_is_worst``, and elsewhere what is defined is shown.
    """
    if isinstance(missing, int | float):
        return grid.values(missing)
    return grid.observed() if missing == "drop" else grid.shown_worst()


def leaves_out(grid: Grid, missing: float | Literal["drop", "worst"] | None = None) -> NDArray[np.bool_]:
    """Return ``(T,)`` whether the mean of ``shown_values`` leaves out what is missing; arguments as there."""
    if isinstance(missing, int | float):
        return np.zeros(len(grid.measures), dtype=bool)
    return np.array([missing == "drop" or not grid.zero_is_worst(t) for t in range(len(grid.measures))], dtype=bool)


def mean_over_cases(values: Floats, axis: int = 1) -> Floats:
    """Return the mean of what is not NaN along an axis, NaN where nothing is."""
    gaps = np.isnan(values)
    if not gaps.any():
        return np.asarray(values.mean(axis=axis), dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(gaps, 0.0, values).sum(axis=axis) / (~gaps).sum(axis=axis), dtype=float)


def policies(scores: Scores, names: Names, item: Ranked, request: Request) -> tuple[Policy, ...]:
    """Rank by the other policies; nothing if every value is there and no mask is empty, or if it would take long."""
    odd = [word != "ok" for word in scores.vocabulary["status"]]
    bad = np.array(odd, dtype=bool)
    if len(item.grid.competitors) < 2 or not bad.any() or not counting_is_cheap(scores, request):
        return ()
    if not any(bad[chunk.codes["status"]].any() for chunk in scores.chunks):
        return ()
    plain = replace(request, bootstrap=0)
    number = {m.metric: item.grid.penalty(t) for t, m in enumerate(item.grid.measures)}
    found = []
    base = "worst" if request.missing is None else request.missing
    if base != "worst":
        found.append(
            _policy("worst", rank_grid(item.grid, _for_part(item.grid, item, replace(plain, missing=None))), item)
        )
    for name, part in (("drop", _dropped(scores, bad)), ("exclude", _excluded(scores, bad))):
        if any(chunk.rows for chunk in part.chunks):
            grid = _like(build(part, names, revision=item.grid.revision), item.grid)
            ranked = rank_grid(grid, _for_part(grid, item, replace(plain, missing="drop")))
            found.append(_policy(name, ranked, item))  # type: ignore[arg-type]
    values = item.grid.values("worst")
    filled = np.where(np.isnan(values) & item.grid.scored()[:, :, None], item.grid.penalties, values)
    ranked = rank_grid(item.grid, _for_part(item.grid, item, replace(plain, missing=None)), filled)
    return (*found, replace(_policy("number", ranked, item), number=number))


def _policy(name: Literal["worst", "drop", "exclude", "number"], ranked: Ranked, item: Ranked) -> Policy:
    everyone = item.grid.competitors
    mean = np.full(len(everyone), np.nan)  # who has no value left is last
    mean[[everyone.index(one) for one in ranked.grid.competitors]] = ranked.mean_rank
    order, other = rank_aggregates(item.mean_rank, -1, "min"), rank_aggregates(mean, -1, "min")
    mean = np.where(np.isnan(mean), len(everyone), mean)
    return Policy(name, bool((other[order == 1] == 1).any()), float(kendall(other, order)), places_of(everyone, mean))


def _dropped(scores: Scores, bad: NDArray[np.bool_]) -> Scores:
    """Return the rows whose status is "ok"."""
    return Scores(scores.vocabulary, [chunk.take(~_is_bad(chunk, bad)) for chunk in scores.chunks])


def _excluded(scores: Scores, bad: NDArray[np.bool_]) -> Scores:
    """Return the rows of the cases and tasks that are "ok" for everyone."""
    gone = [_things(chunk, scores)[_is_bad(chunk, bad)] for chunk in scores.chunks]
    forbidden = np.unique(np.concatenate(gone))
    kept = [chunk.take(~np.isin(_things(chunk, scores), forbidden)) for chunk in scores.chunks]
    return Scores(scores.vocabulary, [chunk for chunk in kept if chunk.rows])


def _is_bad(chunk: Chunk, bad: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.broadcast_to(bad[chunk.codes["status"]], (chunk.rows,))


def _things(chunk: Chunk, scores: Scores) -> NDArray[np.int64]:
    return np.broadcast_to(np.asarray(mixed(chunk, _THING, scores)), (chunk.rows,))


def spread(numbers: list[float]) -> float:
    """Return the sd of some numbers (n - 1), NaN for fewer than two."""
    values = np.array([number for number in numbers if not math.isnan(number)])
    with np.errstate(invalid="ignore"):  # of infinite numbers it is NaN
        return float(values.std(ddof=1)) if values.size > 1 else math.nan


def firsts(places: Sequence[Place]) -> list[str]:
    """Return who is first."""
    return [place.method for place in places if place.rank == 1]
