"""Names of label values: a table beside the label maps, as CSV with a column of values and, if need be, of names."""

from __future__ import annotations

import csv
from pathlib import Path

from segbench import DataInvalid, DataMissing


def find_table(folder: Path) -> Path | None:
    """Return the table of a folder: its only ``*labels*.csv``, or ``NAME_labels.csv`` beside a folder ``NAME...``."""
    own = sorted(folder.glob("*labels*.csv"))
    if len(own) == 1:
        return own[0]
    beside = [
        path for path in folder.parent.glob("*_labels.csv") if folder.name.startswith(path.stem[: -len("_labels")])
    ]
    return max(beside, key=lambda path: len(path.stem), default=None) if not own else None


def read_table(path: Path) -> dict[int, str]:
    """Read value -> name.

    Args:
        path: CSV with a header; the values stand in the column whose title begins with ``label`` or ``value``, the
            names in ``name``. Without a column of names a value is called ``label <value>``.

    Raises:
        DataMissing: no such file.
        DataInvalid: no column of values, values that are no whole numbers, a value twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise DataMissing(f"{path}: expected a table of labels, found nothing there. Check dataset.table.") from error
    except (OSError, ValueError, csv.Error) as error:
        raise DataInvalid(f"{path}: expected a CSV table, found: {error}. Get an intact copy.") from error
    titles = [title for title in (rows[0] if rows else {}) if isinstance(title, str)]
    column = next((title for title in titles if title.strip().lower().startswith(("label", "value"))), None)
    if column is None:
        raise DataInvalid(f'{path}: expected a column "label", found {titles}. Name the column of values so.')
    named = next((title for title in titles if title.strip().lower() in ("name", "structure")), None)
    names: dict[int, str] = {}
    for row in rows:
        try:
            value = int(row[column])
        except (TypeError, ValueError) as error:
            raise DataInvalid(f"{path}: expected whole numbers as labels, found {row[column]!r}. Mend it.") from error
        if value in names:
            raise DataInvalid(f"{path}: expected every label once, found {value} twice. Mend it.")
        names[value] = _plain(row[named] if named else "") or f"label {value}"
    return names


def _plain(text: str | None) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in (text or "").strip())[:100]
