"""Outsiders' records and tables: each is checked when it is read, the bad one is named, the others go on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.collection import kept_runs
from segbench.errors import DataInvalid
from segbench.records import parsed_record
from segbench.results import RECORD, SCORES, read_scores, write_json, write_table
from segbench.score_table import Row, scores_table

CONFIG = {"dataset": {"name": "d", "parameters": {}}, "recipe": {"epochs": 2}, "seed": 0, "metrics": ["dice"]}
RECORD_OF_A_RUN: dict[str, Any] = {
    **{"run_id": "x", "source": "trained", "config": CONFIG, "parameters": 5, "peak_memory_bytes": 7},
    **{"seconds": {"train": 1.5}, "training": {"epochs": 2, "steps": 4}, "splits": {"test": ["c0"]}},
}


def run(root: Path, method: str, record: dict[str, Any] | None = None, table: pa.Table | None = None) -> Path:
    run_id = f"{method}000000"
    folder = root / "d" / method / run_id
    rows = [
        Row(run_id, "d", "1", "n", method, "method", 0, 0, case, case, 1, "a", "dice", "1", "", "higher", 0.5 + 0.1 * i)
        for i, case in enumerate(("c0", "c1", "c2"))
    ]
    write_table(folder / SCORES, scores_table(rows) if table is None else table)
    write_json(folder / RECORD, {**RECORD_OF_A_RUN, **(record or {}), "run_id": run_id})
    return folder


def changed(root: Path, column: str, value: Any, kind: pa.DataType | None = None) -> pa.Table:
    """Return the table of a good run with one column replaced."""
    table = read_scores(run(root / "good", "good"))
    index = table.schema.get_field_index(column)
    values = pa.array([value] * table.num_rows, kind or pa.string())
    table = table.cast(pa.schema([pa.field(f.name, f.type) for f in table.schema]))
    return table.set_column(index, column, values)


def cli(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "400"})


BAD_RECORDS: list[tuple[dict[str, Any], str]] = [
    ({"config": {"recipe": 5}}, "config.recipe: expected `object | null`, got `int`"),
    ({"config": {"recipe": {"epochs": "many"}}}, "config.recipe.epochs: expected `int`, got `str`"),
    ({"config": 5}, "config: expected `object | null`, got `int`"),
    ({"peak_memory_bytes": "x"}, "peak_memory_bytes: expected `int | null`, got `str`"),
    ({"peak_memory_bytes": -1}, "peak_memory_bytes: expected `int` >= 0"),
    ({"parameters": True}, "parameters: expected `int | null`, got `bool`"),
    ({"seconds": {"train": "fast"}}, "seconds[...]: expected `float`, got `str`"),
    ({"splits": {"test": "c0"}}, "splits[...]: expected `array`, got `str`"),
    ({"training": []}, "training: expected `object | null`, got `array`"),
    ({"verification": "re-scored"}, "verification: expected `object | null`, got `str`"),
    ({"versions": [1]}, "versions: expected `object | null`, got `array`"),
    ({"task": {"name": "d", "revision": "1", "labels": []}}, "task.labels: expected `array` of length >= 1"),
    ({"hardware": {"name": {}}}, "hardware[...]: expected"),
]


@pytest.mark.parametrize(("part", "words"), BAD_RECORDS)
def test_a_record_that_is_none_is_named_with_the_place(part: dict[str, Any], words: str) -> None:
    good = {**RECORD_OF_A_RUN, "run_id": "r"}
    assert parsed_record(json.dumps(good).encode(), Path("run.json")) == good
    with pytest.raises(DataInvalid) as error:
        parsed_record(json.dumps({**good, **part}).encode(), Path("there/run.json"))
    assert f"there/run.json is not as segbench writes it: {words}" in str(error.value)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"run_id": 5}', b'{"run_id": NaN}', b"\xff", b"[" * 100_000])
def test_what_is_no_record_is_said(text: bytes) -> None:
    with pytest.raises(DataInvalid, match=r"run\.json"):
        parsed_record(text, Path("run.json"))


@pytest.mark.parametrize("part", [{"config": {"recipe": 5}}, {"peak_memory_bytes": "x"}])
def test_one_bad_record_keeps_no_other_off_boards_and_reports(tmp_path: Path, part: dict[str, Any]) -> None:
    results = tmp_path / "results"
    run(results, "one")
    run(results, "two")
    bad = run(results, "bad", part)
    written = cli("leaderboard", "--write", str(tmp_path / "boards"), "--results", str(results))
    assert written.exit_code == 3 and "Left out, all others were written" in written.stderr
    assert str(bad / RECORD) in written.stderr
    (board,) = (tmp_path / "boards").iterdir()
    assert {one.run_id for one in kept_runs(board)} == {"one000000", "two000000"}
    site = cli("report", "--results", str(results), "--out", str(tmp_path / "site"), "--bootstrap", "0")
    assert site.exit_code == 0, site.output
    assert str(bad / RECORD) in site.stderr.replace("\n", " ")
    shown = cli("leaderboard", "--results", str(results))
    assert shown.exit_code == 0 and "bad" in shown.stdout  # its scores are good


BAD_TABLES: list[tuple[str, Any, pa.DataType, str]] = [
    ("status", "great", pa.string(), "status must be one of ok, both_empty, truth_empty, pred_empty, missing, failed;"),
    ("source", "hacked", pa.string(), "source must be one of trained, external, imported; found 'hacked'"),
    ("better", "up", pa.string(), "better must be one of higher, lower; found 'up'"),
    ("family", "clan", pa.string(), "family must be one of overlap, boundary; found 'clan'"),
    ("method", None, pa.string(), "method must not be empty"),
    ("case_id", None, pa.string(), "case_id must not be empty"),
    ("seed", None, pa.int64(), "seed must not be empty"),
    ("seed", "one", pa.string(), "cannot be read as scores"),
    ("value", "much", pa.string(), "cannot be read as scores"),
    ("method", [1], pa.list_(pa.int64()), "cannot be read as scores"),
]


@pytest.mark.parametrize(("column", "value", "kind", "words"), BAD_TABLES)
def test_one_bad_table_is_named_and_the_others_are_ranked(
    tmp_path: Path, column: str, value: Any, kind: pa.DataType, words: str
) -> None:
    results = tmp_path / "results"
    run(results, "one")
    run(results, "two")
    bad = run(results, "bad", table=changed(tmp_path, column, value, kind))
    with pytest.raises(DataInvalid, match=r"scores\.parquet"):
        read_scores(bad)
    alone = cli("leaderboard", "--results", str(bad / SCORES))
    assert alone.exit_code == 3 and words in alone.stderr, alone.output
    for form in ("table", "md", "csv", "latex", "json"):
        shown = cli("leaderboard", "--results", str(results), "--format", form)
        assert shown.exit_code == 1 and "two" in shown.stdout, shown.output
        assert words.split(";")[0] in (shown.output).replace("\\", "") and "fault of segbench" not in shown.output
    compared = cli("compare", "one", "two", "--metric", "dice", "--results", str(results))
    assert compared.exit_code == 1 and words.split(";")[0] in compared.stderr
    written = cli("leaderboard", "--write", str(tmp_path / "boards"), "--results", str(results))
    assert written.exit_code == 3 and words.split(";")[0] in written.stderr
    (board,) = (tmp_path / "boards").iterdir()
    assert len(kept_runs(board)) == 2


def test_a_report_goes_on_without_a_bad_table(tmp_path: Path) -> None:
    results = tmp_path / "results"
    run(results, "one")
    bad = run(results, "bad", table=changed(tmp_path, "status", "great"))
    site = cli("report", "--results", str(results), "--out", str(tmp_path / "site"), "--bootstrap", "0")
    assert site.exit_code == 1 and (tmp_path / "site/index.html").is_file()
    assert f"Left out: {bad / SCORES}" in site.stderr and "great" in (tmp_path / "site/index.html").read_text()


def test_doubled_columns_and_files_that_are_none_are_named(tmp_path: Path) -> None:
    results = tmp_path / "results"
    run(results, "one")
    bad = run(results, "bad")
    table = read_scores(bad)
    pq.write_table(
        pa.Table.from_arrays([*table.columns, table.column("method")], [*table.column_names, "method"]), bad / SCORES
    )
    shown = cli("leaderboard", "--results", str(results))
    assert shown.exit_code == 1 and "it has method more than once" in shown.stdout
    (bad / SCORES).unlink()
    os.mkfifo(bad / SCORES)
    shown = cli("leaderboard", "--results", str(results))
    assert shown.exit_code == 1 and "but no scores.parquet" in shown.stdout
    assert cli("leaderboard", "--results", str(bad / SCORES)).exit_code == 3


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    results = tmp_path / "results"
    run(results, "one")
    record = run(results, "bad") / RECORD
    record.unlink()
    os.mkfifo(record)
    assert cli("leaderboard", "--results", str(results)).exit_code == 0  # without a record it is not finished
    board = tmp_path / "boards" / "d@1"
    write_table(board / SCORES, read_scores(results / "d/one/one000000"))
    os.mkfifo(board / "runs.jsonl")
    assert cli("leaderboard", "--results", str(board)).exit_code == 0  # scores are all that it reads
    site = cli("report", "--results", str(board), "--out", str(tmp_path / "site"), "--bootstrap", "0")
    assert site.exit_code == 1 and f"Left out: {board / 'runs.jsonl'} cannot be read" in site.stderr
    written = cli("leaderboard", "--write", str(tmp_path / "again"), "--results", str(board.parent))
    assert written.exit_code == 3 and "runs.jsonl cannot be read" in written.stderr


def test_images_that_are_pipes_are_refused(tmp_path: Path) -> None:
    from segbench.files.filenames import content_hash
    from segbench.files.images import read_label_map

    for name in ("c.nii.gz", "c.png", "c.npz", "c.nrrd"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(DataInvalid, match="expected an image file, found a pipe, a socket or a device"):
            read_label_map(tmp_path / name)
        assert content_hash(tmp_path / name) == "unreadable"


def test_rows_of_several_runs_in_one_folder_are_named_and_left_out(tmp_path: Path) -> None:
    results = tmp_path / "results"
    run(results, "one")
    rows = read_scores(run(tmp_path / "good", "good")).to_pylist()
    mixed = run(results, "mixed", table=scores_table([{**row, "method": row["case_id"]} for row in rows]))
    odd = run(results, "odd", table=scores_table([{**row, "dataset": "../evil"} for row in rows]))
    written = cli("leaderboard", "--write", str(tmp_path / "boards"), "--results", str(results))
    assert written.exit_code == 3, written.output
    assert f"{mixed / SCORES}: expected the rows of one run, found several: method is c0, c1, c2" in written.stderr
    assert f"{odd / SCORES}: dataset '../evil' cannot be used as a name" in written.stderr
    assert [board.name for board in (tmp_path / "boards").iterdir()] == ["d@1"]


def test_a_board_that_is_refused_keeps_no_other_from_being_written(tmp_path: Path) -> None:
    results = tmp_path / "results"
    run(results, "one")
    rows = read_scores(run(tmp_path / "good", "good")).to_pylist()
    run(
        results, "two", table=scores_table([{**row, "dataset": "a", "run_id": "two000000"} for row in [*rows, rows[0]]])
    )
    written = cli("leaderboard", "--write", str(tmp_path / "boards"), "--results", str(results))
    assert written.exit_code == 5 and "values occur more than once" in written.stderr
    assert "1 of 2 boards were written." in written.stderr
    assert [board.name for board in (tmp_path / "boards").iterdir()] == ["d@1"]
