"""Row groups of files of scores, read as far as they have to be: constant columns and columns met before are not."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from segbench.errors import DataInvalid
from segbench.results import SCHEMA, absent, conform, open_scores

Codes = int | NDArray[np.int32]
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
    """

    groups: int
    rows: int
    constants: dict[str, Any]
    met: dict[str, Codes]
    table: pa.Table
    keys: dict[str, Hashable]
    bounds: tuple[float, float] | None


def read_group(
    file: Path, index: int, columns: Sequence[str], met: dict[str, dict[Hashable, Codes]], kept: bool
) -> Piece | None:
    """Return one row group, without ``value`` and ``status`` if they are not to be kept; None of an empty file."""
    with _readable(file):
        reader = open_scores(file, [*columns, "value"])
        if not reader.num_row_groups:
            return None
        group = reader.metadata.row_group(index)
        constants = _constants(group, columns) | absent(reader.schema_arrow.names, columns)
        later = () if kept else _NUMBERS
        wanted = [name for name in (*columns, "value") if name not in constants and name not in later]
        keys = _keys(file, group, set(wanted) - set(_NUMBERS), reader.schema_arrow)
        known = {name: met[name].get(key) for name, key in keys.items()}
        ready = {name: codes for name, codes in known.items() if codes is not None}
        table = _table_of(reader, index, [name for name in wanted if name not in ready])
        return Piece(reader.num_row_groups, group.num_rows, constants, ready, table, keys, _bounds(group))


def read_columns(file: Path, index: int, names: list[str]) -> pa.Table:
    """Return some columns of a row group, as ``results.SCHEMA`` has them."""
    with _readable(file):
        return _table_of(open_scores(file, names), index, names)


def _table_of(reader: pq.ParquetFile, index: int, names: list[str]) -> pa.Table:
    """Return some columns of a row group; optional ones that the file lacks are filled in."""
    present = set(reader.schema_arrow.names)
    return conform(reader.read_row_group(index, [name for name in names if name in present]), names)


@contextlib.contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Turn what goes wrong while a file is read into a sentence."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataInvalid(
            f"{file} cannot be read as scores: {error}. Restore it, or delete the run's folder and run it again."
        ) from error


def _keys(file: Path, group: Any, names: Collection[str], schema: pa.Schema) -> dict[str, Hashable]:
    """Return what the stored columns are recognised by: their bytes and all that says how to decode them."""
    keys: dict[str, Hashable] = {}
    with file.open("rb") as stream:
        for index in range(group.num_columns):
            column = group.column(index)
            name, size = column.path_in_schema, column.total_compressed_size
            if name in names and size <= _LONGEST_KEY and not column.file_path:
                starts = (column.dictionary_page_offset, column.data_page_offset)
                stream.seek(min(start for start in starts if start is not None))
                how = (column.physical_type, column.compression, column.encodings, str(schema.field(name)))
                keys[name] = (group.num_rows, how, stream.read(size))
    return keys


def _bounds(group: Any) -> tuple[float, float] | None:
    """Return the smallest and the largest value of a row group, if its statistics say so."""
    for index in range(group.num_columns):
        column = group.column(index)
        if column.path_in_schema == "value" and column.statistics is not None and column.statistics.has_min_max:
            low, high = column.statistics.min, column.statistics.max
            if isinstance(low, float) and isinstance(high, float) and low <= high:
                return low, high
    return None


def _constants(group: Any, columns: Sequence[str]) -> dict[str, Any]:
    """Return the columns of a row group that Parquet's statistics prove to be constant, with their value."""
    constants: dict[str, Any] = {}
    for index in range(group.num_columns):
        column = group.column(index)
        name, statistics = column.path_in_schema, column.statistics
        if name not in columns or statistics is None or not group.num_rows:
            continue
        if statistics.has_null_count and statistics.null_count == group.num_rows:
            constants[name] = None
        elif statistics.has_min_max and statistics.has_null_count and not statistics.null_count:
            low: Any = statistics.min
            high: Any = statistics.max
            kind = SCHEMA.field(name).type
            expected = str if pa.types.is_dictionary(kind) else bool if pa.types.is_boolean(kind) else int
            if low == high and type(low) is expected and len(str(low)) < _LONGEST_EXACT:
                constants[name] = low
    return constants
