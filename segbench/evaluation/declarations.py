"""What a file says about labels: ``dataset.json``, BIDS' ``_dseg.tsv``, TOML, tables of FreeSurfer and ITK-SNAP."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from segbench.errors import DataInvalid, UsageError
from segbench.files.colours import Colour, is_colour, named_colours
from segbench.files.documents import read_json
from segbench.files.tables import read_names

Style = Literal["nnunet", "msd", "bids", ""]


@dataclass(frozen=True)
class Declaration:
    """Labels as a file declares them.

    Attributes:
        style: whose file it is.
        source: the file, or None if there is none.
        structures: name -> label values; several values make a region. Background is left out.
        ignore: label of voxels that do not count, or None.
        colours: colour -> label value, where labels are told by colours; {} = values stand for themselves.
        files: case -> reference file, where the file lists them (the ``dataset`` key of nnU-Net).
    """

    style: Style = ""
    source: Path | None = None
    structures: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    ignore: int | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    colours: Mapping[Colour, int] = field(default_factory=dict)


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
        content = read_json(path)
    except DataInvalid as error:
        raise DataInvalid(f"{error} Or give --labels.") from error
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict):
        raise DataInvalid(f'{path}: expected a key "labels" with names and values. Correct it, or give --labels.')
    style: Style = "nnunet" if "channel_names" in content or "file_ending" in content else "msd"
    return replace(_labels(path, labels, style), files=_listed_files(path, content.get("dataset")))


def _labels(path: Path, labels: Mapping[str, Any], style: Style) -> Declaration:
    """Return the labels of a table of names with values, lists of values or colours."""
    if any(is_colour(value) for value in labels.values()):
        try:
            structures, ignore, colours = labels_of_colours(labels)
        except UsageError as error:
            raise DataInvalid(f"{path}: {error}") from error
        return Declaration(style, path, structures, ignore, colours=colours)
    found: dict[str, tuple[int, ...]] = {}
    ignore = None
    for key, value in labels.items():
        name, values = _label_entry(path, str(key), value)
        if name.lower() == "ignore" and len(values) == 1:
            ignore = values[0]
        elif values != (0,):
            found[name] = values
    return Declaration(style, path, found, ignore)


def labels_of_colours(
    labels: Mapping[str, Any],
) -> tuple[dict[str, tuple[int, ...]], int | None, dict[Colour, int]]:
    """Return structures, ignore label and colour -> value of labels told by colours, such as ``vessel=#ff0000``.

    Args:
        labels: name -> colour; one called ``ignore`` does not count, one called ``background`` (which may be the value
            0) or a black one is background.

    Raises:
        UsageError: values among colours, something that is no colour, or one colour for two names.
    """
    table = {name: value for name, value in labels.items() if not (value == 0 and name.lower() == "background")}
    values = [f"{name}={value}" for name, value in table.items() if not is_colour(value)]
    if values:
        colours = [f"{name}={value}" for name, value in table.items() if is_colour(value)]
        raise UsageError(
            f"labels: expected a colour for each name or a value for each, found {colours[0]} beside {values[0]}. Give "
            f"every label its colour, or every label its value."
        )
    names, coloured = named_colours(table)
    ignore = next((value for name, value in names.items() if name.lower() == "ignore"), None)
    structures: dict[str, tuple[int, ...]] = {name: (value,) for name, value in names.items() if value != ignore}
    if not structures:
        raise UsageError("labels: expected the colour of a structure, found background or what is ignored only.")
    return structures, ignore, coloured


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
    """Read label names and values or colours from a file.

    Args:
        path: ``dataset.json``; TOML of ``name = 1``, ``name = [1, 2]`` or ``name = "#ff0000"``, below ``[labels]`` if
            there is such a table; a table with the columns ``index`` (or ``color``) and ``name``; or one of FreeSurfer
            or ITK-SNAP.

    Raises:
        DataInvalid: if it is none of these.
    """
    ending = path.suffix.lower()
    if ending == ".json":
        return read_dataset_json(path)
    if ending == ".toml":
        return _toml(path)
    if ending in (".csv", ".tsv") or _has_columns(path):
        return read_label_table(path)
    return Declaration("", path, read_names(path))


def _toml(path: Path) -> Declaration:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataInvalid(f"{path}: expected TOML, found: {error}. Correct it, or give --labels.") from error
    labels = content.get("labels", content)
    if not isinstance(labels, dict) or not labels:
        raise DataInvalid(f'{path}: expected names with values or colours, such as vessel = "#ff0000", found none.')
    return _labels(path, labels, "")


def _has_columns(path: Path) -> bool:
    """Return whether the first line of a text file names columns."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            return "name" in stream.readline(1 << 12).strip().split("\t")
    except OSError:
        return False


def read_label_table(path: Path) -> Declaration:
    """Read a look-up table with the columns ``index`` and ``name``: BIDS ``_dseg.tsv``, or the same as ``.csv``.

    Without ``index`` the column ``color`` tells labels apart; beside it, it says how they are drawn.

    Raises:
        DataInvalid: if a column is missing or an index is no whole number.
    """
    separator = "," if path.suffix.lower() == ".csv" else "\t"
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter=separator))
        if rows and "index" not in rows[0] and "color" in rows[0]:
            return _labels(path, {str(row["name"]): row["color"] for row in rows}, "bids")
        structures = {str(row["name"]): (int(row["index"]),) for row in rows}
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise DataInvalid(
            f"{path}: expected the columns `index` (whole numbers) and `name`, separated by "
            f"{'commas' if separator == ',' else 'tabs'}; {type(error).__name__}: {error}. Correct it, or give "
            f"--labels."
        ) from error
    structures = {name: values for name, values in structures.items() if values[0] > 0}
    return Declaration("bids", path, structures)
