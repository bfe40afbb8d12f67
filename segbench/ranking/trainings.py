"""Would other trainings say the same? A test of a mean difference whose error holds patients and seeds.

The mean difference of two methods varies with the patients and with the seeds of both methods. How much seeds vary is
pooled over all methods of a board that have several, and no method is held to less than its own spread; a method with
one seed is held to the pooled one, or to the other method's if that is larger. So a spread that is known is never
dropped, and more seeds make a claim easier. The two parts have their own degrees of freedom; their sum is judged by
Banerjee's inequality (Sankhya 22, 1960, 357-358), which keeps the level whatever the ratio of the parts, where
Satterthwaite's approximation exceeds it with three seeds. What patient and seed do together is counted in both parts,
which errs on the side of "no evidence".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segbench.ranking.patients import means_of

Floats = NDArray[np.float64]
_STEPS = 60
_SMALLEST = 1e-300


@dataclass(frozen=True)
class Spread:
    """How much the mean over patients varies over seeds; K methods of a board.

    Attributes:
        seeds: ``(K,)`` how many each has.
        own: ``(K,)`` variance between a method's seeds, NaN with one, infinite where it is not known.
        pooled: their mean, weighted by degrees of freedom; NaN where no method has several seeds.
        df: degrees of freedom of the pooled variance.
    """

    seeds: tuple[int, ...]
    own: Floats
    pooled: float
    df: int

    @property
    def known(self) -> bool:
        """Whether some method has several seeds, so that other trainings can be spoken of."""
        return self.df > 0

    def held(self, i: ArrayLike, j: ArrayLike) -> tuple[Floats, Floats]:
        """Return the variances that the first and the second methods of pairs are held to ``(...)``."""
        pair = self.own[np.array([i, j])]
        own = np.fmax(pair, self.pooled)
        first, second = np.where(np.isnan(pair), own.max(axis=0), own)
        return first, second


def spread_of(trainings: Sequence[Floats], patients: ArrayLike) -> Spread:
    """Return how much seeds vary.

    Args:
        trainings: of each method its values ``(S, n)`` by seed and case, NaN = none.
        patients: ``(n,)`` of each case.
    """
    own = np.array([_variance(values, patients) for values in trainings])
    seeds = tuple(len(values) for values in trainings)
    freedom = np.where(np.isfinite(own), np.array(seeds) - 1, 0)
    df = int(freedom.sum())
    pooled = float((np.where(freedom > 0, own, 0.0) * freedom).sum() / df) if df else float("nan")
    return Spread(seeds, own, pooled, df)


def _variance(values: Floats, patients: ArrayLike) -> float:
    """Return the variance over seeds of the mean over patients, of cases that all seeds have; infinite without any."""
    if len(values) < 2:
        return float("nan")
    whole = ~np.isnan(values).any(axis=0)
    means = (
        means_of(values[:, whole].T, np.asarray(patients)[whole]).mean(axis=0) if whole.any() else np.array([np.inf])
    )
    return float(means.var(ddof=1)) if np.isfinite(means).all() else float("inf")


def one_sided(mean: ArrayLike, parts: Sequence[tuple[ArrayLike, ArrayLike]]) -> Floats:
    """Return p for "the mean is positive", given the variances it is the sum of and their degrees of freedom.

    The p at which Banerjee's bound, the root of the sum of ``t(p, df)**2 * variance``, equals the mean; where nothing
    varies it is 0 or 1, and 0.5 for a mean of 0.

    Args:
        mean: ``(...)``.
        parts: variance and degrees of freedom of each part, both ``(...)``.
    """
    from scipy.special import stdtr

    size, *flat = np.broadcast_arrays(np.abs(mean), *(np.asarray(one, dtype=float) for part in parts for one in part))
    variances, dfs = np.array(flat[::2]), np.array(flat[1::2])
    total = variances.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.where(total > 0, size / np.sqrt(total), np.where(size > 0, np.inf, 0.0))
    used = np.where(variances > 0, dfs, np.nan)
    found = np.where(t > 0, 0.0, 0.5)
    open_ = (t > 0) & np.isfinite(t)
    if open_.any():
        fewest, most = np.nanmin(used[..., open_], axis=0), np.nanmax(used[..., open_], axis=0)
        low, high = (np.log(np.maximum(stdtr(df, -t[open_]), _SMALLEST)) for df in (most, fewest))
        found[open_] = np.exp(_solved(low, high, size[open_], variances[:, open_], dfs[:, open_]))
    return np.asarray(np.where(np.asarray(mean) > 0, found, 1 - found), dtype=float)


def _solved(low: Floats, high: Floats, size: Floats, variances: Floats, dfs: Floats) -> Floats:
    """Return log p between two bounds at which the bound of ``one_sided`` is ``size``; regula falsi (Illinois)."""

    def excess(log_p: Floats) -> Floats:
        return np.log(np.maximum(_reach(np.exp(log_p), variances, dfs), _SMALLEST)) - np.log(size)

    above, below = excess(low), excess(high)  # the bound falls as p grows
    side = np.zeros(low.shape)
    middle = high
    for _ in range(_STEPS):
        with np.errstate(invalid="ignore", divide="ignore"):
            step = np.where(above - below > 0, above / (above - below), 0.5)
        middle = low + np.clip(step, 0.0, 1.0) * (high - low)
        value = excess(middle)
        if (np.abs(value) < 1e-12).all() or (high - low < 1e-12).all():
            break
        too_low = value > 0
        low, above = np.where(too_low, middle, low), np.where(too_low, value, above)
        high, below = np.where(too_low, high, middle), np.where(too_low, below, value)
        below = np.where(too_low & (side > 0), below / 2, below)
        above = np.where(~too_low & (side < 0), above / 2, above)
        side = np.where(too_low, 1, -1)
    return middle


def _reach(p: Floats, variances: Floats, dfs: Floats) -> Floats:
    """Return Banerjee's bound at one-sided levels p."""
    from scipy.special import stdtrit

    squares = [v * stdtrit(df, p) ** 2 for v, df in zip(variances, dfs, strict=True)]
    return np.asarray(np.sqrt(sum(squares)), dtype=float)


@dataclass(frozen=True)
class Trainings:
    """Differences of two methods per patient ``(n,)``, and the variances between seeds that both are held to.

    Attributes:
        d: positive where the first is better.
        held: variances of the first's and the second's seeds.
        df: degrees of freedom of these.
        ranked: whether these are ranks among all trainings within a case, since the values have no mean.
    """

    d: Floats
    held: tuple[Floats, Floats]
    df: int
    ranked: bool = False

    def p(self, seeds: tuple[int, int], drawn: NDArray[np.intp] | None = None, more: int = 0) -> tuple[Floats, Floats]:
        """Return one-sided p of "better" and "worse"; what cannot be computed is no evidence: p = 1.

        Args:
            seeds: numbers of seeds of either method.
            drawn: ``(B, n)`` patients of each resample; p is ``(B,)`` then.
            more: degrees of freedom that further seeds would add.
        """
        d = self.d if drawn is None else self.d[drawn]
        if d.shape[-1] < 2 or not np.isfinite(self.held).all():
            return np.ones(d.shape[:-1]), np.ones(d.shape[:-1])
        better = one_sided(d.mean(axis=-1), self._parts(d, seeds, more))
        return better, 1 - better

    def interval(self, seeds: tuple[int, int], level: float = 0.95) -> tuple[float, float] | None:
        """Return the interval of the mean difference; None for ranks, and where a variance is unknown."""
        if self.ranked or self.d.size < 2 or not np.isfinite(self.held).all():
            return None
        variances, dfs = (np.array(column, dtype=float) for column in zip(*self._parts(self.d, seeds), strict=True))
        reach = float(_reach(np.asarray((1 + level) / 2), variances, dfs))
        return float(self.d.mean()) - reach, float(self.d.mean()) + reach

    def _parts(self, d: Floats, seeds: tuple[int, int], more: int = 0) -> list[tuple[Floats, float]]:
        n = d.shape[-1]
        of_seeds = sum(variance / count for variance, count in zip(self.held, seeds, strict=True))
        return [(d.var(axis=-1, ddof=1) / n, n - 1.0), (np.asarray(of_seeds), float(self.df + more))]
