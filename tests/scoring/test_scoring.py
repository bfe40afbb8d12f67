"""Scoring: single cases, whole folders, everything that can be wrong with a file, resuming, workers that die."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from segbench.contracts import Metric
from segbench.errors import DataInvalid, DataMissing, Incompatible, PluginError, UnknownName, UsageError
from segbench.evaluation.folders import EvaluationResult, evaluate
from segbench.files.images import write_label_map
from segbench.host import Catalogue, Entry, Origin, load_catalogue
from segbench.results import read_scores
from segbench.scoring.cases import Outcome
from segbench.scoring.journal import Journal
from segbench.scoring.metrics import missing_scores, score_case
from segbench.types import Choice, LabelMap, Score, Task

TASK = Task("toy", "1", ("background", "one", "two"))


@dataclass
class Volume(Metric):
    """Voxels of the structure in the prediction minus those in the truth."""

    name = "volume"
    summary = "difference"
    default = True

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        for one in task.structures:
            both = [int(labels.mask(one).sum()) for labels in (predicted, truth)]
            empty = {(False, False): "both_empty", (True, False): "truth_empty", (False, True): "pred_empty"}
            status: Any = empty.get((both[0] > 0, both[1] > 0), "ok")
            yield Score(one, float(both[0] - both[1]), status)


@dataclass
class Broken(Volume):
    """Raises on truths with label 2."""

    name = "broken"
    default = False

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        if (truth.array == 2).any():
            raise RuntimeError("label two is too much")
        return super().score(predicted, truth, task)


@dataclass
class NotANumber(Volume):
    """Gives NaN, with a status that pretends all is well."""

    name = "nan"
    default = False

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        return [Score(one, math.nan) for one in task.structures]


@dataclass
class Greedy(Volume):
    """Runs out of memory."""

    name = "greedy"
    default = False

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        raise MemoryError


@dataclass
class Taught(Volume):
    """Must see training truths."""

    name = "taught"
    needs_training = True


@dataclass
class FromFile(Volume):
    """Has a prior in a file, so it needs no training truths."""

    name = "from_file"
    default = False
    needs_training = True
    prior: Path | None = None

    def prepare(self, task: Task, truths: Iterable[LabelMap]) -> None:
        self.offset_ = float(self.prior.read_text()) if self.prior else 0.0

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        for one in super().score(predicted, truth, task):
            yield Score(one.structure, self.offset_, one.status)


def toys(*classes: type[Metric]) -> Catalogue:
    catalogue = Catalogue()
    for cls in classes or (Volume, Broken, NotANumber, Taught):
        catalogue.entries["metrics"][cls.name] = Entry(cls, Origin("toys", "tests", "1"))
    return catalogue


def volume(*values: int, shape: tuple[int, int, int] = (3, 4, 5)) -> LabelMap:
    """Return a label map whose first voxels have these values."""
    array = np.zeros(shape, dtype=np.int16)
    array.reshape(-1)[: len(values)] = values
    return LabelMap(array, (2.0, 1.0, 1.0))


def save(folder: Path, name: str, *values: int, **options: Any) -> None:
    write_label_map(folder / f"{name}.nii.gz", volume(*values, **options))


def folders(tmp_path: Path, cases: int = 3) -> tuple[Path, Path]:
    predicted, truth = tmp_path / "pred", tmp_path / "truth"
    for index in range(cases):
        save(truth, f"c{index}", 1, 1, 2, *[1] * index)
        save(predicted, f"c{index}", 1, 2, 2)
    return predicted, truth


def run(tmp_path: Path, predicted: Path, truth: Path, **options: Any) -> EvaluationResult:
    settings: dict[str, Any] = {"name": "m", "dataset": "toy", "results": tmp_path / "results", "catalogue": toys()}
    return evaluate(predicted, truth, **(settings | options))


def statuses(result: EvaluationResult) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in result.table.to_pylist():
        found.setdefault(row["case_id"], set()).add(row["status"])
    return found


def what(result: EvaluationResult, case: str) -> str:
    return " ".join(problem.what for problem in result.problems if problem.case == case)


# ---------------------------------------------------------------------------------------------- one case in memory


def test_unknown_voxels_are_background_on_both_sides() -> None:
    predicted, truth = volume(1, 1, 2, 2), volume(1, -1, -1, 2)
    before = truth.array.copy(), predicted.array.copy()
    assert [score.value for _, score in score_case(predicted, truth, TASK, [Volume()])] == [0.0, 0.0]
    assert np.array_equal(truth.array, before[0]) and np.array_equal(predicted.array, before[1])


def test_negative_predictions_are_background() -> None:
    assert [score.value for _, score in score_case(volume(-1, -7), volume(1), TASK, [Volume()])] == [-1.0, 0.0]


def test_a_metric_that_raises_fails_alone_and_says_why() -> None:
    reasons: dict[str, str] = {}
    scored = score_case(volume(1), volume(1, 2), TASK, [Broken(), Volume()], reasons)
    assert [(metric.name, score.value, score.status) for metric, score in scored] == [
        ("broken", None, "failed"),
        ("broken", None, "failed"),
        ("volume", 0.0, "ok"),
        ("volume", -1.0, "pred_empty"),
    ]
    assert reasons == {"broken": "metric broken: RuntimeError: label two is too much"}


def test_nan_never_passes_as_ok() -> None:
    assert {(score.value, score.status) for _, score in score_case(volume(1), volume(1), TASK, [NotANumber()])} == {
        (None, "failed")
    }


def test_missing_scores_stand_for_every_structure_and_whole_map() -> None:
    catalogue = load_catalogue()
    metrics = [catalogue.metric(Choice(name)) for name in ("dice", "hd95")]
    scored = missing_scores(TASK, metrics)
    assert [(metric.name, score.structure.name) for metric, score in scored] == [
        (name, label) for name in ("dice", "hd95") for label in ("one", "two")
    ]
    assert {(score.value, score.status) for _, score in scored} == {(None, "missing")}


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="shape"):
        score_case(volume(1), volume(1, shape=(3, 4, 6)), TASK, [Volume()])


# ------------------------------------------------------------------------------------------------------- folders


def test_rows_and_record(tmp_path: Path) -> None:
    predicted, truth = folders(tmp_path)
    result = run(tmp_path, predicted, truth)
    assert result.complete and not result.reused and result.cases == 3
    table = read_scores(tmp_path / "results")
    assert table.equals(result.table)
    rows = table.to_pylist()
    assert len(rows) == 3 * 2
    assert {(row["source"], row["method"], row["dataset"], row["network"]) for row in rows} == {
        ("external", "m", "toy", "")
    }
    assert [row["value"] for row in rows if row["label_name"] == "1"] == [-1.0, -2.0, -3.0]
    record = json.loads((result.folder / "run.json").read_text())
    assert record["run_id"] == result.run_id and len(record["cases"]) == 3 and not record["retry"]
    assert sorted(path.name for path in result.folder.iterdir()) == ["run.json", "scores.parquet"]


def test_same_files_are_a_no_op_and_changed_ones_are_not(tmp_path: Path) -> None:
    predicted, truth = folders(tmp_path)
    first = run(tmp_path, predicted, truth)
    stamp = (first.folder / "scores.parquet").stat().st_mtime_ns
    os.utime(predicted / "c0.nii.gz")
    again = run(tmp_path, predicted, truth)
    assert again.reused and again.run_id == first.run_id and again.table.equals(first.table)
    assert (first.folder / "scores.parquet").stat().st_mtime_ns == stamp
    save(predicted, "c0", 1, 1, 1)
    changed = run(tmp_path, predicted, truth)
    assert not changed.reused and changed.run_id != first.run_id
    assert changed.task.revision == first.task.revision
    save(truth, "c0", 1, 1, 1)
    assert run(tmp_path, predicted, truth).task.revision != first.task.revision


def test_request_is_part_of_the_identity(tmp_path: Path) -> None:
    predicted, truth = folders(tmp_path)
    options: list[dict[str, Any]] = [{}, {"labels": [1]}, {"geometry": "tolerant"}, {"name": "n"}, {"ignore_label": 2}]
    assert len({run(tmp_path, predicted, truth, **one).run_id for one in options}) == len(options)


def test_two_jobs_give_the_same_table(tmp_path: Path) -> None:
    predicted, truth = folders(tmp_path, 7)
    catalogue = load_catalogue()
    tables = [
        run(tmp_path / str(jobs), predicted, truth, jobs=jobs, catalogue=catalogue, metrics=["dice", "hd95"]).table
        for jobs in (1, 2)
    ]
    assert tables[0].equals(tables[1])


def test_labels_regions_and_ignored_voxels(tmp_path: Path) -> None:
    truth, predicted = tmp_path / "truth", tmp_path / "pred"
    save(truth, "a", 1, 2, 3, 3, 9, 9)
    save(predicted, "a", 1, 2, 2, 3, 1, 1)

    def values(**options: Any) -> dict[str, tuple[int | None, float]]:
        rows = run(tmp_path, predicted, truth, **options).table.to_pylist()
        return {row["label_name"]: (row["label"], row["value"]) for row in rows}

    assert values(ignore_label=9) == {"1": (1, 0.0), "2": (2, 1.0), "3": (3, -1.0)}
    assert values(labels={"LV": 3}) == {"LV": (3, -1.0)}
    assert values(labels=[2], regions={"wt": [1, 2, 3]}) == {"2": (2, 1.0), "wt": (None, 2.0)}
    (truth / "dataset.json").write_text('{"labels": {"background": 0, "organ": 1, "ignore": 9, "tumour": 3}}')
    assert values() == {"organ": (1, 0.0), "tumour": (3, -1.0)}
    assert values(labels=["tumour"]) == {"tumour": (3, -1.0)}
    with pytest.raises(UnknownName, match="Did you mean 'tumour'"):
        values(labels=["tumor"])
    for wrong in ({"labels": {"x": 0}}, {"labels": [2**53 + 1]}, {"regions": {"x": []}}):
        with pytest.raises(UsageError):
            values(**wrong)


def test_missing_predictions(tmp_path: Path) -> None:
    predicted, truth = folders(tmp_path)
    (predicted / "c1.nii.gz").unlink()
    worst = run(tmp_path, predicted, truth)
    assert statuses(worst) == {"c0": {"ok"}, "c1": {"missing"}, "c2": {"ok"}}
    assert not worst.complete
    skipped = run(tmp_path, predicted, truth, on_missing="skip")
    assert set(statuses(skipped)) == {"c0", "c2"} and skipped.complete and "left out" in what(skipped, "c1")
    with pytest.raises(DataMissing, match="c1"):
        run(tmp_path, predicted, truth, on_missing="fail")
    with pytest.raises(UsageError):
        run(tmp_path, predicted, truth, on_missing="ignore")


def test_metrics_that_need_training_are_left_out(tmp_path: Path) -> None:
    predicted, truth = folders(tmp_path)
    assert set(run(tmp_path, predicted, truth).table["metric"].to_pylist()) == {"volume"}
    with pytest.raises(Incompatible, match="taught needs training truths"):
        run(tmp_path, predicted, truth, metrics=["taught"])
    with pytest.raises(UnknownName):
        run(tmp_path, predicted, truth, metrics=["volum"])


def test_a_prior_by_parameter_is_used_and_its_content_counts(tmp_path: Path) -> None:
    predicted, truth = folders(tmp_path, 1)
    prior = tmp_path / "prior.txt"
    options: dict[str, Any] = {"catalogue": toys(FromFile), "metrics": [Choice("from_file", {"prior": str(prior)})]}
    for text in ("3", "4"):
        prior.write_text(text)
        result = run(tmp_path, predicted, truth, **options)
        assert not result.reused and set(result.table["value"].to_pylist()) == {float(text)}
    prior.write_text("no number")
    with pytest.raises(PluginError, match="from_file"):
        run(tmp_path, predicted, truth, **options)


def test_nothing_but_background_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "truth", "a")
    save(tmp_path / "pred", "a")
    with pytest.raises(DataInvalid, match="nothing to score"):
        run(tmp_path, tmp_path / "pred", tmp_path / "truth")
    with pytest.raises(DataInvalid, match=r"None of the structures asked for \(1 = 1\).*label values are 0"):
        run(tmp_path, tmp_path / "pred", tmp_path / "truth", labels=[1])


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_structure_that_no_reference_has_is_named_not_perfect(tmp_path: Path, jobs: int) -> None:
    predicted, truth = folders(tmp_path)  # values 0, 1 and 2
    options: dict[str, Any] = {"metrics": ["dice"], "catalogue": load_catalogue(), "jobs": jobs}
    result = run(tmp_path, predicted, truth, labels={"LV": 2, "RV": 3}, **options)
    assert set(result.table["label_name"].to_pylist()) == {"LV"}
    (problem,) = [one for one in result.problems if not one.case]
    assert problem.kind == "labels" and "RV = 3 is in none of 3 references" in problem.what
    assert "0, 1, 2" in problem.what and not result.complete
    save(predicted, "c1", 1, 2, 2, 3)
    result = run(tmp_path, predicted, truth, labels={"LV": 2, "RV": 3}, **options)
    assert "although 1 predictions have it" in what(result, "")
    (truth / "dataset.json").write_text('{"labels": {"background": 0, "LV": 2, "RV": 3, "Myo": 1, "apex": 4}}')
    (predicted / "c1.nii.gz").unlink()
    save(truth, "c1", 1, 2, 2, 3)  # the only reference with RV, and it was not predicted
    result = run(tmp_path, predicted, truth, **options)
    rows = [row for row in result.table.to_pylist() if row["label_name"] == "RV"]
    assert [row["status"] for row in rows] == ["both_empty", "missing", "both_empty"]
    assert [one.kind for one in result.problems if "apex" in one.what] == ["note"]  # declared, asked for by nobody
    assert "apex" not in result.table["label_name"].to_pylist()


def test_white_masks_have_their_structure_whether_predicted_or_not(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / "truth", name, 255, 255, 0)
    save(tmp_path / "pred", "a", 1, 0, 0)
    options: dict[str, Any] = {"metrics": ["dice"], "catalogue": load_catalogue(), "labels": {"polyp": 1}}
    result = run(tmp_path, tmp_path / "pred", tmp_path / "truth", **options)
    assert result.table["value"].to_pylist() == [pytest.approx(2 / 3), None]
    save(tmp_path / "truth", "a", 0)
    assert statuses(run(tmp_path, tmp_path / "pred", tmp_path / "truth", **options))["b"] == {"missing"}


def test_other_names_for_the_same_values_are_another_revision(tmp_path: Path) -> None:
    predicted, truth = folders(tmp_path)

    def revision(labels: dict[str, int] | None) -> str:
        return run(tmp_path, predicted, truth, labels=labels).task.revision

    assert revision({"LV": 1, "RV": 2}) == revision({"RV": 2, "LV": 1})
    assert len({revision({"LV": 1, "RV": 2}), revision({"LV": 2, "RV": 1}), revision(None)}) == 3


@pytest.mark.parametrize("slices", [1, 12])
def test_negative_reference_values_are_background_and_said_to_be(tmp_path: Path, slices: int) -> None:
    truth = np.zeros((12, 12, slices), dtype=np.int16)
    truth[2:6, 2:6], truth[8:] = 1, -1
    predicted = np.maximum(truth, 0).astype(np.uint8)
    predicted[8:, 8:] = 1
    for part, array in (("truth", truth), ("pred", predicted)):
        (tmp_path / part).mkdir()
        write_raw(tmp_path / part / "c.nii.gz", array)
    p, t = predicted == 1, truth == 1
    options: dict[str, Any] = {"metrics": ["dice", "precision"], "catalogue": load_catalogue()}
    result = run(tmp_path, tmp_path / "pred", tmp_path / "truth", **options)
    assert result.table["value"].to_pylist() == pytest.approx([2 / 3, (p & t).sum() / p.sum()])
    (problem,) = result.problems
    assert problem.grave and problem.what.startswith(f"{48 * slices} voxels of the reference have negative values (-1)")
    left_out = run(tmp_path, tmp_path / "pred", tmp_path / "truth", ignore_label=-1, **options)
    assert left_out.table["value"].to_pylist() == [1.0, 1.0]
    assert left_out.complete and f"{48 * slices} of {144 * slices} voxels are left out" in what(left_out, "c")
    assert f"{48 * slices} voxels are left out" in what(left_out, "")
    truths = {one.table["truth"].to_pylist()[0] for one in (result, left_out)}
    assert len(truths) == 2  # scored against another truth


def test_distances_are_symmetric_where_a_header_contradicts_itself(tmp_path: Path) -> None:
    affine, mask = np.diag([0.8, 0.8, 2.5, 1.0]), np.zeros((24, 24, 24), np.uint8)
    mask[5:15, 6:16, 8:18] = 1
    odd = nibabel.Nifti1Image(mask, affine)
    odd.header["pixdim"][1:4], odd.header["qform_code"] = 1, 0
    for part, image in (("a", odd), ("b", nibabel.Nifti1Image(np.roll(mask, 2, 2), affine))):
        (tmp_path / part).mkdir()
        nibabel.save(image, tmp_path / part / "c.nii.gz")
    for first, second, who in (("a", "b", "prediction"), ("b", "a", "reference")):
        options: dict[str, Any] = {"metrics": ["hd"], "catalogue": load_catalogue()}
        result = run(tmp_path, tmp_path / first, tmp_path / second, **options)
        assert result.table["value"].to_pylist() == pytest.approx([5.0])  # two slices of 2.5 mm
        assert what(result, "c").startswith(f"{who} contradicts itself") and result.complete


def test_only_the_ignore_label_is_left_out(tmp_path: Path) -> None:
    truth = np.array([1, 1, 0, -1, 255, 255, -3, 0], dtype=np.int16).reshape(2, 2, 2)
    predicted = np.array([1, 0, 0, 1, 1, 1, 1, -1], dtype=np.int16).reshape(2, 2, 2)
    for part, array in (("truth", truth), ("pred", predicted)):
        (tmp_path / part).mkdir()
        write_raw(tmp_path / part / "c.nii.gz", array)
    options: dict[str, Any] = {"metrics": ["dice"], "catalogue": load_catalogue(), "ignore_label": 255}
    result = run(tmp_path, tmp_path / "pred", tmp_path / "truth", **options)
    assert result.table["value"].to_pylist() == pytest.approx([2 * 1 / (3 + 2)])
    said = what(result, "c")
    assert "2 voxels of the reference have negative values (-3, -1)" in said and "2 of 8 voxels are left out" in said
    assert "the prediction has unknown labels -1; they count as background" in said


def write_raw(path: Path, array: Any, affine: Any = None) -> None:
    nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 1, 2, 1]) if affine is None else affine), path)


def adversarial(tmp_path: Path) -> tuple[Path, Path]:
    """Return two folders in which only the case "good" is in order; each other is wrong as its name says."""
    predicted, truth = tmp_path / "pred", tmp_path / "truth"
    names = ("good", "corrupt", "truncated", "shape", "nan", "fourd", "floats", "nowhere", "empty_file", "folder")
    for name in (*names, "pred_empty", "truth_empty", "both_empty", "halves", "unknown", "badref", "spacing", "affine"):
        save(truth, name, 1, 1, 2)
        save(predicted, name, 1, 2, 2)
    whole = (predicted / "good.nii.gz").read_bytes()
    (predicted / "corrupt.nii.gz").write_bytes(whole[:60] + b"garbage" + whole[67:])
    (predicted / "truncated.nii.gz").write_bytes(whole[:-20])
    save(predicted, "shape", 1, 2, shape=(3, 4, 6))
    plain = volume(1, 2, 2).array.T
    write_raw(predicted / "nan.nii.gz", np.where(plain == 1, np.nan, plain).astype(np.float32))
    write_raw(predicted / "fourd.nii.gz", np.stack([plain, plain], axis=-1))
    write_raw(predicted / "floats.nii.gz", plain.astype(np.float32))
    write_raw(predicted / "halves.nii.gz", plain.astype(np.float32) / 2)
    write_raw(predicted / "spacing.nii.gz", plain, np.diag([1.0, 1, 2.5, 1]))
    write_raw(predicted / "affine.nii.gz", plain, np.array([[1, 0, 0, 9], [0, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1.0]]))
    (predicted / "nowhere.nii.gz").unlink()
    (predicted / "nowhere.nii.gz").symlink_to(tmp_path / "gone.nii.gz")
    (predicted / "empty_file.nii.gz").write_bytes(b"")
    (predicted / "folder.nii.gz").unlink()
    (predicted / "folder.nii.gz").mkdir()
    save(predicted, "pred_empty")
    save(truth, "truth_empty")
    save(predicted, "both_empty")
    save(truth, "both_empty")
    save(predicted, "unknown", 1, 2, 2, 77)
    (truth / "badref.nii.gz").write_bytes(b"not an image at all")
    save(predicted, "extra", 1)
    return predicted, truth


FAILED = ("corrupt", "truncated", "shape", "nan", "fourd", "halves", "nowhere", "empty_file", "folder", "badref")


@pytest.mark.parametrize("jobs", [1, 2])
def test_adversarial_folder(tmp_path: Path, jobs: int) -> None:
    predicted, truth = adversarial(tmp_path)
    catalogue = load_catalogue()
    result = run(tmp_path, predicted, truth, jobs=jobs, catalogue=catalogue, metrics=["dice"])
    found = statuses(result)
    for name in (*FAILED, "spacing", "affine"):
        assert found[name] == {"failed"}, name
        assert what(result, name), name
    assert found["good"] == found["floats"] == found["unknown"] == {"ok"}
    assert found["pred_empty"] == {"pred_empty"} and found["truth_empty"] == {"truth_empty"}
    assert found["both_empty"] == {"both_empty"}
    assert "77" in what(result, "unknown")
    assert any(problem.kind == "extra" for problem in result.problems)
    assert result.table.num_rows == 18 * 2
    tolerant = run(tmp_path, predicted, truth, geometry="tolerant", catalogue=catalogue, metrics=["dice"])
    assert statuses(tolerant)["affine"] == {"ok"} and statuses(tolerant)["spacing"] == {"failed"}
    resampled = run(tmp_path, predicted, truth, geometry="resample", catalogue=catalogue, metrics=["dice"])
    assert statuses(resampled)["spacing"] == {"ok"} and "nearest" in what(resampled, "shape")


def test_permission_denied_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predicted, truth = folders(tmp_path)
    (predicted / "c1.nii.gz").chmod(0)
    if os.access(predicted / "c1.nii.gz", os.R_OK):  # root may read everything
        opened = Path.open

        def refuse(self: Path, *arguments: Any, **options: Any) -> Any:
            if self == predicted / "c1.nii.gz":
                raise PermissionError(13, "Permission denied", str(self))
            return opened(self, *arguments, **options)

        monkeypatch.setattr(Path, "open", refuse)
    result = run(tmp_path, predicted, truth)
    assert statuses(result) == {"c0": {"ok"}, "c1": {"failed"}, "c2": {"ok"}}
    assert "ermission" in what(result, "c1")


def test_random_corruption_never_ends_in_a_traceback(tmp_path: Path) -> None:
    predicted, truth = folders(tmp_path, 1)
    drawn = np.random.default_rng(0)
    raw = bytearray((predicted / "c0.nii.gz").read_bytes())
    for index in range(40):
        save(truth, f"r{index}", 1, 1, 2)
        broken = bytearray(raw)
        for _ in range(int(drawn.integers(1, 4))):
            broken[int(drawn.integers(len(raw)))] = int(drawn.integers(256))
        (predicted / f"r{index}.nii.gz").write_bytes(broken[: int(drawn.integers(1, len(raw) + 1))])
    result = run(tmp_path, predicted, truth, metrics=["volume"])
    found = statuses(result)
    assert len(found) == 41 and found["c0"] == {"ok"}
    assert all(what(result, case) for case, some in found.items() if "failed" in some)


def test_raters_have_rows_of_their_own(tmp_path: Path) -> None:
    save(tmp_path / "truth" / "anna", "a", 1, 2)
    save(tmp_path / "truth" / "ben", "a", 1, 1, 2)
    save(tmp_path / "pred", "a", 1, 2)
    rows = run(tmp_path, tmp_path / "pred", tmp_path / "truth", layout="raters").table.to_pylist()
    assert [(row["rater"], row["label_name"], row["value"]) for row in rows] == [
        ("anna", "1", 0.0),
        ("anna", "2", 0.0),
        ("ben", "1", -1.0),
        ("ben", "2", 0.0),
    ]


def test_real_hippocampi_score_perfectly_against_themselves(real_data: Path, tmp_path: Path) -> None:
    task = real_data / "msd_hippocampus" / "Task04_Hippocampus"
    few = tmp_path / "pred"
    few.mkdir()
    for path in sorted((task / "labelsTr").glob("hippocampus_00*.nii.gz")):
        (few / path.name).symlink_to(path)
    result = run(tmp_path, few, task, on_missing="skip", catalogue=load_catalogue(), metrics=["dice", "assd"])
    values = {(row["metric"], row["label_name"]): set() for row in result.table.to_pylist()}
    for row in result.table.to_pylist():
        values[row["metric"], row["label_name"]].add(row["value"])
    assert values == {
        (metric, label): {perfect}
        for metric, perfect in (("dice", 1.0), ("assd", 0.0))
        for label in ("Anterior", "Posterior")
    }


# ------------------------------------------------------------------------------------- interruption and dead workers


def test_done_cases_are_not_computed_again(tmp_path: Path) -> None:
    predicted, truth = folders(tmp_path, 5)
    seen: list[str] = []

    def stop_after_two(done: int, total: int, case: str) -> None:
        seen.append(case)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, predicted, truth, progress=stop_after_two)
    with pytest.raises(DataMissing, match="no finished run"):
        read_scores(tmp_path / "results")
    (journal,) = (tmp_path / "results").rglob("journal.jsonl")
    journal.write_text(journal.read_text() + '{"case": 4, "scores": [[0, "1", 1, ')  # cut off by a kill
    again: list[str] = []
    result = run(tmp_path, predicted, truth, progress=lambda done, total, case: again.append(case))
    assert again == ["c2", "c3", "c4"]
    whole = run(tmp_path / "other", predicted, truth)
    assert result.table.equals(whole.table) and not journal.exists()


def test_a_damaged_journal_is_never_believed(tmp_path: Path) -> None:
    """Every flip in it: the outcome of a case is as it was written, or the case is computed again."""
    outcome = Outcome([(0, "1", 1, 0.5, "ok")], (), truth="t", unit="mm")
    with Journal(tmp_path, 2, "key") as journal:
        journal.add(0, outcome)
        journal.add(1, outcome)
    content = journal.path.read_bytes()
    known, seen = Journal(tmp_path, 2, "key").done, 0
    assert list(known) == [0, 1]
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        journal.path.write_bytes(flipped)
        found = Journal(tmp_path, 2, "key").done
        assert all(found[index] == known[index] for index in found), f"bit {bit}"
        seen += len(found) < 2
    assert seen > 0.99 * 8 * len(content)  # the rest ends lines in other ways


PLUGIN = """
import time
from dataclasses import dataclass
from segbench import Metric, Score, hookimpl

@dataclass
class Slow(Metric):
    name = "slow"
    summary = "takes its time"
    default = True
    def score(self, predicted, truth, task):
        if truth.array.size > 8:
            time.sleep(0.15)
        return [Score(one, float(predicted.mask(one).sum())) for one in task.structures]

@hookimpl
def segbench_metrics():
    return [Slow]
"""


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_resumes_after_kill_nine(tmp_path: Path, jobs: int) -> None:
    predicted, truth = folders(tmp_path, 24)
    plugin = tmp_path / "slow_plugin.py"
    plugin.write_text(PLUGIN)
    command = [sys.executable, "-m", "segbench", "evaluate", str(predicted), str(truth), "--name", "m"]
    command += ["--dataset", "toy", "--metrics", "slow", "--plugin", str(plugin), "--jobs", str(jobs)]
    command += ["--results", str(tmp_path / "results")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while _lines(tmp_path) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    done = _lines(tmp_path)
    assert 4 <= done < 24
    begun = time.monotonic()
    again = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60, check=True)
    assert time.monotonic() - begun < 60
    document = json.loads(again.stdout)
    assert document["complete"] and document["cases"] == 24
    values = read_scores(tmp_path / "results").column("value").to_pylist()
    assert values == [1.0, 2.0] * 24


@pytest.mark.slow
def test_an_interrupt_says_that_the_command_resumes(tmp_path: Path) -> None:
    predicted, truth = folders(tmp_path, 40)
    plugin = tmp_path / "slow_plugin.py"
    plugin.write_text(PLUGIN)
    code = (
        f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"from segbench.cli import app\n"
        f"app(['evaluate', {str(predicted)!r}, {str(truth)!r}, '--name', 'm', '--dataset', 'toy', '--plugin',"
        f" {str(plugin)!r}, '--metrics', 'slow', '--results', {str(tmp_path / 'results')!r}])"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while _lines(tmp_path) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and b"the same command resumes" in errors


def test_a_damaged_record_is_made_again(tmp_path: Path) -> None:
    predicted, truth = folders(tmp_path)
    first = run(tmp_path, predicted, truth)
    for damage in ("{", '{"retry": false}'):
        (first.folder / "run.json").write_text(damage)
        again = run(tmp_path, predicted, truth)
        assert not again.reused and again.table.equals(first.table)
    (first.folder / "scores.parquet").write_bytes(b"PAR1")
    assert not run(tmp_path, predicted, truth).reused


def _lines(tmp_path: Path) -> int:
    journals = list((tmp_path / "results").rglob("journal.jsonl"))
    return len(journals[0].read_text().splitlines()) if journals else 0


def test_a_worker_that_dies_takes_one_case_with_it(tmp_path: Path) -> None:
    predicted, truth = folders(tmp_path, 6)
    save(truth, "c3", 5)
    plugin = tmp_path / "deadly_plugin.py"
    plugin.write_text(
        PLUGIN.replace("if truth.array.size > 8:", "if (truth.array == 5).any():").replace(
            "time.sleep(0.15)", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
        )
    )
    result = run(tmp_path, predicted, truth, jobs=2, catalogue=load_catalogue([plugin]), metrics=["slow"])
    found = statuses(result)
    assert found.pop("c3") == {"failed"} and "died" in what(result, "c3")
    assert set(found) == {"c0", "c1", "c2", "c4", "c5"} and all(some == {"ok"} for some in found.values())
    assert json.loads((result.folder / "run.json").read_text())["retry"]
    again: list[str] = []
    run(
        tmp_path,
        predicted,
        truth,
        jobs=2,
        catalogue=load_catalogue([plugin]),
        metrics=["slow"],
        progress=lambda done, total, case: again.append(case),
    )
    assert again == ["c3"]


def test_memory_running_out_fails_the_case_only(tmp_path: Path) -> None:
    predicted, truth = folders(tmp_path, 2)
    result = run(tmp_path, predicted, truth, catalogue=toys(Volume, Greedy), metrics=["volume", "greedy"])
    rows = result.table.to_pylist()
    assert {row["status"] for row in rows if row["metric"] == "greedy"} == {"failed"}
    assert {row["status"] for row in rows if row["metric"] == "volume"} == {"ok"}
