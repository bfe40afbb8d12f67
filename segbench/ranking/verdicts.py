"""Is A better than B? The board's own decision on the pair (see ``pairwise``), and what it would take to know.

A difference is claimed where the board of the same dataset and metric gives the two no common letter: the p-value is
adjusted by Holm over all ordered pairs of the board's methods, however few of them were asked for. A difference within
+-rope is of no practical importance. Sizes and intervals are over patients, each the mean of its scans.
"""

from __future__ import annotations

import itertools
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
from segbench.ranking.entrants import ENTRANT, Names
from segbench.ranking.grid import combinations
from segbench.ranking.holdings import board_parts, part_of
from segbench.ranking.identical import sameness
from segbench.ranking.leaderboard import choose, family_of
from segbench.ranking.pairwise import FEWEST, Evidence, Family, Pairwise
from segbench.ranking.significance import Effect, effect, signed_rank

Verdict = Literal["better", "worse", "practically equal", "no evidence", "identical"]
_POWER, _FARTHEST, _REPEATS = 0.8, 20, 200


@dataclass(frozen=True)
class Comparison:
    """What can be said of one method against another on one dataset and metric; positive = the first is better.

    Attributes:
        dataset, metric, unit, first, second: what is compared.
        verdict: of the first against the second.
        effect: effect sizes over patients.
        mean_interval: 95 % interval of the mean difference over patients (BCa), or None below 6 patients and where a
            difference is infinite.
        median_interval: of the median difference (percentile); None below 6 patients, and where its end is undefined.
        nested_interval: of the mean difference when seeds may vary too; None where no method of the board has several
            seeds, and where a value is infinite or a seed has none.
        p: Holm-adjusted p of the better direction.
        level: what p is held to.
        family: number of one-sided tests that Holm adjusted together: all ordered pairs of the board's methods.
        cases, patients: that both have.
        seeds: of the first and of the second.
        of_networks: whether a claim speaks of these trained networks only, for no method has several seeds.
        substituted: values that were missing; ``missing`` says what became of them.
        more_patients, more_seeds: how many more would probably decide (power 0.8) if the observed difference is real;
            None = not asked for, or out of reach.
        missing: "worst", "drop", or the number that missing values counted as.
        same: cases of each seed in which all values are equal to the last bit, of ``pairs`` such cases; the verdict is
            "identical" if these are all.
        never_acted: whether they are identical in every other metric too, and not by accident (see ``identical``).
        note: why the other methods of the board could not be tested with these; "" if they were.
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
    level: float
    family: int
    cases: int
    patients: int
    seeds: tuple[int, int]
    of_networks: bool
    substituted: int
    more_patients: int | None = None
    more_seeds: int | None = None
    missing: float | Literal["drop", "worst"] = "worst"
    same: int = 0
    pairs: int = 0
    never_acted: bool = False
    note: str = ""


@dataclass(frozen=True)
class _Asked:
    """A board's methods, who can be told apart by the metric, and how many values are missing ``(K,)``."""

    family: Family
    pairs: Pairwise
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
        names = chosen.names[division.dataset]
        present = {names[key] for key in combinations(part, ENTRANT)}
        wanted = [name for name in chosen.methods[division.dataset] if name in present]
        if len(wanted) > 1:
            asked = _asked(family_of(chosen, division, part, request), request)
            pairs = itertools.combinations(wanted, 2)
            found = [_judge(asked, first, second, rope, alpha, resamples) for first, second in pairs]
            every = part_of(scores, division)
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
    return replace(one, verdict="identical", more_patients=None, more_seeds=None, never_acted=never_acted)


def _asked(family: Family, request: Request) -> _Asked:
    grid = family.grid
    (pairs,) = family.by_metric(request.metrics, request).values()
    absent = (grid.rows == 0) & grid.scored()[:, :, None]
    substituted = (grid.undefined + absent).sum(axis=(0, 1))
    return _Asked(family, pairs, substituted, "worst" if request.missing is None else request.missing)


def _judge(asked: _Asked, first: str, second: str, rope: float, alpha: float, resamples: int) -> Comparison:
    grid = asked.family.grid
    i, j = grid.competitors.index(first), grid.competitors.index(second)
    evidence = asked.pairs.evidence(i, j)
    d, level, sizes = evidence.d, asked.pairs.level(alpha), effect(evidence.d)
    p = (float(asked.pairs.adjusted[i, j]), float(asked.pairs.adjusted[j, i]))
    enough = d.size >= FEWEST
    mean_interval = confidence_interval(d, "mean", resamples=resamples) if enough else None
    nested = evidence.trainings.interval(evidence.seeds) if enough and evidence.trainings else None
    known = [mean_interval] if evidence.trainings is None else [mean_interval, nested]
    verdict = _verdict(sizes.mean, p, known, rope, level)
    undecided = verdict == "no evidence" and enough and abs(sizes.mean) > rope  # not if the mean is undefined
    generator = np.random.default_rng(0)
    measure = grid.measures[0]
    return Comparison(
        dataset=f"{grid.dataset}@{grid.revision}",
        metric=measure.metric,
        unit=measure.unit,
        first=first,
        second=second,
        verdict=verdict,
        effect=sizes,
        mean_interval=mean_interval,
        median_interval=confidence_interval(d, "median", resamples=resamples) if enough else None,
        nested_interval=nested,
        p=min(p),
        level=level,
        family=asked.pairs.family,
        cases=evidence.cases,
        patients=int(d.size),
        seeds=evidence.seeds,
        of_networks=not asked.pairs.of_trainings,
        substituted=int(asked.substituted[i] + asked.substituted[j]),
        more_patients=_more_patients(evidence, level / asked.pairs.family, generator) if undecided else None,
        more_seeds=_more_seeds(evidence, level / asked.pairs.family, generator) if undecided else None,
        missing=asked.missing,
        note=asked.family.note,
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


def _power(evidence: Evidence, n: int, more: int, alpha: float, generator: np.random.Generator) -> float:
    """Return how often n patients and more seeds would decide, were the observed differences the truth."""
    drawn = generator.integers(0, evidence.d.size, (_REPEATS, n))
    way = 1.0 if evidence.d.mean() > 0 else -1.0
    d = evidence.d * way
    M = np.stack([np.bincount(row, minlength=d.size) for row in drawn]).astype(float)
    p = signed_rank(d, M).p("better")
    if evidence.trainings is not None:
        seeds = (evidence.seeds[0] + more, evidence.seeds[1] + more)
        p = np.maximum(p, evidence.trainings.p(seeds, drawn, 2 * more)[0 if way > 0 else 1])
    return float((p <= alpha).mean())


def _more_patients(evidence: Evidence, alpha: float, generator: np.random.Generator) -> int | None:
    """Return how many more patients give the power wanted, at most 20 times as many as there are; None = more."""
    n = have = evidence.d.size
    while n <= _FARTHEST * have:
        n = max(n + 1, math.ceil(1.15 * n))
        if _power(evidence, n, 0, alpha, generator) >= _POWER:
            return n - have
    return None


def _more_seeds(evidence: Evidence, alpha: float, generator: np.random.Generator) -> int | None:
    """Return how many more seeds of each method give the power wanted; None = unknown, or more than 20."""
    if evidence.trainings is None:
        return None
    for more in range(1, _FARTHEST + 1):
        if _power(evidence, evidence.d.size, more, alpha, generator) >= _POWER:
            return more
    return None
