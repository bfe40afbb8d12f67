"""The results folder: the Parquet schema of scores, atomic writes, and the one way to read what runs have left.

Layout: ``results/<dataset>/<method>/<run_id>/`` with ``scores.parquet``, ``history.parquet`` and ``run.json``, which is
written last: its presence means that the run is complete, and it vouches for the other two. A published board,
``<dataset>@<revision>/``, holds the scores of several runs in one ``scores.parquet`` and their records in
``runs.jsonl``. Any Parquet reader can open the files without segbench, e.g.
``SELECT * FROM 'results/*/*/*/scores.parquet'`` in DuckDB.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from segbench.atomic import atomically
from segbench.digests import sha256_of
from segbench.errors import DataInvalid, DataMissing, SegbenchError, safe_name
from segbench.records import DIGESTS, check_digest, digests_of, read_record, write_record
from segbench.records import RECORD as RECORD
from segbench.records import write_json as write_json
from segbench.score_table import SCHEMA, TEXT, check_columns, check_values, conform

SCORES = "scores.parquet"
HISTORY = "history.parquet"
TRAINED = "trained.json"
"""What is known of a training whose predictions are not scored yet; the record takes it over."""
RUNS = "runs.jsonl"
"""Records of a published board's runs, one JSON document per line, beside their scores."""


def write_table(path: Path, table: pa.Table, vouch: Callable[[str], None] = lambda digest: None) -> str:
    """Write a Parquet file atomically (zstd): readers see the old file or the new one, never half of one.

    Args:
        path: where; its folder is created.
        table: any Arrow table.
        vouch: is told the file's digest just before it takes its place.

    Returns:
        The SHA-256 of the file.
    """
    texts = [f.name for f in table.schema if pa.types.is_dictionary(f.type) or pa.types.is_string(f.type)]
    digest = ""

    def write(part: Path) -> None:
        nonlocal digest
        pq.write_table(table, part, compression="zstd", use_dictionary=texts)
        digest = sha256_of(part)
        vouch(digest)

    atomically(path, write)
    return digest


def write_scores(folder: Path, table: pa.Table) -> str:
    """Write the scores of a run and return their digest, which belongs into its record.

    The record of a finished run vouches for the old scores and for the new ones until the caller writes it anew: a run
    that is killed in between can be read, and the same command completes it.
    """

    def vouch(digest: str) -> None:
        with contextlib.suppress(DataInvalid):  # a damaged record vouches for nothing, and is about to be replaced
            record = read_record(folder) if is_complete(folder) else {}
            if accepted := digests_of(record, SCORES):
                digests = {**record[DIGESTS], SCORES: sorted({*accepted, digest})}
                write_record(folder / RECORD, {**record, DIGESTS: digests})

    return write_table(folder / SCORES, table, vouch)


def run_folder(root: Path, dataset: str, method: str, run_id: str) -> Path:
    """Return the folder of a run (not created).

    Raises:
        UsageError: if a name is not safe as a path component.
    """
    parts = (safe_name(dataset, "dataset"), safe_name(method, "method"), safe_name(run_id, "run"))
    return root.joinpath(*parts)


def is_complete(folder: Path) -> bool:
    """Return whether a run folder holds a finished run."""
    return (folder / RECORD).is_file()


def complete_runs(root: Path) -> list[Path]:
    """Return the folders of finished runs at or below ``root``, sorted; of a link to a run, the run's own folder.

    Args:
        root: a results root, or a dataset's, method's or run's folder in it.
    """
    patterns = ("", "*/", "*/*/", "*/*/*/")
    found = (file.parent for pattern in patterns for file in root.glob(pattern + RECORD) if file.is_file())
    return sorted(folder.resolve() if folder.is_symlink() else folder for folder in found)


def published_boards(root: Path) -> list[Path]:
    """Return the folders of published boards at or below ``root``, sorted.

    Args:
        root: a board, or a folder of boards. A folder ``NAME@REVISION`` with scores is one though its records are gone.
    """
    found = [file.parent for pattern in ("", "*/") for file in root.glob(pattern + SCORES) if file.is_file()]
    return sorted(
        folder.resolve() if folder.is_symlink() else folder
        for folder in found
        if not is_complete(folder) and ((folder / RUNS).is_file() or "@" in folder.resolve().name)
    )


def read_scores(path: str | Path, columns: Sequence[str] | None = None, left_out: list[str] | None = None) -> pa.Table:
    """Read the scores of all finished runs.

    Args:
        path: a results root (or a dataset's or method's folder in it), one run's folder, a published board or a folder
            of boards, or a Parquet file.
        columns: names to read, by default all of ``SCHEMA``.
        left_out: receives why files are left out that cannot be used, if others can; else the first ends the reading.

    Returns:
        A table with the columns of ``SCHEMA`` that were asked for, text dictionary-encoded with one dictionary per
        column; runs in the order of their folders.

    Raises:
        DataMissing: nothing is there, or no run is finished.
        DataInvalid: a file cannot be read, or lacks columns.
    """
    names = SCHEMA.names if columns is None else list(columns)
    files = score_files(Path(path))
    tables: list[pa.Table] = []
    for number, file in enumerate(files, start=1):
        try:
            tables.append(_read_one(file, names))
        except DataInvalid as error:
            if left_out is None or (number == len(files) and not tables):
                raise
            left_out.append(str(error))
    return (tables[0] if len(tables) == 1 else pa.concat_tables(tables)).unify_dictionaries()


def of_decision(table: pa.Table, decision: str = "") -> pa.Table:
    """Return the rows of a run's label maps by one decision: its own, "", unless another is named.

    All rows where none are of this decision: predictions made elsewhere have one only.
    """
    rows = table.filter(pc.equal(table.column("decision").cast(pa.string()), decision))
    return rows if rows.num_rows or decision else table


def score_files(path: Path) -> list[Path]:
    """Return the Parquet files ``read_scores`` reads for a path, whether they are there or not; raises DataMissing."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataMissing(f"There are no results at {path}. Write some with `segbench run`, `evaluate` or `import`.")
    files = [folder / SCORES for folder in complete_runs(path)]
    files += [board / SCORES for board in published_boards(path)]
    if not files:
        raise DataMissing(_nothing_in(path))
    return files


MEND_SCORES = (
    "Restore it from a copy, or delete this one file and give its command again (`segbench run`, `evaluate`, "
    "`import`): label maps that are there are scored anew, nothing is trained."
)


def vouched(file: Path) -> None:
    """Check that the file of scores in a run's folder is there and the one its record vouches for.

    Raises:
        DataInvalid: it is not.
    """
    if file.name != SCORES or not is_complete(file.parent):
        return
    if not file.is_file():
        raise DataInvalid(
            f"{file.parent} has {RECORD} but no {SCORES}: the run's results were removed. "
            f"Delete the folder and run it again, or restore the file."
        )
    check_digest(file, MEND_SCORES)


def _nothing_in(path: Path) -> str:
    if (path / SCORES).is_file():
        return (
            f"{path} has {SCORES} but no {RECORD}: the run was never finished. The command that began it resumes it; "
            f"to read the file all the same, name {path / SCORES}."
        )
    return (
        f"{path} holds no finished run (no */*/*/{RECORD}) and no published board (no NAME@REVISION/{SCORES}). Write "
        f"one with `segbench run --method NAME`, `segbench evaluate PREDICTIONS REFERENCES` or `segbench import "
        f"scores.csv`."
    )


def open_scores(file: Path, names: Sequence[str]) -> pq.ParquetFile:
    """Open a file of scores so that its text columns arrive dictionary-encoded.

    Raises:
        DataInvalid: it lacks one of the columns ``names`` or has it twice.
    """
    if not file.is_file():
        raise DataInvalid(
            f"{file.parent} has {RECORD} but no {SCORES}: the run's results were removed. "
            f"Delete the folder and run it again, or restore the file."
        )
    reader = pq.ParquetFile(file)
    present = reader.schema_arrow
    check_columns(file, present, names)
    texts = [name for name in names if name in present.names and SCHEMA.field(name).type == TEXT]
    plain = [name for name in texts if not pa.types.is_dictionary(present.field(name).type)]
    return pq.ParquetFile(file, read_dictionary=plain) if plain else reader


def rows_in(file: Path) -> int:
    """Return how many rows a file of scores says it has, without reading them.

    Raises:
        DataInvalid: it cannot be read.
    """
    with readable(file):
        return int(pq.read_metadata(file).num_rows)


def _read_one(file: Path, names: Sequence[str]) -> pa.Table:
    with readable(file):
        vouched(file)
        reader = open_scores(file, names)
        present = set(reader.schema_arrow.names)
        table = conform(reader.read(columns=[name for name in names if name in present]), names)
        check_values(file, table)
        return table


@contextlib.contextmanager
def readable(file: Path) -> Iterator[None]:
    """Turn what goes wrong while a Parquet file is read into ``DataInvalid`` that names it."""
    try:
        yield
    except (SegbenchError, KeyError):
        raise
    except Exception as error:  # a damaged file provokes whatever its bytes happen to say
        raise DataInvalid(
            f"{file} cannot be read as scores: {error}. Restore it, or delete the run's folder and run it again."
        ) from error
