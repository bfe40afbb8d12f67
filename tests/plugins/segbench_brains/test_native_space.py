"""AIR transforms against a loop over voxels, and cropping: every voxel keeps its place in the world."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from segbench import UNKNOWN, Case, DataInvalid, LabelMap
from segbench_brains.air import LAYOUT, read_air, to_standard
from segbench_brains.cropping import crop
from segbench_brains.forging import turned, write_air

DRAWN = ((9, 8, 7), (1.0, 1.0, 1.0))
SCANNED = ((10, 5, 11), (0.9, 1.6, 0.8))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("long_hashes", [False, True])
def test_labels_are_those_of_the_nearest_voxel(tmp_path, order, long_hashes):
    path = tmp_path / "x.air"
    e = turned(0.3, DRAWN, SCANNED)
    e[0, 2] = 0.05  # a shear, so that rows and columns of e cannot be confused
    write_air(path, e, SCANNED, DRAWN, order)
    if long_hashes:
        path.write_bytes(path.read_bytes() + bytes(8))
    labels = np.random.default_rng(0).integers(1, 99, DRAWN[0][::-1]).astype(np.int16)  # (Z, Y, X)
    found = to_standard(labels, read_air(path), SCANNED[0][::-1], SCANNED[1][::-1], path)
    assert found.shape == (11, 5, 10) and found.dtype == np.int16
    compared = 0
    for index in np.ndindex(*SCANNED[0]):  # (X, Y, Z)
        x = [index[i] * SCANNED[1][i] / min(SCANNED[1]) for i in range(3)]
        y = [sum(e[i, j] * x[i] for i in range(3)) + e[3, j] for j in range(3)]
        near = [round(value) for value in y]
        if any(abs(abs(value - rounded) - 0.5) < 1e-6 for value, rounded in zip(y, near, strict=True)):
            continue
        inside = all(0 <= value <= length - 1 for value, length in zip(y, DRAWN[0], strict=True))
        if inside:
            assert found[index[::-1]] == labels[near[2], near[1], near[0]]
            compared += 1
        elif any(value < -0.5 or value > length - 0.5 for value, length in zip(y, DRAWN[0], strict=True)):
            assert found[index[::-1]] == 0
    assert compared > 200


def test_the_layout_has_the_size_that_air_writes(tmp_path):
    assert struct.calcsize(">" + LAYOUT) == 592
    write_air(tmp_path / "x.air", np.eye(4), SCANNED, DRAWN)
    assert (tmp_path / "x.air").stat().st_size == 720
    transform = read_air(tmp_path / "x.air")
    assert transform.shape == DRAWN[0] and transform.voxel == 0.8 and np.array_equal(transform.matrix, np.eye(4))


def test_files_that_are_no_transform(tmp_path):
    path = tmp_path / "x.air"
    projective, singular = np.eye(4), np.eye(4)
    projective[0, 3], singular[0, 0] = 0.1, 0
    write_air(path, np.eye(4), SCANNED, DRAWN)
    whole = path.read_bytes()
    contents = [b"", bytes(720), whole[:-1], b"\xff" * 720]
    for matrix in (projective, singular, np.full((4, 4), np.nan)):
        write_air(path, matrix, SCANNED, DRAWN)
        contents.append(path.read_bytes())
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(DataInvalid, match=r"x\.air: expected a linear transform of AIR 5"):
            read_air(path)


def test_labels_of_another_grid(tmp_path):
    path = tmp_path / "x.air"
    write_air(path, np.eye(4), SCANNED, DRAWN)
    with pytest.raises(DataInvalid, match=r"labels of shape \(7, 8, 9\).*found \(9, 8, 7\)"):
        to_standard(np.zeros((9, 8, 7), np.int16), read_air(path), (11, 5, 10), (0.8, 1.6, 0.9), path)


def make(shape, labelled):
    rng = np.random.default_rng(3)
    affine = np.array([[0, 0, -1.0, 5], [0, 2, 0, -7], [3.0, 0, 0, 11], [0, 0, 0, 1]])
    truth = np.zeros(shape, np.int16)
    truth[labelled] = 1
    image = rng.normal(size=(2, *shape)).astype(np.float32)
    return Case("x", image, (3.0, 2.0, 1.0), affine, LabelMap(truth, (3.0, 2.0, 1.0), affine))


@pytest.mark.parametrize("size", [(4, 9, 8), (6, 7, 8), (9, 12, 11), (5, 9, 3)])
def test_voxels_keep_their_place_in_the_world(size):
    case = make((6, 7, 8), np.s_[2:4, 3:5, 3:5])
    cropped = crop(case, size)
    assert cropped.image.shape == (2, *size) and cropped.truth.array.shape == size
    back = np.linalg.inv(case.affine) @ cropped.affine
    seen = 0
    for index in np.ndindex(*size):
        source = np.rint(back @ [*index, 1])[:3].astype(int)
        if all(0 <= value < length for value, length in zip(source, (6, 7, 8), strict=True)):
            assert np.array_equal(cropped.image[(slice(None), *index)], case.image[(slice(None), *source)])
            assert cropped.truth.array[index] == case.truth.array[tuple(source)]
            seen += 1
        else:
            assert cropped.truth.array[index] == UNKNOWN
            assert np.array_equal(cropped.image[(slice(None), *index)], case.image.min(axis=(1, 2, 3)))
    assert seen == np.prod(np.minimum(size, (6, 7, 8)))


def test_a_crop_that_would_cut_a_structure_is_refused():
    case = make((6, 7, 8), np.s_[0:2, 3:5, 3:5])
    with pytest.raises(DataInvalid, match=r"case x: .*found 4 labelled voxels outside.*dataset\.crop"):
        crop(case, (4, 7, 8))
    assert crop(Case("x", case.image, case.spacing, case.affine), (4, 7, 8)).truth is None
