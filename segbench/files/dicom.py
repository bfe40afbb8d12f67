"""DICOM segmentations (SEG) through highdicom: names of segments, geometry of the frames, overlapping segments.

Binary and LABELMAP segmentations are read; fractional ones are refused, because where inside begins is the author's
choice. The grid is that of the file's own functional groups, which repeat the positions of the series it was drawn on.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.files.headers import LARGEST, REPLACE, Header, check_size, geometry_of, invalid
from segbench.files.segments import Coding, Labels, Names

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENDINGS = (".dcm",)
_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.66.4": "Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage",
}


def read(path: Path) -> Labels:
    """Read a segmentation.

    Raises:
        DataInvalid: no segmentation, fractional, no regular volume, two segments of one name, or no highdicom.
        OSError: see ``headers.guarded``.
    """
    for module in ("highdicom", "pydicom"):
        if importlib.util.find_spec(module) is None:
            found = f"a DICOM file without {module}"
            raise invalid(path, "a format that is readable here", found, "pip install 'segbench[dicom]'.")
    import highdicom
    import pydicom

    with _quiet():
        head = pydicom.dcmread(path, stop_before_pixels=True)
        if str(head.get("SOPClassUID", "")) not in _CLASSES:
            found = f"a DICOM file of {getattr(head.get('SOPClassUID', ''), 'name', 'another class')}"
            raise invalid(path, "a DICOM segmentation (SEG)", found, "Name the segmentation, or convert to .nii.gz.")
        if str(head.get("SegmentationType", "")).upper() == "FRACTIONAL":
            found = "a fractional one, whose values are probabilities or occupancies"
            raise invalid(
                path, "a binary or label map segmentation", found, "Decide where inside begins, and save that."
            )
        needed = int(head.Rows) * int(head.Columns) * int(head.get("NumberOfFrames", 1))
        check_size(path, needed // 8, path.stat().st_size, str(head.file_meta.TransferSyntaxUID) not in _PLAIN)
        segmentation = highdicom.seg.segread(path)
        names = _names(path, segmentation)
        volume = segmentation.get_volume(combine_segments=False, allow_missing_positions=True)
    return _labels(path, volume, names)


_PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
"""Transfer syntaxes without compression."""


def _quiet() -> Any:
    """Keep pydicom's remarks on odd values to itself; what matters is checked here."""
    import warnings

    return warnings.catch_warnings(action="ignore")


def _names(path: Path, segmentation: Any) -> dict[int, str]:
    """Return number -> name of every segment but the background."""
    names: dict[int, str] = {}
    for number in segmentation.segment_numbers:
        described = segmentation.get_segment_description(number)
        name = str(described.segment_label).strip() or f"Segment {number}"
        if name in names.values():
            raise invalid(path, "a label of its own for every segment", f"{name!r} twice", "Rename one of them.")
        names[int(number)] = name
    return names


def _labels(path: Path, volume: Any, names: dict[int, str]) -> Labels:
    import numpy as np

    array = np.asarray(volume.array)
    if array.ndim != 4 or array.shape[3] != len(names) or array.size == 0 or array.size > LARGEST:
        raise invalid(path, f"a volume of {len(names)} segments", f"shape {array.shape}", REPLACE)
    if not np.isin(array, (0, 1)).all():
        raise invalid(path, "segments of 0 and 1", "other values", REPLACE)
    affine = np.array(volume.affine, dtype=np.float64)
    affine[:2] *= -1  # DICOM's world is LPS
    shape = array.shape[:3]
    columns = affine[:, [2, 1, 0, 3]]  # as every other format counts: the fastest axis first
    zooms = [float(np.linalg.norm(columns[:3, axis])) for axis in range(3)]
    spacing, affine = geometry_of(path, [3, *shape[::-1], 1, 1], zooms, columns, 1.0)
    values, found = _values(array, names)
    header = Header((1, shape[0], shape[1], shape[2]), spacing, affine, values.dtype)
    return Labels(header, values[None], names=found, cropped=True)


def _values(array: NDArray[Any], names: dict[int, str]) -> tuple[NDArray[Any], Names]:
    """Return segment numbers as values, or combinations where segments overlap."""
    import numpy as np

    if (array.sum(axis=3, dtype=np.int64) > 1).any():
        coding = Coding()
        masks = ((name, array[..., index] > 0) for index, name in enumerate(names.values()))
        return coding.encode(array.shape[:3], masks), coding.names()
    numbers = np.array(list(names), dtype=np.int32)
    values: NDArray[Any] = np.zeros(array.shape[:3], np.uint8 if numbers.max() < 256 else np.int32)
    for index, number in enumerate(numbers):
        values[array[..., index] > 0] = number
    return values, {name: (number,) for number, name in names.items()}
