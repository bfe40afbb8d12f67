"""The descriptors against their definitions, voxel by voxel, and their gradients in double precision."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from segbench_shape_descriptors import angle, centroid, elongation, length, orientation, ratio, spread, volume
from segbench_shape_descriptors.descriptors import Shape, central_moment, describe
from segbench_shape_descriptors.layout import columns
from segbench_shape_descriptors.neighbours import offsets, weights

SHAPES = [(7, 9), (4, 5, 6), (1, 6, 5)]
ALL = ("volume", "centroid", "spread", "length", "elongation", "orientation")


def maps(shape, kind, seed=0):
    generator = torch.Generator().manual_seed(seed)
    soft = torch.randn((2, 3, *shape), generator=generator, dtype=torch.float64).softmax(1)
    if kind == "soft":
        return soft
    return torch.nn.functional.one_hot(soft.argmax(1), 3).movedim(-1, 1).double()


def brute_force(p, steps, weighted):
    """The definitions, one voxel at a time: V, C, D, L of one map ``(*S)``."""
    points = [np.array(index) for index in np.ndindex(*p.shape)]
    values = [p[tuple(point)] for point in points]
    total, voxel = sum(values), np.prod(steps)
    mean = sum(point * steps * value for point, value in zip(points, values, strict=True)) / total
    square = sum((point * steps - mean) ** 2 * value for point, value in zip(points, values, strict=True)) / total
    cut = 0.0
    outline = [np.array(index) for index in np.ndindex(*p.shape[-2:])] if p.shape[0] == 1 else points
    p, steps = (p[0], steps[1:]) if p.shape[0] == 1 else (p, steps)  # a volume of one slice has a perimeter
    table = dict(zip(offsets(p.ndim), weights(tuple(steps.tolist())), strict=True)) if weighted else {}
    for point in outline:
        for step in itertools.product((-1, 0, 1), repeat=p.ndim):
            other = point + step
            if any(step) and (other >= 0).all() and (other < p.shape).all():
                weight = table.get(step, table.get(tuple(-one for one in step))) if weighted else 1.0
                cut += weight * abs(p[tuple(point)] - p[tuple(other)]) / 2  # every pair is met twice
    return total * (voxel if weighted else 1), mean, np.sqrt(square), cut


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["soft", "binary"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spaced", ["voxels", "one spacing", "spacing per sample"])
def test_definitions(shape, kind, dtype, spaced):
    p = maps(shape, kind)
    steps = np.array([[1.5, 0.75, 2.0], [3.0, 1.0, 0.5]])[:, : len(shape)]
    if spaced == "voxels":
        spacing, steps = None, np.ones_like(steps)
    elif spaced == "one spacing":
        spacing, steps = tuple(steps[0].tolist()), steps[[0, 0]]
    else:
        spacing = torch.tensor(steps)
    found = [function(p.to(dtype), spacing) for function in (volume, centroid, spread, length)]
    assert [tuple(one.shape) for one in found] == [(2, 3, d) for d in (1, len(shape), len(shape), 1)]
    for b, k in itertools.product(range(2), range(3)):
        if p[b, k].sum() == 0:
            continue
        expected = brute_force(p[b, k].numpy(), steps[b], spacing is not None)
        for one, value in zip(found, expected, strict=True):
            np.testing.assert_allclose(one[b, k].numpy(), np.atleast_1d(value), rtol=1e-5, atol=1e-9)


def test_large_maps_in_single_precision():
    mask = torch.zeros(1, 1, 256, 256)
    mask[0, 0, 200:203, 11:251] = 1
    assert float(volume(mask)) == 720
    assert centroid(mask)[0, 0].tolist() == pytest.approx([201, 130.5], rel=1e-9)
    assert spread(mask)[0, 0].tolist() == pytest.approx([math.sqrt(8 / 12), math.sqrt((240**2 - 1) / 12)], rel=1e-6)
    # straight sides cut 3 pairs per pixel, less 2 at each of the 4 corners plus the corner pair itself
    assert float(length(mask)) == 3 * (2 * 3 + 2 * 240) - 4


@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 4)])
@pytest.mark.parametrize("spaced", [False, True])
def test_gradients(shape, spaced):
    p = maps(shape, "soft", 5).requires_grad_()
    spacing = torch.tensor([[1.5, 0.75, 2.0], [3.0, 1.0, 0.5]])[:, : len(shape)] if spaced else None
    names = (*ALL, "moment_" + "_".join(["3", "1", "2"][: len(shape)]))
    assert torch.autograd.gradcheck(lambda q: describe(q, names, spacing), (p,))
    assert describe(p, names, spacing).shape[2] == len(columns(names, len(shape)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fill", ["nothing", "a cube", "one voxel"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_finite_everywhere(shape, fill, dtype):
    p = torch.zeros((1, 2, *shape), dtype=dtype)
    if fill == "one voxel":
        p[(0, 1, *[0] * len(shape))] = 1
    elif fill == "a cube":
        p[(0, 1, *[slice(0, 2)] * len(shape))] = 1
    p.requires_grad_()
    values = describe(p, ALL)
    values.sum().backward()
    assert torch.isfinite(values).all() and torch.isfinite(p.grad).all()


def test_length_of_half_precision_and_channels_last():
    p = maps((8, 8), "soft").float()
    last = p.to(memory_format=torch.channels_last)
    assert torch.equal(length(last), length(p))
    torch.testing.assert_close(length(p.to(torch.bfloat16)), length(p.to(torch.bfloat16).float()))


def test_a_shape_gives_the_length_also_unannounced():
    p = maps((5, 6), "soft")
    assert torch.equal(Shape(p, (2.0, 1.0)).length, length(p, (2.0, 1.0)))


def test_central_moments_of_any_order():
    p = maps((4, 5, 6), "soft", 1)
    steps = np.array([2.0, 0.5, 1.0])
    points = np.stack(np.meshgrid(*[np.arange(n) * s for n, s in zip((4, 5, 6), steps, strict=True)], indexing="ij"))
    for orders in [(0, 0, 0), (2, 0, 0), (1, 1, 0), (0, 3, 2), (1, 2, 1)]:
        found = central_moment(p, orders, steps.tolist())
        q = p[1, 2].numpy()
        mean = (points * q).sum((1, 2, 3)) / q.sum()
        expected = (np.prod([(points[a] - mean[a]) ** orders[a] for a in range(3)], axis=0) * q).sum() * steps.prod()
        assert float(found[1, 2]) == pytest.approx(expected, rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("degrees", [0, 20, 45, 80, 110, 160])
def test_orientation_and_elongation_of_an_ellipse(degrees):
    rows, cols = torch.meshgrid(torch.arange(81.0) - 40, torch.arange(121.0) - 60, indexing="ij")
    turn = math.radians(degrees)
    along, across = rows * math.cos(turn) + cols * math.sin(turn), -rows * math.sin(turn) + cols * math.cos(turn)
    ellipse = ((along / 36) ** 2 + (across / 12) ** 2 <= 1).float()[None, None]
    direction = orientation(ellipse)[0, 0]
    assert abs(float(direction @ torch.tensor([math.cos(turn), math.sin(turn)]).double())) > 0.9995
    assert math.cos(2 * (float(angle(direction)) - turn)) > 0.999
    assert float(elongation(ellipse)) == pytest.approx(3, rel=0.02)
    stretched = orientation(ellipse, (1.0, 50.0))[0, 0]  # seen on another grid, it lies along the second axis
    assert float(stretched[1]) > (0.99 if degrees not in (0, 160, 20) else 0.9)


def test_orientation_in_3d():
    box = torch.zeros(1, 1, 9, 20, 5)
    box[0, 0, 3:6, 2:18, 1:4] = 1
    assert orientation(box)[0, 0].abs().tolist() == pytest.approx([0, 1, 0], abs=1e-6)
    assert float(elongation(box)) == pytest.approx(16 / 3, rel=1e-6)
    assert orientation(box, (10.0, 1.0, 1.0))[0, 0].abs().tolist() == pytest.approx([1, 0, 0], abs=1e-6)


def test_ratio():
    p = maps((6, 6), "binary")
    found = ratio(length(p), 1, 2)
    torch.testing.assert_close(found, length(p)[:, 1] / length(p)[:, 2])
    assert torch.isfinite(ratio(torch.zeros(2, 3, 1), 1, 2)).all()


@pytest.mark.parametrize(("spacing", "tolerance"), [((1.0, 1.0), 0.02), ((1.0, 2.0), 0.05), ((0.5, 0.5, 0.5), 0.03)])
def test_length_in_mm_is_that_of_a_ball(spacing, tolerance):
    radius = 20.0
    grids = np.meshgrid(*[np.arange(-24, 24 + s, s) for s in spacing], indexing="ij")
    ball = torch.from_numpy(sum(one**2 for one in grids) <= radius**2).float()[None, None]
    expected = 2 * math.pi * radius if len(spacing) == 2 else 4 * math.pi * radius**2
    assert float(length(ball, spacing)) == pytest.approx(expected, rel=tolerance)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="2 or 3 axes"):
        volume(torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match="mm for each of 2 axes"):
        volume(torch.zeros(2, 3, 4, 4), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="expected 2 whole numbers"):
        central_moment(torch.zeros(2, 3, 4, 4), (1,))
    with pytest.raises(ValueError, match="expected 2 whole numbers"):
        central_moment(torch.zeros(2, 3, 4, 4), (1.5, 0))
    for spacing in ((0.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0), (float("inf"), 1.0)):
        with pytest.raises(ValueError, match="expected positive mm"):
            volume(torch.zeros(2, 3, 4, 4), spacing)
    for empty in ((0, 3, 4, 4), (2, 0, 4, 4), (2, 3, 0, 4)):
        with pytest.raises(ValueError, match="at least one voxel"):
            length(torch.zeros(empty))
    with pytest.raises(ValueError, match="found sphericity"):
        describe(torch.zeros(2, 3, 4, 4), ["sphericity"])


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64])
def test_hard_masks_of_any_type(dtype):
    mask = maps((7, 9), "binary")
    assert torch.equal(describe(mask.to(dtype), ALL, (2.0, 1.0)), describe(mask.float(), ALL, (2.0, 1.0)))


@pytest.mark.parametrize("orders", [(20, 0), (9, 9), (0, 15)])
def test_high_moments_of_single_precision_are_finite_and_right(orders):
    p = torch.rand(1, 1, 200, 150, generator=torch.Generator().manual_seed(0))
    points = np.indices((200, 150)).astype(np.float64)
    values = p[0, 0].double().numpy()
    middle = (points * values).sum((1, 2)) / values.sum()
    expected = ((points[0] - middle[0]) ** orders[0] * (points[1] - middle[1]) ** orders[1] * values).sum()
    size = (np.abs(points[0] - middle[0]) ** orders[0] * np.abs(points[1] - middle[1]) ** orders[1] * values).sum()
    assert float(central_moment(p, orders)) == pytest.approx(expected, abs=1e-5 * size)
