"""Stored voxels -> whole label values: behind a slope, as floating point, in the smallest dtype that holds them.

A program that saves a float array under an integer header stores ``round((value - intercept) / slope)``; what is read
back misses the value by up to half a slope. As long as the slope is below 1, rounding recovers every whole number
exactly, so such a map is accepted and said to be one. Any other value that is not whole is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.files.headers import invalid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHOWN = 5
_TABLE = 1 << 16
"""Different stored values up to which each is worked out once instead of once per voxel."""
_SINGLE = 2.0**-23
"""Relative precision of the slope and the intercept, which headers keep in single precision."""


def whole_labels(
    path: Path, voxels: NDArray[Any], slope: float = 1.0, intercept: float = 0.0
) -> tuple[NDArray[np.integer[Any]], tuple[str, ...]]:
    """Return label values in the smallest of uint8, int8, int16, int32 and int64, and what a reader must know.

    Args:
        path: where they came from, for messages.
        voxels: as stored, of any integer or floating dtype and shape.
        slope, intercept: of the header.

    Raises:
        DataInvalid: values that are not whole numbers and cannot have been.
    """
    if (slope, intercept) == (1.0, 0.0):
        if voxels.dtype.kind == "f":
            _refuse(path, voxels, _not_whole(voxels))
        return smallest(voxels), ()
    return _scaled(path, voxels, slope, intercept)


def _scaled(
    path: Path, voxels: NDArray[Any], slope: float, intercept: float
) -> tuple[NDArray[np.integer[Any]], tuple[str, ...]]:
    import numpy as np

    stored, place = _distinct(voxels)
    values = stored * np.float64(slope) + np.float64(intercept)
    apart = np.abs(values - np.rint(values))
    rounding = 2 * _SINGLE * (np.abs(stored * np.float64(slope)) + abs(intercept))
    if voxels.dtype.kind == "f":  # nothing was rounded to the slope's multiples, only products to single precision
        bound = np.minimum(rounding, 0.25)
    else:
        bound = np.minimum(abs(slope) / 2 + rounding, 0.5) if abs(slope) < 1 else np.minimum(rounding, 0.25)
    wrong = (apart > bound) | ~(np.abs(values) < 2.0**53)
    if wrong.any():
        _refuse(path, values if place is None else values[place], wrong if place is None else wrong[place])
    labels = smallest(np.rint(values))
    largest = float(apart.max())
    note = (
        f"{path.name}: its values lie behind a slope of {slope:.6g} in the header, up to {largest:.2g} beside whole "
        f"numbers; they were rounded (half a slope is {abs(slope) / 2:.2g})"
    )
    return (labels if place is None else labels[place]), (note,) if largest > 0 else ()


def _distinct(voxels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return the stored values that occur and the place of each voxel among them, or the voxels and None if many."""
    import numpy as np

    if voxels.dtype.kind not in "iu" or voxels.size == 0:
        return voxels, None
    low, high = int(voxels.min()), int(voxels.max())
    if high - low >= min(_TABLE, voxels.size):
        return voxels, None
    shifted = voxels.astype(np.int64) - low
    present = np.flatnonzero(np.bincount(shifted.reshape(-1)))
    place = np.zeros(high - low + 1, dtype=np.int32)
    place[present] = np.arange(len(present))
    return present + low, place[shifted]


def _not_whole(voxels: NDArray[Any]) -> NDArray[np.bool_]:
    import numpy as np

    wrong: NDArray[np.bool_] = voxels != np.rint(voxels)  # True for NaN
    wrong |= ~(np.abs(voxels) < 2.0**53)
    return wrong


def _refuse(path: Path, voxels: NDArray[Any], wrong: NDArray[np.bool_]) -> None:
    import numpy as np

    if wrong.any():
        values = ", ".join(str(value) for value in np.unique(voxels[wrong])[:SHOWN])
        found = f"{int(wrong.sum())} voxels with other values ({values}, ...)"
        raise invalid(path, "integer labels", found, "Was an image given as label map, or a label map interpolated?")


def smallest(voxels: NDArray[Any]) -> NDArray[np.integer[Any]]:
    """Return whole numbers in their dtype if that is uint8, int8 or int16, else in the smallest that holds them.

    Raises:
        ValueError: values beyond int64.
    """
    import numpy as np

    if voxels.dtype in (np.uint8, np.int8, np.int16):
        return voxels
    low, high = (int(voxels.min()), int(voxels.max())) if voxels.size else (0, 0)
    for dtype in (np.uint8, np.int16, np.int32, np.int64):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return voxels.astype(dtype)
    raise ValueError(f"labels up to {high} are too large")
