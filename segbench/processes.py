"""Which process is meant by a number, and whether it is still there: for locks, and for what the dead left behind."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path


@cache
def machine() -> str:
    """Return what tells this running system, and the process table this process is in, from all others."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux
        return socket.gethostname()


def begun(process: int) -> str:
    """Return when a process of this machine began, in the system's own count; "" if there is none."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        if Path("/proc/self/stat").exists():
            return ""
    try:
        os.kill(process, 0)  # asks, sends nothing
    except (ProcessLookupError, OverflowError):
        return ""
    except OSError:  # it lives, and is another user's
        pass
    return "alive"
