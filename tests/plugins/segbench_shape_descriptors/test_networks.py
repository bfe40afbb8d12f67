"""The networks: any size in, the same size out; their structure; learning; recipes."""

from __future__ import annotations

import pytest
import torch

from segbench import Choice, Geometry, load_catalogue
from segbench_shape_descriptors.enet import Bottleneck, Downsampling, ENetModule
from segbench_shape_descriptors.networks import ENet, ResidualUNet
from segbench_shape_descriptors.residual import ResidualUNetModule
from segbench_shape_descriptors.studies import Acdc, Promise12

FLAT = Geometry((12, 200, 180), (6.0, 0.8, 0.8), (16, 220, 200))
SMALL = [lambda channels, labels: ENetModule(channels, labels, 8), lambda c, k: ResidualUNetModule(c, k, 4, 3)]


@pytest.mark.parametrize("make", SMALL, ids=["enet", "residual_unet"])
@pytest.mark.parametrize("size", [(32, 32), (37, 45), (1, 1), (1, 30), (3, 5)])
def test_any_size_in_both_modes(make, size):
    torch.manual_seed(0)
    module = make(3, 4)
    assert module(torch.randn(1, 3, *size)).shape == (1, 4, *size)
    with torch.no_grad():
        logits = module.eval()(torch.randn(2, 3, *size).to(memory_format=torch.channels_last))
    assert logits.shape == (2, 4, *size) and torch.isfinite(logits).all()


@pytest.mark.parametrize("make", SMALL, ids=["enet", "residual_unet"])
def test_half_precision_and_gradients(make):
    torch.manual_seed(0)
    module = make(1, 3).eval()
    image = torch.randn(2, 1, 24, 33)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = module(image)
    torch.testing.assert_close(half.float(), module(image), atol=0.2, rtol=0.2)
    half.float().square().mean().backward()
    assert all(one.grad is not None and torch.isfinite(one.grad).all() for one in module.parameters())


@pytest.mark.parametrize("make", SMALL, ids=["enet", "residual_unet"])
def test_it_learns(make):
    torch.manual_seed(0)
    module = make(1, 2)
    image = torch.randn(4, 1, 24, 24)
    target = torch.zeros(4, 24, 24, dtype=torch.int64)
    target[:, 6:18, 4:15] = 1
    image[:, 0] += 2 * target
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    losses = []
    for _ in range(20):
        loss = torch.nn.functional.cross_entropy(module(image), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert min(losses[-3:]) < 0.6 * losses[0]


def test_the_published_sizes():
    enet = ENet().build(1, 4)
    assert 0.34e6 < sum(one.numel() for one in enet.parameters()) < 0.40e6  # 0.37 M in the paper
    kinds = [type(one) for one in enet.modules()]
    assert kinds.count(Bottleneck) == 4 + 16 + 2 + 1 and kinds.count(Downsampling) == 2
    assert sorted({one.dilation[0] for one in enet.modules() if isinstance(one, torch.nn.Conv2d)}) == [1, 2, 4, 8, 16]
    assert enet.head.weight.shape == (16, 4, 2, 2)
    residual = ResidualUNet(width=4, levels=3).build(2, 5)
    assert len(residual.down) == 3 and residual.head.weight.shape == (5, 4, 1, 1)


def test_more_channels_than_the_initial_block():
    assert ENetModule(20, 2, 16)(torch.randn(2, 20, 16, 16)).shape == (2, 2, 16, 16)


@pytest.mark.parametrize("network", [ENet(), ResidualUNet()], ids=lambda one: one.name)
def test_slices_are_settled(network):
    adapted = network.adapt(FLAT)
    assert type(adapted) is type(network) and adapted.view.axis == 0 and adapted.view.size == (220, 200)
    assert type(network)(size=(256, 256), axis=2).adapt(FLAT).view.size == (256, 256)


def test_recipes():
    catalogue = load_catalogue()
    for cls, batch in ((Acdc, 8), (Promise12, 4)):
        recipe = catalogue.study(Choice(cls.name)).recipe()
        assert (recipe.optimizer, recipe.learning_rate, recipe.betas, recipe.batch) == (
            "adam",
            5e-4,
            (0.9, 0.99),
            batch,
        )
        assert recipe.augmentation.blur > 0 < recipe.augmentation.shift and recipe.augmentation.elastic == 0
