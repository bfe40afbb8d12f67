"""What the method computes per batch, against the plain formulas."""

from __future__ import annotations

import pytest
import torch

from segbench import Batch, cross_entropy, soft_dice_loss
from segbench_geometric import douglas_rachford, edge_detector
from segbench_geometric.objective import Solver, fidelity, mumford_shah, quadratic, shape_of, update


def make_batch(samples: int = 3, labels: int = 3, seed: int = 0) -> tuple[Batch, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn((samples, 2, 7, 8), generator=generator)
    target = torch.randint(0, labels, (samples, 7, 8), generator=generator)
    target[0, :, 6:] = -1
    logits = torch.randn((samples, labels, 7, 8), generator=generator)
    ids = torch.arange(samples)
    spacing, labelled = torch.ones(samples, 2), torch.ones(samples, dtype=torch.bool)
    return Batch(image, target, {}, labelled, spacing, ["x"] * samples, ids), logits


def plain_mumford_shah(p: torch.Tensor, image: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    values = []
    for sample in range(len(p)):
        inside = known[sample]
        for channel in range(image.shape[1]):
            i = image[sample, channel][inside]
            total = p.new_zeros(())
            for label in range(p.shape[1]):
                share = p[sample, label][inside]
                c = ((i * share).sum() / share.sum()).detach()
                total = total + ((i - c) ** 2 * share).sum()
            values.append(total / inside.sum())
    return torch.stack(values).mean()


def test_mumford_shah_is_the_plain_formula() -> None:
    batch, logits = make_batch()
    logits = logits.double().requires_grad_()
    known, image = batch.target >= 0, batch.image.double()
    found, plain = (term(logits.softmax(1), image, known) for term in (mumford_shah, plain_mumford_shah))
    torch.testing.assert_close(found, plain)
    torch.testing.assert_close(*(torch.autograd.grad(value, logits)[0] for value in (found, plain)))


def test_mumford_shah_rewards_homogeneous_regions() -> None:
    image = torch.zeros(1, 1, 4, 4)
    image[..., :2] = 3
    right = torch.stack([image[:, 0] == 0, image[:, 0] > 0], dim=1).float()
    known = torch.ones(1, 4, 4, dtype=torch.bool)
    assert float(mumford_shah(right, image, known)) == pytest.approx(0, abs=1e-6)
    assert float(mumford_shah(right.flip(2).transpose(2, 3), image, known)) == pytest.approx(2.25)


@pytest.mark.parametrize("kind", ["dice", "ce", "dice_ms", "ce_ms"])
def test_fidelities(kind: str) -> None:
    batch, logits = make_batch()
    terms, probabilities = fidelity(batch, logits, kind, 0.7)
    assert set(terms) == {kind.removesuffix("_ms")} | ({"ms"} if kind.endswith("_ms") else set())
    torch.testing.assert_close(probabilities, logits.softmax(1))
    if "dice" in kind:
        torch.testing.assert_close(terms["dice"], soft_dice_loss(logits, batch.target))
    else:
        torch.testing.assert_close(terms["ce"], cross_entropy(logits, batch.target))
    if kind.endswith("_ms"):
        expected = 0.7 * mumford_shah(logits.softmax(1), batch.image, batch.target >= 0)
        torch.testing.assert_close(terms["ms"], expected)


def test_quadratic_is_a_mean_over_known_voxels_and_samples() -> None:
    p, u, w = torch.rand(3, 2, 2, 4, 5).unbind(0)
    known = torch.ones(2, 4, 5, dtype=torch.bool)
    known[0, 2:] = False
    first = (p - u + w)[0, :, :2].square().sum() / 10
    second = (p - u + w)[1].square().sum() / 20
    torch.testing.assert_close(quadratic(p, u, w, known, 4), (first + second) / 4)


def test_shapes_know_padding() -> None:
    target = torch.tensor([[[0, 1, 1, -1], [0, 2, 0, -1], [0, 0, 0, -1]]])
    shape = shape_of(target, 3, 10.0, target >= 0)
    assert shape.area.tolist() == [[2, 1]]
    assert shape.domain[0, 0].tolist() == [[True, True, True, False]] * 3
    assert (shape.weight[:, :, :, 2:] == 0).all()  # padding, and what borders it
    whole = edge_detector(target == 1, 10.0)
    torch.testing.assert_close(shape.weight[:, 0, :, :2], whole[:, :, :2])
    other = shape_of(torch.ones_like(target), 3, 10.0, target >= 0)  # another sample's target: cut to the own domain
    assert other.area.tolist() == [[9, 0]]


def test_update_is_the_second_half_of_algorithm_1() -> None:
    batch, logits = make_batch()
    shape = shape_of(batch.target, 3, 10.0, batch.target >= 0)
    shape = shape._replace(area=shape.area * torch.tensor([[1], [0], [1]]))  # the second sample shows nothing
    p = logits.softmax(1)[:, 1:]
    pair, start = torch.zeros(3, 2, 2, 7, 8), torch.zeros(3, 2, 4, 7, 8)
    solver = Solver(0.5, 0.3, 1.8, 20, 0.0)
    maps, begun = {"pair": pair, "start": start}, torch.zeros(3, dtype=torch.bool)
    w = torch.zeros_like(p)
    for _ in range(3):
        result = update(p, maps, begun, shape, solver)
        u, dual = result.maps["pair"].unbind(1)
        inside = shape.domain.expand_as(p)
        assert (u[~inside] == 0).all() and (dual[~inside] == 0).all() and (u[1] == 0).all()
        torch.testing.assert_close(u.flatten(2).sum(2), shape.area.float(), atol=1e-3, rtol=0)
        alone, _ = douglas_rachford(
            p[2], w[2], shape.weight[2], shape.area[2], 0.5, 0.3, 1.8, 20, 0.0,
            start=maps["start"][2] if begun[2] else None,
        )  # fmt: skip
        torch.testing.assert_close(u[2], alone)
        torch.testing.assert_close(dual, (w + p - u) * inside)
        gap = ((p - u)[2].square().mean()).sqrt()
        assert float(result.measures["residual"]) > float(gap)
        assert int(result.measures["solved"]) == 4 and int(result.measures["iterations"]) == 80
        maps, begun, w = result.maps, torch.ones(3, dtype=torch.bool), dual


def test_measures_of_a_sample() -> None:
    batch, logits = make_batch(1, 2)
    shape = shape_of(batch.target, 2, 10.0, batch.target >= 0)
    p = logits.softmax(1)[:, 1:]
    maps = {"pair": torch.zeros(1, 2, 1, 7, 8), "start": torch.zeros(1, 1, 4, 7, 8)}
    result = update(p, maps, torch.zeros(1, dtype=torch.bool), shape, Solver(0.5, 0.3, 1.8, 20, 0.0))
    known, u = shape.domain, result.maps["pair"][:, 0]
    expected = (p - u)[known].square().mean().sqrt()
    torch.testing.assert_close(result.measures["residual"], expected)
    torch.testing.assert_close(result.measures["area_error"], (p[known].sum() - shape.area.sum()).abs())
