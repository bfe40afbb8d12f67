"""What task folders of both layouts share: reading dataset.json, and checking that all it speaks of is there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segbench import CaseFiles, DataInvalid, first_few, read_json

DESCRIPTION = "dataset.json"
MOST_LABELS = 10_000


def read_description(folder: Path) -> dict[str, Any]:
    """Read dataset.json and check that it is an object with labels.

    Raises:
        DataInvalid: unreadable, no JSON, or without labels.
    """
    path = folder / DESCRIPTION
    description = read_json(path)
    if not isinstance(description, dict) or not isinstance(description.get("labels"), dict):
        raise DataInvalid(f'{path}: expected an object with "labels", found none. Get an intact copy.')
    return description


def plain(text: object) -> str:
    """Return a name of a label or channel as one short line that every terminal and file can show."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text).strip())[:100]


def texts_by_index(table: object, where: str) -> list[str]:
    """Turn ``{"0": "a", "1": "b"}`` (keys 0, 1, ... in any order) into ``["a", "b"]``.

    Raises:
        DataInvalid: keys that are not 0, 1, ..., n - 1.
    """
    if isinstance(table, dict) and all(re.fullmatch(r"\d{1,5}", str(key)) for key in table):
        by_index = {int(key): plain(value) or f"label {key}" for key, value in table.items()}
        if sorted(by_index) == list(range(len(by_index))):
            return [by_index[index] for index in range(len(by_index))]
    raise DataInvalid(f'{where}: expected keys "0", "1", ... without a gap, found {table!r}. Mend it.')


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names with the value appended where a name occurs twice."""
    return tuple(f"{name} ({value})" if names.count(name) > 1 else name for value, name in enumerate(names))


def check_files(cases: Mapping[str, CaseFiles], where: Path) -> None:
    """Raise ``DataInvalid`` unless there are labelled cases and all their files exist."""
    if not any(files.label for files in cases.values()):
        raise DataInvalid(f"{where}: expected labelled training cases, found none. Is this the right folder?")
    missing = [
        f"case {name}: {path}"
        for name, files in cases.items()
        for path in (*files.images, *([files.label] if files.label else []))
        if not _is_file(path)
    ]
    if missing:
        raise DataInvalid(
            f"{where}: expected every file it speaks of, found {len(missing)} missing: {first_few(missing)}. "
            f"Unpack the whole archive, or take these cases out of {DESCRIPTION}."
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # names that are too long, folders that may not be read
        return False
