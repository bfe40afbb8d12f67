"""The five datasets on made-up distributions: layouts, quirks, splits, parameters, and everything that can be wrong."""

from __future__ import annotations

import shutil
import subprocess
import sys

import nibabel
import numpy as np
import pytest

from segbench import CaseRef, DataInvalid, DataMissing, UsageError
from segbench_brains import braincolor
from segbench_brains.forging import write_air, write_pair
from segbench_brains.ibsr import Ibsr
from segbench_brains.lpba40 import Lpba40
from segbench_brains.miccai2012 import SPLITS, Miccai2012
from segbench_brains.mrbrains13 import MrBrains13
from segbench_brains.mrbrains18 import MrBrains18

pytestmark = pytest.mark.filterwarnings("error")
ALL = (Ibsr, Lpba40, Miccai2012, MrBrains13, MrBrains18)


@pytest.fixture(scope="session")
def forged(tmp_path_factory):
    """Every distribution once; tests that change one take a copy."""
    return {kind: kind().forge(tmp_path_factory.mktemp(kind.name)).path for kind in ALL}


@pytest.fixture
def copy(forged, tmp_path):
    return lambda kind: shutil.copytree(forged[kind], tmp_path / kind.name)


def prepared(kind, folder, **parameters):
    dataset = kind(path=folder, **parameters)
    dataset.prepare(folder)
    return dataset


def case_of(dataset, name):
    return dataset.load(next(ref for ref in dataset.refs() if ref.id == name))


def stored(path):
    """Return a file's voxels as ``(Z, Y, X)``, read by nibabel alone."""
    return np.asarray(nibabel.load(path).dataobj).squeeze().T


def splits(dataset):
    return {part: [ref.id for ref in dataset.refs() if ref.split == part] for part in ("train", "val", "test")}


def test_listing_needs_no_heavy_library():
    code = (
        "import sys, segbench_brains as plugin; plugin.segbench_datasets(); "
        "print({'numpy', 'nibabel', 'torch', 'scipy'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


@pytest.mark.parametrize("kind", ALL)
def test_missing_data_say_what_to_get_and_under_which_terms(kind, tmp_path):
    for dataset in (kind(), kind(path=tmp_path / "absent")):
        with pytest.raises(DataMissing, match=r"(?=.*https?://)(?=.*(research|CC BY-NC)).*--set dataset\.path=DIR"):
            dataset.prepare(tmp_path)
    with pytest.raises(DataInvalid, match=r"found no .*https?://"):
        prepared(kind, tmp_path)
    with pytest.raises(DataMissing, match="prepare"):
        _ = kind().task


@pytest.mark.parametrize("kind", ALL)
def test_all_cases_load_and_parents_will_do(kind, forged):
    dataset = prepared(kind, forged[kind])
    again = prepared(kind, forged[kind].parent)
    assert again.task == dataset.task and again.refs() == dataset.refs()
    labels = set()
    for ref in dataset.refs():
        case = dataset.load(ref)
        assert ref.group == ref.id and case.image.dtype == np.float32
        assert case.image.shape == (len(dataset.task.channels), *case.truth.array.shape)
        assert np.allclose(np.linalg.norm(case.affine[:3, :3], axis=0), case.spacing, rtol=1e-5)
        labels |= set(np.unique(case.truth.array).tolist())
    assert labels - {-1} == set(range(len(dataset.task.labels)))
    official = {Ibsr: 18, Lpba40: 40, Miccai2012: 35, MrBrains13: 5, MrBrains18: 7}[kind]
    expected = () if len(dataset.refs()) == official else (f"{len(dataset.refs())} of {official} official cases",)
    assert dataset.task.notes == expected
    assert kind.bibtex.startswith("@") and kind.source.startswith("http")


@pytest.mark.parametrize("kind", ALL)
def test_revision_and_stamp_follow_the_content(kind, copy):
    folder = copy(kind)
    before = prepared(kind, folder)
    refs = before.refs()
    entry = next(iter(before.cases_.values()))
    holder = entry.label.with_name(entry.label.name.replace(".hdr", ".img.gz"))
    content = holder.read_bytes()
    holder.write_bytes(content + b"\0")
    after = prepared(kind, folder)
    assert after.task.revision != before.task.revision and len(after.task.revision) == 12
    assert after.refs()[0].stamp != refs[0].stamp and after.refs()[1:] == refs[1:]
    holder.write_bytes(content)
    assert prepared(kind, folder).task.revision == before.task.revision


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (Ibsr, ({"labels": "tissues"}, {"stripped": False})),
        (Lpba40, ({"space": "native"}, {"structures": "caudate"}, {"crop": (20, 24, 22)})),
        (MrBrains13, ({"labels": "tissues"}, {"labels": "scored_tissues"}, {"channels": ("T1",)})),
        (MrBrains18, ({"channels": ("T1", "FLAIR", "T1_IR")},)),
    ],
)
def test_the_revision_names_everything_that_shapes_the_data(kind, changes, forged):
    revisions = [prepared(kind, forged[kind], **change).task.revision for change in ({}, *changes)]
    assert len(set(revisions)) == len(revisions)


@pytest.mark.parametrize("kind", ALL)
def test_values_of_another_protocol_are_refused_with_case_and_value(kind, copy):
    folder = copy(kind)
    dataset = prepared(kind, folder)
    name, entry = next(iter(dataset.cases_.items()))
    if kind is Lpba40:
        write_pair(entry.label.with_suffix(""), np.full((24, 26, 24), 183, np.uint8), (1, 1, 1))
    else:
        image = nibabel.load(entry.label)
        nibabel.save(nibabel.Nifti1Image(np.full(image.shape, 78, np.uint8), image.affine), entry.label)
    with pytest.raises(DataInvalid, match=rf"case {name}: expected (values of|labels 0).*found (78|183) in"):
        case_of(prepared(kind, folder), name)


@pytest.mark.parametrize("kind", ALL)
def test_files_that_are_lacking_or_damaged_are_named(kind, copy):
    folder = copy(kind)
    dataset = prepared(kind, folder)
    name, entry = next(iter(dataset.cases_.items()))
    voxels = entry.images[0].with_name(entry.images[0].name.replace(".hdr", ".img.gz"))
    whole = voxels.read_bytes()
    voxels.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataInvalid, match=voxels.name.split(".")[0]):
        case_of(dataset, name)
    voxels.unlink()
    with pytest.raises(DataInvalid, match=rf"case {name}: expected .*Unpack the whole distribution"):
        prepared(kind, folder)
    with pytest.raises(DataInvalid, match=r"Did you mean|Known"):
        dataset.load(CaseRef("S99", "S99"))
    entry.images[0].unlink(missing_ok=True)
    with pytest.raises(DataInvalid, match=f"case {name}: expected readable files"):
        dataset.refs()


def test_miccai2012(forged):
    folder = forged[Miccai2012]
    dataset = prepared(Miccai2012, folder)
    assert len(dataset.task.labels) == 135 and dataset.task.labels[1] == "3rd Ventricle"
    assert dataset.task.labels[134] == "Left TTG transverse temporal gyrus"
    found = splits(dataset)
    assert found == {"train": ["1000", "1001", "1002", "1006"], "val": ["1013", "1014"], "test": ["1003", "1128"]}
    numbers = sorted(braincolor.STRUCTURES)
    label = stored(folder / "training-labels" / "1002_3_glm.nii.gz")
    truth = case_of(dataset, "1002").truth.array
    assert {42, 43, 63, 64} <= set(np.unique(label))
    for value in np.unique(label):
        index = numbers.index(value) + 1 if value in numbers else 0 if value == 0 else -1
        assert (truth[label == value] == index).all()
    assert np.array_equal(case_of(dataset, "1002").image[0], stored(folder / "training-images" / "1002_3.nii.gz"))


def test_miccai2012_has_the_official_splits():
    sizes = {part: sum(split == part for split in SPLITS.values()) for part in ("train", "val", "test")}
    assert sizes == {"train": 10, "val": 5, "test": 20}
    official = sorted(case for case, split in SPLITS.items() if split != "test")
    assert [case for case, split in SPLITS.items() if split == "train"] == official[:10]


def test_miccai2012_flat_and_strange(forged, copy, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in forged[Miccai2012].glob("*/[0-9]*.nii.gz"):
        shutil.copy(path, flat / path.name.replace("_3", ""))
    one, other = prepared(Miccai2012, flat), prepared(Miccai2012, forged[Miccai2012])
    assert one.task == other.task and splits(one) == splits(other)
    folder = copy(Miccai2012)
    image = folder / "training-images" / "1000_3.nii.gz"
    shutil.copy(image, folder / "testing-images" / "1000_3.nii.gz")
    with pytest.raises(DataInvalid, match="expected one scan of subject 1000"):
        prepared(Miccai2012, folder)
    (folder / "testing-images" / "1000_3.nii.gz").rename(folder / "testing-images" / "9999_3.nii.gz")
    with pytest.raises(DataInvalid, match="found 9999 too"):
        prepared(Miccai2012, folder)
    (folder / "testing-images" / "9999_3.nii.gz").unlink()
    (folder / "testing-labels" / "1003_3_glm.nii.gz").unlink()
    with pytest.raises(DataInvalid, match="case 1003: expected a label map 1003_3_glm"):
        prepared(Miccai2012, folder)


def test_ibsr(forged):
    dataset = prepared(Ibsr, forged[Ibsr])
    assert splits(dataset) == {
        "train": ["IBSR_01", "IBSR_02", "IBSR_03"],
        "val": ["IBSR_11", "IBSR_12"],
        "test": ["IBSR_14", "IBSR_15"],
    }
    assert len(dataset.task.labels) == 33
    home = forged[Ibsr] / "IBSR_02"
    case, label = case_of(dataset, "IBSR_02"), stored(home / "IBSR_02_seg_ana.nii.gz")
    assert case.image.shape == (1, 24, 16, 24) and np.allclose(case.spacing, (0.9375, 1.5, 0.9375))
    assert np.array_equal(case.image[0], stored(home / "IBSR_02_ana_strip.nii.gz"))
    names = np.array([*dataset.task.labels, "unknown"])[case.truth.array]
    assert set(names[(label == 48) | (label == 49)]) == {"right thalamus"}
    assert set(names[np.isin(label, (29, 30, 61, 62, 72))]) == {"unknown"}
    assert set(names[label == 17]) == {"left hippocampus"}


def test_ibsr_whole_heads_and_tissues(forged):
    dataset = prepared(Ibsr, forged[Ibsr], labels="tissues", stripped=False)
    assert dataset.task.labels == ("background", "CSF", "grey matter", "white matter")
    home = forged[Ibsr] / "IBSR_01"  # _ana is there as .nii and .nii.gz
    case = case_of(dataset, "IBSR_01")
    assert np.array_equal(case.image[0], stored(home / "IBSR_01_ana.nii.gz"))
    assert np.array_equal(case.truth.array, stored(home / "IBSR_01_segTRI_ana.nii.gz"))


def test_ibsr_of_version_one(forged, copy):
    home = forged[Ibsr] / "IBSR_15"
    dataset = prepared(Ibsr, forged[Ibsr], labels="tissues")
    assert not list(home.glob("*.nii.gz"))
    case = case_of(dataset, "IBSR_15")
    truth = stored(home / "segmentation" / "analyze" / "IBSR_15_segTRI_ana.hdr")
    assert np.array_equal(case.truth.array, truth) and np.allclose(case.spacing, (0.9375, 1.5, 0.9375))
    folder = copy(Ibsr)
    for path in (folder / "IBSR_15" / "images" / "analyze").glob("*_strip.*"):
        path.unlink()
    with pytest.raises(DataInvalid, match=r"IBSR_15: expected IBSR_15_ana_strip \(or set dataset\.stripped=false\)"):
        prepared(Ibsr, folder)
    assert len(prepared(Ibsr, folder, stripped=False).refs()) == 7
    (folder / "IBSR_15").rename(folder / "IBSR_19")
    with pytest.raises(DataInvalid, match="found IBSR_19"):
        prepared(Ibsr, folder)


def test_mrbrains13(forged):
    home = forged[MrBrains13] / "TrainingData" / "3"
    dataset = prepared(MrBrains13, forged[MrBrains13])
    assert [ref.id for ref in dataset.refs()] == [f"training_{number}" for number in range(1, 6)]
    assert {ref.split for ref in dataset.refs()} == {""} and len(dataset.task.labels) == 9
    case = case_of(dataset, "training_3")
    for channel, stem in enumerate(("T1", "T1_IR", "T2_FLAIR")):
        assert np.array_equal(case.image[channel], stored(home / f"{stem}.nii"))
    assert np.array_equal(case.truth.array, stored(home / "LabelsForTraining.nii"))


def test_mrbrains13_tissues(forged):
    home = forged[MrBrains13] / "TrainingData" / "3"
    parts, testing = stored(home / "LabelsForTraining.nii"), stored(home / "LabelsForTesting.nii")
    plain = prepared(MrBrains13, forged[MrBrains13], labels="tissues", channels=("FLAIR",))
    assert plain.task.channels == ("FLAIR",)
    case = case_of(plain, "training_3")
    assert np.array_equal(case.image, stored(home / "T2_FLAIR.nii")[None])
    assert np.array_equal(case.truth.array, testing)
    scored = prepared(MrBrains13, forged[MrBrains13], labels="scored_tissues")
    assert scored.task.labels == plain.task.labels
    assert np.array_equal(case_of(scored, "training_3").truth.array, np.where(parts >= 7, -1, testing.astype(int)))


def test_mrbrains13_unlabelled_heads(copy):
    folder = copy(MrBrains13)
    dataset = prepared(MrBrains13, folder, use_test_images=True)
    assert [ref.id for ref in dataset.refs() if ref.split == "unlabelled"] == ["test_1", "test_2"]
    assert case_of(dataset, "test_2").truth is None
    assert dataset.task == prepared(MrBrains13, folder).task
    shutil.rmtree(folder / "TestData")
    with pytest.raises(DataMissing, match="TestData"):
        prepared(MrBrains13, folder, use_test_images=True)


def test_mrbrains13_as_first_released(forged, copy):
    itk = pytest.importorskip("SimpleITK")
    folder = copy(MrBrains13)
    for path in (folder / "TrainingData" / "2").glob("*.nii"):
        itk.WriteImage(itk.ReadImage(str(path)), str(path.with_suffix(".mhd")))
        path.unlink()
    one, other = (case_of(prepared(MrBrains13, where), "training_2") for where in (folder, forged[MrBrains13]))
    assert np.array_equal(one.image, other.image) and np.array_equal(one.truth.array, other.truth.array)


@pytest.mark.parametrize("kind", [MrBrains13, MrBrains18])
@pytest.mark.parametrize("channels", [(), ("T1", "T1")])
def test_channels_that_make_no_sense(kind, channels):
    with pytest.raises(ValueError, match="at most once"):
        kind(channels=channels)


def test_channels_on_another_grid(copy, caplog):
    folder = copy(MrBrains13)
    home = folder / "TrainingData" / "1"
    shutil.copy(home / "T1_1mm.nii", home / "T1_IR.nii")
    with pytest.raises(DataInvalid, match=r"case training_1: expected one grid.*T1_IR\.nii"):
        case_of(prepared(MrBrains13, folder), "training_1")
    image = nibabel.load(home / "T1.nii")
    moved = image.affine.copy()
    moved[0, 3] += 5
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), moved), home / "T1_IR.nii")
    case_of(prepared(MrBrains13, folder), "training_1")
    assert "training_1" in caplog.text and "origin" in caplog.text


def test_mrbrains18(forged):
    dataset = prepared(MrBrains18, forged[MrBrains18])
    assert [ref.id for ref in dataset.refs()] == [f"training_{name}" for name in ("1", "4", "5", "070", "148")]
    home = forged[MrBrains18] / "training" / "070"
    case, label = case_of(dataset, "training_070"), stored(home / "segm.nii.gz")
    assert label.dtype == np.float32 and {9, 10} <= set(np.unique(label))
    assert np.array_equal(case.truth.array, np.where(label > 8, -1, label))
    assert np.array_equal(case.image[2], stored(home / "pre" / "FLAIR.nii.gz"))
    assert np.array_equal(case.image[0], stored(home / "pre" / "reg_T1.nii.gz"))


def test_lpba40(forged):
    dataset = prepared(Lpba40, forged[Lpba40])
    assert splits(dataset) == {"train": ["S01", "S02", "S03", "S04"], "val": ["S14", "S16"], "test": ["S11", "S12"]}
    assert len(dataset.task.labels) == 57 and dataset.task.labels[-1] == "brainstem"
    case = case_of(dataset, "S02")
    assert case.image.shape == (1, 24, 26, 24)
    assert np.allclose(np.diag(case.affine[:3, :3][:, ::-1]), (-1, -1, 1))


def test_lpba40_has_forty_cases_in_three_parts(tmp_path):
    for number in range(1, 41):
        stem = tmp_path / f"S{number:02d}" / f"S{number:02d}.delineation"
        for name in ("skullstripped", "structure.label"):
            write_pair(stem.with_name(f"{stem.name}.{name}"), np.zeros((3, 3, 3), np.uint8), (1, 1, 1))
    dataset = prepared(Lpba40, tmp_path)
    assert [len(part) for part in splits(dataset).values()] == [25, 5, 10] and not dataset.task.notes


def test_lpba40_structures(forged):
    whole = case_of(prepared(Lpba40, forged[Lpba40]), "S03").truth.array
    dataset = prepared(Lpba40, forged[Lpba40], structures="165, right caudate")
    assert dataset.task.labels == ("background", "right caudate", "left hippocampus")
    names = prepared(Lpba40, forged[Lpba40]).task.labels
    truth = case_of(dataset, "S03").truth.array
    assert np.array_equal(truth == 1, whole == names.index("right caudate"))
    assert np.array_equal(truth == 2, whole == names.index("left hippocampus"))
    with pytest.raises(UsageError, match="Did you mean 'hippocampus'"):
        prepared(Lpba40, forged[Lpba40], structures="hipocampus")


def test_lpba40_in_native_space(forged):
    drawn, native = (prepared(Lpba40, forged[Lpba40], space=space) for space in ("delineation", "native"))
    case, other = case_of(native, "S04"), case_of(drawn, "S04")
    assert case.image.shape == (1, 32, 18, 30) and np.allclose(case.spacing, (0.86, 1.5, 0.86))
    assert case.truth.array.shape == (32, 18, 30)
    volume = np.prod(case.spacing) * (case.truth.array > 0).sum()
    assert volume == pytest.approx((other.truth.array > 0).sum(), rel=0.05)
    assert set(np.unique(case.truth.array)) == set(range(57))
    background, inside = (case.image[0][case.truth.array == 0], case.image[0][case.truth.array > 0])
    assert background.max() < 40 < inside.min()  # the image was made of the same labels
    assert [ref.stamp for ref in native.refs()] != [ref.stamp for ref in drawn.refs()]


def test_lpba40_crops(forged):
    dataset = prepared(Lpba40, forged[Lpba40], space="native", crop=(32, 24, 28))
    case, whole = case_of(dataset, "S01"), case_of(prepared(Lpba40, forged[Lpba40], space="native"), "S01")
    assert case.image.shape == (1, 32, 24, 28)
    assert np.array_equal(case.truth.array[:, 3:21], whole.truth.array[:, :, 1:29])
    assert (case.truth.array[:, :3] == -1).all() and (case.truth.array[:, 21:] == -1).all()


def test_lpba40_without_its_native_half(copy):
    folder = copy(Lpba40)
    native = folder / "native_space"
    air = native / "S01" / "transforms" / "S01.delineation.to.native.air"
    write_air(air, np.diag([-1.0, 1, 1, 1]), ((30, 18, 32), (0.86, 1.5, 0.86)), ((24, 26, 24), (1.0, 1.0, 1.0)))
    with pytest.raises(DataInvalid, match=r"case S01: expected labels inside the native brain mask, found \d+%"):
        case_of(prepared(Lpba40, folder, space="native"), "S01")
    air.unlink()
    with pytest.raises(DataInvalid, match=r"case S01: expected .*delineation\.to\.native\.air"):
        prepared(Lpba40, folder, space="native")
    shutil.rmtree(native)
    with pytest.raises(DataInvalid, match="LPBA40_Subjects_Native_Space"):
        prepared(Lpba40, folder, space="native")
    assert len(prepared(Lpba40, folder).refs()) == 8


def test_a_real_braincolor_map(real_data, tmp_path):
    source = real_data / "brain_labelmaps" / "slant_braincolor" / "test_volume_seg_2mm.nii.gz"
    image = nibabel.load(source)
    label = np.asarray(image.dataobj)
    for part in ("training-images", "training-labels"):
        (tmp_path / part).mkdir()
    made_up = nibabel.Nifti1Image(label.astype(np.int16), image.affine)  # intensities are the numbers themselves
    nibabel.save(made_up, tmp_path / "training-images" / "1000_3.nii.gz")
    shutil.copy(source, tmp_path / "training-labels" / "1000_3_glm.nii.gz")
    dataset = prepared(Miccai2012, tmp_path)
    case = case_of(dataset, "1000")
    names = table_of(source.parent / "labels.csv")
    assert case.truth.array.min() == 0 and len(np.unique(case.truth.array)) == 133
    absent = set(dataset.task.labels[1:]) - {dataset.task.labels[index] for index in np.unique(case.truth.array)}
    assert absent == {"CSF", "Optic Chiasm"}
    for value, name in names.items():
        assert set(np.unique(case.truth.array[case.image[0] == value])) == {dataset.task.labels.index(name)}


def table_of(path):
    """Return value -> name of a labels.csv."""
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    return {int(row[0]): row[1] for row in rows}


def test_a_real_freesurfer_map(real_data, tmp_path):
    source = real_data / "brain_labelmaps" / "vxm_t1_aseg"
    home = tmp_path / "IBSR_01"
    home.mkdir()
    shutil.copy(source / "test_scan_T1.nii.gz", home / "IBSR_01_ana_strip.nii.gz")
    shutil.copy(source / "test_scan_aseg.nii.gz", home / "IBSR_01_seg_ana.nii.gz")
    with pytest.raises(DataInvalid, match="found 31, 63, 77, 80, 85, 251, 252, 253, 254, 255 in"):
        case_of(prepared(Ibsr, tmp_path), "IBSR_01")  # choroid plexus, hypointensities, chiasm, corpus callosum
    image = nibabel.load(source / "test_scan_aseg.nii.gz")
    label = np.asarray(image.dataobj)
    mapped = np.where(np.isin(label, (31, 63, 77, 80, 85)) | (label > 250), 0, label).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(mapped, image.affine), home / "IBSR_01_seg_ana.nii.gz")
    dataset = prepared(Ibsr, tmp_path)
    truth = case_of(dataset, "IBSR_01").truth.array
    names, found = table_of(source / "labels.csv"), 0
    for value in np.unique(mapped[mapped > 0]):
        index = set(np.unique(truth[value == mapped.T]).tolist())
        name = "unknown" if index == {-1} else dataset.task.labels[index.pop()]
        found += name != "unknown"
        assert name == names[value] or (value in (24, 30, 62, 72) and name in ("CSF", "unknown"))
    assert found == 32
