"""The paper's network: any size, seven slices, unpooling with the encoder's indices, dropout in the deepest encoder."""

from __future__ import annotations

import pytest
import torch

from segbench import Geometry, UsageError
from segbench.params import make
from segbench_nonadj.modsegnet import ModSegNet
from segbench_nonadj.modsegnet_module import ModSegNetModule

GEOMETRY = Geometry((40, 48, 40), (1.0, 1.0, 3.0), (44, 60, 46))


@pytest.mark.parametrize("size", [(16, 16), (37, 45), (1, 1), (3, 30)])
def test_any_plane(size):
    module = ModSegNetModule(7, 4, (4, 8, 8), 0.5)
    assert module(torch.randn(2, 7, *size)).shape == (2, 4, *size)


def test_seven_slices_along_the_coarsest_axis():
    view = ModSegNet().adapt(GEOMETRY).view
    assert (view.axis, view.size, view.channels(1)) == (2, (44, 60), 7)
    given = ModSegNet(axis=1, size=(32, 24), context=1).adapt(GEOMETRY).view
    assert (given.axis, given.size, given.channels(2)) == (1, (32, 24), 6)


def test_layers_by_hand():
    module = ModSegNet().adapt(GEOMETRY).build(7, 135)
    pairs = [(7, 32), (32, 64), (64, 128), (128, 256), (512, 128), (256, 64), (128, 32), (64, 32)]
    expected = sum(9 * (one + two) * two + 2 * two for one, two in pairs) + 32 * 135 + 135
    assert sum(value.numel() for value in module.parameters()) == expected


def test_xavier_initialisation():
    torch.manual_seed(0)
    layer = next(one for one in ModSegNet().build(7, 4).modules() if getattr(one, "in_channels", 0) == 512)
    deviation = (2 / (9 * (512 + 128))) ** 0.5
    assert float(layer.weight.detach().std()) == pytest.approx(deviation, rel=0.02) and layer.bias.abs().max() == 0


def test_unpooling_puts_values_where_they_came_from():
    module = ModSegNetModule(1, 1, (1,), 0.0).eval()
    with torch.no_grad():
        for layer in [*module.encoders[0], *module.decoders[0]]:  # every convolution passes its first channel on
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.zero_()
                layer.weight[0, 0, 1, 1] = 1
        module.head.weight.fill_(1)
        image = torch.tensor([[[[1.0, 5.0, 0.0, 2.0], [3.0, 4.0, 7.0, 6.0]]]])
        found = module(image)  # the decoder's first channel is the unpooled map, the skip the second
    assert found.tolist() == [[[[0, 5, 0, 0], [0, 0, 7, 0]]]]


def test_dropout_acts_in_training_only():
    module, image = ModSegNetModule(1, 2, (4, 4), 0.5), torch.randn(1, 1, 16, 16)
    assert not torch.equal(module(image), module(image))
    module.eval()
    assert torch.equal(module(image), module(image))


def test_gradients_in_half_precision():
    module = ModSegNetModule(3, 4, (4, 8), 0.0)
    with torch.autocast("cpu", torch.bfloat16):
        logits = module(torch.randn(2, 3, 20, 22).contiguous(memory_format=torch.channels_last))
    logits.float().square().mean().backward()
    assert all(torch.isfinite(value.grad).all() for value in module.parameters())


def test_levels_are_needed():
    with pytest.raises(UsageError, match="at least one level"):
        make(ModSegNet, {"widths": ()}, "network modsegnet")
