"""``segbench import``: a published CSV becomes runs; doing it again changes nothing; faults are named with lines."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.errors import DataInvalid, DataMissing, UsageError, safe_name
from segbench.importing.measures import Measure
from segbench.importing.runs import import_scores
from segbench.results import read_scores

HEADER = "dataset,case,label,metric,better,method,seed,value,status\n"


def written(tmp_path: Path, body: str, header: str = HEADER) -> Path:
    file = tmp_path / "scores.csv"
    file.write_text(header + body, encoding="utf-8")
    return file


def test_values_arrive(tmp_path: Path) -> None:
    body = "hippo,c1,1,dice,higher,a,0,0.9,ok\nhippo,c2,1,dice,higher,a,0,,\nhippo,c1,left horn,hd95,lower,b,2,inf,\n"
    report = import_scores(written(tmp_path, body), tmp_path / "results")
    assert [(run["method"], run["rows"], run["new"]) for run in report["runs"]] == [("a", 2, True), ("b", 1, True)]
    table = read_scores(tmp_path / "results").to_pylist()
    assert [(r["value"], r["status"]) for r in table] == [(0.9, "ok"), (None, "missing"), (float("inf"), "ok")]
    assert [(r["label"], r["label_name"]) for r in table] == [(1, "1"), (1, "1"), (None, "left horn")]
    assert {(r["source"], r["dataset_revision"]) for r in table} == {("imported", "imported")}
    assert table[2]["seed"] == 2
    record = json.loads((Path(report["runs"][0]["folder"]) / "run.json").read_text())
    assert record["run_id"] == table[0]["run_id"]


def test_again_changes_nothing_and_order_of_lines_does_not_matter(tmp_path: Path) -> None:
    lines = ["hippo,c1,1,dice,higher,a,0,0.9,\n", "hippo,c2,1,dice,higher,a,0,0.8,\n"]
    results = tmp_path / "results"
    first = import_scores(written(tmp_path, "".join(lines)), results)
    times = {file: file.stat().st_mtime_ns for file in results.rglob("*")}
    second = import_scores(written(tmp_path, "".join(lines[::-1])), results)
    assert [run["new"] for run in second["runs"]] == [False]
    assert first["runs"][0]["run_id"] == second["runs"][0]["run_id"]
    assert times == {file: file.stat().st_mtime_ns for file in results.rglob("*")}


def test_few_columns_suffice_and_others_are_named(tmp_path: Path) -> None:
    file = written(
        tmp_path, "2,hippo,c1,1,dice,HIGHER,0.9\n", header="dataset_revision,dataset,case,label,metric,better,value\n"
    )
    with pytest.raises(DataInvalid, match="--name"):
        import_scores(file, tmp_path / "results")
    import_scores(file, tmp_path / "results", "mine")
    only = read_scores(tmp_path / "results").to_pylist()[0]
    assert (only["method"], only["seed"], only["status"], only["dataset_revision"]) == ("mine", 0, "ok", "2")
    extra = written(tmp_path, "h,c1,1,dice,higher,a,0,0.9,ok,x\n", header=HEADER.strip() + ",colour\n")
    assert import_scores(extra, tmp_path / "other")["notes"] == ["Columns not used: colour."]


def test_name_renames_one_method_but_not_several(tmp_path: Path) -> None:
    file = written(tmp_path, "h,c1,1,dice,higher,a,0,0.9,\n")
    assert import_scores(file, tmp_path / "results", "mine")["runs"][0]["method"] == "mine"
    several = written(tmp_path, "h,c1,1,dice,higher,a,0,0.9,\nh,c1,1,dice,higher,b,0,0.9,\n")
    with pytest.raises(UsageError, match="several methods"):
        import_scores(several, tmp_path / "results", "mine")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("h,c1,1,dice,higher,a,0,0.9,\nh,c1,1,dice,higher,a,0,0.8,\n", ["line 3", "line 2", "case c1"]),
        ("h,c1,1,dice,up,a,0,0.9,\n", ["line 2", "higher or lower", "'up'"]),
        ("h,c1,1,dice,higher,a,0,much,\n", ["line 2", "number", "'much'"]),
        ("h,c1,1,dice,higher,a,0,1_0,\n", ["line 2", "number", "'1_0'"]),
        ("h,c1,1,dice,higher,a,0,\u0661,\n", ["line 2", "number"]),
        ("h,c1,1,dice,higher,a,1_0,0.9,\n", ["line 2", "seed", "'1_0'"]),
        ("h,c1,1,dice,higher,a,0,-nan,ok\n", ["line 2", "no value"]),
        ("h,c1,1,dice,higher,x/../../a,0,0.9,\n", ["line 2", "method", "path"]),
        ("h,c1,1,dice,higher,/etc,0,0.9,\n", ["line 2", "method", "path"]),
        ("h,c1,1,dice,higher,..\\a,0,0.9,\n", ["line 2", "method", "path"]),
        ("h,c1,1,dice,higher,,0,0.9,\n", ["line 2", "method", "empty"]),
        ('h,c1,1,dice,higher,"a\nb",0,0.9,\n', ["line 3", "method", "printable"]),
        ("h,c\x1b[2J,1,dice,higher,a,0,0.9,\n", ["line 2", "case", "printable"]),
        ("h,c1,1,dice,higher,../a,0,0.9,\n", ["line 2", "method", "'../a'"]),
        ("h,../../c1,1,dice,higher,a,0,0.9,\n", ["line 2", "case"]),
        ("..,c1,1,dice,higher,a,0,0.9,\n", ["line 2", "dataset"]),
        ("h,c1,1,dice,higher,a,one,0.9,\n", ["line 2", "seed", "whole"]),
        ("h,c1,1,dice,higher,a,0,0.9,fine\n", ["line 2", "status", "'fine'"]),
        ("h,c1,1,dice,higher,a,0,,ok\n", ["line 2", "no value"]),
        ("h,c1,,dice,higher,a,0,0.9,\n", ["line 2", "label"]),
        ("h,c1,1,dice,higher,a,0\n", ["line 2", "fields"]),
        ("h,c1,1,dice,higher,a,0,0.9,,,\n", ["line 2", "fields"]),
        ("h,c1,1,dice,higher,a,0,0.9,\nh,c2,1,dice,lower,a,0,0.9,\n", ["line 3", "lower here and higher on line 2"]),
        ("", ["no scores"]),
        ("h,c1,1,dice,up,a,0,0.9,\n" * 20, ["and 12 more"]),
    ],
)
def test_faults_are_named_with_their_line_and_nothing_is_written(tmp_path: Path, body, words) -> None:
    with pytest.raises(DataInvalid) as error:
        import_scores(written(tmp_path, body), tmp_path / "results")
    for word in words:
        assert word in str(error.value)
    assert not (tmp_path / "results").exists()


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(DataMissing):
        import_scores(tmp_path / "nowhere.csv", tmp_path)
    with pytest.raises(DataInvalid, match="lacks case"):
        import_scores(written(tmp_path, "", header="dataset,label\n"), tmp_path)
    with pytest.raises(DataInvalid, match="more than once"):
        import_scores(written(tmp_path, "", header=HEADER.strip() + ",case\n"), tmp_path)
    empty = tmp_path / "empty.csv"
    empty.write_bytes(b"")
    with pytest.raises(DataInvalid, match="nothing"):
        import_scores(empty, tmp_path)
    empty.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataInvalid, match="UTF-8"):
        import_scores(empty, tmp_path)


NAMES = [
    "Team One (v2)",
    "<script>alert(1)</script>",
    "w/o shape, [bold]",
    "team one (v2)",
    "Überlapp",
    "名前",
    "x" * 128,
]


def test_names_stay_text_and_only_folders_are_renamed(tmp_path: Path) -> None:
    lines = [
        ["hippo", case, "left [1], (a)", "dice", "higher", name, "0", "0.5", ""] for name in NAMES for case in CASES
    ]
    out = io.StringIO()
    csv.writer(out).writerows(lines)
    results = tmp_path / "results"
    report = import_scores(written(tmp_path, out.getvalue()), results)
    table = read_scores(results).to_pylist()
    assert {(line["method"], line["case_id"]) for line in table} == {(name, case) for name in NAMES for case in CASES}
    folders = [Path(run["folder"]).relative_to(results) for run in report["runs"]]
    assert all(len(folder.parts) == 3 and all(safe_name(part, "folder") for part in folder.parts) for folder in folders)
    assert len({folder.parts[1].casefold() for folder in folders}) == len(NAMES)
    assert [run["new"] for run in import_scores(written(tmp_path, out.getvalue()), results)["runs"]] == [False] * len(
        NAMES
    )

    def shown(*arguments: str) -> Any:
        answer = CliRunner().invoke(app, [*arguments, "--results", str(results), "--json"])
        assert answer.exit_code == 0, answer.output
        return json.loads(answer.stdout)

    assert {place["method"] for place in shown("leaderboard")["overall"]} == set(NAMES)
    found = shown("compare", NAMES[0], NAMES[1], "--metric", "dice")["comparisons"][0]
    assert (found["first"], found["second"], found["cases"]) == (NAMES[0], NAMES[1], len(CASES))
    shown("report", "--out", str(tmp_path / "site"), "--bootstrap", "0")
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page


CASES = ["case 1", "case [2], b", "<b>3</b>"]


def test_no_value_however_it_is_written(tmp_path: Path) -> None:
    body = "".join(f"h,c{i},1,dice,higher,a,0,{text},\n" for i, text in enumerate(("nan", "-nan", "+NaN", "NA", "")))
    import_scores(written(tmp_path, body), tmp_path / "results")
    assert {(r["value"], r["status"]) for r in read_scores(tmp_path / "results").to_pylist()} == {(None, "missing")}


def test_command_line(tmp_path: Path) -> None:
    file = written(tmp_path, "h,c1,1,dice,higher,a,0,0.9,\n")
    runner = CliRunner()
    first = runner.invoke(app, ["import", str(file), "--results", str(tmp_path / "r")])
    assert first.exit_code == 0, first.output
    assert "1 values imported" in first.stdout
    again = runner.invoke(app, ["import", str(file), "--results", str(tmp_path / "r"), "--json"])
    assert json.loads(again.stdout)["runs"][0]["new"] is False
    assert runner.invoke(app, ["import", str(tmp_path / "no.csv")]).exit_code == 3


def test_families_come_from_the_table_or_from_the_metrics_that_are_known(tmp_path: Path) -> None:
    header = HEADER.strip() + ",family,truth\n"
    body = "h,c1,1,dice,higher,a,0,0.9,ok,,2x2@1,1:ab\n".replace("2x2@1,1:ab", '"2x2@1,1:ab"')
    body += "h,c1,1,HD95,lower,a,0,3,ok,,\nh,c1,1,mine,lower,a,0,3,ok,Boundary,\nh,c1,1,iou,higher,a,0,1,ok,boundary,\n"
    measures = {
        "dice": Measure("dice", "higher", "", "overlap", 10),
        "hd95": Measure("hd95", "lower", "mm", "boundary", 8),
        "iou": Measure("iou", "higher", "", "overlap", 9),
    }
    import_scores(written(tmp_path, body, header), tmp_path / "results", measures=measures)
    found = {r["metric"]: (r["family"], r["preference"]) for r in read_scores(tmp_path / "results").to_pylist()}
    assert found == {
        **{"dice": ("overlap", 10), "HD95": ("boundary", 8)},
        **{"mine": ("boundary", 0), "iou": ("boundary", 0)},
    }
    assert {r["truth"] for r in read_scores(tmp_path / "results").to_pylist()} == {"", "2x2@1,1:ab"}
    with pytest.raises(DataInvalid, match="family must be overlap or boundary"):
        import_scores(written(tmp_path, "h,c1,1,dice,higher,a,0,0.9,ok,distance,\n", header), tmp_path / "results")


def test_the_identity_of_a_table_is_that_of_its_values(tmp_path: Path) -> None:
    file = written(tmp_path, "h,c1,1,dice,higher,a,0,0.9,\n")
    first = import_scores(file, tmp_path / "results")
    again = import_scores(file, tmp_path / "results", measures={"dice": Measure("dice", "higher", "", "overlap", 10)})
    assert [run["new"] for run in again["runs"]] == [False]
    assert first["runs"][0]["run_id"] == again["runs"][0]["run_id"] == "24b40ac30a74", "as before there were families"


def test_the_command_knows_the_metrics_of_the_plugins(tmp_path: Path) -> None:
    file = written(tmp_path, "h,c1,1,dice,higher,a,0,0.9,\nh,c1,1,hd95,lower,a,0,3,\nh,c1,1,x,lower,a,0,3,\n")
    assert CliRunner().invoke(app, ["import", str(file), "--results", str(tmp_path / "results")]).exit_code == 0
    found = {r["metric"]: r["family"] for r in read_scores(tmp_path / "results").to_pylist()}
    assert found == {"dice": "overlap", "hd95": "boundary", "x": ""}
