"""Augmentation: image, target and maps move together, millimetres stay millimetres, chance comes from the generator."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from segbench.config import Augmentation
from segbench.training.augmentation import OUTSIDE, Change, apply, draw

OFF = Augmentation(
    rotation=0, scale=0, shift=0, elastic=0, flip=(), blur=0, noise=0, gamma=0, brightness=0, probability=1
)
SHAPES = [(24, 30), (12, 22, 26)]


def only(**settings: Any) -> Augmentation:
    return dataclasses.replace(OFF, **settings)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ball(shape: tuple[int, ...], spacing: tuple[float, ...], radius: float, count: int = 2) -> torch.Tensor:
    """Return ``(B, *S)`` int64 balls of a radius in mm."""
    axes = [(torch.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, spacing, strict=True)]
    distance = torch.stack(torch.meshgrid(*axes, indexing="ij")).square().sum(0).sqrt()
    return (distance <= radius).long().expand(count, *shape).clone()


def changed(
    settings: Augmentation, target: torch.Tensor, spacing: tuple[float, ...] | None = None, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """Change a target together with an image and a map that show the same."""
    shown = target.clamp(min=0)[:, None].float()
    millimetres = torch.tensor([spacing or (1.0,) * (target.dim() - 1)] * len(target))
    change = draw(settings, target.shape[1:], millimetres, generator(seed))
    masks = torch.stack([target == label for label in (1, 2)], 1).float()
    return apply(change, shown, target, {"map": shown, "masks": masks})


@pytest.mark.parametrize("shape", SHAPES)
def test_no_change_is_exact(shape: tuple[int, ...]) -> None:
    image = torch.randn(2, 3, *shape, generator=generator())
    target = torch.randint(-1, 4, (2, *shape), generator=generator())
    maps = {"map": torch.randn(2, 1, *shape, generator=generator(1))}
    change = draw(OFF, shape, torch.ones(2, len(shape)), generator())
    moved, labels, moved_maps = apply(change, image, target, maps)
    assert torch.equal(moved, image) and torch.equal(labels, target) and torch.equal(moved_maps["map"], maps["map"])


@pytest.mark.parametrize("shape", SHAPES)
def test_an_identity_warp_moves_nothing(shape: tuple[int, ...]) -> None:
    target = torch.randint(-1, 4, (2, *shape), generator=generator())
    image = torch.randn(2, 1, *shape, generator=generator())
    change = draw(only(rotation=1e-9), shape, torch.ones(2, len(shape)), generator())
    assert len(change.warp) == 2
    moved, labels, _ = apply(change, image, target, {})
    assert torch.equal(labels, target)
    torch.testing.assert_close(moved, image, atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "settings",
    [
        {"rotation": 40},
        {"scale": 0.3},
        {"shift": 0.2},
        {"elastic": 2},
        {"flip": (0, 1)},
        {"rotation": 30, "flip": (1,)},
    ],
)
def test_image_target_and_maps_move_together(shape: tuple[int, ...], settings: dict[str, Any]) -> None:
    target = ball(shape, (1.0,) * len(shape), 5)
    target[:, : shape[0] // 2] *= 2  # two labels: a mirrored or turned one is seen
    for seed in range(4):
        image, moved, maps = changed(only(**settings), target, seed=seed)
        for channel, label in enumerate((1, 2)):
            mask = maps["masks"][:, channel]
            assert (moved[mask > 0.999] == label).logical_or(moved[mask > 0.999] == OUTSIDE).all()
            assert (moved[mask < 0.001] != label).all()
            assert 0.9 < (mask > 0.5).sum() / (moved == label).sum() < 1.1
        assert torch.equal(maps["map"], image)
        assert (moved == 1).any() and (moved == 2).any()


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_flips_are_flips(axes: tuple[int, ...]) -> None:
    target = torch.randint(0, 5, (16, 4, 6), generator=generator())
    _, moved, maps = changed(only(flip=axes), target)
    kinds = set()
    for before, after, shown in zip(target, moved, maps["map"][:, 0], strict=True):
        possible = [[axis for bit, axis in enumerate(axes) if bits >> bit & 1] for bits in range(2 ** len(axes))]
        found = [tuple(flipped) for flipped in possible if torch.equal(after, before.flip(flipped))]
        assert found and torch.equal(shown, after.float())
        kinds.add(found[0])
    assert len(kinds) == 2 ** len(axes)
    assert torch.equal(changed(only(flip=(2, -1)), target)[1], target)  # axes that a 2D sample does not have


def test_rotation_keeps_millimetres_on_anisotropic_grids() -> None:
    shape, spacing = (10, 40, 40), (4.0, 1.0, 1.0)
    target = ball(shape, spacing, 14)
    _, moved, _ = changed(only(rotation=90), target, spacing)
    assert (moved == 1).sum() / (target == 1).sum() == pytest.approx(1, abs=0.05)
    overlap = 2 * ((moved == 1) & (target == 1)).sum() / ((moved == 1).sum() + (target == 1).sum())
    assert overlap > 0.93  # a ball turned about its centre is the same ball, in mm


def test_scale_scales_volume() -> None:
    target = ball((32, 32, 32), (1.0, 1.0, 1.0), 8, count=16)
    _, moved, _ = changed(only(scale=0.3), target)
    ratio = (moved == 1).sum((1, 2, 3)) / (target == 1).sum((1, 2, 3))
    assert 0.4 < ratio.min() < 0.8 and 1.3 < ratio.max() < 3.0


@pytest.mark.parametrize("shape", SHAPES)
def test_what_enters_from_outside_is_marked(shape: tuple[int, ...]) -> None:
    target = torch.ones(4, *shape, dtype=torch.int64)
    image, moved, _ = changed(only(shift=0.3), target)
    assert set(moved.unique().tolist()) == {OUTSIDE, 1}
    torch.testing.assert_close(image, torch.ones_like(image))  # intensities are continued at the border
    unknown = target.clone()
    unknown[:, 3] = -1
    assert (changed(only(rotation=5), unknown)[1] == -1).any()


def test_elastic_moves_voxels_by_its_standard_deviation() -> None:
    shape = (40, 24)
    settings = only(elastic=2.0, elastic_grid=100.0)  # control points at the corners only: nearly a translation
    change = draw(settings, shape, torch.ones(64, 2), generator())
    assert change.displacement is not None
    voxels = change.displacement * torch.tensor([24 / 2, 40 / 2]).view(1, 2, 1, 1)  # x first
    assert voxels[:, 0].std() == pytest.approx(2, rel=0.15) and voxels[:, 1].std() == pytest.approx(2, rel=0.15)


def test_the_generator_is_the_only_chance() -> None:
    target = ball((20, 20), (1.0, 1.0), 6)
    every = Augmentation(flip=(0, 1), blur=1.0)
    torch.manual_seed(1)
    first = changed(every, target, seed=3)
    torch.manual_seed(2)
    again, other = changed(every, target, seed=3), changed(every, target, seed=4)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_arguments_are_left_alone() -> None:
    image, target = torch.randn(2, 1, 16, 16, generator=generator()), torch.ones(2, 16, 16, dtype=torch.int64)
    maps = {"map": image.clone()}
    before = image.clone()
    apply(draw(Augmentation(flip=(0, 1), blur=1), (16, 16), torch.ones(2, 2), generator(5)), image, target, maps)
    assert torch.equal(image, before) and torch.equal(maps["map"], before) and (target == 1).all()


def test_a_sample_in_proportion_is_warped() -> None:
    change = draw(only(rotation=10, probability=0.25), (8, 8), torch.ones(400, 2), generator())
    assert 60 < len(change.warp) < 140
    assert len(draw(only(rotation=10, probability=0), (8, 8), torch.ones(9, 2), generator()).warp) == 0


def intensity(image: torch.Tensor, **settings: Any) -> torch.Tensor:
    spacing = torch.ones(len(image), image.dim() - 2)
    change: Change = draw(only(**settings), image.shape[2:], spacing, generator())
    target = torch.zeros(len(image), *image.shape[2:], dtype=torch.int64)
    return apply(change, image, target, {})[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_intensities(shape: tuple[int, ...]) -> None:
    image = torch.randn(3, 2, *shape, generator=generator())
    spatial = tuple(range(1, image.dim()))
    gamma = intensity(image, gamma=0.7)
    torch.testing.assert_close(gamma.amin(spatial), image.amin(spatial))
    torch.testing.assert_close(gamma.amax(spatial), image.amax(spatial))
    for before, after in zip(image.reshape(3, -1), gamma.reshape(3, -1), strict=True):
        assert (after[before.argsort()].diff() >= -1e-5).all()  # order is kept
        assert not torch.allclose(before, after, atol=1e-3)
    blurred = intensity(image, blur=3.0)
    assert blurred.std() < 0.8 * image.std()
    torch.testing.assert_close(intensity(torch.full((1, 1, *shape), 2.5), blur=3.0), torch.full((1, 1, *shape), 2.5))
    noise = intensity(image, noise=0.5) - image
    assert abs(float(noise.mean())) < 0.05 and 0.01 < float(noise.std()) < 0.5
    bright = intensity(image, brightness=0.2)
    for before, after in zip(image.reshape(3, -1), bright.reshape(3, -1), strict=True):
        gain = after.std() / before.std()
        assert 0.8 <= gain <= 1.2
        torch.testing.assert_close(after, before * gain + (after - before * gain).mean(), atol=1e-4, rtol=0)
    constant = torch.full((1, 1, *shape), 2.5)
    assert torch.isfinite(intensity(constant, gamma=0.5, brightness=0.1, blur=1.0, noise=0.1)).all()


def test_one_slice_and_one_voxel_survive() -> None:
    for shape in ((1, 9, 9), (1, 1, 1), (1, 7)):
        image = torch.ones(2, 1, *shape)
        target = torch.ones(2, *shape, dtype=torch.int64)
        change = draw(Augmentation(flip=(0,), blur=1), shape, torch.ones(2, len(shape)), generator())
        moved, labels, _ = apply(change, image, target, {})
        assert moved.shape == image.shape and labels.shape == target.shape and torch.isfinite(moved).all()
