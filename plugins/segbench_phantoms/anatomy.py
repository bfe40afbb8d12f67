"""From a seed to a label map: pose, deform and paint the template brain of `atlas.py`.

Arrays are (D, H, W): D runs from inferior to superior, H from posterior to anterior, W from left to right.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from segbench_phantoms import atlas
from segbench_phantoms.geometry import Array, Points, RandomField, inside_box, smooth_union
from segbench_phantoms.grid import Grid, Size, Triple
from segbench_phantoms.parcels import PARCELS, SMALLEST, WANDER
from segbench_phantoms.schemes import Scheme
from segbench_phantoms.tissues import Labels

Flags = npt.NDArray[np.bool_]
MIDDLE = (0.0, 0.0, -3.0)
"""World coordinates x, y, z (mm) of the middle of every grid."""
FIELD_OF_VIEW = (160.0, 200.0, 160.0)
"""Extent along z, y, x (mm) that covers the head."""
RIBBON = 3.15
"""Thickness of the cerebral cortex in mm."""
SULCUS_DEPTH = (6.0, 17.0)
"""Least and greatest depth of the sulci, mm; they are shallow near the midline and in the temporal lobe."""
SULCUS_HALF_WIDTH = 1.0
FOLD_KNOT = 7.5
"""Lattice of the field whose zero surfaces are the sulci, mm; gyri are about one and a half times as wide."""


class Surround(IntEnum):
    """What a background voxel is made of."""

    AIR = 0
    SCALP = 1
    SKULL = 2
    FLUID = 3
    MUSCLE = 4


def head_grid(spacing: Triple, size: Size | None = None) -> Grid:
    """Return the grid of this spacing (mm along z, y, x) and size (voxels), by default one that covers the head."""
    z, y, x = (float(step) for step in spacing)
    return Grid.covering((z, y, x), FIELD_OF_VIEW, MIDDLE) if size is None else Grid((z, y, x), size, MIDDLE)


@dataclass(frozen=True, slots=True)
class Head:
    """What lies where in one head.

    Args:
        labels: (D, H, W) values of the scheme, 0 is background.
        surround: (D, H, W) uint8 codes of `Surround`; meaningful where the label is 0.
    """

    labels: Labels
    surround: npt.NDArray[np.uint8]


def build_head(entropy: tuple[int, ...], grid: Grid, scheme: Scheme) -> Head:
    """Return one random head.

    Args:
        entropy: non-negative integers that fix all randomness.
        grid: where to sample; the head itself does not depend on it.
        scheme: which structures to tell apart; the head itself does not depend on it.
    """
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(entropy).spawn(4)]
    axes = grid.axes()
    points = template_points(axes, streams[0])
    folded = (np.abs(points[0]), points[1], points[2])
    right = points[0] > 0.0
    envelope, hull, core = _hulls(folded)
    depth = _pial_depth(folded, hull, axes, streams[1])
    white = core | (depth > RIBBON)
    cortex = (depth > 0.0) & ~white
    labels = np.zeros(grid.size, np.int16)
    labels[white] = _sided(scheme.codes("cerebral white matter"), right[white])
    if scheme.parcellated:
        fewest = int(np.ceil(SMALLEST / np.prod(grid.spacing)))
        _parcellate(labels, cortex, folded, right, scheme, fewest, streams[3])
    else:
        labels[cortex] = _sided(scheme.codes("cerebral cortex"), right[cortex])
    _paint_parts(labels, folded, right, scheme, streams[2])
    return Head(labels, _surround(folded, envelope))


def template_points(axes: Points, generator: np.random.Generator) -> Points:
    """Return, for every voxel, the template point (mm) shown there: scale, rotation, shift and smooth warp.

    Args:
        axes: world coordinates (mm) along x, y and z.
        generator: source of randomness.
    """
    angles = np.radians(generator.normal(0.0, 2.5, 3))
    scales = np.exp(generator.normal(0.0, 0.025) + generator.normal(0.0, 0.02, 3))
    shift = generator.normal(0.0, 1.5, 3).astype(np.float32)
    matrix = (_rotation(angles) / scales[:, None]).astype(np.float32)
    x, y, z = axes[0][None, None, :], axes[1][None, :, None], axes[2][:, None, None]
    found = []
    for row in range(3):
        a, b, c = matrix[row]
        straight = a * (x - shift[0]) + b * (y - shift[1]) + c * (z - shift[2])
        for knot, strength in atlas.WARPS:
            straight = straight + np.float32(strength) * RandomField(generator, knot).sample(axes)
        found.append(straight)
    return found[0], found[1], found[2]


def _rotation(angles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the rotation matrix of three angles (radians) about x, y and z."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        step = np.eye(3)
        first, second = (axis + 1) % 3, (axis + 2) % 3
        step[first, first] = step[second, second] = np.cos(angle)
        step[first, second], step[second, first] = -np.sin(angle), np.sin(angle)
        matrix = step @ matrix
    return matrix


def _hulls(points: Points) -> tuple[Array, Array, Flags]:
    """Return depths (mm) in the whole brain and in one hemisphere, and where white matter is certain.

    Args:
        points: template points with x folded to the right side.
    """
    dome = np.minimum(atlas.DOME.depth(points), points[2] - np.float32(atlas.FLOOR))
    cerebrum = smooth_union(dome, atlas.TEMPORAL_LOBE.depth(points), 6.0)
    cerebellum = np.maximum(atlas.CEREBELLUM[0].depth(points), atlas.CEREBELLUM[1].depth(points))
    cistern = atlas.CISTERN.depth(points)
    gap = np.maximum(np.float32(1.0), 5.5 - 0.4 * points[0])
    hemisphere = np.minimum(np.minimum(cerebrum, points[0] - np.float32(0.8)), -cerebellum - gap)
    hemisphere = np.minimum(hemisphere, -cistern - np.float32(1.0))
    callosum = atlas.CALLOSUM.depth((np.zeros_like(points[0]), points[1], points[2])) > 0.0
    core = (atlas.CORE.depth(points) > 0.0) | (callosum & (points[0] < atlas.CALLOSUM_HALF_WIDTH))
    envelope = np.maximum(np.maximum(cerebrum, cerebellum), cistern)
    return envelope, hemisphere, core & (hemisphere > -1.5)


def _pial_depth(points: Points, hull: Array, axes: Points, generator: np.random.Generator) -> Array:
    """Return the depth (mm) below the folded surface of the cerebrum.

    Sulci are the zero surfaces of a random field down to a fixed depth, and the lateral sulcus.
    """
    field = RandomField(generator, FOLD_KNOT)
    steepness = sum((field.sample(axes, axis) ** 2 for axis in range(3)), np.float32(0.05 / FOLD_KNOT**2))
    sheet = np.abs(field.sample(axes)) / np.sqrt(steepness)
    reach = np.minimum(0.42 * points[0], 14.5 + 0.5 * points[2])
    bottom = np.maximum(hull - np.clip(reach, *SULCUS_DEPTH), 0.0)
    sulci = np.sqrt(sheet**2 + bottom**2) - np.float32(SULCUS_HALF_WIDTH)
    x, y, z = points
    valley = z - (np.float32(2.0) + 0.25 * (y - 5.0))
    ends = np.maximum(np.maximum(-28.0 - y, y - 34.0), 0.0)
    lateral = np.sqrt(valley**2 + np.maximum(37.0 - x, 0.0) ** 2 + ends**2) - 1.0
    return np.asarray(np.minimum(np.minimum(hull, sulci), lateral), np.float32)


def _parcellate(
    labels: Labels,
    cortex: Flags,
    points: Points,
    right: Flags,
    scheme: Scheme,
    fewest: int,
    generator: np.random.Generator,
) -> None:
    """Divide the cortex into gyri: every voxel takes the nearest seed of its side; seeds wander between heads.

    Args:
        labels: (D, H, W), changed in place.
        cortex: where the cortex is.
        points: template points (mm) with x folded to the right side.
        right: which voxels belong to the right side.
        scheme: label values.
        fewest: number of voxels that a gyrus keeps when others squeeze it out.
        generator: source of randomness.
    """
    names = [parcel.name for parcel in PARCELS for _ in parcel.seeds]
    seeds = np.array([seed for parcel in PARCELS for seed in parcel.seeds])
    codes = np.array([scheme.codes(name) for name in names], np.int16)  # (seeds, 2)
    for side in (0, 1):
        here = cortex & (right == bool(side))
        moved = seeds + generator.normal(0.0, WANDER, seeds.shape)
        where = np.stack([axis[here] for axis in points], axis=-1)  # (voxels, 3)
        _, nearest = cKDTree(moved).query(where)
        found = codes[nearest, side]
        for seed, code in zip(moved, codes[:, side], strict=True):
            if where.size and np.count_nonzero(found == code) < fewest:
                found[np.argsort(np.sum((where - seed) ** 2, axis=-1))[:fewest]] = code
        labels[here] = found


def _sided(codes: tuple[int, int], right: Flags) -> Labels:
    return np.where(right, np.int16(codes[1]), np.int16(codes[0]))


def _paint_parts(labels: Labels, points: Points, right: Flags, scheme: Scheme, generator: np.random.Generator) -> None:
    """Paint every part of the atlas over the cerebrum, each a little larger or smaller and out of place."""
    flat = tuple(axis.ravel() for axis in points)
    canvas, side = labels.ravel(), right.ravel()
    for part in atlas.PARTS:
        scale = float(np.exp(generator.normal(0.0, part.vary)))
        shift = generator.normal(0.0, part.wander, 3) * (part.paired, 1.0, 1.0)
        if not scheme.offers(part.name):
            continue
        codes = scheme.codes(part.name)
        for shape in part.shapes:
            low, high = shape.reach()
            where = inside_box((flat[0], flat[1], flat[2]), low, high)
            local = [axis[where] - np.float32(step) for axis, step in zip(flat, shift, strict=True)]
            hit = where[shape.depth((local[0], local[1], local[2]), scale) > 0.0]
            canvas[hit] = _sided(codes, side[hit])


def _surround(points: Points, envelope: Array) -> npt.NDArray[np.uint8]:
    """Return what the background is made of: fluid, skull and scalp in layers, a face and a neck, and air.

    Args:
        points: template points (mm), x folded.
        envelope: depth (mm) in the whole brain.
    """
    layers = np.array([Surround.AIR, Surround.SCALP, Surround.SKULL, Surround.FLUID], np.uint8)
    found = layers[np.searchsorted(np.array([-14.0, -8.5, -3.0], np.float32), envelope)]
    flesh = np.maximum(*(shape.depth(points) for shape in atlas.FLESH))
    found[(flesh > 0.0) & (envelope < -3.0)] = Surround.MUSCLE
    return found
