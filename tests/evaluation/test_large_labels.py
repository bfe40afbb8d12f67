"""Atlases number structures as they like: 32-bit values are scored, and rows show the values of the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from segbench.errors import DataInvalid, Incompatible
from segbench.evaluation.folders import EvaluationResult, evaluate
from segbench.evaluation.labelling import MOST
from segbench.host import load_catalogue
from segbench.runs import open_run
from segbench.types import Choice

CATALOGUE = load_catalogue()
CODES = (614_454_277, 672, 1_089, 3)


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 2.0, 3.0, 1.0])), path)


@pytest.fixture
def maps(tmp_path: Path) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    drawn = random.integers(0, 5, (2, 6, 7, 8))
    predicted, truth = np.array([0, *CODES], dtype=np.int32)[drawn]
    for case in ("a", "b"):
        save(tmp_path / "p" / f"{case}.nii.gz", predicted)
        save(tmp_path / "t" / f"{case}.nii.gz", truth)
    return predicted, truth


def scored(root: Path, **others: Any) -> EvaluationResult:
    given = {"name": "m", "dataset": "d", "metrics": ["dice", "hd"], "results": root / "r", "catalogue": CATALOGUE}
    return evaluate(root / "p", root / "t", **(given | others))


def by_hand(predicted: np.ndarray, truth: np.ndarray, *values: int) -> float:
    one, other = np.isin(predicted, values), np.isin(truth, values)
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def test_values_of_an_atlas(tmp_path: Path, maps: tuple[np.ndarray, np.ndarray]) -> None:
    result = scored(tmp_path)
    rows = [row for row in result.table.to_pylist() if row["metric"] == "dice" and row["case_id"] == "a"]
    assert {row["label"]: row["value"] for row in rows} == {code: by_hand(*maps, code) for code in CODES}
    assert {row["label_name"] for row in rows} == {str(code) for code in CODES}
    assert result.complete and len(result.task.labels) == 5 and scored(tmp_path).reused
    small = np.searchsorted(np.array(sorted((0, *CODES))), np.stack(maps)).astype(np.uint8)
    for part, array in zip(("p", "t"), small, strict=True):
        for case in ("a", "b"):
            save(tmp_path / "small" / part / f"{case}.nii.gz", array)
    other = scored(tmp_path / "small").table.to_pylist()
    order = {str(code): str(place) for place, code in enumerate(sorted(CODES), 1)}
    values = {(row["case_id"], row["label_name"], row["metric"]): row["value"] for row in other}
    for row in result.table.to_pylist():
        assert row["value"] == values[row["case_id"], order[row["label_name"]], row["metric"]]


def test_names_regions_and_strange_values(tmp_path: Path, maps: tuple[np.ndarray, np.ndarray]) -> None:
    named = {"cortex": CODES[0], "thalamus": CODES[1]}
    result = scored(tmp_path, labels=named, regions={"both": (CODES[0], CODES[1])}, metrics=["dice"])
    rows = {row["label_name"]: (row["label"], row["value"]) for row in result.table.to_pylist()}
    assert rows == {
        "cortex": (CODES[0], by_hand(*maps, CODES[0])),
        "thalamus": (CODES[1], by_hand(*maps, CODES[1])),
        "both": (None, by_hand(*maps, CODES[0], CODES[1])),
    }
    again = scored(tmp_path, name="other", like=open_run(result.folder, CATALOGUE), dataset=None, metrics=None)
    assert again.table.drop(["run_id", "method"]) == result.table.drop(["run_id", "method"])
    predicted = maps[0].copy()
    predicted[0, 0, 0] = 2_000_000_000
    save(tmp_path / "p" / "a.nii.gz", predicted)
    said = [problem.what for problem in scored(tmp_path).problems]
    assert said == ["the prediction has unknown labels 2000000000; they count as background"]


def test_an_ignore_label_beside_large_ones(tmp_path: Path, maps: tuple[np.ndarray, np.ndarray]) -> None:
    result = scored(tmp_path, ignore_label=CODES[2], metrics=["dice"])
    counts = maps[1] != CODES[2]
    found = {row["label"]: row["value"] for row in result.table.to_pylist()}
    wanted = {code: by_hand(maps[0] * counts, maps[1] * counts, code) for code in CODES if code != CODES[2]}
    assert found == pytest.approx(wanted)


def test_what_cannot_be(tmp_path: Path, maps: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(Incompatible, match="found values up to 614454277"):
        scored(tmp_path, decision=[Choice("fill_holes")])
    image = np.arange(2 * MOST, dtype=np.int32).reshape(20, -1, 50)
    for part in ("p", "t"):
        save(tmp_path / "image" / part / "a.nii.gz", image)
    with pytest.raises(DataInvalid, match=f"have {2 * MOST - 1} different values"):
        scored(tmp_path / "image")
