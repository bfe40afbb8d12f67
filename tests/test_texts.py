"""Foreign texts are shown, not obeyed: on terminals, in tables, in spreadsheets, on pages."""

from __future__ import annotations

import ast
import csv
import io
from pathlib import Path

import pytest

from segbench.score_table import Row, scores_table
from segbench.texts import csv_cell, one_line, plain

ROOT = Path(__file__).parents[1]
EVIL = "=dice\x1b[31m\x9b2J\r\u202eevil\u2028x\x00"


def board_of(method: str) -> object:
    from segbench.ranking.leaderboard import leaderboard

    rows = [
        Row(
            "r",
            "d\x1b]0;t\x07",
            "1",
            "",
            method,
            "method",
            0,
            0,
            "c",
            "c",
            1,
            "-2+3\x1b[2K",
            "dice",
            "1",
            "",
            "higher",
            0.5,
        )
    ]
    return leaderboard(scores_table(rows))


def harmful(text: str) -> set[str]:
    return {one for one in text if one != "\n" and not one.isprintable()}


def test_controls_and_marks_of_direction_are_shown_as_escapes() -> None:
    assert plain(EVIL) == r"=dice\x1b[31m\x9b2J\r\u202eevil\u2028x\x00"
    assert plain("a\nb\tc", lines=True) == "a\nb\\tc" and plain("a\nb") == r"a\nb" and one_line("a\r\nb") == "a b"
    assert plain("\ud800") == r"\ud800" and plain("\U000e0041") == r"\U000e0041"


@pytest.mark.parametrize("text", ["", "RV ±", "naïve – τ 测 ", "a\u00a0b", "\u0645\u200c\u06cc", "👩\u200d⚕️"])
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert plain(text) == one_line(text) == text


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1+1", "-", "+1_0", "-１"]
)
def test_a_cell_that_begins_a_formula_is_quoted(text: str) -> None:
    cell = csv_cell(text)
    assert cell[0] in "'\\" or cell == "'" + text
    assert not cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\r", "＝"))


@pytest.mark.parametrize("value", ["-1.5", "+3e-4", "-inf", -1.5, None, True, "dice", "'quoted"])
def test_numbers_and_plain_words_are_not(value: object) -> None:
    assert csv_cell(value) == value


def test_no_export_of_a_board_holds_a_control() -> None:
    from rich.console import Console

    from segbench.showing import exports, terminal

    board = board_of(EVIL)
    for by_label in (False, True):
        for form, write in exports.WRITERS.items():
            assert not harmful(write(board, by_label, True)), form  # type: ignore[arg-type]
        drawn = io.StringIO()
        terminal.draw_tables(board, Console(file=drawn, width=300), by_label)  # type: ignore[arg-type]
        assert not harmful(drawn.getvalue()) and r"\x1b[31m" in drawn.getvalue()
    rows = list(csv.reader(io.StringIO(exports.comma_separated(board, by_label=True))))  # type: ignore[arg-type]
    assert rows[1][4].startswith("'-2+3") and rows[1][9].startswith("'=dice")


def test_a_screen_shows_escapes_and_keeps_its_own_colours() -> None:
    from rich.table import Table
    from rich.text import Text

    from segbench.cli.screen import Screen

    shown = io.StringIO()
    screen = Screen(file=shown, force_terminal=True, width=200, color_system="standard")
    table = Table("head\x1b[2J")
    table.add_row(Text(EVIL, style="bold"))
    screen.print(table)
    screen.print(EVIL, style="red", markup=False)
    text = shown.getvalue()
    assert r"\x1b[2J" in text and "\x1b[31m" in text and "\x1b[2J" not in text
    assert not harmful(text) - {"\x1b"}


def test_commands_print_in_one_way_only() -> None:
    """Every command prints through ``cli.console``, whose texts are plain; whatever else prints makes them plain."""
    wrong = []
    for path in sorted((ROOT / "segbench").rglob("*.py")):
        if path.name in ("console.py", "screen.py", "application.py") and path.parent.name == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and [*map(ast.unparse, node.args), ""][0].startswith("plain("):
                continue
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                *("print", "typer.echo", "typer.secho", "click.echo", "Console", "rich.print"),
                *("sys.stdout.write", "sys.stderr.write"),
            ):
                wrong.append(f"{path.name}:{node.lineno} {ast.unparse(node.func)}")
    assert not wrong, wrong


def test_a_page_holds_no_control() -> None:
    from segbench.reporting.pages import _environment

    made = _environment().from_string("<p>{{ text }}</p>").render(text=EVIL + "<b>")
    assert not harmful(made) and "&lt;b&gt;" in made
