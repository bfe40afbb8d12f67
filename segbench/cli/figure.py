"""``segbench figure``: draw finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.cli import console
from segbench.cli.application import app
from segbench.errors import PluginError, UsageError, did_you_mean, safe_name
from segbench.params import parse_assignments

if TYPE_CHECKING:
    import matplotlib.figure

FORMATS = ("png", "svg", "pdf")
RESOLUTION = 200
"""Dots per inch of PNG files."""


@app.command("figure")
def figure_command(
    kind: Annotated[str, typer.Argument(help="Kind of figure; see `segbench list figures`.")],
    runs: Annotated[list[str], typer.Argument(help="Folders, or the first digits of names, of finished runs.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write into.")] = Path("figures"),
    formats: Annotated[str, typer.Option("--format", help="png,svg,pdf")] = "png,svg",
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="figure.KEY=VALUE; see `segbench info figure KIND`.")
    ] = None,
    results: console.ResultsOnly = Path("results"),
    as_json: console.Json = False,
    plugins: console.Plugins = None,
) -> None:
    """Draw one or several finished runs; prints the paths of the files written."""
    import matplotlib

    from segbench.host import blame
    from segbench.runs import find_runs, open_run
    from segbench.types import Choice

    catalogue, endings = console.catalogue(plugins), _endings(formats)
    nested = parse_assignments(assignments or [])
    if set(nested) - {"figure"}:
        raise UsageError("--set: expected figure.KEY=VALUE here.")
    figure = catalogue.figure(Choice(kind, nested.get("figure", {})))
    folders = dict.fromkeys(folder for text in runs for folder in find_runs(text, results))
    opened = [open_run(folder, catalogue) for folder in folders]
    matplotlib.use("Agg")
    written: list[Path] = []
    with blame(catalogue.entry("figures", kind).origin, f"drawing {kind}"):
        for name, drawn in figure.draw(opened):
            files = [out / f"{safe_name(name, 'figure')}.{ending}" for ending in endings]
            if set(files) & set(written):
                raise PluginError(f"Figure {kind} gave two pictures the name {name!r}; expected unique names.")
            _save(drawn, files)
            written += files
    if as_json:
        documents = [{"run_id": run.run_id, "folder": str(run.folder), "title": run.title} for run in opened]
        console.print_json({"kind": kind, "runs": documents, "files": [str(file) for file in written]})
        return
    for file in written:
        console.echo(str(file))


def _endings(text: str) -> list[str]:
    endings = list(dict.fromkeys(one.strip().lower().lstrip(".") for one in text.split(",") if one.strip()))
    for ending in endings:
        if ending not in FORMATS:
            raise UsageError(
                f"--format {ending}: expected some of {', '.join(FORMATS)}. {did_you_mean(ending, FORMATS)}"
            )
    if not endings:
        raise UsageError(f"--format: expected some of {', '.join(FORMATS)}.")
    return endings


def _save(figure: matplotlib.figure.Figure, files: list[Path]) -> None:
    """Write a figure in each format, whole or not at all, and close it."""
    from functools import partial

    import matplotlib as mpl
    import matplotlib.pyplot as plt

    from segbench.atomic import atomically

    for file in files:
        kind = file.suffix[1:]
        with mpl.rc_context({"pdf.fonttype": 42}):  # whole TrueType fonts, which journals ask for
            atomically(file, partial(figure.savefig, format=kind, dpi=RESOLUTION, bbox_inches="tight"))
    plt.close(figure)
