"""From numbers to constraints: what a soft segmentation must satisfy, given a few numbers per class and sample.

Numbers are a tensor ``(B, K, C)``, NaN where nothing is known; this is all that is ever kept of a truth. The columns
are those of ``describe``; the first one is always the volume, which says whether a class is there at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from segbench import DataInvalid
from segbench_shape_descriptors.descriptors import Shape, Spacing, describe
from segbench_shape_descriptors.layout import Column, columns
from segbench_shape_descriptors.terms import LEAST_DIVISOR, Expression, Rule, Term, value_of

_LEAST_SHARE = 0.05
"""Share of the sample that a class counts as at least, where constraints are divided by its size."""


def summarise(
    target: torch.Tensor, labelled: torch.Tensor, labels: int, descriptors: Sequence[str], spacing: Spacing = None
) -> torch.Tensor:
    """Return the numbers of hard segmentations: the only function that looks at a target.

    Args:
        target: int64 ``(B, *S)``; unknown voxels (-1) belong to no class but the background.
        labelled: bool ``(B,)``; nothing is known of the others, nor of samples without any known voxel.
        labels: K.
        descriptors: ``volume`` first.
        spacing: see ``volume``.

    Returns:
        float64 ``(B, K, C)`` without gradient. Of a class that is absent only the volume, 0, is known.
    """
    with torch.no_grad():
        small = torch.int16 if labels < 2**15 else target.dtype  # comparing is a matter of bytes
        values = torch.arange(labels, device=target.device, dtype=small).view(1, -1, *[1] * (target.ndim - 1))
        masks = (target.clamp(min=0).to(small)[:, None] == values).float()
        numbers = describe(masks, descriptors, spacing)
        known = labelled & (target >= 0).flatten(1).any(1)
        volumes, others = numbers[:, :, :1], numbers[:, :, 1:]
        numbers = torch.cat([volumes, others.masked_fill(volumes == 0, torch.nan)], dim=2)
        return numbers.masked_fill(~known.view(-1, 1, 1), torch.nan)


@dataclass(frozen=True)
class Bounds:
    """How numbers become constraints.

    Attributes:
        descriptors: those that are constrained.
        margin: relative margin; absolute for the components of the orientation, which have no scale.
        distance_margin: absolute margin of centroid and spread, voxels or mm; 0 = the relative one.
        background: whether class 0 is constrained as well.
        rules: constraints by hand.
        relative: whether z of boxes is divided by what the size of the class makes of it, see ``_scale``.
    """

    descriptors: tuple[str, ...]
    margin: float
    distance_margin: float = 0.0
    background: bool = False
    rules: tuple[Rule, ...] = ()
    relative: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Descriptors that the numbers need: the volume first, whether or not it is constrained."""
        return ("volume", *(name for name in self.descriptors if name != "volume"))

    def _reach(self, name: str, value: torch.Tensor) -> torch.Tensor:
        if name == "orientation":
            return torch.full_like(value, self.margin)
        if self.distance_margin > 0 and name in ("centroid", "spread"):
            return torch.full_like(value, self.distance_margin)
        return self.margin * value.abs()

    def residuals(self, shape: Shape, numbers: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Return z and which of it counts, by descriptor and for ``rules``; ``z <= 0`` is what is asked for.

        Equation: ``z = (tau - reach) - f`` and ``z = f - (tau + reach)``, reach = margin |tau|.

        Args:
            shape: of the prediction.
            numbers: ``(B, K, C)`` in the columns of ``names``.

        Returns:
            name -> (z ``(B, M)``, active bool ``(B, M)``). z of constraints that do not count is finite.
        """
        layout = columns(self.names, shape.dims)
        found = {name: self._box(name, shape, numbers, layout) for name in self.descriptors}
        if self.rules:
            found["rules"] = self._rules(shape, numbers)
        return found

    def _box(
        self, name: str, shape: Shape, numbers: torch.Tensor, layout: Sequence[Column]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        first = 0 if self.background else 1
        own = [index for index, column in enumerate(layout) if column.descriptor == name]
        values, truth = shape.by_name(name)[:, first:], numbers[:, first:, own[0] : own[-1] + 1]
        known = ~truth.isnan()
        truth = torch.where(known, truth, torch.zeros_like(truth))
        reach = self._reach(name, truth)
        z = torch.stack([truth - reach - values, values - truth - reach], dim=3)  # (B, K, c, 2)
        if self.relative:
            z = z / self._scale(name, shape, numbers[:, first:, :1])[..., None]
        # volumes cannot be negative: a lower bound of 0 would only push absent classes in
        below = known & (truth > 0) if name == "volume" else known
        return z.flatten(1), torch.stack([below, known], dim=3).flatten(1)

    def _scale(self, name: str, shape: Shape, volumes: torch.Tensor) -> torch.Tensor:
        """Return V for a volume, V^(1/d) for a distance and so on, V the class's true volume, ``(B, K, 1)``.

        So the constraints of large and small classes, of coarse and fine grids weigh the same. An absent or tiny class
        counts as 5 % of the sample, or its slices would outweigh all others.
        """
        least = _LEAST_SHARE * shape.by_name("volume").detach().sum(1, keepdim=True)
        size = torch.maximum(volumes.nan_to_num(0.0), least) ** (1 / shape.dims)
        return size ** _power(name, shape.dims)

    def _rules(self, shape: Shape, numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        parts: list[torch.Tensor] = []
        active: list[torch.Tensor] = []
        for rule in self.rules:
            left, right = evaluate(rule.left, shape), evaluate(rule.right, shape)
            parts.append(_wide(torch.as_tensor(left - right), len(numbers)))
            if rule.equal:
                reach = self._reach(rule.function, _wide(torch.as_tensor(right), len(numbers)))
                parts[-1:] = [parts[-1] - reach, -parts[-1] - reach]
            there = (numbers[:, sorted({term.label for term in rule.terms}), 0] > 0).all(1)
            active += [there[:, None].expand_as(part) for part in parts[len(active) :]]
        return torch.cat(parts, dim=1), torch.cat(active, dim=1)


def evaluate(expression: Expression, shape: Shape) -> torch.Tensor | float:
    """Return the value of an expression for every sample, ``(B, 1)``, ``(B, d)`` or a plain number."""

    def look_up(term: Term) -> torch.Tensor:
        if term.axis is not None and term.axis >= shape.dims:
            raise DataInvalid(f"{term.function}: expected an axis below {shape.dims}, found {term.axis}.")
        values = shape.by_name(term.function)[:, term.label]
        return values if term.axis is None else values[:, term.axis : term.axis + 1]

    value: torch.Tensor | float = value_of(expression, look_up, lambda left, right: left / _divisor(right))
    return value


def _divisor(value: torch.Tensor | float) -> torch.Tensor:
    """Return the divisor, kept away from 0."""
    value = torch.as_tensor(value, dtype=torch.float64) if isinstance(value, float) else value
    return torch.where(value < 0, value.clamp(max=-LEAST_DIVISOR), value.clamp(min=LEAST_DIVISOR))


def _power(name: str, dims: int) -> int:
    """Return the power of a length that a descriptor is."""
    if name.startswith("moment_"):
        return sum(int(order) for order in name.split("_")[1:])
    return {"volume": dims, "length": dims - 1, "centroid": 1, "spread": 1}.get(name, 0)


def _wide(value: torch.Tensor, samples: int) -> torch.Tensor:
    return value.expand(samples, -1) if value.ndim == 2 else value.expand(samples, 1)
