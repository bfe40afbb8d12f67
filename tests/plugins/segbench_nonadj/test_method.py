"""The method with a fake engine: prior, arms, joint pass, lambda through a run, resuming."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from segbench import UNLABELLED, Batch, LabelMap, Task, cross_entropy, soft_dice_loss
from segbench.params import describe, make
from segbench_nonadj import penalty
from segbench_nonadj.method import NonAdjLoss
from segbench_nonadj.objective import adjacency_penalty
from segbench_nonadj.schedule import Schedule

TASK = Task("strip", "1", ("background", "a", "b", "c", "d"))
TRUTH = np.array([[[0, 1, 2, 3, 4, 0, 0, 0]]])  # allowed: 01 12 23 34 40; forbidden: 02 03 13 14 24


class FakeStage(SimpleNamespace):
    def __init__(self, **changes):
        super().__init__(
            **{"task": TASK, "dims": 2, "epochs": 10, "steps_per_epoch": 1, "device": torch.device("cpu"), **changes}
        )

    def truths(self):
        yield LabelMap(TRUTH, (5.0, 1.0, 1.0))

    def generator(self, purpose):
        return torch.Generator().manual_seed(len(purpose))


class FakeEpoch:
    def __init__(self, index, dice, batches, train=None, total=10):
        self.index, self.total, self.last = index, total, index == total - 1
        self.val = {} if dice is None else {"dice": dice}
        self.train, self.skipped, self.logged, self.reason = train or {}, 0, {}, None
        self.batches = batches
        self.passes = 0

    def outputs(self):
        self.passes += 1
        return iter(self.batches)

    def log(self, name, value):
        self.logged[name] = value

    def stop(self, reason):
        self.reason = reason


def make_batch(samples=2, seed=0, labelled=None):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((samples, 5, 6, 8), generator=generator)
    target = torch.randint(0, 5, (samples, 6, 8), generator=generator)
    labelled = torch.ones(samples, dtype=torch.bool) if labelled is None else torch.tensor(labelled)
    target[~labelled] = -1
    spacing = torch.ones((samples, 2))
    return Batch(logits, target, {}, labelled, spacing, ["x"] * samples, torch.full((samples,), -1)), logits


def prepared(stage=None, **parameters):
    method = NonAdjLoss(**parameters)
    method.prepare(stage or FakeStage())
    return method


def forbidden_set(method):
    return {(int(i), int(j)) for i, j in method.forbidden_.nonzero() if i < j}


def test_prior_from_truths():
    assert forbidden_set(prepared()) == {(0, 2), (0, 3), (1, 3), (1, 4), (2, 4)}
    assert forbidden_set(prepared(minimum_contacts=2)) == {(i, j) for i in range(5) for j in range(i + 1, 5)}


def test_prior_from_a_file(tmp_path):
    (tmp_path / "prior.toml").write_text('forbidden = [["a", "d"]]')
    assert forbidden_set(prepared(prior=tmp_path / "prior.toml", minimum_contacts=9)) == {(1, 4)}


def test_placebo_is_seeded_and_as_strong():
    real, one, two = prepared(), prepared(placebo=True), prepared(placebo=True)
    assert forbidden_set(one) == forbidden_set(two) != forbidden_set(real)
    assert len(forbidden_set(one)) == len(forbidden_set(real))


def test_terms_before_and_after_the_warm_up():
    batch, logits = make_batch()
    method = prepared(dice_weight=5.0)
    terms = method.loss(batch, logits)
    torch.testing.assert_close(terms["ce"], cross_entropy(logits, batch.target))
    torch.testing.assert_close(terms["dice"], 5 * soft_dice_loss(logits, batch.target))
    assert terms["adjacency"] == 0
    method.control_.level = 2.5
    expected = 2.5 * penalty(logits.softmax(1), method.forbidden_)
    torch.testing.assert_close(method.loss(batch, logits)["adjacency"], expected)


def test_gradient_is_that_of_the_plain_formula():
    batch, logits = make_batch()
    method = prepared()
    method.control_.level = 3.0
    logits.requires_grad_()
    ours = sum(method.loss(batch, logits).values())
    windows = torch.nn.functional.avg_pool2d(logits.softmax(1), 3, 1, 1)
    adjacency = torch.einsum("bihw,bjhw->ij", logits.softmax(1), windows) / batch.target.numel()
    plain = torch.nn.functional.cross_entropy(logits, batch.target) + soft_dice_loss(logits, batch.target)
    plain = plain + 3.0 * adjacency[method.forbidden_].mean()
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(*(torch.autograd.grad(value, logits)[0] for value in (ours, plain)))


def test_pixel_losses_see_the_labelled_and_the_penalty_sees_all():
    batch, logits = make_batch(3, labelled=[True, False, True])
    method = prepared(unlabelled=4)
    method.control_.level = 1.0
    terms = method.loss(batch, logits)
    keep = [0, 2]
    torch.testing.assert_close(terms["ce"], cross_entropy(logits[keep], batch.target[keep]))
    torch.testing.assert_close(terms["dice"], soft_dice_loss(logits[keep], batch.target[keep]))
    torch.testing.assert_close(terms["adjacency"], penalty(logits.softmax(1), method.forbidden_))
    read = batch.target.clone()
    read[1] = 3  # a target that was read although its sample counts as unlabelled changes nothing
    leaking = Batch(logits, read, {}, batch.labelled, batch.spacing, batch.case_ids, batch.sample_ids)
    torch.testing.assert_close(dict(method.loss(leaking, logits)), dict(terms))


def test_needs_follow_the_parameters():
    assert NonAdjLoss().needs == frozenset() and NonAdjLoss.needs == frozenset()
    assert NonAdjLoss(unlabelled=3).needs == {UNLABELLED} and NonAdjLoss(unlabelled=3).supervision == "semi"


def test_unknown_voxels_of_labelled_samples_touch_nothing():
    batch, logits = make_batch()
    batch.target[0, :, 4:] = -1
    method = prepared()
    probabilities = logits.softmax(1)
    cut = probabilities.clone()
    cut[0, :, :, 4:] = 0
    found = adjacency_penalty(batch, probabilities, method.forbidden_, 3, 0.0)
    torch.testing.assert_close(found, penalty(cut, method.forbidden_))


def test_padding_of_unlabelled_samples_touches_nothing():
    batch, logits = make_batch(labelled=[True, False])
    method = prepared(unlabelled=1)
    inside = torch.ones_like(batch.target, dtype=torch.bool)
    inside[1, :, 5:] = False
    padded = dataclasses.replace(batch, inside=inside)
    cut = logits.softmax(1)
    cut[1, :, :, 5:] = 0
    found = adjacency_penalty(padded, logits.softmax(1), method.forbidden_, 3, 0.0)
    torch.testing.assert_close(found, penalty(cut, method.forbidden_))
    found = adjacency_penalty(batch, logits.softmax(1), method.forbidden_, 3, 0.0)
    torch.testing.assert_close(found, penalty(logits.softmax(1), method.forbidden_))


def test_eased_lambda_reaches_the_loss_and_the_history():
    batch, logits = make_batch()
    method = prepared(FakeStage(steps_per_epoch=2), schedule=Schedule(ease=1.0))
    method.control_.start(2, 0.8, 0.01, 0.8)
    raw, seen = float(penalty(logits.softmax(1), method.forbidden_)), []
    for _ in range(2):
        seen.append(float(method.loss(batch, logits)["adjacency"]))
        method.after_step(SimpleNamespace(skipped=False))
    assert seen == pytest.approx([12 * raw, 24 * raw])
    epoch = FakeEpoch(3, 0.5, [], {"adjacency": np.mean(seen)})
    method.after_epoch(epoch)
    assert epoch.logged["penalty"] == pytest.approx(raw) and epoch.logged["lambda"] == pytest.approx(24)


def test_phases_are_numbers_in_the_history():
    batches = [make_batch(seed=seed) for seed in range(3)]
    logs = run(prepared(), 10, batches)
    assert [logged["phase"] for logged, _ in logs] == [0, 0, 0, *[1] * 7]


def test_spacing_aware_neighbourhood():
    batch, logits = make_batch()
    probabilities, forbidden = logits.softmax(1), prepared().forbidden_
    batch.spacing[:] = torch.tensor([2.0, 0.5])
    found = adjacency_penalty(batch, probabilities, forbidden, 3, 1.0)
    torch.testing.assert_close(found, penalty(probabilities, forbidden, (1, 5)))
    batch.spacing[1] = 1.0
    parts = [penalty(probabilities[:1], forbidden, (1, 5)), penalty(probabilities[1:], forbidden, (3, 3))]
    found = adjacency_penalty(batch, probabilities, forbidden, 3, 1.0)
    torch.testing.assert_close(found, torch.stack(parts).mean())


def run(method, epochs, batches, start=0):
    logs = []
    for index in range(start, epochs):
        train = {"adjacency": method.control_.value * 0.25}
        method.after_step(SimpleNamespace(skipped=False))
        epoch = FakeEpoch(index, 0.5 + index / 100, batches, train)
        method.after_epoch(epoch)
        logs.append((epoch.logged, epoch.passes))
    return logs


def test_lambda_through_a_run_and_a_resume():
    batches = [make_batch(seed=seed) for seed in range(3)]
    method = prepared()
    logs = run(method, 10, batches)
    assert [passes for _, passes in logs] == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    dice = np.mean([1 - float(soft_dice_loss(logits, batch.target)) for batch, logits in batches])
    mean = np.mean([float(penalty(logits.softmax(1), method.forbidden_)) for _, logits in batches])
    values = [logged["lambda"] for logged, _ in logs]
    assert values[:3] == [0, 0, 0] and values[3] == pytest.approx(0.3 * dice / mean, rel=1e-5)
    assert values[7] == values[3] and values[8] == pytest.approx(1.3 * values[3])  # every 5th epoch
    assert logs[2][0]["penalty"] == pytest.approx(mean, rel=1e-5) and logs[5][0]["penalty"] == pytest.approx(0.25)
    first = prepared(placebo=True)
    run(first, 5, batches)
    resumed = prepared(placebo=True)
    resumed.restore(first.state())
    assert run(resumed, 10, batches, start=5) == run(first, 10, batches, start=5)


def test_control_arm_never_penalises():
    batches = [make_batch()]
    method = prepared(**NonAdjLoss.arms["control"])
    logs = run(method, 10, batches)
    assert all(logged == {"lambda": 0.0, "phase": 0} and passes == 0 for logged, passes in logs)
    assert method.loss(*batches[0])["adjacency"] == 0


def test_non_finite_steps_end_the_training():
    method = prepared()
    method.control_.start(2, 0.5, 0.1, 0.5)
    for _ in range(3):
        method.after_step(SimpleNamespace(skipped=True))
    method.after_step(SimpleNamespace(skipped=False))
    epoch = FakeEpoch(4, 0.5, [])
    method.after_epoch(epoch)
    assert "3 non-finite" in epoch.reason


def test_median_weights_and_their_state():
    method = prepared(class_weighting="median")
    assert method.weights_.tolist() == pytest.approx([0.25, 1, 1, 1, 1])
    other = prepared(class_weighting="median")
    other.restore(method.state())
    assert torch.equal(other.weights_, method.weights_)


def test_nothing_forbidden_warns(caplog):
    task = Task("pair", "1", ("background", "a", "b"))
    stage = FakeStage(task=task)
    stage.truths = lambda: [LabelMap(np.array([[[0, 1, 2, 0]]]), (1.0, 1.0, 1.0))]
    method = prepared(stage)
    assert not method.forbidden_.any() and "every pair" in caplog.text


def test_incompatible_in_words():
    assert "two foreground" in NonAdjLoss().incompatible(Task("t", "1", ("background", "a")))
    assert "odd" in NonAdjLoss(size=4).incompatible(TASK)
    assert NonAdjLoss().incompatible(TASK) is None


def counted(truths):
    """Yield label maps, and keep count of how many were asked for."""
    for truth in truths:
        counted.number += 1
        yield truth


@pytest.mark.parametrize("arm", [{}, *NonAdjLoss.arms.values()])
def test_inert_where_every_pair_touches(arm):
    task = Task("pair", "1", ("background", "a", "b"))
    touching, apart = (LabelMap(np.array([[row]]), (1.0, 1.0, 1.0)) for row in ([0, 1, 2, 0], [0, 1, 0, 2]))
    counted.number = 0
    reason = NonAdjLoss(**arm).inert(task, counted([apart, touching, apart]))
    assert "prior is empty" in reason and "first 2 training truths" in reason and counted.number == 2
    assert "the first training truth" in NonAdjLoss(**arm).inert(task, [touching])
    assert NonAdjLoss(**arm).inert(task, [apart] * 3) is None
    assert "first 2" in NonAdjLoss(minimum_contacts=2, **arm).inert(task, [touching] * 3)


def test_inert_with_a_prior_file_that_forbids_nothing(tmp_path):
    task = Task("pair", "1", ("background", "a", "b"))
    pairs = '["background", "a"], ["background", "b"]'
    file = tmp_path / "prior.toml"
    file.write_text(f'allowed = [{pairs}, ["a", "b"]]')
    assert "may touch each other by" in NonAdjLoss(prior=file).inert(task, [])
    file.write_text(f"allowed = [{pairs}]")
    assert NonAdjLoss(prior=file).inert(task, []) is None


def test_parameters_can_be_set_and_described():
    method = make(NonAdjLoss, {"control": "ramp", "strength": "3", "schedule": {"warm_up": "0.5"}}, "method nonadj")
    assert method.control == "ramp" and method.schedule == Schedule(warm_up=0.5)
    assert "schedule.growth" in [key for key, *_ in describe(NonAdjLoss)]
