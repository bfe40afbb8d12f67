"""Paired tests and effect sizes: Wilcoxon's signed rank test as R computes it, adjustments, win matrices.

Everything takes case multiplicities, so that all resamples of a bootstrap are tested at once without a loop.
``X`` is always ``(n cases, K algorithms)``; ``direction`` is +1 where larger is better, -1 where smaller is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Alternative = Literal["better", "worse", "two-sided"]
Adjustment = Literal["none", "bonferroni", "holm", "bh"]
ADJUSTMENTS: tuple[Adjustment, ...] = ("none", "bonferroni", "holm", "bh")
_FEW = 20
DECIMALS = 10
"""Differences are rounded to this many decimals before ranking, or equal differences would tie only by luck."""


@dataclass(frozen=True)
class SignedRank:
    """The signed rank statistics of one sample of differences, or of B resamples of it.

    Attributes:
        positive: ``(B,)`` W+, the sum of the ranks of positive differences.
        n: ``(B,)`` number of nonzero differences.
        variance: ``(B,)`` variance of W+ under the null hypothesis, with the correction for ties.
    """

    positive: Floats
    n: Floats
    variance: Floats

    @property
    def negative(self) -> Floats:
        """W-, the sum of the ranks of negative differences ``(B,)``."""
        return np.asarray(self.n * (self.n + 1) / 2 - self.positive)

    def p(self, alternative: Alternative = "better") -> Floats:
        """Return p by the normal approximation with continuity correction ``(B,)``; 1 where nothing differs.

        Source: Wilcoxon, doi:10.2307/3001968; as R's ``wilcox.test(paired = TRUE, exact = FALSE)``.

        Args:
            alternative: "better" tests for positive differences, "worse" for negative ones.
        """
        p: NDArray[Any]
        excess = self.positive - self.n * (self.n + 1) / 4
        sigma = np.sqrt(np.where(self.n > 0, self.variance, 1.0))
        if alternative == "better":
            p = normal(-(excess - 0.5) / sigma)
        elif alternative == "worse":
            p = normal((excess + 0.5) / sigma)
        else:
            z = (excess - 0.5 * np.sign(excess)) / sigma
            p = 2 * normal(-np.abs(z))
        return np.asarray(np.where(self.n > 0, np.minimum(p, 1.0), 1.0), dtype=float)


def normal(z: Floats) -> Floats:
    """Return the standard normal distribution function, without loading SciPy for a handful of values."""
    if z.size <= _FEW:
        return np.array([math.erfc(-x / math.sqrt(2)) / 2 for x in z.ravel().tolist()]).reshape(z.shape)
    from scipy.special import ndtr

    return np.asarray(ndtr(z), dtype=float)


def differences(x: ArrayLike, y: ArrayLike, direction: int = 1, decimals: int | None = DECIMALS) -> Floats:
    """Return paired differences ``(n,)``, positive where x is better; equal infinite values differ by 0.

    Args:
        x, y: ``(n,)`` values of the same cases.
        direction: +1 if larger is better, else -1.
        decimals: digits kept, or None for R's behaviour (no rounding).
    """
    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    with np.errstate(invalid="ignore"):
        result = np.where(first == second, 0.0, direction * (first - second))
    return np.asarray(result if decimals is None else np.round(result, decimals), dtype=float)


def signed_rank(d: ArrayLike, multiplicity: ArrayLike | None = None) -> SignedRank:
    """Return signed rank statistics; zeros are dropped, ties get average ranks, a case drawn m times is m cases.

    Args:
        d: ``(n,)`` differences without NaN.
        multiplicity: ``(B, n)`` how often each case was drawn; by default once each (B = 1).
    """
    values = np.asarray(d, dtype=float)
    keep = np.flatnonzero(values)
    weights = np.ones((1, values.size)) if multiplicity is None else np.asarray(multiplicity, dtype=float)
    if keep.size == 0:
        nothing = np.zeros(len(weights))
        return SignedRank(nothing, nothing, nothing)
    size = np.abs(values[keep])
    order = np.argsort(size, kind="stable")
    size, drawn = size[order], weights[:, keep[order]]  # (n',), (B, n')
    starts = np.flatnonzero(np.concatenate([[True], size[1:] != size[:-1]]))
    positive = np.where(values[keep[order]] > 0, drawn, 0.0)
    if starts.size < size.size:  # a case drawn twice ties with itself, so groups matter even without equal values
        drawn, positive = np.add.reduceat(drawn, starts, axis=1), np.add.reduceat(positive, starts, axis=1)
    upto = np.cumsum(drawn, axis=1)
    n = upto[:, -1]
    ranks = upto - (drawn - 1) / 2  # = cumsum - t + (t + 1) / 2
    ties = np.einsum("bg,bg,bg->b", drawn, drawn, drawn) - n
    variance = n * (n + 1) * (2 * n + 1) / 24 - ties / 48
    return SignedRank(np.einsum("bg,bg->b", positive, ranks), n, variance)


def signed_ranks(d: ArrayLike) -> SignedRank:
    """Return the signed rank statistics of P samples at once; as ``signed_rank`` of each.

    Args:
        d: ``(P, n)`` differences without NaN.
    """
    values = np.asarray(d, dtype=float)
    P, n = values.shape
    order = np.argsort(np.abs(values), axis=1)
    signed = np.take_along_axis(values, order, axis=1)
    size = np.abs(signed)
    zeros = (size == 0).sum(axis=1)
    rank: Floats = np.broadcast_to(np.arange(1.0, n + 1), (P, n)) - zeros[:, None]
    count = (n - zeros).astype(float)
    variance = count * (count + 1) * (2 * count + 1) / 24
    starts = np.ones((P, n), dtype=bool)
    starts[:, 1:] = size[:, 1:] != size[:, :-1]
    if not starts.all():
        group = np.cumsum(starts.ravel()) - 1  # groups of equal sizes, over all samples
        members = np.bincount(group)
        cubes = (members**2 - 1.0)[group].reshape(P, n) * (size > 0)  # over a group: t^3 - t
        rank = (np.bincount(group, rank.ravel()) / members)[group].reshape(P, n)
        variance = variance - cubes.sum(axis=1) / 48
    return SignedRank(np.where(signed > 0, rank, 0.0).sum(axis=1), count, variance)


def adjust(p: ArrayLike, method: Adjustment = "holm") -> Floats:
    """Adjust p-values along the last axis; NaN counts as 1 and stays in the family.

    Source: Holm 1979 (jstor 4615733); Benjamini and Hochberg, doi:10.1111/j.2517-6161.1995.tb02031.x.

    Args:
        p: ``(..., m)``.
        method: none | bonferroni | holm | bh.

    Raises:
        ValueError: for another method.
    """
    if method not in ADJUSTMENTS:
        raise ValueError(f"adjustment must be one of {', '.join(ADJUSTMENTS)}; found {method!r}")
    values = np.asarray(p, dtype=float)
    values = np.asarray(np.where(np.isnan(values), 1.0, values), dtype=float)
    m = values.shape[-1]
    if method == "none" or m == 0:
        return values
    if method == "bonferroni":
        return np.asarray(np.minimum(1.0, m * values), dtype=float)
    order = np.argsort(values, axis=-1, kind="stable")
    ascending = np.take_along_axis(values, order, axis=-1)
    if method == "holm":
        stepped = np.maximum.accumulate(np.minimum(1.0, np.arange(m, 0, -1) * ascending), axis=-1)
    else:
        scaled = np.minimum(1.0, m / np.arange(1, m + 1) * ascending)
        stepped = np.minimum.accumulate(scaled[..., ::-1], axis=-1)[..., ::-1]
    result = np.empty_like(values)
    np.put_along_axis(result, order, stepped, axis=-1)
    return result


def pairwise_p(
    X: ArrayLike, direction: int, multiplicity: ArrayLike | None = None, decimals: int | None = DECIMALS
) -> Floats:
    """Return one-sided signed rank p-values of all ordered pairs: ``[b, i, j]`` for "i better than j".

    Args:
        X: ``(n, K)``; NaN = missing, and a pair uses the cases that both have.
        direction: +1 or -1.
        multiplicity: ``(B, n)``, by default once each.
        decimals: rounding of differences.

    Returns:
        ``(B, K, K)``, 1 on the diagonal.
    """
    values = np.asarray(X, dtype=float)
    n, K = values.shape
    weights = np.ones((1, n)) if multiplicity is None else np.asarray(multiplicity, dtype=float)
    p = np.ones((len(weights), K, K))
    for i in range(K):
        for j in range(i + 1, K):
            both = ~np.isnan(values[:, i]) & ~np.isnan(values[:, j])
            d = differences(values[both, i], values[both, j], direction, decimals)
            ranked = signed_rank(d, weights if both.all() else weights[:, both])
            p[:, i, j], p[:, j, i] = ranked.p("better"), ranked.p("worse")
    return p


def wins(p: ArrayLike, alpha: float = 0.05, method: Adjustment = "holm") -> NDArray[np.bool_]:
    """Return ``(..., K, K)`` whether i is significantly better than j: adjusted p <= alpha.

    Args:
        p: ``(..., K, K)`` from ``pairwise_p``; the K(K-1) ordered pairs are adjusted together.
        alpha: level.
        method: see ``adjust``.
    """
    values = np.asarray(p, dtype=float)
    K = values.shape[-1]
    outside = ~np.eye(K, dtype=bool)
    result = np.zeros(values.shape, dtype=bool)
    result[..., outside] = adjust(values[..., outside], method) <= alpha
    return result


def smallest_p(n: int) -> float:
    """Return the smallest one-sided p that n cases can give: all differences of one sign, none tied."""
    return float(signed_rank(np.arange(1.0, n + 1)).p("better")[0]) if n > 0 else 1.0


@dataclass(frozen=True)
class Effect:
    """How different two algorithms are over paired patients; positive = the first is better.

    Attributes:
        n: number of pairs.
        rank_biserial: (W+ - W-)/(W+ + W-), in [-1, 1]; 0 if nothing differs.
        hodges_lehmann: median of the Walsh averages (d_k + d_l)/2, k <= l.
        mean, median: of the paired differences.
        common_language: P(d > 0) + P(d = 0)/2.
        better, tied: P(d > 0) and P(d = 0).
    """

    n: int
    rank_biserial: float
    hodges_lehmann: float
    mean: float
    median: float
    common_language: float
    better: float = math.nan
    tied: float = math.nan


def effect(d: ArrayLike) -> Effect:
    """Return the effect sizes of paired differences.

    Source: Kerby, doi:10.2466/11.IT.3.1 (rank-biserial); Hodges and Lehmann, doi:10.1214/aoms/1177704172.

    Args:
        d: ``(n,)`` differences without NaN, positive where the first is better.
    """
    values = np.asarray(d, dtype=float)
    ranked = signed_rank(values)
    with np.errstate(invalid="ignore"):  # of infinities of both signs mean and median are undefined
        mean, median = (float(f(values)) if values.size else math.nan for f in (np.mean, np.median))
    total = float(ranked.n[0] * (ranked.n[0] + 1) / 2)
    biserial = (2 * float(ranked.positive[0]) - total) / total if total else 0.0
    return Effect(
        n=values.size,
        rank_biserial=biserial,
        hodges_lehmann=hodges_lehmann(values),
        mean=mean,
        median=median,
        common_language=float(np.mean(values > 0) + np.mean(values == 0) / 2) if values.size else math.nan,
        better=float(np.mean(values > 0)) if values.size else math.nan,
        tied=float(np.mean(values == 0)) if values.size else math.nan,
    )


def hodges_lehmann(d: ArrayLike) -> float:
    """Return the median of the Walsh averages (d_k + d_l)/2 over k <= l; zeros are kept; NaN for no values."""
    values: NDArray[Any] = np.asarray(d, dtype=float)
    if not values.size:
        return float("nan")
    k, m = np.triu_indices(values.size)
    with np.errstate(invalid="ignore"):
        return float(np.median((values[k] + values[m]) / 2))
