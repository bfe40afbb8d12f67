"""The ACDC dataset: phases from Info.cfg, every layout the data are met in, splits, and damaged folders."""

from __future__ import annotations

import gzip
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
    read_label_map,
    write_image,
    write_label_map,
)
from segbench.training.sampling import split_cases
from segbench_acdc import lists
from segbench_acdc.acdc import ACDC
from segbench_acdc.layout import read_phases

CONFIG = RunConfig(Choice("acdc"), Choice("n"), Choice("m"))


@pytest.fixture(scope="module")
def forged(tmp_path_factory):
    return ACDC().forge(tmp_path_factory.mktemp("acdc")).path


@pytest.fixture
def folder(forged, tmp_path):
    return shutil.copytree(forged, tmp_path / "database")


def prepared(folder, split="random", **parameters):
    dataset = ACDC(path=folder, split=split, **parameters)
    dataset.prepare(folder)
    return dataset


def images(folder):
    """Return the images that are data, 4-D ones left out."""
    return [path for path in sorted(folder.rglob("patient*.nii.gz")) if "_4d" not in path.name]


def as_whole_zip(folder):
    return folder.parent


def as_root_training(folder):
    (folder / "training").rename(folder.parent / "training")
    (folder / "testing").rename(folder.parent / "testing")
    folder.rmdir() if not any(folder.iterdir()) else shutil.rmtree(folder)
    return folder.parent


def as_old_release(folder):
    """training/ at the root; testing/testing/ without label maps."""
    root = as_root_training(folder)
    (root / "testing").rename(root / "inner")
    (root / "testing").mkdir()
    (root / "inner").rename(root / "testing" / "testing")
    for path in (root / "testing").rglob("*_gt.nii.gz"):
        path.unlink()
    return root


def as_patients_alone(folder):
    return folder / "training"


def as_training_in_training(folder):
    (folder / "training").rename(folder / "inner")
    (folder / "training").mkdir()
    (folder / "inner").rename(folder / "training" / "training")
    return folder


def as_plain_nifti(folder):
    for path in images(folder):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    return folder


def as_folders_called_like_files(folder):
    for path in images(folder):
        inner = path.with_suffix("")
        inner.mkdir()
        path.rename(inner / path.name)
        (inner / f"._{path.name}").write_bytes(b"AppleDouble")
    return folder


def as_folders_with_odd_names(folder):
    """The image inside has the scanner's name, and an empty file stands where the image should be."""
    for path in images(folder):
        inner = path.with_suffix("")
        inner.mkdir()
        (inner / "CMD03Gate1.nii").write_bytes(gzip.decompress(path.read_bytes()))
        path.write_bytes(b"")
    return folder


def as_renamed_frames(folder):
    """frame01 = ED and frame02 = ES, whatever Info.cfg says."""
    for patient in sorted(folder.glob("t*ing/patient*")):
        phases = read_phases(patient / "Info.cfg")
        for path in images(patient):
            number = int(path.name.split("_frame")[1][:2])
            path.rename(
                path.with_name("new" + path.name.replace(f"e{number:02d}", f"e0{1 + (number == phases['ES'])}"))
            )
        for path in patient.glob("new*"):
            path.rename(path.with_name(path.name.removeprefix("new")))
    return folder


def as_renamed_frames_without_info(folder):
    as_renamed_frames(folder)
    for path in folder.rglob("Info.cfg"):
        path.unlink()
    return folder


def as_other_notation(folder):
    """CRLF, a byte order mark, spaces, other order, both .nii and .nii.gz of a frame."""
    for path in folder.rglob("Info.cfg"):
        phases = read_phases(path)
        path.write_bytes(f"\ufeffES :  {phases['ES']}\r\nGroup: DCM\r\nED:{phases['ED']} \r\n".encode())
    path = images(folder)[0]
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    return folder


LAYOUTS = [
    as_whole_zip,
    as_root_training,
    as_old_release,
    as_patients_alone,
    as_training_in_training,
    as_plain_nifti,
    as_folders_called_like_files,
    as_folders_with_odd_names,
    as_renamed_frames,
    as_renamed_frames_without_info,
    as_other_notation,
]


def names(dataset):
    return [(ref.id, ref.group, ref.split) for ref in dataset.refs()]


def assert_same(one, other):
    assert one.task == other.task
    assert names(one) == names(other)
    for ref in one.refs():
        case, twin = one.load(ref), other.load(ref)
        assert np.array_equal(case.image, twin.image) and case.spacing == twin.spacing
        assert np.array_equal(case.affine, twin.affine)
        assert (case.truth is None) == (twin.truth is None)
        assert case.truth is None or np.array_equal(case.truth.array, twin.truth.array)


@pytest.mark.parametrize("split", ["random", "70/10/20"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_every_layout_gives_the_same_cases(forged, folder, layout, split):
    assert_same(prepared(layout(folder), split), prepared(forged, split))


@pytest.mark.parametrize(
    "layout", [as_whole_zip, as_root_training, as_plain_nifti, as_folders_called_like_files, as_renamed_frames]
)
def test_every_layout_with_test_labels_gives_the_same_official_split(forged, folder, layout):
    assert_same(prepared(layout(folder), "official"), prepared(forged, "official"))


def test_every_layout_offers_the_same_test_images(forged, folder):
    expected = prepared(forged, use_test_images=True)
    assert [ref.split for ref in expected.refs()] == [""] * 16 + ["unlabelled"] * 4
    assert_same(prepared(as_old_release(folder), use_test_images=True), expected)
    assert expected.task.revision == prepared(forged).task.revision


def test_what_is_segmented(forged):
    task = prepared(forged).task
    assert task.name == "acdc" and task.labels == ("background", "RV", "Myo", "LV") and len(task.revision) == 12
    assert not task.synthetic and task.channels == ("cine MR",)
    for ref in prepared(forged).refs():
        assert ref.id in (f"{ref.group}_ED", f"{ref.group}_ES") and ref.stamp


def test_phases_are_those_of_info_cfg(forged):
    """Patient 3 has ED = 11 and ES = 3: frame order would swap them. The LV is larger at end-diastole."""
    dataset = prepared(forged)
    assert dataset.cases_["patient003_ED"].images[0].name == "patient003_frame11.nii.gz"
    for patient in ("patient001", "patient003", "patient007"):
        diastole, systole = (dataset.load(CaseRef(f"{patient}_{phase}", patient)) for phase in ("ED", "ES"))
        assert (diastole.truth.array == 3).sum() > (systole.truth.array == 3).sum()
        assert diastole.spacing == (10, 1.5, 1.5) and set(np.unique(diastole.truth.array)) == {0, 1, 2, 3}


def test_the_published_list():
    assert len(lists.VALIDATION) == 10 and len(lists.TEST) == 20 and not lists.VALIDATION & lists.TEST
    assert set(lists.PATIENTS) >= lists.VALIDATION | lists.TEST and len(lists.PATIENTS) == 100


def test_the_published_list_against_the_file(real_data):
    import json

    published = json.loads((real_data / "splits.json").read_text())["acdc_70_10_20_ssl4mis"]
    assert {f"patient{number:03d}" for number in lists.VALIDATION} == set(published["val"])
    assert {f"patient{number:03d}" for number in lists.TEST} == set(published["test"])
    rest = set(lists.PATIENTS) - lists.VALIDATION - lists.TEST
    assert {f"patient{number:03d}" for number in rest} == set(published["train"])


def test_the_splits(forged, caplog):
    with caplog.at_level(logging.WARNING):
        listed = prepared(forged, "70/10/20")
    assert "names 100 patients; 8 of them" in caplog.text and "8 of them" in listed.task.notes[1]
    roles = {ref.group: ref.split for ref in listed.refs()}
    assert roles["patient001"] == roles["patient007"] == "test" and roles["patient002"] == roles["patient019"] == "val"
    assert [roles[f"patient00{number}"] for number in (3, 4, 5, 6)] == ["train"] * 4
    official = prepared(forged, "official")
    assert [ref.split for ref in official.refs()] == ["train"] * 16 + ["test"] * 4
    splits = split_cases(official.refs(), CONFIG)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (16, 0, 4)
    random = split_cases(prepared(forged).refs(), CONFIG)
    for one, other in ((random.train, random.val), (random.train, random.test), (random.val, random.test)):
        assert not {ref.group for ref in one} & {ref.group for ref in other}


def test_a_patient_outside_the_list(folder):
    (folder / "training" / "patient007").rename(folder / "training" / "patient123")
    for path in sorted((folder / "training" / "patient123").iterdir()):
        path.rename(path.with_name(path.name.replace("patient007", "patient123")))
    with pytest.raises(DataInvalid, match=r"found patient123 in training.*split=random"):
        prepared(folder, "70/10/20")
    assert "patient123_ED" in [ref.id for ref in prepared(folder).refs()]


def test_the_revision_follows_the_content(folder):
    before = prepared(folder)
    path = folder / "training" / "patient002" / "patient002_frame01_gt.nii.gz"
    truth = read_label_map(path)
    array = truth.array.copy()
    array[0, 0, 0] = 1
    write_label_map(path, LabelMap(array, truth.spacing, truth.affine))
    after = prepared(folder)
    assert after.task.revision != before.task.revision
    assert [ref.stamp for ref in before.refs()][3:] == [ref.stamp for ref in after.refs()][3:]


def test_swapped_phases_change_the_revision(folder):
    before = prepared(folder).task.revision
    (folder / "training" / "patient001" / "Info.cfg").write_text("ED: 12\nES: 1\n")
    assert prepared(folder).task.revision != before


@pytest.mark.parametrize("path", [None, "nothing", "file"])
def test_missing_data_say_what_to_download(tmp_path, path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataMissing, match=r"humanheart-project.*cite Bernard.*--set dataset\.path="):
        ACDC(path=tmp_path / path if path else None).prepare(tmp_path)
    with pytest.raises(DataMissing, match="prepare"):
        _ = ACDC().task


def test_test_cases_without_labels(folder):
    root = as_old_release(folder)
    with pytest.raises(DataMissing, match=r"label maps of the testing patients.*humanheart"):
        prepared(root, "official")
    shutil.rmtree(root / "testing")
    with pytest.raises(DataMissing, match="expected testing patients, found none"):
        prepared(root, "official")


@pytest.mark.parametrize("content", ["", "ED: 1\n", "ED: x\nES: 2\n", "ED: 1\nES: 1\n", "\0\0\0", "ED 1 ES 12"])
def test_damaged_info_cfg(folder, content):
    (folder / "training" / "patient001" / "Info.cfg").write_text(content)
    with pytest.raises(DataInvalid, match=r"patient001.*Info\.cfg: expected lines"):
        prepared(folder)


def test_phases_are_never_guessed(folder):
    patient = folder / "training" / "patient001"
    (patient / "Info.cfg").unlink()
    with pytest.raises(DataInvalid, match=r"expected Info\.cfg with ED, ES, found the frames \[1, 12\] and no Info"):
        prepared(folder)
    (patient / "Info.cfg").write_text("ED: 1\nES: 13\n")
    with pytest.raises(DataInvalid, match=r"ES = frame 13, found the frames \[1, 12\]"):
        prepared(folder)


def test_damaged_folders(folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataInvalid, match="found no such folder"):
        prepared(empty)
    (empty / "slices").mkdir()
    (empty / "slices" / "patient001_frame01_slice_0.h5").write_bytes(b"x")
    with pytest.raises(DataInvalid, match=r"slices in \.h5 files"):
        prepared(empty)
    shutil.copytree(folder, folder.parent / "again")
    with pytest.raises(DataInvalid, match="several copies"):
        prepared(folder.parent)
    shutil.copytree(folder / "training" / "patient001", folder / "testing" / "patient001")
    with pytest.raises(DataInvalid, match="patient001 twice"):
        prepared(folder, "official")
    (folder / "training" / "patient002" / "patient002_frame09_gt.nii.gz").unlink()
    with pytest.raises(DataInvalid, match=r"patient002: expected a label map .* found none of ES"):
        prepared(folder)


def test_damaged_files(folder):
    label = folder / "training" / "patient001" / "patient001_frame01_gt.nii.gz"
    dataset, ref = prepared(folder), CaseRef("patient001_ED", "patient001")
    truth = dataset.load(ref).truth
    write_label_map(label, LabelMap(truth.array + 1, truth.spacing, truth.affine))
    with pytest.raises(DataInvalid, match="case patient001_ED: expected labels 0 to 3, found 4 in"):
        dataset.load(ref)
    write_label_map(label, LabelMap(truth.array[1:], truth.spacing, truth.affine))
    with pytest.raises(DataInvalid, match="case patient001_ED: expected one grid"):
        dataset.load(ref)
    write_label_map(label, LabelMap(truth.array, (5.0, 1.5, 1.5)))
    with pytest.raises(DataInvalid, match="case patient001_ED: expected one grid"):
        dataset.load(ref)
    label.write_bytes(label.read_bytes()[:-20])
    with pytest.raises(DataInvalid, match="patient001_frame01_gt"):
        prepared(folder)
    image = folder / "training" / "patient002" / "patient002_frame01.nii.gz"
    write_image(image, np.zeros((2, *truth.array.shape), np.float32), truth.spacing)
    with pytest.raises(DataInvalid, match=r"case patient002_ED: expected one channel .*found 2"):
        dataset.load(CaseRef("patient002_ED", "patient002"))
    with pytest.raises(DataInvalid, match="Did you mean"):
        dataset.load(CaseRef("patient001_EX", "patient001"))


def test_a_shifted_label_map_is_taken_with_a_warning(folder, caplog):
    dataset, ref = prepared(folder), CaseRef("patient001_ED", "patient001")
    truth = dataset.load(ref).truth
    shifted = truth.affine.copy()
    shifted[:3, 3] += 5
    path = folder / "training" / "patient001" / "patient001_frame01_gt.nii.gz"
    write_label_map(path, LabelMap(truth.array, truth.spacing, shifted))
    assert np.array_equal(dataset.load(ref).truth.affine, truth.affine) and "patient001_ED" in caplog.text


def test_listing_needs_no_heavy_library():
    code = (
        "import sys, segbench_acdc as plugin; plugin.segbench_datasets(); "
        "print({'numpy', 'nibabel', 'torch', 'scipy'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


@pytest.mark.parametrize("layout", ["testing", "testing/testing", "the path itself"])
@pytest.mark.parametrize("split", ["70/10/20", "random"])
def test_testing_patients_alone_are_not_taken_for_training(folder, layout, split):
    shutil.rmtree(folder / "training")
    if layout == "testing/testing":
        (folder / "testing").rename(folder / "inner")
        (folder / "testing").mkdir()
        (folder / "inner").rename(folder / "testing" / "testing")
    path = folder / "testing" if layout == "the path itself" else folder
    with pytest.raises(DataInvalid, match=r"expected ACDC with training/.*found the testing patients alone"):
        prepared(path, split)
