"""Signed rank tests of all pairs of algorithms in all resamples of a bootstrap at once.

The same numbers as ``significance.signed_rank`` gives pair by pair. All are integers or halves far below the limit of
what the arithmetic holds exactly, so the order of summation does not matter. What is quadratic in the multiplicities is
swept case by case, some pairs at a time, so that it stays in the cache; what is linear is one product of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segbench.ranking.significance import DECIMALS, SignedRank, differences

Floats = NDArray[np.float64]
_EXACT = 1 << 12
"""With fewer cases every sum of a sweep is below 2**24, which float32 holds exactly."""
_SWEPT = 1 << 13
"""Numbers (pairs x resamples) that are swept together."""


@dataclass(frozen=True)
class _Pairs:
    """The differences of P pairs of algorithms, by size.

    Attributes:
        first, second: ``(P,)`` the algorithms.
        kept, better: ``(P, n)`` whether a case counts (both have a value, not the same), and is better by the first.
        order: ``(P, n)`` cases that count by the size of their difference, then n: the number of no case.
        tied: pair -> where in its order groups of equal sizes start; pairs without equal sizes are left out.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    kept: NDArray[np.bool_]
    better: NDArray[np.bool_]
    order: NDArray[np.intp]
    tied: dict[int, NDArray[np.intp]]


def resampled_p(X: ArrayLike, direction: int, multiplicity: ArrayLike, decimals: int | None = DECIMALS) -> Floats:
    """Return one-sided signed rank p-values of all ordered pairs in all resamples, as ``significance.pairwise_p`` does.

    Args:
        X: ``(n, K)``; NaN = missing, and a pair uses the cases that both have.
        direction: +1 or -1.
        multiplicity: ``(B, n)`` how often each case was drawn.
        decimals: rounding of differences.

    Returns:
        ``(B, K, K)``, ``[b, i, j]`` for "i better than j", 1 on the diagonal.
    """
    values, weights = np.asarray(X, dtype=float), np.asarray(multiplicity, dtype=float)
    K = values.shape[1]
    p = np.ones((len(weights), K, K))
    if K < 2:
        return p
    pairs = _pairs(values, direction, decimals)
    ranked = _statistics(pairs, np.ascontiguousarray(weights.T))
    p[:, pairs.first, pairs.second] = ranked.p("better").T
    p[:, pairs.second, pairs.first] = ranked.p("worse").T
    return p


def _pairs(values: Floats, direction: int, decimals: int | None) -> _Pairs:
    n, K = values.shape
    first, second = np.triu_indices(K, 1)
    d = differences(values[:, first].T, values[:, second].T, direction, decimals)
    kept = ~np.isnan(d) & (d != 0)
    size = np.where(kept, np.abs(d), np.inf)  # infinite differences count, so what does not is told by ``kept``
    order = np.lexsort((size, ~kept), axis=-1)
    counts = kept.sum(axis=1)
    ordered = np.take_along_axis(size, order, axis=1)
    inside = np.arange(1, n) < counts[:, None]
    equal = (ordered[:, 1:] == ordered[:, :-1]) & inside
    tied = {
        int(pair): np.flatnonzero(np.concatenate([[True], ~equal[pair, : counts[pair] - 1]]))
        for pair in np.flatnonzero(equal.any(axis=1))
    }
    order[np.arange(n) >= counts[:, None]] = n
    return _Pairs(first, second, kept, kept & (d > 0), order, tied)


def _statistics(pairs: _Pairs, weights: Floats) -> SignedRank:
    """Return W+, numbers of differences and variances ``(P, B)``, given multiplicities ``(n, B)``."""
    n = pairs.kept @ weights
    cubes = pairs.kept @ weights**3
    ordered = [pairs.order]
    for pair, starts in pairs.tied.items():
        order = pairs.order[pair]
        count = int(np.count_nonzero(pairs.kept[pair]))
        cubes[pair] = (np.add.reduceat(weights[order[:count]], starts, axis=0) ** 3).sum(axis=0)
        ordered.append(_groups_reversed(order, starts, count)[None])
    swept = _sweep(np.concatenate(ordered), pairs, weights)
    positive = swept[: len(n)]
    for row, pair in enumerate(pairs.tied, start=len(n)):  # two opposite orders within groups: the mean rank
        positive[pair] = (positive[pair] + swept[row]) / 2
    positive -= pairs.better @ (weights * (weights - 1) / 2)  # a case that was drawn twice ties with itself
    variance = n * (n + 1) * (2 * n + 1) / 24 - (cubes - n) / 48
    return SignedRank(positive, n, variance)


def _groups_reversed(order: NDArray[np.intp], starts: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Return an order with every group of equals turned round."""
    ends = np.append(starts[1:], count)
    sizes = ends - starts
    turned = order.copy()
    turned[:count] = order[np.repeat(starts + ends - 1, sizes) - np.arange(count)]
    return turned


def _sweep(order: NDArray[np.intp], pairs: _Pairs, weights: Floats) -> Floats:
    """Return ``(R, B)`` the sum over the better cases of their multiplicity times that of all up to them.

    Args:
        order: ``(R, n)`` cases in ascending order, n = none; the first P rows are the pairs, the others those tied.
        pairs: what is swept.
        weights: ``(n, B)`` multiplicities.
    """
    n, B = weights.shape
    kind = np.float32 if n < _EXACT else np.float64
    drawn = np.zeros((n + 1, B), dtype=kind)
    drawn[:n] = weights
    of = np.concatenate([np.arange(len(pairs.kept)), np.array(list(pairs.tied), dtype=np.intp)])
    better = np.concatenate([pairs.better, np.zeros((len(pairs.better), 1), dtype=bool)], axis=1)
    result = np.empty((len(order), B))
    step = max(1, _SWEPT // B)
    for begin in range(0, len(order), step):
        rows = slice(begin, begin + step)
        mask = np.ascontiguousarray(np.take_along_axis(better[of[rows]], order[rows], axis=1).T.astype(kind))[..., None]
        cases = np.ascontiguousarray(order[rows].T)
        upto, total, here = (np.zeros((cases.shape[1], B), dtype=kind) for _ in range(3))
        for case, which in zip(cases, mask, strict=True):
            np.take(drawn, case, axis=0, out=here, mode="clip")
            upto += here
            here *= which
            here *= upto
            total += here
        result[rows] = total
    return result
