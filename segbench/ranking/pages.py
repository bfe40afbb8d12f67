"""Rows added up into pages: of every competitor one page of measures and cases, whatever order the rows come in.

Runs of one dataset have their values in the same order. Those of one competitor are added up in that order, which is
one pass over memory, and put into their places on the page once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.ranking.chunks import Chunk

Floats = NDArray[np.float64]
Counts = NDArray[np.signedinteger[Any]]
Bits = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Layout:
    """The order of the values of some rows.

    Attributes:
        place: ``(rows,)`` where on a page the value of each row belongs.
        unique: whether no place occurs twice.
        bits: the places as one bit each, packed.
        inverse: ``(size of a page,)`` the row of each place, if every place has one row; else None.
    """

    place: NDArray[np.intp]
    unique: bool
    bits: Bits
    inverse: NDArray[np.intp] | None

    @classmethod
    def of(cls, place: NDArray[np.intp], size: int) -> Layout:
        """Return the layout of rows with these places on a page of some size."""
        count = np.bincount(place, minlength=size)
        unique = bool(count.max(initial=0) <= 1)
        inverse = None
        if unique and place.size == size:
            inverse = np.empty(size, dtype=np.intp)
            inverse[place] = np.arange(size)
        return cls(place, unique, np.packbits(count > 0), inverse)


class Pages:
    """Sums and counts ``(K, size)`` of K competitors; R repetitions (seeds, folds, raters) share a place.

    Attributes:
        total: sum of the values.
        rows: number of values.
        undefined: number of values without a number.
        missed: number of values that are missing in a way that counts as a miss.
        seen: ``(R, K, bytes)`` bit by bit whether a repetition has a value.
        twice: whether some repetition has two values for one place.
    """

    def __init__(self, repetitions: int, competitors: int, size: int) -> None:
        self.size = size
        self.total: Floats = np.zeros((competitors, size))
        kind = np.min_scalar_type(-2 * repetitions - 2)  # as many, and as many again that are absent
        self.rows, self.undefined, self.missed = (np.zeros((competitors, size), dtype=kind) for _ in range(3))
        self.seen: Bits = np.zeros((repetitions, competitors, (size + 7) // 8), dtype=np.uint8)
        self.twice = False
        self._competitor = -1
        self._open: dict[Layout, tuple[Floats, int]] = {}

    def add_run(self, k: int, r: int, layout: Layout, value: Floats, gaps: NDArray[np.intp], worth: Floats) -> None:
        """Add the values of one repetition of one competitor; no place may occur twice.

        Args:
            k, r: the competitor and the repetition.
            layout: where the values belong.
            value: ``(rows,)``.
            gaps, worth: rows without a value, and the numbers that stand in for them.
        """
        self.twice |= bool((self.seen[r, k] & layout.bits).any())
        self.seen[r, k] |= layout.bits
        if self._competitor != k:
            self.close()
            self._competitor = k
        if layout not in self._open:
            total = self.total[k][layout.place] if self.rows[k].any() else np.zeros(layout.place.size)
            self._open[layout] = (total, 0)
        total, added = self._open[layout]
        instead = total[gaps] + worth
        total += value
        total[gaps] = instead
        self._open[layout] = (total, added + 1)

    def add_rows(self, k: NDArray[np.intp], r: NDArray[np.intp], place: NDArray[np.intp], value: Floats) -> None:
        """Add rows of several competitors or repetitions ``(rows,)``, in any order."""
        self.close()
        order = np.lexsort((r, k))
        starts = np.flatnonzero(np.diff(k[order], prepend=-1) | np.diff(r[order], prepend=-1))
        for rows in np.split(order, starts[1:]):
            own = Layout.of(place[rows], self.size)
            seen = self.seen[r[rows[0]], k[rows[0]]]
            self.twice |= not own.unique or bool((seen & own.bits).any())
            seen |= own.bits
        np.add.at(self.total, (k, place), value)
        np.add.at(self.rows, (k, place), 1)

    def close(self) -> None:
        """Put what was added last into its places."""
        k = self._competitor
        for layout, (total, added) in self._open.items():
            if layout.inverse is not None:
                np.take(total, layout.inverse, out=self.total[k])
                self.rows[k] += added
            else:
                self.total[k][layout.place] = total
                self.rows[k][layout.place] += added
        self._open.clear()

    def has(self, r: int, k: int) -> NDArray[np.bool_]:
        """Return ``(size,)`` whether a repetition of a competitor has a value."""
        return np.unpackbits(self.seen[r, k], count=self.size).astype(bool)


def is_one_run(k: Any, r: Any) -> bool:
    """Return whether codes of competitors and repetitions are one number for all rows."""
    return bool(np.ndim(k) == 0 and np.ndim(r) == 0)


def places_key(chunk: Chunk, columns: tuple[str, ...]) -> tuple[int, ...]:
    """Return what is equal for chunks whose codes are the very same arrays or numbers."""
    return tuple(code if isinstance(code, int) else -id(code) for code in map(chunk.codes.get, columns))
