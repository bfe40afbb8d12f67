"""Image formats other than NIfTI, through the libraries that know them, in the array order of the house."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.files import itk
from segbench.files.headers import Header, bytes_of, check_size, contradictions, geometry_of, invalid, shape_of
from segbench.files.nifti import chunks_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


def header_of(path: Path, kind: str) -> Header:
    """Read the header of a file that nibabel or SimpleITK understands (``kind``: "nibabel" or "itk")."""
    return itk.read(path, voxels=False)[0] if kind == "itk" else _nibabel_header(path)[1]


def volume_of(path: Path, kind: str) -> tuple[Header, NDArray[Any]]:
    """Read header and stored voxels ``(C, D, H, W)``."""
    return itk.read(path) if kind == "itk" else _nibabel_volume(path)


def _nibabel_header(path: Path) -> tuple[Any, Header]:
    import nibabel
    import numpy as np

    image: Any = nibabel.load(path)
    lengths = [int(length) for length in image.shape]
    dtype = np.dtype(image.get_data_dtype())
    if dtype.kind not in "iuf" or not lengths or min(lengths) < 1:
        raise invalid(path, "voxels that are numbers", f"{dtype} of shape {tuple(lengths)}", "Convert the image.")
    zooms = [float(zoom) for zoom in (*image.header.get_zooms(), 1.0, 1.0)[:3]]
    affine = np.asarray(image.affine, dtype=np.float64)
    spacing, affine = geometry_of(path, [len(lengths), *lengths, 1, 1], zooms, affine, 1.0)
    notes = contradictions(zooms, 1.0, spacing)
    header = Header(shape_of(path, lengths), spacing, affine, dtype, *_scaling(path, image), notes=notes)
    holder = Path((image.file_map.get("image") or image.file_map["header"]).filename)
    compressed = holder.name.lower().endswith(("gz", "mgz"))
    check_size(path, bytes_of(header), holder.stat().st_size, compressed)
    return image, header


def _scaling(path: Path, image: Any) -> tuple[float, float]:
    """Return slope and intercept of formats that have them (Analyze as SPM writes it)."""
    import numpy as np

    slope, intercept = (float(getattr(image.dataobj, name, default)) for name, default in (("slope", 1), ("inter", 0)))
    if not np.isfinite([slope, intercept]).all() or slope == 0:
        raise invalid(path, "finite scaling", f"slope {slope}, intercept {intercept}", "Correct the header.")
    return slope, intercept


def _nibabel_volume(path: Path) -> tuple[Header, NDArray[Any]]:
    import numpy as np

    image, header = _nibabel_header(path)
    for holder in {Path(entry.filename) for entry in image.file_map.values() if entry.filename}:
        if holder.is_file():
            for _ in chunks_of(holder):  # a damaged gzip stream shows at its end only
                pass
    scaled = (header.slope, header.intercept) != (1.0, 0.0)
    voxels = image.dataobj.get_unscaled() if scaled else np.asarray(image.dataobj)
    return header, np.ascontiguousarray(voxels.T).reshape(header.shape)
