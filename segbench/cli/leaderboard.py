"""``segbench leaderboard``: read results, rank them, print or publish them."""

from __future__ import annotations

import gc
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.cli import options
from segbench.cli.application import app
from segbench.cli.console import Json, SeveralResults, echo, name_left_out, print_json, say, stdout
from segbench.errors import DataMissing, UsageError, VerificationError
from segbench.names import first_few

if TYPE_CHECKING:
    from segbench.ranking.boards import Leaderboard


class Format(StrEnum):
    """Output formats."""

    table = "table"
    md = "md"
    csv = "csv"
    json = "json"
    latex = "latex"


class Ties(StrEnum):
    """What equal values get."""

    average = "average"
    min = "min"


class Adjust(StrEnum):
    """Adjustment of p-values."""

    none = "none"
    holm = "holm"


class Existing(StrEnum):
    """What becomes of the runs that boards hold already."""

    keep = "keep"
    replace_ = "replace"
    drop = "drop"


@app.command("leaderboard")
def leaderboard(
    folder: Annotated[
        Path | None,
        typer.Argument(help="With --write or --check: folder of boards.  [default: leaderboards]", show_default=False),
    ] = None,
    dataset: options.Datasets = None,
    method: options.Methods = None,
    metric: options.Metrics = None,
    label: options.Labels = None,
    by_label: Annotated[bool, typer.Option("--by-label", help="One table per label.")] = False,
    by_seed: Annotated[bool, typer.Option("--by-seed", help="Also the ranking by each seed alone.")] = False,
    headline: Annotated[
        list[str] | None,
        typer.Option(
            help="Metric the order rests on; may be repeated; all = every one. Default: one overlap and one boundary "
            "metric where both are there, or what --metric names."
        ),
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.table,  # noqa: A002
    json: Json = False,
    scheme: options.RankedBy = options.Scheme.rank_then_mean,
    ties: Annotated[
        Ties | None, typer.Option(help="Ranks of ties. Default: average inside, minimum in the last column.")
    ] = None,
    adjust: Annotated[Adjust, typer.Option(help="Adjustment of test-then-rank.")] = Adjust.none,
    missing: options.Missing = None,
    cases: options.SameCases = None,
    without: options.Without = None,
    bootstrap: options.Bootstrap = 0,
    seed: options.Seed = 0,
    exact_differences: Annotated[
        bool, typer.Option("--exact-differences", help="Do not round paired differences (parity with R).")
    ] = False,
    schemes: Annotated[
        bool | None,
        typer.Option(
            "--schemes/--no-schemes", help="Also by other schemes, seeds and policies. Default: if it is quick."
        ),
    ] = None,
    write: Annotated[
        bool,
        typer.Option("--write", help="Publish all finished runs: add them to the boards in DIR, one folder per board."),
    ] = False,
    existing: Annotated[
        Existing,
        typer.Option(
            "--existing",
            help="With --write: runs that boards in DIR hold already are kept, and contradictions named; or replaced "
            "by those here; or dropped if they are not here.",
        ),
    ] = Existing.keep,
    check: Annotated[
        bool, typer.Option("--check", help="Say whether each published board in DIR is what its own files give.")
    ] = False,
    results: SeveralResults = None,
) -> None:
    """Rank what has been run, evaluated or imported: per dataset, label and metric."""
    if write and check:
        raise UsageError("--write and --check exclude each other: a board that was just written is not stale.")
    if check:
        _check(folder or Path("leaderboards"), json)
        return
    places = results or [Path("results")]
    if write:
        from segbench.gathering import gathered

        with gathered(places) as root:
            _publish(folder or Path("leaderboards"), root, dataset or [], without or [], existing, json)
        return
    if folder is not None:
        raise UsageError(
            f"{folder}: a folder of boards is only named with --write or --check. Results are named by --results DIR."
        )
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # which uses again what is handed back
    from segbench.gathering import gathered
    from segbench.ranking.chunks import load_chunks
    from segbench.ranking.grid import COLUMNS
    from segbench.ranking.leaderboard import rank_scores

    gc.freeze()  # the collector need not look through all modules again and again while rows become objects
    request = options.request_of(
        dataset,
        label,
        without,
        missing,
        cases,
        methods=tuple(method or ()),
        metrics=tuple(metric or ()),
        scheme=scheme.value,
        ties=ties.value if ties else None,
        adjustment=adjust.value,
        bootstrap=bootstrap,
        seed=seed,
        decimals=None if exact_differences else 10,
        schemes=schemes,
        headline=tuple(headline) if headline else None,
    )
    wanted = Format.json if json else format
    with gathered(places) as root:
        scores = load_chunks(root, COLUMNS)
        _show(rank_scores(scores, request), wanted, by_label, by_seed, root)
    name_left_out(scores.left_out, said=wanted not in (Format.csv, Format.latex))


def _publish(
    folder: Path, results: Path, datasets: list[str], without: list[str], existing: Existing, json: bool
) -> None:
    from segbench.provenance import git_commit
    from segbench.publishing.boards import write_boards

    if (git_commit() or "").endswith("+"):
        say("This checkout has changes that no commit holds: the boards say so. Commit first to publish clean ones.")
    written = write_boards(results, folder, datasets, without, existing.value)
    if json:
        print_json({"boards": [str(path) for path in written]})
        return
    for path in written:
        stdout().print(f"Written: {path}", markup=False, highlight=False, soft_wrap=True)


def _check(folder: Path, json: bool) -> None:
    """Say of every published board whether its README belongs to its scores and runs."""
    from segbench.publishing.boards import board_folders, staleness

    reasons = {path: staleness(path) for path in board_folders(folder)}
    if not reasons:
        raise DataMissing(f"{folder} holds no published board (no NAME@REVISION/scores.parquet).")
    if json:
        print_json({"boards": [{"board": str(path), "stale": reason} for path, reason in reasons.items()]})
    else:
        for path, reason in reasons.items():
            stdout().print(f"{path}: {reason or 'as its files say'}", markup=False, highlight=False, soft_wrap=True)
    stale = [path.name for path, reason in reasons.items() if reason]
    if stale:
        raise VerificationError(
            f"{len(stale)} of {len(reasons)} boards are stale: {first_few(stale)}. Write them again with "
            f"`segbench leaderboard --write`, from the runs, or restore their files."
        )


def _show(board: Leaderboard, wanted: Format, by_label: bool, by_seed: bool, results: Path) -> None:
    from segbench.costs import records_in
    from segbench.showing import exports, terminal
    from segbench.showing.tables import costs_of

    if wanted is Format.json:
        print_json(exports.document(board))
    elif wanted is Format.table:
        terminal.draw_tables(board, stdout(), by_label, by_seed, costs_of(board, records_in(results)))
    elif wanted is Format.md:
        echo(exports.markdown(board, by_label, by_seed, costs_of(board, records_in(results))), end="")
    else:
        echo(exports.WRITERS[wanted.value](board, by_label, by_seed), end="")
