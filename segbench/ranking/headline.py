"""Which metrics the headline order rests on: correlated metrics are not averaged twice.

Dice and IoU rank the predictions of a case alike, and so, nearly, do the distances between boundaries. Metrics say
themselves which family they are of, and how much it prefers them. Where a board has metrics of both families the order
rests on one of each, as in the Medical Segmentation Decathlon (doi:10.1038/s41467-022-30695-9); the others are shown
and ranked task by task, but count for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from segbench.errors import UnknownName, did_you_mean
from segbench.ranking.grid import Measure
from segbench.types import FAMILIES

ALL = "all"


def headline(measures: Iterable[Measure], wanted: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the metrics that count for the order, sorted.

    Args:
        measures: all that a board has.
        wanted: those to use, or ``("all",)``; None = one overlap and one boundary metric where both are there, one of
            the family and all others where only one of the two is, all where neither is. Of a family's metrics that is
            the one with the highest preference, then the first by name.

    Raises:
        UnknownName: one is wanted that the board does not have.
    """
    known = {measure.metric: measure for measure in measures}
    if wanted is not None and tuple(wanted) == (ALL,):
        return tuple(sorted(known))
    if wanted:
        for name in wanted:
            if name not in known:
                raise UnknownName(f"--headline {name}: no such metric on the board. {did_you_mean(name, known)}")
        return tuple(sorted(set(wanted)))
    by_preference = sorted(known.values(), key=lambda measure: (-measure.preference, measure.metric))
    families = [[measure.metric for measure in by_preference if measure.family == family] for family in FAMILIES]
    chosen = {family[0] for family in families if family}
    if not all(families):
        chosen |= {name for name, measure in known.items() if measure.family not in FAMILIES}
    return tuple(sorted(chosen))
