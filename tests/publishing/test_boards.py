"""Published boards: written from runs, computed again from their own files, stale when anything changed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.errors import DataInvalid, DataMissing, UnknownName, VerificationError
from segbench.publishing.boards import board_folders, staleness, write_boards
from segbench.publishing.records import provenance_of, public_record
from segbench.results import read_scores, write_json, write_table
from segbench.score_table import scores_table

SHIPPED = Path(__file__).resolve().parents[2] / "leaderboards"


def write_run(root: Path, method: str, seed: int, dataset: str = "brain", shift: float = 0.0, **record: Any) -> Path:
    run_id = f"{method}{seed}"
    rng = np.random.default_rng(seed)
    rows = [
        {
            **{"run_id": run_id, "dataset": dataset, "dataset_revision": "1", "network": "net", "method": method},
            **{"arm": "method", "seed": seed, "fold": 0, "case_id": f"c{c}", "group": f"c{c}", "label": 1},
            **{"label_name": "left", "metric": metric, "metric_version": "1", "unit": ""},
            **{"better": "higher" if metric == "dice" else "lower", "value": float(rng.random() + shift)},
            "synthetic": True,
        }
        for c in range(6)
        for metric in ("dice", "hd95")
    ]
    folder = root / dataset / method / run_id
    write_table(folder / "scores.parquet", scores_table(rows))
    write_json(folder / "run.json", {"run_id": run_id, "seconds": {"train": 1.0}, **record})
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    root = tmp_path / "results"
    for method, shift in (("a", 0.2), ("b", 0.0)):
        for seed in (0, 1):
            write_run(root, method, seed, shift=shift, local={"dataset": {"path": "/home/me/data"}})
    return root


def test_a_board_says_what_its_files_say_until_they_change(tmp_path: Path, results: Path) -> None:
    (folder,) = write_boards(results, tmp_path / "boards")
    assert folder.name == "brain@1"
    assert board_folders(tmp_path / "boards") == [folder]
    assert staleness(folder) == ""
    text = (folder / "README.md").read_text()
    assert "says nothing about patients" in text or "say nothing about patients" in text
    assert "scored here" in text
    assert "seed 1" in text
    assert read_scores(folder / "scores.parquet").num_rows == 4 * 12
    assert "/home/me" not in (folder / "runs.jsonl").read_text()
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    write_boards(results, tmp_path / "boards")
    assert before == {file.name: file.read_bytes() for file in folder.iterdir()}, "the same runs give the same bytes"
    (folder / "README.md").write_text(text.replace("scored here", "re-scored"))
    assert "README.md is not what" in staleness(folder)
    write_run(results, "c", 0, shift=0.5)
    (folder / "README.md").write_text(text)
    lines = (folder / "runs.jsonl").read_text().splitlines()
    (folder / "runs.jsonl").write_text("\n".join(lines[1:]) + "\n")
    assert "different runs" in staleness(folder)
    (folder / "runs.jsonl").unlink()
    assert "has no runs.jsonl" in staleness(folder)


@pytest.mark.parametrize("by", [0.3, 1e-5, 1e-15])
def test_changed_scores_make_a_board_stale(tmp_path: Path, results: Path, by: float) -> None:
    (folder,) = write_boards(results, tmp_path / "boards")
    rows = read_scores(folder / "scores.parquet").to_pylist()
    rows[0]["value"] += by
    write_table(folder / "scores.parquet", scores_table(rows))
    assert "README.md is not what" in staleness(folder)


def test_changed_records_make_a_board_stale_and_other_bytes_do_not(tmp_path: Path, results: Path) -> None:
    (folder,) = write_boards(results, tmp_path / "boards")
    table = read_scores(folder / "scores.parquet")
    pq.write_table(table, folder / "scores.parquet", compression="none")
    assert staleness(folder) == "", "the same values in other bytes"
    lines = (folder / "runs.jsonl").read_text()
    (folder / "runs.jsonl").write_text(lines.replace('"train": 1.0', '"train": 1.0001', 1))
    assert "README.md is not what" in staleness(folder)


def test_other_parameters_of_metrics_and_all_seeds_of_a_run_are_shown(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "results", "theirs", 0)
    rows = read_scores(folder).to_pylist()
    rows = [row | {"metric_version": "1 tolerance=2.0" if row["metric"] == "hd95" else "1"} for row in rows]
    write_table(folder / "scores.parquet", scores_table([row | {"seed": seed} for row in rows for seed in (2, 0, 1)]))
    (board,) = write_boards(tmp_path / "results", tmp_path / "boards")
    text = (board / "README.md").read_text()
    assert "other parameters than their defaults: hd95 (1 tolerance=2.0)." in text
    assert "| 0, 1, 2 |" in text


def test_only_what_was_asked_for_is_written(tmp_path: Path, results: Path) -> None:
    write_run(results, "a", 0, dataset="heart")
    with pytest.raises(UnknownName, match="Did you mean 'heart'"):
        write_boards(results, tmp_path / "boards", ["haert"])
    assert [path.name for path in write_boards(results, tmp_path / "boards", ["heart"])] == ["heart@1"]
    (brain,) = write_boards(results, tmp_path / "boards", ["brain@1"], ["a0"])
    assert len((brain / "runs.jsonl").read_text().splitlines()) == 3
    with pytest.raises(DataMissing, match="no finished run"):
        write_boards(tmp_path / "nothing", tmp_path / "boards")


def test_records_are_published_without_paths() -> None:
    record = {
        "run_id": "x",
        "machine": "secret",
        "references": "/data/truth",
        "local": {"dataset": {"path": "/data"}},
        "method": {"prior": "/home/me/priors/adjacency.csv", "other": "C:\\data\\a.csv", "ratio": "1/2"},
    }
    assert public_record(record) == {
        "run_id": "x",
        "method": {"prior": "adjacency.csv", "other": "a.csv", "ratio": "1/2"},
    }


def test_who_computed_the_scores() -> None:
    assert provenance_of({"config": {}}) == "scored here"
    assert provenance_of({"source": "imported"}) == "self-reported"
    assert provenance_of({"verification": {"re-scored": ["dice"], "self-reported": []}}) == "re-scored"
    assert provenance_of({"verification": {"re-scored": [], "self-reported": ["dice"]}}) == "self-reported"
    both = {"verification": {"re-scored": ["dice"], "self-reported": ["odd"]}}
    assert provenance_of(both) == "re-scored: dice; self-reported: odd"


def test_command_line(tmp_path: Path, results: Path) -> None:
    boards = tmp_path / "boards"
    answer = CliRunner().invoke(app, ["leaderboard", "--write", str(boards), "--results", str(results)])
    assert answer.exit_code == 0, answer.output
    assert "brain@1" in answer.stdout
    answer = CliRunner().invoke(app, ["leaderboard", "--write", str(boards), "--results", str(results), "--json"])
    assert json.loads(answer.stdout)["boards"] == [str(boards / "brain@1")]
    assert CliRunner().invoke(app, ["leaderboard", str(boards), "--results", str(results)]).exit_code == 2


def test_boards_are_checked_by_command(tmp_path: Path, results: Path) -> None:
    write_run(results, "a", 0, dataset="heart")
    boards = tmp_path / "boards"
    write_boards(results, boards)
    answer = CliRunner().invoke(app, ["leaderboard", "--check", str(boards), "--json"])
    assert (answer.exit_code, [one["stale"] for one in json.loads(answer.stdout)["boards"]]) == (0, ["", ""])
    (boards / "heart@1" / "README.md").write_text("better")
    answer = CliRunner().invoke(app, ["leaderboard", "--check", str(boards)])
    assert answer.exit_code == 5
    assert "brain@1: as its files say" in answer.output
    assert "1 of 2 boards are stale: heart@1" in answer.output
    assert CliRunner().invoke(app, ["leaderboard", "--check", str(tmp_path / "none")]).exit_code == 3
    assert CliRunner().invoke(app, ["leaderboard", "--check", "--write", str(boards)]).exit_code == 2


def test_writing_boards_needs_no_torch_and_no_plugin(tmp_path: Path, results: Path) -> None:
    program = (
        "import sys; from segbench.cli import app\n"
        "try: app(['leaderboard', '--write', sys.argv[2], '--results', sys.argv[1]])\n"
        "except SystemExit: pass\n"
        "heads = {name.split('.')[0] for name in sys.modules}\n"
        "bad = [h for h in heads if h in ('torch', 'pandas', 'nibabel') or h.startswith('segbench_')]\n"
        "assert not bad, bad"
    )
    command = [sys.executable, "-c", program, str(results), str(tmp_path / "boards")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert staleness(tmp_path / "boards" / "brain@1") == ""


def test_the_shipped_boards_are_not_stale() -> None:
    stale = [reason for folder in board_folders(SHIPPED) if (reason := staleness(folder))]
    assert not stale, f"{stale}; run `segbench leaderboard --write leaderboards --results leaderboards`"


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return sorted(read_scores(folder).to_pylist(), key=lambda row: (row["run_id"], row["metric"], row["case_id"]))


def listed(board: Path) -> list[str]:
    return [json.loads(line)["run_id"] for line in (board / "runs.jsonl").read_text().splitlines()]


def test_what_is_new_is_added_and_nothing_is_lost(tmp_path: Path, results: Path) -> None:
    (board,) = write_boards(results, tmp_path / "boards")
    before = rows_of(board)
    other = tmp_path / "other"
    write_run(other, "c", 0, shift=0.4)
    write_run(other, "c", 0, dataset="heart")
    assert [path.name for path in write_boards(other, tmp_path / "boards")] == ["brain@1", "heart@1"]
    assert listed(board) == ["a0", "a1", "b0", "b1", "c0"]
    assert [row for row in rows_of(board) if row["method"] != "c"] == before
    assert staleness(board) == ""
    heart = (tmp_path / "boards" / "heart@1" / "README.md").stat().st_mtime_ns
    write_boards(results, tmp_path / "boards")
    assert (tmp_path / "boards" / "heart@1" / "README.md").stat().st_mtime_ns == heart, "nothing of it is here"
    assert listed(board) == ["a0", "a1", "b0", "b1", "c0"]


def test_a_run_that_was_scored_further_is_completed_both_ways(tmp_path: Path, results: Path) -> None:
    (board,) = write_boards(results, tmp_path / "boards")
    folder = results / "brain" / "a" / "a0"
    every = read_scores(folder).to_pylist()
    fewer = [row for row in every if row["metric"] == "dice"]
    more = [row | {"metric": "nsd", "better": "higher"} for row in fewer]
    write_table(folder / "scores.parquet", scores_table([*fewer, *more]))
    write_boards(results, tmp_path / "boards", existing="keep")
    found = [row for row in rows_of(board) if row["run_id"] == "a0"]
    assert sorted({row["metric"] for row in found}) == ["dice", "hd95", "nsd"]
    assert len(found) == 18


def test_contradictions_are_named_and_the_boards_stand(tmp_path: Path, results: Path) -> None:
    (board,) = write_boards(results, tmp_path / "boards")
    before = rows_of(board)
    write_run(results, "a", 0, shift=0.9)
    write_run(results, "c", 0)
    with pytest.raises(VerificationError, match=r"a, run a0: 12 of 12 values differ, first dice of left in case c0"):
        write_boards(results, tmp_path / "boards")
    assert [row for row in rows_of(board) if row["method"] != "c"] == before
    assert "c0" in listed(board), "the rest is written"
    assert staleness(board) == ""
    write_boards(results, tmp_path / "boards", existing="replace")
    assert [row for row in rows_of(board) if row["run_id"] == "a0"] == rows_of(results / "brain" / "a" / "a0")
    write_run(results, "a", 0, shift=0.9, parameters=7)
    write_boards(results, tmp_path / "boards")
    write_run(results, "a", 0, shift=0.9, parameters=8)
    with pytest.raises(VerificationError, match="its record says another parameters there"):
        write_boards(results, tmp_path / "boards")


def test_runs_are_taken_off_by_name_or_dropped_when_asked(tmp_path: Path, results: Path) -> None:
    (board,) = write_boards(results, tmp_path / "boards")
    other = tmp_path / "other"
    write_run(other, "c", 0)
    write_boards(other, tmp_path / "boards", without=["a1"])
    assert listed(board) == ["a0", "b0", "b1", "c0"]
    write_boards(other, tmp_path / "boards", existing="drop")
    assert listed(board) == ["c0"]
    assert write_boards(other, tmp_path / "boards", without=["c0"]) == []


def test_marks_of_a_copy_that_was_verified_stay(tmp_path: Path, results: Path) -> None:
    folder = write_run(results, "c", 0, verification={"re-scored": [], "self-reported": ["dice", "hd95"]})
    (board,) = write_boards(results, tmp_path / "boards")
    write_run(results, "c", 0, verification={"re-scored": ["dice"], "self-reported": ["hd95"]})
    write_boards(results, tmp_path / "boards")
    write_json(
        folder / "run.json", {"run_id": "c0", "verification": {"re-scored": ["hd95"], "self-reported": ["dice"]}}
    )
    write_boards(results, tmp_path / "boards")
    (record,) = [
        one for one in map(json.loads, (board / "runs.jsonl").read_text().splitlines()) if one["run_id"] == "c0"
    ]
    assert record["verification"] == {"re-scored": ["dice", "hd95"], "self-reported": []}


def test_boards_that_a_new_run_joins_are_not_mixed_silently(tmp_path: Path) -> None:
    def with_truths(root: Path, method: str, revision: str, cases: list[str]) -> None:
        folder = write_run(root, method, 0)
        kept = [row for row in read_scores(folder).to_pylist() if row["case_id"] in cases]
        named = [row | {"truth": "t-" + row["case_id"], "dataset_revision": revision} for row in kept]
        write_table(folder / "scores.parquet", scores_table(named))

    for method, cases in (("a", ["c0", "c1", "c2"]), ("b", ["c3", "c4", "c5"])):
        with_truths(tmp_path / method, method, method, cases)
        write_boards(tmp_path / method, tmp_path / "boards")
    assert [path.name for path in board_folders(tmp_path / "boards")] == ["brain@a", "brain@b"]
    with_truths(tmp_path / "c", "c", "a", ["c0", "c1", "c2", "c3", "c4", "c5"])
    with pytest.raises(VerificationError, match="they are one board now"):
        write_boards(tmp_path / "c", tmp_path / "boards")


def test_edited_code_is_said_on_the_page_and_in_the_record(
    tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for commit, words in (
        ("a" * 40, "commit aaaaaaaaaaaa."),
        ("b" * 40 + "+", "edited: with"),
        (None, "as installed."),
    ):
        monkeypatch.setattr("segbench.publishing.boards.git_commit", lambda commit=commit: commit)
        (board,) = write_boards(results, tmp_path / "boards")
        assert json.loads((board / "board.json").read_text())["git_commit"] == commit
        assert words in (board / "README.md").read_text()
        assert staleness(board) == ""
    assert "made by edited code" not in (board / "README.md").read_text()
    write_run(results, "c", 0, config={"recipe": {"epochs": 1}}, git_commit="c" * 40 + "+", training={"steps": 2})
    (board,) = write_boards(results, tmp_path / "boards")
    assert (
        "1 of 1 trained runs were made by edited code: a checkout of cccccccccccc" in (board / "README.md").read_text()
    )
    (board / "board.json").write_text("[]")
    with pytest.raises(DataInvalid, match="expected the record of a board"):
        staleness(board)
    (board / "board.json").unlink()
    assert "README.md is not what" in staleness(board)
