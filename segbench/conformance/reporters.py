"""Checks of reporters: told of a made-up training, of one that was interrupted, and of one that ends at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from segbench.conformance.common import Check, Subject, expect
from segbench.contracts import LiveRun, Reporter

EPOCHS, STEPS = 3, 2


def _values(index: int) -> dict[str, float]:
    values = {"train/term": 1.0 / (index + 1), "train/other": math.nan if index == 1 else 0.1}
    values |= {"method/weight": math.inf, "learning_rate": 0.01, "seconds": float(index), "skipped": 0.0}
    return values | ({"val/measure": 0.5} if index == EPOCHS - 1 else {})


def _run(subject: Subject, first: int = 0) -> LiveRun:
    earlier = [
        {"epoch": index, "step": (index + 1) * STEPS, "name": name, "value": value}
        for index in range(first)
        for name, value in _values(index).items()
    ]
    config = {"method": {"name": "made-up", "parameters": {}}, "seed": 0}
    folder = subject.folder / "run"
    folder.mkdir(exist_ok=True)
    return LiveRun("0123456789ab", "made-up on nothing, seed 0", folder, config, EPOCHS, STEPS, first, earlier)


def _told(reporter: Reporter, run: LiveRun, last: int = EPOCHS) -> None:
    said = reporter.begin(run)
    expect(said is None or isinstance(said, str), f"begin() must return a sentence or None; found {said!r}")
    for index in range(run.first, last):
        reporter.epoch(index, (index + 1) * STEPS, _values(index))
    reporter.finish()


def follows_a_training(subject: Subject) -> None:
    """It takes every epoch, values that are no numbers among them."""
    reporter: Reporter = subject.make()
    reporter.check()
    _told(reporter, _run(subject))


def goes_on_after_an_interruption(subject: Subject) -> None:
    """A training that was interrupted and goes on, by another object of the same part, is followed."""
    _told(subject.make(), _run(subject), last=2)
    _told(subject.make(), _run(subject, first=2))


def ends_before_an_epoch(subject: Subject) -> None:
    """A training that is interrupted at once is finished without a complaint."""
    _told(subject.make(), _run(subject), last=0)


def leaves_chance_alone(subject: Subject) -> None:
    """Random numbers of Python, numpy and torch are those that would have come without it."""
    before = list(_states())
    _told(subject.make(), _run(subject))
    expect(before == list(_states()), "it drew random numbers or set a seed: use a generator of its own")


def _states() -> Iterator[Any]:
    import random

    import numpy as np
    import torch

    yield random.getstate()
    yield repr(np.random.get_state(legacy=False))
    yield torch.get_rng_state().tolist()


CHECKS: tuple[Check, ...] = (
    follows_a_training,
    goes_on_after_an_interruption,
    ends_before_an_epoch,
    leaves_chance_alone,
)
