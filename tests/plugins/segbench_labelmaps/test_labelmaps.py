"""The labelmaps dataset: what is segmented, how it looks, that it repeats itself, and what can be wrong."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from segbench import DataInvalid, DataMissing, LabelMap, UsageError, write_label_map
from segbench_labelmaps.labelmaps import LabelMaps
from segbench_labelmaps.names import find_table, read_table
from segbench_labelmaps.synthesis import Appearance, bias_field, mean_of, synthesise


@pytest.fixture
def folder(tmp_path):
    return LabelMaps().forge(tmp_path).path


def prepared(folder, **parameters):
    dataset = LabelMaps(path=folder, **parameters)
    dataset.prepare(folder)
    return dataset


def test_a_forged_folder(folder):
    dataset = prepared(folder)
    task = dataset.task
    assert task.name == "labelmaps-forged_labelmaps" and task.synthetic
    assert task.notes == ("intensities synthesised from real label maps",)
    assert task.labels == ("background", "white matter", "cortex", "left hippocampus", "right hippocampus")
    assert len(dataset.refs()) == 8
    for ref in dataset.refs():
        case = dataset.load(ref)
        assert case.image.dtype == np.float32 and case.image.shape == (1, *case.truth.array.shape)
        assert np.isfinite(case.image).all() and case.spacing == (2, 2, 2)
        assert set(np.unique(case.truth.array)) == {0, 1, 2, 3, 4} and case.truth.array.dtype == np.uint8


def test_listing_needs_no_heavy_library():
    code = (
        "import sys, segbench_labelmaps as plugin; plugin.segbench_datasets(); "
        "print({'numpy', 'nibabel', 'torch', 'scipy'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_the_same_seed_and_case_give_the_same_image(folder):
    one, other = prepared(folder), prepared(folder)
    first, second = one.refs()[:2]
    assert np.array_equal(one.load(first).image, other.load(first).image)
    assert one.load(first).image.shape == one.load(second).image.shape
    assert not np.array_equal(one.load(first).image, one.load(second).image)
    assert not np.array_equal(one.load(first).image, prepared(folder, seed=1).load(first).image)


def test_the_revision_names_everything_that_shapes_the_data(folder):
    base = prepared(folder).task.revision
    changes = ({"seed": 1}, {"noise": 1.0}, {"bias": 0.0}, {"blur": 0.0}, {"contrast": "random"}, {"labels": "2,3"})
    revisions = {prepared(folder, **change).task.revision for change in changes}
    assert len(revisions) == 6 and base not in revisions
    assert prepared(folder, labels="table").task.revision == base
    write_label_map(folder / "forged_00.nii.gz", LabelMap(np.full((4, 4, 4), 53, np.uint8), (1, 1, 1)))
    assert prepared(folder).task.revision != base


def test_chosen_labels_are_renumbered_and_the_rest_stays_visible(folder):
    dataset = prepared(folder, labels="53, 17", noise=0.0)
    assert dataset.task.labels == ("background", "left hippocampus", "right hippocampus")
    whole = prepared(folder, noise=0.0)
    ref = dataset.refs()[0]
    some, every = dataset.load(ref), whole.load(ref)
    assert np.array_equal(some.truth.array == 1, every.truth.array == 3)
    assert np.array_equal(some.truth.array == 2, every.truth.array == 4)
    assert np.array_equal(some.image, every.image)


def test_values_without_a_name(folder):
    (folder / "forged_labels.csv").unlink()
    assert prepared(folder).task.labels == ("background", "label 2", "label 3", "label 17", "label 53")
    with pytest.raises(DataMissing, match=r"dataset\.table"):
        prepared(folder, labels="table")


def test_equal_names_are_told_apart(folder):
    (folder / "forged_labels.csv").write_text("label,name\n17,hippocampus\n53,hippocampus\n")
    names = prepared(folder).task.labels
    assert names == ("background", "label 2", "label 3", "hippocampus (17)", "hippocampus (53)")


def test_t1_contrast_is_that_of_a_t1_and_random_differs_by_case(folder):
    def means(dataset, ref):
        case = dataset.load(ref)
        return [float(case.image[0][case.truth.array == value].mean()) for value in range(5)]

    plain = prepared(folder, bias=0.0)
    air, white, grey, left, right = means(plain, plain.refs()[0])
    assert air < 15 < left < 90 and grey < 80 < white
    assert abs(left - right) < 6
    random = prepared(folder, contrast="random", bias=0.0)
    a, b = (means(random, ref) for ref in random.refs()[:2])
    assert np.abs(np.subtract(a, b))[1:].max() > 10


def test_means_by_name():
    white, grey, fluid = (mean_of(1, name, 0) for name in ("Left Cerebral White Matter", "ctx-lh-cuneus", "CSF"))
    assert fluid < grey < white
    assert mean_of(2, "left thalamus", 0) == mean_of(41, "Right Thalamus", 0)
    assert mean_of(5, "label 5", 0) == mean_of(5, "label 5", 0) != mean_of(6, "label 6", 0)
    assert mean_of(5, "label 5", 0) != mean_of(5, "label 5", 1)


def test_the_parts_of_the_image_do_what_they_say():
    array = np.zeros((12, 14, 16), np.int16)
    array[3:9, 3:11, 3:13] = 300
    plain = Appearance("t1", 0.0, 0.0, 0.0, 0)
    image = synthesise(array, {300: "white matter"}, "x", plain)
    assert image.dtype == np.float32 and image[array == 300].std() < 8
    noisy = synthesise(array, {300: "white matter"}, "x", Appearance("t1", 20.0, 0.0, 0.0, 0))
    assert 18 < (noisy - image).std() < 22
    blurred = synthesise(array, {300: "white matter"}, "x", Appearance("t1", 0.0, 0.0, 1.0, 0))
    assert 30 < blurred[6, 7, 3] < 90 < image[6, 7, 3]
    field = bias_field((30, 20, 10), 0.3, np.random.default_rng(0))
    assert field.shape == (30, 20, 10) and field.min() > 0
    assert float(np.log(field).std()) == pytest.approx(0.3, rel=1e-3)
    assert np.abs(np.diff(np.log(field), axis=0)).max() < 0.3
    assert (bias_field((1, 1, 1), 0.3, np.random.default_rng(0)) > 0).all()


def test_one_slice_and_background_only(folder):
    write_label_map(folder / "slice.nii.gz", LabelMap(np.full((1, 5, 6), 2, np.uint8), (1, 1, 1)))
    write_label_map(folder / "empty.nii.gz", LabelMap(np.zeros((3, 4, 5), np.uint8), (1, 1, 1)))
    dataset = prepared(folder)
    cases = {ref.id: dataset.load(ref) for ref in dataset.refs()}
    assert cases["slice"].image.shape == (1, 1, 5, 6) and cases["empty"].truth.array.max() == 0


def test_colliding_names_are_refused(folder):
    (folder / "sub").mkdir()
    shutil.copy(folder / "forged_00.nii.gz", folder / "sub" / "forged_00.nii.gz")
    assert len(prepared(folder).refs()) == 8
    with pytest.raises(DataInvalid, match="different names"):
        prepared(folder, pattern="**/*.nii.gz")


def test_hidden_files_are_skipped_and_groups_found(folder):
    (folder / "._forged_00.nii.gz").write_bytes(b"junk")
    refs = prepared(folder, group_pattern=r"_(\d)").refs()
    assert len(refs) == 8 and {ref.group for ref in refs} == {"0"}
    with pytest.raises(UsageError, match="group_pattern"):
        prepared(folder, group_pattern="x").refs()


@pytest.mark.parametrize("pattern", ["../*.nii.gz", "/etc/*", ""])
def test_patterns_that_leave_the_folder(folder, pattern):
    with pytest.raises(UsageError, match="pattern"):
        prepared(folder, pattern=pattern)


@pytest.mark.parametrize("labels", ["x", "1;2", "-3", ""])
def test_labels_that_mean_nothing(folder, labels):
    with pytest.raises(UsageError, match="labels"):
        prepared(folder, labels=labels)


def test_data_that_are_not_there(tmp_path, folder):
    with pytest.raises(DataMissing, match=r"--set dataset\.path="):
        LabelMaps().prepare(tmp_path)
    for path in (tmp_path / "nothing", folder / "forged_labels.csv"):
        with pytest.raises(DataMissing, match="label maps"):
            prepared(path)
    with pytest.raises(DataMissing, match="found none"):
        prepared(folder, pattern="*.mha")
    with pytest.raises(DataMissing, match="table"):
        prepared(folder, table=tmp_path / "absent.csv")


@pytest.mark.parametrize("value", [-1, 70000])
def test_values_out_of_range(folder, value):
    write_label_map(folder / "forged_00.nii.gz", LabelMap(np.full((4, 4, 4), value, np.int32), (1, 1, 1)))
    with pytest.raises(DataInvalid, match=r"forged_00.*0 to 65535"):
        prepared(folder)


def test_maps_of_background_only(folder):
    for path in folder.glob("*.nii.gz"):
        write_label_map(path, LabelMap(np.zeros((4, 4, 4), np.uint8), (1, 1, 1)))
    with pytest.raises(DataInvalid, match="background only"):
        prepared(folder)


@pytest.mark.parametrize(
    "text", ["", "x,y\n1,2\n", "label,name\na,b\n", "label,name\n1,b\n1,c\n", "label,name\n1.5,b\n"]
)
def test_tables_that_make_no_sense(tmp_path, text):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(DataInvalid, match="expected"):
        read_table(path)


def test_tables_are_found(tmp_path):
    (tmp_path / "brains_2mm").mkdir()
    assert find_table(tmp_path / "brains_2mm") is None
    (tmp_path / "brains_labels.csv").write_text("label,name\n1,a\n")
    (tmp_path / "others_labels.csv").write_text("label,name\n1,b\n")
    assert find_table(tmp_path / "brains_2mm") == tmp_path / "brains_labels.csv"
    (tmp_path / "brains_2mm" / "labels.csv").write_text("label (FreeSurfer)\n7\n")
    assert read_table(find_table(tmp_path / "brains_2mm")) == {7: "label 7"}


def test_the_real_brains(real_data):
    dataset = prepared(real_data / "brain_labelmaps" / "synthseg_2mm")
    assert len(dataset.task.labels) == 32 and dataset.task.labels[1] == "left cerebral white matter"
    assert len(dataset.refs()) == 20
    dataset.load(dataset.refs()[0])
    start = time.perf_counter()
    case = dataset.load(dataset.refs()[1])
    assert time.perf_counter() - start < 1
    assert case.truth.array.max() == 31


@pytest.mark.parametrize(("name", "count"), [("slant_braincolor", 132), ("vxm_t1_aseg", 45), ("fs_aparc_aseg", 112)])
def test_other_protocols(real_data, name, count):
    pattern = "*aseg.nii.gz" if name == "vxm_t1_aseg" else "*1mm.nii.gz"
    dataset = prepared(real_data / "brain_labelmaps" / name, pattern=pattern)
    assert len(dataset.task.labels) == count + 1
