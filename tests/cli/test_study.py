"""``segbench study``, ``figure`` and ``audit`` of its runs, as they are typed; one small study serves all tests."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.results import read_scores

TESTS = Path(__file__).resolve().parents[1]
PLUGINS = ("--plugin", str(TESTS / "toy.py"), "--plugin", str(TESTS / "knowledge.py"))
STUDY = ("study", "paper", "--set", "dataset.cases=12", "--set", "recipe.epochs=1")


def segbench(*arguments: str, expect: int = 0) -> Any:
    result = CliRunner().invoke(app, [*arguments, *PLUGINS], env={"COLUMNS": "100"})
    assert result.exit_code == expect, result.output
    assert "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The results folder of the study, run once, and what it printed."""
    folder = tmp_path_factory.mktemp("study")
    return folder / "results", segbench(*STUDY, "--out", str(folder / "results"), "--markdown", str(folder / "t.md"))


@pytest.fixture
def results(finished: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same results folder, the working folder being its parent."""
    monkeypatch.chdir(finished[0].parent)
    return finished[0]


def document(*arguments: str, expect: int = 0) -> Any:
    return json.loads(segbench(*STUDY, "--json", *arguments, expect=expect).stdout)


# --------------------------------------------------------------------------------------------------------------- study


def test_a_recipe_is_no_study_and_says_how_it_is_used() -> None:
    told = " ".join(segbench("study", "kervadec2021-acdc", expect=2).output.split())
    assert "segbench run --recipe kervadec2021-acdc" in told


def test_rows_columns_roles_and_published_values_are_printed(finished: tuple[Path, Any]) -> None:
    text = finished[1].stdout
    lines = [line.split("  ")[0].strip() for line in text.splitlines()]
    assert lines.index("CE | plain") < lines.index("with prior") < lines.index("prior off (control)")
    for words in ("dice ↑", "volume_error mL ↓", "[0.910 ± 0.020]", "toy@1: comparisons", "no evidence", "toy@1, a"):
        assert words in text, words
    assert "Not the study's own protocol: recipe.epochs=1" in text
    assert "Below 6 patients no test can tell anything." in " ".join(text.split())
    assert "a remark" in text, "the study's own table"
    assert max(map(len, text.splitlines())) <= 100
    markdown = (finished[0].parent / "t.md").read_text()
    assert "| CE \\| plain | 2 |" in markdown and "<br>\\[0.910 ± 0.020\\]" in markdown


def test_a_finished_study_is_left_alone(results: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in results.glob("*/*/*/run.json")}
    assert len(before) == 6
    states = {run["state"] for run in document()["runs"]}
    assert states == {"finished before"}
    assert {path: path.stat().st_mtime_ns for path in results.glob("*/*/*/run.json")} == before


def test_a_table_is_found_on_a_machine_with_another_precision(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segbench.training import device

    before, resolved = document("--table"), device.resolved

    def elsewhere(asked: str, wanted: str) -> tuple[str, str]:
        return resolved(asked, "bf16-mixed" if wanted == "auto" else wanted)

    monkeypatch.setattr(device, "resolved", elsewhere)
    found = document("--table", "--precision", "auto")
    differs = "32-true on cpu, not bf16-mixed on cpu"
    assert [run["folder"] for run in found["runs"]] == [run["folder"] for run in before["runs"]]
    assert {run["differs"] for run in found["runs"]} == {differs} and {run["differs"] for run in before["runs"]} == {""}
    assert f"6 of 6 runs were trained in {differs}." in found["results"][0]["notes"]
    assert found["results"][0]["rows"] == before["results"][0]["rows"]
    text = segbench(*STUDY, "--dry-run", "--precision", "auto").stderr
    assert text.count(": to be run") == 6 and text.count(f"(finished in {differs}: --table shows it)") == 6
    asked = document("--table", "--precision", "bf16-mixed")
    assert {run["state"] for run in asked["runs"]} == {"to be run"} and asked["results"] == []


def test_the_table_is_the_mean_over_seeds_of_each_runs_mean_and_sd_over_cases(results: Path) -> None:
    found = document("--table")
    whole, label = found["results"]
    row = whole["rows"][1]
    assert (row["label"], row["role"], row["seeds"]) == ("with prior", "method", 2)
    means, sds = [], []
    for run in found["runs"]:
        if run["row"] != "with prior":
            continue
        cases: dict[str, list[float]] = {}
        for score in read_scores(run["folder"]).to_pylist():
            if score["metric"] == "dice":
                cases.setdefault(score["case_id"], []).append(score["value"] or 0.0)
        values = [statistics.fmean(labels) for labels in cases.values()]
        means.append(statistics.fmean(values))
        sds.append(statistics.stdev(values))
    value = row["values"]["dice"]
    assert value["mean"] == pytest.approx(statistics.fmean(means)) and value["sd"] == pytest.approx(
        statistics.fmean(sds)
    )
    assert value["seed_sd"] == pytest.approx(statistics.stdev(means))
    assert value["published"] == [0.91, 0.02]
    assert label["label"] == "a" and label["rows"][0]["values"]["dice"]["published"] == [0.87, None]
    pairs = {(one["first"], one["second"]) for one in whole["comparisons"]}
    assert pairs == {("with prior", "CE | plain"), ("with prior", "prior off")}


def test_all_rows_share_recipe_metrics_and_seeds(results: Path) -> None:
    records = [json.loads(path.read_text()) for path in results.glob("*/*/*/run.json")]
    assert {record["config"]["recipe"]["epochs"] for record in records} == {1}
    assert {tuple(record["config"]["metrics"]) for record in records} == {()}, "these are computed unasked"
    metrics = {
        row["metric"] for path in results.glob("*/*/*/scores.parquet") for row in pq.read_table(path).to_pylist()
    }
    assert {"dice", "volume_error"} < metrics
    assert sorted(record["config"]["seed"] for record in records) == [0, 0, 0, 1, 1, 1]


def test_a_row_that_fails_is_said_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = segbench(*STUDY, "--seeds", "2", "--set", "study.fault=loss", expect=1)
    assert result.stderr.count("no prior today") == 1 and "failed for the same reason" in result.stderr
    assert "2 of 6 runs are not finished" in result.stderr
    assert "with prior" in result.stdout and "prior off (control)" in result.stdout
    again = document("--seeds", "2", "--set", "study.fault=loss", "--table")
    assert [run["state"] for run in again["runs"]].count("finished before") == 4


def test_dry_run_only_and_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = document("--dry-run", "--only", "prior off", "--seeds", "3")["runs"]
    assert [(run["row"], run["seed"], run["state"]) for run in runs] == [
        ("prior off", n, "to be run") for n in range(3)
    ]
    assert not list(tmp_path.rglob("run.json"))
    assert "Nothing is finished yet" in segbench(*STUDY, "--table").stderr


def test_smoke_runs_one_seed_on_a_miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = document("--smoke", "--only", "with prior")["runs"]
    assert [(run["seed"], run["state"]) for run in runs] == [(0, "done")] and ".smoke" in runs[0]["folder"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("study", "papre"), "Did you mean 'paper'"),
        (("study", "paper", "--only", "prior of"), "Did you mean 'prior off'"),
        (("study", "paper", "--set", "method.x=1"), "the study decides on that"),
        (("study", "paper", "--set", "recipe.epoch=1"), "Did you mean 'epochs'"),
        (("study", "paper", "--set", "metric.hd.x=1"), "expected metric.NAME.KEY=VALUE of dice, volume_error"),
        (("study", "paper", "--dataset", "tyo"), "No dataset is called 'tyo'"),
        (("study", "paper", "--device", "gpu"), "--device 'gpu'"),
    ],
)
def test_wrong_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = segbench(*arguments, expect=2)
    assert words in " ".join(result.stderr.split()) and result.stdout == "" and list(tmp_path.iterdir()) == []


# -------------------------------------------------------------------------------------------------------------- figure


def test_figures_are_written_in_each_format_and_named(results: Path, tmp_path: Path) -> None:
    result = segbench("figure", "bars", str(results / "toy"), "--out", str(tmp_path), "--format", "png,svg,pdf")
    files = [Path(line) for line in result.stdout.split()]
    assert files == [tmp_path / f"bars.{ending}" for ending in ("png", "svg", "pdf")]
    starts = [file.read_bytes()[:5] for file in files]
    assert starts[0][1:4] == b"PNG" and starts[1] == b"<?xml" and starts[2] == b"%PDF-"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bars.pdf", "bars.png", "bars.svg"]


def test_a_run_is_found_by_its_first_digits(results: Path, tmp_path: Path) -> None:
    run = next(results.glob("*/*/*/run.json")).parent
    found = json.loads(segbench("figure", "bars", run.name[:8], "--out", str(tmp_path), "--json").stdout)
    assert [one["run_id"] for one in found["runs"]] == [run.name] and len(found["files"]) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("bras", "results"), 2, "Did you mean 'bars'"),
        (("bars", "nowhere"), 3, "No finished run in results is called nowhere"),
        (("bars", "x/y"), 3, "neither a folder nor the name of a run"),
        (("bars", "results", "--format", "gif"), 2, "expected some of png, svg, pdf"),
        (("bars", "results", "--set", "figure.fil=x"), 2, "Did you mean 'file'"),
        (("bars", "results", "--set", "figure.file=../x"), 2, "cannot be used as a name"),
        (("bars", "results", "--set", "method.x=1"), 2, "expected figure.KEY=VALUE"),
    ],
)
def test_wrong_figures(results: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    result = segbench("figure", *arguments, expect=code)
    assert words in " ".join(result.stderr.split()) and result.stdout == ""


# --------------------------------------------------------------------------------------------------------------- audit


def test_a_run_is_audited_beside_its_own_truths(results: Path, tmp_path: Path) -> None:
    run = next(path.parent for path in results.glob("toy/other/*/run.json"))
    prior = tmp_path / "prior.csv"
    prior.write_text("label,largest\nbackground,\na,0\nb,1e9\n")
    found = json.loads(segbench("audit", run.name, "--prior", str(prior), "--json").stdout)
    assert [case["case"] for case in found["cases"]] == ["toy_4", "toy_11"]
    for case in found["cases"]:
        assert case["reference"]["too_large"] == 1.0 and case["reference"]["excess"] > 0
        assert case["prediction"].keys() == case["reference"].keys()
    assert found["labels"] == ["background", "a", "b"]
    result = segbench("audit", str(run), "--prior", str(prior), "--labels", "a=1", expect=2)
    assert "knows its own references" in result.stderr


def test_the_same_run_is_audited_as_plain_files(results: Path, tmp_path: Path) -> None:
    run = next(path.parent for path in results.glob("toy/other/*/run.json"))
    prior, table = tmp_path / "prior.csv", tmp_path / "table.csv"
    prior.write_text("label,largest\nbackground,\na,0\nb,0\n")
    known = json.loads(segbench("audit", run.name, "--prior", str(prior), "--json").stdout)
    result = segbench(
        "audit", str(run / "predictions"), "--prior", str(prior), "--labels", "prior", "--csv", str(table)
    )
    assert "2 label maps, without references" in result.stderr
    with table.open(newline="") as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    expected = {case["case"]: case["prediction"]["excess"] for case in known["cases"]}
    assert {case: float(row["excess"]) for case, row in rows.items()} == expected
    assert all(row["reference_excess"] == "" for row in rows.values())
