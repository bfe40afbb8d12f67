"""Label maps read again are those that were scored: their Dice, by hand, is the value that the run holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segbench.evaluation.folders import evaluate
from segbench.evaluation.reopening import Reopened, image_file
from segbench.files.images import write_image, write_label_map
from segbench.host import load_catalogue
from segbench.runs import open_run
from segbench.types import Choice, LabelMap

CATALOGUE = load_catalogue()
SHAPE, SPACING = (4, 8, 7), (2.0, 1.0, 1.5)
CASES = ("a", "b")


def labels_of(seed: int, high: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, high, SHAPE).astype(np.int32)


def save(path: Path, array: np.ndarray, affine: Any = None) -> None:
    write_label_map(path, LabelMap(array.astype(np.int32), SPACING, affine))


def plain(root: Path) -> dict[str, Any]:
    for seed, case in enumerate(CASES):
        save(root / "t" / f"{case}.nii.gz", labels_of(seed))
        save(root / "p" / f"{case}.nii.gz", labels_of(seed + 9))
    return {"labels": {"x": 1, "y": 2}}


def regions(root: Path) -> dict[str, Any]:
    plain(root)
    return {"labels": None, "regions": {"both": (1, 2), "one": (1,)}}


def an_ignore_label(root: Path) -> dict[str, Any]:
    plain(root)
    return {"labels": {"x": 1}, "ignore_label": 2}


def large_values(root: Path) -> dict[str, Any]:
    for seed, case in enumerate(CASES):
        save(root / "t" / f"{case}.nii.gz", labels_of(seed) * 3_000_000)
        save(root / "p" / f"{case}.nii.gz", labels_of(seed + 9) * 3_000_000)
    return {"labels": {"x": 3_000_000, "y": 6_000_000}}


def another_orientation(root: Path) -> dict[str, Any]:
    affine = np.array([[0, 0, 1.5, 0], [0, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1.0]])
    turned = affine.copy()
    turned[:3, 2], turned[0, 3] = -turned[:3, 2], 1.5 * (SHAPE[2] - 1)
    for seed, case in enumerate(CASES):
        save(root / "t" / f"{case}.nii.gz", labels_of(seed), affine)
        save(root / "p" / f"{case}.nii.gz", labels_of(seed + 9)[:, :, ::-1], turned)
    return {"labels": {"x": 1, "y": 2}}


def files_that_overlap(root: Path) -> dict[str, Any]:
    for seed, case in enumerate(CASES):
        for k, name in enumerate(("liver", "tumour")):
            save(root / "t" / case / f"{name}.nii.gz", labels_of(seed + 20 * k) > 0)
            save(root / "p" / case / f"{name}.nii.gz", labels_of(seed + 20 * k + 9) > 0)
    return {"layout": "structures"}


def probabilities(root: Path) -> dict[str, Any]:
    plain(root)
    for seed, case in enumerate(CASES):
        odds = np.random.default_rng(seed + 50).random((3, *SHAPE)) + 0.05
        save(root / "p" / f"{case}.nii.gz", odds.argmax(0))
        np.savez_compressed(root / "p" / f"{case}.npz", probabilities=(odds / odds.sum(0)).astype(np.float32))
    return {"labels": {"x": 1, "y": 2}, "decision": [Choice("threshold", {"value": 0.4})]}


def refined(root: Path) -> dict[str, Any]:
    plain(root)
    return {"labels": {"x": 1, "y": 2}, "decision": [Choice("largest_component")]}


SCENES = (
    plain,
    regions,
    an_ignore_label,
    large_values,
    another_orientation,
    files_that_overlap,
    probabilities,
    refined,
)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_what_is_read_again_is_what_was_scored(scene: Callable[[Path], dict[str, Any]], tmp_path: Path) -> None:
    asked = scene(tmp_path)
    result = evaluate(
        tmp_path / "p", tmp_path / "t", name="m", dataset="d", metrics=["dice"], results=tmp_path / "r", **asked
    )
    stored = {(row["case_id"], row["label_name"]): row["value"] for row in result.table.to_pylist()}
    reopened = Reopened(open_run(result.folder, CATALOGUE).record, CATALOGUE)
    found = {}
    for case in sorted({case for case, _ in stored}):
        predicted, truth, task = reopened.compared(case)
        counts = truth.array >= 0
        for structure in task.structures:
            one, other = (np.isin(each.array, structure.values) & counts for each in (predicted, truth))
            found[case, structure.name] = 2 * (one & other).sum() / (one.sum() + other.sum())
    assert found == pytest.approx(stored)
    assert len(set(found.values())) > 1


def test_images_are_found_by_the_names_of_cases(tmp_path: Path) -> None:
    for name in ("a_0000", "a_0001", "b", "patient/t1", "patient/patient_seg"):
        write_image(tmp_path / f"{name}.nii.gz", np.ones(SHAPE, np.float32), SPACING)
    names = {case: image_file(tmp_path, case) for case in ("a", "b", "patient", "c")}
    assert {case: file.name if file else None for case, file in names.items()} == {
        "a": "a_0000.nii.gz",
        "b": "b.nii.gz",
        "patient": "t1.nii.gz",
        "c": None,
    }


def test_an_image_is_turned_as_its_reference_lies(tmp_path: Path) -> None:
    asked = another_orientation(tmp_path)
    intensities = np.random.default_rng(3).random(SHAPE).astype(np.float32)
    affine = np.array([[0, 0, -1.5, 1.5 * (SHAPE[2] - 1)], [0, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1.0]])
    for case in CASES:
        write_image(tmp_path / "i" / f"{case}_0000.nii.gz", intensities[:, :, ::-1], SPACING, affine)
    where = (tmp_path / "p", tmp_path / "t")
    more = {"name": "m", "dataset": "d", "metrics": ["dice"], "images": tmp_path / "i", "results": tmp_path / "r"}
    result = evaluate(*where, **more, **asked)
    reopened = Reopened(open_run(result.folder, CATALOGUE).record, CATALOGUE)
    image = reopened.image("a", reopened.compared("a")[1])
    np.testing.assert_allclose(image, intensities)
