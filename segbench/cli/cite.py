"""``segbench cite``: whom to cite, a methods paragraph, and tables, for some runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli import options
from segbench.cli.application import app
from segbench.cli.console import Json, Plugins, ResultsOnly, catalogue, echo, print_json, say

if TYPE_CHECKING:
    import pyarrow as pa


@app.command("cite")
def cite(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Runs: folders that hold some, published boards, or the first digits of names.  [default: all of "
            "--results]",
            show_default=False,
        ),
    ] = None,
    dataset: options.Datasets = None,
    paragraph: Annotated[bool, typer.Option("--paragraph", help="A methods paragraph instead.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="The leaderboard of these runs for LaTeX instead.")] = False,
    json: Json = False,
    results: ResultsOnly = Path("results"),
    plugin: Plugins = None,
) -> None:
    """Print BibTeX of all that some runs used: datasets, networks, methods, metrics, segbench."""
    from segbench.publishing.citing import bibliography
    from segbench.publishing.citing import paragraph as describe
    from segbench.runs import find_kept

    texts = runs or [str(results)]
    kept = list({(run.place, run.run_id): run for text in texts for run in find_kept(text, results)}.values())
    tables = [run.scores() for run in kept]
    if dataset:
        wanted = _of_datasets(tables, dataset)
        tables = [table for run, table in zip(kept, tables, strict=True) if run.run_id in wanted]
        kept = [run for run in kept if run.run_id in wanted]
    records = [run.record for run in kept]
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
            echo(found[name].rstrip("\n"))
    for line in found.get("skipped", ()):
        say(f"No entry for {line}.")


def _of_datasets(tables: list[pa.Table], datasets: list[str]) -> set[str]:
    """Return the names of the runs on the boards that were asked for."""
    import pyarrow as pa

    from segbench.ranking.boards import Request
    from segbench.ranking.chunks import chunks_of_table
    from segbench.ranking.grid import COLUMNS, combinations
    from segbench.ranking.leaderboard import choose

    every = chunks_of_table(pa.concat_tables(tables).unify_dictionaries(), COLUMNS)
    chosen = choose(every, Request(datasets=tuple(datasets))).scores
    return {str(name) for (name,) in combinations(chosen, ("run_id",))}


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
