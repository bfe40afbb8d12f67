"""Layouts: which prediction belongs to which reference, and that everything odd is named."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from segbench.errors import DataInvalid, DataMissing, UsageError
from segbench.evaluation.layouts import Layout, find_pairs
from segbench.files.filenames import bare, case_name, content_hash, entities, stem


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def declare(folder: Path, **content: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(content))


def paired(found: Layout) -> dict[str, str | None]:
    return {pair.case: pair.predicted.name if pair.predicted else None for pair in found.pairs}


def kinds(found: Layout) -> set[tuple[str, str]]:
    return {(problem.case, problem.kind) for problem in found.problems}


def test_names() -> None:
    assert stem(Path("a.b/case.1.nii.gz")) == "case.1"
    assert stem(Path("x.MHA")) == "x"
    assert stem(Path("summary.json")) == ""
    assert bare("case_1_pred") == "case_1"
    assert bare("case-seg") == "case"
    assert bare("case_0000") == "case_0000"
    assert bare("case_0000", channel=True) == "case"
    assert bare("seg") == "seg"
    assert case_name("patient 1") != case_name("patient_1")
    assert case_name("../../etc/passwd").startswith("etc_passwd@")
    assert entities("sub-01_ses-2_space-T1w_desc-manual_dseg") == "sub-01_ses-2"


def test_plain_folders_pair_by_name_and_name_the_rest(tmp_path: Path) -> None:
    truth = touch(tmp_path / "truth", "a.nii.gz", "b.nii.gz", "c.nii.gz", "._a.nii.gz", ".DS_Store", "notes.txt")
    predicted = touch(tmp_path / "pred", "a.nii.gz", "b.mha", "extra.nii.gz", "_hidden.nii.gz")
    found = find_pairs(predicted, truth)
    assert paired(found) == {"a": "a.nii.gz", "b": "b.mha", "c": None}
    assert kinds(found) == {("c", "missing"), ("extra.nii.gz", "extra")}


def test_suffixes_are_dropped_only_where_names_differ(tmp_path: Path) -> None:
    truth = touch(tmp_path / "truth", "a_seg.nii.gz", "b_gt.nii.gz", "c.nii.gz", "d_seg.nii.gz")
    predicted = touch(tmp_path / "pred", "a_pred.nii.gz", "b.nii.gz", "c_0000.nii.gz", "d_seg.nii.gz", "d_pred.nii.gz")
    found = find_pairs(predicted, truth)
    assert paired(found) == {"a": "a_pred.nii.gz", "b": "b.nii.gz", "c": "c_0000.nii.gz", "d_seg": "d_seg.nii.gz"}
    assert kinds(found) == {("d_pred.nii.gz", "extra")}


def test_images_beside_segmentations_are_left_out(tmp_path: Path) -> None:
    names = [f"Case0{index}{part}.mhd" for index in range(3) for part in ("", "_segmentation")]
    truth = touch(tmp_path / "truth", *names, "Case00.raw")
    predicted = touch(tmp_path / "pred", "Case00.nii.gz", "Case01.nii.gz", "Case02.nii.gz")
    found = find_pairs(predicted, truth)
    assert list(paired(found)) == ["Case00", "Case01", "Case02"]
    assert all(pair.truth.name.endswith("_segmentation.mhd") for pair in found.pairs)
    assert any("3 files were taken for images" in problem.what for problem in found.problems)


def test_ambiguous_files_are_a_fault_of_their_case_alone(tmp_path: Path) -> None:
    truth = touch(tmp_path / "truth", "a.nii.gz", "b.nii.gz", "c.nii.gz", "c.mha")
    predicted = touch(tmp_path / "pred", "a.nii", "a.nii.gz", "b.nii.gz", "c.nii.gz")
    found = find_pairs(predicted, truth)
    assert paired(found) == {"a": None, "b": "b.nii.gz", "c": None}
    assert {pair.case: "claim" in pair.fault for pair in found.pairs} == {"a": True, "b": False, "c": True}
    assert kinds(found) == {("a", "failed"), ("c", "failed")}


def test_two_references_of_one_case(tmp_path: Path) -> None:
    truth = touch(tmp_path / "truth", "a_seg.nii.gz", "a_gt.nii.gz", "b.nii.gz")
    found = find_pairs(touch(tmp_path / "pred", "a.nii.gz", "b.nii.gz"), truth)
    assert paired(found) == {"a": None, "b": "b.nii.gz"}
    assert ("a", "failed") in kinds(found)


def test_links_and_special_files(tmp_path: Path) -> None:
    truth = touch(tmp_path / "truth", "a.nii.gz", "b.nii.gz", "c.nii.gz", "d.nii.gz", "e.nii.gz")
    predicted = touch(tmp_path / "pred", "a.nii.gz")
    (predicted / "b.nii.gz").symlink_to(truth / "b.nii.gz")
    (predicted / "c.nii.gz").symlink_to(tmp_path / "nowhere")
    (predicted / "d.nii.gz").symlink_to(predicted / "d.nii.gz")
    (predicted / "loop").symlink_to(predicted)
    os.mkfifo(predicted / "e.nii.gz")
    found = find_pairs(predicted, truth)
    assert paired(found) == {"a": "a.nii.gz", "b": "b.nii.gz", "c": None, "d": None, "e": None}
    assert {case for case, kind in kinds(found) if kind == "failed"} == {"c", "d", "e"}


def test_unsafe_names_are_cleaned_and_said(tmp_path: Path) -> None:
    truth = touch(tmp_path / "truth", "patient 1.nii.gz", "ok.nii.gz", "[red]x.nii.gz")
    found = find_pairs(touch(tmp_path / "pred", "patient 1.nii.gz", "ok.nii.gz", "[red]x.nii.gz"), truth)
    assert all(pair.predicted for pair in found.pairs)
    assert all(case_name(pair.case) == pair.case for pair in found.pairs)
    assert len([problem for problem in found.problems if problem.kind == "note"]) == 2


def test_one_folder_per_case(tmp_path: Path) -> None:
    truth = touch(tmp_path / "truth", "p1/GT.nii.gz", "p2/GT.nii.gz")
    found = find_pairs(touch(tmp_path / "pred", "p1.nii.gz", "p2/out.nii.gz"), truth)
    assert paired(found) == {"p1": "p1.nii.gz", "p2": None}
    found = find_pairs(touch(tmp_path / "pred2", "p1/out.nii.gz", "p2/out.nii.gz"), truth)
    assert paired(found) == {"p1": "out.nii.gz", "p2": "out.nii.gz"}


def test_decathlon(tmp_path: Path) -> None:
    task = touch(tmp_path / "Task04_X", "labelsTr/x_1.nii.gz", "labelsTr/x_2.nii.gz", "labelsTr/._x_1.nii.gz")
    declare(task, labels={"0": "background", "1": "Anterior", "2": "Posterior"}, modality={"0": "MRI"})
    predicted = touch(tmp_path / "pred", "x_1.nii.gz", "x_2.nii.gz")
    for references in (task, task / "labelsTr"):
        found = find_pairs(predicted, references)
        assert "Decathlon" in found.words
        assert found.declaration.structures == {"Anterior": (1,), "Posterior": (2,)}
        assert paired(found) == {"x_1": "x_1.nii.gz", "x_2": "x_2.nii.gz"}


def nnunet(tmp_path: Path) -> tuple[Path, Path]:
    raw = touch(tmp_path / "Dataset001_X", *(f"labelsTr/c{index}.nii.gz" for index in range(6)), "labelsTs/t0.nii.gz")
    content = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "ignore": 4}
    declare(raw, labels=content, channel_names={"0": "T1"}, file_ending=".nii.gz")
    trainer = tmp_path / "results" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    for fold in range(2):
        names = [f"fold_{fold}/validation/c{index}.nii.gz" for index in range(fold * 3, fold * 3 + 2)]
        touch(trainer, *names, f"fold_{fold}/validation/summary.json", f"fold_{fold}/validation/c0.npz")
    return raw, trainer


def test_nnunet_regions_and_folds(tmp_path: Path) -> None:
    raw, trainer = nnunet(tmp_path)
    found = find_pairs(trainer / "fold_0" / "validation", raw)
    assert found.declaration.structures == {"whole": (1, 2, 3), "core": (2, 3)}
    assert found.declaration.ignore == 4
    assert list(paired(found)) == ["c0", "c1"]
    assert "cannot be noticed" in found.words
    assert list(paired(find_pairs(trainer / "fold_1", raw / "labelsTr"))) == ["c3", "c4"]
    assert list(paired(find_pairs(trainer, raw))) == ["c0", "c1", "c3", "c4"]


def test_nnunet_splits_tell_missing_cases(tmp_path: Path) -> None:
    raw, trainer = nnunet(tmp_path)
    (trainer / "fold_0" / "validation" / "summary.json").unlink()
    (raw / "splits_final.json").write_text(json.dumps([{"train": [], "val": ["c0", "c1", "c2"]}]))
    found = find_pairs(trainer / "fold_0" / "validation", raw)
    assert paired(found) == {"c0": "c0.nii.gz", "c1": "c1.nii.gz", "c2": None}
    assert kinds(found) == {("c2", "missing")}
    assert "splits_final.json" in found.words


def test_nnunet_test_set_is_chosen_by_the_predictions(tmp_path: Path) -> None:
    raw, _ = nnunet(tmp_path)
    assert list(paired(find_pairs(touch(tmp_path / "pred", "t0.nii.gz"), raw))) == ["t0"]


def test_nnunet_dataset_map(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    listed = {"a": {"images": ["x.nii.gz"], "label": "elsewhere/a_label.nii.gz"}}
    declare(raw, labels={"background": 0, "organ": 1}, channel_names={"0": "CT"}, dataset=listed)
    touch(raw, "elsewhere/a_label.nii.gz")
    found = find_pairs(touch(tmp_path / "pred", "a.nii.gz"), raw)
    assert found.pairs[0].truth.name == "a_label.nii.gz" and found.pairs[0].predicted


@pytest.mark.parametrize("text", ["{", "[]", '{"labels": 3}', '{"labels": {"x": "y"}}', '{"labels": {"x": -2}}'])
def test_broken_dataset_json_is_named_and_not_fatal(tmp_path: Path, text: str) -> None:
    truth = touch(tmp_path / "truth", "a.nii.gz")
    (truth / "dataset.json").write_text(text)
    found = find_pairs(touch(tmp_path / "pred", "a.nii.gz"), truth)
    assert paired(found) == {"a": "a.nii.gz"}
    assert [problem.kind for problem in found.problems] == ["failed"]


def test_bids_derivatives(tmp_path: Path) -> None:
    names = [f"sub-0{index}/ses-1/anat/sub-0{index}_ses-1_desc-manual_dseg.nii.gz" for index in (1, 2)]
    truth = touch(tmp_path / "deriv", *names, "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz")
    (truth / "dseg.tsv").write_text("index\tname\n0\tBackground\n1\tGM\n2\tWM\n")
    predicted = touch(tmp_path / "pred", "sub-01/anat/sub-01_ses-1_desc-net_dseg.nii.gz", "sub-02_ses-1_pred.nii.gz")
    found = find_pairs(predicted, truth)
    assert "BIDS" in found.words
    assert [(pair.case, pair.group, bool(pair.predicted)) for pair in found.pairs] == [
        ("sub-01_ses-1", "sub-01", True),
        ("sub-02_ses-1", "sub-02", True),
    ]
    assert found.declaration.structures == {"GM": (1,), "WM": (2,)}
    (truth / "dseg.tsv").write_text("number\tname\n1\tGM\n")
    with pytest.raises(DataInvalid, match="index"):
        find_pairs(predicted, truth)


def test_raters(tmp_path: Path) -> None:
    truth = touch(tmp_path / "truth", "anna/a.nii.gz", "anna/b.nii.gz", "ben/a.nii.gz")
    found = find_pairs(touch(tmp_path / "pred", "a.nii.gz", "x.nii.gz"), truth, "raters")
    assert [(pair.case, pair.rater, bool(pair.predicted)) for pair in found.pairs] == [
        ("a", "anna", True),
        ("a", "ben", True),
        ("b", "anna", False),
    ]
    assert kinds(found) == {("b", "missing"), ("x.nii.gz", "extra")}
    assert "2 raters" in found.words
    plain = find_pairs(touch(tmp_path / "pred", "b.nii.gz"), truth)
    assert "say --raters" in {pair.case: pair.fault for pair in plain.pairs}["a"]


def test_single_files(tmp_path: Path) -> None:
    folder = touch(tmp_path, "p/out.nii.gz", "r/ref_seg.nii.gz", "p/ref.nii.gz")
    found = find_pairs(folder / "p/out.nii.gz", folder / "r/ref_seg.nii.gz")
    assert paired(found) == {"ref": "out.nii.gz"}
    assert paired(find_pairs(folder / "p", folder / "r/ref_seg.nii.gz")) == {"ref": "ref.nii.gz"}
    with pytest.raises(UsageError, match="one reference file"):
        find_pairs(folder / "p/out.nii.gz", folder / "r")


def test_nothing_to_do(tmp_path: Path) -> None:
    full, empty = touch(tmp_path / "full", "a.nii.gz"), touch(tmp_path / "empty")
    for predictions, references in ((full, tmp_path / "no"), (tmp_path / "no", full), (full, empty), (empty, full)):
        with pytest.raises(DataMissing):
            find_pairs(predictions, references)
    with pytest.raises(DataMissing, match=r"References are called a\.nii\.gz"):
        find_pairs(touch(tmp_path / "other", "b.nii.gz"), full)
    with pytest.raises(UsageError, match="expected one of auto"):
        find_pairs(full, full, "flat")  # type: ignore[arg-type]


def test_an_empty_folder_is_blamed_on_itself(tmp_path: Path) -> None:
    full, empty = touch(tmp_path / "full", "a.nii.gz"), touch(tmp_path / "empty")
    with pytest.raises(DataMissing, match=r"No predictions: expected label maps in .*empty, found an empty folder"):
        find_pairs(empty, full)
    with pytest.raises(DataMissing, match=r"No references: expected label maps in .*empty, found an empty folder"):
        find_pairs(full, empty)
    touch(empty, "slices/IM1.ima", "slices/IM2.ima", "notes.txt")
    with pytest.raises(DataMissing, match=r"No predictions: .* found 3 files that are none \(notes\.txt, slices/IM1"):
        find_pairs(empty, full)


def test_files_that_nobody_reads_are_said(tmp_path: Path) -> None:
    truth = touch(tmp_path / "truth", "a.nii.gz", "b.mhd", "b.raw", "README.md", "LICENSE", "dataset.json.bak")
    predicted = touch(
        tmp_path / "pred",
        *("a.nii.gz", "b.nii.gz", "c.stl", "d.npy", "e.jpg", "plans.json", "a.pkl", "IM0001", ".x.dcm"),
    )
    found = find_pairs(predicted, truth)
    said = [problem.what for problem in found.problems]
    assert said == [
        "predictions: 4 files are of no format that is read (.jpg, .npy, .stl, without an ending): IM0001, c.stl, "
        "d.npy, e.jpg",
        "references: 1 file is of no format that is read (.bak): dataset.json.bak",
    ]
    assert {problem.kind for problem in found.problems} == {"note"}


def test_content_hash_covers_the_voxel_file(tmp_path: Path) -> None:
    touch(tmp_path, "a.mhd", "a.raw")
    first = content_hash(tmp_path / "a.mhd")
    (tmp_path / "a.raw").write_bytes(b"other voxels")
    assert content_hash(tmp_path / "a.mhd") != first
    assert content_hash(tmp_path / "none.mhd") == "unreadable"
