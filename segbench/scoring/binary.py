"""Masks of one structure in the two customs of the field: 1 for inside, or 255 because that shows as white."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import numpy as np

from segbench.types import LabelMap

ONE, WHITE = 1, 255


def in_one_custom(
    predicted: LabelMap, truth: LabelMap, known: AbstractSet[int], ignore: int | None
) -> tuple[LabelMap, LabelMap, tuple[str, ...]]:
    """Return both maps with inside as the value that is scored, and what was done in words.

    Only if one structure is scored, it has the value 1 or 255, and both maps hold nothing but 0 and 1, or 0 and 255.

    Args:
        predicted, truth: maps of any shape.
        known: label values that may occur.
        ignore: label of voxels that do not count; 255 is that and no inside then.
    """
    wanted = known - {0}
    if len(wanted) != 1 or not wanted <= {ONE, WHITE} or ignore in (ONE, WHITE):
        return predicted, truth, ()
    value = next(iter(wanted))
    other = WHITE if value == ONE else ONE
    if not any(map_.array.size and int(map_.array.max()) == other for map_ in (predicted, truth)):
        return predicted, truth, ()
    if not (_is_binary(predicted) and _is_binary(truth)):
        return predicted, truth, ()
    notes, mended = [], []
    for name, map_ in (("prediction", predicted), ("reference", truth)):
        if int(map_.array.max()) != other:
            mended.append(map_)
            continue
        array = np.where(map_.array == other, value, 0).astype(np.uint8)
        mended.append(map_.with_array(array))
        notes.append(f"{name}: a mask of 0 and {other}; {other} was taken for {value}")
    return mended[0], mended[1], tuple(notes)


def _is_binary(labels: LabelMap) -> bool:
    """Return whether a map holds nothing but 0 and one of 1 and 255."""
    array = labels.array
    inside = int(array.max()) if array.size else -1
    return inside in (0, ONE, WHITE) and bool(((array == 0) | (array == inside)).all())
