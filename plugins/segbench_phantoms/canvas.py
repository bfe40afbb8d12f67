"""A voxel grid on which shapes are painted one over the other."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from segbench_phantoms.geometry import Array, Point, Points, RandomField, Shape

Window = tuple[slice, slice, slice]


class Canvas:
    """What lies in every voxel, as a code of a tissue.

    Args:
        axes: template coordinates (mm) along x, y, z before warping, one-dimensional.
        points: template point (mm) shown in every voxel, three arrays (D, H, W).
        code: of the tissue that fills the canvas at first.
    """

    def __init__(self, axes: Points, points: Points, code: int) -> None:
        self.axes = axes
        self.points = points
        self.codes: npt.NDArray[np.uint8] = np.full(points[0].shape, code, np.uint8)
        lines = (axes[0][None, None, :], axes[1][None, :, None], axes[2][:, None, None])
        self.slack = [float(np.abs(point - line).max()) for point, line in zip(points, lines, strict=True)]

    def window(self, low: Point, high: Point) -> Window:
        """Return the slices (z, y, x) of the voxels that may show a box of the template (mm)."""
        found = []
        for axis in (2, 1, 0):
            line = self.axes[axis]
            start = int(np.searchsorted(line, low[axis] - self.slack[axis]))
            found.append(slice(start, int(np.searchsorted(line, high[axis] + self.slack[axis]))))
        return found[0], found[1], found[2]

    def local(self, window: Window) -> Points:
        """Return the template points (mm) of a window."""
        return self.points[0][window], self.points[1][window], self.points[2][window]

    def axes_of(self, window: Window) -> Points:
        """Return the one-dimensional template coordinates x, y, z (mm) of a window before warping."""
        return self.axes[0][window[2]], self.axes[1][window[1]], self.axes[2][window[0]]

    def paint(self, shape: Shape, code: int, over: Collection[int] | None = None, grow: float = 0.0) -> None:
        """Paint a shape.

        Args:
            shape: in the template.
            code: of its tissue.
            over: codes that it may cover; all if none.
            grow: mm by which it is thickened; negative values peel it.
        """
        low, high = shape.reach()
        margin = max(grow, 0.0)
        window = self.window(
            (low[0] - margin, low[1] - margin, low[2] - margin), (high[0] + margin, high[1] + margin, high[2] + margin)
        )
        local = self.local(window)
        if local[0].size:
            self.fill(shape.depth(local) > -grow, code, over, window)

    def fill(
        self,
        where: npt.NDArray[np.bool_],
        code: int,
        over: Collection[int] | None = None,
        window: Window = (slice(None), slice(None), slice(None)),
    ) -> None:
        """Paint the voxels of a mask that lies in a window."""
        part = self.codes[window]
        if over is not None:
            allowed = np.zeros(256, bool)
            allowed[list(over)] = True
            where = where & allowed[part]
        part[where] = code


def warped(axes: Points, generator: np.random.Generator, knot: float, strength: Point) -> Points:
    """Return the grid's points displaced by three smooth random fields.

    Args:
        axes: coordinates (mm) along x, y, z, one-dimensional.
        generator: source of randomness.
        knot: lattice distance of the fields, mm.
        strength: standard deviation of the displacement along x, y, z, mm.
    """
    lines = (axes[0][None, None, :], axes[1][None, :, None], axes[2][:, None, None])
    found: list[Array] = []
    for line, amount in zip(lines, strength, strict=True):
        found.append(line + np.float32(amount) * RandomField(generator, knot).sample(axes))
    return found[0], found[1], found[2]
