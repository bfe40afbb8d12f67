"""The pixel losses against one-hot oracles, gradients and hostile inputs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from segbench import LabelMap
from segbench.losses import cross_entropy, median_frequency_weights, pixel_terms, soft_dice, soft_dice_loss

LAYOUTS = ["contiguous", "channels_last"]


def make(shape=(2, 4, 5, 6, 3), *, seed=0, dtype=torch.float64, layout="contiguous", unknown=True):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(shape, generator=generator, dtype=dtype)
    if layout == "channels_last":
        logits = logits.movedim(1, -1).contiguous().movedim(-1, 1)
    target = torch.randint(-1 if unknown else 0, shape[1], (shape[0], *shape[2:]), generator=generator)
    return logits.requires_grad_(), target


def naive_sums(probabilities, target):
    known = (target >= 0)[:, None].to(probabilities)
    truth = F.one_hot(target.clamp(min=0), probabilities.shape[1]).movedim(-1, 1).to(probabilities) * known
    axes = tuple(range(2, probabilities.ndim))
    return (probabilities * truth).sum(axes), (probabilities * known).sum(axes), truth.sum(axes)


def naive_dice_loss(logits, target, *, background=False, per_sample=False, smooth=1e-5):
    sums = naive_sums(logits.softmax(1), target)
    rows = [[one[b] for one in sums] for b in range(len(target))] if per_sample else [[one.sum(0) for one in sums]]
    values = [
        1 - (2 * overlap[k] + smooth) / (mass[k] + truth[k] + smooth)
        for overlap, mass, truth in rows
        for k in range(0 if background else 1, logits.shape[1])
        if truth[k] > 0
    ]
    return torch.stack(values).mean()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_equals_torch(layout, weighted):
    logits, target = make(layout=layout)
    weight = torch.tensor([0.1, 2.0, 1.0, 0.5], dtype=torch.float64) if weighted else None
    ours, theirs = cross_entropy(logits, target, weight), F.cross_entropy(logits, target, weight, ignore_index=-1)
    torch.testing.assert_close(ours, theirs)
    gradients = [torch.autograd.grad(value, logits)[0] for value in (ours, theirs)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("per_sample", [False, True])
def test_dice_loss_equals_one_hot(layout, background, per_sample):
    logits, target = make(layout=layout)
    target[0][target[0] == 2] = 1  # label 2 is missing from one sample
    target[target == 3] = 0  # label 3 is missing from the batch
    options = {"background": background, "per_sample": per_sample}
    ours, oracle = soft_dice_loss(logits, target, **options), naive_dice_loss(logits, target, **options)
    torch.testing.assert_close(ours, oracle)
    gradients = [torch.autograd.grad(value, logits)[0] for value in (ours, oracle)]
    torch.testing.assert_close(*gradients)


def test_soft_dice_equals_one_hot_and_has_its_gradient():
    logits, target = make()
    probabilities = logits.detach().softmax(1).requires_grad_()
    overlap, mass, truth = naive_sums(probabilities, target)
    oracle = (2 * overlap + 1e-5) / (mass + truth + 1e-5)
    torch.testing.assert_close(soft_dice(probabilities, target, per_sample=True), oracle)
    assert soft_dice(probabilities, target).shape == (4,)
    assert torch.autograd.gradcheck(lambda p: soft_dice(p, target), probabilities)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_of_all_terms_together(layout):
    logits, target = make((2, 3, 3, 2), layout=layout)
    weight = torch.tensor([0.5, 1.0, 2.0])
    factor = torch.randn((2, 3, 3, 2), dtype=torch.float64)

    def function(values):
        terms = pixel_terms(values, target, weight)
        further = (terms.probabilities**2 * factor).sum()
        return terms.cross_entropy, terms.dice_loss(), further, terms.cross_entropy + terms.dice_loss() + further

    assert torch.autograd.gradcheck(function, logits)


@pytest.mark.parametrize("loss", [cross_entropy, soft_dice_loss])
def test_nothing_known_gives_zero_and_zero_gradient(loss):
    logits, target = make()
    value = loss(logits, torch.full_like(target, -1))
    value.backward()
    assert value.item() == 0 and logits.grad.abs().max() == 0


def test_unknown_voxels_have_no_influence():
    logits, target = make()
    changed = logits.detach().clone()
    changed.movedim(1, -1)[target < 0] = 7.0
    for loss in (cross_entropy, soft_dice_loss):
        torch.testing.assert_close(loss(logits, target), loss(changed, target))
        (gradient,) = torch.autograd.grad(loss(logits, target), logits)
        assert gradient.movedim(1, -1)[target < 0].abs().max() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [0.0, 1.0, 3e4])
def test_extreme_and_half_precision_logits_are_finite(dtype, scale):
    logits, target = make()
    half = (logits.detach() * scale).clamp(-6e4, 6e4).to(dtype).requires_grad_()
    terms = pixel_terms(half, target)
    assert terms.cross_entropy.dtype == torch.float32
    (terms.cross_entropy + terms.dice_loss()).backward()
    assert torch.isfinite(terms.cross_entropy) and torch.isfinite(half.grad).all() and half.grad.dtype == dtype


def test_autocast_changes_nothing():
    logits, target = make(dtype=torch.float32)
    plain = pixel_terms(logits, target)
    with torch.autocast("cpu", torch.bfloat16):
        automatic = pixel_terms(logits, target)
        assert torch.equal(plain.mass, automatic.mass)
        automatic.dice_loss().backward()
    assert torch.isfinite(logits.grad).all()


def test_perfect_prediction_costs_nothing():
    _, target = make(unknown=False)
    logits = 50 * F.one_hot(target, 4).movedim(-1, 1).float()
    assert cross_entropy(logits, target) < 1e-6 and soft_dice_loss(logits, target) < 1e-6


def test_median_frequency_weights_by_hand():
    maps = [np.array([[0, 0, 0, 1]]), np.array([[0, 0, 2, -1]])]
    weights = median_frequency_weights([LabelMap(array, (1.0, 1.0)) for array in maps], 4)
    frequencies = [5 / 7, 1 / 4, 1 / 3]  # the median is that of label 2; label 3 is never seen
    expected = [(1 / 3) / frequency for frequency in frequencies] + [1.0]
    torch.testing.assert_close(weights, torch.tensor(expected))


@pytest.mark.parametrize("size", [(64, 64, 64), (64, 64), (1, 64, 64)])
@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("probability", [5e-5, 1e-2, 0.5])
def test_a_label_that_the_truth_lacks_neither_rewards_nor_punishes(size, per_sample, probability):
    target = torch.zeros(2, *size, dtype=torch.long)
    absent = torch.full((2, *size), probability).logit()
    logits = torch.stack([torch.zeros_like(absent), absent, torch.full_like(absent, -20.0)], 1).requires_grad_()
    loss = soft_dice_loss(logits, target, per_sample=per_sample)
    loss.backward()
    assert loss == 0 and not logits.grad.any()
    value = float(soft_dice(logits.detach().softmax(1), target)[1])
    mass = 2 * math.prod(size) * probability
    assert value == pytest.approx(1e-5 / (mass + 1e-5), rel=0.05)  # one minus this would be about 1
    target[0].view(-1)[:9] = 2  # beside a label that is there, the absent one changes nothing
    other = logits.detach().clone()
    other[:, 1] = -20.0
    there = [soft_dice_loss(some, target, per_sample=per_sample) for some in (logits.detach(), other)]
    assert all(value > 0.9 for value in there) and there[0] == pytest.approx(float(there[1]), abs=1e-3)
