"""Would other trainings say the same? A t-test of a mean difference whose error holds cases and both methods' seeds.

Its variance has a part for cases and one for the seeds of each method, with Satterthwaite's degrees of freedom
(doi:10.2307/3002019). What case and seed do together is counted in both parts, which errs on the side of "no evidence".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segbench.ranking.robustness import mean_over_cases
from segbench.ranking.schemes import case_ranks

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trainings:
    """Differences per case ``(n,)``, and the variances of the seeds' means of either method.

    ``ranked`` says that they are of ranks within cases, since the values have no mean.
    """

    d: Floats
    seed_variances: tuple[float, float]
    ranked: bool

    def p(self, seeds: tuple[int, int], drawn: NDArray[np.intp] | None = None) -> tuple[Floats, Floats]:
        """Return one-sided p of "better" and "worse"; what cannot be computed is no evidence: p = 1.

        Args:
            seeds: numbers of seeds of either method.
            drawn: ``(B, n)`` cases of each resample; p is ``(B,)`` then.
        """
        d = self.d if drawn is None else self.d[drawn]
        if d.shape[-1] < 2 or not np.isfinite(self.seed_variances).all():
            return np.ones(d.shape[:-1]), np.ones(d.shape[:-1])
        from scipy.special import stdtr

        error, df = self._error(d, seeds)
        mean = d.mean(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            t = np.where(error > 0, mean / error, np.where(mean == 0, 0.0, np.sign(mean) * np.inf))
        return stdtr(df, -t), stdtr(df, t)

    def interval(self, seeds: tuple[int, int]) -> tuple[float, float] | None:
        """Return the 95 % interval of the mean difference; None for ranks, and where a variance is unknown."""
        if self.ranked or not np.isfinite(self.seed_variances).all():
            return None
        from scipy.special import stdtrit

        error, df = self._error(self.d, seeds)
        reach = float(stdtrit(df, 0.975) * error)
        return float(self.d.mean()) - reach, float(self.d.mean()) + reach

    def _error(self, d: Floats, seeds: tuple[int, int]) -> tuple[Floats, Floats]:
        """Return the standard error of the mean of ``(..., n)`` differences, and its degrees of freedom."""
        n = d.shape[-1]
        of_seeds = [np.asarray(v / s) for v, s in zip(self.seed_variances, seeds, strict=True)]
        parts = [d.var(axis=-1, ddof=1) / n, *of_seeds]
        total = np.asarray(sum(parts))
        freedom = sum(part**2 / (count - 1) for part, count in zip(parts, (n, *seeds), strict=True))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sqrt(total), np.where(total > 0, total**2 / freedom, n - 1.0)


def trainings_of(d: Floats, first: Floats, second: Floats, direction: int) -> Trainings:
    """Return what is tested; infinite values, which have no mean, are replaced by ranks among all seeds of a case.

    Args:
        d: ``(n,)`` differences of two methods, positive where the first is better.
        first, second: ``(S, n)`` their values per seed, NaN = none.
        direction: +1 if larger is better, else -1.
    """
    ranked = any(bool(np.isinf(one).any()) for one in (d, first, second))
    if ranked:
        ranks = -case_ranks(np.concatenate([first, second]).T, direction, "drop", "average").T  # large is best
        first, second = ranks[: len(first)], ranks[len(first) :]
        d = np.nan_to_num(mean_over_cases(first, axis=0) - mean_over_cases(second, axis=0))
    return Trainings(d, (_variance(first), _variance(second)), ranked)


def pairwise_doubt(ranks: Floats, means: Sequence[Sequence[float]]) -> Floats:
    """Return ``(K, K)`` one-sided p for "other trainings of i would be better than others of j too".

    Args:
        ranks: ``(n, K)`` of each case, small is best, NaN = none.
        means: for each method its mean rank by each seed; with fewer than two of them nothing is doubted (p = 0).
    """
    K = ranks.shape[1]
    p = np.zeros((K, K))
    for i in range(K):
        for j in range(i + 1, K):
            seeds = (len(means[i]), len(means[j]))
            if min(seeds) > 1:
                d = ranks[:, j] - ranks[:, i]
                variances = (float(np.var(means[i], ddof=1)), float(np.var(means[j], ddof=1)))
                better, worse = Trainings(d[~np.isnan(d)], variances, True).p(seeds)
                p[i, j], p[j, i] = float(better), float(worse)
    return p


def _variance(values: Floats) -> float:
    """Return the variance over seeds of the mean over cases of ``(S, n)``; infinite if a seed has none."""
    means = mean_over_cases(values, axis=1)
    return math.inf if np.isnan(means).any() else float(means.var(ddof=1))
