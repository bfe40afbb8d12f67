"""A table of scores becomes runs of source "imported"; importing it again changes nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segbench.errors import UsageError, safe_name
from segbench.importing.measures import Measure
from segbench.importing.rows import rows_of
from segbench.importing.tables import Said, read_table
from segbench.records import DIGESTS, RECORD, write_record
from segbench.results import SCORES, is_complete, run_folder, write_scores
from segbench.score_table import Row, scores_table
from segbench.types import STATUSES

_IDENTITY = (
    *("run_id", "dataset", "dataset_revision", "network", "method", "arm", "seed", "fold", "case_id", "group"),
    *("label", "label_name", "metric", "metric_version", "unit", "better", "value", "status", "source"),
    *("synthetic", "supervision", "rater", "variant"),
)
"""Columns that the identity of a table is of; later ones are not among them, so that a table keeps its identity."""
_LONGEST_FOLDER = 80
_NO_MEASURES: Mapping[str, Measure] = {}


def import_scores(
    file: Path,
    results: Path,
    name: str | None = None,
    measures: Mapping[str, Measure] = _NO_MEASURES,
    *,
    said: Said | None = None,
    empty: str | None = None,
) -> dict[str, Any]:
    """Import a table of scores; doing it again changes nothing.

    Args:
        file: a CSV with the columns of ``tables.REQUIRED`` and any of ``tables.OPTIONAL``; ``seed`` is 0 and ``status``
            "ok" (``empty`` for an empty value) where not given. ``label`` is a number or a name. ``truth`` is what
            ``truths.truth_digest`` gives of the case's truth; without it the truth is that of the revision, if that is
            known. Or a table as challengeR reads it, as MONAI's MetricsSaver writes it (``<metric>_raw.csv``), or a
            ``summary.json`` of nnU-Net, with what it does not say in ``said``.
        results: the results folder; one run per dataset, revision, method and network is written. Methods and cases
            keep their names as text, whatever they hold; only the folder of a method's runs is renamed if it must be.
        name: the method of all rows, if the file has no column ``method`` or only one method in it.
        measures: metrics that are known by name (in lower case): their directions, families and ranges; the file's
            column ``family`` goes before.
        said: what is said of the table beside it.
        empty: status of empty values that have none; None = "missing", with a note of how many.

    Returns:
        ``{"runs": [{"dataset", "method", "run_id", "rows", "folder", "new"}], "notes": [...]}``.

    Raises:
        DataMissing: no such file.
        DataInvalid: it is no such table; every fault is named with its line.
        UsageError: the request makes no sense.
    """
    said = said or Said()
    if name:
        said = dataclasses.replace(said, constants={**said.constants, "method": name})
    if empty is not None and empty not in STATUSES[1:]:
        raise UsageError(f"--empty {empty!r}: expected one of {', '.join(STATUSES[1:])}.")
    table = read_table(file, said, measures)
    rows, notes = rows_of(file, table.records, measures, numbers=_numbers(said), empty=empty)
    rows = [_in_family(row, measures) for row in rows]
    runs: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        runs.setdefault((row.dataset, row.dataset_revision, row.method, row.network), []).append(row)
    return {"runs": [_write(runs[key], results, file) for key in sorted(runs)], "notes": [*table.notes, *notes]}


def _numbers(said: Said) -> dict[str, int]:
    """Return the values of labels that were given a name."""
    return {name: int(text) for text, name in said.labels.items() if re.fullmatch(r"[0-9]{1,18}", text)}


def _in_family(row: Row, measures: Mapping[str, Measure]) -> Row:
    """Return a row with the family of its metric, unless the table gives another; that one has no preference."""
    known = measures.get(row.metric.lower())
    if known is None or row.family not in ("", known.family):
        return row
    return dataclasses.replace(row, family=known.family, preference=known.preference)


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
    new = not is_complete(folder) or not (folder / SCORES).is_file()
    if new:
        digest = write_scores(folder, scores_table(dataclasses.replace(row, run_id=run_id) for row in rows))
        record = {"run_id": run_id, "source": "imported", "file": file.name, "rows": len(rows)}
        record |= {"dataset": first.dataset, "dataset_revision": first.dataset_revision, "method": first.method}
        record |= {"network": first.network, "seeds": sorted({row.seed for row in rows}), DIGESTS: {SCORES: digest}}
        write_record(folder / RECORD, record)
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
    for row in rows:
        plain = [getattr(row, name) for name in _IDENTITY] + ([row.truth] if row.truth else [])
        values = [v if not isinstance(v, float) or math.isfinite(v) else str(v) for v in plain]
        digest.update(json.dumps(values).encode())
    return digest.hexdigest()[:12]
