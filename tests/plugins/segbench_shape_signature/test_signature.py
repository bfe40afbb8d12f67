"""The signature network, affine pairs and the shape loss."""

from __future__ import annotations

import math

import pytest
import torch

from segbench_shape_signature import SignatureNetwork, affine_pair, shape_loss
from segbench_shape_signature.affine import affine_copy
from segbench_shape_signature.distance import capped_distances, cropped, signature_distance


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def ball(size=(24, 24, 24), radius=6.0, centre=None):
    axes = torch.meshgrid(*[torch.arange(n) + 0.5 for n in size], indexing="ij")
    centre = centre or [n / 2 for n in size]
    return sum((axis - c) ** 2 for axis, c in zip(axes, centre, strict=True)) < radius**2


def network(levels=2, width=4, seed=0):
    torch.manual_seed(seed)
    return SignatureNetwork(levels, width).eval().requires_grad_(False)


@pytest.mark.parametrize("shape", [(1, 9, 7), (5, 5, 5), (16, 24, 8), (17, 3, 31)])
def test_any_size_goes_in_and_a_small_map_comes_out(shape):
    signature = network(levels=3)(torch.rand(2, 1, *shape))
    assert signature.shape == (2, 1, *(math.ceil(n / 8) for n in shape))


def test_nothing_has_no_signature():
    assert torch.equal(network()(torch.zeros(1, 1, 12, 12, 12)), torch.zeros(1, 1, 3, 3, 3))


def test_a_signature_moves_with_its_mask():
    g, mask = network(), torch.zeros(1, 1, 40, 40, 40)
    mask[0, 0, 16:24, 16:22, 16:21] = 1
    moved = mask.roll((4, -8), (2, 4))
    torch.testing.assert_close(g(moved), g(mask).roll((1, -2), (2, 4)))


def test_loss_is_the_norm_between_signatures():
    g, prediction, truth = network(), torch.rand(3, 8, 9, 10), torch.rand(3, 8, 9, 10) > 0.5
    difference = g(prediction[:, None]) - g(truth[:, None].float())
    each = [math.sqrt(float((one**2).sum())) for one in difference]
    assert float(shape_loss(g, prediction, truth, cap=1e9)) == pytest.approx(sum(each) / 3, rel=1e-5)
    cap = sorted(each)[1]
    found = capped_distances(g, prediction, truth, cap)
    assert found.tolist() == pytest.approx([min(one, cap) for one in each], rel=1e-5)
    mean = signature_distance(g(prediction[:, None]), g(truth[:, None].float()), "mean")
    assert mean.tolist() == pytest.approx([one / math.sqrt(difference[0].numel()) for one in each], rel=1e-5)


def test_gradient_is_right():
    g = network().double()
    prediction = torch.rand(2, 1, 4, 5, 6, dtype=torch.float64, requires_grad=True)
    truth = torch.rand(2, 1, 4, 5, 6) > 0.5
    assert torch.autograd.gradcheck(lambda p: shape_loss(g, p, truth, cap=1e3), (prediction,))


def test_no_gradient_above_the_cap_and_none_at_the_truth():
    g, truth = network(), ball((12, 12, 12), 4.0)[None]
    prediction = torch.rand(1, 12, 12, 12).requires_grad_()
    value = float(shape_loss(g, prediction, truth, cap=1e3).detach())
    for cap, slope in ((value * 1.01, True), (value * 0.99, False)):
        loss = shape_loss(g, prediction, truth, cap=cap)
        (gradient,) = torch.autograd.grad(loss, prediction)
        assert bool(gradient.any()) is slope and float(loss.detach()) == pytest.approx(min(value, cap))
    perfect = truth.float().requires_grad_()
    loss = shape_loss(g, perfect, truth)
    (gradient,) = torch.autograd.grad(loss, perfect)
    assert float(loss.detach()) == 0 and not gradient.any()


def test_the_gradient_lowers_the_loss():
    g, truth = network(), ball((12, 12, 12), 4.0)[None]
    logits = torch.zeros(1, 12, 12, 12, requires_grad=True)
    before = shape_loss(g, logits.sigmoid(), truth)
    (gradient,) = torch.autograd.grad(before, logits)
    step = 0.1 * float(before.detach()) / float((gradient**2).sum())
    assert shape_loss(g, (logits - step * gradient).sigmoid(), truth) < before


@pytest.mark.parametrize("box", [(slice(18, 29), slice(20, 31), slice(33, 47)), (slice(0, 3), slice(44, 48), slice(9))])
def test_cropping_changes_nothing_but_the_cost(box):
    g = network(levels=3)
    truth = torch.zeros(1, 48, 48, 53, dtype=torch.bool)
    truth[(0, *box)] = True
    prediction = (truth.float() * torch.rand(truth.shape)).roll(1, 2)
    small = cropped(g, prediction, truth, 0.0)
    assert small[0].shape == small[1].shape and small[0].numel() < prediction.numel()
    torch.testing.assert_close(shape_loss(g, *small, cap=99), shape_loss(g, prediction, truth, cap=99))


def test_cropping_keeps_far_away_false_positives_and_survives_empty_masks():
    g, truth = network(), torch.zeros(1, 32, 32, 32, dtype=torch.bool)
    truth[0, 2:6, 2:6, 2:6] = True
    prediction = truth.float()
    prediction[0, 28, 28, 28] = 0.9
    assert shape_loss(g, *cropped(g, prediction, truth, 0.01)) > 0
    nothing = torch.zeros_like(prediction)
    assert shape_loss(g, *cropped(g, nothing, nothing > 0, 0.01)) == 0


def test_pairs_without_ranges_are_the_mask_itself():
    mask = (torch.rand(3, 1, 9, 12, 7) > 0.5).float()
    first, second = affine_pair(mask, seeded(), rotation=0, scale=0, translation=0)
    assert torch.equal(first, mask) and torch.equal(second, mask)


def test_volumes_stay_within_the_cube_of_the_scale():
    mask = ball((32, 32, 32), 8.0)[None, None].repeat(40, 1, 1, 1, 1)
    before = float(mask[0].sum())
    first, second = affine_pair(mask, seeded())
    volumes = torch.cat([first, second]).flatten(1).sum(1) / before
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert float(volumes.min()) > 0.85**3 * 0.97 and float(volumes.max()) < 1.15**3 * 1.03
    assert float(volumes.max() / volumes.min()) > 1.8
    assert not torch.equal(first, second)


def test_translation_moves_the_centroid_by_at_most_its_share():
    mask = ball((20, 40, 32), 5.0)[None, None].repeat(60, 1, 1, 1, 1)
    moved = affine_copy(mask, seeded(), rotation=0, scale=0, translation=0.1)
    places = torch.stack([one[0].nonzero().float().mean(0) for one in moved]) - mask[0, 0].nonzero().float().mean(0)
    reach = places.abs().amax(0) / torch.tensor([20.0, 40.0, 32.0])
    assert float(reach.max()) < 0.1 + 1 / 20 and float(reach.min()) > 0.07


def test_rotations_are_rotations_on_anisotropic_grids():
    mask = ball((8, 48, 48), 6.0, (4.0, 24.0, 34.0))[None, None]
    distances = []
    for seed in range(20):
        moved = affine_copy(mask, seeded(seed), rotation=8, scale=0, translation=0, spacing=(4.0, 1.0, 1.0))
        centre = moved[0, 0].nonzero().float().mean(0) + 0.5 - torch.tensor([4.0, 24.0, 24.0])
        distances.append(float((centre * torch.tensor([4.0, 1.0, 1.0])).norm()))
    assert distances == pytest.approx([10.0] * 20, abs=0.8)


def test_pairs_depend_on_the_generator_alone():
    mask = ball()[None, None]
    state = torch.random.get_rng_state()
    one, other = (affine_pair(mask, seeded(3))[1] for _ in range(2))
    assert torch.equal(one, other) and torch.equal(torch.random.get_rng_state(), state)
    assert affine_pair(ball(), seeded())[0].shape == (24, 24, 24)
    assert affine_pair(ball()[None], seeded())[0].shape == (1, 24, 24, 24)
