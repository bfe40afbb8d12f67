"""Which numbers describe a class, in which order; shared by torch and numpy code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

DESCRIPTORS = ("volume", "centroid", "spread", "length", "elongation", "orientation")
"""The descriptors by name; central moments are written ``moment_2_0``, an order for each axis, outside expressions."""
LARGEST = 1e30
"""Size that a number in a table or a rule may have; products of larger ones leave single precision."""
_MOMENT = re.compile(r"moment(_\d){2,3}")


class Column(NamedTuple):
    """One number of a class: a descriptor and which of its components."""

    descriptor: str
    axis: int = 0


def is_descriptor(name: str) -> bool:
    """Say whether there is a descriptor of this name."""
    return name in DESCRIPTORS or bool(_MOMENT.fullmatch(name))


def components(descriptor: str, dims: int) -> int:
    """Return how many numbers a descriptor is; 0 for a moment of other axes than there are."""
    if descriptor.startswith("moment_"):
        return int(descriptor.count("_") == dims)
    return {"centroid": dims, "spread": dims, "orientation": dims * (dims + 1) // 2}.get(descriptor, 1)


def outlined(shape: Sequence[int]) -> list[int]:
    """Return the axes that a length is measured in: a volume of one slice is a plane with a perimeter."""
    longer = [axis for axis, size in enumerate(shape) if size > 1]
    return longer if (len(shape), len(longer)) == (3, 2) else list(range(len(shape)))


def columns(descriptors: Sequence[str], dims: int) -> list[Column]:
    """Return the columns of ``describe``: one per axis for centroid and spread, d (d + 1) / 2 for the orientation."""
    return [Column(name, axis) for name in descriptors for axis in range(components(name, dims))]
