"""Made-up mask pairs on which definitions are compared: seeded, small, and awkward in every way the field has met."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


class MaskPair(NamedTuple):
    """A prediction and a truth of one structure.

    Attributes:
        name: what is awkward about it, or the case and structure it was taken from.
        predicted: bool ``(D, H, W)`` or ``(H, W)``.
        truth: same shape.
        spacing: mm per axis.
    """

    name: str
    predicted: Mask
    truth: Mask
    spacing: tuple[float, ...]


def mask_pairs(number: int, seed: int = 0, *, empty: bool = False) -> Iterator[MaskPair]:
    """Yield pairs of both dimensions and all kinds in turn, with another voxel size each.

    Args:
        number: how many.
        seed: same seed, same pairs.
        empty: also pairs of which one or both masks are empty.
    """
    random = np.random.default_rng(seed)
    kinds = [*KINDS, *(["empty"] if empty else [])]
    for index in range(number):
        axes = 2 + index % 2
        kind = kinds[index // 2 % len(kinds)]
        shape = tuple(int(length) for length in random.integers(5, 56 if axes == 2 else 20, size=axes))
        spacing = tuple(float(side) for side in random.uniform(0.3, 4.0, size=axes))
        masks = _empty(random, shape) if kind == "empty" else KINDS[kind](random, shape)
        if kind != "empty":
            for mask in masks:
                if not mask.any():
                    mask[tuple(random.integers(0, shape))] = True
        yield MaskPair(f"{kind} {index}", masks[0], masks[1], spacing)


def _blob(random: np.random.Generator, shape: tuple[int, ...], level: float = 0.0) -> Mask:
    from scipy import ndimage

    field: NDArray[Any] = ndimage.gaussian_filter(random.standard_normal(shape), random.uniform(0.5, 3.0))
    found: Mask = field > level * field.std()
    return found


def _smooth(random: np.random.Generator, shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    return _blob(random, shape), _blob(random, shape)


def _grown(random: np.random.Generator, shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    from scipy import ndimage

    truth = _blob(random, shape, 0.5)
    grown: Mask = ndimage.binary_dilation(truth, iterations=2)
    return grown, truth


def _borders(random: np.random.Generator, shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    """Fill the image but for a few holes: both masks touch every border."""
    return random.random(shape) < 0.97, random.random(shape) < 0.97


def _one_voxel(random: np.random.Generator, shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    predicted = np.zeros(shape, dtype=np.bool_)
    predicted[tuple(random.integers(0, shape))] = True
    return predicted, _blob(random, shape, 1.0)


def _sheet(random: np.random.Generator, shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    masks = np.zeros((2, *shape), dtype=np.bool_)
    axis = int(random.integers(0, len(shape)))
    for mask in masks:
        np.moveaxis(mask, axis, 0)[int(random.integers(0, shape[axis]))] = True
    return masks[0], masks[1]


def _components(random: np.random.Generator, shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    return random.random(shape) < 0.05, random.random(shape) < 0.03


def _island(random: np.random.Generator, shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    """Put one false voxel into a corner of an otherwise shifted prediction."""
    truth = _blob(random, shape, 0.8)
    predicted = np.roll(truth, 1, axis=-1)
    predicted[(0,) * len(shape)] = True
    return predicted, truth


def _equal(random: np.random.Generator, shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    truth = _blob(random, shape)
    return truth.copy(), truth


def _bars(random: np.random.Generator, shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    """Draw two separate bars of one to four voxels' width, both predicted or only the first: thin, even and odd."""
    truth = np.zeros(shape, dtype=np.bool_)
    along = int(np.argmax(shape))
    across = next(axis for axis in range(len(shape)) if axis != along)
    widths = random.integers(1, 1 + max(1, min(4, (min(shape) - 1) // 2, shape[along] // 3)), size=2)
    box = [slice(0, int(widths[0]))] * len(shape)
    box[along] = slice(None)
    truth[tuple(box)] = True
    predicted = truth.copy()
    box = [slice(0, int(widths[1]))] * len(shape)
    box[along], box[across] = slice(None), slice(shape[across] - int(widths[1]), None)
    truth[tuple(box)] = True
    return (truth.copy() if random.random() < 0.5 else predicted), truth


def _empty(random: np.random.Generator, shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    masks = [np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)]
    which = int(random.integers(0, 3))
    if which < 2:
        masks[which] = _blob(random, shape)
    return masks[0], masks[1]


KINDS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], tuple[Mask, Mask]]] = {
    "smooth": _smooth,
    "grown": _grown,
    "touching borders": _borders,
    "one voxel": _one_voxel,
    "thin sheets": _sheet,
    "components": _components,
    "far island": _island,
    "equal": _equal,
    "bars": _bars,
}
"""Name -> how such a pair is drawn."""
