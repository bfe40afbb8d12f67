"""A case through a network and back onto its own grid."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from segbench.scoring.decisions import Chain
from segbench.training.cache import StoredCase
from segbench.types import LabelMap, Task
from segbench.views import Patches, Shape, Slices, Window

SLICES_AT_ONCE = 16
Forward = Callable[[torch.Tensor], torch.Tensor]


def predict(
    forward: Forward, case: StoredCase, view: Slices | Patches, task: Task, chain: Chain, device: torch.device
) -> LabelMap:
    """Predict the label map of a stored case on the case's own grid.

    Args:
        forward: ``(B, C, *S) -> (B, K, *S)`` logits, without gradient.
        case: preprocessed case.
        view: how the network was trained to see cases.
        task: its K labels.
        chain: how probabilities become labels.
        device: of the network.

    Returns:
        Label map with the case's native shape, spacing and affine, in the dtype of its truth; outside the recipe's crop
        background was certain.
    """
    labels = len(task.labels)
    if chain.needs_probabilities:
        scores = probabilities(forward, case, view, labels, device)
        array = chain.decide(_native(scores, case).numpy(), task)
    elif case.grid_shape == case.native_shape:
        array = np.zeros(case.native_shape, dtype=np.int64)
        array[case.box] = predict_labels(forward, case, view, labels, device)
        array = chain.refine(array, task)
    else:
        scores = probabilities(forward, case, view, labels, device)
        array = chain.refine(_native(scores, case).argmax(0).numpy(), task)
    return LabelMap(array.astype(case.label_dtype), case.native_spacing, case.native_affine)


def _native(scores: torch.Tensor, case: StoredCase) -> torch.Tensor:
    """Return probabilities ``(K, D, H, W)`` of what is stored on the case's own grid."""
    whole = _uncropped(scores, case)
    return whole if case.grid_shape == case.native_shape else _to_shape(whole, case.native_shape)


def predict_labels(
    forward: Forward, case: StoredCase, view: Slices | Patches, labels: int, device: torch.device
) -> NDArray[np.int64]:
    """Return the label map ``(D, H, W)`` of what is stored, on the training grid."""
    if isinstance(view, Slices):
        planes = [logits.argmax(1).cpu() for logits in _slices(forward, case, view, device)]
        return np.moveaxis(torch.cat(planes).numpy(), 0, view.axis)
    return probabilities(forward, case, view, labels, device).argmax(0).numpy()


def probabilities(
    forward: Forward, case: StoredCase, view: Slices | Patches, labels: int, device: torch.device
) -> torch.Tensor:
    """Return softmax probabilities ``(K, D, H, W)`` of what is stored, float32 on the CPU, training grid.

    Where a case is smaller than in training it is padded as there: a network that normalises over its input, or has
    never seen an image end without padding, must not see less of it.
    """
    if isinstance(view, Slices):
        planes = torch.cat([torch.softmax(logits, 1).cpu() for logits in _slices(forward, case, view, device)])
        return planes.movedim(0, view.axis + 1)  # (n, K, h, w) -> (K, D, H, W)
    shape, weight = case.shape, _gaussian(view.size)
    total = torch.zeros(labels, *shape)
    weights = torch.zeros(shape)
    for window in view.windows(shape):
        patch = _tensor(view.cut_image(case.image, window), device)
        scores = torch.softmax(forward(patch), 1)[0].cpu() * weight
        there, here = _overlap(window, view.size, shape)
        total[(slice(None), *there)] += scores[(slice(None), *here)]
        weights[there] += weight[here]
    return total / weights


def _uncropped(scores: torch.Tensor, case: StoredCase) -> torch.Tensor:
    """Return probabilities of the whole case on the training grid: certain background outside the crop."""
    if case.shape == case.grid_shape:
        return scores
    whole = torch.zeros(len(scores), *case.grid_shape)
    whole[0] = 1
    whole[(slice(None), *case.box)] = scores
    return whole


def _overlap(window: Window, size: Shape, shape: Shape) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return where a window lies in the volume, and that part's place in the window."""
    spans = [
        (max(first, 0), min(first + length, n), first) for first, length, n in zip(window, size, shape, strict=True)
    ]
    there = tuple(slice(low, high) for low, high, _ in spans)
    return there, tuple(slice(low - first, high - first) for low, high, first in spans)


def _slices(forward: Forward, case: StoredCase, view: Slices, device: torch.device) -> list[torch.Tensor]:
    """Return the logits ``(n, K, h, w)`` of whole slices, in batches."""
    plane = _plane(case.shape, view.axis)
    padded = replace(view, size=(max(plane[0], view.size[0]), max(plane[1], view.size[1])))
    windows = padded.windows(case.shape)
    rows, columns = (slice(-start, n - start) for start, n in zip(_plane(windows[0], view.axis), plane, strict=True))
    outputs = []
    for first in range(0, len(windows), SLICES_AT_ONCE):
        images = [padded.cut_image(case.image, window) for window in windows[first : first + SLICES_AT_ONCE]]
        logits = forward(torch.from_numpy(np.stack(images)).to(device))
        outputs.append(logits[:, :, rows, columns])
    return outputs


def _plane(shape: Shape, axis: int) -> tuple[int, int]:
    kept = [n for index, n in enumerate(shape) if index != axis]
    return (kept[0], kept[1])


def _tensor(image: NDArray[Any], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.array(image, dtype=np.float32))[None].to(device)


def _gaussian(size: Shape) -> torch.Tensor:
    """Return the weight of a patch: a Gaussian with sd = size / 8 per axis, at least 1e-3 of its peak."""
    weight = torch.ones(size)
    for axis, n in enumerate(size):
        positions = torch.arange(n) - (n - 1) / 2
        profile = torch.exp(-0.5 * (positions / max(n / 8, 1e-3)) ** 2)
        weight = weight * profile.view([n if index == axis else 1 for index in range(3)])
    return weight.clamp_min(1e-3)


def _to_shape(scores: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Resample probabilities to a shape, a few labels at a time to bound memory."""
    out = torch.empty(scores.shape[0], *shape)
    chunk = max(1, math.floor(2**26 / max(1, math.prod(shape))))
    for first in range(0, scores.shape[0], chunk):
        part = scores[first : first + chunk][None]
        out[first : first + chunk] = F.interpolate(part, size=shape, mode="trilinear", align_corners=False)[0]
    return out
