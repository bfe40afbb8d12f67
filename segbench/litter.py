"""Names of unfinished files, which say whose they are, so that what a killed process left is found and swept.

A file that is being written is called ``.<name>.<place>-<process>.<random>.part`` until it is whole. The place is the
machine and, in a container, its own numbering of processes: only there does a process's number say whether it lives.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from segbench.processes import begun, machine

FOREIGN_AGE = 24 * 3600.0
"""Seconds after which what another machine, or this one before it was started anew, has not touched is litter."""
_PART = re.compile(r"\..+\.(?:(?P<place>[0-9a-f]{8})-)?(?P<process>\d+)\.[0-9a-f]{8}\.part")
_swept: set[Path] = set()


@cache
def place() -> str:
    """Return eight hexadecimal digits that name where this process's number is unique."""
    return hashlib.sha256(machine().encode()).hexdigest()[:8]


def unfinished(path: Path) -> Path:
    """Return the name beside ``path`` under which this process writes it."""
    return path.with_name(f".{path.name}.{place()}-{os.getpid()}.{secrets.token_hex(4)}.part")


def sweep(folder: Path) -> None:
    """Delete the unfinished files and folders that processes which are gone left in a folder; never fails.

    Those of this place go at once, others after ``FOREIGN_AGE``. Nothing of a living process is touched.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _PART.fullmatch(entry.name)
            if match and _is_litter(entry, match["place"], int(match["process"])):
                _remove(Path(entry.path), entry.is_dir(follow_symlinks=False))


def sweep_once(folder: Path) -> None:
    """Sweep a folder the first time that this process asks for it."""
    if folder not in _swept:
        _swept.add(folder)
        sweep(folder)


def room(purpose: str) -> Path:
    """Return a new folder for temporary files, and sweep those of dead processes; whoever asked for it leaves it.

    Args:
        purpose: its last name; the folder around it, which ``leave`` deletes, says whose it is.
    """
    place_of_all = Path(tempfile.gettempdir())
    sweep_once(place_of_all)
    folder = unfinished(place_of_all / "segbench") / purpose
    folder.parent.mkdir(mode=0o700)
    folder.mkdir()
    return folder


def leave(folder: Path) -> None:
    """Delete a folder that ``room`` returned."""
    shutil.rmtree(folder.parent, ignore_errors=True)


@contextlib.contextmanager
def temporary(purpose: str) -> Iterator[Path]:
    """Make a folder for temporary files for the length of a block; see ``room``."""
    folder = room(purpose)
    try:
        yield folder
    finally:
        leave(folder)


def _is_litter(entry: os.DirEntry[str], where: str | None, process: int) -> bool:
    if where == place():
        return not begun(process)
    with contextlib.suppress(OSError):
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > FOREIGN_AGE
    return False


def _remove(path: Path, is_folder: bool) -> None:
    if is_folder:
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
