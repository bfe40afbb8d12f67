"""The control of lambda, traced by hand."""

from __future__ import annotations

import math

import pytest

from segbench_nonadj.schedule import PHASES, LambdaControl, Schedule

CONSTANTS = Schedule(warm_up=0.2, growth_every=2, hold=3)


def begin(total=20, **options):
    """Return a control whose penalty begins in epoch 4 with lambda 0.3 x 0.8 / 0.01 = 24 and reference Dice 0.8."""
    control = LambdaControl(total, constants=options.pop("constants", CONSTANTS), **options)
    control.start(3, 0.8, 0.01, 0.8)
    return control


def follow(control, dices, first=4):
    values = []
    for index, dice in enumerate(dices, start=first):
        control.after_epoch(index, dice)
        values.append(control.value)
    return values


def test_warm_up_lasts_its_part_of_the_epochs():
    control = LambdaControl(20, constants=CONSTANTS)
    assert [control.must_measure(index) for index in range(5)] == [False, False, False, True, True]
    control.after_epoch(0, 0.5)
    assert control.value == 0 and control.phase == "warm-up"
    control.start(3, 0.8, 0.01, 0.8)
    assert control.value == pytest.approx(24) and control.started == 4 and not control.must_measure(4)


@pytest.mark.parametrize("penalty", [0.0, math.nan, math.inf])
def test_warm_up_goes_on_where_nothing_was_measured(penalty):
    control = LambdaControl(20, constants=CONSTANTS)
    control.start(3, 0.8, penalty, 0.8)
    assert control.value == 0 and control.must_measure(4)


def test_grows_every_second_epoch():
    values = follow(begin(), [0.8, 0.795, 0.8, 0.8])
    assert values == pytest.approx([24, 24 * 1.3, 24 * 1.3, 24 * 1.3**2])


def test_does_not_grow_beyond_the_tolerance():
    assert follow(begin(), [0.8, 0.785]) == pytest.approx([24, 24])
    control = begin()
    follow(control, [0.8, 0.85])  # the best becomes the reference
    assert follow(control, [0.85, 0.835], first=6) == pytest.approx([24 * 1.3] * 2)


def test_a_drop_holds_for_three_epochs():
    control = begin()
    values = follow(control, [0.78, 0.8, 0.8, 0.8])  # the drop in epoch 4 holds until 7
    assert values == pytest.approx([24] * 4) and control.phase == "holding"
    assert follow(control, [0.8, 0.8], first=8) == pytest.approx([24, 24 * 1.3])


def test_decays_late_below_the_reference():
    control = begin()
    control.after_epoch(12, 0.79)
    assert control.value == pytest.approx(24) and control.phase == "growing"
    values = follow(control, [0.79, 0.7, 0.8, 0.81, 0.805], first=13)
    assert control.phase == "decaying"
    assert values == pytest.approx([24 * 0.9, 24 * 0.81, 24 * 0.81, 24 * 0.81, 24 * 0.729])


def test_reference_of_the_authors_is_the_start():
    control = begin(constants=Schedule(warm_up=0.2, growth_every=1, reference="start"))
    assert follow(control, [0.9, 0.8]) == pytest.approx([24 * 1.3, 24 * 1.69]) and control.reference == 0.8


def test_non_finite_steps_lower_lambda_and_growth_and_end_the_training():
    control = begin()
    for _ in range(2):
        control.after_step(skipped=True)
    assert control.value == pytest.approx(24 * 0.81) and control.growth == pytest.approx(1.3 * 0.98**2)
    assert not control.exhausted
    control.after_step(skipped=True)
    assert control.exhausted


def test_steps_of_the_warm_up_do_not_count():
    control = LambdaControl(20, constants=CONSTANTS)
    control.after_step(skipped=True)
    assert control.skips == 0 and control.growth == 1.3


def test_growth_without_validation():
    assert follow(begin(), [None, None, None, None])[-1] == pytest.approx(24 * 1.69)


def test_fixed_and_ramp_and_off():
    fixed = LambdaControl(10, "fixed", 5.0, Schedule(warm_up=0))
    assert fixed.value == 5 and follow(fixed, [0.1, 0.9], first=0) == [5, 5]
    late = LambdaControl(10, "fixed", 5.0, Schedule(warm_up=0.2))
    assert late.value == 0 and late.must_measure(1)
    late.start(1, 0.5, 0.0, None)
    assert late.value == 5
    ramp = LambdaControl(10, "ramp", 6.0, Schedule(warm_up=0.1))
    ramp.start(0, 0.5, 0.1, None)
    assert ramp.value == pytest.approx(1)
    assert follow(ramp, [0.5] * 8, first=1) == pytest.approx([2, 3, 4, 5, 6, 6, 6, 6])
    measured = begin(mode="fixed")
    assert measured.value == pytest.approx(24) and follow(measured, [0.1]) == pytest.approx([24])
    off = LambdaControl(10, "off")
    assert not any(off.must_measure(index) for index in range(10)) and off.value == 0


@pytest.mark.parametrize(("total", "every"), [(5, 1), (20, 1), (40, 2), (100, 5), (1000, 5)])
def test_periods_may_shrink_with_the_run(total, every):
    control = LambdaControl(total, constants=Schedule(growth_every=0, decay_after=1.0))
    control.start(0, 1.0, 0.3, 0.9)
    values = follow(control, [0.9] * every, first=1)
    assert values == pytest.approx([1.0] * (every - 1) + [1.3])


def test_state_round_trip_goes_on_alike():
    whole, dices = begin(), [0.8, 0.81, 0.78, 0.8, 0.82, 0.8, 0.83, 0.83, 0.83, 0.8, 0.82]
    follow(whole, dices[:4])
    whole.after_step(skipped=True)
    state = whole.state()
    resumed = LambdaControl(20, constants=CONSTANTS)
    resumed.restore(state)
    assert follow(resumed, dices[4:], first=8) == follow(whole, dices[4:], first=8)
    assert resumed.state() == whole.state()


EASED = Schedule(warm_up=0.2, growth_every=2, hold=3, ease=2)


def test_lambda_may_be_eased_in_step_by_step():
    control = begin(constants=EASED, steps=3)
    seen = []
    for _ in range(8):
        seen.append(control.value)
        control.after_step(skipped=False)
    assert seen == pytest.approx([24 * part / 6 for part in (1, 2, 3, 4, 5, 6, 6, 6)])
    assert control.level == pytest.approx(24)


def test_the_level_moves_while_lambda_is_eased_in():
    control = begin(constants=EASED, steps=3)
    control.after_step(skipped=True)
    assert control.value == pytest.approx(24 * 0.9 * 2 / 6)
    assert follow(control, [0.8, 0.8])[-1] == pytest.approx(24 * 0.9 * 1.3 * 0.98 * 2 / 6)
    late = LambdaControl(10, "fixed", 6.0, Schedule(warm_up=0, ease=1), steps=2)
    assert late.value == 3


def test_at_once_by_the_paper():
    assert Schedule().ease == 0 and begin(steps=100).value == pytest.approx(24)


def test_the_warm_up_eases_nothing_in():
    control = LambdaControl(20, constants=EASED, steps=3)
    for _ in range(9):
        control.after_step(skipped=False)
    assert control.taken == 0


def test_the_published_constants():
    constants = Schedule()
    assert (constants.ratio, constants.growth, constants.growth_every, constants.tolerance) == (0.3, 1.3, 5, 0.01)
    assert (constants.drop, constants.hold, constants.decay, constants.decay_after) == (0.02, 5, 0.9, 0.7)
    assert (constants.skip_decay, constants.skip_growth, constants.skip_limit) == (0.9, 0.98, 3)


def test_phases_in_the_order_of_a_run():
    control = LambdaControl(20, constants=CONSTANTS)
    phases = [control.phase]
    control.start(3, 0.8, 0.01, 0.8)
    phases.append(control.phase)
    for index, dice in ((4, 0.77), (8, 0.8), (14, 0.75), (15, 0.8)):
        control.after_epoch(index, dice)
        phases.append(control.phase)
    assert phases == ["warm-up", "growing", "holding", "growing", "decaying", "holding"]
    assert set(phases) == set(PHASES)


def test_a_hold_begins_anew_with_every_drop():
    control = begin()
    assert follow(control, [0.78, 0.78, 0.8, 0.8, 0.8]) == pytest.approx([24] * 5)  # holds until 5 + 3
    assert follow(control, [0.8], first=9) == pytest.approx([24 * 1.3])


def test_late_in_the_run_lambda_may_still_grow():
    control = begin()
    assert follow(control, [0.8, 0.8], first=14) == pytest.approx([24, 24 * 1.3])
