"""The soft adjacency and the penalty against a brute-force loop, gradients, precision and layouts."""

from __future__ import annotations

import itertools

import pytest
import torch

import segbench_nonadj
from segbench_nonadj import penalty, soft_adjacency
from segbench_nonadj.reach import window

CASES = [
    ((1, 3, 5), 3),
    ((2, 3, 4, 5), 3),
    ((1, 4, 6, 5), 5),
    ((1, 2, 8, 7), 7),
    ((2, 3, 3, 4, 5), 3),
    ((1, 3, 1, 4, 3), 3),
    ((1, 2, 4, 3, 4), (1, 3, 5)),
    ((1, 2, 1, 1), 3),
]


def make(shape, *, dtype=torch.float64, last=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.randn(shape, generator=generator, dtype=torch.float64).mul(3).softmax(1)
    if shape[1] > 2:
        probabilities[:, 2] = 0  # an absent label
    if last:
        probabilities = probabilities.movedim(1, -1).contiguous().movedim(-1, 1)
    return probabilities.to(dtype).requires_grad_()


def brute_force(probabilities, size):
    batch, labels, *grid = probabilities.shape
    sizes = (size,) * len(grid) if isinstance(size, int) else size
    offsets = list(itertools.product(*[range(-(edge // 2), edge // 2 + 1) for edge in sizes]))
    adjacency = torch.zeros((labels, labels), dtype=probabilities.dtype)
    for sample, voxel, offset in itertools.product(range(batch), itertools.product(*map(range, grid)), offsets):
        other = [position + step for position, step in zip(voxel, offset, strict=True)]
        if all(0 <= position < length for position, length in zip(other, grid, strict=True)):
            here, there = probabilities[(sample, slice(None), *voxel)], probabilities[(sample, slice(None), *other)]
            adjacency = adjacency + torch.outer(here, there)
    total = batch * torch.tensor(grid).prod() * len(offsets)
    return adjacency / total


def symmetric(labels, seed=1):
    forbidden = torch.rand((labels, labels), generator=torch.Generator().manual_seed(seed)) < 0.6
    return (forbidden | forbidden.T).fill_diagonal_(False)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("shape", "size"), CASES)
def test_equals_brute_force(shape, size, last):
    probabilities = make(shape, last=last)
    forbidden = symmetric(shape[1])
    oracle = brute_force(probabilities, size)
    torch.testing.assert_close(soft_adjacency(probabilities, size), oracle)
    mean = (oracle * forbidden).sum() / max(int(forbidden.sum()), 1)
    value = penalty(probabilities, forbidden, size)
    torch.testing.assert_close(value, mean)
    gradients = [torch.autograd.grad(one, probabilities)[0] for one in (value, mean)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("slab", [1, 2**18])
@pytest.mark.parametrize(("shape", "size"), [((2, 3, 9, 4), 3), ((1, 2, 9, 3, 2), (5, 3, 1)), ((1, 2, 10, 3), 7)])
def test_slabs_do_not_show(monkeypatch, shape, size, slab):
    monkeypatch.setattr("segbench_nonadj.adjacency._SLAB", slab)
    probabilities = make(shape)
    torch.testing.assert_close(soft_adjacency(probabilities, size), brute_force(probabilities, size))


@pytest.mark.parametrize(("shape", "size"), [((2, 3, 4, 3), 3), ((1, 3, 3, 2, 4), (3, 1, 5))])
def test_gradcheck(shape, size):
    probabilities = make(shape)
    assert torch.autograd.gradcheck(lambda values: soft_adjacency(values, size), probabilities)
    assert torch.autograd.gradcheck(lambda values: penalty(values, symmetric(3), size), probabilities)


def test_strided_input_and_no_gradient():
    probabilities = make((2, 3, 8, 6)).detach()
    strided = probabilities[:, :, ::2, 1:]
    torch.testing.assert_close(soft_adjacency(strided), soft_adjacency(strided.contiguous()))
    leaf = probabilities.clone().requires_grad_()
    penalty(leaf[:, :, ::2, 1:], symmetric(3)).backward()
    assert leaf.grad[:, :, 1::2].abs().max() == 0 and leaf.grad.abs().max() > 0
    assert not penalty(probabilities, symmetric(3)).requires_grad


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("last", [False, True])
def test_half_precision_within_one_percent(dtype, last):
    exact, half = make((2, 6, 12, 13), dtype=torch.float32, last=last), make((2, 6, 12, 13), dtype=dtype, last=last)
    forbidden = symmetric(6)
    torch.testing.assert_close(soft_adjacency(half), soft_adjacency(exact), rtol=1e-2, atol=1e-4)
    torch.testing.assert_close(penalty(half, forbidden), penalty(exact, forbidden), rtol=1e-2, atol=0)
    for function in (lambda p: penalty(p, forbidden), lambda p: soft_adjacency(p)[0, 1]):
        gradients = [torch.autograd.grad(1000 * function(one), one)[0].float() for one in (half, exact)]
        torch.testing.assert_close(*gradients, rtol=2e-2, atol=2e-3 * float(gradients[1].abs().max()))


def test_autocast_uses_bfloat16_within_one_percent():
    probabilities, forbidden = make((2, 6, 12, 13), dtype=torch.float32), symmetric(6)
    exact = penalty(probabilities, forbidden)
    with torch.autocast("cpu", torch.bfloat16):
        value, adjacency = penalty(probabilities, forbidden), soft_adjacency(probabilities)
    assert value.dtype == adjacency.dtype == torch.float32 and value != exact
    torch.testing.assert_close(value, exact, rtol=1e-2, atol=0)
    torch.testing.assert_close(adjacency, soft_adjacency(probabilities), rtol=1e-2, atol=1e-4)
    (value + adjacency.sum()).backward()
    assert probabilities.grad.dtype == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu():
    probabilities, forbidden = make((2, 5, 6, 7, 8), dtype=torch.float32), symmetric(5)
    there = probabilities.detach().cuda().requires_grad_()
    torch.testing.assert_close(soft_adjacency(there).cpu(), soft_adjacency(probabilities))
    ours, theirs = penalty(probabilities, forbidden), penalty(there, forbidden.cuda())
    torch.testing.assert_close(theirs.cpu(), ours)
    gradients = [torch.autograd.grad(*pair)[0].cpu() for pair in ((ours, probabilities), (theirs, there))]
    torch.testing.assert_close(*gradients)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("shape", [(2, 6, 12, 13), (1, 6, 7, 8, 9)])
def test_cuda_bfloat16_within_one_percent(shape):
    exact, forbidden = make(shape, dtype=torch.float32), symmetric(6)
    half = exact.detach().cuda().bfloat16().requires_grad_()
    there = exact.detach().cuda()
    with torch.autocast("cuda", torch.bfloat16):
        automatic = penalty(there, forbidden.cuda()).cpu()
    ours, theirs = penalty(exact, forbidden), penalty(half, forbidden.cuda())
    for value in (automatic, theirs.float().cpu()):
        torch.testing.assert_close(value, ours, rtol=1e-2, atol=0)
    gradients = [
        torch.autograd.grad(1000 * value, leaf)[0].float().cpu() for value, leaf in ((theirs, half), (ours, exact))
    ]
    torch.testing.assert_close(*gradients, rtol=2e-2, atol=2e-3 * float(gradients[1].abs().max()))


def test_nothing_forbidden_costs_nothing():
    probabilities = make((1, 3, 4, 4))
    value = penalty(probabilities, torch.zeros((3, 3), dtype=torch.bool))
    value.backward()
    assert value == 0 and probabilities.grad.abs().max() == 0


@pytest.mark.parametrize("size", [2, 0, -1, (3, 3, 3), (3, 4)])
def test_a_window_that_does_not_fit_is_refused(size):
    with pytest.raises(ValueError, match="odd"):
        soft_adjacency(make((1, 3, 4, 4)), size)


def test_a_matrix_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 3\)"):
        penalty(make((1, 3, 4, 4)), torch.zeros((2, 2), dtype=torch.bool))


def test_window_in_millimetres():
    assert window(1.0, (3.0, 1.0, 0.3)) == (1, 3, 7)
    assert window(0.3, (0.1,)) == (7,)


def test_public_names_are_lazy():
    assert segbench_nonadj.contacts.__module__ == "segbench_nonadj.contact"
    with pytest.raises(AttributeError, match="nonsense"):
        _ = segbench_nonadj.nonsense
