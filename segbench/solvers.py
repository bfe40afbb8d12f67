"""From a constraint z <= 0 to a term that can be minimised: extended log-barrier, penalty, augmented Lagrangian.

All are computed in at least single precision, and value and gradient are finite for every finite z.
"""

from __future__ import annotations

import math

import torch

_SMALLEST = 1e-37
"""The boundary -1/t^2 is kept this far from 0, where single precision ends."""


def log_barrier(z: torch.Tensor, t: float) -> torch.Tensor:
    """Return the extended log-barrier of each constraint.

    Equation: ``-log(-z) / t`` if ``z <= -1/t^2``, else ``t z - log(1/t^2) / t + 1/t``. The branches join in value and
    slope (t) at ``-1/t^2``; below, the constraint is met and the term pushes gently inwards; above, the slope is t.

    Args:
        z: any shape; half precision is raised to float32.
        t: slope, positive; grows during training.

    Returns:
        Shape of z.

    Raises:
        ValueError: if t is not a positive number.

    Source: Kervadec et al., MIDL 2021, appendix A; Kervadec et al., arXiv 1904.04205.
    """
    if not (t > 0 and math.isfinite(t)):
        raise ValueError(f"t: expected a positive number, found {t}.")
    z = _at_least_float32(z)
    boundary = max(t**-2.0, _SMALLEST)
    inside = z <= -boundary
    # each branch sees harmless numbers where the other is taken: no NaN enters the gradient through `where`
    barrier = -torch.log(-torch.where(inside, z, -boundary)) / t
    line = t * (torch.where(inside, -boundary, z) + boundary) - math.log(boundary) / t
    return torch.where(inside, barrier, line)


def quadratic_penalty(z: torch.Tensor) -> torch.Tensor:
    """Return relu(z)^2, shape of z."""
    return _at_least_float32(z).clamp(min=0).square()


def augmented_lagrangian(z: torch.Tensor, multiplier: torch.Tensor, mu: float) -> torch.Tensor:
    """Return ``(relu(multiplier + mu z)^2 - multiplier^2) / (2 mu)``, shape of z.

    Args:
        z: constraints.
        multiplier: at least 0, shape of z, without gradient.
        mu: weight of the quadratic term, positive.

    Source: Rockafellar 1973, 10.1007/BF00934777; Nocedal and Wright, Numerical Optimization, section 17.4.
    """
    z = _at_least_float32(z)
    return ((multiplier + mu * z).clamp(min=0).square() - multiplier.square()) / (2 * mu)


def next_multiplier(z: torch.Tensor, multiplier: torch.Tensor, mu: float) -> torch.Tensor:
    """Return relu(multiplier + mu z), which is 0 for constraints that hold with room."""
    return (multiplier + mu * z.to(multiplier.dtype)).clamp(min=0)


def _at_least_float32(z: torch.Tensor) -> torch.Tensor:
    return z.float() if z.dtype in (torch.float16, torch.bfloat16) else z
