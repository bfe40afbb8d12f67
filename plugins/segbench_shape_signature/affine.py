"""Affine pairs: two random rotations, scalings and translations of one mask, on its device, a batch at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

ROTATION, SCALE, TRANSLATION = 8.0, 0.15, 0.05
"""The paper's degrees and scale 0.85 to 1.15; the translation, which it leaves open, as a fraction of each axis."""


def affine_pair(
    mask: torch.Tensor,
    generator: torch.Generator,
    *,
    rotation: float = ROTATION,
    scale: float = SCALE,
    translation: float = TRANSLATION,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two different random affine copies of every mask of a batch.

    Args:
        mask: ``(B, 1, D, H, W)`` or ``(B, D, H, W)`` or ``(D, H, W)``, bool, integer or float, values 0 and 1.
        generator: CPU generator; the only source of randomness.
        rotation: largest angle about each axis, degrees.
        scale: the scale is drawn from 1 ± this, the same for all axes.
        translation: largest shift, as a fraction of the size of each axis.
        spacing: mm per voxel and axis, so that a rotation is one on an anisotropic grid.

    Returns:
        Two float32 tensors of the mask's shape and device, values 0 and 1. What leaves the grid is lost.

    Source: 10.1007/978-3-030-00889-5_7, section 4.1.
    """
    ranges = (rotation, scale, translation)
    return _copy(mask, generator, ranges, spacing), _copy(mask, generator, ranges, spacing)


def affine_copy(
    mask: torch.Tensor,
    generator: torch.Generator,
    *,
    rotation: float = ROTATION,
    scale: float = SCALE,
    translation: float = TRANSLATION,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
) -> torch.Tensor:
    """Return one random affine copy of every mask of a batch; see ``affine_pair``."""
    return _copy(mask, generator, (rotation, scale, translation), spacing)


def _copy(
    mask: torch.Tensor,
    generator: torch.Generator,
    ranges: tuple[float, float, float],
    spacing: Sequence[float],
) -> torch.Tensor:
    shape = tuple(mask.shape[-3:])
    volumes = mask.reshape(-1, 1, *shape).float()  # (B, 1, D, H, W)
    matrices = _matrices(len(volumes), shape, generator, ranges, spacing).to(mask.device)
    grid = F.affine_grid(matrices, list(volumes.shape), align_corners=False)
    moved = F.grid_sample(volumes, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return (moved >= 0.5).float().reshape(mask.shape)


def _matrices(
    count: int,
    shape: Sequence[int],
    generator: torch.Generator,
    ranges: tuple[float, float, float],
    spacing: Sequence[float],
) -> torch.Tensor:
    """Return ``(count, 3, 4)`` output -> input positions in normalised coordinates, axis order reversed (x first).

    Scale s makes the object s times as large, so positions are divided by it.
    """
    rotation, scale, translation = ranges

    def uniform(*size: int) -> torch.Tensor:
        return torch.rand(*size, generator=generator) * 2 - 1

    angles = uniform(count, 3) * math.radians(rotation)
    factors = 1 + uniform(count) * scale
    shifts = uniform(count, 3) * translation * 2  # normalised coordinates span 2
    turn = torch.eye(3).repeat(count, 1, 1)
    for index, (i, j) in enumerate(((0, 1), (0, 2), (1, 2))):
        plane = torch.eye(3).repeat(count, 1, 1)
        cosine, sine = torch.cos(angles[:, index]), torch.sin(angles[:, index])
        plane[:, i, i], plane[:, i, j], plane[:, j, i], plane[:, j, j] = cosine, -sine, sine, cosine
        turn = turn @ plane
    millimetres = zip(reversed(shape), reversed(tuple(spacing)), strict=True)
    half = torch.tensor([n * step / 2 for n, step in millimetres])  # mm per unit of the normalised coordinates
    linear = turn / factors.view(-1, 1, 1) * half / half[:, None]
    return torch.cat([linear, shifts[:, :, None]], dim=2)
