"""What a folder says about its labels: ``dataset.json`` of the Decathlon and of nnU-Net, ``_dseg.tsv`` of BIDS."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from segbench.errors import DataInvalid

Style = Literal["nnunet", "msd", "bids", ""]


@dataclass(frozen=True)
class Declaration:
    """Labels as a file declares them.

    Attributes:
        style: whose file it is.
        source: the file, or None if there is none.
        structures: name -> label values; several values make a region. Background is left out.
        ignore: label of voxels that do not count, or None.
        files: case -> reference file, where the file lists them (the ``dataset`` key of nnU-Net).
    """

    style: Style = ""
    source: Path | None = None
    structures: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    ignore: int | None = None
    files: Mapping[str, Path] = field(default_factory=dict)


def find_declaration(folders: Iterable[Path]) -> Declaration:
    """Return the first declaration found in any of the folders, or an empty one.

    Raises:
        DataInvalid: if there is a ``dataset.json`` that cannot be understood.
    """
    for folder in folders:
        path = folder / "dataset.json"
        if path.is_file():
            return read_dataset_json(path)
    return Declaration()


def read_dataset_json(path: Path) -> Declaration:
    """Read the ``dataset.json`` of a Decathlon task or an nnU-Net dataset (version 1 or 2).

    Raises:
        DataInvalid: if it is not JSON or has no usable ``labels``.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataInvalid(f"{path} cannot be read as JSON: {error}. Restore it, or give --labels.") from error
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict):
        raise DataInvalid(f'{path}: expected a key "labels" with names and values. Correct it, or give --labels.')
    structures: dict[str, tuple[int, ...]] = {}
    ignore = None
    for key, value in labels.items():
        name, values = _label_entry(path, str(key), value)
        if name.lower() == "ignore" and len(values) == 1:
            ignore = values[0]
        elif values != (0,):
            structures[name] = values
    style: Style = "nnunet" if "channel_names" in content or "file_ending" in content else "msd"
    return Declaration(style, path, structures, ignore, _listed_files(path, content.get("dataset")))


def _label_entry(path: Path, key: str, value: Any) -> tuple[str, tuple[int, ...]]:
    """Return name and values of one entry, written ``"1": "name"``, ``"name": 1`` or ``"name": [1, 2]``."""
    if isinstance(value, str) and key.strip().isdecimal():
        return value.strip() or key, (int(key),)
    values = value if isinstance(value, list) else [value]
    try:
        numbers = tuple(int(str(number)) for number in values)
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 0:
        raise DataInvalid(
            f"{path}: label {key!r} has the value {value!r}; expected a whole number from 0, or a list of them. "
            f"Correct it, or give --labels."
        )
    return key, numbers


def _listed_files(path: Path, listed: Any) -> dict[str, Path]:
    """Return the reference files that nnU-Net's optional ``dataset`` key lists, relative to the folder."""
    import os

    if not isinstance(listed, dict):
        return {}
    return {
        str(case): path.parent / os.path.expandvars(entry["label"])
        for case, entry in listed.items()
        if isinstance(entry, dict) and isinstance(entry.get("label"), str)
    }


def read_label_file(path: Path) -> Declaration:
    """Read label names and values from a file: ``dataset.json``, or a table with the columns ``index`` and ``name``.

    Raises:
        DataInvalid: if it is neither.
    """
    return read_dataset_json(path) if path.suffix.lower() == ".json" else read_label_table(path)


def read_label_table(path: Path) -> Declaration:
    """Read a look-up table with the columns ``index`` and ``name``: BIDS ``_dseg.tsv``, or the same as ``.csv``.

    Raises:
        DataInvalid: if a column is missing or an index is no whole number.
    """
    separator = "," if path.suffix.lower() == ".csv" else "\t"
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter=separator))
        structures = {str(row["name"]): (int(row["index"]),) for row in rows}
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise DataInvalid(
            f"{path}: expected the columns `index` (whole numbers) and `name`, separated by "
            f"{'commas' if separator == ',' else 'tabs'}; {type(error).__name__}: {error}. Correct it, or give "
            f"--labels."
        ) from error
    structures = {name: values for name, values in structures.items() if values[0] > 0}
    return Declaration("bids", path, structures)
