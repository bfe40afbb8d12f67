"""Finding distributions and files: nesting, hidden things, duplicates, endings."""

from __future__ import annotations

import pytest

from segbench import DataInvalid, DataMissing
from segbench_brains import files


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def locate(path):
    return files.locate(path, ("*/mark",), "the thing", "Get it at X.")


def test_the_folder_itself_or_up_to_three_levels_above(tmp_path):
    home = tmp_path / "a" / "b" / "c"
    touch(home / "1" / "mark")
    for path in (home, home.parent, home.parent.parent, tmp_path):
        assert locate(path) == home.resolve()
    touch(tmp_path / "__MACOSX" / "1" / "mark", tmp_path / "a" / "._b" / "1" / "mark", tmp_path / "._1" / "mark")
    assert locate(tmp_path) == home.resolve()


def test_nothing_and_too_much(tmp_path):
    with pytest.raises(DataMissing, match=r"dataset\.path is not set\. Get it at X"):
        locate(None)
    with pytest.raises(DataMissing, match=r"found nothing there\. Get it at X"):
        locate(tmp_path / "absent")
    with pytest.raises(DataInvalid, match="expected a readable folder"):
        locate(tmp_path / ("x" * 5000))
    touch(tmp_path / "file")
    with pytest.raises(DataMissing, match="found a file"):
        locate(tmp_path / "file")
    with pytest.raises(DataInvalid, match=r"found no \*/mark in it\. Get it at X"):
        locate(tmp_path)
    touch(tmp_path / "a" / "1" / "mark", tmp_path / "b" / "1" / "mark")
    with pytest.raises(DataInvalid, match="once"):
        locate(tmp_path)


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
    assert files.all_of(files.needed(tmp_path / "a.hdr", "7", "")) == (tmp_path / "a.hdr", tmp_path / "a.img.gz")
    assert files.all_of(files.needed(tmp_path / "b.mhd", "7", "")) == (tmp_path / "b.mhd", tmp_path / "b.raw")
    assert files.all_of(files.needed(tmp_path / "c.nii", "7", "")) == (tmp_path / "c.nii",)
