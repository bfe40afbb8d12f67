"""``segbench run``: train, predict and score one or several configurations."""

from __future__ import annotations

import contextlib
import math
import sys
import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli import console
from segbench.cli.application import app
from segbench.cli.rows import failed_row, leave
from segbench.errors import DataMissing, UsageError, did_you_mean
from segbench.names import first_few
from segbench.params import merged, parse_assignments

if TYPE_CHECKING:
    from segbench.assembly import Parts
    from segbench.config import RunConfig
    from segbench.runner import Outcome, Sources

COUNTS = {"seed": 0, "seeds": 1, "fold": 0, "folds": 0, "epochs": 1}
"""Options that are whole numbers, and the least they may be."""
NAMES = ("dataset", "unlabelled", "network", "recipe", "device", "precision")
LISTS = ("method", "arm", "metric", "decision")
OPTIONS = (*NAMES, *LISTS, *COUNTS)


@app.command("run")
def run_command(
    method: Annotated[
        list[str] | None, typer.Option("--method", "-m", help="Method; repeat to compare several.", show_default=False)
    ] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="Dataset; a phantom if none is named.")] = None,
    unlabelled: Annotated[
        str | None, typer.Option("--unlabelled", help="Dataset whose cases are seen without their labels.")
    ] = None,
    network: Annotated[
        str | None, typer.Option("--network", "-n", help="Network; a small one if none is named.")
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option("--arm", help="method, control or placebo; repeat for several.", show_default=False),
    ] = None,
    recipe: Annotated[str | None, typer.Option("--recipe", help="fair, or a study's protocol.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="Metric; repeat.  [default: all that are on]")
    ] = None,
    decision: Annotated[
        list[str] | None,
        typer.Option(
            "--decision",
            help="From probabilities to labels: NAME or NAME+NAME, or one after the other.  [default: the likeliest]",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Epochs, in place of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="First seed.  [default: 0]")] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", min=1, help="Number of seeds.  [default: 1]")] = None,
    fold: Annotated[
        int | None, typer.Option("--fold", min=0, help="Fold; all of them if only --folds is given.")
    ] = None,
    folds: Annotated[int | None, typer.Option("--folds", min=2, help="Cross-validation over patients.")] = None,
    split: Annotated[
        Path | None, typer.Option("--split", help="JSON: train, val and test cases, or nnU-Net's splits_final.json.")
    ] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or mps.  [default: auto]")] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="auto, 32-true, bf16-mixed or 16-mixed.  [default: auto]")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="PART.KEY=VALUE, e.g. dataset.cases=8; see `segbench info`.", show_default=False),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="TOML file with the same settings.")] = None,
    out: Annotated[Path, typer.Option("--out", "--results", help="Folder that holds the results of all runs.")] = Path(
        "results"
    ),
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes that score.")] = 1,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="A made-up miniature and a few steps: do the parts work?")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and say what would be done.")] = False,
    as_json: console.Json = False,
    plugins: console.Plugins = None,
) -> None:
    """Train, predict, score and store; what is there already is left alone, what is missing is added, and what was
    interrupted goes on.
    """
    from segbench.assembly import Sources
    from segbench.files.splits import read_splits
    from segbench.planning import plan_cells, title

    catalogue = console.catalogue(plugins)
    settings = _read_config(config)
    given = {
        "dataset": dataset,
        "unlabelled": unlabelled,
        "network": network,
        "method": method,
        "arm": arm,
        "recipe": recipe,
        "metric": metric,
        "decision": decision,
        "seed": seed,
        "seeds": seeds,
        "fold": fold,
        "folds": folds,
        "epochs": epochs,
        "device": device,
        "precision": precision,
    }
    settings.update({key: value for key, value in given.items() if value is not None})
    parameters = merged(settings.pop("set", {}), parse_assignments(assignments or []))
    notes: list[str] = []
    splits = read_splits(split) if split is not None else None
    cells = plan_cells(catalogue, settings, parameters, {"smoke": smoke}, splits, notes)
    for note in notes:
        console.say(note, style="yellow")
    sources = Sources(catalogue, out)
    said: list[str] = []
    do: Any = partial(_dry, said=said) if dry_run else partial(_run, jobs=jobs)
    outcomes: list[dict[str, Any]] = []
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        for cell in cells:
            try:
                outcomes.append(do(cell, sources, as_json))
            except Exception as error:  # whatever goes wrong in a cell is its row: the others go on
                outcomes.append(failed_row(title(cell), _axes(cell), error, outcomes, alone=len(cells) == 1))
    if as_json:
        console.print_json({"runs": outcomes, "notes": notes})
    leave(outcomes)


def _axes(cell: RunConfig) -> dict[str, Any]:
    return {"method": cell.method.name, "arm": cell.arm, "seed": cell.seed, "fold": cell.fold}


def _dry(cell: RunConfig, sources: Sources, as_json: bool, said: list[str]) -> dict[str, Any]:
    """Say what a run would do; of ``said``, the lines of the cell before, only what is different now."""
    from segbench.planning import title
    from segbench.runner import assemble, folder_of, state_of

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
    document = {"run_id": folder.name, "folder": str(folder), **_axes(cell), "status": state}
    return document | {"config": cell.canonical(), "local": cell.local()}


def _plan_lines(cell: RunConfig, parts: Parts, folder: Path) -> list[str]:
    from segbench.runner import SMOKE_EPOCHS, edited_since
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


def _run(cell: RunConfig, sources: Sources, as_json: bool, jobs: int) -> dict[str, Any]:
    from segbench.allocator import keep_pages
    from segbench.cli.progress import RichReporter
    from segbench.planning import title
    from segbench.runner import run
    from segbench.training.sampling import split_words

    keep_pages()
    console.say(title(cell), style="bold")
    source = sources.prepared(cell.dataset, smoke=cell.smoke)
    console.say(f"  split: {split_words(source.refs, cell, source.folds)}")
    for note in source.task.notes:
        console.say(f"  {note}", wrap=2)
    reporter = RichReporter(console.stderr())
    try:
        shared: dict[str, Any] = {"catalogue": sources.catalogue, "reporter": reporter, "jobs": jobs}
        outcome = run(cell, results_root=sources.root, sources=sources, **shared)
    finally:
        reporter.finish()
    tell(outcome, as_json)
    return {**_axes(cell), **document(outcome)}


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


def document(outcome: Outcome) -> dict[str, Any]:
    """Return what was done, for ``--json``."""
    return {
        "run_id": outcome.run_id,
        "folder": str(outcome.folder),
        "status": outcome.status,
        "reason": outcome.fault,
        "trained": outcome.trained,
        "predicted": outcome.predicted,
        "scored": list(outcome.added),
        "failed_scores": outcome.failed,
        "seconds": outcome.seconds,
    }


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


def _read_config(path: Path | None) -> dict[str, Any]:
    """Read ``--config``: option names at the top level, parameters in tables such as ``[set.dataset]``."""
    if path is None:
        return {}
    if not path.is_file():
        raise DataMissing(f"--config {path}: expected a TOML file, found none.")
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path}: not valid TOML: {error}.") from error
    for key, value in settings.items():
        if key not in (*OPTIONS, "set"):
            raise UsageError(f"--config {path}: unknown key {key!r}. {did_you_mean(key, [*OPTIONS, 'set'])}")
        if (expected := _unlike(key, value)) is not None:
            raise UsageError(f"--config {path}: {key}: expected {expected}, found {value!r}.")
    return settings


def _unlike(key: str, value: Any) -> str | None:
    """Return what a setting should have been, or None if it is that."""
    if key == "set":
        return None if isinstance(value, Mapping) else "tables such as [set.dataset]"
    if key in COUNTS:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return None if whole and value >= COUNTS[key] else f"a whole number from {COUNTS[key]}"
    listed = value if isinstance(value, list) and key in LISTS else [value]
    return None if all(isinstance(one, str) for one in listed) else "a name"
