"""Records of a table of scores -> rows, every fault named with where it stands."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from segbench.errors import DataInvalid, UsageError, safe_name
from segbench.importing.measures import Measure, plausible
from segbench.importing.tables import Record
from segbench.score_table import Row
from segbench.types import FAMILIES, STATUSES

_EMPTY = frozenset({"", "na", "nan", "null", "none"})
_SHOWN = 8


def rows_of(
    file: Path,
    records: Iterable[Record],
    measures: Mapping[str, Measure],
    *,
    numbers: Mapping[str, int] | None = None,
    empty: str | None = None,
) -> tuple[list[Row], list[str]]:
    """Convert every record, collecting faults rather than stopping at the first; ``run_id`` is still empty.

    Args:
        file: for messages.
        records: of the table.
        measures: metrics that are known by name.
        numbers: name of a label -> its value, where the name stands for a number.
        empty: status of an empty value that has none; None = "missing", with a note.

    Returns:
        Rows and notes.

    Raises:
        DataInvalid: there is a fault, or no record.
    """
    placed: list[tuple[str, Row]] = []
    faults: list[str] = []
    first_of: dict[tuple[Any, ...], str] = {}
    ways: dict[tuple[str, str], tuple[str, str]] = {}
    for where, cells in records:
        try:
            row = _row(cells, numbers or {}, empty or "missing")
        except (UsageError, ValueError) as error:
            faults.append(f"{where}: {error}")
            continue
        key = (row.dataset, row.dataset_revision, row.method, row.network, row.case_id, row.label_name, row.metric)
        first = first_of.setdefault((*key, row.seed, row.fold), where)
        if first != where:
            what = f"{row.method}, case {row.case_id}, {row.metric} of {row.label_name}, seed {row.seed}"
            faults.append(f"{where}: {what} was already given on {first}")
        better, there = ways.setdefault((row.dataset, row.metric), (row.better, where))
        if better != row.better:
            faults.append(f"{where}: {row.metric} is better {row.better} here and {better} on {there}")
        placed.append((where, row))
    placed, implausible, notes = plausible(placed, measures)
    faults += implausible
    if faults:
        rest = f"\n  and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise DataInvalid(f"{file}: nothing was imported.\n  " + "\n  ".join(faults[:_SHOWN]) + rest)
    rows = [row for _, row in placed]
    if not rows:
        raise DataInvalid(f"{file} has a header but no scores.")
    return rows, notes + ([] if empty else _told_empty(rows))


def _told_empty(rows: Iterable[Row]) -> list[str]:
    """Say of each method how many empty values were taken as missing."""
    counts: dict[str, list[int]] = {}
    for row in rows:
        count = counts.setdefault(row.method, [0, 0])
        count[0] += row.value is None and row.status == "missing"
        count[1] += 1
    return [
        f"{empty} of {all_} values of {method} are empty: taken as missing; a `status` column or `--empty both_empty` "
        f"says otherwise."
        for method, (empty, all_) in sorted(counts.items())
        if empty
    ]


def _row(cells: Mapping[str, str], names: Mapping[str, int], empty: str) -> Row:
    if not cells:
        raise ValueError("it has not as many fields as the first line names columns")
    value = _number(cells["value"])
    label = cells["label"]
    number = names.get(label, int(label) if re.fullmatch(r"-?[0-9]{1,18}", label) else None)
    better = cells["better"].lower()
    if better not in ("higher", "lower"):
        raise ValueError(f"better must be higher or lower, found {cells['better']!r}")
    case = _text(cells["case"], "case")
    return Row(
        run_id="",
        dataset=safe_name(cells["dataset"], "dataset"),
        dataset_revision=safe_name(cells.get("dataset_revision") or "imported", "dataset_revision"),
        network=_optional_name(cells.get("network", ""), "network"),
        method=_text(cells["method"], "method"),
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
        status=_status(cells.get("status", ""), value, empty),
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


def _status(text: str, value: float | None, empty: str) -> str:
    status = text.lower() or (empty if value is None else "ok")
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
