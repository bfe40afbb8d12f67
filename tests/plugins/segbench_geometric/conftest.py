"""The operators of the paper one by one, as section 2.2 prints them: what the fused iteration is held against.

Source: Lambert, Le Guyader, Petitjean, ISBI 2021, 10.1109/ISBI48211.2021.9434088.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from segbench_geometric import operators


@pytest.fixture
def printed() -> SimpleNamespace:
    return SimpleNamespace(
        gradient_adjoint=gradient_adjoint,
        shrink=shrink,
        prox_data=prox_data,
        project_area=project_area,
        project_gradient=project_gradient,
        solve_neumann=solve_neumann,
    )


def gradient_adjoint(z: torch.Tensor) -> torch.Tensor:
    """Return the adjoint of ``gradient``: ``<gradient(u), z> = <u, gradient_adjoint(z)>``.

    Args:
        z: ``(B, d, *S)``.

    Returns:
        ``(B, *S)``, minus the divergence of z.
    """
    return operators.add_adjoint(z.new_zeros((z.shape[0], *z.shape[2:])), z.unbind(1))


def shrink(z: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """Return the proximal operator of ``sum_x threshold(x) |z(x)|``: vectors shortened by the threshold.

    Args:
        z: ``(B, d, *S)``.
        threshold: gamma g, ``(B, *S)``, not negative.
    """
    length = torch.linalg.vector_norm(z, dim=1, keepdim=True)
    kept = (length - threshold.unsqueeze(1)).clamp_min(0) / length.clamp_min(torch.finfo(z.dtype).tiny)
    shortened: torch.Tensor = kept * z
    return shortened


def prox_data(u: torch.Tensor, v: torch.Tensor, data: torch.Tensor, mu: float, gamma: float) -> torch.Tensor:
    """Return the common value of the proximal operator of gamma times ``mu/2 |u - data|^2 + box(u) + (u = v)``.

    Equation: ``clip((mu gamma data + u + v) / (mu gamma + 2), 0, 1)``; the operator's value is this map twice.

    Args:
        u, v: ``(B, *S)``.
        data: p + w, ``(B, *S)``.
        mu, gamma: positive.
    """
    return ((mu * gamma * data + u + v) / (mu * gamma + 2)).clamp(0, 1)


def project_area(v: torch.Tensor, area: torch.Tensor) -> torch.Tensor:
    """Return the projection P_C4 on ``sum_x v(x) = area``: every voxel moves by the same amount.

    Args:
        v: ``(B, *S)``.
        area: ``(B,)``, voxels.
    """
    missing = (area - v.flatten(1).sum(1)) / v[0].numel()
    return v + missing.view(-1, *[1] * (v.dim() - 1))


def project_gradient(u: torch.Tensor, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the projection P_C2 of (u, z) on the pairs with ``z = gradient(u)``.

    Equation: ``u' = (I + grad^T grad)^-1 (u + grad^T z)``, ``z' = grad u'``; see ``solve_neumann``.

    Args:
        u: ``(B, *S)``.
        z: ``(B, d, *S)``.
    """
    solution = solve_neumann(operators.add_adjoint(u.clone(), z.unbind(1)))
    return solution, operators.gradient(solution)


def solve_neumann(right: torch.Tensor) -> torch.Tensor:
    """Return ``(I + grad^T grad)^-1 right``, which is diagonal under the DCT-II of every axis.

    Args:
        right: ``(B, *S)``.
    """
    return operators.solve_neumann_into(torch.empty_like(right), right.clone(), torch.empty_like(right))
