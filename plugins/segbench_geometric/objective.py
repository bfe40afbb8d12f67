"""What the method computes per batch: the fidelity F, the quadratic term, and the update of u and w."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from segbench import pixel_terms
from segbench_geometric.operators import edge_detector
from segbench_geometric.splitting import douglas_rachford

if TYPE_CHECKING:
    from segbench import Batch


class Shape(NamedTuple):
    """What the constraint knows of samples, one problem per sample and foreground label.

    Attributes:
        weight: edge weight g, ``(b, L, *S)``.
        area: ``(b, L)``, voxels.
        domain: known voxels, bool ``(b, 1, *S)``.
    """

    weight: torch.Tensor
    area: torch.Tensor
    domain: torch.Tensor


def fidelity(
    batch: Batch, logits: torch.Tensor, kind: str, ms_weight: float
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return the weighted terms of F by name and the probabilities ``(B, K, *S)``.

    Args:
        batch: image and target are used; unlabelled samples take no part.
        logits: ``(B, K, *S)``.
        kind: "dice", "ce", "dice_ms" or "ce_ms".
        ms_weight: weight of the Mumford-Shah term.
    """
    target = torch.where(batch.labelled.view(-1, *[1] * (batch.target.dim() - 1)), batch.target, -1)
    terms = pixel_terms(logits, target)
    name = kind.removesuffix("_ms")
    found = {name: terms.dice_loss() if name == "dice" else terms.cross_entropy}
    if kind.endswith("_ms"):
        found["ms"] = ms_weight * mumford_shah(terms.probabilities, batch.image, target >= 0)
    return found, terms.probabilities


def mumford_shah(probabilities: torch.Tensor, image: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Return the piecewise constant Mumford-Shah term, the mean over samples and channels.

    Equation: ``sum_n 1/N sum_x |I(x) - c_n|^2 p_n(x)``, ``c_n = sum I p_n / sum p_n``, N known voxels of the sample.
    With sum_n p_n = 1 it is ``(sum I^2 - sum_n (sum I p_n)^2 / sum p_n) / N``: one small product, and as c_n is the
    minimiser its own gradient is included.

    Args:
        probabilities: ``(B, K, *S)``, summing to 1 over K.
        image: ``(B, C, *S)``.
        known: bool ``(B, *S)``; the other voxels count for nothing.
    """
    inside = known.flatten(1)[:, None].to(probabilities.dtype)  # (B, 1, N)
    values = image.to(probabilities.dtype).flatten(2) * inside  # (B, C, N)
    flat = probabilities.flatten(2)
    moment = torch.bmm(flat, values.transpose(1, 2))  # (B, K, C)
    mass = torch.bmm(flat, inside.transpose(1, 2)).clamp_min(1e-6)  # (B, K, 1)
    spread = values.square().sum(2) - (moment.square() / mass).sum(1)  # (B, C)
    return (spread / inside.sum(2).clamp_min(1)).mean()


def quadratic(
    probabilities: torch.Tensor, u: torch.Tensor, dual: torch.Tensor, known: torch.Tensor, samples: int
) -> torch.Tensor:
    """Return ``|p - u + w|^2 / N``, summed over the foreground labels, averaged over the samples of the batch.

    Args:
        probabilities, u, dual: ``(b, L, *S)``, foreground labels of the samples that have maps.
        known: bool ``(b, *S)``.
        samples: size of the batch, at least b.
    """
    distance = ((probabilities - u + dual).square().sum(1) * known).flatten(1).sum(1)  # (b,)
    return (distance / known.flatten(1).sum(1).clamp_min(1)).sum() / samples


def shape_of(target: torch.Tensor, labels: int, beta: float, known: torch.Tensor) -> Shape:
    """Return edge weights and areas of the foreground labels of target maps.

    Differences to an unknown voxel cost nothing: the weight is 0 where a forward neighbour is unknown.

    Args:
        target: int64 ``(b, *S)``.
        labels: K, background included.
        beta: see ``edge_detector``.
        known: bool ``(b, *S)``, where u may differ from 0; the target's own known voxels, or those of another sample.
    """
    masks = torch.stack([(target == label) & known for label in range(1, labels)], dim=1)  # (b, L, *S)
    weight = edge_detector(masks.flatten(0, 1), beta).view(masks.shape)
    inside = known.clone()
    for axis in range(1, known.dim()):
        length = known.shape[axis] - 1
        inside.narrow(axis, 0, length).logical_and_(known.narrow(axis, 1, length))
    return Shape(weight * inside[:, None], masks.flatten(2).sum(2), known[:, None])


@dataclass(frozen=True)
class Solver:
    """The settings of Douglas-Rachford; see ``douglas_rachford``."""

    mu: float
    gamma: float
    relaxation: float
    iterations: int
    tolerance: float


class Updated(NamedTuple):
    """What an update gives: the new maps and its measures, sums over the samples.

    Attributes:
        maps: "pair" (u, w) ``(b, 2, L, *S)`` and "start" ``(b, L, 2 + d, *S)``.
        measures: name -> scalar.
    """

    maps: dict[str, torch.Tensor]
    measures: dict[str, torch.Tensor]


@torch.no_grad()
def update(
    probabilities: torch.Tensor, maps: Mapping[str, torch.Tensor], begun: torch.Tensor, shape: Shape, solver: Solver
) -> Updated:
    """Carry out ``u <- DR(p, w)``, ``w <- w + (p - u)``.

    A label that a sample does not show has the only feasible u = 0 without an iteration.

    Args:
        probabilities: p of the updated network, foreground ``(b, L, *S)``.
        maps: the samples' maps so far.
        begun: bool ``(b,)``, whether a sample has a start.
        shape: of the samples.
        solver: how to solve.
    """
    p = probabilities * shape.domain
    w = maps["pair"][:, 1]
    u, start = torch.zeros_like(p), maps["start"].clone()
    shown = shape.area > 0  # (b, L)
    measures = {name: p.new_zeros(()) for name in ("iterations", "solved", "dr_residual")}
    if bool(shown.any()):
        data = p[shown] + w[shown]
        first = torch.cat([data[:, None], data[:, None], torch.zeros_like(start[shown][:, 2:], dtype=p.dtype)], dim=1)
        used = begun[:, None].expand_as(shown)[shown].view(-1, *[1] * (first.dim() - 1))
        domain = None if bool(shape.domain.all()) else shape.domain.expand_as(p)[shown]
        u[shown], information = douglas_rachford(
            p[shown], w[shown], shape.weight[shown], shape.area[shown], solver.mu, solver.gamma, solver.relaxation,
            solver.iterations, solver.tolerance, torch.where(used, start[shown].to(p), first), domain,
        )  # fmt: skip
        start[shown] = information.start.to(start.dtype)
        solved = shown.sum()
        measures |= {"iterations": information.iterations * solved, "solved": solved}
        measures["dr_residual"] = information.residual.sum()
        tension = information.objective.sum()
    else:
        tension = p.new_zeros(())
    known = shape.domain.flatten(1).sum(1).clamp_min(1)
    apart = (p - u) * shape.domain
    measures["residual"] = (apart.square().flatten(1).sum(1) / (known * p.shape[1])).sqrt().sum()
    measures["area_error"] = (p.flatten(2).sum(2) - shape.area).abs().mean(1).sum()
    absent = (apart + w).square().flatten(2).sum(2)[~shown].sum() * solver.mu / 2
    measures["energy"] = (tension + absent) / known.float().mean()
    return Updated({"pair": torch.stack([u, w + apart], dim=1), "start": start}, measures)
