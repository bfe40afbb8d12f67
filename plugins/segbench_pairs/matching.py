"""Which mask belongs to which image: by name, or by what a regular expression finds in both names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from segbench import DataInvalid, DataMissing, UsageError, first_few, safe_name

ENDINGS = (
    *(".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr", ".mgz", ".mgh"),
    *(".png", ".bmp", ".gif", ".tif", ".tiff", ".jpg", ".jpeg"),
)
"""Endings of files that are looked at."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._+@-]+")


def stem(path: Path) -> str:
    """Return a file's name without its ending, or "" if it is of no known format."""
    lower = path.name.lower()
    ending = next((one for one in ENDINGS if lower.endswith(one)), "")
    return path.name[: -len(ending)] if ending else ""


def files_of(folder: Path, pattern: str, what: str) -> list[Path]:
    """Return the image files below a folder that a pattern finds, by name; hidden ones are passed over.

    Raises:
        UsageError: no pattern of files inside the folder.
        DataMissing: it finds none.
    """
    parts = PurePosixPath(pattern).parts
    if not parts or ".." in parts or PurePosixPath(pattern).is_absolute():
        raise UsageError(f"{what}: expected a pattern of files inside the folder such as images/*, found {pattern!r}.")
    try:
        found = sorted(path for path in folder.glob(pattern) if path.is_file() and stem(path))
    except (ValueError, NotImplementedError) as error:
        raise UsageError(f"{what}: expected a pattern such as images/*.png, found {pattern!r} ({error}).") from error
    found = [path for path in found if not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)]
    if not found:
        raise DataMissing(
            f"{folder}: expected {what} {pattern}, found none. Say where they are: --set dataset.{what}=PATTERN, or "
            f"{what} in pairs.toml."
        )
    return found


def images_by_case(folder: Path, groups: Sequence[Sequence[Path]], case: str) -> dict[str, tuple[Path, ...]]:
    """Return case -> one file per channel group.

    Args:
        folder: for messages.
        groups: files of each pattern.
        case: regular expression, or "".

    Raises:
        DataInvalid: two files of one case, or a case that lacks a channel.
    """
    tables = [_by_key(folder, files, case) for files in groups]
    if len(tables) > 1 and not case:
        tables = [_without_channel(table) for table in tables]
    for table in tables[1:]:
        if table.keys() != tables[0].keys():
            odd = sorted(table.keys() ^ tables[0].keys())
            raise DataInvalid(
                f"{folder}: expected one file of every pattern of images for each case, found them incomplete for "
                f"{first_few(odd)}. Complete the images, or say --set dataset.case=REGEX."
            )
    return {key: tuple(table[key] for table in tables) for key in sorted(tables[0])}


def _without_channel(table: Mapping[str, Path]) -> dict[str, Path]:
    """Return the table by what is left of names without the last part, which names the channel (``x_t1``)."""
    return {re.sub(r"[._-][^._-]+$", "", key): path for key, path in table.items()}


def _by_key(folder: Path, files: Iterable[Path], case: str) -> dict[str, Path]:
    table: dict[str, Path] = {}
    for path in files:
        key = _key(path, case)
        if key in table:
            found = f"{table[key].relative_to(folder)} and {path.relative_to(folder)}"
            raise DataInvalid(f"{folder}: expected one file per case, found {found} for {key!r}. Narrow the pattern.")
        table[key] = path
    return table


def _key(path: Path, case: str) -> str:
    if not case:
        return stem(path)
    try:
        match = re.search(case, path.name)
    except re.error as error:
        raise UsageError(f"case: expected a regular expression, found {case!r} ({error}).") from error
    if match is None or not match.re.groups or not match[1]:
        raise UsageError(
            f"case {case!r}: expected a first (group) that finds the case in every file name, found none in "
            f"{path.name!r}."
        )
    return match[1]


def masks_by_case(folder: Path, cases: Iterable[str], masks: Sequence[Path], case: str) -> dict[str, Path]:
    """Return case -> mask: the same key, else the longest case whose name the mask's begins with.

    Raises:
        DataInvalid: masks that belong to no image, or two of one image.
    """
    known = set(cases)
    found: dict[str, Path] = {}
    lost = []
    for path in masks:
        key = _key(path, case)
        owner = key if key in known else _longest(key, known)
        if owner is None:
            lost.append(path.name)
        elif owner in found:
            both = f"{found[owner].name} and {path.name}"
            raise DataInvalid(f"{folder}: expected one mask per image, found {both} for {owner!r}. Narrow the pattern.")
        else:
            found[owner] = path
    if lost:
        raise DataInvalid(
            f"{folder}: expected masks that are named after images, found {first_few(lost)} beside images "
            f"{first_few(sorted(known), 3)}. Say what both names share, such as "
            f"--set dataset.case='(\\d+)', or case in pairs.toml."
        )
    return found


def _longest(name: str, known: set[str]) -> str | None:
    """Return the longest known name that this one begins with, followed by something that ends a word."""
    for end in range(len(name) - 1, 0, -1):
        if name[:end] in known and not name[end].isalnum():
            return name[:end]
    shorter = re.sub(r"[._-](images?|img|orig|original|training|test|train)$", "", name, flags=re.IGNORECASE)
    return shorter if shorter in known else None


def safe_cases(folder: Path, cases: Iterable[str]) -> dict[str, str]:
    """Return case -> an id that is safe as a file name.

    Raises:
        DataInvalid: two cases that would get one id.
    """
    ids: dict[str, str] = {}
    for key in cases:
        text = _UNSAFE.sub("_", key).strip("._+@-") or "case"
        if text in ids.values():
            raise DataInvalid(
                f"{folder}: expected names that stay apart as file names, found {text!r} twice. Rename one."
            )
        ids[key] = safe_name(text, "case")
    return ids
