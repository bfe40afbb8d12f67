"""The record of a run, ``run.json``: sealed, so that damage to it is seen, and vouching for the files beside it.

Records that are older than seals and digests are read all the same; nothing vouches for those.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segbench.atomic import atomically
from segbench.digests import sha256_of
from segbench.errors import DataInvalid
from segbench.params import fingerprint
from segbench.record_schema import check_record

RECORD = "run.json"
RESTORE = "Restore it from a copy, or delete the run's folder and run it again."
SEAL, DIGESTS = "seal", "digests"
"""Parts of a record: the SHA-256 of all its other parts, and file -> SHA-256 of files beside it."""


def check_digest(file: Path, advice: str, record: Mapping[str, Any] | None = None) -> None:
    """Check a file of a run against the digest in the record; older records have none, and no check.

    Args:
        file: beside the record.
        advice: what to do if it is damaged.
        record: of the run, if it was read already.

    Raises:
        DataInvalid: it is not the file that was written.
    """
    folder = file.parent
    # its seal is not looked at here: whatever else is damaged in the record, the file is what the digest says or is not
    record = _plain(_content(folder), folder / RECORD) if record is None else record
    accepted = digests_of(record, file.name)
    if accepted and sha256_of(file) not in accepted:
        raise DataInvalid(
            f"{file} is damaged: expected the contents whose SHA-256 {RECORD} holds ({accepted[0][:12]}...), found "
            f"others. {advice}"
        )


def digests_of(record: Mapping[str, Any], name: str) -> list[str]:
    """Return the digests that a record accepts for a file; [] if it says nothing."""
    every = record.get(DIGESTS)
    found = every.get(name) if isinstance(every, Mapping) else None
    return [str(one) for one in (found if isinstance(found, list) else [found] if found else [])]


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a run atomically, with a seal by which damage to it is seen."""
    plain = json.loads(_json({key: value for key, value in record.items() if key != SEAL}))
    write_json(path, {**plain, SEAL: fingerprint(plain)})


def read_record(folder: Path) -> dict[str, Any]:
    """Return the record of a run.

    Raises:
        DataInvalid: it cannot be read, is none, or was damaged.
    """
    return parsed_record(_content(folder), folder / RECORD)


def _content(folder: Path) -> bytes:
    try:
        return (folder / RECORD).read_bytes()
    except OSError as error:
        raise DataInvalid(f"{folder / RECORD} cannot be read: {error.strerror}. {RESTORE}") from error


def parsed_record(content: bytes, where: Path) -> dict[str, Any]:
    """Return a record from its bytes; ``where`` names it in errors. Records older than seals are taken as they are."""
    record = _plain(content, where)
    seal = record.pop(SEAL, None if DIGESTS in record else "")
    if seal != "" and seal != _sealed(record):
        raise DataInvalid(
            f"{where} is damaged, or was edited: its contents are not those of its seal. {RESTORE} (If the change is "
            f'meant, write "{SEAL}": "" in its last line.)'
        )
    if not isinstance(record.get("run_id"), str):
        raise DataInvalid(f"{where}: expected the record of a run with its run_id. {RESTORE}")
    check_record(record, where, RESTORE)
    return record


def _plain(content: bytes, where: Path) -> dict[str, Any]:
    """Return what a record says, its seal among it."""
    try:
        record = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataInvalid(f"{where} cannot be read as JSON: {error}. {RESTORE}") from error
    if not isinstance(record, dict):
        raise DataInvalid(f"{where}: expected the record of a run, found a {type(record).__name__}. {RESTORE}")
    return record


def _sealed(record: Mapping[str, Any]) -> str:
    try:
        return fingerprint(record)
    except ValueError:  # a number that JSON does not know, such as NaN
        return ""


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, indented, UTF-8; non-finite numbers become null.

    Args:
        path: where; its folder is created.
        value: JSON values; paths and other objects are written as text.
    """
    text = _json(value, indent=2) + "\n"
    atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, default=str, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
