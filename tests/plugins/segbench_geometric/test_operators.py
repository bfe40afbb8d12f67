"""The operators against dense matrices, brute force and hand-computed values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import optimize

from segbench_geometric import edge_detector, weighted_total_variation
from segbench_geometric.operators import (
    gradient,
    project_feasible,
    solve_by_fast_transform,
    solve_by_matrices,
)

SHAPES = [(2, 5, 7), (1, 1, 9), (3, 8, 8), (2, 3, 4, 5)]
DTYPES = [torch.float32, torch.float64]


def random(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_and_adjoint_are_adjoint(shape: tuple[int, ...], dtype: torch.dtype, printed: Any) -> None:
    u, z = random(*shape, dtype=dtype), random(shape[0], len(shape) - 1, *shape[1:], dtype=dtype, seed=1)
    left = (gradient(u) * z).flatten(1).sum(1)
    right = (u * printed.gradient_adjoint(z)).flatten(1).sum(1)
    scale = u.flatten(1).norm(dim=1) * z.flatten(1).norm(dim=1)
    assert gradient(u).dtype == dtype and float(((left - right).abs() / scale).max()) < 1e-6


def test_gradient_is_the_forward_difference() -> None:
    u = torch.tensor([[[1.0, 4.0, 9.0], [3.0, 3.0, 0.0]]])
    assert gradient(u)[0].tolist() == [[[2, -1, -9], [0, 0, 0]], [[3, 5, 0], [0, -3, 0]]]


def test_edge_detector_and_total_variation_of_a_square() -> None:
    mask = torch.zeros(1, 6, 6, dtype=torch.bool)
    mask[:, 2:4, 2:4] = True
    weight = edge_detector(mask, 10.0)
    # before the square: 2 voxels a side with one difference; its far corner has both; (1, 3) and (3, 1) have one
    assert weight[0, 0, 0] == 1 and weight[0, 1, 2] == pytest.approx(1 / 11)
    assert weight[0, 3, 3] == pytest.approx(1 / 21)
    ones = torch.ones(1, 6, 6)
    assert float(weighted_total_variation(mask.float(), ones)) == pytest.approx(6 + 2**0.5)
    assert float(weighted_total_variation(mask.float(), weight)) == pytest.approx(6 / 11 + 2**0.5 / 21)
    assert edge_detector(mask.double(), 1.0).dtype == torch.float64


def minimised(function, start: np.ndarray) -> np.ndarray:
    best = min(
        (optimize.minimize(function, start + shift, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-14,
                                                                               "maxiter": 4000}) for shift in (0, 0.3)),
        key=lambda result: result.fun,
    )  # fmt: skip
    return best.x


def test_shrink_is_the_brute_force_minimiser(printed: Any) -> None:
    z = random(1, 2, 3, 3) * 1.5
    threshold = torch.linspace(0, 2, 9, dtype=torch.float64).view(1, 3, 3)
    found = printed.shrink(z, threshold)
    for i in range(3):
        for j in range(3):
            here, weight = z[0, :, i, j].numpy(), float(threshold[0, i, j])
            expected = minimised(lambda x: weight * np.hypot(*x) + ((x - here) ** 2).sum() / 2, here.copy())  # noqa: B023
            np.testing.assert_allclose(found[0, :, i, j], expected, atol=1e-4)
    assert torch.equal(printed.shrink(torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2)), torch.zeros(1, 2, 2, 2))


@pytest.mark.parametrize("mu, gamma", [(0.5, 1.0), (2.0, 0.1)])
def test_prox_data_is_the_brute_force_minimiser(mu: float, gamma: float, printed: Any) -> None:
    u, v, data = random(1, 4, 4), random(1, 4, 4, seed=1), random(1, 4, 4, seed=2) * 2
    grid = torch.linspace(0, 1, 20001, dtype=torch.float64)

    def objective(t: torch.Tensor) -> torch.Tensor:
        near = ((t - u[..., None]) ** 2 + (t - v[..., None]) ** 2) / 2
        return gamma * mu / 2 * (t - data[..., None]) ** 2 + near

    expected = grid[objective(grid).argmin(-1)]
    torch.testing.assert_close(printed.prox_data(u, v, data, mu, gamma), expected, atol=1e-4, rtol=0)


def test_project_area_is_the_nearest_point(printed: Any) -> None:
    v, area = random(3, 4, 5), torch.tensor([3.0, 0.0, 25.0], dtype=torch.float64)
    found = printed.project_area(v, area)
    torch.testing.assert_close(found.flatten(1).sum(1), area)
    offset = (found - v).flatten(1)
    torch.testing.assert_close(offset, offset[:, :1].expand_as(offset))  # orthogonal to the hyperplane


def dense_gradient(shape: tuple[int, ...]) -> torch.Tensor:
    """Return the matrix ``(d n, n)`` of the gradient."""
    n = int(np.prod(shape))
    return gradient(torch.eye(n, dtype=torch.float64).view(n, *shape)).flatten(1).T


@pytest.mark.parametrize("shape", [(6, 9), (16, 12), (1, 7), (4, 3, 5)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_project_gradient_equals_a_dense_solve(shape: tuple[int, ...], dtype: torch.dtype, printed: Any) -> None:
    u, z = random(2, *shape), random(2, len(shape), *shape, seed=1)
    matrix = dense_gradient(shape)
    system = torch.eye(matrix.shape[1], dtype=torch.float64) + matrix.T @ matrix
    expected = torch.linalg.solve(system, u.flatten(1).T + matrix.T @ z.flatten(1).T).T.view_as(u)
    solution, slope = printed.project_gradient(u.to(dtype), z.to(dtype))
    torch.testing.assert_close(solution.double(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(slope.double(), gradient(expected), atol=1e-5, rtol=0)
    assert solution.dtype == dtype


@pytest.mark.parametrize("shape", [(24, 17), (5, 6, 7)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_both_transforms_solve_the_same_system(shape: tuple[int, ...], dtype: torch.dtype, printed: Any) -> None:
    right = random(3, *shape, dtype=dtype)
    found = [solve(torch.empty_like(right), right.clone(), torch.empty_like(right))
             for solve in (solve_by_fast_transform, solve_by_matrices)]  # fmt: skip
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    for solution in (*found, printed.solve_neumann(right)):
        torch.testing.assert_close(
            solution + printed.gradient_adjoint(gradient(solution)), right, atol=10 * tolerance, rtol=0
        )
    torch.testing.assert_close(*found, atol=tolerance, rtol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_project_feasible_is_the_nearest_feasible_point(dtype: torch.dtype) -> None:
    values = random(5, 6, 8, dtype=dtype) * 2
    area = torch.tensor([0.0, 0.5, 20.0, 47.9, 48.0], dtype=dtype)
    found = project_feasible(values, area)
    assert found.min() >= 0 and found.max() <= 1
    torch.testing.assert_close(found.flatten(1).sum(1), area, atol=1e-4, rtol=0)
    for one, result, goal in zip(values.double().numpy(), found, area.double().numpy(), strict=True):
        if 0 < goal < 48:
            shift = optimize.brentq(lambda s: np.clip(one + s, 0, 1).sum() - goal, -20, 20)  # noqa: B023
            np.testing.assert_allclose(result, np.clip(one + shift, 0, 1), atol=1e-4)


def test_project_feasible_keeps_to_the_domain() -> None:
    values = random(2, 5, 5) + 5
    domain = torch.zeros(2, 5, 5)
    domain[:, :3] = 1
    found = project_feasible(values, torch.tensor([7.0, 15.0]), domain)
    assert (found[:, 3:] == 0).all()
    torch.testing.assert_close(found.flatten(1).sum(1).float(), torch.tensor([7.0, 15.0]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("start", [0.0, 1.0, 0.5, 3.0])
def test_project_feasible_begins_anywhere(start: float) -> None:
    values = torch.full((1, 30, 30), start)
    values[0, 0, 0] = -4
    assert float(project_feasible(values, torch.tensor([450.0])).sum()) == pytest.approx(450, abs=1e-2)
