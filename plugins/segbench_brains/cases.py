"""Images and label maps of the brain datasets as arrays, Analyze pairs among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segbench import CaseFiles, DataInvalid, LabelMap, check_grid, read_image, read_label_map, renumber, tell_notes
from segbench_brains.analyze import Directions, is_pair, read_pair

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DIRECTIONS: Directions = (-1, 1, 1)
"""Analyze's default: the first voxel lies right, posterior and inferior."""


@dataclass(frozen=True, eq=False)
class Scan:
    """An image on its grid: float32 ``(D, H, W)``, spacing in mm, affine array index -> world, and its file."""

    array: NDArray[np.float32]
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64]
    path: Path

    def check(self, case: str, path: Path, other: Scan | LabelMap) -> None:
        """Make sure that what was read from ``path`` lies on this grid; see ``segbench.check_grid``."""
        check_grid(
            case,
            (self.path, self.array.shape, self.spacing, self.affine),
            (path, other.array.shape, other.spacing, other.affine),
        )


def read_scan(path: Path, directions: Directions = DIRECTIONS) -> Scan:
    """Read one image of one channel.

    Raises:
        DataInvalid: damaged files, several channels, intensities that are not finite.
    """
    import numpy as np

    if not is_pair(path):
        image, spacing, affine = read_image(path)
        if len(image) != 1:
            raise DataInvalid(f"{path}: expected one volume, found {len(image)}. Replace the file by an intact copy.")
        return Scan(image[0], spacing, affine, path)
    array, spacing, affine = read_pair(path, directions)
    if not np.isfinite(array).all():
        raise DataInvalid(f"{path}: expected finite intensities, found others. Replace the files by intact copies.")
    return Scan(array.astype(np.float32), spacing, affine, path)


def read_labels(path: Path, directions: Directions = DIRECTIONS) -> LabelMap:
    """Read stored label values, integer ``(D, H, W)``.

    Raises:
        DataInvalid: damaged files, values that are no integers.
    """
    import numpy as np

    if not is_pair(path):
        return read_label_map(path)
    array, spacing, affine = read_pair(path, directions)
    if array.dtype.kind in "iu":
        return LabelMap(array, spacing, affine)
    with np.errstate(invalid="ignore"):  # NaN becomes some integer, which it is not equal to
        whole = array.astype(np.int64)
    if (whole != array).any():
        raise DataInvalid(f"{path}: expected integer labels, found others. Is it a label map?")
    return LabelMap(whole, spacing, affine)


def read_images(case: str, files: CaseFiles, directions: Directions = DIRECTIONS) -> tuple[Scan, NDArray[np.float32]]:
    """Read all channels; return the first as the grid, and the stack ``(C, D, H, W)``.

    Raises:
        DataInvalid: see ``read_scan`` and ``segbench.check_grid``.
    """
    import numpy as np

    first, *others = (read_scan(path, directions) for path in files.images)
    for other in others:
        first.check(case, other.path, other)
    return first, np.stack([first.array, *(other.array for other in others)])


def read_truth(case: str, path: Path, grid: Scan, values: Mapping[int, int], directions: Directions) -> LabelMap:
    """Read a label map that lies on the grid of an image and renumber it.

    Raises:
        DataInvalid: another grid, or values that are not in the table.
    """
    stored = read_labels(path, directions)
    tell_notes(case, stored)
    grid.check(case, path, stored)
    return LabelMap(renumber(stored.array, values, case, path), grid.spacing, grid.affine)
