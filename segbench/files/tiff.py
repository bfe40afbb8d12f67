"""TIFF, read in this process by tifffile: pages as slices, ImageJ's and OME's calibration, print resolution ignored.

The resolution tags of TIFF say how large a printer should make a pixel. They measure something only where ImageJ wrote
them (``ImageJ=`` in the description, with a unit) or where OME-XML gives physical sizes; else the unit of length is
the pixel. Codecs that tifffile does not have by itself (LZW, CCITT, JPEG) are left to Pillow, page by page.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.files.headers import LARGEST, REPLACE, check_size, invalid
from segbench.files.pictures import Picture
from segbench.types import Unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ENDINGS = (".tif", ".tiff")
_MILLIMETRES = {
    **dict.fromkeys(("mm", "millimeter", "millimetre", "millimeters", "millimetres"), 1.0),
    **dict.fromkeys(("um", "µm", "μm", "\\u00b5m", "micron", "microns", "micrometer", "micrometre"), 1e-3),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-6),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 10.0),
    **dict.fromkeys(("m", "meter", "metre"), 1000.0),
    **dict.fromkeys(("inch", "inches", "in", '"'), 25.4),
}
"""Units of length as ImageJ and OME write them, in lower case, in mm."""
_PALETTE, _WHITE_IS_ZERO, _PLANES = 3, 0, 2
_DEPTHS = "ZIQT"
"""Axes that may be slices, in tifffile's letters; only one of them may be longer than 1."""


def read(path: Path, *, voxels: bool = True) -> Picture:
    """Read a TIFF; without ``voxels`` the array has the right shape and dtype only.

    Raises:
        DataInvalid: damaged, several images of different shapes, or axes that are no slices and colours.
        OSError: see ``headers.guarded``.
    """
    import numpy as np

    if importlib.util.find_spec("tifffile") is None:
        found = "a TIFF without tifffile"
        raise invalid(path, "a format that is readable here", found, "pip install 'segbench[tiff]', or convert to PNG.")
    import tifffile

    with _attentive(path) as complaints, tifffile.TiffFile(path) as file:
        if len(file.series) != 1:
            found = f"{len(file.series)} images of different shapes"
            raise invalid(path, "one image", found, "Save each of them as a file of its own.")
        series = file.series[0]
        order, colours = _axes(path, series.axes, series.shape)
        page: Any = file.pages[0]
        dtype = np.dtype(series.dtype) if series.dtype is not None else np.dtype("V")
        complaints.check()
        _check(path, file, series, dtype)
        spacing, unit = _calibration(path, file)
        array = _voxels(path, file, series) if voxels else np.broadcast_to(np.zeros((), dtype), series.shape)
        complaints.check()
        array = array.transpose(order).reshape(_shape(array.shape, order, colours))
        if dtype.kind == "b":
            array = array.view(np.uint8) if voxels else array.astype(np.uint8)
            if page.photometric == _WHITE_IS_ZERO:
                array = 1 - array  # as every viewer shows it: white is 1
        alpha = None
        planar = colours > 1 and page.planarconfig == _PLANES and len(array) == 1
        if colours in (2, 4) and not planar:
            array, alpha = array[..., : colours - 1], array[..., -1]
            array = array[..., 0] if colours == 2 else array
        array = np.ascontiguousarray(array) if voxels else array
        return Picture(array, _palette(page), alpha, spacing, unit, planar=planar)


class _Complaints(logging.Handler):
    """What tifffile logs as errors: it goes on without what it cannot read, which would be other pixels in silence."""

    def __init__(self, path: Path) -> None:
        super().__init__(logging.ERROR)
        self.path, self.first = path, ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the first."""
        self.first = self.first or " ".join(record.getMessage().split())[:200]

    def check(self) -> None:
        """Raise DataInvalid if there was a complaint."""
        if self.first:
            raise invalid(self.path, "a TIFF without a fault", self.first, REPLACE)


@contextlib.contextmanager
def _attentive(path: Path) -> Iterator[_Complaints]:
    """Keep remarks of tifffile and Pillow out of sight, and collect those that say that something is missing."""
    log = logging.getLogger("tifffile")
    complaints, before = _Complaints(path), (log.propagate, log.disabled)
    log.addHandler(complaints)
    log.propagate, log.disabled = False, False
    try:
        with warnings.catch_warnings(action="ignore"):
            yield complaints
    finally:
        log.removeHandler(complaints)
        log.propagate, log.disabled = before


def _axes(path: Path, axes: str, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """Return the order of axes (slices, height, width, colours; those of length one first), and how many colours."""
    if "Y" not in axes or "X" not in axes:
        raise invalid(path, "height and width", f"axes {axes}", "Save it as a plain TIFF.")
    deep = [index for index, name in enumerate(axes) if name in _DEPTHS and shape[index] > 1]
    colour = [index for index, name in enumerate(axes) if name in "SC" and shape[index] > 1]
    row, column = axes.index("Y"), axes.index("X")
    rest = [index for index in range(len(axes)) if index not in (*deep, *colour, row, column)]
    if len(deep) > 1 or len(colour) > 1 or any(shape[index] != 1 for index in rest):
        found = f"axes {axes} of shape {tuple(shape)}"
        raise invalid(path, "slices, height, width and colours", found, "Save each channel or time as its own file.")
    colours = shape[colour[0]] if colour else 1
    if colours > 4:
        raise invalid(path, "at most 4 colours per pixel", f"{colours}", "Save each channel as its own file.")
    return (*rest, *deep, row, column, *colour), colours


def _shape(shape: tuple[int, ...], order: tuple[int, ...], colours: int) -> tuple[int, ...]:
    lengths = [shape[index] for index in order]
    tail = lengths[-3:] if colours > 1 else lengths[-2:]
    return (math.prod(lengths[: len(lengths) - len(tail)]), *tail)


def _check(path: Path, file: Any, series: Any, dtype: np.dtype[Any]) -> None:
    """Refuse what the file cannot hold, and pages with missing parts, which tifffile would fill with zeros."""
    if dtype.kind not in "iufb" or math.prod(series.shape) == 0:
        raise invalid(path, "pixels that are numbers", f"{dtype} of shape {tuple(series.shape)}", "Convert the image.")
    needed, stored = math.prod(series.shape) * dtype.itemsize, path.stat().st_size
    page = file.pages[0]
    plain = page.compression == 1
    if needed > LARGEST or (plain and dtype.kind != "b"):
        check_size(path, needed, stored, False)
    elif page.compression in (8, 32946):  # deflate
        check_size(path, needed // 8, stored, True)
    for one in series.pages if len(series.pages) > 1 else [page]:
        if one is not None and (
            len(one.dataoffsets) != math.prod(page.chunked) or len(one.databytecounts) != math.prod(page.chunked)
        ):
            found = f"{len(one.dataoffsets)} with {len(one.databytecounts)} sizes"
            raise invalid(path, f"{math.prod(page.chunked)} strips or tiles", found, REPLACE)
        if one is None or not one.dataoffsets or not all(one.databytecounts) or not all(one.dataoffsets):
            raise invalid(path, "every strip or tile of every page", "some that are missing", REPLACE)
        if any(start + count > stored for start, count in zip(one.dataoffsets, one.databytecounts, strict=False)):
            raise invalid(path, "strips that lie inside the file", "some that reach beyond its end", REPLACE)


def _voxels(path: Path, file: Any, series: Any) -> NDArray[Any]:
    import numpy as np

    try:
        array = np.asarray(series.asarray())
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        array = _by_pillow(path, file, series)
    if array.shape != tuple(series.shape):
        raise invalid(path, f"pixels of shape {tuple(series.shape)}", f"{array.shape}", REPLACE)
    return array.copy() if not array.flags.writeable else array


def _by_pillow(path: Path, file: Any, series: Any) -> NDArray[Any]:
    """Decode every page with Pillow; it must see what tifffile sees."""
    import numpy as np
    from PIL import Image

    pages = []
    with Image.open(path, formats=["TIFF"]) as image:
        for index, page in enumerate(series.pages):
            image.seek(index)
            pixels = np.asarray(image.convert("L")) > 0 if image.mode == "1" else np.asarray(image)
            if image.mode == "1" and page.photometric == _WHITE_IS_ZERO:
                pixels = ~pixels  # Pillow has turned it round; what is stored is asked for
            if pixels.shape != tuple(page.shape) or pixels.dtype.kind != np.dtype(page.dtype).kind:
                found = f"{pixels.dtype} {pixels.shape} in page {index}"
                raise invalid(path, f"{page.dtype} pixels of shape {page.shape}", found, "Save it uncompressed.")
            pages.append(pixels)
    return np.stack(pages).reshape(series.shape)


def _palette(page: Any) -> NDArray[np.uint8] | None:
    import numpy as np

    if page.photometric != _PALETTE or page.colormap is None:
        return None
    return np.ascontiguousarray((np.asarray(page.colormap).reshape(3, -1).T >> 8).astype(np.uint8))


def _calibration(path: Path, file: Any) -> tuple[tuple[float, float, float], Unit]:
    """Return the spacing that ImageJ or OME declares, in mm, else one pixel."""
    sizes = None
    if file.is_imagej:
        sizes = _of_imagej(file)
    elif file.is_ome:
        sizes = _of_ome(file.ome_metadata or "")
    if sizes is None:
        return (1.0, 1.0, 1.0), "px"
    if not all(math.isfinite(size) and 0 < size < 1e6 for size in sizes):
        raise invalid(path, "pixel sizes above 0", f"{sizes} mm", "Calibrate the image again, or remove its unit.")
    return sizes, "mm"


def _of_imagej(file: Any) -> tuple[float, float, float] | None:
    """Return what ImageJ wrote: pixels per unit in the resolution tags, the distance of slices in ``spacing``."""
    said = {key.lower(): value for key, value in (file.imagej_metadata or {}).items()}
    factors = [_factor(said.get(key, said.get("unit"))) for key in ("zunit", "yunit", "unit")]
    tags = [file.pages[0].tags.get(name) for name in ("YResolution", "XResolution")]
    if None in factors or None in tags:
        return None
    counts, units = zip(*(tag.value for tag in tags), strict=True)
    if not all(counts) or not all(units):
        return None
    depth = float(said.get("spacing", 1.0))  # ImageJ leaves out a distance of 1
    sizes = (abs(depth), units[0] / counts[0], units[1] / counts[1])
    depth, height, width = (size * factor for size, factor in zip(sizes, factors, strict=True) if factor)
    return depth, height, width


def _of_ome(text: str) -> tuple[float, float, float] | None:
    """Return the physical sizes of OME-XML; µm is its unit if it names none. Text that is no XML says nothing."""
    import re

    if "<!" in text.replace("<!--", ""):  # no entities, no document types
        return None
    pixels = re.search(r"<(?:\w+:)?Pixels\b([^>]*)>", text)
    said = dict(re.findall(r'\b(PhysicalSize[XYZ](?:Unit)?)="([^"]*)"', pixels[1])) if pixels else {}
    sizes: list[float] = []
    for axis in "ZYX":
        factor = _factor(said.get(f"PhysicalSize{axis}Unit", "µm"))
        value = said.get(f"PhysicalSize{axis}", "1" if axis == "Z" else "")
        try:
            sizes.append(float(value) * (factor or math.nan))
        except ValueError:
            return None
    return None if any(math.isnan(size) for size in sizes) else (sizes[0], sizes[1], sizes[2])


def _factor(unit: object) -> float | None:
    """Return how many mm a unit is, or None for pixels and what is no length."""
    return _MILLIMETRES.get(str(unit).strip().lower()) if unit is not None else None
