"""Adjacency priors as files that a person can read and edit: CSV tables of contacts, TOML lists of pairs.

Labels go by their names, so that a prior outlives a renumbering.
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
_MOST = 2.0**53
"""Above it, floating-point numbers no longer count one by one."""


def write_prior(path: Path, counts: NDArray[np.int64], labels: Sequence[str]) -> None:
    """Write contacts, ``(K, K)`` symmetric, 0 = forbidden, in the form that the file's ending names.

    ``.csv``: a table with label names as header and first column. ``.toml``: the labels and the allowed pairs by name,
    without numbers.

    Raises:
        UsageError: for another ending.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(
            f"prior {path}: expected a file ending in .csv or .toml, found {path.suffix or 'no ending'!r}."
        )
    with path.open("w", newline="", encoding="utf-8") as file:
        if path.suffix.lower() == ".csv":
            rows = [[name, *map(str, row)] for name, row in zip(labels, counts.tolist(), strict=True)]
            csv.writer(file).writerows([["label", *labels], *rows])
            return
        quoted = [json.dumps(name, ensure_ascii=False) for name in labels]
        pairs = np.argwhere(np.triu(counts, 1) > 0).tolist()
        file.write("labels = [\n" + "".join(f"  {name},\n" for name in quoted) + "]\n")
        file.write("# label pairs that may touch; every other pair may not\n")
        file.write("allowed = [\n" + "".join(f"  [{quoted[i]}, {quoted[j]}],\n" for i, j in pairs) + "]\n")


def read_prior(path: Path, labels: Sequence[str]) -> NDArray[np.int64]:
    """Read a prior given by hand or written by ``write_prior``.

    Args:
        path: ``.csv``: a table as ``write_prior`` makes it, separated by commas or semicolons; labels in any order.
            ``.toml``: ``allowed = [["a", "b"], ...]`` (everything else is forbidden) or ``forbidden = [...]``
            (everything else is allowed), by label names; ``labels = [...]``, if given, must be the task's.
        labels: the task's label names; the order of the result.

    Returns:
        int64 ``(K, K)``, symmetric: contacts, or 1 and 0 where the file says no more.

    Raises:
        DataMissing: if there is no such file.
        DataInvalid: if it cannot be read, lacks a label, names unknown ones, or contradicts itself.
    """
    content = _parse(path)
    return _from_pairs(content, labels, path) if isinstance(content, Mapping) else _from_table(content, labels, path)


def labels_of(path: Path) -> tuple[str, ...]:
    """Return the label names a file speaks of: in its own order if it lists them, else the background first.

    Raises:
        DataMissing: if there is no such file.
        DataInvalid: if it is no prior.
    """
    content = _parse(path)
    if not isinstance(content, Mapping):
        names = content[0][1:] if content else []
        _from_table(content, names, path)
        return tuple(names)
    listed = content.get("labels")
    pairs = [pair for _, pair in _pairs(content, path)]
    names = listed if isinstance(listed, list) else [name for pair in pairs for name in pair]
    unique = dict.fromkeys(map(str, names))
    if listed is None and "background" in unique:
        unique = dict.fromkeys(["background", *unique])
    _from_pairs(content, list(unique), path)
    return tuple(unique)


def looks_like_prior(path: Path) -> bool:
    """Say whether a file has the shape of a prior, faults within it or not, so that ``read`` can name them.

    Raises:
        SegbenchError: if it cannot be read as CSV or TOML.
    """
    content = _parse(path)
    if isinstance(content, Mapping):
        return "allowed" in content or "forbidden" in content
    names = content[0][1:] if content else []
    return len(names) > 1 and names == [row[0] for row in content[1:]]


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


def _pairs(content: Mapping[str, Any], path: Path) -> list[tuple[str, list[Any]]]:
    """Return ``("allowed" or "forbidden", [name, name])`` for each pair of a TOML file."""
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
    """Refuse a list of names that is not the task's labels in some order."""
    if not isinstance(names, list):
        raise DataInvalid(f"prior {path}: expected a list of label names, found {names!r}.")
    for name in names:
        _position(name, labels, path)
    missing = [name for name in labels if name not in names]
    if missing or len(set(names)) != len(names):
        raise DataInvalid(f"prior {path}: expected every label once; missing: {', '.join(missing) or 'none'}.")


def _from_table(rows: Sequence[Sequence[str]], labels: Sequence[str], path: Path) -> NDArray[np.int64]:
    names = rows[0][1:] if rows else []
    if not names or names != [row[0] for row in rows[1:]] or any(len(row) != len(rows[0]) for row in rows):
        raise DataInvalid(
            f"prior {path}: expected a square table with the same label names as header and first column, "
            f"found {len(names)} columns and {max(len(rows) - 1, 0)} rows."
        )
    _check_names(names, labels, path)
    return _ordered([row[1:] for row in rows[1:]], [names.index(name) for name in labels], path)


def _ordered(cells: Sequence[Sequence[str]], order: Sequence[int], path: Path) -> NDArray[np.int64]:
    try:
        values = np.array([[float(cell) for cell in row] for row in cells])
    except ValueError as error:
        raise DataInvalid(f"prior {path}: expected numbers of contacts, found {error}.") from error
    if not ((values >= 0) & (values <= _MOST)).all():
        raise DataInvalid(
            f"prior {path}: expected numbers of contacts from 0 to 2^53, found a negative, larger or non-finite one."
        )
    table: NDArray[np.int64] = np.ceil(values).astype(np.int64)[np.ix_(order, order)]
    np.fill_diagonal(table, 0)
    if not np.array_equal(table, table.T):
        raise DataInvalid(f"prior {path}: expected a symmetric table; a pair has two different values.")
    return table
