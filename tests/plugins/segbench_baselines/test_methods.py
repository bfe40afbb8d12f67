"""The baselines' terms, weights, state and light import."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from segbench import Batch, LabelMap, Task, cross_entropy, soft_dice_loss
from segbench_baselines.method import CrossEntropy, CrossEntropyDice, Dice


@pytest.fixture
def stage():
    truth = LabelMap(np.array([[0, 0, 0, 0, 1, 1, 2]]), (1.0, 1.0))
    task = Task("t", "1", ("background", "a", "b"))
    return SimpleNamespace(task=task, device=torch.device("cpu"), truths=lambda: iter([truth]))


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(-1, 3, (2, 4, 5), generator=generator)
    image = torch.randn((2, 3, 4, 5), generator=generator)
    every = torch.ones(2, dtype=torch.bool)
    return Batch(image, target, {}, every, torch.ones(2, 2), ["x", "y"], torch.full((2,), -1))


def test_terms(stage, batch):
    logits, expected = batch.image, {}
    expected["ce"] = cross_entropy(logits, batch.target)
    expected["dice"] = soft_dice_loss(logits, batch.target, background=True)
    for method in (CrossEntropy(), Dice()):
        method.prepare(stage)
        torch.testing.assert_close(dict(method.loss(batch, logits)), {method.name: expected[method.name]})
    both = CrossEntropyDice(ce_weight=2.0, dice_weight=0.5)
    both.prepare(stage)
    dice = soft_dice_loss(logits, batch.target)
    torch.testing.assert_close(dict(both.loss(batch, logits)), {"ce": 2 * expected["ce"], "dice": 0.5 * dice})


@pytest.mark.parametrize("kind", [CrossEntropy, CrossEntropyDice])
def test_median_weights_and_resume(kind, stage, batch):
    method = kind(class_weighting="median")
    method.prepare(stage)
    assert method.weights_.tolist() == pytest.approx([0.5, 1.0, 2.0])
    torch.testing.assert_close(
        method.loss(batch, batch.image)["ce"], cross_entropy(batch.image, batch.target, method.weights_)
    )
    other = kind(class_weighting="median")
    other.prepare(stage)
    other.restore(method.state())
    assert torch.equal(other.weights_, method.weights_)
    plain = kind()
    plain.prepare(stage)
    plain.restore(plain.state())
    assert plain.weights_ is None


@pytest.mark.parametrize("plugin", ["segbench_baselines", "segbench_nonadj"])
def test_hooks_load_neither_torch_nor_numpy(plugin):
    code = (
        f"import sys, {plugin} as plugin\n"
        "parts = [part for hook in dir(plugin) if hook.startswith('segbench_') and callable(getattr(plugin, hook))"
        " for part in getattr(plugin, hook)()]\n"
        "assert parts and not {'torch', 'numpy', 'scipy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
