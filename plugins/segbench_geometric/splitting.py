"""The sub-problem of ADMM: area-constrained weighted total variation denoising by Douglas-Rachford splitting.

``min_u sum g |grad u| + mu/2 |u - p - w|^2  subject to  0 <= u <= 1, sum u = area``, with z = grad u and v = u, as
f1(u, v, z) + f2(u, v, z): f1 is the data term, the box, u = v and the total variation, f2 is z = grad u and the area.

Source: Lambert, Le Guyader, Petitjean, ISBI 2021, 10.1109/ISBI48211.2021.9434088, equation 6 and algorithm 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from segbench_geometric.operators import (
    add_adjoint,
    project_feasible,
    solve_neumann_into,
    weighted_total_variation,
)

CHECK_EVERY = 5
"""Iterations between looks at the residual; each look waits for the device."""
Solve = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Writes (I + grad^T grad)^-1 of its second argument into its first; may overwrite the second and the third."""


class Information(NamedTuple):
    """How a solution came about.

    Attributes:
        iterations: carried out; the same for all samples.
        residual: root mean square of the last change of the unknowns (u, v, z), before relaxation, ``(B,)``.
        objective: of the solution returned, ``(B,)``.
        start: ``(B, 2 + d, *S)``, where the iteration stood; give it back as ``start`` to continue from here.
    """

    iterations: int
    residual: torch.Tensor
    objective: torch.Tensor
    start: torch.Tensor


def douglas_rachford(
    probability: torch.Tensor,
    dual: torch.Tensor,
    weight: torch.Tensor,
    area: torch.Tensor,
    mu: float = 0.5,
    gamma: float = 1.0,
    relaxation: float = 1.0,
    iterations: int = 1000,
    tolerance: float = 1e-5,
    start: torch.Tensor | None = None,
    domain: torch.Tensor | None = None,
) -> tuple[torch.Tensor, Information]:
    """Solve the sub-problem for a batch of independent samples.

    The samples are iterated together until the residual of every one is at most the tolerance, or the iterations are
    used up; a sample's iterates do not depend on the others, only their number does. Whatever the iterations, the last
    step projects on the box intersected with the area hyperplane (``project_feasible``), so the result is feasible:
    values in [0, 1] exactly, the area within 1e-6 of the number of voxels.

    Args:
        probability: p, ``(B, *S)``, float32 or float64, S of any dimension.
        dual: w, ``(B, *S)``.
        weight: g, ``(B, *S)``, not negative (``edge_detector``).
        area: ``(B,)``, voxels, from 0 to the voxels of the domain.
        mu: weight of the data term, positive.
        gamma: step of the proximal operators, positive; the paper's is 1; 0.1 to 0.3 converge faster.
        relaxation: lambda, in (0, 2); the paper's is 1; 1.8 converges faster.
        iterations: at most so many.
        tolerance: of the residual; 0 = carry out all iterations.
        start: ``Information.start`` of a similar problem, any floating type; None = begin with p + w.
        domain: ``(B, *S)``, True where u may differ from 0 (False for padding); None = everywhere.

    Returns:
        u ``(B, *S)`` and how it came about.

    Raises:
        ValueError: for shapes that do not fit, parameters out of range or an area no u can have.

    Source: 10.1109/ISBI48211.2021.9434088, algorithm 2 with the printed proximal operators.
    """
    _check(probability, dual, weight, area, domain)
    if not (mu > 0 and gamma > 0 and 0 < relaxation < 2 and iterations >= 1):
        raise ValueError(
            f"expected mu > 0, gamma > 0, 0 < relaxation < 2 and iterations >= 1, found mu {mu}, gamma {gamma}, "
            f"relaxation {relaxation}, iterations {iterations}."
        )
    data = probability + dual
    problem = Problem(data, weight, area.to(data), mu, None if domain is None else domain.to(data))
    splitting = Splitting(problem, gamma, relaxation, start)
    done, residual = 0, None
    while done < iterations:
        look = (done + 1) % CHECK_EVERY == 0 or done + 1 == iterations
        residual = splitting.step(look)
        done += 1
        if residual is not None and bool((residual <= tolerance).all()):
            break
    u = project_feasible(splitting.solution, problem.area, problem.domain)
    assert residual is not None
    return u, Information(done, residual, problem.objective(u), splitting.start())


@dataclass(frozen=True)
class Problem:
    """The sub-problem: ``data`` is p + w; see ``douglas_rachford``."""

    data: torch.Tensor
    weight: torch.Tensor
    area: torch.Tensor
    mu: float
    domain: torch.Tensor | None = None

    def objective(self, u: torch.Tensor) -> torch.Tensor:
        """Return ``sum g |grad u| + mu/2 |u - data|^2`` of each sample, ``(B,)``."""
        distance = (u - self.data).flatten(1).square().sum(1)
        return weighted_total_variation(u, self.weight) + self.mu / 2 * distance


class Splitting:
    """The iteration, in buffers that are used again: what the operators of ``operators.py`` say, fused.

    With y the unknown and x = prox_f2(y), one step is y += lambda (prox_f1(2 x - y) - x). For z it simplifies: with
    r = 2 x - y and the shrinkage k = max(0, 1 - gamma g / |r|), y becomes (1 - lambda/2) y + lambda (k - 1/2) r.

    Args:
        problem: what to solve.
        gamma, relaxation: see ``douglas_rachford``.
        start: ``(B, 2 + d, *S)`` or None.
        solve: how (I + grad^T grad)^-1 is applied; exchanged by the benchmark.
    """

    def __init__(
        self,
        problem: Problem,
        gamma: float,
        relaxation: float,
        start: torch.Tensor | None = None,
        solve: Solve = solve_neumann_into,
    ) -> None:
        data = problem.data
        self.area, self.domain = problem.area, problem.domain
        self.relaxation, self.solve = relaxation, solve
        self.share = 1 / (problem.mu * gamma + 2)
        self.pull = data * (problem.mu * gamma * self.share)
        self.threshold = problem.weight * (-relaxation * gamma)
        shape = (data.dim() + 1, *data.shape)  # u, v and d components of z
        if start is None:
            self.unknown = data.new_zeros(shape)
            self.unknown[0], self.unknown[1] = data, data
        else:
            self.unknown = start.to(data).movedim(1, 0).clone(memory_format=torch.contiguous_format)
            if self.unknown.shape != shape:
                raise ValueError(
                    f"start: expected {(len(data), data.dim() + 1, *data.shape[1:])}, found {tuple(start.shape)}."
                )
        self.smooth, self.solution, self.spare, self.length = (torch.empty_like(data) for _ in range(4))
        self.turned = torch.empty_like(self.unknown[2:])

    def start(self) -> torch.Tensor:
        """Return where the iteration stands, ``(B, 2 + d, *S)``."""
        return self.unknown.movedim(0, 1)

    def step(self, look: bool = False) -> torch.Tensor | None:
        """Carry out one iteration; ``solution`` is then prox_f1's u, inside the box. Return the residual if asked."""
        before = self.unknown.clone() if look else None
        u, v, z = self.unknown[0], self.unknown[1], self.unknown[2:]
        right = add_adjoint(self.solution.copy_(u), z.unbind())
        smooth = self.solve(self.smooth, right, self.spare)  # x_u; x_z is its gradient
        missing = ((self.area - v.flatten(1).sum(1)) / v[0].numel()).view(-1, *[1] * (v.dim() - 1))  # x_v = v + this
        self._vectors(z, smooth)
        found = torch.sub(v, u, out=self.solution).add_(smooth, alpha=2).add_(2 * missing)  # r_u + r_v
        found = torch.add(self.pull, found, alpha=self.share, out=found).clamp_(0, 1)
        if self.domain is not None:
            found.mul_(self.domain)
        change = torch.sub(found, smooth, out=self.spare)
        u.add_(change, alpha=self.relaxation)
        change = torch.sub(found, v, out=self.spare).sub_(missing)
        v.add_(change, alpha=self.relaxation)
        return None if before is None else self._residual(before)

    def _vectors(self, z: torch.Tensor, smooth: torch.Tensor) -> None:
        """Move z: turn it round grad x_u, shorten, relax."""
        turned = torch.neg(z, out=self.turned)
        for axis, part in enumerate(turned.unbind(), start=1):
            length = smooth.shape[axis] - 1
            inner = part.narrow(axis, 0, length)
            inner.add_(smooth.narrow(axis, 1, length), alpha=2).sub_(smooth.narrow(axis, 0, length), alpha=2)
        squares = torch.mul(turned[0], turned[0], out=self.length)
        for part in turned[1:].unbind():
            squares.addcmul_(part, part)
        factor = squares.clamp_min_(torch.finfo(squares.dtype).tiny).rsqrt_().mul_(self.threshold)
        factor.add_(self.relaxation / 2).clamp_min_(-self.relaxation / 2)  # lambda (k - 1/2)
        z.mul_(1 - self.relaxation / 2).addcmul_(turned, factor)

    def _residual(self, before: torch.Tensor) -> torch.Tensor:
        change = before.sub_(self.unknown).movedim(1, 0).flatten(1)
        norm: torch.Tensor = torch.linalg.vector_norm(change, dim=1)
        return norm / float(self.relaxation * change.shape[1] ** 0.5)


def _check(
    probability: torch.Tensor,
    dual: torch.Tensor,
    weight: torch.Tensor,
    area: torch.Tensor,
    domain: torch.Tensor | None,
) -> None:
    shape = tuple(probability.shape)
    if probability.dim() < 2 or not probability.is_floating_point() or probability.element_size() < 4:
        raise ValueError(f"probability: expected float32 or float64 (B, *S), found {probability.dtype} {shape}.")
    for name, tensor in {"dual": dual, "weight": weight, "domain": domain}.items():
        if tensor is not None and tuple(tensor.shape) != shape:
            raise ValueError(f"{name}: expected the shape of the probability {shape}, found {tuple(tensor.shape)}.")
    if tuple(area.shape) != shape[:1]:
        raise ValueError(f"area: expected one number for each of {shape[0]} samples, found {tuple(area.shape)}.")
    room = probability[0].numel() if domain is None else domain.flatten(1).sum(1)
    if not bool(((area >= 0) & (area <= room)).all()):
        raise ValueError(f"area: expected from 0 to the number of voxels u may fill, found {area.tolist()}.")
