"""Rows counted into a grid. What contradicts itself (versions, directions, two values for one thing) is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.errors import VerificationError
from segbench.names import first_few
from segbench.ranking.chunks import Chunk, Scores
from segbench.ranking.entrants import ENTRANT, Names
from segbench.ranking.grid import MISSED, PENALTY, Counts, Floats, Grid, Measure, combinations, mixed
from segbench.ranking.pages import Layout, Pages, is_one_run, places_key
from segbench.ranking.patients import patients_of
from segbench.ranking.repeats import Repeats

_REPETITION = ("seed", "fold", "rater")
_IDENTITY = (*ENTRANT, *_REPETITION, "case_id", "label_name", "metric")


UNSAID = "imported"
"""Version of a metric in a table that does not say which it is: taken to agree."""


@dataclass(frozen=True)
class _Axes:
    """The axes of a grid, and tables that lead from mixed codes to places along them."""

    board: str
    measures: tuple[Measure, ...]
    cases: tuple[str, ...]
    competitors: tuple[str, ...]
    measure_of: NDArray[np.int64]
    case_of: NDArray[np.int64]
    competitor_of: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.measures), len(self.cases), len(self.competitors)

    def cube(self, pages: NDArray[Any]) -> NDArray[Any]:
        """Return pages ``(K, n * T)`` as a view ``(T, n, K)``."""
        T, n, K = self.shape
        return pages.reshape(K, n, T).transpose(2, 1, 0)


def build(scores: Scores, names: Names, whole: Grid | None = None, revision: str | None = None) -> Grid:
    """Count the scores of one board.

    Args:
        scores: rows of exactly one board.
        names: ``ENTRANT`` -> competitor, see ``entrants``.
        whole: the grid that these rows are a part of: its range of values decides what a missing one is worth.
        revision: of the board, for reading; None = that of ``whole``, or else the first of the rows'.

    Raises:
        VerificationError: two versions or directions of a metric, or two values for the same thing.
    """
    dataset, first = min(combinations(scores, ("dataset", "dataset_revision")))
    if revision is None:
        revision = whole.revision if whole is not None else first
    axes = _axes(scores, names, f"{dataset}@{revision}")
    lowest, largest = _extremes(scores, axes, whole)
    counter = _Counter(scores, axes, lowest)
    for chunk in scores.loaded():
        counter.add(chunk)
    pages = counter.pages
    pages.close()
    if pages.twice:
        once = _without_repeats(scores)
        if once is None:
            raise VerificationError(_duplicate(scores, axes))
        return build(once, names, whole, revision)
    seeds = combinations(scores, (*ENTRANT, "seed"))
    return Grid(
        dataset=dataset,
        revision=revision,
        synthetic=any(word[0] for word in combinations(scores, ("synthetic",))),
        sources=tuple(sorted(str(word[0]) for word in combinations(scores, ("source",)))),
        competitors=axes.competitors,
        cases=axes.cases,
        measures=axes.measures,
        seeds=tuple(sum(names[key[:-1]] == name for key in seeds) for name in axes.competitors),
        total=axes.cube(pages.total),
        rows=axes.cube(pages.rows),
        undefined=axes.cube(pages.undefined),
        missed=axes.cube(pages.missed),
        absent=axes.cube(counter.absent()),
        lowest=lowest,
        largest=largest,
        notes=_unsaid(scores),
        patients=patients_of(axes.cases, combinations(scores, ("case_id", "group"))),
        repeats=counter.repeats,
    )


def _axes(scores: Scores, names: Names, board: str) -> _Axes:
    found = combinations(scores, ("label_name", "metric", "metric_version", "unit", "better"))
    _refuse_contradictions(scores, found, board)
    families = _families(scores)
    found = sorted(found, key=lambda row: row[2] != UNSAID)  # a version that is said counts
    measures = {
        (label, metric): Measure(label, metric, 1 if better == "higher" else -1, unit, version, *families[metric])
        for label, metric, version, unit, better in found
    }
    ordered = sorted(measures)
    measure_of = _table(scores, ("label_name", "metric"), {pair: place for place, pair in enumerate(ordered)})
    cases = sorted(case for (case,) in combinations(scores, ("case_id",)))
    case_of = _table(scores, ("case_id",), {(case,): place for place, case in enumerate(cases)})
    entrants = combinations(scores, ENTRANT)
    competitors = sorted({names[key] for key in entrants})
    place_of = {key: competitors.index(names[key]) for key in entrants}
    competitor_of = _table(scores, ENTRANT, place_of)
    measures_in_order = tuple(measures[pair] for pair in ordered)
    return _Axes(board, measures_in_order, tuple(cases), tuple(competitors), measure_of, case_of, competitor_of)


def _families(scores: Scores) -> dict[str, tuple[str, int]]:
    """Return metric -> family and preference; old rows, which know of none, take what other rows say."""
    known: dict[str, tuple[str, int]] = {}
    for metric, family, preference in combinations(scores, ("metric", "family", "preference")):
        here = known.get(metric, ("", 0))
        known[metric] = max(here, (family, preference), key=lambda one: (one[0] != "", one[1], one[0]))
    return known


def _table(scores: Scores, columns: tuple[str, ...], place_of: Mapping[Any, int]) -> NDArray[np.int64]:
    """Return places by the mixed-radix number of the columns' codes; -1 where a combination does not occur."""
    codes = [{word: code for code, word in enumerate(scores.vocabulary[name])} for name in columns]
    table = np.full(int(np.prod([len(code) for code in codes])), -1, dtype=np.int64)
    for words, place in place_of.items():
        key = 0
        for code, word in zip(codes, words, strict=True):
            key = key * len(code) + code[word]
        table[key] = place
    return table


class _Counter:
    """Adds chunks to the pages of the competitors: a page has ``n * T`` places, for cases and measures."""

    def __init__(self, scores: Scores, axes: _Axes, lowest: Floats) -> None:
        self.scores, self.axes = scores, axes
        T, n, K = axes.shape
        self.repetitions = sorted(combinations(scores, _REPETITION), key=str)
        self.repetition_of = _table(scores, _REPETITION, {words: place for place, words in enumerate(self.repetitions)})
        self.pages = Pages(len(self.repetitions), K, T * n)
        seeds = sorted({seed for seed, _, _ in self.repetitions}, key=str)
        self.seed_of = np.array([seeds.index(seed) for seed, _, _ in self.repetitions], dtype=np.int64)
        self.repeats = Repeats.empty(len(seeds), K, n, [measure.metric for measure in axes.measures])
        direction = np.array([measure.direction for measure in axes.measures])
        self.both_empty = np.where(direction > 0, 1.0, 0.0)
        self.one_empty = np.where((direction > 0) & (lowest >= 0), 0.0, np.nan)
        self.is_missed, self.is_both_empty, self.is_one_empty = (
            np.array([word in words for word in scores.vocabulary["status"]], dtype=bool)
            for words in (MISSED, ("both_empty",), ("pred_empty", "truth_empty"))
        )
        self.layouts: dict[tuple[int, ...], Layout] = {}
        self.cells: dict[Layout, NDArray[np.intp]] = {}

    def add(self, chunk: Chunk) -> None:
        """Count one chunk."""
        layout = self._layout(chunk)
        k = self.axes.competitor_of[mixed(chunk, ENTRANT, self.scores)]
        r = self.repetition_of[mixed(chunk, _REPETITION, self.scores)]
        where, worth = self._gaps(chunk, k, layout.place)
        known = np.nan_to_num(worth)
        value = chunk.value
        if where.size:
            value = value.copy()
            value[where] = known
        self.repeats.add(self.seed_of[r], k, self._cells(layout), value, where[np.isnan(worth)])
        if layout.unique and is_one_run(k, r):
            self.pages.add_run(int(k), int(r), layout, chunk.value, where, known)
        else:
            shape = layout.place.shape
            self.pages.add_rows(np.broadcast_to(k, shape), np.broadcast_to(r, shape), layout.place, value)

    def _layout(self, chunk: Chunk) -> Layout:
        """Return where the rows belong on a page."""
        columns = ("label_name", "metric", "case_id")
        key = places_key(chunk, columns)
        if key not in self.layouts or self.layouts[key].place.size != chunk.rows:
            measure = self.axes.measure_of[mixed(chunk, columns[:2], self.scores)]
            case = self.axes.case_of[mixed(chunk, columns[2:], self.scores)]
            place = np.broadcast_to(case * len(self.axes.measures) + measure, (chunk.rows,))
            self.layouts[key] = Layout.of(np.ascontiguousarray(place), self.pages.size)
        return self.layouts[key]

    def _cells(self, layout: Layout) -> NDArray[np.intp]:
        """Return where the rows belong in a page of ``repeats``."""
        if layout not in self.cells:
            self.cells[layout] = self.repeats.cells(layout.place)
        return self.cells[layout]

    def _gaps(self, chunk: Chunk, k: NDArray[np.int64], place: NDArray[np.intp]) -> tuple[NDArray[np.intp], Floats]:
        """Return the rows without a value and what their status makes of them (NaN = nothing), counting both."""
        code = np.asarray(chunk.codes["status"])
        found = np.zeros(place.shape, dtype=bool)
        for status in np.flatnonzero(self.is_missed):
            found |= code == status
        missed = np.flatnonzero(found)
        np.add.at(self.pages.missed, (np.broadcast_to(k, place.shape)[missed], place[missed]), 1)
        gaps = np.flatnonzero(np.isnan(chunk.value))
        worth = self._worth(np.broadcast_to(code, place.shape)[gaps], place[gaps])
        without = gaps[np.isnan(worth)]
        np.add.at(self.pages.undefined, (np.broadcast_to(k, place.shape)[without], place[without]), 1)
        return gaps, worth

    def _worth(self, statuses: NDArray[np.int32], places: NDArray[np.intp]) -> Floats:
        """Return what the status alone makes of absent values: both empty is perfect, one empty overlaps by 0."""
        measure = places % len(self.axes.measures)
        worth = np.where(self.is_both_empty[statuses], self.both_empty[measure], np.nan)
        return np.where(self.is_one_empty[statuses], self.one_empty[measure], worth)

    def absent(self) -> Counts:
        """Return ``(K, n * T)`` how many seeds lack a row that another seed of the same competitor, fold and rater has.

        A fold's cases are those that any seed has in it; a seed that has the case in another fold does not lack it.
        """
        pages = self.pages
        count: Counts = np.zeros_like(pages.rows)
        for k in range(len(pages.total)):
            own = [r for r in range(len(self.repetitions)) if pages.seen[r, k].any()]
            trainings: dict[tuple[Any, Any], list[int]] = {}  # (seed, rater) -> repetitions, which are its folds
            for r in own:
                seed, _, rater = self.repetitions[r]
                trainings.setdefault((seed, rater), []).append(r)
            if len(trainings) < 2 or (pages.seen[own, k] == pages.seen[own[0], k]).all():
                continue
            has = {r: pages.has(r, k) for r in own}
            for (_, rater), folds in trainings.items():
                known = {self.repetitions[r][1] for r in folds}
                peers = [r for r in own if self.repetitions[r][1] in known and self.repetitions[r][2] == rater]
                count[k] += np.any([has[r] for r in peers], axis=0) & ~np.any([has[r] for r in folds], axis=0)
        return count


def _extremes(scores: Scores, axes: _Axes, whole: Grid | None) -> tuple[Floats, Floats]:
    """Return the lowest value below 0 and the largest above the penalty of each measure's metric ``(T,)``, else 0."""
    metrics = scores.vocabulary["metric"]
    lowest, largest = np.zeros(len(metrics)), np.zeros(len(metrics))
    for chunk in scores.chunks:
        if chunk.bounds is not None and chunk.bounds[0] >= 0 and chunk.bounds[1] <= PENALTY:
            continue
        value = chunk.value
        for extremes, extend, outside in (
            (lowest, np.minimum, value < 0),
            (largest, np.maximum, value > PENALTY),
        ):
            if outside.any():
                code = np.broadcast_to(np.asarray(chunk.codes["metric"]), outside.shape)
                extend.at(extremes, code[outside], value[outside])
    if whole is not None:
        codes = [metrics.index(measure.metric) for measure in whole.measures]
        np.minimum.at(lowest, codes, whole.lowest)
        np.maximum.at(largest, codes, whole.largest)
    of = [metrics.index(measure.metric) for measure in axes.measures]
    return lowest[of], largest[of]


def _refuse_contradictions(scores: Scores, found: list[tuple[Any, ...]], board: str) -> None:
    versions: dict[str, set[Any]] = {}
    ways: dict[str, set[Any]] = {}
    for _, metric, version, _, better in found:
        versions.setdefault(metric, set()).add(version)
        ways.setdefault(metric, set()).add(better)
    for metric in sorted(versions):
        if len(versions[metric] - {UNSAID}) > 1:
            raise VerificationError(
                f"{board}: {metric} was computed in several versions: {_who(scores, metric, 'metric_version')}. "
                f"Values of different versions are not comparable: evaluate all methods again with one version, "
                f"leave runs out with --without RUN, or choose other metrics with --metric."
            )
        if ways[metric] - {"higher", "lower"}:
            raise VerificationError(
                f"{board}: {metric} does not say whether higher or lower is better. Fill the column 'better'."
            )
        if len(ways[metric]) > 1:
            raise VerificationError(
                f"{board}: {metric} is better when higher and when lower at once: {_who(scores, metric, 'better')}. "
                f"Correct the column 'better' or choose other metrics with --metric."
            )


def _who(scores: Scores, metric: str, column: str) -> str:
    """Say which methods have which value of a column for a metric."""
    methods: dict[str, set[str]] = {}
    for name, method, word in combinations(scores, ("metric", "method", column)):
        if name == metric:
            methods.setdefault(str(word), set()).add(method)
    return "; ".join(f"{word} ({first_few(sorted(methods[word]))})" for word in sorted(methods))


def _unsaid(scores: Scores) -> list[str]:
    """Say which metrics stand beside those of tables that do not name a version."""
    versions: dict[str, set[Any]] = {}
    for metric, version in combinations(scores, ("metric", "metric_version")):
        versions.setdefault(metric, set()).add(version)
    mixed_up = sorted(metric for metric, words in versions.items() if UNSAID in words and len(words) > 1)
    words = f"Imported values of {first_few(mixed_up)} do not say by which version they were computed: taken to agree."
    return [words] if mixed_up else []


def _without_repeats(scores: Scores) -> Scores | None:
    """Return the rows without those that say again, of the same truth, what another run says; None if some differ."""
    seen: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    kept = []
    for chunk in scores.loaded():
        columns = [np.broadcast_to(np.asarray(chunk.codes[name]), (chunk.rows,)).tolist() for name in _IDENTITY]
        said = [np.broadcast_to(np.asarray(chunk.codes[name]), (chunk.rows,)).tolist() for name in ("status", "run_id")]
        keep = np.ones(chunk.rows, dtype=bool)
        for row, key in enumerate(zip(*columns, strict=True)):
            status, run, value = said[0][row], said[1][row], float(chunk.value[row])
            known = seen.setdefault(key, (row, status, value, run))
            if known == (row, status, value, run) or (known[0] == row and known[3] == run):
                continue
            same = known[1] == status and (known[2] == value or (math.isnan(known[2]) and math.isnan(value)))
            if known[3] == run or not same:
                return None
            keep[row] = False
        kept.append(chunk.take(keep))
    return Scores(scores.vocabulary, [chunk for chunk in kept if chunk.rows])


def _duplicate(scores: Scores, axes: _Axes) -> str:
    """Say what occurs twice, in which runs."""
    where: dict[tuple[int, ...], str] = {}
    for chunk in scores.chunks:
        columns = [np.broadcast_to(np.asarray(chunk.codes[name]), (chunk.rows,)).tolist() for name in _IDENTITY]
        runs = np.broadcast_to(np.asarray(chunk.codes["run_id"]), (chunk.rows,)).tolist()
        for key, code in zip(zip(*columns, strict=True), runs, strict=True):
            run = str(scores.word("run_id", code))
            if key in where:
                return _twice(scores, axes, key, sorted({run, where[key]}))
            where[key] = run
    raise AssertionError("a duplicate was counted but cannot be found")


def _twice(scores: Scores, axes: _Axes, key: tuple[int, ...], runs: list[str]) -> str:
    word = {name: scores.word(name, code) for name, code in zip(_IDENTITY, key, strict=True)}
    several = f"runs {' and '.join(runs)}" if len(runs) > 1 else f"run {runs[0]}"
    advice = (
        f"They differ in their configuration (see their run.json). Leave some out, e.g. --without {runs[0]}, or delete "
        f"their folders."
        if len(runs) > 1
        else "Remove the repeated rows."
    )
    return (
        f"{axes.board}: values occur more than once, the first for {word['method']}, case {word['case_id']}, "
        f"{word['metric']} of {word['label_name']}, seed {word['seed']}, fold {word['fold']} ({several}). {advice}"
    )
