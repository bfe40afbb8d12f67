"""Device, precision and determinism, through Lightning Fabric; and what the machine is, for the record."""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import warnings
from typing import Any

import torch

from segbench.config import DEVICES, PRECISIONS
from segbench.errors import UsageError


def launch(device: str, precision: str) -> Any:
    """Return a launched Fabric with deterministic algorithms switched on.

    Args:
        device: auto | cpu | cuda | mps.
        precision: auto | 32-true | bf16-mixed | 16-mixed; auto is bf16 where the processor computes in it.

    Raises:
        UsageError: for a device this machine does not have.
    """
    from lightning_fabric import Fabric

    chosen, settled = resolved(device, precision)
    for name in ("lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning_fabric")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # costs a tenth of a step
    torch.backends.cudnn.benchmark = False
    _keep_pages()
    fabric = Fabric(accelerator=chosen, devices=1, precision=settled)  # type: ignore[arg-type]
    fabric.launch()
    return fabric


def resolved(device: str, precision: str) -> tuple[str, str]:
    """Return the device class and the precision that a launch would settle on; launches nothing, switches nothing.

    Args:
        device: auto | cpu | cuda | mps.
        precision: auto | 32-true | bf16-mixed | 16-mixed; auto is bf16 where the processor computes in it.

    Returns:
        ("cpu" | "cuda" | "mps", "32-true" | "bf16-mixed" | "16-mixed").

    Raises:
        UsageError: for a device this machine does not have, or a word that names none.
    """
    chosen = _device(device)
    return chosen, _precision(precision, chosen)


def _device(device: str) -> str:
    have = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if have[name])
    if device not in have:
        raise UsageError(f"--device {device!r}: expected one of {', '.join(DEVICES)}.")
    if not have[device]:
        raise UsageError(f"--device {device}: this machine has none that torch can use; try --device cpu.")
    return device


def _precision(precision: str, device: str) -> str:
    if precision not in PRECISIONS:
        raise UsageError(f"--precision {precision!r}: expected one of {', '.join(PRECISIONS)}.")
    if precision != "auto":
        return precision
    if device == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    return "bf16-mixed" if device == "cpu" and _cpu_has_bf16() else "32-true"


def _cpu_has_bf16() -> bool:
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def _keep_pages() -> None:
    """Ask glibc to keep freed memory instead of returning it after every large temporary (measured: up to 1.9x)."""
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4
    libc = ctypes.CDLL(None)
    libc.mallopt(mmap_max, 0)
    libc.mallopt(trim_threshold, 2**31 - 1)
    libc.mallopt(top_pad, 64 << 20)


def hardware(device: torch.device) -> dict[str, Any]:
    """Return what the machine is, for ``run.json``."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "device": device.type,
        "name": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def peak_memory(device: torch.device) -> int:
    """Return the peak memory in bytes: of the GPU if one is used, else of the process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    import resource

    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
