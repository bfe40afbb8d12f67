"""Row groups of files of scores, read as far as they have to be: constant columns and columns met before are not."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from segbench.errors import DataInvalid
from segbench.results import open_scores, readable, vouched
from segbench.score_table import SCHEMA, absent, check_values, conform

Codes = int | NDArray[np.int32]
Stamp = tuple[int, int]
"""Modification time in nanoseconds and size in bytes of a file."""
_LONGEST_EXACT = 60
"""Writers may truncate the statistics of longer texts; such columns are read."""
_LONGEST_KEY = 1 << 18
"""Bytes of a stored column that are kept to recognise it."""
_NUMBERS = ("status", "value")
"""What is read again when it is asked for, and never the same in two runs."""


@dataclass
class Piece:
    """One row group as far as it was read.

    Attributes:
        groups: of the file.
        rows: of the group.
        constants: column -> its only value, as the statistics prove.
        met: column -> codes of a column of the same bytes.
        table: the other columns, with ``value`` if it is to be kept.
        keys: column of the table -> what its bytes are recognised by.
        bounds: of the values.
        stamp: of the file.
    """

    groups: int
    rows: int
    constants: dict[str, Any]
    met: dict[str, Codes]
    table: pa.Table
    keys: dict[str, Hashable]
    bounds: tuple[float, float] | None
    stamp: Stamp


def read_group(
    file: Path, index: int, columns: Sequence[str], met: dict[str, dict[Hashable, Codes]], kept: bool
) -> Piece | None:
    """Return one row group, without ``value`` and ``status`` if they are not to be kept; None of an empty file."""
    with readable(file):
        if index == 0:
            vouched(file)
        stamp = _stamp(file)
        reader = open_scores(file, [*columns, "value"])
        if not reader.num_row_groups:
            return None
        group = reader.metadata.row_group(index)
        stored = {column.path_in_schema: column for column in map(group.column, range(group.num_columns))}
        constants = _constants(stored, group.num_rows, columns) | absent(stored, columns)
        later = () if kept else _NUMBERS
        wanted = [name for name in (*columns, "value") if name not in constants and name not in later]
        keys = _keys(file, stored, group.num_rows, set(wanted) - set(_NUMBERS), reader.schema_arrow)
        known = {name: met[name].get(key) for name, key in keys.items()}
        ready = {name: codes for name, codes in known.items() if codes is not None}
        table = _table_of(reader, index, [name for name in wanted if name not in ready])
        check_values(file, table, constants)
        return Piece(
            reader.num_row_groups, group.num_rows, constants, ready, table, keys, _bounds(stored["value"]), stamp
        )


def read_columns(file: Path, index: int, stamp: Stamp, names: list[str]) -> pa.Table:
    """Return some columns of a row group, as ``score_table.SCHEMA`` has them.

    Raises:
        DataInvalid: the file cannot be read, or is not the one that had this stamp.
    """
    with readable(file):
        table = _table_of(open_scores(file, names), index, names)
        check_values(file, table)
        if _stamp(file) != stamp:
            raise DataInvalid(f"{file} was replaced while it was being read. Run the command again.")
        return table


def _stamp(file: Path) -> Stamp:
    found = file.stat()
    return found.st_mtime_ns, found.st_size


def _table_of(reader: pq.ParquetFile, index: int, names: list[str]) -> pa.Table:
    """Return some columns of a row group; optional ones that the file lacks are filled in."""
    present = set(reader.schema_arrow.names)
    return conform(reader.read_row_group(index, [name for name in names if name in present]), names)


def _keys(
    file: Path, stored: Mapping[str, Any], rows: int, names: Collection[str], schema: pa.Schema
) -> dict[str, Hashable]:
    """Return what the stored columns are recognised by: their bytes and all that says how to decode them."""
    keys: dict[str, Hashable] = {}
    with file.open("rb") as stream:
        for name in names:
            column = stored.get(name)
            if column is None or column.total_compressed_size > _LONGEST_KEY or column.file_path:
                continue
            starts = (column.dictionary_page_offset, column.data_page_offset)
            stream.seek(min(start for start in starts if start is not None))
            how = (column.physical_type, column.compression, column.encodings, str(schema.field(name)))
            keys[name] = (rows, how, stream.read(column.total_compressed_size))
    return keys


def _bounds(column: Any) -> tuple[float, float] | None:
    """Return the smallest and the largest value of a stored column, if its statistics say so."""
    statistics = column.statistics
    if statistics is not None and statistics.has_min_max:
        low, high = statistics.min, statistics.max
        if isinstance(low, float) and isinstance(high, float) and low <= high:
            return low, high
    return None


def _constants(stored: Mapping[str, Any], rows: int, columns: Sequence[str]) -> dict[str, Any]:
    """Return the columns of a row group that Parquet's statistics prove to be constant, with their value."""
    constants: dict[str, Any] = {}
    for name in columns:
        statistics = stored[name].statistics if name in stored else None
        if statistics is None or not rows:
            continue
        if statistics.has_null_count and statistics.null_count == rows:
            constants[name] = None
        elif statistics.has_min_max and statistics.has_null_count and not statistics.null_count:
            low: Any = statistics.min
            high: Any = statistics.max
            kind = SCHEMA.field(name).type
            expected = str if pa.types.is_dictionary(kind) else bool if pa.types.is_boolean(kind) else int
            if low == high and type(low) is expected and len(str(low)) < _LONGEST_EXACT:
                constants[name] = low
    return constants
