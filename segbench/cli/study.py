"""``segbench study``: run a paper's table again, and print it."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli import console
from segbench.cli.application import app
from segbench.errors import EXIT_SOME_FAILED, UsageError, did_you_mean
from segbench.params import parse_assignments

if TYPE_CHECKING:
    from segbench.assembly import Sources
    from segbench.contracts import Cell, Table
    from segbench.host import Catalogue
    from segbench.studies.running import Attempt, Plan
    from segbench.studies.tables import StudyTable

PARTS = ("study", "dataset", "recipe", "metric", "reporter")


@app.command("study")
def study_command(
    name: Annotated[str, typer.Argument(help="Study; see `segbench list studies`.")],
    dataset: Annotated[
        list[str] | None, typer.Option("--dataset", "-d", help="In place of the study's own; repeat for several.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="Number of seeds.  [default: the study's]")
    ] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="Label of a row; repeat for several.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="recipe.KEY=VALUE (all rows alike), dataset.KEY=…, study.KEY=…, metric.NAME.KEY=…."),
    ] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or mps.  [default: auto]")] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="auto, 32-true, bf16-mixed or 16-mixed.  [default: auto]")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "--results", help="Folder that holds the results of all runs.")] = Path(
        "results"
    ),
    reporter: Annotated[
        list[str] | None,
        typer.Option("--reporter", help="Follows the trainings, such as live curves; repeat.", show_default=False),
    ] = None,
    table: Annotated[bool, typer.Option("--table", help="Train nothing; show what is finished.")] = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="Made-up miniatures and a few steps: does it work?")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and say what would be done.")] = False,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Also write the tables as Markdown.")] = None,
    as_json: console.Json = False,
    plugins: console.Plugins = None,
) -> None:
    """Run the rows of a paper's table and print it; finished runs are left alone, so the same command resumes.

    A row that fails is said and the others go on. Exit code 0: all rows are finished; 1: some failed.
    """
    from segbench.assembly import Sources
    from segbench.studies.running import planned

    catalogue = console.catalogue(plugins)
    others: dict[str, Any] = {"smoke": smoke, **_machine(device, precision)}
    plan = _plan(catalogue, name, dataset or [], seeds or 0, only or [], assignments or [], others, reporter or [])
    cells = list(planned(plan, catalogue))
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        sources = Sources(catalogue, out)
        attempts = _look(cells, sources, say=dry_run) if dry_run or table else _run(cells, sources, plan)
        found, sheets = _tables(plan, attempts, catalogue, dry_run)
    if markdown is not None and not dry_run:
        from segbench.atomic import atomically
        from segbench.cli.sheets import markdown_of

        atomically(markdown, lambda part: part.write_text(markdown_of(sheets), encoding="utf-8"))
    if as_json:
        console.print_json(_document(plan, attempts, found, sheets))
    elif not dry_run:
        _print(sheets, attempts)
    if any(one.state == "failed" for one in attempts):
        raise typer.Exit(EXIT_SOME_FAILED)


def _machine(device: str | None, precision: str | None) -> dict[str, str]:
    from segbench.config import DEVICES, PRECISIONS

    given = {"device": (device, DEVICES), "precision": (precision, PRECISIONS)}
    for option, (value, known) in given.items():
        if value is not None and value not in known:
            raise UsageError(f"--{option} {value!r}: expected one of {', '.join(known)}.")
    return {option: value for option, (value, _) in given.items() if value is not None}


def _plan(
    catalogue: Catalogue,
    name: str,
    datasets: list[str],
    seeds: int,
    only: list[str],
    assignments: list[str],
    others: dict[str, Any],
    reporters: list[str],
) -> Plan:
    from segbench.contracts import Study
    from segbench.planning import reporter_choices
    from segbench.studies.running import Plan
    from segbench.types import Choice

    parameters: dict[str, Any] = parse_assignments(assignments)
    for part in parameters:
        if part not in PARTS:
            raise UsageError(f"--set {part}.…: the study decides on that. {did_you_mean(part, PARTS)}")
    study = catalogue.study(Choice(name, parameters.get("study", {})))
    if type(study).cells is Study.cells:
        raise UsageError(
            f"{name} is a recipe, a study without a table of its own: segbench run --recipe {name} --method METHOD."
        )
    named = tuple(dict.fromkeys(datasets)) or study.datasets
    if not named:
        raise UsageError(f"Study {name} names no dataset of its own; say which with --dataset.")
    metrics = parameters.get("metric", {})
    for metric, values in metrics.items():
        if metric not in study.metrics or not isinstance(values, dict):
            raise UsageError(f"--set metric.{metric}.…: expected metric.NAME.KEY=VALUE of {', '.join(study.metrics)}.")
    return Plan(
        study,
        tuple(Choice(one, parameters.get("dataset", {})) for one in named),
        seeds,
        tuple(only),
        parameters.get("recipe", {}),
        metrics,
        others,
        reporter_choices(catalogue, reporters, parameters.get("reporter", {})),
    )


def _title(dataset: str, cell: Cell) -> str:
    return f"{cell.label} on {dataset}, seed {cell.config.seed}"


def _look(cells: list[tuple[str, Cell]], sources: Sources, *, say: bool) -> list[Attempt]:
    from segbench.studies.running import look

    attempts = []
    for dataset, cell in cells:
        one = look(dataset, cell, sources, stand_in=not say)
        if say:
            there = f" (finished in {one.differs}: --table shows it)" if one.differs else ""
            console.say(f"{_title(dataset, cell)}: {one.state} {one.folder or one.reason}{there}")
        attempts.append(one)
    return attempts


def _run(cells: list[tuple[str, Cell]], sources: Sources, plan: Plan) -> list[Attempt]:
    """Run cell after cell; what fails is said once, and the next one goes on."""
    from segbench.allocator import keep_pages
    from segbench.cli.progress import RichReporter
    from segbench.studies.running import attempt

    keep_pages()
    attempts: list[Attempt] = []
    for number, (dataset, cell) in enumerate(cells, start=1):
        console.say(f"[{number}/{len(cells)}] {_title(dataset, cell)}", style="bold")
        reporter = RichReporter(console.stderr())
        try:
            one = attempt(dataset, cell, sources, reporter, plan.reporters)
        finally:
            reporter.finish()
        if one.state == "failed":
            known = any(one.reason == other.reason for other in attempts)
            console.say("failed for the same reason" if known else f"failed: {one.reason}", style="yellow")
        elif one.state == "finished before":
            console.say(f"finished before {one.folder}")
        attempts.append(one)
    return attempts


def _tables(
    plan: Plan, attempts: list[Attempt], catalogue: Catalogue, dry_run: bool
) -> tuple[list[StudyTable], list[Table]]:
    """Return the tables of what is finished, and all there is to print."""
    if dry_run:
        return [], []
    from segbench.studies.sheets import sheets
    from segbench.studies.tables import further_tables, tables

    found = tables(plan, attempts, catalogue)
    return found, [*(sheet for one in found for sheet in sheets(one)), *further_tables(plan, attempts, catalogue)]


def _print(sheets: list[Table], attempts: list[Attempt]) -> None:
    from segbench.cli.sheets import draw_sheet

    shown = console.stdout()
    for sheet in sheets:
        draw_sheet(sheet, shown)
        shown.print()
    if not sheets:
        console.say("Nothing is finished yet.")
    open_ = [one for one in attempts if not one.finished]
    if open_:
        console.say(f"{len(open_)} of {len(attempts)} runs are not finished:", style="yellow")
        for one in open_:
            console.say(f"  {_title(one.dataset, one.cell)}: {one.state}")


def _document(plan: Plan, attempts: list[Attempt], found: list[StudyTable], sheets: list[Table]) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "study": plan.study.name,
        "runs": [
            {
                "dataset": one.dataset,
                "row": one.cell.label,
                "role": one.cell.role,
                "seed": one.cell.config.seed,
                "state": one.state,
                "folder": one.folder and str(one.folder),
                "reason": one.reason,
                "differs": one.differs,
            }
            for one in attempts
        ],
        "results": [asdict(one) for one in found],
        "tables": [asdict(sheet) for sheet in sheets],
    }
