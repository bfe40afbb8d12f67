"""Douglas-Rachford against a convex solver, against the printed algorithm, and what it promises of its result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from segbench_geometric import douglas_rachford, edge_detector, weighted_total_variation
from segbench_geometric.operators import (
    gradient,
    solve_by_matrices,
)
from segbench_geometric.splitting import Problem, Splitting


def problem(*shape: int, samples: int = 2, seed: int = 0, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    """Return noisy probabilities of a random blob, a dual, its edge weight and its area."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand((2, samples, *shape), generator=generator, dtype=torch.float64)
    grids = torch.meshgrid(*[torch.arange(n, dtype=torch.float64) / n - 0.5 for n in shape], indexing="ij")
    centre = torch.rand((samples, len(shape)), generator=generator) * 0.3 - 0.15
    far = torch.stack([sum((grid - c) ** 2 for grid, c in zip(grids, row, strict=True)) for row in centre])
    mask = far < 0.06
    probability = (0.7 * mask + 0.15 + 0.6 * (noise[0] - 0.5)).clamp(0, 1)
    return {
        "probability": probability.to(dtype),
        "dual": (0.6 * (noise[1] - 0.5)).to(dtype),
        "weight": edge_detector(mask.to(dtype), 10.0),
        "area": mask.flatten(1).sum(1).to(dtype),
    }


def convex_optimum(given: dict[str, Any], row: int, mu: float) -> tuple[np.ndarray, float]:
    cvxpy = pytest.importorskip("cvxpy")
    data = (given["probability"] + given["dual"])[row].double().numpy()
    weight, (height, width) = given["weight"][row].double().numpy(), data.shape
    u = cvxpy.Variable(data.shape)
    down = cvxpy.vstack([u[1:] - u[:-1], np.zeros((1, width))])
    right = cvxpy.hstack([u[:, 1:] - u[:, :-1], np.zeros((height, 1))])
    both = cvxpy.vstack([cvxpy.vec(down, order="C"), cvxpy.vec(right, order="C")])
    tension = cvxpy.sum(cvxpy.multiply(weight.ravel(), cvxpy.norm(both, 2, axis=0)))
    objective = tension + mu / 2 * cvxpy.sum_squares(u - data)
    task = cvxpy.Problem(cvxpy.Minimize(objective), [u >= 0, u <= 1, cvxpy.sum(u) == float(given["area"][row])])
    task.solve(solver="CLARABEL")
    return u.value, task.value


@pytest.mark.parametrize("size, seed", [((16, 16), 0), ((16, 24), 1), ((32, 32), 2)])
@pytest.mark.parametrize("mu, gamma, relaxation", [(0.5, 1.0, 1.0), (0.5, 0.3, 1.8), (3.0, 0.1, 1.8)])
def test_equals_a_convex_solver(size: tuple[int, int], seed: int, mu: float, gamma: float, relaxation: float) -> None:
    given = problem(*size, seed=seed)
    u, information = douglas_rachford(
        **given, mu=mu, gamma=gamma, relaxation=relaxation, iterations=5000, tolerance=1e-6
    )
    for row in range(2):
        best, value = convex_optimum(given, row, mu)
        assert abs(float(information.objective[row]) / value - 1) <= 1e-3
        assert np.abs(u[row].numpy() - best).max() <= 0.05
    assert float(u.min()) >= 0 and float(u.max()) <= 1
    assert float((u.flatten(1).sum(1) - given["area"]).abs().max()) <= 1e-3


@pytest.mark.parametrize("shape", [(6, 9), (4, 5, 6)])
@pytest.mark.parametrize("gamma, relaxation", [(1.0, 1.0), (0.1, 1.8)])
def test_a_step_is_the_printed_algorithm(shape: tuple[int, ...], gamma: float, relaxation: float, printed: Any) -> None:
    given, mu = problem(*shape), 0.5
    given["weight"][0, :2] = 0  # a weight of nothing must not become nan
    data = given["probability"] + given["dual"]
    splitting = Splitting(Problem(data, given["weight"], given["area"], mu), gamma, relaxation)
    u, v, z = data, data, torch.zeros_like(gradient(data))
    for _ in range(4):
        splitting.step()
        (x_u, x_z), x_v = printed.project_gradient(u, z), printed.project_area(v, given["area"])
        common = printed.prox_data(2 * x_u - u, 2 * x_v - v, data, mu, gamma)
        short = printed.shrink(2 * x_z - z, gamma * given["weight"])
        u, v = u + relaxation * (common - x_u), v + relaxation * (common - x_v)
        z = z + relaxation * (short - x_z)
        torch.testing.assert_close(splitting.solution, common)
        torch.testing.assert_close(splitting.start(), torch.cat([u[:, None], v[:, None], z], dim=1))


def test_the_solver_may_be_exchanged() -> None:
    given = problem(20, 14)
    task = Problem(given["probability"], given["weight"], given["area"], 0.5)
    one, other = Splitting(task, 0.3, 1.8), Splitting(task, 0.3, 1.8, solve=solve_by_matrices)
    for _ in range(10):
        one.step()
        other.step()
    torch.testing.assert_close(one.solution, other.solution)


@pytest.mark.parametrize("iterations", [1, 2, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_feasible_after_any_number_of_iterations(iterations: int, dtype: torch.dtype) -> None:
    given = problem(13, 22, samples=4, dtype=dtype)
    given["area"] = torch.tensor([0.0, 0.4, 100.0, 286.0], dtype=dtype)
    given["dual"] *= 20
    u, information = douglas_rachford(**given, iterations=iterations, tolerance=0.0)
    assert u.dtype == dtype and information.iterations == iterations
    assert float(u.min()) >= 0 and float(u.max()) <= 1
    assert float((u.flatten(1).sum(1) - given["area"]).abs().max()) <= 1e-3
    expected = weighted_total_variation(u, given["weight"])
    expected = expected + 0.25 * (u - given["probability"] - given["dual"]).flatten(1).square().sum(1)
    torch.testing.assert_close(information.objective, expected)


def test_single_and_double_precision_agree() -> None:
    settings = {"gamma": 0.3, "relaxation": 1.8, "iterations": 400, "tolerance": 0.0}
    double, _ = douglas_rachford(**problem(24, 24), **settings)
    single, _ = douglas_rachford(**problem(24, 24, dtype=torch.float32), **settings)
    torch.testing.assert_close(single.double(), double, atol=1e-3, rtol=0)


def test_a_warm_start_saves_iterations() -> None:
    given = problem(24, 24)
    settings = {"gamma": 0.3, "relaxation": 1.8, "tolerance": 1e-4}
    u, cold = douglas_rachford(**given, **settings)
    given["probability"] = (given["probability"] + 0.01).clamp(0, 1)
    _, again = douglas_rachford(**given, **settings)
    warm_u, warm = douglas_rachford(**given, **settings, start=cold.start)
    half_u, half = douglas_rachford(**given, **settings, start=cold.start.half())
    assert warm.iterations < 0.7 * again.iterations and half.iterations <= again.iterations
    torch.testing.assert_close(half_u, warm_u, atol=0.02, rtol=0)
    assert float((u - warm_u).abs().max()) < 0.2
    _, settled = douglas_rachford(**problem(24, 24), **settings, start=cold.start)
    assert settled.iterations <= 5


def test_continuing_is_the_same_as_going_on() -> None:
    given = problem(12, 15)
    whole, _ = douglas_rachford(**given, iterations=20, tolerance=0.0)
    _, half = douglas_rachford(**given, iterations=10, tolerance=0.0)
    rest, _ = douglas_rachford(**given, iterations=10, tolerance=0.0, start=half.start)
    assert torch.equal(whole, rest)


def test_samples_do_not_depend_on_one_another() -> None:
    given = problem(12, 15, samples=3)
    together, _ = douglas_rachford(**given, iterations=30, tolerance=0.0)
    for row in range(3):
        one = {name: value[row : row + 1] for name, value in given.items()}
        alone, _ = douglas_rachford(**one, iterations=30, tolerance=0.0)
        torch.testing.assert_close(alone[0], together[row])


def test_volumes_converge() -> None:
    given = problem(6, 8, 10)
    settings = {"gamma": 0.3, "relaxation": 1.8, "tolerance": 1e-6, "iterations": 3000}
    u, information = douglas_rachford(**given, **settings)
    assert float(information.residual.max()) <= 1e-6
    other, slow = douglas_rachford(**given, tolerance=1e-7, iterations=10000)
    torch.testing.assert_close(u, other, atol=1e-3, rtol=0)
    torch.testing.assert_close(information.objective, slow.objective, rtol=1e-4, atol=0)


def test_nothing_outside_the_domain() -> None:
    given = problem(14, 14)
    given["probability"][:, :, 10:], given["dual"][:, :, 10:] = 0, 0
    domain = torch.ones(2, 14, 14, dtype=torch.bool)
    domain[:, :, 10:] = False
    given["weight"][:, :, 9:] = 0
    given["area"] = torch.tensor([100.0, 140.0], dtype=torch.float64)
    u, _ = douglas_rachford(**given, domain=domain, gamma=0.3, relaxation=1.8, iterations=3000)
    cut = {name: value[:, :, :10] if value.dim() > 1 else value for name, value in given.items()}
    inside, _ = douglas_rachford(**cut, gamma=0.3, relaxation=1.8, iterations=3000)
    assert (u[:, :, 10:] == 0).all()
    torch.testing.assert_close(u[:, :, :10], inside, atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"mu": 0.0}, "mu > 0"),
        ({"relaxation": 2.0}, "relaxation < 2"),
        ({"iterations": 0}, "iterations >= 1"),
        ({"area": torch.tensor([3.0, 200.0])}, "from 0 to"),
        ({"area": torch.tensor([3.0])}, "one number for each of 2"),
        ({"dual": torch.zeros(2, 3, 3)}, "dual"),
        ({"start": torch.zeros(2, 3, 12, 12)}, "start"),
        ({"probability": torch.zeros(2, 12, 12, dtype=torch.float16)}, "float32 or float64"),
    ],
)
def test_errors_in_words(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        douglas_rachford(**(problem(12, 12) | changes))
