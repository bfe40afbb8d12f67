"""From a seed to a chest: body, lungs, bones, and a mediastinum full of vessels that look like the aorta.

Template coordinates are those of `torso.py`, in mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segbench_phantoms import torso
from segbench_phantoms.canvas import Canvas, warped
from segbench_phantoms.geometry import Array, Blob, Column, Knots, RandomField, Shape, Tube
from segbench_phantoms.grid import Grid
from segbench_phantoms.tissues import Codes, Labels, labelled
from segbench_phantoms.torso import Tissue

FIELD_OF_VIEW = (224.0, 281.6, 352.0)
"""Extent along z, y, x (mm): 64 slices of 128 x 160 pixels at 3.5 x 2.2 x 2.2 mm."""
STRAY = 1.5
"""Standard deviation of the inner knots of vessels and airways between patients, mm per axis."""
SOFT = (Tissue.MEDIASTINUM, Tissue.STRAND, Tissue.LUNG, Tissue.LUNG_VESSEL)


@dataclass(frozen=True, slots=True)
class Build:
    """A patient's proportions.

    Attributes:
        scale: size relative to the template.
        fat: thickness of the fat under the skin, mm.
        heart: size of the heart relative to the body.
        aorta: width of the aorta relative to the body.
    """

    scale: float
    fat: float
    heart: float
    aorta: float


def build_chest(entropy: tuple[int, ...], grid: Grid) -> Codes:
    """Return the tissues (codes of `Tissue`, (D, H, W)) of one chest.

    Args:
        entropy: non-negative integers that fix all randomness.
        grid: where to sample.
    """
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(entropy).spawn(4)]
    draw = streams[0]
    build = Build(
        scale=float(np.exp(draw.normal(0.0, 0.04))),
        fat=float(draw.uniform(8.0, 24.0)),
        heart=float(np.exp(draw.normal(0.2, 0.06))),
        aorta=float(np.exp(draw.normal(0.06, 0.11))),
    )
    middle = draw.normal((0.0, 0.0, 0.0), (5.0, 5.0, 8.0)).astype(np.float32)
    x, y, z = ((axis - shift) / np.float32(build.scale) for axis, shift in zip(grid.axes(), middle, strict=True))
    canvas = Canvas((x, y, z), warped((x, y, z), streams[1], 64.0, (3.5, 3.0, 4.0)), Tissue.AIR)
    _paint_body(canvas, build)
    _paint_lungs(canvas, streams[2])
    _paint_spine(canvas)
    _paint_mediastinum(canvas, build, streams[3])
    return canvas.codes


def organ_labels(codes: Codes, organs: Sequence[str]) -> Labels:
    """Return the label map of some organs: the first of them has value 1, and so on."""
    return labelled(codes, {part: value for value, organ in enumerate(organs, 1) for part in torso.PARTS[organ]})


def _paint_body(canvas: Canvas, build: Build) -> None:
    """Paint table, fat, muscle, ribs, shoulder blades and the arms' roots."""
    x, y, _ = canvas.points
    level = np.clip((canvas.axes[2][:, None, None] - 70.0) / 60.0, 0.0, 1.0)
    wide, deep = 146.0 + build.fat + 26.0 * level, 98.0 + 0.7 * build.fat - 8.0 * level
    across, along = (x / wide) ** 2, ((y + 4.0) / deep) ** 2
    depth = (1.0 - np.sqrt(across + along - 0.5 * across * along)) * np.float32(108.0)
    groove = np.maximum(0.0, 1.0 - np.abs(canvas.axes[0]) / 16.0)[None, None, :] * np.float32(7.0)
    depth -= groove * (canvas.axes[1] < -60.0)[None, :, None]
    canvas.fill(depth > 0.0, Tissue.FAT)
    cage = depth - np.float32(build.fat)
    canvas.fill(cage > 0.0, Tissue.MUSCLE)
    _paint_ribs(canvas, cage)
    _paint_table(canvas)
    sternum = Blob((0.0, 71.0 - 0.3 * build.fat, 8.0), (20.0, 6.0, 72.0), power=4)
    _paint_bones(canvas, [sternum])
    for side in (-1.0, 1.0):
        blade = Tube(
            ((side * 64.0, -78.0, 30.0, 4.5), (side * 100.0, -62.0, 85.0, 6.0), (side * 128.0, -38.0, 118.0, 11.0)),
            flatten=(0.55, 1.0, 0.35),
        )
        inner, outer = (side * 14.0, 58.0, 84.0, 7.0), (side * 130.0, 10.0, 116.0, 7.0)
        clavicle = Tube((inner, (side * 70.0, 50.0, 104.0, 6.0), outer))
        _paint_bones(canvas, [blade, clavicle])


def _paint_ribs(canvas: Canvas, cage: Array) -> None:
    """Paint oblique ribs into the shell of muscle.

    Args:
        canvas: changed in place.
        cage: depth below the fat, mm.
    """
    shell = np.abs(cage - np.float32(13.0))
    where = np.flatnonzero(shell.ravel() < 4.4)
    x, y, z = (axis.ravel()[where] for axis in canvas.points)
    wave = np.cos((z + 0.42 * y) * np.float32(2.0 * np.pi / 31.0))
    rib = (wave > 0.45) & (z < 108.0) & ((np.abs(x) > 22.0) | (y < 0.0))
    inner = shell.ravel()[where] < 2.2
    canvas.codes.ravel()[where[rib]] = np.where(inner[rib], np.uint8(Tissue.MARROW), np.uint8(Tissue.CORTEX))


def _paint_table(canvas: Canvas) -> None:
    """Paint the table: a curved, hollow plate under the back, straight in the scanner and so unwarped."""
    x, y = canvas.axes[0][None, None, :], canvas.axes[1][None, :, None]
    sag = y + 127.0 - 0.0009 * x**2
    plate = (np.abs(sag) < 5.0) & (np.abs(x) < 160.0)
    shell = np.broadcast_to(plate & (np.abs(sag) > 2.4), canvas.codes.shape)
    canvas.fill(shell, Tissue.TABLE, (Tissue.AIR,))


def _paint_bones(canvas: Canvas, bones: Sequence[Shape]) -> None:
    for bone in bones:
        canvas.paint(bone, Tissue.CORTEX, (Tissue.MUSCLE, Tissue.FAT, Tissue.MARROW))
        canvas.paint(bone, Tissue.MARROW, (Tissue.CORTEX,), grow=-2.5)


def _paint_lungs(canvas: Canvas, generator: np.random.Generator) -> None:
    """Paint both lungs with their vessels, and liver, spleen and stomach below the diaphragm."""
    inside = (Tissue.MUSCLE,)
    top = 114.0 + generator.normal(0.0, 5.0)
    for side, low in ((1.0, -64.0), (-1.0, -74.0)):
        window = canvas.window((min(0.0, side * 150.0), -100.0, -140.0), (max(0.0, side * 150.0), 100.0, 130.0))
        right, front, up = (axis[window] for axis in canvas.points)
        base = np.float32(low + generator.normal(0.0, 5.0))
        height = canvas.axes[2][window[0]][:, None, None]
        waist = 1.0 - np.clip((height - 30.0) / np.float32(top - 30.0), 0.0, 1.0) ** 2
        across = ((right - np.float32(side * 70.0)) * np.float32(1.0 / 58.0)) ** 2
        along = ((front + np.float32(6.0)) * np.float32(1.0 / 78.0)) ** 2
        hull = across**2 + along**2 < waist**2
        floor = base - np.float32(45.0) * across - np.float32(55.0) * along
        canvas.fill(hull & (up > floor), Tissue.LUNG, inside, window)
        canvas.fill(hull & (up < floor - 3.5), Tissue.LIVER if side > 0 else Tissue.SPLEEN, inside, window)
    soft = (Tissue.MUSCLE, Tissue.SPLEEN, Tissue.LIVER)
    canvas.paint(Blob((-2.0, 22.0, -118.0), (62.0, 58.0, 30.0)), Tissue.LIVER, soft)
    canvas.paint(Blob((-46.0, 26.0, -112.0), (36.0, 40.0, 24.0)), Tissue.STOMACH, soft)
    where = np.flatnonzero(canvas.codes.ravel() == Tissue.LUNG)
    x, y, z = (axis.ravel()[where] for axis in canvas.points)
    tree = np.abs(RandomField(generator, 10.0).sample(canvas.axes)).ravel()[where]
    hilum = np.sqrt((np.abs(x) - 30.0) ** 2 + (y + 12.0) ** 2 + (0.7 * z) ** 2)
    canvas.codes.ravel()[where[tree > 1.25 + 0.011 * hilum]] = Tissue.LUNG_VESSEL


def _paint_spine(canvas: Canvas) -> None:
    """Paint the vertebrae with discs between them, arches, processes and the spinal canal."""
    z = canvas.axes[2][:, None, None]
    disc = np.broadcast_to(np.cos(z * np.float32(2.0 * np.pi / 26.0)) > 0.88, canvas.codes.shape)
    over = tuple(code for code in Tissue if code not in (Tissue.AIR, Tissue.TABLE))
    canvas.paint(Column((0.0, -62.0), (36.0, 26.0)), Tissue.MUSCLE, over)
    for side in (-1.0, 1.0):
        canvas.paint(Column((side * 24.0, -82.0), (11.0, 7.0), yaw=side * 20.0), Tissue.CORTEX, over)
    canvas.paint(Column((0.0, -96.0), (4.5, 17.0), power=2), Tissue.CORTEX, over)
    body = Column((0.0, -62.0), (19.0, 15.0), power=2)
    canvas.paint(body, Tissue.CORTEX, over)
    canvas.paint(body, Tissue.MARROW, over, grow=-2.4)
    canvas.paint(Column((0.0, -82.0), (10.0, 9.0), power=2), Tissue.CORTEX, over, grow=2.5)
    canvas.paint(Column((0.0, -82.0), (10.0, 9.0), power=2), Tissue.CANAL)
    canvas.fill(disc & (canvas.points[1] > -72.0), Tissue.CANAL, (Tissue.MARROW,))


def _paint_mediastinum(canvas: Canvas, build: Build, generator: np.random.Generator) -> None:
    """Paint what lies between the lungs: fat with strands and nodes, heart, vessels, airways, esophagus, aorta."""
    over = (Tissue.LUNG, Tissue.LUNG_VESSEL, Tissue.MUSCLE)
    room = (
        Column((2.0, 0.0), (30.0, 62.0)),
        Blob((0.0, -22.0, 0.0), (46.0, 30.0, 160.0)),
        Blob((-12.0, 18.0, -46.0), (68.0, 56.0, 58.0)),
    )
    for shape in room:
        canvas.paint(shape, Tissue.MEDIASTINUM, over)
    window = canvas.window((-90.0, -90.0, -140.0), (70.0, 90.0, 140.0))
    strands = RandomField(generator, 10.0).sample(canvas.axes_of(window))
    canvas.fill(strands > 0.7, Tissue.STRAND, (Tissue.MEDIASTINUM,), window)
    _paint_heart(canvas, build, generator)
    around = (*SOFT, Tissue.HEART, Tissue.CHAMBER, Tissue.LIVER)
    for knots in torso.VEINS:
        canvas.paint(_strayed(knots, 1.0, generator), Tissue.VEIN, around)
    for knots in torso.ARTERIES:
        canvas.paint(_strayed(knots, 1.0, generator), Tissue.ARTERY, (*SOFT, Tissue.NODE))
    for _ in range(9):
        place = generator.normal((4.0, -6.0, 30.0), (20.0, 18.0, 26.0))
        size = generator.uniform(3.0, 7.5, 3)
        node = Blob((place[0], place[1], place[2]), (size[0], size[1], size[2]))
        canvas.paint(node, Tissue.NODE, (Tissue.MEDIASTINUM, Tissue.STRAND))
    _paint_tubes(canvas, build, generator)


def _paint_heart(canvas: Canvas, build: Build, generator: np.random.Generator) -> None:
    """Paint the heart in its fat, with chambers that only a contrast agent sets apart."""
    over = (*SOFT, Tissue.LIVER, Tissue.STOMACH, Tissue.SPLEEN, Tissue.MUSCLE)
    moved = generator.normal(0.0, 2.5, 3)
    blobs = [_placed(blob, moved, build.heart) for blob in torso.HEART]
    for blob in blobs:
        canvas.paint(blob, Tissue.MEDIASTINUM, over, grow=5.0)
    for blob in blobs:
        canvas.paint(blob, Tissue.HEART, over)
    for blob in torso.CHAMBERS:
        canvas.paint(_placed(blob, moved, build.heart), Tissue.CHAMBER, (Tissue.HEART,))


def _placed(blob: Blob, moved: npt.NDArray[np.float64], scale: float) -> Blob:
    """Return a blob moved by some mm and scaled about the root of the heart."""
    root = (0.0, 0.0, -20.0)
    centre = [base + (own - base) * scale + shift for own, base, shift in zip(blob.centre, root, moved, strict=True)]
    radii = [radius * scale for radius in blob.radii]
    return Blob((centre[0], centre[1], centre[2]), (radii[0], radii[1], radii[2]), blob.yaw, blob.pitch, blob.power)


def _paint_tubes(canvas: Canvas, build: Build, generator: np.random.Generator) -> None:
    """Paint the aorta, the esophagus and the airways, each over what came before."""
    soft = (*SOFT, Tissue.NODE, Tissue.VEIN, Tissue.ARTERY, Tissue.MUSCLE)
    aorta = _strayed(torso.AORTA, build.aorta, generator)
    canvas.paint(aorta, Tissue.AORTA, (*soft, Tissue.HEART, Tissue.CHAMBER))
    if generator.random() < 0.5:
        _paint_flecks(canvas, aorta, Tissue.CALCIUM, Tissue.AORTA, 2.2, generator)
    gullet = _strayed(torso.ESOPHAGUS, float(np.exp(generator.normal(0.17, 0.07))), generator)
    flat = Tube(gullet.knots, (0.85, 1.2, 1.0))
    canvas.paint(flat, Tissue.ESOPHAGUS, (*soft, Tissue.HEART, Tissue.LIVER, Tissue.STOMACH))
    lumen = Tube(tuple((x, y, z, 0.4 * radius) for x, y, z, radius in gullet.knots), flat.flatten)
    _paint_flecks(canvas, lumen, Tissue.ESOPHAGUS_AIR, Tissue.ESOPHAGUS, 0.6, generator)
    trachea = _strayed(torso.TRACHEA, float(np.exp(generator.normal(0.0, 0.08))), generator)
    for knots in (*torso.BRONCHI, trachea.knots):
        canvas.paint(Tube(knots), Tissue.AIRWAY_WALL, (*soft, Tissue.ESOPHAGUS), grow=1.8)
    for knots in (*torso.BRONCHI, trachea.knots):
        tube = Tube(knots)
        canvas.paint(tube, Tissue.TRACHEA, (*soft, Tissue.AIRWAY_WALL, Tissue.ESOPHAGUS))


def _paint_flecks(
    canvas: Canvas, shape: Tube, code: Tissue, over: Tissue, level: float, generator: np.random.Generator
) -> None:
    """Paint patches within 2.4 mm of a tube's surface where a random field exceeds a level."""
    window = canvas.window(*shape.reach())
    depth = shape.depth(canvas.local(window))
    field = RandomField(generator, 7.0).sample(canvas.axes_of(window))
    canvas.fill((depth > 0.0) & (depth < 2.4) & (field > level), code, (over,), window)


def _strayed(knots: Knots, width: float, generator: np.random.Generator) -> Tube:
    """Return a tube whose inner knots stray a little."""
    array = np.array(knots)
    array[1:-1, :3] += generator.normal(0.0, STRAY, (len(knots) - 2, 3))
    array[:, 3] *= width
    return Tube(tuple((row[0], row[1], row[2], row[3]) for row in array.tolist()))
