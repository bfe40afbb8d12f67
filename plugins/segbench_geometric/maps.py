"""A record per training sample in files rather than in memory: u, w and where Douglas-Rachford stood.

Every sample has two slots in the files. The first write of an epoch goes to the slot that the last checkpoint does not
point to, later ones to the same slot; ``commit`` flushes and returns which slot holds what. A run that is killed comes
back to the slots of its last checkpoint, which no later epoch has touched. The files are sparse: a slot that was never
written takes no room.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

NEVER = -1
"""Slot of a sample that was never written."""


class Store:
    """Tensors by name for every sample.

    Args:
        folder: where the files ``<name>.maps`` lie; those of an earlier start of the same run are taken up.
        samples: how many.
        fields: name -> shape and numpy dtype of one sample's tensor.
    """

    def __init__(self, folder: Path, samples: int, fields: Mapping[str, tuple[Sequence[int], type[Any]]]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.files = {
            name: _file(folder / f"{name}.maps", (samples, 2, *shape), dtype) for name, (shape, dtype) in fields.items()
        }
        self.slots = torch.full((samples,), NEVER, dtype=torch.int8)
        self.fresh = torch.zeros(samples, dtype=torch.bool)

    def written(self, ids: torch.Tensor) -> torch.Tensor:
        """Return which of the samples were ever written, bool ``(b,)``."""
        return self.slots[ids] != NEVER

    def read(self, name: str, ids: torch.Tensor) -> torch.Tensor:
        """Return a copy of the samples' tensors ``(b, *shape)``, zero for those never written; on the CPU."""
        file, found = self.files[name], self.written(ids)
        values = np.zeros((len(ids), *file.shape[2:]), dtype=file.dtype)
        for row in torch.nonzero(found).flatten().tolist():
            values[row] = file[int(ids[row]), int(self.slots[ids[row]])]
        return torch.from_numpy(values)

    def write(self, ids: torch.Tensor, values: Mapping[str, torch.Tensor]) -> None:
        """Write the samples' tensors, every name at once."""
        arrays = {name: value.detach().cpu().numpy() for name, value in values.items()}
        for row, sample in enumerate(ids.tolist()):
            if not self.fresh[sample]:
                self.slots[sample] = 1 if self.slots[sample] == 0 else 0
                self.fresh[sample] = True
            for name, array in arrays.items():
                self.files[name][sample, int(self.slots[sample])] = array[row]

    def commit(self) -> torch.Tensor:
        """Flush the files and return the slots, int8 ``(samples,)``; from now on they are left alone."""
        for file in self.files.values():
            file.flush()
        self.fresh.fill_(False)
        return self.slots.clone()

    def restore(self, slots: torch.Tensor) -> None:
        """Go back to what ``commit`` returned."""
        self.slots = slots.clone()
        self.fresh.fill_(False)


def _file(path: Path, shape: tuple[int, ...], dtype: type[Any]) -> np.memmap[Any, np.dtype[Any]]:
    """Open a file of the right size as it is, or make one of zeros."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    fits = path.is_file() and path.stat().st_size == size
    return np.memmap(path, dtype=dtype, mode="r+" if fits else "w+", shape=shape)


def signatures(target: torch.Tensor) -> NDArray[np.int64]:
    """Return a number per target map that another map hardly shares: equal maps have equal numbers.

    Args:
        target: int64 ``(B, *S)``.

    Returns:
        int64 ``(B,)``: a sum over the voxels of label times a pseudo-random odd number, modulo 2**64.
    """
    flat = target.flatten(1)
    index = torch.arange(1, flat.shape[1] + 1, device=target.device)
    factors = (index * 0x2545F4914F6CDD1D) ^ (index << 21) | 1  # wraps around
    return ((flat + 2) * factors).sum(1).cpu().numpy()
