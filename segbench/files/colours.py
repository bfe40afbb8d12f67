"""Colours that stand for labels: ``#ff0000`` in options and files, masks of colours -> label values.

A mask of colours is read by a table only: guessing which colour is which label would be a wrong number in silence.
Black is background unless the table says otherwise; pixels of any other colour count as background and are reported
with their number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from segbench.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""
_HEX = re.compile(r"#(?:([0-9a-fA-F]{3})|([0-9a-fA-F]{6}))")
_SHOWN = 4


def is_colour(value: object) -> bool:
    """Return whether a text is written like a colour (``#`` and hexadecimal digits)."""
    return isinstance(value, str) and value.strip().startswith("#")


def parse_colour(value: Any) -> Colour:
    """Return the colour that ``#ff0000``, ``#f00`` or ``[255, 0, 0]`` says.

    Raises:
        UsageError: if it says none.
    """
    if isinstance(value, str) and (match := _HEX.fullmatch(value.strip())):
        digits = match[2] or "".join(digit * 2 for digit in match[1])
        return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)
    if isinstance(value, list | tuple) and len(value) == 3:
        numbers = [number for number in value if type(number) is int and 0 <= number <= 255]
        if len(numbers) == 3:
            return numbers[0], numbers[1], numbers[2]
    raise UsageError(f"{value!r}: expected a colour such as #ff0000 or [255, 0, 0].")


def named_colours(table: Mapping[str, Any]) -> tuple[dict[str, int], dict[Colour, int]]:
    """Return name -> value and colour -> value of a table such as ``{"vessel": "#ff0000", "disc": "#00ff00"}``.

    Values count from 1 in the order of the table; an entry called ``background`` (or a black one) gets 0.

    Args:
        table: name -> colour, see ``parse_colour``.

    Raises:
        UsageError: something that is no colour, or one colour for two names.
    """
    names: dict[str, int] = {}
    colours: dict[Colour, int] = {}
    for name, value in table.items():
        colour = parse_colour(value)
        if colour in colours:
            raise UsageError(f"{name!r}: expected a colour of its own, found {written(colour)} twice. Correct one.")
        background = colour == (0, 0, 0) or name.strip().lower() == "background"
        colours[colour] = 0 if background else len(names) + 1
        if not background:
            names[name] = len(names) + 1
    return names, colours


def written(colour: Colour) -> str:
    """Return a colour as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def labels_of_colours(
    pixels: NDArray[np.uint8], table: Mapping[Colour, int]
) -> tuple[NDArray[np.integer[Any]], tuple[str, ...]]:
    """Return label values, and what a reader must know of other colours.

    Args:
        pixels: uint8 ``(..., 3)``.
        table: colour -> label value, 0 or more.
    """
    import numpy as np

    codes = _codes(pixels)
    largest = max(table.values(), default=0)
    labels = np.zeros(codes.shape, np.uint8 if largest < 256 else np.int32)
    known = codes == 0
    for colour, value in table.items():
        here = codes == _code(colour)
        labels[here] = value
        known |= here
    if known.all():
        return labels, ()
    others = codes[~known]
    different = np.unique(others)
    shown = ", ".join(f"#{code:06x}" for code in different[:_SHOWN]) + (", ..." if len(different) > _SHOWN else "")
    note = f"{len(others)} pixels of {len(different)} colours that are in no table ({shown}) count as background"
    return labels, (note,)


def colours_in(pixels: NDArray[np.uint8]) -> str:
    """Return the colours of pixels ``(..., 3)`` in words, the first few."""
    import numpy as np

    different = np.unique(_codes(pixels))
    shown = ", ".join(f"#{code:06x}" for code in different[:_SHOWN])
    return f"{len(different)} colours ({shown}{', ...' if len(different) > _SHOWN else ''})"


def _code(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _codes(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    import numpy as np

    wide = pixels.astype(np.int32)
    codes: NDArray[np.int32] = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return codes
