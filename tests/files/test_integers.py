"""Whole numbers behind a header's slope: what a float array saved under an integer header must read back as."""

from __future__ import annotations

import logging
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segbench.errors import DataInvalid
from segbench.files.cases import CaseFiles, read_case
from segbench.files.images import read_image, read_label_map
from segbench.scoring.cases import Setting, score_pair
from segbench.scoring.pairs import Pair
from segbench.types import Task


def under(path: Path, array: np.ndarray, dtype: type, kind: type = nibabel.Nifti1Image) -> Path:
    """Save a float array under an integer header, as nibabel does when the header comes from the image."""
    header = kind(np.zeros(array.shape, dtype), np.eye(4)).header
    nibabel.save(kind(array, np.eye(4), header), path)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32])
@pytest.mark.parametrize("values", [(1,), (1, 2, 4), (1, 2, 3, 117), (7, 207), (0.0,), (-1, 3)])
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_rounding_recovers_every_array(tmp_path, dtype, values, precision):
    array = np.random.default_rng(1).choice([0, *values], (5, 6, 7)).astype(precision)
    path = under(tmp_path / "x.nii.gz", array, dtype)
    assert nibabel.load(path).get_data_dtype() == dtype
    found = read_label_map(path)
    assert np.array_equal(found.array, array.T) and found.array.dtype.kind in "iu"
    beside = np.abs(nibabel.load(path).get_fdata() - array).max() > 0
    assert beside == bool(found.notes)
    assert all("slope" in note and "rounded" in note for note in found.notes)


@pytest.mark.parametrize("kind", [nibabel.Nifti2Image, nibabel.Nifti1Pair, nibabel.Spm2AnalyzeImage])
def test_other_formats_with_a_slope(tmp_path, kind):
    name = "x.nii" if kind is nibabel.Nifti2Image else "x.img"
    array = np.random.default_rng(1).choice([0.0, 1, 2, 5], (5, 6, 7))
    under(tmp_path / name, array, np.int16, kind)
    found = read_label_map(tmp_path / name.replace(".img", ".hdr"))
    assert np.array_equal(found.array, array.T) and found.notes
    assert np.abs(read_image(tmp_path / name.replace(".img", ".hdr"))[0][0] - array.T).max() < 1e-3


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_interpolated_maps_stay_refused_behind_a_slope(tmp_path, dtype):
    array = np.random.default_rng(1).choice([0.0, 0.5, 1.0, 2.0], (5, 6, 7))
    with pytest.raises(DataInvalid, match=r"integer labels.*interpolated"):
        read_label_map(under(tmp_path / "x.nii.gz", array, dtype))
    array = np.random.default_rng(1).choice([0.0, 0.98, 2.02], (5, 6, 7))
    with pytest.raises(DataInvalid, match="interpolated"):
        read_label_map(under(tmp_path / "x.nii.gz", array, np.int16))
    with pytest.raises(DataInvalid, match="interpolated"):
        read_label_map(under(tmp_path / "x.nii.gz", array, np.float32))


def test_a_slope_that_lost_labels_is_refused(tmp_path):
    array = np.linspace(0, 2000, 5 * 6 * 7).round().reshape(5, 6, 7)
    with pytest.raises(DataInvalid, match="integer labels"):
        read_label_map(under(tmp_path / "x.nii.gz", array, np.uint8))


def test_the_note_reaches_scores_and_datasets(tmp_path, caplog):
    array = np.random.default_rng(1).choice([0.0, 1, 2, 4], (5, 6, 7))
    path = under(tmp_path / "x.nii.gz", array, np.int16)
    plain = tmp_path / "y.nii.gz"
    nibabel.save(nibabel.Nifti1Image(array.astype(np.uint8), np.eye(4)), plain)
    task = Task("t", "r", ("background", "a", "b", "c", "d"))
    outcome = score_pair(Pair("x", "x", plain, path), Setting(task, (), known=frozenset((1, 2, 3, 4))))
    (problem,) = outcome.problems
    assert problem.kind == "note" and problem.what.startswith("prediction x.nii.gz") and "slope" in problem.what
    with caplog.at_level(logging.WARNING):
        case = read_case("x", CaseFiles((plain,), path), task)
    assert np.array_equal(case.truth.array, array.T)
    assert "case x: x.nii.gz" in caplog.text
