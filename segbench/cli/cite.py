"""``segbench cite``: whom to cite, a methods paragraph, and tables, for some runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli.application import app
from segbench.cli.console import Json, Plugins, ResultsOnly, catalogue, print_json, say

if TYPE_CHECKING:
    import pyarrow as pa


@app.command("cite")
def cite(
    runs: Annotated[
        list[str], typer.Argument(help="Runs: folders that hold some, or the first digits of their names.")
    ],
    paragraph: Annotated[bool, typer.Option("--paragraph", help="A methods paragraph instead.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="The leaderboard of these runs for LaTeX instead.")] = False,
    json: Json = False,
    results: ResultsOnly = Path("results"),
    plugin: Plugins = None,
) -> None:
    """Print BibTeX of all that some runs used: datasets, networks, methods, metrics, segbench."""
    from segbench.publishing.citing import bibliography
    from segbench.publishing.citing import paragraph as describe
    from segbench.publishing.records import read_record
    from segbench.results import read_scores
    from segbench.runs import find_runs

    folders = list(dict.fromkeys(folder for text in runs for folder in find_runs(text, results)))
    records = [read_record(folder) for folder in folders]
    tables = [read_scores(folder) for folder in folders]
    metrics = sorted({name for table in tables for name in table.column("metric").unique().to_pylist()})
    found: dict[str, Any] = {}
    if json or not (paragraph or latex):
        cited = bibliography(records, metrics, catalogue(plugin))
        found["bibtex"] = cited.text()
        found["skipped"] = list(cited.skipped)
    if json or paragraph:
        found["paragraph"] = describe(records, metrics, [_about(table) for table in tables if table.num_rows])
    if json or latex:
        found["latex"] = _latex(tables)
    if json:
        print_json(found)
        return
    for name in ("bibtex", "paragraph", "latex"):
        if name in found:
            typer.echo(found[name].rstrip("\n"))
    for line in found.get("skipped", ()):
        say(f"No entry for {line}.")


def _about(table: pa.Table) -> dict[str, Any]:
    from segbench.publishing.records import distinct

    first = table.slice(0, 1).to_pylist()[0]
    arm = first["arm"]
    method = first["method"] + (f" ({arm})" if arm not in ("method", "", None) else "")
    cases = len(table.column("case_id").unique())
    return {
        **{name: first[name] for name in ("dataset", "dataset_revision")},
        "seeds": distinct(table, "seed"),
        "method": method,
        "cases": cases,
    }


def _latex(tables: list[pa.Table]) -> str:
    import pyarrow as pa

    from segbench.ranking.leaderboard import leaderboard
    from segbench.showing.exports import latex

    return latex(leaderboard(pa.concat_tables(tables).unify_dictionaries()))
