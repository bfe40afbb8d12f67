"""Cases as files and cases as arrays: what datasets that read folders share once they know which file is what."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.errors import DataInvalid
from segbench.files.filenames import voxel_file
from segbench.files.images import ImageHeader, image_header, read_label_map, read_volume
from segbench.names import first_few
from segbench.types import UNKNOWN, Case, LabelMap, Split, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_RUNS = 4

Placed = tuple[Path, tuple[int, ...], tuple[float, ...], "NDArray[np.float64] | None"]
"""A file and its grid: shape ``(D, H, W)``, spacing in mm, affine."""


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case.

    Attributes:
        images: one per channel, or one for all; headers where voxels lie in a file beside them. Empty if images are
            not read from files.
        label: label map; None makes the case unlabelled.
        split: the dataset's own; "" leaves it to the host.
        group: the patient; "" = every case is one of its own.
        beside: other files on which the truth depends (a transform, a mask).
    """

    images: tuple[Path, ...]
    label: Path | None = None
    split: Split = ""
    group: str = ""
    beside: tuple[Path, ...] = ()

    @property
    def truths(self) -> tuple[Path, ...]:
        """All files on which the truth depends, voxel files of headers included."""
        return _with_voxels(*(() if self.label is None else (self.label,)), *self.beside)


def _with_voxels(*paths: Path) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(file for path in paths for file in (path, voxel_file(path) or path)))


def stamp(case: str, files: CaseFiles) -> str:
    """Return sizes and times of all files of a case, for ``CaseRef.stamp``.

    Raises:
        DataInvalid: a file that is gone or may not be looked at.
    """
    try:
        stats = [path.stat() for path in (*_with_voxels(*files.images), *files.truths)]
    except OSError as error:
        raise _unreadable(case, error) from error
    return ",".join(f"{stat.st_size}-{stat.st_mtime_ns}" for stat in stats)


def content_revision(facts: str, cases: Mapping[str, CaseFiles]) -> str:
    """Return 12 hex digits over the labelled cases, for ``Task.revision``: ids, sizes of images, bytes of truths.

    Args:
        facts: text of whatever else shapes the data (label names, parameters).
        cases: id -> files, in any order.

    Raises:
        DataInvalid: a file that is gone or may not be read.
    """
    digest = hashlib.sha256(facts.encode())
    for case, files in sorted(cases.items()):
        if files.label is None:
            continue
        try:
            sizes = [path.stat().st_size for path in _with_voxels(*files.images)]
            digest.update(f"\n{case} {f'{sizes} ' if sizes else ''}".encode())
            for path in files.truths:
                with path.open("rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            raise _unreadable(case, error) from error
    return digest.hexdigest()[:12]


def _unreadable(case: str, error: OSError) -> DataInvalid:
    return DataInvalid(
        f"case {case}: expected readable files, found: {error.strerror} ({error.filename}). "
        f"Unpack the whole distribution, or mend its rights."
    )


def read_case(
    case: str,
    files: CaseFiles,
    task: Task,
    values: Mapping[int, int] | None = None,
    *,
    read_label: Callable[[Path], LabelMap] = read_label_map,
    select: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None,
) -> Case:
    """Read one case on the grid of the image, or of the truth if only that says what a pixel measures.

    Args:
        case: its id.
        files: its files; at least one image.
        task: gives channels and labels.
        values: stored value -> label index, or -1 = unknown; None = label maps store the indices.
        read_label: file -> stored values, where they are not simply read (colours, thresholds).
        select: image ``(C, D, H, W)`` -> the channels of the task, where they are not simply those of the files.

    Raises:
        DataInvalid: unreadable files, another number of channels, grids that differ, values that are none of those
            known; names the case.
    """
    import numpy as np

    parts = [read_volume(path) for path in files.images]
    first, path = parts[0], files.images[0]
    grid = (path, first.array.shape[1:], first.spacing, first.affine)
    for other_path, other in zip(files.images[1:], parts[1:], strict=True):
        check_grid(case, grid, (other_path, other.array.shape[1:], other.spacing, other.affine))
    image = np.concatenate([part.array for part in parts]) if len(parts) > 1 else first.array
    image = image if select is None else select(image)
    if len(image) != len(task.channels):
        wanted = "one channel" if len(task.channels) == 1 else f"{len(task.channels)} channels"
        raise DataInvalid(
            f"case {case}: expected {wanted} ({', '.join(task.channels)}), found {len(image)} in {path}. "
            f"Mend the image, or the list of channels if the dataset has one."
        )
    if files.label is None:
        return Case(case, image, first.spacing, first.affine)
    shape = first.array.shape
    header = ImageHeader((shape[0], shape[1], shape[2], shape[3]), first.spacing, first.affine, image.dtype, first.unit)
    truth = _truth(case, header, files, task, values, read_label)
    return Case(case, image, _three(truth.spacing), header.affine if truth.affine is None else truth.affine, truth)


def read_truth(
    case: str,
    files: CaseFiles,
    task: Task,
    values: Mapping[int, int] | None = None,
    *,
    read_label: Callable[[Path], LabelMap] = read_label_map,
) -> LabelMap | None:
    """Read the truth of one case as ``read_case`` gives it; of the image only the header is looked at.

    Args:
        case, files, task, values, read_label: as for ``read_case``.

    Raises:
        DataInvalid: as ``read_case``.
    """
    if files.label is None:
        return None
    return _truth(case, image_header(files.images[0]), files, task, values, read_label)


def _truth(
    case: str,
    image: ImageHeader,
    files: CaseFiles,
    task: Task,
    values: Mapping[int, int] | None,
    read_label: Callable[[Path], LabelMap],
) -> LabelMap:
    """Return the truth on the grid of its image, or on its own if only that says what a pixel measures."""
    path, label = files.images[0], files.label
    assert label is not None
    stored = read_label(label)
    tell_notes(case, stored)
    known = {value: value for value in range(len(task.labels))} if values is None else values
    spacing, affine, unit = image.spacing, image.affine, image.unit
    theirs: Placed = (label, stored.array.shape, stored.spacing, stored.affine)
    if image.unit != stored.unit and stored.affine is not None:
        if unit == "px":
            spacing, affine, unit = _three(stored.spacing), stored.affine, stored.unit
        theirs = (label, stored.array.shape, spacing, affine)
    check_grid(case, (path, image.shape[1:], spacing, affine), theirs)
    return LabelMap(renumber(stored.array, known, case, label), spacing, affine, unit=unit)


def _three(spacing: tuple[float, ...]) -> tuple[float, float, float]:
    return (spacing[0], spacing[1], spacing[2])


def tell_notes(case: str, stored: LabelMap) -> None:
    """Log what a reader must know of how a label map of a dataset was read.

    Args:
        case: its id.
        stored: as ``read_label_map`` gave it.
    """
    for note in stored.notes:
        logging.getLogger(__name__).warning("case %s: %s.", case, note)


def check_grid(case: str, image: Placed, other: Placed) -> None:
    """Compare a grid with that of an image; another origin or direction alone is common and a warning, as in nnU-Net.

    Args:
        case: its id, for messages.
        image: file, shape ``(D, H, W)``, spacing and affine of the image.
        other: the same of another channel or of the label map.

    Raises:
        DataInvalid: another shape or spacing.
    """
    import numpy as np

    path, shape, spacing, affine = image
    other_path, other_shape, other_spacing, other_affine = other
    if shape != other_shape or not np.allclose(spacing, other_spacing, rtol=1e-3, atol=1e-4):
        raise DataInvalid(
            f"case {case}: expected one grid (D, H, W), found {shape} voxels of {tuple(spacing)} mm in {path} and "
            f"{other_shape} of {tuple(other_spacing)} mm in {other_path}. Resample one onto the other."
        )
    if affine is not None and other_affine is not None and not np.allclose(affine, other_affine, rtol=1e-3, atol=1e-2):
        logging.getLogger(__name__).warning(
            "case %s: %s and %s have the same shape and spacing but differ in origin or direction; the image's are "
            "used.",
            *(case, path.name, other_path.name),
        )


def renumber(
    array: NDArray[np.integer[Any]], values: Mapping[int, int], case: str, path: Path
) -> NDArray[np.integer[Any]]:
    """Return label indices for stored values, in the smallest of uint8, int16 and int32 that holds them all.

    Args:
        array: stored values, any integer dtype and shape.
        values: stored value (0 or more) -> label index, or -1 = unknown.
        case: whose label map it is, for messages.
        path: where it came from, for messages.

    Raises:
        DataInvalid: values that are not in the table; names them.
    """
    import numpy as np

    stored, indices = list(values), list(values.values())
    known = np.zeros(max(stored) + 1, dtype=bool)
    known[stored] = True
    inside = (array >= 0) & (array < len(known))
    strange = ~(inside & known[np.where(inside, array, 0)])
    if strange.any():
        raise DataInvalid(
            f"case {case}: expected {_described(values)}, found {first_few(np.unique(array[strange]), most=10)} in "
            f"{path}. Is it a label map of another task or protocol?"
        )
    smallest = next(
        kind
        for kind in (np.uint8, np.int16, np.int32)
        if np.iinfo(kind).min <= min(indices) and max(indices) <= np.iinfo(kind).max
    )
    table = np.zeros(len(known), dtype=smallest)
    table[stored] = indices
    truth: NDArray[np.integer[Any]] = table[array]
    return truth


def _described(values: Mapping[int, int]) -> str:
    """Return ``labels 0 to 2 or 255 (ignored)``, or how many there are where these are too many to list."""
    ignored = sorted(value for value, index in values.items() if index == UNKNOWN)
    runs: list[list[int]] = []
    for value in sorted(values.keys() - set(ignored)):
        if runs and value == runs[-1][-1] + 1:
            runs[-1][1:] = [value]
        else:
            runs.append([value])
    if len(runs) + len(ignored) > _MOST_RUNS:
        return f"values of the label protocol ({len(values)} are known)"
    unknown = f" or {', '.join(map(str, ignored))} (ignored)" if ignored else ""
    return f"labels {', '.join(' to '.join(map(str, run)) for run in runs)}{unknown}"
