"""The shape-learning network g: a mask in, its signature, a small map of one channel, out.

Source: 10.1007/978-3-030-00889-5_7, section 3.2 and figure 1, which give neither depth nor widths.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

SLOPE = 0.01


class SignatureNetwork(nn.Module):
    """3D fully convolutional; each level is a mean over 2 x 2 x 2 voxels, a convolution of width 3 and leaky ReLU.

    Nothing is convolved at full resolution, which makes it eight times as fast. Where there is no mask there is no
    signal: every activation is taken relative to that of zeros, ``f(W x + b) - f(b)``, and nothing is normalised. So
    margins that are empty in prediction and truth may be cut off, up to ``reach`` voxels beside them, without a change.

    Args:
        levels: number of levels; the signature is 2**levels times coarser than the mask, an axis of n voxels becomes
            ceil(n / 2**levels).
        width: channels of the first level; doubled per level.

    Attributes:
        stride: edge in voxels of what one voxel of the signature covers.
        reach: distance in voxels, a multiple of the stride, within which a mask shows in the signature.
    """

    def __init__(self, levels: int = 3, width: int = 8) -> None:
        super().__init__()
        widths = [1, *(width * 2**level for level in range(levels))]
        self.layers = nn.ModuleList(nn.Conv3d(inputs, outputs, 3, padding=1) for inputs, outputs in pairwise(widths))
        self.head = nn.Conv3d(widths[-1], 1, 1, bias=False)
        self.stride = 2**levels
        self.reach = 2 * self.stride

    def forward(self, mask: torch.Tensor) -> torch.Tensor:
        """``(B, 1, D, H, W) -> (B, 1, d, h, w)``; values 0 to 1, any size; what is missing at the ends counts as 0."""
        padding: list[int] = []
        for n in reversed(mask.shape[2:]):
            padding += [0, -n % self.stride]
        x = F.pad(mask, padding) if any(padding) else mask
        for layer in self.layers:
            rest = F.leaky_relu(cast("torch.Tensor", layer.bias), SLOPE).view(-1, 1, 1, 1)
            x = F.leaky_relu(layer(F.avg_pool3d(x, 2)), SLOPE) - rest
        return cast("torch.Tensor", self.head(x))
