"""Checks of methods: the loss on ordinary and on impossible batches, a little training, its state, its arms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from segbench.conformance.cases import SHAPE, TASK, truth_of
from segbench.conformance.common import Check, Skipped, Subject, expect
from segbench.conformance.training import FakeEpoch, FakeStage, FakeStep, batch_of, logits_of
from segbench.contracts import FIXED_SAMPLES, UNLABELLED, Method
from segbench.types import UNKNOWN, Batch

EXTREME = 1e4
"""Logits no softmax survives in single precision without care."""


def _each_dims(subject: Subject) -> list[tuple[int, Method]]:
    """Return the method prepared on make-believe data, for every number of dimensions it works in."""
    prepared = []
    for dims in sorted(subject.cls.dims):  # type: ignore[attr-defined]
        method: Method = subject.make()
        if reason := method.incompatible(TASK):
            raise Skipped(f"incompatible with a task of three labels: {reason}")
        folder = subject.folder / f"stage{dims}"
        folder.mkdir(exist_ok=True)
        torch.manual_seed(0)
        method.prepare(FakeStage(method, dims, folder))
        prepared.append((dims, method))
    return prepared


def _total(method: Method, batch: Batch, logits: torch.Tensor, what: str) -> torch.Tensor:
    """Return the sum of the terms after checking each: named, scalar, finite."""
    terms = method.loss(batch, logits)
    expect(isinstance(terms, Mapping) and bool(terms), f"{what}: loss() must return named terms; found {terms!r}")
    for name, term in terms.items():
        expect(isinstance(term, torch.Tensor) and term.ndim == 0, f"{what}: term {name!r} is no scalar tensor")
        expect(bool(torch.isfinite(term)), f"{what}: term {name!r} is {float(term.detach())}")
    return torch.stack([term.float() for term in terms.values()]).sum()


def _finite_with_gradient(method: Method, batch: Batch, logits: torch.Tensor, what: str) -> torch.Tensor | None:
    """Return the gradient, or None where the loss does not depend on the logits."""
    total = _total(method, batch, logits, what)
    if not total.requires_grad:
        return None
    total.backward()  # type: ignore[no-untyped-call]
    expect(logits.grad is None or bool(torch.isfinite(logits.grad).all()), f"{what}: the gradient is not finite")
    return logits.grad


def _with_target(batch: Batch, target: torch.Tensor, labelled: torch.Tensor | None = None) -> Batch:
    labelled = batch.labelled if labelled is None else labelled
    return Batch(
        batch.image, target, batch.derived, labelled, batch.spacing, batch.case_ids, batch.sample_ids
    )  # fmt: skip


def declares_what_it_needs(subject: Subject) -> None:
    """``needs``, ``dims``, ``supervision`` and ``unlabelled`` hold known values."""
    cls: Any = subject.cls
    expect(set(cls.needs) <= {UNLABELLED, FIXED_SAMPLES}, f"needs {sorted(cls.needs)}: unknown wishes")
    expect(bool(cls.dims) and set(cls.dims) <= {2, 3}, f"dims must be out of 2 and 3; found {cls.dims!r}")
    known = ("masks", "descriptors", "semi", "none")
    expect(cls.supervision in known, f"supervision {cls.supervision!r} is none of {', '.join(known)}")
    method = subject.make()
    expect(set(method.needs) <= {UNLABELLED, FIXED_SAMPLES}, f"needs {sorted(method.needs)}: unknown wishes")
    expect(method.supervision in known, f"supervision {method.supervision!r} is none of {', '.join(known)}")
    wanted = method.unlabelled
    expect(isinstance(wanted, int) and wanted >= 0, f"unlabelled must be a number of cases; found {wanted!r}")


def arms_are_parameters(subject: Subject) -> None:
    """Every arm overrides parameters that exist, with values that fit."""
    arms = subject.cls.arms  # type: ignore[attr-defined]
    strange = sorted(set(arms) - {"control", "placebo"})
    expect(not strange, f'arms are called "control" or "placebo"; found {", ".join(strange)}')
    for arm, overrides in arms.items():
        expect(bool(overrides), f"arm {arm!r} changes nothing")
        subject.make(overrides)


def derived_maps_fit_the_volume(subject: Subject) -> None:
    """``derive`` gives finite maps (D, H, W) or (c, D, H, W) and leaves the truth alone."""
    truth = truth_of(0)
    before = truth.array.copy()
    truth.array.setflags(write=False)
    for name, value in subject.make().derive(truth).items():
        array = np.asarray(value)
        expect(array.shape[-3:] == SHAPE and array.ndim in (3, 4), f"{name!r} has shape {array.shape} for {SHAPE}")
        expect(bool(np.isfinite(array).all()), f"{name!r} is not finite everywhere")
    expect(np.array_equal(before, truth.array), "derive() changed the truth")


def loss_is_finite_with_gradient(subject: Subject) -> None:
    """An ordinary batch gives finite scalars, and a finite gradient that is not zero."""
    for dims, method in _each_dims(subject):
        batch = batch_of(method, dims)
        gradient = _finite_with_gradient(method, batch, logits_of(batch), f"{dims}D")
        expect(gradient is not None and bool(gradient.abs().max() > 0), f"{dims}D: the logits get no gradient")


def one_sample_is_enough(subject: Subject) -> None:
    """A batch of one sample works."""
    for dims, method in _each_dims(subject):
        batch = batch_of(method, dims, (0,))
        _finite_with_gradient(method, batch, logits_of(batch), f"{dims}D, one sample")


def extreme_logits_stay_finite(subject: Subject) -> None:
    """Logits of ten thousand, right or wrong, and half precision give finite losses and gradients."""
    for dims, method in _each_dims(subject):
        batch = batch_of(method, dims)
        for scale in (EXTREME, -EXTREME):
            _finite_with_gradient(method, batch, logits_of(batch, scale=scale), f"{dims}D, logits x {scale:g}")
        half = logits_of(batch).detach().to(torch.bfloat16).requires_grad_()
        _finite_with_gradient(method, batch, half, f"{dims}D, bfloat16 logits")


def unknown_targets_are_harmless(subject: Subject) -> None:
    """Where no target is known at all, and where all samples are unlabelled, the loss is finite."""
    for dims, method in _each_dims(subject):
        batch = batch_of(method, dims)
        unknown = torch.full_like(batch.target, UNKNOWN)
        _finite_with_gradient(method, _with_target(batch, unknown), logits_of(batch), f"{dims}D, all unknown")
        nobody = torch.zeros_like(batch.labelled)
        _finite_with_gradient(method, _with_target(batch, unknown, nobody), logits_of(batch), f"{dims}D, unlabelled")


def one_class_batches_are_harmless(subject: Subject) -> None:
    """Batches of background only, or of one label only, give a finite loss."""
    for dims, method in _each_dims(subject):
        batch = batch_of(method, dims)
        for label in (0, 1):
            only = _with_target(batch, torch.full_like(batch.target, label))
            _finite_with_gradient(method, only, logits_of(batch), f"{dims}D, label {label} only")


def training_steps_work(subject: Subject) -> None:
    """Two epochs of two steps, a skipped one among them, with every callback, leave the loss finite."""
    for dims, method in _each_dims(subject):
        _train(subject, dims, method)


def _train(subject: Subject, dims: int, method: Method) -> None:
    stage = FakeStage(method, dims, subject.folder / f"stage{dims}")
    step = 0
    for index in range(stage.epochs):
        for batch in stage.batches():
            logits = logits_of(batch, seed=step)
            _finite_with_gradient(method, batch, logits, f"{dims}D, step {step}")
            method.after_step(FakeStep(step, index, batch, logits.detach(), skipped=step == 1))
            step += 1
        epoch = FakeEpoch(index, stage.epochs, stage, {"loss": 1.0})
        method.after_epoch(epoch)
        wrong = [name for name, value in epoch.logged.items() if not math.isfinite(value)]
        expect(not wrong, f"logged {', '.join(wrong)} is not finite")


def state_is_plain_and_restores(subject: Subject) -> None:
    """After training, ``state`` is plain data; a fresh object that restores it has the same state and loss."""
    for dims, method in _each_dims(subject):
        _train(subject, dims, method)
        state = method.state()
        _check_plain(state, "state")
        fresh = dict(_each_dims(subject))[dims]
        fresh.restore(state)
        expect(_alike(fresh.state(), state), f"{dims}D: state() after restore() is not what was restored")
        batch = batch_of(method, dims)
        losses = [float(_total(one, batch, logits_of(batch), "restored").detach()) for one in (method, fresh)]
        expect(math.isclose(*losses, rel_tol=1e-5), f"{dims}D: loss {losses[0]}, after restore() {losses[1]}")


def _check_plain(value: Any, where: str) -> None:
    if value is None or isinstance(value, bool | int | float | str | torch.Tensor):
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            expect(isinstance(key, str | int), f"{where} has the key {key!r}; expected text or a whole number")
            _check_plain(item, f"{where}[{key!r}]")
        return
    expect(isinstance(value, list | tuple), f"{where} is a {type(value).__name__}; expected plain data or a tensor")
    for index, item in enumerate(value):
        _check_plain(item, f"{where}[{index}]")


def _alike(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return isinstance(second, torch.Tensor) and torch.equal(first, second)
    if isinstance(first, Mapping):
        return first.keys() == second.keys() and all(_alike(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(_alike, first, second))
    return bool(first == second)


def loss_is_deterministic(subject: Subject) -> None:
    """Two fresh objects, prepared alike, have the same loss on the same batch."""
    for (dims, first), (_, second) in zip(_each_dims(subject), _each_dims(subject), strict=True):
        batch = batch_of(first, dims)
        losses = []
        for method in (first, second):
            torch.manual_seed(1)
            losses.append(float(_total(method, batch, logits_of(batch), "again").detach()))
        expect(losses[0] == losses[1], f"{dims}D: losses {losses[0]} and {losses[1]} under the same seeds")


CHECKS: tuple[Check, ...] = (
    declares_what_it_needs,
    arms_are_parameters,
    derived_maps_fit_the_volume,
    loss_is_finite_with_gradient,
    one_sample_is_enough,
    extreme_logits_stay_finite,
    unknown_targets_are_harmless,
    one_class_batches_are_harmless,
    training_steps_work,
    state_is_plain_and_restores,
    loss_is_deterministic,
)
