"""``segbench list``, ``info`` and ``check``: what is on offer, what a part takes, whether it keeps its contract."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli import console
from segbench.cli.application import app
from segbench.contracts import Study
from segbench.errors import EXIT_PLUGIN, UnknownName, UsageError, did_you_mean

if TYPE_CHECKING:
    from segbench.host import Catalogue, Entry

KINDS = ("datasets", "networks", "methods", "decisions", "metrics", "studies", "priors", "figures")


@app.command("list")
def list_command(
    kind: Annotated[
        str | None, typer.Argument(help="datasets, networks, methods, decisions, metrics, studies, priors or figures.")
    ] = None,
    as_json: console.Json = False,
    plugins: console.Plugins = None,
) -> None:
    """List the parts on offer, the plugins they come from, and what failed to load."""
    if kind is not None and kind not in KINDS:
        raise UsageError(f"segbench list {kind}: {did_you_mean(kind, KINDS)}")
    catalogue = console.catalogue(plugins)
    kinds = [kind] if kind else list(KINDS)
    if as_json:
        console.print_json(_document(catalogue, kinds))
        return
    from segbench.cli import listing

    if kind and not catalogue.entries[kind]:
        console.print_lines([f"No {kind} on offer."])
    console.print_lines(listing.lines(catalogue, kinds, console.width()))


@app.command("info")
def info_command(
    kind: Annotated[str, typer.Argument(help="dataset, network, method, decision, metric, study, prior or figure.")],
    name: Annotated[str, typer.Argument(help="Name of the part.")],
    as_json: console.Json = False,
    plugins: console.Plugins = None,
) -> None:
    """Show what a part is, where it comes from and which parameters it takes."""
    from rich.markup import escape
    from rich.table import Table

    from segbench.host import blame
    from segbench.params import describe

    kinds = {_singular(plural): plural for plural in KINDS} | {plural: plural for plural in KINDS}
    if kind not in kinds:
        raise UsageError(f"segbench info {kind}: {did_you_mean(kind, kinds)}")
    catalogue = console.catalogue(plugins)
    entry = catalogue.entry(kinds[kind], name)
    with blame(entry.origin, f"describing {name}"):
        parameters = describe(entry.cls)
    known = catalogue.arms(name) if kinds[kind] == "methods" else {}
    arms = {arm: dict(values) for arm, values in known.items()}
    if as_json:
        fields = ("key", "type", "default", "help")
        document = {"arms": arms, "parameters": [dict(zip(fields, row, strict=True)) for row in parameters]}
        console.print_json(_part(name, entry) | document)
        return
    shown = console.stdout()
    singular = _singular(kinds[kind])
    heading = f"[bold cyan]{name}[/] ({singular}, version {escape(entry.cls.version)}): {escape(entry.cls.summary)}"
    shown.print(heading, highlight=False)
    shown.print(f"from {entry.origin}", highlight=False, markup=False)
    if entry.cls.source:
        shown.print(f"source {entry.cls.source}", highlight=False, markup=False, soft_wrap=True)
    if arms:
        shown.print(f"arms: method, {', '.join(sorted(arms))}", highlight=False, markup=False)
    if issubclass(entry.cls, Study) and entry.cls.datasets:
        table_of = f"a table of {', '.join(entry.cls.metrics)} on {', '.join(entry.cls.datasets)}"
        shown.print(f"{table_of}, {entry.cls.seeds} seeds", highlight=False, markup=False)
    if entry.cls.__doc__ and not entry.cls.__doc__.startswith(f"{entry.cls.__name__}("):
        import inspect

        shown.print("\n" + inspect.cleandoc(entry.cls.__doc__), highlight=False, markup=False)
    if not parameters:
        shown.print("\nNo parameters.")
        return
    prefix = f"metric.{name}" if singular == "metric" else singular
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="cyan", overflow="fold")
    table.add_column(ratio=1)
    for key, kind_text, default, text in parameters:
        table.add_row(escape(f"{key}={_shown(default)}"), escape(f"{text} ({kind_text})" if text else kind_text))
    shown.print("\nparameters with their defaults", style="bold")
    shown.print(table)
    shown.print(f"\nSet one with --set {prefix}.{parameters[0][0]}=VALUE", highlight=False, markup=False)


@app.command("check")
def check_command(
    plugin: Annotated[str, typer.Argument(help="Plugin by its module, part as method:NAME, or FILE.py.")],
    as_json: console.Json = False,
    plugins: console.Plugins = None,
) -> None:
    """Check that the parts of a plugin keep their contracts, with named checks."""
    from segbench.conformance import check_part

    files = list(plugins or [])
    if plugin.endswith(".py"):
        files.append(Path(plugin))
        plugin = Path(plugin).stem
    catalogue = console.catalogue(files)
    chosen = _chosen(catalogue, plugin)
    problems = [problem for problem in catalogue.problems if problem.origin.plugin == plugin]
    with contextlib.redirect_stdout(sys.stderr):  # what parts print is no result
        results = [
            {"kind": _singular(kind), "part": name, "check": result.name, "ok": result.ok, "message": result.message}
            for kind, name in chosen
            for result in check_part(catalogue, kind, name)
        ]
    failed = [result for result in results if not result["ok"]]
    if as_json:
        reasons = [problem.reason for problem in problems]
        console.print_json({"plugin": plugin, "checks": results, "problems": reasons, "failed": len(failed)})
    else:
        from rich.markup import escape

        shown = console.stdout()
        for result in results:
            mark = "[green]ok[/]    " if result["ok"] else "[red]failed[/]"
            message = f": {escape(str(result['message']))}" if result["message"] else ""
            text = f"{mark} {result['kind']} {result['part']}: {result['check']}{message}"
            shown.print(text, highlight=False, soft_wrap=True)
        for problem in problems:
            shown.print(f"[red]Problem[/] {escape(problem.reason)}", highlight=False, soft_wrap=True)
        shown.print(f"{len(results)} checks, {len(failed)} failed", highlight=False)
    if failed or problems:
        raise typer.Exit(EXIT_PLUGIN)


def _chosen(catalogue: Catalogue, plugin: str) -> list[tuple[str, str]]:
    """Return (kind, name) of the parts that a plugin's name, or ``kind:name``, stands for."""
    if ":" in plugin:
        kind, _, name = plugin.partition(":")
        kinds = {_singular(plural): plural for plural in KINDS}
        if kind not in kinds:
            raise UsageError(f"segbench check {plugin}: {did_you_mean(kind, kinds)}")
        catalogue.entry(kinds[kind], name)
        return [(kinds[kind], name)]
    known = {origin.plugin for origin in catalogue.origins}
    if plugin not in known:
        raise UnknownName(f"No plugin is called {plugin!r}. {did_you_mean(plugin, known)}")
    return [
        (kind, name)
        for kind in KINDS
        for name, entry in sorted(catalogue.entries[kind].items())
        if entry.origin.plugin == plugin
    ]


def _document(catalogue: Catalogue, kinds: list[str]) -> dict[str, Any]:
    document: dict[str, Any] = {
        kind: [_part(name, entry) for name, entry in sorted(catalogue.entries[kind].items())] for kind in kinds
    }
    document["problems"] = [
        {"plugin": problem.origin.plugin, "version": problem.origin.version, "reason": problem.reason}
        for problem in catalogue.problems
    ]
    return document


def _part(name: str, entry: Entry) -> dict[str, Any]:
    return {
        "name": name,
        "summary": entry.cls.summary,
        "source": entry.cls.source,
        "version": entry.cls.version,
        "plugin": entry.origin.plugin,
        "distribution": entry.origin.distribution,
        "plugin_version": entry.origin.version,
    }


def _singular(kind: str) -> str:
    return "study" if kind == "studies" else kind[:-1]


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return str(value) if value != "" else "''"
