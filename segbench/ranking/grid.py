"""One board's scores as a complete grid of measures, cases and competitors; ``counting.build`` makes it.

A measure is one metric of one label. Several cases may be scans of one patient. Seeds (and folds, and raters) are
repetitions: they are averaged within a case after missing values have been given their worth, and never counted as
further cases.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segbench.ranking.chunks import Chunk, Scores
from segbench.ranking.repeats import Repeats

Floats = NDArray[np.float64]
Counts = NDArray[np.signedinteger[Any]]
Cases = Literal["equal", "common", "union"]
COLUMNS = (
    "run_id",
    "dataset",
    "dataset_revision",
    "network",
    "method",
    "arm",
    "seed",
    "fold",
    "case_id",
    "group",
    "label_name",
    "metric",
    "metric_version",
    "unit",
    "better",
    "status",
    "source",
    "synthetic",
    "rater",
    "variant",
    "truth",
    "family",
    "preference",
    "build",
    "fault",
)
"""Columns a leaderboard reads, besides ``value``."""
MISSED = ("pred_empty", "missing", "failed")
PENALTY = 1000.0
"""What a missing value of an unbounded metric is worth in a mean (MetricsReloaded's choice for distances, in mm);
the next power of ten if a larger value was observed. Where higher is better and values may be negative: minus that."""
_BLOCK = 2**18
"""Values that are worked on together where a grid is gone through in blocks: they stay in the cache."""
_DROPPED = 13
"""Bits of the 53 of a mean over repetitions that do not count: 40 are left, a relative precision of 1e-12."""


@dataclass(frozen=True, order=True)
class Measure:
    """One metric of one label.

    ``direction`` is +1 if higher is better, else -1; ``family`` and ``preference`` are the metric's (see ``headline``).
    """

    label: str
    metric: str
    direction: int
    unit: str
    version: str
    family: str = ""
    preference: int = 0


@dataclass
class Grid:
    """One board, seeds averaged. T measures, n cases, K competitors, all sorted by name.

    Attributes:
        dataset, revision, synthetic: what was segmented; the revision is for reading (see ``truths.Division``).
        sources: where values come from.
        competitors, cases, measures: names along the axes.
        seeds: ``(K,)`` number of repetitions (seeds).
        total: ``(T, n, K)`` sum of the defined values, substituted where the status alone decides the value.
        rows: ``(T, n, K)`` number of values expected (repetitions), 0 = the case was not scored.
        undefined: ``(T, n, K)`` how many of them have no value.
        missed: ``(T, n, K)`` how many have status pred_empty, missing or failed.
        absent: ``(T, n, K)`` how many repetitions have no row though another of the same method has one, and what to
            do about it is not decided yet; ``comparability.comparable`` decides, after which there is none.
        lowest, largest: ``(T,)`` extremes observed of the metric, 0 where none is below 0 or above ``PENALTY``.
        notes: what a reader must know.
        patients: ``(n,)`` the patient of each case, see ``patients``.
        repeats: the values of each seed alone.
    """

    dataset: str
    revision: str
    synthetic: bool
    sources: tuple[str, ...]
    competitors: tuple[str, ...]
    cases: tuple[str, ...]
    measures: tuple[Measure, ...]
    seeds: tuple[int, ...]
    total: Floats
    rows: Counts
    undefined: Counts
    missed: Counts
    absent: Counts
    lowest: Floats
    largest: Floats
    notes: list[str]
    patients: NDArray[np.intp]
    repeats: Repeats

    def restrict(self, measures: NDArray[np.intp] | None = None, cases: NDArray[np.bool_] | None = None) -> Grid:
        """Return the grid of some measures (indices) and cases (mask)."""
        pick = np.arange(len(self.measures)) if measures is None else measures
        keep = np.ones(len(self.cases), dtype=bool) if cases is None else cases
        changes: dict[str, Any] = {
            name: getattr(self, name)[pick][:, keep] for name in ("total", "rows", "undefined", "missed", "absent")
        }
        changes |= {name: getattr(self, name)[pick] for name in ("lowest", "largest")}
        changes["measures"] = tuple(self.measures[index] for index in pick)
        changes["cases"] = tuple(case for case, kept in zip(self.cases, keep, strict=True) if kept)
        changes |= {"patients": self.patients[keep], "repeats": self.repeats.restrict(pick, keep)}
        return dataclasses.replace(self, notes=list(self.notes), **changes)

    def reordered(self, competitors: Sequence[str]) -> Grid:
        """Return the grid of some competitors, in this order."""
        order = [self.competitors.index(name) for name in competitors]
        changes: dict[str, Any] = {
            name: getattr(self, name)[:, :, order] for name in ("total", "rows", "undefined", "missed", "absent")
        }
        changes |= {"competitors": tuple(competitors), "seeds": tuple(self.seeds[k] for k in order)}
        return dataclasses.replace(self, repeats=self.repeats.reordered(order), **changes)

    def blocks(self) -> Iterator[tuple[slice, Grid]]:
        """Yield the measures a few at a time, as grids: what is made of them stays small. A small grid is one block."""
        step = max(1, _BLOCK // max(1, len(self.cases) * len(self.competitors)))
        for start in range(0, len(self.measures), step):
            which = slice(start, start + step)
            yield which, self.part(which)

    def part(self, which: slice) -> Grid:
        """Return the grid of consecutive measures, in memory by competitor, measure and case."""
        changes = {name: getattr(self, name)[which] for name in ("measures", "lowest", "largest")}
        for name in ("total", "rows", "undefined", "missed", "absent"):
            changes[name] = np.ascontiguousarray(getattr(self, name)[which].transpose(2, 0, 1)).transpose(1, 2, 0)
        changes["repeats"] = dataclasses.replace(self.repeats, column=self.repeats.column[which])
        return dataclasses.replace(self, **changes)

    def penalty(self, measure: int) -> float:
        """Return what a missing value is worth in a mean: never better than a value that was observed.

        0 where higher is better and no value is negative, -1 where none is below -1 (correlations), else the penalty.
        """
        if self.zero_is_worst(measure):
            return 0.0
        if self.measures[measure].direction < 0:
            return _beyond(float(self.largest[measure]))
        lowest = float(self.lowest[measure])
        return -1.0 if lowest >= -1 else -_beyond(-lowest)

    def zero_is_worst(self, measure: int) -> bool:
        """Return whether a missing value is worth 0: higher is better and no value is negative, as with overlaps."""
        return self.measures[measure].direction > 0 and bool(self.lowest[measure] >= 0)

    @property
    def penalties(self) -> Floats:
        """``penalty`` of all measures ``(T, 1, 1)``, to stand beside ``(T, n, K)``."""
        return np.array([self.penalty(t) for t in range(len(self.measures))])[:, None, None]

    def observed(self) -> Floats:
        """Return the mean of the defined values ``(T, n, K)``, NaN where there is none."""
        return self._observed(self._gaps())

    def _observed(self, gaps: tuple[NDArray[np.intp], ...]) -> Floats:
        result = self._mean()
        defined = self.rows[gaps] - self.undefined[gaps]
        with np.errstate(invalid="ignore", divide="ignore"):
            result[gaps] = np.where(defined > 0, self.total[gaps] / defined, np.nan)
        return _steady(result, self.rows)

    def values(self, missing: float | Literal["drop", "worst"] = "worst") -> Floats:
        """Return one value per measure, case and competitor ``(T, n, K)``: substitute first, then average repetitions.

        Args:
            missing: "drop" averages what is defined; a number replaces missing values; "worst" replaces them by the
                penalty where a repetition has a value, and leaves NaN (the worst rank) where none has.
        """
        if missing == "drop":
            return self.observed()
        gaps = self._gaps()
        rows = self.rows[gaps]
        without = self.undefined[gaps] + (rows == 0)
        if missing == "worst":
            worth = self.penalties[gaps[0], 0, 0]
            nothing = rows == self.undefined[gaps]
        else:
            worth = np.full(rows.shape, float(missing))
            nothing = ~self.scored()[gaps[:2]]
        result = self._mean()
        with np.errstate(invalid="ignore"):  # 0 times an infinite penalty, where nothing is missing, is never taken
            filled = self.total[gaps] + without * worth
        result[gaps] = np.where(nothing, np.nan, filled / np.maximum(rows, 1))
        return _steady(result, self.rows)

    def shown_worst(self) -> Floats:
        """Return ``observed`` with 0 for what is missing where ``zero_is_worst``, substituted before averaging."""
        gaps = self._gaps()
        result = self._observed(gaps)
        zero = np.array([self.zero_is_worst(t) for t in range(len(self.measures))], dtype=bool)
        here = tuple(index[zero[gaps[0]]] for index in gaps)
        rows = self.rows[here]
        means = self.total[here] / np.maximum(rows, 1)
        means[(rows == self.undefined[here])] = 0.0
        means[~self.scored()[here[:2]]] = np.nan
        result[here] = _steady(means, rows)
        return result

    def _gaps(self) -> tuple[NDArray[np.intp], ...]:
        """Return the places (three index arrays) where not every repetition has a value."""
        odd = (self.undefined > 0) | (self.rows == 0)
        k, t, c = np.nonzero(odd.transpose(2, 0, 1))  # the order in memory
        return t, c, k

    def _mean(self) -> Floats:
        """Return the mean over repetitions where all have values ``(T, n, K)``; anything elsewhere."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.total / self.rows, dtype=np.float64)

    def scored(self) -> NDArray[np.bool_]:
        """Return ``(T, n)`` whether a case counts for a measure: somebody was scored on it."""
        return np.asarray((self.rows > 0).any(axis=2))


def _steady(means: Floats, rows: Counts) -> Floats:
    """Round means of several repetitions to 40 bits, in place: equal ones must tie in whatever order they came."""
    several = rows > 1
    if several.any():
        bits = means.view(np.int64)
        rounded = (bits >> _DROPPED) & 1
        rounded += (1 << (_DROPPED - 1)) - 1  # halves to even
        rounded += bits
        rounded &= -1 << _DROPPED
        np.copyto(bits, rounded, where=several)
    return means


def _beyond(size: float) -> float:
    """Return the penalty, or the next power of ten if a value is larger; infinity if one is infinite."""
    return PENALTY if size <= PENALTY else float(10.0 ** np.ceil(np.log10(size)))


def select(scores: Scores, **wanted: Any) -> Scores:
    """Return the rows whose columns have one of the wanted values; None = any.

    Args:
        scores: what to choose from.
        **wanted: column -> collection of values, or None; a column prefixed ``not_`` excludes instead.
    """
    chunks = scores.chunks
    for name, values in wanted.items():
        if values is None:
            continue
        column = name.removeprefix("not_")
        good = np.array([(word in values) != name.startswith("not_") for word in scores.vocabulary[column]], dtype=bool)
        kept = []
        for chunk in chunks:
            code = chunk.codes.get(column)
            if code is None:
                continue
            if not isinstance(code, int):
                chunk = chunk.take(good[code])
            elif not good[code]:
                continue
            if chunk.rows:
                kept.append(chunk)
        chunks = kept
    return Scores(scores.vocabulary, chunks)


def mixed(chunk: Chunk, columns: tuple[str, ...], scores: Scores) -> int | NDArray[np.int64]:
    """Return the codes of several columns as one mixed-radix number per row."""
    key: Any = 0
    for name in columns:
        code = chunk.codes[name]
        key = key * len(scores.vocabulary[name]) + (code if isinstance(code, int) else code.astype(np.int64))
    return key  # type: ignore[no-any-return]


def _tuples(chunk: Chunk, columns: tuple[str, ...], scores: Scores) -> NDArray[np.int64]:
    """Return the distinct combinations of codes of several columns ``(found, columns)``."""
    key = np.atleast_1d(np.asarray(mixed(chunk, columns, scores)))
    size = int(np.prod([len(scores.vocabulary[name]) for name in columns]))
    found = np.flatnonzero(np.bincount(key, minlength=1)) if size < 10**6 else np.unique(key)
    parts = []
    for name in reversed(columns):
        found, part = np.divmod(found, len(scores.vocabulary[name]))
        parts.append(part)
    return np.stack(parts[::-1], axis=1)


def combinations(scores: Scores, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Return the distinct combinations of values of several columns, in order of first appearance of a chunk."""
    seen: dict[tuple[int, ...], None] = {}
    done: set[tuple[int, ...]] = set()
    for chunk in scores.chunks:
        layout = tuple(code if isinstance(code, int) else -id(code) for code in map(chunk.codes.get, columns))
        if layout in done:  # the very same arrays
            continue
        done.add(layout)
        for codes in _tuples(chunk, columns, scores).tolist():
            seen.setdefault(tuple(codes))
    return [tuple(scores.word(name, code) for name, code in zip(columns, codes, strict=True)) for codes in seen]
