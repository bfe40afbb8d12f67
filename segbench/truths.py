"""Which truth was scored against: its label values on their grid, with the spacing, in one short text.

Whatever shares a case's truth can stand on one board, however it was made; a dataset's revision is for reading only.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from segbench.boxes import foreground_box, value_boxes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from segbench.types import LabelMap

DIGITS = 16
"""Hexadecimal digits of SHA-256 that are kept."""
_FORM = re.compile(r"(\d+(?:x\d+)*)@([^:]*):([0-9a-f]+)")


def truth_digest(labels: LabelMap) -> str:
    """Return grid, spacing and the digest of the values of a truth, e.g. ``24x80x64@5,2,2:9f3ab2c41d07e815``.

    Equal for equal values on equal grids whatever their dtype and memory order; a slice stored as a volume of one
    slice is that slice; a spacing counts with four digits, because headers keep single precision. Where the label is
    unknown (-1) is part of it; where the patient lay in the scanner is not. Where nothing says what a pixel
    measures the spacing is ``px``. Of the values only the box outside which all is background is read.

    Args:
        labels: integer ``(D, H, W)`` or ``(H, W)``.
    """
    array, spacing = labels.array, labels.spacing
    box = foreground_box(labels)
    if array.ndim == 3 and array.shape[0] == 1:
        array, spacing, box = array[0], spacing[-2:], box[-2:]
    where = ",".join(f"{side.start}-{side.stop}" for side in box)
    digest = hashlib.sha256(where.encode())
    digest.update(_canonical(array[box], value_boxes(labels)).data)
    shape = "x".join(map(str, array.shape))
    size = "px" if labels.unit == "px" else ",".join(f"{side:.4g}" for side in spacing)
    return f"{shape}@{size}:{digest.hexdigest()[:DIGITS]}"


def _canonical(array: NDArray[np.integer[Any]], values: Iterable[int]) -> NDArray[Any]:
    """Return the array in C order and in a dtype that depends on its values alone."""
    import numpy as np

    low, high = min(values, default=0), max(values, default=0)
    kind = np.uint8 if low >= 0 and high < 256 else np.int16 if low >= -(2**15) and high < 2**15 else np.int64
    return np.ascontiguousarray(array, dtype=kind)


def difference(first: str, second: str) -> str:
    """Say how two truths differ, "" if they do not.

    Args:
        first, second: as ``truth_digest`` gives them.
    """
    if first == second:
        return ""
    parts = [match.groups() if (match := _FORM.fullmatch(text)) else (text, "", "") for text in (first, second)]
    for index, what in enumerate(("its grid is {} and {}", "its voxels measure {} and {} mm")):
        if parts[0][index] != parts[1][index]:
            return what.format(parts[0][index], parts[1][index]).replace("px", "1 px (no size is known)")
    return "its label values differ"
