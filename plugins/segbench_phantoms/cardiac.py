"""From a seed to a short-axis stack: a beating left ventricle, a right one wrapped around it, and the chest around.

The template has its origin in the middle of the left ventricle; x points to the right ventricle's side, y to the
front, z from the apex to the base. Lengths are in mm.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import IntEnum, auto

import numpy as np

from segbench_phantoms.canvas import Canvas, warped
from segbench_phantoms.geometry import Array, Blob, Point, Points, RandomField, Tube
from segbench_phantoms.grid import Grid
from segbench_phantoms.tissues import Labels, labelled

FIELD_OF_VIEW = (100.0, 192.0, 192.0)
"""Extent along z, y, x (mm): ten slices of 10 mm."""
PROFILE = 2.4
"""Exponent of the ventricle's outline along its axis: 2 is an ellipsoid, more is blunter."""
APEX_SHARE = 0.6
"""Thickness of the apex as a share of that of the wall."""


class Tissue(IntEnum):
    """What a voxel shows."""

    AIR = 0
    LUNG = auto()
    LUNG_VESSEL = auto()
    FAT = auto()
    MUSCLE = auto()
    LIVER = auto()
    STOMACH = auto()
    BLOOD = auto()
    ATRIAL_WALL = auto()
    PERICARDIUM = auto()
    RV = auto()
    TRABECULA = auto()
    MYO = auto()
    LV = auto()
    PAPILLARY = auto()


AROUND = (Tissue.LUNG, Tissue.LUNG_VESSEL, Tissue.LIVER, Tissue.STOMACH)
"""What the heart displaces."""
VALUES = {Tissue.RV: 1, Tissue.TRABECULA: 1, Tissue.MYO: 2, Tissue.LV: 3, Tissue.PAPILLARY: 3}


@dataclass(frozen=True, slots=True)
class Shape:
    """Size and pose of the ventricles of one patient in one phase.

    Attributes:
        radius, length: of the left cavity at the base and from base to apex.
        wall: thickness of the myocardium at the base.
        bulge: how far the right ventricle stands off the septum at its widest.
        height: z of the base.
        reach: z of the base of the right ventricle above that of the left one.
        tip: z of the apex of the right ventricle above that of the left cavity.
        side: direction of the right ventricle, degrees from x towards y.
        oval: ratio of the axes of the left ventricle.
        thin, sector: relative loss of wall thickness and where, degrees (an infarct).
        motion: standard deviation of the displacement of slices by breathing.
    """

    radius: float
    length: float
    wall: float
    bulge: float
    height: float
    reach: float
    tip: float
    side: float
    oval: float
    thin: float
    sector: float
    motion: float


# Radius, length and wall at end-diastole, systolic over diastolic radius, thinning of an infarct, right bulge.
PATIENTS = {
    "normal": (26.5, 76.0, 8.5, 0.68, 0.0, 34.0),
    "infarct": (28.5, 78.0, 9.0, 0.80, 0.45, 31.0),
    "dilated": (33.5, 83.0, 8.0, 0.88, 0.0, 33.0),
    "hypertrophic": (25.5, 74.0, 13.0, 0.68, 0.0, 30.0),
    "right": (25.5, 75.0, 8.5, 0.70, 0.0, 43.0),
}


def draw_shape(generator: np.random.Generator, phase: int) -> Shape:
    """Return the ventricles of a random patient at end-diastole (phase 0) or end-systole (1)."""
    radius, length, wall, squeeze, thin, bulge = PATIENTS[list(PATIENTS)[int(generator.integers(len(PATIENTS)))]]
    size = float(np.exp(np.clip(generator.normal(0.0, 0.06), -0.06, 0.14)))
    vary = np.exp(generator.normal(0.0, 0.06, 4))
    length *= size * vary[0]
    shape = Shape(
        radius=radius * size,
        length=length,
        wall=wall * vary[1],
        bulge=bulge * size * vary[2],
        height=0.5 * length - 1.0 + float(generator.normal(0.0, 3.0)),
        reach=float(generator.uniform(-5.0, 10.0)),
        tip=float(generator.uniform(7.0, 22.0)),
        side=float(generator.normal(12.0, 9.0)),
        oval=float(generator.uniform(1.0, 1.14)),
        thin=thin,
        sector=float(generator.uniform(0.0, 360.0)),
        motion=float(generator.choice([0.7, 1.2, 2.4])),
    )
    squeeze = float(np.clip(squeeze * vary[3], 0.64, 0.95))
    return shape if phase == 0 else _contracted(shape, squeeze)


def _contracted(shape: Shape, squeeze: float) -> Shape:
    """Return end-systole: a smaller cavity, the same volume of muscle, the base drawn towards the apex."""
    radius, length = shape.radius * squeeze, shape.length * (0.72 + 0.26 * squeeze)
    muscle = (shape.radius + shape.wall) ** 2 * (shape.length + APEX_SHARE * shape.wall)
    muscle -= shape.radius**2 * shape.length
    wall = shape.wall
    for _ in range(4):
        wall = np.sqrt((muscle + radius**2 * length) / (length + APEX_SHARE * wall)) - radius
    return dataclasses.replace(
        shape,
        radius=radius,
        length=length,
        wall=float(wall),
        bulge=shape.bulge * (0.35 + 0.45 * squeeze),
        height=shape.height - (shape.length - length),
        tip=shape.tip + 4.0,
    )


def build_heart(entropy: tuple[int, ...], phase: int, grid: Grid) -> tuple[Labels, Labels]:
    """Return the tissues and the labels of one stack.

    Args:
        entropy: non-negative integers that fix the patient; both phases of a patient share them.
        phase: 0 = end-diastole, 1 = end-systole.
        grid: where to sample.

    Returns:
        Codes of `Tissue` and label values (0 background, 1 RV, 2 Myo, 3 LV), both (D, H, W).
    """
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(entropy).spawn(5)]
    shape = draw_shape(streams[0], phase)
    axes = grid.axes()
    points = _points(axes, shape, streams[1], np.random.default_rng((*entropy, phase)))
    canvas = Canvas(axes, points, Tissue.LUNG)
    _paint_chest(canvas, streams[2])
    rough = RandomField(streams[3], 7.0).sample(axes)
    _paint_vessels(canvas, shape, streams[4])
    _paint_ventricles(canvas, shape, rough)
    _paint_papillaries(canvas, shape, rough, streams[4])
    return canvas.codes.astype(np.int16), labelled(canvas.codes, VALUES)


def _points(axes: Points, shape: Shape, patient: np.random.Generator, breath: np.random.Generator) -> Points:
    """Return the template points: a warp and a shift of the patient's own, and another shift of every slice."""
    x, y, z = warped(axes, patient, 32.0, (2.2, 2.2, 0.0))
    place = patient.normal(0.0, 7.0, 2)
    shifts = place[:, None] + breath.normal(0.0, shape.motion, (2, len(axes[2])))
    drop = (breath.random(len(axes[2])) < 0.08) * breath.normal(0.0, 5.0, len(axes[2]))
    across, along = shifts.astype(np.float32)[:, :, None, None]
    return x - across, y - along - drop.astype(np.float32)[:, None, None], z


def outline(shape: Shape, z: Array, grow: float) -> Array:
    """Return the radius (mm) of the left cavity (grow = 0) or of the ventricle with its wall (grow = 1) at heights z.

    Negative beyond the apex.
    """
    radius, length = shape.radius + grow * shape.wall, shape.length + grow * APEX_SHARE * shape.wall
    below = np.clip((np.float32(shape.height) - z) / np.float32(length), 0.0, None)
    inside = 1.0 - below**PROFILE
    return np.asarray(np.where(inside > 0.0, radius * np.sqrt(np.maximum(inside, 0.0)), -50.0), np.float32)


def _paint_ventricles(canvas: Canvas, shape: Shape, rough: Array) -> None:
    """Paint both ventricles; every slice is cut whole, as experts draw it."""
    x, y, _ = canvas.points
    heights = canvas.axes[2][:, None, None]
    turn = np.radians(shape.side)
    along = np.float32(np.cos(turn)) * x + np.float32(np.sin(turn)) * y
    across = np.float32(np.cos(turn)) * y - np.float32(np.sin(turn)) * x
    distance = np.sqrt((along * shape.oval) ** 2 + (across / shape.oval) ** 2)
    angle = np.degrees(np.arctan2(y, x)) - shape.sector
    infarct = np.clip(np.cos(np.radians(angle)), 0.0, None) ** 2 * shape.thin
    outer, cavity = outline(shape, heights, 1.0), outline(shape, heights, 0.0)
    edge = outer - infarct * (outer - np.maximum(cavity, 0.0)) + 0.5 * rough
    low = heights < shape.height
    _paint_right(canvas, shape, along, across, distance - edge, rough)
    canvas.fill((distance < edge + 1.6) & low, Tissue.PERICARDIUM, AROUND)
    canvas.fill((distance < edge) & low, Tissue.MYO)
    canvas.fill((distance < np.minimum(cavity, edge - 2.5)) & low, Tissue.LV)


def _paint_right(canvas: Canvas, shape: Shape, along: Array, across: Array, outside: Array, rough: Array) -> None:
    """Paint the right ventricle: an ellipse that the left one covers in part, with its wall, fat and trabeculae.

    Args:
        canvas: changed in place.
        shape: of the ventricles.
        along, across: template coordinates along the septum's normal and at right angles to it, mm.
        outside: distance from the left ventricle's surface, mm.
        rough: random field that makes the outline irregular.
    """
    heights = canvas.axes[2][:, None, None]
    bottom = shape.height - shape.length + shape.tip
    top = shape.height + shape.reach
    rise = np.clip((heights - bottom) / (top - bottom), 0.0, 1.0) ** 0.55
    hull = np.maximum(outline(shape, np.minimum(heights, shape.height), 1.0), 8.0)
    half = 0.5 * (0.55 * hull + 1.12 * shape.bulge * rise)
    width = (0.5 + 0.7 * rise) * hull
    shift = 0.45 * hull + half
    lean = across - 0.12 * (along - hull) - 0.05 * hull
    norm = np.sqrt(((along - shift) / half) ** 2 + (lean / width) ** 2)
    depth = (1.0 - norm) * np.sqrt(half * width) + 0.9 * rough
    here = (heights > bottom) & (heights < top)
    soft = (*AROUND, Tissue.FAT, Tissue.BLOOD, Tissue.ATRIAL_WALL, Tissue.MUSCLE)
    canvas.fill((depth > -5.0 + 2.0 * rough) & here, Tissue.FAT, AROUND)
    canvas.fill((depth > -2.2) & (outside > 0.0) & here, Tissue.ATRIAL_WALL, soft)
    canvas.fill((depth > 0.0) & (outside > 0.0) & here, Tissue.RV)
    strands = (np.abs(rough) < 0.16) & (depth < 9.0 + 8.0 * (heights < bottom + 25.0)) & (outside > 2.0)
    canvas.fill(strands & here, Tissue.TRABECULA, (Tissue.RV,))


def _paint_papillaries(canvas: Canvas, shape: Shape, rough: Array, generator: np.random.Generator) -> None:
    """Paint the papillary muscles and trabeculae into the left cavity; experts count them as cavity."""
    bottom = shape.height - shape.length
    for angle in (shape.side + 130.0, shape.side + 235.0):
        turn = np.radians(angle + generator.normal(0.0, 12.0))
        knots = []
        for share, away, radius in ((0.08, 0.55, 3.5), (0.3, 0.66, 4.2), (0.62, 0.6, 3.0)):
            place = away * shape.radius
            size = radius * (0.6 + 0.4 * shape.radius / 26.0)
            knots.append((place * np.cos(turn), place * np.sin(turn), bottom + share * shape.length, size))
        canvas.paint(Tube(tuple(knots)), Tissue.PAPILLARY, (Tissue.LV,))
    x, y, _ = canvas.points
    heights = canvas.axes[2][:, None, None]
    rim = np.sqrt(x**2 + y**2) > outline(shape, heights, 0.0) - 3.5 - 3.0 * (heights < bottom + 0.45 * shape.length)
    canvas.fill(rim & (rough > 0.75), Tissue.PAPILLARY, (Tissue.LV,))


def _paint_vessels(canvas: Canvas, shape: Shape, generator: np.random.Generator) -> None:
    """Paint what lies above the base and looks like ventricles: atria, outflow tracts and aorta, with their walls."""
    base, size = shape.height, shape.radius / 26.0
    places: tuple[tuple[Point, Point], ...] = (
        ((4.0, 6.0, base + 12.0), (15.0, 15.0, 24.0)),
        ((-12.0, -20.0, base + 18.0), (26.0, 19.0, 22.0)),
        ((42.0, -12.0, base + 22.0), (22.0, 24.0, 20.0)),
        ((26.0, 26.0, base + 20.0), (15.0, 13.0, 22.0)),
    )
    soft = (*AROUND, Tissue.FAT)
    canvas.paint(Blob((12.0, 0.0, base + 12.0), (46.0, 36.0, 20.0), power=3), Tissue.FAT, soft)
    for centre, radii in places:
        moved = [value + float(generator.normal(0.0, 3.0)) for value in centre]
        blob = Blob((moved[0], moved[1], moved[2]), (radii[0] * size, radii[1] * size, radii[2]))
        canvas.paint(blob, Tissue.ATRIAL_WALL, soft, grow=2.5)
        canvas.paint(blob, Tissue.BLOOD)
    aorta = Tube(((-32.0, -62.0, -200.0, 10.0), (-36.0, -64.0, 200.0, 11.0)))
    canvas.paint(aorta, Tissue.ATRIAL_WALL, grow=2.0)
    canvas.paint(aorta, Tissue.BLOOD)


def _paint_chest(canvas: Canvas, generator: np.random.Generator) -> None:
    """Paint the chest: vessels of the lung, organs below the diaphragm, fat and muscle of the wall, air outside."""
    x, y, z = canvas.points
    canvas.fill(np.abs(RandomField(generator, 6.5).sample(canvas.axes)) > 2.0, Tissue.LUNG_VESSEL)
    tilt, lift = float(generator.normal(0.28, 0.08)), float(generator.normal(0.0, 5.0))
    floor = -47.0 + lift - tilt * z - 0.004 * (x + 10.0) ** 2 + 0.16 * x
    canvas.fill(y < floor, Tissue.LIVER)
    canvas.fill((y < floor - 3.0) & (x < -14.0 + 4.0 * np.sin(y * np.float32(0.15))), Tissue.STOMACH)
    canvas.fill((np.abs(y - floor) < 1.7) & (y < -30.0), Tissue.MUSCLE)
    pad = float(generator.uniform(-6.0, 12.0))
    canvas.paint(Blob((24.0, 8.0, -20.0), (44.0 + pad, 26.0 + pad, 75.0), yaw=24.0), Tissue.FAT, AROUND)
    canvas.paint(Blob((12.0, -22.0, 10.0), (40.0 + pad, 22.0, 65.0), yaw=-8.0), Tissue.FAT, AROUND)
    fat = float(generator.uniform(5.0, 22.0))
    wall = 84.0 + lift - 0.0035 * (x - 15.0) ** 2 - 0.12 * x - y
    ribs = np.sin(np.float32(2.0 * np.pi / 27.0) * (x + 2.2 * z)) > 0.2
    canvas.fill(wall < fat + 13.0, Tissue.MUSCLE)
    canvas.fill((np.abs(wall - fat - 7.0) < 3.0) & ribs, Tissue.FAT)
    canvas.fill(wall < fat, Tissue.FAT)
    canvas.fill(wall < 0.0, Tissue.AIR)
