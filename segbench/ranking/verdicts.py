"""Is A better than B? Paired over cases, with seeds nested; and what it would take to know.

Two questions must both be answered yes before a difference is claimed. Would other cases say the same? (the signed
rank test over cases, each averaged over its seeds and labels). Would other trainings say the same? (where both
methods have several seeds: a t-test whose variance has a part for cases and one for the seeds of each method, with
Satterthwaite's degrees of freedom, doi:10.2307/3002019). The p-value of a claim is the larger of the two, adjusted by
Holm over all ordered pairs; with a single seed a claim must reach a fifth of the level. A difference within +-rope is
of no practical importance. Infinite values have no mean: the test over trainings then takes the values' ranks within
their case, among all seeds of both methods, and no interval of the mean is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segbench.errors import UsageError
from segbench.ranking.boards import Request
from segbench.ranking.bootstrap import confidence_interval
from segbench.ranking.chunks import Scores
from segbench.ranking.comparability import comparable
from segbench.ranking.counting import build
from segbench.ranking.entrants import Names
from segbench.ranking.grid import Grid, select
from segbench.ranking.holdings import board_parts, grid_of, part_of
from segbench.ranking.identical import sameness
from segbench.ranking.leaderboard import choose
from segbench.ranking.robustness import mean_over_cases
from segbench.ranking.significance import Effect, adjust, differences, effect, signed_rank
from segbench.ranking.trainings import Trainings, trainings_of
from segbench.ranking.truths import Division

Floats = NDArray[np.float64]
Verdict = Literal["better", "worse", "practically equal", "no evidence", "identical"]
FEWEST_CASES = 6
STRICTER = 5
"""Claims from a single seed are held to alpha divided by this: how much another training would differ is unknown."""
_POWER, _FARTHEST, _REPEATS = 0.8, 20, 200


@dataclass(frozen=True)
class Comparison:
    """What can be said of one method against another on one dataset and metric; positive = the first is better.

    Attributes:
        dataset, metric, unit, first, second: what is compared.
        verdict: of the first against the second.
        effect: effect sizes over cases.
        mean_interval: 95 % interval of the mean difference over cases (BCa), or None below 6 cases and where a
            difference is infinite.
        median_interval: of the median difference (percentile); None below 6 cases, and where its end is undefined.
        nested_interval: of the mean difference when seeds may vary too; None unless both have several seeds, and where
            a value is infinite or a seed has none.
        p: Holm-adjusted p of the better direction.
        cases: number of pairs.
        seeds: of the first and of the second.
        substituted: values that were missing; ``missing`` says what became of them.
        more_cases, more_seeds: how many more would probably decide (power 0.8) if the observed difference is real;
            None = not asked for, or out of reach.
        missing: "worst", "drop", or the number that missing values counted as.
        same: cases of each seed in which all values are equal to the last bit, of ``pairs`` such cases; the verdict is
            "identical" if these are all.
        never_acted: whether they are identical in every other metric too, and not by accident (see ``identical``).
    """

    dataset: str
    metric: str
    unit: str
    first: str
    second: str
    verdict: Verdict
    effect: Effect
    mean_interval: tuple[float, float] | None
    median_interval: tuple[float, float] | None
    nested_interval: tuple[float, float] | None
    p: float
    cases: int
    seeds: tuple[int, int]
    substituted: int
    more_cases: int | None = None
    more_seeds: int | None = None
    missing: float | Literal["drop", "worst"] = "worst"
    same: int = 0
    pairs: int = 0
    never_acted: bool = False


@dataclass(frozen=True)
class _Sample:
    """Values of some methods: per case ``(n, K)``, of each per seed and case ``(S, n)``, and how many were missing."""

    grid: Grid
    values: Floats
    by_seed: list[Floats]
    substituted: NDArray[np.int_]
    missing: float | Literal["drop", "worst"]


def compare(
    scores: Scores,
    methods: Sequence[str],
    metric: str,
    rope: float = 0.0,
    request: Request | None = None,
    alpha: float = 0.05,
    resamples: int = 2000,
    say: Callable[[str], None] = lambda _: None,
) -> list[Comparison]:
    """Compare all pairs of methods on every dataset that was asked for.

    Args:
        scores: see ``chunks``.
        methods: names as the leaderboard shows them, or as much of them as tells them apart; two at least.
        metric: one metric; labels are averaged within a case.
        rope: half-width of the region of practical equivalence, in the metric's unit.
        request: restricts datasets, labels and runs, and says how cases and missing values are dealt with.
        alpha: level of the verdicts.
        resamples: of the intervals.
        say: is told of which dataset a name means nobody, for it may mean several.

    Raises:
        UsageError: fewer than two methods, or a negative rope.
        UnknownName: a name that does not occur.
        VerificationError: values that must not be compared.
    """
    methods = list(dict.fromkeys(methods))  # a method named twice is no further comparison
    if len(methods) < 2:
        raise UsageError("compare needs two different methods at least: segbench compare A B --metric dice.")
    if not rope >= 0:
        raise UsageError(f"--rope {rope}: expected a number that is not negative, in the unit of the metric.")
    request = replace(request or Request(), metrics=(metric,), methods=tuple(methods))
    chosen = choose(scores, request)
    for note in chosen.notes:
        say(note)
    result: list[Comparison] = []
    for division, part in board_parts(chosen.scores):
        sample = _sample(part, division, chosen.names[division.dataset], request)
        present = [name for name in chosen.methods[division.dataset] if name in sample.grid.competitors]
        if len(present) > 1:
            found = _pairs(sample, present, rope, alpha, resamples)
            names, every = chosen.names[division.dataset], part_of(scores, division)
            result += [_identified(one, part, every, names) for one in found]
    if not result:
        raise UsageError(f"No dataset has {metric} for two of {', '.join(methods)}. {' '.join(chosen.notes)}".strip())
    return result


def _identified(one: Comparison, part: Scores, everything: Scores, names: Names) -> Comparison:
    """Return a comparison with the verdict "identical" if every value is the same.

    Args:
        one: what the statistics say.
        part: rows of its board and metric.
        everything: rows of its board, of all metrics.
        names: of the board.
    """
    if one.effect.median != 0:
        return one
    found = sameness(part, names, one.first, one.second)
    one = replace(one, same=found.same, pairs=found.cases)
    if not found.identical:
        return one
    in_all = sameness(everything, names, one.first, one.second)
    never_acted = in_all.identical and in_all.varied
    return replace(one, verdict="identical", more_cases=None, more_seeds=None, never_acted=never_acted)


def _sample(scores: Scores, division: Division, names: Names, request: Request) -> _Sample:
    grid = comparable(grid_of(scores, division, names), request)
    by_seed: list[list[Floats]] = [[] for _ in grid.competitors]
    for seed in scores.vocabulary["seed"]:
        part = select(scores, seed={seed})
        if not part.chunks:
            continue
        one = build(part, names, grid)
        values = _per_case(one, request)
        for k, name in enumerate(one.competitors):
            found = dict(zip(one.cases, values[:, k].tolist(), strict=True))
            column = np.array([found.get(case, math.nan) for case in grid.cases])
            by_seed[grid.competitors.index(name)].append(column)
    absent = (grid.rows == 0) & grid.scored()[:, :, None]
    substituted = (grid.undefined + absent).sum(axis=(0, 1))
    missing = "worst" if request.missing is None else request.missing
    return _Sample(grid, _per_case(grid, request), [np.array(rows) for rows in by_seed], substituted, missing)


def _per_case(grid: Grid, request: Request) -> Floats:
    """Return one value per case and method ``(n, K)``: what is missing counts as worst, labels are averaged."""
    values = grid.values("worst" if request.missing is None else request.missing)
    if request.missing != "drop":
        values = np.where(np.isnan(values) & grid.scored()[:, :, None], grid.penalties, values)
    return mean_over_cases(values, axis=0)


def _pairs(sample: _Sample, methods: list[str], rope: float, alpha: float, resamples: int) -> list[Comparison]:
    """Compare all pairs of methods on one dataset; Holm over the ordered pairs."""
    pairs = [(a, b) for i, a in enumerate(methods) for b in methods[i + 1 :]]
    evidence = [_evidence(sample, a, b) for a, b in pairs]
    adjusted = adjust(np.array([[e.p_better, e.p_worse] for e in evidence]).ravel(), "holm").reshape(-1, 2)
    family = 2 * len(pairs)
    return [
        _judge(sample, pair, e, (float(p[0]), float(p[1])), rope, alpha, family, resamples)
        for pair, e, p in zip(pairs, evidence, adjusted, strict=True)
    ]


@dataclass(frozen=True)
class _Evidence:
    """The paired differences, how much trainings vary, and one-sided p-values."""

    d: Floats
    trainings: Trainings | None
    seeds: tuple[int, int]
    p_better: float
    p_worse: float

    def level(self, alpha: float) -> float:
        """Return the level a claim is held to: stricter where the variation between trainings is unknown."""
        return alpha if self.trainings is not None else alpha / STRICTER


def _evidence(sample: _Sample, first: str, second: str) -> _Evidence:
    grid = sample.grid
    i, j = grid.competitors.index(first), grid.competitors.index(second)
    d = differences(sample.values[:, i], sample.values[:, j], grid.measures[0].direction)
    both = ~np.isnan(d)
    d, own, other = d[both], sample.by_seed[i][:, both], sample.by_seed[j][:, both]
    seeds = (len(own), len(other))
    trainings = trainings_of(d, own, other, grid.measures[0].direction) if min(seeds) > 1 else None
    if d.size < FEWEST_CASES:
        return _Evidence(d, trainings, seeds, 1.0, 1.0)
    ranked = signed_rank(d)
    better, worse = float(ranked.p("better")[0]), float(ranked.p("worse")[0])
    if trainings is not None:
        nested = trainings.p(seeds)
        better, worse = max(better, float(nested[0])), max(worse, float(nested[1]))
    return _Evidence(d, trainings, seeds, better, worse)


def _judge(
    sample: _Sample,
    pair: tuple[str, str],
    evidence: _Evidence,
    p: tuple[float, float],
    rope: float,
    alpha: float,
    family: int,
    resamples: int,
) -> Comparison:
    d, grid = evidence.d, sample.grid
    enough = d.size >= FEWEST_CASES
    mean_interval = confidence_interval(d, "mean", resamples=resamples) if enough else None
    nested = evidence.trainings.interval(evidence.seeds) if enough and evidence.trainings else None
    sizes = effect(d)
    level = evidence.level(alpha)
    known = [mean_interval] if evidence.trainings is None else [mean_interval, nested]
    verdict = _verdict(sizes.mean, p, known, rope, level)
    undecided = verdict == "no evidence" and enough and abs(sizes.mean) > rope  # not if the mean is undefined
    generator = np.random.default_rng(0)
    measure = grid.measures[0]
    return Comparison(
        dataset=f"{grid.dataset}@{grid.revision}",
        metric=measure.metric,
        unit=measure.unit,
        first=pair[0],
        second=pair[1],
        verdict=verdict,
        effect=sizes,
        mean_interval=mean_interval,
        median_interval=confidence_interval(d, "median", resamples=resamples) if enough else None,
        nested_interval=nested,
        p=min(p),
        cases=int(d.size),
        seeds=evidence.seeds,
        substituted=int(sum(sample.substituted[grid.competitors.index(name)] for name in pair)),
        more_cases=_more_cases(evidence, level / family, generator) if undecided else None,
        more_seeds=_more_seeds(evidence, level / family, generator) if undecided else None,
        missing=sample.missing,
    )


def _verdict(
    mean: float,
    p: tuple[float, float],
    intervals: Sequence[tuple[float, float] | None],
    rope: float,
    alpha: float,
) -> Verdict:
    """Significant and beyond the rope, or surely within it (by all intervals, which must be known), or neither."""
    if p[0] <= alpha and mean > rope:
        return "better"
    if p[1] <= alpha and mean < -rope:
        return "worse"
    if rope > 0 and all(one is not None and -rope <= one[0] and one[1] <= rope for one in intervals):
        return "practically equal"
    return "no evidence"


def _power(evidence: _Evidence, n: int, seeds: tuple[int, int], alpha: float, generator: np.random.Generator) -> float:
    """Return how often n cases and so many seeds would decide, were the observed differences the truth."""
    drawn = generator.integers(0, evidence.d.size, (_REPEATS, n))
    way = 1.0 if evidence.d.mean() > 0 else -1.0
    d = evidence.d * way
    M = np.stack([np.bincount(row, minlength=d.size) for row in drawn]).astype(float)
    p = signed_rank(d, M).p("better")
    if evidence.trainings is not None:
        p = np.maximum(p, evidence.trainings.p(seeds, drawn)[0 if way > 0 else 1])
    return float((p <= alpha).mean())


def _more_cases(evidence: _Evidence, alpha: float, generator: np.random.Generator) -> int | None:
    """Return how many more cases give the power wanted, at most 20 times as many as there are; None = more."""
    n = have = evidence.d.size
    while n <= _FARTHEST * have:
        n = max(n + 1, math.ceil(1.15 * n))
        if _power(evidence, n, evidence.seeds, alpha, generator) >= _POWER:
            return n - have
    return None


def _more_seeds(evidence: _Evidence, alpha: float, generator: np.random.Generator) -> int | None:
    """Return how many more seeds of each method give the power wanted; None = unknown, or more than 20."""
    if evidence.trainings is None:
        return None
    for more in range(1, _FARTHEST + 1):
        seeds = (evidence.seeds[0] + more, evidence.seeds[1] + more)
        if _power(evidence, evidence.d.size, seeds, alpha, generator) >= _POWER:
            return more
    return None
