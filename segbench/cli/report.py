"""``segbench report``: a static site from finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from segbench.cli import console, options
from segbench.cli.application import app


@app.command("report")
def report_command(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write the site into.")] = Path("site"),
    dataset: options.Datasets = None,
    method: options.Methods = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Metric; may be repeated. The first one stands for accuracy.")
    ] = None,
    label: options.Labels = None,
    without: options.Without = None,
    scheme: options.RankedBy = options.Scheme.rank_then_mean,
    cases: options.SameCases = None,
    missing: options.Missing = None,
    bootstrap: options.Bootstrap = 1000,
    seed: options.Seed = 0,
    worst: Annotated[int, typer.Option(min=0, help="Worst cases per dataset that are shown as slices.")] = 4,
    pdf: Annotated[bool, typer.Option("--pdf", help="Also write every picture as PDF, into OUT/figures.")] = False,
    title: Annotated[str, typer.Option(help="Title of the site.")] = "segbench report",
    results: console.SeveralResultsOnly = None,
    as_json: console.Json = False,
    plugins: console.Plugins = None,
) -> None:
    """Write a static site (leaderboard, cases, tests, training, worst cases) that needs no network.

    Prints the path of its first page.
    """
    from segbench.gathering import gathered
    from segbench.reporting.site import build_site

    chosen: dict[str, Any] = {"metrics": tuple(metric or ()), "methods": tuple(method or ())}
    ways: dict[str, Any] = {"scheme": scheme.value, "bootstrap": bootstrap, "seed": seed}
    request = options.request_of(dataset, label, without, missing, cases, **chosen, **ways)
    with gathered(results or [Path("results")]) as root:
        built = build_site(root, out, request, console.catalogue(plugins), title, worst, pdf)
    for note in built.notes:
        console.say(note, wrap=2)
    if as_json:
        files = [str(out / name) for name in built.files]
        console.print_json({"index": str(built.index), "files": files, "notes": list(built.notes)})
    else:
        console.echo(str(built.index))
    console.name_left_out(built.left_out)
