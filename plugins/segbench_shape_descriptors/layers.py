"""What the two networks share: convolutions with normalisation, and inputs of any size."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn


def convolution(
    inputs: int,
    outputs: int,
    size: int | tuple[int, int] = 3,
    *,
    stride: int = 1,
    dilation: int = 1,
) -> nn.Sequential:
    """Return a convolution that keeps the size (but for the stride), without bias, and batch normalisation."""
    edges = (size, size) if isinstance(size, int) else size
    padding = (0, 0) if stride > 1 else (dilation * (edges[0] // 2), dilation * (edges[1] // 2))
    layer = nn.Conv2d(inputs, outputs, edges, stride, padding, dilation, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs))


def of_any_size(
    run: Callable[[torch.Tensor], torch.Tensor], image: torch.Tensor, multiple: int, least: int
) -> torch.Tensor:
    """Pad ``(B, C, H, W)`` to a multiple and a least size by repeating its border, run, and crop the result back."""
    height, width = image.shape[2:]
    padding = [max(least, -(-n // multiple) * multiple) - n for n in (width, height)]
    if any(padding):
        image = F.pad(image, [0, padding[0], 0, padding[1]], mode="replicate")
    return run(image)[..., :height, :width]
