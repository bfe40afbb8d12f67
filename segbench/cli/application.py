"""The Typer application: one group that turns every expected error into a message and an exit code.

Start-up is short because only the command that is asked for is built, and only values that Typer must check are given
to the library it checks with.
"""

from __future__ import annotations

import inspect
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup

from segbench.failures import debugging, failure_of
from segbench.texts import plain

ORDER = (
    *("run", "plan", "predict", "score", "study", "evaluate", "audit", "prior", "leaderboard", "compare", "report"),
    *("figure", "import", "submit", "verify", "cite", "list", "info", "check"),
)
"""Commands in the order in which they are helpful to a newcomer; others follow."""


Function = TypeVar("Function", bound=Callable[..., Any])


class Application(typer.Typer):
    """A Typer that builds a command when it is asked for: reading the options of all of them takes 100 ms."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.functions: dict[str, Callable[..., Any]] = {}
        self.groups: dict[str, typer.Typer] = {}
        self._built: dict[str, Any] = {}

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Function], Function]:
        """Return the decorator that makes a function a command, by default of the function's name."""
        if settings:
            raise TypeError(f"a command of its own has no settings; found {', '.join(settings)}")

        def keep(function: Function) -> Function:
            self.functions[name or function.__name__] = function
            return function

        return keep

    def add_typer(self, typer_instance: typer.Typer, **settings: Any) -> None:
        """Add a group of commands, under its own name."""
        if settings:
            raise TypeError(f"a group of its own has no settings; found {', '.join(settings)}")
        self.groups[str(typer_instance.info.name)] = typer_instance

    def names(self) -> list[str]:
        """Return the names of commands and groups, the first ones to try first."""
        names = [*self.functions, *self.groups]
        return sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def help_of(self, name: str) -> str:
        """Return the whole help of a command or group, without building it."""
        function = self.functions.get(name)
        return (inspect.getdoc(function) if function else inspect.cleandoc(self.groups[name].info.help or "")) or ""

    def built(self, name: str) -> Any:
        """Return one command or group as the library below Typer knows it.

        Raises:
            KeyError: there is none of this name.
        """
        if name not in self._built:
            alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
            if name in self.groups:
                alone.add_typer(self.groups[name])
                group: Any = typer.main.get_command(alone)
                self._built[name] = group.commands[name]
            else:
                alone.command(name, cls=Quick)(self.functions[name])
                self._built[name] = typer.main.get_command(alone)
        return self._built[name]


class _Sparing:
    """What lets the parameters of a command take values that need no check as they are."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, with the option --help."""
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for parameter in parameters:
            if "process_value" not in vars(parameter):
                _spare(parameter)
        return parameters


class Quick(_Sparing, TyperCommand):
    """A command that loads what checks values only for values that have to be checked."""


def _spare(parameter: Any) -> None:
    """Spare a parameter the check of absent values, of texts and of plain paths: Typer loads pydantic for it, 65 ms."""
    described: Any = getattr(parameter, "type_descriptor", None)  # older versions of Typer have none, and are quick
    if described is None:
        return
    kind, rule, check = described.annotation, described.parameter_info, parameter.process_value
    any_path = rule.file_okay and rule.dir_okay and not (rule.writable or rule.resolve_path or rule.allow_dash)
    several = get_origin(kind) is list
    one = get_args(kind)[0] if several else kind

    def fits(value: Any) -> bool:
        if rule.parser is not None or not isinstance(one, type):
            return False
        return isinstance(value, one) or (one is Path and any_path and _is_path(value))

    def process_value(context: Any, value: Any) -> Any:
        if several and isinstance(value, list | tuple) and all(map(fits, value)):
            found: Any = tuple(Path(item) if one is Path else item for item in value)
        elif not several and fits(value):
            found = Path(value) if one is Path else value
        else:
            found = () if several else None
            if value is not None:
                return check(context, value)
        if parameter.required and not found:
            return check(context, value)
        return parameter.callback(context, parameter, found) if parameter.callback else found

    parameter.process_value = process_value


def _is_path(value: Any) -> bool:
    """Return whether a value names what is there and may be read."""
    return isinstance(value, str) and os.access(value, os.R_OK)


class _Commands(Mapping[str, Any]):
    """Name -> command or group."""

    def __getitem__(self, name: str) -> Any:
        return app.built(name)

    def __iter__(self) -> Iterator[str]:
        return iter(app.names())

    def __len__(self) -> int:
        return len(app.names())


class Guarded(_Sparing, TyperGroup):
    """A command group that never shows a traceback unless SEGBENCH_DEBUG is set."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = _Commands()

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands, the first ones to try first."""
        return app.names()

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write every command with the whole first paragraph of its help, wrapped."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, app.help_of(name).split("\n\n")[0]) for name in app.names()])

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            _complain("Interrupted; what was finished is kept, the same command resumes.")
            raise typer.Exit(130) from error
        except BrokenPipeError:  # the reader has seen enough, as in `segbench list | head`
            raise
        except Exception as error:
            if type(error).__module__.split(".")[0] in ("typer", "click"):  # their own way to exit
                raise
            failure = failure_of(error)
            if debugging(error) and failure.unexpected:
                raise
            _complain(failure.message)
            raise typer.Exit(failure.exit_code) from error


def _complain(text: str) -> None:
    typer.echo(plain(text, lines=True), err=True)


app = Application(
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
