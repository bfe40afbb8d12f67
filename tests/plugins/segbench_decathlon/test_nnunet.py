"""The nnunet dataset: regions, ignore label, folds, the dataset map, version 1, and what can be wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest

from segbench import UNKNOWN, DataInvalid, DataMissing, LabelMap, write_image, write_label_map
from segbench_decathlon.decathlon import Decathlon
from segbench_decathlon.nnunet import NNUNet

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def folder(tmp_path):
    return NNUNet().forge(tmp_path).path


def prepared(folder, **parameters):
    dataset = NNUNet(path=folder, **parameters)
    dataset.prepare(folder)
    return dataset


def edit(folder, **changes):
    path = folder / "dataset.json"
    description = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in description.items() if value is not None}))


def test_a_forged_folder_with_channels_regions_and_folds(folder):
    dataset = prepared(folder)
    task = dataset.task
    assert task.name == "nnunet-Dataset999_Forged"
    assert task.labels == ("background", "label 1", "lower") and task.channels == ("T1", "T2")
    assert task.regions == {"whole": (1, 2), "lower": (2,)}
    assert [structure.name for structure in task.structures] == ["whole", "lower"]
    assert len(dataset.refs()) == 8 and len(dataset.folds()) == 2
    case = dataset.load(dataset.refs()[0])
    assert case.image.shape[0] == 2 and not np.array_equal(case.image[0], case.image[1])
    assert case.image.shape[1:] == case.truth.array.shape


def test_test_images_are_unlabelled_cases_when_asked_for(folder):
    refs = prepared(folder, use_test_images=True).refs()
    assert [ref.split for ref in refs] == [""] * 8 + ["unlabelled"] * 2


@pytest.mark.parametrize(
    ("labels", "names", "regions"),
    [
        ({"background": 0, "a": 1, "b": 2}, ("background", "a", "b"), {}),
        ({"b": 2, "background": [0], "a": [1]}, ("background", "a", "b"), {}),
        (
            {"background": 0, "whole tumour": [1, 2, 3], "core": [2, 3], "enhancing": 3},
            ("background", "label 1", "label 2", "enhancing"),
            {"whole tumour": (1, 2, 3), "core": (2, 3), "enhancing": (3,)},
        ),
    ],
)
def test_labels_and_regions(folder, labels, names, regions):
    edit(folder, labels=labels, regions_class_order=None)
    task = prepared(folder).task
    assert task.labels == names and task.regions == regions


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"background": 0},
        {"a": 1},
        {"background": 0, "a": 2},
        {"background": 0, "a": 1, "b": 1},
        {"background": 0, "other": 0, "a": 1},
        {"background": 0, "a": "1"},
        {"background": 0, "a": 1.5},
        {"background": 0, "a": True},
        {"background": 0, "a": []},
        {"background": 0, "a": -1},
        {"background": 0, "a": 10**12},
        {"background": 0, "a": [0, 1]},
        {"background": 0, "a": 1, "ignore": 1},
        {"background": 0, "a": 2, "ignore": 1},
        {"background": 0, "a": 1, "ignore": [2, 3]},
        {"background": 0, "ignore": 1},
    ],
)
def test_labels_that_make_no_sense(folder, labels):
    edit(folder, labels=labels)
    with pytest.raises(DataInvalid, match="expected"):
        prepared(folder)


def test_regions_class_order_of_another_length(folder):
    edit(folder, regions_class_order=[1])
    with pytest.raises(DataInvalid, match="regions_class_order with 2"):
        prepared(folder)


def test_ignored_voxels_are_unknown(folder):
    edit(folder, labels={"background": 0, "upper": 1, "lower": 2, "ignore": 3}, regions_class_order=None)
    dataset = prepared(folder)
    assert dataset.task.labels == ("background", "upper", "lower")
    case = dataset.load(dataset.refs()[0])
    assert case.truth.array.dtype.kind == "i" and case.truth.array.min() == 0
    array = case.truth.array.astype(np.uint8)
    array[0, 0, :4] = 3
    write_label_map(folder / "labelsTr" / "forged_000.nii.gz", LabelMap(array, case.spacing, case.affine))
    truth = dataset.load(dataset.refs()[0]).truth.array
    assert (truth[0, 0, :4] == UNKNOWN).all() and (truth == UNKNOWN).sum() == 4
    array[0, 0, 0] = 4
    write_label_map(folder / "labelsTr" / "forged_000.nii.gz", LabelMap(array, case.spacing, case.affine))
    with pytest.raises(DataInvalid, match=r"forged_000: expected labels 0 to 2 or 3 \(ignored\), found 4 in"):
        dataset.load(dataset.refs()[0])


def test_channels_that_are_missing_or_too_many(folder):
    path = folder / "imagesTr" / "forged_002_0001.nii.gz"
    path.rename(folder / "imagesTr" / "forged_002_0002.nii.gz")
    with pytest.raises(DataInvalid, match="case forged_002: expected 2 channels"):
        prepared(folder)
    (folder / "imagesTr" / "forged_002_0002.nii.gz").unlink()
    with pytest.raises(DataInvalid, match="case forged_002"):
        prepared(folder)


def test_channels_on_different_grids(folder):
    write_image(folder / "imagesTr" / "forged_000_0001.nii.gz", np.zeros((2, 3, 4), np.float32), (1, 1, 1))
    dataset = prepared(folder)
    with pytest.raises(DataInvalid, match="case forged_000: expected one grid"):
        dataset.load(dataset.refs()[0])


def test_images_without_labels_and_labels_without_images(folder):
    (folder / "labelsTr" / "forged_001.nii.gz").rename(folder / "labelsTr" / "stray.nii.gz")
    with pytest.raises(DataInvalid, match="without label: forged_001; labels without image: stray"):
        prepared(folder)


def test_the_dataset_map_may_point_elsewhere(folder, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    (folder / "imagesTr").rename(elsewhere)
    monkeypatch.setenv("SOME_LABELS", str(folder / "labelsTr"))
    table = {
        f"case{number}": {
            "images": [
                str(elsewhere / f"forged_00{number}_0000.nii.gz"),
                f"../elsewhere/forged_00{number}_0001.nii.gz",
            ],
            "label": f"$SOME_LABELS/forged_00{number}.nii.gz",
        }
        for number in range(3)
    }
    (folder / "splits_final.json").unlink()
    edit(folder, dataset=table)
    dataset = prepared(folder)
    assert [ref.id for ref in dataset.refs()] == ["case0", "case1", "case2"]
    assert dataset.load(dataset.refs()[2]).image.shape[0] == 2
    assert dataset.folds() == []
    monkeypatch.delenv("SOME_LABELS")
    with pytest.raises(DataInvalid, match=r"3 missing: case case0: .*\$SOME_LABELS"):
        prepared(folder)


@pytest.mark.parametrize(
    "table",
    [
        [],
        {},
        {"x": None},
        {"x": {"images": []}},
        {"x": {"images": ["a"], "label": None}},
        {"x": {"images": "a", "label": "b"}},
        {"../x": {"images": ["a"], "label": "b"}},
        {"x": {"images": ["a"], "label": "b\0"}},
    ],
)
def test_dataset_maps_that_make_no_sense(folder, table):
    edit(folder, dataset=table)
    with pytest.raises(DataInvalid, match="expected"):
        prepared(folder)


@pytest.mark.parametrize("changes", [{"channel_names": {"1": "T1"}}, {"channel_names": {}}, {"file_ending": "../x"}])
def test_descriptions_that_make_no_sense(folder, changes):
    edit(folder, **changes)
    with pytest.raises(DataInvalid, match="expected"):
        prepared(folder)


def test_folds_from_a_file_elsewhere(folder, tmp_path):
    path = tmp_path / "splits.json"
    path.write_text(json.dumps([{"train": ["forged_000"], "val": ["forged_001"]}]))
    assert prepared(folder, splits=path).folds() == [{"train": ["forged_000"], "val": ["forged_001"]}]
    with pytest.raises(DataMissing, match="splits_final"):
        prepared(folder, splits=tmp_path / "absent.json")


@pytest.mark.parametrize("where", ["raw", "variable", "beside"])
def test_folds_are_found_where_nnunet_keeps_them(folder, tmp_path, monkeypatch, where):
    monkeypatch.delenv("nnUNet_preprocessed", raising=False)
    raw = tmp_path / "nnUNet_raw" / folder.name
    raw.parent.mkdir()
    folder.rename(raw)
    split = raw / "splits_final.json"
    content = json.loads(split.read_text())
    homes = {
        "raw": raw,
        "variable": tmp_path / "else" / raw.name,
        "beside": tmp_path / "nnUNet_preprocessed" / raw.name,
    }
    homes[where].mkdir(parents=True, exist_ok=True)
    split.rename(homes[where] / split.name)
    if where == "variable":
        monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "else"))
    dataset = prepared(raw)
    words = {"raw": "the raw folder", "variable": "$nnUNet_preprocessed", "beside": "the nnUNet_preprocessed beside"}
    assert dataset.folds() == content and f"the 2 of splits_final.json in {words[where]}" in dataset.task.notes[0]
    (homes[where] / split.name).unlink()
    assert prepared(raw).folds() == [] and "there is no splits_final.json in" in prepared(raw).task.notes[0]


def test_a_run_says_whose_split_it_is(folder, monkeypatch):
    from typer.testing import CliRunner

    from segbench.cli import app

    monkeypatch.delenv("nnUNet_preprocessed", raising=False)
    command = ["run", "--dataset", "nnunet", "--set", f"dataset.path={folder}", "--method", "ce", "--dry-run"]

    def said(*others):
        done = CliRunner().invoke(app, [*command, *others])
        assert done.exit_code == 0, done.output
        return " ".join(done.output.split())

    assert "split fold 1 of the dataset's own 2 Folds: the 2 of splits_final.json in the raw folder" in said("--fold=1")
    assert "split fold 0 of 4, drawn here by patient" in said("--folds=4", "--fold=0")
    (folder / "splits_final.json").unlink()
    assert "split drawn here by patient: 72% train, 8% validation, 20% test Folds: none of nnU-Net's" in said()


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"train": 1}',
        "[1]",
        '[{"train": ["forged_000"], "val": []}]',
        '[{"train": ["nobody"], "val": ["forged_000"]}]',
        '[{"train": ["forged_000"], "val": ["forged_000"]}]',
        '[{"train": [["forged_000"]], "val": ["forged_001"]}]',
    ],
)
def test_folds_that_make_no_sense(folder, content):
    (folder / "splits_final.json").write_text(content)
    with pytest.raises(DataInvalid, match="expected"):
        prepared(folder)


def test_version_one_is_converted(folder):
    (folder / "dataset.json").write_text(
        json.dumps(
            {
                "modality": {"0": "T1", "1": "T2"},
                "labels": {"0": "background", "1": "upper", "2": "lower"},
                "training": [],
                "test": [],
            }
        )
    )
    dataset = prepared(folder)
    assert dataset.task.labels == ("background", "upper", "lower") and dataset.task.channels == ("T1", "T2")
    assert len(dataset.refs()) == 8


def test_decathlon_folders_are_recognised(tmp_path):
    with pytest.raises(DataInvalid, match="--dataset decathlon"):
        prepared(Decathlon().forge(tmp_path).path)


def test_missing_data_say_what_to_do(tmp_path):
    with pytest.raises(DataMissing, match=r"--set dataset\.path="):
        NNUNet().prepare(tmp_path)
    with pytest.raises(DataMissing, match="prepare"):
        _ = NNUNet().task


@pytest.mark.slow
def test_metaimages(folder):
    simpleitk = pytest.importorskip("SimpleITK")
    for path in sorted(folder.glob("*/*.nii.gz")):
        simpleitk.WriteImage(simpleitk.ReadImage(str(path)), str(path).replace(".nii.gz", ".mha"))
        path.unlink()
    edit(folder, file_ending=".mha")
    dataset = prepared(folder)
    assert len(dataset.refs()) == 8
    assert set(np.unique(dataset.load(dataset.refs()[0]).truth.array)) == {0, 1, 2}


def test_the_real_prostates(real_data):
    dataset = prepared(real_data / "prostate_deepreg" / "Dataset701_DeepRegProstate")
    assert len(dataset.refs()) == 27 and dataset.task.labels == ("background", "prostate")
    for ref in dataset.refs():
        assert dataset.load(ref).truth.array.max() == 1
