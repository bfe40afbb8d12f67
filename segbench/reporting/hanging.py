"""How slices hang as radiologists hang them: anterior or superior up, the patient's right on the left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Hanging:
    """How a slice is turned, and how a stack of them is seen from other directions.

    Attributes:
        swap, flip_rows, flip_columns: how a slice is turned.
        aspect: height of a pixel by its width.
        first_on_top: whether the first slice is the upper one when the stack is seen along rows or columns.
        views: from where one looks along slices, along rows (downwards) and along columns, in words.
    """

    swap: bool
    flip_rows: bool
    flip_columns: bool
    aspect: float
    first_on_top: bool = True
    views: tuple[str, str, str] = ("across the slices", "along the rows", "along the columns")

    @classmethod
    def of(cls, spacing: Sequence[float], affine: NDArray[np.float64] | None, axis: int) -> Hanging:
        """Settle it for slices across an axis of an array ``(D, H, W)``; without an affine nothing is turned."""
        rows, columns = (other for other in range(3) if other != axis)
        if affine is None:
            return cls(False, False, False, float(spacing[rows] / spacing[columns]))
        direction = np.asarray(affine)[:3, :3] / np.asarray(spacing)
        world = [int(np.argmax(np.abs(direction[:, one]))) for one in range(3)]
        swap = world[rows] < world[columns]  # x runs across, z (else y) runs down
        down, across = (columns, rows) if swap else (rows, columns)
        signs = [direction[world[one], one] for one in range(3)]
        aspect = float(spacing[down] / spacing[across])
        seen = ("from the side", "from the front", "from above")
        views = (seen[world[axis]], seen[world[down]], seen[world[across]])
        flips = bool(signs[down] > 0), bool(signs[across] > 0), bool(signs[axis] < 0)
        return cls(swap, flips[0], flips[1], aspect, flips[2], views)

    def __call__(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Return a slice, turned."""
        turned = plane.T if self.swap else plane
        turned = turned[::-1] if self.flip_rows else turned
        return turned[:, ::-1] if self.flip_columns else turned
