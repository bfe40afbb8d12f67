"""The energy of a training as the machine's own counters tell it; what no counter tells is not guessed.

Source: Linux powercap's RAPL zones (``Documentation/power/powercap``), which most systems let root alone read; NVIDIA's
management library, ``nvmlDeviceGetTotalEnergyConsumption``, from Volta on.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

POWERCAP = Path("/sys/class/powercap")
PROCESSOR, GPU = "processor", "gpu"
WHAT = {
    PROCESSOR: "processor packages and the memory they count, whoever used them",
    GPU: "the whole GPU, whoever used it",
}
"""Counter -> in words what it counts."""
_EVERY = 10.0
"""Seconds between looks: a counter of 262 kJ overflows after some ten minutes at full load."""
_UNIT_OF_NVML = 1e-3


@dataclass
class _Counter:
    """A counter of joules that begins at 0 again after ``span``; infinity = never."""

    kind: str
    read: Callable[[], float | None]
    span: float = float("inf")
    last: float = 0.0
    spent: float = 0.0
    broken: bool = field(default=False)

    def look(self) -> None:
        now = self.read()
        if now is None:
            self.broken = True
            return
        step = now - self.last
        if step < 0 and self.span == float("inf"):  # its driver began anew: what was before is not known
            self.broken = True
            return
        self.spent += step if step >= 0 else step + self.span
        self.last = now


class Energy:
    """What the counters of this machine count from its construction on.

    Args:
        device: where training happens; a GPU's counter is read if it is one.
        powercap: folder of the processor's zones.
    """

    def __init__(self, device: torch.device, powercap: Path = POWERCAP) -> None:
        self._counters: list[_Counter] = []
        for counter in (*_zones(powercap), *_gpu(device)):
            if (now := counter.read()) is not None:
                counter.last = now
                self._counters.append(counter)
        self._looked = time.monotonic()

    def look(self) -> None:
        """Read the counters if that was not done for a while, lest one overflows twice unseen; costs nothing else."""
        if self._counters and time.monotonic() - self._looked > _EVERY:
            self._read()

    def spent(self) -> dict[str, float]:
        """Return counter -> joules since the last call; one that could not be read, now or before, is left out."""
        self._read()
        broken = {counter.kind for counter in self._counters if counter.broken}
        found: dict[str, float] = {}
        for counter in self._counters:
            if counter.kind not in broken:
                found[counter.kind] = found.get(counter.kind, 0.0) + counter.spent
            counter.spent = 0.0
        return found

    def _read(self) -> None:
        self._looked = time.monotonic()
        for counter in self._counters:
            counter.look()


def _zones(root: Path) -> Iterator[_Counter]:
    """Yield the counters of packages, and of memory where that is counted apart; nothing if any may not be read."""
    found = []
    for zone in sorted(root.glob("intel-rapl:*")):  # the name of the zones of AMD's processors as well
        try:
            name = (zone / "name").read_text().strip()
            if not (name.startswith("package") or name == "dram"):
                continue
            span = float((zone / "max_energy_range_uj").read_text()) / 1e6
        except (OSError, ValueError):
            return
        found.append(_Counter(PROCESSOR, _file(zone / "energy_uj"), span))
    if found and all(counter.read() is not None for counter in found):
        yield from found


def _file(path: Path) -> Callable[[], float | None]:
    def read() -> float | None:
        try:
            return float(path.read_text()) / 1e6
        except (OSError, ValueError):
            return None

    return read


def _gpu(device: torch.device) -> Iterator[_Counter]:
    if device.type != "cuda":
        return
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
        handle, code = ctypes.c_void_p(), library.nvmlInit_v2()
        name = f"GPU-{uuid}".encode()
        if code or uuid is None or library.nvmlDeviceGetHandleByUUID(name, ctypes.byref(handle)):
            return
    except (OSError, AttributeError):
        return

    def read() -> float | None:
        millijoules = ctypes.c_ulonglong()
        if library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)):
            return None
        return millijoules.value * _UNIT_OF_NVML

    yield _Counter(GPU, read)
