"""Names that datasets derive from what they find on disk (of cases, patients, tasks), and names in messages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from segbench.errors import DataInvalid, UsageError, safe_name


def first_few(names: Iterable[object], most: int = 5) -> str:
    """Return the first few names for a message, and how many more there are; "" if there is none."""
    listed = [str(name) for name in names]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def case_id(text: str, where: Path) -> str:
    """Return a case's id as a dataset gives it, if it is safe as a file name.

    Args:
        text: the id.
        where: the file or folder it was found in, for the message.

    Raises:
        DataInvalid: see ``segbench.safe_name``.
    """
    try:
        return safe_name(text, "case")
    except UsageError as error:
        raise DataInvalid(f"{where}: {error}") from error


def patient_of(case_id: str, group_pattern: str) -> str:
    """Return the patient of a case.

    Args:
        case_id: e.g. ``patient007_frame01``.
        group_pattern: regular expression whose first group in the case id is the patient; "" = every case its own.

    Raises:
        UsageError: a pattern that is no regular expression, has no group or does not match the case.
    """
    if not group_pattern:
        return case_id
    try:
        match = re.search(group_pattern, case_id)
    except re.error as error:
        raise UsageError(f"group_pattern {group_pattern!r}: expected a regular expression, found: {error}.") from error
    if match is None or not match.re.groups or not match.group(1):
        raise UsageError(
            f"group_pattern {group_pattern!r}: expected a first (group) that finds the patient in every case, "
            f"found none in {case_id!r}."
        )
    return match.group(1)


def folder_task_name(dataset: str, folder: Path) -> str:
    """Return ``<dataset>-<folder name>`` with every character that is unsafe in a path replaced, 128 at most."""
    return f"{dataset}-{re.sub(r'[^A-Za-z0-9._+@-]', '_', folder.name)}"[:128]
