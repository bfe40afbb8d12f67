"""How many voxels a neighbourhood in mm reaches; shared by the prior (numpy) and the penalty (torch)."""

from __future__ import annotations

from collections.abc import Sequence


def window(radius: float, spacing: Sequence[float]) -> tuple[int, ...]:
    """Return the edges of the window that reaches ``radius`` mm: ``2 floor(radius / spacing) + 1`` voxels per axis.

    Args:
        radius: mm, positive.
        spacing: voxel size per axis, mm.
    """
    return tuple(2 * int(radius / step + 1e-6) + 1 for step in spacing)
