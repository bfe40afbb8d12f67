"""Folder datasets: where they are found, what is listed, cases by name."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import pytest

from segbench import CaseFiles, CaseRef, DataInvalid, DataMissing, FolderDataset, visible


@dataclasses.dataclass
class Thing(FolderDataset):
    name: ClassVar[str] = "thing"
    kind: ClassVar[str] = "the thing"
    remedy: ClassVar[str] = "Get it at X."


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def locate(path, *marks):
    return Thing(path=path).locate(*marks)


def test_the_folder_itself_or_up_to_three_levels_above(tmp_path):
    home = tmp_path / "a" / "b" / "c"
    touch(home / "1" / "mark")
    for path in (home, home.parent, home.parent.parent, tmp_path):
        assert locate(path, "*/mark") == home.resolve()
    touch(tmp_path / "__MACOSX" / "1" / "mark", tmp_path / "a" / "._b" / "1" / "mark", tmp_path / "._1" / "mark")
    assert locate(tmp_path, "*/mark") == home.resolve()
    assert locate(tmp_path, "*/absent", "c/1/mark") == home.parent.resolve()
    assert locate(tmp_path) == tmp_path.resolve()  # without marks any folder will do


def test_nothing_and_too_much(tmp_path):
    with pytest.raises(DataMissing, match=r"dataset\.path is not set\. Get it at X\. Run with --set dataset\.path="):
        locate(None)
    with pytest.raises(DataMissing, match=r"found nothing there\. Get it at X"):
        locate(tmp_path / "absent")
    with pytest.raises(DataInvalid, match="expected a readable folder"):
        locate(tmp_path / ("x" * 5000))
    touch(tmp_path / "file")
    with pytest.raises(DataMissing, match="found a file"):
        locate(tmp_path / "file")
    with pytest.raises(DataInvalid, match=r"found no \*/mark or mark in it\. Get it at X"):
        locate(tmp_path, "*/mark", "mark")
    touch(tmp_path / "a" / "1" / "mark", tmp_path / "b" / "1" / "mark")
    with pytest.raises(DataInvalid, match="once, found it in a, b"):
        locate(tmp_path, "*/mark")


def test_what_is_visible(tmp_path):
    touch(*(tmp_path / name for name in ("b", "a", "._a", ".DS_Store", "__MACOSX/a")))
    assert [path.name for path in visible(tmp_path)] == ["a", "b"]
    assert visible(tmp_path / "absent") == visible(tmp_path / "a") == []


def test_cases_by_name(tmp_path):
    dataset = Thing()
    with pytest.raises(DataMissing, match="prepare"):
        _ = dataset.task
    image, label = tmp_path / "image.nii", tmp_path / "label.nii"
    touch(image, label)
    dataset.cases_ = {
        "b": CaseFiles((image,), label, "train", group="patient"),
        "a": CaseFiles((image,), label),
        "c": CaseFiles((image,), split="test"),
    }
    refs = dataset.refs()
    assert [(ref.id, ref.group, ref.split) for ref in refs] == [
        ("b", "patient", "train"),
        ("a", "a", ""),
        ("c", "c", "unlabelled"),  # whatever its split: there is nothing to test it with
    ]
    label.write_bytes(b"xy")
    assert [new.stamp != old.stamp for new, old in zip(dataset.refs(), refs, strict=True)] == [True, True, False]
    with pytest.raises(DataInvalid, match="case 'd': expected a case of thing"):
        dataset.load(CaseRef("d", "d"))
    image.unlink()
    with pytest.raises(DataInvalid, match=r"case b: expected readable files, found: .*image\.nii"):
        dataset.refs()
