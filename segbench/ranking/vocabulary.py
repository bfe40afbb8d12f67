"""Words as codes: one vocabulary per column, and arrays of codes shared by all runs that repeat them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segbench.ranking.row_groups import Codes

_SMALL_RANGE = 1000
"""Integers that span less are coded by their distance from the smallest."""
_REMEMBERED = 8
"""Arrays per column that are compared with a new one."""


class Vocabulary:
    """Grows while chunks are read: value -> code per column."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.codes: dict[str, dict[Any, int]] = {name: {} for name in columns}
        self.recent: dict[str, list[NDArray[np.int32]]] = {}
        self.met: dict[str, dict[Hashable, Codes]] = {name: {} for name in columns}

    def code(self, column: str, value: Any) -> int:
        """Return the code of one value, a new one if it is new."""
        known = self.codes[column]
        return known.setdefault(value, len(known))

    def codes_of(self, column: str, array: pa.ChunkedArray) -> Codes:
        """Return the codes of a column; one number if it has one value."""
        words, positions = words_of(whole(array))
        if len(words) == 1:
            return self.code(column, words[0])
        table = np.array([self.code(column, word) for word in words], dtype=np.int32)
        if not np.array_equal(table, np.arange(len(table))):
            positions = np.asarray(table[positions], dtype=np.int32)
        return self.same(column, positions)

    def same(self, column: str, positions: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return an equal array seen before, if there is one: runs repeat the order of cases, labels and metrics."""
        recent = self.recent.setdefault(column, [])
        for known in recent:
            if known.size == positions.size and np.array_equal(known, positions):
                return known
        recent.insert(0, positions)
        del recent[_REMEMBERED:]
        return positions

    def remember(self, column: str, stored: Hashable, codes: Codes) -> None:
        """Keep the codes that the bytes of a stored column gave."""
        met = self.met[column]
        while len(met) >= _REMEMBERED:
            del met[next(iter(met))]
        met[stored] = codes

    def words(self) -> dict[str, list[Any]]:
        """Return column -> values, whose index is the code."""
        return {name: list(known) for name, known in self.codes.items()}


def whole(array: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array."""
    combined = array.combine_chunks()
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined


def words_of(array: pa.Array) -> tuple[list[Any], NDArray[np.int32]]:
    """Return the values a column may have and the index of each row's value ``(rows,)``."""
    if pa.types.is_integer(array.type) and not array.null_count:
        numbers = array.to_numpy()
        low, high = int(numbers.min()), int(numbers.max())
        if high - low < _SMALL_RANGE:  # seeds and folds: no need to hash
            return list(range(low, high + 1)), (numbers - low).astype(np.int32)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    words, indices = array.dictionary.to_pylist(), array.indices
    if indices.null_count:
        indices, words = indices.fill_null(len(words)), [*words, None]
    return words, indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
