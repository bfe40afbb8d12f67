"""Adjacency priors as files that a person can read and edit: CSV tables of contacts, TOML lists of pairs.

Labels go by their names, so that a prior outlives a renumbering; the values they had are written beside them. A label
of the task that is named as its own value (``"7"`` at position 7) may stand for a gap: a file need not name it.
"""

from __future__ import annotations

import csv
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench import DataInvalid, DataMissing, UsageError, did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENDINGS = (".csv", ".toml")
_KEYS = ("allowed", "forbidden", "labels", "values")
_VALUE = "value"
"""Heading of the column of label values."""
_MOST = 2.0**53
"""Above it, floating-point numbers no longer count one by one."""


def write_prior(path: Path, counts: NDArray[np.int64], labels: Sequence[str]) -> None:
    """Write contacts, ``(K, K)`` symmetric, 0 = forbidden, in the form that the file's ending names.

    ``.csv``: a table with label names as header and first column, label values as second. ``.toml``: the labels, their
    values and the allowed pairs by name, without numbers. Labels that stand for gaps are left out.

    Args:
        path: the file.
        counts: the contacts.
        labels: names; the position is the value.

    Raises:
        UsageError: for another ending.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(
            f"prior {path}: expected a file ending in .csv or .toml, found {path.suffix or 'no ending'!r}."
        )
    values = [value for value, name in enumerate(labels) if counts[value].any() or not _is_gap(value, name)]
    names, counts = [labels[value] for value in values], counts[np.ix_(values, values)]
    with path.open("w", newline="", encoding="utf-8") as file:
        if path.suffix.lower() == ".csv":
            rows = [[name, value, *row] for name, value, row in zip(names, values, counts.tolist(), strict=True)]
            csv.writer(file).writerows([["label", _VALUE, *names], *rows])
            return
        quoted = [json.dumps(name, ensure_ascii=False) for name in names]
        pairs = np.argwhere(np.triu(counts, 1) > 0).tolist()
        file.write("labels = [\n" + "".join(f"  {name},\n" for name in quoted) + "]\n")
        file.write(f"values = {values}  # of these labels in the label maps\n")
        file.write("# label pairs that may touch; every other pair may not\n")
        file.write("allowed = [\n" + "".join(f"  [{quoted[i]}, {quoted[j]}],\n" for i, j in pairs) + "]\n")


def read_prior(path: Path, labels: Sequence[str]) -> NDArray[np.int64]:
    """Read a prior given by hand or written by ``write_prior``.

    Args:
        path: ``.csv``: a table as ``write_prior`` makes it, separated by commas or semicolons; labels in any order.
            The column ``value`` may be left out.
            ``.toml``: ``allowed = [["a", "b"], ...]`` (everything else is forbidden) or ``forbidden = [...]``
            (everything else is allowed), by label names; ``labels = [...]``, if given, must be the task's.
        labels: the task's label names; the order of the result. Those that stand for gaps may be missing in the file.

    Returns:
        int64 ``(K, K)``, symmetric: contacts, or 1 and 0 where the file says no more.

    Raises:
        DataMissing: if there is no such file.
        DataInvalid: if it cannot be read, lacks a label, names unknown ones, or contradicts itself.
    """
    content = _parse(path)
    if isinstance(content, Mapping):
        return _from_pairs(content, labels, path)
    return _from_table(_square(content)[0], labels, path)


def labels_of(path: Path) -> tuple[str, ...]:
    """Return the label names a file speaks of: in the order of their values, its own, or the background first.

    Raises:
        DataMissing: if there is no such file.
        DataInvalid: if it is no prior.
    """
    content = _parse(path)
    values = values_of(path)
    if not isinstance(content, Mapping):
        rows = _square(content)[0]
        names = rows[0][1:] if rows else []
        _from_table(rows, names, path)
        return tuple(sorted(names, key=values.__getitem__) if values else names)
    listed = content.get("labels")
    pairs = [pair for _, pair in _pairs(content, path)]
    names = listed if isinstance(listed, list) else [name for pair in pairs for name in pair]
    unique = list(dict.fromkeys(map(str, names)))
    if listed is None:
        unique = list(dict.fromkeys(["background", *unique]))
    _from_pairs(content, unique, path)
    return tuple(sorted(unique, key=values.__getitem__) if values else unique)


def values_of(path: Path) -> dict[str, int]:
    """Return the values of the labels as a file records them; empty if it does not.

    Raises:
        DataMissing: if there is no such file.
        DataInvalid: if the values are not one whole number from 0 for each label, all different.
    """
    content = _parse(path)
    if isinstance(content, Mapping):
        names, given = content.get("labels"), content.get("values")
        if given is None:
            return {}
        if not isinstance(names, list) or not isinstance(given, list) or len(names) != len(given):
            raise DataInvalid(
                f"prior {path}: expected values = [...], one for each of labels = [...]; found {given!r}."
            )
        pairs = list(zip(map(str, names), map(str, given), strict=True))
    else:
        pairs = _square(content)[1]
    values = {name: int(text) for name, text in pairs if text.isdecimal()}
    if len(set(values.values())) != len(pairs):
        found = ", ".join(f"{name}={text}" for name, text in pairs)
        raise DataInvalid(f"prior {path}: expected a whole number from 0 as value of each label, found {found}.")
    return values


def looks_like_prior(path: Path) -> bool:
    """Say whether a file has the shape of a prior, faults within it or not, so that ``read`` can name them.

    Raises:
        SegbenchError: if it cannot be read as CSV or TOML.
    """
    content = _parse(path)
    if isinstance(content, Mapping):
        return "allowed" in content or "forbidden" in content or any(map(_are_pairs, content.values()))
    rows = _square(content)[0]
    names = rows[0][1:] if rows else []
    return len(names) > 1 and names == [row[0] for row in rows[1:]]


def _are_pairs(value: object) -> bool:
    """Say whether this is a list of pairs, under whatever key."""
    return isinstance(value, list) and bool(value) and all(isinstance(one, list) and len(one) == 2 for one in value)


def _parse(path: Path) -> Mapping[str, Any] | list[list[str]]:
    """Return the content of a TOML file, or the rows of a table."""
    if not path.is_file():
        raise DataMissing(f"prior {path}: expected a .csv or .toml file, found none. Check the path.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".toml":
            return tomllib.loads(text)
        lines = text.splitlines()
        separator = ";" if lines and lines[0].count(";") > lines[0].count(",") else ","
        return [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator) if row]
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, csv.Error) as error:
        raise DataInvalid(f"prior {path}: expected UTF-8 CSV or TOML, found {error}.") from error


def _square(rows: list[list[str]]) -> tuple[list[list[str]], list[tuple[str, str]]]:
    """Return a table without its column of values, and label and value of each row; none if there is no such column."""
    if not rows or rows[0][1:2] != [_VALUE] or rows[0][2:] != [row[0] for row in rows[1:]]:
        return rows, []
    return [[row[0], *row[2:]] for row in rows], [(row[0], "".join(row[1:2])) for row in rows[1:]]


def _pairs(content: Mapping[str, Any], path: Path) -> list[tuple[str, list[Any]]]:
    """Return ``("allowed" or "forbidden", [name, name])`` for each pair of a TOML file."""
    for key in content:
        if key not in _KEYS:
            raise DataInvalid(f"prior {path}: unknown key {key!r}. {did_you_mean(key, _KEYS)}")
    given = [key for key in ("allowed", "forbidden") if key in content]
    if len(given) != 1 or not isinstance(content[given[0]], list):
        raise DataInvalid(f"prior {path}: expected either 'allowed' or 'forbidden', a list of pairs; found {given}.")
    (key,) = given
    for pair in content[key]:
        if not isinstance(pair, list) or len(pair) != 2:
            raise DataInvalid(f"prior {path}: expected pairs of label names under {key!r}, found {pair!r}.")
    return [(key, pair) for pair in content[key]]


def _from_pairs(content: Mapping[str, Any], labels: Sequence[str], path: Path) -> NDArray[np.int64]:
    pairs = _pairs(content, path)
    if "labels" in content:
        _check_names(content["labels"], labels, path)
    table = np.full((len(labels), len(labels)), int("forbidden" in content), dtype=np.int64)
    for key, pair in pairs:
        one, two = (_position(name, labels, path) for name in pair)
        table[one, two] = table[two, one] = int(key == "allowed")
    np.fill_diagonal(table, 0)
    return table


def _position(name: object, labels: Sequence[str], path: Path) -> int:
    if name not in labels:
        raise DataInvalid(f"prior {path}: no label is called {name!r}. {did_you_mean(str(name), labels)}")
    return list(labels).index(str(name))


def _check_names(names: object, labels: Sequence[str], path: Path) -> None:
    """Refuse a list of names that is not the task's labels in some order, those that stand for gaps left out or not."""
    if not isinstance(names, list):
        raise DataInvalid(f"prior {path}: expected a list of label names, found {names!r}.")
    for name in names:
        _position(name, labels, path)
    missing = [name for value, name in enumerate(labels) if name not in names and not _is_gap(value, name)]
    if missing or len(set(names)) != len(names):
        raise DataInvalid(f"prior {path}: expected every label once; missing: {', '.join(missing) or 'none'}.")


def _is_gap(value: int, name: str) -> bool:
    return value > 0 and name == str(value)


def _from_table(rows: Sequence[Sequence[str]], labels: Sequence[str], path: Path) -> NDArray[np.int64]:
    names = rows[0][1:] if rows else []
    if not names or names != [row[0] for row in rows[1:]] or any(len(row) != len(rows[0]) for row in rows):
        raise DataInvalid(
            f"prior {path}: expected a square table with the same label names as header and first column, "
            f"found {len(names)} columns and {max(len(rows) - 1, 0)} rows."
        )
    _check_names(names, labels, path)
    table = np.zeros((len(labels), len(labels)), dtype=np.int64)  # nothing may touch what the file does not name
    order = [list(labels).index(name) for name in names]
    table[np.ix_(order, order)] = _counts([row[1:] for row in rows[1:]], path)
    return table


def _counts(cells: Sequence[Sequence[str]], path: Path) -> NDArray[np.int64]:
    try:
        values = np.array([[float(cell) for cell in row] for row in cells])
    except ValueError as error:
        raise DataInvalid(f"prior {path}: expected numbers of contacts, found {error}.") from error
    if not ((values >= 0) & (values <= _MOST)).all():
        raise DataInvalid(
            f"prior {path}: expected numbers of contacts from 0 to 2^53, found a negative, larger or non-finite one."
        )
    table: NDArray[np.int64] = np.ceil(values).astype(np.int64)
    np.fill_diagonal(table, 0)
    if not np.array_equal(table, table.T):
        raise DataInvalid(f"prior {path}: expected a symmetric table; a pair has two different values.")
    return table
