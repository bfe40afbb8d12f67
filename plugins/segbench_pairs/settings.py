"""What the folder's ``pairs.toml`` and the options say, as one set of settings; an option wins over the file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from segbench import DataInvalid, UnknownName, UsageError, did_you_mean

FILE = "pairs.toml"


@dataclass(frozen=True)
class Settings:
    """Everything that says how a folder is read; the keys of ``pairs.toml``.

    Attributes:
        images: patterns of files below the folder, one per channel file.
        masks: pattern of mask files below the folder.
        labels: name -> what stands for it in a mask, see ``rules.py``.
        ignore: what stands for pixels that do not count; "" = nothing.
        case: regular expression whose first group in the name of an image and of its mask is the case; "" = by name.
        patient: regular expression whose first group in a case's id is the patient; "" = every case its own.
        test: pattern of the images that are the dataset's own test cases; "" = none.
        spacing: "file", "px", or mm per voxel in the order of the axes, as text.
        channels: names of channels; () = all of the file.
        unlabelled: whether images without a mask are offered as unlabelled cases.
    """

    images: tuple[str, ...] = ("images/*",)
    masks: str = "masks/*"
    labels: Mapping[str, Any] | None = None
    ignore: Any = ""
    case: str = ""
    patient: str = ""
    test: str = ""
    spacing: str = "file"
    channels: tuple[str, ...] = ()
    unlabelled: bool = False


def settings_of(folder: Path, options: Mapping[str, Any]) -> Settings:
    """Return the settings of a folder.

    Args:
        folder: may hold ``pairs.toml``.
        options: those that were given.

    Raises:
        DataInvalid: a file that is no TOML or says something of another type.
        UnknownName: a key that means nothing.
    """
    written = _read(folder / FILE)
    known = {field.name for field in fields(Settings)}
    for key in written:
        if key not in known:
            raise UnknownName(f"{folder / FILE}: nothing is called {key!r}. {did_you_mean(key, sorted(known))}")
    merged: dict[str, Any] = {key: _typed(folder / FILE, key, value) for key, value in written.items()}
    return Settings(**(merged | dict(options)))


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataInvalid(f"{path}: expected TOML, found: {error}. Correct it.") from error


def _typed(path: Path, key: str, value: Any) -> Any:
    """Return a value of the file in the type of the setting."""
    if key in ("images", "channels"):
        value = [value] if isinstance(value, str) else value
        fine = isinstance(value, list) and bool(value) and all(isinstance(text, str) and text for text in value)
        value = tuple(value) if fine else value
    elif key == "labels":
        fine = isinstance(value, dict)
    elif key == "unlabelled":
        fine = isinstance(value, bool)
    elif key == "ignore":
        fine = isinstance(value, str | int | list)
    elif key == "spacing":
        fine = isinstance(value, str) or (
            isinstance(value, list) and all(isinstance(one, int | float) for one in value)
        )
        value = ",".join(map(str, value)) if isinstance(value, list) else value
    else:
        fine = isinstance(value, str)
    if not fine:
        raise DataInvalid(f"{path}: {key}: expected another kind of value, found {value!r}. See the README of `pairs`.")
    return value


def parse_labels(text: str) -> dict[str, str]:
    """Return what the option ``labels`` says, such as ``vessel=#ffffff`` or ``disc=1,cup=>=2``.

    Raises:
        UsageError: something else.
    """
    named: dict[str, str] = {}
    for part in text.split(","):
        name, _, rule = (piece.strip() for piece in part.partition("="))
        if not name or not rule or name in named:
            raise UsageError(
                f"labels: expected NAME=VALUE, NAME=#COLOUR or NAME=>=VALUE, each name once, found {text!r}."
            )
        named[name] = rule
    return named


def parse_spacing(text: str) -> tuple[float, float, float] | str | None:
    """Return "px", None for what files say, or mm per voxel ``(D, H, W)``.

    Raises:
        UsageError: something else.
    """
    wish = text.strip().lower()
    if wish in ("", "file"):
        return None
    if wish in ("px", "pixel", "pixels"):
        return "px"
    try:
        sides = [float(side) for side in wish.split(",")]
    except ValueError:
        sides = []
    sides = sides * 2 if len(sides) == 1 else sides
    sides = [1.0, *sides] if len(sides) == 2 else sides
    if len(sides) != 3 or not all(0 < side < 1e6 for side in sides):
        raise UsageError(f"spacing: expected file, px, or one to three numbers of mm such as 0.5,0.5, found {text!r}.")
    return sides[0], sides[1], sides[2]
