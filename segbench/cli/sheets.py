"""``segbench.Table`` -> the terminal and Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from segbench.texts import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as Rich

    from segbench.contracts import Table


_NUMERIC = tuple("0123456789+-–.")
"""How a cell of a column of numbers may begin."""
_PADDING = 3
"""Characters around a column."""


def draw_sheet(sheet: Table, console: Console) -> None:
    """Print a table with its title and remarks; words stay whole, so that a narrow console gets several tables."""
    console.print(sheet.title, style="bold", markup=False, highlight=False)
    everything = _drawn(sheet, range(len(sheet.columns)), roomy=True)
    if console.measure(everything, options=console.options.update(max_width=10_000)).maximum <= console.width:
        tables = [everything] if sheet.columns else []
    else:
        tables = [_drawn(sheet, columns, roomy=False) for columns in _groups(sheet, console.width)]
    for table in tables:
        console.print(table)
    for note in sheet.notes:
        console.print(note, style="dim", markup=False, highlight=False)


def _groups(sheet: Table, width: int) -> list[list[int]]:
    """Return the columns of each table: the first one, which names the rows, and as many others as fit."""
    needed = [max(map(len, _words(sheet, index)), default=0) + _PADDING for index in range(len(sheet.columns))]
    groups = [[0]]
    for index in range(1, len(needed)):
        if len(groups[-1]) > 1 and sum(needed[one] for one in [*groups[-1], index]) > width:
            groups.append([0])
        groups[-1].append(index)
    return groups


def _words(sheet: Table, index: int) -> list[str]:
    texts = [_broken(sheet.columns[index]), *(_text(row[index]) for row in sheet.rows)]
    return [word for text in texts for word in text.split()]


def _broken(heading: str) -> str:
    return heading.replace("_", "_\n")


def _drawn(sheet: Table, columns: Iterable[int], roomy: bool) -> Rich:
    """Return some columns of a table; unless there is room, headings break after each underscore."""
    from rich import box
    from rich.table import Table as Rich
    from rich.text import Text

    drawn = Rich(box=box.SIMPLE_HEAD, pad_edge=False)
    chosen = list(columns)
    for index in chosen:
        heading = sheet.columns[index]
        drawn.add_column(
            Text(heading if roomy else _broken(heading)),
            justify="right" if index and _holds_numbers(sheet, index) else "left",
            overflow="fold",
            min_width=max(map(len, _words(sheet, index)), default=0),
        )
    for row in sheet.rows:
        drawn.add_row(*(Text(_text(row[index])) for index in chosen))
    return drawn


def _holds_numbers(sheet: Table, index: int) -> bool:
    return any(_text(row[index])[:1] in _NUMERIC for row in sheet.rows)


def markdown_of(sheets: Iterable[Table]) -> str:
    """Return tables as Markdown, one after the other."""
    blocks = []
    for sheet in sheets:
        lines = [f"### {_escaped(sheet.title)}", "", _line(sheet.columns), _line(["---"] * len(sheet.columns))]
        lines += [_line([_text(cell) for cell in row]) for row in sheet.rows]
        lines += ["", *(f"{_escaped(note)}  " for note in sheet.notes)] if sheet.notes else []
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(text: str) -> str:
    text = plain(text, lines=True)
    for sign in "\\`*_{}[]<>|":
        text = text.replace(sign, "\\" + sign)
    return text.replace("\n", "<br>")


def _text(cell: str | float | None) -> str:
    return "–" if cell is None else cell if isinstance(cell, str) else f"{cell:.4g}"
