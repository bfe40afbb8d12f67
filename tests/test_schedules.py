"""The weight of a prior over the epochs, from its text form."""

from __future__ import annotations

import doctest

import pytest

from segbench import Schedule, UsageError, schedules


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("0.5", [(1, 0.5)] * 5),
        ("constant:2", [(1, 2)] * 5),
        ("ramp:0:1:4", [(1, 0), (1, 0.25), (1, 0.5), (1, 0.75), (1, 1)]),
        ("ramp:1:0:2", [(1, 1), (1, 0.5), (1, 0), (1, 0), (1, 0)]),
        ("ramp:0:1:0", [(1, 1)] * 5),
        ("rebalance:0.2:0.6:2", [(0.8, 0.2), (0.6, 0.4), (0.4, 0.6), (0.4, 0.6), (0.4, 0.6)]),
        ("after:3:0.6", [(1, 0), (1, 0), (1, 0), (1, 3), (1, 3)]),
        ("after:3:1", [(1, 0)] * 5),
    ],
)
def test_weights_by_hand(text: str, weights: list[tuple[float, float]]) -> None:
    schedule = Schedule.parse(text)
    for epoch, wanted in enumerate(weights):
        assert schedule.at(epoch, 5) == pytest.approx(wanted)
    assert Schedule.parse(str(schedule)) == schedule


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a number or one of constant:WEIGHT"),
        ("fast", "found 'fast'"),
        ("fast:1", "found 'fast:1.0'"),
        ("ramp:0:1", "ramp:FROM:TO:EPOCHS"),
        ("ramp:0:a:1", "found 'ramp:0:a:1'"),
        ("nan", "finite"),
        ("constant:-1", "at least 0"),
        ("rebalance:0:2:5", "up to 1"),
        ("after:1:1.5", "SHARE"),
    ],
)
def test_what_is_no_schedule_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Schedule.parse(text)


def test_numbers_survive_their_text() -> None:
    assert str(Schedule.parse("ramp:0:0.1234567890123:7")) == "ramp:0:0.1234567890123:7"


def test_examples_in_the_documentation_run() -> None:
    assert doctest.testmod(schedules).failed == 0
