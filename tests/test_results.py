"""Results: the schema, atomic writes, reading finished runs only, and words for what is wrong."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from segbench.errors import DataInvalid, DataMissing, UsageError
from segbench.results import is_complete, read_scores, run_folder, write_json, write_table
from segbench.score_table import SCHEMA, Row, scores_table


def row(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "run_id": "r1",
        "dataset": "brain",
        "dataset_revision": "1",
        "network": "unet3d",
        "method": "ce",
        "arm": "method",
        "seed": 0,
        "fold": 0,
        "case_id": "c1",
        "group": "p1",
        "label": 1,
        "label_name": "left",
        "metric": "dice",
        "metric_version": "1",
        "unit": "",
        "better": "higher",
        "value": 0.9,
    }
    return values | changes


def finished(root: Path, method: str, run_id: str, rows: list[dict[str, Any]]) -> Path:
    folder = run_folder(root, "brain", method, run_id)
    write_table(folder / "scores.parquet", scores_table(rows))
    write_json(folder / "run.json", {"run_id": run_id})
    return folder


def test_columns_are_those_of_the_design() -> None:
    expected = (
        "run_id dataset dataset_revision network method arm seed fold case_id group label label_name metric "
        "metric_version unit better value status source synthetic supervision rater variant decision truth family "
        "preference build fault reason"
    )
    assert SCHEMA.names == expected.split()


def test_rows_and_mappings_give_the_same_table() -> None:
    assert scores_table([row()]).equals(scores_table([Row(**row())]))
    assert scores_table([]).schema == SCHEMA


def test_nan_never_hides_behind_ok() -> None:
    table = scores_table([row(value=math.nan), row(value=None, status="pred_empty"), row(value=math.inf)])
    assert table.column("value").to_pylist() == [None, None, math.inf]
    assert table.column("status").to_pylist() == ["failed", "pred_empty", "ok"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "fine"}, "status must be one of"),
        ({"better": "up"}, "better must be one of"),
        ({"source": "found"}, "source must be one of"),
        ({"seed": "one"}, "'seed'"),
        ({"method": None}, "'method' must not be empty"),
        ({"colour": "red"}, "does not fit the columns"),
    ],
)
def test_wrong_rows_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataInvalid, match=message):
        scores_table([row(**changes)])


def test_reads_finished_runs_only(tmp_path: Path) -> None:
    finished(tmp_path, "ce", "a", [row()])
    finished(tmp_path, "dice", "b", [row(method="dice", run_id="b", label=None, label_name="all", rater="x")])
    write_table(run_folder(tmp_path, "brain", "ce", "c") / "scores.parquet", scores_table([row(run_id="c")]))
    table = read_scores(tmp_path)
    assert table.schema == SCHEMA
    assert table.column("method").to_pylist() == ["ce", "dice"]
    assert table.column("label").to_pylist() == [1, None]
    assert table.column("rater").to_pylist() == [None, "x"]
    for chunked in (table.column("method"), table.column("rater")):
        assert all(chunk.dictionary.equals(chunked.chunk(0).dictionary) for chunk in chunked.chunks)


def test_reads_root_dataset_method_run_and_file(tmp_path: Path) -> None:
    folder = finished(tmp_path, "ce", "a", [row()])
    for path in (
        tmp_path,
        tmp_path / "brain",
        tmp_path / "brain" / "ce",
        folder,
        folder / "scores.parquet",
        str(folder),
    ):
        assert read_scores(path).num_rows == 1
    assert read_scores(folder, ["value", "case_id"]).column_names == ["value", "case_id"]


def test_reads_plain_strings_and_missing_optional_columns(tmp_path: Path) -> None:
    rows = [row(status="ok", source="imported"), row(case_id="c2", status="ok", source="imported")]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "plain.parquet")
    table = read_scores(tmp_path / "plain.parquet")
    assert table.schema == SCHEMA
    assert table.column("synthetic").to_pylist() == [False, False]
    assert table.column("supervision").to_pylist() == ["", ""]
    assert table.column("rater").null_count == 2


def test_missing_and_damaged_results_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="segbench run"):
        read_scores(tmp_path / "nowhere")
    with pytest.raises(DataMissing, match="segbench import"):
        read_scores(tmp_path)
    folder = finished(tmp_path, "ce", "a", [row()])
    (folder / "scores.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataInvalid, match=r"scores\.parquet cannot be read"):
        read_scores(tmp_path)
    (folder / "scores.parquet").unlink()
    with pytest.raises(DataInvalid, match="no scores"):
        read_scores(tmp_path)
    (folder / "run.json").unlink()
    write_table(folder / "scores.parquet", scores_table([row()]))
    with pytest.raises(DataMissing, match="never finished"):
        read_scores(folder)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(DataInvalid, match="lacks run_id"):
        read_scores(tmp_path / "other.parquet")
    (tmp_path / "empty.parquet").write_bytes(b"")
    with pytest.raises(DataInvalid, match="cannot be read"):
        read_scores(tmp_path / "empty.parquet")


def test_writes_are_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "deep" / "scores.parquet"
    write_table(target, scores_table([row()]))
    before = target.read_bytes()

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_table(target, scores_table([row(), row(case_id="c2")]))
    assert target.read_bytes() == before
    assert [file.name for file in target.parent.iterdir()] == ["scores.parquet"]


def test_json_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"loss": [1.0, math.nan], "path": Path("x"), "größe": 1})
    assert json.loads((tmp_path / "run.json").read_text("utf-8")) == {"loss": [1.0, None], "path": "x", "größe": 1}
    assert is_complete(tmp_path)


def test_names_never_become_paths_unchecked(tmp_path: Path) -> None:
    for name in ("..", "a/b", "", ".hidden"):
        with pytest.raises(UsageError):
            run_folder(tmp_path, "brain", name, "r")
