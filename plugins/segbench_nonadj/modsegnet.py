"""The network of the paper, by its parameters.

Source: Ganaye et al. 2018, 10.1007/978-3-030-00931-1_68, figure (a) of the poster; widths, dropout and initialisation
as in the authors' published code.

Differences: inputs are padded to a multiple of 16 rather than pooled unevenly; biases start at 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from segbench import SliceNetwork, parameter
from segbench_nonadj.citation import BIBTEX, DOI

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ModSegNet(SliceNetwork):
    """2.5D encoder-decoder with max unpooling and skips; no normalisation layers."""

    name: ClassVar[str] = "modsegnet"
    summary: ClassVar[str] = "2.5D encoder-decoder of NonAdjLoss: 7 slices, max unpooling"
    source: ClassVar[str] = DOI
    bibtex: ClassVar[str] = BIBTEX

    widths: tuple[int, ...] = parameter((32, 64, 128, 256), "channels per level, finest first", low=1, high=1024)
    context: int = parameter(3, "neighbouring slices on either side as extra channels; 3 = 7 slices", low=0, high=16)
    dropout: float = parameter(0.5, "dropout at the end of the deepest encoder", low=0, high=0.95)

    def __post_init__(self) -> None:
        if not self.widths:
            raise ValueError("widths: expected at least one level, found none.")

    def build(self, channels: int, labels: int) -> torch.nn.Module:
        """Return a module ``(B, channels, H, W) -> (B, labels, H, W)``."""
        from segbench_nonadj.modsegnet_module import ModSegNetModule

        return ModSegNetModule(channels, labels, self.widths, self.dropout)
