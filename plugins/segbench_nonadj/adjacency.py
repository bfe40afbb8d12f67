"""Soft adjacency of probability maps and the penalty on forbidden pairs, with gradients of their own.

Let B be the mean over a window (zero outside the image) and P the probabilities as a K x N matrix. The window is
symmetric, so B is its own adjoint, and ``A = P B(P)^T / (B N)`` has the gradient ``(G + G^T) B(P) / (B N)``: no
gradient is filtered. The penalty ``sum_F A_ij / |F|`` needs no A at all: with F symmetric it is the inner product of P
with ``F B(P)``, and ``F B(P)`` is, up to a factor, its gradient already.

Both walk over the image in slabs that fit the processor's cache: a slab is box-filtered by shift-and-add, multiplied
and forgotten, so that memory beyond the probabilities is one gradient.

Source: Ganaye et al., MICCAI 2018, 10.1007/978-3-030-00931-1_68.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

_SLAB = 2**19
"""Elements of a slab on the CPU: 2 MiB of float32; smaller ones wait too often where cores are shared."""


def soft_adjacency(probabilities: torch.Tensor, size: int | Sequence[int] = 3) -> torch.Tensor:
    """Return how much the labels touch one another in a soft segmentation.

    Equation: ``a_ij = (1 / (B N)) sum_x p_i(x) mean_{v in window} p_j(x + v)``, the centre included, zero outside.

    Args:
        probabilities: ``(B, K, *S)``, S of any dimension; contiguous or channels-last.
        size: voxels along an edge of the window, odd; one number or one per axis (1 = no neighbours along it).

    Returns:
        ``(K, K)``, symmetric, float32 (float64 for float64). Under bfloat16 autocast, and for bfloat16 input, the
        matrix product is taken in bfloat16.

    Raises:
        ValueError: if the window does not fit the tensor.

    Source: 10.1007/978-3-030-00931-1_68; normalised as in the authors' published code.
    """
    sizes = _window(probabilities, size)
    adjacency: torch.Tensor = _SoftAdjacency.apply(_dense(probabilities), sizes)  # type: ignore[no-untyped-call]
    return adjacency


def penalty(probabilities: torch.Tensor, forbidden: torch.Tensor, size: int | Sequence[int] = 3) -> torch.Tensor:
    """Return the mean soft adjacency of the forbidden pairs.

    Equation: ``sum_{(i, j) in F} a_ij / |F|``; 0 if nothing is forbidden.

    Args:
        probabilities: ``(B, K, *S)``.
        forbidden: bool ``(K, K)``, symmetric.
        size: see ``soft_adjacency``.

    Returns:
        A scalar, float32 (float64 for float64); about twice as fast as summing ``soft_adjacency``.
    """
    labels = probabilities.shape[1]
    if forbidden.shape != (labels, labels):
        raise ValueError(f"forbidden: expected a {(labels, labels)} matrix, found {tuple(forbidden.shape)}.")
    sizes = _window(probabilities, size)
    value: torch.Tensor = _Penalty.apply(_dense(probabilities), forbidden, sizes)  # type: ignore[no-untyped-call]
    return value


def _window(probabilities: torch.Tensor, size: int | Sequence[int]) -> tuple[int, ...]:
    axes = probabilities.ndim - 2
    sizes = (size,) * axes if isinstance(size, int) else tuple(size)
    if axes < 1 or len(sizes) != axes or any(edge < 1 or edge % 2 == 0 for edge in sizes):
        raise ValueError(
            f"size: expected an odd number, or one for each of {axes} axes, found {size!r} "
            f"for probabilities {tuple(probabilities.shape)}."
        )
    return sizes


def _dense(probabilities: torch.Tensor) -> torch.Tensor:
    """Return the tensor itself if it is contiguous or channels-last, else a contiguous copy."""
    if probabilities.is_contiguous() or probabilities.movedim(1, -1).is_contiguous():
        return probabilities
    return probabilities.contiguous()


class _Sample:
    """One sample ``(K, *S)`` walked in slabs, in the memory layout it has: labels first or labels last."""

    def __init__(self, sample: torch.Tensor, sizes: tuple[int, ...]) -> None:
        self.labels = sample.shape[0]
        swapped = sample.movedim(0, -1)
        self.last = swapped.is_contiguous() and not sample.is_contiguous()
        self.values = swapped if self.last else sample.contiguous()
        self.axis = 0 if self.last else 1
        self.sizes = sizes
        self.dtype = torch.float64 if sample.dtype == torch.float64 else torch.float32

    def rows(self, data: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Return a slab of data laid out as ``values`` as a matrix ``(K, n)``, without a copy."""
        part = data.narrow(self.axis, start, stop - start)
        return part.flatten(0, -2).T if self.last else part.flatten(1)

    def slabs(self) -> Iterator[tuple[int, int, torch.Tensor, torch.Tensor]]:
        """Yield ``(start, stop, window sums, spare)``; the last two are ``(K, n)``, reused by the next slab."""
        length = self.values.shape[self.axis]
        each = self.values.numel() // length
        step = length if self.values.is_cuda else min(length, max(4, _SLAB // each))
        buffers = [self.values.new_empty(each * step, dtype=self.dtype) for _ in range(2)]
        for start in range(0, length, step):
            stop = min(length, start + step)
            shape = list(self.values.shape)
            shape[self.axis] = stop - start
            views = [buffer[: each * (stop - start)].view(shape) for buffer in buffers]
            sums, spare = self._sums(start, views)
            yield start, stop, self.rows(sums, 0, stop - start), self.rows(spare, 0, stop - start)

    def _sums(self, start: int, views: list[torch.Tensor]) -> list[torch.Tensor]:
        """Box-filter rows ``start ..`` into the first of the views returned, one axis after the other."""
        target, spare = views
        source = self.values
        for number, size in enumerate(self.sizes):
            axis = self.axis + number
            first = start if number == 0 else 0
            if number and size == 1:
                continue
            target.copy_(source.narrow(axis, first, target.shape[axis]))
            for offset in range(1, size // 2 + 1):
                _add_shifted(target, source, axis, first + offset)
                _add_shifted(target, source, axis, first - offset)
            source, target, spare = target, spare, target
        return [source, target]


def _add_shifted(target: torch.Tensor, source: torch.Tensor, axis: int, start: int) -> None:
    """Add ``source[start + i]`` to ``target[i]`` along an axis wherever it exists."""
    low = max(0, -start)
    count = min(target.shape[axis], source.shape[axis] - start) - low
    if count > 0:
        target.narrow(axis, low, count).add_(source.narrow(axis, start + low, count))


def _product_dtype(probabilities: torch.Tensor) -> torch.dtype:
    """Return bfloat16 where autocast or the input asks for it, else float32 or float64 (float16 would overflow)."""
    device = probabilities.device.type
    if probabilities.dtype == torch.float64:
        return torch.float64
    automatic = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.bfloat16
    return torch.bfloat16 if automatic or probabilities.dtype == torch.bfloat16 else torch.float32


def _scale(probabilities: torch.Tensor, sizes: tuple[int, ...]) -> float:
    """Return 1 / (B N |window|)."""
    total = probabilities.numel() // probabilities.shape[1]
    for edge in sizes:
        total *= edge
    return 1.0 / max(total, 1)


def _multiply(matrix: torch.Tensor, sums: torch.Tensor, out: torch.Tensor) -> None:
    """Write ``matrix @ sums`` into out, ``(K, n)``, in the matrix's precision."""
    if matrix.dtype == sums.dtype == out.dtype:
        torch.mm(matrix, sums, out=out)
    else:
        out.copy_(matrix @ sums.to(matrix.dtype))


class _SoftAdjacency(torch.autograd.Function):
    """A = P B(P)^T; the backward pass filters P again, slab by slab, rather than keep B(P)."""

    @staticmethod
    def forward(ctx: Any, probabilities: torch.Tensor, sizes: tuple[int, ...]) -> torch.Tensor:
        product = _product_dtype(probabilities)
        exact = torch.float64 if product == torch.float64 else torch.float32
        labels = probabilities.shape[1]
        adjacency = probabilities.new_zeros((labels, labels), dtype=exact)
        with torch.autocast(probabilities.device.type, enabled=False):
            for values in probabilities:
                sample = _Sample(values, sizes)
                for start, stop, sums, _ in sample.slabs():
                    part = sample.rows(sample.values, start, stop)
                    adjacency += part.to(product) @ sums.to(product).T
        ctx.save_for_backward(probabilities)
        ctx.sizes, ctx.product = sizes, product
        return adjacency * _scale(probabilities, sizes)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (probabilities,) = ctx.saved_tensors
        matrix = (gradient + gradient.T) * _scale(probabilities, ctx.sizes)
        result = torch.empty_like(probabilities)
        with torch.autocast(probabilities.device.type, enabled=False):
            for values, out in zip(probabilities, result, strict=True):
                sample = _Sample(values, ctx.sizes)
                laid = out.movedim(0, -1) if sample.last else out
                for start, stop, sums, _ in sample.slabs():
                    _multiply(matrix.to(ctx.product), sums, sample.rows(laid, start, stop))
        return result, None


class _Penalty(torch.autograd.Function):
    """<P, F B(P)>; the gradient, twice F B(P), is made on the way and is all that is kept."""

    @staticmethod
    def forward(ctx: Any, probabilities: torch.Tensor, forbidden: torch.Tensor, sizes: tuple[int, ...]) -> torch.Tensor:
        product = _product_dtype(probabilities)
        exact = torch.float64 if product == torch.float64 else torch.float32
        scale = 2 * _scale(probabilities, sizes) / max(int(forbidden.sum()), 1)
        matrix = forbidden.to(device=probabilities.device, dtype=product) * scale
        gradient = torch.empty_like(probabilities) if ctx.needs_input_grad[0] else None
        value = probabilities.new_zeros((), dtype=exact)
        with torch.autocast(probabilities.device.type, enabled=False):
            for number, values in enumerate(probabilities):
                sample = _Sample(values, sizes)
                laid = None if gradient is None else gradient[number]
                laid = laid.movedim(0, -1) if laid is not None and sample.last else laid
                for start, stop, sums, spare in sample.slabs():
                    out = spare if laid is None or laid.dtype != exact else sample.rows(laid, start, stop)
                    _multiply(matrix, sums, out)
                    value += torch.mul(sample.rows(sample.values, start, stop), out, out=sums).sum()
                    if laid is not None and out is spare:
                        sample.rows(laid, start, stop).copy_(spare)
        ctx.save_for_backward(gradient)
        return value / 2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        return kept * gradient.to(kept.dtype), None, None
