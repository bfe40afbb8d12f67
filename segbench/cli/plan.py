"""``segbench plan``: the cells that ``segbench run`` would carry out, for whoever starts the processes."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli import cells, console
from segbench.cli.application import app
from segbench.errors import DataMissing, UsageError

if TYPE_CHECKING:
    from segbench.sweeps.plan import Plan

COLUMNS = ("index", "id", "state", "after", "dataset", "network", "method", "arm", "seed", "fold", "folder", "reason")


@app.command("plan")
def plan_command(
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
    out: cells.Out = None,
    threads: cells.PlanThreads = None,
    smoke: cells.Smoke = False,
    write: Annotated[
        Path | None, typer.Option("--write", help="Write the plan to this file, for `run --plan`.")
    ] = None,
    as_json: console.Json = False,
    tsv: Annotated[bool, typer.Option("--tsv", help="Print one line per cell, tab-separated, with a header.")] = False,
    commands: Annotated[
        bool, typer.Option("--commands", help="Print one command per cell that is not finished; needs a file.")
    ] = False,
    plugins: console.Plugins = None,
) -> None:
    """List the cells that `segbench run` with the same options would carry out: identity, folder, state, and what must
    come first. Nothing is trained. A plan that is written down can be run cell by cell, by any scheduler:
    segbench run --plan FILE --cell ID.
    """
    from segbench.assembly import Sources
    from segbench.sweeps.plan import look, write_plan
    from segbench.sweeps.threads import threads_of

    if as_json + tsv + commands > 1:
        raise UsageError("--json, --tsv, --commands: one of them at a time.")
    file = write or plan
    if commands and file is None:
        raise UsageError("--commands: the commands name a plan; say where with --write FILE (or read one with --plan).")
    given = {
        **{"dataset": dataset, "unlabelled": unlabelled, "network": network, "method": method, "arm": arm},
        **{"recipe": recipe, "metric": metric, "decision": decision, "epochs": epochs, "device": device},
        **{"seed": seed, "seeds": seeds, "fold": fold, "folds": folds, "precision": precision},
    }
    others: dict[str, Any] = {"config": config, "split": split, "smoke": smoke, "assignments": assignments, "out": out}
    asked = cells.asked(given, plan=plan, threads=threads, plugins=plugins, **others)
    with contextlib.redirect_stdout(sys.stderr):
        sources = Sources(asked.catalogue, asked.root)
        made = look(asked.configs, sources, plugins=asked.plugins, threads=threads_of(asked.threads, 1))
    if write is not None:
        write_plan(made, write)
    failed = [cell for cell in made.cells if cell.state == "failed"]
    if as_json:
        console.print_json(made.document())
    elif tsv:
        console.print_lines(_tsv(made))
    elif commands and file is not None:
        console.print_lines(_commands(made, file))
    else:
        _table(made)
    if failed and len(failed) == len(made):
        raise DataMissing(f"None of the cells can be run: {failed[0].reason}")


def _tsv(plan: Plan) -> Iterator[str]:
    """Yield a header and one line per cell; tabs and line ends of outsiders' texts become spaces."""
    yield "\t".join(COLUMNS)
    for entry in plan.document()["cells"]:
        values = {**entry, "after": ",".join(entry["after"]), "folder": entry["folder"] or ""}
        yield "\t".join(" ".join(str(values[name]).split()) for name in COLUMNS)


def _commands(plan: Plan, file: Path) -> Iterator[str]:
    """Yield a command per cell that can be run and is not finished, those that must come first before the others."""
    for cell in plan.ordered():
        if cell.open:
            yield f"segbench run --plan {shlex.quote(str(file.absolute()))} --cell {cell.id}"


def _table(plan: Plan) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("cell", "id", "what", "state", box=None, padding=(0, 2, 0, 0))
    for index, cell in enumerate(plan.cells):
        after = f", after {', '.join(one[:6] for one in cell.after)}" if cell.after and cell.open else ""
        words = f"{cell.state}{after}" + (f" {cell.reason}" if cell.reason else "")
        table.add_row(str(index), Text(cell.id[:6] or "-"), Text(cell.title), Text(words))
    console.stdout().print(table)
    counts = Counter(cell.state for cell in plan.cells)
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    threads = f"{plan.threads} thread{'s' if plan.threads > 1 else ''} each"
    console.say(f"{len(plan)} cells ({states}); {threads}; results in {plan.root}")
