"""Label maps out as pictures: greys or colours in PNG and BMP, stacks in TIFF."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.atomic import atomically
from segbench.files.colours import Colour
from segbench.files.headers import invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segbench.types import LabelMap

ENDINGS = (".png", ".bmp", ".tif", ".tiff")


def write(path: Path, label_map: LabelMap, colours: Mapping[int, Colour] | None) -> None:
    """Write a label map as a picture, atomically.

    Args:
        path: ends in one of ``ENDINGS``; its folder is made.
        label_map: integer ``(D, H, W)`` or ``(H, W)``.
        colours: label value -> colour; None = values are greys.

    Raises:
        DataInvalid: more slices, or other values, than the format can hold.
        Unwritable: the file cannot be written; what stood there before is untouched.
    """
    array = label_map.array[None] if label_map.array.ndim == 2 else label_map.array
    pixels = _coloured(path, array, colours) if colours else _grey(path, array)
    stack = path.suffix.lower() in (".tif", ".tiff")
    if not stack and len(array) != 1:
        raise invalid(path, "one slice", f"{len(array)} in a label map", "Write .tif or .nii.gz.")
    content = _tiff(pixels, label_map) if stack else _picture(path, pixels[0])
    atomically(path, lambda part: part.write_bytes(content))


def _grey(path: Path, array: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    most = 255 if path.suffix.lower() == ".bmp" else 65_535
    if low < 0 or high > most:
        raise invalid(path, f"values from 0 to {most}", f"{low} to {high} in a label map", "Write .nii.gz.")
    return array.astype(np.uint8 if high < 256 else np.uint16)


def _coloured(path: Path, array: NDArray[Any], colours: Mapping[int, Colour]) -> NDArray[Any]:
    import numpy as np

    pixels = np.zeros((*array.shape, 3), np.uint8)
    missing = set(np.unique(array).tolist()) - colours.keys() - {0}
    if missing:
        raise invalid(path, "a colour for every value", f"none for {sorted(missing)[:5]}", "Add it to the table.")
    for value, colour in colours.items():
        pixels[array == value] = colour
    return pixels


def _picture(path: Path, pixels: NDArray[Any]) -> bytes:
    import numpy as np
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, path.suffix[1:].upper())
    return stream.getvalue()


def _tiff(pixels: NDArray[Any], label_map: LabelMap) -> bytes:
    import tifffile

    stream = io.BytesIO()
    coloured = pixels.ndim == 4
    metadata: dict[str, Any] = {"axes": "ZYXS" if coloured else "ZYX"}
    settings: dict[str, Any] = {"photometric": "rgb" if coloured else "minisblack", "metadata": metadata}
    if label_map.unit == "mm":
        depth, height, width = (1.0, *label_map.spacing)[-3:]
        metadata |= {"unit": "mm", "spacing": depth}
        settings |= {"resolution": (1 / width, 1 / height), "imagej": True}
        settings.pop("photometric")
    tifffile.imwrite(stream, pixels, **settings)
    return stream.getvalue()
