"""The SegTHOR dataset: layouts, choice of organs, the altered copy, and damaged folders."""

from __future__ import annotations

import gzip
import hashlib
import logging
import shutil
import subprocess
import sys

import numpy as np
import pytest

from segbench import (
    CaseRef,
    Choice,
    DataInvalid,
    DataMissing,
    LabelMap,
    RunConfig,
    UnknownName,
    read_image,
    read_label_map,
    write_image,
    write_label_map,
)
from segbench.training.sampling import split_cases
from segbench_segthor import layout as layouts
from segbench_segthor.forging import SPACING, scan
from segbench_segthor.segthor import SegTHOR

CONFIG = RunConfig(Choice("segthor"), Choice("n"), Choice("m"))


@pytest.fixture(scope="module")
def forged(tmp_path_factory):
    return SegTHOR().forge(tmp_path_factory.mktemp("segthor")).path


@pytest.fixture
def folder(forged, tmp_path):
    return shutil.copytree(forged, tmp_path / "SegTHOR")


def prepared(folder, **parameters):
    dataset = SegTHOR(path=folder, **parameters)
    dataset.prepare(folder)
    return dataset


def as_published(folder):
    return folder


def as_parent(folder):
    return folder.parent


def as_train(folder):
    return folder / "train"


def as_nested(folder):
    for part in ("train", "test"):
        (folder / part).rename(folder / "inner")
        (folder / part).mkdir()
        (folder / "inner").rename(folder / part / part)
    return folder


LAYOUTS = [as_published, as_parent, as_train, as_nested]


def assert_same(one, other):
    assert one.task == other.task
    assert [(ref.id, ref.group, ref.split) for ref in one.refs()] == [
        (ref.id, ref.group, ref.split) for ref in other.refs()
    ]
    for ref in one.refs():
        case, twin = one.load(ref), other.load(ref)
        assert np.array_equal(case.image, twin.image) and case.spacing == twin.spacing
        assert np.array_equal(case.affine, twin.affine)
        assert (case.truth is None) == (twin.truth is None)
        assert case.truth is None or np.array_equal(case.truth.array, twin.truth.array)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_every_layout_gives_the_same_cases(forged, folder, layout):
    assert_same(prepared(layout(folder)), prepared(forged))


def test_plain_nifti_gives_the_same_cases(forged, folder):
    expected = prepared(forged)
    for path in [path for path in folder.rglob("*.nii.gz") if not path.name.startswith(".")]:
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    dataset = prepared(folder)
    assert [(ref.id, ref.split) for ref in dataset.refs()] == [(ref.id, ref.split) for ref in expected.refs()]
    ref = dataset.refs()[0]
    assert np.array_equal(dataset.load(ref).image, expected.load(ref).image)


def test_what_is_segmented_by_default(forged):
    dataset = prepared(forged)
    assert dataset.task.name == "segthor" and dataset.task.labels == ("background", "aorta")
    assert dataset.task.channels == ("CT",) and len(dataset.task.revision) == 12
    refs = dataset.refs()
    assert [ref.id for ref in refs] == [f"Patient_{number:02d}" for number in (*range(1, 9), 41, 42)]
    assert [ref.split for ref in refs] == [""] * 8 + ["unlabelled"] * 2 and all(ref.stamp for ref in refs)
    image, labels = scan(1)
    case = dataset.load(refs[0])
    assert np.array_equal(case.image, image[None].astype(np.float32)) and case.image.min() < -900  # Hounsfield units
    assert np.array_equal(case.truth.array, labels == 4) and case.spacing == SPACING
    assert dataset.load(refs[-1]).truth is None


@pytest.mark.parametrize(
    ("organs", "values"),
    [
        ("all", (1, 2, 3, 4)),
        (" ALL ", (1, 2, 3, 4)),
        ("heart", (2,)),
        ("aorta, esophagus", (1, 4)),
        ("esophagus,aorta,aorta", (1, 4)),
        ("trachea,heart", (2, 3)),
    ],
)
def test_choice_of_organs(forged, organs, values):
    dataset = prepared(forged, organs=organs)
    named = ("background", "esophagus", "heart", "trachea", "aorta")
    assert dataset.task.labels == ("background", *(named[value] for value in values))
    truth, labels = dataset.load(dataset.refs()[1]).truth.array, scan(2)[1]
    for new, value in enumerate(values, start=1):
        assert np.array_equal(truth == new, labels == value)
    assert truth.max() == len(values)


@pytest.mark.parametrize("organs", ["", "lung", "aorta;heart", "aorta,all", "4"])
def test_organs_that_do_not_exist(forged, organs):
    with pytest.raises(UnknownName, match=r"organs: SegTHOR has no"):
        prepared(forged, organs=organs)


def test_the_revision_follows_content_and_organs(folder):
    before = prepared(folder).task.revision
    assert prepared(folder, organs="all").task.revision != before
    assert prepared(folder, use_test_images=False).task.revision == before
    path = folder / "train" / "Patient_05" / "GT.nii.gz"
    truth = read_label_map(path)
    array = truth.array.copy()
    array[0, 0, 0] = 4
    write_label_map(path, LabelMap(array, truth.spacing, truth.affine))
    assert prepared(folder).task.revision != before


def test_test_cases_are_held_out_of_the_labelled_ones(forged, folder):
    splits = split_cases(prepared(forged).refs(), CONFIG)
    assert (len(splits.train), len(splits.val), len(splits.test), len(splits.unlabelled)) == (5, 1, 2, 2)
    assert len(prepared(forged, use_test_images=False).refs()) == 8
    shutil.rmtree(folder / "test")
    assert len(prepared(folder).refs()) == 8


def test_extra_ground_truths_are_flagged_and_never_read(forged, folder, caplog):
    with caplog.at_level(logging.WARNING):
        dataset = prepared(forged)
    assert len(dataset.task.notes) == 1 and "Patient_03/GT2.nii.gz" in dataset.task.notes[0]
    assert "Patient_03/GT2.nii.gz" in caplog.text
    expected = dataset.load(dataset.refs()[2]).truth.array
    (folder / "train" / "Patient_03" / "GT2.nii.gz").write_bytes(b"not an image at all")
    shutil.copy(folder / "train" / "Patient_02" / "GT.nii.gz", folder / "train" / "Patient_03" / "GT3.nii.gz")
    flagged = prepared(folder)
    assert "GT2.nii.gz, Patient_03/GT3.nii.gz" in flagged.task.notes[0]
    assert np.array_equal(flagged.load(flagged.refs()[2]).truth.array, expected)
    assert flagged.task.revision == dataset.task.revision
    for name in ("GT2.nii.gz", "GT3.nii.gz"):
        (folder / "train" / "Patient_03" / name).unlink()
    assert prepared(folder).task.notes == ()


@pytest.mark.parametrize("beside", [True, False])
def test_the_altered_archive_is_known_by_its_checksum(folder, monkeypatch, caplog, beside):
    archive = (folder.parent if beside else folder) / "SegTHOR-train-copy.zip"
    archive.write_bytes(b"made-up archive")
    assert len(prepared(folder).task.notes) == 1  # an unknown archive says nothing
    monkeypatch.setitem(layouts.ALTERED, hashlib.sha256(b"made-up archive").hexdigest(), "an altered copy")
    with caplog.at_level(logging.WARNING):
        notes = prepared(folder).task.notes
    assert notes[0] == "SegTHOR-train-copy.zip is an altered copy: do not compare with published results."
    assert "SegTHOR-train-copy.zip is an altered copy" in caplog.text


def test_the_published_checksums_are_well_formed():
    assert len(layouts.ALTERED) == 2
    assert all(len(digest) == 64 and set(digest) <= set("0123456789abcdef") for digest in layouts.ALTERED)


def test_a_ground_truth_without_the_organ(folder):
    """One altered copy folds the aorta into the esophagus."""
    path = folder / "train" / "Patient_04" / "GT.nii.gz"
    truth = read_label_map(path)
    array = truth.array.copy()
    array[array == 4] = 1
    write_label_map(path, LabelMap(array, truth.spacing, truth.affine))
    ref = CaseRef("Patient_04", "Patient_04")
    with pytest.raises(DataInvalid, match=r"case Patient_04: expected every organ.*no voxel of label 4"):
        prepared(folder).load(ref)
    assert prepared(folder, organs="heart").load(ref).truth.array.any()


@pytest.mark.parametrize("path", [None, "nothing", "file"])
def test_missing_data_say_what_to_get(tmp_path, path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataMissing, match=r"competitions/21145 \(no public licence.*--set dataset\.path="):
        SegTHOR(path=tmp_path / path if path else None).prepare(tmp_path)
    with pytest.raises(DataMissing, match="prepare"):
        _ = SegTHOR().task


def test_damaged_folders(folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataInvalid, match="found no such folder"):
        prepared(empty)
    shutil.copytree(folder, folder.parent / "again")
    with pytest.raises(DataInvalid, match=r"several \(SegTHOR, again\)"):
        prepared(folder.parent)
    shutil.copy(folder / "test" / "Patient_41.nii.gz", folder / "test" / "Patient_03.nii.gz")
    with pytest.raises(DataInvalid, match="found Patient_03 in both"):
        prepared(folder)
    (folder / "train" / "Patient_02" / "Patient_02.nii.gz").unlink()
    with pytest.raises(DataInvalid, match=r"Patient_02: expected Patient_02\.nii\.gz and GT\.nii\.gz, found GT"):
        prepared(folder)
    shutil.rmtree(folder / "train" / "Patient_02")
    (folder / "train" / "Patient_03" / "GT.nii.gz").unlink()
    with pytest.raises(DataInvalid, match=r"Patient_03: expected .*found GT2\.nii\.gz"):
        prepared(folder)


def test_damaged_files(folder):
    dataset, ref = prepared(folder), CaseRef("Patient_01", "Patient_01")
    label = folder / "train" / "Patient_01" / "GT.nii.gz"
    truth = read_label_map(label)
    write_label_map(label, LabelMap(truth.array + 1, truth.spacing, truth.affine))
    with pytest.raises(DataInvalid, match="case Patient_01: expected labels 0 to 4, found 5 in"):
        dataset.load(ref)
    write_label_map(label, LabelMap(truth.array[1:], truth.spacing, truth.affine))
    with pytest.raises(DataInvalid, match="case Patient_01: expected one grid"):
        dataset.load(ref)
    label.write_bytes(label.read_bytes()[:-20])
    with pytest.raises(DataInvalid, match=r"GT\.nii\.gz"):
        dataset.load(ref)
    write_image(folder / "train" / "Patient_01" / "Patient_01.nii.gz", np.zeros((2, 3, 4, 5), np.int16), SPACING)
    with pytest.raises(DataInvalid, match=r"case Patient_01: expected one channel .*found 2"):
        dataset.load(ref)
    with pytest.raises(DataInvalid, match="Did you mean"):
        dataset.load(CaseRef("Patient_1", ""))


def test_a_shifted_ground_truth_is_taken_with_a_warning(folder, caplog):
    path = folder / "train" / "Patient_01" / "GT.nii.gz"
    truth = read_label_map(path)
    shifted = truth.affine.copy()
    shifted[:3, 3] += 5
    write_label_map(path, LabelMap(truth.array, truth.spacing, shifted))
    dataset = prepared(folder)
    assert np.array_equal(dataset.load(dataset.refs()[0]).truth.affine, truth.affine) and "Patient_01" in caplog.text


def test_listing_needs_no_heavy_library():
    code = (
        "import sys, segbench_segthor as plugin; plugin.segbench_datasets(); "
        "print({'numpy', 'nibabel', 'torch', 'scipy'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_a_real_aorta(real_data, tmp_path):
    """A real CT with its aorta in the native layout comes back as the NIfTI files say."""
    source = real_data / "ct_totalsegmentator" / "aorta"
    if not source.is_dir():
        pytest.skip(f"no real aorta at {source}")
    aorta = read_label_map(source / "aorta.nii.gz")
    for patient in ("Patient_01", "Patient_02"):
        inner = tmp_path / "train" / patient
        inner.mkdir(parents=True)
        shutil.copy(source / "ct_cropped.nii.gz", inner / f"{patient}.nii.gz")
        array = (4 * (aorta.array > 0)).astype(np.uint8)
        write_label_map(inner / "GT.nii.gz", LabelMap(array, aorta.spacing, aorta.affine))
    dataset = prepared(tmp_path)
    assert dataset.task.notes == () and len(dataset.refs()) == 2
    case = dataset.load(dataset.refs()[0])
    image, spacing, affine = read_image(source / "ct_cropped.nii.gz")
    assert np.array_equal(case.image, image) and case.spacing == spacing and np.array_equal(case.affine, affine)
    assert np.array_equal(case.truth.array, aorta.array > 0) and case.truth.array.any()
    assert 100 < np.median(case.image[0][case.truth.array > 0]) < 800  # contrast-filled, in Hounsfield units
