"""PNG, BMP, GIF and JPEG, read in this process by Pillow: pixels as stored, palettes kept, no size of pixels believed.

Such files say dots per inch for a printer, never what a pixel measures in a patient, so their unit of length is the
pixel. Pillow does not verify the checksums of PNG, which would let a flipped bit through as another label, and it
spreads 2 and 4 bit greys over 0 to 255; both are seen to here. TIFF has a reader of its own (``tiff.py``).
"""

from __future__ import annotations

import io
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.files.headers import LARGEST, REPLACE, Header, check_size, invalid
from segbench.types import Unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ENDINGS = (".png", ".bmp", ".gif", ".jpg", ".jpeg")
LOSSY = (".jpg", ".jpeg")
_FORMATS = {".png": "PNG", ".bmp": "BMP", ".gif": "GIF", ".jpg": "JPEG", ".jpeg": "JPEG"}
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY = {"1": "|u1", "L": "|u1", "I;16": "<u2", "I;16B": "<u2", "I;16L": "<u2", "I;16N": "<u2", "I": "<i4"}
_COLOUR = {"LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "PA": 2, "RGBX": 4}


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels as stored.

    Attributes:
        array: ``(D, H, W)``, or ``(D, H, W, C)`` with 3 colours (2 to 4 planes); integers or floating point.
        palette: uint8 ``(n, 3)``, the colours that the values stand for, or None if they stand for themselves.
        alpha: transparency ``(D, H, W)``, or None.
        spacing: ``(D, H, W)``, in ``unit``.
        unit: "mm", or "px" where no size is declared.
        notes: what a reader must know.
        planar: whether colours are planes in the file, which some writers make of two to four slices.
    """

    array: NDArray[Any]
    palette: NDArray[np.uint8] | None = None
    alpha: NDArray[Any] | None = None
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    unit: Unit = "px"
    notes: tuple[str, ...] = ()
    planar: bool = False


def read(path: Path, *, voxels: bool = True) -> Picture:
    """Read a picture; without ``voxels`` the array has the right shape and dtype only.

    Raises:
        DataInvalid: damaged, several frames, more colours per pixel than can be read, or a file that cannot hold it.
        OSError: see ``headers.guarded``.
    """
    from PIL import Image

    content = path.read_bytes()
    kind = _FORMATS[path.suffix.lower()]
    if not content:
        raise EOFError("the file is empty")
    bits = _checked_png(path, content) if kind == "PNG" and content.startswith(_SIGNATURE) else 8
    try:
        with warnings.catch_warnings(action="ignore"):
            image = Image.open(io.BytesIO(content), formats=[kind])
    except Image.DecompressionBombError as error:
        raise invalid(path, "a picture that memory can hold", str(error), "Save it as TIFF, or cut it up.") from error
    with image, warnings.catch_warnings(action="ignore"):  # on odd tags; what matters is checked here
        if getattr(image, "is_animated", False):
            raise invalid(path, "one picture", "several frames in one file", "Save each frame as a file of its own.")
        _check_claim(path, image, len(content))
        return _picture(path, image, bits, voxels=voxels)


def _checked_png(path: Path, content: bytes) -> int:
    """Verify the checksum of every chunk; return the bits per sample."""
    position, names = len(_SIGNATURE), []
    while position + 12 <= len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        end = position + 8 + length
        names.append(content[position + 4 : position + 8])
        if end + 4 > len(content) or zlib.crc32(content[position + 4 : end]) != int.from_bytes(
            content[end : end + 4], "big"
        ):
            raise invalid(path, "PNG chunks with the checksum they say", f"another at byte {position}", REPLACE)
        position = end + 4
        if names[-1] == b"IEND":
            break
    if not names or names[0] != b"IHDR" or names[-1] != b"IEND":
        raise invalid(path, "a whole PNG from IHDR to IEND", "a part of one", REPLACE)
    if b"acTL" in names:
        raise invalid(path, "one picture", "an animation", "Save each frame as a file of its own.")
    return content[24]


def _check_claim(path: Path, image: Any, stored: int) -> None:
    """Refuse pictures whose file cannot hold what its header claims (JPEG and GIF compress without a useful bound)."""
    width, height = image.size
    needed = width * height * max(1, len(image.getbands()))
    if image.format == "PNG":
        check_size(path, needed // 8, stored, True)
    elif image.format == "BMP" and image.info.get("compression", 0) == 0:
        check_size(path, width * height // 8, stored, False)
    elif needed > LARGEST:
        check_size(path, needed, stored, False)


def _picture(path: Path, image: Any, bits: int, *, voxels: bool) -> Picture:
    import numpy as np

    mode, (width, height) = image.mode, image.size
    if mode not in _GREY and mode not in _COLOUR and mode != "P":
        raise invalid(path, "grey, indexed or coloured pixels", f"the Pillow mode {mode}", "Save it as plain PNG.")
    if not voxels:
        dtype = np.dtype(_GREY.get(mode, "|u1"))
        shape = (1, height, width, 3) if _COLOUR.get(mode, 0) > 2 else (1, height, width)
        return Picture(np.broadcast_to(np.zeros((), dtype), shape), _palette(image))
    if mode == "CMYK":
        image = image.convert("RGB")
    pixels = np.asarray(image.convert("L")) // 255 if mode == "1" else np.asarray(image)
    if pixels.shape[:2] != (height, width):
        raise invalid(path, f"{height}x{width} pixels", f"{pixels.shape}", REPLACE)
    pixels = np.array(pixels, dtype=_GREY.get(mode, "|u1"))[None]  # a copy that may be written to
    if mode == "L" and bits in (2, 4):
        pixels //= 255 // (2**bits - 1)
    if image.mode in ("LA", "PA"):
        return Picture(np.ascontiguousarray(pixels[..., 0]), _palette(image), pixels[..., 1])
    if image.mode in ("RGBA", "RGBX"):
        return Picture(np.ascontiguousarray(pixels[..., :3]), None, pixels[..., 3] if mode == "RGBA" else None)
    palette = _palette(image)
    if palette is not None and pixels.max() >= len(palette):
        found = f"index {int(pixels.max())}"
        raise invalid(path, f"indices below {len(palette)}, the size of the palette", found, REPLACE)
    if palette is not None and image.format == "GIF" and _is_grey(palette):  # GIF cannot store greys in another way
        return Picture(palette[:, 0][pixels])
    return Picture(pixels, palette)


def _palette(image: Any) -> NDArray[np.uint8] | None:
    import numpy as np

    if image.mode not in ("P", "PA"):
        return None
    colours = image.getpalette("RGB")
    return np.array(colours or [0, 0, 0], dtype=np.uint8).reshape(-1, 3)


def header_of(picture: Picture) -> Header:
    """Return the header of a picture as an image: palettes count as the colours they stand for."""
    import numpy as np

    array, palette = picture.array, picture.palette
    coloured = palette is not None and not _is_grey(palette)
    depth, height, width = array.shape[:3]
    affine = np.diag([*picture.spacing, 1.0])[[2, 1, 0, 3]] * np.array([[-1.0], [-1.0], [1.0], [1.0]])
    dtype = np.dtype(np.uint8) if palette is not None else array.dtype
    channels = array.shape[3] if array.ndim == 4 else 3 if coloured else 1
    return Header((channels, depth, height, width), picture.spacing, affine, dtype, unit=picture.unit)


def as_image(picture: Picture) -> NDArray[Any]:
    """Return intensities ``(C, D, H, W)``: three colours, or one grey; transparency is left out."""
    import numpy as np

    pixels = picture.array
    if picture.palette is not None:
        pixels = picture.palette[:, 0][pixels] if _is_grey(picture.palette) else picture.palette[pixels]
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 0)) if pixels.ndim == 4 else pixels[None]


def _is_grey(palette: NDArray[np.uint8]) -> bool:
    return bool((palette == palette[:, :1]).all())
