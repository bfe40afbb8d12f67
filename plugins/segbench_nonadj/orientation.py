"""How a slice is laid on the page: anterior or superior up, the patient's right on the left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))
"""World axis -> letters of its low and high end (RAS+ world)."""


@dataclass(frozen=True)
class Plane:
    """A slice direction, settled.

    Attributes:
        axis: array axis that is sliced.
        transpose: whether the later array axis becomes the rows.
        flips: whether rows and columns run backwards.
        steps: mm per row and per column.
        left, right: what lies on the left and on the right: L, R, P, A, I or S; "" if unknown.
    """

    axis: int
    transpose: bool
    flips: tuple[bool, bool]
    steps: tuple[float, float]
    left: str
    right: str

    def take(self, volume: NDArray[Any], index: int) -> NDArray[Any]:
        """Return slice ``index`` of a volume ``(D, H, W)``, rows from top to bottom, columns from left to right."""
        plane = volume[(slice(None),) * self.axis + (index,)]  # a view
        plane = plane.T if self.transpose else plane
        return plane[:: -1 if self.flips[0] else 1, :: -1 if self.flips[1] else 1]


def plane_of(spacing: Sequence[float], affine: NDArray[np.float64] | None, axis: int) -> Plane:
    """Settle how slices along an array axis are shown.

    Args:
        spacing: mm per array axis.
        affine: ``(4, 4)`` array index -> world mm (x to the right, y forward, z up), or None: as stored.
        axis: array axis that is sliced.
    """
    one, two = (each for each in range(3) if each != axis)
    if affine is None:
        return Plane(axis, False, (False, False), (spacing[one], spacing[two]), "", "")
    directions = np.asarray(affine)[:3, :3]
    world = {each: int(np.abs(directions[:, each]).argmax()) for each in (one, two)}
    transpose = world[one] < world[two]  # x before y before z runs across the page
    rows, columns = (two, one) if transpose else (one, two)
    up = bool(directions[world[rows], rows] > 0)  # the first row is the top
    growing = bool(directions[world[columns], columns] > 0)
    # x: right on the left of the page (radiological); y: forward on the left
    low, high = _LETTERS[world[columns]]
    return Plane(axis, transpose, (up, growing), (spacing[rows], spacing[columns]), high, low)
