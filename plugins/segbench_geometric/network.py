"""sU-Net: a U-Net with fewer layers, two convolutions per level on the way down and one on the way up.

Source: the network of Lambert et al., ISBI 2021, 10.1109/ISBI48211.2021.9434088, which takes it from Lambert et al.,
SegTHOR: Segmentation of Thoracic Organs at Risk in CT images, IPTA 2020.

Differences: the papers print no widths; ours are chosen for fewer than a million parameters (0.44 million by default).
Instance normalisation, leaky ReLU and padded convolutions, so that any size goes in and comes out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from segbench import Geometry, Network, Slices, parameter
from segbench_geometric.method import BIBTEX, SOURCE

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SUNet(Network):
    """The simplified 2D U-Net of the paper."""

    name: ClassVar[str] = "sunet"
    summary: ClassVar[str] = "simplified 2D U-Net, fewer than a million parameters"
    source: ClassVar[str] = SOURCE
    bibtex: ClassVar[str] = BIBTEX
    dims: ClassVar[int] = 2

    width: int = parameter(16, "channels of the first level, doubled per level", low=4, high=24)
    levels: int = parameter(4, "levels of resolution", low=2, high=4)
    axis: int | None = parameter(None, "axis that is sliced (0 = D, 1 = H, 2 = W); none = the coarsest", low=0, high=2)
    size: tuple[int, int] | None = parameter(
        None, "in-plane training size, the paper's is 256,152; none = the largest training slice", low=8
    )

    def adapt(self, geometry: Geometry) -> SUNet:
        """Settle axis and in-plane size for a geometry."""
        spacing = geometry.spacing
        axis = self.axis if self.axis is not None else max(range(3), key=lambda index: (spacing[index], -index))
        height, width = (n for index, n in enumerate(geometry.largest) if index != axis)
        return replace(self, axis=axis, size=self.size or (height, width))

    @property
    def view(self) -> Slices:
        """Single slices along the settled axis."""
        return Slices(0, self.axis or 0, self.size or (0, 0))

    def build(self, channels: int, labels: int) -> torch.nn.Module:
        """Return a module ``(B, channels, H, W) -> (B, labels, H, W)``."""
        from segbench_geometric.module import SimplifiedUNet

        return SimplifiedUNet(channels, labels, self.width, self.levels)
