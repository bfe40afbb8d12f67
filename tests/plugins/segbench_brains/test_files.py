"""Finding files: duplicates, endings, headers and their voxels."""

from __future__ import annotations

import pytest

from segbench import DataInvalid
from segbench_brains import files


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_the_best_file_of_a_stem(tmp_path):
    other = tmp_path / "other"
    touch(other / "x.nii.gz", tmp_path / "x.nii", tmp_path / "y.hdr")
    assert files.pick("x", tmp_path, other).name == "x.nii"
    touch(tmp_path / "x.nii.gz")
    assert files.pick("x", tmp_path, other) == tmp_path / "x.nii.gz"
    assert files.pick("x", other, tmp_path) == other / "x.nii.gz"
    assert files.pick("z", tmp_path) is None
    assert files.pick("y", tmp_path) == tmp_path / "y.hdr"


def test_headers_need_their_voxels(tmp_path):
    touch(tmp_path / "a.hdr", tmp_path / "b.mhd", tmp_path / "c.nii")
    for name in ("a.hdr", "b.mhd"):
        with pytest.raises(DataInvalid, match="case 7: expected a voxel file"):
            files.needed(tmp_path / name, "7", "an image")
    with pytest.raises(DataInvalid, match="case 7: expected an image"):
        files.needed(None, "7", "an image")
    touch(tmp_path / "a.img.gz", tmp_path / "b.raw")
    for name in ("a.hdr", "b.mhd", "c.nii"):
        assert files.needed(tmp_path / name, "7", "") == tmp_path / name
