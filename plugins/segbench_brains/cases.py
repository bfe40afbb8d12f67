"""Cases as files, and cases as arrays: what all brain datasets share once they know which file is what."""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segbench import CaseRef, DataInvalid, LabelMap, read_image, read_label_map
from segbench_brains.analyze import Directions, is_pair, read_pair
from segbench_brains.files import all_of
from segbench_brains.label_values import LabelValues

if TYPE_CHECKING:
    from typing import Literal

    import numpy as np
    from numpy.typing import NDArray

DIRECTIONS: Directions = (-1, 1, 1)
"""Analyze's default: the first voxel lies right, posterior and inferior."""


@dataclass(frozen=True)
class Entry:
    """The files of one case.

    Attributes:
        images: one per channel, headers of pairs.
        label: label map, or None for unlabelled cases.
        split: the official one, "" where there is none.
        beside: other files on which the truth depends (a transform, a mask).
    """

    images: tuple[Path, ...]
    label: Path | None
    split: Literal["train", "val", "test", "unlabelled", ""] = ""
    beside: tuple[Path, ...] = ()


@dataclass(frozen=True, eq=False)
class Scan:
    """An image on its grid: float32 ``(D, H, W)``, spacing in mm, affine array index -> world, and its file."""

    array: NDArray[np.float32]
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64]
    path: Path


@contextlib.contextmanager
def _readable(case: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataInvalid(
            f"case {case}: expected readable files, found: {error.strerror} ({error.filename}). "
            f"Unpack the whole distribution, or mend its rights."
        ) from error


def make_ref(case: str, entry: Entry) -> CaseRef:
    """Return a case by name: every case is a patient of its own, and its stamp changes with any of its files."""
    label = () if entry.label is None else (entry.label,)
    files = [file for path in (*entry.images, *label, *entry.beside) for file in all_of(path)]
    with _readable(case):
        stats = [file.stat() for file in files]
    return CaseRef(case, case, entry.split, ",".join(f"{stat.st_size}-{stat.st_mtime_ns}" for stat in stats))


def revision(facts: object, entries: Mapping[str, Entry]) -> str:
    """Return 12 hex digits over the labelled cases: ids, sizes of images, bytes of label maps, and ``facts``.

    Args:
        facts: whatever else shapes the data; its ``repr`` counts.
        entries: case -> files.
    """
    digest = hashlib.sha256(repr(facts).encode())
    for case, entry in sorted(entries.items()):
        if entry.label is None:
            continue
        with _readable(case):
            sizes = [file.stat().st_size for path in entry.images for file in all_of(path)]
            digest.update(f"\n{case} {sizes} ".encode())
            for file in (file for path in (entry.label, *entry.beside) for file in all_of(path)):
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


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


def check_grid(case: str, image: Scan, path: Path, grid: Scan | LabelMap) -> None:
    """Compare a grid with that of an image: shape and spacing must agree, origin and direction had better.

    Raises:
        DataInvalid: another shape or spacing.
    """
    import numpy as np

    if image.array.shape != grid.array.shape or not np.allclose(image.spacing, grid.spacing, rtol=1e-3):
        raise DataInvalid(
            f"case {case}: expected one grid, found {image.array.shape} at {image.spacing} mm in {image.path} and "
            f"{grid.array.shape} at {tuple(grid.spacing)} mm in {path}. Resample one onto the other."
        )
    if grid.affine is not None and not np.allclose(image.affine, grid.affine, rtol=1e-3, atol=1e-2):
        warnings.warn(
            f"case {case}: {image.path.name} and {path.name} have the same shape and spacing but differ in origin or "
            f"direction; the image's is used.",
            UserWarning,
            stacklevel=3,
        )


def read_images(case: str, entry: Entry, directions: Directions = DIRECTIONS) -> tuple[Scan, NDArray[np.float32]]:
    """Read all channels; return the first as the grid, and the stack ``(C, D, H, W)``.

    Raises:
        DataInvalid: see ``read_scan`` and ``check_grid``.
    """
    import numpy as np

    first, *others = (read_scan(path, directions) for path in entry.images)
    for other in others:
        check_grid(case, first, other.path, other)
    return first, np.stack([first.array, *(other.array for other in others)])


def read_truth(case: str, path: Path, grid: Scan, values: LabelValues, directions: Directions) -> LabelMap:
    """Read a label map that lies on the grid of an image and renumber it.

    Raises:
        DataInvalid: another grid, or values that are not in the table.
    """
    stored = read_labels(path, directions)
    check_grid(case, grid, path, stored)
    return LabelMap(values.renumber(stored.array, case, path), grid.spacing, grid.affine)
