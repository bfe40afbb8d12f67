"""Checkpoints on disk: written atomically, read without executing anything, holding tensors and plain values only.

A checkpoint is a ZIP file with a CRC-32 per member, which torch writes and never looks at; here it is looked at.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from segbench.atomic import atomically
from segbench.errors import DataInvalid, PluginError
from segbench.litter import sweep

LAST, BEST, NETWORK = "last.pt", "best.pt", "network.pt"
"""Files of a run's folder ``checkpoint``: after the last epoch done, after the best one, and what is scored."""


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically: temporary file, fsync, rename.

    Raises:
        Unwritable: the disk is full, read-only, over quota, or refuses otherwise.
    """

    def write(part: Path) -> None:
        with part.open("wb") as file:  # a file of ours: torch's own hides why it cannot be written
            torch.save(dict(state), file)

    atomically(path, write)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint that ``save_checkpoint`` wrote; only tensors, numbers, texts and their containers are accepted.

    Raises:
        DataInvalid: if it is damaged or holds anything else.
    """
    try:
        _check_contents(path)
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        raise DataInvalid(
            f"Checkpoint {path} is damaged: expected tensors and plain values, found {type(error).__name__}: {reason}. "
            f"Restore it from a copy, or delete {_what_to_delete(path)}."
        ) from error
    return saved


def _check_contents(path: Path) -> None:
    """Raise an error if a member is not what its CRC-32 says."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"{damaged} is not what its checksum says")


def _what_to_delete(path: Path) -> str:
    """Say what to delete so that what is lost is made again."""
    if path.name in (LAST, BEST):
        return "the folder it is in: the run then starts anew"
    return "the run's folder to train it anew" if path.name == NETWORK else "it"


def keep_network(folder: Path) -> None:
    """Write the scored network of a run as ``checkpoint/network.pt``."""
    last, best = folder / "checkpoint" / LAST, folder / "checkpoint" / BEST
    saved = load_checkpoint(best if best.is_file() else last)
    save_checkpoint(folder / "checkpoint" / NETWORK, {"network": saved["network"]})


def drop_checkpoints(folder: Path) -> None:
    """Remove what only a resumed run would need."""
    for name in (LAST, BEST):
        (folder / "checkpoint" / name).unlink(missing_ok=True)
    sweep(folder / "checkpoint")
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
