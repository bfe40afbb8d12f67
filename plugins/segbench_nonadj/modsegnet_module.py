"""The 2.5D encoder-decoder of the paper as a torch module: SegNet's max unpooling with U-Net's skips.

Source: the architecture of Ganaye et al. 2018, 10.1007/978-3-030-00931-1_68, figure (a) of the poster; unpooling with
the encoder's indices: V. Badrinarayanan et al., SegNet, 10.1109/TPAMI.2016.2644615.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from segbench import of_any_size


class ModSegNetModule(nn.Module):
    """Encoder-decoder for slices of any size: the input is padded to a multiple of the pooling, the output cropped.

    Args:
        channels: input channels.
        labels: output channels K.
        widths: channels per level, from the finest to the deepest; every level is followed by a 2x2 max pooling.
        dropout: probability at the end of the deepest encoder.
    """

    def __init__(self, channels: int, labels: int, widths: Sequence[int], dropout: float) -> None:
        super().__init__()
        inputs = [channels, *widths[:-1]]
        self.encoders = nn.ModuleList(_block(one, two) for one, two in zip(inputs, widths, strict=True))
        self.dropout = nn.Dropout(dropout)
        # a decoder takes the unpooled map and the encoder's, and gives as many channels as the next level unpools
        outputs = [widths[0], *widths[:-1]]
        self.decoders = nn.ModuleList(
            _block(2 * width, out) for width, out in reversed(list(zip(widths, outputs, strict=True)))
        )
        self.head = nn.Conv2d(widths[0], labels, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.xavier_normal_(layer.weight)
                nn.init.zeros_(cast("torch.Tensor", layer.bias))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, channels, H, W) -> (B, labels, H, W)`` logits."""
        return of_any_size(self._run, x, 2 ** len(self.encoders))

    def _run(self, x: torch.Tensor) -> torch.Tensor:
        skips, indices = [], []
        for encoder in self.encoders:
            skips.append(encoder(x))
            if len(skips) == len(self.encoders):
                skips[-1] = self.dropout(skips[-1])
            x, where = F.max_pool2d(skips[-1], 2, return_indices=True)
            indices.append(where)
        for decoder in self.decoders:
            skip = skips.pop()
            unpooled = F.max_unpool2d(x.float(), indices.pop(), (2, 2))  # not implemented for bfloat16 everywhere
            x = decoder(torch.cat([unpooled.to(skip.dtype), skip], dim=1))
        return cast("torch.Tensor", self.head(x))


def _block(inputs: int, outputs: int) -> nn.Sequential:
    """Return two 3x3 convolutions, each followed by ReLU; the authors' blocks have no normalisation."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
