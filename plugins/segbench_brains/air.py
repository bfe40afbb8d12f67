"""Linear transforms of AIR 5 (``.air`` files), with which LPBA40 relates delineation and native space.

Source: Woods et al., Automated Image Registration, http://air.bmap.ucla.edu/AIR5. A file is a C structure: sixteen
doubles e, name and grid of the standard file (here native space), name and grid of the reslice file (here delineation
space), and comments. With x_i the voxel index in native space times its voxel size over the smallest voxel size,
delineation voxel j = sum_i e[i][j] x_i + e[3][j], all in the file's axis order (X, Y, Z).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench import DataInvalid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LAYOUT = "16d128s4I3d128s4I3d128s"
"""e; standard file: name, bits, dims, sizes; reslice file: name, bits, dims, sizes; comment. 592 bytes; more follow."""
SIZES = (720, 728)
"""Bytes of a file, whose hashes may have four or eight bytes."""


class Transform(NamedTuple):
    """What an ``.air`` file says.

    Attributes:
        matrix: e, ``(4, 4)``.
        voxel: smallest voxel size of the standard file, mm.
        shape: grid of the reslice file ``(X, Y, Z)``.
    """

    matrix: NDArray[np.float64]
    voxel: float
    shape: tuple[int, int, int]


def read_air(path: Path) -> Transform:
    """Read a transform in either byte order.

    Raises:
        DataInvalid: another size, or numbers that make no sense.
    """
    import numpy as np

    content = path.read_bytes()
    if len(content) in SIZES:
        for order in "<>":
            fields = struct.unpack_from(order + LAYOUT, content)
            matrix, sizes = np.array(fields[:16]).reshape(4, 4), fields[21:24]
            sane = (
                all(0.01 < size < 100 for size in sizes)
                and np.isfinite(matrix).all()
                and (matrix[:, 3] == (0, 0, 0, 1)).all()
            )
            if sane and abs(np.linalg.det(matrix)) > 1e-6:
                return Transform(matrix, min(sizes), fields[26:29])
    raise DataInvalid(
        f"{path}: expected a linear transform of AIR 5 ({SIZES[0]} or {SIZES[1]} bytes), found {len(content)} bytes "
        f"of something else. Replace the file by an intact copy."
    )


def to_standard(
    array: NDArray[Any], transform: Transform, shape: tuple[int, ...], spacing: tuple[float, ...], path: Path
) -> NDArray[Any]:
    """Bring a label map from reslice to standard space by the nearest neighbour; 0 comes in from outside.

    Args:
        array: labels in reslice space ``(D, H, W)``.
        transform: of ``path``.
        shape, spacing: the grid in standard space, ``(D, H, W)`` voxels and mm.
        path: the ``.air`` file, for messages.

    Raises:
        DataInvalid: labels that do not lie on the transform's grid.
    """
    import numpy as np
    from scipy import ndimage

    if array.shape != transform.shape[::-1]:
        raise DataInvalid(
            f"{path}: expected a transform of labels of shape {transform.shape[::-1]} (D, H, W), found {array.shape}. "
            f"Do the label map and the transform belong together?"
        )
    scale = np.diag([*(np.array(spacing[::-1]) / transform.voxel), 1.0])  # standard index -> x
    whole = (transform.matrix.T @ scale)[[2, 1, 0, 3]][:, [2, 1, 0, 3]]  # (X, Y, Z) -> (D, H, W)
    resampled: NDArray[Any] = ndimage.affine_transform(
        array, whole[:3, :3], whole[:3, 3], output_shape=shape, order=0, mode="constant", cval=0
    )
    return resampled
