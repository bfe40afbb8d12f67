"""Surface elements between voxels: marching cubes cut at the middles of the edges, and the distances between them.

The surface is looked at from the corners of the voxel grid: the 2 × 2 × 2 voxels around a corner (2 × 2 in 2D), inside
or outside the mask, are its neighbour code; each code has a surface element of known area. Elements and the distances
between corners are those of Nikolov et al. (2021), https://doi.org/10.2196/26151. The areas are computed here:

- the element passes through the middle of every edge of the cube whose ends differ;
- on a face whose diagonal corners agree, the elements cut off the corners of the smaller side (inside corners if at
  most four corners are inside, else outside corners);
- polygons are divided into the triangles with the largest total area on the unit cube, and their normals are scaled by
  the spacing afterwards.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segbench_surface.nearest import nearest
from segbench_surface.packing import pack

Point = tuple[float, ...]
Corner = tuple[int, int, int]
_CORNERS: tuple[Corner, ...] = tuple((z, y, x) for z in (0, 1) for y in (0, 1) for x in (0, 1))
"""Corners of the unit cube; corner k has bit k of the neighbour code."""


class SurfelDistances(NamedTuple):
    """Surface elements of two masks, in no particular order.

    Attributes:
        predicted: mm ``(n,)`` from each element of the prediction to the nearest one of the truth.
        truth: mm ``(m,)`` from each element of the truth to the nearest one of the prediction.
        predicted_areas: area of each element in mm² ``(n,)``; lengths in mm in 2D.
        truth_areas: area of each element ``(m,)``.
    """

    predicted: NDArray[np.float64]
    truth: NDArray[np.float64]
    predicted_areas: NDArray[np.float64]
    truth_areas: NDArray[np.float64]


def surfel_distances(
    predicted: NDArray[np.bool_], truth: NDArray[np.bool_], spacing: Sequence[float]
) -> SurfelDistances:
    """Return the surface elements of two masks and their distances.

    Args:
        predicted: bool ``(D, H, W)`` or ``(H, W)``.
        truth: bool, same shape.
        spacing: mm per axis.

    Returns:
        Everything is infinitely far from an empty mask.
    """
    sides = tuple(float(side) for side in spacing)
    areas = surfel_areas(sides) if truth.ndim == 3 else contour_lengths(sides)
    codes = neighbour_codes(predicted), neighbour_codes(truth)
    borders = [(code != 0) & (code != len(areas) - 1) for code in codes]
    found = []
    for here, there in (borders, borders[::-1]):
        distances = np.zeros(here.shape)
        alone = here & ~there
        distances[alone] = nearest(pack(alone), pack(there), sides)
        found.append(distances[here])
    own = [areas[code[here]] for code, here in zip(codes, borders, strict=True)]
    return SurfelDistances(found[0], found[1], own[0], own[1])


def neighbour_codes(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the neighbour code of every corner of the voxel grid, one longer than the mask along each axis."""
    padded = np.pad(mask, 1).view(np.uint8)
    corners = itertools.product((0, 1), repeat=mask.ndim)
    codes = np.zeros([length + 1 for length in mask.shape], dtype=np.uint8)
    for bit, corner in enumerate(corners):
        window = tuple(slice(start, start + length) for start, length in zip(corner, codes.shape, strict=True))
        codes |= padded[window] << np.uint8(bit)
    return codes


@lru_cache(maxsize=64)
def contour_lengths(spacing: tuple[float, float]) -> NDArray[np.float64]:
    """Return the length in mm of the contour within the square of each 2D neighbour code ``(16,)``."""
    lengths = np.zeros(16)
    down, right = spacing
    for code in range(1, 15):
        top_left, top_right, bottom_left, bottom_right = (bool(code >> bit & 1) for bit in range(4))
        if top_left == top_right and bottom_left == bottom_right:
            lengths[code] = right
        elif top_left == bottom_left and top_right == bottom_right:
            lengths[code] = down
        else:
            cuts = 2 if top_left == bottom_right and top_right == bottom_left else 1
            lengths[code] = cuts * math.hypot(down, right) / 2
    return lengths


@lru_cache(maxsize=64)
def surfel_areas(spacing: tuple[float, float, float]) -> NDArray[np.float64]:
    """Return the area in mm² of the surface element of each 3D neighbour code ``(256,)``."""
    scale = np.array([spacing[1] * spacing[2], spacing[0] * spacing[2], spacing[0] * spacing[1]])
    return np.array([sum(float(np.linalg.norm(normal * scale)) for normal in normals) for normals in _normals()])


@lru_cache(maxsize=1)
def _normals() -> tuple[tuple[NDArray[np.float64], ...], ...]:
    """Return the normals of the triangles of each neighbour code on the unit cube; their lengths are the areas."""
    result = []
    for code in range(256):
        inside = {corner for bit, corner in enumerate(_CORNERS) if code >> bit & 1}
        smaller = inside if len(inside) <= 4 else set(_CORNERS) - inside
        result.append(tuple(normal for polygon in _polygons(smaller) for normal in _largest(tuple(polygon))))
    return tuple(result)


def _polygons(inside: set[Corner]) -> Iterator[list[Point]]:
    """Yield the closed polygons through the middles of the cut edges, cutting off the corners that are inside."""
    neighbours: dict[Point, list[Point]] = {}
    for face in _faces():
        cut = [(face[k - 1] in inside) != (face[k] in inside) for k in range(4)]
        middles = [_middle(face[k - 1], face[k]) for k in range(4)]  # of the edge that ends at corner k
        if sum(cut) == 4:
            segments = [(middles[k], middles[(k + 1) % 4]) for k in range(4) if face[k] in inside]
        else:
            ends = [middle for middle, is_cut in zip(middles, cut, strict=True) if is_cut]
            segments = [(ends[0], ends[1])] if ends else []
        for start, stop in segments:
            neighbours.setdefault(start, []).append(stop)
            neighbours.setdefault(stop, []).append(start)
    left = set(neighbours)
    for first in sorted(neighbours):
        polygon: list[Point] = []
        following: Point | None = first if first in left else None
        while following is not None:
            polygon.append(following)
            left.discard(following)
            following = next((point for point in neighbours[following] if point in left), None)
        if polygon:
            yield polygon


def _faces() -> Iterator[list[Corner]]:
    """Yield the corners of each face of the unit cube in cyclic order."""
    for axis in range(3):
        for side in (0, 1):
            face = []
            for pair in ((0, 0), (0, 1), (1, 1), (1, 0)):
                corner = list(pair)
                corner.insert(axis, side)
                face.append((corner[0], corner[1], corner[2]))
            yield face


def _middle(one: Corner, other: Corner) -> Point:
    return tuple((a + b) / 2 for a, b in zip(one, other, strict=True))


@lru_cache(maxsize=1024)
def _largest(polygon: tuple[Point, ...]) -> tuple[NDArray[np.float64], ...]:
    """Return the triangle normals of the division of a polygon into triangles that has the largest area."""
    corners = np.array(polygon)

    def normal(triangle: tuple[int, int, int]) -> NDArray[np.float64]:
        a, b, c = corners[list(triangle)]
        half: NDArray[np.float64] = np.cross(b - a, c - a) / 2
        return half

    divisions = [tuple(normal(triangle) for triangle in division) for division in _divisions(0, len(polygon) - 1)]
    return max(divisions, key=lambda normals: sum(float(np.linalg.norm(some)) for some in normals))


def _divisions(first: int, last: int) -> list[list[tuple[int, int, int]]]:
    """Return every division into triangles of the polygon with corners ``first`` to ``last``."""
    if last - first < 2:
        return [[]]
    return [
        [*before, (first, middle, last), *after]
        for middle in range(first + 1, last)
        for before in _divisions(first, middle)
        for after in _divisions(middle, last)
    ]
