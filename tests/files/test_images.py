"""Image files in and out: round trips, oddities of real files, and damage of every kind."""

from __future__ import annotations

import gzip
import itertools
import os
import random
import signal
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segbench.errors import DataInvalid, DataMissing, SegbenchError
from segbench.files import itk
from segbench.files.images import image_header, read_image, read_label_map, write_image, write_label_map
from segbench.types import LabelMap

OBLIQUE = np.array(
    [[1.1, -0.4, 0.3, -20.0], [0.5, 1.7, -0.6, 31.0], [-0.2, 0.8, 2.3, 7.5], [0.0, 0.0, 0.0, 1.0]]
)  # X, Y, Z columns


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = None, **header: object) -> Path:
    """Write with nibabel (an independent writer): ``array`` in (X, Y, Z) order."""
    image = nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine)
    nibabel.save(image, path)
    if header:
        raw = bytearray(path.read_bytes() if path.suffix == ".nii" else gzip.decompress(path.read_bytes()))
        view = np.frombuffer(raw, dtype=nibabel.Nifti1Header().structarr.dtype, count=1)
        for key, value in header.items():
            view[key][0] = value
        path.write_bytes(bytes(raw) if path.suffix == ".nii" else gzip.compress(bytes(raw)))
    return path


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "i8"])
def test_label_maps_round_trip(tmp_path, dtype):
    array = np.arange(3 * 4 * 5).reshape(3, 4, 5).astype(dtype) % 7
    affine = OBLIQUE[:, [2, 1, 0, 3]]
    path = tmp_path / "sub" / "x.nii.gz"
    spacing = tuple(np.linalg.norm(affine[:3, :3], axis=0).tolist())
    write_label_map(path, LabelMap(array, spacing, affine))
    back = read_label_map(path)
    assert np.array_equal(back.array, array)
    assert back.array.flags.c_contiguous and back.array.flags.writeable
    assert back.spacing == pytest.approx(spacing) and not back.notes
    assert np.allclose(back.affine, affine, rtol=1e-6)
    if dtype in ("u1", "i1", "i2"):
        assert back.array.dtype == dtype
    assert nibabel.load(path).get_data_dtype() == np.dtype(dtype)
    assert [entry.name for entry in path.parent.iterdir()] == ["x.nii.gz"]


def test_unknown_voxels_bool_maps_and_slices_round_trip(tmp_path):
    path = tmp_path / "x.nii.gz"
    write_label_map(path, LabelMap(np.array([[[-1, 0, 2]]], dtype=np.int16), (1.0, 1.0, 1.0)))
    assert read_label_map(path).array.tolist() == [[[-1, 0, 2]]]
    write_label_map(path, LabelMap(np.array([[True, False]]), (3.0, 2.0)))
    back = read_label_map(path)
    assert back.array.tolist() == [[[1, 0]]]
    assert back.spacing == (1.0, 3.0, 2.0)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_axes_spacing_and_affine_follow_the_transposition(tmp_path, ending):
    array = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)  # X, Y, Z
    path = save(tmp_path / f"x{ending}", array, OBLIQUE)
    image, spacing, affine = read_image(path)
    assert image.shape == (1, 6, 5, 4) and image.dtype == np.float32
    assert np.array_equal(image[0], array.T)
    assert spacing == pytest.approx(tuple(np.linalg.norm(OBLIQUE[:3, :3], axis=0))[::-1])
    index = np.array([1, 2, 3, 1])  # X, Y, Z
    assert np.allclose(affine @ index[[2, 1, 0, 3]], OBLIQUE @ index, rtol=1e-5)
    header = image_header(path)
    assert header.shape == image.shape and header.spacing == spacing and header.dtype == np.float32
    assert np.array_equal(header.affine, affine)


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1)])
def test_every_orientation_keeps_its_world(tmp_path, axes, flips):
    affine = np.zeros((4, 4))
    for column, (row, sign) in enumerate(zip(axes, flips, strict=True)):
        affine[row, column] = sign * (column + 1)
    affine[:, 3] = [5, -6, 7, 1]
    path = save(tmp_path / "x.nii.gz", np.arange(24, dtype=np.uint8).reshape(2, 3, 4), affine)
    label_map = read_label_map(path)
    assert label_map.spacing == (3, 2, 1)
    write_label_map(tmp_path / "y.nii.gz", label_map)
    again = nibabel.load(tmp_path / "y.nii.gz")
    assert np.allclose(again.affine, affine) and np.array_equal(again.dataobj, nibabel.load(path).dataobj)


def test_without_affine_the_spacing_lies_along_the_axes(tmp_path):
    write_image(tmp_path / "x.nii.gz", np.zeros((2, 3, 4), np.float32), (3.0, 2.0, 1.0))
    _, spacing, affine = read_image(tmp_path / "x.nii.gz")
    assert spacing == (3, 2, 1)
    assert np.allclose(affine @ [1, 0, 0, 1], [0, 0, 3, 1])
    assert np.allclose(nibabel.load(tmp_path / "x.nii.gz").affine, np.diag([1, 2, 3, 1]))


def test_channels_come_first_and_return(tmp_path):
    array = np.random.default_rng(0).integers(0, 900, (4, 5, 6, 2)).astype(np.int16)
    image, spacing, _ = read_image(save(tmp_path / "x.nii.gz", array))
    assert image.shape == (2, 6, 5, 4) and len(spacing) == 3
    assert np.array_equal(image, array.T)
    write_image(tmp_path / "y.nii.gz", image, spacing)
    assert np.array_equal(read_image(tmp_path / "y.nii.gz")[0], image)
    with pytest.raises(DataInvalid, match="2 volumes"):
        read_label_map(tmp_path / "x.nii.gz")


@pytest.mark.parametrize("shape", [(4, 5, 6, 1), (4, 5, 6, 1, 1)])
def test_trailing_singleton_axes_are_dropped(tmp_path, shape):
    path = save(tmp_path / "x.nii.gz", np.ones(shape, np.uint8))
    assert read_image(path)[0].shape == (1, 6, 5, 4)
    assert read_label_map(path).array.shape == (6, 5, 4)


def test_slices_get_a_depth_of_one(tmp_path):
    path = save(tmp_path / "x.nii", np.ones((7, 5), np.uint8), pixdim=[1, 2, 3, 0, 0, 0, 0, 0], sform_code=0)
    image, spacing, _ = read_image(path)
    assert image.shape == (1, 1, 5, 7) and spacing == (1, 3, 2)
    assert read_label_map(save(tmp_path / "y.nii", np.ones((7, 5, 1), np.uint8))).array.shape == (1, 5, 7)


@pytest.mark.parametrize("ending", ["x.nii", "x.nii.gz", "x.hdr"])
@pytest.mark.parametrize("turn", [np.eye(3), np.array([[0, -0.6, 0.8], [1, 0, 0], [0, 0.8, 0.6]])])
def test_where_pixdim_and_affine_contradict_the_affine_counts(tmp_path, ending, turn):
    affine = np.eye(4)
    affine[:3, :3] = turn * [0.8, 0.5, 2.5]
    path, kind = tmp_path / ending, nibabel.Nifti1Pair if ending == "x.hdr" else nibabel.Nifti1Image
    image = kind(np.ones((4, 5, 6), np.uint8), affine)
    image.header["pixdim"][1:4], image.header["qform_code"] = 1, 0
    nibabel.save(image, path)
    labels = read_label_map(path)
    assert labels.spacing == pytest.approx((2.5, 0.5, 0.8)) == image_header(path).spacing
    assert labels.notes == (
        "contradicts itself: its voxels measure 1x1x1 mm by pixdim and 0.8x0.5x2.5 mm by the affine, which counts",
    )
    assert read_image(path)[1] == labels.spacing


def test_an_affine_from_the_qform_cannot_contradict_pixdim(tmp_path):
    header = {"pixdim": [1, 1.5, 1.5, 3, 0, 0, 0, 0], "sform_code": 0, "qform_code": 1}
    save(tmp_path / "x.nii.gz", np.ones((4, 5, 6), np.uint8), np.diag([0.8, 0.5, 2.5, 1]), **header)
    labels = read_label_map(tmp_path / "x.nii.gz")
    assert labels.spacing == pytest.approx((3, 1.5, 1.5)) and not labels.notes


@pytest.mark.parametrize("slope", [np.nan, 0.0, 1.0])
def test_absent_scaling_in_all_its_spellings(tmp_path, slope):
    path = save(tmp_path / "x.nii.gz", np.full((2, 2, 2), 3, np.int16), scl_slope=slope, scl_inter=0)
    assert read_image(path)[0].max() == 3
    assert read_label_map(path).array.dtype == np.int16


def test_scaling_is_applied(tmp_path):
    path = save(tmp_path / "x.nii.gz", np.full((2, 2, 2), 3, np.int16), scl_slope=2, scl_inter=-1024)
    assert read_image(path)[0].max() == -1018
    assert read_label_map(path).array.max() == -1018
    path = save(tmp_path / "x.nii.gz", np.full((2, 2, 2), 3, np.int16), scl_slope=0.5, scl_inter=0)
    with pytest.raises(DataInvalid, match=r"1\.5"):
        read_label_map(path)


def test_float_labels_that_are_integers_are_accepted(tmp_path):
    back = read_label_map(save(tmp_path / "x.nii.gz", np.array([[[0.0, 2.0, 300.0]]], np.float32)))
    assert back.array.dtype == np.int16 and back.array.max() == 300
    wide = read_label_map(save(tmp_path / "x.nii.gz", np.array([[[0, 70000]]], np.int32)))
    assert wide.array.dtype == np.int32


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf, 1e30])
def test_labels_that_are_no_integers_are_named(tmp_path, value):
    path = save(tmp_path / "x.nii.gz", np.array([[[0.0, value]]], np.float32))
    with pytest.raises(DataInvalid, match=r"integer labels.*1 voxels"):
        read_label_map(path)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_intensities_that_are_not_finite_are_counted(tmp_path, dtype):
    path = save(tmp_path / "x.nii.gz", np.array([[[0.0, np.nan, np.inf, np.nan]]], dtype))
    with pytest.raises(DataInvalid, match="2 NaN and 1 infinite of 4"):
        read_image(path)


def test_big_endian_and_nifti2(tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    big = nibabel.Nifti1Image(array, np.eye(4), nibabel.Nifti1Header(endianness=">"), dtype=np.int16)
    nibabel.save(big, tmp_path / "big.nii.gz")
    nibabel.save(nibabel.Nifti2Image(array, np.eye(4)), tmp_path / "two.nii.gz")
    for name in ("big", "two"):
        image, _, _ = read_image(tmp_path / f"{name}.nii.gz")
        assert np.array_equal(image[0], array.T)
        assert read_label_map(tmp_path / f"{name}.nii.gz").array.dtype == np.dtype("=i2")


def test_very_long_axes_are_written_as_nifti2(tmp_path):
    write_label_map(tmp_path / "x.nii.gz", LabelMap(np.ones((1, 1, 40000), np.uint8), (1, 1, 1)))
    assert read_label_map(tmp_path / "x.nii.gz").array.shape == (1, 1, 40000)


@pytest.mark.parametrize("names", [("x.hdr", "x.img"), ("x.mgz",)])
def test_other_formats_of_nibabel(tmp_path, names):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    kind = nibabel.AnalyzeImage if len(names) == 2 else nibabel.MGHImage
    nibabel.save(kind(array, np.diag([1.0, 2.0, 3.0, 1.0])), tmp_path / names[-1])
    image, spacing, _ = read_image(tmp_path / names[0])
    assert np.array_equal(image[0], array.T) and spacing == (3, 2, 1)
    body = (tmp_path / names[-1]).read_bytes()
    (tmp_path / names[-1]).write_bytes(body[: len(body) - 9])
    with pytest.raises(DataInvalid):
        read_image(tmp_path / names[0])


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".mha", ".nrrd", ".mhd"])
def test_formats_of_simpleitk(tmp_path, ending):
    simpleitk = pytest.importorskip("SimpleITK")
    array = np.arange(24, dtype=np.int16).reshape(4, 3, 2)  # Z, Y, X
    image = simpleitk.GetImageFromArray(array)
    image.SetSpacing((1.0, 2.0, 3.0))
    image.SetOrigin((10.0, 20.0, 30.0))
    simpleitk.WriteImage(image, str(tmp_path / f"x{ending}"))
    simpleitk.WriteImage(image, str(tmp_path / "x.nii.gz"))
    found, spacing, affine = read_image(tmp_path / f"x{ending}")
    twin, twin_spacing, twin_affine = read_image(tmp_path / "x.nii.gz")
    assert np.array_equal(found, twin) and np.array_equal(found[0], array)
    assert spacing == twin_spacing == (3, 2, 1) and np.allclose(affine, twin_affine)
    assert image_header(tmp_path / f"x{ending}").dtype == np.int16
    (tmp_path / f"x{ending}").write_bytes(b"ObjectType = nonsense")
    with pytest.raises(DataInvalid):
        read_image(tmp_path / f"x{ending}")


def test_a_crash_of_simpleitk_is_an_error_like_any_other(tmp_path, monkeypatch):
    pytest.importorskip("SimpleITK")
    (tmp_path / "x.mha").write_bytes(b"1")
    itk.CHILD.stop()
    monkeypatch.setattr("segbench.files.child.sys.executable", "/bin/false")
    with pytest.raises(DataInvalid, match="ends SimpleITK"):
        read_image(tmp_path / "x.mha")


def test_one_child_serves_many_files_and_starts_anew_when_it_dies_or_stalls(tmp_path, monkeypatch):
    simpleitk = pytest.importorskip("SimpleITK")
    array = np.arange(24, dtype=np.int16).reshape(4, 3, 2)
    simpleitk.WriteImage(simpleitk.GetImageFromArray(array), str(tmp_path / "x.mha"))
    (tmp_path / "bad.mha").write_bytes(b"nonsense")
    itk.CHILD.stop()
    seen = []
    for _ in range(2):
        assert np.array_equal(read_label_map(tmp_path / "x.mha").array, array)
        seen.append(itk.CHILD._process.pid)
    assert seen[0] == seen[1]
    os.kill(seen[1], signal.SIGKILL)
    assert np.array_equal(read_label_map(tmp_path / "x.mha").array, array)
    with pytest.raises(DataInvalid):
        read_image(tmp_path / "bad.mha")
    assert itk.CHILD._process is None  # what the file may have done to its memory ends with it
    assert np.array_equal(read_label_map(tmp_path / "x.mha").array, array)
    os.kill(itk.CHILD._process.pid, signal.SIGSTOP)
    monkeypatch.setattr(itk, "PATIENCE", 0.2)
    with pytest.raises(DataInvalid, match="in time"):
        read_label_map(tmp_path / "x.mha")
    monkeypatch.undo()
    assert np.array_equal(read_label_map(tmp_path / "x.mha").array, array)


def test_simpleitk_absent_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "SimpleITK", None)
    (tmp_path / "x.mha").write_bytes(b"1")
    with pytest.raises(DataInvalid, match="pip install"):
        read_image(tmp_path / "x.mha")


def test_zooms_are_mended_by_rule_or_refused(tmp_path):
    array = np.ones((2, 3, 4), np.uint8)
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    assert image_header(save(tmp_path / "a.nii", array, affine, pixdim=[1, -1, 2, 3, 0, 0, 0, 0])).spacing == (3, 2, 1)
    assert image_header(save(tmp_path / "b.nii", array, affine, pixdim=[1, 0, np.nan, 3, 0, 0, 0, 0])).spacing == (
        3,
        2,
        1,
    )
    path = save(tmp_path / "c.nii", array, affine, pixdim=[1, 0, 2, 3, 0, 0, 0, 0], sform_code=0, qform_code=0)
    with pytest.raises(DataInvalid, match="voxel sizes"):
        image_header(path)
    metres = save(tmp_path / "d.nii", array, affine * [[0.001], [0.001], [0.001], [1]], xyzt_units=1)
    assert image_header(metres).spacing == pytest.approx((3, 2, 1))


def test_affines_that_are_no_map_are_refused(tmp_path):
    path = save(tmp_path / "x.nii", np.ones((2, 2, 2), np.uint8), np.eye(4), srow_x=[np.nan, 0, 0, 0])
    with pytest.raises(DataInvalid, match="affine"):
        read_image(path)
    path = save(tmp_path / "y.nii", np.ones((2, 2, 2), np.uint8), np.eye(4), srow_x=[0, 0, 0, 0])
    with pytest.raises(DataInvalid, match="affine"):
        read_image(path)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_headers_that_claim_more_than_the_file_can_hold(tmp_path, ending):
    dims = [3, 30000, 30000, 30000, 1, 1, 1, 1]
    path = save(tmp_path / f"x{ending}", np.ones((2, 2, 2), np.int16), dim=dims)
    for read in (read_image, read_label_map, image_header):
        with pytest.raises(DataInvalid, match="claim"):
            read(path)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"hello", b"\0" * 400, gzip.compress(b""), gzip.compress(b"x")])
@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_files_that_are_no_images(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    for read in (read_image, read_label_map, image_header):
        with pytest.raises(DataInvalid, match="expected"):
            read(tmp_path / name)


def test_paths_that_are_no_files(tmp_path):
    (tmp_path / "folder.nii.gz").mkdir()
    with pytest.raises(DataInvalid, match="folder"):
        read_image(tmp_path / "folder.nii.gz")
    with pytest.raises(DataMissing, match="nothing there"):
        read_image(tmp_path / "absent.nii.gz")
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(DataInvalid, match="ending"):
        read_image(tmp_path / "x.txt")


def test_compression_is_seen_in_the_content_and_may_have_members(tmp_path):
    path = save(tmp_path / "x.nii", np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    raw = path.read_bytes()
    (tmp_path / "plain.nii.gz").write_bytes(raw)
    members = gzip.compress(raw[:360]) + gzip.compress(raw[360:]) + b"\0" * 512
    (tmp_path / "members.nii.gz").write_bytes(members)
    for name in ("plain", "members"):
        assert np.array_equal(read_label_map(tmp_path / f"{name}.nii.gz").array, read_label_map(path).array)


def test_surplus_voxels_and_garbage_after_the_stream_are_refused(tmp_path):
    path = save(tmp_path / "x.nii", np.ones((30, 30, 30), np.uint8), dim=[3, 10, 10, 10, 1, 1, 1, 1])
    with pytest.raises(DataInvalid, match="more bytes"):
        read_label_map(path)
    whole = gzip.compress(save(tmp_path / "y.nii", np.ones((3, 3, 3), np.uint8)).read_bytes())
    (tmp_path / "y.nii.gz").write_bytes(whole + b"garbage")
    with pytest.raises(DataInvalid):
        read_label_map(tmp_path / "y.nii.gz")


def test_every_truncation_is_noticed(tmp_path):
    array = np.random.default_rng(0).integers(0, 3, (6, 6, 6)).astype(np.uint8)
    for name in ("x.nii", "x.nii.gz"):
        whole = save(tmp_path / name, array).read_bytes()
        for length in range(len(whole)):
            (tmp_path / name).write_bytes(whole[:length])
            with pytest.raises(DataInvalid):
                read_label_map(tmp_path / name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x.nii.gz", "x.nii"])
def test_random_damage_never_escapes_as_another_error(tmp_path, name):
    generator = random.Random(0)
    rng = np.random.default_rng(0)
    path = save(tmp_path / name, rng.integers(0, 3, (7, 8, 9)).astype(np.int16), OBLIQUE)
    whole = path.read_bytes()
    expected = read_label_map(path).array
    for _ in range(3000):
        damaged = bytearray(whole)
        limit = len(whole) if name.endswith(".gz") else 360
        for _ in range(generator.choice((1, 1, 2, 8))):
            damaged[generator.randrange(limit)] = generator.randrange(256)
        path.write_bytes(damaged)
        for read in (read_image, read_label_map, image_header):
            try:
                found = read(path)
            except SegbenchError as error:
                assert str(path) in str(error)
                continue
            if name.endswith(".gz") and isinstance(found, LabelMap):  # the checksum leaves no room for other numbers
                assert np.array_equal(found.array, expected)


def test_writing_is_atomic_and_says_what_went_wrong(tmp_path, monkeypatch):
    path = tmp_path / "x.nii.gz"
    label_map = LabelMap(np.ones((2, 2, 2), np.uint8), (1, 1, 1))
    write_label_map(path, label_map)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SegbenchError, match="No space left"):
        write_label_map(path, LabelMap(np.zeros((2, 2, 2), np.uint8), (1, 1, 1)))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_equal_content_gives_equal_bytes(tmp_path):
    label_map = LabelMap(np.ones((2, 2, 2), np.uint8), (1, 1, 1))
    write_label_map(tmp_path / "x.nii.gz", label_map)
    write_label_map(tmp_path / "y.nii.gz", label_map)
    assert (tmp_path / "x.nii.gz").read_bytes() == (tmp_path / "y.nii.gz").read_bytes()


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(DataInvalid, match="integer label map"):
        write_label_map(tmp_path / "x.nii.gz", LabelMap(np.ones((2, 2, 2), np.float32), (1, 1, 1)))
    with pytest.raises(DataInvalid, match="numbers"):
        write_image(tmp_path / "x.nii.gz", np.ones((2, 2)), (1, 1))
    with pytest.raises(DataInvalid, match="name that ends"):
        write_image(tmp_path / "x.png", np.ones((2, 2, 2)), (1, 1, 1))


def test_real_files_agree_with_nibabel(real_data):
    files = [path for path in sorted(real_data.glob("*/*/*.nii.gz")) if not path.name.startswith("._")]
    files += sorted(real_data.glob("msd_hippocampus/Task04_Hippocampus/*/*_0[0-4]?.nii.gz"))
    assert files
    for path in files:
        reference = nibabel.load(path)
        image, spacing, affine = read_image(path)
        assert np.allclose(image[0], np.asarray(reference.dataobj).T)
        assert spacing == pytest.approx(tuple(float(zoom) for zoom in reference.header.get_zooms())[::-1])
        assert np.allclose(affine[:, [2, 1, 0, 3]], reference.affine)
