"""A record per training sample in files rather than in memory: u, w and where Douglas-Rachford stood.

Every sample has two slots in the files. The first write of an epoch goes to the slot that the last checkpoint does not
point to, later ones to the same slot; ``commit`` flushes and returns which slot holds what. A run that is killed comes
back to the slots of its last checkpoint, which no later epoch has touched, and compares their checksums. The files are
sparse: a slot that was never written takes no room. They are read as memory maps and written as files, because a memory
map on a full disk ends the process without a word.
"""

from __future__ import annotations

import io
import math
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segbench import DataInvalid, writing

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
        self.folder = folder
        self.files: dict[str, np.memmap[Any, np.dtype[Any]]] = {}
        self.streams: dict[str, io.FileIO] = {}
        for name, (shape, dtype) in fields.items():
            path = folder / f"{name}.maps"
            with writing(path):
                folder.mkdir(parents=True, exist_ok=True)
                self.files[name], self.streams[name] = _file(path, (samples, 2, *shape), dtype)
        self.slots = torch.full((samples,), NEVER, dtype=torch.int8)
        self.checksums = torch.zeros((samples, len(fields)), dtype=torch.int64)
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
            for column, (name, file) in enumerate(self.files.items()):
                content = np.ascontiguousarray(arrays[name][row], dtype=file.dtype).reshape(-1).view(np.uint8).data
                self.checksums[sample, column] = zlib.crc32(content)
                with writing(self._path(name)):
                    self.streams[name].seek((2 * sample + int(self.slots[sample])) * len(content))
                    if (written := self.streams[name].write(content)) != len(content):
                        raise OSError(f"{len(content)} bytes requested and {written} written")

    def commit(self) -> dict[str, torch.Tensor]:
        """Flush the files; from now on the slots that hold something are left alone until they are restored.

        Returns:
            ``slots`` int8 ``(samples,)``, and ``checksums`` int64 ``(samples, fields)``: CRC-32 of what they hold.
        """
        for name, stream in self.streams.items():
            with writing(self._path(name)):
                os.fsync(stream.fileno())
        self.fresh.fill_(False)
        return {"slots": self.slots.clone(), "checksums": self.checksums.clone()}

    def restore(self, committed: Mapping[str, torch.Tensor]) -> None:
        """Go back to what ``commit`` returned; older checkpoints hold no checksums.

        Raises:
            DataInvalid: the files do not hold it any more.
        """
        self.slots = committed["slots"].clone()
        self.fresh.fill_(False)
        if "checksums" in committed:
            self.checksums = committed["checksums"].clone()
            self._check()

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.maps"

    def _check(self) -> None:
        for sample in torch.nonzero(self.slots != NEVER).flatten().tolist():
            for column, (name, file) in enumerate(self.files.items()):
                if zlib.crc32(file[sample, int(self.slots[sample])]) != int(self.checksums[sample, column]):
                    raise DataInvalid(
                        f"{self._path(name)} is damaged: expected what the last checkpoint knows of sample "
                        f"{sample}, found other numbers. Restore it from a copy, or delete the run's folder "
                        f"{self.folder.parents[1]} to train anew."
                    )


def _file(path: Path, shape: tuple[int, ...], dtype: type[Any]) -> tuple[np.memmap[Any, np.dtype[Any]], io.FileIO]:
    """Open a file of the right size as it is, or make one of zeros; return it for reading and for writing."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    fits = path.is_file() and path.stat().st_size == size
    stream = io.FileIO(path, "r+" if fits else "w+")
    stream.truncate(size)
    return np.memmap(path, dtype=dtype, mode="r", shape=shape), stream


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
