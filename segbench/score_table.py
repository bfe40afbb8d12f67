"""What a table of scores is: its columns, how rows become one, and what is checked of one that somebody else made."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from segbench.errors import DataInvalid
from segbench.types import FAMILIES, STATUSES

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


TEXT = pa.dictionary(pa.int32(), pa.string())
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
SCHEMA = pa.schema([pa.field(field.name, _TYPES.get(field.name, TEXT)) for field in dataclasses.fields(Row)])
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
            expected = ", ".join(filter(None, allowed)) + (" or nothing" if "" in allowed else "")
            raise DataInvalid(f"Scores: row {index}: {name} must be one of {expected}; found {getattr(row, name)!r}.")


def _first_null(array: pa.Array) -> int:
    return int(array.is_null().index(pa.scalar(True)).as_py())


def check_columns(file: Path, present: pa.Schema, names: Sequence[str]) -> None:
    """Check that a file of scores can give some columns.

    Args:
        file: named in messages.
        present: what it holds.
        names: columns of ``SCHEMA`` that are wanted.

    Raises:
        KeyError: there is no such column.
        DataInvalid: a column is there twice, is nested, or is missing and has no default.
    """
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
            filler = pa.repeat(pa.scalar(_OPTIONAL[name], pa.string() if target == TEXT else target), table.num_rows)
            column = pa.chunked_array([filler.dictionary_encode() if target == TEXT else filler])
        else:
            column = table.column(name)
            if target == TEXT and not pa.types.is_dictionary(column.type):
                column = column.cast(pa.string()).dictionary_encode()
            elif column.type != target:
                column = column.cast(target)
        arrays.append(column)
    return pa.Table.from_arrays(arrays, schema=pa.schema([SCHEMA.field(name) for name in names]))
