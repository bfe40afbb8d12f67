"""The figure ``history``: which panels, which lines, which colours, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from segbench import Incompatible
from segbench_figures.history import History

matplotlib.use("Agg")


@dataclass
class Run:
    """As much of a finished run as the figure looks at."""

    title: str
    values: Mapping[str, Sequence[float | None]] = field(default_factory=dict)

    def history(self) -> list[dict[str, Any]]:
        return [
            {"epoch": epoch, "name": name, "value": value}
            for name, values in self.values.items()
            for epoch, value in enumerate(values)
            if value is not None
        ]


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    yield
    plt.close("all")


def draw(*runs: Run, **parameters: Any) -> Any:
    ((name, figure),) = History(**parameters).draw(list(runs))  # type: ignore[arg-type]
    assert name == "history"
    return figure


def panels(figure: Any) -> dict[str, Any]:
    return {axis.get_title(): axis for axis in figure.axes if axis.get_title()}


def test_one_panel_per_name_and_one_line_per_run() -> None:
    figure = draw(
        Run("a", {"train/ce": [1.0, 0.5], "seconds": [1, 2], "skipped": [0, 0]}),
        Run("b", {"train/ce": [2.0], "method/weight": [0.1]}),
    )
    found = panels(figure)
    assert list(found) == ["train/ce", "method/weight"], "time and skipped steps only if asked for"
    first, second = found["train/ce"].get_lines()
    assert first.get_xdata().tolist() == [1, 2] and first.get_ydata().tolist() == [1.0, 0.5], "epochs count from 1"
    assert second.get_marker() == "o", "a line of one epoch would be invisible"
    assert len(found["method/weight"].get_lines()) == 1
    assert found["method/weight"].get_xlabel() == "epoch"


def test_seeds_share_a_colour_and_a_line_of_the_legend() -> None:
    runs = [Run("a", {"x": [1, 2]}), Run("b", {"x": [1, 3]}), Run("a", {"x": [2, 4]})]
    figure = draw(*runs)
    colours = [line.get_color() for line in panels(figure)["x"].get_lines()]
    assert colours[0] == colours[2] != colours[1]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a (2 runs)", "b"]


def test_gaps_are_passed_over_and_what_is_not_finite_is_a_gap() -> None:
    (line,) = panels(draw(Run("a", {"x": [None, 1.0, None, math.inf, 3.0]})))["x"].get_lines()
    assert line.get_xdata().tolist() == [2, 4, 5]
    assert np.array_equal(np.asarray(line.get_ydata(), dtype=float), [1.0, math.nan, 3.0], equal_nan=True)


def test_series_are_chosen_by_pattern() -> None:
    run = Run("a", {"train/ce": [1.0], "train/prior": [1.0], "val/dice": [0.5], "seconds": [3.0]})
    assert list(panels(draw(run, series=("train/*", "seconds")))) == ["train/ce", "train/prior", "seconds"]
    figure = draw(run, logarithmic=("train/*",))
    assert {name: axis.get_yscale() for name, axis in panels(figure).items()} == {
        **{"train/ce": "log", "train/prior": "log", "val/dice": "linear"}
    }
    with pytest.raises(Incompatible, match="Did you mean 'val/dice'"):
        draw(run, series=("val/dise",))


def test_many_runs_have_as_many_colours() -> None:
    figure = draw(*(Run(f"run {number}", {"x": [number, number]}) for number in range(23)))
    assert len({tuple(line.get_color()) for line in panels(figure)["x"].get_lines()}) == 23


def test_dollars_are_no_mathematics() -> None:
    figure = draw(Run("a$_b$", {"$x^": [1, 2]}))
    figure.canvas.draw()
    assert figure.legends[0].get_texts()[0].get_text() == r"a\$_b\$"


@pytest.mark.parametrize("runs", [[], [Run("evaluated elsewhere")]])
def test_nothing_to_draw_is_refused(runs: list[Run]) -> None:
    with pytest.raises(Incompatible, match="found no history"):
        draw(*runs)
