"""Named segments of a file: which values are which structure, and segments that overlap in one integer map.

Where segments overlap, each combination that occurs gets a value of its own and a segment is the union of its values,
as regions are: ``liver`` = 1 or 3, ``tumour`` = 2 or 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.files.headers import Header

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Names = dict[str, tuple[int, ...]]
"""Name of a segment -> its values; () never."""


class Labels(NamedTuple):
    """Stored label values and what a file says of them.

    Attributes:
        header: of the file.
        values: ``(C, D, H, W)`` as stored.
        notes: what a reader must know.
        names: of the segments, where the file names them.
        cropped: whether the file covers only the box its segments need; outside is background.
    """

    header: Header
    values: NDArray[Any]
    notes: tuple[str, ...] = ()
    names: Names = {}  # noqa: RUF012  # a field of a NamedTuple, never written to
    cropped: bool = False


class Coding:
    """Values for combinations of structures; the same for every map that is encoded by it."""

    def __init__(self) -> None:
        self._sets: list[frozenset[str]] = [frozenset()]
        self._known: dict[frozenset[str], int] = {frozenset(): 0}
        self._names: list[str] = []

    def encode(self, shape: tuple[int, ...], masks: Iterable[tuple[str, NDArray[np.bool_]]]) -> NDArray[np.int32]:
        """Return a map in which every combination of the masks has its value.

        Args:
            shape: of the map.
            masks: name and boolean mask of this shape, each name once.
        """
        import numpy as np

        codes = np.zeros(shape, np.int32)
        for name, mask in masks:
            if name not in self._names:
                self._names.append(name)
            inside = codes[mask]
            table = np.arange(len(self._sets), dtype=np.int32)
            for old in np.flatnonzero(np.bincount(inside)).tolist() if inside.size else ():
                table[old] = self._value(self._sets[old] | {name})
            codes[mask] = table[inside]
        return codes

    def _value(self, names: frozenset[str]) -> int:
        if names not in self._known:
            self._known[names] = len(self._sets)
            self._sets.append(names)
        return self._known[names]

    def names(self) -> Names:
        """Return the values of each name; one that is empty everywhere gets a value that occurs nowhere."""
        for name in self._names:
            self._value(frozenset({name}))
        return {name: tuple(value for value, names in enumerate(self._sets) if name in names) for name in self._names}


def plain_name(name: str) -> str:
    """Return a name as it is compared: without case, spaces and underscores alike."""
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())
