"""The template chest: tissues, and the centre lines and ellipsoids of what lies between the lungs.

x to the patient's right, y to the front, z to the top, in mm; z = 0 lies a little below the carina.
"""

from __future__ import annotations

from enum import IntEnum, auto

from segbench_phantoms.geometry import Blob, Knots


class Tissue(IntEnum):
    """What a voxel shows."""

    AIR = 0
    TABLE = auto()
    FAT = auto()
    MUSCLE = auto()
    LUNG = auto()
    LUNG_VESSEL = auto()
    CORTEX = auto()
    MARROW = auto()
    CANAL = auto()
    MEDIASTINUM = auto()
    STRAND = auto()
    NODE = auto()
    LIVER = auto()
    SPLEEN = auto()
    STOMACH = auto()
    VEIN = auto()
    ARTERY = auto()
    HEART = auto()
    CHAMBER = auto()
    AIRWAY_WALL = auto()
    TRACHEA = auto()
    ESOPHAGUS = auto()
    ESOPHAGUS_AIR = auto()
    AORTA = auto()
    CALCIUM = auto()


PARTS = {
    "esophagus": (Tissue.ESOPHAGUS, Tissue.ESOPHAGUS_AIR),
    "heart": (Tissue.HEART, Tissue.CHAMBER),
    "trachea": (Tissue.TRACHEA,),
    "aorta": (Tissue.AORTA, Tissue.CALCIUM),
}
AORTA: Knots = (
    (4.0, 20.0, -24.0, 15.0),
    (15.0, 27.0, 2.0, 15.5),
    (18.0, 25.0, 26.0, 15.5),
    (9.0, 17.0, 46.0, 15.0),
    (-6.0, 2.0, 56.0, 14.0),
    (-19.0, -18.0, 54.0, 13.0),
    (-26.0, -36.0, 38.0, 12.5),
    (-28.0, -42.0, 10.0, 12.0),
    (-26.0, -44.0, -30.0, 11.5),
    (-18.0, -46.0, -72.0, 11.0),
    (-9.0, -46.0, -130.0, 10.5),
)
ESOPHAGUS: Knots = (
    (-4.0, -34.0, 130.0, 7.0),
    (-6.0, -34.0, 60.0, 7.0),
    (-3.0, -33.0, 20.0, 7.5),
    (-3.0, -34.0, -30.0, 7.5),
    (-10.0, -28.0, -72.0, 8.0),
    (-22.0, -16.0, -96.0, 9.0),
)
TRACHEA: Knots = ((0.0, -6.0, 130.0, 8.6), (3.0, -15.0, 65.0, 8.6), (5.0, -20.0, 22.0, 9.0))
BRONCHI: tuple[Knots, ...] = (
    ((6.0, -20.0, 22.0, 7.5), (30.0, -22.0, 6.0, 6.8), (46.0, -24.0, -8.0, 5.0)),
    ((4.0, -20.0, 22.0, 6.8), (-24.0, -24.0, 2.0, 6.0), (-42.0, -28.0, -12.0, 4.5)),
)
VEINS: tuple[Knots, ...] = (
    ((25.0, 8.0, 74.0, 8.5), (28.0, 12.0, 40.0, 9.5), (28.0, 10.0, -12.0, 10.5)),
    ((-44.0, 14.0, 96.0, 6.5), (-18.0, 26.0, 80.0, 7.0), (25.0, 10.0, 70.0, 7.5)),
    ((40.0, 4.0, 120.0, 7.0), (27.0, 8.0, 74.0, 8.0)),
    ((24.0, -8.0, -60.0, 12.0), (22.0, -14.0, -130.0, 12.0)),
    ((12.0, -46.0, -110.0, 3.6), (12.0, -45.0, 28.0, 4.2), (26.0, -22.0, 36.0, 4.2), (28.0, 4.0, 36.0, 4.5)),
)
ARTERIES: tuple[Knots, ...] = (
    ((6.0, 12.0, 58.0, 6.5), (16.0, 2.0, 84.0, 6.0), (26.0, -2.0, 125.0, 5.0)),
    ((-6.0, 0.0, 58.0, 4.6), (-13.0, -4.0, 90.0, 4.2), (-17.0, -4.0, 125.0, 4.0)),
    ((-18.0, -14.0, 56.0, 5.2), (-24.0, -20.0, 90.0, 5.0), (-34.0, -20.0, 125.0, 5.0)),
    ((-10.0, 42.0, -14.0, 14.0), (-19.0, 32.0, 10.0, 14.5), (-20.0, 12.0, 20.0, 13.0)),
    ((-20.0, 12.0, 18.0, 11.5), (8.0, 2.0, 4.0, 11.0), (44.0, -6.0, 0.0, 9.0)),
    ((-20.0, 12.0, 20.0, 12.0), (-36.0, -14.0, 18.0, 10.5), (-48.0, -26.0, 4.0, 8.5)),
    ((-36.0, -20.0, -14.0, 6.5), (0.0, -16.0, -22.0, 9.0), (40.0, -16.0, -14.0, 6.5)),
)
HEART: tuple[Blob, ...] = (
    Blob((-22.0, 15.0, -46.0), (56.0, 43.0, 38.0), yaw=28.0),
    Blob((16.0, 6.0, -38.0), (38.0, 38.0, 42.0)),
    Blob((2.0, -8.0, -28.0), (36.0, 20.0, 24.0)),
)
CHAMBERS: tuple[Blob, ...] = (
    Blob((-28.0, 10.0, -48.0), (30.0, 20.0, 22.0), yaw=30.0),
    Blob((-8.0, 32.0, -50.0), (30.0, 14.0, 24.0), yaw=24.0),
    Blob((26.0, 12.0, -40.0), (20.0, 22.0, 30.0)),
    Blob((2.0, -8.0, -28.0), (30.0, 15.0, 18.0)),
)
