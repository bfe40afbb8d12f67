"""Voxels and geometry out of image files, in the array order of the house: the one place that permutes axes.

NIfTI files are read byte by byte (``nifti.py``): the header is believed only as far as the file can bear it, a gzip
stream is read to its end so that its checksum counts, and the voxels land once in memory. Other formats go through the
library that knows them (``foreign.py``: nibabel, SimpleITK) behind the same checks (``headers.py``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.files import foreign, nifti
from segbench.files.headers import Header, guarded, invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

ITK_ENDINGS = (".mha", ".mhd", ".nrrd", ".nhdr", ".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")
NIBABEL_ENDINGS = (".hdr", ".img", ".img.gz", ".hdr.gz", ".mgz", ".mgh")


def header_of(path: Path) -> Header:
    """Read the header only; see ``volume_of``."""
    with guarded(path):
        kind = _kind(path)
        return nifti.header_of(path) if kind == "nifti" else foreign.header_of(path, kind)


def volume_of(path: Path) -> tuple[Header, NDArray[Any]]:
    """Read header and stored, unscaled voxels ``(C, D, H, W)`` in native byte order.

    Raises:
        DataMissing: no such file.
        DataInvalid: corrupt, truncated, empty, of unknown format, or larger than its file can hold.
    """
    with guarded(path):
        kind = _kind(path)
        header, voxels = nifti.volume_of(path) if kind == "nifti" else foreign.volume_of(path, kind)
        native = voxels.dtype.newbyteorder("=")
        return header, voxels if voxels.dtype == native else voxels.astype(native)


def _kind(path: Path) -> str:
    name = path.name.lower()
    if name.endswith(ITK_ENDINGS):
        return "itk"
    if name.endswith(NIBABEL_ENDINGS):
        return "nibabel"
    if name.endswith((".nii", ".nii.gz")):
        return "nifti"
    if name.endswith(".npz"):
        raise invalid(path, "an image with a voxel size", "a .npz archive, which has none", "Convert it to .nii.gz.")
    known = ", ".join((".nii.gz", ".nii", *NIBABEL_ENDINGS[:2], *ITK_ENDINGS))
    raise invalid(path, f"one of {known}", "another ending", "Convert the image to .nii.gz.")
