"""Masks with 64 voxels to a word: borders by shifts and logical operations instead of voxel by voxel.

A packed mask is a uint64 array ``(*S, W)`` of a mask ``(*S, X)``: bit b of word w of a row is the voxel at
``64 w + b``, and the bits behind the end of the row are 0.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
_ONE, _LAST = np.uint64(1), np.uint64(63)


def pack(mask: NDArray[np.bool_]) -> Words:
    """Pack a mask ``(*S, X)`` into words ``(*S, ceil(X / 64))``."""
    width = mask.shape[-1]
    if width % 64:
        padded = np.zeros((*mask.shape[:-1], width + -width % 64), dtype=np.bool_)
        padded[..., :width] = mask
        mask = padded
    return pack_aligned(np.ascontiguousarray(mask))


def pack_aligned(mask: NDArray[np.bool_]) -> Words:
    """Pack a C-contiguous mask ``(*S, X)`` whose X is a multiple of 64."""
    words = np.packbits(mask, axis=None, bitorder="little").view("<u8")
    if sys.byteorder == "big":
        words = words.astype(np.uint64)
    return words.reshape(*mask.shape[:-1], mask.shape[-1] // 64)


def unpack(words: Words) -> NDArray[np.bool_]:
    """Return the mask ``(*S, 64 W)`` of a packed mask ``(*S, W)``."""
    if sys.byteorder == "big":
        words = words.byteswap()
    bits = np.unpackbits(np.ascontiguousarray(words).reshape(-1).view(np.uint8), bitorder="little")
    return bits.view(np.bool_).reshape(*words.shape[:-1], 64 * words.shape[-1])


def tight(words: Words) -> tuple[slice, ...] | None:
    """Return the smallest box of words that holds every voxel of a packed mask, or None if it is empty."""
    box: list[slice] = []
    for axis in range(words.ndim):
        others = tuple(other for other in range(words.ndim) if other != axis)
        used = np.flatnonzero(np.bitwise_or.reduce(words, axis=others))
        if not len(used):
            return None
        box.append(slice(int(used[0]), int(used[-1]) + 1))
    return tuple(box)


def border(words: Words, axes: Sequence[int]) -> Words:
    """Return the border voxels of packed masks.

    A voxel of the mask is on the border if one of its two neighbours along one of ``axes`` is not in the mask;
    whatever lies beyond the array is not in the mask.

    Args:
        words: packed mask ``(*S, W)``; leading axes may count several masks.
        axes: axes of the array along which neighbours count.
    """
    inner = words.copy()
    for axis in axes:
        if axis == words.ndim - 1:
            _meet_within_words(inner, words)
        else:
            ahead = (slice(None),) * axis
            inner[(*ahead, slice(1, None))] &= words[(*ahead, slice(None, -1))]
            inner[(*ahead, slice(None, -1))] &= words[(*ahead, slice(1, None))]
            inner[(*ahead, slice(None, None, max(1, words.shape[axis] - 1)))] = 0  # the first and the last
    np.invert(inner, out=inner)
    inner &= words
    return inner


def _meet_within_words(inner: Words, words: Words) -> None:
    """Keep in ``inner`` the voxels whose two neighbours along the packed axis are in the mask."""
    before = words << _ONE
    before[..., 1:] |= words[..., :-1] >> _LAST
    inner &= before
    after = words >> _ONE
    after[..., :-1] |= words[..., 1:] << _LAST
    inner &= after


def positions(words: Words) -> NDArray[np.int64]:
    """Return the positions of the voxels of a packed mask in the flattened unpacked mask, ascending."""
    flat = words.ravel()
    used = flat.nonzero()[0]
    bits = unpack(flat[used]).nonzero()[0]
    found: NDArray[np.int64] = used[bits >> 6]
    found <<= 6
    bits &= 63
    found |= bits
    return found


def points(words: Words) -> NDArray[np.int64]:
    """Return the voxel indices ``(n, dimensions)`` of a packed mask, in row order."""
    return indices(positions(words), words.shape)


def indices(found: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the voxel indices ``(n, dimensions)`` of positions in a packed mask of this shape."""
    return np.stack(np.unravel_index(found, (*shape[:-1], 64 * shape[-1])), axis=1)


def size(words: Words) -> int:
    """Return the number of voxels of a packed mask."""
    return size_each(words[None])[0]


def size_each(words: Words) -> list[int]:
    """Return the number of voxels of each packed mask of ``(masks, *S, W)``."""
    rows = words.reshape(len(words), -1)
    if hasattr(np, "bitwise_count"):
        found: list[int] = np.bitwise_count(rows).sum(axis=1, dtype=np.int64).tolist()
        return found
    return [int(np.unpackbits(row.view(np.uint8)).sum(dtype=np.int64)) for row in np.ascontiguousarray(rows)]
