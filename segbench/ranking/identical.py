"""Competitors whose values are the same to the last bit, case by case and seed by seed: not tied, but identical.

Two trainings give the same values everywhere if what sets them apart never acted: a prior that forbids nothing on this
data, a penalty that stayed zero. That is another finding than "no evidence of a difference".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segbench.ranking.chunks import Scores
from segbench.ranking.counting import build
from segbench.ranking.entrants import Names, only
from segbench.ranking.grid import Grid, combinations, select

_COUNTED = ("total", "rows", "undefined", "missed")


@dataclass(frozen=True)
class Sameness:
    """How far two competitors have the same values.

    Attributes:
        same: pairs of a case and a seed in which all values are equal to the last bit.
        cases: such pairs that either has.
        varied: whether the values differ from case to case, so that equal ones are no accident of a metric that is the
            same for everybody.
    """

    same: int = 0
    cases: int = 0
    varied: bool = False

    @property
    def identical(self) -> bool:
        """Whether all values are the same."""
        return self.same == self.cases > 0


@dataclass(frozen=True)
class Identical:
    """Competitors of a board whose values are all the same.

    Attributes:
        methods: who they are, sorted.
        cases: pairs of a case and a seed.
        never_acted: whether what sets them apart can be said never to have acted.
    """

    methods: tuple[str, ...]
    cases: int
    never_acted: bool

    @property
    def sentence(self) -> str:
        """Say it."""
        return f"{', '.join(self.methods[:-1])} and {self.methods[-1]} are {identical(self.cases, self.never_acted)}."


def identical(cases: int, never_acted: bool) -> str:
    """Return the verdict in words."""
    return f"identical in {cases} of {cases} cases" + (": the prior never acted" if never_acted else "")


def sameness(scores: Scores, names: Names, first: str, second: str) -> Sameness:
    """Compare the values of two competitors, status by status.

    Args:
        scores: of one board; what is looked at are all its metrics and labels.
        names: of its competitors.
        first, second: two of them.
    """
    dataset = {str(word) for (word,) in combinations(scores, ("dataset",))}
    both = only(scores, dict.fromkeys(dataset, (first, second)), dict.fromkeys(dataset, names))
    same = cases = 0
    varied = False
    seeds = {seed for (seed,) in combinations(both, ("seed",))}
    for seed in sorted(seeds):
        grid = build(select(both, seed={seed}), names)
        there = (grid.rows > 0).any(axis=(0, 2))
        cases += int(there.sum())
        if len(grid.competitors) == 2:
            equal = np.all([getattr(grid, name)[..., 0] == getattr(grid, name)[..., 1] for name in _COUNTED], axis=0)
            same += int((equal.all(axis=0) & there).sum())
            varied |= bool((np.ptp(grid.total[..., 0], axis=1) > 0).any())
    return Sameness(same, cases, varied)


def identical_groups(scores: Scores, names: Names, grid: Grid) -> tuple[Identical, ...]:
    """Return the competitors of a board whose values are all the same.

    Args:
        scores: of the board.
        names: of its competitors.
        grid: the same, counted; what differs there need not be looked at again.
    """
    alike: dict[bytes, list[str]] = {}
    for k, name in enumerate(grid.competitors):
        parts = (np.ascontiguousarray(getattr(grid, one)[..., k]).tobytes() for one in _COUNTED)
        alike.setdefault(b"".join(parts), []).append(name)
    found = []
    for methods in alike.values():
        if len(methods) > 1:
            checked = [(name, sameness(scores, names, methods[0], name)) for name in methods[1:]]
            kept = [(name, one) for name, one in checked if one.identical]
            if kept:
                members = (methods[0], *(name for name, _ in kept))
                found.append(Identical(tuple(sorted(members)), kept[0][1].cases, kept[0][1].varied))
    return tuple(found)
