"""ENet as a torch module.

Source: A. Paszke et al., ENet: A Deep Neural Network Architecture for Real-Time Semantic Segmentation, 2016,
arXiv 1606.02147.
Differences: the initial block's normalisation and PReLU act on its joined output; any input size.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from segbench import of_any_size
from segbench_shape_descriptors.layers import convolution

_POOLED = 8
_CONTEXT: tuple[tuple[str, int], ...] = (
    ("regular", 1),
    ("regular", 2),
    ("asymmetric", 1),
    ("regular", 4),
    ("regular", 1),
    ("regular", 8),
    ("asymmetric", 1),
    ("regular", 16),
)
"""Kind and dilation of the bottlenecks of stage 2, repeated in stage 3."""


class Bottleneck(nn.Module):
    """1x1 projection to a quarter of the channels, a 3x3 or 5x1 and 1x5 convolution, 1x1 expansion, dropout; added."""

    def __init__(
        self, channels: int, kind: str = "regular", dilation: int = 1, dropout: float = 0.1, *, decoder: bool = False
    ) -> None:
        super().__init__()
        inner = channels // 4
        layers = [*convolution(channels, inner, 1), _activation(inner, decoder)]
        if kind == "asymmetric":
            asymmetric = nn.Conv2d(inner, inner, (5, 1), padding=(2, 0), bias=False)
            layers += [asymmetric, *convolution(inner, inner, (1, 5))]
        else:
            layers += convolution(inner, inner, 3, dilation=dilation)
        layers += [_activation(inner, decoder), *convolution(inner, channels, 1), nn.Dropout2d(dropout)]
        self.branch = nn.Sequential(*layers)
        self.activation = _activation(channels, decoder)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, C, H, W)``, same shape."""
        return cast("torch.Tensor", self.activation(x + self.branch(x)))


class Downsampling(nn.Module):
    """Halves the size: max-pooling with its channels padded with zeros, plus a strided bottleneck."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        inner = inputs // 4
        self.more = outputs - inputs
        self.branch = nn.Sequential(
            *convolution(inputs, inner, 2, stride=2),
            nn.PReLU(inner),
            *convolution(inner, inner, 3),
            nn.PReLU(inner),
            *convolution(inner, outputs, 1),
            nn.Dropout2d(dropout),
        )
        self.activation = nn.PReLU(outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``(B, inputs, H, W) -> (B, outputs, H/2, W/2)`` and the indices of the maxima."""
        pooled, indices = F.max_pool2d(x, 2, return_indices=True)
        padded = F.pad(pooled, [0, 0, 0, 0, 0, self.more])
        return self.activation(padded + self.branch(x)), indices


class Upsampling(nn.Module):
    """Doubles the size: a projection unpooled at the encoder's maxima, plus a bottleneck that upsamples."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        inner = max(inputs // 4, 1)
        self.main = convolution(inputs, outputs, 1)
        self.branch = nn.Sequential(
            *convolution(inputs, inner, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(inner, inner, 2, stride=2, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            *convolution(inner, outputs, 1),
        )

    def forward(self, x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        """``(B, inputs, H, W)`` and indices ``(B, outputs, H, W) -> (B, outputs, 2H, 2W)``."""
        return F.relu(F.max_unpool2d(self.main(x), indices, [2, 2]) + self.branch(x))


class ENetModule(nn.Module):
    """ENet for inputs of any size.

    Args:
        channels: input channels.
        labels: output channels K.
        width: channels of the initial block; the stages have 4 and 8 times as many.
        dropout: of stages 2 and 3.
    """

    def __init__(self, channels: int, labels: int, width: int = 16, dropout: float = 0.1) -> None:
        super().__init__()
        middle, deep = 4 * width, 8 * width
        drawn = min(channels, width - 1)  # channels of the initial pooling; the convolution gives the others
        self.drawn = drawn
        self.initial = nn.Conv2d(channels, width - drawn, 3, stride=2, padding=1, bias=False)
        self.start = nn.Sequential(nn.BatchNorm2d(width), nn.PReLU(width))
        self.down1 = Downsampling(width, middle, dropout / 10)
        self.stage1 = nn.Sequential(*(Bottleneck(middle, dropout=dropout / 10) for _ in range(4)))
        self.down2 = Downsampling(middle, deep, dropout)
        self.stage23 = nn.Sequential(*(Bottleneck(deep, kind, reach, dropout) for kind, reach in _CONTEXT * 2))
        self.up4 = Upsampling(deep, middle)
        self.stage4 = nn.Sequential(*(Bottleneck(middle, dropout=dropout, decoder=True) for _ in range(2)))
        self.up5 = Upsampling(middle, width)
        self.stage5 = Bottleneck(width, dropout=dropout, decoder=True)
        self.head = nn.ConvTranspose2d(width, labels, 2, stride=2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """``(B, channels, H, W) -> (B, labels, H, W)`` logits."""
        return of_any_size(self._run, image, _POOLED, least=2 * _POOLED)

    def _run(self, image: torch.Tensor) -> torch.Tensor:
        pooled = F.max_pool2d(image[:, : self.drawn], 2)
        x = self.start(torch.cat([self.initial(image), pooled], dim=1))
        x, first = self.down1(x)
        x, second = self.down2(self.stage1(x))
        x = self.up4(self.stage23(x), second)
        x = self.up5(self.stage4(x), first)
        return cast("torch.Tensor", self.head(self.stage5(x)))


def _activation(channels: int, decoder: bool) -> nn.Module:
    return nn.ReLU() if decoder else nn.PReLU(channels)
