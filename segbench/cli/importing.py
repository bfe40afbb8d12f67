"""``segbench import``: bring tables of scores in that others published or wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from segbench.cli.application import app
from segbench.cli.console import Json, Plugins, Results, catalogue, print_json, stdout
from segbench.errors import UsageError


@app.command("import")
def import_command(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV: dataset, case, label, metric, better, method, seed, value, status, family; or a table of "
            "challengeR's or MONAI's, or a summary.json of nnU-Net."
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the method, if the table has no column for it or only one.")
    ] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Dataset of all values.")] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="Metric of all values; of a summary.json, the one to take.")
    ] = None,
    better: Annotated[
        str | None, typer.Option("--better", help="higher or lower, of a metric that is not known.")
    ] = None,
    label: Annotated[str | None, typer.Option("--label", help="Structure of all values.")] = None,
    labels: Annotated[
        str | None,
        typer.Option("--labels", help="Names of labels: LV=1,RV=2 or LV=class0, or a file such as dataset.json."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="ROLE=COLUMN, e.g. case=patient or value=DSC; repeatable.", show_default=False),
    ] = None,
    empty: Annotated[
        str | None, typer.Option("--empty", help="What an empty value means, e.g. both_empty.  [default: missing]")
    ] = None,
    network: Annotated[str | None, typer.Option("--network", help="Network behind all values.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of the training behind all values.")] = None,
    fold: Annotated[
        int | None, typer.Option("--fold", min=0, help="Fold of all values.  [default: of a summary.json its folder's]")
    ] = None,
    results: Results = Path("results"),
    json: Json = False,
    plugins: Plugins = None,
) -> None:
    """Bring a published table of per-case scores into the results."""
    from segbench.importing.measures import measures_of
    from segbench.importing.runs import import_scores
    from segbench.importing.tables import Said

    given: dict[str, Any] = {"dataset": dataset, "metric": metric, "better": better, "label": label, "network": network}
    given |= {"seed": seed, "fold": fold}
    constants = {role: str(value) for role, value in given.items() if value is not None}
    known = catalogue(plugins)
    measures = measures_of(known.entry("metrics", one).cls for one in known.names("metrics"))
    said = Said(constants, _columns(column or []), _names(labels) if labels is not None else {})
    report: dict[str, Any] = import_scores(file, results, name, measures, said=said, empty=empty)
    if json:
        print_json(report)
        return
    console = stdout()
    for run in report["runs"]:
        state = "imported" if run["new"] else "already there"
        console.print(
            f"{run['method']} on {run['dataset']}: {run['rows']} values {state} ({run['folder']})",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    for note in report["notes"]:
        console.print(note, markup=False, highlight=False, soft_wrap=True)


def _columns(pairs: list[str]) -> dict[str, str]:
    found = dict(pair.partition("=")[::2] for pair in pairs)
    if wrong := [pair for pair in pairs if not all(pair.partition("="))]:
        raise UsageError(f"--column {wrong[0]}: expected ROLE=COLUMN such as case=patient.")
    return found


def _names(text: str) -> dict[str, str]:
    """Return label as a file calls it -> name, from ``NAME=LABEL,...`` or a file of labels."""
    from segbench.evaluation.labelling import labels_given

    pairs = [pair.partition("=") for pair in text.split(",")]
    if all(all(pair) for pair in pairs):
        found = {label.strip(): name.strip() for name, _, label in pairs}
        if len(found) < len(pairs):
            raise UsageError(f"--labels {text}: expected one name for each label, found a label with two.")
        return found
    labels, _ = labels_given(text)
    if not isinstance(labels, dict):
        raise UsageError(f"--labels {text}: expected names with labels (LV=1,RV=2), found labels alone.")
    return {
        str(tuple(value)) if isinstance(value, list | tuple) else str(value): name for name, value in labels.items()
    }
