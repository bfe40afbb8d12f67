"""``segbench list`` and ``check``: what parts are on offer, and whether they keep their contracts."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli import console
from segbench.cli.application import app
from segbench.cli.listing import KINDS, about, singular
from segbench.errors import EXIT_PLUGIN, UnknownName, UsageError, did_you_mean

if TYPE_CHECKING:
    from segbench.host import Catalogue


@app.command("list")
def list_command(
    kind: Annotated[
        str | None,
        typer.Argument(help="datasets, networks, methods, decisions, metrics, studies, priors, figures or reporters."),
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
            {"kind": singular(kind), "part": name, "check": result.name, "ok": result.ok, "message": result.message}
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
        kinds = {singular(plural): plural for plural in KINDS}
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
        kind: [about(name, entry) for name, entry in sorted(catalogue.entries[kind].items())] for kind in kinds
    }
    document["problems"] = [
        {"plugin": problem.origin.plugin, "version": problem.origin.version, "reason": problem.reason}
        for problem in catalogue.problems
    ]
    return document
