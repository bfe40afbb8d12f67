"""The adjacency prior: which labels may touch. Learnt from truths, or read from and written to files."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench import DataInvalid, DataMissing, did_you_mean
from segbench_nonadj.contact import case_contacts, window_contacts
from segbench_nonadj.reach import window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segbench import LabelMap


def learn(truths: Iterable[LabelMap], labels: int, *, size: int = 3, radius: float = 0.0) -> NDArray[np.int64]:
    """Return the contacts summed over truths, int64 ``(K, K)``.

    Args:
        truths: training label maps, ``-1`` = unknown.
        labels: K, background included.
        size: edge of the neighbourhood in voxels; 3 is the 26-neighbourhood (8 where the map has one slice).
        radius: mm; if positive it replaces ``size`` by what it reaches at each map's spacing.
    """
    total = np.zeros((labels, labels), dtype=np.int64)
    for truth in truths:
        if radius > 0:
            total += window_contacts(truth.array, labels, window(radius, truth.spacing))
        elif size != 3:
            total += window_contacts(truth.array, labels, (size,) * truth.array.ndim)
        else:
            total += case_contacts(truth, labels)
    return total


def forbidden_pairs(counts: NDArray[np.int64], minimum_contacts: int = 1) -> NDArray[np.bool_]:
    """Return the pairs i != j seen in fewer than ``minimum_contacts`` contacts, bool ``(K, K)``, symmetric."""
    forbidden: NDArray[np.bool_] = counts < minimum_contacts
    np.fill_diagonal(forbidden, False)
    return forbidden


def permuted(forbidden: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """Return the matrix with its foreground labels renamed at random: as many forbidden pairs, but meaningless ones.

    The background keeps its place, since a prior that forbids it beside most labels would not be of the same strength.
    """
    labels = len(forbidden)
    order = np.arange(labels)
    order[1:] = 1 + np.random.default_rng(seed).permutation(labels - 1)
    renamed: NDArray[np.bool_] = forbidden[np.ix_(order, order)]
    return renamed


def write_prior(path: Path, counts: NDArray[np.int64], labels: Sequence[str]) -> None:
    """Write contacts as a CSV table with label names as header and first column; 0 = forbidden."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["label", *labels])
        for name, row in zip(labels, counts.tolist(), strict=True):
            writer.writerow([name, *row])


def read_prior(path: Path, labels: Sequence[str]) -> NDArray[np.int64]:
    """Read a prior given by hand or written by ``write_prior``.

    Args:
        path: ``.csv``: a table as ``write_prior`` makes it, separated by commas or semicolons; labels in any order.
            ``.toml``: ``allowed = [["a", "b"], ...]`` (everything else is forbidden) or ``forbidden = [...]``
            (everything else is allowed), by label names.
        labels: the task's label names; the order of the result.

    Returns:
        int64 ``(K, K)``, symmetric: contacts, or 1 and 0 where the file says no more.

    Raises:
        DataMissing: if there is no such file.
        DataInvalid: if it cannot be read, lacks a label, names unknown ones, or contradicts itself.
    """
    if not path.is_file():
        raise DataMissing(f"prior {path}: expected a .csv or .toml file, found none. Check the path.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".toml":
            return _from_pairs(tomllib.loads(text), labels, path)
        return _from_table(text, labels, path)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, csv.Error) as error:
        raise DataInvalid(f"prior {path}: expected UTF-8 CSV or TOML, found {error}.") from error


def _from_pairs(content: Mapping[str, Any], labels: Sequence[str], path: Path) -> NDArray[np.int64]:
    given = [key for key in ("allowed", "forbidden") if key in content]
    if len(given) != 1:
        raise DataInvalid(f"prior {path}: expected either 'allowed' or 'forbidden', a list of pairs; found {given}.")
    (key,) = given
    table = np.full((len(labels), len(labels)), int(key == "forbidden"), dtype=np.int64)
    for pair in content[key]:
        if not isinstance(pair, list) or len(pair) != 2:
            raise DataInvalid(f"prior {path}: expected pairs of label names under {key!r}, found {pair!r}.")
        one, two = (_position(name, labels, path) for name in pair)
        table[one, two] = table[two, one] = int(key == "allowed")
    np.fill_diagonal(table, 0)
    return table


def _position(name: object, labels: Sequence[str], path: Path) -> int:
    if name not in labels:
        raise DataInvalid(f"prior {path}: no label is called {name!r}. {did_you_mean(str(name), labels)}")
    return list(labels).index(str(name))


def _from_table(text: str, labels: Sequence[str], path: Path) -> NDArray[np.int64]:
    lines = text.splitlines()
    separator = ";" if lines and lines[0].count(";") > lines[0].count(",") else ","
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator) if row]
    names = rows[0][1:] if rows else []
    if not names or names != [row[0] for row in rows[1:]] or any(len(row) != len(rows[0]) for row in rows):
        raise DataInvalid(
            f"prior {path}: expected a square table with the same label names as header and first column, "
            f"found {len(names)} columns and {max(len(rows) - 1, 0)} rows."
        )
    for name in names:
        _position(name, labels, path)
    missing = [name for name in labels if name not in names]
    if missing or len(set(names)) != len(names):
        raise DataInvalid(f"prior {path}: expected every label once; missing: {', '.join(missing) or 'none'}.")
    return _ordered([row[1:] for row in rows[1:]], [names.index(name) for name in labels], path)


def _ordered(cells: Sequence[Sequence[str]], order: Sequence[int], path: Path) -> NDArray[np.int64]:
    try:
        values = np.array([[float(cell) for cell in row] for row in cells])
    except ValueError as error:
        raise DataInvalid(f"prior {path}: expected numbers of contacts, found {error}.") from error
    if not np.isfinite(values).all() or (values < 0).any():
        raise DataInvalid(f"prior {path}: expected numbers of contacts from 0, found negative or non-finite ones.")
    table: NDArray[np.int64] = np.ceil(values).astype(np.int64)[np.ix_(order, order)]
    np.fill_diagonal(table, 0)
    if not np.array_equal(table, table.T):
        raise DataInvalid(f"prior {path}: expected a symmetric table; a pair has two different values.")
    return table
