"""The network's size, and the metrics against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segbench import Geometry, LabelMap, Task
from segbench_geometric import edge_detector, weighted_total_variation
from segbench_geometric.metric import ExtraComponents, SliceAreaError, WeightedTVExcess
from segbench_geometric.network import SUNet

TASK = Task("test", "1", ("background", "organ"))
GEOMETRY = Geometry((40, 200, 180), (2.5, 1.0, 1.0), (44, 220, 200))


@pytest.mark.parametrize("width", [4, 16, 24])
def test_fewer_than_a_million_parameters(width: int) -> None:
    module = SUNet(width=width).build(3, 10)
    assert sum(value.numel() for value in module.parameters()) < 1_000_000


@pytest.mark.parametrize("size", [(8, 8), (37, 45), (1, 1), (1, 30), (256, 152)])
def test_any_plane(size: tuple[int, int]) -> None:
    module = SUNet(width=4).adapt(GEOMETRY).build(2, 3)
    logits = module(torch.randn(2, 2, *size))
    assert logits.shape == (2, 3, *size) and torch.isfinite(logits).all()


def test_layers_keep_channels_last_and_normalise_each_sample() -> None:
    from segbench_geometric.module import Layer

    torch.manual_seed(0)
    layer = Layer(3, 8)
    x = torch.randn(2, 3, 9, 7).contiguous(memory_format=torch.channels_last)
    found = layer(x)
    assert found.is_contiguous(memory_format=torch.channels_last)
    expected = torch.nn.functional.leaky_relu(torch.nn.functional.instance_norm(layer.convolution(x)), 0.01)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_the_crop_is_central() -> None:
    view = SUNet(size=(256, 152)).adapt(GEOMETRY).view
    assert view.size == (256, 152) and view.windows((40, 512, 512))[3] == (3, 128, 180)
    assert SUNet().adapt(GEOMETRY).view.size == (220, 200)


def boxes(*places: tuple[slice, slice, slice], spacing: tuple[float, ...] = (3.0, 1.0, 1.0)) -> LabelMap:
    array = np.zeros((6, 12, 10), dtype=np.int16)
    for place in places:
        array[place] = 1
    return LabelMap(array, spacing)


BODY = (slice(1, 5), slice(3, 8), slice(2, 6))


def score(metric: object, predicted: LabelMap, truth: LabelMap) -> float | None:
    (found,) = list(metric.score(predicted, truth, TASK))  # type: ignore[attr-defined]
    return found.value  # type: ignore[no-any-return]


def test_slice_area_error_sees_errors_that_cancel_in_the_volume() -> None:
    truth, moved = boxes(BODY), boxes((slice(2, 6), *BODY[1:]))
    assert score(SliceAreaError(), truth, truth) == 0
    assert score(SliceAreaError(), moved, truth) == pytest.approx(2 / 4)
    sideways = boxes((BODY[0], slice(4, 9), BODY[2]))
    assert score(SliceAreaError(), sideways, truth) == 0
    sliced_otherwise = [LabelMap(one.array, (1.0, 3.0, 1.0)) for one in (sideways, truth)]
    assert score(SliceAreaError(), *sliced_otherwise) == pytest.approx(2 / 5)


def test_weighted_tv_is_that_of_the_training() -> None:
    generator = np.random.default_rng(0)
    truth = boxes(BODY)
    noisy = LabelMap((truth.array ^ (generator.random(truth.array.shape) < 0.05)).astype(np.int16), truth.spacing)
    true, found = (torch.from_numpy(one.array).double() for one in (truth, noisy))
    weight = edge_detector(true, 10.0)
    own, other = (float(weighted_total_variation(one, weight).sum()) for one in (true, found))
    assert score(WeightedTVExcess(), noisy, truth) == pytest.approx(other / own - 1)
    assert score(WeightedTVExcess(), truth, truth) == 0
    assert (score(WeightedTVExcess(beta=0.0), noisy, truth) or 0) < other / own - 1


def test_extra_components() -> None:
    truth = boxes(BODY)
    corner = (slice(0, 1), slice(2, 3), slice(1, 2))  # touches the body diagonally
    island, other = (slice(0, 1), slice(11, 12), slice(9, 10)), (slice(5, 6), slice(0, 1), slice(9, 10))
    assert score(ExtraComponents(), boxes(BODY, corner), truth) == 0
    assert score(ExtraComponents(), boxes(BODY, island, other), truth) == 2
    assert score(ExtraComponents(), truth, boxes(BODY, island, other)) == 0
