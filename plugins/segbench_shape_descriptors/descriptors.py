"""Shape descriptors of soft segmentations, differentiable: a few numbers per class instead of a map.

Volume, centroid, spread and central moments need only sums of the probabilities over rows, columns and slices: two
passes over the map give these marginals, and everything after works on vectors, in double precision. The length is
``sum_e |p(x) - p(x + e)| = sum_x p(x) G(x)`` with G the sum of the signs at x, and G is its gradient already; both are
made together with shifted slices, without a matrix. One autograd function holds them all and writes one gradient.

Axes are those of the tensor. Without a spacing, positions count voxels from the centre of the first one; with one, they
are mm from there, volumes mm2 or mm3, lengths mm (2D) or mm2 (3D).

Source: Kervadec et al., Beyond pixel-wise supervision for segmentation: A few global shape descriptors might be
surprisingly good!, MIDL 2021, section 2.2. Elongation and orientation: as ITK and regionprops define them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

import torch

from segbench_shape_descriptors.layout import DESCRIPTORS
from segbench_shape_descriptors.neighbours import offsets, regions, weight_table

Spacing = torch.Tensor | Sequence[float] | None
LEAST = 1e-3
"""Volume in voxels below which a class has no shape; keeps the quotients and their gradients finite."""


def describe(probabilities: torch.Tensor, descriptors: Sequence[str], spacing: Spacing = None) -> torch.Tensor:
    """Return several descriptors at once.

    Args:
        probabilities: ``(B, K, *S)``, two or three spatial axes.
        descriptors: names out of ``DESCRIPTORS`` or ``moment_*``.
        spacing: see ``volume``.

    Returns:
        float64 ``(B, K, C)``, in the order of ``columns``. A central moment is divided by the volume; the orientation
        is the upper triangle of u u^T, u its direction, so that u and -u are the same.
    """
    shape = Shape(probabilities, spacing, length="length" in descriptors)
    return torch.cat([shape.by_name(name) for name in descriptors], dim=2)


def volume(probabilities: torch.Tensor, spacing: Spacing = None) -> torch.Tensor:
    """Return V = sum_x p(x).

    Args:
        probabilities: ``(B, K, *S)``, two or three spatial axes.
        spacing: None = voxels; mm per axis, ``(d,)`` for all samples or ``(B, d)``.

    Returns:
        float64 ``(B, K, 1)``, voxels, mm2 or mm3.
    """
    return Shape(probabilities, spacing).volume


def centroid(probabilities: torch.Tensor, spacing: Spacing = None) -> torch.Tensor:
    """Return C = sum_x x p(x) / V per axis, ``(B, K, d)``, voxels or mm; tends to 0 where V does. See ``volume``."""
    return Shape(probabilities, spacing).centroid


def spread(probabilities: torch.Tensor, spacing: Spacing = None) -> torch.Tensor:
    """Return D = sqrt(sum_x (x - C)^2 p(x) / V) per axis, ``(B, K, d)``, voxels or mm. See ``volume``.

    The paper calls it the average distance to the centroid; it is the standard deviation of the coordinates.
    """
    return Shape(probabilities, spacing).spread


def length(probabilities: torch.Tensor, spacing: Spacing = None) -> torch.Tensor:
    """Return L = sum over unordered neighbour pairs of w |p(x) - p(x')|, ``(B, K, 1)``. See ``volume``.

    8-neighbourhood in 2D, 26 in 3D, no wrap at the borders. w = 1 without a spacing, as in the paper; with one, the
    weights of ``neighbours.weights_of``, and L estimates the perimeter in mm (planes, volumes of one slice) or the
    surface in mm2.

    Differences: the authors' published code squares the differences, which is the same on binary maps.
    """
    return Shape(probabilities, spacing, length=True).length


def central_moment(probabilities: torch.Tensor, orders: Sequence[int], spacing: Spacing = None) -> torch.Tensor:
    """Return sum_x prod_a (x_a - C_a)^orders_a p(x), ``(B, K, 1)``, any whole order per axis. See ``volume``.

    The value is in double precision; the gradient has the precision, and the range, of the probabilities.
    """
    return Shape(probabilities, spacing).central_moment(orders)


def elongation(probabilities: torch.Tensor, spacing: Spacing = None) -> torch.Tensor:
    """Return sqrt(largest / second largest principal moment), ``(B, K, 1)``, from 1 (round). See ``volume``.

    A voxel has an extent of its own (its moment is spacing^2 / 12), so that a line of voxels is not infinitely long.
    """
    return Shape(probabilities, spacing).elongation


def orientation(probabilities: torch.Tensor, spacing: Spacing = None) -> torch.Tensor:
    """Return the unit vector along the longest principal axis, ``(B, K, d)``; its largest component is positive.

    The direction of a round shape means nothing, though its value and gradient are finite. See ``volume``.
    """
    return Shape(probabilities, spacing).orientation


def ratio(descriptor: torch.Tensor, first: int, second: int, least: float = 1e-2) -> torch.Tensor:
    """Return f(first class) / f(second class), ``(B, d)``; divisors below ``least`` count as ``least``.

    Args:
        descriptor: ``(B, K, d)``, from one of the functions above.
        first, second: classes.
        least: in the unit of the descriptor.
    """
    return descriptor[:, first] / descriptor[:, second].clamp(min=least)


class Shape:
    """The soft shapes of a batch; each descriptor is computed once, on demand.

    Args:
        probabilities, spacing: see ``volume``.
        length: whether the length will be asked for; it then shares its gradient with the rest, which is faster.
    """

    def __init__(self, probabilities: torch.Tensor, spacing: Spacing = None, *, length: bool = False) -> None:
        self.dims = probabilities.ndim - 2
        if self.dims not in (2, 3):
            raise ValueError(
                f"probabilities: expected (B, K, *S) with 2 or 3 axes, found {tuple(probabilities.shape)}."
            )
        if not probabilities.numel():
            raise ValueError(f"probabilities: expected at least one voxel, found {tuple(probabilities.shape)}.")
        exact = probabilities.dtype in (torch.float32, torch.float64)
        self.probabilities = (probabilities if exact else probabilities.float()).contiguous()
        self.exact = torch.float32 if probabilities.device.type == "mps" else torch.float64
        self.spacing = self._spacing(spacing)  # (B or 1, d), or None
        self._with_length = length
        weights = self._weights() if length and self.spacing is not None else None
        found: tuple[torch.Tensor, ...]
        found = _Sums.apply(self.probabilities, weights, length)  # type: ignore[no-untyped-call]
        self._length, self._marginals = found[0], [value.to(self.exact) for value in found[1:]]

    def _spacing(self, spacing: Spacing) -> torch.Tensor | None:
        if spacing is None:
            return None
        table = torch.as_tensor(spacing, dtype=self.exact, device=self.probabilities.device)
        if table.shape not in ((self.dims,), (1, self.dims), (len(self.probabilities), self.dims)):
            raise ValueError(f"spacing: expected mm for each of {self.dims} axes, found shape {tuple(table.shape)}.")
        if not (torch.isfinite(table) & (table > 0)).all():
            raise ValueError(f"spacing: expected positive mm, found {table.tolist()}.")
        return table.reshape(-1, self.dims)

    def _weights(self) -> torch.Tensor:
        """Return the weight of each neighbour pair in mm or mm2, ``(M, B or 1)``."""
        spacings = [] if self.spacing is None else self.spacing.tolist()
        return self.probabilities.new_tensor(weight_table(spacings, self.probabilities.shape[2:])).T

    def by_name(self, name: str) -> torch.Tensor:
        """Return a descriptor as ``describe`` gives it."""
        if name.startswith("moment_"):
            return self.central_moment([int(order) for order in name.split("_")[1:]]) / self._safe_volume
        if name not in DESCRIPTORS:
            raise ValueError(f"descriptors: expected some out of {', '.join(DESCRIPTORS)}, found {name}.")
        if name == "orientation":
            rows, cols = torch.triu_indices(self.dims, self.dims)
            return self.orientation[..., rows] * self.orientation[..., cols]
        return cast("torch.Tensor", getattr(self, name))

    @cached_property
    def _voxel(self) -> torch.Tensor | float:
        """Area or volume of a voxel, ``(B or 1, 1, 1)``."""
        return 1.0 if self.spacing is None else self.spacing.prod(1).view(-1, 1, 1)

    @cached_property
    def _count(self) -> torch.Tensor:
        return self._marginals[0].sum(2, keepdim=True)  # (B, K, 1)

    @cached_property
    def volume(self) -> torch.Tensor:
        """See the function of this name."""
        return self._count * self._voxel

    @cached_property
    def _safe_count(self) -> torch.Tensor:
        return self._count.clamp(min=LEAST)

    @cached_property
    def _safe_volume(self) -> torch.Tensor:
        return self._safe_count * self._voxel

    @cached_property
    def length(self) -> torch.Tensor:
        """See the function of this name."""
        if not self._with_length:
            return Shape(self.probabilities, self.spacing, length=True).length
        return self._length.to(self.exact)[:, :, None]

    def _positions(self, axis: int) -> torch.Tensor:
        """Return the coordinates along an axis, ``(B or 1, 1, n)``."""
        points = torch.arange(self.probabilities.shape[axis + 2], device=self._count.device, dtype=self.exact)
        return points.view(1, 1, -1) * (1.0 if self.spacing is None else self.spacing[:, axis].view(-1, 1, 1))

    @cached_property
    def centroid(self) -> torch.Tensor:
        """See the function of this name."""
        sums = [(self._positions(axis) * self._marginals[axis]).sum(2) for axis in range(self.dims)]
        return torch.stack(sums, dim=2) / self._safe_count

    def _centred(self, axis: int) -> torch.Tensor:
        """Return x_a - C_a, ``(B, K, n)``."""
        return self._positions(axis) - self.centroid[:, :, axis : axis + 1]

    @cached_property
    def _variance(self) -> torch.Tensor:
        sums = [(self._centred(axis).square() * self._marginals[axis]).sum(2) for axis in range(self.dims)]
        return torch.stack(sums, dim=2) / self._safe_count  # (B, K, d)

    @cached_property
    def spread(self) -> torch.Tensor:
        """See the function of this name."""
        thin = self._variance < 1e-12
        return torch.where(thin, self._variance * 0, torch.where(thin, 1.0, self._variance).sqrt())

    def central_moment(self, orders: Sequence[int]) -> torch.Tensor:
        """See the function of this name."""
        if len(orders) != self.dims or any(order < 0 or order != int(order) for order in orders):
            raise ValueError(f"orders: expected {self.dims} whole numbers from 0, found {list(orders)}.")
        return self._product_sum([self._centred(axis) ** order for axis, order in enumerate(orders)]) * self._voxel

    def _product_sum(self, factors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return sum_x p(x) prod_a f_a(x_a), ``(B, K, 1)``, as matrix products, one axis after the other.

        High powers leave single precision: each factor is divided by a power of two, which changes no digit.
        """
        rest, size = self.probabilities, torch.ones((), dtype=self.exact, device=self.probabilities.device)
        for factor in reversed(factors):
            largest = factor.detach().abs().amax(2, keepdim=True)
            power = torch.where(largest > 0, largest, 1.0).log2().floor().exp2()
            flat = rest.reshape(*rest.shape[:2], -1, rest.shape[-1])
            rest = (flat @ (factor / power).to(rest.dtype)[..., None]).reshape(rest.shape[:-1])
            size = size * power
        return rest[:, :, None].to(self.exact) * size

    @cached_property
    def _covariance(self) -> torch.Tensor:
        """Second central moments over V, voxel extent included, ``(B, K, d, d)``."""
        ones = [torch.ones_like(self._centred(axis)) for axis in range(self.dims)]
        rows: list[list[torch.Tensor]] = []
        for first in range(self.dims):
            row = []
            for second in range(self.dims):
                if first == second:
                    extent = 1.0 if self.spacing is None else self.spacing[:, first].view(-1, 1).square()
                    row.append(self._variance[:, :, first] + extent / 12)
                elif first > second:
                    row.append(rows[second][first])
                else:
                    factors = [self._centred(a) if a in (first, second) else ones[a] for a in range(self.dims)]
                    row.append((self._product_sum(factors) / self._safe_count)[:, :, 0])
            rows.append(row)
        covariance = torch.stack([torch.stack(row, dim=2) for row in rows], dim=2)
        return torch.where(self._count[..., None] < LEAST, covariance.detach(), covariance)

    @cached_property
    def elongation(self) -> torch.Tensor:
        """See the function of this name."""
        moments = torch.linalg.eigvalsh(self._covariance)  # ascending
        found: torch.Tensor = (moments[..., -1:] / moments[..., -2:-1].clamp(min=LEAST)).sqrt()
        return found

    @cached_property
    def orientation(self) -> torch.Tensor:
        """See the function of this name."""
        covariance = self._covariance
        size = covariance.diagonal(dim1=2, dim2=3).sum(2)
        # round shapes have equal moments, where eigenvectors have no derivative: tell the axes apart a little
        apart = torch.linspace(1e-4, 0, self.dims, device=size.device, dtype=size.dtype)
        _, vectors = torch.linalg.eigh(covariance + torch.diag_embed(size[..., None] * apart))
        longest = vectors[..., -1]
        largest = longest.gather(2, longest.abs().argmax(2, keepdim=True))
        found: torch.Tensor = longest * torch.where(largest < 0, -1.0, 1.0)
        return found


class _Sums(torch.autograd.Function):
    """Length ``(B, K)`` and the marginals ``(B, K, n)`` of each axis, with one gradient for all."""

    @staticmethod
    def forward(
        ctx: Any, probabilities: torch.Tensor, weights: torch.Tensor | None, with_length: bool
    ) -> tuple[torch.Tensor, ...]:
        spatial = range(2, probabilities.ndim)
        signs, total = None, probabilities.new_zeros(probabilities.shape[:2])
        with torch.autocast(probabilities.device.type, enabled=False):
            if with_length:
                signs = _sign_sums(probabilities, weights)
                total = (probabilities * signs).sum(list(spatial))
            rows = probabilities.sum(-1)
            others = [[other for other in spatial[:-1] if other != axis] for axis in spatial[:-1]]
            marginals = [rows.sum(axes) if axes else rows for axes in others]
            marginals.append(probabilities.sum(list(spatial[:-1])))
        ctx.save_for_backward(signs)
        return total, *marginals

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, length: torch.Tensor, *marginals: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (signs,) = ctx.saved_tensors
        dims = len(marginals)
        spread_out = [
            value.view(*value.shape[:2], *[-1 if other == axis else 1 for other in range(dims)])
            for axis, value in enumerate(marginals)
        ]
        edges = spread_out[0]
        for value in spread_out[1:-1]:
            edges = edges + value
        if signs is None:
            return edges + spread_out[-1], None, None
        result = signs * length.view(*length.shape, *[1] * dims)
        return result.add_(edges).add_(spread_out[-1]), None, None


def _sign_sums(probabilities: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """Return G(x) = sum over neighbours x' of w sign(p(x) - p(x')), shaped like p; w = 1 without weights."""
    dims = probabilities.ndim - 2
    signs = torch.zeros_like(probabilities)
    for number, offset in enumerate(offsets(dims)):
        first, second = regions(offset)
        one: tuple[Any, ...] = (..., *first)
        two: tuple[Any, ...] = (..., *second)
        sign = (probabilities[one] - probabilities[two]).sign_()
        if weights is not None:
            sign *= weights[number].view(-1, *[1] * (dims + 1))
        signs[one] += sign
        signs[two] -= sign
    return signs


def angle(direction: torch.Tensor) -> torch.Tensor:
    """Return the angle of 2D directions ``(..., 2)`` against the first axis, radians in (-pi/2, pi/2]."""
    found = torch.atan2(direction[..., 1], direction[..., 0])
    return torch.where(found > math.pi / 2, found - math.pi, torch.where(found <= -math.pi / 2, found + math.pi, found))
