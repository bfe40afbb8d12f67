"""The solvers: the barrier's two branches, finiteness, the augmented Lagrangian on a problem with a known optimum."""

from __future__ import annotations

import math

import pytest
import torch

from segbench import augmented_lagrangian, log_barrier, next_multiplier, quadratic_penalty


def textbook(z, t):
    if z <= -1 / t**2:
        return -math.log(-z) / t
    return t * z - math.log(1 / t**2) / t + 1 / t


@pytest.mark.parametrize("t", [0.5, 1.0, 1.1, 5.0, 50.0])
@pytest.mark.parametrize("z", [-1e6, -10.0, -1.0, -0.1, -1e-4, 0.0, 1e-4, 1.0, 1e6])
def test_values(z, t):
    found = float(log_barrier(torch.tensor(z, dtype=torch.float64), t))
    assert found == pytest.approx(textbook(z, t), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("t", [1.0, 1.3, 8.0])
def test_finite_differences_at_the_joint_at_zero_and_beyond(t):
    joint = -1 / t**2
    for z in (joint, 0.0, 0.7, 2 * joint):
        step = 1e-6 * abs(joint)
        leaf = torch.tensor(z, dtype=torch.float64, requires_grad=True)
        log_barrier(leaf, t).backward()
        values = [float(log_barrier(torch.tensor(z + s, dtype=torch.float64), t)) for s in (-step, step)]
        assert float(leaf.grad) == pytest.approx((values[1] - values[0]) / (2 * step), rel=1e-5)
    near = torch.tensor([joint - 1e-9, joint + 1e-9], dtype=torch.float64, requires_grad=True)
    value = log_barrier(near, t)
    value.sum().backward()
    assert float((value[1] - value[0]).detach()) == pytest.approx(2e-9 * t, rel=1e-3)
    assert near.grad.tolist() == pytest.approx([t, t], rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("t", [1e-3, 1.0, 7.0, 1e8, 1e25])
def test_finite_for_every_input(dtype, t):
    z = torch.tensor([-6e4, -1.0, -1e-8, 0.0, 1e-8, 1.0, 6e4, *([] if dtype == torch.float16 else [-1e6, 1e6])])
    z = z.to(dtype).requires_grad_()
    value = log_barrier(z, t)
    (value.sum() * 1e-30).backward()
    assert torch.isfinite(value).all() and torch.isfinite(z.grad).all()
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


def test_wrong_slope():
    with pytest.raises(ValueError, match="positive"):
        log_barrier(torch.zeros(1), 0.0)


def test_penalty():
    z = torch.tensor([-3.0, 0.0, 2.0], requires_grad=True)
    quadratic_penalty(z).sum().backward()
    assert quadratic_penalty(z).tolist() == [0, 0, 4] and z.grad.tolist() == [0, 0, 4]


def test_augmented_lagrangian_by_hand():
    """With mu = 1/2: ((3 + 1)^2 - 9) / 1, ((3 - 1)^2 - 9) / 1, (0 - 9) / 1; at z = 0 it is 0."""
    z, multiplier = torch.tensor([2.0, -2.0, -10.0, 0.0, 0.0, 2.0]), torch.tensor([3.0, 3.0, 3.0, 3.0, 0.0, 0.0])
    z.requires_grad_()
    value = augmented_lagrangian(z, multiplier, 0.5)
    value.sum().backward()
    assert value.tolist() == [7, -5, -9, 0, 0, 1]
    assert z.grad.tolist() == [4, 2, 0, 3, 0, 1]  # relu(multiplier + mu z), the next multiplier
    assert next_multiplier(z.detach(), multiplier, 0.5).tolist() == [4, 2, 0, 3, 0, 1]


def test_augmented_lagrangian_finds_a_known_optimum():
    """min (x - 3)^2 s.t. x <= 1, x >= -5: x = 1 with the multiplier 4; the slack constraint keeps 0."""
    x = torch.tensor(3.0, requires_grad=True)
    multipliers, mu = torch.zeros(2), 1.0
    for _ in range(60):
        for _ in range(20):
            z = torch.stack([x - 1, -5 - x])
            gradient = torch.autograd.grad((x - 3) ** 2 + augmented_lagrangian(z, multipliers, mu).sum(), x)[0]
            x = (x - 0.2 * gradient).detach().requires_grad_()
        multipliers = next_multiplier(torch.stack([x - 1, -5 - x]).detach(), multipliers, mu)
    assert float(x.detach()) == pytest.approx(1, abs=1e-3) and multipliers.tolist() == pytest.approx([4, 0], abs=1e-2)
