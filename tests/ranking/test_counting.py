"""Rows counted into grids: against a count by hand, kept in memory or read again, whole or in blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segbench.errors import DataInvalid, VerificationError
from segbench.ranking import chunks, grid, schemes
from segbench.ranking.boards import Request
from segbench.ranking.chunks import Scores, chunks_of_table, load_chunks
from segbench.ranking.counting import build
from segbench.ranking.entrants import competitor_names
from segbench.ranking.grid import COLUMNS, MISSED, Grid
from segbench.ranking.leaderboard import rank_scores
from segbench.results import RECORD, read_scores, write_json, write_table
from segbench.score_table import scores_table
from segbench.showing.exports import document

METRICS = {"dice": "higher", "hd95": "lower", "corr": "higher"}
STATUSES = ("ok", "ok", "ok", "ok", "both_empty", "truth_empty", "pred_empty", "missing")


def rows_of(seed: int, methods: int = 3, seeds: int = 2, cases: int = 4, gone: float = 0.0) -> list[dict[str, Any]]:
    """Return made-up rows of several runs; each run has them in an order of its own unless the seed is even."""
    generator = np.random.default_rng(seed)
    rows = []
    for k in range(methods):
        for s in range(seeds):
            run = []
            for case in range(cases):
                for label in ("left", "right"):
                    for metric, better in METRICS.items():
                        status = str(generator.choice(STATUSES))
                        value = float(np.round(generator.random() * (1 if better == "higher" else 20), 1))
                        value = value - 0.5 if metric == "corr" else value
                        run.append(
                            {
                                "run_id": f"run{k}{s}",
                                "dataset": "made up",
                                "dataset_revision": "1",
                                "network": "n",
                                "method": f"method {k}",
                                "arm": "method",
                                "seed": s,
                                "fold": case % 2,
                                "case_id": f"case{case}",
                                "group": f"case{case}",
                                "label": 1,
                                "label_name": label,
                                "metric": metric,
                                "metric_version": "1",
                                "unit": "",
                                "better": better,
                                "value": value if status == "ok" else None,
                                "status": status,
                            }
                        )
            if seed % 2:
                generator.shuffle(run)
            rows += [row for row in run if generator.random() >= gone]
    return rows


def by_hand(rows: list[dict[str, Any]], found: Grid) -> Iterator[tuple[tuple[int, int, int], tuple[float, ...]]]:
    """Yield of every place the total, and how many rows, undefined and missed values there are, counted row by row."""
    lowest = {
        metric: min([0.0, *(r["value"] for r in rows if r["metric"] == metric and r["value"])]) for metric in METRICS
    }
    for t, measure in enumerate(found.measures):
        for c, case in enumerate(found.cases):
            for k, name in enumerate(found.competitors):
                wanted = (measure.label, measure.metric, case, name)
                mine = [r for r in rows if (r["label_name"], r["metric"], r["case_id"], r["method"]) == wanted]
                total, undefined = 0.0, 0
                for row in mine:
                    value = row["value"]
                    if value is None and row["status"] == "both_empty":
                        value = 1.0 if measure.direction > 0 else 0.0
                    zero = measure.direction > 0 and lowest[measure.metric] >= 0
                    if value is None and row["status"] in ("pred_empty", "truth_empty") and zero:
                        value = 0.0
                    undefined += value is None
                    total += value or 0.0
                missed = sum(row["status"] in MISSED for row in mine)
                yield (t, c, k), (total, len(mine), undefined, missed)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("interleaved", [False, True])
def test_counts_are_those_by_hand(seed: int, interleaved: bool) -> None:
    rows = rows_of(seed, gone=0.1 if seed > 2 else 0.0)
    if interleaved:
        np.random.default_rng(seed).shuffle(rows)
    scores = chunks_of_table(scores_table(rows), COLUMNS)
    found = build(scores, competitor_names(scores))
    for place, (total, *counts) in by_hand(rows, found):
        assert found.total[place] == pytest.approx(total, abs=1e-12)
        assert [found.rows[place], found.undefined[place], found.missed[place]] == counts
    for t, measure in enumerate(found.measures):
        for c, case in enumerate(found.cases):
            for k, name in enumerate(found.competitors):
                wanted = (measure.label, measure.metric, case, name)
                mine = [r["seed"] for r in rows if (r["label_name"], r["metric"], r["case_id"], r["method"]) == wanted]
                fold = int(case.removeprefix("case")) % 2
                trained = {r["seed"] for r in rows if r["method"] == name and r["fold"] == fold}
                assert found.absent[t, c, k] == (len(trained) - len(mine) if mine else 0)


def test_two_values_for_one_thing_are_refused_in_one_run_and_in_two() -> None:
    rows = rows_of(0)
    differs = {"run_id": "other", "value": 0.123, "status": "ok"}
    for more in ([rows[0]], [rows[0] | differs], [row | differs for row in rows[:24]]):
        scores = chunks_of_table(scores_table(rows + more), COLUMNS)
        with pytest.raises(VerificationError, match="more than once"):
            build(scores, competitor_names(scores))


def test_what_another_run_says_alike_counts_once() -> None:
    rows = rows_of(0)
    plain, again = (
        chunks_of_table(scores_table(some), COLUMNS)
        for some in (rows, rows + [row | {"run_id": "other"} for row in rows[:24]])
    )
    grids = [build(scores, competitor_names(scores)) for scores in (plain, again)]
    for name in ("total", "rows", "undefined", "missed"):
        assert np.array_equal(getattr(grids[0], name), getattr(grids[1], name))


@pytest.fixture(params=[0, 1], ids=["runs alike", "runs in their own orders"])
def results(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a folder of finished runs."""
    rows = rows_of(request.param, methods=4, seeds=3, cases=9)
    for run in sorted({row["run_id"] for row in rows}):
        mine = [row for row in rows if row["run_id"] == run]
        write_table(tmp_path / "made up" / mine[0]["method"] / run / "scores.parquet", scores_table(mine))
        write_json(tmp_path / "made up" / mine[0]["method"] / run / RECORD, {"run_id": run})
    return tmp_path


def written(scores: Scores, **request: Any) -> str:
    return json.dumps(document(rank_scores(scores, Request(**request))), sort_keys=True, default=str)


REQUESTS: list[dict[str, Any]] = [
    {},
    {"missing": "drop", "bootstrap": 30},
    {"metrics": ("dice",), "labels": ("left",), "without": ("run00",), "cases": "union"},
    {"scheme": "test-then-rank", "bootstrap": 30, "schemes": True},
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: ",".join(one) or "default")
def test_values_that_are_read_again_give_the_same_board(
    results: Path, request_: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = load_chunks(results, COLUMNS)
    monkeypatch.setattr(chunks, "_KEPT_ROWS", 0)
    stored = load_chunks(results, COLUMNS)
    assert all(chunk.is_stored for chunk in stored.chunks) and not any(chunk.is_stored for chunk in kept.chunks)
    assert written(stored, **request_) == written(kept, **request_)


def test_files_with_several_runs_give_the_same_board(
    results: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:

    file = tmp_path / "all.parquet"
    write_table(file, read_scores(results))
    monkeypatch.setattr(chunks, "_SHORTEST_PIECE", 1)
    kept = written(load_chunks(file, COLUMNS))
    monkeypatch.setattr(chunks, "_KEPT_ROWS", 0)
    stored = load_chunks(file, COLUMNS)
    assert len(stored.chunks) > 1
    assert written(stored) == kept == written(load_chunks(results, COLUMNS))


def test_a_file_that_is_replaced_meanwhile_is_refused(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_KEPT_ROWS", 0)
    scores = load_chunks(results, COLUMNS)
    file = next(results.glob("*/*/*/scores.parquet"))
    write_table(file, scores_table(rows_of(5, methods=1, seeds=1)))
    with pytest.raises(DataInvalid, match="was replaced while it was being read"):
        rank_scores(scores, Request())


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: ",".join(one) or "default")
def test_blocks_give_the_same_board(results: Path, request_: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    scores = load_chunks(results, COLUMNS)
    whole = json.loads(written(scores, **request_))
    monkeypatch.setattr(grid, "_BLOCK", 1)
    monkeypatch.setattr(schemes, "_BLOCK", 5)
    in_blocks = json.loads(written(scores, **request_))
    assert _close(in_blocks, whole)


def _close(one: Any, other: Any) -> bool:
    """Return whether two documents are alike: words and counts equal, sums in another order within 1e-12."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other or abs(one - other) <= 1e-12 * max(1.0, abs(one)) or (one != one and other != other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_close(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_close, one, other))
    return bool(one == other)


def test_rounding_on_bits_is_rounding_of_the_mantissa() -> None:
    generator = np.random.default_rng(0)
    values = (
        generator.random(20_000) * 10.0 ** generator.integers(-200, 200, 20_000) * generator.choice([-1, 1], 20_000)
    )
    halves = np.round(generator.random(2000) * 2**41) / 2**41
    values = np.concatenate([values, halves, [0.0, -0.0, np.inf, -np.inf, 1 - 2**-41, 1 + 2**-40, 3.0]])
    mantissa, exponent = np.frexp(values)
    expected = np.ldexp(np.round(mantissa * 2.0**40) / 2.0**40, exponent)
    several = np.full(values.shape, 2, dtype=np.int8)
    assert np.array_equal(grid._steady(values.copy(), several), expected)
    assert np.array_equal(grid._steady(values.copy(), several - 1), values)
