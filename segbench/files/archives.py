"""Label maps in ``.npz`` archives: one integer array, no pickle; ``spacing`` beside it if a voxel has a size.

``numpy.savez(FILE, seg=labels, spacing=(3.0, 0.8, 0.8))``: the label map is the only array in the archive besides
``spacing`` (mm, in the order of the array's axes), or the one under the first of ``NAMES`` that is there. Axes are
``(D, H, W)``, as SimpleITK's ``GetArrayFromImage`` gives them, or ``(H, W)``. Without ``spacing`` a prediction lies on
the grid of its reference, and a reference is measured in pixels. nnU-Net's probabilities have four axes and are
refused: whether a voxel takes the largest (labels) or all above one half (regions) only nnU-Net knows, and it writes
the label map beside them.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from segbench.files.headers import LARGEST, REPLACE, check_size, guarded, invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segbench.types import LabelMap

ENDING = ".npz"
NAMES = ("segmentation", "seg", "label_map", "labels", "label", "mask", "prediction", "pred", "arr_0")
SPACING = "spacing"
"""Key of the voxel size."""
_PROBABILITIES = ("probabilities", "softmax")


def label_array(path: Path, like: LabelMap | None) -> tuple[NDArray[Any], tuple[float, float, float] | None]:
    """Return the array ``(D, H, W)`` of an archive, and the spacing it declares in mm or None.

    Args:
        path: ends in ``.npz``.
        like: whose shape it must have; None = any of two or three axes.

    Raises:
        DataMissing: no such file.
        DataInvalid: damaged, pickled, ambiguous, probabilities, not the grid's shape, or a spacing that is none.
    """
    with guarded(path), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        member = _member(path, [name for name in names if name != SPACING])
        info = archive.getinfo(f"{member}.npy")
        check_size(path, info.file_size, max(1, info.compress_size), True)
        with archive.open(info) as stream:
            array = _array(path, member, cast("BinaryIO", stream), None if like is None else like.array.shape)
        if SPACING not in names:
            return array, None
        with archive.open(f"{SPACING}.npy") as stream:
            sides = _numbers(path, SPACING, cast("BinaryIO", stream), 3).reshape(-1).tolist()
        sides = [1.0, *sides] if len(sides) == 2 else sides
        if len(sides) != 3 or not all(0 < side < 1e6 for side in sides):
            raise invalid(path, "a spacing of 2 or 3 numbers above 0", f"{sides}", "Save one number per axis, in mm.")
        return array, (float(sides[0]), float(sides[1]), float(sides[2]))


def _member(path: Path, names: list[str]) -> str:
    """Return which array is the label map."""
    if any(name in _PROBABILITIES for name in names):
        raise invalid(path, "one label per voxel", "nnU-Net's probabilities", "Take the label map written beside them.")
    found = names if len(names) == 1 else [name for name in NAMES if name in names]
    if not found:
        expected = f"one array, or one called {', '.join(NAMES[:-1])} or {NAMES[-1]}"
        raise invalid(path, expected, ", ".join(sorted(names)[:8]) or "no array", "Save numpy.savez(FILE, seg=labels).")
    return found[0]


def _array(path: Path, member: str, stream: BinaryIO, shape: tuple[int, ...] | None) -> NDArray[Any]:
    voxels = _numbers(path, member, stream, LARGEST, shape)
    return voxels[None] if voxels.ndim == 2 else voxels


def _numbers(
    path: Path, member: str, stream: BinaryIO, most: int, shape: tuple[int, ...] | None = None
) -> NDArray[Any]:
    """Read a ``.npy`` of at most so many numbers; with ``shape``, of that shape (one slice may lack its depth)."""
    import numpy as np

    version = np.lib.format.read_magic(stream)
    readers: Any = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise invalid(path, "a .npy array of version 1 or 2", f"version {version}", REPLACE)
    found, fortran, dtype = readers[version](stream)
    if dtype.kind not in "iufb":
        raise invalid(path, f"numbers in {member}", f"{dtype} (pickled objects are never loaded)", "Save integers.")
    if shape is not None and found != shape and (1, *found) != shape:
        raise invalid(path, f"{member} of shape {shape} (D, H, W)", _described(found, shape), "Save it on that grid.")
    count = math.prod(found)
    if shape is None and (count > most or (most == LARGEST and (len(found) not in (2, 3) or count == 0))):
        raise invalid(
            path, f"{member} of axes (D, H, W) or (H, W)", _described(found, (0, 0, 0)), "Save one label map."
        )
    size = count * dtype.itemsize
    content = stream.read(min(size, LARGEST) + 1)
    if len(content) != size:
        raise invalid(path, f"{size:,} bytes of voxels", f"{len(content):,}", REPLACE)
    voxels = np.frombuffer(bytearray(content), dtype=dtype)
    voxels = voxels.view(np.uint8) if dtype.kind == "b" else voxels
    array = voxels.reshape(found[::-1]).T if fortran else voxels.reshape(found)
    native: NDArray[Any] = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    return native


def _described(found: tuple[int, ...], shape: tuple[int, ...]) -> str:
    if len(found) == len(shape) + 1:
        return (
            f"{found}: probabilities or one-hot masks; save numpy.argmax over the first axis if classes are exclusive"
        )
    return f"{found}: its axes run backwards" if found == shape[::-1] else str(found)
