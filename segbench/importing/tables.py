"""Which table of scores a file is, and its records: our CSV, challengeR's, MONAI's, nnU-Net's ``summary.json``.

Every record is a mapping from roles (``REQUIRED`` and ``OPTIONAL``) to texts, as if the file were our CSV.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segbench.errors import DataInvalid, DataMissing, UsageError, did_you_mean
from segbench.files.documents import read_json
from segbench.files.filenames import bare, case_name, stem
from segbench.importing.measures import Measure
from segbench.names import first_few

REQUIRED = ("dataset", "case", "label", "metric", "better", "method", "value")
OPTIONAL = (
    *("seed", "status", "dataset_revision", "network", "metric_version", "unit", "group", "fold"),
    *("family", "truth"),
)
ROLES = (*REQUIRED, *OPTIONAL)
CONSTANT = ("dataset", "method", "metric", "better", "label", "network", "seed", "fold")
"""Roles of which one value may be given for all records, by the option ``--<role>`` (``--name`` for the method)."""
_OPTIONS = {"method": "--name"} | {role: f"--{role}" for role in CONSTANT if role != "method"}
_ALIASES = {"alg_name": "method", "algorithm": "method", "task": "dataset", "patient": "group", "subject": "group"}
"""Names of columns in the tables that challengeR reads, and of patients -> role, where no column is called like it."""
_DELIMITERS = (",", "\t", ";")
_MONAI = ("filename", "mean")
"""First and last column of what MONAI's MetricsSaver writes; those between are the classes."""
_MONAI_SUMMARY = ["class", "mean"]
_RAW = "_raw"
_FOLD = re.compile(r"fold_(\d{1,6})")
_COUNTS = {"n_pred": "n_ref", "Total Positives Test": "Total Positives Reference"}
"""Voxels of the prediction -> of the reference, in nnU-Net's summaries of version 2 and 1."""


@dataclass(frozen=True)
class Said:
    """What is said of a table beside it.

    Attributes:
        constants: role -> value of all records, see ``CONSTANT``.
        columns: role -> the column that holds it.
        labels: label as the file calls it -> its name.
    """

    constants: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for role in self.columns:
            if role not in ROLES:
                raise UsageError(f"--column {role}=…: there is no such role. {did_you_mean(role, ROLES)}")
        if both := sorted(set(self.columns) & set(self.constants)):
            raise UsageError(
                f"--column {both[0]}=… and {_OPTIONS[both[0]]} say the same thing twice. Give one of them."
            )


Record = tuple[str, Mapping[str, str]]
"""Where it stands, for messages ("line 7"), and role -> text."""


@dataclass(frozen=True)
class Table:
    """The records of a file, and what a reader must know of them."""

    records: Iterable[Record]
    notes: Sequence[str] = ()


def read_table(file: Path, said: Said, measures: Mapping[str, Measure]) -> Table:
    """Recognise a table of scores and return its records.

    Args:
        file: a CSV (separated by commas, tabs or semicolons), or a ``summary.json`` of nnU-Net.
        said: what is said of it beside it.
        measures: metrics that are known by name.

    Raises:
        DataMissing: no such file.
        DataInvalid: it is no such table, or lacks what nobody says beside it.
    """
    if not file.is_file():
        raise DataMissing(f"There is no file {file}. Expected a CSV with the columns {', '.join(REQUIRED)}.")
    if file.suffix.lower() == ".json":
        return _summary(file, said, measures)
    lines = list(_csv_lines(file))
    head = [name.strip() for name in lines[0][1]] if lines else []
    if len(head) > 2 and (head[0], head[-1]) == _MONAI:
        return _monai(file, head, lines[1:], said, measures)
    if head[:2] == _MONAI_SUMMARY:
        raise DataInvalid(
            f"{file} is a summary of MONAI's, with a line for each class. Import the table that ends in {_RAW}.csv."
        )
    return _columns(file, head, lines[1:], said, measures)


def plain(text: object) -> str:
    """Return a text from outside as one that no terminal obeys and nobody takes for another."""
    return text if isinstance(text, str) and text.isprintable() else ascii(text)


def _csv_lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of each line that is not empty."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline(1 << 16)
            stream.seek(0)
            reader = csv.reader(stream, strict=True, delimiter=max(_DELIMITERS, key=first.count))
            yield from ((reader.line_num, fields) for fields in reader if fields)
    except UnicodeDecodeError as error:
        raise DataInvalid(
            f"{file} is not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8."
        ) from error
    except csv.Error as error:
        raise DataInvalid(f"{file} is not a CSV: {error}.") from error


# ----------------------------------------------------------------------------------------- our columns, and challengeR


def _columns(
    file: Path, head: list[str], lines: list[tuple[int, list[str]]], said: Said, measures: Mapping[str, Measure]
) -> Table:
    """Return the records of a table with a column for each role, whatever the columns are called."""
    doubled = sorted({plain(name) for name in head if head.count(name) > 1})
    if doubled:
        raise DataInvalid(f"{file}: the first line names {', '.join(doubled)} more than once.")
    for role, column in said.columns.items():
        if column not in head:
            known = did_you_mean(column, map(plain, head))
            raise UsageError(f"--column {role}={column}: {file} has no such column. {known}")
    places, notes = _places(head, said)
    constants = dict(said.constants)
    measure = measures.get(constants.get("metric", "").lower())
    if measure and "better" not in places:
        constants.setdefault("better", measure.better)
    _refuse_lacking(file, {*places, *constants}, head)
    notes += _one_value_each(file, places, lines, said)

    def records() -> Iterator[Record]:
        for number, fields in lines:
            where = f"line {number}"
            if len(fields) != len(head):
                yield where, {}
                continue
            cells = {role: fields[place].strip() for role, place in places.items()}
            yield where, _named(cells | constants, said)

    return Table(records(), notes)


def _places(head: Sequence[str], said: Said) -> tuple[dict[str, int], list[str]]:
    """Return role -> position of its column, and notes on columns that are taken for something or not used."""
    places = {role: head.index(role) for role in ROLES if role in head}
    places |= {role: head.index(column) for role, column in said.columns.items()}
    notes = []
    for alias, role in _ALIASES.items():
        if alias not in head or head.index(alias) in places.values():
            continue
        if role == "dataset" and (role in places or role in said.constants):
            role = "label"  # the tasks of one dataset are its structures
        if role not in places and role not in said.constants:
            places[role] = head.index(alias)
            notes.append(f"Column {alias} is taken for the {role}; --column {role}=NAME names another.")
    extra = [plain(name) for place, name in enumerate(head) if place not in places.values() and name]
    return places, notes + ([f"Columns not used: {', '.join(extra)}."] if extra else [])


def _refuse_lacking(file: Path, there: set[str], head: Sequence[str]) -> None:
    lacking = [role for role in REQUIRED if role not in there]
    if not lacking:
        return
    found = ", ".join(plain(name) for name in head if name) or "nothing"
    options = ", ".join(f"{_OPTIONS[role]} VALUE" for role in lacking if role in _OPTIONS)
    beside = f" or say it for all lines ({options})" if options else ""
    raise DataInvalid(
        f"{file}: the first line must name the columns {', '.join(REQUIRED)} (and may name {', '.join(OPTIONAL)}); it "
        f"lacks {', '.join(lacking)} and has {found}. Say which column it is (--column {lacking[0]}=NAME){beside}."
    )


def _one_value_each(
    file: Path, places: Mapping[str, int], lines: Sequence[tuple[int, list[str]]], said: Said
) -> list[str]:
    """Refuse an option for a role of which the file holds several values; note where it replaces another one."""
    notes = []
    for role, value in said.constants.items():
        if role not in places:
            continue
        found = sorted({fields[places[role]].strip() for _, fields in lines if len(fields) > places[role]})
        if len(found) > 1:
            several = f"{file} holds several {role}s ({first_few(map(plain, found))})"
            raise UsageError(f"{_OPTIONS[role]} {value}: {several}. Leave {_OPTIONS[role]} out.")
        if found and role != "method" and found != [value]:
            notes.append(f"The {role} is called {value}, as asked; the file calls it {plain(found[0])}.")
    return notes


def _named(cells: dict[str, str], said: Said) -> dict[str, str]:
    return cells | {"label": said.labels.get(cells["label"], cells["label"])} if said.labels else cells


# ------------------------------------------------------------------------------------------------------------- MONAI


def _monai(
    file: Path, head: list[str], lines: list[tuple[int, list[str]]], said: Said, measures: Mapping[str, Measure]
) -> Table:
    """Return the records of what MetricsSaver writes of one metric: a line per image, a column per class."""
    if said.columns:
        raise UsageError(f"--column: {file} is a table of MONAI's, with a column for each class. Leave --column out.")
    metric = said.constants.get("metric") or file.stem.removesuffix(_RAW)
    known = measures.get(metric.lower())
    constants = {"metric": metric} | ({"better": known.better} if known else {}) | dict(said.constants)
    _refuse_unsaid(file, constants, "MONAI's")
    notes = [f"A table of MONAI's: {metric} of {len(head) - 2} classes; its column mean is not used."]
    if any(fields[place].strip().lower() == "nan" for _, fields in lines for place in range(1, len(fields) - 1)):
        notes.append("MONAI writes nan where the truth is empty, whatever was predicted.")

    def records() -> Iterator[Record]:
        for number, fields in lines:
            if len(fields) != len(head):
                yield f"line {number}", {}
                continue
            case = _case_of(fields[0].strip())
            for column, value in zip(head[1:-1], fields[1:-1], strict=True):
                cells = {"case": case, "value": value.strip(), "label": column, **constants}
                yield f"line {number}, column {plain(column)}", _named(cells, said)

    return Table(records(), notes)


def _case_of(file: str) -> str:
    """Return the case that a file's path, of any system, is of."""
    name = re.split(r"[\\/]", file)[-1]
    return case_name(bare(stem(Path(name)) or name))


_UNSAID = {"dataset": "the dataset", "method": "the method", "better": "which direction is better"}


def _refuse_unsaid(file: Path, constants: Mapping[str, str], whose: str) -> None:
    """Refuse a table that does not say what somebody has to say beside it."""
    for role, what in _UNSAID.items():
        if role not in constants:
            unknown = plain(constants.get("metric", ""))
            hint = f" (no metric is called {unknown}; or say --metric NAME)" if role == "better" else ""
            raise UsageError(f"{file} is a table of {whose} and does not say {what}: say {_OPTIONS[role]} VALUE{hint}.")


# ----------------------------------------------------------------------------------------------------------- nnU-Net


def _summary(file: Path, said: Said, measures: Mapping[str, Measure]) -> Table:
    """Return the records of a ``summary.json`` of nnU-Net, version 2 or 1: of all metrics that are known by name."""
    content = read_json(file)
    if said.columns:
        raise UsageError(f"--column: {file} is no table with columns. Leave --column out.")
    constants = dict(said.constants)
    if wanted := constants.pop("metric", ""):
        measures = {name: one for name, one in measures.items() if name == wanted.lower()}
    if "fold" not in constants and (fold := _FOLD.fullmatch(file.absolute().parent.parent.name)):
        constants["fold"] = fold[1]
    _refuse_unsaid(file, constants | {"better": ""}, "nnU-Net's")
    cases = list(_cases_of(file, content))
    spare = sorted(
        {name for _, _, of in cases for values in of.values() for name in values if name.lower() not in measures}
    )
    notes = [
        f"A summary of nnU-Net's: {len(cases)} cases" + (f", fold {constants['fold']}." if "fold" in constants else ".")
    ]
    if spare:
        notes.append(f"Not taken over: {', '.join(map(plain, spare))}.")
    records = [
        (where, _named({"case": case, "label": _label_of(label), **entry, **constants}, said))
        for where, case, of in cases
        for label, values in of.items()
        for entry in _values_of(values, measures)
    ]
    if cases and not records:
        raise DataInvalid(
            f"{file}: expected values of a metric that is known by name, found {', '.join(map(plain, spare))}."
        )
    return Table(records, notes)


def _cases_of(file: Path, content: Any) -> Iterator[tuple[str, str, dict[str, dict[str, Any]]]]:
    """Yield where each case stands, its name, and label -> name -> value."""
    new = isinstance(content, dict) and "metric_per_case" in content
    try:
        entries = content["metric_per_case"] if new else content["results"]["all"]
        for number, entry in enumerate(entries, start=1):
            path = entry["prediction_file"] if new else entry["test"]
            labels = entry["metrics"] if new else {key: one for key, one in entry.items() if isinstance(one, dict)}
            yield f"case {number} ({plain(path)})", _case_of(path), {str(key): dict(one) for key, one in labels.items()}
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataInvalid(
            f"{file}: expected nnU-Net's summary (metric_per_case, each with prediction_file and metrics), found "
            f"another document ({type(error).__name__}: {error}). Get an intact copy."
        ) from error


def _label_of(key: str) -> str:
    """Return a label as this house writes it: nnU-Net's region of one label is that label."""
    inside = [one.strip() for one in key.strip("() ").split(",") if one.strip()]
    return inside[0] if len(inside) == 1 and inside[0].isdecimal() else key


def _values_of(values: Mapping[str, Any], measures: Mapping[str, Measure]) -> Iterator[dict[str, str]]:
    """Yield metric, direction, value and status of each metric that is known; counts of voxels tell what was empty."""
    predicted, true = next(
        ((values[pred], values[ref]) for pred, ref in _COUNTS.items() if pred in values and ref in values), (None, None)
    )
    status = {(True, True): "both_empty", (True, False): "pred_empty", (False, True): "truth_empty"}.get(
        (predicted == 0, true == 0), ""
    )
    for name, value in values.items():
        if known := measures.get(name.lower()):
            yield {"metric": known.name, "better": known.better, "value": str(value), "status": status}
