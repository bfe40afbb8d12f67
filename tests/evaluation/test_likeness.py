"""``evaluate --like RUN``: outside predictions on the board of a run that was trained here, case by case."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.config import Recipe, RunConfig
from segbench.errors import DataMissing, UsageError
from segbench.evaluation.folders import EvaluationResult, evaluate
from segbench.evaluation.likeness import parameters_of
from segbench.files.images import read_label_map, write_label_map
from segbench.host import load_catalogue
from segbench.runner import run
from segbench.runs import StoredRun, open_run
from segbench.types import Choice, LabelMap

CATALOGUE = load_catalogue()
SHARED = ("dataset", "case_id", "group", "label", "label_name", "metric", "metric_version", "unit", "better", "truth")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw folder of nnU-Net's with regions and folds, and the results of one fold trained on it for two steps."""
    root = tmp_path_factory.mktemp("like")
    folder = CATALOGUE.dataset(Choice("nnunet")).forge(root).path  # type: ignore[attr-defined]
    run(
        RunConfig(
            Choice("nnunet", {"path": str(folder), "group_pattern": r"_0*(\d)"}),
            Choice("unet2d", {"levels": 2, "width": 4}),
            Choice("ce"),
            (*map(Choice, ("dice", "hd95", "forbidden_pairs")), Choice("nsd", {"tolerance": 3.0})),
            recipe=Recipe(epochs=1, steps_per_epoch=2),
            device="cpu",
        ),
        catalogue=CATALOGUE,
        results_root=root / "results",
    )
    return root


@pytest.fixture
def trained(home: Path) -> StoredRun:
    (folder,) = home.glob("results/*/ce/*")
    return open_run(folder, CATALOGUE)


@pytest.fixture
def predictions(home: Path, trained: StoredRun, tmp_path: Path) -> Path:
    """The run's own predictions, as if somebody else had made them."""
    shutil.copytree(trained.folder / "predictions", tmp_path / "p")
    return tmp_path / "p"


def like(trained: StoredRun, predictions: Path, results: Path, **others: Any) -> EvaluationResult:
    references = others.pop("references", None) or predictions.parent / "t"
    if not references.is_dir():
        references = Path(trained.record["local"]["dataset"]["path"])
    given = {"name": "mine", "like": trained, "catalogue": CATALOGUE, "results": results} | others
    return evaluate(predictions, references, **given)


def test_the_same_predictions_give_the_same_rows(trained: StoredRun, predictions: Path, tmp_path: Path) -> None:
    mine = like(trained, predictions, tmp_path / "r")
    theirs = {tuple(row[key] for key in SHARED): (row["value"], row["status"]) for row in trained.scores()}
    ours = {tuple(row[key] for key in SHARED): (row["value"], row["status"]) for row in mine.table.to_pylist()}
    assert ours == theirs and len(ours) == 4 * (3 * 2 + 1)
    assert {key[5] for key in ours} == {"dice", "hd95", "nsd", "forbidden_pairs"}
    assert {key[2] for key in ours} != {key[1] for key in ours}, "patients are those of the run"
    assert mine.complete and f"the 4 cases of run {trained.run_id}" in mine.layout
    assert any("4 references of cases that the run did not score" in one.what for one in mine.problems)
    assert json.loads((mine.folder / "run.json").read_text())["like"] == trained.run_id
    assert like(trained, predictions, tmp_path / "r").reused


def test_missing_and_additional_predictions(trained: StoredRun, predictions: Path, tmp_path: Path) -> None:
    first = sorted(predictions.iterdir())[0]
    first.rename(predictions / "forged_000.nii.gz")  # a case of the other fold
    mine = like(trained, predictions, tmp_path / "r")
    gone = {row["case_id"] for row in mine.table.to_pylist() if row["status"] == "missing"}
    assert gone == {first.name.removesuffix(".nii.gz")}
    assert {row["case_id"] for row in mine.table.to_pylist()} == set(trained.case_ids)


def test_explicit_options_win(trained: StoredRun, predictions: Path, tmp_path: Path) -> None:
    mine = like(trained, predictions, tmp_path / "r", dataset="other", labels={"upper": 1}, metrics=["dice"])
    rows = mine.table.to_pylist()
    assert {(row["dataset"], row["label_name"], row["metric"]) for row in rows} == {("other", "upper", "dice")}
    with_prior = like(trained, predictions, tmp_path / "r", metrics=["forbidden_pairs"])
    (found,) = {row["metric_version"] for row in with_prior.table.to_pylist()}
    assert found in {row["metric_version"] for row in trained.scores() if row["metric"] == "forbidden_pairs"}


def test_another_truth_or_metric_is_a_problem(trained: StoredRun, predictions: Path, tmp_path: Path) -> None:
    references = Path(trained.record["local"]["dataset"]["path"]) / "labelsTr"
    shutil.copytree(references, tmp_path / "t")
    changed = sorted(predictions.iterdir())[1].name
    truth = read_label_map(tmp_path / "t" / changed)
    array = np.where(truth.array == 2, 1, truth.array)
    write_label_map(tmp_path / "t" / changed, LabelMap(array, truth.spacing, truth.affine))
    mine = like(trained, predictions, tmp_path / "r", metrics=[Choice("nsd", {"tolerance": 2.0})])
    said = {one.case: one.what for one in mine.problems if one.kind == "truth"}
    assert set(said) == {changed.removesuffix(".nii.gz"), ""} and not mine.complete
    assert "its label values differ" in said[changed.removesuffix(".nii.gz")]
    assert "tolerance=2.0' here and" in said[""] and "tolerance=3.0' in run" in said[""]


def test_references_need_not_be_named(trained: StoredRun, predictions: Path, tmp_path: Path) -> None:
    given: Any = {"name": "mine", "like": trained, "catalogue": CATALOGUE, "results": tmp_path / "r"}
    (predictions / "other.nii.gz").write_bytes(b"")
    sorted(predictions.iterdir())[0].unlink()
    mine, named = evaluate(predictions, **given), like(trained, predictions, tmp_path / "r")
    assert mine.table.drop(["run_id", "dataset_revision"]) == named.table.drop(["run_id", "dataset_revision"])
    assert {problem.kind for problem in mine.problems} == {"missing", "extra"}
    assert evaluate(predictions, **given).reused and "the truths of the 4 cases of run" in mine.layout
    outside = open_run(named.folder, CATALOGUE)
    with pytest.raises(UsageError, match="Which references"):
        evaluate(predictions, **(given | {"like": outside}))
    with pytest.raises(UsageError, match="Which references"):
        evaluate(predictions, **(given | {"like": None, "dataset": "x"}))
    with pytest.raises(DataMissing, match="is named as a case of run"):
        evaluate(tmp_path / "r", **given)


def test_parameters_are_read_from_versions() -> None:
    assert parameters_of("1") == {}
    version = '2 name="a b=c" prior=9c0d1f2a inner.size=[1,2] tolerance=2.0'
    assert parameters_of(version) == {"name": "a b=c", "prior": "9c0d1f2a", "inner": {"size": [1, 2]}, "tolerance": 2.0}
    assert parameters_of("1 a=1 strange") == {"a": 1}


def test_a_case_without_reference_is_named(trained: StoredRun, predictions: Path, tmp_path: Path) -> None:
    shutil.copytree(Path(trained.record["local"]["dataset"]["path"]) / "labelsTr", tmp_path / "t")
    (tmp_path / "t" / sorted(predictions.iterdir())[0].name).unlink()
    with pytest.raises(DataMissing, match=f"none for {sorted(trained.case_ids)[0]}"):
        like(trained, predictions, tmp_path / "r")


def test_an_evaluation_may_be_the_model(trained: StoredRun, predictions: Path, tmp_path: Path) -> None:
    first = like(trained, predictions, tmp_path / "r", metrics=["dice"], ignore_label=7, labels={"upper": 1})
    folder = Path(trained.record["local"]["dataset"]["path"])
    again = like(open_run(first.folder, CATALOGUE), predictions, tmp_path / "r", name="other", references=folder)
    assert first.table.drop(["run_id", "method"]) == again.table.drop(["run_id", "method"])


def test_on_the_command_line(home: Path, trained: StoredRun, predictions: Path) -> None:
    references = trained.record["local"]["dataset"]["path"]
    command = ["evaluate", str(predictions), references, "--name", "cli", "--results", str(home / "results")]
    done = CliRunner().invoke(app, [*command, "--like", trained.run_id, "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["dataset"] == trained.task.name and document["cases"] == 4
    nothing = CliRunner().invoke(app, command)
    assert nothing.exit_code == UsageError.exit_code and "--like" in nothing.output
