"""The results folder: the Parquet schema of scores, atomic writes, and the one way to read what runs have left.

Layout: ``results/<dataset>/<method>/<run_id>/`` with ``scores.parquet``, ``history.parquet`` and ``run.json``, which is
written last: its presence means that the run is complete, and it vouches for the other two. A published board,
``<dataset>@<revision>/``, holds the scores of several runs in one ``scores.parquet`` and their records in
``runs.jsonl``. Any Parquet reader can open the files without segbench, e.g.
``SELECT * FROM 'results/*/*/*/scores.parquet'`` in DuckDB.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from segbench.atomic import atomically
from segbench.digests import sha256_of
from segbench.errors import DataInvalid, DataMissing, SegbenchError, safe_name
from segbench.records import DIGESTS, check_digest, digests_of, read_record, write_record
from segbench.records import RECORD as RECORD
from segbench.records import write_json as write_json
from segbench.types import FAMILIES, STATUSES

SCORES = "scores.parquet"
HISTORY = "history.parquet"
TRAINED = "trained.json"
"""What is known of a training whose predictions are not scored yet; the record takes it over."""
RUNS = "runs.jsonl"
"""Records of a published board's runs, one JSON document per line, beside their scores."""
SOURCES = ("trained", "external", "imported")


@dataclass(frozen=True, slots=True)
class Row:
    """One value of one metric for one structure of one case of one run.

    Attributes:
        run_id: identity of the run that wrote it.
        dataset, dataset_revision: what was segmented; the revision is for reading, truths decide what is compared.
        network, method, arm: what segmented it; ``arm`` is "method", "control" or "placebo".
        seed, fold: of the run.
        case_id, group: the case and its patient.
        label: label value, or None for regions and whole-map metrics.
        label_name: the structure; "all" for whole-map metrics. Rankings group by it.
        metric, metric_version, unit, better: the metric; ``better`` is "higher" or "lower".
        value: the number, or None where the definition gives none (see ``status``).
        status: ok | both_empty | truth_empty | pred_empty | missing | failed.
        source: "trained" here, "external" predictions, or "imported" numbers.
        synthetic: whether the dataset is a phantom.
        supervision: what the method learnt from ("masks", "descriptors", "semi", "none"; "" if unknown).
        rater: whose reference it was, where a dataset has several.
        variant: what the run's configuration changes of the defaults, e.g. "epochs=50"; another variant of a method is
            another competitor. A decision other than the default is part of it.
        decision: how probabilities became labels, the names of a chain such as "one+another"; "" for the default, and
            for predictions that came as label maps.
        truth: the truth it was scored against (see ``truths.truth_digest``); "" if it is not known.
        family: of the metric: "overlap", "boundary" or "".
        preference: of the metric within its family; the highest on a board holds the family's seat.
        build: of the training: digest of what its configuration does not say (data, versions, edited code, precision,
            kind of device); trainings that differ in it are competitors of their own. "" if it is not known.
        fault: why the training behind it learnt nothing, "" if it learnt something or that is not known; boards say so.
        reason: why a value has status "failed", in words; "" otherwise.
    """

    run_id: str
    dataset: str
    dataset_revision: str
    network: str
    method: str
    arm: str
    seed: int
    fold: int
    case_id: str
    group: str
    label: int | None
    label_name: str
    metric: str
    metric_version: str
    unit: str
    better: str
    value: float | None
    status: str = "ok"
    source: str = "trained"
    synthetic: bool = False
    supervision: str = ""
    rater: str | None = None
    variant: str = ""
    decision: str = ""
    truth: str = ""
    family: str = ""
    preference: int = 0
    build: str = ""
    fault: str = ""
    reason: str = ""


_TEXT = pa.dictionary(pa.int32(), pa.string())
_TYPES: Mapping[str, pa.DataType] = {
    "seed": pa.int64(),
    "fold": pa.int64(),
    "preference": pa.int64(),
    "label": pa.int64(),
    "value": pa.float64(),
    "synthetic": pa.bool_(),
}
_NULLABLE = frozenset({"label", "value", "rater"})
_OPTIONAL: Mapping[str, Any] = {
    field.name: field.default
    for field in dataclasses.fields(Row)
    if field.default is not dataclasses.MISSING and field.name not in ("status", "source")
}
LATER = ("fault", "reason")
"""Columns that digests of scores leave out where they are empty, so that those of older files stay as they were."""
SCHEMA = pa.schema([pa.field(field.name, _TYPES.get(field.name, _TEXT)) for field in dataclasses.fields(Row)])
"""Columns of ``scores.parquet``, in the order of ``Row``; text is dictionary-encoded (int32 indices)."""


_WORDS: Mapping[str, Sequence[str]] = {
    "status": STATUSES,
    "better": ("higher", "lower"),
    "source": SOURCES,
    "family": ("", *FAMILIES),
}
"""Columns of which only some words are possible."""
_MOST_NAMED = 3


def scores_table(rows: Iterable[Row | Mapping[str, Any]]) -> pa.Table:
    """Return rows as a table of ``SCHEMA``.

    A NaN is written as null; a null whose status says "ok" gets status "failed", so that it can never disappear from
    a mean unnoticed.

    Args:
        rows: ``Row`` objects or mappings with the same names (those with defaults may be left out).

    Raises:
        DataInvalid: unknown or missing columns, a status, direction or source that does not exist, a wrong type.
    """
    values_of = operator.attrgetter(*SCHEMA.names)
    found, mended = [], []
    for index, row in enumerate(rows):
        checked = row if isinstance(row, Row) else _row_of(row, index)
        mended.append(_value_and_status(checked))
        found.append(values_of(checked))
        _check_words(checked, index)
    columns = dict(zip(SCHEMA.names, zip(*found, strict=True) if found else [()] * len(SCHEMA.names), strict=True))
    columns["value"], columns["status"] = zip(*mended, strict=True) if mended else ((), ())
    arrays = []
    for field in SCHEMA:
        plain = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        try:
            array = pa.array(columns[field.name], type=plain)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DataInvalid(f"Scores: column {field.name!r} must hold {plain}; {error}.") from error
        if array.null_count and field.name not in _NULLABLE:
            raise DataInvalid(f"Scores: column {field.name!r} must not be empty; row {_first_null(array)} is.")
        arrays.append(array.dictionary_encode() if plain is not field.type else array)
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _row_of(row: Mapping[str, Any], index: int) -> Row:
    try:
        return Row(**row)
    except TypeError as error:
        raise DataInvalid(
            f"Scores: row {index} does not fit the columns {', '.join(SCHEMA.names)}: {error}."
        ) from error


def _value_and_status(row: Row) -> tuple[float | None, str]:
    value = None if row.value is None or math.isnan(row.value) else float(row.value)
    return value, "failed" if value is None and row.status == "ok" else row.status


def _check_words(row: Row, index: int) -> None:
    for name, allowed in _WORDS.items():
        if getattr(row, name) not in allowed:
            expected = ", ".join(allowed)
            raise DataInvalid(f"Scores: row {index}: {name} must be one of {expected}; found {getattr(row, name)!r}.")


def _first_null(array: pa.Array) -> int:
    return int(array.is_null().index(pa.scalar(True)).as_py())


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
    _check_columns(file, present, names)
    texts = [name for name in names if name in present.names and SCHEMA.field(name).type == _TEXT]
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


def _check_columns(file: Path, present: pa.Schema, names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in SCHEMA.names]
    if unknown:
        raise KeyError(f"read_scores: no such columns: {unknown}")
    if doubled := sorted({name for name in present.names if present.names.count(name) > 1}):
        raise DataInvalid(
            f"{file} is not a table of scores: it has {', '.join(doubled)} more than once. Leave one of each."
        )
    for name in names:
        if name in present.names and pa.types.is_nested(kind := present.field(name).type):
            raise DataInvalid(f"{file} cannot be read as scores: column {name} holds {kind}, expected plain values.")
    missing = [name for name in names if name not in present.names and name not in _OPTIONAL]
    if missing:
        raise DataInvalid(
            f"{file} is not a table of scores: it lacks {', '.join(missing)} "
            f"(found {', '.join(present.names) or 'no columns'}). A CSV of scores is brought in by `segbench import`."
        )


def check_values(file: Path, table: pa.Table, constants: Mapping[str, Any] | None = None) -> None:
    """Check what a file of scores says, column by column.

    Args:
        file: named in messages.
        table: some columns of ``SCHEMA``, as ``conform`` gives them.
        constants: further columns of which only one value is known.

    Raises:
        DataInvalid: a value is empty that must not be, or a word does not exist.
    """
    empty = [name for name in table.column_names if name not in _NULLABLE and table.column(name).null_count]
    empty += [name for name, value in (constants or {}).items() if value is None and name not in _NULLABLE]
    if empty:
        raise DataInvalid(
            f"{file} is not a table of scores: {', '.join(empty)} must not be empty, some rows are. Fill them in."
        )
    for name, allowed in _WORDS.items():
        words = {(constants or {})[name]} if name in (constants or {}) else set()
        if name in table.column_names:
            words |= {word for chunk in table.column(name).chunks for word in chunk.dictionary.to_pylist()}
        if strange := sorted(map(str, words - set(allowed))):
            found = ", ".join(map(repr, strange[:_MOST_NAMED]))
            raise DataInvalid(
                f"{file} is not a table of scores: {name} must be one of {', '.join(filter(None, allowed))}; found "
                f"{found}. Correct them."
            )


def absent(present: Collection[str], names: Iterable[str]) -> dict[str, Any]:
    """Return optional columns that a file lacks, with what stands for them: old files know fewer columns."""
    return {name: _OPTIONAL[name] for name in names if name in _OPTIONAL and name not in present}


def conform(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return the columns ``names`` cast to the types of ``SCHEMA``; optional ones that are absent are filled in."""
    arrays = []
    for name in names:
        target = SCHEMA.field(name).type
        if name not in table.column_names:
            filler = pa.repeat(pa.scalar(_OPTIONAL[name], pa.string() if target == _TEXT else target), table.num_rows)
            column = pa.chunked_array([filler.dictionary_encode() if target == _TEXT else filler])
        else:
            column = table.column(name)
            if target == _TEXT and not pa.types.is_dictionary(column.type):
                column = column.cast(pa.string()).dictionary_encode()
            elif column.type != target:
                column = column.cast(target)
        arrays.append(column)
    return pa.Table.from_arrays(arrays, schema=pa.schema([SCHEMA.field(name) for name in names]))
