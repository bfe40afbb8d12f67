"""Analyze pairs in every dress, against nibabel's own reader; and what can be wrong with them."""

from __future__ import annotations

import gzip
import shutil

import nibabel
import numpy as np
import pytest

from segbench import DataInvalid
from segbench_brains.analyze import is_pair, read_pair
from segbench_brains.cases import read_labels, read_scan
from segbench_brains.forging import write_pair

ZOOMS = (0.5, 1.5, 2.0)


@pytest.fixture
def array():
    return np.random.default_rng(0).integers(-300, 3000, (5, 6, 7)).astype(np.int16)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("compress", [True, False])
def test_voxels_are_those_that_nibabel_reads(tmp_path, dtype, compress):
    stored = np.random.default_rng(1).uniform(0, 200, (5, 6, 7)).astype(dtype)
    write_pair(tmp_path / "a.b", stored, ZOOMS, compress=compress)
    found, spacing, _ = read_pair(tmp_path / "a.b.hdr", (-1, 1, 1))
    plain = tmp_path / "plain"
    plain.mkdir()
    shutil.copy(tmp_path / "a.b.hdr", plain / "x.hdr")
    voxels = (tmp_path / ("a.b.img.gz" if compress else "a.b.img")).read_bytes()
    (plain / "x.img").write_bytes(gzip.decompress(voxels) if compress else voxels)
    expected = np.asarray(nibabel.load(plain / "x.hdr").dataobj)
    assert expected.shape == (5, 6, 7, 1)
    assert found.shape == (7, 6, 5) and found.dtype == dtype
    assert np.array_equal(found, expected[..., 0].transpose(2, 1, 0))
    assert spacing == (2.0, 1.5, 0.5)
    assert not (tmp_path / "a.b.img").exists() or not compress


def test_big_endian_and_compressed_headers(tmp_path, array):
    header = nibabel.AnalyzeHeader(endianness=">")
    header.set_data_dtype(np.int16)
    header.set_data_shape(array.shape)
    header.set_zooms(ZOOMS)
    (tmp_path / "x.hdr.gz").write_bytes(gzip.compress(header.binaryblock))
    (tmp_path / "x.img").write_bytes(array.astype(">i2").tobytes(order="F"))
    found, spacing, _ = read_pair(tmp_path / "x.hdr.gz", (-1, 1, 1))
    assert np.array_equal(found, array.T) and found.dtype == np.int16 and spacing == (2.0, 1.5, 0.5)


def test_directions_and_origin(tmp_path, array):
    write_pair(tmp_path / "x", array, ZOOMS)
    for directions in ((-1, 1, 1), (-1, -1, 1)):
        _, spacing, affine = read_pair(tmp_path / "x.hdr", directions)
        x, y, z = directions
        assert np.allclose(affine[:3, :3], [[0, 0, x * 0.5], [0, y * 1.5, 0], [z * 2.0, 0, 0]])
        assert np.allclose(affine @ [3, 2.5, 2, 1], [0, 0, 0, 1])  # the middle of 7 x 6 x 5 voxels
        assert np.allclose(np.linalg.norm(affine[:3, :3], axis=0), spacing)


def test_orientation_and_scaling_of_a_nifti_pair_count(tmp_path, array):
    affine = np.array([[0, 0, 2.0, 5], [0.5, 0, 0, 6], [0, 1.5, 0, 7], [0, 0, 0, 1]])
    image = nibabel.Nifti1Pair(array, affine)
    image.header.set_slope_inter(2.0, 1.0)
    nibabel.save(image, tmp_path / "x.hdr")
    (tmp_path / "x.img.gz").write_bytes(gzip.compress((tmp_path / "x.img").read_bytes()))
    (tmp_path / "x.img").unlink()
    found, spacing, world = read_pair(tmp_path / "x.hdr", (-1, 1, 1))
    assert np.allclose(found, array.T * 2.0 + 1.0, atol=1) and np.allclose(spacing, (2, 1.5, 0.5))
    assert np.allclose(world, affine[:, [2, 1, 0, 3]])


def test_scans_and_labels(tmp_path, array):
    write_pair(tmp_path / "x", array, ZOOMS)
    assert is_pair(tmp_path / "x.hdr")
    scan = read_scan(tmp_path / "x.hdr")
    assert scan.array.dtype == np.float32 and np.array_equal(scan.array, array.T)
    write_pair(tmp_path / "f", np.abs(array).astype(np.float32), ZOOMS)
    assert np.array_equal(read_labels(tmp_path / "f.hdr").array, np.abs(array).T)
    for bad in (0.5, np.nan, np.inf):
        wrong = array.astype(np.float32)
        wrong[0, 0, 0] = bad
        write_pair(tmp_path / "f", wrong, ZOOMS)
        with pytest.raises(DataInvalid, match="integer labels"):
            read_labels(tmp_path / "f.hdr")
    with pytest.raises(DataInvalid, match="finite"):
        read_scan(tmp_path / "f.hdr")


def test_damaged_files(tmp_path, array):
    write_pair(tmp_path / "x", array, ZOOMS)
    header, voxels = (tmp_path / "x.hdr"), (tmp_path / "x.img.gz")
    whole, packed = header.read_bytes(), voxels.read_bytes()
    for content in (
        b"",
        b"x",
        packed[:-9],
        packed[:200],
        gzip.compress(b"short"),
        gzip.compress(bytes(9000)),
        bytes(10),
    ):
        voxels.write_bytes(content)
        with pytest.raises(DataInvalid, match="x"):
            read_pair(header, (-1, 1, 1))
    broken = bytearray(packed)
    broken[-6] ^= 1  # the checksum
    voxels.write_bytes(broken)
    with pytest.raises(DataInvalid, match="damaged"):
        read_pair(header, (-1, 1, 1))
    voxels.write_bytes(packed)
    for content in (b"", b"x" * 348, whole[:100], whole[:40] + b"\xff" * 16 + whole[56:]):
        header.write_bytes(content)
        with pytest.raises(DataInvalid, match=r"x\.hdr"):
            read_pair(header, (-1, 1, 1))
    header.write_bytes(whole)
    voxels.unlink()
    with pytest.raises(DataInvalid, match="no voxel file"):
        read_pair(header, (-1, 1, 1))


def test_headers_that_claim_too_much_or_several_volumes(tmp_path):
    for shape, message in (((2000, 2000, 2000, 1), "claims"), ((5, 6, 7, 2), "one volume"), ((5, 6), "one volume")):
        header = nibabel.AnalyzeHeader()
        header.set_data_shape(shape)
        header.set_data_dtype(np.int16)
        (tmp_path / "x.hdr").write_bytes(header.binaryblock)
        (tmp_path / "x.img").write_bytes(bytes(840))
        with pytest.raises(DataInvalid, match=message):
            read_pair(tmp_path / "x.hdr", (-1, 1, 1))
