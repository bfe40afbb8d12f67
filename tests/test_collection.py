"""Where results may be kept: folders of runs, published boards, bare files; whoever reads them need not know."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.collection import KeptRun, kept_runs
from segbench.errors import DataInvalid, DataMissing
from segbench.publishing.boards import write_boards
from segbench.results import read_scores, write_json, write_table
from segbench.runs import find_kept, find_runs, open_run
from segbench.score_table import scores_table


def write_run(root: Path, method: str, seed: int, dataset: str = "brain", **record: Any) -> Path:
    run_id = f"{method * 4}{seed}" + ("" if dataset == "brain" else dataset)
    rng = np.random.default_rng(seed + 10 * ord(method))
    rows = [
        {
            **{"run_id": run_id, "dataset": dataset, "dataset_revision": "1", "network": "net", "method": method},
            **{"arm": "method", "seed": seed, "fold": 0, "case_id": f"c{c}", "group": f"c{c}", "label": 1},
            **{"label_name": "left", "metric": "dice", "metric_version": "1", "unit": "", "better": "higher"},
            "value": float(rng.random()),
        }
        for c in range(8)
    ]
    folder = root / dataset / method / run_id
    write_table(folder / "scores.parquet", scores_table(rows))
    costs = {"seconds": {"prepare": 1.0, "train": 41.0}, "peak_memory_bytes": 3 * 2**30, "parameters": 1_234_567}
    write_json(folder / "run.json", {"run_id": run_id, **costs, **record})
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for method in "ab":
        for seed in (0, 1):
            write_run(tmp_path / "results", method, seed)
    write_run(tmp_path / "results", "a", 0, "heart")
    return tmp_path / "results"


@pytest.fixture
def boards(tmp_path: Path, results: Path) -> Path:
    write_boards(results, tmp_path / "boards")
    return tmp_path / "boards"


NAMES = ["aaaa0", "aaaa1", "bbbb0", "bbbb1"]


def test_every_source_gives_the_same_runs(results: Path, boards: Path) -> None:
    board = boards / "brain@1"
    sources = [results / "brain", board, board / "scores.parquet"]
    of_folders, of_board, of_file = [kept_runs(path) for path in sources]
    assert [one.run_id for one in of_folders] == [one.run_id for one in of_board] == NAMES
    assert [one.run_id for one in of_file] == NAMES
    for one, other, bare in zip(of_folders, of_board, of_file, strict=True):
        assert one.scores().to_pylist() == other.scores().to_pylist() == bare.scores().to_pylist()
        assert one.scores(["case_id"]).column_names == other.scores(["case_id"]).column_names == ["case_id"]
        assert one.record["seconds"] == other.record["seconds"] == {"prepare": 1.0, "train": 41.0}
        assert bare.record == {"run_id": one.run_id}
        assert (one.folder, other.folder, bare.folder) == (one.place, None, None)
        assert (one.board, other.board, bare.board) == (False, True, False)
    assert len(kept_runs(boards)) == 5
    assert read_scores(boards).num_rows == read_scores(results).num_rows == 5 * 8


def test_a_board_put_among_runs_is_read_beside_them(results: Path, boards: Path) -> None:
    shutil.rmtree(results / "brain" / "b")
    shutil.copytree(boards / "brain@1", results / "brain@1")
    found = kept_runs(results)
    assert [(one.run_id, one.board) for one in found if one.run_id[0] == "b"] == [("bbbb0", True), ("bbbb1", True)]
    assert [one.run_id for one in found if one.folder and one.run_id == "aaaa1"] == ["aaaa1"], "the folder's, once"


def test_a_damaged_board_is_named(boards: Path) -> None:
    board = boards / "brain@1"
    lines = (board / "runs.jsonl").read_text().splitlines()
    (board / "runs.jsonl").write_text("\n".join(lines[1:]))
    with pytest.raises(DataInvalid, match="different runs"):
        kept_runs(boards)
    (board / "runs.jsonl").write_text("\n".join([*lines[1:], "[]"]))
    with pytest.raises(DataInvalid, match=r"runs\.jsonl: expected the record of a run"):
        kept_runs(boards)
    (board / "runs.jsonl").unlink()
    with pytest.raises(DataInvalid, match=r"runs\.jsonl cannot be read"):
        kept_runs(boards)


def test_runs_on_boards_are_found_by_name_and_opened(boards: Path) -> None:
    from segbench.host import Catalogue

    (kept,) = find_kept("bbbb1", boards)
    run = open_run(kept, Catalogue())
    assert (run.run_id, run.title, run.folder) == ("bbbb1", "b", boards / "brain@1")
    assert (len(run.case_ids), len(run.scores()), run.history()) == (8, 8, [])
    with pytest.raises(DataMissing, match="scores and records, no images or label maps"):
        run.prediction("c0")
    with pytest.raises(DataMissing, match="Name the folder of the run"):
        run.case("c0")
    with pytest.raises(DataMissing, match="expected the folder of a run, found scores and records only"):
        find_runs("bbbb1", boards)
    with pytest.raises(DataMissing, match=r"no finished run \(run.json\) and no published board"):
        find_kept(str(Path(__file__).parent), boards)


def shell(*words: str | Path) -> Any:
    answer = CliRunner().invoke(app, [str(word) for word in words])
    assert answer.exit_code == 0, answer.output
    return answer


def test_commands_work_on_boards_as_on_runs(tmp_path: Path, results: Path, boards: Path) -> None:
    for words in (["leaderboard", "--json"], ["compare", "a", "b", "--metric", "dice", "--dataset", "brain", "--json"]):
        assert shell(*words, "--results", boards).stdout == shell(*words, "--results", results).stdout
    cited = [json.loads(shell("cite", "--json", "--results", path).stdout) for path in (boards, results)]
    assert cited[0] == cited[1]
    assert "The scores of 5 runs" in cited[0]["paragraph"]
    one = json.loads(shell("cite", "--json", "--results", boards, "--dataset", "heart").stdout)
    assert "heart" in one["paragraph"] and "brain" not in one["paragraph"]
    packed = [tmp_path / f"{path.name}.zip" for path in (boards, results)]
    for path, out in zip((boards, results), packed, strict=True):
        shell("submit", "bbbb1", "--results", path, "--out", out)
    said = [json.loads(shell("verify", path, "--json").stdout) for path in packed]
    assert said[0] == said[1]
    assert said[0]["state"] == "self-reported"
    answer = CliRunner().invoke(app, ["submit", str(boards)])
    assert (answer.exit_code, "holds 5 runs" in answer.output) == (2, True)


def test_the_report_of_a_board_knows_what_its_runs_cost(tmp_path: Path, boards: Path) -> None:
    shell("report", "--results", boards / "brain@1", "--out", tmp_path / "site", "--bootstrap", 0)
    page = (tmp_path / "site" / "index.html").read_text()
    assert "did not record seconds" not in page
    for cost in ("42", "3.00", "1.23"):
        assert f">{cost}<" in page
    assert all(name in page for name in NAMES)


def test_a_run_is_known_by_its_folder() -> None:
    assert KeptRun.of(Path("x/y")).run_id == "y"
    kept = KeptRun(Path("x"), None, True, "z", {})
    assert KeptRun.of(kept) is kept
