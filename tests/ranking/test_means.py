"""One file of scores, one mean: as computed by hand, and as run, evaluate, leaderboard, report and studies give it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.cli import evaluate as evaluate_command
from segbench.cli import run as run_command
from segbench.contracts import Cell
from segbench.errors import DataInvalid
from segbench.ranking.boards import Request
from segbench.ranking.chunks import load_chunks
from segbench.ranking.entrants import competitor_names
from segbench.ranking.grid import COLUMNS
from segbench.ranking.holdings import board_parts, grid_of
from segbench.ranking.leaderboard import rank_scores
from segbench.ranking.means import means_of_run
from segbench.reporting.board import _means
from segbench.reporting.evidence import gather_evidence
from segbench.results import write_json, write_table
from segbench.score_table import scores_table
from segbench.studies.running import Attempt
from segbench.studies.tables import _scores, _table
from segbench.types import Structure

VALUES: dict[str, dict[str, list[Any]]] = {
    "dice": {"left": [0.8, "pred_empty", "both_empty", 0.6], "right": [0.4, 0.2, "missing", "truth_empty"]},
    "hd95": {"left": [2.0, "pred_empty", "both_empty", 4.0], "right": [6.0, 8.0, "missing", "truth_empty"]},
}
BY_CASE = {"dice": [0.6, 0.1, 0.5, 0.3], "hd95": [4.0, 8.0, 0.0, 4.0]}
"""By hand: labels averaged; a missed overlap is 0, both empty is perfect, an undefined distance is left out."""
MEAN = {"dice": 0.375, "hd95": 4.0}


def rows() -> list[dict[str, Any]]:
    return [
        {
            **{"run_id": "r", "dataset": "toy", "dataset_revision": "1", "network": "net", "method": "a"},
            **{"arm": "method", "seed": 3, "fold": 0, "case_id": f"c{case}", "group": f"c{case}"},
            **{"label": 1 + (label == "right"), "label_name": label, "metric": metric, "metric_version": "1"},
            **{"unit": "mm" if metric == "hd95" else "", "better": "lower" if metric == "hd95" else "higher"},
            **{"value": None if isinstance(value, str) else value},
            **{"status": value if isinstance(value, str) else "ok", "truth": f"2x2@1,1:a{case}"},
        }
        for metric, labels in VALUES.items()
        for label, values in labels.items()
        for case, value in enumerate(values)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = tmp_path / "results" / "toy" / "a" / "r"
    write_table(run / "scores.parquet", scores_table(rows()))
    write_json(run / "run.json", {"run_id": "r"})
    return run


def test_means_by_hand(folder: Path) -> None:
    means = means_of_run(folder)
    assert (means.dataset, means.revision, means.cases, means.synthetic) == ("toy", "1", 4, False)
    for one in means.metrics:
        values = BY_CASE[one.metric]
        assert one.mean == pytest.approx(sum(values) / 4)
        assert one.sd == pytest.approx(math.sqrt(sum((v - one.mean) ** 2 for v in values) / 3))
        assert one.median == pytest.approx(sum(sorted(values)[1:3]) / 2)
        assert (one.cases, one.counted, one.undefined) == (4, 4, {"dice": 1, "hd95": 3}[one.metric])
        assert one.left_out == {"dice": 0, "hd95": 3}[one.metric]
        assert one.statuses == {"ok": 4, "pred_empty": 1, "both_empty": 1, "missing": 1, "truth_empty": 1}
    left, right = (one for one in means.structures if one.metric == "hd95")
    assert (left.structure, left.mean, left.median, left.cases, left.counted) == ("left", 2.0, 3.0, 4, 3)
    assert (right.mean, right.median, right.counted, right.left_out) == (7.0, math.inf, 2, 2)
    assert left.statuses == {"ok": 2, "pred_empty": 1, "both_empty": 1}
    assert (left.unit, left.better) == ("mm", "lower")
    overlap = next(one for one in means.structures if (one.metric, one.structure) == ("dice", "right"))
    assert (overlap.mean, overlap.median, overlap.undefined, overlap.left_out) == (pytest.approx(0.15), 0.1, 1, 0)


def test_nothing_and_too_much_are_refused() -> None:
    for found in ([], rows() + [row | {"method": "b"} for row in rows()]):
        with pytest.raises(DataInvalid, match="scores of one run"):
            means_of_run(scores_table(found))


def test_a_structure_without_any_value_has_no_mean() -> None:
    gone = [row | {"value": None, "status": "missing"} for row in rows() if row["metric"] == "hd95"]
    (one,) = means_of_run(scores_table(gone)).metrics
    assert math.isnan(one.mean)
    assert (one.median, one.counted, one.left_out) == (math.inf, 0, 8)


def test_run_evaluate_leaderboard_report_and_study_say_the_same(folder: Path, capsys: Any) -> None:
    results = folder.parents[2]
    found: dict[str, dict[str, float]] = {}
    scores = load_chunks(results, COLUMNS)
    board = rank_scores(scores, Request()).boards[0]
    found["leaderboard"] = {name: s.mean for name, s in board.entries[0].summaries.items()}
    ((division, part),) = board_parts(scores)
    evidence = gather_evidence(grid_of(part, division, competitor_names(scores)), Request())
    found["report"] = {one.metric: _means(one, ["a"])["a"] for one in evidence}
    cell: Any = Cell("row", SimpleNamespace())  # type: ignore[arg-type]
    attempt = Attempt("toy", cell, "done", folder)
    table = _table([attempt], {id(attempt): means_of_run(_scores(attempt))}, "", [], [])
    found["study"] = {name: value.mean or math.nan for name, value in table.rows[0].values.items()}
    run_command._summary(SimpleNamespace(folder=folder, seconds={}, failed=0, decision="", fault=""))  # type: ignore[arg-type]
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    found["run"] = {line[0]: float(line[1]) for line in lines if line and line[0] in MEAN}
    for where, means in found.items():
        assert means == pytest.approx(MEAN), where
    task = SimpleNamespace(structures=(Structure("left", 1), Structure("right", 2)))
    summary = evaluate_command._summary(SimpleNamespace(table=scores_table(rows()), task=task))  # type: ignore[arg-type]
    by_label = {(t.measure.label, t.measure.metric): t.standings[0].summary for t in board.tasks}
    for one in summary:
        own = by_label[one["structure"], one["metric"]]
        assert (one["mean"], one["sd"]) == (own.mean, own.sd)
    assert [one["structure"] for one in summary] == ["left", "left", "right", "right"]
    answer = CliRunner().invoke(app, ["leaderboard", "--results", str(results), "--json"])
    shown = json.loads(answer.stdout)["tasks"]
    assert {(t["label"], t["metric"]): t["rows"][0]["mean"] for t in shown} == pytest.approx(
        {(one["structure"], one["metric"]): one["mean"] for one in summary}
    )
