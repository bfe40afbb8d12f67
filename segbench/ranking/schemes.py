"""Ranking schemes for one task: aggregate-then-rank, rank-then-aggregate, test-then-rank; agreement.

``X`` is always ``(n cases, K algorithms)`` with NaN = missing and infinities as values; ``direction`` is +1 where
larger is better, -1 where smaller is. Source: Wiesenfarth et al., doi:10.1038/s41598-021-82017-6; Maier-Hein et al.,
doi:10.1038/s41467-018-07619-7. Where challengeR and this module differ, a docstring says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segbench.ranking.significance import DECIMALS, Adjustment, pairwise_p, wins

Floats = NDArray[np.float64]
Ties = Literal["min", "average", "max"]
Scheme = Literal["rank-then-mean", "rank-then-median", "mean-then-rank", "median-then-rank", "test-then-rank"]
SCHEMES: tuple[Scheme, ...] = (
    "rank-then-mean",
    "rank-then-median",
    "mean-then-rank",
    "median-then-rank",
    "test-then-rank",
)
Missing = float | Literal["drop"] | None
"""What stands for a missing value: a number, "drop" it, or None (not allowed, or the worst rank of its case)."""


@dataclass(frozen=True)
class Ranking:
    """The result of a scheme on one task.

    Attributes:
        aggregate: ``(K,)`` what was ranked: an aggregate value, an aggregated rank, or the share of wins.
        rank: ``(K,)`` ranks, 1 = best.
        wins: ``(K, K)`` for test-then-rank: whether i is significantly better than j.
    """

    aggregate: Floats
    rank: Floats
    wins: NDArray[np.bool_] | None = None


def rank_na(
    values: ArrayLike, direction: int, ties: Ties = "min", nan_rank: Literal["after", "last"] = "after"
) -> Floats:
    """Rank along the last axis, 1 = best; missing values share the worst place.

    Args:
        values: ``(..., K)``, NaN = missing; +-inf is a value.
        direction: +1 if larger is better, -1 if smaller is.
        ties: min | average | max.
        nan_rank: "after" gives missing values the largest observed rank + 1 (as challengeR), "last" treats them as
            +inf; they differ only if observed values tie for the last place.

    Returns:
        ``(..., K)`` ranks.
    """
    array: NDArray[Any] = np.asarray(values, dtype=np.float64)
    if not array.shape[-1]:
        return array.copy()
    best_small: NDArray[Any] = np.moveaxis(array, -1, 0) * float(-direction)  # (K, ...), small is best
    shape = best_small.shape
    s = np.ascontiguousarray(best_small).reshape(shape[0], -1)
    missing = np.isnan(s)
    if nan_rank == "last":
        s[missing] = np.inf
    less, equal = _counts(s)
    doubled = 2 * less + 2 if ties == "min" else 2 * less + equal + 1 if ties == "average" else 2 * (less + equal)
    ranks: NDArray[Any] = 0.5 * doubled
    if nan_rank == "after":
        gaps = np.flatnonzero(missing.any(axis=0))
        absent = missing[:, gaps]
        observed = np.where(absent, 0.0, ranks[:, gaps]).max(axis=0)
        m = absent.sum(axis=0)
        worst = observed + {"min": 1.0, "average": (m + 1) / 2, "max": m * 1.0}[ties]
        ranks[:, gaps] = np.where(absent, worst, ranks[:, gaps])
    return np.moveaxis(ranks.reshape(shape), 0, -1)


_BLOCK = 2**12
"""Cases ranked at once: small enough to stay in the cache."""
_MOST_IN_BYTES = 250
"""Competitors whose numbers fit into bytes, which are counted four times as fast as larger integers."""


def _counts(s: Floats) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Return how many values are smaller than, and how many equal to, each value ``(K, ...)``; NaN is neither."""
    K = len(s)
    flat = s.reshape(K, -1)
    less, equal = np.empty(flat.shape, dtype=np.int16), np.empty(flat.shape, dtype=np.int16)
    kind: Any = np.uint8 if K <= _MOST_IN_BYTES else np.int16
    for start in range(0, flat.shape[1], _BLOCK):
        block = np.ascontiguousarray(flat[:, start : start + _BLOCK])
        there = block == block
        same, below = there.astype(kind), np.zeros(block.shape, dtype=kind)
        complete = bool(there.all())
        for i in range(K - 1):
            later = block[i + 1 :]
            smaller, tied = (block[i] < later).view(np.uint8), (block[i] == later).view(np.uint8)
            below[i + 1 :] += smaller
            same[i + 1 :] += tied
            ties = np.add.reduce(tied, axis=0, dtype=kind)
            same[i] += ties
            if complete:  # what is neither larger nor equal is smaller
                below[i] += K - 1 - i - ties - np.add.reduce(smaller, axis=0, dtype=kind)
            else:
                below[i] += np.add.reduce((block[i] > later).view(np.uint8), axis=0, dtype=kind)
        less[:, start : start + _BLOCK], equal[:, start : start + _BLOCK] = below, same
    return less.reshape(s.shape), equal.reshape(s.shape)


def rank_aggregates(aggregates: ArrayLike, direction: int, ties: Ties = "min") -> Floats:
    """Rank aggregates: equal to 12 decimals is equal, since sums of the same numbers differ in the last bit."""
    return rank_na(np.round(np.asarray(aggregates, dtype=float), 12), direction, ties)


def aggregate(values: ArrayLike, how: str | float) -> float:
    """Return the mean, median or quantile of values.

    Args:
        values: ``(n,)`` without NaN; n = 0 gives NaN.
        how: "mean" (exactly rounded), "median", or p for the type-7 quantile.
    """
    array = np.asarray(values, dtype=float)
    if not array.size:
        return math.nan
    if how == "mean":
        if np.isfinite(array).all():
            return math.fsum(array.tolist()) / array.size
        return float(array.mean())
    if how == "median":
        return float(np.median(array))
    return float(np.quantile(array, float(how)))


def aggregate_columns(X: ArrayLike, how: str | float) -> Floats:
    """Return the aggregate of each column's non-missing values ``(K,)``, NaN for empty columns."""
    values = np.asarray(X, dtype=float)
    return np.array([aggregate(column[~np.isnan(column)], how) for column in values.T])


def aggregate_then_rank(
    X: ArrayLike, direction: int, how: str | float = "mean", missing: Missing = None, ties: Ties = "min"
) -> Ranking:
    """Aggregate each algorithm's values, then rank the aggregates.

    Args:
        X: ``(n, K)``.
        direction: +1 or -1.
        how: see ``aggregate``.
        missing: number that replaces missing values, or "drop"; an algorithm without any value ranks last.
        ties: of the ranks.

    Raises:
        ValueError: values are missing and ``missing`` is None.
    """
    aggregates = aggregate_columns(_fill(X, missing), how)
    return Ranking(aggregates, rank_aggregates(aggregates, direction, ties))


def rank_then_aggregate(
    X: ArrayLike, direction: int, how: str | float = "mean", missing: Missing = None, ties: Ties = "min"
) -> Ranking:
    """Rank the algorithms in each case, then aggregate each algorithm's ranks and rank the aggregates.

    Args:
        X: ``(n, K)``.
        direction: +1 or -1.
        how: see ``aggregate``.
        missing: None gives a missing value the worst rank of its case; a number replaces it; "drop" ranks each case
            among the algorithms that have it.
        ties: within cases and of the final ranks.
    """
    aggregates = aggregate_columns(case_ranks(X, direction, missing, ties), how)
    return Ranking(aggregates, rank_aggregates(aggregates, -1, ties))


def case_ranks(X: ArrayLike, direction: int, missing: Missing = None, ties: Ties = "min") -> Floats:
    """Return ranks within each case ``(n, K)``; NaN only where ``missing="drop"`` left a value out."""
    values = np.asarray(X, dtype=float) if missing is None else _fill(X, missing)
    ranks = rank_na(values, direction, ties)
    return np.where(np.isnan(values), np.nan, ranks) if missing == "drop" else ranks


def test_then_rank(
    X: ArrayLike,
    direction: int,
    alpha: float = 0.05,
    adjustment: Adjustment = "none",
    missing: Missing = None,
    ties: Ties = "min",
    decimals: int | None = DECIMALS,
) -> Ranking:
    """Test all ordered pairs with the signed rank test, then rank by the share of significant wins.

    Args:
        X: ``(n, K)``.
        direction: +1 or -1.
        alpha: level; a win is adjusted p <= alpha.
        adjustment: over the K(K-1) ordered pairs.
        missing: number that replaces missing values, or "drop" (pairwise; algorithms without any value rank last).
        ties: of the ranks.
        decimals: rounding of differences, None for exact parity with R.
    """
    values = _fill(X, missing)
    K = values.shape[1]
    present = ~np.isnan(values).all(axis=0) if len(values) else np.ones(K, dtype=bool)
    matrix = np.zeros((K, K), dtype=bool)
    p = pairwise_p(values[:, present], direction, decimals=decimals)[0]
    matrix[np.ix_(present, present)] = wins(p, alpha, adjustment)
    score = np.full(K, np.nan)
    if present.sum() > 1:
        score[present] = matrix[present].sum(axis=1) / (present.sum() - 1)
    return Ranking(score, rank_na(np.where(present, np.nan_to_num(score), np.nan), 1, ties), matrix)


test_then_rank.__test__ = False  # type: ignore[attr-defined]  # not a test, whatever its name says to pytest


def rank_task(
    X: ArrayLike,
    direction: int,
    scheme: Scheme,
    missing: Missing = None,
    ties: Ties = "average",
    adjustment: Adjustment = "none",
    decimals: int | None = DECIMALS,
) -> Ranking:
    """Apply a scheme by name; see the functions above."""
    first, _, second = scheme.partition("-then-")
    if first == "test":
        return test_then_rank(X, direction, adjustment=adjustment, missing=missing, ties=ties, decimals=decimals)
    if first == "rank":
        return rank_then_aggregate(X, direction, second, missing, ties)
    return aggregate_then_rank(X, direction, first, missing, ties)


def _fill(X: ArrayLike, missing: Missing) -> Floats:
    values = np.array(X, dtype=float)
    gaps = np.isnan(values)
    if missing is None and gaps.any():
        raise ValueError(f"{int(gaps.sum())} values are missing: say which number replaces them, or 'drop'")
    if missing is not None and missing != "drop":
        values[gaps] = missing
    return values


def worst_for_tests(X: ArrayLike, direction: int) -> float:
    """Return a penalty so bad that the signed rank test no longer depends on it.

    It is farther from every value than any two values are from one another, and infinite if the worst value is.
    """
    values = np.asarray(X, dtype=float)
    worst = -direction * math.inf
    if (values == worst).any():
        return worst
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0
    low, high = float(finite.min()), float(finite.max())
    reach = 2 * (high - low) + 1
    return low - reach if direction > 0 else high + reach


def kendall(a: ArrayLike, b: ArrayLike) -> Floats:
    """Return Kendall's tau-b of two rankings; NaN where one of them is constant.

    Source: Kendall, doi:10.1093/biomet/33.3.239.

    Args:
        a: ``(..., K)``.
        b: ``(..., K)`` or ``(K,)``.
    """
    first, second = np.broadcast_arrays(np.asarray(a, dtype=float), np.asarray(b, dtype=float))
    i, j = np.triu_indices(first.shape[-1], 1)
    x = np.sign(first[..., i] - first[..., j])
    y = np.sign(second[..., i] - second[..., j])
    scale = np.sqrt((x != 0).sum(axis=-1) * (y != 0).sum(axis=-1).astype(float))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 0, (x * y).sum(axis=-1) / scale, np.nan)
