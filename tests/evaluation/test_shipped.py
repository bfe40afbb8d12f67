"""Folders as data sets ship them and as tools write them: what is taken, what is left, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segbench.errors import DataInvalid, DataMissing, UsageError
from segbench.evaluation.folders import EvaluationResult, evaluate
from segbench.evaluation.layouts import Layout, find_pairs
from segbench.files.images import write_label_map
from segbench.host import load_catalogue
from segbench.types import LabelMap

CATALOGUE = load_catalogue()


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def paired(found: Layout, root: Path) -> dict[str, tuple[str, str | None]]:
    return {
        pair.case: (
            str(pair.truth.relative_to(root / "ref")),
            str(pair.predicted.relative_to(root / "pred")) if pair.predicted else None,
        )
        for pair in found.pairs
    }


def said(found: Layout) -> str:
    return " | ".join(f"{one.kind} {one.case}: {one.what}" for one in found.problems)


IMAGES = ("t1c", "t1n", "t2f", "t2w")
SHIPPED: dict[str, tuple[list[str], list[str], dict[str, tuple[str, str]], int]] = {
    "BraTS 2023": (
        [f"B-{case}/B-{case}-{kind}.nii.gz" for case in "12" for kind in (*IMAGES, "seg")],
        ["B-1.nii.gz", "B-2.nii.gz"],
        {f"B-{case}": (f"B-{case}/B-{case}-seg.nii.gz", f"B-{case}.nii.gz") for case in "12"},
        8,
    ),
    "BraTS 2020, one case": (
        [f"MICCAI/HGG/B_1/B_1_{kind}.nii" for kind in ("flair", "t1", "t1ce", "t2", "seg")],
        ["B_1.nii.gz"],
        {"B_1": ("MICCAI/HGG/B_1/B_1_seg.nii", "B_1.nii.gz")},
        4,
    ),
    "BraTS, predictions in folders": (
        [f"B-{case}/B-{case}-{kind}.nii.gz" for case in "12" for kind in (*IMAGES, "seg")],
        [f"B-{case}/prediction.nii.gz" for case in "12"],
        {f"B-{case}": (f"B-{case}/B-{case}-seg.nii.gz", f"B-{case}/prediction.nii.gz") for case in "12"},
        8,
    ),
    "ACDC": (
        [
            f"training/patient00{case}/patient00{case}_{kind}.nii.gz"
            for case in "12"
            for kind in ("4d", "frame01", "frame01_gt", "frame12", "frame12_gt")
        ],
        [f"patient00{case}_frame{frame}.nii.gz" for case in "12" for frame in ("01", "12")],
        {
            f"patient00{case}_frame{frame}": (
                f"training/patient00{case}/patient00{case}_frame{frame}_gt.nii.gz",
                f"patient00{case}_frame{frame}.nii.gz",
            )
            for case in "12"
            for frame in ("01", "12")
        },
        6,
    ),
    "KiTS": (
        [f"case_0000{case}/{kind}.nii.gz" for case in "01" for kind in ("imaging", "segmentation")],
        ["prediction_00000.nii.gz", "prediction_00001.nii.gz"],
        {f"case_0000{one}": (f"case_0000{one}/segmentation.nii.gz", f"prediction_0000{one}.nii.gz") for one in "01"},
        2,
    ),
    "KiTS 2021, one case": (
        [
            *(f"case_00000/{kind}.nii.gz" for kind in ("imaging", "aggregated_AND_seg", "aggregated_MAJ_seg")),
            *(f"case_00000/segmentations/kidney_instance-{one}_annotation-1.nii.gz" for one in "12"),
        ],
        ["case_00000.nii.gz"],
        {"case_00000": ("case_00000/aggregated_MAJ_seg.nii.gz", "case_00000.nii.gz")},
        2,
    ),
    "SegTHOR": (
        [f"Patient_0{case}/{kind}.nii.gz" for case in "12" for kind in (f"Patient_0{case}", "GT")],
        [f"Patient_0{case}.nii.gz" for case in "12"],
        {f"Patient_0{case}": (f"Patient_0{case}/GT.nii.gz", f"Patient_0{case}.nii.gz") for case in "12"},
        2,
    ),
    "MRBrainS": (
        [f"{case}/{kind}.nii" for case in "12" for kind in ("T1", "T1_IR", "T2_FLAIR", "LabelsForTraining")],
        ["1.nii.gz", "2.nii.gz"],
        {case: (f"{case}/LabelsForTraining.nii", f"{case}.nii.gz") for case in "12"},
        6,
    ),
    "MONAI, separate folders": (
        ["spleen_1.nii.gz", "spleen_2.nii.gz"],
        [f"spleen_{case}/spleen_{case}_trans.nii.gz" for case in "12"],
        {f"spleen_{case}": (f"spleen_{case}.nii.gz", f"spleen_{case}/spleen_{case}_trans.nii.gz") for case in "12"},
        0,
    ),
    "MONAI, one folder": (
        ["a.nii.gz", "b.nii.gz"],
        ["a_trans.nii.gz", "b_0000_trans.nii.gz"],
        {"a": ("a.nii.gz", "a_trans.nii.gz"), "b": ("b.nii.gz", "b_0000_trans.nii.gz")},
        0,
    ),
    "MONAI, one name in every folder": (
        ["a.nii.gz", "b.nii.gz"],
        ["a/img_trans.nii.gz", "b/img_trans.nii.gz"],
        {"a": ("a.nii.gz", "a/img_trans.nii.gz"), "b": ("b.nii.gz", "b/img_trans.nii.gz")},
        0,
    ),
    "BTCV": (
        ["label0001.nii.gz", "label0002.nii.gz"],
        ["img0001.nii.gz", "img0002.nii.gz"],
        {f"label000{one}": (f"label000{one}.nii.gz", f"img000{one}.nii.gz") for one in "12"},
        0,
    ),
    "references named as images": (
        ["a_0000.nii.gz", "b_0000.nii.gz"],
        ["a.nii.gz", "b_0000.nii.gz"],
        {"a": ("a_0000.nii.gz", "a.nii.gz"), "b_0000": ("b_0000.nii.gz", "b_0000.nii.gz")},
        0,
    ),
    "deep": (
        [f"site{site}/p{case}/visit/label.nii.gz" for site, case in ("11", "12", "23")],
        [f"site{site}/p{case}/visit/out.nii.gz" for site, case in ("11", "12", "23")],
        {},
        0,
    ),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_cases_as_they_are_shipped(name: str, tmp_path: Path) -> None:
    references, predictions, expected, images = SHIPPED[name]
    touch(tmp_path / "ref", *references)
    touch(tmp_path / "pred", *predictions)
    found = find_pairs(tmp_path / "pred", tmp_path / "ref")
    if expected:
        assert paired(found, tmp_path) == expected
    assert all(pair.predicted for pair in found.pairs) and len(found.pairs) == len(expected or references)
    assert {problem.kind for problem in found.problems} <= {"note"}, said(found)
    assert (f"{images} files" in said(found)) == bool(images), said(found)


def test_one_name_at_several_sites(tmp_path: Path) -> None:
    touch(tmp_path / "ref", "north/p1/seg.nii.gz", "south/p1/seg.nii.gz")
    touch(tmp_path / "pred", "north/p1/out.nii.gz", "south/p1/out.nii.gz")
    found = find_pairs(tmp_path / "pred", tmp_path / "ref")
    assert sorted(paired(found, tmp_path)) == ["north_p1", "south_p1"] and not found.problems


def test_images_are_no_references(tmp_path: Path) -> None:
    touch(tmp_path / "ref", "a_0000.nii.gz", "a_0001.nii.gz")
    with pytest.raises(DataInvalid, match="names the channels of an image"):
        find_pairs(touch(tmp_path / "pred", "a.nii.gz"), tmp_path / "ref")


def test_numbers_pair_only_what_is_unique(tmp_path: Path) -> None:
    touch(tmp_path / "ref", "label0001.nii.gz", "label0002.nii.gz")
    touch(tmp_path / "pred", "img0001.nii.gz", "pred0001.nii.gz")
    with pytest.raises(DataMissing, match="No prediction"):
        find_pairs(tmp_path / "pred", tmp_path / "ref")
    (tmp_path / "pred" / "pred0001.nii.gz").unlink()
    found = find_pairs(tmp_path / "pred", tmp_path / "ref")
    assert "1 cases are paired by their number, such as label0001.nii.gz with img0001.nii.gz" in said(found)


ORGANS = ("liver", "spleen", "aorta")


def mask(*box: tuple[int, int]) -> np.ndarray:
    array = np.zeros((6, 8, 10), dtype=np.uint8)
    array[tuple(slice(*edges) for edges in box)] = 1
    return array


def save(path: Path, array: np.ndarray, spacing: tuple[float, ...] = (2.0, 1.0, 1.0)) -> None:
    write_label_map(path, LabelMap(array, spacing))


def organs(folder: Path, case: str, shift: int = 0, inner: str = "") -> None:
    for index, organ in enumerate(ORGANS):
        save(folder / case / inner / f"{organ}.nii.gz", mask((1, 4), (2, 6), (3 * index, 3 * index + 2 + shift)))


def scored(root: Path, **others: Any) -> EvaluationResult:
    given = {"name": "m", "dataset": "d", "metrics": ["dice", "hd"], "results": root / "r", "catalogue": CATALOGUE}
    return evaluate(root / "pred", root / "ref", **(given | others))


def dices(result: EvaluationResult) -> dict[tuple[str, str], Any]:
    rows = result.table.to_pylist()
    return {(row["case_id"], row["label_name"]): row["value"] for row in rows if row["metric"] == "dice"}


@pytest.mark.parametrize("inner", ["", "segmentations"])
def test_one_file_per_structure(tmp_path: Path, inner: str) -> None:
    """TotalSegmentator's data set has ``s0001/ct.nii.gz`` and ``s0001/segmentations/``; its output is flatter."""
    for case in ("s0001", "s0002"):
        organs(tmp_path / "ref", case, inner=inner)
        organs(tmp_path / "pred", case, shift=1)
        touch(tmp_path / "ref", f"{case}/ct.nii.gz")
    (tmp_path / "pred" / "s0002" / "liver.nii.gz").unlink()
    save(tmp_path / "pred" / "s0001" / "bone.nii.gz", mask((0, 1), (0, 1), (0, 1)))
    result = scored(tmp_path)
    expected = {("s0001", organ): 2 * 2 / (2 + 3) for organ in ORGANS} | {("s0002", organ): 0.8 for organ in ORGANS}
    assert dices(result) == pytest.approx(expected | {("s0002", "liver"): 0.0})
    assert "one file per structure (aorta, liver, spleen)" in result.layout
    kinds = {(problem.case, problem.kind) for problem in result.problems}
    assert kinds == {("s0002", "missing"), ("", "note")}
    assert {row["status"] for row in result.table.to_pylist() if row["label_name"] == "liver"} == {"ok", "pred_empty"}
    assert scored(tmp_path).reused
    only = scored(tmp_path, labels=["spleen"])
    assert dices(only) == pytest.approx({("s0001", "spleen"): 0.8, ("s0002", "spleen"): 0.8})
    save(tmp_path / "pred" / "s0001" / "aorta.nii.gz", mask((0, 1), (0, 1), (0, 1)))
    assert scored(tmp_path).run_id != result.run_id


def test_structures_that_overlap(tmp_path: Path) -> None:
    """Each structure is what its own file says, whatever others lie upon it, in the same voxels or in other ones."""
    random = np.random.default_rng(0)
    masks = {part: {organ: random.random((6, 8, 10)) < 0.5 for organ in ORGANS} for part in ("ref", "pred")}
    for part, of in masks.items():
        for organ, array in of.items():
            for case in ("a", "b"):
                save(tmp_path / part / case / f"{organ}.nii.gz", array.astype(np.uint8))
    result = scored(tmp_path, metrics=["dice"])
    for organ in ORGANS:
        one, other = masks["pred"][organ], masks["ref"][organ]
        assert dices(result)["a", organ] == pytest.approx(2 * (one & other).sum() / (one.sum() + other.sum()))
    assert result.complete
    rows = result.table.to_pylist()
    assert {(row["label_name"], row["label"]) for row in rows} == {("aorta", 1), ("liver", 2), ("spleen", 3)}
    truths = {row["truth"] for row in rows}
    for organ in ORGANS:
        save(tmp_path / "pred" / "a" / f"{organ}.nii.gz", masks["ref"][organ].astype(np.uint8))
    assert {row["truth"] for row in scored(tmp_path, metrics=["dice"]).table.to_pylist()} == truths


def test_label_maps_against_one_file_per_structure(tmp_path: Path) -> None:
    for case in ("a", "b"):
        organs(tmp_path / "ref", case)
        array = sum((index + 5) * mask((1, 4), (2, 6), (3 * index, 3 * index + 2)) for index in range(3))
        save(tmp_path / "pred" / f"{case}.nii.gz", array)
    with pytest.raises(UsageError, match="Say --labels aorta=VALUE"):
        scored(tmp_path)
    named = {"liver": 5, "spleen": 6, "aorta": 7}
    assert set(dices(scored(tmp_path, labels=named)).values()) == {1.0}
    (tmp_path / "pred").rename(tmp_path / "other")
    (tmp_path / "ref").rename(tmp_path / "pred")
    (tmp_path / "other").rename(tmp_path / "ref")
    assert set(dices(scored(tmp_path, labels=named)).values()) == {1.0}


def test_files_that_are_not_one_structure(tmp_path: Path) -> None:
    for case in ("a", "b"):
        organs(tmp_path / "ref", case)
        organs(tmp_path / "pred", case)
    save(tmp_path / "ref" / "a" / "liver.nii.gz", np.arange(480, dtype=np.int16).reshape(6, 8, 10))
    save(tmp_path / "pred" / "b" / "liver.nii.gz", np.zeros((6, 8, 9), np.uint8))
    result = scored(tmp_path)
    assert {row["status"] for row in result.table.to_pylist()} == {"failed"}
    said_of = {problem.case: problem.what for problem in result.problems}
    assert "expected one structure (liver), found the values 1, 2, 3" in said_of["a"]
    assert "its shape is" in said_of["b"]


def test_one_case_of_structures_on_request(tmp_path: Path) -> None:
    organs(tmp_path / "ref", "s0001", inner="segmentations")
    organs(tmp_path / "pred", "s0001", inner="segmentations")
    (tmp_path / "there").mkdir()
    given: Any = {"name": "m", "dataset": "d", "metrics": ["dice"], "results": tmp_path / "r", "catalogue": CATALOGUE}
    folders = [tmp_path / part / "s0001" / "segmentations" for part in ("pred", "ref")]
    assert set(dices(evaluate(*folders, layout="structures", **given))) == {("s0001", organ) for organ in ORGANS}
    assert {case for case, _ in dices(evaluate(*folders, layout="plain", **given))} == set(ORGANS)
    assert set(dices(scored(tmp_path, layout="structures"))) == {("s0001", organ) for organ in ORGANS}


def test_structures_without_one_in_common(tmp_path: Path) -> None:
    for case in ("a", "b"):
        organs(tmp_path / "ref", case)
        touch(tmp_path / "pred", f"{case}/heart.nii.gz", f"{case}/brain.nii.gz")
    with pytest.raises(DataMissing, match="found brain, heart"):
        find_pairs(tmp_path / "pred", tmp_path / "ref")
