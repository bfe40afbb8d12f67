"""The method: its terms, its warm-up, its arms, what it saves and what it does not do twice."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from segbench import Batch, LabelMap, Task, soft_dice_loss
from segbench_shape_signature import shape_loss, store
from segbench_shape_signature.fitting import fit, generate
from segbench_shape_signature.method import ShapeSignature
from segbench_shape_signature.settings import Pretraining

TASK = Task("boxes", "1", ("background", "left a", "right a", "b"))
SMALL = Pretraining(iterations=2, levels=2, width=2)
SHAPE = (9, 11, 10)


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    monkeypatch.setattr(store, "_remembered", {})


class FakeStage(SimpleNamespace):
    def __init__(self, folder, **changes):
        settings = {"task": TASK, "dims": 3, "epochs": 3, "steps_per_epoch": 4, "device": torch.device("cpu")}
        super().__init__(
            **{**settings, "folder": folder, "shared": folder / "shared", "trained": [], "labels": (1, 2, 3), **changes}
        )

    def truths(self):
        drawn = np.random.default_rng(0)
        for _ in range(4):
            array = np.zeros(SHAPE, dtype=np.int16)
            for label in self.labels:
                start, size = drawn.integers(0, 5, 3), drawn.integers(2, 5, 3)
                array[tuple(slice(int(a), int(a + n)) for a, n in zip(start, size, strict=True))] = label
            yield LabelMap(array, (1.0, 1.0, 1.0))

    def generator(self, purpose):
        return generate(0)(purpose)

    def fit(self, module, objective, **settings):
        self.trained.append(settings["purpose"])
        return fit(0)(module, objective, **settings)


def prepared(folder, stage=None, **parameters):
    method = ShapeSignature(**{"pretraining": SMALL, "warm_up": 0.0, "threshold": 0.0, **parameters})
    stage = stage or FakeStage(folder)
    method.prepare(stage)
    return method, stage


def make_batch(samples=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((samples, 4, *SHAPE), generator=generator).requires_grad_()
    target = torch.randint(0, 4, (samples, *SHAPE), generator=generator)
    known = torch.ones(samples, dtype=torch.bool)
    batch = Batch(
        logits.detach(), target, {}, known, torch.ones(samples, 3), ["x"] * samples, torch.full((samples,), -1)
    )
    return batch, logits


def by_hand(method, batch, logits):
    losses = [
        shape_loss(one.network, logits.softmax(1)[:, label], batch.target == label, method.cap)
        for label, one in method.signatures_.items()
    ]
    return method.alpha * torch.stack(losses).mean()


def test_terms_and_their_gradient(tmp_path):
    batch, logits = make_batch()
    method, stage = prepared(tmp_path, alpha=0.7, cap=50.0)
    assert len(stage.trained) == 3 and sorted(method.signatures_) == [1, 2, 3]
    terms = method.loss(batch, logits)
    assert set(terms) == {"dice", "shape"}
    torch.testing.assert_close(terms["dice"], soft_dice_loss(logits, batch.target))
    torch.testing.assert_close(terms["shape"], by_hand(method, batch, logits))
    found, expected = (
        torch.autograd.grad(value, logits)[0] for value in (terms["shape"], by_hand(method, batch, logits))
    )
    torch.testing.assert_close(found, expected)
    assert found.any()
    assert all(not value.requires_grad for one in method.signatures_.values() for value in one.network.parameters())


def test_cross_entropy_is_optional(tmp_path):
    batch, logits = make_batch()
    method, _ = prepared(tmp_path, ce_weight=2.0, alpha=0.0)
    expected = 2 * torch.nn.functional.cross_entropy(logits, batch.target)
    torch.testing.assert_close(method.loss(batch, logits)["ce"], expected)


def test_warm_up_counts_steps(tmp_path):
    batch, logits = make_batch()
    method, _ = prepared(tmp_path, warm_up=2 / 3)
    seen = []
    for _ in range(12):
        seen.append(float(method.loss(batch, logits)["shape"].detach()) > 0)
        method.after_step(None)
    assert seen == [False] * 8 + [True] * 4


def test_unknown_voxels_are_not_seen(tmp_path):
    batch, logits = make_batch()
    method, _ = prepared(tmp_path)
    batch.target[:, :, :, 5:] = -1
    before = method.loss(batch, logits)["shape"]
    (gradient,) = torch.autograd.grad(before, logits)
    assert not gradient[..., 5:].any() and gradient[..., :5].any()
    changed = logits.detach().clone()
    changed[..., 5:] = 9.0
    torch.testing.assert_close(method.loss(batch, changed)["shape"], before.detach())


def test_control_trains_no_signature(tmp_path):
    batch, logits = make_batch()
    method, stage = prepared(tmp_path, **ShapeSignature.arms["control"])
    assert not stage.trained and not method.signatures_ and not method.active
    assert method.loss(batch, logits)["shape"] == 0


def test_placebo_takes_another_structure(tmp_path):
    method, _ = prepared(tmp_path)
    placebo, stage = prepared(tmp_path, **ShapeSignature.arms["placebo"])
    assert not stage.trained  # the method has trained them all
    weights = {label: one.network.head.weight for label, one in method.signatures_.items()}
    taken = {1: 3, 2: 3, 3: 1}  # the other side of the same structure is no other structure
    for label, one in placebo.signatures_.items():
        assert torch.equal(one.network.head.weight, weights[taken[label]])
        assert not torch.equal(one.network.head.weight, weights[label])


@pytest.mark.parametrize(("labels", "missing"), [((3,), "left a, right a"), ((1, 2), "b")])
def test_placebo_without_another_structure_is_untrained(tmp_path, caplog, labels, missing):
    stage = FakeStage(tmp_path, labels=labels)
    placebo, _ = prepared(tmp_path, stage, placebo=True)
    assert tuple(placebo.signatures_) == labels and not stage.trained
    assert f"no training truth shows {missing};" in caplog.text
    for one in placebo.signatures_.values():
        assert one.spread.different == pytest.approx(SMALL.spread, rel=1e-5)


def test_structures_by_name_with_or_without_their_side(tmp_path, caplog):
    for names, labels in ((("a",), [1, 2]), (("left a", "b"), [1, 3]), ((), [1, 2, 3])):
        method, _ = prepared(tmp_path, structures=names)
        assert sorted(method.signatures_) == labels
    method, _ = prepared(tmp_path, most=2)
    assert sorted(method.signatures_) == [1, 2] and "only the first 2" in caplog.text
    assert "no structure c" in ShapeSignature(structures=("c",)).incompatible(TASK)
    assert ShapeSignature(structures=("a",)).incompatible(TASK) is None


def test_no_structure_at_all(tmp_path):
    batch, logits = make_batch()
    method, _ = prepared(tmp_path, FakeStage(tmp_path, labels=()))
    assert method.loss(batch, logits)["shape"] == 0 and not method.active


def test_second_prepare_trains_nothing(tmp_path):
    first, _ = prepared(tmp_path / "run")
    store._remembered.clear()  # as in another process
    second, stage = prepared(tmp_path / "run")
    assert not stage.trained
    shared = {"shared": tmp_path / "shared"}
    prepared(tmp_path / "one", FakeStage(tmp_path / "one", **shared))
    store._remembered.clear()
    third, stage = prepared(tmp_path / "two", FakeStage(tmp_path / "two", **shared))
    assert not stage.trained
    for other in (second, third):
        torch.testing.assert_close(other.state(), first.state(), rtol=0, atol=0)


def test_a_resumed_run_has_the_same_signatures_and_step(tmp_path):
    batch, logits = make_batch()
    method, _ = prepared(tmp_path / "one", warm_up=0.1)
    for _ in range(3):
        method.after_step(None)
    store._remembered.clear()
    fresh, _ = prepared(tmp_path / "two", FakeStage(tmp_path / "two", labels=(1, 2)), warm_up=0.1)
    fresh.restore(method.state())
    assert fresh.active and sorted(fresh.signatures_) == [1, 2, 3]
    torch.testing.assert_close(dict(fresh.loss(batch, logits)), dict(method.loss(batch, logits)))


def test_history(tmp_path):
    method, _ = prepared(tmp_path, warm_up=1.0)
    logs = []
    for index in range(2):
        logged = {}
        method.after_epoch(SimpleNamespace(index=index, log=logged.__setitem__))
        logs.append(logged)
    assert set(logs[0]) == {"alpha", *(f"{what}/{n}" for what in ("same", "different", "ratio") for n in (1, 2, 3))}
    assert logs[1] == {"alpha": 0.0} and logs[0]["different/1"] == pytest.approx(0.4, rel=1e-5)


def test_collapse_is_warned_of(tmp_path, caplog):
    stage = FakeStage(tmp_path)
    stage.fit = lambda module, objective, **settings: module.head.weight.data.zero_()
    method, _ = prepared(tmp_path, stage)
    assert "left a" in caplog.text and "pretraining.margin" in caplog.text
    batch, logits = make_batch()
    assert method.loss(batch, logits)["shape"] == 0
