"""Geometry: what is the same grid, what is put back exactly, what is refused, what is resampled."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segbench.errors import DataInvalid, UsageError
from segbench.scoring.geometry import align, compare
from segbench.types import LabelMap

SPACING = (3.0, 1.0, 0.5)
AFFINE = np.array([[0.0, 0.1, 0.5, -20.0], [0.0, 1.0, -0.05, 7.0], [3.0, 0.0, 0.0, 100.0], [0, 0, 0, 1]])
AFFINE[:3, :3] = AFFINE[:3, :3] / np.linalg.norm(AFFINE[:3, :3], axis=0) * SPACING  # oblique, as scanners are


def label_map(shape: tuple[int, ...] = (4, 6, 7), affine: Any = AFFINE, seed: int = 0) -> LabelMap:
    array = np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)
    return LabelMap(array, SPACING, None if affine is None else np.array(affine))


def turned(labels: LabelMap, axes: tuple[int, ...], flips: tuple[int, ...]) -> LabelMap:
    """Return the same volume stored with permuted and flipped axes, its affine saying so."""
    array = np.flip(labels.array.transpose(axes), flips)
    assert labels.affine is not None
    step = np.eye(4)[:, [*axes, 3]]  # index of the turned array -> index of the original
    for axis in flips:
        step[:3, 3] += step[:3, axis] * (array.shape[axis] - 1)
        step[:3, axis] *= -1
    spacing = tuple(labels.spacing[axis] for axis in axes)
    return LabelMap(np.ascontiguousarray(array), spacing, labels.affine @ step)


def test_same_grid_needs_no_note() -> None:
    truth = label_map()
    aligned = align(label_map(seed=1), truth)
    assert aligned.note == ""
    assert np.array_equal(aligned.predicted.array, label_map(seed=1).array)


def test_header_rounding_is_the_same_grid() -> None:
    noise = np.random.default_rng(0).normal(0, 1e-4, (4, 4)) * [[1], [1], [1], [0]]
    assert compare(label_map(affine=(AFFINE + noise).astype(np.float32)), label_map()).kind == "same"


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", [(), (0,), (1, 2), (0, 1, 2)])
def test_turned_volumes_are_put_back_exactly(axes: tuple[int, ...], flips: tuple[int, ...]) -> None:
    truth = label_map()
    stored = turned(truth, axes, flips)
    aligned = align(stored, truth)
    assert np.array_equal(aligned.predicted.array, truth.array)
    assert aligned.predicted.spacing == truth.spacing
    assert bool(aligned.note) == ((axes, flips) != ((0, 1, 2), ()))


def test_flipped_header_without_the_volume_is_not_reoriented() -> None:
    """A header that merely changed its signs puts the volume elsewhere: voxels must not be moved for it."""
    truth = label_map()
    changed = LabelMap(truth.array, truth.spacing, AFFINE @ np.diag([1, -1, 1, 1.0]))
    assert compare(changed, truth).kind == "affine"
    with pytest.raises(DataInvalid, match="tolerant"):
        align(changed, truth)


def test_shifted_affine_is_refused_tolerated_or_resampled() -> None:
    truth = label_map()
    moved = AFFINE.copy()
    moved[:3, 3] += AFFINE[:3, 1] * 2  # two voxels along axis 1
    predicted = label_map(affine=moved)
    with pytest.raises(DataInvalid, match="mm apart"):
        align(predicted, truth)
    tolerated = align(predicted, truth, "tolerant")
    assert np.array_equal(tolerated.predicted.array, predicted.array)
    assert "although" in tolerated.note
    resampled = align(predicted, truth, "resample")
    expected = np.zeros_like(truth.array)
    expected[:, 2:] = predicted.array[:, :-2]
    assert np.array_equal(resampled.predicted.array, expected)
    assert "nearest neighbour" in resampled.note


@pytest.mark.parametrize("mode", ["strict", "tolerant"])
def test_other_shape_or_spacing_is_refused(mode: Any) -> None:
    with pytest.raises(DataInvalid, match="4x6x8, expected 4x6x7"):
        align(label_map((4, 6, 8)), label_map(), mode)
    scaled = AFFINE @ np.diag([1, 1, 1.1, 1])
    with pytest.raises(DataInvalid, match="mm, expected"):
        align(LabelMap(label_map().array, (3.0, 1.0, 0.55), scaled), label_map(), mode)


def test_maps_saved_without_their_affine_are_taken_voxel_by_voxel_on_request() -> None:
    truth = label_map()
    bare = LabelMap(truth.array.copy(), (1.0, 1.0, 1.0), np.eye(4)[:, [2, 1, 0, 3]])
    for mode in ("strict", "tolerant"):
        with pytest.raises(DataInvalid, match=r"prediction's affine is the identity.*--geometry voxels"):
            align(bare, truth, mode)  # type: ignore[arg-type]
    taken = align(bare, truth, "voxels")
    assert np.array_equal(taken.predicted.array, truth.array) and taken.predicted.spacing == SPACING
    assert "voxel by voxel although its voxels measure 1x1x1 mm, expected 3x1x0.5 mm" in taken.note
    assert align(truth, bare, "voxels").predicted.spacing == (1.0, 1.0, 1.0)  # the reference's grid counts


@pytest.mark.parametrize("shape", [(4, 6, 7), (1, 6, 7)])
def test_voxels_believes_no_header_but_the_shape(shape: tuple[int, int, int]) -> None:
    truth = label_map(shape)
    flipped = turned(truth, (0, 1, 2), (1,))
    taken = align(flipped, truth, "voxels")
    assert np.array_equal(taken.predicted.array, flipped.array) and "flipped along axis 1" in taken.note
    assert align(label_map(shape, seed=2), truth, "voxels").note == ""
    assert align(LabelMap(truth.array[0], SPACING[1:]), label_map((1, 6, 7)), "voxels").note == ""
    with pytest.raises(DataInvalid, match=r"voxel by voxel: its shape is .*--geometry resample"):
        align(label_map((shape[0], 6, 8)), truth, "voxels")


def test_resampling_equal_shapes_of_unequal_voxels_warns() -> None:
    truth = label_map()
    affine = AFFINE.copy()
    affine[:3, :3] = np.eye(3)[:, ::-1] * 1.0
    resampled = align(LabelMap(truth.array, (1.0, 1.0, 1.0), affine), truth, "resample")
    assert "shapes are equal (the prediction's affine is the identity" in resampled.note
    assert "--geometry voxels" in resampled.note
    far = affine.copy()
    far[:3, 3] += 1e4
    with pytest.raises(DataInvalid, match=r"do not overlap.*--geometry voxels"):
        align(LabelMap(truth.array, (1.0, 1.0, 1.0), far), truth, "resample")
    with pytest.raises(DataInvalid, match=r"do not overlap.*Correct the affines\.$"):
        align(LabelMap(truth.array[1:], (1.0, 1.0, 1.0), far), truth, "resample")


def nearest(predicted: LabelMap, truth: LabelMap) -> NDArray[Any]:
    """Return the nearest label for every voxel of the reference, one by one."""
    assert predicted.affine is not None and truth.affine is not None
    mapping = np.linalg.inv(predicted.affine) @ truth.affine
    found = np.zeros(truth.array.shape, dtype=predicted.array.dtype)
    for index in np.ndindex(*truth.array.shape):
        place = np.floor((mapping @ [*index, 1])[:3] + 0.5).astype(int)
        if all(0 <= at < size for at, size in zip(place, predicted.array.shape, strict=True)):
            found[index] = predicted.array[tuple(place)]
    return found


def test_resampling_is_nearest_neighbour_to_the_border() -> None:
    truth = label_map((5, 9, 8))
    coarse = AFFINE @ np.diag([1.37, 2.11, 1.73, 1])
    coarse[:3, 3] += [0.11, 0.23, -0.31]
    predicted = LabelMap(label_map((4, 5, 5), seed=3).array, (4.11, 2.11, 0.865), coarse)
    assert np.array_equal(align(predicted, truth, "resample").predicted.array, nearest(predicted, truth))


def test_upsampling_keeps_half_a_voxel_at_the_border() -> None:
    ones = LabelMap(np.ones((2, 2, 2), np.uint8), (2.0,) * 3, np.diag([2.0, 2, 2, 1]))
    affine = np.diag([1.0, 1, 1, 1])
    affine[:3, 3] = -0.5
    fine = LabelMap(np.ones((4, 4, 4), np.uint8), (1.0,) * 3, affine)
    assert align(ones, fine, "resample").predicted.array.all()


def test_volumes_far_apart_are_not_resampled() -> None:
    far = AFFINE.copy()
    far[:3, 3] += 1e4
    with pytest.raises(DataInvalid, match="do not overlap"):
        align(label_map(affine=far), label_map(), "resample")


def test_without_affine_shape_and_spacing_count() -> None:
    assert align(label_map(affine=None), label_map()).note == ""
    with pytest.raises(DataInvalid, match="mm, expected"):
        align(LabelMap(label_map().array, (1.0, 1.0, 1.0), None), label_map())


def test_singular_affine_is_as_none() -> None:
    singular = np.zeros((4, 4))
    assert compare(label_map(affine=singular), label_map(affine=None)).kind == "same"


def test_plane_and_single_slice_stand_for_each_other() -> None:
    array = label_map((6, 7), None).array
    plane = LabelMap(array, (1.0, 0.5))
    slice_ = LabelMap(array[None], (3.0, 1.0, 0.5))
    assert align(plane, slice_).predicted.array.shape == (1, 6, 7)
    assert align(slice_, plane).predicted.array.shape == (6, 7)
    with pytest.raises(DataInvalid, match="2 axes"):
        align(plane, label_map())


def test_unknown_mode() -> None:
    with pytest.raises(UsageError, match="strict, tolerant, voxels, resample"):
        align(label_map(), label_map(), "loose")  # type: ignore[arg-type]


def test_pixels_of_unknown_size_are_compared_by_shape_and_resampled_whole_onto_whole() -> None:
    small = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    picture = LabelMap(small, (1.0, 1.0, 1.0), np.eye(4), unit="px")
    large = LabelMap(np.zeros((1, 6, 8), np.uint8), (1.0, 1.0, 1.0), np.diag([2.0, 2, 2, 1]), unit="px")
    assert align(picture, picture).note == ""
    with pytest.raises(DataInvalid, match="1x3x4, expected 1x6x8"):
        align(picture, large)
    found = align(picture, large, "resample").predicted
    assert np.array_equal(found.array, np.kron(small, np.ones((1, 2, 2), np.uint8))) and found.unit == "px"
    assert np.array_equal(align(found, picture, "resample").predicted.array, found.array[:, 1::2, 1::2])
    millimetres = LabelMap(small, (5.0, 2.0, 2.0), np.diag([5.0, 2.0, 2.0, 1.0]))
    aligned = align(picture, millimetres)
    assert aligned.predicted.unit == "mm" and "pixel by pixel" in aligned.note
