"""Where a phantom is sampled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segbench_phantoms.geometry import Point, Points

Size = tuple[int, int, int]
Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Grid:
    """Sampling of a case.

    Args:
        spacing: mm along z, y, x.
        size: voxels along z, y, x.
        middle: world coordinates x, y, z (mm) of the middle of the grid.
    """

    spacing: Triple
    size: Size
    middle: Point = (0.0, 0.0, 0.0)

    @classmethod
    def covering(cls, spacing: Triple, extent: Triple, middle: Point = (0.0, 0.0, 0.0)) -> Grid:
        """Return the grid of this spacing (mm) that just covers an extent along z, y, x (mm)."""
        count = [int(np.ceil(length / step - 1e-6)) for length, step in zip(extent, spacing, strict=True)]
        return cls(spacing, (count[0], count[1], count[2]), middle)

    def axes(self) -> Points:
        """Return world coordinates (mm) of the voxel centres along x, y and z, one-dimensional."""
        found = []
        for axis, middle in zip((2, 1, 0), self.middle, strict=True):
            steps = np.arange(self.size[axis]) - 0.5 * (self.size[axis] - 1)
            found.append((steps * self.spacing[axis] + middle).astype(np.float32))
        return found[0], found[1], found[2]

    def affine(self) -> npt.NDArray[np.float64]:
        """Return the (4, 4) matrix from array index (z, y, x) to world mm (x right, y front, z top)."""
        matrix = np.eye(4)
        matrix[:3, :3] = 0.0
        for world, axis in enumerate((2, 1, 0)):
            matrix[world, axis] = self.spacing[axis]
            matrix[world, 3] = self.middle[world] - 0.5 * (self.size[axis] - 1) * self.spacing[axis]
        return matrix
