"""Maps of a truth against brute force, SciPy's distance transform and figures drawn by hand."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from segbench import (
    LabelMap,
    centre_offsets,
    components,
    distance_to_skeleton,
    maps,
    signed_distance,
    signed_distances,
    voronoi,
)

SPACINGS = {2: (0.7, 2.5), 3: (5.0, 0.4, 0.9)}
masks = st.one_of(
    arrays.arrays(np.bool_, st.tuples(*[st.integers(1, 7)] * 2)),
    arrays.arrays(np.bool_, st.tuples(*[st.integers(1, 5)] * 3)),
)


def nearest(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Return the distance of every voxel to the nearest voxel of the mask, from all pairs."""
    every, some = (np.argwhere(one) * spacing for one in (np.ones_like(mask), mask))
    steps = every[:, None] - some[None]
    return np.sqrt((steps**2).sum(-1)).min(1).reshape(mask.shape)


@given(masks)
@settings(max_examples=80, deadline=None)
def test_signed_distances_equal_brute_force(mask: np.ndarray) -> None:
    spacing = SPACINGS[mask.ndim]
    if not mask.any() or mask.all():
        assert (signed_distance(mask, spacing, absent=7.0) == 7).all()
        return
    outside, inside = nearest(mask, spacing), nearest(~mask, spacing)
    half = min(spacing) / 2
    wanted = {"midpoint": np.where(mask, half - inside, outside - half), "paper": np.where(mask, 1 - inside, outside)}
    for edge, expected in wanted.items():
        found = signed_distance(mask, spacing, edge)  # type: ignore[arg-type]
        assert found.dtype == np.float32 and found.flags.c_contiguous
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert (signed_distance(mask, spacing) < 0).tolist() == mask.tolist()


def test_signed_distances_of_all_labels_equal_the_distance_transform() -> None:
    random = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(random.standard_normal((24, 40, 36)), 3)
    array = np.digitize(noise, np.quantile(noise, [0.5, 0.7, 0.8, 0.99])).astype(np.int16)
    array[0, 0, 0] = 4  # in a corner
    spacing = (3.0, 0.8, 0.8)
    found = signed_distances(LabelMap(array, spacing), [1, 2, 3, 4, 9])
    for value in (1, 2, 3, 4):
        mask = array == value
        outside, inside = (ndimage.distance_transform_edt(one, sampling=spacing) for one in (~mask, mask))
        np.testing.assert_allclose(found[value], np.where(mask, 0.4 - inside, outside - 0.4), rtol=1e-5, atol=1e-5)
    assert not found[9].any()  # absent: no boundary


def test_the_published_edge_has_the_wrong_sign_below_a_millimetre() -> None:
    mask = np.array([[False, True, True, True, False]])
    assert signed_distance(mask, (0.5, 0.5), "paper")[0, 1] == 0.5  # just inside
    assert signed_distance(mask, (0.5, 0.5))[0].tolist() == [0.25, -0.25, -0.75, -0.25, 0.25]


@given(masks)
@settings(max_examples=40, deadline=None)
def test_cells_hold_what_is_nearest_to_their_component(mask: np.ndarray) -> None:
    spacing = SPACINGS[mask.ndim]
    ids = components(mask)
    cells = voronoi(ids, spacing)
    if not mask.any():
        assert not cells.any() and not ids.any()
        return
    each = np.stack([nearest(ids == number, spacing) for number in range(1, ids.max() + 1)])
    chosen = np.take_along_axis(each, cells[None] - 1, axis=0)[0]
    np.testing.assert_allclose(chosen, each.min(0))
    np.testing.assert_array_equal(cells[mask], ids[mask])


def test_components_touch_at_corners() -> None:
    mask = np.zeros((3, 3, 3), dtype=bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    assert components(mask).max() == 1
    mask[1, 1, 1], mask[2, 2, 2] = False, True
    assert components(mask).max() == 2


def test_the_distance_to_the_skeleton_of_a_bar() -> None:
    pytest.importorskip("skimage")
    bar = np.zeros((7, 30), dtype=bool)
    bar[1:6, 2:28] = True
    found = distance_to_skeleton(bar, (2.0, 1.0))
    assert found[:, 15].tolist() == [6.0, 4.0, 2.0, 0.0, 2.0, 4.0, 6.0]
    assert np.isinf(distance_to_skeleton(np.zeros((3, 3), dtype=bool), (1.0, 1.0))).all()
    cube = np.zeros((6, 6, 6), dtype=bool)
    cube[1:5, 1:5, 1:5] = True  # thinning alone erases it
    assert np.isfinite(distance_to_skeleton(cube, (1.0, 1.0, 1.0))).all()


def test_the_thresholded_distance_to_a_skeleton_stays_whole_under_a_turn_and_the_skeleton_does_not() -> None:
    pytest.importorskip("skimage")
    rows, columns = np.ogrid[:80, :80]
    tube = np.abs(columns - 40 - 12 * np.sin(rows / 14)) < 4
    away = distance_to_skeleton(tube, (1.0, 1.0))
    for angle in (5, 10, 20):
        turned = ndimage.rotate(away, angle, order=1, reshape=False, mode="nearest")[12:-12, 12:-12]
        lines = ndimage.rotate((away == 0).astype(np.float32), angle, order=1, reshape=False)[12:-12, 12:-12]
        assert components(turned <= 2).max() == 1
        assert components(lines > 0.5).max() > 1


@given(masks)
@settings(max_examples=30, deadline=None)
def test_offsets_lead_to_the_centre_of_mass(mask: np.ndarray) -> None:
    spacing = SPACINGS[mask.ndim]
    offsets = centre_offsets(mask, spacing)
    assert offsets.shape == (mask.ndim, *mask.shape)
    if mask.any():
        places = np.stack(np.meshgrid(*map(np.arange, mask.shape), indexing="ij"))
        reached = offsets + places * np.reshape(spacing, (-1, *[1] * mask.ndim))
        centre = np.array(ndimage.center_of_mass(mask)) * spacing
        np.testing.assert_allclose(
            reached.reshape(mask.ndim, -1).T, np.broadcast_to(centre, (mask.size, mask.ndim)), atol=1e-4
        )
    else:
        assert not offsets.any()


@pytest.mark.parametrize("spacing", [(1.0,), (1.0, 0.0), (1.0, float("nan"))])
def test_spacings_that_do_not_fit_are_refused(spacing: tuple[float, ...]) -> None:
    mask = np.eye(3, dtype=bool)
    for function in (signed_distance, distance_to_skeleton, voronoi, centre_offsets):
        with pytest.raises(ValueError, match="one positive side in mm"):
            function(mask, spacing)


def test_an_unknown_edge_is_refused() -> None:
    with pytest.raises(ValueError, match="'midpoint' or 'paper'"):
        signed_distance(np.eye(3, dtype=bool), (1.0, 1.0), "outer")  # type: ignore[arg-type]


def test_examples_in_the_documentation_run() -> None:
    assert doctest.testmod(maps).failed == 0
