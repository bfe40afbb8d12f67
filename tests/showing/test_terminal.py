"""How wide a table is drawn is known without drawing it, and as many columns are shown as fit."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from segbench.ranking.boards import Leaderboard
from segbench.ranking.leaderboard import leaderboard
from segbench.score_table import scores_table
from segbench.showing import terminal
from segbench.showing.tables import BARE, FULL, SHORT, Sheet, sheets

WORDS = st.text(st.sampled_from("abc_± ↑漢é9."), min_size=1, max_size=12).map(lambda text: text.strip() or "x")


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 5), st.integers(1, 4), st.sampled_from([FULL, SHORT, BARE]), st.data())
def test_width_is_that_of_the_drawn_table(columns: int, rows: int, level: int, data: st.DataObject) -> None:
    row = st.lists(WORDS, min_size=columns, max_size=columns)
    sheet = Sheet("title", data.draw(row), data.draw(st.lists(row, min_size=rows, max_size=rows)))
    console = Console(file=io.StringIO(), width=500)
    drawn = console.measure(terminal._rich(sheet, level), options=console.options.update(max_width=10_000))
    assert terminal._width(sheet, level) == drawn.maximum


def many_metrics(metrics: int, methods: int) -> Leaderboard:
    """Return a board with metrics whose names grow longer and shorter."""
    common = {"run_id": "r", "dataset": "d", "dataset_revision": "1", "network": "n", "arm": "method", "seed": 0}
    common |= {"fold": 0, "group": "g", "label": 1, "label_name": "one", "metric_version": "1", "unit": ""}
    rows = [
        common
        | {"run_id": f"r{k}", "method": f"method_{k}", "case_id": f"c{case}", "metric": f"m{q:02d}" + "x" * (q % 7)}
        | {"better": "higher", "value": (k + case * q) % 5 / 3}
        for k in range(methods)
        for case in range(3)
        for q in range(metrics)
    ]
    return leaderboard(scores_table(rows))


@pytest.mark.parametrize("metrics", [1, 2, 3, 12])
@pytest.mark.parametrize("by_label", [False, True])
def test_as_many_columns_as_fit(metrics: int, by_label: bool) -> None:
    board = many_metrics(metrics, 4)
    attempts = [(FULL, None), (SHORT, None), (BARE, None), *((BARE, most) for most in range(metrics - 1, 0, -1))]
    for width in (20, 30, 40, 60, 80, 100, 150, 400):
        for level, most in attempts:  # one after the other, as drawn
            expected = sheets(board, by_label, level, most)[0]
            if terminal._width(expected, level) <= width:
                break
        else:
            expected = terminal._narrowed(expected, level, width)
        drawn = io.StringIO()
        terminal.draw_tables(board, Console(file=drawn, width=width), by_label)
        console = Console(file=io.StringIO(), width=width)
        console.print(terminal._rich(expected, level))
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert drawn.getvalue().startswith(text)
