"""sU-Net as a torch module."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from segbench import of_any_size


class SimplifiedUNet(nn.Module):
    """U-Net for images of any size: padded to a multiple of the pooling, and the logits cropped back.

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
            nn.Sequential(Layer(before, after), Layer(after, after))
            for before, after in zip([channels, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(Layer(low + high, low) for low, high in pairwise(widths))
        self.head = nn.Conv2d(width, labels, 1)
        self.multiple = 2 ** (levels - 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, channels, H, W) -> (B, labels, H, W)`` logits."""
        return of_any_size(self._run, x, self.multiple)

    def _run(self, x: torch.Tensor) -> torch.Tensor:
        skips: list[torch.Tensor] = []
        for block in self.down:
            x = block(F.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        for level in reversed(range(len(self.up))):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = self.up[level](torch.cat([x, skips[level]], dim=1))
        return cast("torch.Tensor", self.head(x))


class Layer(nn.Module):
    """A convolution, each channel of each sample normalised, leaky ReLU.

    The normalisation is that of a batch of one, sample by sample: torch's own instance normalisation gives up the
    channels-last layout, in which convolutions are fast.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.scale = nn.Parameter(torch.ones(outputs))
        self.shift = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, inputs, H, W) -> (B, outputs, H, W)``."""
        x = self.convolution(x)
        if x[0, 0].numel() > 1:  # one voxel has no variance
            single = [x[row : row + 1] for row in range(len(x))]
            x = torch.cat([F.batch_norm(one, None, None, self.scale, self.shift, training=True) for one in single])
        return F.leaky_relu(x, 0.01, inplace=True)
