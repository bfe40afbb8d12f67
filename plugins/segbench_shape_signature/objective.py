"""What the method computes per batch: the shape term over its structures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from segbench_shape_signature.distance import Norm, capped_distances, cropped

if TYPE_CHECKING:
    from segbench_shape_signature.store import Signature


def shape_term(
    signatures: Mapping[int, Signature],
    probabilities: torch.Tensor,
    target: torch.Tensor,
    *,
    cap: float,
    norm: Norm = "sum",
    threshold: float = 0.01,
) -> torch.Tensor:
    """Return the mean over samples and structures of the capped signature distance, a scalar.

    Unknown voxels count as empty on both sides. A structure that a sample does not show has the signature of nothing,
    from which false positives are as far as anywhere.

    Args:
        signatures: label -> signature, at least one.
        probabilities: ``(B, K, D, H, W)``.
        target: ``(B, D, H, W)``, ``-1`` = unknown.
        cap, norm: see ``shape_loss``.
        threshold: see ``cropped``; of no effect where the norm is ``mean``, which depends on the size of the map.
    """
    known = target >= 0
    complete = bool(known.all())
    distances = []
    for label, signature in signatures.items():
        prediction = probabilities[:, label] if complete else probabilities[:, label] * known
        truth = target == label
        if norm == "sum":
            prediction, truth = cropped(signature.network, prediction, truth, threshold)
        distances.append(capped_distances(signature.network, prediction, truth, cap, norm=norm))
    return torch.stack(distances).mean()
