"""The two networks of the paper by their parameters, both 2D: ENet (ACDC) and a fully residual U-Net (PROMISE12).

Source: A. Paszke et al., ENet, 2016, arXiv 1606.02147; T. M. Quan et al., FusionNet, 2016, 10.3389/fcomp.2021.613981.
Differences: see the README.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from segbench import SliceNetwork, parameter

if TYPE_CHECKING:
    import torch

_ENET = """@article{paszke2016enet,
  author = {Paszke, Adam and Chaurasia, Abhishek and Kim, Sangpil and Culurciello, Eugenio},
  title = {{ENet}: A Deep Neural Network Architecture for Real-Time Semantic Segmentation},
  journal = {arXiv:1606.02147}, year = {2016}
}"""
_FUSIONNET = """@article{quan2021fusionnet,
  author = {Quan, Tran Minh and Hildebrand, David Grant Colburn and Jeong, Won-Ki},
  title = {{FusionNet}: A Deep Fully Residual Convolutional Neural Network for Image Segmentation in Connectomics},
  journal = {Frontiers in Computer Science}, volume = {3}, year = {2021}, doi = {10.3389/fcomp.2021.613981}
}"""


@dataclass(frozen=True)
class ENet(SliceNetwork):
    """ENet: bottlenecks at an eighth of the resolution, dilated and asymmetric, unpooled with the encoder's indices."""

    name: ClassVar[str] = "enet"
    summary: ClassVar[str] = "2D ENet: small, fast, max-unpooling with indices, slice by slice"
    source: ClassVar[str] = "https://arxiv.org/abs/1606.02147"
    bibtex: ClassVar[str] = _ENET

    width: int = parameter(16, "channels of the initial block; the stages have 4 and 8 times as many", low=8, high=128)
    dropout: float = parameter(0.1, "spatial dropout of stages 2 and 3; a tenth of it in stage 1", low=0, high=0.9)

    def build(self, channels: int, labels: int) -> torch.nn.Module:
        """Return a module ``(B, channels, H, W) -> (B, labels, H, W)``."""
        from segbench_shape_descriptors.enet import ENetModule

        return ENetModule(channels, labels, self.width, self.dropout)


@dataclass(frozen=True)
class ResidualUNet(SliceNetwork):
    """Fully residual U-Net: residual blocks on every level, skips added instead of concatenated."""

    name: ClassVar[str] = "residual_unet"
    summary: ClassVar[str] = "2D fully residual U-Net (FusionNet), slice by slice"
    source: ClassVar[str] = "10.3389/fcomp.2021.613981"
    bibtex: ClassVar[str] = _FUSIONNET

    width: int = parameter(16, "channels of the first level, doubled per level; the paper's is 64", low=4, high=256)
    levels: int = parameter(5, "levels of resolution", low=2, high=7)

    def build(self, channels: int, labels: int) -> torch.nn.Module:
        """Return a module ``(B, channels, H, W) -> (B, labels, H, W)``."""
        from segbench_shape_descriptors.residual import ResidualUNetModule

        return ResidualUNetModule(channels, labels, self.width, self.levels)
