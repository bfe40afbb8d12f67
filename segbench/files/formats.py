"""Voxels and geometry out of image files, in the array order of the house: the one place that permutes axes.

NIfTI files are read byte by byte (``nifti.py``): the header is believed only as far as the file can bear it, a gzip
stream is read to its end so that its checksum counts, and the voxels land once in memory. Other formats go through the
library that knows them (``foreign.py``: nibabel, SimpleITK; ``pictures.py``: Pillow; ``tiff.py``: tifffile) behind
the same checks (``headers.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.files import dicom, foreign, masks, nifti, pictures, slicer, tiff
from segbench.files.colours import Colour
from segbench.files.headers import Header, guarded, invalid
from segbench.files.segments import Labels, Names

if TYPE_CHECKING:
    from numpy.typing import NDArray

ITK_ENDINGS = (".mha", ".mhd", ".nrrd", ".nhdr")
NIBABEL_ENDINGS = (".hdr", ".img", ".img.gz", ".hdr.gz", ".mgz", ".mgh")


def header_of(path: Path) -> Header:
    """Read the header only; see ``volume_of``."""
    with guarded(path):
        kind = _kind(path)
        if kind == "dicom":
            return dicom.read(path).header
        if kind in ("picture", "tiff"):
            return pictures.header_of(_picture(path, kind, voxels=False))
        return nifti.header_of(path) if kind == "nifti" else foreign.header_of(path, kind)


def volume_of(path: Path) -> tuple[Header, NDArray[Any]]:
    """Read header and stored, unscaled voxels ``(C, D, H, W)`` in native byte order; pictures with palettes in colour.

    Raises:
        DataMissing: no such file.
        DataInvalid: corrupt, truncated, empty, of unknown format, or larger than its file can hold.
    """
    with guarded(path):
        kind = _kind(path)
        if kind in ("picture", "tiff"):
            picture = _picture(path, kind)
            header, voxels = pictures.header_of(picture), pictures.as_image(picture)
        elif kind == "dicom":
            header, voxels = dicom.read(path)[:2]
        else:
            header, voxels = nifti.volume_of(path) if kind == "nifti" else foreign.volume_of(path, kind)
        return header, _native(voxels)


def labels_of(path: Path, colours: Mapping[Colour, int]) -> Labels:
    """Read header, stored, unscaled label values ``(C, D, H, W)`` in native byte order, and what the file says of them.

    Args:
        path: the file.
        colours: colour -> label value of pictures, see ``segbench.files.colours``; empty = values are labels.

    Raises:
        DataMissing, DataInvalid: see ``volume_of``; colours without a table.
    """
    with guarded(path):
        kind = _kind(path)
        if kind in ("picture", "tiff"):
            picture = _picture(path, kind)
            values, notes = masks.mask_of(path, picture, colours)
            return Labels(pictures.header_of(picture)._replace(dtype=values.dtype), _native(values[None]), notes)
        if kind == "dicom":
            return dicom.read(path)
        if kind == "itk" and slicer.is_segmentation(path):
            found = slicer.read(path)
            return found._replace(values=_native(found.values))
        header, voxels = volume_of(path)
        return Labels(header, voxels, names=nifti.names_in(path, header) if kind == "nifti" else {})


def names_of(path: Path) -> Names:
    """Return name -> values of the segments that a file names itself, {} if it names none; reads what that takes.

    Raises:
        DataMissing, DataInvalid: see ``volume_of``.
    """
    with guarded(path):
        kind = _kind(path) if not path.name.lower().endswith(".npz") else "npz"
        if kind == "nifti":
            return nifti.names_in(path, nifti.header_of(path))
        if kind == "dicom":
            return dicom.read(path).names
        return slicer.read(path).names if kind == "itk" and slicer.is_segmentation(path) else {}


def may_name(path: Path) -> bool:
    """Return whether a file is of a kind that can name its segments, by its ending alone; see ``names_of``."""
    return path.name.lower().endswith((".nii", ".nii.gz", *ITK_ENDINGS, *dicom.ENDINGS))


def _picture(path: Path, kind: str, *, voxels: bool = True) -> pictures.Picture:
    return pictures.read(path, voxels=voxels) if kind == "picture" else tiff.read(path, voxels=voxels)


def _native(voxels: NDArray[Any]) -> NDArray[Any]:
    native = voxels.dtype.newbyteorder("=")
    return voxels if voxels.dtype == native else voxels.astype(native)


def _kind(path: Path) -> str:
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return "nifti"
    if name.endswith(pictures.ENDINGS):
        return "picture"
    if name.endswith(tiff.ENDINGS):
        return "tiff"
    if name.endswith(ITK_ENDINGS):
        return "itk"
    if name.endswith(NIBABEL_ENDINGS):
        return "nibabel"
    if name.endswith(dicom.ENDINGS):
        return "dicom"
    if name.endswith(".npz"):
        raise invalid(path, "an image with a voxel size", "a .npz archive, which has none", "Convert it to .nii.gz.")
    known = ", ".join((".nii.gz", ".nii", *NIBABEL_ENDINGS[:2], *ITK_ENDINGS, *pictures.ENDINGS, *tiff.ENDINGS))
    raise invalid(path, f"one of {known}", "another ending", "Convert the image to .nii.gz.")
