"""A case that can be scrolled through: slices as one picture, label maps as packed codes that the page's script draws.

The page stays small: what is labelled is cut out with a margin, at most ``MOST_SLICES`` slices and ``MOST_SIDE`` pixels
a side are kept, and what was left out is said.
"""

from __future__ import annotations

import base64
import io
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jinja2.utils import htmlsafe_json_dumps
from numpy.typing import NDArray

from segbench.atomic import atomically
from segbench.reporting.files import Site
from segbench.reporting.hanging import Hanging
from segbench.reporting.material import Material
from segbench.reporting.svg import colour, numbered

MOST_SLICES = 64
MOST_SIDE = 320
MOST_METHODS = 8
"""Methods whose label maps travel with a page; four of them are seen at a time."""
_MARGIN = 0.15
_FEWEST = 8
"""Share of the labelled box that is shown around it, and voxels at least."""


@dataclass(frozen=True)
class Stack:
    """What is shown of a volume, hung as radiologists do: slices, rows, columns.

    Attributes:
        axis: of the volume across which the slices lie; indices: of the slices, in the volume.
        start: position among them of the slice in which the methods err most.
        box: what is cut out; step: along rows and columns of the volume.
        hang: how each slice is turned.
        spacing: mm of slices, rows and columns.
        left_out: in words, "" if nothing is.
    """

    axis: int
    indices: tuple[int, ...]
    start: int
    box: tuple[slice, ...]
    step: int
    hang: Hanging
    spacing: tuple[float, float, float]
    left_out: str

    def of(self, volume: NDArray[Any], indices: Sequence[int] | None = None) -> NDArray[Any]:
        """Return what is shown of a volume ``(D, H, W)``: ``(S, R, C)``."""
        cut = np.moveaxis(volume, self.axis, 0)[list(self.indices if indices is None else indices)]
        rows, columns = (self.box[other] for other in range(3) if other != self.axis)
        cut = cut[:, rows, columns][:, :: self.step, :: self.step]
        return np.stack([self.hang(one) for one in cut])


def stack_of(material: Material) -> Stack:
    """Settle what is shown of a case."""
    axis = int(np.argmax(material.spacing)) if material.truth.shape[0] > 1 else 0
    labelled = np.logical_or.reduce([material.truth != 0, *(one != 0 for one in material.predictions.values())])
    box = tuple(_side(labelled, other, 1 if other == axis else _FEWEST) for other in range(3))
    others = tuple(other for other in range(3) if other != axis)
    errors = material.wrong.sum(axis=others, dtype=np.int64)
    every = range(box[axis].start, box[axis].stop)
    worst = max(every, key=lambda index: (errors[index], -index))
    each = math.ceil(len(every) / MOST_SLICES)
    indices = sorted({*every[::each][: MOST_SLICES - 1], worst}) if each > 1 else list(every)
    side = max(box[other].stop - box[other].start for other in others)
    step = math.ceil(side / MOST_SIDE)
    hang = Hanging.of(material.spacing, material.affine, axis)
    said = []
    if len(indices) < material.truth.shape[axis]:
        words = f"{len(indices)} of {material.truth.shape[axis]} slices"
        said.append(f"{words}: {f'one in {each}, and the worst' if each > 1 else 'those with a label'}")
    if step > 1:
        said.append(f"one pixel in {step} of each side")
    rows, columns = others if not hang.swap else others[::-1]
    spacing = (material.spacing[axis] * each, material.spacing[rows] * step, material.spacing[columns] * step)
    return Stack(axis, tuple(indices), indices.index(worst), box, step, hang, spacing, "; ".join(said))


def _side(labelled: NDArray[np.bool_], axis: int, least: int) -> slice:
    """Return the side of the box of what is labelled, with a margin; all of it if nothing is."""
    there = np.flatnonzero(labelled.any(axis=tuple(other for other in range(3) if other != axis)))
    if not there.size:
        return slice(0, labelled.shape[axis])
    low, high = int(there[0]), int(there[-1]) + 1
    margin = max(least, round(_MARGIN * (high - low))) if least > 1 else least
    return slice(max(0, low - margin), min(labelled.shape[axis], high + margin))


def write_viewer(
    name: str,
    material: Material,
    stack: Stack,
    first: Sequence[str],
    values: Mapping[str, float],
    methods: Sequence[str],
    site: Site,
) -> str:
    """Write the script that hands a case to the page's viewer, and the picture of its slices; returns its address.

    It calls ``segbench.case(name, document)``.

    Args:
        name: of the case's files, safe in an address and unique within the site.
        material: the case; stack: what is shown of it.
        first: methods that are shown first.
        values: of the headline metric, by method.
        methods: in the order of the board.
        site: takes the files.
    """
    there = [method for method in (*first, *methods) if method in material.predictions]
    kept = list(dict.fromkeys(there))[:MOST_METHODS]
    notes = [stack.left_out] if stack.left_out else []
    if len(material.predictions) > len(kept):
        notes.append(f"{len(kept)} of {len(material.predictions)} methods: those whose worst case it is, then the best")
    if material.image is None:
        notes.append("label maps alone, without an image")
    names = dict(zip(methods, numbered(methods), strict=True))
    truth = stack.of(material.truth)
    document: dict[str, Any] = {
        "slices": stack.indices,
        "start": stack.start,
        "spacing": stack.spacing,
        "upright": stack.hang.first_on_top,
        "views": stack.hang.views,
        "structures": material.structures,
        "combinations": material.combinations,
        "colours": [colour(k) for k in range(len(material.structures))],
        "shape": truth.shape,
        "truth": _packed(truth),
        "maps": [
            {
                "name": names[method],
                "value": f"{values[method]:.3g}" if method in values and not math.isnan(values[method]) else "–",
                "codes": _packed(stack.of(material.predictions[method])),
            }
            for method in kept
        ],
        "wrong": _packed(stack.of(material.wrong)),
        "methods": len(material.predictions),
        "notes": notes,
    }
    document |= _images(name, material.image, stack, site) if material.image is not None else {"image": None}
    script = f"segbench.case({htmlsafe_json_dumps(name)}, {htmlsafe_json_dumps(document, separators=(',', ':'))});\n"
    return site.write_text(f"data/{name}.js", script)


def _packed(codes: NDArray[np.uint8]) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(codes).tobytes(), 9)).decode("ascii")


def _images(name: str, image: NDArray[np.float32], stack: Stack, site: Site) -> dict[str, Any]:
    """Write all slices in one picture, and the maximum along each axis in another; return their addresses."""
    shown = stack.of(image)
    across = min(len(shown), max(1, math.ceil(math.sqrt(len(shown)))))
    every = range(stack.box[stack.axis].start, stack.box[stack.axis].stop)
    seen = [stack.of(image, every).max(axis=0), shown.max(axis=1), shown.max(axis=2)]
    return {
        "image": _picture(f"{name}-slices", _tiled(list(_grey(shown)), across), site),
        "across": across,
        "highest": _picture(f"{name}-highest", _tiled([_grey(one) for one in seen], 1), site),
    }


def _grey(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return shades in which all but the darkest and the brightest half percent differ."""
    low, high = np.percentile(values, (0.5, 99.5))
    shades: NDArray[np.uint8] = ((values - low) * (255 / max(float(high - low), 1e-6))).clip(0, 255).astype(np.uint8)
    return shades


def _tiled(pictures: Sequence[NDArray[np.uint8]], across: int) -> NDArray[np.uint8]:
    """Return pictures side by side, ``across`` in a row, each in the corner of a cell as large as the largest."""
    height, width = (max(one.shape[side] for one in pictures) for side in (0, 1))
    rows = math.ceil(len(pictures) / across)
    tiles = np.zeros((rows * height, across * width), np.uint8)
    for place, one in enumerate(pictures):
        y, x = height * (place // across), width * (place % across)
        tiles[y : y + one.shape[0], x : x + one.shape[1]] = one
    return tiles


def _picture(stem: str, pixels: NDArray[np.uint8], site: Site) -> str:
    """Write a grey picture as WebP, or PNG where pillow lacks it."""
    from PIL import Image, features

    webp = bool(features.check("webp")) and max(pixels.shape) < 16_384
    name = f"figures/{stem}.{'webp' if webp else 'png'}"
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, **({"format": "WEBP", "quality": 80} if webp else {"format": "PNG"}))
    atomically(site.folder / name, partial(_write, content=stream.getvalue()))
    site.files.append(name)
    return name


def _write(part: Any, content: bytes) -> None:
    part.write_bytes(content)
