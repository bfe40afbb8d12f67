"""From a seed to a pelvis: a prostate between bladder, rectum and pubic bones.

The template has its origin in the middle of the prostate; x to the right, y to the front, z to the top, mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto

import numpy as np

from segbench_phantoms.canvas import Canvas, warped
from segbench_phantoms.geometry import Array, Blob, Column, Knots, Points, RandomField, Tube
from segbench_phantoms.grid import Grid
from segbench_phantoms.tissues import Codes, Labels, labelled

FIELD_OF_VIEW = (72.0, 160.0, 160.0)
"""Extent along z, y, x (mm): 20 slices of 3.6 mm."""
TYPICAL = 43.0
"""Median volume of a prostate, mL."""
SMALLEST, LARGEST = 20.0, 190.0
"""Volumes (mL) between which prostates are drawn."""


class Tissue(IntEnum):
    """What a voxel shows."""

    FAT = 0
    MUSCLE = auto()
    CORTEX = auto()
    MARROW = auto()
    WALL = auto()
    URINE = auto()
    RECTUM_WALL = auto()
    GAS = auto()
    STOOL = auto()
    VEIN = auto()
    PLEXUS = auto()
    VESICLE = auto()
    BULB = auto()
    LEVATOR = auto()
    CAPSULE = auto()
    PERIPHERAL = auto()
    LESION = auto()
    CENTRAL = auto()
    NODULE = auto()
    NODULE_RIM = auto()
    STROMA = auto()


GLAND = (
    Tissue.CAPSULE,
    Tissue.PERIPHERAL,
    Tissue.LESION,
    Tissue.CENTRAL,
    Tissue.NODULE,
    Tissue.NODULE_RIM,
    Tissue.STROMA,
)


@dataclass(frozen=True, slots=True)
class Gland:
    """Size and shape of a prostate.

    Attributes:
        half: half axes along x, y, z in mm.
        dent: depth of the groove towards the rectum, mm.
        inner: size of the central gland relative to the whole.
        tilt: mm by which the gland leans to the front per mm of height.
        taper: how much narrower the apex is than the base.
    """

    half: tuple[float, float, float]
    dent: float
    inner: float
    tilt: float
    taper: float


def draw_gland(generator: np.random.Generator) -> Gland:
    """Return a random prostate; large ones are rounder and have a larger central gland."""
    volume = float(np.clip(TYPICAL * np.exp(generator.normal(0.0, 0.6)), SMALLEST, LARGEST))
    enlarged = np.log(volume / TYPICAL)
    shape = np.array([1.19, 0.86, 0.98]) * np.exp(generator.normal(0.0, 0.07, 3))
    shape *= np.array([1.0, np.exp(0.10 * enlarged), 1.0])
    scale = (volume * 1e3 / (2.75 * np.prod(shape))) ** (1.0 / 3.0)
    half = [float(value) for value in shape * scale]
    return Gland(
        half=(half[0], half[1], half[2]),
        dent=float(generator.uniform(1.0, 6.5)) * half[1] / 18.0,
        inner=float(np.clip(0.62 + 0.17 * enlarged + generator.normal(0.0, 0.06), 0.42, 0.88)),
        tilt=float(generator.normal(0.18, 0.12)),
        taper=float(generator.uniform(0.15, 0.45)),
    )


def gland_depth(gland: Gland, points: Points) -> Array:
    """Return the approximate depth (mm) in the prostate, positive inside: wide base, narrow apex, dented back."""
    x, y, z = points
    a, b, c = gland.half
    u = z / np.float32(c)
    narrow = 1.0 - np.float32(gland.taper) * 0.5 * (1.0 - np.clip(u, -1.0, 1.0))
    groove = np.float32(gland.dent) * (1.0 - np.minimum((x / np.float32(0.55 * a)) ** 2, 1.0))
    v = y - np.float32(gland.tilt) * z
    v = np.where(v < 0.0, v - groove * np.clip(-v / np.float32(0.5 * b), 0.0, 1.0), v)
    back = np.where(v < 0.0, np.float32(1.12), np.float32(1.0))
    ratio = np.abs(x / (np.float32(a) * narrow)) ** np.float32(2.3) + np.abs(v * back / (b * narrow)) ** np.float32(2.3)
    norm = (ratio ** np.float32(2.0 / 2.3) + u**2) ** np.float32(0.5)
    return np.asarray((1.0 - norm) * np.float32((a * b * c) ** (1 / 3)), np.float32)


def build_pelvis(entropy: tuple[int, ...], grid: Grid) -> tuple[Codes, Labels]:
    """Return the tissues (codes of `Tissue`) and the labels (1 = prostate) of one pelvis, both (D, H, W).

    Args:
        entropy: non-negative integers that fix all randomness.
        grid: where to sample.
    """
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(entropy).spawn(5)]
    gland = draw_gland(streams[0])
    middle = streams[0].normal(0.0, (3.0, 4.0, 2.5)).astype(np.float32)
    x, y, z = grid.axes()
    axes = (x - middle[0], y - middle[1], z - middle[2])
    canvas = Canvas(axes, warped(axes, streams[1], 38.0, (2.2, 2.2, 1.6)), Tissue.FAT)
    _paint_walls(canvas, gland.half[0], streams[2])
    _paint_hollows(canvas, gland, streams[2])
    _paint_neighbours(canvas, gland, streams[3])
    _paint_gland(canvas, gland, streams[4])
    return canvas.codes, labelled(canvas.codes, dict.fromkeys(GLAND, 1))


def _paint_walls(canvas: Canvas, a: float, generator: np.random.Generator) -> None:
    """Paint pubic bones, hips, obturator and gluteal muscles, with strands of tissue through the fat.

    Args:
        canvas: changed in place.
        a: half the width of the prostate, mm: muscles keep clear of it.
        generator: source of randomness.
    """
    canvas.fill(np.abs(RandomField(generator, 11.0).sample(canvas.axes)) < 0.045, Tissue.LEVATOR)
    shift, pull = generator.normal(0.0, 4.0), max(float(generator.normal(0.0, 3.0)), a - 30.0)
    for side in (-1.0, 1.0):
        for centre, radii, yaw in (
            ((side * 64.0, -48.0), (34.0, 26.0), 25.0),
            ((side * 76.0, 58.0), (44.0, 20.0), -12.0),
            ((side * 28.0, 74.0), (26.0, 12.0), 8.0),
            ((side * (41.0 + pull), 8.0), (11.0, 36.0), 12.0),
        ):
            canvas.paint(Column(centre, radii, -side * yaw), Tissue.MUSCLE)
        bones = (
            Tube(_bone(side, shift, ((10.0, 46.0, -30.0, 8.0), (12.0, 47.0, -4.0, 11.0), (58.0, 34.0, 24.0, 11.0)))),
            Tube(_bone(side, shift, ((12.0, 44.0, -12.0, 9.0), (18.0, 38.0, -26.0, 9.0), (48.0, 10.0, -50.0, 9.0)))),
            Blob((side * 76.0, 14.0, 28.0), (22.0, 24.0, 34.0)),
            Blob((side * 64.0, -16.0, -26.0), (12.0, 18.0, 34.0), yaw=-side * 20.0),
        )
        for bone in bones:
            canvas.paint(bone, Tissue.CORTEX)
            canvas.paint(bone, Tissue.MARROW, grow=-2.2)


def _bone(side: float, shift: float, knots: Knots) -> Knots:
    """Return the knots of a bone of one side (-1 left, 1 right), moved to the front by a shift in mm."""
    return tuple((side * x, y + shift, z, radius) for x, y, z, radius in knots)


def _paint_hollows(canvas: Canvas, gland: Gland, generator: np.random.Generator) -> None:
    """Paint the bladder above and in front of the prostate and the rectum behind it."""
    _, b, c = gland.half
    full = float(generator.uniform(0.65, 1.25))
    bladder = Blob((0.0, 12.0, c + 14.0 * full), (36.0 * full, 26.0 * full, 20.0 * full))
    canvas.paint(bladder, Tissue.WALL, grow=3.5)
    canvas.paint(bladder, Tissue.URINE)
    wide = float(generator.uniform(4.0, 15.0))
    drift = float(generator.normal(0.0, 4.0))
    back = -b - 4.5 - wide
    rectum = Tube(
        (
            (0.0, -b - 12.0, -60.0, 4.0),
            (0.0, back + 5.0, -c - 6.0, 0.6 * wide + 2.0),
            (drift, back - 0.18 * c, 0.0, wide),
            (-drift, back - 6.0, c + 4.0, 0.85 * wide + 3.0),
            (2.0 * drift, back - 12.0, 60.0, wide + 3.0),
        )
    )
    content = Tissue.GAS if generator.random() < 0.55 else Tissue.STOOL
    canvas.paint(rectum, Tissue.RECTUM_WALL, grow=4.0)
    canvas.paint(rectum, content)


def _paint_neighbours(canvas: Canvas, gland: Gland, generator: np.random.Generator) -> None:
    """Paint what is easily taken for prostate: vesicles, venous plexus, levator muscles, penile bulb, stroma."""
    a, b, c = gland.half
    x, y, z = canvas.points
    coils = RandomField(generator, 5.5)
    for side in (-1.0, 1.0):
        low = float(generator.normal(0.0, 2.0))
        knots = ((side * 4.0, -0.72 * b, 0.72 * c + low, 5.5), (side * 34.0, -0.95 * b, c + 9.0 + low, 6.0))
        _paint_mixed(canvas, Tube(knots), Tissue.VESICLE, Tissue.RECTUM_WALL, coils)
        veins = ((side * (a + 3.0), -0.3 * b, -0.6 * c, 4.0), (side * (a + 4.0), 0.2 * b, 0.8 * c, 5.0))
        _paint_mixed(canvas, Tube(veins), Tissue.VEIN, Tissue.FAT, coils)
    front = Blob((0.0, 1.02 * b, -0.25 * c), (0.72 * a, 0.34 * b, 0.9 * c))
    _paint_mixed(canvas, front, Tissue.VEIN, Tissue.LEVATOR, coils)
    open_ = 0.86 * a + 3.5 + np.maximum(0.3 * (z + 0.4 * c), -0.4 * a)
    ring = np.sqrt(x**2 + (0.72 * np.minimum(y + 0.45 * b, 0.0)) ** 2) - open_
    loose = (Tissue.FAT, Tissue.VEIN)
    canvas.fill((np.abs(ring) < 2.6) & (z < 0.6 * c) & (y < 0.8 * b), Tissue.LEVATOR, loose)
    canvas.fill((ring < -2.0) & (z < 0.8 * c), Tissue.PLEXUS, (Tissue.FAT,))
    width = 0.34 * a
    urethra = Tube(((0.0, 0.1 * b, -0.7 * c, width), (0.0, 2.0, -c - 4.0, 0.9 * width), (0.0, 6.0, -c - 26.0, 9.5)))
    canvas.paint(urethra, Tissue.BULB)


def _paint_mixed(canvas: Canvas, shape: Blob | Tube, inside: Tissue, between: Tissue, coils: RandomField) -> None:
    """Paint a shape as coiled lumina of one tissue with another one between them, over fat and muscle."""
    window = canvas.window(*shape.reach())
    local = canvas.local(window)
    if not local[0].size:
        return
    hit = shape.depth(local) > 0.0
    over = (Tissue.FAT, Tissue.LEVATOR)
    lumen = np.abs(coils.sample(canvas.axes_of(window))) > 0.38
    canvas.fill(hit & lumen, inside, over, window)
    canvas.fill(hit & ~lumen, between, over, window)


def _paint_gland(canvas: Canvas, gland: Gland, generator: np.random.Generator) -> None:
    """Paint the prostate: peripheral zone, lesions, a nodular central gland, stroma in front, a patchy capsule."""
    a, b, c = gland.half
    window = canvas.window((-1.4 * a, -1.8 * b, -1.2 * c), (1.4 * a, 1.8 * b, 1.2 * c))
    points = canvas.local(window)
    axes = canvas.axes_of(window)
    bumps, patches = RandomField(generator, 13.0).sample(axes), RandomField(generator, 8.0).sample(axes)
    nodules = RandomField(generator, 6.5).sample(axes)
    depth = gland_depth(gland, points) + 0.9 * bumps
    inner = gland.inner
    core = Gland((1.04 * inner * a, 1.10 * inner * b, 1.02 * inner * c), 0.0, 0.0, gland.tilt, 0.2)
    lift = (0.98 - inner) * b
    raised = (points[0], points[1] - np.float32(0.75 * lift), points[2] - np.float32(0.12 * c))
    inside = gland_depth(core, raised) + 0.6 * patches
    whole = depth > 0.0
    canvas.fill(whole, Tissue.PERIPHERAL, None, window)
    canvas.fill(whole & (patches > 1.5), Tissue.LESION, None, window)
    central = whole & (inside > 0.0)
    canvas.fill(central, Tissue.CENTRAL, None, window)
    canvas.fill(central & (np.abs(nodules) > 0.8), Tissue.NODULE_RIM, None, window)
    canvas.fill(central & (nodules > 1.0), Tissue.NODULE, None, window)
    canvas.fill(whole & (np.abs(inside) < 0.8), Tissue.NODULE_RIM, None, window)
    front = (points[1] > 0.58 * b + 0.25 * np.abs(points[0])) & (np.abs(points[0]) < 0.5 * a)
    canvas.fill(whole & front, Tissue.STROMA, None, window)
    canvas.fill(whole & (depth < 1.1) & (bumps + patches > -0.2), Tissue.CAPSULE, None, window)
