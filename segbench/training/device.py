"""Device, precision and determinism, through Lightning Fabric; and what the machine is, for the record."""

from __future__ import annotations

import logging
import os
import platform
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from segbench.config import DEVICES, PRECISIONS
from segbench.errors import UsageError

_LOGGERS = ("lightning_fabric", "lightning.fabric")


@contextmanager
def session(device: str, precision: str) -> Iterator[Any]:
    """Yield a launched Fabric with deterministic algorithms switched on; afterwards the process is as it was before.

    Restored are determinism, warning filters, environment variables, levels of loggers and the states of the random
    generators of torch, numpy and Python, whether the block ends or raises.

    Args:
        device: auto | cpu | cuda | mps.
        precision: auto | 32-true | bf16-mixed | 16-mixed.

    Raises:
        UsageError: for a device this machine does not have.
    """
    chosen = resolved(device, precision)
    with warnings.catch_warnings(), _environment(), _generators(chosen[0]), _determinism(), _hushed():
        yield launch(*chosen)


def launch(device: str, precision: str) -> Any:
    """Return a launched Fabric on a resolved device in a resolved precision."""
    from lightning_fabric import Fabric

    fabric = Fabric(accelerator=device, devices=1, precision=precision)  # type: ignore[arg-type]
    fabric.launch()
    return fabric


@contextmanager
def _hushed() -> Iterator[None]:
    """Let Fabric speak of errors only."""
    before = {name: logging.getLogger(name).level for name in _LOGGERS}
    import lightning_fabric  # noqa: F401 - sets a level of its own

    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning_fabric")
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})


@contextmanager
def _generators(device: str) -> Iterator[None]:
    """Keep the random generators: training seeds torch's, plugins may draw from any."""
    plain, numbers = random.getstate(), np.random.get_state()
    seed, state = torch.initial_seed(), torch.get_rng_state()
    awake = device == "cuda" or torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    gpus = torch.cuda.get_rng_state_all() if awake else []
    metal = torch.mps.get_rng_state() if device == "mps" else None
    try:
        yield
    finally:
        random.setstate(plain)
        np.random.set_state(numbers)
        torch.manual_seed(seed)  # also of devices that nobody had used yet
        torch.set_rng_state(state)
        if gpus:
            torch.cuda.set_rng_state_all(gpus)
        if metal is not None:
            torch.mps.set_rng_state(metal)


@contextmanager
def _determinism() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    benchmark = torch.backends.cudnn.benchmark
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # costs a tenth of a step
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = benchmark


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
        there = ", ".join(name for name in have if have[name])
        raise UsageError(
            f"--device {device}: this machine has none that torch can use{_why_not(device)}. It has {there}: say "
            f"--device {there.split(', ')[-1]}, or auto."
        )
    return device


def _why_not(device: str) -> str:
    """Return in words what torch was built without, "" if that is not the reason."""
    built = torch.version.cuda or torch.version.hip if device == "cuda" else torch.backends.mps.is_built()
    return "" if built else f" (torch {torch.__version__} was built without it)"


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
