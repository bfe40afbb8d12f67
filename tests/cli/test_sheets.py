"""Tables on narrow consoles: words stay whole, columns move to a further table, nothing is lost."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from segbench.cli.sheets import draw_sheet
from segbench.contracts import Table

LABELS = ("supervised", "semi, 12 unlabelled", "placebo(12)")
SHEET = Table(
    "brain, 10 cases",
    ("", "seeds", "forbidden_contacts ↓", "forbidden_pairs 1 ↓", "hd mm ↓", "msd mm ↓", "dice ↑"),
    tuple((label, "3", *[f"{place}.{column}12 ± 0.3" for column in range(5)]) for place, label in enumerate(LABELS)),
    ("A remark.",),
)


def printed(width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO())
    draw_sheet(SHEET, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_no_word_breaks_and_every_value_is_there(width: int) -> None:
    lines = printed(width)
    assert max(map(len, lines)) <= width
    words = [word for line in lines for word in line.split()]
    for label in LABELS:
        assert set(label.split()) <= set(words)
    for value in (cell.split()[0] for row in SHEET.rows for cell in map(str, row[2:])):
        assert words.count(value) == 1, value
    assert {"hd", "msd", "dice", "brain,", "remark."} <= set(words)
    assert "forbidden_contacts" in words or {"forbidden_", "contacts"} <= set(words)


def test_each_further_table_names_its_rows_again() -> None:
    tables = sum("supervised" in line for line in printed(40))
    assert tables > 1
    assert sum("placebo(12)" in line for line in printed(40)) == tables
    assert sum("placebo(12)" in line for line in printed(200)) == 1
