"""Did a training learn anything? A network that was never changed must not pass for a trained one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from segbench.training.loop import Progress


def weights_digest(module: torch.nn.Module) -> str:
    """Return the digest of all parameters of a network."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in module.named_parameters():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def why_nothing(progress: Progress, module: torch.nn.Module, before: str) -> str:
    """Say why a training learnt nothing, in a few words; "" if it learnt something.

    Args:
        progress: of the whole training.
        module: as it was trained last.
        before: ``weights_digest`` of the network before the first step.
    """
    skipped = int(sum(row["value"] for row in progress.history if row["name"] == "skipped"))
    if skipped == progress.step:
        return f"loss or gradient was never finite, all {progress.step} steps were skipped"
    if skipped + progress.still == progress.step:
        of_them = f", {skipped} of them skipped" if skipped else ""
        return f"the gradient was zero in all {progress.step} steps{of_them}"
    if weights_digest(module) == before:
        return f"the weights are those before the first of {progress.step} steps"
    if not all(bool(torch.isfinite(value).all()) for value in module.parameters()):
        return "the weights are not finite any more"
    return ""
