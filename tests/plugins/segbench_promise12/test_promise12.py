"""The PROMISE12 dataset: both layouts, names that training and test share, drawn splits, and damaged folders."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest

from segbench import CaseRef, Choice, DataInvalid, DataMissing, RunConfig, read_image, read_label_map
from segbench.training.sampling import split_cases
from segbench_promise12.forging import SPACING, prostate, write_metaimage
from segbench_promise12.promise12 import Promise12

CONFIG = RunConfig(Choice("promise12"), Choice("n"), Choice("m"))
needs_itk = pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", "import SimpleITK"], capture_output=True).returncode != 0,
    reason="SimpleITK is not installed",
)


@pytest.fixture(scope="module")
def forged(tmp_path_factory):
    return Promise12().forge(tmp_path_factory.mktemp("promise12")).path


@pytest.fixture
def folder(forged, tmp_path):
    return shutil.copytree(forged, tmp_path / "PROMISE12")


def prepared(folder, split="35/5/10", **parameters):
    dataset = Promise12(path=folder, split=split, **parameters)
    dataset.prepare(folder)
    return dataset


def as_zenodo(folder):
    return folder


def as_parent(folder):
    return folder.parent


def as_nested(folder):
    """Every archive was unpacked into a folder of its own name."""
    for part in ("training_data", "test_data"):
        (folder / part).rename(folder / "inner")
        (folder / part).mkdir()
        (folder / "inner").rename(folder / part / part)
    return folder


def as_folder_called_like_a_part(folder):
    return folder.rename(folder.parent / "test")


def as_training_alone(folder):
    return folder / "training_data"


def as_original_site(folder, *, masks=True):
    """TrainingData_Part1 to 3 and TestData."""
    for number in range(10):
        part = folder / f"TrainingData_Part{1 + number // 4}"
        part.mkdir(exist_ok=True)
        for path in (folder / "training_data").glob(f"*Case{number:02d}*"):
            path.rename(part / path.name)
    (folder / "test_data").rename(folder / "TestData")
    if not masks:
        for path in (folder / "TestData").glob("*_segmentation.*"):
            path.unlink()
    shutil.rmtree(folder / "training_data")
    return folder


def as_original_release(folder):
    return as_original_site(folder, masks=False)


def as_original_site_nested(folder):
    root = as_original_site(folder)
    for part in [path for path in root.iterdir() if path.name.startswith("T")]:
        part.rename(root / "inner")
        part.mkdir()
        (root / "inner").rename(part / part.name)
    return root


def as_lower_case_names(folder):
    for path in folder.glob("t*/Case*"):
        if path.suffix == ".mhd":
            path.rename(path.with_name(path.name.lower()))
    return folder


LAYOUTS = [
    as_zenodo,
    as_parent,
    as_nested,
    as_folder_called_like_a_part,
    as_training_alone,
    as_original_site,
    as_original_release,
    as_original_site_nested,
    as_lower_case_names,
]


def names(dataset):
    return [(ref.id, ref.group, ref.split) for ref in dataset.refs()]


def assert_same(one, other, cases):
    """The same task and cases; ``cases`` of them are compared voxel by voxel (each costs two child processes)."""
    assert one.task == other.task
    assert names(one) == names(other)
    for ref in [*one.refs()[:1], *one.refs()[-1:]][:cases]:
        case, twin = one.load(ref), other.load(ref)
        assert np.array_equal(case.image, twin.image) and case.spacing == twin.spacing
        assert np.array_equal(case.affine, twin.affine)
        assert (case.truth is None) == (twin.truth is None)
        assert case.truth is None or np.array_equal(case.truth.array, twin.truth.array)


@needs_itk
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_every_layout_gives_the_same_cases(forged, folder, layout):
    assert_same(prepared(layout(folder)), prepared(forged), cases=1)


@needs_itk
@pytest.mark.parametrize("layout", [as_parent, as_nested, as_original_site, as_original_site_nested])
def test_every_layout_with_test_masks_gives_the_same_official_split(forged, folder, layout):
    assert_same(prepared(layout(folder), "official"), prepared(forged, "official"), cases=0)


@needs_itk
def test_test_images_are_unlabelled_cases_when_asked_for(forged, folder):
    dataset = prepared(forged, use_test_images=True)
    assert [ref.id for ref in dataset.refs()][-3:] == ["test_Case00", "test_Case01", "test_Case02"]
    assert {ref.split for ref in dataset.refs()[-3:]} == {"unlabelled"}
    assert dataset.task.revision == prepared(forged).task.revision
    assert_same(prepared(as_original_release(folder), use_test_images=True), dataset, cases=2)


@needs_itk
def test_training_and_test_share_names_but_not_cases(forged):
    dataset = prepared(forged, "official")
    training, test = (dataset.load(CaseRef(f"{part}_Case00", "")) for part in ("training", "test"))
    for case, part in ((training, "training"), (test, "test")):
        image, mask = prostate(part, 0)
        assert np.array_equal(case.image, image[None].astype(np.float32)) and np.array_equal(case.truth.array, mask)
        assert case.image.dtype == np.float32 and case.spacing == SPACING
        # ITK's offset is LPS (-20.5, 10, 3.25); the world of the house is RAS
        assert np.allclose(case.affine[:3, 3], (20.5, -10, 3.25))
    assert not np.array_equal(training.image, test.image)


def test_what_is_segmented(forged):
    task = prepared(forged).task
    assert task.name == "promise12" and task.labels == ("background", "prostate") and task.channels == ("T2",)
    assert "no list of cases was ever published" in task.notes[0] and len(task.revision) == 12
    assert prepared(forged, "official").task.notes == ()


def forge_headers(folder, count):
    """Write ``count`` training cases of a few voxels."""
    for number in range(count):
        for name in (f"Case{number:02d}", f"Case{number:02d}_segmentation"):
            write_metaimage(folder / "training_data" / f"{name}.mhd", np.zeros((1, 2, 2), np.int8), SPACING)
    return folder


@pytest.mark.parametrize(("split", "counts"), [("35/5/10", (35, 5, 10)), ("40/10", (40, 0, 10))])
def test_drawn_splits_of_fifty_cases(tmp_path, split, counts):
    folder = forge_headers(tmp_path / "fifty", 50)
    drawn = {}
    for seed in (0, 1):
        splits = split_cases(prepared(folder, split, split_seed=seed).refs(), CONFIG)
        assert (len(splits.train), len(splits.val), len(splits.test)) == counts
        drawn[seed] = {ref.id for ref in splits.test}
    assert drawn[0] != drawn[1]
    assert drawn[0] == {ref.id for ref in prepared(folder, "35/5/10").refs() if ref.split == "test"}


def test_the_official_split(forged):
    splits = split_cases(prepared(forged, "official").refs(), CONFIG)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (10, 0, 3)
    assert {ref.id[:4] for ref in splits.test} == {"test"}


def test_the_revision_follows_the_content(folder):
    before = prepared(folder)
    raw = folder / "training_data" / "Case04_segmentation.raw"
    raw.write_bytes(b"\1" + raw.read_bytes()[1:])
    after = prepared(folder)
    assert after.task.revision != before.task.revision
    header = folder / "training_data" / "Case04.mhd"
    header.write_text(header.read_text().replace("ElementSpacing = 1.0", "ElementSpacing = 1.5"))
    assert prepared(folder).task.revision != after.task.revision
    stamps = [ref.stamp for ref in prepared(folder).refs()]
    raw.write_bytes(raw.read_bytes())
    assert [ref.stamp for ref in prepared(folder).refs()] != stamps


@pytest.mark.parametrize("path", [None, "nothing", "file"])
def test_missing_data_say_what_to_download(tmp_path, path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataMissing, match=r"zenodo\.org.*training_data.*cite Litjens.*--set dataset\.path="):
        Promise12(path=tmp_path / path if path else None).prepare(tmp_path)
    with pytest.raises(DataMissing, match="prepare"):
        _ = Promise12().task


def test_missing_test_cases_and_masks(folder):
    with pytest.raises(DataMissing, match=r"masks of the test cases.*zenodo"):
        prepared(as_original_release(folder), "official")
    shutil.rmtree(folder / "TestData")
    for parameters in ({"split": "official"}, {"use_test_images": True}):
        with pytest.raises(DataMissing, match="expected test cases, found none"):
            prepared(folder, **parameters)


def test_damaged_folders(folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for path in (empty, folder / "test_data"):
        with pytest.raises(DataInvalid, match="expected PROMISE12 with training_data"):
            prepared(path)
    shutil.copytree(folder, folder.parent / "again")
    with pytest.raises(DataInvalid, match="one copy of PROMISE12, found PROMISE12, again"):
        prepared(folder.parent)
    training = folder / "training_data"
    shutil.copytree(training, folder / "TrainingData_Part1")
    with pytest.raises(DataInvalid, match=r"every case once.*Case00\.mhd.*Case00\.mhd"):
        prepared(folder)
    shutil.rmtree(folder / "TrainingData_Part1")
    (training / "Case03_segmentation.mhd").rename(training / "Case77_segmentation.mhd")
    with pytest.raises(DataInvalid, match=r"Case03\.mhd: expected a mask"):
        prepared(folder)


def edit_header(folder, change):
    path = folder / "training_data" / "Case02.mhd"
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: b"", "expected a MetaImage header"),
        (lambda _: b"\xff\xfe" * 99, "expected a MetaImage header"),
        (lambda text: text.replace(b"DimSize", b"Dim"), "expected a MetaImage header with DimSize"),
        (lambda text: text.replace(b"ElementSpacing", b"Spacing"), "expected a MetaImage header with ElementSpacing"),
        (lambda text: text.replace(b"MET_SHORT", b"MET_FLOAT"), r"expected \d+ bytes in Case02\.raw, found \d+"),
        (lambda text: text.replace(b"Case02.raw", b"../test_data/Case02.raw"), "beside it, found"),
        (lambda text: text.replace(b"Case02.raw", b"/etc/passwd"), "beside it, found"),
        (lambda text: text.replace(b"Case02.raw", b"..\\x"), "beside it, found"),
        (lambda text: text.replace(b"Case02.raw", b""), "beside it, found ''"),
        (lambda text: text.replace(b"Case02.raw", b"Case99.raw"), r"in Case99\.raw, found no such file"),
    ],
)
def test_damaged_headers(folder, change, message):
    edit_header(folder, change)
    with pytest.raises(DataInvalid, match=rf"Case02\.mhd: {'.*' + message}"):
        prepared(folder)


@pytest.mark.parametrize("name", ["Case02.raw", "Case02_segmentation.raw"])
@pytest.mark.parametrize("change", [lambda voxels: voxels * 2, lambda voxels: voxels[:-1], lambda voxels: b""])
def test_voxel_files_of_another_length(folder, name, change):
    raw = folder / "training_data" / name
    raw.write_bytes(change(raw.read_bytes()))
    with pytest.raises(DataInvalid, match=rf"expected \d+ bytes in {name}, found \d+"):
        prepared(folder)


def test_compressed_voxels_may_be_of_any_length(folder):
    edit_header(folder, lambda text: text.replace(b"CompressedData = False", b"CompressedData = True"))
    raw = folder / "training_data" / "Case02.raw"
    raw.write_bytes(raw.read_bytes()[:50])
    assert prepared(folder).refs()


@needs_itk
def test_damaged_files(folder):
    dataset, ref = prepared(folder), CaseRef("training_Case01", "")
    mask = folder / "training_data" / "Case01_segmentation.mhd"
    array = dataset.load(ref).truth.array
    write_metaimage(mask, array + np.int8(1), SPACING)
    with pytest.raises(DataInvalid, match="case training_Case01: expected labels 0 to 1, found 2 in"):
        dataset.load(ref)
    write_metaimage(mask, array[1:], SPACING)
    with pytest.raises(DataInvalid, match="case training_Case01: expected one grid"):
        dataset.load(ref)
    raw = folder / "training_data" / "Case01.raw"
    raw.write_bytes(raw.read_bytes()[:-100])
    with pytest.raises(DataInvalid, match=r"Case01\.mhd"):
        dataset.load(ref)
    with pytest.raises(DataInvalid, match="Did you mean"):
        dataset.load(CaseRef("training_Case1", ""))


def test_listing_needs_no_heavy_library():
    code = (
        "import sys, segbench_promise12 as plugin; plugin.segbench_datasets(); "
        "print({'numpy', 'nibabel', 'torch', 'scipy', 'SimpleITK'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


@needs_itk
def test_real_prostates_as_metaimages(real_data, tmp_path):
    """Real scans written by SimpleITK in the native layout come back as the NIfTI files say."""
    import SimpleITK

    source = real_data / "prostate_deepreg" / "Dataset701_DeepRegProstate"
    if not source.is_dir():
        pytest.skip(f"no real prostates at {source}")
    folder = tmp_path / "TrainingData_Part1"
    folder.mkdir()
    pairs = []
    for number, label in enumerate(sorted((source / "labelsTr").glob("*.nii.gz"))[:3]):
        image = source / "imagesTr" / label.name.replace(".nii.gz", "_0000.nii.gz")
        SimpleITK.WriteImage(SimpleITK.ReadImage(str(image)), str(folder / f"Case{number:02d}.mhd"))
        mask = SimpleITK.Cast(SimpleITK.ReadImage(str(label)), SimpleITK.sitkInt8)
        SimpleITK.WriteImage(mask, str(folder / f"Case{number:02d}_segmentation.mhd"))
        pairs.append((image, label))
    dataset = prepared(tmp_path)
    assert [ref.id for ref in dataset.refs()] == ["training_Case00", "training_Case01", "training_Case02"]
    for ref, (image, label) in zip(dataset.refs(), pairs, strict=True):
        case, (expected, spacing, affine) = dataset.load(ref), read_image(image)
        assert np.array_equal(case.image, expected) and np.allclose(case.spacing, spacing)
        assert np.allclose(case.affine, affine, atol=1e-5)
        assert np.array_equal(case.truth.array, read_label_map(label).array) and case.truth.array.max() == 1
