"""``segbench report``: a static site from finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.cli import console
from segbench.cli.application import app
from segbench.cli.leaderboard import Cases, Scheme, missing_policy


@app.command("report")
def report_command(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write the site into.")] = Path("site"),
    dataset: Annotated[list[str] | None, typer.Option(help="Dataset, or NAME@REVISION; may be repeated.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Metric; may be repeated. The first one stands for accuracy.")
    ] = None,
    label: Annotated[list[str] | None, typer.Option(help="Label; may be repeated.")] = None,
    without: Annotated[list[str] | None, typer.Option(help="Run to leave out; may be repeated.")] = None,
    scheme: Annotated[Scheme, typer.Option(help="How a task is ranked.")] = Scheme.rank_then_mean,
    cases: Annotated[
        Cases | None,
        typer.Option(help="Methods with different cases: refuse, use the common ones, or count as missing."),
    ] = None,
    missing: Annotated[str | None, typer.Option(help="Missing values: worst, drop or a NUMBER.")] = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples of cases for rank intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    worst: Annotated[int, typer.Option(min=0, help="Worst cases per dataset that are shown as slices.")] = 4,
    title: Annotated[str, typer.Option(help="Title of the site.")] = "segbench report",
    results: console.ResultsOnly = Path("results"),
    as_json: console.Json = False,
    plugins: console.Plugins = None,
) -> None:
    """Write a static site (leaderboard, cases, tests, training, worst cases) that needs no network.

    Prints the path of its first page.
    """
    from segbench.ranking.boards import Request
    from segbench.reporting.site import build_site

    request = Request(
        datasets=tuple(dataset or ()),
        metrics=tuple(metric or ()),
        labels=tuple(label or ()),
        without=tuple(without or ()),
        scheme=scheme.value,
        missing=missing_policy(missing),
        cases=cases.value if cases else None,
        bootstrap=bootstrap,
        seed=seed,
    )
    built = build_site(results, out, request, console.catalogue(plugins), title, worst)
    for note in built.notes:
        console.say(note, wrap=2)
    if as_json:
        files = [str(out / name) for name in built.files]
        console.print_json({"index": str(built.index), "files": files, "notes": list(built.notes)})
        return
    typer.echo(built.index)
