"""NIfTI, read byte by byte: nothing is believed that the file cannot bear, and the voxels land once in memory."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from segbench.files.headers import REPLACE, Header, bytes_of, check_size, contradictions, geometry_of, invalid, shape_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK = 1 << 18
TRAILING = 4096
"""Bytes that may follow the voxels before the header is taken to be wrong."""
LONGEST_TABLE = 1 << 22
"""Bytes of extensions that are looked through for a label table."""
_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")


def header_of(path: Path) -> Header:
    """Read the header of a NIfTI file only; see ``formats.header_of``."""
    with contextlib.closing(chunks_of(path, 4096)) as chunks:
        return _header(path, _take(chunks, 544))


def volume_of(path: Path) -> tuple[Header, NDArray[Any]]:
    """Read header and stored voxels of a NIfTI file, in the file's byte order; see ``formats.volume_of``."""
    import numpy as np

    with contextlib.closing(chunks_of(path)) as chunks:
        head = _take(chunks, 544)
        header = _header(path, head)
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


def names_in(path: Path, header: Header) -> dict[str, tuple[int, ...]]:
    """Return the names that a label table in the file's extensions gives to values, as TotalSegmentator writes it.

    Args:
        path: the file.
        header: of it; without room for extensions nothing is read.
    """
    import html
    import re

    if header.offset <= 544:  # the smallest label table takes more than what NIfTI-2 leaves
        return {}
    with contextlib.closing(chunks_of(path, 4096)) as chunks:
        text = bytes(_take(chunks, min(header.offset, LONGEST_TABLE)))[: header.offset].decode("utf-8", "replace")
    names: dict[str, tuple[int, ...]] = {}
    for key, quoted, bare in re.findall(
        r"<Label\s[^<>]*?Key=\"(\d{1,10})\"[^<>]*>\s*(?:<!\[CDATA\[([^\]<]*)\]\]>|([^<]*))\s*</Label>", text
    ):
        name = quoted.strip() or html.unescape(bare).strip()
        if name and int(key) > 0:
            names[name] = (*names.get(name, ()), int(key))
    return names


def chunks_of(path: Path, size: int = CHUNK, *, offset: int = 0, plain: bool = False) -> Generator[bytes, None, None]:
    """Yield the bytes of a plain or gzip file, at most ``size`` at a time; gzip checksums are verified at the end.

    Args:
        path: the file.
        size: most bytes at a time.
        offset: byte at which to begin.
        plain: never take the content for gzip.
    """
    with path.open("rb") as file:
        file.seek(offset)
        chunk = file.read(size)
        if not chunk:
            raise EOFError("the file is empty")
        if plain or chunk[:2] != b"\x1f\x8b":
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


def _header(path: Path, block: bytearray) -> Header:
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
    notes = contradictions(zooms, unit, spacing)
    found_header = Header(shape, spacing, affine, dtype, slope, intercept, int(offset), notes=notes)
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    check_size(path, bytes_of(found_header) + int(offset), path.stat().st_size, compressed)
    return found_header
