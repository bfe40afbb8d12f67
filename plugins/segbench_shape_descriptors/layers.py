"""What the two networks share: convolutions with normalisation."""

from __future__ import annotations

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
