"""Results from several places: one board, each run once, contradictions named."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from segbench import results, score_table
from segbench.cli import app
from segbench.collection import kept_runs
from segbench.errors import DataInvalid, DataMissing
from segbench.gathering import gathered
from segbench.results import SCORES, read_scores, write_table

ROW: dict[str, Any] = {
    **{"dataset": "data", "dataset_revision": "1", "network": "net", "arm": "method", "seed": 0, "fold": 0},
    **{"group": "p", "label": 1, "label_name": "a", "metric_version": "1", "unit": "", "better": "higher"},
}


def keep(root: Path, run: str, values: dict[str, float], metric: str = "dice", method: str = "one") -> Path:
    """Leave a finished run with one value per case."""
    folder = root / "data" / method / run
    rows = [
        {**ROW, "run_id": run, "method": method, "case_id": case, "metric": metric, "value": value}
        for case, value in values.items()
    ]
    write_table(folder / SCORES, score_table.scores_table(rows))
    results.write_json(folder / results.RECORD, {"run_id": run, "source": "imported"})
    return folder


def test_one_place_is_read_where_it_is(tmp_path: Path) -> None:
    with gathered([tmp_path / "nowhere"]) as root:
        assert root == tmp_path / "nowhere"


def test_runs_are_merged_by_identity_and_keep_their_paths(tmp_path: Path) -> None:
    here, there = tmp_path / "a", tmp_path / "b"
    mine = keep(here, "r1", {"c1": 0.5, "c2": 0.6})
    other = keep(there, "r2", {"c1": 0.7, "c2": 0.8}, method="two")
    shutil.copytree(here / "data", there / "data", dirs_exist_ok=True)
    with gathered([here, there]) as root:
        assert [run.folder for run in kept_runs(root)] == [mine, other]
        assert read_scores(root).num_rows == 4
    assert not root.exists() and mine.is_dir() and other.is_dir()


def test_of_a_run_the_fuller_one_counts(tmp_path: Path) -> None:
    few = keep(tmp_path / "a", "r1", {"c1": 0.5})
    more = keep(tmp_path / "b", "r1", {"c1": 0.5, "c2": 0.6})
    for places in (("a", "b"), ("b", "a")):
        with gathered([tmp_path / name for name in places]) as root:
            assert [run.folder for run in kept_runs(root)] == [more]
    assert few.is_dir()


def test_contradictions_are_named(tmp_path: Path) -> None:
    keep(tmp_path / "a", "r1", {"c1": 0.5})
    keep(tmp_path / "b", "r1", {"c1": 0.25})
    keep(tmp_path / "c", "r1", {"c1": 0.5}, metric="iou")
    with (
        pytest.raises(DataInvalid, match=r"1 differ, e.g. dice of a in case c1: 0.5 in .*a/data/one/r1, 0.25 in .*/b/"),
        gathered([tmp_path / "a", tmp_path / "b"]),
    ):
        pass
    for places, error, words in (
        ("ab", DataInvalid, r"1 differ, e.g. dice of a in case c1: 0.5 in .*a/data/one/r1, 0.25 in .*b/data"),
        ("ac", DataInvalid, "each has scores that the other lacks"),
        ("ad", DataMissing, r"--results .*d: expected finished runs or published boards"),
    ):
        with pytest.raises(error, match=words), gathered([tmp_path / name for name in places]):
            pass


def test_boards_of_both_places_on_one(tmp_path: Path) -> None:
    values = {f"c{index}": 0.5 + index / 100 for index in range(6)}
    keep(tmp_path / "a", "r1", values)
    keep(tmp_path / "b", "r2", {case: value + 0.1 for case, value in values.items()}, method="two")
    places = ["--results", str(tmp_path / "a"), "--results", str(tmp_path / "b")]
    for command in (["leaderboard", "--bootstrap", "0"], ["compare", "one", "two", "--metric", "dice"]):
        done = CliRunner().invoke(app, [*command, *places])
        assert done.exit_code == 0, done.output
        assert "one" in done.stdout and "two" in done.stdout
    assert isinstance(read_scores(tmp_path / "a"), pa.Table)
