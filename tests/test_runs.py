"""Finished runs opened again: found by name or folder, the same label maps, cases and truths as when they were made."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segbench import results
from segbench.errors import DataInvalid, DataMissing, UsageError
from segbench.evaluation.folders import evaluate
from segbench.host import Catalogue, load_catalogue
from segbench.records import write_record
from segbench.runner import run
from segbench.runs import StoredRun, find_runs, open_run
from segbench.types import CaseRef

CATALOGUE = load_catalogue([Path(__file__).with_name("toy.py")])
configuration: Any = sys.modules["segbench_file_toy"].configuration


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return CATALOGUE


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> Path:
    """Results of a run, of its control arm, of a smoke run, and of an evaluation of the first one's predictions."""
    folder = tmp_path_factory.mktemp("runs") / "results"
    for others in ({}, {"arm": "control"}, {"smoke": True}):
        dataset = {"cases": 8, "unlabelled": 1}
        run(configuration(dataset=dataset, **others), catalogue=catalogue, results_root=folder)
    predictions = next(folder.glob("toy/witness/*/predictions"))
    arguments: Any = {"name": "elsewhere", "dataset": "toy", "labels": {"a": 1, "b": 2}, "metrics": ["dice"]}
    evaluate(predictions, predictions, results=folder, **arguments)
    return folder


@pytest.fixture
def opened(root: Path, catalogue: Catalogue) -> StoredRun:
    every = [open_run(folder, catalogue) for folder in results.complete_runs(root / "toy" / "witness")]
    return next(one for one in every if ":" not in one.title)


def test_what_a_run_was(opened: StoredRun, root: Path, catalogue: Catalogue) -> None:
    assert opened.run_id == opened.folder.name == opened.record["run_id"]
    assert (opened.task.name, opened.task.labels, opened.task.revision) == ("toy", ("background", "a", "b"), "1")
    assert opened.title.startswith("witness [") and "epochs=2" in opened.title
    titles = {open_run(folder, catalogue).title.split(" ")[0] for folder in results.complete_runs(root / "toy")}
    assert titles == {"witness", "witness:control", "elsewhere"}
    assert opened.case_ids == tuple(opened.record["splits"]["test"])
    assert {row["name"] for row in opened.history()} >= {"train/ce", "val/dice", "method/dual"}
    assert {(row["case_id"], row["metric"]) for row in opened.scores()} == {
        (case, metric) for case in opened.case_ids for metric in ("dice", "volume_error")
    }


def test_cases_and_truths_are_the_datasets_own(opened: StoredRun, catalogue: Catalogue) -> None:
    dataset = catalogue.dataset(configuration(dataset={"cases": 8}).dataset)
    for case_id in opened.case_ids:
        expected = dataset.load(CaseRef(case_id, case_id))
        found = opened.case(case_id)
        assert expected.truth is not None and found.truth is not None
        np.testing.assert_array_equal(found.image, expected.image)
        np.testing.assert_array_equal(found.truth.array, expected.truth.array)
        assert opened.prediction(case_id).array.shape == expected.truth.array.shape
    expected_truths = [dataset.load(CaseRef(name, name)).truth for name in opened.record["splits"]["train"]]
    truths = list(opened.truths())
    assert len(truths) == len(expected_truths) > 1
    for one, other in zip(truths, expected_truths, strict=True):
        assert other is not None
        np.testing.assert_array_equal(one.array, other.array)


def test_a_smoke_run_gets_its_miniature_again(root: Path, catalogue: Catalogue) -> None:
    (folder,) = results.complete_runs(root / ".smoke")
    found = open_run(folder, catalogue)
    truth = found.case(found.case_ids[0]).truth
    assert truth is not None and truth.array.shape == found.prediction(found.case_ids[0]).array.shape


def test_predictions_made_elsewhere_have_scores_but_no_images(root: Path, catalogue: Catalogue) -> None:
    (folder,) = results.complete_runs(root / "toy" / "elsewhere")
    found = open_run(folder, catalogue)
    assert (found.title, found.task.labels) == ("elsewhere", ("background", "a", "b"))
    assert len(found.case_ids) == 2 and {row["value"] for row in found.scores()} == {1.0}
    assert list(found.history()) == [] and list(found.truths()) == []
    with pytest.raises(DataMissing, match="made elsewhere"):
        found.case(found.case_ids[0])
    with pytest.raises(DataMissing):
        found.prediction(found.case_ids[0])


def test_data_that_changed_or_went_are_missing(opened: StoredRun, tmp_path: Path, catalogue: Catalogue) -> None:
    copy = tmp_path / "toy" / "witness" / opened.run_id
    shutil.copytree(opened.folder, copy)
    record = json.loads((copy / "run.json").read_text())
    record["task"]["revision"] = "2"
    write_record(copy / "run.json", record)
    with pytest.raises(DataMissing, match="revision 2 of dataset toy; here is 1"):
        open_run(copy, catalogue).case(opened.case_ids[0])
    with pytest.raises(DataMissing, match="has no case 'toy_99' any more"):
        opened.case("toy_99")


def test_runs_are_found_by_folder_and_by_name(opened: StoredRun, root: Path) -> None:
    assert find_runs(str(opened.folder), Path("nowhere")) == [opened.folder]
    assert len(find_runs(str(root), Path("nowhere"))) == 3, "smoke runs stay apart"
    assert find_runs(opened.run_id, root) == find_runs(opened.run_id[:6], root) == [opened.folder]
    (smoke,) = results.complete_runs(root / ".smoke")
    assert find_runs(smoke.name, root) == [smoke]


@pytest.mark.parametrize("text", ["0000000", "abc", "", "../x", "toy*"])
def test_what_is_no_run(text: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataMissing):
        find_runs(text, root)
    with pytest.raises(DataMissing, match="holds no finished run"):
        find_runs(str(tmp_path), root)


def test_digits_of_several_runs_are_ambiguous(tmp_path: Path) -> None:
    for name in ("abcd1", "abcd2"):
        folder = tmp_path / "d" / "m" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{}")
    with pytest.raises(UsageError, match="abcd1, abcd2"):
        find_runs("abcd", tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"run_id": "x"}'])
def test_damaged_records_are_said(tmp_path: Path, catalogue: Catalogue, content: str) -> None:
    with pytest.raises(DataMissing, match="no finished run"):
        open_run(tmp_path, catalogue)
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(DataInvalid, match="run it again"):
        open_run(tmp_path, catalogue)
