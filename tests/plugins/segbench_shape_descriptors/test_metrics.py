"""The metrics against the differentiable descriptors and by hand; they need no torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from segbench import LabelMap, Task
from segbench_shape_descriptors import centroid, length, spread, volume
from segbench_shape_descriptors.measures import measure
from segbench_shape_descriptors.metrics import BoundViolation, CentroidError, LengthError, SpreadError

TASK = Task("one", "1", ("background", "a"))


@pytest.mark.parametrize(("shape", "spacing"), [((9, 11), (0.5, 2.0)), ((7, 8, 9), (3.0, 1.0, 0.5))])
def test_measures_agree_with_torch(shape, spacing):
    mask = np.random.default_rng(0).random(shape) < 0.3
    mask[0] = mask[:, 0] = False  # cropping must not matter
    found = measure(mask, spacing)
    soft = torch.from_numpy(mask).float()[None, None]
    assert found.volume == pytest.approx(float(volume(soft, spacing)))
    assert found.length == pytest.approx(float(length(soft, spacing)), rel=1e-6)
    np.testing.assert_allclose(found.centroid, centroid(soft, spacing)[0, 0].numpy(), rtol=1e-9)
    np.testing.assert_allclose(found.spread, spread(soft, spacing)[0, 0].numpy(), rtol=1e-9)


def test_a_volume_of_one_slice_is_a_plane():
    mask = np.random.default_rng(1).random((9, 11)) < 0.4
    flat, deep = measure(mask, (0.5, 2.0)), measure(mask[None], (7.0, 0.5, 2.0))
    assert deep.length == flat.length and deep.volume == 7 * flat.volume
    soft = torch.from_numpy(mask).float()[None, None, None]
    for axis in (0, 1, 2):
        order = [*range(1, axis + 1), 0, *range(axis + 1, 3)]  # the slice along any axis
        turned = soft.permute(0, 1, *(2 + one for one in order))
        spacing = tuple((7.0, 0.5, 2.0)[one] for one in order)
        assert float(length(turned, spacing)) == pytest.approx(deep.length, rel=1e-6)
        assert measure(turned[0, 0].numpy() > 0, spacing).length == pytest.approx(deep.length)
    assert deep.centroid[1:].tolist() == flat.centroid.tolist() and deep.spread[0] == 0


def test_structures_at_the_edge_and_full_images():
    full = measure(np.ones((4, 5), bool), (1.0, 1.0))
    assert full.length == 0 and full.volume == 20
    edge = np.zeros((5, 5), bool)
    edge[:2] = True
    wide = np.zeros((50, 5), bool)
    wide[:2] = True
    assert measure(edge, (1.0, 1.0)).length == measure(wide, (1.0, 1.0)).length > 0


def maps(shift=(0, 0, 0), grow=0):
    arrays = [np.zeros((12, 20, 20), np.uint8) for _ in range(2)]
    arrays[0][4:8, 5:10, 6:12] = 1
    d, h, w = shift
    arrays[1][4 + d : 8 + d, 5 + h : 10 + h + grow, 6 + w : 12 + w] = 1
    return [LabelMap(array, (2.0, 1.0, 0.5)) for array in arrays]


def value(metric, truth, predicted):
    (score,) = metric.score(predicted, truth, TASK)
    return score.value


def test_by_hand():
    truth, moved = maps(shift=(1, 2, 4))
    assert value(CentroidError(), truth, moved) == pytest.approx(np.sqrt(4 + 4 + 4))
    assert value(SpreadError(), truth, moved) == pytest.approx(0, abs=1e-9)
    assert value(LengthError(), truth, moved) == pytest.approx(0, abs=1e-9)
    # C = (11, 7, 4.25) mm: moved by 2 mm along each axis, all of them by more than 10 %
    assert value(BoundViolation(), truth, moved) == pytest.approx(3 / 8)
    assert value(BoundViolation(margin=0.2), truth, moved) == pytest.approx(2 / 8)
    truth, grown = maps(grow=5)
    spreads = [np.sqrt((n**2 - 1) / 12) for n in (10, 5)]
    assert value(SpreadError(), truth, grown) == pytest.approx(spreads[0] - spreads[1])
    assert value(CentroidError(), truth, grown) == pytest.approx(2.5)
    assert value(LengthError(), truth, grown) > 0.3


def test_metrics_need_no_torch():
    script = (
        "import sys, numpy as np\n"
        "from segbench import LabelMap, Task\n"
        "from segbench_shape_descriptors import segbench_metrics\n"
        "one = LabelMap(np.ones((3, 4), np.uint8), (1.0, 1.0))\n"
        "for cls in segbench_metrics():\n"
        "    list(cls().score(one, one, Task('t', '1', ('background', 'a'))))\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
