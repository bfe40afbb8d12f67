"""Scores in the form that counting needs: text as codes into one vocabulary, a column that is constant as one number.

A run's file repeats its dataset, method and seed in every row: Parquet's statistics say so without decoding the
columns. Runs of one dataset repeat the order of cases, labels and metrics: a column whose bytes were met before is not
decoded again. Values are kept while they are few; of many rows they are read again whenever they are asked for, so that
memory does not grow with them.
"""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segbench.errors import DataInvalid
from segbench.ranking.row_groups import Codes, Piece, Stamp, read_columns, read_group
from segbench.ranking.vocabulary import Vocabulary, whole, words_of
from segbench.results import score_files
from segbench.score_table import conform
from segbench.types import STATUSES

Floats = NDArray[np.float64]
_READERS = 2
_SHORTEST_PIECE = 500
"""Chunks are not cut if the pieces would be shorter than this on average."""
_KEPT_ROWS = 4_000_000
"""Rows whose values are kept in memory; those of further rows are read when they are asked for."""
OTHER = "?"
"""Stands for a status that no version of segbench writes, in chunks whose values are not kept."""
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
        "build",
        "fault",
    }
)
"""Columns that describe a run rather than a value."""


class _StoredCodes(dict[str, Codes]):
    """Codes of a chunk whose statuses are read, with its values, when they are asked for."""

    def __init__(self, codes: dict[str, Codes], stored: _Stored) -> None:
        super().__init__(codes)
        self._stored = stored

    def __missing__(self, name: str) -> Codes:
        if name != "status":
            raise KeyError(name)
        return self._stored.statuses()


class Chunk:
    """Some rows: per column the codes of its values, or one code if they are all the same.

    Attributes:
        rows: number of rows.
        codes: column -> code(s) ``(rows,)`` into ``Scores.vocabulary``.
        bounds: what no value is below or above, if that is known without reading them.
    """

    def __init__(
        self,
        rows: int,
        codes: dict[str, Codes],
        value: Floats | _Stored,
        bounds: tuple[float, float] | None = None,
    ) -> None:
        self.rows = rows
        self.codes = codes if not isinstance(value, _Stored) else _StoredCodes(codes, value)
        self.bounds = bounds
        self._value = value

    @property
    def value(self) -> Floats:
        """float64 ``(rows,)``, NaN = null; read anew whenever it is asked for, if it is not kept."""
        return self._value.values("status" not in self.codes) if isinstance(self._value, _Stored) else self._value

    @property
    def is_stored(self) -> bool:
        """Whether the values are read when they are asked for."""
        return isinstance(self._value, _Stored)

    def loaded(self) -> Chunk:
        """Return the same rows with their values and statuses in memory."""
        if not isinstance(self._value, _Stored):
            return self
        codes: dict[str, Codes] = {**self.codes, "status": self.codes["status"]}
        return Chunk(self.rows, codes, self.value, self.bounds)

    def part(self, start: int, stop: int, codes: dict[str, Codes]) -> Chunk:
        """Return some consecutive rows, given their codes."""
        value = self._value.part(start, stop) if isinstance(self._value, _Stored) else self._value[start:stop]
        return Chunk(stop - start, codes, value, self.bounds)

    def take(self, keep: NDArray[np.bool_]) -> Chunk:
        """Return the rows where ``keep`` is true, in memory."""
        if keep.all():
            return self
        every = self.loaded()
        codes = {name: code if isinstance(code, int) else code[keep] for name, code in every.codes.items()}
        return Chunk(int(keep.sum()), codes, every.value[keep], self.bounds)


@dataclass(frozen=True)
class _Stored:
    """Where the values and statuses of a chunk are: rows ``start`` to ``stop`` of a row group of a file.

    ``status`` maps words to codes; ``stamp`` is the file's when the other columns were read.
    """

    file: Path
    group: int
    stamp: Stamp
    start: int
    stop: int
    status: dict[Any, int] = field(hash=False, compare=False)

    def statuses(self) -> Codes:
        """Return the codes of the statuses ``(rows,)``."""
        words, positions = words_of(
            whole(_numbers(self.file, self.group, self.stamp, ("status", "value")).column("status"))
        )
        known = np.array([self.status.get(word, self.status[OTHER]) for word in words], dtype=np.int32)
        return int(known[0]) if len(words) == 1 else known[positions[self.start : self.stop]]

    def values(self, with_statuses: bool = True) -> Floats:
        """Return the values ``(rows,)``; they are read together with the statuses, unless those are known."""
        names = ("status", "value") if with_statuses else ("value",)
        return _values(_numbers(self.file, self.group, self.stamp, names))[self.start : self.stop]

    def part(self, start: int, stop: int) -> _Stored:
        """Return some of the rows."""
        return _Stored(self.file, self.group, self.stamp, self.start + start, self.start + stop, self.status)


@functools.lru_cache(maxsize=1)  # a group is asked for its statuses and values, and for those of each run in it
def _numbers(file: Path, group: int, stamp: Stamp, names: tuple[str, ...]) -> pa.Table:
    return read_columns(file, group, stamp, list(names))


@dataclass
class Scores:
    """Chunks with their common vocabulary: column -> values, whose index is the code.

    ``left_out`` says which files could not be used, and why.
    """

    vocabulary: dict[str, list[Any]]
    chunks: list[Chunk] = field(default_factory=list)
    left_out: tuple[str, ...] = ()

    def word(self, column: str, code: int) -> Any:
        """Return the value behind a code."""
        return self.vocabulary[column][code]

    def loaded(self) -> Iterator[Chunk]:
        """Yield every chunk with its values in memory; what has to be read is read a little ahead."""
        if not any(chunk.is_stored for chunk in self.chunks):
            yield from self.chunks
            return
        with ThreadPoolExecutor(1) as reader:
            running: deque[Future[Chunk]] = deque()
            for chunk in self.chunks:
                running.append(reader.submit(chunk.loaded))
                if len(running) > 1:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()


def load_chunks(path: str | Path, columns: Sequence[str]) -> Scores:
    """Read some columns (and ``value``) of all finished runs; a file that cannot be used is left out and named.

    Args:
        path: see ``results.read_scores``.
        columns: text, integer or boolean columns of ``score_table.SCHEMA``.

    Raises:
        DataMissing, DataInvalid: as ``results.read_scores``; the latter if no file can be used.
    """
    vocabulary = Vocabulary(columns)
    found: dict[Path, list[Chunk]] = {}
    faults: dict[Path, DataInvalid] = {}
    todo = deque((file, 0) for file in score_files(Path(path)))
    running: deque[tuple[Path, int, Future[Piece | None]]] = deque()
    rows = 0
    with ThreadPoolExecutor(_READERS) as readers:  # decoding needs no interpreter lock
        while todo or running:
            while todo and len(running) <= _READERS:  # no more: memory that is handed back is used again
                file, index = todo.popleft()
                kept = rows < _KEPT_ROWS
                running.append((file, index, readers.submit(read_group, file, index, columns, vocabulary.met, kept)))
            file, index, future = running.popleft()
            try:
                piece = future.result()
            except DataInvalid as error:
                faults.setdefault(file, error)
                continue
            if piece is None or file in faults:
                continue
            if index == 0:
                todo.extendleft((file, later) for later in range(piece.groups - 1, 0, -1))
            rows += piece.rows
            if piece.rows:
                found.setdefault(file, []).extend(_by_run(_chunk_of(piece, file, index, vocabulary), vocabulary))
    chunks = [chunk for file, own in found.items() if file not in faults for chunk in own]
    if faults and not chunks:
        raise next(iter(faults.values()))
    return Scores(vocabulary.words(), chunks, tuple(map(str, faults.values())))


def _chunk_of(piece: Piece, file: Path, index: int, vocabulary: Vocabulary) -> Chunk:
    """Return a row group as a chunk."""
    codes: dict[str, Codes] = {name: vocabulary.code(name, value) for name, value in piece.constants.items()}
    codes |= piece.met
    for name in piece.table.column_names:
        if name != "value":
            codes[name] = vocabulary.codes_of(name, piece.table.column(name))
            if name in piece.keys:
                vocabulary.remember(name, piece.keys[name], codes[name])
    if "value" in piece.table.column_names:
        return Chunk(piece.rows, codes, _values(piece.table), piece.bounds)
    for word in (*STATUSES, OTHER):
        vocabulary.code("status", word)
    return Chunk(
        piece.rows, codes, _Stored(file, index, piece.stamp, 0, piece.rows, vocabulary.codes["status"]), piece.bounds
    )


def chunks_of_table(table: pa.Table, columns: Sequence[str]) -> Scores:
    """Return a table of ``score_table.SCHEMA`` as one chunk."""
    vocabulary = Vocabulary(columns)
    if not table.num_rows:
        return Scores(vocabulary.words(), [])
    table = conform(table, [*columns, "value"])
    codes = {name: vocabulary.codes_of(name, table.column(name)) for name in columns}
    return Scores(vocabulary.words(), _by_run(Chunk(table.num_rows, codes, _values(table)), vocabulary))


def _values(table: pa.Table) -> Floats:
    return np.asarray(table.column("value").to_numpy(), dtype=np.float64)  # null becomes NaN


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
        pieces.append(chunk.part(start, stop, codes))
    return pieces
