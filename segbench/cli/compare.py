"""``segbench compare``: is one method better than another, and what would it take to know?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.cli import options
from segbench.cli.application import app
from segbench.cli.console import Json, SeveralResults, name_left_out, print_json, say, stdout


@app.command("compare")
def compare(
    methods: Annotated[
        list[str],
        typer.Argument(help="Two or more methods, as the leaderboard names them, or enough to tell."),
    ],
    metric: Annotated[str, typer.Option(help="Metric.")],
    rope: Annotated[
        float, typer.Option(help="Differences up to this are of no importance, in the metric's unit.")
    ] = 0.0,
    dataset: options.Datasets = None,
    label: Annotated[list[str] | None, typer.Option(help="Label; may be repeated. Default: the mean of all.")] = None,
    alpha: Annotated[float, typer.Option(min=0.0, max=1.0, help="Level of the verdicts.")] = 0.05,
    missing: options.Missing = None,
    cases: options.SameCases = None,
    without: options.Without = None,
    json: Json = False,
    results: SeveralResults = None,
) -> None:
    """Say whether methods differ: better, worse, practically equal, or no evidence; and what would decide."""
    from segbench.gathering import gathered
    from segbench.ranking import verdicts
    from segbench.ranking.chunks import load_chunks
    from segbench.ranking.comparisons import comparison_document, draw_comparisons
    from segbench.ranking.grid import COLUMNS

    request = options.request_of(dataset, label, without, missing, cases)
    with gathered(results or [Path("results")]) as root:
        scores = load_chunks(root, COLUMNS)
        found = verdicts.compare(scores, methods, metric, rope, request, alpha, say=say)
    if json:
        print_json(comparison_document(found, rope, alpha))
    else:
        draw_comparisons(found, stdout(), rope, alpha)
    name_left_out(scores.left_out, said=True)
