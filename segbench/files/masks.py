"""Pictures as label maps: palette indices, greys, colours by a table, black and white."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.files.colours import Colour, colours_in, labels_of_colours, written
from segbench.files.headers import invalid
from segbench.files.pictures import LOSSY, Picture

if TYPE_CHECKING:
    from numpy.typing import NDArray


def mask_of(path: Path, picture: Picture, table: Mapping[Colour, int]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return the stored label values ``(D, H, W)`` of a picture, and what a reader must know.

    Values are palette indices where there is a palette, else greys. With a table of colours they are what the table
    says of each pixel's colour.

    Args:
        path: for messages.
        picture: as ``pictures.read`` or ``tiff.read`` gave it.
        table: colour -> label value; empty = values stand for themselves.

    Raises:
        DataInvalid: colours without a table, lossy compression, or transparency that differs between pixels.
    """
    if path.suffix.lower() in LOSSY:
        found = "JPEG, which blurs values at every border"
        raise invalid(path, "labels as they were drawn", found, "Save masks as PNG; a threshold must be chosen.")
    if picture.alpha is not None and (picture.alpha != picture.alpha.flat[0]).any():
        found = "a transparency that differs from pixel to pixel"
        raise invalid(path, "one value or colour per pixel", found, "Save the mask without an alpha channel.")
    if table:
        coloured = _coloured(picture)
        _refuse_greys(path, picture, coloured, table)
        labels, notes = labels_of_colours(coloured, table)
        return labels, tuple(f"{path.name}: {note}" for note in (*picture.notes, *notes))
    return _values(path, picture)


def _refuse_greys(path: Path, picture: Picture, coloured: NDArray[Any], table: Mapping[Colour, int]) -> None:
    """Refuse a picture of greys alone that a table says nothing about: label values, most likely, not colours."""
    import numpy as np

    if picture.array.ndim == 4 or (coloured != coloured[..., :1]).any():
        return
    greys = [int(grey) for grey in np.unique(coloured[..., 0]) if grey]
    if greys and not any((grey, grey, grey) in table for grey in greys):
        shown = ", ".join(map(str, greys[:4])) + (", ..." if len(greys) > 4 else "")
        wanted = ", ".join(written(colour) for colour in list(table)[:4])
        remedy = "Save it in these colours, or give every mask as values and say NAME=VALUE."
        raise invalid(path, f"pixels in the colours of the table ({wanted})", f"greys only ({shown})", remedy)


def _coloured(picture: Picture) -> NDArray[Any]:
    import numpy as np

    if picture.palette is not None:
        coloured: NDArray[Any] = picture.palette[picture.array]
        return coloured
    if picture.array.ndim == 4:
        return picture.array
    grey = np.clip(picture.array, 0, 255).astype(np.uint8)
    return np.stack([grey] * 3, axis=-1)


def _values(path: Path, picture: Picture) -> tuple[NDArray[Any], tuple[str, ...]]:
    import numpy as np

    array, palette = picture.array, picture.palette
    if palette is not None and palette.tolist() == [[255] * 3, [0] * 3]:
        note = f"{path.name}: its palette is white, black; white was taken for 1"
        return 1 - array, (*picture.notes, note)
    if array.ndim == 3:
        return array, picture.notes
    if (array == array[..., :1]).all():
        return array[..., 0].copy(), (*picture.notes, f"{path.name}: its colours are equal; read as one grey")
    if picture.planar:
        note = f"{path.name}: its {array.shape[-1]} planes were taken for slices, not for colours"
        return np.ascontiguousarray(np.moveaxis(array[0], -1, 0)), (*picture.notes, note)
    remedy = "Say which colour is which label, such as vessel=#ff0000."
    raise invalid(path, "one label per pixel, or a table of colours", colours_in(array), remedy)
