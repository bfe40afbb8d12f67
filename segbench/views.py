"""How a case is cut for a network and stitched back: slices with neighbours (2D, 2.5D) and patches (3D).

A window is the start index per axis of a box in the volume; it may begin before 0 or end beyond the volume, and what
lies outside is filled. Slices are windows of thickness one along their axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Shape = tuple[int, int, int]
Window = tuple[int, int, int]


@dataclass(frozen=True)
class Slices:
    """Slices along one axis, with ``context`` neighbours on either side as extra channels (repeated at the ends).

    Attributes:
        context: neighbours per side; 0 is plain 2D, 3 is 7 slices.
        axis: axis that is sliced, 0 to 2 of ``(D, H, W)``.
        size: in-plane size of training samples; larger slices are cropped at random, smaller ones padded.
    """

    context: int = 0
    axis: int = 0
    size: tuple[int, int] = (0, 0)

    dims = 2

    @property
    def box(self) -> Shape:
        """Size of a training window in the volume."""
        box = list(self.size)
        box.insert(self.axis, 1)
        return (box[0], box[1], box[2])

    def channels(self, channels: int) -> int:
        """Return the number of input channels for an image of ``channels`` channels."""
        return channels * (2 * self.context + 1)

    def windows(self, shape: Shape) -> list[Window]:
        """Return windows that cover every slice once (in-plane centred), for inference and fixed samples."""
        centred = _centred(shape, self.box)
        return [_replace(centred, self.axis, index) for index in range(shape[self.axis])]

    def count(self, shape: Shape) -> int:
        """Return how many training samples a case gives in one epoch."""
        return shape[self.axis]

    def draw(self, shape: Shape, index: int, generator: np.random.Generator, focus: Window | None) -> Window:
        """Return the training window of slice ``index``, shifted at random in-plane where the slice is larger."""
        start = [_random_start(n, box, generator) for n, box in zip(shape, self.box, strict=True)]
        start[self.axis] = index
        return (start[0], start[1], start[2])

    def cut_image(self, volume: NDArray[Any], window: Window, size: Shape | None = None) -> NDArray[Any]:
        """Cut ``(C, D, H, W)`` to ``(C * (2 context + 1), h, w)``; channels of one slice stay together."""
        import numpy as np

        axis = self.axis
        wanted = np.arange(window[axis] - self.context, window[axis] + self.context + 1)
        indices = np.clip(wanted, 0, volume.shape[axis + 1] - 1)
        slab = np.moveaxis(np.take(volume, indices, axis=axis + 1), axis + 1, 0)  # (n, C, h0, w0)
        stacked = slab.reshape(-1, *slab.shape[2:])
        plane = _drop(size or self.box, axis)
        return _box(stacked, _drop(window, axis), plane, fill=0)

    def cut(self, volume: NDArray[Any], window: Window, fill: float, size: Shape | None = None) -> NDArray[Any]:
        """Cut a target or derived map ``(c, D, H, W)`` to ``(c, h, w)``."""
        plane = _take(volume, window[self.axis], self.axis + 1)
        return _box(plane, _drop(window, self.axis), _drop(size or self.box, self.axis), fill)


@dataclass(frozen=True)
class Patches:
    """Boxes of a volume.

    Attributes:
        size: size of a training patch; an axis of the volume that is shorter is padded.
        overlap: fraction by which neighbouring inference windows overlap.
        per_case: training patches drawn from each case in one epoch.
        foreground: share of training patches centred on a foreground voxel.
    """

    size: Shape = (64, 64, 64)
    overlap: float = 0.5
    per_case: int = 1
    foreground: float = 0.5

    dims = 3

    @property
    def box(self) -> Shape:
        """Size of a training window in the volume."""
        return self.size

    def channels(self, channels: int) -> int:
        """Return the number of input channels for an image of ``channels`` channels."""
        return channels

    def windows(self, shape: Shape) -> list[Window]:
        """Return overlapping windows that cover the volume; one centred window along axes that fit."""
        import itertools

        starts = []
        for n, box in zip(shape, self.size, strict=True):
            if n <= box:
                starts.append([-((box - n) // 2)])
                continue
            steps = max(1, -(-(n - box) // max(1, int(box * (1 - self.overlap)))))
            starts.append(sorted({round(index * (n - box) / steps) for index in range(steps + 1)}))
        return [(d, h, w) for d, h, w in itertools.product(*starts)]

    def count(self, shape: Shape) -> int:
        """Return how many training samples a case gives in one epoch."""
        return self.per_case

    def draw(self, shape: Shape, index: int, generator: np.random.Generator, focus: Window | None) -> Window:
        """Return a random training window; centred (with jitter) on voxel ``focus`` if one is given."""
        start = []
        for axis, (n, box) in enumerate(zip(shape, self.size, strict=True)):
            if n <= box or focus is None:
                start.append(_random_start(n, box, generator))
            else:
                jitter = int(generator.integers(-(box // 4), box // 4 + 1))
                start.append(min(max(focus[axis] - box // 2 + jitter, 0), n - box))
        return (start[0], start[1], start[2])

    def cut_image(self, volume: NDArray[Any], window: Window, size: Shape | None = None) -> NDArray[Any]:
        """Cut ``(C, D, H, W)`` to ``(C, d, h, w)``; outside is 0, the mean of a z-scored image."""
        return _box(volume, window, size or self.size, fill=0)

    def cut(self, volume: NDArray[Any], window: Window, fill: float, size: Shape | None = None) -> NDArray[Any]:
        """Cut a target or derived map ``(c, D, H, W)`` to ``(c, d, h, w)``."""
        return _box(volume, window, size or self.size, fill)


def _take(volume: NDArray[Any], index: int, axis: int) -> NDArray[Any]:
    """Return one slice of a volume without copying."""
    return volume[(slice(None),) * axis + (index,)]


def _box(volume: NDArray[Any], start: Sequence[int], size: Sequence[int], fill: float) -> NDArray[Any]:
    """Cut a box from the trailing axes of ``volume``; parts outside are filled. C-ordered."""
    import numpy as np

    inside, target = [slice(None)], [slice(None)]
    whole = True
    for first, length, n in zip(start, size, volume.shape[1:], strict=True):
        low, high = max(first, 0), min(first + length, n)
        inside.append(slice(low, max(high, low)))
        target.append(slice(low - first, max(high, low) - first))
        whole = whole and low == first and high == first + length
    if whole:
        return np.ascontiguousarray(volume[tuple(inside)])
    box = np.full((volume.shape[0], *size), fill, dtype=volume.dtype)
    box[tuple(target)] = volume[tuple(inside)]
    return box


def _centred(shape: Shape, box: Shape) -> Window:
    d, h, w = ((n - length) // 2 if n >= length else -((length - n) // 2) for n, length in zip(shape, box, strict=True))
    return (d, h, w)


def _random_start(n: int, box: int, generator: np.random.Generator) -> int:
    """Return a start for a box in n voxels: uniform where the box fits, centred padding where it is larger."""
    draw = int(generator.integers(0, abs(n - box) + 1))  # drawn in either case: the stream stays in step
    return draw if n > box else -((box - n) // 2)


def _replace(window: Window, axis: int, value: int) -> Window:
    items = list(window)
    items[axis] = value
    return (items[0], items[1], items[2])


def _drop(items: Sequence[int], axis: int) -> tuple[int, int]:
    kept = [item for index, item in enumerate(items) if index != axis]
    return (kept[0], kept[1])
