"""Cases of files: revisions, reading, grids, label values, voxel files beside headers."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import pytest

from segbench import (
    UNKNOWN,
    CaseFiles,
    DataInvalid,
    LabelMap,
    Task,
    content_revision,
    first_few,
    read_case,
    renumber,
    voxel_file,
    write_image,
    write_label_map,
)

SPACING = (3.0, 1.0, 2.0)
TASK = Task("toy", "1", ("background", "a", "b"), channels=("T1", "T2"))


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("T1", "T2"):
        write_image(tmp_path / f"{name}.nii.gz", rng.normal(size=(3, 4, 5)).astype(np.float32), SPACING)
    write_label_map(tmp_path / "label.nii.gz", LabelMap(rng.integers(0, 3, (3, 4, 5)).astype(np.uint8), SPACING))
    return CaseFiles((tmp_path / "T1.nii.gz", tmp_path / "T2.nii.gz"), tmp_path / "label.nii.gz")


def test_a_case_is_read(files):
    case = read_case("x", files, TASK)
    assert case.id == "x" and case.image.shape == (2, 3, 4, 5) and case.spacing == SPACING
    assert case.truth.array.dtype == np.uint8 and set(np.unique(case.truth.array)) == {0, 1, 2}
    other = read_case("x", files, TASK, {0: 0, 1: UNKNOWN, 2: 1}).truth.array
    assert np.array_equal(other, np.array([0, -1, 1])[case.truth.array])
    assert read_case("x", CaseFiles(files.images), TASK).truth is None


def test_channels_and_values_that_do_not_fit(files):
    with pytest.raises(DataInvalid, match=r"case x: expected 2 channels \(T1, T2\), found 1 in .*T1\.nii\.gz"):
        read_case("x", CaseFiles(files.images[:1]), TASK)
    with pytest.raises(DataInvalid, match=r"case x: expected labels 0 to 1, found 2 in .*label\.nii\.gz"):
        read_case("x", files, Task("toy", "1", ("background", "a"), channels=TASK.channels))


def test_grids_that_differ(files, caplog):
    truth = read_case("x", files, TASK).truth
    shifted = truth.affine.copy()
    shifted[:3, 3] += 5
    write_label_map(files.label, LabelMap(truth.array, SPACING, shifted))
    assert np.array_equal(read_case("x", files, TASK).truth.affine, truth.affine)
    assert "case x: T1.nii.gz and label.nii.gz have the same shape" in caplog.text
    for other in (LabelMap(truth.array[1:], SPACING), LabelMap(truth.array, (3.0, 1.0, 2.1))):
        write_label_map(files.label, other)
        with pytest.raises(DataInvalid, match=r"case x: expected one grid .*T1\.nii\.gz.*label\.nii\.gz"):
            read_case("x", files, TASK)
    write_image(files.images[1], np.zeros((3, 4, 6), np.float32), SPACING)
    with pytest.raises(DataInvalid, match=r"case x: expected one grid .*T1\.nii\.gz.*T2\.nii\.gz"):
        read_case("x", files, TASK)


def test_the_revision_follows_labelled_content_only(files, tmp_path):
    unlabelled, without_images = CaseFiles((tmp_path / "gone.nii",)), CaseFiles((), files.label)
    expected = hashlib.sha256(b"facts")
    expected.update(f"\nx {[path.stat().st_size for path in files.images]} ".encode())
    expected.update(hashlib.sha256(files.label.read_bytes()).digest())
    first = content_revision("facts", {"y": unlabelled, "x": files})
    assert first == content_revision("facts", {"x": files}) == expected.hexdigest()[:12]
    assert len({first, content_revision("f", {"x": files}), content_revision("facts", {"x": without_images})}) == 3
    os.utime(files.label, (1, 1))
    assert content_revision("facts", {"x": files}) == first
    beside = CaseFiles(files.images, files.label, beside=(tmp_path / "warp",))
    with pytest.raises(DataInvalid, match=r"case x: expected readable files.*warp"):
        content_revision("facts", {"x": beside})
    beside.beside[0].write_bytes(b"1")
    before = content_revision("facts", {"x": beside})
    beside.beside[0].write_bytes(b"2")
    assert content_revision("facts", {"x": beside}) != before != first


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int64])
def test_values_become_indices(dtype):
    values = {0: 0, 7: 1, 9: UNKNOWN, 100: 2}
    array = np.array([[0, 7], [9, 100]], dtype)
    assert renumber(array, values, "x", "map").tolist() == [[0, 1], [-1, 2]]
    assert renumber(array, dict.fromkeys(values, 0) | {100: 300}, "x", "map").dtype == np.int16
    with pytest.raises(DataInvalid, match=r"case x: expected labels 0, 7, 100 or 9 \(ignored\), found 1, 101 in map"):
        renumber(np.array([0, 1, 101], dtype), values, "x", "map")
    with pytest.raises(DataInvalid, match=r"values of the label protocol \(5 are known\), found 1 in"):
        renumber(np.array([1], dtype), values | {50: 4}, "x", "map")


def test_values_far_out_of_range():
    with pytest.raises(DataInvalid, match="found -5, 70000 in"):
        renumber(np.array([-5, 1, 70_000]), {0: 0, 1: 1}, "x", "map")


def test_voxel_files(tmp_path):
    for name in ("a.nii", "a.hdr", "b.hdr.gz", "c.mhd", "d.mhd", "e.nhdr", "f.mhd"):
        (tmp_path / name).write_bytes(b"x")
    assert voxel_file(tmp_path / "a.nii") == tmp_path / "a.nii"
    assert [voxel_file(tmp_path / name) for name in ("a.hdr", "b.hdr.gz", "c.mhd")] == [None] * 3
    for name in ("a.img.gz", "b.img.gz", "c.raw", "other.zraw", "d.raw"):
        (tmp_path / name).write_bytes(b"x")
    assert voxel_file(tmp_path / "a.hdr") == tmp_path / "a.img.gz"
    assert voxel_file(tmp_path / "b.hdr.gz") == tmp_path / "b.img.gz"
    assert voxel_file(tmp_path / "c.mhd") == tmp_path / "c.raw"
    (tmp_path / "d.mhd").write_bytes(b"DimSize = 1 1 1\r\nElementDataFile = other.zraw\r\n")
    (tmp_path / "e.nhdr").write_bytes(b"NRRD0004\ndata file: other.zraw\n")
    (tmp_path / "f.mhd").write_bytes(b"ElementDataFile = ../c.raw\n")
    assert voxel_file(tmp_path / "d.mhd") == voxel_file(tmp_path / "e.nhdr") == tmp_path / "other.zraw"
    assert voxel_file(tmp_path / "f.mhd") is None


def test_first_few():
    assert first_few("abc") == "a, b, c" and first_few("") == ""
    assert first_few(range(7)) == "0, 1, 2, 3, 4 and 2 more" and first_few("abc", most=1) == "a and 2 more"
