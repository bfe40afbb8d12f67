"""What a prior adds: each method against its own control and placebo, by every metric of the headline.

A control is the same method with its prior switched off, a placebo the same with a meaningless one; both are trained
alike. Where no such arm was trained, methods are set against the first of the board instead, which says who is ahead,
not what a prior adds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from segbench.ranking.bootstrap import confidence_interval
from segbench.ranking.entrants import PLAIN_ARMS, Names
from segbench.ranking.identical import Identical
from segbench.ranking.pairwise import FEWEST, Pairwise, mean_of

FIRST = "first"
"""``PriorEffect.role`` where the reference is the first of the board."""
Finding = Literal["better", "worse", "no evidence", "identical", "not tested"]


@dataclass(frozen=True)
class PriorEffect:
    """The difference between a method and a reference; positive = the method is better.

    Attributes:
        method, against: their names on the board.
        role: what the reference is: the arm ("control", "placebo", ...), or ``FIRST``.
        metric, unit: of the difference.
        difference: mean over patients, labels and seeds averaged.
        interval: 95 %, over patients, and over seeds where some method has several; None where it is not known.
        finding: what the board's tests say, adjusted for all its pairs.
    """

    method: str
    against: str
    role: str
    metric: str
    unit: str
    difference: float
    interval: tuple[float, float] | None
    finding: Finding


def effects_of(
    pairs: Mapping[str, Pairwise],
    units: Mapping[str, str],
    names: Names,
    order: Sequence[str],
    identical: Sequence[Identical],
) -> tuple[PriorEffect, ...]:
    """Return the effects of a board's priors, methods as in its order.

    Args:
        pairs: of each metric, who can be told apart; see ``pairwise.Family.by_metric``.
        units: of the metrics.
        names: of the competitors.
        order: the board's, best first.
        identical: methods whose values are all the same.
    """
    references = arms_of(names, order) or [(name, order[0], FIRST) for name in order[1:]]
    return tuple(
        _effect(one, reference, metric, units[metric], identical)
        for reference in references
        for metric, one in pairs.items()
        if {reference[0], reference[1]} <= set(one.names)
    )


def arms_of(names: Names, order: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return method, reference and arm of each arm that stands beside its method; methods as in the order."""
    key_of = {name: key for key, name in names.items() if name in order}
    found = []
    for name in order:
        method, network, arm, variant, build = key_of[name]
        if arm not in PLAIN_ARMS:
            continue
        for other in sorted(order, key=lambda one: str(key_of[one][2])):
            theirs = key_of[other]
            alike = (theirs[0], theirs[1], theirs[3], theirs[4]) == (method, network, variant, build)
            if alike and theirs[2] not in PLAIN_ARMS:
                found.append((name, other, theirs[2]))
    return found


def _effect(
    pairs: Pairwise, reference: tuple[str, str, str], metric: str, unit: str, identical: Sequence[Identical]
) -> PriorEffect:
    method, against, role = reference
    i, j = pairs.names.index(method), pairs.names.index(against)
    evidence = pairs.evidence(i, j)
    interval = None
    if evidence.d.size >= FEWEST:
        of_trainings = evidence.trainings is not None
        interval = evidence.trainings.interval(evidence.seeds) if evidence.trainings is not None else None
        interval = interval if of_trainings else confidence_interval(evidence.d, "mean")
    better = pairs.better()
    finding: Finding = "better" if better[i, j] else "worse" if better[j, i] else "no evidence"
    if any({method, against} <= set(one.methods) for one in identical):
        finding, interval = "identical", None
    elif not pairs.tested:
        finding = "not tested"
    return PriorEffect(method, against, role, metric, unit, mean_of(evidence.d), interval, finding)
