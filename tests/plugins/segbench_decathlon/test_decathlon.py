"""The decathlon dataset: the native layout, its quirks, and everything that can be wrong with a folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings

import nibabel
import numpy as np
import pytest

from segbench import DataInvalid, DataMissing, LabelMap, UsageError, write_image, write_label_map
from segbench_decathlon.decathlon import Decathlon

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def folder(tmp_path):
    return Decathlon().forge(tmp_path).path


def prepared(folder, **parameters):
    dataset = Decathlon(path=folder, **parameters)
    dataset.prepare(folder)
    return dataset


def edit(folder, change):
    path = folder / "dataset.json"
    description = json.loads(path.read_text())
    change(description)
    path.write_text(json.dumps(description))


def test_a_forged_task_is_read_with_its_quirks(folder):
    dataset = prepared(folder)
    assert dataset.task.name == "decathlon-Task99_Forged"
    assert dataset.task.labels == ("background", "upper", "lower") and dataset.task.channels == ("MRI",)
    refs = dataset.refs()
    assert [ref.id for ref in refs] == [f"forged_{number}" for number in range(8)]
    assert {ref.split for ref in refs} == {""} and all(ref.group == ref.id and ref.stamp for ref in refs)
    for ref in refs:
        case = dataset.load(ref)
        assert case.image.dtype == np.float32 and case.image.shape[1:] == case.truth.array.shape
        assert case.spacing == (1.5, 1, 1) and np.array_equal(case.affine, case.truth.affine)
        assert set(np.unique(case.truth.array)) == {0, 1, 2}


def test_listing_needs_no_heavy_library():
    code = (
        "import sys, segbench_decathlon as plugin; plugin.segbench_datasets(); "
        "print({'numpy', 'nibabel', 'torch', 'scipy'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_test_images_are_unlabelled_cases_when_asked_for(folder):
    dataset = prepared(folder, use_test_images=True)
    refs = dataset.refs()
    assert [ref.split for ref in refs] == [""] * 8 + ["unlabelled"] * 2
    assert dataset.load(refs[-1]).truth is None
    assert dataset.task.revision == prepared(folder).task.revision
    shutil.rmtree(folder / "imagesTs")
    edit(folder, lambda description: description.update(test=[]))
    with pytest.raises(DataMissing, match=r"imagesTs.*use_test_images=false"):
        prepared(folder, use_test_images=True)


def test_revision_and_stamp_follow_the_content(folder):
    before = prepared(folder)
    label = folder / "labelsTr" / "forged_3.nii.gz"
    case = before.load(before.refs()[3])
    array = case.truth.array.copy()
    array[0, 0, 0] = 1
    write_label_map(label, LabelMap(array, case.spacing, case.affine))
    after = prepared(folder)
    assert after.task.revision != before.task.revision and len(after.task.revision) == 12
    stamps = [ref.stamp for ref in after.refs()]
    write_label_map(label, LabelMap(array, case.spacing, case.affine))
    assert [ref.stamp for ref in after.refs()] != stamps
    assert prepared(folder).task.revision == after.task.revision


def test_the_order_of_training_is_kept(folder):
    edit(folder, lambda description: description["training"].reverse())
    assert prepared(folder).refs()[0].id == "forged_7"


def test_a_parent_with_one_task_folder_will_do(folder):
    assert prepared(folder.parent).task.name == "decathlon-Task99_Forged"
    shutil.copytree(folder, folder.parent / "Task98_Other")
    with pytest.raises(DataInvalid, match="Task98_Other, Task99_Forged"):
        prepared(folder.parent)


def test_names_become_safe(folder):
    renamed = folder.rename(folder.parent / "Task05 é Prostate")
    task = prepared(renamed).task
    assert task.name == "decathlon-Task05___Prostate"
    assert "prostate_18" in task.notes[0]


@pytest.mark.parametrize("path", [None, "nothing", "file"])
def test_missing_data_say_what_to_download(tmp_path, path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataMissing, match=r"msd-for-monai.*CC-BY-SA 4\.0.*--set dataset\.path="):
        prepared(tmp_path / path) if path else Decathlon().prepare(tmp_path)
    with pytest.raises(DataInvalid, match=r"no dataset\.json"):
        prepared(tmp_path)


def test_calls_before_prepare_are_told_so():
    with pytest.raises(DataMissing, match="prepare"):
        _ = Decathlon().task


def test_groups_by_pattern(folder):
    refs = prepared(folder, group_pattern=r"forged_(\d)").refs()
    assert [ref.group for ref in refs] == list("01234567")
    for pattern in ("(", "forged", "other_(x)", "()"):
        with pytest.raises(UsageError, match="group_pattern"):
            prepared(folder, group_pattern=pattern).refs()


@pytest.mark.parametrize("part", ["imagesTr", "labelsTr"])
def test_listed_files_that_are_missing_are_named(folder, part):
    (folder / part / "forged_2.nii.gz").unlink()
    with pytest.raises(DataInvalid, match=rf"forged_2: .*{part}"):
        prepared(folder)


def test_files_that_are_not_listed_are_reported(folder):
    shutil.copy(folder / "imagesTr" / "forged_0.nii.gz", folder / "imagesTr" / "extra.nii.gz")
    with pytest.warns(UserWarning, match=r"1 files are not listed.*extra\.nii\.gz"):
        assert len(prepared(folder).refs()) == 8


@pytest.mark.parametrize(
    "evil", ["../../etc/passwd", "/etc/passwd", "imagesTr/../../x.nii.gz", "", None, 7, "C:\\x", "..\\x", "a\0b"]
)
def test_paths_that_leave_the_folder_are_refused(folder, evil):
    edit(folder, lambda description: description["training"][0].update(label=evil))
    with pytest.raises(DataInvalid, match="inside the task folder"):
        prepared(folder)


@pytest.mark.parametrize("name", ["a b", "-x", "ü", "x" * 200])
def test_unsafe_case_names_are_refused(folder, name):
    edit(folder, lambda description: description["training"][0].update(image=f"./imagesTr/{name}.nii.gz"))
    with pytest.raises(DataInvalid, match="cannot be used as a name"):
        prepared(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"training": None},
        {"training": []},
        {"training": ["x"]},
        {"training": [{"image": "x.nii.gz"}]},
        {"labels": None},
        {"labels": {"0": "background"}},
        {"labels": {"0": "background", "2": "x"}},
        {"labels": {"a": "background", "1": "x"}},
        {"modality": ["MRI"]},
        {"channel_names": {"0": "MRI"}},
    ],
)
def test_descriptions_that_make_no_sense(folder, change):
    edit(folder, lambda description: description.update(change))
    with pytest.raises(DataInvalid, match="expected"):
        prepared(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00", b"[" * 100_000])
def test_descriptions_that_are_no_json(folder, content):
    (folder / "dataset.json").write_bytes(content)
    with pytest.raises(DataInvalid, match="expected"):
        prepared(folder)


def test_a_case_twice_is_refused(folder):
    edit(folder, lambda description: description["training"].append(description["training"][0]))
    with pytest.raises(DataInvalid, match="'forged_0' twice"):
        prepared(folder)


def test_labels_out_of_range_are_named_with_their_case(folder):
    dataset = prepared(folder)
    case = dataset.load(dataset.refs()[1])
    array = case.truth.array.astype(np.int16)
    array[0, 0, :3] = (7, -2, 9)
    write_label_map(folder / "labelsTr" / "forged_1.nii.gz", LabelMap(array, case.spacing, case.affine))
    with pytest.raises(DataInvalid, match="case forged_1: expected labels 0 to 2, found -2, 7, 9"):
        dataset.load(dataset.refs()[1])


def test_grids_that_differ(folder, caplog):
    dataset = prepared(folder)
    ref = dataset.refs()[1]
    case = dataset.load(ref)
    path = folder / "labelsTr" / "forged_1.nii.gz"
    write_label_map(path, LabelMap(case.truth.array[1:], case.spacing, case.affine))
    with pytest.raises(DataInvalid, match="case forged_1: expected one grid"):
        dataset.load(ref)
    write_label_map(path, LabelMap(case.truth.array, (1.5, 1, 2)))
    with pytest.raises(DataInvalid, match="case forged_1: expected one grid"):
        dataset.load(ref)
    shifted = case.affine.copy()
    shifted[:3, 3] += 5
    write_label_map(path, LabelMap(case.truth.array, case.spacing, shifted))
    assert np.array_equal(dataset.load(ref).truth.affine, case.affine)
    assert "case forged_1" in caplog.text and "origin or direction" in caplog.text


def test_images_of_several_channels(folder):
    dataset = prepared(folder)
    for ref in dataset.refs():
        case = dataset.load(ref)
        image = np.concatenate([case.image, case.image])
        write_image(folder / "imagesTr" / f"{ref.id}.nii.gz", image, case.spacing, case.affine)
    assert nibabel.load(folder / "imagesTr" / "forged_0.nii.gz").ndim == 4
    with pytest.raises(DataInvalid, match="expected one channel"):
        dataset.load(dataset.refs()[0])
    edit(folder, lambda description: description.update(modality={"1": "ADC", "0": "T2"}))
    dataset = prepared(folder)
    assert dataset.task.channels == ("T2", "ADC")
    assert dataset.load(dataset.refs()[0]).image.shape[0] == 2


def test_background_only_and_single_slices_are_cases(folder):
    image = np.ones((1, 1, 9, 8), np.float32)
    write_image(folder / "imagesTr" / "forged_0.nii.gz", image, (1, 1, 1))
    write_label_map(folder / "labelsTr" / "forged_0.nii.gz", LabelMap(np.zeros((1, 9, 8), np.uint8), (1, 1, 1)))
    dataset = prepared(folder)
    assert dataset.load(dataset.refs()[0]).truth.array.shape == (1, 9, 8)


def test_unknown_cases_are_refused(folder):
    dataset = prepared(folder)
    with pytest.raises(DataInvalid, match="Did you mean"):
        dataset.load(type(dataset.refs()[0])("forged_77", "x"))


def test_the_real_hippocampus_is_read_whole(real_data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = prepared(real_data / "msd_hippocampus" / "Task04_Hippocampus")
        refs = dataset.refs()
        assert len(refs) == 260 and refs[0].id == "hippocampus_367"
        assert dataset.task.labels == ("background", "Anterior", "Posterior")
        for ref in refs:
            case = dataset.load(ref)
            assert np.isfinite(case.image).all() and case.truth.array.max() == 2


def test_the_real_anomalies_are_refused_in_words(real_data, folder):
    anomalies = real_data / "msd_hippocampus" / "anomalies"
    with pytest.raises(DataInvalid, match=r"no dataset\.json"):
        prepared(anomalies)
    dataset = prepared(folder)
    label = sorted((anomalies / "labels").glob("*.nii.gz"))[0]
    shutil.copy(label, folder / "labelsTr" / "forged_0.nii.gz")
    with pytest.raises(DataInvalid, match="case forged_0"):
        dataset.load(dataset.refs()[0])
