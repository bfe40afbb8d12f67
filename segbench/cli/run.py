"""``segbench run``: train, predict and score one or several configurations."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli import cells, console
from segbench.cli.application import app
from segbench.cli.rows import failed_row, leave
from segbench.errors import Busy
from segbench.names import first_few

if TYPE_CHECKING:
    from segbench.assembly import Parts
    from segbench.cli.cells import Asked
    from segbench.config import RunConfig
    from segbench.runner import Outcome, Sources
    from segbench.types import Choice


@app.command("run")
def run_command(
    method: cells.Methods = None,
    dataset: cells.Dataset = None,
    unlabelled: cells.Unlabelled = None,
    network: cells.Network = None,
    arm: cells.Arms = None,
    recipe: cells.Recipe = None,
    metric: cells.Metrics = None,
    decision: cells.Decisions = None,
    epochs: cells.Epochs = None,
    seed: cells.Seed = None,
    seeds: cells.Seeds = None,
    fold: cells.Fold = None,
    folds: cells.Folds = None,
    split: cells.SplitFile = None,
    device: cells.Device = None,
    precision: cells.Precision = None,
    assignments: cells.Assignments = None,
    config: cells.Settings = None,
    plan: cells.PlanFile = None,
    cell: Annotated[
        list[str] | None, typer.Option("--cell", help="Of the plan: position or id; repeat.", show_default=False)
    ] = None,
    out: cells.Out = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            help="Cells at once; of a single cell, processes that score it.  [default: 1; a cluster: all]",
            show_default=False,
        ),
    ] = None,
    threads: cells.Threads = None,
    reporter: cells.Reporters = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help="What carries out the cells: local, ray or slurm.  [default: local]")
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="Of a running Ray cluster.  [default: one of this machine]")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="KEY=VALUE of the engine's own, e.g. a SLURM partition.", show_default=False),
    ] = None,
    smoke: cells.Smoke = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and say what would be done.")] = False,
    as_json: console.Json = False,
    plugins: console.Plugins = None,
) -> None:
    """Train, predict, score and store; what is there already is left alone, what is missing is added, and what was
    interrupted goes on.
    """
    given = {
        **{"dataset": dataset, "unlabelled": unlabelled, "network": network, "method": method, "arm": arm},
        **{"recipe": recipe, "metric": metric, "decision": decision, "epochs": epochs, "device": device},
        **{"seed": seed, "seeds": seeds, "fold": fold, "folds": folds, "precision": precision},
    }
    others: dict[str, Any] = {"config": config, "split": split, "smoke": smoke, "assignments": assignments, "out": out}
    others |= {"threads": threads, "plugins": plugins, "reporters": reporter}
    asked = cells.asked(given, plan=plan, named=cell, **others)
    several = len(asked.configs) > 1 and (jobs or 1) > 1
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        if not dry_run and (several or engine or address or option):
            outcomes = _together(asked, engine or "local", jobs or 0, address, option or [])
        else:
            outcomes = _one_by_one(asked, dry_run, as_json, jobs or 1)
    if as_json:
        console.print_json({"runs": outcomes, "notes": asked.notes})
    leave(outcomes)


def _together(asked: Asked, engine: str, jobs: int, address: str | None, options: list[str]) -> list[dict[str, Any]]:
    """Carry out cells several at a time; 0 jobs are as many as the engine finds room for."""
    from segbench.assembly import Sources
    from segbench.cli.sweep import sweep
    from segbench.sweeps.engine_names import engine_named
    from segbench.sweeps.plan import look
    from segbench.sweeps.threads import threads_of

    engine_of = engine_named(engine, jobs, address, options)
    threads = threads_of(asked.threads, jobs or 1)
    made = look(asked.configs, Sources(asked.catalogue, asked.root), plugins=asked.plugins, threads=threads)
    return sweep(made, engine_of, asked.reporters)


def _one_by_one(asked: Asked, dry_run: bool, as_json: bool, jobs: int) -> list[dict[str, Any]]:
    """Carry out cells one after the other; those that another process makes come last."""
    from segbench.assembly import Sources
    from segbench.planning import title
    from segbench.sweeps.threads import use_threads
    from segbench.sweeps.work import axes
    from segbench.training.device import resolved

    use_threads(asked.threads)
    if len(wanted := {(one.device, one.precision) for one in asked.configs}) == 1:
        resolved(*wanted.pop())  # a device that is not there is no cell's fault, and is said once
    sources = Sources(asked.catalogue, asked.root)
    said: list[str] = []
    do: Any = partial(_dry, said=said) if dry_run else partial(_run, jobs=jobs, reporters=asked.reporters)
    rows: dict[int, dict[str, Any]] = {}
    alone = len(asked.configs) == 1
    for patient in (alone, True):
        for place, one in enumerate(asked.configs):
            if place in rows:
                continue
            try:
                rows[place] = do(one, sources, as_json, patient)
            except Busy as busy:
                console.say(f"  {busy} The other cells come first.", style="dim")
            except Exception as error:  # whatever goes wrong in a cell is its row: the others go on
                before = list(rows.values())
                rows[place] = failed_row(title(one), axes(one), error, before, alone=alone)
    return [rows[place] for place in sorted(rows)]


def _dry(cell: RunConfig, sources: Sources, as_json: bool, wait: bool, said: list[str]) -> dict[str, Any]:
    """Say what a run would do; of ``said``, the lines of the cell before, only what is different now."""
    from segbench.planning import title
    from segbench.runner import assemble, folder_of
    from segbench.standing import state_of
    from segbench.sweeps.work import axes

    parts = assemble(cell, sources.catalogue, sources.root, sources)
    folder = folder_of(cell, parts, sources.root)
    state = state_of(folder, parts, sources.catalogue)
    if not as_json:
        lines = _plan_lines(cell, parts, folder)
        console.say(f"{title(cell)}: {state}", style="bold")
        for line in lines:
            if line not in said:
                console.say(line, wrap=11)
        console.say(f"  folder   {folder}")
        said[:] = lines
    document = {"run_id": folder.name, "folder": str(folder), **axes(cell), "status": state}
    return document | {"config": cell.canonical(), "local": cell.local()}


def _plan_lines(cell: RunConfig, parts: Parts, folder: Path) -> list[str]:
    from segbench.runner import SMOKE_EPOCHS
    from segbench.standing import edited_since
    from segbench.training.sampling import split_words

    epochs = SMOKE_EPOCHS if cell.smoke else cell.recipe.epochs
    lines = [
        f"  data     {parts.task.name}@{parts.task.revision}: {parts.splits}",
        f"  split    {split_words(parts.source.refs, cell, parts.source.folds)}",
        *(f"           {note}" for note in parts.task.notes),
    ]
    if parts.unlabelled:
        lender = parts.unlabelled.task
        lines.append(f"  seen without labels  {lender.name}@{lender.revision}")
    where = f"{parts.data['device']} in {parts.data['precision']}"
    lines.append(f"  training {epochs} epochs, recipe {cell.recipe_name}, on {where}")
    if changed := edited_since(cell, parts, folder):
        lines.append(f"           {changed}")
    if parts.chain.text:
        lines.append(f"  decision {parts.chain.text}")
    return [*lines, f"  metrics  {', '.join(metric.name for metric in parts.metrics)}"]


def _run(
    cell: RunConfig, sources: Sources, as_json: bool, wait: bool, jobs: int, reporters: Sequence[Choice]
) -> dict[str, Any]:
    from segbench.allocator import keep_pages
    from segbench.cli.progress import RichReporter
    from segbench.planning import title
    from segbench.runner import run
    from segbench.sweeps.work import axes, row_of
    from segbench.training.sampling import split_words

    keep_pages()
    console.say(title(cell), style="bold")
    source = sources.prepared(cell.dataset, smoke=cell.smoke)
    console.say(f"  split: {split_words(source.refs, cell, source.folds)}")
    for note in source.task.notes:
        console.say(f"  {note}", wrap=2)
    reporter = RichReporter(console.stderr())
    try:
        shared: dict[str, Any] = {"catalogue": sources.catalogue, "reporter": reporter, "reporters": reporters}
        shared |= {"jobs": jobs, "wait": wait}
        outcome = run(cell, results_root=sources.root, sources=sources, **shared)
    finally:
        reporter.finish()
    tell(outcome, as_json)
    return {**axes(cell), **row_of(outcome)}


def tell(outcome: Outcome, as_json: bool) -> None:
    """Say what was done, and print the run's means unless a document is wanted instead."""
    learnt_nothing = f" It learnt nothing: {outcome.fault}." if outcome.fault else ""
    if not outcome.fresh:
        console.say(f"Finished before; nothing to do.{learnt_nothing} {outcome.folder}")
        return
    if not outcome.trained:
        maps = f"predicted {outcome.predicted} cases, " if outcome.predicted else ""
        console.say(f"Trained before; {maps}scored {', '.join(outcome.added) or 'nothing new'}.")
    if outcome.failed:
        console.say(f"{outcome.failed} scores failed: {first_few(outcome.reasons, 3)}", style="yellow")
    if not as_json:
        _summary(outcome)


def _summary(outcome: Outcome) -> None:
    """Print the run's mean of each metric, as the leaderboard has it, and where everything is."""
    from rich.table import Table

    from segbench.ranking.means import means_of_run
    from segbench.results import of_decision, read_scores

    means = means_of_run(of_decision(read_scores(outcome.folder), outcome.decision))
    table = Table("metric", "mean over cases", "undefined", "unit", box=None, padding=(0, 2, 0, 0))
    for one in means.metrics:
        unit = f"{one.unit} {'↑' if one.better == 'higher' else '↓'}".strip()
        mean = "-" if math.isnan(one.mean) else f"{one.mean:.4f}"
        table.add_row(one.metric, mean, str(one.undefined or ""), unit)
    shown = console.stdout()
    shown.print(table)
    if means.synthetic:
        shown.print("[yellow]synthetic phantom[/]: these numbers say nothing about patients", highlight=False)
    if outcome.fault:
        shown.print(f"Learnt nothing: {outcome.fault}.", style="yellow", markup=False, highlight=False, soft_wrap=True)
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in outcome.seconds.items())
    shown.print(f"{seconds}\n{outcome.folder}", highlight=False, markup=False, soft_wrap=True)
