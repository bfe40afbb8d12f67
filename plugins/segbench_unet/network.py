"""U-Nets by their parameters.

Source: O. Ronneberger et al., U-Net, MICCAI 2015, 10.1007/978-3-319-24574-4_28; 3D: O. Cicek et al., 3D U-Net,
MICCAI 2016, 10.1007/978-3-319-46723-8_49.
Differences: instance normalisation and leaky ReLU; padded convolutions, so the output has the input's shape; nearest
neighbour upsampling followed by a convolution; pooling skips axes that are coarse (spacing) or already short (size).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from segbench import Geometry, Network, Patches, SliceNetwork, UsageError, parameter

if TYPE_CHECKING:
    import torch

_BIBTEX_2D = """@inproceedings{ronneberger2015unet,
  author = {Ronneberger, Olaf and Fischer, Philipp and Brox, Thomas},
  title = {{U-Net}: Convolutional Networks for Biomedical Image Segmentation},
  booktitle = {MICCAI}, year = {2015}, doi = {10.1007/978-3-319-24574-4_28}
}"""
_BIBTEX_3D = """@inproceedings{cicek2016unet3d,
  author = {{\\c{C}}i{\\c{c}}ek, {\\"O}zg{\\"u}n and others},
  title = {{3D U-Net}: Learning Dense Volumetric Segmentation from Sparse Annotation},
  booktitle = {MICCAI}, year = {2016}, doi = {10.1007/978-3-319-46723-8_49}
}"""
SHORTEST = 4
"""An axis is pooled only while it keeps at least this many voxels."""


@dataclass(frozen=True)
class UNet2D(SliceNetwork):
    """2D U-Net on single slices."""

    name: ClassVar[str] = "unet2d"
    summary: ClassVar[str] = "2D U-Net, slice by slice"
    source: ClassVar[str] = "10.1007/978-3-319-24574-4_28"
    bibtex: ClassVar[str] = _BIBTEX_2D

    width: int = parameter(16, "channels of the first level, doubled per level", low=4, high=512)
    levels: int = parameter(4, "levels of resolution", low=2, high=8)
    dropout: float = parameter(0.0, "dropout at the deepest level", low=0, high=0.95)

    def build(self, channels: int, labels: int) -> torch.nn.Module:
        """Return a module ``(B, channels, H, W) -> (B, labels, H, W)``."""
        from segbench_unet.module import UNet

        return UNet(2, channels, labels, self.width, [(2, 2)] * (self.levels - 1), self.dropout)


@dataclass(frozen=True)
class UNet25D(UNet2D):
    """2D U-Net on a slice with its neighbours as channels."""

    name: ClassVar[str] = "unet25d"
    summary: ClassVar[str] = "2.5D U-Net: a slice with its neighbours as channels"
    default: ClassVar[bool] = True

    context: int = parameter(2, "neighbouring slices on either side as extra channels", low=1, high=16)


@dataclass(frozen=True)
class UNet3D(Network):
    """3D U-Net on patches."""

    name: ClassVar[str] = "unet3d"
    summary: ClassVar[str] = "3D U-Net on patches, pooling each axis by its spacing"
    source: ClassVar[str] = "10.1007/978-3-319-46723-8_49"
    bibtex: ClassVar[str] = _BIBTEX_3D
    dims: ClassVar[int] = 3

    width: int = parameter(16, "channels of the first level, doubled per level", low=4, high=512)
    levels: int = parameter(4, "levels of resolution", low=2, high=8)
    patch: tuple[int, int, int] | None = parameter(
        None, "training patch; none = room for most cases, at most `voxels` in all", low=4
    )
    voxels: int = parameter(200_000, "upper bound of an automatic patch, voxels", low=4096)
    overlap: float = parameter(0.5, "overlap of neighbouring inference windows", low=0, high=0.9)
    foreground: float = parameter(0.5, "share of training patches centred on foreground", low=0, high=1)
    per_case: int = parameter(1, "patches drawn from a case per epoch", low=1)
    pooling: tuple[int, ...] | None = parameter(
        None, "pooling factors level by level and axis by axis (D,H,W, D,H,W, ...); none = by spacing and size", low=1
    )
    dropout: float = parameter(0.0, "dropout at the deepest level", low=0, high=0.95)

    def adapt(self, geometry: Geometry) -> UNet3D:
        """Settle patch and pooling for a geometry."""
        patch = self.patch or _patch(geometry, self.voxels)
        pooling = self.pooling
        if pooling is None:
            pooling = tuple(factor for level in _pooling(patch, geometry.spacing, self.levels) for factor in level)
        elif len(pooling) != 3 * (self.levels - 1):
            raise UsageError(
                f"network unet3d: pooling: expected {3 * (self.levels - 1)} factors (three for each of the "
                f"{self.levels - 1} steps down), found {len(pooling)}."
            )
        return replace(self, patch=patch, pooling=pooling)

    @property
    def view(self) -> Patches:
        """Patches of the settled size."""
        return Patches(self.patch or (64, 64, 64), self.overlap, self.per_case, self.foreground)

    def build(self, channels: int, labels: int) -> torch.nn.Module:
        """Return a module ``(B, channels, D, H, W) -> (B, labels, D, H, W)``."""
        from segbench_unet.module import UNet

        flat = self.pooling or (2, 2, 2) * (self.levels - 1)
        strides = [tuple(flat[first : first + 3]) for first in range(0, len(flat), 3)]
        return UNet(3, channels, labels, self.width, strides, self.dropout)


def _patch(geometry: Geometry, voxels: int) -> tuple[int, int, int]:
    """Return a patch that holds most cases, in multiples of 8, its longest axes (in mm) shortened to fit ``voxels``."""
    roomy = [min(largest, 1.1 * n) for n, largest in zip(geometry.shape, geometry.largest, strict=True)]
    size = [max(8, math.ceil(n / 8) * 8) for n in roomy]
    while size[0] * size[1] * size[2] > voxels and max(size) > 8:
        allowed = [axis for axis in range(3) if size[axis] > 8]
        axis = max(allowed, key=lambda index: (size[index] * geometry.spacing[index], size[index]))
        size[axis] -= 8
    return (size[0], size[1], size[2])


def _pooling(patch: tuple[int, int, int], spacing: tuple[float, ...], levels: int) -> list[tuple[int, int, int]]:
    """Pool an axis by 2 while its spacing is within a factor 1.6 of the finest and it stays long enough."""
    size, step, result = list(patch), list(spacing), []
    for _ in range(levels - 1):
        longest_enough = [step[axis] for axis in range(3) if size[axis] >= 2 * SHORTEST]
        finest = min(longest_enough, default=0.0)
        factors = [2 if size[axis] >= 2 * SHORTEST and step[axis] <= 1.6 * finest else 1 for axis in range(3)]
        size = [n // factor for n, factor in zip(size, factors, strict=True)]
        step = [mm * factor for mm, factor in zip(step, factors, strict=True)]
        result.append((factors[0], factors[1], factors[2]))
    return result
