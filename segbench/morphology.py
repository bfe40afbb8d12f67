"""Grey-value morphology on tensors: what priors on thin, connected or boxed structures are made of.

Conventions: maps ``(B, K, *S)`` with two or three spatial axes, floating; each channel by itself. Neighbourhoods have
radius 1: ``erode`` looks along the axes (a cross: 4 or 6 neighbours), ``dilate`` at all neighbours (a box: 8 or 26).
What lies beyond the edge of a map does not count: it is neither foreground nor background. Gradients go to the one
neighbour that decides; of equal ones to the voxel itself first, then to the one before it.

``axes`` are the spatial axes along which there are neighbours, counted from 0. Of thick slices the neighbours above and
below are no neighbours: ``near_axes`` says which axes count.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

THICK = 2.0
"""How much larger than the smallest a voxel's side may be before the voxels along it are no neighbours."""


def near_axes(spacing: torch.Tensor | Sequence[float], thick: float = THICK) -> tuple[int, ...]:
    """Return the axes along which voxels are neighbours: those whose step is at most ``thick`` times the smallest.

    Args:
        spacing: mm per axis ``(dims,)``, or ``(B, dims)`` of samples, of which the coarsest decides for each axis.
        thick: 2 makes a 3 x 3 x 3 neighbourhood 1 x 3 x 3 where slices are more than two pixels apart.

    Raises:
        ValueError: if a side is not positive.

    >>> near_axes([5.0, 1.0, 1.0])
    (1, 2)
    """
    sides = torch.as_tensor(spacing, dtype=torch.float64).reshape(-1, torch.as_tensor(spacing).shape[-1])
    if not bool((sides > 0).all()):
        raise ValueError(f"expected positive spacings in mm, found {sides.tolist()}.")
    relative = (sides / sides.min(dim=1, keepdim=True).values).amax(dim=0)
    return tuple(axis for axis, ratio in enumerate(relative.tolist()) if ratio <= thick * (1 + 1e-6))


def erode(maps: torch.Tensor, axes: Sequence[int] | None = None) -> torch.Tensor:
    """Return the smallest value of each voxel and its neighbours along ``axes``: an erosion with a cross.

    Args:
        maps: ``(B, K, *S)``.
        axes: spatial axes with neighbours; None = all.

    >>> erode(torch.tensor([[[[0.0, 1.0, 1.0, 1.0]]]]))
    tensor([[[[0., 0., 1., 1.]]]])
    """
    return _extreme(maps, _cross(_chosen(maps, axes)), False)


def dilate(maps: torch.Tensor, axes: Sequence[int] | None = None) -> torch.Tensor:
    """Return the largest value of each voxel and all its neighbours: a dilation with a box.

    Args:
        maps: ``(B, K, *S)``.
        axes: spatial axes with neighbours; None = all.

    >>> dilate(torch.tensor([[[[0.0, 0.0, 1.0, 0.0]]]]))
    tensor([[[[0., 1., 1., 1.]]]])
    """
    for axis in _chosen(maps, axes):  # a box is one line after the other
        maps = _extreme(maps, _cross((axis,)), True)
    return maps


def opening(maps: torch.Tensor, axes: Sequence[int] | None = None) -> torch.Tensor:
    """Return the dilation of the erosion: what is thinner than three voxels is gone.

    Args:
        maps: ``(B, K, *S)``.
        axes: spatial axes with neighbours; None = all.
    """
    return dilate(erode(maps, axes), axes)


def soft_skeleton(
    maps: torch.Tensor, iterations: int, axes: Sequence[int] | None = None, *, save_memory: bool = True
) -> torch.Tensor:
    """Return the soft skeleton of maps in [0, 1].

    Equation: ``s = relu(x - open x)``; ``iterations`` times ``x <- erode x``, ``d = relu(x - open x)``,
    ``s <- s + relu(d - s d)``. The opening of one step is made from the erosion of the next.

    A structure that ``iterations`` erosions do not wear away has no skeleton at its core: a tube of radius r needs at
    least r of them. The skeleton of a mask in one piece may come in several pieces and thicker than a voxel.

    Args:
        maps: ``(B, K, *S)``, probabilities or masks.
        iterations: at least 0.
        axes: spatial axes with neighbours; None = all.
        save_memory: keep two maps per iteration for the gradient and make the others again.

    Source: Shit et al. 2021, 10.1109/CVPR46437.2021.01629, algorithm 1.
    Differences: none in value; neighbourhoods may leave out an axis.

    Raises:
        ValueError: if ``iterations`` is negative.
    """
    if iterations < 0:
        raise ValueError(f"expected at least 0 iterations, found {iterations}.")
    chosen = _chosen(maps, axes)
    skeleton = torch.zeros_like(maps)
    kept = save_memory and torch.is_grad_enabled() and maps.requires_grad
    for _ in range(iterations + 1):
        eroded = erode(maps, chosen)
        if kept:
            skeleton = checkpoint(_grow, skeleton, maps, eroded, chosen, use_reentrant=False, preserve_rng_state=False)
        else:
            skeleton = _grow(skeleton, maps, eroded, chosen)
        maps = eroded
    return skeleton


def _grow(skeleton: torch.Tensor, maps: torch.Tensor, eroded: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    """Add to a soft skeleton what the opening of maps takes away from them."""
    thin = torch.relu(maps - dilate(eroded, axes))
    return skeleton + torch.relu(thin - skeleton * thin)


def line_sums(maps: torch.Tensor, axis: int, width: int = 1) -> torch.Tensor:
    """Return the sums over every ``width`` neighbouring lines (2D) or planes (3D) across an axis.

    Args:
        maps: ``(B, K, *S)``.
        axis: spatial axis along which the lines follow each other, from 0.
        width: lines summed together, 1 to S[axis].

    Returns:
        ``(B, K, S[axis] - width + 1)``; entry i sums the lines i to i + width - 1.

    Raises:
        ValueError: if there are fewer than ``width`` lines.

    >>> line_sums(torch.tensor([[[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]]), axis=0, width=2)
    tensor([[[10., 18.]]])
    """
    length = maps.shape[2:][axis]
    if not 1 <= width <= length:
        raise ValueError(f"expected a width from 1 to the {length} lines along axis {axis}, found {width}.")
    lines = maps.movedim(2 + axis, 2).flatten(3).sum(3)
    return lines.unfold(2, width, 1).sum(3)


def _chosen(maps: torch.Tensor, axes: Sequence[int] | None) -> tuple[int, ...]:
    dims = maps.ndim - 2
    if dims not in (2, 3):
        raise ValueError(f"expected maps (B, K, *S) with two or three spatial axes, found {tuple(maps.shape)}.")
    if axes is None:
        return tuple(range(dims))
    if not set(axes) <= set(range(dims)) or len(set(axes)) < len(axes):
        raise ValueError(f"expected different axes from 0 to {dims - 1}, found {tuple(axes)}.")
    return tuple(axes)


@lru_cache(maxsize=16)
def _cross(axes: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Return the neighbours along axes as (axis, step)."""
    return tuple(itertools.product(axes, (-1, 1)))


def _extreme(maps: torch.Tensor, neighbours: tuple[tuple[int, int], ...], largest: bool) -> torch.Tensor:
    result: torch.Tensor = _Extreme.apply(maps, neighbours, largest)  # type: ignore[no-untyped-call]
    return result


def plain_extreme(maps: torch.Tensor, neighbours: Sequence[tuple[int, int]], largest: bool) -> torch.Tensor:
    """Return what ``_Extreme`` computes, in plain operations; for tests and for readers."""
    fill = -torch.inf if largest else torch.inf
    shifted = [maps]
    for axis, step in neighbours:
        moved = torch.full_like(maps, fill)
        here, there = _pair(axis, step)
        moved[here] = maps[there]
        shifted.append(moved)
    stacked = torch.stack(shifted)
    return stacked.max(0).values if largest else stacked.min(0).values


class _Extreme(torch.autograd.Function):
    """The largest or smallest value of each voxel and some neighbours; see ``plain_extreme``."""

    @staticmethod
    def forward(ctx: Any, maps: torch.Tensor, neighbours: tuple[tuple[int, int], ...], largest: bool) -> torch.Tensor:
        choose = torch.maximum if largest else torch.minimum
        result = maps.clone()
        for axis, step in neighbours:
            here, there = _pair(axis, step)
            choose(result[here], maps[there], out=result[here])
        ctx.save_for_backward(maps, result)
        ctx.neighbours = neighbours
        return result

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        maps, result = ctx.saved_tensors
        decided = maps == result
        given = gradient * decided
        left = gradient - given
        for axis, step in ctx.neighbours:
            here, there = _pair(axis, step)
            part = left[here] * (maps[there] == result[here])
            given[there] += part
            left[here] -= part
        return given, None, None


def _pair(axis: int, step: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return where a voxel has this neighbour, and where the neighbours are."""
    ahead = (slice(None),) * (2 + axis)
    first, last = (*ahead, slice(None, -1)), (*ahead, slice(1, None))
    return (first, last) if step > 0 else (last, first)
