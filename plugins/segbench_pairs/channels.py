"""Channels of pictures by name: all, grey, or some of red, green and blue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segbench import DataInvalid, UsageError, image_header

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLOURS = ("red", "green", "blue")
_LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey: ITU-R BT.601, as Pillow and OpenCV have them."""


def channel_names(wanted: Sequence[str], images: Sequence[Path]) -> tuple[str, ...]:
    """Return the names of the channels: those wanted, else those of the first case's files.

    Args:
        wanted: from the settings; () = all.
        images: files of one case.

    Raises:
        UsageError: one name twice.
    """
    if wanted:
        if len(set(wanted)) != len(wanted):
            raise UsageError(f"channels: expected every name once, found {', '.join(wanted)}.")
        return tuple(wanted)
    count = sum(image_header(path).shape[0] for path in images)
    if len(images) == 1 and count == 3:
        return COLOURS
    return ("image",) if count == 1 else tuple(f"channel {index}" for index in range(count))


def select(image: NDArray[np.float32], wanted: Sequence[str], case: str) -> NDArray[np.float32]:
    """Return the channels wanted of an image.

    Args:
        image: float32 ``(C, D, H, W)``.
        wanted: names; other than grey, red, green and blue they count as the file's own, in order.
        case: for messages.

    Raises:
        DataInvalid: a colour of an image that has none.
    """
    import numpy as np

    names = tuple(wanted)
    if names == ("grey",):
        if len(image) == 1:
            return image
        if len(image) == 3:
            grey = np.tensordot(np.array(_LUMA, dtype=np.float32), image, axes=1)
            return np.ascontiguousarray(grey[None], dtype=np.float32)
    elif set(names) <= set(COLOURS):
        if len(image) == 1:
            return np.repeat(image, len(names), axis=0)
        if len(image) == 3:
            return np.ascontiguousarray(image[[COLOURS.index(name) for name in names]])
    elif len(image) == len(names):
        return image
    raise DataInvalid(
        f"case {case}: expected the channels {', '.join(names)}, found {len(image)} in its file. Are some pictures "
        f"grey and some in colour? Say --set dataset.channels=grey, or =red,green,blue (grey counts as all three)."
    )
