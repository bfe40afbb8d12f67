"""Random changes of training samples: image, target and derived maps move together, in batches, on the device.

Randomness and effect are apart: ``draw`` makes a ``Change`` from a generator, ``apply`` carries it out. Geometry is
drawn in millimetres' proportions (a rotation is a rotation on anisotropic grids) and applied by one resampling: linear
for images and derived maps, nearest neighbour for targets; what comes from outside is ``OUTSIDE`` in the target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from segbench.config import Augmentation
from segbench.types import UNKNOWN

OUTSIDE = UNKNOWN - 1
"""Target value, during assembly only, of what shows no image: padding, and what augmentation brings in."""


@dataclass(frozen=True)
class Change:
    """What happens to a batch; all tensors are on the CPU until applied.

    Attributes:
        warp: indices of the samples that are warped ``(b,)``.
        matrix: ``(b, d, d + 1)`` output -> input position in normalised coordinates (``affine_grid`` convention).
        displacement: coarse elastic displacement ``(b, d, *coarse)`` in normalised coordinates, or None.
        flips: per sample the spatial axes to reverse.
        gamma, gain, offset, noise: per sample ``(B,)``.
        blur: sd of the blur in voxels for the whole batch; 0 = none.
        seed: of the additive noise.
    """

    warp: torch.Tensor
    matrix: torch.Tensor
    displacement: torch.Tensor | None
    flips: tuple[tuple[int, ...], ...]
    gamma: torch.Tensor
    gain: torch.Tensor
    offset: torch.Tensor
    noise: torch.Tensor
    blur: float
    seed: int


def draw(settings: Augmentation, shape: Sequence[int], spacing: torch.Tensor, generator: torch.Generator) -> Change:
    """Draw a change for a batch.

    Args:
        settings: how much of what.
        shape: spatial shape ``*S`` of the samples.
        spacing: ``(B, len(S))`` mm.
        generator: CPU generator; the only source of randomness.
    """
    count, dims = spacing.shape

    def uniform(*size: int) -> torch.Tensor:
        return torch.rand(*size, generator=generator) * 2 - 1

    warp = torch.nonzero(torch.rand(count, generator=generator) < settings.probability).flatten()
    if not (settings.rotation or settings.scale or settings.shift or settings.elastic):
        warp = warp[:0]  # resampling without moving would only blur
    angles = uniform(count, 3) * math.radians(settings.rotation)
    scales = 1 + uniform(count, 1) * settings.scale
    shifts = uniform(count, dims) * settings.shift * 2  # normalised coordinates span 2
    matrix = _matrices(angles, scales, shifts, spacing.cpu().float(), shape)
    displacement = None
    if settings.elastic > 0:
        coarse = [max(2, round(n / settings.elastic_grid) + 1) for n in shape]
        voxel = 2 / torch.tensor(list(reversed(shape)), dtype=torch.float32)
        field = torch.randn(count, dims, *coarse, generator=generator) * settings.elastic
        displacement = (field * voxel.view(1, dims, *[1] * dims))[warp]
    coins = torch.rand(count, dims, generator=generator) < 0.5
    axes = [axis for axis in settings.flip if 0 <= axis < dims]
    flips = tuple(tuple(axis for axis in axes if bool(row[axis])) for row in coins)
    gamma = torch.exp(uniform(count) * settings.gamma)
    gain, offset = 1 + uniform(count) * settings.brightness, uniform(count) * settings.brightness
    noise = torch.rand(count, generator=generator) * settings.noise
    blur = float(torch.rand(1, generator=generator)) * settings.blur
    seed = int(torch.randint(0, 2**62, (1,), generator=generator))
    return Change(warp, matrix[warp], displacement, flips, gamma, gain, offset, noise, blur, seed)


def apply(
    change: Change, image: torch.Tensor, target: torch.Tensor, derived: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """Carry out a change.

    Args:
        change: from ``draw`` for the same batch.
        image: float32 ``(B, C, *S)``.
        target: int64 ``(B, *S)``, ``OUTSIDE`` where there is no image.
        derived: name -> float32 ``(B, c, *S)``.

    Returns:
        New image, target (``OUTSIDE`` also where something came in from beyond the sample) and derived maps; the
        arguments are left alone.
    """
    maps = dict(derived)
    if len(change.warp):
        image, target, maps = _warp(change, image, target, maps)
    if any(change.flips):
        image, target = image.clone(), target.clone()
        maps = {name: value.clone() for name, value in maps.items()}
        for b, axes in enumerate(change.flips):
            if axes:
                image[b] = image[b].flip([axis + 1 for axis in axes])
                target[b] = target[b].flip(list(axes))
                for value in maps.values():
                    value[b] = value[b].flip([axis + 1 for axis in axes])
    return _intensity(change, image), target, maps


def _matrices(
    angles: torch.Tensor, scales: torch.Tensor, shifts: torch.Tensor, spacing: torch.Tensor, shape: Sequence[int]
) -> torch.Tensor:
    """Return ``(B, d, d + 1)`` matrices in normalised coordinates whose axis order is reversed (x first)."""
    count, dims = spacing.shape
    rotation = torch.eye(dims).repeat(count, 1, 1)
    planes = [(0, 1)] if dims == 2 else [(0, 1), (0, 2), (1, 2)]
    for index, (i, j) in enumerate(planes):
        turn = torch.eye(dims).repeat(count, 1, 1)
        cosine, sine = torch.cos(angles[:, index]), torch.sin(angles[:, index])
        turn[:, i, i], turn[:, i, j], turn[:, j, i], turn[:, j, j] = cosine, -sine, sine, cosine
        rotation = rotation @ turn
    half = spacing.flip(1) * torch.tensor([n / 2 for n in reversed(shape)], dtype=torch.float32)  # mm per unit
    matrix = rotation * scales.unsqueeze(2) * half.unsqueeze(1) / half.unsqueeze(2)
    return torch.cat([matrix, shifts.unsqueeze(2)], dim=2)


def _warp(
    change: Change, image: torch.Tensor, target: torch.Tensor, maps: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    device, index = image.device, change.warp.to(image.device)
    shape = list(image.shape[2:])
    grid = F.affine_grid(change.matrix.to(device), [len(index), 1, *shape], align_corners=False)
    if change.displacement is not None:
        mode = "bilinear" if len(shape) == 2 else "trilinear"
        field = F.interpolate(change.displacement.to(device), size=shape, mode=mode, align_corners=True)
        grid = grid + field.movedim(1, -1)

    def move(values: torch.Tensor, mode: str, padding: str) -> torch.Tensor:
        return F.grid_sample(values[index], grid, mode=mode, padding_mode=padding, align_corners=False)

    image, target = image.clone(), target.clone()
    image[index] = move(image, "bilinear", "border")
    shifted = (target - OUTSIDE).unsqueeze(1).float()  # outside becomes 0, which is what comes in
    target[index] = move(shifted, "nearest", "zeros")[:, 0].round().long() + OUTSIDE
    moved = {}
    for name, value in maps.items():
        moved[name] = value.clone()
        moved[name][index] = move(value, "bilinear", "border")
    return image, target, moved


def _intensity(change: Change, image: torch.Tensor) -> torch.Tensor:
    """Gamma on the sample's own range, gain and offset, blur, noise; per sample, in that order."""
    device, spatial = image.device, tuple(range(1, image.dim()))

    def per_sample(values: torch.Tensor) -> torch.Tensor:
        return values.to(device).view(-1, *[1] * (image.dim() - 1))

    low, high = image.amin(spatial, keepdim=True), image.amax(spatial, keepdim=True)
    reach = (high - low).clamp_min(1e-6)
    if bool((change.gamma != 1).any()):
        image = ((image - low) / reach).clamp(0, 1) ** per_sample(change.gamma) * reach + low
    image = image * per_sample(change.gain) + per_sample(change.offset)
    if change.blur > 0.1:
        image = _blur(image, change.blur)
    if bool((change.noise > 0).any()):
        generator = torch.Generator().manual_seed(change.seed)
        noise = torch.randn(image.shape, generator=generator).to(device)
        image = image + noise * per_sample(change.noise)
    return image


def _blur(image: torch.Tensor, sd: float) -> torch.Tensor:
    """Separable Gaussian blur with replicated borders."""
    radius = max(1, math.ceil(3 * sd))
    offsets = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-0.5 * (offsets / sd) ** 2)
    kernel = kernel / kernel.sum()
    for axis in range(2, image.dim()):
        n = image.shape[axis]
        indices = torch.arange(n, device=image.device)
        total = torch.zeros_like(image)
        for weight, offset in zip(kernel, range(-radius, radius + 1), strict=True):
            total = total + weight * image.index_select(axis, (indices + offset).clamp(0, n - 1))
        image = total
    return image
