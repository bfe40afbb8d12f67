"""A CSV of per-case scores, published anywhere, brought into the results folder as runs of source "imported"."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segbench.errors import DataInvalid, DataMissing, UsageError, safe_name
from segbench.results import RECORD, SCORES, Row, is_complete, run_folder, scores_table, write_json, write_table
from segbench.types import FAMILIES, STATUSES

REQUIRED = ("dataset", "case", "label", "metric", "better", "method", "value")
OPTIONAL = (
    *("seed", "status", "dataset_revision", "network", "metric_version", "unit", "group", "fold"),
    *("family", "truth"),
)
_LATER = ("decision", "truth", "family", "preference", "build")
"""Columns of rows that the identity of a table does not know, so that tables imported before them keep theirs."""
_EMPTY = frozenset({"", "na", "nan", "null", "none"})
_SHOWN = 8
_LONGEST_FOLDER = 80


Families = Mapping[str, tuple[str, int]]
"""Metric -> its family and its preference within it."""


def import_scores(
    file: Path, results: Path, name: str | None = None, families: Families | None = None
) -> dict[str, Any]:
    """Import a CSV; doing it again changes nothing.

    Args:
        file: with the columns of ``REQUIRED`` and any of ``OPTIONAL``; ``seed`` is 0 and ``status`` "ok" ("missing" for
            an empty value) where not given. ``label`` is a number or a name. ``truth`` is what ``truths.truth_digest``
            gives of the case's truth; without it the truth is that of the revision, if that is known.
        results: the results folder; one run per dataset, revision, method and network is written. Methods and cases
            keep their names as text, whatever they hold; only the folder of a method's runs is renamed if it must be.
        name: the method of all rows, if the file has no column ``method`` or only one method in it.
        families: of metrics that are known by name; the file's column ``family`` goes before.

    Returns:
        ``{"runs": [{"dataset", "method", "run_id", "rows", "folder", "new"}], "notes": [...]}``.

    Raises:
        DataMissing: no such file.
        DataInvalid: it is no such table; every fault is named with its line.
    """
    rows, notes = read_csv(file, name)
    methods = sorted({row.method for row in rows})
    if name and methods != [name]:
        if len(methods) > 1:
            raise UsageError(f"--name {name}: {file} holds several methods ({', '.join(methods)}). Leave --name out.")
        rows = [dataclasses.replace(row, method=_text(name, "method")) for row in rows]
    rows = [_in_family(row, families or {}) for row in rows]
    runs: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        runs.setdefault((row.dataset, row.dataset_revision, row.method, row.network), []).append(row)
    return {"runs": [_write(runs[key], results, file) for key in sorted(runs)], "notes": notes}


def _in_family(row: Row, families: Families) -> Row:
    """Return a row with the family of its metric, unless the table gives another; that one has no preference."""
    family, preference = families.get(row.metric) or families.get(row.metric.lower()) or ("", 0)
    return row if row.family not in ("", family) else dataclasses.replace(row, family=family, preference=preference)


def read_csv(file: Path, name: str | None = None) -> tuple[list[Row], list[str]]:
    """Read and check a CSV of scores; ``run_id`` is still empty. Arguments and errors as ``import_scores``."""
    if not file.is_file():
        raise DataMissing(f"There is no file {file}. Expected a CSV with the columns {', '.join(REQUIRED)}.")
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            notes = _check_header(file, reader.fieldnames, name)
            return _checked(file, reader, name), notes
    except UnicodeDecodeError as error:
        raise DataInvalid(
            f"{file} is not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8."
        ) from error
    except csv.Error as error:
        raise DataInvalid(f"{file} is not a CSV: {error}.") from error


def _check_header(file: Path, fields: Any, name: str | None) -> list[str]:
    found = [str(field).strip() for field in fields or ()]
    needed = [column for column in REQUIRED if not (column == "method" and name)]
    missing = [column for column in needed if column not in found]
    if missing:
        hint = " Give the method with --name." if missing == ["method"] else ""
        raise DataInvalid(
            f"{file}: the first line must name the columns {', '.join(REQUIRED)} (and may name "
            f"{', '.join(OPTIONAL)}); it lacks {', '.join(missing)} and has {', '.join(found) or 'nothing'}.{hint}"
        )
    doubled = sorted({column for column in found if found.count(column) > 1})
    if doubled:
        raise DataInvalid(f"{file}: the first line names {', '.join(doubled)} more than once.")
    extra = [column for column in found if column not in (*REQUIRED, *OPTIONAL)]
    return [f"Columns not used: {', '.join(extra)}."] if extra else []


def _checked(file: Path, reader: csv.DictReader[str], name: str | None) -> list[Row]:
    """Convert every line, collecting faults rather than stopping at the first."""
    rows: list[Row] = []
    faults: list[str] = []
    line_of: dict[tuple[Any, ...], int] = {}
    ways: dict[tuple[str, str], tuple[str, int]] = {}
    for record in reader:
        line = reader.line_num
        try:
            row = _row(record, name)
        except (UsageError, ValueError) as error:
            faults.append(f"line {line}: {error}")
            continue
        key = (row.dataset, row.dataset_revision, row.method, row.network, row.case_id, row.label_name, row.metric)
        first = line_of.setdefault((*key, row.seed, row.fold), line)
        if first != line:
            what = f"{row.method}, case {row.case_id}, {row.metric} of {row.label_name}, seed {row.seed}"
            faults.append(f"line {line}: {what} was already given on line {first}")
        better, there = ways.setdefault((row.dataset, row.metric), (row.better, line))
        if better != row.better:
            faults.append(f"line {line}: {row.metric} is better {row.better} here and {better} on line {there}")
        rows.append(row)
    if faults:
        rest = f"\n  and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise DataInvalid(f"{file}: nothing was imported.\n  " + "\n  ".join(faults[:_SHOWN]) + rest)
    if not rows:
        raise DataInvalid(f"{file} has a header but no scores.")
    return rows


def _row(record: Mapping[str | None, Any], name: str | None) -> Row:
    if None in record or any(value is None for value in record.values()):
        raise ValueError("it has not as many fields as the first line names columns")
    cells = {str(key).strip(): value.strip() for key, value in record.items()}
    value = _number(cells["value"])
    label = cells["label"]
    number = int(label) if re.fullmatch(r"-?[0-9]{1,18}", label) else None
    better = cells["better"].lower()
    if better not in ("higher", "lower"):
        raise ValueError(f"better must be higher or lower, found {cells['better']!r}")
    method = cells.get("method", name)
    case = _text(cells["case"], "case")
    return Row(
        run_id="",
        dataset=safe_name(cells["dataset"], "dataset"),
        dataset_revision=safe_name(cells.get("dataset_revision") or "imported", "dataset_revision"),
        network=_optional_name(cells.get("network", ""), "network"),
        method=_text(str(method), "method"),
        arm="method",
        seed=_whole(cells.get("seed", ""), "seed"),
        fold=_whole(cells.get("fold", ""), "fold"),
        case_id=case,
        group=_printable(cells.get("group") or case, "group"),
        label=number,
        label_name=_text(label, "label"),
        metric=safe_name(cells["metric"], "metric"),
        metric_version=_printable(cells.get("metric_version") or "imported", "metric_version"),
        unit=_printable(cells.get("unit", ""), "unit"),
        better=better,
        value=value,
        status=_status(cells.get("status", ""), value),
        source="imported",
        truth=_printable(cells.get("truth", ""), "truth"),
        family=_family(cells.get("family", "")),
    )


def _number(text: str) -> float | None:
    if text.lower() in _EMPTY:
        return None
    if "_" in text or not text.isascii():  # Python takes 1_0 for ten; no table means that
        raise ValueError(f"value must be a number or empty, found {text!r}")
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"value must be a number or empty, found {text!r}") from None
    return None if math.isnan(number) else number  # -nan and +nan are no more a value than nan


def _whole(text: str, what: str) -> int:
    if not text:
        return 0
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError(f"{what} must be a whole number, found {text!r}")
    return int(text)


def _family(text: str) -> str:
    if text.lower() not in ("", *FAMILIES):
        raise ValueError(f"family must be {' or '.join(FAMILIES)} or empty, found {text!r}")
    return text.lower()


def _status(text: str, value: float | None) -> str:
    status = text.lower() or ("missing" if value is None else "ok")
    if status not in STATUSES:
        raise ValueError(f"status must be one of {', '.join(STATUSES)} or empty, found {text!r}")
    if value is None and status == "ok":
        raise ValueError("status is ok but there is no value")
    return status


def _optional_name(text: str, what: str) -> str:
    return safe_name(text, what) if text else ""


def _printable(text: str, what: str) -> str:
    if not text.isprintable() or len(text) > 128:
        raise ValueError(f"{what} must be printable and at most 128 characters long, found {text!r}")
    return text


def _text(text: str, what: str) -> str:
    """Return a name that is kept as text: printable, not empty, and no path that leads elsewhere."""
    if not text:
        raise ValueError(f"{what} must not be empty")
    parts = re.split(r"[/\\]", text)
    if parts[0] == "" or any(part in (".", "..") for part in parts):
        raise ValueError(f"{what} {text!r} looks like a path. Rename it.")
    return _printable(text, what)


def folder_name(name: str) -> str:
    """Return the name itself if it is safe as a folder's, else what is left of it with digits that tell it apart."""
    try:
        return safe_name(name, "method")
    except UsageError:
        rest = re.sub(r"[^A-Za-z0-9._+@-]+", "-", name).lstrip("._+@-")[:_LONGEST_FOLDER].rstrip("-")
        return f"{rest or 'method'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _write(rows: list[Row], results: Path, file: Path) -> dict[str, Any]:
    rows = sorted(rows, key=lambda r: (r.case_id, r.label_name, r.metric, r.seed, r.fold))
    run_id = _digest(rows)
    first = rows[0]
    folder = run_folder(results, first.dataset, folder_name(first.method), run_id)
    new = not is_complete(folder)
    if new:
        write_table(folder / SCORES, scores_table(dataclasses.replace(row, run_id=run_id) for row in rows))
        record = {"run_id": run_id, "source": "imported", "file": file.name, "rows": len(rows)}
        record |= {"dataset": first.dataset, "dataset_revision": first.dataset_revision, "method": first.method}
        record |= {"network": first.network, "seeds": sorted({row.seed for row in rows})}
        write_json(folder / RECORD, record)
    return {
        "dataset": first.dataset,
        "method": first.method,
        "run_id": run_id,
        "rows": len(rows),
        "folder": str(folder),
        "new": new,
    }


def _digest(rows: Iterator[Row] | list[Row]) -> str:
    """Return the identity of a table: the first 12 hex digits of SHA-256 over its rows in order."""
    digest = hashlib.sha256()
    known = [field.name for field in dataclasses.fields(Row) if field.name not in _LATER]
    for row in rows:
        plain = [getattr(row, name) for name in known] + ([row.truth] if row.truth else [])
        values = [v if not isinstance(v, float) or math.isfinite(v) else str(v) for v in plain]
        digest.update(json.dumps(values).encode())
    return digest.hexdigest()[:12]
