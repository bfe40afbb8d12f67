"""Label maps in ``.npz`` archives: one integer array, no pickle, no voxel size (that of the reference counts).

The array is the only one in the archive, or the one under the first of ``NAMES`` that is there. Axes are
``(D, H, W)``, as SimpleITK's ``GetArrayFromImage`` gives them. nnU-Net's probabilities have four axes and are refused:
whether a voxel takes the largest (labels) or all above one half (regions) only nnU-Net knows, and it writes the label
map beside them.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from segbench.files.headers import LARGEST, REPLACE, check_size, guarded, invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segbench.types import LabelMap

ENDING = ".npz"
NAMES = ("segmentation", "seg", "label_map", "labels", "label", "mask", "prediction", "pred", "arr_0")
_PROBABILITIES = ("probabilities", "softmax")


def label_array(path: Path, like: LabelMap | None) -> NDArray[Any]:
    """Return the array of an archive, checked against the grid it is said to lie on.

    Args:
        path: ends in ``.npz``.
        like: whose grid it lies on; None is refused, because an archive says no voxel size.

    Raises:
        DataMissing: no such file.
        DataInvalid: damaged, pickled, ambiguous, probabilities, not the grid's shape, or no grid.
    """
    with guarded(path):
        if like is None:
            raise invalid(
                path, "an image with a voxel size", "a .npz archive, which has none", "Convert it to .nii.gz."
            )
        with zipfile.ZipFile(path) as archive:
            member = _member(path, [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")])
            info = archive.getinfo(f"{member}.npy")
            check_size(path, info.file_size, max(1, info.compress_size), True)
            with archive.open(info) as stream:
                return _array(path, member, cast("BinaryIO", stream), like.array.shape)


def _member(path: Path, names: list[str]) -> str:
    """Return which array is the label map."""
    if any(name in _PROBABILITIES for name in names):
        raise invalid(path, "one label per voxel", "nnU-Net's probabilities", "Take the label map written beside them.")
    found = names if len(names) == 1 else [name for name in NAMES if name in names]
    if not found:
        expected = f"one array, or one called {', '.join(NAMES[:-1])} or {NAMES[-1]}"
        raise invalid(path, expected, ", ".join(sorted(names)[:8]) or "no array", "Save numpy.savez(FILE, seg=labels).")
    return found[0]


def _array(path: Path, member: str, stream: BinaryIO, shape: tuple[int, ...]) -> NDArray[Any]:
    import numpy as np

    version = np.lib.format.read_magic(stream)
    readers: Any = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise invalid(path, "a .npy array of version 1 or 2", f"version {version}", REPLACE)
    found, fortran, dtype = readers[version](stream)
    if dtype.kind not in "iufb":
        raise invalid(path, f"numbers in {member}", f"{dtype} (pickled objects are never loaded)", "Save integers.")
    if found != shape:
        raise invalid(path, f"{member} of shape {shape} (D, H, W)", _described(found, shape), "Save it on that grid.")
    size = int(np.prod(found, dtype=np.int64)) * dtype.itemsize
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
