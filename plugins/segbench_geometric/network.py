"""sU-Net: a U-Net with fewer layers, two convolutions per level on the way down and one on the way up.

Source: the network of Lambert et al., ISBI 2021, 10.1109/ISBI48211.2021.9434088, which takes it from Lambert et al.,
SegTHOR: Segmentation of Thoracic Organs at Risk in CT images, IPTA 2020.

Differences: the papers print no widths; ours are chosen for fewer than a million parameters (0.44 million by default).
Instance normalisation, leaky ReLU and padded convolutions, so that any size goes in and comes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from segbench import SliceNetwork, parameter
from segbench_geometric.method import BIBTEX, SOURCE

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SUNet(SliceNetwork):
    """The simplified 2D U-Net of the paper."""

    name: ClassVar[str] = "sunet"
    summary: ClassVar[str] = "simplified 2D U-Net, fewer than a million parameters"
    source: ClassVar[str] = SOURCE
    bibtex: ClassVar[str] = BIBTEX

    width: int = parameter(16, "channels of the first level, doubled per level", low=4, high=24)
    levels: int = parameter(4, "levels of resolution", low=2, high=4)

    def build(self, channels: int, labels: int) -> torch.nn.Module:
        """Return a module ``(B, channels, H, W) -> (B, labels, H, W)``."""
        from segbench_geometric.module import SimplifiedUNet

        return SimplifiedUNet(channels, labels, self.width, self.levels)
