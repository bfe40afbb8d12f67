"""``segbench score`` and ``segbench predict``: more of a finished run, without a second training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli import console
from segbench.cli.application import app
from segbench.cli.rows import failed_row, leave
from segbench.errors import DataMissing, UsageError
from segbench.params import parse_assignments
from segbench.types import Choice

if TYPE_CHECKING:
    from segbench.host import Catalogue

Runs = Annotated[
    list[str] | None,
    typer.Argument(help="Runs: folders that hold some, or the first digits of their names.  [default: all results]"),
]
Metrics = Annotated[
    list[str] | None, typer.Option("--metric", help="Metric; repeat.  [default: all that are on]", show_default=False)
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="metric.NAME.KEY=VALUE, or dataset.path=DIR if the data were moved; repeatable."),
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes; one case in memory each.")]


@app.command("score")
def score_command(
    runs: Runs = None,
    metric: Metrics = None,
    assignments: Settings = None,
    jobs: Jobs = 1,
    as_json: console.Json = False,
    results: console.Results = Path("results"),
    plugins: console.Plugins = None,
) -> None:
    """Compute what finished runs lack of some metrics, and add it to their scores; nothing is trained or predicted.

    Exit code 0: nothing is lacking now; 1: some runs could not be scored (they are listed).
    """
    from segbench.completing import score

    catalogue = console.catalogue(plugins)
    nested = parse_assignments(assignments or [])
    place = nested.pop("dataset", None)
    wanted = _chosen(metric, nested, catalogue)
    done: list[dict[str, Any]] = []
    datasets: dict[str, Any] = {}
    folders = _folders(runs, results)
    for folder in folders:
        try:
            with console.CaseBar() as progress:
                shared: dict[str, Any] = {"dataset": place, "datasets": datasets, "catalogue": catalogue}
                one = score(folder, wanted, **shared, jobs=jobs, progress=progress)
        except Exception as error:  # the other runs go on
            done.append(failed_row(str(folder), {"folder": str(folder)}, error, done, alone=len(folders) == 1))
            continue
        what = one.skipped or (f"added {', '.join(one.added)}" if one.added else "nothing lacking")
        console.say(f"{one.title} {one.run_id}: {what}")
        done.append({"folder": str(folder), "run_id": one.run_id, "status": "skipped" if one.skipped else "done"})
        done[-1] |= {"added": list(one.added), "failed_scores": one.failed, "reason": one.skipped}
    if as_json:
        console.print_json({"runs": done})
    leave(done)


@app.command("predict")
def predict_command(
    runs: Annotated[list[str], typer.Argument(help="Runs: folders that hold some, or first digits of their names.")],
    decision: Annotated[
        list[str] | None,
        typer.Option("--decision", help="NAME or NAME+NAME, or one after the other; `segbench list decisions`."),
    ] = None,
    metric: Metrics = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="decision.NAME.KEY=VALUE, metric.NAME.KEY=VALUE, or dataset.path=DIR; repeatable."),
    ] = None,
    jobs: Jobs = 1,
    as_json: console.Json = False,
    results: console.Results = Path("results"),
    plugins: console.Plugins = None,
) -> None:
    """Let another decision make label maps of finished runs' networks, and score them; nothing is trained.

    The label maps stand on the board beside the run's own, as a variant.
    """
    from segbench.allocator import keep_pages
    from segbench.cli.progress import RichReporter
    from segbench.cli.run import tell
    from segbench.runner import predict
    from segbench.scoring.decisions import chain_named
    from segbench.sweeps.work import row_of

    catalogue = console.catalogue(plugins)
    nested = parse_assignments(assignments or [])
    chain = chain_named(decision, nested.pop("decision", None))
    place = nested.pop("dataset", None)
    wanted = _chosen(metric, nested, catalogue)
    keep_pages()
    done: list[dict[str, Any]] = []
    folders = _folders(runs, results)
    for folder in folders:
        console.say(f"{folder.parent.name} {folder.name}", style="bold")
        reporter = RichReporter(console.stderr())
        shared: dict[str, Any] = {"catalogue": catalogue, "reporter": reporter, "jobs": jobs}
        try:
            outcome = predict(folder, chain, metrics=wanted, dataset=place, **shared)
        except Exception as error:  # the other runs go on
            done.append(failed_row(str(folder), {"folder": str(folder)}, error, done, alone=len(folders) == 1))
            continue
        finally:
            reporter.finish()
        tell(outcome, as_json)
        done.append(row_of(outcome))
    if as_json:
        console.print_json({"runs": done})
    leave(done)


def _chosen(names: list[str] | None, nested: dict[str, Any], catalogue: Catalogue) -> list[Choice]:
    """Return the metrics named, with the parameters set for them; empty = those that are on."""
    from segbench.planning import metric_choices

    if spare := sorted(set(nested) - {"metric"}):
        raise UsageError(f"--set {spare[0]}.…: expected metric.NAME.KEY=VALUE here.")
    values = nested.get("metric", {})
    asked = list(dict.fromkeys(names or (catalogue.defaults("metrics") if values else [])))
    return list(metric_choices(catalogue, asked, values))


def _folders(runs: list[str] | None, results: Path) -> list[Path]:
    """Return the folders of the runs named, or of all finished ones."""
    from segbench.results import complete_runs
    from segbench.runs import find_runs

    if runs:
        return list(dict.fromkeys(folder for text in runs for folder in find_runs(text, results)))
    if found := complete_runs(results):
        return found
    raise DataMissing(f"{results} holds no finished run. Write one with `segbench run` or `segbench evaluate`.")
