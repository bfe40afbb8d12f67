"""The Typer application: one group that turns every expected error into a message and an exit code."""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from segbench.errors import EXIT_DATA, EXIT_SOME_FAILED, SegbenchError

ORDER = (
    *("run", "study", "evaluate", "audit", "prior", "leaderboard", "compare", "report", "figure"),
    *("import", "submit", "verify", "cite", "list", "info", "check"),
)
"""Commands in the order in which they are helpful to a newcomer; others follow."""


class Guarded(TyperGroup):
    """A command group that never shows a traceback unless SEGBENCH_DEBUG is set."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands, the first ones to try first."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write every command with the whole first paragraph of its help, wrapped."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, (command.help or "").split("\n\n")[0]) for name, command in commands if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except SegbenchError as error:
            if os.environ.get("SEGBENCH_DEBUG"):
                traceback.print_exc()
            _complain(f"Error: {error}")
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            _complain("Interrupted; what was finished is kept, the same command resumes.")
            raise typer.Exit(130) from error
        except BrokenPipeError:  # the reader has seen enough, as in `segbench list | head`
            raise
        except OSError as error:
            if os.environ.get("SEGBENCH_DEBUG"):
                raise
            _complain(f"Error: {_os_error(error)}")
            raise typer.Exit(EXIT_DATA) from error
        except Exception as error:
            if type(error).__module__.split(".")[0] in ("typer", "click"):  # their own way to exit
                raise
            if os.environ.get("SEGBENCH_DEBUG"):
                raise
            _complain(
                f"Unexpected {type(error).__name__}: {error}\nThis is a fault of segbench; earlier results are intact. "
                f"Set SEGBENCH_DEBUG=1 for the traceback and report it."
            )
            raise typer.Exit(EXIT_SOME_FAILED) from error


_ADVICE = {
    errno.ENOSPC: " Free some space; the same command resumes.",
    errno.EACCES: " Check the permissions.",
    errno.EROFS: " Choose a folder that can be written to.",
}


def _complain(text: str) -> None:
    typer.echo(text, err=True)


def _os_error(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    advice = _ADVICE.get(error.errno or 0, "")
    return f"{error.strerror or error}{where}.{advice}"


app = typer.Typer(
    name="segbench",
    cls=Guarded,
    help="Does prior knowledge help to segment? Train, evaluate, compare, case by case.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # rich doubles the time that --help takes
    context_settings={"max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 some cells or cases failed, 2 usage, 3 data, 4 plugin, 5 verification.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from segbench import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
    ),
) -> None:
    """Take the options that stand before a command."""


def main() -> None:
    """Run the command line (entry point ``segbench`` and ``python -m segbench``)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show τ shows ?
    sys.exit(app(prog_name="segbench"))
