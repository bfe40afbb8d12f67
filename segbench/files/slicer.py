"""3D Slicer's ``.seg.nrrd``: names, values and layers of segments out of the header; voxels read and checked here.

Source: https://slicer.readthedocs.io/en/latest/developer_guide/modules/segmentations.html. The header is parsed by
pynrrd; the segments' names are read as UTF-8, which it drops. A segmentation covers only the box its segments need.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.files.headers import REPLACE, Header, check_size, geometry_of, invalid
from segbench.files.nifti import chunks_of
from segbench.files.segments import Coding, Labels, Names

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LONGEST_HEADER = 1 << 22
_MARK = re.compile(rb"^Segment\d+_(ID|Name|LabelValue|Layer)\s*:=", re.MULTILINE)
_FIELD = re.compile(rb"^Segment(\d+)_(Name|ID|LabelValue|Layer)[ \t]*:=[ \t]*([^\r\n]*)", re.MULTILINE)
_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
}
_LPS = ("left-posterior-superior", "lps")
_RAS = ("right-anterior-superior", "ras")


def is_segmentation(path: Path) -> bool:
    """Return whether a NRRD file's header names segments; False if it cannot be looked at."""
    if not path.name.lower().endswith(".nrrd"):
        return False
    with contextlib.suppress(OSError), path.open("rb") as file:
        head = file.read(_LONGEST_HEADER if path.name.lower().endswith(".seg.nrrd") else 1 << 16)
        return bool(_MARK.search(head.partition(b"\n\n")[0]))
    return False


def read(path: Path) -> Labels:
    """Read a segmentation.

    Raises:
        DataInvalid: damaged, two segments of one name, values that no segment has, or no pynrrd.
        OSError: see ``headers.guarded``.
    """
    if importlib.util.find_spec("nrrd") is None:
        found = "a segmentation of 3D Slicer without pynrrd"
        raise invalid(path, "a format that is readable here", found, "pip install 'segbench[slicer]'.")
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
    text, _, _ = head.partition(b"\n\n")
    start = len(text) + 2
    if b"\r\n\r\n" in head[:start]:
        text = head.partition(b"\r\n\r\n")[0]
        start = len(text) + 4
    header, layers, fields = _header(path, text)
    values = _voxels(path, header, layers, fields, start)
    return _labels(path, header, values, _segments(path, text, layers))


def _header(path: Path, text: bytes) -> tuple[Header, int, dict[str, Any]]:
    """Return the header as an image of one channel, the number of layers, and the fields."""
    import nrrd
    import numpy as np

    fields: dict[str, Any] = dict(nrrd.read_header([line + b"\n" for line in text.splitlines()]))
    sizes = [int(size) for size in fields["sizes"]]
    dtype = _TYPES.get(str(fields["type"]).lower())
    kinds = [str(kind).lower() for kind in fields.get("kinds", ["domain"] * len(sizes))]
    layered = len(sizes) == 4 and kinds[0] not in ("domain", "space")
    if dtype is None or len(sizes) != 3 + layered or min(sizes) < 1:
        found = f"{fields['type']} of sizes {sizes}, kinds {kinds}"
        raise invalid(path, "three axes of integers, after one for layers", found, REPLACE)
    order = ">" if str(fields.get("endian", "little")).lower() == "big" else "<"
    columns = np.asarray(fields["space directions"], dtype=np.float64)[-3:].T
    space = str(fields.get("space", "")).lower()
    if columns.shape != (3, 3) or space not in (*_LPS, *_RAS):
        raise invalid(path, "directions in left-posterior-superior", f"space {space!r}, {columns.tolist()}", REPLACE)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = columns, np.asarray(fields["space origin"], dtype=np.float64)
    if space in _LPS:
        affine[:2] *= -1
    lengths = sizes[-3:]
    zooms = [float(np.linalg.norm(columns[:, axis])) for axis in range(3)]
    spacing, affine = geometry_of(path, [3, *lengths, 1, 1], zooms, affine, 1.0)
    shape = (1, lengths[2], lengths[1], lengths[0])
    return Header(shape, spacing, affine, np.dtype(f"{order}{dtype}")), sizes[0] if layered else 1, fields


def _voxels(path: Path, header: Header, layers: int, fields: dict[str, Any], start: int) -> NDArray[Any]:
    """Return the voxels ``(layers, D, H, W)``; every byte is there, and the checksum of gzip is right."""
    import numpy as np

    encoding = str(fields.get("encoding", "raw")).lower()
    if "data file" in fields or "datafile" in fields or encoding not in ("raw", "gzip", "gz"):
        found = f"encoding {encoding}" if "data file" not in fields else "voxels in another file"
        raise invalid(path, "raw or gzip voxels in the same file", found, "Save it again with 3D Slicer.")
    count = math.prod(header.shape) * layers
    needed, stored = count * header.dtype.itemsize, path.stat().st_size - start
    check_size(path, needed, max(0, stored), encoding != "raw")
    content = bytearray()
    for chunk in chunks_of(path, offset=start, plain=encoding == "raw"):
        content += chunk
        if len(content) > needed:
            raise invalid(path, f"{needed:,} bytes of voxels as the header says", "more bytes after the last", REPLACE)
    if len(content) != needed:
        raise invalid(path, f"{needed:,} bytes of voxels", f"{len(content):,}: truncated", REPLACE)
    voxels = np.frombuffer(content, dtype=header.dtype)
    return np.moveaxis(voxels.reshape(*header.shape[1:], layers), -1, 0)


def _segments(path: Path, text: bytes, layers: int) -> list[tuple[str, int, int]]:
    """Return name, layer and value of every segment; files of before 2020 have one layer each and no values."""
    said: dict[int, dict[str, str]] = {}
    for number, key, value in _FIELD.findall(text):
        said.setdefault(int(number), {})[key.decode()] = value.decode("utf-8", "replace").strip()
    segments = []
    for position, (_, one) in enumerate(sorted(said.items())):
        name = one.get("Name") or one.get("ID") or f"Segment {position + 1}"
        layer = int(one["Layer"]) if "Layer" in one else position if layers > 1 else 0
        value = int(one["LabelValue"]) if "LabelValue" in one else 1 if layers > 1 else position + 1
        if not 0 <= layer < layers or value < 1:
            raise invalid(path, f"segments in layers 0 to {layers - 1}", f"{name}: {value} in layer {layer}", REPLACE)
        segments.append((name, layer, value))
    names = [name for name, _, _ in segments]
    places = [place for _, *place in segments]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise invalid(path, "a name of its own for every segment", f"{twice[0]!r} twice", "Rename one in 3D Slicer.")
    if any(places.count(place) > 1 for place in places):
        raise invalid(path, "a value of its own for every segment", "one value twice in a layer", REPLACE)
    return segments


def _labels(path: Path, header: Header, values: NDArray[Any], segments: list[tuple[str, int, int]]) -> Labels:
    import numpy as np

    for layer in range(len(values)):
        known = [0, *(value for _, where, value in segments if where == layer)]
        strange = np.setdiff1d(np.unique(values[layer]), known)
        if strange.size:
            found = f"{strange[:5].tolist()} in layer {layer}"
            raise invalid(path, "values of the segments that the header names", found, REPLACE)
    if len(values) == 1:
        names: Names = {name: (value,) for name, _, value in segments}
        return Labels(header, np.ascontiguousarray(values), names=names, cropped=True)
    coding = Coding()
    codes = coding.encode(header.shape[1:], ((name, values[layer] == value) for name, layer, value in segments))
    return Labels(header._replace(dtype=codes.dtype), codes[None], names=coding.names(), cropped=True)
