"""The U-Net as a torch module, 2D or 3D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from segbench import of_any_size

WIDEST = 320


class Block(nn.Module):
    """Two convolutions of width 3, each followed by instance normalisation and leaky ReLU."""

    def __init__(self, dims: int, inputs: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            layers += [_convolution(dims, channels, outputs, 3), SampleNorm(outputs), nn.LeakyReLU(0.01, inplace=True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, inputs, *S) -> (B, outputs, *S)``."""
        return cast("torch.Tensor", self.layers(x))


class UNet(nn.Module):
    """U-Net for inputs of any size: the input is padded to a multiple of the pooling and the output cropped back.

    Args:
        dims: 2 or 3.
        channels: input channels.
        labels: output channels K.
        width: channels of the first level; doubled per level up to 320.
        strides: pooling factors per step down, each of length ``dims``.
        dropout: probability at the deepest level.
    """

    def __init__(
        self, dims: int, channels: int, labels: int, width: int, strides: Sequence[Sequence[int]], dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dims, self.strides = dims, [tuple(stride) for stride in strides]
        widths = [min(width * 2**level, WIDEST) for level in range(len(strides) + 1)]
        self.down = nn.ModuleList(
            Block(dims, inputs, outputs) for inputs, outputs in zip([channels, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(
            Block(dims, widths[level] + widths[level + 1], widths[level]) for level in reversed(range(len(strides)))
        )
        self.dropout = nn.Dropout(dropout)
        self.head = _convolution(dims, widths[0], labels, 1, bias=True)
        self.multiple = [1] * dims
        for stride in self.strides:
            self.multiple = [m * s for m, s in zip(self.multiple, stride, strict=True)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, channels, *S) -> (B, labels, *S)`` logits."""
        return of_any_size(self._run, x, self.multiple)

    def _run(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for level, block in enumerate(self.down):
            if level:
                x = self._pool(x, self.strides[level - 1])
            x = block(x)
            skips.append(x)
        x = self.dropout(skips.pop())
        for block in self.up:
            skip = skips.pop()
            x = F.interpolate(x, size=skip.shape[2:], mode="nearest")
            x = block(torch.cat([x, skip], dim=1))
        return cast("torch.Tensor", self.head(x))

    def _pool(self, x: torch.Tensor, stride: tuple[int, ...]) -> torch.Tensor:
        return F.max_pool3d(x, stride) if self.dims == 3 else F.max_pool2d(x, stride)


def _convolution(dims: int, inputs: int, outputs: int, size: int, *, bias: bool = False) -> nn.Module:
    kind = nn.Conv3d if dims == 3 else nn.Conv2d
    return kind(inputs, outputs, size, padding=size // 2, bias=bias)


class SampleNorm(nn.Module):
    """Instance normalisation that keeps the channels-last layout: batch statistics, one sample at a time.

    Ten times faster than group normalisation in bfloat16 on the CPU, whose kernel is slow for many groups.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, C, *S) -> (B, C, *S)``, each channel of each sample with mean 0 and variance 1 before the affine."""
        one_voxel = x[0, 0].numel() == 1  # nothing to normalise over
        if one_voxel:
            return x
        parts = [
            F.batch_norm(part, None, None, self.weight, self.bias, training=True, eps=1e-5)
            for part in torch.split(x, 1)
        ]
        return torch.cat(parts)
