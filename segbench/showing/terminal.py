"""Tables drawn on a terminal, as much of them as fits its width."""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from segbench.ranking.boards import Leaderboard
from segbench.showing.first import PICTURE
from segbench.showing.tables import BARE, FULL, SHORT, Costs, Sheet, sheets

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_LEAST_NAME = 12
"""Characters of a method's name that stand on one line at least."""
_FIRST_TO_GO = ("P(first)", "95%", "group", "missed", "runs", "parameters", PICTURE, "95 %")
"""Beginnings of heads."""


def draw_tables(
    leaderboard: Leaderboard,
    console: Console,
    by_label: bool = False,
    by_seed: bool = False,
    costs: Costs | None = None,
) -> None:
    """Print the tables on a console, of each as much as fits the width."""
    widest = max(len(board.metrics) for board in leaderboard.boards)
    attempts = [(FULL, None), (SHORT, None), (BARE, None), *((BARE, most) for most in range(widest - 1, 0, -1))]

    @cache
    def versions(attempt: int) -> list[Sheet]:
        level, most = attempts[attempt]
        return sheets(leaderboard, by_label, level, most, by_seed, costs=costs)

    for index in range(len(versions(0))):
        chosen = _first_that_fits(attempts, versions, index, console.width)
        level, sheet = attempts[chosen][0], versions(chosen)[index]
        if _width(sheet, level) > console.width:
            sheet = _narrowed(sheet, level, console.width)
        table = _rich(sheet, level)
        console.print(table)
        if sheet.lead:
            console.print(sheet.lead, markup=False, highlight=False)
        for note in sheet.notes:
            console.print(note, style="dim", markup=False, highlight=False)
        console.print()
    for sentence in leaderboard.notes:
        console.print(sentence, markup=False, highlight=False)


def _first_that_fits(
    attempts: Sequence[tuple[int, int | None]], versions: Callable[[int], list[Sheet]], index: int, width: int
) -> int:
    """Return the first attempt at a sheet that fits a width, or the last; from ``BARE`` on each has a column less."""

    def fits(attempt: int) -> bool:
        return _width(versions(attempt)[index], attempts[attempt][0]) <= width

    narrowing = [level for level, _ in attempts].index(BARE)
    for attempt in range(narrowing):
        if fits(attempt):
            return attempt
    return min(bisect_left(range(len(attempts)), True, lo=narrowing, key=fits), len(attempts) - 1)


def _width(sheet: Sheet, level: int) -> int:
    """Return the width at which the drawn table has every cell on its lines, without drawing it."""
    from rich.cells import cell_len

    total = len(sheet.header) - 1
    for index, head in enumerate(sheet.header):
        cells = [*_head(head, level).split("\n"), *(row[index] for row in sheet.rows)]
        total += max(len(cell) if cell.isascii() else cell_len(cell) for cell in cells) + 1
    return total


def _narrowed(sheet: Sheet, level: int, width: int) -> Sheet:
    """Return the sheet without the columns least needed, so that no number and no word of a head is cut."""
    gone = []
    for head in _FIRST_TO_GO:
        if _least_width(sheet, level) <= width:
            break
        for index, full in enumerate(sheet.header):
            if full.startswith(head):
                gone.append(head)
                sheet = sheet.without(index)
                break
    note = [f"Columns not shown, for width: {', '.join(gone)}."] if gone else []
    return dataclasses.replace(sheet, notes=[*sheet.notes, *note])


def _least_width(sheet: Sheet, level: int) -> int:
    """Return the width that a table needs; names of methods may be broken, nothing else."""
    total = 0
    for index, head in enumerate(sheet.header):
        longest = max(map(len, [*_head(head, level).split("\n"), *(row[index] for row in sheet.rows)]))
        total += (min(longest, _LEAST_NAME) if index == sheet.names else longest) + 2
    return total


def _head(head: str, level: int) -> str:
    return head.replace(" ", "\n").replace("_", "_\n") if level == BARE else head


def _rich(sheet: Sheet, level: int) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(sheet.title, style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for index, head in enumerate(sheet.header):
        table.add_column(
            Text(_head(head, level)),
            justify="left" if index in sheet.left else "right",
            no_wrap=index != sheet.names,
            overflow="fold",
            vertical="bottom",
        )
    for i, row in enumerate(sheet.rows):
        table.add_row(*[Text(cell, style="bold" if (i, j) in sheet.bold else "") for j, cell in enumerate(row)])
    return table
