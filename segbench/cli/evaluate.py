"""``segbench evaluate``: score predictions made anywhere."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli.application import app
from segbench.cli.console import CaseBar, Json, Plugins, Results, catalogue, print_json, stderr, stdout
from segbench.errors import EXIT_SOME_FAILED, UsageError

if TYPE_CHECKING:
    from segbench.evaluation.folders import EvaluationResult
    from segbench.host import Catalogue
    from segbench.runs import StoredRun
    from segbench.types import Choice

SHOWN = 20


@app.command()
def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder of predicted label maps (or one file).")],
    name: Annotated[str, typer.Option("--name", help="What the leaderboard calls the method.")],
    references: Annotated[
        Path | None, typer.Argument(help="Folder of reference label maps (or one file); with --like RUN not needed.")
    ] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="What the leaderboard calls the data.")] = None,
    like: Annotated[
        str | None,
        typer.Option("--like", help="Run (folder or name) beside which they shall stand: its cases, labels, metrics."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            help="1,2 or LV,RV or LV=1,RV=2 or LV=#ff0000 (masks in colour), or a file that says so: dataset.json, "
            "TOML, a table of index and name, of FreeSurfer or ITK-SNAP.",
        ),
    ] = None,
    regions: Annotated[list[str] | None, typer.Option("--regions", help="wt=1,2,3; may be repeated.")] = None,
    ignore_label: Annotated[int | None, typer.Option("--ignore-label", help="Reference voxels left out.")] = None,
    metrics: Annotated[str | None, typer.Option("--metrics", help="dice,hd95; see `segbench list metrics`.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="metric.nsd.tolerance=2; repeatable.")] = None,
    prior: Annotated[
        list[Path] | None,
        typer.Option("--prior", help="File of prior knowledge; the metrics that read it are computed too; repeatable."),
    ] = None,
    on_missing: Annotated[str, typer.Option("--on-missing", help="worst, skip or fail.")] = "worst",
    geometry: Annotated[str, typer.Option("--geometry", help="strict, tolerant, voxels or resample.")] = "strict",
    layout: Annotated[
        str, typer.Option("--layout", help="auto, plain, nnunet, msd, bids, raters, cases or structures.")
    ] = "auto",
    one_hot: Annotated[
        bool, typer.Option("--one-hot", help="Files of four axes hold one binary volume per label.")
    ] = False,
    raters: Annotated[bool, typer.Option("--raters", help="References hold one folder per rater.")] = False,
    decision: Annotated[
        list[str] | None,
        typer.Option(
            "--decision",
            help="NAME or NAME+NAME, or one after the other, on nnU-Net's probabilities or on label maps.",
            show_default=False,
        ),
    ] = None,
    cases: Annotated[str | None, typer.Option("--cases", help="Score these only: a,b,c or a file of names.")] = None,
    split: Annotated[
        Path | None, typer.Option("--split", help="JSON: test cases of a run's split, or nnU-Net's splits_final.json.")
    ] = None,
    network: Annotated[str, typer.Option("--network", help="Network that made the predictions.")] = "",
    arm: Annotated[str, typer.Option("--arm", help="method, control or placebo.")] = "method",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the training behind the predictions.")] = 0,
    fold: Annotated[int | None, typer.Option("--fold", min=0, help="Fold that the predictions belong to.")] = None,
    supervision: Annotated[
        str, typer.Option("--supervision", help="What was learnt from: masks, descriptors, semi or none.")
    ] = "",
    images: Annotated[
        Path | None,
        typer.Option(
            "--images", help="Folder of images, CASE.* or CASE_0000.*: `segbench report` draws the cases on them."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes; one case in memory each.")] = 1,
    by_case: Annotated[Path | None, typer.Option("--by-case", help="Also write all scores as CSV.")] = None,
    json: Json = False,
    results: Results = Path("results"),
    plugin: Plugins = None,
) -> None:
    """Score predictions made anywhere against references, case by case, and add them to the results.

    Exit code 0: every case was scored; 1: some are missing, failed or odd (they are listed); 2, 3: nothing was scored.
    """
    from segbench.allocator import keep_pages
    from segbench.evaluation.folders import evaluate as run_evaluation
    from segbench.evaluation.labelling import labels_given, parse_regions
    from segbench.evaluation.likeness import choices_like
    from segbench.evaluation.selection import parse_cases

    offered = catalogue(plugin)
    model = _run(like, results, offered) if like is not None else None
    chosen = _choices(metrics, settings or [], offered)
    named, ignored = labels_given(labels) if labels is not None else (None, None)
    if prior:
        from segbench.priors import labels_of_prior, with_priors

        if chosen is None and model is not None:
            chosen = choices_like(model)
        chosen = with_priors(prior, chosen, offered, add=metrics is None)
        if named is None and not regions and model is None and references is not None:
            named = labels_of_prior(prior[0], predictions, references, layout, offered)  # type: ignore[arg-type]
    keep_pages()
    with CaseBar() as progress:
        result = run_evaluation(
            predictions,
            references,
            name=name,
            dataset=dataset,
            like=model,
            labels=named,
            regions=parse_regions(regions) if regions else None,
            ignore_label=ignored if ignore_label is None else ignore_label,
            metrics=chosen,
            on_missing=on_missing,  # type: ignore[arg-type]  # checked there
            geometry=geometry,  # type: ignore[arg-type]
            layout="raters" if raters else layout,  # type: ignore[arg-type]
            one_hot=one_hot,
            decision=_decision(decision, settings or []),
            cases=parse_cases(cases) if cases is not None else None,
            split=split,
            network=network,
            arm=arm,  # type: ignore[arg-type]
            seed=seed,
            fold=fold,
            supervision=supervision,  # type: ignore[arg-type]
            images=images,
            jobs=jobs,
            results=results,
            catalogue=offered,
            progress=progress,
        )
    _report(result, by_case, json=json)
    if not result.complete:
        raise typer.Exit(EXIT_SOME_FAILED)


def _run(text: str, results: Path, offered: Catalogue) -> StoredRun:
    """Open the one run that ``--like`` names."""
    from segbench.runs import find_runs, open_run

    folders = find_runs(text, results)
    if len(folders) > 1:
        raise UsageError(f"--like {text} holds {len(folders)} runs; name one of them.")
    return open_run(folders[0], offered)


def _report(result: EvaluationResult, by_case: Path | None, *, json: bool) -> None:
    if by_case is not None:
        _write_csv(by_case, result)
    if json:
        print_json(_document(result))
    else:
        _print_summary(result)
    _print_problems(result)


def _choices(names: str | None, settings: list[str], offered: Catalogue) -> list[Choice] | None:
    """Return the metrics named, with the parameters set for them; None if neither is given."""
    from segbench.evaluation.asked import chosen_metrics
    from segbench.params import parse_assignments
    from segbench.types import Choice

    nested = parse_assignments(settings)
    values: Any = nested.get("metric", {})
    if set(nested) - {"metric", "decision"} or not all(isinstance(one, dict) for one in values.values()):
        raise UsageError(
            "--set: expected metric.NAME.KEY=VALUE (or decision.NAME.KEY=VALUE) here, such as metric.nsd.tolerance=2."
        )
    if names is None and not values:
        return None
    if names is None:
        chosen = [metric.name for metric in chosen_metrics(None, offered)]
    else:
        chosen = [one.strip() for one in names.split(",") if one.strip()]
    if names is not None and (spare := sorted(set(values) - set(chosen))):
        raise UsageError(f"--set: metric {spare[0]!r} is not among --metrics {names}. Add it there.")
    return [Choice(one, values.get(one, {})) for one in dict.fromkeys([*chosen, *values])]


def _decision(names: list[str] | None, settings: list[str]) -> tuple[Choice, ...] | None:
    """Return the chain of decisions named, with the parameters set for them; None if none is."""
    from segbench.params import parse_assignments
    from segbench.scoring.decisions import chain_named

    return chain_named(names, parse_assignments(settings).get("decision")) or None


def _summary(result: EvaluationResult) -> list[dict[str, Any]]:
    """Return one entry per structure and metric, in the order of the task, as the leaderboard counts.

    A case without a value counts as 0 where higher is better; where lower is better it counts as infinite in the
    median, and the mean, which would be infinite too, is that of the other cases: ``mean_over`` says how many.
    """
    from segbench.ranking.means import means_of_run

    order = {one.name: position for position, one in enumerate(result.task.structures)}
    means = means_of_run(result.table).structures
    return [
        {
            **{"structure": one.structure, "metric": one.metric, "unit": one.unit, "better": one.better},
            "mean": None if math.isnan(one.mean) else one.mean,
            "sd": None if math.isnan(one.sd) else one.sd,
            "median": one.median,
            "mean_over": one.counted,
            "cases": one.cases,
            "statuses": one.statuses,
        }
        for one in sorted(means, key=lambda one: (order.get(one.structure, len(order)), one.structure))
    ]


_WORDS = {
    **{"pred_empty": "missed", "truth_empty": "not there", "both_empty": "both empty"},
    **{"missing": "missing", "failed": "failed"},
}
"""Status -> what the summary calls it."""


def _print_summary(result: EvaluationResult) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    title = f"{result.folder.parent.name} on {result.task.name} ({result.task.revision}), {result.cases} cases"
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("structure", overflow="fold")
    table.add_column("metric", no_wrap=True)
    for heading in ("mean", "± sd", "median"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("cases", overflow="fold")
    previous = None
    for one in _summary(result):
        if previous not in (None, one["structure"]):
            table.add_section()
        counts = [f"{one['statuses'][key]} {word}" for key, word in _WORDS.items() if key in one["statuses"]]
        if one["mean_over"] < one["cases"]:
            counts.append(f"mean of {one['mean_over']}")
        table.add_row(
            escape(one["structure"]) if previous != one["structure"] else "",
            escape(f"{one['metric']} {one['unit']}".strip()),
            *(_number(one[key]) for key in ("mean", "sd", "median")),
            ", ".join(counts),
        )
        previous = one["structure"]
    stdout().print(table)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}".replace("inf", "∞")


def _print_problems(result: EvaluationResult) -> None:
    """Say on stderr what was recognised, where the results are, and what is wrong with which case."""
    from rich.markup import escape

    console = stderr()
    console.print(f"Layout: {escape(result.layout)}.", soft_wrap=True)
    state = "were there already" if result.reused else f"written in {result.seconds:.1f} s"
    console.print(f"Scores {state}: {escape(str(result.folder))}", soft_wrap=True)
    ordered = sorted(result.problems, key=lambda problem: not problem.grave)
    if not ordered:
        return
    grave = sum(problem.grave for problem in ordered)
    console.print(f"{grave} problems, {len(ordered) - grave} notes:")
    for problem in ordered[:SHOWN]:
        rater = f" ({problem.rater})" if problem.rater else ""
        console.print(escape(f"  {problem.kind:8}{problem.case or 'all'}{rater}: {problem.what}"), soft_wrap=True)
    if len(ordered) > SHOWN:
        console.print(f"  ... and {len(ordered) - SHOWN} more in {escape(str(result.folder / 'run.json'))}")


def _document(result: EvaluationResult) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "run_id": result.run_id,
        "folder": str(result.folder),
        "dataset": result.task.name,
        "dataset_revision": result.task.revision,
        "method": result.folder.parent.name,
        "layout": result.layout,
        "cases": result.cases,
        "complete": result.complete,
        "reused": result.reused,
        "seconds": result.seconds,
        "summary": _summary(result),
        "problems": [{**asdict(problem), "grave": problem.grave} for problem in result.problems],
    }


def _write_csv(path: Path, result: EvaluationResult) -> None:
    """Write all scores as CSV, atomically; texts that a spreadsheet would run are quoted."""
    import pyarrow as pa
    import pyarrow.csv

    from segbench.atomic import atomically
    from segbench.texts import csv_cell

    table = result.table.unify_dictionaries()
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            codes = table.column(index).combine_chunks()
            words = pa.array([csv_cell(word) for word in codes.dictionary.to_pylist()], pa.string())
            table = table.set_column(index, field.name, words.take(codes.indices))
    atomically(path, lambda part: pyarrow.csv.write_csv(table, part))
