"""Checkpoints on disk: written atomically, read without executing anything, holding tensors and plain values only."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from segbench.atomic import atomically
from segbench.errors import DataInvalid, PluginError


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically: temporary file, fsync, rename."""
    atomically(path, lambda part: torch.save(dict(state), part))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; nothing but tensors, numbers, texts and their containers is accepted.

    Raises:
        DataInvalid: if it is damaged or holds anything else.
    """
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DataInvalid(
            f"Checkpoint {path}: expected tensors and plain values, found {type(error).__name__}: "
            f"{str(error).splitlines()[0]}. Delete the run's folder to start it anew."
        ) from error
    return saved


def keep_network(folder: Path) -> None:
    """Write the scored network of a run as ``checkpoint/network.pt``."""
    last, best = folder / "checkpoint" / "last.pt", folder / "checkpoint" / "best.pt"
    saved = load_checkpoint(best if best.is_file() else last)
    save_checkpoint(folder / "checkpoint" / "network.pt", {"network": saved["network"]})


def drop_checkpoints(folder: Path) -> None:
    """Remove what only a resumed run would need."""
    for pattern in ("last.pt", "best.pt", ".*.part"):
        for path in (folder / "checkpoint").glob(pattern):
            path.unlink(missing_ok=True)
    shutil.rmtree(folder / "method" / "scratch", ignore_errors=True)


def check_plain(value: Any, where: str) -> None:
    """Check that a checkpoint can hold a value and give it back.

    Raises:
        PluginError: if it is neither a tensor, a number, a text nor a list or mapping of them.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            check_plain(key, f"a key of {where}")
            check_plain(item, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            check_plain(item, f"{where}[{index}]")
    elif value is not None and type(value) not in (bool, int, float, str, torch.Tensor, torch.nn.Parameter):
        raise PluginError(
            f"{where} is a {type(value).__name__}; expected tensors, numbers, texts, and lists or dicts of them, "
            f"which a checkpoint can hold (a numpy array: torch.from_numpy; a module: its state_dict())."
        )
