"""What a path of results holds: the finished runs in folders of their own, on published boards, in a bare file.

Whoever reads results asks here and need not know how they are kept. A run on a board has its scores and its published
record; a bare Parquet file has scores alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.errors import DataInvalid
from segbench.records import parsed_record, read_record
from segbench.results import RUNS, SCORES, complete_runs, published_boards, read_scores

if TYPE_CHECKING:
    import pyarrow as pa


class _Shared:
    """A file of scores that several runs share, read once."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @cached_property
    def table(self) -> pa.Table:
        return read_scores(self.file)

    @cached_property
    def names(self) -> Sequence[str]:
        """Runs in the order of their first rows."""
        names = read_scores(self.file, ["run_id"]).column("run_id").to_pylist()
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True, eq=False)
class KeptRun:
    """A finished run where it is kept.

    Attributes:
        place: its folder, its board's folder, or the bare file: what messages name.
        folder: its own folder, with history, label maps and network; None where only scores are kept.
        board: whether it stands on a published board.
    """

    place: Path
    folder: Path | None = None
    board: bool = False
    _name: str = ""
    _record: Mapping[str, Any] | None = field(default=None, repr=False)
    _shared: _Shared | None = field(default=None, repr=False)

    @classmethod
    def of(cls, run: Path | KeptRun) -> KeptRun:
        """Return a run by its folder, or as it is."""
        return run if isinstance(run, KeptRun) else cls(run, run)

    @property
    def run_id(self) -> str:
        """Identity of the run; known without its record being read."""
        return self._name or self.place.name

    @cached_property
    def record(self) -> Mapping[str, Any]:
        """The whole record in a folder, the published one on a board, else nothing but ``run_id``.

        Raises:
            DataInvalid: it cannot be read.
        """
        if self._record is not None:
            return self._record
        return read_record(self.place)

    def scores(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of the run; see ``results.read_scores``."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._shared is None:
            return read_scores(self.place, columns)
        table = self._shared.table
        rows = table.filter(pc.equal(table.column("run_id").cast(pa.string()), self.run_id))
        return rows if columns is None else rows.select(list(columns))


def kept_runs(path: Path, left_out: list[str] | None = None) -> list[KeptRun]:
    """Return the finished runs at or below a path, sorted by place: those in folders, then those on boards.

    A run that has a folder here and stands on a board here too is that of the folder, which holds more.

    Args:
        path: a results root or a folder in it, a published board or a folder of boards, or a Parquet file of scores.
        left_out: receives why boards are left out that cannot be used; else the first ends the reading.

    Raises:
        DataInvalid: the records of a board cannot be read, or speak of other runs than its scores.
        DataMissing: as ``results.read_scores`` for a path that is not there.
    """
    if path.is_file():
        shared = _Shared(path)
        return [KeptRun(path, None, False, name, {"run_id": name}, shared) for name in shared.names]
    folders = [KeptRun(folder, folder) for folder in complete_runs(path)]
    here = {run.run_id for run in folders}
    boards: list[KeptRun] = []
    for board in published_boards(path):
        try:
            boards += _of_board(board)
        except DataInvalid as error:
            if left_out is None:
                raise
            left_out.append(str(error))
    return folders + [run for run in boards if run.run_id not in here]


def _of_board(board: Path) -> Iterator[KeptRun]:
    """Yield the runs of a published board in the order of its records."""
    shared = _Shared(board / SCORES)
    records = board_records(board)
    listed = {str(record["run_id"]) for record in records}
    if listed != set(shared.names):
        raise DataInvalid(
            f"{board}: {SCORES} and {RUNS} speak of different runs ({len(shared.names)} and {len(listed)}). "
            f"Restore both files, or write the board again."
        )
    for record in records:
        yield KeptRun(board, None, True, str(record["run_id"]), record, shared)


def board_records(board: Path) -> list[dict[str, Any]]:
    """Return the published records of a board's runs.

    Raises:
        DataInvalid: the file is not there or cannot be read.
    """
    file = board / RUNS
    if not file.is_file():
        raise DataInvalid(f"{file} cannot be read: expected a file, found none. Restore it, or write the board again.")
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise DataInvalid(f"{file} cannot be read: {error}. Restore it, or write the board again.") from error
    return [parsed_record(line, file) for line in lines]
