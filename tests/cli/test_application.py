"""The application builds single commands and spares what needs no check; what it parses is what Typer parses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from segbench.cli import app

FILE = str(Path(__file__))
LINES = (
    ("list",),
    ("list", "methods", "--json"),
    ("list", "--plugin", FILE, "--plugin", "not there.py"),
    ("leaderboard",),
    ("leaderboard", "--metric", "dice", "--metric", "hd95", "--results", str(Path(FILE).parent), "--by-label"),
    ("leaderboard", "some folder", "--write"),
    ("leaderboard", "--scheme", "test-then-rank", "--bootstrap", "7", "--no-schemes", "--missing", ""),
    ("compare", "a", "b", "--metric", "dice", "--alpha", "0.1"),
    ("run", "--method", "ce", "--seed", "3", "--set", "recipe.epochs=1", "--out", "results"),
)


def plain(name: str) -> Any:
    """Return a command as Typer alone makes it."""
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name)(app.functions[name])
    return typer.main.get_command(alone)


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_the_same_values_as_typers(line: tuple[str, ...]) -> None:
    name, *arguments = line
    expected = plain(name).make_context(name, list(arguments)).params
    found = app.built(name).make_context(name, list(arguments)).params
    assert {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()} == {
        key: list(value) if isinstance(value, tuple) else value for key, value in expected.items()
    }
    for key, value in found.items():
        assert type(value) is type(expected[key]) or isinstance(value, tuple | list)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (("leaderboard", "--bootstrap", "-1"), "--bootstrap"),
        (("leaderboard", "--bootstrap", "x"), "--bootstrap"),
        (("leaderboard", "--scheme", "best"), "--scheme"),
        (("info",), "Missing argument"),
        (("info", "method"), "segbench list methods"),
        (("list", "--nothing"), "No such option"),
        (("no-such-command",), "No such command"),
    ],
)
def test_wrong_values_are_still_refused(line: tuple[str, ...], words: str) -> None:
    result = CliRunner().invoke(app, list(line))
    assert result.exit_code == 2 and words in result.stderr


def test_every_command_has_its_help() -> None:
    for name in app.names():
        result = CliRunner().invoke(app, [name, "--help"])
        assert result.exit_code == 0 and f"Usage: segbench {name}" in result.stdout


def test_commands_have_no_settings_of_their_own() -> None:
    with pytest.raises(TypeError, match="hidden"):
        app.command("nothing", hidden=True)
    with pytest.raises(TypeError, match="name"):
        app.add_typer(typer.Typer(), name="nothing")


@pytest.mark.parametrize("arguments", [["list"], ["list", "methods"], ["--help"], ["list", "--help"]], ids=" ".join)
def test_start_up_loads_no_checker_and_no_painter(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom segbench.cli import app\n"
        f"app({arguments!r}, prog_name='segbench', standalone_mode=False)\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'pydantic', 'rich', 'numpy'}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]" and done.stdout
