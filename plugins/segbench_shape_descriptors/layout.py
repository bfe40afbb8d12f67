"""Which numbers describe a class, in which order; shared by torch and numpy code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Column(NamedTuple):
    """One number of a class: a descriptor and which of its components."""

    descriptor: str
    axis: int = 0


def columns(descriptors: Sequence[str], dims: int) -> list[Column]:
    """Return the columns of ``describe``: one per axis for centroid and spread, d (d + 1) / 2 for the orientation."""
    counts = {"centroid": dims, "spread": dims, "orientation": dims * (dims + 1) // 2}
    return [Column(name, axis) for name in descriptors for axis in range(counts.get(name, 1))]
