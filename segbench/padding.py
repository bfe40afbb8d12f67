"""Images of any size through networks that halve: pad, run, crop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def of_any_size(
    run: Callable[[torch.Tensor], torch.Tensor],
    image: torch.Tensor,
    multiple: int | Sequence[int],
    *,
    least: int = 0,
) -> torch.Tensor:
    """Run a network that needs sizes of a certain multiple on an image of any size.

    Args:
        run: ``(B, C, *P) -> (B, K, *P)`` for sizes P that are multiples.
        image: ``(B, C, *S)``, two or three spatial axes; padded at the ends by repeating its border.
        multiple: of which the sizes must be, for all axes or one per axis of S.
        least: size in voxels that every axis must have at least; itself such a multiple.

    Returns:
        ``(B, K, *S)``: the result without its padding.
    """
    import torch.nn.functional as F

    shape = image.shape[2:]
    multiples = [multiple] * len(shape) if isinstance(multiple, int) else multiple
    padding: list[int] = []
    for n, m in zip(reversed(shape), reversed(multiples), strict=True):  # torch counts axes from the last one
        padding += [0, max(least, -(-n // m) * m) - n]
    padded = F.pad(image, padding, mode="replicate") if any(padding) else image
    inside: tuple[Any, ...] = (..., *(slice(0, n) for n in shape))
    return run(padded)[inside]
