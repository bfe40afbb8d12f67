"""What a board says apart from ranks: means over cases, what is missing, what was missed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segbench.ranking.boards import Summary
from segbench.ranking.grid import Floats, Grid, Measure
from segbench.ranking.robustness import leaves_out, shown_values


@dataclass(frozen=True)
class Facts:
    """What a grid says apart from ranks.

    Attributes:
        cases: ``(T,)`` how many count.
        summaries: T lists of K, of the values shown.
        missing: ``(T, K)`` how many values are missing.
        columns: metric -> K summaries of the means over labels.
        missed: ``(K,)`` structures that were missed: once, however many metrics say so.
    """

    cases: NDArray[np.int_]
    summaries: list[list[Summary]]
    missing: NDArray[np.int_]
    columns: dict[str, list[Summary]]
    missed: NDArray[np.int_]


@dataclass
class _Column:
    """Of a metric: the sum over labels of the values shown, how many there are ``(n, K)``, values without a number."""

    skips: bool
    total: Floats | float = 0.0
    count: NDArray[np.int_] | int = 0
    undefined: NDArray[np.int_] | int = 0
    expected: NDArray[np.int_] | int = 0

    def add(self, shown: Floats, undefined: NDArray[np.int_], expected: NDArray[np.int_]) -> None:
        """Add some labels ``(T, n, K)``, of whose values so many are expected ``(T, K)``."""
        gaps = np.isnan(shown)
        self.total = self.total + (np.where(gaps, 0.0, shown) if gaps.any() else shown).sum(axis=0)
        self.count = self.count + (~gaps).sum(axis=0)
        self.undefined = self.undefined + undefined.sum(axis=(0, 1))
        self.expected = self.expected + expected.sum(axis=0)

    def summaries(self) -> list[Summary]:
        """Return the summary of every competitor over cases."""
        with np.errstate(invalid="ignore", divide="ignore"):
            averaged = np.asarray(self.total / self.count)
        counts = (np.asarray(self.undefined)[None], np.asarray(self.expected)[None])
        return _summaries(averaged[None], *counts, np.array([self.skips]))[0]


def facts_of(grid: Grid, missing: float | Literal["drop", "worst"] | None = None) -> Facts:
    """Summarise a grid, a few measures at a time; arguments as ``robustness.shown_values``."""
    cases, summaries, gone = [], [], []
    columns: dict[str, _Column] = {}
    missed: dict[str, Any] = {}
    for _, part in grid.blocks():
        scored = part.scored()
        absent = (part.rows == 0) & scored[:, :, None]
        shown, skips = shown_values(part, missing), leaves_out(part, missing)
        undefined = part.undefined + absent
        cases.append(scored.sum(axis=1))
        expected = np.asarray((part.rows + absent).sum(axis=1))
        summaries += _summaries(shown, undefined.sum(axis=1), expected, skips)
        gone.append(np.maximum(part.missed, undefined).sum(axis=1))
        for metric, its in tasks_by(part, lambda measure: measure.metric).items():
            columns.setdefault(metric, _Column(bool(skips[its[0]]))).add(shown[its], undefined[its], expected[its])
        for label, its in tasks_by(part, lambda measure: measure.label).items():
            most = np.maximum(part.missed[its], absent[its]).max(axis=0)
            missed[label] = np.maximum(missed.get(label, 0), most)
    return Facts(
        cases=np.concatenate(cases),
        summaries=summaries,
        missing=np.concatenate(gone),
        columns={metric: column.summaries() for metric, column in columns.items()},
        missed=np.sum([most.sum(axis=0) for most in missed.values()], axis=0),
    )


def tasks_by(grid: Grid, name_of: Callable[[Measure], str]) -> dict[str, list[int]]:
    """Return the indices of the tasks of each metric or label."""
    found: dict[str, list[int]] = {}
    for t, measure in enumerate(grid.measures):
        found.setdefault(name_of(measure), []).append(t)
    return found


def _summaries(
    values: Floats, undefined: NDArray[np.int_], expected: NDArray[np.int_], skips: NDArray[np.bool_]
) -> list[list[Summary]]:
    """Summarise values ``(T, n, K)`` over cases.

    Args:
        values: as boards show them.
        undefined, expected: how many have no number, and how many there should be ``(T, K)``.
        skips: whether undefined ones are skipped ``(T,)``.
    """
    gaps = np.isnan(values)
    count = values.shape[1] - gaps.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        if gaps.any():
            mean = np.where(gaps, 0.0, values).sum(axis=1) / count
            squares = np.nansum((values - mean[:, None]) ** 2, axis=1)
        else:
            mean = values.mean(axis=1)
            squares = ((values - mean[:, None]) ** 2).sum(axis=1)
        sd = np.where(count > 1, np.sqrt(squares / (count - 1)), np.nan)
    left_out = np.where(skips[:, None], undefined, 0)
    return [
        [Summary(*numbers) for numbers in zip(*columns, strict=True)]
        for columns in zip(*(table.tolist() for table in (mean, sd, undefined, left_out, expected)), strict=True)
    ]
