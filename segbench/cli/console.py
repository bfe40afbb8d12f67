"""Where the command line prints: results on stdout, everything else on stderr; and the options commands share."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.errors import EXIT_SOME_FAILED
from segbench.texts import plain

if TYPE_CHECKING:
    from rich.console import Console

    from segbench.host import Catalogue

Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", help="Load one Python file as a plugin; may be repeated.", show_default=False),
]
Results = Annotated[Path, typer.Option("--results", "--out", help="Folder that holds the results of all runs.")]
SeveralResults = Annotated[
    list[Path] | None,
    typer.Option(
        "--results",
        "--out",
        help="Folder that holds results, or a published board; several are merged by identity.  [default: results]",
        show_default=False,
    ),
]
SeveralResultsOnly = Annotated[
    list[Path] | None,
    typer.Option("--results", help="As for `leaderboard`; repeat for several.  [default: results]", show_default=False),
]
ResultsOnly = Annotated[Path, typer.Option("--results", help="Folder that holds the results of all runs.")]
"""For commands that write elsewhere with ``--out``."""
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout instead of a table.")]


def stdout() -> Console:
    """Return a console for results."""
    from segbench.cli.screen import Screen

    return Screen(soft_wrap=False)


def stderr() -> Console:
    """Return a console for progress, warnings and messages."""
    from segbench.cli.screen import Screen

    return Screen(stderr=True)


def say(text: str, *, style: str = "", wrap: int | None = None) -> None:
    """Say a sentence on stderr as it is, without markup.

    Args:
        text: one line; the terminal wraps it where it ends, so that paths can be copied.
        style: of rich, for all of it.
        wrap: indentation in characters of further lines, to wrap at words instead.
    """
    console = stderr()
    if wrap is not None and len(text) > console.width:
        import textwrap

        text = textwrap.fill(text, console.width, subsequent_indent=" " * wrap, drop_whitespace=True)
    console.print(text, style=style or None, highlight=False, markup=False, soft_wrap=True)


def width() -> int:
    """Return the width of the terminal in characters: what COLUMNS says, 80 if nobody knows."""
    return shutil.get_terminal_size().columns


def name_left_out(reasons: Sequence[str], *, said: bool = False) -> None:
    """Say on stderr which files were left out, unless that is said; leave with exit code 1 if any was.

    Raises:
        Exit: some were.
    """
    for reason in () if said else reasons:
        say(f"Left out: {reason}", style="yellow")
    if reasons:
        raise typer.Exit(EXIT_SOME_FAILED)


def echo(text: str, *, error: bool = False, end: str = "\n") -> None:
    """Print a text as it is, but for what would steer a terminal; on stderr if it is an ``error``."""
    typer.echo(plain(text, lines=True) + end, err=error, nl=False)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines of ours, with colours, on stdout; colours are left out off a terminal and where NO_COLOR is set."""
    colour = False if os.environ.get("NO_COLOR") else None
    for line in lines:
        typer.echo(line, color=colour)


def print_json(document: Any) -> None:
    """Print one JSON document on stdout; non-finite numbers become null."""
    sys.stdout.write(json.dumps(_finite(document), indent=2, default=str) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def catalogue(plugins: list[Path] | None) -> Catalogue:
    """Load the catalogue for a command; what plugins print meanwhile goes to stderr."""
    from segbench.host import load_catalogue

    with contextlib.redirect_stdout(sys.stderr):
        return load_catalogue(plugins or ())


class CaseBar:
    """A bar over cases on stderr where that is a terminal; it appears with the first case."""

    def __enter__(self) -> CaseBar:
        self._bar: Any = None
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, total: int, case: str = "") -> None:
        """Say how many cases are done, and the case just done."""
        if self._bar is None:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            console = stderr()
            columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
            self._bar.start()
            self._row = self._bar.add_task("", total=total)
        self._bar.update(self._row, completed=done, description=case)
