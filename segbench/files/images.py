"""Image files in and out: arrays in ``(D, H, W)`` order, spacing in mm in the same order, affine from array indices.

A NIfTI array is Fortran-ordered ``(X, Y, Z)``, so its transpose is a C-ordered ``(Z, Y, X) = (D, H, W)`` array for
free; spacing and the columns of the affine follow. Voxel sizes: a negative one means its absolute value, one that is
zero or not finite is taken from the affine or refused; units of metres and micrometres are converted to mm.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.atomic import atomically
from segbench.errors import DataInvalid
from segbench.files import archives, drawing
from segbench.files.colours import Colour
from segbench.files.formats import header_of, labels_of, volume_of
from segbench.files.headers import guarded, invalid
from segbench.files.integers import whole_labels
from segbench.types import LabelMap, Unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COMPRESSION = 1


class ImageHeader(NamedTuple):
    """What ``image_header`` tells without reading a voxel.

    Attributes:
        shape: ``(C, D, H, W)``, as ``read_image`` would return it.
        spacing: in ``unit``, ``(D, H, W)`` order.
        affine: ``(4, 4)`` array index ``(D, H, W)`` -> world, in ``unit``.
        dtype: dtype of the stored voxels.
        unit: "mm", or "px" where the file declares no size of its pixels.
    """

    shape: tuple[int, int, int, int]
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64]
    dtype: np.dtype[Any]
    unit: Unit = "mm"


def image_header(path: str | Path) -> ImageHeader:
    """Read shape, spacing, affine and dtype of an image file.

    Raises:
        DataMissing: no such file.
        DataInvalid: not an image, or a header its file cannot bear out.
    """
    header = header_of(Path(path))
    return ImageHeader(header.shape, header.spacing, header.affine, header.dtype, header.unit)


def read_image(
    path: str | Path,
) -> tuple[NDArray[np.float32], tuple[float, float, float], NDArray[np.float64]]:
    """Read intensities.

    Args:
        path: .nii, .nii.gz, .hdr/.img, .mgz, a picture, a TIFF, or what SimpleITK reads where it is installed.

    Returns:
        float32 array ``(C, D, H, W)``, all finite (2D images have D = 1); spacing in mm ``(D, H, W)``;
        affine ``(4, 4)`` array index -> world mm. Of pictures that say no size both are in pixels.

    Raises:
        DataMissing: no such file.
        DataInvalid: corrupt or truncated file, five axes, NaN or infinite intensities.
    """
    image = read_volume(path)
    return image.array, image.spacing, image.affine


class Volume(NamedTuple):
    """Intensities on their grid.

    Attributes:
        array: float32 ``(C, D, H, W)``, all finite.
        spacing: in ``unit``, ``(D, H, W)``.
        affine: ``(4, 4)`` array index -> world, in ``unit``.
        unit: "mm", or "px" where the file declares no size of its pixels.
    """

    array: NDArray[np.float32]
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64]
    unit: Unit


def read_volume(path: str | Path) -> Volume:
    """Read intensities; see ``read_image``."""
    import numpy as np

    path = Path(path)
    header, voxels = volume_of(path)
    with guarded(path), np.errstate(over="ignore", invalid="ignore"):
        image: NDArray[np.float32]
        if (header.slope, header.intercept) == (1.0, 0.0):
            image = voxels.astype(np.float32, copy=not voxels.flags.writeable)
        else:
            precision = np.float32 if voxels.dtype.itemsize <= 2 else np.float64
            image = (voxels * precision(header.slope) + precision(header.intercept)).astype(np.float32)
        if not np.isfinite(image).all():
            nan = int(np.isnan(image).sum())
            infinite = int(np.isinf(image).sum())
            found = f"{nan} NaN and {infinite} infinite of {image.size} voxels"
            raise invalid(path, "finite intensities", found, "Repair or leave out this image.")
    return Volume(image, header.spacing, header.affine, header.unit)


def read_label_map(
    path: str | Path,
    like: LabelMap | None = None,
    colours: Mapping[Colour, int] | None = None,
    *,
    one_hot: bool = False,
) -> LabelMap:
    """Read a label map: integer ``(D, H, W)``, in the stored dtype if it is small, else in the smallest that fits.

    Values that a header's slope put beside whole numbers are rounded, and ``notes`` says so; see
    ``segbench.files.integers``.

    Args:
        path: an image (see ``read_image``), or ``.npz`` (see ``segbench.files.archives``).
        like: whose grid an ``.npz`` without a spacing lies on; images say their own.
        colours: colour -> label value of pictures in colour; None = values, or palette indices, are labels.
        one_hot: whether files may hold one binary volume per label instead, see ``from_one_hot``.

    Raises:
        DataMissing: no such file.
        DataInvalid: corrupt or truncated file, more than three axes, values that are no integers.
    """
    path = Path(path)
    if path.suffix.lower() == archives.ENDING:
        voxels, spacing = archives.label_array(path, like)
        labels, _ = whole_labels(path, voxels)
        if spacing is not None:
            return LabelMap(labels, spacing)
        return LabelMap(labels, (1.0, 1.0, 1.0), unit="px") if like is None else like.with_array(labels)
    found = labels_of(path, colours or {})
    header, voxels = found.header, found.values
    with guarded(path):
        if len(voxels) != 1 and not one_hot:
            words = f"{len(voxels)} volumes in one file"
            raise invalid(path, "a label map of three axes", words, "Store one integer per voxel, or say --one-hot.")
        labels, rounded = whole_labels(path, voxels if len(voxels) > 1 else voxels[0], header.slope, header.intercept)
        notes = (*header.notes, *found.notes, *rounded)
        if labels.ndim == 4:
            labels, note = from_one_hot(path, labels)
            notes = (*notes, note)
        grid = (labels, header.spacing, header.affine)
        return LabelMap(*grid, notes=notes, unit=header.unit, names=found.names, cropped=found.cropped)


def from_one_hot(path: Path, volumes: NDArray[np.integer[Any]]) -> tuple[NDArray[np.uint8], str]:
    """Return label values for one binary volume per label, and in words how they were counted.

    If every voxel is in exactly one volume the first is background and gets 0; if some are in none, the first is 1.

    Args:
        path: for messages.
        volumes: integer ``(C, D, H, W)``.

    Raises:
        DataInvalid: other values than 0 and 1, or voxels in several volumes.
    """
    import numpy as np

    if not np.isin(volumes, (0, 1)).all():
        values = ", ".join(map(str, np.unique(volumes)[:5]))
        raise invalid(path, "volumes of 0 and 1, one per label", f"values {values}", "Threshold them, or take argmax.")
    total = volumes.sum(axis=0, dtype=np.int64)
    if (total > 1).any():
        found = f"{int((total > 1).sum())} voxels in several"
        raise invalid(path, "every voxel in one volume at most", found, "Score overlapping structures one by one.")
    labels: NDArray[np.uint8] = volumes.argmax(axis=0).astype(np.uint8 if len(volumes) < 255 else np.int16)
    if (total == 1).all():
        return labels, f"{path.name}: {len(volumes)} volumes, one per label, the first of them background"
    labels[total == 1] += 1
    return labels, f"{path.name}: {len(volumes)} volumes, one per label without background, the first of them label 1"


def write_label_map(path: str | Path, label_map: LabelMap, colours: Mapping[int, Colour] | None = None) -> None:
    """Write a label map, atomically, on its own grid; see ``write_image``.

    Args:
        path: ends in .nii.gz or .nii, or in .png, .bmp (one slice each), .tif or .tiff (calibrated as ImageJ does).
        label_map: integer ``(D, H, W)`` or ``(H, W)``; its dtype is kept, bool becomes uint8.
        colours: label value -> colour for pictures; None = values are written as greys.

    Raises:
        DataInvalid: an array that is no label map, or none that the format can hold.
        Unwritable: the file cannot be written; what stood there before is untouched.
    """
    import numpy as np

    array = np.asarray(label_map.array)
    array = array.view(np.uint8) if array.dtype == bool else array
    if array.dtype.kind not in "iu" or array.ndim not in (2, 3):
        raise DataInvalid(f"{path}: expected an integer label map (D, H, W), found {array.dtype} {array.shape}.")
    spacing = tuple(float(size) for size in label_map.spacing)
    if Path(path).suffix.lower() in drawing.ENDINGS:
        drawing.write(Path(path), label_map.with_array(array), colours)
        return
    if array.ndim == 2:
        array, spacing = array[None], (1.0, *spacing)
    _write(Path(path), array, spacing, label_map.affine)


def write_image(
    path: str | Path, array: NDArray[Any], spacing: tuple[float, ...], affine: NDArray[np.float64] | None = None
) -> None:
    """Write intensities as .nii.gz: a temporary file in the same folder, flushed to the disk, then renamed.

    Args:
        path: ends in .nii.gz or .nii; its folder is made.
        array: ``(D, H, W)`` or ``(C, D, H, W)`` of any integer or floating dtype, which is kept (float16 -> float32).
        spacing: mm, ``(D, H, W)``.
        affine: ``(4, 4)`` array index -> world mm; None = spacing along the axes.

    Raises:
        DataInvalid: an array that is no image.
        Unwritable: the file cannot be written; what stood there before is untouched.
    """
    import numpy as np

    array = np.asarray(array)
    array = array.astype(np.float32) if array.dtype == np.float16 else array
    if array.dtype.kind not in "iuf" or array.ndim not in (3, 4):
        raise DataInvalid(f"{path}: expected numbers (C, D, H, W), found {array.dtype} {array.shape}.")
    array = array[0] if array.ndim == 4 and array.shape[0] == 1 else array
    _write(Path(path), array, spacing, affine)


def _nifti_header(array: NDArray[Any], spacing: tuple[float, ...], affine: NDArray[np.float64] | None) -> bytes:
    import nibabel
    import numpy as np

    long = max(array.shape) > np.iinfo(np.int16).max
    header = nibabel.Nifti2Header() if long else nibabel.Nifti1Header()
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape[::-1])
    if affine is None:
        affine = np.diag([*spacing[::-1], 1.0])[:, [2, 1, 0, 3]]
    world = np.asarray(affine, dtype=np.float64)[:, [2, 1, 0, 3]]  # back to (X, Y, Z) columns
    header.set_qform(world, code=1)
    header.set_sform(world, code=1)
    header.set_zooms((*spacing[::-1], *[1.0] * (array.ndim - 3)))
    header.set_xyzt_units("mm", "sec")
    header["vox_offset"] = header.single_vox_offset
    header["magic"] = header.single_magic
    return bytes(header.binaryblock) + b"\0\0\0\0"  # no extension


def _write(path: Path, array: NDArray[Any], spacing: tuple[float, ...], affine: NDArray[np.float64] | None) -> None:
    import gzip

    import numpy as np

    if not path.name.endswith((".nii", ".nii.gz")):
        raise DataInvalid(f"{path}: expected a name that ends in .nii.gz or .nii. Rename it.")
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    head = _nifti_header(array, spacing, affine)

    def write(part: Path) -> None:
        with part.open("xb") as file:
            if path.name.endswith(".gz"):
                with gzip.GzipFile("", "wb", COMPRESSION, file, mtime=0) as stream:
                    stream.write(head)
                    stream.write(array.reshape(-1).view(np.uint8).data)
            else:
                file.write(head + array.tobytes())

    atomically(path, write)
