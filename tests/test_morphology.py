"""Grey-value morphology against loops over voxels, and MONAI's soft skeleton where it is installed."""

from __future__ import annotations

import doctest
import itertools

import numpy as np
import pytest
import torch

from segbench import dilate, erode, line_sums, morphology, near_axes, opening, soft_skeleton
from segbench.morphology import plain_extreme

SHAPES = [(7, 6), (1, 5), (4, 5, 6), (1, 5, 4), (3, 1, 1)]


def by_loops(maps: np.ndarray, axes: tuple[int, ...], largest: bool, cross: bool) -> np.ndarray:
    """Look at every neighbour of every voxel of one map."""
    result = maps.copy()
    steps = [(-1, 0, 1) if axis in axes else (0,) for axis in range(maps.ndim)]
    for place in np.ndindex(maps.shape):
        for step in itertools.product(*steps):
            other = tuple(np.add(place, step))
            inside = all(0 <= index < length for index, length in zip(other, maps.shape, strict=True))
            if inside and (not cross or np.count_nonzero(step) <= 1):
                result[place] = (max if largest else min)(result[place], maps[other])
    return result


def skeleton_by_loops(maps: np.ndarray, iterations: int, axes: tuple[int, ...]) -> np.ndarray:
    def opened(x: np.ndarray) -> np.ndarray:
        return by_loops(by_loops(x, axes, False, True), axes, True, False)

    skeleton = np.maximum(maps - opened(maps), 0)
    for _ in range(iterations):
        maps = by_loops(maps, axes, False, True)
        thin = np.maximum(maps - opened(maps), 0)
        skeleton = skeleton + np.maximum(thin - skeleton * thin, 0)
    return skeleton


def maps_of(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("some", [None, (0,), (1,)])
def test_erosion_dilation_and_skeleton_equal_loops(shape: tuple[int, ...], some: tuple[int, ...] | None) -> None:
    maps, axes = maps_of(shape), tuple(range(len(shape))) if some is None else some
    eroded, dilated, skeleton = erode(maps, some), dilate(maps, some), soft_skeleton(maps, 2, some)
    for sample, label in np.ndindex(2, 3):
        one = maps[sample, label].numpy()
        np.testing.assert_array_equal(eroded[sample, label], by_loops(one, axes, False, cross=True))
        np.testing.assert_array_equal(dilated[sample, label], by_loops(one, axes, True, cross=False))
        np.testing.assert_allclose(skeleton[sample, label], skeleton_by_loops(one, 2, axes), atol=1e-15)
    assert torch.equal(opening(maps, some), dilate(erode(maps, some), some))


@pytest.mark.parametrize("shape", [(5, 6), (3, 4, 5), (1, 4, 3)])
def test_gradients_are_those_of_finite_differences_and_of_plain_operations(shape: tuple[int, ...]) -> None:
    maps = maps_of(shape).requires_grad_()
    for function in (erode, dilate, opening, lambda x: soft_skeleton(x, 2), lambda x: line_sums(x, 1, 2)):
        assert torch.autograd.gradcheck(function, (maps,), eps=1e-7)
    for largest in (False, True):
        neighbours, weight = ((0, -1), (0, 1), (1, -1), (1, 1)), torch.rand_like(maps)
        own = torch.autograd.grad((morphology._extreme(maps, neighbours, largest) * weight).sum(), maps)[0]
        plain = torch.autograd.grad((plain_extreme(maps, neighbours, largest) * weight).sum(), maps)[0]
        assert torch.allclose(own, plain, rtol=1e-12)


def test_of_equal_neighbours_one_takes_the_gradient() -> None:
    maps = torch.ones(1, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    erode(maps).sum().backward()
    assert maps.grad is not None and torch.equal(maps.grad, torch.ones_like(maps))  # each voxel decides for itself


def test_saving_memory_changes_nothing_but_what_is_kept() -> None:
    maps = maps_of((9, 8)).requires_grad_()
    weight = torch.rand_like(maps)
    found, kept = [], []
    for save in (True, False):
        tensors: dict[int, int] = {}

        def note(tensor: torch.Tensor, tensors: dict[int, int] = tensors) -> torch.Tensor:
            tensors[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            skeleton = soft_skeleton(maps, 4, save_memory=save)
        found.append((skeleton.detach(), torch.autograd.grad((skeleton * weight).sum(), maps)[0]))
        kept.append(sum(tensors.values()))
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])
    assert kept[0] < 0.5 * kept[1]


def test_a_tube_thicker_than_the_iterations_has_no_skeleton_at_its_core() -> None:
    rows = torch.arange(21, dtype=torch.float64)
    tube = ((rows - 10).abs() <= 6).to(torch.float64)[None, None, :, None].expand(1, 1, 21, 30)
    assert not soft_skeleton(tube, 3)[0, 0, 8:13, 10:20].any()
    assert bool((soft_skeleton(tube, 7)[0, 0, 10, 10:20] == 1).all())


@pytest.mark.parametrize(
    ("spacing", "axes"),
    [((1.0, 1.0), (0, 1)), ((3.0, 1.0, 1.0), (1, 2)), ((2.0, 1.0, 1.0), (0, 1, 2)), ((1.4, 0.7, 0.7), (0, 1, 2))],
)
def test_thick_slices_have_no_neighbours(spacing: tuple[float, ...], axes: tuple[int, ...]) -> None:
    assert near_axes(spacing) == near_axes(torch.tensor([spacing, spacing])) == axes


def test_the_coarsest_sample_decides_and_spacings_are_positive() -> None:
    assert near_axes(torch.tensor([[1.0, 1.0, 1.0], [5.0, 1.0, 1.0]])) == (1, 2)
    with pytest.raises(ValueError, match="positive"):
        near_axes([0.0, 1.0])


@pytest.mark.parametrize(("axis", "width"), [(0, 1), (1, 3), (2, 2), (0, 4)])
def test_line_sums_equal_loops(axis: int, width: int) -> None:
    maps = maps_of((4, 5, 6))
    rows = np.moveaxis(maps.numpy(), 2 + axis, 2)
    wanted = [rows[:, :, start : start + width].sum((2, 3, 4)) for start in range(rows.shape[2] - width + 1)]
    np.testing.assert_allclose(line_sums(maps, axis, width), np.stack(wanted, axis=2))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: erode(torch.zeros(2, 3)), "two or three spatial axes"),
        (lambda: dilate(torch.zeros(1, 1, 3, 3), (2,)), "axes from 0 to 1"),
        (lambda: erode(torch.zeros(1, 1, 3, 3), (0, 0)), "different axes"),
        (lambda: soft_skeleton(torch.zeros(1, 1, 3, 3), -1), "at least 0"),
        (lambda: line_sums(torch.zeros(1, 1, 3, 3), 0, 4), "3 lines"),
    ],
)
def test_what_cannot_be_is_said(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()  # type: ignore[operator]


def test_examples_in_the_documentation_run() -> None:
    assert doctest.testmod(morphology).failed == 0


@pytest.mark.parametrize("shape", [(17, 19), (9, 10, 11)])
def test_the_soft_skeleton_equals_that_of_monai(shape: tuple[int, ...]) -> None:
    peer = pytest.importorskip("monai.losses.cldice")
    maps = maps_of(shape)[:, :1].float()
    assert torch.equal(soft_skeleton(maps, 5), peer.soft_skel(maps, 5))
