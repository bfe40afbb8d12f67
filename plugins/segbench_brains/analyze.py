"""Analyze 7.5 pairs, also with a compressed voxel file (``.hdr`` + ``.img.gz``), which nibabel does not take as a pair.

The bytes are unpacked in memory; nothing is written beside the data. Analyze 7.5 says nothing of orientation: the axes
get the directions of the caller, the middle of the grid is the origin of the world.
"""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench import DataInvalid, voxel_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Directions = tuple[int, int, int]
"""Sign of each file axis (X, Y, Z) in the world: +1 = towards right, anterior, superior."""
LARGEST = 1 << 31
TRAILING = 4096
_HEADER = 348
_REPLACE = "Replace the files by intact copies."


def is_pair(path: Path) -> bool:
    """Whether a path is the header of an Analyze or NIfTI pair."""
    return path.name.endswith((".hdr", ".hdr.gz"))


def read_pair(
    path: Path, directions: Directions
) -> tuple[NDArray[Any], tuple[float, float, float], NDArray[np.float64]]:
    """Read header and voxels.

    Args:
        path: the header; the voxel file stands beside it.
        directions: of the file's axes, used unless the header is that of a NIfTI pair with an orientation.

    Returns:
        array ``(D, H, W)`` of the stored dtype, scaled if the header says so; spacing in mm ``(D, H, W)``; affine
        ``(4, 4)`` array index -> world mm.

    Raises:
        DataInvalid: damaged or truncated files, several volumes, voxels that are no numbers.
    """
    try:
        return _read(path, directions)
    except DataInvalid:
        raise
    except Exception as error:  # parsers raise anything at bad bytes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataInvalid(f"{path}: expected an Analyze pair, found a damaged one ({reason}). {_REPLACE}") from error


def _read(path: Path, directions: Directions) -> tuple[NDArray[Any], tuple[float, float, float], NDArray[np.float64]]:
    import nibabel
    import numpy as np

    block = _unpacked(path, _HEADER + TRAILING)[:_HEADER]
    kind = nibabel.nifti1.Nifti1PairHeader if block[344:347] == b"ni1" else nibabel.analyze.AnalyzeHeader
    header: Any = kind.from_fileobj(io.BytesIO(block))
    lengths = [int(length) for length in header.get_data_shape()]
    dtype = np.dtype(header.get_data_dtype())
    if len(lengths) < 3 or min(lengths) < 1 or max(lengths[3:], default=1) > 1 or dtype.kind not in "iuf":
        raise DataInvalid(
            f"{path}: expected one volume of numbers, found {dtype} of shape {tuple(lengths)}. {_REPLACE}"
        )
    zooms = [abs(float(zoom)) for zoom in header.get_zooms()[:3]]
    if not all(0 < zoom < 1e3 for zoom in zooms):
        raise DataInvalid(f"{path}: expected voxel sizes above 0 mm, found {zooms}. {_REPLACE}")
    total = int(header.get_data_offset()) + int(np.prod(lengths, dtype=np.int64)) * dtype.itemsize
    holder = voxel_file(path)
    if holder is None or total > LARGEST:
        found = "no voxel file" if holder is None else f"a header that claims {total:,} bytes"
        raise DataInvalid(f"{path}: expected a header with its voxels, found {found}. {_REPLACE}")
    content = _unpacked(holder, total + TRAILING + 1)
    if not total <= len(content) <= total + TRAILING:
        raise DataInvalid(f"{holder}: expected {total:,} bytes of voxels, found {len(content):,}. {_REPLACE}")
    voxels = np.asarray(header.data_from_fileobj(io.BytesIO(content))).reshape(lengths[:3], order="F")
    affine = _affine(header, lengths, zooms, directions)
    array = np.ascontiguousarray(voxels.T, dtype=voxels.dtype.newbyteorder("="))
    return array, (zooms[2], zooms[1], zooms[0]), np.ascontiguousarray(affine[:, [2, 1, 0, 3]])


def _affine(header: Any, lengths: list[int], zooms: list[float], directions: Directions) -> NDArray[np.float64]:
    """Return file index (X, Y, Z) -> world mm."""
    import nibabel
    import numpy as np

    nifti = isinstance(header, nibabel.Nifti1Header)
    if nifti and (int(header["qform_code"]) > 0 or int(header["sform_code"]) > 0):
        return np.asarray(header.get_best_affine(), dtype=np.float64)
    affine = np.eye(4)
    for axis in range(3):
        affine[axis, axis] = directions[axis] * zooms[axis]
        affine[axis, 3] = -affine[axis, axis] * (lengths[axis] - 1) / 2
    return affine


def _unpacked(path: Path, limit: int) -> bytes:
    """Return the bytes of a plain or gzip file, at most ``limit``; a checksum counts if the end is reached."""
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            file.seek(0)
            return file.read(limit)
        file.seek(0)
        with gzip.GzipFile(fileobj=file) as stream:
            return stream.read(limit)
