"""Every error a user can meet: what was expected, what was found, what to do next; and its exit code."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Iterable
from pathlib import Path

EXIT_SOME_FAILED = 1
EXIT_USAGE = 2
EXIT_DATA = 3
EXIT_PLUGIN = 4
EXIT_VERIFICATION = 5


class SegbenchError(Exception):
    """Base of all expected errors; the command line prints it without a traceback and exits with ``exit_code``."""

    exit_code = EXIT_SOME_FAILED


class UsageError(SegbenchError):
    """The request itself is wrong: an option, a parameter or a combination of parts."""

    exit_code = EXIT_USAGE


class UnknownName(UsageError):
    """A part, parameter or label was asked for that nobody offers."""


class Incompatible(UsageError):
    """Parts exist but do not fit together; the message gives the reason in words."""


class DataMissing(SegbenchError):
    """Data are not where they were looked for; the message says what to get, from where and under which terms."""

    exit_code = EXIT_DATA


class DataInvalid(SegbenchError):
    """Data are there but cannot be used as they are."""

    exit_code = EXIT_DATA


class Unwritable(SegbenchError, OSError):
    """A disk refuses what is to be written: it is full, over quota, read-only, or not this user's."""

    exit_code = EXIT_DATA


class PluginError(SegbenchError):
    """A plugin could not be loaded or broke its contract."""

    exit_code = EXIT_PLUGIN


class VerificationError(SegbenchError):
    """Results contradict each other or their own record."""

    exit_code = EXIT_VERIFICATION


class Busy(SegbenchError):
    """Another process is making the same run; nothing is wrong.

    Attributes:
        by: who, in words.
    """

    exit_code = 0

    def __init__(self, text: str, by: str = "") -> None:
        super().__init__(text)
        self.by = by


class LockLost(SegbenchError):
    """Another process took over what this one was making, because it had been silent for too long."""


_DISK = {
    errno.ENOSPC: "Free some space there or choose a folder on another disk",
    errno.EDQUOT: "Your quota on that disk is used up: delete something of yours there or choose another disk",
    errno.EROFS: "The disk can only be read: choose a folder that can be written to",
    errno.EACCES: "Check the permissions of the file and its folder, or choose a folder that can be written to",
    errno.EPERM: "Check the permissions of the file and its folder, or choose a folder that can be written to",
    errno.EFBIG: "No file may be this large there: raise the limit (ulimit -f) or choose another disk",
    errno.EIO: "The disk reports a fault: have it checked, and choose a folder on another one",
    errno.ENOTDIR: "A file stands where a folder is needed: move it away or choose another folder",
    errno.EEXIST: "A file stands where a folder is needed: move it away or choose another folder",
    errno.ENAMETOOLONG: "Choose a folder with a shorter path",
    errno.ENFILE: "Close some programs",
    errno.EMFILE: "Allow more open files (ulimit -n), or use fewer --jobs",
}
"""What to do about what a disk refuses, by the system's number."""
_AGAIN = "then give the same command again; what was finished is kept"


def disk_advice(error: OSError) -> str:
    """Return what to do about what a disk refused, as a sentence; "" where it is not that."""
    advice = _DISK.get(error.errno or 0, "")
    return f"{advice}, {_AGAIN}." if advice else ""


def unwritable(path: Path, error: BaseException) -> Unwritable | None:
    """Return the error that says why a file cannot be written, or None if the disk is not the reason.

    Args:
        path: of the file or folder.
        error: what writing it ended with; a library's own error counts if the system's stands behind it.
    """
    if isinstance(error, SegbenchError):
        return error if isinstance(error, Unwritable) else None
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, OSError):
            if behind.errno is None and "written" in str(behind):  # libraries say no more when less was written
                behind = OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} ({behind})")
            if advice := disk_advice(behind):
                return Unwritable(f"{path} cannot be written: {behind.strerror}. {advice}")
        behind = behind.__cause__ or behind.__context__
    return None


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]{0,127}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names the closest known names, or lists them all when none is close.

    Args:
        name: what was asked for.
        known: the names on offer.
    """
    names = sorted(known)
    folded = {one.casefold(): one for one in reversed(names)}
    close = [folded[one] for one in difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)]
    if close:
        return f"Did you mean {' or '.join(repr(match) for match in close)}?"
    return f"Known: {', '.join(names)}." if names else "None is known."


def safe_name(text: str, what: str) -> str:
    """Return ``text`` unchanged if it is safe as one path component, else raise.

    Args:
        text: a name that came from outside (a case, a dataset, a method, a run).
        what: what the name names, for the message.

    Raises:
        UsageError: if it is empty, has other characters than letters, digits and ``._+@-``, begins with a
            punctuation mark, or is longer than 128 characters.
    """
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"{what} {text!r} cannot be used as a name: expected 1 to 128 letters, digits or any of . _ + @ - "
            f"beginning with a letter or digit. Rename it."
        )
    return text
