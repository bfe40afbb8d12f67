"""Distances between signatures, and the shape loss.

``d(M, p) = || g(M) - g(p) ||_2`` over the signature's voxels, and ``L_shape = min(d, cap)``, section 3.2 and 4.3.
"""

from __future__ import annotations

from typing import Literal

import torch

from segbench_shape_signature.signature import SignatureNetwork

Norm = Literal["sum", "mean"]
"""``sum`` is the Euclidean norm over the map (the paper's); ``mean`` divides by the root of its number of voxels."""


def signature_distance(first: torch.Tensor, second: torch.Tensor, norm: Norm = "sum") -> torch.Tensor:
    """Return the distance between two signatures ``(B, 1, d, h, w)`` sample by sample, ``(B,)``; see ``Norm``."""
    difference = (first - second).flatten(1)
    distance: torch.Tensor = torch.linalg.vector_norm(difference, dim=1)
    return distance if norm == "sum" else distance / difference.shape[1] ** 0.5


def shape_loss(
    signature: torch.nn.Module,
    prediction: torch.Tensor,
    truth: torch.Tensor,
    cap: float = 1.0,
    *,
    norm: Norm = "sum",
) -> torch.Tensor:
    """Return the mean over the samples of ``min(||g(M) - g(p)||, cap)``, a scalar.

    The gradient flows through g into the prediction; g itself and the truth get none. Above the cap it is zero, as it
    is where both signatures are equal.

    Args:
        signature: g, e.g. a ``SignatureNetwork``; freeze its weights to save memory.
        prediction: probabilities ``(B, 1, D, H, W)`` or ``(B, D, H, W)``, 0 where the truth is unknown.
        truth: mask of the same shape, bool or number, 0 where unknown.
        cap: largest distance that counts.
        norm: see ``Norm``.
    """
    return capped_distances(signature, prediction, truth, cap, norm=norm).mean()


def capped_distances(
    signature: torch.nn.Module, prediction: torch.Tensor, truth: torch.Tensor, cap: float, *, norm: Norm = "sum"
) -> torch.Tensor:
    """Return ``min(d, cap)`` sample by sample, ``(B,)``; see ``shape_loss``."""
    if prediction.ndim == 4:
        prediction, truth = prediction[:, None], truth[:, None]
    with torch.no_grad():
        goal = signature(truth.to(prediction.dtype))
    return signature_distance(signature(prediction), goal, norm).clamp(max=cap)


def cropped(
    signature: SignatureNetwork, prediction: torch.Tensor, truth: torch.Tensor, threshold: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut prediction and truth ``(B, D, H, W)`` to the box beyond which the signatures do not differ.

    Exact for predictions that are 0 outside the box (see ``SignatureNetwork``); probabilities up to ``threshold`` that
    lie beyond its margin are not seen.

    Args:
        signature: gives the margin and the grid of the signature's voxels.
        prediction: probabilities.
        truth: mask.
        threshold: largest probability that counts as nothing.
    """
    shown = ((prediction.detach() > threshold) | (truth > 0)).any(0)  # (D, H, W)
    box = []
    for axis, n in enumerate(shown.shape):
        others = [other for other in range(3) if other != axis]
        places = shown.any(others).nonzero()
        first, last = (int(places[0]), int(places[-1])) if len(places) else (0, 0)
        start = max(0, first - signature.reach) // signature.stride * signature.stride
        box.append(slice(start, min(n, last + 1 + signature.reach)))
    return prediction[(slice(None), *box)], truth[(slice(None), *box)]
