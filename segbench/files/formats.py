"""Voxels and geometry out of image files, in the array order of the house: the one place that permutes axes.

NIfTI files are read here byte by byte: the header is believed only as far as the file can bear it, a gzip stream is
read to its end so that its checksum counts, and the voxels land once in memory. Other formats go through the library
that knows them (``foreign.py``: nibabel, SimpleITK) behind the same checks.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from segbench.errors import DataInvalid, DataMissing, SegbenchError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNK = 1 << 18
LARGEST = 1 << 34
"""Bytes of voxels (16 GiB) above which an image is refused."""
MOST_DEFLATED = 1040
"""Deflate cannot shrink anything further than about 1:1032."""
TRAILING = 4096
"""Bytes that may follow the voxels before the header is taken to be wrong."""
ITK_ENDINGS = (".mha", ".mhd", ".nrrd", ".nhdr", ".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")
NIBABEL_ENDINGS = (".hdr", ".img", ".img.gz", ".hdr.gz", ".mgz", ".mgh")
_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")
REPLACE = "Replace the file by an intact copy."


class Header(NamedTuple):
    """What a file says of its image.

    Attributes:
        shape: ``(C, D, H, W)``.
        spacing: mm, ``(D, H, W)`` order.
        affine: ``(4, 4)`` array index ``(D, H, W)`` -> world mm (RAS+).
        dtype: dtype of the stored voxels, in the file's byte order.
        slope, intercept: what stored voxels are multiplied by and what is added then.
        offset: byte at which the voxels begin.
    """

    shape: tuple[int, int, int, int]
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64]
    dtype: np.dtype[Any]
    slope: float = 1.0
    intercept: float = 0.0
    offset: int = 0


def invalid(path: Path, expected: str, found: str, remedy: str) -> DataInvalid:
    """Return the error that every unusable image ends in."""
    return DataInvalid(f"{path}: expected {expected}, found {found}. {remedy}")


@contextlib.contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn whatever a parser throws at a bad file into ``DataMissing`` or ``DataInvalid``."""
    try:
        yield
    except SegbenchError:
        raise
    except FileNotFoundError as error:
        raise DataMissing(f"{path}: expected an image file, found nothing there. Check the path.") from error
    except IsADirectoryError as error:
        raise invalid(path, "an image file", "a folder", "Name a file inside it.") from error
    except Exception as error:  # parsers of foreign formats raise anything
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise invalid(path, "a readable image", f"a damaged or unknown file ({reason})", REPLACE) from error


def header_of(path: Path) -> Header:
    """Read the header only; see ``volume_of``."""
    with guarded(path):
        if (kind := _kind(path)) != "nifti":
            from segbench.files import foreign

            return foreign.header_of(path, kind)
        with contextlib.closing(chunks_of(path, 4096)) as chunks:
            return _nifti_header(path, _take(chunks, 544))


def volume_of(path: Path) -> tuple[Header, NDArray[Any]]:
    """Read header and stored, unscaled voxels ``(C, D, H, W)`` in native byte order.

    Raises:
        DataMissing: no such file.
        DataInvalid: corrupt, truncated, empty, of unknown format, or larger than its file can hold.
    """
    with guarded(path):
        if (kind := _kind(path)) != "nifti":
            from segbench.files import foreign

            header, voxels = foreign.volume_of(path, kind)
        else:
            header, voxels = _nifti_volume(path)
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


def chunks_of(path: Path, size: int = CHUNK) -> Generator[bytes, None, None]:
    """Yield the bytes of a plain or gzip file, at most ``size`` at a time; gzip checksums are verified at the end."""
    with path.open("rb") as file:
        chunk = file.read(size)
        if not chunk:
            raise EOFError("the file is empty")
        if chunk[:2] != b"\x1f\x8b":
            while chunk:
                yield chunk
                chunk = file.read(size)
            return
        stream, fresh = zlib.decompressobj(31), False
        while chunk:
            while chunk:
                if output := stream.decompress(chunk, size):
                    yield output
                chunk, fresh = stream.unconsumed_tail, False
                if stream.eof:  # another member or zero padding may follow
                    chunk, stream, fresh = stream.unused_data.lstrip(b"\0"), zlib.decompressobj(31), True
            chunk = file.read(size)
            chunk = chunk.lstrip(b"\0") if fresh else chunk
        while not fresh:
            if output := stream.decompress(b"", size):
                yield output
            fresh = stream.eof
            if not output and not fresh:
                raise EOFError("the compressed data end too early")


def _take(chunks: Iterator[bytes], count: int) -> bytearray:
    taken = bytearray()
    while len(taken) < count and (chunk := next(chunks, None)):
        taken += chunk
    return taken


def check_size(path: Path, needed: int, stored: int, compressed: bool) -> None:
    """Raise DataInvalid if a header claims more bytes than allowed, or than its file can hold."""
    if needed > LARGEST:
        raise invalid(path, f"at most {LARGEST:,} bytes of voxels", f"a header that claims {needed:,}", REPLACE)
    if needed > (stored * MOST_DEFLATED + 1024 if compressed else stored):
        found = f"a header that claims {needed:,} bytes in a file of {stored:,}"
        raise invalid(path, "a file as large as its header says", found, REPLACE)


def _nifti_header(path: Path, block: bytearray) -> Header:
    import nibabel
    import numpy as np

    size = min(int.from_bytes(block[:4], order) for order in _ORDERS)
    kind = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}.get(size)
    magic = bytes(block[344:348] if size == 348 else block[4:12])
    if kind is None or len(block) < size + 4 or magic not in (b"n+1\0", b"n+2\0\r\n\x1a\n"):
        raise invalid(path, "a NIfTI-1 or NIfTI-2 image", "something else", REPLACE)
    header = kind(bytes(block[:size]), check=False)
    dtype = np.dtype(header.get_data_dtype())
    if dtype.kind not in "iuf":
        raise invalid(path, "voxels that are integers or real numbers", str(dtype), "Convert the image.")
    dim = [int(value) for value in header["dim"]]
    if not 1 <= dim[0] <= 7 or min(dim[1 : dim[0] + 1]) < 1:
        raise invalid(path, "1 to 7 axes with at least one voxel each", f"dim {dim}", REPLACE)
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or slope != slope:  # the standard's "not scaled"
        slope, intercept = 1.0, 0.0
    offset = float(header["vox_offset"])  # 0 is refused: readers disagree where the voxels begin then
    if not (offset == int(offset) >= size + 4 and np.isfinite([slope, intercept]).all()):
        found = f"vox_offset {offset}, slope {slope}, intercept {intercept}"
        raise invalid(path, "finite scaling and voxels after the header", found, REPLACE)
    shape = shape_of(path, dim[1 : dim[0] + 1])
    unit = {1: 1000.0, 3: 0.001}.get(int(header["xyzt_units"]) & 7, 1.0)  # metres, micrometres
    zooms = [float(value) for value in header["pixdim"][1:4]]
    spacing, affine = geometry_of(path, dim, zooms, np.asarray(header.get_best_affine(), dtype=np.float64), unit)
    found_header = Header(shape, spacing, affine, dtype, slope, intercept, int(offset))
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    check_size(path, bytes_of(found_header) + int(offset), path.stat().st_size, compressed)
    return found_header


def bytes_of(header: Header) -> int:
    """Return the bytes of voxels that a header claims."""
    count = header.dtype.itemsize
    for length in header.shape:
        count *= length  # Python integers do not overflow
    return count


def shape_of(path: Path, lengths: list[int]) -> tuple[int, int, int, int]:
    """Turn ``(X, Y, Z, ...)`` into ``(C, D, H, W)``: axes of length one after the third are dropped."""
    width, height, depth = (*lengths, 1, 1)[:3]
    channels = [length for length in lengths[3:] if length != 1] or [1]
    if len(channels) > 1:
        raise invalid(path, "three axes, or four with channels last", f"shape {tuple(lengths)}", "Split the image.")
    return channels[0], depth, height, width


def geometry_of(
    path: Path, dim: list[int], zooms: list[float], affine: NDArray[np.float64], unit: float
) -> tuple[tuple[float, float, float], NDArray[np.float64]]:
    """Settle spacing and affine, in array order and mm.

    A negative zoom means its absolute value. A zoom that is zero or not finite is taken from the affine, or is 1 for
    an axis that does not exist (2D images); else the image is refused.
    """
    import numpy as np

    mended = []
    for axis, zoom in enumerate(zooms):
        if not np.isfinite(zoom) or zoom == 0:
            column = float(np.linalg.norm(affine[:3, axis]))
            missing = axis >= dim[0] and dim[axis + 1] <= 1
            zoom = column if np.isfinite(column) and column > 0 else 1.0 if missing else 0.0
        mended.append(abs(zoom) * unit)
    if not all(0 < zoom < 1e6 for zoom in mended):
        raise invalid(path, "voxel sizes above 0 mm", f"{zooms}", "Set pixdim in the header.")
    affine = np.concatenate([affine[:3] * unit, [[0.0, 0.0, 0.0, 1.0]]])
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise invalid(path, "an invertible affine", f"{affine[:3].tolist()}", "Set sform and qform in the header.")
    return (mended[2], mended[1], mended[0]), np.ascontiguousarray(affine[:, [2, 1, 0, 3]])


def _nifti_volume(path: Path) -> tuple[Header, NDArray[Any]]:
    import numpy as np

    with contextlib.closing(chunks_of(path)) as chunks:
        head = _take(chunks, 544)
        header = _nifti_header(path, head)
        total = bytes_of(header)
        voxels = np.empty(total, dtype=np.uint8)
        target, position, chunk = memoryview(voxels.data), -header.offset, bytes(head)
        while chunk:
            part = chunk[max(0, -position) :] if position < 0 else chunk
            start = max(0, position)
            if start < total:
                kept = part[: total - start]
                target[start : start + len(kept)] = kept
            position += len(chunk)
            if position > total + TRAILING:
                found = "more bytes after the last one"
                raise invalid(path, f"{total:,} bytes of voxels as the header says", found, REPLACE)
            chunk = next(chunks, b"")
    if position < total:
        raise invalid(path, f"{total:,} bytes of voxels", f"{max(0, position):,}: truncated", REPLACE)
    return header, voxels.view(header.dtype).reshape(header.shape)
