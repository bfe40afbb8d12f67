"""The method with a fake engine: bounds, absent classes, numbers only, rules, arms, multipliers, supervision."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from segbench import FIXED_SAMPLES, Batch, Incompatible, Task, UsageError, cross_entropy, log_barrier
from segbench.params import make
from segbench_shape_descriptors import length, volume
from segbench_shape_descriptors.bounds import Bounds, summarise
from segbench_shape_descriptors.descriptors import Shape, describe
from segbench_shape_descriptors.expressions import parse_rule
from segbench_shape_descriptors.layout import columns
from segbench_shape_descriptors.method import STEEPEST, ShapeDescriptors
from segbench_shape_descriptors.placebo import Strangers

TASK = Task("boxes", "1", ("background", "a", "b"))
CPU = torch.device("cpu")


def make_batch(samples=3, size=(10, 12), seed=0):
    generator = torch.Generator().manual_seed(seed)
    target = torch.zeros((samples, *size), dtype=torch.int64)
    for b in range(samples):
        target[b][(slice(1, 4 + b), *[slice(2, 7)] * (len(size) - 1))] = 1
        target[b][(slice(6, 9), *[slice(3, 8 + b % 3)] * (len(size) - 1))] = 2
    image = torch.randn((samples, 1, *size), generator=generator)
    spacing = torch.tensor([[3.0, 1.0, 0.5][-len(size) :]] * samples)
    labelled = torch.ones(samples, dtype=torch.bool)
    return Batch(image, target, {}, labelled, spacing, [f"c{b}" for b in range(samples)], torch.arange(samples))


def logits_of(batch, seed=1):
    generator = torch.Generator().manual_seed(seed)
    shape = (batch.target.shape[0], 3, *batch.target.shape[1:])
    return torch.randn(shape, generator=generator).requires_grad_()


class FakeStage(SimpleNamespace):
    def __init__(self, **changes):
        super().__init__(**{"task": TASK, "dims": 2, "device": CPU, "samples": 0, **changes})

    def batches(self):
        others = make_batch(2, seed=5)
        moved = replace(others, target=others.target.roll(1, 2), sample_ids=torch.tensor([3, 4]))
        return iter([make_batch(seed=0), moved])

    def generator(self, purpose):
        return torch.Generator().manual_seed(3)


class FakeEpoch(SimpleNamespace):
    def __init__(self):
        super().__init__(logged={})

    def log(self, name, value):
        self.logged[name] = value


def prepared(**parameters):
    method = ShapeDescriptors(**parameters)
    method.prepare(FakeStage(samples=6 if FIXED_SAMPLES in method.needs else 0))
    return method


def total(method, batch, logits):
    return sum(method.loss(batch, logits).values())


@pytest.mark.parametrize("size", [(10, 12), (10, 9, 12)])
def test_loss_is_the_printed_formula(size):
    batch = make_batch(size=size)
    logits = logits_of(batch)
    found = total(prepared(weights=(0.01,)), batch, logits)
    p, y = logits.softmax(1), torch.nn.functional.one_hot(batch.target, 3).movedim(-1, 1).float()
    expected = 0.0
    for name in ("volume", "centroid", "spread", "length"):
        f, tau = describe(p, [name]), describe(y, [name])
        for k in (1, 2):
            low, high = 0.9 * tau[:, k] - f[:, k], f[:, k] - 1.1 * tau[:, k]
            expected = expected + (log_barrier(low, 1.0) + log_barrier(high, 1.0)).sum()
    torch.testing.assert_close(found.double(), 0.01 * expected / p[:, 0].numel(), rtol=1e-5, atol=0)
    gradients = [torch.autograd.grad(one, logits)[0] for one in (found, 0.01 * expected / p[:, 0].numel())]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-9)


def test_summaries():
    batch = make_batch()
    batch.target[1] = batch.target[1].where(batch.target[1] != 2, 0)
    batch.target[2] = -1
    numbers = summarise(batch.target, batch.labelled, 3, ("volume", "centroid", "length"))
    assert numbers.shape == (3, 3, 4) and not numbers.requires_grad
    assert numbers[0, 1].tolist() == [15, 2, 4, pytest.approx(float(length((batch.target[:1, None] == 1).float())))]
    assert numbers[1, 2, 0] == 0 and numbers[1, 2, 1:].isnan().all()  # an absent class has a volume and nothing else
    assert numbers[2].isnan().all()
    assert summarise(batch.target, ~batch.labelled, 3, ("volume",)).isnan().all()


def test_absent_classes_constrain_only_the_volume():
    batch = make_batch(1)
    batch.target[batch.target == 2] = 0
    bounds = Bounds(("volume", "centroid", "spread", "length"), 0.1)
    shape = Shape(logits_of(batch).softmax(1), length=True)
    numbers = summarise(batch.target, batch.labelled, 3, bounds.names)
    residuals = bounds.residuals(shape, numbers)
    z, active = residuals["volume"]
    assert active.tolist() == [[True, True, False, True]]  # label 1 from both sides, label 2 from above
    assert float(z[0, 3].detach()) == pytest.approx(float(shape.volume[0, 2].detach()))
    for name in ("centroid", "spread", "length"):
        z, active = residuals[name]
        half = active.shape[1] // 2
        assert active[:, :half].all() and not active[:, half:].any() and torch.isfinite(z).all()
    logits = torch.zeros(1, 3, 10, 12, requires_grad=True)
    total(prepared(), batch, logits).backward()
    before = float(logits.softmax(1)[:, 2].sum().detach())
    moved = logits - 1000 * logits.grad
    assert float(moved.softmax(1)[:, 2].sum().detach()) < before


@pytest.mark.parametrize(
    "parameters", [{}, {"solver": "penalty"}, {"solver": "augmented_lagrangian"}, {"physical": True}]
)
def test_of_the_truth_only_the_numbers_reach_the_loss(parameters, monkeypatch):
    """Once the numbers are taken, the target may be anything at all: the loss and its gradient stay the same."""
    batch = make_batch()
    logits = logits_of(batch)
    method = prepared(**parameters)
    numbers = method.numbers(batch)
    assert numbers.shape == (3, 3, 6) and numbers.numel() < batch.target.numel() / 5
    expected = total(prepared(**parameters), batch, logits)
    monkeypatch.setattr(ShapeDescriptors, "numbers", lambda self, batch: numbers)
    garbage = torch.randint(-1, 3, batch.target.shape, generator=torch.Generator().manual_seed(9))
    for target in (garbage, torch.full_like(batch.target, 2), torch.full_like(batch.target, 10**9), None):
        found = total(prepared(**parameters), replace(batch, target=target), logits)
        assert torch.equal(found, expected)
        assert torch.equal(*(torch.autograd.grad(one, logits, retain_graph=True)[0] for one in (found, expected)))


def test_targets_with_the_same_numbers_give_the_same_loss():
    """Two different masks with equal volume, centroid and spread cannot be told apart."""
    batch, one, two = make_batch(1), torch.zeros(1, 11, 11), torch.zeros(1, 11, 11)
    for x, y in ((5, 0), (5, 10), (0, 5), (10, 5)):
        one[0, x, y] = 1
    for x, y in ((8, 9), (2, 1), (1, 8), (9, 2)):
        two[0, x, y] = 1
    assert not torch.equal(one, two)
    logits = torch.randn(1, 3, 11, 11, generator=torch.Generator().manual_seed(0))
    losses = [
        total(prepared(descriptors=("volume", "centroid", "spread")), replace(batch, target=target.long()), logits)
        for target in (one, two)
    ]
    torch.testing.assert_close(*losses)


def test_numbers_do_not_move_when_the_prediction_does():
    batch = make_batch()
    y = torch.nn.functional.one_hot(batch.target, 3).movedim(-1, 1).float()
    perfect = (20 * y).requires_grad_()
    method = prepared()
    method.loss(batch, perfect)
    epoch = FakeEpoch()
    method.after_epoch(epoch)
    assert epoch.logged == {"violated": 0.0, "t": 1.0} and method.t_ == pytest.approx(1.1)
    method.loss(batch, logits_of(batch))
    method.after_epoch(epoch)
    assert epoch.logged["violated"] > 0.3 and epoch.logged["t"] == pytest.approx(1.1)


def test_margins():
    batch = make_batch(1)
    shape = Shape(logits_of(batch).softmax(1))
    numbers = summarise(batch.target, batch.labelled, 3, ("volume", "centroid"))
    z, _ = Bounds(("centroid",), 0.1, distance_margin=2.0).residuals(shape, numbers)["centroid"]
    low, high = z.view(2, 2, 2).unbind(-1)
    tau = numbers[0, 1:, 1:]
    torch.testing.assert_close(low, tau - 2 - shape.centroid[0, 1:])
    torch.testing.assert_close(high, shape.centroid[0, 1:] - tau - 2)
    with_background = Bounds(("volume",), 0.1, background=True).residuals(shape, numbers)["volume"][0]
    assert with_background.shape == (1, 6)


def test_relative_constraints_do_not_depend_on_the_grid():
    """A shape drawn twice as fine has the same relative z, up to the length, whose pairs at corners count otherwise."""
    coarse, p = make_batch(1).target, logits_of(make_batch(1)).softmax(1).detach()
    found = []
    for factor in (1, 2):
        target, soft = (one.repeat_interleave(factor, -1).repeat_interleave(factor, -2) for one in (coarse, p))
        numbers = summarise(target, torch.ones(1, dtype=torch.bool), 3, ("volume", "spread"))
        bounds = Bounds(("volume", "spread"), 0.1, relative=True)
        found.append(bounds.residuals(Shape(soft), numbers))
    torch.testing.assert_close(found[0]["volume"][0], found[1]["volume"][0])
    torch.testing.assert_close(found[0]["spread"][0], found[1]["spread"][0], rtol=0.02, atol=0.02)
    raw = Bounds(("volume",), 0.1).residuals(Shape(p), summarise(coarse, torch.ones(1).bool(), 3, ("volume",)))
    torch.testing.assert_close(found[0]["volume"][0][0, :2], raw["volume"][0][0, :2] / (coarse == 1).sum())


def test_an_absent_class_counts_as_a_small_one():
    target, p = torch.zeros(1, 20, 20, dtype=torch.int64), torch.full((1, 2, 20, 20), 0.5)
    numbers = summarise(target, torch.ones(1).bool(), 2, ("volume",))
    z, active = Bounds(("volume",), 0.1, relative=True).residuals(Shape(p), numbers)["volume"]
    assert active.tolist() == [[False, True]] and float(z[0, 1]) == pytest.approx(200 / 20)


def test_weights():
    """Unless they are given they are balanced, and the squares of penalty and multipliers are relative."""
    assert ShapeDescriptors()._weights() == (0.03, 0.6, 1.2, 0.001)
    assert ShapeDescriptors(solver="penalty")._weights() == (0.1, 0.1, 0.1, 0.01)
    assert ShapeDescriptors(weights=(3.0,))._weights() == (3.0,) * 4
    assert ShapeDescriptors(scale="relative")._weights() == ShapeDescriptors(solver="penalty")._weights()
    assert ShapeDescriptors(("elongation", "length"))._weights() == (0.03, 0.001)
    assert prepared(solver="penalty").bounds_.relative and not prepared().bounds_.relative
    assert not prepared(solver="penalty", scale="raw").bounds_.relative


def test_rules_by_hand():
    batch = make_batch(2)
    batch.target[1] = batch.target[1].where(batch.target[1] != 2, 0)
    texts = ("2 <= length(a)/length(b) <= 3", "centroid(a) == centroid(b)", "volume(a) >= 100")
    rules = tuple(rule for text in texts for rule in parse_rule(text, TASK.labels))
    shape = Shape(logits_of(batch).softmax(1), length=True)
    numbers = summarise(batch.target, batch.labelled, 3, ("volume",))
    z, active = Bounds((), 0.1, rules=rules).residuals(shape, numbers)["rules"]
    share = shape.length[:, 1] / shape.length[:, 2]
    one, two = shape.centroid[:, 1], shape.centroid[:, 2]
    expected = [2 - share, share - 3, one - 1.1 * two, 0.9 * two - one, 100 - shape.volume[:, 1]]
    torch.testing.assert_close(z, torch.cat(expected, dim=1))
    assert active.tolist() == [[True] * 7, [False] * 6 + [True]]  # rules on an absent class do not count


def test_rules_without_any_number(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text('constraints = ["volume(a) >= 100", "2 <= length(a)/length(b) <= 3"]')
    method = prepared(truths=False, rules=path, weights=(0.01,))
    assert method.supervision == "none"
    batch = make_batch()
    logits = logits_of(batch)
    terms = method.loss(batch, logits)
    assert set(terms) == {"rules"}
    garbage = replace(batch, target=torch.full_like(batch.target, -1))
    assert torch.equal(method.loss(garbage, logits)["rules"], terms["rules"])
    p = logits.softmax(1)
    share = length(p)[:, 1] / length(p)[:, 2]
    parts = [log_barrier(one, 1.0) for one in (100 - volume(p)[:, 1], 2 - share, share - 3)]
    torch.testing.assert_close(terms["rules"].double(), 0.01 * torch.cat(parts).sum() / p[:, 0].numel())


def test_base_losses_and_supervision():
    batch = make_batch()
    logits = logits_of(batch)
    assert "ce" not in prepared().loss(batch, logits)
    both = prepared(base="ce_dice").loss(batch, logits)
    torch.testing.assert_close(both["ce"], cross_entropy(logits, batch.target))
    assert {"ce", "dice", "volume", "length"} <= set(both)
    assert ShapeDescriptors().supervision == "descriptors" and ShapeDescriptors(base="ce").supervision == "masks"
    assert ShapeDescriptors(solver="augmented_lagrangian").needs == {FIXED_SAMPLES} and not ShapeDescriptors().needs


def test_control_is_cross_entropy_alone():
    method = prepared(**ShapeDescriptors.arms["control"])
    batch = make_batch()
    logits = logits_of(batch)
    assert set(method.loss(batch, logits)) == {"ce"} and method.supervision == "masks"
    dice = prepared(base="dice", **ShapeDescriptors.arms["control"])
    assert set(dice.loss(batch, logits)) == {"dice"}


def test_placebo_has_another_samples_numbers_and_resumes():
    batch = make_batch()
    logits = logits_of(batch)
    real, placebo, again = prepared(), prepared(placebo=True), prepared(placebo=True)
    losses = [float(total(placebo, batch, logits).detach()) for _ in range(4)]
    assert losses[0] != float(total(real, batch, logits).detach()) and len(set(losses)) > 1
    assert [float(total(again, batch, logits).detach()) for _ in range(2)] == losses[:2]
    resumed = prepared(placebo=True)
    resumed.restore(again.state())
    assert [float(total(resumed, batch, logits).detach()) for _ in range(2)] == losses[2:]


def numbered(cases=("a", "a", "a", "b", "b", "c", "d")):
    """One pass over samples in batches of two; the number of a sample is all that is known of it."""
    rows = torch.arange(len(cases), dtype=torch.float64).view(-1, 1, 1)
    return [
        (cases[first : first + 2], torch.arange(first, first + 2)[: len(cases) - first], rows[first : first + 2])
        for first in range(0, len(cases), 2)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_placebo_of_fixed_samples_is_a_fixed_derangement(seed):
    strangers = Strangers(numbered(), torch.Generator().manual_seed(seed), by_sample=True)
    everyone = torch.arange(7)
    found = strangers.numbers(["?"] * 7, everyone).flatten()
    assert sorted(found.tolist()) == list(range(7)) and not (found == everyone).any()
    shuffled = torch.randperm(7, generator=torch.Generator().manual_seed(seed + 1))
    assert torch.equal(strangers.numbers(["?"] * 7, shuffled).flatten(), found[shuffled])  # whenever it is drawn
    assert not strangers.drawn


@pytest.mark.parametrize("seed", range(20))
def test_placebo_of_drawn_samples_has_one_other_case_for_each(seed):
    strangers = Strangers(numbered(), torch.Generator().manual_seed(seed), by_sample=False)
    members = {"a": [0, 1, 2], "b": [3, 4], "c": [5], "d": [6]}
    partners = {}
    for case in members:
        found = strangers.numbers([case] * 12, torch.full((12,), -1)).flatten().tolist()
        partners[case] = next(name for name, rows in members.items() if found[0] in rows)
        assert found == (members[partners[case]] * 12)[:12]  # its samples in turn
    assert sorted(partners.values()) == sorted(members) and all(one != other for one, other in partners.items())


def test_placebo_needs_somebody_else(tmp_path):
    for by_sample, cases in ((False, ("a", "a")), (True, ("a",))):
        with pytest.raises(Incompatible, match="there is only one"):
            Strangers(numbered(cases), torch.Generator(), by_sample=by_sample)
    (tmp_path / "rules.toml").write_text('constraints = ["volume(a) >= 100"]')
    with pytest.raises(Incompatible, match="no placebo"):
        prepared(truths=False, rules=tmp_path / "rules.toml", placebo=True)


@pytest.mark.parametrize("solver", ["log_barrier", "augmented_lagrangian"])
def test_placebo_numbers_come_from_the_training_samples(solver):
    method = prepared(placebo=True, solver=solver)
    own = {tuple(row.flatten().tolist()) for one in FakeStage().batches() for row in method.numbers(one)}
    batch = make_batch()
    given = method._bounding_numbers(batch)
    assert {tuple(row.flatten().tolist()) for row in given} <= own
    assert not any(torch.equal(*pair) for pair in zip(given, method.numbers(batch), strict=True))
    again = method._bounding_numbers(batch)
    assert torch.equal(given, again) == (solver == "augmented_lagrangian")  # fixed samples keep theirs


def test_t_ends_at_a_wall():
    method = prepared(t_growth=1e9)
    for _ in range(40):
        method.after_epoch(FakeEpoch())
    assert method.t_ == STEEPEST
    assert torch.isfinite(total(method, make_batch(), logits_of(make_batch())))


def test_multipliers_belong_to_samples_and_survive_a_resume():
    batch = make_batch()
    logits = logits_of(batch)
    method = prepared(solver="augmented_lagrangian", mu=0.5)
    first = total(method, batch, logits)
    method.after_step(SimpleNamespace(skipped=True))
    assert not method.multipliers_.any()
    method.loss(replace(batch, sample_ids=torch.tensor([4, 0, 2])), logits)
    method.after_step(SimpleNamespace(skipped=False))
    assert (method.multipliers_[[4, 0, 2]].amax(1) > 0).all() and not method.multipliers_[[1, 3, 5]].any()
    shape = Shape(logits.detach().softmax(1))
    z, _ = method.bounds_.residuals(shape, method.numbers(batch))["volume"]
    assert method.bounds_.relative
    torch.testing.assert_close(method.multipliers_[[4, 0, 2], : z.shape[1]], 0.5 * z.clamp(min=0))
    resumed = prepared(solver="augmented_lagrangian", mu=0.5)
    resumed.restore(method.state())
    seen = replace(batch, sample_ids=torch.tensor([0, 1, 4]))
    assert torch.equal(total(resumed, seen, logits), total(method, seen, logits))
    assert not torch.equal(total(resumed, seen, logits), first)


def test_the_loss_charges_the_multipliers_of_its_samples():
    batch = make_batch()
    logits = logits_of(batch)
    method = prepared(solver="augmented_lagrangian", mu=0.5, descriptors=("volume",), weights=(1.0,))
    method.loss(batch, logits)
    method.multipliers_ += torch.arange(6.0)[:, None]  # sample n has multiplier n
    charged = {}
    for first in (0, 3):
        seen = replace(batch, sample_ids=torch.arange(first, first + len(batch.sample_ids)))
        charged[first] = float(method.loss(seen, logits)["volume"].detach())
    z, active = method.bounds_.residuals(Shape(logits.detach().softmax(1)), method.numbers(batch))["volume"]
    for first, found in charged.items():
        multiplier = torch.arange(first, first + len(z), dtype=z.dtype)[:, None]
        values = ((multiplier + 0.5 * z).clamp(min=0) ** 2 - multiplier**2) / (2 * 0.5)
        assert found == pytest.approx(float((values * active).sum() / len(z)), rel=1e-5)


def test_schedule_survives_a_resume():
    method = prepared(t_start=2.0, t_growth=1.5)
    for _ in range(3):
        method.after_epoch(FakeEpoch())
    resumed = prepared(t_start=2.0, t_growth=1.5)
    resumed.restore(method.state())
    assert resumed.t_ == method.t_ == pytest.approx(2 * 1.5**3)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"descriptors": "volume,size"}, "expected different ones out of volume.*found.*size"),
        ({"descriptors": "volume,volume"}, "two"),
        ({"descriptors": "moment_2_x"}, "moment_2_x"),
        ({"weights": "1,2"}, "expected none, one or 4 .volume, centroid"),
        ({"truths": "false"}, "nothing is constrained"),
        ({"solver": "adam"}, "one of log_barrier"),
    ],
)
def test_wrong_parameters(values, words):
    with pytest.raises(UsageError, match=words):
        make(ShapeDescriptors, values, "method shape_descriptors")


def test_moments_fit_the_network():
    terms = prepared(descriptors=("volume", "moment_2_0")).loss(make_batch(), logits_of(make_batch()))
    assert set(terms) == {"volume", "moment_2_0"} and torch.isfinite(terms["moment_2_0"])
    with pytest.raises(Incompatible, match="each of the network's 2 axes"):
        prepared(descriptors=("moment_2_0_0",))


def test_columns():
    assert [tuple(one) for one in columns(("volume", "centroid"), 2)] == [
        ("volume", 0),
        ("centroid", 0),
        ("centroid", 1),
    ]
    assert len(columns(("orientation",), 3)) == 6
