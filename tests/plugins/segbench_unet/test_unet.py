"""The U-Nets: any size in, the same size out; pooling by spacing; parameters that are checked."""

from __future__ import annotations

import pytest
import torch

from segbench import Geometry, Network, UsageError
from segbench.params import make
from segbench_unet.module import SampleNorm, UNet
from segbench_unet.network import UNet2D, UNet3D, UNet25D

ISOTROPIC = Geometry((40, 48, 40), (1.0, 1.0, 1.0), (44, 60, 44))
FLAT = Geometry((12, 200, 180), (6.0, 0.8, 0.8), (16, 220, 200))
ONE_SLICE = Geometry((1, 100, 90), (1.0, 1.0, 1.0), (1, 120, 90))


def pooling(network: UNet3D) -> list[tuple[int, ...]]:
    flat = network.pooling or ()
    return [flat[first : first + 3] for first in range(0, len(flat), 3)]


@pytest.mark.parametrize("size", [(8, 8), (37, 45), (1, 1), (1, 30), (3, 5)])
def test_any_plane(size: tuple[int, int]) -> None:
    module = UNet(2, 3, 4, 4, [(2, 2)] * 3)
    assert module(torch.randn(2, 3, *size)).shape == (2, 4, *size)


@pytest.mark.parametrize("size", [(8, 8, 8), (13, 22, 17), (1, 30, 20), (1, 1, 1), (2, 3, 5)])
@pytest.mark.parametrize("geometry", [ISOTROPIC, FLAT, ONE_SLICE], ids=["isotropic", "flat", "one slice"])
def test_any_volume(size: tuple[int, int, int], geometry: Geometry) -> None:
    module = UNet3D(width=4).adapt(geometry).build(1, 3)
    logits = module(torch.randn(1, 1, *size))
    assert logits.shape == (1, 3, *size) and torch.isfinite(logits).all()


def test_padding_leaves_the_inside_alone() -> None:
    torch.manual_seed(0)
    module = UNet(2, 1, 2, 4, [(2, 2)] * 2).eval()
    image = torch.randn(1, 1, 13, 15)
    padded = torch.nn.functional.pad(image, [0, 1, 0, 3], mode="replicate")
    torch.testing.assert_close(module(image), module(padded)[..., :13, :15])


def test_pooling_follows_the_spacing() -> None:
    assert pooling(UNet3D().adapt(ISOTROPIC)) == [(2, 2, 2)] * 3
    flat = pooling(UNet3D(levels=5).adapt(FLAT))
    assert flat[:2] == [(1, 2, 2), (1, 2, 2)]  # 0.8 -> 1.6 -> 3.2 mm before 6 mm are pooled
    assert flat[-1][0] == 2
    given = UNet3D(levels=3, pooling=(1, 2, 2, 2, 2, 2)).adapt(FLAT)
    assert pooling(given) == [(1, 2, 2), (2, 2, 2)]
    strides = given.build(1, 2).strides
    assert strides == [(1, 2, 2), (2, 2, 2)]


def test_no_axis_is_pooled_away() -> None:
    for geometry in (ISOTROPIC, FLAT, ONE_SLICE):
        network = UNet3D(levels=7).adapt(geometry)
        sizes = list(network.view.size)
        for factors in pooling(network):
            sizes = [n // factor for n, factor in zip(sizes, factors, strict=True)]
        assert min(sizes) >= 4


def test_patches_are_settled() -> None:
    network = UNet3D().adapt(ISOTROPIC)
    assert network.view.size == (48, 56, 48) and UNet3D().patch is None
    small = UNet3D(voxels=20_000).adapt(FLAT).view.size
    assert small[0] * small[1] * small[2] <= 20_000 and all(n % 8 == 0 for n in small)
    assert UNet3D(patch=(16, 32, 32)).adapt(FLAT).view.size == (16, 32, 32)
    view = UNet3D(overlap=0.25, per_case=3, foreground=1.0).adapt(FLAT).view
    assert (view.overlap, view.per_case, view.foreground) == (0.25, 3, 1.0)


def test_slices_are_settled() -> None:
    assert UNet2D().adapt(FLAT).view.axis == 0 and UNet2D().adapt(FLAT).view.size == (220, 200)
    coronal = Geometry((200, 12, 180), (1.0, 5.0, 1.0), (210, 14, 190))
    assert UNet25D().adapt(coronal).view.axis == 1 and UNet25D().adapt(coronal).view.size == (210, 190)
    assert UNet2D().adapt(ISOTROPIC).view.axis == 0  # a tie goes to the first
    given = UNet2D(axis=2, size=(64, 32)).adapt(FLAT).view
    assert (given.axis, given.size, given.context) == (2, (64, 32), 0)
    assert UNet25D(context=3).view.channels(2) == 14 and UNet25D().view.context == 2


@pytest.mark.parametrize(
    ("cls", "values", "words"),
    [
        (UNet2D, {"levels": 1}, "from 2|between 2"),
        (UNet2D, {"axis": 3}, "between 0 and 2"),
        (UNet2D, {"size": "64"}, "size"),
        (UNet25D, {"context": 0}, "between 1"),
        (UNet3D, {"patch": (2, 8, 8)}, "from 4"),
        (UNet3D, {"overlap": 1.0}, "between 0 and 0.9"),
        (UNet3D, {"widht": 8}, "Did you mean 'width'"),
    ],
)
def test_wrong_parameters(cls: type[Network], values: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make(cls, values, "network")


def test_wrong_pooling() -> None:
    with pytest.raises(UsageError, match=r"expected 9 factors .* found 3"):
        UNet3D(pooling=(2, 2, 2)).adapt(ISOTROPIC)


def parameters(module: torch.nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


def test_parameter_counts() -> None:
    # width 4, two levels: blocks 1->4->4, 4->8->8, 12->4->4, a head, and two numbers per normalised channel
    flat = 9 * (1 * 4 + 4 * 4 + 4 * 8 + 8 * 8 + 12 * 4 + 4 * 4) + 2 * 2 * (4 + 8 + 4) + 4 * 3 + 3
    assert parameters(UNet(2, 1, 3, 4, [(2, 2)])) == flat
    deep = 27 * (1 * 4 + 4 * 4 + 4 * 8 + 8 * 8 + 12 * 4 + 4 * 4) + 2 * 2 * (4 + 8 + 4) + 4 * 3 + 3
    assert parameters(UNet(3, 1, 3, 4, [(2, 2, 2)])) == deep
    assert parameters(UNet2D().build(1, 32)) < 1.5e6 and parameters(UNet3D().adapt(ISOTROPIC).build(1, 3)) < 3e6
    wide = UNet2D(width=128, levels=4).build(1, 2)
    assert max(value.shape[0] for value in wide.parameters()) == 320


@pytest.mark.parametrize("network", [UNet2D(width=4), UNet25D(width=4), UNet3D(width=4)], ids=lambda one: one.name)
def test_gradients_and_half_precision(network: Network) -> None:
    adapted = network.adapt(FLAT)
    channels = adapted.view.channels(1)
    torch.manual_seed(0)
    module = adapted.build(channels, 3)
    size = (9, 20, 22)[-adapted.dims :]
    image = torch.randn(2, channels, *size)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = module(image)
    assert half.shape == (2, 3, *size) and torch.isfinite(half).all()
    whole = module(image)
    torch.testing.assert_close(half.float(), whole, atol=0.15, rtol=0.1)
    for logits in (half, whole):
        module.zero_grad()
        logits.float().square().mean().backward()
        assert all(value.grad is not None and torch.isfinite(value.grad).all() for value in module.parameters())
        assert all(value.grad.abs().max() > 0 for value in module.parameters() if value.grad is not None)


def test_normalisation_is_per_sample_and_channel() -> None:
    norm = SampleNorm(3)
    image = torch.randn(2, 3, 9, 8) * torch.tensor([1.0, 10, 100]).view(1, 3, 1, 1) + 5
    torch.testing.assert_close(norm(image), torch.nn.functional.instance_norm(image))
    assert torch.isfinite(norm(torch.ones(2, 3, 1, 1))).all() and torch.isfinite(norm(torch.ones(2, 3, 4, 4))).all()
    assert torch.equal(norm.train()(image), norm.eval()(image))


def test_dropout_acts_in_training_only() -> None:
    module = UNet2D(width=4, dropout=0.5).build(1, 2)
    image = torch.randn(1, 1, 16, 16)
    assert not torch.equal(module(image), module(image))
    module.eval()
    assert torch.equal(module(image), module(image))
