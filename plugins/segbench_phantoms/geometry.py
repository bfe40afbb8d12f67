"""Implicit shapes and smooth random fields: the two building bricks of the phantom.

A shape answers one question: how deep (in mm) is a point inside it? Positive depth is inside. Shapes live in the
template space of `atlas.py`: millimetres, x to the right, y to the front, z to the top.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import BSpline

Array = npt.NDArray[np.float32]
Point = tuple[float, float, float]
Points = tuple[Array, Array, Array]
"""Coordinates x, y, z in mm, three arrays of one shape."""
Knots = tuple[tuple[float, float, float, float], ...]
"""x, y, z and radius in mm along the centre line of a tube."""

LATTICE_REACH = 160.0
"""Half the width (mm) of the cube that random fields cover; beyond it they continue with their border value."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A superquadric.

    Args:
        centre: x, y, z in mm.
        radii: half axes in mm before rotation.
        yaw: rotation about z in degrees; positive turns the front end towards the midline.
        pitch: rotation about x in degrees; positive lifts the front end.
        power: 2 gives an ellipsoid, 3 or 4 a boxier shape.
    """

    centre: Point
    radii: Point
    yaw: float = 0.0
    pitch: float = 0.0
    power: int = 2

    def reach(self) -> tuple[Point, Point]:
        """Return the lower and upper corner (mm) of a box that holds the shape."""
        radius = max(self.radii) if self.yaw or self.pitch else 0.0
        half = [max(radius, own) + 3.0 for own in self.radii]
        low = (self.centre[0] - half[0], self.centre[1] - half[1], self.centre[2] - half[2])
        return low, (self.centre[0] + half[0], self.centre[1] + half[1], self.centre[2] + half[2])

    def depth(self, points: Points, scale: float = 1.0) -> Array:
        """Return the approximate depth in mm (first-order distance to the surface), positive inside.

        Args:
            points: where to look, in mm.
            scale: multiplies the radii, unitless.
        """
        x, y, z = (points[axis] - np.float32(self.centre[axis]) for axis in range(3))
        if self.yaw:
            x, y = _turn(x, y, -self.yaw)
        if self.pitch:
            y, z = _turn(y, z, -self.pitch)
        total = np.full(x.shape, 1e-6, np.float32)
        slope = np.full(x.shape, 1e-12, np.float32)
        for value, radius in zip((x, y, z), self.radii, strict=True):
            ratio = np.abs(value) * np.float32(1.0 / (radius * scale))
            powered = ratio ** (self.power - 1)
            total += powered * ratio
            slope += (powered * np.float32(1.0 / (radius * scale))) ** 2
        norm = total ** np.float32(1.0 / self.power)
        gradient = np.sqrt(slope) * norm / total
        return np.asarray((1.0 - norm) / gradient, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Tube:
    """A bent tube of varying radius.

    Args:
        knots: (x, y, z, radius) in mm along the centre line.
        flatten: (x, y, z) factors > 1 squeeze the cross section along that axis.
    """

    knots: Knots
    flatten: Point = (1.0, 1.0, 1.0)

    def reach(self) -> tuple[Point, Point]:
        """Return the lower and upper corner (mm) of a box that holds the shape."""
        knots = np.array(self.knots)
        radius = 1.5 * knots[:, 3:] + 3.0
        low, high = (knots[:, :3] - radius).min(axis=0), (knots[:, :3] + radius).max(axis=0)
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])

    def depth(self, points: Points, scale: float = 1.0) -> Array:
        """Return the depth in mm, positive inside.

        Args:
            points: where to look, in mm.
            scale: multiplies the radius along the tube, unitless.
        """
        squeeze = np.array(self.flatten, np.float32)
        x, y, z = (points[axis] * squeeze[axis] for axis in range(3))
        best = np.full(x.shape, -1e3, np.float32)
        for start, stop in zip(self.knots[:-1], self.knots[1:], strict=True):
            first = np.array(start[:3], np.float32) * squeeze
            step = np.array(stop[:3], np.float32) * squeeze - first
            along = ((x - first[0]) * step[0] + (y - first[1]) * step[1] + (z - first[2]) * step[2]) / np.sum(step**2)
            along = np.clip(along, 0.0, 1.0)
            square = (x - first[0] - along * step[0]) ** 2
            square += (y - first[1] - along * step[1]) ** 2
            square += (z - first[2] - along * step[2]) ** 2
            radius = np.float32(start[3]) + along * np.float32(stop[3] - start[3])
            np.maximum(best, radius * np.float32(scale) - np.sqrt(square), out=best)
        return best


@dataclass(frozen=True, slots=True)
class Column:
    """A superelliptic prism along z.

    Args:
        centre: x, y in mm.
        radii: half axes in mm before rotation.
        yaw: rotation about z in degrees.
        power: 2 gives an ellipse, 4 a boxier shape.
    """

    centre: tuple[float, float]
    radii: tuple[float, float]
    yaw: float = 0.0
    power: int = 4

    def reach(self) -> tuple[Point, Point]:
        """Return the lower and upper corner (mm) of a box that holds the shape."""
        half = np.hypot(*self.radii) if self.yaw else max(self.radii)
        x, y = self.centre
        return (x - half, y - half, -np.inf), (x + half, y + half, np.inf)

    def depth(self, points: Points) -> Array:
        """Return the approximate depth in mm of points (mm), positive inside."""
        x, y = points[0] - np.float32(self.centre[0]), points[1] - np.float32(self.centre[1])
        if self.yaw:
            x, y = _turn(x, y, -self.yaw)
        squares = (x * np.float32(1.0 / self.radii[0])) ** 2, (y * np.float32(1.0 / self.radii[1])) ** 2
        total = squares[0] + squares[1] if self.power == 2 else np.sqrt(squares[0] ** 2 + squares[1] ** 2)
        return np.asarray((1.0 - np.sqrt(total)) * np.float32(min(self.radii)), np.float32)


Solid = Blob | Tube
Shape = Solid | Column


def _turn(first: Array, second: Array, degrees: float) -> tuple[Array, Array]:
    """Rotate two coordinates by an angle."""
    cosine, sine = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
    return cosine * first - sine * second, sine * first + cosine * second


def smooth_union(first: Array, second: Array, width: float) -> Array:
    """Return the larger of two depths with a fillet of about `width` mm where they meet."""
    blend = np.maximum(np.float32(width) - np.abs(first - second), 0.0)
    return np.asarray(np.maximum(first, second) + blend * blend * np.float32(0.25 / width), dtype=np.float32)


def inside_box(points: Points, low: Point, high: Point) -> npt.NDArray[np.intp]:
    """Return the flat indices of the points that lie in a box (mm)."""
    keep = np.ones(points[0].shape, bool)
    for value, lower, upper in zip(points, low, high, strict=True):
        keep &= (value > lower) & (value < upper)
    return np.flatnonzero(keep)


class RandomField:
    """A smooth Gaussian random field: white noise on a cubic lattice, interpolated by cubic B-splines.

    The lattice is fixed in millimetres, so two grids with different spacing sample the same field.

    Args:
        generator: source of randomness.
        knot: distance of the lattice points in mm.
    """

    def __init__(self, generator: np.random.Generator, knot: float) -> None:
        count = int(np.ceil(2.0 * LATTICE_REACH / knot)) + 3
        self.knot = knot
        self.weights = generator.standard_normal((count, count, count), dtype=np.float32)

    def sample(self, axes: Points, derivative: int | None = None) -> Array:
        """Evaluate the field on an axis-aligned grid.

        Args:
            axes: coordinates in mm along x, y and z, one-dimensional.
            derivative: axis (0, 1, 2) along which to differentiate (per mm), or None.

        Returns:
            Values of shape (z, y, x), standard deviation about 1 before differentiation.
        """
        bases = [self._basis(axis, order == derivative) for order, axis in enumerate(axes)]
        half = np.tensordot(self.weights, bases[0], axes=(0, 1))  # (ny, nz, X)
        half = np.tensordot(half, bases[1], axes=(0, 1))  # (nz, X, Y)
        full = np.tensordot(half, bases[2], axes=(0, 1))  # (X, Y, Z)
        return np.ascontiguousarray(full.transpose(2, 1, 0)) * np.float32(1.0 / 0.33)

    def _basis(self, axis: Array, differentiate: bool) -> Array:
        """Return the (len(axis), count) matrix of B-spline values or first derivatives."""
        count = self.weights.shape[0]
        knots = (np.arange(count + 4) - 3) * self.knot - LATTICE_REACH
        spline = BSpline(knots, np.eye(count), 3)
        limit = LATTICE_REACH - 1e-3
        values = np.asarray(spline(np.clip(axis, -limit, limit), nu=1 if differentiate else 0))
        return values.astype(np.float32)
