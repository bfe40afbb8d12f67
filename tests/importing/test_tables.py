"""Tables as challengeR, MONAI and nnU-Net have them, values that cannot be, and what empty values are taken for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.results import read_scores

NAN = float("nan")


def counted(tp: int, fp: int, fn: int) -> dict[str, float]:
    """Return what nnU-Net writes of one label of one case."""
    dice = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else NAN
    iou = tp / (tp + fp + fn) if tp + fp + fn else NAN
    return {"Dice": dice, "IoU": iou, "TP": tp, "FP": fp, "FN": fn, "TN": 9, "n_pred": tp + fp, "n_ref": tp + fn}


CASES = {
    "c1": {"1": counted(2, 1, 0), "2": counted(0, 0, 1)},
    "c2": {"1": counted(1, 0, 0), "2": counted(0, 0, 0)},
    "c3": {"1": counted(0, 1, 0), "2": counted(0, 1, 0)},
}


def summary(root: Path, cases: dict[str, Any] = CASES, folder: str = "fold_3/validation") -> Path:
    """Write a summary.json as nnU-Net's version 2 does, NaN and all."""
    entries = [
        {"metrics": metrics, "prediction_file": f"/out/{case}.nii.gz", "reference_file": f"C:\\labels\\{case}.nii.gz"}
        for case, metrics in cases.items()
    ]
    file = root / folder / "summary.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"metric_per_case": entries, "mean": {}, "foreground_mean": {"Dice": 0.5}}))
    return file


def imported(tmp_path: Path, file: Path, *options: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows and the notes of an import by the command."""
    results = tmp_path / "results"
    done = CliRunner().invoke(app, ["import", str(file), *options, "--results", str(results), "--json"])
    assert done.exit_code == 0, done.output
    return read_scores(results).to_pylist(), json.loads(done.stdout)["notes"]


def refused(file: Path, *options: str, code: int = 3) -> str:
    """Return what is said of a table that is not imported."""
    done = CliRunner().invoke(app, ["import", str(file), *options, "--results", str(file.parent / "results")])
    assert done.exit_code == code and done.stdout == "" and not (file.parent / "results").exists(), done.output
    return str(done.stderr)


def written(tmp_path: Path, *lines: str, name: str = "scores.csv") -> Path:
    file = tmp_path / name
    file.write_text("\n".join(lines) + "\n")
    return file


def ours(tmp_path: Path, *values: str, metric: str = "dice", better: str = "higher") -> Path:
    lines = [f"h,c{number},1,{metric},{better},a,{value}" for number, value in enumerate(values)]
    return written(tmp_path, "dataset,case,label,metric,better,method,value", *lines)


# ------------------------------------------------------------------------------------------------------- empty values


def test_it_is_said_what_empty_values_are_taken_for(tmp_path: Path) -> None:
    lines = [f"h,c{n},1,dice,higher,A,{'NaN' if n > 2 else 0.8}" for n in range(10)]
    lines += [f"h,c{n},1,dice,higher,B,0.5" for n in range(10)]
    file = written(tmp_path, "dataset,case,label,metric,better,method,value", *lines)
    rows, notes = imported(tmp_path / "asis", file)
    assert notes == [
        "7 of 10 values of A are empty: taken as missing; a `status` column or `--empty both_empty` says otherwise."
    ]
    assert sorted({row["status"] for row in rows if row["value"] is None}) == ["missing"]
    rows, notes = imported(tmp_path / "told", file, "--empty", "both_empty")
    assert notes == [] and {row["status"] for row in rows if row["value"] is None} == {"both_empty"}
    assert {row["status"] for row in rows if row["value"] is not None} == {"ok"}
    assert "--empty 'perfect': expected one of both_empty" in refused(file, "--empty", "perfect", code=2)


def test_both_empty_is_right_on_the_board(tmp_path: Path) -> None:
    """A is right in seven cases where B invents a lesion: A must not be said to have missed seven."""
    lines = [f"h,c{n},1,dice,higher,A,{'' if n > 2 else 0.8}" for n in range(10)]
    lines += [f"h,c{n},1,dice,higher,B,{0 if n > 2 else 0.81}" for n in range(10)]
    file = written(tmp_path, "dataset,case,label,metric,better,method,value", *lines)
    imported(tmp_path, file, "--empty", "both_empty")
    done = CliRunner().invoke(app, ["leaderboard", "--results", str(tmp_path / "results"), "--json"])
    document = json.loads(done.stdout)
    assert [place["method"] for place in document["overall"]] == ["A", "B"]
    (task,) = document["tasks"]
    assert {row["method"]: row["undefined"] for row in task["rows"]} == {"A": 0, "B": 0}


# ------------------------------------------------------------------------------------------------ values that cannot be


@pytest.mark.parametrize(
    ("metric", "better", "values", "words"),
    [
        ("dice", "higher", ("0.9", "90.5"), "line 3: dice 90.5 beside 0.9 (line 2)"),
        ("Dice", "higher", ("0.9", "90.5"), "line 3: Dice 90.5 beside 0.9 (line 2)"),
        ("dice", "higher", ("90.5", "105"), "line 3: dice 105: expected a share from 0 to 1, or a percentage"),
        ("dice", "higher", ("0.9", "-0.1"), "line 3: dice -0.1: expected no value below 0"),
        ("dice", "higher", ("0.9", "inf"), "line 3: dice inf: expected a number, empty, or a finite number"),
        ("hd95", "lower", ("3", "-inf"), "line 3: hd95 -inf"),
        ("hd95", "lower", ("3", "-2"), "line 3: hd95 -2: expected no value below 0"),
        ("mine", "lower", ("3", "-inf"), "line 3: mine -inf"),
        (
            "dice",
            "lower",
            ("0.9",),
            "line 2: dice is better lower here; the metric known by this name is better higher",
        ),
    ],
)
def test_values_that_cannot_be_the_metrics_are_refused_with_their_line(
    tmp_path: Path, metric: str, better: str, values: tuple[str, ...], words: str
) -> None:
    assert words in refused(ours(tmp_path, *values, metric=metric, better=better))


def test_all_faults_of_a_table_are_said_at_once(tmp_path: Path) -> None:
    lines = ["h,c1,1,dice,higher,a,0.9", "h,c2,1,dice,higher,a,90.5", "h,c1,1,hd95,lower,a,-inf"]
    text = refused(written(tmp_path, "dataset,case,label,metric,better,method,value", *lines))
    assert "line 3: dice 90.5" in text and "line 4: hd95 -inf" in text


def test_percentages_throughout_are_divided_and_other_values_left(tmp_path: Path) -> None:
    rows, notes = imported(tmp_path, ours(tmp_path, "88", "0", "97.5", ""))
    assert sorted(row["value"] for row in rows if row["value"] is not None) == pytest.approx([0, 0.88, 0.975])
    assert notes[0] == "dice: values up to 97.5 are percentages: divided by 100."
    rows, notes = imported(tmp_path / "others", ours(tmp_path, "88", "0.5", "-inf", metric="mine"))
    assert {row["value"] for row in rows} == {88, 0.5, float("-inf")} and notes == []
    rows, _ = imported(tmp_path / "far", ours(tmp_path, "3", "inf", metric="hd95", better="lower"))
    assert {row["value"] for row in rows} == {3, float("inf")}


# ---------------------------------------------------------------------------------------------------- challengeR


FRAME = ('"","alg_name","value","case","task"', '"1","A 1",0.9,1,"c_ideal"', '"2","A 2",NA,1,"c_ideal"')


def test_a_data_frame_of_challenger(tmp_path: Path) -> None:
    file = written(tmp_path, *FRAME)
    rows, notes = imported(tmp_path, file, "--metric", "dice", "--label", "organ")
    assert [(row["method"], row["dataset"], row["case_id"], row["value"], row["status"]) for row in rows] == [
        ("A 1", "c_ideal", "1", 0.9, "ok"),
        ("A 2", "c_ideal", "1", None, "missing"),
    ]
    assert {(row["label_name"], row["metric"], row["better"]) for row in rows} == {("organ", "dice", "higher")}
    assert any("Column task is taken for the dataset" in note for note in notes) and not any("used" in n for n in notes)


def test_the_tasks_of_one_dataset_are_its_structures_and_columns_are_named(tmp_path: Path) -> None:
    rows, _ = imported(tmp_path, written(tmp_path, *FRAME), "--metric", "dice", "--dataset", "mine")
    assert {(row["dataset"], row["label_name"]) for row in rows} == {("mine", "c_ideal")}
    file = written(tmp_path, "team;DSC;patient;structure", "A;0.5;p1;LV", "B;0.6;p1;LV")
    columns = ("method=team", "value=DSC", "case=patient", "label=structure")
    options = [word for pair in columns for word in ("--column", pair)]
    options += ["--dataset", "d", "--metric", "error", "--better", "lower", "--seed", "4", "--fold", "1"]
    rows, notes = imported(tmp_path / "named", file, *options)
    assert [(row["method"], row["case_id"], row["label_name"], row["better"], row["value"]) for row in rows] == [
        ("A", "p1", "LV", "lower", 0.5),
        ("B", "p1", "LV", "lower", 0.6),
    ]
    assert {(row["seed"], row["fold"]) for row in rows} == {(4, 1)} and notes == []


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ((), 3, "it lacks label, metric, better"),
        (("--metric", "dice"), 3, "--column label=NAME"),
        (("--metric", "mine", "--label", "x"), 3, "lacks better"),
        (("--column", "method=team"), 2, "has no such column"),
        (("--column", "algorithm=alg_name"), 2, "there is no such role"),
        (("--column", "method"), 2, "expected ROLE=COLUMN"),
        (("--column", "label=task", "--label", "x"), 2, "say the same thing twice"),
    ],
)
def test_what_challengers_table_does_not_say(tmp_path: Path, options: tuple[str, ...], code: int, words: str) -> None:
    assert words in refused(written(tmp_path, *FRAME), *options, code=code)


@pytest.mark.parametrize("column", ["patient", "subject"])
def test_a_column_of_patients_says_whose_scans_the_cases_are(tmp_path: Path, column: str) -> None:
    head = f"dataset,case,{column},label,metric,better,method,value"
    file = written(tmp_path, head, "h,c1,p1,1,dice,higher,a,0.9", "h,c2,p1,1,dice,higher,a,0.8")
    rows, notes = imported(tmp_path, file)
    assert {row["group"] for row in rows} == {"p1"} and {row["case_id"] for row in rows} == {"c1", "c2"}
    assert notes == [f"Column {column} is taken for the group; --column group=NAME names another."]
    rows, notes = imported(tmp_path / "other", file, "--column", "group=case")
    assert {row["group"] for row in rows} == {"c1", "c2"} and notes == [f"Columns not used: {column}."]


# ---------------------------------------------------------------------------------------------------- MONAI


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_a_table_of_monais(tmp_path: Path, delimiter: str) -> None:
    lines = ["filename,class0,class1,mean", "/a/imagesTr/c1.nii.gz,0.9,0.8,0.85", "C:\\a\\c2_seg.nii.gz,nan,0.7,0.7"]
    file = written(tmp_path, *(line.replace(",", delimiter) for line in lines), name="meanDice_raw.csv")
    options = ("--name", "monai", "--dataset", "d", "--metric", "dice", "--labels", "LV=class0,RV=class1")
    rows, notes = imported(tmp_path, file, *options)
    assert sorted((row["case_id"], row["label_name"], row["value"], row["status"]) for row in rows) == [
        ("c1", "LV", 0.9, "ok"),
        ("c1", "RV", 0.8, "ok"),
        ("c2", "LV", None, "missing"),
        ("c2", "RV", 0.7, "ok"),
    ]
    assert "nan where the truth is empty" in notes[1] and notes[2].startswith("1 of 4 values of monai are empty")


def test_what_monais_tables_do_not_say(tmp_path: Path) -> None:
    file = written(tmp_path, "filename,class0,mean", "c1.nii.gz,0.9,0.9", name="meanDice_raw.csv")
    assert "does not say the dataset" in refused(file, "--name", "m", code=2)
    assert "which direction is better" in refused(file, "--name", "m", "--dataset", "d", code=2)
    rows, _ = imported(tmp_path / "known", file, "--name", "m", "--dataset", "d", "--better", "higher")
    assert [(row["metric"], row["label_name"]) for row in rows] == [("meanDice", "class0")]
    assert "column class0: value must be a number" in refused(
        written(tmp_path, "filename,class0,mean", "c1.nii.gz,high,0.9", name="dice_raw.csv"),
        "--name",
        "m",
        "--dataset",
        "d",
    )
    ragged = written(tmp_path, "filename,class0,mean", "c1.nii.gz,0.9", name="dice_raw.csv")
    assert "line 2: it has not as many fields" in refused(ragged, "--name", "m", "--dataset", "d")
    whole = written(tmp_path, "class,mean,median", "class0,0.7,0.7", name="dice_summary.csv")
    assert "_raw.csv" in refused(whole, "--name", "m", "--dataset", "d")


# ---------------------------------------------------------------------------------------------------- nnU-Net


def test_a_summary_of_nnunets(tmp_path: Path) -> None:
    rows, notes = imported(tmp_path, summary(tmp_path), "--name", "nnunet", "--dataset", "d", "--labels", "LV=1,RV=2")
    found = {
        (row["case_id"], row["label_name"]): (row["value"], row["status"]) for row in rows if row["metric"] == "dice"
    }
    assert found == {
        ("c1", "LV"): (0.8, "ok"),
        ("c1", "RV"): (0.0, "pred_empty"),
        ("c2", "LV"): (1.0, "ok"),
        ("c2", "RV"): (None, "both_empty"),
        ("c3", "LV"): (0.0, "truth_empty"),
        ("c3", "RV"): (0.0, "truth_empty"),
    }
    assert {row["metric"] for row in rows} == {"dice", "iou"} and {row["fold"] for row in rows} == {3}
    assert {(row["label"], row["label_name"]) for row in rows} == {(1, "LV"), (2, "RV")}
    assert notes == ["A summary of nnU-Net's: 3 cases, fold 3.", "Not taken over: FN, FP, TN, TP, n_pred, n_ref."]


def test_regions_of_nnunets_have_the_names_of_dataset_json(tmp_path: Path) -> None:
    cases = {"c1": {"(1, 2)": counted(1, 0, 0), "(2,)": counted(0, 1, 0)}}
    names = tmp_path / "dataset.json"
    names.write_text(json.dumps({"labels": {"background": 0, "whole": [1, 2], "core": [2]}, "file_ending": ".nii.gz"}))
    options = ("--name", "n", "--dataset", "d", "--labels", str(names), "--metric", "dice", "--fold", "1")
    rows, _ = imported(tmp_path, summary(tmp_path, cases, "plain"), *options)
    assert {(row["label_name"], row["label"], row["status"], row["fold"]) for row in rows} == {
        ("whole", None, "ok", 1),
        ("core", 2, "truth_empty", 1),
    }


def test_a_summary_of_the_first_nnunet(tmp_path: Path) -> None:
    counts = {"Total Positives Test": 0, "Total Positives Reference": 0}
    entry = {
        "1": {"Dice": 0.75, "Jaccard": 0.6},
        "2": {"Dice": NAN, **counts},
        "test": "/p/c1.nii.gz",
        "reference": "r",
    }
    file = tmp_path / "summary.json"
    file.write_text(json.dumps({"author": "x", "results": {"all": [entry], "mean": {}}}))
    rows, notes = imported(tmp_path, file, "--name", "n", "--dataset", "d")
    found = sorted((row["case_id"], row["label_name"], row["value"], row["status"]) for row in rows)
    assert found == [("c1", "1", 0.75, "ok"), ("c1", "2", None, "both_empty")]
    assert "Jaccard" in notes[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        ("[]", "expected nnU-Net's summary"),
        ('{"metric_per_case": 3}', "expected nnU-Net's summary"),
        ('{"metric_per_case": [{"prediction_file": 3, "metrics": {}}]}', "expected nnU-Net's summary"),
        ('{"metric_per_case": [{"prediction_file": "a", "metrics": {"1": 3}}]}', "expected nnU-Net's summary"),
        ('{"metric_per_case": []}', "no scores"),
        ('{"metric_per_case": [{"prediction_file": "a", "metrics": {"1": {"TP": 3}}}]}', "found TP"),
        ('{"metric_per_case": [{"prediction_file": "a", "metrics": {"1": {"Dice": [3]}}}]}', "must be a number"),
        ('{"metric_per_case": [{"prediction_file": "a", "metrics": {"1": {"Dice": 3}}}, {}]}', "expected nnU-Net's"),
    ],
)
def test_summaries_that_are_none(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "summary.json"
    file.write_text(text)
    assert words in refused(file, "--name", "n", "--dataset", "d")


def test_a_case_twice_in_a_summary_is_named(tmp_path: Path) -> None:
    file = summary(tmp_path)
    content = json.loads(file.read_text())
    content["metric_per_case"].append(content["metric_per_case"][0])
    file.write_text(json.dumps(content))
    done = CliRunner().invoke(
        app, ["import", str(file), "--name", "n", "--dataset", "d", "--results", str(tmp_path / "r")]
    )
    assert done.exit_code == 3 and "case 4 (/out/c1.nii.gz): n, case c1, dice of 1" in done.stderr


# ------------------------------------------------------------------------------------------------- texts from outside


def test_no_text_from_outside_steers_the_terminal(tmp_path: Path) -> None:
    escape = "\x1b[2J"
    file = written(tmp_path, f"dataset,case,label,metric,better,method,value,{escape}x", "h,c1,1,dice,higher,a,0.9,1")
    done = CliRunner().invoke(app, ["import", str(file), "--results", str(tmp_path / "elsewhere")])
    assert done.exit_code == 0 and escape not in done.output and "\\x1b[2Jx" in done.stdout
    cases = {f"c1{escape}": {f"1{escape}": {"Dice": 0.5, f"x{escape}": 1}}}
    text = refused(summary(tmp_path, cases), "--name", "n", "--dataset", "d")
    assert escape not in text and "label" in text
    file = written(tmp_path, f"alg{escape},value", "a,0.9", name="lacking.csv")
    assert escape not in refused(file)
    assert escape not in refused(file, "--column", "case=nobody", code=2)
