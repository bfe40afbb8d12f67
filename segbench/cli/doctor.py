"""``segbench doctor``: does what is installed compute what it claims to compute."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli import console
from segbench.cli.application import app
from segbench.errors import EXIT_VERIFICATION, UsageError

if TYPE_CHECKING:
    from segbench.evaluation.doctor import Comparison

doctor = typer.Typer(name="doctor", help="Check what is installed against the field.", no_args_is_help=True)
app.add_typer(doctor)
_STYLES = {"agrees": "green", "DIFFERS": "bold red", "another definition": "yellow"}


@doctor.callback()
def _group() -> None:
    """Check what is installed against the field."""


@doctor.command("metrics")
def doctor_metrics(
    predictions: Annotated[Path | None, typer.Argument(help="Folder of predictions; none = made-up masks.")] = None,
    references: Annotated[Path | None, typer.Argument(help="Folder of references.")] = None,
    metrics: Annotated[str | None, typer.Option("--metrics", help="dice,hd95; by default all with peers.")] = None,
    sample: Annotated[int, typer.Option("--sample", min=1, help="Number of mask pairs.")] = 48,
    seed: Annotated[int, typer.Option("--seed", help="Of the sample.")] = 0,
    as_json: console.Json = False,
    plugins: console.Plugins = None,
) -> None:
    """Re-compute a sample of mask pairs with the packages installed beside segbench, and print the differences.

    Exit code 0: every value that must agree does; 5: one differs.
    """
    from segbench.evaluation.doctor import examine, folder_pairs
    from segbench.evaluation.samples import mask_pairs

    if (predictions is None) != (references is None):
        raise UsageError("segbench doctor metrics: expected both PREDICTIONS and REFERENCES, or neither.")
    names = [one.strip() for one in metrics.split(",") if one.strip()] if metrics is not None else None
    catalogue = console.catalogue(plugins)
    if predictions is None or references is None:
        pairs = list(mask_pairs(sample, seed))
    else:
        pairs = folder_pairs(predictions, references, sample, seed)
    with console.stderr().status("comparing") as status:
        found = examine(catalogue, names, pairs, lambda done, total, name: status.update(f"{done}/{total} {name}"))
    if as_json:
        console.print_json(_document(found, len(pairs)))
    else:
        _print(found, len(pairs))
    if any(one.verdict == "DIFFERS" for one in found):
        raise typer.Exit(EXIT_VERIFICATION)


def _document(found: list[Comparison], pairs: int) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "pairs": pairs,
        "agree": all(one.verdict != "DIFFERS" for one in found),
        "comparisons": [{**asdict(one), "verdict": one.verdict} for one in found],
    }


def _print(found: list[Comparison], pairs: int) -> None:
    """Print one line per metric and peer, then what the words mean and what is not installed."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    title = f"{pairs} mask pairs; largest difference, relative where the value is above 1"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("metric", no_wrap=True)
    table.add_column("peer", overflow="fold")
    for heading in ("pairs", "difference"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    previous = None
    for one in (one for one in found if one.version is not None):
        verdict = f"[{_STYLES[one.verdict]}]{one.verdict}[/]" if one.verdict in _STYLES else one.verdict
        difference = "–" if one.largest is None else f"{one.largest:.1e}"
        shown = "" if one.metric == previous else escape(one.metric)
        table.add_row(shown, escape(one.peer), str(one.pairs), difference, verdict)
        previous = one.metric
    console.stdout().print(table)
    for line in _remarks(found):
        console.stdout().print(escape(line), highlight=False, soft_wrap=True)


def _remarks(found: list[Comparison]) -> list[str]:
    """Return what the table has no room for, one sentence a line."""
    lines = []
    for one in found:
        if one.verdict == "another definition":
            lines.append(f"{one.metric} by {one.peer}: {one.differs}.")
        elif one.verdict == "DIFFERS":
            lines.append(f"{one.metric} by {one.peer}: most on {one.where}, expected at most {one.tolerance:.0e}.")
        elif one.verdict == "not compared":
            lines.append(f"{one.metric} by {one.peer}: {one.refused[:200]}.")
    present = sorted({f"{one.peer.partition(' ')[0]} {one.version}" for one in found if one.version is not None})
    absent = sorted({one.peer.partition(" ")[0] for one in found if one.version is None})
    lines.append(f"Compared with {', '.join(present) or 'nothing'}.")
    lines += [f"Not installed, so not compared: {', '.join(absent)}."] if absent else []
    unsettled = sum(one.verdict == "DIFFERS" for one in found)
    words = f"{unsettled} differ" if unsettled else "all that must agree do"
    return [*lines, f"{len(found)} comparisons: {words}."]
