"""The fully residual U-Net as a torch module.

Source: T. M. Quan et al., FusionNet: A Deep Fully Residual Convolutional Neural Network for Image Segmentation in
Connectomics, 10.3389/fcomp.2021.613981 (arXiv 1612.05360).
"""

from __future__ import annotations

import itertools
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from segbench import of_any_size
from segbench_shape_descriptors.layers import convolution


class Level(nn.Module):
    """A convolution, three convolutions with a residual connection, and a convolution, each normalised, with ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Sequential(*convolution(inputs, outputs), nn.ReLU())
        self.residual = nn.Sequential(
            *convolution(outputs, outputs), nn.ReLU(), *convolution(outputs, outputs), nn.ReLU(),
            *convolution(outputs, outputs),
        )  # fmt: skip
        self.last = nn.Sequential(*convolution(outputs, outputs), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, inputs, H, W) -> (B, outputs, H, W)``."""
        x = self.first(x)
        return cast("torch.Tensor", self.last(F.relu(x + self.residual(x))))


class ResidualUNetModule(nn.Module):
    """Residual U-Net for inputs of any size, with added skips and transposed convolutions.

    Args:
        channels: input channels.
        labels: output channels K.
        width: channels of the first level, doubled per level.
        levels: levels of resolution.
    """

    def __init__(self, channels: int, labels: int, width: int, levels: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels)]
        self.down = nn.ModuleList(
            Level(inputs, outputs) for inputs, outputs in zip([channels, *widths], widths, strict=False)
        )
        upward = list(reversed(widths))
        self.grow = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(deep, wide, 2, 2, bias=False), nn.BatchNorm2d(wide), nn.ReLU())
            for deep, wide in itertools.pairwise(upward)
        )
        self.up = nn.ModuleList(Level(wide, wide) for wide in upward[1:])
        self.head = nn.Conv2d(width, labels, 1)
        self.multiple = 2 ** (levels - 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """``(B, channels, H, W) -> (B, labels, H, W)`` logits."""
        return of_any_size(self._run, image, self.multiple, least=2 * self.multiple)

    def _run(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for number, level in enumerate(self.down):
            x = level(F.max_pool2d(x, 2) if number else x)
            skips.append(x)
        skips.pop()
        for grow, level in zip(self.grow, self.up, strict=True):
            x = level((grow(x) + skips.pop()) / 2)
        return cast("torch.Tensor", self.head(x))
