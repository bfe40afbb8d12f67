"""Patients: scans that belong together, drawn, ranked, tested, counted and named together."""

from __future__ import annotations

import io
import itertools
import re
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from segbench.ranking.boards import Request
from segbench.ranking.bootstrap import bootstrap_aggregates, bootstrap_ranks, draw, multiplicities
from segbench.ranking.chunks import chunks_of_table
from segbench.ranking.comparisons import draw_comparisons
from segbench.ranking.grid import COLUMNS
from segbench.ranking.leaderboard import leaderboard
from segbench.ranking.patients import NOBODY, cases_of, means_of, patients_of
from segbench.ranking.schemes import SCHEMES, rank_task
from segbench.ranking.verdicts import compare
from segbench.score_table import scores_table
from segbench.showing.exports import document
from segbench.showing.tables import sheets


def rows(values: Any, scans: int = 1, label: str = "left", **changes: Any) -> list[dict[str, Any]]:
    """Rows of ``(cases, methods)`` values; ``scans`` cases in a row are of one patient."""
    return [
        {
            "run_id": f"{'abcdef'[k]}{changes.get('seed', 0)}",
            "dataset": "heart",
            "dataset_revision": "1",
            "network": "n",
            "method": "abcdef"[k],
            "arm": "method",
            "seed": 0,
            "fold": 0,
            "case_id": f"c{c:02d}",
            "group": f"p{c // scans:02d}",
            "label": 1,
            "label_name": label,
            "metric": "dice",
            "metric_version": "1",
            "unit": "",
            "better": "higher",
            "value": None if np.isnan(value) else float(value),
            "status": "missing" if np.isnan(value) else "ok",
        }
        | changes
        for (c, k), value in np.ndenumerate(np.asarray(values, dtype=float))
    ]


def test_whose_scans_they_are() -> None:
    cases = ["c0", "c1", "c2", "c3", "c4"]
    assert patients_of(cases, []).tolist() == [0, 1, 2, 3, 4]
    assert patients_of(cases, [("c0", "p"), ("c3", "p"), ("c1", ""), ("c2", None), ("zz", "p")]).tolist() == [
        0,
        1,
        2,
        0,
        3,
    ]
    own = [(case, case) for case in cases]  # a table without patients calls every case its own
    assert patients_of(cases, [*own, ("c1", "p"), ("c2", "p")]).tolist() == [0, 1, 1, 2, 3]
    assert patients_of(cases, [("c0", "p"), ("c1", "p"), ("c1", "q"), ("c4", "q")]).tolist() == [0, 0, 1, 2, 0]


def test_means_over_the_scans_of_a_patient() -> None:
    values = np.array([[1.0, 2.0], [3.0, np.nan], [5.0, np.nan], [np.inf, 1.0]])
    means = means_of(values, [7, 7, 4, 4])
    assert np.array_equal(means, [[np.inf, 1.0], [2.0, 2.0]])
    assert np.array_equal(means_of(values, [3, 2, 1, 0]), values[::-1], equal_nan=True)


@pytest.mark.parametrize("patients", [[0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 2, 3], [2, 0, 1, 0, 2, 2]])
def test_a_drawn_patient_brings_all_scans(patients) -> None:
    drawn = draw(len(set(patients)), 50, np.random.default_rng(0))
    cases = cases_of(drawn, patients)
    expected = [[sum(p == who for p in row) for who in patients] for row in drawn.tolist()]
    assert multiplicities(cases, 6).tolist() == expected
    X = np.round(np.random.default_rng(1).random((6, 3)), 2)
    for how in ("mean", "median"):
        found = bootstrap_aggregates(X, cases, how)
        loop = [getattr(np, how)(X[row[row != NOBODY]], axis=0) for row in cases]
        assert found == pytest.approx(np.array(loop))
    for scheme in SCHEMES:
        loop = [rank_task(X[row[row != NOBODY]], 1, scheme, None).rank for row in cases]
        assert np.array_equal(bootstrap_ranks(X, 1, scheme, cases), loop)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_intervals_of_ranks_draw_patients(scheme) -> None:
    """Six scans of each of four patients, who differ in who is better: as 24 cases the order would look firm."""
    own = np.repeat([[0.3, 0.0], [0.3, 0.0], [0.3, 0.0], [0.0, 0.5]], 6, axis=0)
    values = own + 0.01 * np.random.default_rng(0).normal(size=own.shape)
    clustered, alone = (
        leaderboard(scores_table(rows(values, scans)), Request(scheme=scheme, bootstrap=500)).boards[0].entries[0].place
        for scans in (6, 1)
    )
    assert clustered.p_first < 1
    if scheme in ("rank-then-mean", "mean-then-rank"):
        assert clustered.p_first < alone.p_first - 0.05


def test_test_then_rank_tests_patients() -> None:
    gain = np.repeat(
        [0.03, 0.04, 0.05, 0.02, -0.01], 8
    )  # four of five patients are not enough: W+ = 14 of 15, p = .053
    values = 0.7 + np.stack([gain, np.zeros(40)], axis=1) + 0.001 * np.random.default_rng(1).normal(size=(40, 2))
    clustered, alone = (
        {
            s.method: s.aggregate
            for s in leaderboard(scores_table(rows(values, scans)), request).boards[0].tasks[0].standings
        }
        for scans in (8, 1)
        for request in [Request(scheme="test-then-rank")]
    )
    assert alone == {"a": 1.0, "b": 0.0}
    assert clustered == {"a": 0.0, "b": 0.0}


def test_the_floor_counts_patients_and_it_is_said() -> None:
    better = np.array([[0.9, 0.5]]) + 0.01 * np.random.default_rng(0).normal(size=(30, 2))
    result = leaderboard(scores_table(rows(better, 6)), Request(bootstrap=50))
    (board,) = result.boards
    assert (board.patients, board.cases, document(result)["boards"][0]["patients"]) == (5, 30, 5)
    assert "Fewer than 6 patients: nothing is tested." in board.notes
    assert {entry.group for entry in board.entries} == {""}
    (sheet,) = sheets(result)
    assert "5 patients, 30 cases" in sheet.title
    assert {"95% (patients)", "P(first) (patients)"} <= set(sheet.header)
    assert any("patients drawn again, with all their scans; the trainings" in note for note in sheet.notes)
    (alone,) = leaderboard(scores_table(rows(better)), Request(bootstrap=50)).boards
    assert {entry.group for entry in alone.entries} == {"a", "b"}
    assert alone.patients == alone.cases == 30


def test_compare_speaks_of_patients() -> None:
    rng = np.random.default_rng(2)
    patients = rng.normal(0.7, 0.1, size=(16, 1)) + np.array([[0.02, 0.0]])
    values = np.repeat(patients, 3, axis=0) + 0.01 * rng.normal(size=(48, 2))
    scores = chunks_of_table(scores_table(rows(values, 3)), COLUMNS)
    (one,) = compare(scores, ["a", "b"], "dice")
    assert (one.cases, one.patients, one.effect.n) == (48, 16, 16)
    assert one.effect.mean == pytest.approx(float(np.mean(values[:, 0] - values[:, 1])))
    out = io.StringIO()
    draw_comparisons([one], Console(file=out, width=200), 0.0)
    for words in ("16 patients (48 cases)", "of patients", "each the mean of its scans", "patients drawn again"):
        assert words in out.getvalue()


def test_ties_are_not_called_better() -> None:
    values = np.array([[0.5, 0.5]] * 7 + [[0.6, 0.5]])
    (one,) = compare(chunks_of_table(scores_table(rows(values)), COLUMNS), ["a", "b"], "dice")
    assert (one.effect.better, one.effect.tied, one.effect.common_language) == (0.125, 0.875, 0.5625)
    out = io.StringIO()
    draw_comparisons([one], Console(file=out, width=200), 0.0)
    assert "first better in 12% of cases, tied in 88%" in out.getvalue()


def test_ties_reach_the_mean_rank_of_test_then_rank() -> None:
    """By hand: a and b beat c in the first structure, nobody beats anybody in the second."""
    first = [[0.9 + 0.01 * (-1) ** c, 0.9, 0.5 + 0.001 * c] for c in range(8)]
    second = [[0.9 + 0.01 * (-1) ** c, 0.9, 0.9 - 0.005 * (-1) ** c] for c in range(8)]
    table = scores_table(rows(first) + rows(second, label="right"))
    mean: dict[Any, dict[str, float]] = {}
    for ties in ("min", None, "max"):
        (board,) = leaderboard(table, Request(scheme="test-then-rank", ties=ties)).boards
        mean[ties] = {entry.place.method: entry.place.mean_rank for entry in board.entries}
    assert mean["min"] == {"a": 1.0, "b": 1.0, "c": 2.0}, "ranks 1 1 3 and 1 1 1"
    assert mean[None] == {"a": 1.75, "b": 1.75, "c": 2.5}, "ranks 1.5 1.5 3 and 2 2 2"
    assert mean["max"] == {"a": 2.5, "b": 2.5, "c": 3.0}, "ranks 2 2 3 and 3 3 3"


def test_the_query_of_the_readme_counts_the_missed() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    view, query = re.search(r"```sql\n(.+?;)\n(.+?;)\n```", text, re.DOTALL).groups()
    values = np.array([[0.8, np.nan], [0.6, 0.9], [np.nan, np.nan]])
    table = rows(values)
    for line in table[-2:]:
        line["status"] = "both_empty"
    (board,) = leaderboard(scores_table(table)).boards
    with sqlite3.connect(":memory:") as base:
        base.execute("CREATE TABLE stored (method, metric, better, value, status)")
        names = ("method", "metric", "better", "value", "status")
        base.executemany(
            "INSERT INTO stored VALUES (?, ?, ?, ?, ?)", [tuple(line[name] for name in names) for line in table]
        )
        base.execute(view.replace("'results/*/*/*/scores.parquet'", "stored"))
        found = dict(base.execute(query).fetchall())
    shown = {entry.place.method: entry.summaries["dice"].mean for entry in board.entries}
    assert found == pytest.approx(shown)
    assert shown == pytest.approx({"a": (0.8 + 0.6 + 1) / 3, "b": (0 + 0.9 + 1) / 3})


def test_letters_of_a_choice_of_methods_are_those_of_the_whole_board() -> None:
    rng = np.random.default_rng(3)
    skill = np.array([0.05, 0.034, 0.0, 0.04, 0.045])
    values = rng.normal(0.7, 0.1, size=(24, 1)) + skill + 0.03 * rng.normal(size=(24, 5))
    table = scores_table([line for seed in range(3) for line in rows(values + 0.002 * seed, seed=seed)])
    (whole,) = leaderboard(table).boards
    groups = {entry.place.method: set(entry.group) for entry in whole.entries}
    disagree = 0
    for pair in itertools.combinations("abcde", 2):
        (some,) = leaderboard(table, Request(methods=pair)).boards
        first, second = (set(entry.group) for entry in some.entries)
        assert bool(first & second) == bool(groups[pair[0]] & groups[pair[1]])
        alone = scores_table([line for line in table.to_pylist() if line["method"] in pair])
        (of_two,) = leaderboard(alone).boards
        disagree += bool(set.intersection(*(set(entry.group) for entry in of_two.entries))) != bool(first & second)
    assert disagree, "as a board of their own they have a smaller family"
