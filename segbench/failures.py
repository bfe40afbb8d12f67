"""Any exception in words: what failed, whose it is and what to do; commands and sweeps ask here."""

from __future__ import annotations

import errno
import os
import traceback
from dataclasses import dataclass

from segbench.errors import EXIT_DATA, EXIT_SOME_FAILED, Incompatible, SegbenchError, disk_advice

MACHINE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENFILE, errno.EMFILE})
"""Errors of the operating system that are the machine's, whoever met them."""
_MEMORY = ("can't allocate memory", "out of memory", "Cannot allocate memory")
"""How torch says it; its own class of error for an accelerator's memory is a RuntimeError too."""


@dataclass(frozen=True)
class Failure:
    """Why something failed.

    Attributes:
        reason: sentences for a reader.
        exit_code: of a command that ends with it.
        incompatible: whether parts merely do not fit together.
        unexpected: whether it can only be a fault of segbench itself.
    """

    reason: str
    exit_code: int
    incompatible: bool = False
    unexpected: bool = False

    @property
    def status(self) -> str:
        """What a sweep lists: "incompatible" or "failed"."""
        return "incompatible" if self.incompatible else "failed"

    @property
    def message(self) -> str:
        """What a command says that ends with it."""
        return self.reason if self.unexpected else f"Error: {self.reason}"


def failure_of(error: Exception) -> Failure:
    """Return an exception in words."""
    during = "".join(f" while {note}" for note in getattr(error, "__notes__", ())[:1])
    if isinstance(error, SegbenchError):
        return Failure(str(error), error.exit_code, isinstance(error, Incompatible))
    if is_out_of_memory(error):
        what = f" ({text})" if (text := _first_line(error)) else ""
        advice = "Make recipe.batch, recipe.patch or the network smaller, or end other programs"
        return Failure(f"Memory ran out{during}{what}. {advice}; the same command resumes.", EXIT_DATA)
    if isinstance(error, OSError):
        return Failure(f"{os_words(error)}{during}. {disk_advice(error)}".rstrip(), EXIT_DATA)
    reason = (
        f"Unexpected {type(error).__name__}{during}: {error}\nThis is a fault of segbench; earlier results are intact. "
        f"Set SEGBENCH_DEBUG=1 for the traceback and report it."
    )
    return Failure(reason, EXIT_SOME_FAILED, unexpected=True)


def debugging(error: Exception) -> bool:
    """Print the traceback of an error on stderr where SEGBENCH_DEBUG is set; return whether it is."""
    wanted = bool(os.environ.get("SEGBENCH_DEBUG"))
    if wanted:
        traceback.print_exception(error)
    return wanted


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception says that memory ran out: Python's own, an accelerator's, or the allocator's."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _MEMORY)


def os_words(error: OSError) -> str:
    """Return what the operating system says, and of which file."""
    return f"{error.strerror or error or type(error).__name__}" + (f" ({error.filename})" if error.filename else "")


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "")[:300]
