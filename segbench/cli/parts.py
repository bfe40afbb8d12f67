"""``segbench list``, ``info`` and ``check``: what is on offer, what a part takes, whether it keeps its contract."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli import console
from segbench.cli.application import app
from segbench.errors import EXIT_PLUGIN, UnknownName, UsageError, did_you_mean

if TYPE_CHECKING:
    from segbench.host import Catalogue, Entry

KINDS = ("datasets", "networks", "methods", "metrics", "studies")


@app.command("list")
def list_command(
    kind: Annotated[str | None, typer.Argument(help="datasets, networks, methods, metrics or studies.")] = None,
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
    from rich import box
    from rich.table import Table

    shown = console.stdout()
    for name in kinds:
        table = Table(title=name, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("name", style="cyan", no_wrap=True)
        table.add_column("summary", ratio=1)
        table.add_column("plugin", style="dim", no_wrap=True)
        table.add_column("version", style="dim", no_wrap=True)
        for part, entry in sorted(catalogue.entries[name].items()):
            table.add_row(part, entry.cls.summary, entry.origin.plugin, entry.origin.version)
        if catalogue.entries[name]:
            shown.print(table)
        elif kind:
            shown.print(f"No {name} on offer.")
    for problem in catalogue.problems:
        shown.print(f"[red]Problem[/] {problem.origin}: {problem.reason}", highlight=False, soft_wrap=True)


@app.command("info")
def info_command(
    kind: Annotated[str, typer.Argument(help="dataset, network, method, metric or study.")],
    name: Annotated[str, typer.Argument(help="Name of the part.")],
    as_json: console.Json = False,
    plugins: console.Plugins = None,
) -> None:
    """Show what a part is, where it comes from and which parameters it takes."""
    from rich import box
    from rich.table import Table

    from segbench.params import describe

    kinds = {_singular(plural): plural for plural in KINDS} | {plural: plural for plural in KINDS}
    if kind not in kinds:
        raise UsageError(f"segbench info {kind}: {did_you_mean(kind, kinds)}")
    entry = console.catalogue(plugins).entry(kinds[kind], name)
    parameters = describe(entry.cls)
    if as_json:
        fields = ("key", "type", "default", "help")
        document = {"parameters": [dict(zip(fields, row, strict=True)) for row in parameters]}
        console.print_json(_part(name, entry) | document)
        return
    shown = console.stdout()
    singular = _singular(kinds[kind])
    shown.print(f"[bold cyan]{name}[/] ({singular}, version {entry.cls.version}): {entry.cls.summary}", highlight=False)
    shown.print(f"from {entry.origin}" + (f"; source {entry.cls.source}" if entry.cls.source else ""), highlight=False)
    arms = getattr(entry.cls, "arms", None)
    if arms:
        shown.print(f"arms: method, {', '.join(sorted(arms))}", highlight=False)
    if entry.cls.__doc__ and not entry.cls.__doc__.startswith(f"{entry.cls.__name__}("):
        import inspect

        shown.print("\n" + inspect.cleandoc(entry.cls.__doc__), highlight=False, markup=False)
    if not parameters:
        shown.print("\nNo parameters.")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("parameter", "default", "type", "meaning"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "parameter")
    for key, kind_text, default, text in parameters:
        table.add_row(f"{singular}.{key}", _shown(default), kind_text, text)
    shown.print(table)
    shown.print(f"Set one with --set {singular}.{parameters[0][0]}=VALUE", highlight=False)


@app.command("check")
def check_command(
    plugin: Annotated[str, typer.Argument(help="Plugin (e.g. segbench_nonadj), part (method:nonadj), or FILE.py.")],
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
        shown = console.stdout()
        for result in results:
            mark = "[green]ok[/]    " if result["ok"] else "[red]failed[/]"
            message = f": {result['message']}" if result["message"] else ""
            shown.print(f"{mark} {result['kind']} {result['part']}: {result['check']}{message}", highlight=False)
        for problem in problems:
            shown.print(f"[red]Problem[/] {problem.reason}", highlight=False)
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
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
