"""What every format's reader fills in and checks: the header of an image in the array order of the house."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.errors import DataInvalid, DataMissing, SegbenchError
from segbench.types import Unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LARGEST = 1 << 34
"""Bytes of voxels (16 GiB) above which an image is refused."""
CONTRADICTION = 1e-3
"""Zooms and affine agree within this fraction: headers keep single precision."""
MOST_DEFLATED = 1040
"""Deflate cannot shrink anything further than about 1:1032."""
REPLACE = "Replace the file by an intact copy."


class Header(NamedTuple):
    """What a file says of its image.

    Attributes:
        shape: ``(C, D, H, W)``.
        spacing: in ``unit``, ``(D, H, W)`` order.
        affine: ``(4, 4)`` array index ``(D, H, W)`` -> world mm (RAS+).
        dtype: dtype of the stored voxels, in the file's byte order.
        slope, intercept: what stored voxels are multiplied by and what is added then.
        offset: byte at which the voxels begin.
        unit: of lengths: "mm", or "px" where the file declares no size of its pixels.
        notes: what a reader must know of the header, in words that follow the file's name.
    """

    shape: tuple[int, int, int, int]
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64]
    dtype: np.dtype[Any]
    slope: float = 1.0
    intercept: float = 0.0
    offset: int = 0
    unit: Unit = "mm"
    notes: tuple[str, ...] = ()


def invalid(path: Path, expected: str, found: str, remedy: str) -> DataInvalid:
    """Return the error that every unusable image ends in."""
    return DataInvalid(f"{path}: expected {expected}, found {found}. {remedy}")


@contextlib.contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn whatever a parser throws at a bad file into ``DataMissing`` or ``DataInvalid``; pipes are not waited for."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise invalid(path, "an image file", "a pipe, a socket or a device", "Name a regular file.")
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


def check_size(path: Path, needed: int, stored: int, compressed: bool) -> None:
    """Raise DataInvalid if a header claims more bytes than allowed, or than its file can hold."""
    if needed > LARGEST:
        raise invalid(path, f"at most {LARGEST:,} bytes of voxels", f"a header that claims {needed:,}", REPLACE)
    if needed > (stored * MOST_DEFLATED + 1024 if compressed else stored):
        found = f"a header that claims {needed:,} bytes in a file of {stored:,}"
        raise invalid(path, "a file as large as its header says", found, REPLACE)


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
    an axis that does not exist (2D images); else the image is refused. Where zooms and affine contradict each other, as
    in NIfTI an sform may, the affine counts: grids are compared by it, and so distances are measured by it.
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
    columns = [float(size) for size in np.linalg.norm(affine[:3, :3], axis=0)]
    sizes = mended if np.allclose(mended, columns, rtol=CONTRADICTION, atol=0) else columns
    return (sizes[2], sizes[1], sizes[0]), np.ascontiguousarray(affine[:, [2, 1, 0, 3]])


def contradictions(zooms: list[float], unit: float, spacing: tuple[float, float, float]) -> tuple[str, ...]:
    """Return in words that zooms were not believed, nothing if they were.

    Args:
        zooms: per axis ``(X, Y, Z)`` as stored; one that is zero or not finite says nothing.
        unit: mm of what zooms are counted in.
        spacing: mm, ``(D, H, W)``, as ``geometry_of`` settled it.
    """
    stored = [abs(zoom) * unit if zoom and abs(zoom) < float("inf") else None for zoom in zooms]
    pairs = zip(stored, spacing[::-1], strict=True)
    if all(size is None or abs(size - true) <= 2 * CONTRADICTION * true for size, true in pairs):
        return ()
    said = "x".join("?" if size is None else f"{size:.4g}" for size in stored)
    true = "x".join(f"{size:.4g}" for size in spacing[::-1])
    return (f"contradicts itself: its voxels measure {said} mm by pixdim and {true} mm by the affine, which counts",)
