"""Scores in the form that counting needs: text as codes into one vocabulary, a column that is constant as one number.

A run's file repeats its dataset, method and seed in every row. Parquet's statistics say so without decoding the
columns, which is what makes ten million rows quick to read.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segbench.errors import DataInvalid
from segbench.results import SCHEMA, conform, open_scores, score_files

Codes = int | NDArray[np.int32]
_READERS = 2
_SMALL_RANGE = 1000
"""Integers that span less are coded by their distance from the smallest."""
_REMEMBERED = 2
"""Arrays per column that are compared with a new one."""
_SHORTEST_PIECE = 500
"""Chunks are not cut if the pieces would be shorter than this on average."""
RUN_COLUMNS = frozenset(
    {
        "run_id",
        "dataset",
        "dataset_revision",
        "network",
        "method",
        "arm",
        "seed",
        "fold",
        "source",
        "synthetic",
        "rater",
        "variant",
    }
)
"""Columns that describe a run rather than a value."""
_LONGEST_EXACT = 60
"""Writers may truncate the statistics of longer texts; such columns are read."""


@dataclass
class Chunk:
    """Some rows: per column the codes of its values, or one code if they are all the same.

    Attributes:
        rows: number of rows.
        codes: column -> code(s) ``(rows,)`` into ``Scores.vocabulary``.
        value: float64 ``(rows,)``, NaN = null.
    """

    rows: int
    codes: dict[str, Codes]
    value: NDArray[np.float64]

    def take(self, keep: NDArray[np.bool_]) -> Chunk:
        """Return the rows where ``keep`` is true."""
        if keep.all():
            return self
        codes = {name: code if isinstance(code, int) else code[keep] for name, code in self.codes.items()}
        return Chunk(int(keep.sum()), codes, self.value[keep])


@dataclass
class Scores:
    """Chunks with their common vocabulary: column -> values, whose index is the code."""

    vocabulary: dict[str, list[Any]]
    chunks: list[Chunk] = field(default_factory=list)

    def word(self, column: str, code: int) -> Any:
        """Return the value behind a code."""
        return self.vocabulary[column][code]


class Vocabulary:
    """Grows while chunks are read: value -> code per column."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.codes: dict[str, dict[Any, int]] = {name: {} for name in columns}
        self.recent: dict[str, list[NDArray[np.int32]]] = {}

    def code(self, column: str, value: Any) -> int:
        """Return the code of one value, a new one if it is new."""
        known = self.codes[column]
        return known.setdefault(value, len(known))

    def codes_of(self, column: str, array: pa.ChunkedArray) -> Codes:
        """Return the codes of a column; one number if it has one value."""
        whole = array.combine_chunks()
        whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
        words, positions = _words(whole)
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

    def scores(self, chunks: list[Chunk]) -> Scores:
        """Return the chunks with this vocabulary."""
        return Scores({name: list(known) for name, known in self.codes.items()}, chunks)


def _words(array: pa.Array) -> tuple[list[Any], NDArray[np.int32]]:
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


def load_chunks(path: str | Path, columns: Sequence[str]) -> Scores:
    """Read some columns (and ``value``) of all finished runs.

    Args:
        path: see ``results.read_scores``.
        columns: text, integer or boolean columns of ``results.SCHEMA``.

    Raises:
        DataMissing, DataInvalid: as ``results.read_scores``.
    """
    vocabulary = Vocabulary(columns)
    chunks: list[Chunk] = []
    todo = deque((file, 0) for file in score_files(Path(path)))
    running: deque[tuple[Path, int, Future[_Piece]]] = deque()
    with ThreadPoolExecutor(_READERS) as readers:  # decoding needs no interpreter lock
        while todo or running:
            while todo and len(running) <= _READERS:  # no more: memory that is handed back is used again
                file, index = todo.popleft()
                running.append((file, index, readers.submit(_read_group, file, index, columns)))
            file, index, future = running.popleft()
            groups, known, wanted, table = future.result()
            if index == 0:
                todo.extendleft((file, later) for later in range(groups - 1, 0, -1))
            if table is not None and table.num_rows:
                codes: dict[str, Codes] = {name: vocabulary.code(name, value) for name, value in known.items()}
                chunks += _by_run(_chunk(table, wanted, vocabulary, codes), vocabulary)
    return vocabulary.scores(chunks)


_Piece = tuple[int, dict[str, Any], list[str], pa.Table | None]


def _read_group(file: Path, index: int, columns: Sequence[str]) -> _Piece:
    """Return the number of row groups; of one group: constant columns, others, and a table with these and ``value``."""
    try:
        reader = open_scores(file, [*columns, "value"])
        if not reader.num_row_groups:
            return 0, {}, [], None
        present = set(reader.schema_arrow.names)
        known = _constants(reader.metadata.row_group(index), columns)
        wanted = [name for name in columns if name not in known]
        names = [*wanted, "value"]
        table = conform(reader.read_row_group(index, [name for name in names if name in present]), names)
        return reader.num_row_groups, known, wanted, table
    except (pa.ArrowException, OSError) as error:
        raise DataInvalid(
            f"{file} cannot be read as scores: {error}. Restore it, or delete the run's folder and run it again."
        ) from error


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


def chunks_of_table(table: pa.Table, columns: Sequence[str]) -> Scores:
    """Return a table of ``results.SCHEMA`` as one chunk."""
    vocabulary = Vocabulary(columns)
    if not table.num_rows:
        return vocabulary.scores([])
    return vocabulary.scores(_by_run(_chunk(conform(table, [*columns, "value"]), columns, vocabulary, {}), vocabulary))


def _chunk(table: pa.Table, wanted: Sequence[str], vocabulary: Vocabulary, codes: dict[str, Codes]) -> Chunk:
    for name in wanted:
        if table.num_rows:
            codes[name] = vocabulary.codes_of(name, table.column(name))
    value = table.column("value").to_numpy()  # null becomes NaN
    return Chunk(table.num_rows, codes, np.asarray(value, dtype=np.float64))


def _by_run(chunk: Chunk, vocabulary: Vocabulary) -> list[Chunk]:
    """Cut a chunk where the run changes, so that what describes a run is constant, unless runs are interleaved."""
    changing = [code for name, code in chunk.codes.items() if name in RUN_COLUMNS and not isinstance(code, int)]
    if not changing or chunk.rows < 2:
        return [chunk]
    edges = np.zeros(chunk.rows - 1, dtype=bool)
    for code in changing:
        edges |= code[1:] != code[:-1]
    cuts = [0, *(np.flatnonzero(edges) + 1).tolist(), chunk.rows]
    if len(cuts) > 2 + chunk.rows // _SHORTEST_PIECE:
        return [chunk]
    pieces = []
    for start, stop in itertools.pairwise(cuts):
        codes: dict[str, Codes] = {}
        for name, values in chunk.codes.items():
            if isinstance(values, int):
                codes[name] = values
            else:
                part = values[start:stop]
                codes[name] = int(part[0]) if name in RUN_COLUMNS else vocabulary.same(name, part)
        pieces.append(Chunk(stop - start, codes, chunk.value[start:stop]))
    return pieces
