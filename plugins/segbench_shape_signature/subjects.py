"""The masks of one structure, one per subject, centred in a common frame: what a signature learns from."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from segbench import LabelMap, Structure
from segbench_shape_signature.settings import Pretraining


@dataclass(frozen=True, eq=False)
class Subjects:
    """Masks of one structure.

    Attributes:
        crops: bool ``(D, H, W)`` per subject, cut to what the structure fills; none is empty.
        spacing: mm, of the first subject.
    """

    crops: tuple[NDArray[np.bool_], ...]
    spacing: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.crops)

    def digest(self) -> str:
        """Return a digest of the masks and their spacing."""
        found = hashlib.sha256(repr(self.spacing).encode())
        for crop in self.crops:
            found.update(repr(crop.shape).encode() + np.packbits(crop).tobytes())
        return found.hexdigest()

    def frame(self, settings: Pretraining) -> tuple[int, int, int]:
        """Return the shape that holds every mask in any pose, in multiples of the signature's stride."""
        extent = np.max([crop.shape for crop in self.crops], axis=0) if self.crops else np.ones(3)
        millimetres = extent * np.array(self.spacing)
        turned = millimetres + math.sin(math.radians(settings.rotation)) * (millimetres.sum() - millimetres)
        size = turned / np.array(self.spacing) * (1 + settings.scale) / (1 - 2 * settings.translation)
        stride = 2**settings.levels
        d, h, w = (max(1, math.ceil(float(n) / stride)) * stride for n in size)
        return d, h, w

    def batch(self, chosen: Sequence[int], frame: Sequence[int]) -> torch.Tensor:
        """Return the chosen masks, each in the middle of the frame, float32 ``(B, 1, D, H, W)``."""
        masks = torch.zeros((len(chosen), 1, *frame))
        for place, index in enumerate(chosen):
            crop = self.crops[index]
            box = tuple(slice((n - c) // 2, (n - c) // 2 + c) for n, c in zip(frame, crop.shape, strict=True))
            masks[place, 0][box] = torch.from_numpy(crop.astype(np.float32))
        return masks


def collect(truths: Iterable[LabelMap], structures: Sequence[Structure]) -> dict[str, Subjects]:
    """Return name -> masks of each structure, in one pass; subjects without a structure are left out of it.

    Args:
        truths: label maps ``(D, H, W)`` or ``(H, W)``; ``-1`` = unknown, in no mask.
        structures: single labels or unions of labels.
    """
    crops: dict[str, list[NDArray[np.bool_]]] = {structure.name: [] for structure in structures}
    spacing: tuple[float, ...] = ()
    for truth in truths:
        spacing = spacing or lifted_spacing(truth)
        for structure in structures:
            mask = volume(truth.mask(structure))
            if mask.any():
                crops[structure.name].append(mask[bounding_box(mask)].copy())
    return {name: Subjects(tuple(found), spacing or (1.0, 1.0, 1.0)) for name, found in crops.items()}


def volume(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return ``(D, H, W)``; a plane becomes a volume of one slice."""
    return mask if mask.ndim == 3 else mask[None]


def lifted_spacing(truth: LabelMap) -> tuple[float, ...]:
    """Return three spacings, that across a plane being its first."""
    return truth.spacing if len(truth.spacing) == 3 else (truth.spacing[0], *truth.spacing)


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the box of a mask that is not empty."""
    box = []
    for axis in range(mask.ndim):
        places = np.flatnonzero(mask.any(tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(int(places[0]), int(places[-1]) + 1))
    return tuple(box)
