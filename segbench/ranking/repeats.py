"""What each seed's trainings reached in each case: sums over labels, kept beside the grid, which averages over seeds.

Small boards keep every measure; large ones the sum over a metric's labels, so that memory does not grow with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_FINE = 2_000_000
"""Values up to which every measure is kept."""


@dataclass
class Repeats:
    """S seeds, K competitors, n cases, C columns: one per measure, or one per metric.

    Attributes:
        column: ``(T,)`` the column of each measure.
        total: ``(S, K, n, C)`` sum of the defined values, as in ``Grid.total``.
        rows, undefined: ``(S, K, n, C)`` how many values there are, and how many of them have no number.
    """

    column: NDArray[np.intp]
    total: Floats
    rows: NDArray[np.int32]
    undefined: NDArray[np.int32]
    _last: tuple[Any, NDArray[np.int32]] = field(default=(None, np.zeros(0, dtype=np.int32)), init=False, repr=False)

    @classmethod
    def empty(cls, seeds: int, competitors: int, cases: int, metrics: Sequence[str]) -> Repeats:
        """Return nothing yet, for measures with these metrics ``(T,)``."""
        fine = seeds * competitors * cases * len(metrics) <= _FINE
        known = {name: index for index, name in enumerate(dict.fromkeys(metrics))}
        column = np.arange(len(metrics)) if fine else np.array([known[name] for name in metrics], dtype=np.intp)
        shape = (seeds, competitors, cases, int(column.max(initial=-1)) + 1)
        counts = (np.zeros(shape, dtype=np.int32) for _ in range(2))
        return cls(column.astype(np.intp), np.zeros(shape), *counts)

    @property
    def fine(self) -> bool:
        """Whether every measure is kept."""
        return len(set(self.column.tolist())) == len(self.column)

    def cells(self, place: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return where the places of a page (case by case the measures) are in ``(n, C)``, flattened."""
        case, measure = np.divmod(place, len(self.column))
        return np.asarray(case * self.total.shape[-1] + self.column[measure], dtype=np.intp)

    def add(
        self, seed: Any, competitor: Any, cells: NDArray[np.intp], value: Floats, without: NDArray[np.intp]
    ) -> None:
        """Add rows of one training, or of one each.

        Args:
            seed, competitor: of all rows, or ``(rows,)``.
            cells: ``(rows,)`` see ``cells``.
            value: ``(rows,)``, 0 where there is no number.
            without: which rows have none.
        """
        _, K, n, C = self.total.shape
        if np.ndim(seed) == 0 and np.ndim(competitor) == 0:
            views = [array[seed, competitor].reshape(-1) for array in (self.total, self.rows, self.undefined)]
            where = cells
        else:
            views = [array.reshape(-1) for array in (self.total, self.rows, self.undefined)]
            where = (np.asarray(seed) * K + competitor) * (n * C) + cells
        total, rows, undefined = views
        total += np.bincount(where, weights=value, minlength=total.size)
        rows += self._counts(where, rows.size)
        if without.size:
            undefined += np.bincount(where[without], minlength=undefined.size).astype(np.int32)

    def _counts(self, where: NDArray[np.intp], size: int) -> NDArray[np.int32]:
        """Return how often each place occurs; runs have the same ones."""
        known, counts = self._last
        if known is not where:
            counts = np.bincount(where, minlength=size).astype(np.int32)
            self._last = (where, counts)
        return counts

    def restrict(self, measures: NDArray[np.intp], cases: NDArray[np.bool_]) -> Repeats:
        """Return those of some measures (indices) and cases (mask)."""
        kept = (getattr(self, name)[:, :, cases] for name in ("total", "rows", "undefined"))
        return Repeats(self.column[measures], *kept)

    def reordered(self, competitors: Sequence[int]) -> Repeats:
        """Return those of some competitors (indices), in this order."""
        kept = (getattr(self, name)[:, list(competitors)] for name in ("total", "rows", "undefined"))
        return Repeats(self.column, *kept)

    def without(self, places: NDArray[np.bool_]) -> Repeats:
        """Return those without some cases of some measures ``(T, n)``; of a column of several measures all go."""
        gone = np.zeros(self.total.shape[2:], dtype=bool)
        for t, c in zip(*np.nonzero(places), strict=True):
            gone[c, self.column[t]] = True
        kept = (np.where(gone, 0, getattr(self, name)) for name in ("total", "rows", "undefined"))
        return Repeats(self.column, *kept)

    def completed(self, absent: NDArray[np.bool_], nothing: NDArray[np.bool_]) -> Repeats:
        """Return those with a value without number for every one that lacks.

        Args:
            absent: ``(T, n, K)`` where some of a competitor's seeds have a row and others lack it.
            nothing: ``(T, n, K)`` where a competitor has no row at all though others have.
        """
        own = np.asarray(self.rows.any(axis=(2, 3)))[:, :, None, None]
        short = np.zeros(self.rows.shape, dtype=np.int32)
        partly = np.zeros(self.rows.shape[1:], dtype=bool)
        for t, c, k in zip(*np.nonzero(absent), strict=True):
            partly[k, c, self.column[t]] = True
        short += np.where(partly & own, self.rows.max(axis=0) - self.rows, 0)
        for t, c, k in zip(*np.nonzero(nothing), strict=True):
            short[:, k, c, self.column[t]] += own[:, k, 0, 0]
        return replace(self, rows=self.rows + short, undefined=self.undefined + short)

    def values(self, measures: Sequence[int], missing: float | Literal["drop"]) -> tuple[Floats, list[Floats]]:
        """Return the mean over some measures of one metric, of all seeds together ``(n, K)`` and of each ``(S, n)``.

        A value is NaN where there is no row. K arrays of seeds; a competitor has as many as it was trained with.

        Args:
            measures: indices; of a large board all of a metric.
            missing: what a value without a number counts as, or "drop".
        """
        columns = np.unique(self.column[list(measures)])
        total, rows, undefined = (
            getattr(self, name)[..., columns].sum(axis=-1) for name in ("total", "rows", "undefined")
        )
        if missing == "drop":
            rows = rows - undefined
        else:
            gaps = undefined > 0  # an infinite penalty must not meet a zero
            total = total.copy()
            total[gaps] += undefined[gaps] * float(missing)
        with np.errstate(invalid="ignore", divide="ignore"):
            together = np.asarray(total.sum(axis=0) / rows.sum(axis=0), dtype=float).T
            each = np.asarray(total / rows, dtype=float)
        own = np.asarray(self.rows[..., columns].any(axis=(2, 3)))
        return together, [each[own[:, k], k] for k in range(total.shape[1])]
