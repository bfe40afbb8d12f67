"""Files and folders that appear whole or not at all, outlive a power cut, and say it in words when the disk refuses."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from segbench.digests import file_checksum
from segbench.errors import unwritable
from segbench.litter import sweep_once, unfinished

SEAL = "seal.json"
"""File of a sealed folder that holds the checksums of the others."""


def atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` fill a temporary neighbour, flush it to disk, and rename it to ``path``.

    Args:
        path: where; its folder is created, and what killed processes left there unfinished is swept. A file that was
            there stays as it was if anything fails.
        write: is given the neighbour's path.

    Raises:
        Unwritable: the disk is full, read-only, over quota, or refuses otherwise.
    """
    part = unfinished(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep_once(path.parent)
        try:
            write(part)
            _flush(part)
            part.replace(path)
            _flush(path.parent)
        finally:
            with contextlib.suppress(OSError):  # a disk that became read-only: the reason is on its way
                part.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what a disk refuses while ``path`` is being written into ``Unwritable``.

    Libraries that hide the reason behind an error of their own are seen through.
    """
    try:
        yield
    except Exception as error:
        told = unwritable(path, error)
        if told is None or told is error:
            raise
        raise told from error


def write_sealed(folder: Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` fill a temporary folder, seal it with the checksums of its files, flush it, and rename it.

    An intact folder that is there already, a rival's, wins; a damaged one is replaced.

    Args:
        folder: where; its parent is created, and what killed processes left there is swept.
        write: is given the temporary folder, empty; it makes files, no folders.

    Raises:
        Unwritable: as for ``atomically``.
    """
    part = unfinished(folder)
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        sweep_once(folder.parent)
        try:
            part.mkdir()
            write(part)
            _seal(part)
            _into_place(part, folder)
            _flush(folder.parent)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def is_intact(folder: Path) -> bool:
    """Return whether a sealed folder is there and holds the very bytes that were sealed; folders in it do not count."""
    try:
        sealed = json.loads((folder / SEAL).read_bytes())
        return bool(sealed == _checksums(folder))
    except (OSError, ValueError, RecursionError):
        return False


def _seal(folder: Path) -> None:
    checksums = _checksums(folder)
    (folder / SEAL).write_text(json.dumps(checksums), encoding="ascii")
    for name in (*checksums, SEAL):
        _flush(folder / name)
    _flush(folder)


def _checksums(folder: Path) -> dict[str, str]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.name != SEAL and not entry.is_dir())
    return {name: file_checksum(folder / name) for name in names}


def _into_place(part: Path, folder: Path) -> None:
    """Rename a folder; one that is there makes way if it is damaged."""
    try:
        os.rename(part, folder)  # noqa: PTH104 - the atomic rename is the point
    except OSError:
        if not folder.is_dir():
            raise
        if is_intact(folder):
            return
        aside = unfinished(folder)
        with contextlib.suppress(FileNotFoundError):  # a rival has just put it aside
            os.rename(folder, aside)  # noqa: PTH104
        try:
            os.rename(part, folder)  # noqa: PTH104
        except OSError:
            if not is_intact(folder):  # not a rival's that was quicker
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _flush(path: Path) -> None:
    """Force a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
