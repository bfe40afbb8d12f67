"""Position, boundary bands, topology and centre lines: cases known from geometry, and peers where installed."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from segbench import LabelMap, Metric, PluginError, Structure, Task, UsageError
from segbench.skeletons import skeleton, thinned
from segbench_overlap.masks import betti_numbers, count_components, euler_characteristic, inner_band, joint_masks
from segbench_overlap.shape import (
    BettiOne,
    BettiTwo,
    BettiZero,
    BoundaryIoU,
    CentrelineDice,
    CentroidDistance,
    Components,
)

TASK = Task("test", "1", ("background", "organ"))


def value(metric: Metric, predicted: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...]) -> float | None:
    maps = [LabelMap(mask.astype(np.uint8), spacing) for mask in (predicted, truth)]
    (found,) = metric.score(maps[0], maps[1], TASK)
    return found.value


def solids() -> dict[str, tuple[np.ndarray, tuple[int, int, int]]]:
    """Shapes by name with their Betti numbers."""
    cube = np.zeros((7, 7, 7), dtype=bool)
    cube[1:6, 1:6, 1:6] = True
    hollow, ring, corners, edge = cube.copy(), cube.copy(), np.zeros_like(cube), np.zeros((3, 3), dtype=bool)
    hollow[3, 3, 3] = False
    ring[:, 3, 3] = False
    corners[1, 1, 1] = corners[2, 2, 2] = corners[5, 5, 5] = True
    edge[0, 1] = edge[1, 0] = edge[1, 2] = edge[2, 1] = True
    frame = np.zeros((3, 3, 3), dtype=bool)  # the 12 edges of a cube: 8 corners, 12 edges, χ = −4
    for index in np.ndindex(3, 3, 3):
        frame[index] = sum(position == 1 for position in index) <= 1
    return {
        "nothing": (np.zeros((2, 3), dtype=bool), (0, 0, 0)),
        "cube": (cube, (1, 0, 0)),
        "hollow cube": (hollow, (1, 0, 1)),
        "ring": (ring, (1, 1, 0)),
        "touching at a corner": (corners, (2, 0, 0)),
        "four touching at corners": (edge, (1, 1, 0)),
        "frame": (frame, (1, 5, 0)),
        "whole image": (np.ones((2, 2, 2), dtype=bool), (1, 0, 0)),
        "ring in one slice": (edge[None], (1, 1, 0)),
    }


@pytest.mark.parametrize("name", list(solids()))
def test_betti_numbers_known_from_geometry(name: str) -> None:
    mask, expected = solids()[name]
    assert betti_numbers(mask) == expected
    assert euler_characteristic(mask) == expected[0] - expected[1] + expected[2]


@given(arrays.arrays(np.bool_, st.tuples(*[st.integers(1, 6)] * 3)))
@settings(max_examples=60, deadline=None)
def test_betti_numbers_are_not_negative_and_turn_with_the_axes(mask: np.ndarray) -> None:
    found = betti_numbers(mask)
    assert min(found) >= 0
    assert found == betti_numbers(mask.transpose(2, 0, 1)[::-1])
    if mask.shape[0] == 1:
        assert found == betti_numbers(mask[0])


@given(arrays.arrays(np.bool_, st.tuples(*[st.integers(1, 6)] * 3)))
@settings(max_examples=30, deadline=None)
def test_the_euler_number_equals_scikit_image(mask: np.ndarray) -> None:
    measure = pytest.importorskip("skimage.measure")
    assert euler_characteristic(mask) == measure.euler_number(np.pad(mask, 1), connectivity=3)


def test_connectivity_of_components() -> None:
    diagonal = np.eye(3, dtype=bool)
    assert count_components(diagonal, full=True) == 1
    assert count_components(diagonal, full=False) == 3
    whole = np.ones((3, 3), dtype=bool)
    assert value(Components(), diagonal, whole, (1.0, 1.0)) == 2.0
    assert value(Components(connectivity="full"), diagonal, whole, (1.0, 1.0)) == 0.0
    with pytest.raises(UsageError, match="expected connectivity"):
        value(Components(connectivity="corners"), diagonal, whole, (1.0, 1.0))


def test_centroids_in_mm() -> None:
    random = np.random.default_rng(0)
    predicted, truth = random.random((2, 5, 6, 7)) < 0.3
    spacing = (1.0, 2.0, 3.0)
    centres = [np.array(ndimage.center_of_mass(mask)) * spacing for mask in (predicted, truth)]
    expected = float(np.linalg.norm(centres[0] - centres[1]))
    assert value(CentroidDistance(), predicted, truth, spacing) == pytest.approx(expected)


def test_the_band_holds_voxels_within_its_width_of_the_outside() -> None:
    mask = np.zeros((11, 11), dtype=bool)
    mask[1:10, 1:10] = True
    assert inner_band(mask, (1.0, 1.0), 2.0).sum() == 81 - 25
    assert inner_band(mask, (1.0, 1.0), 0.0).sum() == 81 - 49  # border voxels are always in it
    assert inner_band(np.ones((4, 4), dtype=bool), (1.0, 1.0), 1.0).sum() == 12  # beyond the image is outside


def test_a_band_as_wide_as_the_mask_gives_the_iou() -> None:
    random = np.random.default_rng(0)
    predicted, truth = random.random((2, 9, 9, 9)) < 0.5
    expected = (predicted & truth).sum() / (predicted | truth).sum()
    assert value(BoundaryIoU(width=99.0), predicted, truth, (1.0, 2.0, 1.0)) == pytest.approx(expected)


@pytest.mark.parametrize("side", [0.3, 0.7, 0.8, 1.1, 2.4, 3.3])
def test_a_band_of_whole_voxels_includes_them_whatever_they_measure(side: float) -> None:
    mask = np.zeros((13, 13), dtype=bool)
    mask[1:12, 1:12] = True
    for voxels in (1, 2, 3):
        for stored in (side, float(np.float32(side))):
            band = inner_band(mask, (stored, stored), round(voxels * side, 3))
            assert band.sum() == 121 - (11 - 2 * voxels) ** 2


def test_a_flat_structure_in_a_volume_is_all_border_but_not_in_a_one_slice_volume() -> None:
    flat = np.zeros((3, 7, 7), dtype=bool)
    flat[1] = True
    smaller = flat.copy()
    smaller[1, 0] = False
    spacing = (9.0, 1.0, 1.0)
    assert value(BoundaryIoU(width=1.0), smaller, flat, spacing) == pytest.approx(42 / 49)
    in_plane = value(BoundaryIoU(width=1.0), smaller[1], flat[1], (1.0, 1.0))
    assert value(BoundaryIoU(width=1.0), smaller[1:2], flat[1:2], spacing) == in_plane != pytest.approx(42 / 49)


def test_joint_masks_are_cropped_to_the_structure() -> None:
    predicted, truth = np.zeros((2, 6, 7, 8), dtype=np.uint8)
    predicted[1, 2, 3], truth[2, 2, 5], truth[5, 6, 7] = 1, 1, 2
    maps = LabelMap(predicted, (1.0, 2.0, 3.0)), LabelMap(truth, (1.0, 2.0, 3.0))
    one, other, spacing = joint_masks(*maps, Structure("organ", (1,)))
    assert one.shape == other.shape == (2, 1, 3)
    assert spacing == (1.0, 2.0, 3.0)
    one, _, _ = joint_masks(*maps, Structure("not there", (7,)))
    assert one.size == 0
    one, _, _ = joint_masks(*maps, Structure("all", (0, 1, 2)))
    assert one.shape == (6, 7, 8)


def test_cldice_of_tubes() -> None:
    pytest.importorskip("skimage")
    tube = np.zeros((9, 30, 9), dtype=bool)
    tube[3:6, 2:28, 3:6] = True
    half = tube.copy()
    half[:, 15:] = False
    assert value(CentrelineDice(), tube, tube, (1.0, 1.0, 1.0)) == 1.0
    found = value(CentrelineDice(), half, tube, (1.0, 1.0, 1.0))
    assert found is not None
    assert 0.5 < found < 0.8  # all of the half's centre line is right, about half of the whole's is found
    assert value(CentrelineDice(), ~tube, tube, (1.0, 1.0, 1.0)) == 0.0
    flat = value(CentrelineDice(), half[4], tube[4], (1.0, 1.0))
    assert value(CentrelineDice(), half[4:5], tube[4:5], (3.0, 1.0, 1.0)) == flat


def skeletonize(mask: np.ndarray) -> np.ndarray:
    """Return scikit-image's own skeleton."""
    lines: np.ndarray = pytest.importorskip("skimage.morphology").skeletonize(np.pad(mask, 1))
    return lines[(slice(1, -1),) * mask.ndim] > 0


def bar(*sides: slice, shape: tuple[int, ...] = (30, 20, 60)) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[sides] = True
    return mask


@pytest.mark.parametrize("width", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("height", [1, 2, 4, 5])
@pytest.mark.parametrize("length", [1, 2, 4, 40])
def test_cldice_of_equal_masks_is_one_whatever_their_width(width: int, height: int, length: int) -> None:
    pytest.importorskip("skimage")
    mask = bar(slice(3, 3 + width), slice(4, 4 + height), slice(5, 5 + length))
    for turned in (mask, np.flip(mask), mask.transpose(2, 0, 1)):
        assert value(CentrelineDice(), turned, turned, (1.0, 1.0, 1.0)) == 1.0
    assert value(CentrelineDice(), mask[3], mask[3], (1.0, 1.0)) == 1.0
    assert value(CentrelineDice(), mask[3:4], mask[3:4], (5.0, 1.0, 1.0)) == 1.0


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("joined", [False, True])
def test_cldice_counts_a_missed_branch_of_any_width(width: int, mirrored: bool, joined: bool) -> None:
    pytest.importorskip("skimage")
    shape = (40, 40, 60)
    trunk = bar(slice(4, 9), slice(5, 10), slice(5, 55), shape=shape)
    start = 9 if joined else 12
    branch = bar(slice(start, start + 25), slice(6, 6 + width), slice(30, 30 + width), shape=shape)
    predicted, truth = trunk, trunk | branch
    if mirrored:
        predicted, truth = np.flip(predicted), np.flip(truth)
    found = value(CentrelineDice(), predicted, truth, (1.0, 1.0, 1.0))
    whole, kept = 46 + 26 - width, 46  # lines of the trunk and of the branch
    assert found == pytest.approx(2 * kept / (kept + whole), abs=0.05)


def test_skeletons_keep_components_tunnels_and_cavities() -> None:
    pytest.importorskip("skimage")
    random = np.random.default_rng(0)
    erased = 0
    for shape in ((12, 14, 13), (31, 33)):
        for _ in range(20):
            mask = ndimage.gaussian_filter(random.standard_normal(shape), random.uniform(0.7, 2.0)) > 0.1
            for found in (skeleton(mask), thinned(mask)):
                assert not (found & ~mask).any()
                assert betti_numbers(found) == betti_numbers(mask)
            erased += betti_numbers(skeletonize(mask)) != betti_numbers(mask)
    assert erased  # scikit-image alone does not


def test_where_scikit_image_erases_nothing_the_skeleton_is_its_own() -> None:
    pytest.importorskip("skimage")
    tree = bar(slice(5, 8), slice(5, 8), slice(5, 55)) | bar(slice(5, 25), slice(5, 8), slice(20, 23))
    assert np.array_equal(skeleton(tree), skeletonize(tree))


def test_cldice_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.morphology", None)
    with pytest.raises(PluginError, match="pip install scikit-image"):
        value(CentrelineDice(), np.ones((2, 2)), np.ones((2, 2)), (1.0, 1.0))


@pytest.mark.parametrize("shape", [(6, 6, 6), (6, 6), (1, 6, 6)])
def test_a_missed_structure_is_perfect_by_no_error_of_topology(shape: tuple[int, ...]) -> None:
    organ, nothing, sides = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool), (1.0,) * len(shape)
    organ[..., 2:4, 2:4] = True
    for metric, missed in ((Components(), 1.0), (BettiZero(), 1.0), (BettiOne(), None), (BettiTwo(), None)):
        assert value(metric, nothing, organ, sides) == missed == value(metric, organ, nothing, sides)
        assert value(metric, nothing, nothing, sides) == 0.0 == value(metric, organ, organ, sides)
