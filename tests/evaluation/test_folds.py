"""Folds of nnU-Net's results, split lists and named cases: whose absence is noticed, and what is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.errors import DataMissing, SegbenchError, UsageError
from segbench.evaluation.folders import EvaluationResult, evaluate
from segbench.evaluation.layouts import Layout, find_pairs
from segbench.files.images import write_label_map
from segbench.host import load_catalogue
from segbench.types import LabelMap

CATALOGUE = load_catalogue()
FOLDS = [["c0", "c1", "c2"], ["c3", "c4"], ["c5", "c6", "c7"]]


def write(path: Path, voxels: int) -> None:
    array = np.zeros((3, 4, 5), dtype=np.uint8)
    array.reshape(-1)[:voxels] = 1
    write_label_map(path, LabelMap(array, (2.0, 1.0, 1.0)))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """nnU-Net's three roots with one dataset, trained in three folds; the prediction of c1 is gone."""
    monkeypatch.delenv("nnUNet_preprocessed", raising=False)
    raw = tmp_path / "nnUNet_raw" / "Dataset001_X"
    trainer = tmp_path / "nnUNet_results" / "Dataset001_X" / "nnUNetTrainer__nnUNetPlans__2d"
    for number, cases in enumerate(FOLDS):
        for index, case in enumerate(cases):
            write(raw / "labelsTr" / f"{case}.nii.gz", 10 + index)
            write(trainer / f"fold_{number}" / "validation" / f"{case}.nii.gz", 8 + index)
    (trainer / "fold_0" / "validation" / "c1.nii.gz").unlink()
    write(raw / "labelsTr" / "c8.nii.gz", 9)
    (raw / "dataset.json").write_text(
        json.dumps({"labels": {"background": 0, "organ": 1}, "channel_names": {"0": "T1"}, "file_ending": ".nii.gz"})
    )
    return tmp_path


def places(root: Path) -> tuple[Path, Path]:
    return next(root.glob("nnUNet_results/*/*")), root / "nnUNet_raw" / "Dataset001_X"


def summarise(root: Path, number: int, cases: list[str], version: int = 2) -> None:
    trainer, _ = places(root)
    if version == 2:
        entries = [
            {"metrics": {}, "prediction_file": f"/far/away/{case}.nii.gz", "reference_file": f"C:\\gt\\{case}.nii.gz"}
            for case in cases
        ]
        content: Any = {"foreground_mean": {}, "mean": {}, "metric_per_case": entries}
    else:
        content = {"results": {"all": [{"reference": "x", "test": f"/far/{case}.nii.gz"} for case in cases]}}
    (trainer / f"fold_{number}" / "validation" / "summary.json").write_text(json.dumps(content))


def keep_splits(folder: Path, folds: list[list[str]] = FOLDS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    every = [case for fold in folds for case in fold]
    content = [{"train": sorted(set(every) - set(fold)), "val": fold} for fold in folds]
    (folder / "splits_final.json").write_text(json.dumps(content))
    return folder / "splits_final.json"


def cases(found: Layout) -> dict[str, tuple[bool, int | None]]:
    return {pair.case: (pair.predicted is not None, pair.fold) for pair in found.pairs}


def missing(found: Layout) -> list[str]:
    return [problem.case for problem in found.problems if problem.kind == "missing"]


@pytest.mark.parametrize("version", [1, 2])
def test_a_case_of_the_summary_is_never_unseen(root: Path, version: int) -> None:
    summarise(root, 0, FOLDS[0], version)
    trainer, raw = places(root)
    for named in (trainer / "fold_0" / "validation", trainer / "fold_0"):
        found = find_pairs(named, raw)
        assert cases(found) == {"c0": (True, 0), "c1": (False, 0), "c2": (True, 0)}
        assert missing(found) == ["c1"] and "judged by summary.json" in found.words


@pytest.mark.parametrize("where", ["variable", "sibling", "raw", "trainer"])
def test_splits_are_found_where_nnunet_keeps_them(root: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, raw = places(root)
    folder = {
        "variable": root / "elsewhere" / "Dataset001_X",
        "sibling": root / "nnUNet_preprocessed" / "Dataset001_X",
        "raw": raw,
        "trainer": trainer,
    }[where]
    keep_splits(folder)
    if where == "variable":
        monkeypatch.setenv("nnUNet_preprocessed", str(root / "elsewhere"))
    found = find_pairs(trainer / "fold_0", raw / "labelsTr")
    assert missing(found) == ["c1"] and "judged by splits_final.json" in found.words
    apart = root / "copied" / "labels"
    (raw / "labelsTr").rename(apart.parent.mkdir() or apart)
    assert missing(find_pairs(trainer / "fold_0", apart)) == ([] if where == "raw" else ["c1"])


def test_several_folds_at_once_and_one_of_them(root: Path) -> None:
    keep_splits(root / "nnUNet_preprocessed" / "Dataset001_X")
    summarise(root, 1, FOLDS[1])
    trainer, raw = places(root)
    found = find_pairs(trainer, raw)
    assert {case: fold for case, (_, fold) in cases(found).items()} == {
        case: number for number, fold in enumerate(FOLDS) for case in fold
    }
    assert "8 of 9 references belong to fold_0, fold_1, fold_2 (judged by splits_final.json and summary.json)" in (
        found.words
    )
    (trainer / "fold_all" / "validation").mkdir(parents=True)
    assert list(cases(find_pairs(trainer, raw, fold=2))) == FOLDS[2]
    with pytest.raises(UsageError, match=r"--fold 3: .* holds fold_0, fold_1, fold_2"):
        find_pairs(trainer, raw, fold=3)
    with pytest.raises(UsageError, match="holds fold_1"):
        find_pairs(trainer / "fold_1" / "validation", raw, fold=0)
    assert list(cases(find_pairs(trainer.parent, raw, fold=1))) == FOLDS[1]
    write(trainer.with_name("other") / "fold_0" / "validation" / "c0.nii.gz", 9)
    with pytest.raises(UsageError, match="2 trainings: nnUNetTrainer__nnUNetPlans__2d, other"):
        find_pairs(trainer.parent, raw)


def test_lists_that_contradict_each_other(root: Path) -> None:
    trainer, raw = places(root)
    keep_splits(raw, [["c0", "c1", "c2"], ["c3", "c8"], ["c4"]])
    summarise(root, 0, ["c0", "c2"])  # c1 was gone before
    summarise(root, 1, FOLDS[1])  # the list is younger than the training
    found = find_pairs(trainer, raw)
    assert missing(found) == ["c1"] and "c8" not in cases(found) and cases(found)["c4"] == (True, 1)
    notes = [problem.what for problem in found.problems if problem.kind == "note"]
    assert "Those of splits_final.json count" in notes[0] and "Those of summary.json count" in notes[1]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"metric_per_case": [{}]}', '{"metric_per_case": [{"prediction_file": 3}]}']
)
def test_summaries_that_are_none(root: Path, text: str) -> None:
    trainer, raw = places(root)
    (trainer / "fold_0" / "validation" / "summary.json").write_text(text)
    found = find_pairs(trainer / "fold_0", raw)
    assert list(cases(found)) == ["c0", "c2"] and "cannot be noticed" in found.words
    assert any("no summary of nnU-Net's" in problem.what for problem in found.problems)


@pytest.mark.parametrize("text", ["{", '{"train": []}', "[]", '[{"val": 3}]'])
def test_split_lists_that_are_none(root: Path, text: str) -> None:
    trainer, raw = places(root)
    (raw / "splits_final.json").write_text(text)
    found = find_pairs(trainer / "fold_0", raw)
    assert list(cases(found)) == ["c0", "c2"]
    assert any("not gone by" in problem.what for problem in found.problems)


def test_a_case_without_reference_and_prediction_is_named(root: Path) -> None:
    summarise(root, 0, [*FOLDS[0], "c9"])
    found = find_pairs(places(root)[0] / "fold_0", places(root)[1])
    assert missing(found) == ["c9", "c1"]
    assert "neither a reference nor a prediction" in found.problems[0].what


def scored(root: Path, predictions: Path, **others: Any) -> EvaluationResult:
    given = {"name": "m", "dataset": "x", "metrics": ["dice"], "results": root / "r", "catalogue": CATALOGUE} | others
    return evaluate(predictions, places(root)[1], **given)


def test_rows_carry_their_fold(root: Path) -> None:
    keep_splits(root / "nnUNet_preprocessed" / "Dataset001_X")
    result = scored(root, places(root)[0])
    rows = {row["case_id"]: (row["fold"], row["status"]) for row in result.table.to_pylist()}
    assert rows["c1"] == (0, "missing") and rows["c4"] == (1, "ok") and rows["c7"] == (2, "ok") and len(rows) == 8
    assert json.loads((result.folder / "run.json").read_text())["fold"] == [0, 1, 2]
    single = scored(root, places(root)[0], fold=1)
    assert {row["fold"] for row in single.table.to_pylist()} == {1} and single.cases == 2
    plain = scored(root, places(root)[0] / "fold_2" / "validation", layout="plain")
    assert {row["fold"] for row in plain.table.to_pylist()} == {2}


def test_named_cases(root: Path) -> None:
    predictions = places(root)[0] / "fold_2"
    result = scored(root, predictions, cases=["c5", "c7"])
    assert {row["case_id"] for row in result.table.to_pylist()} == {"c5", "c7"} and result.complete
    assert "--cases: 2 of 3 cases" in result.layout
    with pytest.raises(DataMissing, match=r"none for 1 of 2: c55\. Did you mean 'c5'"):
        scored(root, predictions, cases=["c55", "c5"])
    listed = root / "list.txt"
    listed.write_text("c5\n\nc6\n")
    command = ["evaluate", str(predictions), str(places(root)[1]), "--name", "m", "--dataset", "x", "--json"]
    done = CliRunner().invoke(app, [*command, "--results", str(root / "r"), "--cases", str(listed)])
    assert done.exit_code == 0 and json.loads(done.stdout)["cases"] == 2
    assert CliRunner().invoke(app, [*command, "--cases", " , "]).exit_code == 2


def test_split_lists(root: Path) -> None:
    plain = root / "plain"
    for path in places(root)[0].rglob("*.nii.gz"):
        write(plain / path.name, 9)
    mine = root / "split.json"
    mine.write_text(json.dumps({"train": ["c0"], "val": ["c3"], "test": ["c1", "c5"]}))
    result = scored(root, plain, split=mine)
    assert {row["case_id"]: row["status"] for row in result.table.to_pylist()} == {"c1": "missing", "c5": "ok"}
    assert "the test cases of --split" in result.layout
    assert {row["case_id"] for row in scored(root, plain, split={"val": ["c3"]}).table.to_pylist()} == {"c3"}
    nnunet = keep_splits(root)
    result = scored(root, plain, split=nnunet, fold=1)
    assert {(row["case_id"], row["fold"]) for row in result.table.to_pylist()} == {("c3", 1), ("c4", 1)}
    everything = scored(root, places(root)[0], split=nnunet)
    assert {row["case_id"] for row in everything.table.to_pylist()} == {case for fold in FOLDS for case in fold}
    with pytest.raises(UsageError, match="say which with --fold"):
        scored(root, plain, split=nnunet)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cases": ["c0"], "split": {"test": ["c0"]}}, "Give one of them"),
        ({"split": "nowhere.json"}, "found none"),
        ({"split": {"test": []}}, "expected a list of cases 'test'"),
        ({"split": {"test": [1]}}, "expected a list of cases 'test'"),
        ({"split": []}, "list of folds"),
        ({"split": [{"val": ["c0"]}], "fold": 1}, "lists folds 0 to 0"),
        ({"split": [{"train": ["c0"]}], "fold": 0}, "expected a list of cases 'val'"),
    ],
)
def test_requests_that_make_no_sense(root: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(SegbenchError, match=words):
        scored(root, places(root)[0] / "fold_0" / "validation", **options)
