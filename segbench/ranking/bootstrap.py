"""Bootstrap: stability of rankings over resampled patients, and confidence intervals.

A patient drawn m times is m patients, with all scans (see ``patients``). One draw is shared by all algorithms, labels
and metrics of a dataset.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segbench.ranking.patients import NOBODY
from segbench.ranking.resampled_tests import resampled_p
from segbench.ranking.schemes import Missing, Scheme, Ties, case_ranks, kendall, rank_aggregates
from segbench.ranking.significance import DECIMALS, Adjustment, wins

Floats = NDArray[np.float64]
Interval = Literal["percentile", "basic", "bca"]


def draw(n: int, resamples: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Return ``(resamples, n)`` numbers of n patients drawn with replacement; ``patients.cases_of`` gives the cases."""
    return generator.integers(0, n, size=(resamples, n), dtype=np.intp)


def multiplicities(drawn: ArrayLike, n: int | None = None) -> Floats:
    """Return ``(B, n)`` how often each of n cases occurs in each resample ``(B, m)``; by default n is m."""
    indices = np.asarray(drawn)
    B = len(indices)
    n = indices.shape[1] if n is None else n
    flat = indices + n * np.arange(B)[:, None]
    return np.bincount(flat[indices != NOBODY], minlength=B * n).reshape(B, n).astype(float)


def bootstrap_aggregates(values: ArrayLike, drawn: NDArray[np.intp], how: str) -> Floats:
    """Return the mean or median of each column in each resample ``(B, K)``; NaN are left out of their column.

    Args:
        values: ``(n, K)``.
        drawn: ``(B, m)`` indices of cases, or ``patients.NOBODY``.
        how: "mean" or "median".
    """
    array = np.asarray(values, dtype=float)
    gaps = np.isnan(array)
    if how == "mean":
        M = multiplicities(drawn, len(array))
        infinite = np.isinf(array)
        total = M @ np.where(gaps | infinite, 0.0, array)
        if infinite.any():
            with np.errstate(invalid="ignore"):
                total = total + np.where(M @ (array == np.inf) > 0, np.inf, 0.0)
                total = total - np.where(M @ (array == -np.inf) > 0, np.inf, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            size = M @ (~gaps).astype(float) if gaps.any() else M.sum(axis=1, keepdims=True)
            return np.asarray(total / size, dtype=float)
    if (drawn == NOBODY).any():
        array = np.concatenate([array, np.full((1, array.shape[1]), np.nan)])  # index -1
        gaps = np.isnan(array)
    result = np.empty((len(drawn), array.shape[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a resample may have gaps only: NaN is the answer
        for k, column in enumerate(array.T):  # one column at a time: (B, n) stays small
            result[:, k] = (np.nanmedian if gaps[:, k].any() else np.median)(column[drawn], axis=1)
    return result


def bootstrap_scores(
    X: ArrayLike,
    direction: int,
    scheme: Scheme,
    drawn: NDArray[np.intp],
    missing: Missing = None,
    ties: Ties = "average",
    adjustment: Adjustment = "none",
    alpha: float = 0.05,
    decimals: int | None = DECIMALS,
) -> tuple[Floats, int]:
    """Apply a ranking scheme to every resample up to its last step, without a loop over resamples.

    Args:
        X: ``(n, K)``, as in ``ranking.rank_task``.
        direction: +1 or -1.
        scheme: name of the scheme.
        drawn: ``(B, m)`` indices of cases, or ``patients.NOBODY``.
        missing, ties, adjustment, alpha, decimals: as in ``ranking``.

    Returns:
        What remains to be ranked ``(B, K)`` (aggregates, aggregated ranks or numbers of wins) and its direction.
    """
    values = np.array(X, dtype=float)
    first, _, second = scheme.partition("-then-")
    if first == "rank":
        return bootstrap_aggregates(case_ranks(values, direction, missing, ties), drawn, second), -1
    if missing is not None and missing != "drop":
        values[np.isnan(values)] = missing
    if first != "test":
        return bootstrap_aggregates(values, drawn, first), direction
    M = multiplicities(drawn, len(values))
    won = wins(resampled_p(values, direction, M, decimals), alpha, adjustment).sum(axis=2).astype(float)  # (B, K)
    won[M @ ~np.isnan(values) == 0] = np.nan
    return won, 1


def bootstrap_ranks(
    X: ArrayLike,
    direction: int,
    scheme: Scheme,
    drawn: NDArray[np.intp],
    missing: Missing = None,
    ties: Ties = "average",
    adjustment: Adjustment = "none",
    decimals: int | None = DECIMALS,
) -> Floats:
    """Return the ranks of a whole scheme in every resample ``(B, K)``; arguments as ``bootstrap_scores``."""
    scores, way = bootstrap_scores(X, direction, scheme, drawn, missing, ties, adjustment, decimals=decimals)
    return rank_aggregates(scores, way, ties)


@dataclass(frozen=True)
class Stability:
    """How firm a ranking is under resampling of patients.

    Attributes:
        low, high: ``(K,)`` 2.5 and 97.5 % quantiles of the ranks (type 7).
        mean, median: ``(K,)`` of the ranks.
        p_first: ``(K,)`` share of resamples with rank 1; ties all count.
        p_first_shared: ``(K,)`` the same with ties shared, which sums to 1.
        frequency: ``(K, R)`` share of resamples at each rank of ``levels``.
        levels: ``(R,)`` the ranks that occurred, ascending.
        tau: ``(B,)`` tau-b between each resample's ranking and the full one; NaN = undefined.
    """

    low: Floats
    high: Floats
    mean: Floats
    median: Floats
    p_first: Floats
    p_first_shared: Floats
    frequency: Floats
    levels: Floats
    tau: Floats

    @property
    def tau_undefined(self) -> int:
        """Number of resamples whose tau is undefined because a ranking is constant."""
        return int(np.isnan(self.tau).sum())


def stability(ranks: ArrayLike, full: ArrayLike) -> Stability:
    """Summarise bootstrapped ranks.

    Args:
        ranks: ``(B, K)``, minimum ranks where ties are to count as first.
        full: ``(K,)`` the ranking of all patients.
    """
    values = np.asarray(ranks, dtype=float)
    low, median, high = np.quantile(values, [0.025, 0.5, 0.975], axis=0)
    best = values == values.min(axis=1, keepdims=True)
    levels, where = np.unique(values, return_inverse=True)
    K = values.shape[1]
    cell = where.reshape(values.shape) + len(levels) * np.arange(K)
    counts = np.bincount(cell.ravel(), minlength=K * len(levels)).reshape(K, len(levels))
    return Stability(
        low=low,
        high=high,
        mean=values.mean(axis=0),
        median=median,
        p_first=(values == 1).mean(axis=0),
        p_first_shared=(best / best.sum(axis=1, keepdims=True)).mean(axis=0),
        frequency=counts / len(values),
        levels=levels,
        tau=kendall(values, full),
    )


def interval_from(
    distribution: ArrayLike,
    estimate: float,
    kind: Interval = "percentile",
    jackknife: ArrayLike = (),
    level: float = 0.95,
) -> tuple[float, float]:
    """Return a confidence interval from bootstrapped statistics.

    Source: Efron, doi:10.1080/01621459.1987.10478410 (BCa). Constant data give ``(estimate, estimate)``.

    Args:
        distribution: ``(B,)`` the statistic of each resample.
        estimate: the statistic of the data.
        kind: percentile | basic | bca.
        jackknife: ``(n,)`` leave-one-out statistics, for bca.
        level: coverage.
    """
    theta = np.asarray(distribution, dtype=float)
    tail = np.array([(1 - level) / 2, (1 + level) / 2])
    if np.ptp(theta) == 0:
        return float(theta[0]), float(theta[0])
    if kind == "bca":
        tail = _bca_levels(theta, estimate, np.asarray(jackknife, dtype=float), tail)
    low, high = np.quantile(theta, tail)
    if kind == "basic":
        low, high = 2 * estimate - high, 2 * estimate - low
    return float(low), float(high)


def _bca_levels(theta: Floats, estimate: float, jackknife: Floats, tail: Floats) -> Floats:
    from scipy.special import ndtr, ndtri

    share = ((theta < estimate).sum() + (theta <= estimate).sum()) / (2 * theta.size)
    z0 = ndtri(np.clip(share, 0.5 / theta.size, 1 - 0.5 / theta.size))
    u = jackknife.mean() - jackknife
    spread = float((u**2).sum())
    a = float((u**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    z = z0 + ndtri(tail)
    return np.asarray(ndtr(z0 + z / (1 - a * z)), dtype=float)


def confidence_interval(
    values: ArrayLike,
    statistic: Literal["mean", "median"] = "mean",
    kind: Interval | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    generator: np.random.Generator | None = None,
) -> tuple[float, float] | None:
    """Return a bootstrap confidence interval of a mean or median over patients; None where infinite values leave none.

    Args:
        values: ``(n,)``, n >= 1; for the difference of two methods give the paired differences.
        statistic: "mean" or "median".
        kind: by default bca for means, percentile for medians (whose jackknife is not consistent).
        level: coverage.
        resamples: 2000 or more.
        generator: by default seeded with 0.
    """
    data = np.asarray(values, dtype=float)
    if not np.isfinite(data).all() and statistic == "mean":
        return None
    if (data == data[0]).all():
        return float(data[0]), float(data[0])
    sample = data[draw(data.size, resamples, generator or np.random.default_rng(0))]
    if statistic == "median":
        with np.errstate(invalid="ignore"):  # a median between two infinities is undefined, and so is its interval
            medians = np.median(sample, axis=1)
            found = interval_from(medians, float(np.median(data)), kind or "percentile", level=level)
        return None if np.isnan(found).any() else found
    leave_one_out = (data.sum() - data) / (data.size - 1)
    return interval_from(sample.mean(axis=1), float(data.mean()), kind or "bca", leave_one_out, level)
