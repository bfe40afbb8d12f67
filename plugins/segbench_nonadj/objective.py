"""What NonAdjLoss computes per batch: pixel losses on the labelled samples, the penalty on all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

from segbench import pixel_terms
from segbench_nonadj.adjacency import penalty
from segbench_nonadj.reach import window

if TYPE_CHECKING:
    from segbench import Batch


def pixel_losses(
    batch: Batch, logits: torch.Tensor, weights: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return cross-entropy and Dice loss of the labelled samples (scalars) and the probabilities of all.

    Unlabelled samples are unknown everywhere in the target, so that neither loss sees them.
    """
    target = torch.where(batch.labelled.view(-1, *[1] * (batch.target.ndim - 1)), batch.target, -1)
    terms = pixel_terms(logits, target, weights)
    return terms.cross_entropy, terms.dice_loss(), terms.probabilities


def adjacency_penalty(
    batch: Batch, probabilities: torch.Tensor, forbidden: torch.Tensor, size: int, radius: float
) -> torch.Tensor:
    """Return the mean soft adjacency of the forbidden pairs over all samples of a batch, labelled or not.

    Unknown voxels of labelled samples (padding, ignored labels) and the padding of all samples touch nothing, as in
    the prior.

    Args:
        batch: gives the unknown voxels and the spacing.
        probabilities: ``(B, K, *S)``.
        forbidden: bool ``(K, K)``.
        size: edge of the window, voxels.
        radius: mm; if positive, the window reaches this far at each sample's spacing instead.
    """
    unknown = (batch.target < 0) & batch.labelled.view(-1, *[1] * (batch.target.ndim - 1))  # (B, *S)
    if batch.inside is not None:
        unknown |= ~batch.inside
    if unknown.any():
        probabilities = probabilities.masked_fill(unknown[:, None], 0)
    if radius <= 0:
        return penalty(probabilities, forbidden, size)
    windows = [window(radius, spacing) for spacing in batch.spacing.tolist()]
    if len(set(windows)) == 1:
        return penalty(probabilities, forbidden, windows[0])
    each = [penalty(one[None], forbidden, sizes) for one, sizes in zip(probabilities, windows, strict=True)]
    return torch.stack(each).mean()


@torch.no_grad()
def measure(
    outputs: Iterable[tuple[Batch, torch.Tensor]], forbidden: torch.Tensor, size: int, radius: float
) -> tuple[float, float]:
    """Return mean soft Dice and mean penalty over one pass of the training samples.

    Args:
        outputs: batches and their logits.
        forbidden, size, radius: see ``adjacency_penalty``.
    """
    dice, total, labelled, batches = 0.0, 0.0, 0, 0
    for batch, logits in outputs:
        _, loss, probabilities = pixel_losses(batch, logits, None)
        total += float(adjacency_penalty(batch, probabilities, forbidden, size, radius))
        batches += 1
        if bool((batch.target[batch.labelled] > 0).any()):
            dice += 1 - float(loss)
            labelled += 1
    return dice / max(labelled, 1), total / max(batches, 1)
