"""Slices and patches: what is cut is where it was, what is stitched is complete, whatever the size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.views import Patches, Shape, Slices

SHAPES: list[Shape] = [(5, 7, 6), (1, 7, 6), (5, 1, 6), (5, 7, 1), (1, 1, 1)]


def volume(shape: Shape, channels: int = 2) -> np.ndarray:
    return np.arange(channels * np.prod(shape), dtype=np.float32).reshape(channels, *shape) + 1


def without(items: Shape, axis: int) -> tuple[int, int]:
    kept = [item for index, item in enumerate(items) if index != axis]
    return (kept[0], kept[1])


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_slices_cut_and_stitched_are_the_volume(shape: Shape, axis: int) -> None:
    whole = volume(shape)
    view = Slices(0, axis, without(shape, axis))
    windows = view.windows(shape)
    assert len(windows) == view.count(shape) == shape[axis]
    assert np.array_equal(np.stack([view.cut(whole, window, fill=-1) for window in windows], axis + 1), whole)
    assert np.array_equal(np.stack([view.cut_image(whole, window) for window in windows], axis + 1), whole)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_context_repeats_the_slices_at_both_ends(axis: int) -> None:
    shape = (4, 5, 6)
    whole, n = volume(shape), shape[axis]
    view = Slices(2, axis, without(shape, axis))
    assert view.channels(2) == 10
    for index, window in enumerate(view.windows(shape)):
        cut = view.cut_image(whole, window)
        expected = [np.take(whole, min(max(index + step, 0), n - 1), axis + 1) for step in (-2, -1, 0, 1, 2)]
        assert np.array_equal(cut, np.concatenate(expected))
        assert cut.flags["C_CONTIGUOUS"]


def test_one_slice_with_context_repeats_itself() -> None:
    whole = volume((1, 3, 4), 1)
    cut = Slices(1, 0, (3, 4)).cut_image(whole, (0, 0, 0))
    assert np.array_equal(cut, np.concatenate([whole[:, 0]] * 3))


def test_smaller_slices_are_padded_and_larger_ones_cropped() -> None:
    whole = volume((2, 5, 8), 1)
    view = Slices(0, 0, (9, 6))
    (first, *_) = view.windows((2, 5, 8))
    image, target = view.cut_image(whole, first), view.cut(whole, first, fill=-1)
    assert image.shape == target.shape == (1, 9, 6)
    assert np.array_equal(image[0, 2:7], whole[0, 0, :, 1:7])
    assert (image[0, :2] == 0).all() and (image[0, 7:] == 0).all()
    assert (target[0, :2] == -1).all() and (target[0, 7:] == -1).all()


@given(
    st.tuples(*[st.integers(1, 12)] * 3),
    st.tuples(*[st.integers(1, 14)] * 3),
    st.integers(0, 2**31),
)
def test_drawn_windows_lie_inside_where_they_fit_and_are_centred_as_fixed_ones_elsewhere(
    shape: Shape, size: Shape, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    focus = tuple(int(generator.integers(n)) for n in shape)
    drawn = [Patches(size).draw(shape, 0, generator, each) for each in (None, focus)]  # type: ignore[arg-type]
    flat = Slices(0, 0, size[1:])
    for window, fixed in ((drawn[0], Patches(size).windows(shape)[0]), (drawn[1], Patches(size).windows(shape)[0])):
        for start, n, box, centred in zip(window, shape, size, fixed, strict=True):
            assert 0 <= start <= n - box if n > box else start == centred
    slice_window, slice_fixed = flat.draw(shape, 0, generator, None), flat.windows(shape)[0]
    assert slice_window[0] == 0
    for start, n, box, centred in zip(slice_window[1:], shape[1:], size[1:], slice_fixed[1:], strict=True):
        assert 0 <= start <= n - box if n > box else start == centred


@given(
    st.tuples(*[st.integers(1, 20)] * 3),
    st.tuples(*[st.integers(1, 9)] * 3),
    st.floats(0, 0.9),
)
def test_patches_cover_every_voxel_and_stitch(shape: Shape, size: Shape, overlap: float) -> None:
    view = Patches(size, overlap)
    whole, seen = volume(shape, 1), np.zeros(shape, dtype=np.float32)
    windows = view.windows(shape)
    assert len(set(windows)) == len(windows)
    for window in windows:
        patch = view.cut(whole, window, fill=-1)
        assert patch.shape == (1, *size)
        inside = tuple(slice(max(first, 0), first + length) for first, length in zip(window, size, strict=True))
        local = tuple(
            slice(max(-first, 0), max(-first, 0) + len(range(*part.indices(n))))
            for first, part, n in zip(window, inside, shape, strict=True)
        )
        seen[inside] = patch[0][local]
        assert (patch == -1).sum() == patch.size - patch[0][local].size
    assert np.array_equal(seen, whole[0])


def test_focus_is_in_the_patch() -> None:
    generator, view = np.random.default_rng(0), Patches((4, 8, 8))
    for _ in range(200):
        focus = tuple(int(generator.integers(n)) for n in (9, 30, 40))
        window = view.draw((9, 30, 40), 0, generator, focus)  # type: ignore[arg-type]
        assert all(first <= at < first + box for first, at, box in zip(window, focus, view.size, strict=True))
