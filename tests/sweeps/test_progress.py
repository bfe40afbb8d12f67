"""What is said of a sweep on its way: counts, the time that is left, and news in a reader's words."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from segbench.cli.sweep import Display, Lines
from segbench.sweeps.progress import Sweep, duration, words
from segbench.sweeps.work import Messenger, News


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_time_left_is_that_of_what_was_done() -> None:
    clock = Clock()
    sweep = Sweep([f"cell {index}" for index in range(40)], 2, clock=clock)
    assert sweep.headline() == "2 of 42"
    sweep.heard(0, News("Training", 0.0, epoch=1, epochs=10))
    assert sweep.left() is None
    clock.now = 100.0
    sweep.over(0, {"status": "done"})
    assert sweep.left() == pytest.approx(3900) and sweep.headline() == "3 of 42, 1 h 05 left"
    sweep.over(1, {"status": "failed"})
    assert sweep.headline() == "4 of 42, 32 min left, 1 failed"


def test_what_a_resumed_cell_had_done_before_does_not_count() -> None:
    clock = Clock()
    sweep = Sweep(["one"], clock=clock)
    sweep.heard(0, News("Training", 0.5, epoch=6, epochs=10))
    clock.now = 10.0
    sweep.heard(0, News("Training", 0.6, epoch=7, epochs=10))
    assert sweep.left() == pytest.approx(0.4 * 10 / 0.1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (99, "99 s"),
        (100, "2 min"),
        (3599, "1 h 00"),
        (4200, "1 h 10"),
        (86400, "1 d 0 h"),
        (1e6, "11 d 14 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_news_in_words() -> None:
    assert words(News("Training", 0.1, 3, 20, {"ce": 0.1234, "prior": 1}, 0.7)) == (
        "epoch 3/20 ce 0.123 prior 1.000 val Dice 0.700"
    )
    assert words(News("Scoring 3/4", 1.0, 20, 20)) == "Scoring 3/4" and words(News("Starting")) == "Starting"


def test_a_messenger_tells_epochs_and_notes_and_few_of_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("segbench.sweeps.work.time.monotonic", clock)
    told: list[News] = []
    messenger = Messenger(told.append)
    messenger.start(2, 10, 0)
    for step in range(10):
        clock.now += 0.125
        messenger.step(0, step, {"ce": float(step)})
    messenger.epoch(0, {"ce": 4.5}, {"dice": 0.3}, 1.0)
    messenger.note("Mind the step.")
    steps = [news for news in told if not news.over and not news.note]
    assert 2 <= len(steps) <= 4 and steps[-1].done == pytest.approx(0.4)
    assert told[-2].over and told[-2].losses == {"ce": 4.5} and told[-2].dice == 0.3 and told[-2].done == 0.5
    assert told[-1].note == "Mind the step." and not told[-1].over


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_display_cuts_nothing(width: int) -> None:
    title = "a_method_with_a_long_name:placebo on a_dataset, a_network, seed 12, fold 3"
    sweep = Sweep([title, title])
    for index in (0, 1):
        sweep.heard(index, News("Training", 0.3, 3, 10, {f"a_loss_with_a_name_{n}": n for n in range(6)}, 0.5))
    out = io.StringIO()
    screen = Console(file=out, width=width, force_terminal=True, color_system=None)
    screen.print(Display(sweep, screen))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    shown = "".join(" ".join(lines).split())
    assert shown.count("".join(title.split())) == 2 and shown.count("a_loss_with_a_name_55.000valDice0.500") == 2
    assert "…" not in shown and "0of2" in shown


def test_where_nobody_watches_an_epoch_is_a_line() -> None:
    out = io.StringIO()
    lines = Lines(Sweep(["one", "two"]), Console(file=out, width=40))
    lines.heard(0, News("Training", 0.2, 1, 2, {"ce": 0.5}))
    lines.heard(0, News("Training", 0.5, 1, 2, {"ce": 0.5}, 0.25, over=True))
    lines.heard(1, News(note="Resuming after epoch 3 of 20; this line is longer than the screen."))
    lines.over(0, {"status": "done", "folder": "results/x", "wall": 3.0, "reason": ""}, [])
    assert out.getvalue().splitlines() == [
        "one: epoch 1/2 ce 0.500 val Dice 0.250",
        "two: Resuming after epoch 3 of 20; this line is longer than the screen.",
        "[1 of 2, 0 s left] one: done in 3 s. results/x",
    ]
