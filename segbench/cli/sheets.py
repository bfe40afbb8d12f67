"""``segbench.Table`` -> the terminal and Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from segbench.contracts import Table


_NUMERIC = tuple("0123456789+-–.")
"""How a cell of a column of numbers may begin."""


def draw_sheet(sheet: Table, console: Console) -> None:
    """Print a table with its title and remarks; columns narrow down to the console's width."""
    from rich import box
    from rich.table import Table as Rich
    from rich.text import Text

    console.print(sheet.title, style="bold", markup=False, highlight=False)
    drawn = Rich(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(sheet.columns):
        numbers = any(_text(row[index])[:1] in _NUMERIC for row in sheet.rows)
        drawn.add_column(Text(heading), justify="right" if index and numbers else "left", overflow="fold")
    for row in sheet.rows:
        drawn.add_row(*(Text(_text(cell)) for cell in row))
    if sheet.columns:
        console.print(drawn)
    for note in sheet.notes:
        console.print(note, style="dim", markup=False, highlight=False)


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
    for sign in "\\`*_{}[]<>|":
        text = text.replace(sign, "\\" + sign)
    return text.replace("\n", "<br>")


def _text(cell: str | float | None) -> str:
    return "–" if cell is None else cell if isinstance(cell, str) else f"{cell:.4g}"
