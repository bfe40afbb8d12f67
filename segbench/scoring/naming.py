"""Structures matched by name where files name their segments: one name is one structure, whatever its value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.errors import DataInvalid
from segbench.files.segments import Coding, plain_name
from segbench.names import first_few
from segbench.types import LabelMap, Structure, Task


def by_names(predicted: LabelMap, truth: LabelMap, task: Task) -> tuple[LabelMap, LabelMap, Task, tuple[str, ...]]:
    """Return both maps and the task in common values, and what was done in words.

    A map whose file names segments gives its structures by these names; the other gives them by the task's values. If
    no name of a file is one of the task's, its values stand for themselves. Where segments overlap, values stand for
    combinations and the structures of the returned task are unions of them.

    Args:
        predicted, truth: as read, on grids of their own.
        task: gives the structures.

    Raises:
        DataInvalid: two segments whose names differ in case or spaces alone.
    """
    if not (predicted.names or truth.names):
        return predicted, truth, task, ()
    wanted = {plain_name(one.name): one for one in task.structures}
    tables = [_table(map_.names, wanted) for map_ in (predicted, truth)]
    notes = [
        f"{role}: none of its segments ({first_few(map_.names)}) is called as a structure; compared by values"
        for role, map_, table in (("prediction", predicted, tables[0]), ("reference", truth, tables[1]))
        if map_.names and not table
    ]
    if not any(tables):
        return predicted, truth, task, tuple(notes)
    for role, map_, table in (("prediction", predicted, tables[0]), ("reference", truth, tables[1])):
        if table:
            spare = [name for name in map_.names if plain_name(name) not in wanted]
            other = f"; not asked for: {first_few(spare)}" if spare else ""
            notes.append(f"{role}: matched by the names of its segments{other}")
    if all(_is_plain(table, task) for table in tables if table):
        values = {one.name: one.values[0] for one in task.structures}
        maps = [
            recoded(map_, {own[0]: values[name] for name, own in table.items()}) if table else map_
            for map_, table in zip((predicted, truth), tables, strict=True)
        ]
        return maps[0], maps[1], task, tuple(notes)
    coding = Coding()
    arrays = [
        coding.encode(map_.array.shape, _masks(map_.array, table, task))
        for map_, table in zip((predicted, truth), tables, strict=True)
    ]
    names = coding.names()
    labels = ("background", *(f"combination {value}" for value in range(1, max(map(max, names.values())) + 1)))
    coded = replace(task, labels=labels, regions={one.name: names[one.name] for one in task.structures})
    return _with(predicted, arrays[0]), _with(truth, arrays[1]), coded, tuple(notes)


_TABLE = 1 << 20
"""Largest value up to which a table is looked up instead of a sorted list."""
Table = dict[str, tuple[int, ...]]
"""Name of a structure of the task -> values in a map."""


def _table(names: Mapping[str, tuple[int, ...]], wanted: Mapping[str, Structure]) -> Table:
    table: Table = {}
    for name, values in names.items():
        if (structure := wanted.get(plain_name(name))) is not None:
            if structure.name in table:
                raise DataInvalid(f"expected one segment called {structure.name!r}, found two. Rename one of them.")
            table[structure.name] = values
    claimed = {value for values in names.values() for value in values}
    for one in wanted.values() if table else ():  # a structure called by its value is that value, if nobody names it
        if one.name.isdecimal() and one.values == (int(one.name),) and not claimed & set(one.values):
            table.setdefault(one.name, one.values)
    return table


def _is_plain(table: Table, task: Task) -> bool:
    """Return whether a map can be renumbered: one value per structure, none shared, on both sides."""
    values = [value for one in table.values() for value in one]
    simple = all(len(one) == 1 for one in table.values()) and len(set(values)) == len(values)
    return simple and all(one.label is not None for one in task.structures if one.name in table)


def _masks(array: NDArray[Any], table: Table, task: Task) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    for one in task.structures:
        values = table.get(one.name, ()) if table else one.values
        yield one.name, np.isin(array, values)


def _with(labels: LabelMap, array: NDArray[Any]) -> LabelMap:
    return replace(labels.with_array(array), cropped=labels.cropped)


def recoded(labels: LabelMap, codes: Mapping[int, int]) -> LabelMap:
    """Return a map in other values, whatever their size; values that have no code are background.

    Args:
        labels: of any integer dtype.
        codes: stored value -> value from 0 on.
    """
    if not codes:
        return _with(labels, np.zeros(labels.array.shape, np.uint8))
    stored = np.array(sorted(codes), dtype=np.int64)
    values = np.array([codes[value] for value in stored.tolist()], dtype=np.int64)
    values = values.astype(np.uint8 if values.max() < 256 else np.int32)
    array = labels.array
    if stored[0] >= 0 and stored[-1] <= _TABLE and array.size and int(array.min()) >= 0:
        table = np.zeros(int(stored[-1]) + 2, dtype=values.dtype)  # the last entry is for all values beyond
        table[stored] = values
        beyond = len(table) - 1 <= np.iinfo(array.dtype).max
        return _with(labels, table[np.minimum(array, len(table) - 1) if beyond else array])
    place = np.minimum(np.searchsorted(stored, array), len(stored) - 1)
    return _with(labels, np.where(stored[place] == array, values[place], 0).astype(values.dtype))
