"""Surface elements: areas known from geometry, and surface-distance's values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from segbench import LabelMap, Task
from segbench_surface.surfels import contour_lengths, neighbour_codes, surfel_areas, surfel_distances
from segbench_surface.tolerance import NormalisedSurfaceDistanceSurfel


def test_areas_known_from_geometry() -> None:
    areas = surfel_areas((1.0, 2.0, 3.0))
    triangle = math.sqrt((2 * 3) ** 2 + (1 * 3) ** 2 + (1 * 2) ** 2) / 8
    for bit in range(8):  # one corner inside or outside
        assert areas[1 << bit] == areas[255 ^ 1 << bit] == pytest.approx(triangle)
    assert areas[0b00001111] == pytest.approx(2 * 3)  # a plane across the first axis
    assert areas[0b00110011] == pytest.approx(1 * 3)
    assert areas[0b01010101] == pytest.approx(1 * 2)
    assert areas[0] == areas[255] == 0.0
    np.testing.assert_allclose(areas, areas[::-1])  # inside and outside exchanged


def test_areas_turn_with_the_axes() -> None:
    areas = surfel_areas((1.0, 2.0, 3.0))
    turned = surfel_areas((3.0, 1.0, 2.0))
    for code in range(256):
        cube = np.array([code >> bit & 1 for bit in range(8)]).reshape(2, 2, 2)
        bits = np.moveaxis(cube, 2, 0).ravel()
        assert turned[int((bits << np.arange(8)).sum())] == pytest.approx(areas[code])


def test_contours_known_from_geometry() -> None:
    lengths = contour_lengths((3.0, 4.0))
    assert lengths[0b0011] == 4.0
    assert lengths[0b0101] == 3.0
    assert lengths[0b0001] == lengths[0b0111] == 2.5
    assert lengths[0b0110] == lengths[0b1001] == 5.0


def test_the_surface_of_a_box_is_that_of_the_box_with_cut_corners() -> None:
    mask = np.zeros((12, 12, 12), dtype=bool)
    mask[1:-1, 1:-1, 1:-1] = True
    surfels = surfel_distances(mask, mask, (1.0, 1.0, 1.0))
    cut_edges, cut_corners = 12 * 9 * math.sqrt(0.5), 8 * math.sqrt(3) / 8
    assert surfels.truth_areas.sum() == pytest.approx(6 * 81 + cut_edges + cut_corners)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_distances_are_between_corners_of_the_grid(dimensions: int) -> None:
    random = np.random.default_rng(3)
    predicted, truth = random.random((2, *(7, 8, 5)[:dimensions])) < 0.1
    spacing = (1.5, 0.7, 2.2)[:dimensions]
    corners = [
        np.argwhere((codes != 0) & (codes != 2**2**dimensions - 1)) * np.array(spacing)
        for codes in (neighbour_codes(predicted), neighbour_codes(truth))
    ]
    between = cdist(*corners)
    found = surfel_distances(predicted, truth, spacing)
    np.testing.assert_allclose(found.predicted, between.min(axis=1), atol=1e-12)
    np.testing.assert_allclose(found.truth, between.min(axis=0), atol=1e-12)


def test_nothing_is_infinitely_far() -> None:
    found = surfel_distances(np.zeros((2, 2), dtype=bool), np.ones((2, 2), dtype=bool), (1.0, 1.0))
    assert len(found.predicted) == 0
    assert np.isinf(found.truth).all()


@pytest.mark.filterwarnings("ignore")
def test_values_equal_surface_distance() -> None:
    peer = pytest.importorskip("surface_distance")
    task = Task("test", "1", ("background", "organ"))
    random = np.random.default_rng(7)
    for number in range(80):
        dimensions = 2 + number % 2
        shape = tuple(random.integers(2, 60 if dimensions == 2 else 18, size=dimensions))
        spacing = tuple(random.uniform(0.3, 3.0, size=dimensions))
        predicted, truth = (
            ndimage.gaussian_filter(random.standard_normal(shape), random.uniform(0, 2)) > 0.02 for _ in range(2)
        )
        if not predicted.any() or not truth.any():
            continue
        for tolerance in (0.5, 1.0, 3.0):
            distances = peer.compute_surface_distances(truth, predicted, spacing)
            expected = peer.compute_surface_dice_at_tolerance(distances, tolerance)
            maps = [LabelMap(mask.astype(np.uint8), spacing) for mask in (predicted, truth)]
            (found,) = NormalisedSurfaceDistanceSurfel(tolerance=tolerance).score(*maps, task)
            assert found.value == pytest.approx(expected, abs=1e-9)
