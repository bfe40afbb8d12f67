"""The peak memory of one run, apart from what the process needed before it."""

from __future__ import annotations

import ctypes
import gc
import platform
import sys
from pathlib import Path

import torch

_PROC = Path("/proc/self")
OF_THE_GPU = "memory allocated on the GPU during the run"
OF_THE_RUN = "memory of the process during the run"
UNKNOWN = "nothing here tells it"
AT_MOST = "highest memory of the process so far, which an earlier part of it may have needed"


class PeakMemory:
    """Watches from its construction on: a GPU's allocations if one is used, else the memory of this process.

    Args:
        device: where training happens.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        gc.collect()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        _return_free_pages()
        self._resets = _reset()
        self._before = _highest_ever()

    def read(self) -> tuple[int | None, str]:
        """Return the peak in bytes, None where nothing tells it, and in words what was measured."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device)), OF_THE_GPU
        if self._resets:
            return _high_water_mark(), OF_THE_RUN
        highest = _highest_ever()
        if highest is None:
            return None, UNKNOWN
        return highest, OF_THE_RUN if highest > (self._before or 0) else AT_MOST


def _return_free_pages() -> None:
    """Give back what is free already, else what an earlier run has freed would count for this one (glibc only)."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def _reset() -> bool:
    """Set the high-water mark to what the process holds now (Linux); False where that is impossible."""
    try:
        (_PROC / "clear_refs").write_text("5")
        return _high_water_mark() > 0
    except (OSError, ValueError):
        return False


def _high_water_mark() -> int:
    lines = (_PROC / "status").read_text().splitlines()
    return 1024 * next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def _highest_ever() -> int | None:
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
