"""Friedman's test, Iman and Davenport's version, Nemenyi's comparison and the groups of a critical-difference diagram.

Blocks are cases within one task, or datasets across datasets (Demsar); cases of several datasets are never pooled.
Nemenyi's result depends on which other algorithms are in the pool: a picture, not a verdict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, fdtrc, ndtr

from segbench.ranking.schemes import rank_na

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Friedman:
    """Friedman's test of n blocks and K algorithms.

    Attributes:
        mean_rank: ``(K,)`` average ranks, 1 = best.
        n: number of blocks.
        chi2, p: the statistic with the correction for ties, and its p (df K - 1).
        f, f_p: Iman and Davenport's F and its p (df K - 1 and (K - 1)(n - 1)).
        w: Kendall's coefficient of concordance.
    """

    mean_rank: Floats
    n: int
    chi2: float
    p: float
    f: float
    f_p: float
    w: float


def friedman(X: ArrayLike, direction: int) -> Friedman:
    """Test whether all algorithms rank alike.

    Source: Friedman, doi:10.1080/01621459.1937.10503522; Iman and Davenport, doi:10.1080/03610928008827904.

    Args:
        X: ``(n, K)``, K >= 2; a missing value has the worst rank of its block.
        direction: +1 or -1.
    """
    ranks = rank_na(X, direction, "average")
    n, K = ranks.shape
    mean = ranks.mean(axis=0)
    spread = float(((ranks - (K + 1) / 2) ** 2).sum())  # = n K (K^2 - 1)/12 less the ties
    if spread == 0:
        return Friedman(mean, n, math.nan, 1.0, math.nan, 1.0, math.nan)
    # The usual formula 12 n/(K(K+1)) sum(...)^2 over its tie correction, both written in sums of squares.
    chi2 = float(n * n * (K - 1) * ((mean - (K + 1) / 2) ** 2).sum() / spread)
    rest = n * (K - 1) - chi2
    if rest <= 1e-9 * n * (K - 1):
        f, f_p = math.inf, 0.0
    else:
        f = (n - 1) * chi2 / rest
        f_p = float(fdtrc(K - 1, (K - 1) * (n - 1), f)) if n > 1 else math.nan
    return Friedman(mean, n, chi2, float(chdtrc(K - 1, chi2)), f, f_p, chi2 / (n * (K - 1)))


def critical_difference(n: int, K: int, alpha: float = 0.05) -> float:
    """Return Nemenyi's critical difference of mean ranks, q/sqrt(2) sqrt(K(K+1)/(6n)).

    Source: Demsar 2006, jmlr.org/papers/v7/demsar06a.html.
    """
    return range_quantile(K, 1 - alpha) / math.sqrt(2) * math.sqrt(K * (K + 1) / (6 * n))


@cache
def range_quantile(K: int, p: float) -> float:
    """Return the quantile of the range of K independent standard normal values, by quadrature and bisection.

    SciPy's ``studentized_range`` with infinite degrees of freedom gives the same and needs a second for it.
    """
    z = np.linspace(-9, 9, 3601)  # the trapezoidal rule converges exponentially for such an integrand
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    low, high = 0.0, 20.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        reached = K * float(density @ (ndtr(z) - ndtr(z - middle)) ** (K - 1))
        low, high = (middle, high) if reached < p else (low, middle)
    return (low + high) / 2


def groups(mean_rank: ArrayLike, difference: float) -> list[tuple[int, ...]]:
    """Return maximal runs of algorithms, best first, whose mean ranks lie within less than ``difference``.

    Args:
        mean_rank: ``(K,)``.
        difference: the critical difference.

    Returns:
        Runs of at least two, as indices into ``mean_rank``.
    """
    mean = np.asarray(mean_rank, dtype=float)
    order = np.argsort(mean, kind="stable")
    ordered = mean[order]
    runs: list[tuple[int, ...]] = []
    reached = 0
    for first in range(len(order)):
        last = int(np.searchsorted(ordered - ordered[first], difference, side="left"))
        if last > reached and last - first > 1:
            runs.append(tuple(int(index) for index in order[first:last]))
        reached = max(reached, last)
    return runs
