"""Which methods of a board can be told apart by a metric: the one definition, for letters, maps and ``compare``.

Two questions must both be answered yes before a difference is claimed. Would other patients say the same? (the signed
rank test over patients, each the mean of its scans, labels and seeds). Would other trainings say the same? (a test of
the mean difference over patients and seeds, see ``trainings``). The p-value of a pair is the larger of the two, and
Holm adjusts it over all ordered pairs of the board's methods; it is 1 against the sign of the mean difference. Where no
method has several seeds the second question cannot be asked: a claim then speaks of these trained networks, and is held
to a fifth of the level.

Infinite values have no mean: the test over trainings then takes ranks within a case, among all trainings of the board.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from segbench.ranking.boards import Request
from segbench.ranking.grid import Grid
from segbench.ranking.patients import count, means_of
from segbench.ranking.schemes import case_ranks
from segbench.ranking.significance import DECIMALS, adjust, differences, signed_rank, signed_ranks
from segbench.ranking.trainings import Spread, Trainings, one_sided, spread_of

Floats = NDArray[np.float64]
ALPHA = 0.05
FEWEST = 6
"""Patients below which nothing is tested."""
STRICTER = 5
"""Claims are held to alpha divided by this where no method has several seeds."""


@dataclass(frozen=True)
class Evidence:
    """What is known of a pair.

    Attributes:
        d: ``(patients,)`` differences, positive where the first is better.
        cases: how many cases they are means of.
        seeds: of the first and of the second.
        trainings: what tells of other trainings; None where no method of the board has several seeds.
    """

    d: Floats
    cases: int
    seeds: tuple[int, int]
    trainings: Trainings | None

    @cached_property
    def p(self) -> tuple[float, float]:
        """One-sided p of "better" and of "worse", not adjusted; 1 where nothing can be tested."""
        mean = mean_of(self.d)
        if self.d.size < FEWEST or math.isnan(mean):
            return 1.0, 1.0
        ranked = signed_rank(self.d)
        better, worse = float(ranked.p("better")[0]), float(ranked.p("worse")[0])
        if self.trainings is not None:
            other = self.trainings.p(self.seeds)
            better, worse = max(better, float(other[0])), max(worse, float(other[1]))
        return better if mean > 0 else 1.0, worse if mean < 0 else 1.0


def mean_of(d: Floats) -> float:
    """Return the mean of differences; NaN of none, and of infinities of both signs."""
    with np.errstate(invalid="ignore"):
        return float(d.mean()) if d.size else math.nan


class Pairwise:
    """K methods by one metric, of one label or averaged over labels.

    Args:
        names: of the K methods.
        values: ``(n, K)`` per case, seeds averaged; NaN = left out, and a pair uses the cases that both have.
        trainings: of each method its values ``(S, n)`` by seed.
        patients: ``(n,)`` the patient of each case.
        direction: +1 if larger is better, else -1.
        decimals: rounding of differences.
        family: number of tests that Holm adjusts together, if methods take part that could not be tested with these
            (their p counts as 1); by default all ordered pairs.
    """

    def __init__(
        self,
        names: Sequence[str],
        values: Floats,
        trainings: Sequence[Floats],
        patients: NDArray[np.intp],
        direction: int,
        decimals: int | None = DECIMALS,
        family: int | None = None,
    ) -> None:
        self.names = tuple(names)
        self.family = family or len(names) * (len(names) - 1)
        kept = ~np.isnan(values).all(axis=1)
        self.values, self.patients = values[kept], patients[kept]
        self.trainings = [one[:, kept] for one in trainings]
        self.direction, self.decimals = direction, decimals

    @property
    def methods(self) -> int:
        """K."""
        return int(self.values.shape[1])

    @cached_property
    def size(self) -> int:
        """Number of patients."""
        return count(self.patients)

    @property
    def tested(self) -> bool:
        """Whether there are enough patients, and methods, to test anything."""
        return self.size >= FEWEST and self.methods > 1

    @property
    def seeds(self) -> tuple[int, ...]:
        """Number of seeds of each method."""
        return tuple(len(one) for one in self.trainings)

    @cached_property
    def means(self) -> Floats:
        """Values of each patient ``(patients, K)``."""
        return means_of(self.values, self.patients)

    @cached_property
    def spread(self) -> Spread:
        """How much the seeds' means vary."""
        return spread_of(self.trainings, self.patients)

    @property
    def of_trainings(self) -> bool:
        """Whether some method has several seeds, so that claims speak of other trainings too."""
        return max(self.seeds, default=0) > 1

    def level(self, alpha: float = ALPHA) -> float:
        """Return the level a claim is held to."""
        return alpha if self.of_trainings else alpha / STRICTER

    @cached_property
    def _ranked(self) -> tuple[Floats, Spread]:
        """Ranks in place of values ``(n, K)``, large is best, and how much they vary over seeds."""
        ranks = -case_ranks(np.concatenate(self.trainings).T, self.direction, "drop", "average").T
        each = np.split(ranks, np.cumsum(self.seeds)[:-1])
        together = np.stack([_mean(one) for one in each], axis=1)
        return together, spread_of(each, self.patients)

    def evidence(self, i: int, j: int) -> Evidence:
        """Return what is known of a pair."""
        both = ~np.isnan(self.values[:, i]) & ~np.isnan(self.values[:, j])
        if self._plain[i] and self._plain[j]:
            d = self._differences(i, j)
        else:
            per_case = differences(self.values[both, i], self.values[both, j], self.direction, None)
            d = self._rounded(means_of(per_case, self.patients[both]))
            d[np.isnan(d)] = 0.0  # infinitely better in one scan and infinitely worse in another of the same patient
        trainings = self._trainings(i, j, d, both) if self.of_trainings else None
        return Evidence(d, int(both.sum()), (self.seeds[i], self.seeds[j]), trainings)

    @cached_property
    def _plain(self) -> NDArray[np.bool_]:
        """Which methods have neither gaps nor infinities ``(K,)``."""
        finite = [bool(np.isfinite(one).all()) for one in self.trainings]
        return np.asarray(np.isfinite(self.values).all(axis=0) & np.array(finite, dtype=bool))

    def _differences(self, i: int | NDArray[np.intp], j: int | NDArray[np.intp]) -> Floats:
        """Return the differences of plain methods ``(patients, ...)``."""
        return self._rounded(np.asarray(self.direction * (self.means[:, i] - self.means[:, j])))

    def _trainings(self, i: int, j: int, d: Floats, both: NDArray[np.bool_]) -> Trainings:
        if all(np.isfinite(self.trainings[k][:, both]).all() for k in (i, j)):
            return Trainings(d, self.spread.held(i, j), self.spread.df)
        ranks, spread = self._ranked
        means = means_of((ranks[:, i] - ranks[:, j])[both], self.patients[both])
        return Trainings(means, spread.held(i, j), spread.df, ranked=True)

    def _rounded(self, d: Floats) -> Floats:
        return d if self.decimals is None else np.asarray(np.round(d, self.decimals))

    @cached_property
    def p(self) -> Floats:
        """One-sided p for "i better than j" ``(K, K)``, not adjusted; 1 on the diagonal and where nothing is tested."""
        p = np.ones((self.methods, self.methods))
        if not self.tested:
            return p
        i, j = np.triu_indices(self.methods, 1)
        plain = self._plain[i] & self._plain[j]
        if plain.any():
            p[i[plain], j[plain]], p[j[plain], i[plain]] = self._plain_p(i[plain], j[plain])
        for first, second in zip(i[~plain].tolist(), j[~plain].tolist(), strict=True):
            p[first, second], p[second, first] = self.evidence(first, second).p
        return p

    def _plain_p(self, i: NDArray[np.intp], j: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return ``Evidence.p`` of pairs of plain methods ``(pairs,)``, all at once."""
        d = self._differences(i, j).T
        ranked, mean = signed_ranks(d), d.mean(axis=1)
        better, worse = ranked.p("better"), ranked.p("worse")
        if self.of_trainings:
            first, second = self.spread.held(i, j)
            seeds = np.array(self.seeds)
            of_seeds = first / seeds[i] + second / seeds[j]
            known = np.isfinite(of_seeds)
            of_patients = (d.var(axis=1, ddof=1) / self.size, self.size - 1.0)
            other = one_sided(mean, [of_patients, (np.where(known, of_seeds, 0.0), self.spread.df)])
            better = np.maximum(better, np.where(known, other, 1.0))
            worse = np.maximum(worse, np.where(known, 1 - other, 1.0))
        return np.where(mean > 0, better, 1.0), np.where(mean < 0, worse, 1.0)

    @cached_property
    def adjusted(self) -> Floats:
        """``p`` after Holm over all ordered pairs ``(K, K)``; 1 on the diagonal."""
        outside = ~np.eye(self.methods, dtype=bool)
        result = np.ones((self.methods, self.methods))
        own = self.p[outside]
        result[outside] = adjust(np.concatenate([own, np.ones(self.family - own.size)]), "holm")[: own.size]
        return result

    def better(self, alpha: float = ALPHA) -> NDArray[np.bool_]:
        """Return whether i can be claimed to be better than j ``(K, K)``."""
        return np.asarray(self.adjusted <= self.level(alpha)) & self.tested


def _mean(values: Floats) -> Floats:
    gaps = np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(gaps, 0.0, values).sum(axis=0) / (~gaps).sum(axis=0), dtype=float)


@dataclass(frozen=True)
class Family:
    """The board whose methods are judged together: all of its dataset, whichever of them are shown.

    Attributes:
        grid: its values; where not all may stand side by side, of those that are shown.
        methods: how many take part.
        note: why some of them are not in the grid; "" if all are.
    """

    grid: Grid
    methods: int
    note: str = ""

    def pairs(self, measures: Sequence[int], request: Request) -> Pairwise:
        """Return who can be told apart by some measures of one metric, averaged within a case.

        Args:
            measures: indices into the grid's; of a large board all of a metric.
            request: says how missing values are dealt with.
        """
        grid, t = self.grid, measures[0]
        worth = grid.penalty(t) if request.missing in (None, "worst") else request.missing
        values, trainings = grid.repeats.values(measures, worth)  # type: ignore[arg-type]
        rest = (grid.patients, grid.measures[t].direction, request.decimals, self.methods * (self.methods - 1))
        return Pairwise(grid.competitors, values, trainings, *rest)

    def by_metric(self, metrics: Sequence[str], request: Request) -> dict[str, Pairwise]:
        """Return who can be told apart by each of some metrics, averaged over labels within a case."""
        its: dict[str, list[int]] = {name: [] for name in metrics}
        for t, measure in enumerate(self.grid.measures):
            if measure.metric in its:
                its[measure.metric].append(t)
        return {name: self.pairs(found, request) for name, found in its.items() if found}

    def by_task(self, label: str, metric: str, request: Request) -> Pairwise | None:
        """Return who can be told apart by one measure; None on large boards, which keep no seeds of each."""
        wanted = [t for t, one in enumerate(self.grid.measures) if (one.label, one.metric) == (label, metric)]
        return self.pairs(wanted, request) if wanted and self.grid.repeats.fine else None
