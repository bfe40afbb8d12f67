"""The operators of the area-constrained weighted total variation, on batches ``(B, *S)`` of any dimension and device.

Float32 and float64 throughout. The proximal operators that the paper prints in section 2.2 are fused in
``splitting.py``; they stand one by one in the tests, which hold the two against each other.

Source: Lambert, Le Guyader, Petitjean, ISBI 2021, 10.1109/ISBI48211.2021.9434088.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch

NEWTON_STEPS = 60
"""Bound on the steps of ``project_feasible``; about five are needed, each bisection halves the bracket."""


def gradient(u: torch.Tensor) -> torch.Tensor:
    """Return forward differences, zero at the last voxel of each axis.

    Args:
        u: ``(B, *S)``.

    Returns:
        ``(B, d, *S)``, d = number of axes of S.
    """
    z = u.new_zeros((u.shape[0], u.dim() - 1, *u.shape[1:]))
    for axis in range(u.dim() - 1):
        length = u.shape[axis + 1] - 1
        difference = u.narrow(axis + 1, 1, length) - u.narrow(axis + 1, 0, length)
        z[:, axis].narrow(axis + 1, 0, length).copy_(difference)
    return z


def add_adjoint(out: torch.Tensor, parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Add the adjoint of the gradient, component by component ``(B, *S)``, to ``out`` in place, and return it."""
    for axis, part in enumerate(parts, start=1):
        length = out.shape[axis] - 1
        inner = part.narrow(axis, 0, length)
        out.narrow(axis, 0, length).sub_(inner)
        out.narrow(axis, 1, length).add_(inner)
    return out


def weighted_total_variation(u: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the isotropic weighted total variation ``sum_x g(x) |grad u(x)|`` of each sample.

    Args:
        u: ``(B, *S)``.
        weight: g, ``(B, *S)`` or broadcastable to it, not negative.

    Returns:
        ``(B,)``.
    """
    length: torch.Tensor = torch.linalg.vector_norm(gradient(u), dim=1)
    return (weight * length).flatten(1).sum(1)


def edge_detector(mask: torch.Tensor, beta: float) -> torch.Tensor:
    """Return the weight ``g = 1 / (1 + beta |grad y|^2)``: 1 away from edges of the mask, small on them.

    Args:
        mask: y, ``(B, *S)``, any dtype; boolean and integer masks become float32.
        beta: how much cheaper an edge of the mask is, from 0.
    """
    values = mask if mask.is_floating_point() else mask.float()
    weight: torch.Tensor = 1 / (1 + beta * gradient(values).square().sum(1))
    return weight


def solve_neumann_into(out: torch.Tensor, right: torch.Tensor, spare: torch.Tensor) -> torch.Tensor:
    """Write ``(I + grad^T grad)^-1 right`` into ``out`` and return it; ``right`` and ``spare`` are overwritten.

    The system is diagonal under the DCT-II of every axis: SciPy's fast transform on the CPU, products with cosine
    matrices elsewhere; each is the faster one there.

    Args:
        out, right, spare: three different contiguous tensors ``(B, *S)``.
    """
    solve = solve_by_fast_transform if right.device.type == "cpu" else solve_by_matrices
    return solve(out, right, spare)


def solve_by_fast_transform(out: torch.Tensor, right: torch.Tensor, spare: torch.Tensor) -> torch.Tensor:
    """Carry out ``solve_neumann_into`` by ``scipy.fft.dctn``; CPU only, without copying to or from torch."""
    from scipy import fft

    axes = tuple(range(1, right.dim()))
    spectrum = fft.dctn(right.numpy(), axes=axes, norm="ortho", overwrite_x=True)
    spectrum *= _inverse_spectrum(tuple(right.shape[1:]), right.dtype, right.device).numpy()
    return out.copy_(torch.from_numpy(fft.idctn(spectrum, axes=axes, norm="ortho", overwrite_x=True)))


def solve_by_matrices(out: torch.Tensor, right: torch.Tensor, spare: torch.Tensor) -> torch.Tensor:
    """Carry out ``solve_neumann_into`` by products with cached orthonormal matrices, axis by axis; any device."""
    shape = tuple(right.shape[1:])
    bases = [dct_basis(n, right.dtype, right.device) for n in shape]
    source, target = right, spare
    for axis, basis in enumerate(bases):
        _transform(basis, source, target, axis)
        source, target = target, source
    source.mul_(_inverse_spectrum(shape, right.dtype, right.device))
    for axis, basis in enumerate(bases):
        last = axis == len(bases) - 1
        _transform(basis.T, source, out if last else target, axis)
        source, target = target, source
    return out


@lru_cache(maxsize=32)
def dct_basis(n: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return the orthonormal DCT-II matrix ``(n, n)``, row k the k-th cosine; cached by size, dtype and device."""
    place = (torch.arange(n, dtype=torch.float64) + 0.5) * math.pi / n
    basis = torch.cos(torch.arange(n, dtype=torch.float64)[:, None] * place) * math.sqrt(2 / n)
    basis[0] = math.sqrt(1 / n)
    return basis.to(dtype=dtype, device=device)


@lru_cache(maxsize=32)
def _inverse_spectrum(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return 1 / (1 + sum over axes of 2 - 2 cos(pi k / n)), shape S."""
    total = torch.ones(shape, dtype=torch.float64)
    for axis, n in enumerate(shape):
        values = 2 - 2 * torch.cos(torch.arange(n, dtype=torch.float64) * math.pi / n)
        total += values.view([-1 if index == axis else 1 for index in range(len(shape))])
    return (1 / total).to(dtype=dtype, device=device)


def _transform(basis: torch.Tensor, source: torch.Tensor, target: torch.Tensor, axis: int) -> None:
    """Multiply axis ``axis`` of S by a matrix: one product for the last axis, a batched one for the others."""
    n = basis.shape[0]
    if axis == source.dim() - 2:
        torch.mm(source.view(-1, n), basis.T, out=target.view(-1, n))
        return
    after = math.prod(source.shape[axis + 2 :])
    matrices = source.view(-1, n, after)
    torch.bmm(basis.expand(len(matrices), n, n), matrices, out=target.view(-1, n, after))


def project_feasible(
    values: torch.Tensor, area: torch.Tensor, upper: torch.Tensor | None = None, tolerance: float = 1e-6
) -> torch.Tensor:
    """Return the projection on ``{0 <= u <= upper, sum u = area}``: ``clip(values + shift, 0, upper)``.

    The sum is a nondecreasing piecewise linear function of the shift; its root is found by Newton's method, kept inside
    a bracket by bisection. The result is within the box exactly and within the area by ``tolerance`` times the number
    of voxels, or as near as the precision of the values allows.

    Args:
        values: ``(B, *S)``, finite.
        area: ``(B,)``, from 0 to the sum of the upper bounds.
        upper: ``(B, *S)`` of ones and zeros (0 where u must vanish), or None for 1 everywhere.
        tolerance: largest error of the area per voxel.
    """
    flat = values.flatten(1)
    top = None if upper is None else upper.to(values.dtype).flatten(1)
    goal, limit = area.to(flat)[:, None], tolerance * flat.shape[1]
    low, high = -flat.amax(1, keepdim=True), 1 - flat.amin(1, keepdim=True)  # all at 0, all at their upper bounds
    shift = torch.zeros_like(low)
    moved, result = torch.empty_like(flat), torch.empty_like(flat)
    for _ in range(NEWTON_STEPS):
        torch.add(flat, shift, out=moved)
        torch.clamp(moved, 0, 1, out=result)
        if top is not None:
            result.mul_(top)
        excess = result.sum(1, keepdim=True) - goal
        if bool((excess.abs() <= limit).all()):
            break
        high, low = torch.where(excess > 0, shift, high), torch.where(excess <= 0, shift, low)
        slope = (moved == result).sum(1, keepdim=True)  # voxels inside the box
        newton = shift - excess / slope.clamp_min(1)
        inside = (slope > 0) & (newton > low) & (newton < high)
        shift = torch.where(inside, newton, (low + high) / 2)
    return result.view_as(values)
