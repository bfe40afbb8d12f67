"""From what a user asks for, what a folder declares and what its files hold to the task that is scored."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from segbench.errors import DataInvalid, DataMissing, UnknownName, UsageError, did_you_mean
from segbench.evaluation.declarations import Declaration, labels_of_colours, read_label_file
from segbench.files.colours import is_colour, written
from segbench.types import Task

LARGEST = 2**53
"""Largest label value: whole numbers up to it are exact in every format."""
POSITIONS = 65_535
"""Largest value that is a position among a task's labels; larger ones (of atlases, say) are numbered instead."""
MOST = 5_000
"""Most label values that are taken for labels unless they are named."""
LABEL_FILES = (".json", ".toml", ".csv", ".tsv", ".txt", ".label", ".ctbl")
"""Endings by which ``--labels`` is taken for a file even if there is none."""
Structures = dict[str, tuple[int, ...]]
Labels = Sequence[int | str] | Mapping[str, int | str | Sequence[int]]
"""Values, declared names, or name -> value, values of a region, or colour (``#ff0000``)."""


def parse_labels(text: str) -> list[int | str] | dict[str, Any]:
    """Return what ``--labels`` says: ``1,2``, ``LV,RV`` (names the references declare), ``LV=1,RV=2``, ``LV=#ff0000``.

    Raises:
        UsageError: if it is none of these.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or (any("=" in part for part in parts) and not all("=" in part for part in parts)):
        raise UsageError(f"--labels {text!r}: expected 1,2 or LV,RV or LV=1,RV=2 or LV=#ff0000.")
    if "=" not in parts[0]:
        return [int(part) if part.isdecimal() else part for part in parts]
    named: dict[str, Any] = {}
    for part in parts:
        name, _, value = part.partition("=")
        if not name.strip() or not (value.strip().isdecimal() or is_colour(value)):
            raise UsageError(
                f"--labels {part!r}: expected NAME=VALUE with a whole number, or a colour such as #ff0000."
            )
        if name.strip() in named:
            raise UsageError(f"--labels: expected every name once, found {name.strip()!r} twice. Remove or rename one.")
        named[name.strip()] = value.strip() if is_colour(value) else int(value)
    if any(is_colour(value) for value in named.values()):
        labels_of_colours(named)
        return named
    if twice := _same_value(named):
        raise UsageError(f"--labels: expected a value of its own for each name, found {twice}. Correct one of them.")
    return named


def _same_value(named: Mapping[str, int]) -> str:
    """Return two names of one value in words, or ""."""
    owners: dict[int, str] = {}
    for name, value in named.items():
        if value in owners:
            return f"{owners[value]}={value} and {name}={value}"
        owners[value] = name
    return ""


def labels_asked(text: str, declared: Declaration) -> Structures:
    """Return the labels that ``--labels`` says: the path of a file (see ``read_label_file``), or as ``parse_labels``.

    Args:
        text: the option.
        declared: what the folders say, for names or values alone.

    Raises:
        DataMissing: if it looks like a path and no file is there.
        DataInvalid: if the file names no label, or two of one value.
        UsageError: as ``parse_labels`` and ``chosen_structures``.
    """
    path = _label_path(text, declared)
    if path is not None:
        said = read_label_file(path)
        _refuse_colours(said.colours)
        found = said.structures
        named = {name: values[0] for name, values in found.items() if len(values) == 1}
        if not named or _same_value(named):
            raise DataInvalid(
                f"--labels {text}: expected names with a value of its own each, found {_same_value(named) or 'none'}. "
                f"Correct the file, or say LV=1,RV=2."
            )
        return chosen_structures(named, None, declared)
    labels = parse_labels(text)
    if isinstance(labels, dict):
        _refuse_colours([value for value in labels.values() if is_colour(value)])
    return chosen_structures(labels, None, declared)


def _refuse_colours(found: Collection[object]) -> None:
    if found:
        raise UsageError("--labels: expected values here, found colours. Say LV=1,RV=2.")


def _label_path(text: str, declared: Declaration) -> Path | None:
    """Return the file that ``--labels`` names, or None if it names labels themselves.

    Raises:
        DataMissing: if it looks like a path and no file is there.
    """
    path = Path(text).expanduser()
    if path.is_file():
        return path
    is_path = path.suffix.lower() in LABEL_FILES or os.sep in text or path.is_dir()
    if is_path and "=" not in text and text not in declared.structures:
        raise DataMissing(
            f"--labels {text}: expected a file (dataset.json, or a table with the columns index and name), found "
            f"{'a folder' if path.is_dir() else 'nothing there'}. Check the path, or say LV=1,RV=2."
        )
    return None


def labels_given(text: str) -> tuple[Labels, int | None]:
    """Return what ``--labels`` says, and the ignore label if it names a file that has one.

    Args:
        text: as for ``parse_labels``, or the path of a file, see ``read_label_file``.

    Raises:
        DataMissing: if it looks like a path and no file is there.
        DataInvalid: if the file names no label.
        UsageError: as ``parse_labels``.
    """
    path = _label_path(text, Declaration())
    if path is None:
        return parse_labels(text), None
    said = read_label_file(path)
    if not said.structures:
        raise DataInvalid(f"--labels {text}: expected names of labels, found none. Correct the file, or say LV=1,RV=2.")
    if not said.colours:
        named = {name: values[0] if len(values) == 1 else list(values) for name, values in said.structures.items()}
        return named, said.ignore
    names = {values[0]: name for name, values in said.structures.items()} | {0: "background"}
    names |= {said.ignore: "ignore"} if said.ignore is not None else {}
    return {names[value]: written(colour) for colour, value in said.colours.items() if colour != (0, 0, 0)}, None


def parse_regions(texts: Iterable[str]) -> Structures:
    """Return what ``--regions`` says: ``wt=1,2,3``, several separated by ``;`` or by repeating the option.

    Raises:
        UsageError: if one is not of this form.
    """
    regions: Structures = {}
    for text in (part for whole in texts for part in whole.split(";") if part.strip()):
        name, _, values = text.partition("=")
        numbers = [value.strip() for value in values.split(",")]
        if not name.strip() or not all(number.isdecimal() for number in numbers):
            raise UsageError(f"--regions {text!r}: expected NAME=VALUE,VALUE such as wt=1,2,3.")
        regions[name.strip()] = tuple(int(number) for number in numbers)
    return regions


def chosen_structures(
    labels: Labels | None,
    regions: Mapping[str, Sequence[int]] | None,
    declared: Declaration,
) -> Structures:
    """Return the structures asked for, else those declared; empty if neither (then the files decide).

    Raises:
        UnknownName: for a label name that is not declared.
        UsageError: for values that are no labels, or a name given twice.
    """
    structures: Structures = {}
    if isinstance(labels, Mapping):
        structures = {name: _values(name, value) for name, value in labels.items()}
    elif labels is not None:
        names = {values[0]: name for name, values in declared.structures.items() if len(values) == 1}
        for label in labels:
            if isinstance(label, int):
                structures[names.get(label, str(label))] = (label,)
            elif label in declared.structures:
                structures[label] = declared.structures[label]
            else:
                raise UnknownName(f"No label is called {label!r}. {_known_names(label, declared)}")
    for name, values in (regions or {}).items():
        if name in structures:
            raise UsageError(f"{name!r} is both a label and a region. Rename one.")
        structures[name] = tuple(values)
    if labels is None and regions is None:
        structures = dict(declared.structures)
    _check(structures)
    return structures


def _values(name: str, value: object) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not all(type(one) is int for one in values):
        raise UsageError(f"label {name!r}: expected a whole number, found {value!r}.")
    return values


def _known_names(label: str, declared: Declaration) -> str:
    if declared.structures:
        return did_you_mean(label, declared.structures)
    return f"No dataset.json or BIDS table beside the files names any; give the value too, such as {label}=1."


def _check(structures: Structures) -> None:
    for name, values in structures.items():
        if not name.strip() or not values or min(values) < 0 or max(values) > LARGEST or values == (0,):
            raise UsageError(
                f"label {name!r} = {', '.join(map(str, values))}: expected a name and values from 1 to {LARGEST}."
            )


def structures_found(values: Iterable[int]) -> Structures:
    """Return one structure per foreground value found in the references.

    Raises:
        DataInvalid: if there is none, or so many that they are no labels.
    """
    found = sorted(value for value in set(values) if value > 0)
    if not found:
        raise DataInvalid(
            "No reference has any label but background (or none can be read), so there is nothing to score. "
            "Say which labels there are with --labels."
        )
    if len(found) > MOST:
        raise DataInvalid(
            f"The references have {len(found)} different values, up to {found[-1]}; expected at most {MOST}. Are they "
            f"label maps? Choose the values to score with --labels."
        )
    return {str(value): (value,) for value in found}


def codes_of(structures: Structures) -> tuple[int, ...]:
    """Return the values in the files behind the values 1, 2, ... of ``task_of``; () if they are the same."""
    values = sorted({value for group in structures.values() for value in group})
    return tuple(values) if values[-1] > POSITIONS else ()


def task_of(dataset: str, revision: str, structures: Structures) -> Task:
    """Return the task that scores exactly these structures, in this order.

    Its label values are those of the files, unless these are too large to be positions: see ``codes_of``.

    Args:
        dataset: its name.
        revision: identity of the references.
        structures: name -> label values.
    """
    place = {code: position for position, code in enumerate(codes_of(structures), 1)}
    structures = {name: tuple(place.get(one, one) for one in values) for name, values in structures.items()}
    true = {position: code for code, position in place.items()}
    single = {values[0]: name for name, values in structures.items() if len(values) == 1}
    largest = max(value for values in structures.values() for value in values)
    names = ("background", *(single.get(value, str(true.get(value, value))) for value in range(1, largest + 1)))
    plain = list(structures.values()) == [(value,) for value in range(1, largest + 1)]
    return Task(dataset, revision, names, regions={} if plain else structures)
