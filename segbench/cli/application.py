"""The Typer application: one group that turns every expected error into a message and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from segbench.errors import EXIT_SOME_FAILED, SegbenchError


class Guarded(TyperGroup):
    """A command group that never shows a traceback unless SEGBENCH_DEBUG is set."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except SegbenchError as error:
            _complain(f"Error: {error}")
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            _complain("Interrupted; what was finished is kept, the same command resumes.")
            raise typer.Exit(130) from error
        except OSError as error:
            _complain(f"Error: {_os_error(error)}")
            raise typer.Exit(3) from error
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


def _complain(text: str) -> None:
    typer.echo(text, err=True)


def _os_error(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    advice = {28: " Free some space; the same command resumes.", 13: " Check the permissions."}.get(
        error.errno or 0, ""
    )
    return f"{error.strerror or error}{where}.{advice}"


app = typer.Typer(
    name="segbench",
    cls=Guarded,
    help="Does prior knowledge help to segment? Train, evaluate, compare, case by case.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    epilog="Exit codes: 0 ok, 1 some cells or cases failed, 2 usage, 3 data, 4 plugin, 5 verification.",
)


@app.callback()
def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
) -> None:
    if version:
        from segbench import __version__

        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line (entry point ``segbench`` and ``python -m segbench``)."""
    sys.exit(app(prog_name="segbench"))
