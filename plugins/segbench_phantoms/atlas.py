"""The template brain as data: which structures there are, where they lie and which shape they have.

Template space: millimetres, x to the subject's right, y to the front, z to the top, origin between the two thalami.
Paired structures are written once, for the right side, and mirrored. Positions and sizes are rounded, typical
values of adult anatomy; no label map of a person is stored here or read.
"""

from __future__ import annotations

from dataclasses import dataclass

from segbench_phantoms.geometry import Blob, Solid, Tube


@dataclass(frozen=True, slots=True)
class Part:
    """One painted structure.

    Args:
        name: structure, without its side.
        shapes: their union is the structure.
        vary: standard deviation of the logarithm of its size between subjects.
        wander: standard deviation of its position between subjects, mm per axis.
        paired: one on each side, or a single one on the midline.
    """

    name: str
    shapes: tuple[Solid, ...]
    vary: float = 0.08
    wander: float = 0.9
    paired: bool = True


WARPS = ((30.0, 2.0), (13.0, 1.2))
"""Random displacement of every point: (lattice distance in mm, standard deviation in mm per axis)."""
DOME = Blob((0.0, 0.0, 8.0), (64.5, 82.0, 53.0))
FLOOR = -24.0
"""Height (mm) of the orbital and occipital base of the dome."""
TEMPORAL_LOBE = Tube(((36.0, 34.0, -27.0, 14.0), (43.0, 12.0, -25.0, 17.0), (42.0, -25.0, -16.0, 19.0)))
CORE = Blob((0.0, 2.0, 3.0), (33.0, 32.0, 17.5))
"""White matter in which the deep structures lie; no cortex grows here."""
CALLOSUM = Tube(
    (
        (0.0, 33.0, -2.0, 3.5),
        (0.0, 40.0, 5.0, 5.0),
        (0.0, 33.0, 17.0, 4.6),
        (0.0, 15.0, 24.5, 4.2),
        (0.0, -8.0, 26.5, 4.2),
        (0.0, -25.0, 22.0, 4.6),
        (0.0, -34.0, 10.0, 5.0),
    )
)
CEREBELLUM = (Blob((21.5, -35.0, -41.5), (27.0, 26.0, 21.5)), Blob((0.0, -35.0, -38.0), (13.0, 24.0, 19.0)))
CISTERN = Tube(
    ((0.0, 17.0, -21.5, 7.5), (0.0, -4.0, -19.0, 14.5), (0.0, -16.0, -24.0, 12.0), (0.0, -14.0, -36.0, 15.0))
)
"""Fluid around the upper brain-stem, where the cerebrum must not reach."""

CALLOSUM_HALF_WIDTH = 22.0
FLESH = (Blob((0.0, 45.0, -75.0), (46.0, 45.0, 50.0)), Tube(((0.0, -15.0, -60.0, 46.0), (0.0, -25.0, -120.0, 48.0))))
"""Face and neck."""
# Painted in this order; a later part covers an earlier one.
PARTS = (
    Part("cerebellum cortex", CEREBELLUM, vary=0.02, wander=0.3),
    Part("cerebellar vermal lobules I-V", (Blob((0.0, -31.0, -26.0), (7.0, 14.0, 12.0)),), paired=False),
    Part("cerebellar vermal lobules VI-VII", (Blob((0.0, -50.0, -37.0), (6.5, 10.0, 11.0)),), paired=False),
    Part("cerebellar vermal lobules VIII-X", (Blob((0.0, -40.0, -50.0), (6.5, 12.0, 9.5)),), paired=False),
    Part("cerebellum white matter", (Blob((16.0, -26.3, -36.8), (17.5, 16.5, 11.4)),), vary=0.06),
    Part(
        "brain-stem",
        (Tube(((0.0, -4.0, -12.0, 9.0), (0.0, 0.0, -30.0, 13.3), (0.0, -6.0, -45.0, 10.5), (0.0, -11.0, -64.0, 8.0))),),
        vary=0.04,
        paired=False,
    ),
    Part(
        "ventral DC",
        (
            Blob((9.5, 6.0, -13.5), (10.5, 12.5, 7.0), yaw=20.0),
            Tube(((15.0, 2.0, -11.0, 5.0), (27.0, -5.0, -10.0, 3.0))),
            Tube(((8.0, 12.0, -13.0, 5.0), (10.0, 24.0, -12.0, 2.6))),
        ),
        vary=0.05,
    ),
    Part(
        "4th ventricle",
        (
            Blob((0.0, -18.0, -37.0), (6.5, 5.5, 12.0), pitch=-8.0),
            Tube(((0.0, -18.0, -27.0, 2.2), (0.0, -11.0, -17.0, 1.6), (0.0, -7.0, -11.0, 1.4))),
        ),
        vary=0.12,
        paired=False,
    ),
    Part("basal forebrain", (Blob((15.0, 24.0, -14.5), (9.5, 5.0, 3.8)),)),
    Part("cerebrospinal fluid", (Blob((0.0, 14.0, -25.0), (7.0, 6.0, 4.0)),), paired=False),
    Part("optic chiasm", (Blob((0.0, 24.0, -20.5), (6.0, 3.2, 2.9)),), vary=0.04, paired=False),
    Part("thalamus", (Blob((11.6, 0.5, 0.0), (9.0, 15.0, 10.0), yaw=15.0, power=3),), vary=0.05),
    Part(
        "lateral ventricle",
        (
            Tube(
                (
                    (6.5, 36.0, 1.0, 5.5),
                    (6.5, 22.0, 12.0, 7.2),
                    (8.0, 0.0, 17.0, 7.6),
                    (14.5, -18.0, 15.5, 7.8),
                    (25.5, -31.0, 4.0, 8.4),
                    (30.0, -24.0, -7.0, 3.5),
                )
            ),
            Tube(((26.0, -32.0, 4.0, 6.0), (25.0, -54.0, 2.0, 2.5))),
            Tube(((7.0, 18.0, 9.0, 3.0), (1.0, 16.0, 4.0, 2.0))),
        ),
        vary=0.18,
    ),
    Part("3rd ventricle", (Blob((0.0, 8.0, -5.0), (2.5, 15.5, 9.3), power=3),), vary=0.14, paired=False),
    Part(
        "caudate",
        (
            Tube(
                (
                    (13.0, 32.0, 0.0, 6.3),
                    (15.0, 23.0, 9.0, 5.4),
                    (17.5, 8.0, 14.5, 4.2),
                    (19.5, -5.0, 16.0, 3.4),
                )
            ),
        ),
    ),
    Part("putamen", (Blob((26.0, 17.5, -1.5), (6.5, 18.5, 11.0), yaw=18.0),), vary=0.06),
    Part("pallidum", (Blob((20.3, 15.0, -3.0), (4.8, 9.8, 6.6), yaw=22.0),), vary=0.06),
    Part("accumbens area", (Blob((12.0, 29.5, -7.0), (5.8, 5.6, 4.2)),)),
    Part(
        "hippocampus",
        (
            Tube(
                (
                    (16.5, -19.5, -2.5, 4.4),
                    (24.0, -17.0, -10.0, 4.4),
                    (28.0, -7.0, -17.0, 5.0),
                    (27.0, 5.0, -21.0, 5.2),
                    (22.0, 13.0, -21.0, 4.8),
                )
            ),
        ),
    ),
    Part("amygdala", (Blob((23.0, 18.0, -19.3), (7.8, 7.0, 7.6)),)),
    Part(
        "inferior lateral ventricle",
        (
            Tube(
                (
                    (29.0, -22.5, -6.5, 3.2),
                    (32.5, -8.0, -12.5, 2.7),
                    (32.0, 6.0, -16.0, 2.5),
                    (28.0, 14.0, -18.0, 2.2),
                )
            ),
            Tube(((23.5, -16.0, -4.5, 2.8), (30.0, -17.0, -9.0, 2.6))),
        ),
        vary=0.12,
    ),
)
