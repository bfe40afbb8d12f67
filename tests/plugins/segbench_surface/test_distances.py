"""Distances and borders against their definitions, computed pair by pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from scipy.spatial.distance import cdist

from segbench_surface import surface_distances
from segbench_surface.nearest import nearest
from segbench_surface.packing import border, pack, points, size, tight, unpack


def border_voxels(mask: np.ndarray) -> np.ndarray:
    """Voxels with a face neighbour outside, straight from the definition: (n, dimensions) indices."""
    padded = np.pad(mask, 1)
    found = []
    for index in np.argwhere(mask):
        neighbours = [index + 1 + step for axis in np.eye(mask.ndim, dtype=int) for step in (axis, -axis)]
        if not all(padded[tuple(neighbour)] for neighbour in neighbours):
            found.append(index)
    return np.array(found, dtype=np.int64).reshape(-1, mask.ndim)


def brute_force(predicted: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    one, other = border_voxels(predicted) * np.array(spacing), border_voxels(truth) * np.array(spacing)
    between = cdist(one, other)
    return np.sort(between.min(axis=1)), np.sort(between.min(axis=0))


def assert_equals_brute_force(predicted: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...]) -> None:
    expected = brute_force(predicted, truth, spacing)
    found = surface_distances(predicted, truth, spacing)
    np.testing.assert_allclose(np.sort(found.predicted), expected[0], atol=1e-9, rtol=0)
    np.testing.assert_allclose(np.sort(found.truth), expected[1], atol=1e-9, rtol=0)


shapes = st.one_of(
    st.tuples(st.integers(1, 9)), st.tuples(st.integers(1, 9), st.integers(1, 70)), st.tuples(*[st.integers(1, 6)] * 3)
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    shape = draw(shapes)
    masks = [draw(arrays.arrays(np.bool_, shape)) for _ in range(2)]
    spacing = draw(st.tuples(*[st.floats(0.05, 20.0) for _ in shape]))
    return masks[0], masks[1], spacing


@given(pairs())
@settings(max_examples=120, deadline=None)
def test_any_pair_equals_brute_force(pair: tuple[np.ndarray, np.ndarray, tuple[float, ...]]) -> None:
    predicted, truth, spacing = pair
    if predicted.any() and truth.any():
        assert_equals_brute_force(predicted, truth, spacing)


@given(pairs())
@settings(max_examples=60, deadline=None)
def test_swapping_the_masks_swaps_the_lists(pair: tuple[np.ndarray, np.ndarray, tuple[float, ...]]) -> None:
    predicted, truth, spacing = pair
    one, other = surface_distances(predicted, truth, spacing), surface_distances(truth, predicted, spacing)
    np.testing.assert_array_equal(np.sort(one.predicted), np.sort(other.truth))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 0.4, 0.4), (0.3, 0.3, 4.0), (100.0, 1.0, 1.0)])
@pytest.mark.parametrize("seed", range(4))
def test_blobs_equal_brute_force(spacing: tuple[float, float, float], seed: int) -> None:
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(3, 26, size=3))
    predicted, truth = (ndimage.gaussian_filter(random.standard_normal(shape), 2) > 0.05 for _ in range(2))
    if predicted.any() and truth.any():
        assert_equals_brute_force(predicted, truth, spacing)


@pytest.mark.parametrize("shape", [(40, 70, 200), (3, 500, 130), (70, 300), (900,)])
def test_far_islands_are_left_to_the_tree(shape: tuple[int, ...]) -> None:
    predicted, truth = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    predicted[tuple(slice(0, 3) for _ in shape)] = True
    predicted[tuple(slice(length - 2, None) for length in shape)] = True
    truth[tuple(slice(0, 2) for _ in shape)] = True
    assert_equals_brute_force(predicted, truth, tuple(0.7 + axis for axis in range(len(shape))))


def test_steps_do_not_wrap_around_the_edges_of_the_image() -> None:
    for width in (63, 64, 65, 128):
        predicted, truth = np.zeros((3, 4, width), dtype=bool), np.zeros((3, 4, width), dtype=bool)
        predicted[1, 1, 0] = True
        truth[1, 0, width - 1] = truth[0, 3, width - 1] = truth[2, 3, 5] = True
        assert_equals_brute_force(predicted, truth, (1.0, 1.0, 1.0))


def test_one_voxel_each() -> None:
    predicted, truth = np.zeros((4, 5, 6), dtype=bool), np.zeros((4, 5, 6), dtype=bool)
    predicted[0, 0, 0] = truth[3, 4, 0] = True
    found = surface_distances(predicted, truth, (1.0, 1.0, 9.0))
    assert found.predicted.tolist() == found.truth.tolist() == [5.0]


def test_distances_of_whole_voxels_are_exact() -> None:
    predicted, truth = np.zeros(40, dtype=bool), np.zeros(40, dtype=bool)
    predicted[31] = truth[30] = True  # 31 · 0.8 − 30 · 0.8 is 0.8000000000000007
    assert surface_distances(predicted, truth, (0.8,)).predicted.tolist() == [0.8]


def test_everything_is_infinitely_far_from_nothing() -> None:
    nothing, something = np.zeros((2, 3), dtype=bool), np.ones((2, 3), dtype=bool)
    found = surface_distances(nothing, something, (1.0, 1.0))
    assert len(found.predicted) == 0
    assert np.isinf(found.truth).all()
    assert len(found.truth) == 6
    assert [len(some) for some in surface_distances(nothing, nothing, (1.0, 1.0))] == [0, 0]


@pytest.mark.parametrize(
    ("predicted", "truth", "spacing", "words"),
    [
        ((2, 3), (3, 2), (1.0, 1.0), "must be equal"),
        ((2, 3), (2, 3), (1.0,), "one spacing per axis"),
        ((2, 3), (2, 3), (1.0, 0.0), "positive spacings"),
        ((2, 3), (2, 3), (1.0, float("nan")), "positive spacings"),
        ((1, 1, 1, 1), (1, 1, 1, 1), (1.0,) * 4, "one to three axes"),
    ],
)
def test_what_does_not_fit_is_refused(
    predicted: tuple[int, ...], truth: tuple[int, ...], spacing: tuple[float, ...], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        surface_distances(np.ones(predicted, dtype=bool), np.ones(truth, dtype=bool), spacing)


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 140))))
@settings(max_examples=60, deadline=None)
def test_packing_keeps_masks_points_and_borders(mask: np.ndarray) -> None:
    words = pack(mask)
    np.testing.assert_array_equal(unpack(words)[..., : mask.shape[-1]], mask)
    np.testing.assert_array_equal(points(words), np.argwhere(mask))
    np.testing.assert_array_equal(points(border(words, range(3))), border_voxels(mask))
    assert size(words) == mask.sum()
    assert (tight(words) is None) == (not mask.any())


def test_a_grid_too_large_to_look_up_uses_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    predicted, truth = random.random((2, 8, 9, 10)) < 0.2
    sources, targets = pack(predicted & ~truth), pack(truth)
    expected = nearest(sources, targets, (1.0, 2.0, 3.0))
    monkeypatch.setattr("segbench_surface.nearest._LARGEST_GRID", 0)
    np.testing.assert_allclose(nearest(sources, targets, (1.0, 2.0, 3.0)), expected, atol=1e-12, rtol=0)
