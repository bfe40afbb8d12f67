"""Reading one frame of ACDC, and the revision of many."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence

from segbench import Case, DataInvalid, LabelMap, image_header, read_image, read_label_map
from segbench_acdc.layout import Frame

LABELS = ("background", "RV", "Myo", "LV")


def load_frame(frame: Frame, *, labelled: bool) -> Case:
    """Read a frame, and its label map on the image's grid.

    Raises:
        DataInvalid: unreadable files, grids that differ in shape or spacing, labels other than 0 to 3.
    """
    import numpy as np

    image, spacing, affine = read_image(frame.image)
    if len(image) != 1:
        raise DataInvalid(f"case {frame.name}: expected one frame, found {len(image)} in {frame.image}.")
    if not labelled or frame.label is None:
        return Case(frame.name, image, spacing, affine)
    truth = read_label_map(frame.label)
    if truth.array.shape != image.shape[1:] or not np.allclose(truth.spacing, spacing, rtol=1e-3):
        raise DataInvalid(
            f"case {frame.name}: expected one grid, found {image.shape[1:]} voxels of {spacing} mm in {frame.image} "
            f"and {truth.array.shape} of {truth.spacing} mm in {frame.label}. Get an intact copy."
        )
    if truth.affine is not None and not np.allclose(truth.affine, affine, rtol=1e-3, atol=1e-2):
        logging.getLogger(__name__).warning(
            "case %s: image and label map differ in origin or direction; the image's are used.", frame.name
        )
    low, high = int(truth.array.min()), int(truth.array.max())
    if low < 0 or high >= len(LABELS):
        raise DataInvalid(
            f"case {frame.name}: expected labels 0 to {len(LABELS) - 1}, found {low} to {high} in {frame.label}."
        )
    return Case(frame.name, image, spacing, affine, LabelMap(truth.array, spacing, affine))


def revision(frames: Sequence[Frame]) -> str:
    """Return 12 hex digits over case ids, image grids and label voxels; the same for every layout of the same data."""
    import numpy as np

    digest = hashlib.sha256(repr(LABELS).encode())
    for frame in sorted(frames, key=lambda frame: frame.name):
        if frame.label is not None:
            shape, spacing = image_header(frame.image)[:2]
            digest.update(repr((frame.name, shape, [round(size, 4) for size in spacing])).encode())
            digest.update(np.ascontiguousarray(read_label_map(frame.label).array, dtype=np.int16).tobytes())
    return digest.hexdigest()[:12]


def stamp(frame: Frame) -> str:
    """Return sizes and times of the frame's files."""
    return ",".join(_stamps(frame))


def _stamps(frame: Frame) -> Iterable[str]:
    for path in (frame.image, frame.label):
        if path is not None:
            stat = path.stat()
            yield f"{stat.st_size}-{stat.st_mtime_ns}"
